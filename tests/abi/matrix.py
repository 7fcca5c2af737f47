#!/usr/bin/env python3
"""Hosts and plugins of every version before each other: the templates of the SDK, compiled with the headers
of each ABI that was frozen, of today, and of a version to come (every struct that may grow has grown), in a
host in small (host.c) of each of these shapes, and in this very program. A plugin of another major is
refused by both.

  tests/abi/matrix.py OTEDAMA LIBOTEDAMA-SHA256.A [CC]     one line a pair; exit status 1 where one fails
"""
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TODAY = os.path.join(ROOT, "core", "include")
TEMPLATES = os.path.join(ROOT, "sdk", "templates")
KINDS = ("algo", "payout", "chain", "hw")
# Crosses by stride and has no size of its own.
BY_STRIDE = ("otd_algo_item", "otd_algo_vector", "otd_payout_share", "otd_chain_coin", "otd_chain_payee")


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def grown(to, major=0, minor=0):
    """Today's headers, with versions raised and, for a minor, a member more at the end of what may grow."""
    n = 0
    for name in sorted(os.listdir(os.path.join(TODAY, "otedama"))):
        text = read(os.path.join(TODAY, "otedama", name))
        for word, more in (("MAJOR", major), ("MINOR", minor)):
            text = re.sub(rf"(#define OTD_ABI_{word} )(\d+)", lambda m, k=more: m[1] + str(int(m[2]) + k), text)
        for m in reversed(list(re.finditer(r"^struct (\w+) \{\n(.*?)^\};", text, re.M | re.S))) if minor else []:
            if re.match(r"\s*uint32_t size\b", m[2]) or m[1] in BY_STRIDE:
                at = m.end() - len("};")
                text = text[:at] + "\tuint64_t of_tomorrow;\n" + text[at:]
                n += 1
        write(os.path.join(to, "otedama", name), text)
    assert n > 15 or not minor, f"only {n} structs have grown"
    return to


def shapes(folder):
    """{name: folder of headers}, oldest first."""
    out = {v: os.path.join(HERE, v) for v in sorted(os.listdir(HERE)) if re.fullmatch(r"\d+\.\d+", v)}
    out["today"] = TODAY
    out["next"] = grown(os.path.join(folder, "next"), minor=1)
    return out


def build(argv):
    r = subprocess.run(argv, capture_output=True, text=True, check=False)
    if r.returncode:
        raise SystemExit(f"{' '.join(argv)}\n{r.stdout}{r.stderr}")


def plugin(folder, cc, kind, name, headers, library, change=None):
    """The template of a kind, compiled with these headers. change: (text, other text) for a careless author."""
    to = os.path.join(folder, f"plugin-{name}{'-careless' if change else ''}", kind)
    for f in os.listdir(os.path.join(TEMPLATES, kind)):
        if f.endswith((".c", ".h")) and not f.startswith("test"):
            text = read(os.path.join(TEMPLATES, kind, f)).replace("@ID@", "probe").replace("@LICENSE@", "MIT")
            if name == "next":  # what today's host does not know of must not matter
                text = re.sub(r"\.size = sizeof\(", ".of_tomorrow = 0xdeadbeef, .size = sizeof(", text)
            write(os.path.join(to, f), text.replace(*change) if change else text)
    so = os.path.join(to, "probe.so")
    sources = [os.path.join(to, f) for f in sorted(os.listdir(to)) if f.endswith(".c")]
    build([cc, "-std=c17", "-O1", "-fPIC", "-fvisibility=hidden", "-I", headers, "-shared", "-Wl,-z,defs",
           "-Wl,-z,relro,-z,now", "-Wl,--exclude-libs,ALL", "-o", so, *sources, library])
    return so


def run(argv):
    r = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
    return r.returncode, r.stdout + r.stderr


def main():
    if len(sys.argv) not in (3, 4):
        print(__doc__, file=sys.stderr)
        return 2
    program, library, cc = sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) == 4 else "cc"
    os.umask(0o022)
    pairs = bad = 0
    with tempfile.TemporaryDirectory() as folder:
        headers = shapes(folder)
        hosts = {}
        for name, where in headers.items():
            hosts[name] = os.path.join(folder, f"host-{name}")
            build([cc, "-std=c17", "-D_GNU_SOURCE", "-g", "-I", where, "-o", hosts[name], os.path.join(HERE, "host.c"), library,
                   "-ldl"])
        plugins = {(k, n): plugin(folder, cc, k, n, h, library) for k in KINDS for n, h in headers.items()}
        for (kind, name), so in plugins.items():
            tries = {f"host of {h}": [p, so] for h, p in hosts.items()}
            tries["otedama"] = [program, "plugin", "info", "--load", so]
            tries["plugin check"] = [program, "plugin", "check", so]
            words = []
            for host, argv in tries.items():
                status, said = run(argv)
                pairs += 1
                words.append(f"{host} {'ok' if status == 0 else 'FAILED'}")
                if status:
                    bad += 1
                    words.append("\n" + said)
            print(f"{kind} of {name}: {', '.join(words)}", flush=True)
        # The matrix can fail: a plugin that looks at no size, one that goes through arrays by its own length.
        careless = {"algo": ("size < sizeof(all) ? size : sizeof(all)", "sizeof(all)"),
                    "hw": ("out->size < sizeof(t) ? out->size : sizeof(t)", "sizeof(t)"),
                    "payout": ("i * batch->stride", "i * sizeof(struct otd_payout_share)")}
        for kind, change in careless.items():
            so = plugin(folder, cc, kind, "next", headers["next"], library, change)
            pairs += 1
            if run([hosts["today"], so])[0] == 0:
                bad += 1
                print(f"a careless {kind} was not found out")
        strange = plugin(folder, cc, "algo", "major", grown(os.path.join(folder, "major"), major=1), library)
        for argv, meant in (([hosts["today"], strange], "this host's"), ([program, "plugin", "info", strange], "ABI"),
                            ([program, "plugin", "info", "--load", strange], "ABI")):
            status, said = run(argv)
            pairs += 1
            if status == 0 or meant not in said:
                bad += 1
                print(f"a plugin of another major was not refused: {said}")
    print(f"{pairs} pairs, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
