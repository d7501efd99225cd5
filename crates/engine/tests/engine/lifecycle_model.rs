//! Passes against a model of a few lines: whatever was put, tagged, deleted, locked or restored before, and however far the clock has moved,
//! a pass deletes exactly what the rules say.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use proptest::prelude::*;
use strongroom_engine::{
    api::{
        Attributes, CreateBucket, DeleteCondition, ListUploads, ListedVersion, ObjectLock, ObjectVersion, PutObject, Retention,
        RetentionMode, VersioningStatus,
    },
    lifecycle::{Expiration, LifecycleFilter, LifecycleRule, NoncurrentExpiration},
    rekey::JobState,
};

use super::lifecycle::{DAY_MS, Timed, noon, own, rule, timed_plan};
use crate::common::*;

const KEYS: [&str; 4] = ["a", "a/1", "a/2", "b"];
const TAGS: [(&str, &str); 2] = [("k", "1"), ("k", "2")];
const NAME: &str = "modelled";

#[derive(Clone, Debug)]
enum Op {
    Put { key: usize, len: usize, tag: usize, locked_days: i64 },
    Delete { key: usize },
    DeleteVersion { at: usize },
    Tag { at: usize, tag: usize },
    Upload { key: usize },
    Versioning(bool),
    Rules(Vec<LifecycleRule>),
    Clock(i64),
    Pass,
}

fn filter() -> impl Strategy<Value = LifecycleFilter> {
    prop_oneof![
        Just(LifecycleFilter::default()),
        (0..KEYS.len()).prop_map(|key| LifecycleFilter { prefix: Some(KEYS[key].into()), ..LifecycleFilter::default() }),
        (0..TAGS.len()).prop_map(|tag| LifecycleFilter { tags: own(&TAGS[tag..=tag]), ..LifecycleFilter::default() }),
        Just(LifecycleFilter { larger_than: Some(50), ..LifecycleFilter::default() }),
        Just(LifecycleFilter { smaller_than: Some(50), prefix: Some("a".into()), ..LifecycleFilter::default() }),
    ]
}

fn one_rule() -> impl Strategy<Value = LifecycleRule> {
    let expiration = prop_oneof![
        2 => Just(None),
        4 => (1..4_i64).prop_map(|days| Some(Expiration::Days(days))),
        1 => (-3..6_i64).prop_map(|days| Some(Expiration::Date(noon() - DAY_MS / 2 + days * DAY_MS))),
        2 => Just(Some(Expiration::MarkersAlone(true))),
    ];
    let noncurrent = prop::option::of((1..3_i64, prop::option::weighted(0.4, 1..3_i64)));
    (filter(), expiration, noncurrent, prop::option::weighted(0.3, 1..3_i64), prop::bool::weighted(0.9)).prop_map(
        |(filter, mut expiration, noncurrent, mut abort_days, enabled)| {
            if !filter.tags.is_empty() || filter.larger_than.is_some() || filter.smaller_than.is_some() {
                abort_days = None;
                expiration = expiration.filter(|expiration| !matches!(expiration, Expiration::MarkersAlone(_)));
            }
            let noncurrent = noncurrent.map(|(days, newer_kept)| NoncurrentExpiration { days, newer_kept });
            let none = expiration.is_none() && noncurrent.is_none() && abort_days.is_none();
            let expiration = if none { Some(Expiration::Days(1)) } else { expiration };
            LifecycleRule { enabled, expiration, noncurrent, abort_days, ..rule("", filter) }
        },
    )
}

fn op() -> impl Strategy<Value = Op> {
    let (key, tag) = (|| 0..KEYS.len(), || 0..=TAGS.len());
    prop_oneof![
        8 => (key(), prop_oneof![Just(10_usize), Just(90)], tag(), prop_oneof![3 => Just(0_i64), 1 => 1..5_i64])
            .prop_map(|(key, len, tag, locked_days)| Op::Put { key, len, tag, locked_days }),
        2 => key().prop_map(|key| Op::Delete { key }),
        2 => (0..12_usize).prop_map(|at| Op::DeleteVersion { at }),
        2 => (0..12_usize, tag()).prop_map(|(at, tag)| Op::Tag { at, tag }),
        1 => key().prop_map(|key| Op::Upload { key }),
        2 => any::<bool>().prop_map(Op::Versioning),
        3 => prop::collection::vec(one_rule(), 1..4).prop_map(Op::Rules),
        4 => (-1..3_i64).prop_map(Op::Clock),
        5 => Just(Op::Pass),
    ]
}

/// A version as the model knows it.
#[derive(Clone, Debug)]
struct Known {
    listed: ListedVersion,
    tags: Vec<(String, String)>,
    locked_until: i64,
}

struct Run {
    timed: Timed,
    has_locks: bool,
    rules: Vec<LifecycleRule>,
    locks: BTreeMap<String, i64>,
}

/// The midnight at which so many days are over.
fn over(from: i64, days: i64) -> i64 {
    let end = from + days * DAY_MS;
    (end + DAY_MS - 1) / DAY_MS * DAY_MS
}

fn meant(filter: &LifecycleFilter, key: &str, len: u64, tags: &[(String, String)]) -> bool {
    let len = i64::try_from(len).unwrap();
    key.starts_with(filter.prefix.as_deref().unwrap_or(""))
        && filter.tags.iter().all(|tag| tags.contains(tag))
        && filter.larger_than.is_none_or(|than| len > than)
        && filter.smaller_than.is_none_or(|than| len < than)
}

impl Run {
    fn now(&self) -> i64 {
        self.timed.clock.load(Ordering::SeqCst)
    }

    async fn known(&self) -> Vec<Known> {
        let mut known = Vec::new();
        for listed in self.timed.rig.versions_of(NAME).await {
            let named = ObjectVersion { bucket: NAME.into(), key: listed.key.clone(), version_id: Some(listed.version_id.clone()) };
            let tags = match listed.object {
                Some(_) => self.timed.rig.engine.object_tags(&self.timed.rig.root, &named).await.unwrap().0,
                None => Vec::new(),
            };
            let locked_until = self.locks.get(&listed.version_id).copied().unwrap_or(i64::MIN);
            known.push(Known { listed, tags, locked_until });
        }
        known
    }

    /// What is left after a pass: the versions, and the keys whose current version went under a new marker, or away.
    fn expected(&self, known: &[Known], is_versioned: Option<bool>) -> (BTreeSet<(String, String)>, BTreeSet<String>) {
        let (now, mut left, mut marked) = (self.now(), BTreeSet::new(), BTreeSet::new());
        let rules = || self.rules.iter().filter(|rule| rule.enabled);
        let name = |known: &Known| (known.listed.key.clone(), known.listed.version_id.clone());
        for key in KEYS {
            let versions: Vec<&Known> = known.iter().filter(|known| known.listed.key == key).collect();
            let Some(latest) = versions.first() else { continue };
            let mut kept = Vec::new();
            for (at, version) in versions.iter().enumerate().skip(1) {
                let len = version.listed.object.as_ref().map_or(0, |object| object.size_bytes);
                let goes = rules().any(|rule| {
                    rule.noncurrent.is_some_and(|noncurrent| {
                        meant(&rule.filter, key, len, &version.tags)
                            && now >= over(versions[at - 1].listed.modified_ms, noncurrent.days)
                            && noncurrent.newer_kept.is_none_or(|kept| i64::try_from(at).unwrap() > kept)
                    })
                });
                if !goes || version.locked_until > now {
                    kept.push(name(version));
                }
            }
            let is_past = latest.listed.modified_ms <= now;
            let expires = latest.listed.object.as_ref().is_some_and(|object| {
                is_past
                    && rules().any(|rule| {
                        let due = match rule.expiration {
                            Some(Expiration::Days(days)) => now >= over(latest.listed.modified_ms, days),
                            Some(Expiration::Date(at)) => now >= at,
                            _ => false,
                        };
                        due && meant(&rule.filter, key, object.size_bytes, &latest.tags)
                    })
            });
            let goes_alone = is_past
                && latest.listed.object.is_none()
                && kept.is_empty()
                && rules().any(|rule| {
                    let f = &rule.filter;
                    let plain = f.tags.is_empty() && f.larger_than.is_none() && f.smaller_than.is_none();
                    let due = match rule.expiration {
                        Some(Expiration::MarkersAlone(on)) => on,
                        Some(Expiration::Days(days)) => now >= over(latest.listed.modified_ms, days),
                        Some(Expiration::Date(at)) => now >= at,
                        None => false,
                    };
                    due && plain && meant(f, key, 0, &[])
                });
            let is_null = latest.listed.version_id == "null";
            if expires {
                if is_versioned.is_some() {
                    marked.insert(key.to_owned());
                }
                // With versions it stays below its marker. Suspended, the marker is the null version: one that is below goes as well.
                match is_versioned {
                    Some(true) => kept.push(name(latest)),
                    Some(false) => {
                        kept.retain(|(_, id)| id != "null");
                        if !is_null {
                            kept.push(name(latest));
                        }
                    }
                    None => {}
                }
            } else if !goes_alone {
                kept.push(name(latest));
            }
            left.extend(kept);
        }
        (left, marked)
    }

    async fn pass(&self) {
        let known = self.known().await;
        let status = self.timed.rig.engine.bucket_versioning(NAME).await.unwrap();
        let is_versioned = status.map(|status| status == VersioningStatus::Enabled);
        let (left, marked) = self.expected(&known, is_versioned);
        let uploads = self.uploads().await;
        let aborted = |(key, at): &(String, i64)| {
            let due = |rule: &LifecycleRule| rule.abort_days.is_some_and(|days| self.now() >= over(*at, days));
            self.rules.iter().any(|rule| rule.enabled && key.starts_with(rule.filter.prefix.as_deref().unwrap_or("")) && due(rule))
        };
        let uploads: Vec<_> = uploads.into_iter().filter(|upload| !aborted(upload)).collect();

        let pass = self.timed.pass().await;
        assert_eq!(pass.state, JobState::Completed, "{pass:?}");
        let before: BTreeSet<String> = known.iter().map(|known| known.listed.version_id.clone()).collect();
        let (mut found, mut new_markers) = (BTreeSet::new(), BTreeSet::new());
        for listed in self.timed.rig.versions_of(NAME).await {
            let is_new = listed.object.is_none() && listed.is_latest && marked.contains(&listed.key);
            if is_new && (!before.contains(&listed.version_id) || listed.version_id == "null") {
                new_markers.insert(listed.key);
            } else {
                found.insert((listed.key, listed.version_id));
            }
        }
        assert_eq!((found, new_markers), (left, marked), "{known:?} by {:?} at {}", self.rules, self.now());
        assert_eq!(self.uploads().await, uploads);
    }

    async fn uploads(&self) -> Vec<(String, i64)> {
        let list = ListUploads { bucket: NAME.into(), limit: 1000, ..ListUploads::default() };
        let page = self.timed.rig.engine.list_multipart_uploads(list).await.unwrap();
        let item = |entry| match entry {
            strongroom_engine::api::ListEntry::Item(upload) => Some(upload),
            strongroom_engine::api::ListEntry::Prefix(_) => None,
        };
        page.entries.into_iter().filter_map(item).map(|upload| (upload.key, upload.initiated_ms)).collect()
    }

    async fn apply(&mut self, op: Op) {
        let (engine, root) = (&self.timed.rig.engine, &self.timed.rig.root);
        match op {
            Op::Put { key, len, tag, locked_days } => {
                let tags = own(TAGS.get(tag..=tag).unwrap_or(&[]));
                let until_ms = self.now() + locked_days * DAY_MS;
                // The store's own clock decides whether a lock may be given, so it ends after the present.
                let is_locked = self.has_locks && locked_days > 0 && until_ms > super::locks::now() + 60_000;
                let retention = Retention { mode: RetentionMode::Compliance, until_ms };
                let lock =
                    if is_locked { ObjectLock { retention: Some(retention), ..ObjectLock::default() } } else { ObjectLock::default() };
                let attributes = Attributes { tags, lock, acl: None };
                let request = PutObject { bucket: NAME.into(), attributes, ..put_request(KEYS[key], As::S3.write(), &data(len, 1)) };
                let stored = engine.put_object(root, request).await.unwrap();
                if is_locked {
                    self.locks.insert(stored.version_id.unwrap(), until_ms);
                }
            }
            Op::Delete { key } => {
                drop(engine.delete_object(root, NAME, KEYS[key], None, DeleteCondition::default(), false).await.unwrap());
            }
            Op::DeleteVersion { at } => {
                let versions = self.timed.rig.versions_of(NAME).await;
                let Some(found) = versions.get(at) else { return };
                let id = Some(found.version_id.clone());
                // A locked one stays.
                let _ = engine.delete_object(root, NAME, &found.key, id, DeleteCondition::default(), false).await;
            }
            Op::Tag { at, tag } => {
                let versions = self.timed.rig.versions_of(NAME).await;
                let Some(found) = versions.get(at).filter(|found| found.object.is_some()) else { return };
                let named = ObjectVersion { bucket: NAME.into(), key: found.key.clone(), version_id: Some(found.version_id.clone()) };
                engine.set_object_tags(root, &named, own(TAGS.get(tag..=tag).unwrap_or(&[]))).await.unwrap();
            }
            Op::Upload { key } => {
                let request =
                    strongroom_engine::api::CreateMultipartUpload { bucket: NAME.into(), ..create_request(KEYS[key], As::S3.write()) };
                engine.create_multipart_upload(root, request).await.unwrap();
            }
            Op::Versioning(on) => {
                let status = if on { VersioningStatus::Enabled } else { VersioningStatus::Suspended };
                let _ = engine.set_bucket_versioning(NAME, status).await;
            }
            Op::Rules(rules) => {
                self.timed.rules(NAME, rules.clone()).await;
                self.rules = rules;
            }
            Op::Clock(days) => self.timed.days_pass(days),
            Op::Pass => self.pass().await,
        }
    }
}

fn run(sqlite: bool, has_locks: bool, ops: Vec<Op>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let clock = Arc::new(AtomicI64::new(noon()));
        let rig = Rig::with(timed_plan(&clock, sqlite)).await;
        let create = CreateBucket { name: NAME.into(), object_lock: has_locks, ..CreateBucket::default() };
        rig.engine.create_bucket(&rig.root, create).await.unwrap();
        let mut run = Run { timed: Timed { rig, clock }, has_locks, rules: Vec::new(), locks: BTreeMap::new() };
        for op in ops {
            run.apply(op).await;
        }
        run.pass().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn a_pass_deletes_exactly_what_the_rules_say(has_locks in any::<bool>(), ops in prop::collection::vec(op(), 1..40)) {
        run(false, has_locks, ops);
    }

    #[test]
    fn over_the_real_catalog_too(has_locks in any::<bool>(), ops in prop::collection::vec(op(), 1..40)) {
        run(true, has_locks, ops);
    }
}
