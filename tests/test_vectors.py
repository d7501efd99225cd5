"""The format's independent reader opens the published vectors, and none of the broken ones."""

import copy
import importlib.util
import json
import struct
import subprocess
import sys

import pytest
from cryptography.exceptions import InvalidTag

from harness.server import REPOSITORY

VECTORS = REPOSITORY / "crates/seal/vectors"
REFUSALS = (AssertionError, InvalidTag, struct.error, IndexError, ValueError)  # the last two where bytes are missing

_spec = importlib.util.spec_from_file_location("verify", VECTORS / "verify.py")
verify = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(verify)


def load(kind):
    return {file.stem: json.loads(file.read_text()) for file in sorted((VECTORS / kind).glob("*.json"))}


GOOD, BROKEN = load("good"), load("broken")


def test_the_independent_reader_opens_every_good_vector():
    done = subprocess.run([sys.executable, VECTORS / "verify.py"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"ok {name}" for name in GOOD]
    assert len(GOOD) >= 19


@pytest.mark.parametrize("name", BROKEN)
def test_the_independent_reader_refuses_every_broken_vector(name):
    broken = BROKEN[name]
    good = GOOD[broken["base"]]
    altered = targets(good)
    read(good, altered, True)
    before = copy.deepcopy(altered)
    for mutation in broken["mutations"]:
        mutate(altered[mutation["target"]], mutation)
    assert altered != before, "nothing is altered"
    with pytest.raises(REFUSALS):
        read(good, altered, broken.get("check_digest", True))


def test_there_are_more_broken_vectors_than_good_ones():
    assert len(BROKEN) > 3 * len(GOOD)


# ---- vectors as bytes to alter


def targets(vector):
    """The parts of a vector that a broken one alters, by name, as docs/format.md lists them."""
    if vector["type"] == "record":
        fields = {f"field:{index}": bytearray.fromhex(field) for index, field in enumerate(vector["fields"])}
        return fields | {"kind": bytearray([vector["kind"]])} | {name: bytearray.fromhex(vector[name]) for name in ("store_key", "sealed")}
    names = ("bucket_id", "version_id", "external_keys", "sealed_keys", "manifest", "manifest_digest")
    blobs = {f"blob:{index}": bytearray(blob) for index, blob in enumerate(blobs_of(vector))}
    return {name: bytearray.fromhex(vector[name]) for name in names} | {"key": bytearray(vector["key"].encode())} | blobs


def blobs_of(vector):
    """Each part's blob, sealed again where the file has only its hash."""
    keys = verify.layers_of(bytes.fromhex(vector["object_keys"]))
    for line, part in zip(verify.open_manifest(bytes.fromhex(vector["manifest"])), vector["parts"], strict=True):
        yield bytes.fromhex(part["blob"]) if "blob" in part else verify.Part(keys, *line).seal(verify.plaintext_of(part["plaintext"]))


def mutate(data, mutation):
    match mutation["op"]:
        case "flip":
            data[mutation["at"]] ^= mutation["mask"]
        case "truncate":
            del data[mutation["len"] :]
        case "cut":
            del data[mutation["at"] : mutation["at"] + mutation["len"]]
        case "insert":
            data[mutation["at"] : mutation["at"]] = bytes.fromhex(mutation["hex"])
        case "write":
            written = bytes.fromhex(mutation["hex"])
            data[mutation["at"] : mutation["at"] + len(written)] = written
        case "swap":
            a, b, length = mutation["a"], mutation["b"], mutation["len"]
            data[a : a + length], data[b : b + length] = data[b : b + length], data[a : a + length]
        case "copy":
            data[mutation["to"] : mutation["to"] + mutation["len"]] = data[mutation["from"] : mutation["from"] + mutation["len"]]
        case "splice":
            other = targets(GOOD[mutation["vector"]])[mutation["source"]]
            data[mutation["to"] : mutation["to"] + mutation["len"]] = other[mutation["from"] : mutation["from"] + mutation["len"]]
        case "set":
            data[:] = bytes.fromhex(mutation["value"])
        case other:
            pytest.fail(f"an unknown mutation: {other}")


def read(vector, data, check_digest):
    """Reads as a client of the format does, with what is known of the vector and with these bytes."""
    data = {name: bytes(value) for name, value in data.items()}
    if vector["type"] == "record":
        fields = [data[f"field:{index}"].hex() for index in range(len(vector["fields"]))]
        verify.check_record(vector | {"fields": fields, "kind": data["kind"][0]} | {name: data[name].hex() for name in ("store_key", "sealed")})
        return
    identity = {name: data[name].hex() for name in ("bucket_id", "version_id", "external_keys")}
    keys = verify.open_keys(vector | identity | {"key": data["key"].decode()}, data["sealed_keys"])
    if check_digest:
        assert verify.hashlib.sha256(data["manifest"]).digest() == data["manifest_digest"]
    for index, line in enumerate(verify.open_manifest(data["manifest"])[: len(vector["parts"])]):
        verify.Part(keys, *line).open(data[f"blob:{index}"])
