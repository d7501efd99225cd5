//! No sequence of operations frees a version that is locked, whichever way the clock moves.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use proptest::prelude::*;
use strongroom_catalog::Clock;
use strongroom_engine::{
    Error,
    api::{
        Attributes, DefaultLock, DeleteCondition, EventHold, ObjectLock, Period, Retention, RetentionChange, RetentionMode,
        VersioningStatus,
    },
};

use super::locks::{HOUR, LOCKED, now, put_locked, version, with_locked_bucket};
use crate::common::*;

const KEY_NAME: &str = "object";
const MAX_VERSIONS: usize = 4;

#[derive(Clone, Debug)]
enum Op {
    Put(ObjectLock),
    Retain {
        at: usize,
        change: RetentionChange,
        bypass: bool,
    },
    LegalHold {
        at: usize,
        on: bool,
    },
    Tag {
        at: usize,
    },
    Delete {
        at: usize,
        bypass: bool,
    },
    DeleteLatest,
    DeleteNull {
        bypass: bool,
    },
    Suspend,
    Default(DefaultLock),
    /// The catalog's clock, in hours from now.
    Clock(i64),
}

fn mode() -> impl Strategy<Value = RetentionMode> {
    prop_oneof![3 => Just(RetentionMode::Governance), 1 => Just(RetentionMode::Compliance)]
}

/// In hours from now, within reach of the clock.
fn retention() -> impl Strategy<Value = Retention> {
    (mode(), 1..40_i64).prop_map(|(mode, hours)| Retention { mode, until_ms: now() + hours * HOUR })
}

fn hold() -> impl Strategy<Value = EventHold> {
    any::<bool>().prop_map(|on| EventHold { on, period: on.then_some(Period::Days(1)) })
}

fn lock() -> impl Strategy<Value = ObjectLock> {
    let hold = prop::option::weighted(0.2, hold());
    let parts = (prop::option::of(retention()), prop::option::weighted(0.3, any::<bool>()), hold);
    parts.prop_map(|(retention, legal_hold, event_hold)| ObjectLock { retention, legal_hold, event_hold })
}

fn change() -> impl Strategy<Value = RetentionChange> {
    prop_oneof![
        4 => retention().prop_map(|to| RetentionChange { mode: Some(to.mode), until_ms: Some(to.until_ms), event_hold: None }),
        2 => hold().prop_map(|hold| RetentionChange { event_hold: Some(hold), ..RetentionChange::default() }),
        1 => Just(RetentionChange::default()),
    ]
}

fn default_lock() -> impl Strategy<Value = DefaultLock> {
    prop::option::of((mode(), (1..3_u32).prop_map(Period::Days))).prop_map(|retention| DefaultLock { retention, event_hold: None })
}

fn op() -> impl Strategy<Value = Op> {
    let at = || 0..MAX_VERSIONS;
    prop_oneof![
        3 => lock().prop_map(Op::Put),
        4 => (at(), change(), any::<bool>()).prop_map(|(at, change, bypass)| Op::Retain { at, change, bypass }),
        2 => (at(), any::<bool>()).prop_map(|(at, on)| Op::LegalHold { at, on }),
        1 => at().prop_map(|at| Op::Tag { at }),
        6 => (at(), any::<bool>()).prop_map(|(at, bypass)| Op::Delete { at, bypass }),
        1 => Just(Op::DeleteLatest),
        1 => any::<bool>().prop_map(|bypass| Op::DeleteNull { bypass }),
        1 => Just(Op::Suspend),
        1 => default_lock().prop_map(Op::Default),
        3 => (0..60_i64).prop_map(Op::Clock),
    ]
}

struct Run {
    rig: Rig,
    clock: Arc<AtomicI64>,
    versions: Vec<String>,
}

/// Whether the lock keeps a version from being deleted, by the words of S3.
fn holds(lock: &ObjectLock, now_ms: i64, bypass: bool) -> bool {
    let retained = lock.retention.is_some_and(|retention| {
        let passed_over = bypass && retention.mode == RetentionMode::Governance;
        now_ms < retention.until_ms && !passed_over
    });
    retained || lock.legal_hold == Some(true) || lock.event_hold.is_some_and(|hold| hold.on)
}

impl Run {
    async fn new(sqlite: bool) -> Self {
        let clock = Arc::new(AtomicI64::new(now()));
        let read = Arc::clone(&clock);
        let plan = Plan { sqlite, clock: Clock::new(move || read.load(Ordering::SeqCst)), ..Plan::default() };
        Self { rig: with_locked_bucket(Rig::with(plan).await).await, clock, versions: Vec::new() }
    }

    async fn lock_of(&self, id: &str) -> ObjectLock {
        self.rig.lock_of(KEY_NAME, id).await.unwrap()
    }

    async fn apply(&mut self, op: Op) {
        match op {
            Op::Put(lock) if self.versions.len() < MAX_VERSIONS => {
                let request = put_locked(KEY_NAME, Attributes { lock, ..Attributes::default() }, b"data");
                self.versions.push(self.rig.engine.put_object(&self.rig.root, request).await.unwrap().version_id.unwrap());
            }
            Op::Put(_) => {}
            Op::Retain { at, change, bypass } => self.retain(at, change, bypass).await,
            Op::LegalHold { at, on } => {
                let Some(id) = self.versions.get(at) else { return };
                self.rig.engine.set_legal_hold(&self.rig.root, &version(KEY_NAME, id), on).await.unwrap();
                assert_eq!(self.lock_of(id).await.legal_hold, Some(on));
            }
            Op::Tag { at } => {
                let Some(id) = self.versions.get(at) else { return };
                let before = self.lock_of(id).await;
                let tags = vec![("a".to_owned(), "1".to_owned())];
                self.rig.engine.set_object_tags(&self.rig.root, &version(KEY_NAME, id), tags).await.unwrap();
                assert_eq!(self.lock_of(id).await, before, "tags change no lock");
            }
            Op::Delete { at, bypass } => self.delete(at, bypass).await,
            Op::DeleteLatest => self.rig.delete_locked(KEY_NAME, None, false).await.unwrap(),
            Op::DeleteNull { bypass } => {
                // There is none: the bucket was versioned from the start.
                let null = self.rig.engine.delete_object(
                    &self.rig.root,
                    LOCKED,
                    KEY_NAME,
                    Some("null".into()),
                    DeleteCondition::default(),
                    bypass,
                );
                assert_eq!(null.await.unwrap().version_id.as_deref(), None);
            }
            Op::Suspend => {
                let suspended = self.rig.engine.set_bucket_versioning(LOCKED, VersioningStatus::Suspended).await;
                assert!(matches!(suspended, Err(Error::InvalidBucketState(_))));
            }
            Op::Default(default) => self.rig.engine.set_object_lock_configuration(&self.rig.root, LOCKED, default).await.unwrap(),
            Op::Clock(hours) => self.clock.store(now() + hours * HOUR, Ordering::SeqCst),
        }
        for id in &self.versions {
            self.lock_of(id).await;
        }
    }

    /// A change is refused, or leaves nothing less than there was, unless a retention in governance mode is bypassed or a hold released.
    async fn retain(&self, at: usize, change: RetentionChange, bypass: bool) {
        let Some(id) = self.versions.get(at) else { return };
        let before = self.lock_of(id).await;
        let changed = self.rig.engine.change_retention(&self.rig.root, &version(KEY_NAME, id), &change, bypass).await;
        let after = self.lock_of(id).await;
        match changed {
            Err(Error::ObjectLocked) => assert_eq!(after, before, "{change:?}"),
            Err(error) => panic!("{change:?}: {error:?}"),
            Ok(()) => assert!(bypass || !is_weaker(&before, &after, change.event_hold), "{before:?} {change:?} {after:?}"),
        }
        if let Some(present) = before.retention.filter(|present| present.mode == RetentionMode::Compliance) {
            let next = after.retention.unwrap();
            assert!(next.mode == RetentionMode::Compliance && next.until_ms >= present.until_ms, "{before:?} {after:?}");
        }
        assert_eq!(after.legal_hold, before.legal_hold);
    }

    async fn delete(&mut self, at: usize, bypass: bool) {
        let Some(id) = self.versions.get(at).cloned() else { return };
        let held = holds(&self.lock_of(&id).await, self.clock.load(Ordering::SeqCst), bypass);
        match self.rig.delete_locked(KEY_NAME, Some(&id), bypass).await {
            Err(Error::ObjectLocked) => assert!(held, "it was not locked"),
            Ok(()) => {
                assert!(!held, "a locked version was freed");
                self.versions.remove(at);
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

fn is_weaker(before: &ObjectLock, after: &ObjectLock, hold: Option<EventHold>) -> bool {
    let until = |lock: &ObjectLock| lock.retention.map_or(0, |retention| retention.until_ms);
    let hold_is_lost = before.event_hold.is_some_and(|hold| hold.on) && !after.event_hold.is_some_and(|hold| hold.on);
    let was_released = hold.is_some_and(|hold| !hold.on);
    until(after) < until(before) || (hold_is_lost && !was_released)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_operation_frees_a_locked_version(ops in prop::collection::vec(op(), 1..60), sqlite in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut run = Run::new(sqlite).await;
            for op in ops {
                run.apply(op).await;
            }
        });
    }
}
