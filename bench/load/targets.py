"""The servers that are put under load: Strongroom, and MinIO beside it."""

import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

BENCH = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(BENCH.parent / "tests"))

from harness.raw import RawClient  # noqa: E402
from harness.server import Server, free_ports  # noqa: E402

# Dead blobs are swept as often as a sweep can run, so that there is always one.
CONFIG = """
sweep_interval_seconds = 1
dead_blob_grace_seconds = 1
[[users]]
name = "crowd"
access_key = "crowdcrowdcrowd"
secret_key = "{secret}"
policies = ["readwrite"]
"""


class Strongroom(Server):
    """A server of its own directory, with a second identity for crowds."""

    name = "strongroom"

    def __init__(self, config="", prefix=(), home=None):
        self.folder = tempfile.TemporaryDirectory(prefix="load.")
        secret = secrets.token_hex(20)
        super().__init__(Path(home or self.folder.name) / "home", CONFIG.format(secret=secret) + config, prefix=prefix)
        self.crowd = ("crowdcrowdcrowd", secret)

    @property
    def pid(self):
        return self.process.pid

    def close(self):
        self.stop()
        self.remove()
        self.folder.cleanup()


class Minio:
    """MinIO has no second identity here: its crowds are root's, as all that it serves are."""

    name = "minio"

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="load.")
        self.home = Path(os.environ.get("PEERS_HOME", self.folder.name))
        self.access_key, self.secret_key = "AK" + secrets.token_hex(9), secrets.token_hex(20)
        self.crowd = (self.access_key, self.secret_key)
        self.env = os.environ | {"PEERS_HOME": str(self.home), "AK": self.access_key, "SK": self.secret_key}
        self.ca = self.home / "minio/certs/public.crt"

    def start(self):
        [self.port] = free_ports(1)
        subprocess.run(["rm", "-rf", str(self.home / "minio/data")], check=True)
        self._script("start", str(self.port))
        self.pid = int(self._script("pid"))
        return self

    def _script(self, *words):
        return subprocess.run([BENCH / "peers/minio.sh", *words], env=self.env, check=True, stdout=subprocess.PIPE, text=True).stdout

    @property
    def endpoint(self):
        return f"https://127.0.0.1:{self.port}"

    def raw(self):
        return RawClient(self.port, self.ca, self.access_key, self.secret_key)

    def close(self):
        self._script("stop")
        self.folder.cleanup()
