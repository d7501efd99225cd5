"""PutBucketEncryption, GetBucketEncryption, DeleteBucketEncryption, and what they do to writes."""

import pytest

from conftest import make_bucket
from harness.sse import BUCKET_KEY, CONTEXT, CUSTOMER, KMS_KEY_ID, SSE, SSE_C, b64, customer


def rule(algorithm, key_id=None, bucket_key=None):
    default = {"SSEAlgorithm": algorithm} | ({"KMSMasterKeyID": key_id} if key_id else {})
    return {"Rules": [{"ApplyServerSideEncryptionByDefault": default} | ({"BucketKeyEnabled": bucket_key} if bucket_key is not None else {})]}


@pytest.fixture
def s3(plain_server):
    return plain_server.boto()


@pytest.fixture
def raw(plain_server):
    return plain_server.raw()


@pytest.fixture
def bucket(plain_bucket):
    return plain_bucket


def encryption(raw, bucket):
    return raw.request("GET", f"/{bucket}", query={"encryption": ""})


def put_xml(raw, bucket, xml):
    return raw.request("PUT", f"/{bucket}", query={"encryption": ""}, body=xml)


def test_none_set_is_an_error_of_its_own(raw, bucket):
    encryption(raw, bucket).fails(404, "ServerSideEncryptionConfigurationNotFoundError")
    encryption(raw, "never-made-bucket").fails(404, "NoSuchBucket")


@pytest.mark.parametrize(
    "given",
    [
        rule("AES256"),
        rule("aws:kms"),
        rule("aws:kms", "default"),
        rule("aws:kms", "default", True),
        rule("aws:kms:dsse", "default"),
        rule("AES256", bucket_key=False),
    ],
    ids=["AES256", "aws:kms", "key id", "bucket key", "dsse", "no bucket key"],
)
def test_what_was_set_is_what_is_read(s3, bucket, given):
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=given)
    [read] = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    [expected] = given["Rules"]
    assert read["ApplyServerSideEncryptionByDefault"] == expected["ApplyServerSideEncryptionByDefault"]
    assert read.get("BucketKeyEnabled", False) == expected.get("BucketKeyEnabled", False)


def test_a_cleared_default_is_gone(s3, raw, bucket):
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=rule("aws:kms"))
    raw.request("DELETE", f"/{bucket}", query={"encryption": ""}).ok(204)
    encryption(raw, bucket).fails(404, "ServerSideEncryptionConfigurationNotFoundError")
    assert SSE not in raw.put(bucket, "object", b"x").ok().headers
    raw.request("DELETE", f"/{bucket}", query={"encryption": ""}).ok(204)


WRITES = {
    "put": lambda raw, bucket, headers: raw.put(bucket, "object", b"body", headers).ok(),
    "copy": lambda raw, bucket, headers: raw.copy(f"{bucket}/source", bucket, "object", headers).ok(),
    "multipart": lambda raw, bucket, headers: raw.put_multipart(
        bucket, "object", [b"body"], headers, {name: value for name, value in headers.items() if name.startswith(CUSTOMER)}
    ),
}


@pytest.mark.parametrize("how", WRITES)
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (rule("AES256"), {SSE: "AES256"}),
        (rule("aws:kms", "default"), {SSE: "aws:kms", KMS_KEY_ID: "default"}),
        (rule("aws:kms", "default", True), {SSE: "aws:kms", KMS_KEY_ID: "default", BUCKET_KEY: "true"}),
        (rule("aws:kms:dsse", "default"), {SSE: "aws:kms:dsse", KMS_KEY_ID: "default"}),
    ],
    ids=["AES256", "aws:kms", "bucket key", "dsse"],
)
def test_a_write_without_headers_gets_the_default(s3, raw, bucket, how, given, expected):
    raw.put(bucket, "source", b"body").ok()
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=given)
    written = WRITES[how](raw, bucket, {})
    head = raw.head(bucket, "object").ok()
    for reply in (written, head):
        assert {name: reply.headers.get(name) for name in expected} == expected
    assert raw.get(bucket, "object").ok().body == b"body"
    assert SSE not in raw.head(bucket, "source").ok().headers, "what was there before stays as it was"


@pytest.mark.parametrize("how", WRITES)
@pytest.mark.parametrize("headers", [{SSE: "AES256"}, {SSE: "aws:kms:dsse"}, customer()], ids=["AES256", "dsse", "SSE-C"])
def test_a_header_beats_the_default(s3, raw, bucket, how, headers):
    raw.put(bucket, "source", b"body").ok()
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=rule("aws:kms"))
    WRITES[how](raw, bucket, headers)
    read = {name: value for name, value in headers.items() if name.startswith(CUSTOMER)}
    found = raw.head(bucket, "object", read).ok().headers
    assert found.get(SSE) == headers.get(SSE)


def test_aws_kms_without_a_key_id_takes_the_bucket_s_key(new_server):
    server = new_server('[kms]\nensure_keys = ["bucket-key", "other-key"]\n')
    raw = server.raw()
    raw.request("PUT", "/bucket").ok()
    server.boto().put_bucket_encryption(Bucket="bucket", ServerSideEncryptionConfiguration=rule("aws:kms", "bucket-key"))
    assert raw.put("bucket", "a", b"x", {SSE: "aws:kms"}).ok().headers[KMS_KEY_ID] == "bucket-key"
    assert raw.put("bucket", "b", b"x", {SSE: "aws:kms", KMS_KEY_ID: "other-key"}).ok().headers[KMS_KEY_ID] == "other-key"
    server.restart()
    again = server.raw()
    assert again.get("bucket", "a").ok().body == b"x"
    assert again.get("bucket", "b").ok().headers[KMS_KEY_ID] == "other-key"


@pytest.mark.parametrize(
    "inside",
    [
        "",
        "<Rule/>",
        "<Rule><ApplyServerSideEncryptionByDefault/></Rule>",
        "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule>" * 2,
        "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm><KMSMasterKeyID>default</KMSMasterKeyID></ApplyServerSideEncryptionByDefault></Rule>",
        "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>ROT13</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule>",
        "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>maybe</BucketKeyEnabled></Rule>",
    ],
    ids=["no rule", "an empty rule", "no algorithm", "two rules", "AES256 with a key id", "unknown algorithm", "no boolean"],
)
def test_a_default_that_makes_no_sense_is_malformed_and_changes_nothing(s3, raw, bucket, inside):
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=rule("aws:kms"))
    xml = f'<ServerSideEncryptionConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{inside}</ServerSideEncryptionConfiguration>'
    put_xml(raw, bucket, xml.encode()).fails(400, "MalformedXML")
    assert encryption(raw, bucket).ok().xml().findtext("Rule/ApplyServerSideEncryptionByDefault/SSEAlgorithm") == "aws:kms"


@pytest.mark.parametrize("xml", [b"", b"<", b"<Other/>"])
def test_what_is_no_such_document_is_malformed(raw, bucket, xml):
    put_xml(raw, bucket, xml).fails(400, "MalformedXML")


# ---- context and bucket keys


def test_an_encryption_context_is_taken_and_echoed_to_the_write(raw, bucket):
    context = b64(b'{"department":"accounts","id":"7"}')
    put = raw.put(bucket, "object", b"body", {SSE: "aws:kms", CONTEXT: context}).ok()
    assert put.headers.get(CONTEXT, context) == context
    assert raw.get(bucket, "object").ok().body == b"body"
    raw.copy(f"{bucket}/object", bucket, "copy", {SSE: "aws:kms", CONTEXT: b64(b'{"department":"other"}')}).ok()
    assert raw.get(bucket, "copy").ok().body == b"body"


@pytest.mark.parametrize("value", ["true", "false"])
def test_the_bucket_key_header_is_answered(raw, bucket, value):
    headers = {SSE: "aws:kms", BUCKET_KEY: value}
    put = raw.put(bucket, "object", b"body", headers).ok()
    get = raw.get(bucket, "object").ok()
    assert get.body == b"body"
    for reply in (put, get, raw.head(bucket, "object").ok()):
        assert reply.headers.get(BUCKET_KEY, "false") == value


def test_objects_under_a_bucket_key_survive_a_restart(new_server):
    server = new_server()
    raw = server.raw()
    raw.request("PUT", "/bucket").ok()
    bodies = {f"object-{number}": b"body %d" % number for number in range(5)}
    for key, body in bodies.items():
        raw.put("bucket", key, body, {SSE: "aws:kms", BUCKET_KEY: "true"}).ok()
    raw.copy("bucket/object-0", "bucket", "copy", SSE_C.write).ok()
    server.restart()
    again = server.raw()
    for key, body in bodies.items():
        assert again.get("bucket", key).ok().body == body
    assert again.get("bucket", "copy", SSE_C.read).ok().body == bodies["object-0"]


# ---- encrypt by default


def test_by_default_everything_is_encrypted(server):
    raw, bucket = server.raw(), make_bucket(server)
    put = raw.put(bucket, "object", b"body").ok()
    assert put.headers[SSE] == "AES256"
    assert raw.head(bucket, "object").ok().headers[SSE] == "AES256"


def test_encryption_by_default_can_be_turned_off(raw, bucket):
    assert SSE not in raw.put(bucket, "object", b"body").ok().headers
    assert SSE not in raw.get(bucket, "object").ok().headers
