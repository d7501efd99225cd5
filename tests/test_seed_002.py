"""Seed 002 (MinIO): SSE-C key rotation, shown there as the headers of a COPY of an object onto itself."""

from harness import disk
from harness.sse import KEY, OTHER_KEY, SSE_S3, b64, customer, key_md5, random_body

import pytest

ROTATION = {
    "X-Amz-Server-Side-Encryption-Customer-Key": b64(OTHER_KEY),
    "X-Amz-Copy-Source-Server-Side-Encryption-Customer-Key": b64(KEY),
    # The rest of the two trios, which the seed leaves out.
    "X-Amz-Server-Side-Encryption-Customer-Algorithm": "AES256",
    "X-Amz-Server-Side-Encryption-Customer-Key-MD5": key_md5(OTHER_KEY),
    "X-Amz-Copy-Source-Server-Side-Encryption-Customer-Algorithm": "AES256",
    "X-Amz-Copy-Source-Server-Side-Encryption-Customer-Key-MD5": key_md5(KEY),
}


@pytest.mark.parametrize("length", [0, 5, 100_000, 3 << 20], ids=["empty", "5 B", "100 kB", "3 MiB"])
def test_a_copy_onto_itself_rotates_the_client_s_key(server, raw, bucket, length):
    body = random_body(length)
    data = disk.Data(server, lambda: raw.put(bucket, "object", body, customer(KEY) | {"x-amz-meta-kept": "yes"}).ok())
    raw.copy(f"{bucket}/object", bucket, "object", ROTATION).ok()
    data.assert_not_moved()
    raw.get(bucket, "object", customer(KEY)).fails(403, "AccessDenied")
    assert raw.head(bucket, "object", customer(KEY)).status == 403
    reply = raw.get(bucket, "object", customer(OTHER_KEY)).ok()
    assert reply.body == body
    assert reply.headers["x-amz-meta-kept"] == "yes"


def test_rotation_with_the_wrong_current_key_is_refused_and_changes_nothing(raw, bucket):
    raw.put(bucket, "object", b"body", customer(OTHER_KEY)).ok()
    raw.copy(f"{bucket}/object", bucket, "object", ROTATION).fails(403, "AccessDenied")
    assert raw.get(bucket, "object", customer(OTHER_KEY)).ok().body == b"body"


def test_rotation_over_plain_http_is_refused(raw, bucket):
    raw.put(bucket, "object", b"body", customer(KEY)).ok()
    raw.copy(f"{bucket}/object", bucket, "object", ROTATION, tls=False).fails(400, "InvalidRequest")
    assert raw.get(bucket, "object", customer(KEY)).ok().body == b"body"


def test_sse_s3_needs_no_key_of_the_client(raw, bucket):
    raw.put(bucket, "object", b"body", SSE_S3.write).ok()
    assert raw.get(bucket, "object").ok().body == b"body"
