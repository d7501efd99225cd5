"""DuckDB: Parquet and CSV written and queried in place through its httpfs extension, under SSE-KMS by its own secret's option."""

from pathlib import Path

import duckdb
import duckdb_extension_httpfs
import pytest

from apps import stored
from harness.server import REGION


@pytest.fixture
def db(server, key_id):
    connection = duckdb.connect()
    [extension] = Path(duckdb_extension_httpfs.__file__).parent.rglob("*.duckdb_extension")
    connection.execute(f"LOAD '{extension}'")
    connection.execute(f"SET ca_cert_file = '{server.ca}'; SET enable_server_cert_verification = true")
    connection.execute(
        f"""CREATE SECRET (TYPE s3, KEY_ID '{server.access_key}', SECRET '{server.secret_key}', REGION '{REGION}',
            ENDPOINT '127.0.0.1:{server.port}', URL_STYLE 'path', KMS_KEY_ID '{key_id}')"""
    )
    yield connection
    connection.close()


def test_tables_are_written_and_queried_in_place(db, server, bucket, key_id):
    db.execute("CREATE TABLE readings AS SELECT i AS id, i % 13 AS day, 'sensor ' || (i % 7) AS sensor, i * 1.5 AS value FROM range(200000) t(i)")
    db.execute(f"COPY readings TO 's3://{bucket}/readings.parquet' (FORMAT parquet, ROW_GROUP_SIZE 10000)")
    db.execute(f"COPY readings TO 's3://{bucket}/by day' (FORMAT parquet, PARTITION_BY (day))")
    db.execute(f"COPY readings TO 's3://{bucket}/readings.csv.gz' (FORMAT csv, HEADER, COMPRESSION gzip)")
    stored.assert_all_under(server, bucket, key_id)

    query = "SELECT sensor, count(*), sum(value) FROM {} WHERE day = 5 GROUP BY sensor ORDER BY sensor"
    expected = db.execute(query.format("readings")).fetchall()
    by_day = f"read_parquet('s3://{bucket}/by day/*/*.parquet', hive_partitioning = true)"
    for source in (f"'s3://{bucket}/readings.parquet'", f"'s3://{bucket}/readings.csv.gz'", by_day):
        assert db.execute(query.format(source)).fetchall() == expected, source
    whole = f"(FROM 's3://{bucket}/readings.parquet')"
    assert db.execute(f"SELECT count(*) FROM (FROM readings EXCEPT ALL {whole})").fetchone() == (0,)


def test_a_changed_file_is_read_as_it_is_now_and_files_are_globbed(db, server, bucket):
    for number in range(12):
        db.execute(f"COPY (SELECT {number} AS number) TO 's3://{bucket}/parts/{number:02}.parquet'")
    assert db.execute(f"SELECT sum(number) FROM 's3://{bucket}/parts/*.parquet'").fetchone() == (66,)
    db.execute(f"COPY (SELECT 1000 AS number) TO 's3://{bucket}/parts/00.parquet'")
    server.boto().delete_object(Bucket=bucket, Key="parts/11.parquet")
    assert db.execute(f"SELECT sum(number) FROM 's3://{bucket}/parts/*.parquet'").fetchone() == (1055,)
    assert len(db.execute(f"FROM glob('s3://{bucket}/parts/0[0-4].parquet')").fetchall()) == 5
