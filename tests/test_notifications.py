"""Notifications with a real receiver: exact records, signatures, filters, receivers that misbehave, kills, and the commands of an operator."""

import json
import os
import random
import re
import shutil
import threading
import time
import urllib.parse

import pytest
from botocore.exceptions import ClientError

from conftest import make_bucket
from harness import forms
from harness.admin import Admin, Kms
from harness.cli import Shell, run
from harness.mc import MC, rows
from harness.receiver import CLOSE, ENDLESS, HANG, Receiver
from harness.server import BINARY, REPOSITORY

ARN = "arn:strongroom:sqs:us-east-1:hook:webhook"
ALL = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectTagging:*", "s3:LifecycleExpiration:*"]
KMS_KEY = "rotation-2024-09"
KILLS = int(os.environ.get("STRONGROOM_TEST_KILLS", "5"))


def configure(server, bucket, *configurations, **more):
    found = {"QueueConfigurations": list(configurations)}
    return server.boto().put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=found, **more)


def queue(events=tuple(ALL), arn=ARN, **filters):
    rules = [{"Name": name, "Value": value} for name, value in filters.items()]
    more = {"Filter": {"Key": {"FilterRules": rules}}} if rules else {}
    return {"QueueArn": arn, "Events": list(events)} | more


def quiet_bucket(server, *configurations):
    """A bucket that sends its events, and sent no test event."""
    bucket = make_bucket(server)
    configure(server, bucket, *(configurations or [queue()]), SkipDestinationValidation=True)
    return bucket


def refusal(call, *arguments, **named):
    with pytest.raises(ClientError) as refused:
        call(*arguments, **named)
    error = refused.value.response
    return error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"], error["Error"]["Message"]


@pytest.fixture
def hooked(new_server, tmp_path):
    """Makes a receiver, and a server that delivers to it."""
    made = []

    def make(answer=lambda delivery, before: 204, tls=False, config="", name="hook", **options):
        receiver = Receiver(tmp_path, tls, answer)
        made.append(receiver)
        return new_server(config + receiver.target(name, **options)), receiver

    yield make
    for receiver in made:
        receiver.close()


# ---- what is told


def test_each_event_is_sent_with_an_exact_record(hooked):
    server, receiver = hooked(tls=True, config=f'[kms]\nensure_keys = ["{KMS_KEY}"]\n')
    bucket, client = quiet_bucket(server), server.boto()
    put = client.put_object(Bucket=bucket, Key="a b/ü+.txt", Body=b"12345", ServerSideEncryption="aws:kms", SSEKMSKeyId=KMS_KEY)
    [delivery] = receiver.take(1)
    assert delivery.headers["content-type"] == "application/json" and delivery.headers["user-agent"].startswith("strongroom/")
    record = delivery.record
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record.pop("eventTime"))
    sequencer = record["s3"]["object"].pop("sequencer")
    assert re.fullmatch("[0-9A-F]{16}", sequencer)
    configuration = client.get_bucket_notification_configuration(Bucket=bucket)["QueueConfigurations"][0]
    assert record == {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventName": "ObjectCreated:Put",
        "userIdentity": {"principalId": "root"},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": put["ResponseMetadata"]["RequestId"]},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": configuration["Id"],
            "bucket": {"name": bucket, "ownerIdentity": {"principalId": "root"}, "arn": f"arn:aws:s3:::{bucket}"},
            "object": {"key": "a+b/%C3%BC%2B.txt", "size": 5, "eTag": put["ETag"].strip('"')},
        },
        "strongroom": {"encryption": {"mode": "SSE-KMS", "kmsKeyId": KMS_KEY}},
    }
    assert urllib.parse.unquote_plus(record["s3"]["object"]["key"]) == "a b/ü+.txt"


def test_every_operation_is_told_by_its_own_name(hooked):
    server, receiver = hooked()
    bucket, client, raw = quiet_bucket(server), server.boto(), server.raw()
    client.put_object(Bucket=bucket, Key="put", Body=b"1", SSECustomerAlgorithm="AES256", SSECustomerKey="k" * 32)
    fields = {"key": "form"}
    forms.post(raw, bucket, forms.signed(raw.credentials, forms.exactly(bucket, fields), fields)).ok(204)
    client.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "form"})
    upload = client.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    etag = client.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"123")["ETag"]
    client.complete_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    client.put_object_tagging(Bucket=bucket, Key="put", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    client.delete_object_tagging(Bucket=bucket, Key="put")
    client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "put"}, {"Key": "never-there"}, {"Key": "copy"}]})
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = client.put_object(Bucket=bucket, Key="v", Body=b"1")["VersionId"]
    marker = client.delete_object(Bucket=bucket, Key="v")["VersionId"]
    client.delete_object(Bucket=bucket, Key="v", VersionId=version)
    got = receiver.deliveries(11)
    told = {(delivery.name, delivery.key, delivery.record["s3"]["object"].get("versionId")) for delivery in got}
    assert told == {
        ("ObjectCreated:Put", "put", None),
        ("ObjectCreated:Post", "form", None),
        ("ObjectCreated:Copy", "copy", None),
        ("ObjectCreated:CompleteMultipartUpload", "parts", None),
        ("ObjectTagging:Put", "put", None),
        ("ObjectTagging:Delete", "put", None),
        ("ObjectRemoved:Delete", "put", None),
        ("ObjectRemoved:Delete", "copy", None),
        ("ObjectCreated:Put", "v", version),
        ("ObjectRemoved:DeleteMarkerCreated", "v", marker),
        ("ObjectRemoved:Delete", "v", version),
    }
    customer = next(delivery for delivery in got if delivery.name == "ObjectCreated:Put" and delivery.key == "put")
    assert customer.record["strongroom"] == {"encryption": {"mode": "SSE-C", "kmsKeyId": None}}
    assert_in_order(got)


def assert_in_order(got):
    """The sequencers of a key grow, but for what was sent again."""
    by_key = {}
    for delivery in got:
        seen = by_key.setdefault(delivery.key, [])
        if delivery.record["s3"]["object"]["sequencer"] not in seen:
            seen.append(delivery.record["s3"]["object"]["sequencer"])
    assert all(seen == sorted(seen) for seen in by_key.values()), by_key


def test_a_cloud_event_has_its_attributes_and_the_record(hooked):
    server, receiver = hooked(format="cloudevents")
    bucket = quiet_bucket(server)
    server.boto().put_object(Bucket=bucket, Key="a b", Body=b"1")
    [delivery] = receiver.take(1)
    event = delivery.json
    assert delivery.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert (event["specversion"], event["type"], event["subject"]) == ("1.0", "com.amazonaws.s3.ObjectCreated:Put", "a b")
    assert (event["source"], "evt_" + event["id"]) == (f"strongroom:s3.us-east-1.{bucket}", delivery.id)
    assert event["time"] == event["data"]["eventTime"] and event["sequence"] == event["data"]["s3"]["object"]["sequencer"]


def test_the_token_is_sent_beside_the_signature(new_server, tmp_path):
    with Receiver(tmp_path) as receiver:
        server = new_server(receiver.target(token_file=receiver.token_file("a-token-of-some-length")))
        server.boto().put_object(Bucket=quiet_bucket(server), Key="k", Body=b"1")
        assert receiver.deliveries(1)[0].headers["authorization"] == "Bearer a-token-of-some-length"


def test_the_guide_s_receiver_believes_what_is_signed_and_nothing_else(hooked):
    server, receiver = hooked()
    server.boto().put_object(Bucket=quiet_bucket(server), Key="k", Body=b"1")
    [delivery] = receiver.deliveries(1)
    [code] = re.findall(r"```python\n(.*?)```", (REPOSITORY / "docs/notifications.md").read_text(), re.DOTALL)
    guide = {"__name__": "guide"}
    exec(code, guide)
    verified = guide["verified"]
    secret = receiver.secret_file.read_text()
    assert verified(secret, delivery.headers, delivery.body)
    assert not verified(secret, delivery.headers, delivery.body + b" ")
    assert not verified(secret, delivery.headers | {"webhook-id": "evt_0"}, delivery.body)
    old = str(int(delivery.headers["webhook-timestamp"]) - 600)
    assert not verified(secret, delivery.headers | {"webhook-timestamp": old}, delivery.body)


# ---- the configuration


def test_a_configuration_is_answered_as_it_was_put(hooked):
    server, receiver = hooked()
    bucket, client = make_bucket(server), server.boto()
    found = client.get_bucket_notification_configuration(Bucket=bucket)
    assert {name for name in found if name != "ResponseMetadata"} == set()
    given = {
        "QueueConfigurations": [{"Id": "q"} | queue(["s3:ObjectCreated:*"], Prefix="logs/", Suffix=".gz")],
        "TopicConfigurations": [{"Id": "t", "TopicArn": "arn:minio:sqs::hook:webhook", "Events": ["s3:ObjectRemoved:Delete"]}],
        "LambdaFunctionConfigurations": [{"Id": "l", "LambdaFunctionArn": ARN, "Events": ["s3:ObjectTagging:*", "s3:ObjectCreated:Copy"], "Filter": {"Key": {"FilterRules": [{"Name": "Prefix", "Value": "pictures/"}]}}}],
    }
    client.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=given)
    found = client.get_bucket_notification_configuration(Bucket=bucket)
    del found["ResponseMetadata"]
    assert found == given
    [delivery] = receiver.take(1)
    test = delivery.json
    assert (test["Event"], test["Bucket"], test["Service"]) == ("s3:TestEvent", bucket, "Amazon S3")
    client.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    client.put_object(Bucket=bucket, Key="logs/x.gz", Body=b"1")
    time.sleep(0.5)
    assert receiver.got == []


def test_filters_choose_by_event_prefix_and_suffix(hooked):
    server, receiver = hooked()
    bucket = quiet_bucket(server, queue(["s3:ObjectCreated:*"], prefix="logs/", suffix=".gz"), queue(["s3:ObjectRemoved:*"]))
    client = server.boto()
    for key in ("logs/1.txt", "other/2.gz", "logs/3.gz"):
        client.put_object(Bucket=bucket, Key=key, Body=b"1")
    client.delete_object(Bucket=bucket, Key="other/2.gz")
    got = receiver.deliveries(2)
    time.sleep(0.3)
    assert sorted((delivery.name, delivery.key) for delivery in got) == [("ObjectCreated:Put", "logs/3.gz"), ("ObjectRemoved:Delete", "other/2.gz")]
    assert len(receiver.got) == 2


def test_what_s3_refuses_is_refused_with_its_code(hooked):
    server, _ = hooked(buckets=["test-*"])
    bucket, client = make_bucket(server), server.boto()

    def refused(*configurations, at=bucket):
        status, code, message = refusal(configure, server, at, *configurations)
        return status, code, message

    unable = "Unable to validate the following destination configurations"
    for arn in ("arn:aws:sqs:us-east-1:123456789012:queue", "arn:strongroom:sqs:us-east-1:other:webhook", "arn:strongroom:sqs:eu-1:hook:webhook"):
        status, code, message = refused(queue(arn=arn))
        assert (status, code) == (400, "InvalidArgument") and message.startswith(unable), message
    assert refused(queue(["s3:ObjectAccessed:*"]))[:2] == (400, "InvalidArgument")
    status, code, message = refused(queue(["s3:ObjectCreated:Put"], prefix="a"), queue(["s3:ObjectCreated:*"], prefix="ab"))
    assert (status, code) == (400, "InvalidArgument") and message.startswith("Configurations overlap."), message
    elsewhere = make_bucket(server, "elsewhere")
    assert refused(queue(), at=elsewhere)[2].startswith(unable), "the operator has not given the target to this bucket"
    event_bridge = {"EventBridgeConfiguration": {}}
    assert refusal(client.put_bucket_notification_configuration, Bucket=bucket, NotificationConfiguration=event_bridge)[:2] == (501, "NotImplemented")
    assert "QueueConfigurations" not in client.get_bucket_notification_configuration(Bucket=bucket)


def test_the_operator_s_targets_are_checked_at_the_start(new_server, tmp_path):
    with Receiver(tmp_path) as receiver:
        os.chmod(receiver.secret_file, 0o644)
        with pytest.raises(RuntimeError, match="chmod 600"):
            new_server(receiver.target())
        os.chmod(receiver.secret_file, 0o600)
        for options, says in [
            ({"url": "http://192.0.2.1/"}, "http: that is taken for this machine alone"),
            ({"name": "a b"}, "its name must be letters"),
            ({"max_in_flight": 0}, "takes a whole number from 1 to 256"),
            ({"secret": "x"}, "notification_targets.secret is not an option"),
        ]:
            with pytest.raises(RuntimeError, match=re.escape(says)):
                new_server(receiver.target(**options))


def test_only_who_has_the_rights_reads_and_puts_a_configuration(hooked, tmp_path):
    users = '[[users]]\nname = "alice"\naccess_key = "ALICEALICE"\nsecret_key = "a-secret-of-alice-for-tests"\npolicy = \'{policy}\'\n'
    statement = {"Effect": "Allow", "Action": ["s3:GetBucketNotification"], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    server, _ = hooked(config=users.format(policy=policy))
    bucket, alice = make_bucket(server), server.boto("ALICEALICE", "a-secret-of-alice-for-tests")
    alice.get_bucket_notification_configuration(Bucket=bucket)
    configuration = {"QueueConfigurations": [queue()]}
    assert refusal(alice.put_bucket_notification_configuration, Bucket=bucket, NotificationConfiguration=configuration)[:2] == (403, "AccessDenied")


# ---- receivers that misbehave


@pytest.mark.parametrize("fault", [500, 302, CLOSE])
def test_a_failed_delivery_is_repeated_with_the_same_id_in_the_order_of_the_key(hooked, fault):
    server, receiver = hooked(lambda delivery, before: fault if delivery.key == "bad" and before < 2 else 204)
    bucket, client = quiet_bucket(server), server.boto()
    client.put_object(Bucket=bucket, Key="bad", Body=b"1")
    client.put_object(Bucket=bucket, Key="bad", Body=b"22")
    client.put_object(Bucket=bucket, Key="good", Body=b"1")
    got = receiver.deliveries(5)
    of_bad = [(delivery.id, delivery.record["s3"]["object"]["size"]) for delivery in got if delivery.key == "bad"]
    assert [size for _, size in of_bad] == [1, 1, 1, 2] and len({event for event, _ in of_bad}) == 2
    at_good = [delivery.key for delivery in got].index("good")
    assert at_good < 3, "the other key did not wait"
    assert {delivery.path for delivery in got} == {"/hook"}, "a redirect is not followed"


def test_a_receiver_that_hangs_or_never_ends_holds_up_no_other_target_and_no_write(new_server, tmp_path):
    bad_home = tmp_path / "bad"
    bad_home.mkdir()
    with Receiver(tmp_path) as good, Receiver(bad_home, answer=lambda delivery, before: HANG) as bad:
        server = new_server(good.target() + bad.target("bad", timeout_seconds=1))
        client, hung = server.boto(), quiet_bucket(server, queue(arn="arn:strongroom:sqs::bad:webhook"))
        bucket = quiet_bucket(server)
        for number in range(20):
            client.put_object(Bucket=hung, Key=f"k{number}", Body=b"1")
            client.put_object(Bucket=bucket, Key=f"k{number}", Body=b"1")
        assert len(good.deliveries(20, seconds=10)) == 20
        bad.wait(lambda got: len(got) >= 8)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 10, "a stop does not wait for a receiver"


def test_a_receiver_that_never_ends_its_answer_has_the_event(hooked):
    server, receiver = hooked(lambda delivery, before: ENDLESS)
    server.boto().put_object(Bucket=quiet_bucket(server), Key="k", Body=b"1")
    receiver.deliveries(1)
    eventually(lambda: server.metric("strongroom_events_delivered_total") == 1)
    # It is settled a moment after it was delivered.
    eventually(lambda: server.metric("strongroom_events_queued") == 0)
    assert server.rss_bytes() < 400 << 20
    assert len(receiver.got) == 1


def eventually(holds, seconds=30):
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_receiver_with_another_certificate_gets_nothing(hooked, tmp_path):
    server, receiver = hooked(tls=True)
    server.stop()
    server.config = "\n".join(line for line in server.config.splitlines() if not line.startswith("ca_file"))
    server.start()
    server.boto().put_object(Bucket=quiet_bucket(server), Key="k", Body=b"1")
    eventually(lambda: server.metric("strongroom_events_failed_attempts_total") >= 1)
    [target] = Admin(server)("GET", "/events")["targets"]
    assert "certificate" in target["last_failure"] and receiver.got == []


def test_events_wait_for_a_receiver_that_is_away_also_over_a_restart_of_the_server(hooked):
    server, receiver = hooked()
    bucket, client = quiet_bucket(server), server.boto()
    receiver.close()
    for number in range(10):
        client.put_object(Bucket=bucket, Key=f"k{number}", Body=b"1")
    eventually(lambda: server.metric("strongroom_events_failed_attempts_total") >= 8)
    assert server.metric("strongroom_events_queued") == 10
    server.restart()
    receiver.released.clear()
    receiver.open()
    assert {delivery.key for delivery in receiver.deliveries(10)} == {f"k{number}" for number in range(10)}
    eventually(lambda: server.metric("strongroom_events_queued") == 0)


def test_events_of_a_target_that_was_taken_away_stay_until_it_is_back(hooked, tmp_path):
    server, receiver = hooked()
    bucket, client = quiet_bucket(server), server.boto()
    client.put_object(Bucket=bucket, Key="first", Body=b"1")
    receiver.take(1)
    # A stop between the receiver's answer and its commit sends the event again.
    eventually(lambda: server.metric("strongroom_events_queued") == 0)
    server.stop()
    config, server.config = server.config, ""
    server.start()
    server.boto().put_object(Bucket=bucket, Key="second", Body=b"1")
    targets = Admin(server)("GET", "/events")["targets"]
    assert [(target["target"], target["configured"], target["queued"]) for target in targets] == [("hook", False, 1)]
    assert refusal(configure, server, bucket, queue())[1] == "InvalidArgument"
    server.stop()
    server.config = config
    server.start()
    assert receiver.deliveries(1)[0].key == "second"


# ---- events that are given up


def test_an_event_that_fails_for_too_long_is_dead_and_is_listed_sent_again_and_dropped(hooked, tmp_path):
    well = threading.Event()
    server, receiver = hooked(lambda delivery, before: 204 if well.is_set() or delivery.key == "fine" else 500, max_age_seconds=1)
    bucket, client = quiet_bucket(server), server.boto()
    for key in ("one", "two", "fine"):
        client.put_object(Bucket=bucket, Key=key, Body=b"1")
    eventually(lambda: server.metric("strongroom_events_dead") == 2, seconds=60)
    env = Kms(server, tmp_path).env

    def strongroom(arguments, status=0):
        return run(f"{BINARY} {arguments}", env, status=status)

    dead = json.loads(strongroom("events dead --json").stdout)["events"]
    assert sorted((event["bucket"], event["key"], event["reason"]) for event in dead) == [(bucket, key, "500 Internal Server Error") for key in ("one", "two")]
    assert all(event["attempts"] >= 3 for event in dead)
    table = strongroom("events targets").stdout
    assert re.search(r"^hook +true +0 +- +2 +0 ", table, re.MULTILINE), table
    well.set()
    before = len(receiver.got)
    assert json.loads(strongroom(f"events resend {dead[0]['event_id']} --json").stdout) == {"events": 1}
    again = receiver.wait(lambda got: got[before:] or None)[0]
    assert (again.id, again.key) == ("evt_" + dead[0]["event_id"], dead[0]["key"])
    strongroom(f"events resend {dead[0]['event_id']}", status=3)
    strongroom("events drop --target hook")
    strongroom("events drop --target hook", status=3)
    assert server.metric("strongroom_events_dead") == 0


def test_gone_is_final_and_the_key_goes_on(hooked):
    server, receiver = hooked(lambda delivery, before: 410 if delivery.record["s3"]["object"]["size"] == 1 else 204)
    bucket, client = quiet_bucket(server), server.boto()
    client.put_object(Bucket=bucket, Key="k", Body=b"1")
    client.put_object(Bucket=bucket, Key="k", Body=b"22")
    assert [delivery.record["s3"]["object"]["size"] for delivery in receiver.deliveries(2)] == [1, 2]
    eventually(lambda: server.metric("strongroom_events_dead") == 1)


def test_a_full_queue_refuses_no_write_and_is_told(hooked):
    server, receiver = hooked(max_queued=5)
    bucket, client = quiet_bucket(server), server.boto()
    receiver.close()
    for number in range(9):
        client.put_object(Bucket=bucket, Key=f"k{number}", Body=b"1")
    assert (server.metric("strongroom_events_queued"), server.metric("strongroom_events_dropped_total")) == (5, 4)
    receiver.released.clear()
    receiver.open()


# ---- kills


@pytest.mark.timeout(120 + 20 * KILLS)
def test_each_acknowledged_write_has_its_event_and_keys_keep_their_order_over_kills(hooked):
    """The story: writers put and overwrite while the receiver fails now and then. At a random instant the server is killed. Every write that was
    acknowledged must be told at least once; of a key, what is told first of each event comes in the order of the writes; and nothing is told of
    that no reader could have seen: its size is one that was sent."""
    chance = random.Random(20)
    server, receiver = hooked(lambda delivery, before: 500 if before == 0 and chance.random() < 0.05 else 204)
    bucket = quiet_bucket(server)
    acknowledged, attempted = {}, {}
    for round_number in range(KILLS):
        stop = threading.Event()

        def write(writer, round_number=round_number, stop=stop):
            client = server.raw()
            for number in range(1, 10_000):
                key = f"k{writer}-{number % 10}"
                if stop.is_set():
                    return
                size = round_number * 10_000 + number
                attempted.setdefault(key, []).append(size)
                try:
                    client.put(bucket, key, b"x" * size).ok()
                except Exception:
                    return
                acknowledged.setdefault(key, []).append(size)

        threads = [threading.Thread(target=write, args=(writer,)) for writer in range(6)]
        for thread in threads:
            thread.start()
        time.sleep(chance.uniform(0.3, 1.2))
        server.kill()
        stop.set()
        for thread in threads:
            thread.join()
        server.start()
    eventually(lambda: server.metric("strongroom_events_queued") == 0, seconds=100)
    told = {}
    for delivery in receiver.got:
        size, seen = delivery.record["s3"]["object"]["size"], told.setdefault(delivery.key, [])
        if size not in seen:
            seen.append(size)
    assert not receiver.bad and sum(map(len, acknowledged.values())) > 10 * KILLS
    for key, sizes in acknowledged.items():
        assert set(sizes) <= set(told[key]), sorted(set(sizes) - set(told[key]))
        assert told[key] == sorted(told[key]), key
        assert set(told[key]) <= set(attempted[key])
    print(f"{sum(map(len, acknowledged.values()))} writes, {len(receiver.got)} deliveries")


# ---- mc


def test_mc_adds_lists_and_removes_events(hooked, tmp_path):
    assert MC.exists(), f"{MC} is missing; install it with: tests/install.sh"
    server, receiver = hooked()
    shell = Shell(server, tmp_path)
    cas = tmp_path / ".mc/certs/CAs"
    cas.mkdir(parents=True)
    shutil.copy(server.ca, cas / "strongroom.pem")
    shell.env["MC_UPDATE"] = "off"

    def mc(arguments, status=0):
        return shell(f"{MC} --config-dir {tmp_path}/.mc --no-color --json {arguments}", status=status)

    mc(f"alias set s3 {server.endpoint} {server.access_key} {server.secret_key}")
    bucket = make_bucket(server)
    mc(f"event add s3/{bucket} {ARN} --event put,delete --prefix photos/ --suffix .jpg")
    assert receiver.take(1)[0].name == "TestEvent"
    [row] = rows(mc(f"event list s3/{bucket}"))
    assert (row["arn"], row["prefix"], row["suffix"]) == (ARN, "photos/", ".jpg")
    assert sorted(row["event"]) == ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]
    server.boto().put_object(Bucket=bucket, Key="photos/1.jpg", Body=b"1")
    assert receiver.take(1)[0].key == "photos/1.jpg"
    mc(f"event add s3/{bucket} {ARN} --event get --prefix x", status=1)
    mc(f"event remove s3/{bucket} {ARN} --event put,delete --prefix photos/ --suffix .jpg")
    assert rows(mc(f"event list s3/{bucket}")) == []
    # Its own partition is taken as well.
    mc(f"event add s3/{bucket} arn:minio:sqs::hook:webhook --event put")
    assert len(rows(mc(f"event list s3/{bucket}"))) == 1
    mc(f"event remove s3/{bucket} --force")
    assert rows(mc(f"event list s3/{bucket}")) == []
