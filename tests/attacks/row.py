"""A row of the attack tables: who attacks, with what request, what is answered, and what stays as it was."""

from collections.abc import Callable
from dataclasses import dataclass

NETWORK = "holds the network"
ANONYMOUS = "has no credentials"
TENANT = "has another tenant's credentials"
NARROW = "has a narrow policy"
ADMIN = "administers, and lacks the key"
DISK = "holds the disk"
CLIENT = "has credentials, and sends what no client sends"
ATTACKERS = [NETWORK, ANONYMOUS, TENANT, NARROW, ADMIN, DISK, CLIENT]

STORE = "buckets, objects, uploads and their settings"
KEYS = "keys, their states, and the key service"
FILES = "the blobs on the disk"
LOG = "the log: no panic, no error, no forged line"
SECRETS = "what the victims keep to themselves"
IDENTITIES = "users, groups, roles, policies and access keys"
MEMORY = "memory"
EVERYTHING = (STORE, KEYS, FILES, LOG, SECRETS)

MAX_GROWTH_BYTES = 24 << 20


@dataclass(frozen=True)
class Answer:
    """An exact answer. Code none: the status alone, as of a HEAD, or of what is refused before it is a request of S3."""

    status: int
    code: str | None = None
    says: str = ""

    def check(self, reply):
        got = (reply.status, reply.code if self.code else None)
        assert got == (self.status, self.code), f"expected {self.status} {self.code}, got {reply.status} {reply.code}: {reply.message or reply.body[:200]!r}"
        assert self.says in (reply.message or ""), f"{self.says!r} is not in {reply.message!r}"
        assert reply.complete, "the answer was cut"


@dataclass(frozen=True)
class EachKey(Answer):
    """Of DeleteObjects: 200, and this error for every key."""

    status: int = 200

    def check(self, reply):
        assert reply.status == 200, f"{reply.status} {reply.code}"
        codes = [error.findtext("Code") for error in reply.xml().iter("Error")]
        assert codes and set(codes) == {self.code}, f"expected {self.code} for every key, got {reply.body!r}"
        assert reply.xml().find("Deleted") is None, reply.body


@dataclass(frozen=True)
class Row:
    """`number` is the issue's, 0 for what held before. `attack(field)` sends and gives back the answer."""

    name: str
    number: int
    attacker: str
    attack: Callable
    answer: Answer
    unchanged: tuple = EVERYTHING

    def __str__(self):
        return self.name


def http_error(status):
    """Refused as HTTP: the status, and whatever body."""
    return Answer(status)


def denied(call=None):
    """403 as that operation says it."""
    if call is not None and call.name == "DeleteObjects":
        return EachKey(code="AccessDenied")
    return Answer(403, None if call is not None and call.method == "HEAD" else "AccessDenied")


def refused(status, code, says=""):
    return Answer(status, code, says)


ALLOWED = Answer(200)
