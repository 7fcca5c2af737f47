#!/usr/bin/env python3
"""./mk bench tip: from a block on a real node (Bitcoin Knots, regtest, 3,000 transactions waiting) to the first miner.

The block is `generateblock ADDRESS []`, so that the 3,000 stay; the clock starts as it is asked for, and again as the
node has answered. Cases take turns, --rounds of --blocks each; median, least and most in ms. Needs the node of the
end-to-end tests (OTEDAMA_NODE_DIR; installed where it is not there).
"""
import argparse
import base64
import hashlib
import http.client
import json
import os
import socket
import statistics
import struct
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tests", "e2e"))
from node import Knots  # noqa: E402
from pool import Pool, address, bech32, free_port, wait_for  # noqa: E402
import test_node  # noqa: E402

CASES = (("long poll", "", "full"), ("zmq", "zmq", "full"), ("first_job: empty", "", "empty"),
         ("zmq, first_job: empty", "zmq", "empty"))


TRUE = hashlib.sha256(b"\x51").digest()  # of the script OP_TRUE: what is paid to it anybody may spend
ANYBODY = bech32(TRUE)


def spend(txid, k, values):
    """A transaction of one such coin into such coins: its hex and txid."""
    body = b"\x01" + bytes.fromhex(txid)[::-1] + struct.pack("<I", k) + b"\x00\xff\xff\xff\xff"
    body += bytes([len(values)]) if len(values) < 253 else b"\xfd" + struct.pack("<H", len(values))
    body += b"".join(struct.pack("<q", v) + b"\x22\x00\x20" + TRUE for v in values)
    plain = struct.pack("<I", 2) + body + bytes(4)
    whole = struct.pack("<I", 2) + b"\x00\x01" + body + b"\x01\x01\x51" + bytes(4)
    return whole.hex(), hashlib.sha256(hashlib.sha256(plain).digest()).digest()[::-1].hex()


class Node(Knots):
    zmq = 0

    def start(self):
        conf = os.path.join(self.folder, "bitcoin.conf")
        with open(conf, encoding="utf-8") as f:
            there = "zmqpub" in f.read()
        if not there:
            self.zmq = free_port()
            with open(conf, "a", encoding="utf-8") as f:
                f.write(f"zmqpubhashblock=tcp://127.0.0.1:{self.zmq}\n")
        super().start()

    def calls(self, calls):
        """A batch over a connection that stays: no process and no handshake is in the figures."""
        if not hasattr(self, "kept"):
            self.kept = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        login = base64.b64encode(b"u:p").decode()
        body = json.dumps([{"id": i, "method": m, "params": p} for i, (m, *p) in enumerate(calls)])
        self.kept.request("POST", "/wallet/w", body, {"Authorization": "Basic " + login, "Content-Type": "application/json"})
        out = json.loads(self.kept.getresponse().read())
        bad = [x["error"] for x in out if x.get("error")]
        if bad:
            raise SystemExit(f"bench: {bad[0]}")
        return [x["result"] for x in sorted(out, key=lambda x: x["id"])]

    def fill(self, count):
        """So many transactions of one input and one output, independent of each other, made without the wallet."""
        a_block = 1500  # outputs of one transaction that nodes still pass on
        blocks = self.calls([("generatetoaddress", -(-count // a_block), ANYBODY)])[0]
        self.calls([("generatetoaddress", 100, self.address)])
        coins, left = [], count
        for b in blocks:
            coinbase = self.calls([("getblock", b, 2)])[0]["tx"][0]
            value = round(coinbase["vout"][0]["value"] * 100_000_000)
            n = min(left, a_block)
            tx, txid = spend(coinbase["txid"], 0, [value // n - 1000] * n)
            self.calls([("sendrawtransaction", tx, 0)])
            coins += [(txid, i, value // n - 1000) for i in range(n)]
            left -= n
        self.calls([("generatetoaddress", 1, self.address)])
        for i in range(0, count, 250):
            self.calls([("sendrawtransaction", spend(t, k, [value - 2000])[0], 0) for t, k, value in coins[i:i + 250]])
        return self.calls([("getmempoolinfo",)])[0]["size"]


class Miner(threading.Thread):
    """Knows when which job came."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.jobs, self.news = [], threading.Condition()
        self.socket.sendall(b'{"id":1,"method":"mining.subscribe","params":[]}\n'
                            + json.dumps({"id": 2, "method": "mining.authorize", "params": [address(1) + ".x", ""]}).encode() + b"\n")
        self.start()

    def run(self):
        kept = b""
        while True:
            more = self.socket.recv(65536)
            at = time.monotonic()
            if not more:
                return
            *lines, kept = (kept + more).split(b"\n")
            for line in lines:
                m = json.loads(line)
                if m.get("method") == "mining.notify":
                    with self.news:
                        self.jobs.append((at, m["params"]))
                        self.news.notify_all()

    def wait(self, n, want, seconds=20):
        """The first job from number n on that is as wanted: its time."""
        until = time.monotonic() + seconds
        with self.news:
            while True:
                for at, job in self.jobs[n:]:
                    if want(job):
                        return at
                if not self.news.wait(until - time.monotonic()):
                    raise SystemExit(f"bench: no job came of those wanted, {len(self.jobs) - n} others")


def measure(node, case, blocks, figures):
    name, zmq, first = case
    text = test_node.config(node, None)
    if zmq:
        text = text.replace("password: p}", f'password: p, zmq: "tcp://127.0.0.1:{node.zmq}"}}')
    text = text.replace("    payout: {", f"    first_job: {first}\n    payout: {{").replace("level: debug", "level: info")
    with Pool(text) as pool:
        pool.start()
        miner = Miner(pool.port)
        miner.wait(0, lambda j: j[4], 60)
        if zmq:
            wait_for(lambda: "event=zmq.up" in pool.log(), about="zmq")
        for _ in range(blocks):
            time.sleep(1.2)  # a poll is as likely before as behind
            n, tip = len(miner.jobs), miner.jobs[-1][1][1]
            began = time.monotonic()
            node.calls([("generateblock", node.address, [])])
            answered = time.monotonic()
            at = miner.wait(n, lambda j: j[1] != tip)
            full = miner.wait(n, lambda j: j[1] != tip and j[4])
            for what, t in (("first", at - began), ("full", full - began), ("first after answer", at - answered)):
                figures.setdefault((name, what), []).append(t * 1000)
        pool.stop()  # it closes the miner's connection


def main():
    a = argparse.ArgumentParser(prog="mk bench tip", description=__doc__.split("\n")[0])
    a.add_argument("--transactions", type=int, default=3000)
    a.add_argument("--rounds", type=int, default=2)
    a.add_argument("--blocks", type=int, default=5)
    a.add_argument("--json", metavar="FILE")
    o = a.parse_args()
    node, figures = Node(130), {}
    try:
        n = node.fill(o.transactions)
        for _ in range(o.rounds):
            for case in CASES:
                measure(node, case, o.blocks, figures)
    finally:
        node.__exit__()
    print(f"A new tip on a node with {n:,} transactions, ms: median (least to most) of {o.rounds * o.blocks}\n")
    print("| case | to the first job | to the job with the transactions | to the first job, after the node's answer |")
    print("|---|---|---|---|")
    for name, *_ in CASES:
        cells = [f"{statistics.median(f):.0f} ({min(f):.0f} to {max(f):.0f})" for f in
                 (figures[name, w] for w in ("first", "full", "first after answer"))]
        print(f"| {name} | {' | '.join(cells)} |")
    if o.json:
        with open(o.json, "w", encoding="utf-8") as f:
            json.dump({f"{n}, {w}": v for (n, w), v in figures.items()}, f, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
