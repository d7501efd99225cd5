"""Uploads by a browser's form."""

import base64
import datetime
import hashlib
import hmac
import json

from harness import sigv4

BOUNDARY = "----strongroom-form"


def in_an_hour():
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)


def encode(fields, file=b"the file", filename="photo.png", behind=()):
    """The body of a form: a dict or pairs, the file, and fields behind it. No file where it is None."""

    def part(disposition, content):
        return f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + content + b"\r\n"

    def values(fields):
        pairs = fields.items() if isinstance(fields, dict) else fields
        return [part(f'name="{name}"', value if isinstance(value, bytes) else value.encode()) for name, value in pairs]

    files = [] if file is None else [part(f'name="file"; filename="{filename}"\r\nContent-Type: image/png', file)]
    return b"".join([*values(fields), *files, *values(behind), f"--{BOUNDARY}--\r\n".encode()])


def signed(credentials, conditions, fields, expires=None):
    """Fields, and those of the policy that allows what the conditions say."""
    return fields | sigv4.post_policy(credentials, conditions, expires or in_an_hour())


def signed_by_version_two(credentials, conditions, fields, expires=None):
    document = {"expiration": (expires or in_an_hour()).strftime("%Y-%m-%dT%H:%M:%SZ"), "conditions": conditions}
    policy = base64.b64encode(json.dumps(document).encode())
    signature = base64.b64encode(hmac.new(credentials.secret_key.encode(), policy, hashlib.sha1).digest())
    return fields | {"AWSAccessKeyId": credentials.access_key, "policy": policy.decode(), "signature": signature.decode()}


def exactly(bucket, fields):
    """The conditions that allow these fields and no others."""
    return [{"bucket": bucket}, *({name: value} for name, value in fields.items())]


def post(raw, bucket, fields, file=b"the file", path=None, pieces=None, **options):
    """Sends the form as a browser does: without any other signature."""
    body = encode(fields, file, **{name: options.pop(name) for name in ("filename", "behind") if name in options})
    return send(raw, path or f"/{bucket}", body, pieces, **options)


def send(raw, path, body, pieces=None, headers=None, **options):
    headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY}", "content-length": str(len(body))} | (headers or {})
    cut = body if pieces is None else [body[at : at + pieces] for at in range(0, len(body), pieces)]
    return raw.request("POST", path, headers=headers, body=cut, sign=False, **options)
