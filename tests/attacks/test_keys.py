"""Who administers keys and may not use them, and who configures the key service: jobs, data keys, files of the server."""

import base64
import contextlib
import json
import os
import shutil
import time

import pytest

from attacks.field import BODY, CONFIG, MARK, VICTIM, Field
from attacks.row import EVERYTHING, KEYS, LOG, MEMORY, SECRETS, STORE
from harness import audit
from harness.sse import KMS_KEY_ID, SSE

DENIED_KEY = "victim-key"
JOB_SECONDS = 60

# ---- 4: a job does what its starter could, and no more

SCOPES = {
    "over everything": {},
    "over the bucket": {"bucket": VICTIM},
    "over a prefix": {"bucket": VICTIM, "prefix": "under"},
    "over a mode": {"mode": "SSE-KMS"},
    "over a backend": {"from_backend": "local"},
}


def ended(field, job_id):
    deadline = time.monotonic() + JOB_SECONDS
    while (job := field.admin("GET", f"/rekey/{job_id}"))["state"] == "Running":
        assert time.monotonic() < deadline, job
        time.sleep(0.02)
    return job


def assert_still_denied(field):
    """The object is under its key yet, and the starter of the job reads it no more than before."""
    head = field.server.raw().head(VICTIM, "under-a-key").ok()
    assert head.headers[KMS_KEY_ID] == DENIED_KEY
    assert field.admin.usage(DENIED_KEY)["objects"] == 1
    field.raw("rekeyer").get(VICTIM, "under-a-key").fails(403, "AccessDenied")


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("prefix", ["/kms", "/strongroom/admin/v1/kms"])
def test_a_job_leaves_alone_what_an_explicit_deny_keeps_from_its_starter(own_field, scope, prefix):
    field = own_field()
    field.raw("rekeyer").get(VICTIM, "under-a-key").fails(403, "AccessDenied")
    started = field.admin_of("rekeyer", prefix).reply("POST", "/rekey", SCOPES[scope] | {"to_key": "mallory-key"}).ok(202)
    job = ended(field, json.loads(started.body)["job_id"])
    assert_still_denied(field)
    assert (job["state"], job["failed"]) == ("CompletedWithErrors", 1), job
    assert [failure["key"] for failure in job["failures"]] == ["under-a-key"]
    assert field.server.raw().get(VICTIM, "under-a-key").ok().body == BODY


def test_a_batch_job_of_mc_leaves_alone_what_a_deny_keeps_from_its_starter(own_field):
    field = own_field()
    yaml = f"keyrotate:\n  apiVersion: v1\n  bucket: {VICTIM}\n  encryption:\n    type: sse-kms\n    key: mallory-key\n"
    started = field.raw("rekeyer").request("POST", "/minio/admin/v3/start-job", body=yaml.encode()).ok()
    job = ended(field, json.loads(started.body)["id"])
    assert_still_denied(field)
    assert (job["state"], job["failed"]) == ("CompletedWithErrors", 1), job


@pytest.mark.parametrize("named", ["victim-key", "key/victim-key", "arn:aws:kms:us-east-1:000000000000:key/victim-key"])
def test_a_job_that_names_the_denied_key_is_refused(field, named):
    before = field.state(EVERYTHING)
    reply = field.admin_of("rekeyer").reply("POST", "/rekey", {"from_key": named, "to_key": "mallory-key"}).fails(403, "AccessDenied")
    field.assert_unchanged(before, EVERYTHING, [reply])


def test_a_job_cannot_move_objects_under_a_key_that_its_starter_may_not_use(field):
    before = field.state(EVERYTHING)
    reply = field.admin_of("keykeeper").reply("POST", "/rekey", {"from_key": "mallory-key", "to_key": "default"}).fails(403, "AccessDenied")
    field.assert_unchanged(before, EVERYTHING, [reply])


# ---- administration without the use of keys

WITHOUT_THE_KEY = [
    ("POST", "/generate-data-key", {"key_id": DENIED_KEY}),
    ("POST", "/generate-data-key", {"key_id": f"arn:aws:kms:::key/{DENIED_KEY}"}),
    ("POST", "/rekey", {}),
    ("POST", "/rekey", {"to_key": "mallory-key"}),
]


@pytest.mark.parametrize(("method", "path", "body"), WITHOUT_THE_KEY)
def test_rights_to_manage_keys_are_none_to_use_them(field, method, path, body):
    before = field.state(EVERYTHING)
    reply = field.admin_of("keykeeper").reply(method, path, body).fails(403, "AccessDenied")
    field.assert_unchanged(before, EVERYTHING, [reply])


def test_a_data_key_of_another_opens_for_nobody_without_the_right(field):
    made = field.admin("POST", "/generate-data-key", {"key_id": DENIED_KEY, "key_spec": "AES_256"})
    before = field.state(EVERYTHING)
    for user in ("keykeeper", "rekeyer", "mallory", "nobody"):
        reply = field.admin_of(user).reply("POST", "/decrypt", {"ciphertext_blob": made["ciphertext_blob"]}).fails(403, "AccessDenied")
        assert made["plaintext_key"].encode() not in reply.body
        field.assert_unchanged(before, EVERYTHING, [reply])


ADMIN_CALLS = [
    ("GET", "/status", None),
    ("GET", "/config", None),
    ("GET", "/keys", None),
    ("GET", f"/keys/{DENIED_KEY}", None),
    ("GET", f"/keys/{DENIED_KEY}/usage", None),
    ("POST", "/keys", {"name": "mallory-made"}),
    ("POST", "/keys/disable", {"key_id": DENIED_KEY}),
    ("POST", "/keys/seal", {"key_id": DENIED_KEY}),
    ("POST", "/keys/rotate", {"key_id": DENIED_KEY}),
    ("POST", "/keys/tag", {"key_id": DENIED_KEY, "tags": {"a": "b"}}),
    ("DELETE", "/keys/delete", {"key_id": DENIED_KEY, "force_immediate": True, "confirm_key_id": DENIED_KEY}),
    ("DELETE", "/keys/delete", {"key_id": DENIED_KEY}),
    ("POST", "/seal", {}),
    ("POST", "/stop", {}),
    ("POST", "/clear-cache", {}),
    ("POST", "/backup", {"passphrase": "a long passphrase"}),
    ("POST", "/restore", {"bundle": "AAAA", "passphrase": "a long passphrase", "dry_run": False}),
    ("POST", "/reconfigure", {"default_key_id": "mallory-key"}),
    ("DELETE", "/backends/local", None),
    ("GET", "/audit/head", None),
    ("GET", "/receipts", None),
]


@pytest.mark.parametrize("user", ["mallory", "nobody"])
@pytest.mark.parametrize(("method", "path", "body"), ADMIN_CALLS)
def test_a_tenant_administers_nothing(field, user, method, path, body):
    before = field.state((KEYS, STORE))
    reply = field.admin_of(user).reply(method, path, body).fails(403, "AccessDenied")
    field.assert_unchanged(before, (KEYS, STORE, LOG, SECRETS), [reply])


# ---- 11: files of the server


@pytest.fixture(scope="module")
def trusting(tmp_path_factory):
    """A field whose administrators may name files of one directory, in which a certificate and its key are."""
    home = tmp_path_factory.mktemp("trusting")
    (home / "trusted").mkdir()
    made = Field(home / "home", CONFIG.replace("[[users]]", f'trusted_dirs = ["{home}/trusted"]\n[[users]]', 1))
    for name, source in (("certificate.pem", "server.pem"), ("key.pem", "server.key")):
        shutil.copy(made.server.secrets / "tls" / source, home / "trusted" / name)
    yield made
    made.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory, trusting):
    """Paths of every sort that a configuration might name, by what is there."""
    home, field = tmp_path_factory.mktemp("files"), trusting
    (home / "certificate.pem").write_bytes(field.server.ca.read_bytes())
    (home / "text").write_text("not a certificate: " + MARK)
    (home / "directory").mkdir()
    os.mkfifo(home / "fifo")
    (home / "link").symlink_to(field.server.ca)
    secrets = field.server.secrets
    return {
        "the server's TLS key": secrets / "tls" / "server.key",
        "the key of the server's authority": secrets / "tls" / "ca.key",
        "the server's certificate": secrets / "tls" / "server.pem",
        "the master key": secrets / "kms-master.key",
        "the server's configuration": field.server.home / "strongroom.toml",
        "a certificate elsewhere": home / "certificate.pem",
        "a text": home / "text",
        "a file of the system": "/etc/passwd",
        "a link": home / "link",
        "a directory": home / "directory",
        "a FIFO": home / "fifo",
        "a device": "/dev/zero",
        "a path with dots": f"{secrets}/tls/../tls/server.pem",
        "nothing": home / "nothing",
        "nothing below nothing": home / "no" / "thing",
    }


NAMES = [
    "the server's TLS key", "the key of the server's authority", "the server's certificate", "the master key", "the server's configuration", "a certificate elsewhere",
    "a text", "a file of the system", "a link", "a directory", "a FIFO", "a device", "a path with dots", "nothing", "nothing below nothing",
]  # fmt: skip
CONFIGURATIONS = {
    "vault": {
        "backend_type": "vault",
        "address": "https://127.0.0.1:1",
        "auth_method": {"token": "a-token-of-nobody"},
        "mount_path": "transit",
        "default_key_id": "x",
    },
    "kmip": {"backend_type": "kmip", "address": "127.0.0.1:1", "default_key_id": "x"},
}
FIELDS = [("vault", "ca_file"), ("kmip", "ca_file"), ("kmip", "client_cert_file"), ("kmip", "client_key_file")]


def configure(field, backend, name, path):
    body = CONFIGURATIONS[backend] | {"name": "attacker", "timeout_seconds": 1, "retry_attempts": 0}
    if backend == "kmip":
        trusted = field.server.home.parent / "trusted"
        body |= {other: str(trusted / ("key.pem" if "key" in other else "certificate.pem")) for _, other in FIELDS[1:]}
    return field.admin_of("configurer").reply("POST", "/reconfigure", body | {name: str(path)}, timeout=10)


@pytest.mark.parametrize(("backend", "name"), FIELDS)
def test_a_configuration_over_http_learns_nothing_of_the_server_s_files(trusting, files, backend, name):
    field, told = trusting, {}
    for what in NAMES:
        before = field.state((KEYS,))
        reply = configure(field, backend, name, files[what])
        told[what] = (reply.status, reply.code, (reply.message or "").replace(str(files[what]), "PATH"))
        field.assert_unchanged(before, (KEYS, LOG, SECRETS), [reply])
    assert len(set(told.values())) == 1, told
    [(status, code, message)] = set(told.values())
    assert (status, code) == (400, "InvalidRequest"), message
    assert message.startswith(f"{name}:") and "trusted_dirs" in message, message


def test_a_key_that_is_denied_is_denied_to_a_copy_s_source_and_target(field):
    raw, before = field.raw("rekeyer"), field.state(EVERYTHING)
    replies = [
        raw.copy(f"{VICTIM}/under-a-key", "mallory", "stolen").fails(403, "AccessDenied"),
        raw.copy(f"{VICTIM}/under-a-key", VICTIM, "under-a-key", {SSE: "AES256"}).fails(403, "AccessDenied"),
        raw.upload_part_copy(f"{VICTIM}/under-a-key", "mallory", "upload", field.own_upload, 1).fails(403, "AccessDenied"),
        raw.attributes(VICTIM, "under-a-key").fails(403, "AccessDenied"),
    ]
    field.assert_unchanged(before, EVERYTHING, replies)


# ---- 16: a bundle that asks for more than any bundle of this server does

COSTS = [
    ("memory_kib", 1 << 20),
    ("memory_kib", 262_145),
    ("memory_kib", 4_294_967_295),
    ("iterations", 7),
    ("iterations", 100),
    ("parallelism", 64),
    ("memory_kib", 8),
    ("iterations", 1),
]


@pytest.mark.parametrize(("name", "value"), COSTS)
def test_a_bundle_that_asks_for_a_cost_that_no_release_writes_is_refused_at_once(field, name, value):
    made = field.admin("POST", "/backup", {"passphrase": "a long passphrase"})
    header, _, rest = base64.b64decode(made["bundle"]).partition(b"\n")
    document = json.loads(header)
    assert document["argon2id"][name] != value
    document["argon2id"][name] = value
    bundle = base64.b64encode(json.dumps(document).encode() + b"\n" + rest).decode()
    before, began = field.state((*EVERYTHING, MEMORY)), time.monotonic()
    reply = field.admin.reply("POST", "/restore", {"bundle": bundle, "passphrase": "a long passphrase", "dry_run": False}).fails(400, "InvalidRequest")
    assert time.monotonic() - began < 5
    field.assert_unchanged(before, (*EVERYTHING, MEMORY), [reply])


def test_an_unsigned_body_is_no_administration_over_plain_http(field):
    before = field.state(EVERYTHING)
    admin = field.admin_of("root", "/strongroom/admin/v1/kms")
    reply = admin.reply("POST", "/seal", {}, tls=False, payload="UNSIGNED-PAYLOAD").fails(400, "InvalidRequest")
    field.assert_unchanged(before, EVERYTHING, [reply])


# ---- 10: the audit log of who only reads

REMOVAL_SECONDS = 60


def kept_bytes(field):
    """The size of the audit log. A file may go while this looks."""
    total = 0
    for path in (field.server.data / "audit").iterdir():
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def test_a_reader_does_not_fill_the_disk_with_the_records_of_his_reads(own_field):
    field = own_field("audit_segment_mib = 1\naudit_retention_mib = 1\naudit_compress = false\n")
    with field.wire(tls=False) as wire:
        for _ in range(4000):
            assert wire.send(field.call("GetObject").encode()).receive().reply.status == 200
    # A thread of its own removes old files, after the answers.
    deadline = time.monotonic() + REMOVAL_SECONDS
    while (written := kept_bytes(field)) >= 3 << 19:
        assert time.monotonic() < deadline, f"{written} bytes for 4,000 reads"
        time.sleep(0.1)
    assert audit.verify(field.server.data / "audit")
