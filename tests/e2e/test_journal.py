"""otedama journal: what verify finds, what dump shows, and that a replay comes to what the database says."""
import glob
import json
import os
import shutil
import sqlite3
import struct
import time

import otj
from devnet import SHARE, SOME_BLOCKS, Database, Miner, devnet, fixed, verified
from money import target_of, work_of
from pool import Pool, address, free_port, wait_for
from stratum import Client, StratumError
from test_faults import SmallDisk

TINY = "9.313225746154785e-10"  # 2^-30: four hashes
FEW_BLOCKS = "1f03ffff"        # 16,384 hashes a block
SCHEMES = {"pplns": "payout: {scheme: pplns, window: 2x difficulty}", "prop": "payout: {scheme: prop}",
           "solo": "payout: {scheme: solo}"}
ARCHIVED = "journal: {segment: 1MiB, max: 2MiB, coordinator_segment: 1MiB, commit: 200ms, snapshot: 1s, keep: 1d}"


def with_scheme(text, scheme):
    assert SCHEMES["pplns"] in text
    return text.replace(SCHEMES["pplns"], SCHEMES[scheme])


def journal(pool, *words, check=0):
    r = pool.command("journal", words[0], "-c", pool.config, *words[1:], check=False)
    assert r.returncode == check, f"journal {' '.join(words)}: status {r.returncode}: {r.stdout[-3000:]}{r.stderr}"
    return r.stdout if check == 0 else r.stdout + r.stderr


def settled(pool):
    wait_for(lambda: pool.status()["accounting"]["waiting"] == 0, 30, about="the journals in the database")


def fingerprint(folder):
    """Names, sizes and changes of all files below the folder."""
    found = {}
    for at, _, names in os.walk(folder):
        for name in names:
            st = os.stat(os.path.join(at, name))
            found[os.path.join(at, name)] = (st.st_size, st.st_mtime_ns)
    return found


def find_blocks(pool, n, user, shares=5):
    """n blocks, with some shares before each."""
    with Client(pool.port) as c:
        job = c.login(user)
        def sent(**how):
            nonlocal job
            while True:
                try:
                    assert c.submit(c.mine(job, **how)) is True
                    return
                except StratumError as e:
                    assert e.code == 21, e
                    job = c.wait_job(other_than=job.id)
        for _ in range(n):
            for _ in range(shares):
                sent(harder_than=job.network_target())
            tip = job.prev
            sent(easier_than=job.network_target())
            job = c.wait_tip(tip)  # or the next one would stand beside it


def test_verify_and_dump_of_a_running_pool_and_a_stopped_one():
    with Pool(devnet(top="journal: {commit: 200ms}")) as pool:
        pool.start()
        miners = [Miner(pool.port, f"{address(60 + i)}.rig{i}") for i in range(2)]
        for _ in range(3):  # while it is being written
            wait_for(lambda: all(m.acknowledged > 50 for m in miners), 30, about="shares")
            words = journal(pool, "verify")
            assert "ok" in words and f"pid {pool.process.pid}" in words, words
            assert "not compared" in words, words
        for m in miners:
            m.stop()
        settled(pool)
        live = [json.loads(x) for x in journal(pool, "dump", "--json", "--type", "share").splitlines()]
        total = sum(m.acknowledged for m in miners)
        assert len(live) == total, f"{len(live)} shares in the journal, {total} acknowledged"
        one = str(work_of(target_of(SHARE)))
        assert all(r["record"]["work"] == one for r in live)
        mine = journal(pool, "dump", "--type", "share", "--worker", miners[0].user).splitlines()
        assert len(mine) == miners[0].acknowledged
        assert journal(pool, "dump", "--type", "share", "--worker", address(61)).count("\n") == miners[1].acknowledged
        some = live[3]
        name = f"r-{some['epoch']}"
        at = journal(pool, "dump", "--from", str(some["sequence"]), "--to", str(some["sequence"]), name, "--type", "share")
        assert at.startswith(f"{some['epoch']}-{some['sequence']} share worker="), at
        early = journal(pool, "dump", "--to", "2001-01-01", "--type", "share")
        assert early == "" and journal(pool, "dump", "--from", "2001-01-01T00:00", "--type", "share").count("\n") == total
        batches = journal(pool, "dump", "coordinator", "--type", "batch")
        assert "epoch=" in batches and batches.startswith("coordinator-"), batches
        assert pool.stop() == 0
        before = fingerprint(os.path.join(pool.folder, "data", "journal"))
        words = journal(pool, "verify")
        assert "ok" in words and "0 places wait" in words and "0 records wait" in words, words
        found = json.loads(journal(pool, "verify", "--json"))
        assert found["database"] and not found["problems"] and found["waiting"] == 0, found
        only = pool.command("journal", "verify", "--data-dir", os.path.join(pool.folder, "data"))
        assert "no -c FILE" in only.stdout, only.stdout
        assert fingerprint(os.path.join(pool.folder, "data", "journal")) == before, "verify wrote something"
        words = pool.command("journal", "dump", "-c", pool.config, "--type", "shares", check=False)
        assert words.returncode == 2 and "account-terms" in words.stderr, words.stderr


def test_verify_says_torn_and_damaged():
    with Pool(devnet(top="journal: {commit: 60s}")) as pool:
        pool.start()
        m = Miner(pool.port, address(62) + ".t", ahead=1)
        wait_for(lambda: m.acknowledged >= 60, 30, about="shares")
        pool.kill()
        m.stop()
        newest = otj.segments(glob.glob(os.path.join(pool.folder, "data", "journal", "r-*"))[0])[-1]
        found, end = otj.frames(newest)
        otj.patch(newest, end, b"\x35\x00\x00\x00\x07abc")
        words = journal(pool, "verify")
        assert f"from offset {end}" in words and "never acknowledged" in words and "ok" in words, words
        coordinator = otj.segments(os.path.join(pool.folder, "data", "journal", "coordinator"))[-1]
        places, _ = otj.frames(coordinator)
        at, n, sequence, _, _ = found[len(found) // 2]
        with open(newest, "r+b") as f:
            f.seek(at + n - 1)
            byte = f.read(1)[0]
            f.seek(at + n - 1)
            f.write(bytes([byte ^ 1]))
        words = journal(pool, "verify", check=1)
        assert newest in words and f"offset {at}" in words and "backup" in words, words
        assert f"sequences {sequence} to {sequence}" in words and "1 problem" in words, words
        otj.patch(newest, at + n - 1, bytes([byte]))
        journal(pool, "verify")
        # The newest part of a reactor's journal is taken away: the order names what is not there.
        keep = os.path.join(pool.folder, "keep.otj")
        shutil.copy(newest, keep)
        first = [f for f in found if f[2] > 1][0]
        with open(coordinator, "rb") as f:
            data = f.read()
        ordered = max((struct.unpack_from("<QQQ", data, p + 20)[2] for p, _, _, kind, _ in places if kind == 32), default=0)
        if ordered >= first[2]:
            os.truncate(newest, first[0])
            words = journal(pool, "verify", check=1)
            assert "newest part is missing" in words, words
            shutil.copy(keep, newest)
        # A pool would start on it.
        pool.start()
        settled(pool)
        assert pool.stop() == 0
        journal(pool, "verify")
        # The order's journal of an older time than the database's.
        for path in otj.segments(os.path.join(pool.folder, "data", "journal", "coordinator")):
            os.rename(path, path + ".away")
        words = journal(pool, "verify", check=1)
        assert "not of one time" in words, words


def played(pool):
    before = fingerprint(os.path.join(pool.folder, "data"))
    found = json.loads(journal(pool, "replay", "--json"))
    after = fingerprint(os.path.join(pool.folder, "data"))
    assert before == after, f"the replay wrote {[k for k in after if before.get(k) != after[k]]}"
    assert found["equal"] and not found["differs"], found
    return found


def changed(pool, sql):
    with sqlite3.connect(os.path.join(pool.folder, "data", "otedama.db")) as db:
        db.execute(sql)
    db.close()


def saved(pool, turn):
    """What a scheme holds is saved, where that is done each second; of each run one goes to the archive."""
    time.sleep(1.2)
    if "snapshot: 1s" in pool.text:
        saves = os.path.join(pool.folder, "data", "archive", "saves")
        wait_for(lambda: os.path.isdir(saves) and len(os.listdir(saves)) > turn, about="a save in the archive")


def two_runs(pool, find=2):
    """Blocks of two accounts, a kill, blocks again."""
    for turn in range(2):
        pool.start()
        find_blocks(pool, find, f"{address(63)}.a{turn}")
        find_blocks(pool, 1, f"{address(64)}.b{turn}")
        settled(pool)
        if turn == 0:
            busy = pool.command("journal", "replay", "-c", pool.config, check=False)
            assert busy.returncode == 1 and "backup" in busy.stderr, busy.stderr
            saved(pool, turn)
            pool.kill()
    wait_for(lambda: len(pool.status()["blocks"]) == 2 * (find + 1), 20, about="all blocks")
    saved(pool, turn)
    assert pool.stop() == 0


def test_replay_from_the_last_save():
    with Pool(devnet(bits=SOME_BLOCKS, top="journal: {commit: 200ms, snapshot: 30m}")) as pool:
        two_runs(pool)
        found = played(pool)
        assert not found["whole"] and found["blocks"] >= 1 and found["shares"] >= 1 and found["credits"] >= 1, found
        changed(pool, "UPDATE blocks SET round_work = network_work WHERE id = (SELECT max(id) FROM blocks)")
        words = journal(pool, "replay", check=1)
        assert "DIFFERS" in words and "work of its round" in words and "1 difference" in words, words


def replays_equal(scheme):
    """From the first share on, though the first run's journal has gone: to the archive."""
    text = devnet(bits=SOME_BLOCKS, top="journal: {commit: 200ms, snapshot: 1s, keep: 1d}")
    with Pool(with_scheme(text, scheme)) as pool:
        two_runs(pool)
        found = played(pool)
        assert found["whole"] and found["blocks"] == 6 and found["shares"] == 36 and len(found["states"]) == 1, found
        assert found["counts"] >= 2 and found["credits"] >= 6 and found["skipped"] == 0, found
        changed(pool, "UPDATE share_minutes SET accepted = accepted + 1 WHERE rowid = (SELECT max(rowid) FROM share_minutes)")
        words = journal(pool, "replay", check=1)
        assert "DIFFERS" in words and "minute" in words and "1 difference" in words, words
        changed(pool, "DELETE FROM blocks WHERE id = 1")
        words = journal(pool, "replay", check=1)
        assert "not in the database" in words and "2 differences" in words, words
        changed(pool, "UPDATE payout_state SET state = CAST(substr(state, 1, 40) || x'07' || substr(state, 42) AS BLOB)")
        words = journal(pool, "replay", check=1)
        assert "its state is" in words and "byte that differs is 40" in words, words


def test_replay_from_a_save_in_the_archive():
    with Pool(devnet(bits=SOME_BLOCKS, top="journal: {commit: 200ms, snapshot: 1s, keep: 1d}")) as pool:
        two_runs(pool)
        assert played(pool)["whole"]
        archive = os.path.join(pool.folder, "data", "archive")
        saves = sorted(os.listdir(os.path.join(archive, "saves")))
        assert len(saves) == 2, f"one a start: {saves}"
        assert "2 saves" in journal(pool, "verify")
        for first in [f for f in os.listdir(archive) if f.startswith("r-")]:
            shutil.rmtree(os.path.join(archive, first))
        found = played(pool)
        assert not found["whole"] and found["archived"] == int(saves[1][:8]) and len(found["states"]) == 1, (found, saves)
        assert found["blocks"] >= 1 and found["to"] >= found["saved"] > found["archived"], found
        changed(pool, "UPDATE payout_state SET state = CAST(substr(state, 1, 40) || x'07' || substr(state, 42) AS BLOB)")
        assert "byte that differs is 40" in journal(pool, "replay", check=1)
        with open(os.path.join(archive, "saves", saves[1]), "r+b") as f:
            f.seek(70)
            f.write(b"damage")
        words = journal(pool, "verify", check=1)
        assert saves[1] in words and "1 problem" in words, words


def test_replay_is_equal_pplns():
    replays_equal("pplns")


def test_replay_is_equal_prop():
    replays_equal("prop")


def test_replay_is_equal_solo():
    replays_equal("solo")


def archive_of(pool):
    return sorted(glob.glob(os.path.join(pool.folder, "data", "archive", "*", "*.ot?")))


def three_schemes(text):
    """The pool's own scheme is PPLNS; two more ports have the others. (text, their ports)"""
    ports = free_port(), free_port()
    lines = "".join(f"      {p}: {{listen: 127.0.0.1, difficulty: {fixed(TINY)}, payout: {{scheme: {scheme}}}}}\n"
                    for p, scheme in zip(ports, ("prop", "solo")))
    assert "api: {listen" in text
    return text.replace("api: {listen", lines + "api: {listen"), ports


def test_archive_keeps_what_is_cut_and_no_scheme_misses_it():
    """Journals are cut under all three schemes, with kills between; a replay from the first share, which needs no save of a
    scheme, comes to the same states: nothing was cut that an open window, an unpaid round or a share still needed."""
    text, others = three_schemes(devnet(fixed(TINY), bits=FEW_BLOCKS, top=ARCHIVED).replace("level: debug", "level: info"))
    with Pool(text) as pool:
        hands = []
        for turn, packed in enumerate((1, 2)):
            pool.start()
            now = [Miner(port, f"{address(65 + i)}.kept{turn}", ahead=64) for i, port in enumerate((pool.port, *others))]
            hands += now
            wait_for(lambda: sum(f.endswith(".otz") for f in archive_of(pool)) >= packed, 120, step=0.2, about="packed segments")
            wait_for(lambda: any(b["state"] != "candidate" for b in pool.status()["blocks"]), 120, step=0.2, about="a block")
            if turn == 0:
                pool.kill()
            for m in now:
                m.stop()
        settled(pool)
        time.sleep(1.5)
        assert pool.stop() == 0
        pool.start()  # the journals of the runs before go as a whole
        settled(pool)
        wait_for(lambda: not any(f.endswith(".otj") for f in archive_of(pool)), 30, about="all of it packed")
        assert pool.stop() == 0
        found = json.loads(journal(pool, "verify", "--json"))
        assert any(j["archived"] for j in found["journals"]) and not found["problems"], found
        low, high = sum(m.acknowledged for m in hands), sum(m.acknowledged + m.unanswered for m in hands)
        found = played(pool)
        assert found["whole"] and low <= found["shares"] <= high and len(found["states"]) == 3, (found, low, high)
        assert found["blocks"] >= 1 and found["credits"] >= 1, found
        for m in hands:
            n = journal(pool, "dump", "--type", "share", "--worker", m.user).count("\n")
            assert m.acknowledged <= n <= m.acknowledged + m.unanswered, (m.user, n)
        verified(pool)
        # explain finds a share whose segment was packed long ago.
        first = json.loads(journal(pool, "dump", "--json", "--type", "share").splitlines()[0])
        words = pool.command("explain", f"{first['epoch']}-{first['sequence']}", "-c", pool.config).stdout
        assert address(65) in words or address(66) in words or address(67) in words, words
        # A flipped byte is told, and the pool starts on: it does not need it.
        packed = max(archive_of(pool), key=os.path.getsize)
        with open(packed, "r+b") as f:
            f.seek(1000)
            byte = f.read(1)[0]
            f.seek(1000)
            f.write(bytes([byte ^ 4]))
        words = journal(pool, "verify", check=1)
        assert packed in words and "checksum" in words, words
        pool.start()
        assert pool.stop() == 0


def test_a_full_disk_drops_archives_and_takes_shares():
    """A disk of 24 MiB never has the room that archives must leave: they go at once, and no share is refused for them."""
    with SmallDisk("24m") as disk:
        text = devnet(fixed(TINY), top=ARCHIVED).replace("level: debug", "level: info")
        pool = Pool(text, folder=disk.folder)
        try:
            pool.start()
            m = Miner(pool.port, address(68) + ".small", ahead=64)
            wait_for(lambda: "archive.dropped" in pool.log(), 60, step=0.2, about="an archive that is dropped")
            before = m.acknowledged
            wait_for(lambda: m.acknowledged > before + 500, 30, about="more shares")
            m.stop()
            assert not m.refused and m.unanswered == 0, m.refused[:3]
            wait_for(lambda: not archive_of(pool), 20, about="an empty archive")
            settled(pool)
            assert "otd_archive_dropped_total" in pool.get("/metrics", pool.metrics)
            assert pool.stop() == 0
            journal(pool, "verify")
            verified(pool)
        finally:
            pool.kill()
