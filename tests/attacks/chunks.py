"""Bodies in chunks: altered, exchanged, replayed, cut, prolonged, and their trailers."""

from attacks.row import ALLOWED, CLIENT, NETWORK, Row, refused
from attacks.signatures import last_digit
from harness import checksums, sigv4
from harness.wire import Request

CHUNK_BYTES = 64 << 10
BODY = bytes(range(256)) * 700  # three chunks, the last one short
CRC = checksums.header("CRC32")
TRAILERS = {CRC: checksums.value("CRC32", BODY)}
WRONG = refused(403, "SignatureDoesNotMatch")
BROKEN = refused(400, "IncompleteBody")


def chunked(spoil=None, alter=lambda request: request, tls=True, key="secret", user="root", **options):
    """Root's PUT over the victim's object, in three chunks; `spoil` has the frames in its hands, `alter` the whole request."""

    def attack(field):
        options.setdefault("trailers", None)
        headers, wire = sigv4.chunked_put(field.credentials(user), f"/victim/{key}", BODY, chunk_bytes=CHUNK_BYTES, host=field.host, spoil=spoil, **options)
        return field.send(alter(Request("PUT", f"/victim/{key}", tuple(headers.items()), wire)), tls=tls)

    return attack


def unsigned(spoil=None, **options):
    return chunked(spoil, signed=False, **({"trailers": TRAILERS} | options))


def trailed(spoil=None, **options):
    return chunked(spoil, **({"trailers": TRAILERS} | options))


# ---- what is done to the frames: three chunks, and the end


def at(number, change):
    return lambda frames: [change(frame) if place == number % len(frames) else frame for place, frame in enumerate(frames)]


def spoil_signature(frame):
    head, _, rest = frame.partition(b"\r\n")
    return last_digit(head.decode()).encode() + b"\r\n" + rest


def spoil_data(frame):
    at_byte = frame.index(b"\r\n") + 100
    return frame[:at_byte] + bytes([frame[at_byte] ^ 1]) + frame[at_byte + 1 :]


def without_signature(frame):
    head, _, rest = frame.partition(b"\r\n")
    return head.split(b";")[0] + b"\r\n" + rest


def swapped(one, two):
    def change(frames):
        changed = list(frames)
        changed[one], changed[two] = frames[two], frames[one]
        return changed

    return change


def length_in_frame(text):
    return at(0, lambda frame: text + frame[frame.index(b";") :])


def cut_end(count):
    return lambda frames: [*frames[:-1], frames[-1][:-count]]


def value_replaced(frames):
    return [*frames[:-1], frames[-1].replace(TRAILERS[CRC].encode(), checksums.value("CRC32", b"another").encode())]


def trailer_signature(change):
    def spoil(frames):
        head, _, signature = frames[-1].rstrip().rpartition(b":")
        return [*frames[:-1], change(head, signature)]

    return spoil


def decoded_length(value):
    """The header says another length, and the signature covers that."""

    def attack(field):
        said = {"x-amz-decoded-content-length": value}
        headers = {"content-encoding": "aws-chunked", "host": field.host} | said
        payload = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
        headers = sigv4.sign(field.root, "PUT", "/victim/secret", (), headers, payload)
        frames = sigv4.Frames(field.root, headers["x-amz-date"], headers["authorization"].rsplit("=", 1)[1])
        wire = b"".join([frames.chunk(BODY[at : at + CHUNK_BYTES]) for at in range(0, len(BODY), CHUNK_BYTES)] + [frames.last(None)])
        headers["content-length"] = str(len(wire))
        return field.send(Request("PUT", "/victim/secret", tuple(headers.items()), wire))

    return attack


def replayed_to_another(field):
    """Chunks of a request that was recorded, behind the headers of another one of the same signer."""
    _, recorded = sigv4.chunked_put(field.root, "/mallory/recorded", BODY, chunk_bytes=CHUNK_BYTES, host=field.host)
    headers, wire = sigv4.chunked_put(field.root, "/victim/secret", BODY, {"x-amz-meta-other": "1"}, chunk_bytes=CHUNK_BYTES, host=field.host)
    assert len(recorded) == len(wire)
    return field.send(Request("PUT", "/victim/secret", tuple(headers.items()), recorded))


SIGNED = [
    ("the first chunk's signature is wrong", at(0, spoil_signature), WRONG),
    ("the middle chunk's signature is wrong", at(1, spoil_signature), WRONG),
    ("the last chunk's signature is wrong", at(2, spoil_signature), WRONG),
    ("the end's signature is wrong", at(3, spoil_signature), WRONG),
    ("the first chunk's data is altered", at(0, spoil_data), WRONG),
    ("the last chunk's data is altered", at(2, spoil_data), WRONG),
    ("two chunks have changed places", swapped(0, 1), WRONG),
    ("a chunk comes twice in another's place", lambda frames: [frames[0], frames[0], *frames[2:]], WRONG),
    ("a chunk in the middle is left out", lambda frames: [frames[0], *frames[2:]], WRONG),
    ("the end comes first", swapped(0, 3), WRONG),
    ("a chunk has no signature", at(1, without_signature), BROKEN),
    ("the end is missing", lambda frames: frames[:-1], BROKEN),
    ("the end is cut within its signature", cut_end(12), BROKEN),
    ("the body ends in the middle of a chunk", lambda frames: [frames[0], frames[1][:500]], BROKEN),
    ("the body ends in the middle of a chunk's head", lambda frames: [frames[0], frames[1][:20]], BROKEN),
    ("more comes behind the end", lambda frames: [*frames, b"more"], BROKEN),
    ("another request comes behind the end", lambda frames: [*frames, b"DELETE /victim/secret HTTP/1.1\r\n\r\n"], BROKEN),
    ("a chunk is one byte shorter than it says", at(0, lambda frame: frame[:-3] + b"\r\n"), WRONG),
    ("a chunk is one byte longer than it says", at(0, lambda frame: frame[:-2] + b"x\r\n"), BROKEN),
    ("a chunk's length is no number", length_in_frame(b"zz"), BROKEN),
    ("a chunk's length is negative", length_in_frame(b"-1"), BROKEN),
    ("a chunk's length is beyond 64 bits", length_in_frame(b"1" + b"0" * 20), BROKEN),
    ("a chunk's length has a sign", length_in_frame(b"+10000"), BROKEN),
    ("a chunk's length is written 0x10000", length_in_frame(b"0x10000"), BROKEN),
    ("a chunk's length has a space before it", length_in_frame(b" 10000"), BROKEN),
    ("a chunk's head ends in a bare LF", at(0, lambda frame: frame.replace(b"\r\n", b"\n", 1)), BROKEN),
    ("a chunk's head is without end", at(0, lambda frame: b"1;" + b"x" * 100_000), BROKEN),
    ("the body is empty", lambda frames: [], BROKEN),
]
TRAILER = [
    ("the trailer's value is altered", value_replaced, WRONG),
    ("the trailer's signature is wrong", trailer_signature(lambda head, signature: head + b":" + last_digit(signature.decode()).encode() + b"\r\n\r\n"), WRONG),
    ("the trailer has no signature", trailer_signature(lambda head, _: head.rpartition(b"\r\n")[0] + b"\r\n\r\n"), BROKEN),
    (
        "the trailer has a line more that was not announced",
        at(-1, lambda frame: frame.replace(b"x-amz-trailer-signature", b"x-amz-meta-a:b\r\nx-amz-trailer-signature")),
        refused(400, "MalformedTrailerError"),
    ),
    ("a line more comes behind the trailer's signature", at(-1, lambda frame: frame[:-2] + b"x-amz-meta-a:b\r\n\r\n"), BROKEN),
    ("the end and its trailer are missing", lambda frames: frames[:-1], BROKEN),
]
UNSIGNED = [
    ("the trailer's checksum is another", value_replaced, refused(400, "BadDigest")),
    ("the trailer that was announced is missing", lambda frames: [*frames[:-1], b"0\r\n\r\n"], refused(400, "InvalidRequest")),
    ("the data is altered", at(1, spoil_data), refused(400, "BadDigest")),
    ("the end is missing", lambda frames: frames[:-1], BROKEN),
    ("the trailer is no line of a header", at(-1, lambda frame: b"0\r\nno colon\r\n\r\n"), refused(400, "MalformedTrailerError")),
    ("the trailer is of a megabyte", at(-1, lambda frame: b"0\r\n" + b"x" * (1 << 20) + b":y\r\n\r\n"), refused(400, "MalformedTrailerError")),
    ("the trailer's value comes twice", at(-1, lambda frame: frame[:3] + (frame[3:-2] * 2) + b"\r\n"), refused(400, "MalformedTrailerError")),
    ("more comes behind the end", lambda frames: [*frames, b"more"], BROKEN),
]


ROWS = [
    *(Row(f"Signed chunks: {name}", 0, NETWORK, chunked(spoil), answer) for name, spoil, answer in SIGNED),
    *(Row(f"Signed chunks over plain HTTP: {name}", 0, NETWORK, chunked(spoil, tls=False), answer) for name, spoil, answer in SIGNED[:8]),
    *(Row(f"A signed trailer: {name}", 0, NETWORK, trailed(spoil), answer) for name, spoil, answer in TRAILER),
    *(Row(f"An unsigned trailer over TLS: {name}", 0, CLIENT, unsigned(spoil), answer) for name, spoil, answer in UNSIGNED),
    *(
        Row(f"A decoded length of {value!r} is refused", 0, CLIENT, decoded_length(value), answer)
        for value, answer in [
            (str(len(BODY) - 1), BROKEN),
            (str(len(BODY) + 1), BROKEN),
            ("0", BROKEN),
            ("x", refused(400, "InvalidArgument")),
            ("-1", refused(400, "InvalidArgument")),
        ]
    ),
    Row("Chunks of another request of the same signer are refused", 0, NETWORK, replayed_to_another, WRONG),
    Row(
        "Signed chunks whose seed is another user's are refused",
        0,
        NETWORK,
        chunked(alter=lambda r: r.having("authorization", last_digit(r.value("authorization")))),
        WRONG,
    ),
    Row("A tenant's chunks over another's object are refused", 0, CLIENT, chunked(user="mallory"), refused(403, "AccessDenied")),
    Row("Signed chunks, unaltered, are taken", 0, CLIENT, chunked(key="chunked"), ALLOWED, ()),
    Row("Unsigned chunks with a trailer are taken over TLS", 0, CLIENT, unsigned(key="chunked"), ALLOWED, ()),
]
