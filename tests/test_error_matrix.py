"""The table of SSE errors × the operations that take encryption headers: exact code and status.

Rows about keys that are disabled, sealed or erased need the admin API; the engine's own tests have them.
"""

import json

import pytest

from conftest import make_bucket
from harness import operations as op
from harness.server import Server
from harness.sse import (
    BUCKET_KEY,
    CONTEXT,
    CUSTOMER,
    DSSE,
    ENCRYPTED,
    KEY,
    KMS_KEY_ID,
    MODES,
    NONE,
    OTHER_KEY,
    SSE,
    SSE_C,
    SSE_KMS,
    SSE_S3,
    b64,
    customer,
    key_md5,
)

STORED_ENCRYPTED = "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object."
INSECURE = "Requests specifying Server Side Encryption with Customer provided keys must be made over a secure connection."
KEY_INVALID = "The secret key was invalid for the specified algorithm."
NOT_APPLICABLE = "The encryption parameters are not applicable to this object."
ALGORITHM, CUSTOMER_KEY, MD5 = f"{CUSTOMER}algorithm", f"{CUSTOMER}key", f"{CUSTOMER}key-md5"


def names(operations):
    return pytest.mark.parametrize("operation", operations, ids=lambda one: one.__name__)


@pytest.fixture
def stage(raw, bucket):
    return op.Stage(raw, bucket)


@pytest.fixture
def aws_stage(aws_dialect_server):
    return op.Stage(aws_dialect_server.raw(), make_bucket(aws_dialect_server))


def without(headers, *left_out):
    return {name: value for name, value in headers.items() if name not in left_out}


def named(operation, header):
    """The header as that operation knows it."""
    return op.as_source({header: ""}).popitem()[0] if operation in (op.copy_source, op.part_copy_source) else header


# ---- SSE-C headers that are wrong in themselves


@names(op.ALL)
def test_a_customer_key_that_does_not_match_its_md5_is_access_denied(stage, operation):
    reply = operation(stage, customer() | {MD5: key_md5(OTHER_KEY)})
    op.refused(operation, reply, 403, "AccessDenied")


@names(op.ALL)
def test_a_customer_key_that_does_not_match_its_md5_is_an_invalid_argument_in_amazon_s_dialect(aws_stage, operation):
    reply = operation(aws_stage, customer() | {MD5: key_md5(OTHER_KEY)})
    op.refused(operation, reply, 400, "InvalidArgument")


@names(op.ALL)
@pytest.mark.parametrize("algorithm", ["AES128", "aws:kms", "aes256"])
def test_an_algorithm_other_than_aes256_is_an_encryption_algorithm_error(stage, operation, algorithm):
    reply = operation(stage, customer() | {ALGORITHM: algorithm})
    op.refused(operation, reply, 400, "InvalidEncryptionAlgorithmError")


@names(op.ALL)
@pytest.mark.parametrize("missing", [ALGORITHM, CUSTOMER_KEY, MD5])
def test_a_trio_without_one_header_is_an_invalid_argument_that_names_it(stage, operation, missing):
    reply = operation(stage, without(customer(), missing))
    op.refused(operation, reply, 400, "InvalidArgument")
    if operation is not op.head:
        assert named(operation, missing) in reply.message.lower()


@names(op.ALL)
@pytest.mark.parametrize(
    "key", ["not base64!", b64(KEY[:31]), b64(KEY + b"x"), b64(b"\0" * 16), b64(KEY)[:-1], KEY.hex()], ids=["text", "31", "33", "16", "unpadded", "hex"]
)
def test_a_customer_key_that_is_not_32_bytes_in_base64_is_an_invalid_argument(stage, operation, key):
    reply = operation(stage, customer() | {CUSTOMER_KEY: key})
    op.refused(operation, reply, 400, "InvalidArgument", KEY_INVALID)


@names(op.ALL)
def test_a_customer_key_over_plain_http_is_an_invalid_request(stage, operation):
    op.refused(operation, operation(stage, customer(), tls=False), 400, "InvalidRequest", INSECURE)


# ---- objects and the keys they need


@names(op.READS)
def test_a_customer_encrypted_object_without_the_headers_is_an_invalid_request(stage, operation):
    op.refused(operation, operation(stage, {}), 400, "InvalidRequest", STORED_ENCRYPTED)


@names(op.READS)
def test_a_customer_encrypted_object_with_another_key_is_access_denied(stage, operation):
    op.refused(operation, operation(stage, customer(OTHER_KEY)), 403, "AccessDenied")


@names(op.READS)
@pytest.mark.parametrize("mode", [SSE_S3, SSE_KMS, DSSE], ids=str)
def test_a_customer_key_for_an_object_of_another_mode_is_an_invalid_request(stage, operation, mode):
    op.refused(operation, operation(stage, customer(), mode), 400, "InvalidRequest", NOT_APPLICABLE)


@names(op.READS)
def test_a_customer_key_for_a_plain_object_is_an_invalid_request(plain_server, plain_bucket, operation):
    stage = op.Stage(plain_server.raw(), plain_bucket)
    op.refused(operation, operation(stage, customer(), NONE), 400, "InvalidRequest", NOT_APPLICABLE)


@names([op.get, op.head, op.attributes])
@pytest.mark.parametrize("value", ["AES256", "aws:kms", "aws:kms:dsse"])
@pytest.mark.parametrize("mode", ENCRYPTED, ids=str)
def test_the_encryption_header_on_a_read_is_an_invalid_argument(stage, operation, value, mode):
    op.refused(operation, operation(stage, mode.read | {SSE: value}, mode), 400, "InvalidArgument")


@names([op.get, op.head, op.attributes])
@pytest.mark.parametrize("value", ["AES256", "aws:kms", "aws:kms:dsse"])
def test_the_encryption_header_on_a_read_of_a_plain_object_is_an_invalid_argument(plain_server, plain_bucket, operation, value):
    stage = op.Stage(plain_server.raw(), plain_bucket)
    op.refused(operation, operation(stage, {SSE: value}, NONE), 400, "InvalidArgument")


# ---- what a write asks for


@names(op.WRITES)
@pytest.mark.parametrize("value", ["AES256", "aws:kms", "aws:kms:dsse"])
def test_a_customer_key_together_with_the_server_s_is_an_invalid_argument(stage, operation, value):
    op.refused(operation, operation(stage, customer() | {SSE: value}), 400, "InvalidArgument")


@names(op.WRITES)
@pytest.mark.parametrize("headers", [{}, {SSE: "AES256"}], ids=["alone", "AES256"])
@pytest.mark.parametrize("extra", [{KMS_KEY_ID: "other"}, {CONTEXT: b64(b'{"a":"b"}')}], ids=["key id", "context"])
def test_kms_headers_without_kms_are_an_invalid_argument(stage, operation, headers, extra):
    op.refused(operation, operation(stage, headers | extra), 400, "InvalidArgument")


@names(op.WRITES)
@pytest.mark.parametrize("value", ["aes256", "AES128", "kms", "aws:fsx", ""])
def test_an_unknown_encryption_is_an_invalid_argument(stage, operation, value):
    op.refused(operation, operation(stage, {SSE: value}), 400, "InvalidArgument")


@names(op.WRITES)
@pytest.mark.parametrize("context", ["%%%", b64(b"no json"), b64(b'["a"]'), b64(b'{"a":1}')], ids=["base64", "json", "array", "number"])
def test_an_encryption_context_that_is_not_json_of_strings_is_an_invalid_argument(stage, operation, context):
    op.refused(operation, operation(stage, {SSE: "aws:kms", CONTEXT: context}), 400, "InvalidArgument")


@names(op.WRITES)
@pytest.mark.parametrize("value", ["aws:kms", "aws:kms:dsse"])
def test_an_unknown_key_id_is_not_found_and_says_where_to_look(stage, operation, value):
    reply = operation(stage, {SSE: value, KMS_KEY_ID: "nobodys-key"})
    op.refused(operation, reply, 404, "NotFound", ["nobodys-key", "GET /kms/keys"])


@names(op.WRITES)
def test_an_unknown_key_id_is_amazon_s_code_in_amazon_s_dialect(aws_stage, operation):
    reply = operation(aws_stage, {SSE: "aws:kms", KMS_KEY_ID: "nobodys-key"})
    op.refused(operation, reply, 400, "KMS.NotFoundException", "nobodys-key")


@names([op.get, op.head, op.attributes, op.copy_source, op.part_copy_source])
def test_the_other_rows_are_the_same_in_amazon_s_dialect(aws_stage, operation):
    op.refused(operation, operation(aws_stage, {}), 400, "InvalidRequest", STORED_ENCRYPTED)
    op.refused(operation, operation(aws_stage, customer(OTHER_KEY)), 403, "AccessDenied")


@names(op.WRITES)
@pytest.mark.parametrize("mode", [SSE_S3, SSE_KMS, DSSE], ids=str)
def test_without_a_kms_its_modes_are_not_implemented_and_say_how_to_configure_one(no_kms_server, operation, mode):
    stage = op.Stage(no_kms_server.raw(), make_bucket(no_kms_server))
    op.refused(operation, operation(stage, mode.write), 501, "NotImplemented", "kms")


def test_without_a_kms_a_customer_s_key_still_works(no_kms_server):
    raw, bucket = no_kms_server.raw(), make_bucket(no_kms_server)
    raw.put(bucket, "object", op.BODY, SSE_C.write).ok()
    assert raw.get(bucket, "object", SSE_C.read).ok().body == op.BODY


def test_objects_of_a_kms_that_was_taken_away_are_not_implemented_and_the_others_are_read(new_server):
    server = new_server("encrypt_by_default = false\n")
    stage = op.Stage(server.raw(), make_bucket(server))
    objects = {mode.name: stage.prepare(mode) for mode in MODES}
    assert server.stop() == 0
    server.config += '[kms]\nbackend = "none"\n'
    server.start()
    raw, bucket = server.raw(), stage.bucket
    for mode in (SSE_S3, SSE_KMS, DSSE):
        op.refused(op.get, raw.get(bucket, objects[mode.name]), 501, "NotImplemented", "kms")
        op.refused(op.copy_source, raw.copy(f"{bucket}/{objects[mode.name]}", bucket, "copy"), 501, "NotImplemented", "kms")
    for mode in (NONE, SSE_C):
        assert raw.get(bucket, objects[mode.name], mode.read).ok().body == op.BODY


# ---- parts


@names([op.upload_part, op.part_copy_target])
def test_a_part_of_a_customer_encrypted_upload_without_the_headers_is_an_invalid_request(stage, operation):
    op.refused(operation, operation(stage, {}), 400, "InvalidRequest")


@names(op.PARTS)
def test_a_part_with_another_key_than_the_upload_s_is_access_denied(stage, operation):
    op.refused(operation, operation(stage, customer(OTHER_KEY)), 403, "AccessDenied")


def test_a_completion_needs_no_customer_key(stage):
    op.complete(stage, {}).ok()
    assert stage.raw.get(stage.bucket, "upload", SSE_C.read).ok().body == op.BODY


@names([op.upload_part, op.part_copy_target])
@pytest.mark.parametrize("mode", [SSE_S3, SSE_KMS, DSSE], ids=str)
def test_a_customer_key_for_a_part_of_another_mode_is_an_invalid_request(stage, operation, mode):
    op.refused(operation, operation(stage, customer(), mode), 400, "InvalidRequest")


@names([op.upload_part, op.part_copy_target])
@pytest.mark.parametrize(("mode", "value"), [(SSE_S3, "aws:kms"), (SSE_KMS, "AES256"), (DSSE, "aws:kms"), (SSE_C, "AES256")], ids=str)
def test_another_encryption_on_a_part_than_the_upload_s_is_an_invalid_argument(stage, operation, mode, value):
    op.refused(operation, operation(stage, mode.read | {SSE: value}, mode), 400, "InvalidArgument")


@names(op.PARTS)
@pytest.mark.parametrize("mode", [SSE_S3, SSE_KMS, DSSE], ids=str)
def test_the_upload_s_encryption_may_be_repeated_with_its_parts(stage, operation, mode):
    operation(stage, mode.write, mode).ok()


# ---- a refused write


@names(op.WRITES)
def test_a_refused_write_stores_nothing(stage, operation):
    assert operation(stage, {SSE: "aws:kms", KMS_KEY_ID: "nobodys-key"}).status == 404
    stage.raw.get(stage.bucket, "new").fails(404, "NoSuchKey")
    assert stage.raw.request("GET", f"/{stage.bucket}", query={"uploads": ""}).ok().xml().find("Upload") is None


# ---- rights to keys

USERS = {"reader": ["kms:Decrypt"], "writer": ["kms:GenerateDataKey"], "both": ["kms:Decrypt", "kms:GenerateDataKey"], "neither": []}


@pytest.fixture(scope="module")
def users_server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("users") / "home", config=users_config(), env={}).start()
    yield server
    server.remove()


def users_config():
    """Users with all of S3 and the given KMS rights, in TOML."""
    tables = []
    for name, actions in USERS.items():
        statements = [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]
        if actions:
            statements.append({"Effect": "Allow", "Action": actions, "Resource": "*"})
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        tables.append(
            f"[[users]]\nname = '{name}'\naccess_key = 'AK{name.upper()}00000000'\nsecret_key = 'secret-of-{name}-0123456789abcdef'\npolicy = '{policy}'\n"
        )
    return "".join(tables)


def user(server, name):
    return server.raw(f"AK{name.upper()}00000000", f"secret-of-{name}-0123456789abcdef")


@pytest.fixture
def users_bucket(users_server):
    return make_bucket(users_server)


@names(op.WRITES)
@pytest.mark.parametrize("who", ["reader", "neither"])
@pytest.mark.parametrize("mode", [SSE_KMS, DSSE], ids=str)
def test_a_write_without_the_right_to_generate_data_keys_is_access_denied(users_server, users_bucket, operation, who, mode):
    stage = op.Stage(user(users_server, who), users_bucket)
    op.refused(operation, operation(stage, mode.write), 403, "AccessDenied", "kms:GenerateDataKey")


@pytest.mark.parametrize("who", ["reader", "neither"])
def test_the_right_is_decided_before_the_kms_is_asked(users_server, users_bucket, who):
    headers = {SSE: "aws:kms", KMS_KEY_ID: "nobodys-key"}
    user(users_server, who).put(users_bucket, "new", b"x", headers).fails(403, "AccessDenied")


@names([op.get, op.attributes, op.copy_source, op.part_copy_source])
@pytest.mark.parametrize("who", ["writer", "neither"])
@pytest.mark.parametrize("mode", [SSE_KMS, DSSE], ids=str)
def test_a_read_without_the_right_to_decrypt_is_access_denied(users_server, users_bucket, operation, who, mode):
    root = op.Stage(users_server.raw(), users_bucket)
    name = root.prepare(mode)
    caller = user(users_server, who)
    if operation is op.get:
        reply = caller.get(users_bucket, name)
    elif operation is op.attributes:
        reply = caller.attributes(users_bucket, name)
    elif operation is op.copy_source:
        reply = caller.copy(f"{users_bucket}/{name}", users_bucket, "new")
    else:
        upload = root.raw.begin_upload(users_bucket, "upload", SSE_C.write)
        reply = caller.upload_part_copy(f"{users_bucket}/{name}", users_bucket, "upload", upload, 1, SSE_C.read)
    op.refused(operation, reply, 403, "AccessDenied", "kms:Decrypt")


@pytest.mark.parametrize("mode", [SSE_KMS, DSSE], ids=str)
def test_a_part_without_the_right_to_decrypt_is_access_denied(users_server, users_bucket, mode):
    """The upload's key is sealed, so that to add to it is to open it."""
    root, caller = users_server.raw(), user(users_server, "neither")
    upload = root.begin_upload(users_bucket, "upload", mode.write)
    op.refused(op.upload_part, caller.upload_part(users_bucket, "upload", upload, 1, op.BODY), 403, "AccessDenied", "kms:Decrypt")
    root.put(users_bucket, "source", op.BODY).ok()
    reply = caller.upload_part_copy(f"{users_bucket}/source", users_bucket, "upload", upload, 1)
    op.refused(op.part_copy_target, reply, 403, "AccessDenied", "kms:Decrypt")
    reply = user(users_server, "writer").upload_part(users_bucket, "upload", upload, 1, op.BODY)
    op.refused(op.upload_part, reply, 403, "AccessDenied", "kms:Decrypt")
    user(users_server, "reader").upload_part(users_bucket, "upload", upload, 1, op.BODY).ok()


def test_head_and_list_need_no_right_to_a_key(users_server, users_bucket):
    op.Stage(users_server.raw(), users_bucket).prepare(SSE_KMS)
    caller = user(users_server, "neither")
    caller.head(users_bucket, "object-sse-kms").ok()
    caller.request("GET", f"/{users_bucket}", query={"list-type": "2"}).ok()


def test_sse_s3_and_customer_keys_need_no_right_to_a_key(users_server, users_bucket):
    stage = op.Stage(user(users_server, "neither"), users_bucket)
    for mode in (SSE_S3, SSE_C):
        assert stage.raw.get(users_bucket, stage.prepare(mode), mode.read).ok().body == op.BODY


def test_with_the_rights_everything_goes(users_server, users_bucket):
    stage = op.Stage(user(users_server, "both"), users_bucket)
    for mode in (SSE_KMS, DSSE):
        assert stage.raw.get(users_bucket, stage.prepare(mode)).ok().body == op.BODY
    headers = stage.raw.put(users_bucket, "bucket-key", b"x", SSE_KMS.write | {BUCKET_KEY: "true"}).ok().headers
    assert headers[BUCKET_KEY] == "true"
