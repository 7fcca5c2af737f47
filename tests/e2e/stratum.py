"""A Stratum V1 client and miner in Python, written from the protocol; it shares no code with the pool.

The hashing is hashlib's. One thread reads; calls wait for their answers. Job arithmetic: coinbase = coinb1 +
extranonce1 + extranonce2 + coinb2; root folds the branches; the header's prevhash has its 4-byte words swapped.
"""
import hashlib
import json
import queue
import socket
import struct
import threading
import time

from pool import patient

DIFF1 = 0xFFFF << 208


def sha256d(b):
    return hashlib.sha256(hashlib.sha256(b).digest()).digest()


def swap_words(b):
    return b"".join(b[i:i + 4][::-1] for i in range(0, len(b), 4))


class StratumError(Exception):
    def __init__(self, error):
        self.code, self.text = (error[0], error[1]) if isinstance(error, list) else (None, str(error))
        super().__init__(f"{self.code}: {self.text}")


class Job:
    def __init__(self, params, difficulty):
        (self.id, self.prev, self.coinb1, self.coinb2, self.branches, self.version, self.nbits, self.ntime,
         self.clean) = params[:9]
        self.difficulty = difficulty
        self.at = time.monotonic()

    def header(self, en1, en2, ntime, version=None):
        coinbase = bytes.fromhex(self.coinb1) + en1 + en2 + bytes.fromhex(self.coinb2)
        root = sha256d(coinbase)
        for b in self.branches:
            root = sha256d(root + bytes.fromhex(b))
        v = int(self.version, 16) if version is None else version
        return (struct.pack("<I", v) + swap_words(bytes.fromhex(self.prev)) + root +
                struct.pack("<I", int(ntime, 16)) + bytes.fromhex(self.nbits)[::-1])

    def network_target(self):
        n = int(self.nbits, 16)
        return (n & 0x7FFFFF) << (8 * ((n >> 24) - 3))


class Client:
    """connect() .. close(). Notices are kept in .notices; the newest job in .job."""

    def __init__(self, port, host="127.0.0.1", timeout=10, source=None):
        """source: the address that it comes from. timeout: of an answer on a machine that does nothing else."""
        timeout = self.timeout = patient(timeout)
        self.sock = socket.create_connection((host, port), timeout=timeout, source_address=(source, 0) if source else None)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.settimeout(None)
        self.lock, self.answers, self.next_id = threading.Lock(), {}, 1
        self.difficulty, self.mask, self.job, self.jobs = 1.0, 0, None, {}
        self.notices, self.lines, self.closed = [], [], threading.Event()
        self.job_event = threading.Condition()
        self.en1, self.en2_len, self.en2_next = b"", 0, 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        buffered = b""
        try:
            while True:
                got = self.sock.recv(65536)
                if not got:
                    break
                buffered += got
                *lines, buffered = buffered.split(b"\n")
                for line in lines:
                    self._line(line)
        except (OSError, ValueError):
            pass
        self.closed.set()
        with self.lock:
            for q in self.answers.values():
                q.put(None)
        with self.job_event:
            self.job_event.notify_all()

    def _line(self, line):
        m = json.loads(line)
        self.lines.append(m)
        if m.get("method") is None:
            with self.lock:
                q = self.answers.pop(m.get("id"), None)
            if q:
                q.put(m)
            return
        self.notices.append(m)
        method, params = m["method"], m.get("params")
        if method == "mining.set_difficulty":
            self.difficulty = params[0]
        elif method == "mining.set_version_mask":
            self.mask = int(params[0], 16)
        elif method == "mining.notify":
            with self.job_event:
                job = Job(params, self.difficulty)
                if job.clean:
                    self.jobs.clear()
                self.jobs[job.id] = self.job = job
                self.job_event.notify_all()

    def send(self, method, params, ident=None):
        with self.lock:
            if ident is None:
                ident, self.next_id = self.next_id, self.next_id + 1
            q = self.answers[ident] = queue.Queue()
        if self.closed.is_set():  # nobody reads any more, so nobody would say that no answer comes
            raise ConnectionError("the server closed the connection")
        self.sock.sendall((json.dumps({"id": ident, "method": method, "params": params}) + "\n").encode())
        return q

    def raw(self, data):
        self.sock.sendall(data)

    def wait(self, q, timeout=None):
        try:
            m = q.get(timeout=patient(timeout) if timeout else self.timeout)
        except queue.Empty:
            raise TimeoutError("the server did not answer") from None
        if m is None:
            raise ConnectionError("the server closed the connection")
        if m.get("error"):
            raise StratumError(m["error"])
        return m["result"]

    def call(self, method, *params):
        return self.wait(self.send(method, list(params)))

    def configure(self, mask=0x1FFFE000):
        r = self.call("mining.configure", ["version-rolling"],
                      {"version-rolling.mask": f"{mask:08x}", "version-rolling.min-bit-count": 2})
        self.mask = int(r.get("version-rolling.mask", "0"), 16) if r.get("version-rolling") else 0
        return r

    def subscribe(self, agent="otedama-e2e/1"):
        r = self.call("mining.subscribe", agent)
        self.en1, self.en2_len = bytes.fromhex(r[1]), r[2]
        return r

    def authorize(self, user, password="x"):
        self.user = user
        return self.call("mining.authorize", user, password)

    def login(self, user, password="x", mask=None):
        if mask:
            self.configure(mask)
        self.subscribe()
        if self.authorize(user, password) is not True:
            raise StratumError([24, "not authorized"])
        return self.wait_job()

    def wait_job(self, other_than=None, timeout=None):
        until = time.monotonic() + (patient(timeout) if timeout else self.timeout)
        with self.job_event:
            while self.job is None or self.job.id == other_than:
                if self.closed.is_set():
                    raise ConnectionError("the server closed the connection")
                if not self.job_event.wait(until - time.monotonic()) and time.monotonic() >= until:
                    raise TimeoutError("no job came")
            return self.job

    def wait_tip(self, prev, timeout=20):
        """The newest job once it is one on another block than prev: a job of the same tip may come any time."""
        until = time.monotonic() + patient(timeout)
        job = self.wait_job()
        while job.prev == prev:
            job = self.wait_job(other_than=job.id, timeout=max(0.1, until - time.monotonic()))
        return job

    def next_en2(self):
        with self.lock:  # a test may mine on the connection of a Miner that goes on beside it
            n, self.en2_next = self.en2_next, self.en2_next + 1
        return n.to_bytes(self.en2_len, "big")

    def mine(self, job=None, tries=1 << 26, harder_than=None, easier_than=None, version=None, ntime=None):
        """One solution of the job: (job, en2 hex, ntime, nonce hex, hash int, version bits hex or None).
        harder_than: the hash must be above this target (so that it is no block); easier_than: at most it."""
        job = job or self.job
        target = int(DIFF1 / job.difficulty) if job.difficulty < 1 else DIFF1 // int(job.difficulty)
        if easier_than is not None:
            target = min(target, easier_than)
        en2 = self.next_en2()
        ntime = ntime or job.ntime
        head = job.header(self.en1, en2, ntime, version)
        first = hashlib.sha256(head[:64])
        for nonce in range(tries):
            h = first.copy()
            h.update(head[64:] + struct.pack("<I", nonce))
            value = int.from_bytes(hashlib.sha256(h.digest()).digest(), "little")
            if value <= target and (harder_than is None or value > harder_than):
                bits = None if version is None else f"{version & self.mask:08x}"
                return job, en2.hex(), ntime, f"{nonce:08x}", value, bits
        raise RuntimeError("no share within the tries")

    def meets(self, share, job=None):
        """Whether the share's hash is good enough for the job (its own where none is said), counted with this client's
        extranonce1 and that job's coinbase: by chance those of somebody else's share may be."""
        own, en2, ntime, nonce, _, bits = share
        job = job or own
        version = None if bits is None else int(job.version, 16) & ~self.mask | int(bits, 16)
        head = job.header(self.en1, bytes.fromhex(en2), ntime, version) + struct.pack("<I", int(nonce, 16))
        return int.from_bytes(sha256d(head), "little") <= int(DIFF1 / job.difficulty)

    def submit_async(self, share):
        job, en2, ntime, nonce, _, bits = share
        params = [self.user, job.id, en2, ntime, nonce] + ([bits] if bits else [])
        return self.send("mining.submit", params)

    def submit(self, share):
        return self.wait(self.submit_async(share))

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
