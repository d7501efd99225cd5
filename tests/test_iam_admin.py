"""Identities by `strongroom user | group | role | policy | accesskey …` and by the calls under `/iam`."""

import json

import pytest

from harness import leaks
from harness.admin import Admin, Program
from harness.iam import allow, client, code, trust
from harness.server import BINARY, Server

TENANT = """
[[users]]
name = "acme"
account = "111122223333"
account_root = true
access_key = "AKACME"
secret_key = "acme-secret-key-of-tests"
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("iam-admin"), TENANT).start()
    yield server
    server.stop()
    server.remove()


@pytest.fixture
def program(server, tmp_path):
    return Program(server, tmp_path)


def test_a_user_s_life_from_the_command_line(program, server):
    assert program.json("user create ada --path /lab/ --tag team=red")["User"]["Arn"] == "arn:aws:iam::000000000000:user/lab/ada"
    document = allow("s3:ListAllMyBuckets", "s3:CreateBucket")
    program(f"user put-policy ada own {program.file('own.json', document)}")
    assert program("user get-policy ada own").stdout == document + "\n"
    key = program.json("accesskey create ada")["AccessKey"]
    leaks.register("the secret of ada", key["SecretAccessKey"])
    s3 = client(server, "s3", key)
    s3.create_bucket(Bucket="of-ada")
    shown = program.json("user show ada")
    assert (shown["InlinePolicies"], shown["AttachedPolicies"], shown["Groups"]) == (["own"], [], [])
    assert [one["AccessKeyId"] for one in shown["AccessKeys"]] == [key["AccessKeyId"]]
    assert key["SecretAccessKey"] not in program("user show ada").stdout + program("accesskey list ada").stdout
    program(f"accesskey deactivate {key['AccessKeyId']}")
    assert code(s3.list_buckets) == ("InvalidAccessKeyId", 403)
    program(f"accesskey activate {key['AccessKeyId']}")
    assert s3.list_buckets()["Buckets"]
    program("user rename ada ada.l")
    assert program.json(f"accesskey show {key['AccessKeyId']}")["UserName"] == "ada.l"
    row = [line.split() for line in program("user list --path-prefix /lab/").stdout.splitlines()]
    assert row[0][0] == "USERNAME" and [line[0] for line in row[1:]] == ["ada.l"]
    program("user tag ada.l cost=7")
    program("user untag ada.l team")
    assert program.json("user show ada.l")["User"]["Tags"] == [{"Key": "cost", "Value": "7"}]
    assert "DeleteConflict" in program("user delete ada.l", status=5).stderr
    program(f"accesskey delete {key['AccessKeyId']}")
    assert code(s3.list_buckets) == ("InvalidAccessKeyId", 403)
    program("user delete-policy ada.l own")
    assert program("user delete ada.l").stdout == "done\n"
    program("user show ada.l", status=3)


def test_a_secret_goes_to_a_new_file_of_the_caller_s_and_not_to_the_screen(program, server):
    program("user create bo")
    done = program("accesskey create bo --secret-file bo.secret")
    secret = program.home / "bo.secret"
    assert secret.stat().st_mode & 0o777 == 0o600 and len(secret.read_text()) == 40
    leaks.register("the secret of bo", secret.read_text())
    assert secret.read_text() not in done.stdout + done.stderr
    assert "exists" in program("accesskey create bo --secret-file bo.secret", status=2).stderr
    assert len(program.json("user show bo")["AccessKeys"]) == 1, "no key was made whose secret went nowhere"


def test_a_group_gives_its_members_what_a_managed_policy_says(program, server):
    program("group create readers")
    program("user create cy")
    program("group add readers cy")
    key = program.json("accesskey create cy")["AccessKey"]
    leaks.register("the secret of cy", key["SecretAccessKey"])
    s3 = client(server, "s3", key)
    assert code(s3.list_buckets) == ("AccessDenied", 403)
    program.file("nothing.json", allow("s3:GetObject"))
    program("policy create of-readers nothing.json --description 'for readers'")
    program("group attach readers of-readers")
    program.file("list.json", allow("s3:ListAllMyBuckets"))
    assert program.json("policy version add of-readers list.json --set-default")["PolicyVersion"]["VersionId"] == "v2"
    s3.list_buckets()
    assert program("policy document of-readers").stdout == allow("s3:ListAllMyBuckets") + "\n"
    assert program.json("policy entities of-readers") == {"PolicyUsers": [], "PolicyGroups": ["readers"], "PolicyRoles": []}
    assert [version["VersionId"] for version in program.json("policy version list of-readers")["Versions"]] == ["v2", "v1"]
    program("policy version set-default of-readers v1")
    assert code(s3.list_buckets) == ("AccessDenied", 403)
    program("policy version delete of-readers v2")
    assert "DeleteConflict" in program("policy delete of-readers", status=5).stderr
    shown = program.json("group show readers")
    assert (shown["Users"], shown["AttachedPolicies"]) == (["cy"], ["arn:aws:iam::000000000000:policy/of-readers"])
    program("group detach readers of-readers")
    program("policy delete of-readers")
    program("group attach readers READONLY")
    assert program.json("group show readers")["AttachedPolicies"] == ["arn:aws:iam::aws:policy/readonly"]
    assert "there is no policy of-readers" in program("group attach readers of-readers", status=3).stderr
    program("group detach readers readonly")
    program("group remove readers cy")
    program("group delete readers")


def test_a_role_is_taken_on_by_whom_its_trust_policy_names(program, server):
    program("user create dee")
    key = program.json("accesskey create dee")["AccessKey"]
    leaks.register("the secret of dee", key["SecretAccessKey"])
    program.file("trust.json", trust({"AWS": "arn:aws:iam::000000000000:user/dee"}))
    program("role create backup --trust trust.json --max-session 7200")
    program("role attach backup AmazonS3ReadOnlyAccess")
    role = "arn:aws:iam::000000000000:role/backup"
    sts = client(server, "sts", key)
    session = sts.assume_role(RoleArn=role, RoleSessionName="nightly")["Credentials"]
    client(server, "s3", session).list_buckets()
    program.file("nobody.json", trust({"AWS": "arn:aws:iam::000000000000:user/dee"}, Condition={"Bool": {"aws:SecureTransport": "false"}}))
    program("role trust backup nobody.json")
    assert code(sts.assume_role, RoleArn=role, RoleSessionName="nightly") == ("AccessDenied", 403)
    program("role update backup --description 'each night'")
    shown = program.json("role show backup")
    assert (shown["Role"]["Description"], shown["Role"]["MaxSessionDuration"]) == ("each night", 7200)
    program("role bound backup readonly")
    program("role unbound backup")
    program("role detach backup AmazonS3ReadOnlyAccess")
    program("role delete backup")


def test_a_long_list_comes_whole(program, server):
    iam = client(server, "iam")
    names = [f"of-many-{number:04}" for number in range(1100)]
    for name in names:
        iam.create_group(GroupName=name, Path="/many/")
    listed = program.json("group list --path-prefix /many/")["Groups"]
    assert [group["GroupName"] for group in listed] == names


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("user show nobody-at-all", 3),
        ("user create 'a b'", 2),
        ("user create root", 5),
        ("user attach nobody-at-all readonly", 3),
        ("policy create bad missing.json", 1),
        ("accesskey delete AKIANONE", 3),
        ("role create r", 2),
        ("group list --endpoint https://127.0.0.1:1", 6),
    ],
)
def test_an_exit_status_tells_what_went_wrong(program, command, status):
    done = program(command, status=status)
    assert done.stderr and not done.stdout


def test_the_root_of_another_account_administers_it_and_nothing_else(program, server, tmp_path):
    (program.home / "acme").touch(mode=0o600)
    (program.home / "acme").write_text("acme-secret-key-of-tests")
    program.configure("acme", server, "AKACME", program.home / "acme")
    created = program.json("user --profile acme create wile")["User"]
    assert created["Arn"] == "arn:aws:iam::111122223333:user/wile"
    assert [user["UserName"] for user in program.json("user --profile acme list")["Users"]] == ["wile"]
    program("user show wile", status=3)
    assert "AccessDenied" in program("kms --profile acme status", status=4).stderr
    for prefix in ("/iam", "/strongroom/admin/v1/iam"):
        admin = Admin(server, prefix, "AKACME", "acme-secret-key-of-tests")
        assert admin("POST", "/GetUser", {"UserName": "wile"})["User"]["UserName"] == "wile"
        assert admin.fails(404, "POST", "/GetUser", {"UserName": "bo"})["code"] == "NoSuchEntity"


def test_what_tools_of_aws_change_is_what_the_admin_api_shows(server):
    admin, iam = Admin(server, "/iam"), client(server, "iam")
    iam.create_user(UserName="eve", Tags=[{"Key": "a", "Value": "1"}])
    shown = admin("POST", "/GetUser", {"UserName": "eve"})["User"]
    assert (shown["Tags"], shown["UserId"]) == ([{"Key": "a", "Value": "1"}], iam.get_user(UserName="eve")["User"]["UserId"])
    admin("POST", "/PutUserPolicy", {"UserName": "eve", "PolicyName": "p", "PolicyDocument": json.loads(allow("s3:*"))})
    assert iam.get_user_policy(UserName="eve", PolicyName="p")["PolicyDocument"] == json.loads(allow("s3:*"))
    assert admin.fails(400, "POST", "/PutUserPolicy", {"UserName": "eve", "PolicyName": "q", "PolicyDocument": {"Statement": 1}})["code"] == "MalformedPolicyDocument"


def test_the_program_s_completions_know_the_commands():
    from harness.cli import run

    for command in ("user", "group", "role", "policy", "accesskey", "account"):
        assert command in run([BINARY, "completions", "bash"], {}).stdout
