"""`strongroom kms …` against a running server: what it prints, and its exit statuses."""

import json

import pytest

from conftest import make_bucket
from harness.admin import Admin, Kms
from harness.cli import run
from harness.server import BINARY
from harness.sse import KMS_KEY_ID, SSE

USER = """
[[users]]
name = "reader"
access_key = "READER"
secret_key = "reader-secret-key"
policies = ["readonly"]
"""


@pytest.fixture
def kms(server, tmp_path):
    return Kms(server, tmp_path)


def test_a_key_s_life_from_the_command_line(kms, raw, bucket, server):
    assert kms.json("status")["status"] == "Running"
    assert kms.json("key create cli-life --description 'for reports' --tag team=finance")["key_id"] == "cli-life"
    row = [line for line in kms("key list").stdout.splitlines() if line.startswith("cli-life ")]
    assert len(row) == 1 and "for reports" in row[0]
    raw.put(bucket, "object", b"12345", {SSE: "aws:kms", KMS_KEY_ID: "cli-life"}).ok()
    usage = kms.json("key usage cli-life")
    assert (usage["objects"], usage["bytes"]) == (1, 5)
    assert kms.json("key rotate cli-life")["key_metadata"]["current_version"] == 2
    kms("key tag cli-life env=prod")
    kms("key untag cli-life team")
    kms("key update-description cli-life other")
    described = kms.json("key describe cli-life")["key_metadata"]
    assert (described["tags"], described["description"], len(described["versions"])) == ({"env": "prod"}, "other", 2)
    for lock, unlock in [("disable", "enable"), ("seal", "unseal")]:
        kms(f"key {lock} cli-life")
        assert raw.get(bucket, "object").status in (400, 403)
        kms(f"key {unlock} cli-life")
        assert raw.get(bucket, "object").ok().body == b"12345"
    job = kms.json("rekey start --from-key cli-life --watch")
    assert (job["state"], job["done"]) == ("Completed", 1)
    assert kms.json("key delete cli-life --pending-days 7")["usage"]["objects"] == 1
    kms("key cancel-deletion cli-life")
    kms("key delete cli-life --now --confirm cli-life")
    raw.get(bucket, "object").fails(410, "KMS.NotFoundException")
    assert "cli-life" in kms("receipts").stdout


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("key describe no-such-key", 3),
        ("rekey show no-such-job", 3),
        ("key create default", 5),
        ("key create 'not a key'", 2),
        ("key delete default --now", 2),
        ("key delete default --now --confirm other", 2),
        ("no-such-command", 2),
        ("--endpoint https://127.0.0.1:1 status", 6),
        ("--profile nobody status", 2),
    ],
)
def test_an_exit_status_tells_what_went_wrong(kms, command, status):
    done = kms(command, status=status)
    assert done.stderr and not done.stdout


def test_a_refusal_is_json_for_programs(kms):
    done = kms("--json key describe no-such-key", status=3)
    assert set(json.loads(done.stderr)) == {"code", "message"}


def test_a_user_without_rights_is_told_so(new_server, tmp_path):
    server = new_server(USER)
    kms = Kms(server, tmp_path)
    secret = tmp_path / "reader.secret"
    secret.touch(mode=0o600)
    secret.write_text("reader-secret-key")
    kms.configure("reader", server, "READER", secret)
    for command in ["key create mine", "seal", "rekey start", "key delete default --now --confirm default"]:
        kms(f"--profile reader {command}", status=4)
    assert Admin(server)("GET", "/status")["status"] == "Running"


def test_a_dry_run_counts_and_changes_nothing(kms, raw, bucket, server):
    admin = Admin(server)
    old, new = admin.create_key(), admin.create_key()
    for number in range(5):
        raw.put(bucket, str(number), b"x", {SSE: "aws:kms", KMS_KEY_ID: old}).ok()
    job = kms.json(f"rekey start --bucket {bucket} --from-key {old} --to-key {new} --dry-run --watch")
    assert (job["state"], job["done"], job["failed"]) == ("Completed", 5, 0)
    assert admin.usage(old)["objects"] == 5
    kms(f"rekey start --bucket {bucket} --from-key {old} --to-key {new} --watch")
    assert (admin.usage(old)["objects"], admin.usage(new)["objects"]) == (0, 5)


def test_backup_and_restore_bring_a_lost_key_back(new_server, tmp_path):
    server = new_server('[kms]\nensure_keys = ["precious"]\n')
    kms, raw, bucket = Kms(server, tmp_path), server.raw(), make_bucket(server)
    raw.put(bucket, "object", b"body", {SSE: "aws:kms", KMS_KEY_ID: "precious"}).ok()
    passphrase = tmp_path / "passphrase"
    passphrase.touch(mode=0o600)
    passphrase.write_text("correct horse battery staple\n")
    kms(f"backup keys.bundle --passphrase-file {passphrase}")
    kms(f"backup keys.bundle --passphrase-file {passphrase}", status=1)
    bundle = (tmp_path / "keys.bundle").read_bytes()
    assert b"precious" not in bundle
    other = new_server()
    kms = Kms(other, tmp_path / "other")
    dry = kms.json(f"restore {tmp_path}/keys.bundle --passphrase-file {passphrase} --dry-run")
    assert "precious" in dry["added"]
    assert Admin(other).reply("GET", "/keys/precious").status == 404
    kms(f"restore {tmp_path}/keys.bundle --passphrase-file {passphrase}")
    assert Admin(other).key("precious")["key_id"] == "precious"
    passphrase.write_text("incorrect horse battery staple\n")
    kms(f"restore {tmp_path}/keys.bundle --passphrase-file {passphrase}", status=2)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions_are_printed_and_parse(tmp_path, shell):
    done = run([BINARY, "completions", shell], {"PATH": "/usr/bin:/bin"})
    assert "rekey" in done.stdout
    if shell == "bash":
        script = tmp_path / "completions"
        script.write_text(done.stdout)
        run(["bash", "-n", script], {"PATH": "/usr/bin:/bin"})


def test_every_command_has_help(kms):
    def walk(command):
        text = kms(f"{command} --help").stdout
        _, _, commands = text.partition("Commands:\n")
        for line in commands.split("\n\n")[0].splitlines():
            name = line.split()[0] if line.strip() else ""
            if name and name != "help":
                walk(f"{command} {name}".strip())
        assert "Usage:" in text

    walk("")
