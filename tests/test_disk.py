"""What somebody with the disk in his hands finds: nothing."""

import hashlib
import secrets
import socket

import pytest

from conftest import make_bucket
from harness import checksums, disk
from harness.server import Server
from harness.sse import KEY, MODES, NONE, OTHER_KEY, SSE_C, SSE_KMS, b64, customer, customer_mode, key_md5

PART_BYTES = 5 << 20
SIZES = {"inline": 700, "blob": 300_000, "multipart": None}
CHECKSUM = "SHA256"


def canary():
    return "canary-" + secrets.token_hex(16)


class Planted:
    """An object full of canaries, and every form in which they might lie about."""

    def __init__(self, key, length):
        self.key = key
        self.words = {name: canary() for name in ("body", "metadata", "type", "disposition")}
        body = self.words["body"].encode()
        self.parts = [(body * (length // len(body) + 1))[:length]] if length else [(body * (PART_BYTES // len(body) + 1))[:PART_BYTES], body * 3000]
        self.headers = {
            "content-type": f"text/{self.words['type']}",
            "content-disposition": f'attachment; filename="{self.words["disposition"]}"',
            "x-amz-meta-note": self.words["metadata"],
        }

    def store(self, raw, bucket, mode):
        if len(self.parts) == 1:
            checksum = {checksums.header(CHECKSUM): checksums.value(CHECKSUM, self.parts[0])}
            raw.put(bucket, self.key, self.parts[0], mode.write | self.headers | checksum).ok()
            return
        upload = raw.begin_upload(bucket, self.key, mode.write | self.headers | {"x-amz-checksum-algorithm": CHECKSUM})
        etags = {}
        for number, part in enumerate(self.parts, 1):
            checksum = {checksums.header(CHECKSUM): checksums.value(CHECKSUM, part)}
            etags[number] = raw.upload_part(bucket, self.key, upload, number, part, mode.read | checksum).ok().etag
        raw.complete(bucket, self.key, upload, etags, mode.read).ok()

    def needles(self):
        """What must not be found, by name."""
        found = {f"the canary in the {name}": word.encode() for name, word in self.words.items()}
        found |= {f"the canary in the {name}, in base64": b64(word.encode()).rstrip("=")[:-1].encode() for name, word in self.words.items() if name != "body"}
        for number, part in enumerate([*self.parts, b"".join(self.parts)]):
            found |= forms(f"the checksum of part {number}", hashlib.sha256(part).digest())
            found |= forms(f"the MD5 of part {number}", hashlib.md5(part).digest())
        if len(self.parts) > 1:
            found |= forms("the composite checksum", hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in self.parts)).digest())
            found |= forms("the multipart MD5", hashlib.md5(b"".join(hashlib.md5(part).digest() for part in self.parts)).digest())
        return found


def forms(name, digest):
    return {
        f"{name}, raw": digest,
        f"{name}, in hex": digest.hex().encode(),
        f"{name}, in upper-case hex": digest.hex().upper().encode(),
        f"{name}, in base64": b64(digest).rstrip("=")[:-1].encode(),
    }


def key_needles(key):
    return forms("the customer's key", key) | {"the MD5 of the customer's key": key_md5(key).rstrip("=").encode(), "the same, raw": hashlib.md5(key).digest()}


def assert_nowhere(server, needles):
    paths = [*disk.files(server), server.log]
    for name, needle in needles.items():
        assert disk.holding(paths, needle) == [], name


@pytest.fixture(scope="module", params=[True, False], ids=["encrypt by default", "encrypt on request"])
def own_server(request, tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("disk") / "home", f"encrypt_by_default = {str(request.param).lower()}\n").start()
    yield server
    server.remove()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", MODES, ids=str)
def test_the_disk_holds_no_plaintext(own_server, mode, size):
    raw, bucket = own_server.raw(), make_bucket(own_server)
    planted = Planted("name-" + secrets.token_hex(8), SIZES[size])
    before = disk.blobs(own_server)
    planted.store(raw, bucket, mode)
    assert len(disk.new_blobs(own_server, before)) == {"inline": 0, "blob": 1, "multipart": 2}[size]
    assert raw.get(bucket, planted.key, mode.read).ok().body == b"".join(planted.parts)
    raw.attributes(bucket, planted.key, mode.read).ok()
    assert disk.holding(disk.files(own_server), planted.key.encode()), "the search finds what is there: the object's name"
    assert_nowhere(own_server, planted.needles() | (key_needles(KEY) if mode is SSE_C else {}))


@pytest.mark.parametrize("algorithm", ["AES256", "aws:kms"])
def test_the_disk_holds_no_plaintext_under_a_bucket_s_default_encryption(own_server, algorithm):
    raw, bucket = own_server.raw(), make_bucket(own_server)
    own_server.boto().put_bucket_encryption(
        Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": algorithm}}]}
    )
    for length in SIZES.values():
        planted = Planted("name-" + secrets.token_hex(8), length)
        planted.store(raw, bucket, NONE)
        assert raw.head(bucket, planted.key).ok().headers["x-amz-server-side-encryption"] == algorithm
        assert_nowhere(own_server, planted.needles())


def test_the_disk_holds_no_plaintext_of_an_upload_that_is_under_way(own_server):
    raw, bucket = own_server.raw(), make_bucket(own_server)
    planted = Planted("name-" + secrets.token_hex(8), None)
    upload = raw.begin_upload(bucket, planted.key, SSE_C.write | planted.headers)
    raw.upload_part(bucket, planted.key, upload, 1, planted.parts[0], SSE_C.read).ok()
    assert_nowhere(own_server, planted.needles() | key_needles(KEY))


def test_the_disk_holds_no_plaintext_after_a_copy_and_a_rotation(own_server):
    raw, bucket = own_server.raw(), make_bucket(own_server)
    planted, new = Planted("name-" + secrets.token_hex(8), 300_000), customer_mode(OTHER_KEY)
    planted.store(raw, bucket, SSE_C)
    raw.copy(f"{bucket}/{planted.key}", bucket, planted.key, new.write | SSE_C.source).ok()
    assert_nowhere(own_server, planted.needles() | key_needles(KEY) | key_needles(OTHER_KEY))


def test_the_disk_holds_no_plaintext_of_a_plain_object_given_a_customer_s_key(own_server):
    """The copy takes over the bytes of an object that nobody had given a key."""
    raw, bucket = own_server.raw(), make_bucket(own_server)
    for length in SIZES.values():
        planted = Planted("name-" + secrets.token_hex(8), length)
        planted.store(raw, bucket, NONE)
        for target in ("target-of-" + planted.key, planted.key):
            raw.copy(f"{bucket}/{planted.key}", bucket, target, SSE_C.write).ok()
            assert raw.get(bucket, target, SSE_C.read).ok().body == b"".join(planted.parts)
            assert_nowhere(own_server, planted.needles() | key_needles(KEY))


@pytest.mark.parametrize("log_level", ["info", "trace"])
def test_the_disk_and_the_log_of_a_stopped_server_hold_no_plaintext(new_server, log_level):
    server = new_server(f'log_level = "{log_level}"\n')
    raw, bucket, new = server.raw(), make_bucket(server), customer_mode(OTHER_KEY)
    with socket.create_connection(("127.0.0.1", server.port)) as broken:
        broken.sendall(b"\x16no handshake")
    planted = [(mode, Planted("name-" + secrets.token_hex(8), length)) for mode in MODES for length in (700, 300_000)]
    planted += [(mode, Planted("name-" + secrets.token_hex(8), None)) for mode in (SSE_KMS, SSE_C)]
    for mode, one in planted:
        one.store(raw, bucket, mode)
        assert raw.get(bucket, one.key, mode.read).ok().body == b"".join(one.parts)
        raw.copy(f"{bucket}/{one.key}", bucket, f"copy-of-{one.key}", SSE_C.write | mode.source).ok()
        raw.copy(f"{bucket}/{one.key}", bucket, one.key, new.write | mode.source).ok()
        raw.get(bucket, one.key, new.read | {"range": "bytes=5-99"}).ok(206)
        raw.get(bucket, one.key, customer(b"w" * 32)).fails(403, "AccessDenied")
    raw.put(bucket, "refused", b"x", SSE_C.write | {"x-amz-server-side-encryption": "AES256"}).fails(400, "InvalidArgument")
    assert server.stop() == 0
    keys = key_needles(KEY) | key_needles(OTHER_KEY) | key_needles(b"w" * 32)
    assert_nowhere(server, keys | {"the secret key": server.secret_key.encode()})
    for _, one in planted:
        assert_nowhere(server, one.needles())
    log = server.log_text()
    assert "Signature=" not in log
    assert (" DEBUG " in log) == (log_level == "trace"), "of the connection that broke, only the level of trace tells"
    for operation in ("PutObject", "GetObject", "CopyObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"):
        assert operation in log, f"the log tells of {operation}"
