"""docs/operator-guide.md is true: sections 2 to 4 (a rehearsal on litecoind, regtest) and the pool's own commands of
section 7 are run line by line as they are printed, and what the guide says of their outcome is looked at.

What differs from the page, and nothing else:
  /etc/otedama      is etc/ of this tree, and `otedama` the program under test
  CODE              is the one that the plan before it has printed
  sleep N           waits longer where the machine is slow: until the pool knows the node's last block
  section 7         without sudo, HEIGHT and ADDRESS filled in, into a folder of the test; systemctl and journalctl are
                    left out (tests/e2e/test_systemd_boot.py has those)
"""
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
from decimal import Decimal

from pool import BUILD, ROOT, wait_for
from skip import Skip

PAGE = os.path.join(ROOT, "docs", "operator-guide.md")
PORTS = (3334, 8080, 9090, 19443, 19444, 19445)
LINE_SECONDS = 300


def sections():
    """{number: lines of its code blocks}"""
    with open(PAGE, encoding="utf-8") as f:
        parts = re.split(r"^## (\d+)\. .*$", f.read(), flags=re.M)
    return {int(n): [x[4:] for x in text.split("\n") if x.startswith("    ")] for n, text in zip(parts[1::2], parts[2::2])}


def alone():
    """The words before a program that give it a network of its own; none where the guide's ports are free anyway."""
    flags = ["--net", "--mount", "--mount-proc", "--pid", "--fork", "--kill-child"]
    for more in ([], ["--map-root-user"]):
        words = ["unshare", *more, *flags]
        if shutil.which("unshare") and shutil.which("ip") and \
                subprocess.run([*words, "ip", "link", "set", "lo", "up"], capture_output=True).returncode == 0:
            return words
    for port in PORTS:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                raise Skip(f"port {port} of the guide is taken, and no network of its own can be had here")
    return []


class Terminal:
    """One bash, to which lines are typed. run(line) -> what it printed; a line that fails is an error."""

    def __init__(self, folder):
        words, self.folder = alone(), folder
        os.makedirs(os.path.join(folder, "bin"))
        os.symlink(os.path.join(BUILD, "otedama"), os.path.join(folder, "bin", "otedama"))
        env = dict(os.environ, HOME=folder, XDG_RUNTIME_DIR=folder, PATH=f"{folder}/bin:{os.environ['PATH']}")
        self.work = os.path.join(folder, "work")
        os.makedirs(self.work)
        # Background jobs keep the terminal's output open: it is a file.
        self.out = open(os.path.join(folder, "terminal.txt"), "w+b")
        self.bash = subprocess.Popen([*words, "bash", "--norc"], stdin=subprocess.PIPE, stdout=self.out,
                                     stderr=subprocess.STDOUT, cwd=self.work, env=env)
        if words:
            self.run("ip link set lo up")
        self.run("set -m")

    def run(self, line):
        at = os.fstat(self.out.fileno()).st_size
        mark = f"<{os.urandom(8).hex()}"
        self.bash.stdin.write(f"{line}\necho \"{mark} $?>\"\n".encode())
        self.bash.stdin.flush()

        def ended():
            assert self.bash.poll() is None, f"the terminal has ended at: {line}\n{self.text(at)}"
            return re.search(rf"{mark} (\d+)>\n", self.text(at))
        m = wait_for(ended, LINE_SECONDS, about=line)
        said = self.text(at).split(mark)[0]
        assert m.group(1) == "0", f"exit {m.group(1)}: {line}\n{said}"
        return said

    def text(self, at=0):
        with open(self.out.name, "rb") as f:
            f.seek(at)
            return f.read().decode(errors="replace")

    def close(self):
        for line in ("kill -9 %otedama", "litecoin-cli -datadir=$PWD/ltc stop", "litecoin-cli -datadir=$PWD/ltc2 stop"):
            try:
                self.run(line)
            except (AssertionError, OSError):
                pass
        self.bash.stdin.close()
        self.bash.kill()
        self.bash.wait()
        self.out.close()


class Rehearsal:
    def __init__(self, folder):
        self.t, self.code = Terminal(folder), None
        self.folder = folder

    def status(self):
        """Between lines of a miner in the background."""
        said = self.t.run("otedama status --json")
        return json.loads(next(x for x in said.splitlines() if x.startswith('{"version"')))

    def settled(self):
        try:
            s = self.status()
        except (AssertionError, StopIteration):
            return False
        height = int(re.findall(r"^(\d+)$", self.t.run("lc getblockcount"), re.M)[-1])
        return s["nodes"][0]["height"] == height and s["accounting"]["waiting"] == 0

    def lines(self, lines):
        """Runs them; {line: what it printed}, of one that comes twice the last."""
        said = {}
        for line in lines:
            line = line.replace("/etc/otedama", os.path.join(ROOT, "etc"))
            if re.search(r"\bCODE\b", line):
                assert self.code, f"no plan has printed a CODE before: {line}"
                line = line.replace("CODE", self.code)
            if line.startswith("sleep "):
                wait_for(self.settled, 60, step=0.5, about="a pool that knows the node's last block")
            said[line] = self.t.run(line)
            code = re.search(r"otedama payment start ltc (\w{8})", said[line])
            self.code = code.group(1) if code else self.code
        return said


def find(said, word):
    """What the last line with this word has printed."""
    return [text for line, text in said.items() if word in line][-1]


def every_day(lines, folder, height):
    for line in lines:
        if "systemctl" in line or "journalctl" in line:
            continue
        line = re.sub(r"\s+#.*", "", line).replace("sudo ", "").replace("HEIGHT", height).replace("ADDRESS", "$MINER")
        yield line.replace("/var/lib/otedama-backups", f"{folder}/backups")


def mined(r):
    s = r.status()
    states = {b["state"] for b in s["blocks"]}  # two of one height: one of them is on its way to being orphaned
    assert "confirming" in states and states <= {"confirming", "submitted", "accepted", "orphaned"}, s["blocks"]
    assert any(b["kind"] == "immature" for b in s["balances"]), s["balances"]


def paid(r, said):
    amount = Decimal(re.search(r"^\d+\.\d{8}$", find(said, "getbalance"), re.M).group(0))
    assert amount >= Decimal("49.5"), f"less than a block: {amount}"
    show = find(said, "account show")
    assert re.search(rf"^  paid +{amount} LTC$", show, re.M), f"the wallet has {amount}, and:\n{show}"
    assert re.search(r"^ +1 +ltc +paid ", find(said, "payment list --all"), re.M)
    assert find(said, "payment show 1").count(str(amount)) >= 2, "its recipient got all of it"


def test_the_rehearsal():
    if not shutil.which("litecoind"):
        raise Skip("litecoind is not installed (apt-get install litecoind)")
    if "san" in os.path.basename(BUILD):
        raise Skip("a hundred thousand hashes by scrypt take too long under a sanitizer")
    page, folder = sections(), tempfile.mkdtemp(prefix="otedama-e2e-")
    split = next(i for i, x in enumerate(page[2]) if x.startswith("lc generatetoaddress 100"))
    r = Rehearsal(folder)
    try:
        said = r.lines(page[2][:split])
        check = find(said, "config check")
        assert check.endswith("pool.yaml: ok\n") and "warning" not in check, check
        mined(r)
        for command in ("otedama reload --check", "otedama reload"):
            assert "pools.ltc.fee.rate" in said[command] and "needs restart" not in said[command], said[command]
        assert "applied" in said["otedama reload"], said["otedama reload"]
        miners = [x for x in r.t.text().splitlines() if x.startswith(("connected", "cannot", "disconnected", "lost"))]
        assert miners == ["connected to 127.0.0.1:3334"] * 2, miners
        r.lines(page[2][split:])
        s = r.status()
        assert {b["state"] for b in s["blocks"]} - {"orphaned"} == {"mature"}, s["blocks"]
        heights = [b["height"] for b in s["blocks"]]
        height = str(next(b["height"] for b in s["blocks"] if b["state"] == "mature" and heights.count(b["height"]) == 1))
        assert not [b for b in s["balances"] if b["kind"] == "immature" and int(b["amount_units"])]
        paid(r, r.lines(page[3]))
        os.makedirs(os.path.join(folder, "backups"))
        said = r.lines(every_day(page[7], folder, height))
        assert f"at height {height}: mature" in find(said, "explain block"), find(said, "explain block")
        ends = next(i for i, x in enumerate(page[4]) if x.startswith("kill %otedama"))
        said = r.lines(page[4][:ends])
        restored = find(said, "otedama restore")
        assert "ledger: ok" in restored and "journals: ok" in restored and "PAYMENTS" in restored, restored
        assert "restored from a backup" in find(said, "otedama status")
        assert '"send"' in find(said, "listtransactions")
        plan = find(said, "payment plan")
        assert "THE DATABASE WAS RESTORED" in plan and r.code, plan
        r.lines(["otedama payment start ltc CODE"])  # in the text behind
        wait_for(lambda: not any("restored" in a for a in r.status()["attention"]), 20, about="payments that are on again")
        r.lines(page[4][ends:])
        assert "ok" in r.t.run("otedama ledger verify -c pool.yaml")
    except BaseException:
        print(r.t.text()[-6000:])
        print(f"    (kept {folder})")
        raise
    finally:
        r.t.close()
    shutil.rmtree(folder, ignore_errors=True)


def test_every_line_is_a_command():
    """Of the sections that need a machine: bash can read them, and the files of the tree that they name are there."""
    for number, lines in sections().items():
        r = subprocess.run(["bash", "-n"], input="\n".join(lines), capture_output=True, text=True, timeout=180)
        assert r.returncode == 0, f"section {number}: {r.stderr}"
        for path in re.findall(r"(?:^|\s)((?:deploy|etc|tools)/[\w./-]+)", "\n".join(lines)):
            assert os.path.exists(os.path.join(ROOT, path)), f"section {number}: there is no {path}"
    with open(os.path.join(ROOT, "deploy", "otedama.service"), encoding="utf-8") as f:
        unit = f.read()
    text = "\n".join(sections()[6] + sections()[7])
    for word in re.findall(r"^(?:ExecStart=.* -c (\S+))|^StateDirectory=(\S+) (\S+)", unit, re.M):
        for name in filter(None, word):
            assert name in text, f"the unit has {name}, the guide has not"
