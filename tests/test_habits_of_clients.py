"""What clients and deployments do by habit, and must not stop at: key ids sent back, checksums of nothing, many small headers, MinIO's probes."""

import base64
import http.client
import json
import zlib

import pytest

from harness import sigv4

KEY_ID = "x-amz-server-side-encryption-aws-kms-key-id"
SSE_S3 = {"x-amz-server-side-encryption": "AES256"}


# ---- what a reply said of an object under SSE-S3, sent back


def test_aes256_with_the_id_of_the_default_key_is_sse_s3(raw, bucket):
    told = raw.put(bucket, "object", b"data", SSE_S3).ok().headers
    sent_back = SSE_S3 | {KEY_ID: told[KEY_ID]}
    for spelling in (told[KEY_ID], "default", "key/default", "arn:aws:kms:us-east-1:000000000000:key/default"):
        reply = raw.put(bucket, "object", b"data", SSE_S3 | {KEY_ID: spelling}).ok()
        assert (reply.headers["x-amz-server-side-encryption"], reply.headers[KEY_ID]) == ("AES256", told[KEY_ID])
    reply = raw.copy(f"{bucket}/object", bucket, "copy", sent_back).ok()
    assert (reply.headers["x-amz-server-side-encryption"], reply.headers[KEY_ID]) == ("AES256", told[KEY_ID])
    raw.request("POST", f"/{bucket}/parts", query={"uploads": ""}, headers=sent_back).ok()


def test_aes256_with_another_key_or_a_context_is_refused(raw, bucket):
    for headers in ({KEY_ID: "other"}, {KEY_ID: "alias/default"}, {KEY_ID: "default", "x-amz-server-side-encryption-context": "e30="}):
        raw.put(bucket, "object", b"data", SSE_S3 | headers).fails(400, "InvalidArgument")


# ---- URLs that were signed before the body was known


def crc32(data):
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def put_presigned(server, raw, bucket, body, query):
    host = f"127.0.0.1:{server.port}"
    target = sigv4.presign(raw.credentials, "PUT", f"/{bucket}/presigned", query, {}, host)
    return raw.send("PUT", target, {"host": host, "content-length": str(len(body))}, body)


def test_the_checksum_of_nothing_in_a_presigned_url_says_nothing_of_the_body(server, raw, bucket):
    query = {"x-amz-checksum-crc32": crc32(b""), "x-amz-sdk-checksum-algorithm": "CRC32"}
    put_presigned(server, raw, bucket, b"what came later", query).ok()
    read = raw.get(bucket, "presigned", {"x-amz-checksum-mode": "ENABLED"}).ok()
    assert (read.body, read.headers["x-amz-checksum-crc32"]) == (b"what came later", crc32(b"what came later"))


def test_any_other_checksum_in_a_presigned_url_is_that_of_the_body(server, raw, bucket):
    put_presigned(server, raw, bucket, b"data", {"x-amz-checksum-crc32": crc32(b"data")}).ok()
    put_presigned(server, raw, bucket, b"other", {"x-amz-checksum-crc32": crc32(b"data")}).fails(400, "BadDigest")


# ---- many small headers


def test_metadata_is_bounded_in_bytes_and_not_in_number(raw, bucket, monkeypatch):
    monkeypatch.setattr(http.client, "_MAXHEADERS", 1000)
    names = [f"{first}{second}" for first in "abcdefghijklmnopqrst" for second in "abcdefghijklmnopqrstuvwxyz0123"]
    metadata = {f"x-amz-meta-{name}": "1" for name in names}
    assert len(metadata) == 600
    raw.put(bucket, "object", b"data", metadata).ok()
    read = raw.head(bucket, "object").ok()
    assert {name: read.headers[name] for name in metadata} == metadata
    more = {f"x-amz-meta-{name}0": "1" for name in names}
    raw.put(bucket, "object", b"data", more).fails(400, "MetadataTooLarge")


# ---- probes of deployments that moved


@pytest.mark.parametrize("path", ["live", "ready", "cluster", "cluster/read"])
def test_minios_probes_are_answered_as_health_is(server, path):
    for port in (server.port, server.admin_port):
        status, body = server.fetch(f"https://127.0.0.1:{port}/minio/health/{path}")
        assert (status, json.loads(body)["status"]) == (200, "ok")


@pytest.mark.parametrize("path", ["cluster", "node", "bucket", "resource"])
def test_minios_metrics_are_those_of_the_admin_port(server, path):
    status, body = server.fetch(f"https://127.0.0.1:{server.admin_port}/minio/v2/metrics/{path}")
    assert status == 200 and "strongroom_connections" in body


def test_a_signed_request_for_minios_probe_is_no_probe(raw):
    raw.request("GET", "/minio/health/live").fails(404, "NotFound")
