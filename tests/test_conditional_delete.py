"""Deletes on condition of ETag, size and date, with boto3 and to the letter."""

import datetime
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from harness.checksums import value
from harness.sse import ENCRYPTED

LONG_AGO = datetime.datetime(2015, 1, 1, tzinfo=datetime.UTC)
FAILED = (412, "PreconditionFailed")
OF_MANY = {"IfMatch": "ETag", "IfMatchSize": "Size", "IfMatchLastModifiedTime": "LastModifiedTime"}


class One:
    """DeleteObject."""

    def __init__(self, s3, bucket):
        self.s3, self.bucket = s3, bucket

    def __call__(self, version=None, **condition):
        named = {"VersionId": version} if version else {}
        answer = self.s3.delete_object(Bucket=self.bucket, Key="object", **named, **condition)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
        return {name: answer.get(name) for name in ("DeleteMarker", "VersionId")}

    def fails(self, version=None, **condition):
        with pytest.raises(ClientError) as error:
            self(version, **condition)
        response = error.value.response
        assert (response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]) == FAILED, condition


class Many(One):
    """DeleteObjects, of one key."""

    def _ask(self, version, condition):
        identifier = {"Key": "object"} | ({"VersionId": version} if version else {})
        identifier |= {OF_MANY[name]: stated for name, stated in condition.items()}
        return self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": [identifier]})

    def __call__(self, version=None, **condition):
        answer = self._ask(version, condition)
        assert "Errors" not in answer
        (deleted,) = answer["Deleted"]
        assert deleted["Key"] == "object"
        return {"DeleteMarker": deleted.get("DeleteMarker"), "VersionId": deleted.get("DeleteMarkerVersionId", deleted.get("VersionId"))}

    def fails(self, version=None, **condition):
        answer = self._ask(version, condition)
        assert "Deleted" not in answer
        assert [(error["Key"], error["Code"]) for error in answer["Errors"]] == [("object", "PreconditionFailed")]


@pytest.fixture(params=[One, Many], ids=["DeleteObject", "DeleteObjects"])
def delete(request, s3, bucket):
    return request.param(s3, bucket)


@pytest.fixture
def versioned(s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket


def facts(s3, bucket, **version):
    """The three things that a delete may state, as they are."""
    head = s3.head_object(Bucket=bucket, Key="object", **version)
    return {"IfMatch": head["ETag"], "IfMatchSize": head["ContentLength"], "IfMatchLastModifiedTime": head["LastModified"]}


WRONG = [{"IfMatch": "nope"}, {"IfMatchSize": 9999}, {"IfMatchSize": 0}, {"IfMatchLastModifiedTime": LONG_AGO}]


def is_there(s3, bucket):
    return "Contents" in s3.list_objects_v2(Bucket=bucket)


@pytest.mark.parametrize("names", [["IfMatch"], ["IfMatchSize"], ["IfMatchLastModifiedTime"], list(OF_MANY)], ids="+".join)
@pytest.mark.parametrize("mode", ENCRYPTED, ids=str)
def test_an_object_is_deleted_only_where_it_is_as_stated(s3, raw, bucket, delete, names, mode):
    raw.put(bucket, "object", b"body", mode.write).ok()
    head = raw.head(bucket, "object", mode.read).ok().headers
    modified = datetime.datetime.strptime(head["last-modified"], "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=datetime.UTC)
    right = {"IfMatch": head["etag"], "IfMatchSize": 4, "IfMatchLastModifiedTime": modified}
    right = {name: right[name] for name in names}
    for wrong in WRONG:
        delete.fails(**wrong)
        delete.fails(**right | wrong)
    assert is_there(s3, bucket)
    assert delete(**right) == {"DeleteMarker": None, "VersionId": None}
    assert not is_there(s3, bucket)


def test_what_is_not_there_is_compared_with_nothing(s3, bucket, delete):
    for condition in [{"IfMatch": "*"}, *WRONG]:
        assert delete(**condition) == {"DeleteMarker": None, "VersionId": None}
    s3.put_object(Bucket=bucket, Key="object", Body=b"body")
    delete(IfMatch="*")
    assert not is_there(s3, bucket)


def test_a_delete_without_a_version_is_about_the_latest(s3, versioned, delete):
    for condition in [{"IfMatch": "*"}, *WRONG]:
        delete(**condition)
    assert "DeleteMarkers" not in s3.list_object_versions(Bucket=versioned)
    old = s3.put_object(Bucket=versioned, Key="object", Body=b"old")
    s3.put_object(Bucket=versioned, Key="object", Body=b"newer")
    delete.fails(IfMatch=old["ETag"])
    delete.fails(IfMatchSize=3)
    assert delete(**facts(s3, versioned))["DeleteMarker"] is True
    # The latest is a delete marker now, which has no ETag and no size.
    for wrong in [{"IfMatch": old["ETag"]}, *WRONG]:
        delete.fails(**wrong)
    assert delete(IfMatch="*")["DeleteMarker"] is True
    assert len(s3.list_object_versions(Bucket=versioned)["DeleteMarkers"]) == 2
    assert len(s3.list_object_versions(Bucket=versioned)["Versions"]) == 2


def test_a_delete_of_a_version_is_about_that_version(s3, versioned, delete):
    old = s3.put_object(Bucket=versioned, Key="object", Body=b"old")["VersionId"]
    new = s3.put_object(Bucket=versioned, Key="object", Body=b"newer")["VersionId"]
    right = facts(s3, versioned, VersionId=old)
    for wrong in [*WRONG, {"IfMatch": facts(s3, versioned)["IfMatch"]}, {"IfMatchSize": 5}]:
        delete.fails(old, **wrong)
    assert delete(old, **right) == {"DeleteMarker": None, "VersionId": old}
    assert delete(old, IfMatch="nope")["DeleteMarker"] is None, "it is gone"
    assert s3.get_object(Bucket=versioned, Key="object")["Body"].read() == b"newer"
    delete(new, IfMatch="*")
    assert "Versions" not in s3.list_object_versions(Bucket=versioned)


def test_a_delete_marker_is_deleted_by_its_date(s3, versioned, delete):
    s3.put_object(Bucket=versioned, Key="object", Body=b"")
    marker = s3.delete_object(Bucket=versioned, Key="object")["VersionId"]
    (listed,) = s3.list_object_versions(Bucket=versioned)["DeleteMarkers"]
    for wrong in [{"IfMatchSize": 0}, {"IfMatchLastModifiedTime": LONG_AGO}]:
        delete.fails(marker, **wrong)
    assert delete(marker, IfMatchLastModifiedTime=listed["LastModified"]) == {"DeleteMarker": True, "VersionId": marker}
    assert s3.get_object(Bucket=versioned, Key="object")["Body"].read() == b""


@pytest.mark.parametrize(
    ("name", "stated"),
    [
        ("x-amz-if-match-size", ""),
        ("x-amz-if-match-size", "-1"),
        ("x-amz-if-match-size", "four"),
        ("x-amz-if-match-last-modified-time", ""),
        ("x-amz-if-match-last-modified-time", "2015-01-01"),
    ],
)
def test_a_condition_that_makes_no_sense_is_refused_and_not_passed_over(raw, bucket, name, stated):
    raw.put(bucket, "object", b"body").ok()
    reply = raw.delete(bucket, "object", {name: stated}).fails(400, "InvalidArgument")
    assert reply.message == f"Value for {name} header is invalid."
    raw.delete(bucket, "object", {"if-none-match": "*"}).fails(501, "NotImplemented")
    assert raw.get(bucket, "object").ok().body == b"body"


@pytest.mark.parametrize("condition", ["<Size>-1</Size>", "<Size/>", "<LastModifiedTime>soon</LastModifiedTime>"])
def test_a_list_with_a_condition_that_makes_no_sense_deletes_nothing(raw, bucket, condition):
    for key in ("object", "other"):
        raw.put(bucket, key, b"body").ok()
    xml = f"<Delete><Object><Key>other</Key></Object><Object><Key>object</Key>{condition}</Object></Delete>".encode()
    headers = {"x-amz-checksum-crc32": value("CRC32", xml)}
    raw.request("POST", f"/{bucket}", query={"delete": ""}, body=xml, headers=headers).fails(400, "MalformedXML")
    for key in ("object", "other"):
        raw.get(bucket, key).ok()


def test_each_key_of_a_list_has_its_own_condition(s3, bucket):
    for key in ("a", "b", "c"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode() * 3)
    objects = [{"Key": "a", "Size": 3}, {"Key": "b", "Size": 4}, {"Key": "c", "ETag": "nope"}, {"Key": "d", "Size": 1}]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})
    assert [deleted["Key"] for deleted in answer["Deleted"]] == ["a", "d"]
    assert [(error["Key"], error["Code"]) for error in answer["Errors"]] == [("b", "PreconditionFailed"), ("c", "PreconditionFailed")]
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["b", "c"]


def test_of_many_deletes_and_writes_over_one_etag_one_wins(server, raw, bucket):
    """Whoever wins has decided on what was there: a write that won is never taken away by a delete that compared with what it replaced."""
    for _ in range(10):
        etag = raw.put(bucket, "object", b"start").ok().etag

        def act(number, etag=etag):
            client, headers = server.raw(), {"if-match": f'"{etag}"'}
            return client.delete(bucket, "object", headers) if number % 2 else client.put(bucket, "object", f"writer {number}".encode(), headers)

        with ThreadPoolExecutor(8) as pool:
            replies = list(pool.map(act, range(8)))
        wrote = [number for number in range(0, 8, 2) if replies[number].status == 200]
        assert len(wrote) <= 1
        for number, reply in enumerate(replies):
            # A delete that finds nothing has nothing to compare; a write finds no key.
            assert reply.status in ((204, 412, 409) if number % 2 else (200, 412, 409, 404)), (number, reply.status, reply.code)
        if wrote:
            assert raw.get(bucket, "object").ok().body == f"writer {wrote[0]}".encode()
        else:
            raw.get(bucket, "object").fails(404, "NoSuchKey")
