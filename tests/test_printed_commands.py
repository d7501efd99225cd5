"""What `strongroom serve` prints to be pasted is pasted: a first-time user's first five minutes."""

import os
import re
import sys
from pathlib import Path

import pytest

from harness.cli import run
from harness.server import REPOSITORY, Server


@pytest.mark.parametrize("name", ["home", "it's a home"])
def test_the_printed_commands_can_be_pasted_as_they_stand(tmp_path, tmp_path_factory, name):
    """The root identity is a generated one, so that its secret is read from the printed file."""
    server = Server(tmp_path_factory.mktemp("own") / name, credentials=False)
    try:
        printed = commands_of(server.start())
        assert server.access_key not in printed
        empty = tmp_path / "empty"
        empty.mkdir()
        env = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path), "LANG": "C.UTF-8"}
        said = run(printed, env, cwd=empty).stdout
        for word in ("aws:kms", "SSECustomerKeyMD5"):
            assert word in said, word
        assert (empty / "hello.txt").read_text() == "top secret\n"
        assert (empty / "hello-again.txt").read_bytes() == (empty / "hello.txt").read_bytes()
        assert stored(server) == {"sse-s3.txt", "sse-kms.txt", "sse-c.txt"}
    finally:
        server.remove()


def test_the_readme_shows_what_is_printed(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("own") / "home", credentials=False)
    try:
        printed = commands_of(server.start())
    finally:
        server.remove()
    shown = printed.replace(str(server.data), "/srv/strongroom/strongroom-data").replace(f":{server.port} ", ":9000 ")
    assert f"```\n{shown.strip()}\n```" in (REPOSITORY / "README.md").read_text()


def commands_of(server):
    """From "Paste into a shell:" to "Ctrl-C"."""
    found = re.search(r"^Paste into a shell:\n(.*?)^Ctrl-C", server.log_text(), re.DOTALL | re.MULTILINE)
    assert found, server.log_text()
    return found.group(1)


def stored(server):
    """The keys of the bucket that the commands made."""
    root = (server.secrets / "root-credentials").read_text()
    access_key, secret_key = (re.search(rf'^{key} = "(.*)"$', root, re.MULTILINE).group(1) for key in ("access_key", "secret_key"))
    listed = server.boto(access_key, secret_key).list_objects_v2(Bucket="demo")
    return {entry["Key"] for entry in listed["Contents"]}
