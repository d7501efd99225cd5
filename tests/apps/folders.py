"""What a day's work leaves in a folder: files of every size and kind of name, and how they change from one evening to the next."""

import os

from harness.sse import random_body


def write(folder, files):
    """Writes {path below the folder: bytes}."""
    for name, body in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


def read(folder):
    """{path below the folder: bytes} of all files in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def morning(folder, empty=True):
    """The first files; the large one goes up in several parts with most clients."""
    files = {
        "notes.txt": b"first thoughts\n",
        "report 2024 (final).txt": b"numbers\n" * 200,
        "photos/summer/Grüße aus Köln.jpg": random_body(300_000),
        "photos/a+b=c&d.png": random_body(70_000),
        "archive/large.bin": random_body(18 << 20),
    } | {f"logs/{number:03}.log": random_body(number * 37 + 1) for number in range(60)}
    files |= {"empty": b""} if empty else {}
    write(folder, files)
    return files


def evening(folder):
    """What became of them: one is changed, one new, one moved, one gone."""
    files = {"notes.txt": b"second thoughts, longer\n", "photos/new.jpg": random_body(120_000), "archive/large.bin": random_body(17 << 20)}
    write(folder, files)
    os.rename(folder / "logs/001.log", folder / "logs/001.old")
    os.remove(folder / "logs/002.log")
    return read(folder)
