"""The tags of a bucket, with boto3 and as raw requests."""

import pytest
from botocore.exceptions import ClientError


def tag_set(**tags):
    return {"TagSet": [{"Key": key, "Value": value} for key, value in tags.items()]}


def code_of(call, **arguments):
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    error = refused.value.response
    return error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"]


def test_the_tags_of_a_bucket_are_those_that_were_put_last(server, bucket):
    client = server.boto()
    assert code_of(client.get_bucket_tagging, Bucket=bucket) == (404, "NoSuchTagSet")
    client.put_bucket_tagging(Bucket=bucket, Tagging=tag_set(team="storage", Größe="1 < 2 & 3".replace("<", "+").replace("&", "=")))
    client.put_bucket_tagging(Bucket=bucket, Tagging=tag_set(team="keys", empty=""))
    assert client.get_bucket_tagging(Bucket=bucket)["TagSet"] == tag_set(team="keys", empty="")["TagSet"]
    client.delete_bucket_tagging(Bucket=bucket)
    client.delete_bucket_tagging(Bucket=bucket)
    assert code_of(client.get_bucket_tagging, Bucket=bucket) == (404, "NoSuchTagSet")


def test_tags_outlive_a_restart_and_not_their_bucket(new_server):
    server = new_server("")
    client = server.boto()
    client.create_bucket(Bucket="tagged")
    client.put_bucket_tagging(Bucket="tagged", Tagging=tag_set(team="storage"))
    server.restart()
    assert server.boto().get_bucket_tagging(Bucket="tagged")["TagSet"] == tag_set(team="storage")["TagSet"]
    server.boto().delete_bucket(Bucket="tagged")
    server.boto().create_bucket(Bucket="tagged")
    assert code_of(server.boto().get_bucket_tagging, Bucket="tagged") == (404, "NoSuchTagSet")


@pytest.mark.parametrize(
    "tags, code",
    [
        ({str(number): "" for number in range(51)}, "BadRequest"),
        ({"k" * 129: ""}, "InvalidTag"),
        ({"key": "v" * 257}, "InvalidTag"),
        ({"aws:key": ""}, "InvalidTag"),
        ({"key": "a;b"}, "InvalidTag"),
    ],
    ids=["51 tags", "a long key", "a long value", "a key of Amazon's", "a character"],
)
def test_a_tag_that_s3_does_not_allow_is_invalid_and_too_many_are_a_bad_request(server, bucket, tags, code):
    client = server.boto()
    client.put_bucket_tagging(Bucket=bucket, Tagging=tag_set(kept="yes"))
    assert code_of(client.put_bucket_tagging, Bucket=bucket, Tagging=tag_set(**tags)) == (400, code)
    assert client.get_bucket_tagging(Bucket=bucket)["TagSet"] == tag_set(kept="yes")["TagSet"]


def test_a_document_that_is_no_tagging_is_malformed(raw, bucket):
    for body in [b"", b"<Tagging/>", b"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>", b"<Tagging><TagSet>"]:
        raw.request("PUT", f"/{bucket}", query={"tagging": ""}, body=body).fails(400, "MalformedXML")
