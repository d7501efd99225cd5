"""A server on a PKCS#11 token stops: with status 0, its library ended once, and never under a call.

A library's destructors run when the process ends. If another thread is in a call, or sessions are open, they may crash: SoftHSM's do so now
and then. So the server waits for calls and ends the library first. If a call does not return, the server exits without running destructors,
after everything acknowledged is on the disk.
"""

import http.client
import os
import signal
import subprocess
import threading
import time

import pytest

from conftest import make_bucket
from harness.admin import Admin
from harness.keyservers import SoftHsm, trusted_dirs
from harness.server import REPOSITORY
from harness.sse import SSE_KMS

STOPS = int(os.environ.get("STRONGROOM_TEST_TOKEN_STOPS", "30"))
CONFIG = 'encrypt_by_default = false\n[kms]\nbackend = "none"\n'
BUSY = "while True: pass"
HANG_SECONDS = 60
USE_SECONDS = 60


@pytest.fixture(scope="module")
def witness(tmp_path_factory):
    """A library in front of SoftHSM's that notes what happens, and crashes where other libraries might."""
    path = tmp_path_factory.mktemp("witness") / "witness.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-Wall", "-Werror", "-o", path, REPOSITORY / "tests/harness/witness.c", "-ldl"], check=True)
    return path


@pytest.fixture
def token():
    made = SoftHsm()
    yield made
    made.stop()


@pytest.fixture
def busy_machine():
    """One more computing program than there are processors. They are nice to others a little: other tests run beside this one."""
    programs = [subprocess.Popen(["nice", "-n", "5", "python3", "-c", BUSY]) for _ in range((os.cpu_count() or 1) + 1)]
    yield
    for program in programs:
        program.kill()
        program.wait()


class OnToken:
    """A server whose keys are on a token, and clients that use them until it stops."""

    def __init__(self, new_server, token, module=None, timeout_seconds=30, **env):
        fields = token.configuration() | ({"module": str(module)} if module else {})
        self.server = new_server(CONFIG + trusted_dirs(fields), env=token.env | env)
        self.bucket = make_bucket(self.server)
        admin = Admin(self.server)
        admin("POST", "/configure", fields | {"timeout_seconds": timeout_seconds, "retry_attempts": 0})
        admin("POST", "/start")
        key = admin.create_key()
        admin("POST", "/reconfigure", {"default_key_id": key})
        self.acknowledged, self.count = {}, 0

    def use(self, stopped):
        raw = self.server.raw()
        while not stopped.is_set():
            self.count += 1
            name = f"object-{self.count}-{threading.get_ident()}"
            try:
                if raw.put(self.bucket, name, name.encode(), SSE_KMS.write).status == 200:
                    self.acknowledged[name] = name.encode()
            except (OSError, http.client.HTTPException):
                return

    def under_load(self, do):
        """The result of `do`, which runs while four clients use keys."""
        stopped = threading.Event()
        clients = [threading.Thread(target=self.use, args=(stopped,)) for _ in range(4)]
        for client in clients:
            client.start()
        try:
            return do()
        finally:
            stopped.set()
            for client in clients:
                client.join()

    def wait_for_a_use(self):
        """Waits until one more use of a key is acknowledged: the library is loaded only at the first use."""
        before, deadline = len(self.acknowledged), time.monotonic() + USE_SECONDS
        while len(self.acknowledged) == before:
            assert time.monotonic() < deadline, "no use of a key is acknowledged"
            time.sleep(0.01)

    def stop_under_load(self, seconds, after_a_use=False):
        def stop():
            if after_a_use:
                self.wait_for_a_use()
            time.sleep(seconds)
            return self.server.stop()

        return self.under_load(stop)


@pytest.mark.timeout(120 + 15 * STOPS)
def test_a_server_on_a_token_stops_with_status_0_on_a_busy_machine_every_time(new_server, token, busy_machine):
    store = OnToken(new_server, token)
    statuses = []
    for number in range(STOPS):
        statuses.append(store.stop_under_load(0.05 + number % 5 / 10))
        store.server.start()
    assert statuses == [0] * STOPS
    assert store.acknowledged
    for name, body in list(store.acknowledged.items())[-50:]:
        assert store.server.raw().get(store.bucket, name).ok().body == body


def test_the_library_is_ended_once_when_no_call_is_under_way_and_before_its_destructors_run(new_server, token, witness, tmp_path):
    notes = tmp_path / "notes"
    store = OnToken(new_server, token, witness, WITNESS_OF=token.facts["module"], WITNESS_NOTES=str(notes))
    for _ in range(5):
        assert store.stop_under_load(0.2, after_a_use=True) == 0
        assert notes.read_text().splitlines() == ["initialize started=1 inside=0", "finalize started=1 inside=0", "destroy started=0 inside=0"]
        notes.unlink()
        store.server.start()


def test_a_call_that_hangs_in_the_library_does_not_meet_its_destructors(new_server, token, witness, tmp_path):
    notes, hang = tmp_path / "notes", tmp_path / "hang"
    env = {"WITNESS_OF": token.facts["module"], "WITNESS_NOTES": str(notes), "WITNESS_HANG": str(hang)}
    store = OnToken(new_server, token, witness, timeout_seconds=2, **env)
    store.under_load(store.wait_for_a_use)
    hang.touch()
    stuck = store.server.raw().put(store.bucket, "stuck", b"x", SSE_KMS.write)
    assert stuck.status == 503 and any(note.startswith("hang") for note in notes.read_text().splitlines())
    store.server.raw().put(store.bucket, "without-a-key", b"kept").ok()
    store.server.process.send_signal(signal.SIGTERM)
    assert store.server.process.wait(HANG_SECONDS) == 0
    assert not any(note.startswith(("finalize", "destroy")) for note in notes.read_text().splitlines()), notes.read_text()
    log = store.server.log_text()
    assert "stopped" in log and "does not return from a call" in log and "panicked" not in log
    hang.unlink()
    store.server.start()
    for name, body in (store.acknowledged | {"without-a-key": b"kept"}).items():
        assert store.server.raw().get(store.bucket, name).ok().body == body


def test_the_witness_crashes_where_a_library_is_not_ended(token, witness, tmp_path):
    """The tests above would fail if the server just left."""
    program = f"import ctypes; of = ctypes.CDLL({str(witness)!r}); list = ctypes.POINTER(ctypes.c_void_p)(); of.C_GetFunctionList(ctypes.byref(list)); "
    program += "initialize = ctypes.CFUNCTYPE(ctypes.c_ulong, *[ctypes.c_ulong] * 5)(list[1]); assert initialize(0, 0, 0, 0, 0) == 0"
    env = os.environ | token.env | {"WITNESS_OF": token.facts["module"], "WITNESS_NOTES": str(tmp_path / "notes")}
    assert subprocess.run(["python3", "-c", program], env=env).returncode == -signal.SIGSEGV
