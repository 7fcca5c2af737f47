"""Reactors in processes of their own (threads.processes): one port, one ledger, and any of them may die."""
import json
import os
import re
import signal
import ssl
import threading
import time

import certificates
import tls
from devnet import NO_BLOCKS, SOME_BLOCKS, Database, Miner, Raw, devnet, fixed, refused, verified
from pool import Pool, address, free_port, kept, wait_for
from reload import BLOCK, Live, pool_of
from stratum import Client
from test_faults import SMALL, every_share_is_there, starts_and_ends

TWO = "threads: {processes: 2}"
FOUR = "threads: {processes: 2, reactors: 2}"


def top(threads, more=SMALL):
    return threads + "\n" + more


def processes(pool):
    return pool.status()["processes"]


def all_up(pool, n=2):
    """What status says of them, once all serve."""
    def up():
        got = processes(pool)
        return len(got) == n and all(p["state"] == "up" for p in got) and got
    return wait_for(up, 30, about="the reactor processes")


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def cmd_and_cwd(pid):
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


def series(pool, name):
    """{labels: value} of one name in /metrics, which has it once."""
    text = pool.get("/metrics", pool.metrics)
    assert text.count(f"# TYPE {name} ") <= 1, f"{name} has two types"
    found = re.findall(rf"^{name}(\{{[^}}]*\}})? (\S+)$", text, re.M)
    assert len({k for k, _ in found}) == len(found), f"a series of {name} is there twice"
    return {k: float(v) for k, v in found}


def connected(pool, users, **how):
    """Miners, and how many each process has of them."""
    miners = [Miner(pool.port, u, **how) for u in users]
    wait_for(lambda: sum(p["sessions"] for p in processes(pool)) == len(miners), 20, about="the sessions in status")
    return miners, [p["sessions"] for p in processes(pool)]


def test_one_port_and_one_ledger():
    with Pool(devnet(top=top(FOUR))) as pool:
        pool.start()
        all_up(pool)
        miners, spread = connected(pool, [f"{address(100 + i)}.w" for i in range(8)], ahead=4)
        assert spread == [4, 4], spread
        # All of one extranonce1 length, none of it twice: no process knows of the other.
        assert len({m.client.en1 for m in miners}) == 8
        wait_for(lambda: all(m.acknowledged > 30 for m in miners), 60, about="shares of all")
        for m in miners:
            m.stop()
            assert not m.refused, m.refused[:3]
        total = sum(m.acknowledged for m in miners)
        # What the processes counted is one sum in /metrics; they tell it every second.
        wait_for(lambda: sum(v for k, v in series(pool, "otd_shares_total").items() if "accepted" in k) == total, 20,
                 about=f"{total} accepted shares in /metrics")
        wait_for(lambda: list(series(pool, "otd_sessions").values()) == [0], 20, about="no session in /metrics")
        assert list(series(pool, "otd_reactor_processes").values()) == [2]
        pids = [p["pid"] for p in processes(pool)]
        assert pool.stop() == 0
        assert not any(is_alive(p) for p in pids), "a process outlived its pool"
        assert "flushed=yes" in pool.output()
        assert every_share_is_there(pool, miners) == total


def test_a_block_is_found_in_a_process():
    with Pool(devnet(bits=SOME_BLOCKS, top=top(TWO))) as pool:
        pool.start()
        all_up(pool)
        clients = [Client(pool.port) for _ in range(2)]  # one each
        jobs = [c.login(f"{address(120 + i)}.w") for i, c in enumerate(clients)]
        assert jobs[0].prev == jobs[1].prev
        block = clients[0].mine(jobs[0], easier_than=BLOCK)
        assert clients[0].submit(block) is True
        hash_ = f"{block[4]:064x}"
        wait_for(lambda: kept(pool, hash_), 10, about="the candidate on disk")
        # Both are told of the new tip.
        wait_for(lambda: all(c.job.prev != jobs[0].prev for c in clients), 20, about="the new tip")
        assert refused(21, clients[1].submit, clients[1].mine(jobs[1])), "a stale share"
        found = wait_for(lambda: [b for b in pool.status()["blocks"] if b["hash"] == hash_], 20, about="the block")
        assert found[0]["account"] == address(120)
        for c in clients:
            c.close()
        assert pool.stop() == 0
        verified(pool)


def test_kill_9_of_a_process_loses_nothing():
    with Pool(devnet(top=top(TWO))) as pool:
        pool.start()
        all_up(pool)
        everyone = []
        for turn in range(3):
            now, spread = connected(pool, [f"{address(130 + i)}.t{turn}" for i in range(4)], ahead=(1, 16)[turn % 2])
            assert spread == [2, 2], spread
            wait_for(lambda: all(m.acknowledged > 5 for m in now), 60, about="shares of all")
            victim, other = processes(pool)[turn % 2], processes(pool)[1 - turn % 2]
            os.kill(victim["pid"], signal.SIGKILL)
            wait_for(lambda: sum(m.client.closed.is_set() for m in now) == 2, 20, about="the end of its connections")
            # Who was on the other one notices nothing, and who comes back is served.
            stay = [m for m in now if not m.client.closed.is_set()]
            before = [m.acknowledged for m in stay]
            back = [Miner(pool.port, m.user, ahead=4) for m in now if m.client.closed.is_set()]
            wait_for(lambda: all(m.acknowledged > n + 5 for m, n in zip(stay, before)), 60, about="shares of who stayed")
            wait_for(lambda: all(m.acknowledged > 5 for m in back), 60, about="shares of who came back")
            wait_for(lambda: any(f"process {victim['number']} ended (SIGKILL" in a for a in pool.status()["attention"]),
                     about="word of the process that ended")
            fresh = all_up(pool)
            assert fresh[other["number"]]["pid"] == other["pid"]
            assert fresh[victim["number"]]["pid"] != victim["pid"] and fresh[victim["number"]]["deaths"] == 1 + turn // 2
            for m in now + back:
                m.stop()
                assert not m.refused, m.refused[:3]
            everyone += now + back
            wait_for(lambda: sum(p["sessions"] for p in processes(pool)) == 0, 20, about="no session")
        # Its journals were merged while the pool ran: before any restart.
        by_user = {}
        for m in everyone:
            low, high = by_user.get(m.user, (0, 0))
            by_user[m.user] = (low + m.acknowledged, high + m.acknowledged + m.unanswered)
        wait_for(lambda: pool.status()["accounting"]["waiting"] == 0, 20, about="the journals in the database")
        assert pool.stop() == 0
        verified(pool)
        with Database(pool) as db:
            accepted = db.accepted()
            for user, (low, high) in by_user.items():
                assert low <= accepted.get(user, 0) <= high, (user, low, accepted.get(user, 0), high)
        starts_and_ends(pool)


def test_kill_9_of_the_pool_ends_them_all():
    with Pool(devnet(top=top(TWO))) as pool:
        miners = []
        for turn in range(3):
            pool.start()
            pids = [p["pid"] for p in all_up(pool)]
            now = [Miner(pool.port, f"{address(140 + i)}.t{turn}", ahead=(1, 4, 16)[i]) for i in range(3)]
            wait_for(lambda: sum(m.acknowledged for m in now) > 20, 60, about="shares")
            # The next start waits for what they still sync, be it that one needs a while.
            os.kill(pids[0], signal.SIGSTOP)
            pool.kill()
            wait_for(lambda: not is_alive(pids[1]), 10, about="the end of a process")
            began = time.monotonic()
            threading.Timer(0.7, os.kill, (pids[0], signal.SIGCONT)).start()
            pool.start()
            assert time.monotonic() - began > 0.6 and not is_alive(pids[0]), "a start did not wait for processes of before"
            pool.kill()
            wait_for(lambda: len([p for p in os.listdir("/proc") if p.isdigit() and pool.folder in cmd_and_cwd(p)]) == 0, 15,
                     about="the end of all its processes")
            for m in now:
                m.stop()
                assert not m.refused, m.refused[:3]
            miners += now
        starts_and_ends(pool)
        every_share_is_there(pool, miners)


def test_one_that_stands_still_holds_nobody_up():
    """Stopped, it takes nothing and says nothing; the others serve, and a drain does not wait for ever."""
    with Pool(devnet(top=top(TWO))) as pool:
        pool.start()
        first = all_up(pool)
        miners, spread = connected(pool, [f"{address(150 + i)}.w" for i in range(4)], ahead=1)
        assert spread == [2, 2]
        os.kill(first[0]["pid"], signal.SIGSTOP)
        before = [m.acknowledged for m in miners]
        moving = lambda: sum(m.acknowledged > n + 10 for m, n in zip(miners, before)) == 2
        wait_for(moving, 60, about="shares of who is on the other")
        os.kill(first[0]["pid"], signal.SIGCONT)
        wait_for(lambda: all(m.acknowledged > n + 10 for m, n in zip(miners, before)), 60, about="shares of all again")
        os.kill(first[0]["pid"], signal.SIGSTOP)
        began = time.monotonic()
        assert pool.stop(15) in (0, 1)
        assert time.monotonic() - began < 60, "a drain waited for it"
        assert not is_alive(first[0]["pid"])
        for m in miners:
            m.stop()
        starts_and_ends(pool)
        every_share_is_there(pool, miners)


def test_an_end_before_they_serve():
    """SIGTERM at any moment of a start: nobody is left, and the next start finds all in order."""
    with Pool(devnet(top=top(FOUR))) as pool:
        for turn, wait in enumerate((0.0, 0.1, 0.2, 0.3, 0.5)):
            pool.start(wait=False)
            wait_for(lambda: pool.output().count("start.serving") > turn, 20, step=0.002, about="a start")
            time.sleep(wait)
            assert pool.stop() == 0, pool.output()[-2000:]
            assert pool.output().count("flushed=yes") == pool.output().count("start.serving")
        pool.start()
        all_up(pool)
        with Client(pool.port) as c:
            c.login(f"{address(199)}.w")
            assert c.submit(c.mine()) is True
        assert pool.stop() == 0
        verified(pool)


def test_reload_reaches_them():
    with Live(witness=False, threads={"processes": 2}) as t:
        all_up(t.pool)
        port, second = free_port(), free_port()
        t.tree["pools"]["b"] = pool_of(port)
        t.tree["limits"] = {"bad_lines": 2}
        assert set(t.reload().values()) == {"applied"}
        with Client(port) as c:
            c.login(f"{address(160)}.w")
            assert c.submit(c.mine()) is True
        t.tree["threads"]["processes"] = 3
        assert t.reload() == {"threads.processes": "needs restart"}
        t.tree["threads"]["processes"] = 2
        # One that begins anew has what was reloaded before.
        for p in all_up(t.pool):
            os.kill(p["pid"], signal.SIGKILL)
        wait_for(lambda: all(p["deaths"] == 1 for p in processes(t.pool)), 20, about="their ends")
        all_up(t.pool)
        for i in range(2):
            with Client(port) as c:
                c.login(f"{address(161 + i)}.w")
                assert c.submit(c.mine()) is True
        # A pool goes: its miners with it, and its number is not given again.
        with Client(port) as c:
            c.login(f"{address(163)}.w")
            del t.tree["pools"]["b"]
            assert set(t.reload().values()) == {"applied"}
            wait_for(c.closed.is_set, 20, about="the end of a connection to a pool that went")
        os.kill(all_up(t.pool)[0]["pid"], signal.SIGKILL)
        wait_for(lambda: processes(t.pool)[0]["deaths"] == 2, 20, about="its end")
        all_up(t.pool)
        t.tree["pools"]["c"] = pool_of(second)
        assert set(t.reload().values()) == {"applied"}
        for i in range(2):
            with Client(second) as c:
                c.login(f"{address(164 + i)}.w")
                assert c.submit(c.mine()) is True


def test_what_does_not_go_with_processes_is_refused():
    script = 'function on_authorize(a)\n  return { tag = "x" }\nend\n'
    with Pool("") as pool:
        with open(os.path.join(pool.folder, "a.lua"), "w", encoding="utf-8") as f:
            f.write(script)
        pool.write(devnet(top=top(TWO), pool="policies: [{file: a.lua}]"))
        pool.start(wait=False)
        assert pool.process.wait(60) == 1
        words = pool.output()
        assert "on_authorize" in words and "threads.processes" in words, words
        r = pool.command("config", "check", "-c", pool.config, check=False)
        assert r.returncode == 1 and "on_authorize is asked by reactors" in r.stderr, r.stderr
        pool.out.close()
        pool.write(devnet(top=top("threads: {processes: 33, reactors: 2}")))
        pool.start(wait=False)
        assert pool.process.wait(60) == 1
        assert "threads.processes" in pool.output().replace(words, "")
        pool.out.close()
        pool.process = None


def test_tls_and_tickets_of_one_at_another():
    """A certificate is read by each process; a ticket of one is good at the other, and at one that begins later."""
    with Pool(devnet(difficulty=f"{fixed()}, tls: pool.pem", top=top(TWO))) as pool:
        cert, key = certificates.make(pool.folder)
        certificates.one_file(os.path.join(pool.folder, "pool.pem"), cert, key)
        pool.start()
        first = all_up(pool)
        ctx = tls.context(ssl.TLSVersion.TLSv1_2)
        held = [tls.connect(pool.port, ctx)]
        assert tls.pings(held[0])
        session = held[0].session
        for turn in range(2):
            for _ in range(4):  # on both
                held.append(tls.connect(pool.port, ctx, session=session))
                assert tls.pings(held[-1]) and held[-1].session_reused, "a whole handshake"
            wait_for(lambda: min(p["sessions"] for p in processes(pool)) >= 1, about="connections on both")
            if turn == 0:
                for p in first:
                    os.kill(p["pid"], signal.SIGKILL)
                wait_for(lambda: all(p["deaths"] == 1 for p in processes(pool)), 20, about="their ends")
                all_up(pool)
                held.clear()
        with Client(pool.port) as c:  # plain, on the same port
            c.login(f"{address(180)}.w")
            assert c.submit(c.mine()) is True
        # A renewed certificate reaches them.
        before = held[-1].getpeercert(binary_form=True)
        cert, key = certificates.make(pool.folder, name="other.example")
        certificates.one_file(os.path.join(pool.folder, "pool.pem"), cert, key)
        pool.command("reload", "--socket", pool.socket)

        def renewed():
            with tls.connect(pool.port) as s, tls.connect(pool.port) as t:  # one each
                return all(x.getpeercert(binary_form=True) != before and tls.pings(x) for x in (s, t))
        wait_for(renewed, 10, about="the new certificate of both")
        for s in held:
            s.close()
        assert pool.stop() == 0


def test_a_session_resumes_in_the_process_of_before():
    """Wherever its miner comes back, its connection goes to the process that knows its shares; by way of the pool."""
    with Pool(devnet(top=top(TWO))) as pool:
        pool.start()
        all_up(pool)

        def come(ident=None):
            c = Client(pool.port)
            said = c.call("mining.subscribe", "otedama-e2e/1", *([ident] if ident else []))
            c.en1, c.en2_len = bytes.fromhex(said[1]), said[2]
            c.ident, c.user = dict(said[0])["mining.notify"], f"{address(190)}.w"
            assert c.call("mining.authorize", c.user, "x") is True
            c.wait_job()
            return c

        first = come()
        share = first.mine()
        assert first.submit(share) is True
        home = int(first.ident[:2], 16)
        held = []
        for turn in range(4):
            first.close()
            wait_for(lambda: sum(p["sessions"] for p in processes(pool)) == len(held), 10, about="the end of its connection")
            # Others in between, so that it comes in at both.
            held.append(Client(pool.port))
            wait_for(lambda: sum(p["sessions"] for p in processes(pool)) == len(held), 10, about="another connection")
            en1, used = first.en1, first.en2_next
            first = come(first.ident)
            first.en2_next = used
            assert first.en1 == en1, f"turn {turn}: another extranonce1"
            assert int(first.ident[:2], 16) == home
            wait_for(lambda: processes(pool)[home]["sessions"] >= 1, 10, about="its session in the process of before")
            # What it has submitted already is known there.
            if share[0].id in first.jobs:
                assert refused(22, first.submit, share)
            assert first.submit(first.mine()) is True
        wait_for(lambda: sum(series(pool, "otd_sessions_moved_total").values()) >= 1, 10, about="one that was taken there")
        # Its process is gone, and with it what it knew: a new session, wherever.
        os.kill(processes(pool)[home]["pid"], signal.SIGKILL)
        assert first.closed.wait(60)
        again = come(first.ident)
        assert again.en1 != first.en1
        assert again.submit(again.mine()) is True
        for c in [again, *held]:
            c.close()
        wait_for(lambda: sum(p["sessions"] for p in processes(pool)) == 0, 10, about="no session")
        assert pool.stop() == 0
        verified(pool)


def test_a_proxy_names_its_miner_to_a_process():
    with Pool(devnet(difficulty=f"{fixed()}, proxy_from: [127.0.0.1]", top=top(TWO))) as pool:
        pool.start()
        all_up(pool)
        raws = []
        for i in range(2):
            r = Raw(pool.port)
            r.write(f"PROXY TCP4 10.1.2.{i + 1} 127.0.0.1 5555 {pool.port}\r\n"
                    '{"id":1,"method":"mining.subscribe","params":["e2e"]}\n')
            assert r.answer(1)[-1]["error"] is None
            raws.append(r)
        pool.command("ban", "--socket", pool.socket, "add", "ip", "10.1.2.1", "--for", "1h", "--reason", "test")
        while raws[0].line() is not None:
            pass
        raws[1].send(2, "mining.authorize", f"{address(195)}.w", "x")
        assert raws[1].answer(2)[-1]["result"] is True
        raws[1].sock.close()
        assert pool.stop() == 0


def test_bans_and_words_reach_them():
    with Pool(devnet(bits=NO_BLOCKS, top=top(TWO))) as pool:
        pool.start()
        all_up(pool)
        clients = [Client(pool.port) for _ in range(4)]
        for i, c in enumerate(clients):
            c.login(f"{address(170 + i)}.w")
        pool.command("miners", "--socket", pool.socket, "message", "the cellar is wet")
        for c in clients:
            wait_for(lambda: any(n["method"] == "client.show_message" and n["params"] == ["the cellar is wet"]
                                 for n in c.notices), 10, about="a message to everybody")
        for i in (0, 1):
            pool.command("ban", "--socket", pool.socket, "add", "account", f"dev/{address(170 + i)}", "--for", "1h",
                         "--reason", "test")
            wait_for(clients[i].closed.is_set, 10, about="the end of a banned miner")
        assert not clients[2].closed.is_set() and not clients[3].closed.is_set()
        # Also by a process that began after the ban.
        for p in all_up(pool):
            os.kill(p["pid"], signal.SIGKILL)
        wait_for(lambda: all(p["deaths"] == 1 for p in processes(pool)), 20, about="their ends")
        all_up(pool)
        for i in (0, 1, 0, 1):
            with Client(pool.port) as c:
                c.subscribe()
                assert "test" in refused(24, c.authorize, f"{address(170 + i)}.w")
        for c in clients:
            c.close()
        assert pool.stop() == 0
