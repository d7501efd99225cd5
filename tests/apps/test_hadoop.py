"""Hadoop's S3A: files, renamed folders, and a job's output by the magic committer, under SSE-KMS and with a key of its own."""

import base64

import pytest

from apps import stored
from harness.server import REGION, REPOSITORY
from harness.sse import KEY

CLASSPATH = REPOSITORY / ".tools/apps/hadoop/classpath"
DAY = REPOSITORY / "tests/apps/hadoop/Day.java"
MODES = {
    "SSE-KMS": lambda key_id: {"fs.s3a.encryption.algorithm": "SSE-KMS", "fs.s3a.encryption.key": key_id},
    "SSE-C": lambda key_id: {"fs.s3a.encryption.algorithm": "SSE-C", "fs.s3a.encryption.key": base64.b64encode(KEY).decode()},
}


@pytest.mark.parametrize("mode", MODES)
def test_files_folders_and_a_job_s_output_are_as_on_a_disk(shell, server, bucket, key_id, mode):
    assert CLASSPATH.exists(), f"{CLASSPATH} is missing; install it with: tests/install-apps.sh"
    settings = {
        "fs.s3a.endpoint": server.endpoint,
        "fs.s3a.endpoint.region": REGION,
        "fs.s3a.path.style.access": "true",
        "fs.s3a.access.key": server.access_key,
        "fs.s3a.secret.key": server.secret_key,
        "fs.s3a.multipart.size": "5M",
        "fs.s3a.attempts.maximum": "1",
        "fs.s3a.committer.name": "magic",
        "fs.s3a.buffer.dir": str(shell.home / "buffer"),
        "hadoop.tmp.dir": str(shell.home / "tmp"),
    } | MODES[mode](key_id)
    shell(f"keytool -importcert -noprompt -alias ca -file {server.ca} -keystore trust.p12 -storepass changeit")
    shell.env |= {"DAY_BUCKET": bucket, "JDK_JAVA_OPTIONS": "-Djavax.net.ssl.trustStore=trust.p12 -Djavax.net.ssl.trustStorePassword=changeit"}
    shell(f"java -cp $(cat {CLASSPATH}) {DAY} " + " ".join(f"{name}={value}" for name, value in settings.items()))

    left = stored.keys(server, bucket)
    assert {"files/large", "files/moved here", "empty/folder/", "output/_SUCCESS", "output/part-m-00000", "output/part-m-00001"} <= set(left)
    assert not [key for key in left if "magic" in key or "part-m-00002" in key]
    assert server.boto().list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
    if mode == "SSE-KMS":
        stored.assert_all_under(server, bucket, key_id)
    else:
        with pytest.raises(server.boto().exceptions.ClientError, match="400"):
            server.boto().head_object(Bucket=bucket, Key="files/large")
