"""Pools on the embedded chain for tests, raw lines, and what stands in a stopped pool's database."""
import json
import os
import shutil
import socket
import sqlite3
import tempfile
import threading
import time
import urllib.error

from pool import Pool, patient, wait_for
from stratum import Client, StratumError

SHARE = "2.384185791015625e-07"  # 2^-22: about a thousand hashes
NO_BLOCKS = "1d00ffff"           # four thousand million hashes a block: none is found here
SOME_BLOCKS = "1f00ffff"         # 65,536 hashes a block

CONFIG = """
data_dir: {dir}
log: {level: debug, per_event_a_second: 0}
store: {use: sqlite}
TOP
pools:
  dev:
    coin: devnet
    chain: {bits: BITS, spacing: 0s}
    coinbase: {address: bcrt1q3jzz8hqjs2nxnaweuge6lsxjca3kwr0kdkgd3d, tag: /otedama-e2e/}
    fee: {rate: 1%}
    payout: {scheme: pplns, window: 2x difficulty}
    poll: 50ms
    POOL
    ports:
      {port}: {listen: 127.0.0.1, difficulty: DIFFICULTY}
api: {listen: "127.0.0.1:{api}"}
metrics: {listen: "127.0.0.1:{metrics}"}
"""


def fixed(share=SHARE):
    return f"{{start: {share}, min: {share}, max: {share}, vardiff: false}}"


def devnet(difficulty=None, bits=NO_BLOCKS, pool="", top=""):
    """pool and top: further lines of the pool and of the file."""
    text = CONFIG.replace("BITS", bits).replace("TOP", top).replace("POOL", pool.replace("\n", "\n    "))
    return text.replace("DIFFICULTY", difficulty or fixed())


class Raw:
    """A connection of lines, for the order in which they come."""

    def __init__(self, port, timeout=10):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=patient(timeout))
        self.buffered = b""

    def send(self, ident, method, *params):
        self.write(json.dumps({"id": ident, "method": method, "params": list(params)}) + "\n")

    def write(self, text):
        self.sock.sendall(text.encode() if isinstance(text, str) else text)

    def line(self):
        """The next line as JSON; None at the end of the connection."""
        while b"\n" not in self.buffered:
            try:
                got = self.sock.recv(65536)
            except ConnectionError:
                got = b""
            if not got:
                return None
            self.buffered += got
        line, self.buffered = self.buffered.split(b"\n", 1)
        return json.loads(line)

    def answer(self, ident):
        """Lines up to the answer of request ident, that last."""
        lines = []
        while True:
            m = self.line()
            if m is None:
                raise ConnectionError("the server closed the connection")
            lines.append(m)
            if "method" not in m and m.get("id") == ident:
                return lines

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


def refused(code, call, *args, **named):
    """Calls, and fails unless the answer was an error of this code. Its text."""
    try:
        r = call(*args, **named)
    except StratumError as e:
        assert e.code == code, f"refused with {e}, not {code}"
        return e.text
    raise AssertionError(f"answered {r}, not an error {code}")


class Miner(threading.Thread):
    """Submits shares until stop() or the end of its connection, `ahead` of them without an answer.

    .acknowledged, .refused (texts), .unanswered
    """

    def __init__(self, port, user, ahead=4, pause=0.0, mask=None):
        super().__init__(daemon=True)
        self.client = Client(port, timeout=30)
        self.user, self.ahead, self.pause = user, ahead, pause
        self.acknowledged, self.refused, self.sent = 0, [], 0
        self.ending = threading.Event()
        self.client.login(user, mask=mask)
        self.start()

    @property
    def unanswered(self):
        return self.sent - self.acknowledged - len(self.refused)

    def run(self):
        waiting = []
        try:
            while not self.ending.is_set():
                share = self.client.mine()
                self.sent += 1
                waiting.append(self.client.submit_async(share))
                if len(waiting) >= self.ahead:
                    self.take(waiting.pop(0))
                if self.pause:
                    time.sleep(self.pause)
        except OSError:
            pass
        try:
            for q in waiting:
                self.take(q)
        except OSError:
            pass
        self.client.close()

    def take(self, q):
        try:
            assert self.client.wait(q) is True
            self.acknowledged += 1
        except StratumError as e:
            self.refused.append(str(e))

    def stop(self):
        self.ending.set()
        self.join(patient(60))
        assert not self.is_alive(), "a miner did not end"


class Database:
    """A copy of the database of a pool that is stopped or was killed."""

    def __init__(self, pool):
        self.folder = tempfile.mkdtemp(prefix="otedama-db-")
        data = os.path.join(pool.folder, "data")
        for name in os.listdir(data):
            if name.startswith("otedama.db") and not name.endswith("-shm"):
                shutil.copy(os.path.join(data, name), self.folder)
        self.db = sqlite3.connect(os.path.join(self.folder, "otedama.db"))

    def rows(self, sql, *values):
        return self.db.execute(sql, values).fetchall()

    def accepted(self):
        """{address.worker: shares}"""
        return dict(self.rows("SELECT a.address || '.' || w.name, sum(s.accepted) FROM share_minutes s"
                              " JOIN workers w ON w.id = s.worker_id JOIN accounts a ON a.id = w.account_id"
                              " GROUP BY s.worker_id"))

    def work(self):
        """{address.worker: work}, added here: SQL has no sums of 128 bits."""
        sums = {}
        for name, work in self.rows("SELECT a.address || '.' || w.name, s.work FROM share_minutes s"
                                    " JOIN workers w ON w.id = s.worker_id"
                                    " JOIN accounts a ON a.id = w.account_id"):
            sums[name] = sums.get(name, 0) + int.from_bytes(work, "big") - (1 << 127)
        return sums

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.db.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        for line in f:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    raise AssertionError(f"process {pid} has no memory")


def healthy(pool):
    try:
        return '"ok"' in pool.get("/health")
    except urllib.error.HTTPError as e:
        assert e.code == 503, e
        return False


def verified(pool):
    """otedama ledger verify on the stopped pool."""
    r = pool.command("ledger", "verify", "-c", pool.config, check=False)
    assert r.returncode == 0 and "ok" in r.stdout, f"ledger verify: {r.stdout}{r.stderr}"


def connections(pool):
    """How many the pool counts by its own word, on all reactors."""
    return sum(float(line.split()[-1]) for line in pool.get("/metrics", pool.metrics).splitlines()
               if line.startswith("otd_connections{"))


def gone(pool, n=0):
    """Until the pool knows that only n connections are left: who has closed one is counted for a while."""
    wait_for(lambda: connections(pool) <= n, about=f"{n} connections")


def alone(pool):
    """Until the one that looked whether the pool serves has come and gone: start() does not wait for that."""
    wait_for(lambda: "otd_connections_accepted_total 0" not in pool.get("/metrics", pool.metrics), about="a first connection")
    gone(pool)


_shared = {}


def shared(name, text):
    """A pool that several tests of a module use; finish_shared() ends it."""
    if name not in _shared or _shared[name].process.poll() is not None:
        _shared[name] = Pool(text).start()
    return _shared[name]


def finish_shared():
    for pool in _shared.values():
        try:
            assert pool.stop() == 0, "the pool did not end well"
        finally:
            pool.__exit__(None)
    _shared.clear()
