//! Accounts that are made while the store runs.

use serde_json::{Value, json};

use crate::rig::{Rig, allowing, root, user};

const ACCOUNT: &str = "222233334444";

async fn code(rig: &Rig, name: &str, body: Value) -> String {
    let answered = rig.call("POST", &format!("/iam/{name}"), body).await;
    answered.json["code"].as_str().unwrap_or("").to_owned()
}

#[tokio::test]
async fn an_account_has_an_id_of_its_own_and_is_listed_shown_and_deleted() {
    let rig = Rig::new().await;
    let given = rig.ok("POST", "/iam/CreateAccount", json!({"AccountName": "acme", "AccountId": ACCOUNT})).await;
    assert_eq!((&given["Account"]["AccountId"], &given["Account"]["AccountName"]), (&json!(ACCOUNT), &json!("acme")));
    let chosen = rig.ok("POST", "/iam/CreateAccount", json!({"AccountName": "acme"})).await["Account"]["AccountId"].take();
    assert!(chosen.as_str().unwrap().len() == 12 && chosen != "000000000000");
    for (id, expected) in [
        (ACCOUNT, "EntityAlreadyExists"),
        ("000000000000", "EntityAlreadyExists"),
        ("12", "ValidationError"),
        ("a22233334444", "ValidationError"),
    ] {
        assert_eq!(code(&rig, "CreateAccount", json!({"AccountName": "other", "AccountId": id})).await, expected, "{id}");
    }
    assert_eq!(rig.ok("POST", "/iam/ListAccounts", Value::Null).await["Accounts"].as_array().unwrap().len(), 2);
    assert_eq!(rig.ok("POST", "/iam/GetAccount", json!({"AccountId": ACCOUNT})).await["Account"]["Users"], 0);
    for id in [json!(ACCOUNT), chosen] {
        rig.ok("POST", "/iam/DeleteAccount", json!({"AccountId": id})).await;
        assert_eq!(code(&rig, "GetAccount", json!({"AccountId": id})).await, "NoSuchEntity");
    }
    let record = rig.record("CreateAccount").await;
    assert_eq!((&record["details"]["AccountName"], &record["outcome"]), (&json!("other"), &json!({"error": "ValidationError"})));
}

#[tokio::test]
async fn a_root_has_two_keys_at_the_most_and_its_account_stays_until_they_are_gone() {
    let rig = Rig::new().await;
    rig.ok("POST", "/iam/CreateAccount", json!({"AccountName": "acme", "AccountId": ACCOUNT})).await;
    let account = json!({"AccountId": ACCOUNT});
    let mut keys = Vec::new();
    for _ in 0..2 {
        let mut key = rig.ok("POST", "/iam/CreateAccountKey", account.clone()).await["AccessKey"].take();
        assert_eq!((key["SecretAccessKey"].as_str().unwrap().len(), key.get("UserName")), (40, None));
        keys.push(key["AccessKeyId"].take());
    }
    assert_eq!(code(&rig, "CreateAccountKey", account.clone()).await, "LimitExceeded");
    let listed = rig.ok("POST", "/iam/ListAccountKeys", account.clone()).await;
    assert_eq!(listed["AccessKeyMetadata"].as_array().unwrap().len(), 2);
    assert_eq!(code(&rig, "DeleteAccount", account.clone()).await, "DeleteConflict");
    // A key of the account is none of another one, nor of a user of the caller's account.
    rig.ok("POST", "/iam/CreateAccount", json!({"AccountName": "b", "AccountId": "333344445555"})).await;
    assert_eq!(code(&rig, "DeleteAccountKey", json!({"AccountId": "333344445555", "AccessKeyId": keys[0]})).await, "NoSuchEntity");
    assert_eq!(code(&rig, "GetAccessKeyLastUsed", json!({"AccessKeyId": keys[0]})).await, "NoSuchEntity");
    for key in keys {
        let named = json!({"AccountId": ACCOUNT, "AccessKeyId": key, "Status": "Inactive"});
        rig.ok("POST", "/iam/UpdateAccountKey", named).await;
        rig.ok("POST", "/iam/DeleteAccountKey", json!({"AccountId": ACCOUNT, "AccessKeyId": key})).await;
    }
    rig.ok("POST", "/iam/DeleteAccount", account).await;
}

#[tokio::test]
async fn accounts_are_for_who_administers_the_store_and_for_nobody_else() {
    let rig = Rig::new().await;
    let create = async |signer| {
        let body = json!({"AccountName": "acme"}).to_string();
        rig.send("POST", "/iam/CreateAccount", body, signer).await.status
    };
    assert_eq!(create(user(&allowing(&["iam:*", "s3:*", "kms:*"]))).await, 403);
    assert_eq!(create(user(&allowing(&["strongroom:CreateAccount"]))).await, 200);
    assert_eq!(create(root()).await, 200);
    for name in ["CreateAccount", "GetAccount", "ListAccounts", "DeleteAccount", "CreateAccountKey", "ListAccountKeys"] {
        assert!(!rig.admin.is_of_every_account(&http::Method::POST, &format!("/iam/{name}")), "{name}");
    }
}
