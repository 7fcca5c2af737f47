"""kill -9 again and again, under load, with a real database, a real node and payments under way.

OTEDAMA_KILLS=100 tests/e2e/run.py kills: (5 where it is not said). At the end: every acknowledged share is counted once, ledger
and journals hold, a replay of all journals comes to what the database says, the blocks are on the chain, and every miner has
got what he was credited, once.
"""
import json
import os
import random
import threading
import time

from devnet import Database, Miner
from litecoin import ScryptClient
from money import work_of
from payments import LITECOIN, Bank
from pool import wait_for
from test_litecoin import SHARE, address, target_of

ONCE = "what a random kill brings to light may be shares lost or money paid twice"
KILLS = int(os.environ.get("OTEDAMA_KILLS", "5"))
EASY = "0.000030517578125"  # 2^-15: two hashes
FLOOR = "0.0078125"         # 2^-7: 256 such shares a block
PAYMENTS = "minimum: 0.0001 LTC, every: 30d, recipients: 1"
JOURNAL = "journal: {segment: 1MiB, max: 4MiB, commit: 100ms, snapshot: 1s, keep: 1d}"
ACC_MINER = 3  # enum otd_account_kind: what a miner can be paid


class Hand(Miner):
    """Mines scrypt, and goes on where a new tip made its share stale."""

    def __init__(self, port, user, ahead):
        threading.Thread.__init__(self, daemon=True)
        self.client = ScryptClient(port, timeout=30)
        self.user, self.ahead, self.pause = user, ahead, 0
        self.acknowledged, self.refused, self.sent = 0, [], 0
        self.ending = threading.Event()
        self.client.login(user)
        self.start()


def shares_are_counted_once(db, hands):
    one, accepted, work = work_of(target_of(EASY)), db.accepted(), db.work()
    for h in hands:
        assert all(x.startswith("21:") for x in h.refused), h.refused[:3]
        assert h.acknowledged <= accepted.get(h.user, 0) <= h.acknowledged + h.unanswered, \
            f"{h.user}: {h.acknowledged} acknowledged, {h.unanswered} without answer, {accepted.get(h.user, 0)} counted"
        assert work.get(h.user, 0) == accepted.get(h.user, 0) * one
    assert set(accepted) <= {h.user for h in hands}, "shares of somebody unknown"
    return sum(accepted.values())


def wide(blob):
    return int.from_bytes(blob, "big") - (1 << 127)


def credited(db):
    """{address: base units that became spendable}, by the ledger's own entries."""
    sums = {}
    for who, amount in db.rows("SELECT a.address, e.amount FROM entries e JOIN postings p ON p.id = e.posting_id"
                               " JOIN accounts a ON a.id = e.owner WHERE e.account_kind = ? AND p.k LIKE 'block/%/mature'",
                               ACC_MINER):
        sums[who] = sums.get(who, 0) + wide(amount)
    return sums


def blocks_are_on_the_chain(bank, db):
    """Of those that are not orphaned, each; how many there are, and how many were orphaned."""
    on, off = 0, 0
    for height, hash_, state in db.rows("SELECT height, hash, state FROM blocks"):
        if state == 6:
            off += 1
            continue
        on += 1
        assert bank.node.rpc("getblockhash", height) == hash_[::-1].hex(), f"block {height} is not on the chain"
    return on, off


def one_life(bank, rng, turn, hands):
    """Load, payments, blocks, a kill."""
    now = [Hand(bank.pool.port, f"{address(300 + (turn + 2 * i) % 6)}.t{turn}", ahead=(1, 4, 16)[i]) for i in range(3)]
    moment = rng.randrange(4)
    if moment == 0:
        bank.run()
    bank.generate(rng.randrange(9))  # the subsidy is halved every 150 blocks
    if moment == 1:
        bank.run()
    time.sleep(rng.choice((0.02, 0.1, 0.4, 1.2)) * (0.5 + rng.random()))
    if moment == 2:
        bank.run()
        time.sleep(rng.random() * 0.2)
    bank.pool.kill()
    for h in now:
        h.stop()
    hands += now


def everything_settles(bank):
    bank.pool.start()

    def settled():
        bank.run()
        bank.generate(1)
        status = bank.pool.status()
        return status["accounting"]["waiting"] == 0 and \
            all(b["state"] in ("mature", "orphaned") for b in status["blocks"]) and \
            all(n < 10000 for n in bank.balances("spendable").values()) and \
            all(p["state"] in ("paid", "cancelled") for p in bank.payments())
    bank.generate(100)
    wait_for(settled, 180, step=0.5, about="the end of all payments")


def test_kills_under_load_with_payments():
    rng = random.Random(int(os.environ.get("OTEDAMA_KILLS_SEED", "81")))
    hands, began = [], time.monotonic()
    with Bank(LITECOIN, PAYMENTS, floor=FLOOR, blocks=431) as bank:
        bank.node.peg_in()  # without one the node gives no template from the next block on
        bank.generate(1)
        bank.pool.write(bank.pool.text.replace(SHARE, EASY) + JOURNAL + "\n")
        bank.pool.start()
        first = Hand(bank.pool.port, f"{address(300)}.first", ahead=4)
        wait_for(lambda: bank.pool.status()["blocks"], 60, step=0.2, about="a first block")
        first.stop()
        hands.append(first)
        bank.generate(100)
        wait_for(lambda: sum(bank.balances("spendable").values()) > 0, 60, step=0.2, about="something to pay")
        bank.turn_on()
        for turn in range(KILLS):
            one_life(bank, rng, turn, hands)
            bank.pool.start()
            if turn % 10 == 9:
                said = json.loads(bank.pool.command("journal", "verify", "-c", bank.pool.config, "--json").stdout)
                assert not said["problems"], said["problems"]
                print(f"    {turn + 1} kills, {sum(h.acknowledged for h in hands)} shares acknowledged,"
                      f" {len(bank.payments())} payments, {time.monotonic() - began:.0f} s", flush=True)
        bank.pool.stop()
        everything_settles(bank)
        paid = [p for p in bank.payments() if p["state"] == "paid"]
        assert bank.pool.stop() == 0
        for words in (("verify",), ("replay",)):
            said = json.loads(bank.pool.command("journal", *words, "-c", bank.pool.config, "--json").stdout)
            assert not said.get("problems") and not said.get("differs"), said
        assert said["equal"] and said["whole"], said
        assert bank.verify() == 0, "a payment waits for a person"
        with Database(bank.pool) as db:
            shares = shares_are_counted_once(db, hands)
            assert said["shares"] == shares, (said["shares"], shares)
            due = credited(db)
            blocks, orphaned = blocks_are_on_the_chain(bank, db)
            left = {a: wide(n) for a, n in db.rows("SELECT a.address, b.amount FROM balances b JOIN accounts a ON a.id = b.owner"
                                                   " WHERE b.account_kind = ?", ACC_MINER)}
        got = bank.received(due)
        assert {a: due[a] - left.get(a, 0) for a in due} == got, (due, left, got)
        print(f"    {KILLS} kills: {shares} shares, {blocks} blocks ({orphaned} orphaned), {len(paid)} payments,"
              f" {sum(got.values())} base units received once, {time.monotonic() - began:.0f} s", flush=True)
        assert paid and sum(got.values()) > 0
