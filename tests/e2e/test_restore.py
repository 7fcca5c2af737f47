"""A backup that was made while a payment was on its way, and the disk lost after that payment went out: a restored pool
does not make it again, and a person can say what became of it. Each on a real wallet."""
import os
import shutil

from payments import LITECOIN, Bank
from pool import wait_for

PAYMENTS = "minimum: 0.0001 LTC, every: 30d"


class Lost:
    """A pool whose backup has one payment in a state, and which went on and paid it. Restored, not yet turned on."""

    def __init__(self, bank, method, state):
        self.bank = bank
        bank.pool.start()
        bank.mine((9, 5))
        self.due = bank.balances("spendable")
        plan = bank.ask("plan", "ltc")
        bank.proxy.hang = {method}
        bank.ask("start", "ltc", plan["code"])
        self.id = bank.wait_state(state)["id"]
        folder = os.path.join(bank.pool.folder, "b")
        bank.pool.command("backup", "-c", bank.pool.config, folder)
        assert self.payment()["state"] == state
        bank.no_faults()
        self.txid = bank.confirm()["txid"]
        assert bank.received(self.due) == self.due
        bank.pool.kill()
        shutil.rmtree(os.path.join(bank.pool.folder, "data"))
        bank.pool.command("restore", "-c", bank.pool.config, folder)
        bank.pool.start()
        wait_for(lambda: self.payment().get("pool"), 20, about="the payment read again")

    def payment(self):
        return next(p for p in self.bank.payments() if p["id"] == self.id)

    def turned_on(self):
        """The operator says yes again: what is held stands still, and nobody else is due."""
        plan = self.bank.ask("plan", "ltc")
        assert plan["restored"] and not plan["parts"], plan
        wait_for(lambda: any("restored from a backup" in a for a in self.bank.pool.status()["attention"]), 20,
                 about="words about it")
        self.bank.ask("start", "ltc", plan["code"])
        self.bank.run()
        self.bank.generate(3)
        assert self.once()

    def once(self):
        return self.bank.received(self.due) == self.due

    def ended(self):
        p = self.bank.wait_state("paid", id_=self.id)
        assert p["txid"] == self.txid or p["txid"] is None, p
        self.bank.generate(3)
        assert self.once(), self.bank.received(self.due)
        assert len(self.bank.payments()) == 1 and self.bank.verify() == 0


def test_a_signed_one_is_looked_up():
    with Bank(LITECOIN, PAYMENTS) as bank:
        lost = Lost(bank, "sendrawtransaction", "signed")
        lost.turned_on()
        # What is in the chain is booked, held or not.
        p = bank.wait_state("paid", id_=lost.id)
        if p["held"]:
            bank.ask("release", str(lost.id))
        lost.ended()


def unsigned(method, state):
    with Bank(LITECOIN, PAYMENTS) as bank:
        lost = Lost(bank, method, state)
        lost.turned_on()
        assert lost.payment()["held"] and lost.payment()["state"] == state
        # Going on would pay twice, and the program cannot know: it asks.
        r = bank.ask("release", str(lost.id), check=False)
        assert r.returncode == 1 and "--paid TXID" in r.stderr and len(r.stderr.splitlines()) == 1, r.stderr
        bank.ask("hold", str(lost.id), "--reason", "to be looked at")
        r = bank.ask("release", str(lost.id), check=False)
        assert r.returncode == 1 and "--paid TXID" in r.stderr, r.stderr
        bank.ask("resolve", str(lost.id), "--paid", lost.txid, "--reason", "in the wallet's list")
        lost.ended()


def test_a_funded_one_waits_for_a_person():
    unsigned("signrawtransactionwithwallet", "funded")


def test_a_reserved_one_waits_for_a_person():
    unsigned("listunspent", "reserved")


def test_one_that_the_backup_does_not_know_is_booked_by_hand():
    """As the guide has it: with the wallet locked the plan becomes a payment that waits, and a person says what paid it."""
    with Bank(LITECOIN, PAYMENTS) as bank:
        bank.node.rpc("encryptwallet", "secret")
        bank.node.rpc("walletpassphrase", "secret", 600)
        bank.pool.start()
        bank.mine((9, 5))
        due = bank.balances("spendable")
        folder = os.path.join(bank.pool.folder, "b")
        bank.pool.command("backup", "-c", bank.pool.config, folder)
        bank.turn_on()
        txid = bank.confirm()["txid"]
        bank.pool.kill()
        shutil.rmtree(os.path.join(bank.pool.folder, "data"))
        bank.pool.command("restore", "-c", bank.pool.config, folder)
        bank.node.rpc("walletlock")
        bank.pool.start()
        plan = bank.ask("plan", "ltc")
        assert {p["address"]: int(p["amount_units"]) for p in plan["parts"]} == due, plan
        bank.ask("start", "ltc", plan["code"])
        p = bank.wait_state("reserved", "funded")
        bank.ask("resolve", str(p["id"]), "--paid", txid, "--reason", "in the wallet's list")
        assert bank.wait_state("paid", id_=p["id"])["id"] == p["id"]
        bank.node.rpc("walletpassphrase", "secret", 600)
        bank.run()
        bank.generate(3)
        assert not any(bank.balances("spendable").values()) and len(bank.payments()) == 1
        assert bank.received(due) == due and bank.verify() == 0
