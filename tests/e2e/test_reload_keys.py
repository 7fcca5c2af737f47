"""Each key that the schema calls reloadable is changed on a running pool, and what that does is seen from outside.

KEYS says who looks at which; a reloadable key that nobody looks at fails test_every_reloadable_key_is_looked_at().
"""
import json
import os
import socket
import sqlite3
import time

import certificates
import tls
from devnet import Miner, gone
from payments import knots
from pool import address, free_port, wait_for
from proxy import Proxy
from reload import BLOCK, SOME_BLOCKS, Live, fixed, pool_of
from skip import Skip
from stratum import Client, StratumError

TINY = "9.313225746154785e-10"  # 2^-30: four hashes
KEYS = {}
# What a script does after a reload is a matter of the scripts' own tests.
ELSEWHERE = {"policies", "pools.*.policies", "pools.*.first_job", "nodes.*.zmq"}  # test_policy, test_zmq


def looks_at(*keys):
    def keep(f):
        for k in keys:
            assert k not in KEYS, k
            KEYS[k] = f
        return f
    return keep


def schema_keys(t):
    found = set()

    def walk(o, path):
        for k, v in o.get("properties", {}).items():
            if v.get("x-reloadable"):
                found.add(".".join([*path, k]))
            walk(v, [*path, k])
            if isinstance(v.get("additionalProperties"), dict):
                walk(v["additionalProperties"], [*path, k, "*"])
    walk(json.loads(t.pool.command("config", "schema").stdout), [])
    return found


def test_every_reloadable_key_is_looked_at():
    with Live(witness=False) as t:
        assert schema_keys(t) == set(KEYS) | ELSEWHERE, schema_keys(t) ^ (set(KEYS) | ELSEWHERE)


def run(group, **named):
    """Everything of this group on one pool; the witness notices nothing."""
    with Live(**named) as t:
        for f in dict.fromkeys(f for f in KEYS.values() if f.group == group):
            before = t.keep()
            f(t)
            t.tree = before
            t.reload()
            assert t.reload() == {}, f.__name__


def grouped(group):
    def keep(f):
        f.group = group
        return f
    return keep


# --- the log, plugins, pools, ports, work ---

@looks_at("log.level")
@grouped("main")
def log_level(t):
    c = t.client()
    c.close()
    assert "level=debug" not in t.pool.log()
    t.tree["log"]["level"] = "debug"
    t.apply("log.level")
    t.client().close()
    wait_for(lambda: "level=debug" in t.pool.log(), 5, about="a line of debug")


def closings(t):
    """Lines in the log of ten connections that end; and the seconds that it took."""
    quiet(t)
    before, began = t.pool.log().count("event=session.closed"), time.monotonic()
    for _ in range(10):
        t.client().close()
    quiet(t)
    time.sleep(0.2)
    return t.pool.log().count("event=session.closed") - before, time.monotonic() - began


@looks_at("log.modules", "log.per_event_a_second")
@grouped("main")
def log_modules(t):
    assert closings(t)[0] == 0
    t.tree["log"]["modules"] = {"stratum": "debug"}
    t.apply("log.modules")
    assert closings(t)[0] == 10
    t.tree["log"]["per_event_a_second"] = 1
    t.apply("log.per_event_a_second")
    n, seconds = closings(t)
    assert 1 <= n <= 2 + seconds, (n, seconds)


@looks_at("plugins.enable")
@grouped("main")
def plugins_enable(t):
    t.tree["plugins"] = {"enable": ["algo/sha256d", "chain/devnet", "payout/pplns", "store/sqlite"]}
    t.reload()
    t.tree["pools"]["b"] = pool_of(free_port(), payout={"scheme": "solo"})
    t.refused("payout/solo")
    t.tree["plugins"]["enable"].append("payout/solo")
    t.apply("plugins.enable", "pools.b")
    del t.tree["pools"]["b"]
    t.reload()


@looks_at("pools", "pools.*.ports")
@grouped("main")
def pools_and_ports(t):
    one, two = free_port(), free_port()
    t.tree["pools"]["c"] = pool_of(one)
    t.dev["ports"][str(two)] = {"listen": "127.0.0.1", "difficulty": fixed()}
    t.apply("pools.c", f"pools.dev.ports.{two}")
    for port in (one, two):
        c = t.client(port=port)
        assert c.submit(c.mine()) is True
        c.close()


@looks_at("pools.*.ports.*.tls", "pools.*.ports.*.plain", "pools.*.ports.*.proxy_from")
@grouped("main")
def tls_and_proxies(t):
    number = t.pool.port
    port, key = t.dev["ports"][str(number)], f"pools.dev.ports.{number}."
    port["tls"] = certificates.one_file(os.path.join(t.pool.folder, "t.pem"), *certificates.make(t.pool.folder))
    t.apply(key + "tls")
    for is_tls in (True, False):
        with tls.connect(number) if is_tls else socket.create_connection(("127.0.0.1", number), timeout=10) as s:
            assert tls.pings(s)
    port["plain"] = False
    t.apply(key + "plain")
    with socket.create_connection(("127.0.0.1", number), timeout=10) as s:
        assert "stratum+ssl://" in tls.ask(s, tls.PING)
    port["proxy_from"] = ["127.0.0.1/32"]
    t.apply(key + "proxy_from")
    with tls.connect(number, first=b"PROXY TCP4 192.0.2.1 192.0.2.2 1 3333\r\n") as s:
        assert tls.pings(s)


@looks_at("pools.*.coinbase.tag")
@grouped("main")
def tag(t):
    c = t.client()
    job = c.job
    assert b"/one/".hex() in job.coinb1 + job.coinb2
    t.dev["coinbase"]["tag"] = "/two/"
    t.apply("pools.dev.coinbase.tag")
    job = c.wait_job(other_than=job.id, timeout=5)
    assert b"/two/".hex() in job.coinb1 + job.coinb2
    c.close()


@looks_at("pools.*.poll")
@grouped("main")
def poll(t):
    requests = lambda: t.nodes()["devnet"]["requests"]  # noqa: E731
    before = requests()
    wait_for(lambda: requests() >= before + 16, about="questions twenty times a second")
    t.dev["poll"] = "1m"
    t.apply("pools.dev.poll")
    before = requests()
    time.sleep(2)
    assert requests() - before <= 4


@looks_at("pools.*.refresh")
@grouped("main")
def refresh(t):
    c = t.client()
    told = lambda: sum(n["method"] == "mining.notify" for n in c.notices)  # noqa: E731
    before = told()
    time.sleep(3.5)
    assert told() <= before + 1
    t.dev["refresh"] = "1s"
    t.apply("pools.dev.refresh")
    before = told()
    wait_for(lambda: told() >= before + 8, about="a job a second, and not two a minute")
    c.close()


@looks_at("pools.*.notify")
@grouped("main")
def notify(t):
    c = t.client()

    told = lambda: sum(n["method"] == "mining.notify" for n in c.notices)  # noqa: E731
    before = told()
    time.sleep(3.5)
    assert told() <= before + 1
    t.dev["notify"] = "1s"
    t.apply("pools.dev.notify")
    before = told()
    wait_for(lambda: told() >= before + 8, about="a word a second, and not two a minute")
    c.close()


# --- difficulty ---

def steps(c, seconds):
    before = len([n for n in c.notices if n["method"] == "mining.set_difficulty"])
    time.sleep(seconds)
    return len([n for n in c.notices if n["method"] == "mining.set_difficulty"]) - before


@looks_at("pools.*.ports.*.difficulty.start", "pools.*.ports.*.difficulty.min", "pools.*.ports.*.difficulty.max",
          "pools.*.ports.*.difficulty.aim", "pools.*.ports.*.difficulty.vardiff")
@grouped("main")
def difficulty(t):
    port = str(free_port())
    d = {"start": "1e-5", "min": "1e-6", "max": "1e-4", "vardiff": False, "aim": "10m"}
    t.dev["ports"][port] = {"listen": "127.0.0.1", "difficulty": d}
    t.reload()
    key = f"pools.dev.ports.{port}.difficulty."
    near = lambda a, b: abs(a / b - 1) < 0.01  # noqa: E731

    def suggest(value):
        c = t.client(port=int(port))
        c.call("mining.suggest_difficulty", value)
        wait_for(lambda: not near(c.difficulty, float(d["start"])), 5, about="a suggested difficulty")
        c.close()
        return c.difficulty

    with t.client(port=int(port)) as c:
        assert near(c.difficulty, 1e-5), c.difficulty
    assert near(suggest(1e-9), 1e-6) and near(suggest(1), 1e-4)
    d["start"] = "2e-5"
    t.apply(key + "start")
    with t.client(port=int(port)) as c:
        assert near(c.difficulty, 2e-5), c.difficulty
    d["min"] = "3e-6"
    t.apply(key + "min")
    assert near(suggest(1e-9), 3e-6)
    d["max"] = "5e-5"
    t.apply(key + "max")
    assert near(suggest(1), 5e-5)
    # Who is connected follows, too: silence makes it easier, once it is to be, and sooner by a shorter aim.
    d.update(start="5e-5", max="5e-5", min="1e-9")
    t.reload()
    with t.client(port=int(port)) as c:
        assert steps(c, 3) == 0
        d["vardiff"] = True
        t.apply(key + "vardiff")
        assert steps(c, 4) == 0, "with an aim of ten minutes"
        d["aim"] = "100ms"
        t.apply(key + "aim")
        wait_for(lambda: c.difficulty < 4e-5, 15, about="an easier difficulty")


# --- limits ---

def is_closed(c, seconds):
    return c.closed.wait(seconds)


@looks_at("limits.line")
@grouped("main")
def line(t):
    long = b'{"id": 1, "method": "mining.extranonce.subscribe", "params": ["' + b"x" * 1500 + b'"]}\n'

    def closed(seconds):
        with t.client() as c:
            c.raw(long)
            return is_closed(c, seconds)
    assert not closed(1)
    t.tree["limits"] = {"line": "1KiB"}
    t.apply("limits.line")
    assert closed(60)


@looks_at("limits.output")
@grouped("main")
def output(t):
    import socket

    def taken(patience):
        """Whether all of these requests are read though nobody reads the answers: some 16 MB of either."""
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.connect(("127.0.0.1", t.pool.port))
            s.settimeout(patience)  # of a thousand lines
            ask = b'{"id": 1, "method": "mining.nobody", "params": ["' + b"x" * 60 + b'"]}\n'
            try:
                for _ in range(150):
                    s.sendall(ask * 1000)
            except TimeoutError:
                return False
            return True
    t.tree["limits"] = {"output": "64MiB", "handshake": "10m", "bad_lines": 1000000, "lines_a_second": 0, "bytes_a_second": 0}
    t.reload()
    for turn in range(8):
        try:  # who takes nothing for half a minute is closed, and on a slow machine this lasts longer
            assert taken(60)
            break
        except ConnectionError:
            assert turn < 7, "closed each time"
    t.tree["limits"]["output"] = "16KiB"
    t.apply("limits.output")
    assert not taken(4)


def quiet(t):
    """Until the pool knows that the witness is alone: who has closed a connection is counted for a while."""
    gone(t.pool, 1 if t.witness else 0)


def enters(t, n=1, pause=0.0, hosts=()):
    """How many of n connections are served that come one after another and stay. hosts: of 127.0.0.0/24, one each."""
    cs = []
    quiet(t)
    for i in range(n):
        cs.append(Client(t.pool.port, source=f"127.0.0.{hosts[i]}" if hosts else None))
        time.sleep(pause)
    served = 0
    for c in cs:
        try:
            c.subscribe()
            served += 1
        except (ConnectionError, OSError, TimeoutError, StratumError):  # closed, or told why before that
            pass
    for c in cs:
        c.close()
    quiet(t)
    return served


def paced(t, n, burst, least=0):
    """n come: as many as the burst lets in are served, and one for each second that this takes."""
    began = time.monotonic()
    served = enters(t, n)
    seconds = time.monotonic() - began
    assert least <= served <= burst + seconds, (least, served, burst, seconds)


@looks_at("limits.connections", "limits.connections_an_address", "limits.new_connections_a_second",
          "limits.new_connections_burst")
@grouped("main")
def connections(t):
    assert enters(t, 4) == 4
    for key in ("connections", "connections_an_address"):
        t.tree["limits"] = {key: 3}
        t.apply(f"limits.{key}")
        assert enters(t, 4) == 2, key  # the witness is the third
        t.tree["limits"] = {}
        t.reload()
    t.tree["limits"] = {"new_connections_burst": 2, "new_connections_a_second": 1}
    t.apply("limits.new_connections_burst", "limits.new_connections_a_second")
    time.sleep(2.5)
    paced(t, 6, 2, least=2)
    t.tree["limits"]["new_connections_burst"] = 5
    t.apply("limits.new_connections_burst")
    paced(t, 6, 2)  # tokens come by time alone
    t.tree["limits"]["new_connections_a_second"] = 100
    t.apply("limits.new_connections_a_second")
    time.sleep(0.2)
    assert enters(t, 6, pause=0.03) == 6


@looks_at("limits.prefix.ipv4", "limits.prefix.ipv6", "limits.prefix.connections",
          "limits.prefix.new_connections_a_second", "limits.prefix.new_connections_burst")
@grouped("main")
def prefix(t):
    assert enters(t, 4) == 4
    t.tree["limits"] = {"prefix": {"connections": 3}}
    t.apply("limits.prefix.connections")
    assert enters(t, 4) == 2  # the witness is the third
    assert enters(t, 4, hosts=(21, 22, 23, 24)) == 2
    t.tree["limits"]["prefix"]["ipv4"] = 32
    t.apply("limits.prefix.ipv4")
    assert enters(t, 4, hosts=(21, 22, 23, 24)) == 4
    t.tree["limits"]["prefix"].update(ipv6=64)
    t.apply("limits.prefix.ipv6")  # what it does is looked at in tests/unit/net/test_gate.c: only IPv4 is here
    t.tree["limits"] = {"prefix": {"new_connections_burst": 2, "new_connections_a_second": 1}}
    t.reload()
    time.sleep(2.5)
    paced(t, 6, 2, least=2)
    t.tree["limits"]["prefix"]["new_connections_burst"] = 5
    t.apply("limits.prefix.new_connections_burst")
    paced(t, 6, 2)  # tokens come by time alone
    t.tree["limits"]["prefix"]["new_connections_a_second"] = 100
    t.apply("limits.prefix.new_connections_a_second")
    time.sleep(0.2)
    assert enters(t, 6, pause=0.03) == 6


@looks_at("limits.allow", "limits.deny", "limits.grey", "limits.grey_part")
@grouped("main")
def lists(t):
    t.tree["limits"] = {"connections_an_address": 4}
    t.reload()
    assert enters(t, 6) == 3  # the witness is the fourth
    t.tree["limits"]["allow"] = ["127.0.0.1"]
    t.apply("limits.allow")
    assert enters(t, 6) == 6
    t.tree["limits"]["deny"] = ["127.0.0.0/8"]
    t.apply("limits.deny")
    assert enters(t, 3) == 3 and enters(t, 3, hosts=(2, 3, 4)) == 0
    file = os.path.join(t.pool.folder, "grey.txt")
    with open(file, "w", encoding="utf-8") as f:
        f.write("; who is grey\n127.0.0.9 ; this one\n")
    t.tree["limits"] = {"connections_an_address": 4, "grey": ["file:grey.txt"], "grey_part": "50%"}
    t.reload()
    assert enters(t, 6, hosts=(9,) * 6) == 2
    t.tree["limits"]["grey_part"] = "1%"
    t.apply("limits.grey_part")
    assert enters(t, 6, hosts=(9,) * 6) == 1
    # What a file says now is read by a reload though no key has changed.
    with open(file, "w", encoding="utf-8") as f:
        f.write("127.0.0.10\n")
    assert t.reload() == {}
    assert enters(t, 6, hosts=(9,) * 6) == 4 and enters(t, 6, hosts=(10,) * 6) == 1
    with open(file, "w", encoding="utf-8") as f:
        f.write("127.0.0.10\n\n127.0.0.300\n")
    t.refused("limits.grey", "grey.txt:3: '127.0.0.300'")
    assert enters(t, 6, hosts=(10,) * 6) == 1
    os.unlink(file)


def may(c, user):
    try:
        return c.authorize(user)
    except StratumError:
        return False


@looks_at("limits.workers_an_account", "limits.worker_name_bytes")
@grouped("main")
def workers(t):
    with t.client("40.a") as c:
        assert may(c, address(40) + ".b")
        t.tree["limits"] = {"workers_an_account": 2}
        t.apply("limits.workers_an_account")
        assert not may(c, address(40) + ".c")
        t.tree["limits"] = {"worker_name_bytes": 3}
        t.reload()
        assert may(c, address(41) + ".abc") and not may(c, address(41) + ".abcd")


def asks(c, n):
    """n requests at once; what counts their answers so far."""
    def count():
        return sum(m.get("method") is None for m in list(c.lines))
    before = count()
    c.raw(b"".join(b'{"id": %d, "method": "mining.ping", "params": []}\n' % (1000 + i) for i in range(n)))
    return lambda: count() - before


def all_answered(t, n=400):
    with t.client() as c:
        answers = asks(c, n)
        wait_for(lambda: answers() == n, about=f"{n} answers")


@looks_at("limits.lines_a_second", "limits.lines_burst", "limits.bytes_a_second", "limits.bytes_burst")
@grouped("main")
def pace(t):
    def held(key, most):
        """Of 400 lines of some 50 bytes so many a second are answered, behind as many at once."""
        with t.client() as c:
            began, answers = time.monotonic(), asks(c, 400)
            time.sleep(1)
            n = answers()
            seconds = time.monotonic() - began
        assert n <= most * (2 + seconds), (key, n, seconds)
    all_answered(t)
    for key, burst in (("lines", 50), ("bytes", 50 * 50)):
        t.tree["limits"] = {f"{key}_burst": burst}
        t.apply(f"limits.{key}_burst")
        all_answered(t)
        t.tree["limits"][f"{key}_a_second"] = burst
        t.apply(f"limits.{key}_a_second")
        held(key, 50)
        t.tree["limits"] = {}
        t.reload()


@looks_at("limits.outstanding")
@grouped("main")
def outstanding(t):
    """One at a time: each is answered, and reading goes on behind it."""
    t.tree["limits"] = {"outstanding": 1}
    t.apply("limits.outstanding")
    with t.client() as c:
        waiting = [c.submit_async(c.mine()) for _ in range(20)]
        assert all(c.wait(q) is True for q in waiting)
        answers = asks(c, 400)
        wait_for(lambda: answers() == 400, about="400 answers")


@looks_at("limits.invalid.shares", "limits.invalid.part", "limits.invalid.window", "limits.invalid.ban")
@grouped("main")
def invalid(t):
    def spoil(name, n):
        """Whether a connection lives through n shares that are refused."""
        with t.client(name) as c:
            try:
                for i in range(n):
                    assert not may_submit(c, i)
            except (ConnectionError, TimeoutError):
                return False
            return not is_closed(c, 0.5)
    assert spoil("70.a", 40)
    t.tree["limits"] = {"invalid": {"shares": 20}}
    t.apply("limits.invalid.shares")
    assert not spoil("70.b", 40)
    with Client(t.pool.port) as c:
        c.subscribe()
        assert not may(c, address(70) + ".b") and may(c, address(70) + ".c")
    t.tree["limits"]["invalid"]["ban"] = "0s"
    t.apply("limits.invalid.ban")
    assert not spoil("71.d", 40)
    with Client(t.pool.port) as c:
        c.subscribe()
        assert may(c, address(71) + ".d")
    t.tree["limits"]["invalid"]["part"] = "100%"
    t.apply("limits.invalid.part")
    with t.client("72.e") as c:
        may_submit(c, 1)
        assert c.submit(c.mine()) is True  # one good share: never all of them are bad
        for i in range(60):
            may_submit(c, i + 2)
        assert not is_closed(c, 0.5)
    t.tree["limits"]["invalid"] = {"shares": 5, "window": "1s", "ban": "0s"}
    t.apply("limits.invalid.shares", "limits.invalid.window", "limits.invalid.part")
    with t.client("73.f", source="127.0.0.77") as c:  # not one of many bad ones, who have less
        for i in range(12):
            may_submit(c, i)
            time.sleep(0.3)
        assert not is_closed(c, 0.5)


def may_submit(c, i):
    """A share that is none, for its difficulty: one in a thousand is one by chance, and not sent."""
    job, en2 = c.job, "00" * c.en2_len
    nonce = next(f"{n:08x}" for n in range(i << 16, i + 1 << 16) if not c.meets((job, en2, job.ntime, f"{n:08x}", 0, None)))
    try:
        return c.call("mining.submit", c.user, job.id, en2, job.ntime, nonce)
    except StratumError:
        return False


@looks_at("limits.handshake", "limits.bad_lines")
@grouped("main")
def handshake(t):
    with Client(t.pool.port) as c:
        assert not is_closed(c, 3)
    with t.client() as c:
        c.raw(b"nonsense\n" * 3)
        assert not is_closed(c, 0.5)
    t.tree["limits"] = {"handshake": "1s", "bad_lines": 2}
    t.apply("limits.handshake", "limits.bad_lines")
    with Client(t.pool.port) as c:
        assert is_closed(c, 60)
    with t.client() as c:
        c.raw(b"nonsense\n" * 3)
        assert is_closed(c, 60)


@looks_at("limits.idle")
@grouped("main")
def idle(t):
    with t.client() as c:
        assert not is_closed(c, 1)
        t.tree["limits"] = {"idle": "10s"}
        t.apply("limits.idle")
        assert is_closed(c, 60), "a silent miner stayed"


@looks_at("limits.resume")
@grouped("main")
def resume(t):
    def comes_back():
        with t.client() as c:
            first = c.subscribe()
        time.sleep(0.3)
        with Client(t.pool.port) as c:
            return c.call("mining.subscribe", "x", dict(first[0])["mining.notify"])[1] == first[1]
    assert comes_back()
    t.tree["limits"] = {"resume": "0s"}
    t.apply("limits.resume")
    assert not comes_back()


def test_keys_of_log_pools_ports_and_limits():
    run("main")


# --- money ---

def matured(t, client):
    b = t.find_block(client)
    t.pool.chain("dev", "mine", "12")
    wait_for(lambda: [x for x in t.blocks() if x["id"] == b["id"] and x["state"] == "mature"], 20, about="a mature block")
    return b


@looks_at("pools.*.fee.rate")
@grouped("money")
def fee_rate(t):
    c = t.client()
    t.dev["fee"]["rate"] = "4%"
    t.apply("pools.dev.fee.rate")
    b = matured(t, c)
    assert int(b["fee_units"]) == -(-int(b["value_units"]) * 4 // 100), b
    c.close()


@looks_at("pools.*.orphan_depth")
@grouped("money")
def orphan_depth(t):
    c = t.client()
    b = t.find_block(c)
    t.pool.chain("dev", "reorg", "1")
    state = lambda: [x["state"] for x in t.blocks() if x["id"] == b["id"]]  # noqa: E731
    time.sleep(2.5)
    assert state() != ["orphaned"], state()
    t.dev["orphan_depth"] = 1
    t.apply("pools.dev.orphan_depth")
    wait_for(lambda: state() == ["orphaned"], 10, about="an orphan")
    c.close()


PLAN = {"minimum": "1 DEV", "every": "1h", "confirmations": 50, "coin_confirmations": 1}


@looks_at("pools.*.payments", "pools.*.payments.minimum", "pools.*.payments.cap", "pools.*.payments.recipients",
          "pools.*.payments.network_fee", "pools.*.payments.fee_rate", "pools.*.payments.max_fee_rate",
          "pools.*.payments.coin_confirmations", "pools.*.fee.recipients", "pools.*.fee.recipients.*.share")
@grouped("money")
def the_plan(t):
    a, b = t.client("1.a"), t.client("2.b")
    for _ in range(12):
        a.submit(a.mine(harder_than=BLOCK))
        b.submit(b.mine(harder_than=BLOCK))
    matured(t, a)
    a.close()
    b.close()
    assert not t.plan()["configured"]
    t.dev["payments"] = dict(PLAN)
    t.apply("pools.dev.payments")
    plan = t.plan()
    assert plan["configured"] and plan["n"] >= 2 and plan["fee_by"] == "pool" and plan["network_fee"], plan
    total, smallest = int(plan["total_units"]), min(int(p["amount_units"]) for p in plan["parts"])

    def change(key, value):
        t.dev["payments"][key] = value
        t.apply(f"pools.dev.payments.{key}")
        return t.plan()

    more = change("minimum", f"{(smallest + 1) / 1e8:.8f} DEV")
    assert more["n"] == plan["n"] - 1 and more["below_minimum"]["n"] == 1, more
    change("minimum", "1 DEV")
    capped = change("cap", f"{(total - 1) / 1e8:.8f} DEV")
    assert int(capped["total_units"]) < total, capped
    change("cap", "0")
    assert change("recipients", 1)["n"] == 1
    change("recipients", 500)
    assert change("network_fee", "miners")["fee_by"] == "miners"
    change("network_fee", "pool")
    fee = int(plan["network_fee_units"])  # at two base units a byte, as the chain advises
    assert int(change("fee_rate", 50)["network_fee_units"]) == 25 * fee
    change("fee_rate", 0)
    assert int(change("max_fee_rate", 1)["network_fee_units"]) == -(-fee // 2)
    change("max_fee_rate", 2000)
    assert "suffice" in change("coin_confirmations", 1000)["network_fee_error"]
    change("coin_confirmations", 1)
    # The pool's own part: to whom, and how much of it.
    one, two = address(801), address(802)
    t.dev["payments"]["minimum"] = "0.001 DEV"
    t.reload()
    t.dev["fee"]["recipients"] = {one: {"share": "100%"}}
    t.apply(f"pools.dev.fee.recipients.{one}")
    fees = lambda: {p["address"]: int(p["amount_units"]) for p in t.plan()["parts"] if p["kind"] == "fee"}  # noqa: E731
    all_ = fees()
    assert list(all_) == [one] and all_[one] > 0, t.plan()
    t.dev["fee"]["recipients"] = {one: {"share": "75%"}, two: {"share": "25%"}}
    got = t.reload()
    assert got == {f"pools.dev.fee.recipients.{one}.share": "applied", f"pools.dev.fee.recipients.{two}": "applied"}, got
    assert abs(fees()[one] - 3 * fees()[two]) <= 3 and sum(fees().values()) == all_[one], fees()


@looks_at("pools.*.payments.every", "pools.*.payments.confirmations", "pools.*.payments.max_fee")
@grouped("money")
def a_payment(t):
    def payments():
        r = t.pool.command("payment", "list", "--all", "--socket", t.pool.socket, "--json")
        return {p["id"]: p for p in json.loads(r.stdout)["payments"]}

    c = t.client("1.a")
    matured(t, c)
    t.dev["payments"] = {**PLAN, "fee_rate": 200, "max_fee": "0.0001%"}
    t.reload()
    t.pool.command("payment", "start", "dev", t.plan()["code"], "--socket", t.pool.socket)
    wait_for(lambda: "max_fee" in payments().get(1, {}).get("why", ""), 20, about="a payment with too high a fee")
    t.dev["payments"]["max_fee"] = "5%"
    t.apply("pools.dev.payments.max_fee")
    wait_for(lambda: payments()[1]["state"] == "sent", 60, about="the payment")
    t.pool.chain("dev", "mine", "3")
    time.sleep(3)
    assert payments()[1]["state"] == "sent", "fifty confirmations"
    t.dev["payments"]["confirmations"] = 2
    t.apply("pools.dev.payments.confirmations")
    t.pool.chain("dev", "mine", "1")
    wait_for(lambda: payments()[1]["state"] == "paid", 30, about="its confirmations")
    matured(t, c)
    time.sleep(3)
    assert len(payments()) == 1, "the next round is due in an hour"
    t.dev["payments"]["every"] = "1s"
    t.apply("pools.dev.payments.every")
    wait_for(lambda: len(payments()) > 1, 90, about="the next round")
    c.close()


def test_keys_of_money():
    run("money", bits=SOME_BLOCKS, witness=False)


# --- history ---

@looks_at("history.minutes", "history.hours")
@grouped("history")
def history(t):
    with t.client() as c:
        for _ in range(3):
            c.submit(c.mine())
    wait_for(lambda: t.pools()["dev"]["accepted"] == 3, 10, about="shares")
    assert t.pool.stop() == 0
    with sqlite3.connect(os.path.join(t.pool.folder, "data", "otedama.db")) as db:
        names = [r[1] for r in db.execute("PRAGMA table_info(share_minutes)")]
        row = dict(zip(names, db.execute("SELECT * FROM share_minutes LIMIT 1").fetchone()))
        for hours in (30, 31, 24 * 500):
            more = {**row, "minute": row["minute"] // 60 * 60 + 7 - 60 * hours}  # at :00 it would be an hour's
            db.execute(f"INSERT INTO share_minutes ({','.join(more)}) VALUES ({','.join('?' * len(more))})",
                       list(more.values()))
        db.execute("DELETE FROM meta WHERE k = 'history_minute'")  # how far it was
    db.close()
    t.tree["history"] = {"minutes": "480h", "hours": "36000d"}
    t.write()
    t.pool.start()
    folded = lambda: t.pool.log().count("event=history.folded")  # noqa: E731
    wait_for(lambda: folded() == 1, 10, about="the oldest row, which becomes one of an hour")
    t.tree["history"]["minutes"] = "25h"
    t.apply("history.minutes")
    wait_for(lambda: folded() == 2, 10, about="rows of minutes to be summed")
    t.tree["history"]["hours"] = "400d"
    t.apply("history.hours")
    wait_for(lambda: folded() == 3, 10, about="the oldest row to go")


def test_keys_of_history():
    run("history", witness=False)


# --- what is kept of journals ---

def kept(t):
    """Segments of the reactor's journal in the archive: {number: packed, raw or None where it is being moved}."""
    found = {}
    for at, _, names in os.walk(os.path.join(t.pool.folder, "data", "archive")):
        for name in names:
            number, dot, end = name.partition(".")
            if os.path.basename(at).startswith("r-") and end in ("otz", "otj"):
                try:
                    with open(os.path.join(at, name), "rb") as f:
                        head = f.read(16)
                except FileNotFoundError:
                    continue
                found[int(number)] = ("packed" if head[12] else "raw") if end == "otz" else None
    return found


def oldest(t):
    """Number of the oldest segment that is still needed."""
    at = os.path.join(t.pool.folder, "data", "journal")
    numbers = [int(f[:8]) for d in os.listdir(at) if d.startswith("r-") for f in os.listdir(os.path.join(at, d))
               if f.endswith(".otj")]
    return min(numbers, default=0)


@looks_at("journal.keep", "journal.compress")
@grouped("journal")
def journal_keep(t):
    t.port["difficulty"] = fixed(TINY)
    t.reload()
    miner = Miner(t.pool.port, address(41) + ".a", ahead=64)
    try:
        wait_for(lambda: oldest(t) > 1, 180, step=0.2, about="a segment to be removed")
        assert not kept(t), kept(t)
        t.tree["journal"]["keep"] = "1d"
        t.apply("journal.keep")
        first = wait_for(lambda: kept(t), 180, step=0.2, about="a segment in the archive")
        assert 1 not in first, "it was removed before"
        wait_for(lambda: "packed" in kept(t).values(), 60, about="a packed segment")
        t.tree["journal"]["compress"] = False
        t.apply("journal.compress")
        wait_for(lambda: "raw" in kept(t).values(), 180, step=0.2, about="a segment kept as it was")
        t.tree["journal"]["keep"] = "1d 2MiB"
        t.apply("journal.keep")
        wait_for(lambda: min(kept(t), default=0) > min(first), 180, step=0.2, about="the oldest to go, by the new bound")
        del t.tree["journal"]["keep"]
        t.apply("journal.keep")
        last = max(kept(t))
        wait_for(lambda: oldest(t) > last + 2, 180, step=0.2, about="another segment to be removed")
        assert max(kept(t)) <= last + 1, (kept(t), last)  # one may have been on its way
        assert kept(t), "what was kept stays"
    finally:
        miner.stop()
    assert not miner.refused, miner.refused[:5]


def test_keys_of_journals():
    run("journal", witness=False, journal={"segment": "1MiB", "max": "8MiB", "commit": "200ms", "snapshot": "1s"})


# --- nodes ---

def node_state(t, name):
    n = t.nodes().get(name, {})
    return n.get("state"), n.get("why", "")


def is_up(t, name="a"):
    wait_for(lambda: node_state(t, name)[0] == "up", 30, about=f"node {name}")


@looks_at("nodes", "pools.*.nodes", "nodes.*.rpc", "nodes.*.user", "nodes.*.password", "nodes.*.cookie", "nodes.*.wallet",
          "nodes.*.roles", "pools.*.timeout")
@grouped("nodes")
def nodes(t):
    node, port = t.node, free_port()
    one, two = Proxy(node.port), Proxy(node.port)
    a = {"coin": "bitcoin", "network": "regtest", "rpc": one.url, "user": "u", "password": "p"}
    t.tree["nodes"] = {"a": a}
    t.tree["pools"]["btc"] = {"coin": "bitcoin", "nodes": ["a"], "coinbase": {"address": node.address},
                              "payout": {"scheme": "pplns"}, "poll": "100ms",
                              "ports": {str(port): {"listen": "127.0.0.1", "difficulty": fixed()}}}
    t.apply("nodes.a", "pools.btc")
    is_up(t)
    miner = t.client("7.m", port=port)
    asked = two.count("getblocktemplate")
    a["rpc"] = two.url
    t.apply("nodes.a.rpc")
    wait_for(lambda: two.count("getblocktemplate") > asked, 20, about="work from the other place")
    is_up(t)
    a["password"] = "wrong"
    r = t.ask()
    assert "nodes.a.password: \"***\" -> \"***\": applied" in r.stdout and "wrong" not in r.stdout, r.stdout
    wait_for(lambda: node_state(t, "a")[0] == "down", 20, about="a password that is not taken")
    assert "wrong" not in t.pool.log()
    a["password"] = "p"
    t.apply("nodes.a.password")
    is_up(t)
    a["user"] = "nobody"
    t.apply("nodes.a.user")
    wait_for(lambda: node_state(t, "a")[0] == "down", 20, about="a user that is not known")
    cookie = os.path.join(t.pool.folder, "cookie")
    with open(cookie, "w", encoding="ascii") as f:
        f.write("u:p")
    del a["user"], a["password"]
    a["cookie"] = cookie
    t.apply("nodes.a.user", "nodes.a.password", "nodes.a.cookie")
    is_up(t)
    # A second one, which becomes the first.
    t.tree["nodes"]["b"] = {**a, "rpc": one.url}
    t.tree["pools"]["btc"]["nodes"] = ["b", "a"]
    t.apply("nodes.b", "pools.btc.nodes")
    wait_for(lambda: t.nodes()["b"]["in_use"] and not t.nodes()["a"]["in_use"], 30, about="the node that is first now")
    t.tree["pools"]["btc"]["nodes"] = ["a"]
    del t.tree["nodes"]["b"]
    t.apply("nodes.b", "pools.btc.nodes")
    assert "b" not in t.nodes()
    wait_for(lambda: t.nodes()["a"]["in_use"], 30, about="the node that is left")
    # Its wallet.
    assert t.nodes()["a"]["roles"] == ["template", "submit"]
    a["roles"] = ["template", "submit", "wallet"]
    t.apply("nodes.a.roles")
    assert t.nodes()["a"]["roles"] == ["template", "submit", "wallet"]
    t.tree["pools"]["btc"]["payments"] = {"minimum": "0.001 BTC"}
    t.apply("pools.btc.payments")
    assert miner.submit(miner.mine()) is True
    wait_for(lambda: t.pools()["btc"]["accepted"] == 1, 10, about="the share")
    name = lambda: t.plan("btc")["wallet"].get("name")  # noqa: E731
    wait_for(lambda: name() == "w", 20, about="the node's wallet")
    node.rpc("createwallet", "other")
    a["wallet"] = "other"
    t.apply("nodes.a.wallet")
    is_up(t)
    wait_for(lambda: name() == "other", 20, about="the other wallet")
    # A node that takes its time.
    two.hang = {"getbestblockhash", "getblockchaininfo", "getblocktemplate"}
    time.sleep(2)
    assert "time" not in node_state(t, "a")[1], node_state(t, "a")
    t.tree["pools"]["btc"]["timeout"] = "500ms"
    t.apply("pools.btc.timeout")
    two.hang = set()
    time.sleep(11)
    is_up(t)
    two.hang = {"getbestblockhash", "getblockchaininfo", "getblocktemplate"}
    began = time.monotonic()
    wait_for(lambda: node_state(t, "a")[0] == "down", 6, about="a time-out after half a second")
    assert time.monotonic() - began < 9.5, "a time-out after ten seconds, which it was before"
    two.hang = set()
    is_up(t)
    assert not miner.closed.is_set(), "its miner was dropped"
    assert miner.submit(miner.mine()) is True
    miner.close()
    del t.tree["pools"]["btc"], t.tree["nodes"]
    t.reload()


def test_keys_of_nodes():
    try:
        node = knots()
    except FileNotFoundError as e:
        raise Skip(str(e)) from None
    with node:
        Live.node = node
        run("nodes")


__all__ = [BLOCK]
