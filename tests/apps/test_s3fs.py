"""s3fs (fsspec): files opened, appended to, copied, moved and removed as on a disk, in every mode of encryption."""

import pandas
import pytest
import s3fs

from apps import folders, stored
from harness.server import REGION
from harness.sse import KEY, random_body

MODES = {
    "none": lambda key_id: {},
    "SSE-S3": lambda key_id: {"ServerSideEncryption": "AES256"},
    "SSE-KMS": lambda key_id: {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key_id},
    "SSE-C": lambda key_id: {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": KEY},
}


@pytest.fixture(params=MODES)
def mode(request):
    return request.param


@pytest.fixture
def options(server, mode, key_id):
    client = {"endpoint_url": server.endpoint, "verify": str(server.ca), "region_name": REGION}
    return {"key": server.access_key, "secret": server.secret_key, "client_kwargs": client, "s3_additional_kwargs": MODES[mode](key_id), "skip_instance_cache": True}


@pytest.fixture
def fs(options):
    return s3fs.S3FileSystem(**options)


def test_a_folder_goes_up_and_comes_back_as_it_was(fs, server, bucket, mode, key_id, tmp_path):
    files = folders.morning(tmp_path / "work")
    fs.put(f"{tmp_path}/work/", f"{bucket}/work/", recursive=True)
    assert sorted(fs.find(f"{bucket}/work")) == sorted(f"{bucket}/work/{name}" for name in files)
    assert fs.du(f"{bucket}/work") == sum(map(len, files.values()))
    if mode == "SSE-KMS":
        stored.assert_all_under(server, bucket, key_id)
    fs.get(f"{bucket}/work/", f"{tmp_path}/back/", recursive=True)
    assert folders.read(tmp_path / "back") == files


def test_files_are_written_in_blocks_appended_to_and_read_in_pieces(fs, bucket, mode):
    body, path = random_body(13 << 20), f"{bucket}/file"
    with fs.open(path, "wb", block_size=5 << 20) as file:
        for at in range(0, len(body), 1 << 20):
            file.write(body[at : at + (1 << 20)])
    assert fs.info(path)["size"] == len(body)
    assert fs.cat_file(path, start=6 << 20, end=7 << 20) == body[6 << 20 : 7 << 20]
    if mode == "SSE-C":  # to append is to copy a part, for which s3fs sends no key of the source
        with pytest.raises(OSError, match="The object was stored using a form of Server Side Encryption"), fs.open(path, "ab", block_size=5 << 20) as file:
            file.write(b"and the end")
        return
    with fs.open(path, "ab", block_size=5 << 20) as file:
        file.write(b"and the end")
    with fs.open(path, "rb", block_size=1 << 20) as file:
        file.seek(5 << 20)
        assert file.read(100) == body[5 << 20 :][:100]
        file.seek(-11, 2)
        assert file.read() == b"and the end"
    assert fs.cat_file(path, start=-20) == (body + b"and the end")[-20:]


def test_copies_moves_and_removals(fs, bucket, mode):
    source = {"CopySourceSSECustomerAlgorithm": "AES256", "CopySourceSSECustomerKey": KEY} if mode == "SSE-C" else {}
    fs.pipe({f"{bucket}/a/{number}": b"x" * number for number in range(30)})
    fs.copy(f"{bucket}/a/7", f"{bucket}/b/seven", **source)
    fs.copy(f"{bucket}/a/8", f"{bucket}/b/eight & more", **source)
    fs.rm(f"{bucket}/a/8")
    if mode != "SSE-C":
        fs.mv(f"{bucket}/b/eight & more", f"{bucket}/b/moved")
        fs.mv(f"{bucket}/b/moved", f"{bucket}/b/eight & more")
    assert (fs.cat(f"{bucket}/b/seven"), fs.cat(f"{bucket}/b/eight & more")) == (b"x" * 7, b"x" * 8)
    assert fs.exists(f"{bucket}/b/seven") and not fs.exists(f"{bucket}/a/8")
    fs.rm(f"{bucket}/a", recursive=True)
    fs.invalidate_cache()
    assert sorted(fs.find(bucket)) == [f"{bucket}/b/eight & more", f"{bucket}/b/seven"]


def test_metadata_tags_links_and_versions(server, fs, options, bucket, mode):
    path = f"{bucket}/file"
    fs.pipe(path, b"first")
    if mode != "SSE-C":  # s3fs copies an object onto itself without the key for its source
        fs.setxattr(path, colour="blue")
        assert fs.getxattr(path, "colour") == "blue"
    fs.put_tags(path, {"team": "red"})
    assert fs.get_tags(path) == {"team": "red"}
    server.boto().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    versioned = s3fs.S3FileSystem(version_aware=True, **options)
    for text in (b"second", b"third"):
        versioned.pipe(path, text)
    versions = [version["VersionId"] for version in versioned.object_version_info(path)]
    assert [versioned.cat_file(path, version_id=version) for version in versions] == [b"third", b"second", b"first"]


def test_pandas_reads_what_it_wrote(options, bucket):
    frame = pandas.DataFrame({"number": range(1000), "word": [f"word {number}" for number in range(1000)]})
    options = {name: value for name, value in options.items() if name != "skip_instance_cache"}
    for name, write, read in [("table.csv", frame.to_csv, pandas.read_csv), ("table.parquet", frame.to_parquet, pandas.read_parquet)]:
        write(f"s3://{bucket}/{name}", index=False, storage_options=options)
        assert read(f"s3://{bucket}/{name}", storage_options=options).equals(frame)
