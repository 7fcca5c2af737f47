"""otedama upgrade on ports with TLS and behind proxies: who speaks TLS comes again by ticket and loses nothing, who has not
said yet what it speaks stays."""
import os
import select
import socket
import ssl
import threading
import time

import certificates
from devnet import Miner, devnet, fixed
from pool import address, patient, wait_for
from stratum import Client, StratumError
from test_faults import every_share_is_there
from test_upgrade_back import Taken, taken_back
from tls import connect, context, pings
from upgrade import UpPool


def up_pool(more, top="threads: {reactors: 2}"):
    pool = UpPool(devnet(difficulty=f"{fixed()}, {more}", top=top))
    certificates.one_file(os.path.join(pool.folder, "pool.pem"), *certificates.make(pool.folder))
    return pool


class Wire:
    """TLS for one miner: a plain port of its own, each connection of which goes on over TLS, with the ticket of the one
    before. .handshakes: whether each was resumed."""

    def __init__(self, to, version):
        self.to, self.ctx, self.session, self.handshakes = to, context(version), None, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            self._serve(plain)

    def _serve(self, plain):
        try:
            # The kernel takes it while nobody listens; the handshake waits for the new process.
            wire = connect(self.to, self.ctx, session=self.session, timeout=patient(30))
        except (OSError, ssl.SSLError):
            plain.close()
            return
        self.handshakes.append(wire.session_reused)
        sends = True
        try:
            while True:
                ready = [wire] if wire.pending() else select.select([plain, wire], [], [])[0]
                for s in ready:
                    wire.setblocking(s is plain)
                    try:
                        got = s.recv(16384)
                    except ssl.SSLWantReadError:
                        continue
                    self.session = wire.session or self.session
                    if not got:
                        return
                    if s is wire:
                        plain.sendall(got)
                    elif sends:
                        try:
                            wire.sendall(got)
                        except OSError:
                            sends = False  # what the pool said last is still to be read
        except (OSError, ValueError):
            pass
        finally:
            wire.close()
            # Whatever came is read before the end is.
            try:
                plain.shutdown(socket.SHUT_WR)
                plain.settimeout(patient(10))
                while plain.recv(16384):
                    pass
            except OSError:
                pass
            plain.close()

    def close(self):
        self.listener.close()


class TlsMiner(threading.Thread):
    """Mines, and connects again when it is told to: at once, with its session. .told: seconds from each word to
    reconnect until it had a new job."""

    def __init__(self, pool, user, version, ahead):
        super().__init__(daemon=True)
        self.wire, self.user, self.ahead = Wire(pool.port, version), user, ahead
        self.acknowledged = self.unanswered = self.without_a_word = 0
        self.refused, self.en1, self.back = [], [], []
        self.trouble = None
        self.ending = threading.Event()
        self.client = self.login()
        self.start()

    def login(self, session=None):
        c = Client(self.wire.port, timeout=60)
        if session:  # with the same extranonce1: what it has tried already would be a duplicate
            c.en2_next = self.client.en2_next
        r = c.call("mining.subscribe", "tls/1", *([session] if session else []))
        c.en1, c.en2_len = bytes.fromhex(r[1]), r[2]
        self.en1.append(c.en1)
        self.session = r[0][-1][1]
        c.user = self.user
        assert c.call("mining.authorize", self.user, "x") is True
        c.wait_job()
        return c

    def run(self):
        try:
            while not self.ending.is_set():
                self.mine(self.client)
                if self.ending.is_set():
                    return
                told = [m for m in self.client.notices if m["method"] == "client.reconnect"]
                self.without_a_word += not told
                since = time.monotonic()
                self.client.close()
                self.client = self.login(self.session)
                self.back.append(time.monotonic() - since)
        except (OSError, AssertionError, StratumError) as e:
            self.trouble = repr(e)
        finally:
            self.client.close()
            self.wire.close()

    def mine(self, c):
        """Until the end of the connection, or of all. What was sent and has no answer then was not read."""
        waiting = []
        try:
            while not self.ending.is_set() and not c.closed.is_set():
                waiting.append(c.submit_async(c.mine()))
                if len(waiting) >= self.ahead:
                    self.take(c, waiting.pop(0))
                time.sleep(0.002)
        except OSError:
            self.unanswered += 1  # the one in hand: it may have left
        for q in waiting:
            try:
                self.take(c, q)
            except OSError:
                pass

    def take(self, c, q):
        try:
            assert c.wait(q) is True
            self.acknowledged += 1
        except StratumError as e:
            self.refused.append(str(e))
        except OSError:
            self.unanswered += 1
            raise

    def stop(self):
        self.ending.set()
        self.join(patient(120))
        assert not self.is_alive(), "a miner did not end"
        assert not self.trouble, f"{self.user}: {self.trouble}"


def metric(pool, name):
    return sum(float(x.rsplit(" ", 1)[1]) for x in pool.get("/metrics", pool.metrics).splitlines()
               if x.startswith(name) and not x.startswith("#"))


def test_ten_tls_miners_over_five_upgrades():
    """All back by ticket and with their session, told so, no share refused for it, and the ledger says what they were told."""
    upgrades = 5
    with up_pool("tls: pool.pem", top="limits: {handshake: 10m}\nthreads: {reactors: 1}") as pool:
        pool.start()
        plain = [Miner(pool.port, f"{address(40 + i)}.plain", pause=0.005) for i in range(2)]
        versions = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
        miners = [TlsMiner(pool, f"{address(20 + i)}.tls", versions[i % 2], (1, 2, 4, 8)[i % 4]) for i in range(10)]
        for turn in range(upgrades):
            n = [m.acknowledged for m in miners]
            wait_for(lambda: all(m.acknowledged > before + 5 for m, before in zip(miners, n)), 30, about="shares of all")
            pool.upgraded()
            wait_for(lambda: all(len(m.back) == turn + 1 or m.trouble for m in miners), 30, about="all of them back")
            assert not [m.trouble for m in miners if m.trouble], [m.trouble for m in miners]
            assert metric(pool, "otd_tls_handshakes_total") == 10, pool.get("/metrics", pool.metrics)
        n = [m.acknowledged for m in miners]
        wait_for(lambda: all(m.acknowledged > before + 5 for m, before in zip(miners, n)), 30, about="shares of all")
        for m in miners + plain:
            m.stop()
        for m in miners:
            assert m.wire.handshakes == [False] + [True] * upgrades, (m.user, m.wire.handshakes)
            assert not m.without_a_word, f"{m.user} was cut off {m.without_a_word} times without a word"
            assert not m.refused, (m.user, m.refused[:3])
            assert len(set(m.en1)) == 1, f"{m.user} got another extranonce1: {[x.hex() for x in m.en1]}"
        for m in plain:
            assert not m.refused and not m.unanswered
        back = sorted(x for m in miners for x in m.back)
        print(f"    {len(back)} times back by ticket, with work: median {1000 * back[len(back) // 2]:.0f} ms, longest "
              f"{1000 * back[-1]:.0f} ms after they were told")
        assert pool.stop() == 0
        assert every_share_is_there(pool, miners + plain) > 300  # five of each of ten in six turns, at least
        # What was not answered was not read: the ledger has what was acknowledged, and not one more.
        exactly(pool, miners + plain)


def exactly(pool, miners):
    from devnet import Database
    with Database(pool) as db:
        accepted = db.accepted()
        for m in miners:
            assert accepted[m.user] == m.acknowledged, (m.user, accepted[m.user], m.acknowledged, m.unanswered)


def accepted(port, sockets):
    """Whether the pool has taken all of them out of its listener's queue: there they have no inode (proc(5), net/tcp)."""
    taken = set()
    with open("/proc/net/tcp", encoding="ascii") as f:
        for row in f.read().splitlines()[1:]:
            _, own, peer, _, _, _, _, _, _, inode = row.split()[:10]
            if int(own.split(":")[1], 16) == port and inode != "0":
                taken.add(int(peer.split(":")[1], 16))
    return all(s.getsockname()[1] in taken for s in sockets)


def lines(s):
    """Asks by this connection, plain or TLS: whether the pool answers."""
    return pings(s)


def test_who_has_said_nothing_stays():
    """On a port with TLS, and behind a proxy: with half a header, with all of it, with nothing."""
    with up_pool("tls: pool.pem, proxy_from: [127.0.0.2]", top="limits: {handshake: 10m}\nthreads: {reactors: 2}") as pool, \
            Taken() as taken:
        pool.start()

        def dial(source, first=b""):
            s = socket.create_connection(("127.0.0.1", pool.port), timeout=patient(30), source_address=(source, 0))
            if first:
                s.sendall(first)
            return s
        head = b"PROXY TCP4 192.0.2.%d 127.0.0.1 56324 3333\r\n"
        quiet_tls, quiet_plain = dial("127.0.0.1"), dial("127.0.0.1")
        none, half, whole, whole_plain = (dial("127.0.0.2", x) for x in (b"", (head % 7)[:17], head % 8, head % 9))
        all_six = (quiet_tls, quiet_plain, none, half, whole, whole_plain)
        wait_for(lambda: accepted(pool.port, all_six), 20, about="six connections at its doors")
        # One in the listener's queue would be taken by whoever comes; these were with the old process.
        pool.upgraded()
        good = pool.text
        pool.write(taken.into(good))
        taken_back(pool)
        pool.write(good)
        pool.upgraded()
        # The answer came from the old process; this is the new one's word.
        wait_for(lambda: len(pool.said("upgrade.taken_over")) == 3, 20, about="the word of the third process")
        ways = [int(x["at_doors"]) for x in pool.said("upgrade.taken_over")]
        assert ways == [6, 6, 6], ways
        ctx = context()
        with ctx.wrap_socket(quiet_tls, server_hostname="pool.example") as s:
            assert lines(s)
        assert lines(quiet_plain)
        none.sendall(head % 6)
        assert lines(none)
        half.sendall((head % 7)[17:])
        assert lines(half)
        with ctx.wrap_socket(whole, server_hostname="pool.example") as s:
            assert lines(s)
        assert lines(whole_plain)
        for s in (quiet_plain, none, half, whole_plain):
            s.close()
        # Who they are was told to the process before, or in halves: it is known here, and said when they have gone.
        for n in (6, 7, 8, 9):
            wait_for(lambda: f"192.0.2.{n}" in pool.log(), 10, about=f"192.0.2.{n} in the log")
        assert pool.stop() == 0
