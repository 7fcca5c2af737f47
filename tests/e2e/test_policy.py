"""Policies: for each hook a pool in which only the script differs, and the wire or the ledger shows it; scripts that
fail, in every way, beside good miners; scripts that come and go while it runs."""
import json
import os
import time

from devnet import NO_BLOCKS, SHARE, SOME_BLOCKS, Database, Miner, Raw, devnet, fixed, refused, verified
from pool import Pool, address, wait_for
from stratum import Client, StratumError

DIFF = 2.384185791015625e-07


def scripted(script, options="", **more):
    """A pool with this script as dev's policy."""
    more.setdefault("pool", "policies: [{file: '{dir}.lua'%s}]" % (f", options: {options}" if options else ""))
    pool = Pool(devnet(**more))
    put(pool, script)
    return pool


def put(pool, script, name="data.lua"):
    path = os.path.join(pool.folder, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(script)
    return path


def policy(pool, *words, check=True):
    return pool.command("policy", *words, "--socket", pool.socket, check=check)


def status(pool):
    return json.loads(policy(pool, "status", "--json").stdout)


def said(client):
    """What the pool has told this miner in words."""
    return [n["params"][0] for n in client.notices if n["method"] == "client.show_message"]


def stale(client, n):
    """n shares of a job that is none."""
    for i in range(n):
        try:
            client.wait(client.send("mining.submit",
                                    [client.user, "ffffffff00", f"{i:08x}", client.job.ntime, f"{i:08x}"]))
        except (StratumError, ConnectionError):
            pass


def logged_in(pool, user):
    c = Client(pool.port)
    c.login(user)
    c.user = user
    return c


# --- reactor ---

def test_on_connect():
    with scripted("""function on_connect(s)
            assert(s.pool == "dev" and s.host == "127.0.0.1" and s.port > 0 and s.connections >= 1)
            if s.connections > 2 then return {action = "refuse", reason = "two are enough"} end
        end""") as pool:
        pool.start()
        a, b = logged_in(pool, address(1) + ".a"), logged_in(pool, address(1) + ".b")
        c = Client(pool.port)
        assert c.closed.wait(5) and said(c) == ["two are enough"], c.lines
        assert a.submit(a.mine()) is True and b.submit(b.mine()) is True
        assert "policy.refused_connection" in pool.log() and "two are enough" in pool.log()
        b.close()
        wait_for(lambda: logged_in(pool, address(1) + ".d"), about="room for another one")


def test_on_authorize():
    with scripted("""function on_authorize(s)
            if s.worker == "rental" then return {action = "refuse", reason = "no rentals here"} end
            if s.worker == "big" then return {difficulty = s.start * 4} end
        end""", difficulty=f"{{start: {SHARE}, min: {SHARE}, max: 1, vardiff: false}}") as pool:
        pool.start()
        with Client(pool.port) as c:
            c.subscribe()
            assert refused(24, c.authorize, address(2) + ".rental") == "no rentals here"
            assert c.authorize(address(2) + ".own") is True
        big = logged_in(pool, address(2) + ".big")
        wait_for(lambda: abs(big.difficulty - 4 * DIFF) < DIFF / 100, about="four times the difficulty")
        small = logged_in(pool, address(2) + ".small")
        assert abs(small.difficulty - DIFF) < DIFF / 100


def test_difficulty():
    with scripted("""function difficulty(s)
            if s.worker == "slow" then return {difficulty = s.min, fixed = true} end
            return {difficulty = s.min * 8, fixed = true}
        end""", difficulty=f"{{start: {DIFF * 2}, min: {SHARE}, max: 1, aim: 100ms}}") as pool:
        pool.start()
        slow, fast = logged_in(pool, address(3) + ".slow"), logged_in(pool, address(3) + ".fast")
        wait_for(lambda: abs(slow.difficulty - DIFF) < DIFF / 100, about="the script's difficulty")
        wait_for(lambda: abs(fast.difficulty - 8 * DIFF) < DIFF / 100, about="the script's other difficulty")
        for _ in range(20):  # eight times too fast: without the script it would be raised at once
            assert slow.submit(slow.mine()) is True
        assert abs(slow.difficulty - DIFF) < DIFF / 100
        calls = [s["hooks"]["difficulty"]["calls"] for t in status(pool)["threads"] for s in t["scripts"]
                 if "difficulty" in s["hooks"]]
        assert sum(calls) < 10, calls  # never once a share


OFFENCE = """
function on_offence(o)
    assert(o.window_s == 600 and o.refused >= o.count)
    if o.kind == "stale" and o.count >= 8 then
        return {action = "%s", scope = "%s", seconds = 600, reason = "too many stale shares"}
    end
    if o.kind == "stale" then return {action = "warn", reason = "stale shares"} end
end"""


def test_on_offence_bans_a_worker():
    with scripted(OFFENCE % ("ban", "worker")) as pool:
        pool.start()
        a = address(4)
        bad, good = logged_in(pool, a + ".bad"), logged_in(pool, a + ".good")
        stale(bad, 4)
        wait_for(lambda: said(bad) == ["stale shares"], about="the warning")
        stale(bad, 4)
        assert bad.closed.wait(5), "it was not closed"
        assert said(bad)[1].startswith("banned until 2") and said(bad)[1].endswith(": too many stale shares")
        row, = wait_for(lambda: json.loads(pool.command("ban", "list", "--json", "--socket", pool.socket).stdout)["bans"],
                        about="the ban")
        assert (row["scope"], row["what"], row["by"]) == ("worker", f"dev/{a}.bad", "policy data"), row
        with Client(pool.port) as c:
            c.subscribe()
            assert "too many stale shares" in refused(24, c.authorize, a + ".bad")
            assert c.authorize(a + ".other") is True
        assert good.submit(good.mine()) is True, "another rig of the same account and address was shut out"
        text = pool.command("explain", "ban", str(row["id"]), "--socket", pool.socket, check=False).stdout
        assert not text or "too many stale shares" in text, text


def test_on_offence_drops_and_raises():
    with scripted(OFFENCE % ("drop", "worker")) as pool:
        pool.start()
        c = logged_in(pool, address(5) + ".x")
        stale(c, 8)
        assert c.closed.wait(5) and said(c)[-1] == "too many stale shares"
        assert logged_in(pool, address(5) + ".x").submit is not None
    with scripted(OFFENCE % ("raise", "worker"),
                  difficulty=f"{{start: {SHARE}, min: {SHARE}, max: 1, vardiff: false}}") as pool:
        pool.start()
        c = logged_in(pool, address(5) + ".x")
        stale(c, 8)
        wait_for(lambda: abs(c.difficulty - 2 * DIFF) < DIFF / 100, about="twice the difficulty")


# --- scripts that fail ---

BROKEN = {
    "errs": "error('no')",
    "loops": "while true do end",
    "swallows": "while true do pcall(function() while true do end end) end",
    "garbage": "return {action = 42, difficulty = 'x', ppm = {}, reason = function() end}",
    "a number": "return 7",
    "eats memory": "local t = {} while true do t[#t + 1] = ('x'):rep(60000) .. #t end",
}
HOOKS = ("on_connect", "on_authorize", "difficulty", "on_offence", "fee", "payout_terms", "review_payment", "on_block",
         "on_node", "on_minute")


def test_every_hook_fails_safe():
    for name, body in BROKEN.items():
        script = "".join(f"function {h}() {body} end\n" for h in HOOKS)
        with scripted(script, bits=SOME_BLOCKS, top="threads: {reactors: 1}") as pool:
            pool.start()
            c = logged_in(pool, address(6) + ".x")
            good = Miner(pool.port, address(7) + ".good")
            stale(c, 17)
            assert not c.closed.is_set(), f"{name}: the host's own rules do not ban for stale shares"
            assert c.submit(c.mine()) is True, name
            p, = pool.status()["pools"]
            assert p["fee"]["ppm"] == 10000, (name, p["fee"])
            wait_for(lambda: pool.status()["pools"][0]["blocks"] >= 1, about="a block")
            s = status(pool)
            errors = sum(h["errors"] for t in s["threads"] for x in t["scripts"] for h in x["hooks"].values())
            assert errors >= 4, (name, s)
            good.stop()
            assert all(t.startswith("21") for t in good.refused), (name, good.refused)  # blocks come
            assert pool.stop() == 0
            verified(pool)
