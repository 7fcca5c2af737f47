"""Pools that pay, on real nodes: what the tests of payments have in common."""
import json
import sqlite3
import os
import threading

import litecoin
import stratum
import test_litecoin as ltc
import test_node as btc
from node import Knots
from pool import Pool, address, wait_for
from proxy import Proxy
from skip import Skip

MATURITY = 100


def knots(blocks=110):
    try:
        return Knots(blocks)
    except FileNotFoundError as e:
        raise Skip(str(e)) from None


class Coin:
    """What differs between the two coins of these tests."""

    def __init__(self, module, name, node, client, address_of, target_of):
        self.module, self.name, self.node, self.client = module, name, node, client
        self.address, self.target_of = address_of, target_of


LITECOIN = Coin(ltc, "ltc", litecoin.Litecoin, litecoin.ScryptClient, ltc.address, ltc.target_of)
BITCOIN = Coin(btc, "btc", knots, stratum.Client, address, btc.target_of)


class Bank:
    """A node, a proxy before it, and a pool that pays out of the node's wallet. Blocks go to addresses of many."""

    def __init__(self, coin, payments, pool="", blocks=110, floor=None, confirmations=2, coin_age=1):
        self.coin = coin
        self.node = coin.node(blocks)
        self.proxy = Proxy(self.node.port)
        self.proxied = type("Proxied", (), {"url": self.proxy.url, "user": "u", "password": "p",
                                            "address": self.node.address})
        text = coin.module.config(self.proxied, floor or coin.module.FLOOR)
        text = text.replace("password: p}", "password: p, roles: [template, submit, wallet]}")
        text = text.replace("    payout: {", f"    payments: {{{payments}, confirmations: {confirmations}, "
                                            f"coin_confirmations: {coin_age}}}\n    {pool}\n    payout: {{")
        self.pool = Pool(text)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.pool.__exit__(kind)
        self.node.__exit__()

    def generate(self, n):
        return self.node.rpc("generatetoaddress", n, self.node.address)

    # --- mining ---

    def mine(self, counts):
        """A block by mine_a_block() of the coin's own test, then deep enough. The spendable balances after it."""
        height = self.node.rpc("getblockcount") + 1
        self.coin.module.mine_a_block(self.pool, counts)
        self.coin.module.block_in_state(self.pool, height, "confirming")
        self.generate(MATURITY)
        self.coin.module.block_in_state(self.pool, height, "mature", seconds=30) \
            if self.coin is LITECOIN else btc.block_in_state(self.pool, height, "mature")
        return height

    def balances(self, kind):
        return self.coin.module.credits(self.pool, kind)

    def accounts(self, kind):
        """The same by "account list", a page of all accounts."""
        r = self.pool.command("account", "list", self.coin.name, "--socket", self.pool.socket, "--json")
        answer = json.loads(r.stdout)
        assert answer["next"] is None, answer
        assert "there are more" not in self.pool.command("account", "list", "--socket", self.pool.socket).stdout
        last = answer["accounts"][-1]["number"]
        r = self.pool.command("account", "list", "--after", str(last), "--socket", self.pool.socket, "--json")
        assert not json.loads(r.stdout)["accounts"]
        return {a["address"]: int(a[kind + "_units"]) for a in answer["accounts"]}

    # --- paying ---

    def ask(self, *words, check=True):
        r = self.pool.command("payment", "--socket", self.pool.socket, "--json", *words, check=check)
        return json.loads(r.stdout) if check else r

    def turn_on(self):
        plan = self.ask("plan", self.coin.name)
        self.ask("start", self.coin.name, plan["code"])
        return plan

    def run(self):
        """The next round now; being turned on begins the first one by itself."""
        self.ask("run", self.coin.name, check=False)

    def payments(self):
        return self.ask("list", "--all")["payments"]

    def wait_state(self, *states, id_=None, seconds=40):
        def look():
            for p in self.payments():
                if p["state"] in states and (id_ is None or p["id"] == id_):
                    return p
            return None
        return wait_for(look, seconds, step=0.2, about=f"a payment in state {states}: {self.tell()}")

    def tell(self):
        try:
            return json.dumps(self.payments())[:1500]
        except AssertionError as e:
            return str(e)

    def confirm(self, id_=None, n=2):
        """Blocks until the payment is final."""
        p = self.wait_state("sent", "paid", id_=id_)
        self.generate(n)
        return self.wait_state("paid", id_=p["id"])

    def received(self, addresses):
        """Base units that each address got in the best chain, by the node's own reading of every block."""
        got = {a: 0 for a in addresses}
        for h in range(1, self.node.rpc("getblockcount") + 1):
            block = self.node.rpc("getblock", self.node.rpc("getblockhash", h), 2)
            for tx in block["tx"][1:]:
                for o in tx["vout"]:
                    script = o.get("scriptPubKey", {})
                    for a in [script["address"]] if "address" in script else script.get("addresses", []):
                        if a in got:
                            got[a] += round(o["value"] * 10**8)
        return got

    def verify(self):
        """Stops the pool; its ledger must hold."""
        self.pool.stop()
        r = self.pool.command("ledger", "verify", "-c", self.pool.config)
        assert "ok" in r.stdout, r.stdout
        with sqlite3.connect(os.path.join(self.pool.folder, "data", "otedama.db")) as db:
            return db.execute("SELECT count(*) FROM payments WHERE held <> 0").fetchone()[0]

    # --- faults ---

    def kill_at(self, method, when):
        """Kills the pool at the next call of method: before the node gets it, or before its answer comes back."""
        fired = threading.Event()

        def cut(methods):
            if method not in methods or fired.is_set():
                return False
            self.pool.kill()
            fired.set()
            return True
        if when == "before":
            self.proxy.on_call = cut
        else:
            self.proxy.on_answer = cut
        return fired

    def no_faults(self):
        self.proxy.on_call = self.proxy.on_answer = lambda methods: False
        self.proxy.lost, self.proxy.hang = set(), set()
