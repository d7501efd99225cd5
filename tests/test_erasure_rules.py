"""Erasure rules: a key is destroyed on a date, and with it a bucket or a prefix; days of two seconds, real kills."""

import json
import os
import subprocess
import time

import pytest
from botocore.exceptions import ClientError

from conftest import make_bucket
from harness.admin import Admin
from harness.audit import AuditLog
from harness.cli import environment, run
from harness.server import BINARY, Server

SHORT = "[lifecycle]\nday_seconds = 2\n"
RULES = "/erasure/rules"
SECONDS = 30
# More than a rule takes from its date to its end.
MOST_SYNCS = 40


def put(client, bucket, name, key):
    client.put_object(Bucket=bucket, Key=name, Body=b"data", ServerSideEncryption="aws:kms", SSEKMSKeyId=key)


def read(client, bucket, name):
    """The body, or the status of the refusal."""
    try:
        return client.get_object(Bucket=bucket, Key=name)["Body"].read()
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"]


def until_state(admin, rule_id, *states):
    """The rule, when it is in one of these states."""
    until = time.monotonic() + SECONDS
    while (rule := admin("GET", f"{RULES}/{rule_id}"))["state"] not in states:
        assert time.monotonic() < until, rule
        time.sleep(0.1)
    return rule


def soon(bucket, key, **more):
    return {"bucket": bucket, "key_id": key, "days": 1, "confirm_key_id": key} | more


def receipts(admin, key):
    return admin("GET", "/receipts", query={"key_id": key})["receipts"]


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("short") / "home", config=SHORT).start()
    yield server
    assert "panicked" not in server.log_text()
    server.remove()


def test_a_bucket_ends_on_its_date_and_stays_listed_and_the_receipt_is_genuine(short):
    admin, client, bucket = Admin(short), short.boto(), make_bucket(short)
    key = admin.create_key()
    put(client, bucket, "a", key)
    client.put_object(Bucket=bucket, Key="plain", Body=b"data", ServerSideEncryption="AES256")
    log = AuditLog(short)
    rule = admin("POST", RULES, {"bucket": bucket, "key_id": key, "days": 7})
    assert (rule["state"], rule["obstacles"], rule["objects_left"]) == ("Scheduled", [], 1)
    assert read(client, bucket, "a") == b"data"
    done = until_state(admin, rule["rule_id"], "Done")
    assert read(client, bucket, "a") == 410
    assert read(client, bucket, "plain") == b"data", "it is under another key, as objects_left says"
    assert done["objects_left"] == 1
    assert [found["Key"] for found in client.list_objects_v2(Bucket=bucket)["Contents"]] == ["a", "plain"]
    assert receipts(admin, key) == [done["receipt"]]
    stated = done["receipt"]["receipt"]
    assert (stated["objects"], stated["bytes"], stated["buckets"], stated["requested_by"]) == (1, 4, [bucket], "root")
    assert stated["request_id"] == f"erasure-rule:{rule['rule_id']}"
    told = [(event["operation"], event["key_id"]) for event in log.events() if event["request_id"] == stated["request_id"]]
    assert told == [("EraseKey", key), ("CarryOutErasureRule", key)]
    client.delete_object(Bucket=bucket, Key="a")
    assert [found["Key"] for found in client.list_objects_v2(Bucket=bucket)["Contents"]] == ["plain"]


def test_a_rule_whose_key_is_used_elsewhere_waits_and_shows_in_the_metrics_until_that_is_over(short):
    admin, client, bucket = Admin(short), short.boto(), make_bucket(short)
    key, other = admin.create_key(), admin.create_key()
    put(client, bucket, "2019/a", key)
    put(client, bucket, "2020/a", key)
    rule = admin("POST", RULES, soon(bucket, key, prefix="2019/"))["rule_id"]
    blocked = until_state(admin, rule, "Blocked")
    why = f"1 objects and 0 uploads outside of the prefix 2019/ in the bucket {bucket} depend on the key. Re-key or delete them."
    assert blocked["obstacles"] == [why]
    status, text = short.fetch(f"https://127.0.0.1:{short.admin_port}/metrics")
    assert (status, 'strongroom_kms_erasure_rules{state="Blocked"} 1\n' in text) == (200, True)
    (line,) = [line for line in short.log_text().splitlines() if "an erasure rule is due and cannot be carried out" in line and rule in line]
    assert why in line
    assert (read(client, bucket, "2019/a"), read(client, bucket, "2020/a")) == (b"data", b"data")
    admin.rekey(bucket=bucket, prefix="2020/", from_key=key, to_key=other)
    until_state(admin, rule, "Done")
    assert (read(client, bucket, "2019/a"), read(client, bucket, "2020/a")) == (410, b"data")


def test_a_rule_waits_for_its_date_over_a_stop_and_is_made_up_for_at_the_start(short):
    admin, client, bucket = Admin(short), short.boto(), make_bucket(short)
    key = admin.create_key()
    put(client, bucket, "a", key)
    rule = admin("POST", RULES, soon(bucket, key))["rule_id"]
    short.stop()
    time.sleep(2)
    short.start()
    admin = Admin(short)
    until_state(admin, rule, "Done")
    assert read(short.boto(), bucket, "a") == 410
    assert len(receipts(admin, key)) == 1


def killed_at(server, sync):
    """Kills the server with SIGKILL at that sync of a file, counted from now."""
    inject = f"inject=fsync,fdatasync:signal=KILL:when={sync}"
    command = ["strace", "-f", "-q", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", inject, "-p", str(server.process.pid)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_a_rule_that_is_killed_at_any_sync_ends_in_the_same_state_with_one_receipt(new_server):
    server = new_server(SHORT)
    bucket, kills = make_bucket(server), 0
    for sync in range(1, MOST_SYNCS):
        admin = Admin(server)
        key = admin.create_key()
        put(server.boto(), bucket, f"{sync}", key)
        rule = admin("POST", RULES, soon(bucket, key))["rule_id"]
        tracer = killed_at(server, sync)
        until = time.monotonic() + SECONDS
        while server.process.poll() is None and time.monotonic() < until:
            time.sleep(0.2)
            try:
                if admin("GET", f"{RULES}/{rule}")["state"] == "Done":
                    break
            except (OSError, AssertionError):
                pass
        was_killed = server.process.poll() is not None
        tracer.terminate()
        tracer.wait()
        kills += was_killed
        if was_killed:
            server.kill()
            server.start()
        admin = Admin(server)
        done = until_state(admin, rule, "Done")
        assert receipts(admin, key) == [done["receipt"]], f"killed at sync {sync}"
        stated = done["receipt"]["receipt"]
        assert (stated["objects"], stated["bytes"], stated["request_id"]) == (1, 4, f"erasure-rule:{rule}"), f"killed at sync {sync}"
        assert read(server.boto(), bucket, f"{sync}") == 410, f"killed at sync {sync}"
        if not was_killed:
            break
    assert kills >= 5, "it was killed before the rule, after it and in between"


def test_the_command_line_adds_lists_shows_and_removes_rules(server, bucket, tmp_path):
    env = environment(server, tmp_path) | {"PATH": f"{BINARY.parent}:{os.environ['PATH']}"}
    command = f"strongroom lifecycle --endpoint https://127.0.0.1:{server.admin_port}"
    key = Admin(server).create_key()
    asked = lambda words, status=0: json.loads(run(f"{command} --json erase {words}", env, status=status).stdout or "null")
    added = asked(f"add --bucket {bucket} --prefix 2019/ --key {key} --at 2090-01-01")
    assert (added["at"], added["prefix"], added["state"]) == ("2090-01-01T00:00:00Z", "2019/", "Scheduled")
    rule = added["rule_id"]
    assert asked(f"show {rule}") == added
    assert rule in [found["rule_id"] for found in asked("list")["rules"]]
    table = run(f"{command} erase list", env).stdout.splitlines()
    assert table[0].split() == ["RULE", "ID", "BUCKET", "PREFIX", "KEY", "ID", "AT", "STATE", "ENDED"]
    assert any(line.startswith(rule) for line in table[1:])
    asked(f"add --bucket {bucket} --key {key} --days 9", status=5)
    assert asked(f"remove {rule}")["message"] == "erasure rule removed"
    asked(f"remove {rule}", status=3)
    asked(f"add --bucket {bucket} --key {key} --days 1", status=2)
    asked(f"add --bucket {bucket} --key {key}", status=2)
    soon = asked(f"add --bucket {bucket} --key {key} --days 1 --confirm {key}")
    assert asked(f"remove {soon['rule_id']}")["rule"]["rule_id"] == soon["rule_id"]
