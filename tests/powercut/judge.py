"""Whether a server that starts after a power cut knows everything that was acknowledged, and shows nothing half done."""

import gzip
import json
import re
import time

from harness.audit import verify
from harness.workload import holds
from powercut import client
from powercut.clients import BUCKET, CONTEXT, Key, Parts
from powercut.ledger import ABSENT

# What a server logs when it finds something wrong. A cut record at the end of the audit log is only a warning.
COMPLAINTS = re.compile(r"\bERROR\b|panicked|damaged|altered|cannot be opened")
RECEIPT_SECONDS = 20


class Judge:
    """Asks one server about everything, as of one moment."""

    def __init__(self, server, ledger, moment):
        self.server, self.ledger, self.moment = server, ledger, moment
        self.s3, self.admin = client.s3(server), client.admin(server)
        self.seen = {}

    def judge(self):
        for thing in self.ledger.things(self.moment):
            outcomes = self.ledger.outcomes(thing, self.moment)
            look = getattr(self, f"_{thing[0]}")
            self.seen[thing] = look(outcomes, *thing[1:])
        self._listing_is_complete()
        self._completions_are_whole()
        self._receipts_are_there()
        assert self.server.health("ready") == 200
        complaints = [line for line in self.server.log_text().splitlines() if COMPLAINTS.search(line)]
        assert not complaints, "the server complains:\n" + "\n".join(complaints[:20])

    # ---- one thing, which must be one of its outcomes; the one that it is

    def _object(self, outcomes, key):
        found = [content for content in outcomes if holds(self.s3, BUCKET, key, content)]
        assert found, f"the object {key} is none of {outcomes}"
        return found[-1]

    def _bucket(self, outcomes, name):
        if self.s3.request("HEAD", f"/{name}").status == 404:
            found = ABSENT
        else:
            reply = self.s3.request("GET", f"/{name}", query={"encryption": ""})
            found = "plain" if reply.status == 404 else reply.ok().xml().findtext("Rule/ApplyServerSideEncryptionByDefault/SSEAlgorithm")
        return _one_of(found, outcomes, f"the bucket {name}")

    def _upload(self, outcomes, key, upload):
        reply = self.s3.request("GET", f"/{BUCKET}/{key}", query={"uploadId": upload})
        if reply.status == 404:
            return _one_of(ABSENT, outcomes, f"the upload of {key}")
        found = {(int(part.findtext("PartNumber")), part.findtext("ETag").strip('"')) for part in reply.ok().xml().iter("Part")}
        for outcome in outcomes:
            further = found - outcome.etags if outcome is not ABSENT else None
            if further is not None and outcome.etags <= found and {number for number, _ in further} <= {outcome.pending}:
                return Parts(frozenset(found))
        raise AssertionError(f"the upload of {key} has {found}, which is none of {outcomes}")

    def _key(self, outcomes, name):
        reply = self.admin.reply("GET", f"/keys/{name}")
        if reply.status == 404:
            return _one_of(ABSENT, outcomes, f"the key {name}")
        assert reply.status == 200, f"the key {name}: {reply.status} {reply.body[:300]!r}"
        data = self.admin("GET", f"/keys/{name}")["key_metadata"]
        if data["key_state"] == "Erased":
            return _one_of(Key("Erased"), outcomes, f"the key {name}")
        assert [version["version"] for version in data["versions"]] == list(range(1, data["current_version"] + 1))
        return _one_of(Key(data["key_state"], data["current_version"], data["description"]), outcomes, f"the key {name}")

    def _wrapped(self, outcomes, name, blob):
        if ABSENT in outcomes:
            return None
        opened = self.admin("POST", "/decrypt", {"ciphertext_blob": blob, "encryption_context": CONTEXT})
        assert opened["plaintext_key"] == outcomes[-1], f"a data key under {name} opens as another"
        return outcomes[-1]

    def _setting(self, outcomes):
        found = self.admin("GET", "/config")["cache_ttl_seconds"]
        assert found in outcomes or ABSENT in outcomes, f"cache_ttl_seconds is {found}, none of {outcomes}"
        return found

    def _audited(self, outcomes, _):
        """Checked by `judge_audit`, after the server has ended."""
        return outcomes[-1]

    def _job(self, outcomes, job):
        reply = self.admin.reply("GET", f"/rekey/{job}")
        if reply.status == 404:
            return _one_of(ABSENT, outcomes, "a re-key job")
        state = self.admin("GET", f"/rekey/{job}")["state"]
        assert state in ("Running", "Completed") and (state in outcomes or "Running" in outcomes), f"the job is {state}, none of {outcomes}"
        return state

    # ---- several things together

    def _listing_is_complete(self):
        """What a listing shows is what can be read."""
        if self.seen.get(("bucket", BUCKET)) is ABSENT:
            return
        listed, after = set(), None
        while True:
            query = {"list-type": "2"} | ({"continuation-token": after} if after else {})
            page = self.s3.request("GET", f"/{BUCKET}", query=query).ok().xml()
            listed |= {entry.findtext("Key") for entry in page.iter("Contents")}
            after = page.findtext("NextContinuationToken")
            if not after:
                break
        there = {thing[1] for thing, content in self.seen.items() if thing[0] == "object" and content is not ABSENT}
        assert listed == there, f"listed and not there: {listed - there}; there and not listed: {there - listed}"

    def _completions_are_whole(self):
        """A completion under way has made the object and ended the upload, or neither."""
        for operation in self.ledger.under_way(self.moment):
            if operation.name == "complete":
                (to_object, content), (to_upload, _) = operation.effects.items()
                is_made, is_ended = self.seen[to_object] == content, self.seen[to_upload] is ABSENT
                is_later = self.ledger.outcomes(to_object, self.moment)[-1] != content
                assert is_made == is_ended or is_later, f"{to_object}: made {is_made}, its upload ended {is_ended}"

    def _receipts_are_there(self):
        """Each key that is gone has one receipt, at once or soon after the start."""
        erased = {thing[1]: 1 for thing, key in self.seen.items() if thing[0] == "key" and key == Key("Erased")}
        deadline = time.monotonic() + RECEIPT_SECONDS
        while (found := self._receipts()) != erased:
            assert time.monotonic() < deadline, f"keys that are gone: {erased}, receipts: {found}"
            time.sleep(0.2)

    def _receipts(self):
        counts = {}
        for row in self.admin("GET", "/receipts", query={"limit": "1000"})["receipts"]:
            counts[row["receipt"]["key_id"]] = counts.get(row["receipt"]["key_id"], 0) + 1
        return counts


def judge_audit(server, ledger, moment):
    """The audit log of a server that has ended is intact, and has every act of administration that was answered."""
    report = verify(server.data / "audit")
    assert report["findings"] == [], report
    records = []
    # The server was killed: a compressed file that is not whole yet does not count.
    for path in [*(server.data / "audit").glob("audit-*.jsonl"), *(server.data / "audit").glob("audit-*.jsonl.gz")]:
        content = (gzip.decompress if path.suffix == ".gz" else bytes)(path.read_bytes())
        records += [json.loads(line) for line in content.splitlines()]
    if any("removed" in record for record in records):
        return  # retention may have taken them
    there = {record.get("request_id") for record in records}
    for thing in ledger.things(moment):
        if thing[0] == "audited" and ABSENT not in ledger.outcomes(thing, moment):
            assert thing[1] in there, f"the audit log lacks the act of request {thing[1]}"


def _one_of(found, outcomes, what):
    assert found in outcomes, f"{what} is {found}, none of {outcomes}"
    return found
