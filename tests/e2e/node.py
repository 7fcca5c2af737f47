"""A real node on loopback: Bitcoin Knots in regtest, or bcoin from npm where Debian has no Knots.

real_node() installs it once (build/real-node), starts it in a temporary folder, and ends it by its pid.
"""
import base64
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request

from pool import ROOT, free_port, wait_for

HOME = os.environ.get("OTEDAMA_NODE_DIR", os.path.join(ROOT, "build", "real-node"))


class RpcError(Exception):
    def __init__(self, error):
        self.code = error.get("code")
        super().__init__(f"{error.get('code')}: {error.get('message')}")


class Knots:
    """bitcoind -regtest with a wallet that has mature coins."""
    name = "bitcoin-knots"

    def __init__(self, blocks=110):
        os.makedirs(HOME, exist_ok=True)
        with open(os.path.join(HOME, "lock"), "w", encoding="utf-8") as lock:  # tests run beside each other
            fcntl.flock(lock, fcntl.LOCK_EX)
            r = subprocess.run(["sh", os.path.join(ROOT, "tools", "bitcoin_node.sh"), os.path.join(HOME, "knots")],
                               capture_output=True, text=True, timeout=600)
        if r.returncode != 0:
            raise FileNotFoundError(f"bitcoin-knots cannot be installed: {r.stderr[-400:]}")
        self.folder, self.port = tempfile.mkdtemp(prefix="otedama-node-"), free_port()
        self.process, self.user, self.password, self.wallet = None, "u", "p", ""
        with open(os.path.join(self.folder, "bitcoin.conf"), "w", encoding="utf-8") as f:
            f.write("regtest=1\nserver=1\nlisten=0\ndnsseed=0\nfallbackfee=0.0002\nblockmaxweight=3990000\n"
                    "blockmaxsize=3990000\nrpcuser=u\nrpcpassword=p\n[regtest]\nrpcbind=127.0.0.1\n"
                    f"rpcallowip=127.0.0.1\nrpcport={self.port}\n")
        self.start()
        if blocks:
            self.rpc("createwallet", "w")
            self.address = self.rpc("getnewaddress", "", "bech32")
            self.rpc("generatetoaddress", blocks, self.address)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        self.log = open(os.path.join(self.folder, "node.out"), "ab")
        self.process = subprocess.Popen(
            [os.path.join(HOME, "knots", "bitcoind"), f"-datadir={self.folder}", "-printtoconsole=0"],
            stdout=self.log, stderr=subprocess.STDOUT)
        wait_for(self.is_up, 60, about="the start of bitcoind")

    def is_up(self):
        if self.process.poll() is not None:
            raise AssertionError(f"bitcoind ended with {self.process.returncode}")
        try:
            return self.rpc("getblockcount") is not None
        except (OSError, RpcError):
            return False

    def stop(self):
        """Ends the node as an operator would; its data stays for start()."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)
            self.log.close()

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            self.log.close()

    def rpc(self, method, *params, timeout=60):
        body = json.dumps({"id": 1, "method": method, "params": list(params)}).encode()
        r = urllib.request.Request(self.url + "/", body)
        login = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        r.add_header("Authorization", "Basic " + login)
        try:
            with urllib.request.urlopen(r, timeout=timeout) as f:
                d = json.load(f)
        except urllib.error.HTTPError as e:
            d = json.load(e)
        if d.get("error"):
            raise RpcError(d["error"])
        return d["result"]

    def pay(self, n):
        """Puts n wallet transactions into the mempool."""
        for _ in range(n):
            self.rpc("sendtoaddress", self.rpc("getnewaddress", "", "bech32"), 0.01)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


STUB = """
const m = require('module'), load = m._load;
m._load = function(name, ...rest) { return name === 'leveldown' ? class {} : load.call(this, name, ...rest); };
"""


class Bcoin(Knots):
    """The second implementation. Its wallet is another HTTP service; segwit is active from height 432."""
    name = "bcoin"

    def __init__(self, blocks=440):
        home = os.path.join(HOME, "bcoin")
        os.makedirs(home, exist_ok=True)
        if not os.path.exists(os.path.join(home, "node_modules", "bcoin", "bin", "node")):
            subprocess.run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "bcoin@1.0.2"],
                           cwd=home, check=True, capture_output=True, timeout=300)
        with open(os.path.join(home, "stub.js"), "w", encoding="utf-8") as f:
            f.write(STUB)
        self.home, self.folder = home, tempfile.mkdtemp(prefix="otedama-node-")
        self.port, self.wallet_port, self.process = free_port(), free_port(), None
        self.user, self.password = "x", "testkey"
        self.start()
        self.address = self.wallet_address()
        if blocks:
            self.rpc("generatetoaddress", blocks, self.address)

    def wallet_address(self):
        r = urllib.request.Request(f"http://127.0.0.1:{self.wallet_port}/wallet/primary/account/default")
        r.add_header("Authorization", "Basic " + base64.b64encode(b"x:testkey").decode())
        with urllib.request.urlopen(r, timeout=30) as f:
            return json.load(f)["receiveAddress"]

    def start(self):
        self.log = open(os.path.join(self.folder, "node.out"), "ab")
        self.process = subprocess.Popen(
            ["node", "--require", "./stub.js", "node_modules/bcoin/bin/node", "--network=regtest",
             f"--prefix={self.folder}", "--memory=true", "--listen=false", "--log-file=false",
             f"--http-host=127.0.0.1", f"--http-port={self.port}", "--api-key=testkey",
             "--wallet-http-host=127.0.0.1", f"--wallet-http-port={self.wallet_port}",
             "--wallet-api-key=testkey"],
            cwd=self.home, env=dict(os.environ, NODE_BACKEND="js"), stdout=self.log, stderr=subprocess.STDOUT)
        wait_for(self.is_up, 60, about="the start of bcoin")

    def pay(self, n):
        body = json.dumps({"outputs": [{"address": self.address, "value": 1000000}]}).encode()
        for _ in range(n):
            r = urllib.request.Request(f"http://127.0.0.1:{self.wallet_port}/wallet/primary/send", body)
            r.add_header("Authorization", "Basic " + base64.b64encode(b"x:testkey").decode())
            urllib.request.urlopen(r, timeout=30).close()


_said = []


def real_node(**kw):
    """Knots, or bcoin where Debian has none; a node that does not start is a failure of the test."""
    try:
        return Knots(**kw)
    except FileNotFoundError as e:
        if not _said:
            _said.append(1)
            print(f"    (bcoin stands in for bitcoin-knots: {e})")
        return Bcoin()
