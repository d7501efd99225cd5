"""Secrets that tests hand to servers, and where they must not be found again: in no log, audit record, metric, answer or data file."""

import base64
import mmap

HALF_BYTES = 16
# The store's own databases and logs are small; of a large blob the beginning is looked at.
LARGEST_BYTES = 8 << 20

_known = {}  # name: secret


def register(name, secret):
    """Makes a secret known to every scan from now on; the secret. Shorter ones than 16 bytes would be found by chance."""
    data = secret.encode() if isinstance(secret, str) else bytes(secret)
    assert len(data) >= HALF_BYTES, f"{name} is too short to be looked for"
    _known[name] = data
    return secret


def known():
    return dict(_known)


def needles(secret):
    """What would show at least half of a secret: {encoding: bytes}. A find of the whole is a find of its half, too."""
    data = secret.encode() if isinstance(secret, str) else bytes(secret)
    found = {}
    for half, part in {"first": data[:HALF_BYTES], "last": data[-HALF_BYTES:]}.items():
        found |= {f"{half} half": part, f"{half} half in hex": part.hex().encode(), f"{half} half in HEX": part.hex().upper().encode()}
    # Of base64 whole groups of three bytes; the end has them from where the last group of the whole begins.
    length = HALF_BYTES // 3 * 3
    end = (len(data) - length) // 3 * 3
    for half, part in {"first": data[:length], "last": data[end : end + length]}.items():
        found[f"{half} half in base64"] = base64.b64encode(part)
        found[f"{half} half in base64 for URLs"] = base64.urlsafe_b64encode(part)
    return found


def in_bytes(data, secrets=None):
    """Which secrets are in there, and how they are written."""
    return [f"{name} ({encoding})" for name, secret in (known() if secrets is None else secrets).items() for encoding, needle in needles(secret).items() if data.find(needle) >= 0]


def in_files(paths, secrets=None):
    """The same for files: {path: finds}."""
    found = {}
    for path in paths:
        try:
            size = min(path.stat().st_size, LARGEST_BYTES)
            if size == 0:
                continue
            with open(path, "rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as mapped:
                finds = in_bytes(mapped, secrets)
        except FileNotFoundError:
            continue  # swept meanwhile
        if finds:
            found[path] = finds
    return found


def written_by(server):
    """What a server has written and others may come to read: its log and all below its data directory, the audit log included."""
    below = [path for path in server.data.rglob("*") if path.is_file()] if server.data.exists() else []
    return ([server.log] if server.log.exists() else []) + below


def check(server):
    """Fails with the file and the secret if any is found in what the server has written."""
    found = in_files(written_by(server), known() | {"its secret key": server.secret_key.encode()})
    # The session's other servers have secret keys of their own, which this one never got.
    assert not found, "secrets were written: " + "; ".join(f"{path.relative_to(server.home)}: {', '.join(finds)}" for path, finds in found.items())
