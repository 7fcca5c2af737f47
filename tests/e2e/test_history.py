"""Old counts of shares in a pool that runs: summed by the hour, then dropped, and nobody's sums change for it."""
import contextlib
import os
import re
import sqlite3
import time

from devnet import Miner, devnet, verified
from pool import Pool, address, wait_for

DAYS = 410  # history.hours keeps 400


def database(pool):
    return contextlib.closing(sqlite3.connect(os.path.join(pool.folder, "data", "otedama.db")))


def wide(b):
    return int.from_bytes(b, "big") - (1 << 127)


def sums(db, since, until):
    rows = db.execute("SELECT worker_id, accepted, work FROM share_minutes WHERE minute >= ? AND minute < ?", (since, until)).fetchall()
    return sum(r[1] for r in rows), sum(wide(r[2]) for r in rows), len(rows)


def metric(pool, name):
    return int(re.search(rf"^{name} (\d+)$", pool.get("/metrics", pool.metrics), re.M).group(1))


def test_a_running_pool_folds_and_drops():
    with Pool(devnet(top="history: {minutes: 48h, hours: 400d}")) as pool:
        pool.start()
        m = Miner(pool.port, address(61) + ".now", ahead=4)
        wait_for(lambda: m.acknowledged > 30, 30, about="shares")
        m.stop()
        assert pool.stop() == 0
        now = int(time.time()) // 60
        # Of another worker: an hour of 3 days ago (60 rows), the last hours, and one of long ago.
        old, young, gone = (now - 3 * 1440) // 60 * 60, now - 20 * 60, now - DAYS * 1440
        with database(pool) as db, db:
            (account,), = db.execute("SELECT id FROM accounts").fetchall()
            db.execute("INSERT INTO workers(id, account_id, name, last_ms) VALUES(900, ?, 'old', ?)", (account, now * 60000))
            rows = [(900, first + k, k + 1, ((1 << 127) + (k + 1 << 70)).to_bytes(16, "big"))
                    for first in (old, young, gone) for k in range(60)]
            db.executemany("INSERT INTO share_minutes(worker_id, minute, accepted, work) VALUES(?, ?, ?, ?)", rows)
            db.executemany("INSERT INTO refused_minutes(worker_id, minute, reason, count) VALUES(900, ?, 2, 1)", [(old + k,) for k in range(60)])
            # The first start has looked at a database without them.
            db.execute("DELETE FROM meta WHERE k = 'history_minute'")
            before = sums(db, old, old + 60)
        assert before[2] == 60
        pool.start()
        wait_for(lambda: "history.folded" in pool.log(), 30, about="rows that are summed")
        assert metric(pool, "otd_history_rows_total") >= 180 and metric(pool, "otd_history_failures_total") == 0
        a = pool.command("account", "show", address(61), "--socket", pool.socket, "--json").stdout
        assert '"shares_24h": 1830' in a, a  # of the last day every minute is there: 1 + 2 + .. + 60
        assert pool.stop() == 0
        with database(pool) as db:
            after = sums(db, old, old + 60)
            assert after[:2] == before[:2] and after[2] == 1, (before, after)
            assert db.execute("SELECT minute, count FROM refused_minutes WHERE worker_id = 900").fetchall() == [(old, 60)]
            assert sums(db, young, young + 60)[2] == 60
            assert sums(db, 0, gone + 1440) == (0, 0, 0)
            (done,), = db.execute("SELECT v FROM meta WHERE k = 'history_minute'").fetchall()
            assert abs(int(done) - (now - 2 * 1440)) <= 61, (done, now)
        verified(pool)
