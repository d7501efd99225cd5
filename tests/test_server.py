"""The program itself: start, stop, lock, secrets, configuration."""

import http.client
import os
import re
import shutil
import signal
import ssl
import stat
import subprocess
import threading
import time

import pytest

from conftest import make_bucket
from harness import disk, sigv4
from harness.server import BINARY, Server, free_ports
from harness.sse import MODES, SSE_C, random_body


def command(*arguments, env=None):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("STRONGROOM_")}
    return subprocess.run([str(BINARY), *arguments], env=clean | (env or {}), capture_output=True, text=True, timeout=30)


def serve(data, *arguments, env=None):
    """Tries to serve; for what is expected to fail."""
    one, two = free_ports(2)
    return command("serve", str(data), "--address", f"127.0.0.1:{one}", "--admin-address", f"127.0.0.1:{two}", *arguments, env=env)


def test_help_is_good_enough_to_work_from():
    told = command("serve", "--help")
    assert told.returncode == 0
    for word in (
        "DATA_DIR",
        "--address",
        "--admin-address",
        "--config",
        "--tls-cert",
        "--tls-key",
        "--kms-key-dir",
        "STRONGROOM_ADDRESS",
        "127.0.0.1:9000",
        "127.0.0.1:9001",
    ):
        assert word in told.stdout, word


def test_health_is_told_on_both_ports(server):
    for what in ("live", "ready"):
        assert server.health(what) == 200
        assert server.health(what, admin=True) == 200


def test_everything_stored_is_there_after_a_restart(new_server):
    server = new_server("encrypt_by_default = false\n")
    raw = server.raw()
    bucket = make_bucket(server)
    bodies = [(mode, length, random_body(length)) for mode in MODES for length in (0, 100, 300_000)]
    for mode, length, body in bodies:
        raw.put(bucket, f"{mode}-{length}", body, mode.write).ok()
    upload = raw.begin_upload(bucket, "upload", SSE_C.write)
    etag = raw.upload_part(bucket, "upload", upload, 1, b"part", SSE_C.read).ok().etag
    assert server.stop() == 0
    server.start()
    raw = server.raw()
    for mode, length, body in bodies:
        reply = raw.get(bucket, f"{mode}-{length}", mode.read).ok()
        assert reply.body == body
        mode.check(reply.headers)
    raw.complete(bucket, "upload", upload, {1: etag}).ok()
    assert raw.get(bucket, "upload", SSE_C.read).ok().body == b"part"


def test_sigterm_lets_requests_end(new_server):
    server = new_server()
    bucket, body = make_bucket(server), random_body(20 << 20)
    server.raw().put(bucket, "object", body).ok()
    started, results = threading.Event(), []

    def read_slowly():
        connection = server.raw().connect()
        headers = sigv4.sign(server.raw().credentials, "GET", f"/{bucket}/object", {}, {"host": f"127.0.0.1:{server.port}"}, "UNSIGNED-PAYLOAD")
        connection.request("GET", f"/{bucket}/object", headers=headers)
        reply = connection.getresponse()
        got = bytearray(reply.read(1 << 20))
        started.set()
        while piece := reply.read(1 << 20):
            got += piece
            time.sleep(0.02)
        results.append(bytes(got))

    reader = threading.Thread(target=read_slowly)
    reader.start()
    assert started.wait(30)
    server.process.send_signal(signal.SIGTERM)
    reader.join(60)
    assert results == [body], "the request that was under way ended whole"
    assert server.process.wait(30) == 0


def test_after_sigterm_nobody_is_let_in(new_server):
    server = new_server()
    assert server.stop() == 0
    assert server.health("ready") is None


def test_a_second_server_on_the_same_directory_is_refused(server):
    refused = serve(server.data, env={"STRONGROOM_ACCESS_KEY": "AKOTHER", "STRONGROOM_SECRET_KEY": "x" * 20})
    assert refused.returncode != 0
    assert "lock" in (refused.stdout + refused.stderr).lower() or "in use" in (refused.stdout + refused.stderr).lower()
    assert server.health("ready") == 200


def test_a_directory_of_a_newer_version_is_refused(new_server):
    server = new_server()
    make_bucket(server)
    assert server.stop() == 0
    with disk.catalog(server) as catalog:
        catalog.execute("PRAGMA user_version = 99")
    catalog.close()
    refused = serve(server.data, env={"STRONGROOM_ACCESS_KEY": server.access_key, "STRONGROOM_SECRET_KEY": server.secret_key})
    assert refused.returncode != 0
    assert "99" in refused.stdout + refused.stderr and "newer" in refused.stdout + refused.stderr


def test_secrets_lie_outside_the_data_directory_and_nobody_else_reads_them(new_server):
    server = new_server()
    files = [path for path in server.secrets.rglob("*") if path.is_file()]
    private = [path for path in files if path.suffix not in (".pem", ".crt") or "key" in path.name]
    assert private
    for path in private:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    for path in [server.secrets, *(path for path in server.secrets.rglob("*") if path.is_dir())]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o022 == 0, path


def test_without_credentials_a_root_identity_is_made_once_and_its_file_printed(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("own") / "home", credentials=False)
    try:
        server.start()
        path = server.secrets / "root-credentials"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert str(path) in server.log_text()
        assert str(server.ca) in server.log_text()
        first = path.read_text()
        words = [word for word in re.split(r"[\s=:\"',{}]+", first) if len(word) >= 16]
        assert words, "the file holds the identity"
        assert server.stop() == 0
        server.start()
        assert path.read_text() == first
        assert max(words, key=len) not in server.log_text(), "the path is printed, the secret is not"
    finally:
        server.remove()


def test_each_setting_is_a_flag_over_the_environment_over_the_file(tmp_path_factory):
    home = tmp_path_factory.mktemp("own") / "home"
    server = Server(home, config="encrypt_by_default = false\n", env={"STRONGROOM_ENCRYPT_BY_DEFAULT": "true"})
    try:
        server.start()
        assert "x-amz-server-side-encryption" in server.raw().put(make_bucket(server), "object", b"x").ok().headers
        server.stop()
        server.flags = ["--encrypt-by-default", "false"]
        server.start()
        assert "x-amz-server-side-encryption" not in server.raw().put(make_bucket(server), "object", b"x").ok().headers
    finally:
        server.remove()


@pytest.mark.parametrize(
    "config", ["no_such_setting = 1\n", "[kms]\nno_such = 1\n", 'encrypt_by_default = "perhaps"\n', "not toml at all", '[kms]\nbackend = "no-such"\n']
)
def test_a_setting_that_there_is_not_is_an_error(tmp_path, config):
    (tmp_path / "strongroom.toml").write_text(config)
    refused = serve(tmp_path / "data", "--config", str(tmp_path / "strongroom.toml"))
    assert refused.returncode not in (0, -9)
    assert "strongroom.toml" in refused.stdout + refused.stderr


def test_another_master_key_opens_nothing(new_server):
    server = new_server()
    bucket = make_bucket(server)
    server.raw().put(bucket, "object", b"body").ok()
    assert server.stop() == 0
    [master] = [path for path in server.secrets.rglob("kms-master*") if path.is_file()]
    kept = master.read_bytes()
    master.write_bytes(bytes(reversed(kept)))
    refused = serve(server.data, env={"STRONGROOM_ACCESS_KEY": server.access_key, "STRONGROOM_SECRET_KEY": server.secret_key})
    assert refused.returncode != 0, "a server whose keys do not open its data must not start anew"
    master.write_bytes(kept)
    server.start()
    assert server.raw().get(bucket, "object").ok().body == b"body"


def test_a_lost_key_directory_is_not_replaced_by_a_new_one(new_server):
    server = new_server()
    bucket = make_bucket(server)
    server.raw().put(bucket, "object", b"body").ok()
    assert server.stop() == 0
    shutil.move(server.secrets / "kms", server.home / "kept")
    refused = serve(server.data, env={"STRONGROOM_ACCESS_KEY": server.access_key, "STRONGROOM_SECRET_KEY": server.secret_key})
    assert refused.returncode != 0
    shutil.rmtree(server.secrets / "kms", ignore_errors=True)
    shutil.move(server.home / "kept", server.secrets / "kms")
    server.start()
    assert server.raw().get(bucket, "object").ok().body == b"body"


def test_the_admin_port_has_metrics_over_https(server):
    context = ssl.create_default_context(cafile=str(server.ca))
    connection = http.client.HTTPSConnection("127.0.0.1", server.admin_port, context=context, timeout=10)
    connection.request("GET", "/metrics")
    reply = connection.getresponse()
    text = reply.read().decode()
    assert reply.status == 200
    assert "strongroom_integrity_events_total" in text
    assert server.secret_key not in text
