"""Identity providers that speak OpenID Connect: a real one, where people log in, and one that says whatever a test has it say."""

import base64
import hashlib
import http.cookiejar
import json
import os
import re
import secrets
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from harness import certificates
from harness.server import REPOSITORY

MODULES = REPOSITORY / ".tools/oidc"
CLIENT_ID = "store"


class Provider:
    """panva's oidc-provider. Whoever a test names may log in."""

    def __init__(self, home):
        assert (MODULES / ".installed").exists(), "the identity provider is missing: tests/install-oidc.sh"
        self.ca, key = certificates.self_signed(home, "provider")
        # Node looks for modules beside the script.
        script = MODULES / "provider.mjs"
        made = MODULES / f"provider-{os.getpid()}.mjs"
        made.write_text((REPOSITORY / "tests/oidc/provider.mjs").read_text())
        os.replace(made, script)
        self.process = subprocess.Popen(["node", script, self.ca, key], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.facts = self._answer()

    @property
    def host(self):
        return f"127.0.0.1:{self.facts['port']}"

    @property
    def url(self):
        return f"https://{self.host}"

    @property
    def config(self):
        """What the server is told of it."""
        return f'[sso]\nprivate_hosts = ["{self.host}"]\nca_file = "{self.ca}"\n'

    def __call__(self, command, **parameters):
        self.process.stdin.write(json.dumps({"command": command} | parameters) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self):
        line = self.process.stdout.readline()
        assert line, f"the identity provider ended: {self.process.wait()}"
        return json.loads(line)

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)

    def log_in(self, user, algorithm="RS256"):
        """The id token that somebody gets who logs in and agrees, as their browser and the application see it."""
        browser = Browser(self.ca)
        verifier = secrets.token_urlsafe(40)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        client = {"client_id": f"store-{algorithm}", "redirect_uri": self.facts["redirect"]}
        asked = client | {"response_type": "code", "scope": "openid", "code_challenge": challenge, "code_challenge_method": "S256"}
        page = browser.get(f"{self.url}/auth?{urllib.parse.urlencode(asked)}")
        for form in ({"prompt": "login", "login": user, "password": "any"}, {"prompt": "consent"}):
            page = browser.post(re.search(r'<form [^>]*action="([^"]+)"', page)[1], form)
        code = urllib.parse.parse_qs(urllib.parse.urlsplit(page).query)["code"][0]
        given = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier}
        return json.loads(browser.post(f"{self.url}/token", client | given))["id_token"]

    def token(self, algorithm="RS256", header=None, **claims):
        """A token under the provider's key that says what a test has it say."""
        return self("sign", alg=algorithm, header=header or {}, claims=usual_claims(self.url, f"store-{algorithm}") | claims)


class Browser:
    """Follows redirects, with cookies, until one leads to the application: then its address is the page."""

    def __init__(self, ca):
        context = ssl.create_default_context(cafile=str(ca))
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar(policy=AnyHost()))
        self.opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), cookies, NoRedirect())

    def get(self, url):
        return self._open(urllib.request.Request(url))

    def post(self, url, form):
        return self._open(urllib.request.Request(url, urllib.parse.urlencode(form).encode()))

    def _open(self, request):
        try:
            with self.opener.open(request, timeout=10) as reply:
                return reply.read().decode()
        except urllib.error.HTTPError as redirect:
            assert redirect.code in (302, 303), f"{redirect.code} {redirect.read()[:500]}"
            target = urllib.parse.urljoin(request.full_url, redirect.headers["location"])
            return target if "app.example.test" in target else self.get(target)


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class AnyHost(http.cookiejar.DefaultCookiePolicy):
    """An address is a host as well."""

    def return_ok_domain(self, *_):
        return True


def usual_claims(issuer, audience):
    now = int(time.time())
    return {"iss": issuer, "sub": "ada", "aud": audience, "iat": now, "exp": now + 600}


class Scripted:
    """Publishes the keys that a test gives it, counts who asks, and signs anything."""

    def __init__(self, home):
        home.mkdir(parents=True, exist_ok=True)
        self.ca, key = certificates.self_signed(home, "scripted")
        self.key, self.asked = rsa.generate_private_key(public_exponent=65537, key_size=2048), 0
        self.answer = None  # (status, body) for every question, in place of the right ones
        handler = type("Handler", (Handler,), {"provider": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.http.daemon_threads = True
        self.http.handle_error = lambda *_: None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.ca, key)
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def host(self):
        return f"127.0.0.1:{self.http.server_address[1]}"

    @property
    def url(self):
        return f"https://{self.host}"

    config = Provider.config

    def stop(self):
        self.http.shutdown()
        self.http.server_close()

    def document(self, path):
        """What it publishes there."""
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        public = self.key.public_key().public_numbers()
        numbers = {name: encode(number.to_bytes((number.bit_length() + 7) // 8)) for name, number in (("n", public.n), ("e", public.e))}
        return {"keys": [{"kty": "RSA", "kid": "1", "use": "sig", "alg": "RS256"} | numbers]}

    def token(self, header=None, payload=None, **claims):
        """A token under its key; `payload` takes the place of all claims."""
        header = {"alg": "RS256", "kid": "1"} | (header or {})
        payload = json.dumps(usual_claims(self.url, CLIENT_ID) | claims) if payload is None else payload
        signed = f"{encode(json.dumps(header))}.{encode(payload)}"
        return f"{signed}.{encode(self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


class Handler(BaseHTTPRequestHandler):
    provider = None

    def do_GET(self):
        self.provider.asked += 1
        status, body = self.provider.answer or (200, json.dumps(self.provider.document(self.path)).encode())
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def encode(data):
    data = data.encode() if isinstance(data, str) else data
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
