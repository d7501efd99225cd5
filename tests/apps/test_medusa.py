"""Cassandra Medusa's storage layer: a node's files go up, are compared with the manifest, come back and are deleted, under SSE-KMS and with a key of its own."""

import base64
import json

import pytest

from apps import stored
from harness.server import REGION, REPOSITORY
from harness.sse import KEY

PYTHON = REPOSITORY / ".tools/apps/medusa/bin/python"
MODES = {"SSE-KMS": lambda key_id: {"kms_id": key_id}, "SSE-C": lambda key_id: {"sse_c_key": base64.b64encode(KEY).decode()}}


@pytest.mark.parametrize("mode", MODES)
def test_a_node_s_backup_goes_up_and_comes_back(shell, server, bucket, key_id, mode):
    assert PYTHON.exists(), f"{PYTHON} is missing; install it with: tests/install-apps.sh"
    credentials = f"[default]\naws_access_key_id = {server.access_key}\naws_secret_access_key = {server.secret_key}\n"
    options = {
        "storage_provider": "s3_compatible",
        "bucket_name": bucket,
        "host": "127.0.0.1",
        "port": server.port,
        "region": REGION,
        "secure": "True",
        # It can trust the CAs it came with, or anybody.
        "ssl_verify": "False",
        "key_file": str(shell.file("credentials", credentials.encode())),
        "prefix": "",
        "fqdn": "node1.example",
        "concurrent_transfers": "4",
        "multi_part_upload_threshold": "8MB",
        "multipart_chunksize": "5MB",
        "s3_addressing_style": "path",
    }
    shell.env["DAY_STORAGE"] = json.dumps(options | MODES[mode](key_id))
    shell(f"{PYTHON} {REPOSITORY}/tests/apps/medusa/day.py {shell.home}")
    if mode == "SSE-KMS":
        stored.assert_all_under(server, bucket, key_id)
    else:
        with pytest.raises(server.boto().exceptions.ClientError, match="400"):
            server.boto().head_object(Bucket=bucket, Key=stored.keys(server, bucket)[0])
