"""The memory of the server is bounded, whatever hundreds of peers do to keep it: 512 of each kind take less than 256 MiB."""

import time

import pytest

from conftest import make_bucket
from harness.server import Server
from harness.slow import Peers
from harness.sse import random_body

PEERS = 512
MAX_RSS = 256 << 20
# What the server keeps when they have gone, and how soon.
REST_RSS, REST_SECONDS = 128 << 20, 4

CHUNK_HEAD = b"100000;chunk-signature=" + b"0" * 64 + b"\r\n"  # of 1 MiB; the signature is looked at when all of it has come
CHUNKED = {"content-length": str(2 << 20), "content-encoding": "aws-chunked", "x-amz-decoded-content-length": str(1 << 20)}
FORM = {"content-type": "multipart/form-data; boundary=b", "content-length": str(8 << 20)}
FORM_START = b'--b\r\nContent-Disposition: form-data; name="key"\r\n\r\nobject\r\n--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n'


def put_by_single_bytes(peers, bucket):
    peers.ask("PUT", f"/{bucket}/slow", headers={"content-length": str(1 << 20)})
    peers.drip(b"x" * 192)


def put_that_stops_after_1_mib(peers, bucket):
    peers.ask("PUT", f"/{bucket}/slow", headers={"content-length": str(64 << 20)})
    peers.send(b"x" * (1 << 20))


def put_with_a_checksum_that_stops_after_1_mib(peers, bucket):
    headers = {"content-length": str(64 << 20), "x-amz-checksum-sha256": "4oqN6D5UZYE7Rd4QGcSyNmnRpeL3sGq7S0L1ZcJcNpE="}
    peers.ask("PUT", f"/{bucket}/slow", headers=headers)
    peers.send(b"x" * (1 << 20))


def signed_chunk_by_single_bytes(peers, bucket):
    peers.ask("PUT", f"/{bucket}/slow", headers=CHUNKED, payload="STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
    peers.send(CHUNK_HEAD)
    peers.drip(b"x" * 192)


def signed_chunk_that_lacks_its_end(peers, bucket):
    peers.ask("PUT", f"/{bucket}/slow", headers=CHUNKED, payload="STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
    peers.send(CHUNK_HEAD + b"x" * ((1 << 20) - 1))


def unsigned_chunks_of_single_bytes(peers, bucket):
    peers.ask("PUT", f"/{bucket}/slow", headers=CHUNKED | {"x-amz-trailer": "x-amz-checksum-crc32"}, payload="STREAMING-UNSIGNED-PAYLOAD-TRAILER")
    peers.drip(b"1\r\nx\r\n" * 32)


def reader_that_takes_nothing(peers, bucket):
    peers.ask("GET", f"/{bucket}/large")


def xml_that_lacks_its_end(peers, bucket):
    peers.ask("POST", f"/{bucket}", query={"delete": ""}, headers={"content-length": str(1 << 20)})
    peers.send(b"<Delete>" + b" " * ((1 << 20) - 9))


def xml_by_single_bytes(peers, bucket):
    peers.ask("POST", f"/{bucket}", query={"delete": ""}, headers={"content-length": str(1 << 20)})
    peers.drip(b"<Delete>" + b" " * 184)


def admin_body_that_lacks_its_end(peers, bucket):
    peers.ask("POST", "/strongroom/admin/v1/kms/keys", headers={"content-length": str(60 << 10)})
    peers.send(b"{" + b" " * ((60 << 10) - 2))


def large_admin_body_that_lacks_its_end(peers, bucket):
    peers.ask("POST", "/strongroom/admin/v1/kms/restore", headers={"content-length": str(4 << 20)})
    peers.send(b"{" + b" " * (1 << 20))


def form_to_an_admin_path(peers, bucket):
    peers.ask("POST", "/strongroom/admin/v1/kms/keys", headers=FORM | {"authorization": "x"}, sign=False)
    peers.send(FORM_START + b"x" * (2 << 20))


def form_to_a_bucket(peers, bucket):
    peers.ask("POST", f"/{bucket}", headers=FORM, sign=False)
    peers.send(FORM_START + b"x" * (2 << 20))


KINDS = [
    put_by_single_bytes,
    put_that_stops_after_1_mib,
    put_with_a_checksum_that_stops_after_1_mib,
    signed_chunk_by_single_bytes,
    signed_chunk_that_lacks_its_end,
    unsigned_chunks_of_single_bytes,
    reader_that_takes_nothing,
    xml_that_lacks_its_end,
    xml_by_single_bytes,
    admin_body_that_lacks_its_end,
    large_admin_body_that_lacks_its_end,
    form_to_an_admin_path,
    form_to_a_bucket,
]


@pytest.fixture
def fresh_server(tmp_path):
    """A server with the default budget, whose peak is not yet another test's."""
    server = Server(tmp_path / "home").start()
    yield server
    assert "panicked" not in server.log_text()
    server.remove()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_512_slow_peers_take_less_than_256_mib_and_keep_nobody_out(fresh_server, kind, record_property):
    server, bucket, body = fresh_server, make_bucket(fresh_server), random_body(1 << 20)
    raw = server.raw()
    raw.put(bucket, "large", random_body(64 << 20)).ok()
    at_rest = server.rss_bytes()
    with Peers(server, PEERS, tls_each=4) as peers:
        kind(peers, bucket)
        raw.put(bucket, "object", body).ok()
        assert raw.get(bucket, "object").ok().body == body
        held, peak = server.rss_bytes(), server.peak_rss_bytes()
    rest = wait_for_rest(server)
    figures = {"at rest": at_rest, "held": held, "peak": peak, "afterwards": rest}
    line = ", ".join(f"{name} {figure >> 20} MiB" for name, figure in figures.items())
    record_property("memory", line)
    print(f"{kind.__name__}: {line}")
    assert held < MAX_RSS and peak < MAX_RSS, line
    assert rest < REST_RSS, line


def wait_for_rest(server):
    """The resident set once it is small again, or after the time it has for that."""
    deadline = time.monotonic() + REST_SECONDS
    while (rss := server.rss_bytes()) >= REST_RSS and time.monotonic() < deadline:
        time.sleep(0.1)
    return rss
