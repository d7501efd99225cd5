//! Lifecycle rules: what a pass deletes, what it keeps, and that neither a kill nor a change between two steps loses anything.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use strongroom_catalog::{
    CatalogError, Clock,
    testing::{After, Call, CatalogHook, Method},
};
use strongroom_engine::{
    EngineOptions, Error,
    api::{
        Attributes, CreateBucket, DeleteCondition, ListObjects, ListUploads, ListVersions, ListedVersion, ObjectLock, ObjectVersion,
        PutObject, Tag, VersioningStatus,
    },
    lifecycle::{DAY, Expiration, Lifecycle, LifecycleFilter, LifecycleOptions, LifecyclePass, LifecycleRule, NoncurrentExpiration},
    rekey::JobState,
};

use super::locks::{HOUR, LOCKED, governed, now, with_locked_bucket};
use crate::common::*;

pub const DAY_MS: i64 = 24 * HOUR;

/// A rig whose clock stands until it is moved.
pub struct Timed {
    pub rig: Rig,
    pub clock: Arc<AtomicI64>,
}

/// Noon of a day, so that no test meets a midnight by chance.
pub fn noon() -> i64 {
    let now = now();
    now - now.rem_euclid(DAY_MS) + DAY_MS / 2
}

pub fn timed_plan(clock: &Arc<AtomicI64>, sqlite: bool) -> Plan {
    let read = Arc::clone(clock);
    let told = Clock::new(move || read.load(Ordering::SeqCst));
    let lifecycle = LifecycleOptions { clock: told.clone(), max_clock_jump: None, ..LifecycleOptions::default() };
    Plan { sqlite, clock: told, options: EngineOptions { lifecycle, ..Plan::default().options }, ..Plan::default() }
}

impl Timed {
    pub async fn new(sqlite: bool) -> Self {
        let clock = Arc::new(AtomicI64::new(noon()));
        Self { rig: Rig::with(timed_plan(&clock, sqlite)).await, clock }
    }

    pub fn days_pass(&self, days: i64) {
        self.clock.fetch_add(days * DAY_MS, Ordering::SeqCst);
    }

    pub async fn rules(&self, bucket: &str, rules: Vec<LifecycleRule>) {
        self.rig.engine.set_bucket_lifecycle(bucket, Lifecycle { rules, ..Lifecycle::default() }).await.unwrap();
    }

    pub async fn pass(&self) -> LifecyclePass {
        self.rig.lifecycle_pass().await
    }

    async fn versioned(&self) {
        self.rig.engine.set_bucket_versioning(BUCKET, VersioningStatus::Enabled).await.unwrap();
    }

    async fn put_tagged(&self, key: &str, tags: &[(&str, &str)], len: usize) -> Option<String> {
        let attributes = Attributes { tags: own(tags), ..Attributes::default() };
        let request = PutObject { attributes, ..put_request(key, As::S3.write(), &data(len, 1)) };
        self.rig.engine.put_object(&self.rig.root, request).await.unwrap().version_id
    }

    async fn keys(&self) -> Vec<String> {
        self.rig
            .versions_of(BUCKET)
            .await
            .into_iter()
            .filter(|found| found.is_latest && found.object.is_some())
            .map(|found| found.key)
            .collect()
    }
}

impl Rig {
    /// Runs a pass to its end.
    pub async fn lifecycle_pass(&self) -> LifecyclePass {
        loop {
            match self.engine.start_lifecycle(Some("test"), false).await {
                Ok(pass) => return self.lifecycle_ended(&pass.job_id).await,
                // The last one has ended, and is not cleared away yet.
                Err(Error::TooManyJobs(_)) => tokio::time::sleep(Duration::from_millis(1)).await,
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub async fn lifecycle_ended(&self, job_id: &str) -> LifecyclePass {
        loop {
            let pass = self.engine.lifecycle_pass(job_id).await.unwrap();
            if pass.state != JobState::Running {
                return pass;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub async fn versions_of(&self, bucket: &str) -> Vec<ListedVersion> {
        let list = ListObjects { bucket: bucket.into(), limit: 1000, ..ListObjects::default() };
        let page = self.engine.list_versions(ListVersions { list, version_id_marker: None }).await.unwrap();
        let item = |entry| match entry {
            strongroom_engine::api::ListEntry::Item(found) => Some(found),
            strongroom_engine::api::ListEntry::Prefix(_) => None,
        };
        page.entries.into_iter().filter_map(item).collect()
    }
}

pub fn own(tags: &[(&str, &str)]) -> Vec<Tag> {
    tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

pub fn prefix(prefix: &str) -> LifecycleFilter {
    LifecycleFilter { prefix: Some(prefix.into()), ..LifecycleFilter::default() }
}

pub fn rule(id: &str, filter: LifecycleFilter) -> LifecycleRule {
    LifecycleRule { id: id.into(), enabled: true, filter, expiration: None, noncurrent: None, abort_days: None }
}

pub fn expiring(days: i64, filter: LifecycleFilter) -> LifecycleRule {
    LifecycleRule { expiration: Some(Expiration::Days(days)), ..rule("", filter) }
}

#[tokio::test]
async fn what_is_old_enough_expires_by_prefix_tag_and_size_and_nothing_else_does() {
    for sqlite in [false, true] {
        let timed = Timed::new(sqlite).await;
        for (key, tags, len) in [("logs/1", &[][..], 10), ("tagged", &[("a", "b")], 10), ("large", &[], 900), ("kept", &[("a", "c")], 10)] {
            timed.put_tagged(key, tags, len).await;
        }
        let tagged = LifecycleFilter { tags: own(&[("a", "b")]), ..LifecycleFilter::default() };
        let large = LifecycleFilter { larger_than: Some(899), ..LifecycleFilter::default() };
        timed.rules(BUCKET, vec![expiring(1, prefix("logs/")), expiring(1, tagged), expiring(1, large)]).await;
        assert_eq!(timed.pass().await.numbers.expired, 0, "at noon of the first day nothing is due");
        timed.days_pass(1);
        assert_eq!(timed.pass().await.numbers.expired, 0, "a day is over at midnight");
        timed.put_tagged("logs/2", &[], 10).await;
        timed.days_pass(1);
        let pass = timed.pass().await;
        assert_eq!((pass.state, pass.numbers.expired, pass.numbers.buckets), (JobState::Completed, 3, 1));
        assert_eq!(timed.keys().await, ["kept", "logs/2"]);
        timed.days_pass(1);
        assert_eq!(timed.pass().await.numbers.expired, 1);
        assert_eq!(timed.keys().await, ["kept"]);
    }
}

#[tokio::test]
async fn the_header_tells_the_midnight_at_which_the_pass_deletes() {
    let timed = Timed::new(true).await;
    timed.rules(BUCKET, vec![LifecycleRule { id: "one".into(), ..expiring(1, prefix("")) }]).await;
    let stored = timed.rig.put("object", As::S3, b"data").await;
    let expiry = stored.expiry.unwrap();
    assert_eq!((expiry.rule_id.as_str(), expiry.at_ms.rem_euclid(DAY_MS)), ("one", 0));
    assert_eq!(timed.rig.head("object", As::S3).await.unwrap().info.expiry.unwrap(), expiry);
    timed.clock.store(expiry.at_ms - 1, Ordering::SeqCst);
    assert_eq!(timed.pass().await.numbers.expired, 0);
    timed.clock.store(expiry.at_ms, Ordering::SeqCst);
    assert_eq!(timed.pass().await.numbers.expired, 1);
}

#[tokio::test]
async fn a_version_expires_under_a_marker_and_goes_with_it_when_both_are_old() {
    for sqlite in [false, true] {
        let timed = Timed::new(sqlite).await;
        timed.versioned().await;
        timed.rig.put("object", As::S3, b"one").await;
        timed.rig.put("object", As::S3, b"two").await;
        let noncurrent = Some(NoncurrentExpiration { days: 3, newer_kept: None });
        timed.rules(BUCKET, vec![LifecycleRule { noncurrent, ..expiring(2, prefix("")) }]).await;
        timed.days_pass(3);
        assert_eq!(timed.pass().await.numbers.expired, 1);
        let found: Vec<_> = timed.rig.versions_of(BUCKET).await.iter().map(|found| (found.is_latest, found.object.is_some())).collect();
        assert_eq!(found, [(true, false), (false, true), (false, true)]);
        // The first has been noncurrent for four days, since it was overwritten; the second for one, since it expired.
        timed.days_pass(1);
        assert_eq!(timed.pass().await.numbers.noncurrent, 1);
        timed.days_pass(3);
        let numbers = timed.pass().await.numbers;
        assert_eq!((numbers.noncurrent, numbers.markers), (1, 1));
        assert_eq!(timed.rig.versions_of(BUCKET).await.len(), 0);
    }
}

#[tokio::test]
async fn the_newest_noncurrent_versions_are_kept() {
    let timed = Timed::new(true).await;
    timed.versioned().await;
    for number in 0..6_u8 {
        timed.rig.put("object", As::S3, &[number]).await;
    }
    let noncurrent = Some(NoncurrentExpiration { days: 1, newer_kept: Some(2) });
    timed.rules(BUCKET, vec![LifecycleRule { noncurrent, ..rule("", prefix("")) }]).await;
    timed.days_pass(2);
    assert_eq!(timed.pass().await.numbers.noncurrent, 3);
    timed.rig.put("object", As::S3, b"6").await;
    assert_eq!(timed.pass().await.numbers.noncurrent, 1, "one more is newer now, and the oldest is old enough");
    assert_eq!(timed.rig.versions_of(BUCKET).await.len(), 3);
}

#[tokio::test]
async fn a_suspended_bucket_replaces_its_null_version_by_a_marker() {
    let timed = Timed::new(true).await;
    timed.versioned().await;
    timed.rig.put("object", As::S3, b"kept").await;
    timed.rig.engine.set_bucket_versioning(BUCKET, VersioningStatus::Suspended).await.unwrap();
    timed.rig.put("object", As::S3, b"null").await;
    timed.rules(BUCKET, vec![expiring(1, prefix(""))]).await;
    timed.days_pass(2);
    assert_eq!(timed.pass().await.numbers.expired, 1);
    let found = timed.rig.versions_of(BUCKET).await;
    assert_eq!((found[0].version_id.as_str(), found[0].object.is_none(), found.len()), ("null", true, 2));
}

#[tokio::test]
async fn an_upload_is_aborted_and_a_younger_one_goes_on() {
    let timed = Timed::new(true).await;
    let old = timed.rig.create_upload("a/old", As::S3).await;
    timed.rig.upload_part(&old, 1, As::S3, b"part").await;
    timed.rig.create_upload("b/old", As::S3).await;
    timed.days_pass(1);
    timed.rig.create_upload("a/young", As::S3).await;
    timed.rules(BUCKET, vec![LifecycleRule { abort_days: Some(1), ..rule("", prefix("a/")) }]).await;
    timed.days_pass(1);
    assert_eq!(timed.pass().await.numbers.uploads, 1);
    let list = ListUploads { bucket: BUCKET.into(), limit: 10, ..ListUploads::default() };
    let left = timed.rig.engine.list_multipart_uploads(list).await.unwrap();
    let keys = left.entries.iter().map(|entry| match entry {
        strongroom_engine::api::ListEntry::Item(upload) => upload.key.as_str(),
        strongroom_engine::api::ListEntry::Prefix(prefix) => prefix,
    });
    assert_eq!(keys.collect::<Vec<_>>(), ["a/young", "b/old"]);
}

#[tokio::test]
async fn a_locked_version_is_kept_counted_and_deleted_when_its_lock_has_ended() {
    let clock = Arc::new(AtomicI64::new(noon()));
    let timed = Timed { rig: with_locked_bucket(Rig::with(timed_plan(&clock, true)).await).await, clock };
    timed.rig.put_locked("object", governed(noon() + 10 * DAY_MS)).await.unwrap();
    timed.rig.put_locked("object", ObjectLock::default()).await.unwrap();
    let noncurrent = Some(NoncurrentExpiration { days: 1, newer_kept: None });
    timed.rules(LOCKED, vec![LifecycleRule { noncurrent, ..rule("", prefix("")) }]).await;
    timed.days_pass(2);
    let numbers = timed.pass().await.numbers;
    assert_eq!((numbers.noncurrent, numbers.locked, numbers.failed), (0, 1, 0));
    assert_eq!(timed.rig.versions_of(LOCKED).await.len(), 2);
    timed.days_pass(9);
    let numbers = timed.pass().await.numbers;
    assert_eq!((numbers.noncurrent, numbers.locked), (1, 0));
}

#[tokio::test]
async fn a_disabled_rule_and_removed_rules_delete_nothing() {
    let timed = Timed::new(true).await;
    timed.rig.put("object", As::S3, b"data").await;
    timed.rules(BUCKET, vec![LifecycleRule { enabled: false, ..expiring(1, prefix("")) }]).await;
    timed.days_pass(9);
    assert_eq!(timed.pass().await.numbers.expired, 0);
    timed.rules(BUCKET, vec![expiring(1, prefix(""))]).await;
    timed.rig.engine.clear_bucket_lifecycle(BUCKET).await.unwrap();
    assert_eq!(timed.pass().await.numbers.buckets, 0);
    assert!(matches!(timed.rig.engine.bucket_lifecycle(BUCKET).await, Err(Error::NoSuchLifecycle)));
    assert_eq!(timed.keys().await, ["object"]);
}

#[tokio::test]
async fn a_clock_that_jumped_deletes_nothing() {
    let clock = Arc::new(AtomicI64::new(noon()));
    let mut plan = timed_plan(&clock, true);
    plan.options.lifecycle.max_clock_jump = Some(DAY);
    let timed = Timed { rig: Rig::with(plan).await, clock };
    timed.rig.put("object", As::S3, b"data").await;
    timed.rules(BUCKET, vec![expiring(1, prefix(""))]).await;
    timed.days_pass(400);
    let pass = timed.pass().await;
    assert_eq!((pass.state, pass.numbers.expired), (JobState::Failed, 0));
    assert!(pass.error.unwrap().contains("set forward"));
    assert_eq!(timed.keys().await, ["object"]);
}

type Act = Box<dyn Fn() -> futures_util::future::BoxFuture<'static, ()> + Send + Sync>;

/// Runs something once, before the first deletion.
struct BeforeDeletion {
    act: std::sync::Mutex<Option<Act>>,
}

#[async_trait]
impl CatalogHook for BeforeDeletion {
    async fn before(self: Arc<Self>, call: Call) -> Result<Option<After>, CatalogError> {
        if call.method == Method::DeleteVersion {
            let act = self.act.lock().unwrap().take();
            if let Some(act) = act {
                act().await;
            }
        }
        Ok(None)
    }
}

/// Between the look and the delete, the object is overwritten, or gets another tag, or loses it.
#[tokio::test]
async fn what_changes_between_the_look_and_the_delete_is_not_lost() {
    for change in ["overwrite", "retag", "untag"] {
        let clock = Arc::new(AtomicI64::new(noon()));
        let hook = Arc::new(BeforeDeletion { act: std::sync::Mutex::default() });
        let mut plan = timed_plan(&clock, true);
        plan.catalog_hook = Some(hook.clone());
        let timed = Timed { rig: Rig::with(plan).await, clock };
        timed.put_tagged("object", &[("a", "b")], 10).await;
        let tagged = LifecycleFilter { tags: own(&[("a", "b")]), ..LifecycleFilter::default() };
        timed.rules(BUCKET, vec![expiring(1, tagged)]).await;
        timed.days_pass(3);
        let (engine, root) = (Arc::clone(&timed.rig.engine), root(true));
        let act = move || {
            let (engine, root) = (Arc::clone(&engine), root.clone());
            let act: futures_util::future::BoxFuture<'static, ()> = Box::pin(async move {
                let named = ObjectVersion { bucket: BUCKET.into(), key: "object".into(), version_id: None };
                match change {
                    "overwrite" => drop(engine.put_object(&root, put_request("object", As::S3.write(), b"new")).await.unwrap()),
                    "retag" => drop(engine.set_object_tags(&root, &named, own(&[("a", "c")])).await.unwrap()),
                    _ => engine.clear_object_tags(&root, &named).await.map(drop).unwrap(),
                }
            });
            act
        };
        *hook.act.lock().unwrap() = Some(Box::new(act));
        let pass = timed.pass().await;
        assert_eq!((pass.state, pass.numbers.expired), (JobState::Completed, 0), "{change}");
        assert!(hook.act.lock().unwrap().is_none(), "{change}: the deletion was tried");
        assert_eq!(timed.keys().await, ["object"], "{change}");
    }
}

/// Cuts the catalog off at a write, as a kill does.
#[derive(Default)]
struct Cut {
    writes_left: AtomicU64,
}

#[async_trait]
impl CatalogHook for Cut {
    async fn before(self: Arc<Self>, call: Call) -> Result<Option<After>, CatalogError> {
        if call.writes && self.writes_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err() {
            std::future::pending::<()>().await;
        }
        Ok(None)
    }
}

/// A process ends at each write of a pass in turn, and the next process goes on.
#[test]
fn a_kill_at_any_write_loses_nothing_and_the_next_start_finishes() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    for writes in 0..24 {
        let clock = Arc::new(AtomicI64::new(noon()));
        let first = runtime();
        let (home, job_id) = first.block_on(killed_after(&clock, writes));
        // Its tasks end with it, wherever they are.
        drop(first);
        runtime().block_on(async {
            let next = Timed { rig: Rig::with(Plan { home: Some(home), ..timed_plan(&clock, true) }).await, clock };
            next.rig.engine.resume_lifecycle().await.unwrap();
            if let Some(job_id) = job_id {
                next.rig.lifecycle_ended(&job_id).await;
            }
            next.pass().await;
            let kept: Vec<_> = (0..6).map(|number| format!("kept/{number}")).collect();
            assert_eq!(next.keys().await, kept, "{writes}");
            let markers = next.rig.versions_of(BUCKET).await.into_iter().filter(|found| found.object.is_none()).count();
            assert_eq!(markers, 6, "{writes}: one marker each");
        });
    }
}

async fn killed_after(clock: &Arc<AtomicI64>, writes: u64) -> (Home, Option<String>) {
    let cut = Arc::new(Cut::default());
    cut.writes_left.store(u64::MAX, Ordering::SeqCst);
    let plan = Plan { catalog_hook: Some(cut.clone()), ..timed_plan(clock, true) };
    let timed = Timed { rig: Rig::with(plan).await, clock: Arc::clone(clock) };
    timed.versioned().await;
    for number in 0..6 {
        timed.rig.put(&format!("old/{number}"), As::S3, b"data").await;
        timed.rig.put(&format!("kept/{number}"), As::S3, b"data").await;
    }
    timed.rules(BUCKET, vec![expiring(1, prefix("old/"))]).await;
    timed.days_pass(2);
    cut.writes_left.store(writes, Ordering::SeqCst);
    let started = tokio::time::timeout(Duration::from_millis(50), timed.rig.engine.start_lifecycle(None, false)).await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    (timed.rig.into_home(), started.ok().and_then(Result::ok).map(|pass| pass.job_id))
}

#[tokio::test]
async fn deletions_are_throttled_and_a_pass_can_be_cancelled() {
    let clock = Arc::new(AtomicI64::new(noon()));
    let mut plan = timed_plan(&clock, true);
    plan.options.lifecycle.max_deletes_per_second = Some(20);
    let timed = Timed { rig: Rig::with(plan).await, clock };
    for number in 0..100 {
        timed.rig.put(&number.to_string(), As::S3, b"data").await;
    }
    timed.rules(BUCKET, vec![expiring(1, prefix(""))]).await;
    timed.days_pass(2);
    let pass = timed.rig.engine.start_lifecycle(Some("test"), false).await.unwrap();
    assert!(matches!(timed.rig.engine.start_lifecycle(None, false).await, Err(Error::TooManyJobs(1))));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let cancelled = timed.rig.engine.cancel_lifecycle(&pass.job_id).await.unwrap();
    assert_eq!(cancelled.state, JobState::Cancelled);
    let left = timed.keys().await.len();
    assert!((80..100).contains(&left), "{left}");
}

/// Rules are put while a pass waits for its turns: what it has not come to is deleted by the new ones, or not at all.
#[tokio::test]
async fn rules_that_are_put_during_a_pass_hold_for_what_it_has_not_come_to() {
    let clock = Arc::new(AtomicI64::new(noon()));
    let mut plan = timed_plan(&clock, true);
    plan.options.lifecycle.max_deletes_per_second = Some(50);
    let timed = Timed { rig: Rig::with(plan).await, clock };
    for number in 0..200 {
        timed.rig.put(&format!("{number:03}"), As::S3, b"data").await;
    }
    timed.rules(BUCKET, vec![expiring(1, prefix(""))]).await;
    timed.days_pass(2);
    let pass = timed.rig.engine.start_lifecycle(Some("test"), false).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    timed.rules(BUCKET, vec![expiring(1, prefix("nothing"))]).await;
    let ended = timed.rig.lifecycle_ended(&pass.job_id).await;
    assert_eq!(ended.state, JobState::Completed);
    assert!(timed.keys().await.len() > 150, "{ended:?}");
}

#[tokio::test]
async fn a_pass_over_a_large_bucket_looks_at_what_came_of_age_since_the_last_one() {
    let timed = Timed::new(false).await;
    for number in 0..10_300 {
        timed
            .rig
            .catalog
            .put_version(
                strongroom_catalog::testing::samples::version(bucket_id(&timed.rig).await, &format!("{number:05}"), id(number)),
                strongroom_catalog::Expect::Any,
            )
            .await
            .unwrap();
    }
    timed.rules(BUCKET, vec![expiring(400 * 365, prefix("nothing"))]).await;
    timed.rules(BUCKET, vec![expiring(1, prefix("nothing"))]).await;
    timed.days_pass(2);
    let first = timed.pass().await.numbers.looked_at;
    assert!(first >= 10_300, "{first}");
    assert_eq!(timed.pass().await.numbers.looked_at, 0);
    timed.rig.put("new", As::S3, b"data").await;
    timed.days_pass(2);
    assert_eq!(timed.pass().await.numbers.looked_at, 1);
    let named = ObjectVersion { bucket: BUCKET.into(), key: "new".into(), version_id: None };
    timed.rig.engine.set_object_tags(&timed.rig.root, &named, own(&[("a", "b")])).await.unwrap();
    assert_eq!(timed.pass().await.numbers.looked_at, 1, "it has other tags");
    assert_eq!(timed.pass().await.numbers.looked_at, 0);
    timed.days_pass(7);
    assert!(timed.pass().await.numbers.looked_at > 10_300, "each seventh day, all of them");
}

fn id(number: u64) -> strongroom_catalog::VersionId {
    let mut id = [7; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    strongroom_catalog::VersionId(id)
}

async fn bucket_id(rig: &Rig) -> strongroom_catalog::BucketId {
    rig.catalog.bucket(BUCKET).await.unwrap().unwrap().id
}

#[tokio::test]
async fn a_version_that_becomes_current_again_and_new_tags_are_found_by_the_next_pass() {
    let timed = Timed::new(true).await;
    timed.versioned().await;
    let hidden = timed.rig.put("object", As::S3, b"data").await.version_id.unwrap();
    let tagged = LifecycleFilter { tags: own(&[("a", "b")]), ..LifecycleFilter::default() };
    timed.rules(BUCKET, vec![expiring(1, tagged)]).await;
    timed.days_pass(2);
    assert_eq!(timed.pass().await.numbers.expired, 0);
    let named = ObjectVersion { bucket: BUCKET.into(), key: "object".into(), version_id: Some(hidden) };
    timed.rig.engine.set_object_tags(&timed.rig.root, &named, own(&[("a", "b")])).await.unwrap();
    assert_eq!(timed.pass().await.numbers.expired, 1);
    let marker = timed.rig.versions_of(BUCKET).await[0].version_id.clone();
    let condition = DeleteCondition::default();
    timed.rig.engine.delete_object(&timed.rig.root, BUCKET, "object", Some(marker), condition, false).await.unwrap();
    assert_eq!(timed.pass().await.numbers.expired, 1, "restored, it is as old as before");
}

#[tokio::test]
async fn a_bucket_of_another_name_is_left_alone() {
    let timed = Timed::new(true).await;
    let other = CreateBucket { name: "another".into(), ..CreateBucket::default() };
    timed.rig.engine.create_bucket(&timed.rig.root, other).await.unwrap();
    timed.rig.put("object", As::S3, b"data").await;
    timed.rules("another", vec![expiring(1, prefix(""))]).await;
    timed.days_pass(9);
    assert_eq!(timed.pass().await.numbers.expired, 0);
    assert_eq!(timed.keys().await, ["object"]);
}
