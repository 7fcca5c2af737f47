"""Several pools in one process, two of them on one chain, a SOLO port beside the PPLNS ports of a pool."""
from decimal import Decimal

from money import fee_of, pplns, split, target_of, work_of
from node import real_node
from pool import Pool, address, free_port, wait_for
from stratum import Client

SHARE = "2.384185791015625e-07"  # 2^-22: about a thousand hashes
FLOOR = "6.103515625e-05"        # 2^-14: 256 such shares a block
WORK, BLOCK = work_of(target_of(SHARE)), target_of(FLOOR)

CONFIG = """
data_dir: {dir}
log: {level: debug}
store: {use: sqlite}
nodes:
  btc: {coin: bitcoin, network: regtest, rpc: "URL", user: USER, password: PASSWORD}
pools:
  east:
    coin: bitcoin
    nodes: [btc]
    coinbase: {address: EAST, tag: /east/}
    fee: {rate: 1%}
    payout: {scheme: pplns, window: 0.25x difficulty}
    block_difficulty_floor: FLOOR
    ports:
      {port}: {listen: 127.0.0.1, difficulty: &}
      PORT2: {listen: 127.0.0.1, difficulty: &}
      SOLO: {listen: 127.0.0.1, difficulty: &, payout: {scheme: solo}}
  west:
    coin: bitcoin
    nodes: [btc]
    coinbase: {address: WEST, tag: /west/}
    fee: {rate: 2.5%}
    payout: {scheme: pplns, window: 2x difficulty}
    block_difficulty_floor: FLOOR
    ports:
      PORT3: {listen: 127.0.0.1, difficulty: &}
  toy:
    coin: devnet
    coinbase: {address: TOY}
    payout: {scheme: pplns}
    ports:
      PORT4: {listen: 127.0.0.1, difficulty: &}
api: {listen: "127.0.0.1:{api}"}
metrics: {listen: "127.0.0.1:{metrics}"}
"""


class Rig(Client):
    """A miner on one port, with its shares in order in the list that its scheme sees."""

    def __init__(self, port, who, seen):
        super().__init__(port)
        self.who, self.seen = who, seen
        self.login(f"{who}.rig")

    def share(self):
        assert self.submit(self.mine(harder_than=BLOCK)) is True
        self.seen.append((self.who, WORK))

    def block(self):
        assert self.submit(self.mine(easier_than=BLOCK)) is True
        self.seen.append((self.who, WORK))


def balances(pool, name, kind):
    return {b["owner"]: int(b["amount_units"]) for b in pool.status()["balances"]
            if b["kind"] == kind and b["pool"] == name and int(b["amount_units"])}


def add(to, more):
    for k, v in more.items():
        to[k] = to.get(k, 0) + v


def find(pool, node, rigs, finder):
    """finder finds a block; everybody gets new work. What the node says of it: address and value of its coinbase."""
    height = node.rpc("getblockcount") + 1
    before = [(r, r.job.prev) for r in rigs]
    finder.block()
    wait_for(lambda: node.rpc("getblockcount") >= height, 20, about="the block")
    for r, tip in before:
        r.wait_tip(tip)
    wait_for(lambda: any(b["height"] == height and b["state"] == "confirming" for b in pool.status()["blocks"]), 30,
             about="the credits of the block")
    coinbase = node.rpc("getblock", node.rpc("getblockhash", height), 2)["tx"][0]
    out = [v for v in coinbase["vout"] if v["value"]]
    assert len(out) == 1, out
    block = [b for b in pool.status()["blocks"] if b["height"] == height][0]
    value = int(Decimal(str(out[0]["value"])) * 10 ** 8)
    assert int(block["value_units"]) == value, (block, value)
    return out[0]["scriptPubKey"]["address"], bytes.fromhex(coinbase["vin"][0]["coinbase"]), value


def test_two_pools_on_one_chain_and_a_solo_port():
    with real_node() as node:
        east, west = node.address, node.rpc("getnewaddress", "", "bech32")
        port2, solo, port3, port4 = (free_port() for _ in range(4))
        text = CONFIG.replace("URL", node.url).replace("USER", node.user).replace("PASSWORD", node.password)
        for old, new in (("&", "{start: SHARE, min: SHARE, max: SHARE, vardiff: false}"), ("SHARE", SHARE), ("EAST", east),
                         ("WEST", west), ("TOY", address(99)), ("PORT2", port2), ("SOLO", solo), ("PORT3", port3),
                         ("PORT4", port4), ("FLOOR", FLOOR)):
            text = text.replace(old, str(new))
        with Pool(text) as pool:
            pool.start()
            play(pool, node, {"east": east, "west": west}, (pool.port, port2, solo, port3, port4))
            pool.stop()
            assert "ok" in pool.command("ledger", "verify", "-c", pool.config).stdout


def play(pool, node, owner, ports):
    # One miner works on both pools, and one with both schemes of a pool.
    of_east, of_solo, of_west, of_toy = [], [], [], []
    both, two = address(1), address(2)
    a, b = Rig(ports[0], both, of_east), Rig(ports[1], two, of_east)
    s = Rig(ports[2], two, of_solo)
    w, x = Rig(ports[3], both, of_west), Rig(ports[3], address(3), of_west)
    toy = Rig(ports[4], both, of_toy)
    rigs, due, fees = [a, b, s, w, x], {"east": {}, "west": {}}, {"east": 0, "west": 0}

    def turn(counts):
        for i in range(max(counts)):
            for r, n in zip([*rigs, toy], counts):
                if i < n:
                    r.share()

    def settle():
        """Until the pool has counted what was sent: what comes next is another batch."""
        sent = len(of_east) + len(of_solo)
        wait_for(lambda: [p["accepted"] for p in pool.status()["pools"] if p["name"] == "east"] == [sent], 20,
                 about="all shares to be counted")

    def credit(name, finder, ppm, weights):
        where, script, value = find(pool, node, rigs, finder)
        assert where == owner[name] and f"/{name}/".encode() in script, (where, script)
        fee = fee_of(value, ppm)
        fees[name] += fee
        add(due[name], split(value - fee, weights()))
        for pool_name in due:  # the other one has what it had
            assert balances(pool, pool_name, "immature") == {**due[pool_name]}, pool_name
            assert balances(pool, pool_name, "fee_immature") == \
                ({"the pool": fees[pool_name]} if fees[pool_name] else {}), pool_name

    window = work_of(BLOCK)
    turn((30, 20, 25, 15, 10, 5))
    credit("east", a, 10_000, lambda: pplns(of_east, window // 4))
    turn((0, 17, 3, 8, 0, 0))
    credit("east", s, 10_000, lambda: {two: 1})
    credit("west", x, 25_000, lambda: pplns(of_west, 2 * window))
    # Of the batch that holds its end, a window takes a part of everybody. So let it end between two batches.
    turn((9, 12, 0, 0, 2, 0))
    settle()
    turn((31, 32, 0, 0, 0, 0))
    credit("east", b, 10_000, lambda: pplns(of_east, window // 4))
    credit("west", w, 25_000, lambda: pplns(of_west, 2 * window))
    assert len(of_east) * WORK > window // 4, "the window never cut anything"
    assert not balances(pool, "toy", "immature")
    accepted = {p["name"]: p["accepted"] for p in pool.status()["pools"]}
    assert accepted == {"east": len(of_east) + len(of_solo), "west": len(of_west), "toy": len(of_toy)}, accepted
    for r in [*rigs, toy]:
        r.close()
