"""Seed 000 (RustFS): its request examples, its table of response headers and its table of errors.

The commands are the seed's. Substituted: the endpoint; and, where the aws command line of today refuses the seed's spelling,
`--server-side-encryption-customer-*` → `--sse-customer-*` and the MD5 in hex → in base64.
"""

import base64
import hashlib
import json

import pytest

from conftest import make_bucket
from harness.cli import Shell
from harness.sse import CUSTOMER, KMS_KEY_ID, SSE, customer, key_md5

PART_BYTES = 5 << 20


@pytest.fixture
def shell(server, tmp_path):
    return Shell(server, tmp_path)


@pytest.fixture
def demo(server):
    return make_bucket(server)


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_sse_s3_upload_and_download(shell, demo, raw, scheme):
    body = b"name,amount\n" * 1000
    shell.file("file.txt", body)
    endpoint = f"{scheme}://localhost:{shell.server.port}"
    put = shell(f"""
# Upload
aws s3api put-object \\
--endpoint-url {endpoint} \\
--bucket {demo} --key obj.txt --body file.txt \\
--server-side-encryption AES256""")
    got = shell(f"""
# Download
aws s3api get-object \\
--endpoint-url {endpoint} \\
--bucket {demo} --key obj.txt out.txt""")
    assert (shell.home / "out.txt").read_bytes() == body
    assert json.loads(put.stdout)["ServerSideEncryption"] == "AES256"
    assert json.loads(put.stdout)["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    assert json.loads(got.stdout)["ServerSideEncryption"] == "AES256"


def test_sse_kms_with_an_explicit_key_id(shell, demo):
    shell.file("report.csv", b"quarter,profit\n1,2\n")
    put = shell(f"""
aws s3api put-object \\
--endpoint-url http://localhost:{shell.server.port} \\
--bucket {demo} --key report.csv --body report.csv \\
--server-side-encryption aws:kms \\
--ssekms-key-id rotation-2024-09""")
    answer = json.loads(put.stdout)
    assert answer["ServerSideEncryption"] == "aws:kms"
    assert answer["SSEKMSKeyId"] == "rotation-2024-09"
    shell(f"aws s3api get-object --endpoint-url http://localhost:{shell.server.port} --bucket {demo} --key report.csv out.csv")
    assert (shell.home / "out.csv").read_bytes() == b"quarter,profit\n1,2\n"


def test_without_a_key_id_sse_kms_uses_the_default_key(shell, demo):
    shell.file("report.csv", b"x")
    put = shell(
        f"aws s3api put-object --endpoint-url {shell.server.endpoint} --bucket {demo} --key report.csv --body report.csv --server-side-encryption aws:kms"
    )
    assert json.loads(put.stdout)["SSEKMSKeyId"] == "default"


def test_sse_c_multipart_upload(shell, demo):
    parts = [bytes([65 + number]) * PART_BYTES for number in range(2)] + [b"the end"]
    for number, part in enumerate(parts, 1):
        shell.file(f"part{number}", part)
    endpoint = f"--endpoint-url https://localhost:{shell.server.port}"
    key = """
KEY="01234567890123456789012345678901"
KEY_B64=$(echo -n "$KEY" | base64)
KEY_MD5=$(echo -n "$KEY" | openssl md5 -binary | base64)
"""
    trio = '--sse-customer-algorithm AES256 \\\n--sse-customer-key "$KEY_B64" \\\n--sse-customer-key-md5 "$KEY_MD5"'
    created = json.loads(
        shell(f"""{key}
aws s3api create-multipart-upload \\
{endpoint} \\
--bucket {demo} --key video.mp4 \\
{trio}""").stdout
    )
    assert created["SSECustomerAlgorithm"] == "AES256"
    upload = created["UploadId"]
    done = []
    for number in range(1, 4):  # "Upload all parts with the same trio of headers"
        part = json.loads(
            shell(
                f"{key} aws s3api upload-part {endpoint} --bucket {demo} --key video.mp4 --part-number {number} --upload-id {upload} --body part{number} {trio}"
            ).stdout
        )
        assert part["SSECustomerKeyMD5"] == key_md5(b"01234567890123456789012345678901")
        done.append({"PartNumber": number, "ETag": part["ETag"]})
    shell.file("parts.json", json.dumps({"Parts": done}).encode())
    shell(
        f"{key} aws s3api complete-multipart-upload {endpoint} --bucket {demo} --key video.mp4 --upload-id {upload} --multipart-upload file://parts.json {trio}"
    )
    shell(f"{key} aws s3api get-object {endpoint} --bucket {demo} --key video.mp4 out.mp4 {trio}")
    assert (shell.home / "out.mp4").read_bytes() == b"".join(parts)
    refused = shell(f"aws s3api get-object {endpoint} --bucket {demo} --key video.mp4 none.mp4", status=255)
    assert "(InvalidRequest)" in refused.stderr


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({SSE: "AES256"}, {SSE: "AES256", KMS_KEY_ID: "default"}),
        ({SSE: "aws:kms", KMS_KEY_ID: "rotation-2024-09"}, {SSE: "aws:kms", KMS_KEY_ID: "rotation-2024-09"}),
        (customer(), {f"{CUSTOMER}algorithm": "AES256", f"{CUSTOMER}key-md5": customer()[f"{CUSTOMER}key-md5"]}),
    ],
    ids=["SSE-S3", "SSE-KMS", "SSE-C"],
)
def test_the_table_of_response_headers_holds(raw, demo, headers, expected):
    read = headers if f"{CUSTOMER}key" in headers else {}
    replies = [raw.put(demo, "obj", b"body", headers).ok(), raw.get(demo, "obj", read).ok(), raw.head(demo, "obj", read).ok()]
    for reply in replies:
        found = {name: value for name, value in reply.headers.items() if name.startswith(SSE)}
        found.pop(f"{SSE}-bucket-key-enabled", None)
        assert found == expected


def test_an_sse_c_key_that_does_not_match_its_md5_is_access_denied(raw, demo):
    wrong = customer() | {f"{CUSTOMER}key-md5": base64.b64encode(hashlib.md5(b"other").digest()).decode()}
    raw.put(demo, "obj", b"body", wrong).fails(403, "AccessDenied")
    hexadecimal = customer() | {f"{CUSTOMER}key-md5": hashlib.md5(b"01234567890123456789012345678901").hexdigest()}
    raw.put(demo, "obj", b"body", hexadecimal).fails(403, "AccessDenied")
    raw.get(demo, "obj").fails(404, "NoSuchKey")


def test_missing_sse_c_headers_on_get_are_an_invalid_request(raw, demo):
    raw.put(demo, "obj", b"body", customer()).ok()
    raw.get(demo, "obj").fails(400, "InvalidRequest")


def test_an_unknown_key_id_is_not_found(raw, demo):
    reply = raw.put(demo, "obj", b"body", {SSE: "aws:kms", KMS_KEY_ID: "no-such-key"}).fails(404, "NotFound")
    assert "no-such-key" in reply.message
    assert "GET /kms/keys" in reply.message
