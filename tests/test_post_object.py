"""POST Object: uploads by browsers' forms, with boto3's own policies and with forms of every other shape."""

import base64
import datetime
import hashlib
import hmac
import http.client
import re
import ssl

import pytest

from conftest import make_bucket
from harness import forms, sigv4, users
from harness.forms import exactly, in_an_hour, post, signed
from harness.sse import customer

KMS_ID = "x-amz-server-side-encryption-aws-kms-key-id"


def allowed(raw, bucket, fields, more=()):
    """The fields of a form whose policy allows just them."""
    return signed(raw.credentials, [*exactly(bucket, fields), *more], fields)


# ---- what is stored


def test_a_form_by_boto3_uploads_what_its_policy_allows(server, raw, bucket):
    form = server.boto(signature_version="s3v4").generate_presigned_post(bucket, "photos/${filename}", Conditions=[["content-length-range", 1, 100]])
    assert form["url"].rstrip("/").endswith(f"/{bucket}")
    reply = post(raw, bucket, form["fields"], filename="me.png").ok(204)
    assert reply.body == b"" and reply.headers["location"] == f"https://127.0.0.1:{server.port}/{bucket}/photos/me.png"
    read = raw.get(bucket, "photos/me.png").ok()
    assert (read.body, read.headers["etag"]) == (b"the file", reply.headers["etag"])


def test_fields_are_what_the_headers_of_a_put_are(raw, bucket):
    tags = "<Tagging><TagSet><Tag><Key>team</Key><Value>red and blue</Value></Tag></TagSet></Tagging>"
    fields = {
        "key": "a",
        "acl": "private",
        "Content-Type": "image/png",
        "Cache-Control": "no-cache",
        "Content-Disposition": "attachment",
        "Expires": "Wed, 21 Oct 2035 07:28:00 GMT",
        "x-amz-meta-colour": "blue",
        "x-amz-storage-class": "STANDARD_IA",
        "x-amz-website-redirect-location": "/elsewhere",
        "tagging": tags,
        "Content-MD5": base64.b64encode(hashlib.md5(b"the file").digest()).decode(),
        "x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(b"the file").digest()).decode(),
    }
    reply = post(raw, bucket, allowed(raw, bucket, fields)).ok(204)
    assert reply.headers["x-amz-checksum-sha256"] == fields["x-amz-checksum-sha256"]
    read = raw.get(bucket, "a", {"x-amz-checksum-mode": "ENABLED"}).ok().headers
    for name in ("Content-Type", "Cache-Control", "Content-Disposition", "Expires", "x-amz-meta-colour", "x-amz-storage-class", "x-amz-checksum-sha256"):
        assert read[name.lower()] == fields[name], name
    assert (read["x-amz-website-redirect-location"], read["x-amz-tagging-count"]) == ("/elsewhere", "1")
    assert raw.get(bucket, "a", query={"tagging": ""}).ok().xml().findtext(".//Value") == "red and blue"
    for name, wrong in [("Content-MD5", hashlib.md5(b"x").digest()), ("x-amz-checksum-sha256", hashlib.sha256(b"x").digest())]:
        other = fields | {"key": "b", name: base64.b64encode(wrong).decode()}
        post(raw, bucket, allowed(raw, bucket, other)).fails(400, "BadDigest")
    raw.head(bucket, "b").ok(404)


@pytest.mark.parametrize(
    "sse",
    [
        {},
        {"x-amz-server-side-encryption": "AES256"},
        {"x-amz-server-side-encryption": "aws:kms", KMS_ID: "default", "x-amz-server-side-encryption-bucket-key-enabled": "true"},
        {"x-amz-server-side-encryption": "aws:kms:dsse", "x-amz-server-side-encryption-context": base64.b64encode(b'{"a":"b"}').decode()},
        customer(),
    ],
    ids=["none", "SSE-S3", "SSE-KMS", "DSSE-KMS", "SSE-C"],
)
def test_a_form_encrypts_as_its_fields_say(raw, bucket, sse):
    content = bytes(range(256)) * 1024
    reply = post(raw, bucket, allowed(raw, bucket, {"key": "a"} | sse), content).ok(204)
    read = raw.get(bucket, "a", customer() if "customer" in "".join(sse) else None).ok()
    assert read.body == content
    for name in ("x-amz-server-side-encryption", "x-amz-server-side-encryption-customer-algorithm"):
        if name in sse:
            assert reply.headers[name] == read.headers[name] == sse[name]
    if "customer" in "".join(sse):
        raw.get(bucket, "a").fails(400, "InvalidRequest")


def test_the_bucket_s_rules_hold_for_forms(new_server):
    server = new_server()
    raw, bucket = server.raw(), make_bucket(server)
    rule = {"BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]}, "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
    server.boto().put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    reply = post(raw, bucket, allowed(raw, bucket, {"key": "a"})).ok(204)
    assert reply.headers["x-amz-server-side-encryption"] == "aws:kms"
    post(raw, bucket, allowed(raw, bucket, {"key": "b"} | customer())).fails(403, "AccessDenied")
    server.boto().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = post(raw, bucket, allowed(raw, bucket, {"key": "a"}), b"second").ok(204).headers["x-amz-version-id"]
    assert raw.get(bucket, "a", query={"versionId": version}).ok().body == b"second"


@pytest.mark.parametrize("pieces", [1, 7, 4096])
def test_a_form_may_come_in_pieces_of_any_size(raw, bucket, pieces):
    content = b"\r\n--" + forms.BOUNDARY[:-1].encode() + b"\r" + bytes(300 if pieces == 1 else 300_000)
    post(raw, bucket, allowed(raw, bucket, {"key": "a"}), content, pieces=pieces).ok(204)
    assert raw.get(bucket, "a").ok().body == content


def test_fields_behind_the_file_count_for_nothing(raw, bucket):
    reply = post(raw, bucket, allowed(raw, bucket, {"key": "a"}), behind=[("x-amz-meta-late", "x"), ("key", "b"), ("submit", "Upload")])
    reply.ok(204)
    assert "x-amz-meta-late" not in raw.head(bucket, "a").ok().headers
    raw.head(bucket, "b").ok(404)


# ---- how it is answered


@pytest.mark.parametrize(("status", "expected"), [("200", 200), ("201", 201), ("204", 204), ("404", 204), ("", 204)])
def test_the_status_is_the_one_that_the_form_asks_for(server, raw, bucket, status, expected):
    fields = {"key": "a b/ü", "success_action_status": status}
    reply = post(raw, bucket, allowed(raw, bucket, fields)).ok(expected)
    location = f"https://127.0.0.1:{server.port}/{bucket}/a%20b/%C3%BC"
    assert reply.headers["location"] == location
    if expected == 201:
        found = reply.xml()
        assert (found.tag, [child.text for child in found]) == ("PostResponse", [location, bucket, "a b/ü", reply.headers["etag"]])
    else:
        assert reply.body == b""


@pytest.mark.parametrize("name", ["success_action_redirect", "redirect"])
def test_the_browser_is_sent_on_with_what_was_stored(raw, bucket, name):
    for page, separator in [("https://example.org/done", "?"), ("http://example.org/done?a=b", "&")]:
        reply = post(raw, bucket, allowed(raw, bucket, {"key": "a&b", name: page, "success_action_status": "201"})).ok(303)
        etag = reply.headers["etag"].strip('"')
        assert reply.headers["location"] == f"{page}{separator}bucket={bucket}&key=a%26b&etag=%22{etag}%22"
    for no_page in ("javascript:alert(1)", "//example.org", "done.html"):
        post(raw, bucket, allowed(raw, bucket, {"key": "a", name: no_page})).ok(204)


# ---- what is refused


def test_a_form_without_a_policy_is_refused(raw, bucket):
    post(raw, bucket, {"key": "a"}).fails(403, "AccessDenied")


def broken(policy):
    return {**policy, "x-amz-signature": policy["x-amz-signature"][:-1] + ("0" if policy["x-amz-signature"][-1] != "0" else "1")}


def test_every_field_is_one_that_the_policy_allows(raw, bucket):
    fields = allowed(raw, bucket, {"key": "a", "x-amz-meta-colour": "blue"})
    post(raw, bucket, fields | {"x-ignore-me": "whatever"}).ok(204)
    for refused, code in [
        (fields | {"key": "b"}, (403, "AccessDenied")),
        (fields | {"x-amz-meta-colour": "red"}, (403, "AccessDenied")),
        (fields | {"x-amz-meta-other": "x"}, (403, "AccessDenied")),
        (fields | {"x-amz-server-side-encryption": "AES256"}, (403, "AccessDenied")),
        ({name: value for name, value in fields.items() if name != "x-amz-meta-colour"}, (403, "AccessDenied")),
        ({name: value for name, value in fields.items() if name != "key"}, (403, "AccessDenied")),
        ({name: value for name, value in fields.items() if name != "x-amz-signature"}, (400, "InvalidArgument")),
        ({name: value for name, value in fields.items() if name != "policy"}, (400, "InvalidArgument")),
        (broken(fields), (403, "SignatureDoesNotMatch")),
        ([*fields.items(), ("KEY", "b")], (400, "InvalidArgument")),
        (fields | {"policy": "e30="}, (403, "SignatureDoesNotMatch")),
    ]:
        post(raw, bucket, refused, b"refused").fails(*code)
    assert raw.get(bucket, "a").ok().body == b"the file"
    raw.head(bucket, "b").ok(404)


def test_the_condition_that_fails_is_named_with_quotes_that_stand_as_they_are(raw, bucket):
    """Some clients look for these words without parsing the XML."""
    reply = post(raw, bucket, signed(raw.credentials, exactly(bucket, {"key": "b"}), {"key": "a"})).fails(403, "AccessDenied")
    assert b'<Message>Invalid according to Policy: Policy Condition failed: ["eq", "$key", "b"]</Message>' in reply.body


def test_a_policy_is_for_one_bucket_until_it_expires(raw, bucket, server):
    fields = {"key": "a"}
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=1)
    post(raw, bucket, signed(raw.credentials, exactly(bucket, fields), fields, past)).fails(403, "AccessDenied")
    post(raw, bucket, signed(raw.credentials, [{"key": "a"}], fields)).fails(403, "AccessDenied")
    post(raw, make_bucket(server), signed(raw.credentials, exactly(bucket, fields), fields)).fails(403, "AccessDenied")
    post(raw, "no-such-bucket", signed(raw.credentials, exactly("no-such-bucket", fields), fields)).fails(404, "NoSuchBucket")
    for document in (b"no JSON", b'{"expiration": "2035-01-01T00:00:00Z"}', b'{"conditions": [], "expiration": "tomorrow"}'):
        policy = base64.b64encode(document).decode()
        at = sigv4.timestamp()
        form = sigv4.post_policy(raw.credentials, [], in_an_hour())
        form |= {"policy": policy, "x-amz-signature": hmac.new(raw.credentials.signing_key(at[:8]), policy.encode(), "sha256").hexdigest()}
        post(raw, bucket, fields | form).fails(400, "InvalidPolicyDocument")
    raw.head(bucket, "a").ok(404)


@pytest.mark.parametrize(("length", "code"), [(9, "EntityTooSmall"), (10, None), (20, None), (21, "EntityTooLarge"), (300_000, "EntityTooLarge"), (0, "EntityTooSmall")])
def test_a_file_has_a_length_that_the_policy_allows(raw, bucket, length, code):
    fields = allowed(raw, bucket, {"key": "a"}, [["content-length-range", 10, 20]])
    reply = post(raw, bucket, fields, bytes(length))
    if code is None:
        reply.ok(204)
        assert len(raw.get(bucket, "a").ok().body) == length
    else:
        reply.fails(400, code)
        raw.head(bucket, "a").ok(404)


def test_what_is_no_form_is_refused_as_s3_refuses_it(raw, bucket):
    fields = allowed(raw, bucket, {"key": "a"})
    post(raw, bucket, fields, file=None).fails(400, "IncorrectNumberOfFilesInPostRequest")
    forms.send(raw, f"/{bucket}", b"no form at all").fails(400, "MalformedPOSTRequest")
    forms.send(raw, f"/{bucket}", forms.encode(fields), headers={"content-type": "multipart/form-data"}).fails(400, "MalformedPOSTRequest")
    post(raw, bucket, fields | {"x-ignore-long": "x" * 21_000}).fails(400, "MaxPostPreDataLengthExceededError")
    post(raw, bucket, allowed(raw, bucket, {"key": "a", "x-amz-copy-source": f"/{bucket}/b"})).fails(400, "InvalidArgument")
    post(raw, bucket, allowed(raw, bucket, {"key": ""})).fails(400, "InvalidArgument")
    post(raw, bucket, allowed(raw, bucket, {"key": "k" * 1025})).fails(400, "KeyTooLongError")
    post(raw, bucket, allowed(raw, bucket, {"key": "a", "acl": "public-read"})).fails(400, "AccessControlListNotSupported")
    post(raw, bucket, fields, path=f"/{bucket}/a").fails(403, "AccessDenied")
    raw.head(bucket, "a").ok(404)


def test_a_form_that_breaks_off_stores_nothing(server, raw, bucket):
    body = forms.encode(allowed(raw, bucket, {"key": "a"}), bytes(100_000))
    for kept in (200, len(body) - 50_000, len(body) - 30):
        connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=ssl.create_default_context(cafile=str(server.ca)), timeout=20)
        connection.putrequest("POST", f"/{bucket}")
        connection.putheader("content-type", f"multipart/form-data; boundary={forms.BOUNDARY}")
        connection.putheader("content-length", str(len(body)))
        connection.endheaders()
        connection.send(body[:kept])
        connection.close()
    short = body[: -len(forms.BOUNDARY) - 10]
    forms.send(raw, f"/{bucket}", short).fails(400, "IncompleteBody")
    raw.head(bucket, "a").ok(404)


# ---- whose it is


def test_a_form_may_do_what_its_signer_may(new_server):
    server = new_server(users.config({"uploader": users.allowing(["s3:PutObject"])}))
    bucket = make_bucket(server)
    uploader = server.raw(*users.keys("uploader"))
    root = server.raw()
    post(root, bucket, allowed(uploader, bucket, {"key": "a"})).ok(204)
    tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
    until = in_an_hour().strftime("%Y-%m-%dT%H:%M:%SZ")
    for more in ({"tagging": tags}, {"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": until}, {"x-amz-object-lock-legal-hold": "ON"}):
        post(root, bucket, allowed(uploader, bucket, {"key": "b"} | more)).fails(403, "AccessDenied")
    stranger = sigv4.Credentials("AKSTRANGER", "a secret that nobody has")
    fields = {"key": "b"}
    post(root, bucket, signed(stranger, exactly(bucket, fields), fields)).fails(403, "InvalidAccessKeyId")
    token = fields | {"x-amz-security-token": "token"}
    post(root, bucket, signed(root.credentials, exactly(bucket, token), token)).fails(400, "InvalidToken")
    root.head(bucket, "b").ok(404)


def test_a_form_is_in_the_access_log_by_its_operation_and_signer(server, raw, bucket):
    reply = post(raw, bucket, allowed(raw, bucket, {"key": "a"})).ok(204)
    line = next(line for line in server.log_text().splitlines() if reply.headers["x-amz-request-id"] in line)
    assert re.search("PostObject", line) and re.search("root", line), line


# ---- Signature Version 2


def test_a_form_signed_with_version_two_is_taken_where_that_is_allowed(new_server, raw, bucket):
    fields = {"key": "a"}
    post(raw, bucket, forms.signed_by_version_two(raw.credentials, exactly(bucket, fields), fields)).fails(400, "InvalidRequest")
    server = new_server("allow_signature_v2_forms = true\n")
    raw, bucket = server.raw(), make_bucket(server)
    form = forms.signed_by_version_two(raw.credentials, exactly(bucket, fields), fields)
    post(raw, bucket, form).ok(204)
    assert raw.get(bucket, "a").ok().body == b"the file"
    post(raw, bucket, form | {"signature": base64.b64encode(bytes(20)).decode()}).fails(403, "SignatureDoesNotMatch")
    post(raw, bucket, form | {"key": "b"}).fails(403, "AccessDenied")
    raw.request("GET", f"/{bucket}/a", query={"AWSAccessKeyId": "AK", "Signature": "x", "Expires": "1"}, sign=False).fails(400, "InvalidRequest")
