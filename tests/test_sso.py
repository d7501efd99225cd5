"""Single sign-on: people log in at a real identity provider, and take on roles with the tokens that it gives them."""

import json
import ssl
import time
import urllib.parse
import urllib.request

import pytest
from botocore.exceptions import ClientError

from harness import leaks
from harness.audit import AuditLog
from harness.iam import allow, client, code
from harness.oidc import Provider, Scripted
from harness.server import Server

TAGS = "https://aws.amazon.com/tags"
SOURCE_IDENTITY = "https://aws.amazon.com/source_identity"
ACTION = "sts:AssumeRoleWithWebIdentity"
USERS = {
    "ada": {"email": "ada@example.org", "groups": ["staff", "lab"]},
    "bob": {"groups": ["guests"]},
    "carol": {"groups": ["staff"], TAGS: {"principal_tags": {"home": ["carols"]}}},
}


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    provider = Provider(tmp_path_factory.mktemp("provider"))
    for name, claims in USERS.items():
        provider("user", name=name, claims=claims)
    yield provider
    provider.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory, provider):
    server = Server(tmp_path_factory.mktemp("sso") / "home", provider.config).start()
    client(server, "s3").create_bucket(Bucket="shared")
    client(server, "s3").put_object(Bucket="shared", Key="greeting", Body=b"hello")
    yield server
    server.stop()
    server.remove()


@pytest.fixture
def iam(server):
    return client(server, "iam")


@pytest.fixture
def registered(iam, provider):
    """The provider as the store knows it, for the time of a test."""
    clients = [f"store-{algorithm}" for algorithm in provider.facts["algorithms"]]
    arn = iam.create_open_id_connect_provider(Url=provider.url, ClientIDList=clients)["OpenIDConnectProviderArn"]
    yield arn
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)


def trust(arn, *actions, **condition):
    statement = {"Effect": "Allow", "Principal": {"Federated": arn}, "Action": [ACTION, *actions]}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement | ({"Condition": condition} if condition else {})]})


def new_role(iam, name, document, *policies):
    """Its ARN."""
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]
    for number, policy in enumerate(policies or (allow("s3:*"),)):
        iam.put_role_policy(RoleName=name, PolicyName=f"p{number}", PolicyDocument=policy)
    return role["Arn"]


def assume(server, role, token, session="session", **more):
    """The answer of STS. No credentials go with the call, which boto3 does not sign."""
    given = client(server, "sts").assume_role_with_web_identity(RoleArn=role, RoleSessionName=session, WebIdentityToken=token, **more)
    leaks.register("the secret of a session", given["Credentials"]["SecretAccessKey"])
    return given


def credentials(*arguments, **more):
    return assume(*arguments, **more)["Credentials"]


# ---- logging in


def test_somebody_logs_in_takes_on_a_role_and_shares_an_object_by_a_url(server, iam, provider, registered):
    role = new_role(iam, "staff", trust(registered, **{"ForAnyValue:StringEquals": {f"{provider.host}:groups": "staff"}}))
    given = assume(server, role, provider.log_in("ada"), "ada@example.org", DurationSeconds=900)
    assert (given["SubjectFromWebIdentityToken"], given["Provider"], given["Audience"]) == ("ada", provider.url, "store-RS256")
    assert given["AssumedRoleUser"]["Arn"] == "arn:aws:sts::000000000000:assumed-role/staff/ada@example.org"
    assert 0 < given["PackedPolicySize"] < 20
    s3 = client(server, "s3", given["Credentials"])
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "shared", "Key": "greeting"})
    assert server.fetch(url) == (200, "hello")
    who = client(server, "sts", given["Credentials"]).get_caller_identity()
    assert who["Arn"] == given["AssumedRoleUser"]["Arn"] and who["UserId"] == given["AssumedRoleUser"]["AssumedRoleId"]
    assert code(assume, server, role, provider.log_in("bob")) == ("AccessDenied", 403)


def test_tokens_of_every_algorithm_are_taken(server, iam, provider, registered):
    role = new_role(iam, "any-algorithm", trust(registered))
    for algorithm in provider.facts["algorithms"]:
        assert assume(server, role, provider.log_in("ada", algorithm))["Audience"] == f"store-{algorithm}"


def test_a_trust_policy_looks_at_the_subject_the_audience_and_the_name_of_the_session(server, iam, provider, registered):
    condition = {
        "StringEquals": {f"{provider.host}:aud": "store-RS256", f"{provider.host}:sub": ["ada", "carol"]},
        "StringLike": {"sts:RoleSessionName": f"${{{provider.host}:sub}}"},
    }
    role = new_role(iam, "named", trust(registered, "sts:TagSession", **condition))
    assert assume(server, role, provider.log_in("ada"), "ada")["SubjectFromWebIdentityToken"] == "ada"
    for user, algorithm, session in [("ada", "RS256", "carol"), ("ada", "ES256", "ada"), ("bob", "RS256", "bob")]:
        assert code(assume, server, role, provider.log_in(user, algorithm), session) == ("AccessDenied", 403), (user, algorithm, session)


def test_claims_are_conditions_and_variables_of_the_role_s_policies(server, iam, provider, registered):
    own = allow("s3:*", resource=[f"arn:aws:s3:::${{{provider.host}:sub}}-files", "arn:aws:s3:::${jwt:sub}-files/*"])
    lab = allow("s3:GetObject", resource="arn:aws:s3:::shared/*", Condition={"ForAnyValue:StringEquals": {"jwt:groups": "lab"}})
    role = new_role(iam, "own-files", trust(registered, "sts:TagSession"), own, lab)
    for user, may_read in (("ada", True), ("carol", False)):
        s3 = client(server, "s3", credentials(server, role, provider.log_in(user)))
        s3.create_bucket(Bucket=f"{user}-files")
        s3.put_object(Bucket=f"{user}-files", Key="k", Body=b"own")
        if may_read:
            assert s3.get_object(Bucket="shared", Key="greeting")["Body"].read() == b"hello"
        else:
            assert code(s3.get_object, Bucket="shared", Key="greeting") == ("AccessDenied", 403)
            assert code(s3.get_object, Bucket="ada-files", Key="k") == ("AccessDenied", 403)


def test_a_provider_gives_tags_only_where_the_role_lets_it(server, iam, provider, registered):
    home = allow("s3:*", resource=["arn:aws:s3:::${aws:PrincipalTag/home}", "arn:aws:s3:::${aws:PrincipalTag/home}/*"])
    plain = new_role(iam, "without-tags", trust(registered), home)
    assert code(assume, server, plain, provider.log_in("carol")) == ("AccessDenied", 403)
    tagged = new_role(iam, "with-tags", trust(registered, "sts:TagSession", StringLike={"aws:RequestTag/home": "*s"}), home)
    client(server, "s3", credentials(server, tagged, provider.log_in("carol"))).create_bucket(Bucket="carols")
    assert code(assume, server, tagged, provider.log_in("ada")) == ("AccessDenied", 403)


def test_a_token_says_whom_the_session_acts_for_where_the_role_lets_it(server, iam, provider, registered):
    token = provider.token(**{SOURCE_IDENTITY: "ada.l"})
    assert code(assume, server, new_role(iam, "no-source", trust(registered)), token) == ("AccessDenied", 403)
    role = new_role(iam, "source", trust(registered, "sts:SetSourceIdentity", StringEquals={"sts:SourceIdentity": "ada.l"}))
    assert assume(server, role, token)["SourceIdentity"] == "ada.l"


def test_policies_of_the_request_narrow_the_session(server, iam, provider, registered):
    role = new_role(iam, "narrowed", trust(registered))
    managed = iam.create_policy(PolicyName="only-lists", PolicyDocument=allow("s3:ListBucket"))["Policy"]["Arn"]
    token = provider.log_in("ada")
    for narrow in ({"Policy": allow("s3:ListBucket")}, {"PolicyArns": [{"arn": managed}]}):
        s3 = client(server, "s3", credentials(server, role, token, **narrow))
        assert s3.list_objects_v2(Bucket="shared")["KeyCount"] == 1
        assert code(s3.get_object, Bucket="shared", Key="greeting") == ("AccessDenied", 403)
    assert code(assume, server, role, token, Policy="{}") == ("MalformedPolicyDocument", 400)
    assert code(assume, server, role, token, PolicyArns=[{"arn": managed + "x"}]) == ("NoSuchEntity", 404)
    long = allow("s3:*", resource=[f"arn:aws:s3:::{'b' * 40}-{number}" for number in range(30)])
    arns = []
    for number in range(8):
        document = allow("s3:*", resource=[f"arn:aws:s3:::{'b' * 50}-{at}" for at in range(80)])
        arns.append({"arn": iam.create_policy(PolicyName=f"long-{number}", PolicyDocument=document)["Policy"]["Arn"]})
    assert code(assume, server, role, token, Policy=long, PolicyArns=arns) == ("PackedPolicyTooLarge", 400)


def test_a_session_lasts_as_long_as_the_role_allows(server, iam, provider, registered):
    role, token = new_role(iam, "short", trust(registered)), provider.log_in("ada")
    expires = assume(server, role, token)["Credentials"]["Expiration"].timestamp()
    assert 3590 < expires - time.time() <= 3601
    assert code(assume, server, role, token, DurationSeconds=3601) == ("ValidationError", 400)
    assert code(assume, server, role, token, DurationSeconds=899) == ("ValidationError", 400)
    iam.update_role(RoleName="short", MaxSessionDuration=43200)
    expires = assume(server, role, token, DurationSeconds=43200)["Credentials"]["Expiration"].timestamp()
    assert 43190 < expires - time.time() <= 43201


# ---- the end of a session


def test_a_session_ends_with_its_provider_also_if_there_is_one_of_that_name_again(server, iam, provider):
    arn = iam.create_open_id_connect_provider(Url=provider.url, ClientIDList=["store-RS256"])["OpenIDConnectProviderArn"]
    role = new_role(iam, "of-a-provider", trust(arn))
    s3 = client(server, "s3", credentials(server, role, provider.log_in("ada")))
    s3.list_buckets()
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    assert code(s3.list_buckets) == ("InvalidToken", 400)
    assert code(assume, server, role, provider.log_in("ada")) == ("InvalidIdentityToken", 400)
    iam.create_open_id_connect_provider(Url=provider.url, ClientIDList=["store-RS256"])
    assert code(s3.list_buckets) == ("InvalidToken", 400)
    client(server, "s3", credentials(server, role, provider.log_in("ada"))).list_buckets()
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)


def test_a_session_ends_with_its_role_and_by_a_deny_of_earlier_sessions(server, iam, provider, registered):
    role = new_role(iam, "ending", trust(registered))
    s3 = client(server, "s3", credentials(server, role, provider.log_in("ada")))
    s3.list_buckets()
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 5))
    deny = allow("*", effect="Deny", Condition={"DateLessThan": {"aws:TokenIssueTime": now}})
    iam.put_role_policy(RoleName="ending", PolicyName="revoke", PolicyDocument=deny)
    assert code(s3.list_buckets) == ("AccessDenied", 403)
    iam.delete_role_policy(RoleName="ending", PolicyName="revoke")
    s3.list_buckets()
    iam.delete_role_policy(RoleName="ending", PolicyName="p0")
    iam.delete_role(RoleName="ending")
    assert code(s3.list_buckets) == ("InvalidToken", 400)


# ---- which tokens


def test_a_genuine_token_is_refused_that_is_late_early_for_others_or_incomplete(server, iam, provider, registered):
    role, now = new_role(iam, "strict", trust(registered)), int(time.time())
    assert assume(server, role, provider.token())["SubjectFromWebIdentityToken"] == "ada"
    expired = provider.token(exp=now - 61, iat=now - 900)
    with pytest.raises(ClientError) as refused:
        assume(server, role, expired)
    assert (refused.value.response["Error"]["Code"], refused.value.response["ResponseMetadata"]["HTTPStatusCode"]) == ("ExpiredTokenException", 400)
    assert assume(server, role, provider.token(exp=now - 30))["SubjectFromWebIdentityToken"] == "ada"
    for what, claims in {
        "early": {"nbf": now + 120},
        "of the future": {"iat": now + 120},
        "for another": {"aud": "shop"},
        "for another as well": {"aud": ["store-RS256", "shop"]},
        "to another client": {"azp": "shop"},
        "of another issuer": {"iss": provider.url + "/other"},
        "without an end": {"exp": None},
        "of nobody": {"sub": ""},
    }.items():
        assert code(assume, server, role, provider.token(**claims)) == ("InvalidIdentityToken", 400), what
    token = provider.token()
    assert code(assume, server, role, token[:-8] + ("A" * 8 if token[-8:] != "A" * 8 else "B" * 8)) == ("InvalidIdentityToken", 400)


def test_clients_of_the_provider_are_registered_and_removed(server, iam, provider, registered):
    role = new_role(iam, "clients", trust(registered))
    iam.remove_client_id_from_open_id_connect_provider(OpenIDConnectProviderArn=registered, ClientID="store-ES256")
    assert code(assume, server, role, provider.log_in("ada", "ES256")) == ("InvalidIdentityToken", 400)
    iam.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=registered, ClientID="store-ES256")
    assert assume(server, role, provider.log_in("ada", "ES256"))["Audience"] == "store-ES256"


def test_a_role_that_trusts_another_provider_or_only_users_is_closed(server, iam, provider, registered):
    other = new_role(iam, "of-another", trust(registered + "x"))
    users = {"Effect": "Allow", "Principal": {"AWS": "000000000000"}, "Action": "sts:*"}
    of_users = new_role(iam, "of-users", json.dumps({"Version": "2012-10-17", "Statement": [users]}))
    missing = "arn:aws:iam::000000000000:role/missing"
    for role in (other, of_users, missing, other.replace("000000000000:", "111122223333:")):
        expected = ("InvalidIdentityToken", 400) if "1111" in role else ("AccessDenied", 403)
        assert code(assume, server, role, provider.log_in("ada")) == expected, role


# ---- the provider's keys


def test_new_keys_of_the_provider_are_found_and_keys_taken_back_end(tmp_path, provider):
    server = Server(tmp_path / "home", provider.config).start()
    iam = client(server, "iam")
    arn = iam.create_open_id_connect_provider(Url=provider.url, ClientIDList=["store-RS256"])["OpenIDConnectProviderArn"]
    role = new_role(iam, "r", trust(arn))
    old = provider.log_in("ada")
    assume(server, role, old)
    provider("rotate", keep=True)
    new = provider.log_in("ada")
    deadline = time.monotonic() + 15
    while True:  # the provider is asked once in ten seconds
        try:
            assume(server, role, new)
            break
        except ClientError as refused:
            assert refused.response["Error"]["Code"] == "InvalidIdentityToken" and time.monotonic() < deadline
            time.sleep(0.5)
    assume(server, role, old)
    provider("rotate", keep=False)
    last = provider.log_in("ada")
    deadline = time.monotonic() + 15
    while code_or_none(server, role, last) and time.monotonic() < deadline:
        time.sleep(0.5)
    assume(server, role, last)
    assert code(assume, server, role, old) == code(assume, server, role, new) == ("InvalidIdentityToken", 400)
    server.stop()
    server.remove()


def code_or_none(server, role, token):
    try:
        assume(server, role, token)
    except ClientError as refused:
        return refused.response["Error"]["Code"]
    return None


def test_while_the_provider_is_away_its_known_keys_go_on_and_nobody_waits(tmp_path):
    provider = Provider(tmp_path)
    server = Server(tmp_path / "home", provider.config).start()
    iam = client(server, "iam")
    arn = iam.create_open_id_connect_provider(Url=provider.url, ClientIDList=["store-RS256"])["OpenIDConnectProviderArn"]
    role = new_role(iam, "r", trust(arn))
    first, second = provider.token(), provider.token(sub="bob")
    session = credentials(server, role, first)
    provider.stop()
    begun = time.monotonic()
    assert assume(server, role, second)["SubjectFromWebIdentityToken"] == "bob"
    assert time.monotonic() - begun < 2
    client(server, "s3", session).list_buckets()
    server.restart()
    client(server, "s3", session).list_buckets()
    assert code(assume, server, role, second) == ("IDPCommunicationError", 400)
    server.stop()
    server.remove()


def test_a_provider_with_a_private_address_is_asked_only_if_the_operator_says_so(tmp_path):
    provider = Scripted(tmp_path / "provider")
    server = Server(tmp_path / "home").start()
    iam = client(server, "iam")
    arn = iam.create_open_id_connect_provider(Url=provider.url, ClientIDList=["store"])["OpenIDConnectProviderArn"]
    with pytest.raises(ClientError, match="sso.private_hosts") as refused:
        assume(server, new_role(iam, "r", trust(arn)), provider.token())
    assert refused.value.response["Error"]["Code"] == "IDPCommunicationError" and provider.asked == 0
    server.stop()
    server.remove()
    provider.stop()


# ---- other clients, and what is on record


def test_a_client_that_writes_everything_into_the_url_is_answered(server, iam, provider, registered):
    role = new_role(iam, "by-url", trust(registered))
    query = {"Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15", "RoleArn": role, "RoleSessionName": "by-url", "WebIdentityToken": provider.log_in("ada")}
    request = urllib.request.Request(f"{server.endpoint}/?{urllib.parse.urlencode(query)}", b"", method="POST")
    request.remove_header("Content-type")
    with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=str(server.ca)), timeout=10) as reply:
        body = reply.read().decode()
    assert reply.status == 200 and "<SubjectFromWebIdentityToken>ada</SubjectFromWebIdentityToken>" in body


def test_who_took_on_a_role_is_on_record_and_the_token_is_not(server, iam, provider, registered):
    role, log = new_role(iam, "recorded", trust(registered)), AuditLog(server)
    token = leaks.register("a token of the provider", provider.log_in("ada").rsplit(".", 1)[1])
    token = provider.log_in("ada")
    given = assume(server, role, token, "recorded-session")
    [event] = [event for event in log.events() if event["operation"] == "AssumeRoleWithWebIdentity"]
    details = {name: event["details"][name] for name in ("issuer", "subject", "role", "session", "access_key", "account")}
    assert details == {
        "issuer": provider.url,
        "subject": "ada",
        "role": role,
        "session": "recorded-session",
        "access_key": given["Credentials"]["AccessKeyId"],
        "account": "000000000000",
    }
    assert event["outcome"] == "ok" and event["who"] == "anonymous"
