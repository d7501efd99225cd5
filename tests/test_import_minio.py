"""Identities of a MinIO server, by the archive that `mc admin cluster iam export` writes."""

import json
import zipfile

import pytest

from harness import leaks
from harness.admin import Program
from harness.iam import allow, client, code
from harness.server import Server

ADA, APP = "the-secret-of-ada-at-minio", "the-secret-of-an-app-at-minio"
FILES = {
    "policies.json": {
        "lister": json.loads(allow("s3:ListAllMyBuckets")),
        "readonly": json.loads(allow("s3:GetObject")),
        "console": json.loads(allow("admin:ServerInfo")),
    },
    "users.json": {
        "ada": {"secretKey": ADA, "status": "enabled"},
        "off": {"secretKey": "the-secret-of-nobody-any-more", "status": "disabled"},
        "a b": {"secretKey": "the-secret-of-a-name-with-a-space", "status": "enabled"},
    },
    "groups.json": {"readers": {"version": 1, "status": "enabled", "members": ["ada", "gone"]}},
    "user_mappings.json": {"ada": {"version": 1, "policy": "lister"}, "off": {"version": 1, "policy": "console"}},
    "group_mappings.json": {"readers": {"version": 1, "policy": "readonly,lister"}},
    "svcaccts.json": {
        "app-of-ada": {
            "parent": "ada",
            "accessKey": "app-of-ada",
            "secretKey": APP,
            "sessionPolicy": json.loads(allow("s3:ListAllMyBuckets")),
            "status": "on",
            "name": "app",
            "description": "",
            "expiration": "1970-01-01T00:00:00Z",
        },
        "app-of-root": {"parent": "minioadmin", "accessKey": "app-of-root", "secretKey": "the-secret-of-an-app-of-root", "status": "on"},
    },
    "stsuser_mappings.json": {},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    leaks.register("the secret of ada at MinIO", ADA)
    leaks.register("the secret of an app at MinIO", APP)
    server = Server(tmp_path_factory.mktemp("import")).start()
    yield server
    server.stop()
    server.remove()


@pytest.fixture
def program(server, tmp_path):
    return Program(server, tmp_path)


def archive(path, files=FILES):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in files.items():
            zipped.writestr(f"iam-assets/{name}", content if isinstance(content, bytes) else json.dumps(content))
    return path


def outcomes(done):
    return {(row["kind"], row["name"]): row for row in json.loads(done.stdout)["entries"]}


def test_a_dry_run_says_what_would_be_taken_and_takes_nothing(program):
    archive(program.home / "export.zip")
    rows = outcomes(program("account --json import export.zip --dry-run"))
    assert rows["user", "ada"]["outcome"] == "would be created"
    assert program.json("user list")["Users"] == [] and program.json("policy list --scope local")["Policies"] == []


def test_what_can_be_taken_is_taken_and_what_not_is_told_with_the_reason(program, server):
    archive(program.home / "export.zip")
    done = program("account --json import export.zip", status=7)
    rows = outcomes(done)
    refused = {name for name, row in rows.items() if row["outcome"] == "not taken"}
    assert refused == {
        ("policy", "console"),
        ("user", "a b"),
        ("member", "readers: gone"),
        ("policy of a user", "off: console"),
        ("service account", "app-of-root"),
    }
    assert rows["file", "stsuser_mappings.json"]["outcome"] == "left out"
    assert all(rows[name]["why"] for name in refused) and "admin:ServerInfo" in rows["policy", "console"]["why"]
    assert ADA not in done.stdout + done.stderr and APP not in done.stdout + done.stderr
    # Users go on with the keys that they have.
    ada = {"AccessKeyId": "ada", "SecretAccessKey": ADA}
    s3 = client(server, "s3", ada)
    s3.list_buckets()
    assert code(client(server, "iam", ada).list_users) == ("AccessDenied", 403)
    app = client(server, "s3", {"AccessKeyId": "app-of-ada", "SecretAccessKey": APP})
    app.list_buckets()
    root = client(server, "s3")
    root.create_bucket(Bucket="imported")
    root.put_object(Bucket="imported", Key="k", Body=b"x")
    s3.get_object(Bucket="imported", Key="k")
    assert code(app.get_object, Bucket="imported", Key="k") == ("AccessDenied", 403), "its policy narrows what its user may"
    assert code(client(server, "s3", {"AccessKeyId": "off", "SecretAccessKey": "the-secret-of-nobody-any-more"}).list_buckets) == ("InvalidAccessKeyId", 403)
    shown = program.json("user show ada")
    assert (shown["Groups"], shown["AttachedPolicies"]) == (["readers"], ["arn:aws:iam::000000000000:policy/lister"])


def test_taken_again_it_changes_nothing_more(program, server):
    archive(program.home / "export.zip")
    program("account import export.zip", status=7)
    before = program("user --json show ada").stdout
    program("account import export.zip", status=7)
    assert program("user --json show ada").stdout == before
    client(server, "s3", {"AccessKeyId": "app-of-ada", "SecretAccessKey": APP}).list_buckets()


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("no-archive", lambda path: path.write_bytes(b"not a zip")),
        ("cut", lambda path: path.write_bytes(archive(path).read_bytes()[:-30])),
        ("no-json", lambda path: archive(path, {"users.json": b"{"})),
        ("bomb", lambda path: archive(path, {"users.json": b" " * (129 << 20)})),
        ("many", lambda path: archive(path, {f"{number}.json": b"{}" for number in range(65)})),
    ],
)
def test_what_is_no_export_is_refused_and_nothing_is_taken(program, name, write):
    write(program.home / name)
    done = program(f"account import {name}", status=2)
    assert "is no archive of mc admin cluster iam export" in done.stderr


def test_a_user_without_rights_imports_nothing(program, server):
    iam = client(server, "iam")
    iam.create_user(UserName="nosy")
    key = iam.create_access_key(UserName="nosy")["AccessKey"]
    leaks.register("the secret of nosy", key["SecretAccessKey"])
    (program.home / "nosy").touch(mode=0o600)
    (program.home / "nosy").write_text(key["SecretAccessKey"])
    program.configure("nosy", server, key["AccessKeyId"], program.home / "nosy")
    archive(program.home / "export.zip")
    program("account --profile nosy import export.zip", status=4)
