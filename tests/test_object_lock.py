"""Object Lock, with boto3: retention, legal hold, event hold, and who may end them."""

import json
import time
from datetime import datetime, timedelta, timezone

import pytest
from botocore.exceptions import ClientError

from conftest import make_bucket
from harness import users
from harness.audit import AuditLog
from harness.server import Server

FAR = datetime(2090, 1, 1, tzinfo=timezone.utc)
FARTHER = datetime(2091, 1, 1, tzinfo=timezone.utc)
MISSING = (400, "InvalidRequest")
LOCKED = (403, "AccessDenied")
NOT_SET = (404, "NoSuchObjectLockConfiguration")


@pytest.fixture
def client(server):
    return server.boto()


@pytest.fixture
def locked(client, bucket):
    """A bucket that has Object Lock from its creation."""
    name = f"{bucket}-locked"
    client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def refused(call, **arguments):
    with pytest.raises(ClientError) as error:
        call(**arguments)
    response = error.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def put(client, bucket, key="key", **arguments):
    return client.put_object(Bucket=bucket, Key=key, Body=b"data", **arguments)["VersionId"]


def retention_of(client, bucket, version, key="key"):
    return client.get_object_retention(Bucket=bucket, Key=key, VersionId=version)["Retention"]


def governance(until):
    return {"Mode": "GOVERNANCE", "RetainUntilDate": until}


def compliance(until):
    return {"Mode": "COMPLIANCE", "RetainUntilDate": until}


def configuration(**default):
    rule = {"Rule": {"DefaultRetention": default}} if default else {}
    return {"ObjectLockEnabled": "Enabled"} | rule


# ---- the bucket


def test_a_bucket_with_object_lock_is_versioned_and_stays_so(client, locked):
    assert client.get_bucket_versioning(Bucket=locked)["Status"] == "Enabled"
    assert client.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"] == configuration()
    suspend = {"Bucket": locked, "VersioningConfiguration": {"Status": "Suspended"}}
    assert refused(client.put_bucket_versioning, **suspend) == (409, "InvalidBucketState")
    assert client.get_bucket_versioning(Bucket=locked)["Status"] == "Enabled"


def test_object_lock_is_enabled_later_where_there_are_versions(client, bucket):
    put_lock = {"Bucket": bucket, "ObjectLockConfiguration": configuration()}
    assert refused(client.get_object_lock_configuration, Bucket=bucket) == (404, "ObjectLockConfigurationNotFoundError")
    assert refused(client.put_object_lock_configuration, **put_lock) == (409, "InvalidBucketState")
    client.put_object(Bucket=bucket, Key="before", Body=b"data")
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    client.put_object_lock_configuration(**put_lock)
    client.put_object_legal_hold(Bucket=bucket, Key="before", LegalHold={"Status": "ON"})
    assert refused(client.delete_object, Bucket=bucket, Key="before", VersionId="null") == LOCKED


@pytest.mark.parametrize(
    "default",
    [
        {"Mode": "GOVERNANCE", "Days": 1},
        {"Mode": "COMPLIANCE", "Years": 100},
        {"DefaultEventHold": {"Days": 36500}},
        {"Mode": "GOVERNANCE", "Years": 1, "DefaultEventHold": {"Years": 7}},
    ],
    ids=["days", "years", "event hold", "both"],
)
def test_a_configuration_is_answered_as_it_was_put_and_taken_back_but_for_the_lock(client, locked, default):
    client.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration=configuration(**default))
    assert client.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"] == configuration(**default)
    client.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration=configuration())
    assert client.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"] == configuration()


@pytest.mark.parametrize(
    ("default", "code"),
    [
        ({"Mode": "GOVERNANCE", "Days": 0}, "InvalidRetentionPeriod"),
        ({"Mode": "GOVERNANCE", "Years": -1}, "InvalidRetentionPeriod"),
        ({"Mode": "GOVERNANCE", "Days": 36501}, "InvalidRetentionPeriod"),
        ({"Mode": "GOVERNANCE", "Years": 101}, "InvalidRetentionPeriod"),
        ({"DefaultEventHold": {"Days": 0}}, "InvalidRetentionPeriod"),
        ({"Mode": "GOVERNANCE", "Days": 1, "Years": 1}, "MalformedXML"),
        ({"Mode": "governance", "Days": 1}, "MalformedXML"),
        ({"Mode": "GOVERNANCE"}, "MalformedXML"),
        ({"Days": 1}, "MalformedXML"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(client, locked, default, code):
    assert refused(client.put_object_lock_configuration, Bucket=locked, ObjectLockConfiguration=configuration(**default)) == (400, code)
    assert client.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"] == configuration()


def test_without_object_lock_every_request_for_a_lock_is_refused(client, bucket):
    client.put_object(Bucket=bucket, Key="key", Body=b"data")
    named = {"Bucket": bucket, "Key": "key"}
    assert refused(client.get_object_retention, **named) == MISSING
    assert refused(client.get_object_legal_hold, **named) == MISSING
    assert refused(client.put_object_retention, **named, Retention=governance(FAR)) == MISSING
    assert refused(client.put_object_legal_hold, **named, LegalHold={"Status": "ON"}) == MISSING
    for lock in [
        {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": FAR},
        {"ObjectLockLegalHoldStatus": "OFF"},
        {"ObjectLockEventHold": "ON", "ObjectLockEventHoldDurationDays": 1},
    ]:
        assert refused(client.put_object, **named, Body=b"other", **lock) == MISSING
        assert refused(client.create_multipart_upload, **named, **lock) == MISSING
        assert refused(client.copy_object, Bucket=bucket, Key="copy", CopySource=named, **lock) == MISSING
    assert client.get_object(**named)["Body"].read() == b"data"


# ---- a version


def test_what_is_locked_is_not_deleted_and_says_so(client, locked):
    version = put(client, locked, ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=FAR, ObjectLockLegalHoldStatus="ON")
    for answer in [client.head_object(Bucket=locked, Key="key"), client.get_object(Bucket=locked, Key="key", VersionId=version)]:
        shown = (answer["ObjectLockMode"], answer["ObjectLockRetainUntilDate"], answer["ObjectLockLegalHoldStatus"])
        assert shown == ("COMPLIANCE", FAR, "ON")
    marker = client.delete_object(Bucket=locked, Key="key")
    assert marker["DeleteMarker"]
    for bypass in [{}, {"BypassGovernanceRetention": True}]:
        named = {"Bucket": locked, "Key": "key", "VersionId": version}
        assert refused(client.delete_object, **named, **bypass) == LOCKED
        many = client.delete_objects(Bucket=locked, Delete={"Objects": [{"Key": "key", "VersionId": version}]}, **bypass)
        assert [(error["Code"], error["VersionId"]) for error in many["Errors"]] == [("AccessDenied", version)]
    assert refused(client.delete_bucket, Bucket=locked) == (409, "BucketNotEmpty")
    client.delete_object(Bucket=locked, Key="key", VersionId=marker["VersionId"])
    assert client.get_object(Bucket=locked, Key="key")["Body"].read() == b"data"


def test_governance_is_bypassed_by_asking_and_compliance_never(client, locked):
    version = put(client, locked)
    named = {"Bucket": locked, "Key": "key", "VersionId": version}
    assert refused(client.get_object_retention, **named) == NOT_SET
    client.put_object_retention(**named, Retention=governance(FAR))
    assert retention_of(client, locked, version) == governance(FAR)
    for weaker in [governance(FAR - timedelta(days=1)), compliance(FARTHER), {}]:
        assert refused(client.put_object_retention, **named, Retention=weaker) == LOCKED
    client.put_object_retention(**named, Retention=governance(FARTHER))
    client.put_object_retention(**named, Retention={}, BypassGovernanceRetention=True)
    assert refused(client.get_object_retention, **named) == NOT_SET
    client.put_object_retention(**named, Retention=governance(FAR))
    client.put_object_retention(**named, Retention=compliance(FAR), BypassGovernanceRetention=True)
    for weaker in [compliance(FAR - timedelta(seconds=1)), governance(FARTHER), {}]:
        assert refused(client.put_object_retention, **named, Retention=weaker, BypassGovernanceRetention=True) == LOCKED
    client.put_object_retention(**named, Retention=compliance(FARTHER))
    assert retention_of(client, locked, version) == compliance(FARTHER)


def test_a_retention_ends_by_itself(client, locked):
    soon = datetime.now(timezone.utc) + timedelta(seconds=2)
    version = put(client, locked, ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=soon)
    named = {"Bucket": locked, "Key": "key", "VersionId": version}
    assert refused(client.delete_object, **named) == LOCKED
    time.sleep(3)
    client.delete_object(**named)


def test_a_legal_hold_is_on_off_or_was_never_given(client, locked):
    version = put(client, locked)
    named = {"Bucket": locked, "Key": "key", "VersionId": version}
    assert refused(client.get_object_legal_hold, **named) == NOT_SET
    assert "ObjectLockLegalHoldStatus" not in client.head_object(**named)
    for status in ["ON", "OFF", "ON"]:
        client.put_object_legal_hold(**named, LegalHold={"Status": status})
        assert client.get_object_legal_hold(**named)["LegalHold"] == {"Status": status}
        assert client.head_object(**named)["ObjectLockLegalHoldStatus"] == status
    assert refused(client.delete_object, **named, BypassGovernanceRetention=True) == LOCKED
    client.put_object_legal_hold(**named, LegalHold={"Status": "OFF"})
    assert refused(client.put_object_legal_hold, **named, LegalHold={"Status": "abc"}) == (400, "MalformedXML")
    client.delete_object(**named)


def test_an_event_hold_keeps_a_version_until_its_release_and_for_its_duration_after_that(client, locked):
    hold = {"ObjectLockEventHold": "ON", "ObjectLockEventHoldDurationDays": 30}
    version = put(client, locked, **hold)
    named = {"Bucket": locked, "Key": "key", "VersionId": version}
    head = client.head_object(**named)
    assert (head["ObjectLockEventHold"], head["ObjectLockEventHoldDurationDays"]) == ("ON", 30)
    assert "ObjectLockMode" not in head
    assert retention_of(client, locked, version) == {"EventHold": "ON", "EventHoldDuration": {"Days": 30}}
    assert refused(client.delete_object, **named, BypassGovernanceRetention=True) == LOCKED
    shorter = {"EventHold": "ON", "EventHoldDuration": {"Days": 29}}
    assert refused(client.put_object_retention, **named, Retention=shorter, BypassGovernanceRetention=True) == LOCKED

    client.put_object_retention(**named, Retention={"EventHold": "OFF", "Mode": "GOVERNANCE"})
    released = retention_of(client, locked, version)
    assert (released["EventHold"], released["Mode"]) == ("OFF", "GOVERNANCE")
    left = released["RetainUntilDate"] - datetime.now(timezone.utc)
    assert timedelta(days=29, hours=23) < left <= timedelta(days=30)
    head = client.head_object(**named)
    assert head["ObjectLockEventHold"] == "OFF" and "ObjectLockEventHoldDurationDays" not in head
    assert refused(client.delete_object, **named) == LOCKED
    client.delete_object(**named, BypassGovernanceRetention=True)


def test_a_bucket_gives_its_defaults_to_every_new_version_that_says_nothing_else(client, locked):
    default = {"Mode": "GOVERNANCE", "Days": 2, "DefaultEventHold": {"Years": 1}}
    client.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration=configuration(**default))
    by_default = put(client, locked)
    upload = client.create_multipart_upload(Bucket=locked, Key="parts")["UploadId"]
    etag = client.upload_part(Bucket=locked, Key="parts", UploadId=upload, PartNumber=1, Body=b"data")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    completed = client.complete_multipart_upload(Bucket=locked, Key="parts", UploadId=upload, MultipartUpload=parts)["VersionId"]
    copied = client.copy_object(Bucket=locked, Key="copy", CopySource={"Bucket": locked, "Key": "key"})["VersionId"]
    for key, version in [("key", by_default), ("parts", completed), ("copy", copied)]:
        found = retention_of(client, locked, version, key)
        assert (found["Mode"], found["EventHold"], found["EventHoldDuration"]) == ("GOVERNANCE", "ON", {"Years": 1}), key
        left = found["RetainUntilDate"] - datetime.now(timezone.utc)
        assert timedelta(days=1, hours=23) < left <= timedelta(days=2), key
    given = put(client, locked, ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=FAR, ObjectLockEventHold="OFF")
    assert retention_of(client, locked, given) == compliance(FAR)


def test_locks_that_make_no_sense_are_refused_and_store_nothing(client, raw, locked):
    past = datetime(2020, 1, 1, tzinfo=timezone.utc)
    for lock in [
        {"ObjectLockMode": "GOVERNANCE"},
        {"ObjectLockRetainUntilDate": FAR},
        {"ObjectLockMode": "governance", "ObjectLockRetainUntilDate": FAR},
        {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": past},
        {"ObjectLockLegalHoldStatus": "on"},
        {"ObjectLockEventHold": "ON"},
        {"ObjectLockEventHold": "OFF", "ObjectLockEventHoldDurationDays": 1},
        {"ObjectLockEventHoldDurationYears": 1},
        {"ObjectLockEventHold": "ON", "ObjectLockEventHoldDurationYears": 1, "ObjectLockEventHoldDurationDays": 1},
    ]:
        assert refused(client.put_object, Bucket=locked, Key="key", Body=b"data", **lock) == (400, "InvalidArgument"), lock
        assert refused(client.create_multipart_upload, Bucket=locked, Key="key", **lock) == (400, "InvalidArgument"), lock
    assert "Versions" not in client.list_object_versions(Bucket=locked)
    assert "Uploads" not in client.list_multipart_uploads(Bucket=locked)
    raw.request("PUT", f"/{locked}-other", headers={"x-amz-bucket-object-lock-enabled": "yes"}).fails(400, "InvalidArgument")


def test_a_change_of_a_lock_leaves_two_records_with_what_held_before_and_after(server, bucket):
    client, log, locked, until = server.boto(), AuditLog(server), f"{bucket}-locked", "GOVERNANCE until 2090-01-01T00:00:00Z"
    client.create_bucket(Bucket=locked, ObjectLockEnabledForBucket=True)
    version = client.put_object(Bucket=locked, Key="object", Body=b"x")["VersionId"]
    of_bucket = {"Bucket": locked}
    of_version = of_bucket | {"Key": "object", "VersionId": version}
    retention = {"Mode": "GOVERNANCE", "RetainUntilDate": "2090-01-01T00:00:00Z"}
    default = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Years": 7}}}
    acts = [
        ("PutObjectRetention", of_version, {"Retention": retention}, "none", until, {}),
        ("PutObjectLegalHold", of_version, {"LegalHold": {"Status": "ON"}}, until, f"{until}, legal hold", {}),
        ("PutObjectLegalHold", of_version, {"LegalHold": {"Status": "OFF"}}, f"{until}, legal hold", until, {}),
        ("PutObjectLockConfiguration", of_bucket, {"ObjectLockConfiguration": default}, "none", "COMPLIANCE 7 years", {}),
        ("DeleteObject", of_version, {"BypassGovernanceRetention": True}, until, "deleted", {"bypassed": "GOVERNANCE"}),
    ]
    for operation, target, arguments, before, after, bypassed in acts:
        method = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in operation)[1:]
        reply = getattr(client, method)(**target, **arguments)["ResponseMetadata"]
        details = {"before": before, "after": after, "source_ip": "127.0.0.1"} | bypassed
        event = {"request_id": reply["RequestId"], "who": "root", "operation": operation, "bucket": locked, "outcome": "ok"}
        event |= {"key": "object", "version": version} if target is of_version else {}
        # Both lie on the disk already: nobody has waited for anything but the answer.
        records = [json.loads(line) for line in log.lines()]
        found = [record for record in records if record.get("request_id") == reply["RequestId"]]
        found = [{name: record[name] for name in record.keys() - {"time", "seq", "prev", "hash"}} for record in found]
        assert found == [event | {"details": details | {"phase": "begun"}}, event | {"details": details}]


def test_a_delete_marker_and_a_missing_version_have_no_lock(client, locked):
    version = put(client, locked)
    marker = client.delete_object(Bucket=locked, Key="key")["VersionId"]
    assert refused(client.put_object_legal_hold, Bucket=locked, Key="key", LegalHold={"Status": "ON"}) == (404, "NoSuchKey")
    named = {"Bucket": locked, "Key": "key", "VersionId": marker}
    assert refused(client.put_object_retention, **named, Retention=governance(FAR)) == (405, "MethodNotAllowed")
    client.delete_object(Bucket=locked, Key="key", VersionId=version)
    gone = {"Bucket": locked, "Key": "key", "VersionId": version}
    assert refused(client.get_object_retention, **gone) == (404, "NoSuchVersion")


def test_locks_outlive_a_kill_and_a_re_keying(new_server):
    server = new_server('[kms]\nensure_keys = ["other"]\n')
    client = server.boto()
    client.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    version = put(client, "locked", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=FAR, ServerSideEncryption="AES256")
    named = {"Bucket": "locked", "Key": "key", "VersionId": version}
    encryption = {"SSEKMS": {"KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/other"}}
    client.update_object_encryption(**named, ObjectEncryption=encryption)
    server.kill()
    server.start()
    client = server.boto()
    head = client.head_object(**named)
    assert (head["ObjectLockRetainUntilDate"], head["ServerSideEncryption"]) == (FAR, "aws:kms")
    assert refused(client.delete_object, **named, BypassGovernanceRetention=True) == LOCKED
    assert client.get_object(**named)["Body"].read() == b"data"


def test_a_date_that_s3_cannot_tell_is_refused(client, raw, locked):
    headers = {"x-amz-object-lock-mode": "COMPLIANCE", "x-amz-object-lock-retain-until-date": "9999-12-31T23:59:59-23:00"}
    raw.request("PUT", f"/{locked}/key", headers=headers).fails(400, "InvalidArgument")
    assert "Versions" not in client.list_object_versions(Bucket=locked)


# ---- rights

USERS = {
    "writer": ["s3:PutObject", "s3:GetObject", "s3:GetObjectVersion", "s3:DeleteObject", "s3:DeleteObjectVersion"],
    "retainer": ["s3:PutObject", "s3:GetObject", "s3:GetObjectVersion", "s3:*ObjectRetention", "s3:DeleteObjectVersion"],
    "holder": ["s3:PutObject", "s3:GetObject", "s3:GetObjectVersion", "s3:*ObjectLegalHold"],
    "bypasser": ["s3:DeleteObjectVersion", "s3:PutObjectRetention", "s3:BypassGovernanceRetention"],
    "creator": ["s3:CreateBucket", "s3:ListBucket"],
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    config = users.config({name: users.allowing(actions) for name, actions in USERS.items()})
    server = Server(tmp_path_factory.mktemp("guarded") / "home", config=config).start()
    yield server
    server.remove()


def user(server, name):
    return server.boto(*users.keys(name))


def test_each_part_of_a_lock_takes_a_right_of_its_own(guarded):
    root = guarded.boto()
    bucket = make_bucket(guarded)
    root.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    root.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=configuration())
    version = put(root, bucket, ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=FAR, ObjectLockLegalHoldStatus="OFF")
    named = {"Bucket": bucket, "Key": "key", "VersionId": version}
    retention = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": FAR}
    hold, event = {"ObjectLockLegalHoldStatus": "ON"}, {"ObjectLockEventHold": "ON", "ObjectLockEventHoldDurationDays": 1}
    may = {"writer": [], "retainer": [retention, event], "holder": [hold]}
    for name, permitted in may.items():
        client = user(guarded, name)
        for lock in [retention, hold, event]:
            request = {"Bucket": bucket, "Key": name, "Body": b"data", **lock}
            if lock in permitted:
                client.put_object(**request)
            else:
                assert refused(client.put_object, **request) == LOCKED, (name, lock)
        head = client.head_object(**named)
        assert ("ObjectLockMode" in head) == (name == "retainer")
        assert ("ObjectLockLegalHoldStatus" in head) == (name == "holder")
    assert refused(user(guarded, "writer").put_object_retention, **named, Retention=governance(FARTHER)) == LOCKED
    assert refused(user(guarded, "writer").put_object_legal_hold, **named, LegalHold={"Status": "ON"}) == LOCKED

    # Asking to bypass counts for nothing without the right.
    for name in ["writer", "retainer"]:
        assert refused(user(guarded, name).delete_object, **named, BypassGovernanceRetention=True) == LOCKED
    assert refused(user(guarded, "retainer").put_object_retention, **named, Retention={}, BypassGovernanceRetention=True) == LOCKED
    free = put(root, bucket, "free")
    user(guarded, "writer").delete_object(Bucket=bucket, Key="free", VersionId=free, BypassGovernanceRetention=True)
    assert refused(user(guarded, "bypasser").delete_object, **named) == LOCKED
    user(guarded, "bypasser").delete_object(**named, BypassGovernanceRetention=True)


def test_a_policy_limits_the_locks_that_are_set_by_mode_days_date_and_hold(new_server):
    def denied(action, **condition):
        return {"Effect": "Deny", "Action": action, "Resource": "*", "Condition": {name: {f"s3:object-lock-{key}": value} for name, (key, value) in condition.items()}}

    every = {"Effect": "Allow", "Action": ["s3:*", "kms:*"], "Resource": "*"}
    policies = {
        "month": [every, denied("s3:PutObjectRetention", NumericGreaterThan=("remaining-retention-days", "30"))],
        "governor": [every, denied("s3:PutObjectRetention", StringNotEquals=("mode", "GOVERNANCE"))],
        "early": [every, denied("s3:PutObjectRetention", DateGreaterThan=("retain-until-date", "2090-06-01"))],
        "keeper": [every, denied(["s3:PutObjectLegalHold"], StringEquals=("legal-hold", "OFF"))],
        "archiver": [every, denied(["s3:PutObject"], StringNotEquals=("mode", "COMPLIANCE"))],
    }
    server = new_server(users.config(policies))
    root, now = server.boto(), datetime.now(timezone.utc)
    root.create_bucket(Bucket="vault", ObjectLockEnabledForBucket=True)
    near, month = now + timedelta(days=10), now + timedelta(days=30)

    def retains(name, until, mode="GOVERNANCE"):
        """Whether the user may set it by an upload and by a change alike."""
        client, version = user(server, name), put(root, "vault", name)
        named, lock = {"Bucket": "vault", "Key": name}, {"Mode": mode, "RetainUntilDate": until}
        headers = {"ObjectLockMode": mode, "ObjectLockRetainUntilDate": until}
        outcomes = set()
        for call in (
            lambda: client.put_object(**named, Body=b"x", **headers),
            lambda: client.copy_object(**named, CopySource={"Bucket": "vault", "Key": name, "VersionId": version}, **headers),
            lambda: client.create_multipart_upload(**named, **headers),
            lambda: client.put_object_retention(**named, VersionId=version, Retention=lock),
        ):
            try:
                call()
                outcomes.add(True)
            except ClientError as error:
                assert error.response["Error"]["Code"] == "AccessDenied"
                outcomes.add(False)
        assert len(outcomes) == 1, (name, until, mode, outcomes)
        return outcomes.pop()

    assert [retains("month", until) for until in (near, month, month + timedelta(hours=1), FAR)] == [True, True, False, False]
    assert [retains("governor", near, mode) for mode in ("GOVERNANCE", "COMPLIANCE")] == [True, False]
    assert [retains("early", until) for until in (near, FAR, FARTHER)] == [True, True, False]
    held = {"Bucket": "vault", "Key": "month", "VersionId": put(root, "vault", "month")}
    hold = {"EventHold": "ON", "EventHoldDuration": {"Days": 31}}
    assert refused(user(server, "month").put_object_retention, **held, Retention=hold) == LOCKED
    user(server, "month").put_object_retention(**held, Retention=hold | {"EventHoldDuration": {"Days": 30}})

    keeper, named = user(server, "keeper"), {"Bucket": "vault", "Key": "keeper", "VersionId": put(root, "vault", "keeper")}
    keeper.put_object_legal_hold(**named, LegalHold={"Status": "ON"})
    assert refused(keeper.put_object_legal_hold, **named, LegalHold={"Status": "OFF"}) == LOCKED
    keeper.put_object(Bucket="vault", Key="keeper", Body=b"x", ObjectLockLegalHoldStatus="ON")
    assert refused(keeper.put_object, Bucket="vault", Key="keeper", Body=b"x", ObjectLockLegalHoldStatus="OFF") == LOCKED

    archiver, target = user(server, "archiver"), {"Bucket": "vault", "Key": "archived"}
    assert refused(archiver.put_object, **target, Body=b"x") == LOCKED
    upload = archiver.create_multipart_upload(**target, ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=now + timedelta(seconds=5))["UploadId"]
    part = archiver.upload_part(**target, UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
    archiver.complete_multipart_upload(**target, UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]})
    other = root.create_multipart_upload(**target)["UploadId"]
    assert refused(archiver.upload_part, **target, UploadId=other, PartNumber=1, Body=b"x") == LOCKED


def test_a_bucket_with_object_lock_takes_the_rights_to_configure_it(guarded):
    creator = user(guarded, "creator")
    assert refused(creator.create_bucket, Bucket="created-with-lock", ObjectLockEnabledForBucket=True) == LOCKED
    creator.create_bucket(Bucket="created-without")
