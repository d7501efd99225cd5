"""pgBackRest: full, differential and incremental backups of a PostgreSQL cluster under SSE-KMS, a restore to a point in time, and expiry."""

import json

import pytest

from apps import stored
from apps.postgres import CONTENT, Cluster
from test_docs_clients import blocks

MORE = """
repo1-cipher-type={cipher}
{cipher_pass}
repo1-bundle=y
start-fast=y
process-max=2
log-path={home}
lock-path={home}/lock
spool-path={home}/spool
log-level-console=warn
[main]
pg1-path={home}/first/data
pg1-port={port}
pg1-user=postgres
pg1-socket-path={home}/first
"""


def configuration(server, bucket, key_id, **more):
    """What the user's guide says, for this server, bucket and key."""
    [guide] = blocks("ini")
    of_the_test = {
        "9000": str(server.port),
        "DATA_DIR.secrets": str(server.secrets),
        "ACCESS_KEY": server.access_key,
        "SECRET_KEY": server.secret_key,
        "pgbackrest-demo": bucket,
        "kms-key-id=default": f"kms-key-id={key_id}",
    }
    for name, value in of_the_test.items():
        assert guide.count(name) == 1, name
        guide = guide.replace(name, value)
    return guide + MORE.format(**more)


@pytest.fixture(params=["none", "aes-256-cbc"])
def cluster(request, shell, server, bucket, key_id):
    made = Cluster(shell.home / "first", shell.env)
    cipher_pass = "repo1-cipher-pass=correct horse battery staple" if request.param != "none" else ""
    text = configuration(server, bucket, key_id, home=shell.home, port=made.port, cipher=request.param, cipher_pass=cipher_pass)
    config = shell.file("pgbackrest.conf", text.encode())
    made.env |= {"PGBACKREST_CONFIG": str(config), "PGBACKREST_STANZA": "main"}
    made.init(archive_mode="on", archive_command="pgbackrest archive-push %p", max_wal_senders=3)
    yield made.start()
    made.stop()


def pgbackrest(cluster, command):
    return cluster.run(f"pgbackrest {command}")


def test_a_cluster_is_backed_up_restored_to_a_point_in_time_and_expired(cluster, shell, server, bucket, key_id):
    pgbackrest(cluster, "stanza-create")
    pgbackrest(cluster, "check")
    cluster.fill()
    pgbackrest(cluster, "--type=full backup")
    cluster.work()
    pgbackrest(cluster, "--type=diff backup")
    content = cluster.work()
    pgbackrest(cluster, "--type=incr backup")
    cluster.sql("SELECT pg_create_restore_point('before')")
    cluster.sql("DROP TABLE pgbench_accounts CASCADE")
    cluster.sql("SELECT pg_switch_wal()")
    pgbackrest(cluster, "check")
    stored.assert_all_under(server, bucket, key_id)

    second = Cluster(shell.home / "second", cluster.env)
    pgbackrest(cluster, f"--pg1-path={second.data} --type=name --target=before --target-action=promote restore")
    second.configure(archive_mode="off").start()
    try:
        assert second.sql(CONTENT) == content
    finally:
        second.stop()

    pgbackrest(cluster, "--type=full --repo1-retention-full=1 backup")
    assert [found["type"] for found in json.loads(pgbackrest(cluster, "--output=json info"))[0]["backup"]] == ["full"]
    pgbackrest(cluster, "verify")
