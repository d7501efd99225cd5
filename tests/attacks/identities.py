"""Identities: every call of IAM and STS by who has no right to it, no credentials, a wrong signature or a tampered body; and tokens that are none."""

import re
from pathlib import Path
from urllib.parse import urlencode

from attacks.row import ANONYMOUS, CLIENT, EVERYTHING, IDENTITIES, NARROW, NETWORK, TENANT, Row, http_error, refused
from harness import sigv4
from harness.server import REPOSITORY
from harness.wire import Request

TABLE = Path(REPOSITORY) / "crates/iam/src/table.rs"
CALLS = re.findall(r"^    (\w+) (Iam|Sts) (?:Reads|Changes) (\w+) =>", TABLE.read_text(), re.M)
FORM = "application/x-www-form-urlencoded"
ALL = (*EVERYTHING, IDENTITIES)
# Everybody who signs may ask who they are.
FOR_EVERYBODY = {"GetCallerIdentity"}
POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
TRUST = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}'
ACCOUNT = "arn:aws:iam::000000000000"


def parameters(name, on, field):
    """What the call needs, about what the victim has, or about something new."""
    given = {
        "UserName": "iam-victim",
        "GroupName": "iam-group",
        "RoleName": "iam-role",
        "PolicyName": "iam-policy",
        "PolicyArn": f"{ACCOUNT}:policy/iam-policy",
        "PolicyDocument": POLICY,
        "AssumeRolePolicyDocument": TRUST,
        "PermissionsBoundary": "arn:aws:iam::aws:policy/AdministratorAccess",
        "AccessKeyId": field.victims_key["AccessKeyId"],
        "Status": "Inactive",
        "NewPath": "/stolen/",
        "VersionId": "v1",
        "Tags.member.1.Key": "k",
        "Tags.member.1.Value": "v",
        "TagKeys.member.1": "k",
        "Url": "https://idp.example.org",
        "OpenIDConnectProviderArn": f"{ACCOUNT}:oidc-provider/idp.example.org",
        "ClientID": "c",
        "ThumbprintList.member.1": "0" * 40,
        "RoleArn": f"{ACCOUNT}:role/iam-role",
        "RoleSessionName": "session",
    }
    new = {"NewUser": "UserName", "NewGroup": "GroupName", "NewRole": "RoleName", "NewPolicy": "PolicyName"}.get(on)
    if new:
        given[new] = field.new_name()
    return {"Action": name, "Version": "2010-05-08"} | given


def request(field, name, on, service, user="nobody", **changes):
    """That call by that user, signed for the service."""
    body = urlencode(parameters(name, on, field) | changes).encode()
    scope = sigv4.Scope(service=service.lower())
    return field.signed(user, "POST", "/", headers={"content-type": FORM}, body=body, scope=scope, leave_out=("x-amz-content-sha256",))


def attack(name, service, on, change=lambda request: request, **options):
    return lambda field: field.send(change(request(field, name, on, service, **options)))


def unsigned(request):
    return request.without("authorization")


def wrongly_signed(request):
    value = request.value("authorization")
    return request.having("authorization", value[:-64] + "0" * 64)


def tampered(request):
    """The body says something else than what was signed, with the same length. Clients of IAM do not state its hash."""
    headers = request.without("x-amz-content-sha256").headers
    return Request(request.method, request.target, headers, request.body.replace(b"Version=2010-05-08", b"Version=2010-05-09"))


def with_token(request):
    return request.having("x-amz-security-token", "none")


ROWS = []
for name, service, on in CALLS:
    if on == "Vouched":
        continue  # whoever sends them: see tokens.py
    by_whom = refused(403, "AccessDenied")
    if name not in FOR_EVERYBODY:
        ROWS.append(Row(f"{name} without a right to it", 16, NARROW, attack(name, service, on), by_whom, ALL))
    ROWS.append(Row(f"{name} without a signature", 16, ANONYMOUS, attack(name, service, on, unsigned), by_whom, ALL))
    ROWS.append(Row(f"{name} with a wrong signature", 16, NETWORK, attack(name, service, on, wrongly_signed, user="root"), refused(403, "SignatureDoesNotMatch"), ALL))
    ROWS.append(Row(f"{name} with another body than was signed", 16, NETWORK, attack(name, service, on, tampered, user="root"), refused(403, "SignatureDoesNotMatch"), ALL))

def signed_for(service, name="ListUsers", on="Account"):
    return lambda field: field.send(request(field, name, on, service, user="root"))


def raw_body(body, content_type=FORM, user="root"):
    scope = sigv4.Scope(service="iam")
    return lambda field: field.send(field.signed(user, "POST", "/", headers={"content-type": content_type}, body=body, scope=scope))


ROWS += [
    Row("A call of IAM that is signed for STS", 16, CLIENT, signed_for("sts"), refused(403, "AccessDenied"), ALL),
    Row("A call of IAM that is signed for S3", 16, CLIENT, signed_for("s3"), refused(400, "AuthorizationHeaderMalformed"), ALL),
    Row("A call of IAM that is signed for another service", 16, CLIENT, signed_for("ec2"), refused(400, "AuthorizationHeaderMalformed"), ALL),
    Row("A call that there is not", 16, CLIENT, raw_body(b"Action=DestroyEverything"), refused(400, "InvalidAction"), ALL),
    Row("A call without a name", 16, CLIENT, raw_body(b"UserName=iam-victim"), refused(400, "InvalidAction"), ALL),
    Row("A call with two names", 16, CLIENT, raw_body(b"Action=GetUser&Action=DeleteUser&UserName=iam-victim"), refused(400, "InvalidRequest"), ALL),
    Row("A call of a thousand and one parameters", 16, CLIENT, raw_body("&".join(f"p{number}=" for number in range(1001)).encode()), refused(400, "InvalidRequest"), ALL),
    Row("A call longer than any there is", 16, CLIENT, raw_body(b"Action=ListUsers&x=" + b"x" * (600 << 10)), refused(400, "MaxMessageLengthExceeded"), ALL),
    Row("A call without a signature and longer than a token", 16, ANONYMOUS, lambda field: field.send(unsigned(field.signed("root", "POST", "/", headers={"content-type": FORM}, body=b"Action=x&y=" + b"y" * (65 << 10)))), refused(400, "MaxMessageLengthExceeded"), ALL),
    Row("A call with a body that is no form", 16, CLIENT, raw_body(b"\xff\xfe&&&==%zz"), refused(400, "InvalidAction"), ALL),
    Row("An XML document in a name", 16, CLIENT, raw_body(urlencode({"Action": "GetUser", "UserName": "<!DOCTYPE a [<!ENTITY b 'c'>]>&b;"}).encode()), refused(404, "NoSuchEntity"), ALL),
    Row("A name with a line end in it", 16, CLIENT, raw_body(urlencode({"Action": "CreateUser", "UserName": "a\nFORGED 2026"}).encode()), refused(400, "ValidationError"), ALL),
    Row("A user of the configuration's name", 16, CLIENT, raw_body(urlencode({"Action": "CreateUser", "UserName": "NoBody"}).encode()), refused(409, "EntityAlreadyExists"), ALL),
    Row("A policy that is nested without end", 16, CLIENT, raw_body(urlencode({"Action": "CreatePolicy", "PolicyName": "deep", "PolicyDocument": "[" * 100_000}).encode()), refused(409, "LimitExceeded"), ALL),
    Row("A policy nested within the bound", 16, CLIENT, raw_body(urlencode({"Action": "CreatePolicy", "PolicyName": "deep", "PolicyDocument": "[" * 6000}).encode()), refused(400, "MalformedPolicyDocument"), ALL),
    Row("A key of root with a session token", 16, CLIENT, lambda field: field.send(with_token(request(field, "ListUsers", "Account", "iam", user="root"))), refused(403, "AccessDenied"), ALL),
    Row("A call by GET", 16, CLIENT, lambda field: field.send(field.signed("root", "GET", "/", {"Action": "ListUsers"}, scope=sigv4.Scope(service="iam"))), refused(400, "AuthorizationHeaderMalformed"), ALL),
    Row("A call to a bucket", 16, CLIENT, lambda field: field.send(field.signed("root", "POST", "/victim", headers={"content-type": FORM}, body=b"Action=ListUsers", scope=sigv4.Scope(service="iam"))), refused(400, "AuthorizationHeaderMalformed"), ALL),
    Row("A call at the port of administration", 16, CLIENT, lambda field: field.send(field.signed("root", "POST", "/", headers={"content-type": FORM}, body=b"Action=ListUsers", admin=True, scope=sigv4.Scope(service="iam")), admin=True), http_error(400), ALL),
    Row("A role that trusts everybody, by who has no right to it in another account", 16, TENANT, attack("AssumeRole", "Sts", "ItsOwn", user="nobody", RoleArn=f"{ACCOUNT}:role/other"), refused(403, "AccessDenied"), ALL),
]
