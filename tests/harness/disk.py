"""What lies under a server's directories."""

import mmap
import sqlite3


def blobs(server):
    """The blob files and their sizes: {path below DATA_DIR: length}."""
    sizes = ((path, _size(path)) for path in (server.data / "blobs").rglob("*"))
    return {str(path.relative_to(server.data)): size for path, size in sizes if size is not None}


def files(server):
    return [path for path in server.data.rglob("*") if path.is_file()]


def holding(paths, needle):
    """Which of these files hold those bytes."""
    found = []
    for path in paths:
        if path.stat().st_size == 0:
            continue
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            if mapped.find(needle) >= 0:
                found.append(path)
    return found


def catalog(server):
    """The catalog of a stopped server, open for tampering."""
    path = server.data / "catalog.db"
    assert path.exists()
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    return connection


def new_blobs(server, before):
    """Paths of the blob files that were not there before."""
    return [server.data / name for name in sorted(set(blobs(server)) - set(before))]


def flip(path, offset, bits=0x01):
    """Flips bits of one byte; a negative offset counts from the end."""
    with open(path, "r+b") as file:
        size = file.seek(0, 2)
        at = offset if offset >= 0 else size + offset
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ bits]))


class Data:
    """The blobs that `write()` made. Blobs of earlier tests may be swept meanwhile, so only these, and newer ones, count."""

    def __init__(self, server, write):
        self.server = server
        before = blobs(server)
        write()
        self.all = blobs(server)
        self.own = {name: size for name, size in self.all.items() if name not in before}

    def new(self):
        """Blobs made since."""
        return [name for name in blobs(self.server) if name not in self.all]

    def assert_not_moved(self):
        assert self.new() == [], "data was written again"
        now = blobs(self.server)
        assert {name: now.get(name) for name in self.own} == self.own, "data is gone"


def _size(path):
    """The length of a file; None of anything else, and of what the server deletes meanwhile."""
    try:
        return path.stat().st_size if path.is_file() else None
    except FileNotFoundError:
        return None
