#!/usr/bin/env python3
"""Opens the good vectors without a line of Strongroom's code: written from docs/format.md alone.

Needs the package `cryptography`. Where a file has only the hash of a blob, the blob is sealed here, and its hash compared.
"""

import hashlib
import hmac
import json
import pathlib
import struct
import sys

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

CHUNK = 65536
ZERO_NONCE = bytes(12)


def field(data):
    return struct.pack(">Q", len(data)) + data


def fields(domain, *rest):
    return b"".join(map(field, (domain.encode(), *rest)))


def extract(salt, ikm):
    return hmac.digest(salt, ikm, "sha256")


def expand(prk, info):
    return hmac.digest(prk, info + b"\x01", "sha256")


def hkdf(ikm, salt, info):
    return expand(extract(salt, ikm), info)


def layers_of(data):
    return [data[at : at + 32] for at in range(0, len(data), 32)]


def open_keys(vector, sealed):
    """The object keys, one for each layer."""
    version, suite, mode, layers = sealed[:4]
    external = layers_of(bytes.fromhex(vector["external_keys"]))
    assert (version, suite, mode) == (1, 1, vector["mode"])
    assert layers == len(external) == (2 if mode == 3 else 1) and len(sealed) == 4 + 80 * layers
    identity = bytes.fromhex(vector["bucket_id"]), vector["key"].encode(), bytes.fromhex(vector["version_id"])
    keys = []
    for layer, key in enumerate(external):
        start = 4 + 80 * layer
        salt = sealed[start : start + 32]
        kek = hkdf(key, salt, fields("strongroom v1 kek", bytes([layer]), bytes([mode]), *identity))
        keys.append(AESGCM(kek).decrypt(ZERO_NONCE, sealed[start + 32 : start + 80], sealed[: start + 32]))
    return keys


def open_manifest(data):
    """Number, length, salt, blob of each part; and of a shared part all of its bytes, else nothing."""
    version, count = struct.unpack(">BH", data[:3])
    assert version in (1, 3)
    parts, at = [], 3
    for _ in range(count):
        own, end = struct.unpack(">HQ32s16s", data[at : at + 58]), at + 58
        shared = b""
        if version == 3:
            layers = data[end]
            end += 1
            assert layers <= 2
            if layers:
                end += 34 + 48 * layers
                shared = data[at:end]
                assert len(shared) == 93 + 48 * layers and 1 <= origin_of(shared) <= 10000 and own[3] != bytes(16)
        parts.append((*own, shared))
        at = end
    assert at == len(data) and any(part[4] for part in parts) == (version == 3)
    assert [part[0] for part in parts] == sorted({part[0] for part in parts})
    return parts


def origin_of(shared):
    return struct.unpack(">H", shared[59:61])[0]


def open_shared(keys, shared):
    """The content keys of a shared part, one for each layer."""
    assert shared[58] == len(keys)
    opened = []
    for layer, key in enumerate(keys):
        start = 93 + 48 * layer
        sealing = hkdf(key, shared[61:93], fields("strongroom v3 shared part", bytes([layer])))
        opened.append(AESGCM(sealing).decrypt(ZERO_NONCE, shared[start : start + 48], shared[:start]))
    return opened


class Part:
    def __init__(self, keys, number, length, salt, blob=None, shared=b""):
        origin = origin_of(shared) if shared else number
        fixed = b"STRONGROOM" + bytes([1, 1, len(keys), 16]) + struct.pack(">H", origin)
        self.header = fixed + salt
        self.length = length
        self.chunks = max(1, -(-length // CHUNK))
        if shared:
            content_keys = open_shared(keys, shared)
        else:
            content_keys = [hkdf(key, salt, fields("strongroom v1 content", bytes([layer]), fixed)) for layer, key in enumerate(keys)]
        self.keys = list(map(AESGCM, content_keys))

    def nonce(self, chunk):
        return bytes(7) + struct.pack(">IB", chunk, chunk == self.chunks - 1)

    def seal(self, plaintext):
        blob = self.header
        for chunk in range(self.chunks):
            data = plaintext[chunk * CHUNK : (chunk + 1) * CHUNK]
            for key in self.keys:
                data = key.encrypt(self.nonce(chunk), data, b"")
            blob += data
        return blob

    def open(self, blob):
        stride = CHUNK + 16 * len(self.keys)
        assert blob[:48] == self.header and len(blob) == 48 + self.length + 16 * len(self.keys) * self.chunks
        plaintext = b""
        for chunk in range(self.chunks):
            data = blob[48 + chunk * stride : 48 + (chunk + 1) * stride]
            for key in reversed(self.keys):
                data = key.decrypt(self.nonce(chunk), data, b"")
            plaintext += data
        return plaintext


def plaintext_of(spec):
    if "hex" in spec:
        return bytes.fromhex(spec["hex"])
    seed, length = spec["formula"]["seed"], spec["formula"]["len"]
    return bytes((31 * i + 7 * (i >> 8) + 101 * (i >> 16) + seed) & 255 for i in range(length))


def check_object(vector):
    if "store_key" in vector:
        prk = extract(b"strongroom v1 store", bytes.fromhex(vector["store_key"]))
        assert expand(prk, fields("strongroom v1 store ek")).hex() == vector["external_keys"]
    keys = open_keys(vector, bytes.fromhex(vector["sealed_keys"]))
    assert b"".join(keys).hex() == vector["object_keys"]
    manifest = bytes.fromhex(vector["manifest"])
    assert hashlib.sha256(manifest).hexdigest() == vector["manifest_digest"]
    parts = open_manifest(manifest)
    assert len(parts) == len(vector["parts"])
    for line, published in zip(parts, vector["parts"]):
        plaintext = plaintext_of(published["plaintext"])
        part = Part(keys, *line)
        blob = bytes.fromhex(published["blob"]) if "blob" in published else part.seal(plaintext)
        assert hashlib.sha256(blob).hexdigest() == published["blob_sha256"]
        assert part.open(blob) == plaintext


def check_record(vector):
    sealed, kind = bytes.fromhex(vector["sealed"]), bytes([vector["kind"]])
    assert sealed[0] == 1
    prk = extract(b"strongroom v1 store", bytes.fromhex(vector["store_key"]))
    key = expand(prk, fields("strongroom v1 record", kind, sealed[1:33]))
    aad = fields("strongroom v1 record", b"\x01", kind, *map(bytes.fromhex, vector["fields"]))
    assert AESGCM(key).decrypt(ZERO_NONCE, sealed[33:], aad).hex() == vector["plaintext"]


def check_key_check(vector):
    message = fields("strongroom v1 key check", bytes.fromhex(vector["salt"]))
    assert hmac.digest(bytes.fromhex(vector["key"]), message, "sha256").hex() == vector["check"]


def main():
    checks = {"object": check_object, "record": check_record, "key_check": check_key_check}
    files = sorted((pathlib.Path(__file__).parent / "good").glob("*.json"))
    for file in files:
        vector = json.loads(file.read_text())
        assert vector["format_version"] == 1
        checks[vector["type"]](vector)
        print("ok", file.stem)
    return 0 if files else 1


if __name__ == "__main__":
    sys.exit(main())
