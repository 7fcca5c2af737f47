#!/usr/bin/env python3
"""Each gate of tools/lint.py is seen to fail on a planted fault, and to hold on the tree around it: a small
copy of a tree with one fault, or none, is put before the real gates."""
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GOOD = {
    "core/base/text.h": "int otd_x(int a);\n",
    "core/base/text.c": '#include "base/text.h"\n\nint otd_x(int a)\n{\n\treturn a; /* time(NULL) in words */\n}\n',
    "core/loop/loop.c": '#include "base/text.h"\n#include <time.h>\n\nlong now(void);\n\nlong now(void)\n{\n'
                        "\treturn (long)time(NULL);\n}\n",
    "core/ledger/ledger.c": '#include "base/text.h"\n\nint sum(int a);\n\nint sum(int a)\n{\n\treturn a;\n}\n',
    "core/include/otedama/types.h": "#include <stdint.h>\n",
    "plugins/algo/sha256d/sha256d.c": "#include <otedama/types.h>\n",
}


def function(body_lines=1, branches=0):
    body = "\tint x = 0;\n" + "".join(f"\tif (a == {i})\n\t\tx++;\n" for i in range(branches)) + "\tx++;\n" * body_lines
    return f"int otd_f(int a);\n\nint otd_f(int a)\n{{\n{body}\treturn x + a;\n}}\n"


def call(what):
    return f"void otd_f(void);\n\nvoid otd_f(void)\n{{\n\t{what};\n}}\n"


# gate, file, its text, words that the fault must say
FAULTS = [
    ("layers", "core/base/bad.c", '#include "pool/pool.h"\n', "which is below it"),
    ("layers", "core/ledger/bad.c", '#include "chain/chain.h"\n', "which is below it"),
    ("layers", "core/include/otedama/bad.h", '#include "base/text.h"\n', "the SDK stands alone"),
    ("layers", "core/nowhere/bad.c", "\n", "is not a module"),
    ("layers", "plugins/algo/bad/bad.c", '#include "base/text.h"\n', "a plugin includes the host's base"),
    ("layers", "core/base/bad.c", '#include "../pool/pool.h"\n', "a path round the folders"),
    ("layers", "plugins/algo/bad/bad.c", '#include "../../../core/base/text.h"\n', "it may use ../common/"),
    ("seams", "core/pool/bad.c", call("(void)time(NULL)"), "time() goes past the seams"),
    ("seams", "core/pool/bad.c", call('(void)open("x", 0)'), "open() goes past the seams"),
    ("seams", "core/store/bad.c", call("pthread_create(0, 0, 0, 0)"), "pthread_create() goes past"),
    ("seams", "plugins/payout/bad/bad.c", call("(void)clock_gettime(0, 0)"), "clock_gettime() goes past"),
    ("seams", "core/net/bad.c", call("(void)socket(0, 0, 0)"), "socket() goes past"),
    ("seams", "core/base/bad.c", call("(void)rand()"), "rand() goes past"),
    ("names", "core/pool/bad.c", call('if (!strcmp(name, "sha256d")) return'), "core names the plugin 'sha256d'"),
    ("names", "core/pool/bad.c", call('find("algo/sha256d")'), "core names the plugin 'sha256d'"),
    ("sizes", "core/pool/bad.c", function(body_lines=121), "lines, at most 120"),
    ("sizes", "plugins/algo/bad/bad.c", function(branches=20), "complexity 21, at most 20"),
    ("sizes", "core/pool/bad.c", "\n" * 901, "lines, at most 900"),
    ("sizes", "tools/lint_allow.txt", "core/base/text.c:otd_x\n", "no longer needs its excuse"),
    ("floats", "core/ledger/bad.c", call("double x = 1"), "'double'"),
    ("floats", "plugins/payout/bad/bad.c", call("int x = 0.5"), "'0.5'"),
    ("floats", "core/pool/bad.c", call("strtod(0, 0)"), "'strtod'"),
    ("banned", "core/base/bad.c", call("strcpy(a, b)"), "strcpy() is banned"),
    ("banned", "tests/unit/base/bad.c", call("sprintf(a, b)"), "sprintf() is banned"),
    ("banned", "core/base/bad.c", "/* TO" "DO: later */\n", "finish it or open an issue"),
    ("format", "core/base/bad.c", "int  x ;\n", "not formatted"),
]


def write(folder, path, text):
    full = os.path.join(folder, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "w", encoding="utf-8") as f:
        f.write(text)


def lint(folder, *gates):
    r = subprocess.run([sys.executable, "tools/lint.py", *gates], cwd=folder, capture_output=True, text=True)
    return r.returncode, r.stdout + r.stderr


def main():
    passed, wrong = 0, []
    gates_seen = set()
    with tempfile.TemporaryDirectory() as folder:
        for path, text in GOOD.items():
            write(folder, path, text)
        write(folder, "tools/lint.py", open(os.path.join(ROOT, "tools", "lint.py"), encoding="utf-8").read())
        shutil.copy(os.path.join(ROOT, ".clang-format"), folder)
        subprocess.run(["git", "init", "-q", folder], check=True)
        rc, out = lint(folder)
        if rc == 0:
            passed += 1
        else:
            wrong.append(f"a sound tree is refused:\n{out}")
        for gate, path, text, words in FAULTS:
            gates_seen.add(gate)
            write(folder, path, text)
            rc, out = lint(folder, gate)
            os.unlink(os.path.join(folder, path))
            if rc == 1 and words in out and (path in out):
                passed += 1
            else:
                wrong.append(f"{gate}: {path} with '{words}' planted: exit {rc}, said:\n{out}")
        out = lint(folder)[1]
        all_gates = {line.split()[1].rstrip(":") for line in out.split("\n") if line.startswith("lint ")}
        if all_gates - gates_seen:
            wrong.append(f"gates without a planted fault: {' '.join(sorted(all_gates - gates_seen))}")
    for x in wrong:
        print(x)
    print(f"{passed} passed, {len(wrong)} failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
