"""Versions of objects, with boto3: what S3 answers while a bucket is versioned, suspended, or neither."""

import os

import pytest
from botocore.exceptions import ClientError


@pytest.fixture
def client(server):
    return server.boto()


@pytest.fixture
def versioned(client, bucket):
    set_versioning(client, bucket, "Enabled")
    return bucket


def set_versioning(client, bucket, status):
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})


def put(client, bucket, key, body, **arguments):
    return client.put_object(Bucket=bucket, Key=key, Body=body, **arguments).get("VersionId")


def get(client, bucket, key, **arguments):
    return client.get_object(Bucket=bucket, Key=key, **arguments)["Body"].read()


def refused(call, **arguments):
    with pytest.raises(ClientError) as error:
        call(**arguments)
    response = error.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"], response["ResponseMetadata"]["HTTPHeaders"]


def listed(client, bucket, **arguments):
    """All versions and delete markers as (key, id, latest, marker), page by page."""
    pages = client.get_paginator("list_object_versions").paginate(Bucket=bucket, **arguments)
    found = []
    for page in pages:
        entries = [(entry, False) for entry in page.get("Versions", [])] + [(entry, True) for entry in page.get("DeleteMarkers", [])]
        found += [(entry["Key"], entry["VersionId"], entry["IsLatest"], marker) for entry, marker in entries]
    return found


def customer(number):
    """A customer key; boto3 adds its MD5."""
    return {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": str(number) * 32}


def test_a_forced_deletion_of_all_versions_is_refused_and_deletes_nothing(client, raw, versioned):
    first, second = put(client, versioned, "key", b"first"), put(client, versioned, "key", b"second")
    raw.delete(versioned, "key", {"x-minio-force-delete": "true"}).fails(501, "NotImplemented")
    assert listed(client, versioned) == [("key", second, True, False), ("key", first, False, False)]


def test_versioning_is_said_only_where_it_was_set(client, bucket):
    assert "Status" not in client.get_bucket_versioning(Bucket=bucket)
    assert put(client, bucket, "key", b"data") is None
    for status in ("Enabled", "Suspended", "Enabled"):
        set_versioning(client, bucket, status)
        assert client.get_bucket_versioning(Bucket=bucket)["Status"] == status


def test_a_configuration_without_status_or_with_mfa_delete_is_refused(raw, bucket):
    def ask(content):
        return raw.request("PUT", f"/{bucket}", query={"versioning": ""}, body=f"<VersioningConfiguration>{content}</VersioningConfiguration>".encode())

    ask("").fails(400, "IllegalVersioningConfigurationException")
    ask("<Status>On</Status>").fails(400, "MalformedXML")
    ask("<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>").fails(501, "NotImplemented")
    assert raw.request("GET", f"/{bucket}", query={"versioning": ""}).ok().xml().find("Status") is None


def test_each_write_is_a_version_of_its_own(client, versioned):
    first, second = put(client, versioned, "key", b"first"), put(client, versioned, "key", b"second")
    assert first != second and "null" not in (first, second)
    reply = client.get_object(Bucket=versioned, Key="key")
    assert (reply["Body"].read(), reply["VersionId"]) == (b"second", second)
    reply = client.get_object(Bucket=versioned, Key="key", VersionId=first)
    assert (reply["Body"].read(), reply["VersionId"]) == (b"first", first)
    assert client.head_object(Bucket=versioned, Key="key", VersionId=first)["ContentLength"] == 5
    assert client.get_object_attributes(Bucket=versioned, Key="key", VersionId=first, ObjectAttributes=["ObjectSize"])["VersionId"] == first
    assert listed(client, versioned) == [("key", second, True, False), ("key", first, False, False)]
    assert refused(client.get_object, Bucket=versioned, Key="key", VersionId="0" * 32)[:2] == (404, "NoSuchVersion")
    assert refused(client.get_object, Bucket=versioned, Key="key", VersionId="no id")[:2] == (400, "InvalidArgument")


def test_a_deleted_key_is_missing_and_its_versions_are_not(client, versioned):
    version = put(client, versioned, "key", b"data")
    deleted = client.delete_object(Bucket=versioned, Key="key")
    marker = deleted["VersionId"]
    assert deleted["DeleteMarker"] is True
    for call in (client.get_object, client.head_object):
        status, _, headers = refused(call, Bucket=versioned, Key="key")
        assert (status, headers["x-amz-delete-marker"], headers["x-amz-version-id"]) == (404, "true", marker)
        status, _, headers = refused(call, Bucket=versioned, Key="key", VersionId=marker)
        assert (status, headers["x-amz-delete-marker"]) == (405, "true")
        assert "last-modified" in headers
    assert get(client, versioned, "key", VersionId=version) == b"data"
    assert "Contents" not in client.list_objects_v2(Bucket=versioned)
    assert listed(client, versioned) == [("key", version, False, False), ("key", marker, True, True)]
    assert refused(client.delete_bucket, Bucket=versioned)[:2] == (409, "BucketNotEmpty")
    # Without its marker the key is back.
    undeleted = client.delete_object(Bucket=versioned, Key="key", VersionId=marker)
    assert (undeleted["DeleteMarker"], undeleted["VersionId"]) == (True, marker)
    assert get(client, versioned, "key") == b"data"
    gone = client.delete_object(Bucket=versioned, Key="key", VersionId=version)
    assert (gone.get("DeleteMarker"), gone["VersionId"]) == (None, version)
    client.delete_bucket(Bucket=versioned)


def test_each_version_has_an_acl_and_a_delete_marker_has_none(client, versioned):
    first, _ = put(client, versioned, "key", b"first"), put(client, versioned, "key", b"second", **customer(1))
    marker = client.delete_object(Bucket=versioned, Key="key")["VersionId"]
    [grant] = client.get_object_acl(Bucket=versioned, Key="key", VersionId=first)["Grants"]
    assert grant["Permission"] == "FULL_CONTROL"
    status, code, headers = refused(client.get_object_acl, Bucket=versioned, Key="key")
    assert (status, code, headers["x-amz-delete-marker"]) == (404, "NoSuchKey", "true")
    assert refused(client.get_object_acl, Bucket=versioned, Key="key", VersionId=marker)[:2] == (405, "MethodNotAllowed")
    assert refused(client.get_object_acl, Bucket=versioned, Key="key", VersionId="0" * 32)[:2] == (404, "NoSuchVersion")
    assert refused(client.get_object_acl, Bucket=versioned, Key="key", VersionId="no id")[:2] == (400, "InvalidArgument")
    client.delete_object(Bucket=versioned, Key="key", VersionId=marker)
    assert client.get_object_acl(Bucket=versioned, Key="key")["Grants"] == [grant]


def test_what_was_there_before_versioning_is_the_null_version(client, bucket):
    put(client, bucket, "key", b"before")
    set_versioning(client, bucket, "Enabled")
    version = put(client, bucket, "key", b"while")
    assert get(client, bucket, "key", VersionId="null") == b"before"
    set_versioning(client, bucket, "Suspended")
    assert put(client, bucket, "key", b"after") == "null"
    assert get(client, bucket, "key", VersionId="null") == b"after"
    assert listed(client, bucket) == [("key", "null", True, False), ("key", version, False, False)]
    deleted = client.delete_object(Bucket=bucket, Key="key")
    assert (deleted["DeleteMarker"], deleted["VersionId"]) == (True, "null")
    assert listed(client, bucket) == [("key", version, False, False), ("key", "null", True, True)]
    client.delete_object(Bucket=bucket, Key="key", VersionId="null")
    assert get(client, bucket, "key") == b"while"


def test_a_version_is_restored_by_a_copy_of_itself(client, versioned):
    first = put(client, versioned, "key", b"first", Metadata={"of": "first"})
    put(client, versioned, "key", b"second")
    client.delete_object(Bucket=versioned, Key="key")
    copied = client.copy_object(Bucket=versioned, Key="key", CopySource={"Bucket": versioned, "Key": "key", "VersionId": first})
    assert copied["CopySourceVersionId"] == first and copied["VersionId"] not in (first, "null")
    reply = client.get_object(Bucket=versioned, Key="key")
    assert (reply["Body"].read(), reply["Metadata"], reply["VersionId"]) == (b"first", {"of": "first"}, copied["VersionId"])
    [marker] = [version for _, version, _, is_marker in listed(client, versioned) if is_marker]
    source = {"Bucket": versioned, "Key": "key", "VersionId": marker}
    assert refused(client.copy_object, Bucket=versioned, Key="other", CopySource=source)[:2] == (400, "InvalidRequest")


def test_each_version_has_its_own_mode_and_key(client, versioned):
    data = {number: os.urandom(200_000) for number in range(5)}
    modes = [{}, {"ServerSideEncryption": "aws:kms"}, customer(1), customer(2), {"ServerSideEncryption": "aws:kms:dsse"}]
    ids = [put(client, versioned, "key", data[number], **mode) for number, mode in enumerate(modes)]
    for number, (version, mode) in enumerate(zip(ids, modes)):
        secret = mode if "SSECustomerKey" in mode else {}
        assert get(client, versioned, "key", VersionId=version, **secret) == data[number]
    assert refused(client.get_object, Bucket=versioned, Key="key", VersionId=ids[2], **customer(2))[:2] == (403, "AccessDenied")
    assert refused(client.get_object, Bucket=versioned, Key="key", VersionId=ids[3])[:2] == (400, "InvalidRequest")
    # The key of one version is rotated by a copy of it onto itself; the others stay.
    source = {f"CopySource{name}": value for name, value in customer(1).items()}
    named = {"Bucket": versioned, "Key": "key", "VersionId": ids[2]}
    rotated = client.copy_object(Bucket=versioned, Key="key", CopySource=named, **source, **customer(3))["VersionId"]
    assert get(client, versioned, "key", **customer(3)) == data[2]
    assert get(client, versioned, "key", VersionId=rotated, **customer(3)) == data[2]
    assert get(client, versioned, "key", VersionId=ids[2], **customer(1)) == data[2]


def test_an_upload_in_parts_is_a_version(client, versioned):
    first = put(client, versioned, "key", b"first")
    upload = client.create_multipart_upload(Bucket=versioned, Key="key")["UploadId"]
    part = client.upload_part(Bucket=versioned, Key="key", UploadId=upload, PartNumber=1, Body=b"part")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    version = client.complete_multipart_upload(Bucket=versioned, Key="key", UploadId=upload, MultipartUpload=parts)["VersionId"]
    again = client.complete_multipart_upload(Bucket=versioned, Key="key", UploadId=upload, MultipartUpload=parts)["VersionId"]
    assert again == version
    assert listed(client, versioned) == [("key", version, True, False), ("key", first, False, False)]


def test_many_are_deleted_by_key_and_by_version_in_one_request(client, versioned):
    first, second = put(client, versioned, "a", b"1"), put(client, versioned, "a", b"2")
    other = put(client, versioned, "b", b"3")
    objects = [{"Key": "a", "VersionId": first}, {"Key": "b"}, {"Key": "none"}, {"Key": "a", "VersionId": "0" * 32}]
    deleted = client.delete_objects(Bucket=versioned, Delete={"Objects": objects})
    assert "Errors" not in deleted
    by_key = {(entry["Key"], entry.get("VersionId")): entry for entry in deleted["Deleted"]}
    assert "DeleteMarker" not in by_key["a", first]
    assert by_key["b", None]["DeleteMarker"] is True and by_key["none", None]["DeleteMarker"] is True
    rest = {(key, version) for key, version, _, marker in listed(client, versioned) if not marker}
    assert rest == {("a", second), ("b", other)}


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_a_listing_of_versions_gives_each_once_whatever_the_pages(client, versioned, size):
    expected = []
    for key in ("a/1", "a/2", "b", "c/x/1", "é"):
        ids = [put(client, versioned, key, bytes([number])) for number in range(3)]
        marker = client.delete_object(Bucket=versioned, Key=key)["VersionId"] if key in ("a/2", "b") else None
        expected += [(key, version, marker is None and version == ids[-1], False) for version in reversed(ids)]
        expected += [(key, marker, True, True)] if marker else []
    paging = {"PaginationConfig": {"PageSize": size}}
    found = listed(client, versioned, **paging)
    assert sorted(found) == sorted(expected) and len(found) == len(set(found))
    of_key = [version for key, version, _, marker in found if key == "a/1" and not marker]
    assert of_key == [version for key, version, _, marker in expected if key == "a/1" and not marker], "the newest comes first"
    assert {key for key, *_ in listed(client, versioned, Prefix="a/", **paging)} == {"a/1", "a/2"}
    pages = client.get_paginator("list_object_versions").paginate(Bucket=versioned, Delimiter="/", **paging)
    prefixes = [entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", [])]
    assert prefixes == ["a/", "c/"]


def test_a_listing_goes_on_behind_a_version_that_is_named(client, versioned):
    ids = [put(client, versioned, "key", b"") for _ in range(4)]
    put(client, versioned, "later", b"")

    def behind(version):
        page = client.list_object_versions(Bucket=versioned, KeyMarker="key", VersionIdMarker=version)
        return [(entry["Key"], entry["VersionId"]) for entry in page["Versions"] if entry["Key"] == "key"]

    assert behind(ids[2]) == [("key", ids[1]), ("key", ids[0])]
    assert behind(ids[0]) == []
    page = client.list_object_versions(Bucket=versioned, KeyMarker="key")
    assert [entry["Key"] for entry in page["Versions"]] == ["later"]
    assert refused(client.list_object_versions, Bucket=versioned, VersionIdMarker=ids[0])[:2] == (400, "InvalidArgument")


def test_versions_outlive_a_kill(new_server):
    server = new_server("")
    client = server.boto()
    client.create_bucket(Bucket="versions")
    set_versioning(client, "versions", "Enabled")
    ids = [put(client, "versions", "key", bytes([number]) * 200_000) for number in range(3)]
    client.delete_object(Bucket="versions", Key="key")
    server.kill()
    server.start()
    client = server.boto()
    assert [version for _, version, _, marker in listed(client, "versions") if not marker] == ids[::-1]
    for number, version in enumerate(ids):
        assert get(client, "versions", "key", VersionId=version) == bytes([number]) * 200_000
