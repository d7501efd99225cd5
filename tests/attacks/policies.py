"""Policies: condition keys on requests that AWS does not list them for, other tenants' buckets and keys, and no credentials at all."""

from attacks import calls
from attacks.row import ALLOWED, ANONYMOUS, CLIENT, NARROW, TENANT, EachKey, Row, denied, refused
from harness.sse import KMS_KEY_ID, SSE, customer

# Which operations the Service Authorization Reference lists a condition key for, by the actions that they need.
OF_PUT = {"PutObject", "CreateMultipartUpload"}  # of a copy the source's GetObject is not listed, so a copy is refused as a whole
OF_LIST = {"ListObjects", "ListObjectsV2", "ListObjectVersions"}
# HeadBucket and GetBucketAcl need ListBucket here: a prefix makes no sense on them, and opens nothing but that the bucket is there.
OF_LIST_ACTION = OF_LIST | {"HeadBucket", "GetBucketAcl"}
# A part takes the conditions of its upload, which is under SSE-S3.
OF_PARTS = {"UploadPart", "CompleteMultipartUpload"}


CONDITIONS = [
    ("by-prefix", "s3:prefix", {"query": {"prefix": "home/me/"}}, OF_LIST_ACTION),
    ("by-delimiter", "s3:delimiter", {"query": {"delimiter": "/"}}, OF_LIST_ACTION),
    ("by-encryption", f"s3:{SSE}", {"headers": {SSE: "AES256"}}, OF_PUT | OF_PARTS),
    ("by-key", f"s3:{KMS_KEY_ID}", {"headers": {SSE: "aws:kms", KMS_KEY_ID: "mallory-key"}}, OF_PUT),
    ("by-customer", f"s3:{SSE}-customer-algorithm", {"headers": customer()}, OF_PUT),
]


def shape(name):
    """The call as it looks, without a field."""
    return next(call for call in calls.all_calls("b", "u", "e", "n") if call.name == name)


def call(name, user, **options):
    return lambda field: field.send(field.call(name, user, **options))


def unsigned(name, tls):
    return lambda field: field.send(field.call(name).without("authorization"), tls=tls)


def wrongly_signed(name, tls):
    def attack(field):
        request = field.call(name)
        value = request.value("authorization")
        return field.send(request.having("authorization", value[:-64] + "0" * 64), tls=tls)

    return attack


def unauthenticated(name, code):
    """Before anybody is known; a HEAD has the status alone."""
    return refused(403, None if shape(name).method == "HEAD" else code)


def written(path, headers=None, method="PUT", query=(), body=b"x", user="mallory"):
    return lambda field: field.send(field.signed(user, method, path, query, headers, body))


# ---- 3: condition keys

CONDITION_ROWS = [
    Row(f"{name} is not opened by {key} in the request", 3, NARROW, call(name, user, **given), denied(shape(name)))
    for user, key, given, listed in CONDITIONS
    for name in calls.NAMES
    if name not in listed
]
CONDITION_ROWS += [
    Row(f"{name} is opened by {key}, which AWS lists for it", 3, NARROW, call(name, user, **given), ALLOWED, ())
    for user, key, given, listed in CONDITIONS[:2]
    for name in sorted(OF_LIST)
]
CONDITION_ROWS += [
    Row(f"PutObject is opened by {key}, which AWS lists for it", 3, NARROW, written(f"/mallory/{user}", given["headers"], user=user), ALLOWED, ())
    for user, key, given, _ in CONDITIONS[2:]
]
CONDITION_ROWS += [
    Row(
        f"A copy's source is not opened by {key}",
        3,
        NARROW,
        written("/mallory/stolen", given["headers"] | {"x-amz-copy-source": "/victim/secret"}, user=user, body=b""),
        denied(),
    )
    for user, key, given, _ in CONDITIONS[2:]
]
CONDITION_ROWS += [
    Row(f"{name} is not opened by s3:prefix {how}", 3, NARROW, call(name, "by-prefix", **given), denied(shape(name)))
    for name in ("GetObject", "PutObject", "DeleteObject", "DeleteBucketEncryption")
    for how, given in [
        ("as a header", {"headers": {"prefix": "home/me/"}}),
        ("in another case", {"query": {"Prefix": "home/me/"}}),
        ("beside a versionId", {"query": {"prefix": "home/me/", "versionId": "null"}}),
    ]
    if not ("versionId" in str(given) and name in ("PutObject", "DeleteBucketEncryption"))
]
CONDITION_ROWS += [
    Row("A listing is not opened by a prefix beside the allowed one", 3, NARROW, call("ListObjectsV2", "by-prefix", query={"prefix": "home/you/"}), denied()),
    Row("A listing is not opened without a prefix", 3, NARROW, call("ListObjectsV2", "by-prefix"), denied()),
    Row(
        "PutObject is not opened by another encryption than the allowed one", 3, NARROW, call("PutObject", "by-encryption", headers={SSE: "aws:kms"}), denied()
    ),
    Row(
        "PutObject is not opened by another key than the allowed one",
        3,
        NARROW,
        call("PutObject", "by-key", headers={SSE: "aws:kms", KMS_KEY_ID: "victim-key"}),
        denied(),
    ),
]


# ---- other tenants, and nobody

STRANGERS = [
    Row(
        f"{name} without a signature is refused over {'TLS' if tls else 'plain HTTP'}", 0, ANONYMOUS, unsigned(name, tls), unauthenticated(name, "AccessDenied")
    )
    for name in calls.NAMES
    for tls in (True, False)
]
FORGERS = [
    Row(f"{name} of a forged signature is refused", 0, ANONYMOUS, wrongly_signed(name, True), unauthenticated(name, "SignatureDoesNotMatch"))
    for name in calls.NAMES
]
FORGERS += [
    Row(f"{name} of a forged signature is refused over plain HTTP", 0, ANONYMOUS, wrongly_signed(name, False), unauthenticated(name, "SignatureDoesNotMatch"))
    for name in ("PutObject", "GetObject", "HeadObject", "DeleteObjects", "DeleteBucket")
]
TENANTS = [
    Row(f"{name} on another tenant's bucket is refused", 0, TENANT, call(name, "mallory"), denied(shape(name)))
    for name in calls.NAMES
    if name != "CreateBucket"
]
TENANTS += [
    Row(f"{name} by who may list nothing is refused", 0, NARROW, call(name, "nobody"), denied(shape(name)))
    for name in ("ListBuckets", "HeadBucket", "ListObjectsV2", "GetObject", "GetBucketLocation", "CreateBucket")
]

SOURCES = [
    "/victim/secret",
    "victim/secret",
    "/victim/secret?versionId=null",
    "victim/secret?versionId=null",
    "%2Fvictim%2Fsecret",
    "victim%2Fsecret",
    "/victim/%73ecret",
    "/%76ictim/secret",
    "/victim/secret%3FversionId=null",
    "arn:aws:s3:::victim/secret",
]
COPIES = [
    Row(f"CopyObject from {source!r}, another tenant's, is refused", 0, TENANT, written("/mallory/stolen", {"x-amz-copy-source": source}, body=b""), denied())
    for source in SOURCES[:9]
]
COPIES += [
    Row(
        f"UploadPartCopy from {source!r}, another tenant's, is refused",
        0,
        TENANT,
        lambda field, source=source: field.send(
            field.signed("mallory", "PUT", "/mallory/upload", {"partNumber": "1", "uploadId": field.own_upload}, {"x-amz-copy-source": source})
        ),
        denied(),
    )
    for source in SOURCES[:4]
]
BROKEN_SOURCES = [
    ("", 400),
    ("/", 400),
    ("victim", 400),
    ("/victim/", 400),
    ("//secret", 400),
    ("/victim/%ff", 400),
    ("/victim/secret?versionId=", 400),
    ("/victim/secret?x=y", 400),
]
COPIES += [
    Row(
        f"A copy from {source!r} is refused",
        0,
        CLIENT,
        written("/mallory/stolen", {"x-amz-copy-source": source}, user="root", body=b""),
        refused(status, "InvalidArgument"),
    )
    for source, status in BROKEN_SOURCES
    if source in ("/", "victim", "/victim/", "//secret")
]


def upload_of_another(name):
    """The victim's upload id, under a key of one's own bucket."""
    return lambda field: field.send(field.call(name, "mallory", "mallory", query={"uploadId": field.upload}))


UPLOADS = [
    Row(f"{name} by the id of another tenant's upload is refused", 0, TENANT, upload_of_another(name), refused(404, "NoSuchUpload"))
    for name in ("UploadPart", "CompleteMultipartUpload", "AbortMultipartUpload", "ListParts")
]

SPELLINGS = [
    "victim-key",
    "key/victim-key",
    "arn:aws:kms:victim-key",
    "arn:aws:kms:us-east-1:000000000000:key/victim-key",
    "arn:aws:kms:us-west-1:123456789012:key/victim-key",
    "arn:aws:kms:::key/victim-key",
    "arn:aws-cn:kms:::key/victim-key",
]
KEYS = [
    Row(f"A tenant does not write under another's key as {key!r}", 0, TENANT, written("/mallory/under-key", {SSE: "aws:kms", KMS_KEY_ID: key}), denied())
    for key in SPELLINGS
]
KEYS += [
    Row(
        f"A tenant does not begin an upload under another's key as {key!r}",
        0,
        TENANT,
        written("/mallory/under-key", {SSE: "aws:kms:dsse", KMS_KEY_ID: key}, "POST", {"uploads": ""}, b""),
        denied(),
    )
    for key in SPELLINGS[:4]
]
KEYS += [
    Row(
        f"A tenant does not move an object under another's key as {key!r}",
        0,
        TENANT,
        written("/mallory/own", None, "PUT", {"encryption": ""}, calls.object_encryption_xml(key)),
        denied(),
    )
    for key in SPELLINGS[3:6]
]

SECURE = {SSE: "aws:kms", KMS_KEY_ID: "strongroom-store"}
KEYS += [
    Row("Nobody writes under the store's own key", 0, CLIENT, written("/mallory/x", SECURE, user="root"), refused(404, "NotFound")),
    Row(
        "A delete of many keys with another tenant's among them is refused for each",
        0,
        TENANT,
        lambda f: f.send(
            f.signed(
                "mallory",
                "POST",
                "/victim",
                {"delete": ""},
                calls.md5(calls.delete_xml("secret", "large", "../mallory/own")),
                calls.delete_xml("secret", "large", "../mallory/own"),
            )
        ),
        EachKey(code="AccessDenied"),
    ),
    Row(
        "A tenant does not reach another's bucket by dots in the path",
        0,
        TENANT,
        lambda f: f.send(f.signed("mallory", "GET", "/mallory/../victim/secret")),
        refused(404, "NoSuchKey"),
    ),
    Row(
        "A tenant does not reach another's bucket by its host",
        0,
        TENANT,
        lambda f: f.send(f.signed("mallory", "GET", "/secret", host="victim.s3.attacked.test")),
        denied(),
    ),
    Row("A reader of a prefix does not read beside it", 0, NARROW, lambda f: f.send(f.signed("reader", "GET", "/victim/public/../secret")), denied()),
    Row("A reader of a prefix does not read a key that begins likewise", 0, NARROW, lambda f: f.send(f.signed("reader", "GET", "/victim/publicity")), denied()),
    Row("Who may not list does not learn what is missing", 0, NARROW, lambda f: f.send(f.signed("reader", "GET", "/victim/public/nothing")), denied()),
]

ROWS = [*CONDITION_ROWS, *STRANGERS, *FORGERS, *TENANTS, *COPIES, *UPLOADS, *KEYS]
