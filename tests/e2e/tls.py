"""The client's side of TLS, and a tunnel by which a plain miner speaks it."""
import select
import socket
import ssl
import threading


def context(version=None, ciphers=None, authority=None):
    """A client that checks nothing but what authority signed, where that is given."""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    if authority:
        c.verify_mode = ssl.CERT_REQUIRED
        c.load_verify_locations(authority)
    if ciphers:
        c.set_ciphers(ciphers)
    if version:
        c.minimum_version = c.maximum_version = version
    return c


def connect(port, ctx=None, session=None, source=None, first=b"", timeout=10):
    """A TLS connection after its handshake. first: bytes in front of it."""
    s = socket.create_connection(("127.0.0.1", port), timeout=timeout, source_address=(source, 0) if source else None)
    s.settimeout(60)  # of the handshake and each answer
    try:
        if first:
            s.sendall(first)
        return (ctx or context()).wrap_socket(s, server_hostname="pool.example", session=session)
    except (OSError, ssl.SSLError):
        s.close()
        raise


def ask(s, line):
    """One line there, one line back."""
    s.sendall(line.encode() + b"\n")
    got = b""
    while not got.endswith(b"\n"):
        more = s.recv(4096)
        if not more:
            raise ConnectionError(f"the server closed the connection after {got!r}")
        got += more
    return got.decode()


PING = '{"id":7,"method":"mining.ping","params":[]}'


def pings(s):
    return "pong" in ask(s, PING)


class Tunnel:
    """Takes plain connections on a port of its own; each goes on over TLS, behind first."""

    def __init__(self, to, ctx=None, first=b""):
        self.to, self.ctx, self.first = to, ctx or context(), first
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    def _serve(self, plain):
        try:
            wire = connect(self.to, self.ctx, first=self.first)
        except (OSError, ssl.SSLError):
            plain.close()
            return
        try:
            while True:
                ready = [wire] if wire.pending() else select.select([plain, wire], [], [])[0]
                for s in ready:
                    wire.setblocking(s is plain)  # a record may hold nothing for us: a ticket
                    try:
                        got = s.recv(16384)
                    except ssl.SSLWantReadError:
                        continue
                    if not got:
                        return
                    (wire if s is plain else plain).sendall(got)
        except (OSError, ValueError, ssl.SSLError):
            pass
        finally:
            plain.close()
            wire.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
