#!/usr/bin/env python3
"""./mk bench [NAME..] [--write]: measures build/otedama on etc/bench.yaml, and prints tables.

NAME: shares latency hostile idle start broadcast sync validate sha256 scrypt day payment restart (default: all);
tip, alone: a new block on a real node, with options of its own.
--rounds N (3), --seconds S a round (10), --json FILE keeps every figure, --write writes docs/performance.md. Every measurement has a fresh pool; rounds of
all cases take turns, with bench/null_server, the honest floor, among them. The median and the range are given.
"""
import argparse
import json
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path.insert(0, HERE)
import report  # noqa: E402
import restart  # noqa: E402

BUILD = os.environ.get("OTEDAMA_BUILD", os.path.join(ROOT, "build"))
PROGRAM = os.path.join(BUILD, "otedama")
LOAD = os.path.join(BUILD, "bench", "stratum_load")
NAMES = ["shares", "latency", "hostile", "idle", "start", "broadcast", "sync", "validate", "sha256", "scrypt", "day",
         "payment", "restart"]
DAY = 86_400_000  # shares: a day at 1,000 a second
PORT = 3335
SHARES = [(100, 16), (100, 1), (10, 4), (1000, 4)]
IDLE = [1000, 10000]
HOSTILE = ["flood", "gentle", "duplicate", "low", "stale", "garbage", "endless", "deep", "nested", "half-open", "loris",
           "churn"]


def say(text):
    print(text, file=sys.stderr, flush=True)


class Failed(Exception):
    pass


def tool(*words, timeout=300):
    r = subprocess.run(words, capture_output=True, text=True, timeout=timeout)
    if r.returncode != 0:
        raise Failed(f"{' '.join(words)}: exit status {r.returncode}: {r.stderr.strip() or r.stdout.strip()}")
    return r.stdout


given = set()


def free_port():
    """A port that nobody listens on and that was not given before: api and metrics of one pool must differ."""
    while True:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        if port not in given:
            given.add(port)
            return port


class Pool:
    """build/otedama serve -c etc/bench.yaml in a temporary folder. start_ms: to the answer of a first miner."""

    def __init__(self, folder=None):
        self.folder = folder or tempfile.mkdtemp(prefix="otedama-bench-")
        self.keep = folder is not None
        self.data = os.path.join(self.folder, "data")
        self.socket = os.path.join(self.data, "otedama.sock")

    def __enter__(self):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", PORT))
            except OSError:
                raise Failed(f"port {PORT} is taken: end the program that has it") from None
        self.out = open(os.path.join(self.folder, "out.txt"), "ab")
        self.metrics_port = free_port()
        began = time.monotonic()
        self.process = subprocess.Popen(
            [PROGRAM, "serve", "-c", os.path.join(ROOT, "etc", "bench.yaml"), "--quiet", "--set",
             f"data_dir={self.data}", "--set", f"api.listen=127.0.0.1:{free_port()}", "--set",
             f"metrics.listen=127.0.0.1:{self.metrics_port}"],
            cwd=self.folder, stdout=self.out, stderr=subprocess.STDOUT,
            env=dict(os.environ, XDG_RUNTIME_DIR=self.folder))
        while not self.answers():
            if self.process.poll() is not None:
                raise Failed("the pool ended: " + self.output())
            if time.monotonic() - began > 60:
                raise Failed("the pool did not answer within 60 s: " + self.output())
            time.sleep(0.0005)
        self.start_ms = (time.monotonic() - began) * 1000
        return self

    def answers(self):
        """A first miner: connected, subscribed, and a job is there."""
        try:
            with socket.create_connection(("127.0.0.1", PORT), timeout=10) as s:
                s.sendall(b'{"id":1,"method":"mining.subscribe","params":["start"]}\n')
                got = b""
                while b"mining.notify\",\"params" not in got.replace(b" ", b""):
                    part = s.recv(65536)
                    if not part:
                        return False
                    got += part
                return True
        except OSError:
            return False

    def output(self):
        with open(os.path.join(self.folder, "out.txt"), encoding="utf-8", errors="replace") as f:
            return f.read()[-1000:]

    def status(self):
        return json.loads(tool(PROGRAM, "status", "--socket", self.socket, "--json"))

    def metric_ms(self, name, percent):
        """The upper bound of the bucket in which this part of a histogram's values ends."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=20) as f:
            text = f.read().decode()
        buckets = [(float(m[1]), int(m[2])) for m in
                   re.finditer(rf'^{name}_bucket{{[^}}]*le="([^"+]+)"}} (\d+)', text, re.M)]
        total = int(re.search(rf"^{name}_count(?:{{[^}}]*}})? (\d+)", text, re.M)[1])
        return next((le * 1000 for le, n in buckets if n >= total * percent / 100), None) if total else None

    def check_accepted(self, accepted):
        """Accounting follows the journals, and must come to what the generator counted."""
        until = time.monotonic() + 10
        while (said := self.status()["pools"][0]["accepted"]) != accepted:
            if said > accepted or time.monotonic() > until:
                raise Failed(f"{accepted} shares were accepted, the pool's status says {said}")
            time.sleep(0.1)

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.out.close()
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)


class NullServer:
    def __init__(self, *options):
        self.options = options

    def __enter__(self):
        self.process = subprocess.Popen([os.path.join(BUILD, "bench", "null_server"), *self.options],
                                        stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def load(pid, port, *words):
    return json.loads(tool(LOAD, *words, "-P", str(pid), "127.0.0.1", str(port)))


class Figures:
    """name -> key -> one value a round."""

    def __init__(self):
        self.of = {}

    def add(self, name, values):
        for key, value in values.items():
            if isinstance(value, dict) and key.endswith("_ms"):
                for k, v in value.items():
                    self.add(name, {f"{key[:-3]}_{k}_ms": v})
            elif isinstance(value, (int, float)):
                self.of.setdefault(name, {}).setdefault(key, []).append(value)

    def median(self, name, key):
        v = self.of.get(name, {}).get(key)
        return statistics.median(v) if v else None


def share_words(n, w, seconds):
    return ["-m", "shares", "-n", str(n), "-w", str(w), "-d", str(seconds)]


def measure_shares(f, seconds):
    for n, w in SHARES:
        words = share_words(n, w, seconds)
        with Pool() as p:
            r = load(p.process.pid, PORT, *words)
            if r["refused"]:
                raise Failed(f"{n} x {w}: {r['refused']} shares were refused: {r['refused_by']}")
            p.check_accepted(r["accepted"])
            f.add(f"pool {n}x{w}", r)
            f.add("start, new data_dir", {"ms": p.start_ms})
        say(f"  pool {n} x {w}: {r['accepted_per_s']:.0f}/s, {r['server_cpu_us_per_share']:.2f} us a share")
        with NullServer("-V") as s:
            r = load(s.process.pid, s.port, *words)
            f.add(f"null {n}x{w}", r)
        say(f"  null {n} x {w}: {r['accepted_per_s']:.0f}/s, {r['server_cpu_us_per_share']:.2f} us a share")


def measure_latency(f, seconds):
    """Half of what 100 connections can do by the clock: where shares come in a row, a round brings more of them."""
    with Pool() as p:
        most = load(p.process.pid, PORT, *share_words(100, 16, seconds / 2))["accepted_per_s"]
    with Pool() as p:
        full = load(p.process.pid, PORT, *share_words(100, 16, seconds / 2), "-s", str(int(most)))["accepted_per_s"]
    with Pool() as p:
        r = load(p.process.pid, PORT, *share_words(100, 16, seconds), "-s", str(int(full / 2)))
        r["validation_p99_ms"] = p.metric_ms("otd_share_validation_seconds", 99)
    f.add("latency", dict(r, full_per_s=full))
    say(f"  half load: {r['accepted_per_s']:.0f}/s, p99 {r['latency_ms']['p99']:.2f} ms")


def measure_hostile(f, seconds):
    for kind in HOSTILE:
        words = ["-m", "hostile", "-k", kind, "-n", "50", "-w", "4", "-d", str(seconds / 2)]
        for name, server in (("pool", Pool()), ("null", NullServer("-V"))):
            with server as s:
                try:
                    r = load(s.process.pid, getattr(s, "port", PORT), *words)
                except Failed as e:
                    if name == "pool":
                        raise
                    say(f"  null_server beside {kind}: {e}")  # it has no defences
                    continue
            r["rss_grew_kib"] = r["rss_end_kib"] - r["rss_after_kib"]
            f.add(f"{name} beside {kind}", r)
            say(f"  {name} beside {kind}: {r['beside_per_cent']:.0f} %, p99 {r['latency_ms']['p99']:.2f} ms")


def measure_validate(f):
    """Its rounds take turns inside."""
    text = tool(os.path.join(BUILD, "bench", "bench_validate"), "9")
    for m in re.finditer(r"^validate (.{36}) +([\d.]+) M/s", text, re.M):
        f.add(f"validate {m[1].strip()}", {"ms": float(m[2])})
    say("  " + text.splitlines()[1])


def measure_idle(f):
    for n in IDLE:
        for name, server in (("pool", Pool()), ("null", NullServer("-V"))):
            with server as s:
                r = load(s.process.pid, getattr(s, "port", PORT), "-m", "idle", "-n", str(n), "-H", "3")
            f.add(f"{name} idle {n}", r)
            say(f"  {name} idle {n}: {r['bytes_per_connection']:.0f} bytes, {r['connects_per_s']:.0f} connections/s")


def measure_start(f):
    folder = tempfile.mkdtemp(prefix="otedama-bench-")
    try:
        with Pool(folder) as p:
            f.add("start, new data_dir", {"ms": p.start_ms})
            f.add("shares before the second start", {"n": load(p.process.pid, PORT, *share_words(100, 16, 3))["accepted"]})
        with Pool(folder) as p:
            f.add("start, after that run", {"ms": p.start_ms})
            say(f"  start: {p.start_ms:.1f} ms with an existing data_dir")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure_broadcast(f):
    for n in IDLE:
        with Pool() as p:
            trigger = f"'{PROGRAM}' chain --socket '{p.socket}' bench mine 1 >/dev/null"
            r = load(p.process.pid, PORT, "-m", "broadcast", "-n", str(n), "-r", "3", "-t", trigger)
        f.add(f"pool broadcast {n}", r)
        say(f"  broadcast to {n}: last {r['kernel_after_first_ms']['max']:.1f} ms after the first")
        with NullServer("-V") as s:
            r = load(s.process.pid, s.port, "-m", "broadcast", "-n", str(n), "-r", "3", "-t", f"kill -USR1 {s.process.pid}")
        f.add(f"null broadcast {n}", r)
        say(f"  null_server to {n}: last {r['kernel_after_first_ms']['max']:.1f} ms")


def measure_sync(f):
    r = json.loads(tool(os.path.join(BUILD, "bench", "journal_sync"), tempfile.gettempdir()))
    for n, values in r["records_a_sync"].items():
        f.add(f"sync of {n}", values)


def measure_sha256(f):
    """Its rounds take turns inside."""
    text = tool(os.path.join(BUILD, "bench", "bench_sha256"), "9")
    for m in re.finditer(r"^sha256d (.{22}) (.{18}) +([\d.]+) MH/s \(([\d.]+) to ([\d.]+)\)$", text, re.M):
        f.add(f"sha256 {m[1].strip()}, {m[2].strip()}", {"mhs": float(m[3])})
    say(text.splitlines()[0])
    return text.splitlines()[0]


def measure_scrypt(f):
    """Its rounds take turns inside."""
    text = tool(os.path.join(BUILD, "bench", "bench_scrypt"), "9")
    for m in re.finditer(r"^scrypt (.{26}) +([\d.]+) kH/s", text, re.M):
        f.add(f"scrypt {m[1].strip()}", {"khs": float(m[2])})
    say("  " + text.splitlines()[1])


def tree_bytes(folder):
    return sum(os.path.getsize(os.path.join(d, x)) for d, _, files in os.walk(folder) for x in files)


def measure_day(f, shares):
    """As many shares as a day at 1,000 a second has, as fast as they go: what they leave on disk and in memory."""
    with Pool() as p:
        before, peak, done, largest = resident(p.process.pid), 0, 0, 0
        began = time.monotonic()
        while done < shares:
            # A share is unlike all others of its tip; a reactor remembers 16 Mi of them.
            tool(PROGRAM, "chain", "--socket", p.socket, "bench", "mine", "1")
            r = load(p.process.pid, PORT, *share_words(100, 16, 10))
            done += r["accepted"]
            peak = max(peak, resident(p.process.pid))
            largest = max(largest, tree_bytes(os.path.join(p.data, "journal")))
            say(f"  day: {done:,} of {shares:,} shares, {peak / 2**20:.1f} MiB, {largest / 2**20:.0f} MiB of journal")
        took = time.monotonic() - began
        p.check_accepted(done)
        f.add("day", {"shares": done, "seconds": took, "resident before": before, "resident": peak,
                      "journal": largest, "database": tree_bytes(p.data) - tree_bytes(os.path.join(p.data, "journal"))})
        folder = p.folder
        p.keep = True
    try:
        with Pool(folder) as p:
            f.add("day", {"start_ms": p.start_ms})
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def resident(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
        return int(re.search(r"^Rss: +(\d+)", file.read(), re.M)[1]) * 1024


def measure_payment(f, recipients):
    """A batch of so many recipients out of a litecoind's wallet, by bench/payment.py."""
    r = json.loads(tool(sys.executable, os.path.join(HERE, "payment.py"), str(recipients), timeout=900))
    f.add("payment", r)
    say(f"  payment to {recipients}: on its way after {r['sent_ms']:.0f} ms")


def first_line(*words):
    try:
        return subprocess.run(words, capture_output=True, text=True, cwd=ROOT, timeout=20).stdout.splitlines()[0]
    except (OSError, IndexError):
        return "unknown"


def cache(key):
    try:
        with open(os.path.join(BUILD, "CMakeCache.txt"), encoding="utf-8") as f:
            return next((x.split("=", 1)[1].strip() for x in f if x.startswith(key + ":")), "")
    except OSError:
        return ""


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = next((x.split(":", 1)[1].strip() for x in f if x.startswith("model name")), platform.machine())
    with open("/proc/meminfo", encoding="utf-8") as f:
        memory = int(re.search(r"MemTotal: +(\d+)", f.read())[1]) / 1048576
    changed = subprocess.run(["git", "status", "--porcelain", "--untracked-files=no", "core", "plugins", "bench"],
                             capture_output=True, text=True, cwd=ROOT).stdout.strip()
    return {
        "processor": f"{model}, {os.cpu_count()} cores", "memory": f"{memory:.0f} GB",
        "kernel": f"{platform.system()} {platform.release()}",
        "system": first_line("sh", "-c", ". /etc/os-release && echo \"$PRETTY_NAME\""),
        "compiler": first_line(cache("CMAKE_C_COMPILER") or "cc", "--version"),
        "build": f"{cache('CMAKE_BUILD_TYPE')} {cache('CMAKE_C_FLAGS_' + cache('CMAKE_BUILD_TYPE').upper())}".strip(),
        "commit": first_line("git", "rev-parse", "--short=12", "HEAD") + (" with changes" if changed else ""),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "disk": " ".join(first_line("findmnt", "-no", "FSTYPE,SOURCE", "-T", tempfile.gettempdir()).split()),
    }


def main():
    a = argparse.ArgumentParser(prog="mk bench", description=__doc__.split("\n")[0])
    a.add_argument("names", nargs="*", metavar="NAME", help=" ".join(NAMES))
    a.add_argument("--write", action="store_true", help="write docs/performance.md")
    a.add_argument("--rounds", type=int, default=3)
    a.add_argument("--seconds", type=float, default=10)
    a.add_argument("--json", metavar="FILE")
    a.add_argument("--day-shares", type=int, default=DAY, metavar="N", help="day: fewer than a day's shares")
    a.add_argument("--restart-shares", type=int, default=10_000_000, metavar="N", help="restart: in the journals")
    a.add_argument("--recipients", type=int, default=1000, metavar="N", help="payment: recipients")
    if sys.argv[1:2] == ["tip"]:  # on a real node, with options of its own
        os.execv(sys.executable, [sys.executable, os.path.join(HERE, "tip.py"), *sys.argv[2:]])
    o = a.parse_args()
    unknown = [x for x in o.names if x not in NAMES]
    if unknown:
        a.error(f"unknown name '{unknown[0]}'; names: {' '.join(NAMES)}")
    if o.write and (o.names or o.rounds < 3):
        a.error("--write is for all of them, in at least 3 rounds")
    wanted, f, kernel, before = o.names or NAMES, Figures(), "", os.getloadavg()
    try:
        for r in range(o.rounds):
            say(f"round {r + 1} of {o.rounds}")
            if "shares" in wanted:
                measure_shares(f, o.seconds)
            if "latency" in wanted:
                measure_latency(f, o.seconds)
            if "hostile" in wanted:
                measure_hostile(f, o.seconds)
            if "idle" in wanted:
                measure_idle(f)
            if "start" in wanted:
                measure_start(f)
            if "broadcast" in wanted:
                measure_broadcast(f)
            if "sync" in wanted:
                measure_sync(f)
            if "validate" in wanted:
                measure_validate(f)
            if "sha256" in wanted:
                kernel = measure_sha256(f)
            if "scrypt" in wanted:
                measure_scrypt(f)
            if "payment" in wanted and r == 0:
                measure_payment(f, o.recipients)
            if "restart" in wanted and r == 0:
                restart.measure(sys.modules[__name__], f, o.restart_shares)
            if "day" in wanted and r == 0:
                measure_day(f, o.day_shares)
    except (Failed, subprocess.TimeoutExpired, OSError) as e:
        say(f"bench: {e}")
        return 1
    m = machine()
    m["load before"] = f"{before[0]:.1f} processes ran or waited to, in the minute before the first measurement"
    text = report.tables(f.of, m, o, kernel) + "\n".join(restart.table(f.of)) + "\n"
    print(text)
    if o.json:
        with open(o.json, "w", encoding="utf-8") as out:
            json.dump({"machine": m, "figures": f.of}, out, indent=1)
    if o.write:
        os.makedirs(os.path.join(ROOT, "docs"), exist_ok=True)
        with open(os.path.join(ROOT, "docs", "performance.md"), "w", encoding="utf-8") as out:
            out.write(report.document(text))
        say("wrote docs/performance.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
