"""No lock and no allocation on the way of a share: counted, not argued.

What a reactor locks is the hand-over to its journal's thread and back, and the word to the coordinator: so many a group commit, however
many shares the group holds. Two loads tell the two apart: shares one by one (a group each), and shares by the dozen.
"""
import os
import struct
import subprocess
import tempfile
import time

from devnet import devnet, fixed
from pool import BUILD, ROOT, Pool, address
from skip import Skip
from stratum import Client

TINY = "9.313225746154785e-10"  # four hashes
LIMITS = "limits: {lines_a_second: 0, bytes_a_second: 0, outstanding: 4096}"
ONE, MANY, LINES = 300, 6000, 120


def library(folder):
    path = os.path.join(folder, "count_locks.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", path, os.path.join(ROOT, "tests", "e2e", "count_locks.c"), "-ldl"],
                   check=True)
    return path


class Counter:
    def __init__(self, path, pid):
        self.path, self.pid, self.idle = path, pid, (0, 0)

    def of(self, name):
        """(locks, allocations, syncs) of the threads of this name"""
        sums = [0, 0, 0]
        with open(self.path, "rb") as f:
            data = f.read()
        for at in range(0, len(data), 32):
            tid, *counts = struct.unpack_from("<qqqq", data, at)
            try:
                with open(f"/proc/{self.pid}/task/{tid}/comm", encoding="ascii") as f:
                    if f.read().strip() != name:
                        continue
            except OSError:
                continue
            sums = [a + b for a, b in zip(sums, counts)]
        return sums

    def shares(self, fn):
        """What fn() costs the reactor: (locks, allocations, group commits)"""
        before, groups, began = self.of("reactor-0"), self.of("journal")[2], time.monotonic()
        fn()
        after, seconds = self.of("reactor-0"), time.monotonic() - began
        return (after[0] - before[0] - round(seconds * self.idle[0]), after[1] - before[1] - round(seconds * self.idle[1]),
                self.of("journal")[2] - groups)

    def look(self, seconds=2):
        """What a second costs in which nothing comes: a slow machine has more of them."""
        before, began = self.of("reactor-0"), time.monotonic()
        time.sleep(seconds)
        after, took = self.of("reactor-0"), time.monotonic() - began
        self.idle = (after[0] - before[0]) / took, (after[1] - before[1]) / took


def submit_many(client, shares):
    """In one write."""
    sent, held = [], []
    real = client.sock.sendall
    client.sock = Holding(client.sock, held)
    try:
        sent = [client.submit_async(s) for s in shares]
    finally:
        client.sock = client.sock.sock
    real(b"".join(held))
    return sent


class Holding:
    """A socket that keeps what is sent."""

    def __init__(self, sock, held):
        self.sock, self.held = sock, held

    def sendall(self, data):
        self.held.append(data)

    def __getattr__(self, name):
        return getattr(self.sock, name)


def test_locks_and_allocations_are_of_the_group_not_of_the_share():
    if any(x in os.path.basename(BUILD) for x in ("asan", "tsan", "ubsan", "fuzz")):
        raise Skip("a sanitizer has wrappers of its own")
    with tempfile.TemporaryDirectory(prefix="otedama-e2e-") as folder:
        counted(library(folder), os.path.join(folder, "counts"))


def counted(preloaded, counts):
    text = devnet(fixed(TINY), top=LIMITS + "\nthreads: {reactors: 1}").replace("level: debug", "level: warn")
    with Pool(text, env={"LD_PRELOAD": preloaded, "COUNT_LOCKS": counts}) as pool:
        pool.start()
        with Client(pool.port, timeout=30) as c:
            c.login(f"{address(80)}.counted")
            c.user = f"{address(80)}.counted"
            for _ in range(50):  # buffers and tables have their size
                assert c.submit(c.mine()) is True
            counter = Counter(counts, pool.process.pid)
            counter.look()
            slow = [c.mine() for _ in range(ONE)]
            fast = [[c.mine() for _ in range(LINES)] for _ in range(MANY // LINES)]

            def one_by_one():
                for share in slow:
                    assert c.submit(share) is True

            def by_the_dozen():
                for shares in fast:
                    answers = submit_many(c, shares)
                    for q in answers:
                        assert c.wait(q) is True
            few = counter.shares(one_by_one)
            many = counter.shares(by_the_dozen)
        assert pool.stop() == 0
        # what is counted = a group x groups + a share x shares, in both
        (l1, a1, g1), (l2, a2, g2) = few, many
        assert g1 >= ONE * 0.9 and g2 <= MANY / 4, (few, many)

        def solve(x1, x2):
            group = (x1 * MANY - x2 * ONE) / (g1 * MANY - g2 * ONE)
            return group, (x2 - group * g2) / MANY
        locks, allocations = solve(l1, l2), solve(a1, a2)
        print(f"    one by one: {ONE} shares, {g1} groups, {l1} locks, {a1} allocations; by the dozen: {MANY} shares, {g2} groups,"
              f" {l2} locks, {a2} allocations: {locks[0]:.1f} locks a group, {locks[1]:.4f} a share; {allocations[0]:.1f} allocations"
              f" a group, {allocations[1]:.4f} a share", flush=True)
        assert locks[1] < 0.05, f"{locks[1]} locks a share"
        assert allocations[1] < 0.05, f"{allocations[1]} allocations a share"
        assert l2 < MANY / 2, f"{l2} locks for {MANY} shares"
