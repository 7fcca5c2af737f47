#!/usr/bin/env python3
"""Runs test_*() of every test_*.py here and closes with N passed, N failed, N skipped.

  tests/e2e/run.py [WORD..]      only tests whose file:function contains one of the words, one after the other

Without words files run beside each other, each in a process of its own with ports of its own: OTEDAMA_E2E_JOBS at a time
(one more than processors, since they mostly wait); those that say ALONE = why run by themselves afterwards. A test fails
by an exception or after OTEDAMA_E2E_SECONDS (600); it is skipped by raising Skip.
"""
import importlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from skip import Skip  # noqa: E402

LIMIT = int(os.environ.get("OTEDAMA_E2E_SECONDS", "600"))
CLOSING = re.compile(r"(\d+) passed, (\d+) failed, (\d+) skipped$", re.M)


class TookTooLong(Exception):
    pass


def too_long(*_):
    raise TookTooLong(f"more than {LIMIT} s")


def modules():
    return sorted(f[:-3] for f in os.listdir(HERE) if f.startswith("test_") and f.endswith(".py"))


def run_here(names, words):
    passed = failed = skipped = 0
    signal.signal(signal.SIGALRM, too_long)
    for name in names:
        module, ran = importlib.import_module(name), False
        for test in [x for x in vars(module) if x.startswith("test_") and callable(getattr(module, x))]:
            label = f"{name[5:]}:{test[5:]}"
            if words and not any(w in label for w in words):
                continue
            start, ran = time.monotonic(), True
            signal.alarm(LIMIT)
            try:
                getattr(module, test)()
                passed, word = passed + 1, "ok"
            except Skip as e:
                skipped, word = skipped + 1, f"skipped: {e}"
            except Exception:  # a failed test must not stop the others
                traceback.print_exc()
                failed, word = failed + 1, "FAILED"
            signal.alarm(0)
            print(f"e2e {label}: {word} ({time.monotonic() - start:.1f} s)", flush=True)
        if ran and hasattr(module, "finish"):
            module.finish()
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    return 1 if failed else 0


def says_alone(name):
    with open(os.path.join(HERE, name + ".py"), encoding="utf-8") as f:
        return re.search(r"^ALONE = ", f.read(), re.M) is not None


class Beside:
    """Files of tests in processes of their own."""

    def __init__(self):
        self.lock, self.total = threading.Lock(), [0, 0, 0]

    def one(self, name, slot):
        r = subprocess.run([sys.executable, os.path.abspath(__file__), "--file", name], text=True, errors="replace",
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(os.environ, OTEDAMA_E2E_SLOT=str(slot)))
        end = CLOSING.findall(r.stdout)
        with self.lock:
            print(CLOSING.sub("", r.stdout).rstrip("\n"), flush=True)
            if not end:
                print(f"e2e {name[5:]}: FAILED: ended with {r.returncode} and no count")
            for i, n in enumerate(end[-1] if end else (0, 1, 0)):
                self.total[i] += int(n)

    def all(self, names, jobs):
        left = list(names)

        def turn(slot):
            while True:
                with self.lock:
                    if not left:
                        return
                    name = left.pop(0)
                self.one(name, slot)
        threads = [threading.Thread(target=turn, args=(i,)) for i in range(jobs)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()


def main():
    if sys.argv[1:2] == ["--file"]:
        return run_here(sys.argv[2:], [])
    if sys.argv[1:]:
        return run_here(modules(), sys.argv[1:])
    # The longest first, or it runs alone at the end; by their size, for want of better.
    names = sorted(modules(), key=lambda n: -os.path.getsize(os.path.join(HERE, n + ".py")))
    alone, both = [n for n in names if says_alone(n)], Beside()
    both.all([n for n in names if n not in alone], int(os.environ.get("OTEDAMA_E2E_JOBS", (os.cpu_count() or 2) + 1)))
    both.all(alone, 1)
    print("{} passed, {} failed, {} skipped".format(*both.total))
    return 1 if both.total[1] else 0


if __name__ == "__main__":
    sys.exit(main())
