"""Identities over the admin API: every call by who has no right to it, another tenant, no signature, and bodies that are none."""

import json
import re
from pathlib import Path

from attacks.field import OTHER_ROOT
from attacks.identities import ACCOUNT, ALL, CALLS, POLICY, TRUST
from attacks.row import ANONYMOUS, CLIENT, NARROW, NETWORK, TENANT, Row, refused
from harness import sigv4
from harness.server import REPOSITORY

NAMES = [name for name, service, _ in CALLS if service == "Iam"]
# What is about somebody or something that is there.
ABOUT = ("User", "Group", "Role", "Policy", "Provider", "KeyOwner", "RenamedUser", "RenamedGroup")
PLACES = (("/iam", True), ("/strongroom/admin/v1/iam", False))
JSON = {"content-type": "application/json"}
SOURCE = (Path(REPOSITORY) / "crates/iam/src/parameters.rs").read_text()


def takes(name):
    """The parameters of that call, as the server has them."""
    [names] = re.findall(rf'"{name}"(?: \| "\w+"| *\n *\| "\w+")* => (?:\{{\s*)?(?:alone|by_pages)\(\s*"([^"]*)"', SOURCE) or [""]
    return [word.rstrip("!") for word in names.replace("\\", " ").split()]


def body(name, field):
    given = {
        "UserName": "iam-victim",
        "GroupName": "iam-group",
        "RoleName": "iam-role",
        "PolicyName": "iam-policy",
        "PolicyArn": f"{ACCOUNT}:policy/iam-policy",
        "PolicySourceArn": f"{ACCOUNT}:user/iam-victim",
        "PolicyDocument": json.loads(TRUST if name == "UpdateAssumeRolePolicy" else POLICY),
        "PolicyInputList": [POLICY],
        "ActionNames": ["s3:GetObject"],
        "AssumeRolePolicyDocument": json.loads(TRUST),
        "PermissionsBoundary": "arn:aws:iam::aws:policy/AdministratorAccess",
        "AccessKeyId": field.victims_key["AccessKeyId"],
        "Status": "Inactive",
        "NewPath": "/stolen/",
        "VersionId": "v1",
        "Tags": [{"Key": "k", "Value": "v"}],
        "TagKeys": ["k"],
        "Url": "https://idp.example.org",
        "OpenIDConnectProviderArn": f"{ACCOUNT}:oidc-provider/idp.example.org",
        "ClientID": "c",
        "ThumbprintList": ["0" * 40],
    }
    if name.startswith("Create") and name not in ("CreateAccessKey", "CreatePolicyVersion"):
        given |= {key: field.new_name() for key in ("UserName", "GroupName", "RoleName", "PolicyName")}
    return {key: given[key] for key in takes(name) if key in given}


def request(field, name, place, user, content=None):
    prefix, admin = place
    data = json.dumps(body(name, field)).encode() if content is None else content
    return field.signed(user, "POST", f"{prefix}/{name}", headers=JSON, body=data, admin=admin)


def attack(name, place, user="nobody", change=lambda request: request, content=None):
    return lambda field: field.send(change(request(field, name, place, user, content)), admin=place[1])


def unsigned(request):
    return request.without("authorization")


def wrongly_signed(request):
    return request.having("authorization", request.value("authorization")[:-64] + "0" * 64)


def unsigned_body(field):
    [place] = [place for place in PLACES if place[1]]
    sent = field.signed("root", "POST", f"{place[0]}/ListUsers", headers=JSON, body=b"{}", admin=True, payload="UNSIGNED-PAYLOAD")
    return field.send(sent, admin=True)


ROWS = []
for place in PLACES:
    for name in NAMES:
        at = f"{name} at {place[0]}"
        ROWS += [
            Row(f"{at} without a right to it", 18, NARROW, attack(name, place), refused(403, "AccessDenied"), ALL),
            Row(f"{at} by another tenant without a right to it", 18, TENANT, attack(name, place, "mallory"), refused(403, "AccessDenied"), ALL),
            Row(f"{at} without a signature", 18, ANONYMOUS, attack(name, place, "root", unsigned), refused(401, "AccessDenied"), ALL),
            Row(f"{at} with a wrong signature", 18, NETWORK, attack(name, place, "root", wrongly_signed), refused(401, "SignatureDoesNotMatch"), ALL),
        ]
    ROWS += [
        Row(f"{name} at {place[0]}, of somebody else's, by the root of another account", 18, TENANT, attack(name, place, OTHER_ROOT), refused(404, "NoSuchEntity"), ALL)
        for name, service, on in CALLS
        if service == "Iam" and on in ABOUT
    ]

ADMIN = PLACES[0]
OF_ROOT = {
    "A body that is no object": (b"[]", "ValidationError"),
    "A body nested without end": (b'{"UserName":' + b"[" * 100_000, "ValidationError"),
    "A parameter nested within the bound of the parser": (b'{"Tags":[{"Key":' + b"[" * 90 + b"]" * 90 + b"}]}", "ValidationError"),
    "A body of a thousand and one tags": (json.dumps({"UserName": "x", "Tags": [{"Key": str(n), "Value": ""} for n in range(1001)]}).encode(), "ValidationError"),
    "A body that is not UTF-8": (b'{"UserName":"\xff\xfe"}', "ValidationError"),
    "A parameter that the call does not take": (b'{"UserName":"x","Admin":true}', "ValidationError"),
    "A name with a line end in it": (b'{"UserName":"a\\nFORGED 2026"}', "ValidationError"),
    "A body larger than any policy": (b'{"UserName":"' + b"x" * (257 << 10) + b'"}', "MaxMessageLengthExceeded"),
}
ROWS += [Row(f"{what} at /iam", 18, CLIENT, attack("CreateUser", ADMIN, "root", content=content), refused(400, code), ALL) for what, (content, code) in OF_ROOT.items()]
ROWS += [
    Row("A call of STS at /iam", 18, CLIENT, attack("AssumeRole", ADMIN, "root", content=b"{}"), refused(404, "NotFound"), ALL),
    Row("A call of STS at /iam by a user of another account", 18, TENANT, attack("AssumeRole", ADMIN, OTHER_ROOT, content=b"{}"), refused(403, "AccessDenied"), ALL),
    Row("A call at /iam whose signature does not cover the body", 18, NETWORK, unsigned_body, refused(400, "InvalidRequest"), ALL),
    Row("A call of identities spelled otherwise by a user of another account", 18, TENANT, attack("List%55sers", ADMIN, OTHER_ROOT, content=b"{}"), refused(403, "AccessDenied"), ALL),
    Row("A call of keys behind the calls of identities by a user of another account", 18, TENANT, attack("../kms/status", ADMIN, OTHER_ROOT, content=b"{}"), refused(403, "AccessDenied"), ALL),
]


def own(name, user, content=b"{}", place=ADMIN):
    return attack(name, place, user, content=content)


SEALED = bytes(32) + b"\0" + bytes(8) + bytes(100)
ABOUT_VICTIM = {
    "PutAccessKey": {"UserName": "iam-victim", "AccessKeyId": "stolen", "SecretAccessKey": "a-secret-of-the-attacker"},
    "CreateServiceAccount": {"UserName": "iam-victim"},
    "SetUserStatus": {"UserName": "iam-victim", "Status": "disabled"},
    "DescribeUser": {"UserName": "iam-victim"},
}
for name, parameters in ABOUT_VICTIM.items():
    content = json.dumps(parameters).encode()
    ROWS += [
        Row(f"{name} without a right to it", 18, NARROW, own(name, "nobody", content), refused(403, "AccessDenied"), ALL),
        Row(f"{name}, of somebody else's, by the root of another account", 18, TENANT, own(name, OTHER_ROOT, content), refused(404, "NoSuchEntity"), ALL),
    ]
for name in ("CreateAccount", "ListAccounts", "DeleteAccount", "CreateAccountKey", "ListAccountKeys", "DeleteAccountKey"):
    content = json.dumps({"AccountName": "x"} if name == "CreateAccount" else {} if name == "ListAccounts" else {"AccountId": "111122223333"}).encode()
    ROWS += [
        Row(f"{name} by the root of another account", 18, TENANT, own(name, OTHER_ROOT, content), refused(403, "AccessDenied"), ALL),
        Row(f"{name} without a right to it", 18, NARROW, own(name, "nobody", content), refused(403, "AccessDenied"), ALL),
    ]
ROWS += [
    Row("A call of our own at the protocol of AWS", 18, CLIENT, lambda field: field.send(field.signed("root", "POST", "/", headers={"content-type": "application/x-www-form-urlencoded"}, body=b"Action=PutAccessKey&UserName=iam-victim&AccessKeyId=stolen&SecretAccessKey=0123456789", scope=sigv4.Scope(service="iam"))), refused(400, "InvalidAction"), ALL),
    Row("An access key that root has", 18, CLIENT, lambda field: field.send(field.signed("root", "POST", "/iam/PutAccessKey", headers=JSON, body=json.dumps({"UserName": "iam-victim", "AccessKeyId": field.root.access_key, "SecretAccessKey": "0123456789"}).encode(), admin=True), admin=True), refused(409, "EntityAlreadyExists"), ALL),
]
MC_CALLS = [
    ("PUT", "add-user", {"accessKey": "mallory-made"}),
    ("DELETE", "remove-user", {"accessKey": "iam-victim"}),
    ("GET", "list-users", {}),
    ("GET", "user-info", {"accessKey": "iam-victim"}),
    ("PUT", "set-user-status", {"accessKey": "iam-victim", "status": "disabled"}),
    ("GET", "group", {"group": "iam-group"}),
    ("PUT", "set-group-status", {"group": "iam-group", "status": "disabled"}),
    ("DELETE", "remove-canned-policy", {"name": "iam-policy"}),
    ("GET", "list-access-keys-bulk", {"users": "iam-victim"}),
]


def by_mc(method, name, given, user, content=b"", change=lambda request: request):
    return lambda field: field.send(change(field.signed(user, method, f"/minio/admin/v3/{name}", given, body=content)))


for method, name, given in MC_CALLS:
    ROWS += [
        Row(f"mc's {name} without a right to it", 18, NARROW, by_mc(method, name, given, "nobody"), refused(403, "AccessDenied"), ALL),
        Row(f"mc's {name} without a signature", 18, ANONYMOUS, by_mc(method, name, given, "root", change=unsigned), refused(401, "AccessDenied"), ALL),
        Row(f"mc's {name} with a wrong signature", 18, NETWORK, by_mc(method, name, given, "root", change=wrongly_signed), refused(401, "SignatureDoesNotMatch"), ALL),
    ]
NEW = {"accessKey": "mallory-made"}
ROWS += [
    Row("A user of mc in the clear", 18, CLIENT, by_mc("PUT", "add-user", NEW, "root", b'{"secretKey":"0123456789"}'), refused(400, "InvalidRequest"), ALL),
    Row("A user of mc that another secret encrypted", 18, CLIENT, by_mc("PUT", "add-user", NEW, "root", SEALED), refused(400, "InvalidRequest"), ALL),
    Row("A user of mc that is cut", 18, CLIENT, by_mc("PUT", "add-user", NEW, "root", SEALED[:40]), refused(400, "InvalidRequest"), ALL),
    Row("A user of mc with a cipher that there is not", 18, CLIENT, by_mc("PUT", "add-user", NEW, "root", SEALED[:32] + b"\7" + SEALED[33:]), refused(400, "InvalidRequest"), ALL),
    Row("A user of mc larger than any", 18, CLIENT, by_mc("PUT", "add-user", NEW, "root", SEALED + bytes(257 << 10)), refused(400, "MaxMessageLengthExceeded"), ALL),
    Row("A user of mc with a parameter more", 18, CLIENT, by_mc("PUT", "add-user", NEW | {"x": "y"}, "root", SEALED), refused(400, "InvalidRequest"), ALL),
    Row("A user of mc that belongs to the victim, disabled by the root of another account", 18, TENANT, by_mc("PUT", "set-user-status", {"accessKey": "iam-victim", "status": "disabled"}, OTHER_ROOT), refused(404, "NoSuchEntity"), ALL),
    Row("A user of mc that belongs to the victim, removed by the root of another account", 18, TENANT, by_mc("DELETE", "remove-user", {"accessKey": "iam-victim"}, OTHER_ROOT), refused(404, "NoSuchEntity"), ALL),
]
