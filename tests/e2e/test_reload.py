"""`otedama reload` and SIGHUP on a pool that mines: all or nothing, and nobody notices who is not meant."""
import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from decimal import Decimal

from devnet import Database, Miner
from pool import PROGRAM, address, free_port, patient, wait_for
from reload import BLOCK, SOME_BLOCKS, WALLET, Live, fixed, pool_of
from stratum import Client
from test_systemd import Manager


def test_what_applies_and_what_waits():
    with Live() as t:
        t.tree["threads"] = {"reactors": 2}
        t.tree["limits"] = {"bad_lines": 5}
        t.dev["extranonce1_bytes"] = 5
        t.dev["fee"]["rate"] = "2%"
        got = t.reload()
        assert got == {"threads.reactors": "needs restart", "limits.bad_lines": "applied",
                       "pools.dev.extranonce1_bytes": "needs restart", "pools.dev.fee.rate": "applied"}, got
        # What waits is told each time, until it is taken back.
        assert t.reload() == {"threads.reactors": "needs restart", "pools.dev.extranonce1_bytes": "needs restart"}
        r = t.ask()
        assert "threads.reactors: 1 -> 2: needs restart" in r.stdout and "2 keys wait for a restart" in r.stdout, r.stdout
        del t.tree["threads"]
        t.dev["extranonce1_bytes"] = 4
        assert t.reload() == {}
        assert "nothing has changed" in t.ask().stdout
        t.dev["fee"]["rate"] = "3%"
        assert "pools.dev.fee.rate: 2% -> 3%: can be applied" in t.ask("--check").stdout
        r = json.loads(t.ask("--check", "--json").stdout)
        assert r["checked"] and r["applied"] == 0 and [k["result"] for k in r["changed"]] == ["can be applied"], r
        t.dev["fee"]["rate"] = "2%"
        assert t.reload() == {}, "a check has changed something"


def test_a_restart_takes_what_waited():
    with Live(witness=False) as t:
        t.tree["threads"] = {"reactors": 2}
        assert t.reload() == {"threads.reactors": "needs restart"}
        assert t.pool.stop() == 0
        t.pool.start()
        assert t.reload() == {}
        assert "reactors=2" in t.pool.log()


def wrong(t):
    """(what to do to the configuration, words of the refusal)"""
    def in_dev(**keys):
        return lambda: t.dev.update(keys)

    def another(**keys):
        return lambda: t.tree["pools"].update(b={**pool_of(free_port()), **keys})

    used = free_port()
    taken = __import__("socket").create_server(("127.0.0.1", used))
    t.taken = taken
    return [
        (in_dev(fee={"rate": "200%"}), ("fee.rate", "200%")),
        (in_dev(fees={"rate": "2%"}), ("fees", "did you mean")),
        (in_dev(notify="1"), ("notify",)),
        (in_dev(coin="devnett"), ("devnett",)),
        (in_dev(nodes=["nobody"]), ("nobody",)),
        (in_dev(payout={"scheme": "pplns", "window": "nonsense"}), ("window", "nonsense")),
        (in_dev(payout={"scheme": "pplns", "windw": "2x difficulty"}), ("windw",)),
        (in_dev(ports={}), ("ports",)),
        (in_dev(payments={"minimum": "1 LTC"}), ("minimum",)),
        (another(payout={"scheme": "nobody"}), ("payout", "nobody")),
        (another(payout={"scheme": "pplns", "window": "-1"}), ("window",)),
        (another(coinbase={"address": "bcrt1qnonsense"}), ("coinbase.address",)),
        (another(ports={str(used): {"listen": "127.0.0.1"}}), (f"pools.b.ports.{used}", "in use")),
        (another(ports={str(t.pool.port): {"listen": "127.0.0.1"}}), (str(t.pool.port),)),
        (another(block_difficulty_floor="x"), ("block_difficulty_floor",)),
        (lambda: t.tree.update(pools={}), ("pools",)),
        (lambda: t.tree.update(limits={"idle": "1s"}), ("limits.idle",)),
        (lambda: t.tree.update(nodes={"n": {"coin": "devnet"}}), ("rpc",)),
    ]


def test_one_wrong_key_changes_nothing():
    with Live() as t:
        good = t.keep()
        for change, words in wrong(t):
            t.tree = json.loads(json.dumps(good))
            t.dev["coinbase"]["tag"] = "/never/"  # a good change beside the wrong one
            t.tree["log"]["level"] = "debug"
            change()
            t.refused(*words)
            assert "the last reload was refused" in t.pool.command("status", "--socket", t.pool.socket).stdout
        t.tree = good
        assert t.reload() == {}, "a refused reload has changed something"
        assert list(t.pools()) == ["dev"]
        assert "the last reload" not in t.pool.command("status", "--socket", t.pool.socket).stdout
        c = t.client()
        job = c.job
        assert "/one/".encode().hex() in job.coinb1 + job.coinb2
        c.close()
        assert "event=job.new" not in t.pool.log(), "the level of the log was changed"
        t.taken.close()


def test_files_that_are_broken():
    with Live() as t:
        t.write()
        with open(t.pool.config, "rb") as f:
            whole = f.read()
        ask = lambda: t.pool.command("reload", "--socket", t.pool.socket, check=False)  # noqa: E731

        def put(data):
            with open(t.pool.config, "wb") as f:
                f.write(data)

        os.remove(t.pool.config)
        r = ask()
        assert r.returncode == 1 and "cannot be read" in r.stderr, r.stderr
        os.mkdir(t.pool.config)
        r = ask()
        assert r.returncode == 1 and "pool.yaml" in r.stderr, r.stderr
        os.rmdir(t.pool.config)
        for garbage in (b"", b"\0\1\2\3" * 50, os.urandom(3000), b"[" * 5000, b"a: [", b"x" * 300000, b"just words\n"):
            put(garbage)
            r = ask()
            assert r.returncode == 1 and r.stderr.startswith("otedama: reload: ") and r.stderr.count("\n") == 1, r.stderr
        # Written half, at any byte: refused, or a whole configuration of its own that a start would take, too.
        refused = 0
        for cut in sorted(random.Random(7).sample(range(1, len(whole) - 1), 60)):
            put(whole[:cut])
            r = ask()
            offline = t.pool.command("config", "print", "-c", t.pool.config, check=False)
            if offline.returncode:
                assert r.returncode == 1, (cut, r.stdout)
                refused += 1
        assert refused > 40, refused
        put(whole)
        ask()
        assert "nothing has changed" in ask().stdout
        t.reload()


def mine_while(t, users, during):
    miners = [Miner(t.pool.port, f"{address(u)}.m{u}", ahead=3, pause=0.01) for u in users]
    time.sleep(0.3)
    during()
    time.sleep(0.5)
    for m in miners:
        m.stop()
        assert not m.refused, m.refused[:3]
        assert m.unanswered == 0, "a connection was dropped"
    return {f"{m.user}": m.acknowledged for m in miners}


def test_fifty_reloads_under_load():
    with Live(witness=False, threads={"reactors": 3}) as t:
        extra, more = str(free_port()), str(free_port())

        def fifty():
            for i in range(50):
                t.dev["fee"]["rate"] = f"{1 + i % 7}%"
                t.dev["coinbase"]["tag"] = f"/{i}/"
                t.dev["notify"] = f"{20 + i % 5}s"
                t.tree["limits"] = {"idle": f"{20 + i}m", "connections": 1000 + i}
                t.dev["ports"].pop(extra, None)
                if i % 2:
                    t.dev["ports"][extra] = {"listen": "127.0.0.1", "difficulty": fixed()}
                t.tree["pools"].pop("b", None)
                if i % 3 == 1:
                    t.tree["pools"]["b"] = pool_of(more)
                got = t.reload()
                assert set(got.values()) == {"applied"} and len(got) >= 4, got
                for port in [extra] * (i % 2) + [more] * (i % 3 == 1):
                    c = t.client(port=int(port))
                    assert c.submit(c.mine()) is True
                    c.close()

        done = mine_while(t, range(10, 15), fifty)
        assert all(n > 10 for n in done.values()), done
        assert t.pool.stop() == 0
        with Database(t.pool) as db:
            got = {k: v for k, v in db.accepted().items() if k in done}
        assert got == done, (got, done)
        t.pool.start()


def test_a_port_comes_and_goes():
    with Live() as t:
        port = str(free_port())
        t.dev["ports"][port] = {"listen": "127.0.0.1", "difficulty": fixed(), "payout": {"scheme": "solo"}}
        t.apply(f"pools.dev.ports.{port}")
        c = t.client(port=int(port))
        waiting = [c.submit_async(c.mine()) for _ in range(20)]
        wait_for(lambda: t.pools()["dev"]["accepted"] > 5, 20, about="shares")
        del t.dev["ports"][port]
        t.apply(f"pools.dev.ports.{port}")
        for q in waiting:
            assert c.wait(q) is True, "a share that was sent before got no answer"
        assert c.closed.wait(60), "a miner stayed on a port that is gone"
        said = [n for n in c.notices if n["method"] in ("client.show_message", "client.reconnect")]
        assert said and f"connect to port {t.pool.port} instead" in json.dumps(said), c.notices[-3:]
        try:
            Client(int(port)).close()
            raise AssertionError("somebody still listens there")
        except ConnectionRefusedError:
            pass
        # And back again, with the scheme it had.
        t.dev["ports"][port] = {"listen": "127.0.0.1", "difficulty": fixed(), "payout": {"scheme": "solo"}}
        t.apply(f"pools.dev.ports.{port}")
        c = t.client(port=int(port))
        assert c.submit(c.mine()) is True
        c.close()


def test_a_port_goes_from_one_pool_to_another():
    with Live() as t:
        port = str(free_port())
        t.dev["ports"][port] = {"listen": "127.0.0.1", "difficulty": fixed()}
        t.apply(f"pools.dev.ports.{port}")
        old = t.client(port=int(port))
        del t.dev["ports"][port]
        t.tree["pools"]["b"] = pool_of(port)
        t.tree["pools"]["b"]["coinbase"]["tag"] = "/other/"
        t.apply(f"pools.dev.ports.{port}", "pools.b")
        assert old.closed.wait(60)
        c = t.client(port=int(port))
        assert "/other/".encode().hex() in c.job.coinb1 + c.job.coinb2
        assert c.submit(c.mine()) is True
        c.close()
        wait_for(lambda: t.pools()["b"]["accepted"] == 1, 10, about="the share of the other pool")


def credits(t, pool, kind):
    return {b["owner"]: int(b["amount_units"]) for b in t.pool.status()["balances"]
            if b["pool"] == pool and b["kind"] == kind and int(b["amount_units"])}


def test_a_pool_comes_mines_goes_and_comes_back():
    with Live(bits=SOME_BLOCKS, witness=False, threads={"reactors": 2}) as t:
        port = free_port()
        b = pool_of(port, SOME_BLOCKS, fee={"rate": "2%"})
        t.tree["pools"]["b"] = b
        t.apply("pools.b")
        dev, c = t.client("1.a"), t.client("2.b", port=port)
        for _ in range(5):
            assert c.submit(c.mine(harder_than=BLOCK)) is True
        block = t.find_block(c, "b")
        assert int(block["fee_units"]) == -(-int(block["value_units"]) * 2 // 100), block
        waiting = [c.submit_async(c.mine(harder_than=BLOCK)) for _ in range(10)]
        del t.tree["pools"]["b"]
        t.apply("pools.b")
        for q in waiting:
            assert c.wait(q) is True, "a share that was sent before got no answer"
        assert c.closed.wait(60), "a miner stayed in a pool that is gone"
        assert list(t.pools()) == ["dev"]
        # Its block goes on to its end.
        state = lambda: [x["state"] for x in t.blocks() if x["id"] == block["id"]]  # noqa: E731
        assert state() in (["accepted"], ["confirming"]), state()
        t.pool.chain("dev", "mine", "12")
        wait_for(lambda: state() == ["mature"], 20, about="the end of a block whose pool went")
        due = credits(t, "b", "spendable")
        assert sum(due.values()) == int(block["value_units"]) - int(block["fee_units"]), due
        t.pool.chain("dev", "mine", "12")  # safe: nobody watches it any more
        wait_for(lambda: "event=pool.gone pool=b" in t.pool.log(), 40, about="the last of the pool")
        assert "event=chain.gone" not in t.pool.log(), "the other pool is still on that chain"
        assert dev.submit(dev.mine(harder_than=BLOCK)) is True
        # It comes back with what it had, and mines on.
        t.tree["pools"]["b"] = b
        t.apply("pools.b")
        assert credits(t, "b", "spendable") == due
        c = t.client("2.b", port=port)
        for _ in range(3):
            assert c.submit(c.mine(harder_than=BLOCK)) is True
        t.find_block(c, "b")
        assert sum(credits(t, "b", "immature").values()) > 0
        # With another scheme it cannot come back before a restart.
        del t.tree["pools"]["b"]
        t.apply("pools.b")
        t.tree["pools"]["b"] = {**b, "payout": {"scheme": "solo"}}
        t.refused("pools.b.payout", "restart")
        del t.tree["pools"]["b"]
        dev.close()
        assert t.pool.stop() == 0
        with Database(t.pool) as db:
            accepted = db.accepted()
        # 5, a block, 10; 3 and a block
        assert accepted[f"{address(2)}.b"] == 20, accepted
        t.pool.start()


def test_a_pool_goes_with_its_chain():
    """The last pool of a chain: chain and nodes go; a new one makes its own."""
    with Live() as t:
        port = free_port()
        t.tree["pools"]["b"] = pool_of(port)
        t.tree["pools"]["b"]["network"] = "other"
        t.apply("pools.b")
        assert len(t.nodes()) == 1 and len(t.pool.status()["nodes"]) == 2
        c = t.client(port=port)
        assert c.submit(c.mine()) is True
        for _ in range(2):
            del t.tree["pools"]["b"]
            t.apply("pools.b")
            gone = t.pool.log().count("event=chain.gone")
            wait_for(lambda: t.pool.log().count("event=chain.gone") > gone, 20, about="the end of a chain")
            assert len(t.pool.status()["nodes"]) == 1
            t.tree["pools"]["b"] = pool_of(port)
            t.tree["pools"]["b"]["network"] = "other"
            t.apply("pools.b")
            c = t.client(port=port)
            assert c.submit(c.mine()) is True
            c.close()


def test_the_fee_of_a_block_is_that_of_its_time():
    with Live(bits=SOME_BLOCKS, witness=False) as t:
        c, seen = t.client(), []
        for percent in (1, 5, 0, 3):
            t.dev["fee"]["rate"] = f"{percent}%"
            t.reload()
            c.submit(c.mine(harder_than=BLOCK))
            b = t.find_block(c)
            seen.append(b["id"])
            assert int(b["fee_units"]) == -(-int(b["value_units"]) * percent // 100), (percent, b)
        c.close()
        t.pool.kill()
        t.pool.start()
        fees = {b["id"]: (int(b["fee_units"]), int(b["value_units"])) for b in t.blocks()}
        for id_, percent in zip(seen, (1, 5, 0, 3)):
            assert fees[id_][0] == -(-fees[id_][1] * percent // 100), (percent, fees)


def test_sighup_and_the_service_manager():
    with Live(witness=False) as t:
        manager = Manager(os.path.join(t.pool.folder, "notify"))
        assert t.pool.stop() == 0
        t.pool.env = {"NOTIFY_SOCKET": os.path.join(t.pool.folder, "notify")}
        t.pool.start()
        t.witness = Miner(t.pool.port, address(900) + ".witness", ahead=2, pause=0.05)
        wait_for(lambda: len(manager.messages("READY=1")) == 1, 20, about="READY=1")
        t.dev["fee"]["rate"] = "4%"
        t.hup()
        wait_for(lambda: len(manager.messages("READY=1")) == 2, 20, about="READY=1 after the reload")
        reloading = manager.messages("RELOADING=1")
        assert len(reloading) == 1 and "MONOTONIC_USEC=" in reloading[0][1], manager.said
        assert 'event=reload.key key="pools.dev.fee.rate"' in t.pool.log()
        t.dev["fee"]["rate"] = "400%"
        t.hup()
        wait_for(lambda: len(manager.messages("READY=1")) == 3, 20, about="READY=1 after a refused reload")
        assert "event=reload.refused" in t.pool.log() and t.pool.process.poll() is None
        # Several at once: the last state of the file is in force.
        t.dev["fee"]["rate"] = "5%"
        t.write()
        done = t.pool.log().count("event=reload.done")
        for _ in range(20):
            t.pool.process.send_signal(signal.SIGHUP)
        wait_for(lambda: t.pool.log().count("event=reload.done") > done, 20, about="a reload")
        r = wait_for(lambda: (lambda r: r if r.returncode == 0 else None)(t.ask("--json", check=False)), about="the last of them")
        assert json.loads(r.stdout)["changed"] == [], r.stdout
        manager.sock.close()


def test_two_at_once():
    with Live() as t:
        t.write()
        results = []

        def one():
            r = t.pool.command("reload", "--socket", t.pool.socket, check=False)
            results.append((r.returncode, r.stdout + r.stderr))

        threads = [threading.Thread(target=one) for _ in range(12)]
        for x in threads:
            x.start()
        for x in threads:
            x.join()
        assert any(code == 0 for code, _ in results), results
        assert all(code == 0 or "a reload is under way" in text for code, text in results), results


def test_set_stays_over_the_file():
    with Live(args=("--set", "pools.dev.fee.rate=7%")) as t:
        t.dev["fee"]["rate"] = "2%"
        t.dev["notify"] = "25s"
        t.apply("pools.dev.notify")


def test_killed_during_a_reload():
    rng = random.Random(3)
    with Live(witness=False) as t:
        extra, more, sent = str(free_port()), str(free_port()), {}
        for turn in range(10):
            m = Miner(t.pool.port, f"{address(30)}.t{turn}", ahead=2, pause=0.01)
            time.sleep(0.2)
            t.dev["fee"]["rate"] = f"{turn}%"
            t.dev["ports"].pop(extra, None)
            if turn % 2:
                t.dev["ports"][extra] = {"listen": "127.0.0.1", "difficulty": fixed()}
            if turn % 3 == 1:
                t.tree["pools"]["b"] = pool_of(more)
            t.write()
            r = subprocess.Popen([PROGRAM, "reload", "--socket", t.pool.socket], cwd=t.pool.folder,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(rng.uniform(0, 0.05))
            t.pool.kill()
            r.wait()
            m.ending.set()
            m.join(patient(30))
            sent[f"{m.user}"] = m.acknowledged, m.sent
            t.pool.start()
            assert t.reload() == {}
        assert t.pool.stop() == 0
        with Database(t.pool) as db:
            got = db.accepted()
        for user, (acknowledged, all_) in sent.items():
            assert acknowledged <= got.get(user, 0) <= all_, (user, acknowledged, got.get(user), all_)
        t.pool.start()


def test_a_coin_file_that_changed():
    with Live() as t:
        coins = os.path.join(t.pool.folder, "coins")
        real = os.path.realpath(coins)
        os.remove(coins)
        shutil.copytree(real, coins)
        path = os.path.join(coins, "devnet.yaml")
        with open(path, encoding="utf-8") as f:
            text = f.read()

        def put(old, new):
            with open(path, "w", encoding="utf-8") as f:
                f.write(text.replace(old, new))

        assert t.reload() == {}
        c = Client(t.pool.port)
        c.login(address(1) + ".roll", mask=0x1FFFE000)
        put("version_mask: 1fffe000", "version_mask: 0000e000")
        assert t.reload() == {"coins.devnet.version_mask": "applied"}
        wait_for(lambda: c.mask == 0xE000, 10, about="the new mask")
        assert c.submit(c.mine(version=int(c.job.version, 16) & ~0xE000 | 0x2000)) is True
        c.close()
        put("version_mask: 1fffe000", "version_mask: nonsense")
        r = t.ask(check=False)
        assert r.returncode == 1 and "devnet.yaml:" in r.stderr and "version_mask" in r.stderr, r.stderr
        put("algorithm: {use: sha256d}", "algorithm: {use: sha256d, x: 1}")
        r = t.ask(check=False)
        assert r.returncode == 1 and "devnet.yaml:" in r.stderr, r.stderr
        put("symbol: DEV", "symbol: VED")
        got = t.reload()
        assert got == {"coins.devnet.symbol": "needs restart", "coins.devnet.version_mask": "applied"}, got


def test_maturity_of_a_coin_file():
    with Live(bits=SOME_BLOCKS, witness=False) as t:
        coins = os.path.join(t.pool.folder, "coins")
        real = os.path.realpath(coins)
        os.remove(coins)
        shutil.copytree(real, coins)
        path = os.path.join(coins, "devnet.yaml")
        c = t.client()
        b = t.find_block(c)
        state = lambda: [x["state"] for x in t.blocks() if x["id"] == b["id"]]  # noqa: E731
        wait_for(lambda: state() == ["confirming"], about="the block at its height")
        t.pool.chain("dev", "mine", "4")
        time.sleep(1.5)
        assert state() == ["confirming"]
        with open(path, encoding="utf-8") as f:
            text = f.read()
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace("\nmaturity: 10", "\nmaturity: 4"))
        assert t.reload() == {"coins.devnet.maturity": "applied"}
        wait_for(lambda: state() == ["mature"], 10, about="maturity")
        c.close()


def test_the_miner_inside_keeps_its_pool():
    with Live(witness=False, miner={"account": address(5), "pool": "dev"}) as t:
        t.tree["pools"]["b"] = pool_of(free_port())
        t.apply("pools.b")
        del t.tree["pools"]["dev"]
        t.tree["miner"]["pool"] = "b"
        r = t.ask(check=False)
        assert r.returncode == 1 and "miner.pool" in r.stderr, r.stderr


def test_a_plugin_that_was_never_loaded():
    """A pool of another algorithm comes: its plugin is tried, loaded and measured while the others mine."""
    with Live() as t:
        coins = os.path.join(t.pool.folder, "coins")
        real = os.path.realpath(coins)
        os.remove(coins)
        shutil.copytree(real, coins)
        with open(os.path.join(coins, "devnet.yaml"), encoding="utf-8") as f:
            text = f.read()
        with open(os.path.join(coins, "scryptnet.yaml"), "w", encoding="utf-8") as f:
            f.write(text.replace("symbol: DEV", "symbol: SCR").replace("{use: sha256d}", "{use: scrypt}"))
        loaded = lambda: {(p["kind"], p["id"]) for p in t.pool.status()["plugins"]}  # noqa: E731
        assert ("algo", "scrypt") not in loaded()
        t.tree["pools"]["s"] = {**pool_of(free_port(), payout={"scheme": "prop"}), "coin": "scryptnet"}
        for port in t.tree["pools"]["s"]["ports"].values():
            port["difficulty"] = fixed("0.01")
        assert "can be applied" in t.ask("--check").stdout
        t.apply("pools.s")
        assert {("algo", "scrypt"), ("payout", "prop")} <= loaded(), loaded()
        wait_for(lambda: len(t.pool.status()["nodes"]) == 2, 10, about="its chain")
        del t.tree["pools"]["s"]
        t.apply("pools.s")


def test_payments_under_reloads():
    """Reloads that change payments, and reloads that do not, while payments are made: each is made once."""
    with Live(bits=SOME_BLOCKS, witness=False) as t:
        t.dev["payments"] = {"minimum": "0.01 DEV", "every": "1s", "confirmations": 2, "coin_confirmations": 1, "recipients": 1}
        t.reload()
        users = range(50, 56)
        for u in users:
            with t.client(f"{u}.a") as c:
                for _ in range(6):
                    assert c.submit(c.mine(harder_than=BLOCK)) is True
        with t.client("50.a") as c:
            t.find_block(c)
        t.pool.chain("dev", "mine", "12")
        wait_for(lambda: len(credits(t, "dev", "spendable")) == 6, 20, about="spendable credits")
        due = credits(t, "dev", "spendable")
        plan = json.loads(t.pool.command("payment", "plan", "dev", "--socket", t.pool.socket, "--json").stdout)
        t.pool.command("payment", "start", "dev", plan["code"], "--socket", t.pool.socket)
        paid, turn = {}, 0
        until = time.monotonic() + patient(60)
        while sum(paid.values()) < sum(due.values()) or turn <= 20:
            assert time.monotonic() < until, (paid, due, t.pool.status()["attention"])
            turn += 1
            t.dev["payments"]["every"] = f"{1 + turn // 15 % 2}s"
            t.dev["notify"] = f"{20 + turn % 5}s"
            t.reload()
            if turn % 4 == 0:
                t.pool.chain("dev", "mine", "1")
            time.sleep(0.1)
            paid = credits(t, "dev", "paid")
        wait_for(lambda: not credits(t, "dev", "spendable"), 20, about="the last payment")
        for account, units in due.items():
            got = round(10 ** 8 * Decimal(t.pool.chain("dev", "balance", account).split()[0].split("=")[-1]))
            assert got == units, (account, got, units)


__all__ = [WALLET]
