"""One client beside crowds, over TLS: what happens to its latencies, and what the server takes meanwhile.

usage: python bench/load [RESULTS_DIR]       after tests/install.sh, make build and a build of bench/s3load: `make load` does all of it
Env: SECS (5) of each cell, PEERS ("strongroom minio"), CROWDS (all), REKEYED (20000) objects, MEMORY and DISK (1; 0 leaves that out)
Everything listens on loopback and is stopped at the end. Clients of a crowd run only where a processor is idle.
"""

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import crowds
import full_disk
from figures import Watch, latencies, now, s3load
from targets import BENCH, Minio, Strongroom

from harness.admin import Admin
from harness.keyservers import OpenBao, trusted_dirs

OPERATIONS = ("get", "put", "head", "list")
CROWDS = {
    "nothing": crowds.nothing,
    "8 listers": crowds.listers,
    "1000 slow readers": partial(crowds.slow, method="get", count=1000),
    "500 slow writers": partial(crowds.slow, method="put", count=500),
    "500 × GET 4 KiB of another": partial(crowds.flood, operation="get"),
    "500 × PUT 4 KiB of another": partial(crowds.flood, operation="put"),
    "500 × GET 1 MiB of another": partial(crowds.flood, operation="get", size="1MiB"),
    "a sweep": crowds.sweep,
    "a re-key": crowds.rekey,
    "a hung KMS": crowds.hung_kms,
}
ONLY_STRONGROOM = {"a sweep", "a re-key", "a hung KMS"}
MEMORY = {
    "400 slow GET of 16 MiB": ("get", 400),
    "1000 slow GET of 16 MiB": ("get", 1000),
    "512 slow PUT of 16 MiB": ("put", 512),
}
REST_SECONDS = 60


def prepare(target):
    """What the clients read."""
    raw = target.raw()
    for bucket in ("large", "hung", "swept", "rekeyed"):
        raw.request("PUT", f"/{bucket}").ok()
    raw.put("large", "large", os.urandom(16 << 20)).ok()
    populate = [("get", "points", []), ("get", "crowd", []), ("get", "crowd", ["--size", "1MiB"])]
    populate += [("list", "few", ["--objects", "100", "--prefixes", "100"]), ("list", "listed", ["--objects", "8000"])]
    for operation, bucket, options in populate:
        for mode in ("sse-s3", "sse-c") if bucket == "points" else ("none",):
            command = s3load(target, "--op", operation, "--bucket", bucket, "--mode", mode, *options, "--runs", "1", "--secs", "0.01", "--warm-secs", "0")
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def with_key_server(openbao):
    """A Strongroom whose second backend is a key server; its default keys stay the local ones."""
    target = Strongroom("[kms]\n" + trusted_dirs(openbao.configuration())).start()
    openbao.bao("write", "-f", "transit/keys/there")
    Admin(target)("POST", "/reconfigure", openbao.configuration(default_key_id="there", timeout_seconds=5))
    target.key_server, target.key_there = openbao, "there"
    return target


def beside(target, name, crowd, tell):
    # With a key of its own the client needs no key server.
    mode = "sse-c" if name == "a hung KMS" else "sse-s3"
    with crowd(target), Watch(target.pid) as watch:
        rows = {operation: latencies(target, operation, mode) for operation in OPERATIONS}
    for operation, row in rows.items():
        tell({"kind": "crowd", "server": target.name, "crowd": name, "operation": operation} | row | watch.most)


def memory(target, name, method, count, tell):
    with Watch(target.pid) as watch, crowds.slow(target, method, count):
        time.sleep(10)
    time.sleep(REST_SECONDS)
    tell({"kind": "memory", "server": target.name, "case": name, "rest_mib": now(target.pid)["rss_mib"]} | watch.most)


def main():
    out = Path(sys.argv[1] if len(sys.argv) > 1 else BENCH.parent / "target/bench")
    out.mkdir(parents=True, exist_ok=True)
    rows = []

    def tell(row):
        rows.append(row)
        print(json.dumps(row), file=sys.stderr, flush=True)

    wanted = [name for name in CROWDS if name in os.environ.get("CROWDS", ",".join(CROWDS)).split(",")]
    for server in os.environ.get("PEERS", "strongroom minio").split():
        measure(server, wanted, tell)
    if os.environ.get("DISK", "1") != "0":
        tell({"kind": "disk", "server": "strongroom"} | full_disk.run())
    (out / "load.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    print_tables(rows)


def measure(server, wanted, tell):
    start = {"strongroom": Strongroom, "minio": Minio}[server]
    with ExitStack() as stack:
        target = start().start()
        stack.callback(target.close)
        prepare(target)
        for name in wanted:
            if name != "a hung KMS" and (server == "strongroom" or name not in ONLY_STRONGROOM):
                beside(target, name, CROWDS[name], tell)
    if server == "strongroom" and "a hung KMS" in wanted:
        openbao = OpenBao()
        with ExitStack() as stack:
            stack.callback(openbao.stop)
            target = with_key_server(openbao)
            stack.callback(target.close)
            prepare(target)
            beside(target, "a hung KMS", CROWDS["a hung KMS"], tell)
    for name, (method, count) in MEMORY.items() if os.environ.get("MEMORY", "1") != "0" else ():
        with ExitStack() as stack:
            target = start().start()
            stack.callback(target.close)
            target.raw().request("PUT", "/large").ok()
            target.raw().put("large", "large", os.urandom(16 << 20)).ok()
            memory(target, name, method, count, tell)


def print_tables(rows):
    of_kind = {kind: [row for row in rows if row["kind"] == kind] for kind in ("crowd", "memory", "disk")}
    if of_kind["crowd"]:
        print_crowds(of_kind["crowd"])
    if of_kind["memory"]:
        print("\n| slow clients | server | most RSS MiB | a minute later MiB | descriptors | threads |\n| --- | --- | --- | --- | --- | --- |")
    for row in of_kind["memory"]:
        print(f"| {row['case']} | {row['server']} | {row['rss_mib']:.0f} | {row['rest_mib']:.0f} | {row['descriptors']} | {row['threads']} |")
    for row in of_kind["disk"]:
        print(
            f"\nA full disk of {full_disk.DISK_MIB} MiB: {row['objects']} objects of 1 MiB, each read in {row['read_ms']:.1f} ms and deleted in "
            f"{row['delete_ms']:.1f} ms; the next upload was taken after {row['upload_again_s']:.1f} s."
        )


def print_crowds(rows):
    print("| beside | server |", " | ".join(f"{operation.upper()} p50 / p99 / p99.9" for operation in OPERATIONS), "| failed | RSS MiB | descriptors | threads | cores |")
    print("| --- " * (len(OPERATIONS) + 7) + "|")
    pairs = dict.fromkeys((row["crowd"], row["server"]) for row in rows)
    for crowd, server in sorted(pairs, key=lambda pair: list(CROWDS).index(pair[0])):
        cell = {row["operation"]: row for row in rows if (row["crowd"], row["server"]) == (crowd, server)}
        times = [" / ".join(f"{cell[name][part] or float('nan'):.2f}" for part in ("p50_ms", "p99_ms", "p999_ms")) for name in OPERATIONS]
        last = cell["list"]
        taken = [str(sum(row["errors"] for row in cell.values())), f"{last['rss_mib']:.0f}", str(last["descriptors"]), str(last["threads"]), f"{last['cores']:.2f}"]
        print("|", " | ".join([crowd, server, *times, *taken]), "|")


main()
