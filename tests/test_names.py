"""Keys of every odd kind, through the raw client and boto3."""

import pytest

from harness.sse import SSE_C

ODD = [
    "plain",
    "with space",
    "trailing ",
    " leading",
    "a+b",
    "a%20b",
    "a%2Fb",
    "100%",
    "?query",
    "#hash",
    "&amp;",
    "a=b&c=d",
    "quote\"'`",
    "<xml>&</xml>",
    "back\\slash",
    "colon:semi;comma,",
    "~tilde",
    "*star*",
    "ümlaut",
    "日本語",
    "😀",
    "é",
    "e\u0301",
    "slash/",
    "/leading-slash",
    "//two",
    "a//b",
    "a/./b",
    "a/../b",
    "..",
    ".",
    "../../etc/passwd",
    "con",
    "-dash",
    "$HOME",
    "`id`",
    "a" * 1024,
    "ü" * 512,
    "/",
    "x/" * 500,
    "{curly}",
    "[square]",
    "pipe|",
    "tab\there",
    "\u200b",
]


def names(key):
    return repr(key[:20])


@pytest.mark.parametrize("key", ODD, ids=names)
def test_an_odd_key_is_stored_read_listed_copied_and_deleted(s3, raw, bucket, key):
    body = key.encode() + b"!"
    raw.put(bucket, key, body, SSE_C.write).ok()
    assert raw.get(bucket, key, SSE_C.read).ok().body == body
    assert raw.head(bucket, key, SSE_C.read).ok().headers["content-length"] == str(len(body))
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    raw.copy(f"{bucket}/{key}", bucket, "copy", SSE_C.source).ok()
    assert raw.get(bucket, "copy").ok().body == body
    raw.delete(bucket, key).ok(204)
    raw.get(bucket, key, SSE_C.read).fails(404, "NoSuchKey")


@pytest.mark.parametrize("key", [key for key in ODD if "\t" not in key], ids=names)
def test_boto3_reads_what_it_stored_under_an_odd_key(s3, bucket, key):
    s3.put_object(Bucket=bucket, Key=key, Body=b"body")
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"body"
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": key})
    deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key}]})
    assert [one["Key"] for one in deleted["Deleted"]] == [key]
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["copy"]


@pytest.mark.parametrize("key", ["a" * 1025, "ü" * 513, "a" * 5000])
def test_a_key_has_at_most_1024_bytes(raw, bucket, key):
    raw.put(bucket, key, b"x").fails(400, "KeyTooLongError")


def test_keys_that_look_alike_are_different_objects(raw, bucket):
    keys = ["a", "A", "a/", "/a", "a ", "é", "e\u0301", "a//b", "a/b", "a/./b"]
    for key in keys:
        raw.put(bucket, key, key.encode()).ok()
    for key in keys:
        assert raw.get(bucket, key).ok().body == key.encode()


def test_a_key_that_is_not_utf8_is_a_400(raw, bucket):
    raw.send("GET", f"/{bucket}/%ff%fe", {"host": f"127.0.0.1:{raw.port}"}).fails(400, "InvalidURI")


def test_a_nul_ends_no_key(raw, bucket):
    raw.put(bucket, "a\0b", b"x").ok()
    assert raw.get(bucket, "a\0b").ok().body == b"x"
    raw.get(bucket, "a").fails(404, "NoSuchKey")
    listed = raw.request("GET", f"/{bucket}", query={"list-type": "2", "encoding-type": "url"}).ok().xml()
    assert [key.text for key in listed.iter("Key")] == ["a%00b"]
    raw.delete(bucket, "a\0b").ok(204)
    raw.get(bucket, "a\0b").fails(404, "NoSuchKey")
