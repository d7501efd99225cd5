//! Events of buckets: which change tells what, and that an event is there exactly when its change is.

use std::sync::Arc;

use async_trait::async_trait;
use strongroom_access::Acl;
use strongroom_catalog::{
    CatalogError, Clock,
    testing::{After, Call, CatalogHook, FaultMoment, Faults, Method},
};
use strongroom_engine::{
    EngineOptions, Error,
    api::{CreateBucket, DeleteCondition, ObjectOwnership, ObjectVersion, PutObject, VersioningStatus, WriteCondition},
    events::{
        DeadEvents, EventFailure, EventName, EventRecord, Notification, NotificationKind, NotificationOptions, NotificationTarget,
        Notifications, QueuedEvent, Settled,
    },
    rekey::RekeyRequest,
};

use super::lifecycle::{Timed, expiring, own, prefix, timed_plan};
use crate::common::*;

pub const TARGET: &str = "hook";

fn options(max_queued: u64) -> NotificationOptions {
    let target =
        |name: &str, bucket: &str| NotificationTarget { name: name.to_owned(), buckets: vec![bucket.to_owned()], max_queued, max_dead: 2 };
    NotificationOptions { region: "eu-1".to_owned(), targets: vec![target(TARGET, "*"), target("private", "private-*")] }
}

fn plan(sqlite: bool) -> Plan {
    Plan { sqlite, options: EngineOptions { notifications: options(1000), ..Plan::default().options }, ..Plan::default() }
}

fn configuration(target: &str, events: &[&str]) -> Notifications {
    let configuration = Notification {
        id: "all".to_owned(),
        kind: NotificationKind::Queue,
        arn: format!("arn:strongroom:sqs:eu-1:{target}:webhook"),
        target: String::new(),
        events: events.iter().map(|event| (*event).to_owned()).collect(),
        filter: Vec::new(),
    };
    Notifications { configurations: vec![configuration] }
}

const ALL: [&str; 5] = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectTagging:*", "s3:ObjectAcl:*", "s3:LifecycleExpiration:*"];

impl Rig {
    async fn tell_all(&self) {
        self.engine.set_bucket_notifications(&self.root, BUCKET, configuration(TARGET, &ALL), true).await.unwrap();
    }

    async fn queued(&self) -> Vec<QueuedEvent> {
        self.engine.queued_events(TARGET, 0, 1000).await.unwrap()
    }

    /// What was told since the last call, with nothing left queued.
    async fn told(&self) -> Vec<EventRecord> {
        let queued = self.queued().await;
        let settled: Vec<_> = queued.iter().map(|event| settled(event, None)).collect();
        self.engine.settle_events(TARGET, &settled).await.unwrap();
        queued.into_iter().map(|event| event.record.unwrap()).collect()
    }

    async fn names(&self) -> Vec<&'static str> {
        self.told().await.iter().map(|record| record.event.as_str()).collect()
    }

    async fn remove(&self, key: &str, version_id: Option<&str>) -> Option<String> {
        let version_id = version_id.map(str::to_owned);
        let removed = self.engine.delete_object(&self.root, BUCKET, key, version_id, DeleteCondition::default(), false).await;
        removed.unwrap().version_id
    }
}

fn settled(event: &QueuedEvent, reason: Option<&str>) -> Settled {
    let failure = reason.map(|reason| EventFailure { attempts: 3, reason: reason.to_owned(), at: 9 });
    Settled { position: event.position, id: event.id, lane: event.lane, failure }
}

fn named(key: &str, version_id: Option<String>) -> ObjectVersion {
    ObjectVersion { bucket: BUCKET.into(), key: key.into(), version_id }
}

#[tokio::test]
async fn every_way_to_make_an_object_tells_its_own_name_with_size_etag_mode_and_key() {
    for sqlite in [false, true] {
        let rig = Rig::with(plan(sqlite)).await;
        rig.tell_all().await;
        let put = rig.put("put", As::Kms, b"12345").await;
        let form = PutObject { by_form: true, ..put_request("form", As::S3.write(), b"1") };
        rig.engine.put_object(&rig.root, form).await.unwrap();
        rig.copy(("put", As::Kms), ("copy", As::Dsse)).await.unwrap();
        rig.multipart("parts", As::Customer(1), &[b"abc", b"de"]).await;
        rig.put("plain", As::Store, b"").await;
        let told = rig.told().await;
        let shown: Vec<_> = told
            .iter()
            .map(|record| {
                let encryption = record.encryption.as_ref().unwrap();
                (record.event, record.key.as_str(), record.size_bytes, encryption.mode.as_str(), encryption.kms_key_id.as_deref())
            })
            .collect();
        let complete = EventName::ObjectCreatedCompleteMultipartUpload;
        assert_eq!(
            shown,
            [
                (EventName::ObjectCreatedPut, "put", Some(5), "SSE-KMS", Some(KEY)),
                (EventName::ObjectCreatedPost, "form", Some(1), "SSE-S3", Some("default")),
                (EventName::ObjectCreatedCopy, "copy", Some(5), "DSSE-KMS", Some(KEY)),
                (complete, "parts", Some(5), "SSE-C", None),
                (EventName::ObjectCreatedPut, "plain", Some(0), "none", None),
            ]
        );
        assert_eq!(told[0].etag.as_deref(), Some(put.etag.as_str()));
        let EventRecord { region, bucket, owner, configuration, who, request_id, version_id, .. } = &told[0];
        assert_eq!([region, bucket, owner, configuration, who, request_id], ["eu-1", BUCKET, "root", "all", "root", "test"]);
        assert_eq!(*version_id, None, "the bucket has no versions");
    }
}

#[tokio::test]
async fn every_way_to_remove_an_object_tells_what_was_done_and_what_does_nothing_tells_nothing() {
    for sqlite in [false, true] {
        let rig = Rig::with(plan(sqlite)).await;
        rig.tell_all().await;
        rig.put("k", As::S3, b"1").await;
        rig.remove("k", None).await;
        rig.remove("k", None).await;
        rig.remove("never-there", None).await;
        assert_eq!(rig.names().await, ["ObjectCreated:Put", "ObjectRemoved:Delete"]);

        rig.put("null", As::S3, b"1").await;
        rig.engine.set_bucket_versioning(BUCKET, VersioningStatus::Enabled).await.unwrap();
        let version = rig.put("k", As::S3, b"1").await.version_id;
        let marker = rig.remove("k", None).await;
        rig.remove("k", marker.as_deref()).await;
        rig.remove("k", version.as_deref()).await;
        rig.remove("k", version.as_deref()).await;
        rig.remove("null", Some("null")).await;
        rig.engine.set_bucket_versioning(BUCKET, VersioningStatus::Suspended).await.unwrap();
        rig.put("k", As::S3, b"1").await;
        rig.remove("k", None).await;
        let told = rig.told().await;
        let shown: Vec<_> = told.iter().map(|record| (record.event.as_str(), record.version_id.as_deref())).collect();
        let null = Some("null");
        assert_eq!(
            shown,
            [
                ("ObjectCreated:Put", None),
                ("ObjectCreated:Put", version.as_deref()),
                ("ObjectRemoved:DeleteMarkerCreated", marker.as_deref()),
                ("ObjectRemoved:Delete", marker.as_deref()),
                ("ObjectRemoved:Delete", version.as_deref()),
                ("ObjectRemoved:Delete", null),
                ("ObjectCreated:Put", null),
                ("ObjectRemoved:DeleteMarkerCreated", null),
            ]
        );
        assert!(told[2].encryption.is_none() && told[2].size_bytes.is_none());
    }
}

#[tokio::test]
async fn tags_and_acls_tell_of_a_change_of_them_and_locks_and_re_keying_tell_nothing() {
    for sqlite in [false, true] {
        let rig = Rig::with(plan(sqlite)).await;
        rig.put("k", As::Kms, b"1").await;
        rig.tell_all().await;
        let set = async |tags: &[(&str, &str)]| rig.engine.set_object_tags(&rig.root, &named("k", None), own(tags)).await.unwrap();
        set(&[("a", "b")]).await;
        set(&[("a", "b")]).await;
        rig.engine.clear_object_tags(&rig.root, &named("k", None)).await.unwrap();
        rig.engine.clear_object_tags(&rig.root, &named("k", None)).await.unwrap();
        rig.engine.set_bucket_ownership(BUCKET, Some(ObjectOwnership::ObjectWriter)).await.unwrap();
        rig.engine.set_public_access_block(BUCKET, None).await.unwrap();
        let public = Acl::canned("public-read", "root", "root").unwrap();
        rig.engine.set_object_acl(&rig.root, &named("k", None), &public).await.unwrap();
        rig.engine.set_object_acl(&rig.root, &named("k", None), &public).await.unwrap();
        rig.rekey(RekeyRequest { to_key: Some(OTHER_KEY.into()), ..in_bucket() }).await;
        assert_eq!(rig.names().await, ["ObjectTagging:Put", "ObjectTagging:Delete", "ObjectAcl:Put"]);
    }
}

#[tokio::test]
async fn what_expires_tells_of_it_as_lifecycle_and_not_as_a_removal() {
    for sqlite in [false, true] {
        let clock = Arc::new(std::sync::atomic::AtomicI64::new(super::lifecycle::noon()));
        let mut plan = timed_plan(&clock, sqlite);
        plan.options.notifications = options(1000);
        let timed = Timed { rig: Rig::with(plan).await, clock };
        timed.rig.put("logs/1", As::S3, b"1").await;
        timed.rig.tell_all().await;
        timed.rules(BUCKET, vec![expiring(1, prefix("logs/"))]).await;
        timed.days_pass(2);
        assert_eq!(timed.pass().await.numbers.expired, 1);
        timed.rig.engine.set_bucket_versioning(BUCKET, VersioningStatus::Enabled).await.unwrap();
        timed.rig.put("logs/2", As::S3, b"1").await;
        timed.days_pass(2);
        assert_eq!(timed.pass().await.numbers.expired, 1);
        let told = timed.rig.told().await;
        let shown: Vec<_> = told.iter().map(|record| (record.event.as_str(), record.who.as_str())).collect();
        let marked = ("LifecycleExpiration:DeleteMarkerCreated", "lifecycle");
        assert_eq!(shown, [("LifecycleExpiration:Delete", "lifecycle"), ("ObjectCreated:Put", "root"), marked]);
        assert!(told[0].request_id.is_empty() && told[0].peer.is_none());
    }
}

#[tokio::test]
async fn a_change_that_is_refused_or_fails_leaves_no_event() {
    let faults = Arc::new(Faults::default());
    let rig = Rig::with(Plan { catalog_hook: Some(Arc::clone(&faults) as _), ..plan(true) }).await;
    rig.tell_all().await;
    rig.put("k", As::S3, b"1").await;
    rig.told().await;
    let absent = PutObject { condition: WriteCondition::Absent, ..put_request("k", As::S3.write(), b"2") };
    assert!(matches!(rig.engine.put_object(&rig.root, absent).await, Err(Error::PreconditionFailed)));
    faults.fail_write(1, FaultMoment::Before, || CatalogError::Busy);
    assert!(rig.try_put("k", As::S3, b"3").await.is_err());
    faults.fail_write(1, FaultMoment::Before, || CatalogError::Busy);
    let deleted = rig.engine.delete_object(&rig.root, BUCKET, "k", None, DeleteCondition::default(), false).await;
    assert!(deleted.is_err());
    assert_eq!(rig.queued().await, []);
    // One whose answer is lost has happened, and tells of it.
    faults.fail_write(1, FaultMoment::After, || CatalogError::Busy);
    assert!(rig.try_put("k", As::S3, b"4").await.is_err());
    assert_eq!(rig.names().await, ["ObjectCreated:Put"]);
}

#[tokio::test]
async fn a_bucket_without_a_configuration_or_with_another_event_or_key_adds_nothing() {
    let rig = Rig::with(plan(true)).await;
    rig.put("k", As::S3, b"1").await;
    rig.engine.set_bucket_notifications(&rig.root, BUCKET, configuration(TARGET, &["s3:ObjectRemoved:Delete"]), true).await.unwrap();
    rig.put("k", As::S3, b"1").await;
    assert_eq!(rig.engine.outbox().await.unwrap(), []);
    rig.tell_all().await;
    rig.engine.set_bucket_notifications(&rig.root, BUCKET, Notifications::default(), true).await.unwrap();
    rig.put("k", As::S3, b"1").await;
    assert_eq!(rig.engine.bucket_notifications(BUCKET).await.unwrap().configurations, []);
    assert_eq!(rig.engine.outbox().await.unwrap(), []);
}

#[tokio::test]
async fn a_configuration_is_told_to_its_target_with_a_test_event_unless_it_is_put_quietly() {
    let rig = Rig::with(plan(true)).await;
    rig.engine.set_bucket_notifications(&rig.root, BUCKET, configuration(TARGET, &ALL), false).await.unwrap();
    let told = rig.told().await;
    assert_eq!((told.len(), told[0].event, told[0].key.as_str()), (1, EventName::TestEvent, ""));
    rig.tell_all().await;
    assert_eq!(rig.queued().await, []);
    // Somebody else's target is none.
    let refused = rig.engine.set_bucket_notifications(&rig.root, BUCKET, configuration("private", &ALL), false).await;
    assert!(matches!(refused, Err(Error::InvalidArgument(_))), "{refused:?}");
    let own = CreateBucket { name: "private-1".into(), ..CreateBucket::default() };
    rig.engine.create_bucket(&rig.root, own).await.unwrap();
    rig.engine.set_bucket_notifications(&rig.root, "private-1", configuration("private", &ALL), true).await.unwrap();
}

#[tokio::test]
async fn nothing_of_a_customer_key_and_nothing_that_can_be_read_lies_in_the_outbox() {
    let rig = Rig::with(plan(true)).await;
    rig.tell_all().await;
    rig.put("a-telling-name", As::Customer(1), b"1").await;
    let rows: Vec<Vec<u8>> =
        rig.rows().prepare("SELECT record FROM events").unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 1);
    assert!(!String::from_utf8_lossy(&rows[0]).contains("telling"));
    let headers = As::Customer(1).customer();
    let told = serde_json::to_string(&rig.told().await[0]).unwrap();
    assert!(told.contains("a-telling-name") && told.contains("SSE-C"));
    assert!(!told.contains(headers.key.unwrap().as_str()) && !told.contains(&headers.key_md5.unwrap()), "{told}");
}

#[tokio::test]
async fn an_event_that_was_altered_or_sent_elsewhere_on_the_disk_is_not_believed() {
    let rig = Rig::with(plan(true)).await;
    rig.tell_all().await;
    for key in ["a", "b"] {
        rig.put(key, As::S3, b"1").await;
    }
    let events = rig.engine.integrity_events();
    rig.rows().execute("UPDATE events SET record = (SELECT record FROM events WHERE id = 1) WHERE id = 2", []).unwrap();
    rig.rows()
        .execute_batch("INSERT INTO event_targets VALUES (9, 'private', 1, 0, 0); UPDATE events SET target = 9 WHERE id = 1")
        .unwrap();
    let other = rig.engine.queued_events("private", 0, 9).await.unwrap();
    assert_eq!((rig.queued().await[0].record.as_ref(), other[0].record.as_ref()), (None, None));
    assert_eq!(rig.engine.integrity_events(), events + 2);
}

#[tokio::test]
async fn dead_events_outlive_a_restart_are_sent_again_in_their_old_order_or_dropped() {
    let rig = Rig::with(plan(true)).await;
    rig.tell_all().await;
    for key in ["a", "b", "c"] {
        rig.put(key, As::S3, b"1").await;
    }
    let queued = rig.queued().await;
    for event in &queued {
        rig.engine.settle_events(TARGET, &[settled(event, Some("500"))]).await.unwrap();
    }
    let home = rig.into_home();
    let rig = Rig::with(Plan { home: Some(home), ..plan(true) }).await;
    let dead = rig.engine.dead_events(None, 0, 9).await.unwrap();
    let keys: Vec<_> = dead.iter().map(|event| event.record.as_ref().unwrap().key.as_str()).collect();
    assert_eq!(keys, ["b", "c"], "two are kept, the newest");
    assert_eq!(dead[0].failure, Some(EventFailure { attempts: 3, reason: "500".into(), at: 9 }));
    assert_eq!(rig.engine.outbox().await.unwrap()[0].dropped, 1);
    rig.put("d", As::S3, b"1").await;
    assert_eq!(rig.engine.resend_dead_events(DeadEvents::One(dead[1].id)).await.unwrap(), 1);
    assert_eq!(rig.engine.resend_dead_events(DeadEvents::AllOf("private".into())).await.unwrap(), 0);
    let again = rig.queued().await;
    assert_eq!((again[1].id, again[1].sequence), (queued[2].id, queued[2].sequence));
    assert!(again[0].sequence > again[1].sequence && again[0].position < again[1].position);
    assert_eq!(rig.engine.drop_dead_events(DeadEvents::AllOf(TARGET.into())).await.unwrap(), 1);
    assert_eq!(rig.engine.drop_queued_events(TARGET).await.unwrap(), 2);
    assert!(rig.engine.dead_events(None, 0, 9).await.unwrap().is_empty() && rig.queued().await.is_empty());
}

#[tokio::test]
async fn a_full_queue_refuses_no_write_and_what_it_drops_is_counted() {
    let options = EngineOptions { notifications: options(2), ..Plan::default().options };
    let rig = Rig::with(Plan { options, clock: Clock::new(|| 0), ..plan(true) }).await;
    rig.tell_all().await;
    for number in 0..5 {
        rig.put(&format!("k{number}"), As::S3, b"1").await;
    }
    let held = rig.engine.outbox().await.unwrap().remove(0);
    assert_eq!((held.queued, held.dropped), (2, 3));
}

/// The methods of the catalog that were called.
#[derive(Default)]
struct Calls(std::sync::Mutex<Vec<Method>>);

#[async_trait]
impl CatalogHook for Calls {
    async fn before(self: Arc<Self>, call: Call) -> Result<Option<After>, CatalogError> {
        self.0.lock().unwrap().push(call.method);
        Ok(None)
    }
}

#[tokio::test]
async fn writes_ask_the_catalog_nothing_more_and_read_a_configuration_once() {
    let calls = Arc::new(Calls::default());
    let rig = Rig::with(Plan { catalog_hook: Some(Arc::clone(&calls) as _), ..plan(false) }).await;
    let of_a_round = async || {
        calls.0.lock().unwrap().clear();
        rig.put("k", As::S3, b"1").await;
        rig.remove("k", None).await;
        std::mem::take(&mut *calls.0.lock().unwrap())
    };
    let first = of_a_round().await;
    assert_eq!(first.iter().filter(|method| **method == Method::Entities).count(), 1, "whether the key belongs to an account");
    let plain = of_a_round().await;
    assert!(!plain.contains(&Method::BucketDocument), "{plain:?}");
    rig.tell_all().await;
    let mut first = of_a_round().await;
    assert_eq!(first.iter().filter(|method| **method == Method::BucketDocument).count(), 1);
    first.retain(|method| *method != Method::BucketDocument);
    assert_eq!((first, of_a_round().await), (plain.clone(), plain));
    assert_eq!(rig.queued().await.len(), 4);
}

#[tokio::test]
async fn whoever_waits_is_woken_by_the_commit() {
    let rig = Arc::new(Rig::with(plan(true)).await);
    rig.tell_all().await;
    let waiting = Arc::clone(&rig);
    let woken = tokio::spawn(async move { waiting.engine.await_events(TARGET, std::time::Duration::from_mins(1)).await });
    rig.put("k", As::S3, b"1").await;
    tokio::time::timeout(std::time::Duration::from_secs(10), woken).await.unwrap().unwrap();
    assert_eq!(rig.queued().await.len(), 1);
}
