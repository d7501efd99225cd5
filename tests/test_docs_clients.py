"""docs/clients.md: its blocks of commands are run in order, as they stand but for the endpoint."""

import re

from harness.cli import Shell
from harness.server import REPOSITORY


def blocks(language):
    text = (REPOSITORY / "docs" / "clients.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_commands_of_the_user_s_guide_work(new_server, tmp_path):
    server = new_server()
    shell = Shell(server, tmp_path)
    del shell.env["AWS_CA_BUNDLE"]
    shell.env["DATA_DIR"] = str(server.data)
    script = "".join(blocks("bash")).replace("https://localhost:9000", server.endpoint)
    assert script.count("\n") > 40
    shell(script)
    assert (tmp_path / "back.txt").read_text() == "top secret\n"
    assert (tmp_path / "back" / "hello.txt").read_text() == "top secret\n"


def test_the_python_of_the_user_s_guide_works(new_server, tmp_path):
    server = new_server()
    shell = Shell(server, tmp_path)
    shell.env["AWS_ENDPOINT_URL"] = server.endpoint
    shell.file("sse-c.key", bytes(range(32)))
    shell.file("hello.txt", b"top secret\n")
    shell.file("guide.py", "".join(blocks("python")).encode())
    shell("python guide.py")
    assert (tmp_path / "back.txt").read_text() == "top secret\n"
