"""The service under a real systemd, as docs/operator-guide.md sets it up: machine.py boots one.

In all of it a system call that the unit refuses kills (SystemCallErrorNumber=kill), so that one that is missed is seen.
"""
import json
import os
import re

import machine
from pool import ROOT, wait_for
from skip import Skip
from test_guide import sections

_machine = []
GUIDE = 'sudo() { if [ "$1" = -u ]; then u=$2; shift 2; setpriv --reuid $u --regid $u --init-groups "$@"; else "$@"; fi; }\n'
DROP_IN = "/etc/systemd/system/otedama.service.d"


def booted():
    if not _machine:
        _machine.append(machine.Machine())
    return _machine[0]


def finish():
    while _machine:
        _machine.pop().end()


def configuration(m):
    """The embedded devnet with its miner, where the guide's section 6 has its data."""
    text = m.run(f"cat {m.etc}/devnet.yaml").stdout
    return re.sub(r"^data_dir:.*$", "data_dir: /var/lib/otedama", re.sub(r"^log:.*\n", "", text, flags=re.M), flags=re.M)


def fresh(more=""):
    """A service that was never started, with lines of our own for its unit."""
    m = booted()
    m.run("systemctl stop otedama 2>/dev/null; systemctl reset-failed otedama 2>/dev/null; systemctl disable -q otedama\n"
          f"rm -rf /var/lib/otedama /var/lib/otedama-backups {DROP_IN}; mkdir -p {DROP_IN}; systemd-sysusers", check=False)
    m.write(DROP_IN + "/test.conf", "[Service]\nSystemCallErrorNumber=kill\n" + more)
    m.write(m.etc + "/pool.yaml", configuration(m))
    m.run("systemctl daemon-reload")
    return m


def edit(m, old, new):
    text = m.run(f"cat {m.etc}/pool.yaml").stdout
    assert old in text, text
    m.write(f"{m.etc}/pool.yaml", text.replace(old, new))


def journal(m):
    """What the service has said since it was last told to begin."""
    text = m.run("journalctl -u otedama -o json --no-pager").stdout
    return [json.loads(x) for x in text.splitlines()]


def status(m):
    return json.loads(m.run("otedama status --json").stdout)


def mined(m, least):
    return wait_for(lambda: status(m)["pools"][0]["accepted"] >= least, 60, step=0.3, about=f"{least} shares")


def refused(m):
    """What the kernel has refused to the service, or killed it for."""
    return [x["MESSAGE"] for x in journal(m) if isinstance(x["MESSAGE"], str) and
            re.search("Operation not permitted|SYS|Permission denied|Read-only file system|core-dump", x["MESSAGE"])]


def reason(m):
    """Why a file was refused, as `journalctl -p err` shows it."""
    return [x for x in journal(m) if x["PRIORITY"] == "3" and "pools.devnet.fee.rate: '200%'" in x["MESSAGE"]]


def test_the_guide_sets_it_up():
    """Section 6 as it is printed, with the devnet in the place of a node that wants a day."""
    m = fresh()
    lines = [x.replace("/etc/otedama", m.etc) for x in sections()[6]]
    first = next(i for i, x in enumerate(lines) if "nano" in x)
    m.run(GUIDE + "set -e\n" + "\n".join(lines[:first]))
    m.write(f"{m.etc}/pool.yaml", configuration(m))
    said = m.run(GUIDE + "set -e\n" + "\n".join(lines[first + 1:]))
    assert "pool.yaml: ok" in said.stdout and "pool devnet: " in said.stdout, said.stdout
    now = m.show("ActiveState", "SubState", "UnitFileState", "NRestarts", "StatusText", "MainPID")
    assert (now["ActiveState"], now["SubState"], now["UnitFileState"], now["NRestarts"]) == ("active", "running", "enabled", "0")
    assert now["StatusText"].startswith("serving: 1 pool, "), now
    assert "Status: \"serving: 1 pool" in m.run("systemctl status otedama --no-pager").stdout
    owner, mode, groups = m.run(f"stat -c %U /proc/{now['MainPID']}; stat -c %a /var/lib/otedama; "
                                f"grep -E '^(CapEff|Seccomp|NoNewPrivs):' /proc/{now['MainPID']}/status | tr -d '\\t\\n'").stdout.split("\n")[:3]
    assert (owner, mode) == ("otedama", "700") and groups == "CapEff:0000000000000000NoNewPrivs:1Seccomp:2", groups
    mined(m, 5)
    for line in sections()[7]:
        if "systemctl" in line or "journalctl" in line:
            said = m.run(GUIDE + line.replace("journalctl", "journalctl --no-pager"))
            assert "journalctl" not in line or "event=start.serving" in said.stdout, said.stdout
    assert not refused(m), refused(m)


LITECOIN = (("data_dir: ", "data_dir: /var/lib/otedama"),
            ("cookie: ", "user: otedama\n    password: file:/etc/otedama/rpc-password"),
            ("roles: ", "roles: [template, submit, wallet]"))


def litecoin(m, address):
    """litecoin.yaml as section 6 changes it."""
    lines = m.run(f"cat {m.etc}/litecoin.yaml").stdout.split("\n")
    for word, new in LITECOIN:
        at = next(i for i, x in enumerate(lines) if x.strip().startswith(word))
        lines[at] = re.match(r" *", lines[at]).group(0) + new
    text = "\n".join(lines)
    head, pay = text.split("    #payments:\n")
    pay = re.sub(r"^    #(  \w+: )", r"    \1", pay, flags=re.M)
    return re.sub(r"ltc1q\w+", address, f"{head}    payments:\n{pay}").replace("/etc/otedama", m.etc)


def test_the_guides_node():
    """Section 5: litecoind as a service beside the pool's, with the password that both read. It has no peers here, so that
    it gives no work."""
    m = fresh()
    if m.run("command -v litecoind", check=False).returncode:
        raise Skip("litecoind is not installed (apt-get install litecoind)")
    with open(os.path.join(ROOT, "deploy", "litecoind.service"), encoding="utf-8") as f:
        m.run("mkdir -p /root/otedama/deploy")
        m.write("/root/otedama/deploy/litecoind.service", f.read())
    lines = [x.replace("/etc/otedama", m.etc) for x in sections()[5]]
    first = next(i for i, x in enumerate(lines) if x.startswith("lc()"))
    m.run(GUIDE + "set -e; cd /root/otedama\n" + "\n".join(lines[:first]))
    wait_for(lambda: m.run(GUIDE + lines[first] + "; lc getblockcount", check=False).returncode == 0, 60, step=0.5, about="a node")
    said = m.run(GUIDE + "set -e\n" + "\n".join(lines[first:])).stdout
    address = re.findall(r"^ltc1\w+$", said, re.M)[-1]
    assert m.run("systemctl show litecoind -p User -p ActiveState --value").stdout.split() == ["litecoin", "active"]
    m.write(f"{m.etc}/pool.yaml", litecoin(m, address))
    said = m.run(GUIDE + f"sudo install -d -m 700 -o otedama -g otedama /var/lib/otedama; cd /; "
                 f"sudo -u otedama otedama config check -c {m.etc}/pool.yaml 2>&1", check=False).stdout
    # All else of it is well: the password, the wallet, the folders.
    wrong = [x for x in said.splitlines() if x.startswith("otedama: config: ") and " warning: " not in x]
    assert len(wrong) == 1 and "nodes.ltc-a.rpc: it is still syncing" in wrong[0], said
    m.run("systemctl start otedama")
    wait_for(lambda: "syncing" in m.run("otedama node list").stdout, 20, about="the node's state")
    stopped(m)
    m.run("systemctl stop litecoind")
    assert m.run("systemctl show litecoind -p Result --value").stdout == "success\n"


def test_what_systemd_says_of_the_unit():
    m = fresh()
    said = m.run("systemd-analyze verify --man=no otedama.service 2>&1", check=False).stdout
    assert "otedama" not in said, said
    m.run("systemctl start otedama")
    said = m.run("systemd-analyze security --no-pager otedama").stdout
    score = float(re.search(r"Overall exposure level for otedama.service: ([\d.]+)", said).group(1))
    assert score <= 1.5, said
    soft = m.run(f"grep '^Max open files' /proc/{m.show('MainPID')}/limits").stdout.split()[3]
    assert int(soft) == min(1048576, int(m.run("ulimit -Hn").stdout)), soft


def test_its_log_is_journalds():
    m = fresh()
    m.run("systemctl start otedama")
    m.run("otedama upgrade")
    mined(m, 3)
    since = m.show("InvocationID")
    lines = [x for x in journal(m) if x.get("_SYSTEMD_INVOCATION_ID") == since and x.get("_COMM") == "otedama"]
    assert len(lines) > 5 and len({x["_PID"] for x in lines}) == 2
    for x in lines:
        level = re.match(r"level=(\w+) module=\w+ event=[\w.]+( |$)", x["MESSAGE"])
        assert level and x["PRIORITY"] == {"error": "3", "warn": "4", "info": "6"}[level.group(1)], x


def stopped(m):
    """An end in order: answers given and committed, no kill by systemd, neither of one that an upgrade has left."""
    pid = m.show("MainPID")
    m.run("systemctl stop otedama")
    now = m.show("Result", "ActiveState", "ExecMainStatus")
    assert now == {"Result": "success", "ActiveState": "inactive", "ExecMainStatus": "0"}, now
    said = [x["MESSAGE"] for x in journal(m) if x.get("_PID") == pid or x.get("_PID") == "1"][-12:]
    assert any("event=end.drained" in x for x in said) and not any("SIGKILL" in x for x in said), said


class Rig:
    """A miner in the machine."""

    def __init__(self, m, name):
        self.path = os.path.join(m.folder, name + ".txt")
        address = re.search(r"account: (\w+)", configuration(m)).group(1)
        with open(self.path, "wb") as out:
            self.process = m.start("otedama", "mine", "-o", "stratum+tcp://127.0.0.1:3333", "-u", f"{address}.{name}", "-a",
                                   "sha256d", "-t", "1", out=out)

    def text(self):
        with open(self.path, encoding="utf-8") as f:
            return f.read()

    def end(self):
        self.process.terminate()
        self.process.wait(30)


def test_reload_and_upgrade():
    """One systemctl start, and miners that see none of what follows."""
    m = fresh("WatchdogSec=24\n")
    m.run("systemctl start otedama")
    rig = Rig(m, "rig")
    try:
        wait_for(lambda: "connected to" in rig.text(), 20, about="a miner")
        edit(m, "rate: 1%", "rate: 2%")
        m.run("systemctl reload otedama")
        assert "2.0000%" in m.run("otedama fee show").stdout
        edit(m, "rate: 2%", "rate: 200%")
        assert m.run("systemctl reload otedama", check=False).returncode == 1
        assert reason(m), "the reason is not in the journal, as an error"
        assert m.show("ActiveState") == "active" and "2.0000%" in m.run("otedama fee show").stdout
        edit(m, "rate: 200%", "rate: 2%")
        before = m.show("MainPID")
        for _ in range(2):
            m.run("otedama upgrade")
            wait_for(lambda: m.show("ActiveState") != "reloading", 20, about="READY=1 of the new process")
            now = m.show("ActiveState", "SubState", "NRestarts", "MainPID", "StatusText")
            assert (now["ActiveState"], now["SubState"], now["NRestarts"]) == ("active", "running", "0"), now
            assert now["MainPID"] != before and now["StatusText"].startswith("serving: 1 pool"), now
            assert m.run(f"test -e /proc/{before}", check=False).returncode == 1, "the program before still runs"
            before = now["MainPID"]
            m.run("systemctl reload otedama")
        # The new process gives its signs of life, and systemd takes them.
        have, alive = status(m)["pools"][0]["accepted"], m.show("WatchdogTimestampMonotonic")
        mined(m, have + 3)
        wait_for(lambda: m.show("WatchdogTimestampMonotonic") != alive, 20, step=0.3, about="a sign of life")
        assert m.show("MainPID") == before and m.show("NRestarts") == "0"
        assert rig.text().count("connected to") == 1 and "lost" not in rig.text(), rig.text()
    finally:
        rig.end()
    stopped(m)
    assert not refused(m), refused(m)


def test_killed_it_comes_again():
    m = fresh()
    m.run("systemctl start otedama")
    mined(m, 5)
    for times, kill in enumerate(("kill -9 {}", "systemctl kill -s SEGV otedama", "kill -9 {}"), 1):
        if times == 3:  # one that systemd did not start itself
            m.run("otedama upgrade")
        pid = m.show("MainPID")
        m.run(kill.format(pid))
        wait_for(lambda: m.show("NRestarts") == str(times) and m.show("ActiveState") == "active", 30, step=0.2, about="a restart")
        assert m.show("MainPID") != pid
        mined(m, 2)
    stopped(m)
    assert "ok" in m.run(f"otedama journal verify -c {m.etc}/pool.yaml").stdout
    assert "ok" in m.run(f"otedama ledger verify -c {m.etc}/pool.yaml").stdout


def test_hung_it_comes_again():
    m = fresh("WatchdogSec=6\n")
    m.run("systemctl start otedama")
    pid = m.show("MainPID")
    m.run(f"kill -STOP {pid}")
    wait_for(lambda: m.show("MainPID") not in (pid, "0") and m.show("ActiveState") == "active", 40, step=0.5,
             about="the watchdog")
    assert any("watchdog" in str(x["MESSAGE"]).lower() for x in journal(m))


def test_a_mended_file_is_taken_at_once():
    """However often a file was refused before, and started by hand: the next start is not refused for that."""
    m = fresh()
    edit(m, "rate: 1%", "rate: 200%")
    for _ in range(6):
        assert m.run("systemctl start otedama", check=False).returncode == 1
    wait_for(lambda: int(m.show("NRestarts")) >= 1, 40, step=0.3, about="a second try by systemd")
    assert reason(m), "the reason is not in the journal, as an error"
    edit(m, "rate: 200%", "rate: 1%")
    m.run("systemctl start otedama")
    assert m.show("ActiveState") == "active"
    # Used wrongly: not tried again.
    m.write(DROP_IN + "/wrong.conf", f"[Service]\nExecStart=\nExecStart={m.program} serve --no-such-flag\n")
    m.run("systemctl daemon-reload")
    assert m.run("systemctl restart otedama", check=False).returncode == 1
    assert m.show("ActiveState") == "failed"


def test_reactors_as_processes():
    m = fresh()
    edit(m, "\nminer:", "\nthreads: {processes: 2}\n\nminer:")
    m.run("systemctl start otedama")
    mined(m, 3)
    group = m.show("ControlGroup")
    assert len(m.run(f"cat /sys/fs/cgroup{group}/cgroup.procs").stdout.split()) == 3
    stopped(m)
    assert not refused(m), refused(m)
