"""DeleteObject and DeleteObjects."""

import pytest

from harness.checksums import value
from harness.sse import MODES, SSE_C, random_body


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_a_deleted_object_is_gone(plain_server, plain_bucket, mode):
    raw = plain_server.raw()
    raw.put(plain_bucket, "object", random_body(100_000), mode.write).ok()
    raw.delete(plain_bucket, "object").ok(204)
    raw.get(plain_bucket, "object", mode.read).fails(404, "NoSuchKey")
    assert raw.head(plain_bucket, "object", mode.read).status == 404


def test_deleting_what_is_not_there_is_no_error(raw, bucket):
    assert raw.delete(bucket, "nothing").ok(204).body == b""
    raw.delete("never-made-bucket", "nothing").fails(404, "NoSuchBucket")


def test_deleting_needs_no_customer_key(raw, bucket):
    raw.put(bucket, "object", b"x", SSE_C.write).ok()
    raw.delete(bucket, "object").ok(204)
    raw.get(bucket, "object").fails(404, "NoSuchKey")


def test_many_are_deleted_at_once(s3, bucket):
    keys = ["a", "b/c", "ü & <x>", "d e", "tab"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in [*keys[:4], "never"]]})
    assert [deleted["Key"] for deleted in answer["Deleted"]] == [*keys[:4], "never"]
    assert "Errors" not in answer
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["tab"]
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "tab"}], "Quiet": True})
    assert "Deleted" not in quiet and "Errors" not in quiet
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def post(raw, bucket, xml, headers=None):
    headers = {"x-amz-checksum-crc32": value("CRC32", xml)} if headers is None else headers
    return raw.request("POST", f"/{bucket}", query={"delete": ""}, body=xml, headers=headers)


def test_a_list_of_deletions_that_makes_no_sense_is_malformed(raw, bucket):
    raw.put(bucket, "object", b"x").ok()
    for xml in (b"", b"<Delete>", b"<Delete></Delete>", b"<Other/>", b"<Delete><Object></Object></Delete>"):
        post(raw, bucket, xml).fails(400, "MalformedXML")
    many = b"<Delete>" + b"<Object><Key>object</Key></Object>" * 1001 + b"</Delete>"
    post(raw, bucket, many).fails(400, "MalformedXML")
    raw.get(bucket, "object").ok()


def test_a_key_of_control_characters_is_deleted_and_named(raw, bucket):
    raw.put(bucket, "a\x01b\rc", b"x").ok()
    reply = post(raw, bucket, b"<Delete><Object><Key>a\x01b&#13;c</Key></Object></Delete>").ok()
    # XML has no way to write U+0001.
    assert reply.xml().findtext("Deleted/Key") == "a\ufffdb\rc"
    raw.get(bucket, "a\x01b\rc").fails(404, "NoSuchKey")


def test_a_list_of_deletions_is_verified(raw, bucket):
    raw.put(bucket, "object", b"x").ok()
    xml = b"<Delete><Object><Key>object</Key></Object></Delete>"
    post(raw, bucket, xml, {"content-md5": "AAAAAAAAAAAAAAAAAAAAAA=="}).fails(400, "BadDigest")
    post(raw, bucket, xml, {"x-amz-checksum-crc32": "AAAAAA=="}).fails(400, "BadDigest")
    raw.get(bucket, "object").ok()
    post(raw, bucket, xml).ok()
    raw.get(bucket, "object").fails(404, "NoSuchKey")


def test_entities_of_a_document_are_not_expanded(raw, bucket):
    xml = b'<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>'
    assert post(raw, bucket, xml).status == 400
