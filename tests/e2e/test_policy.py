"""Policies: for each hook a pool in which only the script differs, and the wire or the ledger shows it; scripts that
fail, in every way, beside good miners; scripts that come and go while it runs."""
import json
import os
import time

from devnet import NO_BLOCKS, SHARE, SOME_BLOCKS, Database, Miner, Raw, alone, devnet, fixed, refused, verified
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
        alone(pool)
        a, b = logged_in(pool, address(1) + ".a"), logged_in(pool, address(1) + ".b")
        c = Client(pool.port)
        assert c.closed.wait(60) and said(c) == ["two are enough"], c.lines
        assert a.submit(a.mine()) is True and b.submit(b.mine()) is True
        assert "policy.refused_connection" in pool.log() and "two are enough" in pool.log()
        b.close()

        def room():
            try:
                return logged_in(pool, address(1) + ".d")
            except (ConnectionError, OSError):
                return None  # the one that has left is still counted
        assert wait_for(room, about="room for another one").submit is not None


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
        assert bad.closed.wait(60), "it was not closed"
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
        assert c.closed.wait(60) and said(c)[-1] == "too many stale shares"
        assert logged_in(pool, address(5) + ".x").submit is not None
    with scripted(OFFENCE % ("raise", "worker"),
                  difficulty=f"{{start: {SHARE}, min: {SHARE}, max: 1, vardiff: false}}") as pool:
        pool.start()
        c = logged_in(pool, address(5) + ".x")
        stale(c, 8)
        wait_for(lambda: abs(c.difficulty - 2 * DIFF) < DIFF / 100, about="twice the difficulty")


def test_on_offence_of_a_flood():
    """Connections that the gate turns away; who is banned on this machine's own address is told in the log alone."""
    with scripted("""function on_offence(o)
            if o.kind == "flood" and o.count >= 64 and not o.account then
                return {action = "ban", scope = "ip", seconds = 600, reason = "too many connections"}
            end
        end""", top="limits: {connections_an_address: 2}") as pool:
        pool.start()
        alone(pool)
        good = [logged_in(pool, address(5) + f".g{i}") for i in range(2)]
        for _ in range(70):
            with Raw(pool.port) as raw:
                assert "too many connections" in raw.line()["error"][1] and raw.line() and raw.line() is None
        wait_for(lambda: "event=policy.ban peer=127.0.0.1 pool=dev script=data" in pool.log(), about="the answer")
        wait_for(lambda: "ban.not_changed" in pool.log() and "loopback" in pool.log(), about="what became of it")
        for c in good:
            assert c.submit(c.mine()) is True


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


def accepted(c):
    """A share that is: others find blocks meanwhile."""
    for _ in range(50):
        try:
            return c.submit(c.mine())
        except StratumError as e:
            assert e.code == 21, e
    raise AssertionError("each job was stale")


def test_every_hook_fails_safe():
    for name, body in BROKEN.items():
        script = "".join(f"function {h}() {body} end\n" for h in HOOKS)
        with scripted(script, bits=SOME_BLOCKS, top="threads: {reactors: 1}") as pool:
            pool.start()
            c = logged_in(pool, address(6) + ".x")
            good = Miner(pool.port, address(7) + ".good")
            stale(c, 17)
            assert not c.closed.is_set(), f"{name}: the host's own rules do not ban for stale shares"
            assert accepted(c) is True, name
            p, = pool.status()["pools"]
            assert p["fee"]["ppm"] == 10000, (name, p["fee"])
            wait_for(lambda: pool.status()["pools"][0]["blocks"] >= 1, about="a block")

            def errors():
                return sum(h["errors"] for t in status(pool)["threads"] for x in t["scripts"] for h in x["hooks"].values())
            wait_for(lambda: errors() >= 4, about=f"four errors ({name})")
            good.stop()
            assert all(t.startswith("21") for t in good.refused), (name, good.refused)  # blocks come
            assert pool.stop() == 0
            verified(pool)


# --- coordinator ---

WALLET = "bcrt1q32zykw8xpg9lufedf94xq9cg3x6zts6r8n835x"  # of the devnet's own wallet
PAYS = "payments: {minimum: 0.5 DEV, every: 30d, confirmations: 2}"


def notices(pool):
    return [n["text"] for n in status(pool)["notices"]]


def mine_block(pool, user):
    """One block by this user, and the row of status."""
    before = {b["id"] for b in pool.status()["blocks"]}
    m = Miner(pool.port, user)

    def mine():
        return [b for b in pool.status()["blocks"] if b["id"] not in before and b["account"] == user.split(".")[0]]
    block = wait_for(mine, 60, about="a block")[-1]
    m.stop()
    return block


def test_fee():
    """The same block, but for the script: what the pool keeps, in the ledger; and back to the settings' without it."""
    script = """function fee(a)
            assert(a.pool == "dev" and a.yaml_ppm == 10000 and a.account == nil)
            return {ppm = 200000, valid = 10, reason = "for the roof"}
        end"""
    with scripted(script, bits=SOME_BLOCKS) as pool:
        pool.start()
        fee = pool.status()["pools"][0]["fee"]
        assert (fee["ppm"], fee["settings_ppm"], fee["by"], fee["policy"], fee["reason"]) == \
            (200000, 10000, "policy", "data", "for the roof"), fee
        block = mine_block(pool, address(10) + ".x")
        value, took = int(block["value_units"]), int(block["fee_units"])
        assert took == -(-value * 200000 // 1000000), (value, took)
        said = pool.command("explain", "block", block["id"], "--socket", pool.socket).stdout
        assert "its fee was set by policy data: for the roof" in said, said
        # A script that fails keeps the last good answer.
        put(pool, "function fee(a) error('broken') end")
        pool.command("reload", "--socket", pool.socket)
        fee = wait_for(lambda: (lambda f: f["fallback"] and f)(pool.status()["pools"][0]["fee"]), about="the fallback")
        assert fee["ppm"] == 200000, fee
        # Over a restart, too.
        assert pool.stop() == 0
        pool.start()
        assert pool.status()["pools"][0]["fee"]["ppm"] == 200000
        # Without scripts the settings hold, from now on.
        pool.write(pool.text.replace("policies: [{file: '{dir}.lua'}]", ""))
        pool.command("reload", "--socket", pool.socket)
        fee = wait_for(lambda: (lambda f: f["ppm"] == 10000 and f)(pool.status()["pools"][0]["fee"]), about="1%")
        assert fee["by"] == "settings" and fee["reason"] == "", fee
        block = mine_block(pool, address(10) + ".x")
        assert int(block["fee_units"]) == -(-int(block["value_units"]) // 100), block
        assert pool.stop() == 0
        verified(pool)
        with Database(pool) as db:
            terms = [p for p, in db.rows("SELECT fee_ppm FROM terms ORDER BY seq")]
            assert terms[-1] == 10000 and 200000 in terms, terms
            audit = [json.loads(d) for d, in db.rows("SELECT data FROM audit WHERE what = 'fee.policy' ORDER BY id")]
            assert audit[0]["fee_ppm"] == 200000 and audit[0]["reason"] == "for the roof", audit
            assert audit[-1]["fee_ppm"] == 10000 and audit[-1]["script"] == "", audit


def test_fee_of_an_account():
    """One account pays nothing, the other the pool's 1%: told apart by the ledger alone."""
    vip, plain = address(8), address(9)
    with scripted("""function fee(a)
            if a.account == "%s" then return {ppm = 0, valid = 10, reason = "VIP"} end
        end""" % vip, bits=SOME_BLOCKS) as pool:
        pool.write(pool.text.replace("{scheme: pplns, window: 2x difficulty}", "{scheme: solo}"))
        pool.start()

        def booked(account):
            """Of a fresh block of this account: what it got, and the pool's fee."""
            b = mine_block(pool, account + ".x")
            c = json.loads(pool.command("explain", "block", b["id"], "--socket", pool.socket, "--json").stdout)
            assert c["conservation"]["holds"] is True and c["account"] == account, c
            assert int(c["value_units"]) == int(b["value_units"])
            return int(b["value_units"]), int(c["conservation"]["credits_units"]), int(c["conservation"]["fee_units"]), c
        mine_block(pool, vip + ".x")  # it may be found before anybody has asked about it
        wait_for(lambda: "fee.of_account" in pool.log(), about="its own fee")
        value, got, fee, said = booked(vip)
        assert (got, fee) == (value, 0), (value, got, fee)
        assert any("fee of their own" in t for t in said["says"]), said["says"]
        value, got, fee, _ = booked(plain)
        assert (got, fee) == (value - value // 100, value // 100), (value, got, fee)
        shown = pool.command("account", "show", vip, "--socket", pool.socket).stdout
        assert "own fee    0.0000%" in shown, shown
        # It outlives a restart, and ends with the script.
        assert pool.stop() == 0
        pool.start()
        value, got, fee, _ = booked(vip)
        assert (got, fee) == (value, 0), (value, got, fee)
        put(pool, "function on_node(n) end")
        pool.command("reload", "--socket", pool.socket)
        wait_for(lambda: "fee_ppm=-1" in pool.log(), about="the end of its own fee")
        value, got, fee, _ = booked(vip)
        assert (got, fee) == (value - value // 100, value // 100), (value, got, fee)
        assert pool.stop() == 0
        verified(pool)
        with Database(pool) as db:
            audit = [json.loads(d) for d, in db.rows("SELECT data FROM audit WHERE what = 'fee.policy' ORDER BY id")]
            mine = [(a["fee_ppm"], a["reason"]) for a in audit if a.get("account") == vip]
            assert mine == [(0, "VIP"), (-1, "")], audit


def paying(script):
    pool = scripted(script, bits=SOME_BLOCKS, pool=f"policies: ['{{dir}}.lua']\n{PAYS}")
    pool.write(pool.text.replace("bcrt1q3jzz8hqjs2nxnaweuge6lsxjca3kwr0kdkgd3d", WALLET))
    put(pool, script)
    return pool


def ask(pool, *words, check=True):
    r = pool.command("payment", *words, "--socket", pool.socket, "--json", check=check)
    return json.loads(r.stdout) if r.returncode == 0 else r.stderr


def ripe(pool, users):
    """A block of each user, spendable; payments turned on. What each is due."""
    for u in users:
        for _ in range(30):  # two blocks at one height: one of them is orphaned; of one found at once too little is its finder's
            mine_block(pool, u + ".x")
            pool.chain("dev", "mine", "12")
            wait_for(lambda: all(b["state"] in ("mature", "orphaned") for b in pool.status()["blocks"]), about="maturity")
            s = pool.status()
            due = sum(int(b["amount_units"]) for b in s["balances"] if b["kind"] == "spendable" and b["owner"] == u)
            if due >= 50_000_000 and any(b["account"] == u and b["state"] == "mature" for b in s["blocks"]):
                break
    plan = wait_for(lambda: (lambda p: p["parts"] and p)(ask(pool, "plan", "dev")), about="a plan")
    ask(pool, "start", "dev", plan["code"])
    return plan


def test_review_payment():
    a, b = address(11), address(12)
    with paying("""function review_payment(p)
            assert(p.total == p.parts[1].amount + (p.parts[2] and p.parts[2].amount or money("0 DEV")))
            if p.total > money("1 DEV") then return {action = "hold", reason = "a large one: look at it"} end
        end""") as pool:
        pool.start()
        plan = ripe(pool, (a, b))
        assert plan["review"] == {"action": "hold", "policy": "data", "reason": "a large one: look at it"}, plan["review"]
        id_ = ask(pool, "run", "dev")["id"]
        p = ask(pool, "show", str(id_))
        assert p["held"] is True and "policy data: a large one: look at it" in json.dumps(p), p
        attention = pool.status()["attention"]
        assert any("a large one" in t for t in attention), attention
        text = pool.command("explain", "payment", str(id_), "--socket", pool.socket).stdout
        assert "a large one: look at it" in text, text
        time.sleep(2)
        assert ask(pool, "show", str(id_))["state"] == "reserved"
        # A person decides.
        ask(pool, "release", str(id_))
        wait_for(lambda: ask(pool, "show", str(id_))["state"] in ("sent", "paid"), about="the payment")
        pool.chain("dev", "mine", "3")
        wait_for(lambda: ask(pool, "show", str(id_))["state"] == "paid", about="its confirmation")
        assert pool.stop() == 0
        verified(pool)
        with Database(pool) as db:
            row, = [json.loads(d) for d, in db.rows("SELECT data FROM audit WHERE what = 'payment.review'")]
            assert row["id"] == id_ and row["action"] == "hold" and row["reason"] == "a large one: look at it", row


def test_review_payment_rejects_and_fails():
    with paying("function review_payment(p) return {action = 'reject', reason = 'not before noon'} end") as pool:
        pool.start()
        ripe(pool, (address(13),))
        r = ask(pool, "run", "dev", check=False)
        assert isinstance(r, str) and "policy data has rejected this payment: not before noon" in r, r
        assert ask(pool, "list", "dev", "--all")["payments"] == []
        put(pool, "function review_payment(p) error('oh') end")
        pool.command("reload", "--socket", pool.socket)
        id_ = ask(pool, "run", "dev")["id"]
        assert ask(pool, "show", str(id_))["held"] is True, "what cannot be reviewed is held"
        assert pool.stop() == 0
        verified(pool)


def test_payout_terms():
    a, b = address(14), address(15)
    with paying("""function payout_terms(t)
            assert(t.balance > money("0 DEV") and t.minimum == money("0.5 DEV"))
            if t.account == "%s" then return {hold = true, reason = "papers, please"} end
        end""" % a) as pool:
        began = time.time()
        pool.start()
        plan = ripe(pool, (a, b))
        assert [p["address"] for p in plan["parts"] if p["kind"] == "miner"] == [b], plan
        left, = plan["left_out"]
        assert left["address"] == a and left["reason"] == "policy data: papers, please", left
        id_ = ask(pool, "run", "dev")["id"]
        wait_for(lambda: ask(pool, "show", str(id_))["state"] in ("sent", "paid"), about="the payment")
        assert [p["address"] for p in ask(pool, "show", str(id_))["parts"] if p["kind"] == "miner"] == [b]
        put(pool, "function payout_terms(t) return {hold = true, reason = 'known for ' .. t.known_s .. ' s'} end")
        pool.command("reload", "--socket", pool.socket)
        time.sleep(1.1)

        def known():
            left, = [p for p in ask(pool, "plan", "dev")["left_out"] if p["address"] == a]
            return "known for" in left["reason"] and left
        left = wait_for(known, about="the new script's reason")
        assert 1 <= int(left["reason"].split()[-2]) <= time.time() - began + 1, left
        put(pool, "function payout_terms(t) return {minimum = money('1000 DEV')} end")
        pool.command("reload", "--socket", pool.socket)
        wait_for(lambda: ask(pool, "plan", "dev")["parts"] == [], about="the new minimum")


def test_what_happens_is_told():
    with scripted("""
        function on_block(b) notify("block " .. b.state .. " by " .. b.account) kv.incr("blocks", "1h") end
        function on_node(n) notify("node " .. n.node .. (n.up and " up" or " down")) end
        function on_minute(w) notify("minute " .. w.pool .. " " .. tostring(kv.get("starts"))) kv.incr("starts", "1h") end
        """, bits=SOME_BLOCKS) as pool:
        pool.start()
        wait_for(lambda: any(t.startswith("data: minute dev nil") for t in notices(pool)), about="the first minute")
        mine_block(pool, address(16) + ".x")
        wait_for(lambda: any(f"by {address(16)}" in t for t in notices(pool)), about="on_block")
        wait_for(lambda: any(t.startswith("data: node ") and t.endswith(" up") for t in notices(pool)), about="on_node")
        # What scripts remember outlives a restart.
        assert pool.stop() == 0
        pool.start()
        wait_for(lambda: any("minute dev 1" in t for t in notices(pool)), about="what it remembered")


def test_services():
    with scripted("""
        function on_authorize(s)
            local price, age = feed("price")
            if s.worker == "ask" then return {action = "refuse", reason = tostring(price)} end
            if s.worker == "bad" then
                ban("worker", "dev/" .. s.account .. ".evil", "10m", "because of a friend")
                tag("account", "dev/" .. s.account, "odd", "1h")
                return {action = "refuse", reason = tostring(kv.incr("bad", "1h"))}
            end
            if s.worker == "good" then unban("worker", "dev/" .. s.account .. ".evil") end
        end""", top="threads: {reactors: 2}") as pool:
        pool.start()
        a = address(17)

        def told(name):
            with Client(pool.port) as c:
                c.subscribe()
                try:
                    return "" if c.authorize(f"{a}.{name}") else None
                except StratumError as e:
                    return e.text
        assert told("ask") == "nil"
        policy(pool, "feed", "price", "42")
        assert wait_for(lambda: told("ask") == "42", about="the feed on both reactors")
        seen = {told("bad") for _ in range(6)}  # both reactors count together
        assert wait_for(lambda: int(told("bad")) >= 6, about="a sum of both reactors"), seen
        assert wait_for(lambda: "because of a friend" in told("evil"), about="the ban")
        c = logged_in(pool, a + ".good")
        wait_for(lambda: not json.loads(pool.command("ban", "list", "--json", "--socket", pool.socket).stdout)["bans"],
                 about="the end of the ban")
        assert c.submit(c.mine()) is True
        c.close()

        def shown():
            return pool.command("account", "show", a, "--socket", pool.socket, check=False).stdout
        wait_for(lambda: "label      odd (data)" in shown(), about="the label")


# --- scripts that come and go ---

def say(reason):
    return f"function on_authorize(s) return {{action = 'refuse', reason = '{reason}'}} end\n"


def heard(pool, user=address(20) + ".x"):
    with Client(pool.port) as c:
        c.subscribe()
        try:
            c.authorize(user)
            return None
        except StratumError as e:
            return e.text


def test_reload_takes_scripts_all_or_nothing():
    with scripted(say("one")) as pool:
        pool.start()
        assert heard(pool) == "one"
        put(pool, say("two"))
        pool.command("reload", "--socket", pool.socket)
        assert wait_for(lambda: heard(pool) == "two", about="the new script")
        for bad, word in (("function on_authorize(s", "data.lua:1"), ("function on_autorize(s) end", "on_authorize"),
                          (say("x") + "function selftest() assert(false, 'wrong') end", "wrong"),
                          ("while true do end", "data.lua")):
            put(pool, bad)
            r = pool.command("reload", "--socket", pool.socket, check=False)
            assert r.returncode == 1 and word in r.stderr, (bad, r.stderr)
            assert heard(pool) == "two"
            check = pool.command("config", "check", "-c", pool.config, "--offline", check=False)
            assert check.returncode == 1 and word in check.stdout + check.stderr, check
        assert any("the last reload was refused" in t for t in pool.status()["attention"])


def test_a_script_that_others_may_write_is_refused():
    """As a plugin is: at a start, a reload, and by hand; the one in force stays."""
    with scripted(say("the first")) as pool:
        path = pool.folder + "/data.lua"
        pool.start()
        assert heard(pool) == "the first"
        for mode, whose in ((0o664, "its group"), (0o646, "others")):
            put(pool, say("the second"))
            os.chmod(path, mode)
            for words in (("reload",), ("policy", "shadow", path), ("policy", "apply", path)):
                r = pool.command(*words, "--socket", pool.socket, check=False)
                assert r.returncode == 1 and f"{whose} may write it" in r.stderr and "chmod go-w" in r.stderr, r.stderr
            assert heard(pool) == "the first"
        r = pool.command("config", "check", "-c", pool.config, check=False)
        assert r.returncode == 1 and "may write it" in r.stdout + r.stderr, r.stdout + r.stderr
        os.chmod(path, 0o644)
        os.chmod(pool.folder, 0o777)
        r = pool.command("reload", "--socket", pool.socket, check=False)
        assert r.returncode == 1 and "others may write it" in r.stderr, r.stderr
        os.chmod(pool.folder, 0o700)
        pool.command("reload", "--socket", pool.socket)
        assert heard(pool) == "the second"
        assert pool.stop() == 0
        os.chmod(path, 0o666)
        r = pool.command("serve", "-c", pool.config, check=False)
        assert r.returncode == 1 and "others may write it" in r.stderr, (r.returncode, r.stderr)


def test_apply_is_rolled_back_unless_confirmed():
    with scripted(say("one")) as pool:
        pool.start()
        new = os.path.join(pool.folder, "new")
        os.mkdir(new)
        path = put(pool, say("two"), "new/data.lua")
        r = policy(pool, "apply", path, "--confirm-within", "6s")
        assert "policy confirm" in r.stdout, r.stdout
        began = time.monotonic()
        wait_for(lambda: heard(pool) == "two" or time.monotonic() - began > 5, step=0.01, about="the applied script")
        wait_for(lambda: heard(pool) == "one", about="the old one, unconfirmed")
        r = policy(pool, "confirm", check=False)
        assert r.returncode == 1 and "nothing waits" in r.stderr, r
        policy(pool, "apply", path, "--confirm-within", "6s")
        policy(pool, "confirm")
        time.sleep(7)
        assert heard(pool) == "two"
        put(pool, "function on_authorize(s", "new/data.lua")
        r = policy(pool, "apply", path, check=False)
        assert r.returncode == 1 and "data.lua:1" in r.stderr and heard(pool) == "two", r
        policy(pool, "rollback")
        wait_for(lambda: heard(pool) == "one", about="what was before")
        text = policy(pool, "history").stdout
        assert "rollback: not confirmed in time" in text and "start" in text and "(in force)" in text, text
        # One more script, of another name: for all pools, behind those of the settings.
        policy(pool, "apply", put(pool, "function on_connect(s) return {action='refuse', reason='shut'} end", "more.lua"))
        wait_for(lambda: heard_on_connect(pool) == ["shut"], about="the second script")


def heard_on_connect(pool):
    with Client(pool.port) as c:
        c.closed.wait(1)
        return said(c)


def test_shadow_shows_where_it_differs():
    with scripted("function on_authorize(s) if s.worker == 'a' then return {action='refuse', reason='a'} end end") as pool:
        pool.start()
        os.mkdir(os.path.join(pool.folder, "new"))
        path = put(pool, "function on_authorize(s) if s.worker == 'b' then return {action='refuse', reason='b'} end"
                   " ban('account', 'dev/' .. s.account, '1h', 'no') end", "new/data.lua")
        policy(pool, "shadow", path)
        assert heard(pool, address(21) + ".a") == "a" and heard(pool, address(21) + ".b") is None
        assert heard(pool, address(21) + ".c") is None, "the shadow has banned"
        d = wait_for(lambda: status(pool)["differences"], about="the differences")
        assert {x["in"]["worker"] for x in d} >= {"a", "b"}, d
        assert "b" in policy(pool, "shadow", "off").stdout
        assert "shadow" not in status(pool)["threads"][-1]
        assert json.loads(pool.command("ban", "list", "--json", "--socket", pool.socket).stdout)["bans"] == []


def test_recorded_events_are_played():
    with scripted(say("no") + "function on_minute(w) end") as pool:
        pool.start()
        path = os.path.join(pool.folder, "events.jsonl")
        policy(pool, "record", path)
        for i in range(3):
            heard(pool, address(22) + f".w{i}")
        wait_for(lambda: status(pool)["recording"]["calls"] >= 3, about="the calls")
        r = policy(pool, "record", path + "2", check=False)
        assert r.returncode == 1 and "is being written" in r.stderr, r
        policy(pool, "record", "off")
        events = wait_for(lambda: os.path.exists(path) and open(path, encoding="utf-8").read().splitlines(),
                          about="the file")
        workers = {json.loads(e)["in"].get("worker") for e in events if json.loads(e)["hook"] == "on_authorize"}
        assert {"w0", "w1", "w2"} <= workers, events
        assert os.stat(path).st_mode & 0o007 == 0, "others can read it"
        script = put(pool, "function on_authorize(s) if s.worker == 'w1' then return {action='refuse', reason='?'} end end",
                     "other.lua")
        r = pool.command("policy", "test", script, "--events", path, check=False)
        assert "on_authorize" in r.stdout + r.stderr, r


# --- bombs ---

BOMBS = ["while true do end", "while true do pcall(function() while true do end end) end",
         "xpcall(function() while true do end end, function() while true do end end)",
         "local s = ('x'):rep(1e9)", "local s = (''):rep(1e18)", "table.move({}, 1, 1e18, 2)",
         "local function f() return f() + 1 end f()", "local s = 'x' while true do s = s .. s end",
         "('a'):rep(60000):find(('a'):rep(30000) .. 'b')",
         "local t = {} for i = 1, 20000 do t[i] = i end table.sort(t, function() return true end)",
         "local t = {} for i = 1, 1e9 do t[i] = {} end", "string.format('%99999999d', 1)"]


def test_bombs_beside_good_miners():
    """Each hook a bomb of its own, again and again: nobody else notices."""
    script = """
        local n = 0
        local function bomb()
            n = n + 1
            local k = n %% %d
            %s
        end
        function on_connect(s) bomb() end
        function on_authorize(s) if s.worker ~= "good" then bomb() end end
        function on_offence(o) bomb() end
        function difficulty(s) if s.worker ~= "good" then bomb() end end
        """ % (len(BOMBS), "\n".join(f"if k == {i} then {b} end" for i, b in enumerate(BOMBS)))
    with scripted(script, top="threads: {reactors: 1}\nlimits: {invalid: {shares: 0}}") as pool:
        pool.start()
        good = Miner(pool.port, address(30) + ".good", ahead=1, pause=0.01)
        slowest = 0.0
        probe = logged_in(pool, address(31) + ".good")
        until = time.monotonic() + 8
        while time.monotonic() < until:
            bad = logged_in(pool, address(32) + ".bad")
            stale(bad, 8)
            bad.close()
            began = time.monotonic()
            assert probe.submit(probe.mine(probe.job)) is True
            slowest = max(slowest, time.monotonic() - began)
            policy(pool, "rollback", check=False)  # nothing to roll back: refused, harmless
        good.stop()
        assert not good.refused and good.acknowledged > 10, (good.refused, good.acknowledged)
        s = status(pool)
        overruns = sum(h["overruns"] for t in s["threads"] for x in t["scripts"] for h in x["hooks"].values())
        assert overruns > 3, s
        assert any("policy" in t for t in pool.status()["attention"]), "switching a hook off is an alert"
        assert pool.stop() == 0
        verified(pool)


# --- the scripts that come with it ---

SHIPPED = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "scripts", "lua")


def test_shipped_scripts_and_a_farm_behind_one_address():
    """All four at once; one bad rig among good ones of the same address is warned, dropped, banned, and it alone."""
    vip, farm = address(50), address(51)
    lua = os.path.join("{lua}", "%s.lua").replace("{lua}", SHIPPED)
    entries = ", ".join([
        "{file: '%s', options: {vip: ['%s'], vip_rate: 0.5%%}}" % (lua % "fees", vip), "'%s'" % (lua % "bans"),
        "{file: '%s', options: {fixed: ['*.test=%s']}}" % (lua % "difficulty", DIFF * 4),
        "{file: '%s', options: {day: 5 DEV}}" % (lua % "payments")])
    with Pool(devnet(pool=f"policies: [{entries}]", top="threads: {reactors: 2}",
                     difficulty=f"{{start: {SHARE}, min: {SHARE}, max: 1, vardiff: false}}")) as pool:
        check = pool.command("config", "check", "-c", pool.config, "--offline", check=False)
        assert check.returncode == 0, check.stdout + check.stderr
        pool.start()
        good = [Miner(pool.port, f"{farm}.good{i}", ahead=1, pause=0.02) for i in range(3)]
        fixed = logged_in(pool, farm + ".test")
        wait_for(lambda: abs(fixed.difficulty - 4 * DIFF) < DIFF / 100, about="the fixed difficulty")
        warned = banned = 0
        for _ in range(40):  # a ban is stored before it is in force
            try:
                bad = logged_in(pool, farm + ".bad")
            except StratumError as e:
                assert "banned until" in e.text and "the same share again" in e.text, e
                banned += 1
                break
            share = bad.mine()
            for _ in range(33):
                try:
                    bad.submit(share)
                except (StratumError, ConnectionError, OSError):
                    if bad.closed.is_set():
                        break
            bad.closed.wait(5)
            warned += any("the same share again" in t for t in said(bad))
            bad.close()
        assert warned >= 2 and banned == 1, (warned, banned)
        rows = json.loads(pool.command("ban", "list", "--json", "--socket", pool.socket).stdout)["bans"]
        assert [(r["scope"], r["what"], r["by"]) for r in rows] == [("worker", f"dev/{farm}.bad", "policy bans")], rows
        rich = Miner(pool.port, vip + ".x", ahead=1, pause=0.02)
        wait_for(lambda: f"account={vip} fee_ppm=5000" in pool.log(), about="the VIP's fee")
        wait_for(lambda: all(m.acknowledged > 10 for m in good + [rich]), about="shares of all")
        for m in good + [rich]:
            m.stop()
            assert m.acknowledged > 10 and not m.refused, (m.user, m.acknowledged, m.refused)
        errors = sum(h["errors"] for t in status(pool)["threads"] for x in t["scripts"] for h in x["hooks"].values())
        assert errors == 0, status(pool)
        assert pool.stop() == 0
        verified(pool)
