"""Limits of clients as operators set them: who is turned away is told, who was there before notices nothing."""
import contextlib
import json
import os
import resource
import socket
import subprocess
import time

from devnet import Miner, Raw, alone, devnet, healthy
from pool import PROGRAM, Pool, address, wait_for
from skip import Skip
from stratum import Client, StratumError

ROOMY = "new_connections_a_second: 1000000, new_connections_burst: 1000000"


def connect(port, source=None, timeout=10):
    return socket.create_connection(("127.0.0.1", port), timeout=timeout, source_address=(source, 0) if source else None)


def said(sock):
    """What one hears that says nothing itself, until the end of the connection; None: it stays open."""
    text = b""
    sock.settimeout(30)
    try:
        while True:
            got = sock.recv(4096)
            if not got:
                break
            text += got
    except TimeoutError:
        return None
    except ConnectionError:
        pass
    return [json.loads(line) for line in text.splitlines()]


def counter(pool, name, **labels):
    want = [f'{k}="{v}"' for k, v in labels.items()]
    for line in pool.get("/metrics").splitlines():
        if line.startswith(name + "{") or line.startswith(name + " "):
            if all(w in line for w in want):
                return float(line.rsplit(" ", 1)[1])
    return 0.0


def test_who_is_turned_away_is_told_and_counted():
    with Pool(devnet(top=f"limits: {{connections_an_address: 3, {ROOMY}}}")) as pool:
        pool.start()
        alone(pool)
        here = [connect(pool.port) for _ in range(3)]
        with connect(pool.port) as s:
            lines = said(s)
        assert lines and lines[0]["error"][1] == lines[1]["params"][0], lines
        assert lines[1]["method"] == "client.show_message" and "too many connections" in lines[1]["params"][0], lines
        assert counter(pool, "otd_connections_refused_total", reason="address") == 1
        attention = " ".join(pool.status()["attention"])
        assert "limits.connections_an_address" in attention and "127.0.0.1" in attention, attention
        for s in here:
            s.close()
        assert pool.stop() == 0


def test_denied_ones_are_not_let_in_and_allowed_ones_have_no_limit():
    with Pool(devnet(top="limits: {connections_an_address: 2, deny: ['127.0.0.0/24'], "
                         "allow: ['127.0.0.1', 'file:friends.txt']}")) as pool:
        with open(os.path.join(pool.folder, "friends.txt"), "w", encoding="utf-8") as f:
            f.write("# friends\n127.0.0.64/26\n")
        pool.start()
        for host, n in (("127.0.0.1", 6), ("127.0.0.99", 6), ("127.0.0.2", 0), ("127.0.1.2", 2)):
            socks = [connect(pool.port, host) for _ in range(6)]
            for i, s in enumerate(socks):
                if i < n:
                    s.sendall(b'{"id": 1, "method": "mining.ping", "params": []}\n')
            stay = 0
            for s in socks:
                try:
                    stay += b"pong" in s.recv(4096)
                except OSError:
                    pass
                s.close()
            assert stay == n, (host, stay)
        assert counter(pool, "otd_connections_refused_total", reason="denied") == 6
        assert counter(pool, "otd_listed_networks", list="allow") == 2
        assert not [a for a in pool.status()["attention"] if "deny" in a]
        # What a list must not have: both lines are named.
        pool.write(pool.text.replace("deny: ['127.0.0.0/24']", "deny: ['127.0.0.1', '127.0.0.0/24']"))
        r = pool.command("config", "check", "-c", pool.config, check=False)
        assert r.returncode == 1 and "127.0.0.1 stands in the list allow already" in r.stdout + r.stderr, r.stdout + r.stderr
        assert pool.stop() == 0


def test_a_hundred_thousand_networks():
    with Pool(devnet(top="limits: {deny: ['file:deny.txt']}")) as pool:
        with open(os.path.join(pool.folder, "deny.txt"), "w", encoding="utf-8") as f:
            f.writelines(f"{10 + i // 65536}.{i // 256 % 256}.{i % 256}.0/24\n" for i in range(100000))
            f.write("127.0.0.9\n")
        pool.start()
        assert counter(pool, "otd_listed_networks", list="deny") == 100001
        with connect(pool.port, "127.0.0.9") as s:
            assert said(s) == []
        with Raw(pool.port) as r:
            r.send(1, "mining.ping")
            assert r.line()["result"] == "pong"
        assert pool.command("reload", "--socket", pool.socket).returncode == 0
        assert pool.stop() == 0


FILES = 400


def few_files():
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))


class FewFiles(Pool):
    """A pool that may have few open files."""

    def start(self):
        self.out = open(os.path.join(self.folder, "out.txt"), "ab")
        self.process = subprocess.Popen([PROGRAM, "serve", "-c", self.config], stdout=self.out,
                                        stderr=subprocess.STDOUT, cwd=self.folder, preexec_fn=few_files,
                                        env=dict(os.environ, XDG_RUNTIME_DIR=self.folder))
        wait_for(self.is_serving, 30, about="the pool's first accepted connection")
        return self


def test_a_full_file_table_turns_away_newcomers_and_nobody_else():
    with FewFiles(devnet(bits="1f00ffff", top=f"limits: {{{ROOMY}}}")) as pool:
        pool.start()
        miners = [Miner(pool.port, f"{address(60 + i)}.old", ahead=2, pause=0.05) for i in range(3)]
        idle = [Client(pool.port) for _ in range(20)]
        for i, c in enumerate(idle):
            c.login(f"{address(70 + i)}.idle")
        flood = []
        for _ in range(600):
            s = connect(pool.port)
            s.setblocking(False)
            flood.append(s)
        heard = {}

        def words():
            """How many have been told that it is full."""
            for s in flood:
                if s not in heard:
                    with contextlib.suppress(BlockingIOError):
                        try:
                            heard[s] = s.recv(4096)
                        except ConnectionError:
                            heard[s] = b""
            return sum(b"the pool is full" in text for text in heard.values())
        wait_for(lambda: words() >= 200, about="the words to newcomers")
        time.sleep(1)
        told, silent = words(), sum(not text for text in heard.values())
        stay = len(flood) - told - silent
        held = len(os.listdir(f"/proc/{pool.process.pid}/fd"))
        assert told >= 200, f"{told} of {len(flood)} were told that it is full, {stay} stay, {silent} heard nothing"
        assert held < FILES - 60, f"{held} of {FILES} descriptors are in use: nothing is left for what the pool opens itself"
        # Everything else goes on: shares, blocks in their files, the database, the control socket, HTTP.
        before = [m.acknowledged for m in miners]
        blocks = len(pool.status()["blocks"])
        wait_for(lambda: all(m.acknowledged > b + 5 for m, b in zip(miners, before)), 20, about="shares of old miners")
        wait_for(lambda: healthy(pool), about="its health")
        wait_for(lambda: len(pool.status()["blocks"]) > blocks, 60, about="a block while the pool is full")
        assert any("open files" in a for a in pool.status()["attention"]), pool.status()["attention"]
        assert not any(c.closed.is_set() for c in idle), "an old client was dropped"
        assert counter(pool, "otd_connections_refused_total", reason="total") >= told
        for s in flood:
            s.close()
        wait_for(lambda: can_enter(pool), 10, about="room for a newcomer")
        for m in miners:
            m.stop()
            assert all(t.startswith("21") for t in m.refused), m.refused[:3]  # blocks come
            assert not m.unanswered, m.unanswered
        for c in idle:
            c.close()
        assert "accept.failed" not in pool.log()
        assert pool.stop() == 0


def can_enter(pool):
    try:
        with Client(pool.port) as c:
            c.login(f"{address(99)}.new")
            return True
    except (OSError, StratumError):
        return False


def own_address():
    """An address of this machine that is not loopback, whose bans are refused; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.77", 9))
            host = s.getsockname()[0]
        except OSError:
            host = ""
    if not host or host.startswith("127."):
        raise Skip("this machine has loopback addresses only")
    return host


def spoil(pool, host, user):
    """All that this one sends is refused; what it is told until it is closed."""
    with Client(pool.port, host=host) as c:
        c.login(user)
        try:
            for i in range(60):
                c.send("mining.submit", [c.user, c.job.id, "00", c.job.ntime, f"{i:08x}"])
                if c.closed.wait(0.002):
                    break
        except OSError:
            pass
        assert c.closed.wait(60), f"{user} stays"
        return [n["params"][0] for n in c.notices if n["method"] == "client.show_message"]


def test_an_address_is_banned_for_most_of_its_workers_and_a_farm_is_not():
    host = own_address()
    with Pool(devnet(top="limits: {invalid: {shares: 20}}").replace("listen: 127.0.0.1,", "listen: '*',")) as pool:
        pool.start()
        farm = [Client(pool.port, host=host) for _ in range(5)]
        for i, c in enumerate(farm):
            c.login(f"{address(200)}.good{i}")
            assert c.submit(c.mine()) is True
        for i in range(5):
            told = spoil(pool, host, f"{address(200)}.bad{i}")
            assert "let in again in 600 s" in told[-1], told
        assert "in force" not in pool.command("ban", "list", "--socket", pool.socket).stdout.replace("0 in force", "")
        assert all(c.submit(c.mine()) is True for c in farm), "a good worker suffers for a bad one"
        for c in farm:
            c.close()
        wait_for(lambda: counter(pool, "otd_sessions") == 0, 5, about="the end of the farm")
        spoil(pool, host, f"{address(200)}.bad9")
        wait_for(lambda: host in pool.command("ban", "list", "--socket", pool.socket).stdout, 5, about="a ban of the address")
        with socket.create_connection((host, pool.port), timeout=60) as s:
            assert "banned" in said(s)[0]["error"][1]
        with Client(pool.port) as c:
            c.login(f"{address(200)}.elsewhere")
        assert counter(pool, "otd_workers_over_budget_total", did="kept_out") == 5
        assert counter(pool, "otd_workers_over_budget_total", did="address_banned") == 1
        assert pool.stop() == 0
