"""Users, groups, roles and policies that are changed while the server runs, with boto3 as clients use it."""

import json
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from harness import leaks
from harness.audit import AuditLog
from harness.iam import allow, client, code, new_user, trust
from harness.server import REGION, Server

@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("iam")).start()
    yield server
    server.stop()
    server.remove()


@pytest.fixture
def iam(server):
    return client(server, "iam")


# ---- users and keys


def test_a_user_is_created_shown_listed_changed_and_deleted(iam):
    user = iam.create_user(UserName="ada", Path="/lab/", Tags=[{"Key": "team", "Value": "red"}])["User"]
    assert user["Arn"] == "arn:aws:iam::000000000000:user/lab/ada" and user["UserId"].startswith("AIDA") and user["Path"] == "/lab/"
    shown = iam.get_user(UserName="ADA")["User"]
    assert (shown["UserId"], shown["UserName"], shown["Tags"]) == (user["UserId"], "ada", [{"Key": "team", "Value": "red"}])
    assert [each["UserName"] for each in iam.list_users(PathPrefix="/lab/")["Users"]] == ["ada"]
    assert code(iam.create_user, UserName="Ada") == ("EntityAlreadyExists", 409)
    iam.update_user(UserName="ada", NewUserName="ada.l", NewPath="/office/")
    assert iam.get_user(UserName="ada.l")["User"]["Arn"] == "arn:aws:iam::000000000000:user/office/ada.l"
    assert code(iam.get_user, UserName="ada") == ("NoSuchEntity", 404)
    iam.tag_user(UserName="ada.l", Tags=[{"Key": "TEAM", "Value": "blue"}, {"Key": "cost", "Value": "7"}])
    iam.untag_user(UserName="ada.l", TagKeys=["cost"])
    assert iam.list_user_tags(UserName="ada.l")["Tags"] == [{"Key": "TEAM", "Value": "blue"}]
    iam.delete_user(UserName="ada.l")
    assert code(iam.delete_user, UserName="ada.l") == ("NoSuchEntity", 404)


def test_an_access_key_works_with_the_next_request_and_stops_with_the_next(server, iam):
    key = new_user(iam, "bob", allow("s3:*"))
    s3 = client(server, "s3", key)
    s3.create_bucket(Bucket="of-bob")
    iam.update_access_key(UserName="bob", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert code(s3.list_buckets) == ("InvalidAccessKeyId", 403)
    iam.update_access_key(UserName="bob", AccessKeyId=key["AccessKeyId"], Status="Active")
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["of-bob"]
    iam.delete_user_policy(UserName="bob", PolicyName="p0")
    assert code(s3.list_buckets) == ("AccessDenied", 403)
    iam.delete_access_key(UserName="bob", AccessKeyId=key["AccessKeyId"])
    assert code(s3.list_buckets) == ("InvalidAccessKeyId", 403)
    iam.delete_user(UserName="bob")


def test_a_user_has_two_keys_at_the_most_and_is_deleted_without_any(iam):
    first = new_user(iam, "carol")
    second = iam.create_access_key(UserName="carol")["AccessKey"]
    assert first["AccessKeyId"] != second["AccessKeyId"] and len(second["SecretAccessKey"]) == 40
    assert code(iam.create_access_key, UserName="carol") == ("LimitExceeded", 409)
    listed = iam.list_access_keys(UserName="carol")["AccessKeyMetadata"]
    assert {key["AccessKeyId"] for key in listed} == {first["AccessKeyId"], second["AccessKeyId"]}
    assert all("SecretAccessKey" not in key for key in listed)
    assert code(iam.delete_user, UserName="carol") == ("DeleteConflict", 409)
    for key in (first, second):
        iam.delete_access_key(UserName="carol", AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName="carol")


def test_no_third_key_comes_of_calls_at_the_same_moment(iam):
    iam.create_user(UserName="twice")

    def create(_):
        try:
            key = iam.create_access_key(UserName="twice")["AccessKey"]
        except ClientError as refused:
            return refused.response["Error"]["Code"]
        leaks.register("a secret of twice", key["SecretAccessKey"])
        return "created"

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(create, range(8)))
    assert answers == ["LimitExceeded"] * 6 + ["created"] * 2
    assert len(iam.list_access_keys(UserName="twice")["AccessKeyMetadata"]) == 2


def test_a_key_of_somebody_else_is_none(iam):
    key = new_user(iam, "dora")
    iam.create_user(UserName="eve")
    assert code(iam.delete_access_key, UserName="eve", AccessKeyId=key["AccessKeyId"]) == ("NoSuchEntity", 404)
    assert code(iam.update_access_key, UserName="eve", AccessKeyId=key["AccessKeyId"], Status="Inactive") == ("NoSuchEntity", 404)


def test_a_user_without_rights_learns_who_it_is_and_no_more(server, iam):
    key = new_user(iam, "frank")
    own = client(server, "iam", key)
    assert own.get_user()["User"]["UserName"] == "frank"
    assert client(server, "sts", key).get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:user/frank"
    assert code(own.list_users) == ("AccessDenied", 403)
    assert code(own.get_user, UserName="ghost") == ("AccessDenied", 403)
    assert code(own.put_user_policy, UserName="frank", PolicyName="all", PolicyDocument=allow("*")) == ("AccessDenied", 403)
    assert code(client(server, "s3", key).list_buckets) == ("AccessDenied", 403)


def test_a_wrong_secret_an_unknown_key_and_another_service_are_refused(server):
    root = {"AccessKeyId": server.access_key, "SecretAccessKey": server.secret_key}
    assert code(client(server, "iam", root | {"SecretAccessKey": "x" * 40}).list_users) == ("SignatureDoesNotMatch", 403)
    assert code(client(server, "iam", root | {"AccessKeyId": "AKIANOBODY"}).list_users) == ("InvalidClientTokenId", 403)
    assert code(client(server, "iam", root | {"SessionToken": "none"}).list_users) == ("InvalidClientTokenId", 403)


# ---- policies


def test_a_right_is_given_by_a_group_and_taken_with_the_membership(server, iam):
    iam.create_group(GroupName="readers")
    iam.put_group_policy(GroupName="readers", PolicyName="read", PolicyDocument=allow("s3:ListAllMyBuckets"))
    s3 = client(server, "s3", new_user(iam, "gina"))
    assert code(s3.list_buckets) == ("AccessDenied", 403)
    iam.add_user_to_group(GroupName="readers", UserName="gina")
    s3.list_buckets()
    assert [user["UserName"] for user in iam.get_group(GroupName="readers")["Users"]] == ["gina"]
    assert [group["GroupName"] for group in iam.list_groups_for_user(UserName="gina")["Groups"]] == ["readers"]
    assert code(iam.delete_group, GroupName="readers") == ("DeleteConflict", 409)
    iam.update_group(GroupName="readers", NewGroupName="lookers")
    s3.list_buckets()
    iam.remove_user_from_group(GroupName="lookers", UserName="gina")
    assert code(s3.list_buckets) == ("AccessDenied", 403)
    iam.delete_group_policy(GroupName="lookers", PolicyName="read")
    iam.delete_group(GroupName="lookers")


def test_the_default_version_of_a_managed_policy_is_the_one_that_counts(server, iam):
    arn = iam.create_policy(PolicyName="lists", Path="/team/", PolicyDocument=allow("s3:ListAllMyBuckets"))["Policy"]["Arn"]
    assert arn == "arn:aws:iam::000000000000:policy/team/lists"
    s3 = client(server, "s3", new_user(iam, "hugo"))
    iam.attach_user_policy(UserName="hugo", PolicyArn=arn)
    s3.list_buckets()
    assert iam.list_attached_user_policies(UserName="hugo")["AttachedPolicies"] == [{"PolicyName": "lists", "PolicyArn": arn}]
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 1
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=allow("s3:GetObject"), SetAsDefault=True)
    assert code(s3.list_buckets) == ("AccessDenied", 403)
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    s3.list_buckets()
    assert [(each["VersionId"], each["IsDefaultVersion"]) for each in iam.list_policy_versions(PolicyArn=arn)["Versions"]] == [("v2", False), ("v1", True)]
    assert iam.get_policy_version(PolicyArn=arn, VersionId="v2")["PolicyVersion"]["Document"] == json.loads(allow("s3:GetObject"))
    assert code(iam.delete_policy_version, PolicyArn=arn, VersionId="v1") == ("DeleteConflict", 409)
    assert code(iam.delete_policy, PolicyArn=arn) == ("DeleteConflict", 409)
    iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
    assert code(iam.delete_policy, PolicyArn=arn) == ("DeleteConflict", 409)
    assert [user["UserName"] for user in iam.list_entities_for_policy(PolicyArn=arn)["PolicyUsers"]] == ["hugo"]
    iam.detach_user_policy(UserName="hugo", PolicyArn=arn)
    iam.delete_policy(PolicyArn=arn)
    assert code(iam.get_policy, PolicyArn=arn) == ("NoSuchEntity", 404)


def test_the_policies_of_the_server_are_attached_by_the_names_of_aws(server, iam):
    s3 = client(server, "s3", new_user(iam, "ines"))
    iam.attach_user_policy(UserName="ines", PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    s3.list_buckets()
    assert code(s3.create_bucket, Bucket="of-ines") == ("AccessDenied", 403)
    assert code(iam.attach_user_policy, UserName="ines", PolicyArn="arn:aws:iam::aws:policy/NoSuch") == ("NoSuchEntity", 404)
    assert code(iam.delete_policy, PolicyArn="arn:aws:iam::aws:policy/AmazonS3FullAccess") == ("AccessDenied", 403)


def test_a_policy_of_another_spelling_or_path_is_none(iam):
    arn = iam.create_policy(PolicyName="Precise", Path="/a/", PolicyDocument=allow("s3:*"))["Policy"]["Arn"]
    for other in (arn.replace("Precise", "precise"), arn.replace("/a/", "/b/"), arn.replace("/a/", "/")):
        for call in (iam.get_policy, iam.delete_policy):
            assert code(call, PolicyArn=other) == ("NoSuchEntity", 404), other
    iam.delete_policy(PolicyArn=arn)


def test_a_document_that_is_no_policy_is_refused_and_says_why(iam):
    iam.create_user(UserName="jack")
    for document in ("{", "{}", allow("ec2:*"), allow("s3:GetObject", resource="nothing"), allow("s3:GetObject", Principal="*")):
        assert code(iam.put_user_policy, UserName="jack", PolicyName="p", PolicyDocument=document) == ("MalformedPolicyDocument", 400), document
    too_long = allow("s3:GetObject", resource=[f"arn:aws:s3:::bucket-{number}/*" for number in range(100)])
    assert code(iam.put_user_policy, UserName="jack", PolicyName="p", PolicyDocument=too_long) == ("LimitExceeded", 409)
    iam.put_user_policy(UserName="jack", PolicyName="p", PolicyDocument=allow("s3:GetObject"))
    assert iam.get_user_policy(UserName="jack", PolicyName="p")["PolicyDocument"] == json.loads(allow("s3:GetObject"))
    assert iam.list_user_policies(UserName="jack")["PolicyNames"] == ["p"]
    assert code(iam.delete_user, UserName="jack") == ("DeleteConflict", 409)


def test_a_boundary_bounds_and_gives_nothing(server, iam):
    boundary = iam.create_policy(PolicyName="bound", PolicyDocument=allow("s3:ListAllMyBuckets"))["Policy"]["Arn"]
    key = new_user(iam, "karl", allow("s3:*"), PermissionsBoundary=boundary)
    s3 = client(server, "s3", key)
    s3.list_buckets()
    assert code(s3.create_bucket, Bucket="of-karl") == ("AccessDenied", 403)
    iam.delete_user_policy(UserName="karl", PolicyName="p0")
    assert code(s3.list_buckets) == ("AccessDenied", 403)
    assert code(iam.delete_policy, PolicyArn=boundary) == ("DeleteConflict", 409)
    iam.delete_user_permissions_boundary(UserName="karl")
    iam.delete_policy(PolicyArn=boundary)


def test_a_policy_with_variables_gives_each_user_a_folder_of_their_own(server, iam):
    client(server, "s3").create_bucket(Bucket="homes")
    own_folder = allow("s3:PutObject", "s3:GetObject", resource="arn:aws:s3:::homes/${aws:username}/*")
    arn = iam.create_policy(PolicyName="own-folder", PolicyDocument=own_folder)["Policy"]["Arn"]
    clients = {}
    for name in ("lena", "mara"):
        clients[name] = client(server, "s3", new_user(iam, name))
        iam.attach_user_policy(UserName=name, PolicyArn=arn)
    for name, s3 in clients.items():
        other = next(iter(set(clients) - {name}))
        s3.put_object(Bucket="homes", Key=f"{name}/x", Body=name.encode())
        assert code(s3.put_object, Bucket="homes", Key=f"{other}/x", Body=b"") == ("AccessDenied", 403)


def test_a_denied_name_is_denied_in_every_spelling(server, iam):
    iam.create_user(UserName="Guarded")
    key = new_user(iam, "nora", allow("iam:*"), allow("iam:*", resource="arn:aws:iam::*:user/Guarded", effect="Deny"))
    own = client(server, "iam", key)
    for spelled in ("Guarded", "guarded", "GUARDED"):
        assert code(own.create_access_key, UserName=spelled) == ("AccessDenied", 403)
    own.get_user(UserName="nora")


def test_a_new_name_takes_the_right_to_it_as_well(server, iam):
    iam.create_user(UserName="plain")
    own = client(server, "iam", new_user(iam, "paula", allow("iam:UpdateUser", resource=["arn:aws:iam::*:user/plain", "arn:aws:iam::*:user/plainer"])))
    assert code(own.update_user, UserName="plain", NewUserName="auditor") == ("AccessDenied", 403)
    assert code(own.update_user, UserName="plain", NewPath="/staff/") == ("AccessDenied", 403)
    own.update_user(UserName="plain", NewUserName="plainer")


def test_a_boundary_that_only_the_request_names_counts_for_nothing(server, iam):
    bound = iam.create_policy(PolicyName="team-bound", PolicyDocument=allow("s3:ListAllMyBuckets"))["Policy"]["Arn"]
    delegated = allow("iam:CreateUser", "iam:AttachUserPolicy", Condition={"StringEquals": {"iam:PermissionsBoundary": bound}})
    key = new_user(iam, "delegate", delegated)
    own = client(server, "iam", key)
    iam.create_user(UserName="unbounded")
    administrator = {"UserName": "unbounded", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}
    own.meta.events.register("before-sign.iam.AttachUserPolicy", lambda request, **_: request.data.update(PermissionsBoundary=bound))
    assert code(own.attach_user_policy, **administrator) == ("AccessDenied", 403)
    assert code(own.create_user, UserName="free") == ("AccessDenied", 403)
    own.create_user(UserName="bounded", PermissionsBoundary=bound)
    own.attach_user_policy(**administrator | {"UserName": "bounded"})


def test_tags_of_policies_and_providers_are_seen_by_policies_and_spellings_are_not_theirs(server, iam):
    protected = [{"Key": "protected", "Value": "yes"}]
    policy = iam.create_policy(PolicyName="kept", PolicyDocument=allow("s3:GetObject"), Tags=protected)["Policy"]["Arn"]
    provider = iam.create_open_id_connect_provider(Url="https://idp.example.org/kept", ClientIDList=["a"], Tags=protected)["OpenIDConnectProviderArn"]
    guarded = allow("iam:*", effect="Deny", Condition={"StringEquals": {"aws:ResourceTag/protected": "yes"}})
    own = client(server, "iam", new_user(iam, "guard", allow("iam:*"), guarded))
    assert code(own.create_policy_version, PolicyArn=policy, PolicyDocument=allow("*"), SetAsDefault=True) == ("AccessDenied", 403)
    for arn in (provider, provider.replace("idp", "IDP")):
        assert code(own.add_client_id_to_open_id_connect_provider, OpenIDConnectProviderArn=arn, ClientID="b") == ("AccessDenied", 403)
        assert code(own.delete_open_id_connect_provider, OpenIDConnectProviderArn=arn) == ("AccessDenied", 403)
    assert code(own.tag_policy, PolicyArn=policy.replace("kept", "KEPT"), Tags=[{"Key": "protected", "Value": "no"}]) == ("AccessDenied", 403)
    assert iam.get_open_id_connect_provider(OpenIDConnectProviderArn=provider)["ClientIDList"] == ["a"]


def test_tags_that_are_removed_and_tags_in_another_case_are_seen_by_policies(server, iam):
    iam.create_user(UserName="tagged", Tags=[{"Key": "Protected", "Value": "yes"}, {"Key": "cost", "Value": "7"}])
    untag = allow("iam:UntagUser", Condition={"ForAllValues:StringEquals": {"aws:TagKeys": ["cost"]}})
    guarded = allow("iam:DeleteUser", effect="Deny", Condition={"StringEquals": {"aws:ResourceTag/protected": "yes"}})
    own = client(server, "iam", new_user(iam, "tagger", untag, allow("iam:DeleteUser"), guarded))
    assert code(own.untag_user, UserName="tagged", TagKeys=["Protected"]) == ("AccessDenied", 403)
    assert code(own.delete_user, UserName="tagged") == ("AccessDenied", 403)
    own.untag_user(UserName="tagged", TagKeys=["cost"])


def test_names_that_the_server_uses_are_taken(iam):
    for name in ("root", "Anonymous"):
        assert code(iam.create_user, UserName=name) == ("EntityAlreadyExists", 409)


def test_a_refusal_tells_nothing_of_what_it_was_about(server, iam):
    iam.create_user(UserName="Hidden", Path="/board/")
    own = client(server, "iam", new_user(iam, "curious"))
    for name in ("HIDDEN", "NOBODY"):
        with pytest.raises(ClientError) as refused:
            own.get_user(UserName=name)
        assert refused.value.response["Error"]["Message"].endswith(f"arn:aws:iam::000000000000:user/{name}")


# ---- roles and temporary credentials


def test_a_role_is_taken_on_by_those_whom_it_trusts_with_the_rights_of_the_role_alone(server, iam):
    arn = iam.create_role(RoleName="Backup", AssumeRolePolicyDocument=trust({"AWS": "arn:aws:iam::000000000000:user/otto"}))["Role"]["Arn"]
    iam.put_role_policy(RoleName="Backup", PolicyName="lists", PolicyDocument=allow("s3:ListAllMyBuckets"))
    otto, paul = (client(server, "sts", new_user(iam, name)) for name in ("otto", "paul"))
    assert code(paul.assume_role, RoleArn=arn, RoleSessionName="night") == ("AccessDenied", 403)
    assert code(paul.assume_role, RoleArn=arn.replace("Backup", "NoSuch"), RoleSessionName="night") == ("AccessDenied", 403)
    taken = otto.assume_role(RoleArn=arn, RoleSessionName="night", DurationSeconds=900)
    leaks.register("the secret of the session", taken["Credentials"]["SecretAccessKey"])
    assert taken["AssumedRoleUser"]["Arn"] == "arn:aws:sts::000000000000:assumed-role/Backup/night"
    credentials = taken["Credentials"]
    assert credentials["AccessKeyId"].startswith("ASIA")
    s3, sts = client(server, "s3", credentials), client(server, "sts", credentials)
    s3.list_buckets()
    assert code(s3.create_bucket, Bucket="of-otto") == ("AccessDenied", 403)
    assert sts.get_caller_identity()["Arn"] == "arn:aws:sts::000000000000:assumed-role/Backup/night"
    # Without its token, or with one of another session, the access key is none.
    bare = {name: value for name, value in credentials.items() if name != "SessionToken"}
    assert code(client(server, "s3", bare).list_buckets) == ("InvalidAccessKeyId", 403)
    other = otto.assume_role(RoleArn=arn, RoleSessionName="day")["Credentials"]
    assert code(client(server, "s3", credentials | {"SessionToken": other["SessionToken"]}).list_buckets) == ("InvalidToken", 400)
    # What the role loses, its sessions lose.
    iam.delete_role_policy(RoleName="Backup", PolicyName="lists")
    assert code(s3.list_buckets) == ("AccessDenied", 403)
    iam.delete_role(RoleName="Backup")
    assert code(s3.list_buckets) == ("InvalidToken", 400)


def test_a_session_policy_bounds_and_gives_nothing(server, iam):
    arn = iam.create_role(RoleName="Wide", AssumeRolePolicyDocument=trust({"AWS": "000000000000"}))["Role"]["Arn"]
    iam.attach_role_policy(RoleName="Wide", PolicyArn="arn:aws:iam::aws:policy/AmazonS3FullAccess")
    sts = client(server, "sts", new_user(iam, "quin", allow("sts:AssumeRole", resource=arn)))
    bounded = sts.assume_role(RoleArn=arn, RoleSessionName="ro", Policy=allow("s3:ListAllMyBuckets", "iam:ListUsers"))["Credentials"]
    client(server, "s3", bounded).list_buckets()
    assert code(client(server, "s3", bounded).create_bucket, Bucket="of-quin") == ("AccessDenied", 403)
    assert code(client(server, "iam", bounded).list_users) == ("AccessDenied", 403)
    by_arn = sts.assume_role(RoleArn=arn, RoleSessionName="ro", PolicyArns=[{"arn": "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"}])["Credentials"]
    assert code(client(server, "s3", by_arn).create_bucket, Bucket="of-quin") == ("AccessDenied", 403)


def test_a_session_lasts_as_long_as_was_asked_within_the_bounds_of_its_role(server, iam):
    arn = iam.create_role(RoleName="Short", AssumeRolePolicyDocument=trust({"AWS": "000000000000"}))["Role"]["Arn"]
    sts = client(server, "sts", new_user(iam, "rosa", allow("sts:*")))
    for seconds in (899, 3601, 43201):
        assert code(sts.assume_role, RoleArn=arn, RoleSessionName="s1", DurationSeconds=seconds) == ("ValidationError", 400), seconds
    iam.update_role(RoleName="Short", MaxSessionDuration=7200)
    given = sts.assume_role(RoleArn=arn, RoleSessionName="s1", DurationSeconds=7200)["Credentials"]
    assert 7100 < given["Expiration"].timestamp() - time.time() <= 7200
    chained = client(server, "sts", given)
    assert code(chained.assume_role, RoleArn=arn, RoleSessionName="s2") == ("AccessDenied", 403)


def test_an_external_id_keeps_the_confused_deputy_out(server, iam):
    condition = {"Condition": {"StringEquals": {"sts:ExternalId": "customer-7"}}}
    arn = iam.create_role(RoleName="Partner", AssumeRolePolicyDocument=trust({"AWS": "arn:aws:iam::000000000000:user/sara"}, **condition))["Role"]["Arn"]
    sts = client(server, "sts", new_user(iam, "sara"))
    assert code(sts.assume_role, RoleArn=arn, RoleSessionName="s1") == ("AccessDenied", 403)
    assert code(sts.assume_role, RoleArn=arn, RoleSessionName="s1", ExternalId="customer-8") == ("AccessDenied", 403)
    sts.assume_role(RoleArn=arn, RoleSessionName="s1", ExternalId="customer-7")


def test_the_source_identity_of_a_chain_of_sessions_stays(server, iam):
    document = json.loads(trust({"AWS": "000000000000"}))
    document["Statement"][0]["Action"] = ["sts:AssumeRole", "sts:SetSourceIdentity"]
    arn = iam.create_role(RoleName="Chained", AssumeRolePolicyDocument=json.dumps(document))["Role"]["Arn"]
    iam.put_role_policy(RoleName="Chained", PolicyName="p", PolicyDocument=allow("sts:*"))
    sts = client(server, "sts", new_user(iam, "sue", allow("sts:*")))
    assert code(sts.assume_role, RoleArn=arn, RoleSessionName="s1", SourceIdentity="x" * 65) == ("ValidationError", 400)
    first = client(server, "sts", sts.assume_role(RoleArn=arn, RoleSessionName="s1", SourceIdentity="sue")["Credentials"])
    assert code(first.assume_role, RoleArn=arn, RoleSessionName="s2", SourceIdentity="boss") == ("AccessDenied", 403)
    first.assume_role(RoleArn=arn, RoleSessionName="s2", SourceIdentity="sue")
    # It goes along unsaid, and only to roles that let it.
    closed = iam.create_role(RoleName="Unchained", AssumeRolePolicyDocument=trust({"AWS": "000000000000"}))["Role"]["Arn"]
    assert code(first.assume_role, RoleArn=closed, RoleSessionName="s2") == ("AccessDenied", 403)
    assert first.assume_role(RoleArn=arn, RoleSessionName="s2")["SourceIdentity"] == "sue"
    sts.assume_role(RoleArn=closed, RoleSessionName="s1")


def test_a_session_token_has_the_rights_of_its_user_and_no_administration(server, iam):
    key = new_user(iam, "tom", allow("s3:ListAllMyBuckets", "iam:*"))
    given = client(server, "sts", key).get_session_token(DurationSeconds=900)["Credentials"]
    client(server, "s3", given).list_buckets()
    assert client(server, "sts", given).get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:user/tom"
    assert code(client(server, "iam", given).list_users) == ("AccessDenied", 403)
    assert code(client(server, "sts", given).get_session_token) == ("AccessDenied", 403)
    iam.delete_user_policy(UserName="tom", PolicyName="p0")
    assert code(client(server, "s3", given).list_buckets) == ("AccessDenied", 403)
    # A key that is withdrawn takes its sessions with it.
    iam.put_user_policy(UserName="tom", PolicyName="p0", PolicyDocument=allow("s3:*"))
    client(server, "s3", given).list_buckets()
    iam.update_access_key(UserName="tom", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert code(client(server, "s3", given).list_buckets) == ("InvalidToken", 400)
    iam.update_access_key(UserName="tom", AccessKeyId=key["AccessKeyId"], Status="Active")
    client(server, "s3", given).list_buckets()
    iam.delete_access_key(UserName="tom", AccessKeyId=key["AccessKeyId"])
    assert code(client(server, "s3", given).list_buckets) == ("InvalidToken", 400)
    iam.delete_user_policy(UserName="tom", PolicyName="p0")
    iam.delete_user(UserName="tom")
    assert code(client(server, "s3", given).list_buckets) == ("InvalidToken", 400)
    # Another user of the same name is somebody else.
    iam.create_user(UserName="tom")
    iam.put_user_policy(UserName="tom", PolicyName="p0", PolicyDocument=allow("s3:*"))
    assert code(client(server, "s3", given).list_buckets) == ("InvalidToken", 400)


# ---- the store around them


def test_buckets_of_users_belong_to_their_account(server, iam):
    rights = allow("s3:*")
    ursula, vera = (client(server, "s3", new_user(iam, name, rights)) for name in ("ursula", "vera"))
    ursula.create_bucket(Bucket="shared")
    vera.put_object(Bucket="shared", Key="k", Body=b"x")
    assert ursula.get_bucket_acl(Bucket="shared")["Owner"]["ID"] == client(server, "s3").get_bucket_acl(Bucket="shared")["Owner"]["ID"]
    vera.create_bucket(Bucket="shared")


def test_a_bucket_policy_names_a_role_and_a_user(server, iam):
    root = client(server, "s3")
    root.create_bucket(Bucket="guarded")
    root.put_object(Bucket="guarded", Key="k", Body=b"x")
    arn = iam.create_role(RoleName="Reader", AssumeRolePolicyDocument=trust({"AWS": "000000000000"}))["Role"]["Arn"]
    will = new_user(iam, "will", allow("sts:AssumeRole"))
    statement = {"Effect": "Allow", "Principal": {"AWS": [arn]}, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::guarded/*"}
    root.put_bucket_policy(Bucket="guarded", Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    session = client(server, "sts", will).assume_role(RoleArn=arn, RoleSessionName="s1")["Credentials"]
    assert client(server, "s3", session).get_object(Bucket="guarded", Key="k")["Body"].read() == b"x"
    assert code(client(server, "s3", will).get_object, Bucket="guarded", Key="k") == ("AccessDenied", 403)


def test_the_last_use_of_a_key_is_told(server, iam, tmp_path_factory):
    key = new_user(iam, "xena", allow("s3:*"))
    assert iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])["AccessKeyLastUsed"]["ServiceName"] == "N/A"
    client(server, "s3", key).list_buckets()
    server.restart()
    again = client(server, "iam").get_access_key_last_used(AccessKeyId=key["AccessKeyId"])
    assert (again["UserName"], again["AccessKeyLastUsed"]["ServiceName"], again["AccessKeyLastUsed"]["Region"]) == ("xena", "s3", REGION)
    assert abs(again["AccessKeyLastUsed"]["LastUsedDate"].timestamp() - time.time()) < 120


def test_a_start_refuses_a_user_of_the_configuration_whose_name_or_key_the_store_has(tmp_path):
    server = Server(tmp_path / "twice").start()
    key = new_user(server.boto(service="iam"), "Twice")["AccessKeyId"]
    server.stop()
    for name, access_key, what in (("twice", "AKTWICE", "the name twice"), ("other", key, f"the access key {key}")):
        server.config = f"[[users]]\nname = '{name}'\naccess_key = '{access_key}'\nsecret_key = 'twice-secret-0123456789'\naccount = '111122223333'\n"
        with pytest.raises(RuntimeError, match=f"have {what}: give the one in the file another"):
            server.start()
    server.config = ""
    server.start()
    server.stop()
    server.remove()


def test_changes_and_refusals_are_in_the_audit_log_with_who_and_what(server):
    log, iam = AuditLog(server), client(server, "iam")
    key = new_user(iam, "yara")
    iam.put_user_policy(UserName="yara", PolicyName="p", PolicyDocument=allow("s3:*"))
    assert code(client(server, "iam", key).delete_user, UserName="yara") == ("AccessDenied", 403)
    found = [(event["who"], event["operation"], event["outcome"], event["details"]) for event in log.events()]
    about = {"UserName": "yara", "source_ip": "127.0.0.1"}
    assert found == [
        ("root", "CreateUser", "ok", about),
        ("root", "CreateAccessKey", "ok", about | {"access_key": key["AccessKeyId"]}),
        ("root", "PutUserPolicy", "ok", about | {"PolicyName": "p"}),
        ("yara", "DeleteUser", {"error": "AccessDenied"}, about),
    ]
    own = [record for record in map(json.loads, log.lines()) if record["seq"] > log.first]
    [given] = [record["details"] for record in own if "document" in record.get("details", {})]
    assert given == about | {"PolicyName": "p", "phase": "begun", "document": allow("s3:*")}


def test_parameters_are_form_encoded_and_each_comes_once(server):
    body = urllib.parse.urlencode([("Action", "GetUser"), ("Action", "ListUsers"), ("Version", "2010-05-08")]).encode()
    context = ssl.create_default_context(cafile=str(server.ca))
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(server.endpoint, data=body), context=context)
    assert refused.value.code == 400 and b"<Code>InvalidRequest</Code>" in refused.value.read()
