//! A catalog with hooks around its calls: the one place where tests come between an engine and its catalog.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    AccessKeyUse, BlobId, Bucket, BucketChange, BucketId, Catalog, CatalogError, Committed, CommittedRow, DeadBlob, DeadSelector, Deleted,
    Deletion, Entity, EntityChange, EntityKind, EntityName, Expect, Job, JobId, KeyRef, KeyUsage, ListPage, ListQuery, LockedVersion,
    NewVersion, OutboxEvent, OutboxTarget, Part, Reseal, Scope, ScopePage, ScopePlace, ScopeTally, ScopedUpload, ScopedVersion,
    SettledEvent, UnixMillis, Upload, UploadId, Version, VersionChange, VersionData, VersionEntry, VersionSelector,
};

/// A method of [`Catalog`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each has the name of its method")]
pub enum Method {
    CreateBucket,
    Bucket,
    ListBuckets,
    DeleteBucket,
    ChangeBucket,
    BucketDocument,
    FindVersion,
    FindVersionData,
    PutVersion,
    ChangeVersion,
    DeleteVersion,
    ListObjects,
    ListVersions,
    CreateUpload,
    FindUpload,
    PutPart,
    SharePart,
    ListParts,
    CompleteUpload,
    FindCompleted,
    ResealUpload,
    AbortUpload,
    ListUploads,
    DeadBlobs,
    ForgetBlobs,
    KnownBlobs,
    VersionsIn,
    TallyIn,
    UploadsIn,
    CommittedAfter,
    LastPosition,
    PutJob,
    Job,
    ListJobs,
    QueuedEvents,
    SettleEvents,
    DeadEvents,
    RequeueDead,
    DropDead,
    DropQueued,
    Outbox,
    Entities,
    ListEntities,
    CountEntities,
    CountReferring,
    ReferringEntities,
    ChangeEntities,
    NoteAccessKeyUses,
    AccessKeyUse,
    KeyUsage,
    IsKeyInUse,
    LockedUnderKey,
    CountLockedUnderKey,
    KeysInUse,
    Setting,
    SetSetting,
}

/// A call of a catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its method.
    pub method: Method,
    /// Whether it is a transaction that may change something.
    pub writes: bool,
    /// How many blobs it asks about, or forgets.
    pub blobs: usize,
}

/// What a hook does after a call that it let pass. It is told whether the call succeeded; where it did, an error takes the place of its answer.
pub type After = Box<dyn FnOnce(bool) -> Result<(), CatalogError> + Send>;

/// What comes between an engine and its catalog.
#[async_trait]
pub trait CatalogHook: Send + Sync + 'static {
    /// Comes before a call: may wait, refuse it with an error, or let it pass.
    async fn before(self: Arc<Self>, call: Call) -> Result<Option<After>, CatalogError>;
}

/// Passes each call on, with a hook around it.
pub struct HookedCatalog {
    inner: Arc<dyn Catalog>,
    hook: Arc<dyn CatalogHook>,
}

impl HookedCatalog {
    /// Hangs a hook on a catalog.
    pub fn new(inner: Arc<dyn Catalog>, hook: Arc<dyn CatalogHook>) -> Self {
        Self { inner, hook }
    }

    async fn around<T>(&self, call: Call, inner: impl Future<Output = Result<T, CatalogError>> + Send) -> Result<T, CatalogError> {
        let after = Arc::clone(&self.hook).before(call).await?;
        let answer = inner.await;
        if let Some(after) = after
            && let Err(error) = after(answer.is_ok())
            && answer.is_ok()
        {
            return Err(error);
        }
        answer
    }
}

#[async_trait]
impl Catalog for HookedCatalog {
    async fn create_bucket(&self, bucket: Bucket) -> Result<(), CatalogError> {
        self.around(write(Method::CreateBucket), self.inner.create_bucket(bucket)).await
    }

    async fn bucket(&self, name: &str) -> Result<Option<Bucket>, CatalogError> {
        self.around(read(Method::Bucket), self.inner.bucket(name)).await
    }

    async fn list_buckets(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Bucket>, CatalogError> {
        self.around(read(Method::ListBuckets), self.inner.list_buckets(prefix, after, limit)).await
    }

    async fn delete_bucket(&self, name: &str) -> Result<(), CatalogError> {
        self.around(write(Method::DeleteBucket), self.inner.delete_bucket(name)).await
    }

    fn bucket_changes(&self) -> u64 {
        self.inner.bucket_changes()
    }

    async fn change_bucket(&self, id: BucketId, seen: u64, change: BucketChange) -> Result<(), CatalogError> {
        self.around(write(Method::ChangeBucket), self.inner.change_bucket(id, seen, change)).await
    }

    async fn bucket_document(&self, name: &str, kind: &str) -> Result<Option<(Bucket, Option<Vec<u8>>)>, CatalogError> {
        self.around(read(Method::BucketDocument), self.inner.bucket_document(name, kind)).await
    }

    async fn find_version(
        &self,
        bucket: &str,
        key: &str,
        which: VersionSelector,
    ) -> Result<Option<(Bucket, Option<Version>)>, CatalogError> {
        self.around(read(Method::FindVersion), self.inner.find_version(bucket, key, which)).await
    }

    async fn find_version_data(
        &self,
        bucket: &str,
        key: &str,
        which: VersionSelector,
    ) -> Result<Option<(Bucket, Option<(Version, VersionData)>)>, CatalogError> {
        self.around(read(Method::FindVersionData), self.inner.find_version_data(bucket, key, which)).await
    }

    async fn put_version(&self, version: NewVersion, expect: Expect) -> Result<Committed, CatalogError> {
        self.around(write(Method::PutVersion), self.inner.put_version(version, expect)).await
    }

    async fn change_version(&self, change: VersionChange) -> Result<(), CatalogError> {
        self.around(write(Method::ChangeVersion), self.inner.change_version(change)).await
    }

    async fn delete_version(&self, deletion: Deletion) -> Result<Deleted, CatalogError> {
        self.around(write(Method::DeleteVersion), self.inner.delete_version(deletion)).await
    }

    async fn list_objects(&self, query: ListQuery) -> Result<ListPage<VersionEntry>, CatalogError> {
        self.around(read(Method::ListObjects), self.inner.list_objects(query)).await
    }

    async fn list_versions(
        &self,
        query: ListQuery,
        after_version: Option<VersionSelector>,
    ) -> Result<ListPage<VersionEntry>, CatalogError> {
        self.around(read(Method::ListVersions), self.inner.list_versions(query, after_version)).await
    }

    async fn create_upload(&self, upload: Upload) -> Result<(), CatalogError> {
        self.around(write(Method::CreateUpload), self.inner.create_upload(upload)).await
    }

    async fn find_upload(&self, bucket: &str, key: &str, upload_id: UploadId) -> Result<Option<(Bucket, Option<Upload>)>, CatalogError> {
        self.around(read(Method::FindUpload), self.inner.find_upload(bucket, key, upload_id)).await
    }

    async fn put_part(&self, upload_id: UploadId, part: Part) -> Result<(), CatalogError> {
        self.around(write(Method::PutPart), self.inner.put_part(upload_id, part)).await
    }

    async fn share_part(&self, upload_id: UploadId, part: Part) -> Result<(), CatalogError> {
        self.around(write(Method::SharePart), self.inner.share_part(upload_id, part)).await
    }

    async fn list_parts(&self, upload_id: UploadId, after: u16, limit: usize) -> Result<Vec<Part>, CatalogError> {
        self.around(read(Method::ListParts), self.inner.list_parts(upload_id, after, limit)).await
    }

    async fn complete_upload(
        &self,
        upload_id: UploadId,
        used: Vec<(u16, BlobId)>,
        version: NewVersion,
        expect: Expect,
    ) -> Result<Committed, CatalogError> {
        self.around(write(Method::CompleteUpload), self.inner.complete_upload(upload_id, used, version, expect)).await
    }

    async fn find_completed(&self, bucket_id: BucketId, key: &str, upload_id: UploadId) -> Result<Option<Version>, CatalogError> {
        self.around(read(Method::FindCompleted), self.inner.find_completed(bucket_id, key, upload_id)).await
    }

    async fn reseal_upload(&self, upload_id: UploadId, reseal: Reseal) -> Result<(), CatalogError> {
        self.around(write(Method::ResealUpload), self.inner.reseal_upload(upload_id, reseal)).await
    }

    async fn abort_upload(&self, bucket_id: BucketId, key: &str, upload_id: UploadId) -> Result<(), CatalogError> {
        self.around(write(Method::AbortUpload), self.inner.abort_upload(bucket_id, key, upload_id)).await
    }

    async fn list_uploads(&self, query: ListQuery, after_upload: Option<UploadId>) -> Result<ListPage<Upload>, CatalogError> {
        self.around(read(Method::ListUploads), self.inner.list_uploads(query, after_upload)).await
    }

    async fn dead_blobs(&self, died_before: UnixMillis, after: Option<DeadBlob>, limit: usize) -> Result<Vec<DeadBlob>, CatalogError> {
        self.around(read(Method::DeadBlobs), self.inner.dead_blobs(died_before, after, limit)).await
    }

    async fn forget_blobs(&self, blobs: Vec<BlobId>) -> Result<(), CatalogError> {
        self.around(Call { blobs: blobs.len(), ..write(Method::ForgetBlobs) }, self.inner.forget_blobs(blobs)).await
    }

    async fn known_blobs(&self, blobs: Vec<BlobId>) -> Result<Vec<bool>, CatalogError> {
        self.around(Call { blobs: blobs.len(), ..read(Method::KnownBlobs) }, self.inner.known_blobs(blobs)).await
    }

    async fn versions_in(&self, scope: Scope, after: ScopePlace, limit: usize) -> Result<ScopePage<ScopedVersion>, CatalogError> {
        self.around(read(Method::VersionsIn), self.inner.versions_in(scope, after, limit)).await
    }

    async fn tally_in(&self, scope: Scope, after: ScopePlace, limit: usize) -> Result<ScopeTally, CatalogError> {
        self.around(read(Method::TallyIn), self.inner.tally_in(scope, after, limit)).await
    }

    async fn uploads_in(&self, scope: Scope, after: ScopePlace, limit: usize) -> Result<ScopePage<ScopedUpload>, CatalogError> {
        self.around(read(Method::UploadsIn), self.inner.uploads_in(scope, after, limit)).await
    }

    async fn committed_after(&self, bucket_id: BucketId, after: i64, limit: usize) -> Result<Vec<CommittedRow>, CatalogError> {
        self.around(read(Method::CommittedAfter), self.inner.committed_after(bucket_id, after, limit)).await
    }

    async fn last_position(&self) -> Result<i64, CatalogError> {
        self.around(read(Method::LastPosition), self.inner.last_position()).await
    }

    async fn put_job(&self, job: Job) -> Result<(), CatalogError> {
        self.around(write(Method::PutJob), self.inner.put_job(job)).await
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>, CatalogError> {
        self.around(read(Method::Job), self.inner.job(id)).await
    }

    async fn list_jobs(&self, kind: &str, only_active: bool, limit: usize) -> Result<Vec<Job>, CatalogError> {
        self.around(read(Method::ListJobs), self.inner.list_jobs(kind, only_active, limit)).await
    }

    async fn queued_events(&self, target: &str, after: i64, limit: usize) -> Result<Vec<OutboxEvent>, CatalogError> {
        self.around(read(Method::QueuedEvents), self.inner.queued_events(target, after, limit)).await
    }

    async fn settle_events(&self, target: &str, settled: Vec<SettledEvent>, max_dead: u64) -> Result<Vec<OutboxEvent>, CatalogError> {
        self.around(write(Method::SettleEvents), self.inner.settle_events(target, settled, max_dead)).await
    }

    async fn dead_events(&self, target: Option<&str>, after: i64, limit: usize) -> Result<Vec<OutboxEvent>, CatalogError> {
        self.around(read(Method::DeadEvents), self.inner.dead_events(target, after, limit)).await
    }

    async fn requeue_dead(&self, which: DeadSelector) -> Result<usize, CatalogError> {
        self.around(write(Method::RequeueDead), self.inner.requeue_dead(which)).await
    }

    async fn drop_dead(&self, which: DeadSelector) -> Result<usize, CatalogError> {
        self.around(write(Method::DropDead), self.inner.drop_dead(which)).await
    }

    async fn drop_queued(&self, target: &str) -> Result<usize, CatalogError> {
        self.around(write(Method::DropQueued), self.inner.drop_queued(target)).await
    }

    async fn outbox(&self) -> Result<Vec<OutboxTarget>, CatalogError> {
        self.around(read(Method::Outbox), self.inner.outbox()).await
    }

    async fn entities(&self, names: Vec<EntityName>) -> Result<Vec<Option<Entity>>, CatalogError> {
        self.around(read(Method::Entities), self.inner.entities(names)).await
    }

    async fn list_entities(&self, kind: EntityKind, account: &str, after: Option<&str>, limit: usize) -> Result<Vec<Entity>, CatalogError> {
        self.around(read(Method::ListEntities), self.inner.list_entities(kind, account, after, limit)).await
    }

    async fn count_entities(&self, kind: EntityKind, account: &str) -> Result<u64, CatalogError> {
        self.around(read(Method::CountEntities), self.inner.count_entities(kind, account)).await
    }

    async fn count_referring(&self, to: EntityName) -> Result<u64, CatalogError> {
        self.around(read(Method::CountReferring), self.inner.count_referring(to)).await
    }

    async fn referring_entities(
        &self,
        to: EntityName,
        kind: EntityKind,
        after: Option<EntityName>,
        limit: usize,
    ) -> Result<Vec<Entity>, CatalogError> {
        self.around(read(Method::ReferringEntities), self.inner.referring_entities(to, kind, after, limit)).await
    }

    async fn change_entities(&self, changes: Vec<EntityChange>) -> Result<Vec<u64>, CatalogError> {
        self.around(write(Method::ChangeEntities), self.inner.change_entities(changes)).await
    }

    fn entity_changes(&self) -> u64 {
        self.inner.entity_changes()
    }

    async fn note_access_key_uses(&self, uses: Vec<AccessKeyUse>) -> Result<(), CatalogError> {
        self.around(write(Method::NoteAccessKeyUses), self.inner.note_access_key_uses(uses)).await
    }

    async fn access_key_use(&self, access_key: &str) -> Result<Option<AccessKeyUse>, CatalogError> {
        self.around(read(Method::AccessKeyUse), self.inner.access_key_use(access_key)).await
    }

    async fn key_usage(&self, backend: &str, key_id: &str) -> Result<Vec<KeyUsage>, CatalogError> {
        self.around(read(Method::KeyUsage), self.inner.key_usage(backend, key_id)).await
    }

    async fn is_key_in_use(&self, backend: &str, key_id: &str) -> Result<bool, CatalogError> {
        self.around(read(Method::IsKeyInUse), self.inner.is_key_in_use(backend, key_id)).await
    }

    async fn locked_under_key(&self, backend: &str, key_id: &str, limit: usize) -> Result<Vec<LockedVersion>, CatalogError> {
        self.around(read(Method::LockedUnderKey), self.inner.locked_under_key(backend, key_id, limit)).await
    }

    async fn count_locked_under_key(&self, backend: &str, key_id: &str) -> Result<u64, CatalogError> {
        self.around(read(Method::CountLockedUnderKey), self.inner.count_locked_under_key(backend, key_id)).await
    }

    async fn keys_in_use(&self, after: Option<KeyRef>, limit: usize) -> Result<Vec<KeyUsage>, CatalogError> {
        self.around(read(Method::KeysInUse), self.inner.keys_in_use(after, limit)).await
    }

    async fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, CatalogError> {
        self.around(read(Method::Setting), self.inner.setting(name)).await
    }

    async fn set_setting(&self, name: &str, present: Option<Vec<u8>>, value: Vec<u8>) -> Result<(), CatalogError> {
        self.around(write(Method::SetSetting), self.inner.set_setting(name, present, value)).await
    }
}

fn read(method: Method) -> Call {
    Call { method, writes: false, blobs: 0 }
}

fn write(method: Method) -> Call {
    Call { method, writes: true, blobs: 0 }
}
