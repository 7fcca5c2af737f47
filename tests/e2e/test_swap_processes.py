"""Plugins change under reactors in processes: in all of them or in none, and no miner notices."""
import glob
import os
import signal
import threading

from devnet import Database, Miner, devnet, refused
from pool import Pool, address, patient, wait_for
from stratum import Client
from test_processes import all_up, processes
from test_swap import LOW_DIFFICULTY, Workshop, loaded, plugin, serves, swap

THREE = "threads: {processes: 3}"
FOUR = "threads: {processes: 2, reactors: 2}"
SWAPS = int(os.environ.get("OTEDAMA_PROCESS_SWAPS", "20"))


def on_all(pool, user, n=3):
    """A miner on each of n reactors: who comes goes to the one that has the fewest."""
    wait_for(lambda: not any(p["sessions"] for p in processes(pool)), 20, about="the end of who looked whether it serves")
    clients = [Client(pool.port) for _ in range(n)]
    for i, c in enumerate(clients):
        c.login(f"{user}.rig{i}")
    assert len({p["sessions"] for p in processes(pool)}) == 1, processes(pool)
    return clients


def wait_fresh_job(client):
    """One that was made from now on: the next may have been on its way."""
    for _ in range(2):
        client.wait_job(other_than=client.job.id)
    return client.job


def test_twenty_swaps_under_load():
    """A and B by turns beneath miners of all processes: every share is accepted, and all are in SQL."""
    who = address(7101)
    with Workshop() as w, Pool(devnet(pool="refresh: 1s", top=THREE)).start() as pool:
        pids = [p["pid"] for p in all_up(pool, 3)]
        files = [w.algo("a", version="2.0.0"), w.algo("b", version="2.0.1")]
        miners = [Miner(pool.port, f"{who}.rig{i}", ahead=8, pause=0.01) for i in range(6)]
        wait_for(lambda: sum(p["sessions"] for p in processes(pool)) == 6, 20, about="the miners' sessions")
        assert all(p["sessions"] for p in processes(pool)), processes(pool)
        for i in range(SWAPS):
            r = swap(pool, "algo/sha256d", files[i % 2])
            assert r["generation"] == i + 2 and r["version"] == f"2.0.{i % 2}", r
        before = [m.acknowledged for m in miners]
        wait_for(lambda: all(m.acknowledged > n + 5 for m, n in zip(miners, before)), 60, about="shares of all")
        assert not any(m.client.closed.is_set() for m in miners), "a connection was dropped"
        for m in miners:
            m.stop()
        assert [m.refused for m in miners] == [[]] * 6
        assert [p["pid"] for p in processes(pool)] == pids, "a process ended"
        assert pool.stop() == 0
        with Database(pool) as db:
            assert db.accepted() == {f"{who}.rig{i}": m.acknowledged for i, m in enumerate(miners)}


def test_each_generation_judges_its_own_jobs_in_a_process():
    """The new one refuses everything: jobs from before the swap are still judged by the old one, in all processes; and a
    process that begins later has the new one, whatever lies in the folders of plugins."""
    with Workshop() as w, Pool(devnet(pool="refresh: 1s", top=FOUR)).start() as pool:
        all_up(pool, 2)
        clients = on_all(pool, address(7102), 4)
        before = [c.job for c in clients]
        file = w.algo("never", "NEVER_ENOUGH")
        swap(pool, "algo/sha256d", file)
        os.unlink(file)  # what the pool has checked is a copy of its own
        for c, job in zip(clients, before):
            assert c.submit(c.mine(job)) is True
            new = wait_fresh_job(c)
            assert refused(LOW_DIFFICULTY, c.submit, c.mine(new))
            assert c.submit(c.mine(job)) is True
        victim = processes(pool)[1]
        os.kill(victim["pid"], signal.SIGKILL)
        wait_for(lambda: processes(pool)[1]["pid"] not in (0, victim["pid"]), 30, about="the next process")
        all_up(pool, 2)
        with Client(pool.port) as c:
            c.login(f"{address(7102)}.late")
            assert refused(LOW_DIFFICULTY, c.submit, c.mine())
        swap(pool, "algo/sha256d", w.algo("good"))
        with Client(pool.port) as c:
            c.login(f"{address(7102)}.last")
            wait_fresh_job(c)
            serves(pool, c)
        for c in clients:
            c.close()
        assert pool.stop() == 0


def copies(pool):
    return set(glob.glob(os.path.join(pool.folder, "**", "algo-sha256d-*.otd.so"), recursive=True))


def swapped_while_one_stands_still(pool, file, meanwhile):
    """`plugin swap` while the second process is stopped; meanwhile(pid, image) once the pool has made its copy."""
    pid, there, out = processes(pool)[1]["pid"], copies(pool), []

    def ask():
        out.append(plugin(pool, "swap", "algo/sha256d", file, check=False))
    os.kill(pid, signal.SIGSTOP)
    asker = threading.Thread(target=ask)
    asker.start()
    try:
        [image] = wait_for(lambda: copies(pool) - there, 60, about="the pool's copy of the file")
        # The others have it: their images are mapped.
        others = [p["pid"] for p in processes(pool) if p["pid"] != pid]
        wait_for(lambda: all(maps(p, image) for p in others), 60, about="the image in the other processes")
        meanwhile(pid, image)
    finally:
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass
        asker.join(patient(120))
    assert out, "the swap has no end"
    return out[0]


def maps(pid, image):
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8") as f:
            return image in f.read()
    except OSError:
        return False


def test_a_swap_that_fails_in_one_process():
    """What one cannot take none takes: by an error of its own, and by its end."""
    with Workshop() as w, Pool(devnet(pool="refresh: 1s", top=THREE)).start() as pool:
        all_up(pool, 3)
        clients = on_all(pool, address(7103))
        never = w.algo("never", "NEVER_ENOUGH")

        def old_one_serves(of):
            for c in of:
                wait_fresh_job(c)
                serves(pool, c)
            [now] = loaded(pool, "algo", "sha256d")
            assert now["generation"] == 1, now

        r = swapped_while_one_stands_still(pool, never, lambda pid, image: os.unlink(image))
        assert r.returncode == 1 and "reactor process 1: " in r.stderr and "no such file" in r.stderr.lower(), r.stderr
        old_one_serves(clients)
        r = swapped_while_one_stands_still(pool, never, lambda pid, image: os.kill(pid, signal.SIGKILL))
        assert r.returncode == 1 and "reactor process 1: it ended before" in r.stderr, r.stderr
        wait_for(lambda: sum(c.closed.is_set() for c in clients) == 1, 20, about="the end of that process' connection")
        old_one_serves([c for c in clients if not c.closed.is_set()])
        all_up(pool, 3)
        with Client(pool.port) as c:
            c.login(f"{address(7103)}.again")
            serves(pool, c)
        # And then it goes.
        swap(pool, "algo/sha256d", w.algo("good", version="3.0.0"))
        assert loaded(pool, "algo", "sha256d")[-1]["version"] == "3.0.0"
        for c in clients:
            c.close()
        assert pool.stop() == 0


def test_payout_schemes_change_hands_over_processes():
    with Workshop() as w, Pool(devnet(top=THREE).replace("{scheme: pplns, window: 2x difficulty}", "{scheme: solo}")).start() as pool:
        all_up(pool, 3)
        clients = on_all(pool, address(7104))
        r = swap(pool, "payout/solo", w.solo("solo"))
        assert r["generation"] == 2 and r["version"] == "9.9", r
        for c in clients:
            serves(pool, c)
            c.close()
        assert pool.stop() == 0
