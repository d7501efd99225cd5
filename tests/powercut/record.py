"""A server's system calls that change files, with their bytes and the moments between which each took effect, as strace saw them."""

import re
import time
from dataclasses import dataclass

CHANGES = (
    "open,openat,creat,close,close_range,dup,dup2,dup3,fcntl,lseek,write,writev,pwrite64,pwritev,pwritev2,truncate,ftruncate,fallocate,copy_file_range,"
    "sendfile,splice,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir,symlink,symlinkat,fsync,fdatasync,sync,syncfs"
)
LONGEST_BYTES = 64 << 20  # no call is cut short in the record
LINE = re.compile(r"^(\d+) +(\d+\.\d+) (.*)$", re.DOTALL)
RESULT = re.compile(r"^(.*)\) += (-?\d+|\?)[^<]*(?:<(\d+\.\d+)>)?$", re.DOTALL)
SECONDS = 60


def prefix(path, *options):
    """The command that runs a server recorded into this file. The server stays the child, strace goes beside it."""
    times = ["--absolute-timestamps=format:unix,precision:ns", "--syscall-times=ns"]
    return ["strace", "-D", "-f", "--seccomp-bpf", "-xx", "-s", str(LONGEST_BYTES), *times, "-o", str(path), "-e", f"trace={CHANGES}", *options]


@dataclass(slots=True)
class Call:
    """One call. It took effect, if at all, between `began` and `returned` (nanoseconds since 1970); None: its process was killed in it."""

    name: str
    text: str  # the arguments as printed
    result: int | None
    began: int
    returned: int | None

    @property
    def strings(self):
        # Every byte is printed as a number, so a quote is never part of a string.
        return [bytes.fromhex(found.replace("\\x", "")) for found in self.text.split('"')[1::2]]

    @property
    def descriptor(self):
        """The first argument, where it is a number."""
        found = re.match(r"\d+", self.text)
        return int(found.group()) if found else None

    @property
    def numbers(self):
        """The arguments that are numbers, strings and lists left out."""
        bare = re.sub(r"\[.*\]", "[]", '""'.join(self.text.split('"')[0::2]))
        return [int(word) for word in bare.split(", ") if re.fullmatch(r"-?\d+", word)]


def calls(path):
    """Every call of a server that has ended, in the order in which they began."""
    found, under_way, ended = [], {}, 0
    for line in _lines(path):
        thread, stamp, rest = LINE.match(line).groups()
        moment = _nanoseconds(stamp)
        ended = max(ended, moment)
        if rest.startswith(("+++", "---")):
            continue
        if rest.endswith("<unfinished ...>"):
            under_way[thread] = (moment, rest.removesuffix("<unfinished ...>").rstrip())
            continue
        began = moment
        if rest.startswith("<... "):
            began, begun = under_way.pop(thread)
            rest = begun + rest.split(" resumed>", 1)[1]
        found.append(_call(rest, began, moment))
    found += [_call(rest + ") = ?", began, None) for began, rest in under_way.values()]
    return sorted(found, key=lambda call: call.began), ended


def _call(text, began, moment):
    name, arguments = text.split("(", 1)
    arguments, result, took = RESULT.match(arguments).groups()
    if result == "?":
        return Call(name, arguments, None, began, None)
    # A line that was not interrupted has the moment when its call began, another one that when it returned.
    returned = max(moment, began + _nanoseconds(took or "0.0"))
    return Call(name, arguments, int(result), began, returned)


def _nanoseconds(text):
    whole, fraction = text.split(".")
    return int(whole) * 1_000_000_000 + int(fraction.ljust(9, "0"))


def _lines(path):
    """The finished record: strace writes on for a moment after the server's end."""
    deadline = time.monotonic() + SECONDS
    while True:
        text = path.read_text()
        if re.search(r"\+\+\+ (exited with \d+|killed by SIGKILL.*) \+\+\+\n\Z", text) and _is_over(text):
            return text.splitlines()
        assert time.monotonic() < deadline, f"the record does not end: {text[-300:]}"
        time.sleep(0.05)


def _is_over(text):
    """Whether the process has ended, and not only one of its threads: the first line is its own."""
    leader = text.split(" ", 1)[0]
    return re.search(rf"^{leader} +[\d.]+ \+\+\+ ", text[-4096:], re.MULTILINE) is not None
