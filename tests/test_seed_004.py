"""Seed 004 (3Engines Cloud): its four examples, both downloads, and the eight operations that take SSE-C headers (POST comes later)."""

import hashlib

import pytest

from harness.cli import Shell
from harness.sse import OTHER_KEY, customer, source_customer

CONTENTS = b"some contents\n" * 2000
SECRET = "32bytesOfTotallyRandomCharacters"
TRIO = """--sse-customer-algorithm AES256 \\
 --sse-customer-key $key \\
 --sse-customer-key-md5 $keymd5"""


@pytest.fixture
def shell(server, tmp_path, bucket):
    shell = Shell(server, tmp_path)
    shell.env |= {"endpoint": server.endpoint, "bucket": bucket}
    shell.file("contents.txt", CONTENTS)
    shell.file("file.txt", CONTENTS)
    return shell


FROM_TEXT = f"""
secret="{SECRET}"
key=$(echo -n $secret | base64)
keymd5=$(echo -n $secret | openssl dgst -md5 -binary | base64)
"""
FROM_RANDOM = """
[ -e sse-c.key ] || openssl rand 32 > sse-c.key
key=$(cat sse-c.key | base64)
keymd5=$(cat sse-c.key | openssl dgst -md5 -binary | base64)
"""


@pytest.mark.parametrize("key", [FROM_TEXT, FROM_RANDOM], ids=["text", "random"])
def test_examples_1_and_2_s3api(shell, raw, bucket, key):
    shell(f"""{key}
aws s3api put-object \\
 --bucket $bucket --key object-name \\
 --body contents.txt \\
 {TRIO} \\
 --endpoint-url $endpoint""")
    raw.get(bucket, "object-name").fails(400, "InvalidRequest")
    shell(f"{key} aws s3api get-object --bucket $bucket --key object-name {TRIO} --endpoint-url $endpoint out")
    assert (shell.home / "out").read_bytes() == CONTENTS


def test_example_3_aws_s3_with_the_secret(shell, raw, bucket):
    shell(f"""secret="{SECRET}"
aws s3 cp file.txt s3://$bucket/ \\
 --sse-c-key $secret \\
 --sse-c AES256 \\
 --endpoint $endpoint""")
    assert raw.get(bucket, "file.txt", customer(SECRET.encode())).ok().body == CONTENTS
    shell(f"""secret="{SECRET}"
aws s3api get-object --bucket $bucket \\
 --key file.txt \\
 --sse-customer-key $secret \\
 --sse-customer-algorithm AES256 \\
 --endpoint $endpoint out""")
    assert (shell.home / "out").read_bytes() == CONTENTS


def test_example_4_aws_s3_with_a_key_file(shell, raw, bucket):
    shell("""openssl rand 32 > sse-c.key
aws s3 cp file.txt s3://$bucket/ \\
 --sse-c-key fileb://sse-c.key \\
 --sse-c AES256 \\
 --endpoint $endpoint""")
    shell("""aws s3api get-object --bucket $bucket \\
 --key file.txt \\
 --sse-customer-key fileb://sse-c.key \\
 --sse-customer-algorithm AES256 \\
 --endpoint $endpoint out""")
    assert (shell.home / "out").read_bytes() == CONTENTS
    raw.get(bucket, "file.txt", customer(OTHER_KEY)).fails(403, "AccessDenied")


def test_every_listed_operation_takes_the_headers(raw, bucket):
    trio = customer()
    raw.put(bucket, "put", CONTENTS, trio).ok()
    raw.copy(f"{bucket}/put", bucket, "copy", customer(OTHER_KEY) | source_customer()).ok()
    assert raw.head(bucket, "copy", customer(OTHER_KEY)).ok().headers["content-length"] == str(len(CONTENTS))
    assert raw.get(bucket, "copy", customer(OTHER_KEY)).ok().body == CONTENTS
    upload = raw.begin_upload(bucket, "multi", trio)
    first = bytes(5 << 20)
    etags = {
        1: raw.upload_part(bucket, "multi", upload, 1, first, trio).ok().etag,
        2: raw.upload_part_copy(f"{bucket}/put", bucket, "multi", upload, 2, trio | source_customer()).ok().xml().findtext("ETag").strip('"'),
    }
    raw.complete(bucket, "multi", upload, etags, trio).ok()
    assert raw.get(bucket, "multi", trio).ok().body == first + CONTENTS


def test_the_etag_is_not_the_md5_of_the_object(raw, bucket):
    put = raw.put(bucket, "object", CONTENTS, customer()).ok()
    assert put.etag != hashlib.md5(CONTENTS).hexdigest()
