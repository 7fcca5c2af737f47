#!/usr/bin/env python3
"""Do the tests see what they are for? For each of tests/sim/mutants/*.patch, a mistake that must not be
possible, the files that it changes are compiled once more with the mistake in them, linked before a test's own
objects, and the test is expected to fail.

  tests/sim/mutants.py [--build DIR] [NAME...]      all, or some; DIR is a built folder (build)
  OTEDAMA_MUTANT_SEEDS=50                           seeds that a mutant may live through
  OTEDAMA_MUTANT_TESTS=test_sim_host                by these tests instead of those that must see them
  OTEDAMA_MUTANT_PART=2/5                           each fifth of them, beginning with the second
"""
import argparse
import concurrent.futures
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDER = os.path.join(ROOT, "tests", "sim", "mutants")
SEEDS = os.environ.get("OTEDAMA_MUTANT_SEEDS", "50")
LIMIT_S = 300

# What must see a mutant, by the beginning of its name: one of these tests is enough.
TESTS = [
    ("host-", ["test_sim_host"]),  # only the whole pool does it
    ("pay-", ["test_ledger_payment", "test_sim_accounting", "test_pool_payer", "test_pool_payer_doubt"]),
    ("swap-", ["test_sim_swap"]),
    ("own-", ["test_sim_account_fees"]),
    ("", ["test_sim_sim", "test_sim_journal"]),
]
# Those that the simulation of the whole pool has to see too, and by itself.
WHOLE = {"ack-before-commit", "count-a-batch-twice", "forget-position", "keep-orphans", "lose-a-penny",
         "release-unsaved", "skip-fsync"}


class Broken(Exception):
    """The mutant cannot be made: its patch is out of date."""


def run(argv, **kw):
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", check=False, **kw)


class Elsewhere(Exception):
    """The test has nothing of what the mutant changes."""


class Build:
    """How a built folder compiles and links."""

    def __init__(self, folder):
        self.folder = os.path.abspath(folder)
        with open(os.path.join(self.folder, "compile_commands.json"), encoding="utf-8") as f:
            self.compile = {}
            for c in json.load(f):
                self.compile.setdefault(os.path.relpath(c["file"], ROOT), []).append(c)
        self.links = {}

    def link(self, test):
        if test not in self.links:
            p = run(["ninja", "-C", self.folder, "-t", "commands", "-s", test])
            line = [x for x in p.stdout.splitlines() if f" -o {test} " in x or x.endswith(f" -o {test}")]
            if not line:
                raise Broken(f"{self.folder} has no {test}: build it first")
            self.links[test] = line[-1]
        return self.links[test]


def changed_files(patch):
    with open(patch, encoding="utf-8") as f:
        return re.findall(r"^\+\+\+ b/(\S+)", f.read(), re.M)


def sources_of(path):
    """A source itself; of a header those of its module, which are all that may include an inner one."""
    if path.endswith(".c"):
        return [path]
    folder, name = os.path.split(path)
    out = []
    for f in sorted(os.listdir(os.path.join(ROOT, folder))):
        if not f.endswith(".c"):
            continue
        with open(os.path.join(ROOT, folder, f), encoding="utf-8") as t:
            if f"/{name}\"" in t.read():
                out.append(os.path.join(folder, f))
    return out


def mutate(patch, work):
    """The changed files, with the change, in a tree of their own."""
    files = changed_files(patch)
    if not files:
        raise Broken("its patch names no file")
    for f in files:
        to = os.path.join(work, "tree", f)
        os.makedirs(os.path.dirname(to), exist_ok=True)
        with open(os.path.join(ROOT, f), "rb") as a, open(to, "wb") as b:
            b.write(a.read())
    tree = os.path.join(work, "tree")
    subprocess.run(["git", "init", "-q", tree], check=True)
    p = run(["git", "-C", tree, "apply", "-C1", patch])
    if p.returncode:
        raise Broken("its patch does not apply any more; make it anew: " + p.stdout.strip()[:300])
    return files


def compile_one(build, source, work):
    tree = os.path.join(work, "tree")
    command = build.compile.get(source)
    if not command:
        raise Broken(f"{source} is not built")
    out = []
    for i, c in enumerate(command):
        argv = shlex.split(c["command"])
        obj = os.path.join(work, f"{i}-{os.path.basename(source)}.o")
        at = argv.index("-o")
        was, argv[at + 1] = argv[at + 1], obj
        mutated = os.path.join(tree, source)
        argv[-1] = mutated if os.path.exists(mutated) else argv[-1]
        # Headers that were changed are found before the others; what stays comes from where it is.
        argv[1:1] = ["-I" + os.path.join(tree, "core"), "-I" + os.path.join(ROOT, os.path.dirname(source)), "-w"]
        if os.environ.get("CCACHE_DISABLE") is None and os.path.basename(argv[0]) != "ccache" and have("ccache"):
            argv.insert(0, "ccache")
        p = run(argv, cwd=c["directory"])
        if p.returncode:
            raise Broken("it does not compile: " + p.stdout.strip()[:600])
        out.append((was, obj))
    return out


def have(program):
    return any(os.access(os.path.join(d, program), os.X_OK) for d in os.environ["PATH"].split(":"))


def link(build, test, objects, work):
    """The test with the mutated objects in the place of its own, or before the libraries that have them."""
    program = os.path.join(work, test)
    command = build.link(test)
    extra = []
    for was, obj in objects:
        if re.search(rf"(?<!\S){re.escape(was)}(?!\S)", command):
            command = re.sub(rf"(?<!\S){re.escape(was)}(?!\S)", lambda _: obj, command)
        elif f"lib{was.split('.dir/')[0].split('/')[-1]}.a" in command:
            extra.append(obj)
    if not any(obj in command or obj in extra for _, obj in objects):
        raise Elsewhere(test)
    command = re.sub(rf" -o {test}(?!\S)", lambda _: " " + " ".join(extra) + " -o " + program, command)
    p = run(["sh", "-c", command], cwd=build.folder)
    if p.returncode:
        raise Broken("it does not link: " + p.stdout.strip()[-600:])
    return program


def words_of(text):
    for line in text.splitlines():
        if re.match(r"sim: seed|.*error: Failure|.*Test failed with exception|.*ERROR.*fail", line):
            return line.strip()
    return "a test failed"


def lives_through(program, build):
    """What the test said when it failed; None: it saw nothing."""
    try:
        p = run([program], cwd=build.folder, timeout=LIMIT_S,
                env=dict(os.environ, OTEDAMA_SIM_SEEDS=SEEDS, OTEDAMA_SIM_ONLY_SEEDS="1"))
    except subprocess.TimeoutExpired:
        return f"no end after {LIMIT_S} s"
    return words_of(p.stdout) if p.returncode else None


def groups_of(name):
    """Lists of tests: in each, one must see it."""
    if "OTEDAMA_MUTANT_TESTS" in os.environ:
        return [os.environ["OTEDAMA_MUTANT_TESTS"].split()]
    for prefix, tests in TESTS:
        if name.startswith(prefix):
            return [tests] + ([["test_sim_host"]] if name in WHOLE else [])
    return []


def try_mutant(build, name):
    """(caught, words)"""
    with tempfile.TemporaryDirectory(prefix="mutant-") as work:
        try:
            files = mutate(os.path.join(FOLDER, name + ".patch"), work)
            objects = []
            for f in files:
                for source in sources_of(f):
                    objects += compile_one(build, source, work)
            said = []
            for tests in groups_of(name):
                for t in tests:
                    try:
                        words = lives_through(link(build, t, objects, work), build)
                    except Elsewhere:
                        continue
                    if words:
                        said.append(f"{t}: {words}")
                        break
                else:
                    return False, f"lived through {SEEDS} seeds of {' and '.join(tests)}"
            return True, said[-1]
        except Broken as e:
            return False, str(e)


def chosen(names):
    part = os.environ.get("OTEDAMA_MUTANT_PART")
    if not part:
        return names
    i, n = (int(x) for x in part.split("/"))
    return names[(i - 1) % n::n]


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--build", default=os.environ.get("OTEDAMA_BUILD", os.path.join(ROOT, "build")))
    ap.add_argument("names", nargs="*")
    a = ap.parse_args()
    every = sorted(x[:-6] for x in os.listdir(FOLDER) if x.endswith(".patch"))
    names = a.names or chosen(every)
    unknown = [x for x in names if x not in every]
    if unknown:
        sys.exit(f"mutants: there is no {unknown[0]}.patch")
    build = Build(a.build)
    alive = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=int(os.environ.get("JOBS", os.cpu_count() or 2))) as beside:
        for name, (caught, words) in zip(names, beside.map(lambda n: try_mutant(build, n), names)):
            print(f"mutants: {name} {'was caught' if caught else 'is ALIVE'}: {words}", flush=True)
            alive += not caught
    print(f"mutants: {len(names) - alive} of {len(names)} were caught")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
