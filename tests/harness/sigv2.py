"""Presigned URLs of AWS Signature Version 2."""

import base64
import hmac
import time

from harness.sigv4 import quote, quote_path

SIGNED = (
    "accelerate acl analytics cors delete inventory lifecycle location logging metrics notification object-lock partNumber policy replication requestPayment"
    " response-cache-control response-content-disposition response-content-encoding response-content-language response-content-type response-expires restore"
    " select select-type tagging torrent uploadId uploads versionId versioning versions website"
).split()


def in_seconds(count):
    return int(time.time()) + count


def signature(credentials, text):
    return base64.b64encode(hmac.digest(credentials.secret_key.encode(), text.encode(), "sha1")).decode()


def presign(credentials, method, path, query=(), headers=None, bucket="", expires=None):
    """The target of a presigned request. `headers` are signed too and must be sent; `bucket` is the one that the host names."""
    expires = in_seconds(300) if expires is None else expires
    headers = {name.lower(): str(value).strip() for name, value in (headers or {}).items()}
    query = dict(query)
    signed = "&".join(f"{name}={query[name]}" if query[name] else name for name in sorted(query) if name in SIGNED)
    resource = (f"/{bucket}" if bucket else "") + quote_path(path) + (f"?{signed}" if signed else "")
    amz = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers) if name.startswith("x-amz-"))
    text = f"{method}\n{headers.get('content-md5', '')}\n{headers.get('content-type', '')}\n{expires}\n{amz}{resource}"
    own = {"AWSAccessKeyId": credentials.access_key, "Signature": signature(credentials, text), "Expires": expires}
    pieces = [quote(name) + (f"={quote(value)}" if value else "") for name, value in query.items()]
    return quote_path(path) + "?" + "&".join(pieces + [f"{name}={quote(str(value))}" for name, value in own.items()])
