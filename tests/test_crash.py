"""kill -9 under load: everything acknowledged is there, nothing is half there.

The story: several writers put, overwrite, copy, rotate, delete and upload in parts. At a random instant the server is killed; whatever it was
doing (a blob half written, a commit under way, a reply on the wire) stays as it is. A new server opens the directory. Every key must
hold what was acknowledged last, or, for the one request of each writer that got no answer, what that request would have left.

STRONGROOM_TEST_KILLS sets how often.
"""

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import make_bucket
from harness import disk
from harness.workload import State, Writer

KILLS = int(os.environ.get("STRONGROOM_TEST_KILLS", "20"))
WRITERS = 6
CONFIG = "encrypt_by_default = false\nsweep_interval_seconds = 1\ndead_blob_grace_seconds = 1\norphan_age_seconds = 0\n"


@pytest.mark.timeout(120 + 15 * KILLS)
def test_everything_acknowledged_survives_kill_9(new_server):
    server, seed = new_server(CONFIG), random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    bucket = make_bucket(server)
    states = [State(f"writer-{number}", seed + number) for number in range(WRITERS)]
    for _ in range(KILLS):
        load_until_killed(server, bucket, states, chance.uniform(0.02, 0.8))
        server.start()
        for_each(states, lambda state: state.verify(server.raw(), bucket))
        assert listed(server, bucket) == {key for state in states for key, content in state.known.items() if content is not None}
    acknowledged = sum(state.acknowledged for state in states)
    print(f"{acknowledged} acknowledged requests")
    assert acknowledged > 10 * KILLS, "there was a load"
    for_each(states, lambda state: state.finish_uploads(server.raw(), bucket))
    assert_no_blob_is_orphaned(server, bucket, states)


def load_until_killed(server, bucket, states, seconds):
    writers = [Writer(state, server.raw(), bucket) for state in states]
    for writer in writers:
        writer.start()
    time.sleep(seconds)
    server.kill()
    for writer in writers:
        writer.join(60)
        assert not writer.is_alive()
        if writer.unexpected:
            raise writer.unexpected


def for_each(states, do):
    with ThreadPoolExecutor(len(states)) as pool:
        list(pool.map(do, states))


def listed(server, bucket):
    pages = server.boto().get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {entry["Key"] for page in pages for entry in page.get("Contents", [])}


def assert_no_blob_is_orphaned(server, bucket, states):
    """With the objects gone the disk is empty: nothing was left behind by what was killed."""
    abort_unknown_uploads(server, bucket)
    for state in states:
        for key in state.keys:
            server.raw().delete(bucket, key).ok(204)
    deadline = time.monotonic() + 60
    while disk.blobs(server):
        assert time.monotonic() < deadline, f"{len(disk.blobs(server))} blobs are left"
        time.sleep(0.2)


def abort_unknown_uploads(server, bucket):
    """A CreateMultipartUpload that got no answer may have left an upload that nobody knows of; it has no part."""
    pages = server.boto().get_paginator("list_multipart_uploads").paginate(Bucket=bucket)
    unknown = [(upload["Key"], upload["UploadId"]) for page in pages for upload in page.get("Uploads", [])]
    assert len(unknown) <= KILLS * WRITERS
    for key, upload_id in unknown:
        listed = server.raw().request("GET", f"/{bucket}/{key}", query={"uploadId": upload_id}).ok().xml()
        assert listed.find("Part") is None
        server.raw().delete(bucket, key, query={"uploadId": upload_id}).ok(204)


def test_the_judge_of_the_crash_test_notices_a_lost_object(new_server):
    """The test above would fail if an acknowledged object were lost or altered."""
    server = new_server(CONFIG)
    bucket, state, client = make_bucket(server), State("writer", 1), server.raw()
    for key in state.keys:
        state.put_small(client, bucket, key)
    state.verify(client, bucket)
    client.delete(bucket, state.keys[0]).ok(204)
    with pytest.raises(AssertionError, match="holds none of"):
        state.verify(client, bucket)
    client.put(bucket, state.keys[0], b"other bytes").ok()
    with pytest.raises(AssertionError):
        state.verify(client, bucket)
