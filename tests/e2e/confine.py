#!/usr/bin/env python3
"""confine.py UNIT DATA_DIR PROGRAM ARGUMENTS..: runs a program as the unit would have it, without systemd as PID 1.

The same kernel features: its own mounts (everything read-only but DATA_DIR, /proc with processes only), no
capabilities, no new privileges, no memory that is made executable, and a seccomp filter of the system calls and
address families that the unit names, expanded by systemd-analyze itself.
"""
import ctypes
import os
import re
import struct
import subprocess
import sys

PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, PR_SET_MDWE = 24, 38, 22, 65
LD, JEQ, RET = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}


def settings(unit):
    found = {}
    with open(unit, encoding="utf-8") as f:
        for line in f:
            m = re.match(r"(\w+)=(.*)$", line.strip())
            if m:
                found.setdefault(m.group(1), []).append(m.group(2))
    return found


def expand(word, seen=None):
    """A name, or what systemd says is in a group of them."""
    if not word.startswith("@"):
        return {word}
    out = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager", word], capture_output=True, text=True,
                         check=True).stdout.split("\n")
    names = {x.strip() for x in out[1:] if x.startswith("    ") and not x.strip().startswith("#")}
    return set().union(*[expand(x) for x in names if x]) if names else set()


def allowed(unit):
    names = set()
    for line in settings(unit)["SystemCallFilter"]:
        words = line.lstrip("~").split()
        group = set().union(*[expand(w) for w in words])
        names = names - group if line.startswith("~") else names | group
    return names | {"execve", "exit", "exit_group", "rt_sigreturn"}  # systemd lets these through too


def numbers():
    """{name: number} of this machine's system calls."""
    source = "#include <sys/syscall.h>\n"
    out = subprocess.run(["cc", "-E", "-dM", "-"], input=source, capture_output=True, text=True, check=True).stdout
    return {m.group(1): int(m.group(2)) for m in re.finditer(r"#define __NR_(\w+) (\d+)\s*$", out, re.M)}


def program(names, families, table):
    """BPF: a pair of instructions a system call; socket() looks at its family."""
    code = [(LD, 0, 0, 0)]
    for n in sorted(table[x] for x in names if x in table and x != "socket"):
        code += [(JEQ, 0, 1, n), (RET, 0, 0, ALLOW)]
    code += [(JEQ, 0, 1 + 2 * len(families) + 1, table["socket"]), (LD, 0, 0, 16)]
    for f in sorted(families):
        code += [(JEQ, 0, 1, f), (RET, 0, 0, ALLOW)]
    code += [(RET, 0, 0, ERRNO | 97), (RET, 0, 0, ERRNO | 1)]
    return b"".join(struct.pack("HBBI", *c) for c in code), len(code)


def confine(unit):
    libc = ctypes.CDLL(None, use_errno=True)
    def prctl(*args):
        if libc.prctl(*[ctypes.c_ulong(a) if isinstance(a, int) else a for a in args]) != 0:
            raise OSError(ctypes.get_errno(), f"prctl {args[0]}")
    conf = settings(unit)
    code, n = program(allowed(unit), {FAMILIES[x] for x in conf["RestrictAddressFamilies"][0].split()}, numbers())
    buffer = ctypes.create_string_buffer(code, len(code))
    class Filter(ctypes.Structure):
        _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
    f = Filter(n, ctypes.addressof(buffer))
    for capability in range(64):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.prctl(PR_SET_MDWE, 1, 0, 0, 0) != 0:
        print("confine: this kernel has no PR_SET_MDWE", file=sys.stderr)
    prctl(PR_SET_SECCOMP, 2, ctypes.byref(f), 0, 0)


MOUNTS = """set -e
mount --make-rprivate /
mount --bind "$1" "$1"
mount --bind / /mnt 2>/dev/null && umount /mnt
mount -o remount,bind,ro /
mount -t proc -o subset=pid,hidepid=invisible proc /proc
exec "$2" "$3" --inside "$4" "$1" "${@:5}"
"""


def main():
    if sys.argv[1] == "--inside":
        unit, argv = sys.argv[2], sys.argv[4:]
        confine(unit)
        os.execv(argv[0], argv)
    unit, data = sys.argv[1:3]
    os.execvp("unshare", ["unshare", "--mount", "bash", "-c", MOUNTS, "confine", data, sys.executable,
                          os.path.abspath(__file__), unit, *sys.argv[3:]])


if __name__ == "__main__":
    main()
