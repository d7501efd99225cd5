"""`strongroom inventory`: the mode, key and lock of each version, as CSV and JSON lines."""

import csv
import io
import json
import os
import subprocess
import threading
import urllib.parse
from pathlib import Path

import pytest

from conftest import make_bucket
from harness import disk
from harness.admin import Admin
from harness.cli import environment, run
from harness.server import BINARY
from harness.sse import BUCKET_KEY, KMS_KEY_ID, SSE, SSE_C

OWN_CONFIG = "encrypt_by_default = false\n"
COLUMNS = ["bucket", "key", "version_id", "is_latest", "size", "last_modified", "mode", "key_backend", "key_id", "key_version", "bucket_key_enabled"]
COLUMNS += ["lock_mode", "retain_until", "legal_hold", "event_hold"]
MODES = {
    "none": {},
    "SSE-S3": {SSE: "AES256"},
    "SSE-KMS": {SSE: "aws:kms", KMS_KEY_ID: "rotation-2024-09", BUCKET_KEY: "true"},
    "DSSE-KMS": {SSE: "aws:kms:dsse", KMS_KEY_ID: "rotation-2024-09"},
    "SSE-C": SSE_C.write,
}
AWKWARD = ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "a,b", 'say "hi"', "two\nlines", "tab\there", "ü/ß %41", " leading", "a-b_c.d~e"]


class Inventory:
    """`strongroom inventory …` against one server's admin port."""

    def __init__(self, server, home, access_key=None, secret_key=None):
        self.server = server
        self.home = Path(home)
        self.env = environment(server, home) | {
            "PATH": f"{BINARY.parent}:{os.environ['PATH']}",
            "AWS_ACCESS_KEY_ID": access_key or server.access_key,
            "AWS_SECRET_ACCESS_KEY": secret_key or server.secret_key,
        }

    @property
    def command(self):
        return f"strongroom inventory --endpoint https://127.0.0.1:{self.server.admin_port}"

    def __call__(self, arguments="", status=0):
        return run(f"{self.command} {arguments}", self.env, cwd=self.home, status=status)

    def lines(self, arguments=""):
        return [json.loads(line) for line in self(f"--format jsonl {arguments}").stdout.splitlines()]


@pytest.fixture
def inventory(server, tmp_path):
    return Inventory(server, tmp_path)


def put_each_mode(raw, bucket):
    for mode, headers in MODES.items():
        raw.put(bucket, f"under {mode}", mode.encode(), headers).ok()


def test_json_lines_tell_the_mode_and_the_version_of_the_key(new_server, tmp_path):
    server = new_server(OWN_CONFIG + '[kms]\nensure_keys = ["rotation-2024-09"]\n')
    raw, inventory, bucket = server.raw(), Inventory(server, tmp_path), make_bucket(server)
    put_each_mode(raw, bucket)
    Admin(server).change("rotate", "rotation-2024-09")
    raw.put(bucket, "later", b"x", {SSE: "aws:kms", KMS_KEY_ID: "rotation-2024-09"}).ok()
    found = {line["key"]: line for line in inventory.lines(f"--bucket {bucket}")}
    assert {key: (line["mode"], line["key_id"], line["key_version"]) for key, line in found.items()} == {
        "under none": ("none", None, None),
        "under SSE-S3": ("SSE-S3", "default", 1),
        "under SSE-KMS": ("SSE-KMS", "rotation-2024-09", 1),
        "under DSSE-KMS": ("DSSE-KMS", "rotation-2024-09", 1),
        "under SSE-C": ("SSE-C", None, None),
        "later": ("SSE-KMS", "rotation-2024-09", 2),
    }
    line = found["under SSE-KMS"]
    assert set(line) == set(COLUMNS)
    listed = {entry["Key"]: entry for entry in server.boto().list_objects_v2(Bucket=bucket)["Contents"]}["under SSE-KMS"]
    assert (line["bucket"], line["version_id"], line["is_latest"], line["size"], line["key_backend"]) == (bucket, "null", True, 7, "local")
    assert line["last_modified"][:19] == listed["LastModified"].isoformat()[:19]
    assert (line["bucket_key_enabled"], found["under DSSE-KMS"]["bucket_key_enabled"]) == (True, False)
    for mode in MODES:
        keys = {line["key"] for line in inventory.lines(f"--mode {mode}")}
        assert keys == {f"under {mode}"} | ({"later"} if mode == "SSE-KMS" else set())
    assert [line["key"] for line in inventory.lines("--key-id rotation-2024-09 --key-version 2")] == ["later"]
    assert inventory.lines("--backend elsewhere") == []
    assert [line["key"] for line in inventory.lines(f"--bucket {bucket} --prefix lat")] == ["later"]


def test_each_version_has_its_line_and_a_delete_marker_none(server, inventory, bucket):
    s3 = server.boto()
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=bucket, Key="object", Body=b"1")["VersionId"]
    second = s3.put_object(Bucket=bucket, Key="object", Body=b"22", ServerSideEncryption="aws:kms")["VersionId"]
    s3.delete_object(Bucket=bucket, Key="object")
    other = s3.put_object(Bucket=bucket, Key="other", Body=b"333")["VersionId"]
    found = {(line["version_id"], line["mode"], line["size"], line["is_latest"]) for line in inventory.lines(f"--bucket {bucket}")}
    assert found == {(first, "SSE-S3", 1, False), (second, "SSE-KMS", 2, False), (other, "SSE-S3", 3, True)}


def test_each_version_has_its_lock_in_the_last_columns(server, inventory, bucket):
    s3, bucket = server.boto(), f"{bucket}-locked"
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    until = {"ObjectLockRetainUntilDate": "2090-01-01T00:00:00Z"}
    locks = {
        "free": ({}, ["", "", "false", "false"]),
        "governed": ({"ObjectLockMode": "GOVERNANCE"} | until, ["GOVERNANCE", "2090-01-01T00:00:00Z", "false", "false"]),
        "complies": ({"ObjectLockMode": "COMPLIANCE", "ObjectLockLegalHoldStatus": "OFF"} | until, ["COMPLIANCE", "2090-01-01T00:00:00Z", "false", "false"]),
        "held": ({"ObjectLockLegalHoldStatus": "ON"}, ["", "", "true", "false"]),
        "waits": ({}, ["", "", "false", "true"]),
    }
    for key, (arguments, _) in locks.items():
        s3.put_object(Bucket=bucket, Key=key, Body=b"x", **arguments)
    s3.put_object_retention(Bucket=bucket, Key="waits", Retention={"EventHold": "ON", "EventHoldDuration": {"Days": 1}})
    rows = list(csv.reader(io.StringIO(inventory(f"--bucket {bucket}").stdout)))
    assert rows[0] == COLUMNS
    assert {row[1]: row[11:] for row in rows[1:]} == {key: columns for key, (_, columns) in locks.items()}
    found = {line["key"]: [line[name] for name in COLUMNS[11:]] for line in inventory.lines(f"--bucket {bucket}")}
    values = {"": None, "true": True, "false": False}
    assert found == {key: [values.get(text, text) for text in columns] for key, (_, columns) in locks.items()}


def test_csv_is_rfc_4180_with_keys_that_no_spreadsheet_takes_for_formulas(raw, inventory, bucket):
    for key in AWKWARD:
        raw.put(bucket, key, b"x").ok()
    text = subprocess.run(["bash", "-c", f"{inventory.command} --bucket {bucket}"], env=inventory.env, capture_output=True, check=True).stdout
    assert text.endswith(b"\r\n") and text.count(b"\n") == text.count(b"\r\n") == len(AWKWARD) + 1
    rows = list(csv.DictReader(io.StringIO(text.decode(), newline="")))
    assert list(rows[0]) == COLUMNS
    assert {urllib.parse.unquote(row["key"]) for row in rows} == set(AWKWARD)
    assert not any(field[:1] in "=+-@\t\r" for row in rows for field in row.values() if field)
    assert {(row["mode"], row["is_latest"], row["key_id"], row["bucket_key_enabled"]) for row in rows} == {("SSE-S3", "true", "default", "false")}
    assert {line["key"] for line in inventory.lines(f"--bucket {bucket}")} == set(AWKWARD), "JSON has them as they are"


def test_an_empty_inventory_has_headings_and_nothing_else(inventory, bucket):
    assert inventory(f"--bucket {bucket}").stdout.splitlines() == [",".join(COLUMNS)]
    assert inventory(f"--bucket {bucket} --format jsonl").stdout == ""


def test_it_goes_on_over_many_pages_beside_writers(server, inventory, bucket):
    s3, stop = server.boto(), threading.Event()
    for number in range(1200):
        server_put(s3, bucket, f"stays/{number:04}")

    def write():
        number = 0
        while not stop.is_set():
            server_put(s3, bucket, f"comes/{number % 7}")
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for arguments in ("", "--prefix s"):
            keys = [line["key"] for line in inventory.lines(f"--bucket {bucket} {arguments}") if line["key"].startswith("stays/")]
            assert sorted(keys) == [f"stays/{number:04}" for number in range(1200)]
    finally:
        stop.set()
        writer.join()


def server_put(s3, bucket, key):
    s3.put_object(Bucket=bucket, Key=key, Body=b"x")


def test_whoever_reads_only_the_first_line_is_no_failure(inventory, raw, bucket):
    raw.put(bucket, "object", b"x").ok()
    assert inventory(f"--bucket {bucket} | head -1").stdout.strip() == ",".join(COLUMNS)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ("--bucket no-such-bucket", 3),
        ("--mode AES256", 2),
        ("--format xml", 2),
        ("--key-id 'not a key'", 3),
        ("--key-version x", 2),
    ],
)
def test_an_exit_status_tells_what_went_wrong(inventory, arguments, status):
    done = inventory(arguments, status=status)
    assert done.stderr and not done.stdout


def test_a_server_that_is_away_is_told(inventory):
    run("strongroom inventory --endpoint https://127.0.0.1:1", inventory.env, status=6)


def test_an_altered_row_is_reported_and_not_listed(new_server, tmp_path):
    server = new_server()
    raw, inventory, bucket = server.raw(), Inventory(server, tmp_path), make_bucket(server)
    for key in ("genuine", "altered", "nonsense"):
        raw.put(bucket, key, b"x", {SSE: "aws:kms"}).ok()
    assert server.stop() == 0
    catalog = disk.catalog(server)
    for key, change in (("altered", "mode = 1, kms_key = NULL"), ("nonsense", "version_id = x''")):
        assert catalog.execute(f"UPDATE versions SET {change} WHERE key = ?", (key.encode(),)).rowcount == 1
    catalog.commit()
    catalog.close()
    server.start()
    done = inventory("--format jsonl", status=1)
    assert [json.loads(line)["key"] for line in done.stdout.splitlines()] == ["genuine"]
    assert f"names the bucket {bucket}, the key altered and the version" in done.stderr
    assert done.stderr.splitlines()[-1] == "strongroom: 2 rows were altered and left out"


def test_names_are_for_who_may_list_the_versions_of_their_bucket(new_server, tmp_path):
    def user(name, statements):
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        return f"[[users]]\nname = \"{name}\"\naccess_key = \"{name.upper()}\"\nsecret_key = \"{name}-secret\"\npolicy = '{policy}'\n"

    inventory_right = {"Effect": "Allow", "Action": "strongroom:GetInventory", "Resource": "arn:aws:strongroom:::kms"}
    of_one = {"Effect": "Allow", "Action": "s3:ListBucketVersions", "Resource": "arn:aws:s3:::one"}
    server = new_server(user("auditor", [inventory_right, of_one]) + user("lister", [of_one]))
    raw = server.raw()
    for bucket in ("one", "two"):
        raw.request("PUT", f"/{bucket}").ok()
        raw.put(bucket, f"in-{bucket}", b"x").ok()
    auditor = Inventory(server, tmp_path / "auditor", "AUDITOR", "auditor-secret")
    assert [line["key"] for line in auditor.lines("--bucket one")] == ["in-one"]
    everything = auditor("", status=4)
    assert "in-one" in everything.stdout and "in-two" not in everything.stdout + everything.stderr
    assert "1 rows in buckets that need s3:ListBucketVersions" in everything.stderr
    assert not auditor("--bucket two", status=4).stdout
    assert not Inventory(server, tmp_path / "lister", "LISTER", "lister-secret")("--bucket one", status=4).stdout


@pytest.mark.parametrize("prefix", ["/strongroom/admin/v1/kms", "/rustfs/admin/v3/kms"])
def test_the_call_stands_on_the_s3_port_too(server, bucket, raw, prefix):
    raw.put(bucket, "object", b"x").ok()
    page = Admin(server, prefix)("GET", "/inventory", query={"bucket": bucket})
    assert [version["key"] for version in page["versions"]] == ["object"]
