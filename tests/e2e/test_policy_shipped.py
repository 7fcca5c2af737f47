"""The policies in scripts/lua on a pool that mines: what their heads promise."""
import json
import os
import time

from devnet import SHARE, SOME_BLOCKS, Miner, Raw, devnet
from pool import ROOT, Pool, address, wait_for
from stratum import Client, StratumError
from test_policy import PAYS, WALLET, ask, mine_block, ripe, said

DIFF = float(SHARE)


def shipped(name, options, **more):
    """A pool with this script as it is shipped."""
    path = os.path.join(ROOT, "scripts", "lua", name)
    more["pool"] = f"policies: [{{file: '{path}', options: {options}}}]\n" + more.get("pool", "")
    return Pool(devnet(**more))


def login(pool, user, agent="otedama-e2e/1"):
    c = Client(pool.port)
    c.subscribe(agent)
    assert c.authorize(user) is True
    c.user = user
    c.wait_job()
    return c


def low(client, n):
    """n shares below the difficulty, each once; one of some thousand would be none by chance."""
    for i in range(n):
        job, en2 = client.job, f"{i:0{2 * client.en2_len}x}"
        nonce = next(f"{k:08x}" for k in range(1 << 16) if not client.meets((job, en2, job.ntime, f"{k:08x}", 0, None)))
        try:
            client.wait(client.send("mining.submit", [client.user, job.id, en2, job.ntime, nonce]))
        except (StratumError, ConnectionError):
            pass


def test_a_farm_behind_one_address_is_not_banned_for_one_miner():
    with shipped("bans.lua", "{least: 4, first: 10m, strangers: 1000}") as pool:
        pool.start()
        farm = address(30)
        good = [Miner(pool.port, f"{farm}.good{i}", ahead=2, pause=0.02) for i in range(2)]
        wait_for(lambda: all(m.acknowledged > 5 for m in good), about="shares of the good ones")
        bad = login(pool, farm + ".bad")
        low(bad, 4)
        wait_for(lambda: said(bad), about="a warning")
        assert "shares below the difficulty" in said(bad)[0], said(bad)
        low(bad, 4)
        assert bad.closed.wait(60), "the second time it is dropped"
        bad = login(pool, farm + ".bad")
        low(bad, 4)
        assert bad.closed.wait(60), "the third time it is banned"
        assert said(bad)[-1].startswith("banned until "), said(bad)
        bans = wait_for(lambda: json.loads(pool.command("ban", "list", "--json", "--socket", pool.socket).stdout)["bans"],
                        about="the ban")
        assert [(b["scope"], b["what"]) for b in bans] == [("worker", f"dev/{farm}.bad")], bans

        def shut_out():
            with Client(pool.port) as c:
                c.subscribe()
                try:
                    return c.authorize(farm + ".bad") is not True
                except StratumError as e:
                    return "shares below the difficulty" in e.text
        wait_for(shut_out, about="the ban on each reactor")
        # A stranger at the same address is dropped, and that is all.
        with Raw(pool.port) as r:
            r.write("hello\n" * 4)
            while r.line() is not None:
                pass
        before = [m.acknowledged for m in good]
        wait_for(lambda: all(m.acknowledged > n + 5 for m, n in zip(good, before)), about="more shares of the good")
        assert login(pool, farm + ".new").submit is not None
        for m in good:
            m.stop()
        assert not any(m.refused for m in good), [m.refused for m in good]
        assert len(json.loads(pool.command("ban", "list", "--json", "--socket", pool.socket).stdout)["bans"]) == 1


def test_difficulty_by_software_and_as_it_was():
    ports = f"{{start: {SHARE}, min: {SHARE}, max: 1, aim: 3s}}"
    with shipped("difficulty.lua", f"{{agents: ['farm/*={DIFF * 8:.20f}'], fixed: ['*.test={DIFF * 4:.20f}']}}",
                 difficulty=ports) as pool:
        pool.start()

        def has(c, times):
            wait_for(lambda: abs(c.difficulty / DIFF - times) < 0.02 * times, about=f"{times} times the port's start")
        has(login(pool, address(31) + ".x"), 1)
        has(login(pool, address(31) + ".x", "farm/7"), 8)
        has(login(pool, address(31) + ".test", "farm/7"), 4)
        # A fast one is raised, and starts there when it comes back.
        keen = login(pool, address(31) + ".keen")
        wait_for(lambda: keen.submit(keen.mine()) and keen.difficulty > 1.9 * DIFF, step=0, about="a raise")
        keen.close()
        again = login(pool, address(31) + ".keen")
        assert again.difficulty > 1.9 * DIFF, again.difficulty / DIFF


def test_fees_of_the_pool():
    with shipped("fees.lua", f"{{rate: 5%, pool_tiers: ['1E=0.1%'], donate: 25%, donate_to: {address(32)}, "
                 f"fee_to: {address(33)}}}", bits=SOME_BLOCKS) as pool:
        pool.start()
        fee = wait_for(lambda: (lambda f: f["by"] == "policy" and f)(pool.status()["pools"][0]["fee"]), about="the fee")
        assert (fee["ppm"], fee["settings_ppm"], fee["policy"]) == (50000, 10000, "fees"), fee
        block = mine_block(pool, address(10) + ".x")
        value, took = int(block["value_units"]), int(block["fee_units"])
        assert took == -(-value * 5 // 100), (value, took)


def test_payments_beyond_a_limit_wait():
    with shipped("payments.lua", "{largest: 1 DEV}", bits=SOME_BLOCKS, pool=PAYS) as pool:
        pool.write(pool.text.replace("bcrt1q3jzz8hqjs2nxnaweuge6lsxjca3kwr0kdkgd3d", WALLET))
        pool.start()
        ripe(pool, (address(34),))
        id_ = ask(pool, "run", "dev")["id"]
        p = ask(pool, "show", str(id_))
        assert p["held"] is True and "to one recipient, the limit is 1 DEV" in json.dumps(p), p
        time.sleep(1)
        assert ask(pool, "show", str(id_))["state"] == "reserved"
