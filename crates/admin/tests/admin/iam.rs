//! Identities over the admin API.

use serde_json::{Value, json};
use strongroom_access::{ConditionKey, Conditions, Identity, SecretKey};
use strongroom_admin::Signer;

use crate::rig::{Rig, allowing, root, signer, user};

/// The root of another account than the main one.
fn tenant() -> Signer {
    let secret = SecretKey::new("a secret of tests".to_owned()).unwrap();
    signer(Identity::account_root("acme", "acme-key", secret, "111122223333").unwrap())
}

#[tokio::test]
async fn a_user_is_created_given_rights_listed_and_deleted() {
    let rig = Rig::new().await;
    for prefix in ["", "/strongroom/admin/v1"] {
        let call = async |name: &str, body: Value| rig.ok("POST", &format!("{prefix}/iam/{name}"), body).await;
        let created = call("CreateUser", json!({"UserName": "ada", "Path": "/lab/", "Tags": [{"Key": "team", "Value": "red"}]})).await;
        let user = &created["User"];
        assert_eq!(user["Arn"], "arn:aws:iam::000000000000:user/lab/ada");
        assert_eq!((&user["Tags"], user.get("PermissionsBoundary")), (&json!([{"Key": "team", "Value": "red"}]), None));
        let document = allowing(&["s3:GetObject"]);
        let put = call("PutUserPolicy", json!({"UserName": "ada", "PolicyName": "p", "PolicyDocument": document})).await;
        assert_eq!(put, json!({}));
        let shown = call("GetUserPolicy", json!({"UserName": "ada", "PolicyName": "p"})).await;
        assert_eq!(serde_json::from_str::<Value>(shown["PolicyDocument"].as_str().unwrap()).unwrap(), document);
        let key = call("CreateAccessKey", json!({"UserName": "ada"})).await["AccessKey"].take();
        assert_eq!(key["SecretAccessKey"].as_str().unwrap().len(), 40);
        let listed = call("ListUsers", json!({"PathPrefix": "/lab/", "MaxItems": 10})).await;
        assert_eq!((listed["Users"].as_array().unwrap().len(), &listed["IsTruncated"]), (1, &json!(false)));
        assert_eq!(call("GetAccountSummary", Value::Null).await["SummaryMap"]["Users"], 1);
        rig.refused("POST", &format!("{prefix}/iam/DeleteUser"), json!({"UserName": "ada"}), 409, "DeleteConflict").await;
        call("DeleteAccessKey", json!({"UserName": "ada", "AccessKeyId": key["AccessKeyId"]})).await;
        call("DeleteUserPolicy", json!({"UserName": "ada", "PolicyName": "p"})).await;
        call("DeleteUser", json!({"UserName": "ada"})).await;
        rig.refused("POST", &format!("{prefix}/iam/GetUser"), json!({"UserName": "ada"}), 404, "NoSuchEntity").await;
    }
}

#[tokio::test]
async fn a_call_is_recorded_once_as_begun_and_once_as_ended_and_a_secret_never() {
    let rig = Rig::new().await;
    rig.ok("POST", "/iam/CreateUser", json!({"UserName": "ada"})).await;
    let key = rig.ok("POST", "/iam/CreateAccessKey", json!({"UserName": "ada"})).await["AccessKey"].take();
    rig.ok("POST", "/iam/ListUsers", Value::Null).await;
    let denied = rig.send("POST", "/iam/CreateUser", json!({"UserName": "eve"}).to_string(), user(&allowing(&["s3:*"]))).await;
    assert_eq!((denied.status, denied.json["code"].as_str()), (403, Some("AccessDenied")));
    let records = rig.records().await;
    let about = |operation: &str| -> Vec<_> {
        let found = records.iter().filter(|record| record["operation"] == operation);
        found.map(|record| (record["who"].as_str().unwrap(), record["details"]["phase"].as_str(), record["outcome"].clone())).collect()
    };
    let (done, refused) = (json!("ok"), json!({"error": "AccessDenied"}));
    assert_eq!(about("CreateUser"), [("root", Some("begun"), done.clone()), ("root", None, done.clone()), ("alice", None, refused)]);
    assert_eq!(about("CreateAccessKey"), [("root", Some("begun"), done.clone()), ("root", None, done)]);
    assert!(about("ListUsers").is_empty());
    assert!(records.iter().all(|record| !record.to_string().contains(key["SecretAccessKey"].as_str().unwrap())));
}

#[tokio::test]
async fn users_of_another_account_administer_that_one_alone_and_reach_nothing_else() {
    let rig = Rig::new().await;
    let sent = async |path: &str, body: Value, signer| rig.send("POST", path, body.to_string(), signer).await;
    assert_eq!(sent("/iam/CreateUser", json!({"UserName": "ada"}), root()).await.status, 200);
    let created = sent("/iam/CreateUser", json!({"UserName": "wile"}), tenant()).await;
    assert_eq!(created.json["User"]["Arn"], "arn:aws:iam::111122223333:user/wile");
    assert_eq!(sent("/iam/GetUser", json!({"UserName": "ada"}), tenant()).await.status, 404);
    assert_eq!(sent("/iam/GetUser", json!({"UserName": "wile"}), root()).await.status, 404);
    let of_main = json!({"UserName": "wile", "PolicyArn": "arn:aws:iam::000000000000:policy/p"});
    assert_eq!(sent("/iam/AttachUserPolicy", of_main, tenant()).await.status, 404);
    for (method, path, expected) in [
        (http::Method::POST, "/iam/CreateUser", true),
        (http::Method::POST, "/strongroom/admin/v1/iam/CreateUser", true),
        (http::Method::GET, "/iam/CreateUser", false),
        (http::Method::POST, "/iam/Create%55ser", false),
        (http::Method::POST, "/iam/AssumeRole", false),
        (http::Method::GET, "/kms/status", false),
        (http::Method::POST, "/kms/configure", false),
        (http::Method::GET, "/kms/keys/in-use", false),
        (http::Method::GET, "/kms/keys/alpha/usage", false),
        (http::Method::POST, "/kms/keys", true),
        (http::Method::GET, "/kms/keys/alpha", true),
        (http::Method::GET, "/kms/keys/", false),
    ] {
        assert_eq!(rig.admin.is_of_every_account(&method, path), expected, "{method} {path}");
    }
}

#[tokio::test]
async fn conditions_of_policies_see_the_request() {
    let rig = Rig::new().await;
    let policy = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iam:*", "Resource": "*",
        "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}]});
    let from = |address: &str| {
        let conditions = Conditions::new(true).with(ConditionKey::SourceIp, address.to_owned());
        Signer { conditions, peer: address.parse().ok(), ..user(&policy) }
    };
    let list = async |signer| rig.send("POST", "/iam/ListUsers", String::new(), signer).await.status;
    assert_eq!((list(from("10.1.2.3")).await, list(from("192.0.2.1")).await, list(user(&policy)).await), (200, 403, 403));
    rig.send("POST", "/iam/CreateUser", json!({"UserName": "ada"}).to_string(), from("10.1.2.3")).await;
    assert_eq!(rig.record("CreateUser").await["details"]["source_ip"], "10.1.2.3");
}

#[tokio::test]
async fn what_is_not_understood_or_not_secure_is_refused_before_anything_is_done() {
    let rig = Rig::new().await;
    rig.refused("POST", "/iam/CreateUser", json!({"UserName": "ada", "Nmae": 1}), 400, "ValidationError").await;
    rig.refused("POST", "/iam/CreateUser?UserName=ada", json!({"UserName": "ada"}), 400, "InvalidRequest").await;
    rig.refused("POST", "/iam/CreateUsers", json!({"UserName": "ada"}), 404, "NotFound").await;
    rig.refused("POST", "/iam/AssumeRole", json!({}), 404, "NotFound").await;
    rig.refused("GET", "/iam/ListUsers", Value::Null, 405, "MethodNotAllowed").await;
    let plain = Signer { secrets_allowed: false, ..root() };
    let answered = rig.send("POST", "/iam/CreateUser", json!({"UserName": "ada"}).to_string(), plain).await;
    assert_eq!((answered.status, answered.json["code"].as_str()), (400, Some("InvalidRequest")));
    rig.refused("POST", "/iam/GetUser", json!({"UserName": "ada"}), 404, "NoSuchEntity").await;
    rig.audit.close().await.unwrap();
    let answered = rig.call("POST", "/iam/CreateUser", json!({"UserName": "ada"})).await;
    assert_eq!(answered.status, 500, "what cannot be recorded is not done: {answered:?}");
    rig.refused("POST", "/iam/GetUser", json!({"UserName": "ada"}), 404, "NoSuchEntity").await;
}

#[tokio::test]
async fn a_body_is_as_large_as_a_policy_needs() {
    let rig = Rig::new().await;
    for path in ["/iam/PutUserPolicy", "/strongroom/admin/v1/iam/PutUserPolicy"] {
        assert_eq!(rig.admin.max_body_bytes(&http::Method::POST, path), 256 << 10);
    }
}
