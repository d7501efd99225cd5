"""rclone: a folder kept in step with a bucket in every mode of encryption, looked into, moved about on the server, and brought back."""

import secrets

import pytest

from apps import folders, stored
from harness import leaks

MODES = {
    "none": lambda key_id: {},
    "SSE-S3": lambda key_id: {"server_side_encryption": "AES256"},
    "SSE-KMS": lambda key_id: {"server_side_encryption": "aws:kms", "sse_kms_key_id": key_id},
    "SSE-C": lambda key_id: {"sse_customer_algorithm": "AES256", "sse_customer_key": leaks.register("rclone's key", secrets.token_hex(16))},
}


@pytest.fixture(params=MODES)
def mode(request):
    return request.param


@pytest.fixture
def rclone(shell, key_id, mode):
    # rclone's AWS library is given its CA by rclone.
    del shell.env["AWS_CA_BUNDLE"]
    shell.rclone_config("s3", provider="Other", chunk_size="5Mi", upload_cutoff="8Mi", **MODES[mode](key_id))
    return lambda command, status=0: shell(f"rclone --ca-cert {shell.server.ca} --retries 1 --config .config/rclone/rclone.conf {command}", status=status).stdout


def test_a_folder_is_kept_in_step_and_comes_back_as_it_was(rclone, shell, server, bucket, mode, key_id):
    work = shell.home / "work"
    first = folders.morning(work)
    rclone(f"sync work s3:{bucket}/work")
    rclone(f"check --download work s3:{bucket}/work")
    assert sorted(rclone(f"lsf -R --files-only s3:{bucket}/work").splitlines()) == sorted(first)

    second = folders.evening(work)
    rclone(f"check work s3:{bucket}/work", status=1)
    rclone(f"sync work s3:{bucket}/work")
    rclone(f"check --download work s3:{bucket}/work")
    assert sorted(stored.keys(server, bucket, "work/")) == sorted(f"work/{name}" for name in second)
    if mode == "SSE-KMS":
        stored.assert_all_under(server, bucket, key_id)

    rclone(f"sync s3:{bucket}/work back")
    assert folders.read(shell.home / "back") == second


def test_copies_and_moves_on_the_server_and_reads_of_a_piece(rclone, shell, server, bucket):
    work = shell.home / "work"
    files = folders.morning(work)
    rclone(f"copy work s3:{bucket}/a")
    rclone(f"copy --s3-copy-cutoff 6Mi s3:{bucket}/a s3:{bucket}/b")
    rclone(f"moveto s3:{bucket}/b/notes.txt 's3:{bucket}/b/moved notes.txt'")
    rclone(f"deletefile 's3:{bucket}/b/photos/a+b=c&d.png'")
    expected = {name: body for name, body in files.items() if name not in ("notes.txt", "photos/a+b=c&d.png")} | {"moved notes.txt": files["notes.txt"]}
    rclone(f"copy s3:{bucket}/b back")
    assert folders.read(shell.home / "back") == expected
    piece = rclone(f"cat --offset 10 --count 20 's3:{bucket}/a/report 2024 (final).txt'")
    assert piece.encode() == files["report 2024 (final).txt"][10:30]
    rclone(f"purge s3:{bucket}/a")
    assert stored.keys(server, bucket, "a/") == []


def test_versions_are_listed_and_old_ones_come_back(rclone, shell, server, bucket):
    server.boto().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for text in (b"first", b"second"):
        shell.file("work/notes.txt", text)
        rclone(f"copy --ignore-times work s3:{bucket}")
    rclone(f"deletefile s3:{bucket}/notes.txt")
    assert rclone(f"lsf s3:{bucket}") == ""
    listed = sorted(rclone(f"lsf --s3-versions s3:{bucket}").splitlines())
    assert len(listed) == 2 and all(name.startswith("notes-v20") for name in listed)
    assert sorted(rclone(f"cat --s3-versions s3:{bucket}/{name}") for name in listed) == ["first", "second"]
