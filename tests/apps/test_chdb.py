"""ClickHouse (chdb, the server in a process): its s3 table function and an S3-backed disk, under a bucket's own key."""

import json

import pytest
from chdb import session

from apps import stored


@pytest.fixture
def query(server, monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_FILE", str(server.ca))
    opened = session.Session(str(tmp_path / "clickhouse"))
    yield lambda text: [json.loads(line) for line in str(opened.query(text, "JSONEachRow")).splitlines()]
    opened.close()


@pytest.fixture
def s3(server):
    """`s3("bucket/key", "format")`: the table function."""
    return lambda path, form="Parquet": f"s3('{server.endpoint}/{path}', '{server.access_key}', '{server.secret_key}', '{form}')"


def test_tables_are_written_and_queried_in_place(query, s3, server, kms_bucket, key_id):
    select = "SELECT number AS id, number % 13 AS day, concat('sensor ', toString(number % 7)) AS sensor FROM numbers(200000)"
    query(f"INSERT INTO FUNCTION {s3(kms_bucket + '/readings.parquet')} {select}")
    query(f"INSERT INTO FUNCTION {s3(kms_bucket + '/readings.csv.gz', 'CSVWithNames')} {select}")
    for part in range(3):
        query(f"INSERT INTO FUNCTION {s3(f'{kms_bucket}/parts/{part}.parquet')} SELECT * FROM ({select}) WHERE id % 3 = {part}")
    expected = query(f"SELECT sensor, count() AS n, sum(id) AS s FROM ({select}) WHERE day = 5 GROUP BY sensor ORDER BY sensor")
    assert len(expected) == 7
    for source in (s3(f"{kms_bucket}/readings.parquet"), s3(f"{kms_bucket}/readings.csv.gz", "CSVWithNames"), s3(f"{kms_bucket}/parts/*.parquet")):
        assert query(f"SELECT sensor, count() AS n, sum(id) AS s FROM {source} WHERE day = 5 GROUP BY sensor ORDER BY sensor") == expected, source
    stored.assert_all_under(server, kms_bucket, key_id)
