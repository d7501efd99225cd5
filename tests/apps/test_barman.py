"""Barman's cloud scripts: a PostgreSQL cluster archives its log, is backed up under SSE-KMS, and comes back at a point in time."""

import json
import sys
from pathlib import Path

import pytest

from apps import stored
from apps.postgres import CONTENT, Cluster

BIN = Path(sys.executable).parent


@pytest.fixture
def cluster(shell, server, bucket, key_id):
    shell.env["AWS_REGION"] = shell.env["AWS_DEFAULT_REGION"]
    made = Cluster(shell.home / "first", shell.env)
    encrypted = f"--encryption aws:kms --sse-kms-key-id {key_id}"
    made.init(archive_mode="on", archive_command=f"{BIN}/barman-cloud-wal-archive --endpoint-url {server.endpoint} --gzip {encrypted} s3://{bucket}/pg first %p")
    yield made.start()
    made.stop()


@pytest.fixture
def barman(cluster, server, bucket):
    def call(name, options="", arguments=""):
        return cluster.run(f"{BIN}/barman-cloud-{name} --endpoint-url {server.endpoint} {options} s3://{bucket}/pg first {arguments}")

    return call


def test_a_cluster_is_backed_up_and_restored_to_a_point_in_time(barman, cluster, shell, server, bucket, key_id):
    cluster.fill()
    backup = f"--gzip --jobs 2 --encryption aws:kms --sse-kms-key-id {key_id} --host 127.0.0.1 --port {cluster.port} --user postgres --immediate-checkpoint"
    barman("backup", backup + " --name monday")
    content = cluster.work()
    cluster.sql("SELECT pg_create_restore_point('before')")
    cluster.sql("DROP TABLE pgbench_accounts CASCADE")
    barman("backup", backup + " --name tuesday")
    listed = json.loads(barman("backup-list", "--format json"))["backups_list"]
    assert [(found["backup_name"], found["status"]) for found in listed] == [("monday", "DONE"), ("tuesday", "DONE")]
    stored.assert_all_under(server, bucket, key_id)

    second = Cluster(shell.home / "second", cluster.env)
    barman("restore", arguments=f"monday {second.data}")
    (second.data / "recovery.signal").touch()
    fetch = f"{BIN}/barman-cloud-wal-restore --endpoint-url {server.endpoint} s3://{bucket}/pg first %f %p"
    second.configure(archive_mode="off", restore_command=fetch, recovery_target_name="before", recovery_target_action="promote")
    second.start()
    try:
        assert second.sql(CONTENT) == content
    finally:
        second.stop()

    barman("backup-delete", "--backup-id monday --minimum-redundancy 1")
    assert [found["backup_name"] for found in json.loads(barman("backup-list", "--format json"))["backups_list"]] == ["tuesday"]
    assert not [key for key in stored.keys(server, bucket) if listed[0]["backup_id"] in key]
