//! Rules that destroy a key on a date.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};
use strongroom_audit::{SignedReceipt, verify_receipt};
use strongroom_catalog::Clock;
use strongroom_engine::Error;
use strongroom_engine::api::{
    Attributes, CreateBucket, CreateMultipartUpload, DefaultEncryption, DefaultLock, DeleteCondition, ObjectHeaders, ObjectVersion,
    VersioningStatus,
};
use strongroom_engine::lifecycle::{DAY, LifecycleOptions};
use time::{Duration, OffsetDateTime};

use crate::rig::{Rig, allowing, caller, sse_kms, user};

pub(crate) const RULES: &str = "/kms/erasure/rules";
const DAY_MS: i64 = 86_400_000;

/// A rig whose clock stands until it is moved.
pub(crate) struct Timed {
    pub(crate) rig: Rig,
    pub(crate) clock: Arc<AtomicI64>,
}

impl Timed {
    pub(crate) async fn new() -> Self {
        Self::with_jumps(None).await
    }

    async fn with_jumps(max_clock_jump: Option<std::time::Duration>) -> Self {
        let clock = Arc::new(AtomicI64::new(OffsetDateTime::now_utc().unix_timestamp() * 1000));
        let read = Arc::clone(&clock);
        let clock_of_rig = Clock::new(move || read.load(Ordering::SeqCst));
        let lifecycle = LifecycleOptions { clock: clock_of_rig, max_clock_jump, ..LifecycleOptions::default() };
        Self { rig: Rig::with_lifecycle(lifecycle).await, clock }
    }

    /// So much time passes, and then a round of the background.
    pub(crate) async fn days_pass(&self, days: i64) {
        self.clock.fetch_add(days * DAY_MS, Ordering::SeqCst);
        self.round().await;
    }

    pub(crate) async fn round(&self) {
        self.rig.admin.tick(OffsetDateTime::now_utc()).await;
    }

    /// Adds a rule; its id.
    pub(crate) async fn rule(&self, body: Value) -> String {
        self.rig.ok("POST", RULES, body).await["rule_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn shown(&self, id: &str) -> Value {
        self.rig.ok("GET", &format!("{RULES}/{id}"), Value::Null).await
    }

    /// The rule's state and what is in its way.
    async fn blocked(&self, id: &str) -> (Value, String) {
        let shown = self.shown(id).await;
        let obstacles: Vec<_> = shown["obstacles"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect();
        (shown["state"].clone(), obstacles.join("\n"))
    }

    async fn bucket(&self, name: &str) {
        self.rig.engine.create_bucket(&caller(), CreateBucket { name: name.into(), ..CreateBucket::default() }).await.unwrap();
    }

    pub(crate) async fn delete(&self, bucket: &str, key: &str) {
        self.rig.engine.delete_object(&caller(), bucket, key, None, DeleteCondition::default(), false).await.unwrap();
    }
}

pub(crate) fn of_photos(days: u32) -> Value {
    json!({"bucket": "photos", "key_id": "alpha", "days": days})
}

#[tokio::test]
async fn on_its_date_and_not_before_a_rule_destroys_its_key_and_the_receipt_names_it() {
    let timed = Timed::new().await;
    let rig = &timed.rig;
    rig.put("a", Some("alpha"), b"data").await;
    rig.put("b", Some("beta"), b"data").await;
    let id = timed.rule(of_photos(30)).await;
    timed.days_pass(29).await;
    assert_eq!(rig.get("a").await.unwrap(), b"data");
    let before = timed.shown(&id).await;
    assert_eq!((&before["state"], &before["obstacles"], &before["objects_left"]), (&json!("Scheduled"), &json!([]), &json!(1)));
    timed.days_pass(1).await;
    assert!(matches!(rig.get("a").await, Err(Error::KmsKeyErased(key)) if key == "alpha"));
    assert_eq!(rig.get("b").await.unwrap(), b"data", "what is under another key stays");
    let done = timed.shown(&id).await;
    assert_eq!((&done["state"], &done["objects_left"], &done["added_by"]), (&json!("Done"), &json!(1), &json!("root")));
    let signed: SignedReceipt = serde_json::from_value(done["receipt"].clone()).unwrap();
    verify_receipt(&signed, &rig.audit.public_key()).unwrap();
    assert_eq!((signed.receipt.key_id.as_str(), signed.receipt.objects, signed.receipt.bytes), ("alpha", 1, 4));
    assert_eq!((signed.receipt.request_id, signed.receipt.requested_by.as_str()), (format!("erasure-rule:{id}"), "root"));
    let receipts = rig.ok("GET", "/kms/receipts", Value::Null).await;
    assert_eq!(receipts["receipts"], json!([done["receipt"]]));
    timed.days_pass(1).await;
    assert_eq!(timed.shown(&id).await, done, "nothing more happens to it");
    assert_eq!(rig.admin.erasure_rules().await, [("Scheduled", 0), ("Blocked", 0), ("PendingDeletion", 0), ("Done", 1)]);
}

#[tokio::test]
async fn adding_carrying_out_and_removing_are_in_the_audit_log() {
    let timed = Timed::new().await;
    let kept = timed.rule(json!({"bucket": "photos", "prefix": "p/", "key_id": "beta", "days": 9})).await;
    timed.rig.ok("DELETE", &format!("{RULES}/{kept}"), Value::Null).await;
    let id = timed.rule(of_photos(7)).await;
    timed.days_pass(9).await;
    let records = timed.rig.records().await;
    let told: Vec<_> = records
        .iter()
        .filter(|record| record["operation"].as_str().is_some_and(|name| name.contains("Erasure") || name == "EraseKey"))
        .map(|record| {
            (record["operation"].as_str().unwrap(), record["details"]["phase"].as_str(), record["key_id"].as_str().unwrap_or_default())
        })
        .collect();
    let expected = [
        ("AddErasureRule", Some("begun"), "beta"),
        ("AddErasureRule", None, "beta"),
        ("RemoveErasureRule", Some("begun"), ""),
        ("RemoveErasureRule", None, "beta"),
        ("AddErasureRule", Some("begun"), "alpha"),
        ("AddErasureRule", None, "alpha"),
        ("CarryOutErasureRule", Some("begun"), "alpha"),
        ("EraseKey", None, "alpha"),
        ("CarryOutErasureRule", None, "alpha"),
    ];
    assert_eq!(told, expected);
    let (added, done) = (timed.rig.record("AddErasureRule").await, timed.rig.record("CarryOutErasureRule").await);
    assert_eq!((&added["details"]["rule"], &added["bucket"], &added["who"]), (&json!(id), &json!("photos"), &json!("root")));
    assert_eq!((&done["details"]["rule"], &done["bucket"], &done["who"]), (&json!(id), &json!("photos"), &json!("root")));
    let receipt = timed.shown(&id).await["receipt"]["receipt"]["audit_seq"].to_string();
    assert_eq!(done["details"]["receipt_audit_seq"], json!(receipt));
    assert!(timed.rig.get("x").await.is_err());
}

#[tokio::test]
async fn a_rule_waits_while_something_outside_of_its_bucket_depends_on_its_key() {
    let timed = Timed::new().await;
    timed.bucket("other").await;
    timed.rig.put("a", Some("alpha"), b"data").await;
    timed.rig.put_in("other", "x", "alpha").await;
    let added = timed.rig.ok("POST", RULES, of_photos(7)).await;
    let why = "1 objects and 0 uploads outside of the bucket photos depend on the key (in other). Re-key or delete them.";
    assert_eq!((&added["state"], &added["obstacles"]), (&json!("Scheduled"), &json!([why])), "what would be in the way is told at once");
    let id = added["rule_id"].as_str().unwrap();
    for _ in 0..2 {
        timed.days_pass(7).await;
        assert_eq!(timed.blocked(id).await, (json!("Blocked"), why.to_owned()));
        assert_eq!(timed.rig.get("a").await.unwrap(), b"data");
        timed.rig.put_in("photos", "written", "alpha").await;
    }
    assert_eq!(timed.rig.admin.erasure_rules().await[1], ("Blocked", 1));
    timed.delete("other", "x").await;
    timed.round().await;
    assert_eq!(timed.shown(id).await["state"], "Done");
    assert_eq!(timed.shown(id).await["receipt"]["receipt"]["objects"], 2);
}

#[tokio::test]
async fn a_rule_of_a_prefix_waits_while_its_key_is_used_outside_of_the_prefix() {
    let timed = Timed::new().await;
    timed.rig.put("2019/a", Some("alpha"), b"data").await;
    timed.rig.put("2020/a", Some("alpha"), b"data").await;
    let id = timed.rule(json!({"bucket": "photos", "prefix": "2019/", "key_id": "alpha", "days": 7})).await;
    timed.days_pass(7).await;
    let why = "1 objects and 0 uploads outside of the prefix 2019/ in the bucket photos depend on the key. Re-key or delete them.";
    assert_eq!(timed.blocked(&id).await, (json!("Blocked"), why.to_owned()));
    assert_eq!(timed.rig.get("2019/a").await.unwrap(), b"data");
    timed.rig.ok("POST", "/kms/rekey", json!({"bucket": "photos", "prefix": "2020/", "from_key": "alpha", "to_key": "beta"})).await;
    while timed.rig.engine.rekey_jobs().await.unwrap()[0].finished.is_none() {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    timed.round().await;
    assert_eq!(timed.shown(&id).await["state"], "Done");
    assert!(matches!(timed.rig.get("2019/a").await, Err(Error::KmsKeyErased(_))));
    assert_eq!(timed.rig.get("2020/a").await.unwrap(), b"data");
}

#[tokio::test]
async fn an_upload_outside_of_the_prefix_keeps_the_key() {
    let timed = Timed::new().await;
    let upload = |key: &str| CreateMultipartUpload {
        bucket: "photos".into(),
        key: key.into(),
        headers: ObjectHeaders::default(),
        attributes: Attributes::default(),
        sse: sse_kms("alpha"),
        checksum_algorithm: None,
        checksum_kind: None,
    };
    timed.rig.engine.create_multipart_upload(&caller(), upload("2019/within")).await.unwrap();
    let id = timed.rule(json!({"bucket": "photos", "prefix": "2019/", "key_id": "alpha", "days": 7})).await;
    assert_eq!(timed.blocked(&id).await, (json!("Scheduled"), String::new()));
    timed.rig.engine.create_multipart_upload(&caller(), upload("2020/outside")).await.unwrap();
    timed.days_pass(7).await;
    let why = "0 objects and 1 uploads outside of the prefix 2019/ in the bucket photos depend on the key. Re-key or delete them.";
    assert_eq!(timed.blocked(&id).await, (json!("Blocked"), why.to_owned()));
}

#[tokio::test]
async fn a_key_in_the_default_encryption_of_another_bucket_is_kept() {
    let timed = Timed::new().await;
    timed.bucket("other").await;
    let under = |key: &str| DefaultEncryption { algorithm: "aws:kms".into(), kms_key_id: Some(key.into()), bucket_key_enabled: false };
    timed.rig.engine.set_bucket_encryption("photos", under("alpha")).await.unwrap();
    timed.rig.engine.set_bucket_encryption("other", under("arn:aws:kms:eu-central-1:1:key/alpha")).await.unwrap();
    let whole = timed.rule(of_photos(7)).await;
    timed.days_pass(7).await;
    let why = |buckets: &str| format!("The key is in the default encryption of {buckets}. Change that.");
    assert_eq!(timed.blocked(&whole).await, (json!("Blocked"), why("other")), "that of the bucket itself ends with it");
    timed.rig.ok("DELETE", &format!("{RULES}/{whole}"), Value::Null).await;
    let prefix = timed.rule(json!({"bucket": "photos", "prefix": "p/", "key_id": "alpha", "days": 7})).await;
    assert_eq!(timed.blocked(&prefix).await, (json!("Scheduled"), why("other, photos")), "what is outside of the prefix goes on");
    timed.rig.engine.set_bucket_encryption("other", under("beta")).await.unwrap();
    timed.rig.engine.set_bucket_encryption("photos", under("beta")).await.unwrap();
    timed.days_pass(7).await;
    assert_eq!(timed.shown(&prefix).await["state"], "Done");
}

#[tokio::test]
async fn the_default_key_ends_no_bucket_also_if_it_became_the_default_later() {
    let timed = Timed::new().await;
    let message = timed.rig.refused("POST", RULES, json!({"bucket": "photos", "key_id": "default", "days": 7}), 409, "Conflict").await;
    assert!(message.starts_with("The key default cannot end a bucket. It is the default key,"), "{message}");
    let reserved = json!({"bucket": "photos", "key_id": "strongroom-store", "days": 7});
    assert!((400..500).contains(&timed.rig.call("POST", RULES, reserved).await.status));
    let id = timed.rule(of_photos(7)).await;
    timed.rig.ok("POST", "/kms/reconfigure", json!({"default_key_id": "alpha"})).await;
    timed.days_pass(7).await;
    let (state, why) = timed.blocked(&id).await;
    assert_eq!((state, why.starts_with("It is the default key")), (json!("Blocked"), true), "{why}");
    timed.rig.ok("POST", "/kms/reconfigure", json!({"default_key_id": "default"})).await;
    timed.round().await;
    assert_eq!(timed.shown(&id).await["state"], "Done");
}

#[tokio::test]
async fn locked_versions_keep_the_key_and_are_named_to_who_may_list_them() {
    let timed = Timed::new().await;
    timed.rig.engine.set_bucket_versioning("photos", VersioningStatus::Enabled).await.unwrap();
    timed.rig.engine.set_object_lock_configuration(&caller(), "photos", DefaultLock::default()).await.unwrap();
    timed.rig.put("held", Some("alpha"), b"data").await;
    let held = ObjectVersion { bucket: "photos".into(), key: "held".into(), version_id: None };
    timed.rig.engine.set_legal_hold(&caller(), &held, true).await.unwrap();
    let id = timed.rule(of_photos(7)).await;
    timed.days_pass(7).await;
    let (state, why) = timed.blocked(&id).await;
    assert_eq!(state, "Blocked");
    assert!(why.starts_with("Object Lock keeps versions that depend on the key: photos/held (version "), "{why}");
    assert!(why.ends_with(", until its hold is released)."), "{why}");
    let narrow = user(&allowing(&["strongroom:GetErasureRules"]));
    let seen = timed.rig.send("GET", &format!("{RULES}/{id}"), String::new(), narrow).await;
    assert!(seen.text.contains("in buckets that you may not list") && !seen.text.contains("held (version"), "{}", seen.text);
    assert_eq!(timed.rig.get("held").await.unwrap(), b"data");
    timed.rig.engine.set_legal_hold(&caller(), &held, false).await.unwrap();
    timed.round().await;
    assert_eq!(timed.shown(&id).await["state"], "Done");
}

#[tokio::test]
async fn a_rule_outlives_its_bucket_and_a_new_bucket_of_the_name_does_not_inherit_it() {
    let timed = Timed::new().await;
    let (gone, again) = (timed.rule(of_photos(7)).await, json!({"bucket": "photos", "key_id": "beta", "days": 7}));
    let again = timed.rule(again).await;
    timed.rig.engine.delete_bucket("photos").await.unwrap();
    timed.bucket("photos").await;
    timed.rig.put("new", Some("beta"), b"data").await;
    timed.days_pass(7).await;
    assert_eq!(timed.shown(&gone).await["state"], "Done", "nothing depends on its key");
    let why = "1 objects and 0 uploads outside of the bucket photos depend on the key (in photos). Re-key or delete them.";
    assert_eq!(timed.blocked(&again).await, (json!("Blocked"), why.to_owned()));
    assert_eq!(timed.rig.get("new").await.unwrap(), b"data");
}

#[tokio::test]
async fn a_key_has_one_rule_at_a_time() {
    let timed = Timed::new().await;
    let id = timed.rule(of_photos(7)).await;
    let message =
        timed.rig.refused("POST", RULES, json!({"bucket": "photos", "prefix": "x", "key_id": "alpha", "days": 9}), 409, "Conflict").await;
    assert_eq!(message, format!("The erasure rule {id} ends the key alpha already. A key has one rule: remove that one first."));
    assert_eq!(timed.rig.ok("GET", RULES, Value::Null).await["rules"].as_array().unwrap().len(), 1);
    timed.rig.ok("DELETE", &format!("{RULES}/{id}"), Value::Null).await;
    timed.rule(of_photos(9)).await;
}

#[tokio::test]
async fn a_rule_that_was_removed_destroys_nothing_and_one_that_is_done_stays() {
    let timed = Timed::new().await;
    timed.rig.put("a", Some("alpha"), b"data").await;
    let id = timed.rule(of_photos(7)).await;
    let removed = timed.rig.ok("DELETE", &format!("{RULES}/{id}"), Value::Null).await;
    assert_eq!((&removed["message"], &removed["rule"]["rule_id"]), (&json!("erasure rule removed"), &json!(id)));
    timed.days_pass(8).await;
    assert_eq!(timed.rig.get("a").await.unwrap(), b"data");
    timed.rig.refused("DELETE", &format!("{RULES}/{id}"), Value::Null, 404, "NotFound").await;
    timed.rig.refused("GET", &format!("{RULES}/{id}"), Value::Null, 404, "NotFound").await;
    let id = timed.rule(of_photos(7)).await;
    timed.days_pass(8).await;
    timed.rig.refused("DELETE", &format!("{RULES}/{id}"), Value::Null, 409, "Conflict").await;
    assert_eq!(timed.shown(&id).await["state"], "Done");
}

#[tokio::test]
async fn a_date_in_less_than_seven_days_needs_the_key_s_id_once_more_and_the_right_to_destroy_it_at_once() {
    let timed = Timed::new().await;
    let soon = json!({"bucket": "photos", "key_id": "alpha", "days": 6});
    let message = timed.rig.refused("POST", RULES, soon.clone(), 400, "InvalidRequest").await;
    assert_eq!(
        message,
        "confirm_key_id: expected alpha, the id of the key once more. It is needed where the key is destroyed in less than 7 days."
    );
    let with = |confirm: &str| {
        let mut body = soon.clone();
        body["confirm_key_id"] = json!(confirm);
        body
    };
    timed.rig.refused("POST", RULES, with("beta"), 400, "InvalidRequest").await;
    let rights = ["strongroom:ManageErasureRules", "kms:ScheduleKeyDeletion", "kms:DeleteKeyNow"];
    let status =
        async |actions: &[&str], body: Value| timed.rig.send("POST", RULES, body.to_string(), user(&allowing(actions))).await.status;
    assert_eq!(status(&rights[..2], with("alpha")).await, 403);
    assert_eq!(status(&rights[1..], with("alpha")).await, 403);
    assert_eq!(status(&rights, with("alpha")).await, 200);
    assert_eq!(status(&rights[..2], json!({"bucket": "photos", "key_id": "beta", "days": 7})).await, 200, "seven days are long enough");
}

#[tokio::test]
async fn who_may_not_have_a_key_destroyed_removes_no_rule_of_it() {
    let timed = Timed::new().await;
    let id = timed.rule(of_photos(7)).await;
    let remover = |key: &str| {
        user(&json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "strongroom:ManageErasureRules", "Resource": "*"},
            {"Effect": "Allow", "Action": "kms:ScheduleKeyDeletion", "Resource": format!("arn:aws:kms:::key/{key}")}
        ]}))
    };
    let remove = async |key: &str| timed.rig.send("DELETE", &format!("{RULES}/{id}"), String::new(), remover(key)).await.status;
    assert_eq!(remove("beta").await, 403);
    assert_eq!(timed.shown(&id).await["state"], "Scheduled");
    assert_eq!(remove("alpha").await, 200);
}

#[tokio::test]
async fn the_rights_of_who_added_a_rule_are_not_asked_again_on_its_date() {
    let timed = Timed::new().await;
    let alice = user(&allowing(&["strongroom:ManageErasureRules", "kms:ScheduleKeyDeletion"]));
    // She is nobody that the store knows by then.
    let added = timed.rig.send("POST", RULES, of_photos(7).to_string(), alice).await;
    assert_eq!((added.status, &added.json["added_by"]), (200, &json!("alice")));
    timed.days_pass(7).await;
    let id = added.json["rule_id"].as_str().unwrap();
    assert_eq!(timed.shown(id).await["receipt"]["receipt"]["requested_by"], "alice");
}

#[tokio::test]
async fn a_date_is_a_day_or_a_time_to_come_and_anything_else_is_refused() {
    let timed = Timed::new().await;
    let with = |when: Value| {
        let mut body = json!({"bucket": "photos", "key_id": "alpha"});
        body.as_object_mut().unwrap().extend(when.as_object().unwrap().clone());
        body
    };
    for when in [
        json!({}),
        json!({"at": "2090-01-01", "days": 9}),
        json!({"days": 0}),
        json!({"days": 36_501}),
        json!({"at": "tomorrow"}),
        json!({"at": "2090-13-01"}),
        json!({"at": "2020-01-01"}),
        json!({"at": "2400-01-01"}),
        json!({"at": "2090-01-01T00:00:00"}),
        json!({"days": 9, "dayz": 9}),
        json!({"days": 9, "prefix": "p".repeat(1025)}),
    ] {
        timed.rig.refused("POST", RULES, with(when), 400, "InvalidRequest").await;
    }
    timed.rig.refused("POST", RULES, json!({"bucket": "nowhere", "key_id": "alpha", "days": 9}), 404, "NotFound").await;
    timed.rig.refused("POST", RULES, json!({"bucket": "photos", "key_id": "gamma", "days": 9}), 404, "NotFound").await;
    let id = timed.rule(with(json!({"at": "2090-01-01"}))).await;
    assert_eq!(timed.shown(&id).await["at"], "2090-01-01T00:00:00Z");
    timed.rig.ok("DELETE", &format!("{RULES}/{id}"), Value::Null).await;
    let id = timed.rule(with(json!({"at": "2090-01-01T12:30:00+02:00"}))).await;
    assert_eq!(timed.shown(&id).await["at"], "2090-01-01T12:30:00+02:00");
}

#[tokio::test]
async fn a_clock_that_was_set_forward_destroys_no_key() {
    let timed = Timed::with_jumps(Some(DAY)).await;
    timed.rig.put("a", Some("alpha"), b"data").await;
    let id = timed.rule(of_photos(7)).await;
    timed.days_pass(8).await;
    let (state, why) = timed.blocked(&id).await;
    assert_eq!(state, "Blocked");
    assert!(why.starts_with("The clock is not believed: the system clock was set forward by "), "{why}");
    assert_eq!(timed.rig.get("a").await.unwrap(), b"data");
    let another = json!({"bucket": "photos", "key_id": "beta", "days": 9});
    timed.rig.refused("POST", RULES, another, 409, "Conflict").await;
    timed.days_pass(-8).await;
    assert_eq!(timed.blocked(&id).await, (json!("Scheduled"), String::new()));
}

#[tokio::test]
async fn a_key_that_an_administrator_deleted_earlier_ends_the_rule_with_his_receipt() {
    let timed = Timed::new().await;
    timed.rig.put("a", Some("alpha"), b"data").await;
    let id = timed.rule(of_photos(30)).await;
    let now = json!({"key_id": "alpha", "force_immediate": true, "confirm_key_id": "alpha"});
    let receipt = timed.rig.ok("DELETE", "/kms/keys/delete", now).await["receipt"].clone();
    timed.days_pass(30).await;
    let done = timed.shown(&id).await;
    assert_eq!((&done["state"], &done["receipt"]), (&json!("Done"), &receipt));
    assert_eq!(timed.rig.ok("GET", "/kms/receipts", Value::Null).await["receipts"], json!([receipt]));
    let erased = json!({"bucket": "photos", "key_id": "alpha", "days": 9});
    timed.rig.refused("POST", RULES, erased, 409, "KeyErased").await;
}

#[tokio::test]
async fn a_key_that_waits_for_an_administrator_s_deletion_goes_on_the_date_of_its_rule() {
    let timed = Timed::new().await;
    let id = timed.rule(of_photos(7)).await;
    timed.rig.ok("DELETE", "/kms/keys/delete", json!({"key_id": "alpha", "pending_window_in_days": 30})).await;
    timed.days_pass(7).await;
    let done = timed.shown(&id).await;
    assert_eq!((&done["state"], &done["receipt"]["receipt"]["request_id"]), (&json!("Done"), &json!(format!("erasure-rule:{id}"))));
    let pending = json!({"bucket": "photos", "key_id": "beta", "days": 9});
    timed.rig.ok("DELETE", "/kms/keys/delete", json!({"key_id": "beta"})).await;
    timed.rig.refused("POST", RULES, pending, 409, "KeyPendingDeletion").await;
}

#[tokio::test]
async fn a_backend_that_destroys_no_key_at_once_is_asked_to_and_the_rule_is_done_when_the_key_is_gone() {
    let timed = Timed::new().await;
    timed.rig.ok("POST", "/kms/reconfigure", json!({"name": "slow", "backend_type": "slow", "retry_attempts": 0})).await;
    timed.rig.ok("POST", "/kms/keys?backend=slow", json!({"name": "gamma"})).await;
    timed.rig.put("a", Some("gamma"), b"data").await;
    let id = timed.rig.ok("POST", &format!("{RULES}?backend=slow"), json!({"bucket": "photos", "key_id": "gamma", "days": 7})).await;
    let id = id["rule_id"].as_str().unwrap().to_owned();
    timed.rig.away.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        timed.days_pass(7).await;
        let (state, why) = timed.blocked(&id).await;
        assert_eq!(state, "Blocked");
        assert!(why.starts_with("The key could not be destroyed, which is tried again: "), "{why}");
    }
    timed.rig.away.store(false, Ordering::SeqCst);
    timed.round().await;
    let pending = timed.shown(&id).await;
    assert_eq!((&pending["state"], pending["pending_until"].is_string()), (&json!("PendingDeletion"), true), "{pending}");
    assert!(matches!(timed.rig.get("a").await, Err(Error::KmsKeyPendingDeletion(_))), "nobody uses it any more");
    let cancel = json!({"key_id": "gamma"});
    timed.rig.refused("POST", "/kms/keys/cancel-deletion?backend=slow", cancel.clone(), 409, "Conflict").await;

    timed.rig.admin.tick(OffsetDateTime::now_utc() + Duration::days(8)).await;
    let done = timed.shown(&id).await;
    assert_eq!(done["state"], "Done");
    let receipt = &done["receipt"]["receipt"];
    assert_eq!((&receipt["request_id"], &receipt["objects"]), (&json!(format!("erasure-rule:{id}")), &json!(1)));
    assert_eq!(timed.rig.ok("GET", "/kms/receipts", Value::Null).await["receipts"].as_array().unwrap().len(), 1);
    assert!(matches!(timed.rig.get("a").await, Err(Error::KmsKeyErased(_))));
}

#[tokio::test]
async fn who_removes_a_rule_whose_key_is_pending_at_the_backend_is_told_that_the_deletion_goes_on() {
    let timed = Timed::new().await;
    timed.rig.ok("POST", "/kms/reconfigure", json!({"name": "slow", "backend_type": "slow"})).await;
    timed.rig.ok("POST", "/kms/keys?backend=slow", json!({"name": "gamma"})).await;
    timed.rig.put("a", Some("gamma"), b"data").await;
    let id = timed.rule(json!({"bucket": "photos", "key_id": "gamma", "days": 7})).await;
    timed.days_pass(7).await;
    let removed = timed.rig.ok("DELETE", &format!("{RULES}/{id}"), Value::Null).await;
    let message = "erasure rule removed; the deletion of the key gamma goes on: POST /kms/keys/cancel-deletion ends it";
    assert_eq!(removed["message"], message);
    timed.rig.ok("POST", "/kms/keys/cancel-deletion?backend=slow", json!({"key_id": "gamma"})).await;
    timed.rig.ok("POST", "/kms/keys/enable?backend=slow", json!({"key_id": "gamma"})).await;
    timed.days_pass(60).await;
    assert_eq!(timed.rig.get("a").await.unwrap(), b"data");
}
