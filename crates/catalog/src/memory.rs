//! A catalog in memory, kept simple enough to be believed: every other engine is compared with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::{
    BlobKey, BlobUse, Bucket, BucketEncryption, BucketId, Catalog, CatalogError, Clock, Committed, Deleted, Envelope, Expect, KeyRef,
    KeyUsage, ListEntry, ListPage, ListQuery, NewVersion, Part, UnixMillis, Upload, UploadId, Version, VersionData, VersionId,
    VersionSelector, Versioning,
};

/// The whole catalog under one lock. A write works on a copy, which takes the place of the original only if it succeeds.
#[derive(Debug, Default)]
pub struct MemoryCatalog {
    state: Mutex<State>,
    clock: Clock,
}

#[derive(Clone, Debug, Default)]
struct State {
    buckets: BTreeMap<String, Bucket>,
    /// Oldest first; the last is the latest. No key has an empty list.
    versions: BTreeMap<(BucketId, String), Vec<Arc<Stored>>>,
    uploads: BTreeMap<UploadId, StoredUpload>,
    blobs: BTreeMap<BlobKey, Blob>,
    settings: BTreeMap<String, Vec<u8>>,
}

#[derive(Clone, Debug)]
struct Stored {
    /// `is_latest` here means nothing: the place in the list says it.
    version: Version,
    data: VersionData,
    blobs: Vec<BlobKey>,
    upload_id: Option<UploadId>,
}

#[derive(Clone, Debug)]
struct StoredUpload {
    upload: Upload,
    parts: BTreeMap<u16, Part>,
}

#[derive(Clone, Debug)]
struct Blob {
    refs: u64,
    died_at: UnixMillis,
}

impl MemoryCatalog {
    /// An empty catalog.
    pub fn new(clock: Clock) -> Self {
        Self { state: Mutex::default(), clock }
    }

    /// Every blob that something refers to, and how often.
    pub fn live_blobs(&self) -> BTreeMap<BlobKey, u64> {
        self.read(|state| state.blobs.iter().filter(|(_, blob)| blob.refs > 0).map(|(id, blob)| (*id, blob.refs)).collect())
    }

    fn read<T>(&self, work: impl FnOnce(&State) -> T) -> T {
        work(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, work: impl FnOnce(&mut State, UnixMillis) -> Result<T, CatalogError>) -> Result<T, CatalogError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = state.clone();
        let result = work(&mut changed, self.clock.now())?;
        *state = changed;
        Ok(result)
    }
}

impl State {
    fn bucket_of(&self, id: BucketId) -> Result<&Bucket, CatalogError> {
        self.buckets.values().find(|bucket| bucket.id == id).ok_or(CatalogError::NoSuchBucket)
    }

    fn versions_of(&self, bucket: BucketId, key: &str) -> &[Arc<Stored>] {
        self.versions.get(&(bucket, key.to_owned())).map_or(&[], Vec::as_slice)
    }

    fn select(&self, bucket: BucketId, key: &str, which: VersionSelector) -> Option<(Version, &Stored)> {
        let versions = self.versions_of(bucket, key);
        let at = versions.iter().enumerate().position(|(at, stored)| match which {
            VersionSelector::Latest => at + 1 == versions.len(),
            VersionSelector::Null => stored.version.is_null,
            VersionSelector::Id(id) => stored.version.version_id == id,
        })?;
        Some((Version { is_latest: at + 1 == versions.len(), ..versions[at].version.clone() }, &versions[at]))
    }

    fn check(&self, bucket: BucketId, key: &str, expect: Expect) -> Result<(), CatalogError> {
        let latest = self.select(bucket, key, VersionSelector::Latest).map(|(version, _)| version);
        let holds = match expect {
            Expect::Any => true,
            Expect::Absent => latest.is_none_or(|latest| latest.is_delete_marker),
            Expect::Latest(id) => latest.is_some_and(|latest| latest.version_id == id),
        };
        if holds { Ok(()) } else { Err(CatalogError::PreconditionFailed) }
    }

    fn retain(&mut self, blob: BlobUse) -> Result<BlobKey, CatalogError> {
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

    fn release(&mut self, id: BlobKey, now: UnixMillis) -> Result<(), CatalogError> {
        let blob = self.blobs.get_mut(&id).filter(|blob| blob.refs > 0);
        let blob = blob.ok_or_else(|| CatalogError::Damaged("a blob has fewer references than rows refer to it".to_owned()))?;
        blob.refs -= 1;
        blob.died_at = now;
        Ok(())
    }

    fn add(&mut self, bucket: BucketId, stored: Stored, now: UnixMillis) -> Result<bool, CatalogError> {
        let key = stored.version.key.clone();
        if self.select(bucket, &key, VersionSelector::Id(stored.version.version_id)).is_some() {
            return Err(CatalogError::Damaged("a new version has the id of another".to_owned()));
        }
        let is_null = self.bucket_of(bucket)?.versioning != Versioning::Enabled;
        if is_null {
            self.remove(bucket, &key, VersionSelector::Null, now)?;
        }
        let stored = Stored { version: Version { is_null, ..stored.version }, ..stored };
        self.versions.entry((bucket, key)).or_default().push(Arc::new(stored));
        Ok(is_null)
    }

    fn remove(&mut self, bucket: BucketId, key: &str, which: VersionSelector, now: UnixMillis) -> Result<Deleted, CatalogError> {
        let Some((version, stored)) = self.select(bucket, key, which) else { return Ok(Deleted::Nothing) };
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

    fn put(
        &mut self,
        version: NewVersion,
        mut blobs: Vec<BlobKey>,
        expect: Expect,
        upload_id: Option<UploadId>,
        now: UnixMillis,
    ) -> Result<Committed, CatalogError> {
        self.bucket_of(version.bucket_id)?;
        self.check(version.bucket_id, &version.key, expect)?;
        for blob in version.blobs {
            blobs.push(self.retain(blob)?);
        }
        if blobs.iter().collect::<BTreeSet<_>>().len() < blobs.len() {
            return Err(CatalogError::Damaged("a version names a blob twice".to_owned()));
        }
        let stored = Stored {
            version: Version {
                key: version.key,
                version_id: version.version_id,
                is_null: false,
                is_latest: true,
                is_delete_marker: false,
                size_bytes: version.size_bytes,
                modified: version.modified,
                envelope: Some(version.envelope),
                record: version.record,
            },
            data: version.data,
            blobs,
            upload_id,
        };
        Ok(Committed { is_null: self.add(version.bucket_id, stored, now)? })
    }

    fn mark_deleted(
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
            envelope: None,
            record: Vec::new(),
        };
        let is_null = self.add(bucket, Stored { version, data: VersionData::default(), blobs: Vec::new(), upload_id: None }, died)?;
        Ok(Deleted::MarkerAdded { version_id: id, is_null })
    }

    fn upload_of(&self, bucket: BucketId, key: &str, id: UploadId) -> Result<&StoredUpload, CatalogError> {
        let stored = self.uploads.get(&id).filter(|stored| stored.upload.bucket_id == bucket && stored.upload.key == key);
        stored.ok_or(CatalogError::NoSuchUpload)
    }

    fn end_upload(&mut self, id: UploadId, kept: &BTreeSet<u16>, now: UnixMillis) -> Result<(), CatalogError> {
        let stored = self.uploads.remove(&id).ok_or(CatalogError::NoSuchUpload)?;
        for part in stored.parts.values().filter(|part| !kept.contains(&part.number)) {
            self.release(part.blob, now)?;
        }
        Ok(())
    }
}

/// The page of `items`, which come in order with whether they lie after the marker.
fn page<T>(query: &ListQuery, items: impl Iterator<Item = (String, bool, T)>) -> ListPage<T> {
    let after = query.after.as_deref();
    let mut entries: Vec<ListEntry<T>> = Vec::new();
    for (key, is_after, item) in items {
        match common_prefix(query, &key) {
            _ if !key.starts_with(&query.prefix) => {}
            Some(common) => {
                let is_listed = matches!(entries.last(), Some(ListEntry::Prefix(last)) if *last == common);
                if !is_listed && after.is_none_or(|after| common.as_str() > after) {
                    entries.push(ListEntry::Prefix(common));
                }
            }
            None if is_after => entries.push(ListEntry::Item(item)),
            None => {}
        }
    }
    let truncated = query.limit > 0 && entries.len() > query.limit;
    entries.truncate(query.limit);
    ListPage { entries, truncated }
}

fn common_prefix(query: &ListQuery, key: &str) -> Option<String> {
    let rest = key.strip_prefix(&query.prefix)?;
    let delimiter = query.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty())?;
    let (before, _) = rest.split_once(delimiter)?;
    Some(format!("{}{before}{delimiter}", query.prefix))
}

#[async_trait]
impl Catalog for MemoryCatalog {
    async fn create_bucket(&self, bucket: Bucket) -> Result<(), CatalogError> {
        self.write(|state, _| {
            if let Some(present) = state.buckets.get(&bucket.name) {
                return Err(CatalogError::BucketExists { owner: present.owner.clone() });
            }
            if state.bucket_of(bucket.id).is_ok() {
                return Err(CatalogError::Damaged("a new bucket has the id of another".to_owned()));
            }
            state.buckets.insert(bucket.name.clone(), bucket);
            Ok(())
        })
    }

    async fn bucket(&self, name: &str) -> Result<Option<Bucket>, CatalogError> {
        Ok(self.read(|state| state.buckets.get(name).cloned()))
    }

    async fn list_buckets(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Bucket>, CatalogError> {
        let is_listed = |bucket: &&Bucket| bucket.name.starts_with(prefix) && after.is_none_or(|after| bucket.name.as_str() > after);
        Ok(self.read(|state| state.buckets.values().filter(is_listed).take(limit).cloned().collect()))
    }

    async fn delete_bucket(&self, name: &str) -> Result<(), CatalogError> {
        self.write(|state, now| {
            let bucket = state.buckets.remove(name).ok_or(CatalogError::NoSuchBucket)?;
            if state.versions.keys().any(|(id, _)| *id == bucket.id) {
                return Err(CatalogError::BucketNotEmpty);
            }
            let uploads = state.uploads.values().filter(|stored| stored.upload.bucket_id == bucket.id);
            for id in uploads.map(|stored| stored.upload.upload_id).collect::<Vec<_>>() {
                state.end_upload(id, &BTreeSet::new(), now)?;
            }
            Ok(())
        })
    }

    async fn set_bucket_encryption(&self, name: &str, encryption: Option<BucketEncryption>, tag: Vec<u8>) -> Result<(), CatalogError> {
        self.write(|state, _| {
            let bucket = state.buckets.get_mut(name).ok_or(CatalogError::NoSuchBucket)?;
            (bucket.encryption, bucket.tag) = (encryption, tag);
            Ok(())
        })
    }

    async fn find_version(
        &self,
        bucket: &str,
        key: &str,
        which: VersionSelector,
    ) -> Result<Option<(Bucket, Option<Version>)>, CatalogError> {
        Ok(self.read(|state| {
            let bucket = state.buckets.get(bucket)?.clone();
            let version = state.select(bucket.id, key, which).map(|(version, _)| version);
            Some((bucket, version))
        }))
    }

    async fn find_version_data(
        &self,
        bucket: &str,
        key: &str,
        which: VersionSelector,
    ) -> Result<Option<(Bucket, Option<(Version, VersionData)>)>, CatalogError> {
        Ok(self.read(|state| {
            let bucket = state.buckets.get(bucket)?.clone();
            let found = state.select(bucket.id, key, which).map(|(version, stored)| (version, stored.data.clone()));
            Some((bucket, found))
        }))
    }

    async fn put_version(&self, version: NewVersion, expect: Expect) -> Result<Committed, CatalogError> {
        let upload_id = version.upload_id;
        self.write(|state, now| state.put(version, Vec::new(), expect, upload_id, now))
    }

    async fn reseal_version(
        &self,
        bucket_id: BucketId,
        key: &str,
        version_id: VersionId,
        present: &[u8],
        envelope: Envelope,
        record: Vec<u8>,
    ) -> Result<(), CatalogError> {
        self.write(|state, _| {
            state.bucket_of(bucket_id)?;
            let versions = state.versions.get_mut(&(bucket_id, key.to_owned())).ok_or(CatalogError::NoSuchVersion)?;
            let found = versions.iter_mut().find(|stored| stored.version.version_id == version_id).ok_or(CatalogError::NoSuchVersion)?;
            let version = &mut Arc::make_mut(found).version;
            match &mut version.envelope {
                None => Err(CatalogError::NoSuchVersion),
                Some(sealed) if sealed.sealed_keys != present => Err(CatalogError::PreconditionFailed),
                Some(sealed) => {
                    (*sealed, version.record) = (envelope, record);
                    Ok(())
                }
            }
        })
    }

    async fn delete_version(
        &self,
        bucket_id: BucketId,
        key: &str,
        which: VersionSelector,
        expect: Expect,
        marker: VersionId,
        now: UnixMillis,
    ) -> Result<Deleted, CatalogError> {
        self.write(|state, died| {
            let versioning = state.bucket_of(bucket_id)?.versioning;
            state.check(bucket_id, key, expect)?;
            match which {
                VersionSelector::Latest if versioning == Versioning::Unversioned => {
                    state.remove(bucket_id, key, VersionSelector::Null, died)
                }
                VersionSelector::Latest => state.mark_deleted(bucket_id, key, marker, now, died),
                VersionSelector::Null | VersionSelector::Id(_) => state.remove(bucket_id, key, which, died),
            }
        })
    }

    async fn list_objects(&self, query: ListQuery) -> Result<ListPage<Version>, CatalogError> {
        self.read(|state| {
            state.bucket_of(query.bucket_id)?;
            let keys = state.versions.keys().filter(|(bucket, _)| *bucket == query.bucket_id);
            let latest = keys.filter_map(|(bucket, key)| state.select(*bucket, key, VersionSelector::Latest));
            let items = latest.filter(|(version, _)| !version.is_delete_marker).map(|(version, _)| {
                let is_after = query.after.as_deref().is_none_or(|after| version.key.as_str() > after);
                (version.key.clone(), is_after, version)
            });
            Ok(page(&query, items))
        })
    }

    async fn create_upload(&self, upload: Upload) -> Result<(), CatalogError> {
        self.write(|state, _| {
            state.bucket_of(upload.bucket_id)?;
            match state.uploads.insert(upload.upload_id, StoredUpload { upload, parts: BTreeMap::new() }) {
                None => Ok(()),
                Some(_) => Err(CatalogError::Damaged("a new upload has the id of another".to_owned())),
            }
        })
    }

    async fn find_upload(&self, bucket: &str, key: &str, upload_id: UploadId) -> Result<Option<(Bucket, Option<Upload>)>, CatalogError> {
        Ok(self.read(|state| {
            let bucket = state.buckets.get(bucket)?.clone();
            let upload = state.upload_of(bucket.id, key, upload_id).ok().map(|stored| stored.upload.clone());
            Some((bucket, upload))
        }))
    }

    async fn put_part(&self, upload_id: UploadId, part: Part) -> Result<(), CatalogError> {
        self.write(|state, now| {
            state.uploads.get(&upload_id).ok_or(CatalogError::NoSuchUpload)?;
            state.retain(BlobUse::New { id: part.blob, len_bytes: part.blob_len_bytes })?;
            let stored = state.uploads.get_mut(&upload_id).ok_or(CatalogError::NoSuchUpload)?;
            match stored.parts.insert(part.number, part) {
                Some(replaced) => state.release(replaced.blob, now),
                None => Ok(()),
            }
        })
    }

    async fn list_parts(&self, upload_id: UploadId, after: u16, limit: usize) -> Result<Vec<Part>, CatalogError> {
        Ok(self.read(|state| {
            let parts = state.uploads.get(&upload_id).into_iter().flat_map(|stored| stored.parts.values());
            parts.filter(|part| part.number > after).take(limit).cloned().collect()
        }))
    }

    async fn complete_upload(
        &self,
        upload_id: UploadId,
        used: Vec<(u16, BlobKey)>,
        version: NewVersion,
        expect: Expect,
    ) -> Result<Committed, CatalogError> {
        self.write(|state, now| {
            let stored = state.upload_of(version.bucket_id, &version.key, upload_id)?;
            let mut kept = BTreeSet::new();
            for &(number, blob) in &used {
                if stored.parts.get(&number).is_none_or(|part| part.blob != blob) || !kept.insert(number) {
                    return Err(CatalogError::PartChanged(number));
                }
            }
            let blobs = used.iter().map(|&(_, blob)| blob).collect();
            let committed = state.put(version, blobs, expect, Some(upload_id), now)?;
            state.end_upload(upload_id, &kept, now)?;
            Ok(committed)
        })
    }

    async fn find_completed(&self, bucket_id: BucketId, key: &str, upload_id: UploadId) -> Result<Option<Version>, CatalogError> {
        Ok(self.read(|state| {
            let stored = state.versions_of(bucket_id, key).iter().rev().find(|stored| stored.upload_id == Some(upload_id))?;
            state.select(bucket_id, key, VersionSelector::Id(stored.version.version_id)).map(|(version, _)| version)
        }))
    }

    async fn abort_upload(&self, bucket_id: BucketId, key: &str, upload_id: UploadId) -> Result<(), CatalogError> {
        self.write(|state, now| {
            state.upload_of(bucket_id, key, upload_id)?;
            state.end_upload(upload_id, &BTreeSet::new(), now)
        })
    }

    async fn list_uploads(&self, query: ListQuery, after_upload: Option<UploadId>) -> Result<ListPage<Upload>, CatalogError> {
        self.read(|state| {
            state.bucket_of(query.bucket_id)?;
            let place = |upload: &Upload| (upload.initiated, upload.upload_id);
            let marker = |id| query.after.as_deref().and_then(|key| state.upload_of(query.bucket_id, key, id).ok());
            let is_after = |upload: &Upload| match (query.after.as_deref(), after_upload) {
                (None, _) => true,
                (Some(key), Some(id)) if key == upload.key => marker(id).is_none_or(|marker| place(upload) > place(&marker.upload)),
                (Some(key), _) => upload.key.as_str() > key,
            };
            let uploads = state.uploads.values().map(|stored| &stored.upload).filter(|upload| upload.bucket_id == query.bucket_id);
            let mut uploads: Vec<Upload> = uploads.cloned().collect();
            uploads.sort_by_key(|upload| (upload.key.clone(), place(upload)));
            Ok(page(&query, uploads.into_iter().map(|upload| (upload.key.clone(), is_after(&upload), upload))))
        })
    }

    async fn dead_blobs(&self, died_before: UnixMillis, limit: usize) -> Result<Vec<BlobKey>, CatalogError> {
        Ok(self.read(|state| {
            let dead = state.blobs.iter().filter(|(_, blob)| blob.refs == 0 && blob.died_at < died_before);
            let mut dead: Vec<_> = dead.map(|(id, blob)| (blob.died_at, *id)).collect();
            dead.sort_unstable();
            dead.into_iter().take(limit).map(|(_, id)| id).collect()
        }))
    }

    async fn forget_blobs(&self, blobs: Vec<BlobKey>) -> Result<(), CatalogError> {
        self.write(|state, _| {
            state.blobs.retain(|id, blob| blob.refs > 0 || !blobs.contains(id));
            Ok(())
        })
    }

    async fn known_blobs(&self, blobs: Vec<BlobKey>) -> Result<Vec<bool>, CatalogError> {
        Ok(self.read(|state| blobs.iter().map(|id| state.blobs.contains_key(id)).collect()))
    }

    async fn key_usage(&self, backend: &str, key_id: &str) -> Result<Vec<KeyUsage>, CatalogError> {
        let is_meant = |key: &&KeyRef| key.backend == backend && key.key_id == key_id;
        let mut usages: BTreeMap<u32, KeyUsage> = BTreeMap::new();
        let mut count = |key: &KeyRef, versions, bytes, uploads| {
            let usage = usages.entry(key.version).or_insert(KeyUsage { key: key.clone(), versions: 0, bytes: 0, uploads: 0 });
            usage.versions += versions;
            usage.bytes += bytes;
            usage.uploads += uploads;
        };
        self.read(|state| {
            for version in state.versions.values().flatten().map(|stored| &stored.version) {
                if let Some(key) = version.envelope.as_ref().and_then(|envelope| envelope.key.as_ref()).filter(is_meant) {
                    count(key, 1, version.size_bytes, 0);
                }
            }
            for stored in state.uploads.values() {
                if let Some(key) = stored.upload.envelope.key.as_ref().filter(is_meant) {
                    count(key, 0, 0, 1);
                }
            }
        });
        Ok(usages.into_values().collect())
    }

    async fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, CatalogError> {
        Ok(self.read(|state| state.settings.get(name).cloned()))
    }

    async fn set_setting(&self, name: &str, present: Option<Vec<u8>>, value: Vec<u8>) -> Result<(), CatalogError> {
        self.write(|state, _| {
            if state.settings.get(name) != present.as_ref() {
                return Err(CatalogError::PreconditionFailed);
            }
            state.settings.insert(name.to_owned(), value);
            Ok(())
        })
    }
}
