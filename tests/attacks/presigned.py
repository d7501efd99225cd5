"""Presigned URLs: altered, expired, of the future, beyond a week, incomplete, and where none is taken."""

import re

from attacks.row import ALLOWED, CLIENT, NETWORK, TENANT, Row, denied, refused
from attacks.signatures import PREFIXES, hours, last_digit, minutes, scope
from harness import sigv4
from harness.sse import KMS_KEY_ID, SSE, customer
from harness.wire import Request

WRONG = refused(403, "SignatureDoesNotMatch")
BROKEN = refused(400, "AuthorizationQueryParametersError")
WEEK_SECONDS = 7 * 86400


def presigned(method="GET", path="/victim/secret", alter=lambda request: request, user="root", body=b"", tls=True, headers=None, query=(), **options):
    """Root's presigned URL, altered by who got hold of it."""

    def attack(field):
        target = sigv4.presign(field.credentials(user), method, path, query, headers, **({"host": field.host} | options))
        length = (("content-length", str(len(body))),) if method == "PUT" else ()
        request = Request(method, target, (("host", field.host), *(headers or {}).items(), *length), body)
        return field.send(alter(request), tls=tls)

    return attack


def target(change):
    return lambda request: request.but(target=change(request.target))


def replaced(old, new):
    def change(text):
        assert old in text, text
        return text.replace(old, new, 1)

    return target(change)


def parameter(name, value):
    return target(lambda text: re.sub(rf"{name}=[^&]*", f"{name}={value}", text))


def dropped(name):
    return target(lambda text: re.sub(rf"&?{name}=[^&]*", "", text).replace("?&", "?"))


def with_headers(headers):
    return lambda request: request.but(headers=(*request.headers, *headers.items()))


ALTERED = [
    ("for another key", replaced("/secret?", "/large?"), WRONG),
    ("for another bucket", replaced("/victim/", "/mallory/"), WRONG),
    ("for a version", lambda request: request.with_query("versionId=null"), WRONG),
    ("for the ACL", lambda request: request.with_query("acl="), WRONG),
    ("for other headers of the answer", lambda request: request.with_query("response-content-type=text/html"), WRONG),
    ("for deleting", lambda request: request.but(method="DELETE"), WRONG),
    ("for writing", lambda request: request.but(method="PUT").adding("content-length", "0"), WRONG),
    ("for another host", lambda request: request.having("host", "localhost"), WRONG),
    ("for longer", parameter("X-Amz-Expires", "301"), WRONG),
    ("for another time", lambda request: parameter("X-Amz-Date", sigv4.timestamp(minutes(-1)))(request), WRONG),
    ("for another region", replaced("us-east-1", "us-west-1"), WRONG),
    ("for no header", parameter("X-Amz-SignedHeaders", "x-none"), denied()),
    ("in the last digit of its signature", target(last_digit), WRONG),
    ("in the last digit of its signature, which is cut off", target(lambda text: text[:-1]), BROKEN),
    ("to be a tenant's", replaced("X-Amz-Credential=", "X-Amz-Credential=X"), refused(403, "InvalidAccessKeyId")),
]
INCOMPLETE = ["X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature"]
MALFORMED = [
    ("X-Amz-Algorithm", "AWS4-HMAC-SHA1"),
    ("X-Amz-Credential", "AKVICTIM"),
    ("X-Amz-Credential", "AKVICTIM%2F20260101%2Fus-east-1%2Fs3"),
    ("X-Amz-Date", "yesterday"),
    ("X-Amz-Expires", "-1"),
    ("X-Amz-Expires", "604801"),
    ("X-Amz-Expires", "99999999999999999999"),
    ("X-Amz-Expires", "1.5"),
    ("X-Amz-Expires", ""),
]
TWICE = [
    ("X-Amz-Expires", "604800"),
    ("X-Amz-Signature", "0" * 64),
    ("X-Amz-Date", "20200101T000000Z"),
    ("X-Amz-SignedHeaders", "host"),
    ("X-Amz-Credential", "x"),
]
ADDED = [{"x-amz-copy-source": "/victim/under-a-key"}, {SSE: "aws:kms", KMS_KEY_ID: "mallory-key"}, customer(), {"x-amz-meta-note": "mallory's"}]


def on_admin(prefix, path, method="POST", query=(), expires_seconds=300, extra=()):
    """Root's presigned URL of a call of the admin API."""

    def attack(field):
        of_admin = prefix == "/kms"
        host = f"127.0.0.1:{field.port(of_admin)}"
        text = sigv4.presign(field.root, method, prefix + path, query, host=host, expires_seconds=expires_seconds)
        headers = (("host", host), ("content-length", "0"), *extra) if method == "POST" else (("host", host), *extra)
        return field.send(Request(method, text, headers), admin=of_admin)

    return attack


ADMIN_CALLS = [
    ("POST", "/seal", ()),
    ("POST", "/keys/disable", {"key_id": "victim-key"}),
    ("POST", "/keys/rotate", {"key_id": "victim-key"}),
    ("GET", "/status", ()),
]
MC_CALLS = [
    ("POST", "/minio/kms/v1", "/key/create", {"key-id": "presigned"}),
    ("POST", "/minio/admin/v3", "/start-job", ()),
    ("GET", "/minio/kms/v1", "/key/list", {"pattern": "*"}),
]
X = (("authorization", "x"),)
BOTH = refused(400, "InvalidArgument")  # two ways of signing, one of which is none
UNAUTHORIZED = refused(401, "AccessDenied")

ROWS = [
    *(Row(f"A presigned URL altered {name} is refused", 0, NETWORK, presigned(alter=alter), answer) for name, alter, answer in ALTERED),
    *(Row(f"A presigned URL without {name} is refused", 0, NETWORK, presigned(alter=dropped(name)), BROKEN) for name in INCOMPLETE),
    *(Row(f"A presigned URL with {name}={value} is refused", 0, CLIENT, presigned(alter=parameter(name, value)), BROKEN) for name, value in MALFORMED),
    *(
        Row(f"A presigned URL with a second {name} is refused", 16, NETWORK, presigned(alter=lambda r, n=name, v=value: r.with_query(f"{n}={v}")), BROKEN)
        for name, value in TWICE
    ),
    *(
        Row(f"A presigned PUT with {' and '.join(headers)} added is refused", 0, NETWORK, presigned("PUT", alter=with_headers(headers), body=b"x"), denied())
        for headers in ADDED
    ),
    Row("A presigned URL that has expired is refused", 0, NETWORK, presigned(now=minutes(-10), expires_seconds=599), denied()),
    Row("A presigned URL that has expired does not write", 0, NETWORK, presigned("PUT", body=b"x", now=hours(-2), expires_seconds=7199), denied()),
    Row("A presigned URL of the future is refused", 0, NETWORK, presigned(now=hours(1)), denied()),
    Row("A presigned URL older than a week is refused", 0, NETWORK, presigned(now=hours(-169), expires_seconds=WEEK_SECONDS), denied()),
    Row("A presigned URL for a second more than a week is refused", 0, CLIENT, presigned(expires_seconds=WEEK_SECONDS + 1), BROKEN),
    Row("A presigned URL for another service is refused", 0, CLIENT, presigned(**scope(service="execute-api")), BROKEN),
    Row("A presigned URL whose scope is of another day is refused", 0, CLIENT, presigned(**scope(date="20200101")), BROKEN),
    Row("A presigned URL that does not cover Host is refused", 16, NETWORK, presigned(headers={"x-amz-meta-a": "b"}, host=""), denied()),
    Row("A tenant's presigned URL of another's object is refused", 0, TENANT, presigned(user="mallory"), denied()),
    Row("A tenant's presigned PUT over another's object is refused", 0, TENANT, presigned("PUT", body=b"x", user="mallory"), denied()),
    Row("A presigned URL for a week is taken, over plain HTTP too", 0, CLIENT, presigned(expires_seconds=WEEK_SECONDS, tls=False), ALLOWED, ()),
    Row("A presigned URL of six days ago is taken within its week", 0, CLIENT, presigned(now=hours(-144), expires_seconds=WEEK_SECONDS), ALLOWED, ()),
    *(
        Row(f"A presigned {method} {prefix}{path} is no admin credential", 2, NETWORK, on_admin(prefix, path, method, query), UNAUTHORIZED)
        for prefix in PREFIXES
        for method, path, query in ADMIN_CALLS
    ),
    *(
        Row(f"A presigned {method} {prefix}{path} is no admin credential", 2, NETWORK, on_admin(prefix, path, method, query), UNAUTHORIZED)
        for method, prefix, path, query in MC_CALLS
    ),
    *(
        Row(f"A presigned {prefix}/seal behind Authorization: x is no admin credential", 2, NETWORK, on_admin(prefix, "/seal", extra=X), BOTH)
        for prefix in PREFIXES
    ),
    *(
        Row(
            f"A presigned {method} {prefix}{path} behind Authorization: x is no admin credential",
            2,
            NETWORK,
            on_admin(prefix, path, method, query, extra=X),
            BOTH,
        )
        for method, prefix, path, query in MC_CALLS
    ),
    *(
        Row(
            f"A presigned {prefix}/seal behind an empty Authorization is no admin credential",
            2,
            NETWORK,
            on_admin(prefix, "/seal", extra=(("authorization", ""),)),
            UNAUTHORIZED,
        )
        for prefix in PREFIXES
    ),
]
