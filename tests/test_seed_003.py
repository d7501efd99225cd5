"""Seed 003 (MinIO's SSE-C how-to): every command as written, but for the port and the bucket's name."""

import hashlib
import json

import pytest

from harness.cli import Shell

TRIO = """--sse-customer-algorithm AES256\\
    --sse-customer-key MzJieXRlc2xvbmdzZWNyZXRrZXltdXN0cHJvdmlkZWQ=\\
    --sse-customer-key-md5 7PpPLAK26ONlVUGOWlusfg=="""
DIARY = b"Dear diary, nobody must read this.\n"


@pytest.fixture
def shell(server, tmp_path):
    """Without the CA: the seed tells to use --no-verify-ssl then."""
    shell = Shell(server, tmp_path)
    del shell.env["AWS_CA_BUNDLE"]
    shell.file("my-diary.txt", DIARY)
    return shell


def at(shell, verify="--no-verify-ssl"):
    return f"{verify}\\\n    --endpoint-url https://localhost:{shell.server.port}"


def test_the_how_to_from_bucket_to_download(shell, bucket):
    name = bucket + "-my-bucket"
    shell(f"aws --no-verify-ssl --endpoint-url https://localhost:{shell.server.port} s3api create-bucket --bucket {name}")
    put = shell(f"""aws s3api put-object\\
    {at(shell)}\\
    --bucket {name} --key my-secret-diary\\
    {TRIO}\\
    --body ~/my-diary.txt""")
    head = shell(f"""aws s3api head-object\\
    {at(shell)}\\
    --bucket {name}\\
    --key my-secret-diary\\
    {TRIO}""")
    shell("rm ~/my-diary.txt")
    get = shell(f"""aws s3api get-object\\
    {at(shell)}\\
    --bucket {name}\\
    --key my-secret-diary\\
    {TRIO}\\
    ~/my-diary.txt""")
    assert (shell.home / "my-diary.txt").read_bytes() == DIARY
    for answer in (put, head, get):
        said = json.loads(answer.stdout)
        assert said["SSECustomerAlgorithm"] == "AES256"
        assert said["SSECustomerKeyMD5"] == "7PpPLAK26ONlVUGOWlusfg=="
        assert "ServerSideEncryption" not in said
    assert json.loads(head.stdout)["ContentLength"] == len(DIARY)


def test_metadata_is_shown_only_with_the_key(shell, bucket):
    shell(f"aws s3api put-object {at(shell)} --bucket {bucket} --key d {TRIO} --body ~/my-diary.txt")
    refused = shell(f"aws s3api head-object {at(shell)} --bucket {bucket} --key d", status=255)
    assert "(400)" in refused.stderr


def test_with_the_ca_nothing_needs_to_be_skipped(shell, bucket, server):
    verified = at(shell, f"--ca-bundle {server.ca}")
    shell(f"aws s3api put-object {verified} --bucket {bucket} --key d {TRIO} --body ~/my-diary.txt")
    shell(f"aws s3api get-object {verified} --bucket {bucket} --key d {TRIO} out")
    assert (shell.home / "out").read_bytes() == DIARY


def test_without_the_ca_the_certificate_is_not_trusted(shell, bucket):
    refused = shell(f"aws s3api list-objects --endpoint-url https://localhost:{shell.server.port} --bucket {bucket}", status=255)
    assert "SSL validation failed" in refused.stderr


def test_sse_c_is_refused_without_tls(shell, bucket):
    endpoint = f"--endpoint-url http://localhost:{shell.server.port}"
    refused = shell(f"aws s3api put-object {endpoint} --bucket {bucket} --key d {TRIO} --body ~/my-diary.txt", status=255)
    assert "(InvalidRequest)" in refused.stderr
    assert "must be made over a secure connection." in refused.stderr


def test_the_etag_is_not_the_md5_of_the_object(shell, bucket):
    shell(f"aws s3api put-object {at(shell)} --bucket {bucket} --key d {TRIO} --body ~/my-diary.txt")
    head = json.loads(shell(f"aws s3api head-object {at(shell)} --bucket {bucket} --key d {TRIO}").stdout)
    assert head["ETag"].strip('"') != hashlib.md5(DIARY).hexdigest()
