"""The clients people use, run as people run them."""

import os
import subprocess
import sys
from pathlib import Path

from harness.server import REGION

SECONDS = 120


def run(command, env, cwd=None, status=0):
    """Runs a command line (a string goes to bash, as pasted from a guide) and checks its exit status."""
    shell = ["bash", "-euo", "pipefail", "-c", command] if isinstance(command, str) else [str(word) for word in command]
    done = subprocess.run(shell, env=env, cwd=cwd, capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
    assert done.returncode == status, f"{command}\nexit {done.returncode}, expected {status}\n{done.stdout[-1500:]}\n{done.stderr[-3000:]}"
    return done


def environment(server, home):
    """An environment without anybody's settings; `aws` on the path is the one of tests/requirements.txt."""
    home = Path(home)
    home.mkdir(parents=True, exist_ok=True)
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CA_BUNDLE": str(server.ca),
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_PAGER": "",
        "PYTHONWARNINGS": "ignore",
    }


class Shell:
    """A home directory on a server, for a guide's commands."""

    def __init__(self, server, home):
        self.server, self.home = server, Path(home)
        self.env = environment(server, home)

    def __call__(self, command, status=0):
        return run(command, self.env, cwd=self.home, status=status)

    def file(self, name, data):
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def rclone_config(self, name, **options):
        """A remote in rclone's configuration file."""
        options = {
            "type": "s3",
            "provider": "Ceph",
            "env_auth": "false",
            "access_key_id": self.server.access_key,
            "secret_access_key": self.server.secret_key,
            "endpoint": self.server.endpoint,
            "acl": "private",
        } | options
        text = f"[{name}]\n" + "".join(f"{option} = {value}\n" for option, value in options.items())
        self.file(".config/rclone/rclone.conf", text.encode())

    def s3cmd_config(self):
        """s3cmd's configuration file."""
        host = f"127.0.0.1:{self.server.port}"
        lines = {
            "access_key": self.server.access_key,
            "secret_key": self.server.secret_key,
            "host_base": host,
            "host_bucket": host,
            "use_https": "True",
            "ca_certs_file": self.server.ca,
            "bucket_location": "US",
        }
        self.file(".s3cfg", ("[default]\n" + "".join(f"{name} = {value}\n" for name, value in lines.items())).encode())
