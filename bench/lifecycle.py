#!/usr/bin/env python3
"""What a lifecycle pass costs those who read and write meanwhile: latencies of GET and PUT without a pass and during one, in turns, over TLS.

usage: python bench/lifecycle.py     after tests/install.sh, make build and a build of bench/s3load
Env: OBJECTS (1000000) in the bucket, DUE (0.01) of them for each pass, ROUNDS (5), CLIENTS (2) that read and as many that write, RATE (50)
requests each second of each, SIZE (256) in bytes, QUIET_SECONDS (5) without a pass at the least, SERVER (target/release/strongroom)

Clients keep to their rate whatever the server does, and a latency is counted from the moment at which the request was to be sent: so
what waits behind a slow answer counts as slow too. Everything listens on loopback and is stopped at the end.
"""

import hashlib
import http.client
import os
import random
import ssl
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from multiprocessing import Event, Process, SimpleQueue
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests"))
os.environ["STRONGROOM_TEST_BINARY"] = os.environ.get("SERVER", str(REPOSITORY / "target/release/strongroom"))

from harness import sigv4  # noqa: E402
from harness.admin import Admin  # noqa: E402
from harness.server import Server  # noqa: E402

S3LOAD = REPOSITORY / "target/s3load/release/s3load"
OBJECTS = int(os.environ.get("OBJECTS", 1_000_000))
DUE = int(OBJECTS * float(os.environ.get("DUE", 0.01)))
ROUNDS = int(os.environ.get("ROUNDS", 5))
CLIENTS = int(os.environ.get("CLIENTS", 2))
RATE = float(os.environ.get("RATE", 50))
SIZE = int(os.environ.get("SIZE", 256))
QUIET_SECONDS = float(os.environ.get("QUIET_SECONDS", 5))
BUCKET = "aging"
WRITERS = 16
KEYS_OF_A_CLIENT = 1000
PAGES = 100
PASS_SECONDS = 1800
LONG_PAST = "2020-01-01T00:00:00Z"


def fill(server, count, size, overwrite):
    """PUTs so many objects: under `over/` each key once, else under `put-sse-s3-SIZE-`."""
    options = ["--op", "put", "--mode", "sse-s3", "--bucket", BUCKET, "--size", str(size), "--overwrite", str(overwrite), "--no-cleanup"]
    limits = ["--concurrency", str(WRITERS), "--runs", "1", "--warm-secs", "0", "--secs", "7200", "--max-ops", str(count)]
    access = ["--endpoint", server.endpoint, "--ak", server.access_key, "--sk", server.secret_key]
    subprocess.run([S3LOAD, *access, *options, *limits], check=True, stdout=subprocess.PIPE)


class Client:
    """One connection that is kept."""

    def __init__(self, port, ca, access_key, secret_key):
        self.port, self.credentials = port, sigv4.Credentials(access_key, secret_key)
        self.connection = http.client.HTTPSConnection("127.0.0.1", port, context=ssl.create_default_context(cafile=str(ca)), timeout=60)

    def request(self, method, path, body=b""):
        headers = {"host": f"127.0.0.1:{self.port}", "content-length": str(len(body))} if body else {"host": f"127.0.0.1:{self.port}"}
        signed = sigv4.sign(self.credentials, method, path, (), headers, hashlib.sha256(body).hexdigest())
        self.connection.request(method, sigv4.quote_path(path), body=body or None, headers=signed)
        reply = self.connection.getresponse()
        content = reply.read()
        assert reply.status == 200, f"{method} {path}: {reply.status} {content[:300]!r}"


def sample(server):
    """Keys from all over the bucket. The generator writes not quite every key."""
    client, chance, found = server.boto(), random.Random(0), set()
    for _ in range(PAGES):
        page = client.list_objects_v2(Bucket=BUCKET, Prefix="over/", StartAfter=f"over/o{chance.randrange(OBJECTS):08}", MaxKeys=100)
        found.update(entry["Key"] for entry in page.get("Contents", []))
    return sorted(found)


def run_client(number, operation, access, keys, stop, results):
    """Sends at its rate until it is stopped; then hands over when each request was to be sent, and how long its answer took."""
    sent = []
    try:
        keep_sending(Client(*access), number, operation, keys, stop, sent)
    finally:
        results.put((operation, sent))


def keep_sending(client, number, operation, keys, stop, sent):
    chance, body = random.Random(number), os.urandom(SIZE)
    due = time.monotonic() + chance.random() / RATE
    while not stop.is_set():
        time.sleep(max(0.0, due - time.monotonic()))
        if operation == "GET":
            client.request("GET", f"/{BUCKET}/{chance.choice(keys)}")
        else:
            client.request("PUT", f"/{BUCKET}/foreground/{number}/{len(sent) % KEYS_OF_A_CLIENT}", body)
        sent.append((due, time.monotonic() - due))
        due += 1 / RATE


def run_pass(server, admin, number):
    """A pass over the whole bucket, in which the objects of this round are due: when it began and ended, and what it did."""
    rule = {"ID": "due", "Status": "Enabled", "Filter": {"Prefix": f"put-sse-s3-{SIZE + 1 + number}-"}, "Expiration": {"Date": LONG_PAST}}
    server.boto().put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration={"Rules": [rule]})
    job = admin("POST", "/lifecycle", {"full": True}, status=202)
    deadline = time.monotonic() + PASS_SECONDS
    while (job := admin("GET", f"/lifecycle/{job['job_id']}"))["state"] in ("Pending", "Running"):
        assert time.monotonic() < deadline, job
        time.sleep(0.25)
    assert job["state"] == "Completed" and job["failed"] == 0 and job["expired"] >= DUE, job
    offset = time.time() - time.monotonic()
    began, ended = (datetime.fromisoformat(job[name]).timestamp() - offset for name in ("started", "finished"))
    return (began, ended), job


def quantile(latencies, share):
    return latencies[min(len(latencies) - 1, int(len(latencies) * share))] * 1000


def within(sent, windows):
    """The latencies of the requests that were to be sent within each of the windows, in order."""
    return [sorted(latency for due, latency in sent if begin <= due < end) for begin, end in windows]


def show(results, windows, passes):
    print(f"{OBJECTS:,} objects, {DUE:,} due for each of {ROUNDS} passes; {CLIENTS} clients read and {CLIENTS} write, {RATE:g} requests each second of each\n")
    print("| | requests | p50 ms | p99 ms | longest ms | p99 ms of each round |")
    print("| --- " * 6 + "|")
    for operation in ("GET", "PUT"):
        sent = [one for done, some in results if done == operation for one in some]
        for name, some in windows.items():
            rounds = within(sent, some)
            every = sorted(latency for latencies in rounds for latency in latencies)
            if not every:
                print(f"| {operation} {name} | 0 | | | | |")
                continue
            each = ", ".join(f"{quantile(latencies, 0.99):.1f}" for latencies in rounds if latencies)
            print(f"| {operation} {name} | {len(every):,} | {quantile(every, 0.5):.2f} | {quantile(every, 0.99):.2f} | {every[-1] * 1000:.0f} | {each} |")
    print("\n| pass | looked at | deleted | seconds |\n| --- | --- | --- | --- |")
    for number, (job, (began, ended)) in enumerate(zip(passes, windows["during a pass"], strict=True), 1):
        print(f"| {number} | {job['looked_at']:,} | {job['expired']:,} | {ended - began:.2f} |")


def measure(server):
    admin, stop, queue = Admin(server), Event(), SimpleQueue()
    access = (server.port, server.ca, server.access_key, server.secret_key)
    kinds, keys = ["GET", "PUT"] * CLIENTS, sample(server)
    clients = [Process(target=run_client, args=(number, kind, access, keys, stop, queue), daemon=True) for number, kind in enumerate(kinds)]
    for client in clients:
        client.start()
    time.sleep(2)
    windows, passes, quiet_seconds = {"without": [], "during a pass": []}, [], QUIET_SECONDS
    for number in range(ROUNDS):
        began = time.monotonic()
        time.sleep(quiet_seconds)
        windows["without"].append((began, time.monotonic()))
        (began, ended), job = run_pass(server, admin, number)
        windows["during a pass"].append((began, ended))
        passes.append(job)
        quiet_seconds = max(QUIET_SECONDS, ended - began)
        time.sleep(1)
    stop.set()
    results = [queue.get() for _ in clients]
    for client in clients:
        client.join()
        assert client.exitcode == 0, "a client failed: its error stands above"
    show(results, windows, passes)


def main():
    folder = REPOSITORY / "target/bench"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="lifecycle.", dir=folder) as home:
        server = Server(Path(home) / "home").start()
        try:
            server.raw().request("PUT", f"/{BUCKET}").ok()
            fill(server, OBJECTS, SIZE, OBJECTS)
            for number in range(ROUNDS):
                fill(server, DUE, SIZE + 1 + number, 0)
            measure(server)
        finally:
            server.stop()
            server.remove()


if __name__ == "__main__":
    main()
