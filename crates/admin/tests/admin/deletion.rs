//! The end of keys.

use serde_json::{Value, json};
use strongroom_audit::{SignedReceipt, verify_receipt};
use time::{Duration, OffsetDateTime};

use crate::rig::Rig;

#[tokio::test]
async fn a_scheduled_deletion_states_the_loss_and_can_be_taken_back() {
    let rig = Rig::new().await;
    rig.put("a", Some("alpha"), b"data").await;
    let answer = rig.ok("DELETE", "/kms/keys/delete", json!({"key_id": "alpha", "pending_window_in_days": 7})).await;
    assert_eq!((&answer["usage"]["objects"], &answer["usage"]["bytes"]), (&json!(1), &json!(4)));
    assert_eq!((&answer["key_metadata"]["key_state"], &answer["key_metadata"]["enabled"]), (&json!("PendingDeletion"), &json!(false)));
    assert!(answer["key_metadata"]["deletion_date"].is_string());
    assert!(answer.get("receipt").is_none());
    assert!(rig.get("a").await.is_err());
    rig.refused("DELETE", "/kms/keys/delete", json!({"key_id": "alpha"}), 409, "KeyPendingDeletion").await;
    rig.admin.tick(OffsetDateTime::now_utc() + Duration::days(6)).await;
    let answer = rig.ok("POST", "/kms/keys/cancel-deletion", json!({"key_id": "alpha"})).await;
    assert_eq!(answer["key_metadata"]["deletion_date"], Value::Null);
    rig.ok("POST", "/kms/keys/enable", json!({"key_id": "alpha"})).await;
    assert_eq!(rig.get("a").await.unwrap(), b"data");
    rig.admin.tick(OffsetDateTime::now_utc() + Duration::days(60)).await;
    assert_eq!(rig.get("a").await.unwrap(), b"data");
    assert_eq!(rig.ok("GET", "/kms/receipts", Value::Null).await["receipts"], json!([]));
}

#[tokio::test]
async fn a_window_that_passed_leaves_a_signed_receipt_of_who_asked_and_what_was_lost() {
    let rig = Rig::new().await;
    rig.put("a", Some("alpha"), b"data").await;
    rig.ok("DELETE", "/kms/keys/delete?keyId=alpha&pending_window_in_days=7", Value::Null).await;
    rig.admin.tick(OffsetDateTime::now_utc() + Duration::days(8)).await;
    rig.admin.tick(OffsetDateTime::now_utc() + Duration::days(8)).await;
    let list = rig.ok("GET", "/kms/receipts?key_id=alpha", Value::Null).await;
    let receipts: Vec<SignedReceipt> = serde_json::from_value(list["receipts"].clone()).unwrap();
    assert_eq!(receipts.len(), 1);
    verify_receipt(&receipts[0], &rig.audit.public_key()).unwrap();
    let receipt = &receipts[0].receipt;
    assert_eq!((receipt.key_id.as_str(), receipt.backend.as_str()), ("alpha", "local"));
    assert_eq!((receipt.objects, receipt.bytes, receipt.buckets.as_slice()), (1, 4, ["photos".to_owned()].as_slice()));
    assert_eq!((receipt.requested_by.as_str(), receipt.request_id.as_str()), ("root", "REQUEST1"));
    let record = rig.record("EraseKey").await;
    assert_eq!((record["seq"].as_u64(), &record["key_id"]), (Some(receipt.audit_seq), &json!("alpha")));
    assert_eq!(list["public_key"], rig.audit.public_key().to_hex());
    assert_eq!(rig.ok("GET", "/kms/keys/alpha", Value::Null).await["key_metadata"]["key_state"], "Erased");
    assert!(rig.get("a").await.is_err());
}

#[tokio::test]
async fn an_immediate_deletion_needs_the_key_id_once_more() {
    let rig = Rig::new().await;
    rig.put("a", Some("alpha"), b"data").await;
    for request in [
        json!({"key_id": "alpha", "force_immediate": true}),
        json!({"key_id": "alpha", "force_immediate": true, "confirm_key_id": "beta"}),
        json!({"key_id": "key/alpha", "force_immediate": true, "confirm_key_id": "key/alpha"}),
    ] {
        let message = rig.refused("DELETE", "/kms/keys/delete", request, 400, "InvalidRequest").await;
        assert!(message.contains("confirm_key_id") && message.contains("1 objects of 4 bytes"), "{message}");
    }
    let both = json!({"key_id": "alpha", "force_immediate": true, "confirm_key_id": "alpha", "pending_window_in_days": 7});
    rig.refused("DELETE", "/kms/keys/delete", both, 400, "InvalidRequest").await;
    rig.refused("DELETE", "/kms/keys/delete", json!({"key_id": "alpha", "confirm_key_id": "alpha"}), 400, "InvalidRequest").await;
    assert_eq!(rig.get("a").await.unwrap(), b"data");

    let request = json!({"key_id": "alpha", "force_immediate": true, "confirm_key_id": "alpha"});
    let answer = rig.ok("DELETE", "/kms/keys/delete", request.clone()).await;
    assert_eq!(answer["key_metadata"]["key_state"], "Erased");
    let receipt: SignedReceipt = serde_json::from_value(answer["receipt"].clone()).unwrap();
    verify_receipt(&receipt, &rig.audit.public_key()).unwrap();
    assert_eq!((receipt.receipt.objects, receipt.receipt.bytes), (1, 4));
    assert!(rig.get("a").await.is_err());
    rig.refused("DELETE", "/kms/keys/delete", request, 409, "KeyErased").await;
    rig.refused("POST", "/kms/keys", json!({"name": "alpha"}), 409, "KeyExists").await;
    rig.admin.tick(OffsetDateTime::now_utc()).await;
    let receipts = rig.ok("GET", "/kms/receipts", Value::Null).await;
    assert_eq!(receipts["receipts"], json!([answer["receipt"]]));
}

#[tokio::test]
async fn a_window_outside_the_bounds_is_refused() {
    let rig = Rig::new().await;
    for days in [0, 6, 31] {
        let request = json!({"key_id": "alpha", "pending_window_in_days": days});
        rig.refused("DELETE", "/kms/keys/delete", request, 400, "InvalidRequest").await;
    }
    assert_eq!(rig.ok("GET", "/kms/keys/alpha", Value::Null).await["key_metadata"]["enabled"], true);
    let answer = rig.ok("DELETE", "/kms/keys/delete", json!({"key_id": "alpha"})).await;
    let date = answer["key_metadata"]["deletion_date"].as_str().unwrap().to_owned();
    let date = OffsetDateTime::parse(&date, &time::format_description::well_known::Rfc3339).unwrap();
    assert_eq!((date - OffsetDateTime::now_utc()).whole_hours(), 30 * 24 - 1);
}

#[tokio::test]
async fn receipts_are_listed_by_pages() {
    let rig = Rig::new().await;
    for name in ["alpha", "beta", "default"] {
        rig.ok("DELETE", "/kms/keys/delete", json!({"key_id": name, "force_immediate": true, "confirm_key_id": name})).await;
    }
    let first = rig.ok("GET", "/kms/receipts?limit=2", Value::Null).await;
    assert_eq!((first["receipts"].as_array().unwrap().len(), &first["truncated"]), (2, &json!(true)));
    let second = rig.ok("GET", &format!("/kms/receipts?limit=2&marker={}", first["next_marker"]), Value::Null).await;
    assert_eq!(second["receipts"][0]["receipt"]["key_id"], "default");
    assert_eq!((&second["truncated"], &second["next_marker"]), (&json!(false), &Value::Null));
    rig.refused("GET", "/kms/receipts?limit=0", Value::Null, 400, "InvalidRequest").await;
}

#[tokio::test]
async fn a_cancelled_deletion_takes_back_its_own_intent_and_no_other() {
    const DOCUMENT: &str = "kms-erasures";
    let rig = Rig::new().await;
    let intents = async || -> Vec<Value> { serde_json::from_slice(&rig.state.load(DOCUMENT).await.unwrap().unwrap()).unwrap() };
    rig.ok("DELETE", "/kms/keys/delete", json!({"key_id": "alpha"})).await;
    assert_eq!(intents().await.len(), 1);
    rig.ok("POST", "/kms/keys/cancel-deletion", json!({"key_id": "alpha"})).await;
    assert_eq!(intents().await, [] as [Value; 0]);

    // Somebody else has begun to delete the key at once, and not got to the key yet.
    rig.ok("DELETE", "/kms/keys/delete", json!({"key_id": "alpha"})).await;
    let mut now = intents().await;
    now[0]["due"] = json!(OffsetDateTime::now_utc().format(&time::format_description::well_known::Rfc3339).unwrap());
    let present = rig.state.load(DOCUMENT).await.unwrap().unwrap();
    rig.state.save(DOCUMENT, Some(&present), &serde_json::to_vec(&now).unwrap()).await.unwrap();
    rig.ok("POST", "/kms/keys/cancel-deletion", json!({"key_id": "alpha"})).await;
    assert_eq!(intents().await, now);
}
