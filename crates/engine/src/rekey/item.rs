//! One version or upload: opened, sealed anew, replaced.

use std::sync::Arc;

use strongroom_catalog::{
    Bucket, Catalog, CatalogError, Envelope, KeyRef, Reseal, ScopedUpload, ScopedVersion, Upload, Version, VersionSelector,
};

use crate::{
    Engine, Error,
    commit::Permits,
    record::{ObjectRecord, RecordedSse, UploadRecord},
    sse::{Decision, Identified, User, WriteKeys},
};

/// What can be re-keyed.
pub(crate) enum Item {
    Version { bucket: Bucket, version: Version, part_record: Vec<u8> },
    Upload { bucket: Bucket, upload: Upload },
}

/// Its metadata, open.
pub(crate) enum ItemRecord {
    Version(ObjectRecord),
    Upload(UploadRecord),
}

/// How replacing the keys ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resealed {
    Done,
    /// Somebody else replaced them first.
    Changed,
    /// They would not have been under the key that was meant, but under another version or in another backend; nothing was replaced.
    Stale,
    /// The version was deleted, or the upload ended.
    Gone,
}

impl From<ScopedVersion> for Item {
    fn from(found: ScopedVersion) -> Self {
        Self::Version { bucket: found.bucket, version: found.version, part_record: found.part_record }
    }
}

impl From<ScopedUpload> for Item {
    fn from(found: ScopedUpload) -> Self {
        Self::Upload { bucket: found.bucket, upload: found.upload }
    }
}

impl Item {
    pub(crate) fn at(&self) -> Identified<'_> {
        match self {
            Self::Version { bucket, version, .. } => Identified { bucket, key: &version.key, version_id: version.version_id },
            Self::Upload { bucket, upload } => Identified { bucket, key: &upload.key, version_id: upload.version_id },
        }
    }

    pub(crate) fn envelope(&self) -> Result<&Envelope, Error> {
        match self {
            Self::Version { version, .. } => version.envelope.as_ref().ok_or_else(|| Error::Integrity("it has no envelope".into())),
            Self::Upload { upload, .. } => Ok(&upload.envelope),
        }
    }

    /// Of an upload nothing is counted: its parts belong to no object yet.
    pub(super) fn size_bytes(&self) -> u64 {
        match self {
            Self::Version { version, .. } => version.size_bytes,
            Self::Upload { .. } => 0,
        }
    }
}

impl ItemRecord {
    pub(crate) fn sse(&self) -> &RecordedSse {
        match self {
            Self::Version(record) => &record.sse,
            Self::Upload(record) => &record.sse,
        }
    }
}

impl Engine {
    /// The record of an item, which with the bucket's tag vouches for all that is known of it.
    pub(crate) fn open_item(&self, item: &Item) -> Result<ItemRecord, Error> {
        match item {
            Item::Version { bucket, version, .. } => {
                let bucket = self.trusted(bucket.clone())?;
                self.record_of(&bucket, version).map(ItemRecord::Version)
            }
            Item::Upload { bucket, upload } => {
                let bucket = self.trusted(bucket.clone())?;
                let record = UploadRecord::open(self.store_key(), upload);
                record.map(ItemRecord::Upload).map_err(|error| self.integrity().note(error, &bucket.name, &upload.key))
            }
        }
    }

    /// Seals the object keys anew as `decision` says, if that is under `target` (where one is given), and replaces those in the
    /// catalog. Nothing else of the object changes.
    pub(crate) async fn reseal(
        &self,
        user: User<'_>,
        item: &Item,
        record: ItemRecord,
        decision: &Decision,
        target: Option<&KeyRef>,
    ) -> Result<Resealed, Error> {
        if matches!(user, User::Job { .. }) {
            // A job must wait until there is room again: it would use up the reserve for deletes.
            self.space().admit(None)?;
        }
        let at = item.at();
        let existing = self.keys_for_reading(user, at, item.envelope()?, record.sse(), None).await;
        let existing = existing.map_err(|error| self.integrity().note(error, &at.bucket.name, at.key))?;
        let keys = self.keys_for_writing(user, decision, at, Some(existing)).await?;
        if target.is_some() && keys.envelope.key.as_ref() != target {
            return Ok(Resealed::Stale);
        }
        // The old key too: what is about to be destroyed with it is counted, and none of that gets away meanwhile.
        let permits = self.admit(user, at, [item.envelope()?, &keys.envelope]).await?;
        let replaced = match (item, record) {
            (Item::Version { bucket, version, part_record }, ItemRecord::Version(record)) => {
                self.replace_in_version(permits, bucket, version, part_record, record, keys).await?
            }
            (Item::Upload { upload, .. }, ItemRecord::Upload(record)) => self.replace_in_upload(permits, upload, record, keys).await?,
            _ => return Err(Error::Internal("the record is of something else".into())),
        };
        match replaced {
            Ok(()) => Ok(Resealed::Done),
            Err(CatalogError::PreconditionFailed) => Ok(Resealed::Changed),
            Err(CatalogError::NoSuchVersion | CatalogError::NoSuchUpload | CatalogError::NoSuchBucket) => Ok(Resealed::Gone),
            Err(error) => self.settled(Err(error)).await,
        }
    }

    async fn replace_in_version(
        &self,
        permits: Permits,
        bucket: &Bucket,
        version: &Version,
        part_record: &[u8],
        mut record: ObjectRecord,
        keys: WriteKeys,
    ) -> Result<Result<(), CatalogError>, Error> {
        record.sse = keys.recorded;
        let change = self.version_change(bucket.id, version, part_record, &record, keys.envelope, version.lock);
        let change = change.map_err(|error| self.integrity().note(error, &bucket.name, &version.key))?;
        let commit = |catalog: Arc<dyn Catalog>| async move { catalog.change_version(change).await };
        self.to_the_end(permits, Arc::default(), commit).await
    }

    async fn replace_in_upload(
        &self,
        permits: Permits,
        upload: &Upload,
        mut record: UploadRecord,
        keys: WriteKeys,
    ) -> Result<Result<(), CatalogError>, Error> {
        record.sse = keys.recorded;
        let new = Upload { envelope: keys.envelope, record: Vec::new(), ..upload.clone() };
        let reseal = Reseal {
            bucket_id: upload.bucket_id,
            key: upload.key.clone(),
            present: upload.envelope.sealed_keys.clone(),
            record: record.seal(self.store_key(), &new)?,
            envelope: new.envelope,
        };
        let upload_id = upload.upload_id;
        let commit = |catalog: Arc<dyn Catalog>| async move { catalog.reseal_upload(upload_id, reseal).await };
        self.to_the_end(permits, Arc::default(), commit).await
    }

    /// The item as it is now; none where it is gone.
    pub(super) async fn look_again(&self, item: &Item) -> Result<Option<Item>, Error> {
        match item {
            Item::Version { bucket, version, .. } => {
                let which = VersionSelector::Id(version.version_id);
                let found = self.catalog().find_version_data(&bucket.name, &version.key, which).await?;
                let same = found.filter(|(present, _)| present.id == bucket.id);
                Ok(same.and_then(|(bucket, found)| {
                    let (version, data) = found?;
                    Some(Item::Version { bucket, version, part_record: data.part_record })
                }))
            }
            Item::Upload { bucket, upload } => {
                let found = self.catalog().find_upload(&bucket.name, &upload.key, upload.upload_id).await?;
                let same = found.filter(|(present, _)| present.id == bucket.id);
                Ok(same.and_then(|(bucket, upload)| Some(Item::Upload { bucket, upload: upload? })))
            }
        }
    }
}
