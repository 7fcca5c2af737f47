"""The service: its unit, what it says to systemd and journald, that it runs within the unit's limits; and the
manual page and the completion that are made from --help."""
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

import pool as pool_module
from devnet import Miner, devnet, healthy
from pool import PROGRAM, ROOT, Pool, address, wait_for
from skip import Skip

UNIT = os.path.join(ROOT, "deploy", "otedama.service")
HERE = os.path.dirname(os.path.abspath(__file__))
WORST = 1.5  # of systemd-analyze security: 0 is sealed, 10 is open


def need(*programs):
    for p in programs:
        if not shutil.which(p):
            raise Skip(f"{p} is not installed")


def output(*argv, **kw):
    r = subprocess.run(argv, capture_output=True, text=True, timeout=120, **kw)
    assert r.returncode == 0, f"{' '.join(argv)}: {r.returncode}\n{r.stdout}{r.stderr}"
    return r.stdout + r.stderr


# --- the unit ---

def test_the_unit_is_valid():
    need("systemd-analyze")
    with tempfile.TemporaryDirectory() as folder, open(UNIT, encoding="utf-8") as f:
        unit = os.path.join(folder, "otedama.service")
        text = f.read().replace("/usr/bin/otedama", os.path.abspath(PROGRAM))
        with open(unit, "w", encoding="utf-8") as g:
            g.write(re.sub(r"^Documentation=.*\n", "", text, flags=re.M))
        said = output("systemd-analyze", "verify", "--man=no", unit)
        assert "otedama" not in said, said


def test_the_unit_is_hardened():
    need("systemd-analyze")
    said = output("systemd-analyze", "security", "--offline=true", "--no-pager", UNIT)
    score = float(re.search(r"Overall exposure level for \S+: ([\d.]+)", said).group(1))
    assert score <= WORST, f"{score}, at most {WORST}:\n{said}"


# --- sd_notify ---

class Manager(threading.Thread):
    """Receives what a service sends. .said: (seconds, message)"""

    def __init__(self, name):
        super().__init__(daemon=True)
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(name)
        self.said = []
        self.start()

    def run(self):
        while True:
            try:
                self.said.append((time.monotonic(), self.sock.recv(4096).decode()))
            except OSError:
                return

    def messages(self, word):
        return [(t, m) for t, m in list(self.said) if word in m.split("\n")]


def test_it_tells_the_service_manager():
    for abstract in (False, True):
        with Pool(devnet()) as pool:
            path = os.path.join(pool.folder, "notify")
            manager = Manager("\0" + path if abstract else path)
            pool.env = {"NOTIFY_SOCKET": ("@" if abstract else "") + path, "WATCHDOG_USEC": "3000000"}
            pool.start(wait=False)
            wait_for(lambda: manager.messages("READY=1"), 20, about="READY=1")
            assert pool.is_serving(), "READY=1 came before the port listens"
            assert "STATUS=serving: 1 pool, " in manager.messages("READY=1")[0][1]
            wait_for(lambda: len(manager.messages("WATCHDOG=1")) >= 4, 15, about="signs of life")
            times = [t for t, _ in manager.messages("WATCHDOG=1")]
            gaps = sorted(b - a for a, b in zip(times, times[1:]))
            assert gaps[len(gaps) // 2] < 2.9, f"signs of life come too late: {gaps}"
            wait_for(lambda: [m for _, m in manager.said if m.startswith("STATUS=")], 10, about="a status")
            assert not manager.messages("STOPPING=1")
            assert pool.stop() == 0
            wait_for(lambda: manager.messages("STOPPING=1"), 5, about="STOPPING=1")
            manager.sock.close()


def test_the_watchdog_is_for_the_process_it_names():
    with Pool(devnet()) as pool:
        manager = Manager(os.path.join(pool.folder, "notify"))
        pool.env = {"NOTIFY_SOCKET": os.path.join(pool.folder, "notify"), "WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"}
        pool.start()
        wait_for(lambda: manager.messages("READY=1"), about="READY=1")
        time.sleep(0.7)
        assert not manager.messages("WATCHDOG=1"), manager.said
        assert pool.stop() == 0


def test_a_socket_that_is_not_there_costs_nothing():
    with Pool(devnet()) as pool:
        pool.env = {"NOTIFY_SOCKET": os.path.join(pool.folder, "nobody"), "WATCHDOG_USEC": "100000"}
        pool.start()
        time.sleep(0.5)
        assert pool.stop() == 0
        assert pool.output().count("notify.failed") == 1, "said once, and no more"


# --- journald ---

def test_lines_for_journald():
    for form in ("logfmt", "json"):
        with Pool(devnet().replace("log: {level: debug", f"log: {{format: {form}, level: debug")) as pool:
            log = os.path.join(pool.folder, "out.txt")
            open(log, "ab").close()
            st = os.stat(log)
            pool.env = {"JOURNAL_STREAM": f"{st.st_dev}:{st.st_ino}"}
            pool.start()
            assert pool.stop() == 0
            lines = [x for x in pool.output().splitlines() if "event" in x]
            assert len(lines) > 5
            for x in lines:
                n, rest = re.match(r"<(\d)>(.*)$", x).groups()
                level = json.loads(rest)["level"] if form == "json" else re.search(r"level=(\w+)", rest).group(1)
                assert int(n) == {"error": 3, "warn": 4, "info": 6, "debug": 7, "trace": 7}[level], x
                assert "ts" not in rest.split("level")[0], f"journald has the time: {x}"
            # A stream that is not ours: the usual lines.
            pool.env = {"JOURNAL_STREAM": f"{st.st_dev}:{st.st_ino + 1}"}
            at = os.path.getsize(log)
            pool.start()
            assert pool.stop() == 0
            with open(log, encoding="utf-8") as f:
                f.seek(at)
                usual = [x for x in f.read().splitlines() if "event" in x]
            assert usual and all(x.startswith(("ts=", '{"ts"')) for x in usual), usual[:2]


# --- within the unit's limits ---

def test_it_runs_within_the_units_limits():
    """Every system call that the unit forbids is refused here too, by the same list: all that a pool does goes on."""
    need("systemd-analyze", "unshare", "cc")
    if os.geteuid() != 0:
        raise Skip("mounts of its own need root")
    probe = subprocess.run(["unshare", "--mount", "mount", "--make-rprivate", "/"], capture_output=True)
    if probe.returncode != 0:
        raise Skip("no mounts of its own here")
    text = devnet(bits="1f00ffff", top="plugins: {enable: [algo/*, chain/*, payout/*, store/*, hw/*]}\nminer: {account: " + address(9) + "}")
    with Pool(text) as pool:
        os.makedirs(os.path.join(pool.folder, "data"))
        wrapper = os.path.join(pool.folder, "wrapper")
        with open(wrapper, "w", encoding="utf-8") as f:
            f.write(f"#!/bin/sh\nexec {sys.executable} {HERE}/confine.py {UNIT} {pool.folder}/data {PROGRAM} \"$@\"\n")
        os.chmod(wrapper, 0o755)
        pool_module.PROGRAM = wrapper
        try:
            pool.start()
        finally:
            pool_module.PROGRAM = PROGRAM
        with open(f"/proc/{pool.process.pid}/status", encoding="ascii") as f:
            status = dict(x.split(":\t") for x in f.read().splitlines() if ":\t" in x)
        assert status["Seccomp"] == "2" and status["NoNewPrivs"] == "1" and int(status["CapEff"], 16) == 0, status
        m = Miner(pool.port, address(8) + ".confined", ahead=4)
        wait_for(lambda: m.acknowledged > 50, 30, about="shares")
        wait_for(lambda: pool.status()["blocks"], 60, about="a block")
        wait_for(lambda: pool.status()["pools"][0]["accepted"] > 50, about="their count in the status")
        wait_for(lambda: healthy(pool), about="its health")
        # What it may not write to: said, and nothing happens to the pool.
        r = pool.command("backup", "-c", pool.config, os.path.join(pool.folder, "b"), check=False)
        assert r.returncode == 1 and "Read-only file system" in r.stderr, r.stderr
        m.stop()
        assert all("stale" in x for x in m.refused), m.refused[:3]  # blocks come by the second
        assert pool.stop() == 0, pool.output()[-2000:]
        assert "Operation not permitted" not in pool.output(), pool.output()[-2000:]
        assert os.path.exists(os.path.join(pool.folder, "data", "otedama.db"))


def test_the_limits_of_the_test_hold():
    """The cage of the test above is one: what is forbidden fails in it."""
    need("systemd-analyze", "unshare", "cc")
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
        raise Skip("no mounts of its own here")
    code = ("import os,socket,ctypes,mmap\n"
            "def no(f):\n"
            "    try: f()\n"
            "    except OSError as e: return e.errno\n"
            "    return 0\n"
            "print(no(lambda: open('/etc/otedama-test','w')), no(lambda: socket.socket(17, 3)),"
            " no(lambda: os.sched_setaffinity(0, {0})), no(lambda: os.chroot('/')),"
            " no(lambda: mmap.mmap(-1, 4096, prot=7)), os.path.exists('/proc/cpuinfo'), socket.socket() is not None)")
    with tempfile.TemporaryDirectory() as folder:
        said = output(sys.executable, os.path.join(HERE, "confine.py"), UNIT, folder, sys.executable, "-c", code).split()
    assert said[:4] == ["30", "97", "1", "1"] and said[4] in ("13", "1") and said[5:] == ["False", "True"], said


# --- what is made from --help ---

def generated(kind):
    return output(sys.executable, os.path.join(ROOT, "tools", "gen_cli.py"), kind, PROGRAM)


def commands():
    return re.findall(r"^  otedama (\S+)", output(PROGRAM, "help"), re.M)


def test_the_manual_page():
    need("groff")
    page = generated("man")
    r = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-P-cbou"], input=page, capture_output=True, text=True, timeout=180)
    assert r.returncode == 0 and not r.stderr, r.stderr
    for c in commands():
        text = output(PROGRAM, c, "--help")
        assert f"otedama {c}" in r.stdout, c
        for flag in re.findall(r"^  (?:-\w, |    )(--[\w-]+)", text, re.M):
            assert flag in r.stdout, f"{c} {flag}"


def complete(script, *words):
    """What bash offers for the last of the words."""
    lines = [f"source {script}", "COMP_WORDS=(" + " ".join(f"'{w}'" for w in ("otedama", *words)) + ")",
             f"COMP_CWORD={len(words)}", "_otedama", 'printf "%s\\n" "${COMPREPLY[@]}"']
    return set(output("bash", "-c", "\n".join(lines)).split())


def test_completion():
    need("bash")
    with tempfile.TemporaryDirectory() as folder:
        script = os.path.join(folder, "otedama")
        with open(script, "w", encoding="utf-8") as f:
            f.write(generated("bash"))
        os.makedirs(os.path.join(folder, "adir"))
        with open(os.path.join(folder, "afile.yaml"), "w", encoding="utf-8"):
            pass
        offered = complete(script, "")
        assert set(commands()) <= offered and "--version" in offered, offered
        for c in commands():
            text = output(PROGRAM, c, "--help")
            flags = set(re.findall(r"^  (?:-\w, |    )(--[\w-]+)", text, re.M))
            letters = set(re.findall(r"^  (-\w), --", text, re.M))
            missing = (flags | letters) - complete(script, c, "-")
            assert flags and not missing, f"{c}: {missing} is not offered"
            assert "--help" in complete(script, c, "x", "--he"), c
        verbs = set(re.findall(r"\{\"(\w+)\", \"\1", open(os.path.join(ROOT, "core", "pool", "payer", "payer_ask.c"), encoding="utf-8").read()))
        assert len(verbs) == 9 and verbs <= complete(script, "payment", ""), complete(script, "payment", "")
        assert complete(script, "stat") == {"status"}
        assert complete(script, "ledger", "") >= {"verify", "--config"}
        assert complete(script, "config", "pr") == {"print"}
        assert "--force" in complete(script, "restore", "--f") and "--json" not in complete(script, "restore", "-")
        start = os.path.join(folder, "a")
        both = {os.path.join(folder, "afile.yaml"), os.path.join(folder, "adir")}
        assert complete(script, "serve", "-c", start) == both
        assert complete(script, "serve", "--config", start) == both
        assert complete(script, "restore", "-c", "x.yaml", start) == {os.path.join(folder, "adir")}
        assert complete(script, "backup", start) == {os.path.join(folder, "adir")}
        assert complete(script, "mine", "-a", "") == set()
        assert complete(script, "nosuch", "") == set()
