"""The MinIO client of tests/install-mc.sh, with the alias `s3` on a server."""

import json
import shutil

from harness.server import REPOSITORY

MC = REPOSITORY / ".tools/mc/usr/bin/minio-client"


class Mc:
    """`mc("ls s3")` in a shell's home; what it prints is JSON, a line each."""

    def __init__(self, shell):
        assert MC.exists(), f"{MC} is missing; install it with: tests/install.sh"
        self.shell, server = shell, shell.server
        cas = shell.home / ".mc/certs/CAs"
        cas.mkdir(parents=True)
        shutil.copy(server.ca, cas / "strongroom.pem")
        shell.env["MC_UPDATE"] = "off"
        self.command = f"{MC} --config-dir {shell.home}/.mc --no-color --json"
        self(f"alias set s3 {server.endpoint} {server.access_key} {server.secret_key}")

    def __call__(self, arguments, status=0):
        return self.shell(f"{self.command} {arguments}", status=status)

    def rows(self, arguments):
        return rows(self(arguments))


def rows(done):
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
