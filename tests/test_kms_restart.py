"""kill -9 in the midst of changes of keys and of the service: what was answered holds, what was not is done or undone, and nothing is half done.
And the ways to give a server its master key.

STRONGROOM_TEST_KMS_KILLS sets how often.
"""

import base64
import itertools
import os
import random
import secrets
import threading
import time

import pytest

from conftest import make_bucket
from harness import leaks
from harness.admin import Admin
from harness.audit import AuditLog, verify
from harness.server import Server
from harness.sse import KMS_KEY_ID, SSE
from test_server import serve

KILLS = int(os.environ.get("STRONGROOM_TEST_KMS_KILLS", "6"))
LONGEST_ROUND_SECONDS = 0.6
MOST_VERSIONS = 1000  # of a local key


class Actor(threading.Thread):
    """Changes things until its server dies. Each has keys of its own, and one request under way at a time."""

    def __init__(self, story, server):
        super().__init__(daemon=True)
        self.story, self.admin, self.unexpected = story, Admin(server), None

    def run(self):
        try:
            while True:
                self.story.step(self.admin)
        except OSError:
            pass  # the server was killed
        except Exception as error:  # noqa: BLE001 — handed to the test
            self.unexpected = error


def answered(reply):
    """True if it was done; raises where the server died. The answer may be cut."""
    if not reply.complete:
        raise ConnectionError("cut")
    assert reply.status in (200, 204), (reply.status, reply.body)
    return reply


class Story:
    """What one actor knows: `known`, which was acknowledged, and `pending`, what the request under way would make of it."""

    count = 0

    def change(self, pending, send):
        self.pending = pending
        answered(send())
        self.known, self.pending = pending, None
        self.count += 1

    def verify(self, admin):
        """Compares with the server, and takes over which of the two it is."""
        seen, outcomes = self.look(admin), [self.known] + ([] if self.pending is None else [self.pending])
        assert seen in outcomes, f"{type(self).__name__}: {seen} is none of {outcomes}"
        self.known, self.pending = seen, None


class Creation(Story):
    """Keys are made, each of them with tags and a description."""

    def __init__(self):
        self.known, self.pending, self.names = frozenset(), None, itertools.count()

    def step(self, admin):
        name = f"made-{next(self.names)}"
        self.change(self.known | {name}, lambda: admin.reply("POST", "/keys", {"name": name, "Description": f"of {name}", "Tags": {"name": name}}))

    def look(self, admin):
        found = [row for row in every_key(admin) if row["key_id"].startswith("made-")]
        for row in found[-5:]:
            key = admin.key(row["key_id"])
            assert (key["description"], key["tags"], key["current_version"]) == (f"of {key['key_id']}", {"name": key["key_id"]}, 1)
        return frozenset(row["key_id"] for row in found)


class Rotation(Story):
    """A key gets version after version; an object under each of them is read at last."""

    def __init__(self, admin):
        self.key, self.known, self.pending = admin.create_key("rotated"), 1, None

    def step(self, admin):
        if self.known == MOST_VERSIONS:
            time.sleep(0.01)
            admin.key(self.key)
        else:
            self.change(self.known + 1, lambda: admin.reply("POST", "/keys/rotate", {"key_id": self.key}))

    def look(self, admin):
        key = admin.key(self.key)
        assert [version["version"] for version in key["versions"]] == list(range(1, key["current_version"] + 1))
        return key["current_version"]


class State(Story):
    """A key is disabled, enabled, sealed, unsealed, scheduled for deletion and taken back."""

    CYCLE = [
        ("POST", "disable", {}, "Disabled"),
        ("POST", "enable", {}, "Enabled"),
        ("POST", "seal", {}, "Sealed"),
        ("POST", "unseal", {}, "Enabled"),
        ("DELETE", "delete", {"pending_window_in_days": 7}, "PendingDeletion"),
        ("POST", "cancel-deletion", {}, None),
        ("POST", "enable", {}, "Enabled"),
    ]

    def __init__(self, admin):
        self.key, self.known, self.pending = admin.create_key("changing"), "Enabled", None

    def step(self, admin):
        for method, what, fields, state in self.CYCLE:
            if state is None:  # comes back as it was before, or disabled
                answered(admin.reply(method, f"/keys/{what}", {"key_id": self.key} | fields))
                self.known = admin.key(self.key)["key_state"]
            else:
                self.change(state, lambda method=method, what=what, fields=fields: admin.reply(method, f"/keys/{what}", {"key_id": self.key} | fields))

    def look(self, admin):
        return admin.key(self.key)["key_state"]

    def verify(self, admin):
        seen = self.look(admin)
        if self.known == "PendingDeletion" and self.pending is None and seen != "PendingDeletion":
            assert seen in ("Enabled", "Disabled"), seen  # taken back, without an answer
        else:
            assert seen in (self.known, self.pending or self.known), (seen, self.known, self.pending)
        for way in {"Sealed": ["unseal"], "Disabled": ["enable"], "PendingDeletion": ["cancel-deletion"]}.get(seen, []):
            admin.change(way, self.key)
        if self.look(admin) == "Disabled":
            admin.change("enable", self.key)
        self.known, self.pending = "Enabled", None


class Deletion(Story):
    """Keys are made and destroyed."""

    def __init__(self):
        self.known, self.pending, self.names = frozenset(), None, itertools.count()

    def step(self, admin):
        name = f"doomed-{next(self.names)}"
        answered(admin.reply("POST", "/keys", {"name": name}))
        request = {"key_id": name, "force_immediate": True, "confirm_key_id": name}
        self.change(self.known | {name}, lambda: admin.reply("DELETE", "/keys/delete", request))

    def look(self, admin):
        """The keys that are gone: each has one receipt, which the server writes when it starts if it could not before."""
        names = self.known | (self.pending or self.known)
        alive = {row["key_id"] for row in every_key(admin) if row["key_state"] != "Erased"}
        gone = frozenset(name for name in names if name not in alive)
        wait_until(lambda: receipts(admin) == {name: 1 for name in gone})
        for name in gone:
            if name not in self.known:
                admin.fails(409, "POST", "/keys", {"name": name})
        return gone


class Schedule(Story):
    """A key is to be rotated so often, or not at all."""

    def __init__(self, admin):
        self.key, self.known, self.pending = admin.create_key("scheduled"), None, None
        self.days = itertools.cycle([30, 90, "never", 365])

    def step(self, admin):
        days = next(self.days)
        wanted = None if days == "never" else days
        # None stands for nothing pending.
        self.pending = days
        answered(admin.reply("POST", "/keys/rotate", {"key_id": self.key, "rotate_every_days": wanted}))
        self.known, self.pending = wanted, None
        self.count += 1

    def look(self, admin):
        key = admin.key(self.key)
        assert key["rotation_enabled"] == (key["rotate_every_days"] is not None) == (key["next_rotation_date"] is not None)
        return key["rotate_every_days"] or "never"

    def verify(self, admin):
        seen = self.look(admin)
        assert seen in (self.known or "never", self.pending or self.known or "never"), (seen, self.known, self.pending)
        self.known, self.pending = None if seen == "never" else seen, None


def every_key(admin):
    keys, marker = [], None
    while True:
        page = admin("GET", "/keys", query={"limit": "1000"} | ({"marker": marker} if marker else {}))
        keys += page["keys"]
        marker = page["next_marker"]
        if not page["truncated"]:
            return keys


def receipts(admin):
    """How many receipts each key has."""
    counts, marker = {}, None
    while True:
        page = admin("GET", "/receipts", query={"limit": "1000"} | ({"marker": str(marker)} if marker else {}))
        for row in page["receipts"]:
            counts[row["receipt"]["key_id"]] = counts.get(row["receipt"]["key_id"], 0) + 1
        marker = page["next_marker"]
        if not page["truncated"]:
            return counts


def wait_until(holds, seconds=20):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def storm_until_killed(server, stories, seconds):
    actors = [Actor(story, server) for story in stories]
    for actor in actors:
        actor.start()
    time.sleep(seconds)
    server.kill()
    for actor in actors:
        actor.join(60)
        assert not actor.is_alive()
        if actor.unexpected:
            raise actor.unexpected


@pytest.mark.timeout(120 + 15 * KILLS)
def test_keys_are_as_they_were_acknowledged_after_kill_9(new_server):
    server, seed = new_server(), random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    admin, raw, bucket, log = Admin(server), server.raw(), make_bucket(server), AuditLog(server)
    rotation = Rotation(admin)
    stories = [Creation(), rotation, State(admin), Deletion(), Schedule(admin)]
    for number in range(KILLS):
        raw.put(bucket, str(number), b"%d" % number, {SSE: "aws:kms", KMS_KEY_ID: rotation.key}).ok()
        storm_until_killed(server, stories, chance.uniform(0.05, LONGEST_ROUND_SECONDS))
        server.start()
        admin, raw = Admin(server), server.raw()
        for story in stories:
            story.verify(admin)
        for earlier in range(number + 1):
            assert raw.get(bucket, str(earlier)).ok().body == b"%d" % earlier
    assert all(story.count >= KILLS for story in stories), [story.count for story in stories]
    assert not list(server.secrets.rglob(".tmp-*")), "what was half written is removed"
    assert sum(row["objects"] for row in admin.usage(rotation.key)["versions"]) == KILLS
    assert server.stop() == 0
    assert verify(log.folder)["findings"] == []


class Service(Story):
    """The whole service is reconfigured, switched between two key directories, stopped, started, sealed and unsealed."""

    def __init__(self, admin, folder):
        self.folder, self.numbers = folder, itertools.count(1)
        # A start makes the default key of the other directory.
        for call, body in [("reconfigure", self.switch("second")), ("stop", None), ("start", None), ("reconfigure", self.switch("local"))]:
            admin("POST", f"/{call}", body)
        self.known, self.pending = self.look(admin), None

    def switch(self, name):
        return {"name": name, "backend_type": "local"} | ({"key_dir": str(self.folder)} if name == "second" else {})

    def step(self, admin):
        state, name, *_ = self.known
        for _ in range(3):
            number = next(self.numbers)
            both = {"cache_ttl_seconds": number, "max_cached_keys": number}
            self.change((state, name, number, number), lambda both=both: admin.reply("POST", "/reconfigure", both))
        name, number = ("second" if name == "local" else "local"), next(self.numbers)
        switch = self.switch(name) | {"cache_ttl_seconds": number, "max_cached_keys": number}
        self.change(("Running", name, number, number), lambda: admin.reply("POST", "/reconfigure", switch))
        for act, state in [("stop", "Configured"), ("start", "Running"), ("seal", "Sealed"), ("unseal", "Running")]:
            self.change((state, name, number, number), lambda act=act: admin.reply("POST", f"/{act}"))

    def look(self, admin):
        status = admin("GET", "/status")
        cache = status["config_summary"]["cache_summary"]
        (in_force,) = [row["name"] for row in status["backends"] if row["in_force"]]
        return status["status"], in_force, cache["ttl_seconds"], cache["max_keys"]

    def verify(self, admin):
        super().verify(admin)
        for act in {"Sealed": ["unseal"], "Configured": ["start"]}.get(self.known[0], []):
            admin("POST", f"/{act}")
        self.known = self.look(admin)
        assert self.known[0] == "Running"


class Uploads(Story):
    """Objects are put under whatever key is in force, or refused."""

    def __init__(self, server, bucket):
        self.server, self.bucket, self.stored, self.names = server, bucket, [], itertools.count()

    def step(self, admin):
        name = str(next(self.names))
        reply = self.server.raw().put(self.bucket, name, name.encode(), {SSE: "AES256"})
        if not reply.complete:
            raise ConnectionError("cut")
        assert reply.status in (200, 403, 503), (reply.status, reply.body)
        self.stored += [name] if reply.status == 200 else []


@pytest.mark.timeout(120 + 15 * KILLS)
def test_the_configuration_is_one_that_was_asked_for_after_kill_9(new_server, tmp_path):
    server, chance = new_server(f'[kms]\ntrusted_dirs = ["{tmp_path}"]\n'), random.Random()
    bucket, log = make_bucket(server), AuditLog(server)
    service, uploads = Service(Admin(server), tmp_path / "second"), Uploads(server, bucket)
    for _ in range(KILLS):
        storm_until_killed(server, [service, uploads], chance.uniform(0.05, LONGEST_ROUND_SECONDS))
        server.start()
        service.verify(Admin(server))
    assert service.count >= KILLS and uploads.stored
    admin, raw = Admin(server), server.raw()
    for name in uploads.stored:
        assert raw.get(bucket, name).ok().body == name.encode()
    in_use = {row["backend"] for row in admin("GET", "/keys/in-use")["keys"] if row["objects"]}
    assert in_use <= {"local", "second"}
    assert server.stop() == 0
    assert verify(log.folder)["findings"] == []


def test_a_rotation_schedule_is_kept_over_a_restart_and_shown(new_server):
    server = new_server()
    admin = Admin(server)
    key = admin.create_key()
    admin.change("rotate", key, rotate_every_days=30)
    shown = admin.key(key)
    assert (shown["rotation_enabled"], shown["rotate_every_days"], shown["current_version"]) == (True, 30, 1)
    server.restart()
    admin = Admin(server)
    after = admin.key(key)
    assert after == shown
    admin.fails(400, "POST", "/keys/rotate", {"key_id": key, "rotate_every_days": 0})
    admin.fails(400, "POST", "/keys/rotate", {"key_id": key, "rotate_every_days": 3651})
    assert admin.key(key) == shown
    admin.change("rotate", key, rotate_every_days=None)
    server.restart()
    after = Admin(server).key(key)
    assert (after["rotation_enabled"], after["rotate_every_days"], after["next_rotation_date"]) == (False, None, None)


# ---- where the master key comes from

PASSPHRASE = "six random words make it strong"


def refused(server, env=None, *arguments):
    """What a start with that environment prints instead of starting."""
    login = {"STRONGROOM_ACCESS_KEY": server.access_key, "STRONGROOM_SECRET_KEY": server.secret_key}
    done = serve(server.data, *arguments, env=login | (env or {}))
    assert done.returncode in (1, 2), f"exit {done.returncode}\n{done.stdout}{done.stderr}"
    text = done.stdout + done.stderr
    assert leaks.in_bytes(text.encode()) == []
    return text


def with_an_object(server):
    """A bucket with an object under a key of the local backend."""
    server.start()
    bucket = make_bucket(server)
    server.raw().put(bucket, "object", b"body", {SSE: "aws:kms"}).ok()
    return bucket


@pytest.fixture
def own(tmp_path):
    """Makes a server, not started yet."""
    servers = []

    def make(**options):
        servers.append(Server(tmp_path / f"home-{len(servers)}", **options))
        return servers[-1]

    yield make
    for one in servers:
        one.remove()


@pytest.mark.parametrize("way", ["environment", "file", "configuration"])
def test_a_passphrase_is_the_master_key_and_a_wrong_one_is_refused_with_what_is_wrong(own, tmp_path, way):
    passphrase = leaks.register(f"the passphrase, {way}", f"{PASSPHRASE} {secrets.token_hex(8)}")
    wrong = leaks.register(f"the wrong passphrase, {way}", f"wrong {secrets.token_hex(16)}")
    file = tmp_path / "passphrase"
    file.touch(mode=0o600)
    file.write_text(passphrase)
    environment = {"environment": {"STRONGROOM_KMS_MASTER_PASSPHRASE": passphrase}, "file": {"STRONGROOM_KMS_MASTER_PASSPHRASE_FILE": str(file)}}
    config = f'[kms]\nmaster_passphrase = "{passphrase}"\n' if way == "configuration" else ""
    server = own(env=environment.get(way), config=config)
    bucket = with_an_object(server)
    assert (server.secrets / "kms/master.argon2.json").exists() and not (server.secrets / "kms-master.key").exists()
    server.restart()
    assert server.raw().get(bucket, "object").ok().body == b"body"
    server.stop()
    assert "the passphrase is wrong" in refused(server, {"STRONGROOM_KMS_MASTER_PASSPHRASE": wrong})
    assert "12" in refused(server, {"STRONGROOM_KMS_MASTER_PASSPHRASE": "too short"})
    assert "master" in refused(server), "without any, no other master key is made"
    assert not (server.secrets / "kms-master.key").exists()
    server.start()
    assert server.raw().get(bucket, "object").ok().body == b"body"
    assert leaks.in_files([path for path in server.secrets.rglob("*") if path.is_file()], {"passphrase": passphrase.encode()}) == {}


def test_a_passphrase_file_that_others_may_read_is_refused(own, tmp_path):
    server, file = own(), tmp_path / "passphrase"
    file.write_text(leaks.register("a passphrase in an open file", f"{PASSPHRASE} {secrets.token_hex(8)}"))
    file.chmod(0o644)
    assert "chmod 600" in refused(server, {"STRONGROOM_KMS_MASTER_PASSPHRASE_FILE": str(file)})


def test_a_master_key_from_the_environment_is_never_on_the_disk(own):
    master = secrets.token_bytes(32)
    leaks.register("the master key", master)
    text = base64.b64encode(master).decode()
    server = own(env={"STRONGROOM_KMS_MASTER_KEY": text})
    bucket = with_an_object(server)
    server.restart()
    assert server.raw().get(bucket, "object").ok().body == b"body"
    server.stop()
    assert not (server.secrets / "kms-master.key").exists()
    assert leaks.in_files([path for path in server.home.rglob("*") if path.is_file()], {"the master key": master}) == {}
    other = leaks.register("another master key", secrets.token_bytes(32))
    assert "another master key" in refused(server, {"STRONGROOM_KMS_MASTER_KEY": base64.b64encode(other).decode()})
    for malformed in ["", "AAAA", text[:-5], "!" * 44]:
        if malformed:
            assert "master" in refused(server, {"STRONGROOM_KMS_MASTER_KEY": malformed})
    assert "master" in refused(server)
    both = {"STRONGROOM_KMS_MASTER_KEY": text, "STRONGROOM_KMS_MASTER_PASSPHRASE": f"{PASSPHRASE} and a key"}
    assert "master" in refused(server, both)


@pytest.mark.parametrize("what", ["kms-master.key", "kms", "kms/default.key.json"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_permissions_that_let_others_in_are_refused_with_the_command_that_helps(own, what, mode):
    server = own()
    bucket = with_an_object(server)
    server.stop()
    path = server.secrets / what
    proper = path.stat().st_mode & 0o777
    path.chmod(mode | (0o111 if path.is_dir() else 0))
    text = refused(server)
    assert f"chmod {proper:o}" in text and what in text, text
    path.chmod(proper)
    server.start()
    assert server.raw().get(bucket, "object").ok().body == b"body"
