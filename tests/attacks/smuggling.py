"""Requests that two readers would cut differently, and heads that are none. Each gets one 400, and the connection is closed on what follows."""

from attacks.row import ALLOWED, ANONYMOUS, CLIENT, NETWORK, TENANT, Row, denied, http_error, refused
from harness import checksums, sigv4
from harness.wire import Request

BAD = http_error(400)
SMUGGLED = b"GET /victim/secret HTTP/1.1\r\nHost: x\r\n\r\n"


def once(request_bytes, admin=False, tls=False):
    """Exactly one answer comes, whatever stands behind the request, and the connection is closed."""

    def attack(field):
        exchange = field.exchange(request_bytes(field) if callable(request_bytes) else request_bytes, admin=admin, tls=tls or admin)
        assert len(exchange.replies) == 1, f"{len(exchange.replies)} answers: {[(reply.status, reply.code) for reply in exchange.replies]}"
        assert exchange.closed, f"the connection stays open behind {exchange.reply.status}"
        return exchange.reply

    return attack


def framed(*lines, body=b"", method="PUT", follow=SMUGGLED):
    """A signed request with these header lines for its framing, its body, and another request behind it."""

    def made(field):
        request = field.signed("root", method, "/mallory/smuggled", payload="UNSIGNED-PAYLOAD").without("content-length")
        return request.but(headers=(*request.headers, *lines), body=body + follow).encode()

    return made


def te(value):
    return ("transfer-encoding", value)


def cl(value):
    return ("content-length", value)


END = b"0\r\n\r\n"
FRAMINGS = [
    ("a length and chunks", [cl("5"), te("chunked")], END),
    ("chunks and a length", [te("chunked"), cl("5")], END),
    ("a length that hides a request, and chunks", [cl(str(len(END + SMUGGLED))), te("chunked")], END),
    ("two lengths", [cl("0"), cl("5")], b"hello"),
    ("the same length twice", [cl("5"), cl("5")], b"hello"),
    ("a list of lengths", [cl("0, 5")], b"hello"),
    ("a length with a sign", [cl("+5")], b"hello"),
    ("a negative length", [cl("-5")], b"hello"),
    ("a hexadecimal length", [cl("0x5")], b"hello"),
    ("a length of 2^64", [cl("18446744073709551616")], b"hello"),
    ("an empty length", [cl("")], b"hello"),
    ("chunks twice", [te("chunked"), te("chunked")], END),
    ("chunks within a list twice", [te("chunked, chunked")], END),
    ("gzip, chunked", [te("gzip, chunked")], END),
    ("chunked, gzip", [te("chunked, gzip")], END),
    ("chunked, identity", [te("chunked, identity")], END),
    ("identity", [te("identity")], b""),
    ("identity and a length", [te("identity"), cl("5")], b"hello"),
    ("xchunked", [te("xchunked")], END),
    ("chunked with a parameter", [te("chunked;q=1")], END),
    ("chunked in quotes", [te('"chunked"')], END),
    ("chunked behind a vertical tab", [te("\x0bchunked")], END),
    ("white space before the colon", [("transfer-encoding ", "chunked")], END),
    ("a folded line", [("transfer-encoding", "\r\n chunked")], END),
    ("a folded length", [("content-length", "\r\n 5")], b"hello"),
]


HEADS = [
    ("LF behind the request line", "GET /victim/secret HTTP/1.1\nHost: x\r\n\r\n"),
    ("LF behind a header", "GET /victim/secret HTTP/1.1\r\nHost: x\nX: y\r\n\r\n"),
    ("LF for the empty line", "GET /victim/secret HTTP/1.1\r\nHost: x\r\n\n"),
    ("LF everywhere", "GET /victim/secret HTTP/1.1\nHost: x\n\n"),
    ("CR within a value", "GET /victim/secret HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n"),
    ("a NUL within a value", "GET /victim/secret HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n"),
    ("no Host", "GET /victim/secret HTTP/1.1\r\nX: y\r\n\r\n"),
    ("an empty Host", "GET /victim/secret HTTP/1.1\r\nHost:\r\n\r\n"),
    ("a Host that is a list", "GET /victim/secret HTTP/1.1\r\nHost: x, y\r\n\r\n"),
    ("a Host with a path", "GET /victim/secret HTTP/1.1\r\nHost: x/y\r\n\r\n"),
    ("white space before a colon", "GET /victim/secret HTTP/1.1\r\nHost : x\r\n\r\n"),
    ("a folded header", "GET /victim/secret HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n"),
    ("a header without a colon", "GET /victim/secret HTTP/1.1\r\nHost: x\r\nX\r\n\r\n"),
    ("a header without a name", "GET /victim/secret HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n"),
    ("white space before the first header", "GET /victim/secret HTTP/1.1\r\n Host: x\r\n\r\n"),
    ("a method that is none", "G(T /victim/secret HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("two spaces in the request line", "GET  /victim/secret HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("a space in the target", "GET /victim/sec ret HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("no version", "GET /victim/secret\r\nHost: x\r\n\r\n"),
    ("a target without a slash", "GET victim/secret HTTP/1.1\r\nHost: x\r\n\r\n"),
]


def size(data):
    return f"{len(data):x}".encode()


CHUNKS = [
    ("a length that is no number", lambda data: b"zz\r\n" + data + b"\r\n0\r\n\r\n"),
    ("a negative length", lambda data: b"-" + size(data) + b"\r\n" + data + b"\r\n0\r\n\r\n"),
    ("a length with a sign", lambda data: b"+" + size(data) + b"\r\n" + data + b"\r\n0\r\n\r\n"),
    ("a length beyond 64 bits", lambda data: b"1" + size(data).rjust(16, b"0") + b"\r\n" + data + b"\r\n0\r\n\r\n"),
    ("a length written 0x", lambda data: b"0x" + size(data) + b"\r\n" + data + b"\r\n0\r\n\r\n"),
    ("a bare LF behind the length", lambda data: size(data) + b"\n" + data + b"\r\n0\r\n\r\n"),
    ("a bare LF behind the data", lambda data: size(data) + b"\r\n" + data + b"\n0\r\n\r\n"),
    ("a bare LF at the end", lambda data: size(data) + b"\r\n" + data + b"\r\n0\n\n"),
    ("more data than it says", lambda data: size(data[:-3]) + b"\r\n" + data + b"\r\n0\r\n\r\n"),
    ("an extension with a bare LF in it", lambda data: size(data) + b";a=\nb\r\n" + data + b"\r\n0\r\n\r\n"),
]


def chunked_by_http(frame, follow=SMUGGLED):
    """HTTP's own chunks around aws-chunked ones, which need no length of the whole."""

    def made(field):
        trailers = {checksums.header("CRC32"): checksums.value("CRC32", b"hello")}
        headers, data = sigv4.chunked_put(field.root, "/mallory/smuggled", b"hello", trailers=trailers, signed=False, host=field.host)
        headers = {name: value for name, value in headers.items() if name != "content-length"} | {"transfer-encoding": "chunked"}
        return Request("PUT", "/mallory/smuggled", tuple(headers.items()), frame(data) + follow).encode()

    return made


def whole_chunks(field):
    return field.exchange(chunked_by_http(lambda data: size(data) + b"\r\n" + data + b"\r\n0\r\n\r\n", follow=b"")(field)).reply


def pipelined(field):
    """Two requests in one piece: both are answered, each by its own signature."""
    request = field.call("GetObject")
    exchange = field.exchange(request.encode() + request.without("authorization").encode())
    assert [reply.status for reply in exchange.replies] == [200, 403], [reply.status for reply in exchange.replies]
    return exchange.replies[1]


def body_not_taken_for_a_request(field):
    """A body is read to its end or the connection closed: it is never the next request."""
    inner = field.call("DeleteObject").encode()
    request = field.call("PutObject", "mallory", headers={}).but(body=inner).having("content-length", str(len(inner)))
    exchange = field.exchange(request.encode())
    assert len(exchange.replies) == 1, [reply.status for reply in exchange.replies]
    return exchange.reply


def absolute(target_host, host):
    """The absolute form: its host and the header's must not be two."""

    def attack(field):
        request = field.call("GetObject")
        return field.send(request.but(target=f"http://{target_host or field.host}/victim/secret").having("host", host or field.host))

    return attack


def upgraded(value):
    lines = (("connection", "upgrade, http2-settings"), ("upgrade", value), ("http2-settings", "AAMAAABkAAQAAP__"))
    return lambda field: field.send(Request("GET", "/victim/secret", (("host", field.host), *lines)), tls=False)


def proxied(name, value):
    """What a proxy may say of where the client came from, sent by the client."""
    return lambda field: field.send(field.call("GetObject").without("authorization").adding(name, value), tls=False)


ROWS = [
    *(
        Row(f"Plain: {name}, with a request behind it, is refused", 16 if "gzip" in name else 0, NETWORK, once(framed(*lines, body=body)), BAD)
        for name, lines, body in FRAMINGS
    ),
    *(
        Row(f"TLS: {name}, with a request behind it, is refused", 16 if "gzip" in name else 0, NETWORK, once(framed(*lines, body=body), tls=True), BAD)
        for name, lines, body in FRAMINGS
        if name in ("a length and chunks", "chunks and a length", "chunks twice", "gzip, chunked", "two lengths")
    ),
    *(
        Row(f"S3 port: {name} is refused", 16 if "LF" in name or "Host" in name else 0, ANONYMOUS, once(text.encode("latin-1") + SMUGGLED), BAD)
        for name, text in HEADS
    ),
    *(
        Row(f"Admin port: {name} is refused", 16 if "LF" in name or "Host" in name else 0, ANONYMOUS, once(text.encode("latin-1") + SMUGGLED, admin=True), BAD)
        for name, text in HEADS
        if "LF" in name or "Host" in name or "colon" in name or "folded" in name
    ),
    *(Row(f"HTTP's own chunks: {name} is refused", 0, NETWORK, once(chunked_by_http(frame), tls=True), BAD) for name, frame in CHUNKS),
    Row("HTTP's own chunks around aws-chunked ones are taken", 0, CLIENT, whole_chunks, ALLOWED, ()),
    Row("The second of two requests in one piece is judged by itself", 0, NETWORK, pipelined, denied()),
    Row("A refused body that is a request is not taken for one", 0, TENANT, body_not_taken_for_a_request, denied()),
    Row("The absolute form with another host than the header's is refused", 16, NETWORK, absolute("victim.s3.attacked.test", None), BAD),
    Row("Another version of HTTP is refused", 0, ANONYMOUS, once(b"GET /victim/secret HTTP/9.9\r\nHost: x\r\n\r\n" + SMUGGLED), http_error(505)),
    Row("HTTP/2 in clear text is refused", 0, ANONYMOUS, once(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), http_error(505)),
    Row("CONNECT is refused", 0, ANONYMOUS, lambda f: f.send(Request("CONNECT", "victim.test:443", (("host", "victim.test:443"),)), tls=False), BAD),
    Row("An upgrade to HTTP/2 in clear text is no way around the signature", 0, ANONYMOUS, upgraded("h2c"), denied()),
    Row("An upgrade to a web socket is no way around the signature", 0, ANONYMOUS, upgraded("websocket"), denied()),
    *(
        Row(f"{name}: {value} of a client is not believed", 0, ANONYMOUS, proxied(name, value), denied())
        for name, value in [
            ("x-forwarded-proto", "https"),
            ("x-forwarded-for", "127.0.0.1"),
            ("forwarded", "for=127.0.0.1;proto=https"),
            ("x-original-url", "/health/live"),
        ]
    ),
    *(
        Row(
            f"{name} does not turn a signed GET into another method",
            0,
            NETWORK,
            lambda f, n=name: f.send(f.call("GetObject", "mallory", "mallory", query={}).but(target="/victim/secret").adding(n, "DELETE")),
            refused(403, "SignatureDoesNotMatch"),
        )
        for name in ("x-http-method-override", "x-method-override")
    ),
    Row("A request that is as it should be is answered", 0, CLIENT, lambda f: f.send(f.call("GetObject"), tls=False), ALLOWED, ()),
]
