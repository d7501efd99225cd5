"""GetObjectAttributes."""

import pytest

from harness import checksums
from harness.sse import KEY, MODES, b64, key_md5, random_body

PART_BYTES = 5 << 20


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_the_attributes_of_an_object(plain_server, plain_bucket, mode):
    raw, body = plain_server.raw(), b"123456789"
    put = raw.put(plain_bucket, "object", body, mode.write | {"x-amz-checksum-crc32": "y/Q5Jg=="}).ok()
    reply = raw.attributes(plain_bucket, "object", mode.read).ok()
    xml = reply.xml()
    assert xml.findtext("ETag") == put.etag
    assert xml.findtext("ObjectSize") == "9"
    assert xml.findtext("StorageClass") == "STANDARD"
    assert xml.findtext("Checksum/ChecksumCRC32") == "y/Q5Jg=="
    assert xml.findtext("Checksum/ChecksumType") == "FULL_OBJECT"
    assert xml.find("ObjectParts") is None
    assert "last-modified" in reply.headers


def test_only_what_was_asked_for_is_answered(raw, bucket):
    raw.put(bucket, "object", b"x").ok()
    xml = raw.attributes(bucket, "object", names="ObjectSize").ok().xml()
    assert [child.tag for child in xml] == ["ObjectSize"]
    raw.request("GET", f"/{bucket}/object", query={"attributes": ""}).fails(400, "InvalidArgument")
    raw.attributes(bucket, "object", names="Colour").fails(400, "InvalidArgument")
    raw.attributes(bucket, "nothing").fails(404, "NoSuchKey")


def test_a_composite_checksum_stands_without_the_number_of_parts_and_the_parts_have_theirs(s3, bucket):
    parts = [random_body(PART_BYTES), random_body(PART_BYTES), b"end"]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="object", ChecksumAlgorithm="SHA256")["UploadId"]
    done = []
    for number, part in enumerate(parts, 1):
        reply = s3.upload_part(Bucket=bucket, Key="object", UploadId=upload, PartNumber=number, Body=part, ChecksumAlgorithm="SHA256")
        done.append({"PartNumber": number, "ETag": reply["ETag"], "ChecksumSHA256": reply["ChecksumSHA256"]})
    completed = s3.complete_multipart_upload(Bucket=bucket, Key="object", UploadId=upload, MultipartUpload={"Parts": done})
    assert completed["ChecksumSHA256"] == checksums.composite("SHA256", parts)
    found = s3.get_object_attributes(Bucket=bucket, Key="object", ObjectAttributes=["ObjectParts", "Checksum"])
    assert found["Checksum"]["ChecksumSHA256"] + "-3" == checksums.composite("SHA256", parts)
    assert found["Checksum"]["ChecksumType"] == "COMPOSITE"
    assert found["ObjectParts"]["TotalPartsCount"] == 3
    assert [(part["PartNumber"], part["Size"], part["ChecksumSHA256"]) for part in found["ObjectParts"]["Parts"]] == [
        (number, len(part), checksums.value("SHA256", part)) for number, part in enumerate(parts, 1)
    ]
    page = s3.get_object_attributes(Bucket=bucket, Key="object", ObjectAttributes=["ObjectParts"], MaxParts=2)["ObjectParts"]
    assert (page["IsTruncated"], page["NextPartNumberMarker"], len(page["Parts"])) == (True, 2, 2)
    rest = s3.get_object_attributes(Bucket=bucket, Key="object", ObjectAttributes=["ObjectParts"], PartNumberMarker=2)["ObjectParts"]
    assert [part["PartNumber"] for part in rest["Parts"]] == [3]


def test_boto3_reads_the_attributes_of_a_customer_encrypted_object(s3, bucket):
    s3.put_object(Bucket=bucket, Key="object", Body=b"1234", SSECustomerAlgorithm="AES256", SSECustomerKey=KEY)
    key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": b64(KEY), "SSECustomerKeyMD5": key_md5(KEY)}  # here boto3 encodes nothing itself
    assert s3.get_object_attributes(Bucket=bucket, Key="object", ObjectAttributes=["ObjectSize"], **key)["ObjectSize"] == 4
