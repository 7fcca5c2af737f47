"""Fees by command: which of script, command and settings holds; what blocks bear before and after; restart, end, reload."""
import json
import os
import time

from devnet import SOME_BLOCKS, Database, verified
from money import split
from payments import BITCOIN, Bank
from pool import ROOT, address, wait_for
from reload import Live
from test_policy import mine_block, put, scripted

USER = address(10) + ".x"


def fee(pool, *words, check=True):
    return pool.command("fee", *words, "--socket", pool.socket, check=check)


def shown(pool):
    return json.loads(fee(pool, "show", "dev", "--json").stdout)["fees"][0]


def of_status(pool):
    return pool.status()["pools"][0]["fee"]


def holds(pool, ppm, by):
    """Once the pool says so, everywhere."""
    f = wait_for(lambda: (lambda f: f["ppm"] == ppm and f)(of_status(pool)), about=f"a fee of {ppm} by {by}")
    assert f["by"] == by and f["settings_ppm"] == 10000, f
    s = shown(pool)
    assert (s["ppm"], s["by"], s["settings_ppm"]) == (ppm, by, 10000), s


def bears(pool, ppm):
    """A block that is found from now on takes so much. (Others may still be on their way into the ledger.)"""
    since = time.time() * 1000
    b = mine_block(pool, USER)
    while b["time_ms"] < since:
        b = mine_block(pool, USER)
    value, took = int(b["value_units"]), int(b["fee_units"])
    assert took == -(-value * ppm // 1000000), (value, took, ppm)
    return b


def number(blob):
    return int.from_bytes(blob, "big") - (1 << 127)


def by_marks(pool):
    """Each block has the fee of the newest mark that is not younger than it; and the ledger is whole."""
    verified(pool)
    with Database(pool) as db:
        marks = db.rows("SELECT since_ms, fee_ppm FROM terms ORDER BY seq")
        for found_ms, value, took in db.rows("SELECT found_ms, value, fee FROM blocks"):
            ppm = [f for since, f in marks if since <= found_ms][-1]
            assert number(took) == -(-number(value) * ppm // 1000000), (found_ms, number(value), number(took), marks)


def refused(pool, code, words, *call):
    r = fee(pool, *call, check=False)
    assert r.returncode == code and words in r.stderr, (r.returncode, r.stderr)
    assert len(r.stderr.strip().splitlines()) == 1, r.stderr


def test_precedence_and_marks():
    """Settings, then command above them, then a script above both, and back; each block by what held when it was found."""
    with scripted("function on_node(n) end", bits=SOME_BLOCKS) as pool:
        pool.start()
        refused(pool, 2, "RATE is one in percent", "set", "dev", "101%", "--reason", "x")
        refused(pool, 2, "RATE is one in percent", "set", "dev", "2", "--reason", "x")
        refused(pool, 2, "--reason TEXT is needed", "set", "dev", "2%")
        refused(pool, 2, "--for takes a time", "set", "dev", "2%", "--for", "soon", "--reason", "x")
        refused(pool, 1, "no pool", "set", "dve", "2%", "--reason", "x")
        refused(pool, 1, "has no fee by command", "clear", "dev", "--reason", "x")
        refused(pool, 1, "control characters", "set", "dev", "2%", "--reason", "a\nb")
        holds(pool, 10000, "settings")
        bears(pool, 10000)
        said = fee(pool, "set", "dev", "2.5%", "--reason", "a new disk").stdout
        assert "2.5000% by command" in said and "by the settings 1.0000%" in said, said
        holds(pool, 25000, "override")
        assert "fee 2.5000% by command: a new disk" in pool.command("status", "--socket", pool.socket).stdout
        block = bears(pool, 25000)
        why = pool.command("explain", "block", block["id"], "--socket", pool.socket).stdout
        assert "its fee was set by command: a new disk" in why, why
        # A script comes before it, and is told what holds without it.
        put(pool, """function fee(a)
                assert(a.account or a.yaml_ppm == 25000)
                if not a.account then return {ppm = 50000, valid = 10, reason = "by script"} end
            end""")
        pool.command("reload", "--socket", pool.socket)
        holds(pool, 50000, "policy")
        assert shown(pool)["override"]["ppm"] == 25000
        bears(pool, 50000)
        # A script that has nothing to say leaves it to the command, and that one to the settings.
        put(pool, "function fee(a) return nil end")
        pool.command("reload", "--socket", pool.socket)
        holds(pool, 25000, "override")
        fee(pool, "clear", "dev", "--reason", "it is bought")
        holds(pool, 10000, "settings")
        bears(pool, 10000)
        assert pool.stop() == 0
        by_marks(pool)
        with Database(pool) as db:
            marks = db.rows("SELECT fee_ppm, since_ms FROM terms ORDER BY seq")
            assert [m[0] for m in marks] == [10000, 25000, 50000, 25000, 10000], marks
            assert [m[1] for m in marks] == sorted(m[1] for m in marks), marks
            audit = [(w, json.loads(d)) for w, d in db.rows("SELECT what, data FROM audit WHERE what LIKE 'fee.%' ORDER BY id")]
            done = [(w, a["fee_ppm"], a["reason"]) for w, a in audit if w in ("fee.set", "fee.clear")]
            assert done == [("fee.set", 25000, "a new disk"), ("fee.clear", 25000, "it is bought")], audit
            assert all(a["by"] for w, a in audit if w in ("fee.set", "fee.clear")), audit


def test_restart_and_end():
    """It outlives a restart and a kill; its end comes while the pool runs and while it is down."""
    with scripted("function on_node(n) end", bits=SOME_BLOCKS) as pool:
        pool.start()
        fee(pool, "set", "dev", "3%", "--reason", "for good")
        holds(pool, 30000, "override")
        assert pool.stop() == 0
        pool.start()
        holds(pool, 30000, "override")
        bears(pool, 30000)
        pool.kill()
        pool.start()
        holds(pool, 30000, "override")
        # Another takes its place; this one ends by itself.
        fee(pool, "set", "dev", "4%", "--for", "3s", "--reason", "a moment")
        holds(pool, 40000, "override")
        assert 0 < shown(pool)["override"]["until_ms"] - time.time() * 1000 <= 3000
        holds(pool, 10000, "settings")
        assert "override" not in shown(pool)
        bears(pool, 10000)
        # And this one while nothing runs.
        fee(pool, "set", "dev", "5%", "--for", "2s", "--reason", "over the night")
        assert pool.stop() == 0
        time.sleep(2.5)
        pool.start()
        holds(pool, 10000, "settings")
        bears(pool, 10000)
        assert pool.stop() == 0
        by_marks(pool)
        with Database(pool) as db:
            over = [json.loads(d)["fee_ppm"] for d, in db.rows("SELECT data FROM audit WHERE what = 'fee.over' ORDER BY id")]
            assert over == [40000, 50000], over
            assert db.rows("SELECT count(*) FROM fee_overrides WHERE ended_ms = 0")[0][0] == 0
            assert db.rows("SELECT count(*) FROM fee_overrides")[0][0] == 3


def test_reload():
    """A reload's fee waits where a command's holds; a pool that is taken out loses it."""
    with Live(witness=False) as r:
        def is_in_force(pool="dev"):
            f = r.pools()[pool]["fee"]
            return f["ppm"], f["by"]
        fee(r.pool, "set", "dev", "2%", "--reason", "x")
        r.dev["fee"]["rate"] = "3%"
        r.apply("pools.dev.fee.rate")
        assert is_in_force() == (20000, "override"), is_in_force()
        fee(r.pool, "clear", "dev", "--reason", "x")
        wait_for(lambda: is_in_force() == (30000, "settings"), about="the settings' new fee")
        fee(r.pool, "set", "dev", "2%", "--reason", "x")
        r.tree["pools"]["other"] = r.tree["pools"].pop("dev")
        r.reload()
        fees = json.loads(fee(r.pool, "show", "--json").stdout)["fees"]
        assert [(f["pool"], f["ppm"]) for f in fees] == [("other", 30000)], fees
        r.tree["pools"]["dev"] = r.tree["pools"].pop("other")
        r.reload()
        wait_for(lambda: is_in_force() == (30000, "settings"), about="the pool of the old name with the settings' fee")


def test_recipients_of_a_policy_are_paid():
    """What fees.lua divides arrives on the chain: a quarter given away, the rest to the pool's own address."""
    gift, own = BITCOIN.address(711), BITCOIN.address(712)
    with Bank(BITCOIN, "minimum: 0.0001 BTC, every: 30d") as bank:
        script = os.path.join(ROOT, "scripts", "lua", "fees.lua")
        bank.pool.write(bank.pool.text.replace(
            "fee: {rate: 1%}", f"fee: {{rate: 1%}}\n    policies: [{{file: '{script}', options: {{rate: 4%, donate: 25%, "
            f"donate_to: {gift}, fee_to: {own}}}}}]"))
        bank.pool.start()
        bank.mine((40, 25, 9))
        due, took = bank.balances("spendable"), bank.balances("fee")["the pool"]
        assert took == -(-(took + sum(due.values())) * 4 // 100), (took, due)
        amounts = split(took, {gift: 250000, own: 750000})
        bank.turn_on()
        bank.run()
        paid = bank.confirm()
        # The pool pays the network out of its fee.
        parts = {p["address"]: int(p["amount_units"]) for p in bank.ask("show", str(paid["id"]))["parts"] if p["address"] in (gift, own)}
        got = bank.received(amounts)
        assert got == parts and sum(got.values()) <= took, (got, parts, amounts)
        assert abs(got[gift] * 3 - got[own]) <= 3, got
        assert bank.received(due) == due
        assert bank.verify() == 0
