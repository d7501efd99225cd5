"""Delta Lake (the Rust implementation): commits by conditional puts, also of writers at once, time travel, merges, vacuum, under a bucket's own key."""

import concurrent.futures

import pyarrow
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

from apps import stored
from harness.server import REGION


@pytest.fixture
def options(server, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(server.ca))
    # "etag": a commit is a PUT with If-None-Match, and no table of locks is needed.
    return {
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "AWS_REGION": REGION,
        "aws_conditional_put": "etag",
    }


def rows(first, last):
    return pyarrow.table({"id": list(range(first, last)), "word": [f"word {number}" for number in range(first, last)]})


def content(table):
    return pyarrow.table(table.to_pyarrow_table()).sort_by("id").to_pydict()


def test_a_table_is_written_changed_compacted_and_read_as_of_every_version(options, server, kms_bucket, key_id):
    uri = f"s3://{kms_bucket}/table"
    write_deltalake(uri, rows(0, 100), storage_options=options)
    write_deltalake(uri, rows(100, 200), mode="append", storage_options=options)
    table = DeltaTable(uri, storage_options=options)
    assert content(table) == rows(0, 200).to_pydict()
    table.delete("id < 10")
    table.update(predicate="id = 50", updates={"word": "'changed'"})
    news = pyarrow.table({"id": [60, 500], "word": ["merged", "inserted"]})
    merge = table.merge(news, "old.id = new.id", source_alias="new", target_alias="old")
    merge.when_matched_update_all().when_not_matched_insert_all().execute()
    expected = {number: f"word {number}" for number in range(10, 200)} | {50: "changed", 60: "merged", 500: "inserted"}
    assert content(table) == {"id": list(expected), "word": list(expected.values())}

    table.optimize.compact()
    table.create_checkpoint()
    assert content(DeltaTable(uri, storage_options=options)) == content(table)
    assert content(DeltaTable(uri, version=1, storage_options=options)) == rows(0, 200).to_pydict()
    table.restore(0)
    assert content(DeltaTable(uri, storage_options=options)) == rows(0, 100).to_pydict()
    gone = table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    left = stored.keys(server, kms_bucket, "table/")
    assert gone and not {f"table/{name}" for name in gone} & set(left)
    assert content(DeltaTable(uri, storage_options=options)) == rows(0, 100).to_pydict()
    stored.assert_all_under(server, kms_bucket, key_id)


def test_writers_at_once_lose_no_commit_and_make_none_twice(options, server, bucket):
    uri = f"s3://{bucket}/table"
    write_deltalake(uri, rows(0, 1), storage_options=options)

    def append(writer):
        for number in range(5):
            first = writer * 1000 + number
            write_deltalake(uri, rows(first, first + 1), mode="append", storage_options=options)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(append, range(1, 5)))
    table = DeltaTable(uri, storage_options=options)
    assert table.version() == 20
    assert content(table)["id"] == [0, *(writer * 1000 + number for writer in range(1, 5) for number in range(5))]


def test_a_table_is_created_once(options, bucket):
    uri = f"s3://{bucket}/table"
    write_deltalake(uri, rows(0, 1), storage_options=options)
    with pytest.raises(DeltaError, match="already exists"):
        write_deltalake(uri, rows(0, 1), mode="error", storage_options=options)
