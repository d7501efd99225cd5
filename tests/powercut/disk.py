"""What a disk may hold after the power failed.

The model promises what POSIX promises and nothing more. A sync of a file makes its bytes and its size durable, a sync of a directory the names
in it. Any part of everything else may have reached the disk, in any order. A write consists of sectors of 512 bytes, and each sector has gone
through some of the writes to it, in their order. The size may be any that the file had. Each change of a name is separate, and even the two halves of a rename.
"""

import os
from dataclasses import dataclass, field

from powercut.files import Named, Synced, Truncated

SECTOR = 512
# How much of what was not synced is there.
NOTHING, EVERYTHING, NAMES, BYTES, SOME = "nothing", "everything", "names only", "bytes only", "some"
WAYS = [NOTHING, EVERYTHING, NAMES, BYTES, SOME]


@dataclass
class File:
    content: bytearray = field(default_factory=bytearray)  # synced
    pending: list = field(default_factory=list)  # Written and Truncated, in order

    def sync(self, moment):
        """What had returned by then lasts."""
        while self.pending and self.pending[0].returned <= moment:
            _apply(self.content, self.pending.pop(0))

    def after_cut(self, way, chance):
        if way in (NOTHING, NAMES) or not self.pending:
            return bytes(self.content)
        whole, sizes = bytearray(self.content), [len(self.content)]
        for effect in self.pending:
            _apply(whole, effect)
            sizes.append(len(whole))
        return bytes(whole) if way in (EVERYTHING, BYTES) else self._torn(chance, sizes)

    def _torn(self, chance, sizes):
        """Each sector has gone some way through the changes of it, and the size through its own."""
        size, longest = chance.choice([sizes[-1], chance.choice(sizes)]), max(sizes)
        content = self.content + bytes(longest - len(self.content))
        changes = {}
        for effect in self.pending:
            for sector in _sectors(effect, longest):
                changes.setdefault(sector, []).append(effect)
        for sector, effects in changes.items():
            for effect in effects[: chance.randint(0, len(effects))]:
                _apply_to_sector(content, effect, sector)
        return bytes(content[:size])


@dataclass
class Directory:
    names: dict = field(default_factory=dict)  # synced
    pending: list = field(default_factory=list)  # Named, in order

    def sync(self, moment):
        while self.pending and self.pending[0].returned <= moment:
            _rename(self.names, self.pending.pop(0).changes)

    def after_cut(self, way, chance):
        if way in (NOTHING, BYTES):
            return dict(self.names)
        names = dict(self.names)
        for effect in self.pending:
            if way in (EVERYTHING, NAMES):
                _rename(names, effect.changes)
            elif chance.random() < 0.5:
                is_whole = chance.random() < 0.75
                _rename(names, [change for change in effect.changes if is_whole or chance.random() < 0.5])
        return names


class Disk:
    """One file system at a moment: what was synced, and what was not."""

    def __init__(self, root, effects, moment):
        self.root, self.files, self.directories = root, {}, {root: Directory()}
        for effect in effects:  # in the order in which they returned
            if effect.began > moment:
                continue
            if isinstance(effect, Synced):
                if effect.returned <= moment:
                    (self.directories.get(effect.inode) or self._file(effect.inode)).sync(effect.began)
            elif isinstance(effect, Named):
                self.directories.setdefault(effect.inode, Directory()).pending.append(effect)
            else:
                self._file(effect.inode).pending.append(effect)

    def _file(self, inode):
        return self.files.setdefault(inode, File())

    def after_cut(self, way, chance, directories):
        """A state that the disk may be in: {path: bytes, or None for a directory}. `directories` are the inodes of all of them."""
        found, below = {}, [("", self.root)]
        while below:
            path, inode = below.pop()
            for name, child in self.directories.get(inode, Directory()).after_cut(way, chance).items():
                place = os.path.join(path, os.fsdecode(name))
                if child in directories:
                    found[place] = None
                    below.append((place, child))
                else:
                    found[place] = self.files.get(child, File()).after_cut(way, chance)
        return found


def lay_out(tree, folder):
    """Makes the files and directories of a disk."""
    folder.mkdir(mode=0o700, parents=True)
    for path, content in sorted(tree.items()):
        if content is None:
            os.mkdir(folder / path, 0o700)
        else:
            descriptor = os.open(folder / path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "wb") as file:
                file.write(content)


def _apply(content, effect):
    if isinstance(effect, Truncated):
        del content[effect.size :]
        content.extend(bytes(effect.size - len(content)))
        return
    end = effect.offset + len(effect.data)
    content.extend(bytes(max(0, effect.offset - len(content))))
    content[effect.offset : end] = effect.data


def _sectors(effect, longest):
    if isinstance(effect, Truncated):
        return range(effect.size // SECTOR, -(-longest // SECTOR))
    return range(effect.offset // SECTOR, -(-(effect.offset + len(effect.data)) // SECTOR))


def _apply_to_sector(content, effect, sector):
    begin, end = sector * SECTOR, min((sector + 1) * SECTOR, len(content))
    if isinstance(effect, Truncated):
        begin = max(begin, effect.size)
        content[begin:end] = bytes(max(0, end - begin))
        return
    begin, end = max(begin, effect.offset), min(end, effect.offset + len(effect.data))
    content[begin:end] = effect.data[begin - effect.offset : end - effect.offset]


def _rename(names, changes):
    for name, inode in changes:
        if inode is None:
            names.pop(name, None)
        else:
            names[name] = inode
