"""Fees of accounts of which others get parts: pools in which only the script differs, and the ledger to the last unit; payment,
kill, restart, upgrade and reload. And what scripts are told of an account: its age, when it was paid, its workers."""
import json
import os
import re
import time

from devnet import SOME_BLOCKS, Database, Miner, devnet, refused, verified
from money import split
from pool import ROOT, Pool, address, wait_for
from stratum import Client, StratumError
from test_policy import ask, logged_in, mine_block, paying, put, ripe, scripted, status
from upgrade import UpPool

GIVER, OTHER, ONE, TWO = address(41), address(42), address(43), address(44)
P = 10000  # the settings' fee, ppm
IMMATURE_KIND, FEE_KIND = 2, 5  # enum otd_account_kind
NOTHING = "function on_node(n) end"


def giving(own, parts, of=GIVER):
    """A script: `of` pays own ppm, and parts {address: ppm} of that go to others."""
    to = ", ".join(f'{{address = "{a}", ppm = {ppm}}}' for a, ppm in parts.items())
    return f"""function fee(a)
            if a.account == "{of}" then
                return {{ppm = {own}, valid = 10, reason = "it gives", recipients = {{{to}}}}}
            end
        end"""


def number(blob):
    return int.from_bytes(blob, "big") - (1 << 127)


class Credits:
    """Of each block of a stopped pool: value, time, what accounts got of it, what the pool got."""

    def __init__(self, pool):
        self.blocks = []
        with Database(pool) as db:
            names = dict(db.rows("SELECT id, address FROM accounts"))
            self.terms = db.rows("SELECT a.address, t.seq, t.fee_ppm, t.since_ms FROM account_terms t"
                                 " JOIN accounts a ON a.id = t.account_id ORDER BY t.seq")
            self.parts = {}
            for seq, to, ppm in db.rows("SELECT seq, recipient, ppm FROM account_recipients"):
                self.parts.setdefault(seq, {})[names[to]] = ppm
            for epoch, seq, found, value in db.rows("SELECT epoch, share_seq, found_ms, value FROM blocks ORDER BY id"):
                entries = db.rows("SELECT e.account_kind, e.owner, e.amount FROM entries e JOIN postings p ON p.id = e.posting_id"
                                  " WHERE p.k = ?", f"block/{epoch}-{seq}/credit")
                amounts = [(k, o, number(a)) for k, o, a in entries]
                assert sum(a for _, _, a in amounts) == 0, amounts
                assert [a for _, _, a in amounts if a < 0] == [-number(value)], amounts
                miners = {names[o]: a for k, o, a in amounts if k == IMMATURE_KIND}
                pool_got = sum(a for k, o, a in amounts if k == FEE_KIND)
                assert len(amounts) == 1 + len(miners) + (pool_got > 0), amounts
                self.blocks.append((found, number(value), miners, pool_got))

    def own(self, account, found_ms):
        """Its terms when the block was found: ppm and {address: ppm}; None: the pool's."""
        held = [t for t in self.terms if t[0] == account and t[3] <= found_ms]
        if not held or held[-1][2] < 0:
            return None
        return held[-1][2], self.parts.get(held[-1][1], {})

    def check(self, of=GIVER):
        """Each block by what held when it was found. How many of them had gifts."""
        gave = 0
        for found, value, got, pool_got in self.blocks:
            rest = value - -(-value * P // 1_000_000)
            others = sum(a for who, a in got.items() if who not in (GIVER, ONE, TWO))
            credit = rest - others
            own = self.own(of, found)
            if own is None or credit == 0:
                assert (got.get(of, 0), pool_got) == (credit, value - rest), (found, value, got, pool_got)
                continue
            ppm, parts = own
            fee = credit * ppm // (1_000_000 - P)
            # The pool comes first where remainders are equal, then who is longest known: here by their names.
            to = split(fee, {"": 1_000_000 - sum(parts.values()), **parts}) if parts else {"": fee}
            expected = {a: n for a, n in to.items() if a and n}
            expected[of] = expected.get(of, 0) + credit * (1_000_000 - ppm) // (1_000_000 - P)
            expected = {a: n for a, n in expected.items() if n}
            mine = {a: n for a, n in got.items() if a in (GIVER, ONE, TWO)}
            assert mine == expected, (found, value, mine, expected, parts)
            assert pool_got == value - others - sum(mine.values()), (found, value, got, pool_got)
            gave += any(a in parts and n for a, n in mine.items())
        return gave


def both(pool):
    """A block of the giver, beside somebody who gives nothing."""
    m = Miner(pool.port, OTHER + ".y")
    try:
        mine_block(pool, GIVER + ".x")
    finally:
        m.stop()


def in_force(pool, words):
    wait_for(lambda: words in pool.log(), 60, about=words)


def failed(pool):
    """What went wrong last, of scripts whose fee() failed."""
    return [x["last_error"] for t in status(pool)["threads"] for x in t["scripts"] if x["hooks"].get("fee", {}).get("errors")]


def reloaded(pool, script):
    put(pool, script)
    pool.command("reload", "--socket", pool.socket)


def life(scheme):
    """Blocks before, with and after, over a kill, a restart, other parts and no script at all."""
    with scripted(giving(200000, {ONE: 333333, TWO: 123457}), bits=SOME_BLOCKS) as pool:
        pool.write(pool.text.replace("{scheme: pplns, window: 2x difficulty}", scheme))
        pool.start()
        assert pool.status()["pools"][0]["scheme"] == scheme.strip("{}").split(",")[0].split()[-1]
        both(pool)
        in_force(pool, "fee_ppm=200000 recipients=2")
        both(pool)
        pool.kill()
        pool.start()
        both(pool)
        assert pool.stop() == 0
        pool.start()
        both(pool)
        shown = pool.command("account", "show", GIVER, "--socket", pool.socket).stdout
        assert "own fee    20.0000%" in shown and f"33.3333% of it go to {ONE}" in shown and f"12.3457% of it go to {TWO}" in shown, shown
        reloaded(pool, giving(5000, {ONE: 1000000}))
        in_force(pool, "fee_ppm=5000 recipients=1")
        both(pool)
        # One that fails keeps the last good answer, its recipients too.
        reloaded(pool, "function fee(a) if a.account then error('broken') end end")
        wait_for(lambda: failed(pool), 60, about="a failed question")
        both(pool)
        reloaded(pool, NOTHING)
        in_force(pool, "fee_ppm=-1 recipients=0")
        both(pool)
        assert pool.stop() == 0
        verified(pool)
        r = pool.command("journal", "replay", "-c", pool.config, check=False)
        assert r.returncode == 0, r.stdout + r.stderr
        c = Credits(pool)
        assert [t[2] for t in c.terms] == [200000, 5000, -1], c.terms
        assert [c.parts.get(t[1]) for t in c.terms] == [{ONE: 333333, TWO: 123457}, {ONE: 1000000}, None], c.parts
        assert c.check() >= 4, c.blocks
        with Database(pool) as db:
            audit = [json.loads(d) for d, in db.rows("SELECT data FROM audit WHERE what = 'fee.policy' ORDER BY id")]
            mine = [(a["fee_ppm"], {r["address"]: r["ppm"] for r in a.get("recipients", [])}) for a in audit if a.get("account") == GIVER]
            assert mine == [(200000, {ONE: 333333, TWO: 123457}), (5000, {ONE: 1000000}), (-1, {})], audit


def test_parts_of_an_account_s_fee_with_solo():
    life("{scheme: solo}")


def test_parts_of_an_account_s_fee_with_pplns():
    life("{scheme: pplns, window: 1x difficulty}")


def test_parts_of_an_account_s_fee_with_prop():
    life("{scheme: prop}")


def test_an_upgrade_keeps_the_recipients():
    with UpPool(scripted(NOTHING, bits=SOME_BLOCKS).text) as pool:
        put(pool, giving(300000, {TWO: 500000}))
        pool.start()
        both(pool)
        in_force(pool, "fee_ppm=300000 recipients=1")
        both(pool)
        pool.upgraded()
        both(pool)
        pool.upgraded()
        both(pool)
        assert pool.stop() == 0
        verified(pool)
        c = Credits(pool)
        assert [(t[2], c.parts[t[1]]) for t in c.terms] == [(300000, {TWO: 500000})], c.terms
        assert c.check() >= 3, c.blocks


def test_recipients_are_paid():
    """What they got is in a payment, as a miner's, and nothing of it stays."""
    with paying(giving(500000, {ONE: 400000})) as pool:
        pool.start()
        mine_block(pool, GIVER + ".x")
        in_force(pool, "fee_ppm=500000 recipients=1")
        plan = ripe(pool, (GIVER,))
        due = {p["address"]: p["amount_units"] for p in plan["parts"] if p["kind"] == "miner"}
        assert set(due) == {GIVER, ONE}, plan
        id_ = ask(pool, "run", "dev")["id"]
        wait_for(lambda: ask(pool, "show", str(id_))["state"] in ("sent", "paid"), 60, about="the payment")
        pool.chain("dev", "mine", "3")
        wait_for(lambda: ask(pool, "show", str(id_))["state"] == "paid", 60, about="its confirmation")
        parts = {p["address"]: p["amount_units"] for p in ask(pool, "show", str(id_))["parts"] if p["kind"] == "miner"}
        assert parts == due, (parts, due)
        assert pool.stop() == 0
        verified(pool)
        c = Credits(pool)
        assert c.check() >= 1
        with Database(pool) as db:
            spendable = {a: number(n) for a, n in db.rows("SELECT a.address, b.amount FROM balances b JOIN accounts a ON a.id = b.owner"
                                                          " WHERE b.account_kind = 3")}
            assert spendable == {GIVER: 0, ONE: 0}, spendable


def test_a_donation_by_the_shipped_script():
    """fees.lua: one account gives 3% beside its 1%, to donate_to; the rest of its fee, and others' fees, are the pool's."""
    options = f"donations: ['{GIVER}=3%'], donate_to: {ONE}"
    with Pool(devnet(bits=SOME_BLOCKS, pool="policies: [{file: '%s', options: {%s}}]" %
                     (os.path.join(ROOT, "scripts", "lua", "fees.lua"), options))) as pool:
        pool.start()
        both(pool)
        in_force(pool, "fee_ppm=40000 recipients=1")
        both(pool)
        assert pool.stop() == 0
        verified(pool)
        c = Credits(pool)
        assert [(t[0], t[2], c.parts[t[1]]) for t in c.terms] == [(GIVER, 40000, {ONE: 750000})], c.terms
        assert c.check() >= 1, c.blocks


def test_recipients_that_are_none():
    """An address that the coin does not know, and more than the whole: the pool's fee, and somebody is told."""
    with scripted(giving(200000, {ONE: 500000, "nobody": 500000}), bits=SOME_BLOCKS) as pool:
        pool.start()
        mine_block(pool, GIVER + ".x")
        wait_for(lambda: any(f"a recipient of the fee of dev/{GIVER} cannot be paid" in t for t in pool.status()["attention"]), 60,
                 about="the alert")
        mine_block(pool, GIVER + ".x")
        reloaded(pool, giving(200000, {ONE: 500000, TWO: 500001}))
        wait_for(lambda: any("are 1000001 together, not at most 1000000" in text for text in failed(pool)), 60, about="the error")
        mine_block(pool, GIVER + ".x")
        assert pool.stop() == 0
        verified(pool)
        c = Credits(pool)
        assert c.terms == [] and c.check() == 0, c.terms


# --- what scripts are told ---

def test_workers_of_an_account():
    """The same login, but for how many workers its account has here."""
    with scripted("""function on_authorize(s)
            if s.workers > 2 then return {action = "refuse", reason = "worker " .. s.workers .. " of " .. s.account} end
        end""", top="threads: {reactors: 1}") as pool:
        pool.start()
        first, again, second = (logged_in(pool, GIVER + w) for w in (".a", ".a", ".b"))
        with Client(pool.port) as c:
            c.subscribe()
            assert refused(24, c.authorize, GIVER + ".c") == f"worker 3 of {GIVER}"
            assert c.authorize(OTHER + ".c") is True
        logged_in(pool, GIVER + ".b").close()
        second.close()

        def is_in():
            """Once the pool has seen the end of the other."""
            with Client(pool.port) as c:
                c.subscribe()
                try:
                    return c.authorize(GIVER + ".c")
                except StratumError:
                    return False
        wait_for(is_in, 60, about="room for another worker")
        for c in (first, again):
            c.close()
        assert pool.stop() == 0


def test_how_long_an_account_is_known():
    """Its fee is its age: of its first share, whoever asks and however often the pool began anew."""
    script = "function fee(a) if a.account then return {ppm = a.known_s + 1, valid = 10, reason = 'age'} end assert(a.known_s == 0) end"

    def own(pool):
        rows = [json.loads(d) for d, in pool_audit(pool)]
        return [a["fee_ppm"] - 1 for a in rows if a.get("account") == GIVER]

    def pool_audit(pool):
        with Database(pool) as db:
            return db.rows("SELECT data FROM audit WHERE what = 'fee.policy' ORDER BY id")
    with scripted(script) as pool:
        pool.start()
        before = time.time()
        m = Miner(pool.port, GIVER + ".x", pause=0.2)
        wait_for(lambda: m.acknowledged, 60, about="a share")
        shared = time.time()
        in_force(pool, "fee.of_account")
        m.stop()
        assert pool.stop() == 0
        pool.start()
        wait_for(lambda: time.time() > shared + 4, 60, about="four seconds")
        asked = time.time()
        pool.command("reload", "--socket", pool.socket)

        def said_now():
            return max(int(n) - 1 for n in re.findall(r"event=fee\.of_account .*fee_ppm=(\d+)", pool.log()))
        wait_for(lambda: said_now() >= int(asked - shared), 60, about="an older account")
        assert pool.stop() == 0
        ages = own(pool)
        assert ages == sorted(ages) and ages[-1] <= time.time() - before, ages
        assert ages[-1] >= int(asked - shared), (ages, asked - shared)


def test_when_an_account_was_paid():
    """Terms by when it was paid last: never, then so many seconds ago; and over a restart."""
    script = "function payout_terms(t) if t.last_paid_s >= 0 then return {hold = true, reason = 'paid ' .. t.last_paid_s .. ' s ago'} end end"

    def left(pool):
        return {p["address"]: p["reason"] for p in ask(pool, "plan", "dev")["left_out"]}
    with paying(script) as pool:
        pool.start()
        before = time.time()
        ripe(pool, (GIVER,))
        assert GIVER not in left(pool)
        id_ = ask(pool, "run", "dev")["id"]
        wait_for(lambda: ask(pool, "show", str(id_))["state"] in ("sent", "paid"), 60, about="the payment")
        pool.chain("dev", "mine", "3")
        wait_for(lambda: ask(pool, "show", str(id_))["state"] == "paid", 60, about="its confirmation")
        ripe(pool, (OTHER, GIVER))
        for _ in range(2):
            held = left(pool)
            assert OTHER not in held and held[GIVER].startswith("policy data: paid "), held
            assert 0 <= int(held[GIVER].split()[-3]) <= time.time() - before, held
            assert pool.stop() == 0
            pool.start()
        assert pool.stop() == 0
        verified(pool)
