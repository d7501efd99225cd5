"""AWS Signature Version 4 for S3: headers, presigned URLs, browser forms and aws-chunked bodies."""

import base64
import datetime
import hashlib
import hmac
import json
import urllib.parse
from dataclasses import dataclass

REGION = "us-east-1"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class Credentials:
    access_key: str
    secret_key: str

    def signing_key(self, date, region=None, service="s3"):
        key = b"AWS4" + self.secret_key.encode()
        for piece in (date, REGION if region is None else region, service, "aws4_request"):
            key = hmac.digest(key, piece.encode(), "sha256")
        return key


@dataclass(frozen=True)
class Scope:
    """What a signature says that it is for. An empty date is that of the request; without a region it is REGION."""

    region: str | None = None
    service: str = "s3"
    date: str = ""
    ending: str = "aws4_request"

    def text(self, at):
        return f"{self.date or at[:8]}/{self.region_name}/{self.service}/{self.ending}"

    @property
    def region_name(self):
        return REGION if self.region is None else self.region


S3 = Scope()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def quote(text):
    return urllib.parse.quote(text, safe="-_.~")


def quote_path(path):
    return urllib.parse.quote(path, safe="/-_.~")


def _pairs(query):
    return sorted((quote(name), quote(value)) for name, value in (query.items() if isinstance(query, dict) else query))


def query_string(query):
    return "?" + "&".join(f"{name}={value}" for name, value in _pairs(query)) if query else ""


def timestamp(now=None):
    return (now or datetime.datetime.now(datetime.UTC)).strftime("%Y%m%dT%H%M%SZ")


def _signature(credentials, at, method, path, query, headers, payload, scope=S3):
    signed = ";".join(sorted(headers))
    lines = "".join(f"{name}:{' '.join(str(headers[name]).split())}\n" for name in sorted(headers))
    canonical_query = "&".join(f"{name}={value}" for name, value in _pairs(query))
    canonical = "\n".join([method, quote_path(path), canonical_query, lines, signed, payload])
    to_sign = "\n".join(["AWS4-HMAC-SHA256", at, scope.text(at), hashlib.sha256(canonical.encode()).hexdigest()])
    key = credentials.signing_key(scope.date or at[:8], scope.region, scope.service)
    return signed, hmac.new(key, to_sign.encode(), "sha256").hexdigest()


def sign(credentials, method, path, query, headers, payload, now=None, scope=S3, leave_out=()):
    """The headers with `authorization` among them; all of them are signed but content-length, what frames the body, and those left out."""
    headers = dict(headers)
    headers.setdefault("x-amz-date", timestamp(now))
    headers.setdefault("x-amz-content-sha256", payload)
    unsigned = {"content-length", "transfer-encoding", "expect", "connection", *leave_out}
    covered = {name: value for name, value in headers.items() if name not in unsigned}
    at = headers["x-amz-date"]
    signed, signature = _signature(credentials, at, method, path, query, covered, payload, scope)
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope.text(at)}, SignedHeaders={signed}, Signature={signature}"
    return headers


def presign(credentials, method, path, query=(), headers=None, host="", expires_seconds=300, now=None, scope=S3):
    """The target (path and query) of a presigned request; `headers` are signed too and must be sent."""
    at = timestamp(now)
    headers = {name.lower(): value for name, value in (headers or {}).items()} | ({"host": host} if host else {})
    query = dict(query) | {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{credentials.access_key}/{scope.text(at)}",
        "X-Amz-Date": at,
        "X-Amz-Expires": str(expires_seconds),
        "X-Amz-SignedHeaders": ";".join(sorted(headers)),
    }
    _, signature = _signature(credentials, at, method, path, query, headers, "UNSIGNED-PAYLOAD", scope)
    return quote_path(path) + query_string(query) + f"&X-Amz-Signature={signature}"


def post_policy(credentials, conditions, expires, now=None):
    """The fields of a browser form that a policy of these conditions signs; it is good until `expires`."""
    at = timestamp(now)
    credential = f"{credentials.access_key}/{S3.text(at)}"
    fields = {"x-amz-algorithm": "AWS4-HMAC-SHA256", "x-amz-credential": credential, "x-amz-date": at}
    rules = [*conditions, *({name: value} for name, value in fields.items())]
    document = {"expiration": expires.strftime("%Y-%m-%dT%H:%M:%S.000Z"), "conditions": rules}
    policy = base64.b64encode(json.dumps(document).encode()).decode()
    signature = hmac.new(credentials.signing_key(at[:8]), policy.encode(), "sha256").hexdigest()
    return {"policy": policy, **fields, "x-amz-signature": signature}


def chunked_put(credentials, path, body, headers=None, query=(), trailers=None, signed=True, chunk_bytes=65536, host="", spoil=None):
    """The headers and the body of an aws-chunked PUT. `spoil(frames)` may alter the frames before they are joined."""
    kind = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" if signed else "STREAMING-UNSIGNED-PAYLOAD"
    payload = kind + ("-TRAILER" if trailers is not None else "")
    headers = {name.lower(): value for name, value in (headers or {}).items()}
    headers = {"content-encoding": "aws-chunked"} | headers | {"host": host, "x-amz-decoded-content-length": str(len(body))}
    if trailers:
        headers["x-amz-trailer"] = ",".join(trailers)
    headers = sign(credentials, "PUT", path, query, headers, payload)
    frames = Frames(credentials, headers["x-amz-date"], headers["authorization"].rsplit("=", 1)[1], signed)
    pieces = [frames.chunk(body[at : at + chunk_bytes]) for at in range(0, len(body), chunk_bytes)]
    pieces.append(frames.last(trailers))
    if spoil:
        pieces = spoil(pieces)
    wire = b"".join(pieces)
    headers["content-length"] = str(len(wire))
    return headers, wire


class Frames:
    """Frames chunks; each signature covers the one before."""

    def __init__(self, credentials, at, seed, signed=True):
        self.key, self.at, self.previous, self.signed = credentials.signing_key(at[:8]), at, seed, signed

    def _next(self, label, *hashes):
        to_sign = "\n".join([label, self.at, S3.text(self.at), self.previous, *hashes])
        self.previous = hmac.new(self.key, to_sign.encode(), "sha256").hexdigest()
        return self.previous

    def _head(self, data):
        if not self.signed:
            return f"{len(data):x}\r\n".encode()
        signature = self._next("AWS4-HMAC-SHA256-PAYLOAD", EMPTY_SHA256, hashlib.sha256(data).hexdigest())
        return f"{len(data):x};chunk-signature={signature}\r\n".encode()

    def chunk(self, data):
        return self._head(data) + data + b"\r\n"

    def last(self, trailers):
        head = self._head(b"")
        if trailers is None:
            return head + b"\r\n"
        lines = "".join(f"{name}:{value}\r\n" for name, value in trailers.items())
        if self.signed:
            canonical = "".join(f"{name}:{value}\n" for name, value in trailers.items())
            signature = self._next("AWS4-HMAC-SHA256-TRAILER", hashlib.sha256(canonical.encode()).hexdigest())
            lines += f"x-amz-trailer-signature:{signature}\r\n"
        return head + lines.encode() + b"\r\n"
