"""explain, account show and node list: what they say is what the journal, the ledger and the chain say."""
import contextlib
import json
import os
import re
import sqlite3
import time

from devnet import SOME_BLOCKS, Database, Miner, devnet, refused, verified
from payments import BITCOIN, Bank
from pool import Pool, address, free_port, wait_for
from stratum import Client

BITS = SOME_BLOCKS  # one share in 64 makes a block; tests choose which


def ask(pool, *words, check=True, live=True):
    where = ("--socket", pool.socket) if live else ("-c", pool.config)
    return pool.command(*words, *where, check=check)


def explained(pool, *words, live=True):
    return json.loads(ask(pool, "explain", *words, "--json", live=live).stdout)


def account(pool, *words, live=True):
    return json.loads(ask(pool, "account", "show", *words, "--json", live=live).stdout)["accounts"]


def share_ids(pool):
    """[(id, nonce)] of the accepted shares in the log."""
    return [(m.group(1), m.group(2)) for m in re.finditer(
        r"event=share\.judged share=(\d+-\d+) .*?nonce=([0-9a-f]{8}).*?verdict=accepted", pool.log())]


def one_share(pool, user):
    """Mines one share of the user; its id."""
    with Client(pool.port) as c:
        c.login(user)
        share = c.mine(harder_than=c.job.network_target())
        assert c.submit(share) is True
    return wait_for(lambda: next((i for i, n in share_ids(pool) if n == share[3]), None), 5, about="the share in the log"), \
        share


def in_database(pool, share):
    return wait_for(lambda: explained(pool, "share", share)["in_database"], 10, about="the share in the database")


def says(o, text):
    return any(text in line for line in o["says"])


def one_line_of_error(r, status=1):
    assert r.returncode == status, (r.returncode, r.stdout, r.stderr)
    lines = r.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("otedama: "), r.stderr
    return lines[0]


def test_a_share_from_journal_to_money():
    with Pool(devnet(bits=BITS)) as pool:
        pool.start()
        who, other = address(80), address(81)
        sid, share = one_share(pool, who + ".rig1")
        in_database(pool, sid)
        o = explained(pool, sid)
        assert o["kind"] == "share" and o["journal"] == "there" and o["id"] == sid, o
        assert (o["pool"], o["account"], o["worker"], o["scheme"]) == ("dev", who, "rig1", "pplns"), o
        assert o["hash_begins"] == f"{share[4]:064x}"[:16], o
        placed = re.search(rf"event=shares\.placed shares={sid.split('-')[0]}-(\d+)\.\.(\d+) position={o['batch']}\b", pool.log())
        assert placed and int(placed.group(1)) <= int(sid.split("-")[1]) <= int(placed.group(2)), o["batch"]
        assert o["height"] == 1 and not o["is_block"], o
        assert abs(float(o["difficulty"]) / share[0].difficulty - 1) < 0.01, o
        assert o["blocks_after"] == [] and says(o, "no block was found since"), o
        assert o["spendable_units"] == "0" == o["immature_units"]
        # A block of somebody else divides by a window that holds the share.
        with Client(pool.port) as c:
            c.login(other + ".rig")
            assert c.submit(c.mine(easier_than=c.job.network_target())) is True
        block = wait_for(lambda: pool.status()["blocks"], 10, about="the block")[0]
        wait_for(lambda: explained(pool, sid)["blocks_after"], 10, about="the block behind the share")
        o = explained(pool, sid)
        after, = o["blocks_after"]
        assert after["id"] == block["id"] and after["credited"] and not after["found_by_this_account"], after
        assert int(after["credit_units"]) > 0 and o["immature_units"] == after["credit_units"], o
        assert says(o, "waits for its blocks to mature") and says(o, "1 block was found since"), o
        # Later than the share: a share behind the block is not in it.
        late, _ = one_share(pool, who + ".rig1")
        in_database(pool, late)
        assert explained(pool, late)["blocks_after"] == []
        text = ask(pool, "explain", sid).stdout
        for word in (f"share {sid}", who + ".rig1", "merged", "blocks after it", block["id"], "to this account"):
            assert word in text, (word, text)
        pool.chain("dev", "mine", "200")
        wait_for(lambda: explained(pool, sid)["blocks_after"][0]["state"] == "mature", 20, about="maturity")
        o = explained(pool, sid)
        assert o["spendable_units"] == after["credit_units"] and says(o, "is mature"), o
        # Off line, and after a kill, the same.
        pool.kill()
        off = explained(pool, sid, live=False)
        for key in ("account", "worker", "work", "hash_begins", "spendable_units", "blocks_after"):
            assert off[key] == o[key], (key, off[key], o[key])
        # The next start merges that journal to its end and removes it; what is left says so.
        pool.start()
        folder = os.path.join(pool.folder, "data", "journal", "r-" + sid.split("-")[0])
        pool.stop()
        pool.start()
        wait_for(lambda: not os.path.exists(folder), 20, about="the removal of the old journal")
        o = explained(pool, sid)
        assert o["journal"] == "cut" and o["in_database"] and says(o, "not in the journal any more"), o
        epoch = sid.split("-")[0]
        assert "there never was such a share" in one_line_of_error(ask(pool, "explain", f"{epoch}-999999", check=False))
        assert pool.stop() == 0
        verified(pool)


def test_a_block_by_all_its_names():
    with Pool(devnet(bits=BITS)) as pool:
        pool.start()
        finder, other = address(82), address(83)
        in_database(pool, one_share(pool, other + ".x")[0])
        with Client(pool.port) as c:
            c.login(finder + ".lucky")
            assert c.submit(c.mine(easier_than=c.job.network_target())) is True
        block = wait_for(lambda: pool.status()["blocks"], 10, about="the block")[0]
        wait_for(lambda: explained(pool, block["id"])["state"] == "confirming", 10, about="its confirmation")
        o = explained(pool, block["id"])
        assert o["kind"] == "block" and o["hash"] == block["hash"] and o["height"] == block["height"], o
        assert (o["account"], o["worker"], o["scheme"], o["pool"]) == (finder, "lucky", "pplns", "dev"), o
        assert o["fee_percent"] == "1.0000" and o["value_units"] == block["value_units"], o
        states = [(s["state"], s["source"]) for s in o["states"]]
        assert states[0] == ("found", "share") and ("accepted", "journal") in states and \
            ("confirming", "journal") in states, states
        times = [s["time_ms"] for s in o["states"]]
        assert times == sorted(times) and all(abs(t - o["now_ms"]) < 60000 for t in times), times
        assert o["share"]["is_block"] and o["share"]["account"] == finder and o["share"]["journal"] == "there", o["share"]
        c = o["conservation"]
        assert c["holds"] and int(c["credits_units"]) + int(c["fee_units"]) == int(c["value_units"]), c
        posting, = o["postings"]
        assert posting["key"] == f"block/{block['id']}/credit" and posting["sum_units"] == "0", posting
        owners = {e["owner"]: int(e["amount_units"]) for e in posting["entries"] if e["account"] == "immature"}
        assert set(owners) == {finder, other} and sum(owners.values()) == int(c["credits_units"]), owners
        for name in (block["hash"], block["hash"][-64:].upper(), str(block["height"])):
            assert explained(pool, name)["id"] == block["id"], name
        assert explained(pool, "block", block["hash"][:20])["id"] == block["id"]
        off_by = one_line_of_error(ask(pool, "explain", block["hash"][:7], check=False))
        assert "nothing is known by" in off_by, off_by
        text = ask(pool, "explain", "block", block["id"]).stdout
        for word in (f"block {block['id']}", "fee", "the value of its coinbase", "posting block/",
                     finder, "its share", "states", "(journal)"):
            assert word in text, (word, text)
        pool.chain("dev", "mine", "200")
        wait_for(lambda: explained(pool, block["id"])["state"] == "mature", 20, about="maturity")
        o = explained(pool, block["id"])
        assert [p["key"].rsplit("/", 1)[1] for p in o["postings"]] == ["credit", "mature"], o["postings"]
        assert pool.stop() == 0
        off = explained(pool, block["id"], live=False)
        assert off["postings"] == o["postings"] and off["conservation"] == o["conservation"]
        verified(pool)
        # A database of later, where the journals are cut: times come from the ledger.
        pool.start()
        pool.stop()
        o = explained(pool, block["id"], live=False)
        states = {s["state"]: s["source"] for s in o["states"]}
        assert states["found"] == "share" and states["mature"] in ("ledger", "journal"), states


def test_an_orphan_says_what_was_taken_back():
    with Pool(devnet(bits=BITS)) as pool:
        pool.start()
        who = address(84)
        with Client(pool.port) as c:
            c.login(who + ".x")
            assert c.submit(c.mine(easier_than=c.job.network_target())) is True
        block = wait_for(lambda: pool.status()["blocks"], 10, about="the block")[0]
        wait_for(lambda: explained(pool, block["id"])["state"] == "confirming", 10, about="its confirmation")
        pool.chain("dev", "reorg", "1")
        pool.chain("dev", "mine", "200")
        wait_for(lambda: explained(pool, block["id"])["state"] == "orphaned", 20, about="the orphan")
        o = explained(pool, block["id"])
        assert [p["key"] for p in o["postings"]] == [f"block/{block['id']}/credit", f"block/{block['id']}/credit/reversed"]
        assert o["postings"][0]["reversed"] and o["conservation"]["holds"], o
        assert o["states"][-1]["state"] == "orphaned", o["states"]
        share = explained(pool, "share", block["id"])
        assert share["kind"] == "share" and says(share, "orphaned, the network paid nothing"), share
        a, = account(pool, who)
        assert a["immature_units"] == a["spendable_units"] == "0" and a["postings"][1]["reversed"], a


def test_another_finder_gets_it_all():
    """By a scheme that pays only the finder, a share of another is told that it got nothing."""
    with Pool(devnet(bits=BITS).replace("scheme: pplns, window: 2x difficulty", "scheme: solo")) as pool:
        pool.start()
        sid, _ = one_share(pool, address(85) + ".x")
        in_database(pool, sid)
        with Client(pool.port) as c:
            c.login(address(86) + ".x")
            assert c.submit(c.mine(easier_than=c.job.network_target())) is True
        wait_for(lambda: explained(pool, sid)["blocks_after"], 10, about="the block")
        o = explained(pool, sid)
        assert not o["blocks_after"][0]["credited"] and says(o, "gave this account nothing"), o
        assert says(o, "another finder"), o


def test_bans_that_hold_somebody():
    """By number, address, prefix, account, rig; in force, over and undone; of a stopped pool too."""
    with Pool(devnet()) as pool:
        pool.start()
        who = address(91)

        def add(*words):
            o = json.loads(ask(pool, "ban", "add", *words, "--reason", 'spam "and" more', "--json").stdout)
            return o["id"]

        def held(*words):
            o = json.loads(ask(pool, "explain", *words, "--json").stdout)
            assert o["kind"] == "ban" and o["n_bans"] == len(o["bans"]), o
            assert all(b["steps"][0]["step"] == "ban.add" and f'"id":{b["id"]},' in b["steps"][0]["data"] for b in o["bans"]), o
            return {b["id"] for b in o["bans"]}
        one, net, six = add("ip", "192.0.2.7"), add("prefix", "192.0.2.0/24"), add("ip", "2001:db8:1:2::5")
        rig, account = add("worker", f"dev/{who}.rig"), add("account", f"dev/{who}", "--for", "2h")
        assert held("192.0.2.7") == held("ban", "192.0.2.7") == held("::ffff:192.0.2.7") == {one, net}
        assert held("192.0.2.9") == held("192.0.2.0/24") == {net}
        assert held("2001:db8:1:2:ffff::1") == {six}
        assert held(f"dev/{who}.rig") == held(f"dev/{who.upper()}.rig") == {rig, account}
        assert held(f"dev/{who}.other") == {account}
        assert held("ban", who) == held("ban", f"dev/{who}") | {rig} == {rig, account}
        assert held("ban", str(one)) == {one}
        said = ask(pool, "explain", "ban", str(account)).stdout
        for words in (f"ban {account}: account dev/{who}, since ", "in force until 2", "it has refused: logins and shares of all",
                      'the miner is told: banned until 2', 'spam "and" more', f"otedama ban undo {account}", "ban.add: {"):
            assert words in said, f"{words!r} is not in:\n{said}"
        ask(pool, "ban", "undo", str(account))
        said = ask(pool, "explain", "ban", str(account)).stdout
        assert "undone 2" in said and "it had refused" in said and "ban.undo: {" in said and "ban undo" not in said.replace("ban.undo", ""), said
        for words in (("ban", "99"), ("ban", "nobody"), ("ban", "0"), ("ban", "198.51.100.1"), ("198.51.100.1",), ("ban", "dev/"),
                      ("ban", "/"), ("ban", "x" * 300), ("ban", "%s%n"), ("ban", ".")):
            assert "no ban" in one_line_of_error(ask(pool, "explain", *words, check=False)), words
        assert pool.stop() == 0
        o = json.loads(ask(pool, "explain", "192.0.2.7", "--json", live=False).stdout)
        assert {b["id"] for b in o["bans"]} == {one, net}, o


def test_ten_thousand_accounts():
    """Every question answers within seconds, in valid JSON, and the pool beside it goes on."""
    with Pool(devnet()) as pool:
        pool.start()
        assert pool.stop() == 0
        minute = int(time.time()) // 60
        with contextlib.closing(sqlite3.connect(os.path.join(pool.folder, "data", "otedama.db"))) as db, db:
            (pid,), = db.execute("SELECT id FROM pools").fetchall()
            db.executemany("INSERT INTO accounts(id, pool_id, address, created_ms) VALUES(?, ?, ?, 1)",
                           [(100 + i, pid, address(1000 + i)) for i in range(10000)])
            db.executemany("INSERT INTO workers(id, account_id, name, last_ms) VALUES(?, ?, ?, ?)",
                           [(100 + i, 100 + i, "rig", minute * 60000) for i in range(10000)])
            db.executemany("INSERT INTO share_minutes(worker_id, minute, accepted, work) VALUES(?, ?, 3, ?)",
                           [(100 + i, minute - k, ((1 << 127) + 5000).to_bytes(16, "big")) for i in range(10000) for k in range(3)])
        pool.start()
        began = time.monotonic()
        s = pool.status()
        assert s["pools"][0]["workers"] == 10000, s["pools"]
        for n in (0, 5000, 9999):
            one, = account(pool, address(1000 + n))
            assert one["workers"][0]["shares_1h"] == 9, one
        seen, after = set(), 0
        while after is not None:
            o = json.loads(ask(pool, "account", "list", "--after", str(after), "--json").stdout)
            assert not seen & {a["address"] for a in o["accounts"]}, "one comes twice"
            seen |= {a["address"] for a in o["accounts"]}
            after = o["next"]
        assert seen == {address(1000 + i) for i in range(10000)}
        assert ask(pool, "status").stdout.count("bcrt1") >= 100
        for words in (("account", "show", ""), ("account", "show", "x" * 400), ("account", "show", "dev", ""), ("account", "show", "%s"),
                      ("account", "show", address(1000)[:-1]), ("account", "show", "\x7f"), ("account", "show", "dev", "a b"),
                      ("account", "show", "a\nstatus"), ("account", "show", "a\x1b[31m")):
            one_line_of_error(ask(pool, *words, check=False))
        for words in (("account",), ("account", "sho", "x"), ("node",), ("node", "lists"), ("node", "list", "x"), ("account", "show"),
                      ("account", "show", "a", "b", "c")):
            one_line_of_error(ask(pool, *words, check=False), 2)
        for words in (("payment", "hold", f"dev/{address(1000)}", "--reason", "a\nstop"), ("miners", "message", "a\nreconnect"),
                      ("ban", "add", "ip", "192.0.2.1", "--reason", "a\nb"), ("explain", "1-1\nx")):
            one_line_of_error(ask(pool, *words, check=False))
        assert json.loads(ask(pool, "node", "list", "--json").stdout)["nodes"]
        print(f"    all of it in {time.monotonic() - began:.1f} s")
        assert pool.stop() == 0


def test_what_is_not_known_is_said_with_the_forms():
    with Pool(devnet()) as pool:
        pool.start()
        for words in (("no-such",), ("12345",), ("9999-1",), ("deadbeefdead",), ("x" * 200,), ("0-0",), ("-",),
                      ("share", "7"), ("block", "1-1"), ("payment", "1"), ("%s%n",)):
            words = one_line_of_error(ask(pool, "explain", *words, check=False))
            assert "EPOCH-SEQUENCE" in words and "height" in words and "newest record" in words, words
        assert "no such share (yet)" in ask(pool, "explain", "1-99999999").stdout
        sid, _ = one_share(pool, address(87))
        in_database(pool, sid)
        words = one_line_of_error(ask(pool, "explain", "12345", check=False))
        assert re.search(r"newest record: \d+-\d+; block: none yet; payment: none yet", words), words
        o = explained(pool, sid.split("-")[0] + "-1")
        assert o["journal"] == "other" and says(o, "is no share but the definition"), o
        one_line_of_error(ask(pool, "explain", check=False), 2)
        one_line_of_error(ask(pool, "explain", "shares", "1-1", check=False), 2)
        for verb in ("explain", "explain share", "explain block all", "account", "account show", "node", "ban", "ban add x"):
            r = raw(pool, verb)
            assert r.startswith(b"error "), (verb, r)
        assert "no account" in one_line_of_error(ask(pool, "account", "show", "nobody", check=False))
        assert "no account" in one_line_of_error(ask(pool, "account", "show", "other", address(87), check=False))
        assert pool.stop() == 0
    other = Pool(devnet())
    with other:
        words = one_line_of_error(ask(other, "explain", "1-1", check=False, live=False))
        assert "has left anything" in words, words


def raw(pool, line):
    import socket
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(pool.socket)
        s.sendall(line.encode() + b"\n")
        got = b""
        while True:
            part = s.recv(65536)
            if not part:
                return got
            got += part


def test_account_show():
    with Pool(devnet(bits=BITS)) as pool:
        pool.start()
        who = address(88)
        with Client(pool.port) as c:
            c.login(who + ".one")
            share = c.mine(harder_than=c.job.network_target())
            assert c.submit(share) is True
            refused(22, c.submit, share)
            for _ in range(4):
                assert c.submit(c.mine(harder_than=c.job.network_target())) is True
        with Client(pool.port) as c:
            c.login(who + ".two")
            assert c.submit(c.mine(easier_than=c.job.network_target())) is True
        block = wait_for(lambda: pool.status()["blocks"], 10, about="the block")[0]
        wait_for(lambda: account(pool, who)[0]["immature_units"] != "0", 10, about="the credit")
        wait_for(lambda: account(pool, who)[0]["workers"][1]["refused_24h"] == {"duplicate": 1}, 30,
                 about="the refused share")
        ask(pool, "ban", "add", "worker", f"dev/{who}.one", "--for", "1h", "--reason", "duplicates")
        for words in ((who,), ("dev", who), (who.upper(),)):
            a, = account(pool, *words)
            assert a["address"] == who and a["pool"] == "dev" and a["asset"] == "DEV", a
        workers = {w["name"]: w for w in a["workers"]}
        assert workers["one"]["shares_1h"] == 5 == workers["one"]["shares_24h"] and workers["two"]["shares_1h"] == 1
        assert all(w["last_share_ms"] for w in workers.values())
        balances = {b["kind"]: b["amount"] for b in pool.status()["balances"] if b["owner"] == who}
        assert a["immature"] == balances["immature"] and re.fullmatch(r"\d+\.\d{8}", a["immature"]), (a, balances)
        assert a["postings"][0]["key"] == f"block/{block['id']}/credit", a["postings"]
        ban, = a["bans"]
        assert ban["what"] == f"dev/{who}.one" and ban["reason"] == "duplicates"
        assert a["payments"] == [] and a["paid_units"] == "0" and "hold" not in a
        text = ask(pool, "account", "show", who).stdout
        for word in ("immature", "spendable", "on its way", "paid", "one", "two", "1 duplicate", "BANNED: worker", "last postings"):
            assert word in text, (word, text)
        assert pool.stop() == 0
        off, = account(pool, who, live=False)
        assert off["immature_units"] == a["immature_units"] and off["postings"] == a["postings"]


def test_node_list():
    secret = "hunter2-very-secret"
    dead = free_port()
    text = devnet(top="nodes:\n  far: {coin: bitcoin, network: regtest, rpc: \"http://127.0.0.1:%d\", user: me,"
                  " password: %s, roles: [template, submit]}" % (dead, secret))
    text = text.replace("api: {listen", """  btc:
    coin: bitcoin
    network: regtest
    nodes: [far]
    coinbase: {address: bcrt1q3jzz8hqjs2nxnaweuge6lsxjca3kwr0kdkgd3d}
    block_difficulty_floor: 0.001
    payout: {scheme: solo}
    ports:
      %d: {listen: 127.0.0.1, difficulty: {start: 1, min: 1, max: 1}}
api: {listen""" % free_port())
    with Pool(text) as pool:
        pool.start()

        def nodes():
            return {n["name"]: n for n in json.loads(ask(pool, "node", "list", "--json").stdout)["nodes"]}
        wait_for(lambda: nodes()["far"]["errors"] > 0, 10, about="the failure of the dead node")
        n = nodes()
        assert n["devnet"]["state"] == "up" and n["devnet"]["in_use"] and n["devnet"]["last_ok_ms"], n
        assert n["devnet"]["pools"] == ["dev"] and n["far"]["pools"] == ["btc"], n
        far = n["far"]
        assert far["state"] == "down" and far["roles"] == ["template", "submit"] and not far["in_use"], far
        assert far["last_error"] and far["last_error_ms"] and far["last_ok_ms"] == 0, far
        out = ask(pool, "node", "list").stdout
        assert "far: bitcoin on regtest, down" in out and "last error" in out and "devnet" in out, out
        for said in (out, json.dumps(n), pool.output()):
            assert secret not in said


def test_questions_while_shares_come():
    with Pool(devnet(bits=SOME_BLOCKS, top="threads: {reactors: 2}")) as pool:
        pool.start()
        miners = [Miner(pool.port, f"{address(90 + i)}.rig", pause=0.005) for i in range(3)]
        wait_for(lambda: all(m.acknowledged > 20 for m in miners), 30, about="shares")
        in_database(pool, share_ids(pool)[0][0])
        wait_for(lambda: all(m.user in pool.command("status", "--socket", pool.socket).stdout for m in miners), 10)
        for sid, _ in share_ids(pool)[:20]:
            assert explained(pool, "share", sid)["id"] == sid
            account(pool, miners[0].user.split(".")[0])
        before = [m.acknowledged for m in miners]
        wait_for(lambda: all(m.acknowledged > n + 5 for m, n in zip(miners, before)), 20, about="further shares")
        for m in miners:
            m.stop()
            assert m.unanswered == 0 and all("21" in r for r in m.refused), m.refused  # stale by a block
        assert pool.stop() == 0
        with Database(pool) as db:
            blocks = db.rows("SELECT epoch || '-' || share_seq FROM blocks")
        for bid, in blocks:
            assert explained(pool, bid, live=False)["conservation"]["holds"], bid
        verified(pool)


def put_wide(v):
    return (v + (1 << 127)).to_bytes(16, "big")


def test_a_payment_as_it_is_stored():
    """Rows as core/ledger/payment.h describes them; the payer's own way is tested where it pays."""
    with Pool(devnet(bits=BITS)) as pool:
        pool.start()
        who = address(95)
        with Client(pool.port) as c:
            c.login(who + ".x")
            assert c.submit(c.mine(easier_than=c.job.network_target())) is True
        block = wait_for(lambda: pool.status()["blocks"], 10, about="the block")[0]
        pool.chain("dev", "mine", "200")
        wait_for(lambda: account(pool, who)[0]["spendable_units"] != "0", 20, about="maturity")
        has = int(account(pool, who)[0]["spendable_units"])
        assert pool.stop() == 0
        db = sqlite3.connect(os.path.join(pool.folder, "data", "otedama.db"))
        (owner,), = db.execute("SELECT id FROM accounts WHERE address = ?", (who,)).fetchall()
        (pool_id,), = db.execute("SELECT id FROM pools").fetchall()
        (at,), = db.execute("SELECT max(time_ms) + 1 FROM postings").fetchall()
        txid, other = bytes(range(32)), bytes(range(32, 64))
        db.execute("INSERT INTO payments(id, pool_id, asset, state, held, why, fee_by_miners, total, created_ms, changed_ms,"
                   " generation, version) VALUES(7, ?, 'DEV', 4, 1, 'a test holds it', 1, ?, ?, ?, 1, 1)",
                   (pool_id, put_wide(has), at, at + 5))
        db.execute("INSERT INTO payment_parts(payment_id, n, account_kind, owner, address, amount) VALUES(7, 0, 3, ?, ?, ?)",
                   (owner, who, put_wide(has)))
        db.execute("INSERT INTO payment_txs(payment_id, generation, version, txid, raw, fee, change, vsize, signed_ms)"
                   " VALUES(7, 1, 1, ?, ?, ?, ?, 150, ?)", (txid, b"\x01\x02", put_wide(300), put_wide(42), at + 2))
        db.execute("INSERT INTO payment_sent(payment_id, generation, version, n, sent) VALUES(7, 1, 1, 0, ?)",
                   (put_wide(has - 300),))
        db.execute("INSERT INTO payment_coins(payment_id, generation, n, since, txid, idx, value, script)"
                   " VALUES(7, 1, 0, 1, ?, 3, ?, ?)", (other, put_wide(has + 42), b"\x51"))
        db.execute("INSERT INTO postings(k, asset, memo, time_ms) VALUES('payment/7/reserve', 'DEV', 'payment 7', ?)", (at,))
        (posting,), = db.execute("SELECT max(id) FROM postings").fetchall()
        db.executemany("INSERT INTO entries(posting_id, n, account_kind, owner, amount) VALUES(?, ?, ?, ?, ?)",
                       [(posting, 0, 3, owner, put_wide(-has)), (posting, 1, 7, owner, put_wide(has))])
        db.execute("INSERT INTO payment_holds(account_id, reason, created_ms) VALUES(?, 'asked for by mail', ?)", (owner, at))
        db.commit()
        db.close()
        for name in ("7", "payment 7", txid[::-1].hex(), txid[::-1].hex()[:16]):
            o = explained(pool, *name.split(), live=False)
            assert o["kind"] == "payment" and o["id"] == 7 and o["state"] == "sent" and o["held"], o
        part, = o["parts"]
        assert part["address"] == who and int(part["amount_units"]) == has and int(part["sent_units"]) == has - 300, part
        source, = part["sources"]
        assert source["key"] == f"block/{block['id']}/mature" and int(source["amount_units"]) == has, source
        tx, = o["transactions"]
        assert tx["txid"] == txid[::-1].hex() and tx["raw"] == "0102" and tx["fee_units"] == "300" and tx["change_units"] == "42"
        coin, = o["inputs"]
        assert coin["txid"] == other[::-1].hex() and coin["index"] == 3
        assert says(o, "HELD") and says(o, "a test holds it") and says(o, "the recipients"), o["says"]
        posting, = o["postings"]
        assert posting["key"] == "payment/7/reserve" and posting["sum_units"] == "0"
        a, = account(pool, who, live=False)
        assert int(a["on_its_way_units"]) == has and a["paid_units"] == "0" and a["hold"]["reason"] == "asked for by mail", a
        assert a["payments"][0]["txid"] == tx["txid"] and a["payments"][0]["held"], a["payments"]
        text = ask(pool, "explain", "payment", "7", live=False).stdout
        for word in ("payment 7", "HELD", who, tx["txid"], f"block/{block['id']}/mature", "raw 0102", "input "):
            assert word in text, (word, text)
        # A number that is a height too must be said more exactly.
        db = sqlite3.connect(os.path.join(pool.folder, "data", "otedama.db"))
        db.execute("UPDATE blocks SET height = 7")
        db.commit()
        db.close()
        assert "explain block" in one_line_of_error(ask(pool, "explain", "7", check=False, live=False))
        assert explained(pool, "block", "7", live=False)["kind"] == "block"
        assert explained(pool, "payment", "7", live=False)["kind"] == "payment"


def test_shares_across_segments_and_of_those_that_are_cut():
    """Definitions are restated in each segment; what was released while the pool runs is said to be cut."""
    top = """threads: {reactors: 1}
journal: {segment: 1MiB, snapshot: 1s}
miner: {pool: dev, account: %s, worker: fast, threads: 1}""" % address(96)
    with Pool(devnet(difficulty="{start: 2.4e-7, min: 2.4e-7, max: 2.4e-7, vardiff: false}", top=top)) as pool:
        pool.start()
        folder = os.path.join(pool.folder, "data", "journal", "r-1")
        with Client(pool.port) as c:  # a worker whose definition is of the first segment, and is needed later
            c.login(address(97) + ".slow")
            assert c.submit(c.mine()) is True

            def gone():
                assert c.submit(c.mine()) is True
                return not os.path.exists(os.path.join(folder, "00000001.otj")) and len(os.listdir(folder)) > 1
            wait_for(gone, 120, 0.2, about="the release of the first segment")
            for _ in range(3):
                assert c.submit(c.mine()) is True
        def newest_record():
            return int(re.search(r"newest record: 1-(\d+)", ask(pool, "explain", "77", check=False).stderr).group(1))
        wait_for(lambda: newest_record() > explained(pool, "share", "1-10")["journal_first"] + 40, 60, 0.2, "more than a few records")
        newest = newest_record()
        o = explained(pool, "share", "1-10")
        assert o["journal"] == "cut" and o["in_database"] and o["journal_first"] > 10, o
        seen = set()
        for seq in range(max(o["journal_first"], newest - 40), newest + 1):
            s = explained(pool, f"1-{seq}")
            assert s["journal"] in ("there", "other", "cut"), s
            if s["journal"] == "there":
                seen.add(s["worker"])
                assert s["account"] in (address(96), address(97)) and s["height"] == 1, s
        first = explained(pool, f"1-{newest}")["journal_first"]
        assert explained(pool, f"1-{first}")["journal"] in ("there", "other")
        assert "fast" in seen, seen
        assert pool.stop() == 0


def test_payments_of_a_real_wallet():
    """What explain says of two payments is what the chain, the plan and the ledger say."""
    with Bank(BITCOIN, "minimum: 0.0001 BTC, every: 30d, network_fee: miners") as bank:
        pool = bank.pool
        pool.start()
        bank.mine((20, 10))
        due = bank.balances("spendable")
        block = pool.status()["blocks"][0]
        bank.turn_on()
        bank.run()
        paid = bank.confirm()
        o = explained(pool, "payment", str(paid["id"]))
        assert o["state"] == "paid" and not o["held"] and o["network_fee_by"] == "miners", o
        parts = {p["address"]: p for p in o["parts"]}
        assert {a: int(p["amount_units"]) for a, p in parts.items()} == due, parts
        got = bank.received(due)
        assert {a: int(p["sent_units"]) for a, p in parts.items()} == got, (parts, got)
        for a, p in parts.items():
            source, = p["sources"]
            assert source["key"] == f"block/{block['id']}/mature" and int(source["amount_units"]) == due[a], p
        tx, = o["transactions"]
        raw_tx = bank.node.rpc("decoderawtransaction", tx["raw"])
        assert raw_tx["txid"] == tx["txid"] and tx["part"] == "this one paid", tx
        assert {(c["txid"], c["index"]) for c in o["inputs"]} == {(v["txid"], v["vout"]) for v in raw_tx["vin"]}
        assert sum(int(c["value_units"]) for c in o["inputs"]) == \
            sum(got.values()) + int(tx["change_units"]) + int(tx["fee_units"])
        assert [p["key"].split("/")[2] for p in o["postings"]] == ["reserve", "paid"], o["postings"]
        assert all(p["sum_units"] == "0" for p in o["postings"])
        assert [x["step"] for x in o["steps"]][:4] == ["payment.reserve", "payment.fund", "payment.sign", "payment.send"]
        assert o["steps"][-1]["step"] == "payment.paid" and o["height"] > 0 and o["confirmations"] >= 2
        assert explained(pool, tx["txid"])["id"] == paid["id"] == explained(pool, tx["txid"][:12])["id"]
        for a in due:
            x, = account(pool, a)
            assert int(x["paid_units"]) == due[a] and x["on_its_way_units"] == "0" == x["spendable_units"], x
            assert x["payments"][0]["txid"] == tx["txid"] and x["payments"][0]["state"] == "paid", x
        bank.mine((5, 15))
        more = bank.balances("spendable")
        bank.run()
        second = bank.wait_state("sent", "paid", id_=paid["id"] + 1)
        o = explained(pool, "payment", str(second["id"]))
        newest = pool.status()["blocks"][0]["id"]
        assert newest != block["id"]
        for p in o["parts"]:
            source, = p["sources"]
            assert p["payment_before"] == paid["id"] and source["key"] == f"block/{newest}/mature", p
            assert int(p["sources_sum_units"]) == more[p["address"]], p
        a = next(iter(due))
        assert int(account(pool, a)[0]["on_its_way_units"]) + int(account(pool, a)[0]["paid_units"]) == due[a] + more[a]
        text = ask(pool, "explain", "payment", str(paid["id"])).stdout
        for word in (tx["txid"], a, "this one paid", f"block/{block['id']}/mature", "payment.sign"):
            assert word in text, (word, text)
        bank.confirm(second["id"])
        assert bank.verify() == 0
