"""What tests of `otedama reload` have in common: a configuration as a tree, a pool that runs by it, a miner that must not notice."""
import copy
import json
import os
import re
import signal
import subprocess

from devnet import NO_BLOCKS, SHARE, SOME_BLOCKS, Miner
from pool import PROGRAM, Pool, address, free_port, wait_for
from stratum import Client

BLOCK = 0xFFFF << (8 * (0x1F - 3))  # the target of SOME_BLOCKS
WALLET = "bcrt1q32zykw8xpg9lufedf94xq9cg3x6zts6r8n835x"  # of the embedded chain


def fixed(share=SHARE):
    return {"start": share, "min": share, "max": share, "vardiff": False}


def dump(tree):
    """YAML: a line a key, its value in the flow form."""
    return "".join(f"{k}: {json.dumps(v)}\n" for k, v in tree.items())


def pool_of(port, bits=NO_BLOCKS, **more):
    return {"coin": "devnet", "chain": {"bits": bits, "spacing": "0s"}, "coinbase": {"address": WALLET, "tag": "/one/"},
            "fee": {"rate": "1%"}, "payout": {"scheme": "pplns", "window": "2x difficulty"}, "poll": "50ms",
            "ports": {str(port): {"listen": "127.0.0.1", "difficulty": fixed()}}, **more}


class Live:
    """A pool on the embedded chain, its configuration in .tree, and .witness: a miner that mines all the time."""

    def __init__(self, bits=NO_BLOCKS, witness=True, args=(), env=None, **top):
        self.pool = Pool("", args=args, env=env)
        self.tree = {"data_dir": os.path.join(self.pool.folder, "data"), "log": {"level": "info", "per_event_a_second": 0},
                     "store": {"use": "sqlite"}, "pools": {"dev": pool_of(self.pool.port, bits)},
                     "api": {"off": True}, "metrics": {"listen": f"127.0.0.1:{self.pool.metrics}"}, **top}
        self.want_witness, self.witness = witness, None

    def start(self):
        self.write()
        self.pool.start()
        if self.want_witness:
            self.witness = Miner(self.pool.port, address(900) + ".witness", ahead=2, pause=0.1)
        return self

    @property
    def dev(self):
        return self.tree["pools"]["dev"]

    @property
    def port(self):
        return self.dev["ports"][str(self.pool.port)]

    def write(self):
        text = dump(self.tree)
        with open(self.pool.config + ".new", "w", encoding="utf-8") as f:
            f.write(text)
        os.replace(self.pool.config + ".new", self.pool.config)

    def ask(self, *words, check=True):
        self.write()
        return self.pool.command("reload", "--socket", self.pool.socket, *words, check=check)

    def reload(self, **want):
        """{key: result} of what changed, that must be exactly `want`, where it is given: dots are written as __."""
        got = {k["key"]: k["result"] for k in json.loads(self.ask("--json").stdout)["changed"]}
        if want:
            want = {k.replace("__", "."): v for k, v in want.items()}
            assert got == want, (got, want)
        return got

    def apply(self, *keys):
        got = self.reload()
        assert got == {k: "applied" for k in keys}, (got, keys)

    def refused(self, *words):
        """A reload that must fail and name these; its words."""
        r = self.ask(check=False)
        assert r.returncode == 1 and not r.stdout, (r.returncode, r.stdout, r.stderr)
        for w in words:
            assert w in r.stderr, (w, r.stderr)
        assert re.search(r"\.yaml:\d+:\d+: ", r.stderr), r.stderr
        return r.stderr

    def keep(self):
        return copy.deepcopy(self.tree)

    def hup(self):
        done = self.pool.log().count("event=reload.done") + self.pool.log().count("event=reload.refused")
        self.write()
        self.pool.process.send_signal(signal.SIGHUP)
        wait_for(lambda: self.pool.log().count("event=reload.done") +
                 self.pool.log().count("event=reload.refused") > done, 20, about="the end of the reload")

    def client(self, name="1.a", port=None, **named):
        n, worker = name.split(".")
        c = Client(port or self.pool.port, **named)
        c.login(f"{address(int(n))}.{worker}")
        return c

    def pools(self):
        return {p["name"]: p for p in self.pool.status()["pools"]}

    def blocks(self):
        return self.pool.status()["blocks"]

    def plan(self, pool="dev"):
        return json.loads(self.pool.command("payment", "plan", pool, "--socket", self.pool.socket, "--json").stdout)

    def nodes(self):
        r = self.pool.command("node", "list", "--socket", self.pool.socket, "--json")
        return {n["name"]: n for n in json.loads(r.stdout)["nodes"]}

    def find_block(self, client, pool="dev"):
        """By this client; until it has its credits."""
        before = {b["id"] for b in self.blocks()}
        tip = client.job.prev
        assert client.submit(client.mine(easier_than=BLOCK)) is True
        client.wait_tip(tip)
        return wait_for(lambda: [b for b in self.blocks() if b["id"] not in before and b["pool"] == pool and
                                 b["state"] != "candidate"], 20, about="the credits of a block")[0]

    def end(self):
        """Nobody but who was to has noticed anything; all is well in the ledger."""
        if self.witness:
            wait_for(lambda: self.witness.acknowledged > 5 or not self.witness.is_alive(), 20, about="shares of the witness")
            self.witness.stop()
            assert not self.witness.refused, self.witness.refused[:5]
            assert self.witness.unanswered == 0, "the witness was dropped"
            assert self.witness.acknowledged > 5, self.witness.acknowledged
        self.pool.status()  # a start that is not over would be ended by a signal, not drained
        assert self.pool.stop() == 0
        r = subprocess.run([PROGRAM, "ledger", "verify", "-c", self.pool.config], capture_output=True, text=True,
                           cwd=self.pool.folder)
        assert r.returncode == 0, r.stdout + r.stderr

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *rest):
        if kind is None:
            try:
                self.end()
            except BaseException:
                self.pool.__exit__(AssertionError)
                raise
        if self.witness:
            self.witness.ending.set()
        self.pool.__exit__(kind, *rest)


__all__ = ["BLOCK", "Live", "NO_BLOCKS", "SHARE", "SOME_BLOCKS", "WALLET", "fixed", "free_port", "pool_of"]
