"""Memory and descriptors of a pool that serves for long: no slope.

./mk soak [TIME] (2h where it is not said), or OTEDAMA_SOAK=7200 tests/e2e/run.py soak: ; 75 s where nothing is said, as in CI. Miners come
and go, a fixed number of them at a time and of names ever; the configuration is reloaded, tips come, blocks are found, miners are
paid. After a warm-up of a quarter memory (RSS) and descriptors are sampled. It fails where either of two robust measures of the growth
(the Theil-Sen slope over the length of the rest; the median of the last third less that of the first) is past the bound:
4 MiB and 2 % of memory, 3 descriptors. The database's cache (2 MB) and what of a thousand final blocks is kept fit into that.
"""
import json
import os
import random
import statistics
import threading
import time

from devnet import Database, Raw, devnet, fixed, rss_kib, verified
from pool import Pool, address, wait_for
from stratum import Client, StratumError

SECONDS = float(os.environ.get("OTEDAMA_SOAK", "75"))
MINERS, NAMES = 12, 24
SHARE = "2.384185791015625e-07"  # a thousand hashes
BITS = "1e0fffff"                # 1 Mi hashes a block
PAYS = "payments: {minimum: 0.5 DEV, every: 30d, confirmations: 2}"
GROWN_KIB, GROWN_PART, GROWN_FILES = 4096, 0.02, 3


class Visitor(threading.Thread):
    """One place: somebody mines for some seconds, leaves in one of several ways, and somebody else comes."""

    def __init__(self, soak, place):
        super().__init__(daemon=True)
        self.soak, self.place, self.rng = soak, place, random.Random(place)
        self.accepted, self.unanswered, self.error = 0, 0, None
        self.start()

    def run(self):
        while not self.soak.ending.is_set() and not self.error:
            try:
                self.visit()
            except (ConnectionError, TimeoutError, OSError):
                time.sleep(0.2)  # closed by a reload that took its port's settings, or by us
            except Exception as e:  # told by the test
                self.error = repr(e)

    def visit(self):
        if self.rng.random() < 0.2:  # nobody that ever mines
            with Raw(self.soak.pool.port) as c:
                c.write(self.rng.choice(("{}\n", "nonsense\n", '{"id":1,"method":"mining.subscribe","params":[]}\n')))
                self.soak.ending.wait(self.rng.random())
            return
        name = self.rng.randrange(NAMES)
        until = time.monotonic() + self.rng.uniform(1, 8)
        with Client(self.soak.pool.port, timeout=20) as c:
            c.login(f"{address(500 + name % 8)}.rig{name}", mask=self.rng.choice((None, 0x1FFFE000)))
            while time.monotonic() < until and not self.soak.ending.is_set():
                share = c.mine()
                self.unanswered += 1
                try:
                    assert c.submit(share) is True
                    self.accepted += 1
                except StratumError as e:
                    assert e.code == 21, e  # a new tip meanwhile
                self.unanswered -= 1
                self.soak.ending.wait(0.05)


def files_of(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def slope(points):
    """Theil-Sen: the median of the slopes of all pairs (of at most some 150 points)."""
    points = points[::max(1, len(points) // 150)]
    return statistics.median((b[1] - a[1]) / (b[0] - a[0]) for i, a in enumerate(points) for b in points[i + 1:])


def grown(points):
    """By both measures: the larger one; and the first third's median."""
    third = max(1, len(points) // 3)
    first = statistics.median(v for _, v in points[:third])
    last = statistics.median(v for _, v in points[-third:])
    return max(slope(points) * (points[-1][0] - points[0][0]), last - first), first


class Soak:
    def __init__(self, pool):
        self.pool, self.ending = pool, threading.Event()
        self.memory, self.files = [], []
        self.reloads = self.tips = 0

    def ask(self, *words, check=True):
        r = self.pool.command("payment", "--socket", self.pool.socket, "--json", *words, check=check)
        return json.loads(r.stdout) if r.returncode == 0 else None

    def reload(self):
        self.reloads += 1
        idle = "4m" if self.reloads % 2 else "5m"
        self.pool.write(self.pool.text.replace("fee: {rate: 1%}", f"fee: {{rate: {1 + self.reloads % 2}%}}")
                        + f"limits: {{idle: {idle}, new_connections_a_second: 1000}}\n")
        self.pool.command("reload", "--socket", self.pool.socket)

    def tip(self):
        self.tips += 1
        self.pool.chain("dev", "mine", "2")

    def pay(self):
        plan = self.ask("plan", "dev")
        if plan["parts"] and plan.get("code"):
            self.ask("start", "dev", plan["code"], check=False)
        self.ask("run", "dev", check=False)

    def once(self, began, warm):
        now = time.monotonic() - began
        if now >= warm:
            self.memory.append((now, rss_kib(self.pool.process.pid)))
            self.files.append((now, files_of(self.pool.process.pid)))

    def run(self, seconds):
        began, warm = time.monotonic(), seconds / 4
        step = max(0.25, seconds / 2000)
        every = {self.tip: 3, self.pay: 5, self.reload: 7}
        due = dict.fromkeys(every, 0.0)
        while time.monotonic() - began < seconds:
            for what, pause in every.items():
                if time.monotonic() - began >= due[what]:
                    due[what] += pause
                    what()
            self.once(began, warm)
            time.sleep(step)


def test_no_slope_in_memory_or_descriptors():
    text = devnet(fixed(SHARE), bits=BITS, pool=PAYS, top="journal: {segment: 1MiB, max: 4MiB, snapshot: 2s}")
    with Pool(text.replace("level: debug", "level: warn").replace("per_event_a_second: 0", "per_event_a_second: 10")) as pool:
        pool.start()
        pool.chain("dev", "mine", "110")
        soak = Soak(pool)
        visitors = [Visitor(soak, i) for i in range(MINERS)]
        try:
            soak.run(SECONDS)
        finally:
            soak.ending.set()
        for v in visitors:
            v.join(30)
            assert not v.is_alive() and v.error is None, v.error
        wait_for(lambda: pool.status()["accounting"]["waiting"] == 0, 20, about="the journals in the database")
        paid = soak.ask("list", "--all")["payments"]
        blocks = len(pool.status()["blocks"])
        assert pool.stop() == 0
        verified(pool)
        pool.command("journal", "verify", "-c", pool.config)
        accepted = sum(v.accepted for v in visitors)
        with Database(pool) as db:
            counted = sum(db.accepted().values())
        assert accepted <= counted <= accepted + sum(v.unanswered for v in visitors), (accepted, counted)
        kib, first = grown(soak.memory)
        files, had = grown(soak.files)
        print(f"    {SECONDS:.0f} s: {accepted} shares, {blocks} blocks, {len(paid)} payments, {soak.reloads} reloads, {soak.tips} tips;"
              f" memory {first / 1024:.1f} MiB, grown by {kib / 1024:+.2f} MiB; descriptors {had:.0f}, {files:+.1f}"
              f" ({len(soak.memory)} samples)", flush=True)
        assert kib <= GROWN_KIB + GROWN_PART * first, f"memory grew by {kib:.0f} KiB from {first:.0f}"
        assert files <= GROWN_FILES, f"descriptors grew by {files:.1f} from {had:.0f}"
        assert soak.reloads >= 3 and soak.tips >= 5 and accepted > 100
        assert SECONDS < 300 or (paid and blocks), "nobody was paid in all that time"
