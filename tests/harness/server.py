"""A Strongroom server of one's own: started from the release binary, stopped by its pid."""

import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.request
from pathlib import Path

import boto3
from botocore.config import Config

from harness import leaks
from harness.raw import RawClient

REPOSITORY = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("STRONGROOM_TEST_BINARY", REPOSITORY / "target/release/strongroom"))
START_SECONDS = 30
STOP_SECONDS = 30
REGION = "us-east-1"


class Server:
    """One server process and its directories under `home`."""

    unchecked = set()  # those whose files nobody has looked through for secrets yet

    def __init__(self, home, config="", flags=(), env=None, credentials=True, prefix=()):
        self.home = Path(home)
        self.home.mkdir(parents=True, exist_ok=True)
        self.data = self.home / "data"
        self.secrets = self.home / "data.secrets"
        self.ca = self.secrets / "tls" / "ca.pem"
        self.log = self.home / "server.log"
        self.access_key = "AK" + secrets.token_hex(9).upper()
        # A word that begins with a dash would be an option to mc.
        self.secret_key = secrets.token_hex(20)
        # The suite sends thousands of wrong signatures from one address; test_limits.py has servers that mind.
        self.config, self.flags, self.extra_env = config, list(flags), {"STRONGROOM_DELAY_GUESSES": "false"} | dict(env or {})
        self.prefix = list(prefix)  # a command that executes the server
        if credentials:
            self.extra_env |= {"STRONGROOM_ACCESS_KEY": self.access_key, "STRONGROOM_SECRET_KEY": self.secret_key}
        self.port = self.admin_port = 0
        self.process = None

    # ---- the process

    def start(self):
        """Starts the server and waits until it is ready; other ports are tried where one was taken meanwhile."""
        self.unchecked.add(self)
        for attempt in range(3):
            self.port, self.admin_port = free_ports(2)
            self._spawn()
            if self._wait_ready():
                return self
            if "in use" not in self.log_text().lower() or attempt == 2:
                raise RuntimeError(f"the server did not become ready:\n{self.log_text()[-4000:]}")
        return self

    def _spawn(self):
        command = [*self.prefix, str(BINARY), "serve", str(self.data), "--address", f"127.0.0.1:{self.port}", "--admin-address", f"127.0.0.1:{self.admin_port}"]
        if self.config:
            file = self.home / "strongroom.toml"
            file.touch(mode=0o600)
            file.write_text(self.config)
            command += ["--config", str(file)]
        env = {name: value for name, value in os.environ.items() if not name.startswith(("STRONGROOM_", "AWS_"))}
        env |= self.extra_env
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command + self.flags, env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def _wait_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                return False
            if self.ca.exists() and self.health("ready") == 200:
                return True
            time.sleep(0.03)
        self.kill()
        return False

    def stop(self):
        """SIGTERM, and the exit status."""
        if self.process is None or self.process.poll() is not None:
            return self.process and self.process.returncode
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("the server did not stop within 30 s of SIGTERM") from None

    def kill(self):
        """kill -9"""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def restart(self):
        self.stop()
        return self.start()

    def remove(self):
        """Ends it and removes its directories; fails if it has written a secret anywhere."""
        self.kill()
        try:
            self.unchecked.discard(self)
            leaks.check(self)
        finally:
            self._remove_files()

    def _remove_files(self):
        if not os.environ.get("STRONGROOM_TEST_KEEP"):
            shutil.rmtree(self.home, ignore_errors=True)

    def rss_bytes(self):
        """VmRSS: the resident set at present."""
        return self._status_bytes("VmRSS:")

    def peak_rss_bytes(self):
        """VmHWM: the largest resident set since the process began."""
        return self._status_bytes("VmHWM:")

    def _status_bytes(self, name):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
        raise RuntimeError(f"no {name}")

    # ---- talking to it

    @property
    def endpoint(self):
        return f"https://127.0.0.1:{self.port}"

    def health(self, what, admin=False):
        port = self.admin_port if admin else self.port
        try:
            return self.fetch(f"https://127.0.0.1:{port}/health/{what}")[0]
        except OSError:
            return None

    def metric(self, name):
        """The sum of a counter's samples at the admin port."""
        status, text = self.fetch(f"https://127.0.0.1:{self.admin_port}/metrics")
        assert status == 200, status
        samples = [line for line in text.splitlines() if line.split("{")[0].split(" ")[0] == name]
        assert samples, f"no metric {name} in:\n{text}"
        return sum(float(line.rsplit(" ", 1)[1]) for line in samples)

    def fetch(self, url):
        context = ssl.create_default_context(cafile=str(self.ca))
        with urllib.request.urlopen(url, context=context, timeout=10) as reply:
            return reply.status, reply.read().decode()

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def raw(self, access_key=None, secret_key=None):
        """A client that sends exactly what it is told."""
        return RawClient(self.port, self.ca, access_key or self.access_key, secret_key or self.secret_key)

    def boto(self, access_key=None, secret_key=None, endpoint=None, service="s3", **config):
        """A boto3 client of a service with boto3's own defaults, retries off."""
        config = {"retries": {"max_attempts": 1, "mode": "standard"}, "s3": {"addressing_style": "path"}} | config
        return boto3.client(
            service,
            endpoint_url=endpoint or self.endpoint,
            verify=str(self.ca),
            region_name=REGION,
            aws_access_key_id=access_key or self.access_key,
            aws_secret_access_key=secret_key or self.secret_key,
            config=Config(**config),
        )


def free_ports(count):
    """Ports that nobody listens on at the moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
