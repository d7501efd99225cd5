"""Fixtures: one shared server for each worker, others where a test needs its own, and a fresh bucket for each test."""

import contextlib
import itertools
import os

import pytest

from harness import leaks
from harness.server import BINARY, Server

_numbers = itertools.count()


def pytest_sessionstart(session):
    if not BINARY.exists() and not session.config.option.collectonly:
        pytest.exit(f"{BINARY} is missing; build it: cargo build --release -p strongroom", returncode=2)


@pytest.fixture(scope="session", autouse=True)
def no_secret_is_left_anywhere():
    """A server's removal looks for secrets in what it has written; this looks at those that nobody removed."""
    yield
    for server in list(Server.unchecked):
        leaks.check(server)


def _shared(tmp_path_factory, config="", **options):
    server = Server(tmp_path_factory.mktemp("server") / "home", config=config, **options).start()
    try:
        yield server
        assert server.stop() == 0
        assert "panicked" not in server.log_text()
    finally:
        server.remove()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The ordinary server: defaults, and one more master key."""
    yield from _shared(tmp_path_factory, '[kms]\nensure_keys = ["rotation-2024-09"]\n')


@pytest.fixture(scope="session")
def plain_server(tmp_path_factory):
    """A server that encrypts only what is asked to be."""
    yield from _shared(tmp_path_factory, "encrypt_by_default = false\n")


@pytest.fixture(scope="session")
def aws_dialect_server(tmp_path_factory):
    yield from _shared(tmp_path_factory, 'sse_error_dialect = "aws"\n')


@pytest.fixture(scope="session")
def no_kms_server(tmp_path_factory):
    yield from _shared(tmp_path_factory, 'encrypt_by_default = false\n[kms]\nbackend = "none"\n')


@pytest.fixture
def new_server(tmp_path_factory):
    """Makes servers of a test's own: `new_server(config, …)`."""
    with contextlib.ExitStack() as servers:

        def make(config="", **options):
            made = Server(tmp_path_factory.mktemp("own") / "home", config=config, **options)
            servers.callback(made.remove)
            return made.start()

        yield make


@pytest.fixture(scope="module")
def own(request, tmp_path_factory):
    """The server of a module that stops it, or alters its files; `OWN_CONFIG` of the module configures it."""
    server = Server(tmp_path_factory.mktemp("own") / "home", request.module.OWN_CONFIG).start()
    yield server
    # A test may have left it stopped.
    assert "panicked" not in server.log_text()
    server.remove()


@pytest.fixture
def own_bucket(own):
    if own.process.poll() is not None:
        own.start()
    return make_bucket(own)


@pytest.fixture
def raw(server):
    return server.raw()


@pytest.fixture
def s3(server):
    return server.boto()


@pytest.fixture
def bucket(server):
    return make_bucket(server)


@pytest.fixture
def plain_bucket(plain_server):
    return make_bucket(plain_server)


def make_bucket(server, name=None):
    """A new bucket; the server's directory goes in the end, so nothing is tidied up."""
    name = name or f"test-{os.getpid()}-{next(_numbers)}"
    server.raw().request("PUT", f"/{name}").ok()
    return name
