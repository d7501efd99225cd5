//! Rotation on schedule.

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::rig::Rig;

async fn version(rig: &Rig) -> u64 {
    rig.ok("GET", "/kms/keys/alpha", Value::Null).await["key_metadata"]["current_version"].as_u64().unwrap()
}

#[tokio::test]
async fn a_key_is_rotated_when_it_is_due_and_not_before() {
    let rig = Rig::new().await;
    let set = rig.ok("POST", "/kms/keys/rotate", json!({"key_id": "alpha", "rotate_every_days": 90})).await;
    let metadata = &set["key_metadata"];
    assert_eq!(
        (&metadata["rotation_enabled"], &metadata["rotate_every_days"], &metadata["current_version"]),
        (&json!(true), &json!(90), &json!(1))
    );
    assert!(metadata["next_rotation_date"].is_string());
    let now = OffsetDateTime::now_utc();
    rig.admin.tick(now + Duration::days(89)).await;
    assert_eq!(version(&rig).await, 1);
    rig.admin.tick(now + Duration::days(91)).await;
    assert_eq!(version(&rig).await, 2);
    rig.admin.tick(now + Duration::days(92)).await;
    assert_eq!(version(&rig).await, 2);
    let record = rig.record("RotateKey").await;
    assert_eq!((&record["request_id"], &record["who"], &record["key_version"]), (&json!("job:rotation"), &json!("root"), &json!(2)));

    let ended = rig.ok("POST", "/kms/keys/rotate", json!({"key_id": "alpha", "rotate_every_days": null})).await;
    assert_eq!(ended["key_metadata"]["rotation_enabled"], false);
    rig.admin.tick(now + Duration::days(1000)).await;
    assert_eq!(version(&rig).await, 2);
}

#[tokio::test]
async fn a_key_that_is_disabled_is_not_rotated() {
    let rig = Rig::new().await;
    rig.ok("POST", "/kms/keys/rotate", json!({"key_id": "alpha", "rotate_every_days": 1})).await;
    rig.ok("POST", "/kms/keys/disable", json!({"key_id": "alpha"})).await;
    let now = OffsetDateTime::now_utc();
    rig.admin.tick(now + Duration::days(2)).await;
    assert_eq!(version(&rig).await, 1);
    rig.ok("POST", "/kms/keys/enable", json!({"key_id": "alpha"})).await;
    rig.admin.tick(now + Duration::days(4)).await;
    assert_eq!(version(&rig).await, 2);
}

#[tokio::test]
async fn a_schedule_has_bounds_and_goes_with_its_key() {
    let rig = Rig::new().await;
    for days in [json!(0), json!(3651), json!("often"), json!(-1)] {
        rig.refused("POST", "/kms/keys/rotate", json!({"key_id": "alpha", "rotate_every_days": days}), 400, "InvalidRequest").await;
    }
    rig.refused("POST", "/kms/keys/rotate", json!({"key_id": "missing", "rotate_every_days": 1}), 404, "NotFound").await;
    rig.ok("POST", "/kms/keys/rotate", json!({"key_id": "alpha", "rotate_every_days": 1})).await;
    rig.ok("DELETE", "/kms/keys/delete", json!({"key_id": "alpha", "force_immediate": true, "confirm_key_id": "alpha"})).await;
    assert_eq!(rig.ok("GET", "/kms/keys/alpha", Value::Null).await["key_metadata"]["rotation_enabled"], false);
}
