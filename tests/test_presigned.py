"""Presigned URLs, and both styles of addressing a bucket."""

import datetime

import pytest

from conftest import make_bucket
from harness import sigv4
from harness.server import Server
from harness.sse import KMS_KEY_ID, SSE, SSE_C, SSE_S3, customer

DOMAIN = "s3.strongroom.test"


def send(raw, method, path, query=(), headers=None, body=b"", also=None, **options):
    """Presigned with `headers`, sent with `also` too."""
    host = f"127.0.0.1:{raw.port}"
    target = sigv4.presign(raw.credentials, method, path, query, headers, host, **options)
    length = {"content-length": str(len(body))} if method == "PUT" else {}
    return raw.send(method, target, {"host": host} | (headers or {}) | (also or {}) | length, body)


@pytest.fixture
def path(bucket):
    return f"/{bucket}/an object/with ünï+code&.txt"


def test_a_presigned_put_and_get(raw, path):
    send(raw, "PUT", path, body=b"body").ok()
    assert send(raw, "GET", path).ok().body == b"body"
    assert send(raw, "HEAD", path).ok().headers["content-length"] == "4"


def test_a_presigned_url_of_boto3(server, raw, bucket):
    """With Signature Version 4: for some regions boto3 would still presign with version 2."""
    raw.put(bucket, "object", b"body").ok()
    url = server.boto(signature_version="s3v4").generate_presigned_url(
        "get_object", Params={"Bucket": bucket, "Key": "object", "ResponseContentType": "text/x"}, ExpiresIn=60
    )
    target = "/" + url.split("/", 3)[3]
    reply = raw.send("GET", target, {"host": f"127.0.0.1:{raw.port}"}).ok()
    assert (reply.body, reply.headers["content-type"]) == (b"body", "text/x")


@pytest.mark.parametrize("headers", [SSE_S3.write, {SSE: "aws:kms", KMS_KEY_ID: "default"}], ids=["SSE-S3", "SSE-KMS"])
def test_encryption_headers_are_signed_along(raw, path, headers):
    reply = send(raw, "PUT", path, headers=headers, body=b"body").ok()
    assert {name: reply.headers[name] for name in headers} == headers
    target = sigv4.presign(raw.credentials, "PUT", path, headers=headers, host=f"127.0.0.1:{raw.port}")
    bare = raw.send("PUT", target, {"host": f"127.0.0.1:{raw.port}", "content-length": "5"}, b"other")
    assert bare.status == 403
    assert send(raw, "GET", path).ok().body == b"body"


def test_a_customer_key_travels_in_signed_headers(raw, path):
    send(raw, "PUT", path, headers=SSE_C.write, body=b"body").ok()
    assert send(raw, "GET", path, headers=SSE_C.read).ok().body == b"body"
    send(raw, "GET", path).fails(400, "InvalidRequest")


def test_headers_that_change_the_meaning_must_be_signed(raw, bucket):
    """An x-amz header that the signer did not sign turns a PUT into another operation: refused, not obeyed and not ignored."""
    raw.put(bucket, "secret", b"secret").ok()
    for header in ({"x-amz-copy-source": f"/{bucket}/secret"}, {SSE: "aws:kms"}, customer(), {"x-amz-meta-a": "b"}):
        send(raw, "PUT", f"/{bucket}/target", also=header).fails(403, "AccessDenied")
    raw.get(bucket, "target").fails(404, "NoSuchKey")


def test_a_hash_that_is_none_breaks_the_signature_of_a_presigned_url(raw, path):
    send(raw, "PUT", path, body=b"body", also={"x-amz-content-sha256": "invalid-sha256"}).fails(403, "SignatureDoesNotMatch")
    raw.request("GET", path).fails(404, "NoSuchKey")


def test_a_presigned_url_expires(raw, path):
    send(raw, "PUT", path, body=b"body").ok()
    before = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=120)
    send(raw, "GET", path, now=before, expires_seconds=60).fails(403, "AccessDenied")
    assert send(raw, "GET", path, now=before, expires_seconds=180).ok().body == b"body"


def test_an_altered_presigned_url_is_refused(raw, bucket):
    raw.put(bucket, "object", b"body").ok()
    raw.put(bucket, "other", b"other").ok()
    host = {"host": f"127.0.0.1:{raw.port}"}
    target = sigv4.presign(raw.credentials, "GET", f"/{bucket}/object", host=host["host"])
    raw.send("GET", target, host).ok()
    raw.send("GET", target.replace("/object?", "/other?"), host).fails(403, "SignatureDoesNotMatch")
    raw.send("GET", target.replace("Expires=300", "Expires=900"), host).fails(403, "SignatureDoesNotMatch")
    raw.send("DELETE", target, host).fails(403, "SignatureDoesNotMatch")
    raw.send("GET", target + "&versionId=null", host).fails(403, "SignatureDoesNotMatch")


def test_a_presigned_url_lives_for_a_week_at_the_most(raw, path):
    reply = send(raw, "GET", path, expires_seconds=7 * 86400 + 1)
    reply.fails(400, "AuthorizationQueryParametersError")


def test_a_presigned_part(raw, bucket):
    upload = raw.begin_upload(bucket, "object")
    reply = send(raw, "PUT", f"/{bucket}/object", {"partNumber": "1", "uploadId": upload}, body=b"part").ok()
    raw.complete(bucket, "object", upload, {1: reply.etag}).ok()
    assert raw.get(bucket, "object").ok().body == b"part"


# ---- virtual-host style


@pytest.fixture(scope="module")
def hosted(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("hosted") / "home", f'domains = ["{DOMAIN}"]\n').start()
    yield server
    server.remove()


def test_a_bucket_in_the_host_s_name(hosted):
    raw, bucket = hosted.raw(), make_bucket(hosted)
    host = f"{bucket}.{DOMAIN}:{hosted.port}"
    raw.request("PUT", "/an/object", headers=SSE_C.write, body=b"body", host=host).ok()
    assert raw.request("GET", "/an/object", headers=SSE_C.read, host=host).ok().body == b"body"
    assert raw.get(bucket, "an/object", SSE_C.read).ok().body == b"body"
    listed = raw.request("GET", "/", query={"list-type": "2"}, host=host).ok().xml()
    assert (listed.findtext("Name"), listed.findtext("Contents/Key")) == (bucket, "an/object")
    assert raw.request("GET", "/", host=f"{DOMAIN}:{hosted.port}").ok().xml().findtext("Buckets/Bucket/Name")
    raw.request("DELETE", "/an/object", host=host).ok(204)
    raw.request("DELETE", "/", host=host).ok(204)


def test_a_presigned_url_in_virtual_host_style(hosted):
    raw, bucket = hosted.raw(), make_bucket(hosted)
    host = f"{bucket}.{DOMAIN}:{hosted.port}"
    target = sigv4.presign(raw.credentials, "PUT", "/object", headers=SSE_S3.write, host=host)
    raw.send("PUT", target, {"host": host, "content-length": "4"} | SSE_S3.write, b"body").ok()
    assert raw.send("GET", sigv4.presign(raw.credentials, "GET", "/object", host=host), {"host": host}).ok().body == b"body"


def test_another_host_s_name_is_no_bucket(hosted):
    raw, bucket = hosted.raw(), make_bucket(hosted)
    raw.request("PUT", f"/{bucket}/object", body=b"x", host=f"localhost:{hosted.port}").ok()
    assert raw.request("GET", f"/{bucket}/object", host=f"example.org:{hosted.port}").ok().body == b"x"
