"""The wire, as clients of each kind speak it: orders of messages, answers, refusals, difficulty, jobs."""
import json
import time

from devnet import SHARE, SOME_BLOCKS, Raw, devnet, finish_shared, refused, shared
from pool import Pool, address, patient, wait_for
from stratum import DIFF1, Client, StratumError

QUIET = "notify: 60s\nrefresh: 1h"  # no job comes but for a reason of the test's
TEXT = devnet(pool=QUIET)
RANGE = "{start: 2.384185791015625e-07, min: 5.9604644775390625e-08, max: 1e-6, vardiff: false}"  # 2^-22, 2^-24


def plain():
    return shared("plain", TEXT)


def ranged():
    return shared("ranged", devnet(RANGE, pool=QUIET))


def finish():
    finish_shared()


def methods(lines):
    return [m.get("method") for m in lines]


def next_notice(raw, method):
    while True:
        m = raw.line()
        assert m is not None, "the server closed the connection"
        if m.get("method") == method:
            return m


# --- the order of messages ---

def test_configure_first_as_cgminer_does():
    with Raw(plain().port) as r:
        r.send(1, "mining.configure", ["version-rolling"], {"version-rolling.mask": "ffffffff"})
        first = r.line()
        assert first["id"] == 1 and not first["error"], first
        assert first["result"] == {"version-rolling": True, "version-rolling.mask": "1fffe000"}, first
        assert r.line() == {"id": None, "method": "mining.set_version_mask", "params": ["1fffe000"]}
        r.send(2, "mining.subscribe", "cgminer/4.12.1")
        answer = r.line()
        assert answer["id"] == 2, answer
        (notices, en1, en2_len), names = answer["result"], []
        names = [n[0] for n in notices]
        assert names == ["mining.set_difficulty", "mining.notify"], answer
        assert len(bytes.fromhex(en1)) == 4 and 2 <= en2_len <= 16
        assert methods([r.line(), r.line()]) == ["mining.set_difficulty", "mining.notify"]
        r.send(3, "mining.authorize", address(1) + ".cg", "x")
        assert r.line() == {"id": 3, "result": True, "error": None}


def test_subscribe_first_as_cpuminer_does():
    with Raw(plain().port) as r:
        r.send(1, "mining.subscribe", "cpuminer/2.5.1")
        assert r.line()["id"] == 1, "cpuminer takes the next line for the answer"
        r.send(2, "mining.authorize", address(1) + ".cpu", "x")
        lines = r.answer(2)
        assert lines[-1]["result"] is True
        assert methods(lines[:-1]) == ["mining.set_difficulty", "mining.notify"], lines
        assert lines[1]["params"][8] is True, "the first job does not say that it is the first"


def test_nicehash_hears_its_difficulty_first():
    with Raw(plain().port) as r:
        r.send(1, "mining.subscribe", "NiceHash/1.0.0", "0123456789abcdef")
        answer = r.line()
        assert answer["id"] == 1 and answer["result"][2] >= 4
        difficulty = r.line()
        assert difficulty["method"] == "mining.set_difficulty", difficulty
        assert abs(difficulty["params"][0] - float(SHARE)) < 1e-12
        r.send(2, "mining.extranonce.subscribe")
        lines = r.answer(2)
        assert lines[-1]["result"] is True and lines[-1]["error"] is None
        r.send(3, "mining.authorize", address(1) + ".nh", "x")
        assert r.answer(3)[-1]["result"] is True


def test_authorize_before_subscribe():
    with Client(plain().port) as c:
        assert c.authorize(address(2) + ".early") is True
        c.subscribe()
        c.wait_job()
        assert c.submit(c.mine()) is True


def test_suggest_before_subscribe():
    with Client(ranged().port) as c:
        assert c.call("mining.suggest_difficulty", 2**-23) is True
        c.login(address(2) + ".suggest")
        assert abs(c.job.difficulty / 2**-23 - 1) < 1e-6, c.job.difficulty
        assert c.submit(c.mine()) is True


def test_blanks_carriage_returns_and_empty_lines():
    with Raw(plain().port) as r:
        r.write("\r\n\n")
        r.write('  { "method" : "mining.ping" ,\t"params" : [ ] , "id" : 7 }\r\n')
        assert r.line() == {"id": 7, "result": "pong", "error": None}
        r.write('{"id": 8, "method": "mining.ping"}\n{"id": 9, "method": "mining.ping", "params": null}\n')
        assert [r.line()["id"], r.line()["id"]] == [8, 9]
        for part in ('{"id": 10, "meth', 'od": "mining.ping", "par', 'ams": []}', "\n"):
            r.write(part)
            time.sleep(0.02)
        assert r.line()["id"] == 10


# --- answers ---

IDS = (0, 1, -7, 2**53, 999999999999999999, 1.5, None, True, "", "abc", 'a "quoted" \\ one', "\u00e9\u4e2d")


def test_ids_of_every_type_come_back():
    with Raw(plain().port) as r:
        r.send(1, "mining.subscribe", "ids")
        r.answer(1)
        for ident in IDS:
            r.send(ident, "mining.ping")
            got = r.answer(ident)[-1]
            assert got["result"] == "pong" and type(got["id"]) is type(ident), got
            r.send(ident, "mining.submit", address(1), "0000000000", "00000000", "00000000", "00000000")
            got = r.answer(ident)[-1]
            assert got["error"][0] == 24 and got["id"] == ident, got


def test_an_id_that_is_no_id_is_answered():
    with Raw(plain().port) as r:
        for ident in ("x" * 65, [1], {"a": 1}):
            r.send(ident, "mining.ping")
            got = r.line()
            assert got["error"][0] == 20 and got["id"] is None, got
        r.send(5, "mining.ping")
        assert r.line()["id"] == 5


def test_unknown_and_small_methods():
    with Client(plain().port) as c:
        refused(-3, c.call, "mining.who_knows", 1, 2)
        refused(-3, c.call, "eth_submitLogin", address(1))
        assert c.call("mining.ping") == "pong"
        assert c.call("mining.multi_version", 4) is True
        assert c.call("mining.extranonce.subscribe") is True
        assert c.call("client.get_version").startswith("otedama/")
        refused(20, c.call, "mining.get_transactions", "0000000100")
        assert c.call("mining.suggest_target", f"{DIFF1 << 22:064x}"[-64:]) is True
        refused(20, c.call, "mining.suggest_target", "zz")
        assert c.call("mining.ping") == "pong"


def test_answers_keep_the_order_of_requests():
    with Raw(plain().port) as r:
        r.send(1, "mining.subscribe", "order")
        r.answer(1)
        text = ""
        for i in range(100, 160):
            method = ("mining.ping", "mining.authorize", "mining.submit")[i % 3]
            params = ([], [address(3) + f".o{i % 5}", "x"],
                      [address(3) + ".o1", "0000000000", "00000000", "00000000", "00000000"])[i % 3]
            text += json.dumps({"id": i, "method": method, "params": params}) + "\n"
        r.write(text)
        ids = [m["id"] for m in r.answer(159) if "method" not in m]
        assert ids == list(range(100, 160)), ids


# --- who ---

def test_wrong_addresses_are_refused_with_a_reason():
    wrong = (address(1)[:-1] + ("q" if address(1)[-1] != "q" else "p"), "nobody", "x" * 90,
             "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", ".rig")
    with Raw(plain().port) as r:
        for i, user in enumerate(wrong + wrong[:2]):
            r.send(i, "mining.authorize", user, "x")
            got = r.answer(i)[-1]
            assert got["result"] is False and got["error"][0] == 24 and got["error"][2] is None, got
            assert len(got["error"][1]) > 12, f"no reason is given: {got}"
        r.send(50, "mining.authorize")
        assert r.answer(50)[-1]["error"][0] == 24
        r.send(51, "mining.authorize", address(1), "x")
        assert r.answer(51)[-1]["result"] is True, "a right address after wrong ones"


def test_worker_names_are_bounded_in_length():
    with Client(plain().port) as c:
        assert c.authorize(address(4) + "." + "n" * 64) is True
        assert "64" in refused(24, c.authorize, address(4) + "." + "n" * 65)
        refused(24, c.authorize, address(4) + ".a\x07b")
        assert c.authorize(address(4) + "%2Epercent") is True
        assert c.authorize(address(4) + ".with.dots") is True


def test_limits_of_the_file_hold_for_workers():
    text = devnet(top="limits: {workers_an_account: 3, worker_name_bytes: 8}")
    with Pool(text) as pool:
        pool.start()
        with Client(pool.port) as c:
            assert "8" in refused(24, c.authorize, address(1) + ".ninechars")
            for name in ("a", "b", "c"):
                assert c.authorize(f"{address(1)}.{name}") is True
            assert "worker names" in refused(24, c.authorize, address(1) + ".d")
            assert c.authorize(address(1) + ".a") is True
            assert c.authorize(address(2) + ".d") is True
        assert pool.stop() == 0


# --- version rolling ---

def submit(c, share, version=None, **other):
    """mining.submit of a share of mine(), some fields as said."""
    job, en2, ntime, nonce, _, bits = share
    fields = {"user": c.user, "job": job.id, "en2": en2, "ntime": ntime, "nonce": nonce, **other}
    params = [fields[k] for k in ("user", "job", "en2", "ntime", "nonce")]
    bits = version if version is not None else bits
    return c.call("mining.submit", *(params + ([bits] if bits is not None else [])))


def test_version_rolling_by_the_coins_mask():
    with Client(plain().port) as c:
        c.login(address(5) + ".roll", mask=0x1FFFE000)
        base = int(c.job.version, 16)
        for bits in (0x2000, 0x1FFFE000, 0x10000000, 0):
            assert submit(c, c.mine(version=(base & ~0x1FFFE000) | bits)) is True
        assert c.submit(c.mine()) is True  # no sixth field: the job's own version
        for bits in ("00000001", "20000000", "e0000000", "1fffe001"):
            assert "mask" in refused(20, submit, c, c.mine(), bits)
        for bits in ("0x2000", "", "2000000000", "zz"):
            refused(20, submit, c, c.mine(), bits)


def test_fewer_bits_are_negotiated():
    with Client(plain().port) as c:
        r = c.configure(0x00006001)
        assert r["version-rolling.mask"] == "00006000", r
        c.login(address(5) + ".few")
        base = int(c.job.version, 16)
        assert submit(c, c.mine(version=base ^ 0x2000)) is True
        refused(20, submit, c, c.mine(), "00008000")


def test_no_bits_without_configure():
    with Client(plain().port) as c:
        c.login(address(5) + ".none")
        refused(20, submit, c, c.mine(), "00002000")
        assert submit(c, c.mine(), "00000000") is True


def test_nothing_in_common_is_said_so():
    with Client(plain().port) as c:
        assert c.configure(0x00000003).get("version-rolling") is False


def test_other_extensions():
    with Client(ranged().port) as c:
        r = c.call("mining.configure", ["minimum-difficulty", "subscribe-extranonce", "info", "what-is-this"],
                   {"minimum-difficulty.value": 2**-20.5, "info.sw-version": "1"})
        assert r["minimum-difficulty"] is True and r["subscribe-extranonce"] is True and r["info"] is True
        assert r["what-is-this"] is False
        c.login(address(5) + ".minimum")
        assert c.job.difficulty >= 2**-20.5 * 0.999, c.job.difficulty
        assert c.call("mining.suggest_difficulty", 2**-24) is True
        c.wait_job()
        assert c.difficulty >= 2**-20.5 * 0.999, "a suggestion went under the minimum that was agreed"
        for bad in (-1, "x", None, [], 0):
            r = c.call("mining.configure", ["minimum-difficulty"], {"minimum-difficulty.value": bad})
            assert r["minimum-difficulty"] is not True or bad == 0, (bad, r)
        refused(20, c.call, "mining.configure", "version-rolling")


# --- difficulty ---

def test_suggest_difficulty_as_number_and_string():
    with Client(ranged().port) as c:
        job = c.login(address(6) + ".suggest")
        for value, expect in ((2**-23, 2**-23), (str(2**-22), 2**-22), ("1e-3", 1e-6), (1e-8, 2**-24)):
            assert c.call("mining.suggest_difficulty", value) is True
            job = c.wait_job(other_than=job.id)
            assert abs(job.difficulty / expect - 1) < 1e-6, (value, job.difficulty)
            assert job.clean is False, "work was thrown away for a change of difficulty"
            assert c.submit(c.mine(job)) is True
        for bad in ("", "x", -1, 0, None, [1], "1e999", "nan"):
            refused(20, c.call, "mining.suggest_difficulty", bad)


def test_difficulty_in_the_password():
    for password, expect in (("d=5.9604644775390625e-08", 2**-24), ("x,d=1.1920928955078125e-07", 2**-23),
                             ("c=BTC;diff=1.1920928955078125e-07", 2**-23), ("d=bad", 2**-22), ("", 2**-22),
                             ("d=1000000", 1e-6)):
        with Client(ranged().port) as c:
            c.authorize(address(6) + ".pass", password)
            c.subscribe()
            c.wait_job()
            assert abs(c.job.difficulty / expect - 1) < 1e-6, (password, c.job.difficulty)
        with Client(ranged().port) as c:
            first = c.login(address(6) + ".pass", password)
            if expect != first.difficulty:
                first = c.wait_job(other_than=first.id)
            assert abs(c.job.difficulty / expect - 1) < 1e-6, (password, c.job.difficulty)


def test_a_cut_holds_at_once_and_a_raise_for_later_jobs():
    with Client(ranged().port) as c:
        old = c.login(address(6) + ".change")
        c.call("mining.suggest_difficulty", 2**-20)
        new = c.wait_job(other_than=old.id)
        easy, hard = DIFF1 << 22, int(DIFF1 / new.difficulty)
        low = c.mine(old, harder_than=hard)  # enough for the old job, not for the new one
        assert c.submit(low) is True, "a share of a job that was sent before the raise"
        en2 = c.en2_next
        new.difficulty = old.difficulty
        refused(23, c.submit, c.mine(new, harder_than=hard))
        assert easy > hard and c.en2_next == en2 + 1
        new.difficulty = c.difficulty
        c.call("mining.suggest_difficulty", 2**-24)
        c.wait_job(other_than=new.id)
        new.difficulty = 2**-24  # what the miner finds on the job it has is good at once
        assert c.submit(c.mine(new, harder_than=hard)) is True


def test_vardiff_raises_and_no_share_is_lost():
    # It begins with 16 hashes, so that a slow machine makes a flood of them too.
    difficulty = "{start: 3.725290298461914e-09, min: 3.725290298461914e-09, max: 1e-4, aim: 1s}"
    with Pool(devnet(difficulty, pool="notify: 1s")) as pool:
        pool.start()
        with Client(pool.port) as c:
            c.login(address(7) + ".fast")
            seen, waiting, until, sent, after = {c.job.difficulty}, [], time.monotonic() + patient(20), 0, 0
            while time.monotonic() < until and after < 10:
                waiting.append(c.submit_async(c.mine()))  # of the newest job, by that job's difficulty
                sent, after = sent + 1, after + (max(seen) >= 8 * min(seen))
                seen.add(c.job.difficulty)
                if len(waiting) > 8:
                    assert c.wait(waiting.pop(0)) is True
            for q in waiting:
                assert c.wait(q) is True
            assert max(seen) >= 8 * min(seen), f"a flood of shares did not raise the difficulty: {seen}"
            changes = [m for m in c.notices if m["method"] == "mining.set_difficulty"]
            order = methods(c.notices)
            for i, name in enumerate(order):
                if name == "mining.set_difficulty":
                    assert order[i + 1] == "mining.notify", "a difficulty that no job follows"
            assert len(changes) >= 2  # the first one is that of the login
            assert not any(m["params"][8] for m in c.notices[2:] if m["method"] == "mining.notify")
        wait_for(lambda: pool.status()["pools"][0]["accepted"] == sent, 10, about="all shares in the status")
        assert pool.stop() == 0


def test_idle_miners_get_less_difficulty():
    difficulty = "{start: 1e-4, min: 1e-9, max: 1, aim: 100ms}"
    with Pool(devnet(difficulty, pool=QUIET)) as pool:
        pool.start()
        with Client(pool.port) as c:
            c.login(address(7) + ".slow")

            def told():
                return [m["params"][0] for m in c.notices if m["method"] == "mining.set_difficulty"]
            wait_for(lambda: len(told()) >= 3, 20, about="two cuts")
            for before, now in zip(told(), told()[1:]):
                assert abs(now / before - 0.5) < 1e-6, told()
        assert pool.stop() == 0


# --- refusals ---

def test_the_errors_by_their_numbers():
    with Client(plain().port) as c:
        c.user = address(8) + ".errors"
        refused(25, c.call, "mining.submit", c.user, "0000000100", "00000000", "00000000", "00000000")
        c.subscribe()
        c.wait_job()
        refused(24, c.submit, c.mine())
        assert c.authorize(c.user) is True
        refused(24, submit, c, c.mine(), None, **{"user": address(9) + ".stranger"})
        assert c.submit(c.mine()) is True
        refused(21, submit, c, c.mine(), None, **{"job": "ffffffff00"})
        for job in ("", "0", "zz", "x" * 64, "00000001"):
            refused(21, submit, c, c.mine(), None, **{"job": job})
        share = c.mine()
        assert c.submit(share) is True
        assert "uplicate" in refused(22, c.submit, share)
        job, en2, ntime, nonce, _, _ = share
        other = {"en2": en2.upper(), "ntime": ntime.upper(), "nonce": nonce.upper(), "job": job.id.upper()}
        refused(22, submit, c, share, None, **other)
        wrongs = ((share[0], share[1], share[2], f"{int(share[3], 16) ^ n:08x}", 0, None) for n in range(1, 1 << 16))
        low = refused(23, c.submit, next(w for w in wrongs if not c.meets(w)))
        assert "difficulty" in low


def test_duplicates_in_capital_letters():
    with Client(plain().port) as c:
        c.login(address(8) + ".capitals")
        while True:
            share = c.mine()
            if share[3].upper() != share[3]:
                break
        assert submit(c, share, None, **{"nonce": share[3].upper()}) is True
        refused(22, c.submit, share)


def test_malformed_fields():
    with Client(plain().port) as c:
        c.login(address(8) + ".malformed")
        good = c.mine()
        size = 2 * c.en2_len
        for field, values in (("en2", ("", "0" * (size - 2), "0" * (size + 2), "0" * (size - 1), "zz" * c.en2_len)),
                              ("ntime", ("", "1", "0" * 9, "zzzzzzzz", "-1000000")),
                              ("nonce", ("", "1", "0" * 9, "zzzzzzzz", " 0000000"))):
            for value in values:
                refused(20, submit, c, good, None, **{field: value})
        for params in ([], [c.user], [c.user, good[0].id, good[1], good[2]], [c.user, 1, 2, 3, 4],
                       [None] * 5, [c.user, good[0].id, good[1], good[2], good[3], 5]):
            refused(20, c.call, "mining.submit", *params)
        base = int(good[2], 16)
        for ntime in (0, base + 3 * 7200, 0xFFFFFFFF):
            assert "ntime" in refused(20, c.submit, c.mine(ntime=f"{ntime:08x}"))
        assert c.submit(c.mine(ntime=f"{base + 600:08x}")) is True, "a miner may roll the time"
        assert c.submit(good) is True


# --- jobs ---

def test_a_new_tip_makes_older_jobs_stale():
    with Client(plain().port) as c:
        job = c.login(address(9) + ".tip")
        late, other = c.mine(job), c.mine(job)
        plain().chain("dev", "mine", "1")
        new = c.wait_job(other_than=job.id)
        assert new.clean is True and new.prev != job.prev
        refused(21, c.submit, late)
        assert c.submit(c.mine(new)) is True
        refused(21, c.submit, other)


def test_late_shares_of_the_same_tip_are_good():
    with Pool(devnet(pool="refresh: 1s")) as pool:
        pool.start()
        with Client(pool.port) as c:
            job = c.login(address(9) + ".late")
            late = [c.mine(job) for _ in range(3)]
            for share in late:
                before = c.job.id
                pool.chain("dev", "send", address(1), "0.5")
                # One that was on its way before the first transaction came has none.
                new = wait_for(lambda old=before: c.job.id != old and c.job.branches and c.job, about="a job with transactions")
                assert new.prev == job.prev and new.clean is False
                assert c.submit(c.mine(new)) is True
                assert c.submit(share) is True
                refused(22, c.submit, share)
        assert pool.stop() == 0


def test_a_miner_hears_from_us_often():
    with Pool(devnet(pool="notify: 1s\nrefresh: 1h")) as pool:
        pool.start()
        with Client(pool.port) as c:
            first = c.login(address(9) + ".quiet")
            start, job, seen = time.monotonic(), first, [first]
            while len(seen) < 4:
                job = c.wait_job(other_than=job.id, timeout=5)
                seen.append(job)
            assert time.monotonic() - start < 80  # of what is not set it would be 90 s
            assert len({j.id for j in seen}) == len(seen), "a job's id was used twice"
            assert not any(j.clean for j in seen[1:])
            for j in seen:
                assert c.submit(c.mine(j)) is True
        assert pool.stop() == 0


def test_two_clients_never_share_nonce_space():
    with Client(plain().port) as a, Client(plain().port) as b:
        a.login(address(1) + ".a")
        b.login(address(1) + ".b")
        assert a.en1 != b.en1
        share = a.mine()
        while b.meets(share):  # another coinbase, so another hash; one in a thousand is good by that one too
            share = a.mine()
        assert a.submit(share) is True
        refused(23, submit, b, share)


def test_words_for_miners_and_reconnect():
    with Client(plain().port) as a, Client(plain().port) as b:
        a.login(address(1) + ".told")
        b.login(address(2) + ".told-too")
        text = 'a "quoted" word, \u00e9'
        plain().command("miners", "--socket", plain().socket, "message", text)
        for c in (a, b):
            wait_for(lambda k=c: "client.show_message" in methods(k.notices), 5, about="the message")
            said = [m for m in c.notices if m["method"] == "client.show_message"]
            assert len(said) == 1 and said[0]["params"] == [text], said
        plain().command("miners", "--socket", plain().socket, "reconnect")
        for c in (a, b):
            wait_for(lambda k=c: "client.reconnect" in methods(k.notices), 5, about="client.reconnect")
            assert c.submit(c.mine()) is True, "whoever does not obey goes on"


# --- blocks ---

def found(pool, value):
    """The block of this hash in the status."""
    for b in pool.status()["blocks"]:
        if b["hash"] == f"{value:064x}":
            return b
    return None


def test_a_block_on_a_stale_job_is_still_handed_in():
    with Pool(devnet(bits=SOME_BLOCKS, pool="refresh: 1h")) as pool:
        pool.start()
        with Client(pool.port) as c:
            job = c.login(address(9) + ".finder")
            late = c.mine(job, easier_than=job.network_target())
            good_share = c.mine(job, harder_than=job.network_target())
            pool.chain("dev", "mine", "1")
            new = c.wait_job(other_than=job.id)
            refused(21, c.submit, good_share)
            try:
                c.submit(late)
            except StratumError as e:
                assert e.code == 21, e
            block = wait_for(lambda: found(pool, late[4]), 10, about="the late block in the status")
            assert block["state"] not in ("confirming", "mature"), block
            assert c.submit(c.mine(new, easier_than=new.network_target())) is True
            wait_for(lambda: any(b["state"] == "confirming" for b in pool.status()["blocks"]), 10,
                     about="the block of the new tip")
        assert pool.stop() == 0


def test_a_block_by_another_users_name_is_not_lost():
    with Pool(devnet(bits=SOME_BLOCKS)) as pool:
        pool.start()
        with Client(pool.port) as c:
            job = c.login(address(9) + ".finder")
            block = c.mine(job, easier_than=job.network_target())
            try:
                submit(c, block, None, **{"user": address(1) + ".mistyped"})
            except StratumError as e:
                assert e.code == 24, e
            wait_for(lambda: (found(pool, block[4]) or {}).get("state") == "confirming", 10,
                     about="the block at its height")
        assert pool.stop() == 0
