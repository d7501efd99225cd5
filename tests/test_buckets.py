"""CreateBucket, HeadBucket, GetBucketLocation, DeleteBucket, and what is not implemented."""

import pytest

from harness import sigv4


def test_a_bucket_made_again_stays_as_it_is(raw, bucket):
    """As in Amazon's region us-east-1, its owner gets no error."""
    raw.put(bucket, "object", b"x").ok()
    raw.request("PUT", f"/{bucket}").ok()
    assert raw.get(bucket, "object").ok().body == b"x"
    raw.request("HEAD", f"/{bucket}").ok()
    raw.request("HEAD", "/never-made-bucket").ok(404)


def test_a_bucket_made_again_with_another_region_is_the_owner_s_already(raw, bucket):
    def create(region):
        document = f"<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
        return raw.request("PUT", f"/{bucket}", body=document.encode())

    create("us-east-1").ok()
    create("eu-central-1").fails(409, "BucketAlreadyOwnedByYou")


@pytest.mark.parametrize(
    "name", ["ab", "a" * 64, "UPPER", "has_underscore", "-dash", "dash-", "two..dots", "192.168.5.4", "xn--puny", "minio", "rustfs", "strongroom"]
)
def test_a_name_that_breaks_the_rules_or_is_reserved_is_invalid(raw, name):
    raw.request("PUT", f"/{name}").fails(400, "InvalidBucketName")


def test_a_bucket_with_objects_is_not_deleted(raw, bucket):
    raw.put(bucket, "object").ok()
    raw.request("DELETE", f"/{bucket}").fails(409, "BucketNotEmpty")
    raw.delete(bucket, "object").ok(204)
    raw.request("DELETE", f"/{bucket}").ok(204)
    raw.request("DELETE", f"/{bucket}").fails(404, "NoSuchBucket")
    reply = raw.put(bucket, "object").fails(404, "NoSuchBucket")
    assert reply.message == "The specified bucket does not exist"


def test_a_bucket_with_an_unfinished_upload_only_is_deleted(raw, bucket):
    upload = raw.begin_upload(bucket, "object")
    raw.upload_part(bucket, "object", upload, 1, b"x").ok()
    raw.request("DELETE", f"/{bucket}").ok(204)
    raw.request("PUT", f"/{bucket}").ok()
    raw.upload_part(bucket, "object", upload, 1, b"x").fails(404, "NoSuchUpload")


def test_the_location_is_the_one_the_bucket_was_made_with(server, raw, bucket):
    assert (raw.request("GET", f"/{bucket}", query={"location": ""}).ok().xml().text or "") == ""
    xml = b'<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>eu-central-1</LocationConstraint></CreateBucketConfiguration>'
    raw.request("PUT", f"/{bucket}-eu", body=xml).ok()
    assert server.boto().get_bucket_location(Bucket=f"{bucket}-eu")["LocationConstraint"] == "eu-central-1"
    raw.request("PUT", f"/{bucket}-bad", body=b"<Create").fails(400, "MalformedXML")


def test_a_location_of_a_bucket_that_is_not_there_is_no_such_bucket(raw):
    """What `mc alias set` asks first."""
    raw.request("GET", "/never-made-bucket/", query={"location": ""}).fails(404, "NoSuchBucket")


@pytest.mark.parametrize(
    "query", ["replication", "website", "logging", "inventory"]
)
def test_what_is_not_there_yet_is_not_implemented_in_s3_s_xml(raw, bucket, query):
    reply = raw.request("PUT", f"/{bucket}", query={query: ""}, body=b"<x/>")
    reply.fails(501, "NotImplemented")
    assert reply.headers["content-type"] == "application/xml"
    assert reply.xml().findtext("RequestId") == reply.headers["x-amz-request-id"]


def test_every_answer_has_a_request_id_that_the_log_knows(server, raw, bucket):
    replies = [
        raw.put(bucket, "object", b"x"),
        raw.get(bucket, "object"),
        raw.get(bucket, "nothing"),
        raw.head(bucket, "nothing"),
        raw.delete(bucket, "object"),
    ]
    ids = [reply.headers["x-amz-request-id"] for reply in replies]
    assert len(set(ids)) == len(ids)
    log = server.log_text()
    assert [one for one in ids if one not in log] == []
    assert raw.get(bucket, "nothing").xml().findtext("Resource") == f"/{bucket}/nothing"


@pytest.mark.parametrize("spoil", ["secret", "access", "unsigned"])
def test_a_request_that_nobody_signed_rightly_is_refused(server, bucket, spoil):
    server.raw().put(bucket, "object", b"x").ok()
    if spoil == "secret":
        server.raw(secret_key="wrong" * 8).get(bucket, "object").fails(403, "SignatureDoesNotMatch")
        server.raw(secret_key="wrong" * 8).put(bucket, "object", b"other").fails(403, "SignatureDoesNotMatch")
    elif spoil == "access":
        server.raw(access_key="AKNOBODY").get(bucket, "object").fails(403, "InvalidAccessKeyId")
    else:
        server.raw().get(bucket, "object", sign=False).fails(403, "AccessDenied")
        server.raw().put(bucket, "object", b"other", sign=False).fails(403, "AccessDenied")
    assert server.raw().get(bucket, "object").ok().body == b"x"


def test_a_body_that_was_not_signed_stores_nothing(raw, bucket):
    raw.put(bucket, "object", b"altered", payload="0" * 64).fails(400, "XAmzContentSHA256Mismatch")
    raw.get(bucket, "object").fails(404, "NoSuchKey")


def test_a_signature_for_what_is_no_region_is_told_the_right_one(raw, bucket, monkeypatch):
    """s3cmd signs a CreateBucket for the region "US", reads the answer and signs again."""
    monkeypatch.setattr(sigv4, "REGION", "US")
    reply = raw.request("PUT", f"/{bucket}-us").fails(400, "AuthorizationHeaderMalformed")
    assert reply.xml().findtext("Region") == "us-east-1"


def test_a_client_set_up_for_another_region_is_served(raw, bucket, monkeypatch):
    monkeypatch.setattr(sigv4, "REGION", "eu-central-1")
    raw.put(bucket, "object", b"data").ok()
    assert raw.get(bucket, "object").ok().body == b"data"
