"""Signed requests of every operation, altered by chance: no panic, no error that is not documented, nobody's object touched.

`make fuzz` sends a million. What was sent before a failure is in the message, with the seed and the number that make it again.
"""

import contextlib
import os
import time
import xml.parsers.expat

import pytest

from attacks.field import CONFIG, MARK, USERS, Field, allow
from attacks.mutations import Mutator, chance_of
from attacks.row import KEYS, STORE
from harness.wire import QUIET_SECONDS, Wire

SHARDS = 4
SEED = os.environ.get("STRONGROOM_TEST_FUZZ_SEED", "0")
REQUESTS = int(os.environ.get("STRONGROOM_TEST_FUZZ_REQUESTS", "0"))
SECONDS = 8  # without a number of requests
BATCH = 2000  # then the canaries are looked at
BUCKET_LIFE = 200  # requests until a new bucket begins: sooner or later one of them takes away what the others need
PATIENCE_SECONDS = 20
FUZZER = [
    allow("s3:*", resource=["arn:aws:s3:::fuzz-*", "arn:aws:s3:::fuzz-*/*"]),
    allow("s3:ListAllMyBuckets"),
    allow("kms:*", resource="arn:aws:kms:::key/fuzz-*"),
    allow("kms:GenerateDataKey", "kms:Decrypt", resource="arn:aws:kms:::key/default"),
    allow("strongroom:GetKmsStatus", "strongroom:GetKeyUsage", "strongroom:ReadAudit", "strongroom:GetRekeyJobs"),
]
# The documented answers beyond 499: what S3 has and this store has not, another version of HTTP, and too much at once.
DOCUMENTED = {(501, "NotImplemented"), (505, None), (503, "SlowDown")}


class Fuzz:
    """One shard: a server of its own, and connections that are kept while the server keeps them."""

    def __init__(self, home, shard):
        slow = "body_idle_timeout_seconds = 5\nrequest_header_timeout_seconds = 5\n"
        assert slow in CONFIG
        quiet = CONFIG.replace(slow, "body_idle_timeout_seconds = 2\nrequest_header_timeout_seconds = 2\nlog_level = 'warn'\n")
        self.field = Field(home, quiet, USERS | {"fuzzer": FUZZER})
        self.shard, self.sent, self.wires, self.statuses = shard, 0, {}, {}
        self.field.admin.create_key("fuzz-key")
        self.before = self.canaries()

    def canaries(self):
        """What no request of the fuzzer may change."""
        seen = self.field.state((STORE, KEYS)).seen
        keys = {key: self.field.admin.key(key)["key_state"] for key in ("victim-key", "mallory-key", "default")}
        return {name: value for name, value in seen[STORE].items() if name != "buckets"} | {"status": seen[KEYS]["status"], "keys": keys}

    def mutator(self, number):
        """For a new bucket, with an object and an upload."""
        raw, bucket = self.field.server.raw(), f"fuzz-{self.shard}-{number}"
        raw.request("PUT", f"/{bucket}").ok()
        raw.put(bucket, "secret", b"the fuzzer's own").ok()
        upload = raw.begin_upload(bucket, "upload")
        etag = raw.upload_part(bucket, "upload", upload, 1, b"part").ok().etag
        hosts = {admin: f"127.0.0.1:{self.field.port(admin)}" for admin in (False, True)}
        return Mutator(self.field.credentials("fuzzer"), hosts, bucket, upload, etag)

    def run(self, count, deadline):
        while self.sent < count and time.monotonic() < deadline:
            for place in range(min(BATCH, count - self.sent)):
                if time.monotonic() >= deadline:
                    break
                if place % BUCKET_LIFE == 0:
                    mutator = self.mutator(self.sent)
                self.one(mutator)
            assert self.canaries() == self.before, f"changed within the requests before {self.sent} of seed {SEED}"

    def one(self, mutator):
        chance = chance_of(f"{SEED}/{self.shard}", self.sent)
        self.sent += 1
        attempt = mutator.attempt(chance)
        try:
            self.check(attempt, self.send(attempt))
        except (AssertionError, OSError, xml.parsers.expat.ExpatError) as error:
            sent = attempt.data if len(attempt.data) < 6000 else attempt.data[:6000] + b"..."
            raise AssertionError(
                f"{error!r}\nseed {SEED}, shard {self.shard}, request {self.sent - 1} to the {'admin' if attempt.admin else 'S3'} port:\n{sent!r}"
            ) from error

    def send(self, attempt):
        """The answer; none where the connection was closed instead."""
        if attempt.broken:
            # What follows a broken request may be taken for its body: nothing follows it.
            with self.wire(attempt.admin) as wire:
                wire.send(attempt.data)
                if not attempt.admin:
                    return self.first(wire.end_of_sending(), attempt)
                # Under TLS nothing says that no more will come, and a server that waits for it is right.
                wire.socket.settimeout(QUIET_SECONDS)
                with contextlib.suppress(TimeoutError):
                    return self.first(wire, attempt)
                return None
        for fresh in (False, True):
            wire = self.kept(attempt.admin, fresh)
            reply = self.first(wire.send(attempt.data), attempt)
            if reply is None or reply.headers.get("connection") == "close":
                self.wires.pop(attempt.admin).close()
            if reply is not None or fresh:
                return reply
        return None

    @staticmethod
    def first(wire, attempt):
        return next(iter(wire.receive(attempt.request.method).replies), None)

    def wire(self, admin):
        return Wire(self.field.port(admin), self.field.context if admin else None, timeout=PATIENCE_SECONDS)

    def kept(self, admin, fresh):
        if fresh and admin in self.wires:
            self.wires.pop(admin).close()
        if admin not in self.wires:
            self.wires[admin] = self.wire(admin)
        return self.wires[admin]

    def check(self, attempt, reply):
        if reply is None:
            assert attempt.broken, "no answer"
            return
        self.statuses[reply.status] = self.statuses.get(reply.status, 0) + 1
        assert MARK.encode() not in reply.body and MARK not in repr(reply.headers), "the answer shows what is the victim's"
        assert reply.complete or attempt.broken, "the answer is cut"
        if attempt.forged:
            assert reply.status >= 400, f"{reply.status} to a forged request"
        if reply.status >= 500:
            code = reply.code if reply.complete and attempt.request.method != "HEAD" else None
            assert (reply.status, code) in DOCUMENTED or (reply.status == 501 and attempt.request.method == "HEAD"), (
                f"{reply.status} {code}: {reply.body[:300]!r}"
            )
        if reply.complete and reply.headers.get("content-type") == "application/xml" and reply.body:
            xml.parsers.expat.ParserCreate().Parse(reply.body, True)

    def close(self):
        for wire in self.wires.values():
            wire.close()
        assert self.field.alive(), f"the server is dead:\n{self.field.server.log_text()[-2000:]}"
        assert self.field.server.stop() == 0
        log = self.field.server.log_text()
        self.field.server.remove()
        errors = [line for line in log.splitlines() if " ERROR " in line and 'code="NotImplemented"' not in line]
        assert "panicked" not in log and not errors, errors[:5] or log[-3000:]


@pytest.mark.timeout(0 if REQUESTS else 120)
@pytest.mark.parametrize("shard", range(SHARDS))
def test_no_altered_request_breaks_the_server_or_touches_what_is_another_s(shard, tmp_path_factory):
    fuzz = Fuzz(tmp_path_factory.mktemp("fuzz") / "home", shard)
    deadline = time.monotonic() + (SECONDS if not REQUESTS else 1e9)
    fuzz.run(REQUESTS // SHARDS if REQUESTS else 1 << 62, deadline)
    fuzz.close()
    print(f"shard {shard}: {fuzz.sent} requests, answers {dict(sorted(fuzz.statuses.items()))}")
    # Enough of them are what the operations themselves answer to, and enough are refused.
    total = sum(fuzz.statuses.values())
    assert fuzz.statuses.get(200, 0) > total / 20 and fuzz.statuses.get(403, 0) > total / 20, fuzz.statuses
