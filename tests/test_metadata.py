"""System headers, user metadata, and the overrides of a presigned or signed GET."""

import pytest

from harness import sigv4
from harness.sse import ENCRYPTED, SSE_C

SYSTEM = {
    "content-type": "application/x-test; charset=utf-8",
    "content-disposition": 'attachment; filename="a b.txt"',
    "content-encoding": "gzip",
    "content-language": "de, en",
    "cache-control": "max-age=60, private",
    "expires": "Thu, 01 Dec 2033 16:00:00 GMT",
    "x-amz-website-redirect-location": "/elsewhere",
}
OVERRIDES = {
    "response-content-type": "text/other",
    "response-content-disposition": "inline",
    "response-content-encoding": "identity",
    "response-content-language": "fr",
    "response-cache-control": "no-cache",
    "response-expires": "Fri, 02 Dec 2033 16:00:00 GMT",
}


@pytest.mark.parametrize("mode", ENCRYPTED, ids=str)
def test_headers_come_back_as_they_were_stored(raw, bucket, mode):
    user = {"x-amz-meta-one": "1", "x-amz-meta-two-words": "with spaces, and commas", "x-amz-meta-empty": ""}
    raw.put(bucket, "object", b"body", mode.write | SYSTEM | user).ok()
    for reply in (raw.get(bucket, "object", mode.read).ok(), raw.head(bucket, "object", mode.read).ok()):
        assert {name: reply.headers.get(name) for name in SYSTEM | user} == SYSTEM | user
        assert reply.headers["last-modified"].endswith("GMT")
        assert reply.headers["content-length"] == "4"


def test_without_a_type_it_is_a_stream_of_bytes(raw, bucket):
    raw.put(bucket, "object", b"body").ok()
    assert raw.head(bucket, "object").ok().headers["content-type"] == "binary/octet-stream"


def test_names_of_user_metadata_are_lower_case(raw, bucket):
    raw.put(bucket, "object", b"body", {"X-Amz-Meta-MixedCase": "Value"}).ok()
    assert raw.head(bucket, "object").ok().headers["x-amz-meta-mixedcase"] == "Value"


def test_metadata_in_utf8_comes_back_as_it_was_sent(raw, bucket):
    text = "Grüße, 世界"
    encoded = "=?UTF-8?B?R3LDvMOfZSwg5LiW55WM?="
    raw.put(bucket, "object", b"body", {"x-amz-meta-encoded": encoded}).ok()
    assert raw.head(bucket, "object").ok().headers["x-amz-meta-encoded"] == encoded
    reply = raw.put(bucket, "plain", b"body", {"x-amz-meta-text": text}).ok()
    assert reply.headers["etag"]
    found = raw.head(bucket, "plain").ok().headers["x-amz-meta-text"]
    assert found.encode("latin-1").decode() == text or "=?UTF-8?" in found


def test_boto3_s_metadata_comes_back(s3, bucket):
    metadata = {"author": "somebody", "empty": "", "with": "a=b;c"}
    s3.put_object(Bucket=bucket, Key="object", Body=b"", Metadata=metadata, ContentType="text/plain", StorageClass="STANDARD")
    head = s3.head_object(Bucket=bucket, Key="object")
    assert (head["Metadata"], head["ContentType"]) == (metadata, "text/plain")


def test_overrides_of_a_signed_read(raw, bucket):
    raw.put(bucket, "object", b"body", SYSTEM).ok()
    reply = raw.get(bucket, "object", query=OVERRIDES).ok()
    assert {name: reply.headers[name.removeprefix("response-")] for name in OVERRIDES} == OVERRIDES
    head = raw.head(bucket, "object", query={"response-content-type": "text/other"}).ok()
    assert head.headers["content-type"] == "text/other"
    assert raw.head(bucket, "object").ok().headers["content-type"] == SYSTEM["content-type"]


def test_an_overwrite_forgets_what_was_there(raw, bucket):
    raw.put(bucket, "object", b"body", SYSTEM | {"x-amz-meta-a": "b"} | SSE_C.write).ok()
    raw.put(bucket, "object", b"other").ok()
    headers = raw.head(bucket, "object").ok().headers
    assert "x-amz-meta-a" not in headers and "content-language" not in headers


def test_aws_chunked_is_not_stored_as_an_encoding(raw, bucket):
    path, body = f"/{bucket}/object", b"body" * 100
    headers, wire = sigv4.chunked_put(raw.credentials, path, body, {"content-encoding": "aws-chunked,gzip"}, host=f"127.0.0.1:{raw.port}")
    raw.send("PUT", path, headers, wire).ok()
    reply = raw.get(bucket, "object").ok()
    assert (reply.headers["content-encoding"], reply.body) == ("gzip", body)


@pytest.mark.parametrize(("length", "status"), [(2048 - 1, 200), (2048, 400), (5000, 400)])
def test_user_metadata_has_at_most_2_kib(raw, bucket, length, status):
    """Names and values together; the name is one letter."""
    reply = raw.put(bucket, "object", b"body", {"x-amz-meta-a": "v" * length})
    if status == 200:
        reply.ok()
    else:
        reply.fails(400, "MetadataTooLarge")
        raw.get(bucket, "object").fails(404, "NoSuchKey")
