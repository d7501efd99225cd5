"""XML documents: deep, endless, with entities, of another shape; and the JSON of the admin API."""

from attacks import calls
from attacks.row import ALLOWED, CLIENT, EVERYTHING, MEMORY, Row, refused

MALFORMED = refused(400, "MalformedXML")
TOO_LONG = refused(400, "MaxMessageLengthExceeded")
S3 = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
DEEP = 16_000


class Document:
    """An operation that takes a document, and a good one of it: the root, and what is in it."""

    def __init__(self, name, method, path, query, root, content):
        self.name, self.method, self.path, self.query, self.root, self.content = name, method, path, query, root, content

    def good(self):
        return f"<{self.root}{S3}>{self.content}</{self.root}>"

    def send(self, body):
        def attack(field):
            data = body.encode() if isinstance(body, str) else body
            path = self.path.replace("{new}", field.new_name("mallory-documents"))
            query = {name: value.replace("{upload}", field.own_upload) for name, value in self.query.items()}
            return field.send(field.signed("root", self.method, path, query, calls.md5(data), data))

        return attack


RULE = "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule>"
DOCUMENTS = [
    Document("CreateBucket", "PUT", "/{new}", {}, "CreateBucketConfiguration", "<LocationConstraint>eu-west-1</LocationConstraint>"),
    Document("PutBucketEncryption", "PUT", "/mallory", {"encryption": ""}, "ServerSideEncryptionConfiguration", RULE),
    Document("DeleteObjects", "POST", "/mallory", {"delete": ""}, "Delete", "<Object><Key>own</Key></Object>"),
    Document(
        "CompleteMultipartUpload",
        "POST",
        "/mallory/upload",
        {"uploadId": "{upload}"},
        "CompleteMultipartUpload",
        '<Part><PartNumber>1</PartNumber><ETag>"0"</ETag></Part>',
    ),
    Document(
        "UpdateObjectEncryption",
        "PUT",
        "/mallory/own",
        {"encryption": ""},
        "ObjectEncryption",
        "<SSE-KMS><KMSKeyArn>arn:aws:kms:us-east-1:0:key/default</KMSKeyArn></SSE-KMS>",
    ),
]
LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha">' + "".join(f'<!ENTITY {chr(98 + n)} "{("&" + chr(97 + n) + ";") * 10}">' for n in range(9)) + "]>"


def within(document, more):
    """The good document with this in its root, before the rest."""
    return f"<{document.root}{S3}>{more}{document.content}</{document.root}>"


# Each with a function of the document that makes the body, and whether the number 5 is about it.
BROKEN = [
    ("unknown elements nested 16,000 deep", lambda d: within(d, "<a>" * DEEP + "</a>" * DEEP), 5),
    ("unknown elements opened 16,000 deep", lambda d: within(d, "<a>" * DEEP), 5),
    ("its own root nested 16,000 deep", lambda d: f"<{d.root}>" * DEEP, 5),
    ("16,000 elements before it", lambda d: "<a>" * DEEP + d.good(), 5),
    ("a DOCTYPE", lambda d: f"<!DOCTYPE {d.root}>" + d.good(), 0),
    ("a DOCTYPE of a billion laughs", lambda d: LAUGHS + within(d, "<x>&j;</x>"), 0),
    ("an external entity", lambda d: f'<!DOCTYPE {d.root} [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + within(d, "<x>&x;</x>"), 0),
    ("an external DTD", lambda d: f'<!DOCTYPE {d.root} SYSTEM "http://127.0.0.1:1/x.dtd">' + d.good(), 0),
    ("a parameter entity", lambda d: f'<!DOCTYPE {d.root} [<!ENTITY % x SYSTEM "file:///etc/passwd"> %x;]>' + d.good(), 0),
    ("an entity that nobody declared", lambda d: within(d, "<x>&unknown;</x>"), 0),
    ("a character reference to NUL", lambda d: within(d, "<x>&#0;</x>"), 0),
    ("another root", lambda d: f"<Other{S3}>{d.content}</Other>", 0),
    ("no end", lambda d: d.good()[:-3], 0),
    ("a second root", lambda d: d.good() + d.good(), 0),
    ("text behind it", lambda d: d.good() + "more", 0),
    ("elements that cross", lambda d: within(d, "<a><b></a></b>"), 0),
    ("an attribute without quotes", lambda d: within(d, "<a b=c/>"), 0),
    ("bytes that are no UTF-8", lambda d: within(d, "<a>").encode() + b"\xff\xfe" + f"</a></{d.root}>".encode(), 0),
    ("UTF-16", lambda d: d.good().encode("utf-16"), 0),
    ("nothing but white space", lambda d: "  \n ", 0),
    ("JSON", lambda d: '{"Objects": [{"Key": "own"}]}', 0),
    ("NUL bytes", lambda d: d.good() + "\0\0\0", 0),
]
# Creating a bucket has no need of a document, so what is empty is none there.
MAY_BE_EMPTY = {("CreateBucket", "nothing but white space")}


def many(element, count):
    return "".join(element(number) for number in range(count))


def delete_of(count):
    return f"<Delete{S3}>{many(lambda n: f'<Object><Key>k{n}</Key></Object>', count)}</Delete>"


def encryption(content):
    return f"<ServerSideEncryptionConfiguration{S3}>{content}</ServerSideEncryptionConfiguration>"


BY_NAME = {document.name: document for document in DOCUMENTS}
DELETE, ENCRYPTION, COMPLETE, UPDATE, CREATE = (
    BY_NAME[name] for name in ("DeleteObjects", "PutBucketEncryption", "CompleteMultipartUpload", "UpdateObjectEncryption", "CreateBucket")
)


def json_row(name, body, answer, path="/keys", method="POST", number=0):
    def attack(field):
        data = body.encode() if isinstance(body, str) else body
        return field.send(field.signed("root", method, "/kms" + path, headers={"content-type": "application/json"}, body=data, admin=True), admin=True)

    return Row(f"The admin API refuses {name}", number, CLIENT, attack, answer)


INVALID = refused(400, "InvalidRequest")

ROWS = [
    Row(f"{document.name} of a document with {name} is refused", number, CLIENT, document.send(body(document)), MALFORMED, (*EVERYTHING, MEMORY))
    for document in DOCUMENTS
    for name, body, number in BROKEN
    if (document.name, name) not in MAY_BE_EMPTY
]
ROWS += [
    Row(f"{document.name} of a document of 5 MiB is refused", 5, CLIENT, document.send(within(document, " " * (5 << 20))), TOO_LONG, (*EVERYTHING, MEMORY))
    for document in DOCUMENTS
]
ROWS += [
    Row("DeleteObjects of 1,001 keys is refused", 5, CLIENT, DELETE.send(delete_of(1001)), MALFORMED),
    Row("DeleteObjects of no key is refused", 0, CLIENT, DELETE.send(f"<Delete{S3}></Delete>"), MALFORMED),
    Row("DeleteObjects of an object without a key is refused", 0, CLIENT, DELETE.send(f"<Delete{S3}><Object></Object></Delete>"), MALFORMED),
    Row(
        "DeleteObjects of an object with two keys is refused",
        0,
        CLIENT,
        DELETE.send(f"<Delete{S3}><Object><Key>own</Key><Key>own2</Key></Object></Delete>"),
        MALFORMED,
    ),
    Row(
        "Completing with 10,001 parts is refused",
        5,
        CLIENT,
        COMPLETE.send(
            f"<CompleteMultipartUpload{S3}>{many(lambda n: f'<Part><PartNumber>{n + 1}</PartNumber><ETag>e</ETag></Part>', 10_001)}</CompleteMultipartUpload>"
        ),
        MALFORMED,
    ),
    Row("Completing without a part is refused", 0, CLIENT, COMPLETE.send(f"<CompleteMultipartUpload{S3}></CompleteMultipartUpload>"), MALFORMED),
    Row(
        "Completing with a part number that is none is refused",
        0,
        CLIENT,
        COMPLETE.send(f"<CompleteMultipartUpload{S3}><Part><PartNumber>x</PartNumber><ETag>e</ETag></Part></CompleteMultipartUpload>"),
        MALFORMED,
    ),
    Row("Bucket encryption without a rule is refused", 0, CLIENT, ENCRYPTION.send(encryption("")), MALFORMED),
    Row("Bucket encryption of two rules is refused", 0, CLIENT, ENCRYPTION.send(encryption(RULE + RULE)), MALFORMED),
    Row(
        "Bucket encryption of AES256 with a key is refused",
        0,
        CLIENT,
        ENCRYPTION.send(calls.encryption_xml("AES256", "<KMSMasterKeyID>victim-key</KMSMasterKeyID>")),
        MALFORMED,
    ),
    Row("Bucket encryption of an unknown algorithm is refused", 0, CLIENT, ENCRYPTION.send(calls.encryption_xml("ROT13")), MALFORMED),
    Row(
        "A document in another namespace does no harm",
        0,
        CLIENT,
        DELETE.send(f'<Delete xmlns="http://attacker.test/">{DELETE.content.replace("own", "nothing")}</Delete>'),
        ALLOWED,
    ),
    Row(
        "A hundred thousand unknown elements beside each other do no harm",
        5,
        CLIENT,
        DELETE.send(within(DELETE, "<a/>" * 100_000).replace("own", "nothing")),
        ALLOWED,
        (*EVERYTHING, MEMORY),
    ),
    Row(
        "An attribute of a megabyte does no harm",
        5,
        CLIENT,
        DELETE.send(within(DELETE, f'<a b="{"x" * (1 << 20)}"/>').replace("own", "nothing")),
        ALLOWED,
        (*EVERYTHING, MEMORY),
    ),
    Row(
        "A comment of a megabyte does no harm",
        5,
        CLIENT,
        DELETE.send(within(DELETE, f"<!--{'x' * (1 << 20)}-->").replace("own", "nothing")),
        ALLOWED,
        (*EVERYTHING, MEMORY),
    ),
    Row("A document behind a byte order mark is read", 0, CLIENT, DELETE.send(b"\xef\xbb\xbf" + DELETE.good().replace("own", "nothing").encode()), ALLOWED),
    Row("A document without a namespace is read", 0, CLIENT, DELETE.send(f"<Delete>{DELETE.content.replace('own', 'nothing')}</Delete>"), ALLOWED),
]
ROWS += [
    json_row("JSON nested 100,000 deep", "[" * 50_000, INVALID, number=5),
    json_row("objects nested 10,000 deep", '{"a":' * 10_000, INVALID, number=5),
    json_row("a field that it does not know", '{"name": "json-a", "admin": true}', INVALID),
    json_row("a field that comes twice", '{"name": "json-b", "name": "victim-key"}', INVALID),
    json_row("what is no JSON", "<xml/>", INVALID),
    json_row("JSON that is cut", '{"name": "json-c"', INVALID),
    json_row("JSON with more behind it", '{"name": "json-d"} {}', INVALID),
    json_row("JSON that is no UTF-8", b'{"name": "\xff\xfe"}', INVALID),
    json_row("an id with a path in it", '{"name": "../../etc/passwd"}', INVALID),
    json_row("an id with a line feed in it", '{"name": "a\\nb"}', INVALID),
    json_row("an id of the store's own", '{"name": "strongroom-store"}', INVALID),
    json_row("a body of 65 KiB", '{"name": "' + "a" * (65 << 10) + '"}', refused(400, "MaxMessageLengthExceeded")),
    json_row("tags without end", '{"name": "json-e", "Tags": {' + ",".join(f'"t{n}":"v"' for n in range(2000)) + "}}", INVALID),
    json_row("a call that there is none", "{}", refused(404, "NotFound"), path="/no-such-call"),
    json_row("a method that a call has not", "", refused(405, "MethodNotAllowed"), path="/seal", method="DELETE"),
    json_row("a path with dots", "", refused(404, "NotFound"), path="/keys/../seal"),
]
