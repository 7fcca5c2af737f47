"""The author's side: `plugin new` out of the installed SDK, built by make and by CMake, checked, tried, and mined
in a pool. Nothing of the source tree is seen: the installation has been moved, and the folders are empty."""
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess

import sdk
from pool import Pool, address, wait_for
from sdk import Folder, run

KINDS = {"algo": "mine", "payout": "bonus", "chain": "own", "hw": "slow"}
# A hash that nobody has: four rounds of FNV-1a with another start each, little-endian.
MIX_C = """#include <stdint.h>
#include <string.h>
#define START 14695981039346656037ull
static uint64_t fnv(uint64_t h, const unsigned char *p, unsigned n)
{
	while (n--)
		h = (h ^ *p++) * 1099511628211ull;
	return h;
}
void mix_hash(const char *input, char *output, uint32_t len)
{
	for (int i = 0; i < 4; i++) {
		uint64_t h = fnv(START + i, (const unsigned char *)input, len);
		memcpy(output + 8 * i, &h, 8);
	}
}
"""

ALONE = "installs out of build/, which configures it"


def mix(data):
    out = b""
    for i in range(4):
        h = (14695981039346656037 + i) % 2 ** 64
        for byte in data:
            h = (h ^ byte) * 1099511628211 % 2 ** 64
        out += h.to_bytes(8, "little")
    return out


HEADER = hashlib.sha512(b"otedama sdk").digest() + bytes(16)
HASH = mix(HEADER)[::-1].hex()  # as people write it


def new(cwd, kind, *words):
    run(["otedama", "plugin", "new", f"{kind}/{KINDS[kind]}", *words], cwd)
    return os.path.join(cwd, KINDS[kind])


def built(cwd, kind, *words):
    """A new project, built by make: its .so."""
    folder = new(cwd, kind, *words)
    run(["make"], folder)
    return os.path.join(folder, "build", kind, KINDS[kind] + ".so")


def check_by_make(kind):
    with Folder() as cwd:
        folder = new(cwd, kind)
        said = run("make CFLAGS='-O2 -Wall -Wextra -Wpedantic -Werror' check", folder)
        assert re.search(rf"{kind}/1 {KINDS[kind]}: \d+ ok, 0 failed", said), said
        # As a packager installs it, beside what ships.
        run(["make", "install", f"DESTDIR={cwd}/stage"], folder)
        found = [f for _, _, files in os.walk(os.path.join(cwd, "stage")) for f in files]
        assert found == [KINDS[kind] + ".so"], found


def check_by_cmake(kind):
    with Folder() as cwd:
        folder = new(cwd, kind)
        said = run(f"cmake -B build -DCMAKE_PREFIX_PATH={sdk.prefix()} -DCMAKE_C_FLAGS='-Wpedantic -Werror' && "
                   "cmake --build build && ctest --test-dir build --output-on-failure", folder)
        assert "100% tests passed, 0 tests failed out of 2" in said, said
        # The same binary is what the command tells of.
        said = run(["otedama", "plugin", "info", "--load", f"build/{kind}/{KINDS[kind]}.so"], folder)
        assert f"{kind}/1 {KINDS[kind]} 0.1.0" in said and "NOASSERTION" in said, said


def test_algo_by_make():
    check_by_make("algo")


def test_algo_by_cmake():
    check_by_cmake("algo")


def test_payout_by_make():
    check_by_make("payout")


def test_payout_by_cmake():
    check_by_cmake("payout")


def test_chain_by_make():
    check_by_make("chain")


def test_chain_by_cmake():
    check_by_cmake("chain")


def test_hw_by_make():
    check_by_make("hw")


def test_hw_by_cmake():
    check_by_cmake("hw")


def test_every_kind_is_tried():
    with Folder() as cwd:
        for kind, name in KINDS.items():
            said = run(["otedama", "plugin", "try", built(cwd, kind), "--blocks", "1", "--seconds", "120"], cwd,
                       TMPDIR=cwd)
            m = re.search(rf"{kind}/{name}: (\d+) shares accepted, (\d+) blocks found and credited by (\S+),", said)
            assert m and int(m[1]) > 0 and int(m[2]) >= 1, said
            assert (m[3] == name) == (kind == "payout"), said
            assert re.search(r"height \d+ \| pool ", said), "no status line:\n" + said
        assert not [f for f in os.listdir(cwd) if f.startswith("otedama-try-")], "a folder is left"


def test_try_ends_by_a_signal_and_says_what_fails():
    with Folder() as cwd:
        so = built(cwd, "algo")
        p = subprocess.Popen(["otedama", "plugin", "try", so, "--seconds", "600"], cwd=cwd, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, env=sdk.environment(TMPDIR=cwd))
        first = p.stdout.readline()
        assert "one thread mining, for 600 s" in first, first
        seen = p.stdout.readline()  # the first line of status, or a block
        p.send_signal(signal.SIGINT)
        rest = p.communicate(timeout=180)[0]
        assert p.returncode in (0, 1), rest  # 1: before the first share
        assert "shares accepted" in rest, seen + rest
        assert not [f for f in os.listdir(cwd) if f.startswith("otedama-try-")], "a folder is left"
        said = run(["otedama", "plugin", "try", so, "--seconds", "1", "--blocks", "1000000"], cwd, ok=False, TMPDIR=cwd)
        assert "of 1000000 blocks in 1 s" in said, said
        for words, meant in ((["plugin.c"], "not a shared object"), (["no.so"], "no.so"),
                             ([so, "--options", "{n: 3}"], "n: is no option of algo/mine")):
            said = run(["otedama", "plugin", "try", *words], os.path.join(cwd, "mine"), ok=False, TMPDIR=cwd)
            assert meant in said and "\n" not in said.strip(), said


def test_hash_and_bench_take_a_file():
    with Folder() as cwd:
        so = built(cwd, "algo")
        # SHA-256d of 80 zero bytes, most significant byte first
        want = hashlib.sha256(hashlib.sha256(bytes(80)).digest()).digest()[::-1].hex()
        assert run(["otedama", "hash", "--plugin", so, "00" * 80], cwd).strip() == want
        said = run(["otedama", "bench", "--plugin", so, "--ms", "20"], cwd)
        assert "algo/mine 0.1.0" in said and "hash_batch of 1 " in said and "on its reactors" in said, said
        said = run(["otedama", "bench", "--plugin", built(cwd, "hw"), "--ms", "20"], cwd, ok=False)
        assert "is of kind hw/1, this wants an algo" in said, said


def from_mix(cwd, *words, ok=True):
    with open(os.path.join(cwd, "mix.c"), "w", encoding="utf-8") as f:
        f.write(MIX_C)
    shutil.rmtree(os.path.join(cwd, "mine"), ignore_errors=True)
    return run(["otedama", "plugin", "new", "algo/mine", "--license", "MIT", "--from", "mix.c", *words], cwd, ok=ok)


def test_from_an_authors_function():
    with Folder() as cwd:
        from_mix(cwd, "--vector", f"{HEADER.hex()}={HASH}", "--source", "Python, this test")
        folder = os.path.join(cwd, "mine")
        said = run(["make", "check"], folder)
        assert "Python, this test: ok" in said and "algo/1 mine: " in said and ", 0 failed" in said, said
        assert run(["otedama", "hash", "--plugin", "build/algo/mine.so", HEADER.hex()], folder).strip() == HASH
        with open(os.path.join(folder, "plugin.c"), encoding="utf-8") as f:
            assert "SPDX-License-Identifier: MIT" in f.read()
        run(f"cmake -B b -DCMAKE_PREFIX_PATH={sdk.prefix()} && cmake --build b && ctest --test-dir b", folder)
        said = run(["otedama", "plugin", "try", "build/algo/mine.so", "--blocks", "1", "--seconds", "120", "-q"], folder)
        assert "algo/mine: " in said, said


def test_from_with_the_digest_the_wrong_way_round():
    with Folder() as cwd:
        from_mix(cwd, "--vector", f"{HEADER.hex()}={mix(HEADER).hex()}")
        folder = os.path.join(cwd, "mine")
        said = run(["make", "test"], folder, ok=False)
        assert "the right digest the wrong way round" in said and "DIGEST_BE in hash.h" in said, said
        run(["make"], folder)
        for words in (["plugin", "check"], ["plugin", "info", "--load"], ["plugin", "try"]):
            said = run(["otedama", *words, "build/algo/mine.so"], folder, ok=False)
            assert "revers" in said or "wrong way round" in said, said
        # What it advises is what mends it.
        run("sed -i 's/DIGEST_BE = 0/DIGEST_BE = 1/' hash.h && make check", folder)


def test_from_with_a_wrong_answer():
    with Folder() as cwd:
        from_mix(cwd, "--vector", f"{HEADER.hex()}={'11' * 32}")
        folder = os.path.join(cwd, "mine")
        assert "WRONG" in run(["make", "test"], folder, ok=False)
        run(["make"], folder)
        said = run(["otedama", "plugin", "try", "build/algo/mine.so"], folder, ok=False)
        assert "known answer 0" in said and HASH in said, said


def test_from_takes_headers_along():
    """An author's folder: headers beside the file, and what they include."""
    with Folder() as cwd:
        src = os.path.join(cwd, "src")
        os.mkdir(src)
        for name, text in (("mix.c", '#include "mix.h"\n  #  include "nowhere/else.h"\n' + MIX_C),
                           ("mix.h", '#include "deep-er.h"\n#include <stdint.h>\n#include "not-there.h"\n'),
                           ("deep-er.h", '#include "mix.h"\n'), ("alone.h", "")):
            with open(os.path.join(src, name), "w", encoding="utf-8") as f:
                f.write(text)
        words = ["--from", "src/mix.c", "--vector", f"{HEADER.hex()}={HASH}"]
        run(["otedama", "plugin", "new", "algo/mine", *words], cwd)
        have = set(os.listdir(os.path.join(cwd, "mine")))
        assert {"mix.c", "mix.h", "deep-er.h", "hash.c", "vectors.h"} <= have and "alone.h" not in have, have
        with open(os.path.join(src, "hash.h"), "w", encoding="utf-8") as f:
            f.write("")
        with open(os.path.join(src, "mix.h"), "a", encoding="utf-8") as f:
            f.write('#include "hash.h"\n')
        said = run(["otedama", "plugin", "new", "algo/other", *words], cwd, ok=False)
        assert "includes hash.h, and the project has one of its own" in said, said


def test_new_says_what_is_wrong():
    vector = f"{HEADER.hex()}={HASH}"
    with Folder() as cwd:
        for words, meant in ((["algo/My"], "1 to 31 of a-z"), (["alog/x"], "did you mean 'algo'"), (["x"], "templates of"),
                             (["store/x"], "templates of algo, payout, chain and hw"), (["algo/" + "x" * 32], "1 to 31"),
                             (["algo/x", "--vector", vector], "goes with --from"),
                             (["payout/x", "--from", "mix.c", "--vector", vector], "for algo/NAME"),
                             (["algo/x", "--license", "a/b"], "SPDX")):
            said = run(["otedama", "plugin", "new", *words], cwd, ok=False)
            assert meant in said and "\n" not in said.strip(), said
        for words, meant in (((), "at least one --vector"), (("--vector", "00=11"), "wants HEADER=HASH"),
                             (("--vector", HEADER.hex() + "=11"), "not 64 of hex"),
                             (("--vector", vector, "--vector", f"{'00' * 90}={HASH}"), "an algorithm has one length"),
                             (("--vector", vector, "--function", "fnv"), "no function fnv()"),
                             (("--vector", vector, "--function", "main"), "no function main()")):
            said = from_mix(cwd, *words, ok=False)
            assert meant in said and "\n" not in said.strip(), said
        assert os.listdir(cwd) == ["mix.c"], "a refused project left something"
        from_mix(cwd, "--vector", vector)
        said = run(["otedama", "plugin", "new", "algo/mine"], cwd, ok=False)
        assert "is there and not empty" in said, said
        # The program alone, without the rest of its installation.
        lonely = os.path.join(cwd, "otedama")
        shutil.copy(os.path.join(sdk.prefix(), "bin", "otedama"), lonely)
        if not os.path.exists("/usr/local/share/otedama") and not os.path.exists("/usr/share/otedama"):
            said = run([lonely, "plugin", "new", "algo/x"], cwd, ok=False)
            assert "install Otedama whole" in said and not os.path.exists(os.path.join(cwd, "x")), said
        # A header of another length is taken up where it stands.
        run(["otedama", "plugin", "new", "algo/long", "--from", "mix.c", "--vector", "00" * 140 + "=" + "00" * 32], cwd)
        with open(os.path.join(cwd, "long", "hash.h"), encoding="utf-8") as f:
            text = f.read()
        assert "HEADER_LEN = 140," in text and "NONCE_OFFSET = 136," in text, text


CONFIG = """
data_dir: {dir}
plugins:
  dirs: [PLUGINS, INSTALLED]
  enable: ["algo/*", "chain/*", "payout/*", store/sqlite]
store: {use: sqlite}
pools:
  dev:
    coin: new
    coinbase: {address: bcrt1q3jzz8hqjs2nxnaweuge6lsxjca3kwr0kdkgd3d, tag: /sdk/}
    payout: {scheme: SCHEME}
    ports:
      {port}: {listen: 127.0.0.1, difficulty: {start: 0.0000152587890625, min: 0.0000152587890625, vardiff: false}}
api: {listen: "127.0.0.1:{api}"}
metrics: {listen: "127.0.0.1:{metrics}"}
"""
COIN = """
name: New
symbol: NEW
decimals: 8
algorithm: {use: ALGO}
chain: {use: CHAIN, bits: 1e07ffff}
version_mask: 1fffe000
maturity: 3
main_networks: []
"""


def mined(algo="sha256d", chain="devnet", scheme="solo", hw="cpu"):
    """A pool of the installed program with these plugins; the installed miner finds blocks for it."""
    with Folder() as cwd:
        plugins = os.path.join(cwd, "plugins")
        for kind, used in (("algo", algo), ("chain", chain), ("payout", scheme), ("hw", hw)):
            if used == KINDS[kind]:
                os.makedirs(os.path.join(plugins, kind))
                shutil.copy(built(cwd, kind), os.path.join(plugins, kind))
        installed = next(d for d, _, files in os.walk(sdk.prefix()) if d.endswith("otedama/algo"))[:-len("/algo")]
        os.mkdir(os.path.join(cwd, "coins"))
        with open(os.path.join(cwd, "coins", "new.yaml"), "w", encoding="utf-8") as f:
            f.write(COIN.replace("ALGO", algo).replace("CHAIN", chain))
        text = CONFIG.replace("PLUGINS", plugins).replace("INSTALLED", installed).replace("SCHEME", scheme)
        with Pool(text, folder=cwd) as pool:
            pool.out = open(os.path.join(cwd, "out.txt"), "ab")
            pool.process = subprocess.Popen(["otedama", "serve", "-c", pool.config], cwd=cwd, stdout=pool.out,
                                            stderr=subprocess.STDOUT, env=sdk.environment(XDG_RUNTIME_DIR=cwd))
            wait_for(pool.is_serving, 30, about="the pool's first accepted connection")
            # The miner looks for its own plugins in one folder only.
            if not os.path.exists(os.path.join(plugins, "algo")):
                os.makedirs(os.path.join(plugins, "algo"))
                shutil.copy(os.path.join(installed, "algo", "sha256d.so"), os.path.join(plugins, "algo"))
            if not os.path.exists(os.path.join(plugins, "hw")):
                os.makedirs(os.path.join(plugins, "hw"))
                shutil.copy(os.path.join(installed, "hw", "cpu.so"), os.path.join(plugins, "hw"))
            said = run(["otedama", "mine", "-o", f"stratum+tcp://127.0.0.1:{pool.port}", "-u", f"{address(1)}.rig",
                        "-a", algo, "-t", "1", "--hw", hw, "--shares", "300", "--json", "--plugin-dir", plugins], cwd)
            last = json.loads(said.strip().splitlines()[-1])
            # A block comes every 32 shares: one may be late for it.
            assert last["accepted"] >= 300 and not [x for x in last["reasons"] if "tale" not in x], last
            blocks = wait_for(lambda: pool.status()["blocks"], 30, about="a block")
            assert all(b["account"] == address(1) for b in blocks), blocks
            wait_for(lambda: any(b["state"] in ("confirming", "mature") for b in pool.status()["blocks"]), 30,
                     about="a block on the chain")
            # Two blocks at one height may happen; nothing else may.
            words = [x for x in pool.status()["attention"] if "inconclusive" not in x]
            assert not words, words
            pool.stop()


def test_an_algorithm_in_a_pool():
    mined(algo="mine")


def test_a_payout_scheme_in_a_pool():
    mined(scheme="bonus")


def test_a_chain_in_a_pool():
    mined(chain="own")


def test_a_backend_of_the_miner():
    mined(hw="slow")


def finish():
    sdk.finish()
