"""Names: of buckets and keys that are paths, reserved, or not text; and values that would be lines of a head."""

import urllib.parse
import xml.parsers.expat

from attacks.field import VICTIM
from attacks.row import ALLOWED, ANONYMOUS, CLIENT, TENANT, Answer, Row, denied, refused
from harness import sigv4
from harness.wire import Request

INVALID_NAME = refused(400, "InvalidBucketName")


def request(method, path, query=(), headers=None, body=b"", user="root", **options):
    return lambda field: field.send(field.signed(user, method, path, query, headers, body, **options))


def as_it_stands(target, method="GET"):
    """That target, unsigned: what a path may lead to before anybody is asked who he is."""
    return lambda field: field.send(field.call("GetObject").without("authorization").but(method=method, target=target))


BUCKETS = [
    "ab",
    "a" * 64,
    "UPPER",
    "under_score",
    "-dash",
    "dash-",
    ".dot",
    "two..dots",
    "192.168.1.1",
    "xn--puny",
    "a-s3alias",
    "bucket name",
    "bucket\n",
    "bück",
    "a%2fb",
    "*",
    "a;b",
    "minio",
    "rustfs",
    "strongroom",
]
# Dots are no path: they are a key's characters, or a bucket's name that is none.
DOTS = [
    ("/../../etc/passwd", refused(404, "NoSuchBucket")),
    ("/..", refused(404, "NoSuchBucket")),
    ("/.", refused(404, "NoSuchBucket")),
    ("/%2e%2e/%2e%2e/etc/passwd", refused(404, "NoSuchBucket")),
    ("/..%2f..%2fetc%2fpasswd", refused(404, "NoSuchBucket")),
    ("//victim/secret", INVALID_NAME),
    ("/victim/../../etc/passwd", refused(404, "NoSuchKey")),
    ("/victim/..%2f..%2fcatalog.db", refused(404, "NoSuchKey")),
    ("/victim/./secret", refused(404, "NoSuchKey")),
    ("/victim//secret", refused(404, "NoSuchKey")),
    ("/victim/secret/", refused(404, "NoSuchKey")),
    ("/victim/secret%00", refused(404, "NoSuchKey")),
    ("/victim/secret%00.txt", refused(404, "NoSuchKey")),
    ("/victim/%ff", refused(400, "InvalidURI")),
    ("/victim/%c0%ae%c0%ae/secret", refused(400, "InvalidURI")),
    ("/victim/%ed%a0%80", refused(400, "InvalidURI")),
]
HIDDEN = [
    "/metrics",
    "/health",
    "/health/",
    "/health/live/",
    "/health/ready/../../victim/secret",
    "/kms/status",
    "/kms/keys",
    "/debug",
    "/.env",
    "/admin",
    "/%6detrics",
]
RESERVED = [
    ("/minio/admin/v3/info", "GET"),
    ("/minio/kms/v1/status", "GET"),
    ("/strongroom/admin/v1/kms/status", "GET"),
    ("/rustfs/admin/v3/kms/keys", "GET"),
    ("/strongroom/anything", "PUT"),
    ("/minio/bucket/key", "DELETE"),
    ("/strongroom/../victim/secret", "GET"),
]


def decoded(field, path):
    """The target of a path that is percent-encoded already; it is signed as the server decodes it."""
    raw = urllib.parse.unquote_to_bytes(path).decode("utf-8", "surrogateescape")
    is_text = not any("\ud800" <= character <= "\udfff" for character in raw)
    return field.send(field.signed("root", "GET", raw if is_text else "/x").but(target=path))


# ---- values that would be lines

LINES = ["a\r\nX-Injected: 1", "a\nX-Injected: 1", "a\rX-Injected: 1", "a\r\n\r\n<html>", "\0"]
RESPONSES = [
    "response-content-type",
    "response-content-disposition",
    "response-cache-control",
    "response-content-language",
    "response-content-encoding",
    "response-expires",
]


class NoLine(Answer):
    """That error, and no header of the attacker's."""

    def check(self, reply):
        super().check(reply)
        assert "x-injected" not in reply.headers and b"X-Injected" not in reply.body.split(b"<Resource>")[0], reply


def injected(name, value):
    return request("GET", f"/{VICTIM}/secret", {name: value})


# ---- characters that XML 1.0 lacks

CONTROLS = ["\x01", "\x0b", "\x1f", "\ufffe", "\uffff"]


class Parses(Answer):
    """A document that a strict parser takes."""

    def check(self, reply):
        super().check(reply)
        parser = xml.parsers.expat.ParserCreate()
        parser.Parse(reply.body, True)


def listed(key, query, escaped=None):
    """A listing of a bucket of its own that holds that key; it is taken away afterwards."""

    def attack(field):
        bucket = field.new_name("controls")
        field.send(field.signed("root", "PUT", f"/{bucket}"))
        put = field.send(field.signed("root", "PUT", f"/{bucket}/a{key}b", body=b"x"))
        reply = field.send(field.signed("root", "GET", f"/{bucket}", query))
        field.send(field.signed("root", "DELETE", f"/{bucket}/a{key}b"))
        field.send(field.signed("root", "DELETE", f"/{bucket}"))
        if put.status == 200 and escaped:
            assert escaped.encode() in reply.body, reply.body
        return reply

    return attack


def hoisted(name, value):
    """A header that a presigned URL has among its parameters."""

    def attack(field):
        target = sigv4.presign(field.root, "PUT", "/mallory/hoisted", {name: value}, host=field.host)
        return field.send(Request("PUT", target, (("host", field.host), ("content-length", "0"))))

    return attack


LISTINGS = [("ListObjects", {}), ("ListObjectsV2", {"list-type": "2"}), ("ListObjectVersions", {"versions": ""})]

ROWS = [
    *(Row(f"A bucket is not named {name[:20]!r}", 0, CLIENT, request("PUT", f"/{name}"), INVALID_NAME) for name in BUCKETS),
    *(Row(f"GET {path} leads nowhere", 0, CLIENT, lambda f, p=path: decoded(f, p), answer) for path, answer in DOTS),
    *(Row(f"GET {path} on the S3 port tells nothing to who has not signed", 0, ANONYMOUS, as_it_stands(path), denied()) for path in HIDDEN),
    *(
        Row(f"{method} {path} tells nothing to who has not signed", 0, ANONYMOUS, as_it_stands(path, method), refused(401, "AccessDenied"))
        for path, method in RESERVED
    ),
    Row(
        "A reserved name that is spelled in percent is no bucket either",
        0,
        ANONYMOUS,
        as_it_stands("/%73trongroom/admin/v1/kms/status"),
        refused(501, "NotImplemented"),
    ),
    Row("A key of 1,025 bytes is refused", 0, CLIENT, request("PUT", "/mallory/" + "k" * 1025, body=b"x"), refused(400, "KeyTooLongError")),
    Row("A key of 513 characters of two bytes is refused", 0, CLIENT, request("PUT", "/mallory/" + "ü" * 513, body=b"x"), refused(400, "KeyTooLongError")),
    *(
        Row(f"{name} with {value!r} makes no header", 0, CLIENT, injected(name, value), NoLine(400, "InvalidArgument"))
        for name in RESPONSES
        for value in LINES[:1]
    ),
    *(
        Row(f"response-content-type with {value!r} makes no header", 0, CLIENT, injected("response-content-type", value), NoLine(400, "InvalidArgument"))
        for value in LINES[1:]
    ),
    *(
        Row(f"A presigned x-amz-meta-a of {value!r} makes no header", 0, CLIENT, hoisted("x-amz-meta-a", value), NoLine(400, "InvalidArgument"))
        for value in LINES
    ),
    Row("A response header is none of an unsigned request", 0, ANONYMOUS, as_it_stands("/victim/secret?response-content-type=text/html"), denied()),
    *(
        Row(f"{name} of a key with {key!r} is a document that parses", 16, CLIENT, listed(key, query), Parses(200))
        for name, query in LISTINGS
        for key in CONTROLS
    ),
    *(
        Row(
            f"{name} with encoding-type=url of a key with {key!r} names it encoded",
            16,
            CLIENT,
            listed(key, query | {"encoding-type": "url"}, f"a{sigv4.quote(key)}b"),
            Parses(200),
        )
        for name, query in LISTINGS
        for key in CONTROLS[:2]
    ),
    Row("A key that is markup is text in a listing", 0, CLIENT, listed("<Key>&x;]]>", {}, "a&lt;Key&gt;&amp;x;"), Parses(200)),
    Row(
        "A prefix that is markup is text in a listing",
        0,
        CLIENT,
        request("GET", "/mallory", {"prefix": "</Prefix><Contents><Key>forged</Key></Contents><Prefix>"}),
        Parses(200),
        (),
    ),
    Row("A prefix with a control character is a document that parses", 16, CLIENT, request("GET", "/mallory", {"prefix": "a\x01b"}), Parses(200), ()),
    Row("A marker with a control character is a document that parses", 16, CLIENT, request("GET", "/mallory", {"marker": "a\x01b"}), Parses(200), ()),
    Row(
        "A refusal that names a key with a control character parses",
        16,
        TENANT,
        request("GET", f"/{VICTIM}/a\x01b", user="mallory"),
        Parses(403, "AccessDenied"),
    ),
    Row("A refusal that names a bucket with a NUL parses", 16, TENANT, request("PUT", "/\0", {"encryption": ""}, user="mallory"), Parses(403, "AccessDenied")),
    Row("A missing key with a control character is an error that parses", 16, CLIENT, request("GET", "/mallory/a\x01b"), Parses(404, "NoSuchKey")),
    *(
        Row(f"max-keys={value} is refused", 0, CLIENT, request("GET", "/mallory", {"max-keys": value}), refused(400, "InvalidArgument"))
        for value in ("-1", "x", "99999999999", "1e3")
    ),
    *(
        Row(f"Range: {value} is passed over or refused, never a wrong byte", 0, CLIENT, request("GET", "/mallory/own", headers={"range": value}), answer)
        for value, answer in [
            ("bytes=99-", refused(416, "InvalidRange")),
            ("bytes=-0", refused(416, "InvalidRange")),
            ("bytes=5-2", ALLOWED),
            ("chars=0-1", ALLOWED),
        ]
    ),
]
