//! Data keys for programs beside the store.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::rig::{Rig, root};

#[tokio::test]
async fn a_data_key_comes_back_with_its_context_and_no_other() {
    let rig = Rig::new().await;
    let context = json!({"bucket": "analytics", "object": "report"});
    let request = json!({"key_id": "alpha", "key_spec": "AES_256", "encryption_context": context});
    let made = rig.ok("POST", "/kms/generate-data-key", request).await;
    assert_eq!(made["key_id"], "alpha");
    assert_eq!(STANDARD.decode(made["plaintext_key"].as_str().unwrap()).unwrap().len(), 32);
    let blob = made["ciphertext_blob"].clone();
    rig.ok("POST", "/kms/keys/rotate", json!({"key_id": "alpha"})).await;
    let opened = rig.ok("POST", "/kms/decrypt", json!({"ciphertext_blob": blob, "encryption_context": context})).await;
    assert_eq!(opened, json!({"key_id": "alpha", "plaintext_key": made["plaintext_key"]}));
    rig.refused("POST", "/kms/decrypt", json!({"ciphertext_blob": blob}), 400, "InvalidCiphertext").await;
    let mut altered = STANDARD.decode(blob.as_str().unwrap()).unwrap();
    *altered.last_mut().unwrap() ^= 1;
    let request = json!({"ciphertext_blob": STANDARD.encode(altered), "encryption_context": context});
    rig.refused("POST", "/kms/decrypt", request, 400, "InvalidCiphertext").await;
    let request = json!({"ciphertext_blob": blob, "encryption_context": context, "key_id": "beta"});
    rig.refused("POST", "/kms/decrypt", request, 400, "InvalidRequest").await;
    rig.refused("POST", "/kms/decrypt", json!({"ciphertext_blob": "AAAA"}), 400, "InvalidRequest").await;
}

#[tokio::test]
async fn a_key_that_cannot_be_used_says_why() {
    let rig = Rig::new().await;
    rig.refused("POST", "/kms/generate-data-key", json!({"key_id": "missing"}), 404, "NotFound").await;
    rig.refused("POST", "/kms/generate-data-key", json!({"key_id": "strongroom-store"}), 404, "NotFound").await;
    rig.refused("POST", "/kms/generate-data-key", json!({"key_id": "alpha", "key_spec": "AES_128"}), 400, "InvalidRequest").await;
    for (change, code) in [("disable", "KeyDisabled"), ("seal", "KeySealed")] {
        rig.ok("POST", &format!("/kms/keys/{change}"), json!({"key_id": "alpha"})).await;
        rig.refused("POST", "/kms/generate-data-key", json!({"key_id": "alpha"}), 409, code).await;
    }
}

#[tokio::test]
async fn key_material_does_not_travel_in_the_clear() {
    let rig = Rig::new().await;
    for (path, body) in [
        ("/kms/generate-data-key", json!({"key_id": "alpha"})),
        ("/kms/backup", json!({"passphrase": "twelve characters"})),
        ("/kms/restore", json!({"passphrase": "twelve characters", "bundle": ""})),
    ] {
        let plain = strongroom_admin::Signer { secrets_allowed: false, ..root() };
        let answered = rig.send("POST", path, body.to_string(), plain).await;
        assert_eq!((answered.status, answered.json["code"].as_str()), (400, Some("InvalidRequest")), "{path}");
        assert!(answered.text.contains("secure connection"), "{path}");
    }
}

#[tokio::test]
async fn each_use_is_recorded_without_the_key() {
    let rig = Rig::new().await;
    let made = rig.ok("POST", "/kms/generate-data-key", json!({"key_id": "alpha"})).await;
    rig.ok("POST", "/kms/decrypt", json!({"ciphertext_blob": made["ciphertext_blob"]})).await;
    for operation in ["GenerateDataKey", "Decrypt"] {
        let record = rig.record(operation).await;
        assert_eq!((&record["key_id"], &record["key_version"], &record["backend"]), (&json!("alpha"), &json!(1), &json!("local")));
        assert_eq!((&record["who"], &record["request_id"]), (&json!("root"), &json!("REQUEST1")));
    }
    let text = serde_json::to_string(&rig.records().await).unwrap();
    assert!(!text.contains(made["plaintext_key"].as_str().unwrap()));
    let failed = rig.call("POST", "/kms/generate-data-key", json!({"key_id": "missing"})).await;
    assert_eq!(failed.status, 404);
    assert_eq!(rig.record("GenerateDataKey").await["outcome"], json!({"error": "NotFound"}));
}
