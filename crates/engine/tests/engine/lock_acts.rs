//! Changes of locks in the audit log: who made them, from where, and what held before and after; and no change without a record.

use std::{net::IpAddr, time::Duration};

use futures_util::future::poll_immediate;
use strongroom_audit::{Event, Outcome};
use strongroom_engine::{
    Error,
    api::{Caller, DefaultLock, DeleteCondition, EventHold, ObjectLock, Period, RetentionChange, RetentionMode},
    rekey::RekeyRequest,
};

use crate::{
    common::*,
    locks::{HOUR, LOCKED, governed, now, put_locked, version, with_locked_bucket},
};

/// 2090-01-01 and 2091-01-01
const FAR: i64 = 3_786_912_000_000;
const FARTHER: i64 = 3_818_448_000_000;
const GOVERNED: &str = "GOVERNANCE until 2090-01-01T00:00:00Z";

fn by(rig: &Rig, operation: &'static str) -> Caller {
    let peer = Some(IpAddr::from([192, 0, 2, 7]));
    Caller { operation, request_id: "request-7".into(), peer, ..rig.root.clone() }
}

fn until(mode: RetentionMode, until_ms: i64) -> RetentionChange {
    RetentionChange { mode: Some(mode), until_ms: Some(until_ms), event_hold: None }
}

/// What is said of an act beside who made it: its phase, what held before and after, what was bypassed, and how it ended.
fn said(event: &Event) -> (&str, &str, &str, &str, &Outcome) {
    let detail = |name: &str| event.details.get(name).map_or("", String::as_str);
    (detail("phase"), detail("before"), detail("after"), detail("bypassed"), &event.outcome)
}

/// Takes the two records of the one act there was, and holds them to what they must say.
fn assert_act(rig: &Rig, operation: &str, version_id: &str, before: &str, after: &str, bypassed: &str) {
    let events = rig.audit.take();
    let expected = |phase| (phase, before, after, bypassed, &Outcome::Ok);
    assert_eq!(events.iter().map(said).collect::<Vec<_>>(), [expected("begun"), expected("")]);
    for event in &events {
        assert_eq!((event.operation.as_str(), event.who.as_str(), event.request_id.as_str()), (operation, "root", "request-7"));
        assert_eq!((event.bucket.as_str(), event.version.as_str()), (LOCKED, version_id));
        assert_eq!(event.details["source_ip"], "192.0.2.7");
    }
}

#[tokio::test]
async fn a_change_of_a_lock_is_recorded_before_it_and_after_it() {
    let rig = with_locked_bucket(Rig::sqlite().await).await;
    let id = rig.put_locked("object", ObjectLock::default()).await.unwrap();
    rig.audit.take();
    let (object, retention, hold) = (version("object", &id), by(&rig, "PutObjectRetention"), by(&rig, "PutObjectLegalHold"));
    let retain = |change: RetentionChange, bypass| {
        let (rig, object, retention) = (&rig, &object, &retention);
        async move { rig.engine.change_retention(retention, object, &change, bypass).await.unwrap() }
    };
    retain(until(RetentionMode::Governance, FAR), true).await;
    assert_act(&rig, "PutObjectRetention", &id, "none", GOVERNED, "");
    rig.engine.set_legal_hold(&hold, &object, true).await.unwrap();
    assert_act(&rig, "PutObjectLegalHold", &id, GOVERNED, &format!("{GOVERNED}, legal hold"), "");
    rig.engine.set_legal_hold(&hold, &object, true).await.unwrap();
    assert_eq!(rig.audit.take(), [], "what stays as it is is no change");
    rig.engine.set_legal_hold(&hold, &object, false).await.unwrap();
    assert_act(&rig, "PutObjectLegalHold", &id, &format!("{GOVERNED}, legal hold"), GOVERNED, "");
    retain(until(RetentionMode::Governance, FARTHER), true).await;
    let farther = "GOVERNANCE until 2091-01-01T00:00:00Z";
    assert_act(&rig, "PutObjectRetention", &id, GOVERNED, farther, "");
    retain(until(RetentionMode::Governance, FAR), true).await;
    assert_act(&rig, "PutObjectRetention", &id, farther, GOVERNED, "GOVERNANCE");
    let event_hold = Some(EventHold { on: true, period: Some(Period::Years(7)) });
    retain(RetentionChange { event_hold, ..RetentionChange::default() }, false).await;
    assert_act(&rig, "PutObjectRetention", &id, GOVERNED, &format!("{GOVERNED}, event hold 7 years"), "");
    retain(RetentionChange::default(), true).await;
    assert_act(&rig, "PutObjectRetention", &id, &format!("{GOVERNED}, event hold 7 years"), "event hold 7 years", "GOVERNANCE");
}

#[tokio::test]
async fn a_change_of_the_default_lock_is_recorded() {
    let rig = with_locked_bucket(Rig::new().await).await;
    rig.audit.take();
    let caller = by(&rig, "PutObjectLockConfiguration");
    let default = DefaultLock { retention: Some((RetentionMode::Compliance, Period::Days(30))), event_hold: Some(Period::Years(2)) };
    rig.engine.set_object_lock_configuration(&caller, LOCKED, default).await.unwrap();
    assert_act(&rig, "PutObjectLockConfiguration", "", "none", "COMPLIANCE 30 days, event hold 2 years", "");
    rig.engine.set_object_lock_configuration(&caller, LOCKED, default).await.unwrap();
    assert_eq!(rig.audit.take(), []);
    rig.engine.set_object_lock_configuration(&caller, LOCKED, DefaultLock::default()).await.unwrap();
    assert_act(&rig, "PutObjectLockConfiguration", "", "COMPLIANCE 30 days, event hold 2 years", "none", "");
}

#[tokio::test]
async fn a_deletion_is_recorded_where_it_had_to_bypass_governance_and_only_there() {
    for rig in [Rig::new().await, Rig::sqlite().await] {
        let rig = with_locked_bucket(rig).await;
        let caller = by(&rig, "DeleteObject");
        let delete = async |key: &str, id: &str| {
            rig.engine.delete_object(&caller, LOCKED, key, Some(id.to_owned()), DeleteCondition::default(), true).await
        };
        let free = rig.put_locked("free", ObjectLock::default()).await.unwrap();
        let held = rig.put_locked("held", ObjectLock { legal_hold: Some(true), ..governed(FAR) }).await.unwrap();
        let retained = rig.put_locked("retained", governed(FAR)).await.unwrap();
        rig.audit.take();
        delete("free", &free).await.unwrap();
        assert!(matches!(delete("held", &held).await, Err(Error::ObjectLocked)));
        assert_eq!(rig.audit.take(), [], "no lock was bypassed");
        delete("retained", &retained).await.unwrap();
        assert_act(&rig, "DeleteObject", &retained, GOVERNED, "deleted", "GOVERNANCE");
        assert!(matches!(rig.lock_of("retained", &retained).await, Err(Error::NoSuchVersion)));
    }
}

#[tokio::test]
async fn a_change_that_the_lock_refuses_is_recorded_with_the_lock() {
    let rig = with_locked_bucket(Rig::new().await).await;
    let id = rig.put_locked("object", governed(FARTHER)).await.unwrap();
    rig.audit.take();
    let (caller, object) = (by(&rig, "PutObjectRetention"), version("object", &id));
    for change in [until(RetentionMode::Governance, FAR), RetentionChange::default()] {
        let refused = rig.engine.change_retention(&caller, &object, &change, false).await;
        assert!(matches!(refused, Err(Error::ObjectLocked)), "{refused:?}");
        let events = rig.audit.take();
        let failed = Outcome::Error("ObjectLocked".to_owned());
        assert_eq!(events.iter().map(said).collect::<Vec<_>>(), [("", "GOVERNANCE until 2091-01-01T00:00:00Z", "", "", &failed)]);
        assert_eq!((events[0].who.as_str(), events[0].version.as_str()), ("root", id.as_str()));
    }
}

#[tokio::test]
async fn without_a_record_no_lock_is_changed_and_none_is_bypassed() {
    let rig = with_locked_bucket(Rig::sqlite().await).await;
    let id = rig.put_locked("object", governed(FAR)).await.unwrap();
    let free = rig.put_locked("free", ObjectLock::default()).await.unwrap();
    let before = rig.lock_of("object", &id).await.unwrap();
    rig.audit.fail(true);
    let object = version("object", &id);
    let refused = |result: Result<(), Error>| assert!(matches!(result, Err(Error::AuditUnavailable(_))), "{result:?}");
    refused(rig.engine.change_retention(&rig.root, &object, &until(RetentionMode::Governance, FARTHER), false).await);
    refused(rig.engine.change_retention(&rig.root, &object, &RetentionChange::default(), false).await);
    refused(rig.engine.set_legal_hold(&rig.root, &object, true).await);
    refused(rig.delete_locked("object", Some(&id), true).await);
    let default = DefaultLock { retention: None, event_hold: Some(Period::Days(1)) };
    refused(rig.engine.set_object_lock_configuration(&rig.root, LOCKED, default).await);
    rig.delete_locked("free", Some(&free), true).await.unwrap();
    rig.audit.fail(false);
    assert_eq!(rig.lock_of("object", &id).await.unwrap(), before);
    assert_eq!(rig.engine.object_lock_configuration(LOCKED).await.unwrap(), DefaultLock::default());
}

#[tokio::test]
async fn a_change_that_was_begun_is_finished_and_recorded_though_its_client_goes_away() {
    let rig = with_locked_bucket(Rig::sqlite().await).await;
    let id = rig.put_locked("object", governed(now() + HOUR)).await.unwrap();
    rig.audit.take();
    let caller = by(&rig, "DeleteObject");
    let mut deletion = Box::pin(rig.engine.delete_object(&caller, LOCKED, "object", Some(id.clone()), DeleteCondition::default(), true));
    let mut events = Vec::new();
    while events.is_empty() {
        assert!(poll_immediate(deletion.as_mut()).await.is_none(), "it ended before anything of it was seen");
        events.extend(rig.audit.take());
        tokio::task::yield_now().await;
    }
    drop(deletion);
    while events.len() < 2 {
        events.extend(rig.audit.take());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let said: Vec<_> = events.iter().map(|event| (said(event).0, &event.outcome)).collect();
    assert_eq!(said, [("begun", &Outcome::Ok), ("", &Outcome::Ok)]);
    assert!(matches!(rig.lock_of("object", &id).await, Err(Error::NoSuchVersion)));
}

#[tokio::test]
async fn a_re_keying_of_a_locked_version_is_recorded_and_its_lock_stays() {
    let rig = with_locked_bucket(Rig::sqlite().await).await;
    let lock = ObjectLock { retention: governed(FAR).retention, ..ObjectLock::default() };
    let attributes = strongroom_engine::api::Attributes { lock, ..Default::default() };
    let put = strongroom_engine::api::PutObject { sse: As::Kms.write(), ..put_locked("object", attributes, b"data") };
    let id = rig.engine.put_object(&rig.root, put).await.unwrap().version_id.unwrap();
    rig.audit.take();
    let job = rig.rekey(RekeyRequest { to_key: Some(OTHER_KEY.into()), ..RekeyRequest::default() }).await;
    let events = rig.audit.take();
    let of_version: Vec<_> = events.iter().filter(|event| event.version == id).collect();
    let keys: Vec<_> = of_version.iter().map(|event| (event.operation.as_str(), event.key_id.as_str(), &event.outcome)).collect();
    assert_eq!(keys, [("Rekey", KEY, &Outcome::Ok), ("Rekey", OTHER_KEY, &Outcome::Ok)]);
    for event in of_version {
        assert_eq!((event.who.as_str(), &event.request_id), ("root", &format!("job:{}", job.job_id)));
        assert_eq!((event.bucket.as_str(), event.key.as_str()), (LOCKED, "object"));
    }
    assert_eq!(rig.lock_of("object", &id).await.unwrap().retention, governed(FAR).retention);
}
