"""A page in a real browser uploads to a presigned URL of another origin, and reads the object back: `make test-browser`."""

import html
import http.server
import json
import os
import re
import shutil
import subprocess
import threading

import pytest

from harness import sigv4

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif("STRONGROOM_TEST_BROWSER" not in os.environ, reason="`make test-browser` runs it")

PAGE = """<!doctype html><meta charset="utf-8"><pre id="said">nothing</pre><script>
(async () => {
  const said = {};
  try {
    const put = await fetch(PUT, {method: "PUT", headers: {"content-type": "text/x-page", "x-amz-meta-from": "page"}, body: "of a page"});
    Object.assign(said, {put: put.status, etag: put.headers.get("etag"), id: put.headers.get("x-amz-request-id")});
    const got = await fetch(GET);
    Object.assign(said, {get: got.status, body: await got.text()});
    const missing = await fetch(MISSING);
    Object.assign(said, {missing: missing.status});
  } catch (error) { said.error = String(error); }
  document.getElementById("said").textContent = JSON.stringify(said);
  document.title = "end";
})();
</script>"""


def said_by_page(tmp_path, page):
    """Serves the page on an origin of its own, opens it, and hands back that origin and what the page wrote of its requests."""
    assert BROWSER, "there is no Chromium: apt-get install chromium"

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = page(origin).encode()
            self.send_response(200)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as pages:
        origin = f"http://127.0.0.1:{pages.server_port}"
        thread = threading.Thread(target=pages.serve_forever)
        thread.start()
        try:
            command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--ignore-certificate-errors", f"--user-data-dir={tmp_path}/profile"]
            dumped = subprocess.run([*command, "--virtual-time-budget=20000", "--dump-dom", origin], capture_output=True, text=True, timeout=120)
        finally:
            pages.shutdown()
            thread.join()
    written = re.search(r'<pre id="said">(.*?)</pre>', dumped.stdout, re.DOTALL)
    assert written, dumped.stdout + dumped.stderr[-2000:]
    return json.loads(html.unescape(written[1]))


@pytest.fixture
def page(raw, bucket):
    host = f"127.0.0.1:{raw.port}"
    url = lambda method, key, signed=None: f"https://{host}" + sigv4.presign(raw.credentials, method, f"/{bucket}/{key}", headers=signed, host=host)
    urls = {"PUT": url("PUT", "key", {"x-amz-meta-from": "page"}), "GET": url("GET", "key"), "MISSING": url("GET", "nothing")}

    def text():
        page = PAGE
        for name, address in urls.items():
            page = page.replace(f"({name}", f"({json.dumps(address)}")
        return page

    return text


def test_a_page_uploads_to_a_presigned_url_and_reads_the_object_and_errors(server, raw, bucket, tmp_path, page):
    def with_rules(origin):
        rule = {"AllowedOrigins": [origin], "AllowedMethods": ["GET", "PUT"], "AllowedHeaders": ["content-type", "x-amz-meta-*"], "ExposeHeaders": ["ETag"]}
        server.boto().put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
        return page()

    said = said_by_page(tmp_path, with_rules)
    assert said.get("put") == 200, said
    stored = raw.get(bucket, "key").ok()
    assert said == {"put": 200, "etag": stored.headers["etag"], "id": None, "get": 200, "body": "of a page", "missing": 404}
    assert (stored.body, stored.headers["content-type"], stored.headers["x-amz-meta-from"]) == (b"of a page", "text/x-page", "page")


def test_a_page_that_no_rule_lets_in_uploads_nothing(server, raw, bucket, tmp_path, page):
    rule = {"AllowedOrigins": ["https://app.example"], "AllowedMethods": ["GET", "PUT"], "AllowedHeaders": ["*"]}
    server.boto().put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
    said = said_by_page(tmp_path, lambda _: page())
    assert said == {"error": "TypeError: Failed to fetch"}
    raw.get(bucket, "key").fails(404, "NoSuchKey")
