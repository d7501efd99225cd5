"""Browser forms: their bodies before anything is verified, and their policies as a credential for what is no form."""

import datetime

from attacks.row import ANONYMOUS, EVERYTHING, MEMORY, NETWORK, Row, refused
from attacks.signatures import PREFIXES, hours
from harness import sigv4
from harness.wire import Request, Wire

BOUNDARY = "----strongroom-attack"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
YEAR_2020 = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
LARGE_BYTES = 20 << 20
END = f"\r\n--{BOUNDARY}--\r\n".encode()
STRANGER = sigv4.Credentials("AKSTRANGER", "a secret that nobody has")
UNAUTHORIZED = refused(401, "AccessDenied")
DENIED = refused(403, "AccessDenied")


def form(fields, file=b"the file"):
    """The body of a form; the file comes last."""
    parts = [f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode() for name, value in fields.items()]
    parts.append(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="f"\r\nContent-Type: text/plain\r\n\r\n'.encode() + file + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def post(target, body=b"", length=None, extra=(), admin=False, tls=True, head_only=False, framing=None):
    """A form without a signature in its headers."""

    def attack(field):
        framed = framing or (("content-length", str(length or len(body))),)
        headers = (("host", f"127.0.0.1:{field.port(admin)}"), ("content-type", FORM), *framed, *extra)
        return field.send(Request("POST", target, headers, body), admin=admin, tls=tls, head_only=head_only)

    return attack


def by_policy(target, bucket, expires, extra=(), admin=False, tls=True, more=None):
    """A form whose policy an administrator has signed for uploads to that bucket."""

    def attack(field):
        fields = {"key": "uploaded", **sigv4.post_policy(field.root, [{"bucket": bucket}, ["starts-with", "$key", ""]], expires), **(more or {})}
        body = form(fields)
        return post(target, body, extra=extra, admin=admin, tls=tls)(field)

    return attack


AUTHORIZED_X = (("authorization", "x"),)
NO_SIGNATURE = refused(400, "InvalidArgument")  # as of every header Authorization that holds none
CHUNKED = (("transfer-encoding", "chunked"),)
STREAMING = (("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), ("x-amz-decoded-content-length", str(LARGE_BYTES)))
ADMIN_PATHS = [
    *(f"{prefix}{path}" for prefix in PREFIXES for path in ("/restore", "/keys", "/seal")),
    "/minio/kms/v1/key/create?key-id=formed",
    "/minio/admin/v3/start-job",
]

# ---- 1: nothing of a body is read before the headers hold. The body is announced and never sent: who wants to read it does not answer.

UNREAD = [
    Row(
        f"{'HTTPS' if tls else 'HTTP'}: a form of 20 MiB to {path}, {name}, is answered before its body",
        1,
        ANONYMOUS,
        post(path, length=LARGE_BYTES, extra=extra, admin=path.startswith("/kms"), tls=tls, head_only=True, framing=framing),
        NO_SIGNATURE if extra else UNAUTHORIZED,
    )
    for path in ADMIN_PATHS
    for tls in ((True,) if path.startswith("/kms") else (True, False))
    for name, extra, framing in [
        ("without Authorization", (), None),
        ("behind Authorization: x", AUTHORIZED_X, None),
        ("in chunks behind Authorization: x", AUTHORIZED_X + STREAMING, CHUNKED),
    ]
]
UNREAD += [
    Row(
        f"{'HTTPS' if tls else 'HTTP'}: a form to {path} behind Authorization: x is answered before its body",
        1,
        ANONYMOUS,
        post(path, length=LARGE_BYTES, extra=AUTHORIZED_X, tls=tls, head_only=True),
        NO_SIGNATURE,
    )
    for path in ["/victim", "/victim/", "/no-such-bucket"]
    for tls in (True, False)
]
# The signature of a form is one of its fields, so these are read, and the file behind them is not.
UNREAD += [
    Row(
        f"{'HTTPS' if tls else 'HTTP'}: a form to {path} {name} is answered before its file",
        1,
        ANONYMOUS,
        post(path, form(fields, b"")[: -len(END)], length=LARGE_BYTES, tls=tls),
        answer,
    )
    for path in ["/victim", "/no-such-bucket"]
    for tls in (True, False)
    for name, fields, answer in [
        ("without a signature", {"key": "uploaded"}, DENIED),
        ("of an unknown access key", sigv4.post_policy(STRANGER, [{"bucket": "victim"}], hours(1)), refused(403, "InvalidAccessKeyId")),
        ("with fields of 21 KB", {"key": "uploaded", "x-ignore-long": "x" * 21000}, refused(400, "MaxPostPreDataLengthExceededError")),
        ("with 64 KiB of parts", {f"x-ignore-{number}": "" for number in range(1000)}, refused(400, "MaxPostPreDataLengthExceededError")),
    ]
]


def unread(name, headers, answer, **options):
    """A PUT that a wrong signature announces: answered without its body."""

    def attack(field):
        request = field.call("PutObject", **options).having("content-length", str(LARGE_BYTES))
        return field.send(headers(request), head_only=True)

    return Row(f"A PUT {name} is answered before its body", 1, ANONYMOUS, attack, answer)


def expecting(field):
    """Who waits for "100 Continue" before he sends must not be told to go on."""
    request = field.call("PutObject").having("content-length", str(LARGE_BYTES)).without("authorization").adding("expect", "100-continue")
    with field.wire() as wire:
        exchange = wire.send(request.head()).receive("PUT")
    assert exchange.interim == [], "100 Continue before the signature was looked at"
    return exchange.reply


UNREAD += [
    unread("without a signature", lambda r: r.without("authorization"), DENIED),
    unread("of a wrong signature", lambda r: r.having("authorization", r.value("authorization")[:-1] + "g"), refused(403, "SignatureDoesNotMatch")),
    unread("by an unknown access key", lambda r: r, refused(403, "InvalidAccessKeyId"), user="stranger"),
    unread("by who may not", lambda r: r, DENIED, user="mallory"),
    unread(
        "of streamed chunks without a signature",
        lambda r: r.without("authorization").having("x-amz-content-sha256", STREAMING[0][1]).adding(*STREAMING[1]),
        DENIED,
    ),
    Row("A PUT without a signature that expects 100 Continue is not told to go on", 1, ANONYMOUS, expecting, DENIED),
]


# ---- 1: memory


def flood(path, admin, connections=8, sent_bytes=4 << 20):
    """Connections that all send much of a form and never end it."""

    def attack(field):
        head = form({"key": "uploaded"}, b"")[:-60]
        headers = (("host", field.host), ("content-type", FORM), ("content-length", str(LARGE_BYTES)), *AUTHORIZED_X)
        request = Request("POST", path, headers, head)
        wires = []
        try:
            for _ in range(connections):
                wire = Wire(field.port(admin), field.context, timeout=2)
                wires.append(wire)
                send_or_stop(wire, request.encode() + bytes(sent_bytes))
            assert field.rss_bytes() < field.calm_rss_bytes + (24 << 20), f"{connections} forms hold {(field.rss_bytes() - field.calm_rss_bytes) >> 20} MiB"
            return wires[0].receive("POST").reply
        finally:
            for wire in wires:
                wire.close()

    return attack


def send_or_stop(wire, data):
    """A server that reads no further is what is hoped for."""
    try:
        wire.send(data)
    except TimeoutError:
        pass


FLOODS = [
    Row(f"Eight forms of 4 MiB to {path} are not kept in memory", 1, ANONYMOUS, flood(path, path.startswith("/kms")), NO_SIGNATURE, (*EVERYTHING, MEMORY))
    for path in ("/kms/restore", "/strongroom/admin/v1/kms/restore")
]


# ---- 2: a policy is no credential of the admin API

TARGETS = [
    *(
        f"{prefix}{path}"
        for prefix in PREFIXES
        for path in ("/keys/disable?key_id=victim-key", "/keys/rotate?key_id=victim-key", "/seal", "/keys?name=formed", "/clear-cache", "/backup")
    ),
    "/minio/kms/v1/key/create?key-id=formed",
    "/minio/admin/v3/start-job",
]
POLICIES = [
    Row(
        f"A form's policy {when} is no credential for POST {target} {behind}",
        2,
        NETWORK,
        by_policy(target, "mallory", expires, extra, target.startswith("/kms")),
        NO_SIGNATURE if extra else UNAUTHORIZED,
    )
    for target in TARGETS
    for when, expires in [("of today", hours(1)), ("that expired in 2020", YEAR_2020)]
    for behind, extra in [("behind Authorization: x", AUTHORIZED_X), ("without Authorization", ())]
    if extra or "seal" in target or "create" in target
]
POLICIES += [
    Row(
        f"A form's policy is no credential for POST {target} over plain HTTP",
        2,
        NETWORK,
        by_policy(target, "mallory", hours(1), AUTHORIZED_X, tls=False),
        NO_SIGNATURE,
    )
    for target in TARGETS
    if not target.startswith("/kms")
]
POLICIES += [
    Row(
        f"A form with a policy {name} stores nothing{' behind Authorization: x' if extra else ''}",
        2,
        NETWORK,
        by_policy("/victim", bucket, expires, extra),
        NO_SIGNATURE if extra else DENIED,
    )
    for name, bucket, expires in [("that expired in 2020", "victim", YEAR_2020), ("of another bucket", "mallory", hours(1))]
    for extra in ((), AUTHORIZED_X)
    if not extra or bucket == "victim"
]
POLICIES += [
    Row(f"A form's policy is no credential for POST {target} {behind}", 2, NETWORK, by_policy(target, "victim", hours(1), extra), answer)
    for target in ["/victim?delete", "/victim/secret?uploads", "/victim/upload?uploadId=x", "/victim/secret"]
    for behind, extra, answer in [("behind Authorization: x", AUTHORIZED_X, NO_SIGNATURE), ("without Authorization", (), DENIED)]
]

ROWS = [*UNREAD, *FLOODS, *POLICIES]
