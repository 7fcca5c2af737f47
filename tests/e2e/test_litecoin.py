"""Litecoin on real nodes, before MWEB and with it: shares in, blocks accepted, credited to the last unit."""
from fractions import Fraction

from litecoin import DIFF1, Litecoin, ScryptClient
from money import fee_of, pplns, split, work_of
from pool import Pool, bech32, wait_for
from stratum import StratumError, sha256d

SHARE = "0.000244140625"  # 2^-12: sixteen hashes
FLOOR = "0.015625"        # 2^-6: 64 such shares a block
SUBSIDY = 1250000000      # of regtest's blocks 300 to 449

CONFIG = """
data_dir: {dir}
log: {level: debug}
store: {use: sqlite}
nodes:
  ltc: {coin: litecoin, network: regtest, rpc: "URL", user: u, password: p}
pools:
  ltc:
    coin: litecoin
    network: regtest
    nodes: [ltc]
    coinbase: {address: COINBASE, tag: /otedama-e2e/}
    fee: {rate: 1%}
    payout: {scheme: pplns, window: 2x difficulty}
    refresh: 2s
    FLOOR
    ports:
      {port}: {listen: 127.0.0.1, difficulty: {start: SHARE, min: SHARE, max: SHARE, vardiff: false}}
api: {listen: "127.0.0.1:{api}"}
metrics: {listen: "127.0.0.1:{metrics}"}
"""


def config(node, floor=FLOOR):
    text = CONFIG.replace("URL", node.url).replace("COINBASE", node.address).replace("SHARE", SHARE)
    return text.replace("FLOOR", f"block_difficulty_floor: {floor}" if floor else "")


def address(n):
    return bech32(n.to_bytes(20, "big"), "rltc")


def target_of(difficulty):
    return int(DIFF1 / Fraction(difficulty))


def credits(pool, kind):
    return {b["owner"]: int(b["amount_units"]) for b in pool.status()["balances"]
            if b["kind"] == kind and int(b["amount_units"])}


def block_in_state(pool, height, state, seconds=30):
    def look():
        return [b for b in pool.status()["blocks"] if b["height"] == height and b["state"] == state]
    return wait_for(look, seconds, step=0.2, about=f"block {height} in state {state}")[0]


def mine_a_block(pool, counts):
    """counts[i] shares of miner i, none of them a block, in turns; then miner 0 finds one. The shares in order."""
    block_target, order, clients = target_of(FLOOR), [], []
    try:
        for i in range(len(counts)):
            c = ScryptClient(pool.port)
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


def check_block(node, pool, height, order):
    """The block is on both nodes, and this and nothing else was credited for it. The block as the node has it."""
    block = block_in_state(pool, height, "confirming")
    found = node.rpc("getblock", node.rpc("getblockhash", height), 2)
    assert found["hash"] == block["hash"], "the node has another block there"
    node.agree()
    value = int(block["value_units"])
    assert value == round(sum(o["value"] for o in found["tx"][0]["vout"]) * 10**8)
    fee = fee_of(value, 10_000)
    assert int(block["fee_units"]) == fee
    work = work_of(target_of(SHARE))
    weights = pplns([(a, work) for a in order], 2 * work_of(target_of(FLOOR)))
    return found, split(value - fee, weights), fee


def branches_of(txids):
    """The merkle branch of the coinbase, in the byte order of jobs."""
    row, branches = [bytes.fromhex(t)[::-1] for t in txids], []
    while row:
        branches.append(row[0].hex())
        if len(row) % 2 == 0:
            row.append(row[-1])
        row = [sha256d(row[i] + row[i + 1]) for i in range(1, len(row), 2)]
    return branches


def wait_for_mempool(node, pool):
    """Until the pool's jobs hold all that waits in the node's pool of transactions: their ids.

    The node keeps a template for some seconds, and what moves within MWEB is no transaction of its own there:
    the fees tell whether all are in.
    """
    waiting = node.rpc("getrawmempool", True).values()
    fees = sum(round(t["fees"]["base"] * 10**8) for t in waiting)

    def template():
        t = node.rpc("getblocktemplate", {"rules": ["mweb", "segwit"]})
        return [x["txid"] for x in t["transactions"]] if t["coinbasevalue"] == SUBSIDY + fees else None
    txids = wait_for(template, 30, step=0.3, about="a template with all that waits")
    with ScryptClient(pool.port) as c:
        c.login(f"{address(9)}.watch")
        wait_for(lambda: c.job.branches == branches_of(txids), 30, about="a job with all that waits")
    return txids


def sum_of(*parts):
    total = {}
    for p in parts:
        for k, v in p.items():
            total[k] = total.get(k, 0) + v
    return total


def reversed_by_reorg(node, pool, height):
    """Another branch of eight blocks takes the place of ours: nothing of it stays credited."""
    node.rpc("invalidateblock", node.rpc("getblockhash", height))
    node.generate(8)
    block_in_state(pool, height, "orphaned")


def test_block_before_mweb_is_credited_and_reversed():
    with Litecoin() as node, Pool(config(node)) as pool:
        node.pay(5)
        pool.start()
        height = node.rpc("getblockcount") + 1
        order = mine_a_block(pool, (50, 30, 13))
        found, expected, fee = check_block(node, pool, height, order)
        assert len(found["tx"]) == 6, "the wallet's transactions are not in the block"
        assert credits(pool, "immature") == expected
        assert credits(pool, "fee_immature") == {"the pool": fee}
        status = pool.status()
        assert status["pools"][0]["accepted"] == len(order), status["pools"][0]
        assert status["pools"][0]["refused"] == 0
        reversed_by_reorg(node, pool, height)
        wait_for(lambda: not credits(pool, "immature") and not credits(pool, "fee_immature"), 10,
                 about="the reversal of the credits")
        assert not credits(pool, "spendable")
        pool.stop()
        assert "ok" in pool.command("ledger", "verify", "-c", pool.config).stdout


def test_first_mweb_blocks_with_peg_ins():
    """The node gives no template for block 432 until a peg-in waits; the pool says so and goes on."""
    with Litecoin(blocks=431) as node, Pool(config(node)) as pool:
        pool.start()
        wait_for(lambda: "until a peg-in waits" in pool.log(), 20, about="words about the missing peg-in")
        node.peg_in()
        first = mine_a_block(pool, (20, 9))
        found, expected, fee = check_block(node, pool, 432, first)
        assert len(found["tx"]) == 3, "coinbase, peg-in and HogEx are not all of the block"
        assert found["mweb"]["num_kernels"] == 1, found["mweb"]
        assert credits(pool, "immature") == expected

        node.pay(4)  # some of it may leave MWEB again: the wallet chooses
        node.peg_in(2)
        waiting = wait_for_mempool(node, pool)
        second = mine_a_block(pool, (7, 40, 3))
        found, more, fee2 = check_block(node, pool, 433, first + second)
        assert [t["txid"] for t in found["tx"]][1:] == waiting
        assert found["mweb"]["num_kernels"] >= 1, found["mweb"]
        assert credits(pool, "immature") == sum_of(expected, more)
        assert credits(pool, "fee_immature") == {"the pool": fee + fee2}

        third = mine_a_block(pool, (2, 2))
        found, last, fee3 = check_block(node, pool, 434, first + second + third)
        assert len(found["tx"]) == 2, "a block of nothing but coinbase and HogEx"
        assert credits(pool, "immature") == sum_of(expected, more, last)

        reversed_by_reorg(node, pool, 434)
        wait_for(lambda: credits(pool, "immature") == sum_of(expected, more), 10,
                 about="the reversal of the last block's credits")
        assert credits(pool, "fee_immature") == {"the pool": fee + fee2}
        assert pool.status()["pools"][0]["refused"] == 0
        pool.stop()
        assert "ok" in pool.command("ledger", "verify", "-c", pool.config).stdout


def test_mweb_blocks_without_floor():
    """Regtest as it is: every second hash is a block, and each one must get through."""
    with Litecoin(blocks=431) as node, Pool(config(node, floor=None)) as pool:
        node.peg_in()
        node.generate(2)
        pool.start()
        start = node.rpc("getblockcount")
        with ScryptClient(pool.port) as c:
            job = c.login(f"{address(7)}.solo")
            for _ in range(5):
                assert c.submit(c.mine(job)) is True
                job = c.wait_tip(job.prev)
        wait_for(lambda: node.rpc("getblockcount") >= start + 5, 10, about="five blocks on the node")
        node.agree()
        for height in range(start + 1, start + 6):
            assert block_in_state(pool, height, "confirming")["account"] == address(7)


def test_mweb_addresses_are_refused():
    with Litecoin() as node, Pool(config(node)) as pool:
        pool.start()
        mweb = node.rpc("getnewaddress", "", "mweb")
        with ScryptClient(pool.port) as c:
            c.subscribe()
            try:
                said = c.authorize(f"{mweb}.rig")
            except StratumError as e:
                said = str(e)
            assert said is not True and "MWEB" in str(said), said
        for kind in ("legacy", "p2sh-segwit", "bech32"):
            with ScryptClient(pool.port) as c:
                c.login(node.rpc("getnewaddress", "", kind) + ".rig")
