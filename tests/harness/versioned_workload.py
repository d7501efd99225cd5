"""Writers in a versioned bucket that remember every acknowledged version and delete marker, so that a crash in their midst can be judged.

As in `workload`, each writer has keys of its own and does one thing at a time. After a crash a key has the acknowledged versions under their ids, in
their order, and besides what the one unacknowledged request would have added, or without what it would have deleted.
"""

import random
from dataclasses import dataclass

from harness.sigv4 import quote_path
from harness.workload import MODES, PART_BYTES, Content, acknowledged, holds

MARKER = "a delete marker"
MOST_VERSIONS = 8  # of a key: every one is read after every crash


@dataclass
class Pending:
    """The request under way: what it adds to a key's versions, or the id of the version that it deletes."""

    key: str
    adds: object = None
    deletes: str = None


class VersionedState:
    """What one writer knows of its keys."""

    def __init__(self, name, seed):
        self.random = random.Random(seed)
        self.name = name
        self.keys = [f"{name}/key-{number}" for number in range(3)]
        self.known = {key: [] for key in self.keys}  # acknowledged: (id, content or MARKER), the oldest first
        self.pending = None
        self.count = self.acknowledged = 0

    def step(self, client, bucket):
        key = self.random.choice(self.keys)
        if len(self.known[key]) >= MOST_VERSIONS:
            self.delete_version(client, bucket, key)
        else:
            kinds = [self.put_small, self.put_large, self.multipart, self.restore, self.delete, self.delete_version]
            self.random.choices(kinds, [30, 20, 6, 20, 15, 25])[0](client, bucket, key)
        self.acknowledged += 1

    def given(self):
        """Headers that give more to a new version."""
        return {}

    def content(self, *lengths):
        self.count += 1
        return Content(f"{self.name}#{self.count}", lengths, self.random.choice(MODES))

    def add(self, key, what, send):
        self.pending = Pending(key, adds=what)
        version = acknowledged(send()).headers["x-amz-version-id"]
        self.known[key].append((version, what))
        self.pending = None

    def put_small(self, client, bucket, key):
        content = self.content(self.random.randrange(2000))
        self.add(key, content, lambda: client.put(bucket, key, content.body(), content.mode.write | self.given()))

    def put_large(self, client, bucket, key):
        content = self.content(self.random.randrange(140_000, 1_000_000))
        self.add(key, content, lambda: client.put(bucket, key, content.body(), content.mode.write | self.given()))

    def multipart(self, client, bucket, key):
        content = self.content(*self.random.choice([(70_000,), (PART_BYTES, 1000)]))
        upload = acknowledged(client.create_upload(bucket, key, content.mode.write | self.given())).xml().findtext("UploadId")
        etags = {}
        for number in range(1, len(content.parts) + 1):
            reply = client.upload_part(bucket, key, upload, number, content.piece(number - 1), content.mode.read)
            etags[number] = acknowledged(reply).etag
        self.add(key, content, lambda: client.complete(bucket, key, upload, etags, content.mode.read))

    def restore(self, client, bucket, key):
        """A copy of any version of any key, often of the same one."""
        source = self.random.choice([key, *self.keys])
        found = [(version, content) for version, content in self.known[source] if content is not MARKER]
        if not found:
            return
        version, content = self.random.choice(found)
        target = content.under(self.random.choice(MODES))
        headers = {"x-amz-copy-source": quote_path(f"/{bucket}/{source}") + f"?versionId={version}"} | target.mode.write | content.mode.source
        self.add(key, target, lambda: client.put(bucket, key, b"", headers))

    def delete(self, client, bucket, key):
        self.add(key, MARKER, lambda: client.delete(bucket, key))

    def delete_version(self, client, bucket, key):
        if not self.known[key]:
            return
        version, _ = entry = self.random.choice(self.known[key])
        self.pending = Pending(key, deletes=version)
        acknowledged(client.delete(bucket, key, query={"versionId": version}))
        self.known[key].remove(entry)
        self.pending = None

    # ---- after a crash

    def verify(self, client, bucket):
        """Compares the server with what is known, and takes over which of the two outcomes the unacknowledged request had."""
        listed = listed_versions(client, bucket, f"{self.name}/")
        assert set(listed) <= set(self.keys), f"keys that nobody wrote: {set(listed) - set(self.keys)}"
        for key in self.keys:
            self.take_over(key, listed.get(key, []))
            self.verify_key(client, bucket, key)
        self.pending = None

    def take_over(self, key, entries):
        """`entries` are (id, whether it is a marker), the oldest first."""
        known, pending = self.known[key], self.pending
        if pending is not None and pending.key == key:
            without = [entry for entry in known if entry[0] != pending.deletes]
            if pending.deletes is not None and len(entries) == len(without):
                known = without
            elif pending.adds is not None and len(entries) == len(known) + 1:
                known = [*known, (entries[-1][0], pending.adds)]
        expected = [(version, content is MARKER) for version, content in known]
        assert entries == expected, f"{key} has {entries}, acknowledged was {expected}, under way was {pending}"
        self.known[key] = known

    def verify_key(self, client, bucket, key):
        versions = self.known[key]
        for version, content in versions:
            if content is MARKER:
                reply = client.get(bucket, key, query={"versionId": version})
                assert (reply.status, reply.headers.get("x-amz-delete-marker")) == (405, "true"), f"{key} {version}: {reply.status}"
            else:
                assert holds(client, bucket, key, content, version), f"{key} {version} is not what was acknowledged"
        latest, content = versions[-1] if versions else (None, MARKER)
        reply = client.head(bucket, key, content.mode.read if content is not MARKER else {})
        assert reply.headers.get("x-amz-version-id") == latest, f"{key}: the latest is not {latest}"
        assert reply.status == (404 if content is MARKER else 200), f"{key}: {reply.status}"


def listed_versions(client, bucket, prefix):
    """(id, whether it is a marker) of each version by key, the oldest first, read in pages of seven; exactly the newest of a key says that it is the latest."""
    found, query = {}, {"versions": "", "prefix": prefix, "max-keys": "7"}
    while True:
        page = client.request("GET", f"/{bucket}", query=query).ok().xml()
        for entry in page:
            if entry.tag in ("Version", "DeleteMarker"):
                of_key = found.setdefault(entry.findtext("Key"), [])
                assert (entry.findtext("IsLatest") == "true") == (not of_key), f"{entry.findtext('Key')}: which version is the latest"
                of_key.insert(0, (entry.findtext("VersionId"), entry.tag == "DeleteMarker"))
        if page.findtext("IsTruncated") != "true":
            return found
        query |= {"key-marker": page.findtext("NextKeyMarker"), "version-id-marker": page.findtext("NextVersionIdMarker")}
