"""Fifty good miners in one thread, who must not notice what others do: their answers are counted and timed."""
import asyncio
import hashlib
import json
import struct
import threading
import time

from pool import address, wait_for
from stratum import DIFF1, Job

EASY = "3.725290298461914e-09"  # 2^-28: sixteen hashes a share


class Miner(asyncio.Protocol):
    """Submits one share after the other, with a pause behind each answer."""

    def __init__(self, group, number):
        self.group, self.user = group, f"{address(1000 + number)}.good"
        self.sent = self.acknowledged = self.worst_ms = 0
        self.refused, self.lost, self.ending, self.is_in = [], False, False, False
        self.buffered, self.job, self.en2, self.waits = b"", None, 0, None

    def connection_made(self, transport):
        self.transport = transport
        self.say(1, "mining.subscribe", ["good"])

    def connection_lost(self, _):
        self.lost = not self.ending

    def say(self, ident, method, params):
        self.transport.write((json.dumps({"id": ident, "method": method, "params": params}) + "\n").encode())

    def data_received(self, data):
        self.buffered += data
        *lines, self.buffered = self.buffered.split(b"\n")
        for line in lines:
            self.heard(json.loads(line))

    def heard(self, m):
        if m.get("method") == "mining.set_difficulty":
            self.difficulty = m["params"][0]
        elif m.get("method") == "mining.notify":
            self.job = Job(m["params"], self.difficulty)
            if not self.sent:
                self.mine()
        elif m.get("id") == 1:
            self.en1, self.en2_len = bytes.fromhex(m["result"][1]), m["result"][2]
            self.say(2, "mining.authorize", [self.user, "x"])
        elif m.get("id") == 2:
            self.is_in = m["result"]
            if not self.sent:
                self.mine()
        elif m.get("id") == 3:
            self.worst_ms = max(self.worst_ms, (time.monotonic() - self.since) * 1000)
            self.waits = None
            if m.get("error"):
                self.refused.append(m["error"])
            else:
                self.acknowledged += 1
            if not self.ending:
                self.group.loop.call_later(self.group.pause, self.mine)

    def mine(self):
        if self.ending or self.waits or not self.is_in or not self.job:
            return
        en2 = self.en2.to_bytes(self.en2_len, "big")
        self.en2 += 1
        head, target = self.job.header(self.en1, en2, self.job.ntime), DIFF1 / self.job.difficulty
        first, nonce = hashlib.sha256(head[:64]), 0
        while True:
            h = first.copy()
            h.update(head[64:] + struct.pack("<I", nonce))
            if int.from_bytes(hashlib.sha256(h.digest()).digest(), "little") <= target:
                break
            nonce += 1
        self.waits, self.since = True, time.monotonic()
        self.sent += 1
        self.say(3, "mining.submit", [self.user, self.job.id, en2.hex(), self.job.ntime, f"{nonce:08x}"])


class Good:
    """start() .. stop(). since() gives what they did since the last call."""

    def __init__(self, port, n=50, pause=0.1):
        self.port, self.n, self.pause, self.miners = port, n, pause, []

    def start(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        wait_for(lambda: len(self.miners) == self.n and all(m.acknowledged > 2 for m in self.miners), 30,
                 about="the first shares of good miners")
        self.since()
        return self

    def run(self):
        asyncio.set_event_loop(self.loop)

        async def enter(i):
            _, m = await self.loop.create_connection(lambda: Miner(self, i), "127.0.0.1", self.port)
            self.miners.append(m)
        self.loop.run_until_complete(asyncio.gather(*(enter(i) for i in range(self.n))))
        self.loop.run_forever()

    def since(self):
        """{shares a second, of the least lucky, worst answer in ms}"""
        now, counts = time.monotonic(), [m.acknowledged for m in self.miners]
        begun, before = getattr(self, "mark", (now - 1e-9, counts))
        self.mark = now, counts
        worst = max(m.worst_ms for m in self.miners)
        for m in self.miners:
            m.worst_ms = 0
        done = [c - b for c, b in zip(counts, before)]
        return {"rate": sum(done) / (now - begun), "least": min(done), "worst_ms": worst}

    def unhurt(self):
        lost = [m.user for m in self.miners if m.lost]
        assert not lost, f"good miners were disconnected: {lost[:3]}"
        refused = [m.refused[0] for m in self.miners if m.refused]
        assert not refused, f"good miners' shares were refused: {refused[:3]}"

    def stop(self):
        for m in self.miners:
            m.ending = True
        wait_for(lambda: not any(m.waits for m in self.miners), 20, about="the last answers of good miners")
        self.loop.call_soon_threadsafe(lambda: [m.transport.close() for m in self.miners])
        time.sleep(0.1)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
