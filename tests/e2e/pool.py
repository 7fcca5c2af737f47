"""A pool under test: build/otedama serve with a configuration of its own in a temporary folder."""
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("OTEDAMA_BUILD", os.path.join(ROOT, "build"))
PROGRAM = os.path.join(BUILD, "otedama")


_given = set()


def free_port():
    """A port that nobody listens on and that this process was not given before: two of one pool must differ. Not among
    those that the kernel gives to clients, and other ones than run.py's other processes take."""
    first = 20000 + 1500 * (int(os.environ.get("OTEDAMA_E2E_SLOT", "0")) % 8)
    while True:
        port = first + random.randrange(1500)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in _given:
            _given.add(port)
            return port


def patient(seconds):
    """How long to wait for what takes so long at most where nothing else runs. A machine may be many times slower for a
    while, and no test is to say so: only what never happens fails."""
    return max(seconds, min(300, max(45, 6 * seconds)))


def wait_for(what, seconds=20, step=0.05, about="it"):
    """Calls what() until it is true, and returns that; fails where that takes far longer than so many seconds."""
    seconds = patient(seconds)
    until = time.monotonic() + seconds
    while True:
        r = what()
        if r:
            return r
        if time.monotonic() > until:
            raise AssertionError(f"{about} did not happen within {seconds} s")
        time.sleep(step)


def bech32(program, hrp="bcrt", version=0):
    """A segwit address (BIP 173), written from the text of the proposal."""
    alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

    def polymod(values):
        c = 1
        for v in values:
            top, c = c >> 25, (c & 0x1FFFFFF) << 5 ^ v
            for i, g in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
                c ^= g if top >> i & 1 else 0
        return c
    bits = "".join(f"{b:08b}" for b in program)
    bits += "0" * (-len(bits) % 5)
    data = [version] + [int(bits[i:i + 5], 2) for i in range(0, len(bits), 5)]
    expanded = [ord(x) >> 5 for x in hrp] + [0] + [ord(x) & 31 for x in hrp]
    check = polymod(expanded + data + [0] * 6) ^ (1 if version == 0 else 0x2BC830A3)
    return hrp + "1" + "".join(alphabet[d] for d in data + [check >> 5 * (5 - i) & 31 for i in range(6)])


def address(n):
    """The n-th of any number of different regtest addresses."""
    return bech32(n.to_bytes(20, "big"))


def kept(pool, hash_):
    """Whether the candidate of this hash is on the pool's disk, or was and is final, or a node took it."""
    folder = os.path.join(pool.folder, "data", "blocks")
    return any(f.endswith(f"-{hash_}.block") for f in os.listdir(folder)) or \
        f"hash={hash_} state=accepted" in pool.output()


class Pool:
    """serve in a temporary folder. text: the configuration, with {dir}, {port}, {api}, {metrics} filled in."""

    def __init__(self, text, args=(), env=None, folder=None):
        self.folder = folder or tempfile.mkdtemp(prefix="otedama-e2e-")
        self.port, self.api, self.metrics = free_port(), free_port(), free_port()
        self.config = os.path.join(self.folder, "pool.yaml")
        self.socket = os.path.join(self.folder, "data", "otedama.sock")
        self.args, self.env, self.process, self.text = list(args), env or {}, None, text
        self.write(text)

    def write(self, text):
        coins = os.path.join(ROOT, "etc", "coins")
        link = os.path.join(self.folder, "coins")
        if not os.path.lexists(link):
            os.symlink(coins, link)
        for key in ("dir", "port", "api", "metrics"):
            value = os.path.join(self.folder, "data") if key == "dir" else getattr(self, key)
            text = text.replace("{" + key + "}", str(value))
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(text)

    def start(self, wait=True, seconds=30):
        self.out = open(os.path.join(self.folder, "out.txt"), "ab")
        self.process = subprocess.Popen(
            [PROGRAM, "serve", "-c", self.config, *self.args], stdout=self.out, stderr=subprocess.STDOUT,
            cwd=self.folder, env=dict(os.environ, XDG_RUNTIME_DIR=self.folder, **self.env))
        if wait:
            wait_for(self.is_serving, seconds, about="the pool's first accepted connection")
        return self

    def is_serving(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the pool ended with {self.process.returncode}:\n{self.output()[-3000:]}")
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=10).close()
            return True
        except OSError:
            return False

    def output(self):
        with open(os.path.join(self.folder, "out.txt"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def log(self):
        path = os.path.join(self.folder, "data", "otedama.log")
        if not os.path.exists(path):
            return self.output()
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def command(self, *words, check=True):
        r = subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=patient(60), cwd=self.folder)
        if check and r.returncode != 0:
            raise AssertionError(f"otedama {' '.join(words)}: {r.stderr}")
        return r

    def status(self):
        return json.loads(self.command("status", "--socket", self.socket, "--json").stdout)

    def chain(self, pool, *words):
        return self.command("chain", "--socket", self.socket, pool, *words).stdout.strip()

    def get(self, path, port=None):
        with urllib.request.urlopen(f"http://127.0.0.1:{port or self.api}{path}", timeout=patient(10)) as r:
            return r.read().decode()

    def stop(self, seconds=10):
        """By SIGTERM. Its exit status; None where it never ran."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(patient(seconds))
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"SIGTERM did not end the pool within {patient(seconds)} s") from None
        if self.process:
            self.out.close()
            return self.process.returncode
        return None

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            self.out.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.kill()
        if kind is None:
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            print(f"    (kept {self.folder})")
