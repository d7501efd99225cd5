"""The KMS keys of versions: what depends on a key counts noncurrent versions too, a re-key reaches each of them, and a lost key takes just those that it wrapped."""

import pytest
from botocore.exceptions import ClientError

from harness.admin import Admin, Kms
from harness.sse import KMS_KEY_ID, SSE


@pytest.fixture
def admin(server):
    return Admin(server)


@pytest.fixture
def client(server):
    return server.boto()


@pytest.fixture
def versioned(client, bucket):
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket


def put(client, bucket, key, body, kms_key):
    return client.put_object(Bucket=bucket, Key=key, Body=body, ServerSideEncryption="aws:kms", SSEKMSKeyId=kms_key)["VersionId"]


def get(client, bucket, key, version=None):
    reply = client.get_object(Bucket=bucket, Key=key, **({"VersionId": version} if version else {}))
    return reply["Body"].read(), reply["SSEKMSKeyId"]


def refused(call, **arguments):
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return error.value.response["ResponseMetadata"]["HTTPStatusCode"], error.value.response["Error"]["Code"]


def counted(admin, key):
    usage = admin.usage(key)
    return usage["objects"], usage["bytes"]


def test_usage_counts_every_version_and_no_delete_marker(server, client, admin, versioned, tmp_path):
    kms, key, other = Kms(server, tmp_path), admin.create_key(), admin.create_key()
    first = put(client, versioned, "object", b"1", key)
    put(client, versioned, "object", b"22", key)
    put(client, versioned, "object", b"333", other)
    put(client, versioned, "deleted", b"4444", key)
    marker = client.delete_object(Bucket=versioned, Key="deleted")["VersionId"]
    assert (counted(admin, key), counted(admin, other)) == ((3, 7), (1, 3))
    from_shell = kms.json(f"key usage {key}")
    assert (from_shell["objects"], from_shell["bytes"]) == (3, 7)
    [of_version] = from_shell["versions"]
    assert of_version["version"] == 1
    assert [(row["bucket"], row["objects"], row["bytes"]) for row in of_version["buckets"]] == [(versioned, 3, 7)]
    client.delete_object(Bucket=versioned, Key="deleted", VersionId=marker)
    assert counted(admin, key) == (3, 7), "a marker never counted"
    client.delete_object(Bucket=versioned, Key="object", VersionId=first)
    assert counted(admin, key) == (2, 6)
    client.copy_object(Bucket=versioned, Key="object", CopySource={"Bucket": versioned, "Key": "deleted"}, ServerSideEncryption="aws:kms", SSEKMSKeyId=other)
    assert (counted(admin, key), counted(admin, other)) == ((2, 6), (2, 7))


def test_a_null_version_that_is_replaced_counts_no_more(client, admin, bucket):
    key, other = admin.create_key(), admin.create_key()
    under = {"ServerSideEncryption": "aws:kms"}
    client.put_object(Bucket=bucket, Key="object", Body=b"1", SSEKMSKeyId=key, **under)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    put(client, bucket, "object", b"22", key)
    assert counted(admin, key) == (2, 3)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    client.put_object(Bucket=bucket, Key="object", Body=b"333", SSEKMSKeyId=other, **under)
    assert (counted(admin, key), counted(admin, other)) == ((1, 2), (1, 3))
    client.delete_object(Bucket=bucket, Key="object")
    assert (counted(admin, key), counted(admin, other)) == ((1, 2), (0, 0)), "its marker took the place of the null version"


def test_a_key_s_deletion_says_that_noncurrent_versions_are_lost_and_takes_just_those(client, admin, versioned):
    key, other = admin.create_key(), admin.create_key()
    lost = [put(client, versioned, "object", bytes([number]) * 10, key) for number in range(3)]
    kept = put(client, versioned, "object", b"kept", other)
    client.delete_object(Bucket=versioned, Key="object")
    scheduled = admin("DELETE", "/keys/delete", {"key_id": key, "pending_window_in_days": 7})
    assert (scheduled["usage"]["objects"], scheduled["usage"]["bytes"]) == (3, 30)
    admin.change("cancel-deletion", key)
    answer = admin("DELETE", "/keys/delete", {"key_id": key, "force_immediate": True, "confirm_key_id": key})
    assert (answer["usage"]["objects"], answer["usage"]["bytes"]) == (3, 30)
    receipt = answer["receipt"]["receipt"]
    assert (receipt["objects"], receipt["bytes"]) == (3, 30)
    for version in lost:
        assert refused(client.get_object, Bucket=versioned, Key="object", VersionId=version) == (410, "KMS.NotFoundException")
        assert client.head_object(Bucket=versioned, Key="object", VersionId=version)["ContentLength"] == 10
    assert get(client, versioned, "object", kept) == (b"kept", other)
    # What is lost is still listed, and can be deleted by version.
    for version in lost:
        client.delete_object(Bucket=versioned, Key="object", VersionId=version)
    assert [version["VersionId"] for version in client.list_object_versions(Bucket=versioned)["Versions"]] == [kept]


def test_a_re_key_reaches_noncurrent_versions_and_changes_nothing_else_of_them(client, admin, versioned):
    old, new = admin.create_key(), admin.create_key()
    ids = [put(client, versioned, "object", bytes([number]) * 200_000, old) for number in range(3)]
    hidden = put(client, versioned, "hidden", b"hidden", old)
    client.delete_object(Bucket=versioned, Key="hidden")

    def shown():
        page = client.list_object_versions(Bucket=versioned)
        entries = page["Versions"] + page["DeleteMarkers"]
        return [(entry["Key"], entry["VersionId"], entry["IsLatest"], entry["LastModified"], entry.get("ETag")) for entry in entries]

    before = shown()
    job = admin.rekey(bucket=versioned, from_key=old, to_key=new)
    assert (job["state"], job["total"], job["done"], job["failed"]) == ("Completed", 4, 4, 0)
    assert (counted(admin, old), counted(admin, new)) == ((0, 0), (4, 600_006))
    assert shown() == before
    admin("DELETE", "/keys/delete", {"key_id": old, "force_immediate": True, "confirm_key_id": old})
    for number, version in enumerate(ids):
        assert get(client, versioned, "object", version) == (bytes([number]) * 200_000, new)
    assert get(client, versioned, "hidden", hidden) == (b"hidden", new)


def test_the_key_of_one_version_is_changed_in_place(raw, client, admin, versioned):
    old, new = admin.create_key(), admin.create_key()
    first, second = put(client, versioned, "object", b"first", old), put(client, versioned, "object", b"second", old)
    document = f"<ObjectEncryption><SSE-KMS><KMSKeyArn>arn:aws:kms:us-east-1:000000000000:key/{new}</KMSKeyArn></SSE-KMS></ObjectEncryption>".encode()
    path = f"/{versioned}/object"
    raw.request("PUT", path, query={"encryption": "", "versionId": first}, body=document).ok()
    assert (counted(admin, old), counted(admin, new)) == ((1, 6), (1, 5))
    body, shown = get(client, versioned, "object", first)
    assert body == b"first" and shown.endswith(new)
    assert get(client, versioned, "object", second) == (b"second", old)
    marker = client.delete_object(Bucket=versioned, Key="object")["VersionId"]
    raw.request("PUT", path, query={"encryption": "", "versionId": marker}, body=document).fails(405, "MethodNotAllowed")
    raw.request("PUT", path, query={"encryption": ""}, body=document).fails(404, "NoSuchKey")
    raw.request("PUT", path, query={"encryption": "", "versionId": "0" * 32}, body=document).fails(404, "NoSuchVersion")
    assert raw.head(versioned, "object", query={"versionId": first}).headers[SSE] == "aws:kms"
    assert raw.head(versioned, "object", query={"versionId": second}).headers[KMS_KEY_ID] == old
