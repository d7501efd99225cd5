"""What a request costs the server in a bucket of many versions, beside the same in a bucket of few: CPU milliseconds, over TLS.

usage: python bench/versions.py [RESULTS_DIR]     after tests/install.sh, make build and a build of bench/s3load
Env: VERSIONS (1000000) in a bucket, FEW (1000) in the one to compare with, SERVER (target/release/strongroom), ONLY (part of a row's name)
Everything listens on loopback and is stopped at the end. A million versions take some minutes to write.
"""

import json
import os
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path

BENCH = Path(__file__).resolve().parent
sys.path.insert(0, str(BENCH.parent / "tests"))

from harness.admin import Admin  # noqa: E402
from harness.server import Server  # noqa: E402

S3LOAD = BENCH.parent / "target/s3load/release/s3load"
VERSIONS = int(os.environ.get("VERSIONS", 1_000_000))
FEW = int(os.environ.get("FEW", 1_000))
PAGE = 1000
BATCHES = 5
PAGES = 200  # of a listing: a tick of the clock is then 0.05 ms of a page
WRITERS = 16
SIZE = 16
TICKS = os.sysconf("SC_CLK_TCK")

# What a bucket is full of: its name, how many keys share the versions, and whether all of them are deleted then.
SHAPES = [
    ("few versions of 10 keys", FEW, 10, False),
    ("versions of 10 keys", VERSIONS, 10, False),
    ("10 versions of each key", VERSIONS, VERSIONS // 10, False),
    ("keys that are deleted", VERSIONS // 2, VERSIONS // 2, True),
]


class Store:
    """A server, and what it costs it to answer."""

    def __init__(self, folder):
        self.server = Server(Path(folder) / "home")
        self.server.start()
        self.s3 = self.server.boto(max_pool_connections=1)
        self.admin = Admin(self.server)
        self.bucket = "versions"
        self.s3.create_bucket(Bucket=self.bucket)
        self.s3.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})

    def close(self):
        self.server.stop()
        self.server.remove()

    def cpu_ms(self):
        fields = Path(f"/proc/{self.server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * 1000 / TICKS

    def cost(self, calls):
        """CPU milliseconds of one of the calls, on the average."""
        calls = list(calls)
        before = self.cpu_ms()
        for call in calls:
            call()
        return (self.cpu_ms() - before) / max(len(calls), 1)

    def fill(self, versions, keys):
        """CPU milliseconds of one of so many PUTs. The generator ends a run by the mebibytes that it moved."""
        options = ["--op", "put", "--mode", "sse-s3", "--bucket", self.bucket, "--size", str(SIZE), "--overwrite", str(keys), "--no-cleanup"]
        limits = ["--concurrency", str(WRITERS), "--runs", "1", "--warm-secs", "0", "--secs", "7200", "--max-ops", str(versions)]
        access = ["--endpoint", self.server.endpoint, "--ak", self.server.access_key, "--sk", self.server.secret_key]
        before = self.cpu_ms()
        subprocess.run([S3LOAD, *access, *options, *limits], check=True, stdout=subprocess.PIPE)
        return (self.cpu_ms() - before) / versions

    def ids(self, key, count, after=None):
        """So many version ids of a key, the newest first; `after` skips that many pages."""
        pages = self.s3.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=key, PaginationConfig={"PageSize": PAGE})
        found = (version["VersionId"] for page in islice(pages, after or 0, None) for version in page.get("Versions", []))
        return list(islice(found, count))


def measure(store, versions, keys, deleted):
    """What each request costs, by its name."""
    s3, at = store.s3, {"Bucket": store.bucket}
    names = [f"over/o{number:08}" for number in range(keys)]
    some = [names[number * keys // 200 % keys] for number in range(200)]
    costs = {"PUT": store.fill(versions, keys)}
    each = versions // keys
    middle = [(key, store.ids(key, 1, after=min(each // 2 // PAGE, 20))) for key in (some[:10] if keys <= 10 else some)]
    middle = [(key, found[0]) for key, found in middle if found] * (20 if keys <= 10 else 1)
    if deleted:
        batches = [names[start : start + PAGE] for start in range(0, keys, PAGE)]
        whole = store.cost(
            (lambda batch=batch: s3.delete_objects(**at, Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True})) for batch in batches
        )
        costs["DeleteObjects, each of 1,000 markers"] = whole / PAGE
    else:
        costs["GET"] = store.cost((lambda key=key: s3.get_object(**at, Key=key)["Body"].read()) for key in some)
    costs["GET of an old version"] = store.cost((lambda key=key, one=one: s3.get_object(**at, Key=key, VersionId=one)["Body"].read()) for key, one in middle)
    deep = names[keys * 9 // 10]
    key, one = middle[-1]
    pages = {
        "ListObjectsV2, first page": {"list-type": "2"},
        "ListObjectsV2, deep page": {"list-type": "2", "start-after": deep},
        "ListObjectVersions, first page": {"versions": ""},
        "ListObjectVersions, deep page": {"versions": "", "key-marker": key, "version-id-marker": one},
    }
    # A client that takes a page apart meanwhile would cost the server its place in the processor's caches.
    raw = store.server.raw()
    for name, query in pages.items():
        costs[name] = store.cost([lambda query=query: raw.request("GET", f"/{store.bucket}", query=query).ok()] * PAGES)
    costs["usage of the key"] = store.cost([lambda: store.admin.usage("default")] * 20)
    costs["PUT over a key"] = store.cost((lambda key=key: s3.put_object(**at, Key=key, Body=b"x" * SIZE)) for key in some)
    costs["DELETE, a marker"] = store.cost((lambda key=key: s3.delete_object(**at, Key=key)) for key in some)
    found = {key: store.ids(key, 200 // min(keys, 10) if keys <= 10 else 1) for key in dict.fromkeys(some)}
    by_id = [(key, one) for key, ids in found.items() for one in ids]
    costs["DELETE of a version"] = store.cost((lambda key=key, one=one: s3.delete_object(**at, Key=key, VersionId=one)) for key, one in by_id)
    other = store.admin.create_key("other")
    before = store.cpu_ms()
    begun = store.admin("POST", "/rekey", {"from_key": "default", "to_key": other}, status=202)
    job = store.admin.wait_for_job(begun["job_id"], seconds=3600)
    assert (job["state"], job["failed"]) == ("Completed", 0), job
    costs["re-key, each version"] = (store.cpu_ms() - before) / max(job["done"], 1)
    batches = []
    for page in islice(s3.get_paginator("list_object_versions").paginate(**at, PaginationConfig={"PageSize": PAGE}), BATCHES):
        batches.append([{"Key": version["Key"], "VersionId": version["VersionId"]} for version in page.get("Versions", [])])
    batches = [batch for batch in batches if batch]
    whole = store.cost((lambda batch=batch: s3.delete_objects(**at, Delete={"Objects": batch, "Quiet": True})) for batch in batches)
    costs["DeleteObjects, each of a page of versions"] = whole * len(batches) / max(sum(map(len, batches)), 1)
    return costs


def main():
    results = Path(sys.argv[1] if len(sys.argv) > 1 else BENCH.parent / "target/bench")
    results.mkdir(parents=True, exist_ok=True)
    columns = {}
    for name, versions, keys, deleted in SHAPES:
        if os.environ.get("ONLY", "") not in name:
            continue
        with tempfile.TemporaryDirectory(prefix="versions.", dir=results) as folder:
            store = Store(folder)
            try:
                columns[f"{versions:,}: {name}"] = measure(store, versions, keys, deleted)
            finally:
                store.close()
        (results / "versions.json").write_text(json.dumps(columns, indent=1))
    rows = list(dict.fromkeys(row for costs in columns.values() for row in costs))
    print("| CPU ms | " + " | ".join(columns) + " |")
    print("| --- " * (len(columns) + 1) + "|")
    for row in rows:
        cells = [f"{costs[row]:.3f}" if row in costs else "" for costs in columns.values()]
        print(f"| {row} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
