"""An upgrade that is taken back: with the settings that were in force, whatever the file says by then, and between versions
whose sessions' records differ."""
import os
import shutil
import socket
import subprocess
import sys
import threading
import time

from devnet import Database, Miner, Raw, devnet, refused
from pool import BUILD, PROGRAM, address, free_port, wait_for
from skip import Skip
from test_faults import every_share_is_there
from stratum import Client
from test_upgrade import untouched
from upgrade import UpPool, alive, wrapper

NEXT = os.path.join(BUILD, "otedama-next")


class Taken:
    """A port that somebody else listens on, so that a start fails after everything was checked."""

    def __enter__(self):
        self.port = free_port()
        self.s = socket.create_server(("127.0.0.1", self.port))
        return self

    def __exit__(self, *_):
        self.s.close()

    def into(self, text):
        """The configuration with that port."""
        assert "      {port}: {" in text
        return text.replace("      {port}: {", f"      {self.port}: {{listen: 127.0.0.1}}\n      {{port}}: {{", 1)


def taken_back(pool, *words):
    """An upgrade that fails when everything was handed over, or on the way; its words."""
    before, n = pool.pid(), len(pool.said("upgrade.taken_back"))
    r = pool.upgrade(*words, check=False)
    assert r.returncode == 1 and "goes on as process" in r.stderr and "no miner was disconnected" in r.stderr, r.stderr
    wait_for(lambda: not alive(before), 10, about="the end of the old process")
    assert len(pool.said("upgrade.taken_back")) == n + 1
    return r.stderr


def kept(pool):
    status = pool.status()
    said = [x for x in status["attention"] if "taken back" in x]
    assert bool(said) == status["upgraded"]["settings_kept"], status
    return bool(said)


def works_on(pool, miners):
    """All of them have shares acknowledged from now on."""
    n = [m.acknowledged for m in miners]
    wait_for(lambda: all(m.acknowledged > x for m, x in zip(miners, n)) or any(not m.is_alive() for m in miners), 30,
             about="shares of all")
    untouched(miners)


def test_with_the_settings_of_before():
    """The file says what cannot be started; then it is no configuration at all, and the coins' files are gone."""
    with UpPool(devnet()) as pool, Taken() as taken:
        pool.start()
        miners = [Miner(pool.port, f"{address(150 + i)}.b", pause=0.005) for i in range(3)]
        good = pool.text
        pool.write(taken.into(good))
        said = taken_back(pool)
        assert str(taken.port) in said, said
        works_on(pool, miners)
        assert kept(pool) and pool.said("upgrade.settings_kept")
        # A reload that is refused changes nothing of that.
        assert pool.command("reload", "--socket", pool.socket, check=False).returncode == 1
        assert kept(pool)
        # The new program has read the file; the old one shall not.
        done, coins = threading.Event(), os.path.join(pool.folder, "coins")
        checked = len(pool.said("upgrade.checked"))

        def spoil():
            while not done.is_set():
                if len(pool.said("upgrade.checked")) > checked:
                    pool.write("no: [configuration")
                    os.unlink(coins)
                    return
                time.sleep(0.002)
        t = threading.Thread(target=spoil)
        t.start()
        taken_back(pool)
        done.set()
        t.join()
        pool.write("no: [configuration")
        if os.path.lexists(coins):
            os.unlink(coins)
        works_on(pool, miners)
        assert kept(pool)
        # It is what runs, and can be handed over again: by itself it asks nobody.
        r = pool.upgrade(check=False)
        assert r.returncode == 1 and pool.config in r.stderr, r.stderr
        works_on(pool, miners)
        pool.write(good)
        assert pool.command("reload", "--socket", pool.socket).returncode == 0
        assert not kept(pool)
        pool.upgraded()
        assert not kept(pool)
        works_on(pool, miners)
        for m in miners:
            m.stop()
            assert not m.refused and not m.unanswered
        assert pool.stop() == 0
        every_share_is_there(pool, miners)


def test_one_that_is_lost_at_each_step():
    """After the freeze, at a step that is known: the old program goes on, as another process, with all that it had."""
    heir = os.path.join(os.path.dirname(os.path.abspath(__file__)), "heir.py")
    with UpPool(devnet(top="limits: {handshake: 10m}")) as pool:
        pool.start()
        miners = [Miner(pool.port, f"{address(180 + i)}.s", ahead=(1, 4)[i % 2], pause=0.005) for i in range(3)]
        with Client(pool.port) as c, Raw(pool.port) as half:
            c.login(address(185) + ".one")
            share = c.mine()
            assert c.submit(share) is True
            half.write('{"id": 7, "method": "mining.sub')
            for how, said in (("take", "ended"), ("garbage", "nobody asked for"), ("ack", "ended"), ("fds", "ended"),
                              ("hang", "no word of it within 20000 ms")):
                words = taken_back(pool, "--wait", "20s" if how == "hang" else "2m", "--binary",
                                   wrapper(pool.folder, how, f'exec {sys.executable} {heir} "$PROGRAM" {how} "$@"'))
                assert said in words, f"{how}: {words}"
                refused(22, c.submit, share)
                works_on(pool, miners)
            half.write('scribe", "params": ["half"]}\n')
            assert len(half.answer(7)[-1]["result"][1]) == 8
            assert c.submit(c.mine()) is True
        pool.upgraded()
        works_on(pool, miners)
        for m in miners:
            m.stop()
            assert not m.refused and not m.unanswered
        assert pool.stop() == 0
        with Database(pool) as db:
            assert db.accepted()[address(185) + ".one"] == 2
            assert all(db.accepted()[m.user] == m.acknowledged for m in miners)


def test_a_reload_that_waits_for_a_restart_is_in_force_so():
    """What a reload has applied is kept, and what it has not is not tried."""
    with UpPool(devnet()) as pool, Taken() as taken:
        pool.start()
        m = Miner(pool.port, address(155) + ".r", pause=0.005)
        # The API's address waits for a restart; the fee does not.
        text = pool.text.replace("rate: 1%", "rate: 2%").replace('"127.0.0.1:{api}"', f'"127.0.0.1:{free_port()}"')
        pool.write(text)
        said = pool.command("reload", "--socket", pool.socket).stdout
        assert "needs restart" in said and "applied" in said, said
        pool.write(taken.into(text))
        taken_back(pool)
        assert kept(pool)
        assert '"ok"' in pool.get("/health", pool.api)
        assert [p["fee"]["ppm"] for p in pool.status()["pools"]] == [20000], pool.status()["pools"]
        works_on(pool, [m])
        m.stop()
        assert pool.stop() == 0
        every_share_is_there(pool, [m])


def test_between_records_of_two_lengths():
    """Either program takes its sessions back from itself after the other has failed, and hands them over to the other."""
    if not os.path.exists(NEXT):
        raise Skip("otedama-next is not built (cmake --build with the target otedama-next)")
    with UpPool(devnet()) as pool, Taken() as taken:
        pool.start()
        miners = [Miner(pool.port, f"{address(160 + i)}.n", ahead=(1, 4)[i % 2], pause=0.002) for i in range(4)]
        good = pool.text
        for other in (NEXT, PROGRAM, NEXT, PROGRAM):
            pool.write(taken.into(good))
            taken_back(pool, "--binary", other)
            works_on(pool, miners)
            pool.write(good)
            pool.upgraded("--binary", other)
            works_on(pool, miners)
            assert os.readlink(f"/proc/{pool.pid()}/exe") == other
        for m in miners:
            m.stop()
            assert not m.refused and not m.unanswered
        assert pool.stop() == 0
        every_share_is_there(pool, miners)


def test_the_file_is_put_back():
    """A package is installed over the running program, fails, and is taken out again."""
    if not os.path.exists(NEXT):
        raise Skip("otedama-next is not built (cmake --build with the target otedama-next)")
    with UpPool(devnet()) as pool, Taken() as taken:
        place = os.path.join(pool.folder, "installed")
        os.makedirs(place, mode=0o755)
        program = os.path.join(place, "otedama")
        os.symlink(os.path.join(BUILD, "plugins"), os.path.join(place, "plugins"))

        def install(file):
            shutil.copy(file, program + ".new")
            os.chmod(program + ".new", 0o755)
            os.rename(program + ".new", program)
        install(PROGRAM)
        pool.out = open(os.path.join(pool.folder, "out.txt"), "ab")
        pool.process = subprocess.Popen([program, "serve", "-c", pool.config], stdout=pool.out, stderr=subprocess.STDOUT,
                                        cwd=pool.folder, env=dict(os.environ, XDG_RUNTIME_DIR=pool.folder))
        wait_for(pool.is_serving, 30)
        miners = [Miner(pool.port, f"{address(170 + i)}.p", pause=0.005) for i in range(3)]
        good = pool.text
        for _ in range(2):
            pool.write(taken.into(good))
            install(NEXT)
            taken_back(pool)
            works_on(pool, miners)
            # What goes on is the program of before, which no file is any more.
            assert os.readlink(f"/proc/{pool.pid()}/exe").endswith(" (deleted)")
            install(PROGRAM)
            pool.write(good)
            pool.upgraded()
            assert os.readlink(f"/proc/{pool.pid()}/exe") == program
            works_on(pool, miners)
        for m in miners:
            m.stop()
            assert not m.refused and not m.unanswered
        assert pool.stop() == 0
        every_share_is_there(pool, miners)
