"""The ten additional checksums and Content-MD5: verified, stored, returned; nothing of a wrong body is stored."""

import hashlib

import pytest

from harness import checksums, disk, sigv4
from harness.sse import ENCRYPTED, SSE_C, SSE_S3, b64, random_body

PART_BYTES = 5 << 20
BODY = b"123456789"
ALGORITHMS = pytest.mark.parametrize("algorithm", list(checksums.ALGORITHMS))
ENABLED = {"x-amz-checksum-mode": "ENABLED"}


def wrong(algorithm):
    return checksums.value(algorithm, b"something else")


def send_trailer(raw, bucket, key, body, algorithm, value, signed, headers=None, query=()):
    trailer = {checksums.header(algorithm): value}
    path = f"/{bucket}/{key}"
    headers, wire = sigv4.chunked_put(raw.credentials, path, body, headers, query, trailer, signed, host=f"127.0.0.1:{raw.port}")
    return raw.send("PUT", sigv4.quote_path(path) + sigv4.query_string(query), headers, wire)


@ALGORITHMS
def test_the_test_s_own_checksums_are_right(algorithm):
    """CRCs by the check values of their catalogue, XXHash by those of its own tests; the other hashes by hashlib."""
    check = {"CRC32": "cbf43926", "CRC32C": "e3069283", "CRC64NVME": "ae8b14860a799888"}
    empty = {"XXHASH64": "ef46db3751d8e999", "XXHASH3": "2d06800538d394c2", "XXHASH128": "99aa06d3014798d86001c324468d497f"}
    if algorithm in check:
        assert checksums.raw(algorithm, BODY).hex() == check[algorithm]
    if algorithm in empty:
        assert checksums.raw(algorithm, b"").hex() == empty[algorithm]


@ALGORITHMS
@pytest.mark.parametrize("mode", ENCRYPTED, ids=str)
def test_a_checksum_in_a_header_is_verified_stored_and_returned(raw, bucket, mode, algorithm):
    name, value = checksums.header(algorithm), checksums.value(algorithm, BODY)
    put = raw.put(bucket, "object", BODY, mode.write | {name: value}).ok()
    assert (put.headers[name], put.headers["x-amz-checksum-type"]) == (value, "FULL_OBJECT")
    for reply in (raw.get(bucket, "object", mode.read | ENABLED).ok(), raw.head(bucket, "object", mode.read | ENABLED).ok()):
        assert (reply.headers[name], reply.headers["x-amz-checksum-type"]) == (value, "FULL_OBJECT")
    assert name not in raw.get(bucket, "object", mode.read).ok().headers


@ALGORITHMS
@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
@pytest.mark.parametrize("length", [0, 9, 200_000])
def test_a_checksum_in_a_trailer_is_verified_stored_and_returned(raw, bucket, algorithm, signed, length):
    body = random_body(length)
    value = checksums.value(algorithm, body)
    send_trailer(raw, bucket, "object", body, algorithm, value, signed).ok()
    reply = raw.get(bucket, "object", ENABLED).ok()
    assert (reply.body, reply.headers[checksums.header(algorithm)]) == (body, value)
    assert "content-encoding" not in reply.headers


@ALGORITHMS
@pytest.mark.parametrize("length", [9, 300_000], ids=["inline", "blob"])
def test_a_wrong_checksum_is_a_bad_digest_and_stores_nothing(server, raw, bucket, algorithm, length):
    body = random_body(length)
    raw.put(bucket, "object", b"older").ok()
    raw.put(bucket, "object", body, {checksums.header(algorithm): wrong(algorithm)}).fails(400, "BadDigest")
    for signed in (True, False):
        send_trailer(raw, bucket, "object", body, algorithm, wrong(algorithm), signed).fails(400, "BadDigest")
    assert raw.get(bucket, "object").ok().body == b"older"


def test_a_refused_body_leaves_no_blob(new_server):
    server = new_server()
    raw = server.raw()
    raw.request("PUT", "/bucket").ok()
    before = disk.blobs(server)
    raw.put("bucket", "object", random_body(300_000), {"x-amz-checksum-crc32": wrong("CRC32")}).fails(400, "BadDigest")
    raw.put("bucket", "object", random_body(300_000), {"content-md5": b64(hashlib.md5(b"other").digest())}).fails(400, "BadDigest")
    assert disk.blobs(server) == before


@ALGORITHMS
@pytest.mark.parametrize("value", ["", "AAAA", "not base64!", b64(b"x" * 65)])
def test_a_checksum_that_is_none_is_an_invalid_request(raw, bucket, algorithm, value):
    raw.put(bucket, "object", BODY, {checksums.header(algorithm): value}).fails(400, "InvalidRequest")


def test_two_checksums_at_once_are_an_invalid_request(raw, bucket):
    headers = {checksums.header(one): checksums.value(one, BODY) for one in ("CRC32", "SHA256")}
    raw.put(bucket, "object", BODY, headers).fails(400, "InvalidRequest")


@pytest.mark.parametrize("algorithm", checksums.COMPUTED_BY_BOTO3)
def test_boto3_s_checksums_are_verified_both_ways(s3, bucket, algorithm):
    body = random_body(100_000)
    put = s3.put_object(Bucket=bucket, Key="object", Body=body, ChecksumAlgorithm=algorithm, ServerSideEncryption="aws:kms")
    assert put[f"Checksum{algorithm}"] == checksums.value(algorithm, body)
    got = s3.get_object(Bucket=bucket, Key="object", ChecksumMode="ENABLED")
    assert got["Body"].read() == body  # boto3 compares
    assert got[f"Checksum{algorithm}"] == checksums.value(algorithm, body)


def test_boto3_s_default_checksum_is_stored(s3, bucket):
    s3.put_object(Bucket=bucket, Key="object", Body=BODY)
    head = s3.head_object(Bucket=bucket, Key="object", ChecksumMode="ENABLED")
    assert head["ChecksumCRC32"] == "y/Q5Jg=="


# ---- multipart


def upload(raw, bucket, parts, algorithm, kind, mode=SSE_S3, trailer=False):
    create = mode.write | {"x-amz-checksum-algorithm": algorithm, "x-amz-checksum-type": kind}
    created = raw.create_upload(bucket, "object", create).ok()
    assert (created.headers["x-amz-checksum-algorithm"], created.headers["x-amz-checksum-type"]) == (algorithm, kind)
    upload, rows = created.xml().findtext("UploadId"), ""
    for number, part in enumerate(parts, 1):
        value = checksums.value(algorithm, part)
        if trailer:
            query = {"partNumber": str(number), "uploadId": upload}
            reply = send_trailer(raw, bucket, "object", part, algorithm, value, signed=False, headers=mode.read, query=query).ok()
        else:
            reply = raw.upload_part(bucket, "object", upload, number, part, mode.read | {checksums.header(algorithm): value}).ok()
        assert reply.headers[checksums.header(algorithm)] == value
        rows += f"<Part><PartNumber>{number}</PartNumber><ETag>{reply.etag}</ETag><Checksum{algorithm}>{value}</Checksum{algorithm}></Part>"
    return upload, f"<CompleteMultipartUpload>{rows}</CompleteMultipartUpload>".encode()


@pytest.mark.parametrize("trailer", [False, True], ids=["header", "trailer"])
@pytest.mark.parametrize("algorithm", checksums.COMPOSITE)
def test_a_composite_checksum_is_that_of_the_parts_checksums(raw, bucket, algorithm, trailer):
    parts = [random_body(PART_BYTES), random_body(321)]
    upload_id, xml = upload(raw, bucket, parts, algorithm, "COMPOSITE", trailer=trailer)
    done = raw.complete(bucket, "object", upload_id, xml).ok()
    expected = checksums.composite(algorithm, parts)
    assert done.xml().findtext(f"Checksum{algorithm}") == expected
    reply = raw.get(bucket, "object", ENABLED).ok()
    assert (reply.headers[checksums.header(algorithm)], reply.headers["x-amz-checksum-type"]) == (expected, "COMPOSITE")
    assert reply.body == b"".join(parts)


@pytest.mark.parametrize("mode", [SSE_S3, SSE_C], ids=str)
@pytest.mark.parametrize("algorithm", checksums.FULL_OBJECT)
def test_a_full_object_checksum_is_that_of_all_bytes(raw, bucket, algorithm, mode):
    parts = [random_body(PART_BYTES), random_body(PART_BYTES + 3), random_body(321)]
    upload_id, xml = upload(raw, bucket, parts, algorithm, "FULL_OBJECT", mode)
    expected = checksums.value(algorithm, b"".join(parts))
    headers = {"x-amz-checksum-type": "FULL_OBJECT"}
    raw.complete(bucket, "object", upload_id, xml, mode.read | headers | {checksums.header(algorithm): wrong(algorithm)}).fails(400, "BadDigest")
    done = raw.complete(bucket, "object", upload_id, xml, mode.read | headers | {checksums.header(algorithm): expected}).ok()
    assert done.xml().findtext(f"Checksum{algorithm}") == expected
    reply = raw.head(bucket, "object", mode.read | ENABLED).ok()
    assert (reply.headers[checksums.header(algorithm)], reply.headers["x-amz-checksum-type"]) == (expected, "FULL_OBJECT")


@ALGORITHMS
@pytest.mark.parametrize("kind", ["FULL_OBJECT", "COMPOSITE"])
def test_a_kind_that_an_algorithm_does_not_have_is_an_invalid_request(raw, bucket, algorithm, kind):
    reply = raw.create_upload(bucket, "object", {"x-amz-checksum-algorithm": algorithm, "x-amz-checksum-type": kind})
    if algorithm in (checksums.FULL_OBJECT if kind == "FULL_OBJECT" else checksums.COMPOSITE):
        reply.ok()
    else:
        reply.fails(400, "InvalidRequest")
        assert reply.message == f"The {kind} checksum type cannot be used with the {algorithm.lower()} checksum algorithm."


@ALGORITHMS
def test_an_upload_has_the_kind_that_its_algorithm_has_by_default(raw, bucket, algorithm):
    created = raw.create_upload(bucket, "object", {"x-amz-checksum-algorithm": algorithm}).ok()
    assert created.headers["x-amz-checksum-type"] == ("FULL_OBJECT" if algorithm == "CRC64NVME" else "COMPOSITE")


def test_a_part_with_a_wrong_checksum_is_a_bad_digest_and_no_part(raw, bucket):
    upload_id = raw.begin_upload(bucket, "object", {"x-amz-checksum-algorithm": "CRC32"})
    raw.upload_part(bucket, "object", upload_id, 1, BODY, {"x-amz-checksum-crc32": wrong("CRC32")}).fails(400, "BadDigest")
    assert raw.request("GET", f"/{bucket}/object", query={"uploadId": upload_id}).ok().xml().find("Part") is None


def test_a_completion_that_repeats_another_checksum_is_an_invalid_part(raw, bucket):
    upload_id, xml = upload(raw, bucket, [BODY], "CRC32", "COMPOSITE")
    other = xml.replace(checksums.value("CRC32", BODY).encode(), wrong("CRC32").encode())
    assert other != xml
    raw.complete(bucket, "object", upload_id, other).fails(400, "InvalidPart")
    raw.complete(bucket, "object", upload_id, xml).ok()


# ---- Content-MD5


@pytest.mark.parametrize("mode", ENCRYPTED, ids=str)
def test_content_md5_is_verified(raw, bucket, mode):
    raw.put(bucket, "object", BODY, mode.write | {"content-md5": b64(hashlib.md5(BODY).digest())}).ok()
    raw.put(bucket, "object", b"other", mode.write | {"content-md5": b64(hashlib.md5(BODY).digest())}).fails(400, "BadDigest")
    for value in ("", "x", b64(b"short"), hashlib.md5(BODY).hexdigest()):
        raw.put(bucket, "object", BODY, mode.write | {"content-md5": value}).fails(400, "InvalidDigest")
    assert raw.get(bucket, "object", mode.read).ok().body == BODY


# ---- aws-chunked framing


def chunked(raw, bucket, body, **options):
    path = f"/{bucket}/object"
    headers, wire = sigv4.chunked_put(raw.credentials, path, body, host=f"127.0.0.1:{raw.port}", **options)
    return raw.send("PUT", path, headers, wire)


def test_signed_chunks_without_a_trailer(raw, bucket):
    body = random_body(150_000)
    chunked(raw, bucket, body).ok()
    assert raw.get(bucket, "object").ok().body == body


def test_a_chunk_may_have_any_length(raw, bucket):
    body = random_body((20 << 20) + 1)
    chunked(raw, bucket, body, chunk_bytes=len(body)).ok()
    assert raw.get(bucket, "object").ok().body == body
    unsigned = b"y" + body[1:]
    chunked(raw, bucket, unsigned, chunk_bytes=len(unsigned), signed=False, trailers={"x-amz-checksum-crc32": checksums.value("CRC32", unsigned)}).ok()


def alter_data(frames):
    frame = bytearray(frames[1])
    frame[len(frame) // 2] ^= 1
    return [frames[0], bytes(frame), *frames[2:]]


def alter_the_last_signature(frames):
    *others, last = frames
    at = last.index(b"chunk-signature=") + len(b"chunk-signature=")
    return [*others, last[:at] + (b"1" if last[at : at + 1] == b"0" else b"0") + last[at + 1 :]]


@pytest.mark.parametrize(
    "spoil",
    [alter_data, lambda frames: [frames[1], frames[0], *frames[2:]], alter_the_last_signature],
    ids=["altered", "reordered", "the last signature"],
)
def test_a_chunk_that_was_not_signed_so_stores_nothing(raw, bucket, spoil):
    chunked(raw, bucket, random_body(200_000), spoil=spoil).fails(403, "SignatureDoesNotMatch")
    raw.get(bucket, "object").fails(404, "NoSuchKey")


def test_an_altered_trailer_is_refused(raw, bucket):
    body, name = random_body(100), checksums.header("CRC32")
    value = checksums.value("CRC32", body)

    def spoil(frames):
        return [*frames[:-1], frames[-1].replace(value.encode(), checksums.value("CRC32", b"x").encode())]

    chunked(raw, bucket, body, trailers={name: value}, spoil=spoil).fails(403, "SignatureDoesNotMatch")
    raw.get(bucket, "object").fails(404, "NoSuchKey")


BROKEN_FRAMES = {
    "no end": (lambda frames: frames[:-1], "IncompleteBody"),
    "no trailer": (lambda frames: [*frames[:-1], b"0\r\n\r\n"], "InvalidRequest"),
    "cut": (lambda frames: [frames[0][:-50]], "IncompleteBody"),
    "more behind the end": (lambda frames: [*frames, b"more"], "IncompleteBody"),
    "garbage": (lambda frames: [b"zz\r\n" + frames[0], *frames[1:]], "IncompleteBody"),
}


@pytest.mark.parametrize("case", BROKEN_FRAMES)
def test_a_body_whose_framing_is_broken_is_a_400_and_stores_nothing(raw, bucket, case):
    spoil, code = BROKEN_FRAMES[case]
    body = random_body(70_000)
    trailers = {checksums.header("CRC32"): checksums.value("CRC32", body)}
    chunked(raw, bucket, body, trailers=trailers, signed=False, spoil=spoil).fails(400, code)
    raw.get(bucket, "object").fails(404, "NoSuchKey")


@pytest.mark.parametrize("case", ["no end", "cut", "garbage", "more behind the end"])
def test_signed_chunks_whose_framing_is_broken_are_a_400_and_store_nothing(raw, bucket, case):
    chunked(raw, bucket, random_body(70_000), spoil=BROKEN_FRAMES[case][0]).fails(400, "IncompleteBody")
    raw.get(bucket, "object").fails(404, "NoSuchKey")


@pytest.mark.parametrize("claimed", [500, 2000])
def test_the_decoded_length_is_checked(raw, bucket, claimed):
    path, body = f"/{bucket}/object", random_body(1000)
    options = {"trailers": {checksums.header("CRC32"): checksums.value("CRC32", body)}, "signed": False, "host": f"127.0.0.1:{raw.port}"}
    headers, _ = sigv4.chunked_put(raw.credentials, path, bytes(claimed), **options)
    _, wire = sigv4.chunked_put(raw.credentials, path, body, **options)
    raw.send("PUT", path, headers | {"content-length": str(len(wire))}, wire).fails(400, "IncompleteBody")
    raw.get(bucket, "object").fails(404, "NoSuchKey")
