#!/usr/bin/env python3
"""Runs the tests that ./mk test names and closes with one line: N passed, N failed, N skipped.

Parts: lint, the labels of ctest (unit plugin integration sim fault), e2e, asan (unit, plugin and sim
tests and swaps of plugins under address and undefined-behaviour sanitizers), tsan, fuzz (each target, or those in
OTEDAMA_FUZZ_TARGETS, for OTEDAMA_FUZZ_SECONDS; where that is not said, 60 for what strangers write, 15 for the others),
arm64 (unit tests cross-built, run under qemu-user). Of e2e the soak runs beside the other tests and the parts after them.
"""
import os
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
JOBS = os.environ.get("JOBS", str(os.cpu_count() or 2))
LABELS = ["unit", "plugin", "integration", "sim", "fault"]
PARTS = ["lint"] + LABELS + ["e2e", "asan", "tsan", "fuzz", "arm64"]
total = {"passed": 0, "failed": 0, "skipped": 0}
failures, flaky = [], []


def note(text):
    print(f"== {text}", flush=True)


def count(passed=0, failed=0, skipped=0):
    total["passed"] += passed
    total["failed"] += failed
    total["skipped"] += skipped


def started(argv, **kw):
    return subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, errors="replace", **kw)


def closing(name, p):
    """Shows what p says to its end; its own 'N passed, N failed[, N skipped]' is its last such line."""
    last, named = None, set()
    for line in p.stdout:
        m = re.match(r"(\d+) passed, (\d+) failed(?:, (\d+) skipped)?\s*$", line)
        if m:
            last = m
            continue
        print(line, end="", flush=True)
        if line.startswith("flaky: "):
            flaky.append(line.strip())
            named.discard(line.split()[2].rstrip(":"))
        m = re.match(r"e2e (\S+): FAILED", line)
        if m:
            named.add(m.group(1).rstrip(":"))
    p.wait()
    if last:
        count(int(last.group(1)), int(last.group(2)), int(last.group(3) or 0))
    if last is None or (p.returncode != 0 and int(last.group(2)) == 0):
        count(failed=1)
        failures.append(f"{name}: ended with {p.returncode}" + ("" if last else " and no closing line"))
    elif int(last.group(2)):
        failures.append(f"{name}: {last.group(2)} failed: {', '.join(sorted(named)) or 'see there'}")


def run_closing(name, argv, **kw):
    note(name)
    closing(name, started(argv, **kw))


def ctest(label, build="build", jobs=JOBS, env=None):
    note(f"{label} ({build})")
    xml = os.path.join(ROOT, build, f"{label}.xml")
    if os.path.exists(xml):
        os.unlink(xml)
    environment = dict(os.environ, **(env or {}))
    subprocess.run(["ctest", "--test-dir", build, "-L", f"^{label}$", "-j", jobs, "--output-junit", xml,
                    "--output-on-failure", "--no-tests=ignore", "--progress", "--timeout", "900"],
                   cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if not os.path.exists(xml):
        print("no tests ran")
        return
    for case in ET.parse(xml).getroot().iter("testcase"):
        status = case.get("status")
        if status == "run":
            count(passed=1)
        elif status in ("disabled", "notrun") and case.find("skipped") is not None and \
                "SKIP_RETURN_CODE" in (case.find("skipped").get("message") or ""):
            count(skipped=1)
        else:
            count(failed=1)
            failures.append(f"{build}: {case.get('name')}")
            out = case.findtext("system-out") or ""
            print(f"--- {case.get('name')} failed:\n{out[-4000:]}")


def build(preset):
    r = subprocess.run(["./mk", "build", preset], cwd=ROOT)
    if r.returncode:
        count(failed=1)
        failures.append(f"build of preset {preset}")
    return r.returncode == 0


def swaps(folder, env):
    """Plugins swapped under load, in short."""
    run_closing(f"e2e swap ({folder})", [sys.executable, "tests/e2e/run.py", "swap:"],
                env=dict(os.environ, OTEDAMA_BUILD=os.path.join(ROOT, folder), OTEDAMA_SWAPS="20", **env))


# Seeds that are files of the tree already.
ALSO = {"policy": os.path.join(ROOT, "scripts", "lua")}


# Read what comes over a network, or a file that somebody else may have written.
OF_STRANGERS = "line submit proxy yaml journal template tls zmq miner link archive block_file".split()


def fuzz_one(target):
    seconds = os.environ.get("OTEDAMA_FUZZ_SECONDS", "60" if target[5:] in OF_STRANGERS else "15")
    folder = os.path.join(ROOT, "build-fuzz")
    corpus = os.path.join(ROOT, "tests", "fuzz", "corpus", target[5:])
    work = os.path.join(folder, "corpus", target[5:])
    os.makedirs(work, exist_ok=True)
    argv = [os.path.join(folder, target), f"-max_total_time={seconds}", "-rss_limit_mb=1500", "-timeout=10",
            "-print_final_stats=0", f"-artifact_prefix={folder}/", work]
    argv += [x for x in (corpus, ALSO.get(target[5:])) if x and os.path.isdir(x)]
    return subprocess.run(argv, capture_output=True, text=True, errors="replace")


def fuzz():
    # By their sources: the folder may hold one whose source is gone.
    targets = sorted(x[:-2] for x in os.listdir(os.path.join(ROOT, "tests", "fuzz")) if re.fullmatch(r"fuzz_\w+\.c", x))
    wanted = os.environ.get("OTEDAMA_FUZZ_TARGETS", "").split()
    unknown = [x for x in wanted if x not in targets and f"fuzz_{x}" not in targets]
    if unknown:
        count(failed=1)
        failures.append(f"fuzz: there is no target {unknown[0]}; targets: {' '.join(x[5:] for x in targets)}")
        return
    for target in targets:
        if not os.path.isdir(os.path.join(ROOT, "tests", "fuzz", "corpus", target[5:])):
            count(failed=1)
            failures.append(f"fuzz {target}: it has no corpus; put inputs that it should begin with in tests/fuzz/corpus/{target[5:]}")
    targets = [x for x in targets if not wanted or x in wanted or x[5:] in wanted]
    targets.sort(key=lambda x: x[5:] not in OF_STRANGERS)  # the long ones first, or one of them runs alone at the end
    if not build("fuzz"):
        return
    with ThreadPoolExecutor(max_workers=int(JOBS)) as beside:
        for target, r in zip(targets, beside.map(fuzz_one, targets)):
            ok = r.returncode == 0
            note(f"fuzz {target}: {'ok' if ok else 'FAILED'}")
            count(passed=int(ok), failed=int(not ok))
            if not ok:
                failures.append(f"fuzz {target}")
                print(r.stderr[-4000:])


class Soak:
    """e2e's soak, beside what else is tested: it takes ten minutes and mostly waits."""

    def __init__(self):
        env = dict(os.environ, OTEDAMA_E2E_SLOT="3", OTEDAMA_E2E_SECONDS="1500")
        env.setdefault("OTEDAMA_SOAK", "600")
        self.file = tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen([sys.executable, "tests/e2e/run.py", "soak:"], cwd=ROOT, env=env, text=True,
                                        stdin=subprocess.DEVNULL, stdout=self.file, stderr=subprocess.STDOUT)

    def end(self):
        note("e2e soak, begun with e2e")
        self.process.wait()
        self.file.seek(0)
        self.process.stdout = self.file
        closing("e2e soak", self.process)


def main():
    wanted = sys.argv[1:] or PARTS
    unknown = [x for x in wanted if x not in PARTS]
    if unknown:
        print(f"mk test: unknown part '{unknown[0]}'; parts: {' '.join(PARTS)}", file=sys.stderr)
        return 2
    began, soak = time.monotonic(), None
    for part in wanted:
        start = time.monotonic()
        if part == "lint":
            run_closing("lint", [sys.executable, "tools/lint.py"])
            run_closing("lint: each gate fails on a planted fault", [sys.executable, "tools/test_lint.py"])
        elif part == "e2e":
            soak = Soak()
            run_closing("e2e", [sys.executable, "tests/e2e/run.py"], env=dict(os.environ, OTEDAMA_E2E_WITHOUT="soak"))
        elif part == "asan" and build("asan"):
            env = {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=1", "UBSAN_OPTIONS": "print_stacktrace=1"}
            for label in ("unit", "plugin", "integration"):
                ctest(label, "build-asan", env=env)
            ctest("sim", "build-asan", env=dict(env, OTEDAMA_SIM_SEEDS="2"))
            swaps("build-asan", env)
        elif part == "tsan" and build("tsan"):
            env = {"TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1", "OTEDAMA_SLOW": "1"}
            for label in ("unit", "integration"):
                ctest(label, "build-tsan", env=env)
            swaps("build-tsan", env)
        elif part == "fuzz":
            fuzz()
        elif part == "arm64" and build("arm64"):
            ctest("unit", "build-arm64", env={"OTEDAMA_SLOW": "1"})
        elif part in LABELS:
            if part == "plugin":
                note("the binary interface of plugins")
                subprocess.run([sys.executable, "tests/abi/report.py"], cwd=ROOT, check=False)  # abi.report judges it
            ctest(part)
        print(f"   {part}: {time.monotonic() - start:.0f} s", flush=True)
    if soak:
        soak.end()
    for f in flaky:
        print(f)
    for f in failures:
        print(f"failed: {f}")
    print(f"all parts in {time.monotonic() - began:.0f} s")
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return 1 if total["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
