#!/usr/bin/env python3
"""What the binary interface is and how it has grown, version by version, out of the frozen files and of the
headers of today. Printed in CI; exit status 1 where something that was there is gone or has moved.

  tests/abi/report.py
"""
import os
import re
import sys

import freeze

HERE = os.path.dirname(os.path.abspath(__file__))


def frozen(path):
    """{fact: value} of abi_MAJOR_MINOR.h; sizes are "sizeof(..)"."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    out = {m[1]: int(m[2]) for m in re.finditer(r"^OTD_FROZEN\((.*), (-?\d+)\);", text, re.M)}
    out.update({m[1]: int(m[2]) for m in re.finditer(r"^OTD_FROZEN_SIZE\(\d+, \d+, (.*), (\d+)\);", text, re.M)})
    return out


def of_today():
    found = list(freeze.expressions())
    major, minor, numbers = freeze.values(found)
    return f"{major}.{minor} (headers of today)", {e: n for (_, e), n in zip(found, numbers)}


def structs(facts):
    return [x for x in facts if x.startswith("sizeof(")]


def compare(name, before, old, now):
    """Prints what has come since the version before; the number of what broke."""
    broken = [f"{x} was {v}, is {now.get(x, 'gone')}" for x, v in old.items()
              if now.get(x) != v and not (x.startswith("sizeof(") and now.get(x, 0) > v)]
    came = [x for x in now if x not in old]
    grew = [f"{x[7:-1]} {old[x]} -> {now[x]} bytes" for x in structs(old) if now.get(x, 0) > old[x]]
    print(f"ABI {name}: {len(structs(now))} structs, {len(now)} facts; since {before}: {len(came)} new, "
          f"{len(grew)} structs longer, {len(broken)} broken")
    for x in grew:
        print(f"  longer  {x}")
    for x in came:
        if x.startswith("sizeof("):
            print(f"  new     {x[7:-1]}, {now[x]} bytes")
        elif x.startswith("offsetof(") and f"sizeof({x[9:].split(',')[0]})" in old:
            print(f"  member  {x[9:-1].replace(', ', '.')} at {now[x]}")
        elif x.startswith("OTD_"):
            print(f"  name    {x} = {now[x]}")
    for x in broken:
        print(f"  BROKEN  {x}")
    return len(broken)


def main():
    names = sorted(re.findall(r"^abi_(\d+)_(\d+)\.h$", "\n".join(os.listdir(HERE)), re.M), key=lambda v: [int(x) for x in v])
    versions = [(".".join(v), frozen(os.path.join(HERE, f"abi_{v[0]}_{v[1]}.h"))) for v in names] + [of_today()]
    bad = 0
    first, facts = versions[0]
    print(f"ABI {first}: {len(structs(facts))} structs, {len(facts)} facts")
    for (before, old), (name, now) in zip(versions, versions[1:]):
        # Another major is another interface.
        bad += compare(name, before, old, now) if before.split(".")[0] == name.split(".")[0] else 0
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
