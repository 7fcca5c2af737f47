"""./mk install: where things lie, that the installed program finds its installed plugins, and that a plugin
builds from what was installed."""
import os
import subprocess
import tempfile

from pool import BUILD
from skip import Skip

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
installed = []
SOURCE = """#include <otedama/plugin.h>
#include <otedama/sha256.h>
OTD_PLUGIN_NOTE("algo/1", "outside");
OTD_EXPORT const struct otd_plugin_desc *otd_plugin_v1(void)
{
	struct otd_sha256 s;
	otd_sha256_init(&s);
	return 0;
}
"""

ALONE = "installs out of build/, which configures it"


def run(argv, **kw):
    r = subprocess.run(argv, cwd=kw.pop("cwd", ROOT), capture_output=True, text=True, timeout=600, **kw)
    assert r.returncode == 0, f"{' '.join(argv)}: exit {r.returncode}\n{r.stdout}{r.stderr}"
    return r.stdout


def install(*where):
    if os.path.realpath(BUILD) != os.path.realpath(os.path.join(ROOT, "build")):
        raise Skip("./mk install builds in build/, and another folder is under test")
    installed.append(where)
    run(["./mk", "install", *where])


def plugins_of_tree():
    found = set()
    for kind in os.listdir(os.path.join(ROOT, "build", "plugins")):
        for f in os.listdir(os.path.join(ROOT, "build", "plugins", kind)):
            if f.endswith(".so"):
                found.add(f"{kind}/{f}")
    return found


def files_under(folder):
    return {os.path.relpath(os.path.join(d, f), folder) for d, _, files in os.walk(folder) for f in files}


def test_install_for_a_package():
    """DESTDIR and PREFIX=/usr: GNUInstallDirs' places, and nothing outside of them."""
    with tempfile.TemporaryDirectory() as stage:
        install(f"DESTDIR={stage}", "PREFIX=/usr")
        have = files_under(stage)
        lib = next(f for f in have if f.endswith("libotedama-sha256.a")).rsplit("/", 1)[0]
        assert lib.startswith("usr/lib"), lib
        assert os.access(os.path.join(stage, "usr/bin/otedama"), os.X_OK)
        want = {f"{lib}/otedama/{p}" for p in plugins_of_tree()}
        want |= {f"{lib}/pkgconfig/otedama-plugin.pc", "usr/include/otedama/plugin.h", "etc/otedama/devnet.yaml",
                 "etc/otedama/coins/bitcoin.yaml", "usr/share/doc/otedama/LICENSE"}
        assert want <= have, f"missing: {sorted(want - have)}"
        want |= {"usr/lib/systemd/system/otedama.service", "usr/lib/sysusers.d/otedama.conf",
                 "usr/share/man/man1/otedama.1", "usr/share/bash-completion/completions/otedama"}
        assert want <= have, f"missing: {sorted(want - have)}"
        with open(os.path.join(stage, "usr/lib/systemd/system/otedama.service"), encoding="utf-8") as f:
            assert "ExecStart=/usr/bin/otedama serve --quiet -c /etc/otedama/pool.yaml\n" in f.read()
        strange = {f for f in have if not f.startswith(("usr/bin/", "usr/include/otedama/", f"{lib}/", "etc/otedama/",
                                                        "usr/share/doc/otedama/", "usr/share/otedama/lua/",
                                                        "usr/share/otedama/sdk/"))} - want
        assert not strange, f"not where they belong: {sorted(strange)}"
        # A changed configuration outlives the next installation.
        with open(os.path.join(stage, "etc/otedama/devnet.yaml"), "a", encoding="utf-8") as f:
            f.write("# changed\n")
        run(["cmake", "--install", "build"], env=dict(os.environ, DESTDIR=stage))
        with open(os.path.join(stage, "etc/otedama/devnet.yaml"), encoding="utf-8") as f:
            assert f.read().endswith("# changed\n")


def test_installed_program():
    """A prefix of its own: the program runs from there with the plugins there, and authors can build."""
    with tempfile.TemporaryDirectory() as prefix:
        os.chmod(prefix, 0o755)
        install(f"PREFIX={prefix}")
        program = os.path.join(prefix, "bin", "otedama")
        listed = run([program, "plugin", "list"], cwd="/")
        for p in plugins_of_tree():
            assert p[:-3] in listed, f"{p} is not listed:\n{listed}"
        assert os.path.join(prefix, "lib") in run([program, "plugin", "list", "--json"], cwd="/"), \
            "the plugins listed are not the installed ones:\n" + run([program, "plugin", "list", "--json"], cwd="/")
        with open(os.path.join(prefix, "lib/systemd/system/otedama.service"), encoding="utf-8") as f:
            unit = f.read()
        assert f"ExecStart={program} serve --quiet -c {prefix}/etc/otedama/pool.yaml\n" in unit, unit
        assert "ConfigurationDirectory" not in unit
        digest = run([program, "hash", "sha256d", "00" * 80], cwd="/").strip()
        assert digest == "14508459b221041eab257d2baaa7459775ba748246c8403609eb708f0e57e74b", digest
        pc = next(os.path.join(d, "otedama-plugin.pc") for d, _, f in os.walk(prefix) if "otedama-plugin.pc" in f)
        flags = run(["pkg-config", "--cflags", "--libs", pc]).split()
        with open(os.path.join(prefix, "outside.c"), "w", encoding="utf-8") as f:
            f.write(SOURCE)
        run(["cc", "-std=c17", "-shared", "-fPIC", "-fvisibility=hidden", "outside.c", *flags, "-Wl,-z,defs",
             "-Wl,--exclude-libs,ALL", "-o", "outside.so"], cwd=prefix)
        said = run([program, "plugin", "info", os.path.join(prefix, "outside.so")], cwd="/")
        assert "outside" in said, said


def finish():
    """The build is again one for the default prefix."""
    if installed:
        run(["cmake", "-B", "build", "-DCMAKE_INSTALL_PREFIX=/usr/local"])
        run(["ninja", "-C", "build"])
