#!/usr/bin/env python3
"""./mk bench million [--connections N] [--write]: as many miners as fit, over processes on one port.

All connect, subscribe and authorize, and then do nothing; a new tip goes to all of them. Several generators at once, each
with source addresses of its own (127.x.y.z, 8,000 connections each). Printed: memory of the server, of its processes and
of the kernel, connections a second, CPU a connect and a tip, the spread of the tip. --write keeps the table in
docs/scaling.md. A process may have so many open files: that says how many processes the pool and the generators need.
"""
import argparse
import glob
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import run  # noqa: E402

MARK = ("<!-- million: written by ./mk bench million --write -->", "<!-- million: end -->")
SCALING = os.path.join(run.ROOT, "docs", "scaling.md")
ROOM = 2000        # open files of a process that no connection gets
BYTES = 7_600 + 1_100 + 200  # of a connection, both ends: kernel, pool, generator; see docs/scaling.md
TICKS = os.sysconf("SC_CLK_TCK")


class Pool(run.Pool):
    def __init__(self, processes, limit):
        super().__init__()
        self.more = ["--set", f"threads.processes={processes}", "--set", f"limits.connections={limit}", "--set",
                     "limits.prefix.connections=10000000", "--set", "limits.prefix.new_connections_a_second=1000000", "--set",
                     "limits.prefix.new_connections_burst=1000000", "--set", "limits.handshake=5m", "--set",
                     "pools.bench.refresh=10m"]

    def __enter__(self):
        popen = subprocess.Popen

        def with_more(words, **how):
            return popen([*words, *self.more], **how)
        subprocess.Popen = with_more
        try:
            return super().__enter__()
        finally:
            subprocess.Popen = popen

    def pids(self):
        return [p["pid"] for p in self.status()["processes"]]


def meminfo():
    with open("/proc/meminfo", encoding="utf-8") as f:
        m = {k: int(v) * 1024 for k, v in re.findall(r"^(\w+): +(\d+)", f.read(), re.M)}
    with open("/proc/slabinfo", encoding="utf-8") as f:
        slab = {x.split()[0]: int(x.split()[1]) * int(x.split()[3]) for x in f.read().splitlines()[2:]}
    with open("/proc/net/sockstat", encoding="utf-8") as f:
        m["tcp_pages"] = int(re.search(r"TCP:.* mem (\d+)", f.read())[1])
    return m, slab


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        parts = f.read().rsplit(")", 1)[1].split()
    return (int(parts[11]) + int(parts[12])) / TICKS


def state(pids):
    m, slab = meminfo()
    return {"at": time.monotonic(), "available": m["MemAvailable"], "slab": m["Slab"], "slabs": slab,
            "tcp_pages": m["tcp_pages"], "rss": [run.resident(p) for p in pids], "cpu": [cpu_s(p) for p in pids]}


def generators(folder, n, each):
    """Started all at once; each says by a file that its connections are ready, and waits for another to go on."""
    out = []
    for i in range((n + each - 1) // each):
        ready, go = os.path.join(folder, f"ready.{i}"), os.path.join(folder, "go")
        trigger = f"touch '{ready}'; while [ ! -e '{go}' ]; do sleep 0.02; done"
        words = [run.LOAD, "-m", "broadcast", "-n", str(min(each, n - i * each)), "-U", "1000", "-i", "32", "-r", "1", "-H", "0",
                 "-t", trigger, "127.0.0.1", str(run.PORT)]
        with open(os.path.join(folder, f"out.{i}"), "wb") as to, open(os.path.join(folder, f"err.{i}"), "wb") as err:
            out.append(subprocess.Popen(words, stdout=to, stderr=err))
    return out


def wait_ready(folder, load, seconds):
    until = time.monotonic() + seconds
    while len(glob.glob(os.path.join(folder, "ready.*"))) < len(load):
        for i, p in enumerate(load):
            if p.poll() is not None:
                with open(os.path.join(folder, f"err.{i}"), encoding="utf-8") as f:
                    raise run.Failed(f"generator {i} ended with {p.returncode}: {f.read()[-300:]}")
        if time.monotonic() > until:
            raise run.Failed(f"not all were connected within {seconds} s")
        time.sleep(0.01)


def results(folder, load):
    found = []
    for i, p in enumerate(load):
        p.wait(400)
        with open(os.path.join(folder, f"out.{i}"), encoding="utf-8") as f, \
                open(os.path.join(folder, f"err.{i}"), encoding="utf-8") as err:
            text = f.read()
            if p.returncode != 0:
                raise run.Failed(f"generator {i} ended with {p.returncode}: {err.read()[-300:] or text[-300:]}")
            found.append(json.loads(text))
    return found


def measure(n, processes, each):
    folder = tempfile.mkdtemp(prefix="otedama-million-")
    load = []
    try:
        with Pool(processes, n + 1000) as pool:
            until = time.monotonic() + 60
            while not all(p["state"] == "up" for p in pool.status()["processes"]):
                if time.monotonic() > until:
                    raise run.Failed("the processes do not serve: " + pool.output())
                time.sleep(0.05)
            pids = [pool.process.pid, *pool.pids()]
            before = state(pids)
            load = generators(folder, n, each)
            wait_ready(folder, load, 60 + n / 1000)
            connected = state(pids)
            generator_rss = sum(run.resident(p.pid) for p in load)
            said = [p["sessions"] for p in pool.status()["processes"]]
            if sum(said) != n:
                raise run.Failed(f"{n} are connected, the pool's status says {said}")
            time.sleep(1)
            idle = state(pids)
            open(os.path.join(folder, "go"), "wb").close()
            run.tool(run.PROGRAM, "chain", "--socket", pool.socket, "bench", "mine", "1")
            found = results(folder, load)
            time.sleep(1)
            after = state(pids)
            return {"n": n, "processes": processes, "each": each, "generators": len(load), "before": before, "connected": connected,
                    "idle": idle, "after": after, "generator_rss": generator_rss, "sessions": said, "found": found}
    finally:
        for p in load:
            if p.poll() is None:
                p.kill()
                p.wait()
        for f in glob.glob(os.path.join(folder, "*")):
            os.unlink(f)
        os.rmdir(folder)


def table(r, m, took):
    n, b, c, idle, a = r["n"], r["before"], r["connected"], r["idle"], r["after"]
    server = sum(c["rss"]) - sum(b["rss"])
    slab = c["slab"] - b["slab"]
    cpu = sum(c["cpu"]) - sum(b["cpu"])
    seconds = c["at"] - b["at"]
    first = min(x["first_real_ns"] for x in r["found"])
    spread = max(x["first_real_ns"] + x["kernel_after_first_ms"]["max"] * 1e6 for x in r["found"]) - first
    p99 = max((x["first_real_ns"] - first) / 1e6 + x["kernel_after_first_ms"]["p99"] for x in r["found"])
    tip_cpu = sum(a["cpu"]) - sum(idle["cpu"])
    caches = {k: (c["slabs"].get(k, 0) - b["slabs"].get(k, 0)) / n for k in ("TCP", "sock_inode_cache", "filp", "dentry", "eventpoll_epi")}
    ready = max(x["ready_ms"]["max"] for x in r["found"]) / 1000
    rows = [
        ("connections, authorised and idle", f"{n:,}"),
        ("server: processes, and the pool's own", f"{r['processes']} + 1"),
        ("generators", f"{r['generators']}"),
        ("connections of each process", f"{min(r['sessions']):,} to {max(r['sessions']):,}"),
        ("all connected after, s", f"{seconds:.1f}"),
        ("connections a second", f"{n / seconds:,.0f}"),
        ("slowest from connect to its first job, s", f"{ready:.2f}"),
        ("server CPU a connect, us", f"{cpu / n * 1e6:.1f}"),
        ("of it the pool's own process (accept, gate, hand over)", f"{(c['cpu'][0] - b['cpu'][0]) / n * 1e6:.1f}"),
        ("server memory a connection, bytes (all processes, resident)", f"{server / n:,.0f}"),
        ("of it the pool's own process", f"{(c['rss'][0] - b['rss'][0]) / n:,.0f}"),
        ("a process without connections, MiB", f"{min(b['rss'][1:]) / 2**20:.1f}"),
        ("a process with them, MiB", f"{min(c['rss'][1:]) / 2**20:.1f} to {max(c['rss'][1:]) / 2**20:.1f}"),
        ("the pool's own process with them, MiB", f"{c['rss'][0] / 2**20:.1f}"),
        ("kernel slab a connected pair, bytes", f"{slab / n:,.0f}"),
        ("of it " + ", ".join(f"{k} {v:,.0f}" for k, v in caches.items()), ""),
        ("memory that was available before, less after, a pair", f"{(b['available'] - c['available']) / n:,.0f}"),
        ("generators, bytes a connection", f"{r['generator_rss'] / n:,.0f}"),
        ("server CPU in a second with all idle, ms", f"{(sum(idle['cpu']) - sum(c['cpu'])) / (idle['at'] - c['at']) * 1000:.0f}"),
        ("a new tip: last miner after the first, ms", f"{spread / 1e6:.0f}"),
        ("99 % of a generator's miners within, ms", f"{p99:.0f}"),
        ("server CPU of that tip, ms", f"{tip_cpu * 1000:.0f}"),
        ("a miner, us", f"{tip_cpu / n * 1e6:.1f}"),
        ("the whole run took, s", f"{took:.0f}"),
    ]
    said = f"{m['processor']}, {m['memory']}, {m['kernel']}, commit {m['commit']}, {m['date']}"
    return "\n".join([f"`./mk bench million --connections {n}` on {said}; generators and server share the cores:", "",
                      "|  |  |", "| --- | ---: |", *(f"| {k} | {v} |" for k, v in rows), ""])


def write(text):
    with open(SCALING, encoding="utf-8") as f:
        old = f.read()
    head, rest = old.split(MARK[0], 1)
    with open(SCALING, "w", encoding="utf-8") as f:
        f.write(head + MARK[0] + "\n\n" + text + "\n" + MARK[1] + rest.split(MARK[1], 1)[1])


def main():
    a = argparse.ArgumentParser(prog="mk bench million", description=__doc__.split("\n")[0])
    a.add_argument("--connections", type=int, default=100_000, metavar="N", help="miners (default 100,000)")
    a.add_argument("--processes", type=int, default=0, metavar="P", help="of the pool; default: as many as open files want")
    a.add_argument("--write", action="store_true", help="keep the table in docs/scaling.md")
    o = a.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    each = max(min(hard - ROOM, 40_000), 1)
    need, free = o.connections * BYTES, meminfo()[0]["MemAvailable"]
    if need > 0.85 * free:
        fit = int(0.85 * free / BYTES)
        print(f"million: {o.connections:,} connections want about {need / 2**30:.1f} GiB for both ends, {free / 2**30:.1f} GiB are "
              f"available; this machine has room for about {fit:,}", file=sys.stderr)
        return 1
    processes = o.processes or (o.connections + each - 1) // each
    if processes > 64:
        print(f"million: {o.connections:,} connections want {processes} processes of {each:,} open files each, and the pool has at "
              f"most 64; raise ulimit -n (hard limit {hard:,})", file=sys.stderr)
        return 1
    began = time.monotonic()
    try:
        r = measure(o.connections, processes, each)
    except (run.Failed, subprocess.TimeoutExpired, OSError) as e:
        print(f"million: {e}", file=sys.stderr)
        return 1
    text = table(r, run.machine(), time.monotonic() - began)
    print(text)
    if o.write:
        write(text)
        print("wrote docs/scaling.md", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
