"""otedama backup and restore: of a running pool under load and of a stopped one, killed at every place, with
disks that are full and files that are damaged."""
import glob
import hashlib
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time

from devnet import SHARE, SOME_BLOCKS, Database, Miner, devnet, verified
from money import target_of, work_of
from pool import BUILD, PROGRAM, ROOT, Pool, address, wait_for
from skip import Skip
from stratum import Client
from test_faults import SmallDisk, starts_and_ends

SMALL = "journal: {segment: 1MiB, max: 64MiB, coordinator_segment: 1MiB, commit: 100ms, snapshot: 1s}"


def manifest(folder):
    """{key: rows of words}"""
    found = {}
    with open(os.path.join(folder, "MANIFEST"), encoding="utf-8") as f:
        for line in f:
            key, rest = line.rstrip("\n").split(" ", 1)
            found.setdefault(key, []).append(rest.split(" "))
    return found


def rewrite(folder, change):
    """Changes MANIFEST's text and gives it the right hash again."""
    path = os.path.join(folder, "MANIFEST")
    with open(path, encoding="utf-8") as f:
        text = change(f.read().rsplit("end ", 1)[0])
    with open(path, "w", encoding="utf-8") as f:
        f.write(text + "end " + hashlib.sha256(text.encode()).hexdigest() + "\n")


def backup(pool, folder, check=True):
    return pool.command("backup", "-c", pool.config, folder, check=check)


def restore(pool, folder, *flags, check=True):
    return pool.command("restore", "-c", pool.config, *flags, folder, check=check)


def other(pool, text, folder=None):
    """A pool of the same configuration with a data folder of its own."""
    return Pool(text, folder=folder)


def sums(pool):
    """{(kind, asset): units} of the ledger in the stopped pool's database."""
    with Database(pool) as db:
        found = {}
        for kind, asset, amount in db.rows("SELECT account_kind, asset, amount FROM balances"):
            found[kind, asset] = found.get((kind, asset), 0) + int.from_bytes(amount, "big") - (1 << 127)
        return found


def sums_of_manifest(folder):
    return {(int(k), a): int(n) for k, n, a in manifest(folder).get("sum", [])}


def position(pool):
    with Database(pool) as db:
        return db.rows("SELECT seq FROM position")[0][0]


def mined(pool, shares=30, name="before"):
    """A running pool with that many shares of one miner, and one block."""
    with Client(pool.port) as c:
        job = c.login(f"{address(60)}.{name}")
        for _ in range(shares):
            assert c.submit(c.mine(job, harder_than=job.network_target())) is True
        assert c.submit(c.mine(job, easier_than=job.network_target())) is True
    wait_for(lambda: any(b["state"] == "confirming" for b in pool.status()["blocks"]), 20, about="the block")
    wait_for(lambda: pool.status()["accounting"]["waiting"] == 0, 20, about="all in the database")


def tree(folder):
    return sorted(os.path.relpath(os.path.join(d, f), folder) for d, _, fs in os.walk(folder) for f in fs)


# --- what a backup is worth ---

def test_a_backup_under_load_is_what_a_stopped_pool_would_leave():
    """Every share acknowledged before the command is in it; position and balances are those it states."""
    text = devnet(bits=SOME_BLOCKS, top=SMALL)
    with Pool(text) as pool, other(pool, text) as second:
        pool.start()
        miners = [Miner(pool.port, f"{address(50 + i)}.load", ahead=(1, 8, 32)[i]) for i in range(3)]
        wait_for(lambda: all(m.acknowledged > 200 for m in miners), 60, about="shares")
        folders, before = [], []
        for turn in range(4):
            before.append({m.user: m.acknowledged for m in miners})
            folders.append(os.path.join(pool.folder, f"b{turn}"))
            said = json.loads(pool.command("backup", "--socket", pool.socket, "--json", folders[-1]).stdout)
            assert said["state"] == "done" and said["files"] == len(manifest(folders[-1])["file"])
            time.sleep(0.4)
        for m in miners:
            m.stop()
        after = {m.user: (m.acknowledged, m.unanswered) for m in miners}
        # What was held back meanwhile goes once the backup has ended.
        wait_for(lambda: len(glob.glob(os.path.join(pool.folder, "data", "journal", "r-*", "*.otj"))) <= 2, 30,
                 about="old segments released")
        assert pool.stop() == 0
        verified(pool)
        for turn, folder in enumerate(folders):
            shutil.rmtree(os.path.join(second.folder, "data"), ignore_errors=True)
            said = restore(second, folder).stdout
            assert "ledger: ok" in said and "journals: ok" in said and "PAYMENTS" in said, said
            verified(second)
            assert position(second) == int(manifest(folder)["position"][0][0])
            assert sums(second) == sums_of_manifest(folder)
            starts_and_ends(second)
            verified(second)
            with Database(second) as db:
                accepted, work = db.accepted(), db.work()
            for user, least in before[turn].items():
                assert least <= accepted.get(user, 0) <= sum(after[user]), \
                    f"turn {turn}: {user}: {least} acknowledged before, {accepted.get(user, 0)} restored"
                assert work[user] == accepted[user] * work_of(target_of(SHARE))


def dump(path, *without):
    """All rows of a database, but of some tables and keys."""
    db = sqlite3.connect(path)
    rows = {}
    for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        if table not in without:
            rows[table] = sorted(map(repr, db.execute(f"SELECT * FROM {table}").fetchall()))
    db.close()
    rows["meta"] = [x for x in rows["meta"] if "restored_ms" not in x]
    return rows


def test_a_stopped_pools_backup_restores_every_row():
    text = devnet(bits=SOME_BLOCKS)
    with Pool(text) as pool, other(pool, text) as second:
        pool.start()
        mined(pool)
        assert pool.stop() == 0
        b = os.path.join(pool.folder, "b")
        said = backup(pool, b).stdout
        assert "of a stopped pool" in said, said
        assert manifest(b)["running"] == [["no"]]
        restore(second, b)
        a, c = (dump(os.path.join(p.folder, "data", "otedama.db"), "audit") for p in (pool, second))
        assert a == c, [t for t in a if a[t] != c[t]]
        with Database(second) as db:
            assert abs(int(db.rows("SELECT v FROM meta WHERE k = 'restored_ms'")[0][0]) / 1000 - time.time()) < 60
            assert db.rows("SELECT count(*) FROM audit WHERE what = 'payment.restored'") == [(1,)]
        assert sums(second) == sums(pool)
        # The chain came along: the block is where the database says it is.
        second.start()
        wait_for(lambda: second.status()["blocks"][0]["state"] == "confirming", 20, about="the block at its height")
        mined(second, name="after")
        assert second.stop() == 0
        verified(second)


def test_what_scripts_keep_comes_along():
    text = devnet(pool="policies: [{file: '{dir}.lua'}]")
    with Pool(text) as pool, other(pool, text) as second:
        for p in (pool, second):
            with open(os.path.join(p.folder, "data.lua"), "w", encoding="utf-8") as f:
                f.write("function on_authorize(s) kv.incr('seen', '1h') end")
        pool.start()
        with Client(pool.port) as c:
            c.login(address(62) + ".rig")
        b = os.path.join(pool.folder, "a")
        backup(pool, b)  # nothing is written yet: no reason to fail
        assert pool.stop() == 0
        kept = os.path.join("data", "policy.kv")
        assert os.path.exists(os.path.join(pool.folder, kept))
        pool.start()
        b = os.path.join(pool.folder, "b")
        backup(pool, b)
        pool.kill()
        restore(second, b)
        with open(os.path.join(pool.folder, kept), "rb") as f, open(os.path.join(second.folder, kept), "rb") as g:
            assert f.read() == g.read() != b""
        starts_and_ends(second)


def test_no_secret_is_in_a_backup():
    text = devnet(top="nodes: {n: {coin: bitcoin, network: regtest, rpc: \"http://127.0.0.1:1\", user: u, "
                      "password: 5ecret-of-the-node}}")
    with Pool(text) as pool:
        pool.start()
        b = os.path.join(pool.folder, "b")
        backup(pool, b)
        assert pool.stop() == 0
        assert manifest(b)["secrets"] == [["no"]]
        for path in tree(b):
            with open(os.path.join(b, path), "rb") as f:
                assert b"5ecret-of-the-node" not in f.read(), path
        assert '***' in open(os.path.join(b, "configuration.yaml"), encoding="utf-8").read()


def test_a_backup_is_for_its_user_alone():
    """Whatever the umask; and it says where it lies on the disk that it is to outlive."""
    text = devnet()
    with Pool(text) as pool:
        mask = os.umask(0)
        try:
            pool.start()
        finally:
            os.umask(mask)
        b = os.path.join(pool.folder, "b")
        assert "on the disk that the pool's data is on" in backup(pool, b).stdout
        assert os.stat(b).st_mode & 0o777 == 0o700, oct(os.stat(b).st_mode)
        with SmallDisk("40m") as disk:
            elsewhere = os.path.join(disk.folder, "b")
            said = json.loads(pool.command("backup", "-c", pool.config, "--json", elsewhere).stdout)
            assert said["same_disk"] is False, said
        assert pool.stop() == 0
        c = os.path.join(pool.folder, "c")
        said = json.loads(pool.command("backup", "-c", pool.config, "--json", c).stdout)
        assert said["same_disk"] is True and os.stat(c).st_mode & 0o777 == 0o700, said
        # One laid out by somebody else is neither written to nor removed.
        if os.geteuid() == 0:
            theirs = os.path.join(pool.folder, "d.partial")
            os.mkdir(theirs)
            os.chown(theirs, 12345, 12345)
            r = backup(pool, os.path.join(pool.folder, "d"), check=False)
            assert r.returncode == 1 and os.listdir(theirs) == [], r.stderr


def test_root_acts_as_the_pools_user():
    """A stopped pool's backup and a restore by root leave nothing that the pool's user could not write."""
    if os.geteuid() != 0:
        raise Skip("only root can become somebody else")
    text, user = devnet(bits=SOME_BLOCKS), 12345
    with Pool(text) as pool:
        os.chmod(pool.folder, 0o755)
        data, backups = os.path.join(pool.folder, "data"), os.path.join(pool.folder, "backups")
        pool.start()
        mined(pool)
        assert pool.stop() == 0
        os.mkdir(backups)
        for folder in (data, backups):
            subprocess.run(["chown", "-R", f"{user}:{user}", folder], check=True)

        def not_theirs():
            return [os.path.join(d, f) for d, ds, fs in os.walk(pool.folder) for f in ds + fs
                    if os.path.join(d, f).startswith((data, backups)) and os.lstat(os.path.join(d, f)).st_uid != user]
        b = os.path.join(backups, "b")
        backup(pool, b)
        assert not not_theirs(), not_theirs()
        restore(pool, b, "--force")
        assert not not_theirs(), not_theirs()
        # Into the empty folder of a new machine, which is the user's.
        shutil.rmtree(data)
        os.mkdir(data)
        os.chown(data, user, user)
        restore(pool, b)
        assert not not_theirs(), not_theirs()
        # A backup that the user may not read: said before anything is put there.
        shutil.rmtree(data)
        os.mkdir(data)
        os.chown(data, user, user)
        subprocess.run(["chown", "-R", "0:0", b], check=True)
        r = restore(pool, b, check=False)
        assert r.returncode == 1 and "owner and mode" in r.stderr and os.listdir(data) == ["otedama.lock"], r.stderr


# --- what is refused, and how ---

def test_damage_is_found_wherever_it_is():
    rng = random.Random(3)
    text = devnet(bits=SOME_BLOCKS)
    with Pool(text) as pool, other(pool, text) as second:
        pool.start()
        mined(pool)
        b, work = os.path.join(pool.folder, "b"), os.path.join(pool.folder, "work")
        backup(pool, b)
        assert pool.stop() == 0

        def found(words, change):
            shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(b, work)
            change()
            r = restore(second, work, check=False)
            assert r.returncode == 1 and len(r.stderr.splitlines()) == 1, r.stderr
            for w in words:
                assert w in r.stderr, f"{w!r} is not in: {r.stderr}"
            left = [x for x in os.listdir(os.path.join(second.folder, "data")) if x != "otedama.lock"]
            assert not left, f"something was put there: {left}"

        def flip(path):
            with open(os.path.join(work, path), "r+b") as f:
                size = f.seek(0, 2)
                at = rng.randrange(size)
                f.seek(at)
                byte = f.read(1)[0]
                f.seek(at)
                f.write(bytes([byte ^ 1 << rng.randrange(8)]))
        files = [row[-1] for row in manifest(b)["file"]]
        assert {"data/otedama.db", "configuration.yaml"} <= set(files) and sum("journal" in f for f in files) >= 2
        for path in files:
            for _ in range(3):
                found([path, "SHA-256"], lambda: flip(path))
            found([path, "bytes"], lambda: open(os.path.join(work, path), "ab").write(b"x"))
            found([path, "missing"], lambda: os.remove(os.path.join(work, path)))
        size = os.path.getsize(os.path.join(b, "MANIFEST"))
        for n in (0, 1, 20, size // 2, size - 66, size - 2):
            found(["MANIFEST"], lambda: os.truncate(os.path.join(work, "MANIFEST"), n))
        for _ in range(10):
            found(["MANIFEST"], lambda: flip("MANIFEST"))
        found(["MANIFEST", "not"], lambda: os.remove(os.path.join(work, "MANIFEST")))
        newer = lambda: rewrite(work, lambda t: re.sub(r"^schema \d+$", "schema 99", t, flags=re.M))
        found(["schema version 99", "update otedama"], newer)
        outside = lambda: rewrite(work, lambda t: t.replace(" data/otedama.db\n", " data/../../otedama.db\n"))
        found(["MANIFEST", "not understood"], outside)
        restore(second, b)


def test_what_is_in_the_way_is_told_and_kept():
    text = devnet(bits=SOME_BLOCKS)
    with Pool(text) as pool:
        pool.start()
        mined(pool)
        b = os.path.join(pool.folder, "b")
        # Within data_dir, and where no folder is.
        r = backup(pool, os.path.join(pool.folder, "data", "b"), check=False)
        assert r.returncode == 1 and "within data_dir" in r.stderr, r.stderr
        r = backup(pool, os.path.join(pool.folder, "no", "b"), check=False)
        assert r.returncode == 1 and "is not there" in r.stderr, r.stderr
        # An empty folder will do, by a relative name too.
        os.mkdir(b)
        backup(pool, "b")
        before = tree(b)
        r = backup(pool, b, check=False)
        assert r.returncode == 1 and "not empty" in r.stderr and tree(b) == before, r.stderr
        os.mkdir(os.path.join(pool.folder, "c.partial"))
        with open(os.path.join(pool.folder, "c.partial", "mine"), "w", encoding="utf-8"):
            pass
        r = backup(pool, os.path.join(pool.folder, "c"), check=False)
        assert r.returncode == 1 and "in the way" in r.stderr, r.stderr
        assert tree(os.path.join(pool.folder, "c.partial")) == ["mine"]
        # Restoring into a running pool's folder, and over what is there.
        r = restore(pool, b, "--force", check=False)
        assert r.returncode == 1 and str(pool.process.pid) in r.stderr, r.stderr
        assert pool.stop() == 0
        r = restore(pool, b, check=False)
        assert r.returncode == 1 and "--force" in r.stderr and "not empty" in r.stderr, r.stderr
        old = {f for f in tree(os.path.join(pool.folder, "data")) if not f.startswith("plugins/")}
        said = restore(pool, b, "--force").stdout
        aside = glob.glob(os.path.join(pool.folder, "data", "before-restore-*"))
        assert len(aside) == 1 and aside[0] in said, said
        assert set(tree(aside[0])) == old - {"otedama.lock"}
        starts_and_ends(pool)
        # Without a pool and without its configuration nobody knows where it is.
        r = pool.command("backup", "--socket", pool.socket, os.path.join(pool.folder, "d"), check=False)
        assert r.returncode == 1 and "-c FILE" in r.stderr, r.stderr


def test_a_configuration_of_something_else_is_told():
    text = devnet(bits=SOME_BLOCKS)
    moved = text.replace("store: {use: sqlite}", "store: {use: sqlite, path: other.db}")
    with Pool(text) as pool, Pool(text.replace("  dev:", "  new:")) as second, Pool(moved) as third:
        pool.start()
        mined(pool)
        b = os.path.join(pool.folder, "b")
        backup(pool, b)
        assert pool.stop() == 0
        said = restore(second, b).stdout
        assert "pool dev (DEV) is in the backup and not" in said and "pool new is in the configuration and not" in said
        # Another name of the database: what was restored is not what a pool would use.
        r = restore(third, b, check=False)
        assert r.returncode == 1 and "not the one of the backup" in r.stderr, r.stderr
        third.start(wait=False)
        assert third.process.wait(60) == 1 and "restore" in third.output().splitlines()[-1]
        third.out.close()


# --- big databases: while it runs ---

def grow(pool, mib):
    """The stopped pool's database gets so much bigger."""
    db = sqlite3.connect(os.path.join(pool.folder, "data", "otedama.db"))
    db.execute("CREATE TABLE filler(id INTEGER PRIMARY KEY, x BLOB)")
    db.executemany("INSERT INTO filler(x) VALUES(?)", [(os.urandom(1 << 20),) for _ in range(mib)])
    db.commit()
    db.close()


def test_a_big_backup_goes_on_beside_shares_and_can_be_given_up():
    with Pool(devnet(top=SMALL)) as pool:
        pool.start()
        assert pool.stop() == 0
        grow(pool, 150)
        pool.start()
        m = Miner(pool.port, address(70) + ".beside", ahead=8)
        wait_for(lambda: m.acknowledged > 100, 30, about="shares")
        b = os.path.join(pool.folder, "b")
        began, at = m.acknowledged, time.monotonic()
        said = json.loads(pool.command("backup", "-c", pool.config, "--json", b).stdout)
        seconds = time.monotonic() - at
        assert m.acknowledged > began, "no share was acknowledged meanwhile"
        # 64 pages a step: far from what the one transaction would take.
        assert said["steps"] > 500 and said["longest_step_us"] < 20_000_000, said
        print(f"    {said['written'] >> 20} MiB in {seconds:.1f} s, longest step {said['longest_step_us']} us of "
              f"{said['steps']}, {m.acknowledged - began} shares meanwhile")
        # Ctrl-C at the client ends the pool's work too, and leaves nothing.
        again = os.path.join(pool.folder, "again")

        def begun(name):
            q = subprocess.Popen([PROGRAM, "backup", "-c", pool.config, name], stderr=subprocess.PIPE, text=True)
            wait_for(lambda: os.path.exists(name + ".partial/data/otedama.db") or q.poll() is not None, 20, 0.001,
                     "the beginning of the copy")
            return q
        for turn in range(20):  # who gives up may be too late: it is whole
            p = begun(again)
            p.send_signal(signal.SIGINT)
            words = p.communicate(timeout=180)[1]
            if p.returncode != 0:
                break
            shutil.rmtree(again)
        assert p.returncode == 1 and "given up" in words, words
        assert not os.path.exists(again) and not os.path.exists(again + ".partial")
        # One at a time.
        p, third = begun(again), os.path.join(pool.folder, "third")
        r = backup(pool, third, check=False)
        if p.poll() is None:
            assert r.returncode == 1 and "under way" in r.stderr, r.stderr
        p.communicate(timeout=180)
        for left in (again, third):
            shutil.rmtree(left, ignore_errors=True)
        # The pool's end does as well.
        m.stop()
        p = begun(again)
        pool.process.send_signal(signal.SIGTERM)
        assert pool.stop() == 0
        assert p.wait(60) == 1
        assert not os.path.exists(again) and not os.path.exists(again + ".partial")
        assert not m.refused, m.refused[:3]
        verified(pool)
        with Database(pool) as db:
            assert db.accepted()[m.user] >= m.acknowledged


def test_a_full_disk_ends_the_backup_and_not_the_pool():
    with SmallDisk("40m") as disk, Pool(devnet(top=SMALL)) as pool:
        pool.start()
        assert pool.stop() == 0
        grow(pool, 60)
        pool.start()
        b = os.path.join(disk.folder, "b")
        r = backup(pool, b, check=False)
        assert r.returncode == 1 and "nearly full" in r.stderr and "free some space" in r.stderr, r.stderr
        assert os.listdir(disk.folder) == []
        mined_before = pool.status()["pools"][0]["accepted"]
        with Client(pool.port) as c:
            job = c.login(address(71) + ".x")
            assert c.submit(c.mine(job)) is True
        wait_for(lambda: pool.status()["pools"][0]["accepted"] > mined_before, 10, about="the share")
        assert pool.stop() == 0
        # A stopped one, and a restore onto such a disk.
        r = backup(pool, b, check=False)
        assert r.returncode == 1 and "nearly full" in r.stderr and os.listdir(disk.folder) == [], r.stderr
        whole = os.path.join(pool.folder, "b")
        backup(pool, whole)
        text = open(pool.config, encoding="utf-8").read().replace(f"{pool.folder}/data", f"{disk.folder}/data")
        config = os.path.join(pool.folder, "small.yaml")
        with open(config, "w", encoding="utf-8") as f:
            f.write(text)
        r = pool.command("restore", "-c", config, whole, check=False)
        assert r.returncode == 1 and "are needed" in r.stderr, r.stderr
        assert [x for x in os.listdir(os.path.join(disk.folder, "data")) if x != "otedama.lock"] == []


def test_a_disk_that_fills_up_on_the_way():
    with SmallDisk("120m") as disk, Pool(devnet(top=SMALL)) as pool:
        pool.start()
        assert pool.stop() == 0
        grow(pool, 60)
        pool.start()
        b = os.path.join(disk.folder, "b")
        for turn in range(20):  # it may be whole before the disk is full
            p = subprocess.Popen([PROGRAM, "backup", "-c", pool.config, b], stderr=subprocess.PIPE, text=True)
            wait_for(lambda: os.path.exists(b + ".partial/data/otedama.db") or p.poll() is not None, 20, 0.001, "its beginning")
            disk.fill()
            words = p.communicate(timeout=180)[1]
            if p.returncode != 0:
                break
            disk.empty()
            shutil.rmtree(b)
        assert p.returncode == 1 and ("full" in words or "No space" in words), words
        assert os.listdir(disk.folder) == ["filler"], os.listdir(disk.folder)
        disk.empty()
        backup(pool, b)
        assert pool.stop() == 0


# --- killed ---

def shim():
    """The library that kills a program at its n-th change of the disk."""
    if "asan" in BUILD or "tsan" in BUILD:
        raise Skip("a sanitizer wants to be the first library")
    if not shutil.which("cc"):
        raise Skip("cc is not installed")
    path = os.path.join(tempfile.mkdtemp(prefix="otedama-e2e-"), "kill_at.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", path, os.path.join(ROOT, "tests", "e2e", "kill_at.c"), "-ldl"],
                   check=True)
    return path


def killed(library, n, *words):
    """Runs a command that dies at change n; True where it did."""
    r = subprocess.run([PROGRAM, *words], env=dict(os.environ, LD_PRELOAD=library, KILL_AT=str(n)), capture_output=True,
                       text=True, timeout=180)
    assert r.returncode in (0, -signal.SIGKILL), f"{n}: {r.returncode} {r.stderr}"
    return r.returncode != 0


def points(library, *words):
    """Every place for a short command, a third of them for a longer one."""
    n = 1
    while killed(library, n, *words):
        yield n
        n += 1 if n < 40 else 3


def test_a_backup_killed_anywhere_leaves_the_pool_and_no_backup():
    library = shim()
    text = devnet(bits=SOME_BLOCKS)
    with Pool(text) as pool, other(pool, text) as second:
        pool.start()
        mined(pool)
        assert pool.stop() == 0
        b, data = os.path.join(pool.folder, "b"), os.path.join(pool.folder, "data")
        before = dump(os.path.join(data, "otedama.db"))
        seen = 0
        for n in points(library, "backup", "-c", pool.config, b):
            seen += 1
            if os.path.exists(b):
                # Killed behind the renaming: then it is whole.
                rows = manifest(b)["file"]
                for _, sha, path in rows:
                    with open(os.path.join(b, path), "rb") as f:
                        assert hashlib.sha256(f.read()).hexdigest() == sha, f"{n}: {path}"
                shutil.rmtree(b)
            elif os.path.exists(b + ".partial") and not os.path.exists(b + ".partial/MANIFEST"):
                r = restore(second, b + ".partial", check=False)
                assert r.returncode == 1 and "no MANIFEST" in r.stderr, r.stderr
        assert seen > 30, f"only {seen} places"
        print(f"    killed at {seen} places")
        assert os.path.exists(b) and not os.path.exists(b + ".partial"), "what was left was not taken up"
        assert dump(os.path.join(data, "otedama.db")) == before
        starts_and_ends(pool)
        verified(pool)
    shutil.rmtree(os.path.dirname(library))


def test_a_running_pool_killed_within_a_backup_starts_again():
    library, rng = shim(), random.Random(12)
    with Pool(devnet(bits=SOME_BLOCKS, top=SMALL)) as pool:
        miners, ended = [], 0
        for turn in range(8):
            b = os.path.join(pool.folder, f"b{turn}")
            when = b + ".partial"
            pool.env = {"LD_PRELOAD": library, "KILL_WHEN": when, "KILL_AT": str(rng.randrange(1, 40))}
            pool.start()
            m = Miner(pool.port, f"{address(72)}.t{turn}", ahead=4)
            miners.append(m)
            wait_for(lambda: m.acknowledged > 20, 30, about="shares")
            r = backup(pool, b, check=False)
            if r.returncode == 0:
                ended += 1
                pool.process.kill()
            pool.process.wait(60)
            pool.out.close()
            m.stop()
        assert ended < 7, "hardly any was killed"
        pool.env = {}
        starts_and_ends(pool)
        verified(pool)
        with Database(pool) as db:
            accepted = db.accepted()
        for m in miners:
            assert m.acknowledged <= accepted[m.user] <= m.acknowledged + m.unanswered, m.user
        # What such a one left is in nobody's way.
        for left in glob.glob(os.path.join(pool.folder, "*.partial")):
            if not os.listdir(left):  # killed before it was marked: whose it is nobody can say, so a person is asked
                r = backup(pool, left[:-len(".partial")], check=False)
                assert r.returncode == 1 and "remove it" in r.stderr, r.stderr
                os.rmdir(left)
            backup(pool, left[:-len(".partial")])
            assert not os.path.exists(left)
    shutil.rmtree(os.path.dirname(library))


def test_a_restore_killed_anywhere_is_not_taken_for_a_whole_one():
    library = shim()
    text = devnet(bits=SOME_BLOCKS)
    with Pool(text) as pool, other(pool, text) as second:
        pool.start()
        mined(pool)
        b = os.path.join(pool.folder, "b")
        backup(pool, b)
        assert pool.stop() == 0
        second.start()
        mined(second, 12, "other")
        assert second.stop() == 0
        data = os.path.join(second.folder, "data")
        keep = os.path.join(second.folder, "keep")
        shutil.copytree(data, keep)
        with open(os.path.join(keep, "otedama.db"), "rb") as f:
            old = hashlib.sha256(f.read()).hexdigest()

        def anywhere(want):
            for path in glob.glob(os.path.join(data, "**", "otedama.db"), recursive=True):
                with open(path, "rb") as f:
                    if hashlib.sha256(f.read()).hexdigest() == want:
                        return True
            return False
        seen, refusals = 0, 0
        for n in points(library, "restore", "-c", second.config, "--force", b):
            seen += 1
            assert anywhere(old), f"{n}: what was there is gone"
            whole = sorted(os.listdir(data)) == sorted(os.listdir(keep))
            if os.path.exists(os.path.join(data, "restore.unfinished")):
                refusals += 1
                if n % 5 == 0:
                    second.start(wait=False)
                    assert second.process.wait(60) == 1
                    second.out.close()
                    assert "restore" in second.output().splitlines()[-1]
            else:
                assert whole or n > 20, f"{n}: {os.listdir(data)}"
            shutil.rmtree(data)
            shutil.copytree(keep, data)
        assert seen > 30 and refusals > 20, (seen, refusals)
        print(f"    killed at {seen} places")
        # The last one, which nobody killed, went over the old data and is whole. Once more, over a killed one.
        assert killed(library, seen // 2, "restore", "-c", second.config, "--force", b)
        assert os.path.exists(os.path.join(data, "restore.unfinished"))
        r = restore(second, b, check=False)
        assert r.returncode == 1 and "--force" in r.stderr, r.stderr
        restore(second, b, "--force")
        assert not os.path.exists(os.path.join(data, "restore.unfinished")) and anywhere(old)
        verified(second)
        assert sums(second) == sums_of_manifest(b)
        starts_and_ends(second)
    shutil.rmtree(os.path.dirname(library))


# --- the archive of journals ---

def test_the_archive_comes_along():
    """Segments that nothing needs any more are in a backup and back after a restore; --no-archive leaves them out; a copy of
    one that was cut short is refused."""
    text = devnet(bits=SOME_BLOCKS, top="journal: {commit: 200ms, snapshot: 1s, keep: 1d}")
    with Pool(text) as pool, other(pool, text) as second, other(pool, text) as third:
        archive = os.path.join(pool.folder, "data", "archive")
        # The journal of a run that has ended is archived whole, some time after the next start.
        pool.start()
        mined(pool, 5)
        assert pool.stop() == 0
        pool.start()
        mined(pool, 5, "after")
        wait_for(lambda: any(f.startswith("r-") and f.endswith(".otz") for f in tree(archive)), 60, about="a packed segment")
        live, without, ended = (os.path.join(pool.folder, d) for d in ("live", "without", "ended"))
        backup(pool, live)
        pool.command("backup", "--socket", pool.socket, "--no-archive", without)
        kept = tree(os.path.join(live, "data", "archive"))
        assert kept and any(f.startswith("r-") for f in kept), kept
        assert all(f.endswith((".otz", ".otj")) for f in kept), kept
        assert not any(f[2].startswith("data/archive") for f in manifest(without)["file"]), manifest(without)["file"]
        assert len([f for f in manifest(live)["file"] if f[2].startswith("data/archive/")]) == len(kept)
        assert pool.stop() == 0
        backup(pool, ended)
        assert {f[:-4] for f in kept} <= {f[:-4] for f in tree(archive)}, "what was kept is still kept"
        assert tree(os.path.join(ended, "data", "archive")) == tree(archive)
        # Restored: the same bytes, and all of it is played again from the first share.
        restore(second, ended)
        back = os.path.join(second.folder, "data", "archive")
        assert tree(back) == tree(archive)
        for name in tree(back):
            with open(os.path.join(back, name), "rb") as a, open(os.path.join(archive, name), "rb") as b:
                assert a.read() == b.read(), name
        r = second.command("journal", "verify", "-c", second.config, check=False)
        assert r.returncode == 0, r.stdout + r.stderr
        # The manifest tells of a copy that was cut; nothing has been put anywhere.
        victim = os.path.join(ended, "data", "archive", [f for f in tree(archive) if f.startswith("r-")][0])
        os.truncate(victim, os.path.getsize(victim) - 1)
        r = restore(third, ended, check=False)
        assert r.returncode == 1 and os.path.basename(victim) in r.stderr and "bytes" in r.stderr, r.stderr
        assert not os.path.exists(os.path.join(third.folder, "data", "archive"))
