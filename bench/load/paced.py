#!/usr/bin/env python3
"""Slow clients: so many connections over TLS, each of which reads or writes one large object, at a pace.

usage: paced.py get|put COUNT PORT CA BUCKET BYTES_PER_SECOND      credentials in AK and SK; prints "ready", and ends with its standard input
"""

import os
import select
import ssl
import sys
import time
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from harness.slow import Peers  # noqa: E402

OBJECT_BYTES = 16 << 20
PIECES_PER_SECOND = 2


def main():
    method, count, port, ca, bucket, pace = sys.argv[1:]
    server = SimpleNamespace(port=int(port), ca=ca, access_key=os.environ["AK"], secret_key=os.environ["SK"])
    piece = b"x" * (int(pace) // PIECES_PER_SECOND)
    with Peers(server, int(count), tls_each=1) as peers:
        if method == "get":
            peers.ask("GET", f"/{bucket}/large")
        else:
            peers.ask("PUT", f"/{bucket}/slow", headers={"content-length": str(OBJECT_BYTES)})
        for peer in peers.sockets:
            peer.setblocking(False)
        print("ready", flush=True)
        while not select.select([sys.stdin], [], [], 0)[0]:
            began = time.monotonic()
            for peer in peers.sockets:
                try:
                    peer.recv(len(piece)) if method == "get" else peer.send(piece)
                except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    pass  # it is at the server to go on
                except OSError:
                    pass  # the server has cut it off
            time.sleep(max(0, 1 / PIECES_PER_SECOND - (time.monotonic() - began)))


main()
