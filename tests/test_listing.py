"""ListBuckets, ListObjects and ListObjectsV2."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import make_bucket
from harness.sse import ENCRYPTED, SSE_C, SSE_S3

KEYS = ["a", "a/", "a/b", "a/b/c", "a/d", "b", "b0", "photos/2024/x.jpg", "photos/2024/y.jpg", "photos/2025/z.jpg", "z", "ä", "日本", "😀"]


@pytest.fixture(scope="module")
def shelf(server):
    bucket = make_bucket(server)
    for key in reversed(KEYS):
        server.raw().put(bucket, key, key.encode()).ok()
    return server.boto(), bucket


def everything(answer):
    return [entry["Key"] for entry in answer.get("Contents", [])], [entry["Prefix"] for entry in answer.get("CommonPrefixes", [])]


def test_keys_are_listed_in_the_order_of_their_utf8_bytes(shelf):
    s3, bucket = shelf
    expected = sorted(KEYS, key=str.encode)
    assert everything(s3.list_objects_v2(Bucket=bucket)) == (expected, [])
    assert everything(s3.list_objects(Bucket=bucket)) == (expected, [])


def test_every_object_of_a_bucket_without_versioning_is_the_version_null(shelf):
    s3, bucket = shelf
    found, markers = [], {}
    while True:
        page = s3.list_object_versions(Bucket=bucket, MaxKeys=5, **markers)
        found += [(version["Key"], version["VersionId"], version["IsLatest"]) for version in page["Versions"]]
        if not page["IsTruncated"]:
            break
        markers = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}
    assert found == [(key, "null", True) for key in sorted(KEYS, key=str.encode)]
    assert s3.get_object(Bucket=bucket, Key="z", VersionId="null")["Body"].read() == b"z"


@pytest.mark.parametrize(
    ("prefix", "delimiter", "keys", "prefixes"),
    [
        ("", "/", ["a", "b", "b0", "z", "ä", "日本", "😀"], ["a/", "photos/"]),
        ("a/", "/", ["a/", "a/b", "a/d"], ["a/b/"]),
        ("photos/", "/", [], ["photos/2024/", "photos/2025/"]),
        ("photos/2024/", "/", ["photos/2024/x.jpg", "photos/2024/y.jpg"], []),
        ("photos", "/", [], ["photos/"]),
        ("b", "", ["b", "b0"], []),
        ("", "0", ["a", "a/", "a/b", "a/b/c", "a/d", "b", "z", "ä", "日本", "😀"], ["b0", "photos/20"]),
        ("nothing", "/", [], []),
        ("", "ä", [key for key in KEYS if key != "ä"], ["ä"]),
    ],
)
def test_prefix_and_delimiter(shelf, prefix, delimiter, keys, prefixes):
    s3, bucket = shelf
    for answer in (s3.list_objects_v2(Bucket=bucket, Prefix=prefix, Delimiter=delimiter), s3.list_objects(Bucket=bucket, Prefix=prefix, Delimiter=delimiter)):
        assert everything(answer) == (keys, prefixes)
    assert s3.list_objects_v2(Bucket=bucket, Prefix=prefix, Delimiter=delimiter)["KeyCount"] == len(keys) + len(prefixes)


@pytest.mark.parametrize("page", [1, 2, 3, 100])
@pytest.mark.parametrize("delimiter", ["", "/"])
@pytest.mark.parametrize("call", ["list_objects", "list_objects_v2"])
def test_pages_together_are_the_whole(shelf, call, delimiter, page):
    s3, bucket = shelf
    whole = everything(getattr(s3, call)(Bucket=bucket, Delimiter=delimiter))
    pages = [everything(answer) for answer in s3.get_paginator(call).paginate(Bucket=bucket, Delimiter=delimiter, PaginationConfig={"PageSize": page})]
    assert all(len(keys) + len(prefixes) <= page for keys, prefixes in pages)
    assert [list(itertools.chain.from_iterable(part)) for part in zip(*pages, strict=True)] == list(whole)


def test_start_after_and_marker_begin_behind_it(shelf):
    s3, bucket = shelf
    assert everything(s3.list_objects_v2(Bucket=bucket, StartAfter="photos/2025/z.jpg"))[0] == ["z", "ä", "日本", "😀"]
    assert everything(s3.list_objects(Bucket=bucket, Marker="photos/2025/z.jpg"))[0] == ["z", "ä", "日本", "😀"]
    assert everything(s3.list_objects_v2(Bucket=bucket, StartAfter="b0", Delimiter="/")) == (["z", "ä", "日本", "😀"], ["photos/"])


def test_zero_keys_and_more_than_a_thousand(raw, bucket):
    for number in range(3):
        raw.put(bucket, f"key-{number}").ok()
    none = raw.request("GET", f"/{bucket}", query={"list-type": "2", "max-keys": "0"}).ok().xml()
    assert (none.findtext("KeyCount"), none.findtext("IsTruncated"), none.find("Contents")) == ("0", "false", None)
    many = raw.request("GET", f"/{bucket}", query={"list-type": "2", "max-keys": "5000"}).ok().xml()
    assert (many.findtext("KeyCount"), many.findtext("MaxKeys")) == ("3", "1000")
    for wrong in ("-1", "x"):
        raw.request("GET", f"/{bucket}", query={"list-type": "2", "max-keys": wrong}).fails(400, "InvalidArgument")


def test_a_page_has_a_thousand_keys_at_the_most(s3, server, bucket):
    upload = server.boto(max_pool_connections=8)
    names = [f"{number:05}" for number in range(1003)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: upload.put_object(Bucket=bucket, Key=name, Body=b""), names))
    first = s3.list_objects_v2(Bucket=bucket)
    assert (first["KeyCount"], first["IsTruncated"]) == (1000, True)
    rest = s3.list_objects_v2(Bucket=bucket, ContinuationToken=first["NextContinuationToken"])
    assert everything(rest)[0] == names[1000:]
    assert rest["IsTruncated"] is False
    deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": name} for name in names[:1000]], "Quiet": True})
    assert "Errors" not in deleted
    assert everything(s3.list_objects_v2(Bucket=bucket))[0] == names[1000:]


def test_a_continuation_token_that_was_never_given_is_an_invalid_argument(raw, bucket):
    raw.request("GET", f"/{bucket}", query={"list-type": "2", "continuation-token": "never given!"}).fails(400, "InvalidArgument")


def test_names_are_url_encoded_when_asked(raw, bucket):
    raw.put(bucket, "a b+c/ü&<.txt", b"x").ok()
    plain = raw.request("GET", f"/{bucket}", query={"list-type": "2"}).ok().xml()
    assert plain.findtext("Contents/Key") == "a b+c/ü&<.txt"
    encoded = raw.request("GET", f"/{bucket}", query={"list-type": "2", "encoding-type": "url", "prefix": "a b", "delimiter": "/"}).ok().xml()
    assert encoded.findtext("EncodingType") == "url"
    assert encoded.findtext("CommonPrefixes/Prefix").replace("%20", "+") == "a+b%2Bc/"
    raw.request("GET", f"/{bucket}", query={"list-type": "2", "encoding-type": "rot13"}).fails(400, "InvalidArgument")


@pytest.mark.parametrize("mode", ENCRYPTED, ids=str)
def test_an_entry_tells_the_length_the_time_and_the_etag_of_the_object(raw, bucket, mode):
    put = raw.put(bucket, "object", b"12345", mode.write).ok()
    entry = raw.request("GET", f"/{bucket}", query={"list-type": "2"}).ok().xml().find("Contents")
    assert (entry.findtext("Size"), entry.findtext("ETag").strip('"'), entry.findtext("StorageClass")) == ("5", put.etag, "STANDARD")
    assert entry.findtext("LastModified").endswith("Z")
    assert entry.find("Owner") is None
    owned = raw.request("GET", f"/{bucket}", query={"list-type": "2", "fetch-owner": "true"}).ok().xml().find("Contents/Owner/ID")
    assert owned.text
    assert raw.request("GET", f"/{bucket}").ok().xml().find("Contents/Owner/ID").text == owned.text


def test_an_entry_tells_the_checksum_s_algorithm(raw, bucket):
    raw.put(bucket, "object", b"123456789", SSE_S3.write | {"x-amz-checksum-crc32": "y/Q5Jg=="}).ok()
    entry = raw.request("GET", f"/{bucket}", query={"list-type": "2"}).ok().xml().find("Contents")
    assert (entry.findtext("ChecksumAlgorithm"), entry.findtext("ChecksumType")) == ("CRC32", "FULL_OBJECT")


def test_a_listing_needs_no_customer_key(raw, bucket):
    raw.put(bucket, "object", b"12345", SSE_C.write).ok()
    assert raw.request("GET", f"/{bucket}").ok().xml().findtext("Contents/Size") == "5"


def test_a_bucket_that_is_not_there(raw):
    raw.request("GET", "/never-made-bucket", query={"list-type": "2"}).fails(404, "NoSuchBucket")
    raw.request("GET", "/never-made-bucket").fails(404, "NoSuchBucket")


def test_buckets_are_listed_by_name(s3, server):
    made = sorted(make_bucket(server) for _ in range(3))
    listed = s3.list_buckets()
    names = [bucket["Name"] for bucket in listed["Buckets"]]
    assert names == sorted(names)
    assert set(made) <= set(names)
    assert listed["Owner"]["ID"]
    assert all(bucket["CreationDate"] for bucket in listed["Buckets"])


@pytest.mark.parametrize("listing", ["list_objects", "list_objects_v2", "list_object_versions"])
def test_a_listing_may_be_asked_for_the_restore_status_that_no_object_has(s3, raw, bucket, listing):
    s3.put_object(Bucket=bucket, Key="object", Body=b"x")
    found = getattr(s3, listing)(Bucket=bucket, OptionalObjectAttributes=["RestoreStatus"])
    [entry] = found.get("Contents") or found["Versions"]
    assert entry["Key"] == "object" and "RestoreStatus" not in entry
    query = {"list_objects": {}, "list_objects_v2": {"list-type": "2"}, "list_object_versions": {"versions": ""}}[listing]
    refused = raw.request("GET", f"/{bucket}", query=query, headers={"x-amz-optional-object-attributes": "RestoreStatus,Encryption"})
    assert "takes RestoreStatus" in refused.fails(400, "InvalidArgument").message
