"""A machine of its own with a real systemd: namespaces of this one, booted over its own programs.

Nothing is installed for it and nothing of this machine is changed: its root is an overlay over / (or over the root of
another Debian, in OTEDAMA_SYSTEMD_ROOT) whose changes are in memory, /etc and /var are new, and network, processes and
control groups are its own. It ends with the process that made it.
"""
import atexit
import os
import re
import shutil
import subprocess
import tempfile

from pool import BUILD, wait_for
from skip import Skip

SYSTEMD = "/lib/systemd/systemd"
NEEDED = ("unshare", "nsenter", "setpriv", "ip", "mount", "cmake")
# What a machine must not do that shares its kernel with others.
WITHOUT = "-sys_time,-sys_module,-sys_rawio,-sys_boot,-mac_admin,-mac_override,-audit_control,-syslog,-wake_alarm"
# Not what is looked at here.
MASKED = ("systemd-sysctl.service systemd-modules-load.service systemd-remount-fs.service systemd-journald-audit.socket "
          "sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount "
          "dev-hugepages.mount dev-mqueue.mount systemd-update-utmp.service systemd-udevd.service systemd-logind.service "
          "systemd-timesyncd.service dbus.service dbus.socket getty.target remote-fs.target e2scrub_reap.service "
          "systemd-networkd.service systemd-resolved.service systemd-firstboot.service systemd-ask-password-wall.path "
          "systemd-ask-password-console.path apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer "
          "e2scrub_all.timer fstrim.timer systemd-binfmt.service systemd-hwdb-update.service").split()

BOOT = r"""set -eu
here=$1 lower=$2 stage=$3
shift 3
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$here"
mkdir "$here/up" "$here/work" "$here/root"
mount -t overlay -o "lowerdir=$lower,upperdir=$here/up,workdir=$here/work" overlay "$here/root"
cd "$here/root"
if [ "$lower" = / ]; then
  mkdir "$here/etc"
  cp -a etc/ld.so.c* etc/ssl etc/login.defs "$here/etc/"
  mount -t tmpfs -o mode=755 tmpfs etc
  cp -a "$here/etc/." etc/
  mount -t tmpfs -o mode=755 tmpfs var
  mkdir -p var/lib var/log var/cache var/spool
  mkdir -m 1777 var/tmp
  ln -s /run var/run
  printf 'root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n' > etc/passwd
  printf 'root:x:0:\nnogroup:x:65534:\n' > etc/group
  printf 'root:*:19000:0:99999:7:::\nnobody:*:19000:0:99999:7:::\n' > etc/shadow
  printf 'passwd: files\ngroup: files\nhosts: files\n' > etc/nsswitch.conf
  printf '127.0.0.1 localhost\n' > etc/hosts
fi
for kind in proc sysfs cgroup2; do
  case $kind in proc) at=proc ;; sysfs) at=sys ;; cgroup2) at=sys/fs/cgroup ;; esac
  mount -t $kind $kind $at
  [ $kind != sysfs ] || mount -o remount,bind,ro sys
done
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t tmpfs -o mode=755,nosuid tmpfs dev
for n in null zero full random urandom tty; do touch dev/$n; mount --bind /dev/$n dev/$n; done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for at in dev/shm run tmp; do mount -t tmpfs -o mode=1777 tmpfs $at; done
chmod 755 run
ip link set lo up
cp -a "$stage/." .
echo pool > etc/hostname
echo 00000000000000000000000000000001 > etc/machine-id
mkdir -p etc/systemd/system
for unit in "$@"; do ln -sf /dev/null etc/systemd/system/$unit; done
mkdir -p old
pivot_root . old
umount -l old
exec env -i container=otedama PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  setpriv --bounding-set=WITHOUT /lib/systemd/systemd --system --unit=multi-user.target --log-target=journal \
  --show-status=no < /dev/null
"""


def cgroup():
    """A new control group (version 2) to be the root of the machine's."""
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        at = [m.group(1) for m in (re.search(r"^\S+ \S+ \S+ / (\S+) .* - cgroup2 ", x) for x in f) if m]
    with open("/proc/self/cgroup", encoding="utf-8") as f:
        own = [x.strip()[3:] for x in f if x.startswith("0::")]
    if not at or not own:
        raise Skip("no control groups of version 2 here")
    folder = f"{at[0]}{own[0].rstrip('/')}/otedama-e2e-{os.getpid()}"
    try:
        os.mkdir(folder)
    except OSError as e:
        raise Skip(f"no control group of its own: {e}") from e
    return folder


def prefix():
    with open(os.path.join(BUILD, "CMakeCache.txt"), encoding="utf-8") as f:
        return re.search(r"^CMAKE_INSTALL_PREFIX:PATH=(.*)$", f.read(), re.M).group(1)


class Machine:
    def __init__(self):
        missing = [p for p in NEEDED if not shutil.which(p)]
        self.lower = os.environ.get("OTEDAMA_SYSTEMD_ROOT", "/")
        if not os.path.exists(self.lower + SYSTEMD):
            missing.append("systemd")
        if missing or os.geteuid() != 0:
            raise Skip("a machine of its own wants " + (", ".join(missing) if missing else "root"))
        if "san" in os.path.basename(BUILD):
            raise Skip("a sanitizer's memory and system calls are not those that the unit allows")
        self.prefix = prefix()
        if self.prefix not in ("/usr", "/usr/local"):
            raise Skip(f"the build under test is for {self.prefix}, where no systemd looks for units")
        self.etc = "/etc/otedama" if self.prefix == "/usr" else self.prefix + "/etc/otedama"
        self.program = self.prefix + "/bin/otedama"
        self.folder, self.process, self.group = tempfile.mkdtemp(prefix="otedama-e2e-"), None, None
        atexit.register(self.end)
        try:
            self.boot()
        except BaseException:
            self.end()
            raise

    def boot(self):
        stage, here = os.path.join(self.folder, "stage"), os.path.join(self.folder, "here")
        os.mkdir(here)
        r = subprocess.run(["cmake", "--install", BUILD], env=dict(os.environ, DESTDIR=stage), capture_output=True, text=True)
        assert r.returncode == 0, r.stdout + r.stderr
        for d, folders, files in os.walk(stage):  # as a package has it, whoever installs
            for name in folders + files:
                os.lchown(os.path.join(d, name), 0, 0)
        os.chmod(stage, 0o755)
        self.group = cgroup()
        self.console = open(os.path.join(self.folder, "console.txt"), "w+b")
        spaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--fork", "--kill-child"]
        self.process = subprocess.Popen(
            ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', self.group, "setpriv", "--pdeathsig", "KILL", "unshare", *spaces, "sh", "-c",
             BOOT.replace("WITHOUT", WITHOUT), "boot", here, self.lower, stage, *MASKED],
            stdin=subprocess.DEVNULL, stdout=self.console, stderr=subprocess.STDOUT)
        self.init = None
        wait_for(self.is_up, 30, about="a booted systemd")

    def said(self):
        with open(self.console.name, "rb") as f:
            return f.read().decode(errors="replace")

    def is_up(self):
        if self.process.poll() is not None:
            raise Skip("no machine of its own can be had here: " + (self.said().strip().splitlines() or ["?"])[-1])
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as f:
            children = f.read().split()
        try:
            with open(f"/proc/{children[0]}/comm", encoding="ascii") as f:
                if f.read().strip() != "systemd":
                    return False
        except (IndexError, OSError):
            return False
        self.init = children[0]
        return self.run("systemctl is-system-running", check=False).stdout.strip() in ("running", "degraded")

    def words(self, *argv):
        return ["nsenter", "-t", self.init, "-m", "-u", "-i", "-n", "-p", "-C", "--", "env", "-i", "LC_ALL=C.UTF-8",
                f"PATH={self.prefix}/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "SYSTEMD_PAGER=", *argv]

    def run(self, text, check=True, seconds=120):
        """Lines of bash, as root of the machine."""
        r = subprocess.run(self.words("bash", "-c", text), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                           errors="replace", timeout=seconds)
        assert not check or r.returncode == 0, f"exit {r.returncode}: {text}\n{r.stdout}{r.stderr}"
        return r

    def start(self, *argv, out):
        """A program that goes on, its output in a file."""
        return subprocess.Popen(self.words(*argv), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)

    def show(self, *names):
        """Properties of the service; of one its value, of several {name: value}."""
        text = self.run("systemctl show otedama " + " ".join(f"-p {n}" for n in names)).stdout
        found = dict(x.split("=", 1) for x in text.splitlines())
        return found[names[0]] if len(names) == 1 else found

    def write(self, path, text):
        subprocess.run(self.words("sh", "-c", 'cat > "$0"', path), input=text, text=True, check=True, timeout=60)

    def end(self):
        atexit.unregister(self.end)
        if self.process and self.process.poll() is None:
            self.process.kill()  # unshare's child, the machine's first process, goes with it
        if self.process:
            self.process.wait()
        if self.group:
            wait_for(self.gone, 20, about="the end of the machine's processes")
        shutil.rmtree(self.folder, ignore_errors=True)

    def gone(self):
        for d, _, _ in os.walk(self.group, topdown=False):
            try:
                os.rmdir(d)
            except OSError:
                return False
        self.group = None
        return True
