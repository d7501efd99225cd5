"""s5cmd: a folder copied and kept in step with 64 workers, under SSE-KMS, by its own options."""

import json

import pytest

from apps import folders, stored


@pytest.fixture
def s5cmd(shell, server):
    return lambda command, status=0: shell(f"s5cmd --endpoint-url {server.endpoint} --numworkers 64 --retry-count 0 {command}", status=status).stdout


def test_a_folder_is_kept_in_step_and_comes_back_as_it_was(s5cmd, shell, server, bucket, key_id):
    work, sse = shell.home / "work", f"--sse aws:kms --sse-kms-key-id {key_id}"
    first = folders.morning(work)
    s5cmd(f"cp {sse} --part-size 5 work/ s3://{bucket}/work/")
    assert sorted(stored.keys(server, bucket, "work/")) == sorted(f"work/{name}" for name in first)
    second = folders.evening(work)
    s5cmd(f"sync --delete {sse} work/ s3://{bucket}/work/")
    assert sorted(stored.keys(server, bucket, "work/")) == sorted(f"work/{name}" for name in second)
    stored.assert_all_under(server, bucket, key_id)
    s5cmd(f"cp --part-size 5 's3://{bucket}/work/*' back/")
    assert folders.read(shell.home / "back") == second
    assert int(s5cmd(f"--json du 's3://{bucket}/work/*'").split('"size":')[1].split("}")[0].split(",")[0]) == sum(map(len, second.values()))


def test_copies_moves_batches_pipes_links_and_removals(s5cmd, shell, server, bucket):
    files = folders.morning(shell.home / "work")
    s5cmd(f"cp work/ s3://{bucket}/a/")
    s5cmd(f"cp 's3://{bucket}/a/logs/*' s3://{bucket}/b/logs/")
    s5cmd(f"mv s3://{bucket}/b/logs/010.log 's3://{bucket}/b/moved here.log'")
    assert len(stored.keys(server, bucket, "b/")) == 60
    assert s5cmd(f"cat 's3://{bucket}/b/moved here.log' | sha256sum") == shell("sha256sum < work/logs/010.log").stdout
    shell.file("batch", "".join(f"rm s3://{bucket}/b/logs/{number:03}.log\n" for number in range(5)).encode())
    s5cmd("run batch")
    assert len(stored.keys(server, bucket, "b/")) == 55
    s5cmd(f"pipe s3://{bucket}/piped < 'work/report 2024 (final).txt'")
    link = s5cmd(f"presign --expire 10m s3://{bucket}/piped").strip()
    assert shell(f"curl -sf --cacert {server.ca} '{link}'").stdout.encode() == files["report 2024 (final).txt"]
    assert json.loads(s5cmd(f"--json head s3://{bucket}/piped"))["size"] == len(files["report 2024 (final).txt"])
    s5cmd(f"rm 's3://{bucket}/*'")
    assert stored.keys(server, bucket) == []
