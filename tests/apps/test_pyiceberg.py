"""Iceberg by pyiceberg: a table appended to, overwritten, evolved and read as of old snapshots, through s3fs and through pyarrow's S3 client."""

import pyarrow
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.expressions import EqualTo, GreaterThanOrEqual
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import LongType, NestedField, StringType

from apps import stored
from harness.server import REGION

SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=False), NestedField(2, "team", StringType(), required=False), NestedField(3, "word", StringType(), required=False)
)
BY_TEAM = PartitionSpec(PartitionField(source_id=2, field_id=1000, transform=IdentityTransform(), name="team"))


@pytest.fixture(params=["pyiceberg.io.fsspec.FsspecFileIO", "pyiceberg.io.pyarrow.PyArrowFileIO"], ids=["s3fs", "pyarrow"])
def catalog(request, server, kms_bucket, tmp_path, monkeypatch):
    # s3fs takes the CA from here. pyarrow would, but pyiceberg hands it none.
    monkeypatch.setenv("AWS_CA_BUNDLE", str(server.ca))
    endpoint = server.endpoint if "fsspec" in request.param else f"http://127.0.0.1:{server.port}"
    options = {"s3.endpoint": endpoint, "s3.access-key-id": server.access_key, "s3.secret-access-key": server.secret_key, "s3.region": REGION}
    made = SqlCatalog("test", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"s3://{kms_bucket}/warehouse", **options, **{"py-io-impl": request.param})
    made.create_namespace("days")
    yield made
    made.close()


def rows(first, last, word="word"):
    return pyarrow.table(
        {
            "id": pyarrow.array(range(first, last), pyarrow.int64()),
            "team": [f"team {number % 3}" for number in range(first, last)],
            "word": [f"{word} {number}" for number in range(first, last)],
        }
    )


def content(scan):
    return scan.to_arrow().select(["id", "team", "word"]).sort_by("id").to_pydict()


def test_a_table_is_changed_evolved_and_read_as_of_every_snapshot(catalog, server, kms_bucket, key_id):
    table = catalog.create_table("days.readings", SCHEMA, partition_spec=BY_TEAM)
    table.append(rows(0, 300))
    first = table.current_snapshot().snapshot_id
    table.append(rows(300, 400))
    assert content(table.scan()) == rows(0, 400).to_pydict()
    assert content(table.scan(row_filter=EqualTo("team", "team 1")))["id"] == list(range(1, 400, 3))

    table.delete(GreaterThanOrEqual("id", 350))
    table.overwrite(rows(0, 30, "new"), overwrite_filter="id < 30")
    expected = {name: new + old for (name, new), old in zip(rows(0, 30, "new").to_pydict().items(), rows(30, 350).to_pydict().values(), strict=True)}
    assert content(table.scan()) == expected
    table.upsert(rows(340, 351, "upserted"), join_cols=["id"])
    assert table.scan(row_filter="word = 'upserted 345' or word = 'word 345'").to_arrow()["word"].to_pylist() == ["upserted 345"]
    with table.update_schema() as change:
        change.add_column("note", StringType())
    table.append(rows(1000, 1011).append_column("note", pyarrow.array(["seen"] * 11)))

    again = catalog.load_table("days.readings")
    assert again.scan().to_arrow()["note"].to_pylist().count("seen") == 11
    assert again.scan().count() == 362
    assert content(again.scan(snapshot_id=first)) == rows(0, 300).to_pydict()
    stored.assert_all_under(server, kms_bucket, key_id)
    catalog.drop_table("days.readings")


def test_a_dropped_table_is_purged(catalog, server, kms_bucket):
    catalog.create_table("days.readings", SCHEMA).append(rows(0, 10))
    assert stored.keys(server, kms_bucket, "warehouse/")
    catalog.purge_table("days.readings")
    assert [key for key in stored.keys(server, kms_bucket, "warehouse/") if not key.endswith((".metadata.json", "/"))] == []
