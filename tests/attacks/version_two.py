"""Presigned URLs of Signature Version 2, which the server is told to take: altered, lengthened, turned to writing, and on the admin API."""

from attacks.presigned import ADMIN_CALLS, BOTH, MC_CALLS, UNAUTHORIZED, X, dropped, parameter, replaced, with_headers
from attacks.row import ALLOWED, ANONYMOUS, CLIENT, NETWORK, TENANT, Answer, Row, denied, refused
from attacks.signatures import PREFIXES
from harness import sigv2, sigv4
from harness.sse import customer
from harness.wire import Request

WRONG = refused(403, "SignatureDoesNotMatch")
TWICE = refused(400, "AuthorizationQueryParametersError")
OTHER_VERSION = refused(400, "InvalidRequest", "AWS4-HMAC-SHA256")
WEEK_SECONDS = 7 * 86400
MADE_UP = "AWSAccessKeyId={}&Expires={}&Signature=c2lnbmF0dXJl"


def url(alter=lambda request: request, method="GET", path="/victim/secret", query=(), user="root", headers=None, lives_seconds=300, tls=True):
    """Root's URL, altered by who got hold of it."""

    def attack(field):
        target = sigv2.presign(field.credentials(user), method, path, query, headers, expires=sigv2.in_seconds(lives_seconds))
        length = (("content-length", "0"),) if method in ("PUT", "POST") else ()
        request = Request(method, target, (("host", field.host), *(headers or {}).items(), *length))
        return field.send(alter(request), tls=tls)

    return attack


def added(text):
    return lambda request: request.with_query(text)


def other_method(method):
    return lambda request: request.but(method=method).adding("content-length", "0")


def escaped_slash(field):
    """A URL of a key that ends in a slash, for the key that does not."""
    target = sigv2.presign(field.root, "GET", "/victim/secret/").replace("/victim/secret/", "/victim%2Fsecret")
    return field.send(Request("GET", target, (("host", field.host),)))


def other_bucket_by_host(field):
    """A URL that root signed for the attacker's own bucket in virtual-host style, sent to the host of the victim's."""
    target = sigv2.presign(field.root, "GET", "/secret", bucket="mallory")
    return field.send(Request("GET", target, (("host", "victim.s3.attacked.test"),)))


def merged(field):
    """Two parameters that root signed, as one."""
    target = sigv2.presign(field.root, "GET", "/victim/secret", {"response-content-type": "text/x", "versionId": "null"})
    return field.send(Request("GET", target.replace("&versionId=null", "%26versionId%3Dnull"), (("host", field.host),)))


def policy_as_url(field):
    """The signature of a form's policy, as that of a URL."""
    signature = sigv4.quote(sigv2.signature(field.root, "eyJleHBpcmF0aW9uIjoiMjA5OS0wMS0wMVQwMDowMDowMFoiLCJjb25kaXRpb25zIjpbXX0="))
    query = f"AWSAccessKeyId={field.root.access_key}&Expires={sigv2.in_seconds(60)}&Signature={signature}"
    return field.send(Request("GET", f"/victim/secret?{query}", (("host", field.host),)))


def made_up(access_key):
    def attack(field):
        query = MADE_UP.format(access_key or field.root.access_key, sigv2.in_seconds(60))
        return field.send(Request("GET", f"/victim/secret?{query}", (("host", field.host),)))

    return attack


def in_header(field):
    date = "Sat, 28 Nov 2026 15:00:00 GMT"
    signature = sigv2.signature(field.root, f"GET\n\n\n{date}\n/victim/secret")
    headers = (("host", field.host), ("date", date), ("authorization", f"AWS {field.root.access_key}:{signature}"))
    return field.send(Request("GET", "/victim/secret", headers))


def on_admin(prefix, path, query=(), extra=()):
    """Root's URL of a call of the admin API that reads."""

    def attack(field):
        of_admin = prefix == "/kms"
        host = f"127.0.0.1:{field.port(of_admin)}"
        # A parameter that is not signed would be refused for that.
        target = sigv2.presign(field.root, "GET", prefix + path, query)
        return field.send(Request("GET", target, (("host", host), *extra)), admin=of_admin)

    return attack


ALTERED = [
    ("for another key", replaced("/secret?", "/large?"), WRONG),
    ("for another bucket", replaced("/victim/", "/mallory/"), WRONG),
    ("for longer", lambda request: parameter("Expires", str(sigv2.in_seconds(86400)))(request), WRONG),
    ("to be a tenant's", replaced("AWSAccessKeyId=", "AWSAccessKeyId=X"), refused(403, "InvalidAccessKeyId")),
    ("in its signature", parameter("Signature", "AAAAAAAAAAAAAAAAAAAAAAAAAAA%3D"), WRONG),
    ("to have an empty signature", parameter("Signature", ""), denied()),
    ("to have a short signature", parameter("Signature", "AAAA"), WRONG),
    ("to have no base64 as its signature", parameter("Signature", "%25%25"), WRONG),
    ("to the spelling %73ecret of its key", replaced("/secret?", "/%73ecret?"), WRONG),
]
ADDED = [
    ("versionId=null", WRONG),
    ("acl", WRONG),
    ("tagging", WRONG),
    ("torrent", WRONG),
    ("partNumber=1", WRONG),
    ("uploadId=x", WRONG),
    ("response-content-type=text/html", WRONG),
    ("x-amz-checksum-mode=ENABLED", WRONG),
    ("x-amz-expected-bucket-owner=mallory", WRONG),
    ("attributes", denied()),
    ("retention", denied()),
    ("legal-hold", denied()),
    ("encryption", denied()),
    ("%61ttributes", denied()),
    ("list-type=2", denied()),
    ("content-type=text/html", denied()),
    ("nothing=1", denied()),
    ("Expires=4102444800", TWICE),
    ("%45xpires=4102444800", TWICE),
    ("Signature=x", TWICE),
    ("AWSAccessKeyId=x", TWICE),
]
TO_A_LISTING = ["prefix=home/you/", "delimiter=/", "marker=a", "max-keys=1000", "encoding-type=url", "list-type=2", "continuation-token=AQ", "fetch-owner=true"]
HEADERS = [customer(), {"x-amz-copy-source": "/victim/under-a-key"}, {"x-amz-meta-note": "mallory's"}, {"content-type": "text/html"}, {"content-md5": "x"}]

ROWS = [
    *(Row(f"A URL of version 2 altered {name} is refused", 0, NETWORK, url(alter), answer) for name, alter, answer in ALTERED),
    *(Row(f"A URL of version 2 with {text} added is refused", 0, NETWORK, url(added(text)), answer) for text, answer in ADDED),
    *(Row(f"A listing's URL of version 2 with {text} added is refused", 0, NETWORK, url(added(text), path="/victim"), denied()) for text in TO_A_LISTING),
    *(Row(f"A URL of version 2 without {name} is refused", 0, NETWORK, url(dropped(name)), denied()) for name in ("AWSAccessKeyId", "Signature", "Expires")),
    *(
        Row(f"A URL of version 2 with Expires={value} is refused", 0, CLIENT, url(parameter("Expires", value)), denied())
        for value in ("", "-1", "0", "tomorrow", "1e9", "4102444800", "99999999999999999999")
    ),
    *(
        Row(f"A URL of version 2 with the header {' and '.join(headers)} added is refused", 0, NETWORK, url(with_headers(headers)), WRONG)
        for headers in HEADERS
    ),
    *(Row(f"A URL of version 2 that reads is none for {method}", 0, NETWORK, url(other_method(method)), OTHER_VERSION) for method in ("PUT", "POST", "DELETE")),
    *(Row(f"A URL of version 2 that was signed for {method} is refused", 0, CLIENT, url(method=method), OTHER_VERSION) for method in ("PUT", "POST", "DELETE")),
    Row("A URL of version 2 for GET is none for HEAD", 0, NETWORK, url(lambda request: request.but(method="HEAD")), Answer(403)),
    Row("A URL of version 2 that has expired is refused", 0, NETWORK, url(lives_seconds=-2), denied()),
    Row("A URL of version 2 for longer than a week is refused", 0, CLIENT, url(lives_seconds=WEEK_SECONDS + 1000), denied()),
    Row("A URL of version 2 for a week is taken, over plain HTTP too", 0, CLIENT, url(lives_seconds=WEEK_SECONDS, tls=False), ALLOWED, ()),
    Row("A security token in a URL of version 2 is refused", 0, CLIENT, url(headers={"x-amz-security-token": "t"}), refused(400, "InvalidToken")),
    Row("A tenant's URL of version 2 of another's object is refused", 0, TENANT, url(user="mallory"), denied()),
    Row("A tenant's URL of version 2 of another's bucket is refused", 0, TENANT, url(user="mallory", path="/victim", query={"versions": ""}), denied()),
    Row("A URL of version 2 of another key, its slash escaped, is refused", 0, NETWORK, escaped_slash, WRONG),
    Row("A URL of version 2 of another bucket's host is refused", 0, NETWORK, other_bucket_by_host, WRONG),
    Row("Two parameters that version 2 signed are refused as one", 0, NETWORK, merged, denied()),
    Row("The version 2 signature of a form's policy is none of a URL", 0, NETWORK, policy_as_url, WRONG),
    Row("A made-up URL of version 2 is refused", 0, ANONYMOUS, made_up(""), WRONG),
    Row("A made-up URL of version 2 of a stranger is refused", 0, ANONYMOUS, made_up("AKSTRANGER"), refused(403, "InvalidAccessKeyId")),
    Row("A URL of version 2 beside a header signature is refused", 0, TENANT, url(with_headers({"authorization": "x"})), refused(400, "InvalidArgument")),
    Row("A URL of version 2 beside one of version 4 is refused", 0, NETWORK, url(added("X-Amz-Signature=0")), refused(400, "InvalidArgument")),
    Row("A signature of version 2 in the header is refused", 0, CLIENT, in_header, OTHER_VERSION),
    *(
        Row(f"A version 2 URL of {prefix}{path} is no admin credential", 0, NETWORK, on_admin(prefix, path), UNAUTHORIZED)
        for prefix in PREFIXES
        for method, path, _ in ADMIN_CALLS
        if method == "GET"
    ),
    *(
        Row(f"A version 2 URL of {prefix}{path} is no admin credential", 0, NETWORK, on_admin(prefix, path, query), UNAUTHORIZED)
        for method, prefix, path, query in MC_CALLS
        if method == "GET"
    ),
    *(
        Row(f"A version 2 URL of {prefix}/status behind Authorization: x is refused", 0, NETWORK, on_admin(prefix, "/status", extra=X), BOTH)
        for prefix in PREFIXES
    ),
]
