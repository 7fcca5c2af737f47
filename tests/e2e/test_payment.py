"""Miners are paid out of a real node's wallet: to the last unit, and once, whatever dies in between."""
import random
import time

from money import split
from payments import BITCOIN, LITECOIN, Bank
from pool import wait_for

ONCE = "what a random kill brings to light may be money paid twice"
PAYMENTS = "minimum: 0.0001, every: 30d"


def receipts(coin, unit):
    with Bank(coin, PAYMENTS.replace("0.0001", f"0.0001 {unit}")) as bank:
        bank.pool.start()
        bank.mine((40, 25, 9))
        due = bank.balances("spendable")
        assert len(due) == 3 and sum(due.values()) > 0
        plan = bank.ask("plan", coin.name)
        assert {p["address"]: int(p["amount_units"]) for p in plan["parts"]} == due, plan
        assert bank.accounts("spendable") == due
        time.sleep(2)
        assert not bank.payments(), "something was paid before the operator said yes"
        r = bank.ask("start", coin.name, "00000000", check=False)
        assert r.returncode == 1 and "plan" in r.stderr, r.stderr
        bank.ask("start", coin.name, plan["code"])
        bank.run()
        paid = bank.confirm()
        assert bank.received(due) == due
        assert not any(bank.balances("spendable").values())
        assert not any(bank.accounts("spendable").values())
        assert sum(bank.balances("paid").values()) == sum(due.values())
        assert sum(bank.balances("network_fee").values()) == int(paid["fee_units"])
        # a second block: only what came since
        bank.mine((5, 30, 2))
        more = bank.balances("spendable")
        bank.run()
        second = bank.wait_state("sent", "paid", id_=paid["id"] + 1)
        bank.confirm(second["id"])
        assert bank.received(due) == {a: due[a] + more[a] for a in due}
        assert bank.verify() == 0, "a payment is held"


def test_receipts_on_litecoin():
    receipts(LITECOIN, "LTC")


def test_receipts_on_bitcoin():
    receipts(BITCOIN, "BTC")


def test_miners_pay_the_network_and_the_fee_has_recipients():
    one, two = BITCOIN.address(701), BITCOIN.address(702)
    with Bank(BITCOIN, PAYMENTS + ", network_fee: miners") as bank:
        text = bank.pool.text.replace("fee: {rate: 1%}",
                                      f"fee: {{rate: 2%, recipients: {{{one}: {{share: 70%}}, {two}: {{share: 30%}}}}}}")
        bank.pool.write(text)
        bank.pool.start()
        bank.mine((40, 25, 9))
        due, fee = bank.balances("spendable"), bank.balances("fee")["the pool"]
        amounts = dict(due) | split(fee, {one: 700000, two: 300000})
        bank.turn_on()
        bank.run()
        paid = bank.confirm()
        cost = int(paid["fee_units"])
        got = bank.received(amounts)
        assert sum(got.values()) == sum(amounts.values()) - cost
        for a, n in amounts.items():
            share = cost * n / sum(amounts.values())
            assert n - share - 1 <= got[a] <= n - share + 1, (a, n, got[a], share)
        assert bank.verify() == 0


METHODS = ("getwalletinfo", "listunspent", "lockunspent", "signrawtransactionwithwallet", "sendrawtransaction",
           "gettransaction")


def test_killed_at_every_call():
    """One recipient a round, and a kill -9 in each: before a call reaches the node, and before its answer is read."""
    with Bank(LITECOIN, PAYMENTS + ", recipients: 1") as bank:
        bank.pool.start()
        bank.mine([4] * 14)
        due = bank.balances("spendable")
        assert len(due) == 14
        bank.turn_on()
        done = 0
        for method in METHODS:
            for when in ("before", "after"):
                fired = bank.kill_at(method, when)
                bank.run()
                assert fired.wait(60), f"{method} was not called: {bank.tell()}"
                bank.no_faults()
                bank.pool.start()
                bank.run()
                done += 1
                wait_for(lambda: len(bank.payments()) >= done, 40, about="the next payment")
                p = max(bank.payments(), key=lambda p: p["id"])
                bank.confirm(p["id"])
        got = bank.received(due)
        paid = [a for a in due if got[a]]
        assert len(paid) == len(bank.payments()), "a payment was made twice or not at all"
        assert all(got[a] == due[a] for a in paid), (got, due)
        assert bank.verify() == 0, "a payment ended with a person on a healthy node"


def test_killed_at_random_moments():
    """Rounds of one recipient with kills within the second in which they happen."""
    rng = random.Random(7)
    with Bank(LITECOIN, PAYMENTS + ", recipients: 2") as bank:
        bank.pool.start()
        bank.mine([3] * 16)
        due = bank.balances("spendable")
        bank.turn_on()
        for _ in range(8):
            bank.run()
            time.sleep(rng.random() * 0.6)
            bank.pool.kill()
            bank.generate(rng.randrange(3))
            bank.pool.start()

        def all_paid():
            bank.run()
            bank.generate(1)
            return not any(bank.balances("spendable").values()) and \
                all(p["state"] in ("paid", "cancelled") for p in bank.payments())
        wait_for(all_paid, 90, step=1, about="the end of all payments")
        assert bank.received(due) == due
        assert bank.verify() == 0


def test_locked_wallet_waits():
    with Bank(LITECOIN, PAYMENTS) as bank:
        bank.node.rpc("encryptwallet", "secret")
        bank.pool.start()
        bank.mine((9, 5))
        due = bank.balances("spendable")
        bank.turn_on()
        bank.run()
        wait_for(lambda: any("lock" in a for a in bank.pool.status()["attention"]), 20,
                 about="words about the locked wallet")
        assert bank.payments()[0]["state"] in ("reserved", "funded")
        bank.node.rpc("walletpassphrase", "secret", 600)
        bank.confirm()
        assert bank.received(due) == due
        assert bank.verify() == 0


def test_short_balance_waits():
    with Bank(LITECOIN, PAYMENTS) as bank:
        bank.pool.start()
        bank.mine((9, 5))
        bank.mine((5, 9))
        due, foreign = bank.balances("spendable"), LITECOIN.address(999)
        bank.node.rpc("sendtoaddress", foreign, bank.node.rpc("getbalance"), "", "", True)
        bank.node.rpc("generatetoaddress", 1, foreign)  # which makes one coin mature: too little
        bank.turn_on()
        bank.run()
        wait_for(lambda: any("too little" in a for a in bank.pool.status()["attention"]), 20,
                 about="words about the balance")
        assert bank.payments()[0]["state"] == "reserved"
        bank.node.rpc("generatetoaddress", 5, foreign)
        bank.confirm()
        assert bank.received(due) == due
        assert bank.verify() == 0


def test_lost_answer_to_the_broadcast():
    with Bank(BITCOIN, PAYMENTS) as bank:
        bank.pool.start()
        bank.mine((9, 5))
        due = bank.balances("spendable")
        bank.turn_on()
        bank.proxy.lost = {"sendrawtransaction"}
        bank.run()
        wait_for(lambda: bank.proxy.count("sendrawtransaction"), 30, about="the broadcast")
        time.sleep(1)
        bank.no_faults()
        bank.confirm()
        assert bank.received(due) == due
        assert bank.verify() == 0


def test_fee_too_low_is_raised_with_the_same_coins():
    """The node's floor rises between two payments; what was refused is replaced, never beside itself."""
    with Bank(BITCOIN, PAYMENTS + ", fee_rate: 1") as bank:
        bank.pool.start()
        bank.mine((9, 5))
        due = bank.balances("spendable")
        bank.turn_on()
        bank.node.stop()
        with open(f"{bank.node.folder}/bitcoin.conf", "a", encoding="utf-8") as f:
            f.write("minrelaytxfee=0.00005\n")
        bank.node.start()
        if "w" not in bank.node.rpc("listwallets"):
            bank.node.rpc("loadwallet", "w")
        bank.generate(1)
        bank.run()
        paid = bank.confirm()
        assert bank.received(due) == due
        shown = bank.ask("show", str(paid["id"]))
        assert int(paid["fee_units"]) * 1000 >= 5000 * shown["txs"][-1]["vsize"], shown
        assert bank.verify() == 0


def test_coins_spent_by_somebody_else():
    """The operator spends a coin of a payment by hand. Once that is deep, the payment is made anew: one receipt each."""
    with Bank(LITECOIN, PAYMENTS) as bank:
        bank.pool.start()
        bank.mine((9, 5))
        due = bank.balances("spendable")
        bank.turn_on()
        bank.proxy.hang = {"sendrawtransaction"}
        bank.run()
        p = bank.wait_state("signed")
        wait_for(lambda: bank.proxy.count("sendrawtransaction"), 30, about="the broadcast")
        coins = bank.ask("show", str(p["id"]))["coins"]
        node = bank.node
        node.rpc("lockunspent", True, [{"txid": c["txid"], "vout": c["index"]} for c in coins])
        value = sum(int(c["value_units"]) for c in coins) - 100000
        raw = node.rpc("createrawtransaction", [{"txid": c["txid"], "vout": c["index"]} for c in coins],
                       {node.rpc("getnewaddress"): f"{value / 10**8:.8f}"})
        node.rpc("sendrawtransaction", node.rpc("signrawtransactionwithwallet", raw)["hex"], 0)
        bank.generate(1)
        bank.no_faults()
        time.sleep(3)
        assert not any(bank.received(due).values())
        for _ in range(4):
            bank.generate(1)
            time.sleep(1)
        bank.confirm(p["id"])
        assert bank.received(due) == due
        assert bank.verify() == 0


def test_reorganised_payment_confirms_again():
    with Bank(LITECOIN, PAYMENTS, confirmations=3) as bank:
        bank.pool.start()
        bank.mine((9, 5))
        due = bank.balances("spendable")
        bank.turn_on()
        bank.run()
        p = bank.wait_state("sent")
        tip = bank.generate(1)[0]
        wait_for(lambda: bank.payments()[0]["confirmations"] == 1, 30, about="the first confirmation")
        bank.node.rpc("invalidateblock", tip)
        bank.node.rpc("generatetoaddress", 1, LITECOIN.address(999))  # other blocks, and the payment in one of them
        bank.generate(4)
        bank.wait_state("paid", id_=p["id"])
        assert bank.received(due) == due
        assert bank.verify() == 0


def test_block_orphaned_after_it_was_paid():
    """A reorganisation deeper than the maturity: what was paid for it is the pool's loss, on its risk account."""
    # Coins that are rewards of the first ten blocks: where the chain is cut back to 110 blocks, younger ones are
    # not old enough to be spent, and the node would drop the payment.
    with Bank(LITECOIN, PAYMENTS, coin_age=202) as bank:
        bank.pool.start()
        height = bank.mine((9, 5))
        due = bank.balances("spendable")
        bank.turn_on()
        bank.run()
        cost = int(bank.confirm()["fee_units"])
        bank.node.rpc("invalidateblock", bank.node.rpc("getblockhash", height))
        # the payment's own transaction comes back in the new branch: its coins are older
        bank.generate(MANY)
        LITECOIN.module.block_in_state(bank.pool, height, "orphaned", seconds=60)
        risk = wait_for(lambda: bank.balances("risk"), 20, about="the risk account")
        # what the miners keep, and what of the pool's fee has gone to the network
        assert -sum(risk.values()) == sum(due.values()) + cost, (risk, due)
        assert any("risk" in a for a in bank.pool.status()["attention"]), bank.pool.status()["attention"]
        assert bank.received(due) == due
        assert not any(bank.balances("spendable").values())
        bank.pool.stop()
        assert "ok" in bank.pool.command("ledger", "verify", "-c", bank.pool.config).stdout


MANY = 115


def test_hold_release_and_resolve():
    with Bank(LITECOIN, PAYMENTS) as bank:
        bank.pool.start()
        bank.mine((9, 5))
        due = bank.balances("spendable")
        first, second = sorted(due)
        bank.ask("hold", f"ltc/{first}", "--reason", "asked for papers")
        plan = bank.turn_on()
        assert [p["address"] for p in plan["parts"]] == [second]
        bank.proxy.hang = {"sendrawtransaction"}
        bank.run()
        p = bank.wait_state("signed")
        r = bank.ask("resolve", str(p["id"]), "--unpaid", "--reason", "no", check=False)
        assert r.returncode == 1, "a signed payment was given up though it may still come"
        r = bank.ask("resolve", str(p["id"]), "--paid", "00" * 32, "--reason", "no", check=False)
        assert r.returncode == 1, "a payment was called paid by nothing"
        bank.ask("hold", str(p["id"]), "--reason", "let me look")
        bank.no_faults()
        time.sleep(4)
        assert bank.payments()[0]["state"] == "signed" and bank.payments()[0]["held"]
        bank.ask("release", str(p["id"]))
        bank.confirm(p["id"])
        bank.ask("release", f"ltc/{first}")
        bank.run()
        q = bank.wait_state("sent", "paid", id_=p["id"] + 1)
        bank.confirm(q["id"])
        assert bank.received(due) == due
        assert bank.verify() == 0


def test_mweb_recipient_is_refused_with_the_reason():
    with Bank(LITECOIN, PAYMENTS) as bank:
        bank.pool.start()
        mweb = bank.node.rpc("getnewaddress", "", "mweb")
        with LITECOIN.client(bank.pool.port) as c:
            c.subscribe()
            try:
                c.authorize(f"{mweb}.x")
            except Exception as e:  # what kind it is does not matter here: its words do
                assert "MWEB" in str(e), e
            else:
                raise AssertionError("an MWEB address may mine")
