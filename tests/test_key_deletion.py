"""Keys deleted while clients write under them: what is acknowledged can be read, or is in the receipt."""

import json
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import make_bucket
from harness.admin import Admin
from harness.audit import AuditLog
from harness.sse import BUCKET_KEY, KMS_KEY_ID, SSE

ROUNDS = 5
WRITERS = 4
SIZE = 64 << 10
HALF = b"h" * (SIZE // 2)
SECONDS = 30


def under(key, **more):
    return {SSE: "aws:kms", KMS_KEY_ID: key} | more


def delete_now(admin, key):
    return admin("DELETE", "/keys/delete", {"key_id": key, "force_immediate": True, "confirm_key_id": key})


def until(condition, what):
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"after {SECONDS} s not: {what}"
        time.sleep(0.01)


def halves(server, name, between):
    """A body whose second half comes when the server has the key for it, and after `between`."""
    log = AuditLog(server)

    def body():
        yield HALF
        until(lambda: any(event["key"] == name for event in log.events()), "the key was used")
        between()
        yield HALF

    return body()


def put_in_halves(raw, server, bucket, name, headers, between, query=()):
    headers = headers | {"content-length": str(SIZE)}
    return raw.request("PUT", f"/{bucket}/{name}", query=query, headers=headers, body=halves(server, name, between))


@pytest.mark.parametrize("bucket_key", [False, True])
def test_a_put_whose_key_is_deleted_between_the_halves_of_its_body_is_refused(server, raw, bucket, bucket_key):
    admin, receipts = Admin(server), []
    key = admin.create_key()
    headers = under(key, **{BUCKET_KEY: "true"} if bucket_key else {})
    reply = put_in_halves(raw, server, bucket, "object", headers, lambda: receipts.append(delete_now(admin, key)["receipt"]["receipt"]))
    reply.fails(410, "KMS.NotFoundException")
    assert (receipts[0]["objects"], receipts[0]["bytes"]) == (0, 0)
    raw.get(bucket, "object").fails(404, "NoSuchKey")
    usage = admin.usage(key)
    assert (usage["objects"], usage["uploads"]) == (0, 0)


def test_a_part_whose_key_is_deleted_between_the_halves_of_its_body_is_refused(server, raw, bucket):
    admin, answers = Admin(server), []
    key = admin.create_key()
    upload = raw.begin_upload(bucket, "object", under(key))
    query = {"partNumber": "1", "uploadId": upload}
    log = AuditLog(server)

    def body():
        yield HALF
        until(lambda: any(event["operation"] == "UploadPart" for event in log.events()), "the key was used")
        answers.append(delete_now(admin, key))
        yield HALF

    reply = raw.request("PUT", f"/{bucket}/object", query=query, headers={"content-length": str(SIZE)}, body=body())
    reply.fails(410, "KMS.NotFoundException")
    assert (answers[0]["usage"]["objects"], answers[0]["usage"]["uploads"]) == (0, 1)
    parts = raw.request("GET", f"/{bucket}/object", query={"uploadId": upload}).ok()
    assert parts.xml().find("Part") is None


@pytest.mark.parametrize(
    "change, status, code",
    [
        ("disable", 400, "KMS.DisabledException"),
        ("seal", 403, "KMS.KMSInvalidStateException"),
        ("schedule", 400, "KMS.KMSInvalidStateException"),
    ],
)
def test_a_put_whose_key_is_taken_out_of_use_between_the_halves_of_its_body_is_refused(server, raw, bucket, change, status, code):
    admin = Admin(server)
    key = admin.create_key()

    def between():
        if change == "schedule":
            answer = admin("DELETE", "/keys/delete", {"key_id": key, "pending_window_in_days": 7})
            assert answer["usage"]["objects"] == 0
        else:
            admin.change(change, key)

    put_in_halves(raw, server, bucket, "object", under(key), between).fails(status, code)
    raw.get(bucket, "object").fails(404, "NoSuchKey")


def write_until_refused(server, bucket, key, number):
    """The names that were acknowledged."""
    raw, names = server.raw(), []
    for count in range(10_000):
        name = f"{number}-{count}"
        if number == 0:
            upload = raw.create_upload(bucket, name, under(key))
            if upload.status == 200:
                upload_id = upload.xml().findtext("UploadId")
                part = raw.upload_part(bucket, name, upload_id, 1, HALF)
                reply = raw.complete(bucket, name, upload_id, {1: part.etag}) if part.status == 200 else part
            else:
                reply = upload
        elif number == 1:
            reply = raw.copy(f"{bucket}/source", bucket, name, under(key))
        else:
            reply = raw.put(bucket, name, HALF, under(key))
        if reply.status != 200:
            assert reply.code in ("KMS.NotFoundException", "KMS.KMSInvalidStateException"), (reply.status, reply.code, reply.message)
            return names
        names.append(name)
    raise AssertionError("the key is never deleted")


def test_the_receipt_of_a_deletion_amid_writers_states_exactly_what_is_lost(server, raw):
    admin, lost_in_all = Admin(server), 0
    for _ in range(ROUNDS):
        bucket, key = make_bucket(server), admin.create_key()
        raw.put(bucket, "source", HALF, {SSE: "AES256"}).ok()
        with ThreadPoolExecutor(WRITERS) as writers:
            running = [writers.submit(write_until_refused, server, bucket, key, number) for number in range(WRITERS)]
            until(lambda: admin.usage(key)["objects"] >= 10, "ten objects are written")
            answer = delete_now(admin, key)
            acknowledged = [name for writer in running for name in writer.result(SECONDS)]
        replies = {name: raw.get(bucket, name) for name in acknowledged}
        assert {(reply.status, reply.code) for reply in replies.values()} == {(410, "KMS.NotFoundException")}
        receipt = answer["receipt"]["receipt"]
        assert (receipt["objects"], receipt["bytes"]) == (len(acknowledged), len(acknowledged) * len(HALF))
        usage = admin.usage(key)
        assert (usage["objects"], usage["uploads"]) == (answer["usage"]["objects"], answer["usage"]["uploads"])
        assert raw.get(bucket, "source").ok().body == HALF
        lost_in_all += len(acknowledged)
    assert lost_in_all >= 10 * ROUNDS


def test_no_write_is_acknowledged_under_a_key_that_was_deleted_over_a_kill(new_server):
    """The server is killed while a key is being deleted amid writers. After the restart the key is as before, or gone with a receipt that
    states what cannot be read."""
    server = new_server()
    gone = 0
    for round_ in range(4):
        admin, raw = Admin(server), server.raw()
        bucket, key, acknowledged, stop = make_bucket(server), admin.create_key(), [], threading.Event()

        def write(number):
            client = server.raw()
            for count in range(10_000):
                name = f"{number}-{count}"
                try:
                    if stop.is_set() or client.put(bucket, name, HALF, under(key)).status != 200:
                        return
                except OSError:
                    return
                acknowledged.append(name)

        def delete():
            try:
                delete_now(Admin(server), key)
            except Exception:  # it is killed meanwhile, or was done before
                pass

        writers = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
        deletion = threading.Thread(target=delete)
        for thread in writers:
            thread.start()
        until(lambda: len(acknowledged) >= 10, "ten objects are written")
        deletion.start()
        time.sleep(0.004 * round_)
        server.kill()
        stop.set()
        for thread in [*writers, deletion]:
            thread.join(SECONDS)
        server.start()
        admin, raw = Admin(server), server.raw()
        answers = {name: raw.get(bucket, name).status for name in acknowledged}
        if admin.key(key)["key_state"] == "Erased":
            gone += 1
            assert set(answers.values()) == {410}
            receipts = []
            until(lambda: receipts.extend(admin("GET", "/receipts", query={"key_id": key})["receipts"]) or receipts, "the receipt")
            # What was being committed when the server was killed is in the receipt, too.
            assert receipts[0]["receipt"]["objects"] >= len(acknowledged)
            assert receipts[0]["receipt"]["objects"] == admin.usage(key)["objects"]
        else:
            assert set(answers.values()) == {200}
            raw.put(bucket, f"after-{secrets.token_hex(4)}", HALF, under(key)).ok()


def test_a_job_over_all_keys_does_not_open_what_its_starter_may_not(new_server):
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "*", "Resource": "*"},
            {"Effect": "Deny", "Action": "kms:Decrypt", "Resource": "arn:aws:kms:::key/secret"},
        ],
    }
    alice = {"access_key": "AKALICE", "secret_key": "secret-of-alice-0123456789"}
    users = f"[[users]]\nname = 'alice'\naccess_key = 'AKALICE'\nsecret_key = '{alice['secret_key']}'\npolicy = '{json.dumps(policy)}'\n"
    server = new_server('[kms]\nensure_keys = ["secret", "hers"]\n' + users)
    root, hers, raw = server.raw(), server.raw(**alice), Admin(server, **alice)
    bucket = make_bucket(server)
    root.put(bucket, "secret", b"secret", under("secret")).ok()
    root.put(bucket, "open", b"open", {SSE: "AES256"}).ok()
    hers.get(bucket, "secret").fails(403, "AccessDenied")
    job = raw.rekey(to_key="hers")
    assert (job["state"], job["who"], job["done"], job["failed"]) == ("CompletedWithErrors", "alice", 1, 1)
    assert job["failures"][0]["reason"] == "The identity alice is not permitted to perform kms:Decrypt on the KMS key secret."
    hers.get(bucket, "secret").fails(403, "AccessDenied")
    assert root.get(bucket, "secret").ok().body == b"secret"
    assert root.head(bucket, "secret").ok().headers[KMS_KEY_ID] == "secret"
    raw.fails(403, "POST", "/rekey", {"from_key": "secret", "to_key": "hers"})
