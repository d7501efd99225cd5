"""The registry of containers (distribution): images pushed, pulled, deleted and collected, under SSE-KMS by its own `encrypt` and `keyid`."""

import hashlib
import json
import ssl
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from apps import stored
from harness.server import REGION, REPOSITORY, free_ports
from harness.sse import random_body

REGISTRY = REPOSITORY / ".tools/apps/bin/registry"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = """version: 0.1
log: {{level: warn}}
storage:
  delete: {{enabled: true}}
  redirect: {{disable: {direct}}}
  s3:
    accesskey: {server.access_key}
    secretkey: {server.secret_key}
    region: {region}
    regionendpoint: {server.endpoint}
    forcepathstyle: true
    bucket: {bucket}
    rootdirectory: /images
    encrypt: true
    keyid: {key_id}
    chunksize: 5242880
    multipartcopythresholdsize: 6291456
    multipartcopychunksize: 5242880
http: {{addr: "127.0.0.1:{port}", secret: x}}
"""


class Registry:
    """A registry on a bucket, and the calls of a client."""

    def __init__(self, server, home, bucket, key_id, direct):
        assert REGISTRY.exists(), f"{REGISTRY} is missing; install it with: tests/install-apps.sh"
        [self.port] = free_ports(1)
        self.config, self.log = home / "registry.yml", home / "registry.log"
        text = CONFIG.format(server=server, region=REGION, bucket=bucket, key_id=key_id, port=self.port, direct=str(direct).lower())
        self.config.write_text(text)
        # The SDK for Go takes the CA from here.
        self.env = {"AWS_CA_BUNDLE": str(server.ca), "HOME": str(home), "OTEL_TRACES_EXPORTER": "none"}

    def __enter__(self):
        self.process = subprocess.Popen([REGISTRY, "serve", self.config], env=self.env, stdout=self.log.open("ab"), stderr=subprocess.STDOUT)
        for _ in range(300):
            try:
                self.call("GET", "/v2/")
                return self
            except OSError:
                assert self.process.poll() is None, self.log.read_text()
                time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)

    def call(self, method, path, body=None, **headers):
        """The answer's status, headers and body; an error is raised."""
        url = path if path.startswith("http") else f"http://127.0.0.1:{self.port}{path}"
        headers = {"Content-Type": "application/octet-stream"} | {name.replace("_", "-"): value for name, value in headers.items()}
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(urllib.request.Request(url, body, headers, method=method), timeout=60) as reply:
            return reply.status, reply.headers, reply.read()

    def push_blob(self, name, body, pieces=1):
        _, headers, _ = self.call("POST", f"/v2/{name}/blobs/uploads/", b"")
        step = -(-len(body) // pieces)
        for at in range(0, len(body), step):
            headers = self.push_piece(headers["Location"], body, at, at + step)
        self.call("PUT", headers["Location"] + f"&digest={digest(body)}", b"")
        return {"mediaType": "application/octet-stream", "size": len(body), "digest": digest(body)}

    def push_piece(self, where, body, first, end):
        piece = body[first:end]
        return self.call("PATCH", where, piece, Content_Range=f"{first}-{first + len(piece) - 1}")[1]

    def push(self, name, tag, layers, pieces=1):
        """Pushes an image; the digest of its manifest."""
        config = self.push_blob(name, json.dumps({"architecture": "amd64", "os": "linux", "tag": tag}).encode())
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [self.push_blob(name, layer, pieces) for layer in layers]}
        body = json.dumps(manifest).encode()
        self.call("PUT", f"/v2/{name}/manifests/{tag}", body, Content_Type=MANIFEST)
        return digest(body)

    def pull(self, name, tag):
        """The layers of an image, each as its digest says."""
        _, _, body = self.call("GET", f"/v2/{name}/manifests/{tag}", Accept=MANIFEST)
        layers = [(layer["digest"], self.call("GET", f"/v2/{name}/blobs/{layer['digest']}")[2]) for layer in json.loads(body)["layers"]]
        assert all(digest(layer) == expected for expected, layer in layers)
        return [layer for _, layer in layers]

    def collect_garbage(self):
        done = subprocess.run([REGISTRY, "garbage-collect", "--delete-untagged", self.config], env=self.env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr


def digest(body):
    return "sha256:" + hashlib.sha256(body).hexdigest()


@pytest.fixture
def registry(server, tmp_path, bucket, key_id):
    with Registry(server, tmp_path, bucket, key_id, direct=True) as made:
        yield made


def test_images_are_pushed_pulled_deleted_and_collected(registry, server, bucket, key_id):
    base, own, newer = random_body(14 << 20), random_body(200_000), random_body(300_000)
    # Pieces smaller than a part, and larger ones than a copy takes at once.
    registry.push("team/app", "1", [base, own], pieces=4)
    second = registry.push("team/app", "2", [base, newer])
    assert registry.pull("team/app", "1") == [base, own] and registry.pull("team/app", "2") == [base, newer]
    assert json.loads(registry.call("GET", "/v2/team/app/tags/list")[2])["tags"] == ["1", "2"]
    assert json.loads(registry.call("GET", "/v2/_catalog")[2])["repositories"] == ["team/app"]
    stored.assert_all_under(server, bucket, key_id)

    registry.call("DELETE", f"/v2/team/app/manifests/{second}")
    registry.collect_garbage()
    held = {key.split("/")[-2] for key in stored.keys(server, bucket, "images/docker/registry/v2/blobs/")}
    assert digest(newer).removeprefix("sha256:") not in held and digest(base).removeprefix("sha256:") in held
    with pytest.raises(urllib.error.HTTPError, match="404"):
        registry.call("GET", "/v2/team/app/manifests/2", Accept=MANIFEST)
    assert registry.pull("team/app", "1") == [base, own]
    assert server.boto().list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []


def test_a_push_goes_on_where_another_registry_left_it(registry, server, bucket, key_id, tmp_path):
    """Its state is in the bucket alone: an upload begun at one instance ends at another."""
    body = random_body(8 << 20)
    _, headers, _ = registry.call("POST", "/v2/app/blobs/uploads/", b"")
    headers = registry.push_piece(headers["Location"], body, 0, 6 << 20)
    other_home = tmp_path / "other"
    other_home.mkdir()
    with Registry(server, other_home, bucket, key_id, direct=True) as other:
        where = headers["Location"].replace(str(registry.port), str(other.port))
        headers = other.push_piece(where, body, 6 << 20, len(body))
        other.call("PUT", headers["Location"] + f"&digest={digest(body)}", b"")
        assert other.call("GET", f"/v2/app/blobs/{digest(body)}")[2] == body
    _, headers, piece = registry.call("GET", f"/v2/app/blobs/{digest(body)}", Range="bytes=5000000-5000099")
    assert piece == body[5_000_000:5_000_100]


def test_pulls_are_redirected_to_presigned_links(server, bucket, key_id, tmp_path):
    body = random_body(100_000)
    with Registry(server, tmp_path, bucket, key_id, direct=False) as registry:
        registry.push_blob("app", body)

        class Stay(urllib.request.HTTPRedirectHandler):
            def redirect_request(self, *_):
                return None

        with pytest.raises(urllib.error.HTTPError) as redirected:
            urllib.request.build_opener(urllib.request.ProxyHandler({}), Stay).open(f"http://127.0.0.1:{registry.port}/v2/app/blobs/{digest(body)}")
        link = redirected.value.headers["Location"]
        assert link.startswith(server.endpoint) and "X-Amz-Signature=" in link
        with urllib.request.urlopen(link, context=ssl.create_default_context(cafile=str(server.ca))) as reply:
            assert reply.read() == body
