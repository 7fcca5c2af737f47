"""config check over the planted mistakes of tests/config/: each is named with its line and what to do.

The header of a planted file says what is to be found, and all of it:
  # expect: LEVEL LINE KEY | words of what is wrong | words of what to do
LINE is of the file itself, or FILE:LINE; `here` is no line at all; KEY `-` is none.
  # needs: NAME            one of NEEDS below: what must be around the file. Without it, check runs with --offline.
{dir} {port} {api} {metrics} {rpc} ... are filled in.
"""
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile

import config_needs
from devnet import devnet
from pool import PROGRAM, ROOT, Pool, free_port
from skip import Skip

PLANTED = os.path.join(ROOT, "tests", "config")


def planted():
    return sorted(f for f in os.listdir(PLANTED) if f.endswith(".yaml"))


class Plant:
    """A planted file written out with what stands around it."""

    def __init__(self, name, folder, values=None):
        with open(os.path.join(PLANTED, name), encoding="utf-8") as f:
            self.text = f.read()
        self.name, self.folder, self.mode = name, folder, 0o600
        self.path = os.path.join(folder, name)
        self.values = {"dir": os.path.join(folder, "data"), "port": free_port(), "api": free_port(),
                       "metrics": free_port(), **(values or {})}
        for link, to in (("coins", os.path.join(ROOT, "etc", "coins")), ("planted", os.path.join(PLANTED, "coins"))):
            if not os.path.lexists(os.path.join(folder, link)):
                os.symlink(to, os.path.join(folder, link))
        self.expected = [self.expect(self.fill(w)) for w in re.findall(r"^# expect: (.*)$", self.text, re.M)]
        self.write()

    def write(self):
        """Mode 0600: there is a password in some of them."""
        with open(self.path, "w", encoding="utf-8") as f:
            f.write(self.fill(self.text))
        os.chmod(self.path, self.mode)

    def again(self, values):
        """With the places that its surroundings have filled in."""
        self.values.update(values)
        self.expected = [self.expect(self.fill(w)) for w in re.findall(r"^# expect: (.*)$", self.text, re.M)]
        self.write()
        return self

    def fill(self, text):
        for key, value in self.values.items():
            text = text.replace("{" + key + "}", str(value))
        return text

    def expect(self, words):
        head, say, mend = (w.strip() for w in words.split(" | "))
        level, line, key = head.split(" ")
        file, line = line.rsplit(":", 1) if ":" in line else ("" if line == "here" else self.name, line)
        return {"level": level, "file": os.path.join(self.folder, file) if file else "", "key": "" if key == "-" else key,
                "line": 0 if line == "here" else int(line), "say": say, "mend": mend}

    @property
    def needs(self):
        m = re.search(r"^# needs: (.*)$", self.text, re.M)
        return m.group(1).strip() if m else None


def ready_to_edit():
    """The configurations of real coins, as they are and with what is marked as an option taken in."""
    for name in ("bitcoin", "litecoin"):
        with open(os.path.join(ROOT, "etc", name + ".yaml"), encoding="utf-8") as f:
            text = f.read()
        taken, n = re.subn(r"^(    )#(payments:|  \w+: )", r"\1\2", text, flags=re.M)
        taken, m = re.subn(r"roles: \[template, submit\]", "roles: [template, submit, wallet]", taken)
        assert n == 6 and m == 1, (name, n, m)
        yield name, text, taken


def check(path, *flags, **kw):
    return subprocess.run([PROGRAM, "config", "check", "-c", path, *flags], capture_output=True, text=True,
                          timeout=120, check=False, **kw)


def same(found, expected):
    return (found["level"] == expected["level"] and found.get("file", "") == expected["file"]
            and found["line"] == expected["line"] and found.get("key", "") == expected["key"]
            and expected["say"] in found["text"] and expected["mend"] in found["text"])


def judge(plant, *flags, **kw):
    """Everything expected is found, nothing else is, in both forms, and the status says whether there are faults."""
    r = check(plant.path, "--json", *flags, **kw)
    assert not r.stderr, (plant.name, r.stderr)
    found = json.loads(r.stdout)
    faults = [e for e in plant.expected if e["level"] == "fault"]
    assert plant.expected, f"{plant.name} expects nothing"
    assert r.returncode == (1 if faults else 0) and found["ok"] == (not faults), (plant.name, r)
    left = list(found["problems"])
    for e in plant.expected:
        hit = [p for p in left if same(p, e)]
        assert hit, f"{plant.name}: expected {e}\n  found {json.dumps(found['problems'], indent=1)}"
        left.remove(hit[0])
    assert not left, f"{plant.name}: more than was expected: {json.dumps(left, indent=1)}"
    r = check(plant.path, *flags, **kw)
    assert r.returncode == (1 if faults else 0), (plant.name, r)
    lines = r.stderr.splitlines()
    for e in plant.expected:
        head = "otedama: config: " + ("warning: " if e["level"] == "warning" else "")
        head += f"{e['file']}:{e['line']}:" if e["file"] else ""
        assert any(x.startswith(head) and e["say"] in x and e["mend"] in x for x in lines), (plant.name, e, lines)
    assert len(lines) == len(plant.expected) + (len(faults) > 1), (plant.name, lines)
    return found


def in_folder(run, keep=False):
    folder = tempfile.mkdtemp(prefix="otedama-e2e-")
    os.chmod(folder, 0o755)
    try:
        return run(folder)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def run_all(names):
    """All of them, though one fails; the failure names each."""
    failed = []
    for name in names:
        def one(folder, name=name):
            plant = Plant(name, folder)
            if not plant.needs:
                return judge(plant, "--offline")
            with config_needs.NEEDS[plant.needs](plant) as extra:
                return judge(plant.again(extra.values), *extra.flags, **extra.kw)
        try:
            in_folder(one)
        except AssertionError as e:
            failed.append(str(e))
        except Skip as e:
            print(f"    ({name} left out: {e})")
    assert not failed, "\n".join(failed)


def names_that_need(what):
    r = []
    for name in planted():
        with open(os.path.join(PLANTED, name), encoding="utf-8") as f:
            m = re.search(r"^# needs: (.*)$", f.read(), re.M)
        if what == (config_needs.group_of(m.group(1).strip()) if m else "nothing"):
            r.append(name)
    return r


def test_mistakes_in_the_file_alone():
    names = names_that_need("nothing")
    assert len(names) > 40, names
    run_all(names)


def test_mistakes_that_this_machine_shows():
    names = names_that_need("a machine")
    assert len(names) > 15, names
    run_all(names)


def test_mistakes_that_a_node_shows():
    names = names_that_need("a node")
    assert len(names) > 20, names
    run_all(names)


def test_beside_a_running_pool():
    """Its own ports and database are no fault of the file; what it does not have is looked at all the same."""
    with Pool(devnet()) as pool:
        pool.start()
        r = check(pool.config)
        assert r.returncode == 0 and not faults_of(r), r
        assert f"a pool runs on {pool.folder}/data, pid {pool.process.pid}" in r.stdout, r
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            other = s.getsockname()[1]
            r = check(pool.config, "--set", f"pools.dev.ports.{other}.listen=127.0.0.1")
        assert r.returncode == 1 and f"port {other} is taken by another program" in r.stderr, r
        # A second file of the same folder and ports says so too; the pool has noticed nothing.
        assert pool.status()["pools"][0]["name"] == "dev"
        log = pool.log()
        assert pool.stop() == 0
        assert "ERROR" not in log and "level=error" not in log
    # With another data folder the same ports are a fault.
    with Pool(devnet()) as pool:
        pool.start()
        r = check(pool.config, "--set", f"data_dir={pool.folder}/other")
        assert r.returncode == 1 and f"port {pool.port} is taken by another program, otedama (pid {pool.process.pid})" in r.stderr, r
        assert not os.path.exists(pool.folder + "/other"), "looking made a folder"


SECRETS = ("hunter2", "correct-horse")


def test_no_secret_is_ever_shown():
    """Whatever is wrong, and wherever: neither check nor print shows a password."""
    with tempfile.TemporaryDirectory() as folder, config_needs.Server(lambda h, _: config_needs.say(h, 401, "")) as s:
        os.symlink(os.path.join(ROOT, "etc", "coins"), os.path.join(folder, "coins"))
        secret, path = os.path.join(folder, "secret"), os.path.join(folder, "c.yaml")
        with open(secret, "w", encoding="utf-8") as f:
            f.write("correct-horse\n")
        good = (f"data_dir: {folder}/data\nstore: {{use: sqlite}}\nnodes:\n  n:\n    coin: bitcoin\n    network: regtest\n"
                f"    rpc: \"{s.url}\"\n    user: u\n    password: PASSWORD\npools:\n  p:\n    coin: bitcoin\n    nodes: [n]\n"
                f"    coinbase: {{address: {config_needs.SOME}}}\n    payout: {{scheme: pplns}}\n"
                f"    ports: {{{free_port()}: {{}}}}\napi: {{off: true}}\nmetrics: {{off: true}}\n")
        forms = ("hunter2", "'hunter2'", "\"hunter2\"", "${OTD_SECRET}", f"file:{secret}")
        breaks = (lambda t: t, lambda t: t.replace("  n:\n", "  n:\n\t"), lambda t: t.replace("password:", "passwort:"),
                  lambda t: t.replace("password: ", "password "), lambda t: t.replace("password: ", "password="),
                  lambda t: t.replace("user: u\n", ""), lambda t: t.replace("user: u", "user: [u"),
                  lambda t: t.replace("http://", "http://u:hunter2@"), lambda t: t.replace("http://", "ftp://u:hunter2@"),
                  lambda t: t.replace("scheme: pplns", "scheme: pplms"), lambda t: t + "nodes: {}\n",
                  lambda t: t.replace("password:", "cookie:"), lambda t: t.replace(s.url, "http://127.0.0.1:1"),
                  lambda t: t.replace(s.url, s.url.replace("http", "https")), lambda t: t.replace("coin: bitcoin", "coin: bitcoim"),
                  lambda t: t.replace("password: ", "password: &"), lambda t: t.replace("password: ", "password: {x: ") + "}",
                  lambda t: t.replace("password: ", "password: [") + "]", lambda t: t.replace("password: ", "password: ${"))
        calls = failed = 0
        for form in forms:
            for break_it in breaks:
                with open(path, "w", encoding="utf-8") as f:
                    f.write(break_it(good.replace("PASSWORD", form)))
                for words in (("check",), ("check", "--json"), ("print",), ("check", "--set", "nodes.n.password=correct-horse"),
                              ("print", "--set", "nodes.n.password=[correct-horse")):
                    r = subprocess.run([PROGRAM, "config", words[0], "-c", path, *words[1:]], capture_output=True, text=True,
                                       timeout=180, check=False, env=dict(os.environ, OTD_SECRET="hunter2"))
                    calls, failed = calls + 1, failed + (r.returncode != 0)
                    assert not any(x in r.stdout + r.stderr for x in SECRETS), (form, words, r.stdout, r.stderr)
        assert failed > calls // 2, (failed, calls)
        with open(path, "w", encoding="utf-8") as f:  # a password where the path of the cookie belongs
            f.write(good.replace("    user: u\n    password: PASSWORD", "    cookie: hunter2"))
        r = check(path)
        assert r.returncode == 1 and "nodes.n.cookie: " in r.stderr and "hunter2" not in r.stdout + r.stderr, r


def test_configurations_ready_to_edit():
    """They load as they are and with payments; every line says what it is for, and all of CHANGE IT is found."""
    for name, text, taken in ready_to_edit():
        def one(folder, name=name, text=text, taken=taken):
            os.symlink(os.path.join(ROOT, "etc", "coins"), os.path.join(folder, "coins"))
            path = os.path.join(folder, name + ".yaml")
            for t in (text, taken):
                with open(path, "w", encoding="utf-8") as f:
                    f.write(t)
                r = check(path, "--offline")
                assert r.returncode == 0 and not r.stderr, (name, r)
            for line in text.splitlines():
                silent = re.match(r"^(nodes|pools|plugins| *ports| *coinbase):$", line) or not line.strip()
                assert silent or "#" in line or "difficulty:" in line or "payout: {scheme: solo}" in line, (name, line)
        in_folder(one)


def test_several_pools_share_what_is_found_once():
    """One wrong node of two pools is one finding."""
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(os.path.join(ROOT, "etc", "coins"), os.path.join(folder, "coins"))
        path = os.path.join(folder, "c.yaml")
        pool = ("  %s: {coin: bitcoin, nodes: [n], coinbase: {address: " + config_needs.SOME + "}, payout: {scheme: pplns}, "
                "ports: {%d: {}}}\n")
        with open(path, "w", encoding="utf-8") as f:
            f.write(f"data_dir: {folder}/data\nstore: {{use: sqlite}}\nnodes:\n  n: {{coin: bitcoin, network: regtest, "
                    f"rpc: \"http://127.0.0.1:{free_port()}\", user: u, password: p}}\npools:\n"
                    + pool % ("a", free_port()) + pool % ("b", free_port()) + "api: {off: true}\nmetrics: {off: true}\n")
        os.chmod(path, 0o600)
        assert len(faults_of(check(path))) == 1, check(path)


def faults_of(r):
    return [x for x in r.stderr.splitlines() if x.startswith("otedama: config: ") and ": warning: " not in x]


def finish():
    config_needs.finish()
