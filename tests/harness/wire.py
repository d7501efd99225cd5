"""Requests as bytes: built, altered before or after they are signed, sent as they stand, and every answer that comes back."""

import contextlib
import socket
import ssl
from dataclasses import dataclass, field, replace

from harness import sigv4
from harness.raw import Reply

TIMEOUT_SECONDS = 20
QUIET_SECONDS = 0.4  # how long an answer that must not come is waited for
MAX_HEAD_BYTES = 1 << 16


@dataclass(frozen=True)
class Request:
    """A request as it goes out: header lines in their order, a name as often as it stands there."""

    method: str
    target: str
    headers: tuple = ()
    body: bytes = b""
    version: str = "HTTP/1.1"

    def head(self):
        lines = [f"{self.method} {self.target} {self.version}".encode()]
        lines += [name.encode() + b": " + (value if isinstance(value, bytes) else str(value).encode()) for name, value in self.headers]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def encode(self):
        return self.head() + self.body

    def value(self, name):
        return next(value for other, value in self.headers if other == name)

    # ---- altered

    def but(self, **fields):
        return replace(self, **fields)

    def having(self, name, value):
        """That header with that value; in its place where it is there."""
        if any(other == name for other, _ in self.headers):
            return replace(self, headers=tuple((other, value if other == name else old) for other, old in self.headers))
        return self.adding(name, value)

    def adding(self, name, value):
        """One more line, also where the name is there."""
        return replace(self, headers=(*self.headers, (name, value)))

    def without(self, *names):
        return replace(self, headers=tuple(pair for pair in self.headers if pair[0] not in names))

    def with_query(self, text):
        return replace(self, target=self.target + ("&" if "?" in self.target else "?") + text)


def signed(credentials, host, method, path, query=(), headers=None, body=b"", payload=None, **options):
    """A request signed in its headers. `payload` stands for the body's SHA-256; `options` are those of `sigv4.sign`."""
    headers = {name.lower(): value for name, value in (headers or {}).items()} | {"host": host}
    if body or method in ("PUT", "POST"):
        headers.setdefault("content-length", str(len(body)))
    headers = sigv4.sign(credentials, method, path, query, headers, payload or sigv4.sha256(body), **options)
    return Request(method, sigv4.quote_path(path) + sigv4.query_string(query), tuple(headers.items()), body)


@dataclass
class Exchange:
    """What came back: the answers in their order, the statuses 1xx before them, and whether the server closed the connection."""

    replies: list = field(default_factory=list)
    interim: list = field(default_factory=list)
    closed: bool = False

    @property
    def reply(self):
        assert self.replies, "no answer" + (": the connection was closed" if self.closed else "")
        return self.replies[0]


class Wire:
    """One connection to a server's port, plain or under TLS."""

    def __init__(self, port, context=None, timeout=TIMEOUT_SECONDS, source=None, narrow=False):
        self.socket = socket.socket()
        if narrow:  # some ten KB fill it: the kernel sizes a sender's buffer by the segments that the receiver takes
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(timeout)
        if source:
            self.socket.bind((source, 0))
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context:
            self.socket = context.wrap_socket(self.socket, server_hostname="127.0.0.1")
        self.timeout, self.buffer = timeout, b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, *pieces):
        """Sends as far as the server takes it: one that has answered need not read on."""
        try:
            for piece in pieces:
                self.socket.sendall(piece)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            pass
        return self

    def end_of_sending(self):
        """Nothing more will come; of plain connections only."""
        with contextlib.suppress(OSError):  # the server was faster
            self.socket.shutdown(socket.SHUT_WR)
        return self

    def receive(self, method="GET"):
        """One answer and what came before it; none where the connection was closed without one."""
        exchange = Exchange()
        while True:
            head = self._until(b"\r\n\r\n")
            if head is None:
                exchange.closed = True
                return exchange
            status, headers = parse_head(head)
            if status >= 200:
                break
            exchange.interim.append(status)
        body, complete = self._body(method, status, headers)
        exchange.replies.append(Reply(status, headers, body, complete))
        return exchange

    def receive_all(self, method="GET"):
        """Every answer until the server closes, or is quiet for a moment behind the first one."""
        exchange = self.receive(method)
        while not exchange.closed:
            self.socket.settimeout(QUIET_SECONDS)
            try:
                more = self.receive()
            except TimeoutError:
                break
            exchange.replies += more.replies
            exchange.closed = more.closed
        self.socket.settimeout(self.timeout)
        return exchange

    def _more(self):
        try:
            piece = self.socket.recv(1 << 16)
        except (ConnectionError, ssl.SSLError):
            return False
        self.buffer += piece
        return bool(piece)

    def _until(self, mark):
        while mark not in self.buffer:
            if len(self.buffer) > MAX_HEAD_BYTES or not self._more():
                return None
        found, _, self.buffer = self.buffer.partition(mark)
        return found

    def _take(self, count):
        while len(self.buffer) < count and self._more():
            pass
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def _body(self, method, status, headers):
        if method == "HEAD" or status in (204, 304):
            return b"", True
        if headers.get("transfer-encoding") == "chunked":
            return self._chunks()
        if "content-length" in headers:
            length = int(headers["content-length"])
            body = self._take(length)
            return body, len(body) == length
        while self._more():
            pass
        body, self.buffer = self.buffer, b""
        return body, True

    def _chunks(self):
        body = b""
        while (line := self._until(b"\r\n")) is not None:
            size = int(line.split(b";")[0], 16)
            body += self._take(size)
            if self._take(2) != b"\r\n":
                break
            if size == 0:
                return body, True
        return body, False


def parse_head(head):
    """Status and headers, names in lower case."""
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return int(first.split(" ")[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}
