"""Keys that belong to accounts: their policies and grants, over S3 with boto3, over the admin API and from the command line."""

import contextlib
import json
from urllib.parse import parse_qsl, urlsplit

import pytest
from botocore.exceptions import ClientError

from harness import disk, forms
from harness.admin import Admin, Kms
from harness.audit import AuditLog
from harness.iam import allow, client, code, new_user
from harness.raw import RawClient
from harness.server import Server
from harness.sse import KMS_KEY_ID, SSE

A, B = "111122223333", "444455556666"
KMS = {"ServerSideEncryption": "aws:kms"}
PART = b"x" * (5 << 20)


def account_root(account):
    return f"""
[[users]]
name = "root-{account}"
account = "{account}"
account_root = true
access_key = "AKROOT{account}"
secret_key = "secret-of-root-{account}"
"""


def keys_of(account):
    return {"AccessKeyId": f"AKROOT{account}", "SecretAccessKey": f"secret-of-root-{account}"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("key-policies"), account_root(A) + account_root(B)).start()
    yield server
    server.stop()
    server.remove()


def raw_keys(server, keys):
    return tuple(keys.values()) if keys else (server.access_key, server.secret_key)


def admin_of(server, account):
    keys = keys_of(account)
    return Admin(server, access_key=keys["AccessKeyId"], secret_key=keys["SecretAccessKey"])


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def statement(principal, *actions, effect="Allow", **condition):
    found = {"Effect": effect, "Principal": {"AWS": principal}, "Action": list(actions), "Resource": "*"}
    return found | ({"Condition": condition} if condition else {})


class Tenant:
    """Account A: its root, a key of its own, a bucket, and an object under the key."""

    def __init__(self, server, bucket):
        self.server, self.bucket = server, bucket
        self.admin, self.s3, self.iam = admin_of(server, A), client(server, "s3", keys_of(A)), client(server, "iam", keys_of(A))
        self.key = self.admin("POST", "/keys", {})["key_id"]
        self.s3.create_bucket(Bucket=bucket)
        self.s3.put_object(Bucket=bucket, Key="object", Body=b"the tenant's", SSEKMSKeyId=self.key, **KMS)

    def put_policy(self, *statements, **more):
        self.admin("POST", "/keys/policy", {"key_id": self.key, "policy": policy(*statements)} | more)


@pytest.fixture
def tenant(server, request):
    return Tenant(server, f"t-{abs(hash(request.node.name)) % 10**12}")


def uses(s3, bucket, key, sse, name):
    """Every way in which a client of S3 uses a key, by name; each takes only the right to the key."""
    headers = KMS | {"SSEKMSKeyId": key}
    source = {"Bucket": bucket, "Key": "object"}
    return {
        "put": lambda: s3.put_object(Bucket=bucket, Key=name, Body=b"x", **headers),
        "put with a bucket key": lambda: s3.put_object(Bucket=bucket, Key=name, Body=b"x", BucketKeyEnabled=True, **headers),
        "put in two layers": lambda: s3.put_object(Bucket=bucket, Key=name, Body=b"x", ServerSideEncryption="aws:kms:dsse", SSEKMSKeyId=key),
        "create an upload": lambda: s3.create_multipart_upload(Bucket=bucket, Key=name, **headers),
        "upload a part": lambda: s3.upload_part(Bucket=bucket, Key="upload", UploadId=sse["upload"], PartNumber=2, Body=b"x"),
        "complete": lambda: s3.complete_multipart_upload(Bucket=bucket, Key="upload", UploadId=sse["upload"], MultipartUpload={"Parts": [sse["part"]]}),
        "get": lambda: s3.get_object(Bucket=bucket, Key="object")["Body"].read(),
        "head with the checksum": lambda: s3.get_object_attributes(Bucket=bucket, Key="object", ObjectAttributes=["Checksum"]),
        "copy from it": lambda: s3.copy_object(Bucket=bucket, Key=name, CopySource=source, ServerSideEncryption="AES256"),
        "copy to it": lambda: s3.copy_object(Bucket=bucket, Key=name, CopySource={"Bucket": bucket, "Key": "plain"}, **headers),
        "update its encryption": lambda: s3.update_object_encryption(
            Bucket=bucket, Key="object", ObjectEncryption={"SSEKMS": {"KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/default"}}
        ),
    }


def prepared(tenant):
    tenant.s3.put_object(Bucket=tenant.bucket, Key="plain", Body=b"plain", ServerSideEncryption="AES256")
    upload = tenant.s3.create_multipart_upload(Bucket=tenant.bucket, Key="upload", SSEKMSKeyId=tenant.key, **KMS)["UploadId"]
    part = tenant.s3.upload_part(Bucket=tenant.bucket, Key="upload", UploadId=upload, PartNumber=1, Body=PART)
    return {"upload": upload, "part": {"PartNumber": 1, "ETag": part["ETag"]}}


# ---- who may use a key


def test_the_store_s_root_uses_no_key_of_a_tenant_on_any_path(server, tenant):
    sse, root = prepared(tenant), client(server, "s3")
    calls = uses(root, tenant.bucket, tenant.key, sse, "of-root")
    assert root.head_object(Bucket=tenant.bucket, Key="plain")["ServerSideEncryption"] == "AES256", "root has every right to the bucket"
    for name, call in calls.items():
        if name == "update its encryption" and not hasattr(root, "update_object_encryption"):
            continue
        assert code(call) == ("AccessDenied", 403), name
    root.put_bucket_encryption(
        Bucket=tenant.bucket,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": tenant.key}}]
        },
    )
    assert code(root.put_object, Bucket=tenant.bucket, Key="by-default", Body=b"x") == ("AccessDenied", 403)
    assert tenant.s3.put_object(Bucket=tenant.bucket, Key="by-default", Body=b"x")["SSEKMSKeyId"] == tenant.key
    assert tenant.s3.get_object(Bucket=tenant.bucket, Key="object")["Body"].read() == b"the tenant's"


def test_presigned_urls_and_forms_are_decided_by_who_signed_them(server, tenant):
    for keys, expected in [(None, 403), (keys_of(A), 200)]:
        raw = RawClient(server.port, server.ca, *raw_keys(server, keys))
        s3 = server.boto(*raw_keys(server, keys), signature_version="s3v4")
        url = urlsplit(s3.generate_presigned_url("get_object", Params={"Bucket": tenant.bucket, "Key": "object"}))
        assert raw.request("GET", url.path, query=dict(parse_qsl(url.query)), sign=False).status == expected
        fields = {"key": "by-form", SSE: "aws:kms", KMS_KEY_ID: tenant.key}
        form = forms.signed(raw.credentials, forms.exactly(tenant.bucket, fields), fields)
        assert forms.post(raw, tenant.bucket, form).status == (204 if expected == 200 else 403)


def test_a_re_key_job_of_root_leaves_a_tenant_s_objects_alone(server, tenant):
    root = Admin(server)
    tenant.s3.put_object(Bucket=tenant.bucket, Key="plain", Body=b"plain", ServerSideEncryption="AES256")
    root.fails(403, "POST", "/rekey", {"from_key": tenant.key, "to_key": "default"})
    root.fails(403, "POST", "/rekey", {"bucket": tenant.bucket, "to_key": tenant.key})
    job = root.rekey(bucket=tenant.bucket, to_key="default")
    assert (job["state"], job["done"], job["skipped"], job["failed"]) == ("CompletedWithErrors", 0, 1, 1), job
    assert tenant.s3.head_object(Bucket=tenant.bucket, Key="object")["SSEKMSKeyId"] == tenant.key


def test_within_the_account_policies_of_users_count_where_the_key_s_policy_leaves_it_to_the_account(server, tenant):
    may = client(server, "s3", new_user(tenant.iam, f"may-{tenant.bucket}", allow("s3:*", "kms:Decrypt")))
    may_not = client(server, "s3", new_user(tenant.iam, f"not-{tenant.bucket}", allow("s3:*")))

    def read(s3):
        try:
            return s3.get_object(Bucket=tenant.bucket, Key="object")["Body"].read()
        except ClientError as error:
            return error.response["Error"]["Code"]

    assert (read(may), read(may_not)) == (b"the tenant's", "AccessDenied")
    own = f"arn:aws:iam::{A}:root"
    named = f"arn:aws:iam::{A}:user/not-{tenant.bucket}"
    tenant.put_policy(statement(own, "kms:PutKeyPolicy", "kms:GetKeyPolicy"), statement(named, "kms:Decrypt"))
    assert (read(may), read(may_not), read(tenant.s3)) == ("AccessDenied", b"the tenant's", "AccessDenied")
    tenant.put_policy(statement(own, "kms:*"), statement("*", "kms:Decrypt", effect="Deny"))
    assert {read(may), read(may_not), read(tenant.s3)} == {"AccessDenied"}
    here = {"StringLike": {"kms:EncryptionContext:aws:s3:arn": f"arn:aws:s3:::{tenant.bucket}/obj*"}}
    tenant.put_policy(statement(own, "kms:PutKeyPolicy"), statement(own, "kms:Decrypt", **here))
    assert read(may) == b"the tenant's"
    tenant.put_policy(statement(own, "kms:PutKeyPolicy"), statement(own, "kms:Decrypt", StringEquals={"kms:ViaService": "ec2.amazonaws.com"}))
    assert read(may) == "AccessDenied"


def test_another_account_needs_the_key_s_policy_and_its_own(server, tenant):
    iam = client(server, "iam", keys_of(B))
    both = client(server, "s3", new_user(iam, f"both-{tenant.bucket}", allow("s3:*", "kms:*")))
    one = client(server, "s3", new_user(iam, f"one-{tenant.bucket}", allow("s3:*")))
    in_bucket = {"Effect": "Allow", "Principal": {"AWS": B}, "Action": "s3:*", "Resource": [f"arn:aws:s3:::{tenant.bucket}/*"]}
    tenant.s3.put_bucket_policy(Bucket=tenant.bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [in_bucket]}))
    where = {"Bucket": tenant.bucket, "Key": "object"}
    assert code(both.get_object, **where) == ("AccessDenied", 403), "the bucket is open, the key is not"
    tenant.put_policy(statement(f"arn:aws:iam::{A}:root", "kms:*"), statement(f"arn:aws:iam::{B}:root", "kms:Decrypt"))
    assert both.get_object(**where)["Body"].read() == b"the tenant's"
    assert code(one.get_object, **where) == ("AccessDenied", 403)
    assert code(both.put_object, Bucket=tenant.bucket, Key="new", Body=b"x", SSEKMSKeyId=tenant.key, **KMS) == ("AccessDenied", 403)


def test_a_grant_opens_a_key_for_one_user_until_it_is_revoked(server, tenant):
    name = f"granted-{tenant.bucket}"
    s3 = client(server, "s3", new_user(tenant.iam, name, allow("s3:*")))
    where = {"Bucket": tenant.bucket, "Key": "object"}
    assert code(s3.get_object, **where) == ("AccessDenied", 403)
    context = {"encryption_context_subset": {"aws:s3:arn": f"arn:aws:s3:::{tenant.bucket}/object"}}
    grant = {"key_id": tenant.key, "grantee_principal": f"arn:aws:iam::{A}:user/{name}", "operations": ["Decrypt"], "constraints": context}
    grant_id = tenant.admin("POST", "/keys/grants", grant)["grant_id"]
    assert s3.get_object(**where)["Body"].read() == b"the tenant's"
    tenant.s3.put_object(Bucket=tenant.bucket, Key="other", Body=b"x", SSEKMSKeyId=tenant.key, **KMS)
    assert code(s3.get_object, Bucket=tenant.bucket, Key="other") == ("AccessDenied", 403), "the grant is for one object"
    tenant.admin("POST", "/keys/grants/revoke", {"key_id": tenant.key, "grant_id": grant_id})
    assert code(s3.get_object, **where) == ("AccessDenied", 403)


# ---- who administers a key


def test_root_stops_and_ends_a_tenant_s_key_and_can_give_itself_nothing(server, tenant):
    root = Admin(server)
    by_id = {"key_id": tenant.key}
    made = tenant.admin("POST", "/generate-data-key", by_id)
    root.fails(403, "POST", "/generate-data-key", by_id)
    root.fails(403, "POST", "/decrypt", {"ciphertext_blob": made["ciphertext_blob"]})
    root.fails(403, "POST", "/keys/policy", by_id | {"policy": policy(statement("*", "kms:*"))})
    root.fails(403, "POST", "/keys/grants", by_id | {"grantee_principal": "arn:aws:iam::000000000000:root", "operations": ["Decrypt"]})
    assert root.fails(409, "POST", "/reconfigure", {"default_key_id": tenant.key})["code"] == "OwnedKey"
    assert root("GET", f"/keys/{tenant.key}/policy")["account"] == A
    root.change("disable", tenant.key)
    assert code(tenant.s3.get_object, Bucket=tenant.bucket, Key="object")[0] == "KMS.DisabledException"
    root.change("enable", tenant.key)
    assert tenant.s3.get_object(Bucket=tenant.bucket, Key="object")["Body"].read() == b"the tenant's"


def test_the_rest_of_administration_is_closed_to_a_tenant(server, tenant):
    for prefix in ["/kms", "/strongroom/admin/v1/kms", "/rustfs/admin/v3/kms"]:
        admin = Admin(server, prefix, *keys_of(A).values())
        for method, path, body in [
            ("GET", "/status", None),
            ("GET", "/inventory", None),
            ("POST", "/stop", None),
            ("POST", "/restore", {"bundle": "", "passphrase": "x"}),
            ("GET", "/keys/default", None),
            ("POST", "/keys/disable", {"key_id": "default"}),
            ("POST", "/generate-data-key", {"key_id": "default"}),
            ("DELETE", "/keys/delete", {"key_id": "default"}),
        ]:
            assert admin.fails(403, method, path, body)["code"] == "AccessDenied", f"{prefix}{path}"
    assert tenant.key in [key["key_id"] for key in tenant.admin("GET", "/keys")["keys"]]
    assert tenant.key not in [key["key_id"] for key in admin_of(server, B)("GET", "/keys")["keys"]]


def test_a_key_s_policy_and_grants_from_the_command_line(server, tmp_path):
    kms = Kms(server, tmp_path / "home")
    for account in (A, B):
        secret = kms.home / f"secret-{account}"
        secret.touch(mode=0o600)
        secret.write_text(keys_of(account)["SecretAccessKey"])
        kms.configure(account, server, keys_of(account)["AccessKeyId"], secret)
    key = kms.json(f"key create cli-{A} --owner {A} --description payroll")["key_id"]
    shown = kms.json(f"--profile {A} key policy get {key}")
    assert shown["account"] == A and json.loads(shown["policy"])["Statement"][0]["Action"] == "kms:*"
    assert f"account: {A}" in kms(f"--profile {A} key policy get {key}").stdout
    shut = tmp_path / "shut.json"
    shut.write_text(policy(statement(f"arn:aws:iam::{A}:role/backup", "kms:*")))
    refused = kms(f"--profile {A} key policy put {key} {shut}", status=2).stderr
    assert "could not change the policy of the key any more" in refused
    own = tmp_path / "own.json"
    own.write_text(policy(statement(f"arn:aws:iam::{A}:root", "kms:*")))
    kms(f"--profile {A} key policy put {key} {own}")
    kms(f"--profile {B} key policy put {key} {own}", status=4)
    kms(f"key policy put {key} {own}", status=4)
    granted = f"--profile {A} key grant create {key} --to arn:aws:iam::{A}:user/dora --operation Decrypt --operation RetireGrant"
    one = kms.json(f"{granted} --retiring arn:aws:iam::{B}:root --context team=a --exact --name one")["grant_id"]
    assert kms.json(f"{granted} --retiring arn:aws:iam::{B}:root --context team=a --exact --name one")["grant_id"] == one
    listed = kms.json(f"--profile {A} key grant list {key}")["grants"]
    assert [(grant["grant_id"], grant["constraints"]) for grant in listed] == [(one, {"encryption_context_equals": {"team": "a"}})]
    assert kms.json(f"--profile {A} key grant retirable arn:aws:iam::{B}:root")["grants"][0]["grant_id"] == one
    kms(f"--profile {A} key grant create {key} --to nobody --operation Decrypt", status=2)
    kms(f"--profile {B} key grant revoke {key} {one}", status=4)
    kms(f"--profile {B} key grant retire {key} {one}")
    kms(f"--profile {A} key grant revoke {key} {one}", status=3)
    kms(f"--profile {A} key create named", status=2)
    mine = kms.json(f"--profile {A} key create --policy {own}")["key_id"]
    assert {key, mine} <= {row["key_id"] for row in kms.json(f"--profile {A} key list")["keys"]}
    kms(f"--profile {A} key delete {mine} --now --confirm {mine}")
    kms(f"--profile {A} key delete {key} --pending-days 7")


# ---- what keeps it


def test_rules_outlive_a_restart_and_their_removal_from_the_disk_opens_nothing(new_server):
    server = new_server(account_root(A))
    tenant = Tenant(server, "kept")
    root = client(server, "s3")
    data_key = tenant.admin("POST", "/generate-data-key", {"key_id": tenant.key})["ciphertext_blob"]
    assert server.stop() == 0
    server.start()
    where = {"Bucket": tenant.bucket, "Key": "object"}
    assert code(client(server, "s3").get_object, **where) == ("AccessDenied", 403)
    assert server.stop() == 0
    with contextlib.closing(disk.catalog(server)) as catalog:
        assert catalog.execute("DELETE FROM entities WHERE kind IN (7, 8)").rowcount == 2
        catalog.execute("DELETE FROM entity_refs WHERE kind IN (7, 8)")
        catalog.commit()
    server.start()
    root, tenants = client(server, "s3"), client(server, "s3", keys_of(A))
    # Without its rules the key looks like one of the store's own, to which a tenant has no right and root has every one.
    for s3, refused in ((root, ("InternalError", 500)), (tenants, ("AccessDenied", 403))):
        assert code(s3.get_object, **where) == refused
        assert code(s3.put_object, Bucket=tenant.bucket, Key="new", Body=b"x", SSEKMSKeyId=tenant.key, **KMS) == refused
    Admin(server).fails(500, "POST", "/decrypt", {"ciphertext_blob": data_key})
    Admin(server).fails(409, "POST", "/keys/policy", {"key_id": tenant.key, "policy": policy(statement("*", "kms:*"))})
    assert server.metric("strongroom_integrity_events_total") >= 2
    root.put_object(Bucket=tenant.bucket, Key="default", Body=b"x", ServerSideEncryption="AES256")


def test_altered_rules_open_nothing(new_server):
    server = new_server(account_root(A) + account_root(B))
    tenant = Tenant(server, "altered")
    other = admin_of(server, B)("POST", "/keys", {})["key_id"]
    assert server.stop() == 0
    with contextlib.closing(disk.catalog(server)) as catalog:
        records = dict(catalog.execute("SELECT name, record FROM entities WHERE kind = 7").fetchall())
        record = records.get(other) or records[other.encode()]
        assert catalog.execute("UPDATE entities SET record = ? WHERE kind = 7 AND name = ?", (record, tenant.key)).rowcount == 1
        catalog.commit()
    server.start()
    for keys in (None, keys_of(A), keys_of(B)):
        assert code(client(server, "s3", keys).get_object, Bucket=tenant.bucket, Key="object")[1] in (403, 500)
    assert code(client(server, "s3", keys_of(A)).get_object, Bucket=tenant.bucket, Key="object") == ("InternalError", 500)


def test_the_audit_log_tells_each_refused_use(server, tenant):
    log = AuditLog(server)
    refused = server.raw().get(tenant.bucket, "object").fails(403, "AccessDenied")
    read = client(server, "s3", keys_of(A)).get_object(Bucket=tenant.bucket, Key="object")
    assert read["Body"].read() == b"the tenant's"
    told = [(event["who"], event["key_id"], event["outcome"]) for event in log.events() if event.get("key_id") == tenant.key]
    assert told[-2:] == [("root", tenant.key, {"error": "KmsAccessDenied"}), (f"root-{A}", tenant.key, "ok")], (told, refused.body)


def test_a_start_with_a_tenant_s_key_as_the_default_key_is_refused(new_server):
    server = new_server(account_root(A))
    key = admin_of(server, A)("POST", "/keys", {})["key_id"]
    assert server.stop() == 0
    server.config = f'[kms]\ndefault_key_id = "{key}"\n' + account_root(A)
    with pytest.raises(RuntimeError, match=f"the KMS key {key} belongs to the account {A}"):
        server.start()
