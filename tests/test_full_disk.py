"""A full disk is no dead end: reads, lists and deletes go on to the last byte, also across a restart, and uploads come back by themselves.

Each disk is a small tmpfs in a mount namespace of its own, filled by uploads or by another process. Errors that such a disk never returns (I/O
errors, a used-up quota, a read-only mount) are injected into the server's system calls.
"""

import errno
import http.client
import json
import threading
import time

import pytest

from conftest import make_bucket
from harness.admin import Admin
from harness.server import BINARY, Server
from harness.small_disk import Fault, SmallDisks
from harness.sse import SSE_KMS, random_body

DISK_MIB = 48
# Half a mebibyte beside whole objects, so that the last byte is not the end of one.
DISK = f"size={DISK_MIB * 1024 + 512}k"
MIB = 1 << 20
CONFIG = "sweep_interval_seconds = 1\ndead_blob_grace_seconds = 1\n"
SECONDS = 60


class Small:
    """A server whose data are on a small disk. `store` puts 20 objects into a bucket, half of them in blobs and half in the catalog."""

    def __init__(self, home, config=CONFIG, options=DISK, others=None):
        self.home = home
        self.data = home / "data"
        self.data.mkdir(parents=True)
        self.disks = SmallDisks({self.data: options} | (others or {}))
        self.server = Server(home, config, prefix=self.disks.prefix)
        self.filler = self.data / "of-another-process"

    def start(self):
        self.server.start()
        return self

    def store(self):
        self.bucket, self.stored = make_bucket(self.server), {}
        for number in range(20):
            key, body = f"object-{number:02}", random_body(600_000 if number % 2 else 20_000)
            self.raw.put(self.bucket, key, body, SSE_KMS.write).ok()
            self.stored[key] = body
        return self

    @property
    def raw(self):
        return self.server.raw()

    def readiness(self):
        reply = self.raw.request("GET", "/health/ready", sign=False)
        return reply.status, json.loads(reply.body)

    def uploads_are_refused(self):
        """Small uploads, large ones, and everything else that brings new data."""
        for size in (1, 20_000, 600_000):
            self.raw.put(self.bucket, "new", random_body(size), SSE_KMS.write).fails(507, "InsufficientStorage")
        self.raw.request("PUT", "/another-bucket").fails(507, "InsufficientStorage")
        self.raw.create_upload(self.bucket, "new").fails(507, "InsufficientStorage")
        self.raw.copy(f"{self.bucket}/object-00", self.bucket, "new").fails(507, "InsufficientStorage")

    def reads_go_on(self, times=1):
        for _ in range(times):
            for key, body in self.stored.items():
                assert self.raw.get(self.bucket, key).ok().body == body
                self.raw.head(self.bucket, key).ok()
        assert self.listed() == sorted(self.stored)

    def listed(self):
        found = self.raw.request("GET", f"/{self.bucket}", query={"list-type": "2"}).ok().xml()
        return [key.text for key in found.iter("Key")]

    def delete(self, count):
        for key in list(self.stored)[:count]:
            self.raw.delete(self.bucket, key).ok(204)
            del self.stored[key]

    def uploads_come_back(self, size=600_000):
        """Without anybody's help, shortly after there is room again."""
        body, deadline = random_body(size), time.monotonic() + SECONDS
        while (reply := self.raw.put(self.bucket, "again", body, SSE_KMS.write)).status != 200:
            assert reply.status in (503, 507), reply.status
            assert time.monotonic() < deadline, f"uploads are refused for ever: {self.readiness()}"
            time.sleep(0.1)
        self.stored["again"] = body
        assert self.readiness() == (200, {"status": "ok"})
        assert self.server.metric("strongroom_storage_writable") == 1

    def wait_until_full(self):
        self.wait_for("strongroom_storage_writable", 0)

    def wait_for(self, metric, value):
        """The metrics show the disk at the server's last check, which may have been while it was still filling up."""
        deadline = time.monotonic() + SECONDS
        while (found := self.server.metric(metric)) != value:
            assert time.monotonic() < deadline, f"{metric} is {found} and never {value}"
            time.sleep(0.05)

    def end(self):
        self.server.remove()
        self.disks.close()


@pytest.fixture
def small(tmp_path_factory):
    """Makes servers on small disks, and removes them in the end."""
    made = []

    def make(**options):
        made.append(Small(tmp_path_factory.mktemp("small") / "home", **options))
        return made[-1]

    yield make
    for one in made:
        one.end()


def test_a_full_disk_is_a_clear_error_and_the_server_goes_on(small):
    disk = small().start()
    raw, bucket, stored, refused = disk.raw, make_bucket(disk.server), {}, None
    for number in range(2 * DISK_MIB):
        body = random_body(MIB)
        reply = raw.put(bucket, f"object-{number}", body, SSE_KMS.write)
        if reply.status != 200:
            refused = reply
            break
        stored[f"object-{number}"] = body
    assert refused is not None, "the disk was not filled"
    refused.fails(507, "InsufficientStorage")
    assert "full" in refused.message.lower()
    assert len(stored) > DISK_MIB // 2
    disk.bucket, disk.stored = bucket, stored
    disk.reads_go_on()
    raw.get(bucket, f"object-{len(stored)}").fails(404, "NoSuchKey")
    assert disk.server.health("live") == 200
    disk.delete(10)
    disk.uploads_come_back(MIB)


def test_when_another_process_fills_the_disk_reads_and_deletes_go_on_to_the_last_byte(small):
    disk = small().start().store()
    upload = disk.raw.begin_upload(disk.bucket, "begun")
    disk.raw.upload_part(disk.bucket, "begun", upload, 1, random_body(100_000)).ok()
    sent, body = disk.raw.begin_upload(disk.bucket, "sent", SSE_KMS.write), random_body(100_000)
    etag = disk.raw.upload_part(disk.bucket, "sent", sent, 1, body).ok().etag
    disk.disks.fill(disk.filler)
    disk.wait_until_full()
    assert disk.disks.free_bytes(disk.data) == 0
    disk.uploads_are_refused()
    disk.raw.upload_part(disk.bucket, "begun", upload, 2, random_body(100_000)).fails(507, "InsufficientStorage")
    disk.reads_go_on(times=5)
    disk.raw.complete(disk.bucket, "sent", sent, {1: etag}).ok()
    disk.stored["sent"] = body
    disk.delete(8)
    disk.raw.request("DELETE", f"/{disk.bucket}/begun", query={"uploadId": upload}).ok(204)
    keys = "".join(f"<Object><Key>{key}</Key></Object>" for key in list(disk.stored)[:4])
    gone = disk.raw.request("POST", f"/{disk.bucket}", query={"delete": ""}, body=f"<Delete>{keys}</Delete>".encode())
    assert b"<Error>" not in gone.ok().body
    for key in list(disk.stored)[:4]:
        del disk.stored[key]
    disk.reads_go_on()
    disk.disks.remove(disk.filler)
    disk.uploads_come_back()


def test_health_metrics_and_a_few_lines_of_the_log_tell_of_a_full_disk(small):
    disk = small().start().store()
    assert disk.readiness() == (200, {"status": "ok"})
    assert disk.server.metric("strongroom_disk_reserve_bytes") == disk.server.metric("strongroom_disk_reserve_limit_bytes") > 4 * MIB
    disk.disks.fill(disk.filler)
    disk.wait_until_full()
    lines = len(disk.server.log_text().splitlines())
    before = disk.server.metric("strongroom_storage_refused_total")
    for _ in range(200):
        disk.raw.put(disk.bucket, "new", b"x" * 1000).fails(507, "InsufficientStorage")
    assert disk.readiness() == (200, {"status": "ok", "storage": "full"})
    assert disk.server.metric("strongroom_ready") == 1, "it reads and deletes"
    disk.wait_for("strongroom_disk_free_bytes", 0)
    assert disk.server.metric("strongroom_disk_writable") == 0
    assert disk.server.metric("strongroom_storage_refused_total") == before + 200
    assert disk.server.metric("strongroom_audit_writable") == 1
    loud = [line for line in disk.server.log_text().splitlines()[lines:] if "ERROR" in line or "WARN" in line]
    assert len(loud) < 10, loud
    assert "the disk is full" in disk.server.log_text()


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_server_that_starts_on_a_completely_full_disk_reads_and_deletes(small, end):
    disk = small().start().store()
    if end == "kill":
        disk.disks.fill(disk.filler)
        disk.wait_until_full()
        disk.delete(1)
        disk.server.kill()
    else:
        assert disk.server.stop() == 0
    disk.disks.fill(disk.filler)
    for _ in range(2):
        disk.start()
        disk.wait_until_full()
        disk.reads_go_on()
        disk.delete(3)
        disk.uploads_are_refused()
        disk.server.kill() if end == "kill" else disk.server.stop()
    disk.start()
    disk.reads_go_on()
    disk.disks.remove(disk.filler)
    disk.uploads_come_back()


def test_a_process_that_grabs_every_free_byte_takes_nothing_of_what_is_kept(small):
    disk = small().start().store()
    disk.disks.fill(disk.filler)
    grabber = disk.disks.grab(disk.data / "of-a-grabber")
    disk.wait_until_full()
    for _ in range(4):
        disk.reads_go_on(times=2)
        disk.delete(4)
    disk.reads_go_on()
    grabber.kill()
    grabber.wait()
    disk.disks.remove(disk.filler)
    disk.disks.remove(disk.data / "of-a-grabber")
    disk.uploads_come_back()


def test_deletes_that_are_killed_on_a_full_disk_are_whole_or_have_not_been(small):
    """The server is killed while clients delete. Every object whose delete was acknowledged is gone; all others are there."""
    disk = small().start().store()
    disk.disks.fill(disk.filler)
    disk.wait_until_full()
    keys, gone, raw = list(disk.stored), [], disk.raw

    def work(own):
        for key in own:
            try:
                if raw.delete(disk.bucket, key).status == 204:
                    gone.append(key)
            except (OSError, http.client.HTTPException):
                return
            # Not "==": two threads may come to 7 before either of them looks.
            if len(gone) >= 6:
                disk.server.process.kill()

    threads = [threading.Thread(target=work, args=(keys[part::4],)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    disk.server.kill()
    disk.start()
    left = disk.listed()
    assert not set(left) & set(gone) and len(gone) >= 6
    for key in left:
        assert disk.raw.get(disk.bucket, key).ok().body == disk.stored[key]
    disk.stored = {key: disk.stored[key] for key in left}
    disk.disks.remove(disk.filler)
    disk.uploads_come_back()


def test_a_disk_without_files_is_full_as_one_without_bytes_is(small):
    disk = small(options=f"{DISK},nr_inodes=900").start().store()
    disk.disks.fill_files(disk.data / "of-another-process")
    disk.wait_until_full()
    disk.wait_for("strongroom_disk_free_files", 0)
    disk.uploads_are_refused()
    disk.reads_go_on()
    disk.delete(6)
    disk.server.stop()
    disk.disks.fill_files(disk.data / "of-another-process")
    disk.start()
    disk.reads_go_on()
    disk.delete(4)
    disk.disks.remove(disk.data / "of-another-process")
    disk.uploads_come_back()


def test_a_reserve_that_reads_have_used_up_ends_them_and_readiness_says_so(small):
    disk = small(config=CONFIG + "disk_reserve_mib = 1\n").start().store()
    disk.disks.fill(disk.filler)
    disk.wait_until_full()
    reads = 0
    while (reply := disk.raw.get(disk.bucket, "object-00")).status == 200:
        reads += 1
        assert reads < 5000, "256 KiB hold so many records?"
    reply.fails(503, "InternalError")
    assert "audit log" in reply.message
    assert reads > 200, f"{reads} records were all that was kept room for"
    assert disk.readiness() == (503, {"status": "unavailable", "audit": "unwritable", "storage": "full"})
    assert disk.server.metric("strongroom_ready") == 0
    disk.delete(5)
    disk.disks.remove(disk.filler)
    disk.uploads_come_back()
    disk.reads_go_on()


def test_on_a_full_disk_the_audit_log_goes_on_in_its_present_file_and_begins_the_next_one_when_there_is_room(small):
    """With so short a retention a file is ended after 128 KiB, which is some 300 reads."""
    disk = small(config=CONFIG + "audit_retention_mib = 1\n").start().store()
    disk.disks.fill(disk.filler)
    disk.wait_until_full()
    for _ in range(60):
        disk.reads_go_on()
    assert "the audit log cannot begin its next file" in disk.server.log_text()
    [size] = disk.disks.run("sh", "-c", f"cat {disk.data}/audit/audit-*.jsonl | wc -c").split()
    assert int(size) > 300_000, size
    disk.disks.remove(disk.filler)
    disk.uploads_come_back()
    deadline = time.monotonic() + SECONDS
    while not rotated(disk):
        assert time.monotonic() < deadline, "no other file is begun"
        disk.reads_go_on()
    assert disk.server.stop() == 0
    verified = disk.disks.run(str(BINARY), "audit", "--json", "verify", f"{disk.data}/audit")
    assert json.loads(verified)["findings"] == []


def rotated(disk):
    """Whether a file was ended."""
    return len(disk.disks.run("ls", f"{disk.data}/audit").split()) > 1


@pytest.fixture
def apart(small, tmp_path_factory):
    """Data, audit log and keys, each on a disk of its own."""
    home = tmp_path_factory.mktemp("apart")
    audit, secrets = home / "audit", home / "secrets"
    for path in (audit, secrets):
        path.mkdir()
    disk = small(
        config=f'{CONFIG}audit_dir = "{audit}"\n[kms]\nkey_dir = "{secrets}/kms"\n',
        others={audit: "size=16m", secrets: "size=4m"},
    )
    disk.audit, disk.secrets = audit, secrets
    return disk.start().store()


def test_a_full_disk_of_the_audit_log_stops_uploads_and_not_reads(apart):
    apart.disks.fill(apart.audit / "of-another-process")
    apart.wait_until_full()
    apart.uploads_are_refused()
    apart.reads_go_on(times=5)
    apart.delete(10)
    text = apart.server.fetch(f"https://127.0.0.1:{apart.server.admin_port}/metrics")[1]
    assert 'strongroom_disk_writable{volume="audit"} 0' in text and 'strongroom_disk_writable{volume="data"} 1' in text
    apart.disks.remove(apart.audit / "of-another-process")
    apart.uploads_come_back()


def test_a_full_disk_of_the_data_stops_uploads_and_not_reads_where_the_audit_log_lies_elsewhere(apart):
    apart.disks.fill(apart.filler)
    apart.wait_until_full()
    apart.uploads_are_refused()
    apart.reads_go_on(times=5)
    apart.delete(10)
    apart.disks.remove(apart.filler)
    apart.uploads_come_back()


def test_a_full_disk_of_the_keys_stops_new_keys_and_nothing_else(apart):
    apart.disks.fill(apart.secrets / "of-another-process")
    apart.reads_go_on()
    apart.raw.put(apart.bucket, "new", random_body(600_000), SSE_KMS.write).ok()
    admin = Admin(apart.server)
    admin.reply("POST", "/keys", {"name": "another"}).fails(503, "KmsUnavailable")
    apart.raw.put(apart.bucket, "new", random_body(20_000), SSE_KMS.write).ok()
    assert apart.readiness() == (200, {"status": "ok"})
    apart.disks.remove(apart.secrets / "of-another-process")
    admin.create_key("another")


ANSWERS = {
    errno.EIO: (503, "ServiceUnavailable"),
    errno.EROFS: (503, "ServiceUnavailable"),
    errno.EDQUOT: (507, "InsufficientStorage"),
    errno.ENOSPC: (507, "InsufficientStorage"),
}
STATES = {errno.EIO: "failing", errno.EROFS: "read-only", errno.EDQUOT: "full", errno.ENOSPC: "full"}


@pytest.mark.parametrize("size", [20_000, 600_000])
@pytest.mark.parametrize("number", ANSWERS, ids=errno.errorcode.get)
def test_a_disk_that_answers_writes_with_an_error_is_told_of_and_taken_again_when_it_works(tmp_path, number, size):
    home, audit = tmp_path / "home", tmp_path / "audit"
    (home / "data").mkdir(parents=True, mode=0o700)
    fault = Fault(tmp_path, home / "data")
    server = Server(home, f'{CONFIG}audit_dir = "{audit}"\n', env=fault.env).start()
    try:
        raw, bucket, body = server.raw(), make_bucket(server), random_body(size)
        raw.put(bucket, "object", body, SSE_KMS.write).ok()
        raw.put(bucket, "other", body, SSE_KMS.write).ok()
        fault.begin(number)
        for _ in range(4):
            refused = raw.put(bucket, "new", body, SSE_KMS.write).fails(*ANSWERS[number])
            assert "nothing was" in refused.message
        assert raw.get(bucket, "object").ok().body == body, "the audit log lies elsewhere"
        raw.get(bucket, "new").fails(404, "NoSuchKey")
        raw.delete(bucket, "other").fails(*ANSWERS[number])
        assert raw.get(bucket, "other").ok().body == body
        reply = raw.request("GET", "/health/ready", sign=False)
        assert json.loads(reply.body) == {"status": "ok", "storage": STATES[number]}
        assert server.metric("strongroom_storage_writable") == 0
        fault.end()
        deadline = time.monotonic() + SECONDS
        while (reply := raw.put(bucket, "new", body, SSE_KMS.write)).status != 200:
            reply.fails(*ANSWERS[number])
            assert time.monotonic() < deadline
            time.sleep(0.1)
        raw.delete(bucket, "other").ok(204)
        assert raw.get(bucket, "new").ok().body == body
        raw.get(bucket, "other").fails(404, "NoSuchKey")
        assert server.metric("strongroom_storage_writable") == 1
        assert server.stop() == 0
        raw = server.start().raw()
        assert raw.get(bucket, "new").ok().body == body
        raw.get(bucket, "other").fails(404, "NoSuchKey")
    finally:
        server.remove()
