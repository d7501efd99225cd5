"""S3's ten additional checksums, computed by the client's side of the fence."""

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
    "MD5": lambda data: hashlib.md5(data).digest(),
    "SHA1": lambda data: hashlib.sha1(data).digest(),
    "SHA256": lambda data: hashlib.sha256(data).digest(),
    "SHA512": lambda data: hashlib.sha512(data).digest(),
    "XXHASH128": crt.XXHash.compute_xxhash3_128,
    "XXHASH3": crt.XXHash.compute_xxhash3_64,
    "XXHASH64": crt.XXHash.compute_xxhash64,
}
FULL_OBJECT = ["CRC32", "CRC32C", "CRC64NVME"]
COMPOSITE = [algorithm for algorithm in ALGORITHMS if algorithm != "CRC64NVME"]
# botocore sends an MD5 only where it is told the value.
COMPUTED_BY_BOTO3 = [algorithm for algorithm in ALGORITHMS if algorithm != "MD5"]


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
