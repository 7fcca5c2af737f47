"""The budget of refused shares is one, however many reactors a worker spreads them over; others of its address keep theirs."""
import json
import os
import signal
import time

from devnet import devnet
from pool import Pool, address, wait_for
from stratum import Client, StratumError
from test_limits import counter, own_address
from test_processes import all_up, processes

THREADS = "threads: {reactors: 3}"
PROCESSES = "threads: {processes: 3}"
BUDGET = 120


def reactor_of(client):
    """Each has an epoch of its own, which stands in the upper bits of extranonce1."""
    return int.from_bytes(client.en1[:4], "big") >> 20


def spread(pool, user, each):
    """Connections of a worker, so many on each of three reactors; [] for each."""
    there = {}
    for i in range(40):
        c = Client(pool.port)
        c.login(user(i) if callable(user) else user)
        there.setdefault(reactor_of(c), []).append(c)
        if len(there) == 3 and all(len(cs) >= each for cs in there.values()):
            return there
    raise AssertionError(f"{[len(cs) for cs in there.values()]}: connections are not spread")


def send_bad(client, n):
    """What one refused share is answered: its code; None: the connection was closed."""
    try:
        client.wait(client.send("mining.submit", [client.user, client.job.id, "00", client.job.ntime, f"{n:08x}"]))
    except StratumError as e:
        return e.code
    except OSError:
        return None
    raise AssertionError("a malformed share was accepted")


def is_kept_out(pool):
    """Wherever it comes, it is told why and for how long."""
    seen, there = set(), []
    for _ in range(60):
        c = Client(pool.port)
        there.append(c)
        c.subscribe()
        seen.add(reactor_of(c))
        try:
            c.authorize(f"{address(300)}.bad")
            raise AssertionError("it was let in again")
        except StratumError as e:
            assert "let in again in" in e.text, e.text
        if len(seen) == 3:
            break
    assert len(seen) == 3
    for c in there:
        c.close()
    return seen


def one_budget(threads):
    top = f"{threads}\nlimits: {{invalid: {{shares: {BUDGET}}}}}"
    with Pool(devnet(top=top)) as pool:
        pool.start()
        if "processes" in threads:
            all_up(pool, 3)
        good = [c for cs in spread(pool, lambda i: f"{address(300)}.good{i}", 1).values() for c in cs]
        bad = [c for cs in spread(pool, f"{address(300)}.bad", 2).values() for c in cs]
        refused = rounds = 0
        left = list(bad)
        while left:
            rounds += 1
            assert rounds < 4 * BUDGET, f"{refused} refused shares, and {len(left)} connections stay"
            for c in list(left):
                code = send_bad(c, rounds)
                refused += code is not None and code != 24
                if code is None or c.closed.is_set():
                    left.remove(c)
            if refused > BUDGET * 2 // 3:
                time.sleep(0.1)  # reactors tell each other while it goes on; the bound below leaves them seconds
            if rounds % 10 == 0:
                assert all(c.submit(c.mine()) is True for c in good), "a good worker suffers for a bad one"
        # By itself each of the three would have let it have all of the budget.
        assert BUDGET <= refused < 2 * BUDGET, f"{refused} of {BUDGET}"
        is_kept_out(pool)
        if "processes" in threads:  # one that begins later is told
            victim = processes(pool)[1]["pid"]
            os.kill(victim, signal.SIGKILL)
            wait_for(lambda: processes(pool)[1]["pid"] not in (0, victim), 30, about="the next process")
            all_up(pool, 3)
            live = is_kept_out(pool)
            good = [c for c in good if reactor_of(c) in live]
            assert good
        # Another name from there is not.
        for cs in spread(pool, lambda i: f"{address(300)}.new{i}", 1).values():
            for c in cs:
                assert c.submit(c.mine()) is True
                c.close()
        assert all(c.submit(c.mine()) is True for c in good), "a good worker suffers for a bad one"
        for c in good:
            c.close()
        assert pool.stop() == 0


def test_threads_have_one_budget():
    one_budget(THREADS)


def test_processes_have_one_budget():
    one_budget(PROCESSES)


def spoil(host, port, user):
    """A worker that spends its budget on one connection; false: it was not let in."""
    try:
        c = Client(port, host=host)
    except OSError:
        return False
    try:
        c.login(user)
        for i in range(200):
            if send_bad(c, i) is None:
                return True
        raise AssertionError(f"{user} stays")
    except (OSError, StratumError, json.JSONDecodeError):
        return False
    finally:
        c.close()


def one_address(threads):
    """A farm is spread over reactors, and none of them sees more than a part of it."""
    host = own_address()
    top = f"{threads}\nlimits: {{invalid: {{shares: 24}}}}"
    with Pool(devnet(top=top).replace("listen: 127.0.0.1,", "listen: '*',")) as pool:
        def banned():
            return host in pool.command("ban", "list", "--socket", pool.socket).stdout

        pool.start()
        if "processes" in threads:
            all_up(pool, 3)
        farm = []
        for i in range(9):
            farm.append(Client(pool.port, host=host))
            farm[i].login(f"{address(301)}.good{i}")
            assert farm[i].submit(farm[i].mine()) is True
        assert len({reactor_of(c) for c in farm}) == 3
        for i in range(7):  # each reactor sees three good ones
            assert spoil(host, pool.port, f"{address(301)}.bad{i}"), f"bad{i} was not let in: the farm is banned"
            time.sleep(0.3)
        assert all(c.submit(c.mine()) is True for c in farm), "a good worker suffers for a bad one"
        assert not banned()
        for c in farm:
            c.close()
        wait_for(lambda: counter(pool, "otd_sessions") == 0, 20, about="the end of the farm")
        # Nobody is left whom it could harm: now it is the address.
        for i in range(40):
            if not spoil(host, pool.port, f"{address(301)}.late{i}") or banned():
                break
            time.sleep(0.3)
        wait_for(banned, 20, about="a ban of the address")
        assert pool.stop() == 0


def test_a_farm_over_threads_keeps_its_address():
    one_address(THREADS)


def test_a_farm_over_processes_keeps_its_address():
    one_address(PROCESSES)
