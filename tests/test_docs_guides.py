"""The guides in docs/: their blocks of commands are run in order, as they stand but for the endpoint and the directory of the server."""

import json
import re

import pytest

from harness import leaks
from harness.cli import Shell
from harness.server import BINARY, REPOSITORY

PROFILE = """
[profiles.default]
endpoint = "{endpoint}"
access_key = "{access_key}"
secret_key = "{secret_key}"
ca = "{ca}"
"""


def blocks(guide):
    text = (REPOSITORY / "docs" / f"{guide}.md").read_text()
    return re.findall(r"^```(?:sh|bash)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def shell(new_server, tmp_path):
    """Of an operator whose tools know the server; there are a bucket `photos` and some files."""
    server = new_server()
    shell = Shell(server, tmp_path)
    shell.env["AWS_ENDPOINT_URL"] = server.endpoint
    shell.env["PATH"] = f"{BINARY.parent}:{shell.env['PATH']}"
    profile = PROFILE.format(endpoint=server.endpoint, access_key=server.access_key, secret_key=server.secret_key, ca=server.ca)
    shell.file(".config/strongroom/config.toml", profile.encode()).chmod(0o600)
    for name in ("cat.jpg", "a.jpg", "report.pdf"):
        shell.file(name, b"a file")
    shell("aws s3api create-bucket --bucket photos && aws s3 cp cat.jpg s3://photos/cat.jpg")
    return shell


def script(shell, guide):
    text = "".join(blocks(guide)).replace("https://localhost:9000", shell.server.endpoint).replace("https://storage.example", shell.server.endpoint)
    return text.replace("--data-dir /srv/strongroom", "--profile default").replace("--cacert ca.pem", f"--cacert {shell.server.ca}")


@pytest.mark.parametrize("guide, least", [("acls", 4), ("bucket-policies", 14), ("cors", 18), ("object-lock", 12)])
def test_the_commands_of_a_guide_work(shell, guide, least):
    text = script(shell, guide)
    assert text.count("\n") >= least
    shell(text)


def test_the_commands_of_the_guide_to_identities_work(shell):
    done = shell(script(shell, "iam"))
    session = json.loads(done.stdout[done.stdout.rindex('{\n    "Credentials"') :])
    leaks.register("the secret of a session of the guide", session["Credentials"]["SecretAccessKey"])
    assert session["AssumedRoleUser"]["Arn"] == "arn:aws:sts::000000000000:assumed-role/backup/nightly"
    shell("aws --profile ada s3api create-bucket --bucket ada-photos")
    shell("aws --profile ada s3api create-bucket --bucket eves-photos", status=255)


def test_the_commands_of_the_guide_to_lifecycles_work(shell):
    before, after = script(shell, "lifecycle").split("strongroom lifecycle erase show RULE", 1)
    shell(before)
    rules = json.loads(shell("strongroom lifecycle --json erase list").stdout)
    assert len(rules["rules"]) == 2
    shell(f"strongroom lifecycle erase show RULE{after}".replace("RULE", rules["rules"][0]["rule_id"]))
    assert len(json.loads(shell("strongroom lifecycle --json erase list").stdout)["rules"]) == 1
