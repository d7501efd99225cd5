"""What was acknowledged is on the disk: the order of the server's own system calls shows it."""

import pytest

from harness import disk, trace
from harness.server import Server
from harness.sse import SSE_KMS, random_body

SYNCS = ("fdatasync", "fsync")
WRITES = ("write", "writev", "pwrite64", "pwritev")


class Run:
    """A server that stored a blob and an inline object over HTTP, where the bytes of the answers can be read."""

    def __init__(self, directory):
        server = Server(directory / "home", prefix=trace.prefix(directory / "trace")).start()
        try:
            raw = server.raw()
            raw.request("PUT", "/bucket").ok()
            before = disk.blobs(server)
            self.blob_reply = raw.put("bucket", "key-of-the-blob", random_body(300_000), SSE_KMS.write, tls=False).ok()
            [self.blob] = disk.new_blobs(server, before)
            before = disk.blobs(server)
            self.inline_reply = raw.put("bucket", "key-of-the-inline-one", random_body(300), SSE_KMS.write, tls=False).ok()
            assert disk.new_blobs(server, before) == []
            self.wal = server.data / "catalog.db-wal"
            assert server.stop() == 0
            self.calls = trace.calls(directory / "trace")
        finally:
            server.remove()

    def all(self, names, path, holding=""):
        return [call for call in self.calls if call.name in names and call.path == str(path) and holding in call.text]

    def answer(self, reply):
        """The call that sent this answer."""
        [found] = [call for call in self.calls if f"x-amz-request-id: {reply.headers['x-amz-request-id']}" in call.text and "HTTP/1.1 200" in call.text]
        return found

    def synced(self, path, after):
        """The first sync of that file begun after a call had returned."""
        found = [call for call in self.all(SYNCS, path) if call.began > after.returned]
        assert found, f"{path} is not synced after {after.text[:100]}"
        assert found[0].result == 0
        return found[0]

    def committed(self, key, reply):
        """The sync of the catalog's log after the last write of that key into it before the answer."""
        rows = [call for call in self.all(WRITES, self.wal, key) if call.began < self.answer(reply).began]
        assert rows, "nothing of the key is in the log"
        return self.synced(self.wal, rows[-1])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Run(tmp_path_factory.mktemp("traced"))


def test_an_acknowledged_blob_was_synced_before(run):
    """The power fails after the 200: the bytes, their name and the row that points to them must all be there."""
    written = run.all(WRITES, f"{run.blob}.part")
    assert written, "the blob is written under a name of its own"
    [renamed] = run.all(("rename", "renameat", "renameat2"), run.blob)
    data = run.synced(run.blob, written[-1])
    name = run.synced(run.blob.parent, renamed)
    rows = run.all(WRITES, run.wal, "key-of-the-blob")
    assert max(data.returned, name.returned) < rows[0].began, "no row points to what may be lost"
    assert run.committed("key-of-the-blob", run.blob_reply).returned < run.answer(run.blob_reply).began


def test_an_acknowledged_inline_object_was_synced_before(run):
    """The power fails after the 200: the row has everything, and is in the log that is read after a crash."""
    assert run.committed("key-of-the-inline-one", run.inline_reply).returned < run.answer(run.inline_reply).began


def test_a_directory_of_blobs_is_synced_into_its_parent_before_a_blob_in_it_is_acknowledged(run):
    [made] = run.all(("mkdir", "mkdirat"), run.blob.parent)
    assert run.synced(run.blob.parent.parent, made).returned < run.answer(run.blob_reply).began
