"""otedama mine over TLS: a block found, tickets on the way back, and every certificate that is not to be believed."""
import hashlib
import os
import re
import signal
import ssl
import subprocess
import threading

import certificates
from devnet import SOME_BLOCKS, devnet, fixed, verified
from pool import BUILD, PROGRAM, Pool, address, wait_for

ONLY_TLS = "tls: pool.pem, plain: no"


def pool_with(more=ONLY_TLS, bits=SOME_BLOCKS, top="", **kw):
    """A devnet, not started, with pool.pem beside its configuration."""
    pool = Pool(devnet(difficulty=f"{fixed()}, {more}" if more else fixed(), bits=bits, top=top))
    pool.cert, pool.key = certificates.make(pool.folder, **kw)
    certificates.one_file(os.path.join(pool.folder, "pool.pem"), pool.cert, pool.key)
    return pool


def pin(pool):
    with open(pool.cert, encoding="ascii") as f:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(f.read())).hexdigest()


def words(pool, *more, scheme="stratum+ssl"):
    return [PROGRAM, "mine", "-o", f"{scheme}://127.0.0.1:{pool.port}", "-u", f"{address(1)}.rig", "-a", "sha256d", "-t", "1",
            "--plugin-dir", os.path.join(BUILD, "plugins"), *more]


class Mine:
    """`otedama mine` and all that it says."""

    def __init__(self, pool, *more, **kw):
        self.process = subprocess.Popen(words(pool, *more, **kw), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def said(self, text, times=1):
        """The line with this text in it, once there are so many."""
        def lines():
            return [x for x in self.lines if text in x]

        def enough_or_over():
            return len(lines()) >= times or not self.reader.is_alive()
        wait_for(enough_or_over, 20, about=f"{text!r} from the miner")
        assert len(lines()) >= times, (text, self.lines[-12:])
        return lines()[times - 1]

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            self.reader.join(20)
            self.process.stdout.close()
        assert kind or self.process.returncode == 0, self.lines[-12:]


def accepted(pool):
    return pool.status()["pools"][0]["accepted"]


def test_a_block_over_tls():
    with pool_with() as pool:
        pool.start()
        with Mine(pool, "--ca", pool.cert) as m:
            assert re.search(r"connected to 127\.0\.0\.1:\d+ \(TLSv1\.3\)$", m.said("connected to")), m.lines
            blocks = wait_for(lambda: pool.status()["blocks"], 60, about="a block")
            assert all(b["account"] == address(1) for b in blocks)
        assert pool.stop() == 0
        verified(pool)


def test_a_ticket_on_the_way_back():
    with pool_with(bits="1d00ffff") as pool:
        pool.start()
        with Mine(pool, "--ca", pool.cert) as m:
            m.said("connected to")
            wait_for(lambda: accepted(pool), 20, about="a share")
            assert pool.stop() == 0
            m.said("disconnected:")
            pool.start()
            assert m.said("connected to", 2).endswith("(TLSv1.3, resumed)")
            before = accepted(pool)
            wait_for(lambda: accepted(pool) > before, 20, about="a share of the connection that came back")
            page = pool.get("/metrics", pool.metrics)
            assert re.search(r'^otd_tls_handshakes_total\{version="1.3",resumed="yes"\} [1-9]', page, re.M)
        assert pool.stop() == 0


def test_whom_it_believes():
    """The wrong certificate, and none that anybody vouches for; then what the operator has said is right."""
    with pool_with(bits="1d00ffff") as pool:
        pool.start()
        with Mine(pool) as m:
            assert f"--pin {pin(pool)}" in m.said("is self-signed, nobody vouches for it"), m.lines
        with Mine(pool, "--pin", "00" * 32) as m:
            assert pin(pool) in m.said("is not the pinned one"), m.lines
        other, _ = certificates.make(pool.folder, name="other.example")
        with Mine(pool, "--ca", other) as m:
            m.said("self-signed")
        assert accepted(pool) == 0, "work went to a pool that is not believed"
        with Mine(pool, "--pin", "00" * 32, "--pin", pin(pool).upper()) as m:
            assert m.said("connected to").endswith("(TLSv1.3)")
            wait_for(lambda: accepted(pool), 20, about="a share by a pinned certificate")
        before = accepted(pool)
        with Mine(pool, "--insecure", scheme="stratum+tls") as m:
            assert f"its certificate is NOT checked: SHA-256 {pin(pool)}" in m.said("connected to")
            m.said("--insecure: whoever is on the way can be the pool")
            wait_for(lambda: accepted(pool) > before, 20, about="a share without a check")
        assert pool.stop() == 0


def test_names_and_times():
    for kw, why in (({"begin": -3, "end": -1}, "the pool's certificate ended on 20"),
                    ({"ip": "192.0.2.9"}, "is for pool.example, 192.0.2.9, not for 127.0.0.1")):
        with pool_with(bits="1d00ffff", **kw) as pool:
            pool.start()
            with Mine(pool, "--ca", pool.cert) as m:
                m.said(why)
            # A pin is the certificate itself: neither its name nor its time matters.
            with Mine(pool, "--pin", pin(pool)):
                wait_for(lambda: accepted(pool), 20, about="a share")
            pool.stop()


def test_a_port_without_tls():
    with pool_with(more="", top="limits: {handshake: 1s}") as pool:
        pool.start()
        with Mine(pool, "--pin", "00" * 32) as m:
            m.said("TLS port")
        assert pool.stop() == 0


def test_what_makes_no_sense():
    with Pool(devnet()) as pool:  # only its folder and port
        missing = os.path.join(pool.folder, "missing.pem")
        empty = os.path.join(pool.folder, "empty.pem")
        with open(empty, "w", encoding="ascii"):
            pass
        for more, scheme, why in ((["--ca", missing], "stratum+ssl", f"--ca: {missing}: No such file"),
                                  (["--ca", empty], "stratum+ssl", f"{empty}: has no certificate in PEM form"),
                                  (["--ca", pool.folder], "stratum+ssl", "cannot be read: Is a directory"),
                                  (["--pin", "12:34"], "stratum+ssl", "'12:34' is no SHA-256 of a certificate"),
                                  (["--pin", "00" * 32, "--insecure"], "stratum+ssl", "give one of them"),
                                  (["--insecure"], "stratum+tcp", "no -o is one"),
                                  ([], "stratum+udp", "only stratum+tcp:// and stratum+ssl:// are spoken here")):
            r = subprocess.run(words(pool, *more, scheme=scheme), capture_output=True, text=True, timeout=120, check=False)
            assert r.returncode == 1 and why in r.stderr and r.stderr.count("\n") == 1, (more, r)


def test_the_miner_inside_where_a_port_is_tls_only():
    top = f"miner: {{pool: dev, account: {address(1)}, worker: inside, threads: 1}}"
    with pool_with(bits="1d00ffff", top=top) as pool:
        pool.start()
        wait_for(lambda: accepted(pool), 30, about="a share of the miner inside")
        assert pool.stop() == 0
