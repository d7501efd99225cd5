"""`make load` does what its guide says: here with cells of half a second, beside one crowd, and with a full disk."""

import json
import os
import subprocess
import sys

import pytest

from harness.server import REPOSITORY

SOURCES = REPOSITORY / "bench/s3load"


@pytest.mark.timeout(600)
def test_one_client_beside_a_crowd_and_a_full_disk_are_measured_and_no_request_fails(tmp_path):
    build = ["cargo", "build", "--quiet", "--release", "--manifest-path", str(SOURCES / "Cargo.toml")]
    subprocess.run(build, env=os.environ | {"CARGO_TARGET_DIR": str(REPOSITORY / "target/s3load")}, check=True)
    env = os.environ | {"SECS": "0.5", "PEERS": "strongroom", "CROWDS": "nothing,500 × PUT 4 KiB of another", "MEMORY": "0"}
    done = subprocess.run([sys.executable, str(REPOSITORY / "bench/load"), str(tmp_path)], env=env, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-4000:]
    rows = [json.loads(line) for line in (tmp_path / "load.jsonl").read_text().splitlines()]
    cells = {(row["crowd"], row["operation"]): row for row in rows if row["kind"] == "crowd"}
    assert set(cells) == {(crowd, operation) for crowd in ("nothing", "500 × PUT 4 KiB of another") for operation in ("get", "put", "head", "list")}
    for cell in cells.values():
        assert cell["errors"] == 0 and 0 < cell["p50_ms"] <= cell["p99_ms"] <= cell["p999_ms"], cell
    assert cells["500 × PUT 4 KiB of another", "get"]["descriptors"] > 500 > cells["nothing", "get"]["descriptors"]
    [disk] = [row for row in rows if row["kind"] == "disk"]
    assert disk["objects"] > 0 and disk["upload_again_s"] >= 0
    assert done.stdout.count("\n|") == 3 and "A full disk of 256 MiB" in done.stdout, done.stdout
