"""Each of the ten checksum algorithms wherever S3 has one: attributes, listings, copies, parts, and what is said of wrong ones."""

import pytest

from harness import checksums, disk
from harness.sse import SSE_C, SSE_KMS, SSE_S3, random_body

PART_BYTES = 5 << 20
ALGORITHMS = pytest.mark.parametrize("algorithm", list(checksums.ALGORITHMS))
ENABLED = {"x-amz-checksum-mode": "ENABLED"}
ATTRIBUTES = {"x-amz-object-attributes": "Checksum,ObjectParts"}
ALL_NAMES = "CRC32, CRC32C, CRC64NVME, MD5, SHA1, SHA256, SHA512, XXHASH128, XXHASH3, XXHASH64"


def attributes(raw, bucket, key, mode=SSE_S3):
    return raw.request("GET", f"/{bucket}/{key}", query={"attributes": ""}, headers=mode.read | ATTRIBUTES).ok().xml()


def only_checksum(element):
    """The one checksum in there: its name and value."""
    (found,) = [child for child in element if child.tag.startswith("Checksum") and child.tag not in ("ChecksumType", "ChecksumAlgorithm")]
    return found.tag, found.text


def completion(algorithm, etags, parts):
    rows = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag>"
        f"<Checksum{algorithm}>{checksums.value(algorithm, part)}</Checksum{algorithm}></Part>"
        for (number, etag), part in zip(etags.items(), parts, strict=True)
    )
    return f"<CompleteMultipartUpload>{rows}</CompleteMultipartUpload>".encode()


@ALGORITHMS
@pytest.mark.parametrize("mode", [SSE_S3, SSE_KMS, SSE_C], ids=str)
def test_attributes_and_listings_name_the_checksum(raw, s3, bucket, algorithm, mode):
    body = random_body(70_000)
    raw.put(bucket, "object", body, mode.write | {checksums.header(algorithm): checksums.value(algorithm, body)}).ok()
    found = attributes(raw, bucket, "object", mode).find("Checksum")
    assert only_checksum(found) == (f"Checksum{algorithm}", checksums.value(algorithm, body))
    assert found.findtext("ChecksumType") == "FULL_OBJECT"
    (listed,) = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert (listed["ChecksumAlgorithm"], listed["ChecksumType"]) == ([algorithm], "FULL_OBJECT")


@ALGORITHMS
def test_boto3_sends_a_value_that_it_was_given_and_gets_it_back(s3, bucket, algorithm):
    body, name = random_body(1000), f"Checksum{algorithm}"
    value = checksums.value(algorithm, body)
    assert s3.put_object(Bucket=bucket, Key="object", Body=body, **{name: value})[name] == value
    got = s3.get_object(Bucket=bucket, Key="object", ChecksumMode="ENABLED")
    assert (got["Body"].read(), got[name], got["ChecksumType"]) == (body, value, "FULL_OBJECT")
    assert s3.get_object_attributes(Bucket=bucket, Key="object", ObjectAttributes=["Checksum"])["Checksum"] == {name: value, "ChecksumType": "FULL_OBJECT"}


@ALGORITHMS
@pytest.mark.parametrize("length", [9, 300_000], ids=["inline", "blob"])
def test_what_is_said_of_a_wrong_value_names_the_algorithm(raw, bucket, algorithm, length):
    reply = raw.put(bucket, "object", random_body(length), {checksums.header(algorithm): checksums.value(algorithm, b"other")}).fails(400, "BadDigest")
    assert reply.message == f"The {algorithm} you specified did not match the calculated checksum."
    raw.get(bucket, "object").fails(404, "NoSuchKey")


@ALGORITHMS
def test_an_xml_body_is_verified(raw, bucket, algorithm):
    raw.put(bucket, "object", b"x").ok()
    xml = b"<Delete><Object><Key>object</Key></Object></Delete>"
    for content, status in ((b"other", 400), (xml, 200)):
        headers = {checksums.header(algorithm): checksums.value(algorithm, content)}
        assert raw.request("POST", f"/{bucket}", query={"delete": ""}, headers=headers, body=xml).status == status
    raw.get(bucket, "object").fails(404, "NoSuchKey")


@pytest.mark.parametrize("name", ["x-amz-checksum-algorithm", "x-amz-sdk-checksum-algorithm", "x-amz-checksum-xxhash32"])
def test_an_algorithm_that_there_is_not_is_an_invalid_request_that_names_those_there_are(raw, bucket, name):
    send = raw.create_upload if name == "x-amz-checksum-algorithm" else raw.put
    headers = {name: "XXHASH32"}
    reply = (send(bucket, "object", headers) if send == raw.create_upload else send(bucket, "object", b"x", headers)).fails(400, "InvalidRequest")
    assert reply.message == f"Checksum algorithm provided is unsupported. Please try again with any of the valid types: [{ALL_NAMES}]"


@ALGORITHMS
@pytest.mark.parametrize("mode", [SSE_S3, SSE_KMS, SSE_C], ids=str)
def test_a_copy_has_the_checksum_that_it_is_asked_for(raw, bucket, algorithm, mode):
    body = random_body(100_000)
    raw.put(bucket, "source", body, {"x-amz-checksum-crc32": checksums.value("CRC32", body)}).ok()
    value = checksums.value(algorithm, body)
    copied = raw.copy(f"{bucket}/source", bucket, "copy", mode.write | {"x-amz-checksum-algorithm": algorithm}).ok().xml()
    assert only_checksum(copied) == (f"Checksum{algorithm}", value)
    reply = raw.get(bucket, "copy", mode.read | ENABLED).ok()
    assert (reply.body, reply.headers[checksums.header(algorithm)], reply.headers["x-amz-checksum-type"]) == (body, value, "FULL_OBJECT")
    # Of one that has it already, and of one that is not told to have another.
    for headers in ({"x-amz-checksum-algorithm": algorithm}, {}):
        again = raw.copy(f"{bucket}/copy", bucket, "again", mode.source | headers).ok().xml()
        assert only_checksum(again) == (f"Checksum{algorithm}", value)


def test_an_md5_that_is_known_for_the_etag_is_not_computed_again(plain_server, plain_bucket):
    """A copy and a part that are to have the checksum MD5 share the blob of a source that has no such checksum."""
    raw, bucket, body = plain_server.raw(), plain_bucket, random_body(300_000)
    data = disk.Data(plain_server, lambda: raw.put(bucket, "source", body).ok())
    copied = raw.copy(f"{bucket}/source", bucket, "copy", {"x-amz-checksum-algorithm": "MD5"}).ok().xml()
    assert only_checksum(copied) == ("ChecksumMD5", checksums.value("MD5", body))
    upload = raw.begin_upload(bucket, "parts", {"x-amz-checksum-algorithm": "MD5"})
    part = raw.upload_part_copy(f"{bucket}/source", bucket, "parts", upload, 1).ok().xml()
    assert only_checksum(part) == ("ChecksumMD5", checksums.value("MD5", body))
    data.assert_not_moved()


@pytest.mark.parametrize("algorithm", checksums.COMPOSITE)
def test_parts_that_are_copied_have_checksums_and_so_have_attributes_of_the_object(raw, bucket, algorithm):
    parts = [random_body(PART_BYTES), random_body(321)]
    upload = raw.begin_upload(bucket, "object", {"x-amz-checksum-algorithm": algorithm})
    etags = {}
    for number, part in enumerate(parts, 1):
        raw.put(bucket, "source", part).ok()
        copied = raw.upload_part_copy(f"{bucket}/source", bucket, "object", upload, number).ok().xml()
        assert only_checksum(copied) == (f"Checksum{algorithm}", checksums.value(algorithm, part))
        etags[number] = copied.findtext("ETag")
    listed = raw.request("GET", f"/{bucket}/object", query={"uploadId": upload}).ok().xml()
    assert (listed.findtext("ChecksumAlgorithm"), listed.findtext("ChecksumType")) == (algorithm, "COMPOSITE")
    expected = [(f"Checksum{algorithm}", checksums.value(algorithm, part)) for part in parts]
    assert [only_checksum(part) for part in listed.findall("Part")] == expected
    whole = checksums.composite(algorithm, parts)
    done = raw.complete(bucket, "object", upload, completion(algorithm, etags, parts), {checksums.header(algorithm): whole}).ok()
    assert only_checksum(done.xml()) == (f"Checksum{algorithm}", whole)
    found = attributes(raw, bucket, "object")
    assert only_checksum(found.find("Checksum")) == (f"Checksum{algorithm}", whole.removesuffix("-2"))
    assert [only_checksum(part) for part in found.findall("ObjectParts/Part")] == expected
    reply = raw.get(bucket, "object", ENABLED, query={"partNumber": "2"}).ok(206)
    assert (reply.body, reply.headers[checksums.header(algorithm)]) == (parts[1], checksums.value(algorithm, parts[1]))


@ALGORITHMS
def test_a_completion_with_a_wrong_checksum_of_a_part_or_of_the_object_makes_no_object(raw, bucket, algorithm):
    body = random_body(1000)
    upload = raw.begin_upload(bucket, "object", {"x-amz-checksum-algorithm": algorithm})
    wrong = {checksums.header(algorithm): checksums.value(algorithm, b"other")}
    reply = raw.upload_part(bucket, "object", upload, 1, body, wrong).fails(400, "BadDigest")
    assert reply.message == f"The {algorithm} you specified did not match the calculated checksum."
    etags = {1: raw.upload_part(bucket, "object", upload, 1, body).ok().etag}
    raw.complete(bucket, "object", upload, completion(algorithm, etags, [b"other"])).fails(400, "InvalidPart")
    raw.complete(bucket, "object", upload, completion(algorithm, etags, [body]), wrong).fails(400, "BadDigest")
    raw.get(bucket, "object").fails(404, "NoSuchKey")
    raw.complete(bucket, "object", upload, completion(algorithm, etags, [body])).ok()
