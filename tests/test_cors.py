"""CORS: the rules of a bucket, preflights without a signature, and what pages may read of answers."""

import time

import pytest
from botocore.exceptions import ClientError

from harness import sigv4

ORIGIN = "https://app.example"
VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"
NOT_ENABLED = "CORSResponse: CORS is not enabled for this bucket."
NOT_ALLOWED = (
    "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / "
    "Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec."
)
DOMAIN = "s3.strongroom.test"
LIMIT_BYTES = 64 << 10


def rule(origins=(ORIGIN,), methods=("GET",), **more):
    return {"AllowedOrigins": list(origins), "AllowedMethods": list(methods)} | more


def set_rules(server, bucket, *rules):
    server.boto().put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": list(rules)})


def preflight(raw, path, origin=ORIGIN, method="GET", headers=None, host=None):
    sent = {"host": host or f"127.0.0.1:{raw.port}", "origin": origin, "access-control-request-method": method, "access-control-request-headers": headers}
    return raw.send("OPTIONS", path, {name: value for name, value in sent.items() if value is not None})


def cors_of(reply):
    return {name.removeprefix("access-control-"): value for name, value in reply.headers.items() if name.startswith("access-control-")}


def error_of(call, **arguments):
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    error = refused.value.response
    return error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"], error["Error"]["Message"]


def document(*rules):
    return b"<CORSConfiguration>" + b"".join(b"<CORSRule>" + one + b"</CORSRule>" for one in rules) + b"</CORSConfiguration>"


LEAST = b"<AllowedOrigin>https://a</AllowedOrigin><AllowedMethod>GET</AllowedMethod>"


# ---- The rules of a bucket


def test_the_rules_of_a_bucket_are_those_that_were_put_last(server, bucket):
    client = server.boto()
    gone = (404, "NoSuchCORSConfiguration", "The CORS configuration does not exist")
    assert error_of(client.get_bucket_cors, Bucket=bucket) == gone
    set_rules(server, bucket, rule())
    rules = [
        rule(["https://*.example", "http://<&>"], ["GET", "PUT", "POST", "DELETE", "HEAD"], ID="one", AllowedHeaders=["*"], ExposeHeaders=["ETag"], MaxAgeSeconds=3000),
        rule(["*"]),
    ]
    set_rules(server, bucket, *rules)
    assert client.get_bucket_cors(Bucket=bucket)["CORSRules"] == rules
    client.delete_bucket_cors(Bucket=bucket)
    client.delete_bucket_cors(Bucket=bucket)
    assert error_of(client.get_bucket_cors, Bucket=bucket) == gone


def test_rules_outlive_a_restart_and_not_their_bucket(new_server):
    server = new_server("")
    server.boto().create_bucket(Bucket="paged")
    set_rules(server, "paged", rule(MaxAgeSeconds=5))
    server.restart()
    assert server.boto().get_bucket_cors(Bucket="paged")["CORSRules"] == [rule(MaxAgeSeconds=5)]
    assert cors_of(preflight(server.raw(), "/paged/key").ok())["max-age"] == "5"
    server.boto().delete_bucket(Bucket="paged")
    server.boto().create_bucket(Bucket="paged")
    assert error_of(server.boto().get_bucket_cors, Bucket="paged")[:2] == (404, "NoSuchCORSConfiguration")
    preflight(server.raw(), "/paged/key").fails(403, "AccessForbidden")


def test_rules_at_the_limits_are_taken_and_beyond_them_refused(server, raw, bucket):
    client = server.boto()
    most = [rule([f"https://{number}.example"], ID=f"{number:0255}") for number in range(100)]
    set_rules(server, bucket, *most)
    assert client.get_bucket_cors(Bucket=bucket)["CORSRules"] == most
    assert cors_of(preflight(raw, f"/{bucket}/key", "https://99.example").ok())["allow-origin"] == "https://99.example"
    put = lambda body: raw.request("PUT", f"/{bucket}", query={"cors": ""}, body=body)
    put(document(*[LEAST] * 101)).fails(400, "InvalidRequest")
    put(document(LEAST + b"<ID>" + b"i" * 256 + b"</ID>")).fails(400, "InvalidRequest")
    put(document(LEAST + b"<ID>i</ID>", LEAST + b"<ID>i</ID>")).fails(400, "InvalidRequest")
    assert client.get_bucket_cors(Bucket=bucket)["CORSRules"] == most, "what is refused changes nothing"
    put(document(LEAST).ljust(LIMIT_BYTES)).ok()
    put(document(LEAST).ljust(LIMIT_BYTES + 1)).fails(400, "MaxMessageLengthExceeded")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (b"<AllowedMethod>PATCH</AllowedMethod>", "Found unsupported HTTP method in CORS config. Unsupported method is PATCH"),
        (b"<AllowedOrigin>http://*.*</AllowedOrigin>", 'AllowedOrigin "http://*.*" can not have more than one wildcard.'),
        (b"<AllowedHeader>**</AllowedHeader>", 'AllowedHeader "**" can not have more than one wildcard.'),
        (b"<ExposeHeader>x-*</ExposeHeader>", 'ExposeHeader "x-*" contains wildcard. We currently do not support wildcard for ExposeHeader.'),
    ],
)
def test_what_a_rule_cannot_say_is_refused_with_amazons_reason(raw, bucket, wrong, message):
    assert raw.request("PUT", f"/{bucket}", query={"cors": ""}, body=document(LEAST + wrong)).fails(400, "InvalidRequest").message == message


def test_a_document_that_is_no_cors_configuration_is_malformed(raw, bucket):
    for body in [b"", b"<CORSConfiguration/>", document(b""), document(LEAST + b"<AllowedHeaders>x</AllowedHeaders>"), document(LEAST)[:-5], b"<!DOCTYPE x>" + document(LEAST), document(b"<ID>" * 9000)]:
        raw.request("PUT", f"/{bucket}", query={"cors": ""}, body=body).fails(400, "MalformedXML")


# ---- Preflights


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE", "HEAD"])
def test_a_preflight_is_answered_with_what_the_rule_allows(server, raw, bucket, method):
    set_rules(server, bucket, rule(["https://*.example"], [method], AllowedHeaders=["X-Amz-*", "content-type"], ExposeHeaders=["ETag", "x-amz-id-2"], MaxAgeSeconds=60))
    reply = preflight(raw, f"/{bucket}/a%20key", method=method, headers="Content-Type,x-amz-date").ok()
    assert cors_of(reply) == {
        "allow-origin": ORIGIN,
        "allow-methods": method,
        "allow-headers": "content-type, x-amz-date",
        "expose-headers": "ETag, x-amz-id-2",
        "max-age": "60",
        "allow-credentials": "true",
    }
    assert (reply.headers["vary"], reply.headers["content-length"], reply.body) == (VARY, "0", b"")
    for origin, asked, headers in [("https://app.other", method, None), (ORIGIN, method, "authorization"), (ORIGIN, "GET" if method == "PUT" else "PUT", None)]:
        refused = preflight(raw, f"/{bucket}/key", origin, asked, headers).fails(403, "AccessForbidden")
        assert refused.message == NOT_ALLOWED
        assert (refused.xml().findtext("Method"), refused.xml().findtext("ResourceType")) == (asked, "OBJECT")
        assert cors_of(refused) == {}


def test_a_preflight_of_any_origin_names_none_and_lets_no_credentials_in(server, raw, bucket):
    set_rules(server, bucket, rule(["*"], ["GET", "PUT"]))
    assert cors_of(preflight(raw, f"/{bucket}").ok()) == {"allow-origin": "*", "allow-methods": "GET, PUT"}


def test_a_preflight_that_says_too_little_is_a_bad_request(raw, bucket):
    assert preflight(raw, f"/{bucket}/key", origin=None).fails(400, "BadRequest").message == "Insufficient information. Origin request header needed."
    assert preflight(raw, f"/{bucket}/key", method=None).fails(400, "BadRequest").message == "Invalid Access-Control-Request-Method: null"
    assert preflight(raw, f"/{bucket}/key", method="PATCH").fails(400, "BadRequest").message == "Invalid Access-Control-Request-Method: PATCH"


def test_a_preflight_tells_nothing_of_a_bucket_without_rules_nor_of_one_that_is_not_there(raw, bucket):
    raw.put(bucket, "there", b"x").ok()
    replies = [preflight(raw, path).fails(403, "AccessForbidden") for path in (f"/{bucket}/there", f"/{bucket}/nothing", "/never-made-bucket/there")]
    assert {reply.message for reply in replies} == {NOT_ENABLED}
    volatile = {"date", "x-amz-request-id", "content-length"}
    assert len({frozenset((name, value) for name, value in reply.headers.items() if name not in volatile) for reply in replies}) == 1
    assert preflight(raw, f"/{bucket}").xml().findtext("ResourceType") == "BUCKET"


def test_a_preflight_tells_nothing_of_the_objects_of_a_bucket_with_rules(server, raw, bucket):
    set_rules(server, bucket, rule())
    raw.put(bucket, "there", b"x").ok()
    there, nothing = (preflight(raw, f"/{bucket}/{key}").ok() for key in ("there", "nothing"))
    assert (cors_of(there), there.body) == (cors_of(nothing), nothing.body)


def test_a_preflight_names_its_bucket_by_the_host_too(new_server):
    server = new_server(f'domains = ["{DOMAIN}"]\n')
    server.boto().create_bucket(Bucket="hosted")
    set_rules(server, "hosted", rule())
    raw = server.raw()
    assert cors_of(preflight(raw, "/key", host=f"hosted.{DOMAIN}:{raw.port}").ok())["allow-origin"] == ORIGIN
    preflight(raw, "/key", host=f"other.{DOMAIN}:{raw.port}").fails(403, "AccessForbidden")


def test_changed_rules_hold_for_the_next_preflight(server, raw, bucket):
    for round in range(5):
        set_rules(server, bucket, rule([f"https://{round}.example"]))
        preflight(raw, f"/{bucket}/key", f"https://{round}.example").ok()
        preflight(raw, f"/{bucket}/key", f"https://{round - 1}.example").fails(403, "AccessForbidden")
    server.boto().delete_bucket_cors(Bucket=bucket)
    assert preflight(raw, f"/{bucket}/key", "https://4.example").fails(403, "AccessForbidden").message == NOT_ENABLED


def test_a_thousand_preflights_on_one_connection_are_answered_each(server, raw, bucket):
    set_rules(server, bucket, *[rule([f"https://{number}.*.example"]) for number in range(99)], rule())
    connection, begun = raw.connect(), time.monotonic()
    for number in range(1000):
        connection.request("OPTIONS", f"/{bucket}/{number}", headers={"origin": ORIGIN, "access-control-request-method": "GET"})
        reply = connection.getresponse()
        reply.read()
        assert (reply.status, reply.headers["access-control-allow-origin"]) == (200, ORIGIN), number
    connection.close()
    assert time.monotonic() - begun < 60


def test_a_preflight_of_thousands_of_headers_fits_no_rule(server, raw, bucket):
    set_rules(server, bucket, rule(AllowedHeaders=["*"]))
    preflight(raw, f"/{bucket}/key", headers=",".join(["x"] * 128)).ok()
    preflight(raw, f"/{bucket}/key", headers=",".join(["x"] * 2000)).fails(403, "AccessForbidden")


# ---- Answers that a page may read


def presigned(raw, method, path, headers, body=b""):
    host = f"127.0.0.1:{raw.port}"
    length = {"content-length": str(len(body))} if method == "PUT" else {}
    return raw.send(method, sigv4.presign(raw.credentials, method, path, (), None, host), {"host": host} | headers | length, body)


def test_a_presigned_put_and_get_of_a_page_can_be_read_by_it(server, raw, bucket):
    set_rules(server, bucket, rule(methods=["PUT"]), rule(methods=["GET", "HEAD"], ExposeHeaders=["ETag"]))
    put = presigned(raw, "PUT", f"/{bucket}/key", {"origin": ORIGIN}, b"of a page").ok()
    assert cors_of(put) == {"allow-origin": ORIGIN, "allow-methods": "PUT", "allow-credentials": "true"}
    assert put.headers["vary"] == VARY
    got = presigned(raw, "GET", f"/{bucket}/key", {"origin": ORIGIN}).ok()
    assert got.body == b"of a page"
    assert cors_of(got) == {"allow-origin": ORIGIN, "allow-methods": "GET, HEAD", "allow-credentials": "true", "expose-headers": "ETag"}
    for headers in ({"origin": "https://other"}, {}):
        reply = presigned(raw, "GET", f"/{bucket}/key", headers).ok()
        assert (cors_of(reply), reply.headers.get("vary"), reply.body) == ({}, None, b"of a page")


def test_errors_can_be_read_by_the_page_too(server, raw, bucket):
    set_rules(server, bucket, rule(["*"], ["GET", "HEAD"]))
    headers = {"origin": ORIGIN}
    allowed = {"allow-origin": "*", "allow-methods": "GET, HEAD"}
    assert cors_of(raw.get(bucket, "nothing", headers).fails(404, "NoSuchKey")) == allowed
    assert cors_of(raw.head(bucket, "nothing", headers).ok(404)) == allowed
    assert cors_of(raw.get(bucket, "nothing", headers, sign=False).fails(403, "AccessDenied")) == allowed
    assert cors_of(raw.delete(bucket, "nothing", headers).ok(204)) == {}, "no rule lets DELETE in"


def test_an_answer_of_a_bucket_without_rules_has_no_cors_headers(raw, bucket):
    raw.put(bucket, "key", b"x", headers={"origin": ORIGIN}).ok()
    reply = raw.get(bucket, "key", {"origin": ORIGIN}).ok()
    assert (cors_of(reply), reply.headers.get("vary")) == ({}, None)
    assert cors_of(raw.request("GET", "/", headers={"origin": ORIGIN}).ok()) == {}


def test_the_log_calls_a_preflight_by_name(server, raw, bucket):
    reply = preflight(raw, f"/{bucket}/key")
    line = next(line for line in server.log_text().splitlines() if reply.headers["x-amz-request-id"] in line)
    assert "Preflight" in line
