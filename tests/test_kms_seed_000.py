"""Seed 000 (RustFS): the admin flow it points at — configure, start, create a key, put, reconfigure the default, status —
with awscurl, under each of the paths."""

import json

import pytest

from conftest import make_bucket
from harness.admin import PREFIXES, Admin
from harness.cli import Shell
from harness.sse import KMS_KEY_ID, SSE

NO_KMS = 'encrypt_by_default = false\n[kms]\nbackend = "none"\n'


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_admin_flow_of_seed_000(new_server, tmp_path, prefix):
    server = new_server(NO_KMS)
    shell = Shell(server, tmp_path)
    port = server.admin_port if prefix == "/kms" else server.port

    def awscurl(method, path, body=None):
        data = f"-d '{json.dumps(body)}' -H 'Content-Type: application/json'" if body is not None else ""
        shell.env["REQUESTS_CA_BUNDLE"] = str(server.ca)
        done = shell(f"awscurl --service s3 --region us-east-1 -X {method} {data} 'https://127.0.0.1:{port}{prefix}{path}'")
        return json.loads(done.stdout)

    assert awscurl("GET", "/status")["status"] == "NotConfigured"
    raw, bucket = server.raw(), make_bucket(server)
    raw.put(bucket, "early", b"x", {SSE: "AES256"}).fails(501, "NotImplemented")

    configured = awscurl("POST", "/configure", {"backend_type": "local", "default_key_id": "rotation-2024-09", "enable_cache": True})
    assert (configured["success"], configured["status"]) == (True, "Configured")
    assert awscurl("GET", "/status")["status"] == "Configured"
    away = raw.put(bucket, "early", b"x", {SSE: "AES256"}).fails(503, "InternalError")
    assert "/kms/status" in away.message

    started = awscurl("POST", "/start", {})
    assert (started["success"], started["status"]) == (True, "Running")
    created = awscurl("POST", "/keys", {"KeyUsage": "ENCRYPT_DECRYPT", "Description": "reports", "Tags": {"team": "finance"}, "name": "reports"})
    assert created["key_id"] == "reports"
    assert created["key_metadata"]["description"] == "reports"

    shell.file("report.csv", b"quarter,profit\n")
    shell.env["AWS_ENDPOINT_URL"] = server.endpoint
    put = "aws s3api put-object --bucket {} --key {} --body report.csv --server-side-encryption {}"
    default = json.loads(shell(put.format(bucket, "default.csv", "AES256")).stdout)
    assert default["ServerSideEncryption"] == "AES256"
    assert raw.head(bucket, "default.csv").ok().headers[KMS_KEY_ID] == "rotation-2024-09"
    named = json.loads(shell(put.format(bucket, "named.csv", "aws:kms") + " --ssekms-key-id reports").stdout)
    assert named["SSEKMSKeyId"] == "reports"

    changed = awscurl("POST", "/reconfigure", {"default_key_id": "reports", "cache_ttl_seconds": 5})
    assert (changed["success"], changed["status"]) == (True, "Running")
    status = awscurl("GET", "/status")
    assert (status["status"], status["backend_type"], status["healthy"]) == ("Running", "local", True)
    summary = status["config_summary"]
    assert (summary["default_key_id"], summary["enable_cache"], summary["cache_summary"]["ttl_seconds"]) == ("reports", True, 5)
    assert awscurl("GET", "/service-status") .keys() == status.keys()
    raw.put(bucket, "after", b"y", {SSE: "aws:kms"}).ok()
    assert raw.head(bucket, "after").ok().headers[KMS_KEY_ID] == "reports"
    for key, body in [("default.csv", b"quarter,profit\n"), ("named.csv", b"quarter,profit\n"), ("after", b"y")]:
        assert raw.get(bucket, key).ok().body == body


def test_the_configuration_survives_a_restart_and_what_was_stopped_stays_stopped(new_server):
    server = new_server(NO_KMS)
    admin = Admin(server)
    admin("POST", "/configure", {"backend_type": "local", "default_key_id": "first"})
    admin("POST", "/start")
    bucket = make_bucket(server)
    server.raw().put(bucket, "object", b"body", {SSE: "AES256"}).ok()
    server.restart()
    admin = Admin(server)
    assert admin("GET", "/status")["status"] == "Running"
    assert server.raw().get(bucket, "object").ok().body == b"body"
    admin("POST", "/stop")
    server.raw().get(bucket, "object").fails(503, "InternalError")
    server.restart()
    assert Admin(server)("GET", "/status")["status"] == "Configured"
    server.raw().get(bucket, "object").fails(503, "InternalError")
    Admin(server)("POST", "/start")
    assert server.raw().get(bucket, "object").ok().body == b"body"


def test_configuring_a_running_service_is_a_conflict_and_a_bad_reconfiguration_changes_nothing(new_server):
    server = new_server()
    admin, bucket = Admin(server), make_bucket(server)
    admin.fails(409, "POST", "/configure", {"backend_type": "local"})
    before = admin("GET", "/config")
    for bad, status in [
        ({"default_key_id": "no-such-key"}, 400),
        ({"timeout_seconds": 0}, 400),
        ({"no_such_field": 1}, 400),
        ({"backend_type": "cloud"}, 400),
        ({"backend_type": "vault", "address": "https://127.0.0.1:1", "auth_method": {"token": {"token": "t"}}}, 503),
        ({"file_permissions": 0o644}, 400),
    ]:
        admin.fails(status, "POST", "/reconfigure", bad)
        assert admin("GET", "/config") == before, bad
        assert admin("GET", "/status")["status"] == "Running"
    server.raw().put(bucket, "object", b"body", {SSE: "AES256"}).ok()
