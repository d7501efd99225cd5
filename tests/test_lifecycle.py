"""Lifecycle rules with boto3: what is taken, what is refused and how, the headers, and real expiry with days of two seconds."""

import json
import os
import time

import pytest
from botocore.exceptions import ClientError

from harness.admin import Admin
from harness.cli import environment, run
from harness.server import BINARY

SHORT = "[lifecycle]\nday_seconds = 2\n"
ALL_128K = "all_storage_classes_128K"


def rule(**parts):
    return {"Status": "Enabled", "Filter": {"Prefix": ""}} | parts


def put(client, bucket, *rules, **more):
    return client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": list(rules)}, **more)


def refusal(call, *arguments, **named):
    with pytest.raises(ClientError) as refused:
        call(*arguments, **named)
    error = refused.value.response
    return error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"]


def eventually(ask, wanted, seconds=30):
    until = time.monotonic() + seconds
    while (found := ask()) != wanted:
        assert time.monotonic() < until, found
        time.sleep(0.2)


def keys(client, bucket):
    return [found["Key"] for found in client.list_objects_v2(Bucket=bucket).get("Contents", [])]


def test_rules_are_answered_as_they_were_put_until_they_are_deleted(server, bucket):
    client = server.boto()
    assert refusal(client.get_bucket_lifecycle_configuration, Bucket=bucket) == (404, "NoSuchLifecycleConfiguration")
    tag = {"Key": "class", "Value": "a & b".replace("&", "+")}
    rules = [
        {"ID": "days", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 3}},
        {"ID": "empty", "Status": "Disabled", "Filter": {}, "NoncurrentVersionExpiration": {"NoncurrentDays": 2, "NewerNoncurrentVersions": 5}},
        {"ID": "and", "Status": "Enabled", "Filter": {"And": {"Prefix": "a", "Tags": [tag], "ObjectSizeGreaterThan": 5}}, "Expiration": {"Days": 1}},
        {"ID": "old form", "Status": "Enabled", "Prefix": "x", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}},
        {"ID": "markers", "Status": "Enabled", "Filter": {"Prefix": "m"}, "Expiration": {"ExpiredObjectDeleteMarker": True}},
    ]
    assert put(client, bucket, *rules)["ResponseMetadata"]["HTTPHeaders"]["x-amz-transition-default-minimum-object-size"] == ALL_128K
    found = client.get_bucket_lifecycle_configuration(Bucket=bucket)
    assert found["Rules"] == rules
    assert found["ResponseMetadata"]["HTTPHeaders"]["x-amz-transition-default-minimum-object-size"] == ALL_128K
    client.delete_bucket_lifecycle(Bucket=bucket)
    client.delete_bucket_lifecycle(Bucket=bucket)
    assert refusal(client.get_bucket_lifecycle_configuration, Bucket=bucket) == (404, "NoSuchLifecycleConfiguration")


def test_a_rule_without_an_id_gets_one_that_stays(server, bucket):
    client = server.boto()
    put(client, bucket, rule(Expiration={"Days": 1}), rule(Expiration={"Days": 2}))
    first = [found["ID"] for found in client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]]
    assert len(set(first)) == 2
    assert [found["ID"] for found in client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]] == first


TAG = {"Tag": {"Key": "a", "Value": "b"}}


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ([], "MalformedXML"),
        ([rule(Expiration={"Days": 0})], "InvalidArgument"),
        ([rule(Expiration={"Days": -1})], "InvalidArgument"),
        ([rule(Expiration={"Date": "2030-01-31T10:00:00Z"})], "InvalidArgument"),
        ([rule(Expiration={"Days": 1, "ExpiredObjectDeleteMarker": True})], "MalformedXML"),
        ([rule(NoncurrentVersionExpiration={"NoncurrentDays": 0})], "InvalidArgument"),
        ([rule(NoncurrentVersionExpiration={"NoncurrentDays": 1, "NewerNoncurrentVersions": 101})], "InvalidArgument"),
        ([rule(AbortIncompleteMultipartUpload={"DaysAfterInitiation": 0})], "InvalidArgument"),
        ([rule(Filter=TAG, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1})], "InvalidRequest"),
        ([rule(Filter=TAG, Expiration={"ExpiredObjectDeleteMarker": True})], "InvalidRequest"),
        ([rule(ID="i" * 256, Expiration={"Days": 1})], "InvalidArgument"),
        ([rule(ID="i", Expiration={"Days": 1}), rule(ID="i", Expiration={"Days": 2})], "InvalidArgument"),
        ([rule(Status="enabled", Expiration={"Days": 1})], "MalformedXML"),
        ([rule()], "InvalidRequest"),
        ([rule(Expiration={"Days": 1})] * 1001, "InvalidRequest"),
    ],
)
def test_a_rule_that_s3_does_not_allow_is_refused_and_the_rules_stay(server, bucket, rules, code):
    client = server.boto()
    put(client, bucket, rule(ID="stays", Expiration={"Days": 9}))
    assert refusal(put, client, bucket, *rules) == (400, code)
    assert [found["ID"] for found in client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]] == ["stays"]


def test_transitions_are_refused_because_there_is_one_storage_class(server, bucket):
    client = server.boto()
    moving = rule(Transitions=[{"Days": 1, "StorageClass": "GLACIER"}])
    assert refusal(put, client, bucket, moving) == (501, "NotImplemented")


def test_the_headers_tell_when_an_object_and_an_upload_go(server, bucket):
    client = server.boto()
    client.put_object(Bucket=bucket, Key="before", Body=b"x")
    assert "Expiration" not in client.head_object(Bucket=bucket, Key="before")
    put(client, bucket, rule(ID="one/day", Expiration={"Days": 1}, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1}))
    told = client.put_object(Bucket=bucket, Key="object", Body=b"x")["Expiration"]
    assert told.startswith('expiry-date="') and told.endswith(' 00:00:00 GMT", rule-id="one%2Fday"')
    for answer in (
        client.head_object(Bucket=bucket, Key="object"),
        client.get_object(Bucket=bucket, Key="object"),
        client.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/object"),
        client.head_object(Bucket=bucket, Key="before"),
    ):
        assert answer["Expiration"] == told
    upload = client.create_multipart_upload(Bucket=bucket, Key="upload")
    assert upload["AbortRuleId"] == "one%2Fday"
    parts = client.list_parts(Bucket=bucket, Key="upload", UploadId=upload["UploadId"])
    assert (parts["AbortDate"], parts["AbortRuleId"]) == (upload["AbortDate"], "one%2Fday")
    part = client.upload_part(Bucket=bucket, Key="upload", UploadId=upload["UploadId"], PartNumber=1, Body=b"x")
    done = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    assert client.complete_multipart_upload(Bucket=bucket, Key="upload", UploadId=upload["UploadId"], MultipartUpload=done)["Expiration"] == told


def test_objects_versions_markers_and_uploads_expire_with_short_days(new_server):
    server = new_server(SHORT)
    assert "lifecycle.day_seconds" in server.log_text()
    client = server.boto()
    for name in ("plain", "versioned"):
        client.create_bucket(Bucket=name)
    client.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
    client.put_object(Bucket="plain", Key="logs/1", Body=b"x")
    client.put_object(Bucket="plain", Key="kept", Body=b"x")
    client.put_object(Bucket="versioned", Key="object", Body=b"x")
    client.put_object(Bucket="versioned", Key="object", Body=b"y")
    client.create_multipart_upload(Bucket="plain", Key="logs/upload")
    put(client, "plain", rule(Filter={"Prefix": "logs/"}, Expiration={"Days": 1}, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1}))
    put(client, "versioned", rule(Expiration={"Days": 1}, NoncurrentVersionExpiration={"NoncurrentDays": 1}))
    eventually(lambda: keys(client, "plain"), ["kept"])
    eventually(lambda: client.list_multipart_uploads(Bucket="plain").get("Uploads"), None)
    listed = lambda: [client.list_object_versions(Bucket="versioned").get(what) for what in ("Versions", "DeleteMarkers")]
    eventually(listed, [None, None])
    assert server.metric("strongroom_lifecycle_failed") == 0


def test_a_pass_is_run_watched_and_listed_by_whoever_may(server):
    admin = Admin(server)
    # The first one of a new server begins by itself.
    eventually(lambda: [found["state"] for found in admin("GET", "/lifecycle")["passes"] if found["state"] == "Running"], [])
    passed = admin("POST", "/lifecycle", {"full": True}, status=202)
    assert (passed["state"] in ("Running", "Completed"), passed["full"], passed["who"]) == (True, True, "root")
    eventually(lambda: admin("GET", f"/lifecycle/{passed['job_id']}")["state"], "Completed")
    assert passed["job_id"] in [found["job_id"] for found in admin("GET", "/lifecycle")["passes"]]


def test_a_server_that_is_killed_in_a_pass_goes_on_with_it(new_server):
    server = new_server(SHORT + "max_deletes_per_second = 40\n")
    client = server.boto()
    client.create_bucket(Bucket="killed")
    for number in range(120):
        client.put_object(Bucket="killed", Key=f"old/{number:03}", Body=b"x")
        if number % 10 == 0:
            client.put_object(Bucket="killed", Key=f"kept/{number:03}", Body=b"kept")
    put(client, "killed", rule(Filter={"Prefix": "old/"}, Expiration={"Days": 1}))
    kept = [f"kept/{number:03}" for number in range(0, 120, 10)]
    for _ in range(3):
        before = len(keys(client, "killed"))
        until = time.monotonic() + 20
        while len(keys(client, "killed")) == before and before > len(kept) and time.monotonic() < until:
            time.sleep(0.05)
        server.kill()
        server.start()
        client = server.boto()
    eventually(lambda: keys(client, "killed"), kept)
    assert all(client.get_object(Bucket="killed", Key=key)["Body"].read() == b"kept" for key in kept)


def test_the_command_line_shows_and_runs_passes(server, tmp_path):
    env = environment(server, tmp_path) | {"PATH": f"{BINARY.parent}:{os.environ['PATH']}"}
    command = f"strongroom lifecycle --endpoint https://127.0.0.1:{server.admin_port} --json"
    done = json.loads(run(f"{command} run --full --watch", env).stdout)
    assert (done["state"], done["full"], done["failed"]) == ("Completed", True, 0)
    assert json.loads(run(f"{command} status", env).stdout)["job_id"] == done["job_id"]
