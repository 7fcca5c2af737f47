"""The load generator against a pool on etc/bench.yaml: nothing is refused, and every accepted share is counted."""
import contextlib
import json
import os
import re
import sqlite3
import subprocess

from pool import BUILD, ROOT, Pool, wait_for


def bench_pool():
    with open(os.path.join(ROOT, "etc", "bench.yaml"), encoding="utf-8") as f:
        text = f.read()
    # The same file, but for its folder and ports: tests run beside whatever else is there.
    for pattern, ours in ((r"^data_dir:.*$", "data_dir: {dir}"), (r"^( +)3335:$", r"\1{port}:"),
                          (r"^api:.*$", 'api: {listen: "127.0.0.1:{api}"}'),
                          (r"^metrics:.*$", 'metrics: {listen: "127.0.0.1:{metrics}"}')):
        text, n = re.subn(pattern, ours, text, flags=re.M)
        assert n == 1, f"etc/bench.yaml has no line like {pattern}"
    return Pool(text, args=("--quiet",))


def run_load(pool, *words):
    """Built on demand: the benches are no part of the program."""
    subprocess.run(["ninja", "-C", BUILD, "stratum_load"], check=True, capture_output=True, timeout=300)
    r = subprocess.run([os.path.join(BUILD, "bench", "stratum_load"), *words, "-P", str(pool.process.pid),
                        "127.0.0.1", str(pool.port)], capture_output=True, text=True, timeout=400)
    assert r.returncode == 0, f"exit status {r.returncode}: {r.stderr}{r.stdout}"
    return json.loads(r.stdout)


def sql_accepted(pool):
    """Of a pool that is stopped: the database belongs to one process."""
    with contextlib.closing(sqlite3.connect(os.path.join(pool.folder, "data", "otedama.db"))) as db:
        return db.execute("SELECT sum(accepted) FROM share_minutes").fetchone()[0]


def test_every_share_of_a_load_is_counted_once():
    with bench_pool() as pool:
        pool.start()
        r = run_load(pool, "-n", "20", "-w", "4", "-d", "2")
        assert r["refused"] == 0 and r["refused_by"] == {}, r
        assert r["lost"] == 0 and r["unanswered"] == 0 and r["unexpected"] == 0, r
        assert r["accepted"] > 0, r
        # Accounting follows the journals.
        wait_for(lambda: pool.status()["pools"][0]["accepted"] >= r["accepted"], about="the account of all shares")
        status = pool.status()
        assert status["pools"][0]["accepted"] == r["accepted"], (status["pools"], r)
        assert sum(w["accepted"] for w in status["workers"]) == r["accepted"], (status["workers"], r)
        # Drained; and once more over the same folder: in the database all of them are there, once.
        assert pool.stop() == 0
        assert sql_accepted(pool) == r["accepted"], (sql_accepted(pool), r)
        pool.start()
        assert pool.stop() == 0
        assert sql_accepted(pool) == r["accepted"], (sql_accepted(pool), r)


def test_the_load_generator_loads_this_machine_only():
    subprocess.run(["ninja", "-C", BUILD, "stratum_load"], check=True, capture_output=True, timeout=300)
    for host in ("10.0.0.1", "128.0.0.1", "localhost", "::1"):
        r = subprocess.run([os.path.join(BUILD, "bench", "stratum_load"), host, "3335"], capture_output=True,
                           text=True, timeout=180)
        assert r.returncode == 2 and "127.0.0.0/8" in r.stderr, (host, r)
