"""The memory of the server is bounded, whatever hundreds of peers do to keep it: 512 of each kind take less than 256 MiB."""

import time

import pytest

from conftest import make_bucket
from harness.server import Server
from harness.slow import Peers
from harness.sse import random_body

PEERS = 512
MAX_RSS = 256 << 20
# What the server keeps when they have gone, and how soon: the allocator gives free memory back after a third of a second.
REST_RSS, REST_SECONDS = 96 << 20, 20

CHUNK_HEAD = b"100000;chunk-signature=" + b"0" * 64 + b"\r\n"  # of 1 MiB; the signature is looked at when all of it has come
CHUNKED = {"content-length": str(2 << 20), "content-encoding": "aws-chunked", "x-amz-decoded-content-length": str(1 << 20)}
FORM = {"content-type": "multipart/form-data; boundary=b", "content-length": str(8 << 20)}
FORM_START = b'--b\r\nContent-Disposition: form-data; name="key"\r\n\r\nobject\r\n--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n'


def put_by_single_bytes(peers, bucket):
    peers.ask("PUT", f"/{bucket}/slow", headers={"content-length": str(1 << 20)})
    peers.drip(b"x" * 128)


def put_that_stops_after_1_mib(peers, bucket):
    peers.ask("PUT", f"/{bucket}/slow", headers={"content-length": str(64 << 20)})
    peers.send(b"x" * (1 << 20))


def signed_chunk_by_single_bytes(peers, bucket):
    peers.ask("PUT", f"/{bucket}/slow", headers=CHUNKED, payload="STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
    peers.send(CHUNK_HEAD)
    peers.drip(b"x" * 128)


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
    peers.drip(b"<Delete>" + b" " * 120)


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
def test_512_slow_peers_take_less_than_256_mib_and_keep_nobody_out(fresh_server, kind):
    figures = memory_under(fresh_server, kind)
    assert max(figures["held"], figures["peak"]) < MAX_RSS, figures


def test_the_memory_comes_back_when_the_peers_have_gone(fresh_server):
    figures = memory_under(fresh_server, put_that_stops_after_1_mib)
    assert figures["held"] > REST_RSS, "else there is nothing to give back"
    deadline = time.monotonic() + REST_SECONDS
    while fresh_server.rss_bytes() >= REST_RSS:
        assert time.monotonic() < deadline, f"{fresh_server.rss_bytes() >> 20} MiB"
        time.sleep(0.1)
    assert fresh_server.metric("strongroom_memory_used_bytes") == 0


def memory_under(server, kind):
    """What the server takes while the peers hang, who must not keep an ordinary client from its work."""
    bucket, body, raw = make_bucket(server), random_body(1 << 20), server.raw()
    raw.put(bucket, "large", random_body(64 << 20)).ok()
    with Peers(server, PEERS, tls_each=8) as peers:
        kind(peers, bucket)
        raw.put(bucket, "object", body).ok()
        assert raw.get(bucket, "object").ok().body == body
        figures = {"held": server.rss_bytes(), "peak": server.peak_rss_bytes()}
    print(kind.__name__, {name: f"{figure >> 20} MiB" for name, figure in figures.items()})
    return figures
