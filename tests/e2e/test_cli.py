"""The command line and what the pool says of itself: status, health, metrics, logs."""
import json
import os
import re
import shutil
import subprocess

from devnet import Miner, devnet, healthy
from pool import BUILD, PROGRAM, ROOT, Pool, address, wait_for
from stratum import Client

COMMANDS = ("chain", "config", "hash", "ledger", "mine", "plugin", "serve", "status")
GENESIS = ("0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e"
           "67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c")


def run(*words, **more):
    return subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=180, **more)


def one_line_of_error(r, status):
    assert r.returncode == status, (r.returncode, r.stdout, r.stderr)
    lines = r.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("otedama: "), r.stderr
    return lines[0]


def test_hash_of_the_genesis_header():
    r = run("hash", "sha256d", GENESIS)
    assert r.returncode == 0 and r.stderr == "", r
    assert r.stdout == "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f\n"
    assert run("hash", "sha256d", GENESIS.upper()).stdout == r.stdout
    # Every variant of the kernels says the same.
    for kernel in ("portable", "sse4", "avx2", "avx512", "shani"):
        other = run("hash", "sha256d", GENESIS, env=dict(os.environ, OTEDAMA_SHA256=kernel))
        assert other.returncode != 0 or other.stdout == r.stdout, kernel


def test_hash_used_wrongly():
    assert "even number" in one_line_of_error(run("hash", "sha256d", "abc"), 1)
    assert "80" in one_line_of_error(run("hash", "sha256d", "00" * 79), 1)
    assert "sha256d" in one_line_of_error(run("hash", "sha256", GENESIS), 1), "the nearest name is not told"
    one_line_of_error(run("hash", "../sha256d", GENESIS), 1)
    one_line_of_error(run("hash", "sha256d"), 2)


def test_help_of_every_command():
    r = run("--help")
    assert r.returncode == 0 and r.stderr == ""
    listed = re.findall(r"^  otedama (\w+)", r.stdout, re.M)
    assert set(COMMANDS) <= set(listed), listed
    for name in listed:
        h = run(name, "--help")
        assert h.returncode == 0 and h.stderr == "" and f"otedama {name}" in h.stdout, (name, h)
        assert all(len(line) <= 120 for line in h.stdout.splitlines()), name
    assert re.fullmatch(r"otedama \d+\.\d+\.\d+\S*\n", run("--version").stdout)


def test_wrong_use_is_status_2():
    assert run().returncode == 2
    assert "'serve'" in one_line_of_error(run("serv"), 2)
    for words in (("serve",), ("serve", "--no-such"), ("serve", "-c"), ("serve", "word"), ("config",),
                  ("config", "check"), ("config", "chek", "-c", "x"), ("plugin",), ("plugin", "info"),
                  ("plugin", "list", "x"), ("ledger", "x", "-c", "y"), ("ledger",), ("chain",), ("chain", "x"),
                  ("mine",), ("status", "x"), ("hash",)):
        one_line_of_error(run(*words), 2)


def test_a_mistyped_word_is_guessed():
    for words, meant in ((("config", "chek", "-c", "x"), "check"), (("plugin", "lst"), "list"), (("ban", "lisst"), "list"),
                         (("ledger", "verifi"), "verify"), (("node", "lits"), "list"), (("account", "shwo", "x"), "show"),
                         (("serve", "--confg", "x"), "--config"), (("stauts",), "status")):
        assert f"'{meant}'" in one_line_of_error(run(*words), 2), words
    with Pool(devnet()) as pool:
        pool.start()
        for words in (("chain", "--socket", pool.socket, "dve", "mine"),
                      ("ban", "add", "--socket", pool.socket, "account", "dve/bcrt1qx", "--reason", "x")):
            assert "did you mean 'dev'?" in one_line_of_error(run(*words), 1), words
        assert pool.stop() == 0


def test_what_fails_is_status_1():
    for words in (("serve", "-c", "/no/such/file.yaml"), ("config", "check", "-c", "/no/such/file.yaml"),
                  ("status", "--socket", "/no/such.sock"), ("ledger", "verify", "-c", "/no/such/file.yaml"),
                  ("plugin", "info", "algo/nothing"), ("plugin", "info", "/no/such.so")):
        words = one_line_of_error(run(*words), 1)
        assert "no" in words.lower(), words


def test_config_check_print_and_schema():
    with Pool(devnet()) as pool:
        r = run("config", "check", "-c", pool.config)
        assert r.returncode == 0 and r.stdout.endswith("pool.yaml: ok\n"), r
        printed = run("config", "print", "-c", pool.config)
        assert printed.returncode == 0, printed
        again = os.path.join(pool.folder, "printed.yaml")
        with open(again, "w", encoding="utf-8") as f:
            f.write(printed.stdout)
        second = run("config", "print", "-c", again)
        assert second.returncode == 0, second.stderr
        assert second.stdout == printed.stdout.replace(" # default", ""), "what is printed says something else when it is read"
        assert run("config", "check", "-c", again).returncode == 0
        changed = run("config", "print", "-c", pool.config, "--set", "pools.dev.fee.rate=2%")
        differ = [(a, b) for a, b in zip(printed.stdout.splitlines(), changed.stdout.splitlines()) if a != b]
        assert len(differ) == 1 and "rate" in differ[0][1] and "2" in differ[0][1], differ
        bad = one_line_of_error(run("config", "print", "-c", pool.config, "--set", "pools.dev.feee.rate=2%"), 1)
        assert "feee" in bad, bad
        pool.write(open(again, encoding="utf-8").read())
        pool.start()  # and the printed one runs
        assert pool.stop() == 0
    schema = run("config", "schema")
    assert schema.returncode == 0
    assert "pools" in json.dumps(json.loads(schema.stdout))


def test_shipped_configurations_are_right():
    folder = os.path.join(ROOT, "etc")
    for name in sorted(os.listdir(folder)):
        if name.endswith(".yaml"):
            r = run("config", "check", "--offline", "-c", os.path.join(folder, name))
            assert r.returncode == 0, (name, r.stderr)


def test_config_check_says_what_is_wrong():
    with Pool(devnet()) as pool:
        for old, new, word in (("bcrt1q3jzz8hqjs2nxnaweuge6lsxjca3kwr0kdkgd3d", "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
                                "coinbase.address"),
                               ("scheme: pplns", "scheme: pplms", "pplns"),
                               ("coin: devnet", "coin: devnett", "devnet"),
                               ("window: 2x difficulty", "window: 2y", "window"),
                               ("rate: 1%", "rate: 101%", "rate"),
                               ("poll: 50ms", "poll: 50", "poll")):
            pool.write(devnet().replace(old, new))
            words = one_line_of_error(run("config", "check", "--offline", "-c", pool.config), 1)
            assert word in words, words
            assert re.search(r"\.yaml:\d+:\d+: ", words) or "did you mean" in words, words


def test_plugins():
    r = run("plugin", "list")
    assert r.returncode == 0, r
    for kind in os.listdir(os.path.join(BUILD, "plugins")):
        for name in os.listdir(os.path.join(BUILD, "plugins", kind)):
            if name.endswith(".so"):
                assert re.search(rf"^{kind}\s+{name[:-3]}\s+ABI", r.stdout, re.M), (kind, name)
    r = run("plugin", "info", "payout/pplns")
    assert r.returncode == 0 and "window" in r.stdout, r
    r = run("plugin", "info", "payout/pplns", "--json")
    assert "pplns" in json.dumps(json.loads(r.stdout))
    r = run("plugin", "info", os.path.join(BUILD, "plugins", "algo", "sha256d.so"))
    assert r.returncode == 0 and "sha256d" in r.stdout, r
    assert "did you mean" in one_line_of_error(run("plugin", "info", "payout/pplnx"), 1)


def test_status_for_people_and_without_c():
    with Pool(devnet()) as pool:
        pool.start()
        m = Miner(pool.port, address(70) + ".rig", pause=0.02)
        wait_for(lambda: pool.status()["pools"][0]["accepted"] > 5, 10, about="shares in the status")
        with Client(pool.port) as c:
            c.login(address(70) + ".rig")
            try:
                c.call("mining.submit", c.user, "ffffffff00", "00000000", "00000000", "00000000")
            except Exception as e:
                assert "21" in str(e), e
        for words in (("--socket", pool.socket), ("-c", pool.config), ()):
            r = run("status", *words, env=dict(os.environ, XDG_RUNTIME_DIR=pool.folder))
            assert r.returncode == 0 and r.stderr == "", r
            for word in ("nothing needs attention", "pool dev: devnet", address(70) + ".rig", "plugins", "chain/devnet",
                         "nodes", f"pid {pool.process.pid}"):
                assert word in r.stdout, (word, r.stdout)
        wait_for(lambda: "stale 1" in run("status", "-c", pool.config).stdout, 30, about="the refused share by reason")
        m.stop()
        assert pool.stop() == 0
        words = one_line_of_error(run("status", "-c", pool.config), 1)
        assert "otedama.sock" in words, words


def test_serve_says_lines_of_json():
    with Pool(devnet(), args=["--json"]) as pool:
        pool.start()
        def lines():
            return [json.loads(x) for x in pool.output().splitlines() if x.startswith("{")]
        wait_for(lambda: len(lines()) >= 3, 10, about="three lines")
        for m in lines():
            assert m["pool"] == "dev" and m["accepted"] == 0 and m["time_ms"] > 10**12, m
        assert pool.stop() == 0
    with Pool(devnet().replace("level: debug", "level: warn"), args=["--quiet"]) as pool:
        pool.start()
        wait_for(lambda: pool.status()["uptime_s"] >= 2, 10)
        said = [x for x in pool.output().splitlines() if "event=loop.slow" not in x]  # of a machine that stood still
        assert not said, f"--quiet is not quiet: {said}"
        assert pool.stop() == 0


SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*"(?:,[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*")*\})?'
                    r' (-?\d+(?:\.\d+)?(?:e[-+]?\d+)?|NaN|[+-]Inf)')


def check_exposition(text):
    """The text form of Prometheus: HELP and TYPE before samples, each series once."""
    types, seen, current = {}, set(), None
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            current = line.split(" ")[2]
            continue
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types and kind in ("counter", "gauge", "histogram"), line
            types[name] = kind
            continue
        m = SAMPLE.fullmatch(line)
        assert m, f"no sample: {line}"
        name, labels = m.group(1), m.group(2)
        base = re.sub(r"_(bucket|sum|count)$", "", name) if name not in types else name
        assert types.get(base), f"no TYPE before {line}"
        assert types[base] != "counter" or base.endswith("_total"), f"a counter without _total: {line}"
        assert (name, labels) not in seen, f"twice: {line}"
        seen.add((name, labels))
    return types


def test_health_and_metrics():
    with Pool(devnet()) as pool:
        pool.start()
        m = Miner(pool.port, address(71) + ".rig", pause=0.02)
        wait_for(lambda: m.acknowledged > 10, 10, about="shares")
        m.stop()
        def accepted():
            text = pool.get("/metrics", pool.metrics)
            return sum(float(x.rsplit(" ", 1)[1]) for x in text.splitlines()
                       if x.startswith("otd_shares_total{") and 'accepted' in x)
        wait_for(lambda: accepted() == m.acknowledged, 5, about="accepted shares in the metrics")
        for port in (pool.api, pool.metrics):
            types = check_exposition(pool.get("/metrics", port))
            assert "histogram" in types.values() and "counter" in types.values()
            if shutil.which("promtool"):
                r = subprocess.run(["promtool", "check", "metrics"], input=pool.get("/metrics", port), text=True,
                                   capture_output=True)
                assert r.returncode == 0, r.stderr
        wait_for(lambda: healthy(pool), 5, about="its health")
        assert json.loads(pool.get("/health"))["status"] == "ok"
        assert pool.stop() == 0


def test_a_share_is_followed_by_its_id():
    with Pool(devnet()) as pool:
        pool.start()
        with Client(pool.port) as c:
            c.login(address(72) + ".followed")
            share = c.mine()
            assert c.submit(share) is True
        judged = wait_for(lambda: re.search(rf"event=share\.judged share=(\d+)-(\d+) .*nonce={share[3]} .*", pool.log()),
                          5, about="the share in the log")
        assert "followed" in judged.group(0) and "verdict=accepted" in judged.group(0)
        epoch, sequence = judged.group(1), int(judged.group(2))

        def placed():
            """Its place in the order: durable, and on its way to the database."""
            for m in re.finditer(rf"event=shares\.placed shares={epoch}-(\d+)\.\.(\d+) position=(\d+)", pool.log()):
                if int(m.group(1)) <= sequence <= int(m.group(2)):
                    return int(m.group(3))
            return None
        position = wait_for(placed, 5, about="the share in the order")

        def committed():
            return any(int(p) >= position for p in re.findall(r"event=shares\.committed position=(\d+)", pool.log()))
        wait_for(committed, 5, about="the share in the database")
        assert pool.stop() == 0


def test_closed_standard_files_are_nobodys():
    """Whoever starts it with 0, 1 and 2 closed: what it opens does not get their numbers."""
    with Pool(devnet()) as pool:
        for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
            r = subprocess.run(["sh", "-c", f'exec "$0" config check -c "$1" {closed}', PROGRAM, pool.config], timeout=180)
            assert r.returncode == 0, (closed, r)
        pool.out = open(os.path.join(pool.folder, "out.txt"), "ab")
        pool.process = subprocess.Popen(["sh", "-c", 'exec "$0" serve -c "$1" <&- >&- 2>&-', PROGRAM, pool.config],
                                        cwd=pool.folder, env=dict(os.environ, XDG_RUNTIME_DIR=pool.folder))
        wait_for(pool.is_serving, 30, about="the pool's first accepted connection")
        with Client(pool.port) as c:
            c.login(address(73) + ".quiet")
            assert c.submit(c.mine()) is True
        assert {os.readlink(f"/proc/{pool.process.pid}/fd/{n}") for n in (0, 1, 2)} == {"/dev/null"}
        assert pool.stop() == 0
