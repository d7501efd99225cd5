"""Presigned URLs of Signature Version 2, where the operator allows them: by boto3, aws-cli and botocore's signer."""

import random
import ssl
import urllib.parse
import urllib.request

import pytest
from botocore.auth import HmacV1Auth, HmacV1QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from conftest import make_bucket
from harness import sigv2, sigv4
from harness.cli import Shell
from harness.server import Server
from harness.sse import KEY, SSE_C

DOMAIN = "s3.strongroom.test"
CONFIG = f"""allow_signature_v2_urls = true
domains = ["{DOMAIN}"]
[[users]]
name = "reader"
access_key = "AKREADER"
secret_key = "secret-of-reader"
policy = '{{"Statement": {{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}}}}'
"""
REQUESTS = 300


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """A server that takes such URLs."""
    server = Server(tmp_path_factory.mktemp("old") / "home", CONFIG).start()
    yield server
    assert server.stop() == 0
    server.remove()


@pytest.fixture
def held(old):
    """A bucket with an object in two versions, and their ids."""
    raw, bucket = old.raw(), make_bucket(old)
    body = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    raw.request("PUT", f"/{bucket}", query={"versioning": ""}, body=body).ok()
    first = raw.put(bucket, "an object", b"first").ok().headers["x-amz-version-id"]
    raw.put(bucket, "an object", b"second", {"content-type": "text/x"}).ok()
    return bucket, first


def send(server, method, target, headers=None, **options):
    raw = server.raw()
    return raw.send(method, target, {"host": f"127.0.0.1:{server.port}"} | (headers or {}), **options)


def read(server, method, path, query=(), headers=None, also=None, **options):
    """Presigned by root with `headers`, sent with `also` too."""
    target = sigv2.presign(server.raw().credentials, method, path, query, headers, **options)
    return send(server, method, target, (headers or {}) | (also or {}))


def target_of(url):
    return "/" + url.split("/", 3)[3]


def by_boto(server, operation, params, seconds=60, **config):
    return server.boto(signature_version="s3", **config).generate_presigned_url(operation, Params=params, ExpiresIn=seconds)


# ---- off, which is the default


def test_no_url_of_version_two_is_taken_unless_the_operator_allows_it(server, raw, bucket):
    raw.put(bucket, "object", b"body").ok()
    url = by_boto(server, "get_object", {"Bucket": bucket, "Key": "object"})
    reply = send(server, "GET", target_of(url)).fails(400, "InvalidRequest")
    assert reply.message == "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."


# ---- clients


def test_a_link_of_boto3_reads_an_object(old, held):
    bucket, first = held
    named = {"Bucket": bucket, "Key": "an object"}
    url = by_boto(old, "get_object", named)
    assert "AWSAccessKeyId=" in url and "X-Amz-Signature" not in url
    with urllib.request.urlopen(url, context=ssl.create_default_context(cafile=str(old.ca))) as reply:
        assert reply.read() == b"second"
    head = send(old, "HEAD", target_of(by_boto(old, "head_object", named))).ok()
    assert (head.headers["content-length"], head.headers["content-type"]) == ("6", "text/x")
    assert send(old, "GET", target_of(by_boto(old, "get_object", named | {"VersionId": first}))).ok().body == b"first"
    chosen = {"ResponseContentType": "text/y", "ResponseContentDisposition": 'attachment; filename="Tom & Jerry + ü.txt"'}
    reply = send(old, "GET", target_of(by_boto(old, "get_object", named | chosen))).ok()
    assert (reply.headers["content-type"], reply.body) == ("text/y", b"second")
    reply = send(old, "GET", target_of(url), {"range": "bytes=1-2"}).ok(206)
    assert reply.body == b"ec"


def test_a_link_of_boto3_in_virtual_host_style_reads_that_bucket_s_object_and_no_other_s(old, held):
    bucket, _ = held
    other = make_bucket(old)
    old.raw().put(other, "an object", b"another's").ok()
    client = old.boto(signature_version="s3", endpoint=f"https://{DOMAIN}:{old.port}", s3={"addressing_style": "virtual"})
    url = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "an object"})
    host = f"{bucket}.{DOMAIN}:{old.port}"
    assert url.startswith(f"https://{host}/an%20object?")
    assert send(old, "GET", target_of(url), {"host": host}).ok().body == b"second"
    send(old, "GET", target_of(url), {"host": f"{other}.{DOMAIN}:{old.port}"}).fails(403, "SignatureDoesNotMatch")
    # The host is not signed: the same object may be asked for in the other style.
    assert send(old, "GET", f"/{bucket}{target_of(url)}").ok().body == b"second"


def test_a_link_of_boto3_to_a_bucket_s_parts_reads_them(old, held):
    bucket, _ = held
    for operation in ("head_bucket", "get_bucket_location", "get_bucket_acl", "get_bucket_versioning"):
        url = by_boto(old, operation, {"Bucket": bucket})
        send(old, "HEAD" if operation == "head_bucket" else "GET", target_of(url)).ok()


def test_a_link_of_boto3_to_a_listing_is_refused_since_its_parameters_are_not_signed(old, held):
    bucket, _ = held
    url = by_boto(old, "list_objects_v2", {"Bucket": bucket})
    reply = send(old, "GET", target_of(url)).fails(403, "AccessDenied")
    assert reply.message == "Signature Version 2 does not cover the query parameter list-type. Leave it out, or sign the URL with AWS4-HMAC-SHA256."
    assert b"an object" in read(old, "GET", f"/{bucket}").ok().body


def test_a_customer_key_travels_in_signed_headers_and_by_boto3_in_the_url(old):
    raw, bucket = old.raw(), make_bucket(old)
    raw.put(bucket, "object", b"body", SSE_C.write).ok()
    assert read(old, "GET", f"/{bucket}/object", headers=SSE_C.read).ok().body == b"body"
    read(old, "GET", f"/{bucket}/object").fails(400, "InvalidRequest")
    read(old, "GET", f"/{bucket}/object", also=SSE_C.read).fails(403, "SignatureDoesNotMatch")
    url = by_boto(old, "get_object", {"Bucket": bucket, "Key": "object", "SSECustomerAlgorithm": "AES256", "SSECustomerKey": KEY})
    assert "customer-key=" in url
    assert send(old, "GET", target_of(url)).ok().body == b"body"
    assert send(old, "GET", target_of(url), SSE_C.read).ok().body == b"body"


def test_a_link_of_boto3_s_own_defaults_is_one_of_version_two(old, held):
    """In us-east-1, and for endpoints of one's own."""
    url = old.boto().generate_presigned_url("get_object", Params={"Bucket": held[0], "Key": "an object"})
    assert "AWSAccessKeyId=" in url
    assert send(old, "GET", target_of(url)).ok().body == b"second"


def test_a_link_of_aws_cli_1_reads_an_object(old, held, tmp_path):
    bucket, _ = held
    shell = Shell(old, tmp_path)
    url = shell(f"aws --endpoint-url {old.endpoint} s3 presign 's3://{bucket}/an object' --expires-in 60").stdout.strip()
    assert "AWSAccessKeyId=" in url
    assert shell(f"curl --silent --fail --cacert {old.ca} '{url}'").stdout == "second"


# ---- what stays refused


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_a_link_writes_and_deletes_nothing(old, held, method):
    bucket, _ = held
    target = sigv2.presign(old.raw().credentials, method, f"/{bucket}/an object")
    reply = send(old, method, target, {"content-length": "0"}).fails(400, "InvalidRequest")
    assert reply.message == "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
    assert old.raw().get(bucket, "an object").ok().body == b"second"


def test_a_signature_of_version_two_in_a_header_is_refused(old, held):
    bucket, _ = held
    request = AWSRequest("GET", f"{old.endpoint}/{bucket}/an%20object")
    HmacV1Auth(Credentials(old.access_key, old.secret_key)).add_auth(request)
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert headers["authorization"].startswith("AWS ")
    send(old, "GET", f"/{bucket}/an%20object", headers).fails(400, "InvalidRequest")
    # Beside a URL that is signed well, too.
    target = sigv2.presign(old.raw().credentials, "GET", f"/{bucket}/an object")
    send(old, "GET", target, headers).fails(400, "InvalidArgument")


def test_a_link_may_do_what_its_signer_may(old, held):
    bucket, first = held
    reader = sigv4.Credentials("AKREADER", "secret-of-reader")
    assert send(old, "GET", sigv2.presign(reader, "GET", f"/{bucket}/an object")).ok().body == b"second"
    for path, query in ((f"/{bucket}/an object", {"versionId": first}), (f"/{bucket}/an object", {"acl": ""}), (f"/{bucket}", {}), ("/", {})):
        send(old, "GET", sigv2.presign(reader, "GET", path, query)).fails(403, "AccessDenied")


def test_a_link_expires_and_lives_for_a_week_at_the_most(old, held):
    bucket, _ = held
    path = f"/{bucket}/an object"
    reply = read(old, "GET", path, expires=sigv2.in_seconds(-2)).fails(403, "AccessDenied")
    assert reply.message == "Request has expired"
    assert read(old, "GET", path, expires=sigv2.in_seconds(7 * 86400)).ok().body == b"second"
    reply = read(old, "GET", path, expires=sigv2.in_seconds(7 * 86400 + 1000)).fails(403, "AccessDenied")
    assert reply.message == "The URL is not validly signed with Signature Version 2: Expires may be at most 604800 seconds from now."


def test_a_token_of_a_link_belongs_to_nobody(old, held):
    bucket, _ = held
    read(old, "GET", f"/{bucket}/an object", headers={"x-amz-security-token": "token"}).fails(400, "InvalidToken")


# ---- botocore's signer against the server


def random_request(chance, bucket, first):
    """Method, path, query and headers of a request that reads, of whatever botocore's signer covers."""
    names = chance.sample([name for name in sigv2.SIGNED if name not in ("versionId", "uploadId", "partNumber")], chance.choice([0, 0, 1, 1, 2, 4]))
    odd = "".join(chance.choice("aZ09 +%/=&?ü€;,:@'\"<~*()!$[]-_.") for _ in range(chance.randrange(12)))
    query = {name: odd if name.startswith("response-") else "" for name in names}
    if chance.random() < 0.3:
        query["versionId"] = chance.choice([first, "null", "none such"])
    if chance.random() < 0.2:
        query["partNumber"] = "1"
    key = chance.choice(["an object", "an object", odd, "", None])
    path = "/" if key is None else f"/{bucket}/{key}" if key else f"/{bucket}"
    headers = {}
    if chance.random() < 0.3:
        headers["x-amz-meta-b"] = "of  nobody"
    if chance.random() < 0.3:
        headers["x-amz-checksum-mode"] = "ENABLED"
    if chance.random() < 0.2:
        headers["content-type"] = "text/x"
    return chance.choice(["GET", "GET", "HEAD"]), path, query, headers


def answer(reply):
    """What is the same in every answer to one request."""
    changing = ("x-amz-request-id", "x-amz-id-2", "date", "content-length", "last-modified")
    headers = {name: value for name, value in reply.headers.items() if name not in changing}
    body = reply.body if reply.code is None else (reply.code, reply.message)
    return reply.status, headers, body


def test_what_botocore_signs_gets_the_answer_that_the_same_request_of_version_four_gets(old, held):
    """Of each request: the signature of this version is taken where it covers all, and then nothing else about it differs."""
    chance, (bucket, first) = random.Random(20070327), held
    statuses = set()
    for _ in range(REQUESTS):
        method, path, query, headers = random_request(chance, bucket, first)
        pieces = "&".join(sigv4.quote(name) + (f"={sigv4.quote(value)}" if value else "") for name, value in query.items())
        url = old.endpoint + sigv4.quote_path(path) + (f"?{pieces}" if pieces else "")
        request = AWSRequest(method, url, headers=headers)
        HmacV1QueryAuth(Credentials(old.access_key, old.secret_key), expires=60).add_auth(request)
        # botocore copies these headers into the query, where content-type is no parameter that is signed.
        target = target_of(request.url).replace("&content-type=text%2Fx", "")
        sent = {name: value for name, value in headers.items() if name == "content-type"}
        got = answer(send(old, method, target, sent))
        in_fours = sigv4.presign(old.raw().credentials, method, path, query, headers, f"127.0.0.1:{old.port}")
        wanted = answer(send(old, method, in_fours, headers))
        assert got == wanted, (method, path, query, headers, request.url)
        statuses.add(got[0])
    assert {200, 400, 404} <= statuses, statuses


def test_the_parameters_that_are_signed_are_botocore_s_but_for_two_that_are_none_of_s3_s():
    ours, theirs = set(sigv2.SIGNED), set(HmacV1Auth.QSAOfInterest)
    assert (ours - theirs, theirs - ours) == (set(), {"defaultObjectAcl", "storageClass"})


def test_a_url_of_botocore_s_that_was_altered_is_refused(old, held):
    bucket, first = held
    url = target_of(by_boto(old, "get_object", {"Bucket": bucket, "Key": "an object", "VersionId": first}))
    assert send(old, "GET", url).ok().body == b"first"
    expires = urllib.parse.parse_qs(url.split("?")[1])["Expires"][0]
    for old_text, new_text in (
        (first, "null"),
        ("an%20object", "other"),
        (bucket, "other-bucket"),
        (expires, str(int(expires) + 1)),
        ("versionId", "VersionId"),
    ):
        code = "AccessDenied" if new_text == "VersionId" else "SignatureDoesNotMatch"
        send(old, "GET", url.replace(old_text, new_text)).fails(403, code)
    for more in ("acl", "uploads", "partNumber=1", "response-content-type=text/html"):
        send(old, "GET", f"{url}&{more}").fails(403, "SignatureDoesNotMatch")
    for more in ("prefix=a", "attributes", "list-type=2", "x-id=GetObject", "anything"):
        send(old, "GET", f"{url}&{more}").fails(403, "AccessDenied")
    send(old, "GET", f"{url}&versionId=null").fails(400, "AuthorizationQueryParametersError")
