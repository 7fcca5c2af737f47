"""otedama upgrade: another process takes ports, connections, sessions and work; nobody is disconnected, no share is
refused for it, none is lost or counted twice, whatever dies in between."""
import json
import os
import random
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import pool as pool_module
from devnet import SHARE, SOME_BLOCKS, Database, Miner, Raw, devnet, refused, verified
from pool import BUILD, PROGRAM, address, kept, wait_for
from skip import Skip
from payments import LITECOIN, Bank
from stratum import Client
from test_faults import every_share_is_there
from test_systemd import HERE, UNIT, Manager, need
from upgrade import UpPool, alive, wrapper

EASY = 3.725290298461914e-09  # 2^-28: sixteen hashes
STEERED = f"{{start: {EASY}, min: {EASY}, max: 1, vardiff: true, aim: 1s}}"


def untouched(miners):
    for m in miners:
        assert m.is_alive() and not m.client.closed.is_set(), f"{m.user} was disconnected"
        assert not m.refused, f"{m.user}: {m.refused[:3]}"


def pauses(pool):
    return [int(x["pause_ms"]) for x in pool.said("upgrade.taken_over")]


# --- it works ---

def test_twenty_upgrades_under_load():
    with UpPool(devnet()) as pool:
        pool.start()
        miners = [Miner(pool.port, f"{address(50 + i)}.up", ahead=(1, 2, 4, 8)[i % 4], pause=0.002,
                        mask=0x1FFFE000 if i % 2 else None) for i in range(8)]
        en1 = [m.client.en1 for m in miners]
        for turn in range(20):
            before = sum(m.acknowledged for m in miners)
            time.sleep(random.uniform(0.05, 0.4))
            wait_for(lambda n=before: sum(m.acknowledged for m in miners) > n + 20, about="shares")
            said = pool.upgraded("--json").stdout
            assert json.loads(said)["sessions"] == len(miners), said
            untouched(miners)
        time.sleep(0.5)
        for m in miners:
            m.stop()
            assert not m.refused and not m.unanswered, (m.refused[:3], m.unanswered)
        assert [m.client.en1 for m in miners] == en1
        status = pool.status()
        assert status["upgraded"]["times"] == 20 and status["upgraded"]["left_out"] == 0, status["upgraded"]
        ms = sorted(pauses(pool))
        assert len(ms) == 20
        print(f"    pause of 20 upgrades under load: median {ms[10]} ms, longest {ms[-1]} ms")
        assert pool.stop() == 0
        assert every_share_is_there(pool, miners) > 400


def test_a_session_goes_on_where_it_stood():
    with UpPool(devnet()) as pool:
        pool.start()
        with Client(pool.port) as c, Raw(pool.port) as half, socket.create_connection(("127.0.0.1", pool.port)) as silent:
            job = c.login(address(60) + ".one", mask=0x1FFFE000)
            share, other = c.mine(job), c.mine(job, version=0x20000000 | 0x2000)
            assert c.submit(share) is True
            # A line that is cut in two: the first half is with the old process, the second with the new one.
            half.write('{"id": 7, "method": "mining.sub')
            time.sleep(0.2)
            before = len(c.lines)
            pool.upgraded()
            half.write('scribe", "params": ["half"]}\n')
            lines = half.answer(7)
            assert len(lines[-1]["result"][1]) == 8, lines
            # The work of before is good, what was accepted of it is not accepted again.
            assert "uplicate" in refused(22, c.submit, share)
            assert c.submit(other) is True
            assert c.submit(c.mine(job)) is True
            assert not [m for m in c.lines[before:] if m.get("method") == "mining.notify"
                        and m["params"][8]], "the work of before was called stale"
            assert c.call("mining.subscribe", "again")[1] == c.en1.hex()
            # Who had not said a word yet goes on, too.
            silent.settimeout(10)
            silent.sendall(b'{"id": 1, "method": "mining.subscribe", "params": []}\n')
            first = json.loads(silent.makefile().readline())
            assert first["id"] == 1 and first["result"][1] != c.en1.hex()
            with Client(pool.port) as late:
                late.login(address(61) + ".late")
                assert late.submit(late.mine()) is True
                assert len({late.en1, c.en1, bytes.fromhex(first["result"][1]),
                            bytes.fromhex(lines[-1]["result"][1])}) == 4, "an extranonce1 was given twice"
        assert pool.stop() == 0
        with Database(pool) as db:
            assert db.accepted()[address(60) + ".one"] == 3


def test_difficulty_stays_where_it_was_steered():
    with UpPool(devnet(difficulty=STEERED)) as pool:
        pool.start()
        m = Miner(pool.port, address(62) + ".v", ahead=2)
        wait_for(lambda: m.client.difficulty > 64 * EASY, 30, about="a raise of the difficulty")
        n, before = len(m.client.notices), m.acknowledged
        pool.upgraded()
        wait_for(lambda: m.acknowledged > before + 10, about="shares after it")
        time.sleep(1)
        told = [x["params"][0] for x in m.client.notices[n:] if x["method"] == "mining.set_difficulty"]
        assert all(d > 8 * EASY for d in told), told  # it may still be steered, not begin anew
        m.stop()
        assert not m.refused, m.refused[:3]
        assert pool.stop() == 0


def test_a_block_of_a_job_of_before():
    """Found right after the hand-over, on work that the new process never got from its node."""
    with UpPool(devnet(bits=SOME_BLOCKS)) as pool:
        pool.start()
        with Client(pool.port) as c:
            job = c.login(address(63) + ".b")
            block = c.mine(job, easier_than=job.network_target())
            pool.upgraded()
            assert c.submit(block) is True
            hash_ = f"{block[4]:064x}"
            wait_for(lambda: kept(pool, hash_), 10, step=0.005, about="the candidate")
            wait_for(lambda: [b for b in pool.status()["blocks"] if b["hash"] == hash_ and b["state"] == "confirming"], 20,
                     about="the block in the chain")
            new = c.wait_job(other_than=job.id)
            assert c.submit(c.mine(new, harder_than=new.network_target())) is True
        assert pool.stop() == 0
        verified(pool)


def test_blocks_all_the_time():
    """Tips that change while it changes hands: shares may be stale, as always, but no block is lost."""
    with UpPool(devnet(bits=SOME_BLOCKS)) as pool:
        pool.start()
        miners = [Miner(pool.port, f"{address(64 + i)}.b", ahead=2) for i in range(3)]
        for turn in range(6):
            wait_for(lambda: len(pool.said("block.found")) > turn, 60, about="a block")
            pool.upgraded()
        for m in miners:
            m.stop()
            assert all("tale" in r or "ob not found" in r for r in m.refused), m.refused[:5]
            assert not m.unanswered
        found = {x["hash"] for x in pool.said("block.found")}
        wait_for(lambda: all(kept(pool, h) for h in found), 10, about="all candidates")
        assert found and not pool.said("block.lost"), pool.said("block.lost")[:2]
        assert pool.stop() == 0
        verified(pool)
        with Database(pool) as db:
            assert sum(db.accepted().values()) == sum(m.acknowledged for m in miners)


def test_other_numbers_of_reactors():
    with UpPool(devnet(top="threads: {reactors: 1}")) as pool:
        pool.start()
        miners = [Miner(pool.port, f"{address(70 + i)}.r", pause=0.002) for i in range(6)]
        held = [(m, m.client.mine()) for m in miners]
        for m, share in held:
            assert m.client.submit(share) is True
        wait_for(lambda: all(m.acknowledged for m in miners), about="shares of all")
        for n in (3, 2, 4, 1):
            pool.write(devnet(top=f"threads: {{reactors: {n}}}"))
            time.sleep(0.3)
            pool.upgraded()
            for m, share in held:
                refused(22, m.client.submit, share)
        for m in miners:
            m.stop()
            assert not m.refused and not m.unanswered, m.refused[:3]
            m.acknowledged, m.sent = m.acknowledged + 1, m.sent + 1  # the one that is held
        assert pool.stop() == 0
        every_share_is_there(pool, miners)


def answers_of(sockets, turn):
    """Asks all of them at once: seconds until each had its answer."""
    poll, began, took = select.poll(), {}, []
    for s in sockets:
        s.sendall(b'{"id":"t%d","method":"mining.ping","params":[]}\n' % turn)
        began[s.fileno()] = (time.monotonic(), s, b"")
        poll.register(s, select.POLLIN)
    while began:
        ready = poll.poll(120000)
        assert ready, f"{len(began)} connections have no answer within 120 s"
        for fd, _ in ready:
            since, s, got = began[fd]
            more = s.recv(65536)
            assert more, "a connection was closed"
            got = (got + more)[-300000:]
            if b'"t%d"' % turn in got:
                took.append(time.monotonic() - since)
                poll.unregister(s)
                del began[fd]
            else:
                began[fd] = (since, s, got)
    return took


def test_a_thousand_connections():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    n = 1500
    if hard != resource.RLIM_INFINITY and hard < 2 * n + 200:
        raise Skip(f"only {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * n + 200), hard))
    text = devnet(top="limits: {connections_an_address: 5000, new_connections_a_second: 5000, new_connections_burst: 5000}")
    with UpPool(text) as pool:
        pool.start()
        idle = []
        for i in range(n):
            s = socket.create_connection(("127.0.0.1", pool.port), timeout=20)
            s.sendall(b'{"id":1,"method":"mining.subscribe","params":[]}\n'
                      b'{"id":2,"method":"mining.authorize","params":["%s.i%d","x"]}\n' % (address(80).encode(), i % 500))
            idle.append(s)
        for s in idle:
            got = b""
            while b"mining.notify" not in got:
                more = s.recv(65536)
                assert more
                got += more
        busy = [Miner(pool.port, f"{address(81 + i)}.busy", pause=0.005) for i in range(4)]
        waits = []
        for turn in range(3):
            time.sleep(0.3)
            frozen = len(pool.said("upgrade.checked"))
            asker = subprocess.Popen([PROGRAM, "upgrade", "--socket", pool.socket], cwd=pool.folder, text=True,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            # Each asks when all is frozen, and has its answer from the new process.
            wait_for(lambda: len(pool.said("upgrade.checked")) > frozen or asker.poll() is not None, 20, step=0.001)
            waits += answers_of(idle, turn)
            assert f"{n + 4} connections" in asker.communicate(timeout=180)[0]
            untouched(busy)
        for i, s in enumerate(idle):
            s.sendall(b'{"id":9,"method":"mining.ping","params":[]}\n')
        for i, s in enumerate(idle):
            got = b""
            while b'"id":9' not in got:
                more = s.recv(65536)
                assert more, f"connection {i} was closed"
                got += more
            s.close()
        for m in busy:
            m.stop()
            assert not m.refused and not m.unanswered
        waits.sort()
        print(f"    {n} connections, asked in the middle of an upgrade, have their answers after: median "
              f"{1000 * waits[len(waits) // 2]:.0f} ms, p99 {1000 * waits[len(waits) * 99 // 100]:.0f} ms, longest "
              f"{1000 * waits[-1]:.0f} ms; nobody was read for {', '.join(map(str, pauses(pool)))} ms")
        assert pool.stop() == 0


def test_it_is_known_afterwards():
    with UpPool(devnet()) as pool:
        pool.start()
        assert "upgraded" not in pool.status()
        pool.upgraded()
        up = pool.status()["upgraded"]
        assert up["times"] == 1 and up["from"] and up["pause_ms"] >= 0 and up["first_started_ms"] <= up["at_ms"]
        said = pool.command("status", "--socket", pool.socket).stdout
        assert "upgraded" in said, said
        # Without a word where it is: the new process has published its socket.
        env = dict(os.environ, XDG_RUNTIME_DIR=pool.folder)
        r = subprocess.run([PROGRAM, "status"], capture_output=True, text=True, timeout=180, env=env, cwd=pool.folder)
        assert r.returncode == 0, r.stderr
        assert '"ok"' in pool.get("/health")
        assert pool.stop() == 0


def test_systemd_is_told():
    with UpPool(devnet()) as pool:
        manager = Manager(os.path.join(pool.folder, "notify"))
        pool.env = {"NOTIFY_SOCKET": os.path.join(pool.folder, "notify"), "WATCHDOG_USEC": "400000"}
        pool.start()
        wait_for(lambda: manager.messages("READY=1"), 20, about="READY=1")
        pool.env["WATCHDOG_PID"] = str(pool.process.pid)
        n = len(manager.said)
        pool.upgraded()
        wait_for(lambda: [m for _, m in manager.said[n:] if "READY=1" in m], 10, about="READY=1 of the new process")
        said = [m for _, m in manager.said[n:]]
        order = [next(i for i, m in enumerate(said) if word in m) for word in
                 ("RELOADING=1", f"MAINPID={pool.pid()}", "READY=1")]
        assert order == sorted(order), said
        assert "MONOTONIC_USEC=" in said[order[0]] and "WATCHDOG=1" in said[order[2]], said
        assert not manager.messages("STOPPING=1")
        n = len(manager.said)
        wait_for(lambda: sum("WATCHDOG=1" in m for _, m in manager.said[n:]) >= 4, 10, about="signs of life")
        # Refused while it serves: not a word of it. Taken back: the service goes on.
        n = len(manager.said)
        assert pool.upgrade("--binary", wrapper(pool.folder, "no", "exit 1"), check=False).returncode == 1
        assert not [m for _, m in manager.said[n:] if "RELOADING" in m or "MAINPID" in m]
        assert pool.stop() == 0
        manager.sock.close()


def test_within_the_units_limits():
    """The system calls, mounts and capabilities of the unit: nothing more is needed for an upgrade."""
    need("systemd-analyze", "unshare", "cc")
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "mount", "--make-rprivate", "/"],
                                           capture_output=True).returncode != 0:
        raise Skip("mounts of its own need root")
    with UpPool(devnet()) as pool:
        os.makedirs(os.path.join(pool.folder, "data"))
        confined = os.path.join(pool.folder, "confined")
        with open(confined, "w", encoding="utf-8") as f:
            f.write(f'#!/bin/sh\nexec {sys.executable} {HERE}/confine.py {UNIT} {pool.folder}/data {PROGRAM} "$@"\n')
        os.chmod(confined, 0o755)
        pool_module.PROGRAM = confined
        try:
            pool.start()
        finally:
            pool_module.PROGRAM = PROGRAM
        m = Miner(pool.port, address(130) + ".confined", pause=0.005)
        for _ in range(2):
            time.sleep(0.3)
            pool.upgraded()
            with open(f"/proc/{pool.pid()}/status", encoding="ascii") as f:
                assert "Seccomp:\t2\n" in f.read()
        untouched([m])
        m.stop()
        assert not m.refused and not m.unanswered
        assert pool.stop() == 0
        every_share_is_there(pool, [m])


def test_payments_under_way():
    """Upgrades while payments are made: each is made once."""
    with Bank(LITECOIN, "minimum: 0.0001, every: 1s, max_fee: 50%, recipients: 2") as bank:
        bank.pool.__class__ = UpPool
        bank.pool.start()
        bank.mine([3] * 12)
        due = bank.balances("spendable")
        assert len(due) == 12
        bank.turn_on()
        for _ in range(8):
            bank.run()
            time.sleep(random.uniform(0, 0.5))
            bank.pool.upgraded()
            bank.generate(1)

        def all_paid():
            bank.run()
            bank.generate(1)
            return not any(bank.balances("spendable").values()) and \
                all(p["state"] in ("paid", "cancelled") for p in bank.payments())
        wait_for(all_paid, 90, step=0.5, about="the end of all payments")
        assert bank.received(due) == due
        assert bank.verify() == 0


# --- the new program is no good ---

def still_serves(pool, miners, words, said):
    before = pool.pid()
    r = pool.upgrade(*words, check=False)
    assert r.returncode == 1, f"{r.returncode}: {r.stdout}{r.stderr}"
    assert said in r.stderr, r.stderr
    untouched(miners)
    return before


def test_one_that_fails_its_check():
    with UpPool(devnet()) as pool:
        pool.start()
        miners = [Miner(pool.port, f"{address(90 + i)}.c", pause=0.005) for i in range(3)]
        good, text = pool.text, pool.text
        cases = [
            (("--binary", "/nowhere/otedama"), "there is no such file"),
            (("--binary", wrapper(pool.folder, "other", "exit 3")), "it ended with status 3"),
            (("--binary", wrapper(pool.folder, "killed", "kill -SEGV $$")), "SIGSEGV"),
            (("--binary", wrapper(pool.folder, "slow", "exec sleep 60"), "--wait", "1s"), "no word of it within 1000 ms"),
            (("--binary", pool.config), "is no program that can be run"),
        ]
        for words, said in cases:
            assert still_serves(pool, miners, words, said) == pool.pid()
        loose = wrapper(pool.folder, "loose", 'exec "$PROGRAM" "$@"')
        os.chmod(loose, 0o775)
        still_serves(pool, miners, ("--binary", loose), "chmod go-w")
        os.chmod(loose, 0o755)
        os.chmod(os.path.dirname(loose), 0o777)
        still_serves(pool, miners, ("--binary", loose), "chmod go-w")
        os.chmod(os.path.dirname(loose), 0o755)
        for change, said in ((("scheme: pplns", "scheme: nothing"), "nothing"),
                             (("use: sqlite", "use: sqlight"), "sqlight"),
                             (("bcrt1q3jzz8hqjs2nxnaweuge6lsxjca3kwr0kdkgd3d", "bcrt1nonsense"), "pools.dev.coinbase.address"),
                             (("data_dir: {dir}", "data_dir: {dir}/elsewhere"), "data_dir"),
                             (("api:", "policies: [{file: nowhere.lua}]\napi:"), "nowhere.lua")):
            assert change[0] in text
            pool.write(text.replace(*change))
            assert still_serves(pool, miners, (), said) == pool.pid()
        pool.write(good)
        pool.upgraded()
        untouched(miners)
        for m in miners:
            m.stop()
            assert not m.refused
        assert pool.stop() == 0
        every_share_is_there(pool, miners)


def test_one_that_dies_or_hangs_with_all_in_its_hands():
    """After the freeze: the old program goes on, as another process."""
    with UpPool(devnet()) as pool:
        pool.start()
        miners = [Miner(pool.port, f"{address(95 + i)}.d", pause=0.005) for i in range(4)]
        share = miners[0].client.mine()
        assert miners[0].client.submit(share) is True
        for signum, seen in ((signal.SIGKILL, "ended"), (signal.SIGSTOP, "no word of it")):
            before = pool.pid()
            done = threading.Event()

            def strike():
                while not done.is_set():
                    mine = [p for p in pool.all() if p != before]
                    if mine and pool.said("upgrade.leaving") and len(pool.said("upgrade.leaving")) > count:
                        os.kill(mine[0], signum)
                        return
                    time.sleep(0.001)
            count = len(pool.said("upgrade.leaving"))
            t = threading.Thread(target=strike)
            t.start()
            r = pool.upgrade("--wait", "2s", check=False)
            done.set()
            t.join()
            wait_for(lambda: not alive(before), 10, about="the end of the old process")
            if r.returncode == 0:
                # Struck too late: all was its own by then, and a death is a death as any other.
                raise Skip("this machine was too slow to strike in time")
            assert "goes on as process" in r.stderr and "no miner was disconnected" in r.stderr, r.stderr
            untouched(miners)
            refused(22, miners[0].client.submit, share)
            time.sleep(0.3)
        assert len(pool.said("upgrade.taken_back")) == 2
        pool.upgraded()
        for m in miners:
            m.stop()
            assert not m.refused and not m.unanswered
        miners[0].acknowledged, miners[0].sent = miners[0].acknowledged + 1, miners[0].sent + 1  # the one that is held
        assert pool.stop() == 0
        every_share_is_there(pool, miners)


def test_the_old_one_is_killed_when_the_new_one_has_it_all():
    """There is nobody left to say the last word: the new one goes on by itself."""
    with UpPool(devnet()) as pool:
        pool.start()
        miners = [Miner(pool.port, f"{address(140 + i)}.g", pause=0.01) for i in range(3)]
        time.sleep(0.3)
        first = pool.pid()
        asker = subprocess.Popen([PROGRAM, "upgrade", "--socket", pool.socket, "--wait", "20s"], cwd=pool.folder,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # It has the lock after all descriptors.
        wait_for(lambda: pool.pid() != first, 20, step=0.0005, about="a new process")
        second = pool.pid()
        os.kill(second, signal.SIGSTOP)
        os.kill(first, signal.SIGKILL)
        time.sleep(0.2)
        os.kill(second, signal.SIGCONT)
        wait_for(lambda: pool.said("upgrade.taken_over"), 20, about="the word of the new one")
        asker.wait(60)
        pool.process.wait(60)
        time.sleep(0.5)
        untouched(miners)
        for m in miners:
            m.stop()
            assert not m.refused and not m.unanswered
        assert pool.stop() == 0
        every_share_is_there(pool, miners)


def test_killed_at_any_moment():
    """P1, P2 or both: what was acknowledged is there at the next start, once."""
    rng = random.Random(5)
    with UpPool(devnet(top="journal: {commit: 200ms}")) as pool:
        everybody = []
        for turn in range(10):
            pool.start()
            now = [Miner(pool.port, f"{address(100 + i)}.k{turn}", ahead=(1, 4, 8)[i]) for i in range(3)]
            wait_for(lambda: sum(m.acknowledged for m in now) > 15, about="shares")
            first = pool.pid()
            asker = subprocess.Popen([PROGRAM, "upgrade", "--socket", pool.socket, "--wait", "5s"], cwd=pool.folder,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(rng.uniform(0, 0.6))
            who = turn % 3
            for pid in pool.all():
                if who == 2 or (pid == first) == (who == 0):
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
            time.sleep(rng.uniform(0, 0.3))
            # Whoever is left serves, or has ended; a pool of this folder can be started in the end.
            pool.kill()
            asker.wait(60)
            for m in now:
                m.stop()
                assert not m.refused, m.refused[:3]
            everybody += now
        pool.start()
        wait_for(lambda: pool.status()["accounting"]["waiting"] == 0, 20, about="the journals in the database")
        assert pool.stop() == 0
        assert every_share_is_there(pool, everybody) > 100


def test_sigterm_ends_an_upgrade():
    with UpPool(devnet()) as pool:
        pool.start()
        asker = subprocess.Popen([PROGRAM, "upgrade", "--socket", pool.socket, "--binary",
                                  wrapper(pool.folder, "slow", "exec sleep 60")], cwd=pool.folder,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        wait_for(lambda: pool.said("upgrade.begun"), 10, about="the beginning")
        time.sleep(0.2)
        assert pool.stop() == 0
        assert "the pool is ending" in asker.communicate(timeout=180)[0]
        assert asker.returncode == 1


def test_two_at_a_time():
    with UpPool(devnet()) as pool:
        pool.start()
        word = os.path.join(pool.folder, "end")
        slow = wrapper(pool.folder, "slow", f"while [ ! -e {word} ]; do sleep 0.1; done; exit 1")
        asker = subprocess.Popen([PROGRAM, "upgrade", "--socket", pool.socket, "--binary", slow, "--wait", "300s"],
                                 cwd=pool.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: pool.said("upgrade.begun"), 10, about="the beginning")
        r = pool.upgrade(check=False)
        assert r.returncode == 1 and "under way" in r.stderr, r.stderr
        assert pool.status()["pools"], "the control socket waits for the upgrade"
        open(word, "w", encoding="ascii").close()
        assert asker.wait(60) == 1
        pool.upgraded()
        assert pool.stop() == 0


# --- another version ---

def test_records_of_another_version():
    """To a build whose sessions' records say more, and back."""
    newer = os.path.join(BUILD, "otedama-next")
    if not os.path.exists(newer):
        raise Skip("otedama-next is not built (cmake --build with the target otedama-next)")
    with UpPool(devnet()) as pool:
        pool.start()
        miners = [Miner(pool.port, f"{address(110 + i)}.n", pause=0.002) for i in range(4)]
        for turn in range(4):
            time.sleep(0.2)
            pool.upgraded("--binary", PROGRAM if turn % 2 else newer)
            untouched(miners)
        for m in miners:
            m.stop()
            assert not m.refused and not m.unanswered
        assert pool.stop() == 0
        every_share_is_there(pool, miners)


def test_the_file_may_be_replaced():
    """As a package does: the file of the running program is another one now, and the way back is still there."""
    with UpPool(devnet()) as pool:
        place = os.path.join(pool.folder, "installed")
        os.makedirs(place, mode=0o755)
        program = os.path.join(place, "otedama")
        shutil.copy(PROGRAM, program)
        os.chmod(program, 0o755)
        os.symlink(os.path.join(BUILD, "plugins"), os.path.join(place, "plugins"))
        pool.out = open(os.path.join(pool.folder, "out.txt"), "ab")
        pool.process = subprocess.Popen([program, "serve", "-c", pool.config], stdout=pool.out, stderr=subprocess.STDOUT,
                                        cwd=pool.folder, env=dict(os.environ, XDG_RUNTIME_DIR=pool.folder))
        wait_for(pool.is_serving, 30)
        m = Miner(pool.port, address(120) + ".f", pause=0.005)
        os.unlink(program)
        r = pool.upgrade(check=False)
        assert r.returncode == 1 and "No such file" in r.stderr, r.stderr
        shutil.copy(PROGRAM, program + ".new")
        os.chmod(program + ".new", 0o755)
        os.rename(program + ".new", program)
        pool.upgraded()
        assert os.readlink(f"/proc/{pool.pid()}/exe") == program
        pool.upgraded()
        untouched([m])
        m.stop()
        assert pool.stop() == 0
        every_share_is_there(pool, [m])
