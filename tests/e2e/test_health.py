"""`health` on the miners' port, as a load balancer asks it, of a pool whose disk is full: not healthy, and healthy again."""
import json
import socket

from devnet import Miner
from pool import address, wait_for
from stratum import Client
from test_faults import TINY, SmallDisk, every_share_is_there, fill_until_refused, small_pool


def health(pool):
    """What a pool says of itself; "" where nobody answers."""
    try:
        with socket.create_connection(("127.0.0.1", pool.port), timeout=60) as s, s.makefile("rwb") as f:
            f.write(b'{"id":1,"method":"health","params":[]}\n')
            f.flush()
            return json.loads(f.readline() or b"{}").get("result", "")
    except OSError:
        return ""


def test_a_full_disk_is_not_healthy_until_there_is_room():
    with SmallDisk("24m") as disk:
        pool = small_pool(disk)
        try:
            pool.start()
            assert health(pool) == "serving"
            m = Miner(pool.port, address(43) + ".health", ahead=64)
            fill_until_refused(pool, disk, m)
            wait_for(lambda: health(pool) == "disk", 30, step=1, about="'disk' as the answer")
            # Nobody asks it better: it stays so, for another asker too, and who is there is not put out.
            assert [health(pool) for _ in range(3)] == ["disk"] * 3
            before = m.acknowledged
            disk.empty()
            wait_for(lambda: m.acknowledged > before, 30, about="shares after there is space again")
            wait_for(lambda: health(pool) == "serving", 30, step=1, about="'serving' as the answer")
            m.stop()
            assert m.unanswered == 0
            with Client(pool.port) as c:
                c.login(address(43) + ".later")
            assert health(pool) == "serving"
            assert pool.stop() == 0, pool.output()[-1000:]
            every_share_is_there(pool, [m], TINY)
        finally:
            pool.kill()
