"""Velero's AWS plugin, started and called as Velero does: backups stored, listed, read back and removed, and a link for those who look at a backup."""

import json
import ssl
import urllib.request

import pytest

from apps import folders, stored
from harness.server import REGION, REPOSITORY
from harness.sse import KEY, customer, random_body

PROGRAMS = REPOSITORY / ".tools/apps/bin"
PLUGIN, DAY = PROGRAMS / "velero-plugin-for-aws", PROGRAMS / "velero-day"
# What the plugin is configured with, beside where the server is.
MODES = {
    "no options": lambda key_id, key_file: {},
    "SSE-S3": lambda key_id, key_file: {"serverSideEncryption": "AES256", "checksumAlgorithm": ""},
    "SSE-KMS": lambda key_id, key_file: {"kmsKeyId": key_id, "tagging": "team=backup&kind=velero"},
    "SSE-C": lambda key_id, key_file: {"customerKeyEncryptionFile": str(key_file), "checksumAlgorithm": "SHA256"},
}


@pytest.fixture(params=MODES)
def mode(request):
    return request.param


@pytest.fixture
def backups(shell):
    """{key: bytes}; the large one goes up in parts. None is empty, for the client of plugins sends no such body."""
    files = {
        "backups/first/velero-backup.json": b'{"kind": "Backup"}',
        "backups/first/first.tar.gz": random_body(300_000),
        "backups/second/second.tar.gz": random_body(12 << 20),
        "metadata/revision": b"42",
    }
    folders.write(shell.home / "backups", files)
    return files


@pytest.fixture
def link(shell, server, bucket, key_id, mode, backups):
    """The link that the program prints when its day is done."""
    for program in (PLUGIN, DAY):
        assert program.exists(), f"{program} is missing; install it with: tests/install-apps.sh"
    credentials = shell.file("credentials", f"[default]\naws_access_key_id={server.access_key}\naws_secret_access_key={server.secret_key}\n".encode())
    config = {"region": REGION, "s3Url": server.endpoint, "s3ForcePathStyle": "true", "bucket": bucket, "caCert": server.ca.read_text()}
    config |= {"credentialsFile": str(credentials)} | MODES[mode](key_id, shell.file("own.key", KEY))
    order = {"Plugin": str(PLUGIN), "Bucket": bucket, "Folder": str(shell.home / "backups"), "Config": config}
    shell.file("order.json", json.dumps(order).encode())
    return json.loads(shell(f"{DAY} < order.json").stdout)


def test_backups_are_stored_listed_read_back_and_removed_and_a_link_reads_one(link, server, bucket, key_id, mode, backups):
    second = "backups/second/second.tar.gz"
    assert stored.keys(server, bucket) == [second, "metadata/revision"]
    request = urllib.request.Request(link, headers=customer() if mode == "SSE-C" else {})
    with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=str(server.ca))) as reply:
        assert reply.read() == backups[second]

    s3 = server.boto()
    options = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": KEY} if mode == "SSE-C" else {}
    head = s3.head_object(Bucket=bucket, Key=second, ChecksumMode="ENABLED", **options)
    assert head["ContentLength"] == 12 << 20
    if mode == "SSE-C":
        assert (head["SSECustomerAlgorithm"], "ServerSideEncryption" in head) == ("AES256", False)
        # Three parts of the uploader's 5 MiB, each with the checksum that was asked for.
        assert head["ChecksumSHA256"].endswith("-3"), head
    else:
        expected = {"no options": "AES256", "SSE-S3": "AES256", "SSE-KMS": "aws:kms"}[mode]
        assert head["ServerSideEncryption"] == expected
    if mode == "SSE-KMS":
        stored.assert_all_under(server, bucket, key_id)
        tags = {tag["Key"]: tag["Value"] for tag in s3.get_object_tagging(Bucket=bucket, Key=second)["TagSet"]}
        assert tags == {"team": "backup", "kind": "velero"}
