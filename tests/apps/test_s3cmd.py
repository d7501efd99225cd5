"""s3cmd: a folder kept in step under SSE-KMS, changed in place, and the documents of a bucket."""

import pytest

from apps import folders, stored
from conftest import make_bucket
from harness.cli import Shell


@pytest.fixture
def s3cmd(shell):
    shell.s3cmd_config()
    return lambda command, status=0: shell(f"s3cmd --no-progress {command}", status=status).stdout


def test_a_folder_is_kept_in_step_and_comes_back_as_it_was(s3cmd, shell, server, bucket, key_id):
    work, sse = shell.home / "work", f"--server-side-encryption --server-side-encryption-kms-id={key_id}"
    first = folders.morning(work)
    s3cmd(f"sync {sse} --multipart-chunk-size-mb=5 work/ s3://{bucket}/work/")
    assert sorted(stored.keys(server, bucket, "work/")) == sorted(f"work/{name}" for name in first)
    second = folders.evening(work)
    s3cmd(f"sync {sse} --multipart-chunk-size-mb=5 --delete-removed work/ s3://{bucket}/work/")
    assert sorted(stored.keys(server, bucket, "work/")) == sorted(f"work/{name}" for name in second)
    stored.assert_all_under(server, bucket, key_id)
    shell("mkdir back")
    s3cmd(f"sync s3://{bucket}/work/ back/")
    assert folders.read(shell.home / "back") == second


def test_copies_moves_changed_headers_and_removals(s3cmd, shell, server, bucket):
    files = folders.morning(shell.home / "work")
    s3cmd(f"put --server-side-encryption work/notes.txt s3://{bucket}/notes.txt")
    s3cmd(f"modify --server-side-encryption --add-header='Cache-Control: no-store' s3://{bucket}/notes.txt")
    head = server.boto().head_object(Bucket=bucket, Key="notes.txt")
    assert (head["CacheControl"], head["ServerSideEncryption"]) == ("no-store", "AES256")
    s3cmd(f"cp s3://{bucket}/notes.txt s3://{bucket}/copy.txt")
    s3cmd(f"mv s3://{bucket}/copy.txt 's3://{bucket}/moved & kept.txt'")
    assert stored.keys(server, bucket) == ["moved & kept.txt", "notes.txt"]
    s3cmd(f"get 's3://{bucket}/moved & kept.txt' back.txt")
    assert (shell.home / "back.txt").read_bytes() == files["notes.txt"]
    assert "SSE:       AES256" in s3cmd(f"info s3://{bucket}/notes.txt")
    s3cmd(f"del --recursive --force s3://{bucket}/")
    s3cmd(f"rb s3://{bucket}")


def test_lifecycle_and_cors_of_a_bucket_are_set_shown_and_removed(s3cmd, shell, bucket):
    rule = "<Rule><ID>old</ID><Filter><Prefix>logs/</Prefix></Filter><Status>Enabled</Status><Expiration><Days>30</Days></Expiration></Rule>"
    shell.file("lifecycle.xml", f"<LifecycleConfiguration>{rule}</LifecycleConfiguration>".encode())
    s3cmd(f"setlifecycle lifecycle.xml s3://{bucket}")
    assert "<Days>30</Days>" in s3cmd(f"getlifecycle s3://{bucket}")
    s3cmd(f"dellifecycle s3://{bucket}")
    shell.file("cors.xml", b"<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>")
    s3cmd(f"setcors cors.xml s3://{bucket}")
    assert "<AllowedOrigin>*</AllowedOrigin>" in s3cmd(f"info s3://{bucket}")
    s3cmd(f"delcors s3://{bucket}")


def test_an_upload_cut_short_goes_on_and_is_listed_and_aborted(s3cmd, shell, server, bucket):
    body = folders.random_body(12 << 20)
    shell.file("large", body)
    upload = server.boto().create_multipart_upload(Bucket=bucket, Key="large")["UploadId"]
    server.boto().upload_part(Bucket=bucket, Key="large", UploadId=upload, PartNumber=1, Body=body[: 5 << 20])
    assert upload in s3cmd(f"multipart s3://{bucket}")
    s3cmd(f"put --multipart-chunk-size-mb=5 --upload-id={upload} large s3://{bucket}/large")
    assert server.boto().get_object(Bucket=bucket, Key="large")["Body"].read() == body
    other = server.boto().create_multipart_upload(Bucket=bucket, Key="other")["UploadId"]
    s3cmd(f"abortmp s3://{bucket}/other {other}")
    assert other not in s3cmd(f"multipart s3://{bucket}")


def test_a_link_which_is_one_of_version_two_is_taken_where_the_operator_allows_it(new_server, tmp_path):
    server = new_server("allow_signature_v2_urls = true\n")
    shell, bucket = Shell(server, tmp_path), make_bucket(server)
    shell.s3cmd_config()
    server.raw().put(bucket, "a b+ü & c.txt", b"body").ok()
    link = shell(f"s3cmd signurl 's3://{bucket}/a b+ü & c.txt' +60").stdout.strip()
    assert "AWSAccessKeyId=" in link
    assert shell(f"curl --silent --fail --cacert {server.ca} '{link}'").stdout == "body"
