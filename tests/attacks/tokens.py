"""Tokens of identity providers: forged, stolen from elsewhere, late, and too much of everything. Nobody signs these calls, so anybody may send them."""

import base64
import hashlib
import hmac
import json
import time
from urllib.parse import urlencode

from attacks.row import ANONYMOUS, EVERYTHING, IDENTITIES, NETWORK, Row, refused
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from harness.oidc import encode
from harness.wire import Request

ALL = (*EVERYTHING, IDENTITIES)
FORM = "application/x-www-form-urlencoded"
ROLE = "arn:aws:iam::000000000000:role/sso-role"
NOT_GENUINE = refused(400, "InvalidIdentityToken")
OWN_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def call(field, token, **changes):
    """AssumeRoleWithWebIdentity with that token."""
    given = {"Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15", "RoleArn": ROLE, "RoleSessionName": "session", "WebIdentityToken": token}
    body = urlencode({name: value for name, value in (given | changes).items() if value is not None}).encode()
    return field.send(Request("POST", "/", (("host", field.host), ("content-type", FORM), ("content-length", len(body))), body))


def token(make, **changes):
    """An attack with what `make(provider)` gives."""
    return lambda field: call(field, make(field.provider), **changes)


def says(header=None, **claims):
    return token(lambda provider: provider.token(header, **claims))


def unsigned(algorithm):
    return lambda provider: provider.token().replace(provider.token().split(".")[0], encode(json.dumps({"alg": algorithm}))).rsplit(".", 1)[0] + "."


def with_public_key(provider):
    """HMAC under what everybody knows."""
    _, claims, _ = provider.token().split(".")
    signed = f"{encode(json.dumps({'alg': 'HS256', 'kid': '1'}))}.{claims}"
    public = provider.key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return f"{signed}.{encode(hmac.new(public, signed.encode(), hashlib.sha256).digest())}"


def by_own_key(header=None):
    """Signed by a key of the attacker's, with the provider's key id."""

    def make(provider):
        head = encode(json.dumps({"alg": "RS256", "kid": "1"} | (header or {})))
        signed = f"{head}.{provider.token().split('.')[1]}"
        return f"{signed}.{encode(OWN_KEY.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    return make


def own_jwk():
    public = OWN_KEY.public_key().public_numbers()
    return {"kty": "RSA", "kid": "1", "n": encode(public.n.to_bytes(256)), "e": "AQAB"}


def altered(provider):
    head, claims, signature = provider.token().split(".")
    claims = base64.urlsafe_b64decode(claims + "==").replace(b'"ada"', b'"eve"')
    return f"{head}.{encode(claims)}.{signature}"


def flood(field):
    """Two hundred key ids that nobody knows: the provider is asked once at the most."""
    asked = field.provider.asked
    for number in range(200):
        reply = call(field, field.provider.token({"kid": f"unknown-{number}"}))
        assert (reply.status, reply.code) == (400, "InvalidIdentityToken")
    # A question takes two requests; a second one may have come due meanwhile.
    assert field.provider.asked - asked <= 4, f"asked {field.provider.asked - asked} times"
    return reply


NOW = int(time.time())
ROWS = [
    Row("A token without an algorithm", 18, ANONYMOUS, token(unsigned("none")), NOT_GENUINE, ALL),
    Row("A token whose algorithm is none in capitals", 18, ANONYMOUS, token(unsigned("NONE")), NOT_GENUINE, ALL),
    Row("A token signed by HMAC with the provider's public key", 18, ANONYMOUS, token(with_public_key), NOT_GENUINE, ALL),
    Row("A token signed by the attacker's key", 18, ANONYMOUS, token(by_own_key()), NOT_GENUINE, ALL),
    Row("A token that brings its key along", 18, ANONYMOUS, token(by_own_key({"jwk": own_jwk()})), NOT_GENUINE, ALL),
    Row("A token that says where its key is", 18, ANONYMOUS, token(by_own_key({"jku": "https://127.0.0.1:1/keys"})), NOT_GENUINE, ALL),
    Row("A token of a key that is on the disk", 18, ANONYMOUS, says({"kid": "../../../../dev/null"}), NOT_GENUINE, ALL),
    Row("A token with another subject than was signed", 18, NETWORK, token(altered), NOT_GENUINE, ALL),
    Row("A token for another audience", 18, ANONYMOUS, says(aud="shop"), NOT_GENUINE, ALL),
    Row("A token for another audience as well", 18, ANONYMOUS, says(aud=["store", "shop"]), NOT_GENUINE, ALL),
    Row("A token of another issuer", 18, ANONYMOUS, says(iss="https://idp.example.org"), NOT_GENUINE, ALL),
    Row("A token whose issuer is an address of the metadata service", 18, ANONYMOUS, says(iss="https://169.254.169.254"), NOT_GENUINE, ALL),
    Row("A token that has expired", 18, NETWORK, says(exp=NOW - 120, iat=NOW - 900), refused(400, "ExpiredTokenException"), ALL),
    Row("A token that never expires", 18, ANONYMOUS, says(exp=None), NOT_GENUINE, ALL),
    Row("A token that expires beyond all dates", 18, ANONYMOUS, token(lambda provider: provider.token(payload=json.dumps({"iss": provider.url, "sub": "ada", "aud": "store", "iat": NOW}).replace("}", ', "exp": 1e999}'))), NOT_GENUINE, ALL),
    Row("A token with two subjects", 18, ANONYMOUS, token(lambda provider: provider.token(payload=json.dumps({"iss": provider.url, "sub": "ada", "aud": "store", "iat": NOW, "exp": NOW + 600}).replace("}", ', "sub": "eve"}'))), NOT_GENUINE, ALL),
    Row("A token with a critical header", 18, ANONYMOUS, says({"crit": ["exp"], "exp": 0}), NOT_GENUINE, ALL),
    Row("A token longer than any there is", 18, ANONYMOUS, says(long="x" * 20_000), NOT_GENUINE, ALL),
    Row("A token of claims nested without end", 18, ANONYMOUS, token(lambda provider: provider.token(payload='{"a":' + "[" * 12_000)), NOT_GENUINE, ALL),
    Row("A token of claims that are no JSON", 18, ANONYMOUS, token(lambda provider: provider.token(payload="\x00\xff")), NOT_GENUINE, ALL),
    Row("A text that is no token", 18, ANONYMOUS, token(lambda _: "a.b.c"), NOT_GENUINE, ALL),
    Row("A token of many key ids that nobody knows", 18, ANONYMOUS, flood, NOT_GENUINE, ALL),
    Row("A token of more claims than a session holds", 18, ANONYMOUS, says(groups=[f"group-{number:08}" for number in range(800)]), refused(400, "PackedPolicyTooLarge"), ALL),
    Row("A genuine token for a role that does not trust its provider", 18, ANONYMOUS, token(lambda provider: provider.token(), RoleArn="arn:aws:iam::000000000000:role/iam-role"), refused(403, "AccessDenied"), ALL),
    Row("A genuine token for a role that there is not", 18, ANONYMOUS, token(lambda provider: provider.token(), RoleArn="arn:aws:iam::000000000000:role/missing"), refused(403, "AccessDenied"), ALL),
    Row("A genuine token of somebody whom the role does not trust", 18, ANONYMOUS, says(sub="eve"), refused(403, "AccessDenied"), ALL),
    Row("A genuine token with a session name of two lines", 18, ANONYMOUS, token(lambda provider: provider.token(), RoleSessionName="a\nFORGED 2026"), refused(400, "ValidationError"), ALL),
    Row("A call with a token and no role", 18, ANONYMOUS, token(lambda provider: provider.token(), RoleArn=None), refused(400, "ValidationError"), ALL),
    Row("A call without a token", 18, ANONYMOUS, token(lambda _: None), refused(400, "ValidationError"), ALL),
]
