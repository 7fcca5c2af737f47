"""Pools that are upgraded: the process changes, its connections do not. And programs that are no good as heirs."""
import os
import signal
import stat

from pool import PROGRAM, Pool, wait_for


class UpPool(Pool):
    """A pool whose process is the one that holds the lock of its folder."""

    def pid(self):
        while True:
            with open(os.path.join(self.folder, "data", "otedama.lock"), encoding="ascii") as f:
                words = f.read().split()
            if words:  # between two that write it it is empty for a moment
                return int(words[0])

    def runs(self):
        if self.process and self.process.poll() is None:
            return True
        return alive(self.pid())

    def upgrade(self, *words, check=True):
        """otedama upgrade. The result."""
        return self.command("upgrade", "--socket", self.socket, *words, check=check)

    def upgraded(self, *words):
        """The same, and the old process has ended, and was well."""
        before = self.pid()
        r = self.upgrade(*words)
        wait_for(lambda: not alive(before), 10, about=f"the end of process {before}")
        if self.process.poll() is not None:
            assert self.process.returncode == 0, f"the first process ended with {self.process.returncode}"
        assert self.pid() != before and alive(self.pid())
        return r

    def stop(self, seconds=10):
        pid = self.pid()
        if self.process.poll() is None:
            return super().stop(seconds)
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not alive(pid), seconds, about="the end of the pool")
        if not self.out.closed:
            self.out.close()
        # Nobody has the status of a process that was not ours.
        assert "Sanitizer" not in self.output(), self.output()[-3000:]
        return 0

    def kill(self):
        if not self.process:
            return
        super().kill()
        for pid in self.all():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        wait_for(lambda: not self.all(), 10, about="the end of all processes of this pool")
        if not self.out.closed:
            self.out.close()

    def all(self):
        """Every process that serves this configuration."""
        found = []
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            try:
                with open(f"/proc/{name}/cmdline", "rb") as f:
                    words = f.read().split(b"\0")
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as f:
                    if f.read().rsplit(")", 1)[1].split()[0] == "Z":
                        continue
            except OSError:
                continue
            if self.config.encode() in words and b"serve" in words:
                found.append(int(name))
        return found

    def said(self, event):
        """The lines of this event, as {key: value} of what has no blanks in it."""
        out = []
        for line in self.output().splitlines():
            words = dict(w.split("=", 1) for w in line.split(" ") if "=" in w)
            if words.get("event") == event:
                out.append(words)
        return out


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wrapper(folder, name, text):
    """A program of these lines of sh. $PROGRAM is the one under test; it ends by running it."""
    place = os.path.join(folder, "bin")
    os.makedirs(place, mode=0o755, exist_ok=True)
    path = os.path.join(place, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"#!/bin/sh\nPROGRAM={PROGRAM}\n{text}\n")
    os.chmod(path, 0o755)
    assert not os.stat(path).st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return path

