"""What a server asked of the system, in order: its calls as strace saw them."""

import re
import time
from dataclasses import dataclass

CALLS = "openat,close,mkdir,mkdirat,rename,renameat,renameat2,write,writev,pwrite64,pwritev,sendto,sendmsg,fsync,fdatasync"
STRING_BYTES = 8192  # a page of the catalog whole, in whatever it is wrapped
LINE = re.compile(r"^(\d+) +(.*)$")
SECONDS = 30


def prefix(path, names=CALLS):
    """The command that runs a server traced into this file. The server stays the child, strace goes beside it."""
    return ["strace", "-D", "-f", "-s", str(STRING_BYTES), "-o", str(path), "-e", f"trace={names}"]


@dataclass
class Call:
    """One call: its arguments as printed, the path of the file it works on, and the lines where it began and returned."""

    name: str
    text: str
    began: int
    returned: int
    path: str | None = None

    @property
    def result(self):
        found = re.match(r".*\) += (-?\d+)", self.text)
        return int(found.group(1)) if found else None


def calls(path):
    """All calls of a server that has ended. Descriptors are followed to their paths here: the server forbids looking them up."""
    found, under_way, paths = [], {}, {}
    for number, line in enumerate(_lines(path)):
        thread, rest = LINE.match(line).groups()
        if rest.endswith("<unfinished ...>"):
            under_way[thread] = (number, rest.removesuffix("<unfinished ...>"))
            continue
        began = number
        if rest.startswith("<... "):
            began, begun = under_way.pop(thread)
            rest = begun + rest.split(" resumed>", 1)[1]
        if name := re.match(r"(\w+)\(", rest):
            found.append(Call(name.group(1), rest, began, number))
    for call in sorted(found, key=lambda call: call.returned):
        _follow(call, paths)
    return found


def _follow(call, paths):
    """Gives the call its path; `paths` has what the descriptors stand for."""
    if call.name == "openat" and call.result is not None and call.result >= 0:
        call.path = paths[call.result] = call.text.split('"')[1]
    elif call.name.startswith("mkdir"):
        call.path = call.text.split('"')[1]
    elif call.name.startswith("rename") and call.result == 0:
        old, new = call.text.split('"')[1::2][:2]
        call.path = new
        paths.update({number: new for number, path in paths.items() if path == old})
    elif descriptor := re.match(r"\w+\((\d+)", call.text):
        number = int(descriptor.group(1))
        call.path = paths.pop(number, None) if call.name == "close" else paths.get(number)


def _lines(path):
    """The finished trace: strace writes on for a moment after the server's end."""
    deadline = time.monotonic() + SECONDS
    while True:
        text = path.read_text(errors="replace")
        lines = text.splitlines()
        if lines and lines[-1].endswith("+++ exited with 0 +++"):
            return lines
        assert time.monotonic() < deadline, f"the trace does not end: {lines[-3:]}"
        time.sleep(0.05)
