"""Conditional reads, writes, copies and deletes."""

import datetime
import email.utils
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.sse import ENCRYPTED, SSE_C, SSE_S3


def http_date(seconds_from_now):
    return email.utils.format_datetime(datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds_from_now), usegmt=True)


PAST, FUTURE = http_date(-3600), http_date(3600)


@pytest.mark.parametrize("mode", ENCRYPTED, ids=str)
def test_reads_by_etag(raw, bucket, mode):
    etag = raw.put(bucket, "object", b"body", mode.write).ok().etag
    for read in (raw.get, raw.head):

        def ask(read=read, **headers):
            return read(bucket, "object", mode.read | {name.replace("_", "-"): value for name, value in headers.items()})

        ask(if_match=f'"{etag}"').ok()
        ask(if_match=etag).ok()
        ask(if_match="*").ok()
        ask(if_match=f'"nope", "{etag}"').ok()
        ask(if_none_match='"nope"').ok()
        assert ask(if_match='"nope"').status == 412
        for value in (f'"{etag}"', "*", f'"nope", "{etag}"', f'W/"{etag}"'):
            reply = ask(if_none_match=value).ok(304)
            assert reply.body == b""
            assert reply.etag == etag
    raw.get(bucket, "object", mode.read | {"if-match": '"nope"'}).fails(412, "PreconditionFailed")


def test_reads_by_date(raw, bucket):
    raw.put(bucket, "object", b"body").ok()
    raw.get(bucket, "object", {"if-modified-since": PAST}).ok()
    raw.get(bucket, "object", {"if-modified-since": FUTURE}).ok(304)
    raw.get(bucket, "object", {"if-modified-since": "no date"}).ok()
    modified = raw.head(bucket, "object").headers["last-modified"]
    raw.get(bucket, "object", {"if-modified-since": modified}).ok(304)
    raw.get(bucket, "object", {"if-unmodified-since": modified}).ok()
    raw.get(bucket, "object", {"if-unmodified-since": PAST}).fails(412, "PreconditionFailed")


def test_an_etag_counts_more_than_a_date(raw, bucket):
    etag = raw.put(bucket, "object", b"body").ok().etag
    raw.get(bucket, "object", {"if-match": etag, "if-unmodified-since": PAST}).ok()
    raw.get(bucket, "object", {"if-none-match": etag, "if-modified-since": PAST}).ok(304)


def test_a_range_of_another_object_is_not_answered(raw, bucket):
    etag = raw.put(bucket, "object", b"0123456789").ok().etag
    modified = raw.head(bucket, "object").headers["last-modified"]
    for validator, status in [
        (f'"{etag}"', 206),
        (etag, 206),
        (modified, 206),
        (f'W/"{etag}"', 200),
        ('"nope"', 200),
        (PAST, 200),
        (FUTURE, 200),
    ]:
        reply = raw.get(bucket, "object", {"range": "bytes=2-4", "if-range": validator}).ok(status)
        assert reply.body == (b"234" if status == 206 else b"0123456789"), validator
        assert ("content-range" in reply.headers) == (status == 206)
    raw.get(bucket, "object", {"range": "bytes=99-", "if-range": '"nope"'}).ok(200)
    raw.get(bucket, "object", {"range": "bytes=99-", "if-range": f'"{etag}"'}).fails(416, "InvalidRange")
    assert raw.get(bucket, "object", {"if-range": f'"{etag}"'}).ok(200).body == b"0123456789"


@pytest.mark.parametrize("mode", [SSE_S3, SSE_C], ids=str)
def test_a_write_only_where_nothing_is(raw, bucket, mode):
    raw.put(bucket, "object", b"first", mode.write | {"if-none-match": "*"}).ok()
    raw.put(bucket, "object", b"second", mode.write | {"if-none-match": "*"}).fails(412, "PreconditionFailed")
    assert raw.get(bucket, "object", mode.read).ok().body == b"first"
    raw.delete(bucket, "object").ok(204)
    raw.put(bucket, "object", b"third", mode.write | {"if-none-match": "*"}).ok()


@pytest.mark.parametrize("mode", [SSE_S3, SSE_C], ids=str)
def test_a_write_only_over_what_was_read(raw, bucket, mode):
    first = raw.put(bucket, "object", b"first", mode.write).ok().etag
    second = raw.put(bucket, "object", b"second", mode.write | {"if-match": f'"{first}"'}).ok().etag
    raw.put(bucket, "object", b"third", mode.write | {"if-match": f'"{first}"'}).fails(412, "PreconditionFailed")
    assert raw.get(bucket, "object", mode.read).ok().body == b"second"
    assert second != first
    raw.put(bucket, "nothing", b"x", mode.write | {"if-match": f'"{first}"'}).fails(404, "NoSuchKey")


@pytest.mark.parametrize("kind", ["put", "copy", "completion"])
@pytest.mark.parametrize("mode", [SSE_S3, SSE_C], ids=str)
def test_a_write_only_over_another_object_than_that_one(raw, bucket, kind, mode):
    raw.put(bucket, "source", b"body").ok()

    def write(etags):
        if kind == "put":
            return raw.put(bucket, "object", b"body", mode.write | {"if-none-match": etags})
        if kind == "copy":
            return raw.copy(f"{bucket}/source", bucket, "object", mode.write | {"if-none-match": etags})
        upload = raw.begin_upload(bucket, "object", mode.write)
        part = raw.upload_part(bucket, "object", upload, 1, b"body", mode.read).ok().etag
        return raw.complete(bucket, "object", upload, {1: part}, mode.read | {"if-none-match": etags})

    write('"nope"').ok()
    present = raw.head(bucket, "object", mode.read).ok().etag
    for etags in (f'"{present}"', present, f'"nope", "{present}"', "*"):
        write(etags).fails(412, "PreconditionFailed")
    assert raw.head(bucket, "object", mode.read).ok().etag == present
    write('"nope"').ok()
    raw.delete(bucket, "object").ok(204)
    write(f'"{present}"').ok()


def test_what_is_no_condition_of_a_write_is_not_implemented_and_not_passed_over(raw, bucket):
    for headers in ({"if-none-match": "*", "if-match": "*"}, {"x-amz-if-match-size": "1"}, {"x-amz-if-match-last-modified-time": PAST}):
        raw.put(bucket, "object", b"x", headers).fails(501, "NotImplemented")
    raw.get(bucket, "object").fails(404, "NoSuchKey")


def test_a_completion_only_where_nothing_is(raw, bucket):
    upload = raw.begin_upload(bucket, "object")
    etag = raw.upload_part(bucket, "object", upload, 1, b"parts").ok().etag
    raw.put(bucket, "object", b"whole").ok()
    raw.complete(bucket, "object", upload, {1: etag}, {"if-none-match": "*"}).fails(412, "PreconditionFailed")
    assert raw.get(bucket, "object").ok().body == b"whole"
    raw.delete(bucket, "object").ok(204)
    raw.complete(bucket, "object", upload, {1: etag}, {"if-none-match": "*"}).ok()
    assert raw.get(bucket, "object").ok().body == b"parts"


def test_of_many_writers_where_nothing_is_one_wins(server, raw, bucket):
    bodies = [f"writer {number}".encode() for number in range(12)]
    with ThreadPoolExecutor(12) as pool:
        replies = list(pool.map(lambda body: server.raw().put(bucket, "object", body, {"if-none-match": "*"}), bodies))
    winners = [body for body, reply in zip(bodies, replies, strict=True) if reply.status == 200]
    assert len(winners) == 1
    assert {(reply.status, reply.code) for reply in replies if reply.status != 200} <= {(412, "PreconditionFailed"), (409, "ConditionalRequestConflict")}
    assert raw.get(bucket, "object").ok().body == winners[0]


def test_of_many_writers_over_one_etag_one_wins(server, raw, bucket):
    etag = raw.put(bucket, "object", b"start").ok().etag
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda number: server.raw().put(bucket, "object", f"writer {number}".encode(), {"if-match": etag}), range(8)))
    assert sorted(reply.status for reply in replies)[0] == 200
    assert len([reply for reply in replies if reply.status == 200]) == 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if-match": "ETAG"}, 200),
        ({"if-match": '"nope"'}, 412),
        ({"if-none-match": '"nope"'}, 200),
        ({"if-none-match": "ETAG"}, 412),
        ({"if-modified-since": PAST}, 200),
        ({"if-unmodified-since": PAST}, 412),
        ({"if-unmodified-since": FUTURE}, 200),
    ],
)
@pytest.mark.parametrize("kind", ["copy", "part"])
def test_copies_by_condition_of_the_source(raw, bucket, kind, headers, status):
    etag = raw.put(bucket, "source", b"body").ok().etag
    headers = {f"x-amz-copy-source-{name}": f'"{etag}"' if value == "ETAG" else value for name, value in headers.items()}
    if kind == "copy":
        reply = raw.copy(f"{bucket}/source", bucket, "target", headers)
    else:
        upload = raw.begin_upload(bucket, "target")
        reply = raw.upload_part_copy(f"{bucket}/source", bucket, "target", upload, 1, headers)
    if status == 200:
        reply.ok()
    else:
        reply.fails(412, "PreconditionFailed")


def test_a_copy_only_where_nothing_is(raw, bucket):
    raw.put(bucket, "source", b"body").ok()
    raw.copy(f"{bucket}/source", bucket, "target", {"if-none-match": "*"}).ok()
    raw.copy(f"{bucket}/source", bucket, "target", {"if-none-match": "*"}).fails(412, "PreconditionFailed")


@pytest.mark.parametrize("kind", ["copy", "completion"])
def test_a_copy_or_a_completion_only_over_what_was_read(raw, bucket, kind):
    raw.put(bucket, "source", b"body").ok()

    def write(etag):
        if kind == "copy":
            return raw.copy(f"{bucket}/source", bucket, "object", {"if-match": etag})
        upload = raw.begin_upload(bucket, "object")
        part = raw.upload_part(bucket, "object", upload, 1, b"body").ok().etag
        return raw.complete(bucket, "object", upload, {1: part}, {"if-match": etag})

    for etag in ("*", '"nope"'):
        write(etag).fails(404, "NoSuchKey")
    first = raw.put(bucket, "object", b"first").ok().etag
    write('"nope"').fails(412, "PreconditionFailed")
    assert raw.get(bucket, "object").ok().body == b"first"
    write(f'"{first}"').ok()
    write(f'"{first}"').fails(412, "PreconditionFailed")
    write("*").ok()
    assert raw.get(bucket, "object").ok().body == b"body"
