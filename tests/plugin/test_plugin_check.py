#!/usr/bin/env python3
"""otedama plugin check: shipped plugins pass it, and each plugin of bad/ is named by the check that is for it.

  tests/plugin/test_plugin_check.py BUILD [--sanitized] [WORD..]    WORD: of a plugin's id, to try that alone
"""
import concurrent.futures
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile

# What a plugin needs to make an instance where its defaults do not do.
OPTIONS = {"chain/bitcoin": "{main: [p2pkh 0, p2sh 5, bech32 bc]}"}
# Checks of the file itself: sanitizers bring symbols and libraries of their own.
OF_FILE = {"note", "exports", "libraries", "linking", "imports", "statics", "constructors"}
OF_ALL = OF_FILE | {"load", "options", "create", "leaks", "memory", "reconfigure", "quiet"}
OF_KIND = {"algo": {"vectors", "real-block", "facts", "prepare", "batch", "scan", "threads", "speed"},
           "payout": {"credits", "replay", "order", "state"}, "chain": {"answers", "work"}, "hw": {"devices"},
           "store": {"database"}}

# A plugin of bad/, and which checks fail with which words. limit: seconds where it never comes back.
BAD = {
    "algo/no-note": {"note": "has no note of that owner"},
    "algo/other-abi": {"note": r"made for plugin ABI 9\.0, this host has 0\.\d+: the plugin is newer"},
    "algo/run-path": {"note": r"library search path \(DT_RUNPATH\)"},
    "algo/other-id": {"load": "its note says algo/1 other-id, its descriptor says algo/1 another"},
    "algo/lying-size": {"load": "its descriptor says that it has 24 bytes"},
    "algo/option-range": {"load": "rounds: '9' is out of range: 1 to 8"},
    "algo/option-outside": {"load": "option 'rounds' lies outside of the plugin's option struct"},
    "algo/option-twice": {"options": "options 'rounds' and 'more' share bytes"},
    "algo/option-dumb": {"options": "'Rounds': a name has.*'Rounds' has no help.*no reconfigure"},
    "algo/two-exports": {"exports": "exports toy_helper beside otd_plugin_v1: compile with -fvisibility=hidden"},
    "algo/exec-stack": {"linking": "wants an executable stack"},
    "algo/constructor": {"constructors": "too_early runs as soon as it is loaded", "statics": "keeps seen,"},
    "algo/impure": {"imports": r"time \(it reads the clock", "imports ": r"rand \(it draws at random",
                    "imports  ": r"getenv \(it reads or changes the process"},
    "algo/prints": {"imports": r"puts \(it prints: core->log\(\)", "quiet": "prints 'toy: hello from create"},
    "algo/thread": {"imports": r"pthread_create \(it starts a thread", "create": "starts 1 thread .*after create"},
    "algo/crash-in-create": {"create": r"dies of SIGSEGV .*: create\(\)"},
    "algo/abort-in-create": {"create": r"dies of SIGABRT .*: create\(\)", "imports": "abort"},
    "algo/exit-in-create": {"create": r"ends the program by exit\(0\): create\(\)", "imports": "exit"},
    "algo/hang-in-create": {"create": r"does not come back within 2 s: create\(\)"},
    "algo/leak": {"create": "1 block of core->alloc.*, 256 bytes, is still there after destroy", "leaks": "as 'create'"},
    "algo/leak-malloc": {"imports": r"malloc \(its memory is counted by core->alloc",
                         "leaks": r"1\d\d bytes by malloc\(\) are lost with each instance"},
    "algo/double-free": {"create": r"gives core->free\(\) what core->alloc\(\) did not give, or gives it twice"},
    "algo/overrun": {"create": "writes past the end of 256 bytes"},
    "algo/ignores-memory": {"memory": r"create\(\) succeeds although its allocation 2 of 2 gave NULL"},
    "algo/trusts-memory": {"memory": r"dies of SIGSEGV .*create\(\) whose allocation 1 of 2 gives NULL"},
    "algo/wrong-vector": {"vectors": r"known answer 0 .*hash_batch\(\) gives 0+1, not 0+2$"},
    "algo/reversed-vector": {"vectors": "that is the right one reversed: item.hash has its least significant byte"},
    "algo/no-source": {"vectors": "1 known answer says not where the number comes from"},
    "algo/slow-prepare": {"prepare": r"one slice of prepare\(\) works for \d+ ms"},
    "algo/endless-prepare": {"prepare": "is not ready after 200000 slices", "vectors": "does not come to an end"},
    "algo/new-host-only": {"facts": r"dies of SIGSEGV.*info\(\) with out->size \d+, as of an older host"},
    "algo/overreads": {"batch": "dies of SIGSEGV.*its bytes end where memory does"},
    "algo/writes-input": {"batch": r"dies of SIGSEGV.*: hash_batch\(\) of one header, which may only be read"},
    "algo/no-stride": {"batch": "item 1 of a batch of 2 has another hash than alone"},
    "algo/any-length": {"batch": "takes a header of 0 bytes as one of 80"},
    "algo/old-scratch": {"batch": "the hash depends on what was in the scratch before"},
    "algo/crash-in-hash": {"batch": r"dies of SIG(ILL|TRAP).*hash_batch\(\) of 6 items"},
    "algo/scan-misses": {"scan": "done counts no nonce behind the last that was looked at"},
    "algo/never-stops": {"scan": r"does not come back within 5 s: scan\(\) that was told to stop"},
    "algo/static-buffer": {"threads": "on 16 threads at once hashes are wrong", "statics": "keeps buffer,"},
    "algo/instance-buffer": {"threads": "on 16 threads at once hashes are wrong"},
    "payout/mint": {"credits": "block number 1 .*sum to 11 of 10 units"},
    "payout/keeps": {"credits": "block number 1 .*sum to 9 of 10 units"},
    "payout/swallows": {"credits": "succeeds although the host refused a credit"},
    "payout/by-chance": {"replay": r"block\(\) gives account \d+ once .* from the same input"},
    "payout/by-order": {"order": "only the order within batches differs"},
    "payout/forgets": {"state": "though one was restored from the other"},
    "payout/believes": {"state": r"(dies of SIGSEGV.*restore\(\) of a state that was cut short|takes \d+ of the)"},
    "chain/trusting": {"answers": r"dies of SIGSEGV.*answer\(\) to PROBE, status and 0 bytes",
                       "work": r"address\(\) takes '.*' and gives an empty script"},
    "chain/half": {"reconfigure": "what is refused changes nothing"},
    "chain/stubborn": {"reconfigure": r"refuses the options that it had before, after others: .*it only rises"},
    "chain/nameless": {"reconfigure": r'refuses another fee \(not today\) without set_error\("fee: what"\)'},
    "chain/hoards": {"reconfigure": r"\d+ bytes by core->alloc\(\) are lost over 400 calls"},
    "chain/crash-in-reconfigure": {"reconfigure": r"dies of SIGSEGV.*: reconfigure\(\) with another fee"},
    "store/no-rollback": {"database": "after a rollback there are 0 rows of 100"},
    "hw/liar": {"devices": "gives nonce 0, which is no result"},
}
# Checks that must run too, for what is found in the others.
TOO = {"algo/prints": ("create",)}
LIMITS = {"algo/hang-in-create": "2", "algo/never-stops": "5"}
GOOD = ("algo/good", "payout/fair")


class Test:
    def __init__(self, build, sanitized):
        self.build, self.sanitized, self.faults, self.n = build, sanitized, [], 0
        self.program = os.path.join(build, "otedama")
        # A sanitizer must leave it to the child's parent to say what it died of.
        no_signals = "handle_segv=0:handle_abort=0:handle_sigill=0:handle_sigbus=0:handle_sigfpe=0:detect_leaks=0"
        self.env = dict(os.environ, ASAN_OPTIONS=no_signals, TSAN_OPTIONS=no_signals.rsplit(":", 1)[0])

    def expect(self, what, ok, seen=""):
        self.n += 1
        if not ok:
            self.faults.append(f"{what}: {seen}")

    def run(self, *words):
        return subprocess.run([self.program, "plugin", "check", *words], capture_output=True, text=True, timeout=280,
                              env=self.env)

    def check(self, path, *words):
        """Exit status, and {check: (result, text)} in order."""
        r = self.run("--json", *words, path)
        try:
            answer = json.loads(r.stdout)
        except ValueError:
            self.expect(f"{path} {words}", False, f"no JSON: {r.stdout[:300]} {r.stderr[:300]}")
            return r.returncode, {}
        return r.returncode, {x["check"]: (x["result"], x["text"]) for x in answer["checks"]}

    def check_races(self, path, *words):
        """The same of one whose threads spoil each other's hashes: where one processor has little time for them they
        may be lucky for the second that it takes."""
        for _ in range(20):
            status, found = self.check(path, *words)
            if found.get("threads", ("fail",))[0] == "fail":
                break
        return status, found

    def shipped(self, path, kind, name):
        options = ("--options", OPTIONS[name]) if name in OPTIONS else ()
        wanted = OF_ALL | OF_KIND[kind]
        if self.sanitized:
            wanted -= OF_FILE
        only = [x for w in sorted(wanted) for x in ("--only", w)] if self.sanitized else []
        status, found = self.check(path, *options, *only)
        bad = {k: v for k, v in found.items() if v[0] not in ("ok", "warn")}
        self.expect(name, status == 0 and not bad, f"status {status}: {bad}")
        self.expect(name, set(found) - {"note"} == wanted - {"note"}, f"checks {sorted(set(found) ^ wanted)}")

    def bad(self, name, wants):
        path = os.path.join(self.build, "tests", "bad", name + ".so")
        only = [x for w in (*wants, *TOO.get(name, ())) for x in ("--only", w.strip())]
        status, found = self.check_races(path, "--limit", LIMITS.get(name, "120"), *only)
        self.expect(name, status == 1, f"status {status}")
        for which, words in wants.items():
            result, text = found.get(which.strip(), ("nothing", ""))
            if self.sanitized and name == "algo/double-free" and result == "fail":
                continue  # the sanitizer sees it first, and ends the child
            self.expect(name, result == "fail" and re.search(words, text), f"{which}: {result}: {text}")

    def each_is_bad_in_one_thing(self):
        """Whatever is not the check for it finds nothing: of some that are cheap to try as a whole."""
        for name in ("algo/two-exports", "algo/wrong-vector", "payout/keeps", "payout/forgets"):
            status, found = self.check(os.path.join(self.build, "tests", "bad", name + ".so"))
            failed = {k for k, v in found.items() if v[0] == "fail"}
            self.expect(name, failed == set(BAD[name]), f"failed: {failed}")

    def no_constructor_ran(self):
        marker = os.path.join(self.build, "tests", "bad", "a-constructor-ran")
        self.expect("algo/other-abi", not os.path.exists(marker), "code of a refused file was run")

    def truncated(self):
        with open(os.path.join(self.build, "tests", "bad", "algo", "good.so"), "rb") as f:
            whole = f.read()
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "cut.so")
            for k in range(10):
                n = [1, 15, 63, 64, 500, 4096, len(whole) // 3, len(whole) // 2, len(whole) - 64, len(whole) - 1][k]
                with open(path, "wb") as f:
                    f.write(whole[:n])
                os.chmod(path, 0o644)
                status, found = self.check(path)
                self.expect(f"cut to {n}", status == 1 and list(found) == ["note"] and
                            re.search("cut short|does not begin as ELF|not a 64-bit", found["note"][1]), found)
            open(path, "wb").close()
            r = self.run(path)
            self.expect("cut to 0", r.returncode == 1 and "is empty" in r.stderr, r)

    def used_wrongly(self):
        good = os.path.join(self.build, "tests", "bad", "algo", "good.so")
        for words, status, text in (((), 2, "usage"), (("/no/such.so",), 1, "/no/such.so"),
                                    ((good, "--only", "vector"), 2, "no check 'vector'"),
                                    ((good, "--limit", "0"), 2, "--limit wants seconds"),
                                    ((good, "--in-child"), 2, "unknown option")):
            r = self.run(*words)
            self.expect(f"{words}", r.returncode == status and text in r.stderr and
                        len(r.stderr.splitlines()) == 1, r)
        r = self.run(good, "--only", "load", "--options", "{nothing: 1}", "--only", "create")
        self.expect("unknown option", r.returncode == 1 and "options.nothing: is no option of algo/good" in r.stdout, r)
        lines = self.run(good, "--only", "exports").stdout.splitlines()
        self.expect("as text", len(lines) == 3 and lines[0].startswith("ok    note ") and
                    lines[1].split() == ["ok", "exports", "otd_plugin_v1", "alone"] and
                    lines[2].endswith("algo/1 good: 2 ok, 0 failed"), lines)

    def no_real_block(self):
        """Made up answers are right, and it is said that they are no more than that."""
        status, found = self.check(os.path.join(self.build, "tests", "bad", "algo", "made-up.so"), "--only", "vectors",
                                   "--only", "real-block")
        self.expect("algo/made-up", status == 0 and found["vectors"] == ("ok", "1 right, 0 of them real blocks") and
                    found["real-block"][0] == "warn" and "real_block = 1" in found["real-block"][1], found)

    def stripped(self):
        """Names are gone, what matters is still seen."""
        strip = shutil.which("strip")
        if not strip or self.sanitized:
            return
        with tempfile.TemporaryDirectory() as d:
            for name, only, result, words in (
                    ("algo/good", "statics", "ok", "stripped"), ("algo/two-exports", "exports", "fail", "toy_helper"),
                    ("algo/impure", "imports", "fail", "rand"), ("algo/static-buffer", "threads", "fail", "wrong")):
                path = os.path.join(d, name.split("/")[1] + ".so")
                subprocess.run([strip, "-o", path, os.path.join(self.build, "tests", "bad", name + ".so")], check=True)
                os.chmod(path, 0o755)
                found = self.check_races(path, "--only", only)[1]
                self.expect(f"{name} stripped", found[only][0] == result and words in found[only][1], found)

    def who_may_write(self):
        """A file that the loader would not take is said so, with what to do."""
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "good.so")
            shutil.copy(os.path.join(self.build, "tests", "bad", "algo", "good.so"), path)
            os.chmod(path, 0o666)
            found = self.check(path, "--only", "load")[1]
            self.expect("writable by others", found["load"][0] == "fail" and "chmod go-w" in found["load"][1], found)
            os.chmod(path, stat.S_IRUSR | stat.S_IWUSR)
            self.expect("its own", self.check(path, "--only", "load")[0] == 0)
            r = subprocess.run([self.program, "plugin", "check", "good.so", "--only", "load"], capture_output=True,
                               text=True, timeout=60, cwd=d)
            self.expect("a name without a folder", r.returncode == 0, r)


def main():
    args = [a for a in sys.argv[1:] if not a.startswith("--")]
    t = Test(os.path.abspath(args[0]), "--sanitized" in sys.argv)
    words = args[1:]
    todo = []

    def want(name, fn, *a):
        if not words or any(w in name for w in words):
            todo.append((fn, a))
    plugins = os.path.join(t.build, "plugins")
    for kind in sorted(os.listdir(plugins)):
        for f in sorted(os.listdir(os.path.join(plugins, kind))):
            if f.endswith(".so"):
                want(f"{kind}/{f[:-3]}", t.shipped, os.path.join(plugins, kind, f), kind, f"{kind}/{f[:-3]}")
    for name in GOOD:
        want(name, t.shipped, os.path.join(t.build, "tests", "bad", name + ".so"), name.split("/")[0], name)
    for name, wants in BAD.items():
        if t.sanitized:
            wants = {k: v for k, v in wants.items() if k.strip() not in OF_FILE or k == "note"}
            if name == "algo/leak-malloc":
                wants = {}  # their malloc() does not say how much it gave
        if wants:
            want(name, t.bad, name, wants)
    for fn in (t.truncated, t.used_wrongly, t.stripped, t.who_may_write, t.no_real_block, t.each_is_bad_in_one_thing):
        want(fn.__name__, fn)
    # Two at a time: most of them wait, or are killed for never coming back.
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for f in [pool.submit(fn, *a) for fn, a in todo]:
            f.result()
    t.no_constructor_ran()
    listed = {os.path.join(k, f[:-2]) for k in ("algo", "payout", "chain", "hw", "store")
              for f in os.listdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "bad", k)) if f.endswith(".c")}
    t.expect("every plugin of bad/ is tried", listed == set(BAD) | set(GOOD) | {"algo/library", "algo/made-up"},
             sorted(listed ^ (set(BAD) | set(GOOD))))
    found = t.check(os.path.join(t.build, "tests", "bad", "algo", "library.so"), "--only", "libraries")
    t.expect("algo/library", found[0] == 0 and found[1]["libraries"][0] == "warn" and
             "libjansson" in found[1]["libraries"][1], found)
    for x in t.faults:
        print(f"FAILED {x}")
    print(f"{t.n} expectations, {len(t.faults)} failed")
    return 1 if t.faults or not t.n else 0


if __name__ == "__main__":
    sys.exit(main())
