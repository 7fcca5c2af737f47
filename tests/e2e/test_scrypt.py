"""A costly algorithm on the embedded chain: our own miner finds blocks, and nothing is refused."""
import json
import os
import subprocess
import tempfile

from devnet import fixed, verified
from pool import BUILD, PROGRAM, ROOT, Pool, address, wait_for

CONFIG = """
data_dir: {dir}
log: {level: debug}
store: {use: sqlite}
pools:
  dev:
    coin: devscrypt
    coinbase: {address: bcrt1q3jzz8hqjs2nxnaweuge6lsxjca3kwr0kdkgd3d, tag: /otedama-e2e/}
    fee: {rate: 1%}
    payout: {scheme: pplns, window: 2x difficulty}
    ports:
      {port}: {listen: 127.0.0.1, difficulty: DIFFICULTY}
api: {listen: "127.0.0.1:{api}"}
metrics: {listen: "127.0.0.1:{metrics}"}
"""


def pool_on_scrypt(variant):
    """The devnet's coin file with another algorithm: 512 hashes a block, 32 a share."""
    folder = tempfile.mkdtemp(prefix="otedama-e2e-")
    os.mkdir(os.path.join(folder, "coins"))
    with open(os.path.join(ROOT, "etc", "coins", "devnet.yaml"), encoding="utf-8") as f:
        coin = f.read().replace("use: sha256d", "use: scrypt").replace("bits: 1d7fffff", "bits: 1f7fffff")
        coin = coin.replace("spacing: 10s", "spacing: 0s")
    with open(os.path.join(folder, "coins", "devscrypt.yaml"), "w", encoding="utf-8") as f:
        f.write(coin)
    text = CONFIG.replace("DIFFICULTY", fixed("0.00048828125"))
    return Pool(text, folder=folder, env={"OTEDAMA_SCRYPT": variant})


def mined(variant, shares):
    with pool_on_scrypt(variant) as pool:
        pool.start()
        r = subprocess.run(
            [PROGRAM, "mine", "-o", f"stratum+tcp://127.0.0.1:{pool.port}", "-u", f"{address(1)}.rig", "-a", "scrypt",
             "-t", "1", "--shares", str(shares), "--plugin-dir", os.path.join(BUILD, "plugins"), "--json"],
            capture_output=True, text=True, timeout=120, check=False,
            env=dict(os.environ, OTEDAMA_SCRYPT=variant))
        assert r.returncode == 0, r.stderr
        said = json.loads(r.stdout.strip().splitlines()[-1])
        assert said["accepted"] >= shares and set(said["reasons"]) <= {"Job not found or stale"}, said
        wait_for(lambda: pool.status()["pools"][0]["accepted"] == said["accepted"], 20, about="all shares to be counted")
        blocks = wait_for(lambda: pool.status()["blocks"], 20, about="a block")
        assert all(b["account"] == address(1) for b in blocks)
        cost = [line for line in pool.log().splitlines() if "event=algorithm.cost" in line]
        assert cost, "the cost of a hash was not measured"
        pool.stop()
        verified(pool)
        return cost[0]


def test_miner_finds_blocks_portable():
    """Some 0.2 ms a hash: on most machines the shares go through the compute pool."""
    print("   ", mined("portable", 150).split("event=")[1])


def test_miner_finds_blocks_fast():
    """The best path of this machine; where its hashes go follows from their measured cost."""
    cost = mined("", 400)
    print("   ", cost.split("event=")[1])
    ns = int(cost.split("hash_ns=")[1].split()[0])
    assert cost.endswith("where=compute" if ns > 50000 else "where=reactor"), cost
