"""Limits: what is too large, too long, too many or too slow is refused, and the server goes on."""

import socket
import ssl
import time

import pytest

from conftest import make_bucket
from harness import disk, sigv4
from harness.server import Server
from harness.sse import SSE_C, SSE_S3, random_body

SLOW = "body_idle_timeout_seconds = 2\nrequest_header_timeout_seconds = 2\ntls_handshake_timeout_seconds = 2\nsweep_interval_seconds = 1\ndead_blob_grace_seconds = 1\n"


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    """A server that waits two seconds for a slow client, and sweeps every second."""
    server = Server(tmp_path_factory.mktemp("impatient") / "home", SLOW).start()
    yield server
    server.remove()


@pytest.fixture
def impatient_bucket(impatient):
    return make_bucket(impatient)


def wait_until(holds, seconds=30):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


def open_put(server, bucket, key, declared, headers=None):
    """A signed PUT whose body is yet to be sent; the TLS socket."""
    path = f"/{bucket}/{key}"
    credentials = sigv4.Credentials(server.access_key, server.secret_key)
    headers = {"host": f"127.0.0.1:{server.port}", "content-length": str(declared)} | (headers or {})
    signed = sigv4.sign(credentials, "PUT", path, {}, headers, "UNSIGNED-PAYLOAD")
    context = ssl.create_default_context(cafile=str(server.ca))
    connection = context.wrap_socket(socket.create_connection(("127.0.0.1", server.port), timeout=30), server_hostname="127.0.0.1")
    lines = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
    connection.sendall(f"PUT {path} HTTP/1.1\r\n{lines}\r\n".encode())
    return connection


def answer(connection):
    """What comes until the end, or an empty answer where the connection was cut."""
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except (ConnectionError, ssl.SSLError):
        pass
    return received


# ---- XML


@pytest.mark.parametrize(("query", "method"), [("delete", "POST"), ("encryption", "PUT"), ("", "PUT")], ids=["delete", "encryption", "create bucket"])
def test_a_document_of_many_megabytes_is_refused(raw, bucket, query, method):
    xml = b"<Delete>" + b" " * (40 << 20) + b"</Delete>"
    reply = raw.request(method, f"/{bucket}" if query else f"/{bucket}-new", query={query: ""} if query else (), body=xml)
    reply.fails(400, "MaxMessageLengthExceeded")


def test_a_document_of_great_depth_is_refused(raw, bucket):
    xml = b"<a>" * 100_000
    raw.request("PUT", f"/{bucket}", query={"encryption": ""}, body=xml).fails(400, "MalformedXML")


def test_10_001_parts_are_refused(raw, bucket):
    upload = raw.begin_upload(bucket, "object")
    etag = raw.upload_part(bucket, "object", upload, 1, b"x").ok().etag
    raw.complete(bucket, "object", upload, {number: etag for number in range(1, 10_002)}).fails(400, "MalformedXML")
    raw.complete(bucket, "object", upload, {1: etag}).ok()


@pytest.mark.parametrize("number", ["0", "10001", "-1", "65537", "99999999999", "x", ""])
def test_a_part_number_lies_between_1_and_10000(raw, bucket, number):
    upload = raw.begin_upload(bucket, "object")
    raw.upload_part(bucket, "object", upload, number, b"x").fails(400, "InvalidArgument")
    assert raw.request("GET", f"/{bucket}/object", query={"uploadId": upload}).ok().xml().find("Part") is None


def test_part_10000_is_one(raw, bucket):
    upload = raw.begin_upload(bucket, "object")
    etag = raw.upload_part(bucket, "object", upload, 10_000, b"x").ok().etag
    raw.complete(bucket, "object", upload, {10_000: etag}).ok()
    assert raw.get(bucket, "object").ok().body == b"x"


# ---- headers and lengths


def test_a_header_of_a_megabyte_is_refused(server, raw, bucket):
    raw.put(bucket, "object", b"x").ok()
    for headers in ({"x-amz-meta-a": "v" * (1 << 20)}, {f"x-amz-meta-{number}": "v" * 100 for number in range(5000)}):
        try:
            status = raw.put(bucket, "object", b"other", headers).status
        except (ConnectionError, ssl.SSLError):
            continue  # cut while it was sent, and the answer was lost with it
        assert status == 431
    assert raw.get(bucket, "object").ok().body == b"x"


def test_a_path_of_a_megabyte_is_refused(raw, bucket):
    try:
        assert 400 <= raw.send("GET", f"/{bucket}/" + "a" * (1 << 20), {"host": f"127.0.0.1:{raw.port}"}).status < 500
    except (ConnectionError, ssl.SSLError):
        pass
    raw.request("HEAD", f"/{bucket}").ok()


def test_a_body_longer_than_5_gib_is_refused_before_it_is_sent(server, bucket):
    before = disk.blobs(server)
    with open_put(server, bucket, "object", (5 << 30) + 1, {"connection": "close"}) as connection:
        received = answer(connection)
    assert received.startswith(b"HTTP/1.1 400"), received[:100]
    assert b"<Code>EntityTooLarge</Code>" in received
    assert not [name for name in disk.blobs(server) if name not in before and name.endswith(".part")]


def test_a_body_without_a_length_is_refused(raw, bucket):
    path = f"/{bucket}/object"
    headers = sigv4.sign(raw.credentials, "PUT", path, {}, {"host": f"127.0.0.1:{raw.port}"}, "UNSIGNED-PAYLOAD")
    reply = raw.send("PUT", path, headers | {"transfer-encoding": "chunked"}, b"4\r\nbody\r\n0\r\n\r\n")
    reply.fails(411, "MissingContentLength")


# ---- clients that are slow or gone


@pytest.mark.parametrize("headers", [SSE_S3.write, SSE_C.write], ids=["SSE-S3", "SSE-C"])
def test_a_client_gone_in_the_middle_of_an_upload_leaves_nothing(impatient, impatient_bucket, headers):
    before = disk.blobs(impatient)
    connection = open_put(impatient, impatient_bucket, "object", 50 << 20, headers)
    connection.sendall(random_body(10 << 20))
    wait_until(lambda: disk.new_blobs(impatient, before))
    connection.close()
    wait_until(lambda: not disk.new_blobs(impatient, before))
    impatient.raw().get(impatient_bucket, "object").fails(404, "NoSuchKey")


def test_a_client_gone_in_the_middle_of_a_part_leaves_nothing(impatient, impatient_bucket):
    raw, before = impatient.raw(), disk.blobs(impatient)
    upload = raw.begin_upload(impatient_bucket, "object")
    path, query = f"/{impatient_bucket}/object", {"partNumber": "1", "uploadId": upload}
    headers = {"host": f"127.0.0.1:{impatient.port}", "content-length": str(50 << 20)}
    connection = raw.connect()
    connection.putrequest("PUT", path + sigv4.query_string(query), skip_host=True, skip_accept_encoding=True)
    for name, value in sigv4.sign(raw.credentials, "PUT", path, query, headers, "UNSIGNED-PAYLOAD").items():
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(random_body(10 << 20))
    wait_until(lambda: disk.new_blobs(impatient, before))
    connection.close()
    wait_until(lambda: not disk.new_blobs(impatient, before))
    assert raw.request("GET", path, query={"uploadId": upload}).ok().xml().find("Part") is None


def test_a_client_that_stops_sending_is_timed_out(impatient, impatient_bucket):
    before = disk.blobs(impatient)
    with open_put(impatient, impatient_bucket, "object", 10 << 20) as connection:
        connection.sendall(random_body(5 << 20))
        began = time.monotonic()
        received = answer(connection)
        assert time.monotonic() - began < 20
    assert received.startswith(b"HTTP/1.1 400 "), received[:100]
    assert b"<Code>RequestTimeout</Code>" in received
    wait_until(lambda: not disk.new_blobs(impatient, before))
    impatient.raw().get(impatient_bucket, "object").fails(404, "NoSuchKey")


def test_a_client_that_drips_bytes_is_timed_out_as_one_that_sends_none(impatient, impatient_bucket):
    with open_put(impatient, impatient_bucket, "object", 1 << 20) as connection:
        began, received = time.monotonic(), b""
        connection.settimeout(0.4)
        while not received and time.monotonic() - began < 20:
            connection.sendall(b"x")
            try:
                received = connection.recv(65536)
            except TimeoutError:
                pass
    assert received.startswith(b"HTTP/1.1 400 "), received[:100]
    assert b"<Code>RequestTimeout</Code>" in received
    impatient.raw().get(impatient_bucket, "object").fails(404, "NoSuchKey")


def test_a_client_that_never_ends_its_headers_is_timed_out(impatient):
    for start in (b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "):
        with socket.create_connection(("127.0.0.1", impatient.port), timeout=30) as plain:
            plain.sendall(start)
            began = time.monotonic()
            received = answer(plain)
            assert received == b"", "cut without an answer: there is no request to answer"
            assert time.monotonic() - began < 20


def test_a_tls_handshake_that_never_ends_is_timed_out(impatient):
    with socket.create_connection(("127.0.0.1", impatient.port), timeout=30) as plain:
        plain.sendall(b"\x16\x03\x01\x02\x00\x01")
        began = time.monotonic()
        assert answer(plain) == b""
        assert time.monotonic() - began < 20


def test_a_reader_that_pauses_still_gets_everything(impatient, impatient_bucket):
    raw, body = impatient.raw(), random_body(8 << 20)
    raw.put(impatient_bucket, "object", body).ok()
    path = f"/{impatient_bucket}/object"
    connection = raw.connect()
    connection.request("GET", path, headers=sigv4.sign(raw.credentials, "GET", path, {}, {"host": f"127.0.0.1:{raw.port}"}, "UNSIGNED-PAYLOAD"))
    reply = connection.getresponse()
    got = reply.read(1000)
    time.sleep(1)
    assert got + reply.read() == body


def test_many_idle_connections_do_not_keep_others_out(impatient, impatient_bucket):
    idle = [socket.create_connection(("127.0.0.1", impatient.port), timeout=30) for _ in range(200)]
    try:
        impatient.raw().put(impatient_bucket, "object", b"body").ok()
        assert impatient.raw().get(impatient_bucket, "object").ok().body == b"body"
    finally:
        for one in idle:
            one.close()


def test_what_was_deleted_or_overwritten_leaves_the_disk(impatient, impatient_bucket):
    raw, before = impatient.raw(), disk.blobs(impatient)
    raw.put(impatient_bucket, "deleted", random_body(300_000)).ok()
    raw.put(impatient_bucket, "overwritten", random_body(300_000)).ok()
    raw.put(impatient_bucket, "overwritten", b"small").ok()
    upload = raw.begin_upload(impatient_bucket, "aborted")
    for number in (1, 1, 2):
        raw.upload_part(impatient_bucket, "aborted", upload, number, random_body(300_000)).ok()
    raw.delete(impatient_bucket, "aborted", query={"uploadId": upload}).ok(204)
    raw.delete(impatient_bucket, "deleted").ok(204)
    wait_until(lambda: not disk.new_blobs(impatient, before))
