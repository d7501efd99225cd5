"""What monitoring sees: every metric of the documentation is there, every alert is about a metric that there is."""

import re

from harness.admin import Admin
from harness.server import REPOSITORY
from harness.sse import KMS_KEY_ID, SSE

DOCS = REPOSITORY / "docs/monitoring"


def text_of(server):
    status, text = server.fetch(f"https://127.0.0.1:{server.admin_port}/metrics")
    assert status == 200
    return text


def test_the_documented_metrics_are_those_there_are(server, raw, bucket):
    admin = Admin(server)
    key = admin.create_key()
    raw.put(bucket, "object", b"x", {SSE: "aws:kms", KMS_KEY_ID: key}).ok()
    admin.rekey(bucket=bucket, from_key=key)
    there = set(re.findall(r"^# TYPE (\S+)", text_of(server), re.M))
    documented = set(re.findall(r"`((?:process|strongroom)_[a-z_]+)`", (DOCS / "README.md").read_text()))
    assert there == documented


def test_every_alert_is_about_metrics_that_there_are(server):
    there = set(re.findall(r"^# TYPE (\S+)", text_of(server), re.M))
    rules = (DOCS / "strongroom.rules.yml").read_text()
    expressions = re.findall(r"expr: (?:>\n)?((?:.+\n)(?:          .+\n)*)", rules)
    assert len(expressions) == rules.count("- alert:")
    for expression in expressions:
        for name in re.findall(r"strongroom_[a-z_]+", expression):
            assert re.sub(r"_(bucket|sum|count)$", "", name) in there, name


def test_the_metrics_are_well_formed_and_name_no_object(server, raw, bucket):
    raw.put(bucket, "object-canary", b"x", {SSE: "aws:kms"}).ok()
    text = text_of(server)
    assert bucket not in text and "object-canary" not in text
    for line in text.splitlines():
        assert line.startswith("#") or re.fullmatch(r'[a-z_]+(\{([a-z_]+="[^"\n]*",?)*\})? [0-9.e+-]+', line), line


def test_calls_of_the_backend_and_the_cache_are_counted(server, raw, bucket):
    raw.put(bucket, "object", b"x", {SSE: "aws:kms"}).ok()
    calls, hits = server.metric("strongroom_kms_calls_total"), server.metric("strongroom_kms_cache_hits_total")
    raw.get(bucket, "object").ok()
    raw.get(bucket, "object").ok()
    assert server.metric("strongroom_kms_calls_total") >= calls + 1
    assert server.metric("strongroom_kms_cache_hits_total") >= hits + 1
