"""config check over the planted mistakes of tests/config/: each is named with its line and what to do.

The header of a planted file says what is to be found, and all of it:
  # expect: LEVEL LINE KEY | words of what is wrong | words of what to do
LINE is of the file itself, or FILE:LINE; `here` is no line at all; KEY `-` is none.
  # needs: NAME            one of NEEDS below: what must be around the file. Without it, check runs with --offline.
{dir} {port} {api} {metrics} {rpc} ... are filled in.
"""
import json
import os
import re
import shutil
import subprocess
import tempfile

import config_needs
from pool import PROGRAM, ROOT, free_port
from skip import Skip

PLANTED = os.path.join(ROOT, "tests", "config")


def planted():
    return sorted(f for f in os.listdir(PLANTED) if f.endswith(".yaml"))


class Plant:
    """A planted file written out with what stands around it."""

    def __init__(self, name, folder, values=None):
        with open(os.path.join(PLANTED, name), encoding="utf-8") as f:
            self.text = f.read()
        self.name, self.folder, self.mode = name, folder, 0o600
        self.path = os.path.join(folder, name)
        self.values = {"dir": os.path.join(folder, "data"), "port": free_port(), "api": free_port(),
                       "metrics": free_port(), **(values or {})}
        for link, to in (("coins", os.path.join(ROOT, "etc", "coins")), ("planted", os.path.join(PLANTED, "coins"))):
            if not os.path.lexists(os.path.join(folder, link)):
                os.symlink(to, os.path.join(folder, link))
        self.expected = [self.expect(self.fill(w)) for w in re.findall(r"^# expect: (.*)$", self.text, re.M)]
        self.write()

    def write(self):
        """Mode 0600: there is a password in some of them."""
        with open(self.path, "w", encoding="utf-8") as f:
            f.write(self.fill(self.text))
        os.chmod(self.path, self.mode)

    def again(self, values):
        """With the places that its surroundings have filled in."""
        self.values.update(values)
        self.expected = [self.expect(self.fill(w)) for w in re.findall(r"^# expect: (.*)$", self.text, re.M)]
        self.write()
        return self

    def fill(self, text):
        for key, value in self.values.items():
            text = text.replace("{" + key + "}", str(value))
        return text

    def expect(self, words):
        head, say, mend = (w.strip() for w in words.split(" | "))
        level, line, key = head.split(" ")
        file, line = line.rsplit(":", 1) if ":" in line else ("" if line == "here" else self.name, line)
        return {"level": level, "file": os.path.join(self.folder, file) if file else "", "key": "" if key == "-" else key,
                "line": 0 if line == "here" else int(line), "say": say, "mend": mend}

    @property
    def needs(self):
        m = re.search(r"^# needs: (.*)$", self.text, re.M)
        return m.group(1).strip() if m else None


def check(path, *flags, **kw):
    return subprocess.run([PROGRAM, "config", "check", "-c", path, *flags], capture_output=True, text=True,
                          timeout=120, check=False, **kw)


def same(found, expected):
    return (found["level"] == expected["level"] and found.get("file", "") == expected["file"]
            and found["line"] == expected["line"] and found.get("key", "") == expected["key"]
            and expected["say"] in found["text"] and expected["mend"] in found["text"])


def judge(plant, *flags, **kw):
    """Everything expected is found, nothing else is, in both forms, and the status says whether there are faults."""
    r = check(plant.path, "--json", *flags, **kw)
    assert not r.stderr, (plant.name, r.stderr)
    found = json.loads(r.stdout)
    faults = [e for e in plant.expected if e["level"] == "fault"]
    assert plant.expected, f"{plant.name} expects nothing"
    assert r.returncode == (1 if faults else 0) and found["ok"] == (not faults), (plant.name, r)
    left = list(found["problems"])
    for e in plant.expected:
        hit = [p for p in left if same(p, e)]
        assert hit, f"{plant.name}: expected {e}\n  found {json.dumps(found['problems'], indent=1)}"
        left.remove(hit[0])
    assert not left, f"{plant.name}: more than was expected: {json.dumps(left, indent=1)}"
    r = check(plant.path, *flags, **kw)
    assert r.returncode == (1 if faults else 0), (plant.name, r)
    lines = r.stderr.splitlines()
    for e in plant.expected:
        head = "otedama: config: " + ("warning: " if e["level"] == "warning" else "")
        head += f"{e['file']}:{e['line']}:" if e["file"] else ""
        assert any(x.startswith(head) and e["say"] in x and e["mend"] in x for x in lines), (plant.name, e, lines)
    assert len(lines) == len(plant.expected) + (len(faults) > 1), (plant.name, lines)
    return found


def in_folder(run, keep=False):
    folder = tempfile.mkdtemp(prefix="otedama-e2e-")
    os.chmod(folder, 0o755)
    try:
        return run(folder)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def run_all(names):
    """All of them, though one fails; the failure names each."""
    failed = []
    for name in names:
        def one(folder, name=name):
            plant = Plant(name, folder)
            if not plant.needs:
                return judge(plant, "--offline")
            with config_needs.NEEDS[plant.needs](plant) as extra:
                return judge(plant.again(extra.values), *extra.flags, **extra.kw)
        try:
            in_folder(one)
        except AssertionError as e:
            failed.append(str(e))
        except Skip as e:
            print(f"    ({name} left out: {e})")
    assert not failed, "\n".join(failed)


def names_that_need(what):
    r = []
    for name in planted():
        with open(os.path.join(PLANTED, name), encoding="utf-8") as f:
            m = re.search(r"^# needs: (.*)$", f.read(), re.M)
        if what == (config_needs.group_of(m.group(1).strip()) if m else "nothing"):
            r.append(name)
    return r


def test_mistakes_in_the_file_alone():
    names = names_that_need("nothing")
    assert len(names) > 40, names
    run_all(names)


def test_mistakes_that_this_machine_shows():
    names = names_that_need("a machine")
    assert len(names) > 15, names
    run_all(names)


def test_mistakes_that_a_node_shows():
    names = names_that_need("a node")
    assert len(names) > 20, names
    run_all(names)


def finish():
    config_needs.finish()
