"""Every mode with everything that can be done to an object: the table of docs/compatibility.md, cell by cell."""

import hashlib
from datetime import datetime, timezone
from pathlib import Path

import pytest
import urllib3
from botocore.exceptions import ClientError

from harness import checksums
from harness.sse import KMS_KEY_ID, SSE, b64, customer, key_md5

DOCUMENT = Path(__file__).parent.parent / "docs" / "compatibility.md"
DATA = bytes(range(256)) * 1024
PART = b"p" * (5 << 20)
CUSTOMER_KEY = "c" * 32
FAR = datetime(2090, 1, 1, tzinfo=timezone.utc)

CUSTOMER = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": CUSTOMER_KEY}
COPIED_CUSTOMER = {"CopySourceSSECustomerAlgorithm": "AES256", "CopySourceSSECustomerKey": CUSTOMER_KEY}
KMS = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "default"}


class Mode:
    """What a client says to write and to read, and how the answer names the mode."""

    def __init__(self, write, shown=None):
        self.write, self.shown = write, shown
        is_customer = write is CUSTOMER
        self.read = CUSTOMER if is_customer else {}
        self.copy = COPIED_CUSTOMER if is_customer else {}
        self.read_headers = customer(CUSTOMER_KEY.encode()) if is_customer else {}
        self.write_headers = self.read_headers | ({SSE: shown} if shown else {}) | ({KMS_KEY_ID: "default"} if "SSEKMSKeyId" in write else {})

    def check(self, answer):
        if self.read:
            assert answer["SSECustomerAlgorithm"] == "AES256"
        else:
            assert answer.get("ServerSideEncryption") == self.shown


MODES = {
    "none": Mode({}),
    "SSE-S3": Mode({"ServerSideEncryption": "AES256"}, "AES256"),
    "SSE-KMS": Mode(KMS, "aws:kms"),
    "DSSE-KMS": Mode(KMS | {"ServerSideEncryption": "aws:kms:dsse"}, "aws:kms:dsse"),
    "SSE-C": Mode(CUSTOMER),
}


class Cell:
    """A bucket, and a mode to use in it."""

    def __init__(self, server, bucket, mode):
        self.server, self.bucket, self.mode, self.client = server, bucket, mode, server.boto()

    def put(self, key="key", body=DATA, **arguments):
        answer = self.client.put_object(Bucket=self.bucket, Key=key, Body=body, **self.mode.write, **arguments)
        self.mode.check(answer)
        return answer

    def get(self, key="key", **arguments):
        answer = self.client.get_object(Bucket=self.bucket, Key=key, **self.mode.read, **arguments)
        self.mode.check(answer)
        return answer["Body"].read()

    def head(self, key="key", **arguments):
        answer = self.client.head_object(Bucket=self.bucket, Key=key, **self.mode.read, **arguments)
        self.mode.check(answer)
        return answer

    def multipart(self, key="key", parts=(PART, DATA), **arguments):
        created = self.client.create_multipart_upload(Bucket=self.bucket, Key=key, **self.mode.write, **arguments)
        self.mode.check(created)
        named = {"Bucket": self.bucket, "Key": key, "UploadId": created["UploadId"]}
        done = []
        for number, part in enumerate(parts, 1):
            if isinstance(part, str):
                source = {"CopySource": {"Bucket": self.bucket, "Key": part}} | self.mode.copy
                etag = self.client.upload_part_copy(**named, PartNumber=number, **source, **self.mode.read)["CopyPartResult"]["ETag"]
            else:
                etag = self.client.upload_part(**named, PartNumber=number, Body=part, **arguments, **self.mode.read)["ETag"]
            done.append({"PartNumber": number, "ETag": etag})
        return self.client.complete_multipart_upload(**named, MultipartUpload={"Parts": done})

    def refused(self, call, **arguments):
        with pytest.raises(ClientError) as error:
            call(Bucket=self.bucket, **arguments)
        return error.value.response["ResponseMetadata"]["HTTPStatusCode"]

    def versioned(self):
        self.client.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})


def single(cell):
    cell.put()
    assert cell.get() == DATA
    assert cell.head()["ContentLength"] == len(DATA)


def multipart(cell):
    cell.multipart()
    assert cell.get() == PART + DATA


def copy(cell):
    cell.put()
    source = {"Bucket": cell.bucket, "Key": "key"}
    answer = cell.client.copy_object(Bucket=cell.bucket, Key="copy", CopySource=source, **cell.mode.copy, **cell.mode.write)
    cell.mode.check(answer)
    assert cell.get("copy") == DATA


def part_copy(cell):
    cell.put("source", PART)
    cell.multipart(parts=("source", DATA))
    assert cell.get() == PART + DATA


def byte_range(cell):
    cell.put()
    assert cell.get(Range="bytes=65530-65545") == DATA[65530:65546]
    assert cell.get(Range="bytes=-7") == DATA[-7:]


def part_number(cell):
    cell.multipart()
    assert cell.get(PartNumber=1) == PART
    assert cell.get(PartNumber=2) == DATA
    assert cell.head(PartNumber=1)["PartsCount"] == 2


def version(cell):
    cell.versioned()
    old = cell.put(body=b"old")["VersionId"]
    new = cell.put()["VersionId"]
    marker = cell.client.delete_object(Bucket=cell.bucket, Key="key")["VersionId"]
    assert (cell.get(VersionId=old), cell.get(VersionId=new)) == (b"old", DATA)
    cell.client.delete_object(Bucket=cell.bucket, Key="key", VersionId=marker)
    assert cell.get() == DATA


def presigned(cell):
    pool = urllib3.PoolManager(ca_certs=str(cell.server.ca))
    client, named = cell.server.boto(signature_version="s3v4"), {"Bucket": cell.bucket, "Key": "key"}
    url = client.generate_presigned_url("put_object", Params=named | cell.mode.write)
    assert pool.request("PUT", url, body=DATA, headers=cell.mode.write_headers).status == 200
    url = client.generate_presigned_url("get_object", Params=named | cell.mode.read)
    answer = pool.request("GET", url, headers=cell.mode.read_headers)
    assert (answer.status, answer.data) == (200, DATA)


def conditional(cell):
    etag = cell.put()["ETag"]
    assert cell.get(IfMatch=etag) == DATA
    assert cell.refused(cell.client.get_object, Key="key", IfNoneMatch=etag, **cell.mode.read) == 304
    assert cell.refused(cell.client.get_object, Key="key", IfMatch='"other"', **cell.mode.read) == 412
    assert cell.refused(cell.client.put_object, Key="key", IfNoneMatch="*", Body=b"", **cell.mode.write) == 412
    cell.put(body=b"new", IfMatch=etag)
    assert cell.refused(cell.client.delete_object, Key="key", IfMatch=etag) == 412
    assert cell.get() == b"new"


def tagging(cell):
    cell.put(Tagging="a=1")
    tags = {"TagSet": [{"Key": "b", "Value": "2"}, {"Key": "c", "Value": "3"}]}
    cell.client.put_object_tagging(Bucket=cell.bucket, Key="key", Tagging=tags)
    assert cell.client.get_object_tagging(Bucket=cell.bucket, Key="key")["TagSet"] == tags["TagSet"]
    assert cell.head()["TagCount"] == 2
    assert cell.get() == DATA


def lock(cell):
    cell.versioned()
    cell.client.put_object_lock_configuration(Bucket=cell.bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"})
    stored = cell.put(ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=FAR)["VersionId"]
    cell.client.put_object_legal_hold(Bucket=cell.bucket, Key="key", LegalHold={"Status": "ON"})
    head = cell.head()
    assert (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"], head["ObjectLockLegalHoldStatus"]) == ("COMPLIANCE", FAR, "ON")
    assert cell.refused(cell.client.delete_object, Key="key", VersionId=stored) == 403
    assert cell.get(VersionId=stored) == DATA


def attributes(cell):
    cell.multipart(ChecksumAlgorithm="SHA256")
    wanted = ["ETag", "Checksum", "ObjectParts", "ObjectSize"]
    # Of this operation botocore neither encodes the customer's key nor adds its MD5.
    key = {"SSECustomerKey": b64(CUSTOMER_KEY.encode()), "SSECustomerKeyMD5": key_md5(CUSTOMER_KEY.encode())} if cell.mode.read else {}
    named = {"Bucket": cell.bucket, "Key": "key", "ObjectAttributes": wanted}
    found = cell.client.get_object_attributes(**named | cell.mode.read | key)
    assert (found["ObjectSize"], found["ObjectParts"]["TotalPartsCount"]) == (len(PART) + len(DATA), 2)
    assert found["Checksum"]["ChecksumSHA256"] == checksums.composite("SHA256", [PART, DATA]).removesuffix("-2")
    if cell.mode.shown in (None, "AES256") and not cell.mode.read:
        assert found["ETag"] == checksums.multipart_etag([PART, DATA])


def checksum(algorithm):
    def check(cell):
        field, value = f"Checksum{algorithm}", checksums.value(algorithm, DATA)
        assert cell.put(**{field: value})[field] == value
        assert cell.head(ChecksumMode="ENABLED")[field] == value
        wrong = checksums.value(algorithm, b"other")
        assert cell.refused(cell.client.put_object, Key="key", Body=b"data", **{field: wrong}, **cell.mode.write) == 400
        assert cell.get() == DATA

    return check


CHECKS = {
    "single": single,
    "multipart": multipart,
    "copy": copy,
    "part copy": part_copy,
    "range": byte_range,
    "partNumber": part_number,
    "version": version,
    "presigned": presigned,
    "conditional": conditional,
    "tagging": tagging,
    "lock": lock,
    "attributes": attributes,
} | {algorithm: checksum(algorithm) for algorithm in checksums.ALGORITHMS}


def table():
    lines = [f"| | {' | '.join(MODES)} |", f"| --- |{' --- |' * len(MODES)}"]
    return "\n".join(lines + [f"| {name} |{' yes |' * len(MODES)}" for name in CHECKS]) + "\n"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", CHECKS)
def test_what_can_be_done_to_an_object_can_be_done_in_every_mode(plain_server, plain_bucket, name, mode):
    CHECKS[name](Cell(plain_server, plain_bucket, MODES[mode]))


def test_the_document_has_the_table_of_these_tests():
    assert table() in DOCUMENT.read_text(), f"docs/compatibility.md must have this table:\n{table()}"
