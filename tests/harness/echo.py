"""A key server of the worst kind: whatever it is asked, its answer is an error that repeats all it was sent."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class EchoServer:
    """Speaks to Vault's, AWS's and OpenStack's clients alike. `requests` counts what came; each answer has the next status."""

    STATUSES = [400, 403, 500, 404, 200, 429]

    def __init__(self):
        self.requests, self.received = 0, b""
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                length = int(self.headers.get("content-length") or 0)
                heard = f"{self.path}\n{self.headers}\n{self.rfile.read(length).decode(errors='replace')}"
                status = owner.STATUSES[owner.requests % len(owner.STATUSES)]
                owner.requests += 1
                owner.received += heard.encode()
                body = {"errors": [heard], "__type": "AccessDeniedException", "message": heard, "Message": heard, "title": heard, "description": heard}
                body = json.dumps(body | {"error": {"code": status, "title": heard, "message": heard}}).encode()
                self.send_response(status, heard.replace("\r", "").replace("\n", " ")[:2000])
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_LIST = answer

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
