"""What an administrator over HTTP learns of the server's files: nothing. One who may configure the key service may not read the disk."""

import json

import pytest

from harness.admin import Admin

VAULT = {"backend_type": "vault", "name": "x", "address": "https://127.0.0.1:1", "auth_method": {"token": "t"}}
BARBICAN = {
    "backend_type": "barbican",
    "name": "x",
    "auth_url": "https://127.0.0.1:1/v3",
    "username": "u",
    "password": "p",
    "project_name": "keys",
}
AWS = {"backend_type": "aws", "name": "x", "region": "eu-central-1", "access_key_id": "A", "secret_access_key": "s"}
KMIP = {"backend_type": "kmip", "name": "x", "address": "127.0.0.1:1"}
PKCS11 = {"backend_type": "pkcs11", "name": "x", "token_label": "t", "pin": "1234"}
LOCAL = {"backend_type": "local", "name": "x"}
TLS = ("ca_file", "client_cert_file", "client_key_file")
FIELDS = [(fields, field) for fields in (VAULT, BARBICAN, KMIP) for field in TLS] + [(AWS, "ca_file"), (PKCS11, "module"), (LOCAL, "key_dir")]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One that trusts a directory of the operator's, in which a link leads out."""
    from harness.server import Server

    home = tmp_path_factory.mktemp("trusted") / "home"
    trusted = home / "trusted"
    trusted.mkdir(parents=True, mode=0o700)
    server = Server(home, config=f'[kms]\ntrusted_dirs = ["{trusted}"]\n').start()
    (trusted / "link").symlink_to(server.secrets / "tls")
    (trusted / "client.pem").write_bytes((server.secrets / "tls/server.pem").read_bytes())
    (trusted / "client.key").write_bytes((server.secrets / "tls/server.key").read_bytes())
    yield server
    assert server.stop() == 0
    server.remove()


@pytest.mark.parametrize(("fields", "field"), FIELDS, ids=lambda value: value if isinstance(value, str) else value["backend_type"])
def test_every_file_of_the_server_gets_the_same_answer_to_the_byte(server, fields, field):
    admin, trusted, tls = Admin(server), server.home / "trusted", server.secrets / "tls"
    whole = dict(fields)
    if field in TLS and (field != "ca_file" or fields is KMIP):
        whole |= {"client_cert_file": str(trusted / "client.pem"), "client_key_file": str(trusted / "client.key")}
    there = [tls / "server.key", tls / "server.pem", tls / "ca.pem", server.data / "catalog.db", "/etc/passwd", "/proc/self/environ"]
    other = [tls, tls / "missing", "/no/such/place", "/dev/null", trusted / "link/server.key", trusted / "link/missing", "relative", trusted / "../data/lock"]
    replies = [admin.reply("POST", "/reconfigure", whole | {field: str(path)}) for path in there + other]
    assert {reply.status for reply in replies} == {400}
    error = json.loads(replies[0].body)
    assert error["code"] == "InvalidRequest" and error["message"].startswith(f"{field}: "), error
    assert len({json.dumps(without_id(reply)) for reply in replies}) == 1
    assert {tuple(sorted(reply.headers)) for reply in replies} == {tuple(sorted(replies[0].headers))}
    assert "x" not in admin("GET", "/config")["backends"], "nothing was configured"


def without_id(reply):
    """The error without the request's own id."""
    return {name: value for name, value in json.loads(reply.body).items() if name != "request_id"}
