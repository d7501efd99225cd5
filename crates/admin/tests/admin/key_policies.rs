//! Keys that belong to accounts: who makes, sees, changes and uses them over the API.

use serde_json::{Value, json};
use strongroom_admin::Signer;

use crate::rig::{Answered, Rig, allowing, root, root_of, user, user_of};

const A: &str = "111122223333";
const B: &str = "444455556666";

impl Rig {
    async fn by(&self, signer: &Signer, method: &str, path: &str, body: Value) -> Answered {
        self.send(method, path, if body.is_null() { String::new() } else { body.to_string() }, signer.clone()).await
    }

    async fn made_by(&self, signer: &Signer, body: Value) -> String {
        let made = self.by(signer, "POST", "/kms/keys", body).await;
        assert_eq!(made.status, 200, "{made:?}");
        made.json["key_id"].as_str().unwrap().to_owned()
    }

    async fn status(&self, signer: &Signer, method: &str, path: &str, body: Value) -> (u16, String) {
        let answered = self.by(signer, method, path, body).await;
        (answered.status, answered.json["code"].as_str().unwrap_or_default().to_owned())
    }

    async fn listed_by(&self, signer: &Signer) -> Vec<String> {
        let listed = self.by(signer, "GET", "/kms/keys", Value::Null).await;
        assert_eq!(listed.status, 200, "{listed:?}");
        listed.json["keys"].as_array().unwrap().iter().map(|key| key["key_id"].as_str().unwrap().to_owned()).collect()
    }
}

fn denied() -> (u16, String) {
    (403, "AccessDenied".to_owned())
}

fn policy(statements: &Value) -> String {
    json!({"Version": "2012-10-17", "Statement": statements}).to_string()
}

fn allow(principal: &str, actions: &Value) -> Value {
    json!({"Effect": "Allow", "Principal": {"AWS": principal}, "Action": actions, "Resource": "*"})
}

#[tokio::test]
async fn an_account_makes_uses_and_ends_keys_of_its_own_which_no_other_account_sees() {
    let rig = Rig::new().await;
    let (tenant, other) = (root_of(A), root_of(B));
    let key = rig.made_by(&tenant, json!({"Description": "ours"})).await;
    assert_eq!((rig.listed_by(&tenant).await, rig.listed_by(&other).await), (vec![key.clone()], Vec::new()));
    let by_id = json!({"key_id": key});
    let made = rig.by(&tenant, "POST", "/kms/generate-data-key", by_id.clone()).await;
    assert_eq!(made.status, 200, "{made:?}");
    let blob = json!({"ciphertext_blob": made.json["ciphertext_blob"]});
    assert_eq!(rig.by(&tenant, "POST", "/kms/decrypt", blob.clone()).await.json["plaintext_key"], made.json["plaintext_key"]);
    let path = format!("/kms/keys/{key}");
    for (method, path, body) in [
        ("GET", path.as_str(), Value::Null),
        ("GET", &format!("{path}/policy"), Value::Null),
        ("GET", &format!("{path}/grants"), Value::Null),
        ("POST", "/kms/generate-data-key", by_id.clone()),
        ("POST", "/kms/decrypt", blob.clone()),
        ("POST", "/kms/keys/disable", by_id.clone()),
        ("POST", "/kms/keys/rotate", by_id.clone()),
        ("DELETE", "/kms/keys/delete", by_id.clone()),
        ("POST", "/kms/keys/policy", json!({"key_id": key, "policy": policy(&json!([allow("*", &json!("kms:*"))]))})),
        ("POST", "/kms/keys/grants", json!({"key_id": key, "grantee_principal": B, "operations": ["Decrypt"]})),
    ] {
        assert_eq!(rig.status(&other, method, path, body).await, denied(), "{method} {path}");
    }
    for change in ["disable", "enable", "seal", "unseal", "rotate"] {
        assert_eq!(rig.by(&tenant, "POST", &format!("/kms/keys/{change}"), by_id.clone()).await.status, 200, "{change}");
    }
    let now = json!({"key_id": key, "force_immediate": true, "confirm_key_id": key});
    assert_eq!(rig.by(&tenant, "DELETE", "/kms/keys/delete", now).await.status, 200);
    assert!(rig.listed_by(&tenant).await.is_empty() && rig.owned.find(&key).await.unwrap().is_none());
    assert_eq!(rig.status(&tenant, "POST", "/kms/generate-data-key", by_id).await, denied());
}

#[tokio::test]
async fn the_store_s_root_administers_a_tenant_s_key_and_gets_nothing_out_of_it() {
    let rig = Rig::new().await;
    let (tenant, admin) = (root_of(A), user(&allowing(&["*"])));
    let key = rig.made_by(&tenant, json!({})).await;
    let by_id = json!({"key_id": key});
    let made = rig.by(&tenant, "POST", "/kms/generate-data-key", by_id.clone()).await;
    let opens = policy(&json!([allow("000000000000", &json!("kms:*"))]));
    for signer in [root(), admin.clone()] {
        for (path, body) in [
            ("/kms/generate-data-key", by_id.clone()),
            ("/kms/decrypt", json!({"ciphertext_blob": made.json["ciphertext_blob"]})),
            ("/kms/keys/policy", json!({"key_id": key, "policy": opens})),
            ("/kms/keys/grants", json!({"key_id": key, "grantee_principal": "000000000000", "operations": ["Decrypt"]})),
        ] {
            assert_eq!(rig.status(&signer, "POST", path, body).await, denied(), "{path}");
        }
    }
    assert_eq!(rig.status(&root(), "GET", &format!("/minio/kms/v1/key/status?key-id={key}"), Value::Null).await, denied());
    assert!(rig.listed_by(&root()).await.contains(&key) && !rig.listed_by(&admin).await.contains(&key));
    let described = rig.ok("GET", &format!("/kms/keys/{key}/policy"), Value::Null).await;
    assert_eq!(described["account"], A);
    for change in ["disable", "enable", "rotate"] {
        rig.ok("POST", &format!("/kms/keys/{change}"), by_id.clone()).await;
        assert_eq!(rig.status(&admin, "POST", &format!("/kms/keys/{change}"), by_id.clone()).await, denied(), "{change}");
    }
    let untag = json!({"key_id": key, "tag_keys": ["strongroom:owner"]});
    rig.refused("POST", "/kms/keys/untag", untag, 400, "InvalidRequest").await;
    rig.ok("DELETE", "/kms/keys/delete", by_id.clone()).await;
    rig.ok("POST", "/kms/keys/cancel-deletion", by_id).await;
}

#[tokio::test]
async fn administration_of_the_store_is_closed_to_every_other_account() {
    let rig = Rig::new().await;
    let own = rig.made_by(&root_of(A), json!({})).await;
    for (method, path, body) in [
        ("GET", "/kms/status", Value::Null),
        ("GET", "/kms/config", Value::Null),
        ("GET", "/kms/backends", Value::Null),
        ("GET", "/kms/inventory", Value::Null),
        ("GET", "/kms/keys/in-use", Value::Null),
        ("GET", &format!("/kms/keys/{own}/usage"), Value::Null),
        ("GET", "/kms/keys/alpha", Value::Null),
        ("GET", "/kms/keys/alpha/policy", Value::Null),
        ("GET", "/kms/keys?backend=local", Value::Null),
        ("POST", "/kms/stop", Value::Null),
        ("POST", "/kms/backup", json!({"passphrase": "long enough to pass"})),
        ("POST", "/kms/rekey", json!({"from_key": own})),
        ("POST", "/kms/reconfigure", json!({"default_key_id": own})),
        ("POST", "/kms/keys/import", json!({"name": "new", "material": ""})),
        ("POST", "/kms/keys/disable", json!({"key_id": "alpha"})),
        ("POST", "/kms/keys/policy", json!({"key_id": "alpha", "policy": policy(&json!([allow(A, &json!("kms:*"))]))})),
        ("POST", "/kms/generate-data-key", json!({"key_id": "alpha"})),
        ("POST", "/kms/keys", json!({"Owner": B})),
        ("POST", "/kms/keys", json!({"Owner": "000000000000"})),
        ("POST", "/kms/keys/rotate", json!({"key_id": own, "rotate_every_days": 9})),
        ("POST", "/minio/kms/v1/key/create?key-id=new", Value::Null),
        ("GET", "/minio/kms/v1/key/list?pattern=*", Value::Null),
    ] {
        for signer in [root_of(A), user_of(A, &allowing(&["*"]))] {
            assert_eq!(rig.status(&signer, method, path, body.clone()).await, denied(), "{method} {path}");
        }
    }
    let named = rig.status(&root_of(A), "POST", "/kms/keys", json!({"name": "alpha"})).await;
    assert_eq!(named, (400, "InvalidRequest".to_owned()), "ids are unique among all accounts, so none is taken from another");
    assert_eq!(rig.status(&user_of(A, &allowing(&["s3:*"])), "POST", "/kms/keys", json!({})).await, denied());
    let refusal = rig.admin.refusal(&http::Method::POST, "/kms/restore", root_of(A)).await;
    assert_eq!(refusal.map(|refusal| refusal.status().as_u16()), Some(403), "before the body is read");
}

#[tokio::test]
async fn the_main_account_makes_a_key_for_another_one_and_does_not_say_who_uses_it() {
    let rig = Rig::new().await;
    let open = policy(&json!([allow("*", &json!("kms:*"))]));
    rig.refused("POST", "/kms/keys", json!({"Owner": A, "Policy": open}), 400, "InvalidRequest").await;
    rig.refused("POST", "/kms/keys", json!({"Owner": "tenant"}), 400, "InvalidRequest").await;
    rig.refused("POST", "/kms/keys", json!({"name": "default", "Owner": A}), 409, "DefaultKey").await;
    let made = rig.ok("POST", "/kms/keys", json!({"name": "tenant-a", "Owner": A})).await;
    assert_eq!(made["key_metadata"]["tags"]["strongroom:owner"], A);
    assert_eq!(rig.listed_by(&root_of(A)).await, ["tenant-a"]);
    rig.refused("POST", "/kms/generate-data-key", json!({"key_id": "tenant-a"}), 403, "AccessDenied").await;
    let made = rig.by(&root_of(A), "POST", "/kms/generate-data-key", json!({"key_id": "tenant-a"})).await;
    assert_eq!(made.status, 200, "{made:?}");
    let reserved = json!({"name": "tags", "Tags": {"strongroom:owner": A}});
    rig.refused("POST", "/kms/keys", reserved, 400, "InvalidRequest").await;
    let reserved = json!({"key_id": "alpha", "tags": {"strongroom:owner": A}});
    rig.refused("POST", "/kms/keys/tag", reserved, 400, "InvalidRequest").await;
}

#[tokio::test]
async fn a_key_of_the_store_s_own_gets_a_policy_and_then_belongs_to_the_main_account() {
    let rig = Rig::new().await;
    let none = rig.ok("GET", "/kms/keys/alpha/policy", Value::Null).await;
    assert_eq!(none, json!({"key_id": "alpha", "account": null, "policy": null}));
    let grant = json!({"key_id": "alpha", "grantee_principal": "arn:aws:iam::000000000000:user/alice", "operations": ["Decrypt"]});
    rig.refused("POST", "/kms/keys/grants", grant, 409, "NoKeyPolicy").await;
    let alice = user(&allowing(&["kms:GenerateDataKey"]));
    assert_eq!(rig.by(&alice, "POST", "/kms/generate-data-key", json!({"key_id": "alpha"})).await.status, 200);
    let of_root = policy(&json!([
        allow("arn:aws:iam::000000000000:root", &json!(["kms:PutKeyPolicy", "kms:GetKeyPolicy"])),
        allow("arn:aws:iam:::user/carol", &json!("kms:*"))
    ]));
    let put = rig.ok("POST", "/kms/keys/policy", json!({"key_id": "alpha", "policy": of_root})).await;
    assert_eq!((put["account"].as_str(), put["policy"].as_str()), (Some("000000000000"), Some(of_root.as_str())));
    for signer in [root(), alice] {
        assert_eq!(rig.status(&signer, "POST", "/kms/generate-data-key", json!({"key_id": "alpha"})).await, denied());
    }
    rig.refused("POST", "/kms/reconfigure", json!({"default_key_id": "alpha"}), 409, "OwnedKey").await;
    let of_default = json!({"key_id": "default", "policy": of_root});
    rig.refused("POST", "/kms/keys/policy", of_default, 409, "DefaultKey").await;
    let of_store = json!({"key_id": "strongroom-store", "policy": of_root});
    rig.refused("POST", "/kms/keys/policy", of_store, 404, "NotFound").await;
    let record = rig.record("PutKeyPolicy").await;
    assert_eq!((&record["who"], &record["outcome"]), (&json!("root"), &json!({"error": "NotFound"})));
}

#[tokio::test]
async fn a_policy_that_its_sender_could_not_change_is_refused_unless_they_insist() {
    let rig = Rig::new().await;
    let tenant = root_of(A);
    let key = rig.made_by(&tenant, json!({})).await;
    let shut = policy(&json!([allow(&format!("arn:aws:iam::{A}:role/backup"), &json!("kms:*"))]));
    let put = |bypass: bool| json!({"key_id": key, "policy": shut, "bypass_policy_lockout_safety_check": bypass});
    let refused = (400, "MalformedPolicyDocument".to_owned());
    assert_eq!(rig.status(&tenant, "POST", "/kms/keys/policy", put(false)).await, refused);
    assert_eq!(rig.status(&tenant, "POST", "/kms/keys/policy", json!({"key_id": key, "policy": "{}"})).await, refused);
    let create = |bypass: bool| json!({"Policy": shut, "BypassPolicyLockoutSafetyCheck": bypass});
    assert_eq!(rig.status(&tenant, "POST", "/kms/keys", create(false)).await, refused);
    assert_eq!(rig.status(&tenant, "POST", "/kms/keys/policy", put(true)).await.0, 200);
    for signer in [tenant.clone(), root()] {
        assert_eq!(rig.status(&signer, "POST", "/kms/keys/policy", put(true)).await, denied(), "nobody opens it again");
    }
    rig.made_by(&tenant, create(true)).await;
}

#[tokio::test]
async fn grants_are_made_listed_used_retired_and_revoked() {
    let rig = Rig::new().await;
    let tenant = root_of(A);
    let key = rig.made_by(&tenant, json!({})).await;
    let (dora, stranger) = (user_of(A, &allowing(&["s3:*"])), user_of(B, &allowing(&["kms:*"])));
    let arn = |account: &str| format!("arn:aws:iam::{account}:user/dora");
    let grant = |grantee: &str, operations: Value| {
        json!({"key_id": key, "grantee_principal": grantee, "operations": operations, "retiring_principal": arn(B), "name": "one",
            "constraints": {"encryption_context_subset": {"team": "a"}}})
    };
    let data_key = |team: &str| json!({"key_id": key, "encryption_context": {"team": team}});
    assert_eq!(rig.status(&dora, "POST", "/kms/generate-data-key", data_key("a")).await, denied());
    for wrong in [json!([]), json!(["CreateGrant"])] {
        let refused = rig.status(&tenant, "POST", "/kms/keys/grants", grant(&arn(A), wrong)).await;
        assert_eq!(refused, (400, "InvalidRequest".to_owned()));
    }
    let made = rig.by(&tenant, "POST", "/kms/keys/grants", grant(&arn(A), json!(["GenerateDataKey", "RetireGrant"]))).await;
    assert_eq!(made.status, 200, "{made:?}");
    let again = rig.by(&tenant, "POST", "/kms/keys/grants", grant(&arn(A), json!(["GenerateDataKey", "RetireGrant"]))).await;
    assert_eq!(made.json, again.json, "the same grant under the same name is made once");
    assert_eq!(rig.status(&dora, "POST", "/kms/generate-data-key", data_key("a")).await.0, 200);
    assert_eq!(rig.status(&dora, "POST", "/kms/generate-data-key", data_key("b")).await, denied());
    let listed = rig.by(&tenant, "GET", &format!("/kms/keys/{key}/grants"), Value::Null).await.json;
    let listed = &listed["grants"][0];
    assert_eq!(
        (listed["grant_id"].clone(), listed["issuing_principal"].as_str()),
        (made.json["grant_id"].clone(), Some("arn:aws:iam::111122223333:root"))
    );
    assert_eq!(listed["constraints"], json!({"encryption_context_subset": {"team": "a"}}));
    let retirable = format!("/kms/grants/retirable?retiring_principal={}", arn(B));
    assert_eq!(rig.by(&tenant, "GET", &retirable, Value::Null).await.json["grants"][0]["grant_id"], made.json["grant_id"]);
    assert_eq!(rig.by(&stranger, "GET", &retirable, Value::Null).await.json["grants"], json!([]));
    let named = json!({"key_id": key, "grant_id": made.json["grant_id"]});
    assert_eq!(rig.status(&dora, "POST", "/kms/keys/grants/revoke", named.clone()).await, denied());
    assert_eq!(
        rig.status(&user_of(B, &allowing(&["s3:*"])), "POST", "/kms/keys/grants/retire", named.clone()).await.0,
        200,
        "who is named for it"
    );
    assert_eq!(rig.status(&dora, "POST", "/kms/generate-data-key", data_key("a")).await, denied());
    assert_eq!(rig.status(&dora, "POST", "/kms/keys/grants/retire", named.clone()).await, denied(), "there is none any more");
    let made = rig.by(&tenant, "POST", "/kms/keys/grants", grant(&arn(A), json!(["GenerateDataKey", "RetireGrant"]))).await;
    let named = json!({"key_id": key, "grant_id": made.json["grant_id"]});
    assert_eq!(rig.status(&dora, "POST", "/kms/keys/grants/retire", named.clone()).await.0, 200, "whom it allows to");
    assert_eq!(rig.status(&tenant, "POST", "/kms/keys/grants/revoke", named).await, (404, "NotFound".to_owned()));
}

#[tokio::test]
async fn a_key_that_was_made_and_not_given_to_its_account_is_nobody_s_to_use() {
    let rig = Rig::new().await;
    let key = rig.made_by(&root_of(A), json!({})).await;
    // As after a kill between the two, or after somebody deleted the row from the catalog's file.
    rig.owned.discard(&key).await.unwrap();
    assert!(rig.keyring.kms(None).unwrap().describe_key(&key).await.unwrap().tags.contains_key("strongroom:owner"));
    let by_id = json!({"key_id": key});
    rig.refused("POST", "/kms/generate-data-key", by_id.clone(), 500, "InternalError").await;
    assert_eq!(rig.status(&root_of(A), "POST", "/kms/generate-data-key", by_id.clone()).await, denied());
    let open = policy(&json!([allow("000000000000", &json!("kms:*"))]));
    rig.refused("POST", "/kms/keys/policy", json!({"key_id": key, "policy": open}), 409, "PolicyLost").await;
    rig.ok("DELETE", "/kms/keys/delete", by_id).await;
}

#[tokio::test]
async fn the_audit_log_tells_who_made_a_key_for_whom_and_who_was_refused() {
    let rig = Rig::new().await;
    let key = rig.made_by(&root_of(A), json!({})).await;
    let record = rig.record("CreateKey").await;
    assert_eq!((&record["who"], &record["key_id"], &record["details"]["owner"]), (&json!(format!("root-{A}")), &json!(key), &json!(A)));
    rig.refused("POST", "/kms/generate-data-key", json!({"key_id": key}), 403, "AccessDenied").await;
    let record = rig.record("GenerateDataKey").await;
    assert_eq!((&record["who"], &record["key_id"], &record["outcome"]), (&json!("root"), &json!(key), &json!({"error": "AccessDenied"})));
}

#[tokio::test]
async fn grants_that_are_made_and_revoked_at_the_same_moment_are_all_made_and_all_revoked() {
    let rig = Rig::new().await;
    let tenant = root_of(A);
    let key = rig.made_by(&tenant, json!({})).await;
    let grant = json!({"key_id": key, "grantee_principal": format!("arn:aws:iam::{A}:user/dora"), "operations": ["Decrypt"]});
    let made = futures_util::future::join_all((0..50).map(|_| rig.by(&tenant, "POST", "/kms/keys/grants", grant.clone()))).await;
    let ids: std::collections::BTreeSet<_> = made.iter().map(|made| made.json["grant_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!((ids.len(), rig.owned.get(&key).await.unwrap().record.grants.len()), (50, 50));
    let named = |id: &String| json!({"key_id": key, "grant_id": id});
    let gone = futures_util::future::join_all(ids.iter().map(|id| rig.by(&tenant, "POST", "/kms/keys/grants/revoke", named(id)))).await;
    assert!(gone.iter().all(|gone| gone.status == 200), "{gone:?}");
    assert!(rig.owned.get(&key).await.unwrap().record.grants.is_empty());
}

#[tokio::test]
async fn nobody_gives_out_access_keys_of_the_root_of_an_account_that_has_keys_of_its_own() {
    let rig = Rig::new().await;
    rig.ok("POST", "/iam/CreateAccount", json!({"AccountName": "acme", "AccountId": A})).await;
    let account = json!({"AccountId": A});
    let mut first = rig.ok("POST", "/iam/CreateAccountKey", account.clone()).await;
    let id = first["AccessKey"]["AccessKeyId"].take();
    let status = |status: &str| json!({"AccountId": A, "AccessKeyId": id, "Status": status});
    let tenant = root_of(A);
    let key = rig.made_by(&tenant, json!({})).await;
    rig.ok("POST", "/iam/UpdateAccountKey", status("Inactive")).await;
    for (call, body) in [("CreateAccountKey", account.clone()), ("UpdateAccountKey", status("Active"))] {
        let refused = rig.refused("POST", &format!("/iam/{call}"), body, 403, "AccessDenied").await;
        assert!(refused.contains("has KMS keys of its own"), "{refused}");
    }
    rig.refused("POST", "/iam/DeleteAccount", account.clone(), 409, "DeleteConflict").await;
    let now = json!({"key_id": key, "force_immediate": true, "confirm_key_id": key});
    rig.ok("DELETE", "/kms/keys/delete", now).await;
    rig.ok("POST", "/iam/UpdateAccountKey", status("Active")).await;
    rig.ok("POST", "/iam/CreateAccountKey", account).await;
}
