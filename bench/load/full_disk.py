"""A disk that is filled through S3 until uploads are refused, read, emptied through S3, and used again."""

import tempfile
import time
from pathlib import Path

from targets import Strongroom

from harness.small_disk import SmallDisks
from harness.sse import random_body

DISK_MIB = 256
OBJECT_BYTES = 1 << 20
PATIENCE_SECONDS = 60


def run():
    """How many objects fitted, how long reads and deletes took at the full disk, and when an upload was taken again."""
    with tempfile.TemporaryDirectory(prefix="load.") as home:
        data = Path(home) / "home/data"
        data.mkdir(parents=True)
        disks = SmallDisks({data: f"size={DISK_MIB}m"})
        target = Strongroom(prefix=disks.prefix, home=home)
        try:
            target.start()
            return _run(target.raw())
        finally:
            target.stop()
            disks.close()


def _run(raw):
    raw.request("PUT", "/full").ok()
    body, count = random_body(OBJECT_BYTES), 0
    while (reply := raw.put("full", f"object-{count}", body)).status == 200:
        count += 1
    assert reply.status == 507, reply
    began = time.monotonic()
    for number in range(count):
        assert raw.get("full", f"object-{number}").ok().body == body
    read = time.monotonic()
    for number in range(count):
        raw.request("DELETE", f"/full/object-{number}").ok(204)
    deleted = time.monotonic()
    while raw.put("full", "again", body).status != 200:
        assert time.monotonic() < deleted + PATIENCE_SECONDS, "uploads are still refused"
        time.sleep(0.05)
    again = time.monotonic()
    assert raw.get("full", "again").ok().body == body
    return {
        "objects": count,
        "read_ms": 1000 * (read - began) / count,
        "delete_ms": 1000 * (deleted - read) / count,
        "upload_again_s": again - deleted,
    }
