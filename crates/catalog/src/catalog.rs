//! The trait every catalog engine implements.

use async_trait::async_trait;

use crate::{
    AccessKeyUse, BlobId, Bucket, BucketChange, BucketId, CatalogError, Committed, CommittedRow, DeadBlob, DeadSelector, Deleted, Deletion,
    Entity, EntityChange, EntityKind, EntityName, Expect, Job, JobId, KeyRef, KeyUsage, ListPage, ListQuery, LockedVersion, NewVersion,
    OutboxEvent, OutboxTarget, Part, Reseal, Scope, ScopePage, ScopePlace, ScopeTally, ScopedUpload, ScopedVersion, SettledEvent,
    UnixMillis, Upload, UploadId, Version, VersionChange, VersionData, VersionEntry, VersionSelector,
};

/// So many jobs of a kind are kept after they ended; the older ones are forgotten.
pub const MAX_FINISHED_JOBS: usize = 1000;

/// So many dead events are queued again, or dropped, in one transaction.
pub const MAX_DEAD_STEP: usize = 256;

/// So many rows that make no sense a listing leaves out; with more of them it fails.
pub const MAX_UNREADABLE: usize = 1000;

/// Names, versions, uploads, references and settings.
///
/// Every call is one transaction: it happens wholly or not at all, and a call that returned `Ok` survives a crash. Rows that a deletion
/// leaves behind may be removed later, but nobody sees them.
/// Calls that run at the same time behave as if they ran one after another, and a read sees every write that was answered before
/// it began. Listings are the exception: they are read in steps, so a page may show only part of a write made between two steps.
/// Nothing here is particular to one database: ids come from the caller, and order is by UTF-8 bytes.
///
/// A write whose future is dropped may still take effect: blobs that it names must not be deleted on that account.
/// A bucket id that is not there is [`CatalogError::NoSuchBucket`]; an id given as new that is taken is [`CatalogError::Damaged`].
#[async_trait]
pub trait Catalog: Send + Sync + 'static {
    // ---- buckets

    /// Adds a bucket. [`CatalogError::BucketExists`] names the owner of the one that is there.
    async fn create_bucket(&self, bucket: Bucket) -> Result<(), CatalogError>;

    /// The bucket of that name.
    async fn bucket(&self, name: &str) -> Result<Option<Bucket>, CatalogError>;

    /// Buckets in the order of names, greater than `after`, at the most `limit`.
    async fn list_buckets(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Bucket>, CatalogError>;

    /// Removes an empty bucket; unfinished uploads go with it, versions and delete markers forbid it.
    async fn delete_bucket(&self, name: &str) -> Result<(), CatalogError>;

    /// Changes what is configured of a bucket if `seen` still is its revision, which grows by one; else [`CatalogError::PreconditionFailed`].
    async fn change_bucket(&self, id: BucketId, seen: u64, change: BucketChange) -> Result<(), CatalogError>;

    /// How often buckets were changed or deleted so far, as far as that was committed; it may have been counted more often. What was read of
    /// a bucket after this number was asked for holds as long as the number stays the same.
    fn bucket_changes(&self) -> u64;

    /// The bucket of that name and, in the same look-up, its document of this kind.
    async fn bucket_document(&self, name: &str, kind: &str) -> Result<Option<(Bucket, Option<Vec<u8>>)>, CatalogError>;

    // ---- object versions

    /// The bucket of that name and, in the same look-up, the version meant. `None` where there is no such bucket.
    async fn find_version(
        &self,
        bucket: &str,
        key: &str,
        which: VersionSelector,
    ) -> Result<Option<(Bucket, Option<Version>)>, CatalogError>;

    /// As [`Catalog::find_version`], with where the bytes lie.
    async fn find_version_data(
        &self,
        bucket: &str,
        key: &str,
        which: VersionSelector,
    ) -> Result<Option<(Bucket, Option<(Version, VersionData)>)>, CatalogError>;

    /// Commits a version, and with it its blobs. What it replaces (see [`crate::Versioning`]) lets go of its blobs.
    /// [`CatalogError::BlobGone`] where a blob to share has no reference left.
    async fn put_version(&self, version: NewVersion, expect: Expect) -> Result<Committed, CatalogError>;

    /// Replaces the sealed keys, the record, the part record, the lock and nothing else of a version, if its revision still is
    /// [`VersionChange::seen`]; else [`CatalogError::PreconditionFailed`]. A delete marker has none of them: [`CatalogError::NoSuchVersion`].
    async fn change_version(&self, change: VersionChange) -> Result<(), CatalogError>;

    /// Deletes a version; without one named ([`VersionSelector::Latest`]), deletes the null version (unversioned) or adds a delete
    /// marker that gets the id `marker` and the time `now`, also where there is no such key. What is not there is
    /// [`Deleted::Nothing`]. Of the versions left, the one committed last is the latest. [`CatalogError::Locked`] where the version's lock
    /// holds by the catalog's own clock; what a write replaces is held no less. [`CatalogError::PreconditionFailed`] where the version has
    /// another revision than [`Deletion::seen`].
    async fn delete_version(&self, deletion: Deletion) -> Result<Deleted, CatalogError>;

    /// Latest versions that are no delete markers. More than [`MAX_UNREADABLE`] rows that make no sense are
    /// [`CatalogError::Damaged`].
    async fn list_objects(&self, query: ListQuery) -> Result<ListPage<VersionEntry>, CatalogError>;

    /// All versions and delete markers, in the order of keys, and of one key the newest first. `query.after` and `after_version` are the markers:
    /// entries of a key greater than `after`, and those of the key `after` itself that are older than the version `after_version` (where that is
    /// given). Where that version is gone, all of the key `after`: rather one twice than one left out.
    async fn list_versions(&self, query: ListQuery, after_version: Option<VersionSelector>)
    -> Result<ListPage<VersionEntry>, CatalogError>;

    // ---- multipart uploads

    /// Begins an upload.
    async fn create_upload(&self, upload: Upload) -> Result<(), CatalogError>;

    /// The bucket of that name and the upload, if it is under way for that key.
    async fn find_upload(&self, bucket: &str, key: &str, upload_id: UploadId) -> Result<Option<(Bucket, Option<Upload>)>, CatalogError>;

    /// Adds a part, or replaces the one of its number, which lets go of its blob; the part's blob is a new one.
    /// [`CatalogError::NoSuchUpload`] where the upload has ended.
    async fn put_part(&self, upload_id: UploadId, part: Part) -> Result<(), CatalogError>;

    /// As [`Catalog::put_part`], with a blob that something else refers to already, be it another part of the same upload: one reference
    /// more. [`CatalogError::BlobGone`] where it has no reference left.
    async fn share_part(&self, upload_id: UploadId, part: Part) -> Result<(), CatalogError>;

    /// Parts in the order of numbers, greater than `after`, at the most `limit`; none where there is no such upload.
    async fn list_parts(&self, upload_id: UploadId, after: u16, limit: usize) -> Result<Vec<Part>, CatalogError>;

    /// Ends an upload in a version. `used` names the parts it is made of and the blob each had when the engine looked:
    /// [`CatalogError::PartChanged`] where that is no longer so, and [`CatalogError::NoSuchUpload`] where the upload has ended or is
    /// for another key; [`CatalogError::UploadResealed`] where the version's sealed keys are not the upload's. Those blobs pass to the version
    /// (`version.blobs` is empty), which refers once to a blob that several parts shared; the other parts let go of theirs.
    /// `version.upload_id` is set to the upload.
    async fn complete_upload(
        &self,
        upload_id: UploadId,
        used: Vec<(u16, BlobId)>,
        version: NewVersion,
        expect: Expect,
    ) -> Result<Committed, CatalogError>;

    /// The version that an upload ended in, if it still is there.
    async fn find_completed(&self, bucket_id: BucketId, key: &str, upload_id: UploadId) -> Result<Option<Version>, CatalogError>;

    /// Replaces the sealed keys and the record of an upload under way, if its sealed keys still are [`Reseal::present`]; else
    /// [`CatalogError::PreconditionFailed`]. [`CatalogError::NoSuchUpload`] where it has ended.
    async fn reseal_upload(&self, upload_id: UploadId, reseal: Reseal) -> Result<(), CatalogError>;

    /// Ends an upload; all its parts let go of their blobs. [`CatalogError::NoSuchUpload`] where there is none.
    async fn abort_upload(&self, bucket_id: BucketId, key: &str, upload_id: UploadId) -> Result<(), CatalogError>;

    /// Uploads in the order of keys, then of initiation. `query.after` and `after_upload` are the markers: entries of a key greater than
    /// `after`, and those of the key `after` itself that come after the upload `after_upload` (where that is given). Where that upload
    /// has ended meanwhile, all of the key `after`: rather one twice than one left out.
    async fn list_uploads(&self, query: ListQuery, after_upload: Option<UploadId>) -> Result<ListPage<Upload>, CatalogError>;

    // ---- blobs

    /// Blobs that nothing has referred to since before `died_before` by the catalog's own clock, longest dead first, behind `after`
    /// in that order, at the most `limit`. They stay dead: a dead blob cannot be shared.
    async fn dead_blobs(&self, died_before: UnixMillis, after: Option<DeadBlob>, limit: usize) -> Result<Vec<DeadBlob>, CatalogError>;

    /// Forgets dead blobs, after the blob store deleted them. Ids that are not dead or not there are left alone.
    async fn forget_blobs(&self, blobs: Vec<BlobId>) -> Result<(), CatalogError>;

    /// Which of these blobs the catalog knows, dead or alive, in the same order.
    async fn known_blobs(&self, blobs: Vec<BlobId>) -> Result<Vec<bool>, CatalogError>;

    // ---- walks

    /// The versions in a scope after `after`, current or not, without delete markers. Looks at `limit` versions at most, and answers
    /// those of them that are in the scope. They come in the order of commit. If the scope has a bucket and a prefix, they come in the
    /// order of keys, and within a key in the order of commit.
    async fn versions_in(&self, scope: Scope, after: ScopePlace, limit: usize) -> Result<ScopePage<ScopedVersion>, CatalogError>;

    /// As [`Catalog::versions_in`], only counted.
    async fn tally_in(&self, scope: Scope, after: ScopePlace, limit: usize) -> Result<ScopeTally, CatalogError>;

    /// The uploads in a scope after `after`, in the order in which they were begun. Looks at `limit` uploads at most.
    async fn uploads_in(&self, scope: Scope, after: ScopePlace, limit: usize) -> Result<ScopePage<ScopedUpload>, CatalogError>;

    /// Versions and delete markers of a bucket in the order of commit, behind the position `after`, at the most `limit`; fewer only at the end.
    async fn committed_after(&self, bucket_id: BucketId, after: i64, limit: usize) -> Result<Vec<CommittedRow>, CatalogError>;

    /// The greatest position of a version there is; 0 where there is none.
    async fn last_position(&self) -> Result<i64, CatalogError>;

    // ---- jobs

    /// Adds a job, or replaces what is known of it. Of the jobs of a kind that have ended, the last [`MAX_FINISHED_JOBS`] are kept.
    async fn put_job(&self, job: Job) -> Result<(), CatalogError>;

    /// The job of that id.
    async fn job(&self, id: JobId) -> Result<Option<Job>, CatalogError>;

    /// Jobs of a kind, the last started first, at the most `limit`.
    async fn list_jobs(&self, kind: &str, only_active: bool, limit: usize) -> Result<Vec<Job>, CatalogError>;

    // ---- the outbox

    /// Queued events of a target behind the position `after`, in the order of commit, at the most `limit`.
    async fn queued_events(&self, target: &str, after: i64, limit: usize) -> Result<Vec<OutboxEvent>, CatalogError>;

    /// Removes the events of a target that were delivered, and lays those aside that are given up; of these the last `max_dead` are kept, and the
    /// others are counted as dropped. Answers the event that is the first of its lane now, for each lane that has one left.
    /// What is not queued any more is passed over.
    async fn settle_events(&self, target: &str, settled: Vec<SettledEvent>, max_dead: u64) -> Result<Vec<OutboxEvent>, CatalogError>;

    /// Dead events behind the position `after`, of one target or of all, in the order of commit, at the most `limit`.
    async fn dead_events(&self, target: Option<&str>, after: i64, limit: usize) -> Result<Vec<OutboxEvent>, CatalogError>;

    /// Queues dead events again, behind all others. How many there were.
    async fn requeue_dead(&self, which: DeadSelector) -> Result<usize, CatalogError>;

    /// Removes dead events for good. How many there were.
    async fn drop_dead(&self, which: DeadSelector) -> Result<usize, CatalogError>;

    /// Removes the oldest events that are queued for a target, up to [`MAX_DEAD_STEP`] of them. How many there were.
    async fn drop_queued(&self, target: &str) -> Result<usize, CatalogError>;

    /// What the outbox holds, by target in the order of names.
    async fn outbox(&self) -> Result<Vec<OutboxTarget>, CatalogError>;

    // ---- entities

    /// The entities of these names, in the same order and as they were at one moment.
    async fn entities(&self, names: Vec<EntityName>) -> Result<Vec<Option<Entity>>, CatalogError>;

    /// Entities of a kind and an account in the order of names, greater than `after`, at the most `limit`.
    async fn list_entities(&self, kind: EntityKind, account: &str, after: Option<&str>, limit: usize) -> Result<Vec<Entity>, CatalogError>;

    /// How many entities of a kind an account has.
    async fn count_entities(&self, kind: EntityKind, account: &str) -> Result<u64, CatalogError>;

    /// How many entities refer to the one named, of whatever kind.
    async fn count_referring(&self, to: EntityName) -> Result<u64, CatalogError>;

    /// Entities of a kind that refer to the one named, in the order of accounts and names, greater than `after`, at the most `limit`.
    async fn referring_entities(
        &self,
        to: EntityName,
        kind: EntityKind,
        after: Option<EntityName>,
        limit: usize,
    ) -> Result<Vec<Entity>, CatalogError>;

    /// Makes all of these changes, each of another entity, or none. Answers the new revisions in their order, 0 for what was deleted.
    /// [`CatalogError::PreconditionFailed`] where an entity has another revision than the one seen; [`CatalogError::NoSuchEntity`] where one would
    /// refer to what is not there; [`CatalogError::EntityInUse`] where one is deleted that another refers to.
    async fn change_entities(&self, changes: Vec<EntityChange>) -> Result<Vec<u64>, CatalogError>;

    /// How often entities were changed so far, as [`Catalog::bucket_changes`] counts those of buckets.
    fn entity_changes(&self) -> u64;

    /// Remembers that access keys were used. Keys that are not there are passed over, and so is what is older than what is known.
    async fn note_access_key_uses(&self, uses: Vec<AccessKeyUse>) -> Result<(), CatalogError>;

    /// When an access key was used last, as far as that was noted.
    async fn access_key_use(&self, access_key: &str) -> Result<Option<AccessKeyUse>, CatalogError>;

    // ---- keys and settings

    /// What depends on the KMS key, by version; versions that nothing depends on are left out.
    async fn key_usage(&self, backend: &str, key_id: &str) -> Result<Vec<KeyUsage>, CatalogError>;

    /// Whether anything depends on the KMS key, in any of its versions.
    async fn is_key_in_use(&self, backend: &str, key_id: &str) -> Result<bool, CatalogError>;

    /// Object versions under the KMS key whose lock holds by the catalog's own clock: those under a hold first, then those that are retained
    /// longest, at the most `limit`.
    async fn locked_under_key(&self, backend: &str, key_id: &str, limit: usize) -> Result<Vec<LockedVersion>, CatalogError>;

    /// How many object versions under the KMS key have a lock that holds by the catalog's own clock. It is counted in steps: a version whose lock
    /// changes meanwhile is counted as one of its states.
    async fn count_locked_under_key(&self, backend: &str, key_id: &str) -> Result<u64, CatalogError>;

    /// The key versions that something depends on, in the order of backend, key id and version, greater than `after`, at the most `limit`.
    async fn keys_in_use(&self, after: Option<KeyRef>, limit: usize) -> Result<Vec<KeyUsage>, CatalogError>;

    /// A setting of the store, such as its wrapped store key.
    async fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, CatalogError>;

    /// Writes a setting if `present` still is its value; else [`CatalogError::PreconditionFailed`].
    async fn set_setting(&self, name: &str, present: Option<Vec<u8>>, value: Vec<u8>) -> Result<(), CatalogError>;
}
