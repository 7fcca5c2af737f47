"""What stands around a planted configuration: folders, ports, real nodes, and nodes that lie a little.

NEEDS[words](plant) is a context manager that gives an Around.
"""
import contextlib
import functools
import http.client
import http.server
import json
import os
import resource
import shutil
import socket
import sqlite3
import ssl
import subprocess
import threading
import time

import certificates
from litecoin import Peer
from node import real_node
from pool import BUILD, free_port
from skip import Skip

NOBODY = 65534


class Around:
    """values: for the places in the file; flags, kw: of the call."""

    def __init__(self, values=None, flags=(), **kw):
        self.values, self.flags, self.kw = values or {}, flags, kw


def as_nobody(path):
    """The call runs as another user, who can read the file."""
    if os.geteuid() != 0:
        raise Skip("only root can look as another user")
    os.chown(path, NOBODY, -1)
    os.chown(os.path.dirname(path), NOBODY, -1)
    return {"user": NOBODY, "group": NOBODY, "extra_groups": [], "cwd": "/"}


# --- plugins ---

@contextlib.contextmanager
def plugins(plant, change):
    folder = os.path.join(plant.folder, "plugins")
    shutil.copytree(os.path.join(BUILD, "plugins"), folder)
    change(os.path.join(folder, "payout", "pplns.so"))
    yield Around({"plugins": folder}, ("--offline",))


# --- folders and files ---

@contextlib.contextmanager
def machine(plant):
    yield Around()


@contextlib.contextmanager
def data_of_root(plant):
    os.makedirs(plant.values["dir"], 0o750)
    yield Around(**as_nobody(plant.path))


@contextlib.contextmanager
def root_was_here(plant):
    folder = plant.values["dir"]
    os.makedirs(folder, 0o755)
    with open(os.path.join(folder, "otedama.db"), "wb") as f:
        os.fchmod(f.fileno(), 0o644)
    kw = as_nobody(plant.path)
    os.chown(folder, NOBODY, -1)
    yield Around(**kw)


@contextlib.contextmanager
def data_of_nobody(plant):
    if os.geteuid() != 0:
        raise Skip("only root sees the folder of another user")
    os.makedirs(plant.values["dir"], 0o755)
    os.chown(plant.values["dir"], NOBODY, -1)
    yield Around()


@contextlib.contextmanager
def file_for_folder(plant):
    with open(plant.values["dir"], "w", encoding="utf-8"):
        pass
    yield Around()


@contextlib.contextmanager
def small_disk(plant):
    """64 journals of 1 GiB: more than any disk for shared memory here has left."""
    v = os.statvfs("/dev/shm")
    if v.f_bavail * v.f_frsize > 64 << 30:
        raise Skip("/dev/shm has more than 64 GiB")
    yield Around({"shm": "/dev/shm/otedama-config-check"})


@contextlib.contextmanager
def few_files(plant):
    yield Around(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1000, 1000)))


def tree(folder):
    r = {}
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as f:
            r[name] = f.read()
    return r


@contextlib.contextmanager
def database(plant, version=None, text=None):
    """Looking changes not a byte, and leaves no file."""
    folder = plant.values["dir"]
    os.makedirs(folder)
    path = os.path.join(folder, "otedama.db")
    if version:
        db = sqlite3.connect(path)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE meta(k TEXT NOT NULL PRIMARY KEY, v TEXT NOT NULL)")
        db.execute("INSERT INTO meta VALUES('schema', ?)", (str(version),))
        db.commit()
        # as after a crash: what was committed is in the log, the database file knows nothing of it
        shutil.copytree(folder, folder + "-crashed")
        db.close()
        shutil.rmtree(folder)
        os.rename(folder + "-crashed", folder)
        os.unlink(path + "-shm")
        assert os.path.getsize(path + "-wal") > 0
    else:
        with open(path, "w", encoding="utf-8") as f:
            f.write(text * 2000)
    before = tree(folder)
    yield Around()
    assert tree(folder) == before, "config check changed the data folder"


# --- ports ---

@contextlib.contextmanager
def taken_port(plant):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        yield Around({"taken": s.getsockname()[1]})


@contextlib.contextmanager
def closed_port(plant):
    yield Around({"rpc": f"http://127.0.0.1:{free_port()}", "address": SOME})


SOME = "bcrt1q3jzz8hqjs2nxnaweuge6lsxjca3kwr0kdkgd3d"


class Server:
    """An HTTP server on loopback; answer(handler, body) writes the answer."""

    def __init__(self, answer, tls=None):
        server = self
        self.answer, self.ending = answer, threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                try:
                    server.answer(self, body)
                except OSError:
                    pass  # who asked has gone
                self.close_connection = True

            def log_message(self, *_):
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self.server = Quiet(("127.0.0.1", 0), Handler)
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.server.shutdown()
        self.server.server_close()


def say(handler, status, text, kind="application/json"):
    data = text.encode()
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(data)))
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.wfile.write(data)


@contextlib.contextmanager
def saying(plant, status, text):
    with Server(lambda h, _: say(h, status, text, "text/html")) as s:
        yield Around({"rpc": s.url, "address": SOME})


@contextlib.contextmanager
def tls_server(plant):
    cert, key = (os.path.join(plant.folder, x) for x in ("cert.pem", "key.pem"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert,
                    "-days", "2", "-subj", "/CN=127.0.0.1"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with Server(lambda h, _: say(h, 200, "{}"), context) as s:
        yield Around({"rpc": s.url, "address": SOME})


@contextlib.contextmanager
def p2p_port(plant):
    """A server that takes the connection, understands nothing, and closes it, as a P2P port does."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        s.settimeout(0.1)
        ending = threading.Event()

        def run():
            while not ending.is_set():
                try:
                    c, _ = s.accept()
                except OSError:
                    continue
                c.settimeout(5)
                with contextlib.suppress(OSError):
                    c.recv(1 << 16)
                c.close()
        t = threading.Thread(target=run, daemon=True)
        t.start()
        yield Around({"rpc": f"http://127.0.0.1:{s.getsockname()[1]}", "address": SOME})
        ending.set()
        t.join()


# --- nodes ---

_node = []


def knots():
    """One for all of them, with a wallet."""
    if not _node:
        _node.append(real_node())
        if _node[0].name != "bitcoin-knots":
            raise Skip("bitcoin-knots is not there")
    return _node[0]


def finish():
    while _node:
        _node.pop().__exit__()


def let_go():
    """A held long poll keeps a thread of the node until its next block."""
    if _node:
        _node[0].rpc("generatetoaddress", 1, _node[0].address)


@contextlib.contextmanager
def real(plant, **values):
    n = knots()
    try:
        yield Around({"rpc": n.url, "https": n.url.replace("http:", "https:"), "address": n.address, **values})
    finally:
        let_go()


class Liar(Server):
    """Between check and a real node: twist(method, params, reply) changes a reply, or says None: no answer at all.

    A status ends the call before the node sees it."""

    def __init__(self, node, twist, status=None):
        super().__init__(self.pass_on)
        self.node, self.twist, self.status = node, twist, status

    def one(self, call, headers):
        if call["method"] == "getblocktemplate" and "longpollid" in call["params"][0]:
            early = self.twist("longpoll", call["params"], {"result": None, "error": None, "id": call["id"]})
            if early != {"result": None, "error": None, "id": call["id"]}:
                return early
        c = http.client.HTTPConnection("127.0.0.1", self.node.port, timeout=60)
        c.request("POST", "/", json.dumps(call), headers)
        reply = json.loads(c.getresponse().read())
        c.close()
        return self.twist(call["method"], call["params"], reply)

    def pass_on(self, handler, body):
        if self.status:
            say(handler, self.status, "")
            return
        headers = {k: v for k, v in handler.headers.items() if k.lower() == "authorization"}
        calls = json.loads(body)
        replies = [self.one(c, headers) for c in (calls if isinstance(calls, list) else [calls])]
        if None in replies:
            while not self.ending.is_set():
                time.sleep(0.05)
            return
        say(handler, 200, json.dumps(replies if isinstance(calls, list) else replies[0]))


@contextlib.contextmanager
def lying(plant, twist, status=None):
    n = knots()
    with Liar(n, twist, status) as s:
        try:
            yield Around({"rpc": s.url, "address": n.address})
        finally:
            let_go()


def changing(method, **values):
    def twist(m, _, reply):
        if m == method and reply.get("result"):
            reply["result"].update(values)
        return reply
    return twist


def on_main(method, _, reply):
    if method == "getblockchaininfo":
        reply["result"].update(chain="main", initialblockdownload=False)
    if method == "getnetworkinfo":
        reply["result"]["connections"] = 0
    return reply


def starting(_, __, reply):
    return {"result": None, "error": {"code": -28, "message": "Loading block index..."}, "id": reply["id"]}


def waits_for_nothing(method, params, reply):
    if method == "longpoll":
        params[0].pop("longpollid")
    return reply


def never_tells(method, _, reply):
    return None if method == "longpoll" else reply


def without_longpoll(method, _, reply):
    if method == "getblocktemplate" and reply.get("result"):
        reply["result"].pop("longpollid", None)
    return reply


def fails_longpoll(method, _, reply):
    if method == "longpoll":
        return {"result": None, "error": {"code": -1, "message": "out of order"}, "id": reply["id"]}
    return reply


def clock(seconds):
    def twist(method, _, reply):
        if method == "getblocktemplate" and reply.get("result"):
            reply["result"]["curtime"] += seconds
            reply["result"]["mintime"] = min(reply["result"]["mintime"], reply["result"]["curtime"])
        return reply
    return twist


@contextlib.contextmanager
def lonely_litecoind(plant):
    if not shutil.which("litecoind"):
        raise Skip("litecoind is not installed (apt-get install litecoind)")
    with Peer(free_port()) as n:
        n.rpc("createwallet", "w")
        address = n.rpc("getnewaddress", "", "bech32")
        n.rpc("generatetoaddress", 2, address)
        yield Around({"rpc": n.url, "address": address})


@contextlib.contextmanager
def cookie(plant, text, mode=0o600, nobody=False):
    n = knots()
    path = os.path.join(plant.folder, "cookie")
    if text is not None:
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, mode)
    kw = as_nobody(plant.path) if nobody else {}
    try:
        yield Around({"rpc": n.url, "address": n.address, "cookie": path}, **kw)
    finally:
        let_go()


@contextlib.contextmanager
def secret(plant):
    path = os.path.join(plant.folder, "secret")
    with open(path, "w", encoding="utf-8") as f:
        f.write("p\n")
    os.chmod(path, 0o644)
    with real(plant, secret=path) as r:
        yield r


@contextlib.contextmanager
def open_file(plant):
    plant.mode = 0o644
    with real(plant) as r:
        yield r


@contextlib.contextmanager
def locked_wallet(plant):
    """A node of its own: a wallet once encrypted stays so."""
    with real_node(blocks=0) as n:
        n.rpc("createwallet", "w", False, False, "", False)
        address = n.rpc("getnewaddress", "", "bech32")
        n.rpc("generatetoaddress", 1, address)
        n.rpc("encryptwallet", "secret")
        yield Around({"rpc": n.url, "address": address})


@contextlib.contextmanager
def wallets(plant, names):
    with real_node(blocks=0) as n:
        for name in names:
            n.rpc("createwallet", name)
        n.rpc("generatetoaddress", 1, SOME)
        yield Around({"rpc": n.url, "address": SOME})


def of(f, *args, **kw):
    return functools.partial(f, **kw) if not args else lambda plant: f(plant, *args, **kw)


@contextlib.contextmanager
def pem_files(plant):
    """Certificates of all kinds, each with its key in one file, and a pair in two."""
    folder = os.path.join(plant.folder, "certs")
    os.mkdir(folder)
    for name, kw in (("good", {}), ("over", {"begin": -20, "end": -1}), ("tomorrow", {"begin": 1}), ("soon", {"end": 5}),
                     ("open", {"name": "open.example"}), ("locked", {"passphrase": "hidden-word"})):
        pair = certificates.make(folder, **kw)
        path = certificates.one_file(os.path.join(folder, name + ".pem"), *pair)
        if name == "open":
            os.chmod(path, 0o644)
        if name == "good":
            for part, own in zip(pair, ("certificate.pem", "key.pem")):
                os.link(part, os.path.join(folder, own))
    yield Around({"certs": folder}, ("--offline",))


NEEDS = {
    "certificates": pem_files,
    "a plugin that is cut off": of(plugins, lambda path: os.truncate(path, 3000)),
    "a plugin that others may write": of(plugins, lambda path: os.chmod(path, 0o777)),
    "a machine": machine,
    "a data folder of root, seen by nobody": data_of_root,
    "a file of root in a data folder of nobody": root_was_here,
    "a data folder of nobody, seen by root": data_of_nobody,
    "a file in the place of the data folder": file_for_folder,
    "a small disk": small_disk,
    "few open files": few_files,
    "a database of schema 999": of(database, 999),
    "a database of schema 1": of(database, 1),
    "a file that is no database": of(database, None, "no database "),
    "a program on a port": taken_port,
    "a port without a node": closed_port,
    "a web server": of(saying, 200, "<html>It works!</html>"),
    "a TLS server": tls_server,
    "the P2P port of a node": p2p_port,
    "knots": real,
    "a wallet": real,
    "a node that allows others only": of(saying, 403, ""),
    "a node whose work queue is full": of(saying, 503, "Work queue depth exceeded"),
    "a node that syncs": of(lying, changing("getblockchaininfo", initialblockdownload=True, headers=900000)),
    "a node that starts": of(lying, starting),
    "a node on main without peers": of(lying, on_main),
    "litecoind alone": lonely_litecoind,
    "a node that waits for nothing": of(lying, waits_for_nothing),
    "a node that never tells": of(lying, never_tells),
    "a node without long poll": of(lying, without_longpoll),
    "a node that fails long polls": of(lying, fails_longpoll),
    "a node ten minutes ahead": of(lying, clock(630)),
    "a node three hours behind": of(lying, clock(-10830)),
    "no cookie": of(cookie, None),
    "a cookie of root, seen by nobody": of(cookie, "u:p", nobody=True),
    "a cookie without a colon": of(cookie, "no cookie\n"),
    "an old cookie": of(cookie, "__cookie__:old"),
    "a cookie that all may read": of(cookie, "u:p", 0o644),
    "a secret file that all may read": secret,
    "a configuration that all may read": open_file,
    "a locked wallet": locked_wallet,
    "a node without a wallet": of(wallets, ()),
    "two wallets": of(wallets, ("hot", "cold")),
}

ALONE = ("plugin", "a machine", "folder", "disk", "files", "database", "program", "a port", "server", "P2P", "others",
         "queue")


def group_of(need):
    if "plugin" in need or need == "certificates":
        return "nothing"
    return "a machine" if any(w in need for w in ALONE) else "a node"
