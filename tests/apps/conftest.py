"""Applications as judges: each does a day's work against a real server. The fixtures are those of the other tests."""

import os

import pytest

from harness.admin import Admin
from harness.cli import Shell

# Those whose programs tests/install.sh brings; `make test` runs them. The others need tests/install-apps.sh: `make test-apps` runs all.
QUICK = {"test_mc.py", "test_rclone.py", "test_restic.py", "test_s3cmd.py", "test_s5cmd.py"}
ALL = "STRONGROOM_TEST_APPS" in os.environ


def pytest_ignore_collect(collection_path):
    if not ALL and collection_path.name.startswith("test_") and collection_path.name not in QUICK:
        return True


@pytest.fixture
def shell(server, tmp_path):
    """A home directory with the server's address, CA and root's keys in the environment."""
    return Shell(server, tmp_path)


@pytest.fixture
def key_id(server):
    """A master key of the test's own."""
    return Admin(server).create_key()


@pytest.fixture
def kms_bucket(server, bucket, key_id):
    """A bucket that encrypts everything under `key_id`."""
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key_id}, "BucketKeyEnabled": True}
    server.boto().put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    return bucket
