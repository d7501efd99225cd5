"""Ranges at every kind of boundary, in every mode; parts by number; objects and parts of nothing."""

import pytest

from conftest import make_bucket
from harness.sse import DSSE, MODES, SSE_C, SSE_S3, random_body

CHUNK = 64 << 10
PART_BYTES = 5 << 20
LENGTH = 4 * CHUNK + 321


@pytest.fixture(scope="module")
def shelf(plain_server):
    """One object of several chunks and one of several parts, in each mode; not altered by any test."""
    raw, bucket = plain_server.raw(), make_bucket(plain_server)
    whole, parts = random_body(LENGTH), [random_body(PART_BYTES), random_body(PART_BYTES + 77), random_body(CHUNK + 1)]
    for mode in MODES:
        raw.put(bucket, f"whole-{mode}", whole, mode.write).ok()
        raw.put_multipart(bucket, f"parts-{mode}", parts, mode.write, mode.read)
    return raw, bucket, whole, parts


def read(shelf, key, mode, value):
    raw, bucket, *_ = shelf
    return raw.get(bucket, f"{key}-{mode}", mode.read | {"range": value})


def check(reply, body, first, last):
    assert reply.ok(206).body == body[first : last + 1]
    assert reply.headers["content-range"] == f"bytes {first}-{last}/{len(body)}"
    assert reply.headers["content-length"] == str(last - first + 1)


EDGES = [
    (0, 0),
    (0, 15),
    (CHUNK - 1, CHUNK - 1),
    (CHUNK - 1, CHUNK),
    (CHUNK, CHUNK),
    (CHUNK, 2 * CHUNK - 1),
    (CHUNK + 1, 2 * CHUNK),
    (CHUNK - 7, 3 * CHUNK + 7),
    (4 * CHUNK - 1, 4 * CHUNK),
    (LENGTH - 1, LENGTH - 1),
    (0, LENGTH - 1),
    (17, LENGTH - 1),
]


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_ranges_at_the_boundaries_of_chunks(shelf, mode):
    body = shelf[2]
    for first, last in EDGES:
        check(read(shelf, "whole", mode, f"bytes={first}-{last}"), body, first, last)


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_ranges_at_the_boundaries_of_parts(shelf, mode):
    body = b"".join(shelf[3])
    second, third = PART_BYTES, 2 * PART_BYTES + 77
    edges = [
        (second - 1, second - 1),
        (second - 1, second),
        (second, second),
        (second, third - 1),
        (second - CHUNK, third + 5),
        (third - 1, third),
        (third + CHUNK - 1, third + CHUNK),
        (second + CHUNK - 1, second + CHUNK),
        (len(body) - 1, len(body) - 1),
        (third - 1, len(body) - 1),
    ]
    for first, last in edges:
        check(read(shelf, "parts", mode, f"bytes={first}-{last}"), body, first, last)


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_open_and_suffix_ranges_and_ranges_beyond_the_end(shelf, mode):
    body, end = shelf[2], LENGTH - 1
    for value, first, last in [
        ("bytes=100-", 100, end),
        (f"bytes={end}-", end, end),
        ("bytes=-1", end, end),
        (f"bytes=-{CHUNK}", LENGTH - CHUNK, end),
        (f"bytes=-{LENGTH + 5}", 0, end),
        ("bytes=100-999999999", 100, end),
        ("bytes=0-18446744073709551615", 0, end),
    ]:
        check(read(shelf, "whole", mode, value), body, first, last)


@pytest.mark.parametrize("value", [f"bytes={LENGTH}-", f"bytes={LENGTH}-{LENGTH + 5}", "bytes=-0", "bytes=99999999999-"])
@pytest.mark.parametrize("mode", [SSE_S3, SSE_C, DSSE], ids=str)
def test_a_range_outside_the_object_is_416(shelf, mode, value):
    reply = read(shelf, "whole", mode, value).fails(416, "InvalidRange")
    assert reply.headers["content-range"] == f"bytes */{LENGTH}"


@pytest.mark.parametrize("value", ["bytes=5-2", "bytes=", "bytes=a-b", "lines=0-5", "bytes=0-1,5-6", "0-5"])
def test_a_range_that_is_none_is_ignored(shelf, value):
    """RFC 9110: what is not one valid byte range is as if it were not there."""
    raw, bucket, whole, _ = shelf
    reply = raw.get(bucket, "whole-SSE-S3", {"range": value})
    assert (reply.status, reply.body == whole) == (200, True), f"{reply.status} {reply.code}"


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_head_answers_a_range_as_get_does(shelf, mode):
    raw, bucket, whole, _ = shelf
    head = raw.head(bucket, f"whole-{mode}", mode.read | {"range": "bytes=10-19"}).ok(206)
    assert head.headers["content-range"] == f"bytes 10-19/{len(whole)}"
    assert head.headers["content-length"] == "10"
    assert raw.head(bucket, f"whole-{mode}", mode.read).ok().headers["accept-ranges"] == "bytes"


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_parts_are_read_by_number(shelf, mode):
    raw, bucket, _, parts = shelf
    whole, start = b"".join(parts), 0
    for number, part in enumerate(parts, 1):
        reply = raw.get(bucket, f"parts-{mode}", mode.read, query={"partNumber": str(number)})
        check(reply, whole, start, start + len(part) - 1)
        assert reply.headers["x-amz-mp-parts-count"] == "3"
        head = raw.head(bucket, f"parts-{mode}", mode.read, query={"partNumber": str(number)}).ok(206)
        assert (head.headers["content-length"], head.headers["x-amz-mp-parts-count"]) == (str(len(part)), "3")
        start += len(part)


def test_a_part_that_is_not_there_is_416_and_a_range_of_a_part_400(shelf):
    raw, bucket, _, _ = shelf
    raw.get(bucket, "parts-SSE-S3", query={"partNumber": "4"}).fails(416, "InvalidPartNumber")
    raw.get(bucket, "parts-SSE-S3", {"range": "bytes=0-1"}, query={"partNumber": "1"}).fails(400, "InvalidRequest")
    for number in ("0", "10001", "-1", "x"):
        raw.get(bucket, "parts-SSE-S3", query={"partNumber": number}).fails(400, "InvalidArgument")


def test_an_object_put_whole_has_one_part(shelf):
    raw, bucket, whole, _ = shelf
    reply = raw.get(bucket, "whole-SSE-S3", query={"partNumber": "1"}).ok(206)
    assert reply.body == whole
    assert "x-amz-mp-parts-count" not in reply.headers
    raw.get(bucket, "whole-SSE-S3", query={"partNumber": "2"}).fails(416, "InvalidPartNumber")


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_an_empty_object_reads_as_nothing_and_has_no_range(plain_server, plain_bucket, mode):
    raw = plain_server.raw()
    raw.put(plain_bucket, "empty", b"", mode.write).ok()
    reply = raw.get(plain_bucket, "empty", mode.read).ok()
    assert (reply.body, reply.headers["content-length"]) == (b"", "0")
    mode.check(reply.headers)
    for value in ("bytes=0-0", "bytes=0-", "bytes=-1"):
        raw.get(plain_bucket, "empty", mode.read | {"range": value}).fails(416, "InvalidRange")


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_a_last_part_of_no_bytes(plain_server, plain_bucket, mode):
    raw, first = plain_server.raw(), random_body(PART_BYTES)
    raw.put_multipart(plain_bucket, "object", [first, b""], mode.write, mode.read)
    assert raw.get(plain_bucket, "object", mode.read).ok().body == first
    last = raw.get(plain_bucket, "object", mode.read | {"range": f"bytes={PART_BYTES - 1}-"}).ok(206)
    assert last.body == first[-1:]
    raw.get(plain_bucket, "object", mode.read | {"range": f"bytes={PART_BYTES}-"}).fails(416, "InvalidRange")


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_an_object_of_one_empty_part(plain_server, plain_bucket, mode):
    raw = plain_server.raw()
    raw.put_multipart(plain_bucket, "object", [b""], mode.write, mode.read)
    reply = raw.get(plain_bucket, "object", mode.read).ok()
    assert (reply.body, reply.headers["content-length"]) == (b"", "0")
    assert raw.head(plain_bucket, "object", mode.read).etag.endswith("-1")


@pytest.mark.parametrize("length", [1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, (1 << 20) - 1, (1 << 20) + 1])
@pytest.mark.parametrize("mode", MODES, ids=str)
def test_objects_of_every_awkward_length_read_back(plain_server, plain_bucket, mode, length):
    raw, body = plain_server.raw(), random_body(length)
    raw.put(plain_bucket, "object", body, mode.write).ok()
    assert raw.get(plain_bucket, "object", mode.read).ok().body == body
    assert raw.get(plain_bucket, "object", mode.read | {"range": "bytes=-1"}).ok(206).body == body[-1:]
