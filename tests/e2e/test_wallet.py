"""chain/bitcoin against the wallets of real nodes: its test program writes requests and reads answers, this file
carries them. OTEDAMA_RECORD=FILE keeps what the nodes said, for plugins/chain/bitcoin/testdata/wallet.txt."""
import base64
import json
import os
import subprocess
import urllib.error
import urllib.request
from decimal import Decimal

from litecoin import Litecoin
from node import Knots, RpcError
from pool import BUILD, bech32
from skip import Skip

WALLET, COINS, LOCK, SIGN, SEND, TX = range(6, 12)
SENT, KNOWN, FEE, CONFLICT, REFUSED_TX = 1, 2, 3, 4, 5
UNKNOWN, WAITS, BLOCK = 1, 2, 3
RECORD = os.environ.get("OTEDAMA_RECORD")
MAX_ARG = 120000


def units(amount):
    return int(Decimal(str(amount)) * 10**8)


class Plugin:
    """The plugin's half of a conversation with one wallet of node."""

    def __init__(self, node, wallet):
        self.node, self.wallet = node, wallet

    def program(self, *args, **kw):
        r = subprocess.run([os.path.join(BUILD, "test_bitcoin_wallet"), *args], capture_output=True, text=True,
                           timeout=180, **kw)
        assert r.returncode == 0, (args[:2], r.returncode, r.stdout[-300:], r.stderr[-300:])
        return r.stdout

    def post(self, body, wallet):
        r = urllib.request.Request(f"{self.node.url}/wallet/{wallet}", body.encode())
        r.add_header("Authorization", "Basic " + base64.b64encode(b"u:p").decode())
        try:
            with urllib.request.urlopen(r, timeout=180) as f:
                return f.status, f.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()

    def call(self, kind, record=None, wallet=None, **kv):
        """(return code, what was read as a dict, or the error's words)."""
        args = [f"kind={kind}"] + [f"{k}={v}" for k, v in kv.items() if v not in (None, "")]
        status, body = self.post(self.program("request", *args), wallet or self.wallet)
        said = self.program("answer", *args, input=f"{status}\n{body}").rstrip("\n")
        if RECORD and record:
            with open(RECORD, "a", encoding="utf-8") as f:
                f.write(f"{self.node.name} {record}\n{' '.join(args)}\n{status}\n{body.strip()}\n{said}\n")
        head, _, rest = said.partition(" ")
        rc = int(head[3:])
        if rc:
            return rc, rest
        if kind == SEND:
            verdict, _, reason = rest.partition(" reason=")
            return rc, {"verdict": int(verdict[8:]), "reason": reason}
        return rc, dict(w.split("=", 1) for w in rest.split(" ") if "=" in w)

    def well(self, kind, record=None, **kv):
        rc, read = self.call(kind, record, **kv)
        assert rc == 0, (kind, rc, read)
        return read

    def coins(self, confirmations=1, record=None):
        text = self.well(COINS, record, confirmations=confirmations)["coins"]
        return [tuple(c.split(":")) for c in text.split(",") if c]

    def build(self, coins, payees):
        coins = ",".join(":".join(c[:4]) for c in coins)
        payees = ",".join(f"{script}:{value}" for script, value in payees)
        read = dict(w.split("=", 1) for w in self.program("build", "coins=" + coins, "payees=" + payees).split())
        assert read["rc"] == "0", read
        return coins, payees, read["raw"], int(read["vsize"])

    def pay(self, coins, payees, record=None):
        """Builds, signs, checks: (coins as text, txid, signed raw, vsize)."""
        coins, payees, raw, bound = self.build(coins, payees)
        signed = self.well(SIGN, record, raw=raw)["raw"]
        assert len(signed) < MAX_ARG
        read = dict(w.split("=", 1) for w in
                    self.program("check", "coins=" + coins, "payees=" + payees, "raw=" + signed).split())
        assert read["rc"] == "0", read
        node = self.node.rpc("decoderawtransaction", signed)
        assert node["txid"] == read["txid"] and node["vsize"] == int(read["vsize"]), (node, read)
        assert int(read["vsize"]) <= bound <= int(read["vsize"]) + 2 * len(coins.split(",")) + 1, (read, bound)
        return coins, read["txid"], signed, read

    def send(self, raw, record=None):
        return self.well(SEND, record, raw=raw)["verdict"]

    def where(self, txid, coins, record=None):
        read = self.well(TX, record, txid=txid, coins=coins)
        return {k: int(v) if k != "block" else v for k, v in read.items()}


def script_of(node, address):
    info = node.rpc("validateaddress", address)
    return info["scriptPubKey"]


def held(plugin, address):
    """WALLET and COINS say what the node's own words say, to the last unit."""
    node = plugin.node
    read = plugin.well(WALLET, "wallet", address=address)
    mine = node.rpc("getbalances")["mine"]
    assert int(read["balance"]) == units(mine["trusted"]) and int(read["immature"]) == units(mine["immature"])
    assert (read["locked"], read["owns"], read["name"]) == ("0", "1", "w"), read
    assert int(read["min"]) >= units(node.rpc("getmempoolinfo")["minrelaytxfee"]) > 0
    assert plugin.well(WALLET, "wallet of another address", address=foreign(node))["owns"] == "2"
    assert plugin.well(WALLET, "wallet and no address", address="nonsense")["owns"] == "2"
    assert plugin.well(WALLET)["owns"] == "0"


def foreign(node):
    """Of BIP 173's key, which nobody here has."""
    program = bytes.fromhex("751e76e8199196d454941c45d1b3a323f1433bd6")
    return bech32(program, {"bitcoin-knots": "bcrt", "litecoind": "rltc"}[node.name])


def stocked(plugin, kinds):
    """One coin of each kind of address, one block deep; and the scripts of two payees."""
    node = plugin.node
    for kind in kinds:
        node.rpc("sendtoaddress", node.rpc("getnewaddress", "", kind), "1.23456789")
    node.rpc("generatetoaddress", 1, node.address)
    coins = [c for c in plugin.coins() if c[3] == "123456789"]
    assert len(coins) == len(kinds), coins
    listed = {(u["txid"], str(u["vout"])): u for u in node.rpc("listunspent") if "vout" in u}
    for c in plugin.coins():
        u = listed[c[0], c[1]]
        assert (c[2], int(c[3]), int(c[4])) == (u["scriptPubKey"], units(u["amount"]), u["confirmations"]), (c, u)
    shallow = plugin.coins(confirmations=1, record=None)
    assert len(plugin.coins(confirmations=2)) < len(shallow)
    return coins


def locked_coins(plugin, coins):
    text = ",".join(":".join(c[:4]) for c in coins[:2])
    before = plugin.coins()
    for record in ("lock", "lock again"):
        plugin.well(LOCK, record, coins=text)
        assert len(plugin.coins()) == len(before) - 2
        assert len(plugin.node.rpc("listlockunspent")) == 2
    for record in ("unlock", "unlock again"):
        plugin.well(LOCK, record, coins=text, unlock=1)
        assert len(plugin.coins()) == len(before)


def paid(plugin, coins):
    """A payment with all that may come across it, until it is in a block, and back out of it."""
    node, total = plugin.node, sum(int(c[3]) for c in coins)
    miner, change = script_of(node, foreign(node)), script_of(node, node.rpc("getnewaddress", "", "bech32"))

    def payment(fee, record=None):
        return plugin.pay(coins, [(miner, 1000000), (miner, 2000000), (change, total - 3000000 - fee)], record)
    text, cheap_id, cheap, _ = payment(10)
    assert plugin.send(cheap, "send, fee below the least") == FEE
    _, first_id, first, info = payment(20000, "sign")
    assert info["malleable"] == ("1" if any(c[2].startswith("76a9") for c in coins) else "0")
    at = plugin.where(first_id, text, "tx before")
    assert (at["state"], at["spent"], at["missing"]) == (UNKNOWN, 0, 0), at
    assert plugin.send(first, "send") == SENT
    assert plugin.send(first, "send again") in (SENT, KNOWN)
    at = plugin.where(first_id, text, "tx waits")
    assert (at["state"], at["mempool"], at["spent"], at["missing"]) == (WAITS, 1, 0, 0), at
    assert not {c[:2] for c in coins} & {c[:2] for c in plugin.coins()}
    # a coin of a transaction that is in no block
    change_coin = f"{first_id}:2:{change}:{total - 3020000}"
    assert plugin.where(first_id, change_coin, "tx of a coin that is in no block")["missing"] == 1
    _, _, less, _ = payment(20010)
    _, second_id, second, _ = payment(60000)
    if node.name == "litecoind":  # replaces nothing by default (its validation.h, DEFAULT_ENABLE_REPLACEMENT)
        assert plugin.send(second, "send, a replacement where there is none") == CONFLICT
        assert plugin.where(second_id, text)["state"] == UNKNOWN
        second_id, second = first_id, first
    else:
        assert plugin.send(less, "send, a replacement that pays too little") == FEE
        assert plugin.send(second, "send, a replacement") == SENT
        at = plugin.where(first_id, text, "tx replaced")
        assert (at["state"], at["mempool"], at["spent"]) == (WAITS, 0, 0), at
    block = node.rpc("generatetoaddress", 1, node.address)[0]
    at = plugin.where(second_id, text, "tx in a block")
    assert (at["state"], at["confirmations"], at["spent"], at["missing"]) == (BLOCK, 1, len(coins), 0), at
    assert at["block"] == block and at["height"] == at["tip"] == node.rpc("getblockcount")
    if first_id != second_id:
        at = plugin.where(first_id, text, "tx conflicted")
        assert (at["state"], at["mempool"], at["spent"]) == (WAITS, 0, len(coins)), at
    assert plugin.send(less, "send, its coins are spent") == CONFLICT
    assert plugin.send(second, "send, in a block") == KNOWN
    rc, words = plugin.call(SIGN, "sign, its coins are spent", raw=plugin.build(coins, [(miner, 1000000)])[2])
    assert rc and "cannot sign all inputs" in words, (rc, words)
    # a reorganisation gives it back
    node.rpc("invalidateblock", block)
    at = plugin.where(second_id, text, "tx after a reorganisation")
    assert (at["state"], at["mempool"], at["spent"], at["missing"]) == (WAITS, 1, 0, 0), at
    node.rpc("reconsiderblock", block)
    assert plugin.where(second_id, text)["state"] == BLOCK


def refused(plugin):
    assert plugin.send("0011", "send, no transaction") == REFUSED_TX
    rc, words = plugin.call(TX, "tx of a coin that the wallet does not know", txid="11" * 32,
                            coins="22" * 32 + ":0::5")
    assert rc and "another wallet" in words, words
    rc, words = plugin.call(WALLET, "a wallet that is not there", wallet="none")
    assert rc and "not loaded" in words, words


def watching(plugin):
    plugin.node.rpc("createwallet", "watch", True)
    rc, words = plugin.call(WALLET, "a wallet without keys", wallet="watch")
    assert rc and "no private keys" in words, words
    try:  # now there are two
        plugin.node.rpc("getwalletinfo")
    except RpcError as e:
        assert e.code == -19, e
    plugin.node.rpc("unloadwallet", "watch")


def encrypted(plugin, coins):
    node = plugin.node
    miner, total = script_of(node, foreign(node)), sum(int(c[3]) for c in coins)
    node.rpc("encryptwallet", "secret")
    raw = plugin.build(coins, [(miner, total - 20000)])[2]
    assert plugin.well(WALLET, "a locked wallet")["locked"] == "1"
    rc, words = plugin.call(SIGN, "sign, the wallet is locked", raw=raw)
    assert rc and "the wallet is locked: unlock it with walletpassphrase" in words, words
    node.rpc("walletpassphrase", "secret", 600)
    assert plugin.well(WALLET, "an unlocked wallet")["locked"] == "0"
    _, _, signed, _ = plugin.pay(coins, [(miner, total - 20000)])
    assert plugin.send(signed) == SENT


def run(node, kinds):
    plugin = Plugin(node, "w")
    held(plugin, node.address)
    coins = stocked(plugin, kinds)
    locked_coins(plugin, coins)
    paid(plugin, coins)
    refused(plugin)
    watching(plugin)
    encrypted(plugin, plugin.coins()[:2])
    return plugin


def test_wallet_of_bitcoin():
    try:
        node = Knots()
    except FileNotFoundError as e:
        raise Skip(f"bitcoin-knots cannot be installed: {e}") from e
    with node:
        plugin = run(node, ["legacy", "p2sh-segwit", "bech32", "bech32m"])
        # a young reward, few coins: what is recorded of COINS
        node.rpc("createwallet", "small")
        address = node_wallet(plugin, "small", "getnewaddress")
        node_wallet(plugin, "w", "sendtoaddress", address, "0.5")
        node_wallet(plugin, "w", "generatetoaddress", 1, address)
        rc, read = plugin.call(COINS, "coins", wallet="small", confirmations=1)
        assert rc == 0 and ":50000000:1" in read["coins"], read


def node_wallet(plugin, wallet, method, *params):
    status, body = plugin.post(json.dumps({"id": 1, "method": method, "params": list(params)}), wallet)
    assert status == 200, body
    return json.loads(body)["result"]


def test_wallet_of_litecoin():
    with Litecoin(blocks=431) as node:
        node.peg_in(2)  # MWEB begins, and its coins are in the wallet
        node.generate(1)
        plugin = run(node, ["legacy", "p2sh-segwit", "bech32"])
        mweb = [u for u in node.rpc("listunspent") if "vout" not in u]
        assert mweb, "no MWEB coin is listed: this test shows nothing"
        assert all(len(c) == 5 for c in plugin.coins())
        node.rpc("createwallet", "small")
        for kind in ("bech32", "mweb"):
            address = node_wallet(plugin, "small", "getnewaddress", "", kind)
            node_wallet(plugin, "w", "sendtoaddress", address, "0.5")
        node.generate(3)
        rc, read = plugin.call(COINS, "coins, one of them in MWEB", wallet="small", confirmations=1)
        assert rc == 0 and read["coins"].count(":") == 4 and ":50000000:3" in read["coins"], read
        node.agree()
