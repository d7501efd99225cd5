//! Who may what: for every call that the OpenAPI document lists, so that a new one cannot be forgotten.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::openapi;
use crate::rig::{Rig, allowing, user};

/// How each call is made so that only the right to it is missing. Calls without a body need no entry.
fn body(method: &str, path: &str) -> String {
    let key = json!({"key_id": "alpha"});
    let body = match (method, path) {
        ("POST", "/kms/configure" | "/kms/reconfigure") => json!({"backend_type": "local"}),
        ("POST", "/kms/keys" | "/kms/create-key" | "/kms/key/create") => json!({"name": "new"}),
        ("POST", "/kms/keys/import") => json!({"name": "new", "material": ""}),
        ("POST", "/kms/keys/tag") => json!({"key_id": "alpha", "tags": {}}),
        ("POST", "/kms/keys/untag") => json!({"key_id": "alpha", "tag_keys": []}),
        ("POST", "/kms/keys/update-description") => json!({"key_id": "alpha", "description": ""}),
        ("POST", "/kms/keys/policy") => json!({"key_id": "alpha", "policy": "{}"}),
        ("POST", "/kms/keys/grants") => {
            json!({"key_id": "alpha", "grantee_principal": "arn:aws:iam::000000000000:root", "operations": ["Decrypt"]})
        }
        ("POST", "/kms/keys/grants/revoke" | "/kms/keys/grants/retire") => json!({"key_id": "alpha", "grant_id": "0"}),
        ("POST" | "DELETE", path) if path.starts_with("/kms/keys/") => key,
        ("POST", "/kms/generate-data-key") => key,
        // Of the key alpha, version 1, with a ciphertext of no worth.
        ("POST", "/kms/decrypt") => json!({"ciphertext_blob": "U1JESwEFbG9jYWwFYWxwaGEAAAABAA=="}),
        ("POST", "/kms/events/resend" | "/kms/events/drop") => json!({"target": "hook"}),
        ("POST", "/kms/erasure/rules") => json!({"bucket": "photos", "key_id": "alpha", "days": 30}),
        ("POST", "/kms/rekey") => json!({"bucket": "photos"}),
        ("DELETE", "/kms/rekey") => json!({"job_id": "0"}),
        ("POST", "/kms/backup") => json!({"passphrase": "short"}),
        ("POST", "/kms/restore") => json!({"bundle": "", "passphrase": "short"}),
        ("POST", "/minio/admin/v3/start-job") => return "keyrotate:".to_owned(),
        _ => return String::new(),
    };
    body.to_string()
}

/// How a call of identity management is made: with what the document says that it needs, and about a user where it may be about one.
fn body_of(method: &str, path: &str, call: &Value) -> Vec<u8> {
    let of_mc = match path {
        "/minio/admin/v3/idp/builtin/policy/attach" | "/minio/admin/v3/idp/builtin/policy/detach" => {
            STANDARD.decode(SEALED_ASSOCIATION).unwrap()
        }
        "/minio/admin/v3/add-service-account" => STANDARD.decode(SEALED_SERVICE_ACCOUNT).unwrap(),
        "/minio/admin/v3/update-group-members" => br#"{"group":"somebody","members":["somebody"]}"#.to_vec(),
        "/minio/admin/v3/add-canned-policy" => allowing(&["s3:GetObject"]).to_string().into_bytes(),
        _ => Vec::new(),
    };
    if !of_mc.is_empty() || !path.starts_with("/iam/") {
        return if of_mc.is_empty() { body(method, path).into_bytes() } else { of_mc };
    }
    let schema = &call["requestBody"]["content"]["application/json"]["schema"];
    let needed: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let taken = schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    let given = taken.filter(|name| needed.contains(name) || *name == "UserName");
    let body: serde_json::Map<_, _> = given.map(|name| (name.to_owned(), sample(name))).collect();
    Value::Object(body).to_string().into_bytes()
}

/// `{"policies":["readonly"],"user":"somebody"}` and a service account of somebody, encrypted with the secret of tests as `mc` does.
const SEALED_ASSOCIATION: &str = "K8mQBZRzRI5uvUQqoWv6oFZ6wD3QlIdr2x/YNKvkLB4AZI+OGToGwwe3JoDANzqJa7E3X9Y/XDLkoi1ZFPh2r4iSdVGAckP+0XGdQZE7RBeojl7AMAqusVIg0ep1kRczSpD20g==";
const SEALED_SERVICE_ACCOUNT: &str = "28RXmuKzqykyE/QruFJwbqmVw7XDmH+KqfquUASss88CYm4eO2k1xmrhi/jljNk3aPIolE8GuP9nLdhZcBv8vla4IiEHT4Lx8gHzaeFg8qAEUK+zNP3TnDKlu/Audkmj2oZ86aKGZbwb5/S/N3dDUIfD+AgJUMMpXqBw/LCZ3K+/cKPiKCsykCQU";

fn sample(parameter: &str) -> Value {
    match parameter {
        "PolicyArn" | "PermissionsBoundary" => json!("arn:aws:iam::000000000000:policy/one"),
        "PolicySourceArn" => json!("arn:aws:iam::000000000000:user/somebody"),
        "PolicyDocument" => allowing(&["s3:GetObject"]),
        "PolicyInputList" => json!([allowing(&["s3:GetObject"]).to_string()]),
        "ActionNames" => json!(["s3:GetObject"]),
        "AssumeRolePolicyDocument" => json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": "000000000000"}, "Action": "sts:AssumeRole"}]}),
        "Url" => json!("https://idp.example.org"),
        "OpenIDConnectProviderArn" => json!("arn:aws:iam::000000000000:oidc-provider/idp.example.org"),
        "Tags" => json!([{"Key": "team", "Value": "red"}]),
        "TagKeys" | "ThumbprintList" => json!([]),
        "Status" => json!("enabled"),
        "AccountId" => json!("111122223333"),
        "SecretAccessKey" => json!("a-secret-of-tests"),
        "VersionId" => json!("v1"),
        _ => json!("somebody"),
    }
}

fn uri(path: &str) -> String {
    let path = path.replace("{key_id}", "alpha").replace("{id}", "local");
    let query = match path.as_str() {
        "/kms/describe-key" | "/kms/key/status" => "?key_id=alpha",
        "/kms/grants/retirable" => "?retiring_principal=arn:aws:iam::000000000000:root",
        path if path.starts_with("/minio/kms/v1/key/") => "?key-id=alpha&pattern=%2A",
        path if path.ends_with("-job") && !path.ends_with("start-job") => "?jobId=0",
        "/minio/admin/v3/metrics" => "?by-jobID=0&types=8",
        "/minio/admin/v3/set-user-status" => "?accessKey=somebody&status=enabled",
        "/minio/admin/v3/set-group-status" => "?group=somebody&status=enabled",
        "/minio/admin/v3/group" => "?group=somebody",
        "/minio/admin/v3/info-canned-policy" => "?name=readonly&v=2",
        path if path.ends_with("-canned-policy") => "?name=one",
        "/minio/admin/v3/list-service-accounts" => "?user=somebody",
        "/minio/admin/v3/list-access-keys-bulk" => "?all=true",
        path if ["-user", "-info", "-service-account", "-access-key"].iter().any(|end| path.ends_with(end))
            && !path.ends_with("add-service-account") =>
        {
            "?accessKey=somebody"
        }
        _ => "",
    };
    format!("{path}{query}")
}

/// The actions that the document says a call needs.
fn needed(call: &Value) -> Vec<String> {
    let text = call["description"].as_str().unwrap();
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[tokio::test]
async fn nobody_does_anything_without_the_right_to_it() {
    let rig = Rig::new().await;
    let nobody = user(&allowing(&["s3:*", "kms:GenerateSomethingElse"]));
    let calls = openapi::calls();
    for (method, path, call) in &calls {
        for prefix in ["", "/strongroom/admin/v1", "/rustfs/admin/v3"] {
            let has_no_other =
                path.starts_with("/minio") && !prefix.is_empty() || path.starts_with("/iam") && prefix.starts_with("/rustfs");
            if has_no_other {
                continue;
            }
            let answered = rig.send(method, &format!("{prefix}{}", uri(path)), body_of(method, path, call), nobody.clone()).await;
            assert_eq!(
                (answered.status, answered.json["code"].as_str()),
                (403, Some("AccessDenied")),
                "{method} {prefix}{path}: {answered:?}"
            );
        }
    }
    let keys = rig.ok("GET", "/kms/keys", Value::Null).await;
    assert_eq!(keys["keys"].as_array().unwrap().len(), 4, "and nothing was done");
}

#[tokio::test]
async fn each_call_needs_each_action_it_names_and_no_other() {
    for (method, path, call) in openapi::calls() {
        let rig = Rig::new().await;
        let needed = needed(&call);
        let needed: Vec<_> = needed.iter().map(String::as_str).collect();
        let allowed = rig.send(&method, &uri(&path), body_of(&method, &path, &call), user(&allowing(&needed))).await;
        assert_ne!(allowed.status, 403, "{method} {path}: {allowed:?}");
        for left_out in 0..needed.len() {
            let mut fewer = vec!["s3:GetObject"];
            fewer.extend(needed.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, action)| *action));
            let answered = rig.send(&method, &uri(&path), body_of(&method, &path, &call), user(&allowing(&fewer))).await;
            assert_eq!(answered.status, 403, "{method} {path} without {}", needed[left_out]);
        }
    }
}

#[tokio::test]
async fn rights_to_a_key_are_rights_to_that_key_alone() {
    let rig = Rig::new().await;
    let policy = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "kms:*", "Resource": "arn:aws:kms:::key/al*"},
        {"Effect": "Deny", "Action": "kms:DisableKey", "Resource": "*"}
    ]});
    let status = async |method: &str, path: &str, body: Value| {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        rig.send(method, path, text, user(&policy)).await.status
    };
    assert_eq!(status("GET", "/kms/keys/alpha", Value::Null).await, 200);
    assert_eq!(status("GET", "/kms/keys/beta", Value::Null).await, 403);
    assert_eq!(status("GET", "/kms/describe-key?key_id=arn:aws:kms:eu:1:key/beta", Value::Null).await, 403);
    assert_eq!(status("POST", "/kms/keys/rotate", json!({"key_id": "key/alpha"})).await, 200);
    assert_eq!(status("POST", "/kms/keys/rotate", json!({"key_id": "key/beta"})).await, 403);
    assert_eq!(status("POST", "/kms/keys/disable", json!({"key_id": "alpha"})).await, 403, "a denial beats what is allowed");
    assert_eq!(status("POST", "/kms/keys", json!({"name": "almond"})).await, 200);
    assert_eq!(status("POST", "/kms/keys", json!({"name": "oak"})).await, 403);
    assert_eq!(status("POST", "/kms/keys", json!({})).await, 403, "the backend would choose the id");
    assert_eq!(status("GET", "/kms/keys", Value::Null).await, 403, "a list is of all keys");
    assert_eq!(status("GET", "/minio/kms/v1/key/status?key-id=", Value::Null).await, 403, "the default key is another");
    let made = rig.ok("POST", "/kms/generate-data-key", json!({"key_id": "beta"})).await;
    assert_eq!(status("POST", "/kms/decrypt", json!({"ciphertext_blob": made["ciphertext_blob"]})).await, 403);
}

#[tokio::test]
async fn a_key_that_a_policy_denies_is_left_out_of_the_lists() {
    let rig = Rig::new().await;
    let policy = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "kms:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "kms:ListKeys", "Resource": "arn:aws:kms:::key/al*"}
    ]});
    for (path, list, name) in [("/kms/keys", "/keys", "key_id"), ("/minio/kms/v1/key/list?pattern=*", "", "name")] {
        let ids = |answer: &Value| -> Vec<String> {
            answer.pointer(list).unwrap().as_array().unwrap().iter().map(|key| key[name].as_str().unwrap().to_owned()).collect()
        };
        let all = ids(&rig.ok("GET", path, Value::Null).await);
        assert!(all.contains(&"alpha".to_owned()), "{all:?}");
        let seen = ids(&rig.send("GET", path, String::new(), user(&policy)).await.json);
        let expected: Vec<_> = all.into_iter().filter(|id| id != "alpha").collect();
        assert_eq!(seen, expected, "{path}");
    }
}

#[tokio::test]
async fn some_requests_need_other_rights_than_their_call() {
    let rig = Rig::new().await;
    let status = async |path: &str, method: &str, body: Value, actions: &[&str]| {
        rig.send(method, path, body.to_string(), user(&allowing(actions))).await.status
    };
    let now = json!({"key_id": "beta", "force_immediate": true, "confirm_key_id": "beta"});
    assert_eq!(status("/kms/keys/delete", "DELETE", now.clone(), &["kms:ScheduleKeyDeletion"]).await, 403);
    assert_eq!(status("/kms/keys/delete", "DELETE", now.clone(), &["kms:DeleteKeyNow"]).await, 403);
    let set = json!({"key_id": "alpha", "rotate_every_days": 9});
    assert_eq!(status("/kms/keys/rotate", "POST", set.clone(), &["kms:RotateKeyOnDemand"]).await, 403);
    assert_eq!(status("/kms/keys/rotate", "POST", set, &["kms:EnableKeyRotation"]).await, 200);
    let end = json!({"key_id": "alpha", "rotate_every_days": null});
    assert_eq!(status("/kms/keys/rotate", "POST", end.clone(), &["kms:EnableKeyRotation"]).await, 403);
    assert_eq!(status("/kms/keys/rotate", "POST", end, &["kms:DisableKeyRotation"]).await, 200);
    assert_eq!(status("/kms/keys/delete", "DELETE", now, &["kms:ScheduleKeyDeletion", "kms:DeleteKeyNow"]).await, 200);
}

#[tokio::test]
async fn re_keying_needs_the_right_to_open_with_one_key_and_to_wrap_with_the_other() {
    let rig = Rig::new().await;
    let with = |actions: Value, key: &str| {
        user(&json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "strongroom:RekeyObjects", "Resource": "*"},
            {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "arn:aws:kms:::key/alpha"},
            {"Effect": "Allow", "Action": actions, "Resource": format!("arn:aws:kms:::key/{key}")}
        ]}))
    };
    rig.put("object", None, b"under the default key").await;
    let start = async |body: Value, signer| rig.send("POST", "/kms/rekey", body.to_string(), signer).await.status;
    let to_beta = json!({"bucket": "photos", "from_key": "alpha", "to_key": "beta"});
    assert_eq!(start(to_beta.clone(), with(json!("kms:Decrypt"), "beta")).await, 403, "beta may not be used to wrap");
    assert_eq!(start(json!({"to_key": "beta"}), with(json!("kms:*"), "beta")).await, 403, "no object is under these keys");
    assert_eq!(start(json!({"from_key": "default", "to_key": "beta"}), with(json!("kms:*"), "beta")).await, 403);
    assert_eq!(start(json!({"from_key": "alpha"}), with(json!("kms:Decrypt"), "beta")).await, 403, "no key may be used to wrap");
    assert_eq!(start(json!({"from_key": "alpha"}), with(json!("kms:GenerateDataKey"), "beta")).await, 202);
    assert_eq!(start(json!({"to_key": "beta"}), with(json!("kms:*"), "*")).await, 202);
    assert_eq!(start(to_beta, with(json!("kms:GenerateDataKey"), "beta")).await, 202);

    let yaml = |from: &str| {
        let encryption = "  encryption:\n    type: sse-kms\n    key: beta\n";
        format!("keyrotate:\n  apiVersion: v1\n  bucket: photos\n{encryption}  flags:\n    filter:\n      kmskey: {from}\n")
    };
    let start_job = async |from, signer| rig.send("POST", "/minio/admin/v3/start-job", yaml(from), signer).await.status;
    assert_eq!(start_job("alpha", with(json!("kms:Decrypt"), "beta")).await, 403);
    assert_eq!(start_job("default", with(json!("kms:GenerateDataKey"), "beta")).await, 403);
    assert_eq!(start_job("alpha", with(json!("kms:GenerateDataKey"), "beta")).await, 200);
}

#[tokio::test]
async fn whoever_lacks_a_right_to_the_service_is_refused_and_recorded_without_the_body() {
    let rig = Rig::new().await;
    let keys_alone = || user(&allowing(&["kms:*"]));
    let refusal =
        async |path: &str, signer| rig.admin.refusal(&http::Method::POST, path, signer).await.map(|response| response.status().as_u16());
    for prefix in ["/kms", "/strongroom/admin/v1/kms", "/rustfs/admin/v3/kms"] {
        assert_eq!(refusal(&format!("{prefix}/restore"), keys_alone()).await, Some(403), "{prefix}");
    }
    let record = rig.record("RestoreKeys").await;
    assert_eq!((&record["who"], &record["outcome"]), (&json!("alice"), &json!({"error": "AccessDenied"})));
    assert_eq!(refusal("/kms/restore", user(&allowing(&["strongroom:RestoreKeys"]))).await, None);
    assert_eq!(refusal("/kms/keys", keys_alone()).await, None);
    assert_eq!(refusal("/kms/keys", user(&allowing(&["s3:*"]))).await, None, "which key is meant, the body says");
}
