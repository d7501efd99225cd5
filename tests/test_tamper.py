"""Somebody with the disk in his hands alters it: no wrong byte, and no short answer that looks whole, ever reaches a client."""

import http.client

import pytest

from harness import disk
from harness.sse import DSSE, ENCRYPTED, NONE, SSE_C, SSE_KMS, SSE_S3, random_body

CHUNK = 64 << 10
LENGTH = 5 * CHUNK + 1000
PART_BYTES = 5 << 20
INTEGRITY = "strongroom_integrity_events_total"
MODES = [NONE, *ENCRYPTED]
OWN_CONFIG = "encrypt_by_default = false\n"


class Stored:
    """An object, its bytes, and the blob files it lies in."""

    def __init__(self, server, bucket, key, mode, body=None, parts=None):
        self.server, self.bucket, self.key, self.mode = server, bucket, key, mode
        self.body = b"".join(parts) if parts else body
        before = disk.blobs(server)
        if parts:
            server.raw().put_multipart(bucket, key, parts, mode.write, mode.read)
        else:
            server.raw().put(bucket, key, body, mode.write).ok()
        self.blobs = disk.new_blobs(server, before)

    def get(self, **headers):
        return self.server.raw().get(self.bucket, self.key, self.mode.read | headers)

    def is_intact(self):
        assert self.get().ok().body == self.body


def assert_detected(stored, metric=True):
    """500 before the first byte, or the connection cut after right bytes only; and counted."""
    counted = stored.server.metric(INTEGRITY)
    reply = read(stored)
    if reply is None:
        pass
    elif reply.status == 200:
        assert not reply.complete, "a whole answer from damaged bytes"
        assert len(reply.body) < len(stored.body)
        assert stored.body.startswith(reply.body), "wrong bytes"
    else:
        reply.fails(500, "InternalError")
    if metric:
        assert stored.server.metric(INTEGRITY) > counted


def read(stored):
    """The answer; none where the connection was cut before its first byte."""
    try:
        return stored.get()
    except http.client.RemoteDisconnected:
        return None


# ---- one blob altered


class Shape:
    """Where the chunks of a blob of five whole chunks and a short one lie: a header, then chunks with one tag, or two under DSSE."""

    def __init__(self, path, mode):
        self.path, self.size = path, path.stat().st_size
        tags = 32 if mode is DSSE else 16
        self.sealed, self.last = CHUNK + tags, LENGTH % CHUNK + tags
        self.header = self.size - 5 * self.sealed - self.last
        assert self.header == 48, "docs/format.md: the header of a blob has 48 bytes"

    def chunk(self, number):
        return self.header + number * self.sealed

    def flip(self, at, bits=0x01):
        disk.flip(self.path, at, bits)

    def cut(self, length):
        with open(self.path, "r+b") as file:
            file.truncate(self.size - length)

    def keep(self, *numbers):
        """The header and these chunks, in this order; the last stays the last."""
        data = self.path.read_bytes()
        chunks = [data[self.chunk(number) : self.chunk(number + 1)] for number in numbers]
        self.path.write_bytes(data[: self.header] + b"".join(chunks) + data[self.chunk(5) :])


FLIPS = {
    "the first byte": lambda blob: 0,
    "the last byte of the header": lambda blob: max(blob.header - 1, 0),
    "the first byte of the first chunk": lambda blob: blob.chunk(0),
    "a byte of the first chunk": lambda blob: blob.chunk(0) + 1000,
    "the tag of the first chunk": lambda blob: blob.chunk(1) - 1,
    "the first byte of the second chunk": lambda blob: blob.chunk(1),
    "a byte in the middle": lambda blob: blob.chunk(3) + 17,
    "the first byte of the last chunk": lambda blob: blob.chunk(5),
    "the tag of the last chunk": lambda blob: blob.size - 16,
    "the last byte": lambda blob: blob.size - 1,
}
CUTS = {
    "one byte": lambda blob: 1,
    "the last tag": lambda blob: 16,
    "the last chunk": lambda blob: blob.last,
    "two chunks": lambda blob: blob.last + blob.sealed,
    "all but the header": lambda blob: blob.size - blob.header,
    "all": lambda blob: blob.size,
}
ALTERATIONS = {
    **{f"flip {name}": lambda blob, at=at: blob.flip(at(blob)) for name, at in FLIPS.items()},
    "flip the highest bit of a byte": lambda blob: blob.flip(blob.chunk(0) + 500, 0x80),
    **{f"cut off {name}": lambda blob, length=length: blob.cut(length(blob)) for name, length in CUTS.items()},
    "swap the first two chunks": lambda blob: blob.keep(1, 0, 2, 3, 4),
    "repeat a chunk": lambda blob: blob.keep(0, 0, 2, 3, 4),
    "drop the first chunk": lambda blob: blob.keep(1, 2, 3, 4),
    "drop a chunk in the middle": lambda blob: blob.keep(0, 1, 3, 4),
    "fill with zeros": lambda blob: blob.path.write_bytes(bytes(blob.size)),
    "delete": lambda blob: blob.path.unlink(),
}


@pytest.mark.parametrize("alteration", ALTERATIONS)
@pytest.mark.parametrize("mode", MODES, ids=str)
def test_an_altered_blob_never_reads_as_an_object(own, own_bucket, mode, alteration):
    stored = Stored(own, own_bucket, "victim", mode, random_body(LENGTH))
    other = Stored(own, own_bucket, "other", mode, random_body(LENGTH))
    [blob] = stored.blobs
    ALTERATIONS[alteration](Shape(blob, mode))
    assert_detected(stored, metric=alteration != "delete")
    other.is_intact()


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_bytes_appended_to_a_blob_never_reach_a_client(own, own_bucket, mode):
    stored = Stored(own, own_bucket, "victim", mode, random_body(LENGTH))
    with open(stored.blobs[0], "ab") as file:
        file.write(random_body(CHUNK + 16))
    reply = stored.get().ok()
    assert (reply.body, reply.complete) == (stored.body, True)


def test_an_intact_chunk_of_an_altered_blob_still_reads(own, own_bucket):
    stored = Stored(own, own_bucket, "victim", SSE_S3, random_body(LENGTH))
    blob = Shape(stored.blobs[0], SSE_S3)
    blob.flip(blob.chunk(4) + 5)
    whole = stored.get(range=f"bytes={CHUNK}-{2 * CHUNK - 1}")
    assert whole.ok(206).body == stored.body[CHUNK : 2 * CHUNK]
    damaged = stored.get(range=f"bytes={4 * CHUNK + 100}-{4 * CHUNK + 199}")
    damaged.fails(500, "InternalError")


def test_the_server_that_met_damage_goes_on_and_counts_it(own, own_bucket):
    stored = Stored(own, own_bucket, "victim", SSE_S3, random_body(LENGTH))
    disk.flip(stored.blobs[0], 0)
    before = own.metric(INTEGRITY)
    for _ in range(3):
        assert_detected(stored)
    assert own.metric(INTEGRITY) >= before + 3
    assert own.health("ready") == 200


# ---- blobs in each other's place


@pytest.mark.parametrize(
    "modes", [(SSE_S3, SSE_S3), (SSE_C, SSE_C), (SSE_KMS, SSE_KMS), (SSE_S3, SSE_C), (NONE, SSE_S3)], ids=lambda pair: f"{pair[0]} and {pair[1]}"
)
def test_two_objects_blobs_swapped_read_as_neither(own, own_bucket, modes):
    one, two = (Stored(own, own_bucket, f"object{number}", mode, random_body(LENGTH)) for number, mode in enumerate(modes))
    swap(one.blobs[0], two.blobs[0])
    assert_detected(one)
    assert_detected(two)


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_two_parts_blobs_swapped_read_as_no_object(own, own_bucket, mode):
    parts = [random_body(PART_BYTES), random_body(PART_BYTES)]
    stored = Stored(own, own_bucket, "multipart", mode, parts=parts)
    assert len(stored.blobs) == 2
    swap(*stored.blobs)
    assert_detected(stored)


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_a_damaged_part_cuts_the_answer_before_the_bad_chunk(own, own_bucket, mode):
    stored = Stored(own, own_bucket, "multipart", mode, parts=[random_body(PART_BYTES), random_body(PART_BYTES + 100)])
    [last] = [blob for blob in stored.blobs if blob.stat().st_size == max(path.stat().st_size for path in stored.blobs)]
    disk.flip(last, -5)
    reply = stored.get()
    assert (reply.status, reply.complete) == (200, False)
    assert PART_BYTES <= len(reply.body) <= 2 * PART_BYTES
    assert stored.body.startswith(reply.body)


def swap(one, two):
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
