"""Writers in a bucket with Object Lock that tag versions, retain them, hold them, and try to delete what is locked.

As in `versioned_workload`, and besides: after a crash each version has the tags and the lock that were acknowledged last, or those of the one
unacknowledged request; and no version is gone while it was locked.
"""

import time
from dataclasses import dataclass, field, replace

from harness.versioned_workload import MARKER, Pending, VersionedState
from harness.workload import acknowledged

RETENTION, LEGAL_HOLD = {"retention": ""}, {"legal-hold": ""}
BYPASS = {"x-amz-bypass-governance-retention": "true"}
MARGIN_SECONDS = 2  # nearer to its end nobody can tell whether a retention holds when the request arrives


@dataclass(frozen=True)
class Attributes:
    """Tags, retention as (mode, until when in seconds since 1970), and legal hold of a version."""

    tags: dict = field(default_factory=dict)
    retention: tuple = None
    hold: bool = False


def iso(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def seconds_of(text):
    return int(time.mktime(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone)


def tagging(tags):
    found = "".join(f"<Tag><Key>{key}</Key><Value>{value}</Value></Tag>" for key, value in tags.items())
    return f"<Tagging><TagSet>{found}</TagSet></Tagging>".encode()


class LockedState(VersionedState):
    """What one writer knows of its keys, and of the tags and locks of their versions."""

    def __init__(self, name, seed):
        super().__init__(name, seed)
        self.attributes = {}  # of each version, by its id: acknowledged
        self.of_new = Attributes()  # what the version under way is given
        self.changed = None  # the change under way: (version id, its attributes then)
        self.refused = 0

    def step(self, client, bucket):
        if self.random.random() < 0.4:
            super().step(client, bucket)
        else:
            self.random.choice([self.tag, self.retain, self.hold, self.delete_version])(client, bucket, self.random.choice(self.keys))
            self.acknowledged += 1

    # ---- new versions

    def given(self):
        tags = {f"t{number}": str(self.count) for number in range(self.random.randrange(3))}
        retention = (self.mode(), self.until()) if self.random.random() < 0.3 else None
        self.of_new = Attributes(tags, retention, self.random.random() < 0.2)
        headers = {"x-amz-tagging": "&".join(f"{key}={value}" for key, value in tags.items())} if tags else {}
        headers |= {"x-amz-object-lock-legal-hold": "ON"} if self.of_new.hold else {}
        if retention:
            headers |= {"x-amz-object-lock-mode": retention[0], "x-amz-object-lock-retain-until-date": iso(retention[1])}
        return headers

    def add(self, key, what, send):
        if what is MARKER:
            self.of_new = Attributes()
        super().add(key, what, send)
        self.attributes[self.known[key][-1][0]] = self.of_new

    def restore(self, client, bucket, key):
        """Copies keep the tags and never the lock."""
        before = {version: attributes.tags for version, attributes in self.attributes.items()}
        put = client.put

        def copied(bucket, key, body, headers):
            source = headers["x-amz-copy-source"].rsplit("=", 1)[1]
            self.of_new = Attributes(tags=before[source])
            return put(bucket, key, body, headers)

        client.put = copied
        try:
            super().restore(client, bucket, key)
        finally:
            del client.put

    # ---- changes of a version

    def mode(self):
        return self.random.choice(["GOVERNANCE", "COMPLIANCE"])

    def until(self):
        return int(time.time()) + self.random.randrange(6, 12)

    def version(self, key):
        """Any version of the key that is no marker, and its attributes."""
        versions = [version for version, content in self.known[key] if content is not MARKER]
        version = self.random.choice(versions) if versions else None
        return version, self.attributes.get(version)

    def change(self, version, attributes, send):
        self.changed = (version, attributes)
        acknowledged(send())
        self.attributes[version] = attributes
        self.changed = None

    def tag(self, client, bucket, key):
        version, present = self.version(key)
        if version is None:
            return
        self.count += 1
        tags = {f"t{number}": f"{self.count}" for number in range(self.random.randrange(4))}
        query = {"tagging": "", "versionId": version}
        if tags:
            self.change(version, replace(present, tags=tags), lambda: client.put(bucket, key, tagging(tags), query=query))
        else:
            self.change(version, replace(present, tags={}), lambda: client.delete(bucket, key, query=query))

    def retain(self, client, bucket, key):
        """Longer than before, and no weaker."""
        version, present = self.version(key)
        if version is None:
            return
        mode, until = self.mode(), self.until()
        if present.retention and present.retention[1] > time.time() - MARGIN_SECONDS:
            mode, until = ("COMPLIANCE" if present.retention[0] == "COMPLIANCE" else mode), max(until, present.retention[1] + 1)
        body = f"<Retention><Mode>{mode}</Mode><RetainUntilDate>{iso(until)}</RetainUntilDate></Retention>".encode()
        query = RETENTION | {"versionId": version}
        self.change(version, replace(present, retention=(mode, until)), lambda: client.put(bucket, key, body, BYPASS, query=query))

    def hold(self, client, bucket, key):
        version, present = self.version(key)
        if version is not None:
            self.set_hold(client, bucket, key, version, not present.hold)

    def set_hold(self, client, bucket, key, version, on):
        body = f"<LegalHold><Status>{'ON' if on else 'OFF'}</Status></LegalHold>".encode()
        query = LEGAL_HOLD | {"versionId": version}
        self.change(version, replace(self.attributes[version], hold=on), lambda: client.put(bucket, key, body, query=query))

    def delete_version(self, client, bucket, key):
        if not self.known[key]:
            return
        version, content = entry = self.random.choice(self.known[key])
        bypass = self.random.random() < 0.5
        locked = content is not MARKER and self.is_locked(self.attributes[version], bypass)
        if locked is None:
            return
        self.pending = None if locked else Pending(key, deletes=version)
        reply = client.delete(bucket, key, BYPASS if bypass else {}, query={"versionId": version})
        if locked:
            assert (reply.status, reply.code) == (403, "AccessDenied"), f"{key} {version} is locked by {self.attributes[version]}: {reply.status} {reply.code}"
            self.refused += 1
            return
        acknowledged(reply)
        self.known[key].remove(entry)
        self.pending = None

    def is_locked(self, attributes, bypass):
        """None where nobody can tell."""
        if attributes.hold:
            return True
        if not attributes.retention:
            return False
        mode, until = attributes.retention
        if abs(until - time.time()) < MARGIN_SECONDS:
            return None
        return until > time.time() and not (mode == "GOVERNANCE" and bypass)

    # ---- after a crash

    def verify(self, client, bucket):
        super().verify(client, bucket)
        self.changed = None

    def take_over(self, key, entries):
        super().take_over(key, entries)
        for version, content in self.known[key]:
            if version not in self.attributes:
                self.attributes[version] = Attributes() if content is MARKER else self.of_new

    def verify_key(self, client, bucket, key):
        super().verify_key(client, bucket, key)
        for version, content in self.known[key]:
            if content is not MARKER:
                allowed = [self.attributes[version], *(then for changing, then in [self.changed or (None, None)] if changing == version)]
                found = attributes_of(client, bucket, key, version)
                assert found in allowed, f"{key} {version}: the tags and locks are {found}, and not {allowed}"
                self.attributes[version] = found

    def unlock(self, client, bucket):
        """Waits until nothing is retained, and lifts the holds."""
        for key, versions in self.known.items():
            for version, content in versions:
                if content is not MARKER and self.attributes[version].hold:
                    self.set_hold(client, bucket, key, version, False)
        ends = [self.attributes[version].retention[1] for versions in self.known.values() for version, _ in versions if self.attributes[version].retention]
        time.sleep(max(0, max(ends, default=0) + 1 - time.time()))


def attributes_of(client, bucket, key, version):
    """As the server tells them."""

    def read(what):
        return client.get(bucket, key, query=what | {"versionId": version})

    tags = {tag.findtext("Key"): tag.findtext("Value") for tag in read({"tagging": ""}).ok().xml().iter("Tag")}
    retention, hold = read(RETENTION), read(LEGAL_HOLD)
    if retention.status != 200:
        retention.fails(404, "NoSuchObjectLockConfiguration")
        retained = None
    else:
        found = retention.xml()
        retained = (found.findtext("Mode"), seconds_of(found.findtext("RetainUntilDate")))
    if hold.status != 200:
        hold.fails(404, "NoSuchObjectLockConfiguration")
    return Attributes(tags, retained, hold.status == 200 and hold.xml().findtext("Status") == "ON")
