"""Seed 002 (MinIO): key rotation of SSE-S3, and "Secure Erasure and Locking": sealing the service, sealing a key, deleting a key,
each with the stated effect on objects that are there, at once, on a server with a hot cache and open connections."""

import http.client
import ssl

import pytest

from conftest import make_bucket
from harness.admin import Admin
from harness.sse import KMS_KEY_ID, SSE
from harness import sigv4

SEALED = (403, "KMS.KMSInvalidStateException")


@pytest.fixture
def admin(server):
    return Admin(server)


@pytest.fixture
def kms_server(new_server):
    return new_server()


class OpenConnection:
    """One connection of HTTP/1.1, kept open over several requests."""

    def __init__(self, server):
        self.server = server
        context = ssl.create_default_context(cafile=str(server.ca))
        self.connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context, timeout=30)
        self.connection.connect()
        self.socket = self.connection.sock

    def get(self, bucket, key):
        headers = sigv4.sign(
            sigv4.Credentials(self.server.access_key, self.server.secret_key), "GET", f"/{bucket}/{key}", (), {"host": f"127.0.0.1:{self.server.port}"}, "UNSIGNED-PAYLOAD"
        )
        self.connection.request("GET", f"/{bucket}/{key}", headers=headers)
        reply = self.connection.getresponse()
        body = reply.read()
        assert self.connection.sock is self.socket, "the connection stayed open"
        return reply.status, body


def put(raw, bucket, key, key_id, body=b"secret"):
    raw.put(bucket, key, body, {SSE: "aws:kms", KMS_KEY_ID: key_id}).ok()


def test_rotation_makes_a_version_new_objects_use_it_and_old_ones_open(admin, raw, bucket):
    key = admin.create_key()
    put(raw, bucket, "old", key)
    assert admin.change("rotate", key)["key_metadata"]["current_version"] == 2
    put(raw, bucket, "new", key)
    usage = {row["version"]: row["objects"] for row in admin.usage(key)["versions"]}
    assert usage == {1: 1, 2: 1}
    assert raw.get(bucket, "old").ok().body == raw.get(bucket, "new").ok().body == b"secret"


def test_rekeying_after_a_rotation_leaves_nothing_under_the_old_version(admin, raw, bucket):
    key = admin.create_key()
    put(raw, bucket, "old", key)
    before = raw.head(bucket, "old").ok().headers
    admin.change("rotate", key)
    job = admin.rekey(bucket=bucket, from_key=key)
    assert (job["state"], job["done"], job["failed"]) == ("Completed", 1, 0)
    assert [row["version"] for row in admin.usage(key)["versions"]] == [2]
    after = raw.head(bucket, "old").ok().headers
    same = ("etag", "last-modified", "content-length", SSE, KMS_KEY_ID)
    assert {name: after.get(name) for name in same} == {name: before.get(name) for name in same}
    assert raw.get(bucket, "old").ok().body == b"secret"


def test_a_sealed_service_locks_every_object_of_its_keys_at_once_and_no_other(kms_server):
    admin, raw, bucket = Admin(kms_server), kms_server.raw(), make_bucket(kms_server)
    from harness.sse import KEY, customer

    raw.put(bucket, "sse-s3", b"a", {SSE: "AES256"}).ok()
    raw.put(bucket, "sse-kms", b"b", {SSE: "aws:kms"}).ok()
    raw.put(bucket, "sse-c", b"c", customer(KEY)).ok()
    connection = OpenConnection(kms_server)
    assert connection.get(bucket, "sse-kms") == (200, b"b")
    assert admin("POST", "/seal")["status"] == "Sealed"
    assert connection.get(bucket, "sse-kms")[0] == 403
    for key in ("sse-s3", "sse-kms"):
        assert "sealed" in raw.get(bucket, key).fails(*SEALED).message
    raw.put(bucket, "new", b"x", {SSE: "AES256"}).fails(*SEALED)
    raw.put(bucket, "new", b"x").fails(*SEALED)
    admin.fails(409, "POST", "/keys", {"name": "while-sealed"})
    assert raw.get(bucket, "sse-c", customer(KEY)).ok().body == b"c"
    assert raw.request("GET", f"/{bucket}").ok().body.count(b"<Key>") == 3
    kms_server.restart()
    admin, raw = Admin(kms_server), kms_server.raw()
    assert admin("GET", "/status")["status"] == "Sealed"
    raw.get(bucket, "sse-s3").fails(*SEALED)
    assert raw.get(bucket, "sse-c", customer(KEY)).ok().body == b"c"
    assert admin("POST", "/unseal")["status"] == "Running"
    assert raw.get(bucket, "sse-s3").ok().body == b"a"
    assert raw.get(bucket, "sse-kms").ok().body == b"b"


@pytest.mark.parametrize(
    ("lock", "unlock", "status", "code"),
    [("seal", "unseal", 403, "KMS.KMSInvalidStateException"), ("disable", "enable", 400, "KMS.DisabledException")],
)
@pytest.mark.parametrize("bucket_key", [False, True])
def test_a_key_that_is_locked_locks_its_own_objects_at_once(server, admin, raw, bucket, lock, unlock, status, code, bucket_key):
    key, other = admin.create_key(), admin.create_key()
    headers = {SSE: "aws:kms", KMS_KEY_ID: key} | ({"x-amz-server-side-encryption-bucket-key-enabled": "true"} if bucket_key else {})
    raw.put(bucket, "mine", b"secret", headers).ok()
    put(raw, bucket, "other", other)
    connection = OpenConnection(server)
    for _ in range(2):
        assert connection.get(bucket, "mine") == (200, b"secret")
    admin.change(lock, key)
    assert connection.get(bucket, "mine")[0] == status
    raw.get(bucket, "mine").fails(status, code)
    raw.put(bucket, "more", b"x", headers).fails(status, code)
    raw.copy(f"{bucket}/mine", bucket, "copy").fails(status, code)
    assert raw.head(bucket, "mine").ok().headers["content-length"] == "6"
    assert raw.get(bucket, "other").ok().body == b"secret"
    admin.change(unlock, key)
    assert connection.get(bucket, "mine") == (200, b"secret")
    raw.put(bucket, "more", b"x", headers).ok()


def test_a_scheduled_deletion_states_the_loss_first_and_can_be_cancelled(admin, raw, bucket):
    key = admin.create_key()
    put(raw, bucket, "one", key, b"x" * 1000)
    put(raw, bucket, "two", key, b"y" * 234)
    scheduled = admin("DELETE", "/keys/delete", {"key_id": key, "pending_window_in_days": 7})
    assert scheduled["key_metadata"]["deletion_date"]
    usage = scheduled["usage"]
    assert (usage["objects"], usage["bytes"]) == (2, 1234)
    assert [(row["bucket"], row["objects"]) for row in usage["versions"][0]["buckets"]] == [(bucket, 2)]
    raw.get(bucket, "one").fails(400, "KMS.KMSInvalidStateException")
    admin("POST", "/keys/cancel-deletion", {"key_id": key})
    admin.reply("POST", "/keys/enable", {"key_id": key})
    assert raw.get(bucket, "one").ok().body == b"x" * 1000


def test_a_deleted_key_erases_its_objects_for_good_and_leaves_a_signed_receipt(server, admin, raw, bucket):
    key = admin.create_key()
    put(raw, bucket, "gone", key, b"z" * 500)
    connection = OpenConnection(server)
    assert connection.get(bucket, "gone")[0] == 200
    admin.fails(400, "DELETE", "/keys/delete", {"key_id": key, "force_immediate": True})
    admin.fails(400, "DELETE", "/keys/delete", {"key_id": key, "force_immediate": True, "confirm_key_id": "another"})
    assert connection.get(bucket, "gone")[0] == 200
    deleted = admin("DELETE", "/keys/delete", {"key_id": key, "force_immediate": True, "confirm_key_id": key})
    assert (deleted["usage"]["objects"], deleted["usage"]["bytes"]) == (1, 500)
    assert connection.get(bucket, "gone")[0] == 410
    assert "cannot be recovered" in raw.get(bucket, "gone").fails(410, "KMS.NotFoundException").message
    raw.put(bucket, "more", b"x", {SSE: "aws:kms", KMS_KEY_ID: key}).fails(410, "KMS.NotFoundException")
    admin.fails(409, "POST", "/keys", {"name": key})
    receipts = [row["receipt"] for row in admin("GET", "/receipts")["receipts"] if row["receipt"]["key_id"] == key]
    assert [(row["objects"], row["bytes"], row["buckets"]) for row in receipts] == [(1, 500, [bucket])]
    assert not list((server.secrets / "kms").rglob(f"*{key}*.bak"))
