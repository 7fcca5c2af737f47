"""Tables of what bench/run.py measured, and docs/performance.md around them."""
import statistics

# Measured earlier in 2026 with a load generator of the same method (closed windows, every share mined, CPU as
# utime + stime of all threads) on 2 cores of an AMD EPYC under KVM, Debian 12. See PEERS for the commands.
PEER_SHARES = {  # connections x window: rows of (server, accepted/s, us a share, p50 / p99 ms)
    (100, 16): [("ckpool", "24,593 to 27,114", "54.0 to 60.0", "57 to 61 / 101 to 126"),
                ("datum_gateway, changed", "71,979 to 89,395", "20.2 to 24.9", "22 / 41")],
    (100, 1): [("ckpool", "18,161", "64.2", "4.8 / 17.4")],
    (10, 4): [("ckpool", "24,247", "42.3", "1.5 / 3.8")],
    (1000, 4): [("ckpool", "22,058", "71.8", "177 / 261")],
}
PEER_IDLE = {  # connections: (server, bytes a connection, connections/s, us a connection)
    1000: [("ckpool", "6,480", "5,563", "240"), ("datum_gateway", "143,049", "1,501", "430")],
    10000: [("ckpool", "5,545", "5,818", "246"), ("datum_gateway", "65,640", "1,740", "378")],
}
PEER_BROADCAST = {
    1000: [("ckpool", "37 to 41"), ("datum_gateway", "15 to 18")],
    10000: [("ckpool", "232 to 278"), ("datum_gateway", "118 to 282")],
}

PEERS = """\
ckpool is the ckpool-lhr fork, commit b51d54b4 (2026-03-20), default flags, SHA-NI assembly on, solo mode, 27 threads;
datum_gateway is 0.4.1, commit dbc3b14 (2026-08-05), Release, 8 threads, without an upstream pool. Both worked on a real
node (Bitcoin Knots in regtest) with 3,000 transactions, so 12 merkle branches as here, and were started again before
each measurement. ckpool ran with mindiff = startdiff = 1e-9. datum_gateway's least difficulty is 1, which nobody mines
here; its share figures are with a local change of three lines that lets any hash meet the target. Their commands, with a load generator of the same method and options:

    stratum-load -m shares -n N -w W -d 10 -u ADDR.w%d -P PID 127.0.0.1 PORT
    stratum-load -m idle -n N -H 3 -u ADDR.w%d -U 1000 -P PID 127.0.0.1 PORT        # datum_gateway: -i 8

They were taken before, on a machine of the same kind (2 cores of an AMD EPYC under KVM with SHA-NI, Debian 12) and not
in the run above: read them as a distance, not to the last digit. Repeats there moved by up to 30 %.
"""


def number(v):
    if v is None:
        return "-"
    a = abs(v)
    return f"{v:,.0f}" if a >= 1000 else f"{v:.0f}" if a >= 100 else f"{v:.1f}" if a >= 10 else f"{v:.2f}"


def spread(of, name, key, scale=1):
    """median (least to most)"""
    v = of.get(name, {}).get(key)
    if not v:
        return "-"
    v = [x * scale for x in v]
    if len(v) == 1:
        return number(v[0])
    return f"{number(statistics.median(v))} ({number(min(v))} to {number(max(v))})"


def middle(of, name, key):
    v = of.get(name, {}).get(key)
    return statistics.median(v) if v else None


def row(*cells):
    return "| " + " | ".join(cells) + " |"


def table(head, rows):
    return "\n".join([row(*head), row(*["---"] + ["---:"] * (len(head) - 1))] + [row(*r) for r in rows])


def cases(of, prefix):
    found = [n[len(prefix):] for n in of if n.startswith(prefix)]
    return list(dict.fromkeys(found))


def share_table(of, o):
    rows = []
    for case in cases(of, "pool "):
        if "x" not in case:
            continue
        n, w = (int(x) for x in case.split("x"))
        for label, name in (("**Otedama**", f"pool {case}"), ("null_server -V", f"null {case}")):
            rows.append((label, f"{n} x {w}", spread(of, name, "accepted_per_s"),
                         spread(of, name, "server_cpu_us_per_share"),
                         f"{number(middle(of, name, 'latency_p50_ms'))} / {number(middle(of, name, 'latency_p99_ms'))}",
                         spread(of, name, "generator_cpu_us_per_share")))
        pool, null = (middle(of, f"{x} {case}", "server_cpu_us_per_share") for x in ("pool", "null"))
        if pool and null:
            rows.append(("Otedama / null_server", f"{n} x {w}", "", f"{pool / null:.2f} times", "", ""))
        rows += [(s, f"{n} x {w}", a, us, ms, "") for s, a, us, ms in PEER_SHARES.get((n, w), [])]
    if not rows:
        return ""
    return f"""## Shares

    build/bench/stratum_load -m shares -n N -w W -d {o.seconds:g} -P PID 127.0.0.1 3335

{table(("server", "connections x window", "accepted/s", "server CPU, us a share", "answer p50 / p99, ms",
        "generator CPU, us a share"), rows)}

Server CPU a share is the figure to compare first: user and system time of all the server's threads, divided by the
accepted shares. Shares a second depend on it, on the generator that runs on the same cores, and at small windows on
the disk: an accepted share is acknowledged after the group commit that holds it (see "The disk"), which null_server
does not wait for. No share was refused in any round, and after each the pool's own count
was equal to the generator's. `null_server -V` is the floor: one epoll thread that validates each share in full and has
no accounts, journal or ledger. It hashes one share after the other; the pool hashes what one round of its loop brought
in one batch, whose steps interleave, and answers it in one write a connection, so it can come below that floor where
many shares arrive at once. With few shares outstanding, few of them meet in one group commit, and each bears more of its
cost: a disk write and the wake-ups of the threads before and after it.
"""


def idle_table(of):
    rows = []
    for case in cases(of, "pool idle "):
        for label, name in (("**Otedama**", f"pool idle {case}"), ("null_server -V", f"null idle {case}")):
            rows.append((label, f"{int(case):,}", spread(of, name, "bytes_per_connection"),
                         spread(of, name, "connects_per_s"), spread(of, name, "server_cpu_us_per_connect"),
                         f"{number(middle(of, name, 'ready_p50_ms'))} / {number(middle(of, name, 'ready_p99_ms'))}"))
        rows += [(s, f"{int(case):,}", b, c, us, "") for s, b, c, us in PEER_IDLE.get(int(case), [])]
    if not rows:
        return ""
    return f"""## Connections

    build/bench/stratum_load -m idle -n N -H 3 -P PID 127.0.0.1 3335

{table(("server", "connections", "resident bytes each", "connections/s", "server CPU, us each", "ready p50 / p99, ms"), rows)}

Ready is from connect() to subscribed, authorized (each connection as a worker of its own) and a first job. Memory is
the growth of the server's resident memory, by /proc/PID/smaps_rollup; buffers in the kernel are not in it.
"""


def latency_table(of, o):
    if "latency" not in of:
        return ""
    rows = [("accepted/s by the clock at most, 100 x 16", spread(of, "latency", "full_per_s")),
            ("accepted/s at the pace", spread(of, "latency", "accepted_per_s")),
            ("answer p50, ms", spread(of, "latency", "latency_p50_ms")),
            ("answer p99, ms", spread(of, "latency", "latency_p99_ms")),
            ("validation p99, ms, at most", spread(of, "latency", "validation_p99_ms")),
            ("server CPU, us a share", spread(of, "latency", "server_cpu_us_per_share"))]
    return f"""## Half load

    build/bench/stratum_load -m shares -n 100 -w 16 -s SHARES_A_SECOND -d {o.seconds:g} -P PID 127.0.0.1 3335

{table(("", "median (least to most)"), rows)}

Shares leave by the clock, at half of what the same connections can do so, and are answered after the group commit. Validation
is from the line of a share to its verdict, by the pool's own histogram (otd_share_validation_seconds in /metrics): the
upper end of the bucket in which the p99 lies.
"""


def hostile_table(of, o):
    rows = []
    for kind in cases(of, "pool beside "):
        pool, null = f"pool beside {kind}", f"null beside {kind}"
        rows.append((kind, spread(of, pool, "alone_per_s"), spread(of, pool, "beside_per_cent"),
                     f"{number(middle(of, pool, 'alone_p99_ms'))} / {number(middle(of, pool, 'latency_p99_ms'))}",
                     spread(of, pool, "rss_grew_kib", 1 / 1024), spread(of, null, "beside_per_cent"),
                     number(middle(of, null, "latency_p99_ms"))))
    if not rows:
        return ""
    return f"""## Beside hostile clients

    build/bench/stratum_load -m hostile -k KIND -n 50 -w 4 -b 64 -B 5000 -d {o.seconds / 2:g} -P PID 127.0.0.1 3335

{table(("64 bad clients", "50 good ones alone, accepted/s", "beside them, % of that", "answer p99 alone / beside, ms",
        "server grew, MiB", "null_server -V: %", "p99, ms"), rows)}

Good and bad clients are in one process, which shares the two cores with the server: what the bad ones cost the generator
and the kernel is in these figures, and null_server shows how much that is. flood and gentle are submits of no job from
clients that never read, 5,000 and 100 a second each; duplicate, low and stale are refused shares at 5,000 a second each;
garbage, endless, deep and nested are what they say, as fast as they go; churn is connections that are reset 40 times a second
each. No good client lost its connection in any round. ckpool kept 0.2 to 0.5 % beside flood, datum_gateway 8 %.
"""


def validate_table(of):
    rows = [(n[9:], spread(of, n, "ms")) for n in of if n.startswith("validate ")]
    if not rows:
        return ""
    return f"""## Validation alone

    build/bench/bench_validate 9

{table(("what", "millions a second of one core"), rows)}

The code that the server calls, without sockets and disk, in batches of 64: coinbase from the job's midstate, 12 merkle
branches, header and hash, then the verdict with the table of duplicates. "headers" is the algorithm's batch on headers that
are there, and the comparison with the target.
"""


def broadcast_table(of):
    rows = []
    for case in cases(of, "pool broadcast "):
        for label, name in (("**Otedama**", f"pool broadcast {case}"), ("null_server", f"null broadcast {case}")):
            rows.append((label, f"{int(case):,}", spread(of, name, "kernel_after_first_p50_ms"),
                         spread(of, name, "kernel_after_first_p99_ms"),
                         spread(of, name, "kernel_after_first_max_ms"),
                         spread(of, name, "server_cpu_us_per_tip", 1 / 1000)))
        pool, null = (middle(of, f"{x} broadcast {case}", "kernel_after_first_max_ms") for x in ("pool", "null"))
        if pool and null:
            rows.append(("Otedama / null_server", f"{int(case):,}", "", "", f"{pool / null:.2f} times", ""))
        rows += [(s, f"{int(case):,}", "", "", last, "") for s, last in PEER_BROADCAST.get(int(case), [])]
    if not rows:
        return ""
    return f"""## A new tip

    build/bench/stratum_load -m broadcast -n N -r 3 -t "build/otedama chain --socket SOCKET bench mine 1" -P PID 127.0.0.1 3335

{table(("server", "connections", "p50, ms after the first", "p99", "last", "server CPU, ms"), rows)}

How long after the first miner the others have the new job, by the kernel's time of arrival. null_server has the line
ready and does nothing but send it; the pool's CPU is with the making of the template and its job.
"""


def start_table(of):
    rows = [(n[7:], spread(of, n, "ms")) for n in of if n.startswith("start, ")]
    if not rows:
        return ""
    shares = spread(of, "shares before the second start", "n")
    more = f" The second start follows a run of {shares} accepted shares." if shares != "-" else ""
    return f"""## Start

    build/otedama serve -c etc/bench.yaml --set data_dir=FOLDER

{table(("start with", "ms to the first miner's job"), rows)}

From the program's start until a miner that kept trying was connected, subscribed and had its first job.{more}
"""


def sync_table(of):
    rows = [(n[8:], spread(of, n, "p50_ms"), spread(of, n, "p99_ms")) for n in of if n.startswith("sync of ")]
    if not rows:
        return ""
    return f"""## The disk

    build/bench/journal_sync /tmp

{table(("shares a commit", "p50, ms", "p99, ms"), rows)}

What a write and fdatasync of so many records costs here without any pool: the least time in which a durable share can
be answered, and with one share outstanding a connection the bound on shares a second.
"""


def sha256_table(of, kernel):
    rows = []
    for n in of:
        if n.startswith("sha256 "):
            what, unit = n[7:].rsplit(", ", 1)
            rows.append((what, unit, spread(of, n, "mhs")))
    if not rows:
        return ""
    return f"""## SHA-256d

    build/bench/bench_sha256 9

{table(("what", "code", "MH/s of one core"), rows)}

Ours ({kernel.split(',')[0]}) and OpenSSL's take turns in one process. "scan" is mining: the first 64 bytes of the header
are hashed once. "64 bytes" is an inner node of a merkle tree.
"""


def scrypt_table(of):
    names = [n for n in of if n.startswith("scrypt ")]
    if not names:
        return ""
    base = next((middle(of, n, "khs") for n in names if "OpenSSL" in n), None)
    rows = [(n[7:], spread(of, n, "khs"), f"{middle(of, n, 'khs') / base:.1f} times" if base else "") for n in names]
    return f"""## scrypt

    build/bench/bench_scrypt 9

{table(("code", "kH/s of one core", "of OpenSSL"), rows)}

n 1024, r 1, p 1, headers of 80 bytes. All take turns in one process, and their hashes are compared.
"""


def day_table(of):
    if "day" not in of:
        return ""
    d = {k: v[0] for k, v in of["day"].items()}
    mib = 1 << 20
    rows = [("accepted shares, each durable and accounted for", f"{d['shares']:,.0f}"),
            ("taken in", f"{d['seconds']:,.0f} s"),
            ("resident memory before the first", f"{d['resident before'] / mib:.1f} MiB"),
            ("most resident memory", f"{d['resident'] / mib:.1f} MiB"),
            ("most that the journals took on disk", f"{d['journal'] / mib:,.0f} MiB"),
            ("the rest of data_dir after it", f"{d['database'] / mib:.1f} MiB")]
    if "start_ms" in d:
        rows.append(("a start after it, to the first miner's job", f"{d['start_ms']:,.0f} ms"))
    return f"""## A day at 1,000 shares a second

    ./mk bench day

{table(("", ""), rows)}

As many shares as such a day has (86.4 million), or those that `--day-shares` says, of 100 workers on 100 connections, as fast as they go. Segments of the journal are cut
once the database holds what is in them and the payout scheme's state is saved (every minute), so what they take does
not grow with the day; at full speed a minute brings more than at 1,000 a second.
"""


def payment_table(of):
    if "payment" not in of:
        return ""
    rows = [(label, spread(of, "payment", key)) for label, key in (
        ("recipients", "recipients"), ("virtual bytes", "vsize"), ("plan, ms", "plan_ms"),
        ("run to reserved, ms", "reserved_ms"), ("run to signed, ms", "signed_ms"), ("run to sent, ms", "sent_ms"),
        ("final by its confirmation, ms", "paid_ms"), ("server CPU of it all, ms", "cpu_ms"))]
    return f"""## A payment

    ./mk bench payment

{table(("", "median (least to most)"), rows)}

One payment out of the wallet of a litecoind in regtest, to accounts that have each mined a share of one block, from
`otedama payment run` on. Afterwards each recipient's receipts are read from the node's blocks and compared with the
ledger. Most of the time is the node's: signing, and taking the transaction.
"""


def tables(of, m, o, kernel):
    facts = table(("", ""), [(k, m[k]) for k in ("date", "commit", "compiler", "build", "processor", "memory", "kernel",
                                                 "system", "disk", "load before")])
    head = f"""## Machine

{facts}

Generator and server share these cores; median of {o.rounds} rounds that take turns (least to most), every measurement
with a server started for it.
"""
    parts = [head, share_table(of, o), latency_table(of, o), hostile_table(of, o), idle_table(of), start_table(of),
             broadcast_table(of), sync_table(of), validate_table(of), sha256_table(of, kernel), scrypt_table(of), payment_table(of), day_table(of)]
    return "\n".join(p for p in parts if p)


def document(text):
    return f"""# Performance

Written by

    ./mk bench --write

which builds what is measured, starts `build/otedama serve -c etc/bench.yaml` (devnet, 12 merkle branches, share
difficulty 1e-9: some four hashes a share, every share durable and accounted for) and prints what stands below. Each
section begins with the command that its figures come from; `bench/run.py` is what runs them, `./mk bench NAME` one of
them. Shares are really mined and travel through TCP on loopback.

{text}
## The other pools

{PEERS}"""
