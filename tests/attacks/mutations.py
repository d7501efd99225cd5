"""Requests of every operation, altered by chance before and after they are signed."""

import base64
import datetime
import random
from dataclasses import dataclass, field, replace

from attacks import calls
from attacks.forms import form
from harness import checksums, sigv2, sigv4
from harness.sse import customer
from harness.wire import Request, signed

# Words that mean something somewhere: in paths, parameters, headers, documents.
TEXTS = [
    "", "a", "..", ".", "/", "//", "%", "%2F", "%00", "%25", "\0", "\x01", "\n", "\r\n", "\t", " ", "+", "&", "=", "?", "#", ";", ":", "*", "'", '"', "<", ">", "<>&", "\\",
    "ü", "日本", "\U0001f600", "\u202e", "\ufeff", "\ufffe", "\u0130", "null", "0", "-1", "1", "10000", "10001", "2147483647", "2147483648", "4294967296", "9223372036854775807",
    "18446744073709551616", "1e9", "0x1", "NaN", "true", "false", "x" * 1024, "x" * 1025, "ü" * 512, "victim/secret", "/victim/secret", "/victim/secret?versionId=null", "victim",
    "arn:aws:s3:::victim/secret", "arn:aws:kms:us-east-1:000000000000:key/victim-key", "victim-key", "strongroom-store", "AES256", "aws:kms", "aws:kms:dsse", "bytes=0-0", "bytes=-1",
    "bytes=5-", "bytes=0-0,2-2", "*", '"*"', "W/\"x\"", "Thu, 01 Jan 1970 00:00:00 GMT", "2020-01-01T00:00:00Z", "20200101T000000Z", "99999999T999999Z", "url", "gzip", "aws-chunked",
    "chunked", "identity", "multipart/form-data; boundary=x", "application/xml", "text/html", "CRC32", "SHA256", "AAAAAA==", "eyJhIjoiYiJ9", "REPLACE", "COPY", "ENABLED", "COMPOSITE",
]  # fmt: skip
PARAMETERS = [
    "acl", "attributes", "continuation-token", "cors", "delete", "delimiter", "encoding-type", "encryption", "fetch-owner", "key-marker", "legal-hold", "lifecycle", "limit", "list-type",
    "location", "marker", "max-keys", "max-parts", "max-uploads", "object-lock", "part-number-marker", "partNumber", "policy", "prefix", "replication", "response-cache-control",
    "response-content-disposition", "response-content-type", "response-expires", "restore", "retention", "select", "start-after", "tagging", "torrent", "upload-id-marker", "uploadId",
    "uploads", "version-id-marker", "versionId", "versioning", "versions", "website", "x-id", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-Signature",
    "X-Amz-SignedHeaders", "X-Amz-Security-Token", "x-amz-copy-source", "x-amz-meta-a", "AWSAccessKeyId", "Signature", "Expires", "key_id", "backend", "name",
]  # fmt: skip
HEADERS = [
    "accept-encoding", "cache-control", "connection", "content-disposition", "content-encoding", "content-language", "content-length", "content-md5", "content-type", "cookie", "date", "expect",
    "expires", "forwarded", "host", "if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "origin", "range", "te", "trailer", "transfer-encoding", "upgrade",
    "x-amz-acl", "x-amz-bypass-governance-retention", "x-amz-checksum-algorithm", "x-amz-checksum-crc32", "x-amz-checksum-crc64nvme", "x-amz-checksum-md5", "x-amz-checksum-mode",
    "x-amz-checksum-sha256", "x-amz-checksum-sha512", "x-amz-checksum-xxhash128", "x-amz-checksum-xxhash3", "x-amz-checksum-xxhash64",
    "x-amz-checksum-type", "x-amz-content-sha256", "x-amz-copy-source", "x-amz-copy-source-if-match", "x-amz-copy-source-if-none-match", "x-amz-copy-source-range",
    "x-amz-copy-source-server-side-encryption-customer-algorithm", "x-amz-copy-source-server-side-encryption-customer-key", "x-amz-copy-source-server-side-encryption-customer-key-md5",
    "x-amz-date", "x-amz-decoded-content-length", "x-amz-expected-bucket-owner", "x-amz-grant-read", "x-amz-if-match-last-modified-time", "x-amz-if-match-size", "x-amz-meta-a", "x-amz-meta-", "x-amz-metadata-directive",
    "x-amz-mp-object-size", "x-amz-object-attributes", "x-amz-object-lock-mode", "x-amz-object-ownership", "x-amz-request-payer", "x-amz-sdk-checksum-algorithm", "x-amz-security-token",
    "x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id", "x-amz-server-side-encryption-bucket-key-enabled", "x-amz-server-side-encryption-context",
    "x-amz-server-side-encryption-customer-algorithm", "x-amz-server-side-encryption-customer-key", "x-amz-server-side-encryption-customer-key-md5", "x-amz-storage-class", "x-amz-tagging",
    "x-amz-trailer", "x-amz-website-redirect-location", "x-amz-write-offset-bytes", "x-forwarded-for", "x-forwarded-proto",
]  # fmt: skip
METHODS = ["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", "OPTIONS", "TRACE", "get", "PUTX"]
PAYLOADS = [
    "UNSIGNED-PAYLOAD",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
    "0" * 64,
    sigv4.EMPTY_SHA256,
    "x",
]
TOKENS = [
    b"",
    b"\0",
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b":",
    b"%",
    b"\xff",
    b"\xc0\xaf",
    b"<",
    b"</",
    b"<![CDATA[",
    b"<!DOCTYPE a>",
    b"&#0;",
    b"&a;",
    b"<a>" * 50,
    b"{" * 200,
]
TOKENS += [
    b"[" * 200,
    b"0\r\n\r\n",
    b"ffffffffffffffff\r\n",
    b"5;chunk-signature=",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 0\r\n",
    b"x" * 5000,
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
]
ADMIN_PREFIXES = ["/kms", "/strongroom/admin/v1/kms", "/rustfs/admin/v3/kms"]
ADMIN_CALLS = [
    ("GET", "/status", b""),
    ("GET", "/keys", b""),
    ("GET", "/keys/fuzz-key", b""),
    ("GET", "/keys/in-use", b""),
    ("GET", "/inventory", b""),
    ("GET", "/openapi.json", b""),
    ("GET", "/receipts", b""),
    ("POST", "/keys", b'{"name": "fuzz-key", "Tags": {"a": "b"}}'),
    ("POST", "/keys/tag", b'{"key_id": "fuzz-key", "tags": {"a": "b"}}'),
    ("POST", "/keys/rotate", b'{"key_id": "fuzz-key"}'),
    ("POST", "/keys/disable", b'{"key_id": "victim-key"}'),
    ("DELETE", "/keys/delete", b'{"key_id": "victim-key", "pending_window_in_days": 7}'),
    ("POST", "/generate-data-key", b'{"key_id": "fuzz-key", "key_spec": "AES_256", "encryption_context": {"a": "b"}}'),
    ("POST", "/decrypt", b'{"ciphertext_blob": "U1JESwE="}'),
    ("POST", "/rekey", b'{"bucket": "victim", "to_key": "fuzz-key", "dry_run": true}'),
    ("POST", "/restore", b'{"bundle": "AAAA", "passphrase": "a long passphrase", "dry_run": true}'),
    ("POST", "/reconfigure", b'{"backend_type": "vault", "address": "https://127.0.0.1:1"}'),
]


@dataclass(frozen=True)
class Draft:
    """A request before it is signed."""

    method: str
    path: str
    query: tuple = ()
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    payload: str | None = None
    options: dict = field(default_factory=dict)
    shape: str = "header"  # how it is signed: header, presigned, version-two, chunked, form
    admin: bool = False


@dataclass(frozen=True)
class Attempt:
    """What is sent. `broken`: its head or its framing may be none, so it may be answered by closing. `forged`: it must not succeed."""

    request: Request
    data: bytes
    admin: bool
    broken: bool
    forged: bool


class Mutator:
    """Makes the attempts of one seed; the same number makes the same one, but for its date."""

    def __init__(self, credentials, hosts, bucket, upload, etag):
        self.credentials, self.hosts = credentials, hosts  # the host as the S3 port and as the admin port has it
        self.drafts = [self._draft(call) for call in calls.all_calls(bucket, upload, etag, f"{bucket}-new")]
        self.drafts += [
            self._draft(call) for call in calls.all_calls(bucket, upload, etag, f"{bucket}-new", "victim/secret") if "x-amz-copy-source" in call.headers
        ]
        put = next(draft for draft in self.drafts if draft.method == "PUT" and draft.body)
        self.drafts += [replace(draft, shape="presigned") for draft in self.drafts[:29]]
        self.drafts += [replace(draft, shape="version-two") for draft in self.drafts if draft.shape == "header" and draft.method in ("GET", "HEAD")]
        self.drafts += [
            replace(put, headers=headers)
            for headers in (customer(), {"x-amz-server-side-encryption": "aws:kms"}, {"x-amz-checksum-crc32": checksums.value("CRC32", put.body)})
        ]
        self.drafts += [
            replace(put, shape=shape, body=body) for shape in ("chunked", "chunked-unsigned", "chunked-trailer") for body in (put.body, bytes(20_000))
        ]
        self.drafts += [replace(put, method="POST", path=f"/{bucket}", shape="form")] * 2
        self.drafts += [Draft(method, prefix + path, body=body, admin=prefix == "/kms") for prefix in ADMIN_PREFIXES for method, path, body in ADMIN_CALLS]

    @staticmethod
    def _draft(call):
        return Draft(call.method, call.path, tuple(call.query.items()), dict(call.headers), call.body)

    def attempt(self, chance):
        draft = chance.choice(self.drafts)
        for _ in range(chance.choice((0, 0, 1, 1, 1, 2, 3))):
            draft = chance.choice(BEFORE)(chance, draft)
        request = self._sign(chance, draft)
        after = chance.random()
        if after < 0.55:
            return Attempt(request, request.encode(), draft.admin, has_odd_bytes(request), False)
        if after < 0.7 and draft.shape == "header":
            altered = chance.choice(FORGERIES)(chance, request)
            return Attempt(altered, altered.encode(), draft.admin, has_odd_bytes(altered), altered != request)
        if after < 0.85:
            for _ in range(chance.randint(1, 2)):
                request = chance.choice(AFTER)(chance, request)
            return Attempt(request, request.encode(), draft.admin, True, False)
        data = request.encode()
        for _ in range(chance.randint(1, 3)):
            data = spoilt(chance, data)
        return Attempt(request, data, draft.admin, True, False)

    def _sign(self, chance, draft):
        host = self.hosts[draft.admin]
        try:
            return SHAPES[draft.shape](self, chance, draft, host)
        except (UnicodeError, ValueError):
            return self._by_header(chance, replace(draft, path="/fuzz", query=(), headers={}), host)

    def _by_header(self, _, draft, host):
        return signed(self.credentials, host, draft.method, draft.path, draft.query, draft.headers, draft.body, draft.payload, **draft.options)

    def _presigned(self, chance, draft, host):
        expires = chance.choice((1, 60, 604800, 604801, 0, -1))
        target = sigv4.presign(self.credentials, draft.method, draft.path, draft.query, draft.headers, host, expires)
        lines = {"host": host} | {name.lower(): value for name, value in draft.headers.items()}
        return Request(draft.method, target, tuple(lines.items()), draft.body).having("content-length", str(len(draft.body)))

    def _version_two(self, chance, draft, host):
        expires = sigv2.in_seconds(chance.choice((60, 60, 604800, 700000, 0, -1)))
        target = sigv2.presign(self.credentials, draft.method, draft.path, draft.query, draft.headers, expires=expires)
        lines = {"host": host} | {name.lower(): value for name, value in draft.headers.items()}
        return Request(draft.method, target, tuple(lines.items()), draft.body).having("content-length", str(len(draft.body)))

    def _chunked(self, chance, draft, host):
        trailers = {"x-amz-checksum-crc32": checksums.value("CRC32", draft.body)} if "trailer" in draft.shape or "unsigned" in draft.shape else None
        spoil = (lambda frames: spoilt_frames(chance, frames)) if chance.random() < 0.5 else None
        is_signed, size = "unsigned" not in draft.shape, chance.choice((8192, 8193, 65536))
        headers, wire = sigv4.chunked_put(self.credentials, draft.path, draft.body, draft.headers, draft.query, trailers, is_signed, size, host, spoil)
        return Request(draft.method, sigv4.quote_path(draft.path) + sigv4.query_string(draft.query), tuple(headers.items()), wire)

    def _form(self, chance, draft, host):
        expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=chance.choice((1, -1, 24 * 365)))
        conditions = [{"bucket": "fuzz"}, ["starts-with", "$key", ""], ["content-length-range", 0, chance.choice((10, 1 << 20))]]
        body = form({"key": chance.choice(TEXTS) or "k", **sigv4.post_policy(self.credentials, conditions, expires)}, draft.body)
        headers = {"host": host, "content-type": "multipart/form-data; boundary=----strongroom-attack", "content-length": str(len(body))}
        if chance.random() < 0.5:
            headers["authorization"] = "x"
        path = chance.choice((draft.path, "/kms/keys/disable?key_id=victim-key", "/strongroom/admin/v1/kms/seal", "/victim"))
        return Request("POST", sigv4.quote_path(path).replace("%3F", "?").replace("%3D", "="), tuple(headers.items()), body)


SHAPES = {
    "header": Mutator._by_header,
    "presigned": Mutator._presigned,
    "version-two": Mutator._version_two,
    "chunked": Mutator._chunked,
    "chunked-unsigned": Mutator._chunked,
    "chunked-trailer": Mutator._chunked,
    "form": Mutator._form,
}


def has_odd_bytes(request):
    """Whether a value can end its line, or its request: then it may be no request at all."""
    head = request.head()
    framing = [value for name, value in request.headers if name in ("content-length", "transfer-encoding", "expect", "connection", "upgrade", "te", "host")]
    lengths = [str(value) for name, value in request.headers if name == "content-length"]
    odd = any(byte in head for byte in (b"\0", b"\t")) or head.count(b"\n") != len(request.headers) + 2 or head.count(b"\r") != len(request.headers) + 2
    return odd or len(framing) > 2 or lengths not in ([], [str(len(request.body))]) or len(head) > 30_000 or request.method not in METHODS[:5]


# ---- before the signature


def other_method(chance, draft):
    return replace(draft, method=chance.choice(METHODS))


def other_path(chance, draft):
    text = chance.choice(TEXTS)
    at = chance.randint(1, len(draft.path))
    return replace(
        draft, path=chance.choice((draft.path + text, draft.path[:at] + text + draft.path[at:], draft.path[:at], draft.path.rsplit("/", 1)[0] + "/" + text))
    )


def more_query(chance, draft):
    return replace(draft, query=(*draft.query, (chance.choice(PARAMETERS), chance.choice(TEXTS))))


def other_query(chance, draft):
    if not draft.query:
        return more_query(chance, draft)
    at = chance.randrange(len(draft.query))
    name = draft.query[at][0]
    pairs = chance.choice(([], [(name, chance.choice(TEXTS))], [draft.query[at], (name, chance.choice(TEXTS))], [(name + "x", "")]))
    return replace(draft, query=(*draft.query[:at], *pairs, *draft.query[at + 1 :]))


def more_headers(chance, draft):
    return replace(draft, headers=draft.headers | {chance.choice(HEADERS): chance.choice(TEXTS)})


def other_header(chance, draft):
    if not draft.headers:
        return more_headers(chance, draft)
    name = chance.choice(sorted(draft.headers))
    value = draft.headers[name]
    others = (chance.choice(TEXTS), value + chance.choice(TEXTS), value[: len(value) // 2], value[::-1], base64.b64encode(value.encode()).decode())
    return replace(draft, headers=draft.headers | {name: chance.choice(others)})


def other_body(chance, draft):
    body = draft.body
    for _ in range(chance.randint(1, 3)):
        body = spoilt(chance, body)
    return replace(draft, body=body[: 1 << 18])


def other_payload(chance, draft):
    return replace(draft, payload=chance.choice(PAYLOADS))


def other_scope(chance, draft):
    scope = sigv4.Scope(
        chance.choice(("us-east-1", "eu-1", "", "US")),
        chance.choice(("s3", "sts", "")),
        chance.choice(("", "20200101", "x")),
        chance.choice(("aws4_request", "")),
    )
    return replace(draft, options=draft.options | {"scope": scope})


def other_time(chance, draft):
    shift = datetime.timedelta(minutes=chance.choice((-10_000, -16, -14, 14, 16, 10_000)))
    return replace(draft, options=draft.options | {"now": datetime.datetime.now(datetime.UTC) + shift})


def fewer_signed(chance, draft):
    return replace(draft, options=draft.options | {"leave_out": (chance.choice(("host", "x-amz-date", "x-amz-content-sha256", *draft.headers)),)})


BEFORE = [other_method, other_path, other_path, more_query, more_query, other_query, other_query, more_headers, more_headers, other_header, other_header]
BEFORE += [other_body, other_body, other_body, other_payload, other_scope, other_time, fewer_signed]


# ---- after the signature, and never to be believed


def forged_signature(chance, request):
    value = request.value("authorization")
    digit = chance.randrange(1, 64)
    other = chance.choice("0123456789abcdef")
    return request.having("authorization", value[:-digit] + other + value[len(value) - digit + 1 :])


def forged_path(chance, request):
    path, mark, query = request.target.partition("?")
    return request.but(target=f"{path}{chance.choice(('x', '/x', '%41'))}{mark}{query}")


def forged_query(chance, request):
    return request.with_query(chance.choice(("a=b", "acl=", "prefix=home/me/", "versionId=null", "key_id=victim-key")))


def forged_method(chance, request):
    return request.but(method=chance.choice([method for method in METHODS[:4] if method != request.method]))


def forged_date(_, request):
    return request.having("x-amz-date", "20200101T000000Z")


def forged_body(chance, request):
    # Whoever takes no body does not look at it.
    takes_none = request.method not in ("PUT", "POST") or "uploads" in request.target or any(name == "x-amz-copy-source" for name, _ in request.headers)
    if takes_none or not request.body or len(str(request.value("x-amz-content-sha256"))) != 64:
        return forged_signature(chance, request)
    at = chance.randrange(len(request.body))
    return request.but(body=request.body[:at] + bytes([request.body[at] ^ (1 << chance.randrange(8))]) + request.body[at + 1 :])


FORGERIES = [forged_signature, forged_path, forged_query, forged_method, forged_date, forged_body]


# ---- after the signature, with whatever comes of it


def header_more(chance, request):
    return request.adding(chance.choice(HEADERS), chance.choice(TEXTS))


def header_twice(chance, request):
    name, value = chance.choice(request.headers)
    return request.adding(name, chance.choice((value, chance.choice(TEXTS))))


def header_less(chance, request):
    return request.without(chance.choice(request.headers)[0]) if request.headers else request


def headers_shuffled(chance, request):
    return request.but(headers=tuple(chance.sample(request.headers, len(request.headers))))


def header_in_capitals(chance, request):
    at = chance.randrange(len(request.headers)) if request.headers else 0
    return request.but(headers=tuple((name.upper() if place == at else name, value) for place, (name, value) in enumerate(request.headers)))


def framed_otherwise(chance, request):
    request = request.without(*chance.choice(((), ("content-length",))))
    name, value = chance.choice(
        (
            ("content-length", str(len(request.body) + chance.choice((-1, 1, 1000)))),
            ("transfer-encoding", "chunked"),
            ("transfer-encoding", "gzip, chunked"),
            ("expect", "100-continue"),
        )
    )
    return request.adding(name, value)


def body_otherwise(chance, request):
    return request.but(body=spoilt(chance, request.body))


def target_otherwise(chance, request):
    return request.but(target=spoilt(chance, request.target.encode()).decode("latin-1"))


AFTER = [
    header_more,
    header_more,
    header_twice,
    header_twice,
    header_less,
    headers_shuffled,
    header_in_capitals,
    framed_otherwise,
    framed_otherwise,
    body_otherwise,
    target_otherwise,
]


def spoilt(chance, data):
    """Bytes flipped, taken out, put in, repeated or cut off."""
    at = chance.randrange(len(data) + 1)
    to = min(len(data), at + chance.choice((1, 2, 10, 100)))
    kind = chance.randrange(6)
    if kind == 0 and at < len(data):
        return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]
    if kind == 1:
        return data[:at] + data[to:]
    if kind == 2:
        return data[:at] + data[at:to] * 3 + data[to:]
    if kind == 3:
        return data[:at]
    return data[:at] + chance.choice(TOKENS) + data[at:]


def spoilt_frames(chance, frames):
    """Chunks exchanged, dropped, repeated, or spoilt."""
    at = chance.randrange(len(frames))
    kind = chance.randrange(4)
    if kind == 0:
        return chance.sample(frames, len(frames))
    if kind == 1:
        return frames[:at] + frames[at + 1 :]
    if kind == 2:
        return [*frames[: at + 1], frames[at], *frames[at + 1 :]]
    return [*frames[:at], spoilt(chance, frames[at]), *frames[at + 1 :]]


def chance_of(seed, number):
    return random.Random(f"{seed}/{number}")
