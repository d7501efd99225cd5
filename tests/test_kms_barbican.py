"""Seed 001: customers' keys in OpenStack Barbican, the commands as written, with the real `openstack` against real Barbican and Keystone;
and a store that keeps its own keys there."""

import base64
import secrets

import pytest

from conftest import make_bucket
from harness import disk
from harness.admin import Admin
from harness.cli import Shell
from harness.keyservers import KeyServer
from harness.server import REPOSITORY
from harness.sse import KMS_KEY_ID, SSE, customer

MC = REPOSITORY / ".tools/mc/usr/bin/minio-client"
MEDIA = {"file.png": b"\x89PNG\r\n" * 5000, "sub/clip.bin": bytes(range(256)) * 40000}


@pytest.fixture(scope="module")
def barbican():
    server = KeyServer("barbican")
    yield server
    server.stop()


def openstack_environment(barbican, user="s3"):
    user = barbican.facts[user]
    return {
        "OS_AUTH_URL": barbican.facts["keystone"],
        "OS_IDENTITY_API_VERSION": "3",
        "OS_REGION_NAME": barbican.facts["region"],
        "OS_USERNAME": user["name"],
        "OS_PASSWORD": user["password"],
        "OS_PROJECT_NAME": user["project"],
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
    }


@pytest.fixture
def shell(server, tmp_path, barbican):
    shell = Shell(server, tmp_path)
    shell.env |= openstack_environment(barbican) | {"AWS_ENDPOINT_URL": server.endpoint}
    # `openstack` comes from an environment of its own; `aws` stays the one of the tests.
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/openstack").symlink_to(REPOSITORY / ".tools/barbican/bin/openstack")
    shell.env["PATH"] += f":{tmp_path}/bin"
    shell.env["bucket"] = f"brand-{secrets.token_hex(4)}-encrypted"
    for name, data in MEDIA.items():
        shell.file(f"media/{name}", data)
    return shell


STORE = """
secret_raw=$(pwgen 32 1)
barbican_secret_url=$(openstack secret store --name objectSecret --algorithm aes --bit-length 256 --payload ${secret_raw} -f value -c 'Secret href')
secret=$(openstack secret get ${barbican_secret_url} -p -c Payload -f value)
"""


def test_the_walk_through_with_aws_rclone_and_mc(shell, raw, server):
    shell.rclone_config("region", sse_customer_algorithm="AES256")
    done = shell(
        STORE
        + f"""
aws s3 mb s3://${{bucket}}
aws s3 sync ~/media/ s3://${{bucket}} --sse-c AES256 --sse-c-key ${{secret}}
aws s3 cp s3://${{bucket}}/file.png . --sse-c AES256 --sse-c-key ${{secret}}
cmp file.png media/file.png
env -u AWS_CA_BUNDLE rclone --ca-cert {server.ca} copy region:${{bucket}}/file.png by-rclone --s3-sse-customer-key=${{secret}}
cmp by-rclone/file.png media/file.png
mkdir -p .mc/certs/CAs && cp {server.ca} .mc/certs/CAs/
mc="{MC} --config-dir $HOME/.mc"
$mc alias set region {server.endpoint} {server.access_key} {server.secret_key}
$mc cp --enc-c "region/${{bucket}}=$(printf %s ${{secret}} | base64 | tr -d =)" region/${{bucket}}/file.png by-mc
cmp by-mc media/file.png
echo "secret is ${{secret}}"
"""
    )
    secret = done.stdout.rsplit("secret is ", 1)[1].strip()
    assert len(secret) == 32
    bucket = shell.env["bucket"]
    raw.get(bucket, "file.png").fails(400, "InvalidRequest")
    assert raw.get(bucket, "file.png", customer(secret.encode())).ok().body == MEDIA["file.png"]
    assert disk.holding(disk.files(server), secret.encode()) == []


def test_a_store_keeps_its_own_keys_in_barbican(barbican, new_server, tmp_path):
    server = new_server('encrypt_by_default = false\n[kms]\nbackend = "none"\n')
    admin, raw, bucket = Admin(server), server.raw(), make_bucket(server)
    user = barbican.facts["s3"]
    fields = {
        "backend_type": "barbican",
        "auth_url": barbican.facts["keystone"],
        "username": user["name"],
        "password": user["password"],
        "project_name": user["project"],
        "user_domain_name": "Default",
        "project_domain_name": "Default",
        "endpoint": barbican.facts["url"],
        "cache_ttl_seconds": 1,
        "timeout_seconds": 5,
    }
    admin("POST", "/configure", fields)
    admin("POST", "/start")
    made = admin("POST", "/keys", {"name": "reports"})["key_id"]
    admin("POST", "/reconfigure", {"default_key_id": made})
    shell = Shell(server, tmp_path)
    shell.env |= openstack_environment(barbican)
    openstack = REPOSITORY / ".tools/barbican/bin/openstack"
    raw_secret = secrets.token_hex(16)
    hrefs = [
        shell(f"{openstack} secret store --name own --algorithm aes --bit-length 256 --payload {payload} -f value -c 'Secret href'").stdout.strip()
        for payload in [raw_secret, base64.b64encode(secrets.token_bytes(32)).decode()]
    ]
    for key_id in [made] + [href.rsplit("/", 1)[1] for href in hrefs]:
        raw.put(bucket, key_id, b"kept", {SSE: "aws:kms", KMS_KEY_ID: key_id}).ok()
        assert raw.get(bucket, key_id).ok().body == b"kept"
        assert admin.usage(key_id)["objects"] == 1
    raw.put(bucket, "sse-s3", b"s3", {SSE: "AES256"}).ok()
    assert raw.get(bucket, "sse-s3").ok().headers[KMS_KEY_ID] == made
    server.restart()
    raw = server.raw()
    assert raw.get(bucket, made).ok().body == b"kept"
    shell(f"{openstack} secret delete {hrefs[0]}")
    Admin(server)("POST", "/clear-cache", status=204)
    raw.get(bucket, hrefs[0].rsplit("/", 1)[1]).fails(404, "NotFound")
    assert user["password"] not in str(Admin(server)("GET", "/config")) + str(Admin(server)("GET", "/status"))
