#!/usr/bin/env python3
"""Runs test_*() of every test_*.py here and closes with N passed, N failed, N skipped.

  tests/e2e/run.py [WORD..]      only tests whose file:function contains one of the words, one after the other

Without words files run beside each other, each in a process of its own with ports of its own: OTEDAMA_E2E_JOBS at a time
(one more than processors, since they mostly wait); those that say ALONE = why run by themselves afterwards, those in
OTEDAMA_E2E_WITHOUT are left out. A test fails by an exception or after OTEDAMA_E2E_SECONDS (600); it is skipped by raising Skip.
What a test writes to stderr is shown where it fails.

Real nodes, clocks and processes beside each other are noisy, so a test that failed there is tried once more by itself at the
end. Where it passes then it is counted as passed and named as flaky, with what it said; more than MAY_BE_FLAKY of them fail
the run. Files that say ONCE = why (what they find by chance may be a bug that costs money) have no second try.
"""
import importlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from skip import Skip  # noqa: E402

LIMIT = int(os.environ.get("OTEDAMA_E2E_SECONDS", "600"))
CLOSING = re.compile(r"(\d+) passed, (\d+) failed, (\d+) skipped$", re.M)
FAILED = re.compile(r"^e2e (\S+): FAILED \(", re.M)
MAY_BE_FLAKY = 3


class TookTooLong(Exception):
    pass


def too_long(*_):
    raise TookTooLong(f"more than {LIMIT} s")


def modules():
    return sorted(f[:-3] for f in os.listdir(HERE) if f.startswith("test_") and f.endswith(".py"))


class Stderr:
    """What this process, its threads and its children write to stderr, kept until it is known whether anybody wants it."""

    def __enter__(self):
        sys.stderr.flush()
        self.file, self.real = tempfile.TemporaryFile(), os.dup(2)
        os.dup2(self.file.fileno(), 2)
        return self

    def show(self):
        self.file.seek(0)
        text = self.file.read().decode(errors="replace")
        print(text[-8000:].rstrip("\n"), flush=True)

    def __exit__(self, *_):
        sys.stderr.flush()
        os.dup2(self.real, 2)
        os.close(self.real)
        self.file.close()


def run_one(function):
    """(passed, failed, skipped), and the word for it"""
    signal.alarm(LIMIT)
    with Stderr() as said:
        try:
            function()
            return (1, 0, 0), "ok"
        except Skip as e:
            return (0, 0, 1), f"skipped: {e}"
        except Exception:  # a failed test must not stop the others
            signal.alarm(0)
            traceback.print_exc()
            said.show()
            return (0, 1, 0), "FAILED"
        finally:
            signal.alarm(0)


def run_here(names, wanted):
    total = [0, 0, 0]
    signal.signal(signal.SIGALRM, too_long)
    for name in names:
        module, ran = importlib.import_module(name), False
        for test in [x for x in vars(module) if x.startswith("test_") and callable(getattr(module, x))]:
            label = f"{name[5:]}:{test[5:]}"
            if not wanted(label):
                continue
            start, ran = time.monotonic(), True
            counts, word = run_one(getattr(module, test))
            total = [a + b for a, b in zip(total, counts)]
            print(f"e2e {label}: {word} ({time.monotonic() - start:.1f} s)", flush=True)
        if ran and hasattr(module, "finish"):
            module.finish()
    print("{} passed, {} failed, {} skipped".format(*total), flush=True)
    return 1 if total[1] else 0


def says(name, word):
    with open(os.path.join(HERE, name + ".py"), encoding="utf-8") as f:
        return re.search(rf"^{word} = ", f.read(), re.M) is not None


class Beside:
    """Files of tests in processes of their own."""

    def __init__(self):
        self.lock, self.total, self.failed = threading.Lock(), [0, 0, 0], []

    def one(self, name, slot):
        end, output = ended(["--file", name], slot)
        with self.lock:
            print(output, flush=True)
            if not end:
                print(f"e2e {name[5:]}: FAILED: ended with no count", flush=True)
            self.failed += FAILED.findall(output)
            self.total = [a + b for a, b in zip(self.total, end or (0, 1, 0))]

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

    def again(self):
        """Those that failed, each once more by itself."""
        flaky = []
        for label in self.failed:
            if says("test_" + label.split(":")[0], "ONCE"):
                continue
            end, output = ended(["--test", label], 0)
            print(f"--- {label} failed beside others; once more by itself:\n{output}", flush=True)
            if end == (1, 0, 0):
                flaky.append(label)
        for label in flaky[:MAY_BE_FLAKY]:
            self.total = [self.total[0] + 1, self.total[1] - 1, self.total[2]]
        for label in flaky:
            print(f"flaky: e2e {label}: failed beside others, passed by itself", flush=True)


def ended(args, slot):
    """(passed, failed, skipped), None where it came to no count; and what it said"""
    r = subprocess.run([sys.executable, os.path.abspath(__file__), *args], text=True, errors="replace",
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(os.environ, OTEDAMA_E2E_SLOT=str(slot)))
    end = CLOSING.findall(r.stdout)
    return tuple(map(int, end[-1])) if end else None, CLOSING.sub("", r.stdout).rstrip("\n")


def main():
    if sys.argv[1:2] == ["--file"]:
        return run_here(sys.argv[2:], lambda label: True)
    if sys.argv[1:2] == ["--test"]:
        return run_here(["test_" + sys.argv[2].split(":")[0]], lambda label: label == sys.argv[2])
    if sys.argv[1:]:
        return run_here(modules(), lambda label: any(w in label for w in sys.argv[1:]))
    # The longest first, or it runs alone at the end; by their size, for want of better.
    without = ["test_" + x for x in os.environ.get("OTEDAMA_E2E_WITHOUT", "").split()]
    names = sorted((n for n in modules() if n not in without), key=lambda n: -os.path.getsize(os.path.join(HERE, n + ".py")))
    alone, both = [n for n in names if says(n, "ALONE")], Beside()
    both.all([n for n in names if n not in alone], int(os.environ.get("OTEDAMA_E2E_JOBS", (os.cpu_count() or 2) + 1)))
    both.all(alone, 1)
    both.again()
    print("{} passed, {} failed, {} skipped".format(*both.total))
    return 1 if both.total[1] else 0


if __name__ == "__main__":
    sys.exit(main())
