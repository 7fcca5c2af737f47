"""Clients that are broken or mean: they are got rid of, and nobody else notices."""
import json
import os
import random
import socket
import struct
import threading
import time

from devnet import Miner, Raw, devnet, rss_kib
from pool import Pool, address, wait_for

GROWTH_KIB = 30 * 1024


class Good:
    """Three miners that must not notice anything, and the memory of the pool."""

    def __init__(self, pool):
        self.pool = pool
        self.miners = [Miner(pool.port, f"{address(50 + i)}.good{i}", ahead=2, pause=0.02) for i in range(3)]
        wait_for(lambda: all(m.acknowledged > 3 for m in self.miners), 20, about="shares of good miners")
        self.pid, self.peak, self.ending = pool.process.pid, 0, threading.Event()
        self.before = rss_kib(self.pid)
        with open(f"/proc/{self.pid}/maps", encoding="ascii", errors="replace") as f:
            self.sanitized = "libasan" in f.read()  # which keeps freed memory for a while
        self.watcher = threading.Thread(target=self.watch, daemon=True)
        self.watcher.start()

    def all_counted(self):
        counts = {w["name"]: w["accepted"] for w in self.pool.status()["workers"]}
        return all(counts.get(m.user) == m.acknowledged for m in self.miners)

    def watch(self):
        while not self.ending.wait(0.05):
            self.peak = max(self.peak, rss_kib(self.pid))

    def __enter__(self):
        self.counts = [m.acknowledged for m in self.miners]
        return self

    def __exit__(self, kind, *_):
        self.ending.set()
        self.watcher.join(10)
        for m in self.miners:
            m.stop()
        if kind:
            return
        for m, before in zip(self.miners, self.counts):
            assert not m.refused, f"a good miner's shares were refused: {m.refused[:3]}"
            assert m.unanswered == 0, f"{m.unanswered} shares of a good miner have no answer"
            assert m.acknowledged > before, "a good miner got nothing through meanwhile"
        wait_for(self.all_counted, 10, about="the count of good shares in the status")
        grown = self.peak - self.before
        assert self.sanitized or grown < GROWTH_KIB, f"the pool grew by {grown} KiB"


def malformed(rng):
    """A line that is no Stratum request."""
    good = json.dumps({"id": 1, "method": "mining.submit", "params": ["a", "b", "00", "00", "00"]})
    kind = rng.randrange(12)
    if kind == 0:
        return rng.randbytes(rng.randrange(1, 400)).replace(b"\n", b"x")
    if kind == 1:
        return b"[" * rng.randrange(1, 5000)
    if kind == 2:
        return b'{"a":' * rng.randrange(1, 1500)
    if kind == 3:
        return good[:rng.randrange(1, len(good))].encode()
    if kind == 4:
        return b'{"id":1,"method":' + rng.choice((b"1", b"null", b"[]", b"{}", b"1e400", b'"\\ud800"')) + b"}"
    if kind == 5:
        return b'{"id":1,"method":"mining.submit","params":' + rng.choice((b"1", b'"x"', b"{}", b"true")) + b"}"
    if kind == 6:
        return b'{"id":' + b"9" * rng.randrange(20, 300) + b',"method":"mining.ping","params":[]}'
    if kind == 7:
        return good.replace(":", ";").encode()
    if kind == 8:
        return b'{"id":1,"id":2,"method":"mining.ping","params":[]}'
    if kind == 9:
        return b"GET / HTTP/1.1\r"
    if kind == 10:
        return b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(60).replace(b"\n", b"x")
    return b"\x00" * rng.randrange(1, 100)


def swallow(sock):
    """Reads what comes until the end of the connection."""
    try:
        while sock.recv(65536):
            pass
    except OSError:
        pass


def test_ten_thousand_malformed_lines_on_one_connection():
    with Pool(devnet(top="limits: {bad_lines: 1000000}")) as pool:
        pool.start()
        with Good(pool), Raw(pool.port, timeout=60) as r:
            rng = random.Random(2)
            reader = threading.Thread(target=swallow, args=(r.sock.dup(),), daemon=True)
            reader.start()
            for _ in range(100):
                r.write(b"\n".join(malformed(rng) for _ in range(100)) + b"\n")
            with Raw(pool.port) as other:
                other.send(1, "mining.ping")
                assert other.line()["result"] == "pong"
            r.sock.shutdown(socket.SHUT_WR)
            reader.join(180)
            assert not reader.is_alive()
        counted = int(metric(pool, "otd_stratum_malformed_lines_total"))
        assert counted >= 9000, f"{counted} malformed lines were counted"
        assert pool.stop() == 0


def metric(pool, name):
    for line in pool.get("/metrics").splitlines():
        if line.split("{")[0].split(" ")[0] == name:
            return float(line.rsplit(" ", 1)[1])
    raise AssertionError(f"no metric {name}")


def test_malformed_lines_end_a_connection():
    with Pool(devnet()) as pool:
        pool.start()
        with Good(pool):
            rng, sent = random.Random(3), 0
            while sent < 10000:
                with Raw(pool.port) as r:
                    try:
                        r.write(b"\n".join(malformed(rng) for _ in range(200)) + b"\n")
                    except OSError:
                        pass  # closed while we wrote
                    answers = 0
                    while answers <= 200:
                        try:
                            if r.line() is None:
                                break
                        except ValueError:
                            break
                        answers += 1
                    assert answers <= 20, "a connection lived through more than 16 malformed lines"
                    sent += 200
        assert pool.stop() == 0


def test_a_line_of_100_mb():
    with Pool(devnet()) as pool:
        pool.start()
        with Good(pool):
            for start in (b'{"id":1,"method":"mining.subscribe","params":["', b"x"):
                with Raw(pool.port) as r:
                    sent, block = 0, b"a" * (1 << 20)
                    try:
                        r.write(start)
                        while sent < 100:
                            r.sock.sendall(block)
                            sent += 1
                        r.write(b"\n")
                        assert r.line() is None
                    except (ConnectionError, socket.timeout) as e:
                        assert not isinstance(e, socket.timeout), "the pool does not end a line of 100 MB"
        assert pool.stop() == 0


def hang_up(sock):
    """Ends a connection by a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def never_reads(port, rng, until):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.connect(("127.0.0.1", port))
    s.settimeout(0.5)
    user = address(90)
    text = (json.dumps({"id": 1, "method": "mining.subscribe", "params": ["deaf"]}) + "\n" +
            json.dumps({"id": 2, "method": "mining.authorize", "params": [user, "x"]}) + "\n").encode()
    line = (json.dumps({"id": 3, "method": "mining.submit",
                        "params": [user, "0000000000", "00000000", "00000000", "00000000"]}) + "\n").encode()
    try:
        s.sendall(text)
        while time.monotonic() < until:
            s.sendall(line * 50)
    except OSError:
        pass  # it has been closed, or nothing is taken from us any more: both will do
    while time.monotonic() < until:
        time.sleep(0.05)
    hang_up(s)


def garbage(port, rng, until):
    while time.monotonic() < until:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
            try:
                for _ in range(20):
                    s.sendall(rng.randbytes(rng.randrange(1, 9000)))
            except OSError:
                pass
            hang_up(s)
        time.sleep(0.02)


def half_open(port, rng, until):
    with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
        s.sendall(rng.choice((b"", b"{", b'{"id":1,"method":"mining.subscribe","params":[]', b"\n" * 50)))
        while time.monotonic() < until:
            time.sleep(0.05)
        hang_up(s)


def comes_and_goes(port, rng, until):
    while time.monotonic() < until:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
            s.sendall(b'{"id":1,"method":"mining.subscribe","params":[]}\n'
                      b'{"id":2,"method":"mining.authorize","params":["' + address(91).encode() + b'.x","d=1"]}\n')
            if rng.random() < 0.5:
                hang_up(s)
        time.sleep(0.01)


def bad_shares(port, rng, until):
    """Well formed and worthless, as fast as they go, under name after name as each is shut out."""
    while time.monotonic() < until:
        try:
            worthless(port, rng, until)
        except (OSError, TypeError):
            time.sleep(0.05)


def worthless(port, rng, until):
    user = f"{address(92)}.bad{rng.randrange(1 << 30)}"
    with Raw(port) as r:
        r.send(1, "mining.subscribe", "worthless")
        r.send(2, "mining.authorize", user, "x")
        job = None
        while job is None or job.get("method") != "mining.notify":
            job = r.line()
        params = [user, job["params"][0], "00000000", job["params"][7], "00000000"]
        nonce = rng.randrange(1 << 32)
        while time.monotonic() < until:
            for _ in range(20):
                nonce = (nonce + 1) & 0xFFFFFFFF
                params[4] = f"{nonce:08x}"
                r.send(nonce, "mining.submit", *params)
            for _ in range(20):
                if r.line() is None:
                    return
            time.sleep(0.02)


def test_64_of_them_beside_good_miners():
    kinds = (never_reads, garbage, half_open, comes_and_goes, bad_shares)
    # All come from one address here; without these lines the gate would keep most of them out.
    with Pool(devnet(top="limits: {new_connections_a_second: 1000000, new_connections_burst: 1000000}")) as pool:
        pool.start()
        with Good(pool):
            until = time.monotonic() + 10
            threads = [threading.Thread(target=kinds[i % len(kinds)], args=(pool.port, random.Random(i), until),
                                        daemon=True) for i in range(64)]
            for t in threads:
                t.start()
            while time.monotonic() < until - 1:
                begun = time.monotonic()
                with Raw(pool.port) as r:
                    r.send(1, "mining.subscribe", "newcomer")
                    assert r.line()["id"] == 1
                assert time.monotonic() - begun < 30, "a newcomer waited for half a minute"
                time.sleep(0.2)
            for t in threads:
                t.join(120)
                assert not t.is_alive()
            wait_for(lambda: metric(pool, "otd_sessions") == 3, 20, about="the end of all other sessions")
        status = pool.status()
        assert not [a for a in status["attention"]], status["attention"]
        assert pool.stop() == 0


def test_descriptors_are_given_back():
    with Pool(devnet()) as pool:
        pool.start()
        def count():
            return len(os.listdir(f"/proc/{pool.process.pid}/fd"))
        with Good(pool):
            before = count()
            for _ in range(20):
                socks = [socket.create_connection(("127.0.0.1", pool.port), timeout=5) for _ in range(50)]
                for i, s in enumerate(socks):
                    if i % 2:
                        hang_up(s)
                    else:
                        s.close()
            wait_for(lambda: count() <= before, 10, about="the end of 1,000 connections")
        assert pool.stop() == 0
