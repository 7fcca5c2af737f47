"""Sessions that resume: a miner that comes back with the id of before has its extranonce1 and difficulty again, on
whichever reactor it lands; nobody else gets them, and no share is counted twice."""
import os
import time

from devnet import SHARE, Database, Raw, connections, devnet, gone, healthy, refused, verified
from pool import Pool, address, patient, wait_for
from stratum import Client
from upgrade import UpPool

USER = address(70) + ".one"
STEERED = "{start: 2.384185791015625e-07, min: 1.1920928955078125e-07, max: 1, vardiff: true, aim: 4s}"


def conf(reactors=1, resume="10m", difficulty=None):
    return devnet(difficulty, top=f"threads: {{reactors: {reactors}}}\nlimits: {{resume: {resume}}}")


def resume_id(answer):
    return dict(answer[0])["mining.notify"]


def come(pool, ident=None, mask=None, user=USER):
    """A connection with a job; its answer to mining.subscribe is .said."""
    c = Client(pool.port)
    if mask:
        c.configure(mask)
    c.said = c.call("mining.subscribe", "otedama-e2e/1", *([ident] if ident else []))
    c.en1, c.en2_len = bytes.fromhex(c.said[1]), c.said[2]
    c.user = user
    assert c.call("mining.authorize", user, "x") is True
    c.wait_job()
    return c


def back(pool, c, **how):
    """c's connection is lost, and it comes again."""
    n = connections(pool)
    c.close()
    gone(pool, n - 1)
    again = come(pool, resume_id(c.said), **how)
    again.en2_next = c.en2_next
    return again


def test_it_goes_on_where_it_was():
    with Pool(conf()) as pool:
        pool.start()
        c = come(pool, mask=0x1FFFE000)
        job = c.job
        shares = [c.mine(job) for _ in range(3)]
        assert c.submit(shares[0]) is True
        again = back(pool, c, mask=0x1FFFE000)
        assert again.en1 == c.en1 and resume_id(again.said) != resume_id(c.said)
        # What it found while it was away counts, what it had handed in does not count again.
        assert again.submit(shares[1]) is True
        refused(22, again.submit, shares[0])
        # The same work comes as another job: it does not begin it anew.
        assert again.job.id != job.id and again.job.prev == job.prev
        assert again.submit(again.mine()) is True
        # Without the id it is somebody else.
        other = come(pool)
        assert other.en1 != c.en1
        wait_for(lambda: pool.status()["pools"][0]["accepted"] == 3, about="three shares")
        assert "otd_sessions_resumed_total 1" in pool.get("/metrics", pool.metrics)
        again.close()
        other.close()
        pool.stop()
        verified(pool)


def test_ids_that_nobody_knows():
    with Pool(conf()) as pool:
        pool.start()
        c = come(pool)
        known = resume_id(c.said)
        seen = {c.en1}
        for ident in ("", "0", "zz" * 9, known[:-1], known + "00", "00" * 9, known[:-1] + ("0" if known[-1] != "0" else "1"), "a" * 4000):
            with come(pool, ident) as d:
                assert d.en1 not in seen, ident
                assert d.submit(d.mine()) is True
                seen.add(d.en1)
        with Raw(pool.port) as r:
            for value in ("null", "7", "[]", "{}", "true"):
                r.write(f'{{"id": 1, "method": "mining.subscribe", "params": ["x", {value}]}}\n')
                assert r.answer(1)[-1]["result"][1]
        assert c.submit(c.mine()) is True
        healthy(pool)


def test_of_two_that_claim_one_the_first_has_it():
    with Pool(conf()) as pool:
        pool.start()
        c = come(pool)
        ident, en1 = resume_id(c.said), c.en1
        # Its connection still stands, as after a lost route: it gives way.
        first = come(pool, ident)
        assert first.en1 == en1 and c.closed.wait(60)
        second = come(pool, ident)
        assert second.en1 != en1 and not first.closed.is_set()
        assert first.submit(first.mine()) is True and second.submit(second.mine()) is True
        third = back(pool, first)
        assert third.en1 == en1
        # Many that claim it in turn find nothing.
        for _ in range(40):
            with come(pool, ident) as d:
                assert d.en1 != en1
        assert third.submit(third.mine()) is True
        healthy(pool)


def test_another_reactor():
    with Pool(conf(reactors=3)) as pool:
        pool.start()
        crowd = [come(pool, user=f"{address(71)}.{i}") for i in range(6)]
        where = {resume_id(c.said)[:2] for c in crowd}
        assert len(where) == 3, where
        for c in crowd:
            job, share = c.job, c.mine()
            assert c.submit(share) is True
            late = c.mine(job)
            n = connections(pool)
            c.close()
            gone(pool, n - 1)
            # Somebody else takes the place that became free: the next one goes elsewhere.
            extra = come(pool)
            again = come(pool, resume_id(c.said), mask=0x1FFFE000, user=c.user)
            again.en2_next = c.en2_next
            assert again.en1 == c.en1 and resume_id(again.said)[:2] == resume_id(c.said)[:2]
            assert again.submit(late) is True
            refused(22, again.submit, share)
            assert again.submit(again.mine(version=0x20000000 | 0x2000)) is True
            extra.close()
            again.close()
        text = pool.get("/metrics", pool.metrics)
        moved = int([line for line in text.splitlines() if line.startswith("otd_sessions_moved_total")][0].split()[-1])
        assert moved > 0, "all came to the right one by chance"
        gone(pool, 0)
        pool.stop()
        verified(pool)


def test_it_has_its_time():
    with Pool(conf(resume="1s")) as pool:
        pool.start()
        c = come(pool)
        c.close()
        gone(pool, 0)
        time.sleep(2)
        with come(pool, resume_id(c.said)) as d:
            assert d.en1 != c.en1
    with Pool(conf(resume="0s")) as pool:
        pool.start()
        c = come(pool)
        with back(pool, c) as d:
            assert d.en1 != c.en1


def test_its_difficulty():
    with Pool(conf(difficulty=STEERED)) as pool:
        pool.start()
        c = come(pool)
        until = time.monotonic() + patient(20)
        while c.difficulty < 4 * float(SHARE) and time.monotonic() < until:
            c.submit(c.mine())
        raised = c.difficulty
        assert raised >= 4 * float(SHARE)
        with back(pool, c) as again:
            assert again.difficulty == raised, (again.difficulty, raised)
            assert again.submit(again.mine()) is True


def test_who_never_logged_in_leaves_nothing():
    with Pool(conf()) as pool:
        pool.start()
        with Client(pool.port) as c:
            c.said = c.call("mining.subscribe", "x")
        gone(pool, 0)
        with come(pool, resume_id(c.said)) as d:
            assert d.said[1] != c.said[1]


def test_over_an_upgrade():
    with UpPool(conf(reactors=2)) as pool:
        pool.start()
        away, stays = come(pool), come(pool, user=address(71) + ".two")
        found, late = [away.mine() for _ in range(2)], [stays.mine() for _ in range(2)]
        assert away.submit(found[0]) is True and stays.submit(late[0]) is True
        away.close()
        gone(pool, 1)
        pool.upgraded()
        assert stays.submit(late[1]) is True
        # Neither of them is given to anybody else, and what was accepted is known.
        others = [come(pool) for _ in range(4)]
        assert len({c.en1 for c in others} | {away.en1, stays.en1}) == 6
        again = come(pool, resume_id(away.said))
        assert again.en1 == away.en1
        refused(22, again.submit, found[0])
        assert again.submit(found[1]) is True
        again.en2_next = away.en2_next
        assert again.submit(again.mine()) is True
        with back(pool, stays, user=stays.user) as c:
            assert c.en1 == stays.en1
            refused(22, c.submit, late[0])
        for c in (again, *others):
            c.close()
        pool.stop()
        verified(pool)


def test_over_a_restart():
    with Pool(conf(reactors=2)) as pool:
        pool.start()
        miners = [come(pool, user=f"{address(72)}.{i}") for i in range(4)]
        shares = [c.mine() for c in miners]
        for c, share in zip(miners, shares):
            assert c.submit(share) is True
        job = miners[0].job
        assert pool.stop() == 0
        path = os.path.join(pool.folder, "data", "sessions.bin")
        assert os.path.exists(path)
        pool.start()
        assert not os.path.exists(path), "it would be taken twice"
        others = [come(pool) for _ in range(4)]
        again = [come(pool, resume_id(c.said), user=c.user) for c in miners]
        assert [c.en1 for c in again] == [c.en1 for c in miners]
        assert not {c.en1 for c in others} & {c.en1 for c in again}
        # This chain stands still: the same work comes again, and what was accepted of it is known.
        known = 0
        for c, share in zip(again, shares):
            assert c.job.prev == job.prev
            same = (c.job.coinb1, c.job.coinb2, c.job.branches, c.job.version) == (
                job.coinb1, job.coinb2, job.branches, job.version)
            known += same
            share = (c.job, *share[1:])
            if same:
                refused(22, c.submit, share)
            elif not c.meets(share):  # of other work the hash is another: one in a thousand is a share by chance
                refused(23, c.submit, share)
            c.en2_next = 1000
            assert c.submit(c.mine()) is True
        assert known, "the work was another each time"
        assert pool.stop() == 0
        with Database(pool) as db:
            assert sum(db.accepted().values()) == 8
        verified(pool)
        # Whatever is no such file is left out, and said.
        with open(path, "r+b") as f:
            f.seek(20)
            f.write(b"\xff")
        pool.start()
        with come(pool, resume_id(again[0].said)) as c:
            assert c.en1 != again[0].en1 and c.submit(c.mine()) is True
        assert "event=sessions.not_taken" in pool.log()
        # After a crash there is none.
        pool.kill()
        assert not os.path.exists(path)
        pool.start()
        with come(pool, resume_id(c.said)) as d:
            assert d.en1 != c.en1
