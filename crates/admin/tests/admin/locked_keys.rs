//! Keys on which versions depend that Object Lock keeps.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};
use strongroom_catalog::Clock;
use strongroom_engine::Error;
use strongroom_engine::api::{DefaultLock, ObjectVersion, Retention, RetentionChange, RetentionMode, VersioningStatus};

use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use crate::rig::{Rig, allowing, caller, user};

/// 2090-01-01
const FAR: i64 = 3_786_912_000_000;

async fn with_locked_bucket() -> Rig {
    lockable(Rig::new().await).await
}

async fn lockable(rig: Rig) -> Rig {
    rig.engine.set_bucket_versioning("photos", VersioningStatus::Enabled).await.unwrap();
    rig.engine.set_object_lock_configuration(&caller(), "photos", DefaultLock::default()).await.unwrap();
    rig
}

fn object(key: &str) -> ObjectVersion {
    ObjectVersion { bucket: "photos".into(), key: key.into(), version_id: None }
}

async fn retain(rig: &Rig, key: &str) -> Result<(), Error> {
    let retention = Retention { mode: RetentionMode::Compliance, until_ms: FAR };
    let change = RetentionChange { mode: Some(retention.mode), until_ms: Some(retention.until_ms), event_hold: None };
    rig.engine.change_retention(&caller(), &object(key), &change, false).await
}

#[tokio::test]
async fn a_key_of_locked_versions_is_not_deleted_and_the_refusal_says_which_and_until_when() {
    let rig = with_locked_bucket().await;
    rig.put("kept", Some("alpha"), b"data").await;
    rig.put("held", Some("alpha"), b"data").await;
    rig.put("other", Some("beta"), b"data").await;
    retain(&rig, "kept").await.unwrap();
    rig.engine.set_legal_hold(&caller(), &object("held"), true).await.unwrap();
    for request in [json!({"key_id": "alpha"}), json!({"key_id": "alpha", "force_immediate": true, "confirm_key_id": "alpha"})] {
        let message = rig.refused("DELETE", "/kms/keys/delete", request, 409, "LockedVersions").await;
        assert!(message.contains("photos/kept (version ") && message.contains(", until 2090-01-01T00:00:00Z)"), "{message}");
        assert!(message.contains("photos/held (version ") && message.contains(", until its hold is released)"), "{message}");
        assert!(!message.contains("other"), "{message}");
    }
    let by_narrow = rig.send("DELETE", "/kms/keys/delete", json!({"key_id": "alpha"}).to_string(), user(&allowing(&["kms:*"]))).await;
    assert_eq!(by_narrow.status, 409);
    assert!(!by_narrow.text.contains("photos") && by_narrow.text.contains("in buckets that you may not list"), "{}", by_narrow.text);
    // Nothing has changed, so new data is written under the key.
    rig.put("new", Some("alpha"), b"data").await;
    assert_eq!(rig.get("kept").await.unwrap(), b"data");
    rig.ok("DELETE", "/kms/keys/delete", json!({"key_id": "beta"})).await;
}

#[tokio::test]
async fn a_key_is_deleted_when_no_lock_holds_any_more() {
    let rig = with_locked_bucket().await;
    rig.put("held", Some("alpha"), b"data").await;
    rig.engine.set_legal_hold(&caller(), &object("held"), true).await.unwrap();
    rig.refused("DELETE", "/kms/keys/delete", json!({"key_id": "alpha"}), 409, "LockedVersions").await;
    rig.engine.set_legal_hold(&caller(), &object("held"), false).await.unwrap();
    rig.ok("DELETE", "/kms/keys/delete", json!({"key_id": "alpha"})).await;
    // Nothing is locked that the key would take along; what is locked already can be released.
    let refused = rig.engine.set_legal_hold(&caller(), &object("held"), true).await;
    assert!(matches!(refused, Err(Error::KmsKeyPendingDeletion(_))), "{refused:?}");
    assert!(matches!(retain(&rig, "held").await, Err(Error::KmsKeyPendingDeletion(_))));
    rig.engine.set_legal_hold(&caller(), &object("held"), false).await.unwrap();
    rig.ok("POST", "/kms/keys/cancel-deletion", json!({"key_id": "alpha"})).await;
    retain(&rig, "held").await.unwrap();
}

#[tokio::test]
async fn locked_versions_go_with_their_key_only_by_a_right_of_its_own_and_on_record() {
    let rig = with_locked_bucket().await;
    rig.put("kept", Some("alpha"), b"data").await;
    rig.put("held", Some("alpha"), b"data").await;
    rig.put("free", Some("alpha"), b"data").await;
    retain(&rig, "kept").await.unwrap();
    rig.engine.set_legal_hold(&caller(), &object("held"), true).await.unwrap();
    let now = json!({"key_id": "alpha", "force_immediate": true, "confirm_key_id": "alpha", "destroy_locked": true});
    let deletes = ["kms:ScheduleKeyDeletion", "kms:DeleteKeyNow"];
    let by = |actions: &[&str]| rig.send("DELETE", "/kms/keys/delete", now.to_string(), user(&allowing(actions)));
    assert_eq!(by(&deletes).await.status, 403);
    rig.refused("DELETE", "/kms/keys/delete", json!({"key_id": "alpha", "destroy_locked": true}), 400, "InvalidRequest").await;
    assert_eq!(rig.get("kept").await.unwrap(), b"data");
    assert_eq!(by(&[&deletes[..], &["kms:DeleteLockedKey"]].concat()).await.status, 200);
    assert!(matches!(rig.get("kept").await, Err(Error::KmsKeyErased(_))));
    for operation in ["DeleteKeyNow", "EraseKey"] {
        let details = rig.record(operation).await["details"].clone();
        assert_eq!((&details["objects"], &details["locked_versions"]), (&json!("3"), &json!("2")), "{operation}: {details}");
    }
    assert_eq!(rig.record("DeleteKeyNow").await["details"]["destroy_locked"], "true");
    let receipt = rig.ok("GET", "/kms/receipts?key_id=alpha", Value::Null).await["receipts"][0]["receipt"].clone();
    assert_eq!((&receipt["objects"], &receipt["locked_versions"]), (&json!(3), &json!(2)), "{receipt}");
}

/// The race: the lock commits while the key is being destroyed. A disabled key is no exception, for it comes back.
#[tokio::test]
async fn a_key_is_not_closed_while_a_lock_under_it_commits_also_where_it_is_disabled() {
    let rig = with_locked_bucket().await;
    rig.put("held", Some("alpha"), b"data").await;
    for disable in [false, true] {
        if disable {
            rig.ok("POST", "/kms/keys/disable", json!({"key_id": "alpha"})).await;
        }
        let permit = strongroom_kms::KeySource::begin_lock(&*rig.keyring, "local", "alpha").await.unwrap();
        let closing = rig.keyring.close_key("local", "alpha");
        let waits = tokio::time::timeout(std::time::Duration::from_millis(200), closing).await;
        assert!(waits.is_err(), "{disable}");
        drop(permit);
        let closed = rig.keyring.close_key("local", "alpha").await.unwrap();
        let refused = rig.engine.set_legal_hold(&caller(), &object("held"), true).await;
        assert!(matches!(refused, Err(Error::KmsKeyPendingDeletion(_))), "{refused:?}");
        drop(closed);
    }
    rig.engine.set_legal_hold(&caller(), &object("held"), true).await.unwrap();
    rig.refused("DELETE", "/kms/keys/delete", json!({"key_id": "alpha"}), 409, "LockedVersions").await;
}

/// With a locked version under `alpha`, the catalog's clock, and what it shows.
async fn with_kept() -> (Rig, Arc<AtomicI64>, i64) {
    let present = OffsetDateTime::now_utc().unix_timestamp() * 1000;
    let clock = Arc::new(AtomicI64::new(present));
    let read = Arc::clone(&clock);
    let rig = lockable(Rig::with_clock(Clock::new(move || read.load(Ordering::SeqCst))).await).await;
    rig.put("kept", Some("alpha"), b"data").await;
    retain(&rig, "kept").await.unwrap();
    (rig, clock, present)
}

/// The attack: the clock is set forward so that no lock holds, the key is scheduled for deletion, and the clock is set back.
#[tokio::test]
async fn a_key_waits_beyond_its_window_while_locked_versions_depend_on_it() {
    let (rig, clock, present) = with_kept().await;
    rig.put("other", Some("beta"), b"data").await;
    rig.refused("DELETE", "/kms/keys/delete", json!({"key_id": "alpha"}), 409, "LockedVersions").await;
    clock.store(FAR + 1, Ordering::SeqCst);
    for key_id in ["alpha", "beta"] {
        rig.ok("DELETE", "/kms/keys/delete", json!({"key_id": key_id, "pending_window_in_days": 7})).await;
    }
    clock.store(present, Ordering::SeqCst);
    let state = async |key: &str| rig.ok("GET", &format!("/kms/keys/{key}"), Value::Null).await["key_metadata"]["key_state"].clone();
    for days in [8, 9, 40] {
        rig.admin.tick(OffsetDateTime::now_utc() + Duration::days(days)).await;
        assert_eq!((state("alpha").await, state("beta").await), (json!("PendingDeletion"), json!("Erased")), "after {days} days");
        assert_eq!(rig.keyring.postponed_deletions(), 1);
        let records = rig.records().await;
        let found: Vec<_> = records.iter().filter(|record| record["operation"] == "PostponeKeyDeletion").collect();
        let [record] = found[..] else { panic!("one record, not one each minute: {found:?}") };
        assert_eq!((&record["who"], &record["key_id"], &record["backend"]), (&json!("root"), &json!("alpha"), &json!("local")));
        assert_eq!(record["request_id"], "job:erasure");
        assert_eq!(record["details"]["locked_versions"], "1", "{record}");
        let due = OffsetDateTime::parse(record["details"]["due"].as_str().unwrap(), &Rfc3339).unwrap();
        assert!(due > OffsetDateTime::now_utc() + Duration::days(6), "{due}");
    }
    rig.ok("POST", "/kms/keys/cancel-deletion", json!({"key_id": "alpha"})).await;
    rig.ok("POST", "/kms/keys/enable", json!({"key_id": "alpha"})).await;
    assert_eq!(rig.get("kept").await.unwrap(), b"data");
    rig.admin.tick(OffsetDateTime::now_utc() + Duration::days(41)).await;
    assert_eq!((state("alpha").await, rig.keyring.postponed_deletions()), (json!("Enabled"), 0));
}

#[tokio::test]
async fn a_key_that_waited_for_locks_goes_when_they_have_ended_or_by_the_right_to_destroy_them() {
    for destroy in [false, true] {
        let (rig, clock, present) = with_kept().await;
        clock.store(FAR + 1, Ordering::SeqCst);
        rig.ok("DELETE", "/kms/keys/delete", json!({"key_id": "alpha", "pending_window_in_days": 7})).await;
        clock.store(present, Ordering::SeqCst);
        let then = OffsetDateTime::now_utc() + Duration::days(8);
        rig.admin.tick(then).await;
        assert_eq!(rig.keyring.postponed_deletions(), 1);
        if destroy {
            let now = json!({"key_id": "alpha", "force_immediate": true, "confirm_key_id": "alpha"});
            rig.refused("DELETE", "/kms/keys/delete", now.clone(), 409, "LockedVersions").await;
            let mut now = now;
            now["destroy_locked"] = json!(true);
            rig.ok("DELETE", "/kms/keys/delete", now).await;
        } else {
            clock.store(FAR, Ordering::SeqCst);
        }
        rig.admin.tick(then).await;
        assert_eq!(rig.keyring.postponed_deletions(), 0);
        assert!(matches!(rig.get("kept").await, Err(Error::KmsKeyErased(_))));
        let receipts = rig.ok("GET", "/kms/receipts?key_id=alpha", Value::Null).await["receipts"].clone();
        assert_eq!(receipts.as_array().unwrap().len(), 1, "{receipts}");
        assert_eq!(receipts[0]["receipt"]["objects"], 1);
        assert_eq!(receipts[0]["receipt"]["locked_versions"], u64::from(destroy), "{receipts}");
    }
}
