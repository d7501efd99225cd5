"""What policies allow, and what those learn whom they do not."""

import json

import pytest

from conftest import make_bucket
from harness import sigv4, users
from harness.checksums import value
from harness.server import Server
from harness.sse import KMS_KEY_ID, SSE, SSE_C, SSE_KMS, SSE_S3


def allow(*actions, resource="*"):
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource}


def deny(condition, action="s3:PutObject"):
    return {"Effect": "Deny", "Action": action, "Resource": "*", "Condition": condition}


EVERYTHING = allow("s3:*", "kms:*")
SECURE_ONLY = deny({"Bool": {"aws:SecureTransport": "false"}}, "*")
USERS = {
    "nosecretkey": [EVERYTHING, deny({"StringEquals": {f"s3:{KMS_KEY_ID}": "secretkey"}})],
    "kmsonly": [EVERYTHING, deny({"StringNotEquals": {f"s3:{SSE}": "aws:kms"}})],
    "writer": [allow("s3:PutObject", "s3:DeleteObject", "s3:ListBucket")],
    "blindreader": [allow("s3:PutObject", "s3:DeleteObject", "s3:GetObject")],
    "bystander": [allow("s3:ListAllMyBuckets")],
    "secureonly": [EVERYTHING, SECURE_ONLY],
    "homely": [
        allow("s3:GetObject", "s3:PutObject", resource="arn:aws:s3:::*/folders/${aws:username}/*"),
        {**allow("s3:ListBucket"), "Condition": {"StringLike": {"s3:prefix": "folders/${aws:username}/*"}}},
        allow("kms:GenerateDataKey", "kms:Decrypt", resource="arn:aws:kms:::key/${aws:username}"),
    ],
}


def user(server, name):
    return server.raw(*users.keys(name))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("guarded") / "home", config='[kms]\nensure_keys = ["secretkey", "homely"]\n' + users.config(USERS)).start()
    yield server
    server.remove()


@pytest.fixture
def guarded_bucket(guarded):
    return make_bucket(guarded)


# ---- variables


def test_a_user_has_the_folder_and_the_key_of_their_name_and_no_other(guarded, guarded_bucket):
    raw = user(guarded, "homely")
    own_key = {SSE: "aws:kms", KMS_KEY_ID: "homely"}
    raw.put(guarded_bucket, "folders/homely/a", b"mine", own_key).ok()
    assert raw.get(guarded_bucket, "folders/homely/a").ok().body == b"mine"
    for key in ["folders/other/a", "folders/a", "folders/homely", "folders/*/a", "folders/${aws:username}/a"]:
        guarded.raw().put(guarded_bucket, key, b"x").ok()
        raw.get(guarded_bucket, key).fails(403, "AccessDenied")
        raw.put(guarded_bucket, key, b"x").fails(403, "AccessDenied")
    raw.put(guarded_bucket, "folders/homely/b", b"x", {SSE: "aws:kms", KMS_KEY_ID: "secretkey"}).fails(403, "AccessDenied")
    raw.request("GET", f"/{guarded_bucket}", {"prefix": "folders/homely/"}).ok()
    raw.request("GET", f"/{guarded_bucket}", {"prefix": "folders/"}).fails(403, "AccessDenied")


# ---- conditions on encryption


@pytest.mark.parametrize(
    "spelled",
    [
        "secretkey",
        "key/secretkey",
        "arn:aws:kms:secretkey",
        "arn:aws:kms:us-east-1:000000000000:secretkey",
        "arn:aws:kms:us-east-1:000000000000:key/secretkey",
        "arn:aws:kms:a:b:c:d:key/secretkey",
    ],
)
def test_a_denied_key_is_denied_however_it_is_spelled(guarded, guarded_bucket, spelled):
    headers = {SSE: "aws:kms", KMS_KEY_ID: spelled}
    guarded.raw().put(guarded_bucket, "object", b"x", headers).ok()
    raw = user(guarded, "nosecretkey")
    raw.put(guarded_bucket, "object", b"x", headers).fails(403, "AccessDenied")
    raw.copy(f"{guarded_bucket}/object", guarded_bucket, "copy", headers).fails(403, "AccessDenied")
    raw.create_upload(guarded_bucket, "upload", headers).fails(403, "AccessDenied")
    upload = guarded.raw().begin_upload(guarded_bucket, "upload", headers)
    raw.upload_part(guarded_bucket, "upload", upload, 1, b"x").fails(403, "AccessDenied")
    raw.put(guarded_bucket, "object", b"x", {SSE: "aws:kms", KMS_KEY_ID: "default"}).ok()


def test_who_must_encrypt_under_a_key_can_upload_in_parts(guarded, guarded_bucket):
    raw = user(guarded, "kmsonly")
    raw.put(guarded_bucket, "object", b"x", SSE_S3.write).fails(403, "AccessDenied")
    raw.create_upload(guarded_bucket, "upload").fails(403, "AccessDenied")
    raw.put(guarded_bucket, "source", b"copied", SSE_KMS.write).ok()
    upload = raw.begin_upload(guarded_bucket, "upload", SSE_KMS.write)
    first = raw.upload_part(guarded_bucket, "upload", upload, 1, bytes(5 << 20)).ok().etag
    copied = raw.upload_part_copy(f"{guarded_bucket}/source", guarded_bucket, "upload", upload, 2).ok().xml().findtext("ETag").strip('"')
    for _ in range(2):  # the answer to the first may be lost
        raw.complete(guarded_bucket, "upload", upload, {1: first, 2: copied}).ok()
    reply = raw.get(guarded_bucket, "upload").ok()
    assert reply.body == bytes(5 << 20) + b"copied"
    SSE_KMS.check(reply.headers)


@pytest.mark.parametrize("mode", [SSE_S3, SSE_C], ids=str)
def test_who_must_encrypt_under_a_key_cannot_fill_another_upload(guarded, guarded_bucket, mode):
    root, raw = guarded.raw(), user(guarded, "kmsonly")
    upload = root.begin_upload(guarded_bucket, "upload", mode.write)
    raw.upload_part(guarded_bucket, "upload", upload, 1, b"x", mode.read).fails(403, "AccessDenied")
    etag = root.upload_part(guarded_bucket, "upload", upload, 1, b"x", mode.read).ok().etag
    raw.complete(guarded_bucket, "upload", upload, {1: etag}, mode.read).fails(403, "AccessDenied")


def test_customer_keys_from_loopback_make_plain_http_no_secure_transport(new_server):
    server = new_server("allow_insecure_sse_c_on_loopback = true\n" + users.config({"secureonly": USERS["secureonly"]}))
    bucket = make_bucket(server)
    server.raw().put(bucket, "object", b"body", SSE_C.write, tls=False).ok()
    assert server.raw().get(bucket, "object", SSE_C.read, tls=False).ok().body == b"body"
    raw = user(server, "secureonly")
    raw.get(bucket, "object", SSE_C.read, tls=False).fails(403, "AccessDenied")
    assert raw.get(bucket, "object", SSE_C.read).ok().body == b"body"


def test_a_checksum_in_a_head_needs_the_right_to_the_key(new_server):
    server = new_server(users.config({"noother": [allow("s3:*")]}))
    bucket = make_bucket(server)
    body = b"x"
    server.raw().put(bucket, "object", body, SSE_KMS.write | {"x-amz-checksum-crc32": value("CRC32", body)}).ok()
    headers = user(server, "noother").head(bucket, "object").ok().headers
    assert "x-amz-checksum-crc32" not in headers
    assert user(server, "noother").head(bucket, "object", {"x-amz-checksum-mode": "ENABLED"}).status == 403
    headers = server.raw().head(bucket, "object", {"x-amz-checksum-mode": "ENABLED"}).ok().headers
    assert headers["x-amz-checksum-crc32"] == value("CRC32", body)


# ---- what is not to be learnt


def etags(etag):
    return ['"nope"', f'"{etag}"', "*"]


def test_who_may_only_write_cannot_guess_etags(guarded, guarded_bucket):
    root, raw = guarded.raw(), user(guarded, "writer")
    etag = root.put(guarded_bucket, "object", b"secret").ok().etag
    root.put(guarded_bucket, "source", b"x").ok()
    upload = raw.begin_upload(guarded_bucket, "object")
    part = raw.upload_part(guarded_bucket, "object", upload, 1, b"x").ok().etag
    for key in ("object", "nothing"):
        for guess in etags(etag):
            raw.put(guarded_bucket, key, b"x", {"if-match": guess}).fails(403, "AccessDenied")
            raw.delete(guarded_bucket, key, {"if-match": guess}).fails(403, "AccessDenied")
        for name, guess in [("x-amz-if-match-size", "6"), ("x-amz-if-match-last-modified-time", "Thu, 01 Jan 2015 00:00:00 GMT")]:
            raw.delete(guarded_bucket, key, {name: guess}).fails(403, "AccessDenied")
        raw.put(guarded_bucket, key, b"x", {"if-none-match": '"nope"'}).fails(403, "AccessDenied")
    for condition in ("<Size>6</Size>", "<LastModifiedTime>Thu, 01 Jan 2015 00:00:00 GMT</LastModifiedTime>"):
        reply = delete_many(raw, guarded_bucket, f"<Object><Key>object</Key>{condition}</Object>").ok()
        assert [error.findtext("Code") for error in reply.xml().iter("Error")] == ["AccessDenied"]
    for guess in etags(etag):
        raw.complete(guarded_bucket, "object", upload, {1: part}, {"if-match": guess}).fails(403, "AccessDenied")
        reply = delete_many(raw, guarded_bucket, f"<Object><Key>object</Key><ETag>{guess}</ETag></Object>").ok()
        assert [error.findtext("Code") for error in reply.xml().iter("Error")] == ["AccessDenied"]
    assert root.get(guarded_bucket, "object").ok().body == b"secret"
    raw.put(guarded_bucket, "object", b"written").ok()
    raw.delete(guarded_bucket, "object").ok(204)


def test_who_may_read_and_not_list_does_not_learn_by_etag_what_is_missing(guarded, guarded_bucket):
    raw = user(guarded, "blindreader")
    etag = raw.put(guarded_bucket, "object", b"x").ok().etag
    upload = raw.begin_upload(guarded_bucket, "nothing")
    part = raw.upload_part(guarded_bucket, "nothing", upload, 1, b"x").ok().etag
    headers = {"if-match": f'"{etag}"'}
    raw.put(guarded_bucket, "nothing", b"x", headers).fails(403, "AccessDenied")
    raw.copy(f"{guarded_bucket}/object", guarded_bucket, "nothing", headers).fails(403, "AccessDenied")
    raw.complete(guarded_bucket, "nothing", upload, {1: part}, headers).fails(403, "AccessDenied")
    for condition in (headers, {"x-amz-if-match-size": "1"}):
        raw.delete(guarded_bucket, "nothing", condition).fails(403, "AccessDenied")
    reply = delete_many(raw, guarded_bucket, "<Object><Key>nothing</Key><ETag>x</ETag></Object>").ok()
    assert [error.findtext("Code") for error in reply.xml().iter("Error")] == ["AccessDenied"]
    raw.put(guarded_bucket, "object", b"x", {"if-match": '"nope"'}).fails(412, "PreconditionFailed")
    raw.put(guarded_bucket, "object", b"y", headers).ok()


def delete_many(raw, bucket, objects, headers=None):
    xml = f"<Delete>{objects}</Delete>".encode()
    headers = {"x-amz-checksum-crc32": value("CRC32", xml)} | (headers or {})
    return raw.request("POST", f"/{bucket}", query={"delete": ""}, body=xml, headers=headers)


def test_who_may_delete_nothing_learns_nothing_of_the_bucket(guarded, guarded_bucket):
    raw = user(guarded, "bystander")
    objects = "<Object><Key>a</Key></Object><Object><Key>b</Key><VersionId>null</VersionId></Object>"
    for bucket in (guarded_bucket, "there-is-no-such-bucket"):
        for owner in ({}, {"x-amz-expected-bucket-owner": "root"}, {"x-amz-expected-bucket-owner": "nobody"}):
            errors = list(delete_many(raw, bucket, objects, owner).ok().xml().iter("Error"))
            assert [(error.findtext("Key"), error.findtext("Code")) for error in errors] == [("a", "AccessDenied"), ("b", "AccessDenied")]
    root = guarded.raw()
    delete_many(root, "there-is-no-such-bucket", objects).fails(404, "NoSuchBucket")
    delete_many(root, guarded_bucket, objects, {"x-amz-expected-bucket-owner": "nobody"}).fails(403, "AccessDenied")
    delete_many(root, guarded_bucket, objects, {"x-amz-expected-bucket-owner": "root"}).ok()


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_client_forges_a_line_of_the_log(new_server, log_format):
    server = new_server(f"log_format = '{log_format}'\n")
    name = "\nFORGED\r\x1b[2J\u2028line"
    server.raw().send("GET", f"/{sigv4.quote(name)}/key", {"host": "localhost"}).fails(403, "AccessDenied")
    server.raw().request("GET", f"/{name}").fails(404, "NoSuchBucket")
    assert server.stop() == 0
    log = server.log_text()
    lines = [line for line in log.split("\n") if "FORGED" in line]
    assert len(lines) == 2, lines
    for line in lines:
        assert "GET" in line and not line.startswith("FORGED")
        assert "\x1b[2J" not in line
        if log_format == "json":
            assert json.loads(line)["bucket"] == name
