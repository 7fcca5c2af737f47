#!/usr/bin/env python3
"""Runs test_*() of every test_*.py here, each in its turn, and closes with N passed, N failed, N skipped.

  tests/e2e/run.py [WORD..]      only tests whose file:function contains one of the words
A test fails by an exception; it is skipped by raising Skip. OTEDAMA_E2E_SECONDS limits each (300).
"""
import importlib
import os
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from skip import Skip  # noqa: E402


def main():
    words, passed, failed, skipped = sys.argv[1:], 0, 0, 0
    for name in sorted(f[:-3] for f in os.listdir(HERE) if f.startswith("test_") and f.endswith(".py")):
        module, ran = importlib.import_module(name), False
        for test in [x for x in vars(module) if x.startswith("test_") and callable(getattr(module, x))]:
            label = f"{name[5:]}:{test[5:]}"
            if words and not any(w in label for w in words):
                continue
            start, ran = time.monotonic(), True
            try:
                getattr(module, test)()
                passed, word = passed + 1, "ok"
            except Skip as e:
                skipped, word = skipped + 1, f"skipped: {e}"
            except Exception:  # a failed test must not stop the others
                traceback.print_exc()
                failed, word = failed + 1, "FAILED"
            print(f"e2e {label}: {word} ({time.monotonic() - start:.1f} s)", flush=True)
        if ran and hasattr(module, "finish"):
            module.finish()
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
