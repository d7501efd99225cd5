"""Who has time and connections: ports that are full, heads and bodies that never end, readers that never read."""

import contextlib
import time

import pytest

from conftest import make_bucket
from harness import disk, sigv4
from harness.admin import Admin
from harness.server import Server
from harness.sse import random_body
from harness.wire import Request, Wire, signed
from test_bounds import wait_until

LIMIT = 64
CROWD = 150
CONFIG = f"max_connections = {LIMIT}\nbody_idle_timeout_seconds = 120\nmin_transfer_bytes_per_second = 0\nrequest_header_timeout_seconds = 60\n"
PATIENCE_SECONDS = 5
GROWTH_BYTES = 24 << 20


@pytest.fixture
def own(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("crowded") / "home", CONFIG).start()
    yield server
    assert "panicked" not in server.log_text()
    server.remove()


# ---- 8: connections

IDLE = {
    "nothing": b"",
    "half a TLS record": b"\x16\x03\x01\x02\x00\x01\x00",
    "half a head": b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ",
}


@contextlib.contextmanager
def crowd(port, count, opening, source="127.0.0.2", context=None, spread=1):
    """So many connections that have sent this and send no more, from one address or from several."""
    wires = []
    try:
        for number in range(count):
            address = source.rsplit(".", 1)[0] + f".{int(source.rsplit('.', 1)[1]) + number % spread}"
            try:
                wires.append(Wire(port, context, timeout=PATIENCE_SECONDS, source=address).send(opening))
            except TimeoutError:
                break  # full, and nobody is turned away
            except OSError:
                continue
        yield wires
    finally:
        for wire in wires:
            wire.close()


def within(seconds, call):
    began = time.monotonic()
    result = call()
    assert time.monotonic() - began < seconds, "it took too long"
    return result


def served(call):
    """Whether a client that tries again, as SDKs do, gets its answer in time. Those that only just came may keep it out for a second."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            if call():
                return
        except OSError:
            pass
        assert time.monotonic() < deadline, "nobody was let in"
        time.sleep(0.1)


def assert_serves(server):
    """Both ports answer anybody else, and sealing works."""
    admin = Admin(server)
    for of_admin in (False, True):
        served(lambda of_admin=of_admin: server.health("live", admin=of_admin) == 200)
    served(lambda: server.raw().request("GET", "/", timeout=PATIENCE_SECONDS).status == 200)
    served(lambda: admin("POST", "/seal")["status"] == "Sealed")
    served(lambda: admin("POST", "/unseal"))


@pytest.mark.parametrize("spread", [1, 50], ids=["one address", "fifty addresses"])
@pytest.mark.parametrize("opening", IDLE)
@pytest.mark.parametrize("of_admin", [True, False], ids=["admin port", "S3 port"])
def test_idle_connections_keep_nobody_out(own, of_admin, opening, spread):
    port = own.admin_port if of_admin else own.port
    context = own.raw()._context if of_admin and opening == "half a head" else None
    with crowd(port, CROWD, IDLE[opening], context=context, spread=spread):
        assert_serves(own)
    wait_until(lambda: " WARN " in own.log_text(), 15)
    assert own.metric("strongroom_connections_evicted_total") + own.metric("strongroom_connections_refused_total") > 0


def test_connections_kept_alive_keep_nobody_out(own):
    head = Request("GET", "/health/live", (("host", "localhost"),)).encode()
    with crowd(own.port, CROWD, head, spread=50):
        assert_serves(own)


def busy(server, bucket):
    """A PUT whose body never ends."""
    raw = server.raw()
    request = signed(raw.credentials, f"127.0.0.1:{server.port}", "PUT", f"/{bucket}/object", (), {"content-length": str(1 << 20)}, b"x", "UNSIGNED-PAYLOAD")
    return request.encode()


def test_where_all_are_busy_health_and_seal_are_answered_and_others_are_told_to_come_again(own):
    bucket = make_bucket(own)
    with crowd(own.port, LIMIT + 8, busy(own, bucket), spread=36):
        assert within(PATIENCE_SECONDS, lambda: own.health("live")) == 200
        reply = within(PATIENCE_SECONDS, lambda: own.raw().request("GET", "/", timeout=PATIENCE_SECONDS)).fails(503, "SlowDown")
        assert int(reply.headers["retry-after"]) >= 1
        assert within(PATIENCE_SECONDS, lambda: Admin(own, "/strongroom/admin/v1/kms")("POST", "/seal"))["status"] == "Sealed"
    assert own.metric("strongroom_connections_refused_total") > 0


def test_one_address_does_not_take_the_port_away_from_others(own):
    bucket = make_bucket(own)
    with crowd(own.port, LIMIT + 8, busy(own, bucket)):
        within(PATIENCE_SECONDS, lambda: own.raw().request("GET", "/", timeout=PATIENCE_SECONDS).ok())


@pytest.mark.parametrize("opening", ["half a TLS record", "half a head"])
def test_a_head_on_the_admin_port_has_five_seconds(own, opening):
    context = own.raw()._context if opening == "half a head" else None
    with Wire(own.admin_port, context, timeout=20) as wire:
        began = time.monotonic()
        exchange = wire.send(IDLE[opening]).receive()
        assert exchange.closed and exchange.replies == []
        assert 3 < time.monotonic() - began < 9


# ---- 7: one byte at a time


def one_byte_at_a_time(server, request, connections=20, count=1000):
    """How much memory is held once each connection has sent so many bytes of its body, each in a segment of its own."""
    calm, wires = resident_bytes(server), []
    try:
        for _ in range(connections):
            wires.append(Wire(server.port, timeout=PATIENCE_SECONDS).send(request.encode()))
        for _ in range(count):
            for wire in wires:
                wire.send(b"x")
            time.sleep(0.002)  # so that the server reads each by itself
        return resident_bytes(server) - calm
    finally:
        for wire in wires:
            wire.close()


def resident_bytes(server):
    with open(f"/proc/{server.process.pid}/statm") as file:
        return int(file.read().split()[1]) * 4096


def to_put(server, bucket):
    return of(server, "PUT", f"/{bucket}/object")


def to_delete(server, bucket):
    return of(server, "POST", f"/{bucket}", {"delete": ""})


def to_restore(server, _):
    return of(server, "POST", "/strongroom/admin/v1/kms/restore")


def in_signed_chunks(server, bucket):
    """A chunk is held until its signature can be verified."""
    raw = server.raw()
    headers, wire = sigv4.chunked_put(raw.credentials, f"/{bucket}/object", bytes(65536), host=f"127.0.0.1:{server.port}")
    return Request("PUT", f"/{bucket}/object", tuple(headers.items()), wire[: wire.index(b"\r\n") + 2])


def in_a_form(server, bucket):
    body = b'--x\r\nContent-Disposition: form-data; name="key"\r\n\r\n'
    headers = (("host", "localhost"), ("content-type", "multipart/form-data; boundary=x"), ("content-length", "20000"), ("authorization", "x"))
    return Request("POST", "/strongroom/admin/v1/kms/restore", headers, body)


def of(server, method, path, query=()):
    payload = "0" * 64  # it is compared when the body has ended, which it never does
    return signed(server.raw().credentials, f"127.0.0.1:{server.port}", method, path, query, {"content-length": "20000"}, b"", payload)


@pytest.mark.parametrize("body", [to_put, to_delete, to_restore, in_signed_chunks, in_a_form])
def test_bodies_of_one_byte_segments_take_no_more_memory_than_they_are_long(own, body):
    grown = one_byte_at_a_time(own, body(own, make_bucket(own)))
    assert grown < GROWTH_BYTES, f"20 KB of body hold {grown >> 20} MiB"


# ---- 9: readers of what was deleted

READERS = 258
HELD_BYTES = 400_000


def test_readers_of_deleted_objects_do_not_keep_others_from_being_swept(new_server):
    server = new_server("sweep_interval_seconds = 1\ndead_blob_grace_seconds = 1\nbody_idle_timeout_seconds = 120\nmin_transfer_bytes_per_second = 0\n")
    raw, bucket, body = server.raw(), make_bucket(server), random_body(HELD_BYTES)
    wires = []
    try:
        raw.put(bucket, "template", body).ok()
        for number in range(READERS):
            raw.put(bucket, f"held-{number}", body[: HELD_BYTES - number]).ok()
            wire = Wire(server.port, timeout=PATIENCE_SECONDS, narrow=True, source=f"127.0.0.{2 + number % 50}")
            wires.append(wire.send(signed(raw.credentials, f"127.0.0.1:{server.port}", "GET", f"/{bucket}/held-{number}").encode()))
        for number in range(READERS):
            raw.delete(bucket, f"held-{number}").ok(204)
        time.sleep(1)
        before = disk.blobs(server)
        for number in range(10):
            raw.put(bucket, f"swept-{number}", body).ok()
        swept = disk.new_blobs(server, before)
        for number in range(10):
            raw.delete(bucket, f"swept-{number}").ok(204)
        deadline = time.monotonic() + 20
        while any(path.exists() for path in swept):
            assert time.monotonic() < deadline, f"{sum(path.exists() for path in swept)} blobs that nobody reads are still there"
            time.sleep(0.1)
    finally:
        for wire in wires:
            wire.close()
