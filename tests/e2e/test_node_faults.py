"""A real node that is away, dies, hangs or loses an answer: blocks get through once, and are credited once."""
import random
import time

from devnet import verified
from money import fee_of, pplns, split, target_of, work_of
from node import real_node
from pool import Pool, address, free_port, kept, wait_for
from proxy import Proxy
from skip import Skip
from stratum import Client
from test_node import FLOOR, SHARE, block_in_state, config, credits

_node = []


def node():
    """One for the tests of this file; each goes on where the last one left the chain."""
    if not _node:
        _node.append(real_node())
    elif _node[0].process.poll() is not None:
        _node[0].start()
    return _node[0]


def finish():
    for n in _node:
        n.__exit__()
    _node.clear()


def text_for(node, *urls, timeout="1s", poll="200ms"):
    """The pool's file with these nodes, the first one preferred."""
    text, names = config(node), [f"n{i}" for i in range(len(urls))]
    head, rest = text.split("nodes:\n", 1)
    first, rest = rest.split("\n", 1)
    entries = [first.replace("btc:", f"{n}:", 1).replace(node.url, u) for n, u in zip(names, urls)]
    rest = rest.replace("nodes: [btc]", f"nodes: [{', '.join(names)}]\n    timeout: {timeout}\n    poll: {poll}")
    return head + "nodes:\n" + "\n".join(entries) + "\n" + rest


def attention(pool):
    return " | ".join(pool.status()["attention"])


def state_of(pool, name):
    return next(n for n in pool.status()["nodes"] if n["name"] == name)


def shares(c, n, order=None):
    for _ in range(n):
        assert c.submit(c.mine(harder_than=target_of(FLOOR))) is True
        if order is not None:
            order.append(c.user.split(".")[0])


def find_block(c, order=None):
    """Its hash, as the node writes it."""
    share = c.mine(easier_than=target_of(FLOOR))
    assert c.submit(share) is True
    if order is not None:
        order.append(c.user.split(".")[0])
    return f"{share[4]:064x}"


def expected_credits(order, block):
    weights = pplns([(a, work_of(target_of(SHARE))) for a in order], 2 * work_of(target_of(FLOOR)))
    value = int(block["value_units"])
    return split(value - fee_of(value, 10_000), weights)


def lasting():
    """node(), whose chain outlives it."""
    n = node()
    if n.name == "bcoin":
        raise Skip("bcoin keeps its chain in memory here")
    return n


def cut_off(n):
    """kill -9. What it had not written is not the matter here, so it writes its chain before."""
    n.rpc("gettxoutsetinfo")
    n.kill()


def test_a_node_that_is_down_at_start():
    n = lasting()
    n.stop()
    with Pool(config(n)) as pool:
        pool.start()
        wait_for(lambda: attention(pool), 10, about="word of the node in the status")
        assert state_of(pool, "btc")["state"] == "down" and state_of(pool, "btc")["error"]
        with Client(pool.port) as c:
            c.subscribe()
            n.start()
            c.wait_job(timeout=40)
            assert c.authorize(address(1) + ".early") is True
            shares(c, 3)
        wait_for(lambda: not attention(pool), 10, about="the end of the alarm")
        assert state_of(pool, "btc")["state"] == "up"
        assert pool.stop() == 0


def test_a_node_dies_in_a_round_and_comes_back():
    n = lasting()
    with Pool(config(n)) as pool:
        pool.start()
        order = []
        with Client(pool.port) as a, Client(pool.port) as b:
            a.login(address(1) + ".a")
            b.login(address(2) + ".b")
            shares(a, 20, order)
            cut_off(n)
            shares(b, 20, order)  # shares of the last job are as good as ever
            wait_for(lambda: attention(pool), 20, about="word of the node in the status")
            shares(a, 10, order)
            n.start()
            height = n.rpc("getblockcount") + 1
            wait_for(lambda: not attention(pool), 40, about="the end of the alarm")
            hash_ = find_block(b, order)
            block = block_in_state(pool, height, "confirming")
        assert block["hash"] == hash_ == n.rpc("getblockhash", height)
        assert credits(pool, "immature") == expected_credits(order, block)
        assert pool.stop() == 0
        verified(pool)


def test_a_block_that_is_found_while_the_node_is_away():
    n = lasting()
    with Pool(config(n)) as pool:
        pool.start()
        with Client(pool.port) as c:
            c.login(address(3) + ".lonely")
            shares(c, 5)
            height = n.rpc("getblockcount") + 1
            n.stop()
            hash_ = find_block(c)
            wait_for(lambda: kept(pool, hash_), 10, step=0.001, about="the candidate on disk")
            pool.kill()  # and the pool dies too
            pool.start()
            n.start()
            assert block_in_state(pool, height, "confirming", seconds=60)["hash"] == hash_
        assert n.rpc("getblockhash", height) == hash_
        assert sum(credits(pool, "immature").values()) > 0
        assert pool.stop() == 0
        verified(pool)


def test_failover_and_back():
    n = node()
    with Proxy(n.port) as first, Proxy(n.port) as second:
        dead = f"http://127.0.0.1:{free_port()}"
        with Pool(text_for(n, dead, first.url, second.url)) as pool:
            pool.start()
            with Client(pool.port) as c:
                c.login(address(4) + ".over")
                shares(c, 3)
                wait_for(lambda: state_of(pool, "n1")["in_use"], 20, about="the use of the first node that answers")
                assert state_of(pool, "n0")["state"] == "down" and state_of(pool, "n0")["error"]
                first.up = False
                wait_for(lambda: state_of(pool, "n2")["in_use"], 20, about="the use of the second node")
                tip = c.job.prev
                n.rpc("generatetoaddress", 1, n.address)
                c.wait_tip(tip)
                shares(c, 3)
                height = n.rpc("getblockcount") + 1
                hash_ = find_block(c)
                assert block_in_state(pool, height, "confirming")["hash"] == hash_
                assert second.count("submitblock") >= 1
                first.up = True
                wait_for(lambda: state_of(pool, "n1")["in_use"], 40, about="the use of the preferred node")
                shares(c, 3)
            assert pool.stop() == 0


def test_a_template_that_grows_stale():
    n = node()
    with Proxy(n.port) as proxy:
        with Pool(text_for(n, proxy.url).replace("timeout: 1s", "timeout: 1s\n    refresh: 2s")) as pool:
            pool.start()
            with Client(pool.port) as c:
                c.login(address(5) + ".stale")
                shares(c, 3)
                wait_for(lambda: not attention(pool), about="no alarm")
                proxy.hang = {"getblocktemplate", "getbestblockhash", "getblockchaininfo", "getblockheader",
                              "getnetworkinfo", "getblockcount"}
                wait_for(lambda: attention(pool), 30, about="word of the stale template in the status")
                shares(c, 3)
                proxy.hang = set()
                wait_for(lambda: not attention(pool), 40, about="the end of the alarm")
                tip = c.job.prev
                n.rpc("generatetoaddress", 1, n.address)
                c.wait_tip(tip)
                shares(c, 3)
            assert pool.stop() == 0


def test_only_templates_hang():
    """The tip moves on, and the node gives no template for it."""
    n = node()
    with Proxy(n.port) as proxy, Pool(text_for(n, proxy.url)) as pool:
        pool.start()
        with Client(pool.port) as c:
            c.login(address(5) + ".stale")
            proxy.hang = proxy.lost = {"getblocktemplate"}  # the long poll on its way included
            n.rpc("generatetoaddress", 1, n.address)
            wait_for(lambda: attention(pool), 30, about="word of it in the status")
            tip, proxy.hang, proxy.lost = c.job.prev, set(), set()
            c.wait_tip(tip, 40)
            shares(c, 3)
            wait_for(lambda: not attention(pool), 40, about="the end of the alarm")
        assert pool.stop() == 0


def test_the_answer_to_submitblock_gets_lost():
    n = node()
    with Proxy(n.port) as proxy, Pool(text_for(n, proxy.url)) as pool:
        pool.start()
        order = []
        with Client(pool.port) as a, Client(pool.port) as b:
            a.login(address(6) + ".a")
            b.login(address(7) + ".b")
            shares(a, 12, order)
            shares(b, 7, order)
            height = n.rpc("getblockcount") + 1
            proxy.lost = {"submitblock"}
            hash_ = find_block(a, order)
            wait_for(lambda: proxy.count("submitblock") >= 3, 20, about="further tries of the submission")
            assert n.rpc("getblockhash", height) == hash_
            proxy.lost = set()
            block = block_in_state(pool, height, "confirming", seconds=20)
            assert block["hash"] == hash_
        blocks = [x for x in pool.status()["blocks"] if x["height"] == height]
        assert len(blocks) == 1, blocks
        assert credits(pool, "immature") == expected_credits(order, block)
        n.rpc("generatetoaddress", 2, n.address)
        time.sleep(2)  # a second credit would have come by now; its absence is what is tested
        assert credits(pool, "immature") == expected_credits(order, block)
        assert n.rpc("getblockcount") == height + 2
        assert pool.stop() == 0
        verified(pool)


def test_the_pool_dies_while_a_block_is_on_its_way():
    n, rng = node(), random.Random(12)
    with Proxy(n.port) as proxy, Pool(text_for(n, proxy.url)) as pool:
        pool.start()
        for fault in ("hang", "lost"):
            with Client(pool.port) as c:
                c.login(f"{address(8)}.{fault}")
                shares(c, 4)
                height = n.rpc("getblockcount") + 1
                setattr(proxy, fault, {"submitblock"})
                before = proxy.count("submitblock")
                hash_ = find_block(c)
                wait_for(lambda: proxy.count("submitblock") > before, 10, step=0.001, about="the submission")
                time.sleep(rng.choice((0, 0.01, 0.1)))
                pool.kill()
            setattr(proxy, fault, set())
            pool.start()
            block = block_in_state(pool, height, "confirming", seconds=30)
            assert block["hash"] == hash_ == n.rpc("getblockhash", height)
            assert len([b for b in pool.status()["blocks"] if b["height"] == height]) == 1
        blocks = pool.status()["blocks"]
        assert len(blocks) == 2
        values = sum(int(b["value_units"]) - int(b["fee_units"]) for b in blocks)
        wait_for(lambda: sum(credits(pool, "immature").values()) == values, 10, about="two credits and no third")
        assert pool.stop() == 0
        verified(pool)
