"""Policies that look at how a request was signed, and at what it says of the object that it would replace."""

import datetime

import pytest

from conftest import make_bucket
from harness import forms, sigv4, users
from harness.server import Server
from harness.sse import SSE_S3

EVERYTHING = {"Effect": "Allow", "Action": ["s3:*", "kms:*"], "Resource": "*"}
MINUTES = 60_000


def deny(operator, key, value, action="s3:*"):
    return [EVERYTHING, {"Effect": "Deny", "Action": action, "Resource": "*", "Condition": {operator: {key: value}}}]


USERS = {
    "headersonly": deny("StringNotEquals", "s3:authType", "REST-HEADER"),
    "linksonly": deny("StringNotEquals", "s3:authType", "REST-QUERY-STRING"),
    "formsonly": deny("StringNotEquals", "s3:authType", "POST"),
    "freshonly": deny("NumericGreaterThan", "s3:signatureAge", 5 * MINUTES),
    "covered": deny("StringEquals", "s3:x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
    "fouronly": deny("StringNotEquals", "s3:signatureversion", "AWS4-HMAC-SHA256"),
    "modern": deny("NumericLessThan", "s3:TlsVersion", "1.3"),
    "future": deny("NumericLessThan", "s3:TlsVersion", "1.31"),
    "careful": [
        EVERYTHING,
        {
            "Effect": "Deny",
            "Action": "s3:PutObject",
            "Resource": "*",
            "Condition": {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}},
        },
        {"Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "*", "Condition": {"Null": {"s3:if-match": "true"}}},
    ],
    "direct": [{**EVERYTHING, "Condition": {"Bool": {"aws:ViaAWSService": "false", "aws:PrincipalIsAWSService": "false"}}}],
    "lately": [{**EVERYTHING, "Condition": {"NumericGreaterThan": {"aws:EpochTime": "1700000000"}, "DateGreaterThan": {"aws:EpochTime": "2023-01-01"}}}],
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("signing") / "home", config=users.config(USERS)).start()
    server.raw().request("PUT", "/signed").ok()
    server.raw().put("signed", "object", b"body", SSE_S3.write).ok()
    yield server
    server.stop()
    server.remove()


def user(server, name):
    return server.raw(*users.keys(name))


def follow(raw, minutes_ago=0, **headers):
    """A GET by a presigned URL that was signed so long ago."""
    host, then = f"127.0.0.1:{raw.port}", datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=minutes_ago)
    target = sigv4.presign(raw.credentials, "GET", "/signed/object", host=host, expires_seconds=3600, now=then)
    return raw.send("GET", target, {"host": host} | headers)


def send_form(raw):
    fields = {"key": "by form"} | SSE_S3.write
    return forms.post(raw, "signed", forms.signed(raw.credentials, forms.exactly("signed", fields), fields))


@pytest.mark.parametrize("name, taken", [("headersonly", "header"), ("linksonly", "link"), ("formsonly", "form")])
def test_a_policy_says_in_which_way_requests_are_signed(guarded, name, taken):
    raw = user(guarded, name)
    for way, reply in {"header": raw.get("signed", "object"), "link": follow(raw), "form": send_form(raw)}.items():
        if way == taken:
            assert reply.status in (200, 204)
        else:
            reply.fails(403, "AccessDenied")


def test_a_link_that_is_older_than_a_policy_wants_is_refused_long_before_its_own_end(guarded):
    raw = user(guarded, "freshonly")
    raw.get("signed", "object").ok()
    follow(raw, minutes_ago=4).ok()
    follow(raw, minutes_ago=6).fails(403, "AccessDenied")
    # A clock that is fast signs in the future, which is no age.
    follow(raw, minutes_ago=-2).ok()


def test_a_policy_wants_bodies_that_the_signature_covers(guarded):
    raw = user(guarded, "covered")
    raw.put("signed", "covered", b"x", SSE_S3.write).ok()
    raw.put("signed", "covered", b"x", SSE_S3.write, payload="UNSIGNED-PAYLOAD").fails(403, "AccessDenied")
    follow(raw).fails(403, "AccessDenied")


def test_a_policy_wants_a_version_of_tls_and_of_signatures(guarded):
    user(guarded, "modern").get("signed", "object").ok()
    user(guarded, "future").get("signed", "object").fails(403, "AccessDenied")
    user(guarded, "fouronly").get("signed", "object").ok()


def test_who_may_only_create_replaces_nothing_and_uploads_in_parts(guarded):
    raw = user(guarded, "careful")
    raw.put("signed", "new", b"x", SSE_S3.write).fails(403, "AccessDenied")
    raw.put("signed", "new", b"x", SSE_S3.write | {"if-none-match": "*"}).ok()
    raw.put("signed", "new", b"y", SSE_S3.write | {"if-none-match": "*"}).fails(412, "PreconditionFailed")
    upload = raw.begin_upload("signed", "parts", SSE_S3.write)
    etag = raw.upload_part("signed", "parts", upload, 1, b"x").ok().etag
    raw.complete("signed", "parts", upload, {1: etag}).fails(403, "AccessDenied")
    raw.complete("signed", "parts", upload, {1: etag}, headers={"if-none-match": "*"}).ok()
    raw.request("DELETE", "/signed/new").fails(403, "AccessDenied")
    raw.request("DELETE", "/signed/new", headers={"if-match": "*"}).ok(204)


def test_what_holds_of_every_request_is_there_for_policies(guarded):
    user(guarded, "direct").get("signed", "object").ok()
    user(guarded, "lately").get("signed", "object").ok()
