#!/usr/bin/env python3
"""The gates: what the design forbids and a script can see. One line a fault: FILE:LINE: what, and what to do.

  tools/lint.py            all gates; exit 1 where one fails
  tools/lint.py NAME..     some of them: layers seams names sizes floats format banned
tools/lint_allow.txt may excuse a function or file from `sizes`; an entry that is no longer needed is a fault,
so that the list only shrinks.
"""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MODULES = ("base config loop plugin policy net store ledger chain pool stratum market miner api p2p ha "
           "app").split()
FUNCTION_MAX, COMPLEXITY_MAX, FILE_MAX = 120, 20, 900


def sources(*folders):
    out = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", *folders],
                         cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    return sorted({f for f in out if f.endswith((".c", ".h")) and os.path.exists(os.path.join(ROOT, f))})


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def code_of(text, keep_strings=False):
    """The text with comments (and strings) blanked, line numbers kept."""
    text = re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'',
                  lambda m: m.group(0) if keep_strings and m.group(0)[0] in "\"'" else blank(m),
                  text, flags=re.S)
    return text


def layers():
    """A module includes only modules above it; plugins include only the SDK and their own folder."""
    for f in sources("core"):
        part = f.split("/")
        if part[1] == "include":
            for n, line in enumerate(read(f).split("\n"), 1):
                if re.match(r'#include "', line):
                    yield f"{f}:{n}: an SDK header includes host code; the SDK stands alone"
            continue
        mine = MODULES.index(part[1]) if part[1] in MODULES else None
        if mine is None:
            yield f"{f}:1: '{part[1]}' is not a module of the design; add it to the list in tools/lint.py"
            continue
        for n, line in enumerate(read(f).split("\n"), 1):
            m = re.match(r'#include "([a-z0-9]+)/', line)
            if m and m.group(1) in MODULES and MODULES.index(m.group(1)) > mine:
                yield f"{f}:{n}: {part[1]} includes {m.group(1)}, which is below it; turn the call round"
            if re.match(r'#include "(?:[^"]*\.\./|plugins/)', line):
                yield f"{f}:{n}: a path round the folders; write \"module/file.h\""
    for f in sources("plugins"):
        if os.path.basename(f).startswith(("test_", "bench_")):
            continue
        for n, line in enumerate(read(f).split("\n"), 1):
            m = re.match(r'#include "([a-z0-9]+)/', line)
            if m and m.group(1) in MODULES:
                yield f"{f}:{n}: a plugin includes the host's {m.group(1)}; it may use <otedama/...> only"
            if re.match(r'#include "(?!\.\./common/)[^"]*\.\./', line):
                yield f"{f}:{n}: a plugin includes what is not of its kind's folder; it may use ../common/ only"


SEAM_CALLS = ("time gettimeofday clock_gettime nanosleep usleep sleep socket bind listen accept accept4 connect "
              "send recv sendto recvfrom sendmsg recvmsg poll epoll_wait epoll_create1 select open openat creat "
              "fopen fread fwrite fsync fdatasync pread pwrite rename unlink mkdir opendir readdir fork "
              "pthread_create rand srand random getrandom getenv_never uv_run uv_timer_start curl_easy_perform")
# Who may: the real side of env, the program itself, and those whose library or duty needs it.
SEAM_FREE = ("core/loop/", "core/app/")
SEAM_EXCEPT = {
    "core/base/log.c": {"open", "write", "time", "clock_gettime", "poll"},  # the log's own file
    "core/base/log_sink.c": {"open", "write", "clock_gettime"},
    "core/plugin/load.c": {"open"},
}


def seams():
    """No call past base/env.h outside core/loop and core/app; plugins neither."""
    names = "|".join(SEAM_CALLS.split())
    call = re.compile(r"(?<![\w.>])(" + names + r")\s*\(")
    for f in sources("core", "plugins"):
        if f.startswith(SEAM_FREE) or os.path.basename(f).startswith(("test_", "bench_")):
            continue
        for n, line in enumerate(code_of(read(f)).split("\n"), 1):
            for m in call.finditer(line):
                # A declaration or definition of ours, or a member of that name, is not a call of libc's.
                if re.match(r"^(static\s+)?[\w\s\*]+\s\*?" + m.group(1) + r"\s*\(", line) and not line.startswith("\t"):
                    continue
                if m.group(1) in SEAM_EXCEPT.get(f, ()) or re.search(r"\(\s*\*\s*$", line[:m.start()]):
                    continue
                if re.search(r"^static [^;]*\b" + m.group(1) + r"\(", code_of(read(f)), re.M):
                    continue
                yield f"{f}:{n}: {m.group(1)}() goes past the seams; use struct otd_env (base/env.h)"


def names():
    """core/ names no plugin: what differs stands in a vtable or in data."""
    ids = set()
    for kind in ("algo", "payout", "hw", "dex", "defi", "chain"):
        d = os.path.join(ROOT, "plugins", kind)
        if os.path.isdir(d):
            ids |= {x for x in os.listdir(d) if x not in ("common", "cpu") and os.path.isdir(os.path.join(d, x))}
    # sha256d is also the name of the hash by which Bitcoin-like merkle trees are built: a base function.
    word = re.compile(r'"(?:algo/|payout/|chain/|hw/)?(' + "|".join(sorted(map(re.escape, ids))) + r')"')
    for f in sources("core"):
        for n, line in enumerate(code_of(read(f), keep_strings=True).split("\n"), 1):
            m = word.search(line)
            if m:
                yield f"{f}:{n}: core names the plugin '{m.group(1)}'; put what differs into its descriptor"


def functions(text):
    """(name, first line, lines, complexity) of each function; K&R braces at column 0."""
    lines = code_of(text).split("\n")
    i = 0
    while i < len(lines):
        if lines[i] == "{" and i > 0:
            j = i
            while j > 0 and lines[j - 1].strip() and not lines[j - 1].startswith(("}", "#")):
                j -= 1
            head = " ".join(lines[j:i])
            m = re.search(r"(\w+)\s*\(", re.sub(r"__attribute__\s*\(\(.*?\)\)|OTD_\w+\([^)]*\)", "", head))
            end = i
            while end < len(lines) and not lines[end].startswith("}"):
                end += 1
            body = "\n".join(lines[i:end])
            branches = len(re.findall(r"\b(?:if|for|while|switch)\b|&&|\|\||\?", body))
            if m and "=" not in head:
                yield m.group(1), j + 1, end - i + 1, branches + 1
            i = end
        i += 1


def sizes():
    """Functions of at most 120 lines and complexity 20 (a switch counts once), files of at most 900 lines."""
    allow_path = os.path.join(ROOT, "tools", "lint_allow.txt")
    allow, used = set(), set()
    if os.path.exists(allow_path):
        allow = {x.strip() for x in open(allow_path) if x.strip() and not x.startswith("#")}
    for f in sources("core", "plugins", "tests", "bench"):
        text = read(f)
        n_lines = text.count("\n")
        if n_lines > FILE_MAX:
            if f in allow:
                used.add(f)
            else:
                yield f"{f}:1: {n_lines} lines, at most {FILE_MAX}: split it"
        for name, line, length, complexity in functions(text):
            key = f"{f}:{name}"
            if length > FUNCTION_MAX or complexity > COMPLEXITY_MAX:
                if key in allow:
                    used.add(key)
                elif length > FUNCTION_MAX:
                    yield f"{f}:{line}: {name}() has {length} lines, at most {FUNCTION_MAX}: split it"
                else:
                    yield f"{f}:{line}: {name}() has complexity {complexity}, at most {COMPLEXITY_MAX}: split it"
    for x in sorted(allow - used):
        yield f"tools/lint_allow.txt:1: '{x}' no longer needs its excuse: remove the line"


def floats():
    """No floating point in ledger, accounting and payout code."""
    word = re.compile(r"\b(float|double|strtod|atof|json_real\w*|json_number_value|\d+\.\d+f?)\b")
    for f in sources("core/ledger", "core/store", "core/pool", "plugins/payout", "plugins/dex", "plugins/defi",
                     "plugins/chain", "plugins/store", "core/base", "core/include"):
        if os.path.basename(f).startswith(("test_", "bench_")):
            continue
        for n, line in enumerate(code_of(read(f)).split("\n"), 1):
            m = word.search(line)
            if m:
                yield f"{f}:{n}: '{m.group(1)}': money, work and targets are integers here"


BANNED = "strcpy strcat sprintf vsprintf gets strtok atoi atol atof alloca system popen tmpnam mktemp strncpy".split()


def banned():
    """Functions that overflow, keep hidden state or cannot fail visibly; and notes of unfinished work."""
    call = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")
    for f in sources("core", "plugins", "tests", "bench"):
        text = read(f)
        for n, line in enumerate(code_of(text).split("\n"), 1):
            m = call.search(line)
            if m:
                yield f"{f}:{n}: {m.group(1)}() is banned; use a bounded form"
        for n, line in enumerate(text.split("\n"), 1):
            m = re.search(r"\b(TODO|FIXME|XXX)\b", line)
            if m and f.startswith(("core", "plugins")):
                yield f"{f}:{n}: {m.group(1)}: finish it or open an issue"


def format():  # the gate's name on the command line
    """clang-format would change nothing."""
    files = sources("core", "plugins", "tests", "bench")
    if not files:
        return
    try:
        r = subprocess.run(["clang-format", "--dry-run", *files], cwd=ROOT, capture_output=True, text=True)
    except FileNotFoundError:
        yield "clang-format:1: not installed; ./mk setup test installs it"
        return
    seen = set()
    for line in r.stderr.split("\n"):
        m = re.match(r"(.*?):(\d+):\d+: warning: code should be clang-formatted", line)
        if m and m.group(1) not in seen:
            seen.add(m.group(1))
            yield f"{os.path.relpath(m.group(1), ROOT)}:{m.group(2)}: not formatted: ./mk fmt"


GATES = [layers, seams, names, sizes, floats, banned, format]


def main():
    wanted = sys.argv[1:]
    passed = failed = 0
    for gate in GATES:
        if wanted and gate.__name__ not in wanted:
            continue
        faults = list(gate())
        for x in faults[:40]:
            print(x)
        if len(faults) > 40:
            print(f"... and {len(faults) - 40} more of {gate.__name__}")
        print(f"lint {gate.__name__}: {'ok' if not faults else str(len(faults)) + ' faults'}")
        passed, failed = passed + (not faults), failed + bool(faults)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
