#!/usr/bin/env python3
"""Clients that are broken or mean, in a process of their own: hostile.py KIND PORT SECONDS [THREADS]

Each KIND below is what one of THREADS does, again and again, until the time is up. At the end it prints how many
connections it made and how many lines it sent, as JSON.
"""
import json
import os
import random
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from pool import address  # noqa: E402
from stratum import DIFF1, Job, sha256d  # noqa: E402

made, sent = [0], [0]


class Line:
    """A connection of lines of which only some are read."""

    def __init__(self, port, timeout=3):
        made[0] += 1
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.buffered = b""

    def write(self, data):
        self.sock.sendall(data)
        sent[0] += data.count(b"\n")

    def ask(self, ident, method, *params):
        self.write((json.dumps({"id": ident, "method": method, "params": params}) + "\n").encode())

    def read(self):
        while b"\n" not in self.buffered:
            got = self.sock.recv(65536)
            if not got:
                raise ConnectionError("closed")
            self.buffered += got
        line, self.buffered = self.buffered.split(b"\n", 1)
        return json.loads(line)

    def drain(self):
        """What is there to be read is read and forgotten."""
        self.sock.setblocking(False)
        try:
            while True:
                if not self.sock.recv(65536):
                    raise ConnectionError("closed")
        except BlockingIOError:
            pass
        self.sock.settimeout(3)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


class Worker(Line):
    """One that has work and makes submits of it."""

    def __init__(self, port, rng, mask=False):
        super().__init__(port)
        self.user, self.mask = f"{address(100000 + rng.randrange(1 << 20))}.bad", 0
        if mask:
            self.ask(0, "mining.configure", ["version-rolling"], {"version-rolling.mask": "1fffe000"})
        self.ask(1, "mining.subscribe", "hostile")
        self.ask(2, "mining.authorize", self.user, "x")
        job = None
        while job is None:
            m = self.read()
            if m.get("id") == 0 and m.get("result"):
                self.mask = int(m["result"]["version-rolling.mask"], 16)
            if m.get("id") == 1:
                self.en1, self.en2_len = bytes.fromhex(m["result"][1]), m["result"][2]
            elif m.get("method") == "mining.set_difficulty":
                self.difficulty = m["params"][0]
            elif m.get("method") == "mining.notify":
                job = Job(m["params"], self.difficulty)
        self.job = job

    def submit(self, nonce, en2=None, ntime=None, job=None, bits=None):
        en2 = "00" * self.en2_len if en2 is None else en2
        params = [self.user, job or self.job.id, en2, ntime or self.job.ntime, f"{nonce:08x}"]
        params += [bits] if bits else []
        return (json.dumps({"id": 4, "method": "mining.submit", "params": params}) + "\n").encode()

    def solve(self, good=True, version=None):
        """A nonce whose hash is (not) good enough."""
        head = self.job.header(self.en1, bytes(self.en2_len), self.job.ntime, version)
        nonce = random.randrange(1 << 32)
        while True:
            nonce = (nonce + 1) & 0xFFFFFFFF
            value = int.from_bytes(sha256d(head + struct.pack("<I", nonce)), "little")
            if (value <= DIFF1 / self.job.difficulty) == good:
                return nonce


def flood(make):
    """A kind that sends what make(worker) gives, a hundred lines at a time, and takes the answers."""
    def kind(port, rng, until, mask=False):
        with Worker(port, rng, mask) as w:
            lines = make(w, rng)
            while time.monotonic() < until:
                w.write(b"".join(next(lines) for _ in range(100)))
                w.drain()
                time.sleep(0.02)
    return kind


def forever(f):
    def lines(w, rng):
        while True:
            yield f(w, rng)
    return lines


def duplicates(w, rng):
    line = w.submit(w.solve())
    while True:
        yield line


def low(w, rng):
    some = [w.submit(w.solve(good=False)) for _ in range(20)]
    while True:
        yield rng.choice(some)


def version_rolled(w, rng):
    """Bits that nobody lets it roll, and what is no number."""
    while True:
        yield w.submit(rng.randrange(1 << 32), bits=rng.choice(("ffffffff", "00000001", "e0000000", "xyz", "")) or "0")


def time_rolled(w, rng):
    now = int(w.job.ntime, 16)
    while True:
        moved = rng.choice((0, 0xFFFFFFFF, now + 100000, now - 100000, 0x7FFFFFFF))
        yield w.submit(rng.randrange(1 << 32), ntime=f"{moved & 0xFFFFFFFF:08x}")


def garbage(port, rng, until):
    with Line(port) as s:
        for _ in range(30):
            s.write(rng.randbytes(rng.randrange(1, 9000)))
        s.reset()
    time.sleep(0.01)


def endless_line(port, rng, until):
    with Line(port) as s:
        s.write(b'{"id":1,"method":"mining.subscribe","params":["')
        while time.monotonic() < until:
            s.write(b"a" * 65536)


def deep_json(port, rng, until):
    with Line(port) as s:
        while time.monotonic() < until:
            s.write(rng.choice((b"[" * 30000, b'{"a":' * 6000, b'{"id":1,"method":"mining.ping","params":' + b"[" * 4000)) + b"\n")
            s.drain()


def half_open(port, rng, until):
    with Line(port) as s:
        s.write(rng.choice((b"", b"{", b'{"id":1,"method":"mining.subscribe","params":[]', b"\n" * 50)))
        while time.monotonic() < until and s.sock.fileno() >= 0:
            time.sleep(0.1)
        s.reset()


def slow_loris(port, rng, until):
    line = b'{"id":1,"method":"mining.subscribe","params":["slow"]}\n'
    with Line(port) as s:
        for i in range(len(line) * 100):
            if time.monotonic() > until:
                return
            s.write(line[i % len(line):i % len(line) + 1])
            time.sleep(0.25)


def never_reads(port, rng, until):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.connect(("127.0.0.1", port))
    made[0] += 1
    s.settimeout(0.3)
    user = f"{address(5100)}.deaf"
    text = json.dumps({"id": 1, "method": "mining.subscribe", "params": ["deaf"]}) + "\n"
    text += json.dumps({"id": 2, "method": "mining.authorize", "params": [user, "x"]}) + "\n"
    line = (json.dumps({"id": 3, "method": "mining.submit", "params": [user, "00" * 5, "00" * 4, "00" * 4, "00" * 4]}) + "\n").encode()
    with s:
        s.sendall(text.encode())
        while time.monotonic() < until:
            try:
                s.sendall(line * 50)
                sent[0] += 50
                time.sleep(0.005)
            except TimeoutError:
                pass


def reset_churn(port, rng, until):
    s = Line(port)
    if rng.random() < 0.5:
        s.write(b'{"id":1,"method":"mining.subscribe","params":[]}\n')
    s.reset()
    time.sleep(0.005)


def comes_and_goes(port, rng, until):
    with Line(port) as s:
        s.ask(1, "mining.subscribe")
        s.ask(2, "mining.authorize", address(5200) + ".x", "d=1")
        s.read()


def nobody(port, rng, until):
    """Submits of who has not said who it is."""
    with Line(port) as s:
        s.ask(1, "mining.subscribe")
        line = (json.dumps({"id": 3, "method": "mining.submit", "params": ["x", "00" * 5, "00" * 4, "00" * 4, "00" * 4]}) + "\n").encode()
        while time.monotonic() < until:
            s.write(line * 50)
            s.drain()
            time.sleep(0.01)


def answer(line, ident):
    while True:
        m = line.read()
        if m.get("id") == ident:
            return m["result"]


def two_of_one_session(port, rng, until):
    """Two that claim one session by its id, while it stands and after it has ended: at most one has its extranonce1."""
    with Line(port) as a, Line(port) as b, Line(port) as c:
        a.ask(1, "mining.subscribe", "one")
        a.ask(2, "mining.authorize", f"{address(5300)}.s{rng.randrange(100)}", "x")
        first = answer(a, 1)
        answer(a, 2)
        if rng.random() < 0.5:
            a.sock.close()
        for line in (b, c):
            line.ask(1, "mining.subscribe", "other", first[0][0][1])
        if [answer(line, 1)[1] for line in (b, c)] == [first[1]] * 2:
            sent[0] += 1000000000  # seen by the test: both have the same extranonce1
        time.sleep(0.02)


KINDS = {
    "garbage": garbage,
    "endless_line": endless_line,
    "deep_json": deep_json,
    "half_open": half_open,
    "slow_loris": slow_loris,
    "never_reads": never_reads,
    "reset_churn": reset_churn,
    "comes_and_goes": comes_and_goes,
    "nobody": nobody,
    "duplicate": flood(duplicates),
    "low_difficulty": flood(low),
    "stale": flood(forever(lambda w, rng: w.submit(rng.randrange(1 << 32), job="0000000000"))),
    "time": flood(time_rolled),
    "version": lambda port, rng, until: flood(version_rolled)(port, rng, until, mask=rng.random() < 0.5),
    "extranonce2": flood(forever(lambda w, rng: w.submit(rng.randrange(1 << 32), en2="00" * rng.choice((0, 1, w.en2_len + 1, 64))))),
    "two_of_one_session": two_of_one_session,
}


def again_and_again(kind, port, rng, until):
    while time.monotonic() < until:
        try:
            KINDS[kind](port, rng, until)
        except (OSError, ValueError, KeyError, TypeError):
            time.sleep(0.02)  # it was closed, refused, or told something else than work


def main():
    kind, port, until = sys.argv[1], int(sys.argv[2]), time.monotonic() + float(sys.argv[3])
    threads = [threading.Thread(target=again_and_again, args=(kind, port, random.Random(f"{kind} {i}"), until), daemon=True)
               for i in range(int(sys.argv[4]) if len(sys.argv) > 4 else 24)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(max(0.0, until - time.monotonic()) + 5)
    print(json.dumps({"connections": made[0], "lines": sent[0]}))


if __name__ == "__main__":
    main()
