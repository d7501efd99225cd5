//! DeleteObject.

use std::sync::Arc;

use strongroom_catalog::{Catalog, CatalogError, Deleted, Deletion, VersionSelector, Versioning};

use crate::{
    Engine, Error,
    api::{Caller, DeleteCondition, DeletedObject},
    commit::Permits,
    condition::MAX_ATTEMPTS,
    events::{Cause, Removal},
    ids, limits,
    lock::{self, Locked},
    lock_acts::LockAct,
};

impl Engine {
    /// DeleteObject. Deleting what is not there is no error without a condition. With one it is [`Error::NoSuchKey`] or
    /// [`Error::NoSuchVersion`]: S3 has no error for these, but not every caller may hear that nothing is there.
    /// `bypass` passes over retentions in governance mode; where it had to, that is recorded.
    pub async fn delete_object(
        &self,
        caller: &Caller,
        bucket: &str,
        key: &str,
        version_id: Option<String>,
        condition: DeleteCondition,
        bypass: bool,
    ) -> Result<DeletedObject, Error> {
        limits::check_key(key)?;
        let which = ids::parse_version(version_id.as_deref())?;
        let bucket = self.bucket_of(caller.expected_owner.as_deref(), bucket).await?;
        // Set when the lock of the version was found to be one that the bypass ends.
        let mut bypassed: Option<Locked> = None;
        for _ in 0..MAX_ATTEMPTS {
            let (found, expect) = self.deletion_of(&condition, &bucket.name, key, which).await?;
            let now = self.lifecycle_clock().now();
            let marker = ids::new_version_id(now);
            let (bucket_id, named) = (bucket.id, key.to_owned());
            let removal = Removal { key, which: found, marker, at: now };
            let events = self.events_of_deletion(Cause::Caller(caller), &bucket, &removal).await?;
            let told = [events.removed.clone(), events.marked.clone()].into_iter().flatten();
            let passes = bypassed.is_some();
            let deletion =
                Deletion { bucket_id, key: named, which: found, expect, seen: None, marker, modified: now, bypass: passes, events };
            let deleted = match &bypassed {
                None => self.ringing(told, self.making_room(|| self.catalog().delete_version(deletion.clone()))).await,
                Some(before) => {
                    let act = LockAct::of_deletion(caller, &bucket, (key, found), before);
                    let space = Arc::clone(self.space());
                    let delete = |catalog: Arc<dyn Catalog>| {
                        self.ringing(told, async move { space.making_room(|| catalog.delete_version(deletion.clone())).await })
                    };
                    Box::pin(self.on_record(Some(act), Permits::of_no_key(), delete)).await?
                }
            };
            match deleted {
                Err(CatalogError::Locked(lock)) if bypass && bypassed.is_none() && lock::yields_to_bypass(&lock) => {
                    bypassed = Some(Locked { lock, ..Locked::default() });
                }
                Err(CatalogError::PreconditionFailed) => bypassed = None,
                // What was compared is gone, perhaps replaced as the null version can be: what is there now is meant.
                Ok(Deleted::Nothing) if condition != DeleteCondition::default() => bypassed = None,
                Err(CatalogError::NoSuchVersion) => return Ok(DeletedObject { version_id, delete_marker: false }),
                other => {
                    // What was below it may be current now, or a marker alone.
                    if bucket.versioning != Versioning::Unversioned && matches!(other, Ok(Deleted::Removed { .. })) {
                        self.look_again_at(&bucket, key);
                    }
                    return self.settled(other).await.map(|deleted| answer(bucket.versioning, which, &deleted));
                }
            }
        }
        Err(Error::ConditionalConflict)
    }
}

fn answer(versioning: Versioning, which: VersionSelector, deleted: &Deleted) -> DeletedObject {
    match *deleted {
        Deleted::Removed { version_id, was_delete_marker, is_null } if which != VersionSelector::Latest => {
            DeletedObject { version_id: ids::shown_version(versioning, version_id, is_null), delete_marker: was_delete_marker }
        }
        Deleted::MarkerAdded { version_id, is_null } => {
            DeletedObject { version_id: ids::shown_version(versioning, version_id, is_null), delete_marker: true }
        }
        Deleted::Nothing | Deleted::Removed { .. } => DeletedObject::default(),
    }
}
