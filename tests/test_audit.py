"""The audit log of a running server: one record for each use of a key and each act of administration, none of them a secret, and no way to
change, remove or cut one unseen."""

import json
import threading
import time

import pytest

from conftest import make_bucket
from harness import leaks
from harness.admin import Admin
from harness.audit import AuditLog, verify
from harness.sse import BUCKET_KEY, KEY, KMS_KEY_ID, OTHER_KEY, SSE, SSE_C, SSE_KMS, customer, customer_mode, key_md5, source_customer
from harness.sse import DSSE, ENCRYPTED, SSE_S3

READER = """
[[users]]
name = "reader"
access_key = "READER"
secret_key = "reader-secret-key-0123456789"
policy = '''{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}'''
"""
OWN = ("time", "seq", "prev", "hash")


@pytest.fixture
def log(server):
    return AuditLog(server)


@pytest.fixture
def admin(server):
    return Admin(server)


def without_own(event):
    """A record without what the log adds to it."""
    return {name: value for name, value in event.items() if name not in OWN}


def expected(reply, operation, bucket, key, mode, key_id="default", key_version=1, **fields):
    """The record of a use of a key by the root identity."""
    used = {} if mode is SSE_C else {"backend": "local", "key_id": key_id, "key_version": key_version}
    where = {"bucket": bucket, "key": key, "mode": "DSSE-KMS" if mode is DSSE else mode.name}
    return {"request_id": reply.headers["x-amz-request-id"], "who": "root", "operation": operation, "outcome": "ok"} | where | used | fields


def assert_records(found, wanted):
    """Exactly these, in this order, and each with the version of an object."""
    found = [without_own(event) for event in found]
    versions = [event.pop("version") for event in found]
    assert found == wanted
    assert all(len(version) == 32 for version in versions)
    return versions


@pytest.mark.parametrize("mode", ENCRYPTED, ids=str)
def test_each_use_of_a_key_leaves_exactly_one_record_cached_or_not(log, raw, bucket, mode):
    put = raw.put(bucket, "object", b"x" * 100, mode.write).ok()
    gets = [raw.get(bucket, "object", mode.read).ok() for _ in range(3)]
    ranged = raw.get(bucket, "object", mode.read | {"range": "bytes=1-2"}).ok(206)
    wanted = [expected(put, "PutObject", bucket, "object", mode)]
    wanted += [expected(reply, "GetObject", bucket, "object", mode) for reply in [*gets, ranged]]
    versions = assert_records(log.of(put, *gets, ranged), wanted)
    assert len(set(versions)) == 1
    ids = {reply.headers["x-amz-request-id"] for reply in [put, *gets, ranged]}
    assert len(ids) == 5


@pytest.mark.parametrize("mode", ENCRYPTED, ids=str)
def test_a_copy_is_a_use_of_both_keys_and_a_multipart_upload_one_for_each_part(log, raw, bucket, mode):
    raw.put(bucket, "source", b"x", mode.write).ok()
    copy = raw.copy(f"{bucket}/source", bucket, "copy", mode.write | mode.source).ok()
    both = [expected(copy, "CopyObject", bucket, name, mode) for name in ("source", "copy")]
    assert_records(log.of(copy), both)
    begun = raw.create_upload(bucket, "upload", mode.write).ok()
    upload = begun.xml().findtext("UploadId")
    parts = [raw.upload_part(bucket, "upload", upload, number, b"y" * (5 << 20), mode.read).ok() for number in (1, 2)]
    done = raw.complete(bucket, "upload", upload, {number: part.etag for number, part in enumerate(parts, 1)}, mode.read).ok()
    found = [event for event in log.of(begun, *parts, done) if event["operation"] != "CompleteMultipartUpload"]
    wanted = [expected(begun, "CreateMultipartUpload", bucket, "upload", mode)] + [expected(part, "UploadPart", bucket, "upload", mode) for part in parts]
    assert_records(found, wanted)


def test_a_bucket_key_s_objects_are_recorded_one_by_one_under_their_master_key(log, admin, raw, bucket):
    key = admin.create_key()
    headers = {SSE: "aws:kms", KMS_KEY_ID: key, BUCKET_KEY: "true"}
    puts = [raw.put(bucket, str(number), b"x", headers).ok() for number in range(5)]
    gets = [raw.get(bucket, str(number)).ok() for number in range(5)]
    wanted = [expected(put, "PutObject", bucket, str(number), SSE_KMS, key) for number, put in enumerate(puts)]
    wanted += [expected(get, "GetObject", bucket, str(number), SSE_KMS, key) for number, get in enumerate(gets)]
    assert_records(log.of(*puts, *gets), wanted)


def test_a_record_tells_which_version_of_the_key_was_used(log, admin, raw, bucket):
    key = admin.create_key()
    headers = {SSE: "aws:kms", KMS_KEY_ID: key}
    raw.put(bucket, "old", b"x", headers).ok()
    admin.change("rotate", key)
    put, old, new = raw.put(bucket, "new", b"x", headers).ok(), raw.get(bucket, "old").ok(), raw.get(bucket, "new").ok()
    assert [event["key_version"] for event in log.of(put, old, new)] == [2, 1, 2]


def test_what_uses_no_key_leaves_no_record(plain_server, plain_bucket):
    log, raw = AuditLog(plain_server), plain_server.raw()
    raw.put(plain_bucket, "plain", b"x").ok()
    raw.put(plain_bucket, "sse", b"x", SSE_KMS.write).ok()
    replies = [raw.put(plain_bucket, "plain", b"x"), raw.get(plain_bucket, "plain"), raw.head(plain_bucket, "sse"), raw.request("GET", f"/{plain_bucket}")]
    assert [reply.ok().status for reply in replies] == [200] * 4
    assert [event["key"] for event in log.events()] == ["sse"]


@pytest.mark.parametrize(
    ("attempt", "status", "error"),
    [
        (lambda raw, bucket: raw.get(bucket, "sse-c", customer(OTHER_KEY)), 403, "CustomerKeyWrong"),
        (lambda raw, bucket: raw.get(bucket, "sse-c"), 400, "CustomerKeyRequired"),
        (lambda raw, bucket: raw.copy(f"{bucket}/sse-c", bucket, "copy", source_customer(OTHER_KEY)), 403, "CustomerKeyWrong"),
        (lambda raw, bucket: raw.put(bucket, "new", b"x", {SSE: "aws:kms", KMS_KEY_ID: "no-such-key"}), 404, "KmsKeyNotFound"),
    ],
)
def test_a_use_that_fails_leaves_one_record_with_the_error(log, raw, bucket, attempt, status, error):
    raw.put(bucket, "sse-c", b"x", SSE_C.write).ok()
    reply = attempt(raw, bucket)
    assert reply.status == status
    (event,) = log.of(reply)
    assert (event["outcome"], event["who"], event["bucket"]) == ({"error": error}, "root", bucket)


@pytest.mark.parametrize(("lock", "unlock", "error"), [("disable", "enable", "KmsKeyDisabled"), ("seal", "unseal", "KmsKeySealed")])
def test_a_locked_key_s_refusals_are_recorded_with_the_key(log, admin, raw, bucket, lock, unlock, error):
    key = admin.create_key()
    headers = {SSE: "aws:kms", KMS_KEY_ID: key}
    raw.put(bucket, "object", b"x", headers).ok()
    raw.get(bucket, "object").ok()
    admin.change(lock, key)
    get, put = raw.get(bucket, "object"), raw.put(bucket, "more", b"x", headers)
    admin.change(unlock, key)
    found = log.of(get, put)
    assert [(event["operation"], event["key_id"], event["backend"], event["outcome"]) for event in found] == [
        ("GetObject", key, "local", {"error": error}),
        ("PutObject", key, "local", {"error": error}),
    ]


def test_a_refusal_for_want_of_rights_is_recorded_with_the_name_of_who_asked(new_server):
    server = new_server(READER)
    log, bucket = AuditLog(server), make_bucket(server)
    server.raw().put(bucket, "object", b"x", SSE_KMS.write).ok()
    reader = server.raw("READER", "reader-secret-key-0123456789")
    get, put = reader.get(bucket, "object"), reader.put(bucket, "new", b"x", SSE_KMS.write)
    assert (get.status, put.status) == (403, 403)
    found = log.of(get, put)
    assert [(event["who"], event["operation"], event["outcome"]) for event in found] == [
        ("reader", "GetObject", {"error": "KmsAccessDenied"}),
        ("reader", "PutObject", {"error": "KmsAccessDenied"}),
    ]
    denied = Admin(server, access_key="READER", secret_key="reader-secret-key-0123456789")
    replies = [denied.reply("POST", "/seal"), denied.reply("POST", "/keys", {"name": "mine"}), denied.reply("GET", "/config")]
    assert [reply.status for reply in replies] == [403] * 3
    assert [(event["who"], event["operation"], event["outcome"]["error"]) for event in log.of(*replies)] == [
        ("reader", operation, "AccessDenied") for operation in ("SealKms", "CreateKey", "GetKmsConfiguration")
    ]


def test_a_customer_s_key_leaves_neither_itself_nor_its_md5(log, raw, bucket):
    keys = [KEY, OTHER_KEY]
    for number, key in enumerate(keys):
        mode = customer_mode(key)
        raw.put(bucket, str(number), b"x", mode.write).ok()
        raw.get(bucket, str(number), mode.read).ok()
        raw.get(bucket, str(number), customer(keys[1 - number])).fails(403, "AccessDenied")
    assert len(log.events()) >= 6
    for line in log.lines():
        assert leaks.in_bytes(line, {"key": KEY, "other key": OTHER_KEY}) == []
        for key in keys:
            assert key_md5(key).encode() not in line and key_md5(key)[:16].encode() not in line


def admin_acts(key, other):
    """(method, path, body, operation, details that must be there) of acts that succeed, in an order in which they do."""
    by_id = {"key_id": key}
    return [
        ("POST", "/keys", {"name": key}, "CreateKey"),
        ("POST", "/keys/tag", by_id | {"tags": {"a": "b"}}, "TagKey"),
        ("POST", "/keys/untag", by_id | {"tag_keys": ["a"]}, "UntagKey"),
        ("POST", "/keys/update-description", by_id | {"description": "text"}, "UpdateKeyDescription"),
        ("POST", "/keys/disable", by_id, "DisableKey"),
        ("POST", "/keys/enable", by_id, "EnableKey"),
        ("POST", "/keys/seal", by_id, "SealKey"),
        ("POST", "/keys/unseal", by_id, "UnsealKey"),
        ("POST", "/keys/rotate", by_id, "RotateKey"),
        ("POST", "/keys/rotate", by_id | {"rotate_every_days": 30}, "ScheduleKeyRotation"),
        ("POST", "/generate-data-key", by_id, "GenerateDataKey"),
        ("DELETE", "/keys/delete", by_id | {"pending_window_in_days": 7}, "DeleteKey"),
        ("POST", "/keys/cancel-deletion", by_id, "CancelKeyDeletion"),
        ("POST", "/keys/import", {"name": other, "material": "A" * 43 + "="}, "ImportKey"),
        ("POST", "/backup", {"passphrase": "correct horse battery staple"}, "BackupKeys"),
        ("POST", "/reconfigure", {"cache_ttl_seconds": 100}, "ReconfigureKms"),
        ("POST", "/clear-cache", None, "ClearKmsCache"),
        ("POST", "/seal", None, "SealKms"),
        ("POST", "/unseal", None, "UnsealKms"),
        ("POST", "/stop", None, "StopKms"),
        ("POST", "/start", None, "StartKms"),
    ]


def test_every_act_of_administration_leaves_exactly_one_record_and_reading_none(new_server):
    server = new_server()
    log, admin = AuditLog(server), Admin(server)
    acts, replies = admin_acts("mine", "imported"), []
    for method, path, body, operation in acts:
        reply = admin.reply(method, path, body)
        assert reply.status in (200, 204), (path, reply.status, reply.body)
        replies.append(reply)
    found = log.of(*replies)
    assert [event["operation"] for event in found] == [operation for _, _, _, operation in acts]
    for (_, _, body, _), reply, event in zip(acts, replies, found, strict=True):
        assert (event["request_id"], event["who"], event["outcome"]) == (reply.headers["x-amz-request-id"], "root", "ok")
        key = (body or {}).get("key_id") or (body or {}).get("name")
        assert (event.get("key_id"), event.get("backend")) == ((key, "local") if key else (None, None)), event
    reads = [admin.reply("GET", path) for path in ("/status", "/config", "/keys", "/keys/mine", "/keys/mine/usage", "/backends", "/receipts", "/rekey", "/audit/head")]
    assert {reply.status for reply in reads} == {200}
    assert log.of(*reads) == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/keys", b"{", 400, "InvalidRequest"),
        ("POST", "/keys", {"name": "default"}, 409, "KeyExists"),
        ("POST", "/keys/rotate", {"key_id": "no-such-key"}, 404, "NotFound"),
        ("POST", "/configure", {"backend_type": "local"}, 409, "Conflict"),
        ("POST", "/reconfigure", {"no_such_field": 1}, 400, "InvalidRequest"),
        ("POST", "/decrypt", {"ciphertext_blob": "AAAA"}, 400, "InvalidRequest"),
        ("DELETE", "/keys/delete", {"key_id": "default", "force_immediate": True}, 400, "InvalidRequest"),
    ],
)
def test_an_act_that_fails_leaves_one_record_with_the_error(log, admin, method, path, body, status, code):
    reply = admin.reply(method, path, body)
    assert (reply.status, json.loads(reply.body)["code"]) == (status, code)
    (event,) = log.of(reply)
    assert event["outcome"] == {"error": code}


def test_an_erasure_is_recorded_and_its_receipt_names_the_record(log, admin, raw, bucket):
    key = admin.create_key()
    raw.put(bucket, "object", b"x" * 7, {SSE: "aws:kms", KMS_KEY_ID: key}).ok()
    reply = admin.reply("DELETE", "/keys/delete", {"key_id": key, "force_immediate": True, "confirm_key_id": key})
    found = log.of(reply)
    assert [(event["operation"], event["key_id"], event["details"]["objects"], event["details"]["bytes"]) for event in found] == [
        ("EraseKey", key, "1", "7"),
        ("DeleteKeyNow", key, "1", "7"),
    ]
    receipt = json.loads(reply.body)["receipt"]["receipt"]
    assert (receipt["audit_seq"], receipt["request_id"], receipt["requested_by"]) == (found[0]["seq"], reply.headers["x-amz-request-id"], "root")


def test_a_rekey_job_s_uses_are_recorded_under_its_id_and_who_started_it(log, admin, raw, bucket):
    old, new = admin.create_key(), admin.create_key()
    raw.put(bucket, "object", b"x", {SSE: "aws:kms", KMS_KEY_ID: old}).ok()
    job = admin.rekey(from_key=old, to_key=new)
    found = [event for event in log.events() if event["request_id"] == f"job:{job['job_id']}" and event.get("bucket")]
    assert [(event["who"], event["operation"], event["key"], event["key_id"], event["outcome"]) for event in found] == [
        ("root", "Rekey", "object", old, "ok"),
        ("root", "Rekey", "object", new, "ok"),
    ]


# ---- strongroom audit verify


def head_of(server):
    head = Admin(server)("GET", "/audit/head")
    return f"{head['seq']}:{head['hash']}", head["public_key"]


def write_some(server, count=20):
    bucket = make_bucket(server)
    for number in range(count):
        server.raw().put(bucket, str(number), b"x", SSE_KMS.write).ok()
    Admin(server)("POST", "/clear-cache", status=204)


def test_a_log_verifies_while_it_is_written_and_when_the_server_has_stopped(new_server):
    server = new_server()
    log, bucket, stop = AuditLog(server), make_bucket(server), threading.Event()

    def work():
        while not stop.is_set():
            server.raw().put(bucket, "object", b"x", SSE_KMS.write).ok()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            head, key = head_of(server)
            report = verify(log.folder, "--public-key", key, "--expect-head", head)
            assert report["findings"] == [] and report["signatures_checked"]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    head, key = head_of(server)
    assert server.stop() == 0
    report = verify(log.folder, "--public-key", key, "--expect-head", head)
    assert (report["findings"], report["unsigned"], report["records"]) == ([], 0, len(log.lines()))


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A log of a server that has stopped: its lines, public key, and the head it had before."""
    from harness.server import Server

    server = Server(tmp_path_factory.mktemp("ended") / "home").start()
    write_some(server)
    head, key = head_of(server)
    log = AuditLog(server)
    assert server.stop() == 0
    (path,) = log.files()
    yield path.name, path.read_bytes().splitlines(keepends=True), key, head
    server.remove()


def changed(lines):
    target = next(number for number, line in enumerate(lines) if b'"PutObject"' in line)
    return lines[:target] + [lines[target].replace(b'"who":"root"', b'"who":"toor"')] + lines[target + 1 :]


def swapped(lines):
    return lines[:5] + [lines[6], lines[5]] + lines[7:]


DAMAGE = {
    "a changed byte": (changed, True),
    "a removed line": (lambda lines: lines[:7] + lines[8:], True),
    "two lines the other way round": (swapped, True),
    "a line twice": (lambda lines: lines[:7] + [lines[6]] + lines[7:], True),
    "a foreign line": (lambda lines: lines[:7] + [b"{}\n"] + lines[7:], True),
    "a line cut half-way": (lambda lines: lines[:-1] + [lines[-1][:20]], True),
    # Only one who knows how far the log went can tell.
    "a tail cut off": (lambda lines: lines[:10], False),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_to_a_log_is_found(ended, tmp_path, damage):
    name, lines, key, head = ended
    damaged, shows_by_itself = DAMAGE[damage]
    (tmp_path / name).write_bytes(b"".join(damaged(lines)))
    assert verify(tmp_path, status=1 if shows_by_itself else 0) is not None
    report = verify(tmp_path, "--public-key", key, "--expect-head", head, status=1)
    assert report["findings_total"] >= 1


def test_a_whole_log_passes_and_questions_that_make_no_sense_are_told_apart(ended, tmp_path):
    name, lines, key, head = ended
    (tmp_path / name).write_bytes(b"".join(lines))
    assert verify(tmp_path, "--public-key", key, "--expect-head", head)["findings"] == []
    verify(tmp_path, "--public-key", "ab" * 32, status=1)
    verify(tmp_path, "--expect-head", "5:" + "0" * 64, status=1)
    verify(tmp_path, "--expect-head", "nonsense", status=2)
    verify(tmp_path, "--expect-head", "0:" + "0" * 64, status=2)
    verify(tmp_path / "no-such-directory", status=2)
    verify(tmp_path / name, status=2)


def test_an_empty_an_emptied_or_another_directory_is_not_an_intact_log(ended, tmp_path):
    name, lines, key, head = ended
    (tmp_path / "notes.txt").write_text("hello\n")
    for options in [(), ("--public-key", key), ("--expect-head", head), ("--public-key", key, "--expect-head", head)]:
        report = verify(tmp_path, *options, status=1)
        assert "empty" in [finding["defect"] for finding in report["findings"]]
        assert report["records"] == 0
    (tmp_path / name).write_bytes(b"")
    assert [finding["defect"] for finding in verify(tmp_path, status=1)["findings"]] == ["empty"]
    # Records without a single checkpoint: with the key, nobody vouches for them.
    (tmp_path / name).write_bytes(lines[0])
    assert [finding["defect"] for finding in verify(tmp_path, "--public-key", key, status=1)["findings"]] == ["never_signed"]


def test_a_tail_cut_while_the_server_was_down_is_reported_loudly_at_the_next_start(new_server):
    server = new_server("log_format = 'json'\n")
    log = AuditLog(server)
    write_some(server)
    head, key = head_of(server)
    assert server.stop() == 0
    (path,) = log.files()
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-8]))
    server.log.unlink()
    server.start()
    assert any("audit log" in message for message in errors(server)), server.log_text()
    write_some(server)
    verify(log.folder, "--public-key", key, "--expect-head", head, status=1)
    opened = [record["opened"] for record in map(json.loads, log.lines()) if "opened" in record]
    assert len(opened) == 2 and opened[-1]["findings"], opened
    assert server.stop() == 0
    server.log.unlink()
    server.start()
    assert errors(server) == [], "what was reported is not reported again"


def errors(server):
    """The messages of the level ERROR."""
    lines = [json.loads(line) for line in server.log_text().splitlines() if line.startswith("{")]
    return [line["message"] for line in lines if line["level"] == "ERROR"]


# ---- a log that grows

# The least that can be set; the log's files are then ended at an eighth of it.
MIB = 1 << 20
GROWTH = "audit_compress = false\n"


def use_a_key(server, bucket, seconds=90):
    """Reads until it is refused; the refusal. Whoever may read can do this."""
    refusals, deadline = [], time.monotonic() + seconds

    def work():
        raw = server.raw()
        while not refusals and time.monotonic() < deadline:
            reply = raw.get(bucket, "object")
            if reply.status != 200:
                refusals.append(reply)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return refusals[0] if refusals else None


def test_at_its_quota_the_log_refuses_uses_of_keys_having_warned_and_the_rest_goes_on(new_server):
    server = new_server("encrypt_by_default = false\naudit_quota_mib = 1\nlog_format = 'json'\n" + GROWTH)
    log, bucket, raw = AuditLog(server), make_bucket(server), server.raw()
    raw.put(bucket, "object", b"x", SSE_KMS.write).ok()
    raw.put(bucket, "plain", b"plain").ok()
    assert readiness(server) == {"status": "ok"}
    refused = use_a_key(server, bucket).fails(503, "InternalError")
    assert "audit log" in refused.message and int(refused.headers["retry-after"]) >= 1
    assert "the log has reached its quota of 1048576 bytes" in server.log_text()
    raw.get(bucket, "object").fails(503, "InternalError")
    assert raw.get(bucket, "plain").ok().body == b"plain"
    raw.put(bucket, "plain", b"again").ok()
    # An administrator who wants to stop whoever fills the log up still can.
    assert Admin(server).reply("POST", "/keys", {"name": "made"}).status in (200, 201)
    assert readiness(server) == {"status": "ok", "audit": "unwritable"}
    assert MIB <= server.metric("strongroom_audit_bytes") < MIB + (1 << 18)
    assert (server.metric("strongroom_audit_quota_bytes"), server.metric("strongroom_audit_writable")) == (MIB, 0)
    lines = [json.loads(line) for line in server.log_text().splitlines() if line.startswith("{")]
    told = [line["level"] for line in lines if "quota" in line["message"] or "audit log cannot be written" in line["message"]]
    assert told[:2] == ["WARN", "ERROR"], told
    # The operator moves ended files away, and knows where they are.
    moved = server.home / "moved"
    moved.mkdir()
    for path in log.files()[:3]:
        path.rename(moved / path.name)
    wait_until(lambda: raw.get(bucket, "object").status == 200)
    head, key = head_of(server)
    archive = verify(moved, "--public-key", key)
    verify(moved, "--public-key", key, "--part")
    report = verify(log.folder, "--public-key", key, "--expect-head", head, status=1)
    assert [finding["defect"] for finding in report["findings"]] == [{"beginning_missing": {"to": archive["head"]["seq"]}}]
    verify(log.folder, "--public-key", key, "--expect-head", head, "--begins-after", f"{archive['head']['seq']}:{archive['head']['hash']}")
    whole = verify(log.folder, moved, "--public-key", key, "--expect-head", head)
    assert (whole["first_seq"], whole["findings"]) == (1, [])


def test_retention_keeps_the_log_short_and_what_it_removed_is_told_apart_from_what_somebody_else_did(new_server):
    server = new_server("encrypt_by_default = false\naudit_retention_mib = 1\naudit_quota_mib = 2\n" + GROWTH)
    log, bucket, raw = AuditLog(server), make_bucket(server), server.raw()
    raw.put(bucket, "object", b"x", SSE_KMS.write).ok()
    deadline = time.monotonic() + 120
    while server.metric("strongroom_audit_removed_records_total") == 0:
        assert time.monotonic() < deadline
        for _ in range(200):
            raw.get(bucket, "object").ok()
    head, key = head_of(server)
    report = verify(log.folder, "--public-key", key, "--expect-head", head)
    [removed] = report["removed"]
    assert (report["findings"], removed["first_seq"], removed["last_seq"] + 1) == ([], 1, report["first_seq"])
    assert server.stop() == 0
    # Somebody removes one more file, and the server goes on from there.
    gone = log.files()[0]
    gone.unlink()
    missing = verify(log.folder, "--public-key", key, status=1)["findings"]
    assert [list(finding["defect"]) for finding in missing] == [["beginning_missing"]]
    server.start()
    raw = server.raw()
    for _ in range(50):
        raw.get(bucket, "object").ok()
    assert server.stop() == 0
    report = verify(log.folder, "--public-key", key, status=1)
    assert [list(finding["defect"]) for finding in report["findings"]] == [["beginning_missing"]]


def readiness(server):
    return json.loads(server.raw().request("GET", "/health/ready", sign=False).body)


# ---- a disk that takes no more records

SMALL_KIB = 96
# A disk of its own for the log, which grows when a file appears and is copied when another does. Each wait ends by itself.
MOUNT = f"""
mount -t tmpfs -o size={SMALL_KIB}k,mode=0700 none "$0"
await() {{ for _ in $(seq 600); do [ -e "$1" ] && return; sleep 0.1; done; exit; }}
(await "$1/grow"; mount -o remount,size=64m none "$0"; await "$1/copy"; cp -r "$0" "$1/copying"; mv "$1/copying" "$1/copied") &
shift; exec "$@"
"""


def test_while_the_log_cannot_be_written_no_key_is_used_and_the_rest_goes_on(tmp_path, new_server):
    folder = tmp_path / "audit"
    folder.mkdir(mode=0o700)
    prefix = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", MOUNT, str(folder), str(tmp_path)]
    server = new_server(f'encrypt_by_default = false\naudit_dir = "{folder}"\n', prefix=prefix)
    admin, raw, bucket = Admin(server), server.raw(), make_bucket(server)
    raw.put(bucket, "kms", b"kms", SSE_KMS.write).ok()
    raw.put(bucket, "plain", b"plain").ok()
    used = fill(raw, bucket)
    refused = raw.get(bucket, "kms").fails(503, "InternalError")
    assert "audit log" in refused.message and int(refused.headers["retry-after"]) >= 1
    # Within a second of the disk's end it is known that there is no room for uploads, whatever their mode.
    wait_until(lambda: raw.put(bucket, "probe", b"x").status == 507)
    for attempt in [
        lambda: raw.put(bucket, "new", b"x"),
        lambda: raw.put(bucket, "new", b"x", SSE_S3.write),
        lambda: raw.put(bucket, "new", b"x", SSE_C.write),
        lambda: raw.copy(f"{bucket}/kms", bucket, "new"),
    ]:
        attempt().fails(507, "InsufficientStorage")
    raw.get(bucket, "kms").fails(503, "InternalError")
    raw.get(bucket, "new").fails(404, "NoSuchKey")
    assert admin.fails(503, "POST", "/keys", {"name": "not-made"})["code"] == "AuditUnavailable"
    assert admin.fails(503, "POST", "/seal")["code"] == "AuditUnavailable"
    assert raw.get(bucket, "plain").ok().body == b"plain"
    assert raw.head(bucket, "kms").ok().headers["content-length"] == "3"
    assert admin("GET", "/status")["status"] == "Running"
    assert server.metric("strongroom_audit_writable") == 0
    assert "ERROR" in server.log_text() and "audit" in server.log_text().split("ERROR", 1)[1]
    (tmp_path / "grow").touch()
    wait_until(lambda: raw.get(bucket, "kms").status == 200)
    wait_until(lambda: raw.put(bucket, "probe", b"x").status == 200)
    used.append(raw.put(bucket, "new", b"x", SSE_S3.write).ok())
    assert admin.create_key("made") == "made"
    admin.fails(404, "GET", "/keys/not-made")
    assert server.metric("strongroom_audit_writable") == 1
    head, key = head_of(server)
    assert server.stop() == 0
    (tmp_path / "copy").touch()
    wait_until((tmp_path / "copied").exists)
    assert verify(tmp_path / "copied", "--public-key", key, "--expect-head", head)["findings"] == []
    (path,) = (tmp_path / "copied").glob("audit-*.jsonl")
    recorded = [record["request_id"] for record in map(json.loads, path.read_bytes().splitlines()) if record.get("outcome") == "ok"]
    assert all(recorded.count(reply.headers["x-amz-request-id"]) == 1 for reply in used), "what was answered is recorded"


def fill(raw, bucket):
    """Reads until a read is refused, and then all are; those that were answered."""
    answered = []
    while (reply := raw.get(bucket, "kms")).status == 200:
        answered.append(reply)
        assert len(answered) < SMALL_KIB * 8, "the disk does not fill"
    assert [raw.get(bucket, "kms").status for _ in range(5)] == [503] * 5
    return answered


def wait_until(holds, seconds=30):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
