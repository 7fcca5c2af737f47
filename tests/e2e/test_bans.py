"""Bans: by rig, account, address and prefix, against real miners; told, closed, refused; across restarts."""
import json
import os
import socket
import time

from devnet import Database, Miner, Raw, devnet, refused, verified
from pool import Pool, address, wait_for
from stratum import Client, StratumError

FAR = "10000d"


def ban(pool, *words, check=True):
    return pool.command("ban", *words, "--socket", pool.socket, check=check)


def bans(pool, *more):
    return json.loads(ban(pool, "list", "--json", *more).stdout)["bans"]


def told(client):
    """What client.show_message said, once the connection is closed."""
    assert client.closed.wait(60), "the connection was not closed"
    texts = [n["params"][0] for n in client.notices if n["method"] == "client.show_message"]
    assert len(texts) == 1, texts
    return texts[0]


def shut_out(port, host="127.0.0.1"):
    """Whether a new connection is closed at once, told that it is for a ban."""
    said = b""
    try:
        with socket.create_connection((host, port), timeout=60) as s:
            s.settimeout(10)  # where it is let in nothing comes
            while got := s.recv(4096):
                said += got
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    assert b"your address is banned" in said, said
    return True


def test_an_account_is_told_closed_and_refused():
    with Pool(devnet(top="threads: {reactors: 2}")) as pool:
        pool.start()
        bad, other = address(40), address(41)
        stays = Client(pool.port)
        stays.login(other + ".rig")
        rigs = [Client(pool.port) for _ in range(4)]  # on both reactors
        for i, c in enumerate(rigs):
            c.login(f"{bad}.r{i}")
            assert c.submit(c.mine()) is True
        r = ban(pool, "add", "account", f"dev/{bad.upper()}", "--for", "1h", "--reason", 'spam "and" more')
        assert f"account dev/{bad} until 2" in r.stdout, r.stdout
        for c in rigs:
            text = told(c)
            assert text.startswith("banned until 2") and text.endswith(' UTC: spam "and" more'), text
        for user in (bad, bad + ".new", bad.upper() + ".r1", bad.replace("b", "%62", 1) + ".x"):
            with Client(pool.port) as c:
                c.subscribe()
                text = refused(24, c.authorize, user)
                assert text.startswith("banned until") and "spam" in text, text
                # Nobody else on that connection is shut out, and the miner cannot submit.
                assert c.authorize(other + ".second") is True
        assert stays.submit(stays.mine()) is True, "another account was shut out"
        row, = bans(pool)
        assert row["scope"] == "account" and row["what"] == f"dev/{bad}" and row["state"] == "in force", row
        again = ban(pool, "add", "account", f"dev/{bad}", "--reason", "x", check=False)
        assert again.returncode == 1 and f"ban {row['id']}" in again.stderr, again
        ban(pool, "undo", f"dev/{bad.upper()}")
        with Client(pool.port) as c:
            c.login(bad + ".r1")
            assert c.submit(c.mine()) is True
        assert bans(pool) == [] and bans(pool, "--all")[0]["state"] == "undone"
        stays.close()
        assert pool.stop() == 0
        verified(pool)
        with Database(pool) as db:
            audit = [(w, json.loads(d)) for w, d in db.rows("SELECT what, data FROM audit WHERE what LIKE 'ban.%'")]
        assert [w for w, _ in audit] == ["ban.add", "ban.undo"], audit
        assert audit[0][1]["what"] == f"dev/{bad}" and "spam" in audit[0][1]["reason"], audit


def test_a_worker_is_banned_alone():
    with Pool(devnet()) as pool:
        pool.start()
        a = address(42)
        bad, good, nameless = Client(pool.port), Client(pool.port), Client(pool.port)
        bad.login(a + ".bad")
        good.login(a + ".bad2")
        nameless.login(a)
        ban(pool, "add", "worker", f"dev/{a}.bad", "--for", "forever", "--reason", "broken firmware")
        assert told(bad) == "banned for good: broken firmware"
        with Client(pool.port) as c:
            c.subscribe()
            assert refused(24, c.authorize, a + ".bad") == "banned for good: broken firmware"
            assert c.authorize(a + ".good") is True
        for c in (good, nameless):
            assert c.submit(c.mine()) is True
        ban(pool, "add", "worker", f"dev/{a}.", "--for", FAR, "--reason", "say who you are")
        told(nameless)
        assert good.submit(good.mine()) is True
        good.close()
        assert len(bans(pool)) == 2


def test_an_address_is_closed_and_shut_out():
    with Pool(devnet()) as pool:
        pool.start()
        no = ban(pool, "add", "ip", "127.0.0.1", "--reason", "test", check=False)
        assert no.returncode == 1 and "--force" in no.stderr and "loopback" in no.stderr, no
        for prefix in ("127.0.0.0/8", "0.0.0.0/0", "126.0.0.0/7"):
            assert ban(pool, "add", "prefix", prefix, "--reason", "test", check=False).returncode == 1, prefix
        with Client(pool.port) as c, Raw(pool.port) as silent:
            c.login(address(43) + ".rig")
            ban(pool, "add", "ip", "::ffff:127.0.0.1", "--for", "1h", "--reason", "test", "--force")
            assert told(c).endswith(": test")
            assert silent.line() is None, "who has not subscribed is closed too"
        assert bans(pool)[0]["what"] == "127.0.0.1"
        assert shut_out(pool.port)
        assert 'otd_connections_refused_total{reason="banned"} ' in pool.get("/metrics")
        assert 'otd_connections_refused_total{reason="banned"} 0' not in pool.get("/metrics")
        # A prefix round it stands beside it: one undone, the other holds.
        ban(pool, "add", "prefix", "127.0.0.0/16", "--for", "1h", "--reason", "all of them", "--force")
        ban(pool, "undo", "127.0.0.1")
        assert shut_out(pool.port)
        ban(pool, "undo", "127.0.0.0/16")
        with Client(pool.port) as c:
            c.login(address(43) + ".rig")
        # Another address of the same machine is not meant by an ip.
        ban(pool, "add", "ip", "127.0.0.2", "--for", "1h", "--reason", "test", "--force")
        with Client(pool.port) as c:
            c.login(address(43) + ".rig")


def test_ipv6_and_its_64():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
    except OSError:
        from skip import Skip
        raise Skip("no IPv6 here") from None
    with Pool(devnet().replace("listen: 127.0.0.1, difficulty", 'listen: "::1", difficulty')) as pool:
        pool.start(wait=False)

        def serves():
            try:
                socket.create_connection(("::1", pool.port), timeout=1).close()
                return True
            except OSError:
                return False
        wait_for(serves, 20, about="the port")
        with Client(pool.port, host="::1") as c:
            c.login(address(44) + ".rig")
            ban(pool, "add", "prefix", "0.0.0.0/0", "--for", "1h", "--reason", "all of IPv4", "--force")
            assert c.submit(c.mine()) is True, "a ban of IPv4 shut out IPv6"
            ban(pool, "add", "ip", "::2", "--for", "1h", "--reason", "a neighbour of its /64", "--force")
            assert told(c).endswith("a neighbour of its /64")
        assert sorted(b["what"] for b in bans(pool)) == ["0.0.0.0/0", "::/64"]
        assert shut_out(pool.port, "::1")


def test_time_ends_a_ban():
    with Pool(devnet()) as pool:
        pool.start()
        a = address(45)
        ban(pool, "add", "account", f"dev/{a}", "--for", "3s", "--reason", "short")
        began = time.monotonic()
        ban(pool, "add", "ip", "127.0.0.1", "--for", "3s", "--reason", "short", "--force")

        def holds(is_so):  # for as long as it must: this may take longer than the ban
            assert is_so or time.monotonic() - began > 2.9
        holds(shut_out(pool.port))

        def in_again():
            try:
                with Client(pool.port) as c:
                    c.login(a + ".rig")
                return True
            except (StratumError, ConnectionError):
                return False
        holds(not in_again())
        wait_for(in_again, 10, 0.2, about="the end of the ban")
        assert bans(pool) == [] and {b["state"] for b in bans(pool, "--all")} == {"over"}
        ban(pool, "add", "account", f"dev/{a}", "--reason", "again")  # what is over is not in the way


def test_bans_outlive_a_restart_and_a_kill():
    with Pool(devnet()) as pool:
        pool.start()
        a, b = address(46), address(47)
        ban(pool, "add", "account", f"dev/{a}", "--for", "1d", "--reason", "one")
        ban(pool, "add", "worker", f"dev/{b}.rig", "--for", "forever", "--reason", "two")
        ban(pool, "add", "account", f"dev/{b}", "--for", "1d", "--reason", "undone before")
        ban(pool, "undo", f"dev/{b}")
        before = bans(pool, "--all")

        def check():
            with Client(pool.port) as c:
                c.subscribe()
                assert refused(24, c.authorize, a).endswith(": one")
                assert refused(24, c.authorize, b + ".rig") == "banned for good: two"
                assert c.authorize(b + ".other") is True
            assert bans(pool, "--all") == before
        check()
        pool.kill()
        offline = pool.command("ban", "list", "-c", pool.config, "--all", "--json")
        assert json.loads(offline.stdout)["bans"] == before, "a stopped pool says something else"
        pool.start()
        check()
        ban(pool, "add", "ip", "127.0.0.1", "--for", "1d", "--reason", "three", "--force")
        before = bans(pool, "--all")
        pool.kill()  # at once: it was said to be in force, so it is stored
        pool.start(wait=False)
        wait_for(lambda: os.path.exists(pool.socket) and
                 ban(pool, "list", check=False).returncode == 0, 20, about="the pool")
        assert bans(pool, "--all") == before
        assert shut_out(pool.port)
        ban(pool, "undo", str(before[0]["id"]))
        assert pool.stop() == 0
        pool.start()
        with Client(pool.port) as c:
            c.login(b + ".other")
        verified_after_stop(pool)


def verified_after_stop(pool):
    assert pool.stop() == 0
    verified(pool)


def test_what_cannot_be_banned_is_said():
    with Pool(devnet()) as pool:
        pool.start()
        a = address(48)
        for words, status, say in (
                (("add", "rig", "x", "--reason", "y"), 2, "worker, account, ip or prefix"),
                (("add", "ip", "10.0.0.1"), 2, "--reason"),
                (("add", "ip", "10.0.0.1", "--reason", "y", "--for", "soon"), 2, "--for"),
                (("add", "ip", "10.0.0.1", "--reason", "y", "--for", "0s"), 2, "--for"),
                (("add", "ip", "10.0.0.0/8", "--reason", "y"), 1, "prefix"),
                (("add", "ip", "localhost", "--reason", "y"), 1, "address"),
                (("add", "prefix", "10.1.2.3/8", "--reason", "y"), 1, "10.0.0.0/8"),
                (("add", "account", a, "--reason", "y"), 1, "POOL/ADDRESS"),
                (("add", "account", f"other/{a}", "--reason", "y"), 1, "no pool 'other'"),
                (("add", "account", "dev/bcrt1qwrong", "--reason", "y"), 1, "bcrt1qwrong"),
                (("add", "account", f"dev/{a}.rig", "--reason", "y"), 1, "POOL/ADDRESS"),
                (("add", "worker", f"dev/{a}", "--reason", "y"), 1, "POOL/ADDRESS.NAME"),
                (("add", "ip", "10.0.0.1", "--reason", ""), 1, "reason"),
                (("add", "ip", "10.0.0.1", "--reason", "a\nb"), 1, "control characters"),
                (("add", "ip", "10.0.0.1", "--reason", "x" * 121), 1, "120"),
                (("undo", "7"), 1, "ban list"), (("undo", "10.0.0.1"), 1, "ban list"),
                (("lift", "7"), 2, "lift"), (("undo",), 2, "undo")):
            r = ban(pool, *words, check=False)
            assert r.returncode == status and say in r.stderr, (words, r)
            assert len(r.stderr.strip().splitlines()) == 1, r.stderr
        assert bans(pool, "--all") == []
        assert "no bans" in ban(pool, "list").stdout
        ban(pool, "add", "prefix", "10.0.0.0/8", "--for", "forever", "--reason", "private")
        text = ban(pool, "list").stdout
        assert "prefix   10.0.0.0/8" in text and "for good: private" in text and "at most 65536" in text, text


def test_a_ban_under_load_loses_no_share_of_others():
    with Pool(devnet(top="threads: {reactors: 2}")) as pool:
        pool.start()
        good = [Miner(pool.port, f"{address(60 + i)}.rig", pause=0.01) for i in range(3)]
        bad = [Miner(pool.port, f"{address(63)}.r{i}", pause=0.01) for i in range(3)]
        wait_for(lambda: all(m.acknowledged > 5 for m in good + bad), 20, about="shares")
        ban(pool, "add", "account", f"dev/{address(63)}", "--for", "1h", "--reason", "load")
        wait_for(lambda: not any(m.is_alive() for m in bad), 10, about="the end of the banned ones")
        for i in range(40):  # bans of others while shares come
            ban(pool, "add", "prefix", f"10.{i}.0.0/16", "--for", "1h", "--reason", "load")
        before = [m.acknowledged for m in good]
        wait_for(lambda: all(m.acknowledged > n + 5 for m, n in zip(good, before)), 20, about="shares of the others")
        for m in good:
            m.stop()
            assert m.refused == [] and m.unanswered == 0, (m.refused, m.unanswered)
        assert pool.stop() == 0
        with Database(pool) as db:
            accepted = db.accepted()
        for m in good:
            assert accepted[m.user] == m.acknowledged
        for m in bad:  # what was answered counts, whoever was banned afterwards
            assert accepted[m.user] >= m.acknowledged
