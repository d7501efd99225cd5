"""What is measured: one client's latencies, and what the server takes meanwhile."""

import json
import os
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from targets import BENCH

S3LOAD = BENCH.parent / "target/s3load/release/s3load"
SECS = os.environ.get("SECS", "5")
# The crowd's clients run only where nothing else does: in life they are on machines of their own.
IDLE = ["chrt", "--idle", "0"]


def s3load(target, *options, credentials=None):
    access_key, secret_key = credentials or (target.access_key, target.secret_key)
    return [str(S3LOAD), "--endpoint", target.endpoint, "--ak", access_key, "--sk", secret_key, "--size", "4KiB", *options]


def latencies(target, operation, mode):
    """p50, p99 and p99.9 in milliseconds of one client's requests, how many there were and how many failed."""
    listing = ["--bucket", "few", "--objects", "100", "--prefixes", "100"] if operation == "list" else ["--bucket", "points"]
    options = ["--op", operation, "--mode", mode, "--concurrency", "1", "--runs", "1", "--secs", SECS, "--warm-secs", "0.3", "--no-populate"]
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as results:
        done = subprocess.run(s3load(target, *listing, *options, "--json", results.name), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        lines = Path(results.name).read_text().splitlines()
    assert lines, done.stdout
    row = json.loads(lines[-1])
    return {name: row[name] for name in ("p50_ms", "p99_ms", "p999_ms", "ops_s", "errors", "first_error")}


class Watch:
    """The most memory, descriptors and threads that a process has, and the processor time that it takes, while this is entered."""

    def __init__(self, pid, interval_seconds=0.2):
        self.pid, self.interval_seconds = pid, interval_seconds
        self.most = {"rss_mib": 0, "descriptors": 0, "threads": 0}
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._watch)

    def __enter__(self):
        self.cpu, self.began = cpu_seconds(self.pid), time.monotonic()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        self.most["cores"] = (cpu_seconds(self.pid) - self.cpu) / (time.monotonic() - self.began)

    def _watch(self):
        while True:
            for name, value in now(self.pid).items():
                self.most[name] = max(self.most[name], value)
            if self.ended.wait(self.interval_seconds):
                return


def now(pid):
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {
        "rss_mib": int(fields["VmRSS"].split()[0]) / 1024,
        "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
        "threads": int(fields["Threads"]),
    }


def cpu_seconds(pid):
    words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
