//! The rows, and what is done to them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{entities::Entities, outbox::Outbox};
use crate::{
    BlobId, BlobUse, Bucket, BucketId, BucketUsage, CatalogError, Committed, Deleted, Expect, Job, KeyRef, KeyUsage, ListEntry, ListPage,
    ListQuery, Lock, NewVersion, Part, Scope, ScopePlace, ScopedVersion, UnixMillis, Upload, UploadId, Version, VersionData, VersionId,
    VersionSelector, Versioning,
};

#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) buckets: BTreeMap<String, Bucket>,
    pub(super) bucket_changes: u64,
    pub(super) documents: BTreeMap<(BucketId, String), Vec<u8>>,
    /// Oldest first; the last is the latest. No key has an empty list.
    pub(super) versions: BTreeMap<(BucketId, String), Vec<Arc<Stored>>>,
    pub(super) uploads: BTreeMap<UploadId, StoredUpload>,
    pub(super) blobs: BTreeMap<BlobId, Blob>,
    pub(super) settings: BTreeMap<String, Vec<u8>>,
    /// In the order of their beginning.
    pub(super) jobs: Vec<Job>,
    pub(super) last_position: i64,
    pub(super) outbox: Outbox,
    pub(super) entities: Entities,
}

#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// `is_latest` here means nothing: the place in the list says it.
    pub(super) version: Version,
    pub(super) data: VersionData,
    pub(super) blobs: Vec<BlobId>,
    pub(super) upload_id: Option<UploadId>,
    pub(super) position: i64,
}

#[derive(Clone, Debug)]
pub(super) struct StoredUpload {
    pub(super) position: i64,
    pub(super) upload: Upload,
    pub(super) parts: BTreeMap<u16, Part>,
}

#[derive(Clone, Debug)]
pub(super) struct Blob {
    pub(super) refs: u64,
    pub(super) died_at: UnixMillis,
}

impl State {
    pub(super) fn bucket_of(&self, id: BucketId) -> Result<&Bucket, CatalogError> {
        self.buckets.values().find(|bucket| bucket.id == id).ok_or(CatalogError::NoSuchBucket)
    }

    pub(super) fn versions_of(&self, bucket: BucketId, key: &str) -> &[Arc<Stored>] {
        self.versions.get(&(bucket, key.to_owned())).map_or(&[], Vec::as_slice)
    }

    pub(super) fn select(&self, bucket: BucketId, key: &str, which: VersionSelector) -> Option<(Version, &Stored)> {
        let versions = self.versions_of(bucket, key);
        let at = versions.iter().enumerate().position(|(at, stored)| match which {
            VersionSelector::Latest => at + 1 == versions.len(),
            VersionSelector::Null => stored.version.is_null,
            VersionSelector::Id(id) => stored.version.version_id == id,
        })?;
        Some((Version { is_latest: at + 1 == versions.len(), ..versions[at].version.clone() }, &versions[at]))
    }

    pub(super) fn check(&self, bucket: BucketId, key: &str, expect: Expect) -> Result<(), CatalogError> {
        let latest = self.select(bucket, key, VersionSelector::Latest).map(|(version, _)| version);
        let holds = match expect {
            Expect::Any => true,
            Expect::Absent => latest.is_none_or(|latest| latest.is_delete_marker),
            Expect::Latest(id) => latest.is_some_and(|latest| latest.version_id == id),
        };
        if holds { Ok(()) } else { Err(CatalogError::PreconditionFailed) }
    }

    pub(super) fn retain(&mut self, blob: BlobUse) -> Result<BlobId, CatalogError> {
        match blob {
            BlobUse::New { id, .. } => match self.blobs.insert(id, Blob { refs: 1, died_at: 0 }) {
                None => Ok(id),
                Some(_) => Err(CatalogError::Damaged("a new blob has the id of another".to_owned())),
            },
            BlobUse::Shared { id } => match self.blobs.get_mut(&id).filter(|blob| blob.refs > 0) {
                Some(blob) => {
                    blob.refs += 1;
                    Ok(id)
                }
                None => Err(CatalogError::BlobGone),
            },
        }
    }

    pub(super) fn release(&mut self, id: BlobId, now: UnixMillis) -> Result<(), CatalogError> {
        let blob = self.blobs.get_mut(&id).filter(|blob| blob.refs > 0);
        let blob = blob.ok_or_else(|| CatalogError::Damaged("a blob has fewer references than rows refer to it".to_owned()))?;
        blob.refs -= 1;
        blob.died_at = now;
        Ok(())
    }

    fn check_unused(&self, bucket: BucketId, key: &str, id: VersionId) -> Result<(), CatalogError> {
        match self.select(bucket, key, VersionSelector::Id(id)) {
            None => Ok(()),
            Some(_) => Err(CatalogError::Damaged("a new version has the id of another".to_owned())),
        }
    }

    pub(super) fn add(&mut self, bucket: BucketId, stored: Stored, now: UnixMillis) -> Result<bool, CatalogError> {
        let key = stored.version.key.clone();
        self.check_unused(bucket, &key, stored.version.version_id)?;
        let is_null = self.bucket_of(bucket)?.versioning != Versioning::Enabled;
        if is_null {
            self.remove(bucket, &key, VersionSelector::Null, now, false)?;
        }
        self.last_position += 1;
        let stored = Stored { version: Version { is_null, ..stored.version }, position: self.last_position, ..stored };
        self.versions.entry((bucket, key)).or_default().push(Arc::new(stored));
        Ok(is_null)
    }

    pub(super) fn remove(
        &mut self,
        bucket: BucketId,
        key: &str,
        which: VersionSelector,
        now: UnixMillis,
        bypass: bool,
    ) -> Result<Deleted, CatalogError> {
        let Some((version, stored)) = self.select(bucket, key, which) else { return Ok(Deleted::Nothing) };
        if version.lock.holds(now, bypass) {
            return Err(CatalogError::Locked(version.lock));
        }
        let blobs = stored.blobs.clone();
        for blob in blobs {
            self.release(blob, now)?;
        }
        let of_key = (bucket, key.to_owned());
        if let Some(versions) = self.versions.get_mut(&of_key) {
            versions.retain(|stored| stored.version.version_id != version.version_id);
            if versions.is_empty() {
                self.versions.remove(&of_key);
            }
        }
        Ok(Deleted::Removed { version_id: version.version_id, was_delete_marker: version.is_delete_marker, is_null: version.is_null })
    }

    pub(super) fn put(
        &mut self,
        version: NewVersion,
        mut blobs: Vec<BlobId>,
        expect: Expect,
        upload_id: Option<UploadId>,
        now: UnixMillis,
    ) -> Result<Committed, CatalogError> {
        self.bucket_of(version.bucket_id)?;
        self.check(version.bucket_id, &version.key, expect)?;
        // Before the blobs: of two reasons to refuse a version, every engine names the same.
        self.check_unused(version.bucket_id, &version.key, version.version_id)?;
        for blob in version.blobs {
            blobs.push(self.retain(blob)?);
        }
        let names_one_twice = blobs.iter().collect::<BTreeSet<_>>().len() < blobs.len();
        let stored = Stored {
            version: Version {
                key: version.key,
                version_id: version.version_id,
                is_null: false,
                is_latest: true,
                is_delete_marker: false,
                size_bytes: version.size_bytes,
                modified: version.modified,
                revision: 0,
                lock: version.lock,
                envelope: Some(version.envelope),
                record: version.record,
            },
            data: version.data,
            blobs,
            upload_id,
            position: 0,
        };
        let is_null = self.add(version.bucket_id, stored, now)?;
        self.outbox.add_any(version.event);
        // After the lock of what is replaced, as other engines come to it.
        if names_one_twice { Err(CatalogError::Damaged("a version names a blob twice".to_owned())) } else { Ok(Committed { is_null }) }
    }

    pub(super) fn mark_deleted(
        &mut self,
        bucket: BucketId,
        key: &str,
        id: VersionId,
        now: UnixMillis,
        died: UnixMillis,
    ) -> Result<Deleted, CatalogError> {
        let version = Version {
            key: key.to_owned(),
            version_id: id,
            is_null: false,
            is_latest: true,
            is_delete_marker: true,
            size_bytes: 0,
            modified: now,
            revision: 0,
            lock: Lock::default(),
            envelope: None,
            record: Vec::new(),
        };
        let is_null =
            self.add(bucket, Stored { version, data: VersionData::default(), blobs: Vec::new(), upload_id: None, position: 0 }, died)?;
        Ok(Deleted::MarkerAdded { version_id: id, is_null })
    }

    pub(super) fn upload_of(&self, bucket: BucketId, key: &str, id: UploadId) -> Result<&StoredUpload, CatalogError> {
        let stored = self.uploads.get(&id).filter(|stored| stored.upload.bucket_id == bucket && stored.upload.key == key);
        stored.ok_or(CatalogError::NoSuchUpload)
    }

    pub(super) fn check_scope(&self, scope: &Scope, after: &ScopePlace) -> Result<(), CatalogError> {
        // Only a walk through the bucket can miss it; one through what depends on a key does not.
        match scope.bucket_id {
            Some(bucket) if !scope.names_keys() || scope.by_key(after).is_some() => self.bucket_of(bucket).map(|_| ()),
            _ => Ok(()),
        }
    }

    pub(super) fn all_versions(&self) -> Vec<ScopedVersion> {
        let stored = self.versions.iter().flat_map(|((bucket, key), versions)| versions.iter().map(move |stored| (bucket, key, stored)));
        let found = stored.filter_map(|(bucket, key, stored)| {
            let (version, _) = self.select(*bucket, key, VersionSelector::Id(stored.version.version_id))?;
            let bucket = self.bucket_of(*bucket).ok()?.clone();
            Some(ScopedVersion { position: stored.position, bucket, version, part_record: stored.data.part_record.clone() })
        });
        found.collect()
    }

    pub(super) fn newest_jobs(&self, kind: &str, only_active: bool) -> impl Iterator<Item = &Job> {
        let mut jobs: Vec<_> = self.jobs.iter().rev().filter(|job| job.kind == kind && (job.is_active || !only_active)).collect();
        jobs.sort_by_key(|job| std::cmp::Reverse(job.started));
        jobs.into_iter()
    }

    /// What depends on each key version, in their order.
    pub(super) fn usages(&self) -> Vec<KeyUsage> {
        let mut usages: BTreeMap<(String, String, u32), KeyUsage> = BTreeMap::new();
        let mut count = |key: &KeyRef, of_bucket: Option<(&str, u64)>| {
            let new = || KeyUsage { key: key.clone(), versions: 0, bytes: 0, uploads: 0, buckets: Vec::new() };
            let usage = usages.entry((key.backend.clone(), key.key_id.clone(), key.version)).or_insert_with(new);
            let Some((bucket, bytes)) = of_bucket else {
                usage.uploads += 1;
                return;
            };
            usage.versions += 1;
            usage.bytes += bytes;
            match usage.buckets.iter_mut().find(|usage| usage.bucket == bucket) {
                Some(usage) => (usage.versions, usage.bytes) = (usage.versions + 1, usage.bytes + bytes),
                None => usage.buckets.push(BucketUsage { bucket: bucket.to_owned(), versions: 1, bytes }),
            }
        };
        // By name, so that each usage has its buckets in that order.
        for bucket in self.buckets.values() {
            let versions = self.versions.iter().filter(|((id, _), _)| *id == bucket.id).flat_map(|(_, versions)| versions);
            for version in versions.map(|stored| &stored.version) {
                if let Some(key) = version.envelope.as_ref().and_then(|envelope| envelope.key.as_ref()) {
                    count(key, Some((&bucket.name, version.size_bytes)));
                }
            }
        }
        for stored in self.uploads.values() {
            if let Some(key) = &stored.upload.envelope.key {
                count(key, None);
            }
        }
        usages.into_values().collect()
    }

    pub(super) fn put_part(&mut self, id: UploadId, part: Part, blob: BlobUse, now: UnixMillis) -> Result<(), CatalogError> {
        self.uploads.get(&id).ok_or(CatalogError::NoSuchUpload)?;
        self.retain(blob)?;
        let stored = self.uploads.get_mut(&id).ok_or(CatalogError::NoSuchUpload)?;
        match stored.parts.insert(part.number, part) {
            Some(replaced) => self.release(replaced.blob, now),
            None => Ok(()),
        }
    }

    pub(super) fn end_upload(&mut self, id: UploadId, kept: &BTreeSet<u16>, now: UnixMillis) -> Result<(), CatalogError> {
        let stored = self.uploads.remove(&id).ok_or(CatalogError::NoSuchUpload)?;
        for part in stored.parts.values().filter(|part| !kept.contains(&part.number)) {
            self.release(part.blob, now)?;
        }
        Ok(())
    }
}

/// What is looked at of a walk, and where it goes on.
pub(super) fn next_page<T>(mut found: Vec<T>, limit: usize, place: impl Fn(&T) -> ScopePlace) -> (Vec<T>, Option<ScopePlace>) {
    found.sort_by_key(&place);
    found.truncate(limit);
    let next = found.last().map(place).filter(|_| found.len() == limit);
    (found, next)
}

pub(super) fn covers(scope: &Scope, found: &ScopedVersion) -> bool {
    let key = &found.version.key;
    found.version.envelope.as_ref().is_some_and(|envelope| scope.covers(&found.bucket.id, key, envelope.mode, envelope.key.as_ref()))
}

/// Keys come in this order.
pub(super) fn place(key: &KeyRef) -> (&str, &str, u32) {
    (&key.backend, &key.key_id, key.version)
}

/// The page of `items`, which come in order with whether they lie after the marker.
pub(super) fn page<T>(query: &ListQuery, items: impl Iterator<Item = (String, bool, T)>) -> ListPage<T> {
    let after = query.after.as_deref();
    let mut entries: Vec<ListEntry<T>> = Vec::new();
    for (key, is_after, item) in items {
        match common_prefix(query, &key) {
            _ if !key.starts_with(&query.prefix) => {}
            Some(common) => {
                let is_listed = matches!(entries.last(), Some(ListEntry::Prefix { prefix, .. }) if *prefix == common);
                if !is_listed && after.is_none_or(|after| common.as_str() > after) {
                    entries.push(ListEntry::Prefix { prefix: common, first: item });
                }
            }
            None if is_after => entries.push(ListEntry::Item(item)),
            None => {}
        }
    }
    let truncated = query.limit > 0 && entries.len() > query.limit;
    entries.truncate(query.limit);
    ListPage { entries, truncated, unreadable: 0 }
}

pub(super) fn common_prefix(query: &ListQuery, key: &str) -> Option<String> {
    let rest = key.strip_prefix(&query.prefix)?;
    let delimiter = query.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty())?;
    let (before, _) = rest.split_once(delimiter)?;
    Some(format!("{}{before}{delimiter}", query.prefix))
}
