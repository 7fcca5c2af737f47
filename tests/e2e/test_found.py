"""A block that the pool had acknowledged and nobody else had heard of when it was killed with SIGKILL: the next start
puts it together of its journal and its template's file, and hands it in.

OTEDAMA_FOUND_KILLS=20 tests/e2e/run.py found:acknowledged      so many kills; 3 where it is not said
"""
import os
import re
import shutil
import stat
import subprocess
import tempfile

from devnet import devnet
from money import target_of
from node import real_node
from pool import BUILD, ROOT, Pool, address, wait_for
from skip import Skip
from stratum import Client, StratumError
from test_node import FLOOR, block_in_state, config

KILLS = int(os.environ.get("OTEDAMA_FOUND_KILLS", "3"))
_library = []


def library():
    """Holds the coordinator's loop, and nothing else, while a file is there."""
    if "asan" in BUILD or "tsan" in BUILD:
        raise Skip("a sanitizer wants to be the first library")
    if not shutil.which("cc"):
        raise Skip("cc is not installed")
    if not _library:
        path = os.path.join(tempfile.mkdtemp(prefix="otedama-e2e-"), "hold_loop.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", path, os.path.join(ROOT, "tests", "e2e", "hold_loop.c"),
                        "-ldl"], check=True)
        _library.append(path)
    return _library[0]


def finish():
    for path in _library:
        shutil.rmtree(os.path.dirname(path), ignore_errors=True)
    _library.clear()


class Held:
    """While it lasts the pool's coordinator does nothing."""

    def __init__(self, pool):
        self.when = os.path.join(pool.folder, "hold")
        pool.env.update(LD_PRELOAD=library(), HOLD_WHEN=self.when)

    def begin(self):
        with open(self.when, "w", encoding="ascii"):
            pass
        wait_for(lambda: os.path.exists(self.when + ".held"), 60, about="the stop of the coordinator")

    def clear(self):
        """After a kill."""
        for path in (self.when, self.when + ".held"):
            if os.path.exists(path):
                os.unlink(path)


def templates(pool):
    folder = os.path.join(pool.folder, "data", "templates")
    return [os.path.join(folder, f) for f in sorted(os.listdir(folder)) if f.endswith(".template")]


def is_kept(pool, job):
    """Whether a file has the transactions of this job: its head has the merkle branches."""
    for path in templates(pool):
        try:
            with open(path, "rb") as f:
                data = f.read()
        except FileNotFoundError:
            continue  # its tip is an old one
        if all(bytes.fromhex(b) in data for b in job.branches):
            return True
    return False


def job_on_disk(pool, client, branches):
    """A job whose transactions are in a file. Its tip is the last one here, so its shares stay good."""
    def look():
        job = client.job
        return job if len(job.branches) >= branches and is_kept(pool, job) else None
    return wait_for(look, 60, about="a job and its template's file")


def kill_with_a_block(held, pool, client, branches):
    """Acknowledged, in the journal, and nowhere else: then killed. The block's hash."""
    job = job_on_disk(pool, client, branches)
    held.begin()
    share = client.mine(job, easier_than=target_of(FLOOR))
    assert client.submit(share) is True
    name = f"{share[4]:064x}"
    assert not any(name in f for f in os.listdir(os.path.join(pool.folder, "data", "blocks")))
    pool.kill()
    held.clear()
    return name


def test_a_block_acknowledged_and_killed_is_on_the_chain():
    with real_node() as node, Pool(config(node)) as pool:
        node.pay(3)
        held = Held(pool)
        for turn in range(KILLS):
            pool.start()
            height = node.rpc("getblockcount") + 1
            with Client(pool.port) as client:
                client.login(f"{address(turn + 1)}.rig")
                name = kill_with_a_block(held, pool, client, 1)
            assert node.rpc("getblockcount") == height - 1, "the node has it already"
            for path in templates(pool):
                assert stat.S_IMODE(os.stat(path).st_mode) == 0o600, path
            pool.start()
            block = block_in_state(pool, height, "confirming", seconds=60)
            found = node.rpc("getblock", node.rpc("getblockhash", height))
            assert found["hash"] == block["hash"] == name
            assert len(found["tx"]) >= 2, "the wallet's transactions are not in the block"
            assert f"block.recovered pool=btc height={height} hash={name}" in pool.output()
            assert [b["hash"] for b in pool.status()["blocks"]].count(name) == 1
            pool.kill()
            # Once more: nothing is left to recover, and nothing is credited again.
            pool.start()
            block_in_state(pool, height, "confirming", seconds=60)
            assert len(re.findall(f"block.recovered .*hash={name}", pool.output())) == 1
            node.pay(2)
            pool.stop()
        assert "ok" in pool.command("ledger", "verify", "-c", pool.config).stdout


def damage(path):
    with open(path, "r+b") as f:
        f.seek(-1, os.SEEK_END)
        last = f.read(1)
        f.seek(-1, os.SEEK_END)
        f.write(bytes([last[0] ^ 1]))


def kill_devnet_with_a_block(pool, held):
    pool.start()
    with Client(pool.port) as client:
        client.login(f"{address(1)}.rig")
        return kill_with_a_block(held, pool, client, 0)


def test_a_damaged_or_missing_template_is_told():
    for what, words in ((damage, "is not a whole template file"), (os.unlink, "has no template of its height and tip")):
        with Pool(devnet(pool=f"block_difficulty_floor: {FLOOR}", bits="207fffff")) as pool:
            held = Held(pool)
            name = kill_devnet_with_a_block(pool, held)
            for path in templates(pool):
                what(path)
            pool.start()
            line = next(x for x in pool.output().splitlines() if "block.not_recovered" in x)
            assert f"height=1 hash={name}" in line and words in line, line
            # It serves, and the next block is taken.
            with Client(pool.port) as client:
                client.login(f"{address(2)}.rig")
                assert client.submit(client.mine(easier_than=target_of(FLOOR))) is True
            wait_for(lambda: "state=accepted" in pool.output(), 60, about="another block")
            assert pool.stop() == 0, pool.process.returncode


def test_a_block_on_the_devnet_is_recovered():
    with Pool(devnet(pool=f"block_difficulty_floor: {FLOOR}", bits="207fffff")) as pool:
        name = kill_devnet_with_a_block(pool, Held(pool))
        pool.start()
        block = block_in_state(pool, 1, "accepted", "confirming", "mature", seconds=60)
        assert block["hash"] == name
        assert f"block.recovered pool=dev height=1 hash={name}" in pool.output()
        assert pool.stop() == 0, pool.process.returncode


def test_a_tip_that_comes_back_is_other_work():
    """A, B, C, A: reactors have forgotten the hashes of A's first stay, so nothing of it may count on the second."""
    with real_node() as node, Pool(config(node)) as pool:
        pool.start()
        with Client(pool.port) as client:
            client.login(f"{address(1)}.rig")
            first = client.job
            share = client.mine(first, harder_than=target_of(FLOOR))
            assert client.submit(share) is True
            blocks = []
            for _ in range(2):
                prev = client.job.prev
                blocks += node.rpc("generatetoaddress", 1, node.rpc("getnewaddress"))
                client.wait_tip(prev, timeout=60)
            prev = client.job.prev
            node.rpc("invalidateblock", blocks[0])
            client.wait_tip(prev, timeout=60)
            wait_for(lambda: client.job.prev == first.prev, 60, about="the old tip")
            again = client.job
            assert again.coinb1 != first.coinb1, "a share of the first stay is one of the second"
            assert bytes.fromhex(again.coinb1).startswith(bytes.fromhex(first.coinb1)[:41])
            if not client.meets(share, again):
                try:
                    client.submit((again, *share[1:]))
                    raise AssertionError("it counts twice")
                except StratumError as e:
                    assert e.code in (21, 23), e
            assert client.submit(client.mine(again, harder_than=target_of(FLOOR))) is True
        pool.stop()
