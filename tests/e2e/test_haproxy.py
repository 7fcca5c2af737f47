"""Miners behind proxies: the PROXY header from those who are trusted, and deploy/haproxy.cfg with Debian's haproxy."""
import json
import os
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import time

import certificates
import tls
from devnet import devnet, fixed
from pool import ROOT, Pool, address, free_port, wait_for
from skip import Skip
from stratum import Client
from tls import PING, ask, connect, context, pings
from upgrade import UpPool

V2 = b"\r\n\r\n\0\r\nQUIT\n"


def v2(source, command=0x21):
    body = socket.inet_aton(source) + socket.inet_aton("127.0.0.1") + struct.pack(">HH", 50000, 3333)
    return V2 + bytes([command, 0x11]) + struct.pack(">H", len(body)) + body


def v1(source):
    return f"PROXY TCP4 {source} 127.0.0.1 50000 3333\r\n".encode()


def pool_behind(proxies="127.0.0.1", more=""):
    pool = Pool(devnet(difficulty=f"{fixed()}, tls: pool.pem, proxy_from: [{proxies}]{more}",
                       top="threads: {reactors: 2}\nlimits: {connections_an_address: 3}"))
    pool.cert, pool.key = certificates.make(pool.folder)
    certificates.one_file(os.path.join(pool.folder, "pool.pem"), pool.cert, pool.key)
    return pool


def plain(port, header=b"", source=None):
    s = socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(source, 0) if source else None)
    s.sendall(header)
    return s


def is_shut(s, seconds=60):
    s.settimeout(seconds)
    try:
        return s.recv(4096) == b""
    except ConnectionError:
        return True


def test_the_address_of_the_header_is_the_miners():
    with pool_behind() as pool:
        pool.start()
        # Both forms, plain and TLS, whole and in two pieces.
        for i, header in enumerate((v1("192.0.2.1"), v2("192.0.2.2"))):
            with plain(pool.port, header) as s:
                assert pings(s)
            with plain(pool.port, header[:9]) as s:
                time.sleep(0.2)
                s.sendall(header[9:] + (PING + "\n").encode())
                assert b"pong" in s.recv(4096)
            with connect(pool.port, context(authority=pool.cert), first=header) as s:
                assert pings(s)
            wait_for(lambda i=i: f"event=session.closed peer=192.0.2.{i + 1} port=50000" in pool.log(), 5,
                     about="the miner's address in the log")
        # Limits are those of the miner: three each, by the same proxy.
        held = [plain(pool.port, v2("192.0.2.7")) for _ in range(3)]
        assert all(pings(s) for s in held)
        with plain(pool.port, v2("192.0.2.7")) as s:
            assert b"too many connections" in s.recv(4096)
        with plain(pool.port, v2("192.0.2.8")) as s:
            assert pings(s)
        for s in held:
            s.close()
        # Bans, too: told and closed, and shut out from then on, whatever the proxy's address.
        with tls.Tunnel(pool.port, first=v2("192.0.2.9")) as tunnel, Client(tunnel.port) as bad:
            bad.login(address(3) + ".rig")
            pool.command("ban", "add", "ip", "192.0.2.9", "--for", "1h", "--reason", "spam", "--socket", pool.socket)
            assert bad.closed.wait(60), "the banned miner stays"
        with plain(pool.port, v2("192.0.2.9")) as s:
            s.settimeout(60)
            try:
                assert b"pong" not in s.recv(4096)
            except ConnectionError:
                pass
        with plain(pool.port, v2("192.0.2.10")) as s:
            assert pings(s)
        # LOCAL and UNKNOWN: the proxy itself.
        for header in (v2("192.0.2.11", 0x20), b"PROXY UNKNOWN\r\n"):
            with plain(pool.port, header) as s:
                assert pings(s)
        assert "peer=192.0.2.11" not in pool.log()
        assert pool.stop() == 0


def test_a_header_is_required_there_and_malformed_elsewhere():
    with pool_behind("127.0.0.1, 10.0.0.0/8") as pool:
        pool.start()
        for first in ((PING + "\n").encode(), b"PROXY TCP4 nonsense\r\n", V2 + b"\x31\x11\0\0", v2("1.2.3.4")[:-3] + b"",
                      b"\x16\x03\x01"):
            with plain(pool.port, first) as s:
                if first == v2("1.2.3.4")[:-3]:
                    s.shutdown(socket.SHUT_WR)
                assert is_shut(s), first
        with plain(pool.port) as s:  # says nothing
            begin = time.monotonic()
            assert is_shut(s, 60) and time.monotonic() - begin > 5
        assert "event=proxy.refused" in pool.log()
        # From anybody else it is a line like another.
        with plain(pool.port, source="127.0.0.2") as s:
            assert pings(s)
            s.sendall(v1("192.0.2.1"))
            assert "Not a Stratum request" in s.recv(4096).decode()
            assert pings(s)
        with connect(pool.port, source="127.0.0.2") as s:
            assert pings(s)
        assert "peer=192.0.2.1 " not in pool.log()
        # A reload changes whom it trusts.
        with plain(pool.port, v2("192.0.2.20")) as before:
            assert pings(before)
            text = devnet(difficulty=f"{fixed()}, tls: pool.pem, proxy_from: [127.0.0.2]",
                          top="threads: {reactors: 2}\nlimits: {connections_an_address: 3}")
            pool.write(text)
            pool.command("reload", "--socket", pool.socket)
            assert pings(before)
            with plain(pool.port) as s:
                assert pings(s)
            with plain(pool.port, v2("192.0.2.21"), source="127.0.0.2") as s:
                assert pings(s)
            pool.write(text.replace("127.0.0.2", "127.0.0.2/40"))
            r = pool.command("reload", "--socket", pool.socket, check=False)
            assert r.returncode == 1 and "'127.0.0.2/40' is no address and no prefix" in r.stderr, r
            assert pings(before)
        assert pool.stop() == 0


def test_an_upgrade_keeps_the_miners_address():
    with UpPool(devnet(difficulty=f"{fixed()}, proxy_from: [127.0.0.1]")) as pool:
        pool.start()
        good, bad = (plain(pool.port, v2(f"192.0.2.{i}")) for i in (30, 31))
        for s in (good, bad):
            assert pings(s)
        pool.upgraded()
        for s in (good, bad):
            assert pings(s)
        pool.command("ban", "add", "ip", "192.0.2.31", "--for", "1h", "--reason", "spam", "--socket", pool.socket)
        bad.settimeout(60)
        while bad.recv(4096):  # told, then closed
            pass
        assert pings(good)
        assert pool.stop() == 0


# --- haproxy ---

class Haproxy:
    """deploy/haproxy.cfg with the ports of these pools."""

    def __init__(self, folder, pools):
        if not shutil.which("haproxy"):
            raise Skip("no haproxy")
        self.port = free_port()
        with open(os.path.join(ROOT, "deploy", "haproxy.cfg"), encoding="utf-8") as f:
            text = f.read()
        text, n = re.subn(r"bind :3333", f"bind 127.0.0.1:{self.port}", text)
        for i, pool in enumerate(pools):
            text, m = re.subn(rf"192\.0\.2\.1{i + 1}:3333", f"127.0.0.1:{pool.port}", text)
            n += m
        text, m = re.subn(r"maxconn 100000", "maxconn 200", text)
        assert n + m == 4, "deploy/haproxy.cfg is another one"
        self.config, self.out = os.path.join(folder, "haproxy.cfg"), os.path.join(folder, "haproxy.txt")
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(text)

    def __enter__(self):
        with open(self.out, "wb") as out:
            self.process = subprocess.Popen(["haproxy", "-db", "-f", self.config], stdout=out, stderr=subprocess.STDOUT)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def said(self):
        with open(self.out, encoding="utf-8", errors="replace") as f:
            return f.read()


def where(s, pools):
    """The pool whose certificate this connection has."""
    own = s.getpeercert(binary_form=True)
    for pool in pools:
        with open(pool.cert, encoding="ascii") as f:
            if ssl.PEM_cert_to_DER_cert(f.read()) == own:
                return pool
    raise AssertionError("nobody's certificate")


def reach(proxy, source):
    try:
        s = connect(proxy.port, source=source, timeout=5)
        if pings(s):
            return s
        s.close()
    except OSError:
        pass
    return None


def test_haproxy_before_two_servers():
    one, two = pool_behind(), pool_behind()
    with one, two:
        for pool in (one, two):
            pool.start()
        with Haproxy(one.folder, (one, two)) as proxy:
            def both_up():
                return all('"serving"' in ask_health(p) for p in (one, two)) and reach(proxy, "127.0.5.1")
            wait_for(both_up, 15, about="both servers").close()
            # TLS passes through, to each of them, and the miner's address with it.
            held = [reach(proxy, f"127.0.5.{10 + i}") for i in range(4)]
            on = [where(s, (one, two)) for s in held]
            assert on.count(one) == on.count(two) == 2, on
            with socket.create_connection(("127.0.0.1", proxy.port), timeout=5, source_address=("127.0.5.20", 0)) as s:
                assert pings(s)
            wait_for(lambda: "peer=127.0.5.20 " in one.log() + two.log(), 5, about="the miner's address")
            # A server that hangs: its miners are cut off and find the other one.
            victim = held[on.index(one)]
            one.process.send_signal(signal.SIGSTOP)
            begin = time.monotonic()
            try:
                assert is_shut(victim, 90), "a hung server keeps its miners"
                cut = time.monotonic() - begin
                wait_for(lambda: reach(proxy, "127.0.5.30"), 10, about="the other server")
                for _ in range(3):
                    s = wait_for(lambda: reach(proxy, "127.0.5.31"), 10, about="the other server again")
                    assert where(s, (one, two)) is two
                    s.close()
            finally:
                one.process.send_signal(signal.SIGCONT)
            assert pings(held[on.index(two)]), "the miners of the server that is well were touched"
            print(f"    (a server that hangs is left after {cut:.1f} s)")
            # It is well again, and the other one drains.
            wait_for(lambda: "Server pool/one is UP" in proxy.said(), 15, about="the first server's return")
            assert two.stop() == 0
            s = wait_for(lambda: reach(proxy, "127.0.5.40"), 15, about="a server while the other one has ended")
            assert where(s, (one, two)) is one
            s.close()
        assert one.stop() == 0


def ask_health(pool):
    with plain(pool.port, v2("127.0.0.1", 0x20)) as s:
        try:
            answer = ask(s, json.dumps({"id": 1, "method": "health", "params": []}))
        except (OSError, ConnectionError):
            return ""
        return answer
