"""Crashes, disks, files and signals: what was acknowledged stays, and a refusal says what to do."""
import glob
import os
import random
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time

import otj
from devnet import SHARE, SOME_BLOCKS, Database, Miner, devnet, fixed, healthy, refused, verified
from money import target_of, work_of
from pool import BUILD, Pool, address, kept, wait_for
from skip import Skip
from stratum import Client

TINY = "9.313225746154785e-10"  # 2^-30: four hashes
SMALL = "journal: {segment: 1MiB, max: 2MiB, coordinator_segment: 1MiB, coordinator_max: 2MiB, commit: 200ms}"


def every_share_is_there(pool, miners, share=SHARE):
    """The stopped pool's database holds each acknowledged share once, and none that was not sent."""
    verified(pool)
    one = work_of(target_of(share))
    with Database(pool) as db:
        accepted, work = db.accepted(), db.work()
        for m in miners:
            low, high = m.acknowledged, m.acknowledged + m.unanswered
            assert low <= accepted.get(m.user, 0) <= high, \
                f"{m.user}: {low} acknowledged, {m.unanswered} without answer, {accepted.get(m.user, 0)} in the database"
            assert work.get(m.user, 0) == accepted.get(m.user, 0) * one, "sums of work and of shares differ"
        assert set(accepted) <= {m.user for m in miners}, "shares of somebody unknown"
        return sum(accepted.values())


def starts_and_ends(pool):
    """What a start on the data brings into the database."""
    pool.start()
    wait_for(lambda: pool.status()["accounting"]["waiting"] == 0, 20, about="the journals in the database")
    assert pool.stop() == 0


def start_is_refused(pool, seconds=20):
    """serve ends by itself with status 1. The one line that it says."""
    pool.start(wait=False)
    status = pool.process.wait(seconds)
    words = [x for x in pool.output().splitlines() if x.startswith("otedama:")]
    pool.out.close()
    assert status == 1, f"status {status}: {pool.output()[-2000:]}"
    assert words, pool.output()[-2000:]
    return words[-1]


# --- kill -9 ---

def test_kill_9_under_load_loses_nothing():
    rng = random.Random(9)
    with Pool(devnet(top=SMALL)) as pool:
        miners = []
        for turn in range(8):
            pool.start()
            now = [Miner(pool.port, f"{address(20 + i)}.t{turn}", ahead=(1, 4, 16)[i]) for i in range(3)]
            if turn % 2:  # else the first shares of all, or none yet
                wait_for(lambda: sum(m.acknowledged for m in now) > 30, 60, about="shares")
            time.sleep(rng.uniform(0.05, 1.5))
            pool.kill()
            for m in now:
                m.stop()
                assert not m.refused, m.refused[:3]
            miners += now
        starts_and_ends(pool)
        total = every_share_is_there(pool, miners)
        assert total > 100, f"only {total} shares in eight turns"


def test_kill_9_with_blocks_loses_no_credit():
    rng, hashes = random.Random(10), []
    with Pool(devnet(bits=SOME_BLOCKS, top=SMALL)) as pool:
        pool.start()
        def confirming():
            blocks = pool.status()["blocks"]
            return len(blocks) == len(hashes) and all(b["state"] == "confirming" for b in blocks) and blocks
        for turn in range(5):
            with Client(pool.port) as c:
                job = c.login(f"{address(30)}.t{turn}")
                for _ in range(5):
                    assert c.submit(c.mine(job, harder_than=job.network_target())) is True
                block = c.mine(job, easier_than=job.network_target())
                assert c.submit(block) is True
                hashes.append(f"{block[4]:064x}")
                # On disk, or with the node: one of the two is enough to survive a kill.
                wait_for(lambda: kept(pool, hashes[-1]), 10, step=0.001, about="the candidate on disk")
                time.sleep(rng.choice((0, 0.002, 0.02, 0.3)))
            pool.kill()
            pool.start()
            wait_for(confirming, 20, step=0.1, about=f"{len(hashes)} blocks at their heights")
        blocks = confirming()
        assert sorted(b["hash"] for b in blocks) == sorted(hashes)
        status = pool.status()
        immature = sum(int(b["amount_units"]) for b in status["balances"] if b["kind"] == "immature")
        fees = sum(int(b["amount_units"]) for b in status["balances"] if b["kind"] == "fee_immature")
        assert immature + fees == sum(int(b["value_units"]) for b in blocks), "credits are not the blocks' values"
        assert pool.stop() == 0
        verified(pool)
        with Database(pool) as db:
            assert sum(db.accepted().values()) == len(hashes) * 6


# --- journals ---

def crashed_with_shares(pool, shares=40):
    """A killed pool whose shares are all in its journal, one group commit each. (miner, segment)"""
    pool.start()
    m = Miner(pool.port, address(40) + ".journal", ahead=1)
    wait_for(lambda: m.acknowledged >= shares, 30, about=f"{shares} shares")
    pool.kill()
    m.stop()
    folders = glob.glob(os.path.join(pool.folder, "data", "journal", "r-*"))
    newest = otj.segments(max(folders, key=lambda f: int(f.rsplit("-", 1)[1])))[-1]
    found, _ = otj.frames(newest)
    assert len(found) > shares, "the journal does not hold the shares"
    return m, newest


LATE = "journal: {commit: 60s}"  # so that nothing is in the database yet


def test_a_torn_tail_is_cut():
    rng = random.Random(5)
    def garbage(path):
        otj.patch(path, otj.frames(path)[1], rng.randbytes(300))
    def half_a_frame(path):
        found, end = otj.frames(path)
        with open(path, "rb") as f:
            data = f.read()
        at, n, sequence, _, group = found[-1]
        torn = bytearray(data[at:at + n])
        torn[8:16] = (sequence + 1).to_bytes(8, "little")
        torn[18:20] = (group + 1).to_bytes(2, "little")
        otj.patch(path, end, bytes(torn[:n - 7]))
    def cut_behind_the_frames(path):
        otj.patch(path, otj.frames(path)[1], b"\x35\x00\x00\x00\x07")
        os.truncate(path, otj.frames(path)[0][-1][0] + otj.frames(path)[0][-1][1] + 3)
    def appended(path):
        with open(path, "ab") as f:
            f.write(rng.randbytes(5000))
    for tear in (garbage, half_a_frame, cut_behind_the_frames, appended):
        with Pool(devnet(top=LATE)) as pool:
            m, newest = crashed_with_shares(pool)
            tear(newest)
            for other in otj.segments(os.path.join(pool.folder, "data", "journal", "coordinator"))[-1:]:
                if tear is garbage:
                    tear(other)
            starts_and_ends(pool)
            every_share_is_there(pool, [m])


def test_a_flipped_frame_is_told_and_not_passed_over():
    for place in (0.3, 0.6):
        with Pool(devnet(top=LATE)) as pool:
            _, newest = crashed_with_shares(pool)
            found, _ = otj.frames(newest)
            at, n, sequence, _, _ = found[int(len(found) * place)]
            with open(newest, "rb") as f:
                f.seek(at + n - 1)
                otj.patch(newest, at + n - 1, bytes([f.read(1)[0] ^ 0x10]))
            words = start_is_refused(pool)
            assert os.path.basename(newest) in words and os.path.basename(os.path.dirname(newest)) in words, words
            assert f"sequences {sequence} to {sequence}" in words and str(at) in words, words
            assert "backup" in words, words


def test_damage_in_the_coordinators_journal_is_told():
    with Pool(devnet(top=LATE)) as pool:
        crashed_with_shares(pool, 400)
        newest = otj.segments(os.path.join(pool.folder, "data", "journal", "coordinator"))[-1]
        found, _ = otj.frames(newest)
        groups = sorted({group for _, _, _, _, group in found})
        assert len(groups) > 2, f"{len(found)} frames are too few"
        # One in the middle, with good ones behind it: damage in the last group would be a torn end.
        at = next(at for at, _, _, _, group in found if group == groups[len(groups) // 2])
        otj.patch(newest, at + 4, b"\xff\xff\xff\xff")
        words = start_is_refused(pool)
        assert "coordinator" in words and os.path.basename(newest) in words and "sequences" in words, words


# --- disk ---

class SmallDisk:
    """A tmpfs of some MiB, or Skip where it cannot be mounted."""

    def __init__(self, size):
        self.folder = tempfile.mkdtemp(prefix="otedama-e2e-")
        r = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", self.folder],
                           capture_output=True, text=True)
        if r.returncode != 0:
            os.rmdir(self.folder)
            raise Skip(f"a tmpfs cannot be mounted here: {r.stderr.strip()}")
        self.filler = os.path.join(self.folder, "filler")

    def fill(self):
        with open(self.filler, "ab", buffering=0) as f:
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while True:
                        f.write(b"\x55" * size)
                except OSError:
                    pass

    def empty(self):
        os.remove(self.filler)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.folder], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def fill_until_refused(pool, disk, miner):
    """What is in the running journal commit waits for space; whoever comes now is refused."""
    wait_for(lambda: miner.acknowledged > 1000, 20, about="shares before the disk is full")
    disk.fill()
    counts = [-1]
    def stalled():  # the room that the journal has reserved is used up
        counts.append(miner.acknowledged)
        return len(counts) > 6 and len(set(counts[-6:])) == 1
    wait_for(stalled, 60, step=0.5, about="the end of the room in the journal")
    with Client(pool.port) as c:
        c.login(address(49) + ".comes-late")
        assert "cannot store" in refused(20, c.submit, c.mine())
    wait_for(lambda: pool.status()["attention"], 20, about="word of it in the status")
    assert not miner.refused


def small_pool(disk):
    # The log must not fight for the same space.
    return Pool(devnet(fixed(TINY), top=SMALL).replace("level: debug", "level: warn"), folder=disk.folder)


def test_a_full_disk_refuses_shares_and_recovers():
    with SmallDisk("24m") as disk:
        pool = small_pool(disk)
        try:
            pool.start()
            m = Miner(pool.port, address(41) + ".full", ahead=64)
            fill_until_refused(pool, disk, m)
            before = m.acknowledged
            disk.empty()
            wait_for(lambda: m.acknowledged > before + 500, 30, about="shares after there is space again")
            wait_for(lambda: not pool.status()["attention"], 30, step=0.2, about="the end of the alarm")
            m.stop()
            assert m.unanswered == 0
            # The journal's bound holds until the database has caught up.
            assert set(m.refused) <= {"20: The pool cannot store shares now"}, set(m.refused)
            assert pool.stop() == 0, pool.output()[-1000:]
            every_share_is_there(pool, [m], TINY)
        finally:
            pool.kill()


def test_kill_9_on_a_full_disk():
    with SmallDisk("24m") as disk:
        pool = small_pool(disk)
        try:
            pool.start()
            m = Miner(pool.port, address(42) + ".full", ahead=64)
            fill_until_refused(pool, disk, m)
            pool.kill()
            m.stop()
            disk.empty()
            starts_and_ends(pool)
            every_share_is_there(pool, [m], TINY)
        finally:
            pool.kill()


# --- who else is there ---

HOLD = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_database_that_another_process_has():
    with Pool(devnet()) as pool:
        pool.start()
        assert pool.stop() == 0
        path = os.path.join(pool.folder, "data", "otedama.db")
        holder = subprocess.Popen([sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        try:
            assert holder.stdout.readline().strip() == "held"
            words = start_is_refused(pool)
            assert "otedama.db" in words and "another process" in words, words
        finally:
            holder.stdin.close()
            holder.wait(60)
        starts_and_ends(pool)


def test_nobody_writes_to_the_database_of_a_running_pool():
    with Pool(devnet()) as pool:
        pool.start()
        db = sqlite3.connect(os.path.join(pool.folder, "data", "otedama.db"), timeout=0.2)
        try:
            db.execute("UPDATE position SET seq = 0")
            raise AssertionError("another program could write into the ledger of a running pool")
        except sqlite3.OperationalError as e:
            assert "lock" in str(e), e
        finally:
            db.close()
        assert pool.stop() == 0


def test_a_second_start_is_refused_with_the_pid():
    with Pool(devnet()) as pool:
        pool.start()
        other = Pool(devnet(), folder=pool.folder)
        words = start_is_refused(other)
        assert f"pid {pool.process.pid}" in words and "data_dir" in words, words
        with Client(pool.port) as c:
            c.login(address(1) + ".undisturbed")
            assert c.submit(c.mine()) is True
        assert pool.status()["pid"] == pool.process.pid
        assert pool.stop() == 0


def test_a_port_that_is_taken():
    with Pool(devnet()) as pool, socket.socket() as s:
        s.bind(("127.0.0.1", pool.port))
        s.listen()
        words = start_is_refused(pool)
        assert f"ports.{pool.port}" in words and "pool.yaml:" in words, words
        assert str(pool.port) in words


def test_a_metrics_port_that_is_taken_is_a_warning():
    with Pool(devnet()) as pool, socket.socket() as s:
        s.bind(("127.0.0.1", pool.metrics))
        s.listen()
        pool.start()
        attention = pool.status()["attention"]
        assert len(attention) == 1 and "metrics.listen" in attention[0] and str(pool.metrics) in attention[0], attention
        with Client(pool.port) as c:
            c.login(address(1) + ".w")
            assert c.submit(c.mine()) is True
        wait_for(lambda: healthy(pool), 5, about="its health")
        assert pool.stop() == 0


# --- files ---

def test_an_unknown_key_is_named_with_its_place():
    with Pool(devnet().replace("coinbase:", "coin_base:")) as pool:
        words = start_is_refused(pool)
        with open(pool.config, encoding="utf-8") as f:
            line = next(i for i, x in enumerate(f, 1) if "coin_base" in x)
        assert f"pool.yaml:{line}:5:" in words and "coin_base" in words and "'coinbase'" in words, words


def test_200000_brackets_are_refused_at_once():
    for text in ("[" * 200_000, "a: " + "[" * 200_000, "{" * 200_000, "- " * 100_000):
        with Pool(text) as pool:
            begun = resource.getrusage(resource.RUSAGE_CHILDREN)
            words = start_is_refused(pool)
            ended = resource.getrusage(resource.RUSAGE_CHILDREN)
            assert ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime < 3, "it took seconds of a processor"
            assert "pool.yaml:1:" in words and len(words) < 400, words


def test_a_truncated_plugin_is_refused():
    rng = random.Random(6)
    with tempfile.TemporaryDirectory(prefix="otedama-e2e-plugins-") as folder:
        shutil.copytree(os.path.join(BUILD, "plugins"), folder, dirs_exist_ok=True,
                        ignore=lambda d, names: [n for n in names if os.path.isfile(os.path.join(d, n)) and
                                                 not n.endswith(".so")])
        victim = os.path.join(folder, "payout", "pplns.so")
        with open(victim, "rb") as f:
            whole = f.read()
        for cut in [0, 1, 63, 64, 4096, len(whole) - 1] + [rng.randrange(len(whole)) for _ in range(6)]:
            with open(victim, "wb") as f:
                f.write(whole[:cut])
            with Pool(devnet(top=f"plugins: {{dirs: [{folder}]}}")) as pool:
                words = start_is_refused(pool)
                assert "pplns" in words, (cut, words)
        with open(victim, "wb") as f:
            f.write(whole)
        with Pool(devnet(top=f"plugins: {{dirs: [{folder}]}}")) as pool:
            pool.start()
            assert pool.stop() == 0


# --- signals ---

def test_sigterm_under_load_keeps_every_acknowledged_share():
    with Pool(devnet()) as pool:
        miners = []
        for turn in range(3):
            pool.start()
            now = [Miner(pool.port, f"{address(45 + i)}.t{turn}", ahead=8) for i in range(3)]
            wait_for(lambda: all(m.acknowledged > 20 for m in now), 20, about="shares of all")
            begun = time.monotonic()
            assert pool.stop() == 0, "SIGTERM did not end it with status 0"
            assert time.monotonic() - begun < 30, "it waited for somebody"
            for m in now:
                m.stop()
                assert not m.refused, m.refused[:3]
            miners += now
            every_share_is_there(pool, miners)
        data = os.path.join(pool.folder, "data")
        assert not os.path.exists(os.path.join(data, "otedama.sock")), "the control socket was left behind"


def test_the_end_on_a_full_disk():
    """What cannot be committed cannot be waited for: 5 s, or less by a second signal."""
    with SmallDisk("24m") as disk:
        pool = small_pool(disk)
        try:
            miners = []
            for patient in (True, False):
                pool.start()
                m = Miner(pool.port, f"{address(43)}.{patient}", ahead=64)
                miners.append(m)
                fill_until_refused(pool, disk, m)
                begun = time.monotonic()
                pool.process.send_signal(signal.SIGTERM)
                if not patient:
                    time.sleep(0.5)
                    assert pool.process.poll() is None, "it ended with shares that it had not answered"
                    begun = time.monotonic()
                    pool.process.send_signal(signal.SIGTERM)
                assert pool.process.wait(60) == 1, "a pool that could not commit everything does not say so"
                took = time.monotonic() - begun
                assert took < (30 if patient else 4), f"it took {took:.1f} s"
                pool.out.close()
                m.stop()
                disk.empty()
                starts_and_ends(pool)
            every_share_is_there(pool, miners, TINY)
        finally:
            pool.kill()


def test_a_client_that_does_not_read_does_not_hold_up_the_end():
    with Pool(devnet()) as pool:
        pool.start()
        m = Miner(pool.port, address(48) + ".w", ahead=4)
        deaf = [socket.socket() for _ in range(5)]
        for s in deaf:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.connect(("127.0.0.1", pool.port))
            s.settimeout(0.3)
            try:
                for _ in range(300):
                    s.sendall(b'{"id":1,"method":"mining.ping","params":[]}\n' * 10)
            except OSError:
                pass
        wait_for(lambda: m.acknowledged > 20, 20, about="shares")
        begun = time.monotonic()
        status = pool.stop()
        assert time.monotonic() - begun < 30, "it waited for who does not read"
        assert status == 0
        m.stop()
        for s in deaf:
            s.close()
        every_share_is_there(pool, [m])


def test_sigusr1_opens_the_log_again():
    text = devnet().replace("log: {", "log: {file: {dir}/../pool.log, ")
    with Pool(text) as pool:
        pool.start()
        path = os.path.join(pool.folder, "pool.log")
        os.rename(path, path + ".1")
        pool.process.send_signal(signal.SIGUSR1)
        wait_for(lambda: os.path.exists(path), 5, about="a new log file")
        with Client(pool.port) as c:
            c.login(address(1) + ".logged")
            assert c.submit(c.mine()) is True
        def logged():
            with open(path, encoding="utf-8") as f:
                return "share.judged" in f.read()
        wait_for(logged, 5, about="a line in the new file")
        with open(path + ".1", encoding="utf-8") as f:
            assert "start.serving" in f.read()
        assert pool.stop() == 0
