"""The admin API against its own OpenAPI document: schemathesis asks every operation with what the document permits, and with what not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.admin import PREFIXES, Admin

SECONDS = 480
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# What would end or lock the service under the others' feet, or takes minutes; each has tests of its own.
LEFT_OUT = "/(stop|seal|configure|reconfigure|restore|backup)$"

HOOKS = '''
import hashlib
import os
from urllib.parse import parse_qsl, unquote, urlsplit

import schemathesis
from harness import sigv4


@schemathesis.hook
def before_call(context, case, kwargs):
    # Another Host than this port's is malformed HTTP, which is no matter of the document.
    for name in [name for name in case.headers or {} if name.lower() == "host"]:
        del case.headers[name]


@schemathesis.auth()
class Signed:
    """Signs each request as it is about to be sent."""

    def get(self, case, context):
        return sigv4.Credentials(os.environ["TEST_ACCESS_KEY"], os.environ["TEST_SECRET_KEY"])

    def set(self, case, data, context):
        from requests.auth import AuthBase

        class Auth(AuthBase):
            def __call__(self, request):
                url = urlsplit(request.url)
                body = request.body or b""
                body = body.encode() if isinstance(body, str) else body
                digest = hashlib.sha256(body).hexdigest()
                query = parse_qsl(url.query, keep_blank_values=True)
                headers = sigv4.sign(data, request.method, unquote(url.path), query, {"host": url.netloc}, digest)
                request.headers.update(headers)
                return request

        case._auth = Auth()
'''


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_document_is_served_and_lists_what_there_is(server, prefix):
    document = Admin(server, prefix)("GET", "/openapi.json")
    assert document["openapi"].startswith("3.")
    paths = document["paths"]
    for path in ["/kms/status", "/kms/configure", "/kms/keys", "/kms/keys/{key_id}", "/kms/keys/{key_id}/usage", "/kms/keys/delete", "/kms/rekey"]:
        assert path in paths, sorted(paths)
    assert set(paths["/kms/rekey"]) >= {"get", "post", "delete"}


def test_no_answer_departs_from_the_document(new_server, tmp_path):
    server = new_server()
    document = Admin(server)("GET", "/openapi.json")
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    (tmp_path / "hooks.py").write_text(HOOKS)
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": f"{Path(__file__).parent}:{tmp_path}",
        "SCHEMATHESIS_HOOKS": "hooks",
        "REQUESTS_CA_BUNDLE": str(server.ca),
        "TEST_ACCESS_KEY": server.access_key,
        "TEST_SECRET_KEY": server.secret_key,
    }
    command = [
        Path(sys.executable).parent / "schemathesis",
        "run",
        tmp_path / "openapi.json",
        "--url",
        f"https://127.0.0.1:{server.admin_port}",
        "--tls-verify",
        server.ca,
        "--checks",
        CHECKS,
        "--exclude-path-regex",
        LEFT_OUT,
        "--phases",
        "examples,coverage,fuzzing",
        "--max-examples",
        "20",
        "--seed",
        "1",
        "--request-timeout",
        "30",
    ]
    done = subprocess.run([str(word) for word in command], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS)
    _, _, failures = done.stdout.partition("FAILURES")
    assert done.returncode == 0, (failures.partition("WARNINGS")[0] or done.stdout)[:6000] + done.stderr[-1000:]
    assert Admin(server)("GET", "/status")["status"] == "Running"
    assert "panicked" not in server.log_text()
