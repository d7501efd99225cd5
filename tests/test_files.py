"""Somebody puts something else in the place of a file: a FIFO, which hangs who opens it, or a link. And copies and listings of what was altered."""

import os
import sqlite3

import pytest

from harness.sse import NONE, SSE_C, SSE_S3, random_body
from test_tamper import INTEGRITY, LENGTH, Stored
from test_tamper_catalog import Rows

REQUESTS = 600
OWN_CONFIG = "encrypt_by_default = false\n"


def put_fifo(path):
    os.mkfifo(path)


def put_link(path):
    path.symlink_to("/dev/zero")


def put_directory(path):
    path.mkdir()


@pytest.mark.parametrize("put", [put_fifo, put_link, put_directory])
def test_what_lies_in_a_blobs_place_and_is_no_file_is_damage_and_hangs_nobody(own, own_bucket, put):
    """More requests than the server has threads for the disk: were one of them to hang, all would, and the health check with them."""
    stored = Stored(own, own_bucket, "object", SSE_S3, random_body(LENGTH))
    bystander = Stored(own, own_bucket, "bystander", SSE_S3, random_body(LENGTH))
    path = stored.blobs[0]
    good = path.read_bytes()
    path.unlink()
    put(path)
    counted = own.metric(INTEGRITY)
    for _ in range(REQUESTS):
        stored.get().fails(500, "InternalError")
    assert own.metric(INTEGRITY) == counted + REQUESTS
    bystander.is_intact()
    path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    path.write_bytes(good)
    stored.is_intact()


@pytest.mark.parametrize("mode", [NONE, SSE_S3, SSE_C], ids=str)
def test_a_copy_of_what_is_gone_or_cut_is_an_error_so_that_mv_keeps_its_source(own, own_bucket, mode):
    stored = Stored(own, own_bucket, "object", mode, random_body(LENGTH))
    path = stored.blobs[0]
    good = path.read_bytes()
    source = {"x-amz-copy-source": f"/{own_bucket}/object", **mode.write, **mode.source}
    for bad in [None, b"", good[:-1], good[:-1] + bytes([good[-1] ^ 1])]:
        path.unlink()
        if bad is not None:
            path.write_bytes(bad)
        counted = own.metric(INTEGRITY)
        own.raw().put(own_bucket, "copy", b"", source).fails(500, "InternalError")
        assert own.metric(INTEGRITY) == counted + 1
        own.raw().get(own_bucket, "copy").fails(404, "NoSuchKey")
        path.touch()
    path.write_bytes(good)
    own.raw().put(own_bucket, "copy", b"", source).ok()
    assert own.raw().get(own_bucket, "copy", mode.read).ok().body == stored.body


def test_a_listing_shows_nothing_that_was_edited_in_the_catalog(own, own_bucket):
    for key in ["a", "b", "c", "d"]:
        Stored(own, own_bucket, key, SSE_S3, random_body(100))
    with Rows(own, own_bucket) as rows:
        rows.set("a", "size_bytes", 10_000_000)
        rows.set("b", "modified", 0)
        rows.set("c", "key", sqlite3.Binary(b"edited"))
    counted = own.metric(INTEGRITY)
    client = own.boto()
    for listing in [
        client.list_objects_v2(Bucket=own_bucket)["Contents"],
        client.list_objects(Bucket=own_bucket)["Contents"],
        client.list_object_versions(Bucket=own_bucket)["Versions"],
    ]:
        assert [(entry["Key"], entry["Size"]) for entry in listing] == [("d", 100)]
    assert own.metric(INTEGRITY) == counted + 9, "each is counted each time it is passed over"
