"""Accounts that are made and deleted while the server runs, by `strongroom account …`."""

import secrets

import pytest

from harness import leaks
from harness.admin import Admin, Program
from harness.iam import allow, client, code
from harness.server import Server

CONFIGURED = """
[[users]]
name = "acme"
account = "111122223333"
account_root = true
access_key = "AKACME"
secret_key = "acme-secret-key-of-tests"
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("accounts"), CONFIGURED).start()
    yield server
    server.stop()
    server.remove()


@pytest.fixture
def program(server, tmp_path):
    return Program(server, tmp_path)


def new_account(program, name):
    """Its id, and a key of its root."""
    account = program.json(f"account create {name}")["Account"]["AccountId"]
    key = program.json(f"account key create {account}")["AccessKey"]
    leaks.register(f"the secret of the root of {name}", key["SecretAccessKey"])
    return account, key


def test_the_root_of_a_new_account_does_everything_in_it_and_nothing_beyond(program, server):
    account, key = new_account(program, "wonka")
    iam, s3 = client(server, "iam", key), client(server, "s3", key)
    assert client(server, "sts", key).get_caller_identity()["Arn"] == f"arn:aws:iam::{account}:root"
    name = f"of-{secrets.token_hex(4)}"
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="k", Body=b"sweet")
    assert s3.list_buckets()["Owner"]["ID"] == account
    iam.create_user(UserName="charlie")
    iam.put_user_policy(UserName="charlie", PolicyName="p", PolicyDocument=allow("s3:GetObject"))
    of_charlie = iam.create_access_key(UserName="charlie")["AccessKey"]
    leaks.register("the secret of charlie", of_charlie["SecretAccessKey"])
    assert client(server, "s3", of_charlie).get_object(Bucket=name, Key="k")["Body"].read() == b"sweet"
    assert program.json(f"account show {account}")["Account"]["Users"] == 1
    # Neither the buckets nor the identities of others, nor administration.
    client(server, "s3").create_bucket(Bucket="of-the-main-account")
    assert code(s3.list_objects_v2, Bucket="of-the-main-account") == ("AccessDenied", 403)
    admin = Admin(server, "/kms", key["AccessKeyId"], key["SecretAccessKey"])
    assert admin.fails(403, "GET", "/status")["code"] == "AccessDenied"
    tenant = Admin(server, "/iam", key["AccessKeyId"], key["SecretAccessKey"])
    assert tenant.fails(403, "POST", "/ListAccounts")["code"] == "AccessDenied"
    assert [user["UserName"] for user in tenant("POST", "/ListUsers")["Users"]] == ["charlie"]


def test_the_root_of_an_account_changes_its_own_key(program, server):
    _, first = new_account(program, "fern")
    iam = client(server, "iam", first)
    second = iam.create_access_key()["AccessKey"]
    leaks.register("the second secret of fern", second["SecretAccessKey"])
    assert "UserName" not in second
    iam = client(server, "iam", second)
    assert {key["AccessKeyId"] for key in iam.list_access_keys()["AccessKeyMetadata"]} == {first["AccessKeyId"], second["AccessKeyId"]}
    iam.delete_access_key(AccessKeyId=first["AccessKeyId"])
    assert code(client(server, "iam", first).list_users) == ("InvalidClientTokenId", 403)
    assert iam.list_users()["Users"] == []
    assert code(client(server, "sts", second).get_session_token)[0] == "AccessDenied"


def test_a_key_that_is_deactivated_or_an_account_that_is_gone_opens_nothing(program, server):
    account, key = new_account(program, "gone")
    s3 = client(server, "s3", key)
    s3.list_buckets()
    program(f"account key deactivate {account} {key['AccessKeyId']}")
    assert code(s3.list_buckets) == ("InvalidAccessKeyId", 403)
    program(f"account key activate {account} {key['AccessKeyId']}")
    s3.list_buckets()
    program(f"account key delete {account} {key['AccessKeyId']}")
    assert code(s3.list_buckets) == ("InvalidAccessKeyId", 403)
    assert program(f"account delete {account}").stdout == "done\n"
    program(f"account show {account}", status=3)


def test_an_account_with_identities_buckets_or_keys_is_not_deleted(program, server):
    account, key = new_account(program, "full")
    iam, s3 = client(server, "iam", key), client(server, "s3", key)
    iam.create_user(UserName="ada")
    iam.create_policy(PolicyName="p", PolicyDocument=allow("s3:*"))
    s3.create_bucket(Bucket="of-the-full-account")

    def refused(why):
        assert why in program(f"account delete {account}", status=5).stderr

    refused("must delete its buckets first")
    s3.delete_bucket(Bucket="of-the-full-account")
    iam.delete_user(UserName="ada")
    iam.delete_policy(PolicyArn=f"arn:aws:iam::{account}:policy/p")
    refused("must delete access keys first")
    # Nor when only an identity is left, whose creation came before the keys went.
    iam.create_user(UserName="bo")
    program(f"account key delete {account} {key['AccessKeyId']}")
    refused("the user bo refers to it")
    assert program.json("account list")["Accounts"]


def test_an_id_that_the_configuration_uses_is_taken(program):
    assert "configuration" in program("account create other --id 111122223333", status=5).stderr
    assert "the main one" in program("account create other --id 000000000000", status=5).stderr
    program("account create other --id 12", status=2)


def test_accounts_are_there_after_a_kill(program, server):
    account, key = new_account(program, "lasting")
    client(server, "iam", key).create_user(UserName="ada")
    server.kill()
    server.start()
    program = Program(server, program.home / "after")
    assert program.json(f"account show {account}")["Account"]["Users"] == 1
    assert [user["UserName"] for user in client(server, "iam", key).list_users()["Users"]] == ["ada"]


def test_an_account_with_a_kms_key_of_its_own_is_not_deleted(program, server):
    account, key = new_account(program, "keyed")
    Admin(server, "/kms", key["AccessKeyId"], key["SecretAccessKey"])("POST", "/keys", {"Description": "of the account"})
    program(f"account key delete {account} {key['AccessKeyId']}")
    assert "KMS key" in program(f"account delete {account}", status=5).stderr
