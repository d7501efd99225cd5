"""The tags of objects, with boto3 and as raw requests."""

from urllib.parse import urlencode

import pytest
from botocore.exceptions import ClientError

from conftest import make_bucket
from harness import users
from harness.server import Server
from harness.sse import customer


@pytest.fixture
def client(server):
    return server.boto()


def tag_set(**tags):
    return {"TagSet": [{"Key": key, "Value": value} for key, value in tags.items()]}


def tags_of(client, bucket, key="key", **named):
    return {tag["Key"]: tag["Value"] for tag in client.get_object_tagging(Bucket=bucket, Key=key, **named)["TagSet"]}


def code_of(call, **arguments):
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    error = refused.value.response
    return error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"]


def test_tags_come_with_a_put_are_counted_replaced_and_removed(client, bucket):
    client.put_object(Bucket=bucket, Key="key", Body=b"data", Tagging="team=storage&a%20b=1%2B2&flag")
    assert tags_of(client, bucket) == {"team": "storage", "a b": "1+2", "flag": ""}
    before = client.head_object(Bucket=bucket, Key="key")
    assert before["TagCount"] == 3
    client.put_object_tagging(Bucket=bucket, Key="key", Tagging=tag_set(Größe="groß"))
    assert tags_of(client, bucket) == {"Größe": "groß"}
    after = client.get_object(Bucket=bucket, Key="key")
    assert (after["TagCount"], after["ETag"], after["LastModified"]) == (1, before["ETag"], before["LastModified"])
    assert after["Body"].read() == b"data"
    answer = client.delete_object_tagging(Bucket=bucket, Key="key")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert tags_of(client, bucket) == {}
    assert "TagCount" not in client.head_object(Bucket=bucket, Key="key")
    client.put_object_tagging(Bucket=bucket, Key="key", Tagging=tag_set(a="1"))
    client.put_object(Bucket=bucket, Key="key", Body=b"new")
    assert tags_of(client, bucket) == {}, "an overwrite keeps no tags"


def test_each_version_has_its_own_tags(client, bucket):
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    old = client.put_object(Bucket=bucket, Key="key", Body=b"old", Tagging="version=old")["VersionId"]
    new = client.put_object(Bucket=bucket, Key="key", Body=b"new")["VersionId"]
    answer = client.put_object_tagging(Bucket=bucket, Key="key", VersionId=old, Tagging=tag_set(version="older"))
    assert answer["VersionId"] == old
    assert tags_of(client, bucket, VersionId=old) == {"version": "older"}
    assert client.get_object_tagging(Bucket=bucket, Key="key")["VersionId"] == new
    assert tags_of(client, bucket) == {}
    assert client.delete_object_tagging(Bucket=bucket, Key="key", VersionId=old)["VersionId"] == old
    marker = client.delete_object(Bucket=bucket, Key="key")["VersionId"]
    assert code_of(client.get_object_tagging, Bucket=bucket, Key="key") == (404, "NoSuchKey")
    named = {"Bucket": bucket, "Key": "key", "VersionId": marker}
    assert code_of(client.put_object_tagging, **named, Tagging=tag_set(a="1")) == (405, "MethodNotAllowed")


def test_an_upload_in_parts_keeps_the_tags_that_it_began_with(client, bucket):
    upload = client.create_multipart_upload(Bucket=bucket, Key="key", Tagging="a=1&b=2")["UploadId"]
    etag = client.upload_part(Bucket=bucket, Key="key", UploadId=upload, PartNumber=1, Body=b"data")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    client.complete_multipart_upload(Bucket=bucket, Key="key", UploadId=upload, MultipartUpload=parts)
    assert tags_of(client, bucket) == {"a": "1", "b": "2"}


def test_a_copy_keeps_the_tags_or_takes_new_ones(client, bucket):
    client.put_object(Bucket=bucket, Key="key", Body=b"data", Tagging="a=1")
    source = {"Bucket": bucket, "Key": "key"}
    client.copy_object(Bucket=bucket, Key="kept", CopySource=source)
    assert tags_of(client, bucket, "kept") == {"a": "1"}
    client.copy_object(Bucket=bucket, Key="named", CopySource=source, TaggingDirective="COPY", Tagging="b=2")
    assert tags_of(client, bucket, "named") == {"a": "1"}
    client.copy_object(Bucket=bucket, Key="replaced", CopySource=source, TaggingDirective="REPLACE", Tagging="b=2")
    assert tags_of(client, bucket, "replaced") == {"b": "2"}
    client.copy_object(Bucket=bucket, Key="bare", CopySource=source, TaggingDirective="REPLACE")
    assert tags_of(client, bucket, "bare") == {}


def test_tags_are_changed_without_the_customers_key(server, raw, bucket):
    raw.request("PUT", f"/{bucket}/key", body=b"data", headers=customer()).ok()
    client = server.boto()
    client.put_object_tagging(Bucket=bucket, Key="key", Tagging=tag_set(a="1"))
    assert tags_of(client, bucket) == {"a": "1"}
    assert raw.request("GET", f"/{bucket}/key", headers=customer()).ok().body == b"data"


@pytest.mark.parametrize(
    "tags, code",
    [
        ({str(number): "" for number in range(11)}, "BadRequest"),
        ({"k" * 129: ""}, "InvalidTag"),
        ({"key": "v" * 257}, "InvalidTag"),
        ({"aws:key": ""}, "InvalidTag"),
        ({"key": "a;b"}, "InvalidTag"),
    ],
    ids=["11 tags", "a long key", "a long value", "a key of Amazon's", "a character"],
)
def test_a_tag_that_s3_does_not_allow_is_invalid_and_too_many_are_a_bad_request(client, bucket, tags, code):
    client.put_object(Bucket=bucket, Key="key", Body=b"data", Tagging="kept=yes")
    assert code_of(client.put_object_tagging, Bucket=bucket, Key="key", Tagging=tag_set(**tags)) == (400, code)
    header = urlencode(tags)
    assert code_of(client.put_object, Bucket=bucket, Key="key", Body=b"new", Tagging=header) == (400, code)
    assert code_of(client.create_multipart_upload, Bucket=bucket, Key="key", Tagging=header) == (400, code)
    source = {"Bucket": bucket, "Key": "key"}
    copy = {"CopySource": source, "TaggingDirective": "REPLACE", "Tagging": header}
    assert code_of(client.copy_object, Bucket=bucket, Key="copy", **copy) == (400, code)
    assert (tags_of(client, bucket), client.get_object(Bucket=bucket, Key="key")["Body"].read()) == ({"kept": "yes"}, b"data")


def test_a_header_that_gives_a_tag_twice_is_refused(raw, bucket):
    raw.request("PUT", f"/{bucket}/key", headers={"x-amz-tagging": "a=1&a=2"}).fails(400, "InvalidTag")
    raw.request("PUT", f"/{bucket}/key", headers={"x-amz-tagging": "a=%ff"}).fails(400, "InvalidArgument")
    raw.request("GET", f"/{bucket}/key").fails(404, "NoSuchKey")


# ---- rights

USERS = {
    "writer": ["s3:PutObject", "s3:GetObject", "s3:ListBucket"],
    "tagger": ["s3:PutObject", "s3:GetObject", "s3:ListBucket", "s3:PutObjectTagging", "s3:GetObjectTagging"],
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    config = users.config({name: users.allowing(actions) for name, actions in USERS.items()})
    server = Server(tmp_path_factory.mktemp("guarded") / "home", config=config).start()
    yield server
    server.remove()


def test_tags_take_rights_of_their_own(guarded):
    bucket = make_bucket(guarded)
    guarded.boto().put_object(Bucket=bucket, Key="key", Body=b"data", Tagging="a=1")
    writer, tagger = (guarded.boto(*users.keys(name)) for name in USERS)
    denied = (403, "AccessDenied")
    source = {"Bucket": bucket, "Key": "key"}
    assert code_of(writer.get_object_tagging, **source) == denied
    assert code_of(writer.put_object_tagging, **source, Tagging=tag_set(b="2")) == denied
    assert code_of(writer.delete_object_tagging, **source) == denied
    assert code_of(writer.put_object, Bucket=bucket, Key="other", Body=b"data", Tagging="b=2") == denied
    assert code_of(writer.put_object, Bucket=bucket, Key="other", Body=b"data", Tagging="false") == denied, "it is a tag as any other"
    assert code_of(writer.copy_object, Bucket=bucket, Key="copy", CopySource=source) == denied, "the copy would have tags"
    assert "TagCount" not in writer.head_object(**source)
    writer.copy_object(Bucket=bucket, Key="copy", CopySource=source, TaggingDirective="REPLACE")
    writer.copy_object(Bucket=bucket, Key="copy of copy", CopySource={"Bucket": bucket, "Key": "copy"})
    assert tagger.head_object(**source)["TagCount"] == 1
    tagger.copy_object(Bucket=bucket, Key="copy", CopySource=source)
    assert tags_of(tagger, bucket, "copy") == {"a": "1"}
    assert code_of(tagger.delete_object_tagging, **source) == denied
