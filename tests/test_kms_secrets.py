"""No secret is ever written where it does not belong: a server is led through everything, with a secret of its own for each place that takes
one, logging at the level `trace`; then all it wrote and answered is searched for each of them, whole or by halves, in every usual encoding."""

import base64
import json
import os
import re
import secrets
import signal
import time
from dataclasses import dataclass, field

import pytest

from conftest import make_bucket
from harness import leaks, sigv4, trace
from harness.admin import Kms
from harness.echo import EchoServer
from harness.keyservers import LocalStack, OpenBao, SoftHsm, trusted_dirs
from harness.recorder import SIGNATURE, Tape
from harness.server import Server
from harness.sse import BUCKET_KEY, CONTEXT, CUSTOMER, KMS_KEY_ID, SSE, b64, customer, key_md5, source_customer
from test_server import serve

TRACED = "encrypt_by_default = false\nlog_level = 'trace'\nlog_format = 'json'\n"


@dataclass
class Stage:
    """A server, and the secrets it is told."""

    server: Server
    tape: Tape = field(default_factory=Tape)
    secrets: dict = field(default_factory=dict)

    def secret(self, name, make=lambda: secrets.token_urlsafe(32)):
        """A new secret, to be searched for at the end."""
        self.secrets[name] = make()
        return leaks.register(name, self.secrets[name])

    @property
    def admin(self):
        return self.tape.admin(self.server)

    @property
    def raw(self):
        return self.tape.raw(self.server)


def test_no_secret_is_in_any_log_record_metric_answer_or_file(tmp_path):
    openbao, softhsm, localstack, echo = OpenBao(), SoftHsm(), LocalStack(), EchoServer()
    server = Server(tmp_path / "home", env=softhsm.env)
    stage = Stage(server)
    configurations = [openbao.configuration(), openbao.configuration(auth_method={"approle": openbao.approle()}), softhsm.configuration(), localstack.configuration()]
    prepare(stage, trusted_dirs(*configurations))
    server.start()
    try:
        customers_keys(stage, make_bucket(server))
        signatures(stage, make_bucket(server))
        keys_and_data_keys(stage)
        backups(stage, tmp_path)
        misplaced_secrets(stage)
        live_backends(stage, configurations)
        backends_that_repeat_what_they_hear(stage, echo)
        refused_configurations(stage)
        stage.admin("GET", "/openapi.json")
        assert (found := look(stage)) == {}, json.dumps(found, indent=1)
        assert server.stop() == 0
        assert (found := look(stage, answers=False)) == {}, json.dumps(found, indent=1)
        assert_the_search_would_find(stage)
    finally:
        for one in (openbao, softhsm, localstack, echo):
            one.stop()
        server.remove()


def prepare(stage, trusted):
    """What the configuration file and the environment hold."""
    server = stage.server
    server.secret_key = stage.secret("the root identity's secret key")
    user = stage.secret("a user's secret key")
    server.extra_env |= {"STRONGROOM_SECRET_KEY": server.secret_key, "STRONGROOM_KMS_MASTER_PASSPHRASE": stage.secret("the master passphrase")}
    server.config = TRACED + f'[[users]]\nname = "user"\naccess_key = "USER"\nsecret_key = "{user}"\npolicies = ["readonly"]\n[kms]\n{trusted}'


def customers_keys(stage, bucket):
    """SSE-C keys, used well and in every wrong way."""
    raw = stage.raw
    key = stage.secret("a customer's key", lambda: secrets.token_bytes(32))
    wrong = stage.secret("a wrong customer's key", lambda: secrets.token_bytes(32))
    body = b"x" * 300_000
    raw.put(bucket, "object", body, customer(key)).ok()
    raw.put_multipart(bucket, "parts", [b"y" * (5 << 20), b"z"], customer(key), customer(key))
    for name in ("object", "parts"):
        raw.get(bucket, name, customer(key)).ok()
        raw.head(bucket, name, customer(key)).ok()
        raw.attributes(bucket, name, customer(key)).ok()
        raw.copy(f"{bucket}/{name}", bucket, f"{name}-copy", customer(wrong) | source_customer(key)).ok()
        assert raw.get(bucket, name, customer(wrong)).status == 403
        assert raw.copy(f"{bucket}/{name}", bucket, "new", source_customer(wrong)).status == 403
    malformed = [
        customer(key) | {f"{CUSTOMER}key-md5": key_md5(wrong)},
        customer(key) | {f"{CUSTOMER}algorithm": b64(key)},
        customer(key) | {f"{CUSTOMER}key": b64(key)[:-4]},
        customer(key) | {f"{CUSTOMER}key": b64(key) + "A"},
        customer(key) | {f"{CUSTOMER}key": key.hex()},
        customer(key) | {f"{CUSTOMER}key-md5": b64(key)},
        {f"{CUSTOMER}key": b64(key)},
        {SSE: b64(key)},
        {SSE: "aws:kms", CONTEXT: b64(key)},
        {SSE: "aws:kms", BUCKET_KEY: b64(key)},
        {SSE: "aws:kms"} | customer(key),
        customer(key) | {"x-amz-checksum-sha256": b64(wrong)},
        customer(key) | {"content-md5": b64(key)},
    ]
    for headers in malformed:
        assert raw.put(bucket, "new", b"x", headers).status in (400, 403)
        raw.get(bucket, "object", headers)
        raw.create_upload(bucket, "new", headers)
    assert raw.put(bucket, "new", b"x", customer(key), tls=False).status == 400
    assert raw.get(bucket, "object", customer(key), tls=False).status == 400
    assert raw.get(bucket, "object", query={f"{CUSTOMER}key": b64(key)}).status == 400
    assert raw.request("PUT", f"/{bucket}", query={"encryption": ""}, body=f"<Rule>{b64(key)}</Rule>".encode()).status == 400
    for name in ("object", "parts"):
        assert raw.get(bucket, name, customer(key)).ok().headers[f"{CUSTOMER}key-md5"] == key_md5(key)


def signatures(stage, bucket):
    """Signatures of headers, presigned URLs and chunks; right, wrong and stale ones."""
    raw, server = stage.raw, stage.server
    host = f"127.0.0.1:{server.port}"
    user = stage.tape.raw(server, "USER", stage.secrets["a user's secret key"])
    assert user.put(bucket, "object", b"x").status == 403
    wrong = stage.tape.raw(server, secret_key=stage.secret("a wrong secret key"))
    assert wrong.get(bucket, "object").status == 403
    assert wrong.request("GET", "/", headers={"x-amz-security-token": stage.secret("a session token")}).status in (400, 403)
    for client in (raw, wrong):
        for method, options in [("PUT", {}), ("GET", {}), ("GET", {"expires_seconds": 1}), ("GET", {"expires_seconds": 10**9})]:
            target = sigv4.presign(client.credentials, method, f"/{bucket}/presigned", host=host, **options)
            client.send(method, target, {"host": host} | ({"content-length": "1"} if method == "PUT" else {}), b"x" if method == "PUT" else b"")
            client.send(method, target.replace(bucket, "no-such-bucket"), {"host": host})
    for spoil in (None, lambda pieces: pieces[:-1] + [pieces[-1].replace(b"chunk-signature=", b"chunk-signature=0")]):
        headers, wire = sigv4.chunked_put(raw.credentials, f"/{bucket}/chunks", b"c" * 100_000, host=host, spoil=spoil)
        raw.send("PUT", f"/{bucket}/chunks", headers, wire)
    bearer = stage.secret("a bearer token")
    for authorization in (f"Bearer {bearer}", f"AWS {server.access_key}:{bearer}", f"AWS4-HMAC-SHA256 Credential={bearer}", bearer):
        assert raw.request("GET", f"/{bucket}", headers={"authorization": authorization}, sign=False).status in (400, 403)
        assert stage.admin.raw.request("GET", "/kms/status", headers={"authorization": authorization}, sign=False).status in (400, 401, 403)


def keys_and_data_keys(stage):
    admin, raw, bucket = stage.admin, stage.raw, make_bucket(stage.server)
    material = stage.secret("imported key material", lambda: secrets.token_bytes(32))
    admin("POST", "/keys/import", {"name": "imported", "material": b64(material)})
    admin.fails(409, "POST", "/keys/import", {"name": "imported", "material": b64(material)})
    admin.fails(400, "POST", "/keys/import", {"name": "other", "material": b64(material[:31])})
    admin.fails(400, "POST", "/keys/import", {"name": "other", "material": b64(material), "materiel": b64(material)})
    raw.put(bucket, "object", b"x", {SSE: "aws:kms", KMS_KEY_ID: "imported"}).ok()
    raw.get(bucket, "object").ok()
    made = admin("POST", "/generate-data-key", {"key_id": "imported", "encryption_context": {"a": "b"}})
    assert stage.tape.answers.pop()[1].find(made["plaintext_key"].encode()) > 0, "this answer alone may hold it"
    stage.secret("a data key", lambda: base64.b64decode(made["plaintext_key"]))
    admin("POST", "/decrypt", {"ciphertext_blob": made["ciphertext_blob"], "encryption_context": {"a": "b"}})
    assert made["plaintext_key"].encode() in stage.tape.answers.pop()[1]
    for changed in [{}, {"encryption_context": {"a": made["plaintext_key"]}}, {"encryption_context": made["plaintext_key"]}]:
        admin.fails(400, "POST", "/decrypt", {"ciphertext_blob": made["ciphertext_blob"]} | changed)
    admin.fails(400, "POST", "/decrypt", {"ciphertext_blob": made["plaintext_key"]})


def backups(stage, tmp_path):
    admin = stage.admin
    passphrase, key = stage.secret("a backup's passphrase"), stage.secret("a backup's key", lambda: secrets.token_bytes(32))
    for sealed in [{"passphrase": passphrase}, {"key": b64(key)}]:
        bundle = admin("POST", "/backup", sealed)["bundle"]
        admin("POST", "/restore", {"bundle": bundle} | sealed)
        admin("POST", "/restore", {"bundle": bundle, "dry_run": False} | sealed)
        admin.fails(400, "POST", "/restore", {"bundle": bundle, "passphrase": passphrase + "?"})
        admin.fails(400, "POST", "/restore", {"bundle": bundle[:100]} | sealed)
    admin.fails(400, "POST", "/backup", {"passphrase": passphrase, "key": b64(key)})
    kms = Kms(stage.server, tmp_path / "cli")
    file = tmp_path / "passphrase"
    file.touch(mode=0o600)
    file.write_text(passphrase)
    done = kms(f"backup {tmp_path}/bundle --passphrase-file {file}")
    failed = kms(f"restore {file} --passphrase-file {file}", status=2)
    stage.tape.answers += [("strongroom kms backup", (done.stdout + done.stderr).encode()), ("strongroom kms restore", (failed.stdout + failed.stderr).encode())]


def live_backends(stage, configurations):
    """Each backend in turn, used and left behind, and all of them told of."""
    admin, raw, bucket = stage.admin, stage.raw, make_bucket(stage.server)
    for number, fields in enumerate(configurations):
        note(stage, fields)
        admin("POST", "/reconfigure", fields | {"name": f"backend-{number}", "timeout_seconds": 20})
        key = admin("POST", "/keys", {} if fields["backend_type"] == "aws" else {"name": f"of-{number}"})["key_id"]
        admin("POST", "/reconfigure", {"default_key_id": key})
        for headers in [{SSE: "AES256"}, {SSE: "aws:kms"}, {SSE: "aws:kms:dsse"}, {SSE: "aws:kms", BUCKET_KEY: "true"}]:
            raw.put(bucket, "object", b"x" * 1000, headers).ok()
            admin("POST", "/clear-cache", status=204)
            raw.get(bucket, "object").ok()
        tell(admin)
    admin("POST", "/stop")
    admin("POST", "/start")
    admin("POST", "/seal")
    admin("POST", "/unseal")
    stage.server.restart()
    tell(stage.admin)


def tell(admin):
    for path in ("/status", "/config", "/backends", "/keys", "/keys/in-use", "/receipts", "/rekey", "/audit/head"):
        assert admin.reply("GET", path).status in (200, 404, 503)


def note(stage, fields):
    """Every secret in a configuration."""
    if isinstance(fields, dict):
        for name, value in fields.items():
            if isinstance(value, str) and name in ("token", "secret_id", "password", "secret_access_key", "session_token", "pin", "application_credential_secret"):
                stage.secrets[f"{name} {value[-4:]}"] = value
                leaks.register(f"{name} {value[-4:]}", value)
            note(stage, value)


def echoing(stage, url):
    """Configurations with secrets, of key servers at that address."""
    secret = lambda name: stage.secret(f"{name} told to an echo")  # noqa: E731
    vault, keystone = {"backend_type": "vault", "address": url}, {"backend_type": "barbican", "auth_url": url, "endpoint": url}
    aws = {"backend_type": "aws", "region": "eu-1", "endpoint": url, "access_key_id": "AKIA"}
    return [
        vault | {"auth_method": {"token": {"token": secret("Vault's token")}}},
        vault | {"auth_method": {"token": secret("Vault's token for KV")}, "engine": "kv", "namespace": "team"},
        vault | {"auth_method": {"approle": {"role_id": "role", "secret_id": secret("an AppRole's secret id")}}},
        keystone | {"username": "user", "password": secret("Keystone's password"), "project_name": "project"},
        keystone | {"auth_method": "application_credential", "application_credential_id": "id", "application_credential_secret": secret("a credential")},
        aws | {"secret_access_key": secret("AWS's secret key"), "session_token": secret("AWS's session token")},
        aws | {"sts_endpoint": url, "role_arn": "arn:aws:iam::1:role/r", "secret_access_key": secret("AWS's secret key for STS")},
    ]


def backends_that_repeat_what_they_hear(stage, echo):
    """Their words are in no error: neither while configured, nor used, nor tried while the service runs."""
    server = stage.server
    for number, fields in enumerate(echoing(stage, echo.url)):
        admin, raw, bucket = stage.admin, stage.raw, make_bucket(server)
        fields |= {"timeout_seconds": 5, "retry_attempts": 1, "default_key_id": "0e5b1f5c-3b0d-4f0e-9d6e-3d4c1a2b3c4d"}
        for _ in range(3):
            assert admin.reply("POST", "/reconfigure", fields | {"name": f"echo-{number}"}).status in (400, 500, 503)
        admin("POST", "/stop")
        admin("POST", "/configure", fields | {"name": f"echo-{number}"})
        admin("POST", "/start")
        for _ in range(len(EchoServer.STATUSES)):
            assert raw.put(bucket, "object", b"x", {SSE: "aws:kms"}).status != 200
            admin.reply("POST", "/keys", {"name": "new"})
            admin.reply("GET", "/keys")
            assert admin("GET", "/status")["healthy"] is not True
        material = stage.secret(f"material {number}", lambda: secrets.token_bytes(32))
        admin.reply("POST", "/keys/import", {"name": "new", "material": b64(material)})
        admin.reply("GET", "/config")
    assert echo.requests > 50 and leaks.in_bytes(echo.received, stage_bytes(stage)), "it heard secrets"


REFUSED = [
    {"backend_type": "vault", "address": "nowhere", "auth_method": {"token": {"token": "?"}}},
    {"backend_type": "vault", "address": "https://user:?@vault.example:8200", "auth_method": {"token": {"token": "?"}}},
    {"backend_type": "vault", "address": "http://127.0.0.1:1", "auth_method": {"token": {"tokn": "?"}}},
    {"backend_type": "vault", "address": "http://127.0.0.1:1", "auth_method": {"token": ["?"]}},
    {"backend_type": "vault", "address": "http://127.0.0.1:1", "auth_method": "?"},
    {"backend_type": "vault", "address": "http://127.0.0.1:1", "auth_method": {"?": "?"}},
    {"backend_type": "vault", "address": "http://127.0.0.1:1", "auth_method": {"approle": {"role_id": "r", "secret_id": ["?"]}}},
    {"backend_type": "vault", "address": "http://127.0.0.1:1", "auth_method": {"approle": {"role_id": "r", "secret_id": "?\n"}}},
    {"backend_type": "vault", "address": "http://127.0.0.1:1", "auth_method": {"approle": "?"}},
    {"backend_type": "vault", "address": "http://127.0.0.1:1", "auth_method": {"token": "?"}, "skip_tls_verify": "?"},
    {"backend_type": "vault", "address": ["?"], "auth_method": {"token": "?"}, "engine": "?"},
    {"backend_type": "vault", "address": "http://127.0.0.1:1", "auth_method": {"token": "?"}, "mount_path": "../?"},
    {"backend_type": "barbican", "auth_url": "http://127.0.0.1:1", "username": "u", "password": {"?": "?"}, "project_name": "p"},
    {"backend_type": "barbican", "auth_url": "http://u:?@127.0.0.1:1", "username": "u", "password": "?", "project_name": "p"},
    {"backend_type": "barbican", "auth_method": "?", "password": "?"},
    {"backend_type": "aws", "region": "eu-1/?", "access_key_id": "A", "secret_access_key": "?"},
    {"backend_type": "aws", "region": "eu-1", "endpoint": "https://?@kms.example", "access_key_id": "A", "secret_access_key": "?"},
    {"backend_type": "aws", "region": "eu-1", "secret_access_key": "?", "session_token": 7},
    {"backend_type": "pkcs11", "module": "/no/such/library.so", "token_label": "t", "pin": "?"},
    {"backend_type": "pkcs11", "module": "/no/such/library.so", "token_label": "t", "pin": ["?"]},
    {"backend_type": "kmip", "address": "127.0.0.1:1", "client_cert_file": "/no/such", "client_key_file": "/no/such", "username": "u", "password": "?"},
    {"backend_type": "local", "name": "two", "key_dir": "/no/such/directory", "master_key": "?"},
    {"backend_type": "local", "name": "two", "key_dir": "/no/such/directory", "master_key": ["?"]},
    {"backend_type": "?"},
    {"backend_type": ["?"]},
    {"name": {"?": "?"}},
    {"timeout_seconds": "?"},
    {"enable_cache": "?"},
    {"default_key_id": ["?"]},
]


def filled(value, secret):
    """With the secret for each question mark; of a name in a JSON object it stays one, since names are told."""
    if isinstance(value, dict):
        return {name: filled(inner, secret) for name, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, secret) for inner in value]
    return value.replace("?", secret) if isinstance(value, str) else value


def refused_configurations(stage):
    admin = stage.admin
    for number, fields in enumerate(REFUSED):
        secret = stage.secret(f"a secret of the refused configuration {number}", lambda: secrets.token_hex(20))
        for call in ("configure", "reconfigure"):
            reply = admin.reply("POST", f"/{call}", filled(fields, secret))
            assert reply.status in (400, 409, 501, 503), (fields, reply.status, reply.body)
    tell(admin)


def misplaced_secrets(stage):
    """A secret in every field of every call, in every shape that field does not take, and in bodies that are no JSON."""
    server, admin = stage.server, stage.admin
    document = admin("GET", "/openapi.json")
    secret = stage.secret("a misplaced secret")
    calls = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method == "get" or not path.startswith("/kms/"):
                continue
            schema = body_schema(document, operation)
            bodies = [f'"{secret}"'.encode(), f'{{"x": "{secret}'.encode(), f'{{"x": "{secret}"}} {secret}'.encode(), f"{{{secret}}}".encode()]
            for name, field_schema in schema.get("properties", {}).items():
                wrong = wrong_shapes(json.dumps(field_schema), secret)
                bodies += [json.dumps({name: value}).encode() for value in wrong]
                bodies += [json.dumps({name: value, "no_such_field": secret}).encode() for value in wrong]
            for body in bodies:
                reply = admin.raw.request(method.upper(), path.replace("{id}", "none").replace("{key_id}", "none"), body=body)
                assert reply.status in (400, 404, 409), (method, path, body, reply.status, reply.body)
                calls += 1
            admin.raw.request(method.upper(), path.replace("{id}", "none"), query={"x": secret})
    assert calls > 150
    assert server.process.poll() is None


def test_a_body_that_is_a_list_is_no_object_and_is_refused(server):
    """Fields told by their place would be read though nobody named them."""
    admin = Tape().admin(server)
    for method, path, body in [("POST", "/backup", ["correct horse battery staple"]), ("POST", "/keys/rotate", ["default"]), ("DELETE", "/keys/delete", ["default", 7])]:
        assert admin.reply(method, path, body).status == 400, path


def body_schema(document, operation):
    """The schema of an operation's JSON body."""
    schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def wrong_shapes(schema, secret):
    """The secret in the shapes that a field of that schema does not take."""
    shapes = {"string": secret, "array": [secret], "object": {"x": secret}}
    return [] if "$ref" in schema else [shape for kind, shape in shapes.items() if f'"{kind}"' not in schema]


# ---- the search


def stage_bytes(stage):
    return {name: secret.encode() if isinstance(secret, str) else secret for name, secret in stage.secrets.items()}


def look(stage, answers=True):
    """Where any of the secrets is: {place: finds}."""
    server, known = stage.server, stage_bytes(stage)
    files = [path for path in server.home.rglob("*") if path.is_file() and path != server.home / "strongroom.toml"]
    assert any(path.name.startswith("catalog.db") for path in files) and any(path.parent.name == "audit" for path in files)
    found = {str(path.relative_to(server.home)): finds for path, finds in leaks.in_files(files, known).items()}
    texts = {str(path.relative_to(server.home)): path.read_bytes() for path in files if path == server.log or "audit" in path.parts}
    if answers:
        texts |= {f"answer {number} {name}": data for number, (name, data) in enumerate(stage.tape.answers)}
        texts["metrics"] = server.fetch(f"https://127.0.0.1:{server.admin_port}/metrics")[1].encode()
        found |= {name: finds for name, data in texts.items() if (finds := leaks.in_bytes(data, known))}
    for name, data in texts.items():
        if sent := stage.tape.signatures & set(SIGNATURE.findall(data)):
            found[f"{name}, signatures"] = sorted(sent)
    return found


def assert_the_search_would_find(stage):
    """It would have found any of them, however written, and there was something to look through."""
    assert stage.server.log_text().count('"level":"INFO"') > 500, "there is a log"
    assert len(stage.tape.answers) > 500 and len(stage.tape.signatures) > 500 and len(stage.secrets) > 40
    for name, secret in stage_bytes(stage).items():
        for written in [secret, secret.hex().encode(), secret.hex().upper().encode(), base64.b64encode(secret), base64.urlsafe_b64encode(secret), secret[:16], secret[-16:]]:
            assert leaks.in_bytes(b"before" + written + b"after", {name: secret}), (name, written)


# ---- a server that does not start


CONFIGURATIONS = {
    "a line that does not end": 'access_key = "AK"\nsecret_key = "?\n',
    "a secret without quotes": 'access_key = "AK"\nsecret_key = ?\n',
    "a table": '[kms]\nmaster_passphrase = { x = "?" }\n',
    "a field nobody knows": 'secret_kye = "?"\n',
    "twice": 'secret_key = "?"\nsecret_key = "?"\n',
    "a user's, too much": '[[users]]\nname = "u"\naccess_key = "U"\nsecret_key = "?"\nsecret_key_file = "/none"\n',
    "a user's, a list": '[[users]]\nname = "u"\naccess_key = "U"\nsecret_key = ["?"]\n',
    "a master key that is none": '[kms]\nmaster_key = "?"\n',
    "in a number": 'max_connections = "?"\n',
    "in a choice": 'log_level = "?"\n',
}


@pytest.mark.parametrize("what", CONFIGURATIONS)
def test_a_configuration_that_is_refused_is_not_quoted(tmp_path, what):
    secret = secrets.token_hex(20)
    file = tmp_path / "strongroom.toml"
    file.touch(mode=0o600)
    file.write_text(CONFIGURATIONS[what].replace("?", secret))
    done = serve(tmp_path / "data", "--config", str(file))
    assert done.returncode in (1, 2), done.stdout + done.stderr
    assert leaks.in_bytes((done.stdout + done.stderr).encode(), {"the secret": secret.encode()}) == [], done.stderr
    assert "strongroom.toml" in done.stderr or "secret" in done.stderr or "master" in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("STRONGROOM_KMS_MASTER_KEY", "?"),
        ("STRONGROOM_SECRET_KEY", "?"),
        ("STRONGROOM_MAX_CONNECTIONS", "?"),
        ("STRONGROOM_KMS_TIMEOUT_SECONDS", "?"),
    ],
)
def test_an_environment_that_is_refused_is_not_quoted(tmp_path, variable, value):
    secret = secrets.token_hex(20)
    done = serve(tmp_path / "data", env={variable: value.replace("?", secret)})
    assert done.returncode in (1, 2), done.stdout + done.stderr
    assert leaks.in_bytes((done.stdout + done.stderr).encode(), {"the secret": secret.encode()}) == [], done.stderr


@pytest.mark.parametrize(
    "text",
    [
        '{"backend_type": "vault", "token": "?',
        '{"backend_type": "vault", "auth_method": {"token": ["?"]}, "address": "https://v"}',
        '{"backend_type": "vault", "auth_method": "?", "address": "https://v"}',
        '"?"',
        '{"timeout_seconds": "?"}',
    ],
)
def test_a_file_of_a_backend_that_makes_no_sense_is_not_quoted(tmp_path, text):
    """The server is refused, or starts and tells that the backend cannot be set up."""
    secret = leaks.register("a secret in a backend's file", secrets.token_hex(20))
    backend = tmp_path / "backend.json"
    backend.touch(mode=0o600)
    backend.write_text(text.replace("?", secret))
    server = Server(tmp_path / "home", config=TRACED + f'[kms]\nbackend = "vault"\nconfig_file = "{backend}"\n')
    try:
        server.start()
    except RuntimeError:
        assert "strongroom: " in server.log_text(), "it tells why"
    else:
        tape = Tape()
        status = tape.admin(server)("GET", "/status")
        assert status["healthy"] is not True and status["error"], status
        tape.admin(server)("GET", "/config")
        assert [leaks.in_bytes(answer) for _, answer in tape.answers] == [[], []]
    server.remove()


# ---- the process


def test_a_crash_leaves_no_core_though_the_limit_allows_one(tmp_path):
    server = Server(tmp_path / "home", prefix=["sh", "-c", 'ulimit -c unlimited && exec "$0" "$@"']).start()
    limits = open(f"/proc/{server.process.pid}/limits").read()
    assert re.search(r"Max core file size +0 +0 ", limits), limits
    server.process.send_signal(signal.SIGABRT)
    _, status = os.waitpid(server.process.pid, 0)
    assert os.WTERMSIG(status) == signal.SIGABRT and not os.WCOREDUMP(status)
    server.process.returncode = -signal.SIGABRT
    server.remove()


def test_without_those_limits_the_crash_would_have_left_a_core():
    """The test above would fail if the server allowed a core."""
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "ulimit -c unlimited && exec sleep 60"], os.environ)
    time.sleep(0.3)
    limits = open(f"/proc/{pid}/limits").read()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert re.search(r"Max core file size +unlimited ", limits), limits


def test_the_process_gives_up_being_traced_before_it_opens_a_key(tmp_path):
    path = tmp_path / "trace"
    server = Server(tmp_path / "home", prefix=trace.prefix(path, "prctl,prlimit64,openat")).start()
    assert server.stop() == 0
    calls = trace.calls(path)
    names = [(call.name, call.text) for call in calls if call.result is not None and call.result >= 0]
    limited = [number for number, (name, text) in enumerate(names) if name == "prlimit64" and "RLIMIT_CORE" in text and "rlim_cur=0" in text and "rlim_max=0" in text]
    hidden = [number for number, (name, text) in enumerate(names) if name == "prctl" and "PR_SET_DUMPABLE" in text and ("SUID_DUMP_DISABLE" in text or ", 0" in text)]
    opened = [number for number, (name, text) in enumerate(names) if name == "openat" and str(server.secrets) in text]
    assert limited and hidden and opened
    assert max(limited[0], hidden[0]) < opened[0]
    server.remove()
