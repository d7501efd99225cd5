"""One port, HTTPS and HTTP; certificates of one's own and of the operator's."""

import datetime
import ipaddress
import re
import socket
import ssl
import statistics
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from conftest import make_bucket
from harness import operations as op
from harness import sigv4, trace
from harness.server import Server
from harness.sse import SSE_C, SSE_S3, customer, source_customer


def test_the_first_byte_decides(server, raw, bucket):
    raw.put(bucket, "object", b"over https", SSE_S3.write, tls=True).ok()
    assert raw.get(bucket, "object", tls=False).ok().body == b"over https"
    raw.put(bucket, "object", b"over http", SSE_S3.write, tls=False).ok()
    assert raw.get(bucket, "object", tls=True).ok().body == b"over http"


def test_something_that_is_neither_is_answered_or_closed(server):
    for greeting in (b"\x00\x01\x02\x03", b"\x16garbage that is no handshake", b"SSH-2.0-x\r\n", b"\xff" * 100):
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as plain:
            plain.sendall(greeting)
            plain.shutdown(socket.SHUT_WR)
            received = plain.recv(4096)
            assert received == b"" or received.startswith((b"HTTP/1.1 400", b"\x15\x03")), received
    assert server.health("ready") == 200


@pytest.mark.parametrize("operation", op.ALL, ids=lambda one: one.__name__)
def test_a_customer_key_over_http_is_refused_with_the_words_of_s3(raw, bucket, operation):
    reply = operation(op.Stage(raw, bucket), customer(), tls=False)
    says = "Requests specifying Server Side Encryption with Customer provided keys must be made over a secure connection."
    op.refused(operation, reply, 400, "InvalidRequest", says)


def test_a_header_that_claims_https_does_not_make_it_so(raw, bucket):
    for claim in ({"x-forwarded-proto": "https"}, {"forwarded": "proto=https"}, {"x-forwarded-ssl": "on"}):
        raw.put(bucket, "object", b"x", SSE_C.write | claim, tls=False).fails(400, "InvalidRequest")


@pytest.fixture(scope="module")
def proxied(tmp_path_factory):
    """A server that believes the proxies on this machine."""
    server = Server(tmp_path_factory.mktemp("proxied") / "home", 'trusted_proxies = ["127.0.0.1"]\n').start()
    yield server
    server.remove()


@pytest.mark.parametrize("operation", [one for one in op.ALL if one is not op.part_copy_source], ids=lambda one: one.__name__)
def test_a_customer_key_goes_where_a_trusted_proxy_says_https(proxied, operation):
    stage = op.Stage(proxied.raw(), make_bucket(proxied))
    operation(stage, customer() | {"x-forwarded-proto": "https"}, tls=False).ok()


@pytest.mark.parametrize("operation", op.ALL, ids=lambda one: one.__name__)
@pytest.mark.parametrize(
    "claim",
    [{}, {"x-forwarded-proto": "http"}, {"forwarded": "proto=http"}, {"x-forwarded-proto": "https", "forwarded": "proto=http"}],
    ids=["nothing", "http", "forwarded http", "both"],
)
def test_a_customer_key_is_refused_where_a_trusted_proxy_does_not_say_https(proxied, operation, claim):
    reply = operation(op.Stage(proxied.raw(), make_bucket(proxied)), customer() | claim, tls=False)
    op.refused(operation, reply, 400, "InvalidRequest", "must be made over a secure connection.")


def test_a_proxy_that_is_not_listed_is_not_believed(new_server):
    server = new_server('trusted_proxies = ["10.0.0.0/8"]\n')
    reply = server.raw().put(make_bucket(server), "object", b"x", SSE_C.write | {"x-forwarded-proto": "https"}, tls=False)
    reply.fails(400, "InvalidRequest")


def test_the_keys_of_a_rotation_are_refused_over_http_each(raw, bucket):
    raw.put(bucket, "object", b"x", SSE_C.write).ok()
    raw.copy(f"{bucket}/object", bucket, "copy", source_customer(), tls=False).fails(400, "InvalidRequest")
    raw.copy(f"{bucket}/object", bucket, "copy", SSE_C.write, tls=False).fails(400, "InvalidRequest")


def test_the_certificate_is_verified_by_the_ca_for_every_local_name(server):
    context = ssl.create_default_context(cafile=str(server.ca))
    for name in ("127.0.0.1", "localhost", "::1", socket.gethostname()):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as plain, context.wrap_socket(plain, server_hostname=name) as tls:
            assert tls.version() in ("TLSv1.3", "TLSv1.2")
    with pytest.raises(ssl.SSLCertVerificationError), socket.create_connection(("127.0.0.1", server.port), timeout=10) as plain:
        context.wrap_socket(plain, server_hostname="example.org")


def test_an_old_tls_is_refused(server):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(str(server.ca))
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)), socket.create_connection(("127.0.0.1", server.port), timeout=10) as plain:
        context.wrap_socket(plain, server_hostname="localhost")


def test_small_answers_do_not_wait_for_acknowledgements(server, raw, bucket):
    """The end of an answer in two writes would wait 40 ms for the client's delayed acknowledgement."""
    raw.put(bucket, "object", b"small", SSE_S3.write).ok()
    path, seconds = f"/{bucket}/object", []
    signed = sigv4.sign(raw.credentials, "GET", path, {}, {"host": f"127.0.0.1:{raw.port}"}, "UNSIGNED-PAYLOAD")
    connection = raw.connect()
    try:
        connection.connect()
        kept = connection.sock
        for _ in range(40):
            began = time.monotonic()
            connection.request("GET", path, headers=signed)
            reply = connection.getresponse()
            assert (reply.status, reply.read()) == (200, b"small")
            seconds.append(time.monotonic() - began)
        assert connection.sock is kept, "one connection for all"
    finally:
        connection.close()
    assert statistics.median(seconds) < 0.020


def test_no_connection_holds_back_small_writes(tmp_path):
    """An answer in many writes is slow now and then only, so the option is looked for itself."""
    server = Server(tmp_path / "home", prefix=trace.prefix(tmp_path / "trace", "accept4,setsockopt")).start()
    try:
        server.raw().request("GET", "/").ok()
        server.raw().request("GET", "/", tls=False).ok()
        assert server.stop() == 0
        calls = trace.calls(tmp_path / "trace")
    finally:
        server.remove()
    accepted = [call for call in calls if call.name == "accept4" and call.result >= 0]
    assert len(accepted) >= 3, "the two requests, and whether it is ready"
    for call in accepted:
        later = [other for other in calls if other.began > call.returned and re.match(rf"setsockopt\({call.result}, ", other.text)]
        assert later and "SOL_TCP, TCP_NODELAY, [1]" in later[0].text, call.text


# ---- a certificate of the operator's


def certificate(directory, name, serial):
    """A self-signed certificate for 127.0.0.1; the paths of certificate and key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_path, key_path = directory / "server.pem", directory / "server.key"
    key_path.touch(mode=0o600)
    key_path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    cert_path.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    return cert_path, key_path


def served_serial(port):
    pem = ssl.get_server_certificate(("127.0.0.1", port), timeout=10)
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


def test_a_certificate_given_is_served_and_reloaded_when_it_changes(tmp_path, tmp_path_factory):
    cert, key = certificate(tmp_path, "first", 1001)
    server = Server(tmp_path_factory.mktemp("own") / "home", flags=["--tls-cert", str(cert), "--tls-key", str(key)])
    server.ca = cert
    try:
        server.start()
        assert served_serial(server.port) == 1001
        bucket = make_bucket(server)
        certificate(tmp_path, "second", 1002)
        deadline = time.monotonic() + 60
        while served_serial(server.port) != 1002:
            assert time.monotonic() < deadline, "the new certificate is not served after a minute"
            time.sleep(0.2)
        server.raw().put(bucket, "object", b"x", SSE_C.write).ok()
        cert.write_text("no certificate")
        time.sleep(2)
        assert served_serial(server.port) == 1002, "a bad file leaves the good one in use"
    finally:
        server.remove()
