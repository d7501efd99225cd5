"""boto3 as people use it, with its present defaults, in every mode."""

import io

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

from harness.server import REGION
from harness.sse import random_body

KEY = b"0123456789abcdef0123456789abcdef"
EXTRA = {
    "default": ({}, {}),
    "SSE-S3": ({"ServerSideEncryption": "AES256"}, {}),
    "SSE-KMS": ({"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "rotation-2024-09"}, {}),
    "DSSE": ({"ServerSideEncryption": "aws:kms:dsse"}, {}),
    "SSE-C": ({"SSECustomerAlgorithm": "AES256", "SSECustomerKey": KEY}, {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": KEY}),
}
MODES = pytest.mark.parametrize("mode", EXTRA)


@MODES
@pytest.mark.parametrize("length", [0, 1, 70_000, 12 << 20])
def test_put_get_head_and_delete(s3, bucket, mode, length):
    write, read = EXTRA[mode]
    body = random_body(length)
    put = s3.put_object(Bucket=bucket, Key="object", Body=body, **write)
    got = s3.get_object(Bucket=bucket, Key="object", **read)
    assert got["Body"].read() == body
    assert got["ETag"] == put["ETag"]
    assert s3.head_object(Bucket=bucket, Key="object", **read)["ContentLength"] == length
    for name, value in write.items():
        if name != "SSECustomerKey":
            assert got[name] == value
    s3.delete_object(Bucket=bucket, Key="object")
    with pytest.raises(ClientError) as missing:
        s3.get_object(Bucket=bucket, Key="object", **read)
    assert missing.value.response["Error"]["Code"] == "NoSuchKey"


@MODES
def test_upload_and_download_of_files(s3, bucket, mode):
    write, read = EXTRA[mode]
    body = random_body((20 << 20) + 3)
    s3.upload_fileobj(io.BytesIO(body), bucket, "object", ExtraArgs=write)
    back = io.BytesIO()
    s3.download_fileobj(bucket, "object", back, ExtraArgs=read)
    assert back.getvalue() == body


@MODES
def test_a_managed_copy_in_parts(s3, bucket, mode):
    write, read = EXTRA[mode]
    body = random_body(17 << 20)
    s3.upload_fileobj(io.BytesIO(body), bucket, "source", ExtraArgs=write)
    source = {f"CopySource{name}": value for name, value in read.items()}
    config = TransferConfig(multipart_threshold=8 << 20, multipart_chunksize=8 << 20)
    s3.copy({"Bucket": bucket, "Key": "source"}, bucket, "copy", ExtraArgs=write | source, Config=config, SourceClient=s3)
    assert s3.get_object(Bucket=bucket, Key="copy", **read)["Body"].read() == body


def test_a_stream_of_unknown_length(s3, bucket):
    body = random_body((9 << 20) + 1)

    class Stream:
        """Something that can be read and nothing else."""

        def __init__(self):
            self.inner = io.BytesIO(body)

        def read(self, size=-1):
            return self.inner.read(size)

    s3.upload_fileobj(Stream(), bucket, "object")
    assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == body


@pytest.mark.parametrize("when", ["when_supported", "when_required"])
@pytest.mark.parametrize("signing", [True, False])
def test_every_way_boto3_sends_a_body(server, bucket, when, signing):
    config = Config(request_checksum_calculation=when, response_checksum_validation=when, s3={"addressing_style": "path", "payload_signing_enabled": signing})
    s3 = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        verify=str(server.ca),
        region_name=REGION,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        config=config,
    )
    for length in (0, 5, 300_000):
        body = random_body(length)
        s3.put_object(Bucket=bucket, Key="object", Body=body)
        assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == body
        s3.put_object(Bucket=bucket, Key="object", Body=io.BytesIO(body))
        assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == body


def test_boto3_over_plain_http(server, bucket):
    s3 = server.boto(endpoint=f"http://127.0.0.1:{server.port}")
    body = random_body(200_000)
    s3.put_object(Bucket=bucket, Key="object", Body=body, ServerSideEncryption="AES256")
    assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == body


def test_waiters_and_the_resource_interface(s3, server, bucket):
    s3.put_object(Bucket=bucket, Key="object", Body=b"x")
    s3.get_waiter("object_exists").wait(Bucket=bucket, Key="object", WaiterConfig={"Delay": 1, "MaxAttempts": 3})
    resource = boto3.resource(
        "s3",
        endpoint_url=server.endpoint,
        verify=str(server.ca),
        region_name=REGION,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
    )
    assert [one.key for one in resource.Bucket(bucket).objects.all()] == ["object"]
    resource.Bucket(bucket).objects.all().delete()
    assert list(resource.Bucket(bucket).objects.all()) == []
