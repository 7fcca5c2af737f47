"""TLS on the ports of miners: what is agreed on, what is refused, certificates and their renewal, tickets."""
import json
import os
import re
import socket
import ssl
import subprocess
import threading
import time

import certificates
import tls
from devnet import Miner, devnet, fixed
from pool import PROGRAM, Pool, address, free_port, wait_for
from stratum import Client
from tls import connect, context, pings
from upgrade import UpPool


def config(more, top="threads: {reactors: 2}"):
    """A devnet whose port has further keys."""
    return devnet(difficulty=f"{fixed()}, {more}", top=top)


def pool_with(more="tls: pool.pem", top="threads: {reactors: 2}", **kw):
    """A pool, not started, with pool.pem beside its configuration."""
    pool = Pool(config(more, top))
    pool.cert, pool.key = certificates.make(pool.folder, **kw)
    certificates.one_file(os.path.join(pool.folder, "pool.pem"), pool.cert, pool.key)
    return pool


def reload(pool, check=True):
    return pool.command("reload", "--socket", pool.socket, check=check)


def metric(pool, name):
    return sum(float(x.rsplit(" ", 1)[1]) for x in pool.get("/metrics", pool.metrics).splitlines()
               if x.startswith(name))


def digest(s):
    return ssl.DER_cert_to_PEM_cert(s.getpeercert(binary_form=True))


def pem(path):
    with open(path, encoding="ascii") as f:
        return f.read()


def serves(pool):
    with connect(pool.port) as s:
        return pings(s)


# --- what is agreed on ---

def test_plain_and_tls_on_one_port():
    with pool_with() as pool:
        pool.start()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with connect(pool.port, context(version, authority=pool.cert)) as s:
                assert s.version() == {771: "TLSv1.2", 772: "TLSv1.3"}[version] and pings(s)
                assert s.compression() is None
                assert version == ssl.TLSVersion.TLSv1_3 or s.cipher()[0].startswith("ECDHE-"), s.cipher()
        with Client(pool.port) as plain, tls.Tunnel(pool.port) as tunnel, Client(tunnel.port) as secret:
            for c, user in ((plain, address(1)), (secret, address(2))):
                c.login(user + ".rig")
                for _ in range(5):
                    assert c.submit(c.mine()) is True
        # The first byte decides, whenever it comes.
        with socket.create_connection(("127.0.0.1", pool.port), timeout=10) as s:
            time.sleep(0.5)
            assert pings(s)
        assert metric(pool, 'otd_tls_handshakes_total{version="1.2"') == 1
        assert metric(pool, 'otd_tls_handshakes_total{version="1.3"') == 2
        log = pool.log()
        assert "event=tls.certificate" in log and 'names="pool.example"' in log
        with open(pool.key, encoding="ascii") as f:
            secret = f.read().splitlines()[1:-1]
        assert not any(line in log for line in secret)
        assert pool.stop() == 0


def test_old_and_weak_are_refused():
    with pool_with(rsa=True) as pool:
        pool.start()
        any_cipher = "ALL:@SECLEVEL=0"
        for version, ciphers in ((ssl.TLSVersion.TLSv1, any_cipher), (ssl.TLSVersion.TLSv1_1, any_cipher),
                                 (ssl.TLSVersion.TLSv1_2, "AES128-GCM-SHA256:AES256-SHA"),
                                 (ssl.TLSVersion.TLSv1_2, "DHE-RSA-AES128-GCM-SHA256"),
                                 (ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-AES128-SHA256")):
            try:
                connect(pool.port, context(version, ciphers)).close()
            except (ssl.SSLError, ConnectionError):
                continue
            raise AssertionError(f"{version} with {ciphers} was taken")
        # The same by openssl's own client, which says what it heard.
        for words, said in ((["-tls1_1", "-cipher", any_cipher], "alert protocol version"),
                            (["-tls1_2", "-cipher", "kRSA"], "alert handshake failure")):
            r = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{pool.port}", *words], input="",
                               capture_output=True, text=True, timeout=180, check=False)
            assert said in r.stderr, r.stderr
        wait_for(lambda: metric(pool, "otd_tls_handshakes_failed_total") == 7, about="the count of seven that failed")
        log = pool.log()
        assert 'event=tls.failed peer=127.0.0.1 why="unsupported protocol"' in log
        assert 'event=tls.failed peer=127.0.0.1 why="no shared cipher"' in log
        # A miner that does not trust the certificate says so.
        try:
            connect(pool.port, context(authority=certificates.make(pool.folder, name="other.example")[0])).close()
            raise AssertionError("somebody else's certificate was trusted")
        except ssl.SSLError:
            pass
        wait_for(lambda: 'why="tlsv1 alert unknown ca"' in pool.log(), 5, about="the alert in the log")
        assert serves(pool)
        assert pool.stop() == 0


def test_plain_no():
    with pool_with("tls: pool.pem, plain: no") as pool:
        pool.start()
        with socket.create_connection(("127.0.0.1", pool.port), timeout=10) as s:
            answer = json.loads(tls.ask(s, tls.PING))
            assert "stratum+ssl://" in answer["error"][1], answer
            assert closed_within(s, 60)
        assert serves(pool)
        wait_for(lambda: "event=plain.refused" in pool.log(), 5, about="the log of it")
        # A reload takes plain ones in again; nobody is dropped for it.
        with connect(pool.port) as before:
            assert pings(before)
            pool.write(config("tls: pool.pem"))
            reload(pool)
            assert pings(before)
            with socket.create_connection(("127.0.0.1", pool.port), timeout=10) as s:
                assert pings(s)
            # And the other way round: a port that has no TLS any more is plain.
            pool.write(config("plain: yes"))
            reload(pool)
            assert pings(before)
            with socket.create_connection(("127.0.0.1", pool.port), timeout=10) as s:
                assert pings(s)
            try:
                connect(pool.port, timeout=5).close()
                raise AssertionError("TLS where there is none")
            except OSError:
                pass
        assert pool.stop() == 0


# --- broken and mean ---

def closed_within(s, seconds):
    s.settimeout(seconds)
    try:
        while s.recv(4096):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


def test_garbage_and_slow_handshakes():
    with pool_with(top="threads: {reactors: 1}\nlimits: {handshake: 6s}") as pool:
        pool.start()
        for bytes_ in (b"\x16", b"\x16\x03\x01\x00\x05hello", b"\x16\x03\x01\xff\xff" + b"a" * 70000,
                       b"\x16" + b"{\"id\":1}\n" * 100, b""):
            with socket.create_connection(("127.0.0.1", pool.port), timeout=10) as s:
                s.sendall(bytes_)
                begin = time.monotonic()
                assert closed_within(s, 60), bytes_[:20]
                if len(bytes_) > 5:
                    assert time.monotonic() - begin < 5.9, "garbage waits for nothing"
        # A hello that comes a byte at a time, for ever.
        with socket.create_connection(("127.0.0.1", pool.port), timeout=10) as s:
            s.sendall(b"\x16\x03\x01\x40\x00")
            begin = time.monotonic()
            try:
                while time.monotonic() - begin < 60:
                    s.sendall(b"\x01")
                    time.sleep(0.1)
            except OSError:
                pass
            assert time.monotonic() - begin < 60, "a slow handshake has no end"
        # A handshake that came through, and no line.
        with connect(pool.port) as s:
            assert closed_within(s, 60)
        assert serves(pool)
        assert pool.stop() == 0


def test_a_flood_of_handshakes_beside_miners():
    """Whole handshakes, hellos without an end and half-open ones: miners on the same reactor go on."""
    with pool_with(top="threads: {reactors: 1}\nlimits: {new_connections_a_second: 100000, "
                       "new_connections_burst: 100000, connections_an_address: 10000}") as pool:
        pool.start()
        with tls.Tunnel(pool.port) as tunnel:
            miners = [Miner(p, f"{address(60 + i)}.rig", pause=0.02)
                      for i, p in enumerate((pool.port, tunnel.port))]
            wait_for(lambda: all(m.acknowledged > 3 for m in miners), 20, about="shares before the flood")
            ctx, done, until = context(ssl.TLSVersion.TLSv1_3), [], time.monotonic() + 240

            def flood(kind):
                while done.count(0) < 200 and time.monotonic() < until:
                    try:
                        if kind == 0:
                            connect(pool.port, ctx).close()
                        else:
                            s = socket.create_connection(("127.0.0.1", pool.port), timeout=10)
                            s.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(60))
                            time.sleep(0.001)
                            s.close()
                        done.append(kind)
                    except OSError:
                        pass

            threads = [threading.Thread(target=flood, args=(i % 2,)) for i in range(4)]
            before = [m.acknowledged for m in miners]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            assert done.count(0) >= 200 and done.count(1) > 50, (done.count(0), done.count(1))
            for m, n in zip(miners, before):
                assert m.acknowledged > n, f"no share beside {len(done)} handshakes"
                m.stop()
                assert not m.refused and not m.unanswered, (m.refused, m.unanswered)
        wait_for(lambda: metric(pool, "otd_connections{") == 0, 10, about="the end of all connections")
        assert pool.stop() == 0


# --- certificates ---

def test_a_certificate_is_renewed_by_a_reload():
    with pool_with() as pool:
        pool.start()
        path = os.path.join(pool.folder, "pool.pem")
        with connect(pool.port) as old:
            assert digest(old) == pem(pool.cert) and pings(old)
            second = certificates.make(pool.folder, name="second.example")
            certificates.one_file(path, *second)
            reload(pool)
            with connect(pool.port, context(authority=second[0])) as new:
                assert digest(new) == pem(second[0]) and pings(new)
            assert pings(old)
            assert "event=tls.renewed" in pool.log()
            # By the signal, too.
            third = certificates.make(pool.folder, name="third.example", rsa=True)
            certificates.one_file(path, *third)
            pool.process.send_signal(1)

            def has_third():
                with connect(pool.port) as s:
                    return digest(s) == pem(third[0])
            wait_for(has_third, 10, about="the certificate after SIGHUP")
            assert pings(old)
            # What is bad changes nothing, and says why.
            over = certificates.make(pool.folder, begin=-20, end=-1)
            locked = certificates.make(pool.folder, name="locked.example", passphrase="hidden-word")
            for pair, mode, says in ((over, 0o600, "the certificate ended on"),
                                     ((second[0], third[1]), 0o600, "does not belong to the certificate"),
                                     (locked, 0o600, "has a passphrase"), (second, 0o644, "is open to others"),
                                     ((second[0], second[0]), 0o600, "has no private key"), (None, 0, "cannot be read")):
                if pair:
                    certificates.one_file(path, *pair)
                    os.chmod(path, mode)
                else:
                    os.unlink(path)
                r = reload(pool, check=False)
                assert r.returncode == 1 and says in r.stderr and "pools.dev.ports" in r.stderr, (says, r)
                assert has_third() and pings(old)
                assert says in pool.command("status", "--socket", pool.socket).stdout
            # Other changes go on once it is good again.
            certificates.one_file(path, *second)
            reload(pool)
            assert not has_third() and pings(old)
            assert says not in pool.command("status", "--socket", pool.socket).stdout
        text = pool.log() + pool.output()
        for pair in (second, third, over, locked):
            assert "hidden-word" not in text and not any(x in text for x in pem(pair[1]).splitlines()[1:-1])
        assert pool.stop() == 0


def test_tls_comes_and_goes_by_a_reload():
    with Pool(devnet(top="threads: {reactors: 2}")) as pool:
        pool.start()
        cert, key = certificates.make(pool.folder)
        other = free_port()
        pool.write(config("tls: {certificate: c.pem, key: k.pem}") .replace(
            "api:", f"      {other}: {{listen: 127.0.0.1, tls: {{certificate: c.pem, key: k.pem}}}}\napi:", 1))
        r = reload(pool, check=False)
        assert r.returncode == 1 and "c.pem: cannot be read: No such file" in r.stderr, r
        os.link(cert, os.path.join(pool.folder, "c.pem"))
        os.link(key, os.path.join(pool.folder, "k.pem"))
        r = reload(pool)
        for port in (pool.port, other):
            with connect(port, context(authority=cert)) as s:
                assert pings(s)
        assert os.stat(os.path.join(pool.folder, "data", "tls-tickets")).st_mode & 0o777 == 0o600
        assert pool.stop() == 0


def test_what_is_wrong_at_start():
    for kw, change, says in (({"begin": -20, "end": -1}, None, None), ({}, lambda p: os.chmod(p, 0o604), "is open to others"),
                             ({}, os.unlink, "cannot be read"), ({}, lambda p: os.truncate(p, 300), "pool.pem:")):
        pool = pool_with(**kw)
        with pool:
            if change:
                change(os.path.join(pool.folder, "pool.pem"))
            if says:
                pool.start(wait=False)
                wait_for(lambda: pool.process.poll() is not None, 20, about="the end of a start with a bad certificate")
                assert pool.process.returncode == 1 and says in pool.output(), pool.output()
            else:  # miners that do not look go on; a person is told
                pool.start()
                assert serves(pool)
                attention = pool.status()["attention"]
                assert any("the certificate ended on" in a and "renew it" in a for a in attention), attention
                assert pool.stop() == 0


def test_config_check_tells_of_one_that_ends_soon():
    with pool_with(end=5) as pool:
        pool.start()
        assert any("the certificate ends in 4 days" in a or "ends in 5 days" in a for a in pool.status()["attention"])
        r = subprocess.run([PROGRAM, "config", "check", "--offline", "-c", pool.config], cwd=pool.folder,
                           capture_output=True, text=True, timeout=180, check=False)
        assert r.returncode == 0 and re.search(r"warning: .*pools\.dev\.ports\.\d+\.tls: pool\.pem: .*ends in [45] days",
                                               r.stderr), r
        assert pool.stop() == 0


# --- tickets ---

def session_of(port, ctx, session=None):
    """(whether it was resumed, the session to come back with)."""
    with connect(port, ctx, session=session) as s:
        assert pings(s)
        return s.session_reused, s.session


def test_tickets_over_reactors_and_a_restart():
    with pool_with() as pool:
        pool.start()
        kept = {}
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            ctx = context(version)
            with Client(pool.port), Client(pool.port):  # so that both reactors have somebody
                was, session = session_of(pool.port, ctx)
                assert not was
                held = []
                for _ in range(4):  # connections go round
                    held.append(connect(pool.port, ctx, session=session))
                    assert held[-1].session_reused, version
                    assert pings(held[-1])
                    if version == ssl.TLSVersion.TLSv1_2:
                        session = held[-1].session
                for s in held:
                    s.close()
            kept[version] = ctx, session_of(pool.port, ctx)[1]
        assert metric(pool, 'otd_tls_handshakes_total{version="1.2",resumed="yes"') == 4
        assert pool.stop() == 0
        file = os.path.join(pool.folder, "data", "tls-tickets")
        assert os.stat(file).st_mode & 0o777 == 0o600
        pool.start()
        for version, (ctx, session) in kept.items():
            assert session_of(pool.port, ctx, session)[0], f"{version}: a restart forgot the tickets"
            # A renewed certificate does not end them.
        pool.kill()
        # What others may have read is not used; damaged is not, either.
        os.chmod(file, 0o644)
        pool.start()
        ctx, session = kept[ssl.TLSVersion.TLSv1_3]
        assert not session_of(pool.port, ctx, session)[0]
        wait_for(lambda: os.stat(file).st_mode & 0o777 == 0o600, 5, about="new keys")
        assert "event=tls.tickets_not_taken" in pool.log()
        pool.stop()
        with open(file, "r+b") as f:
            f.seek(40)
            f.write(b"damaged")
        pool.start()
        was, session = session_of(pool.port, ctx)
        assert not was and session_of(pool.port, ctx, session)[0]
        # The keys are in no log.
        with open(file, "rb") as f:
            keys = f.read()
        assert keys[32:64].hex() not in pool.log()
        assert pool.stop() == 0


def test_an_upgrade_by_ticket():
    """A TLS connection does not go to another process; its miner comes back by its ticket, and plain ones stay."""
    with UpPool(config("tls: pool.pem")) as pool:
        certificates.one_file(os.path.join(pool.folder, "pool.pem"), *certificates.make(pool.folder))
        pool.start()
        plain = Client(pool.port)
        plain.login(address(1) + ".rig")
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            ctx = context(version)
            s = connect(pool.port, ctx)
            assert pings(s)
            session = s.session
            pool.upgraded()
            assert closed_within(s, 60), "who holds this connection?"
            was, session = session_of(pool.port, ctx, session)
            assert was, f"{version}: the new process does not know the ticket"
            pool.upgraded()
            assert session_of(pool.port, ctx, session)[0]
        assert plain.submit(plain.mine()) is True and not plain.closed.is_set()
        assert pool.stop() == 0


def test_health():
    with pool_with() as pool:
        pool.start()
        line = '{"id":1,"method":"health","params":[]}'
        with connect(pool.port) as s:
            wait_for(lambda: json.loads(tls.ask(s, line))["result"] == "serving", 10, about="health")
        with socket.create_connection(("127.0.0.1", pool.port), timeout=5) as s:
            assert tls.ask(s, line) == '{"id":1,"result":"serving","error":null}\n'
        assert pool.stop() == 0
    # A pool whose node is not there has no work.
    text = devnet().replace("coin: devnet\n    chain: {bits: 1d00ffff, spacing: 0s}", "coin: bitcoin\n    nodes: [n]")
    text = text.replace("pools:\n", 'nodes:\n  n: {coin: bitcoin, network: regtest, rpc: "http://127.0.0.1:'
                        f'{free_port()}", user: u, password: p}}\npools:\n', 1)
    with Pool(text) as pool:
        pool.start()
        with socket.create_connection(("127.0.0.1", pool.port), timeout=5) as s:
            assert json.loads(tls.ask(s, line)) == {"id": 1, "result": "no work", "error": None}
        assert pool.stop() == 0
