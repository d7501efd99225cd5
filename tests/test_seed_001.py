"""Seed 001 (Ceph RGW with keys from Barbican): the aws, rclone and s3cmd sections.

Substituted: the profile by endpoint and CA in the environment, the region's and the brand's names, and the secret, which comes from a
variable instead of Barbican (that walk-through comes with the Barbican backend).
"""

import pytest

from conftest import make_bucket
from harness.cli import Shell
from harness.sse import KMS_KEY_ID, SSE, customer

SECRET = "Oos4aephohn8Eiy6iequ0AeZ3ieth1Ai"
MEDIA = {"file.png": b"\x89PNG\r\n" * 5000, "sub/clip.bin": bytes(range(256)) * 40000, "empty": b""}


@pytest.fixture
def shell(server, tmp_path):
    shell = Shell(server, tmp_path)
    shell.env |= {"AWS_ENDPOINT_URL": server.endpoint, "secret": SECRET, "bucket": f"brand-{tmp_path.name.replace('_', '-')}"[:60].strip("-").lower()}
    for name, data in MEDIA.items():
        shell.file(f"media/{name}", data)
    return shell


def test_aws_sync_encrypts_and_a_download_without_the_key_is_a_400(shell, raw):
    bucket = shell.env["bucket"]
    shell("aws s3 mb s3://${bucket}")
    shell("aws \\\n s3 sync \\\n ~/media/ s3://${bucket} \\\n --sse-c AES256 \\\n --sse-c-key ${secret}")
    for name, data in MEDIA.items():
        raw.get(bucket, name).fails(400, "InvalidRequest")
        assert raw.get(bucket, name, customer(SECRET.encode())).ok().body == data
    shell("aws \\\n s3 cp \\\n s3://${bucket}/file.png . \\\n --sse-c AES256 \\\n --sse-c-key ${secret}")
    assert (shell.home / "file.png").read_bytes() == MEDIA["file.png"]
    refused = shell("aws \\\n s3 cp \\\n s3://${bucket}/file.png .", status=1)
    assert "fatal error: An error occurred (400) when calling the HeadObject operation: Bad Request" in refused.stderr


def test_aws_sync_a_second_time_moves_nothing(shell, raw):
    shell("aws s3 mb s3://${bucket}")
    sync = "aws s3 sync ~/media/ s3://${bucket} --sse-c AES256 --sse-c-key ${secret}"
    assert shell(sync).stdout.count("upload:") == len(MEDIA)
    assert shell(sync).stdout.count("upload:") == 0


def test_aws_sync_uploads_a_large_file_in_encrypted_parts(shell, raw):
    large = bytes(range(251)) * (20 * 1024 * 1024 // 251)
    shell.file("media/large.bin", large)
    shell("aws s3 mb s3://${bucket}")
    shell("aws s3 sync ~/media/ s3://${bucket} --sse-c AES256 --sse-c-key ${secret}")
    head = raw.head(shell.env["bucket"], "large.bin", customer(SECRET.encode())).ok()
    assert head.etag.endswith("-3")
    shell("aws s3 sync s3://${bucket} ~/back --sse-c AES256 --sse-c-key ${secret}")
    for name, data in (MEDIA | {"large.bin": large}).items():
        assert (shell.home / "back" / name).read_bytes() == data


def test_the_rclone_walk_through(shell, raw):
    bucket = shell.env["bucket"]
    shell.rclone_config("region", sse_customer_algorithm="AES256")
    rclone = f"env -u AWS_CA_BUNDLE rclone --ca-cert {shell.server.ca}"
    shell(f"{rclone} mkdir region:${{bucket}}")
    shell(f"{rclone} sync ~/media/ region:${{bucket}} \\\n --s3-sse-customer-key=${{secret}}")
    for name, data in MEDIA.items():
        raw.get(bucket, name).fails(400, "InvalidRequest")
        assert raw.get(bucket, name, customer(SECRET.encode())).ok().body == data
    shell(f"{rclone} copy region:${{bucket}}/file.png back \\\n --s3-sse-customer-key=${{secret}}")
    assert (shell.home / "back/file.png").read_bytes() == MEDIA["file.png"]
    without = shell(f"{rclone} copy --retries 1 --low-level-retries 1 region:${{bucket}} none", status=1)
    assert "status code: 400" in without.stderr
    assert not list((shell.home / "none").rglob("*.png"))


def test_rclone_check_finds_what_it_synced(shell):
    shell.rclone_config("region", sse_customer_algorithm="AES256")
    rclone = f"env -u AWS_CA_BUNDLE rclone --ca-cert {shell.server.ca} --s3-sse-customer-key=${{secret}}"
    shell(f"{rclone} mkdir region:${{bucket}} && {rclone} sync ~/media/ region:${{bucket}}")
    checked = shell(f"{rclone} check --download ~/media/ region:${{bucket}}")
    assert "0 differences found" in checked.stderr


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--server-side-encryption", {SSE: "AES256"}),
        ("--server-side-encryption --server-side-encryption-kms-id=rotation-2024-09", {SSE: "aws:kms", KMS_KEY_ID: "rotation-2024-09"}),
    ],
    ids=["SSE-S3", "SSE-KMS"],
)
def test_s3cmd_encrypts_with_the_server_s_keys(shell, raw, server, options, expected):
    bucket = make_bucket(server)
    shell.s3cmd_config()
    shell(f"s3cmd {options} put media/file.png s3://{bucket}/file.png")
    shell(f"s3cmd {options} --multipart-chunk-size-mb=5 put media/sub/clip.bin s3://{bucket}/clip.bin")
    for key, name in [("file.png", "file.png"), ("clip.bin", "sub/clip.bin")]:
        shell(f"s3cmd get --force s3://{bucket}/{key} back")
        assert (shell.home / "back").read_bytes() == MEDIA[name]
        headers = raw.head(bucket, key).ok().headers
        assert {name: headers.get(name) for name in expected} == expected
    assert raw.head(bucket, "clip.bin").etag.endswith("-2")
