//! Backup and restore of the local backend's keys.

use serde_json::json;

use crate::rig::Rig;

#[tokio::test]
async fn a_bundle_is_made_looked_at_and_put_back() {
    let rig = Rig::new().await;
    let passphrase = "correct horse battery staple";
    let backup = rig.ok("POST", "/kms/backup", json!({"passphrase": passphrase})).await;
    assert_eq!(backup["keys"], 4, "default, alpha, beta and the store's own");
    rig.put("a", Some("alpha"), b"data").await;
    let rig = rig.after_losing("alpha").await;
    assert!(rig.get("a").await.is_err());

    let bundle = &backup["bundle"];
    let dry = rig.ok("POST", "/kms/restore", json!({"bundle": bundle, "passphrase": passphrase})).await;
    assert_eq!((&dry["dry_run"], &dry["added"]), (&json!(true), &json!(["alpha"])));
    assert!(rig.get("a").await.is_err());
    let done = rig.ok("POST", "/kms/restore", json!({"bundle": bundle, "passphrase": passphrase, "dry_run": false})).await;
    assert_eq!((&done["dry_run"], &done["added"], &done["conflicting"]), (&json!(false), &json!(["alpha"]), &json!([])));
    assert_eq!(rig.get("a").await.unwrap(), b"data");

    let message =
        rig.refused("POST", "/kms/restore", json!({"bundle": bundle, "passphrase": "another passphrase"}), 400, "InvalidRequest").await;
    assert!(!message.contains("another passphrase"), "{message}");
    for body in [json!({}), json!({"passphrase": passphrase, "key": "AAAA"}), json!({"key": "AAAA"}), json!({"passphrase": "short"})] {
        rig.refused("POST", "/kms/backup", body, 400, "InvalidRequest").await;
    }
    let text = serde_json::to_string(&rig.records().await).unwrap();
    assert!(text.contains("RestoreKeys") && !text.contains("correct horse"));
}

#[tokio::test]
async fn a_bundle_larger_than_other_bodies_is_taken() {
    let rig = Rig::new().await;
    let body = json!({"bundle": "A".repeat(200 << 10), "passphrase": "correct horse battery staple"});
    rig.refused("POST", "/kms/restore", body.clone(), 400, "InvalidRequest").await;
    let message = rig.refused("POST", "/kms/keys", body, 400, "InvalidRequest").await;
    assert!(message.contains("65536"), "{message}");
    let post = http::Method::POST;
    assert_eq!(rig.admin.max_body_bytes(&post, "/rustfs/admin/v3/kms/restore"), 64 << 20);
    assert_eq!(rig.admin.max_body_bytes(&post, "/kms/keys"), 64 << 10);
    assert_eq!(rig.admin.max_body_bytes(&post, "/anything"), 64 << 10);
}

#[tokio::test]
async fn a_sealed_service_gives_no_bundle_and_takes_none() {
    let rig = Rig::new().await;
    let passphrase = "correct horse battery staple";
    let bundle = rig.ok("POST", "/kms/backup", json!({"passphrase": passphrase})).await["bundle"].clone();
    rig.ok("POST", "/kms/seal", json!({})).await;
    rig.refused("POST", "/kms/backup", json!({"passphrase": passphrase}), 409, "KmsSealed").await;
    for dry_run in [true, false] {
        let body = json!({"bundle": bundle, "passphrase": passphrase, "dry_run": dry_run});
        rig.refused("POST", "/kms/restore", body, 409, "KmsSealed").await;
    }
    rig.ok("POST", "/kms/unseal", json!({})).await;
    rig.ok("POST", "/kms/backup", json!({"passphrase": passphrase})).await;
}
