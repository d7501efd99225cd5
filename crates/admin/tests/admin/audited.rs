//! What is recorded of administration.

use serde_json::{Value, json};

use crate::rig::{Rig, allowing, user};

#[tokio::test]
async fn every_change_is_recorded_before_it_is_answered() {
    let rig = Rig::new().await;
    rig.ok("POST", "/kms/keys/rotate", json!({"key_id": "alpha"})).await;
    rig.ok("POST", "/kms/reconfigure", json!({"default_key_id": "beta"})).await;
    let records = rig.records().await;
    let operations: Vec<_> = records.iter().filter_map(|record| record["operation"].as_str()).filter(|name| !name.is_empty()).collect();
    for operation in ["ConfigureKms", "StartKms", "CreateKey", "RotateKey", "ReconfigureKms"] {
        assert!(operations.contains(&operation), "{operation}: {operations:?}");
    }
    let rotated = rig.record("RotateKey").await;
    assert_eq!((&rotated["who"], &rotated["request_id"], &rotated["outcome"]), (&json!("root"), &json!("REQUEST1"), &json!("ok")));
    assert_eq!((&rotated["backend"], &rotated["key_id"], &rotated["key_version"]), (&json!("local"), &json!("alpha"), &json!(2)));
    assert_eq!(rig.record("ReconfigureKms").await["details"], json!({"default_key_id": "beta"}));
}

#[tokio::test]
async fn failures_and_denials_are_recorded_and_reads_are_not() {
    let rig = Rig::new().await;
    rig.refused("POST", "/kms/keys/enable", json!({"key_id": "missing"}), 404, "NotFound").await;
    let record = rig.record("EnableKey").await;
    assert_eq!((&record["outcome"], &record["key_id"]), (&json!({"error": "NotFound"}), &json!("missing")));
    let nobody = user(&allowing(&["s3:GetObject"]));
    let answered = rig.send("GET", "/kms/keys/alpha", String::new(), nobody).await;
    assert_eq!(answered.status, 403);
    let record = rig.record("DescribeKey").await;
    assert_eq!(
        (&record["who"], &record["key_id"], &record["outcome"]),
        (&json!("alice"), &json!("alpha"), &json!({"error": "AccessDenied"}))
    );
    rig.ok("GET", "/kms/keys/alpha", Value::Null).await;
    rig.ok("GET", "/kms/status", Value::Null).await;
    let records = rig.records().await;
    assert_eq!(records.iter().filter(|record| record["operation"] == "DescribeKey").count(), 1);
    assert!(records.iter().all(|record| record["operation"] != "GetKmsStatus"));
}

#[tokio::test]
async fn nothing_is_changed_that_cannot_be_recorded() {
    let rig = Rig::new().await;
    rig.audit.close().await.unwrap();
    let answered = rig.call("POST", "/kms/keys", json!({"name": "unrecorded"})).await;
    assert_eq!((answered.status, answered.json["code"].as_str(), answered.retry_after), (503, Some("AuditUnavailable"), true));
    rig.refused("GET", "/kms/keys/unrecorded", Value::Null, 404, "NotFound").await;
}

#[tokio::test]
async fn the_head_of_the_log_is_told() {
    let rig = Rig::new().await;
    let head = rig.ok("GET", "/kms/audit/head", Value::Null).await;
    assert_eq!(head["seq"], rig.audit.head().seq);
    assert_eq!(
        (head["hash"].as_str().unwrap(), head["public_key"].as_str().unwrap()),
        (rig.audit.head().hash.as_str(), rig.audit.public_key().to_hex().as_str())
    );
}

#[tokio::test]
async fn a_change_is_on_record_before_it_runs() {
    let rig = Rig::new().await;
    rig.ok("DELETE", "/kms/keys/delete", json!({"key_id": "alpha", "force_immediate": true, "confirm_key_id": "alpha"})).await;
    let denied = user(&allowing(&["s3:GetObject"]));
    assert_eq!(rig.send("POST", "/kms/keys/enable", json!({"key_id": "alpha"}).to_string(), denied).await.status, 403);
    let records = rig.records().await;
    let about = records.iter().filter(|record| record["key_id"] == "alpha" && record["operation"] != "CreateKey");
    let told: Vec<_> = about.map(|record| (record["operation"].as_str().unwrap(), record["details"]["phase"].as_str())).collect();
    // EraseKey is written while the deletion runs.
    assert_eq!(told, [("DeleteKey", Some("begun")), ("EraseKey", None), ("DeleteKeyNow", None), ("EnableKey", None)]);
}

#[tokio::test]
async fn a_change_is_recorded_however_long_its_texts_are() {
    let rig = Rig::new().await;
    let long = "x".repeat(65_480);
    let answered = rig.call("POST", "/kms/reconfigure", json!({"default_key_id": "beta", long.as_str(): null})).await;
    assert_ne!(answered.status, 503, "{answered:?}");
    let record = rig.record("ReconfigureKms").await;
    assert_eq!((&record["details"]["default_key_id"], record["outcome"] == "ok"), (&json!("beta"), answered.status == 200));
    assert_eq!(record["details"]["backend_fields"], format!("{}…", "x".repeat(256)));

    rig.refused("POST", "/kms/rekey", json!({"bucket": long}), 404, "NotFound").await;
    let record = rig.record("StartRekey").await;
    assert_eq!((&record["bucket"], &record["outcome"]), (&json!(format!("{}…", "x".repeat(256))), &json!({"error": "NotFound"})));
}
