"""Keys that belong to an account: every call about such a key, and the object under it, by root, by who administers keys, and by another account."""

import json

from attacks.row import ADMIN, ALLOWED, TENANT, Row, refused
from harness.sse import KMS_KEY_ID, SSE

DENIED = refused(403, "AccessDenied")
OPEN = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}]}
EVERYBODY = "arn:aws:iam::000000000000:root"


def by_id(key, **more):
    return {"key_id": key} | more


# What gives a key away, or its data: nobody but the account does it.
USES = {
    "making a data key": ("POST", "/generate-data-key", by_id),
    "opening a data key": ("POST", "/decrypt", lambda key: {"ciphertext_blob": "@blob"}),
    "another policy": ("POST", "/keys/policy", lambda key: by_id(key, policy=json.dumps(OPEN))),
    "another policy that shuts out": ("POST", "/keys/policy", lambda key: by_id(key, policy=json.dumps(OPEN), bypass_policy_lockout_safety_check=True)),
    "a grant": ("POST", "/keys/grants", lambda key: by_id(key, grantee_principal=EVERYBODY, operations=["Decrypt"])),
    "revoking a grant": ("POST", "/keys/grants/revoke", lambda key: by_id(key, grant_id="0")),
    "retiring a grant": ("POST", "/keys/grants/retire", lambda key: by_id(key, grant_id="0")),
    "a job out of it": ("POST", "/rekey", lambda key: {"from_key": key, "to_key": "default"}),
    "a job under it": ("POST", "/rekey", lambda key: {"to_key": key}),
}
# What whoever runs the store may do as well, and no other account.
ADMINISTRATION = {
    "disabling": ("POST", "/keys/disable", by_id),
    "rotating": ("POST", "/keys/rotate", by_id),
    "sealing": ("POST", "/keys/seal", by_id),
    "tagging": ("POST", "/keys/tag", lambda key: by_id(key, tags={"a": "b"})),
    "deleting": ("DELETE", "/keys/delete", by_id),
    "destroying": ("DELETE", "/keys/delete", lambda key: by_id(key, force_immediate=True, confirm_key_id=key)),
    "describing": ("GET", "/keys/@key", None),
    "its policy": ("GET", "/keys/@key/policy", None),
    "its grants": ("GET", "/keys/@key/grants", None),
}


def admin(user, method, path, body, prefix="/kms"):
    def attack(field):
        payload = b"" if body is None else json.dumps(body(field.owned_key)).replace("@blob", field.owned_blob).encode()
        target = prefix + path.replace("@key", field.owned_key)
        headers = {"content-type": "application/json"} if payload else {}
        request = field.signed(user, method, target, headers=headers, body=payload, admin=prefix == "/kms")
        return field.send(request, admin=prefix == "/kms")

    return attack


def on_object(user, method, name, **more):
    def attack(field):
        headers = {name: value.replace("@key", field.owned_key) for name, value in more.get("headers", {}).items()}
        return field.send(field.signed(user, method, f"/{field.owned_bucket}/{name}", headers=headers, body=more.get("body", b"")))

    return attack


UNDER_IT = {SSE: "aws:kms", KMS_KEY_ID: "@key"}

ROWS = [
    *(
        Row(f"{what} of an account's key by {user} is refused ({prefix})", 0, attacker, admin(user, *call, prefix), DENIED)
        for what, call in USES.items()
        for user, attacker in (("root", ADMIN), ("keykeeper", ADMIN), ("landlord-b", TENANT))
        for prefix in ("/kms", "/strongroom/admin/v1/kms")
    ),
    *(
        Row(f"{what} of an account's key by {user} is refused", 0, attacker, admin(user, *call), DENIED)
        for what, call in ADMINISTRATION.items()
        for user, attacker in (("keykeeper", ADMIN), ("landlord-b", TENANT))
    ),
    *(
        Row(f"{what} of the store's own key by the root of an account is refused", 0, TENANT, admin("landlord-a", method, path, body), DENIED)
        for what, (method, path, body) in {
            what: (method, path.replace("@key", "victim-key"), body and (lambda _, body=body: body("victim-key")))
            for what, (method, path, body) in (USES | ADMINISTRATION).items()
            if what != "opening a data key"
        }.items()
    ),
    Row("reading what lies under an account's key as root is refused", 0, ADMIN, on_object("root", "GET", "object"), DENIED),
    Row("writing under an account's key as root is refused", 0, ADMIN, on_object("root", "PUT", "new", headers=UNDER_IT, body=b"x"), DENIED),
    Row("making an account's key the default key is refused", 0, ADMIN, admin("root", "POST", "/reconfigure", lambda key: {"default_key_id": key}), refused(409, "OwnedKey")),
    Row("taking the mark of its owner from a key is refused", 0, ADMIN, admin("root", "POST", "/keys/untag", lambda key: by_id(key, tag_keys=["strongroom:owner"])), refused(400, "InvalidRequest")),
    Row("the account itself reads its policy", 0, TENANT, admin("landlord-a", *ADMINISTRATION["its policy"]), ALLOWED),
]
