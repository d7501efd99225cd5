"""The MinIO client: a mirrored folder, versions undone, tags, retention, lifecycle and CORS. tests/test_mc.py has its encryption options and keys."""

import json

import pytest

from apps import folders, stored
from conftest import make_bucket
from harness.mc import Mc


@pytest.fixture
def mc(shell):
    return Mc(shell)


def test_a_folder_is_mirrored_compared_searched_and_brought_back(mc, shell, server, kms_bucket, key_id):
    work = shell.home / "work"
    first = folders.morning(work)
    mc(f"mirror work s3/{kms_bucket}/work")
    assert {row["key"]: row["size"] for row in mc.rows(f"ls -r s3/{kms_bucket}/work/")} == {name: len(body) for name, body in first.items()}
    assert mc.rows(f"diff work s3/{kms_bucket}/work") == []
    assert mc.rows(f"du s3/{kms_bucket}/work")[-1]["size"] == sum(map(len, first.values()))

    second = folders.evening(work)
    assert mc.rows(f"diff work s3/{kms_bucket}/work") != []
    mc(f"mirror --overwrite --remove work s3/{kms_bucket}/work")
    assert mc.rows(f"diff work s3/{kms_bucket}/work") == []
    assert len(mc.rows(f"find s3/{kms_bucket}/work --name '*.log'")) == sum(name.endswith(".log") for name in second)
    mc(f"mirror s3/{kms_bucket}/work back")
    assert folders.read(shell.home / "back") == second
    stored.assert_all_under(server, kms_bucket, key_id)


def test_what_was_overwritten_and_deleted_is_undone_by_versions(mc, shell, server, bucket):
    mc(f"version enable s3/{bucket}")
    for text in (b"first", b"second"):
        shell.file("notes.txt", text)
        mc(f"put notes.txt s3/{bucket}/notes.txt")
    mc(f"rm s3/{bucket}/notes.txt")
    assert len(mc.rows(f"ls --versions s3/{bucket}")) == 3
    mc(f"undo --last 1 s3/{bucket}/notes.txt")
    assert server.boto().get_object(Bucket=bucket, Key="notes.txt")["Body"].read() == b"second"
    mc(f"undo --last 1 s3/{bucket}/notes.txt")
    assert server.boto().get_object(Bucket=bucket, Key="notes.txt")["Body"].read() == b"first"
    mc(f"rm --recursive --force --versions s3/{bucket}")
    assert mc.rows(f"ls --versions s3/{bucket}") == []


def test_tags_moves_pipes_and_links(mc, shell, server, bucket):
    mc(f"tag set s3/{bucket} 'team=red&cost=7'")
    assert mc.rows(f"tag list s3/{bucket}")[0]["tagset"] == {"team": "red", "cost": "7"}
    shell(f"printf 'from a pipe' | {mc.command} pipe s3/{bucket}/piped")
    mc(f"tag set s3/{bucket}/piped state=new")
    mc(f"mv s3/{bucket}/piped 's3/{bucket}/moved here'")
    assert stored.keys(server, bucket) == ["moved here"]
    assert mc.rows(f"tag list 's3/{bucket}/moved here'")[0]["tagset"] == {"state": "new"}
    [link] = [row["share"] for row in mc.rows(f"share download --expire 1h 's3/{bucket}/moved here'")]
    assert shell(f"curl -sf --cacert {server.ca} '{link}'").stdout == "from a pipe"


def test_what_is_under_retention_or_hold_stays(mc, shell, server):
    name = make_bucket(server) + "-locked"
    mc(f"mb --with-lock s3/{name}")
    mc(f"retention set --default GOVERNANCE 1d s3/{name}")
    shell.file("deed.txt", b"signed")
    mc(f"put deed.txt s3/{name}/deed.txt")
    mc(f"legalhold set s3/{name}/deed.txt")
    assert mc.rows(f"retention info s3/{name}/deed.txt")[0]["mode"] == "GOVERNANCE"
    [version] = [row["versionId"] for row in mc.rows(f"ls --versions s3/{name}")]
    mc(f"rm --version-id {version} s3/{name}/deed.txt", status=1)
    mc(f"legalhold clear s3/{name}/deed.txt")
    mc(f"rm --version-id {version} s3/{name}/deed.txt", status=1)
    mc(f"rm --bypass --version-id {version} s3/{name}/deed.txt")
    mc(f"rb s3/{name}")


def test_lifecycle_rules_and_cors_come_back_as_they_were_set(mc, shell, bucket):
    mc(f"ilm rule add --prefix logs/ --expire-days 30 s3/{bucket}")
    [rule] = json.loads(mc(f"ilm rule export s3/{bucket}").stdout)["config"]["Rules"]
    assert (rule["Status"], rule["Expiration"]["Days"]) == ("Enabled", 30)
    mc(f"ilm rule rm --id {rule['ID']} s3/{bucket}")
    rule = "<CORSRule><AllowedOrigin>https://app.example</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>"
    shell.file("cors.xml", f"<CORSConfiguration>{rule}</CORSConfiguration>".encode())
    mc(f"cors set s3/{bucket} cors.xml")
    assert "https://app.example" in mc(f"cors get s3/{bucket}").stdout
