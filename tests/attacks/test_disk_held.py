"""Who holds the disk: blobs that are gone, cut, exchanged or no files, rows that were edited, and an audit log that is none."""

import os
import shutil
import socket
import subprocess
import time

import pytest

from conftest import make_bucket
from harness import audit
from harness.server import BINARY, Server, free_ports
from harness.sse import DSSE, NONE, SSE_C, SSE_S3, random_body
from test_tamper import INTEGRITY, LENGTH, Shape, Stored, swap
from test_tamper_catalog import Rows

PART_BYTES = 5 << 20
OWN_CONFIG = "encrypt_by_default = false\nsweep_interval_seconds = 1\ndead_blob_grace_seconds = 1\n"
PATIENCE_SECONDS = 10


# ---- 14: a copy of what is damaged


def exchanged(blob, stored):
    other = Stored(stored.server, stored.bucket, "exchanged", stored.mode, random_body(LENGTH))
    swap(blob.path, other.blobs[0])


DAMAGES = {
    "gone": lambda blob, stored: blob.path.unlink(),
    "empty": lambda blob, stored: blob.path.write_bytes(b""),
    "cut by a byte": lambda blob, stored: blob.cut(1),
    "cut by a chunk": lambda blob, stored: blob.cut(blob.last),
    "exchanged for another object's": exchanged,
    "altered in its header": lambda blob, stored: blob.flip(20),
    "altered in its first chunk": lambda blob, stored: blob.flip(blob.chunk(0) + 10),
    "altered in its last chunk": lambda blob, stored: blob.flip(blob.size - 20),
    "zeros": lambda blob, stored: blob.path.write_bytes(bytes(blob.size)),
    "a directory": lambda blob, stored: (blob.path.unlink(), blob.path.mkdir()),
    "a FIFO": lambda blob, stored: (blob.path.unlink(), os.mkfifo(blob.path)),
}
COPIES = {
    "to another key": lambda stored: stored.server.raw().copy(f"{stored.bucket}/victim", stored.bucket, "copy", stored.mode.write | stored.mode.source),
    "under another encryption": lambda stored: stored.server.raw().copy(f"{stored.bucket}/victim", stored.bucket, "copy", SSE_S3.write | stored.mode.source),
    "onto itself": lambda stored: stored.server.raw().copy(
        f"{stored.bucket}/victim",
        stored.bucket,
        "victim",
        SSE_S3.write | stored.mode.source | {"x-amz-metadata-directive": "REPLACE"},
        timeout=PATIENCE_SECONDS,
    ),
}


@pytest.mark.parametrize("copy", COPIES)
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("mode", [SSE_S3, SSE_C], ids=str)
def test_a_copy_of_a_damaged_object_is_refused_and_makes_no_object(own, own_bucket, mode, damage, copy):
    stored = Stored(own, own_bucket, "victim", mode, random_body(LENGTH))
    [path] = stored.blobs
    DAMAGES[damage](Shape(path, mode), stored)
    listed = listing(own, own_bucket)
    COPIES[copy](stored).fails(500, "InternalError")
    own.raw().get(own_bucket, "copy").fails(404, "NoSuchKey")
    assert listing(own, own_bucket) == listed, "the copy, or the object in another state, is listed"


@pytest.mark.parametrize("damage", ["gone", "cut by a byte", "altered in its last chunk"])
def test_a_copy_of_an_object_of_which_one_part_is_damaged_is_refused(own, own_bucket, damage):
    stored = Stored(own, own_bucket, "victim", NONE, parts=[random_body(PART_BYTES), random_body(LENGTH)])
    [path] = [blob for blob in stored.blobs if blob.stat().st_size < PART_BYTES]
    DAMAGES[damage](Shape(path, NONE), stored)
    COPIES["to another key"](stored).fails(500, "InternalError")
    own.raw().get(own_bucket, "copy").fails(404, "NoSuchKey")


@pytest.mark.parametrize("damage", ["gone", "cut by a chunk", "altered in its first chunk"])
def test_a_part_copied_from_a_damaged_object_is_refused(own, own_bucket, damage):
    stored = Stored(own, own_bucket, "victim", DSSE, random_body(LENGTH))
    DAMAGES[damage](Shape(stored.blobs[0], DSSE), stored)
    raw = own.raw()
    upload = raw.begin_upload(own_bucket, "upload")
    raw.upload_part_copy(f"{own_bucket}/victim", own_bucket, "upload", upload, 1).fails(500, "InternalError")
    assert raw.request("GET", f"/{own_bucket}/upload", query={"uploadId": upload}).ok().xml().find("Part") is None


def listing(server, bucket):
    """Keys, sizes, ETags and dates."""
    found = server.raw().request("GET", f"/{bucket}").ok().xml().iter("Contents")
    return {row.findtext("Key"): (row.findtext("Size"), row.findtext("ETag"), row.findtext("LastModified")) for row in found}


# ---- 15: what is no file in a file's place

PLACES = {
    "a FIFO": lambda path, other: os.mkfifo(path),
    "a link to the same bytes elsewhere": lambda path, other: path.symlink_to(other),
    "a link to a file of the system": lambda path, other: path.symlink_to("/etc/passwd"),
    "a link to a device without end": lambda path, other: path.symlink_to("/dev/zero"),
    "a link to itself": lambda path, other: path.symlink_to(path.name),
    "a directory": lambda path, other: path.mkdir(),
    "a socket": lambda path, other: bind(path),
}


def bind(path):
    os.chdir(path.parent)  # a socket's path may be some hundred characters only
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir("/")


@pytest.mark.parametrize("what", PLACES)
def test_what_is_no_file_in_a_blob_s_place_is_an_error_at_once_and_holds_no_thread(own, own_bucket, tmp_path, what):
    stored = Stored(own, own_bucket, "victim", SSE_S3, random_body(LENGTH))
    other = Stored(own, own_bucket, "other", SSE_S3, random_body(LENGTH))
    [path] = stored.blobs
    shutil.move(path, tmp_path / "elsewhere")
    PLACES[what](path, tmp_path / "elsewhere")
    threads = len(os.listdir(f"/proc/{own.process.pid}/task"))
    for _ in range(8):
        began = time.monotonic()
        own.raw().get(own_bucket, "victim", timeout=PATIENCE_SECONDS).fails(500, "InternalError")
        assert time.monotonic() - began < PATIENCE_SECONDS / 2
    other.is_intact()
    assert len(os.listdir(f"/proc/{own.process.pid}/task")) <= threads + 8
    own.raw().delete(own_bucket, "victim").ok(204)
    assert own.health("ready") == 200


def test_a_server_with_what_is_no_file_in_a_blob_s_place_stops_in_time(own, own_bucket):
    stored = Stored(own, own_bucket, "victim", SSE_S3, random_body(LENGTH))
    stored.blobs[0].unlink()
    os.mkfifo(stored.blobs[0])
    try:
        own.raw().get(own_bucket, "victim", timeout=2)
    except TimeoutError:
        pass
    began = time.monotonic()
    assert own.stop() == 0
    assert time.monotonic() - began < PATIENCE_SECONDS


FILES = {
    "the configuration": lambda server: server.home / "strongroom.toml",
    "the master key": lambda server: server.secrets / "kms-master.key",
    "the lock": lambda server: server.data / "lock",
    "the catalog": lambda server: server.data / "catalog.db",
}


def start(server):
    """A start that is to fail, and what it says; TimeoutExpired where it neither fails nor ends."""
    one, two = free_ports(2)
    ports = ["--address", f"127.0.0.1:{one}", "--admin-address", f"127.0.0.1:{two}"]
    command = [str(BINARY), "serve", str(server.data), *ports, "--config", str(server.home / "strongroom.toml")]
    return subprocess.run(command, env=server.extra_env, capture_output=True, text=True, timeout=PATIENCE_SECONDS)


@pytest.mark.parametrize("what", FILES)
def test_a_fifo_in_a_file_s_place_never_hangs_the_start(new_server, what):
    server = new_server("encrypt_by_default = false\n")
    assert server.stop() == 0
    path = FILES[what](server)
    path.unlink()
    os.mkfifo(path, 0o600)
    try:
        told = start(server)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"a FIFO in the place of {what} hangs the start") from None
    finally:
        path.unlink()
    status = 2 if what == "the configuration" else 1
    assert (told.returncode, told.stderr.splitlines()[-1][:12]) == (status, "strongroom: "), told.stderr


@pytest.mark.parametrize("name", ["server.pem", "server.key"])
def test_a_fifo_in_the_place_of_a_certificate_that_is_issued_at_each_start_is_replaced(new_server, name):
    server = new_server("encrypt_by_default = false\n")
    assert server.stop() == 0
    path = server.secrets / "tls" / name
    path.unlink()
    os.mkfifo(path, 0o600)
    server.start()
    assert server.health("ready") == 200 and path.is_file()


@pytest.mark.parametrize("mode", [0o777, 0o755, 0o770, 0o711], ids=oct)
@pytest.mark.parametrize("which", ["data", "secrets"])
def test_a_directory_that_is_open_to_others_is_refused(new_server, which, mode):
    server = new_server("encrypt_by_default = false\n")
    assert server.stop() == 0
    getattr(server, which).chmod(mode)
    try:
        told = start(server)
    finally:
        getattr(server, which).chmod(0o700)
    assert told.returncode == 1 and "chmod" in told.stderr, told.stderr


# ---- 13: a listing of rows that were edited

EDITS = {
    "a size that is one more": ("size_bytes", lambda value: value + 1),
    "a size of zero": ("size_bytes", lambda value: 0),
    "another date": ("modified", lambda value: value - 86_400_000),
    "another name": ("key", lambda value: b"forged"),
    "another mode": ("mode", lambda value: 1 if value != 1 else 2),
}
LISTINGS = {"ListObjects": {}, "ListObjectsV2": {"list-type": "2"}, "ListObjectVersions": {"versions": ""}}


@pytest.mark.parametrize("edit", EDITS)
def test_no_listing_shows_a_row_that_was_edited_as_true(own, own_bucket, edit):
    column, change = EDITS[edit]
    Stored(own, own_bucket, "victim", NONE, random_body(300))
    Stored(own, own_bucket, "bystander", NONE, random_body(301))
    true = listing(own, own_bucket)["bystander"]
    with Rows(own, own_bucket) as rows:
        rows.set("victim", column, change(rows.get("victim", column)))
    for name, query in LISTINGS.items():
        counted = own.metric(INTEGRITY)
        reply = own.raw().request("GET", f"/{own_bucket}", query=query).ok()
        keys = [row.findtext("Key") for row in reply.xml().iter("Version" if "Versions" in name else "Contents")]
        assert keys == ["bystander"], f"{name}: {keys}"
        assert own.metric(INTEGRITY) > counted, f"{name} does not report the damage"
    assert listing(own, own_bucket)["bystander"] == true


def test_two_rows_that_changed_names_are_listed_under_neither(own, own_bucket):
    for key, length in (("one", 10), ("two", 20)):
        Stored(own, own_bucket, key, SSE_S3, random_body(length))
    with Rows(own, own_bucket) as rows:
        first, second = rows.row("one"), rows.row("two")
        for key, row in ((b"between", first), (b"one", second), (b"two", first)):
            rows.catalog.execute("UPDATE versions SET key = ? WHERE id = ?", (key, row))
    assert listing(own, own_bucket) == {}


def test_a_row_that_was_moved_to_another_bucket_is_listed_in_neither(own, own_bucket):
    other = make_bucket(own)
    Stored(own, own_bucket, "victim", SSE_S3, random_body(10))
    with Rows(own, own_bucket) as rows:
        [[bucket]] = rows.catalog.execute("SELECT id FROM buckets WHERE name = ?", (other.encode(),)).fetchall()
        rows.catalog.execute("UPDATE versions SET bucket = ? WHERE id = ?", (bucket, rows.row("victim")))
    assert (listing(own, own_bucket), listing(own, other)) == ({}, {})


@pytest.mark.parametrize(("column", "value"), [("key", b"forged"), ("initiator", "mallory"), ("initiated", 0)])
def test_no_listing_of_uploads_shows_a_row_that_was_edited_as_true(own, own_bucket, column, value):
    own.raw().begin_upload(own_bucket, "upload")
    with Rows(own, own_bucket) as rows:
        assert rows.catalog.execute(f"UPDATE uploads SET {column} = ? WHERE id = (SELECT max(id) FROM uploads)", (value,)).rowcount == 1
    reply = own.raw().request("GET", f"/{own_bucket}", query={"uploads": ""}).ok()
    assert reply.xml().find("Upload") is None, reply.body


@pytest.mark.parametrize(("column", "value"), [("size_bytes", 7), ("modified", 0), ("number", 2)])
def test_no_listing_of_parts_shows_a_row_that_was_edited_as_true(own, own_bucket, column, value):
    raw = own.raw()
    upload = raw.begin_upload(own_bucket, "upload")
    raw.upload_part(own_bucket, "upload", upload, 1, b"part").ok()
    with Rows(own, own_bucket) as rows:
        assert rows.catalog.execute(f"UPDATE parts SET {column} = ? WHERE upload = (SELECT max(id) FROM uploads)", (value,)).rowcount == 1
    reply = own.raw().request("GET", f"/{own_bucket}/upload", query={"uploadId": upload})
    assert reply.status == 500 or reply.xml().find("Part") is None, reply.body


# ---- 12: an audit log that is none


def emptied(folder):
    for path in folder.glob("audit-*.jsonl"):
        path.write_bytes(b"")


LOGS = {
    "an empty directory": lambda folder: [path.unlink() for path in folder.iterdir()],
    "a log that was emptied": emptied,
    "a directory of other files": lambda folder: [path.rename(path.with_suffix(".txt")) for path in folder.glob("audit-*")],
    "a log of blank lines": lambda folder: [path.write_bytes(b"\n\n\n") for path in folder.glob("audit-*")],
}


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """The audit log of a server that has ended, and its public key."""
    server = Server(tmp_path_factory.mktemp("log") / "home").start()
    raw = server.raw()
    raw.request("PUT", "/bucket").ok()
    raw.put("bucket", "object", b"x").ok()
    key = audit.Admin(server)("GET", "/audit/head")["public_key"]
    assert server.stop() == 0
    yield server.data / "audit", key
    server.remove()


@pytest.mark.parametrize("what", LOGS)
def test_an_audit_log_without_a_record_is_not_called_intact(log, tmp_path, what):
    folder = tmp_path / "audit"
    shutil.copytree(log[0], folder)
    audit.verify(folder)
    LOGS[what](folder)
    audit.verify(folder, status=1)


@pytest.mark.parametrize("where", ["blobs", "."])
def test_another_directory_is_not_called_an_intact_audit_log(log, where):
    audit.verify(log[0].parent / where, status=1)


def test_a_log_without_a_checkpoint_is_not_called_intact_by_its_key(log, tmp_path):
    folder, (source, key) = tmp_path / "audit", log
    shutil.copytree(source, folder)
    audit.verify(folder, "--public-key", key)
    for path in folder.glob("audit-*.jsonl"):
        path.write_bytes(b"".join(line for line in path.read_bytes().splitlines(True) if b'"checkpoint"' not in line.lower() and b'"signature"' not in line))
    audit.verify(folder, "--public-key", key, status=1)
