"""Policies of buckets: what they open to whom, over accounts and without a signature; what they shut; and what is refused of them."""

import json
import urllib.parse

import pytest

from conftest import make_bucket
from harness import users
from harness.server import Server
from harness.sse import SSE, customer

EVERYTHING = [{"Effect": "Allow", "Action": ["s3:*", "kms:GenerateDataKey", "kms:Decrypt"], "Resource": "*"}]
USERS = {"alice": EVERYTHING, "bob": [{"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}], "eve": EVERYTHING}
OTHER = "111122223333"  # eve's account
ADMIN = [{"Effect": "Allow", "Action": ["kms:*", "strongroom:*"], "Resource": "*"}]
PAB = {"publicAccessBlock": ""}
POLICY = {"policy": ""}
BODY = b"what is in it"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    config = users.config(USERS | {"mallory": ADMIN})
    for name in ("eve", "mallory"):
        config = config.replace(f"name = '{name}'\n", f"name = '{name}'\naccount = '{OTHER}'\n")
    server = Server(tmp_path_factory.mktemp("policies") / "home", config=config).start()
    yield server
    server.remove()


@pytest.fixture
def bucket(server):
    bucket = make_bucket(server)
    server.raw().put(bucket, "key", BODY).ok()
    return bucket


def user(server, name):
    return server.raw(*users.keys(name))


def anonymous(server, method, path, query=(), headers=None, body=b"", **options):
    return server.raw().request(method, path, query, headers, body, sign=False, **options)


def statement(bucket, *actions, effect="Allow", principal="*", condition=None):
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    said = {"Effect": effect, "Principal": principal, "Action": list(actions), "Resource": resources}
    return said | ({"Condition": condition} if condition else {})


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}).encode()


def put_policy(server, bucket, *statements, headers=None, client=None):
    return (client or server.raw()).request("PUT", f"/{bucket}", POLICY, headers, document(*statements))


def unblock(server, bucket):
    server.raw().request("DELETE", f"/{bucket}", PAB).ok(204)


def open_to_all(server, bucket, *actions):
    unblock(server, bucket)
    put_policy(server, bucket, statement(bucket, *actions)).ok(204)


# ---- without a signature


def test_a_new_bucket_is_closed_to_who_does_not_sign_and_cannot_be_opened_by_a_policy_alone(server, bucket):
    put_policy(server, bucket, statement(bucket, "s3:GetObject")).fails(403, "AccessDenied")
    server.raw().request("GET", f"/{bucket}", POLICY).fails(404, "NoSuchBucketPolicy")
    for method, path, query in [
        ("GET", f"/{bucket}/key", {}),
        ("GET", f"/{bucket}", {"list-type": "2"}),
        ("PUT", f"/{bucket}/new", {}),
        ("DELETE", f"/{bucket}/key", {}),
        ("GET", "/", {}),
        ("GET", "/no-such-bucket-here", {}),
        ("PUT", "/a-bucket-of-nobody", {}),
    ]:
        reply = anonymous(server, method, path, query, body=b"x" if method == "PUT" else b"").fails(403, "AccessDenied")
        assert reply.message == "Access Denied."
    server.raw().get(bucket, "key").ok()
    server.raw().request("HEAD", f"/{bucket}/new").ok(404)


def test_everybody_may_do_what_a_policy_opens_and_nothing_else(server, bucket):
    open_to_all(server, bucket, "s3:GetObject")
    assert anonymous(server, "GET", f"/{bucket}/key").ok().body == BODY
    assert anonymous(server, "GET", f"/{bucket}/key", headers={"range": "bytes=5-6"}).ok(206).body == BODY[5:7]
    assert anonymous(server, "GET", f"/{bucket}/key", tls=False).ok().body == BODY
    anonymous(server, "GET", f"/{bucket}/missing").fails(403, "AccessDenied")
    anonymous(server, "GET", f"/{bucket}", {"list-type": "2"}).fails(403, "AccessDenied")
    anonymous(server, "PUT", f"/{bucket}/key", body=b"another").fails(403, "AccessDenied")
    anonymous(server, "DELETE", f"/{bucket}/key").fails(403, "AccessDenied")
    anonymous(server, "GET", f"/{bucket}", POLICY).fails(403, "AccessDenied")
    assert server.raw().get(bucket, "key").ok().body == BODY


def test_an_anonymous_request_cannot_choose_the_headers_of_its_answer(server, bucket):
    open_to_all(server, bucket, "s3:GetObject")
    for name in ("content-type", "content-disposition", "cache-control", "expires", "content-language", "content-encoding"):
        reply = anonymous(server, "GET", f"/{bucket}/key", {f"response-{name}": "text/html"})
        reply.fails(400, "InvalidRequest")


def test_a_policy_counts_for_the_next_request_and_no_longer_when_it_is_gone(server, bucket):
    open_to_all(server, bucket, "s3:GetObject")
    for _ in range(20):
        anonymous(server, "GET", f"/{bucket}/key").ok()
        server.raw().request("DELETE", f"/{bucket}", POLICY).ok(204)
        anonymous(server, "GET", f"/{bucket}/key").fails(403, "AccessDenied")
        put_policy(server, bucket, statement(bucket, "s3:GetObject")).ok(204)


def test_a_new_bucket_of_the_same_name_has_nothing_of_the_old_ones_policy(server, bucket):
    open_to_all(server, bucket, "s3:*")
    anonymous(server, "DELETE", f"/{bucket}/key").ok(204)
    server.raw().request("DELETE", f"/{bucket}").ok(204)
    server.raw().request("PUT", f"/{bucket}").ok()
    server.raw().put(bucket, "key", BODY).ok()
    anonymous(server, "GET", f"/{bucket}/key").fails(403, "AccessDenied")


def test_everybody_may_write_where_a_policy_says_so_in_any_form_that_needs_no_signature(server, bucket):
    open_to_all(server, bucket, "s3:PutObject")
    anonymous(server, "PUT", f"/{bucket}/plain", body=b"plain").ok()
    trailer = b"5\r\nchunk\r\n0\r\nx-amz-checksum-crc32:" + b"AAAAAA==" + b"\r\n\r\n"
    headers = {
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-decoded-content-length": "5",
        "x-amz-trailer": "x-amz-checksum-crc32",
        "content-encoding": "aws-chunked",
    }
    anonymous(server, "PUT", f"/{bucket}/chunked", headers=headers, body=trailer).fails(400, "BadDigest")
    wrong = {"x-amz-content-sha256": "0" * 64}
    anonymous(server, "PUT", f"/{bucket}/hashed", headers=wrong, body=b"x").fails(400, "XAmzContentSHA256Mismatch")
    signed = {"x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "x-amz-decoded-content-length": "1"}
    anonymous(server, "PUT", f"/{bucket}/signed", headers=signed, body=b"x").fails(400, "InvalidArgument")
    assert server.raw().get(bucket, "plain").ok().body == b"plain"
    for key in ("chunked", "hashed", "signed"):
        server.raw().request("HEAD", f"/{bucket}/{key}").ok(404)


def test_a_public_policy_opens_no_object_under_a_kms_key_and_none_under_a_clients_key_without_it(server, bucket):
    open_to_all(server, bucket, "s3:GetObject", "s3:PutObject")
    key = customer()
    server.raw().put(bucket, "kms", BODY, headers={SSE: "aws:kms"}).ok()
    server.raw().put(bucket, "s3", BODY, headers={SSE: "AES256"}).ok()
    server.raw().put(bucket, "customer", BODY, headers=key).ok()
    anonymous(server, "GET", f"/{bucket}/kms").fails(403, "AccessDenied")
    anonymous(server, "PUT", f"/{bucket}/new", headers={SSE: "aws:kms"}, body=b"x").fails(403, "AccessDenied")
    assert anonymous(server, "GET", f"/{bucket}/s3").ok().body == BODY
    anonymous(server, "GET", f"/{bucket}/customer").fails(400, "InvalidRequest")
    assert anonymous(server, "GET", f"/{bucket}/customer", headers=key).ok().body == BODY


def test_a_broken_or_an_unknown_signature_is_none_and_not_taken_for_an_anonymous_request(server, bucket):
    open_to_all(server, bucket, "s3:GetObject")
    server.raw("NOBODY", "secret-of-nobody").get(bucket, "key").fails(403, "InvalidAccessKeyId")
    server.raw(secret_key="not the secret").get(bucket, "key").fails(403, "SignatureDoesNotMatch")
    anonymous(server, "GET", f"/{bucket}/key", {"X-Amz-Signature": "0" * 64}).ok(400)
    anonymous(server, "GET", f"/{bucket}/key", headers={"authorization": "Bearer x"}).ok(400)


# ---- accounts


def test_an_account_sees_nothing_of_another_whatever_its_users_policies_say(server, bucket):
    eve = user(server, "eve")
    own = bucket + "-of-eve"
    eve.request("PUT", f"/{own}").ok()
    eve.put(own, "key", b"hers").ok()
    listed = [element.text for element in eve.request("GET", "/").ok().xml().iter("Name")]
    assert own in listed and bucket not in listed
    for request in [
        ("GET", f"/{bucket}/key"), ("PUT", f"/{bucket}/key"), ("DELETE", f"/{bucket}/key"), ("GET", f"/{bucket}"), ("DELETE", f"/{bucket}"),
        ("HEAD", f"/{bucket}"),
    ]:  # fmt: skip
        eve.request(*request).ok(403)
    eve.request("PUT", f"/{own}/copy", headers={"x-amz-copy-source": f"{bucket}/key"}).fails(403, "AccessDenied")
    # Nor the main account of it, but for root.
    user(server, "alice").get(own, "key").fails(403, "AccessDenied")
    assert bucket in [element.text for element in user(server, "alice").request("GET", "/").ok().xml().iter("Name")]
    assert own not in [element.text for element in user(server, "alice").request("GET", "/").ok().xml().iter("Name")]
    assert server.raw().get(own, "key").ok().body == b"hers"
    assert {own, bucket} <= {element.text for element in server.raw().request("GET", "/").ok().xml().iter("Name")}


def test_across_accounts_both_policies_must_allow(server, bucket):
    eve = user(server, "eve")
    put_policy(server, bucket, statement(bucket, "s3:GetObject", "s3:ListBucket", principal={"AWS": f"arn:aws:iam::{OTHER}:root"})).ok(204)
    assert eve.get(bucket, "key").ok().body == BODY
    eve.request("GET", f"/{bucket}", {"list-type": "2"}).ok()
    eve.put(bucket, "key", b"x").fails(403, "AccessDenied")
    # Mallory is of that account as well, and has no right of her own.
    user(server, "mallory").get(bucket, "key").fails(403, "AccessDenied")
    put_policy(server, bucket, statement(bucket, "s3:GetObject", principal={"AWS": f"arn:aws:iam::{OTHER}:user/mallory"})).ok(204)
    user(server, "mallory").get(bucket, "key").fails(403, "AccessDenied")
    eve.get(bucket, "key").fails(403, "AccessDenied")


def test_a_copy_across_accounts_needs_the_sources_policy_and_the_targets(server, bucket):
    eve, own = user(server, "eve"), bucket + "-of-eve"
    eve.request("PUT", f"/{own}").ok()
    source = {"x-amz-copy-source": f"{bucket}/key"}
    put_policy(server, bucket, statement(bucket, "s3:GetObject", principal={"CanonicalUser": "eve"})).ok(204)
    eve.request("PUT", f"/{own}/copy", headers=source).ok()
    assert eve.get(own, "copy").ok().body == BODY
    eve.request("PUT", f"/{bucket}/copy", headers=source).fails(403, "AccessDenied")
    # A condition on the source confines what may be copied into a bucket.
    condition = {"StringLike": {"s3:x-amz-copy-source": f"{own}/*"}}
    put_policy(server, bucket, statement(bucket, "s3:PutObject", "s3:GetObject", principal={"CanonicalUser": "eve"}, condition=condition)).ok(204)
    eve.request("PUT", f"/{bucket}/copy", headers={"x-amz-copy-source": urllib.parse.quote(f"/{own}/copy")}).ok()
    eve.request("PUT", f"/{bucket}/copy", headers=source).fails(403, "AccessDenied")


def test_within_an_account_the_buckets_policy_is_enough(server, bucket):
    bob = user(server, "bob")
    bob.get(bucket, "key").fails(403, "AccessDenied")
    put_policy(server, bucket, statement(bucket, "s3:GetObject", principal={"AWS": "arn:aws:iam::000000000000:user/bob"})).ok(204)
    assert bob.get(bucket, "key").ok().body == BODY
    bob.put(bucket, "key", b"x").fails(403, "AccessDenied")
    put_policy(server, bucket, statement(bucket, "s3:GetObject", principal={"AWS": "000000000000"})).ok(204)
    bob.get(bucket, "key").fails(403, "AccessDenied")


def test_administration_is_for_the_main_account(server, bucket):
    reply = user(server, "mallory").request("GET", "/strongroom/admin/v1/kms/status")
    reply.fails(403, "AccessDenied")
    assert reply.message == "Administration is for users of the main account."
    assert anonymous(server, "GET", "/strongroom/admin/v1/kms/status").status == 401


# ---- what a policy shuts


def test_a_deny_binds_root_who_can_always_take_the_policy_away(server, bucket):
    put_policy(server, bucket, statement(bucket, "s3:*", effect="Deny")).ok(204)
    raw = server.raw()
    raw.get(bucket, "key").fails(403, "AccessDenied")
    raw.put(bucket, "key", b"x").fails(403, "AccessDenied")
    raw.request("DELETE", f"/{bucket}").fails(403, "AccessDenied")
    user(server, "alice").request("DELETE", f"/{bucket}", POLICY).fails(403, "AccessDenied")
    raw.request("GET", f"/{bucket}", POLICY).ok()
    raw.request("DELETE", f"/{bucket}", POLICY).ok(204)
    assert raw.get(bucket, "key").ok().body == BODY


def test_who_would_shut_themselves_out_must_confirm_it(server, bucket):
    alice, shut = user(server, "alice"), statement(bucket, "s3:*", effect="Deny", principal={"CanonicalUser": "alice"})
    put_policy(server, bucket, shut, client=alice).fails(403, "AccessDenied")
    alice.request("GET", f"/{bucket}", POLICY).fails(404, "NoSuchBucketPolicy")
    put_policy(server, bucket, shut, client=alice, headers={"x-amz-confirm-remove-self-bucket-access": "true"}).ok(204)
    alice.request("GET", f"/{bucket}", POLICY).fails(403, "AccessDenied")


def test_every_upload_is_encrypted_as_a_policy_demands(server, bucket):
    unless = {"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}}
    put_policy(server, bucket, statement(bucket, "s3:PutObject", effect="Deny", condition=unless)).ok(204)
    raw = server.raw()
    raw.put(bucket, "new", b"x").fails(403, "AccessDenied")
    raw.put(bucket, "new", b"x", headers={SSE: "AES256"}).fails(403, "AccessDenied")
    raw.put(bucket, "new", b"x", headers=customer()).fails(403, "AccessDenied")
    raw.put(bucket, "new", b"x", headers={SSE: "aws:kms"}).ok()
    upload = raw.begin_upload(bucket, "parts", headers={SSE: "aws:kms"})
    raw.upload_part(bucket, "parts", upload, 1, b"part").ok()
    raw.request("POST", f"/{bucket}/plain", {"uploads": ""}).fails(403, "AccessDenied")


def test_a_restricted_public_policy_counts_for_the_account_alone(server, bucket):
    open_to_all(server, bucket, "s3:GetObject")
    restrict = b"<PublicAccessBlockConfiguration><RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>"
    server.raw().request("PUT", f"/{bucket}", PAB, body=restrict).ok()
    anonymous(server, "GET", f"/{bucket}/key").fails(403, "AccessDenied")
    user(server, "eve").get(bucket, "key").fails(403, "AccessDenied")
    assert user(server, "bob").get(bucket, "key").ok().body == BODY


# ---- conditions


def test_a_policy_opens_a_bucket_to_addresses(server, bucket):
    def opened(block):
        put_policy(server, bucket, statement(bucket, "s3:GetObject", condition={"IpAddress": {"aws:SourceIp": block}})).ok(204)

    # Not public: whoever comes from there is a closed circle.
    opened("127.0.0.0/8")
    status = server.raw().request("GET", f"/{bucket}", {"policyStatus": ""}).ok()
    assert status.xml().findtext("IsPublic") == "false"
    assert anonymous(server, "GET", f"/{bucket}/key").ok().body == BODY
    # Nobody who is not trusted as a proxy chooses the address that counts.
    opened("192.0.2.0/24")
    anonymous(server, "GET", f"/{bucket}/key", headers={"x-forwarded-for": "192.0.2.1"}).fails(403, "AccessDenied")


def test_tags_open_and_shut_objects(server, bucket):
    raw, bob = server.raw(), user(server, "bob")
    raw.put(bucket, "open", BODY, headers={"x-amz-tagging": "state=open"}).ok()
    is_open, becomes_open = {"StringEquals": {"s3:ExistingObjectTag/state": "open"}}, {"StringEquals": {"s3:RequestObjectTag/state": "open"}}
    named = {"CanonicalUser": "bob"}
    put_policy(
        server, bucket,
        statement(bucket, "s3:GetObject", principal=named, condition=is_open),
        statement(bucket, "s3:PutObject", "s3:PutObjectTagging", principal=named, condition=becomes_open),
    ).ok(204)  # fmt: skip
    assert bob.get(bucket, "open").ok().body == BODY
    bob.get(bucket, "key").fails(403, "AccessDenied")

    def tag(state):
        body = f"<Tagging><TagSet><Tag><Key>state</Key><Value>{state}</Value></Tag></TagSet></Tagging>".encode()
        return bob.request("PUT", f"/{bucket}/key", {"tagging": ""}, body=body)

    tag("shut").fails(403, "AccessDenied")
    bob.get(bucket, "key").fails(403, "AccessDenied")
    tag("open").ok()
    assert bob.get(bucket, "key").ok().body == BODY
    bob.put(bucket, "new", b"x").fails(403, "AccessDenied")
    bob.put(bucket, "new", b"x", headers={"x-amz-tagging": "state=shut"}).fails(403, "AccessDenied")


def test_a_deny_on_a_tag_sees_the_tags_in_the_body(server, bucket):
    never = {"StringEquals": {"s3:RequestObjectTag/state": "secret"}}
    put_policy(server, bucket, statement(bucket, "s3:PutObjectTagging", "s3:PutObject", effect="Deny", condition=never)).ok(204)
    raw = server.raw()
    body = b"<Tagging><TagSet><Tag><Key>state</Key><Value>%s</Value></Tag></TagSet></Tagging>"
    raw.request("PUT", f"/{bucket}/key", {"tagging": ""}, body=body % b"secret").fails(403, "AccessDenied")
    raw.request("PUT", f"/{bucket}/key", {"tagging": ""}, body=body % b"known").ok()
    raw.put(bucket, "new", b"x", headers={"x-amz-tagging": "state=secret"}).fails(403, "AccessDenied")


# ---- the document


def test_a_policy_comes_back_as_it_was_given_and_outlives_a_restart(server, bucket):
    text = b'{ "Statement" :\n [' + json.dumps(statement(bucket, "s3:GetObject", principal={"AWS": OTHER})).encode() + b"]\t}"
    server.raw().request("PUT", f"/{bucket}", POLICY, body=text).ok(204)
    server.stop()
    server.start()
    reply = server.raw().request("GET", f"/{bucket}", POLICY).ok()
    assert (reply.body, reply.headers["content-type"]) == (text, "application/json")
    assert user(server, "eve").get(bucket, "key").ok().body == BODY
    server.raw().request("DELETE", f"/{bucket}", POLICY).ok(204)
    server.raw().request("GET", f"/{bucket}", POLICY).fails(404, "NoSuchBucketPolicy")
    server.raw().request("GET", f"/{bucket}", {"policyStatus": ""}).fails(404, "NoSuchBucketPolicy")


def test_the_status_says_whether_a_policy_is_public(server, bucket):
    def status():
        return server.raw().request("GET", f"/{bucket}", {"policyStatus": ""}).ok().xml().findtext("IsPublic")

    put_policy(server, bucket, statement(bucket, "s3:GetObject", principal={"AWS": OTHER})).ok(204)
    assert status() == "false"
    open_to_all(server, bucket, "s3:GetObject")
    assert status() == "true"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "the policy is malformed: EOF while parsing"),
        ("[]", "the policy is malformed"),
        ('{"Statement": []}', "the policy has 0 statements"),
        ('{"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::BUCKET"}}', "either Principal or NotPrincipal"),
        ('{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::elsewhere"}}', "is not of this bucket"),
        ('{"Statement": {"Effect": "Allow", "Principal": {"AWS": "bob"}, "Action": "s3:*", "Resource": "*"}}', '"bob" is no principal'),
        (
            '{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*", "Condition": {"StringEquals": {"aws:SourceVpc": "x"}}}}',
            "the condition key aws:SourceVpc is not supported",
        ),
        ("{" + " " * (20 << 10), "are allowed"),
    ],
)
def test_what_is_no_policy_of_the_bucket_is_refused_and_says_why(server, bucket, text, says):
    reply = server.raw().request("PUT", f"/{bucket}", POLICY, body=text.replace("BUCKET", bucket).encode()).fails(400, "MalformedPolicy")
    assert says in reply.message
    server.raw().request("GET", f"/{bucket}", POLICY).fails(404, "NoSuchBucketPolicy")


def test_a_policy_of_a_bucket_that_is_not_there_is_none(server):
    put_policy(server, "no-such-bucket-here", statement("no-such-bucket-here", "s3:*")).fails(404, "NoSuchBucket")
    server.raw().request("GET", "/no-such-bucket-here", POLICY).fails(404, "NoSuchBucket")


def test_a_form_without_a_policy_is_taken_where_everybody_may_write_and_nowhere_else(server, bucket):
    def post():
        parts = [("key", "form"), ("Content-Type", "text/plain")]
        fields = "".join(f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in parts)
        body = f'{fields}--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nwhat is in it\r\n--x--\r\n'.encode()
        return anonymous(server, "POST", f"/{bucket}", headers={"content-type": "multipart/form-data; boundary=x"}, body=body)

    post().fails(403, "AccessDenied")
    open_to_all(server, bucket, "s3:GetObject")
    post().fails(403, "AccessDenied")
    open_to_all(server, bucket, "s3:PutObject")
    post().ok(204)
    assert server.raw().get(bucket, "form").ok().body == BODY
