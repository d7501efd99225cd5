"""Peers by the hundred that send next to nothing, stop half-way, or take nothing of an answer."""

import contextlib
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor

from harness import sigv4

SOURCES = 64  # addresses of this machine that they come from, since a server may bound how many come from one
THREADS = 32
STUCK_SECONDS = 2  # a send that takes longer has come to where the server reads no more


class Peers:
    """`count` connections to a server, every `tls_each`-th over TLS. Use it in a `with`: it closes them all."""

    def __init__(self, server, count, tls_each=0):
        self.server = server
        self.credentials = sigv4.Credentials(server.access_key, server.secret_key)
        self.context = ssl.create_default_context(cafile=str(server.ca))
        with ThreadPoolExecutor(THREADS) as pool:
            self.sockets = list(pool.map(lambda number: self._connect(number, bool(tls_each) and number % tls_each == 0), range(count)))

    def _connect(self, number, tls):
        peer = socket.socket()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.bind((f"127.0.1.{1 + number % SOURCES}", 0))
        peer.settimeout(30)
        peer.connect(("127.0.0.1", self.server.port))
        return self.context.wrap_socket(peer, server_hostname="127.0.0.1") if tls else peer

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for peer in self.sockets:
            with contextlib.suppress(OSError):
                peer.close()

    def ask(self, method, path, query=(), headers=None, payload="UNSIGNED-PAYLOAD", sign=True):
        """Sends each the same head of a request."""
        headers = {"host": f"127.0.0.1:{self.server.port}"} | (headers or {})
        if sign:
            headers = sigv4.sign(self.credentials, method, path, query, headers, payload)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.send(f"{method} {sigv4.quote_path(path)}{sigv4.query_string(query)} HTTP/1.1\r\n{lines}\r\n".encode())

    def send(self, data):
        """Sends each of them `data`, or as much of it as the server takes."""
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda peer: _send(peer, data), self.sockets))

    def drip(self, data):
        """Sends `data` in segments of one byte: one to each in turn, so that the server reads every byte by itself."""
        for at in range(len(data)):
            for peer in self.sockets:
                with contextlib.suppress(OSError):
                    peer.send(data[at : at + 1])


def _send(peer, data):
    deadline, view = time.monotonic() + STUCK_SECONDS, memoryview(data)
    peer.settimeout(STUCK_SECONDS)
    with contextlib.suppress(OSError):
        while view and time.monotonic() < deadline:
            view = view[peer.send(view[:65536]) :]
