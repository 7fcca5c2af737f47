#!/usr/bin/env python3
"""What a built plugin may be, read from its file: one exported symbol, the note, no path to search for
libraries, only libraries that it may need, no call that a plugin must not make, nothing writable of its own.

  tests/abi/check_plugins.py FOLDER [--readelf PROGRAM]    FOLDER/KIND/ID.so; one line a fault, exit status 1
  tests/abi/check_plugins.py --self-test CC                bad plugins are built with CC and each is refused
"""
import os
import re
import subprocess
import sys
import tempfile

ENTRY = "otd_plugin_v1"
# Beyond libc, by plugin; a new library is a decision, so it is written here.
LIBRARIES = {"chain/bitcoin": {"libjansson.so.4"}, "store/sqlite": {"libsqlite3.so.0"}}
LIBC = {"libc.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
# A plugin never prints, aborts, exits, starts threads or processes, and asks the host for files, time and
# chance.
FORBIDDEN = set("""abort exit _exit quick_exit atexit __assert_fail __cxa_atexit printf puts putchar vprintf
 __printf_chk __vprintf_chk fprintf __fprintf_chk vfprintf fputs fputc fwrite perror stdout stderr
 pthread_create thrd_create fork vfork execve system popen dlopen dlsym open open64 openat fopen fopen64
 creat socket connect bind listen accept send recv sendto recvfrom time gettimeofday clock_gettime nanosleep
 usleep sleep rand random srand srandom getrandom arc4random getenv setenv signal sigaction raise kill
 strcpy strcat sprintf gets strtok setlocale localtime gmtime""".split())
# Writable words that the compiler and its library put there.
WRITABLE = re.compile(r"^(completed\.\d+|__dso_handle|_DYNAMIC|_GLOBAL_OFFSET_TABLE_|__TMC_END__|"
                      r"object\.\d+|__(frame|do_global)\w*|__EH_FRAME_BEGIN__|"
                      r"__cpu_model|__cpu_features2|__aarch64_have_lse_atomics)$")
# libotedama-sha256 keeps its choice of a kernel, and reads the override of it.
SHA256_STATIC, SHA256_CALLS = "chosen", {"getenv"}


def readelf(program, *args):
    return subprocess.run([program, "-W", *args], capture_output=True, text=True, check=True,
                          env=dict(os.environ, LC_ALL="C")).stdout


def symbols(text):
    """(value, size, type, binding, section, name) of readelf's symbol lines."""
    for line in text.split("\n"):
        m = re.match(r"\s*\d+:\s+([0-9a-f]+)\s+(\w+)\s+(\w+)\s+(\w+)\s+(\w+)\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)", line)
        if m:
            yield {"size": int(m[2], 0), "type": m[3], "bind": m[4], "index": m[6], "name": m[7].split("@")[0]}


def writable_sections(program, path):
    out = {}
    for line in readelf(program, "-S", path).split("\n"):
        m = re.match(r"\s*\[\s*(\d+)\]\s+(\S+)", line)
        if m and m[2] in (".data", ".bss", ".tdata", ".tbss"):
            out[m[1]] = m[2]
    return out


def note_of(path):
    """Kind and id as the note says them, or None."""
    with open(path, "rb") as f:
        data = f.read()
    at = data.find(b"\x08\0\0\0\x48\0\0\0\x01\0\0\0Otedama\0")
    if at < 0:
        return None
    body = data[at + 20:at + 92]
    return tuple(body[i:i + 32].split(b"\0")[0].decode("ascii", "replace") for i in (8, 40))


def faults(path, kind, ident, program="readelf"):
    name = f"{kind}/{ident}"
    dynamic = readelf(program, "-d", path)
    dynsym = list(symbols(readelf(program, "--dyn-syms", path)))
    exported = sorted(s["name"] for s in dynsym if s["index"] != "UND" and s["bind"] in ("GLOBAL", "WEAK"))
    if exported != [ENTRY]:
        yield f"exports {' '.join(exported) or 'nothing'}; {ENTRY} alone is the contract"
    note = note_of(path)
    if note is None:
        yield "has no note: OTD_PLUGIN_NOTE(kind, id) once in its source"
    elif not re.fullmatch(re.escape(kind) + r"/\d+", note[0]) or note[1] != ident:
        yield f"its note says {note[0]} {note[1]}, its place {kind} {ident}"
    if re.search(r"\((RUNPATH|RPATH)\)", dynamic):
        yield "has a RUNPATH: libraries would be taken from wherever that points"
    if "(TEXTREL)" in dynamic:
        yield "has relocations in its code: compile with -fPIC"
    if not re.search(r"BIND_NOW|\bNOW\b", dynamic):
        yield "binds lazily: link with -Wl,-z,now"
    for lib in re.findall(r"\(NEEDED\).*\[(.*?)\]", dynamic):
        if lib not in LIBC | LIBRARIES.get(name, set()):
            yield f"needs {lib}: add it to tests/abi/check_plugins.py where it is wanted"
    local = list(symbols(readelf(program, "-s", path)))
    with_sha256 = any(s["type"] == "FUNC" and s["name"].startswith("otd_sha256") for s in local)
    for s in dynsym:
        if s["index"] == "UND" and s["name"] in FORBIDDEN - (SHA256_CALLS if with_sha256 else set()):
            yield f"calls {s['name']}(): a plugin asks the host for that"
    sections = writable_sections(program, path)
    for s in local:
        if s["index"] in sections and s["type"] in ("OBJECT", "TLS") and not WRITABLE.match(s["name"]):
            if not (with_sha256 and s["name"] == SHA256_STATIC):
                yield f"keeps a writable static, {s['name']} in {sections[s['index']]}: state belongs to the instance"


def check(folder, program):
    bad = seen = 0
    for kind in sorted(os.listdir(folder)):
        for f in sorted(os.listdir(os.path.join(folder, kind))):
            if not f.endswith(".so"):
                continue
            seen += 1
            for x in faults(os.path.join(folder, kind, f), kind, f[:-3], program):
                bad += 1
                print(f"{kind}/{f}: {x}")
    print(f"{seen} plugins, {bad} faults")
    return 1 if bad or not seen else 0


NOTE = '#include <otedama/plugin.h>\nOTD_PLUGIN_NOTE("algo/1", "bad");\n'
GOOD = "OTD_EXPORT const struct otd_plugin_desc *otd_plugin_v1(void) { return 0; }\n"
BAD = [  # source, flags, words of the fault; None: no fault
    (NOTE + GOOD, "", None),
    (NOTE + GOOD + "OTD_EXPORT int more(void) { return 1; }\n", "", "exports"),
    (GOOD.join(["#include <otedama/plugin.h>\n", ""]), "", "no note"),
    (NOTE.replace("bad", "other") + GOOD, "", "its note says"),
    (NOTE + GOOD, "-Wl,-rpath,/tmp", "RUNPATH"),
    (NOTE + GOOD, "-Wl,-z,lazy", "binds lazily"),
    (NOTE + GOOD + "#include <math.h>\ndouble x(double y);double x(double y) { return cbrt(y); }\n",
     "-Wl,--no-as-needed -lm", "needs libm"),
    (NOTE + GOOD + "#include <stdlib.h>\nvoid x(void);void x(void) { abort(); }\n", "", "calls abort"),
    (NOTE + GOOD + "int x(void);static int n;int x(void) { return n++; }\n", "-O0", "writable static"),
]


def self_test(cc):
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    wrong = 0
    with tempfile.TemporaryDirectory() as d:
        for i, (source, flags, words) in enumerate(BAD):
            so = os.path.join(d, f"{i}.so")
            with open(so[:-3] + ".c", "w") as f:
                f.write(source)
            subprocess.run([cc, "-I", os.path.join(root, "core", "include"), "-shared", "-fPIC",
                            "-fvisibility=hidden", "-Wl,-z,now", *flags.split(), so[:-3] + ".c", "-o", so], check=True)
            found = list(faults(so, "algo", "bad"))
            if bool(found) != bool(words) or words and not any(words in x for x in found):
                wrong += 1
                print(f"bad plugin {i}: wanted '{words}', found {found}")
    print(f"{len(BAD)} plugins of the self-test, {wrong} judged wrongly")
    return 1 if wrong else 0


def main():
    if sys.argv[1:2] == ["--self-test"] and len(sys.argv) == 3:
        return self_test(sys.argv[2])
    if len(sys.argv) == 2:
        return check(sys.argv[1], "readelf")
    if len(sys.argv) == 4 and sys.argv[2] == "--readelf":
        return check(sys.argv[1], sys.argv[3])
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
