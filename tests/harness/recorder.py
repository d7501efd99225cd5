"""Clients that remember every answer, and every signature they sent."""

import re

from harness.admin import Admin
from harness.raw import RawClient

SIGNATURE = re.compile(rb"[0-9a-f]{64}")


class Tape:
    """What came back, and the signatures that went out."""

    def __init__(self):
        self.answers, self.signatures = [], set()

    def raw(self, server, access_key=None, secret_key=None):
        return _Recorded(self, server.port, server.ca, access_key or server.access_key, secret_key or server.secret_key)

    def admin(self, server, **options):
        admin = Admin(server, **options)
        admin.raw = _Recorded(self, admin.raw.port, server.ca, admin.raw.credentials.access_key, admin.raw.credentials.secret_key)
        return admin

    def sent(self, data):
        """Notes the signatures in what is sent."""
        self.signatures |= set(re.findall(rb"[Ss]ignature[=:]([0-9a-f]{64})", data))


class _Recorded(RawClient):
    def __init__(self, tape, *arguments):
        super().__init__(*arguments)
        self.tape = tape

    def send(self, method, target, headers, body=b"", **options):
        lines = [target.encode()] + [value if isinstance(value, bytes) else str(value).encode() for value in headers.values()]
        self.tape.sent(b"\n".join(lines) + (b"\n" + body if isinstance(body, bytes) else b""))
        reply = super().send(method, target, headers, body, **options)
        self.tape.answers.append((f"{method} {target.split('?')[0]}: {reply.status}", repr(sorted(reply.headers.items())).encode() + reply.body))
        return reply
