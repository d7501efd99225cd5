"""Many clients on one key: each read is one whole write, never a mixture."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.sse import KEY, OTHER_KEY, SSE_C, SSE_S3, customer, random_body, source_customer


def body(writer, length):
    return hashlib.shake_128(f"writer {writer}".encode()).digest(length)


@pytest.mark.parametrize("length", [500, 400_000], ids=["inline", "blob"])
def test_readers_see_one_whole_write_while_others_overwrite(server, bucket, length):
    bodies = {body(writer, length) for writer in range(4)}
    server.raw().put(bucket, "object", body(0, length)).ok()
    done = threading.Event()

    def write(writer):
        for _ in range(25):
            server.raw().put(bucket, "object", body(writer, length), SSE_S3.write).ok()

    def read(_):
        count = 0
        while not done.is_set():
            reply = server.raw().get(bucket, "object").ok()
            assert reply.complete and reply.body in bodies
            count += 1
        return count

    with ThreadPoolExecutor(8) as pool:
        readers = [pool.submit(read, number) for number in range(4)]
        writers = [pool.submit(write, number) for number in range(4)]
        try:
            for writer in writers:
                writer.result()
        finally:
            done.set()
        assert sum(reader.result() for reader in readers) > 10


def test_readers_see_the_object_or_its_absence_while_it_is_deleted_and_made(server, bucket):
    content = body(1, 300_000)
    done = threading.Event()

    def churn():
        for _ in range(30):
            server.raw().put(bucket, "object", content).ok()
            server.raw().delete(bucket, "object").ok(204)

    def read(_):
        seen = set()
        while not done.is_set():
            reply = server.raw().get(bucket, "object")
            assert (reply.status, reply.code) == (404, "NoSuchKey") or reply.ok().body == content
            seen.add(reply.status)
        return seen

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read, number) for number in range(3)]
        try:
            pool.submit(churn).result()
        finally:
            done.set()
        assert set().union(*(reader.result() for reader in readers)) <= {200, 404}


def test_of_two_rotations_at_once_the_object_opens_under_exactly_one_key(server, bucket):
    content = random_body(200_000)
    keys = [hashlib.sha256(bytes([number])).digest() for number in range(6)]
    server.raw().put(bucket, "object", content, customer(KEY)).ok()
    with ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda key: server.raw().copy(f"{bucket}/object", bucket, "object", customer(key) | source_customer(KEY)), keys))
    assert {reply.status for reply in replies} <= {200, 403, 409, 503}
    opened = [key for key in [KEY, OTHER_KEY, *keys] if server.raw().get(bucket, "object", customer(key)).status == 200]
    assert len(opened) == 1
    assert opened[0] != KEY
    assert server.raw().get(bucket, "object", customer(opened[0])).ok().body == content


def test_one_part_uploaded_by_many_at_once_is_one_of_them(server, raw, bucket):
    upload = raw.begin_upload(bucket, "object", SSE_C.write)
    bodies = [body(number, 300_000) for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        etags = list(pool.map(lambda one: server.raw().upload_part(bucket, "object", upload, 1, one, SSE_C.read).ok().etag, bodies))
    [part] = list(raw.request("GET", f"/{bucket}/object", query={"uploadId": upload}).ok().xml().iter("Part"))
    kept = part.findtext("ETag").strip('"')
    raw.complete(bucket, "object", upload, {1: kept}).ok()
    assert raw.get(bucket, "object", SSE_C.read).ok().body == bodies[etags.index(kept)]


def test_of_many_completions_at_once_all_tell_of_one_object(server, raw, bucket):
    upload = raw.begin_upload(bucket, "object")
    etag = raw.upload_part(bucket, "object", upload, 1, body(1, 100_000)).ok().etag
    with ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda _: server.raw().complete(bucket, "object", upload, {1: etag}), range(6)))
    assert {reply.status for reply in replies} == {200}, [(reply.status, reply.code) for reply in replies]
    assert len({reply.xml().findtext("ETag") for reply in replies}) == 1
    assert raw.get(bucket, "object").ok().body == body(1, 100_000)
