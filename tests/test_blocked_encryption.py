"""BlockedEncryptionTypes: SSE-C blocked for a bucket, or for a store."""

import io

import boto3.s3.transfer
import pytest
from botocore.exceptions import ClientError

from conftest import make_bucket
from harness.sse import KEY, SSE, SSE_C, customer, source_customer

SSE_C_BLOCKED = {"Rules": [{"BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]}}]}
SSE_C_ALLOWED = {"Rules": [{"BlockedEncryptionTypes": {"EncryptionType": ["NONE"]}}]}
AES256 = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
CUSTOMER = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": KEY}


@pytest.fixture(scope="module")
def april_2026(tmp_path_factory):
    """A store with Amazon's default of April 2026."""
    from conftest import _shared

    yield from _shared(tmp_path_factory, '[sse]\nblocked_encryption_types = ["SSE-C"]\n')


def configure(s3, bucket, configuration):
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=configuration)


def rule(s3, bucket):
    [found] = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    return found


def is_denied(call, **arguments):
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    answer = refused.value.response
    assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]) == (403, "AccessDenied")
    assert "PutBucketEncryption with BlockedEncryptionTypes NONE" in answer["Error"]["Message"]


@pytest.mark.parametrize("configuration", [SSE_C_BLOCKED, SSE_C_ALLOWED], ids=["SSE-C", "NONE"])
def test_what_is_blocked_is_read_back_without_a_default_beside_it(s3, bucket, configuration):
    configure(s3, bucket, configuration)
    assert rule(s3, bucket) == configuration["Rules"][0]


def test_a_default_and_a_block_leave_each_other_as_they_are(s3, bucket):
    configure(s3, bucket, AES256)
    configure(s3, bucket, SSE_C_BLOCKED)
    configure(s3, bucket, {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}, "BucketKeyEnabled": True}]})
    assert rule(s3, bucket) == {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"},
        "BucketKeyEnabled": True,
        "BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]},
    }
    s3.delete_bucket_encryption(Bucket=bucket)
    with pytest.raises(ClientError, match="ServerSideEncryptionConfigurationNotFoundError"):
        s3.get_bucket_encryption(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="object", Body=b"body", **CUSTOMER)


def test_every_write_under_a_customer_key_is_denied_and_reads_of_those_before_go_on(s3, raw, bucket):
    s3.put_object(Bucket=bucket, Key="before", Body=b"before", **CUSTOMER)
    s3.put_object(Bucket=bucket, Key="plain", Body=b"plain")
    begun = s3.create_multipart_upload(Bucket=bucket, Key="upload", **CUSTOMER)["UploadId"]
    upload = {"Bucket": bucket, "Key": "upload", "UploadId": begun}
    part = s3.upload_part(PartNumber=1, Body=b"part", **upload, **CUSTOMER)["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": part}]}
    configure(s3, bucket, SSE_C_BLOCKED)

    target = {"Bucket": bucket, "Key": "object"}
    is_denied(s3.put_object, Body=b"body", **target, **CUSTOMER)
    is_denied(s3.copy_object, CopySource=f"{bucket}/plain", **target, **CUSTOMER)
    is_denied(s3.create_multipart_upload, **target, **CUSTOMER)
    is_denied(s3.upload_part, PartNumber=2, Body=b"more", **upload, **CUSTOMER)
    is_denied(s3.upload_part_copy, PartNumber=2, CopySource=f"{bucket}/plain", **upload, **CUSTOMER)
    is_denied(s3.complete_multipart_upload, MultipartUpload=parts, **upload)
    raw.put(bucket, "object", b"body", customer()).fails(403, "AccessDenied")
    raw.head(bucket, "object").ok(404)

    assert s3.get_object(Bucket=bucket, Key="before", **CUSTOMER)["Body"].read() == b"before"
    assert s3.head_object(Bucket=bucket, Key="before", **CUSTOMER)["SSECustomerAlgorithm"] == "AES256"
    assert {found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]} == {"before", "plain"}
    raw.copy(f"{bucket}/before", bucket, "moved", {SSE: "AES256"} | source_customer()).ok()
    assert raw.get(bucket, "moved").ok().body == b"before"

    configure(s3, bucket, SSE_C_ALLOWED)
    s3.complete_multipart_upload(MultipartUpload=parts, **upload)
    assert s3.get_object(Bucket=bucket, Key="upload", **CUSTOMER)["Body"].read() == b"part"


def test_boto3_s_own_uploads_are_denied_in_one_piece_and_in_parts(s3, bucket):
    configure(s3, bucket, SSE_C_BLOCKED)
    transfer = boto3.s3.transfer.TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
    for size in (10, 6 << 20):
        with pytest.raises((ClientError, boto3.exceptions.S3UploadFailedError), match="AccessDenied"):
            s3.upload_fileobj(io.BytesIO(bytes(size)), bucket, "object", ExtraArgs=CUSTOMER, Config=transfer)
    s3.upload_fileobj(io.BytesIO(bytes(6 << 20)), bucket, "object", Config=transfer)
    assert s3.head_object(Bucket=bucket, Key="object")["ContentLength"] == 6 << 20


@pytest.mark.parametrize(
    "inside",
    [
        "<BlockedEncryptionTypes/>",
        "<BlockedEncryptionTypes><EncryptionType>SSE-S3</EncryptionType></BlockedEncryptionTypes>",
        "<BlockedEncryptionTypes><EncryptionType>sse-c</EncryptionType></BlockedEncryptionTypes>",
        "<BlockedEncryptionTypes><EncryptionType/></BlockedEncryptionTypes>",
        "<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType><EncryptionType>NONE</EncryptionType></BlockedEncryptionTypes>",
        "<BlockedEncryptionTypes>" + "<EncryptionType>SSE-C</EncryptionType>" * 1000 + "</BlockedEncryptionTypes>",
        "<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>" * 2,
        "<BucketKeyEnabled>true</BucketKeyEnabled><BlockedEncryptionTypes><EncryptionType>NONE</EncryptionType></BlockedEncryptionTypes>",
    ],
    ids=["empty", "SSE-S3", "small letters", "no name", "SSE-C and NONE", "a thousand", "twice", "a bucket key of no default"],
)
def test_a_block_that_makes_no_sense_is_malformed_and_changes_nothing(s3, raw, bucket, inside):
    configure(s3, bucket, SSE_C_BLOCKED)
    xml = f"<ServerSideEncryptionConfiguration><Rule>{inside}</Rule></ServerSideEncryptionConfiguration>"
    raw.request("PUT", f"/{bucket}", query={"encryption": ""}, body=xml.encode()).fails(400, "MalformedXML")
    assert rule(s3, bucket) == SSE_C_BLOCKED["Rules"][0]


def test_a_store_blocks_for_all_buckets_that_say_nothing_themselves(april_2026):
    s3, raw, bucket = april_2026.boto(), april_2026.raw(), make_bucket(april_2026)
    assert rule(s3, bucket) == SSE_C_BLOCKED["Rules"][0], "so a client sees that it has to ask"
    is_denied(s3.put_object, Bucket=bucket, Key="object", Body=b"body", **CUSTOMER)
    assert raw.put(bucket, "object", b"body").ok().headers[SSE] == "AES256"
    configure(s3, bucket, AES256)
    is_denied(s3.put_object, Bucket=bucket, Key="object", Body=b"body", **CUSTOMER)

    configure(s3, bucket, SSE_C_ALLOWED)
    raw.put(bucket, "object", b"body", SSE_C.write).ok()
    other = make_bucket(april_2026)
    is_denied(s3.put_object, Bucket=other, Key="object", Body=b"body", **CUSTOMER)
    s3.delete_bucket_encryption(Bucket=bucket)
    is_denied(s3.put_object, Bucket=bucket, Key="object", Body=b"body", **CUSTOMER)
    assert raw.get(bucket, "object", SSE_C.read).ok().body == b"body"


def test_a_store_that_begins_to_block_lets_what_is_there_be_read(new_server):
    server = new_server()
    raw = server.raw()
    raw.request("PUT", "/bucket").ok()
    raw.put("bucket", "object", b"body", SSE_C.write).ok()
    server.extra_env["STRONGROOM_SSE_BLOCKED_ENCRYPTION_TYPES"] = "SSE-C"
    server.restart()
    raw = server.raw()
    raw.put("bucket", "object", b"other", SSE_C.write).fails(403, "AccessDenied")
    assert raw.get("bucket", "object", SSE_C.read).ok().body == b"body"


def test_a_caller_needs_the_right_to_configure_encryption(new_server):
    server = new_server(
        """
[[users]]
name = "writer"
access_key = "WRITER"
secret_key = "writer-secret"
policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:PutObject","s3:GetObject"],"Resource":"*"}]}'

[sse]
blocked_encryption_types = ["SSE-C"]
"""
    )
    server.raw().request("PUT", "/bucket").ok()
    writer = server.raw("WRITER", "writer-secret")
    body = b"<ServerSideEncryptionConfiguration><Rule><BlockedEncryptionTypes><EncryptionType>NONE</EncryptionType></BlockedEncryptionTypes></Rule></ServerSideEncryptionConfiguration>"
    writer.request("PUT", "/bucket", query={"encryption": ""}, body=body).fails(403, "AccessDenied")
    writer.put("bucket", "object", b"body", customer()).fails(403, "AccessDenied")
    writer.put("bucket", "object", b"body").ok()


def test_a_type_that_cannot_be_blocked_refuses_the_start(tmp_path):
    from harness.server import Server

    server = Server(tmp_path / "home", config='[sse]\nblocked_encryption_types = ["SSE-S3"]\n')
    try:
        with pytest.raises(RuntimeError, match="sse.blocked_encryption_types .* takes SSE-C, or nothing"):
            server.start()
    finally:
        server.remove()
