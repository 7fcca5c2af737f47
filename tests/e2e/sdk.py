"""The installed SDK, moved to a place of its own, and commands that see nothing but it and the system's tools."""
import os
import re
import shutil
import subprocess
import tempfile

from pool import BUILD, ROOT

_made = {}


def prefix():
    """An installation (./mk install DESTDIR=..), moved: what it says of itself holds where it is now."""
    if "prefix" not in _made:
        os.umask(0o022)
        folder = _made["folder"] = tempfile.mkdtemp(prefix="otedama-sdk-")
        os.chmod(folder, 0o755)
        stage = os.path.join(folder, "stage")
        if os.path.realpath(BUILD) == os.path.realpath(os.path.join(ROOT, "build")):
            argv, env = ["./mk", "install", f"DESTDIR={stage}"], os.environ
        else:
            argv, env = ["cmake", "--install", BUILD], dict(os.environ, DESTDIR=stage)
        r = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=900)
        assert r.returncode == 0, r.stdout + r.stderr
        where = next(d for d, _, files in os.walk(stage) if d.endswith("/bin") and "otedama" in files)
        _made["prefix"] = os.path.join(folder, "moved")
        os.rename(os.path.dirname(where), _made["prefix"])
        shutil.rmtree(stage)
    return _made["prefix"]


def environment(**more):
    """Nothing of the tree: the tools' PATH, the installed program, pkg-config's folder."""
    pc = next(d for d, _, files in os.walk(prefix()) if "otedama-plugin.pc" in files)
    env = {k: v for k, v in os.environ.items() if k in ("HOME", "LANG", "TMPDIR", "CC")}
    return dict(env, PATH=f"{prefix()}/bin:{os.environ['PATH']}", PKG_CONFIG_PATH=pc, **more)


def run(words, cwd, ok=True, seconds=550, **more):
    """Runs words (a list, or a line for bash). ok False: it must fail, with one line of error by otedama."""
    argv = words if isinstance(words, list) else ["bash", "-ec", words]
    r = subprocess.run(argv, cwd=cwd, env=environment(**more), capture_output=True, text=True, timeout=seconds)
    assert (r.returncode == 0) == ok, f"{words}: exit {r.returncode}\n{r.stdout}{r.stderr}"
    return r.stdout + r.stderr


class Folder:
    """An empty folder of one's own, gone at the end unless the test failed."""

    def __enter__(self):
        os.umask(0o022)
        self.path = tempfile.mkdtemp(prefix="otedama-sdk-work-")
        os.chmod(self.path, 0o755)
        return self.path

    def __exit__(self, kind, *_):
        if kind is None:
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            print(f"    (kept {self.path})")


def blocks(page):
    """The fenced blocks of a page as (line, words behind the fence, text)."""
    with open(os.path.join(ROOT, page), encoding="utf-8") as f:
        text = f.read()
    for m in re.finditer(r"^```([^\n]*)\n(.*?)^```$", text, re.M | re.S):
        yield text.count("\n", 0, m.start()) + 1, m.group(1).split(), m.group(2)


def finish():
    shutil.rmtree(_made.pop("folder", ""), ignore_errors=True)
    _made.clear()
