"""S3's five additional checksums, computed by the client's side of the fence."""

import base64
import hashlib
import zlib

from awscrt import checksums as crt


def _int(width):
    return lambda number: number.to_bytes(width, "big")


ALGORITHMS = {
    "CRC32": lambda data: _int(4)(zlib.crc32(data)),
    "CRC32C": lambda data: _int(4)(crt.crc32c(data)),
    "CRC64NVME": lambda data: _int(8)(crt.crc64nvme(data)),
    "SHA1": lambda data: hashlib.sha1(data).digest(),
    "SHA256": lambda data: hashlib.sha256(data).digest(),
}
FULL_OBJECT = ["CRC32", "CRC32C", "CRC64NVME"]
COMPOSITE = ["CRC32", "CRC32C", "SHA1", "SHA256"]


def header(algorithm):
    return f"x-amz-checksum-{algorithm.lower()}"


def raw(algorithm, data):
    return ALGORITHMS[algorithm](data)


def value(algorithm, data):
    """As the header carries it."""
    return base64.b64encode(raw(algorithm, data)).decode()


def composite(algorithm, parts):
    joined = b"".join(raw(algorithm, part) for part in parts)
    return f"{value(algorithm, joined)}-{len(parts)}"


def multipart_etag(parts):
    """MD5 of the parts' MD5s."""
    digest = hashlib.md5(b"".join(hashlib.md5(part).digest() for part in parts)).hexdigest()
    return f"{digest}-{len(parts)}"
