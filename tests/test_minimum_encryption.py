"""sse.minimum_mode: a store that takes no weaker encryption."""

import pytest

from conftest import _shared, make_bucket
from harness.sse import KMS_KEY_ID, SSE, SSE_C, customer, source_customer


@pytest.fixture(scope="module")
def kms_server(tmp_path_factory):
    yield from _shared(tmp_path_factory, '[sse]\nminimum_mode = "SSE-KMS"\n')


@pytest.fixture(scope="module")
def encrypted_server(tmp_path_factory):
    """Nothing is encrypted by default, and nothing may lie unencrypted."""
    yield from _shared(tmp_path_factory, 'encrypt_by_default = false\n[sse]\nminimum_mode = "SSE-S3"\n')


def default(algorithm):
    xml = f"<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>{algorithm}</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule>"
    return f"<ServerSideEncryptionConfiguration>{xml}</ServerSideEncryptionConfiguration>".encode()


def put_default(raw, bucket, algorithm):
    return raw.request("PUT", f"/{bucket}", query={"encryption": ""}, body=default(algorithm))


def is_weaker(reply, asked, minimum, header):
    text = reply.fails(403, "AccessDenied").message
    says = f"This store takes no weaker encryption than {minimum} (sse.minimum_mode), and {asked} is weaker."
    assert text == f"{says} Send x-amz-server-side-encryption: {header}, or give the bucket such a default."


@pytest.mark.parametrize(("headers", "asked"), [({SSE: "AES256"}, "SSE-S3"), (customer(), "SSE-C")], ids=["SSE-S3", "SSE-C"])
def test_a_weaker_write_is_denied_and_told_what_would_do(kms_server, headers, asked):
    raw, bucket = kms_server.raw(), make_bucket(kms_server)
    raw.put(bucket, "source", b"body", {SSE: "aws:kms"}).ok()
    for reply in (
        raw.put(bucket, "object", b"body", headers),
        raw.copy(f"{bucket}/source", bucket, "object", headers),
        raw.request("POST", f"/{bucket}/object", query={"uploads": ""}, headers=headers),
    ):
        is_weaker(reply, asked, "SSE-KMS", "aws:kms")
    raw.head(bucket, "object").ok(404)


@pytest.mark.parametrize("algorithm", ["aws:kms", "aws:kms:dsse"])
def test_the_minimum_itself_and_more_are_taken(kms_server, algorithm):
    raw, bucket = kms_server.raw(), make_bucket(kms_server)
    raw.put(bucket, "object", b"body", {SSE: algorithm}).ok()
    raw.copy(f"{bucket}/object", bucket, "copy", {SSE: algorithm}).ok()
    raw.put_multipart(bucket, "parts", [b"body"], {SSE: algorithm}, {})
    for key in ("object", "copy", "parts"):
        assert raw.head(bucket, key).ok().headers[SSE] == algorithm


def test_a_write_that_says_nothing_gets_the_minimum_where_its_bucket_has_no_default(kms_server):
    raw, bucket = kms_server.raw(), make_bucket(kms_server)
    put = raw.put(bucket, "object", b"body").ok()
    assert (put.headers[SSE], put.headers[KMS_KEY_ID]) == ("aws:kms", "default")
    raw.copy(f"{bucket}/object", bucket, "copy").ok()
    assert raw.head(bucket, "copy").ok().headers[SSE] == "aws:kms"


def test_a_default_below_the_minimum_is_denied(kms_server):
    raw, bucket = kms_server.raw(), make_bucket(kms_server)
    is_weaker(put_default(raw, bucket, "AES256"), "SSE-S3", "SSE-KMS", "aws:kms")
    raw.request("GET", f"/{bucket}", query={"encryption": ""}).ok(404)
    put_default(raw, bucket, "aws:kms:dsse").ok()
    assert raw.put(bucket, "object", b"body").ok().headers[SSE] == "aws:kms:dsse"


def test_where_nothing_is_encrypted_by_default_a_write_that_says_nothing_is_denied(encrypted_server):
    raw, bucket = encrypted_server.raw(), make_bucket(encrypted_server)
    is_weaker(raw.put(bucket, "object", b"body"), "no encryption", "SSE-S3", "AES256")
    for number, headers in enumerate([{SSE: "AES256"}, {SSE: "aws:kms"}, SSE_C.write]):
        raw.put(bucket, f"object-{number}", b"body", headers).ok()
    put_default(raw, bucket, "AES256").ok()
    assert raw.put(bucket, "object", b"body").ok().headers[SSE] == "AES256"


def test_a_minimum_that_is_raised_leaves_what_is_there_readable_and_lets_nothing_weaker_follow(new_server):
    server = new_server()
    raw = server.raw()
    raw.request("PUT", "/bucket").ok()
    raw.put("bucket", "under-sse-s3", b"before", {SSE: "AES256"}).ok()
    raw.put("bucket", "under-sse-c", b"before", SSE_C.write).ok()
    upload = {"uploadId": raw.request("POST", "/bucket/upload", query={"uploads": ""}).ok().xml().findtext("UploadId")}
    put_default(raw, "bucket", "AES256").ok()
    server.extra_env["STRONGROOM_SSE_MINIMUM_MODE"] = "DSSE-KMS"
    server.restart()
    raw = server.raw()
    assert raw.get("bucket", "under-sse-s3").ok().body == b"before"
    assert raw.get("bucket", "under-sse-c", SSE_C.read).ok().body == b"before"
    is_weaker(raw.put("bucket", "object", b"x"), "SSE-S3", "DSSE-KMS", "aws:kms:dsse")
    part = raw.request("PUT", "/bucket/upload", query=upload | {"partNumber": "1"}, body=b"part")
    is_weaker(part, "SSE-S3", "DSSE-KMS", "aws:kms:dsse")
    new_key = b"<ObjectEncryption><SSE-KMS><KMSKeyArn>arn:aws:kms:eu:1:key/default</KMSKeyArn></SSE-KMS></ObjectEncryption>"
    update = raw.request("PUT", "/bucket/under-sse-s3", query={"encryption": ""}, body=new_key)
    is_weaker(update, "SSE-KMS", "DSSE-KMS", "aws:kms:dsse")
    raw.copy("bucket/under-sse-c", "bucket", "under-sse-c", {SSE: "aws:kms:dsse"} | source_customer()).ok()
    assert raw.get("bucket", "under-sse-c").ok().body == b"before"


def test_an_unknown_minimum_refuses_the_start(tmp_path):
    from harness.server import Server

    server = Server(tmp_path / "home", config='[sse]\nminimum_mode = "AES256"\n')
    try:
        with pytest.raises(RuntimeError, match="sse.minimum_mode .* is one of none, SSE-S3, SSE-KMS, DSSE-KMS"):
            server.start()
    finally:
        server.remove()
