"""A page in Chromium, on another origin, uploads over HTTPS: by presigned URLs, by requests and by forms, under keys of the server and of its own."""

import pytest

from harness import browser, sigv4
from harness.admin import Admin
from harness.forms import signed
from harness.sse import CUSTOMER, KMS_KEY_ID, SSE, customer


@pytest.fixture
def pages():
    with browser.pages() as served:
        yield served


@pytest.fixture
def say(pages, server, tmp_path):
    """`say(script, **given)`: what a page with that script says."""
    return lambda script, **given: browser.said_by_page(pages, server, tmp_path, script, **given)


@pytest.fixture
def url(raw, bucket):
    """`url("PUT", "key", headers)`: a presigned URL; the page must send these headers."""
    host = f"127.0.0.1:{raw.port}"
    return lambda method, key, headers=None: f"https://{host}" + sigv4.presign(raw.credentials, method, f"/{bucket}/{key}", headers=headers, host=host)


@pytest.fixture
def let_in(server, bucket, pages):
    """`let_in("PUT", …)`: a rule for the page's origin."""

    def rule(*methods, headers=("content-type", "x-amz-*")):
        rule = {"AllowedOrigins": [pages.origin], "AllowedMethods": list(methods), "AllowedHeaders": list(headers), "ExposeHeaders": ["ETag", SSE, KMS_KEY_ID]}
        server.boto().put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})

    return rule


# ---- presigned URLs, with the preflight that their headers make the browser send

UPLOAD = """
    const put = await fetch(given.put, {method: "PUT", headers: given.headers, body: "of a page"});
    Object.assign(said, {put: put.status, etag: put.headers.get("etag"), sse: put.headers.get("x-amz-server-side-encryption"), id: put.headers.get("x-amz-request-id")});
    const got = await fetch(given.get, {headers: given.read});
    Object.assign(said, {get: got.status, body: await got.text(), missing: (await fetch(given.missing)).status});
"""


def test_a_page_uploads_to_a_presigned_url_and_reads_the_object_and_errors(say, let_in, url, raw, bucket):
    let_in("GET", "PUT")
    own = {"x-amz-meta-from": "page", SSE: "aws:kms"}
    urls = {"put": url("PUT", "key", own), "get": url("GET", "key"), "missing": url("GET", "nothing")}
    said = say(UPLOAD, headers=own | {"content-type": "text/x-page"}, read={}, **urls)
    stored = raw.get(bucket, "key").ok()
    assert said == {"put": 200, "etag": stored.headers["etag"], "sse": "aws:kms", "id": None, "get": 200, "body": "of a page", "missing": 404}
    assert (stored.body, stored.headers["content-type"], stored.headers["x-amz-meta-from"]) == (b"of a page", "text/x-page", "page")


def test_a_page_uploads_and_reads_with_a_key_of_its_own(say, let_in, url, raw, bucket):
    let_in("GET", "PUT")
    urls = {"put": url("PUT", "key", customer()), "get": url("GET", "key", customer()), "missing": url("GET", "nothing")}
    said = say(UPLOAD, headers=customer(), read=customer(), **urls)
    stored = raw.get(bucket, "key", customer()).ok()
    assert said == {"put": 200, "etag": stored.headers["etag"], "sse": None, "id": None, "get": 200, "body": "of a page", "missing": 404}
    raw.get(bucket, "key").fails(400, "InvalidRequest")


@pytest.mark.parametrize("rule", ["another origin", "another header"])
def test_a_page_that_no_rule_lets_in_uploads_nothing(say, let_in, url, server, raw, bucket, rule):
    if rule == "another origin":
        entry = {"AllowedOrigins": ["https://app.example"], "AllowedMethods": ["GET", "PUT"], "AllowedHeaders": ["*"]}
        server.boto().put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [entry]})
    else:
        let_in("GET", "PUT", headers=["content-type"])
    own = {"x-amz-meta-from": "page"}
    assert say(UPLOAD, headers=own, read={}, put=url("PUT", "key", own)) == {"error": "TypeError: Failed to fetch"}
    raw.get(bucket, "key").fails(404, "NoSuchKey")


# ---- forms

SUBMITTED = 'said.at = await submit(given.action, given.fields, "a photo", "Grüße aus Köln.png");'
SENT = """
    const form = new FormData();
    for (const [name, value] of Object.entries(given.fields)) form.append(name, value);
    form.append("file", new File(["a photo"], "photo.png", {type: "image/png"}));
    const reply = await fetch(given.action, {method: "POST", body: form});
    Object.assign(said, {status: reply.status, sse: reply.headers.get("x-amz-server-side-encryption"), body: await reply.text()});
"""
MODES = ["SSE-KMS", "SSE-C"]


def form(server, bucket, mode, **fields):
    """The fields and the action of a form whose policy allows keys below `photos/` and that encryption."""
    sse = {SSE: "aws:kms", KMS_KEY_ID: Admin(server).create_key()} if mode == "SSE-KMS" else customer()
    fields = {"key": "photos/${filename}"} | sse | fields
    exact = [{name: value} for name, value in fields.items() if name != "key"]
    conditions = [{"bucket": bucket}, ["starts-with", "$key", "photos/"], ["content-length-range", 1, 100], *exact]
    return {"action": f"{server.endpoint}/{bucket}", "fields": signed(server.raw().credentials, conditions, fields)}


def assert_stored(raw, bucket, key, mode, fields):
    read = raw.get(bucket, key, customer() if mode == "SSE-C" else None).ok()
    assert read.body == b"a photo"
    for name in (SSE, KMS_KEY_ID, f"{CUSTOMER}algorithm", f"{CUSTOMER}key-md5"):
        assert read.headers.get(name) == fields.get(name), name
    if mode == "SSE-C":
        raw.get(bucket, key).fails(400, "InvalidRequest")
    return read


@pytest.mark.parametrize("mode", MODES)
def test_a_form_that_is_submitted_uploads_and_leads_back_to_the_page(say, pages, server, raw, bucket, mode):
    made = form(server, bucket, mode, success_action_redirect=f"{pages.origin}/done")
    said = say(SUBMITTED, **made)
    read = assert_stored(raw, bucket, "photos/Grüße aus Köln.png", mode, made["fields"])
    etag = read.headers["etag"].strip('"')
    assert said == {"at": f"{pages.origin}/done?bucket={bucket}&key=photos/Gr%C3%BC%C3%9Fe%20aus%20K%C3%B6ln.png&etag=%22{etag}%22"}


@pytest.mark.parametrize("mode", MODES)
def test_a_form_that_a_script_sends_uploads_and_is_answered(say, let_in, server, raw, bucket, mode):
    let_in("POST")
    made = form(server, bucket, mode, success_action_status="201")
    said = say(SENT, **made)
    assert (said["status"], said["sse"]) == (201, made["fields"].get(SSE)), said
    assert "<Key>photos/photo.png</Key>" in said["body"]
    assert_stored(raw, bucket, "photos/photo.png", mode, made["fields"])


def test_a_form_that_its_policy_does_not_allow_leads_nowhere(say, pages, server, raw, bucket):
    made = form(server, bucket, "SSE-KMS", success_action_redirect=f"{pages.origin}/done")
    made["fields"][KMS_KEY_ID] = "default"
    assert say(SUBMITTED, **made) == {"at": None}
    raw.get(bucket, "photos/Grüße aus Köln.png").fails(404, "NoSuchKey")
