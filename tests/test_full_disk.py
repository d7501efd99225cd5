"""A full disk: a clear error, nothing half stored, and the server goes on. The disk is a small tmpfs in a mount namespace of its own."""

import time

import pytest

from conftest import make_bucket
from harness.server import Server
from harness.sse import SSE_KMS, random_body

# Half a mebibyte is left when no further object of one fits: deleting grows the catalog's log first.
DISK_MIB = 48
DISK_KIB = DISK_MIB * 1024 + 512
MOUNT = 'mount -t tmpfs -o size={}k,mode=0700 none "$0" && exec "$@"'


@pytest.fixture
def small(tmp_path_factory):
    home = tmp_path_factory.mktemp("small") / "home"
    (home / "data").mkdir(parents=True)
    prefix = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", MOUNT.format(DISK_KIB), str(home / "data")]
    server = Server(home, "sweep_interval_seconds = 1\ndead_blob_grace_seconds = 1\n", prefix=prefix).start()
    yield server
    server.remove()


def test_a_full_disk_is_a_clear_error_and_the_server_goes_on(small):
    raw, bucket, stored, refused = small.raw(), make_bucket(small), {}, None
    for number in range(2 * DISK_MIB):
        body = random_body(1 << 20)
        reply = raw.put(bucket, f"object-{number}", body, SSE_KMS.write)
        if reply.status != 200:
            refused = reply
            break
        stored[f"object-{number}"] = body
    assert refused is not None, "the disk was not filled"
    refused.fails(507, "InsufficientStorage")
    assert "full" in refused.message.lower()
    assert len(stored) > DISK_MIB // 3
    for key, body in stored.items():
        assert raw.get(bucket, key).ok().body == body
    raw.get(bucket, f"object-{len(stored)}").fails(404, "NoSuchKey")
    assert small.health("live") == 200
    assert_room_comes_back(small, bucket, stored)


def assert_room_comes_back(server, bucket, stored):
    """Deleting works on a full disk, and makes room."""
    raw = server.raw()
    for key in list(stored)[:10]:
        raw.delete(bucket, key).ok(204)
        del stored[key]
    deadline = time.monotonic() + 30
    while (reply := raw.put(bucket, "again", random_body(1 << 20))).status != 200:
        reply.fails(507, "InsufficientStorage")
        assert time.monotonic() < deadline, "no room after the sweep"
        time.sleep(0.2)
    for key, body in stored.items():
        assert raw.get(bucket, key).ok().body == body
