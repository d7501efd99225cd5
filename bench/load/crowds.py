"""What others do while one client is measured. Each of these is a context: inside, the crowd is at work."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from figures import IDLE, now, s3load
from harness.admin import Admin

PACE = 16 << 10  # bytes a second of a slow client
PATIENCE_SECONDS = 120
LONG = "3600"  # whoever enters a crowd ends it
REKEYED = int(os.environ.get("REKEYED", "20000"))


@contextlib.contextmanager
def nothing(target):
    yield


@contextlib.contextmanager
def listers(target):
    """Eight clients list the root of a bucket, which has 1,000 prefixes."""
    with _clients(target, "--op", "list", "--bucket", "listed", "--no-populate", "--concurrency", "8"):
        yield


@contextlib.contextmanager
def slow(target, method, count):
    """So many clients read or write 16 MiB each, at 16 KiB a second."""
    command = [*IDLE, sys.executable, str(Path(__file__).with_name("paced.py")), method, str(count), str(target.port), str(target.ca), "large", str(PACE)]
    env = os.environ | {"AK": target.crowd[0], "SK": target.crowd[1]}
    process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n", "the slow clients did not come up"
        yield
    finally:
        process.stdin.close()
        process.wait(60)


@contextlib.contextmanager
def flood(target, operation, size="4KiB"):
    """Another identity has 500 connections, and sends one request after the other on each."""
    with _clients(target, "--op", operation, "--size", size, "--bucket", "crowd", "--concurrency", "500", "--no-populate"):
        yield


@contextlib.contextmanager
def sweep(target):
    """Blobs of 256 KiB are written and deleted, and the sweep, which runs each second, removes what died."""
    with _clients(target, "--op", "put", "--size", "256KiB", "--bucket", "swept", "--concurrency", "4", runs="1000", secs="1"):
        yield


@contextlib.contextmanager
def rekey(target):
    """One re-key after the other moves the objects of a bucket from key to key."""
    admin, ended = Admin(target), threading.Event()
    keys = [admin.create_key(), admin.create_key()]
    options = ["--op", "put", "--bucket", "rekeyed", "--mode", "sse-kms", "--kms-key", keys[0], "--concurrency", "8", "--runs", "1", "--warm-secs", "0"]
    subprocess.run(s3load(target, *options, "--secs", LONG, "--max-mib", str(REKEYED * 4 >> 10), "--no-cleanup"), check=True, stdout=subprocess.DEVNULL)

    def work():
        while not ended.is_set():
            admin.rekey(from_key=keys[0], to_key=keys[1])
            keys.reverse()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def hung_kms(target):
    """Another identity has 200 connections whose objects need a key server that takes connections and never answers."""
    target.key_server("pause")
    try:
        with _clients(target, "--op", "put", "--bucket", "hung", "--mode", "sse-kms", "--kms-key", target.key_there, "--concurrency", "200"):
            yield
    finally:
        target.key_server("resume")


@contextlib.contextmanager
def _clients(target, *options, runs="1", secs=LONG):
    command = s3load(target, *options, "--runs", runs, "--secs", secs, "--warm-secs", "0", "--no-cleanup" if runs == "1" else "--no-populate", credentials=target.crowd)
    count = int(options[options.index("--concurrency") + 1])
    process = subprocess.Popen([*IDLE, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # what it runs has its process id
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while now(process.pid)["descriptors"] < count:
            assert process.poll() is None and time.monotonic() < deadline, f"the clients did not come up: {' '.join(command)}"
            time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait()
