"""Every outside backend through the whole server, against the real thing: configured, used in every mode, rotated, re-keyed, locked, taken away
and given back. Logged at the level `trace`: what the libraries below say of their calls is searched for secrets at the end, too."""

import base64
import contextlib
import json
import secrets
import time

import boto3
import pytest

from conftest import make_bucket
from harness import disk, leaks
from harness.admin import Admin
from harness.keyservers import Barbican, LocalStack, OpenBao, PyKmip, SoftHsm, trusted_dirs
from harness.sse import KEY, KMS_KEY_ID, SSE, customer
from test_kms_seed_002 import OpenConnection

ACCOUNT = "111122223333"
# Root of an account, who has keys of its own.
LANDLORD = f"""
[[users]]
name = "landlord"
account = "{ACCOUNT}"
account_root = true
access_key = "AKLANDLORD"
secret_key = "the-secret-of-the-landlord"
"""
TRACED = 'encrypt_by_default = false\nlog_level = "trace"\n[kms]\nbackend = "none"\n'
TIMEOUT_SECONDS = 10
OUTAGE_TIMEOUT_SECONDS = 1
BUCKET_KEY = {"x-amz-server-side-encryption-bucket-key-enabled": "true"}
MODES = {
    "SSE-S3": {SSE: "AES256"},
    "SSE-KMS": {SSE: "aws:kms"},
    "bucket-key": {SSE: "aws:kms"} | BUCKET_KEY,
    "DSSE-KMS": {SSE: "aws:kms:dsse"},
}


class Backend:
    """A key server, and what the backend over it can do."""

    names_keys = rotates = deletes_now = True
    env = {}

    def make_outside(self, name):
        """Makes a key with the key server's own tools; its id."""

    @contextlib.contextmanager
    def away(self):
        """The key server accepts connections and answers nothing."""
        self.server("pause")
        try:
            yield
        finally:
            self.server("resume")


class Aws(Backend):
    names_keys = rotates = deletes_now = False

    def __init__(self):
        self.server = LocalStack()
        self.configuration = self.server.configuration()

    def make_outside(self, name):
        fields = self.configuration
        login = {"aws_access_key_id": fields["access_key_id"], "aws_secret_access_key": fields["secret_access_key"]}
        return boto3.client("kms", endpoint_url=fields["endpoint"], region_name=fields["region"], **login).create_key()["KeyMetadata"]["KeyId"]


class VaultKv(Backend):
    def __init__(self):
        self.server = OpenBao()
        login = {"approle": self.server.approle(policy="strongroom-kv")}
        self.configuration = self.server.configuration(engine="kv", auth_method=login)

    def make_outside(self, name):
        material = base64.b64encode(secrets.token_bytes(32)).decode()
        record = {"format": 1, "versions": [{"created": "2026-11-21T02:37:32Z", "material": leaks.register("outside material", material)}]}
        self.server.bao("kv", "put", "-mount=secret", f"strongroom/{name}", "-", input=json.dumps(record))
        return name


class Hsm(Backend):
    def __init__(self):
        self.server = SoftHsm()
        self.configuration, self.env = self.server.configuration(), self.server.env

    def make_outside(self, name):
        self.server.tool("--keygen", "--key-type", "AES:32", "--label", name, "--id", "01", "--sensitive")
        return name

    @contextlib.contextmanager
    def away(self):
        """The token is pulled out."""
        self.server("take-away")
        try:
            yield
        finally:
            self.server("put-back")


class Kmip(Backend):
    def __init__(self):
        self.server = PyKmip()
        self.configuration = self.server.configuration()

    def make_outside(self, name):
        text = self.configuration["key_prefix"] + name
        self.server("python " + json.dumps([f"uid = c.create(AES, 256, name={text!r}, cryptographic_usage_mask=mask)", "c.activate(uid)"]))
        return name


class KmipKilled(Kmip):
    @contextlib.contextmanager
    def away(self):
        """Nobody listens any more."""
        self.server("kill")
        try:
            yield
        finally:
            self.server("restart")


class InBarbican(Backend):
    names_keys = False

    def __init__(self):
        self.server = Barbican()
        self.configuration = self.server.configuration()

    @contextlib.contextmanager
    def away(self):
        self.server.pause()
        try:
            yield
        finally:
            self.server.resume()


class Store:
    """A server on a backend."""

    def __init__(self, backend, server):
        self.backend, self.server = backend, server
        self.admin, self.raw, self.bucket = Admin(server), server.raw(), make_bucket(server)

    def put(self, name, headers, body=b"body"):
        self.raw.put(self.bucket, name, body, headers).ok()

    def get(self, name):
        return self.raw.get(self.bucket, name)

    def create_key(self):
        name = None if self.backend.names_keys else ""
        return self.admin.create_key() if name is None else self.admin("POST", "/keys", {})["key_id"]

    def in_use(self):
        """Objects of each version of each key."""
        return {(row["backend"], row["key_id"], row["version"]): row["objects"] for row in self.admin("GET", "/keys/in-use")["keys"]}


def under(key, headers=MODES["SSE-KMS"]):
    return headers | {KMS_KEY_ID: key}


@pytest.mark.parametrize("kind", [Aws, VaultKv, Hsm, Kmip, KmipKilled, InBarbican])
def test_a_store_lives_on_a_backend_through_everything(kind, new_server):
    backend = kind()
    try:
        server = new_server(TRACED + trusted_dirs(backend.configuration) + LANDLORD, env=backend.env)
        store = Store(backend, server)
        default = configure(store)
        pid = server.process.pid
        objects_come_back_in_every_mode(store, default)
        imported_and_outside_keys_work(store)
        a_key_belongs_to_an_account(store)
        rotation_and_rekeying_free_the_old_version(store)
        a_locked_key_locks_its_objects_at_once(store)
        a_scheduled_deletion_can_be_cancelled(store)
        a_deletion_is_final(store)
        an_outage_is_a_503_and_nothing_else(store, default)
        assert server.process.pid == pid and server.process.poll() is None
        assert server.stop() == 0
        assert "panicked" not in server.log_text()
    finally:
        backend.server.stop()


def configure(store):
    """Configures, starts, makes the default key; its id."""
    admin, fields = store.admin, store.backend.configuration | {"timeout_seconds": TIMEOUT_SECONDS, "retry_attempts": 1}
    assert admin("POST", "/configure", fields)["status"] == "Configured"
    assert store.raw.put(store.bucket, "too-early", b"x", MODES["SSE-S3"]).status == 503
    assert admin("POST", "/start")["status"] == "Running"
    default = store.create_key()
    admin("POST", "/reconfigure", {"default_key_id": default})
    status = admin("GET", "/status")
    assert (status["status"], status["backend_type"], status["healthy"]) == ("Running", fields["backend_type"], True), status
    return default


def objects_come_back_in_every_mode(store, default):
    for name, headers in MODES.items():
        body = secrets.token_bytes(200_000)
        store.put(name, headers, body)
        reply = store.get(name).ok()
        assert reply.body == body
        assert reply.headers[SSE] == headers[SSE] and reply.headers[KMS_KEY_ID] == default
        assert store.raw.get(store.bucket, name, {"range": "bytes=70000-70099"}).ok(206).body == body[70000:70100]
        store.raw.copy(f"{store.bucket}/{name}", store.bucket, f"{name}-copy", headers).ok()
        assert store.get(f"{name}-copy").ok().body == body
        assert disk.holding(disk.files(store.server), body[:64]) == []
    assert sum(store.in_use().values()) == 2 * len(MODES)
    store.admin("POST", "/clear-cache", status=204)
    for name in MODES:
        store.get(name).ok()


def a_key_belongs_to_an_account(store):
    """The key says so itself, and root gets nothing out of it."""
    landlord = Admin(store.server, access_key="AKLANDLORD", secret_key="the-secret-of-the-landlord")
    key = landlord("POST", "/keys", {})["key_id"]
    assert store.admin.key(key)["tags"] == {"strongroom:owner": ACCOUNT}
    blob = {"ciphertext_blob": landlord("POST", "/generate-data-key", {"key_id": key})["ciphertext_blob"]}
    store.admin.fails(403, "POST", "/decrypt", blob)
    store.raw.put(store.bucket, "of-the-landlord", b"x", {SSE: "aws:kms", KMS_KEY_ID: key}).fails(403, "AccessDenied")
    store.admin.fails(400, "POST", "/keys/untag", {"key_id": key, "tag_keys": ["strongroom:owner"]})
    store.admin.change("disable", key)
    landlord.fails(409, "POST", "/decrypt", blob)
    store.admin.change("enable", key)
    landlord("POST", "/decrypt", blob)


def imported_and_outside_keys_work(store):
    material = leaks.register("imported material", secrets.token_bytes(32))
    imported = store.admin("POST", "/keys/import", {"name": f"imported-{secrets.token_hex(4)}", "material": base64.b64encode(material).decode()})
    outside = store.backend.make_outside(f"outside-{secrets.token_hex(4)}")
    for key in [imported["key_id"], outside]:
        if key:
            made = store.admin("POST", "/generate-data-key", {"key_id": key, "encryption_context": {"a": "b"}})
            leaks.register("a data key", base64.b64decode(made["plaintext_key"]))
            opened = store.admin("POST", "/decrypt", {"ciphertext_blob": made["ciphertext_blob"], "encryption_context": {"a": "b"}})
            assert opened["plaintext_key"] == made["plaintext_key"]
            store.admin.fails(400, "POST", "/decrypt", {"ciphertext_blob": made["ciphertext_blob"], "encryption_context": {"a": "c"}})
            store.put("of-" + key, under(key))
            store.admin("POST", "/clear-cache", status=204)
            assert store.get("of-" + key).ok().body == b"body"
            assert store.admin.key(key)["current_version"] == 1
    if outside:
        assert outside in [row["key_id"] for row in store.admin("GET", "/keys", query={"limit": "1000"})["keys"]]


def rotation_and_rekeying_free_the_old_version(store):
    key, target = store.create_key(), store.create_key()
    store.put("old", under(key))
    if store.backend.rotates:
        assert store.admin.change("rotate", key)["key_metadata"]["current_version"] == 2
        store.put("new", under(key))
        assert {row["version"]: row["objects"] for row in store.admin.usage(key)["versions"]} == {1: 1, 2: 1}
        assert store.get("old").ok().body == store.get("new").ok().body == b"body"
        job = store.admin.rekey(from_key=key, from_version=1)
        assert (job["state"], job["done"], job["failed"]) == ("Completed", 1, 0), job
        assert [row["version"] for row in store.admin.usage(key)["versions"]] == [2]
    else:
        store.admin.fails(501, "POST", "/keys/rotate", {"key_id": key})
    job = store.admin.rekey(from_key=key, to_key=target)
    assert (job["state"], job["failed"]) == ("Completed", 0), job
    assert store.admin.usage(key)["versions"] == [] and store.admin.usage(target)["objects"] >= 1
    store.admin("POST", "/clear-cache", status=204)
    reply = store.get("old").ok()
    assert (reply.body, reply.headers[KMS_KEY_ID]) == (b"body", target)


def a_locked_key_locks_its_objects_at_once(store):
    key = store.create_key()
    store.put("mine", under(key))
    store.put("bucket-key-mine", under(key, MODES["bucket-key"]))
    connection = OpenConnection(store.server)
    for lock, unlock, status in [("disable", "enable", 400), ("seal", "unseal", 403)]:
        for name in ("mine", "bucket-key-mine"):
            assert connection.get(store.bucket, name) == (200, b"body")
        store.admin.change(lock, key)
        for name in ("mine", "bucket-key-mine"):
            assert connection.get(store.bucket, name)[0] == status
        assert store.raw.put(store.bucket, "more", b"x", under(key)).status == status
        assert store.raw.put(store.bucket, "more", b"x", under(key, MODES["bucket-key"])).status == status
        assert connection.get(store.bucket, "SSE-KMS")[0] == 200, "other keys' objects are not locked"
        store.admin.change(unlock, key)
    assert connection.get(store.bucket, "mine") == (200, b"body")


def a_scheduled_deletion_can_be_cancelled(store):
    key = store.create_key()
    store.put("doomed", under(key), b"x" * 1000)
    scheduled = store.admin("DELETE", "/keys/delete", {"key_id": key, "pending_window_in_days": 7})
    assert scheduled["key_metadata"]["deletion_date"]
    assert (scheduled["usage"]["objects"], scheduled["usage"]["bytes"]) == (1, 1000)
    store.get("doomed").fails(400, "KMS.KMSInvalidStateException")
    store.admin("POST", "/keys/cancel-deletion", {"key_id": key})
    if not store.admin.key(key)["enabled"]:
        store.admin.change("enable", key)
    assert store.get("doomed").ok().body == b"x" * 1000
    assert store.admin("GET", "/receipts")["receipts"] == []


def a_deletion_is_final(store):
    key = store.create_key()
    store.put("gone", under(key), b"x" * 500)
    store.get("gone").ok()
    request = {"key_id": key, "force_immediate": True, "confirm_key_id": key}
    if not store.backend.deletes_now:
        store.admin.fails(501, "DELETE", "/keys/delete", request)
        assert store.get("gone").ok().body == b"x" * 500
        return
    receipt = store.admin("DELETE", "/keys/delete", request)["receipt"]["receipt"]
    assert (receipt["key_id"], receipt["objects"], receipt["bytes"], receipt["buckets"]) == (key, 1, 500, [store.bucket])
    store.get("gone").fails(410, "KMS.NotFoundException")
    assert [row["receipt"]["key_id"] for row in store.admin("GET", "/receipts")["receipts"]] == [key]


def an_outage_is_a_503_and_nothing_else(store, default):
    raw, bucket = store.raw, store.bucket
    store.put("sse-c", customer(KEY), b"c")
    store.put("none", {}, b"none")
    marker = b"never-in-the-clear-" + secrets.token_hex(16).encode()
    before = store.in_use()
    store.admin("POST", "/reconfigure", {"timeout_seconds": OUTAGE_TIMEOUT_SECONDS})
    store.admin("POST", "/clear-cache", status=204)
    with store.backend.away():
        attempts = [lambda: store.get("SSE-KMS"), lambda: store.get("bucket-key"), lambda: raw.copy(f"{bucket}/DSSE-KMS", bucket, "copied")]
        attempts += [lambda headers=headers: raw.put(bucket, "not-stored", marker * 100, headers) for headers in MODES.values()]
        for attempt in attempts:
            begun = time.monotonic()
            refused = attempt().fails(503, "InternalError")
            assert time.monotonic() - begun < OUTAGE_TIMEOUT_SECONDS + 2
            assert "/kms/status" in refused.message and int(refused.headers["retry-after"]) >= 1
        assert raw.get(bucket, "sse-c", customer(KEY)).ok().body == b"c"
        assert raw.get(bucket, "none").ok().body == b"none"
        raw.put(bucket, "none", b"again").ok()
        assert raw.head(bucket, "SSE-KMS").ok().headers[KMS_KEY_ID] == default
        raw.get(bucket, "not-stored").fails(404, "NoSuchKey")
        raw.get(bucket, "copied").fails(404, "NoSuchKey")
        status = store.admin("GET", "/status")
        assert status["healthy"] is False and status["error"], status
        assert store.admin.reply("POST", "/keys", {}).status == 503
        assert disk.holding(disk.files(store.server), marker) == []
    deadline = time.monotonic() + 60
    while store.get("SSE-KMS").status != 200:
        assert time.monotonic() < deadline, store.get("SSE-KMS").message
        time.sleep(0.2)
    store.admin("POST", "/reconfigure", {"timeout_seconds": TIMEOUT_SECONDS})
    assert store.in_use() == before
    for name, headers in MODES.items():
        store.get(name).ok()
        store.put("after", headers)
    assert store.admin("GET", "/status")["healthy"] is True
