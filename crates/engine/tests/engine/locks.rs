//! Object Lock and tags: what they keep, where they come from, and that none of two changes is lost.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use futures_util::{StreamExt as _, future::BoxFuture, stream};
use rusqlite::params;
use strongroom_engine::{
    Error,
    api::{
        Attributes, Body, CopyObject, CreateBucket, CreateMultipartUpload, DefaultLock, DeleteCondition, EncryptionRule, EventHold,
        ObjectLock, ObjectVersion, Period, PutObject, Retention, RetentionChange, RetentionMode, Tag, TagsOfCopy, UpdateObjectEncryption,
        VersioningStatus,
    },
};

use crate::common::*;

pub const LOCKED: &str = "locked";
pub const HOUR: i64 = 3_600_000;

pub fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

pub async fn with_locked_bucket(rig: Rig) -> Rig {
    rig.engine.create_bucket(&rig.root, CreateBucket { name: LOCKED.into(), object_lock: true, ..CreateBucket::default() }).await.unwrap();
    rig
}

pub fn governed(until_ms: i64) -> ObjectLock {
    ObjectLock { retention: Some(Retention { mode: RetentionMode::Governance, until_ms }), ..ObjectLock::default() }
}

pub fn put_locked(key: &str, attributes: Attributes, data: &[u8]) -> PutObject {
    PutObject { bucket: LOCKED.into(), attributes, ..put_request(key, As::S3.write(), data) }
}

fn tags(pairs: &[(&str, &str)]) -> Vec<Tag> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

pub fn version(key: &str, version_id: &str) -> ObjectVersion {
    ObjectVersion { bucket: LOCKED.into(), key: key.into(), version_id: Some(version_id.into()) }
}

impl Rig {
    pub async fn put_locked(&self, key: &str, lock: ObjectLock) -> Result<String, Error> {
        let request = put_locked(key, Attributes { lock, ..Attributes::default() }, key.as_bytes());
        Ok(self.engine.put_object(&self.root, request).await?.version_id.unwrap())
    }

    pub async fn delete_locked(&self, key: &str, version_id: Option<&str>, bypass: bool) -> Result<(), Error> {
        let version_id = version_id.map(str::to_owned);
        self.engine.delete_object(&self.root, LOCKED, key, version_id, DeleteCondition::default(), bypass).await.map(drop)
    }

    pub async fn lock_of(&self, key: &str, version_id: &str) -> Result<ObjectLock, Error> {
        self.engine.object_lock(&self.root, &version(key, version_id)).await
    }
}

#[tokio::test]
async fn a_locked_version_goes_by_no_request_and_a_marker_hides_it() {
    for rig in [Rig::new().await, Rig::sqlite().await] {
        let rig = with_locked_bucket(rig).await;
        let id = rig.put_locked("object", governed(now() + HOUR)).await.unwrap();
        assert!(matches!(rig.delete_locked("object", Some(&id), false).await, Err(Error::ObjectLocked)));
        rig.delete_locked("object", None, false).await.unwrap();
        assert!(matches!(rig.engine.delete_bucket(LOCKED).await, Err(Error::BucketNotEmpty)));
        assert!(matches!(rig.delete_locked("object", Some(&id), false).await, Err(Error::ObjectLocked)));
        let lock = ObjectLock { legal_hold: Some(true), ..ObjectLock::default() };
        let held = rig.put_locked("held", lock).await.unwrap();
        assert!(matches!(rig.delete_locked("held", Some(&held), true).await, Err(Error::ObjectLocked)), "bypass is for governance alone");
        rig.engine.set_legal_hold(&rig.root, &version("held", &held), false).await.unwrap();
        rig.delete_locked("held", Some(&held), false).await.unwrap();
        rig.delete_locked("object", Some(&id), true).await.unwrap();
        assert!(matches!(rig.lock_of("object", &id).await, Err(Error::NoSuchVersion)));
    }
}

#[tokio::test]
async fn locks_need_a_bucket_that_has_object_lock_and_that_needs_versions() {
    let rig = Rig::new().await;
    let lock = governed(now() + HOUR);
    let attributes = Attributes { lock, ..Attributes::default() };
    let invalid = |result: Result<(), Error>| assert!(matches!(result, Err(Error::InvalidRequest(_))), "{result:?}");
    let put = PutObject { attributes: attributes.clone(), ..put_request("object", As::S3.write(), b"data") };
    invalid(rig.engine.put_object(&rig.root, put).await.map(drop));
    let create = CreateMultipartUpload { attributes, ..create_request("object", As::S3.write()) };
    invalid(rig.engine.create_multipart_upload(&rig.root, create).await.map(drop));
    rig.put("object", As::S3, b"data").await;
    invalid(rig.engine.copy_object(&rig.root, CopyObject { lock, ..copy_request(("object", As::S3), ("copy", As::S3)) }).await.map(drop));
    let object = ObjectVersion { bucket: BUCKET.into(), key: "object".into(), version_id: None };
    invalid(rig.engine.object_lock(&rig.root, &object).await.map(drop));
    invalid(rig.engine.set_legal_hold(&rig.root, &object, true).await);
    invalid(rig.engine.change_retention(&rig.root, &object, &RetentionChange::default(), true).await);

    let configure = || rig.engine.set_object_lock_configuration(&rig.root, BUCKET, DefaultLock::default());
    assert!(matches!(rig.engine.object_lock_configuration(BUCKET).await, Err(Error::ObjectLockConfigurationNotFound)));
    assert!(matches!(configure().await, Err(Error::InvalidBucketState(_))));
    rig.engine.set_bucket_versioning(BUCKET, VersioningStatus::Suspended).await.unwrap();
    assert!(matches!(configure().await, Err(Error::InvalidBucketState(_))));
    rig.engine.set_bucket_versioning(BUCKET, VersioningStatus::Enabled).await.unwrap();
    configure().await.unwrap();
    let suspended = rig.engine.set_bucket_versioning(BUCKET, VersioningStatus::Suspended).await;
    assert!(matches!(suspended, Err(Error::InvalidBucketState(_))));
    // The version from before is locked like any other.
    rig.engine.set_legal_hold(&rig.root, &object, true).await.unwrap();
    let deleted = rig.engine.delete_object(&rig.root, BUCKET, "object", Some("null".into()), DeleteCondition::default(), true).await;
    assert!(matches!(deleted, Err(Error::ObjectLocked)));
}

#[tokio::test]
async fn of_a_suspension_and_object_lock_at_once_one_is_refused() {
    for _ in 0..20 {
        let rig = Rig::sqlite().await;
        rig.engine.set_bucket_versioning(BUCKET, VersioningStatus::Enabled).await.unwrap();
        let (configured, suspended) = tokio::join!(
            rig.engine.set_object_lock_configuration(&rig.root, BUCKET, DefaultLock::default()),
            rig.engine.set_bucket_versioning(BUCKET, VersioningStatus::Suspended),
        );
        assert!(configured.is_ok() != suspended.is_ok(), "{configured:?} {suspended:?}");
        let versioning = rig.engine.bucket_versioning(BUCKET).await.unwrap();
        assert_eq!(rig.engine.object_lock_configuration(BUCKET).await.is_ok(), versioning == Some(VersioningStatus::Enabled));
    }
}

#[tokio::test]
async fn every_way_to_write_gives_the_default_lock_and_none_copies_one() {
    let rig = with_locked_bucket(Rig::sqlite().await).await;
    let default = DefaultLock { retention: Some((RetentionMode::Governance, Period::Days(2))), event_hold: Some(Period::Years(1)) };
    let source = rig.put_locked("source", ObjectLock { legal_hold: Some(true), ..governed(now() + 9 * HOUR) }).await.unwrap();
    rig.engine.set_object_lock_configuration(&rig.root, LOCKED, default).await.unwrap();
    let put = rig.put_locked("put", ObjectLock::default()).await.unwrap();
    let mut copy = CopyObject { bucket: LOCKED.into(), ..copy_request(("source", As::S3), ("copy", As::S3)) };
    copy.source.bucket = LOCKED.into();
    let copy = rig.engine.copy_object(&rig.root, copy).await.unwrap().stored.version_id.unwrap();
    let create = CreateMultipartUpload { bucket: LOCKED.into(), ..create_request("parts", As::S3.write()) };
    let upload_id = rig.engine.create_multipart_upload(&rig.root, create).await.unwrap().upload_id;
    let upload = strongroom_engine::api::UploadRef { bucket: LOCKED.into(), key: "parts".into(), upload_id };
    let part = rig.upload_part(&upload, 1, As::S3, b"part").await;
    let parts = rig.complete(&upload, vec![part]).await.unwrap().version_id.unwrap();
    for (key, id) in [("put", &put), ("copy", &copy), ("parts", &parts)] {
        let lock = rig.lock_of(key, id).await.unwrap();
        let retention = lock.retention.unwrap();
        let left_ms = retention.until_ms - now();
        assert!((47 * HOUR..=48 * HOUR).contains(&left_ms), "{key}: {left_ms}");
        assert_eq!(retention.mode, RetentionMode::Governance);
        assert_eq!(lock.event_hold, Some(EventHold { on: true, period: Some(Period::Years(1)) }), "{key}");
        assert_eq!(lock.legal_hold, None, "{key}");
    }
    assert_eq!(rig.lock_of("source", &source).await.unwrap().legal_hold, Some(true));
}

#[tokio::test]
async fn tags_come_with_a_write_are_kept_or_replaced_by_a_copy_and_belong_to_one_version() {
    let rig = with_locked_bucket(Rig::sqlite().await).await;
    let first = Attributes { tags: tags(&[("b", "2"), ("a", "1")]), ..Attributes::default() };
    let in_order = tags(&[("a", "1"), ("b", "2")]);
    let put = |attributes: &Attributes| rig.engine.put_object(&rig.root, put_locked("object", attributes.clone(), b"data"));
    let old = put(&first).await.unwrap().version_id.unwrap();
    let new = put(&Attributes::default()).await.unwrap().version_id.unwrap();
    let (engine, root) = (&rig.engine, &rig.root);
    let of = |key: &'static str, id: String| async move { engine.object_tags(root, &version(key, &id)).await.unwrap().0 };
    assert_eq!(of("object", old.clone()).await, in_order);
    assert_eq!(of("object", new.clone()).await, []);

    let copy = |key: &str, wanted: TagsOfCopy| {
        let mut copy = CopyObject { bucket: LOCKED.into(), tags: wanted, ..copy_request(("object", As::S3), (key, As::S3)) };
        copy.source.bucket = LOCKED.into();
        copy.source.version_id = Some(old.clone());
        rig.engine.copy_object(&rig.root, copy)
    };
    let kept = copy("kept", TagsOfCopy::Keep { permitted: true }).await.unwrap().stored.version_id.unwrap();
    assert_eq!(of("kept", kept).await, in_order);
    let replaced = copy("replaced", TagsOfCopy::Replace(tags(&[("c", "3")]))).await.unwrap().stored.version_id.unwrap();
    assert_eq!(of("replaced", replaced).await, tags(&[("c", "3")]));
    assert!(matches!(copy("refused", TagsOfCopy::Keep { permitted: false }).await, Err(Error::AccessDenied)));

    let eleven: Vec<_> = (0..11).map(|number| (number.to_string(), String::new())).collect();
    let attributes = Attributes { tags: eleven.clone(), ..Attributes::default() };
    assert!(matches!(put(&attributes).await, Err(Error::TooManyTags { count: 11, at_most: 10 })));
    assert!(matches!(copy("many", TagsOfCopy::Replace(eleven.clone())).await, Err(Error::TooManyTags { count: 11, at_most: 10 })));
    assert!(matches!(
        rig.engine.set_object_tags(&rig.root, &version("object", &old), eleven).await,
        Err(Error::TooManyTags { count: 11, at_most: 10 })
    ));
    rig.engine.clear_object_tags(&rig.root, &version("object", &old)).await.unwrap();
    assert_eq!(of("object", old).await, []);
}

#[tokio::test]
async fn of_changes_of_one_version_at_once_none_is_lost() {
    for rig in [Rig::new().await, Rig::sqlite().await] {
        let rig = Arc::new(with_locked_bucket(rig).await);
        for round in 0..10 {
            let key = format!("object-{round}");
            let id = rig.put_locked(&key, ObjectLock::default()).await.unwrap();
            let named = version(&key, &id);
            let retention = RetentionChange { mode: Some(RetentionMode::Governance), until_ms: Some(now() + HOUR), event_hold: None };
            let rekey = UpdateObjectEncryption {
                bucket: LOCKED.into(),
                key: key.clone(),
                version_id: Some(id.clone()),
                kms_key_id: OTHER_KEY.into(),
                bucket_key_enabled: false,
            };
            let (tagged, held, retained, rekeyed) = tokio::join!(
                rig.engine.set_object_tags(&rig.root, &named, tags(&[("a", "1")])),
                rig.engine.set_legal_hold(&rig.root, &named, true),
                rig.engine.change_retention(&rig.root, &named, &retention, false),
                rig.engine.update_object_encryption(&rig.root, rekey),
            );
            assert_eq!(tagged.unwrap(), Some(id.clone()));
            held.and(retained).and(rekeyed).unwrap();
            let lock = rig.lock_of(&key, &id).await.unwrap();
            assert_eq!((lock.legal_hold, lock.retention.unwrap().until_ms), (Some(true), retention.until_ms.unwrap()));
            assert_eq!(rig.engine.object_tags(&rig.root, &named).await.unwrap().0, tags(&[("a", "1")]));
        }
        assert_eq!(rig.usage(OTHER_KEY).await, [(1, (10, 0))].into(), "re-keying a locked version is allowed, and its lock stays");
    }
}

/// Whoever can write to the catalog's file lifts a lock: the version reads as damaged, so the lock is not lifted unseen.
#[tokio::test]
async fn a_lock_that_was_altered_on_the_disk_makes_its_version_read_as_damaged() {
    let rig = with_locked_bucket(Rig::sqlite().await).await;
    let id = rig.put_locked("object", ObjectLock { legal_hold: Some(true), ..governed(now() + HOUR) }).await.unwrap();
    let rows = rig.rows();
    let good: (i64, i64) = rows.query_row("SELECT lock, retain_until FROM versions", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let write = |(lock, until): (i64, i64)| {
        assert_eq!(rows.execute("UPDATE versions SET lock = ?1, retain_until = ?2", params![lock, until]).unwrap(), 1);
    };
    for bad in [(0, 0), (good.0, good.1 - 1), (good.0, 0), (good.0 & 0b0011, good.1), (good.0 & 0b1100, good.1), (good.0 ^ 0b1000, good.1)]
    {
        write(bad);
        let events = rig.engine.integrity_events();
        assert!(matches!(rig.lock_of("object", &id).await, Err(Error::Integrity(_))), "{bad:?}");
        assert_eq!(rig.engine.integrity_events(), events + 1);
    }
    write(good);
    assert_eq!(rig.lock_of("object", &id).await.unwrap().legal_hold, Some(true));
}

/// The attack: a body is sent so slowly that a rule is set before it has come, to get past the rule.
#[tokio::test]
async fn a_slow_write_gets_the_default_lock_and_keeps_to_the_rules_that_were_set_meanwhile() {
    let rig = with_locked_bucket(Rig::sqlite().await).await;
    let slow = |by: As, change: BoxFuture<'static, ()>| {
        let second = async move {
            change.await;
            tokio::time::sleep(Duration::from_millis(1100)).await;
            Ok(Bytes::from_static(b"half"))
        };
        let halves = stream::iter([Ok(Bytes::from_static(b"half"))]).chain(stream::once(second));
        let body = Body { stream: Box::pin(sync_wrapper::SyncStream::new(halves)), length: None };
        PutObject { body, sse: by.write(), ..put_locked("slow", Attributes::default(), b"") }
    };
    let (engine, root) = (Arc::clone(&rig.engine), rig.root.clone());
    let default = DefaultLock { retention: Some((RetentionMode::Compliance, Period::Days(30))), event_hold: None };
    let locking = Box::pin(async move { engine.set_object_lock_configuration(&root, LOCKED, default).await.unwrap() });
    let id = rig.engine.put_object(&rig.root, slow(As::S3, locking)).await.unwrap().version_id.unwrap();
    assert_eq!(rig.lock_of("slow", &id).await.unwrap().retention.unwrap().mode, RetentionMode::Compliance);

    let engine = Arc::clone(&rig.engine);
    let rule = EncryptionRule { default: None, blocked: Some(vec!["SSE-C".to_owned()]) };
    let blocking = Box::pin(async move { engine.set_bucket_encryption(LOCKED, rule).await.unwrap() });
    let refused = rig.engine.put_object(&rig.root, slow(As::Customer(1), blocking)).await;
    assert!(matches!(refused, Err(Error::CustomerKeysBlocked)), "{refused:?}");
}

#[tokio::test]
async fn an_event_hold_has_the_duration_that_the_bucket_gave_when_its_upload_was_begun() {
    let rig = with_locked_bucket(Rig::sqlite().await).await;
    let configure = |event_hold| rig.engine.set_object_lock_configuration(&rig.root, LOCKED, DefaultLock { retention: None, event_hold });
    configure(Some(Period::Days(5))).await.unwrap();
    let lock = ObjectLock { event_hold: Some(EventHold { on: true, period: None }), ..ObjectLock::default() };
    let attributes = Attributes { lock, ..Attributes::default() };
    let create = CreateMultipartUpload { bucket: LOCKED.into(), attributes, ..create_request("parts", As::S3.write()) };
    let upload_id = rig.engine.create_multipart_upload(&rig.root, create).await.unwrap().upload_id;
    let upload = strongroom_engine::api::UploadRef { bucket: LOCKED.into(), key: "parts".into(), upload_id };
    configure(None).await.unwrap();
    let held = EventHold { on: true, period: Some(Period::Days(5)) };
    assert_eq!(rig.engine.upload_facts(&upload).await.unwrap().lock.event_hold, Some(held));
    let part = rig.upload_part(&upload, 1, As::S3, b"part").await;
    let id = rig.complete(&upload, vec![part]).await.unwrap().version_id.unwrap();
    assert_eq!(rig.engine.upload_facts(&upload).await.unwrap().lock.event_hold, Some(held));
    assert_eq!(rig.lock_of("parts", &id).await.unwrap().event_hold, Some(held));
}
