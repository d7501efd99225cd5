"""Real key servers, started by `strongroom-testbed`, the equipment that the Rust tests use too."""

import json
import os
import secrets
import signal
import subprocess
from pathlib import Path

from harness import leaks
from harness.server import REPOSITORY

TESTBED = REPOSITORY / "target/release/strongroom-testbed"
TRANSIT_POLICY = """
path "transit/encrypt/*" { capabilities = ["create", "update"] }
path "transit/decrypt/*" { capabilities = ["create", "update"] }
path "transit/rewrap/*" { capabilities = ["create", "update"] }
path "transit/datakey/plaintext/*" { capabilities = ["create", "update"] }
path "transit/keys/*" { capabilities = ["create", "read", "update", "delete"] }
path "transit/keys" { capabilities = ["list"] }
path "transit/wrapping_key" { capabilities = ["read"] }
"""
KV_POLICY = """
path "secret/data/strongroom/+" { capabilities = ["read", "create", "update"] }
path "secret/metadata/strongroom/" { capabilities = ["list"] }
path "secret/metadata/strongroom/+" { capabilities = ["read", "delete"] }
path "secret/destroy/strongroom/+" { capabilities = ["update"] }
"""


class KeyServer:
    """One server of a kind: what is known of it, and commands to it."""

    def __init__(self, kind):
        assert TESTBED.exists(), f"{TESTBED} is missing; build it: cargo build --release -p strongroom-testbed"
        self.process = subprocess.Popen([TESTBED, kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.facts = self._answer()

    def __call__(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self):
        line = self.process.stdout.readline()
        assert line, f"the key server ended: {self.process.wait()}"
        return json.loads(line)

    def stop(self):
        self.process.stdin.close()
        self.process.wait(30)


class OpenBao(KeyServer):
    def __init__(self):
        super().__init__("openbao")
        leaks.register("OpenBao's root token", self.facts["root_token"])
        self.bao("policy", "write", "strongroom", "-", input=TRANSIT_POLICY)
        self.bao("policy", "write", "strongroom-kv", "-", input=KV_POLICY)

    def bao(self, *words, input=""):
        """What `bao` prints."""
        return self("bao " + json.dumps([input, *words]))

    def token(self, *options, policy="strongroom"):
        """A token that may do what Strongroom needs."""
        token = self.bao("token", "create", "-field=token", f"-policy={policy}", *options).strip()
        return leaks.register(f"a token of OpenBao, {token[-4:]}", token)

    def approle(self, policy="strongroom"):
        """A new role's id and secret id."""
        role = f"auth/approle/role/{secrets.token_hex(4)}"
        self.bao("write", role, f"token_policies={policy}")
        secret_id = self.bao("write", "-f", "-field=secret_id", f"{role}/secret-id").strip()
        return {"role_id": self.bao("read", "-field=role_id", f"{role}/role-id").strip(), "secret_id": leaks.register("an AppRole's secret id", secret_id)}

    def configuration(self, **fields):
        """What `POST /kms/configure` takes."""
        login = {} if "auth_method" in fields else {"auth_method": {"token": {"token": self.token()}}}
        return {"backend_type": "vault", "address": self.facts["https"], "ca_file": self.facts["ca"]} | login | fields


class LocalStack(KeyServer):
    """AWS KMS. It believes any credentials; an access key id of twelve digits is the account."""

    def __init__(self):
        super().__init__("localstack")

    def configuration(self, **fields):
        account = str(100_000_000_000 + secrets.randbelow(900_000_000_000))
        login = {"access_key_id": account, "secret_access_key": leaks.register(f"AWS's secret key of {account}", secrets.token_urlsafe(30))}
        return {"backend_type": "aws", "region": self.facts["region"], "endpoint": self.facts["url"]} | login | fields


class PyKmip(KeyServer):
    def __init__(self):
        super().__init__("pykmip")

    def configuration(self, **fields):
        tls = {"ca_file": self.facts["ca"], "client_cert_file": self.facts["client_cert"], "client_key_file": self.facts["client_key"]}
        return {"backend_type": "kmip", "address": self.facts["address"], "key_prefix": secrets.token_hex(4) + "/"} | tls | fields


class SoftHsm(KeyServer):
    """A token. The server that uses it needs `env`."""

    LABEL = "strongroom"

    def __init__(self):
        super().__init__("softhsm")
        self.pin = leaks.register("the token's PIN", secrets.token_hex(16))
        self.env = {"SOFTHSM2_CONF": self.facts["conf"]}
        self("add-token " + json.dumps([self.LABEL, self.pin]))

    def tool(self, *words):
        """What `pkcs11-tool` prints, logged in."""
        return self("tool " + json.dumps([self.LABEL, self.pin, *words]))

    def configuration(self, **fields):
        return {"backend_type": "pkcs11", "module": self.facts["module"], "token_label": self.LABEL, "pin": self.pin} | fields


class Barbican(KeyServer):
    """Barbican with Keystone; each has a process that serves and one that looks after it."""

    def __init__(self):
        super().__init__("barbican")

    def pause(self):
        """Nothing of them runs: connections stay open and nothing answers."""
        for pid in _descendants(self.process.pid):
            os.kill(pid, signal.SIGSTOP)

    def resume(self):
        for pid in _descendants(self.process.pid):
            os.kill(pid, signal.SIGCONT)

    def configuration(self, **fields):
        user = self.facts["s3"]
        login = {"username": user["name"], "password": user["password"], "project_name": user["project"]}
        return {"backend_type": "barbican", "auth_url": self.facts["keystone"], "endpoint": self.facts["url"]} | login | fields


def trusted_dirs(*configurations):
    """The server's option without which no file, library or directory can be named over HTTP."""
    folders = {str(Path(value).resolve().parent) for fields in configurations for value in fields.values() if isinstance(value, str) and value.startswith("/")}
    return f"trusted_dirs = {json.dumps(sorted(folders))}\n"


def _descendants(pid):
    """The processes below this one."""
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [below for child in children for below in _descendants(child)]
