"""Where the attacks take place: a server with two tenants, users of narrow policies, and objects that must come through."""

import http.client
import json
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from attacks import calls, row
from harness import disk, leaks, sigv4
from harness.admin import Admin
from harness.oidc import CLIENT_ID, Scripted
from harness.raw import receive
from harness.server import Server
from harness.sse import KMS_KEY_ID, SSE, SSE_C
from harness.wire import Wire, signed

DOMAIN = "s3.attacked.test"
VICTIM, TENANT = "victim", "mallory"
# Who may do everything in another account.
OTHER_ROOT = "acme"
SETTLE_SECONDS = 5
LINE = re.compile(r"^\d{4}-\d\d-\d\dT|^\s*$|^ {4}|^Strongroom|^\s+\S")
MARK = leaks.register("the victims' mark", secrets.token_hex(16))
BODY = f"{MARK} is in the body of every object that no attacker may read".encode()


def allow(*actions, resource="*", **condition):
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    return statement | ({"Condition": condition} if condition else {})


def deny(*actions, resource="*", **condition):
    return allow(*actions, resource=resource, **condition) | {"Effect": "Deny"}


def tenant(name):
    """All of S3 on buckets of that name, and the use of keys of that name."""
    return [
        allow("s3:*", resource=[f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}-*", f"arn:aws:s3:::{name}/*", f"arn:aws:s3:::{name}-*/*"]),
        allow("kms:GenerateDataKey", "kms:Decrypt", resource=["arn:aws:kms:::key/default", f"arn:aws:kms:::key/{name}-*"]),
    ]


def only_if(**condition):
    """All of S3 where the condition holds; keys are no hindrance."""
    return [allow("s3:*", **condition), allow("kms:GenerateDataKey", "kms:Decrypt")]


USERS = {
    VICTIM: tenant(VICTIM),
    TENANT: tenant(TENANT),
    "nobody": [allow("s3:ListAllMyBuckets", resource="arn:aws:s3:::nothing")],
    "by-prefix": only_if(StringLike={"s3:prefix": "home/me/*"}),
    "by-delimiter": only_if(StringEquals={"s3:delimiter": "/"}),
    "by-encryption": only_if(StringEquals={f"s3:{SSE}": "AES256"}),
    "by-key": only_if(StringEquals={f"s3:{KMS_KEY_ID}": "mallory-key"}),
    "by-customer": only_if(StringEquals={f"s3:{SSE}-customer-algorithm": "AES256"}),
    "reader": [allow("s3:GetObject", resource="arn:aws:s3:::victim/public/*")],
    "keykeeper": [allow("kms:*", "strongroom:*"), deny("kms:GenerateDataKey", "kms:Decrypt")],
    "rekeyer": [
        allow("s3:*", "kms:*", "strongroom:RekeyObjects", "strongroom:GetRekeyJobs"),
        deny("kms:Decrypt", resource="arn:aws:kms:::key/victim-key"),
    ],
    "configurer": [allow("strongroom:ConfigureKms", "strongroom:GetKmsStatus")],
}
CONFIG = f"""domains = ["{DOMAIN}"]
allow_signature_v2_urls = true
body_idle_timeout_seconds = 5
request_header_timeout_seconds = 5
[kms]
ensure_keys = ["victim-key", "mallory-key"]
[[users]]
name = "{OTHER_ROOT}"
account = "111122223333"
account_root = true
access_key = "AKACME"
secret_key = "secret-of-acme-0123456789"
"""


# Roots of accounts, who administer keys of their own.
LANDLORDS = {"landlord-a": "111122223333", "landlord-b": "444455556666"}


def users_toml(users):
    """These users and their policies, for the configuration."""
    tables = []
    for name, statements in users.items():
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        tables.append(f"[[users]]\nname = '{name}'\naccess_key = '{access_key(name)}'\nsecret_key = '{secret_key(name)}'\npolicy = '{policy}'\n")
    return "".join(tables)


def landlords_toml():
    return "".join(
        f"[[users]]\nname = '{name}'\naccount = '{account}'\naccount_root = true\naccess_key = '{access_key(name)}'\nsecret_key = '{secret_key(name)}'\n"
        for name, account in LANDLORDS.items()
    )


def access_key(name):
    return "AK" + name.upper().replace("-", "")


def secret_key(name):
    return f"secret-of-{name}-0123456789"


@dataclass
class State:
    """What was seen at one moment; two of them are compared by name."""

    seen: dict
    log_bytes: int
    rss_bytes: int


class Field:
    """A server, what it holds, and the ways to send something to it."""

    def __init__(self, home, config=CONFIG, users=USERS, planted=True, landlords=False):
        self.provider = Scripted(Path(home).parent / "provider")
        more = users_toml(users) + (landlords_toml() if landlords else "")
        self.server = Server(home, config + self.provider.config + more).start()
        self.root = self.credentials("root")
        self.admin = Admin(self.server)
        self.context = self.server.raw()._context
        self.count = 0
        self._connections = {}
        if planted:
            self.plant()
        if landlords:
            self.plant_owned_key()
        self.planted = set(disk.blobs(self.server))
        self.calm_rss_bytes = self.rss_bytes()

    def credentials(self, user):
        if user == "root":
            return sigv4.Credentials(self.server.access_key, self.server.secret_key)
        return sigv4.Credentials(access_key(user), secret_key(user))

    def plant(self):
        """What the victim has: objects in several modes, an upload, and a bucket of the attacker beside it."""
        raw = self.server.raw()
        for bucket in (VICTIM, TENANT):
            raw.request("PUT", f"/{bucket}").ok()
        raw.put(VICTIM, calls.KEY, BODY, {"x-amz-meta-note": MARK, "content-type": "text/secret"}).ok()
        raw.put(VICTIM, "under-a-key", BODY, {SSE: "aws:kms", KMS_KEY_ID: "victim-key"}).ok()
        raw.put(VICTIM, "customer", BODY, SSE_C.write).ok()
        raw.put(VICTIM, "home/you/secret", BODY).ok()
        raw.put(VICTIM, "large", BODY * 4000).ok()
        raw.put(TENANT, "own", b"the attacker's own").ok()
        self.upload = raw.begin_upload(VICTIM, "upload")
        self.etag = raw.upload_part(VICTIM, "upload", self.upload, 1, BODY).ok().etag
        self.own_upload = raw.begin_upload(TENANT, "upload")
        self.plant_identities()

    def plant_owned_key(self):
        """A key that belongs to an account, a data key of it, and an object under it in the account's bucket."""
        admin, raw = self.admin_of("landlord-a"), self.raw("landlord-a")
        self.owned_key, self.owned_bucket = admin("POST", "/keys", {})["key_id"], "of-landlord-a"
        self.owned_blob = admin("POST", "/generate-data-key", {"key_id": self.owned_key})["ciphertext_blob"]
        raw.request("PUT", f"/{self.owned_bucket}").ok()
        raw.put(self.owned_bucket, "object", BODY, {SSE: "aws:kms", KMS_KEY_ID: self.owned_key}).ok()

    def plant_identities(self):
        """A user with an access key, a group, a role and a policy."""
        iam = self.server.boto(service="iam")
        document = json.dumps({"Version": "2012-10-17", "Statement": [allow("s3:ListAllMyBuckets")]})
        trust = [{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:user/iam-victim"}, "Action": "sts:AssumeRole"}]
        iam.create_user(UserName="iam-victim")
        self.victims_key = iam.create_access_key(UserName="iam-victim")["AccessKey"]
        leaks.register("the secret of iam-victim", self.victims_key["SecretAccessKey"])
        iam.create_group(GroupName="iam-group")
        iam.create_role(RoleName="iam-role", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": trust}))
        iam.create_policy(PolicyName="iam-policy", PolicyDocument=document)
        self.plant_provider(iam)

    def plant_provider(self, iam):
        """An identity provider, and a role for one of whom it knows."""
        provider = iam.create_open_id_connect_provider(Url=self.provider.url, ClientIDList=[CLIENT_ID])["OpenIDConnectProviderArn"]
        only = {"StringEquals": {f"{self.provider.host}:sub": "ada"}}
        trust = {"Effect": "Allow", "Principal": {"Federated": provider}, "Action": "sts:AssumeRoleWithWebIdentity", "Condition": only}
        iam.create_role(RoleName="sso-role", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}))

    def raw(self, user="root"):
        """A client of that user."""
        credentials = self.credentials(user)
        return self.server.raw(credentials.access_key, credentials.secret_key)

    def admin_of(self, user, prefix="/kms"):
        credentials = self.credentials(user)
        return Admin(self.server, prefix, credentials.access_key, credentials.secret_key)

    def close(self):
        for connection in self._connections.values():
            connection.close()
        assert self.server.stop() == 0
        self.server.remove()
        self.provider.stop()

    def new_name(self, prefix="mallory"):
        self.count += 1
        return f"{prefix}-{self.count}-{secrets.token_hex(3)}"

    # ---- requests

    @property
    def host(self):
        return f"127.0.0.1:{self.server.port}"

    def port(self, admin=False):
        return self.server.admin_port if admin else self.server.port

    def call(self, name, user="root", bucket=VICTIM, query=None, headers=None, **options):
        """That operation, signed by that user."""
        [found] = [call for call in self.calls(bucket) if call.name == name]
        found = found.also(query, headers)
        return self.signed(user, found.method, found.path, found.query, found.headers, found.body, **options)

    def calls(self, bucket=VICTIM):
        upload = self.upload if bucket == VICTIM else self.own_upload
        return calls.all_calls(bucket, upload, self.etag, self.new_name(f"{bucket}-new"))

    def signed(self, user, method, path, query=(), headers=None, body=b"", admin=False, host=None, **options):
        return signed(self.credentials(user), host or f"127.0.0.1:{self.port(admin)}", method, path, query, headers, body, **options)

    def send(self, request, admin=False, tls=True, head_only=False):
        """The first answer. `head_only`: the body is announced and never sent, so it is answered for its headers."""
        with self.wire(admin, tls) as wire:
            return wire.send(request.head() if head_only else request.encode()).receive(request.method).reply

    def exchange(self, *pieces, admin=False, tls=True):
        """All that is answered to these bytes."""
        with self.wire(admin, tls) as wire:
            return wire.send(*pieces).receive_all()

    def wire(self, admin=False, tls=True, **options):
        return Wire(self.port(admin), self.context if tls else None, **options)

    # ---- what must stay as it was

    def alive(self):
        return self.server.process.poll() is None

    def state(self, checks, known=None):
        """What can be seen now of what those checks are about; what is known already is not looked at again."""
        looks = {row.IDENTITIES: self._identities, row.STORE: self._store, row.KEYS: self._keys, row.FILES: lambda: set(disk.blobs(self.server))}
        known = known or {}
        seen = {check: known[check] if check in known else looks[check]() for check in checks if check in looks}
        return State(seen, self.server.log.stat().st_size, self.rss_bytes())

    def assert_unchanged(self, before, checks, replies):
        assert self.alive(), f"the server is dead:\n{self.server.log_text()[-1500:]}"
        # What a refused write left on the disk goes as soon as the server notices.
        deadline = time.monotonic() + SETTLE_SECONDS
        while (changed := self._changed(before, after := self.state(checks))) and time.monotonic() < deadline:
            time.sleep(0.05)
        for check in changed:
            raise AssertionError(f"changed: {check}\n{before.seen[check]}\n{after.seen[check]}")
        if row.LOG in checks:
            self._assert_log(before.log_bytes)
        if row.SECRETS in checks:
            for reply in replies:
                assert MARK.encode() not in reply.body and MARK not in repr(reply.headers), "the attacker was shown what is the victim's"
        if row.MEMORY in checks:
            grown = after.rss_bytes - before.rss_bytes
            assert grown < row.MAX_GROWTH_BYTES, f"memory grew by {grown >> 20} MiB"

    def _changed(self, before, after):
        """The checks that do not hold. What others deleted may be swept meanwhile, so of files only new ones count, and the victims'."""
        changed = [check for check in before.seen if check != row.FILES and after.seen[check] != before.seen[check]]
        if row.FILES in before.seen and not self.planted <= after.seen[row.FILES] <= before.seen[row.FILES] | self.planted:
            changed.append(row.FILES)
        return changed

    def _assert_log(self, offset):
        with open(self.server.log, "rb") as log:
            log.seek(offset)
            text = log.read().decode(errors="replace")
        assert "panicked" not in text, text
        for line in text.split("\n"):
            assert LINE.match(line), f"a line that the server did not write: {line!r}"
            assert " ERROR " not in line, line
            assert MARK not in line, line

    def rss_bytes(self):
        pages = int(open(f"/proc/{self.server.process.pid}/statm").read().split()[1])
        return pages * 4096

    def _store(self):
        """Everything that S3 tells of the buckets that were there in the beginning."""
        names = self._get("/")
        seen = {"buckets": re.findall(rb"<Name>([^<]*)</Name>", names)}
        for bucket in (VICTIM, TENANT):
            for what in ("versions", "uploads", "encryption"):
                seen[f"{bucket}?{what}"] = re.sub(rb"<RequestId>.*", b"", self._get(f"/{bucket}", {what: ""}))
        for key, headers in ((calls.KEY, {}), ("under-a-key", {}), ("customer", SSE_C.read), ("home/you/secret", {})):
            seen[key] = self._get(f"/{VICTIM}/{key}", headers=headers)
        seen["parts"] = re.sub(rb"<RequestId>.*", b"", self._get(f"/{VICTIM}/upload", {"uploadId": self.upload}))
        return seen

    def _identities(self):
        iam = self.server.boto(service="iam")
        seen = [iam.list_users()["Users"], iam.list_groups()["Groups"], iam.list_roles()["Roles"], iam.list_policies(Scope="Local")["Policies"]]
        return [*seen, iam.list_access_keys(UserName="iam-victim")["AccessKeyMetadata"], iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]]

    def _keys(self):
        return {"status": json.loads(self._get("/kms/status", admin=True)).get("status"), "keys": self._get("/kms/keys", {"limit": "1000"}, admin=True)}

    def _get(self, path, query=(), headers=None, admin=False):
        """The body of root's GET, over a connection that is kept: these are asked for after every row."""
        request = self.signed("root", "GET", path, query, headers, admin=admin)
        for fresh in (False, True):
            try:
                connection = self._connection(admin, fresh)
                connection.putrequest("GET", request.target, skip_host=True, skip_accept_encoding=True)
                for name, value in request.headers:
                    connection.putheader(name, value)
                connection.endheaders()
                return receive(connection).body
            except (OSError, http.client.HTTPException):
                if fresh:
                    raise
        raise AssertionError("unreachable")

    def _connection(self, admin, fresh):
        if fresh or admin not in self._connections:
            self._connections[admin] = http.client.HTTPSConnection("127.0.0.1", self.port(admin), context=self.context, timeout=30)
        return self._connections[admin]
