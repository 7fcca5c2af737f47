"""Notices of new blocks by ZMQ: from real nodes, from nobody, from liars; and first jobs made of a block's header."""
import hashlib
import json
import os
import socket
import struct
import threading
import time

import litecoin
import test_litecoin as ltc
import test_node as btc
from node import Knots, RpcError
from pool import Pool, address, free_port, wait_for
from proxy import Proxy
from skip import Skip
from stratum import Client

SLOW_POLL = "poll: 60s\n    refresh: 1h\n    ports:"  # nothing but a notice can be quick


def knots(zmq=None, blocks=110):
    """A node that publishes on port zmq."""
    class Publisher(Knots):
        def start(self):
            conf = os.path.join(self.folder, "bitcoin.conf")
            with open(conf, encoding="utf-8") as f:
                text = f.read()
            if zmq and "zmqpub" not in text:
                with open(conf, "a", encoding="utf-8") as f:
                    f.write(f"zmqpubhashblock=tcp://127.0.0.1:{zmq}\n")
            super().start()
    try:
        return Publisher(blocks)
    except FileNotFoundError as e:
        raise Skip(str(e)) from None


def config(node, zmq, first="full", floor=None):
    text = btc.config(node, floor).replace("password: p}", f'password: p, zmq: "tcp://127.0.0.1:{zmq}"}}')
    return text.replace("    payout: {", f"    first_job: {first}\n    payout: {{")


def node_of(pool):
    return json.loads(pool.command("node", "list", "--json", "--socket", pool.socket).stdout)["nodes"][0]


def zmq_is(pool, state, seconds=20):
    return wait_for(lambda: (lambda n: n if n["zmq"]["state"] == state else None)(node_of(pool)), seconds,
                    about=f"zmq {state}")


def generate(node, n=1):
    return node.rpc("generatetoaddress", n, node.address)


def notified(c, since):
    return [m for m in c.notices[since:] if m["method"] == "mining.notify"]


def first_of(c, since):
    """The first job with another tip than the one before."""
    tip = [m for m in c.notices[:since] if m["method"] == "mining.notify"][-1]["params"][1]
    return next(m for m in notified(c, since) if m["params"][1] != tip)


def test_a_real_node_is_heard_and_heard_again():
    """Bitcoin Knots: its notices come, a restart of the node is survived, and without it long poll goes on."""
    port = free_port()
    with knots(port) as node, Pool(config(node, port).replace("    ports:", "    " + SLOW_POLL)) as pool:
        pool.start()
        zmq_is(pool, "up")
        with Client(pool.port) as c:
            c.login(address(1) + ".x")
            for _ in range(3):
                tip, seen = c.job.prev, len(c.notices)
                generate(node)
                c.wait_tip(tip, 10)
                assert first_of(c, seen)["params"][8], "the first job of a tip is not said to be so"
            n = wait_for(lambda: (lambda n: n if n["zmq"]["notices"] >= 3 else None)(node_of(pool)), about="three notices")
            assert n["zmq"]["missed"] == 0 and n["tips_first_by"]["zmq"] + n["tips_first_by"]["longpoll"] >= 3, n
            text = pool.command("node", "list", "--socket", pool.socket).stdout
            assert "new blocks first by: zmq" in text and "zmq up" in text, text
            node.stop()
            zmq_is(pool, "down")
            node.start()
            zmq_is(pool, "up", 40)
            tip, seen = c.job.prev, len(c.notices)

            def another():
                generate(node)
                time.sleep(1)  # the pause after it has refused
                return c.job.prev != tip
            wait_for(another, 30, about="a job after the node's return")
            assert any(m["params"][8] for m in notified(c, seen))
        assert "event=zmq.down" in pool.log() and pool.log().count("event=zmq.up") >= 2
        assert pool.stop() == 0


class Publisher(threading.Thread):
    """A ZMTP 3.0 publisher of our own, that says what it is told to."""
    GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01NULL" + bytes(48)

    def __init__(self, greeting=GREETING, kind=b"PUB"):
        super().__init__(daemon=True)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.greeting, self.kind, self.peers, self.heard, self.number = greeting, kind, [], b"", 0
        self.start()

    def run(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            try:
                peer.sendall(self.greeting)
                if self.kind:
                    body = b"\x05READY\x0bSocket-Type" + struct.pack(">I", len(self.kind)) + self.kind
                    peer.sendall(bytes([4, len(body)]) + body)
                peer.settimeout(60)
                self.heard = b""
                while b"\x01hashblock" not in self.heard:
                    more = peer.recv(4096)
                    if not more:
                        break
                    self.heard += more
            except OSError:
                pass
            self.peers.append(peer)

    def say(self, raw):
        self.peers[-1].sendall(raw)

    def block(self, hash_, skip=0):
        self.number += 1 + skip
        part = [b"hashblock", bytes.fromhex(hash_), struct.pack("<I", self.number)]
        self.say(b"".join(bytes([int(i < 2), len(p)]) + p for i, p in enumerate(part)))

    def close(self):
        self.socket.close()
        for p in self.peers:
            p.close()


def test_liars_and_gaps():
    """A publisher that says nonsense is left and tried again; hashes that nobody knows, and gaps, do no harm."""
    publisher = Publisher()
    with knots() as node, Pool(config(node, publisher.port)) as pool:
        pool.start()
        zmq_is(pool, "up")
        wait_for(lambda: b"\x01hashblock" in publisher.heard, about="a subscription")
        assert publisher.heard.startswith(b"\xff" + bytes(8) + b"\x7f\x03\x00NULL") and b"Socket-Type" in publisher.heard
        with Client(pool.port) as c:
            c.login(address(1) + ".x")
            for i in range(50):
                publisher.block(hashlib.sha256(str(i).encode()).hexdigest())
            publisher.block(node.rpc("getbestblockhash"))
            publisher.block(generate(node)[0], skip=4)
            n = wait_for(lambda: (lambda n: n if n["zmq"]["missed"] == 4 else None)(node_of(pool)), about="the gap")
            assert n["zmq"]["notices"] == 52, n
            height = node.rpc("getblockcount")
            wait_for(lambda: pool.status()["pools"][0]["height"] == height, about="the new tip")
            assert c.submit(c.mine()) is True
            # In pieces, then nonsense of every kind: each time it is left, and comes back.
            for nonsense in (b"\x40\x01x", b"\x02" + b"\x7f" * 8, b"\x01\x09hashblock\x00\x05short", b"\x04\x02\x05E",
                             b"\x04\x0a\x05ERROR\x03no!"):
                before, peers = node_of(pool)["zmq"]["connects"], len(publisher.peers)
                try:
                    for b in nonsense:
                        publisher.say(bytes([b]))
                except OSError:
                    pass  # it has seen enough
                wait_for(lambda: len(publisher.peers) > peers, 30, about=f"another connection after {nonsense!r}")
                wait_for(lambda: node_of(pool)["zmq"]["connects"] > before, 30, about=f"another try after {nonsense!r}")
        assert "no!" in pool.log()
        assert pool.stop() == 0
    publisher.close()


def test_config_check_says_what_is_wrong():
    with knots() as node:
        for what, words in ((Publisher(kind=b"REP"), "it is no publisher"), (Publisher(b"HTTP/1.1 400 Bad\r\n\r\n", b""), "does not speak ZMQ"),
                            (None, "refused")):
            port = what.port if what else free_port()
            with Pool(config(node, port)) as pool:
                r = pool.command("config", "check", "-c", pool.config, check=False)
                assert "zmq" in r.stdout + r.stderr and words in r.stdout + r.stderr, (words, r.stdout, r.stderr)
            if what:
                what.close()
        good = Publisher()
        with Pool(config(node, good.port)) as pool:
            r = pool.command("config", "check", "-c", pool.config, check=False)
            assert "zmq" not in r.stdout + r.stderr, r.stdout + r.stderr
        for bad in ("127.0.0.1:1", "ipc:///tmp/x", "tcp://*:1"):
            with Pool(config(node, 1).replace("tcp://127.0.0.1:1\"", bad + '"')) as pool:
                r = pool.command("config", "check", "-c", pool.config, "--offline", check=False)
                assert r.returncode == 1 and "tcp://HOST:PORT" in r.stdout + r.stderr, r.stdout + r.stderr
        good.close()


def test_a_silent_publisher_is_named():
    """The wrong port of a node: it stands, and says nothing of blocks."""
    publisher = Publisher()
    with knots() as node, Pool(config(node, publisher.port)) as pool:
        pool.start()
        zmq_is(pool, "up")
        for _ in range(4):
            time.sleep(5.5)  # so long a notice may take
            height = generate(node) and node.rpc("getblockcount")
            wait_for(lambda: pool.status()["pools"][0]["height"] == height, about="the tip by long poll or poll")
        zmq_is(pool, "silent")
        assert "event=zmq.silent" in pool.log()
    publisher.close()


def test_litecoind_is_heard():
    port = free_port()

    class Publishing(litecoin.Litecoin):
        def start(self):
            conf = os.path.join(self.folder, "litecoin.conf")
            with open(conf, encoding="utf-8") as f:
                there = "zmqpub" in f.read()
            if not there:
                with open(conf, "a", encoding="utf-8") as f:
                    f.write(f"zmqpubhashblock=tcp://127.0.0.1:{port}\n")
            super().start()
    with Publishing() as node:
        try:
            node.rpc("getzmqnotifications")
        except RpcError:
            raise Skip("this litecoind is built without ZMQ (Debian's is)") from None
        text = ltc.config(node, ltc.FLOOR).replace("password: p}", f'password: p, zmq: "tcp://127.0.0.1:{port}"}}')
        with Pool(text.replace("    payout: {", "    first_job: empty\n    payout: {")) as pool:
            pool.start()
            zmq_is(pool, "up")
            for _ in range(3):
                node.generate(1)
            height = node.rpc("getblockcount")
            wait_for(lambda: pool.status()["pools"][0]["height"] == height, about="the new tip")
            wait_for(lambda: node_of(pool)["zmq"]["notices"] >= 3, about="three notices")

            def first():  # long poll, too, is quick
                node.generate(1)
                time.sleep(0.3)
                return node_of(pool)["tips_first_by"]["zmq"] >= 1
            wait_for(first, about="a tip that was known first by its notice")
            assert pool.stop() == 0


def test_no_first_job_on_litecoin():
    """Where MWEB is in force every block has a HogEx: first_job: empty waits for the node's template, whole as ever."""
    with litecoin.Litecoin() as node:
        with Pool(ltc.config(node, ltc.FLOOR).replace("    payout: {", "    first_job: empty\n    payout: {")) as pool:
            pool.start()
            for _ in range(3):
                node.generate(1)
                height = node.rpc("getblockcount")
                wait_for(lambda: pool.status()["pools"][0]["height"] == height, about="the new tip")
            assert "event=first_job " not in pool.log() and "has no schedule of this network" in pool.log()


            def first():
                node.generate(1)
                time.sleep(0.3)
                return node_of(pool)["tips_first_by"]["wait"] >= 1
            wait_for(first, about="a tip that was known first by waiting for its height")
            assert pool.stop() == 0


def test_first_job_from_a_node_that_cannot_wait():
    """One that does not know waitforblockheight: ZMQ and long poll go on, and the question is not asked again."""
    port = free_port()
    with knots(port, blocks=115) as node:
        proxy = Proxy(node.port)
        node.pay(5)
        with Pool(config(type("Proxied", (), {"url": proxy.url, "user": "u", "password": "p", "address": node.address}), port,
                         "empty").replace("    ports:", "    " + SLOW_POLL)) as pool:
            proxy.unknown = {"waitforblockheight"}
            pool.start()
            zmq_is(pool, "up")
            with Client(pool.port) as c:
                c.login(address(1) + ".x")
                for turn in range(30):  # a whole job may be quicker than a notice
                    jobs_of_a_tip(c, node, lambda: node.rpc("generateblock", node.address, []))
                    if turn > 1 and node_of(pool)["tips_first_by"]["zmq"] >= 2:
                        break
            assert pool.log().count("event=wait.not") == 1 and proxy.count("waitforblockheight") == 1
            by = node_of(pool)["tips_first_by"]
            assert by["wait"] == 0 and by["zmq"] >= 2, by
            assert pool.stop() == 0


def coinbase_value(job):
    """What the outputs of a job's coinbase pay: the first output stands behind 'ffffffff' and its count."""
    tail = bytes.fromhex(job.coinb2)
    at = tail.index(b"\xff\xff\xff\xff") + 5
    return int.from_bytes(tail[at:at + 8], "little")


def jobs_of_a_tip(c, node, make, seconds=60):
    """The jobs that one new block brings, up to the first with transactions."""
    tip, before = c.job.prev, set(c.jobs)
    make()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        seen = [j for i, j in list(c.jobs.items()) if i not in before and j.prev != tip]
        if any(j.branches for j in seen):
            return seen[:[bool(j.branches) for j in seen].index(True) + 1]
        time.sleep(0.02)
    raise AssertionError("no job with transactions came")


def test_first_job_of_a_header():
    """On a node with transactions the first job of a tip has none, pays the subsidy alone, and its block is valid."""
    port = free_port()
    with knots(port, blocks=112) as node:  # the subsidy is halved at 150
        node.pay(20)
        with Pool(config(node, port, "empty", btc.FLOOR)) as pool:
            pool.start()
            zmq_is(pool, "up")
            with Client(pool.port) as c:
                c.login(address(1) + ".x")
                assert c.wait_job(timeout=20).branches, "no transactions are there"
                firsts = 0
                for _ in range(18):  # the whole job may be there before the header
                    if firsts == 3:
                        break
                    seen = jobs_of_a_tip(c, node, lambda: node.rpc("generateblock", node.address, []))
                    assert seen[0].clean and not any(j.clean for j in seen[1:]), [j.clean for j in seen]
                    assert len({j.prev for j in seen}) == 1
                    assert bool(seen[0].branches) == (len(seen) == 1)
                    if not seen[0].branches:
                        firsts += 1
                        assert coinbase_value(seen[0]) == 50 * 10**8 < coinbase_value(seen[-1])
                        assert seen[0].nbits == seen[-1].nbits and seen[0].version == seen[-1].version
                by = node_of(pool)["tips_first_by"]
                assert by["wait"] + by["zmq"] >= 3, by
                assert firsts == 3, f"{firsts} of 18 tips had a first job: {pool.log()[-3000:]}"
                # A block of such a job: the node takes it, and the subsidy is credited.
                for _ in range(15):
                    seen = jobs_of_a_tip(c, node, lambda: node.rpc("generateblock", node.address, []))
                    if not seen[0].branches:
                        break
                height = node.rpc("getblockcount") + 1
                assert c.submit(c.mine(seen[0], easier_than=btc.target_of(btc.FLOOR))) is True
                b = btc.block_in_state(pool, height, "confirming", "accepted")
                assert int(b["value_units"]) == 50 * 10**8, b
                assert len(node.rpc("getblock", node.rpc("getblockhash", height))["tx"]) == 1
            assert pool.stop() == 0


def test_two_pools_of_one_node():
    """Of one chain one pool wants first jobs and one does not: that one learns of each tip with its whole job, as a new one."""
    with knots(blocks=120) as node:
        node.pay(10)
        text = config(node, 1, "empty", btc.FLOOR).replace(', zmq: "tcp://127.0.0.1:1"', "")
        head, rest = text.split("pools:\n")
        body, tail = rest.split("api:")
        other = free_port()
        whole = body.replace("  btc:", "  whole:", 1).replace("first_job: empty", "first_job: full").replace("{port}", str(other))
        with Pool(head + "pools:\n" + body + whole + "api:" + tail) as pool:
            pool.start()
            with Client(pool.port) as a, Client(other) as b:
                a.login(address(1) + ".x")
                b.login(address(2) + ".x")
                firsts = 0
                for _ in range(40):
                    if firsts == 3:
                        break
                    tip, before = b.job.prev, set(b.jobs)
                    seen = jobs_of_a_tip(a, node, lambda: node.rpc("generateblock", node.address, []))
                    firsts += not seen[0].branches
                    wait_for(lambda: b.job.prev != tip, about="the other pool's job")
                    theirs = [j for i, j in list(b.jobs.items()) if i not in before and j.prev != tip]
                    assert theirs[0].clean and all(j.branches for j in theirs), [(j.clean, len(j.branches)) for j in theirs]
                    assert b.submit(b.mine(harder_than=btc.target_of(btc.FLOOR))) is True
                assert firsts == 3, firsts
            assert pool.stop() == 0


def test_no_first_job_where_it_is_not_certain():
    """At a halving (150 in regtest), and in a pool that wants whole jobs, the first job is the node's."""
    port = free_port()
    with knots(port, blocks=147) as node:
        node.pay(5)
        with Pool(config(node, port, "empty")) as pool:
            pool.start()
            zmq_is(pool, "up")
            with Client(pool.port) as c:
                c.login(address(1) + ".x")
                while node.rpc("getblockcount") < 149:
                    seen = jobs_of_a_tip(c, node, lambda: node.rpc("generateblock", node.address, []))
                assert seen[0].branches and coinbase_value(seen[0]) < 26 * 10**8
                if "difficulty or subsidy change at this height" not in pool.log():
                    print("    (the whole job was there before the header: nobody had to decide)")
            pool.write(pool.text.replace("first_job: empty", "first_job: full"))
            pool.command("reload", "--socket", pool.socket)
            with Client(pool.port) as c:
                c.login(address(1) + ".x")
                for _ in range(3):
                    seen = jobs_of_a_tip(c, node, lambda: node.rpc("generateblock", node.address, []))
                    # The reload is in force from the next template on.
                assert len(seen) == 1 and seen[0].clean and seen[0].branches
            # The publisher too comes and goes by a reload.
            pool.write(pool.text.replace(f', zmq: "tcp://127.0.0.1:{port}"', ""))
            pool.command("reload", "--socket", pool.socket)
            wait_for(lambda: node_of(pool)["zmq"]["state"] == "", about="no publisher")
            pool.write(pool.text)
            pool.command("reload", "--socket", pool.socket)
            zmq_is(pool, "up")
            assert pool.stop() == 0
