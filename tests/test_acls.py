"""ACLs of buckets and objects where they count: what they open to whom, whose an object is, and what ends them."""

import threading

import pytest

from conftest import make_bucket
from harness import users
from harness.server import Server

OTHER = "111122223333"
EVERYTHING = [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]
WRITER = [{"Effect": "Allow", "Action": ["s3:PutObject", "s3:GetObject"], "Resource": "*"}]
USERS = {"bob": [{"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}], "eve": EVERYTHING, "walt": WRITER}
ACL, BODY = {"acl": ""}, b"what is in it"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    config = users.config(USERS).replace("name = 'eve'\n", f"name = 'eve'\naccount = '{OTHER}'\n")
    server = Server(tmp_path_factory.mktemp("acls") / "home", config=config).start()
    yield server
    server.remove()


@pytest.fixture
def bucket(server):
    """One in which ACLs count, and may be public."""
    bucket = make_bucket(server)
    own(server, bucket, "ObjectWriter")
    server.raw().request("DELETE", f"/{bucket}", {"publicAccessBlock": ""}).ok(204)
    server.raw().put(bucket, "key", BODY).ok()
    return bucket


def own(server, bucket, ownership):
    body = f"<OwnershipControls><Rule><ObjectOwnership>{ownership}</ObjectOwnership></Rule></OwnershipControls>".encode()
    return server.raw().request("PUT", f"/{bucket}", {"ownershipControls": ""}, body=body)


def user(server, name):
    return server.raw(*users.keys(name))


def anonymous(server, method, path, query=(), headers=None, body=b""):
    return server.raw().request(method, path, query, headers, body, sign=False)


def grants(reply):
    """Who has what, by id or the end of the group's uri; and the owner."""
    root = reply.ok().xml()
    listed = [((grant.findtext("Grantee/ID") or grant.findtext("Grantee/URI").rsplit("/", 1)[1]), grant.findtext("Permission")) for grant in root.iter("Grant")]
    return root.findtext("Owner/ID"), sorted(listed)


def set_acl(server, path, client=None, **headers):
    headers = {f"x-amz-{name.replace('_', '-')}": value for name, value in headers.items()}
    return (client or server.raw()).request("PUT", path, ACL, headers)


def test_an_object_is_open_to_everybody_as_long_as_its_acl_says_so(server, bucket):
    path = f"/{bucket}/key"
    anonymous(server, "GET", path).fails(403, "AccessDenied")
    for _ in range(5):
        set_acl(server, path, acl="public-read").ok()
        assert anonymous(server, "GET", path).ok().body == BODY
        assert grants(server.raw().request("GET", path, ACL)) == ("root", [("AllUsers", "READ"), ("root", "FULL_CONTROL")])
        anonymous(server, "GET", path, ACL).fails(403, "AccessDenied")
        anonymous(server, "PUT", path, body=b"x").fails(403, "AccessDenied")
        anonymous(server, "DELETE", path).fails(403, "AccessDenied")
        set_acl(server, path, acl="private").ok()
        anonymous(server, "GET", path).fails(403, "AccessDenied")
    # What takes its place has an ACL of its own.
    set_acl(server, path, acl="public-read").ok()
    server.raw().put(bucket, "key", b"secret").ok()
    anonymous(server, "GET", path).fails(403, "AccessDenied")


def test_an_acl_comes_with_a_write_of_every_kind_and_is_not_copied(server, bucket):
    raw, public = server.raw(), {"x-amz-acl": "public-read"}
    raw.put(bucket, "put", BODY, headers=public).ok()
    raw.request("PUT", f"/{bucket}/copy", headers=public | {"x-amz-copy-source": f"{bucket}/key"}).ok()
    upload = raw.begin_upload(bucket, "parts", headers=public)
    etag = raw.upload_part(bucket, "parts", upload, 1, BODY).ok().etag
    raw.complete(bucket, "parts", upload, {1: etag}).ok()
    for key in ("put", "copy", "parts"):
        assert anonymous(server, "GET", f"/{bucket}/{key}").ok().body == BODY, key
    raw.request("PUT", f"/{bucket}/second", headers={"x-amz-copy-source": f"{bucket}/put"}).ok()
    anonymous(server, "GET", f"/{bucket}/second").fails(403, "AccessDenied")


def test_a_buckets_acl_opens_its_listing_and_writing_and_no_object(server, bucket):
    set_acl(server, f"/{bucket}", acl="public-read").ok()
    listed = anonymous(server, "GET", f"/{bucket}", {"list-type": "2"}).ok()
    assert [element.text for element in listed.xml().iter("Key")] == ["key"]
    anonymous(server, "GET", f"/{bucket}/key").fails(403, "AccessDenied")
    anonymous(server, "GET", f"/{bucket}/missing").fails(404, "NoSuchKey")
    anonymous(server, "PUT", f"/{bucket}/new", body=b"x").fails(403, "AccessDenied")
    set_acl(server, f"/{bucket}", acl="public-read-write").ok()
    anonymous(server, "PUT", f"/{bucket}/new", body=b"x").ok()
    anonymous(server, "DELETE", f"/{bucket}/new").fails(403, "AccessDenied")
    anonymous(server, "PUT", f"/{bucket}", {"acl": ""}, {"x-amz-acl": "private"}).fails(403, "AccessDenied")


def test_an_object_under_a_kms_key_stays_shut_however_public_its_acl_is(server, bucket):
    headers = {"x-amz-acl": "public-read", "x-amz-server-side-encryption": "aws:kms"}
    server.raw().put(bucket, "kms", BODY, headers=headers).ok()
    anonymous(server, "GET", f"/{bucket}/kms").fails(403, "AccessDenied")


def test_a_grant_names_one_user_and_counts_beside_policies(server, bucket):
    bob, path = user(server, "bob"), f"/{bucket}/key"
    bob.get(bucket, "key").fails(403, "AccessDenied")
    set_acl(server, path, grant_read="id=bob", grant_full_control="id=root").ok()
    assert bob.get(bucket, "key").ok().body == BODY
    bob.request("GET", path, ACL).fails(403, "AccessDenied")
    set_acl(server, path, client=bob, acl="public-read").fails(403, "AccessDenied")
    set_acl(server, path, grant_read_acp="id=bob").ok()
    assert grants(bob.request("GET", path, ACL)) == ("root", [("bob", "READ_ACP")])
    bob.get(bucket, "key").fails(403, "AccessDenied")
    # A Deny of the bucket beats every grant.
    set_acl(server, path, grant_full_control="id=bob").ok()
    deny = '{"Statement": {"Effect": "Deny", "Principal": {"CanonicalUser": "bob"}, "Action": "s3:GetObject", "Resource": "*"}}'
    server.raw().request("PUT", f"/{bucket}", {"policy": ""}, body=deny.encode()).ok(204)
    bob.get(bucket, "key").fails(403, "AccessDenied")


def test_what_another_account_writes_is_its_own_until_the_owner_is_enforced(server, bucket):
    eve, path = user(server, "eve"), f"/{bucket}/hers"
    eve.put(bucket, "hers", BODY).fails(403, "AccessDenied")
    set_acl(server, f"/{bucket}", grant_write="id=eve", grant_full_control="id=root").ok()
    eve.put(bucket, "hers", BODY).ok()
    assert grants(eve.request("GET", path, ACL)) == ("eve", [("eve", "FULL_CONTROL")])
    assert eve.get(bucket, "hers").ok().body == BODY
    eve.get(bucket, "key").fails(403, "AccessDenied")
    # With the owner preferred, an object that is given to the owner is theirs.
    own(server, bucket, "BucketOwnerPreferred").ok()
    eve.put(bucket, "given", BODY, headers={"x-amz-acl": "bucket-owner-full-control"}).ok()
    assert grants(server.raw().request("GET", f"/{bucket}/given", ACL)) == ("root", [("root", "FULL_CONTROL")])
    eve.put(bucket, "kept", BODY).ok()
    assert grants(eve.request("GET", f"/{bucket}/kept", ACL))[0] == "eve"
    own(server, bucket, "BucketOwnerEnforced").fails(400, "InvalidBucketAclWithObjectOwnership")
    set_acl(server, f"/{bucket}", acl="private").ok()
    own(server, bucket, "BucketOwnerEnforced").ok()
    eve.get(bucket, "hers").fails(403, "AccessDenied")
    eve.request("GET", path, ACL).fails(403, "AccessDenied")


def test_granting_takes_the_right_to_set_acls(server, bucket):
    walt = user(server, "walt")
    walt.put(bucket, "key", b"another").ok()
    for headers in ({"x-amz-acl": "public-read"}, {"x-amz-grant-read": "id=bob"}):
        walt.put(bucket, "key", b"opened", headers=headers).fails(403, "AccessDenied")
        walt.request("PUT", f"/{bucket}/key", headers=headers | {"x-amz-copy-source": f"{bucket}/key"}).fails(403, "AccessDenied")
        walt.request("POST", f"/{bucket}/key", {"uploads": ""}, headers).fails(403, "AccessDenied")
    walt.put(bucket, "key", b"kept", headers={"x-amz-acl": "bucket-owner-full-control"}).ok()
    assert server.raw().get(bucket, "key").ok().body == b"kept"


def test_public_acls_are_refused_or_ignored_where_they_are_blocked(server, bucket):
    path = f"/{bucket}/key"
    set_acl(server, path, acl="public-read").ok()

    def block(name):
        body = f"<PublicAccessBlockConfiguration><{name}>true</{name}></PublicAccessBlockConfiguration>".encode()
        server.raw().request("PUT", f"/{bucket}", {"publicAccessBlock": ""}, body=body).ok()

    block("BlockPublicAcls")
    set_acl(server, path, acl="public-read").fails(403, "AccessDenied")
    server.raw().put(bucket, "new", b"x", headers={"x-amz-acl": "authenticated-read"}).fails(403, "AccessDenied")
    assert anonymous(server, "GET", path).ok().body == BODY
    block("IgnorePublicAcls")
    anonymous(server, "GET", path).fails(403, "AccessDenied")
    user(server, "eve").get(bucket, "key").fails(403, "AccessDenied")
    set_acl(server, path, acl="public-read").ok()


def test_each_version_has_an_acl_of_its_own(server, bucket):
    raw = server.raw()
    raw.request("PUT", f"/{bucket}", {"versioning": ""}, body=b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>").ok()
    first = raw.put(bucket, "v", b"first", headers={"x-amz-acl": "public-read"}).ok().headers["x-amz-version-id"]
    second = raw.put(bucket, "v", b"second").ok().headers["x-amz-version-id"]
    assert anonymous(server, "GET", f"/{bucket}/v", {"versionId": first}).ok().body == b"first"
    anonymous(server, "GET", f"/{bucket}/v").fails(403, "AccessDenied")
    anonymous(server, "GET", f"/{bucket}/v", {"versionId": second}).fails(403, "AccessDenied")
    reply = raw.request("PUT", f"/{bucket}/v", {"acl": "", "versionId": first}, {"x-amz-acl": "private"}).ok()
    assert reply.headers["x-amz-version-id"] == first
    anonymous(server, "GET", f"/{bucket}/v", {"versionId": first}).fails(403, "AccessDenied")


def test_no_private_object_is_shown_that_takes_the_place_of_a_public_one(server, bucket):
    """The decision falls by the ACL of what was there; what is there when it is read must be the same."""
    raw, over = server.raw(), threading.Event()
    shown, refused = [], []

    def read():
        while not over.is_set():
            reply = anonymous(server, "GET", f"/{bucket}/key")
            assert reply.status in (200, 403, 503), reply.status
            (shown if reply.status == 200 else refused).append(reply.body)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for _ in range(60):
        raw.put(bucket, "key", b"public", headers={"x-amz-acl": "public-read"}).ok()
        raw.put(bucket, "key", b"private").ok()
    over.set()
    for reader in readers:
        reader.join()
    assert refused and set(shown) == {b"public"}


def test_fifty_clients_set_one_buckets_acl_at_once_and_none_fails(server, bucket):
    replies = []
    canned = ["public-read", "private", "authenticated-read", "public-read-write"]
    threads = [threading.Thread(target=lambda acl=canned[at % 4]: replies.append(set_acl(server, f"/{bucket}", acl=acl).status)) for at in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert replies == [200] * 50


def test_acls_outlive_a_restart(server, bucket):
    set_acl(server, f"/{bucket}", acl="public-read").ok()
    set_acl(server, f"/{bucket}/key", grant_read="id=bob").ok()
    server.stop()
    server.start()
    assert grants(server.raw().request("GET", f"/{bucket}", ACL)) == ("root", [("AllUsers", "READ"), ("root", "FULL_CONTROL")])
    assert grants(server.raw().request("GET", f"/{bucket}/key", ACL)) == ("root", [("bob", "READ")])
    assert user(server, "bob").get(bucket, "key").ok().body == BODY


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"x-amz-acl": "public"}, 400, "InvalidArgument"),
        ({"x-amz-grant-read": "bob"}, 400, "InvalidArgument"),
        ({"x-amz-grant-read": "id=nobody-we-know"}, 400, "InvalidArgument"),
        ({"x-amz-grant-read": "uri=http://acs.amazonaws.com/groups/global/Everybody"}, 400, "InvalidArgument"),
        ({"x-amz-grant-read": "emailAddress=bob@example.org"}, 400, "UnresolvableGrantByEmailAddress"),
        ({"x-amz-acl": "private", "x-amz-grant-read": "id=bob"}, 400, "InvalidRequest"),
        ({"x-amz-grant-read": ",".join(["id=bob"] * 101)}, 400, "InvalidArgument"),
    ],
)
def test_what_is_no_acl_is_refused(server, bucket, headers, status, code):
    for path in (f"/{bucket}", f"/{bucket}/key"):
        server.raw().request("PUT", path, ACL, headers).fails(status, code)
    server.raw().put(bucket, "new", b"x", headers=headers).fails(status, code)
    server.raw().request("HEAD", f"/{bucket}/new").ok(404)
