//! Object Lock: GetObjectRetention, PutObjectRetention, GetObjectLegalHold, PutObjectLegalHold, and the configuration of a bucket.

use strongroom_catalog::Versioning;
use strongroom_kms::resolve_key_id;

use crate::{
    Engine, Error,
    api::{Bucket, Caller, DefaultLock, LockedVersion, ObjectLock, ObjectVersion, RetentionChange},
    bucket::Changed,
    change::Changeable,
    ids,
    lock::{check_default, default_of},
    lock_acts::LockAct,
};

impl Engine {
    /// GetObjectLockConfiguration.
    pub async fn object_lock_configuration(&self, bucket: &str) -> Result<DefaultLock, Error> {
        self.bucket(bucket).await?.settings.object_lock.ok_or(Error::ObjectLockConfigurationNotFound)
    }

    /// PutObjectLockConfiguration: from now on versions can be locked, and new ones get these locks. It cannot be taken back.
    pub async fn set_object_lock_configuration(&self, caller: &Caller, bucket: &str, default: DefaultLock) -> Result<(), Error> {
        check_default(&default)?;
        let act = |bucket: &Bucket| LockAct::of_bucket(caller, bucket, &default);
        self.change_bucket_on_record(bucket, act, |bucket| {
            if bucket.versioning != Versioning::Enabled {
                let needed = "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration";
                return Err(Error::InvalidBucketState(needed));
            }
            let mut changed = Changed::from(bucket);
            changed.settings.object_lock = Some(default);
            Ok(changed)
        })
        .await
    }

    /// GetObjectRetention and GetObjectLegalHold: what is known of a version's lock.
    pub async fn object_lock(&self, caller: &Caller, named: &ObjectVersion) -> Result<ObjectLock, Error> {
        let found = self.find(caller.expected_owner.as_deref(), &named.bucket, &named.key, named.version_id.as_deref()).await?;
        default_of(&found.bucket)?;
        Ok(found.locked().shown())
    }

    /// PutObjectRetention. With `bypass` a retention in governance mode may be shortened, removed, or made one in compliance mode.
    pub async fn change_retention(
        &self,
        caller: &Caller,
        named: &ObjectVersion,
        change: &RetentionChange,
        bypass: bool,
    ) -> Result<(), Error> {
        let changed = self.change_version(caller, named, None, |bucket, present| {
            let locked = present.locked.changed(change, default_of(bucket)?, bypass, ids::now_ms())?;
            Ok(Changeable { locked, ..present })
        });
        changed.await.map(drop)
    }

    /// Versions under a KMS key that Object Lock keeps now, those kept longest first, at the most `limit`: what must not be lost with the key.
    pub async fn locked_under_key(&self, backend: &str, key_id: &str, limit: usize) -> Result<Vec<LockedVersion>, Error> {
        let locked = self.catalog().locked_under_key(backend, resolve_key_id(key_id)?, limit).await?;
        Ok(locked.into_iter().map(shown).collect())
    }

    /// How many versions under a KMS key Object Lock keeps now.
    pub async fn count_locked_under_key(&self, backend: &str, key_id: &str) -> Result<u64, Error> {
        Ok(self.catalog().count_locked_under_key(backend, resolve_key_id(key_id)?).await?)
    }

    /// PutObjectLegalHold.
    pub async fn set_legal_hold(&self, caller: &Caller, named: &ObjectVersion, on: bool) -> Result<(), Error> {
        let changed = self.change_version(caller, named, None, |bucket, present| {
            default_of(bucket)?;
            Ok(Changeable { locked: present.locked.with_legal_hold(on), ..present })
        });
        changed.await.map(drop)
    }
}

fn shown(locked: strongroom_catalog::LockedVersion) -> LockedVersion {
    let strongroom_catalog::LockedVersion { bucket, key, version_id, lock } = locked;
    let until_ms = lock.retention.filter(|_| !lock.legal_hold && !lock.event_hold).map(|retention| retention.until);
    LockedVersion { bucket, key, version_id: version_id.to_string(), until_ms }
}
