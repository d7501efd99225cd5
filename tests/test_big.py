"""Gigabytes in bounded memory. STRONGROOM_TEST_BIG=1 makes the objects 5 GiB, S3's largest single PUT."""

import hashlib
import os
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import make_bucket
from harness import sigv4
from harness.sse import DSSE, SSE_C, SSE_KMS, SSE_S3

MIB = 1 << 20
LENGTH = (5 << 30) if os.environ.get("STRONGROOM_TEST_BIG") == "1" else 512 * MIB
PEAK_BYTES = 256 * MIB
BLOCK = random.Random(5).randbytes(8 * MIB)
PART_BYTES = 64 * MIB

pytestmark = pytest.mark.timeout(3600 if LENGTH > 1 << 30 else 300)


def body(offset, length):
    """The object's bytes: one block over and over, each time with its number in front."""
    end = offset + length
    while offset < end:
        number, within = divmod(offset, len(BLOCK))
        block = number.to_bytes(8, "big") + BLOCK[8:]
        piece = block[within : within + end - offset]
        yield piece
        offset += len(piece)


def put(server, path, offset, length, headers, query=()):
    raw = server.raw()
    headers = headers | {"content-length": str(length)}
    return raw.request("PUT", path, query, headers, body(offset, length), payload="UNSIGNED-PAYLOAD", timeout=600).ok()


def read(server, path, headers):
    """The length and the digest of an object, read as a stream."""
    raw = server.raw()
    signed = sigv4.sign(raw.credentials, "GET", path, {}, {"host": f"127.0.0.1:{raw.port}"} | headers, "UNSIGNED-PAYLOAD")
    connection = raw.connect(timeout=600)
    try:
        connection.request("GET", path, headers=signed)
        reply = connection.getresponse()
        assert reply.status == 200, reply.read(500)
        digest, length = hashlib.sha1(), 0
        while piece := reply.read(MIB):
            digest.update(piece)
            length += len(piece)
        return length, digest.hexdigest()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def expected():
    digest = hashlib.sha1()
    for piece in body(0, LENGTH):
        digest.update(piece)
    return LENGTH, digest.hexdigest()


@pytest.mark.parametrize("mode", [SSE_S3, SSE_KMS, SSE_C], ids=str)
def test_a_large_object_in_one_put_and_its_get_stay_under_256_mib(new_server, expected, mode):
    server = new_server()
    path = f"/{make_bucket(server)}/large"
    put(server, path, 0, LENGTH, mode.write)
    assert read(server, path, mode.read) == expected
    assert server.peak_rss_bytes() < PEAK_BYTES, f"{server.peak_rss_bytes() / MIB:.0f} MiB"


@pytest.mark.parametrize("mode", [SSE_S3, DSSE], ids=str)
def test_a_large_object_in_parts_four_at_a_time_stays_under_256_mib(new_server, expected, mode):
    server = new_server()
    raw, bucket = server.raw(), make_bucket(server)
    upload = raw.begin_upload(bucket, "large", mode.write)

    def send(number):
        query = {"partNumber": str(number), "uploadId": upload}
        return number, put(server, f"/{bucket}/large", (number - 1) * PART_BYTES, PART_BYTES, {}, query).etag

    with ThreadPoolExecutor(4) as pool:
        etags = dict(pool.map(send, range(1, LENGTH // PART_BYTES + 1)))
    raw.complete(bucket, "large", upload, etags).ok()
    assert read(server, f"/{bucket}/large", {}) == expected
    assert server.peak_rss_bytes() < PEAK_BYTES, f"{server.peak_rss_bytes() / MIB:.0f} MiB"


def test_readers_that_do_not_read_do_not_fill_the_memory(new_server):
    server = new_server()
    bucket = make_bucket(server)
    put(server, f"/{bucket}/large", 0, 256 * MIB, {})
    raw, path = server.raw(), f"/{bucket}/large"
    signed = sigv4.sign(raw.credentials, "GET", path, {}, {"host": f"127.0.0.1:{raw.port}"}, "UNSIGNED-PAYLOAD")
    connections = []
    for _ in range(40):
        connection = raw.connect()
        connection.request("GET", path, headers=signed)
        assert connection.getresponse().status == 200
        connections.append(connection)
    assert server.peak_rss_bytes() < PEAK_BYTES, f"{server.peak_rss_bytes() / MIB:.0f} MiB"
    for connection in connections:
        connection.close()
