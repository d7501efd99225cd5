"""What is told of identities: listings, who has a policy, and what no account has."""

import json

import pytest
from botocore.exceptions import ClientError

from harness import leaks, users
from harness.iam import allow, client, code, new_user, trust
from harness.server import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("iam")).start()
    yield server
    server.stop()
    server.remove()


@pytest.fixture
def iam(server):
    return client(server, "iam")


def test_who_may_list_a_folder_of_users_lists_no_other(server, iam):
    ours = allow("iam:ListUsers", resource="arn:aws:iam::000000000000:user/lab/*")
    own = client(server, "iam", new_user(iam, "lea", ours, Path="/lab/"))
    assert [user["UserName"] for user in own.list_users(PathPrefix="/lab/")["Users"]] == ["lea"]
    assert code(own.list_users) == ("AccessDenied", 403)
    assert code(own.list_users, PathPrefix="/la") == ("AccessDenied", 403)
    assert code(own.list_groups, PathPrefix="/lab/") == ("AccessDenied", 403)
    iam.put_user_policy(UserName="lea", PolicyName="p0", PolicyDocument=allow("iam:ListUsers", resource="arn:aws:iam::000000000000:user/*"))
    assert "lea" in [user["UserName"] for user in own.list_users(MaxItems=1000)["Users"]]


def test_it_is_told_who_has_a_policy_of_the_server(iam):
    arn = "arn:aws:iam::aws:policy/writeonly"
    iam.create_user(UserName="mia")
    iam.create_group(GroupName="mentors")
    iam.create_role(RoleName="measurer", AssumeRolePolicyDocument=trust({"AWS": "*"}))
    iam.attach_user_policy(UserName="mia", PolicyArn=arn)
    iam.attach_group_policy(GroupName="mentors", PolicyArn=arn)
    iam.attach_role_policy(RoleName="measurer", PolicyArn=arn)
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 3
    attached = {policy["PolicyName"]: policy["AttachmentCount"] for policy in iam.list_policies(Scope="AWS", OnlyAttached=True)["Policies"]}
    assert attached["writeonly"] == 3 and "IAMFullAccess" not in attached
    names = {"PolicyUsers": "UserName", "PolicyGroups": "GroupName", "PolicyRoles": "RoleName"}

    def holders(**more):
        found = iam.list_entities_for_policy(PolicyArn=arn, **more)
        return [each[name] for kind, name in names.items() for each in found[kind]], found.get("Marker")

    assert holders() == (["mia", "mentors", "measurer"], None)
    assert holders(EntityFilter="Group") == (["mentors"], None)
    first, marker = holders(MaxItems=1)
    second, last = holders(MaxItems=1, Marker=marker)
    assert (first, second, holders(MaxItems=1, Marker=last)) == (["mia"], ["mentors"], (["measurer"], None))
    assert code(iam.list_entities_for_policy, PolicyArn=arn, Marker="nobody/mia") == ("ValidationError", 400)
    iam.detach_user_policy(UserName="mia", PolicyArn=arn)
    iam.detach_group_policy(GroupName="mentors", PolicyArn=arn)
    iam.detach_role_policy(RoleName="measurer", PolicyArn=arn)
    assert holders() == ([], None)


def test_a_session_of_a_role_asks_for_users_by_their_names(server, iam):
    iam.create_role(RoleName="nameless", AssumeRolePolicyDocument=trust({"AWS": "arn:aws:iam::000000000000:user/nils"}))
    user = new_user(iam, "nils", allow("sts:AssumeRole"))
    role = "arn:aws:iam::000000000000:role/nameless"
    session = client(server, "sts", user).assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    leaks.register("the secret of a session", session["SecretAccessKey"])
    assert code(client(server, "iam", session).get_user) == ("ValidationError", 400)
    assert client(server, "iam", user).get_user()["User"]["UserName"] == "nils"
    assert client(server, "iam").get_user()["User"]["Arn"] == "arn:aws:iam::000000000000:root"


def test_what_no_account_has_is_answered_as_an_account_without_it_answers(iam):
    iam.create_user(UserName="oskar")
    of_user = ["list_mfa_devices", "list_ssh_public_keys", "list_signing_certificates", "list_service_specific_credentials"]
    lists = ["MFADevices", "SSHPublicKeys", "Certificates", "ServiceSpecificCredentials"]
    assert [getattr(iam, call)(UserName="oskar")[name] for call, name in zip(of_user, lists, strict=True)] == [[]] * 4
    assert code(iam.list_mfa_devices, UserName="nobody") == ("NoSuchEntity", 404)
    of_account = ["list_virtual_mfa_devices", "list_instance_profiles", "list_server_certificates", "list_saml_providers", "list_account_aliases"]
    lists = ["VirtualMFADevices", "InstanceProfiles", "ServerCertificateMetadataList", "SAMLProviderList", "AccountAliases"]
    assert [getattr(iam, call)()[name] for call, name in zip(of_account, lists, strict=True)] == [[]] * 5
    assert code(iam.get_login_profile, UserName="oskar") == ("NoSuchEntity", 404)
    assert code(iam.delete_login_profile, UserName="oskar") == ("NoSuchEntity", 404)
    assert code(iam.get_account_password_policy) == ("NoSuchEntity", 404)
    iam.delete_user(UserName="oskar")


def test_all_identities_and_their_policies_are_shown_by_pages_to_who_audits_them(server, iam):
    document = json.loads(allow("s3:GetObject"))
    new_user(iam, "pavel", json.dumps(document))
    iam.create_group(GroupName="painters")
    iam.put_group_policy(GroupName="painters", PolicyName="g", PolicyDocument=json.dumps(document))
    iam.add_user_to_group(GroupName="painters", UserName="pavel")
    iam.create_role(RoleName="plumber", AssumeRolePolicyDocument=trust({"AWS": "*"}))
    policy = iam.create_policy(PolicyName="paint", PolicyDocument=json.dumps(document))["Policy"]["Arn"]
    iam.attach_role_policy(RoleName="plumber", PolicyArn=policy)
    lists = ["UserDetailList", "GroupDetailList", "RoleDetailList", "Policies"]

    def pages(**more):
        found = {name: [] for name in lists}
        for page in iam.get_paginator("get_account_authorization_details").paginate(**more):
            for name in lists:
                found[name] += page[name]
        return found

    found = pages(PaginationConfig={"PageSize": 2})
    assert found == pages()
    [user] = [user for user in found["UserDetailList"] if user["UserName"] == "pavel"]
    assert (user["GroupList"], user["UserPolicyList"]) == (["painters"], [{"PolicyName": "p0", "PolicyDocument": document}])
    [group] = [group for group in found["GroupDetailList"] if group["GroupName"] == "painters"]
    assert group["GroupPolicyList"] == [{"PolicyName": "g", "PolicyDocument": document}]
    [role] = [role for role in found["RoleDetailList"] if role["RoleName"] == "plumber"]
    assert role["AttachedManagedPolicies"] == [{"PolicyName": "paint", "PolicyArn": policy}]
    [shown] = [shown for shown in found["Policies"] if shown["Arn"] == policy]
    assert shown["AttachmentCount"] == 1 and shown["PolicyVersionList"][0]["Document"] == document
    only = pages(Filter=["Group"])
    assert only["GroupDetailList"] == found["GroupDetailList"] and not only["UserDetailList"] + only["RoleDetailList"] + only["Policies"]
    auditor = client(server, "iam", new_user(iam, "petra", allow("iam:Get*", resource="arn:aws:iam::000000000000:user/*")))
    assert code(auditor.get_account_authorization_details) == ("AccessDenied", 403)


def test_listings_go_on_from_page_to_page(iam):
    names = {f"pager-{number:02}" for number in range(23)}
    for name in names:
        iam.create_user(UserName=name, Path="/pages/")
    pages = list(iam.get_paginator("list_users").paginate(PathPrefix="/pages/", PaginationConfig={"PageSize": 5}))
    assert [len(page["Users"]) for page in pages] == [5, 5, 5, 5, 3]
    assert {user["UserName"] for page in pages for user in page["Users"]} == names
    for name in names:
        iam.delete_user(UserName=name)


def test_a_call_that_there_is_not_says_so(server, iam):
    assert code(iam.create_virtual_mfa_device, VirtualMFADeviceName="m") == ("InvalidAction", 400)


def test_who_asks_for_a_user_of_the_configuration_is_told_where_it_stands(tmp_path):
    server = Server(tmp_path / "filed", config=users.config({"filed": users.allowing(["s3:GetObject"])})).start()
    iam = client(server, "iam")
    for call in (iam.get_user, iam.delete_user, iam.create_access_key, iam.list_attached_user_policies):
        with pytest.raises(ClientError, match="The user with name filed stands in the server's configuration") as refused:
            call(UserName="filed")
        assert refused.value.response["Error"]["Code"] == "NoSuchEntity"
    # Who may not look at users learns nothing of it.
    nobody = client(server, "iam", new_user(iam, "nobody"))
    with pytest.raises(ClientError, match="not authorized to perform: iam:GetUser"):
        nobody.get_user(UserName="filed")
    server.stop()
    server.remove()
