"""Multipart uploads, in every mode."""

import hashlib

import pytest

from harness import disk
from harness.checksums import multipart_etag
from harness.sse import KMS_KEY_ID, MODES, NONE, SSE, SSE_C, SSE_KMS, SSE_S3, random_body

PART_BYTES = 5 << 20


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_a_multipart_object_is_its_parts_in_order(plain_server, plain_bucket, mode):
    raw, bucket = plain_server.raw(), plain_bucket
    parts = [random_body(PART_BYTES), random_body(PART_BYTES + 1), random_body(10)]
    created = raw.create_upload(bucket, "object", mode.write | {"content-type": "video/mp4", "x-amz-meta-a": "b"}).ok()
    mode.check(created.headers)
    upload, etags = created.xml().findtext("UploadId"), {}
    for number in (3, 1, 2):
        reply = raw.upload_part(bucket, "object", upload, number, parts[number - 1], mode.read).ok()
        mode.check(reply.headers)
        etags[number] = reply.etag
        if mode.md5_etag:
            assert reply.etag == hashlib.md5(parts[number - 1]).hexdigest()
    completed = raw.complete(bucket, "object", upload, dict(sorted(etags.items())), mode.read).ok()
    if mode is not SSE_C:  # Amazon S3 does not repeat the customer's headers here
        mode.check(completed.headers)
    reply = raw.get(bucket, "object", mode.read).ok()
    assert reply.body == b"".join(parts)
    assert (reply.headers["content-type"], reply.headers["x-amz-meta-a"]) == ("video/mp4", "b")
    mode.check(reply.headers)
    assert reply.etag == completed.xml().findtext("ETag").strip('"')
    if mode.md5_etag:
        assert reply.etag == multipart_etag(parts)
    else:
        assert reply.etag.endswith("-3") and reply.etag != multipart_etag(parts)


def test_completing_moves_no_data(server, raw, bucket):
    upload = raw.begin_upload(bucket, "object")
    etags = {}

    def send():
        etags.update((number, raw.upload_part(bucket, "object", upload, number, random_body(PART_BYTES)).ok().etag) for number in (1, 2))

    data = disk.Data(server, send)
    raw.complete(bucket, "object", upload, etags).ok()
    data.assert_not_moved()
    assert len(data.own) == 2


def test_nothing_is_seen_of_an_upload_before_its_completion(raw, bucket):
    raw.put(bucket, "object", b"older").ok()
    upload = raw.begin_upload(bucket, "object")
    raw.upload_part(bucket, "object", upload, 1, b"newer").ok()
    assert raw.get(bucket, "object").ok().body == b"older"
    assert raw.request("GET", f"/{bucket}", query={"list-type": "2"}).ok().xml().findtext("KeyCount") == "1"


def test_a_part_uploaded_again_replaces_the_one_before(raw, bucket):
    upload = raw.begin_upload(bucket, "object", SSE_C.write)
    old = raw.upload_part(bucket, "object", upload, 1, b"old bytes", SSE_C.read).ok().etag
    new = raw.upload_part(bucket, "object", upload, 1, b"new bytes!", SSE_C.read).ok().etag
    raw.complete(bucket, "object", upload, {1: old}).fails(400, "InvalidPart")
    raw.complete(bucket, "object", upload, {1: new}).ok()
    assert raw.get(bucket, "object", SSE_C.read).ok().body == b"new bytes!"


def test_parts_left_out_of_the_completion_are_left_out_of_the_object(raw, bucket):
    upload = raw.begin_upload(bucket, "object")
    etags = {number: raw.upload_part(bucket, "object", upload, number, bytes([number]) * PART_BYTES).ok().etag for number in (2, 5, 9)}
    del etags[5]
    raw.complete(bucket, "object", upload, etags).ok()
    assert raw.get(bucket, "object").ok().body == bytes([2]) * PART_BYTES + bytes([9]) * PART_BYTES
    assert raw.get(bucket, "object", query={"partNumber": "2"}).ok(206).body == bytes([2]) * PART_BYTES
    raw.get(bucket, "object", query={"partNumber": "5"}).fails(416, "InvalidPartNumber")


def test_a_completion_that_makes_no_sense_is_refused_and_the_upload_goes_on(raw, bucket):
    upload = raw.begin_upload(bucket, "object")
    one = raw.upload_part(bucket, "object", upload, 1, b"small").ok().etag
    two = raw.upload_part(bucket, "object", upload, 2, b"also small").ok().etag
    raw.complete(bucket, "object", upload, {1: one, 2: two}).fails(400, "EntityTooSmall")
    raw.complete(bucket, "object", upload, {2: two, 1: one}).fails(400, "InvalidPartOrder")
    raw.complete(bucket, "object", upload, {1: one, 3: two}).fails(400, "InvalidPart")
    raw.complete(bucket, "object", upload, {1: two}).fails(400, "InvalidPart")
    raw.complete(bucket, "object", upload, {}).fails(400, "MalformedXML")
    raw.complete(bucket, "object", upload, b"<not xml").fails(400, "MalformedXML")
    raw.complete(bucket, "object", upload, {2: two}).ok()
    assert raw.get(bucket, "object").ok().body == b"also small"


def test_a_completion_repeated_answers_alike(raw, bucket):
    upload = raw.begin_upload(bucket, "object")
    etags = {1: raw.upload_part(bucket, "object", upload, 1, b"bytes").ok().etag}
    first = raw.complete(bucket, "object", upload, etags).ok().xml().findtext("ETag")
    assert raw.complete(bucket, "object", upload, etags).ok().xml().findtext("ETag") == first
    raw.upload_part(bucket, "object", upload, 2, b"x").fails(404, "NoSuchUpload")


def test_an_aborted_upload_is_gone(raw, bucket):
    upload = raw.begin_upload(bucket, "object")
    etag = raw.upload_part(bucket, "object", upload, 1, b"bytes").ok().etag
    raw.delete(bucket, "object", query={"uploadId": upload}).ok(204)
    raw.delete(bucket, "object", query={"uploadId": upload}).fails(404, "NoSuchUpload")
    raw.upload_part(bucket, "object", upload, 2, b"x").fails(404, "NoSuchUpload")
    raw.complete(bucket, "object", upload, {1: etag}).fails(404, "NoSuchUpload")
    raw.request("GET", f"/{bucket}/object", query={"uploadId": upload}).fails(404, "NoSuchUpload")
    raw.get(bucket, "object").fails(404, "NoSuchKey")


@pytest.mark.parametrize("upload", ["nonsense", "a" * 32, "0" * 1000, "../..", "%00"])
def test_an_upload_id_that_never_was_is_no_such_upload(raw, bucket, upload):
    raw.upload_part(bucket, "object", upload, 1, b"x").fails(404, "NoSuchUpload")


def test_an_upload_belongs_to_its_key_and_bucket(raw, bucket):
    upload = raw.begin_upload(bucket, "object")
    raw.upload_part(bucket, "other", upload, 1, b"x").fails(404, "NoSuchUpload")
    raw.complete(bucket, "other", upload, {1: "0" * 32}).fails(404, "NoSuchUpload")


def test_parts_are_listed_in_order_and_by_page(s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="object")["UploadId"]
    for number in (7, 1, 300, 2):
        s3.upload_part(Bucket=bucket, Key="object", UploadId=upload, PartNumber=number, Body=b"x" * number)
    page = s3.list_parts(Bucket=bucket, Key="object", UploadId=upload)
    assert [(part["PartNumber"], part["Size"]) for part in page["Parts"]] == [(1, 1), (2, 2), (7, 7), (300, 300)]
    assert (page["IsTruncated"], page["Bucket"], page["Key"], page["UploadId"]) == (False, bucket, "object", upload)
    assert page["Parts"][0]["ETag"] == f'"{hashlib.md5(b"x").hexdigest()}"'
    pages = list(s3.get_paginator("list_parts").paginate(Bucket=bucket, Key="object", UploadId=upload, PaginationConfig={"PageSize": 3}))
    assert [[part["PartNumber"] for part in page["Parts"]] for page in pages] == [[1, 2, 7], [300]]
    assert pages[0]["NextPartNumberMarker"] == 7


def test_a_page_of_no_parts_is_the_last(raw, bucket):
    upload = raw.begin_upload(bucket, "object")
    raw.upload_part(bucket, "object", upload, 1, b"x").ok()
    page = raw.get(bucket, "object", query={"uploadId": upload, "max-parts": "0"}).ok().xml()
    assert (page.findtext("IsTruncated"), page.find("Part")) == ("false", None)


@pytest.mark.parametrize("query", [{"versionId": "null"}, {"versionId": ""}], ids=str)
def test_a_write_of_a_version_by_its_id_is_an_invalid_argument(raw, bucket, query):
    raw.put(bucket, "object", b"before").ok()
    raw.put(bucket, "object", b"after", query=query).fails(400, "InvalidArgument")
    raw.copy(f"{bucket}/object", bucket, "copy", query=query).fails(400, "InvalidArgument")
    raw.request("POST", f"/{bucket}/object", query={"uploads": ""} | query).fails(400, "InvalidArgument")
    upload = {"uploadId": raw.begin_upload(bucket, "object")}
    raw.request("PUT", f"/{bucket}/object", query=upload | {"partNumber": "1"} | query, body=b"x").fails(400, "InvalidArgument")
    raw.request("POST", f"/{bucket}/object", query=upload | query, body=b"x").fails(400, "InvalidArgument")
    raw.delete(bucket, "object", query=upload | query).fails(400, "InvalidArgument")
    assert raw.get(bucket, "object").ok().body == b"before"


def test_uploads_are_listed_by_key_and_by_page(s3, bucket):
    keys = ["b", "a/1", "a/2", "a/1", "c/x"]
    made = [(key, s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]) for key in keys]
    listed = s3.list_multipart_uploads(Bucket=bucket)
    found = [(upload["Key"], upload["UploadId"]) for upload in listed["Uploads"]]
    assert found == [made[1], made[3], made[2], made[0], made[4]], "by key, then by time"
    rolled = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [upload["Key"] for upload in rolled["Uploads"]] == ["b"]
    assert [prefix["Prefix"] for prefix in rolled["CommonPrefixes"]] == ["a/", "c/"]
    assert [upload["Key"] for upload in s3.list_multipart_uploads(Bucket=bucket, Prefix="a/")["Uploads"]] == ["a/1", "a/1", "a/2"]
    pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, PaginationConfig={"PageSize": 2})
    assert [(upload["Key"], upload["UploadId"]) for page in pages for upload in page["Uploads"]] == found
    for key, upload in made:
        s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_the_kms_key_of_an_upload_is_the_object_s(raw, bucket):
    headers = {SSE: "aws:kms", KMS_KEY_ID: "rotation-2024-09"}
    created = raw.create_upload(bucket, "object", headers).ok()
    assert created.headers[KMS_KEY_ID] == "rotation-2024-09"
    upload = created.xml().findtext("UploadId")
    part = raw.upload_part(bucket, "object", upload, 1, b"bytes").ok()
    assert part.headers[KMS_KEY_ID] == "rotation-2024-09"
    done = raw.complete(bucket, "object", upload, {1: part.etag}).ok()
    assert (done.headers[SSE], done.headers[KMS_KEY_ID]) == ("aws:kms", "rotation-2024-09")
    assert raw.head(bucket, "object").ok().headers[KMS_KEY_ID] == "rotation-2024-09"


@pytest.mark.parametrize("mode", [NONE, SSE_S3, SSE_KMS], ids=str)
def test_boto3_s_transfer_manager_uploads_and_downloads_in_parts(s3, bucket, tmp_path, mode):
    body = random_body(3 * 8 * 1024 * 1024 + 5)
    (tmp_path / "up").write_bytes(body)
    extra = {"ServerSideEncryption": mode.write[SSE]} if mode.write else {}
    s3.upload_file(str(tmp_path / "up"), bucket, "object", ExtraArgs=extra)
    s3.download_file(bucket, "object", str(tmp_path / "down"))
    assert (tmp_path / "down").read_bytes() == body
