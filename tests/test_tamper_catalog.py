"""Somebody alters the catalog of a stopped server: rows and columns in each other's place, and bytes flipped."""

import pytest

from harness import disk
from harness.sse import ENCRYPTED, NONE, SSE_C, SSE_S3, random_body
from test_tamper import LENGTH, MODES, Stored, assert_detected, read

SMALL = 300
SEALED_COLUMNS = ["wrapped_key", "sealed_keys", "record", "manifest", "inline"]
OWN_CONFIG = "encrypt_by_default = false\n"


class Rows:
    """The catalog's rows of named objects, with the server stopped meanwhile."""

    def __init__(self, server, bucket):
        self.server, self.bucket = server, bucket

    def __enter__(self):
        assert self.server.stop() == 0
        self.catalog = disk.catalog(self.server)
        return self

    def __exit__(self, *_):
        self.catalog.commit()
        self.catalog.close()
        self.server.start()

    def row(self, key):
        """The version's row id."""
        found = self.catalog.execute(
            "SELECT versions.id FROM versions JOIN buckets ON buckets.id = versions.bucket WHERE buckets.name = ? AND versions.key = ?",
            (self.bucket.encode(), key.encode()),
        ).fetchall()
        assert len(found) == 1, key
        return found[0][0]

    def get(self, key, column):
        table, id_column = place(column)
        return self.catalog.execute(f"SELECT {column} FROM {table} WHERE {id_column} = ?", (self.row(key),)).fetchone()[0]

    def set(self, key, column, value):
        table, id_column = place(column)
        assert self.catalog.execute(f"UPDATE {table} SET {column} = ? WHERE {id_column} = ?", (value, self.row(key))).rowcount == 1

    def swap(self, one, two, columns):
        for column in columns:
            first, second = self.get(one, column), self.get(two, column)
            assert first != second or column == "size_bytes", column
            self.set(one, column, second)
            self.set(two, column, first)

    def swap_blobs(self, one, two):
        """The references too, so that nothing is swept."""
        first, second = self.row(one), self.row(two)
        for old, new in [(first, -1), (second, first), (-1, second)]:
            self.catalog.execute("UPDATE version_blobs SET version = ? WHERE version = ?", (new, old))


def place(column):
    return ("version_data", "version") if column in ("manifest", "inline") else ("versions", "id")


def assert_neither(stored):
    """The exact error, or a cut after nothing but the object's own bytes; no complete 200."""
    reply = read(stored)
    if reply is None:
        return
    if reply.status == 200:
        assert stored.body.startswith(reply.body), "wrong bytes"
        assert not reply.complete, "a whole answer from altered rows"
    else:
        reply.fails(500, "InternalError")


@pytest.mark.parametrize("length", [SMALL, LENGTH], ids=["inline", "blob"])
@pytest.mark.parametrize("mode", MODES, ids=str)
def test_two_objects_swapped_whole_read_as_neither(own, own_bucket, mode, length):
    """Everything sealed changes places, consistently: only the object's name in the key tells."""
    one, two = (Stored(own, own_bucket, name, mode, random_body(length)) for name in ("one", "two"))
    bystander = Stored(own, own_bucket, "bystander", mode, random_body(length))
    columns = (
        ["sealed_keys", "record", "manifest"]
        + (["inline"] if length == SMALL else [])
        + (["wrapped_key"] if mode in (ENCRYPTED[0], ENCRYPTED[1], ENCRYPTED[2]) else [])
    )
    with Rows(own, own_bucket) as rows:
        rows.swap("one", "two", [*columns, "version_id"])
        rows.swap_blobs("one", "two")
    assert_neither(one)
    assert_neither(two)
    bystander.is_intact()


@pytest.mark.parametrize("column", ["sealed_keys", "record", "manifest", "inline", "version_id"])
@pytest.mark.parametrize("mode", [NONE, SSE_S3, SSE_C], ids=str)
def test_one_column_of_two_small_objects_swapped_reads_as_neither(own, own_bucket, mode, column):
    one, two = (Stored(own, own_bucket, name, mode, random_body(SMALL)) for name in ("one", "two"))
    with Rows(own, own_bucket) as rows:
        rows.swap("one", "two", [column])
    assert_neither(one)
    assert_neither(two)


@pytest.mark.parametrize("column", SEALED_COLUMNS)
@pytest.mark.parametrize("at", [0, 0.5, -1], ids=["first", "middle", "last"])
@pytest.mark.parametrize("mode", [NONE, *ENCRYPTED], ids=str)
def test_a_flipped_byte_of_a_sealed_column_is_noticed(own, own_bucket, mode, column, at):
    stored = Stored(own, own_bucket, "victim", mode, random_body(SMALL))
    with Rows(own, own_bucket) as rows:
        value = bytearray(rows.get("victim", column) or b"")
        if value:
            value[int(at * len(value)) if 0 < at < 1 else at] ^= 0x01
            rows.set("victim", column, bytes(value))
    if value:
        assert_detected(stored)
    else:
        assert column == "wrapped_key" and mode in (NONE, SSE_C), "only what the KMS wraps may be missing"


@pytest.mark.parametrize("column", ["sealed_keys", "record", "manifest", "inline"])
@pytest.mark.parametrize("length", [0, 1, 20], ids=str)
def test_a_cut_column_is_noticed(own, own_bucket, column, length):
    stored = Stored(own, own_bucket, "victim", SSE_S3, random_body(SMALL))
    with Rows(own, own_bucket) as rows:
        rows.set("victim", column, rows.get("victim", column)[:length])
    assert_detected(stored)


@pytest.mark.parametrize("length", [SMALL, LENGTH], ids=["inline", "blob"])
@pytest.mark.parametrize("size", [-1, 1, "none", 1 << 40], ids=str)
def test_a_length_that_is_not_the_object_s_is_noticed(own, own_bucket, size, length):
    stored = Stored(own, own_bucket, "victim", SSE_S3, random_body(length))
    with Rows(own, own_bucket) as rows:
        rows.set("victim", "size_bytes", 0 if size == "none" else length + size)
    stored.get().fails(500, "InternalError")
    assert own.raw().head(own_bucket, "victim").status == 500


def test_the_mode_of_a_row_cannot_be_changed(own, own_bucket):
    """A customer-encrypted object relabelled as a plain one asks for no key, and opens with none."""
    stored = Stored(own, own_bucket, "victim", SSE_C, random_body(SMALL))
    plain = Stored(own, own_bucket, "plain", NONE, random_body(SMALL))
    with Rows(own, own_bucket) as rows:
        rows.set("victim", "mode", rows.get("plain", "mode"))
    own.raw().get(own_bucket, "victim").fails(500, "InternalError")
    stored.get().fails(500, "InternalError")
    plain.is_intact()


def test_an_older_row_put_back_under_another_name_does_not_open(own, own_bucket):
    """A row is copied to another key: the name is bound in, so the copy is damaged and the original is not."""
    original = Stored(own, own_bucket, "original", SSE_S3, random_body(SMALL))
    target = Stored(own, own_bucket, "target", SSE_S3, random_body(SMALL))
    with Rows(own, own_bucket) as rows:
        for column in ("sealed_keys", "wrapped_key", "record", "manifest", "inline"):
            rows.set("target", column, rows.get("original", column))
    assert_neither(target)
    original.is_intact()
