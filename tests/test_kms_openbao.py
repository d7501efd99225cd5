"""A store whose keys are in OpenBao (the Vault API): objects in every KMS mode, and every way in which the key server can fail."""

import json
import secrets
import threading
import time

import pytest

from conftest import make_bucket
from harness import disk
from harness.admin import Admin
from harness.keyservers import OpenBao, trusted_dirs
from harness.sse import KEY, KMS_KEY_ID, SSE, customer

BUCKET_KEY = {"x-amz-server-side-encryption-bucket-key-enabled": "true"}
NO_KMS = 'encrypt_by_default = false\n[kms]\nbackend = "none"\n'
TIMEOUT_SECONDS = 3


@pytest.fixture(scope="module")
def openbao():
    server = OpenBao()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def store(openbao, tmp_path_factory):
    """A server on OpenBao, with short timeouts, and a cache that remembers for a second."""
    from harness.server import Server

    server = Server(tmp_path_factory.mktemp("openbao") / "home", config=NO_KMS + trusted_dirs(openbao.configuration())).start()
    admin = Admin(server)
    configuration = openbao.configuration(timeout_seconds=TIMEOUT_SECONDS, retry_attempts=2, cache_ttl_seconds=1)
    admin("POST", "/configure", configuration)
    admin("POST", "/start")
    admin("POST", "/reconfigure", {"default_key_id": admin.create_key("store-default")})
    yield server
    assert server.stop() == 0
    server.remove()


@pytest.fixture
def admin(store):
    return Admin(store)


@pytest.fixture
def raw(store):
    return store.raw()


@pytest.fixture
def bucket(store):
    return make_bucket(store)


@pytest.mark.parametrize(
    "headers",
    [{SSE: "AES256"}, {SSE: "aws:kms"}, {SSE: "aws:kms"} | BUCKET_KEY, {SSE: "aws:kms:dsse"}],
    ids=["SSE-S3", "SSE-KMS", "bucket key", "DSSE-KMS"],
)
def test_objects_come_back_with_keys_that_never_leave_openbao(store, raw, bucket, headers):
    body = secrets.token_bytes(300_000)
    raw.put(bucket, "object", body, headers).ok()
    assert raw.get(bucket, "object").ok().body == body
    assert raw.get(bucket, "object", {"range": "bytes=70000-70099"}).ok(206).body == body[70000:70100]
    raw.copy(f"{bucket}/object", bucket, "copy", headers).ok()
    assert raw.get(bucket, "copy").ok().body == body
    assert disk.holding(disk.files(store), body[:64]) == []


def test_a_key_rotated_in_openbao_itself_keeps_old_objects_readable(openbao, admin, raw, bucket):
    key = admin.create_key()
    raw.put(bucket, "old", b"old", {SSE: "aws:kms", KMS_KEY_ID: key}).ok()
    openbao.bao("write", "-f", f"transit/keys/{key}/rotate")
    raw.put(bucket, "new", b"new", {SSE: "aws:kms", KMS_KEY_ID: key}).ok()
    assert [row["version"] for row in admin.usage(key)["versions"]] == [1, 2]
    assert (raw.get(bucket, "old").ok().body, raw.get(bucket, "new").ok().body) == (b"old", b"new")
    admin.rekey(from_key=key, from_version=1)
    assert [row["version"] for row in admin.usage(key)["versions"]] == [2]


def test_an_object_s_wrapped_key_does_not_open_for_another_object(openbao, admin, raw, bucket):
    key = admin.create_key()
    raw.put(bucket, "mine", b"mine", {SSE: "aws:kms", KMS_KEY_ID: key, "x-amz-server-side-encryption-context": "eyJhIjoiYiJ9"}).ok()
    assert raw.get(bucket, "mine").ok().body == b"mine"
    raw.put(bucket, "bad", b"x", {SSE: "aws:kms", KMS_KEY_ID: key, "x-amz-server-side-encryption-context": "e30x"}).fails(400, "InvalidArgument")


def test_every_one_of_a_bucket_key_s_objects_costs_no_call(openbao, admin, raw, bucket, store):
    key = admin.create_key()
    headers = {SSE: "aws:kms", KMS_KEY_ID: key} | BUCKET_KEY
    admin("POST", "/reconfigure", {"cache_ttl_seconds": 300})
    try:
        raw.put(bucket, "first", b"x", headers).ok()
        before = store.metric("strongroom_kms_calls_total")
        for number in range(50):
            raw.put(bucket, str(number), b"x", headers).ok()
            assert raw.get(bucket, str(number)).ok().body == b"x"
        assert store.metric("strongroom_kms_calls_total") - before <= 2
    finally:
        admin("POST", "/reconfigure", {"cache_ttl_seconds": 1})


class Outage:
    """Breaks the key server, and mends it."""

    def __init__(self, openbao, kind):
        self.openbao, self.kind = openbao, kind

    def __enter__(self):
        self.openbao({"paused": "pause", "sealed": "seal"}[self.kind])

    def __exit__(self, *_):
        self.openbao({"paused": "resume", "sealed": "unseal"}[self.kind])


@pytest.mark.parametrize("kind", ["paused", "sealed"])
def test_while_openbao_is_away_its_objects_answer_503_within_the_timeout_others_go_on_and_all_recover(openbao, store, admin, raw, bucket, kind):
    raw.put(bucket, "kms", b"kms", {SSE: "aws:kms"}).ok()
    raw.put(bucket, "sse-c", b"c", customer(KEY)).ok()
    raw.put(bucket, "none", b"none").ok()
    time.sleep(1.1)  # the cache's lifetime
    with Outage(openbao, kind):
        for attempt in [lambda: raw.get(bucket, "kms"), lambda: raw.put(bucket, "new", b"x", {SSE: "AES256"}), lambda: raw.copy(f"{bucket}/kms", bucket, "copy")]:
            begun = time.monotonic()
            refused = attempt().fails(503, "InternalError")
            assert time.monotonic() - begun < TIMEOUT_SECONDS + 2
            assert "/kms/status" in refused.message and int(refused.headers["retry-after"]) >= 1
        assert raw.get(bucket, "sse-c", customer(KEY)).ok().body == b"c"
        assert raw.get(bucket, "none").ok().body == b"none"
        assert raw.head(bucket, "kms").ok().headers["content-length"] == "3"
        status = admin("GET", "/status")
        assert (status["status"], status["healthy"]) == ("Running", False) or status["status"] == "Error"
        raw.get(bucket, "new").fails(404, "NoSuchKey")
    deadline = time.monotonic() + 60
    while raw.get(bucket, "kms").status != 200 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert raw.get(bucket, "kms").ok().body == b"kms"
    raw.put(bucket, "new", b"x", {SSE: "AES256"}).ok()


def test_under_load_an_outage_is_503_only_and_slows_nobody_else(openbao, store, raw, bucket):
    for number in range(8):
        raw.put(bucket, f"kms-{number}", b"kms", {SSE: "aws:kms"}).ok()
    raw.put(bucket, "sse-c", b"c", customer(KEY)).ok()
    time.sleep(1.1)
    seen, slowest, stop = [], [], threading.Event()

    def read(key):
        client = store.raw()
        while not stop.is_set():
            seen.append((client.get(bucket, key).status))

    def other():
        client = store.raw()
        while not stop.is_set():
            begun = time.monotonic()
            assert client.get(bucket, "sse-c", customer(KEY)).ok().body == b"c"
            slowest.append(time.monotonic() - begun)

    threads = [threading.Thread(target=read, args=(f"kms-{number}",)) for number in range(8)] + [threading.Thread(target=other)]
    with Outage(openbao, "paused"):
        for thread in threads:
            thread.start()
        time.sleep(TIMEOUT_SECONDS + 3)
        during = len(slowest)
    time.sleep(3)
    stop.set()
    for thread in threads:
        thread.join()
    assert set(seen) <= {200, 503} and 503 in seen
    assert during > 10, "other objects are served meanwhile"
    deadline = time.monotonic() + 60
    while raw.get(bucket, "kms-0").status != 200 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert raw.get(bucket, "kms-0").ok().body == b"kms"


def test_a_revoked_token_is_a_503_and_a_new_one_helps_without_a_restart(openbao, admin, raw, bucket):
    token = openbao.token()
    admin("POST", "/reconfigure", {"auth_method": {"token": {"token": token}}})
    raw.put(bucket, "object", b"x", {SSE: "aws:kms"}).ok()
    openbao.bao("token", "revoke", token)
    admin("POST", "/clear-cache", status=204)
    raw.get(bucket, "object").fails(503, "InternalError")
    status = admin("GET", "/status")
    assert status["healthy"] is False and token not in str(status)
    admin("POST", "/reconfigure", {"auth_method": {"token": {"token": openbao.token()}}})
    assert raw.get(bucket, "object").ok().body == b"x"


def test_a_token_without_the_right_to_decrypt_is_told_apart(openbao, admin, raw, bucket):
    raw.put(bucket, "object", b"x", {SSE: "aws:kms"}).ok()
    openbao.bao("policy", "write", "strongroom", "-", input='path "transit/encrypt/*" { capabilities = ["update"] }\npath "transit/keys/*" { capabilities = ["read"] }')
    try:
        admin("POST", "/clear-cache", status=204)
        raw.get(bucket, "object").fails(503, "InternalError")
    finally:
        from harness.keyservers import TRANSIT_POLICY

        openbao.bao("policy", "write", "strongroom", "-", input=TRANSIT_POLICY)
    deadline = time.monotonic() + 30
    while raw.get(bucket, "object").status != 200 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert raw.get(bucket, "object").ok().body == b"x"


def test_switching_the_backend_leaves_old_objects_readable_and_a_rekey_moves_them_over(openbao, new_server):
    server = new_server("[kms]\n" + trusted_dirs(openbao.configuration()))
    admin, raw, bucket = Admin(server), server.raw(), make_bucket(server)
    for number in range(5):
        raw.put(bucket, f"local-{number}", b"local", {SSE: "AES256"}).ok()
    raw.put(bucket, "bucket-key", b"bk", {SSE: "aws:kms"} | BUCKET_KEY).ok()
    admin.fails(400, "POST", "/reconfigure", openbao.configuration(default_key_id="no-such-key"))
    openbao.bao("write", "-f", "transit/keys/moved-here")
    assert admin("POST", "/reconfigure", openbao.configuration(default_key_id="moved-here"))["status"] == "Running"
    raw.put(bucket, "vault", b"vault", {SSE: "AES256"}).ok()
    assert raw.head(bucket, "vault").headers[KMS_KEY_ID] == "moved-here"
    assert raw.get(bucket, "local-0").ok().body == b"local"
    rows = {row["name"]: row for row in admin("GET", "/backends")["backends"]}
    assert rows["local"]["objects"] == 6 and rows["vault"]["objects"] == 1
    admin.fails(409, "DELETE", "/backends/local")
    job = admin.rekey(from_backend="local", to_key="moved-here")
    assert (job["state"], job["done"], job["failed"]) == ("Completed", 6, 0)
    rows = {row["name"]: row for row in admin("GET", "/backends")["backends"]}
    assert rows.get("local", {"objects": 0})["objects"] == 0 and rows["vault"]["objects"] == 7
    assert raw.get(bucket, "local-4").ok().body == b"local"
    assert raw.get(bucket, "bucket-key").ok().body == b"bk"


def test_a_store_boots_while_openbao_is_away_and_recovers_by_itself(openbao, new_server):
    server = new_server(NO_KMS + trusted_dirs(openbao.configuration()))
    admin, bucket = Admin(server), make_bucket(server)
    openbao.bao("write", "-f", "transit/keys/boots")
    admin("POST", "/configure", openbao.configuration(default_key_id="boots", timeout_seconds=2, retry_attempts=0))
    admin("POST", "/start")
    server.raw().put(bucket, "object", b"x", {SSE: "AES256"}).ok()
    server.raw().put(bucket, "sse-c", b"c", customer(KEY)).ok()
    openbao("pause")
    try:
        server.restart()
        server.raw().get(bucket, "object").fails(503, "InternalError")
        assert server.raw().get(bucket, "sse-c", customer(KEY)).ok().body == b"c"
    finally:
        openbao("resume")
    deadline = time.monotonic() + 60
    while server.raw().get(bucket, "object").status != 200 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert server.raw().get(bucket, "object").ok().body == b"x"


def test_no_failure_ever_falls_back_to_plaintext_or_another_key(openbao, store, admin, raw, bucket):
    marker = b"never-in-the-clear-" + secrets.token_hex(16).encode()
    body = marker * 100
    admin("POST", "/clear-cache", status=204)
    before = {row["key_id"]: row["objects"] for row in admin("GET", "/keys/in-use")["keys"]}
    with Outage(openbao, "sealed"):
        for headers in [{SSE: "AES256"}, {SSE: "aws:kms"}, {SSE: "aws:kms"} | BUCKET_KEY, {SSE: "aws:kms:dsse"}]:
            raw.put(bucket, "object", body, headers).fails(503, "InternalError")
    deadline = time.monotonic() + 60
    while raw.put(bucket, "well", b"x", {SSE: "AES256"}).status != 200 and time.monotonic() < deadline:
        time.sleep(0.2)
    before["store-default"] = before.get("store-default", 0) + 1
    raw.put(bucket, "object", body, {SSE: "aws:kms", KMS_KEY_ID: "no-such-key"}).fails(404, "NotFound")
    assert {row["key_id"]: row["objects"] for row in admin("GET", "/keys/in-use")["keys"]} == before
    assert disk.holding(disk.files(store), marker) == []
    raw.get(bucket, "object").fails(404, "NoSuchKey")


def test_a_server_logs_in_with_the_token_of_a_file_that_its_options_name(openbao, new_server, tmp_path):
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text(openbao.token() + "\n")
    openbao.bao("write", "-f", "transit/keys/of-options")
    fields = {"backend": "vault", "vault_address": openbao.facts["https"], "vault_ca_file": openbao.facts["ca"]}
    fields |= {"vault_token_file": str(token), "default_key_id": "of-options"}
    server = new_server("[kms]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in fields.items()))
    raw, bucket = server.raw(), make_bucket(server)
    raw.put(bucket, "object", b"x", {SSE: "aws:kms"}).ok()
    assert raw.head(bucket, "object").headers[KMS_KEY_ID] == "of-options"
    assert raw.get(bucket, "object").ok().body == b"x"
