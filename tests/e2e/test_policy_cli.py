"""otedama policy check and test: a script before it meets a pool."""
import glob
import json
import os
import shutil
import subprocess
import tempfile

from pool import PROGRAM, ROOT


def run(*words, **more):
    return subprocess.run([PROGRAM, "policy", *words], capture_output=True, text=True, timeout=180, **more)


_made = []


def finish():
    for folder in _made:
        shutil.rmtree(folder, ignore_errors=True)


def script(text, name="x.lua"):
    folder = tempfile.mkdtemp(prefix="otd-policy-")
    _made.append(folder)
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def one_line(r, status):
    assert r.returncode == status, (r.returncode, r.stdout, r.stderr)
    lines = r.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("otedama: policy"), r.stderr
    return lines[0]


def test_check_of_the_shipped_ones():
    files = sorted(f for f in glob.glob(os.path.join(ROOT, "scripts", "lua", "*.lua")) if not f.endswith(".d.lua"))
    assert len(files) >= 4
    r = run("check", *files)
    assert r.returncode == 0 and r.stderr == "", r
    assert r.stdout.count("selftest() passed") == len(files), r.stdout
    o = json.loads(run("check", files[0], "--json").stdout)
    assert o["ok"] and o["selftest"] and o["hooks"] == ["on_offence"] and len(o["sha256"]) == 64, o


def test_check_says_where():
    bad = script("function fee(a)\n  return {ppm = 1}\nend\nfunction selftest()\n  assert(fee({}).ppm == 2, 'two')\nend\n")
    assert one_line(run("check", bad), 1).endswith("x.lua:5: two")
    assert "did you mean 'on_authorize'?" in one_line(run("check", script("function on_authorise(s) end")), 1)
    assert "x.lua:1: stopped after" in one_line(run("check", script("while true do end")), 1)
    assert "x.lua:2: " in one_line(run("check", script("function fee(a) end\nos.exit(1)")), 1)
    o = json.loads(run("check", bad, "--json").stdout)
    assert not o["ok"] and o["error"].endswith("x.lua:5: two"), o
    assert "cannot be read" in one_line(run("check", "/nowhere.lua"), 1)


def test_check_of_options():
    fees = os.path.join(ROOT, "scripts", "lua", "fees.lua")
    assert run("check", fees, "--options", "{vip: [a], vip_rate: 0.1%}").returncode == 0
    said = one_line(run("check", fees, "--options", "{vips: [a]}"), 1)
    assert "--options:1:8: options.vips: is no option of policy/fees; did you mean 'vip'?" in said, said
    said = one_line(run("check", fees, "--options", "{tiers: [fast=1%]}"), 1)
    assert "'fast' is no hash rate" in said, said
    coin = script("function fee(a) end function selftest() assert(money('1 ETC'):units() == %s) end" % 10**18)
    assert run("check", coin, "--asset", "ETC=18").returncode == 0
    one_line(run("check", coin), 1)
    assert "SYMBOL=DECIMALS" in one_line(run("check", coin, "--asset", "ETC"), 1)


def event(hook, said, t=1_770_000_000_000, **members):
    return json.dumps({"v": 1, "time_ms": t, "hook": hook, "in": members, "out": said})


def test_events_are_played():
    rec = script("\n".join([
        event("on_connect", {"from": "host", "script": "", "reason": ""}, pool="p", host="10.0.0.1"),
        event("on_connect", {"from": "host", "script": "", "reason": ""}, pool="p", host="10.0.0.2"),
        event("fee", {"from": "script", "script": "old", "reason": "", "ppm": 5000, "valid": 60},
              t=1_770_000_100_000, pool="p", asset="LTC", yaml_ppm=10000),
    ]) + "\n", "events.jsonl")
    new = script("function on_connect(s)\n  if s.host:ends('.2') then return {action = 'refuse', reason = 'two'} end\nend\n"
                 "function fee(a) assert(time() == 1770000100) return {ppm = 5000} end\n")
    r = run("test", new, "--events", rec)
    assert r.returncode == 0, r
    assert "3 events: 2 as they were, 1 differ, 0 calls failed" in r.stdout, r.stdout
    assert '"reason":"two","action":"refuse"' in r.stdout, r.stdout
    lines = [json.loads(x) for x in run("test", new, "--events", rec, "--json").stdout.splitlines()]
    assert lines[0]["event"] == 2 and lines[0]["now"]["action"] == "refuse" and lines[-1]["differ"] == 1, lines
    # A script that fails is a failure, and says where.
    broken = script("function on_connect(s)\n  return s.nothing.at_all\nend\n")
    r = run("test", broken, "--events", rec)
    assert r.returncode == 1 and "x.lua:2: " in r.stdout, r
    # One that never ends ends.
    r = run("test", script("function on_connect(s) while true do end end"), "--events", rec)
    assert r.returncode == 1 and "units of work" in r.stdout, r


def test_events_that_are_none():
    fine = script("function fee(a) end")
    assert "event 1: v: is not 1" in one_line(run("test", fine, "--events", script("{}\n", "e")), 1)
    assert "event 1: is no JSON" in one_line(run("test", fine, "--events", script("x\n", "e")), 1)
    assert "cannot be read" in one_line(run("test", fine, "--events", "/nowhere"), 1)
    assert "--events REC is needed" in one_line(run("test", fine), 2)
    assert "did you mean 'test'?" in one_line(run("tset", fine), 2)
