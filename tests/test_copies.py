"""Copies from every mode to every mode, rotation by self-copy, and what moves on the disk: nothing, but for DSSE's second layer."""

import hashlib

import pytest

from harness import checksums, disk
from harness.admin import Admin
from harness.sse import (
    DSSE,
    KEY,
    KMS_KEY_ID,
    MODES,
    NONE,
    OTHER_KEY,
    SSE,
    SSE_C,
    SSE_KMS,
    SSE_S3,
    customer,
    customer_mode,
    random_body,
    source_customer,
)

PART_BYTES = 5 << 20
LENGTH = 300_000
OTHER_C = customer_mode(OTHER_KEY)
PAIRS = pytest.mark.parametrize(("source", "target"), [(source, target) for source in MODES for target in MODES], ids=lambda mode: mode.name)


@pytest.fixture
def raw(plain_server):
    return plain_server.raw()


@pytest.fixture
def bucket(plain_bucket):
    return plain_bucket


def other(mode):
    """The same mode; under another key where the client brings it."""
    return OTHER_C if mode is SSE_C else mode


def data_stays(source, target):
    """DSSE has two layers, the others one: only between these do bytes have to be sealed again."""
    return (source is DSSE) == (target is DSSE)


def check(reply, body, mode):
    assert reply.ok().body == body
    mode.check(reply.headers)


@PAIRS
def test_a_copy_from_any_mode_to_any_mode_reads_back(plain_server, raw, bucket, source, target):
    body, target = random_body(LENGTH), other(target)
    data = disk.Data(plain_server, lambda: raw.put(bucket, "source", body, source.write).ok())
    copied = raw.copy(f"{bucket}/source", bucket, "target", target.write | source.source).ok()
    target.check(copied.headers)
    check(raw.get(bucket, "target", target.read), body, target)
    check(raw.get(bucket, "source", source.read), body, source)
    head = raw.head(bucket, "target", target.read).ok()
    assert head.etag == copied.xml().findtext("ETag").strip('"')
    if source.md5_etag and target.md5_etag:
        assert head.etag == hashlib.md5(body).hexdigest()
    if not target.md5_etag:
        assert head.etag != hashlib.md5(body).hexdigest()
    if data_stays(source, target if target is not OTHER_C else SSE_C):
        data.assert_not_moved()
    else:
        assert len(data.new()) == 1


@PAIRS
def test_a_copy_onto_itself_changes_the_mode(plain_server, raw, bucket, source, target):
    body, target = random_body(LENGTH), other(target)
    metadata = {"x-amz-meta-note": "kept", "content-type": "text/kept"}
    data = disk.Data(plain_server, lambda: raw.put(bucket, "object", body, source.write | metadata).ok())
    replace = {"x-amz-metadata-directive": "REPLACE"} | metadata if target is NONE else {}
    raw.copy(f"{bucket}/object", bucket, "object", target.write | source.source | replace).ok()
    reply = raw.get(bucket, "object", target.read)
    check(reply, body, target)
    assert {name: reply.headers[name] for name in metadata} == metadata
    if data_stays(source, target if target is not OTHER_C else SSE_C):
        data.assert_not_moved()
    if source is SSE_C:
        assert raw.get(bucket, "object", SSE_C.read).status in ((403,) if target is OTHER_C else (400,)), "the old key opens nothing any more"


@PAIRS
def test_small_objects_copy_as_large_ones_do(raw, bucket, source, target):
    body, target = b"a small object", other(target)
    raw.put(bucket, "source", body, source.write).ok()
    raw.copy(f"{bucket}/source", bucket, "target", target.write | source.source).ok()
    check(raw.get(bucket, "target", target.read), body, target)


@pytest.mark.parametrize("target", MODES, ids=str)
@pytest.mark.parametrize("source", [SSE_S3, SSE_C], ids=str)
def test_a_multipart_object_copies_without_moving_a_part(plain_server, raw, bucket, source, target):
    parts, target = [random_body(PART_BYTES), random_body(70_000)], other(target)
    data = disk.Data(plain_server, lambda: raw.put_multipart(bucket, "source", parts, source.write, source.read))
    raw.copy(f"{bucket}/source", bucket, "target", target.write | source.source).ok()
    check(raw.get(bucket, "target", target.read), b"".join(parts), target)
    at = PART_BYTES - 10
    assert raw.get(bucket, "target", target.read | {"range": f"bytes={at}-{at + 19}"}).ok(206).body == b"".join(parts)[at : at + 20]
    if target is not DSSE:
        data.assert_not_moved()


def test_a_shared_blob_lives_as_long_as_one_object_that_needs_it(plain_server, raw, bucket):
    body = random_body(LENGTH)
    raw.put(bucket, "source", body, SSE_S3.write).ok()
    raw.copy(f"{bucket}/source", bucket, "copy", SSE_C.write).ok()
    raw.delete(bucket, "source").ok(204)
    assert raw.get(bucket, "copy", SSE_C.read).ok().body == body
    raw.copy(f"{bucket}/copy", bucket, "third", SSE_KMS.write | SSE_C.source).ok()
    raw.put(bucket, "copy", b"overwritten").ok()
    assert raw.get(bucket, "third").ok().body == body


# ---- rotation


@pytest.mark.parametrize("length", [0, 100, LENGTH], ids=str)
def test_after_a_rotation_only_the_new_key_opens_the_object(plain_server, raw, bucket, length):
    body = random_body(length)
    data = disk.Data(plain_server, lambda: raw.put(bucket, "object", body, customer(KEY)).ok())
    raw.copy(f"{bucket}/object", bucket, "object", customer(OTHER_KEY) | source_customer(KEY)).ok()
    data.assert_not_moved()
    raw.get(bucket, "object", customer(KEY)).fails(403, "AccessDenied")
    assert raw.get(bucket, "object", customer(OTHER_KEY)).ok().body == body
    raw.copy(f"{bucket}/object", bucket, "object", customer(OTHER_KEY) | source_customer(KEY)).fails(403, "AccessDenied")


def test_a_rotated_multipart_object_reads_whole_and_by_part(raw, bucket):
    parts = [random_body(PART_BYTES), random_body(1234)]
    raw.put_multipart(bucket, "object", parts, SSE_C.write, SSE_C.read)
    raw.copy(f"{bucket}/object", bucket, "object", customer(OTHER_KEY) | source_customer(KEY)).ok()
    raw.get(bucket, "object", customer(KEY)).fails(403, "AccessDenied")
    assert raw.get(bucket, "object", customer(OTHER_KEY)).ok().body == b"".join(parts)
    assert raw.get(bucket, "object", customer(OTHER_KEY), query={"partNumber": "2"}).ok(206).body == parts[1]


def test_a_copy_onto_itself_that_changes_nothing_is_an_invalid_request(raw, bucket):
    raw.put(bucket, "object", b"body").ok()
    raw.copy(f"{bucket}/object", bucket, "object").fails(400, "InvalidRequest")


def test_a_copy_may_change_the_kms_key(server, bucket):
    raw = server.raw()
    raw.request("PUT", f"/{bucket}").ok()
    raw.put(bucket, "object", b"body", SSE_KMS.write).ok()
    headers = {SSE: "aws:kms", KMS_KEY_ID: "rotation-2024-09"}
    raw.copy(f"{bucket}/object", bucket, "object", headers).ok()
    reply = raw.get(bucket, "object").ok()
    assert (reply.body, reply.headers[KMS_KEY_ID]) == (b"body", "rotation-2024-09")


# ---- what a copy takes along


def test_a_copy_keeps_the_metadata_unless_told_to_replace_it(raw, bucket):
    raw.put(bucket, "source", b"body", {"content-type": "text/a", "x-amz-meta-a": "1", "cache-control": "no-store"}).ok()
    raw.copy(f"{bucket}/source", bucket, "copied", {"content-type": "text/ignored", "x-amz-meta-b": "2"}).ok()
    headers = raw.head(bucket, "copied").ok().headers
    assert (headers["content-type"], headers["x-amz-meta-a"], headers["cache-control"]) == ("text/a", "1", "no-store")
    assert "x-amz-meta-b" not in headers
    raw.copy(f"{bucket}/source", bucket, "replaced", {"x-amz-metadata-directive": "REPLACE", "content-type": "text/b", "x-amz-meta-b": "2"}).ok()
    headers = raw.head(bucket, "replaced").ok().headers
    assert (headers["content-type"], headers["x-amz-meta-b"]) == ("text/b", "2")
    assert "x-amz-meta-a" not in headers and "cache-control" not in headers
    raw.copy(f"{bucket}/source", bucket, "wrong", {"x-amz-metadata-directive": "MERGE"}).fails(400, "InvalidArgument")


def test_a_copy_keeps_the_checksum(raw, bucket):
    raw.put(bucket, "source", b"123456789", {"x-amz-checksum-crc32": "y/Q5Jg=="}).ok()
    raw.copy(f"{bucket}/source", bucket, "copy", SSE_C.write).ok()
    headers = raw.get(bucket, "copy", SSE_C.read | {"x-amz-checksum-mode": "ENABLED"}).ok().headers
    assert headers["x-amz-checksum-crc32"] == "y/Q5Jg=="


def test_a_copy_of_what_is_not_there(raw, bucket):
    raw.copy(f"{bucket}/nothing", bucket, "target").fails(404, "NoSuchKey")
    raw.copy("no-such-bucket-at-all/key", bucket, "target").fails(404, "NoSuchBucket")
    raw.put(bucket, "source", b"x").ok()
    raw.copy(f"{bucket}/source", "no-such-bucket-at-all", "target").fails(404, "NoSuchBucket")
    raw.put(bucket, "target", b"", {"x-amz-copy-source": "no-slash"}).fails(400, "InvalidArgument")


# ---- UploadPartCopy


@pytest.mark.parametrize("source", MODES, ids=str)
@pytest.mark.parametrize("target", MODES, ids=str)
def test_parts_are_copied_by_range_from_any_mode_to_any_mode(raw, bucket, source, target):
    body, target = random_body(PART_BYTES + 100_000), other(target)
    raw.put(bucket, "source", body, source.write).ok()
    upload = raw.begin_upload(bucket, "target", target.write)
    etags, ranges = {}, [(7, PART_BYTES + 6), (65_530, 65_545), (len(body) - 1, len(body) - 1)]
    for number, (first, last) in enumerate(ranges, 1):
        headers = target.read | source.source | {"x-amz-copy-source-range": f"bytes={first}-{last}"}
        if number == 2:
            first, last = 0, PART_BYTES + 99_999
            del headers["x-amz-copy-source-range"]
            ranges[1] = (first, last)
        reply = raw.upload_part_copy(f"{bucket}/source", bucket, "target", upload, number, headers).ok()
        etags[number] = reply.xml().findtext("ETag").strip('"')
    raw.complete(bucket, "target", upload, etags, target.read).ok()
    check(raw.get(bucket, "target", target.read), b"".join(body[first : last + 1] for first, last in ranges), target)


def part_stays(source, target):
    """A part shares its blob if no data has to be sealed again and none has to be read: where its ETag is to be an MD5, the source must have one."""
    return data_stays(source, target if target is not OTHER_C else SSE_C) and (source.md5_etag or not target.md5_etag)


def copied_part(raw, bucket, upload, number, target, headers):
    """The ETag of a part that is all of `source`."""
    return raw.upload_part_copy(f"{bucket}/source", bucket, "target", upload, number, headers | target.read).ok().xml().findtext("ETag").strip('"')


@PAIRS
def test_a_part_that_is_a_whole_object_shares_its_blob_and_outlives_its_source(plain_server, raw, bucket, source, target):
    body, target = random_body(PART_BYTES + 17), other(target)
    data = disk.Data(plain_server, lambda: raw.put(bucket, "source", body, source.write).ok())
    upload = raw.begin_upload(bucket, "target", target.write)
    ranges = {1: {}, 2: {"x-amz-copy-source-range": f"bytes=0-{len(body) - 1}"}}
    etags = {number: copied_part(raw, bucket, upload, number, target, source.source | headers) for number, headers in ranges.items()}
    if part_stays(source, target):
        data.assert_not_moved()
    else:
        assert len(data.new()) == 2
    assert (etags[1] == hashlib.md5(body).hexdigest()) == target.md5_etag
    listed = raw.request("GET", f"/{bucket}/target", query={"uploadId": upload}).ok().xml()
    assert [(part.findtext("ETag").strip('"'), part.findtext("Size")) for part in listed.iter("Part")] == [(etags[1], str(len(body))), (etags[2], str(len(body)))]
    done = raw.complete(bucket, "target", upload, etags, target.read).ok()
    if target.md5_etag:
        assert done.xml().findtext("ETag").strip('"') == hashlib.md5(hashlib.md5(body).digest() * 2).hexdigest() + "-2"
    raw.delete(bucket, "source").ok(204)
    check(raw.get(bucket, "target", target.read), body * 2, target)
    at = len(body) - 10
    assert raw.get(bucket, "target", target.read | {"range": f"bytes={at}-{at + 19}"}).ok(206).body == (body * 2)[at : at + 20]
    assert raw.get(bucket, "target", target.read, {"partNumber": "2"}).ok(206).body == body
    if part_stays(source, target):
        data.assert_not_moved()


def test_a_part_keeps_the_checksum_of_its_source_or_has_it_computed(plain_server, raw, bucket):
    body = random_body(PART_BYTES)
    sha256, crc32 = checksums.value("SHA256", body), checksums.value("CRC32", body)
    for algorithm, stays in [("SHA256", True), ("CRC32", False)]:
        data = disk.Data(plain_server, lambda: raw.put(bucket, "source", body, {"x-amz-checksum-sha256": sha256}).ok())
        headers = {"x-amz-checksum-algorithm": algorithm, "x-amz-checksum-type": "COMPOSITE"}
        upload = raw.begin_upload(bucket, "target", SSE_KMS.write | headers)
        answer = raw.upload_part_copy(f"{bucket}/source", bucket, "target", upload, 1).ok().xml()
        assert answer.findtext(f"Checksum{algorithm}") == {"SHA256": sha256, "CRC32": crc32}[algorithm]
        assert (data.new() == []) == stays
        raw.complete(bucket, "target", upload, {1: answer.findtext("ETag").strip('"')}).ok()
        check(raw.get(bucket, "target"), body, SSE_KMS)


@pytest.mark.parametrize("lost", ["source", "target"])
def test_who_loses_the_key_of_one_object_keeps_the_other(plain_server, raw, bucket, lost):
    admin, body = Admin(plain_server), random_body(PART_BYTES)
    keys = {name: admin.create_key() for name in ("source", "target")}
    under = {name: {SSE: "aws:kms", KMS_KEY_ID: key} for name, key in keys.items()}
    data = disk.Data(plain_server, lambda: raw.put(bucket, "source", body, under["source"]).ok())
    upload = raw.begin_upload(bucket, "target", under["target"])
    etag = raw.upload_part_copy(f"{bucket}/source", bucket, "target", upload, 1).ok().xml().findtext("ETag").strip('"')
    raw.complete(bucket, "target", upload, {1: etag}).ok()
    assert data.new() == []
    key = keys[lost]
    receipt = admin("DELETE", "/keys/delete", {"key_id": key, "force_immediate": True, "confirm_key_id": key})["receipt"]["receipt"]
    assert (receipt["objects"], receipt["bytes"]) == (1, len(body))
    raw.get(bucket, lost).fails(410, "KMS.NotFoundException")
    kept = "target" if lost == "source" else "source"
    assert raw.get(bucket, kept).ok().body == body
    # Also when the object that was lost is gone.
    raw.delete(bucket, lost).ok(204)
    assert raw.get(bucket, kept).ok().body == body


@pytest.mark.parametrize(
    ("given", "status", "code"),
    [
        ("bytes=0-99", 416, "InvalidRange"),
        ("bytes=5-", 400, "InvalidArgument"),
        ("bytes=-5", 400, "InvalidArgument"),
        ("0-5", 400, "InvalidArgument"),
        ("bytes=9-2", 400, "InvalidArgument"),
    ],
)
def test_a_part_copy_s_range_must_be_within_the_source(raw, bucket, given, status, code):
    raw.put(bucket, "source", bytes(50)).ok()
    upload = raw.begin_upload(bucket, "target")
    reply = raw.upload_part_copy(f"{bucket}/source", bucket, "target", upload, 1, {"x-amz-copy-source-range": given})
    reply.fails(status, code)
    assert raw.request("GET", f"/{bucket}/target", query={"uploadId": upload}).ok().xml().find("Part") is None
