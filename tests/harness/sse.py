"""Encryption headers, and the modes that tests run through."""

import base64
import hashlib
import os
from dataclasses import dataclass, field

from harness import leaks

SSE = "x-amz-server-side-encryption"
KMS_KEY_ID = f"{SSE}-aws-kms-key-id"
CONTEXT = f"{SSE}-context"
BUCKET_KEY = f"{SSE}-bucket-key-enabled"
CUSTOMER = f"{SSE}-customer-"
COPY_SOURCE_CUSTOMER = "x-amz-copy-source-server-side-encryption-customer-"

KEY = leaks.register("the customer's key", hashlib.sha256(b"the customer's key").digest())
OTHER_KEY = leaks.register("the other customer's key", hashlib.sha256(b"another customer's key").digest())


def b64(data):
    return base64.b64encode(data).decode()


def key_md5(key):
    return b64(hashlib.md5(key).digest())


def customer(key=KEY, prefix=CUSTOMER):
    """The SSE-C trio."""
    return {f"{prefix}algorithm": "AES256", f"{prefix}key": b64(key), f"{prefix}key-md5": key_md5(key)}


def source_customer(key=KEY):
    """The SSE-C trio of a copy's source."""
    return customer(key, COPY_SOURCE_CUSTOMER)


@dataclass(frozen=True)
class Mode:
    """What goes with a write and with a read, and what every answer must say."""

    name: str
    write: dict = field(default_factory=dict)
    read: dict = field(default_factory=dict)
    source: dict = field(default_factory=dict)
    answer: dict = field(default_factory=dict)
    md5_etag: bool = False

    def check(self, headers):
        """All encryption headers of an answer, no more and no less."""
        found = {name: value for name, value in headers.items() if name.startswith(SSE)}
        if self.name == "SSE-S3":  # seed 000 lists the default key's id too
            found.pop(KMS_KEY_ID, None)
        found = {name: value for name, value in found.items() if (name, value) != (BUCKET_KEY, "false")}
        assert found == self.answer, f"{self.name}: {found}"

    def __str__(self):
        return self.name


def customer_mode(key=KEY, name="SSE-C"):
    answer = {f"{CUSTOMER}algorithm": "AES256", f"{CUSTOMER}key-md5": key_md5(key)}
    return Mode(name, customer(key), customer(key), source_customer(key), answer)


NONE = Mode("none", md5_etag=True)
SSE_S3 = Mode("SSE-S3", {SSE: "AES256"}, answer={SSE: "AES256"}, md5_etag=True)
SSE_KMS = Mode("SSE-KMS", {SSE: "aws:kms"}, answer={SSE: "aws:kms", KMS_KEY_ID: "default"})
DSSE = Mode("DSSE", {SSE: "aws:kms:dsse"}, answer={SSE: "aws:kms:dsse", KMS_KEY_ID: "default"})
SSE_C = customer_mode()

ENCRYPTED = [SSE_S3, SSE_KMS, DSSE, SSE_C]
MODES = [NONE, *ENCRYPTED]


def random_body(length):
    return os.urandom(length)
