//! The model test's tags and locks.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use strongroom_catalog::Clock;
use strongroom_engine::{
    Error,
    api::{self, DefaultLock, ObjectLock, ObjectVersion, Period, Retention, RetentionChange, RetentionMode, Tag, TagsOfCopy},
};

use super::{
    locks::{HOUR, now},
    model::{World, count},
    model_ops::{BUCKETS, Given, KEYS, LOCKABLE, Pick, Place},
    model_state::{Attributes, Change, Object, Version},
};

const DAY: i64 = 24 * HOUR;

/// What time it is: for the catalog, which keeps what is locked, and for the engine, whose clock is the system's.
pub struct Clockwork {
    began_ms: i64,
    pub step_began_ms: i64,
    of_catalog: Arc<AtomicI64>,
    /// What new versions where they can be locked get: in days.
    default: Option<(RetentionMode, u32)>,
}

impl Clockwork {
    pub fn new() -> Self {
        // In the past for the catalog, so that what dies can be swept at once.
        Self { began_ms: now() / 1000 * 1000, step_began_ms: 0, of_catalog: Arc::new(AtomicI64::new(0)), default: None }
    }

    pub fn of_catalog(&self) -> Clock {
        let clock = Arc::clone(&self.of_catalog);
        Clock::new(move || clock.load(Ordering::SeqCst))
    }

    pub fn now_ms(&self) -> i64 {
        self.of_catalog.load(Ordering::SeqCst)
    }

    /// Half an hour after the full one, so that it is not in doubt which retentions have ended.
    pub fn set(&self, hours: Option<u8>) {
        self.of_catalog.store(hours.map_or(0, |hours| self.until_ms(hours) + HOUR / 2), Ordering::SeqCst);
    }

    pub fn outlive_all(&self) {
        self.of_catalog.store(self.began_ms + 100 * DAY, Ordering::SeqCst);
    }

    fn until_ms(&self, hours: u8) -> i64 {
        self.began_ms + i64::from(hours) * HOUR
    }

    fn retention(&self, (mode, hours): (RetentionMode, u8)) -> Retention {
        Retention { mode, until_ms: self.until_ms(hours) }
    }
}

/// What a request says of them.
pub fn request_of(attributes: &Attributes) -> api::Attributes {
    let lock = ObjectLock { retention: attributes.retention, legal_hold: attributes.hold.then_some(true), event_hold: None };
    api::Attributes { tags: attributes.tags.clone(), lock, acl: None }
}

fn tags(count: u8) -> Vec<Tag> {
    (0..count).map(|number| (format!("tag {number}"), format!("of {count}"))).collect()
}

impl World {
    /// What a new version gets there.
    pub fn given(&self, at: Place, given: Given) -> Attributes {
        let retention = given.retention.filter(|_| at.bucket == LOCKABLE).map(|retention| self.clockwork.retention(retention));
        Attributes { tags: tags(given.tags), retention, hold: given.hold && at.bucket == LOCKABLE }
    }

    /// What a copy gets, and what its request says for that. It keeps the tags unless it gets others, and never the lock.
    pub fn given_to_copy(&self, source: Option<&Object>, to: Place, given: Option<Given>) -> (Attributes, TagsOfCopy, ObjectLock) {
        let Some(given) = given else {
            let tags = source.map(|source| source.attributes.tags.clone()).unwrap_or_default();
            return (Attributes { tags, ..Attributes::default() }, TagsOfCopy::Keep { permitted: true }, ObjectLock::default());
        };
        let attributes = self.given(to, given);
        let api::Attributes { tags, lock, acl: _ } = request_of(&attributes);
        (attributes, TagsOfCopy::Replace(tags), lock)
    }

    /// The change, where it adds a version that gets the bucket's default: with the retention that the newest version has where that is due.
    pub async fn with_default(&self, at: Place, change: &Change, newest: &str) -> Change {
        let (Change::Add(Some(object)), Some((mode, days)), LOCKABLE) = (change, self.clockwork.default, at.bucket) else {
            return change.clone();
        };
        if object.attributes.retention.is_some() {
            return change.clone();
        }
        let lock = self.rig.engine.object_lock(&self.rig.root, &version(at, Some(newest))).await;
        let due = self.clockwork.step_began_ms..=now();
        let is_due = |retention: &Retention| retention.mode == mode && due.contains(&(retention.until_ms - i64::from(days) * DAY));
        let found = lock.ok().and_then(|lock| lock.retention).filter(is_due);
        count(&self.tally.by_default, found.is_some());
        // What has another retention, or none, is not what it must be.
        let retention = found.unwrap_or(Retention { mode, until_ms: 0 });
        let attributes = Attributes { retention: Some(retention), ..object.attributes.clone() };
        Change::Add(Some(Object { attributes, ..object.clone() }))
    }

    pub async fn set_default_lock(&mut self, retention: Option<(RetentionMode, u32)>) {
        let bucket = BUCKETS[LOCKABLE];
        let default = DefaultLock { retention: retention.map(|(mode, days)| (mode, Period::Days(days))), event_hold: None };
        let result = self.rig.engine.set_object_lock_configuration(&self.rig.root, bucket, default).await;
        let succeeded = self.check(result).is_some();
        self.heal();
        let present = self.rig.engine.object_lock_configuration(bucket).await.unwrap();
        let present = present.retention.map(|(mode, period)| match period {
            Period::Days(days) => (mode, days),
            Period::Years(years) => panic!("{years} years"),
        });
        assert!(present == retention || (present == self.clockwork.default && !succeeded), "{present:?}");
        self.clockwork.default = present;
    }

    /// As the store tells them.
    pub async fn attributes_of(&self, at: Place, version_id: Option<&str>) -> Attributes {
        let (engine, root, named) = (&self.rig.engine, &self.rig.root, version(at, version_id));
        let (tags, _) = engine.object_tags(root, &named).await.unwrap();
        if at.bucket != LOCKABLE {
            return Attributes { tags, ..Attributes::default() };
        }
        let ObjectLock { retention, legal_hold, event_hold } = engine.object_lock(root, &named).await.unwrap();
        assert_eq!(event_hold, None);
        Attributes { tags, retention, hold: legal_hold == Some(true) }
    }

    pub async fn tag(&mut self, at: Place, which: Pick, count_of_tags: u8) {
        let (engine, root) = (&self.rig.engine, &self.rig.root);
        let (version_id, _) = self.named(at, which);
        let (named, new) = (version(at, version_id.as_deref()), tags(count_of_tags));
        let result = match count_of_tags {
            0 => engine.clear_object_tags(root, &named).await,
            _ => engine.set_object_tags(root, &named, new.clone()).await,
        };
        let tagged = result.is_ok();
        self.changed(at, version_id, result.map(drop), |present| Attributes { tags: new, ..present }).await;
        count(&self.tally.tagged, tagged);
    }

    /// A retention may always be made longer. One in governance mode may with the bypass be made shorter, removed, and put into the other mode.
    pub async fn retain(&mut self, at: Place, which: Pick, retention: Option<(RetentionMode, u8)>, bypass: bool) {
        let (version_id, object) = self.named(at, which);
        let new = retention.map(|retention| self.clockwork.retention(retention));
        let (mode, until_ms) = (new.map(|new| new.mode), new.map(|new| new.until_ms));
        let change = RetentionChange { mode, until_ms, event_hold: None };
        let result = self.rig.engine.change_retention(&self.rig.root, &version(at, version_id.as_deref()), &change, bypass).await;
        if let Some(present) = object.and_then(|object| object.attributes.retention) {
            let is_weaker = new.is_none_or(|new| new.until_ms < present.until_ms || new.mode != present.mode);
            if is_weaker && !(bypass && present.mode == RetentionMode::Governance) {
                return self.must_be_kept(at, result).await;
            }
        }
        let locked = result.is_ok();
        self.changed(at, version_id, result, |present| Attributes { retention: new, ..present }).await;
        count(&self.tally.locked, locked);
    }

    pub async fn hold(&mut self, at: Place, which: Pick, on: bool) {
        let (version_id, _) = self.named(at, which);
        let result = self.rig.engine.set_legal_hold(&self.rig.root, &version(at, version_id.as_deref()), on).await;
        let locked = result.is_ok();
        self.changed(at, version_id, result, |present| Attributes { hold: on, ..present }).await;
        count(&self.tally.locked, locked);
    }

    /// A change of an object's attributes, or the error that is due where there is no object.
    async fn changed(
        &mut self,
        at: Place,
        version_id: Option<String>,
        result: Result<(), Error>,
        to: impl FnOnce(Attributes) -> Attributes,
    ) {
        let found = self.state.of(at).find(at.key, version_id.as_deref()).cloned();
        let Some(Version { id, object: Some(object) }) = found else {
            let error = result.unwrap_err();
            assert!(self.is_due(at, version_id.as_deref(), &error), "{error:?}");
            return;
        };
        let attributes = to(object.attributes.clone());
        self.settle(at, Change::Replace(id, Object { attributes, ..object }), result.map(|()| None)).await;
    }

    /// What a lock forbids has not happened, and is refused as such unless something else failed before.
    pub async fn must_be_kept(&mut self, at: Place, result: Result<(), Error>) {
        match result {
            Err(Error::ObjectLocked) => count(&self.tally.kept, true),
            Ok(()) => panic!("{at:?} is locked"),
            error => drop(self.check(error)),
        }
        self.heal();
        assert!(self.holds(at, &self.state.of(at).keys[at.key]).await, "{at:?} is not as before");
    }

    pub async fn lift_hold(&self, bucket: &str, key: &str, version: &Version) {
        if version.object.as_ref().is_some_and(|object| object.attributes.hold) {
            let named = ObjectVersion { bucket: bucket.into(), key: key.into(), version_id: Some(version.id.clone()) };
            self.rig.engine.set_legal_hold(&self.rig.root, &named, false).await.unwrap();
        }
    }
}

fn version(at: Place, version_id: Option<&str>) -> ObjectVersion {
    ObjectVersion { bucket: at.bucket(), key: KEYS[at.key].into(), version_id: version_id.map(str::to_owned) }
}
