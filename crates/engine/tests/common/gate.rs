//! A catalog whose commits wait at a gate.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use async_trait::async_trait;
use strongroom_catalog::{
    BlobId, Bucket, BucketEncryption, BucketId, Catalog, CatalogError, Committed, DeadBlob, Deleted, Expect, Job, JobId, KeyRef, KeyUsage,
    ListPage, ListQuery, NewVersion, Part, Reseal, Scope, ScopePage, ScopePlace, ScopeTally, ScopedUpload, ScopedVersion, UnixMillis,
    Upload, UploadId, Version, VersionData, VersionId, VersionSelector,
};
use tokio::sync::watch;

/// Open at first.
pub struct Gate {
    closed: watch::Sender<bool>,
    waiting: AtomicUsize,
    passed: AtomicUsize,
}

impl Default for Gate {
    fn default() -> Self {
        Self { closed: watch::Sender::new(false), waiting: AtomicUsize::new(0), passed: AtomicUsize::new(0) }
    }
}

impl Gate {
    pub fn close(&self) {
        self.passed.store(0, SeqCst);
        self.closed.send_replace(true);
    }

    pub fn open(&self) {
        self.closed.send_replace(false);
    }

    /// Until a commit stands before the gate.
    pub async fn wait_for_writer(&self) {
        self.wait_for_writers(1).await;
    }

    /// Until so many commits stand before the gate.
    pub async fn wait_for_writers(&self, count: usize) {
        while self.waiting.load(SeqCst) < count {
            tokio::task::yield_now().await;
        }
    }

    /// Until a commit that stood there has happened.
    pub async fn wait_for_commit(&self) {
        while self.passed.load(SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    }

    async fn pass<T>(&self, commit: impl Future<Output = T>) -> T {
        self.waiting.fetch_add(1, SeqCst);
        let _ = self.closed.subscribe().wait_for(|closed| !closed).await;
        self.waiting.fetch_sub(1, SeqCst);
        let done = commit.await;
        self.passed.fetch_add(1, SeqCst);
        done
    }
}

pub struct GatedCatalog {
    inner: Arc<dyn Catalog>,
    gate: Arc<Gate>,
}

impl GatedCatalog {
    pub fn new(inner: Arc<dyn Catalog>, gate: Arc<Gate>) -> Self {
        Self { inner, gate }
    }
}

#[async_trait]
impl Catalog for GatedCatalog {
    async fn create_bucket(&self, bucket: Bucket) -> Result<(), CatalogError> {
        self.inner.create_bucket(bucket).await
    }

    async fn bucket(&self, name: &str) -> Result<Option<Bucket>, CatalogError> {
        self.inner.bucket(name).await
    }

    async fn list_buckets(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Bucket>, CatalogError> {
        self.inner.list_buckets(prefix, after, limit).await
    }

    async fn delete_bucket(&self, name: &str) -> Result<(), CatalogError> {
        self.inner.delete_bucket(name).await
    }

    async fn set_bucket_encryption(&self, name: &str, encryption: Option<BucketEncryption>, tag: Vec<u8>) -> Result<(), CatalogError> {
        self.inner.set_bucket_encryption(name, encryption, tag).await
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
        self.gate.pass(self.inner.put_version(version, expect)).await
    }

    async fn reseal_version(&self, version_id: VersionId, reseal: Reseal, part_record: Vec<u8>) -> Result<(), CatalogError> {
        self.gate.pass(self.inner.reseal_version(version_id, reseal, part_record)).await
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
        self.inner.delete_version(bucket_id, key, which, expect, marker, now).await
    }

    async fn list_objects(&self, query: ListQuery) -> Result<ListPage<Version>, CatalogError> {
        self.inner.list_objects(query).await
    }

    async fn create_upload(&self, upload: Upload) -> Result<(), CatalogError> {
        self.inner.create_upload(upload).await
    }

    async fn find_upload(&self, bucket: &str, key: &str, upload_id: UploadId) -> Result<Option<(Bucket, Option<Upload>)>, CatalogError> {
        self.inner.find_upload(bucket, key, upload_id).await
    }

    async fn put_part(&self, upload_id: UploadId, part: Part) -> Result<(), CatalogError> {
        self.gate.pass(self.inner.put_part(upload_id, part)).await
    }

    async fn share_part(&self, upload_id: UploadId, part: Part) -> Result<(), CatalogError> {
        self.gate.pass(self.inner.share_part(upload_id, part)).await
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
        self.gate.pass(self.inner.complete_upload(upload_id, used, version, expect)).await
    }

    async fn find_completed(&self, bucket_id: BucketId, key: &str, upload_id: UploadId) -> Result<Option<Version>, CatalogError> {
        self.inner.find_completed(bucket_id, key, upload_id).await
    }

    async fn reseal_upload(&self, upload_id: UploadId, reseal: Reseal) -> Result<(), CatalogError> {
        self.gate.pass(self.inner.reseal_upload(upload_id, reseal)).await
    }

    async fn abort_upload(&self, bucket_id: BucketId, key: &str, upload_id: UploadId) -> Result<(), CatalogError> {
        self.inner.abort_upload(bucket_id, key, upload_id).await
    }

    async fn list_uploads(&self, query: ListQuery, after_upload: Option<UploadId>) -> Result<ListPage<Upload>, CatalogError> {
        self.inner.list_uploads(query, after_upload).await
    }

    async fn dead_blobs(&self, died_before: UnixMillis, after: Option<DeadBlob>, limit: usize) -> Result<Vec<DeadBlob>, CatalogError> {
        self.inner.dead_blobs(died_before, after, limit).await
    }

    async fn forget_blobs(&self, blobs: Vec<BlobId>) -> Result<(), CatalogError> {
        self.inner.forget_blobs(blobs).await
    }

    async fn known_blobs(&self, blobs: Vec<BlobId>) -> Result<Vec<bool>, CatalogError> {
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
        self.inner.put_job(job).await
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
        self.inner.set_setting(name, present, value).await
    }
}
