"""pyarrow datasets: partitioned Parquet written, added to, filtered and compacted, through pyarrow's own S3 client, under a bucket's own key."""

import pyarrow
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs
import pyarrow.parquet as pq
import pytest

from apps import stored
from harness.server import REGION


@pytest.fixture
def fs(server):
    return pyarrow.fs.S3FileSystem(
        access_key=server.access_key,
        secret_key=server.secret_key,
        region=REGION,
        endpoint_override=f"127.0.0.1:{server.port}",
        scheme="https",
        tls_ca_file_path=str(server.ca),
    )


def days(first, last):
    """A table of readings of some days, 500 a day."""
    rows = [(day, number, f"sensor {number % 7}", number * day / 3) for day in range(first, last) for number in range(500)]
    return pyarrow.table(dict(zip(["day", "number", "sensor", "value"], map(list, zip(*rows)), strict=True)))


def write(fs, table, base, **options):
    ds.write_dataset(table, base, filesystem=fs, format="parquet", partitioning=ds.partitioning(pyarrow.schema([("day", pyarrow.int64())]), flavor="hive"), **options)


def test_a_dataset_is_written_added_to_filtered_and_replaced(fs, server, kms_bucket, key_id):
    base = f"{kms_bucket}/readings"
    write(fs, days(1, 11), base)
    write(fs, days(11, 16), base, existing_data_behavior="overwrite_or_ignore", basename_template="more-{i}.parquet")
    readings = ds.dataset(base, filesystem=fs, format="parquet", partitioning="hive")
    assert readings.count_rows() == 15 * 500
    found = readings.to_table(filter=(pc.field("day") == 7) & (pc.field("sensor") == "sensor 3"), columns=["number", "value"])
    assert found.sort_by("number").to_pydict() == {"number": list(range(3, 500, 7)), "value": [number * 7 / 3 for number in range(3, 500, 7)]}
    whole = readings.to_table(columns=["day", "number", "sensor", "value"]).sort_by([("day", "ascending"), ("number", "ascending")]).cast(days(1, 2).schema)
    assert whole.equals(days(1, 16))

    write(fs, days(3, 5).filter(pc.field("number") < 10), base, existing_data_behavior="delete_matching")
    assert ds.dataset(base, filesystem=fs, format="parquet", partitioning="hive").count_rows() == 13 * 500 + 2 * 10
    stored.assert_all_under(server, kms_bucket, key_id)


def test_one_file_of_many_row_groups_is_read_in_pieces(fs, bucket):
    table = days(0, 400)
    pq.write_table(table, f"{bucket}/one.parquet", filesystem=fs, row_group_size=5000, compression="none", use_dictionary=False)
    with fs.open_input_file(f"{bucket}/one.parquet") as file:
        assert file.size() > 6 << 20
        parquet = pq.ParquetFile(file)
        assert parquet.read_row_group(17).equals(table.slice(17 * 5000, 5000))
    assert pq.read_table(f"{bucket}/one.parquet", filesystem=fs, filters=[("day", "=", 399)]).equals(table.slice(399 * 500, 500))


def test_files_are_streamed_copied_moved_listed_and_deleted(fs, server, bucket):
    body = bytes(range(256)) * 50_000
    with fs.open_output_stream(f"{bucket}/a/large", metadata={"Content-Type": "application/x-large"}) as stream:
        for at in range(0, len(body), 1 << 20):
            stream.write(body[at : at + (1 << 20)])
    fs.copy_file(f"{bucket}/a/large", f"{bucket}/a/copy of large")
    fs.move(f"{bucket}/a/copy of large", f"{bucket}/b/moved")
    fs.create_dir(f"{bucket}/c/d", recursive=True)
    infos = fs.get_file_info(pyarrow.fs.FileSelector(bucket, recursive=True))
    assert sorted(info.path for info in infos if info.is_file) == [f"{bucket}/a/large", f"{bucket}/b/moved"]
    with fs.open_input_stream(f"{bucket}/b/moved") as stream:
        assert stream.read() == body
    assert server.boto().head_object(Bucket=bucket, Key="b/moved")["ContentType"] == "application/x-large"
    fs.delete_dir_contents(bucket)
    assert fs.get_file_info(pyarrow.fs.FileSelector(bucket, recursive=True)) == []
