"""The admin API, called with signed JSON."""

import hashlib
import json
import os
import secrets
import time
from pathlib import Path

from harness.cli import environment, run
from harness.raw import RawClient
from harness.server import BINARY

PREFIXES = ["/kms", "/strongroom/admin/v1/kms", "/rustfs/admin/v3/kms"]
JOB_SECONDS = 120


class Admin:
    """`admin("POST", "/keys", {...})` against a server's admin port, or with another prefix its S3 port."""

    def __init__(self, server, prefix="/kms", access_key=None, secret_key=None):
        port = server.admin_port if prefix in ("/kms", "/iam") else server.port
        self.prefix = prefix
        self.raw = RawClient(port, server.ca, access_key or server.access_key, secret_key or server.secret_key)

    def reply(self, method, path, body=None, query=(), **options):
        """The answer as it came."""
        payload = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"content-type": "application/json"} if body is not None else {}
        options.setdefault("payload", hashlib.sha256(payload).hexdigest())
        return self.raw.request(method, self.prefix + path, query=query, headers=headers, body=payload, **options)

    def __call__(self, method, path, body=None, query=(), status=200):
        """The JSON of an answer of that status; none where it is empty."""
        reply = self.reply(method, path, body, query)
        assert reply.status == status, f"{method} {path}: {reply.status}, expected {status}: {reply.body[:600]!r}"
        return json.loads(reply.body) if reply.body else None

    def fails(self, status, method, path, body=None, query=()):
        """The error `{code, message}` of that status."""
        error = self(method, path, body, query, status=status)
        assert set(error) >= {"code", "message"} and error["message"], error
        return error

    # ---- what tests do again and again

    def create_key(self, name=None, **fields):
        """The id of a new key."""
        name = name or f"key-{secrets.token_hex(6)}"
        return self("POST", "/keys", {"name": name} | fields)["key_id"]

    def key(self, key_id):
        return self("GET", f"/keys/{key_id}")["key_metadata"]

    def usage(self, key_id, **query):
        return self("GET", f"/keys/{key_id}/usage", query=query)

    def change(self, what, key_id, **fields):
        return self("POST", f"/keys/{what}", {"key_id": key_id} | fields)

    def rekey(self, **request):
        """A job, waited for until it has ended."""
        return self.wait_for_job(self("POST", "/rekey", request, status=202)["job_id"])

    def wait_for_job(self, job_id, seconds=JOB_SECONDS):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            job = self("GET", f"/rekey/{job_id}")
            if job["state"] != "Running":
                return job
            time.sleep(0.05)
        raise AssertionError(f"the job has not ended after {seconds} s: {job}")


class Kms:
    """`strongroom kms …`, as an operator on the server's machine types it."""

    def __init__(self, server, home):
        self.home = Path(home)
        self.env = environment(server, home) | {"PATH": f"{BINARY.parent}:{os.environ['PATH']}"}
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_CA_BUNDLE"):
            del self.env[name]
        folder = self.home / ".config/strongroom"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "secret").touch(mode=0o600)
        (folder / "secret").write_text(server.secret_key + "\n")
        (folder / "config.toml").touch(mode=0o600)
        self.configure("default", server, server.access_key, folder / "secret")

    def configure(self, profile, server, access_key, secret_key_file):
        """Adds a profile."""
        endpoint = f"https://127.0.0.1:{server.admin_port}"
        with open(self.home / ".config/strongroom/config.toml", "a") as file:
            file.write(f'[profiles.{profile}]\nendpoint = "{endpoint}"\naccess_key = "{access_key}"\nsecret_key_file = "{secret_key_file}"\nca = "{server.ca}"\n')

    def __call__(self, command, status=0):
        return self.run(f"kms {command}", status)

    def run(self, command, status=0):
        """Any command of the program."""
        return run(f"strongroom {command}", self.env, cwd=self.home, status=status)

    def json(self, command, status=0):
        return json.loads(self(f"--json {command}", status=status).stdout)


class Program(Kms):
    """`program("user list")`, and its JSON."""

    def __call__(self, command, status=0):
        return self.run(command, status)

    def json(self, command, status=0):
        name, _, rest = command.partition(" ")
        return json.loads(self(f"{name} --json {rest}", status).stdout)

    def file(self, name, text):
        (self.home / name).write_text(text)
        return name
