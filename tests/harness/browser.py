"""A page in headless Chromium, on an origin of its own, that tells the test what became of its requests."""

import base64
import contextlib
import hashlib
import http.server
import json
import os
import queue
import shutil
import signal
import ssl
import subprocess
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SECONDS = 120
QUIET = [
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--enable-logging=stderr",
]
PAGE = """<!doctype html><meta charset="utf-8"><body><script>
const given = GIVEN;

// Submits a form as a person would; where the answer sends the frame, or null if that is not back to this origin.
async function submit(action, fields, content, filename) {
  const frame = Object.assign(document.createElement("iframe"), {name: "frame"});
  document.body.append(frame);
  const form = Object.assign(document.createElement("form"), {action, method: "post", enctype: "multipart/form-data", target: "frame"});
  for (const [name, value] of Object.entries(fields)) form.append(Object.assign(document.createElement("input"), {type: "hidden", name, value}));
  const file = Object.assign(document.createElement("input"), {type: "file", name: "file"}), files = new DataTransfer();
  files.items.add(new File([content], filename, {type: "image/png"}));
  file.files = files.files;
  form.append(file);
  document.body.append(form);
  const loaded = new Promise(done => frame.addEventListener("load", done));
  form.submit();
  await loaded;
  try { return frame.contentWindow.location.href; } catch (error) { return null; } finally { frame.remove(); form.remove(); }
}

(async () => {
  const said = {};
  try { SCRIPT } catch (error) { said.error = String(error); }
  await fetch("/said", {method: "POST", body: JSON.stringify(said)});
})();
</script>"""


class Pages(http.server.ThreadingHTTPServer):
    """Serves one page, and takes what it has to say."""

    daemon_threads = True

    def __init__(self):
        self.page, self.said = "", queue.Queue()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def origin(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(self.server.page.encode() if self.path == "/" else b"done")

    def do_POST(self):
        self.server.said.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.answer(b"heard")

    def answer(self, body):
        self.send_response(200)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def pages():
    """An origin to serve a page on."""
    with Pages() as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        try:
            yield served
        finally:
            served.shutdown()
            thread.join()


def said_by_page(served, server, home, script, **given):
    """What the page's script has put into `said`, or the `error` it ended with. It finds the values of `given` under that name."""
    served.page = PAGE.replace("GIVEN", json.dumps(given)).replace("SCRIPT", script)
    log = home / "chromium.log"
    # Chromium trusts this one key, and verifies the rest.
    trust = f"--ignore-certificate-errors-spki-list={public_key_hash(server)}"
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    command = [program(), "--headless", "--remote-debugging-port=0", f"--user-data-dir={home}/profile", trust, *root, *QUIET, served.origin]
    env = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")} | {"HOME": str(home)}
    with open(log, "wb") as written:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=written, stderr=written, env=env, start_new_session=True)
    try:
        return _wait(served, process)
    except TimeoutError as error:
        raise AssertionError(f"{error}\n{log.read_text(errors='replace')[-3000:]}") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(served, process):
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(queue.Empty):
            return served.said.get(timeout=0.5)
        if process.poll() is not None:
            raise TimeoutError(f"Chromium ended with {process.returncode} before the page said anything")
    raise TimeoutError(f"the page said nothing within {SECONDS} s")


def program():
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert found, "Chromium is missing; install it with: tests/install.sh"
    return found


def public_key_hash(server):
    """The SHA-256 of the server's public key, as Chromium names it."""
    certificate = x509.load_pem_x509_certificate(ssl.get_server_certificate(("127.0.0.1", server.port)).encode())
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(key).digest()).decode()
