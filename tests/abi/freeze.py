#!/usr/bin/env python3
"""Writes down the binary interface that plugins are built against: tests/abi/abi_MAJOR_MINOR.h, one
_Static_assert for every offset, size, enumerator and constant of core/include/otedama. A frozen file is
data and never changes again; test_abi.c compiles all of them against the headers of today.

  tests/abi/freeze.py             writes the file of the present ABI, and a copy of its headers for matrix.py,
                                  tests/abi/MAJOR.MINOR/; refuses where they are there already
  tests/abi/freeze.py --check     whether the file of the present ABI names all that the headers have
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SDK = os.path.join(ROOT, "core", "include", "otedama")


def bare(text):
    text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.S)
    text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", " ", text, flags=re.M)
    return re.sub(r"__attribute__\s*\(\(.*?\)\)|OTD_PRINTF\([^)]*\)", " ", text)


def members(body):
    """Names of a struct's members, in order; a nested union counts as one."""
    body = re.sub(r"\{[^{}]*\}", " ", body)
    for declaration in body.split(";"):
        pointer = re.search(r"\(\s*\*\s*(\w+)\s*\)\s*\(", declaration)
        if pointer:
            yield pointer.group(1)
            continue
        for part in declaration.split(","):
            m = re.search(r"(\w+)\s*(?:\[[^\]]*\]\s*)*$", part.strip())
            if m:
                yield m.group(1)


def blocks(text, word):
    """(name, body) of each 'word NAME { ... };' at the top of a file."""
    for m in re.finditer(r"^(?:static )?" + word + r" (\w+) \{", text, re.M):
        depth, i = 1, m.end()
        while depth:
            depth += (text[i] == "{") - (text[i] == "}")
            i += 1
        if text[i:].lstrip().startswith(";"):
            yield m.group(1), text[m.end():i - 1]


def expressions():
    """(kind, C expression) of everything that is frozen, in the order of the headers."""
    for name in sorted(os.listdir(SDK)):
        raw = open(os.path.join(SDK, name), encoding="utf-8").read()
        text = bare(raw)
        for word in ("struct", "union"):
            for tag, body in blocks(text, word):
                yield "size", f"sizeof({word} {tag})"
                yield "align", f"_Alignof({word} {tag})"
                for m in members(body):
                    yield "same", f"offsetof({word} {tag}, {m})"
        for _, body in blocks(text, "enum"):
            for m in re.finditer(r"\b(OTD_\w+)\s*(?==|,|$|\s*$)", body, re.M):
                yield "same", m.group(1)
        for m in re.finditer(r"^#define (OTD_NOTE_TYPE)\b", raw, re.M):
            yield "same", m.group(1)


def headers():
    return "".join(f"#include <otedama/{h}>\n" for h in sorted(os.listdir(SDK)))


def values(found):
    lines = "".join(f'\tprintf("%lld\\n", (long long)({e}));\n' for _, e in found)
    with tempfile.TemporaryDirectory() as d:
        source = os.path.join(d, "a.c")
        with open(source, "w") as f:
            f.write(f"#include <stdio.h>\n{headers()}int main(void)\n{{\n"
                    f'\tprintf("%d %d\\n", OTD_ABI_MAJOR, OTD_ABI_MINOR);\n{lines}\treturn 0;\n}}\n')
        subprocess.run([os.environ.get("CC", "cc"), "-I", os.path.dirname(SDK), "-o", source[:-2], source], check=True)
        out = subprocess.run([source[:-2]], capture_output=True, text=True, check=True).stdout.split("\n")
    major, minor = (int(x) for x in out[0].split())
    return major, minor, [int(x) for x in out[1:] if x]


def main():
    found = list(expressions())
    major, minor, numbers = values(found)
    path = os.path.join(ROOT, "tests", "abi", f"abi_{major}_{minor}.h")
    if sys.argv[1:] == ["--check"]:
        frozen = open(path, encoding="utf-8").read() if os.path.exists(path) else ""
        missing = [e for _, e in found if f"({e}, " not in frozen and f" {e}, " not in frozen]
        for e in missing:
            print(f"{os.path.relpath(path, ROOT)}: {e} is not frozen: a new member needs a new OTD_ABI_MINOR "
                  "(core/include/otedama/plugin.h) and then tests/abi/freeze.py")
        return 1 if missing else 0
    if os.path.exists(path):
        print(f"{os.path.relpath(path, ROOT)} is frozen; raise OTD_ABI_MINOR first", file=sys.stderr)
        return 1
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"/* The binary interface of ABI {major}.{minor} on 64-bit machines, frozen by tests/abi/freeze.py. */\n")
        for (kind, e), n in zip(found, numbers):
            if kind == "size":
                # Structs that cross grow at their end, with the minor version.
                f.write(f"OTD_FROZEN_SIZE({major}, {minor}, {e}, {n});\n")
            else:
                f.write(f"OTD_FROZEN({e}, {n});\n")
    shutil.copytree(SDK, os.path.join(ROOT, "tests", "abi", f"{major}.{minor}", "otedama"))
    print(f"{os.path.relpath(path, ROOT)}: {len(found)} facts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
