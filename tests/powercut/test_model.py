"""The model of a disk after a power cut: it keeps every promise of a file system, and no more than that."""

import random

from powercut.disk import BYTES, EVERYTHING, NAMES, NOTHING, SECTOR, SOME, Disk, lay_out
from powercut.files import Named, Synced, Truncated, Written

DISK, DIRECTORY, FILE, OTHER = 0, 1, 2, 3
CUTS = 400


class Story:
    """Effects one after the other, a tick each; each returns before the next begins."""

    def __init__(self):
        self.effects, self.now = [], 0

    def __call__(self, kind, inode, *rest):
        self.now += 10
        self.effects.append(kind(self.now, self.now + 5, inode, *rest))
        return self.effects[-1]

    def named(self, name, inode, directory=DISK):
        return self(Named, directory, ((name, inode),))

    def renamed(self, old, new, inode, directory=DISK):
        return self(Named, directory, ((old, None), (new, inode)))

    def cut(self, way, seed=0, moment=None):
        disk = Disk(DISK, self.effects, self.now + 5 if moment is None else moment)
        return disk.after_cut(way, random.Random(seed), {DISK, DIRECTORY})

    def cuts(self):
        """Every state that many cuts find."""
        return [self.cut(SOME, seed) for seed in range(CUTS)]


def test_what_was_synced_with_its_name_is_there_however_the_rest_ends():
    story = Story()
    story.named(b"a", FILE)
    story(Written, FILE, 0, b"x" * 1000)
    story(Synced, FILE)
    story(Synced, DISK)
    story(Written, FILE, 1000, b"y" * 1000)
    for way in (NOTHING, EVERYTHING, NAMES, BYTES):
        assert story.cut(way)["a"].startswith(b"x" * 1000), way
    assert all(found["a"].startswith(b"x" * 1000) for found in story.cuts())


def test_a_synced_file_without_a_synced_name_may_be_gone():
    story = Story()
    story.named(b"a", FILE)
    story(Written, FILE, 0, b"x")
    story(Synced, FILE)
    assert story.cut(NOTHING) == {} and story.cut(BYTES) == {} and story.cut(NAMES) == {"a": b"x"}
    assert {len(found) for found in story.cuts()} == {0, 1}


def test_a_synced_name_of_a_file_that_was_not_synced_may_stand_for_an_empty_or_a_torn_one():
    story = Story()
    story.named(b"a", FILE)
    story(Written, FILE, 0, b"x" * (2 * SECTOR))
    story(Synced, DISK)
    contents = {found["a"] for found in story.cuts()}
    nothing, hole = b"\0" * SECTOR, b"x" * SECTOR
    assert contents == {b"", nothing * 2, nothing + hole, hole + nothing, hole * 2}


def test_a_sync_covers_only_what_had_returned_before_it_began():
    story = Story()
    story.named(b"a", FILE)
    story(Synced, DISK)
    late = story(Written, FILE, 0, b"late")
    sync = story(Synced, FILE)
    late.returned = sync.began + 1
    story.effects.sort(key=lambda effect: effect.returned)
    assert story.cut(NOTHING) == {"a": b""}


def test_a_sync_that_has_not_returned_promises_nothing():
    story = Story()
    story.named(b"a", FILE)
    sync = story(Synced, DISK)
    assert story.cut(NOTHING, moment=sync.returned - 1) == {}
    assert story.cut(NOTHING, moment=sync.returned) == {"a": b""}


def test_a_call_that_began_after_the_cut_left_nothing_and_one_under_way_may_have():
    story = Story()
    story.named(b"a", FILE)
    story(Synced, DISK)
    write = story(Written, FILE, 0, b"x")
    assert story.cut(EVERYTHING, moment=write.began - 1) == {"a": b""}
    assert story.cut(EVERYTHING, moment=write.began) == {"a": b"x"}
    assert story.cut(NOTHING, moment=write.returned) == {"a": b""}


def test_writes_reach_the_disk_in_any_order_but_never_backwards_in_a_sector():
    story = Story()
    story.named(b"a", FILE)
    story(Written, FILE, 0, b"0" * (2 * SECTOR))
    story(Synced, FILE)
    story(Synced, DISK)
    story(Written, FILE, 0, b"1" * SECTOR)
    story(Written, FILE, SECTOR, b"2" * SECTOR)
    story(Written, FILE, 10, b"3")
    heads = {b"0" * SECTOR, b"1" * SECTOR, b"1" * 10 + b"3" + b"1" * (SECTOR - 11)}
    assert {found["a"] for found in story.cuts()} == {head + tail for head in heads for tail in (b"0" * SECTOR, b"2" * SECTOR)}


def test_a_file_that_was_cut_short_and_written_again_may_have_any_size_it_had():
    story = Story()
    story.named(b"a", FILE)
    story(Written, FILE, 0, b"0" * 20)
    story(Synced, FILE)
    story(Synced, DISK)
    story(Truncated, FILE, 0)
    story(Written, FILE, 0, b"12345")
    found = {found["a"] for found in story.cuts()}
    assert {len(content) for content in found} == {20, 0, 5}
    assert b"12345" in found and b"12345" + b"\0" * 15 in found and b"0" * 20 in found and b"\0" * 20 in found


def test_a_rename_leaves_the_old_file_or_the_new_one_or_if_the_name_is_new_none_at_all():
    story = Story()
    story.named(b"key", OTHER)
    story(Synced, DISK)
    story.named(b".tmp", FILE)
    for inode, content in ((OTHER, b"former"), (FILE, b"new")):
        story(Written, inode, 0, content)
        story(Synced, inode)
    story.renamed(b".tmp", b"key", FILE)
    found = {found["key"] for found in story.cuts()}
    assert found == {b"former", b"new"}
    other = Story()
    other.named(b".tmp", FILE)
    other(Synced, DISK)
    other.renamed(b".tmp", b"key", FILE)
    assert {tuple(sorted(found)) for found in other.cuts()} == {(), (".tmp",), ("key",), (".tmp", "key")}


def test_an_unlink_that_was_not_synced_may_be_undone_and_a_synced_one_is_not():
    story = Story()
    story.named(b"a", FILE)
    story(Synced, DISK)
    story.named(b"a", None)
    assert {len(found) for found in story.cuts()} == {0, 1}
    story(Synced, DISK)
    assert {len(found) for found in story.cuts()} == {0}


def test_a_directory_is_there_with_its_own_name_and_has_the_names_that_were_synced_in_it():
    story = Story()
    story.named(b"d", DIRECTORY)
    story.named(b"a", FILE, DIRECTORY)
    story(Synced, DIRECTORY)
    assert story.cut(NOTHING) == {}
    story(Synced, DISK)
    assert story.cut(NOTHING) == {"d": None, "d/a": b""}
    story.named(b"b", OTHER, DIRECTORY)
    assert story.cut(NOTHING) == {"d": None, "d/a": b""} and story.cut(NAMES) == {"d": None, "d/a": b"", "d/b": b""}


def test_a_cut_is_the_same_again_for_the_same_seed():
    story = Story()
    for number in range(20):
        story.named(b"%d" % number, FILE + number)
        story(Written, FILE + number, 0, b"x" * 3000)
    assert story.cut(SOME, 7) == story.cut(SOME, 7) != story.cut(SOME, 8)


def test_a_tree_is_laid_out_as_files_and_directories_of_their_owner(tmp_path):
    lay_out({"d": None, "d/a": b"1", "b": b""}, tmp_path / "disk")
    assert (tmp_path / "disk/d/a").read_bytes() == b"1" and (tmp_path / "disk/b").read_bytes() == b""
    assert (tmp_path / "disk/d/a").stat().st_mode & 0o777 == 0o600 and (tmp_path / "disk/d").stat().st_mode & 0o777 == 0o700
