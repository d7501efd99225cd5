"""Clients that use every way to write, and note in the ledger what they were told."""

import base64
import json
import random
import secrets
import threading
import time
from dataclasses import dataclass, replace

from harness import leaks
from harness.checksums import value as checksum
from harness.sse import KMS_KEY_ID, NONE, SSE, SSE_KMS, SSE_S3, Mode
from harness.workload import MODES, PART_BYTES, Content, State, acknowledged, holds
from powercut import client
from powercut.ledger import ABSENT

BUCKET = "objects"
XML = (
    b"<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>%s</SSEAlgorithm>"
    b"</ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
)
CONTEXT = {"purpose": "powercut"}


@dataclass(frozen=True)
class Parts:
    """An upload: its acknowledged parts, and the number of one that is under way."""

    etags: frozenset = frozenset()
    pending: int | None = None


@dataclass(frozen=True)
class Key:
    state: str = "Enabled"
    version: int = 1
    description: str = ""


class Client(threading.Thread):
    """Does its steps until it is told to stop, or its server dies."""

    def __init__(self, ledger, seed):
        super().__init__(daemon=True)
        self.ledger, self.random = ledger, random.Random(seed)
        self.stopping, self.lost, self.unexpected = threading.Event(), None, None
        self.server = None

    def on(self, server):
        """The same client in a new thread, on a server."""
        fresh = type(self).__new__(type(self))
        fresh.__dict__.update(self.__dict__)
        threading.Thread.__init__(fresh, daemon=True)
        fresh.stopping, fresh.lost, fresh.unexpected = threading.Event(), None, None
        fresh.server, fresh.s3, fresh.admin = server, client.s3(server), client.admin(server)
        return fresh

    def run(self):
        try:
            self.begin()
            while not self.stopping.is_set():
                self.step()
        except OSError as error:
            self.lost = error  # as by the kill of the server
        except Exception as error:  # noqa: BLE001 — handed to the test
            self.unexpected = error

    def begin(self):
        """To be done before the first step on a server."""


class Objects(Client):
    """Puts, overwrites, copies, uploads in parts and deletes its own objects, in every mode."""

    def __init__(self, ledger, seed, name):
        super().__init__(ledger, seed)
        self.state = Written(name, seed, ledger)

    def begin(self):
        self.state.resolve(self.s3)

    def step(self):
        if self.random.random() < 0.1:
            self.state.delete_batch(self.s3)
        else:
            self.state.step(self.s3, BUCKET)


    def put_large(self):
        """An upload of a part of the minimum length and a short one, and an upload of one copied part."""
        state, s3 = self.state, self.s3
        large = Content("large", (PART_BYTES, 1000), SSE_KMS)
        state.upload(s3, BUCKET, state.keys[0], large, end=0)
        upload = s3.begin_upload(BUCKET, state.keys[1], SSE_S3.write)
        etag = s3.upload_part_copy(f"{BUCKET}/{state.keys[0]}", BUCKET, state.keys[1], upload, 1).ok().xml().findtext("ETag").strip('"')
        send = lambda: s3.complete(BUCKET, state.keys[1], upload, {1: etag})  # noqa: E731
        state.write(state.keys[1], large.under(SSE_S3), send, name="complete copied part")


class Written(State):
    """The state of the crash test's writer, whose requests go into the ledger."""

    def __init__(self, name, seed, ledger):
        super().__init__(name, seed)
        self.ledger, self.unanswered = ledger, []

    def content(self, *lengths):
        made = super().content(*lengths)
        return made.under(NONE) if self.random.random() < 0.1 else made

    def write(self, key, content, send, **further):
        effects = {("object", key): content} | further.get("effects", {})
        with self.ledger.doing(further.get("name", "write"), effects) as operation:
            self.unanswered.append(operation)
            acknowledged(send())
        self.unanswered.remove(operation)
        self.known[key] = content

    def put_large(self, client, bucket, key):
        """Several chunks, and not more, since all of it is recorded."""
        content = self.content(self.random.randrange(70_000, 300_000))
        self.write(key, content, lambda: client.put(bucket, key, content.body(), content.mode.write))

    def delete_batch(self, s3):
        """DeleteObjects is no single change: each of its keys is there or gone by itself."""
        keys = self.random.sample(self.keys, 3)
        xml = b"<Delete>" + b"".join(b"<Object><Key>%s</Key></Object>" % key.encode() for key in keys) + b"</Delete>"
        headers = {"x-amz-checksum-crc32": checksum("CRC32", xml)}
        with self.ledger.doing("delete batch", {("object", key): ABSENT for key in keys}) as operation:
            self.unanswered.append(operation)
            acknowledged(s3.request("POST", f"/{BUCKET}", query={"delete": ""}, body=xml, headers=headers))
        self.unanswered.remove(operation)
        self.known |= dict.fromkeys(keys, ABSENT)

    def multipart(self, s3, bucket, key):
        lengths = self.random.choice([(70_000,), (10,), (3000,)])
        self.upload(s3, bucket, key, self.content(*lengths), self.random.random())

    def gather(self, s3, bucket, key):
        source = self.random.choice(self.keys)
        content = self.known[source]
        if content is ABSENT or source == key or len(content.parts) != 1:
            return
        target = content.under(self.random.choice(MODES))

        def copy(upload, number):
            reply = s3.upload_part_copy(f"{bucket}/{source}", bucket, key, upload, number, target.mode.read | content.mode.source)
            return acknowledged(reply).xml().findtext("ETag").strip('"')

        self.upload(s3, bucket, key, target, self.random.random(), copy)

    def upload(self, s3, bucket, key, content, end, part=None):
        """Completes the upload, aborts it, or leaves it. `part` sends a part of it, and returns its ETag."""

        def send_part(upload, number):
            return acknowledged(s3.upload_part(bucket, key, upload, number, content.piece(number - 1), content.mode.read)).etag

        part = part or send_part
        effects = {}
        with self.ledger.doing("create upload", effects):
            upload = acknowledged(s3.create_upload(bucket, key, content.mode.write)).xml().findtext("UploadId")
            effects[thing := ("upload", key, upload)] = Parts()
        etags = {}
        for number in range(1, len(content.parts) + 1):
            effects = {thing: Parts(frozenset(etags.items()), number)}
            with self.ledger.doing("upload part", effects):
                etags[number] = part(upload, number)
                effects[thing] = Parts(frozenset(etags.items()))
        if end < 0.6:
            send = lambda: s3.complete(bucket, key, upload, etags, content.mode.read)  # noqa: E731
            self.write(key, content, send, name="complete", effects={thing: ABSENT})
        elif end < 0.8:
            with self.ledger.doing("abort", {thing: ABSENT}):
                acknowledged(s3.delete(bucket, key, query={"uploadId": upload}))

    def resolve(self, s3):
        """Finds out which of the unanswered requests were done."""
        for operation in self.unanswered:
            for (kind, *rest), content in operation.effects.items():
                if kind == "object":
                    [key] = rest
                    was_done = holds(s3, BUCKET, key, content)
                    assert was_done or holds(s3, BUCKET, key, self.known[key]), f"{key} holds neither {content} nor {self.known[key]}"
                    self.known[key] = content if was_done else self.known[key]
            if len(operation.effects) == 1:
                operation.seen = (time.time_ns(), was_done)
        self.unanswered.clear()


class Buckets(Client):
    """Makes buckets, gives them default encryption, takes it away, and deletes them."""

    def __init__(self, ledger, seed):
        super().__init__(ledger, seed)
        self.count = 0

    def step(self):
        self.count += 1
        name = f"bucket-{self.count}"
        self.change(name, "plain", lambda: self.s3.request("PUT", f"/{name}"))
        for algorithm in ("aws:kms", "AES256"):
            self.change(name, algorithm, lambda: self.encryption("PUT", name, XML % algorithm.encode()))
        self.change(name, "plain", lambda: self.encryption("DELETE", name))
        if self.count % 2:
            self.change(name, ABSENT, lambda: self.s3.request("DELETE", f"/{name}"))

    def encryption(self, method, bucket, xml=b""):
        return self.s3.request(method, f"/{bucket}", query={"encryption": ""}, body=xml)

    def change(self, name, value, send):
        with self.ledger.doing(f"bucket {value}", {("bucket", name): value}):
            acknowledged(send())


class Keys(Client):
    """Makes, imports, rotates, disables and destroys keys, wraps data keys under them, and moves objects from one to another."""

    def __init__(self, ledger, seed):
        super().__init__(ledger, seed)
        self.count = 0

    def step(self):
        self.count += 1  # whatever happens to them, names are not used again
        name = f"key-{self.count}"
        key = self.make(name)
        self.wrap(name)
        self.put(name, f"under/{name}/1")
        self.change("rotate", name, replace(key, version=2))
        self.wrap(name)
        self.put(name, f"under/{name}/2")
        if self.count % 3 == 0:
            self.rekey(name)
        if self.count % 2:
            doomed = f"doomed-{self.count}"
            self.change("disable", doomed, replace(self.make(doomed), state="Disabled"))
            self.change("delete", doomed, Key("Erased"), method="DELETE", force_immediate=True, confirm_key_id=doomed)
        seconds = 100 + self.count
        self.act("POST", "/reconfigure", {"cache_ttl_seconds": seconds}, {("setting",): seconds})

    def act(self, method, path, body, effects, status=200):
        """An act of administration, whose record in the audit log lasts when it is answered."""
        with self.ledger.doing(path, effects):
            reply = self.admin.reply(method, path, body)
            assert reply.status == status, f"{method} {path}: {reply.status} {reply.body[:600]!r}"
            effects["audited", reply.headers["x-amz-request-id"]] = True
            answer = json.loads(reply.body)
            if path == "/rekey":
                effects["job", answer["job_id"]] = "Running"
        return answer

    def make(self, name):
        key = Key(description=f"of {name}")
        if self.random.random() < 0.5:
            self.act("POST", "/keys", {"name": name, "Description": key.description}, {("key", name): key})
        else:
            material = leaks.register(f"the material of {name}, {secrets.token_hex(4)}", secrets.token_bytes(32))
            body = {"name": name, "material": base64.b64encode(material).decode(), "description": key.description}
            self.act("POST", "/keys/import", body, {("key", name): key})
        return key

    def change(self, call, name, key, method="POST", **fields):
        self.act(method, f"/keys/{call}", {"key_id": name} | fields, {("key", name): key})

    def wrap(self, name):
        """A data key of a program of its own: it opens as long as the key is there."""
        effects = {}
        with self.ledger.doing("generate data key", effects):
            made = self.admin("POST", "/generate-data-key", {"key_id": name, "encryption_context": CONTEXT})
            effects["wrapped", name, made["ciphertext_blob"]] = made["plaintext_key"]
        leaks.register(f"a data key of {name}, {made['ciphertext_blob'][-8:]}", base64.b64decode(made["plaintext_key"]))

    def put(self, name, key):
        content = Content(key, (self.random.choice([500, 90_000]),), under(name))
        with self.ledger.doing("write", {("object", key): content}):
            acknowledged(self.s3.put(BUCKET, key, content.body(), content.mode.write))

    def rekey(self, name):
        """From the moment when the job is asked for, each object may be under either key; when it is done, all are under the new one."""
        target = f"target-{self.count}"
        self.make(target)
        objects = [(thing, self.ledger.outcomes(thing, time.time_ns())[-1]) for thing in (("object", f"under/{name}/{number}") for number in (1, 2))]
        with self.ledger.doing("re-key", {thing: content.under(under(target)) for thing, content in objects}):
            job = self.act("POST", "/rekey", {"from_key": name, "to_key": target}, {}, status=202)["job_id"]
            done = self.admin.wait_for_job(job)
        assert (done["state"], done["failed"]) == ("Completed", 0), done
        with self.ledger.doing("end of re-key", {("job", job): "Completed"}):
            pass


def under(key_id):
    """SSE-KMS under a key that is named."""
    write = SSE_KMS.write | {KMS_KEY_ID: key_id}
    return Mode(f"SSE-KMS {key_id}", write, answer={SSE: "aws:kms", KMS_KEY_ID: key_id})
