"""Who has the timing: keys that are destroyed, disabled or sealed while something is written under them, and one name written by many."""

import secrets
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import make_bucket
from harness import disk
from harness.admin import Admin
from harness.server import Server
from harness.sse import DSSE, KMS_KEY_ID, SSE, random_body
from harness.wire import Wire, signed

ROUNDS, WRITERS = 20, 4
BODY = random_body(200_000)  # beyond the inline limit


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("races") / "home").start()
    yield server
    assert server.stop() == 0
    assert "panicked" not in server.log_text()
    server.remove()


@pytest.fixture
def own_bucket(own):
    return make_bucket(own)


def delete_now(admin, key):
    return admin("DELETE", "/keys/delete", {"key_id": key, "force_immediate": True, "confirm_key_id": key})


def lost(deleted):
    """The objects that the answer, and the receipt, say were lost."""
    assert deleted["receipt"]["receipt"]["objects"] == deleted["usage"]["objects"], deleted
    return deleted["usage"]["objects"]


CHANGES = {
    "destroyed": (lambda admin, key: delete_now(admin, key), (410, "KMS.NotFoundException")),
    "scheduled for deletion": (
        lambda admin, key: admin("DELETE", "/keys/delete", {"key_id": key, "pending_window_in_days": 7}),
        (400, "KMS.KMSInvalidStateException"),
    ),
    "disabled": (lambda admin, key: admin.change("disable", key), (400, "KMS.DisabledException")),
    "sealed": (lambda admin, key: admin.change("seal", key), (403, "KMS.KMSInvalidStateException")),
}
MODES = {"SSE-KMS": {SSE: "aws:kms"}, "DSSE-KMS": DSSE.write}


def half(server, request):
    """The request with half of its body; the connection goes on."""
    wire = Wire(server.port, server.raw()._context)
    wire.send(request.head(), request.body[: len(request.body) // 2])
    return wire


def put_under(server, bucket, key, headers):
    raw = server.raw()
    return signed(raw.credentials, f"127.0.0.1:{server.port}", "PUT", f"/{bucket}/object", (), headers | {KMS_KEY_ID: key}, BODY)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("change", CHANGES)
def test_a_put_under_way_when_its_key_goes_is_refused_and_leaves_nothing(own, own_bucket, change, mode):
    admin, (act, answer) = Admin(own), CHANGES[change]
    key = admin.create_key()
    request = put_under(own, own_bucket, key, MODES[mode])
    with half(own, request) as wire:
        changed = act(admin, key)
        reply = wire.send(request.body[len(request.body) // 2 :]).receive("PUT").reply
    reply.fails(*answer)
    own.raw().get(own_bucket, "object").fails(404, "NoSuchKey")
    if "usage" in changed:
        assert changed["usage"]["objects"] == 0


@pytest.mark.parametrize("change", CHANGES)
def test_a_part_under_way_when_its_key_goes_is_refused(own, own_bucket, change):
    admin, raw, (act, answer) = Admin(own), own.raw(), CHANGES[change]
    key = admin.create_key()
    upload = raw.begin_upload(own_bucket, "object", {SSE: "aws:kms", KMS_KEY_ID: key})
    query = {"partNumber": "1", "uploadId": upload}
    request = signed(raw.credentials, f"127.0.0.1:{own.port}", "PUT", f"/{own_bucket}/object", query, {}, BODY)
    with half(own, request) as wire:
        act(admin, key)
        wire.send(request.body[len(request.body) // 2 :]).receive("PUT").reply.fails(*answer)
    assert raw.request("GET", f"/{own_bucket}/object", query={"uploadId": upload}).ok().xml().find("Part") is None


def test_a_put_under_way_when_the_whole_service_is_sealed_is_refused(own, own_bucket):
    admin = Admin(own)
    key = admin.create_key()
    request = put_under(own, own_bucket, key, MODES["SSE-KMS"])
    with half(own, request) as wire:
        admin("POST", "/seal")
        reply = wire.send(request.body[len(request.body) // 2 :]).receive("PUT").reply
    admin("POST", "/unseal")
    reply.fails(403, "KMS.KMSInvalidStateException")
    own.raw().get(own_bucket, "object").fails(404, "NoSuchKey")


def test_the_receipt_of_a_deletion_counts_every_write_that_was_acknowledged(own, own_bucket):
    """Twenty rounds of four writers against the deletion of their key."""
    admin = Admin(own)
    for number in range(ROUNDS):
        key = admin.create_key()
        acknowledged, deleted = storm(own, own_bucket, admin, key, number)
        assert lost(deleted) == len(acknowledged), f"round {number}: {len(acknowledged)} writes acknowledged, {lost(deleted)} in the receipt"
        for name in acknowledged[:2] + acknowledged[-2:]:
            own.raw().get(own_bucket, name).fails(410, "KMS.NotFoundException")


def storm(server, bucket, admin, key, number):
    """The writes that were acknowledged, and the answer to the deletion that came between them."""
    acknowledged, begun = [], threading.Barrier(WRITERS + 1)

    def write(writer):
        raw, count = server.raw(), 0
        begun.wait()
        while True:
            name = f"{number}/{writer}/{count}"
            reply = raw.put(bucket, name, secrets.token_bytes(100), {SSE: "aws:kms", KMS_KEY_ID: key})
            if reply.status != 200:
                assert reply.code in ("KMS.NotFoundException", "KMS.KMSInvalidStateException", "KMS.DisabledException"), (reply.status, reply.code)
                return
            acknowledged.append(name)
            count += 1

    with ThreadPoolExecutor(WRITERS + 1) as pool:
        writers = [pool.submit(write, writer) for writer in range(WRITERS)]
        begun.wait()
        while len(acknowledged) < 5 + number % 7:
            pass
        deleted = pool.submit(delete_now, admin, key).result()
        for writer in writers:
            writer.result()
    return acknowledged, deleted


def test_one_of_many_conditional_writes_wins(own, own_bucket):
    def write(number):
        return own.raw().put(own_bucket, "object", f"writer {number}".encode(), {"if-none-match": "*"})

    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(write, range(8)))
    won = [number for number, reply in enumerate(replies) if reply.status == 200]
    assert len(won) == 1, [reply.status for reply in replies]
    assert {reply.code for reply in replies if reply.status != 200} <= {"PreconditionFailed", "ConditionalRequestConflict"}
    assert own.raw().get(own_bucket, "object").ok().body == f"writer {won[0]}".encode()


def test_a_delete_while_it_is_read_gives_whole_bytes_or_none(own, own_bucket):
    raw = own.raw()
    for _ in range(10):
        raw.put(own_bucket, "object", BODY).ok()
        with ThreadPoolExecutor(5) as pool:
            reads = [pool.submit(own.raw().get, own_bucket, "object") for _ in range(4)]
            pool.submit(raw.delete, own_bucket, "object").result().ok(204)
            for read in reads:
                reply = read.result()
                assert (reply.status, reply.body) == (200, BODY) or (reply.status, reply.code) == (404, "NoSuchKey")


def test_a_completion_that_races_an_abort_leaves_an_object_or_none(own, own_bucket):
    raw = own.raw()
    for number in range(10):
        name = f"upload-{number}"
        upload = raw.begin_upload(own_bucket, name)
        etag = raw.upload_part(own_bucket, name, upload, 1, BODY).ok().etag
        with ThreadPoolExecutor(2) as pool:
            completed = pool.submit(own.raw().complete, own_bucket, name, upload, {1: etag})
            pool.submit(own.raw().delete, own_bucket, name, query={"uploadId": upload}).result()
            was_completed = completed.result().status == 200 and b"<Error>" not in completed.result().body
        reply = raw.get(own_bucket, name)
        assert (reply.status, reply.body) == (200, BODY) if was_completed else (reply.status, reply.code) == (404, "NoSuchKey")


def test_a_bucket_that_is_deleted_while_it_is_written_to_loses_no_acknowledged_write(own):
    raw = own.raw()
    for _ in range(10):
        bucket = make_bucket(own)
        with ThreadPoolExecutor(3) as pool:
            write = pool.submit(own.raw().put, bucket, "object", b"body")
            deleted = pool.submit(own.raw().request, "DELETE", f"/{bucket}").result()
            written = write.result()
        outcome = (written.status, deleted.status)
        assert outcome in ((200, 409), (404, 204)), outcome
        if written.status == 200:
            assert raw.get(bucket, "object").ok().body == b"body"


def test_what_a_refused_write_left_on_the_disk_is_swept(own, own_bucket):
    admin, before = Admin(own), disk.blobs(own)
    key = admin.create_key()
    request = put_under(own, own_bucket, key, MODES["SSE-KMS"])
    with half(own, request) as wire:
        delete_now(admin, key)
        wire.send(request.body[len(request.body) // 2 :]).receive("PUT")
    deadline = threading.Event()
    for _ in range(200):
        if not disk.new_blobs(own, before):
            return
        deadline.wait(0.1)
    raise AssertionError(f"still there: {disk.new_blobs(own, before)}")
