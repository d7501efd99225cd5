"""The MinIO client, unmodified: alias, encryption of buckets, copies in every mode, keys, and a key rotation as a batch job."""

import base64

import pytest

from conftest import make_bucket
from harness.admin import Admin
from harness.cli import Shell
from harness.mc import Mc, rows
from harness.sse import CUSTOMER, KMS_KEY_ID, SSE, customer, random_body

RAW_KEY = b"32byteslongsecretkeymustprovided"


@pytest.fixture
def mc(server, tmp_path):
    return Mc(Shell(server, tmp_path))


def test_an_alias_is_set_and_lists_buckets(mc, bucket):
    assert f"{bucket}/" in [row["key"] for row in rows(mc("ls s3"))]


def test_encrypt_set_info_and_clear_change_the_bucket_s_default(mc, raw, bucket):
    mc(f"encrypt set sse-s3 s3/{bucket}")
    assert rows(mc(f"encrypt info s3/{bucket}"))[0]["encryption"]["algorithm"] == "AES256"
    mc(f"encrypt set sse-kms rotation-2024-09 s3/{bucket}")
    info = rows(mc(f"encrypt info s3/{bucket}"))[0]["encryption"]
    assert (info["algorithm"], info["keyId"]) == ("aws:kms", "rotation-2024-09")
    raw.put(bucket, "object", b"x").ok()
    assert raw.head(bucket, "object").headers[KMS_KEY_ID] == "rotation-2024-09"
    mc(f"encrypt clear s3/{bucket}")
    raw.request("GET", f"/{bucket}", query={"encryption": ""}).fails(404, "ServerSideEncryptionConfigurationNotFoundError")


@pytest.mark.parametrize("form", ["base64", "hex"])
def test_cp_and_cat_and_stat_with_a_customer_key(mc, raw, bucket, form):
    key = base64.b64encode(RAW_KEY).decode().rstrip("=") if form == "base64" else RAW_KEY.hex()
    body = random_body(100_000)
    mc.shell.file("file", body)
    encryption = f"--enc-c 's3/{bucket}={key}'"
    mc(f"cp {encryption} file s3/{bucket}/file")
    raw.get(bucket, "file").fails(400, "InvalidRequest")
    assert raw.get(bucket, "file", customer(RAW_KEY)).ok().body == body
    assert rows(mc(f"stat {encryption} s3/{bucket}/file"))[0]["size"] == len(body)
    mc(f"cp {encryption} s3/{bucket}/file back")
    assert (mc.shell.home / "back").read_bytes() == body
    refused = mc(f"cp s3/{bucket}/file none", status=1)
    assert "error" in refused.stdout


@pytest.mark.parametrize(
    ("option", "expected"),
    [("--enc-s3 s3/{0}", {SSE: "AES256"}), ("--enc-kms s3/{0}=rotation-2024-09", {SSE: "aws:kms", KMS_KEY_ID: "rotation-2024-09"})],
    ids=["SSE-S3", "SSE-KMS"],
)
def test_cp_with_a_key_of_the_server_small_and_in_parts(mc, raw, bucket, option, expected):
    for name, length in [("small", 1000), ("large", 20 << 20)]:
        body = random_body(length)
        mc.shell.file(name, body)
        mc(f"cp {option.format(bucket)} {name} s3/{bucket}/{name}")
        headers = raw.head(bucket, name).ok().headers
        assert {header: headers.get(header) for header in expected} == expected
        assert raw.get(bucket, name).ok().body == body
        mc(f"cp {option.format(bucket)} s3/{bucket}/{name} s3/{bucket}/copy-{name}")
        assert raw.get(bucket, f"copy-{name}").ok().body == body


def test_a_copy_of_64_mib_goes_by_parts_with_both_customer_keys(mc, raw, bucket, server):
    target = make_bucket(server)
    body = random_body(65 << 20)
    mc.shell.file("file", body)
    key = base64.b64encode(RAW_KEY).decode().rstrip("=")
    mc(f"cp --enc-c 's3/{bucket}={key}' file s3/{bucket}/file")
    mc(f"cp --enc-c 's3/{bucket}={key}' --enc-c 's3/{target}={key}' s3/{bucket}/file s3/{target}/file")
    assert raw.get(target, "file", customer(RAW_KEY)).ok().body == body


def test_mirror_brings_a_directory_there_and_back(mc, bucket):
    files = {"a.txt": b"a", "sub/b.bin": random_body(200_000), "sub/deep/c": b""}
    for name, body in files.items():
        mc.shell.file(f"here/{name}", body)
    mc(f"mirror --enc-s3 s3/{bucket} here s3/{bucket}")
    mc(f"mirror s3/{bucket} there")
    assert {name: (mc.shell.home / "there" / name).read_bytes() for name in files} == files
    mc(f"mirror -a here s3/{bucket}")


def test_ls_versions_lists_what_is_there(mc, raw, bucket):
    raw.put(bucket, "object", b"x").ok()
    assert [row["key"] for row in rows(mc(f"ls --versions s3/{bucket}"))] == ["object"]


def test_admin_kms_keys_are_created_listed_and_checked(mc, server):
    name = f"mc-{server.port}-{id(mc) % 100000}"
    mc(f"admin kms key create s3 {name}")
    assert name in mc("admin kms key list s3").stdout
    status = rows(mc(f"admin kms key status s3 {name}"))[0]
    assert status["keyId"] == name and not status.get("encryptionErr") and not status.get("decryptionErr")
    again = mc(f"admin kms key create s3 {name}", status=1)
    assert "error" in again.stdout
    assert Admin(server).key(name)["key_id"] == name


def test_a_batch_keyrotate_job_moves_a_bucket_to_another_key(mc, raw, bucket, server):
    admin = Admin(server)
    old, new = admin.create_key(), admin.create_key()
    for number in range(20):
        raw.put(bucket, f"logs/{number}", b"x" * number, {SSE: "aws:kms", KMS_KEY_ID: old}).ok()
    raw.put(bucket, "other", b"y", {SSE: "aws:kms", KMS_KEY_ID: old}).ok()
    job = f"""
keyrotate:
  apiVersion: v1
  bucket: {bucket}
  prefix: logs/
  encryption:
    type: sse-kms
    key: {new}
"""
    mc.shell.file("rotate.yaml", job.encode())
    started = rows(mc("batch start s3 rotate.yaml"))[0]
    job_id = started["result"]["id"] if "result" in started else started["id"]
    # Jobs under way are listed; a small one may have ended by now.
    assert rows(mc("batch list s3"))[0]["status"] == "success"
    assert "keyrotate" in mc(f"batch describe s3 {job_id}").stdout
    status = mc(f"batch status s3 {job_id}").stdout
    assert job_id in status or "keyrotate" in status
    assert admin.wait_for_job(job_id)["state"] == "Completed"
    assert raw.head(bucket, "logs/3").headers[KMS_KEY_ID] == new
    assert raw.head(bucket, "other").headers[KMS_KEY_ID] == old
    assert all(raw.get(bucket, f"logs/{number}").ok().body == b"x" * number for number in range(20))
