//! The model test's tags and locks.

use strongroom_engine::{
    Error,
    api::{self, ObjectLock, ObjectVersion, Retention, RetentionChange, RetentionMode, Tag},
};

use super::{
    locks::HOUR,
    model::{World, count},
    model_ops::{Given, KEYS, LOCKABLE, Pick, Place},
    model_state::{Attributes, Change, Object, Version},
};

/// What a request says of them.
pub fn request_of(attributes: &Attributes) -> api::Attributes {
    let retention = attributes.retained_until_ms.map(|until_ms| Retention { mode: RetentionMode::Governance, until_ms });
    let lock = ObjectLock { retention, legal_hold: attributes.hold.then_some(true), event_hold: None };
    api::Attributes { tags: attributes.tags.clone(), lock }
}

fn tags(count: u8) -> Vec<Tag> {
    (0..count).map(|number| (format!("tag {number}"), format!("of {count}"))).collect()
}

impl World {
    /// What a new version gets there.
    pub fn given(&self, at: Place, given: Given) -> Attributes {
        let until = given.hours.filter(|_| at.bucket == LOCKABLE).map(|hours| self.until_ms(hours));
        Attributes { tags: tags(given.tags), retained_until_ms: until, hold: given.hold && at.bucket == LOCKABLE }
    }

    fn until_ms(&self, hours: u8) -> i64 {
        self.began_ms + i64::from(hours) * HOUR
    }

    /// As the store tells them.
    pub async fn attributes_of(&self, at: Place, version_id: Option<&str>) -> Attributes {
        let (engine, root, named) = (&self.rig.engine, &self.rig.root, version(at, version_id));
        let (tags, _) = engine.object_tags(root, &named).await.unwrap();
        if at.bucket != LOCKABLE {
            return Attributes { tags, ..Attributes::default() };
        }
        let lock = engine.object_lock(root, &named).await.unwrap();
        assert!(lock.event_hold.is_none() && lock.retention.is_none_or(|retention| retention.mode == RetentionMode::Governance));
        let retained_until_ms = lock.retention.map(|retention| retention.until_ms);
        Attributes { tags, retained_until_ms, hold: lock.legal_hold == Some(true) }
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

    /// A retention may always be made longer, and with the bypass made shorter and removed.
    pub async fn retain(&mut self, at: Place, which: Pick, hours: Option<u8>, bypass: bool) {
        let (version_id, object) = self.named(at, which);
        let until_ms = hours.map(|hours| self.until_ms(hours));
        let change = RetentionChange { mode: until_ms.map(|_| RetentionMode::Governance), until_ms, event_hold: None };
        let result = self.rig.engine.change_retention(&self.rig.root, &version(at, version_id.as_deref()), &change, bypass).await;
        let present = object.and_then(|object| object.attributes.retained_until_ms);
        if present.is_some_and(|present| until_ms.is_none_or(|until_ms| until_ms < present)) && !bypass {
            return self.must_be_kept(at, result).await;
        }
        let locked = result.is_ok();
        self.changed(at, version_id, result, |present| Attributes { retained_until_ms: until_ms, ..present }).await;
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
