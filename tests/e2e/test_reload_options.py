"""Options of a chain change under a running pool: its plugin takes them by reconfigure(), or refuses them, or dies of them in a
child; and those that it cannot take wait for a restart."""
import glob
import os
import re

from pool import BUILD, ROOT, wait_for
from reload import Live
from test_swap import Workshop

# What transactions: N has this chain do in reconfigure(); other numbers are taken.
REFUSED, CRASHES, HANGS, SULKS, ONCE = 4001, 4002, 4003, 4004, 4005
MOOD = f"""
	if (opt->transactions == {REFUSED})
		return btc_fail(&in->host, OTD_E_INVALID, "transactions: %lld is refused", (long long)opt->transactions);
	if (opt->transactions == {CRASHES})
		*(volatile int *)8 = 1;
	if (opt->transactions == {HANGS})
		for (volatile int go = 1; go;)
			;
	if (in->opt->transactions == {SULKS})
		return OTD_E_INVALID;
	if (opt->transactions == {ONCE} && in->files)
		return btc_fail(&in->host, OTD_E_INVALID, "it is another day");
"""


def moody(shop):
    """chain/devnet with a reconfigure() of its own, in a folder for plugins."""
    source = os.path.join(ROOT, "plugins", "chain", "devnet")
    common = os.path.join(ROOT, "plugins", "chain", "common")
    with open(os.path.join(source, "devnet.c"), encoding="utf-8") as f:
        text = f.read()
    begin = "\tconst struct devnet_options *opt = options_filled;\n\t/* \"wallet fee\""
    assert text.count(begin) == 1, "devnet.c has another reconfigure()"
    first, rest = begin.split("\n", 1)
    path = os.path.join(shop.folder, "devnet.c")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace(begin, first + MOOD + rest))
    others = [c for d in (source, common) for c in sorted(glob.glob(os.path.join(d, "*.c")))
              if not os.path.basename(c).startswith("test_") and c != os.path.join(source, "devnet.c")]
    built = shop.cc("devnet", path, *others, "-I" + source, "-I" + os.path.dirname(common),
                    '-DOTEDAMA_VERSION="9.9"', os.path.join(BUILD, "libotedama-sha256.a"), "-Wl,--exclude-libs,ALL")
    at = os.path.join(shop.folder, "dir", "chain", "devnet.so")
    os.makedirs(os.path.dirname(at), mode=0o755)
    os.rename(built, at)
    return os.path.join(shop.folder, "dir")


def branches(t):
    """Merkle branches of the job that a miner gets now."""
    with t.client() as c:
        return len(c.job.branches)


def of_work(t, wanted, about):
    wait_for(lambda: branches(t) == wanted, 20, step=0.2, about=about)


def test_a_chain_takes_new_options():
    with Live() as t:
        t.dev["refresh"] = "1s"
        t.dev["chain"]["transactions"] = 3
        assert t.reload() == {"pools.dev.refresh": "applied", "pools.dev.chain.transactions": "applied"}
        of_work(t, 2, "work with three transactions")
        t.dev["chain"]["transactions"] = 0
        assert "pools.dev.chain.transactions: 3 -> 0: can be applied" in t.ask("--check").stdout
        of_work(t, 2, "the check to change nothing")
        t.apply("pools.dev.chain.transactions")
        of_work(t, 0, "work without transactions")
        # One that is not for a running chain waits; what goes with it is applied.
        t.dev["chain"].update(transactions=3, subsidy=1000)
        assert t.reload() == {"pools.dev.chain.transactions": "applied", "pools.dev.chain.subsidy": "needs restart"}
        of_work(t, 2, "work again")
        assert t.reload() == {"pools.dev.chain.subsidy": "needs restart"}
        # What is no value of the option is refused at its line, and nothing has changed.
        t.dev["chain"]["transactions"] = 1000000
        t.dev["fee"]["rate"] = "2%"
        words = t.refused("chain.transactions", "out of range")
        assert re.search(r":\d+:\d+: ", words), words
        t.dev["chain"]["transactions"] = 3
        assert t.reload() == {"pools.dev.chain.subsidy": "needs restart", "pools.dev.fee.rate": "applied"}
        # A restart finds no difference.
        del t.dev["chain"]["subsidy"]
        assert t.reload() == {}


def test_two_pools_on_one_chain_change_together():
    with Live(witness=False) as t:
        t.tree["pools"]["b"] = {**t.keep()["pools"]["dev"], "ports": {}}
        from pool import free_port  # a port of this test's own
        port = str(free_port())
        t.tree["pools"]["b"]["ports"] = {port: t.keep()["pools"]["dev"]["ports"][str(t.pool.port)]}
        t.reload()
        t.dev["chain"]["transactions"] = 3
        t.refused("shares its chain with pool", "give both the same")
        t.tree["pools"]["b"]["chain"]["transactions"] = 3
        t.apply("pools.dev.chain.transactions", "pools.b.chain.transactions")
        # A pool that comes with these options is on the same chain: no second one over its files.
        third = str(free_port())
        t.tree["pools"]["c"] = {**t.keep()["pools"]["b"],
                                "ports": {third: t.keep()["pools"]["b"]["ports"][port]}}
        t.reload()
        assert len(t.nodes()) == 1, t.nodes()


def test_a_chain_that_refuses_or_crashes():
    with Workshop() as shop:
        top = {"plugins": {"dirs": [moody(shop), os.path.join(BUILD, "plugins")], "trial_time": "3s"}}
        with Live(**top) as t:
            t.dev["refresh"] = "1s"
            t.dev["chain"]["transactions"] = 3
            t.reload()
            of_work(t, 2, "work with three transactions")
            for n, words in ((REFUSED, ("chain.transactions", f"{REFUSED} is refused")),
                             (CRASHES, ("crashed the trial process in reconfigure()", "SIGSEGV")),
                             (HANGS, ("reconfigure()",)),
                             (SULKS, ("then refuses those that it had before",))):
                t.dev["chain"]["transactions"] = n
                t.dev["fee"]["rate"] = "2%"
                r = t.ask("--check", check=False)
                assert r.returncode == 1 and words[-1] in r.stderr, (n, r.stderr)
                r = t.ask(check=False)
                assert r.returncode == 1 and all(w in r.stderr for w in words), (n, r.stderr)
                assert "the last reload was refused" in str(t.pool.status()["attention"]), n
            # The child has no files: there it takes this one, and here, at the last moment, not.
            t.dev["chain"]["transactions"] = ONCE
            t.refused("it is another day")
            t.dev["chain"]["transactions"] = 3
            assert t.reload() == {"pools.dev.fee.rate": "applied"}
            of_work(t, 2, "work as before")
