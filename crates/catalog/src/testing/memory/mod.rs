//! A catalog in memory, kept simple enough to be believed: every other engine is compared with it.

mod entities;
mod outbox;
mod state;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::{
    AccessKeyUse, BlobId, BlobUse, Bucket, BucketChange, BucketId, Catalog, CatalogError, Clock, Committed, CommittedRow, DeadBlob,
    DeadSelector, Deleted, Deletion, Entity, EntityChange, EntityKind, EntityName, Expect, Job, JobId, KeyRef, KeyUsage, ListPage,
    ListQuery, LockedVersion, MAX_FINISHED_JOBS, NewVersion, OutboxEvent, OutboxTarget, Part, Reseal, Scope, ScopePage, ScopePlace,
    ScopeTally, ScopedUpload, ScopedVersion, SettledEvent, UnixMillis, Upload, UploadId, Version, VersionChange, VersionData, VersionEntry,
    VersionSelector, Versioning,
};
use state::{State, Stored, StoredUpload, covers, next_page, page, place};

/// The whole catalog under one lock. A write works on a copy, which takes the place of the original only if it succeeds.
#[derive(Debug, Default)]
pub struct MemoryCatalog {
    state: Mutex<State>,
    clock: Clock,
}

impl MemoryCatalog {
    /// An empty catalog.
    pub fn new(clock: Clock) -> Self {
        Self { state: Mutex::default(), clock }
    }

    /// Every blob that something refers to, and how often.
    pub fn live_blobs(&self) -> BTreeMap<BlobId, u64> {
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
            state.bucket_changes += 1;
            if state.versions.keys().any(|(id, _)| *id == bucket.id) {
                return Err(CatalogError::BucketNotEmpty);
            }
            let uploads = state.uploads.values().filter(|stored| stored.upload.bucket_id == bucket.id);
            for id in uploads.map(|stored| stored.upload.upload_id).collect::<Vec<_>>() {
                state.end_upload(id, &BTreeSet::new(), now)?;
            }
            state.documents.retain(|(of, _), _| *of != bucket.id);
            Ok(())
        })
    }

    fn bucket_changes(&self) -> u64 {
        self.read(|state| state.bucket_changes)
    }

    async fn change_bucket(&self, id: BucketId, seen: u64, change: BucketChange) -> Result<(), CatalogError> {
        self.write(|state, _| {
            let bucket = state.buckets.values_mut().find(|bucket| bucket.id == id).ok_or(CatalogError::NoSuchBucket)?;
            if bucket.revision != seen {
                return Err(CatalogError::PreconditionFailed);
            }
            (bucket.revision, bucket.former) = (seen + 1, None);
            state.bucket_changes += 1;
            (bucket.versioning, bucket.record) = (change.versioning, change.record);
            for (kind, document) in change.documents {
                match document {
                    Some(document) => state.documents.insert((id, kind), document),
                    None => state.documents.remove(&(id, kind)),
                };
            }
            change.events.into_iter().for_each(|event| state.outbox.add_any(Some(event)));
            Ok(())
        })
    }

    async fn bucket_document(&self, name: &str, kind: &str) -> Result<Option<(Bucket, Option<Vec<u8>>)>, CatalogError> {
        Ok(self.read(|state| {
            let bucket = state.buckets.get(name)?.clone();
            let document = state.documents.get(&(bucket.id, kind.to_owned())).cloned();
            Some((bucket, document))
        }))
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

    async fn change_version(&self, change: VersionChange) -> Result<(), CatalogError> {
        self.write(|state, _| {
            state.bucket_of(change.bucket_id)?;
            let versions = state.versions.get_mut(&(change.bucket_id, change.key)).ok_or(CatalogError::NoSuchVersion)?;
            let found = versions.iter_mut().find(|stored| stored.version.version_id == change.version_id);
            let Stored { version, data, .. } = Arc::make_mut(found.ok_or(CatalogError::NoSuchVersion)?);
            if version.is_delete_marker {
                return Err(CatalogError::NoSuchVersion);
            }
            if version.revision != change.seen {
                return Err(CatalogError::PreconditionFailed);
            }
            version.revision += 1;
            (version.lock, version.envelope, version.record) = (change.lock, Some(change.envelope), change.record);
            data.part_record = change.part_record;
            state.outbox.add_any(change.event);
            Ok(())
        })
    }

    async fn delete_version(&self, deletion: Deletion) -> Result<Deleted, CatalogError> {
        let Deletion { bucket_id, key, which, expect, seen, marker, modified, bypass, events } = deletion;
        self.write(|state, died| {
            let versioning = state.bucket_of(bucket_id)?.versioning;
            state.check(bucket_id, &key, expect)?;
            let found = state.select(bucket_id, &key, which);
            if seen.is_some_and(|seen| found.is_some_and(|(version, _)| version.revision != seen)) {
                return Err(CatalogError::PreconditionFailed);
            }
            let deleted = match which {
                VersionSelector::Latest if versioning == Versioning::Unversioned => {
                    state.remove(bucket_id, &key, VersionSelector::Null, died, bypass)
                }
                VersionSelector::Latest => state.mark_deleted(bucket_id, &key, marker, modified, died),
                VersionSelector::Null | VersionSelector::Id(_) => state.remove(bucket_id, &key, which, died, bypass),
            }?;
            state.outbox.add_of(events, &deleted);
            Ok(deleted)
        })
    }

    async fn list_objects(&self, query: ListQuery) -> Result<ListPage<VersionEntry>, CatalogError> {
        self.read(|state| {
            state.bucket_of(query.bucket_id)?;
            let keys = state.versions.keys().filter(|(bucket, _)| *bucket == query.bucket_id);
            let latest = keys.filter_map(|(bucket, key)| state.select(*bucket, key, VersionSelector::Latest));
            let items = latest.filter(|(version, _)| !version.is_delete_marker).map(|(version, _)| {
                let is_after = query.after.as_deref().is_none_or(|after| version.key.as_str() > after);
                (version.key.clone(), is_after, VersionEntry::from(version))
            });
            Ok(page(&query, items))
        })
    }

    async fn list_versions(
        &self,
        query: ListQuery,
        after_version: Option<VersionSelector>,
    ) -> Result<ListPage<VersionEntry>, CatalogError> {
        self.read(|state| {
            state.bucket_of(query.bucket_id)?;
            let marker = query.after.as_deref().zip(after_version).and_then(|(key, which)| state.select(query.bucket_id, key, which));
            let marker = marker.map(|(_, stored)| stored.position);
            let is_after = |key: &str, position: i64| match query.after.as_deref() {
                None => true,
                Some(after) if after == key => after_version.is_some() && marker.is_none_or(|marker| position < marker),
                Some(after) => key > after,
            };
            let mut items = Vec::new();
            for ((_, key), versions) in state.versions.iter().filter(|((bucket, _), _)| *bucket == query.bucket_id) {
                for stored in versions.iter().rev() {
                    let which = VersionSelector::Id(stored.version.version_id);
                    let found = state.select(query.bucket_id, key, which).map(|(version, _)| version);
                    items.extend(found.map(|version| (key.clone(), is_after(key, stored.position), VersionEntry::from(version))));
                }
            }
            Ok(page(&query, items.into_iter()))
        })
    }

    async fn create_upload(&self, upload: Upload) -> Result<(), CatalogError> {
        self.write(|state, _| {
            state.bucket_of(upload.bucket_id)?;
            state.last_position += 1;
            let position = state.last_position;
            match state.uploads.insert(upload.upload_id, StoredUpload { position, upload, parts: BTreeMap::new() }) {
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
        let blob = BlobUse::New { id: part.blob, len_bytes: part.blob_len_bytes };
        self.write(|state, now| state.put_part(upload_id, part, blob, now))
    }

    async fn share_part(&self, upload_id: UploadId, part: Part) -> Result<(), CatalogError> {
        let blob = BlobUse::Shared { id: part.blob };
        self.write(|state, now| state.put_part(upload_id, part, blob, now))
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
        used: Vec<(u16, BlobId)>,
        version: NewVersion,
        expect: Expect,
    ) -> Result<Committed, CatalogError> {
        self.write(|state, now| {
            let stored = state.upload_of(version.bucket_id, &version.key, upload_id)?;
            if stored.upload.envelope.sealed_keys != version.envelope.sealed_keys {
                return Err(CatalogError::UploadResealed);
            }
            let mut kept = BTreeSet::new();
            for &(number, blob) in &used {
                if stored.parts.get(&number).is_none_or(|part| part.blob != blob) || !kept.insert(number) {
                    return Err(CatalogError::PartChanged(number));
                }
            }
            let mut seen = BTreeSet::new();
            let (blobs, repeated): (Vec<_>, Vec<_>) = used.iter().map(|&(_, blob)| blob).partition(|blob| seen.insert(*blob));
            let committed = state.put(version, blobs, expect, Some(upload_id), now)?;
            for blob in repeated {
                state.release(blob, now)?;
            }
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

    async fn reseal_upload(&self, upload_id: UploadId, reseal: Reseal) -> Result<(), CatalogError> {
        self.write(|state, _| {
            state.upload_of(reseal.bucket_id, &reseal.key, upload_id)?;
            let upload = &mut state.uploads.get_mut(&upload_id).ok_or(CatalogError::NoSuchUpload)?.upload;
            if upload.envelope.sealed_keys != reseal.present {
                return Err(CatalogError::PreconditionFailed);
            }
            (upload.envelope, upload.record) = (reseal.envelope, reseal.record);
            Ok(())
        })
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

    async fn dead_blobs(&self, died_before: UnixMillis, after: Option<DeadBlob>, limit: usize) -> Result<Vec<DeadBlob>, CatalogError> {
        Ok(self.read(|state| {
            let dead = state.blobs.iter().filter(|(_, blob)| blob.refs == 0 && blob.died_at < died_before);
            let mut dead: Vec<_> = dead.map(|(id, blob)| DeadBlob { died_at: blob.died_at, id: *id }).collect();
            dead.sort_unstable();
            dead.into_iter().filter(|blob| after.is_none_or(|after| *blob > after)).take(limit).collect()
        }))
    }

    async fn forget_blobs(&self, blobs: Vec<BlobId>) -> Result<(), CatalogError> {
        self.write(|state, _| {
            state.blobs.retain(|id, blob| blob.refs > 0 || !blobs.contains(id));
            Ok(())
        })
    }

    async fn known_blobs(&self, blobs: Vec<BlobId>) -> Result<Vec<bool>, CatalogError> {
        Ok(self.read(|state| blobs.iter().map(|id| state.blobs.contains_key(id)).collect()))
    }

    async fn versions_in(&self, scope: Scope, after: ScopePlace, limit: usize) -> Result<ScopePage<ScopedVersion>, CatalogError> {
        self.read(|state| {
            state.check_scope(&scope, &after)?;
            let key = |found: &ScopedVersion| scope.by_key(&after).map(|_| found.version.key.clone());
            let is_walked = |found: &ScopedVersion| {
                scope.by_key(&after).is_none_or(|bucket| bucket == found.bucket.id && found.version.key.starts_with(&scope.prefix))
            };
            let place = |found: &ScopedVersion| ScopePlace { key: key(found), position: found.position };
            let walked = state.all_versions().into_iter().filter(is_walked).filter(|found| place(found) > after).collect();
            let (looked_at, next) = next_page(walked, limit, place);
            let items = looked_at.into_iter().filter(|found| covers(&scope, found)).collect();
            Ok(ScopePage { items, unreadable: 0, next })
        })
    }

    async fn tally_in(&self, scope: Scope, after: ScopePlace, limit: usize) -> Result<ScopeTally, CatalogError> {
        let ScopePage { items, next, .. } = self.versions_in(scope, after, limit).await?;
        let bytes = items.iter().map(|found| found.version.size_bytes).sum();
        Ok(ScopeTally { versions: items.len() as u64, bytes, next })
    }

    async fn uploads_in(&self, scope: Scope, after: ScopePlace, limit: usize) -> Result<ScopePage<ScopedUpload>, CatalogError> {
        self.read(|state| {
            let stored = state.uploads.values().filter(|stored| stored.position > after.position);
            let found = stored.map(|stored| {
                let bucket = state.bucket_of(stored.upload.bucket_id)?.clone();
                Ok(ScopedUpload { position: stored.position, bucket, upload: stored.upload.clone() })
            });
            let found = found.collect::<Result<Vec<_>, CatalogError>>()?;
            let (mut looked_at, next) = next_page(found, limit, |found| ScopePlace { key: None, position: found.position });
            looked_at.retain(|found| {
                let Upload { key, envelope, .. } = &found.upload;
                scope.covers(&found.bucket.id, key, envelope.mode, envelope.key.as_ref())
            });
            Ok(ScopePage { items: looked_at, unreadable: 0, next })
        })
    }

    async fn committed_after(&self, bucket_id: BucketId, after: i64, limit: usize) -> Result<Vec<CommittedRow>, CatalogError> {
        self.read(|state| {
            state.bucket_of(bucket_id)?;
            let of_bucket = state.versions.iter().filter(|((bucket, _), _)| *bucket == bucket_id);
            let mut rows: Vec<CommittedRow> = of_bucket
                .flat_map(|((_, key), versions)| {
                    let newest = versions.iter().map(|stored| stored.position).max();
                    versions.iter().filter(|stored| stored.position > after).map(move |stored| CommittedRow {
                        position: stored.position,
                        key: Some(key.clone()),
                        is_latest: Some(stored.position) == newest,
                        is_delete_marker: stored.version.is_delete_marker,
                        size_bytes: stored.version.size_bytes,
                        modified: stored.version.modified,
                    })
                })
                .collect();
            rows.sort_by_key(|row| row.position);
            rows.truncate(limit);
            Ok(rows)
        })
    }

    async fn last_position(&self) -> Result<i64, CatalogError> {
        Ok(self.read(|state| state.last_position))
    }

    async fn put_job(&self, job: Job) -> Result<(), CatalogError> {
        self.write(|state, _| {
            match state.jobs.iter_mut().find(|present| present.id == job.id) {
                Some(present) => (present.is_active, present.record) = (job.is_active, job.record),
                None => state.jobs.push(job.clone()),
            }
            let ended: Vec<_> = state.newest_jobs(&job.kind, false).filter(|job| !job.is_active).map(|job| job.id).collect();
            let forgotten = ended.get(MAX_FINISHED_JOBS..).unwrap_or_default();
            state.jobs.retain(|job| !forgotten.contains(&job.id));
            Ok(())
        })
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>, CatalogError> {
        Ok(self.read(|state| state.jobs.iter().find(|job| job.id == id).cloned()))
    }

    async fn list_jobs(&self, kind: &str, only_active: bool, limit: usize) -> Result<Vec<Job>, CatalogError> {
        Ok(self.read(|state| state.newest_jobs(kind, only_active).take(limit).cloned().collect()))
    }

    async fn queued_events(&self, target: &str, after: i64, limit: usize) -> Result<Vec<OutboxEvent>, CatalogError> {
        Ok(self.read(|state| state.outbox.queued(target, after, limit)))
    }

    async fn settle_events(&self, target: &str, settled: Vec<SettledEvent>, max_dead: u64) -> Result<Vec<OutboxEvent>, CatalogError> {
        self.write(|state, _| Ok(state.outbox.settle(target, &settled, max_dead)))
    }

    async fn dead_events(&self, target: Option<&str>, after: i64, limit: usize) -> Result<Vec<OutboxEvent>, CatalogError> {
        Ok(self.read(|state| state.outbox.dead(target, after, limit)))
    }

    async fn requeue_dead(&self, which: DeadSelector) -> Result<usize, CatalogError> {
        self.write(|state, _| Ok(state.outbox.requeue(&which)))
    }

    async fn drop_dead(&self, which: DeadSelector) -> Result<usize, CatalogError> {
        self.write(|state, _| Ok(state.outbox.drop_dead(&which)))
    }

    async fn drop_queued(&self, target: &str) -> Result<usize, CatalogError> {
        self.write(|state, _| Ok(state.outbox.drop_queued(target)))
    }

    async fn outbox(&self) -> Result<Vec<OutboxTarget>, CatalogError> {
        Ok(self.read(|state| state.outbox.targets()))
    }

    async fn entities(&self, names: Vec<EntityName>) -> Result<Vec<Option<Entity>>, CatalogError> {
        Ok(self.read(|state| names.iter().map(|name| state.entities.find(name)).collect()))
    }

    async fn list_entities(&self, kind: EntityKind, account: &str, after: Option<&str>, limit: usize) -> Result<Vec<Entity>, CatalogError> {
        Ok(self.read(|state| state.entities.list(kind, account, after, limit)))
    }

    async fn count_entities(&self, kind: EntityKind, account: &str) -> Result<u64, CatalogError> {
        Ok(self.read(|state| state.entities.list(kind, account, None, usize::MAX).len() as u64))
    }

    async fn count_referring(&self, to: EntityName) -> Result<u64, CatalogError> {
        Ok(self.read(|state| state.entities.count_referring(&to)))
    }

    async fn referring_entities(
        &self,
        to: EntityName,
        kind: EntityKind,
        after: Option<EntityName>,
        limit: usize,
    ) -> Result<Vec<Entity>, CatalogError> {
        Ok(self.read(|state| state.entities.referring(&to, kind, after.as_ref(), limit)))
    }

    async fn change_entities(&self, changes: Vec<EntityChange>) -> Result<Vec<u64>, CatalogError> {
        self.write(|state, _| state.entities.change(changes))
    }

    fn entity_changes(&self) -> u64 {
        self.read(|state| state.entities.changes())
    }

    async fn note_access_key_uses(&self, uses: Vec<AccessKeyUse>) -> Result<(), CatalogError> {
        self.write(|state, _| {
            for one in uses {
                state.entities.note_use(one);
            }
            Ok(())
        })
    }

    async fn access_key_use(&self, access_key: &str) -> Result<Option<AccessKeyUse>, CatalogError> {
        Ok(self.read(|state| state.entities.last_use(access_key)))
    }

    async fn key_usage(&self, backend: &str, key_id: &str) -> Result<Vec<KeyUsage>, CatalogError> {
        let usages = self.read(State::usages);
        Ok(usages.into_iter().filter(|usage| usage.key.backend == backend && usage.key.key_id == key_id).collect())
    }

    async fn is_key_in_use(&self, backend: &str, key_id: &str) -> Result<bool, CatalogError> {
        Ok(!self.key_usage(backend, key_id).await?.is_empty())
    }

    async fn locked_under_key(&self, backend: &str, key_id: &str, limit: usize) -> Result<Vec<LockedVersion>, CatalogError> {
        let now = self.clock.now();
        self.read(|state| {
            let mut locked = Vec::new();
            for ((bucket, _), versions) in &state.versions {
                let is_meant = |version: &Version| {
                    let key = version.envelope.as_ref().and_then(|envelope| envelope.key.as_ref());
                    key.is_some_and(|key| key.backend == backend && key.key_id == key_id) && version.lock.holds(now, false)
                };
                for stored in versions.iter().filter(|stored| is_meant(&stored.version)) {
                    let Version { key, version_id, lock, .. } = &stored.version;
                    let bucket = state.bucket_of(*bucket)?.name.clone();
                    locked.push((stored.position, LockedVersion { bucket, key: key.clone(), version_id: *version_id, lock: *lock }));
                }
            }
            locked.sort_by_key(|(position, LockedVersion { lock, .. })| {
                let until = lock.retention.map_or(0, |retention| retention.until);
                (Reverse(lock.legal_hold || lock.event_hold), Reverse(until), *position)
            });
            Ok(locked.into_iter().take(limit).map(|(_, version)| version).collect())
        })
    }

    async fn count_locked_under_key(&self, backend: &str, key_id: &str) -> Result<u64, CatalogError> {
        Ok(self.locked_under_key(backend, key_id, usize::MAX).await?.len() as u64)
    }

    async fn keys_in_use(&self, after: Option<KeyRef>, limit: usize) -> Result<Vec<KeyUsage>, CatalogError> {
        let usages = self.read(State::usages).into_iter();
        Ok(usages.filter(|usage| after.as_ref().is_none_or(|after| place(&usage.key) > place(after))).take(limit).collect())
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
