"""OpenTofu's S3 backend: state under SSE-KMS or a key of its own, locked by `use_lockfile`, with workspaces and old versions."""

import base64
import json
import subprocess
import time
import uuid

import pytest

from apps import stored
from harness.admin import Admin
from harness.server import REGION, REPOSITORY
from harness.sse import KEY

TOFU = REPOSITORY / ".tools/apps/bin/tofu"
MAIN = """
terraform {{
  backend "s3" {{
    bucket = "{bucket}"
    key = "team/state"
    region = "{region}"
    endpoints = {{ s3 = "{server.endpoint}" }}
    custom_ca_bundle = "{server.ca}"
    use_path_style = true
    use_lockfile = true
    encrypt = true
    skip_credentials_validation = true
    skip_requesting_account_id = true
    skip_metadata_api_check = true
    {sse}
  }}
}}
variable "word" {{}}
variable "count_of_things" {{ default = 1 }}
resource "terraform_data" "thing" {{
  count = var.count_of_things
  input = "${{var.word}} ${{count.index}}"
}}
resource "terraform_data" "slow" {{
  count = var.word == "slow" ? 1 : 0
  provisioner "local-exec" {{ command = "until [ -e go ]; do sleep 0.1; done" }}
}}
output "things" {{ value = terraform_data.thing[*].output }}
"""
MODES = {
    "SSE-KMS": lambda key_id: f'kms_key_id = "{key_id}"',
    "SSE-C": lambda key_id: f'sse_customer_key = "{base64.b64encode(KEY).decode()}"',
}


@pytest.fixture(params=MODES)
def mode(request):
    return request.param


@pytest.fixture
def key_id(server):
    """The backend takes a UUID as an id, as Amazon's are."""
    return Admin(server).create_key(str(uuid.uuid4()))


@pytest.fixture
def tofu(shell, server, bucket, key_id, mode):
    assert TOFU.exists(), f"{TOFU} is missing; install it with: tests/install-apps.sh"
    del shell.env["AWS_CA_BUNDLE"]
    shell.env |= {"TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}
    shell.file("main.tf", MAIN.format(bucket=bucket, region=REGION, server=server, sse=MODES[mode](key_id)).encode())
    call = lambda command, status=0: shell(f"{TOFU} {command}", status=status).stdout
    call("init -input=false -no-color")
    return call


def apply(word, count=1):
    return f"apply -auto-approve -input=false -no-color -var word={word} -var count_of_things={count}"


def things(tofu):
    return json.loads(tofu("output -json"))["things"]["value"]


def test_state_is_kept_changed_split_into_workspaces_and_destroyed(tofu, server, bucket, mode, key_id):
    tofu(apply("first", 500))
    assert things(tofu) == [f"first {number}" for number in range(500)]
    tofu(apply("second", 3))
    assert things(tofu) == ["second 0", "second 1", "second 2"]
    assert len(tofu("state list").split()) == 3
    if mode == "SSE-KMS":
        stored.assert_all_under(server, bucket, key_id)
    else:
        with pytest.raises(server.boto().exceptions.ClientError, match="400"):
            server.boto().head_object(Bucket=bucket, Key="team/state")

    tofu("workspace new other")
    tofu(apply("third"))
    assert sorted(stored.keys(server, bucket)) == ["env:/other/team/state", "team/state"]
    tofu("workspace select default")
    assert things(tofu) == ["second 0", "second 1", "second 2"]
    tofu("workspace select other")
    tofu("destroy -auto-approve -no-color -var word=third")
    tofu("workspace select default")
    tofu("workspace delete other")
    assert stored.keys(server, bucket) == ["team/state"]


def test_one_apply_at_a_time_holds_the_lock(tofu, shell, server, bucket):
    tofu(apply("first"))
    with subprocess.Popen([TOFU, *apply("slow").split()], env=shell.env, cwd=shell.home, stdout=subprocess.DEVNULL) as slow:
        deadline = time.monotonic() + 60
        while "team/state.tflock" not in stored.keys(server, bucket) and time.monotonic() < deadline:
            time.sleep(0.05)
        refused = shell(f"{TOFU} {apply('third')}", status=1)
        assert "Error acquiring the state lock" in refused.stderr and "StatusCode: 412" in refused.stderr, refused.stderr
        shell.file("go", b"")
        assert slow.wait(60) == 0
    assert stored.keys(server, bucket) == ["team/state"]
    tofu(apply("third"))
    assert things(tofu) == ["third 0"]


def test_an_old_version_of_the_state_is_brought_back(tofu, shell, server, bucket, mode):
    server.boto().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    tofu(apply("first"))
    tofu(apply("second"))
    versions = server.boto().list_object_versions(Bucket=bucket, Prefix="team/state")["Versions"]
    states = [version["VersionId"] for version in versions if version["Key"] == "team/state"]
    key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": KEY} if mode == "SSE-C" else {}
    old = [server.boto().get_object(Bucket=bucket, Key="team/state", VersionId=version, **key)["Body"].read() for version in states]
    [first] = [state for state in old if b"first 0" in state]
    shell.file("old.tfstate", first)
    tofu("state push -force old.tfstate")
    assert things(tofu) == ["first 0"]
