"""Each kind of hostile client beside fifty good ones, whose rate may not fall by half, who get all of their answers, and
of whom none is disconnected or refused. hostile.py has the kinds; the pool is one for all of them."""
import contextlib
import json
import os
import subprocess
import sys
import time

from devnet import devnet, fixed, rss_kib
from good import EASY, Good
from hostile import KINDS
from pool import Pool, address, wait_for
from stratum import Client

HERE = os.path.dirname(os.path.abspath(__file__))
SECONDS, GROWTH_KIB, WORST_MS = 4, 40 * 1024, 5000
# What may be resumed takes memory for as long as it may: by the speed of this machine.
LIMITS = ("limits: {handshake: 2s, idle: 15s, resume: 2s, new_connections_a_second: 1000000, new_connections_burst: 1000000, "
          "prefix: {new_connections_a_second: 1000000, new_connections_burst: 1000000}, invalid: {shares: 200}}")
# What must be seen in /metrics of who was there: the name and a word of its labels, and by how much it grows.
SEEN = {
    "garbage": ("otd_stratum_malformed_lines_total", "", 100),
    "endless_line": ("otd_connections_closed_total", "line too long", 24),
    "deep_json": ("otd_connections_closed_total", "", 24),
    "half_open": ("otd_connections_closed_total", "", 24),
    "slow_loris": ("otd_connections_closed_total", "", 24),
    "never_reads": ("otd_connections_accepted_total", "", 24),
    "reset_churn": ("otd_connections_accepted_total", "", 500),
    "comes_and_goes": ("otd_connections_accepted_total", "", 200),
    "nobody": ("otd_shares_total", "unauthorized", 200),
    "duplicate": ("otd_shares_total", "duplicate", 500),
    "low_difficulty": ("otd_shares_total", "low", 200),
    "stale": ("otd_shares_total", "stale", 500),
    "time": ("otd_shares_total", "time", 200),
    "version": ("otd_shares_total", "version", 50),
    "extranonce2": ("otd_shares_total", "malformed", 500),
    "two_of_one_session": ("otd_connections_accepted_total", "", 48),
}


class Shared:
    """One pool and fifty good miners for all tests here."""
    pool = good = None
    usual = 0.0

    @classmethod
    def start(cls):
        if cls.pool:
            return
        cls.pool = Pool(devnet(difficulty=fixed(EASY), top=LIMITS).replace("level: debug", "level: info")).start()
        cls.good = Good(cls.pool.port).start()
        cls.look()
        cls.rss = rss_kib(cls.pool.process.pid)

    @classmethod
    def look(cls):
        """What is usual for the good ones."""
        cls.good.since()
        time.sleep(3)
        cls.usual = cls.good.since()["rate"]


def all_counted():
    counts = {w["name"]: w["accepted"] for w in Shared.pool.status()["workers"]}
    return all(counts.get(m.user) == m.acknowledged for m in Shared.good.miners)


def finish():
    if not Shared.pool:
        return
    try:
        Shared.good.stop()
        wait_for(all_counted, 20, about="the count of all acknowledged shares in the status")
        assert Shared.pool.stop() == 0, "the pool did not end well"
    except BaseException:
        Shared.pool.__exit__(AssertionError)
        raise
    Shared.pool.__exit__(None)


def grown(page, name, word):
    return sum(float(x.rsplit(" ", 1)[1]) for x in page.splitlines()
               if x.split("{")[0].split(" ")[0] == name and word in x)


def hostile(kind):
    """What the hostile ones did, and the good ones meanwhile."""
    Shared.good.since()
    r = subprocess.run([sys.executable, os.path.join(HERE, "hostile.py"), kind, str(Shared.pool.port), str(SECONDS)],
                       capture_output=True, text=True, timeout=180)
    did = Shared.good.since()
    assert r.returncode == 0, r.stderr
    h = json.loads(r.stdout)
    print(f"    {kind}: {h['connections']} connections, {h['lines']} lines; good ones: {did['rate']:.0f} shares/s "
          f"of {Shared.usual:.0f}, worst answer {did['worst_ms']:.0f} ms")
    return h, did


def beside(kind):
    Shared.start()
    pool, good = Shared.pool, Shared.good
    before = pool.get("/metrics")
    name, word, least = SEEN[kind]
    for turn in range(5):  # of a machine that does other things, too: what is usual now?
        if turn:
            Shared.look()
        h, did = hostile(kind)
        good.unhurt()
        assert h["lines"] < 1000000000, "two sessions had one extranonce1"
        seen = grown(pool.get("/metrics"), name, word) - grown(before, name, word)
        wrong = [w for w, is_so in (
            (f"good miners had {did} of {Shared.usual} shares a second", did["rate"] < Shared.usual / 2),
            ("a good miner got nothing through", did["least"] == 0),
            (f"an answer took {did['worst_ms']} ms", did["worst_ms"] >= WORST_MS),
            (f"{name} {word} grew by {seen} only: {h}", seen < least)) if is_so]
        if not wrong:
            break
    assert not wrong, wrong
    wait_for(lambda: grown(pool.get("/metrics"), "otd_sessions", "") == good.n, 20, about="the end of all hostile sessions")
    more = rss_kib(pool.process.pid) - Shared.rss
    assert more < GROWTH_KIB, f"the pool grew by {more} KiB"


def test_every_kind_is_tested():
    assert set(SEEN) == set(KINDS) == {n[len("test_beside_"):] for n in globals() if n.startswith("test_beside_")}


def test_beside_garbage():
    beside("garbage")


def test_beside_endless_line():
    beside("endless_line")


def test_beside_deep_json():
    beside("deep_json")


def test_beside_half_open():
    beside("half_open")


def test_beside_slow_loris():
    beside("slow_loris")


def test_beside_never_reads():
    beside("never_reads")


def test_beside_reset_churn():
    beside("reset_churn")


def test_beside_comes_and_goes():
    beside("comes_and_goes")


def test_beside_nobody():
    beside("nobody")


def test_beside_duplicate():
    beside("duplicate")


def test_beside_low_difficulty():
    beside("low_difficulty")


def test_beside_stale():
    beside("stale")


def test_beside_time():
    beside("time")


def test_beside_version():
    beside("version")


def test_beside_extranonce2():
    beside("extranonce2")


def test_beside_two_of_one_session():
    beside("two_of_one_session")


def test_silent_ones_go():
    """Before the handshake, and after it; the good ones say something now and then."""
    Shared.start()
    pool, good = Shared.pool, Shared.good
    before = pool.get("/metrics")
    late, began = [], time.monotonic()
    for i in range(10):
        late.append(Client(pool.port))
        late[-1].login(f"{address(300 + i)}.silent")
    early = [Client(pool.port) for _ in range(10)]
    wait_for(lambda: all(c.closed.is_set() for c in early), 10, about="the end of who does not say who it is")
    assert not any(c.closed.is_set() for c in late) or time.monotonic() - began > 14
    wait_for(lambda: all(c.closed.is_set() for c in late), 30, about="the end of who is silent")
    after = pool.get("/metrics")
    for word, n in (("in time", 10), ("idle", 10)):
        n_seen = grown(after, "otd_connections_closed_total", word) - grown(before, "otd_connections_closed_total", word)
        assert n_seen >= n, (word, [x for x in after.splitlines() if x.startswith("otd_connections_closed_total")])
    good.unhurt()


def test_a_bad_worker_goes_and_others_of_its_address_stay():
    Shared.start()
    pool, good = Shared.pool, Shared.good
    with Client(pool.port) as c:
        c.login(f"{address(400)}.bad")
        with contextlib.suppress(OSError):  # it is closed meanwhile
            for i in range(260):
                c.send("mining.submit", [c.user, c.job.id, "00", c.job.ntime, f"{i:08x}"])
                if c.closed.wait(0.001):
                    break
        assert c.closed.wait(60), "a worker of whom all is refused stays"
        told = [n["params"][0] for n in c.notices if n["method"] == "client.show_message"]
        assert len(told) == 2 and "check the miner" in told[0] and "let in again in 600 s" in told[1], told
    with Client(pool.port) as c:
        c.subscribe()
        try:
            c.authorize(f"{address(400)}.bad")
            raise AssertionError("it is let in again")
        except Exception as e:  # noqa: BLE001
            assert "is let in again in" in str(e), e
        assert c.authorize(f"{address(400)}.other") is True
    good.unhurt()


def test_bad_shares_under_the_name_of_a_good_one():
    """From the same address: who sends them goes, and who has the name by right stays."""
    Shared.start()
    user = f"{address(410)}.mine"
    with Client(Shared.pool.port) as owner, Client(Shared.pool.port) as thief:
        owner.login(user)
        assert all(owner.submit(owner.mine()) is True for _ in range(3))
        thief.login(user)
        with contextlib.suppress(OSError):
            for i in range(260):
                thief.send("mining.submit", [user, thief.job.id, "00", thief.job.ntime, f"{i:08x}"])
                if thief.closed.wait(0.001):
                    break
        assert thief.closed.wait(60)
        assert all(owner.submit(owner.mine()) is True for _ in range(3))
