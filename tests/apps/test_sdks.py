"""AWS's SDKs: a program in each language does the same day's work with the SDK's defaults, and prints presigned links for others to use."""

import json
import ssl
import urllib.request

import pytest

from apps import stored
from harness.server import REPOSITORY

APPS = REPOSITORY / ".tools/apps"
PROGRAMS = {
    "Go 2": [APPS / "bin/sdk-go"],
    "Java 2": ["java", "-cp", f"$(cat {APPS}/java/classpath)", REPOSITORY / "tests/apps/java/Day.java"],
    "JavaScript 3": ["node", APPS / "javascript/day.mjs"],
    "Rust": [APPS / "rust/debug/day"],
}


@pytest.fixture(params=PROGRAMS)
def links(request, shell, server, bucket, key_id):
    """What the program prints when its day is done."""
    command = PROGRAMS[request.param]
    assert command[-1].exists(), f"{command[-1]} is missing; install it with: tests/install-apps.sh"
    # Java trusts what lies in a store of its own kind.
    shell(f"keytool -importcert -noprompt -alias ca -file {server.ca} -keystore trust.p12 -storepass changeit")
    shell.env["JDK_JAVA_OPTIONS"] = "-Djavax.net.ssl.trustStore=trust.p12 -Djavax.net.ssl.trustStorePassword=changeit"
    shell.env |= {"AWS_REGION": shell.env["AWS_DEFAULT_REGION"], "AWS_ENDPOINT_URL": server.endpoint}
    shell.env |= {"NODE_EXTRA_CA_CERTS": str(server.ca), "DAY_BUCKET": bucket, "DAY_KEY_ID": key_id}
    return json.loads(shell(" ".join(map(str, command))).stdout)


def test_a_program_s_day_leaves_what_it_should_and_its_links_work(links, server, bucket, key_id):
    algorithms = ["", "CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]
    assert sorted(stored.keys(server, bucket)) == sorted(["copy", "large", "once", "own", *(f"checksums/{name}" for name in algorithms)])
    for name in algorithms:
        head = server.boto().head_object(Bucket=bucket, Key=f"checksums/{name}", ChecksumMode="ENABLED")
        # Without a word about it, an SDK of these days sends a CRC.
        assert head[f"Checksum{name}" if name else "ChecksumCRC32"], head
    assert [stored.encryption(server, bucket, key) for key in ("large", "copy")] == [("aws:kms", key_id)] * 2

    assert fetch(server, links["get"]) == b"second"
    fetch(server, links["put"], b"by a link")
    assert server.boto().get_object(Bucket=bucket, Key="by link")["Body"].read() == b"by a link"


def fetch(server, link, body=None):
    request = urllib.request.Request(link, body, method="PUT" if body else "GET")
    if body:
        request.add_header("Content-Type", "application/octet-stream")
    with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=str(server.ca))) as reply:
        return reply.read()
