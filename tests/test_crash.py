"""kill -9 under load: everything acknowledged is there, nothing is half there.

The story: several writers put, overwrite, copy, rotate, delete and upload in parts. At a random instant the server is killed; whatever it was
doing (a blob half written, a commit under way, a reply on the wire) stays as it is. A new server opens the directory. Every key must
hold what was acknowledged last, or, for the one request of each writer that got no answer, what that request would have left. In a versioned
bucket every acknowledged version and delete marker must be there under its id, in its order. In one with Object Lock every version has the tags
and the lock that were acknowledged last, and none is gone that was locked. Uploads by forms have a test of their own, so that each kill meets some.

STRONGROOM_TEST_KILLS sets how often.
"""

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from conftest import make_bucket
from harness import disk
from harness.form_workload import FormState
from harness.locked_workload import LockedState
from harness.versioned_workload import VersionedState
from harness.workload import State, Writer

KILLS = int(os.environ.get("STRONGROOM_TEST_KILLS", "20"))
WRITERS = 5
VERSIONING_WRITERS = 2
LOCKING_WRITERS = 2
FORM_WRITERS = 4
CONFIG = "encrypt_by_default = false\nsweep_interval_seconds = 1\ndead_blob_grace_seconds = 1\norphan_age_seconds = 0\n"


@pytest.mark.timeout(120 + 15 * KILLS)
def test_everything_acknowledged_survives_kill_9(new_server):
    server, seed = new_server(CONFIG), random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    bucket, versioned, lockable = make_bucket(server), make_versioned_bucket(server), make_lockable_bucket(server)
    states = [State(f"writer-{number}", seed + number) for number in range(WRITERS)]
    versioning = [VersionedState(f"versioning-{number}", seed + number) for number in range(VERSIONING_WRITERS)]
    locking = [LockedState(f"locking-{number}", seed + number) for number in range(LOCKING_WRITERS)]
    work = [(state, bucket) for state in states] + [(state, versioned) for state in versioning] + [(state, lockable) for state in locking]
    for _ in range(KILLS):
        load_until_killed(server, work, chance.uniform(0.02, 0.8))
        server.start()
        for_each(work, lambda one: one[0].verify(server.raw(), one[1]))
        assert listed(server, bucket) == {key for state in states for key, content in state.known.items() if content is not None}
    acknowledged = [sum(state.acknowledged for state in some) for some in (states, versioning, locking)]
    refused = sum(state.refused for state in locking)
    print(f"{acknowledged} acknowledged requests, {refused} deletes of locked versions refused")
    assert sum(acknowledged) > 10 * KILLS and min(acknowledged) > KILLS and refused > 0, "there was a load"
    for_each(states, lambda state: state.finish_uploads(server.raw(), bucket))
    abort_unknown_uploads(server, bucket)
    abort_uploads(server, versioned)
    abort_uploads(server, lockable)
    for_each(versioning, lambda state: delete_versions(server.raw(), versioned, state))
    for_each(locking, lambda state: state.unlock(server.raw(), lockable))
    for_each(locking, lambda state: delete_versions(server.raw(), lockable, state))
    for emptied in (versioned, lockable):
        server.raw().request("DELETE", f"/{emptied}").ok(204)
    assert_no_blob_is_orphaned(server, bucket, states)


@pytest.mark.timeout(120 + 15 * KILLS)
def test_every_acknowledged_form_survives_kill_9_and_none_is_half_there(new_server):
    server, seed = new_server(CONFIG), random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance, bucket, cut = random.Random(seed), make_bucket(server), 0
    states = [FormState(f"forms-{number}", seed + number) for number in range(FORM_WRITERS)]
    work = [(state, bucket) for state in states]
    for _ in range(max(1, KILLS // 2)):
        load_until_killed(server, work, chance.uniform(0.02, 0.8))
        cut += sum(content is not None for state in states for content in state.pending.values())
        server.start()
        for_each(states, lambda state: state.verify(server.raw(), bucket))
        assert listed(server, bucket) == {key for state in states for key, content in state.known.items() if content is not None}
    acknowledged = sum(state.acknowledged for state in states)
    print(f"{acknowledged} acknowledged requests, {cut} forms under way at a kill")
    assert acknowledged > KILLS and cut > 0, "there was a load"
    assert_no_blob_is_orphaned(server, bucket, states)


def make_versioned_bucket(server):
    bucket = make_bucket(server)
    server.boto().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket


def make_lockable_bucket(server):
    bucket = f"{make_bucket(server)}-locked"
    server.boto().create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    return bucket


def load_until_killed(server, work, seconds):
    writers = [Writer(state, server.raw(), bucket) for state, bucket in work]
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
    for state in states:
        for key in state.keys:
            server.raw().delete(bucket, key).ok(204)
    deadline = time.monotonic() + 60
    while disk.blobs(server):
        assert time.monotonic() < deadline, f"{len(disk.blobs(server))} blobs are left"
        time.sleep(0.2)


def abort_unknown_uploads(server, bucket):
    """A CreateMultipartUpload that got no answer may have left an upload that nobody knows of; it has no part."""
    unknown = uploads(server, bucket)
    assert len(unknown) <= KILLS * WRITERS
    for key, upload_id in unknown:
        listed = server.raw().request("GET", f"/{bucket}/{key}", query={"uploadId": upload_id}).ok().xml()
        assert listed.find("Part") is None
    abort_uploads(server, bucket)


def uploads(server, bucket):
    pages = server.boto().get_paginator("list_multipart_uploads").paginate(Bucket=bucket)
    return [(upload["Key"], upload["UploadId"]) for page in pages for upload in page.get("Uploads", [])]


def abort_uploads(server, bucket):
    for key, upload_id in uploads(server, bucket):
        server.raw().delete(bucket, key, query={"uploadId": upload_id}).ok(204)


def delete_versions(client, bucket, state):
    for key, versions in state.known.items():
        for version, _ in versions:
            client.delete(bucket, key, query={"versionId": version}).ok(204)


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


def test_the_judge_of_the_crash_test_notices_a_lost_an_altered_and_an_exchanged_version(new_server):
    """The test above would fail if an acknowledged version were lost, altered, under another id or in another order."""
    server = new_server(CONFIG)
    bucket, client = make_versioned_bucket(server), server.raw()

    def written(name):
        state = VersionedState(name, 1)
        for work in (state.put_small, state.put_large, state.delete, state.restore):
            for _ in range(2):
                work(client, bucket, state.keys[0])
        state.verify(client, bucket)
        return state, state.known[state.keys[0]]

    def fails(state, match):
        with pytest.raises(AssertionError, match=match):
            state.verify(client, bucket)

    state, known = written("lost")
    client.delete(bucket, state.keys[0], query={"versionId": known[2][0]}).ok(204)
    fails(state, "acknowledged was")
    state, known = written("marker")
    known[4:6] = [(version, known[0][1]) for version, _ in known[4:6]]
    fails(state, "acknowledged was")
    state, known = written("altered")
    known[0] = (known[0][0], known[1][1])
    fails(state, "is not what was acknowledged")
    state, known = written("order")
    known[0], known[1] = known[1], known[0]
    fails(state, "acknowledged was")
    state, known = written("foreign")
    client.put(bucket, f"{state.name}/other", b"").ok()
    fails(state, "nobody wrote")


def test_the_judge_of_the_crash_test_notices_a_lost_tag_and_an_altered_lock(new_server):
    """The test above would fail if an acknowledged tag or lock were lost or another one."""
    server = new_server(CONFIG)
    bucket, client = make_lockable_bucket(server), server.raw()
    state = LockedState("locking", 1)
    key = state.keys[0]
    state.put_small(client, bucket, key)
    for work in (state.tag, state.retain, state.hold):
        work(client, bucket, key)
    state.verify(client, bucket)
    version, _ = state.known[key][0]
    attributes = state.attributes[version]
    for lost in ({"tags": {"lost": "tag"}}, {"retention": None}, {"retention": ("COMPLIANCE", 4_000_000_000)}, {"hold": not attributes.hold}):
        state.attributes[version] = replace(attributes, **lost)
        with pytest.raises(AssertionError, match="tags and locks"):
            state.verify(client, bucket)
    state.attributes[version] = attributes
    state.verify(client, bucket)
