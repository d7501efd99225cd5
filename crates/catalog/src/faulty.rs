//! A catalog that fails on command.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::{
    BlobId, Bucket, BucketEncryption, BucketId, Catalog, CatalogError, Committed, DeadBlob, Deleted, Expect, Job, JobId, KeyRef, KeyUsage,
    ListPage, ListQuery, NewVersion, Part, Reseal, Scope, ScopePage, ScopePlace, ScopeTally, ScopedUpload, ScopedVersion, UnixMillis,
    Upload, UploadId, Version, VersionData, VersionId, VersionSelector,
};

/// When a write fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultMoment {
    /// Before it took effect.
    Before,
    /// After it took effect: the answer is lost. A write that was refused anyway keeps its own answer.
    After,
}

type MakeError = Box<dyn FnOnce() -> CatalogError + Send>;

/// Passes calls on, but for the writes that it was told to fail.
pub struct FaultyCatalog {
    inner: Arc<dyn Catalog>,
    plan: Mutex<Plan>,
}

#[derive(Default)]
struct Plan {
    writes: u64,
    blobs_asked_for: u64,
    faults: Vec<Fault>,
}

struct Fault {
    /// The count of writes at which it strikes.
    at: u64,
    moment: FaultMoment,
    error: MakeError,
}

impl FaultyCatalog {
    /// Wraps a catalog; nothing fails yet.
    pub fn new(inner: Arc<dyn Catalog>) -> Self {
        Self { inner, plan: Mutex::default() }
    }

    /// Fails the `nth` write from now (1 is the next one) with `error`. May be called for several writes.
    pub fn fail_write(&self, nth: u64, moment: FaultMoment, error: impl FnOnce() -> CatalogError + Send + 'static) {
        let mut plan = self.plan();
        let at = plan.writes + nth;
        plan.faults.push(Fault { at, moment, error: Box::new(error) });
    }

    /// Writes so far, failed ones too.
    pub fn writes(&self) -> u64 {
        self.plan().writes
    }

    /// How many blobs [`Catalog::known_blobs`] was asked for so far.
    pub fn blobs_asked_for(&self) -> u64 {
        self.plan().blobs_asked_for
    }

    /// Faults that have not struck yet.
    pub fn pending_faults(&self) -> usize {
        self.plan().faults.len()
    }

    async fn write<T>(&self, call: impl Future<Output = Result<T, CatalogError>> + Send) -> Result<T, CatalogError> {
        let fault = self.plan().strike();
        match fault {
            None => call.await,
            Some(Fault { moment: FaultMoment::Before, error, .. }) => Err(error()),
            Some(Fault { moment: FaultMoment::After, error, .. }) => {
                call.await?;
                Err(error())
            }
        }
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plan {
    fn strike(&mut self) -> Option<Fault> {
        self.writes += 1;
        let found = self.faults.iter().position(|fault| fault.at == self.writes)?;
        Some(self.faults.swap_remove(found))
    }
}

impl fmt::Debug for FaultyCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyCatalog").field("writes", &self.writes()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Catalog for FaultyCatalog {
    async fn create_bucket(&self, bucket: Bucket) -> Result<(), CatalogError> {
        self.write(self.inner.create_bucket(bucket)).await
    }

    async fn bucket(&self, name: &str) -> Result<Option<Bucket>, CatalogError> {
        self.inner.bucket(name).await
    }

    async fn list_buckets(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Bucket>, CatalogError> {
        self.inner.list_buckets(prefix, after, limit).await
    }

    async fn delete_bucket(&self, name: &str) -> Result<(), CatalogError> {
        self.write(self.inner.delete_bucket(name)).await
    }

    async fn set_bucket_encryption(&self, name: &str, encryption: Option<BucketEncryption>, tag: Vec<u8>) -> Result<(), CatalogError> {
        self.write(self.inner.set_bucket_encryption(name, encryption, tag)).await
    }

    async fn find_version(
        &self,
        bucket: &str,
        key: &str,
        which: VersionSelector,
    ) -> Result<Option<(Bucket, Option<Version>)>, CatalogError> {
        self.inner.find_version(bucket, key, which).await
    }

    async fn find_version_data(
        &self,
        bucket: &str,
        key: &str,
        which: VersionSelector,
    ) -> Result<Option<(Bucket, Option<(Version, VersionData)>)>, CatalogError> {
        self.inner.find_version_data(bucket, key, which).await
    }

    async fn put_version(&self, version: NewVersion, expect: Expect) -> Result<Committed, CatalogError> {
        self.write(self.inner.put_version(version, expect)).await
    }

    async fn reseal_version(&self, version_id: VersionId, reseal: Reseal, part_record: Vec<u8>) -> Result<(), CatalogError> {
        self.write(self.inner.reseal_version(version_id, reseal, part_record)).await
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
        self.write(self.inner.delete_version(bucket_id, key, which, expect, marker, now)).await
    }

    async fn list_objects(&self, query: ListQuery) -> Result<ListPage<Version>, CatalogError> {
        self.inner.list_objects(query).await
    }

    async fn create_upload(&self, upload: Upload) -> Result<(), CatalogError> {
        self.write(self.inner.create_upload(upload)).await
    }

    async fn find_upload(&self, bucket: &str, key: &str, upload_id: UploadId) -> Result<Option<(Bucket, Option<Upload>)>, CatalogError> {
        self.inner.find_upload(bucket, key, upload_id).await
    }

    async fn put_part(&self, upload_id: UploadId, part: Part) -> Result<(), CatalogError> {
        self.write(self.inner.put_part(upload_id, part)).await
    }

    async fn share_part(&self, upload_id: UploadId, part: Part) -> Result<(), CatalogError> {
        self.write(self.inner.share_part(upload_id, part)).await
    }

    async fn list_parts(&self, upload_id: UploadId, after: u16, limit: usize) -> Result<Vec<Part>, CatalogError> {
        self.inner.list_parts(upload_id, after, limit).await
    }

    async fn complete_upload(
        &self,
        upload_id: UploadId,
        used: Vec<(u16, BlobId)>,
        version: NewVersion,
        expect: Expect,
    ) -> Result<Committed, CatalogError> {
        self.write(self.inner.complete_upload(upload_id, used, version, expect)).await
    }

    async fn find_completed(&self, bucket_id: BucketId, key: &str, upload_id: UploadId) -> Result<Option<Version>, CatalogError> {
        self.inner.find_completed(bucket_id, key, upload_id).await
    }

    async fn reseal_upload(&self, upload_id: UploadId, reseal: Reseal) -> Result<(), CatalogError> {
        self.write(self.inner.reseal_upload(upload_id, reseal)).await
    }

    async fn abort_upload(&self, bucket_id: BucketId, key: &str, upload_id: UploadId) -> Result<(), CatalogError> {
        self.write(self.inner.abort_upload(bucket_id, key, upload_id)).await
    }

    async fn list_uploads(&self, query: ListQuery, after_upload: Option<UploadId>) -> Result<ListPage<Upload>, CatalogError> {
        self.inner.list_uploads(query, after_upload).await
    }

    async fn dead_blobs(&self, died_before: UnixMillis, after: Option<DeadBlob>, limit: usize) -> Result<Vec<DeadBlob>, CatalogError> {
        self.inner.dead_blobs(died_before, after, limit).await
    }

    async fn forget_blobs(&self, blobs: Vec<BlobId>) -> Result<(), CatalogError> {
        self.write(self.inner.forget_blobs(blobs)).await
    }

    async fn known_blobs(&self, blobs: Vec<BlobId>) -> Result<Vec<bool>, CatalogError> {
        self.plan().blobs_asked_for += blobs.len() as u64;
        self.inner.known_blobs(blobs).await
    }

    async fn versions_in(&self, scope: Scope, after: ScopePlace, limit: usize) -> Result<ScopePage<ScopedVersion>, CatalogError> {
        self.inner.versions_in(scope, after, limit).await
    }

    async fn tally_in(&self, scope: Scope, after: ScopePlace, limit: usize) -> Result<ScopeTally, CatalogError> {
        self.inner.tally_in(scope, after, limit).await
    }

    async fn uploads_in(&self, scope: Scope, after: ScopePlace, limit: usize) -> Result<ScopePage<ScopedUpload>, CatalogError> {
        self.inner.uploads_in(scope, after, limit).await
    }

    async fn last_position(&self) -> Result<i64, CatalogError> {
        self.inner.last_position().await
    }

    async fn put_job(&self, job: Job) -> Result<(), CatalogError> {
        self.write(self.inner.put_job(job)).await
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>, CatalogError> {
        self.inner.job(id).await
    }

    async fn list_jobs(&self, kind: &str, only_active: bool, limit: usize) -> Result<Vec<Job>, CatalogError> {
        self.inner.list_jobs(kind, only_active, limit).await
    }

    async fn key_usage(&self, backend: &str, key_id: &str) -> Result<Vec<KeyUsage>, CatalogError> {
        self.inner.key_usage(backend, key_id).await
    }

    async fn is_key_in_use(&self, backend: &str, key_id: &str) -> Result<bool, CatalogError> {
        self.inner.is_key_in_use(backend, key_id).await
    }

    async fn keys_in_use(&self, after: Option<KeyRef>, limit: usize) -> Result<Vec<KeyUsage>, CatalogError> {
        self.inner.keys_in_use(after, limit).await
    }

    async fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, CatalogError> {
        self.inner.setting(name).await
    }

    async fn set_setting(&self, name: &str, present: Option<Vec<u8>>, value: Vec<u8>) -> Result<(), CatalogError> {
        self.write(self.inner.set_setting(name, present, value)).await
    }
}
