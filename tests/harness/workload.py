"""Writers that remember what was acknowledged, so that a crash in their midst can be judged.

Each writer has keys of its own and does one thing at a time; so after a crash a key holds what was acknowledged last, or else
what the one unacknowledged request would have left, and nothing in between.
"""

import hashlib
import random
import threading
from dataclasses import dataclass, field

from harness.sse import DSSE, OTHER_KEY, SSE_C, SSE_KMS, SSE_S3, customer_mode

PART_BYTES = 5 << 20
MODES = [SSE_S3, SSE_KMS, DSSE, SSE_C, customer_mode(OTHER_KEY, "SSE-C, other key")]
ONE_LAYER = [mode for mode in MODES if mode is not DSSE]


@dataclass(frozen=True)
class Content:
    """Bytes that follow from a token; `parts` are their lengths."""

    token: str
    parts: tuple
    mode: object

    def piece(self, index):
        return hashlib.shake_128(f"{self.token}/{index}".encode()).digest(self.parts[index])

    def body(self):
        return b"".join(self.piece(index) for index in range(len(self.parts)))

    def under(self, mode):
        return Content(self.token, self.parts, mode)


ABSENT = None


@dataclass
class Upload:
    """A multipart upload: its acknowledged parts, and whether its completion was sent."""

    key: str
    upload_id: str
    content: Content
    etags: dict = field(default_factory=dict)
    completing: bool = False
    copied: bool = False  # its part is a copy of another object


class Writer(threading.Thread):
    """Writes until its server dies."""

    def __init__(self, state, client, bucket):
        super().__init__(daemon=True)
        self.state, self.client, self.bucket = state, client, bucket
        self.unexpected = None

    def run(self):
        try:
            while True:
                self.state.step(self.client, self.bucket)
        except OSError:
            pass  # the server was killed
        except Exception as error:  # noqa: BLE001 — handed to the test
            self.unexpected = error


class State:
    """What one writer knows of its keys."""

    def __init__(self, name, seed):
        self.random = random.Random(seed)
        self.keys = [f"{name}/key-{number}" for number in range(8)]
        self.known = {key: ABSENT for key in self.keys}  # acknowledged
        self.pending = {}  # the request under way: {key: what it would leave}
        self.uploads = []  # begun, not known to have ended
        self.count = 0
        self.acknowledged = 0

    def step(self, client, bucket):
        kind = self.random.choices([self.put_small, self.put_large, self.multipart, self.gather, self.copy, self.rotate, self.delete], [30, 25, 10, 15, 15, 8, 12])[0]
        kind(client, bucket, self.random.choice(self.keys))
        self.acknowledged += 1

    def content(self, *lengths):
        self.count += 1
        return Content(f"{self.keys[0]}#{self.count}", lengths, self.random.choice(MODES))

    def write(self, key, content, send):
        """Sends a request that leaves `content` at `key`."""
        self.pending = {key: content}
        acknowledged(send())
        self.known[key], self.pending = content, {}

    def put_small(self, client, bucket, key):
        content = self.content(self.random.randrange(2000))
        self.write(key, content, lambda: client.put(bucket, key, content.body(), content.mode.write))

    def put_large(self, client, bucket, key):
        content = self.content(self.random.randrange(100_000, 1_000_000))
        self.write(key, content, lambda: client.put(bucket, key, content.body(), content.mode.write))

    def delete(self, client, bucket, key):
        self.write(key, ABSENT, lambda: client.delete(bucket, key))

    def copy(self, client, bucket, key):
        source = self.random.choice(self.keys)
        content = self.known[source]
        if content is not ABSENT and source != key:
            target = content.under(self.random.choice(MODES))
            self.write(key, target, lambda: client.copy(f"{bucket}/{source}", bucket, key, target.mode.write | content.mode.source))

    def rotate(self, client, bucket, key):
        content = self.known[key]
        if content is not ABSENT:
            target = content.under(self.random.choice([mode for mode in ONE_LAYER if mode is not content.mode]))
            self.write(key, target, lambda: client.copy(f"{bucket}/{key}", bucket, key, target.mode.write | content.mode.source))

    def multipart(self, client, bucket, key):
        lengths = self.random.choice([(70_000,), (PART_BYTES, 1000), (10,)])
        upload = self.begin(client, bucket, key, self.content(*lengths))
        for number in range(1, len(lengths) + 1):
            reply = client.upload_part(bucket, key, upload.upload_id, number, upload.content.piece(number - 1), upload.content.mode.read)
            upload.etags[number] = acknowledged(reply).etag
        if self.random.random() < 0.7:  # the others are left unfinished
            upload.completing = True
            self.write(key, upload.content, lambda: client.complete(bucket, key, upload.upload_id, upload.etags, upload.content.mode.read))
            self.uploads.remove(upload)

    def gather(self, client, bucket, key):
        """An upload whose only part is a copy of another object; most share its blob."""
        source = self.random.choice(self.keys)
        content = self.known[source]
        if content is ABSENT or source == key or len(content.parts) != 1:
            return
        upload = self.begin(client, bucket, key, content.under(self.random.choice(MODES)))
        upload.copied = True
        headers = upload.content.mode.read | content.mode.source
        reply = acknowledged(client.upload_part_copy(f"{bucket}/{source}", bucket, key, upload.upload_id, 1, headers))
        upload.etags[1] = reply.xml().findtext("ETag").strip('"')
        if self.random.random() < 0.7:  # the others are left unfinished, and keep the blob when its source has gone
            upload.completing = True
            self.write(key, upload.content, lambda: client.complete(bucket, key, upload.upload_id, upload.etags, upload.content.mode.read))
            self.uploads.remove(upload)

    def begin(self, client, bucket, key, content):
        reply = acknowledged(client.create_upload(bucket, key, content.mode.write))
        upload = Upload(key, reply.xml().findtext("UploadId"), content)
        self.uploads.append(upload)
        return upload

    # ---- after a crash

    def verify(self, client, bucket):
        """Compares the server with what is known, and takes over which of the two outcomes the unacknowledged request had."""
        for key in self.keys:
            outcomes = [self.known[key]] + ([self.pending[key]] if key in self.pending else [])
            seen = [content for content in outcomes if holds(client, bucket, key, content)]
            assert seen, f"{key} holds none of {outcomes}"
            self.known[key] = seen[-1]
        self.pending = {}
        for upload in list(self.uploads):
            self.verify_upload(client, bucket, upload)

    def verify_upload(self, client, bucket, upload):
        """An unfinished upload is there with every acknowledged part; one whose completion was sent may have ended."""
        listed = client.request("GET", f"/{bucket}/{upload.key}", query={"uploadId": upload.upload_id})
        if upload.completing and listed.status == 404:
            assert self.known[upload.key] == upload.content, f"{upload.key}: neither the upload nor the object is there"
            self.uploads.remove(upload)
            return
        # What is a copy may be there as another copy too.
        assert upload.copied or self.known[upload.key] != upload.content, f"{upload.key}: both the upload and its object are there"
        parts = {int(part.findtext("PartNumber")): part.findtext("ETag").strip('"') for part in listed.ok().xml().iter("Part")}
        assert {number: parts.get(number) for number in upload.etags} == upload.etags
        upload.completing = False

    def finish_uploads(self, client, bucket):
        """Ends every unfinished upload that has all its parts, and reads what came of it."""
        for upload in list(self.uploads):
            if len(upload.etags) == len(upload.content.parts):
                client.complete(bucket, upload.key, upload.upload_id, upload.etags, upload.content.mode.read).ok()
                self.known[upload.key] = upload.content
            else:
                client.delete(bucket, upload.key, query={"uploadId": upload.upload_id}).ok(204)
            self.uploads.remove(upload)
            assert holds(client, bucket, upload.key, self.known[upload.key])


def acknowledged(reply):
    """The reply to a request that cannot fail but by the server's death."""
    if not reply.complete:
        raise ConnectionError("cut")
    assert reply.status in (200, 204), f"{reply.status} {reply.code}: {reply.message}"
    if b"<Error>" in reply.body:
        raise AssertionError(f"an error in a 200: {reply.code}")
    return reply


def holds(client, bucket, key, content, version=None):
    """Whether the object is exactly this; anything else than intact bytes or a clean absence is a failure at once."""
    reply = client.get(bucket, key, content.mode.read if content else {}, query={"versionId": version} if version else ())
    if content is ABSENT:
        return reply.status == 404
    if reply.status == 200 and reply.complete:
        return reply.body == content.body() and _mode_fits(reply, content)
    assert reply.status in (200, 400, 403, 404) and reply.complete, f"{key}: {reply.status} {reply.code} {reply.message}"
    return False


def _mode_fits(reply, content):
    try:
        content.mode.check(reply.headers)
    except AssertionError:
        return False
    return True
