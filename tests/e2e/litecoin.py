"""Litecoin in regtest: two nodes, since one without a peer gives no template. From Debian's package litecoind."""
import hashlib
import os
import shutil
import struct
import subprocess
import tempfile

from node import Knots
from pool import free_port, wait_for
from skip import Skip
from stratum import Client

DIFF1 = 0xFFFF << 224  # of scrypt: 65,536 times easier than Bitcoin's


def scrypt(header):
    return hashlib.scrypt(header, salt=header, n=1024, r=1, p=1, dklen=32)


class Litecoin(Knots):
    """litecoind -regtest with a wallet that has mature coins, and a peer."""
    name = "litecoind"

    def __init__(self, blocks=110):
        if not shutil.which("litecoind"):
            raise Skip("litecoind is not installed (apt-get install litecoind)")
        self.folder, self.port, self.p2p = tempfile.mkdtemp(prefix="otedama-node-"), free_port(), free_port()
        self.process, self.user, self.password, self.peer = None, "u", "p", None
        with open(os.path.join(self.folder, "litecoin.conf"), "w", encoding="utf-8") as f:
            # a pool that is killed leaves its long poll to one of four threads, until the next tip
            f.write("rpcthreads=16\nregtest=1\nserver=1\nlisten=1\ndnsseed=0\nfallbackfee=0.001\nrpcuser=u\nrpcpassword=p\n"
                    f"[regtest]\nbind=127.0.0.1:{self.p2p}\nport={self.p2p}\nrpcbind=127.0.0.1\n"
                    f"rpcallowip=127.0.0.1\nrpcport={self.port}\n")
        self.start()
        self.peer = Peer(self.p2p)
        wait_for(lambda: self.rpc("getconnectioncount") > 0, 30, about="a connection between the nodes")
        self.rpc("createwallet", "w")
        self.address = self.rpc("getnewaddress", "", "bech32")
        self.generate(blocks)

    def start(self):
        self.log = open(os.path.join(self.folder, "node.out"), "ab")
        # it makes a folder in the home folder, whatever the data folder is
        self.process = subprocess.Popen(["litecoind", f"-datadir={self.folder}", "-printtoconsole=0"],
                                        stdout=self.log, stderr=subprocess.STDOUT,
                                        env=dict(os.environ, HOME=self.folder))
        wait_for(self.is_up, 60, about="the start of litecoind")

    def generate(self, n):
        return self.rpc("generatetoaddress", n, self.address) if n else []

    def peg_in(self, amount=1):
        """Coins on their way into MWEB: the first HogEx needs one, the others take it along."""
        return self.rpc("sendtoaddress", self.rpc("getnewaddress", "", "mweb"), amount)

    def agree(self):
        """The other node has the same best block: it checked all of ours by itself."""
        wait_for(lambda: self.peer.rpc("getbestblockhash") == self.rpc("getbestblockhash"), 20,
                 about="the second node's agreement")

    def kill(self):
        if self.peer:
            self.peer.__exit__()
        super().kill()


class Peer(Litecoin):
    """The second node."""

    def __init__(self, p2p):
        self.folder, self.port = tempfile.mkdtemp(prefix="otedama-node-"), free_port()
        self.process, self.user, self.password, self.peer = None, "u", "p", None
        with open(os.path.join(self.folder, "litecoin.conf"), "w", encoding="utf-8") as f:
            f.write("regtest=1\nserver=1\nlisten=0\ndnsseed=0\nrpcuser=u\nrpcpassword=p\n"
                    f"[regtest]\nconnect=127.0.0.1:{p2p}\nrpcbind=127.0.0.1\nrpcallowip=127.0.0.1\n"
                    f"rpcport={self.port}\n")
        self.start()


class ScryptClient(Client):
    """Mines with hashlib's scrypt, which is OpenSSL's."""

    def mine(self, job=None, tries=1 << 16, harder_than=None, easier_than=None, version=None, ntime=None):
        job = job or self.job
        target = int(DIFF1 / job.difficulty) if job.difficulty < 1 else DIFF1 // int(job.difficulty)
        if easier_than is not None:
            target = min(target, easier_than)
        en2 = self.next_en2()
        ntime = ntime or job.ntime
        head = job.header(self.en1, en2, ntime, version)
        for nonce in range(tries):
            value = int.from_bytes(scrypt(head + struct.pack("<I", nonce)), "little")
            if value <= target and (harder_than is None or value > harder_than):
                bits = None if version is None else f"{version & self.mask:08x}"
                return job, en2.hex(), ntime, f"{nonce:08x}", value, bits
        raise RuntimeError("no share within the tries")
