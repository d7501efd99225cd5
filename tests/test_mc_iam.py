"""Users, groups, policies and service accounts by the MinIO client, unmodified."""

import json
import secrets

import pytest

from harness import leaks
from harness.admin import Program
from harness.audit import AuditLog
from harness.cli import Shell
from harness.iam import allow, client, code
from harness.mc import Mc, rows
from harness.server import Server

ACCOUNT = "222233334444"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("mc-iam")).start()
    yield server
    server.stop()
    server.remove()


@pytest.fixture
def mc(server, tmp_path):
    return Mc(Shell(server, tmp_path))


def new_secret(what):
    return leaks.register(what, secrets.token_hex(12))


def keys(access_key, secret):
    return {"AccessKeyId": access_key, "SecretAccessKey": secret}


def policy_file(mc, name, *actions, **more):
    mc.shell.file(name, allow(*actions, **more).encode())
    return name


def test_a_user_s_life(mc, server):
    secret, other = new_secret("the secret of ada"), new_secret("the second secret of ada")
    mc(f"admin user add s3 ada {secret}")
    s3 = client(server, "s3", keys("ada", secret))
    assert code(s3.list_buckets) == ("AccessDenied", 403)
    mc("admin policy attach s3 readwrite --user ada")
    s3.create_bucket(Bucket="of-ada")
    [listed] = [row for row in rows(mc("admin user list s3")) if row["accessKey"] == "ada"]
    assert (listed["policyName"], listed["userStatus"]) == ("readwrite", "enabled")
    [info] = rows(mc("admin user info s3 ada"))
    assert (info["accessKey"], info["policyName"], info["userStatus"]) == ("ada", "readwrite", "enabled")
    mc("admin user disable s3 ada")
    assert code(s3.list_buckets) == ("InvalidAccessKeyId", 403)
    assert rows(mc("admin user info s3 ada"))[0]["userStatus"] == "disabled"
    mc("admin user enable s3 ada")
    s3.list_buckets()
    # Added again: another secret.
    mc(f"admin user add s3 ada {other}")
    assert code(s3.list_buckets) == ("SignatureDoesNotMatch", 403)
    client(server, "s3", keys("ada", other)).list_buckets()
    # mc knows no policies with rights to keys of the KMS, as readwrite has them.
    mc("admin policy detach s3 readwrite --user ada")
    mc(f"admin policy create s3 of-ada {policy_file(mc, 'of-ada.json', 's3:ListAllMyBuckets')}")
    mc("admin policy attach s3 of-ada --user ada")
    assert "s3:ListAllMyBuckets" in mc("admin user policy s3 ada").stdout
    mc("admin user remove s3 ada")
    assert code(client(server, "s3", keys("ada", other)).list_buckets) == ("InvalidAccessKeyId", 403)
    mc("admin user info s3 ada", status=1)


def test_a_secret_that_is_too_short_makes_no_user(mc, server):
    mc("admin user add s3 shorty short", status=1)
    mc("admin user info s3 shorty", status=1)


def test_a_group_gives_and_takes_rights(mc, server):
    secret = new_secret("the secret of bob")
    mc(f"admin user add s3 bob {secret}")
    mc("admin group add s3 readers bob")
    mc("admin policy attach s3 readonly --group readers")
    s3, root = client(server, "s3", keys("bob", secret)), client(server, "s3")
    root.create_bucket(Bucket="for-readers")
    root.put_object(Bucket="for-readers", Key="k", Body=b"read me")
    assert s3.get_object(Bucket="for-readers", Key="k")["Body"].read() == b"read me"
    [info] = rows(mc("admin group info s3 readers"))
    assert (info["members"], info["groupPolicy"], info["groupStatus"]) == (["bob"], "readonly", "enabled")
    assert rows(mc("admin group list s3"))[0]["groups"] == ["readers"]
    mc("admin group disable s3 readers")
    assert code(s3.get_object, Bucket="for-readers", Key="k") == ("AccessDenied", 403)
    mc("admin group enable s3 readers")
    s3.get_object(Bucket="for-readers", Key="k")
    mc("admin group remove s3 readers", status=1)
    mc("admin group remove s3 readers bob")
    assert code(s3.get_object, Bucket="for-readers", Key="k") == ("AccessDenied", 403)
    mc("admin group remove s3 readers")
    mc("admin group info s3 readers", status=1)
    mc("admin group add s3 of-nobody nobody-at-all", status=1)
    mc("admin group info s3 of-nobody", status=1)
    mc("admin user remove s3 bob")


def test_a_policy_is_created_changed_attached_and_removed(mc, server):
    secret = new_secret("the secret of cyd")
    mc(f"admin user add s3 cyd {secret}")
    mc(f"admin policy create s3 own {policy_file(mc, 'nothing.json', 's3:GetObject')}")
    mc("admin policy attach s3 own --user cyd")
    s3 = client(server, "s3", keys("cyd", secret))
    assert code(s3.list_buckets) == ("AccessDenied", 403)
    # More often than a policy has versions.
    for _ in range(6):
        mc(f"admin policy create s3 own {policy_file(mc, 'list.json', 's3:ListAllMyBuckets')}")
    s3.list_buckets()
    [info] = rows(mc("admin policy info s3 own"))
    assert info["policyInfo"]["Policy"] == json.loads(allow("s3:ListAllMyBuckets"))
    names = {row["policy"] for row in rows(mc("admin policy list s3"))}
    assert {"own", "readonly", "readwrite", "writeonly"} <= names
    [entities] = rows(mc("admin policy entities s3 --policy own"))
    assert entities["result"]["policyMappings"] == [{"policy": "own", "users": ["cyd"], "groups": []}]
    [entities] = rows(mc("admin policy entities s3 --user cyd"))
    assert entities["result"]["userMappings"][0]["policies"] == ["own"]
    mc("admin policy remove s3 own", status=1)
    mc("admin policy detach s3 own --user cyd")
    assert code(s3.list_buckets) == ("AccessDenied", 403)
    mc("admin policy remove s3 own")
    mc("admin policy info s3 own", status=1)
    mc(f"admin policy create s3 bad {policy_file(mc, 'bad.json', 's3:NoSuchThing!')}", status=1)
    mc("admin user remove s3 cyd")


def test_a_service_account_may_do_what_its_user_may_or_less(mc, server):
    secret = new_secret("the secret of dee")
    mc(f"admin user add s3 dee {secret}")
    mc("admin policy attach s3 readwrite --user dee")
    chosen = new_secret("the secret of an application")
    [made] = rows(mc(f"admin user svcacct add s3 dee --access-key application1 --secret-key {chosen} --name app --description 'of an application'"))
    assert (made["accessKey"], made["secretKey"]) == ("application1", chosen)
    s3 = client(server, "s3", keys("application1", chosen))
    s3.create_bucket(Bucket="of-an-application")
    policy_file(mc, "less.json", "s3:ListAllMyBuckets", "iam:*")
    mc("admin user svcacct edit s3 application1 --policy less.json")
    s3.list_buckets()
    assert code(s3.list_objects_v2, Bucket="of-an-application") == ("AccessDenied", 403)
    # Its policy allows what its user may not: it narrows and gives nothing.
    assert code(client(server, "iam", keys("application1", chosen)).list_users) == ("AccessDenied", 403)
    [info] = rows(mc("admin user svcacct info s3 application1"))
    assert (info["parentUser"], info["accountStatus"], info.get("impliedPolicy", False), info["name"]) == ("dee", "on", False, "app")
    # One whose keys the server chose.
    [made] = rows(mc("admin user svcacct add s3 dee"))
    leaks.register("the secret of a second application", made["secretKey"])
    client(server, "s3", keys(made["accessKey"], made["secretKey"])).list_buckets()
    listed = {row["accessKey"] for row in rows(mc("admin user svcacct list s3 dee"))}
    assert listed == {"application1", made["accessKey"]}
    mc("admin user svcacct disable s3 application1")
    assert code(s3.list_buckets) == ("InvalidAccessKeyId", 403)
    mc("admin user svcacct enable s3 application1")
    s3.list_buckets()
    mc("admin user svcacct remove s3 application1")
    assert code(s3.list_buckets) == ("InvalidAccessKeyId", 403)
    mc("admin user remove s3 dee")
    assert code(client(server, "s3", keys(made["accessKey"], made["secretKey"])).list_buckets) == ("InvalidAccessKeyId", 403)


def test_accesskey_commands_work_alike(mc, server):
    secret, chosen = new_secret("the secret of eve"), new_secret("the secret of an access key")
    mc(f"admin user add s3 eve {secret}")
    mc("admin policy attach s3 readwrite --user eve")
    mc(f"admin accesskey create s3 eve --access-key second-of-eve --secret-key {chosen} --expiry-duration 24h")
    client(server, "s3", keys("second-of-eve", chosen)).list_buckets()
    [info] = rows(mc("admin accesskey info s3 second-of-eve"))
    assert info["parentUser"] == "eve" and info["expiration"]
    assert "second-of-eve" in mc("admin accesskey list s3 eve").stdout
    mc("admin accesskey disable s3 second-of-eve")
    assert code(client(server, "s3", keys("second-of-eve", chosen)).list_buckets) == ("InvalidAccessKeyId", 403)
    mc("admin accesskey enable s3 second-of-eve")
    mc("admin accesskey edit s3 second-of-eve --name renamed")
    assert rows(mc("admin accesskey info s3 second-of-eve"))[0]["name"] == "renamed"
    mc("admin accesskey remove s3 second-of-eve")
    assert code(client(server, "s3", keys("second-of-eve", chosen)).list_buckets) == ("InvalidAccessKeyId", 403)
    mc("admin user remove s3 eve")


def test_a_tenant_s_root_administers_its_own_account_with_mc(mc, server, tmp_path):
    program = Program(server, tmp_path / "operator")
    program(f"account create acme --id {ACCOUNT}")
    key = program.json(f"account key create {ACCOUNT}")["AccessKey"]
    leaks.register("the secret of acme", key["SecretAccessKey"])
    secret = new_secret("the secret of wile")
    mc(f"alias set acme {server.endpoint} {key['AccessKeyId']} {key['SecretAccessKey']}")
    mc(f"admin user add acme wile {secret}")
    assert [row["accessKey"] for row in rows(mc("admin user list acme"))] == ["wile"]
    assert client(server, "sts", keys("wile", secret)).get_caller_identity()["Account"] == ACCOUNT
    mc("admin user info s3 wile", status=1)
    # An access key is one among all accounts.
    mc(f"admin user add s3 wile {new_secret('a secret that is none')}", status=1)
    mc("admin user info s3 wile", status=1)


def test_what_mc_does_is_in_the_audit_log_call_by_call_and_no_secret_is(mc, server):
    secret, log = new_secret("the secret of fay"), AuditLog(server)
    mc(f"admin user add s3 fay {secret}")
    mc("admin user remove s3 fay")
    operations = [(event["operation"], event["outcome"]) for event in log.events()]
    assert operations == [(name, "ok") for name in ("CreateUser", "PutAccessKey", "SetUserStatus", "DeleteAccessKey", "DeleteUser")]
    assert all(secret.encode() not in line for line in log.lines())
