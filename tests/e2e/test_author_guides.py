"""The guides for authors, followed to the letter: each file that they show is written, each command is run, in
order, in one shell and an empty folder, with nothing but the installed SDK; what they say is printed is printed.

In a page: ```LANGUAGE FILE is a file, ```sh are commands, ```text output what the commands before it print (.. for
what differs), other blocks are to be read only.
"""
import os
import re
import signal
import subprocess

import sdk
from pool import free_port
from sdk import Folder

END = "END-OF-A-FILE-OF-THE-GUIDE"
MARK = "@@ block at line "
SECONDS = 550

ALONE = "installs out of build/, which configures it"


def script(page):
    """(bash script, {line of a block of commands: [(line, text it prints)]})"""
    lines, expected, last = ["set -e", "trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT"], {}, None
    for at, words, text in sdk.blocks(page):
        if words == ["sh"]:
            last = at
            lines += [f"echo '{MARK}{at}'", text]
        elif words == ["text", "output"]:
            expected.setdefault(last, []).append((at, text))
        elif len(words) == 2:
            lines += [f"cat > {words[1]} <<'{END}'", text + END]
    return "\n".join(lines) + "\n", expected


def assert_printed(page, at, text, said):
    """Each line of text stands in said, in this order."""
    begin = 0
    for line in text.strip().split("\n"):
        pattern = ".*".join(re.escape(x) for x in line.split(".."))
        m = re.compile(pattern).search(said, begin)
        assert m, f"{page}:{at}: not printed: {line}\n{said}"
        begin = m.end()


def run_script(text, cwd):
    """(exit status or words, what it printed). A group of its own: nothing that it started outlives it."""
    p = subprocess.Popen(["bash", "-c", text], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         env=sdk.environment(XDG_RUNTIME_DIR=cwd, TMPDIR=cwd), start_new_session=True)
    try:
        said = p.communicate(timeout=SECONDS)[0]
        return p.returncode, said
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, signal.SIGKILL)
        return f"not done after {SECONDS} s", p.communicate()[0]


def follow(page):
    text, expected = script(page)
    text = text.replace("/usr/local", sdk.prefix())
    for port in sorted(set(re.findall(r"\b333\d\b", text))):
        text = re.sub(rf"\b{port}\b", str(free_port()), text)
    with Folder() as cwd:
        status, printed = run_script(text, cwd)
        if os.environ.get("OTEDAMA_SHOW"):
            print(printed)
        said = dict((int(x.split("\n", 1)[0]), x.split("\n", 1)[1]) for x in printed.split(MARK)[1:])
        assert status == 0, f"{page}: behind line {max(said)}: {status}\n{said[max(said)]}"
        for block, texts in expected.items():
            for at, lines in texts:
                assert_printed(page, at, lines, said[block])
        assert not [f for f in os.listdir(cwd) if f.startswith("otedama-try-")], "a folder is left"


def test_plugin_guide():
    follow("docs/plugin-guide.md")


def test_payout_guide():
    follow("docs/payout-guide.md")


def finish():
    sdk.finish()
