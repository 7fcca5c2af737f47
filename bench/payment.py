#!/usr/bin/env python3
"""bench/payment.py [RECIPIENTS]: one payment out of a litecoind's wallet, timed; figures as JSON on standard output.

Each recipient has mined one share of one block. Receipts are compared with the ledger afterwards.
"""
import json
import os
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
from payments import LITECOIN, Bank  # noqa: E402
from pool import wait_for  # noqa: E402

FLOOR = "0.5"  # 32,768 hashes a block: 2,000 shares of sixteen hashes are below it


def cpu_ms(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def a_share(bank, account, harder_than=None, easier_than=None):
    with bank.coin.client(bank.pool.port) as c:
        c.login(account)
        # As many as it takes: one search in seven ends without a block.
        if c.submit(c.mine(tries=1 << 20, harder_than=harder_than, easier_than=easier_than)) is not True:
            raise SystemExit("a share was refused")


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    target = LITECOIN.target_of(FLOOR)
    with Bank(LITECOIN, f"minimum: 0.0001 LTC, every: 30d, recipients: {n}", floor=FLOOR) as bank:
        bank.pool.start()
        for i in range(n):
            a_share(bank, f"{LITECOIN.address(i + 1)}.r", harder_than=target)
        height = bank.node.rpc("getblockcount") + 1
        a_share(bank, f"{LITECOIN.address(1)}.r", easier_than=target)
        LITECOIN.module.block_in_state(bank.pool, height, "confirming")
        bank.generate(100)
        wait_for(lambda: bank.ask("plan", "ltc")["n"] == n, 60, about="the balances")
        began = time.monotonic()
        plan = bank.ask("plan", "ltc")
        figures = {"recipients": plan["n"], "plan_ms": (time.monotonic() - began) * 1000}
        due = {p["address"]: int(p["amount_units"]) for p in plan["parts"]}
        bank.ask("start", "ltc", plan["code"])
        cpu, began, seen = cpu_ms(bank.pool.process.pid), time.monotonic(), {}
        bank.ask("run", "ltc")
        order = ("reserved", "funded", "signed", "sent", "paid")

        def ms():
            return (time.monotonic() - began) * 1000

        def look(state):
            for p in bank.payments():
                for s in order[:order.index(p["state"]) + 1]:
                    seen.setdefault(s, ms())
            return state in seen
        wait_for(lambda: look("sent"), 120, step=0.02, about="the broadcast")
        bank.generate(2)
        confirmed = ms()
        wait_for(lambda: look("paid"), 120, step=0.1, about="the end of the payment")
        figures.update({f"{s}_ms": seen[s] for s in ("reserved", "signed", "sent")})
        figures["paid_ms"] = seen["paid"] - confirmed
        figures["cpu_ms"] = cpu_ms(bank.pool.process.pid) - cpu
        figures["vsize"] = bank.ask("show", str(bank.payments()[0]["id"]))["txs"][-1]["vsize"]
        if bank.received(due) != due:
            raise SystemExit("receipts differ from the ledger")
        bank.verify()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
