"""The main job on a real node: shares in, a block accepted, miners credited to the last unit."""
from money import fee_of, pplns, split, target_of, work_of
from node import real_node
from pool import Pool, address, wait_for
from stratum import Client

SHARE = "2.384185791015625e-07"  # 2^-22: about a thousand hashes
FLOOR = "6.103515625e-05"        # 2^-14: 256 such shares a block

CONFIG = """
data_dir: {dir}
log: {level: debug}
store: {use: sqlite}
nodes:
  btc: {coin: bitcoin, network: regtest, rpc: "URL", user: USER, password: PASSWORD}
pools:
  btc:
    coin: bitcoin
    network: regtest
    nodes: [btc]
    coinbase: {address: COINBASE, tag: /otedama-e2e/}
    fee: {rate: 1%}
    payout: {scheme: pplns, window: 2x difficulty}
    FLOOR
    ports:
      {port}: {listen: 127.0.0.1, difficulty: {start: SHARE, min: SHARE, max: SHARE, vardiff: false}}
api: {listen: "127.0.0.1:{api}"}
metrics: {listen: "127.0.0.1:{metrics}"}
"""


def config(node, floor=FLOOR, share=SHARE):
    text = CONFIG.replace("URL", node.url).replace("USER", node.user).replace("PASSWORD", node.password)
    text = text.replace("COINBASE", node.address).replace("SHARE", share)
    return text.replace("FLOOR", f"block_difficulty_floor: {floor}" if floor else "")


def credits(pool, kind):
    return {b["owner"]: int(b["amount_units"]) for b in pool.status()["balances"]
            if b["kind"] == kind and int(b["amount_units"])}


def block_in_state(pool, height, *states, seconds=30):
    def look():
        for b in pool.status()["blocks"]:
            if b["height"] == height and b["state"] in states:
                return b
        return None
    return wait_for(look, seconds, step=0.2, about=f"block {height} in state {states}")


def mine_a_block(pool, counts, extra=0):
    """counts[i] shares of miner i, none of them a block, in turns; then miner 0 finds one. The shares in order."""
    block_target, order = target_of(FLOOR), []
    clients = []
    try:
        for i in range(len(counts)):
            c = Client(pool.port)
            c.login(f"{address(i + 1)}.rig{i}", mask=0x1FFFE000 if i == 1 else None)
            clients.append(c)
        for turn in range(max(counts)):
            for i, c in enumerate(clients):
                if turn < counts[i]:
                    version = int(c.job.version, 16) ^ 0x4000 if c.mask else None
                    assert c.submit(c.mine(harder_than=block_target, version=version)) is True
                    order.append(address(i + 1))
        job = clients[0].job
        assert clients[0].submit(clients[0].mine(easier_than=block_target)) is True
        order.append(address(1))
        clients[0].wait_tip(job.prev)
    finally:
        for c in clients:
            c.close()
    return order


def test_block_with_floor_is_credited_and_reversed():
    with real_node() as node, Pool(config(node)) as pool:
        node.pay(5)
        pool.start()
        height = node.rpc("getblockcount") + 1
        order = mine_a_block(pool, (150, 90, 40))
        block = block_in_state(pool, height, "confirming")
        found = node.rpc("getblock", node.rpc("getblockhash", height))
        assert found["hash"] == block["hash"], "the node has another block there"
        assert len(found["tx"]) >= 6, "the wallet's transactions are not in the block"

        work = work_of(target_of(SHARE))
        weights = pplns([(a, work) for a in order], 2 * work_of(target_of(FLOOR)))
        value = int(block["value_units"])
        fee = fee_of(value, 10_000)
        assert int(block["fee_units"]) == fee
        assert credits(pool, "immature") == split(value - fee, weights)
        assert credits(pool, "fee_immature") == {"the pool": fee}

        # The status counts every acknowledged share once, and nothing else.
        status = pool.status()
        assert status["pools"][0]["accepted"] == len(order), status["pools"][0]
        assert status["pools"][0]["refused"] == 0

        # A reorganisation of one block: ours goes, its credits are reversed, its history stays.
        node.rpc("invalidateblock", block["hash"])
        node.rpc("generatetoaddress", 8, node.rpc("getnewaddress"))
        block_in_state(pool, height, "orphaned")
        wait_for(lambda: not credits(pool, "immature") and not credits(pool, "fee_immature"), 10,
                 about="the reversal of the credits")
        assert not credits(pool, "spendable")
        pool.stop()
        assert "ok" in pool.command("ledger", "verify", "-c", pool.config).stdout


def test_block_matures():
    with real_node() as node, Pool(config(node)) as pool:
        pool.start()
        height = node.rpc("getblockcount") + 1
        mine_a_block(pool, (20, 10))
        block_in_state(pool, height, "confirming")
        before = credits(pool, "immature")
        assert before
        node.rpc("generatetoaddress", 100, node.rpc("getnewaddress"))
        block_in_state(pool, height, "mature")
        wait_for(lambda: credits(pool, "spendable") == before, 10, about="spendable balances")
        assert not credits(pool, "immature")
        assert credits(pool, "fee")


def test_window_is_cut_at_twice_the_difficulty():
    """More shares than the window holds: the oldest ones count no more."""
    with real_node() as node, Pool(config(node)) as pool:
        pool.start()
        height = node.rpc("getblockcount") + 1
        order = mine_a_block(pool, (0, 200))  # miner 1's work will have left the window
        order += mine_a_block(pool, (520, 0))
        block = block_in_state(pool, height + 1, "confirming")
        work = work_of(target_of(SHARE))
        weights = pplns([(a, work) for a in order], 2 * work_of(target_of(FLOOR)))
        assert address(2) not in weights
        mine = [b for b in pool.status()["blocks"] if b["height"] == height + 1][0]
        value = int(mine["value_units"])
        first = [b for b in pool.status()["blocks"] if b["height"] == height][0]
        got = credits(pool, "immature")
        weights1 = pplns([(a, work) for a in order[:201]], 2 * work_of(target_of(FLOOR)))
        v1 = int(first["value_units"])
        expect = split(v1 - fee_of(v1, 10_000), weights1)
        for k, v in split(value - fee_of(value, 10_000), weights).items():
            expect[k] = expect.get(k, 0) + v
        assert got == expect, (got, expect)
        assert block["effort_percent"] != "0.00"


def test_blocks_without_floor():
    """Regtest as it is: nearly every second hash is a block, and each one must get through."""
    with real_node() as node, Pool(config(node, floor=None)) as pool:
        pool.start()
        start = node.rpc("getblockcount")
        with Client(pool.port) as c:
            job = c.login(f"{address(7)}.solo")
            for _ in range(5):
                assert c.submit(c.mine(job)) is True
                job = c.wait_tip(job.prev)
        wait_for(lambda: node.rpc("getblockcount") >= start + 5, 10, about="five blocks on the node")
        for height in range(start + 1, start + 6):
            assert block_in_state(pool, height, "confirming")["account"] == address(7)
