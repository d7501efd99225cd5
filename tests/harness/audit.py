"""The audit log as it lies on the disk."""

import gzip
import json
import subprocess

from harness.admin import Admin
from harness.server import BINARY


class AuditLog:
    """The log of a server; what was in it before does not count."""

    def __init__(self, server, folder=None):
        self.admin, self.folder = Admin(server), folder or server.data / "audit"
        # An act of administration is durable when it is answered, and with it all that came before: nothing of that follows later.
        self.admin.reply("POST", "/clear-cache").ok(204)
        self.first, self.own = self.admin("GET", "/audit/head")["seq"], set()

    def files(self):
        """Each once, plain or compressed, in the order of their records."""
        found = {path.name.removesuffix(".gz"): path for path in sorted(self.folder.glob("audit-*.jsonl*"), reverse=True) if path.suffix != ".partial"}
        return [found[name] for name in sorted(found, key=lambda name: int(name.removesuffix(".jsonl").rsplit("-", 1)[1]))]

    def lines(self):
        return [line for path in self.files() for line in (gzip.decompress if path.suffix == ".gz" else bytes)(path.read_bytes()).splitlines()]

    def events(self):
        """Every event so far. An act of administration is durable when it is answered, and with it all that came before."""
        self.own.add(self.admin.reply("POST", "/clear-cache").ok(204).headers["x-amz-request-id"])
        records = [json.loads(line) for line in self.lines()]
        # That a change began is on record before it runs; how it ended is the event.
        ended = [record for record in records if record.get("details", {}).get("phase") != "begun"]
        return [record for record in ended if record["seq"] > self.first and "operation" in record and record["request_id"] not in self.own]

    def of(self, *replies):
        """The events of these requests, in the order of the log."""
        ids = {reply.headers["x-amz-request-id"] for reply in replies}
        return [event for event in self.events() if event["request_id"] in ids]


def verify(folder, *options, status=0):
    """The report of `strongroom audit verify`, which must end with that status."""
    done = subprocess.run([BINARY, "audit", "--json", "verify", folder, *options], capture_output=True, text=True, timeout=60)
    assert done.returncode == status, f"exit {done.returncode}, expected {status}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout) if done.stdout else None
