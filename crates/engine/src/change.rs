//! Changes of a version whose bytes stay: of its keys, its lock, its tags or its ACL.

use std::sync::Arc;

use strongroom_access::Acl;
use strongroom_catalog::{BucketId, Catalog, CatalogError, Envelope, Lock, Version, VersionChange};

use crate::{
    Engine, Error,
    api::{Bucket, Caller, ObjectVersion, Tag},
    commit::Permits,
    events::EventName,
    ids,
    lock::Locked,
    lock_acts::LockAct,
    ops::{FoundData, check_seen},
    record::{ObjectRecord, VersionBinding, open_part_checksums, seal_part_checksums},
};

/// How often a change looks again after another change came between.
pub(crate) const MAX_ATTEMPTS: usize = 16;

/// What can be changed of a version beside its keys.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Changeable {
    pub(crate) locked: Locked,
    pub(crate) tags: Vec<Tag>,
    pub(crate) acl: Option<Box<Acl>>,
}

impl Engine {
    /// Changes a version, and answers its id as clients see it. `change` is asked again, with the version as it is by then, where another
    /// change came between: so of two changes at once neither is lost. The keys stay, so no right to them is needed. A change of the lock is
    /// recorded.
    pub(crate) async fn change_version(
        &self,
        caller: &Caller,
        named: &ObjectVersion,
        event: Option<EventName>,
        change: impl Fn(&Bucket, Changeable) -> Result<Changeable, Error> + Send + Sync,
    ) -> Result<Option<String>, Error> {
        for _ in 0..MAX_ATTEMPTS {
            let owner = caller.expected_owner.as_deref();
            let data = self.find_data(owner, &named.bucket, &named.key, named.version_id.as_deref()).await?;
            let FoundData { found, part_record, .. } = data;
            check_seen(caller.seen.object, &found)?;
            let present = Changeable { locked: found.locked(), tags: found.record.tags.clone(), acl: found.record.acl.clone() };
            let place = (named.key.as_str(), found.version.version_id);
            let next = change(&found.bucket, present.clone());
            let next = self.refusal_on_record(caller, &found.bucket, place, &present.locked, next).await?;
            let shown = ids::shown(found.bucket.versioning, &found.version);
            if next == present {
                return Ok(shown);
            }
            let record = ObjectRecord { tags: next.tags, lock: next.locked.recorded, acl: next.acl, ..found.record };
            let envelope = found.version.envelope.clone().ok_or_else(|| Error::Integrity("it has no envelope".into()))?;
            let change = self.version_change(found.bucket.id, &found.version, &part_record, &record, envelope, next.locked.lock);
            let mut change = change.map_err(|error| self.integrity().note(error, &named.bucket, &named.key))?;
            if let Some(event) = event {
                change.event = self.event_of_tags(caller, &found.bucket, event, &found.version, &record.etag.shown).await?;
            }
            let event = change.event.clone();
            let act = LockAct::of_version(caller, &found.bucket, place, [&present.locked, &next.locked]);
            let strengthens = next.locked.is_stronger_than(&present.locked);
            let permits = if strengthens { self.admit_lock(&change.envelope).await? } else { Permits::of_no_key() };
            let commit = |catalog: Arc<dyn Catalog>| self.ringing(event, async move { catalog.change_version(change).await });
            match self.on_record(act, permits, commit).await? {
                // Somebody was faster: what is there now is meant.
                Err(CatalogError::PreconditionFailed | CatalogError::NoSuchVersion) => {}
                other => {
                    self.look_again_at(&found.bucket, &named.key);
                    return self.settled(other).await.map(|()| shown);
                }
            }
        }
        Err(Error::ConditionalConflict)
    }

    /// Begins a commit that puts a lock on a version under this envelope. A lock promises that the version can be read until it ends, so none
    /// is put on what a key on its way out would take along. A key that is only disabled or sealed comes back.
    async fn admit_lock(&self, envelope: &Envelope) -> Result<Permits, Error> {
        let Some(key) = &envelope.key else { return Ok(Permits::of_no_key()) };
        Ok(Permits::of(self.kms().begin_lock(&key.backend, &key.key_id).await?))
    }

    /// A change of `version`, which has the envelope, the lock and the record from now on. What is bound to them is sealed anew.
    pub(crate) fn version_change(
        &self,
        bucket_id: BucketId,
        version: &Version,
        part_record: &[u8],
        record: &ObjectRecord,
        envelope: Envelope,
        lock: Lock,
    ) -> Result<VersionChange, Error> {
        let present = VersionBinding::of(bucket_id, version);
        let part_checksums = open_part_checksums(self.store_key(), &present, part_record)?;
        let new = VersionBinding { mode: envelope.mode, kms_key: envelope.key.as_ref(), lock, ..present };
        Ok(VersionChange {
            bucket_id,
            key: version.key.clone(),
            version_id: version.version_id,
            seen: version.revision,
            lock,
            record: record.seal(self.store_key(), &new)?,
            part_record: seal_part_checksums(self.store_key(), &new, &part_checksums)?,
            envelope,
            event: None,
        })
    }
}
