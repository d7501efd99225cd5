"""An S3 client that sends exactly the headers it is told and hands back exactly what came."""

import hashlib
import http.client
import json
import re
import ssl
import xml.etree.ElementTree as ET
from dataclasses import dataclass

from harness import sigv4

TIMEOUT_SECONDS = 60


@dataclass
class Reply:
    """An answer. `complete` is false where the connection ended before the declared length."""

    status: int
    headers: dict
    body: bytes
    complete: bool = True

    @property
    def code(self):
        """`<Code>` of S3's error XML, or `code` of the admin API's JSON; none where the body is neither."""
        return self._of_error("Code")

    @property
    def message(self):
        return self._of_error("Message")

    def _of_error(self, name):
        if self.headers.get("content-type") == "application/json" and self.status >= 400:
            return json.loads(self.body).get(name.lower())
        if b"<Error>" not in self.body:
            return None
        return self.xml().findtext(f".//{name}") if b"<ErrorResponse" in self.body else self.xml().findtext(name)

    def xml(self):
        """The body without XML namespaces."""
        return ET.fromstring(re.sub(rb'\sxmlns="[^"]*"', b"", self.body, count=1))

    def ok(self, status=200):
        """This reply, if it has that status."""
        assert self.status == status, f"{self.status} {self.code}: {self.message or self.body[:300]!r}"
        return self

    def fails(self, status, code):
        """This reply, if it is that error."""
        assert (self.status, self.code) == (status, code), f"expected {status} {code}, got {self.status} {self.code}: {self.message or self.body[:300]!r}"
        return self

    @property
    def etag(self):
        return self.headers["etag"].strip('"')


class RawClient:
    """Signs and sends; a connection for each request."""

    def __init__(self, port, ca, access_key, secret_key):
        self.port, self.ca = port, ca
        self.credentials = sigv4.Credentials(access_key, secret_key)
        self._context = ssl.create_default_context(cafile=str(ca))

    def request(self, method, path, query=(), headers=None, body=b"", *, tls=True, sign=True, payload=None, host=None, timeout=TIMEOUT_SECONDS):
        """`path` is unquoted ("/bucket/key"); `query` is a dict or pairs; `payload` replaces the body's SHA-256 in the signature."""
        target = sigv4.quote_path(path) + sigv4.query_string(query)
        headers = {name.lower(): value for name, value in (headers or {}).items()}
        headers["host"] = host or f"127.0.0.1:{self.port}"
        if isinstance(body, bytes):
            if body or method in ("PUT", "POST"):
                headers.setdefault("content-length", str(len(body)))
            payload = payload or hashlib.sha256(body).hexdigest()
        if sign:
            headers = sigv4.sign(self.credentials, method, path, query, headers, payload or "UNSIGNED-PAYLOAD")
        return self.send(method, target, headers, body, tls=tls, timeout=timeout)

    def send(self, method, target, headers, body=b"", *, tls=True, timeout=TIMEOUT_SECONDS):
        """Sends as it stands."""
        connection = self.connect(tls, timeout)
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value if isinstance(value, bytes) else value.encode())
            connection.endheaders()
            try:
                for piece in [body] if isinstance(body, bytes) else body:
                    if piece:
                        connection.send(piece)
            except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
                pass  # the server answered without reading all: its answer is what counts
            return receive(connection)
        finally:
            connection.close()

    def connect(self, tls=True, timeout=TIMEOUT_SECONDS):
        if tls:
            return http.client.HTTPSConnection("127.0.0.1", self.port, context=self._context, timeout=timeout)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    # ---- S3's verbs

    def put(self, bucket, key, body=b"", headers=None, **options):
        return self.request("PUT", f"/{bucket}/{key}", headers=headers, body=body, **options)

    def get(self, bucket, key, headers=None, query=(), **options):
        return self.request("GET", f"/{bucket}/{key}", query=query, headers=headers, **options)

    def head(self, bucket, key, headers=None, query=(), **options):
        return self.request("HEAD", f"/{bucket}/{key}", query=query, headers=headers, **options)

    def delete(self, bucket, key, headers=None, query=(), **options):
        return self.request("DELETE", f"/{bucket}/{key}", query=query, headers=headers, **options)

    def copy(self, source, bucket, key, headers=None, **options):
        """`source` is "bucket/key"."""
        headers = {"x-amz-copy-source": sigv4.quote_path("/" + source)} | (headers or {})
        return self.request("PUT", f"/{bucket}/{key}", headers=headers, **options)

    def attributes(self, bucket, key, headers=None, names="ETag,Checksum,ObjectParts,StorageClass,ObjectSize", **options):
        return self.request("GET", f"/{bucket}/{key}", query={"attributes": ""}, headers={"x-amz-object-attributes": names} | (headers or {}), **options)

    def create_upload(self, bucket, key, headers=None, **options):
        return self.request("POST", f"/{bucket}/{key}", query={"uploads": ""}, headers=headers, **options)

    def begin_upload(self, bucket, key, headers=None):
        """The id of a new upload."""
        return self.create_upload(bucket, key, headers).ok().xml().findtext("UploadId")

    def upload_part(self, bucket, key, upload, number, body=b"", headers=None, **options):
        return self.request("PUT", f"/{bucket}/{key}", query={"partNumber": str(number), "uploadId": upload}, headers=headers, body=body, **options)

    def upload_part_copy(self, source, bucket, key, upload, number, headers=None, **options):
        headers = {"x-amz-copy-source": sigv4.quote_path("/" + source)} | (headers or {})
        return self.request("PUT", f"/{bucket}/{key}", query={"partNumber": str(number), "uploadId": upload}, headers=headers, **options)

    def complete(self, bucket, key, upload, etags, headers=None, **options):
        """`etags`: {number: etag}, or XML as it is to be sent."""
        body = etags if isinstance(etags, bytes) else complete_xml(etags)
        return self.request("POST", f"/{bucket}/{key}", query={"uploadId": upload}, headers=headers, body=body, **options)

    def put_multipart(self, bucket, key, parts, headers=None, part_headers=None):
        """A whole multipart upload; `part_headers` go with the parts and the completion."""
        upload = self.begin_upload(bucket, key, headers)
        etags = {number: self.upload_part(bucket, key, upload, number, part, part_headers).ok().etag for number, part in enumerate(parts, 1)}
        return self.complete(bucket, key, upload, etags, part_headers).ok()


def complete_xml(etags):
    rows = "".join(f'<Part><PartNumber>{number}</PartNumber><ETag>"{etag}"</ETag></Part>' for number, etag in etags.items())
    return f'<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{rows}</CompleteMultipartUpload>'.encode()


def receive(connection):
    """Reads an answer to its end, or to where the connection was cut."""
    reply = connection.getresponse()
    headers = {name.lower(): value for name, value in reply.getheaders()}
    body, complete = bytearray(), True
    try:
        while piece := reply.read(1 << 16):
            body += piece
        declared = headers.get("content-length")
        complete = reply.length in (0, None) or reply._method == "HEAD"
        if declared is not None and reply._method != "HEAD" and reply.status not in (204, 304):
            complete = len(body) == int(declared)
    except http.client.IncompleteRead as cut:
        body += cut.partial
        complete = False
    except (ConnectionError, ssl.SSLError, http.client.HTTPException):
        complete = False
    return Reply(reply.status, headers, bytes(body), complete)
