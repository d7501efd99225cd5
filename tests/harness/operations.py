"""The operations that take encryption headers, each as one function, so that a row of the error table runs through all of them."""

from dataclasses import dataclass

from harness.raw import RawClient
from harness.sse import COPY_SOURCE_CUSTOMER, CUSTOMER, SSE_C, customer

BODY = b"the body of an object " * 10


@dataclass
class Stage:
    """A bucket with what the operations work on: the objects `sse-c`, `sse-s3`, `sse-kms`, `dsse` and uploads likewise."""

    raw: RawClient
    bucket: str

    def prepare(self, mode):
        """An object of that mode; its name."""
        name = f"object-{mode.name.lower()}"
        self.raw.put(self.bucket, name, BODY, mode.write).ok()
        return name

    def upload(self, mode):
        return self.raw.begin_upload(self.bucket, "upload", mode.write)


# Every function sends `headers` to one operation. `mode` is that of the object or the upload it works on.


def put(stage, headers, mode=None, **options):
    return stage.raw.put(stage.bucket, "new", BODY, headers, **options)


def get(stage, headers, mode=SSE_C, **options):
    return stage.raw.get(stage.bucket, stage.prepare(mode), headers, **options)


def head(stage, headers, mode=SSE_C, **options):
    return stage.raw.head(stage.bucket, stage.prepare(mode), headers, **options)


def attributes(stage, headers, mode=SSE_C, **options):
    return stage.raw.attributes(stage.bucket, stage.prepare(mode), headers, **options)


def copy_source(stage, headers, mode=SSE_C, **options):
    return stage.raw.copy(f"{stage.bucket}/{stage.prepare(mode)}", stage.bucket, "new", as_source(headers), **options)


def copy_target(stage, headers, mode=None, **options):
    stage.raw.put(stage.bucket, "source", BODY).ok()
    return stage.raw.copy(f"{stage.bucket}/source", stage.bucket, "new", headers, **options)


def create_upload(stage, headers, mode=None, **options):
    return stage.raw.create_upload(stage.bucket, "new", headers, **options)


def upload_part(stage, headers, mode=SSE_C, **options):
    return stage.raw.upload_part(stage.bucket, "upload", stage.upload(mode), 1, BODY, headers, **options)


def part_copy_target(stage, headers, mode=SSE_C, **options):
    stage.raw.put(stage.bucket, "source", BODY).ok()
    return stage.raw.upload_part_copy(f"{stage.bucket}/source", stage.bucket, "upload", stage.upload(mode), 1, headers, **options)


def part_copy_source(stage, headers, mode=SSE_C, **options):
    """From an object of that mode into an upload under a customer's key of its own."""
    source = stage.prepare(mode)
    headers = as_source(headers) | (customer() if options.get("tls", True) else {})
    return stage.raw.upload_part_copy(f"{stage.bucket}/{source}", stage.bucket, "upload", stage.upload(SSE_C), 1, headers, **options)


def complete(stage, headers, mode=SSE_C, **options):
    upload = stage.upload(mode)
    etag = stage.raw.upload_part(stage.bucket, "upload", upload, 1, BODY, mode.read).ok().etag
    return stage.raw.complete(stage.bucket, "upload", upload, {1: etag}, headers, **options)


def as_source(headers):
    """SSE-C headers turned into those of a copy's source."""
    return {name.replace(CUSTOMER, COPY_SOURCE_CUSTOMER): value for name, value in headers.items()}


READS = [get, head, attributes, copy_source, part_copy_source]
WRITES = [put, copy_target, create_upload]
PARTS = [upload_part, part_copy_target, complete]
ALL = [*WRITES, *PARTS, *READS]


def refused(operation, reply, status, code, says=()):
    """Checks the exact error; a HEAD has the status alone."""
    if operation is head:
        assert (reply.status, reply.body) == (status, b"")
        return
    reply.fails(status, code)
    for words in [says] if isinstance(says, str) else says:
        assert words in reply.message, f"{words!r} is not in {reply.message!r}"
