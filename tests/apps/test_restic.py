"""restic: two evenings' backups under a bucket's own key, restores of both, and what `forget` leaves."""

import pytest

from apps import folders, stored


@pytest.fixture
def restic(shell, server, kms_bucket):
    shell.env |= {"RESTIC_REPOSITORY": f"s3:{server.endpoint}/{kms_bucket}/backups", "RESTIC_PASSWORD": "correct horse battery", "TMPDIR": str(shell.home)}
    return lambda command: shell(f"restic --cacert {server.ca} --no-cache {command}").stdout


def restored(restic, shell, snapshot, target):
    restic(f"restore {snapshot} --target {target}")
    return folders.read(shell.home / target / str(shell.home / "work").lstrip("/"))


def test_both_evenings_are_restored_and_forget_and_prune_leave_a_whole_repository(restic, shell, server, kms_bucket, key_id):
    work = shell.home / "work"
    first = folders.morning(work)
    restic("init")
    restic(f"backup --tag first {work}")
    second = folders.evening(work)
    restic(f"backup --tag second {work}")
    assert "no errors were found" in restic("check --read-data")
    assert restored(restic, shell, "latest --tag first", "then") == first
    assert restored(restic, shell, "latest --tag second", "now") == second

    before = sum(len(stored.keys(server, kms_bucket, f"backups/{kind}")) for kind in ("data", "snapshots"))
    restic("forget --keep-last 1 --group-by '' --prune --max-unused 0")
    assert sum(len(stored.keys(server, kms_bucket, f"backups/{kind}")) for kind in ("data", "snapshots")) < before
    assert "no errors were found" in restic("check --read-data")
    assert restored(restic, shell, "latest", "after") == second
    assert stored.keys(server, kms_bucket, "backups/locks") == []
    stored.assert_all_under(server, kms_bucket, key_id)
