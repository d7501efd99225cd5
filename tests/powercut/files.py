"""The files as the running system has them, followed call by call, and what each call did: the input of the model of the disk."""

import os
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

SYNCS = ("fsync", "fdatasync")
WRITES = ("write", "writev", "pwrite64", "pwritev", "pwritev2")
# These calls count from the moment they began, because others may use their result before they return, or before the process is killed in them: the
# number of a closed descriptor is free for the next file, and a new directory is there for a thread that tries to make it too. All other calls
# count from the moment they returned.
EARLY = ("close", "mkdir", "mkdirat")
# The model does not know what these do. The server uses none of them on its files.
UNKNOWN = (
    "open creat close_range dup2 dup3 copy_file_range sendfile splice truncate symlink symlinkat sync syncfs".split()
)


@dataclass(slots=True)
class Effect:
    """What one call did, some time between `began` and `returned`."""

    began: int
    returned: int
    inode: int


@dataclass(slots=True)
class Written(Effect):
    offset: int
    data: bytes


@dataclass(slots=True)
class Truncated(Effect):
    size: int


@dataclass(slots=True)
class Named(Effect):
    """Names in the directory `inode` that now belong to other inodes, or to none."""

    changes: tuple  # of (name, inode or None)


@dataclass(slots=True)
class Synced(Effect):
    pass


@dataclass
class Open:
    """What a descriptor refers to."""

    inode: int
    appends: bool
    offset: int = 0


@dataclass
class Files:
    """The file systems mounted at `disks`, empty at first."""

    disks: list
    effects: list = field(default_factory=list)
    directories: dict = field(default_factory=dict)  # inode: {name: inode}
    contents: dict = field(default_factory=dict)  # inode: bytearray
    _numbers: count = field(default_factory=count)
    _open: dict = field(default_factory=dict)  # descriptor: Open

    def __post_init__(self):
        self.roots = {}
        for disk in self.disks:
            self.roots[str(disk)] = self._new_directory()

    def root(self, disk):
        return self.roots[str(disk)]

    # ---- a process's calls

    def follow(self, calls, ended):
        """Applies the calls of a process that ended at the moment `ended`."""
        self._open = {}
        moments = [(call.began if call.name in EARLY else call.returned, call) for call in calls if call.returned is not None]
        moments += [(call.began if call.name in EARLY else ended + number, call) for number, call in enumerate(calls) if call.returned is None]
        for _, call in sorted(moments, key=lambda pair: pair[0]):
            if call.returned is None:
                if self._was_done(call):
                    self._did(call, ended)
            elif call.result >= 0:
                self._did(call, call.returned)
        self.effects.sort(key=lambda effect: effect.returned)

    def _did(self, call, returned):
        handler = getattr(self, f"_{call.name}", None)
        if call.name in WRITES:
            self._write(call, returned)
        elif call.name in SYNCS:
            self._sync(call, returned)
        elif call.name in UNKNOWN:
            self._refuse_unknown(call)
        elif call.name in ("rename", "renameat", "renameat2"):
            self._rename(call, returned)
        elif handler is not None:
            handler(call, returned)
        else:
            raise NotImplementedError(call.name)

    def _refuse_unknown(self, call):
        is_ours = any(number in self._open for number in call.numbers[:2]) or any(self._place(path) for path in call.strings)
        assert not is_ours, f"the model does not know {call.name}: {call.text[:200]}"

    def _fallocate(self, call, _):
        """Room that is kept beyond the end of a file is no part of it."""
        if ", FALLOC_FL_KEEP_SIZE," not in call.text:
            self._refuse_unknown(call)

    def _openat(self, call, returned):
        path, flags = call.strings[0], call.text.rsplit('"', 1)[1]
        place = self._place(path)
        self._open.pop(call.result, None)
        if place is None:
            return
        assert "O_TMPFILE" not in flags, "the model knows no files without a name"
        directory, name = place
        inode = self._look_up(directory, name)
        if inode is None:
            assert "O_CREAT" in flags, f"{path} is not there"
            inode = self._new_file()
            self._name(call.began, returned, directory, (name, inode))
        if "O_TRUNC" in flags and self.contents[inode]:
            self._cut(call.began, returned, inode, 0)
        self._open[call.result] = Open(inode, "O_APPEND" in flags)

    def _close(self, call, _):
        self._open.pop(call.descriptor, None)

    def _dup(self, call, _):
        if file := self._open.get(call.descriptor):
            self._open[call.result] = file

    def _fcntl(self, call, _):
        if "F_DUPFD" in call.text:
            self._dup(call, _)

    def _lseek(self, call, _):
        if file := self._open.get(call.descriptor):
            file.offset = call.result

    def _write(self, call, returned):
        file = self._open.get(call.descriptor)
        if file is None:
            return
        data = b"".join(call.strings)
        assert len(data) >= call.result, f"the record lacks bytes of {call.name}"
        data = data[: call.result]
        offset = self._offset(call, file)
        if not call.name.startswith("p"):
            file.offset = offset + len(data)
        _overwrite(self.contents[file.inode], offset, data)
        self.effects.append(Written(call.began, returned, file.inode, offset, data))

    def _offset(self, call, file):
        if call.name.startswith("p"):
            return call.numbers[2]
        return len(self.contents[file.inode]) if file.appends else file.offset

    def _ftruncate(self, call, returned):
        if file := self._open.get(call.descriptor):
            self._cut(call.began, returned, file.inode, call.numbers[1])

    def _sync(self, call, returned):
        if file := self._open.get(call.descriptor):
            self.effects.append(Synced(call.began, returned, file.inode))

    def _rename(self, call, returned):
        old, new = (self._place(path) for path in call.strings[:2])
        if old is None and new is None:
            return
        assert old and new, "a file came from another file system"
        (from_directory, from_name), (to_directory, to_name) = old, new
        inode = self._look_up(from_directory, from_name)
        if from_directory == to_directory:
            self._name(call.began, returned, to_directory, (from_name, None), (to_name, inode))
        else:
            self._name(call.began, returned, to_directory, (to_name, inode))
            self._name(call.began, returned, from_directory, (from_name, None))

    def _link(self, call, returned):
        old, new = (self._place(path) for path in call.strings[:2])
        if new:
            self._name(call.began, returned, new[0], (new[1], self._look_up(*old)))

    _linkat = _link

    def _unlink(self, call, returned):
        if place := self._place(call.strings[0]):
            self._name(call.began, returned, place[0], (place[1], None))

    _unlinkat = _rmdir = _unlink

    def _mkdir(self, call, returned):
        if place := self._place(call.strings[0]):
            self._name(call.began, returned, place[0], (place[1], self._new_directory()))

    _mkdirat = _mkdir

    # ---- a process that was killed in a call

    def _was_done(self, call):
        """Whether the call took effect, going by the files. A doubtful call counts as not done; `differences` would show that this is wrong."""
        if call.name in WRITES:
            return self._was_written(call)
        if call.name == "ftruncate":
            file = self._open.get(call.descriptor)
            path = file and self._path_of(file.inode)
            return path is not None and os.path.getsize(path) == call.numbers[1]
        if call.name.startswith("rename"):
            place = self._place(call.strings[0])  # what it replaces is there before and after
            return place is not None and not Path(call.strings[0].decode()).exists() and self._look_up(*place) is not None
        if call.name.startswith("link"):
            place = self._place(call.strings[1])
            return place is not None and Path(call.strings[1].decode()).exists() and self._look_up(*place) is None
        if call.name in ("mkdir", "mkdirat"):
            place = self._place(call.strings[0])
            return place is not None and Path(call.strings[0].decode()).exists() and self._look_up(*place) is None
        if call.name in ("unlink", "unlinkat", "rmdir"):
            place = self._place(call.strings[0])
            return place is not None and not Path(call.strings[0].decode()).exists() and self._look_up(*place) is not None
        if call.name == "openat":
            place = self._place(call.strings[0])
            if place is None or not Path(call.strings[0].decode()).exists():
                return False
            call.result = -1  # no descriptor was ever used
            was_emptied = "O_TRUNC" in call.text and os.path.getsize(call.strings[0]) == 0
            return was_emptied or self._look_up(*place) is None
        return False

    def _was_written(self, call):
        """A write may take effect in part: a kill ends one of many pages at the page that it has reached."""
        file = self._open.get(call.descriptor)
        path = file and self._path_of(file.inode)
        if path is None or not path.exists():
            return False
        data = b"".join(call.strings)
        with open(path, "rb") as real:
            real.seek(self._offset(call, file))
            found = real.read(len(data))
        call.result = len(os.path.commonprefix([data, found]))
        return call.result > 0

    def _path_of(self, inode):
        return next((path for path, other in self.walk() if other == inode), None)

    # ---- names

    def walk(self):
        """Every path and its inode."""
        below = [(Path(disk), inode) for disk, inode in self.roots.items()]
        while below:
            path, inode = below.pop()
            for name, child in self.directories[inode].items():
                yield path / os.fsdecode(name), child
                if child in self.directories:
                    below.append((path / os.fsdecode(name), child))

    def _place(self, path):
        """The directory and the name in it, for a path on one of the disks."""
        parts = Path(os.fsdecode(path)).parts
        for disk, inode in self.roots.items():
            own = Path(disk).parts
            if parts[: len(own)] != own:
                continue
            if len(parts) == len(own):
                return (inode, b".")
            for part in parts[len(own) : -1]:
                inode = self.directories[inode].get(os.fsencode(part))
                if inode is None:
                    return None
            return (inode, os.fsencode(parts[-1]))
        return None

    def _look_up(self, directory, name):
        return directory if name == b"." else self.directories[directory].get(name)

    def _new_directory(self):
        inode = next(self._numbers)
        self.directories[inode] = {}
        return inode

    def _new_file(self):
        inode = next(self._numbers)
        self.contents[inode] = bytearray()
        return inode

    def _name(self, began, returned, directory, *changes):
        for name, inode in changes:
            if inode is None:
                self.directories[directory].pop(name, None)
            else:
                self.directories[directory][name] = inode
        self.effects.append(Named(began, returned, directory, changes))

    def _cut(self, began, returned, inode, size):
        content = self.contents[inode]
        del content[size:]
        content.extend(bytes(size - len(content)))
        self.effects.append(Truncated(began, returned, inode, size))

    # ---- against what is there

    def differences(self):
        """Where the followed files differ from those on the disks: then the record lacks something. Shared memory is left out: it changes without calls."""
        expected = {path: inode for path, inode in self.walk()}
        real = {path for disk in self.disks for path in Path(disk).rglob("*")}
        found = [f"{path}: only in the record" for path in expected.keys() - real] + [f"{path}: not in the record" for path in real - expected.keys()]
        for path in expected.keys() & real:
            if path.is_file() and not path.name.endswith("-shm") and path.read_bytes() != self.contents[expected[path]]:
                found.append(f"{path}: other bytes")
        return found


def _overwrite(content, offset, data):
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data
