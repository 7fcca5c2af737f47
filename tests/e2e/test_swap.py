"""Plugins change under a running pool: no connection dropped, no share refused for it, and whatever is wrong with a
new file, the old one serves on."""
import glob
import json
import os
import shutil
import subprocess
import tempfile
import time

from devnet import Database, Miner, devnet, fixed, refused
from pool import BUILD, ROOT, Pool, address, free_port, wait_for
from skip import Skip
from stratum import Client

SWAPS = int(os.environ.get("OTEDAMA_SWAPS", "100"))
LOW_DIFFICULTY = 23

EXTRA_POOL = f"""
  fresh:
    coin: fresh
    chain: {{bits: 1d00ffff, spacing: 0s}}
    coinbase: {{address: ADDRESS}}
    payout: {{scheme: pplns}}
    ports:
      PORT: {{listen: 127.0.0.1, difficulty: {fixed()}}}
"""


class Workshop:
    """Builds of plugins, each wrong in its own way, in a folder that the pool trusts."""

    def __enter__(self):
        if not shutil.which("cc"):
            raise Skip("cc is not installed")
        self.folder = tempfile.mkdtemp(prefix="otedama-swap-")
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)

    def cc(self, name, source, *flags):
        out = os.path.join(self.folder, name + ".so")
        subprocess.run(["cc", "-std=c17", "-D_GNU_SOURCE", "-O2", "-shared", "-fPIC", "-fvisibility=hidden",
                        "-I" + os.path.join(ROOT, "core", "include"), source, "-o", out, *flags], check=True)
        os.chmod(out, 0o644)
        return out

    def algo(self, name, behave="GOOD", version="2.0.0", ident="sha256d"):
        return self.cc(name, os.path.join(ROOT, "tests", "e2e", "plugins", "sha256d.c"), f"-DBEHAVE={behave}",
                       f'-DVERSION="{version}"', f'-DID="{ident}"', os.path.join(BUILD, "libotedama-sha256.a"),
                       "-Wl,--exclude-libs,ALL")

    def solo(self, name, before="", after=""):
        """payout/solo with one piece of its source replaced."""
        with open(os.path.join(ROOT, "plugins", "payout", "solo", "solo.c"), encoding="utf-8") as f:
            text = f.read()
        assert before in text, f"solo.c has no '{before}'"
        text = text.replace(before, after) if before else text
        path = os.path.join(self.folder, name + ".c")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace("../common/", ""))
        common = os.path.join(ROOT, "plugins", "payout", "common")
        others = [c for c in sorted(glob.glob(os.path.join(common, "*.c"))) if "/test_" not in c]
        return self.cc(name, path, *others, "-I" + common, '-DOTEDAMA_VERSION="9.9"',
                       os.path.join(BUILD, "libotedama-sha256.a"), "-Wl,--exclude-libs,ALL")


def plugin(pool, *words, check=True):
    return pool.command("plugin", *words, "--socket", pool.socket, check=check)


def swap(pool, name, file):
    return json.loads(plugin(pool, "swap", name, file, "--json").stdout)


def loaded(pool, kind, id_):
    """Generations of one that are in use or the newest, in order."""
    rows = json.loads(plugin(pool, "list", "--json").stdout)["plugins"]
    return [p for p in rows if p["kind"] == kind and p["id"] == id_]


def serves(pool, miner):
    """A share that is sent now is accepted."""
    assert miner.submit(miner.mine()) is True


def test_a_hundred_swaps_under_load():
    """A and B by turns beneath miners that never pause: every share is accepted, and all are in SQL."""
    who = address(7001)
    with Workshop() as w, Pool(devnet(pool="refresh: 1s", top="threads: {reactors: 2}")).start() as pool:
        files = [w.algo("a", version="2.0.0"), w.algo("b", version="2.0.1")]
        miners = [Miner(pool.port, f"{who}.rig{i}", ahead=8, pause=0.01) for i in range(4)]
        for i in range(SWAPS):
            r = swap(pool, "algo/sha256d", files[i % 2])
            assert r["generation"] == i + 2 and r["version"] == f"2.0.{i % 2}", r
        assert all(m.is_alive() for m in miners), "a connection was dropped"
        for m in miners:
            m.stop()
        assert [m.refused for m in miners] == [[]] * 4
        assert all(m.acknowledged > 20 for m in miners), [m.acknowledged for m in miners]
        newest = [p for p in loaded(pool, "algo", "sha256d") if p["newest"]]
        assert newest[0]["generation"] == SWAPS + 1 and newest[0]["file"] == files[(SWAPS - 1) % 2]
        if SWAPS >= 16:
            assert "plugin.generations" in pool.output()
        assert pool.stop() == 0
        with Database(pool) as db:
            assert db.accepted() == {f"{who}.rig{i}": m.acknowledged for i, m in enumerate(miners)}


def made_since(miner):
    """A job that was surely made after now: the second that comes."""
    return miner.wait_job(other_than=miner.wait_job(other_than=miner.job.id).id)


def test_each_generation_judges_its_own_jobs():
    """The new one refuses everything: jobs from before the swap are still judged by the old one."""
    with Workshop() as w, Pool(devnet(pool="refresh: 1s")).start() as pool, Client(pool.port) as miner:
        never, good = w.algo("never", "NEVER_ENOUGH"), w.algo("good")
        miner.login(f"{address(7002)}.rig")
        before = miner.job
        swap(pool, "algo/sha256d", never)
        for _ in range(3):
            assert miner.submit(miner.mine(before)) is True
        assert len(loaded(pool, "algo", "sha256d")) == 2, "the old generation has jobs, and is not shown"
        new = made_since(miner)
        refused(LOW_DIFFICULTY, miner.submit, miner.mine(new))
        assert miner.submit(miner.mine(before)) is True
        swap(pool, "algo/sha256d", good)
        refused(LOW_DIFFICULTY, miner.submit, miner.mine(new))
        assert miner.submit(miner.mine(before)) is True
        made_since(miner)
        serves(pool, miner)
        # A, B, A: three images, each with jobs of its own
        assert [p["generation"] for p in loaded(pool, "algo", "sha256d")] == [1, 2, 3]
        # two new tips, and nobody needs the earlier ones
        for _ in range(2):
            tip = miner.job.prev
            pool.chain("dev", "mine", "1")
            wait_for(lambda: miner.job.prev != tip, about="a job on the new tip")
        wait_for(lambda: len(loaded(pool, "algo", "sha256d")) == 1, about="the end of earlier generations")
        assert loaded(pool, "algo", "sha256d")[0]["generation"] == 3


def left_over():
    """Copies of plugins that lie about: others' may have been there before."""
    return {f for f in os.listdir("/tmp") if f.startswith("otedama-plugin-")}


WRONG = {
    "CRASH_CREATE": ("create()", "SIGSEGV"),
    "ABORT_CREATE": ("create()", "SIGABRT"),
    "EXIT_CREATE": ("ended the trial process in create()", "exit status 3"),
    "HANG_CREATE": ("hangs in create()", "killed after 10000 ms"),
    "CRASH_HASH": ("hash_batch()", "SIGSEGV"),
    "CRASH_DESTROY": ("destroy()", "SIGSEGV"),
    "CRASH_BUILDING": ("constructors", "SIGSEGV"),
    "WRITES_FILE": ("create()", "SIGXFSZ"),
    "WRONG_HASH": ("known answer 0", "Bitcoin, block 0"),
    "WRONG_ABI": ("plugin ABI 77", "the plugin is newer"),
    "OTHER_FACTS": ("another difficulty 1", "restart"),
    "REFUSE_CREATE": ("not today", ""),
}


def test_bad_files_leave_the_old_one():
    """Each is refused with its own words; pool, connection and shares do not notice."""
    top = "plugins: {enable: [algo/*, chain/*, payout/*, store/*], trial_time: 10s}"
    with Workshop() as w, Pool(devnet(top=top)).start() as pool, Client(pool.port) as miner:
        miner.login(f"{address(7003)}.rig")
        sanitized = "asan" in BUILD or "tsan" in BUILD
        there = left_over()
        for behave, words in WRONG.items():
            r = plugin(pool, "swap", "algo/sha256d", w.algo(behave.lower(), behave), check=False)
            # A sanitizer takes the signal, and ends the process in its own words.
            expected = [x for x in words if not (sanitized and x.startswith("SIG"))]
            assert r.returncode == 1 and all(x in r.stderr for x in expected), (behave, r.stderr, r.stdout)
            assert r.stderr.count("\n") == 1, r.stderr
            serves(pool, miner)
        whole = w.algo("whole")
        with open(whole, "rb") as f:
            data = f.read()
        for part in range(10):
            torn = os.path.join(w.folder, "torn.so")
            with open(torn, "wb") as f:
                f.write(data[:len(data) * part // 10])
            os.chmod(torn, 0o644)
            r = plugin(pool, "swap", "algo/sha256d", torn, check=False)
            assert r.returncode == 1 and "torn.so" in r.stderr, (part, r.stderr)
            serves(pool, miner)
        r = plugin(pool, "swap", "algo/sha256d", os.path.join(w.folder, "absent.so"), check=False)
        assert r.returncode == 1 and "no such file" in r.stderr
        os.chmod(whole, 0o666)
        r = plugin(pool, "swap", "algo/sha256d", whole, check=False)
        assert r.returncode == 1 and "others may write it" in r.stderr
        [now] = loaded(pool, "algo", "sha256d")
        assert now["generation"] == 1 and now["users"] == ["pool dev"], now
        assert left_over() <= there
        assert pool.stop() == 0


def test_payout_schemes_change_hands():
    """A scheme's state goes over between two records; one that comes to something else does not serve."""
    text = devnet(bits="1f00ffff").replace("{scheme: pplns, window: 2x difficulty}", "{scheme: solo}")
    who = [address(7004), address(7005)]
    with Workshop() as w, Pool(text).start() as pool:
        with Client(pool.port) as c:  # a round that is not at its beginning, where there is nothing to forget
            c.login(f"{who[0]}.rig")
            for _ in range(5):
                assert c.submit(c.mine(harder_than=c.job.network_target())) is True
        wait_for(lambda: pool.status()["pools"][0]["accepted"] == 5, about="the shares in the round")
        forgets = w.solo("forgets", "in->round = book;", "payout_book_finish(&in->host, &book);")
        r = plugin(pool, "swap", "payout/solo", forgets, check=False)
        assert r.returncode == 1 and "what the new one made of the state is not the same" in r.stderr, r.stderr
        refuses = w.solo("refuses", "#define MAGIC 0x4f534c4fU", "#define MAGIC 0x4f534c50U")
        r = plugin(pool, "swap", "payout/solo", refuses, check=False)
        assert r.returncode == 1 and "does not take the state of the old one" in r.stderr, r.stderr
        assert loaded(pool, "payout", "solo")[0]["generation"] == 1
        good = w.solo("good")
        miners = [Miner(pool.port, f"{a}.rig", ahead=4, pause=0.005) for a in who]
        wait_for(lambda: all(m.acknowledged > 20 for m in miners), about="some shares")
        for i in range(10):
            r = swap(pool, "payout/solo", good)
            assert r["generation"] == i + 2 and r["sequence"] > 0, r
            time.sleep(0.1)
        for m in miners:
            m.stop()
        assert [p["generation"] for p in loaded(pool, "payout", "solo")] == [11]
        wait_for(lambda: pool.status()["accounting"]["waiting"] == 0, about="all shares in SQL")
        assert pool.stop() == 0
        with Database(pool) as db:
            accepted = db.accepted()
        assert accepted == {f"{a}.rig": m.acknowledged + more for a, m, more in zip(who, miners, (5, 0))}
        # what the new one saved, the shipped one takes at the next start
        pool.start()
        assert loaded(pool, "payout", "solo")[0]["version"] != "9.9"
        assert pool.stop() == 0
        assert pool.command("ledger", "verify", "-c", pool.config).returncode == 0


def test_load_unload_and_what_wants_a_restart():
    top = "plugins: {enable: [algo/sha256d, chain/devnet, payout/pplns, store/sqlite]}"
    with Workshop(), Pool(devnet(top=top)).start() as pool:
        for name in ("chain/devnet", "store/sqlite"):
            r = plugin(pool, "swap", name, check=False)
            assert r.returncode == 1 and "needs a restart" in r.stderr, r.stderr
        r = plugin(pool, "unload", "algo/sha256d", check=False)
        assert r.returncode == 1 and "in use by pool dev" in r.stderr, r.stderr
        r = plugin(pool, "swap", "algo/scrypt", check=False)
        assert r.returncode == 1 and "not loaded" in r.stderr, r.stderr
        plugin(pool, "load", "algo/scrypt")
        assert loaded(pool, "algo", "scrypt")[0]["users"] == []
        r = plugin(pool, "load", "algo/scrypt", check=False)
        assert r.returncode == 1 and "loaded already" in r.stderr, r.stderr
        plugin(pool, "unload", "algo/scrypt")
        assert loaded(pool, "algo", "scrypt") == []
        r = plugin(pool, "unload", "algo/scrypt", check=False)
        assert r.returncode == 1 and "not loaded" in r.stderr, r.stderr
        file = os.path.join(BUILD, "plugins", "algo", "scrypt.so")
        assert json.loads(plugin(pool, "load", file, "--json").stdout)["generation"] == 2
        assert pool.stop() == 0


def test_a_new_algorithm_in_a_running_pool():
    """A file from anywhere is loaded, a coin of it added, and mined, while the first pool's miners go on."""
    with Workshop() as w, Pool(devnet()).start() as pool:
        old = Miner(pool.port, f"{address(7010)}.rig", pause=0.01)
        coins = os.path.join(pool.folder, "coins")
        os.remove(coins)
        shutil.copytree(os.path.join(ROOT, "etc", "coins"), coins)
        with open(os.path.join(coins, "devnet.yaml"), encoding="utf-8") as f:
            coin = f.read()
        with open(os.path.join(coins, "fresh.yaml"), "w", encoding="utf-8") as f:
            f.write(coin.replace("{use: sha256d}", "{use: fresh, rounds: 2}").replace("symbol: DEV", "symbol: FRE"))
        port = free_port()
        before, after = pool.text.split("api:")
        more = before + EXTRA_POOL.replace("PORT", str(port)).replace("ADDRESS", address(7011)) + "api:" + after
        pool.write(more)
        r = pool.command("reload", "-c", pool.config, check=False)
        assert r.returncode == 1 and "algo/fresh" in r.stderr, r.stderr
        plugin(pool, "load", w.algo("fresh", ident="fresh"))
        pool.command("reload", "-c", pool.config)
        with Client(port) as miner:
            miner.login(f"{address(7012)}.rig")
            for _ in range(5):
                serves(pool, miner)
            swap(pool, "algo/fresh", w.algo("fresher", version="2.0.7", ident="fresh"))
            serves(pool, miner)
            # Its defaults are well; the options of this coin are not, and the trial has those.
            r = plugin(pool, "swap", "algo/fresh", w.algo("picky", "CRASH_OPTION", ident="fresh"), check=False)
            assert r.returncode == 1 and "the trial process in create()" in r.stderr, r.stderr
            serves(pool, miner)
        assert loaded(pool, "algo", "fresh")[-1]["users"] == ["pool fresh"]
        old.stop()
        assert not old.refused and old.acknowledged > 20
        # and out again
        pool.write(pool.text)
        pool.command("reload", "-c", pool.config)
        wait_for(lambda: all(not p["users"] for p in loaded(pool, "algo", "fresh")), about="the end of its pool")
        plugin(pool, "unload", "algo/fresh")
        assert pool.stop() == 0


def test_lock_lets_nothing_else_load():
    """What `plugin lock` writes starts this pool, and refuses a file that is another one."""
    with Workshop() as w, Pool(devnet()).start() as pool:
        lock = plugin(pool, "lock").stdout
        assert pool.stop() == 0
        pool.write(devnet(top=lock))
        pool.start()
        r = plugin(pool, "swap", "algo/sha256d", w.algo("good"), check=False)
        assert r.returncode == 1 and "plugins.digests has another" in r.stderr, r.stderr
        r = plugin(pool, "load", "algo/scrypt", check=False)
        assert r.returncode == 1 and "safe_mode is on" in r.stderr, r.stderr
        serves_ = Client(pool.port)
        serves_.login(f"{address(7006)}.rig")
        serves(pool, serves_)
        serves_.close()
        assert pool.stop() == 0
        pool.write(devnet(top=lock.replace("algo/sha256d=", "algo/sha256d=" + "0" * 64 + "\n    - algo/other=")))
        r = pool.command("serve", "-c", pool.config, check=False)
        assert r.returncode == 1 and "plugins.digests has another" in r.stderr, r.stderr


def test_a_digest_is_tried_once():
    """The second start of the same files needs no trial; a trial's end does not wait for the pool's."""
    with Workshop() as w, Pool(devnet()).start() as pool:
        tried = pool.output().count("plugin.trial")
        assert tried >= 4, pool.output()[-2000:]
        assert pool.stop() == 0
        pool.start()
        assert pool.output().count("plugin.trial") == tried
        hangs = w.algo("hangs", "HANG_CREATE")
        asking = subprocess.Popen([os.path.join(BUILD, "otedama"), "plugin", "swap", "algo/sha256d", hangs,
                                   "--socket", pool.socket], stderr=subprocess.PIPE, text=True)
        time.sleep(0.5)
        start = time.monotonic()
        assert pool.status()["pools"], "a trial keeps others from being answered"
        assert pool.stop() == 0
        assert time.monotonic() - start < 45, "a trial, which may take a minute, kept the pool from ending"
        assert asking.wait(60) == 1
