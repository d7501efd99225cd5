#!/usr/bin/env python3
"""SSE-KMS of 4 KiB objects with keys in the local key store and in OpenBao over TLS: cache on, cache off, and with bucket keys.

usage: bench/kms.py        after tests/install.sh and make build; SECS (5) of each cell, CONC (8)

Calls of the key server are counted by the store's own metric. Everything listens on loopback and is stopped at the end.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from harness.admin import Admin  # noqa: E402
from harness.keyservers import OpenBao, trusted_dirs  # noqa: E402
from harness.server import Server  # noqa: E402

LOAD = ROOT / "target/s3load/release/s3load"
SECS, CONC, SIZE = os.environ.get("SECS", "5"), os.environ.get("CONC", "8"), "4KiB"
RULE = '<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>true</BucketKeyEnabled></Rule></ServerSideEncryptionConfiguration>'


def cell(server, bucket, operation, key):
    """One run, with the calls of the backend for each request."""
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as results:
        command = [LOAD, "--name", "strongroom", "--endpoint", server.endpoint, "--ak", server.access_key, "--sk", server.secret_key, "--mode", "sse-kms"]
        command += ["--kms-key", key, "--op", operation, "--size", SIZE, "--secs", SECS, "--runs", "1", "--concurrency", CONC, "--bucket", bucket]
        # Nothing is tidied up, so that each request is one of those measured.
        command += ["--no-cleanup", "--server", f"strongroom={server.process.pid}", "--json", results.name, "--warm-secs", "1"]
        before, requests = calls(server), server.metric("strongroom_http_requests_total")
        subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
        made, requests = calls(server) - before, server.metric("strongroom_http_requests_total") - requests
        return json.loads(Path(results.name).read_text().splitlines()[-1]) | {"calls_per_request": made / requests}


def calls(server):
    try:
        return server.metric("strongroom_kms_calls_total")
    except AssertionError:
        return 0


def measure(server, name, key, cache, bucket_key):
    admin = Admin(server)
    admin("POST", "/reconfigure", {"enable_cache": cache, "cache_ttl_seconds": 300})
    bucket = f"{name}-{'cache' if cache else 'none'}-{'bk' if bucket_key else 'each'}"
    raw = server.raw()
    raw.request("PUT", f"/{bucket}").ok()
    if bucket_key:
        raw.request("PUT", f"/{bucket}", query={"encryption": ""}, body=RULE.encode()).ok()
    for operation in ("put", "get"):
        row = cell(server, bucket, operation, key)
        setup = [name, "on" if cache else "off", "yes" if bucket_key else "no", operation.upper()]
        figures = [f"{row['ops_s']:.0f}", f"{row['server_cpu_ms_per_op']:.3f}", f"{row['p50_ms']:.2f}", f"{row['p99_ms']:.2f}", f"{row['calls_per_request']:.3f}"]
        assert row["errors"] == 0, row
        print("|", " | ".join(setup + figures), "|", flush=True)


def main():
    print("| keys in | cache | bucket keys | operation | a second | server CPU ms each | p50 ms | p99 ms | calls of the backend each |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    openbao = OpenBao()
    try:
        for name in ("local", "openbao"):
            with tempfile.TemporaryDirectory() as home:
                config = "encrypt_by_default = false\n" + ('[kms]\nbackend = "none"\n' + trusted_dirs(openbao.configuration()) if name == "openbao" else "")
                server = Server(Path(home) / "home", config=config).start()
                try:
                    key = "default"
                    if name == "openbao":
                        key = "bench"
                        openbao.bao("write", "-f", f"transit/keys/{key}")
                        Admin(server)("POST", "/configure", openbao.configuration(default_key_id=key))
                        Admin(server)("POST", "/start")
                    for cache, bucket_key in [(True, False), (False, False), (True, True), (False, True)]:
                        measure(server, name, key, cache, bucket_key)
                finally:
                    server.stop()
    finally:
        openbao.stop()


main()
