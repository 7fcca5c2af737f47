"""A start after kill -9 with many shares in the journals that the database does not have: time to the first job.

Two ways to have them: "ordered": the coordinator's journal has given them their places, so that a start counts them and plays
them into the payout schemes before it serves; "waiting": it has not, so that a start only checks them, and takes them in while
it serves. The journals are written by bench/journal_fill.c. hook: run.py's `restart`.
"""
import json
import os
import shutil
import sqlite3
import tempfile
import time

ACCOUNT = "bcrt1q3jzz8hqjs2nxnaweuge6lsxjca3kwr0kdkgd3d"
WORKERS = 1000
CASES = {"ordered": 1.0, "waiting": 0.0}


def leave(run, folder, shares, ordered):
    """A pool's data as a kill leaves it, with so many shares in its journals."""
    with run.Pool(folder) as p:
        journal = os.path.join(p.data, "journal")
        p.process.kill()
        p.process.wait()
    epoch = max(int(f[2:]) for f in os.listdir(journal) if f.startswith("r-"))
    run.tool(os.path.join(run.BUILD, "bench", "journal_fill"), os.path.join(journal, f"r-{epoch}"), str(epoch),
             os.path.join(journal, "coordinator"), "0", str(shares), str(ordered), str(WORKERS), "bench", ACCOUNT, timeout=600)
    return sum(os.path.getsize(os.path.join(d, x)) for d, _, files in os.walk(journal) for x in files)


def counted(run, data):
    """Shares in the stopped pool's database."""
    with sqlite3.connect(os.path.join(data, "otedama.db")) as db:
        n = db.execute("SELECT coalesce(sum(accepted), 0) FROM share_minutes").fetchone()[0]
    db.close()
    return n


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(run, figures, shares):
    for case, part in CASES.items():
        folder = tempfile.mkdtemp(prefix="otedama-bench-")
        try:
            size = leave(run, folder, shares, int(shares * part))
            with run.Pool(folder) as p:
                start, began, cpu = p.start_ms, time.monotonic(), cpu_s(p.process.pid)
                while p.status()["accounting"]["waiting"]:
                    time.sleep(0.1)
                caught_up = time.monotonic() - began
            if counted(run, os.path.join(folder, "data")) != shares:
                raise run.Failed(f"restart {case}: {shares} shares were in the journals,"
                                 f" {counted(run, os.path.join(folder, 'data'))} are in the database")
            figures.add(f"restart {case}", {"shares": shares, "start_ms": start, "cpu_s": cpu, "journal": size,
                                            "caught_up_s": caught_up})
            run.say(f"  restart, {shares:,} shares {case}: first job after {start:.0f} ms ({cpu:.2f} s of CPU), all in the database"
                    f" {caught_up:.1f} s later")
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def table(of, number=lambda v: f"{v:,.2f}"):
    """Lines for people; of: the figures."""
    lines = ["", "### A restart after kill -9", "", "| shares in the journals | journals | first job | CPU until then | all in the database |",
             "|---|---|---|---|---|"]
    for case in CASES:
        f = {k: sorted(v)[len(v) // 2] for k, v in of.get(f"restart {case}", {}).items()}
        if f:
            lines.append(f"| {f['shares']:,}, {case} | {f['journal'] / 2**20:.0f} MiB | {number(f['start_ms'] / 1000)} s |"
                         f" {number(f['cpu_s'])} s |"
                         f" {number(f['caught_up_s'])} s later |")
    return lines if len(lines) > 5 else []
