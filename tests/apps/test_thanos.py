"""Thanos: blocks of metrics uploaded, verified, compacted, downsampled, read back, marked and deleted, under SSE-KMS and with a key of its own."""

import json
import time

import pytest

from apps import folders, stored
from harness.server import REGION, REPOSITORY, free_ports
from harness.sse import KEY

THANOS = REPOSITORY / ".tools/apps/bin/thanos"
PROMTOOL = REPOSITORY / ".tools/apps/bin/promtool"
HOUR, HOURS = 3600, 20
CONFIG = """type: S3
config:
  bucket: {bucket}
  endpoint: 127.0.0.1:{server.port}
  region: {region}
  access_key: {server.access_key}
  secret_key: {server.secret_key}
  bucket_lookup_type: path
  part_size: 5242880
  http_config: {{tls_config: {{ca_file: {server.ca}}}}}
  sse_config: {sse}
"""
MODES = {"SSE-KMS": "{{type: SSE-KMS, kms_key_id: {key_id}}}", "SSE-C": "{{type: SSE-C, encryption_key: {key_file}}}"}


@pytest.fixture(params=MODES)
def mode(request):
    return request.param


@pytest.fixture
def thanos(shell, server, bucket, key_id, mode):
    assert THANOS.exists(), f"{THANOS} is missing; install it with: tests/install-apps.sh"
    sse = MODES[mode].format(key_id=key_id, key_file=shell.file("own.key", KEY))
    config = shell.file("bucket.yml", CONFIG.format(bucket=bucket, server=server, region=REGION, sse=sse).encode())
    return lambda command: [THANOS, *command.split(), f"--objstore.config-file={config}", "--log.level=warn"]


def samples(first, hours):
    """A counter that grows by one a minute, of 50 hosts."""
    lines = ["# TYPE requests counter"]
    lines += [f'requests_total{{host="h{host}"}} {minute + host} {first + minute * 60}' for host in range(50) for minute in range(hours * 60)]
    return ("\n".join(lines) + "\n# EOF\n").encode()


def blocks(shell, thanos):
    """{id: hours} of the blocks in the bucket."""
    # One document after the other.
    printed, metas = shell(" ".join(map(str, thanos("tools bucket ls --output=json")))).stdout.strip(), []
    while printed:
        meta, end = json.JSONDecoder().raw_decode(printed)
        metas, printed = [*metas, meta], printed[end:].strip()
    return {meta["ulid"]: (meta["maxTime"] - meta["minTime"]) / HOUR / 1000 for meta in metas}


def fetched(server, bucket, folder, blocks, **key):
    """The folder, with the blocks as they lie in the bucket; promtool wants a log beside them."""
    (folder / "wal").mkdir(parents=True)
    for name in stored.keys(server, bucket):
        if name.split("/")[0] in blocks:
            folders.write(folder, {name: server.boto().get_object(Bucket=bucket, Key=name, **key)["Body"].read()})
    return folder


def test_blocks_are_uploaded_compacted_read_back_and_deleted(thanos, shell, server, bucket, mode, key_id):
    # In blocks of two hours; eight hours become one block as soon as later ones are there.
    first = int(time.time()) // (24 * HOUR) * 24 * HOUR - 48 * HOUR
    shell.file("samples", samples(first, HOURS))
    shell(f"{PROMTOOL} tsdb create-blocks-from openmetrics samples blocks")
    command = lambda words: shell(" ".join(f"'{word}'" for word in thanos(words)))
    command("tools bucket upload-blocks --path=blocks --label=cluster=\"a\"")
    uploaded = blocks(shell, thanos)
    assert len(uploaded) == HOURS / 2
    command("tools bucket verify")
    command(f"compact --http-address=127.0.0.1:{free_ports(1)[0]} --data-dir={shell.home}/compact --consistency-delay=0s --delete-delay=0s")
    compacted = blocks(shell, thanos)
    assert sorted(round(hours) for hours in compacted.values()) == [2, 2, 8, 8], compacted

    key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": KEY} if mode == "SSE-C" else {}
    back = fetched(server, bucket, shell.home / "back", compacted, **key)
    rows = shell(f"{PROMTOOL} tsdb dump --match='requests_total{{host=\"h7\"}}' {back}").stdout.splitlines()
    assert [tuple(map(float, row.rsplit(" ", 2)[1:])) for row in rows] == [(minute + 7, (first + minute * 60) * 1000) for minute in range(HOURS * 60)]

    if mode == "SSE-KMS":
        stored.assert_all_under(server, bucket, key_id)
    for block in compacted:
        command(f"tools bucket mark --id={block} --marker=deletion-mark.json --details=test")
    command("tools bucket cleanup --delete-delay=0s --consistency-delay=0s")
    assert blocks(shell, thanos) == {}
