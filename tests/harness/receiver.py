"""A webhook: records what it is sent, checks each signature, and answers as a test wants."""

import base64
import hashlib
import hmac
import json
import os
import ssl
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness import certificates, leaks

# What a test may have it do in place of a status.
CLOSE, HANG, ENDLESS = "close", "hang", "endless"


@dataclass
class Delivery:
    """A request that it was sent, its signature verified."""

    headers: dict
    body: bytes
    path: str

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def record(self):
        """The one record of S3's format; of a CloudEvent its data."""
        found = self.json
        return found["data"] if "specversion" in found else found["Records"][0]

    @property
    def id(self):
        return self.headers["webhook-id"]

    @property
    def name(self):
        found = self.json
        if found.get("Event") == "s3:TestEvent" or found.get("type", "").endswith("TestEvent"):
            return "TestEvent"
        return self.record["eventName"]

    @property
    def key(self):
        return self.record["s3"]["object"]["key"]


class Receiver:
    """Listens on a port of its own until it is closed. `answer` gets a delivery and how often its id came before, and gives a status."""

    def __init__(self, home, tls=False, answer=lambda delivery, before: 204):
        self.home, self.tls, self.answer = home, tls, answer
        self.secret = os.urandom(32)
        self.got, self.bad = [], []
        self.changed = threading.Condition()
        self.released = threading.Event()
        self.secret_file = self._private("secret", "whsec_" + base64.b64encode(self.secret).decode())
        leaks.register(f"the secret of the receiver {home}", self.secret)
        self.http = None
        self.port = 0
        self.open()

    def open(self):
        """Listens, on the port that it had before where it had one."""
        handler = type("Handler", (Handler,), {"receiver": self})
        self.http = Listener(("127.0.0.1", self.port), handler)
        if self.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificates.self_signed(self.home, "receiver"))
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def close(self):
        self.released.set()
        self.http.shutdown()
        self.http.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- what the server is told

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/hook"

    def target(self, name="hook", **options):
        """Its entry in the configuration file."""
        options = {"name": name, "url": self.url, "secret_file": str(self.secret_file)} | options
        if self.tls:
            options["ca_file"] = str(self.home / "receiver.pem")
        return "[[notification_targets]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in options.items())

    def token_file(self, token):
        return str(self._private("token", leaks.register("the token of a receiver", token)))

    def _private(self, name, text):
        path = self.home / f"receiver-{name}"
        path.touch(mode=0o600)
        path.write_text(text + "\n")
        return path

    # ---- what it got

    def wait(self, holds, seconds=30):
        """Waits until `holds(deliveries)`, and gives what it gives."""
        until = time.monotonic() + seconds
        with self.changed:
            while not (found := holds(self.got)):
                left = until - time.monotonic()
                assert left > 0, f"not in {seconds} s: {[delivery.name for delivery in self.got]}"
                self.changed.wait(min(left, 0.5))
        assert not self.bad, self.bad
        return found

    def deliveries(self, count, seconds=30):
        """The first deliveries, when there are so many."""
        return self.wait(lambda got: got[:count] if len(got) >= count else None, seconds)

    def take(self, count, seconds=30):
        """As `deliveries`, and forgets them."""
        taken = self.deliveries(count, seconds)
        with self.changed:
            del self.got[:count]
        return taken

    def note(self, delivery):
        signed = ".".join([delivery.id, delivery.headers["webhook-timestamp"]]).encode() + b"." + delivery.body
        expected = "v1," + base64.b64encode(hmac.new(self.secret, signed, hashlib.sha256).digest()).decode()
        is_recent = abs(time.time() - int(delivery.headers["webhook-timestamp"])) < 60
        with self.changed:
            before = sum(other.id == delivery.id for other in self.got)
            if expected not in delivery.headers["webhook-signature"].split() or not is_recent:
                self.bad.append(delivery)
            self.got.append(delivery)
            self.changed.notify_all()
        return before


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """The server may have been killed."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    receiver = None

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        delivery = Delivery({name.lower(): value for name, value in self.headers.items()}, body, self.path)
        answer = self.receiver.answer(delivery, self.receiver.note(delivery))
        try:
            self.reply(answer)
        except OSError:
            pass  # the server has gone

    def reply(self, answer):
        self.close_connection = answer in (CLOSE, HANG, ENDLESS)
        if answer == HANG:
            self.receiver.released.wait(60)
        elif answer == ENDLESS:
            self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 999999999999\r\n\r\n")
            while not self.receiver.released.is_set():
                self.wfile.write(b"x" * 65536)
        elif answer != CLOSE:
            self.send_response(answer)
            if 300 <= answer < 400:
                self.send_header("location", f"http://127.0.0.1:{self.receiver.port}/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

    def log_message(self, *_):
        pass
