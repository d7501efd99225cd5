//! The catalog in one SQLite file: one thread writes, with group commit; a few threads read.

mod blobs;
mod buckets;
mod checkpoint;
mod columns;
mod commit;
mod connection;
mod entities;
mod entries;
mod failure;
mod jobs;
mod keys;
mod line;
mod listing;
mod outbox;
mod readers;
mod releases;
mod reserve;
mod schema;
mod scope;
mod settings;
mod upkeep;
mod uploads;
mod versions;
mod writer;

#[cfg(test)]
mod checkpoint_tests;
#[cfg(test)]
mod lanes_tests;
#[cfg(test)]
mod releases_tests;
#[cfg(test)]
mod schema_tests;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use rusqlite::Connection;
use strongroom_space::Kept;

use crate::{
    AccessKeyUse, BlobId, BlobUse, Bucket, BucketChange, BucketId, Catalog, CatalogError, Clock, Committed, CommittedRow, DeadBlob,
    DeadSelector, Deleted, Deletion, Entity, EntityChange, EntityKind, EntityName, Expect, Job, JobId, KeyRef, KeyUsage, ListPage,
    ListQuery, LockedVersion, NewVersion, OutboxEvent, OutboxTarget, Part, Reseal, Scope, ScopePage, ScopePlace, ScopeTally, ScopedUpload,
    ScopedVersion, SettledEvent, UnixMillis, Upload, UploadId, Version, VersionChange, VersionData, VersionEntry, VersionSelector,
};

pub use checkpoint::LogNumbers;
use checkpoint::{Checkpointer, LogCounts};
pub use connection::SqliteOptions;
use readers::Readers;
use releases::Pace;
use reserve::Reserve;
use upkeep::{Bell, Upkeep};
use writer::Writer;

/// The catalog of one machine.
///
/// Dropping it commits what is queued; [`SqliteCatalog::close`] does so without blocking.
pub struct SqliteCatalog {
    // Dropped in this order: the writer leaves no log behind if its connection is closed last.
    lookups: Readers,
    scans: Readers,
    upkeep: Upkeep,
    writer: Writer,
    log: LogCounts,
    step_rows: usize,
    release_rows: usize,
    clock: Clock,
    bucket_changes: Arc<AtomicU64>,
    entity_changes: Arc<AtomicU64>,
    // Dropped last: closing a file releases the locks that this process has on it.
    reserve: Arc<Reserve>,
}

/// Numbers about a catalog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CatalogNumbers {
    /// Look-ups that wait or are under way.
    pub lookups: usize,
    /// Listings and other scans that wait or are under way.
    pub scans: usize,
    /// The most rows that a transaction has changed so far: the most that other writes had to wait for.
    pub most_rows: u64,
    /// The write-ahead log.
    pub log: LogNumbers,
}

impl SqliteCatalog {
    /// Opens the catalog in the file `path`, and makes it where there is none. Blocks: reads the disk.
    ///
    /// One process opens a file at a time; the caller sees to that.
    pub fn open(path: &Path, options: SqliteOptions) -> Result<Self, CatalogError> {
        let writer = connection::open_writer(path, &options)?;
        let checkpoints = connection::open_checkpointer(path, &options)?;
        let reserve = Arc::new(Reserve::new(path, options.log_bytes()));
        let failed = |error: std::io::Error| CatalogError::Database(Box::new(error));
        let lane = |name: &str, threads: usize| {
            let connections: Result<Vec<Connection>, CatalogError> =
                (0..threads.max(1)).map(|_| connection::open_reader(path, &options)).collect();
            Readers::start(name, connections?, options.read_queue).map_err(failed)
        };
        let log = Checkpointer::start(&writer, checkpoints, Arc::clone(&reserve), &options).map_err(failed)?;
        let (counts, bell) = (log.counts(), Arc::<Bell>::default());
        let writer = Writer::start(writer, log, Arc::clone(&bell), options.write_queue, options.max_batch).map_err(failed)?;
        let limits = upkeep::Limits {
            clock: options.clock.clone(),
            rows: options.release_rows.max(1),
            free_pages: options.free_pages,
            vacuum_pages: options.vacuum_pages.max(1),
            vacuum_interval: options.vacuum_interval,
        };
        let queue = writer.queue();
        Ok(Self {
            lookups: lane("catalog-lookup", options.lookups)?,
            scans: lane("catalog-scan", options.scans)?,
            step_rows: options.step_rows.max(1),
            upkeep: Upkeep::start(bell, queue, limits).map_err(failed)?,
            log: counts,
            writer,
            release_rows: options.release_rows.max(1),
            clock: options.clock,
            bucket_changes: Arc::default(),
            entity_changes: Arc::default(),
            reserve,
        })
    }

    /// Reserves room for the log, and for as much growth of the database as the log can hold, as far as there is room. Then deletes go
    /// on when the disk is full, whoever filled it. To be called again and again: the files grow, and the log is cut. Blocks.
    pub fn keep_room(&self) -> std::io::Result<Kept> {
        self.reserve.fill()
    }

    /// Commits what waits, moves the log into the file, and answers every later call with [`CatalogError::Busy`].
    pub async fn close(&self) {
        self.lookups.close();
        self.scans.close();
        self.upkeep.close();
        self.writer.close().await;
    }

    /// The catalog's numbers.
    pub fn numbers(&self) -> CatalogNumbers {
        let most_rows = self.writer.most_rows();
        CatalogNumbers { lookups: self.lookups.len(), scans: self.scans.len(), most_rows, log: self.log.numbers() }
    }

    /// Reads a row or a few.
    async fn look_up<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, CatalogError> {
        self.lookups.read(work).await
    }

    /// Reads up to a few hundred rows in one snapshot.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, CatalogError> {
        self.scans.read(work).await
    }

    /// Reads any number of rows, in steps.
    async fn scan<T: Send + 'static>(
        &self,
        mut step: impl FnMut(&Connection, usize) -> Result<Option<T>, CatalogError> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let rows = self.step_rows;
        self.scans.scan(move |connection| step(connection, rows)).await
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, Pace) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let (clock, rows) = (self.clock.clone(), self.release_rows);
        self.writer.write(move |transaction| work(transaction, Pace { now: clock.now(), rows })).await
    }

    /// A write whose success is counted.
    async fn write_noticed<T: Send + 'static>(
        &self,
        changes: &Arc<AtomicU64>,
        work: impl FnOnce(&Connection, Pace) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let noticed = Noticed(Arc::clone(changes));
        // What the work answers with is kept until the transaction has ended.
        self.write(move |transaction, pace| work(transaction, pace).map(|done| (done, noticed))).await.map(|(done, _)| done)
    }
}

/// Counts a change when it is dropped: after the commit, also where nobody waits for the answer any more.
struct Noticed(Arc<AtomicU64>);

impl Drop for Noticed {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

#[async_trait]
impl Catalog for SqliteCatalog {
    async fn create_bucket(&self, bucket: Bucket) -> Result<(), CatalogError> {
        self.write(move |transaction, _| buckets::create(transaction, &bucket)).await
    }

    async fn bucket(&self, name: &str) -> Result<Option<Bucket>, CatalogError> {
        let name = name.to_owned();
        self.look_up(move |connection| buckets::find(connection, &name)).await
    }

    async fn list_buckets(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Bucket>, CatalogError> {
        let mut names = buckets::Names::new(prefix, after, limit);
        self.scan(move |connection, rows| names.step(connection, rows)).await
    }

    async fn delete_bucket(&self, name: &str) -> Result<(), CatalogError> {
        let name = name.to_owned();
        self.write_noticed(&self.bucket_changes, move |transaction, pace| buckets::delete(transaction, &name, pace)).await
    }

    async fn change_bucket(&self, id: BucketId, seen: u64, change: BucketChange) -> Result<(), CatalogError> {
        self.write_noticed(&self.bucket_changes, move |transaction, _| buckets::change(transaction, id, seen, &change)).await
    }

    fn bucket_changes(&self) -> u64 {
        self.bucket_changes.load(Ordering::Acquire)
    }

    async fn bucket_document(&self, name: &str, kind: &str) -> Result<Option<(Bucket, Option<Vec<u8>>)>, CatalogError> {
        let (name, kind) = (name.to_owned(), kind.to_owned());
        self.look_up(move |connection| buckets::document(connection, &name, &kind)).await
    }

    async fn find_version(
        &self,
        bucket: &str,
        key: &str,
        which: VersionSelector,
    ) -> Result<Option<(Bucket, Option<Version>)>, CatalogError> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        self.look_up(move |connection| versions::find(connection, &bucket, &key, which)).await
    }

    async fn find_version_data(
        &self,
        bucket: &str,
        key: &str,
        which: VersionSelector,
    ) -> Result<Option<(Bucket, Option<(Version, VersionData)>)>, CatalogError> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        self.look_up(move |connection| versions::find_data(connection, &bucket, &key, which)).await
    }

    async fn put_version(&self, version: NewVersion, expect: Expect) -> Result<Committed, CatalogError> {
        self.write(move |transaction, pace| commit::put(transaction, &version, expect, pace)).await
    }

    async fn change_version(&self, change: VersionChange) -> Result<(), CatalogError> {
        self.write(move |transaction, _| commit::change(transaction, &change)).await
    }

    async fn delete_version(&self, deletion: Deletion) -> Result<Deleted, CatalogError> {
        self.write(move |transaction, pace| commit::delete(transaction, &deletion, pace)).await
    }

    async fn list_objects(&self, query: ListQuery) -> Result<ListPage<VersionEntry>, CatalogError> {
        let mut objects = listing::Objects::new(query);
        self.scan(move |connection, rows| objects.step(connection, rows)).await
    }

    async fn list_versions(
        &self,
        query: ListQuery,
        after_version: Option<VersionSelector>,
    ) -> Result<ListPage<VersionEntry>, CatalogError> {
        let mut versions = listing::Versions::new(query, after_version);
        self.scan(move |connection, rows| versions.step(connection, rows)).await
    }

    async fn create_upload(&self, upload: Upload) -> Result<(), CatalogError> {
        self.write(move |transaction, _| uploads::create(transaction, &upload)).await
    }

    async fn find_upload(&self, bucket: &str, key: &str, upload_id: UploadId) -> Result<Option<(Bucket, Option<Upload>)>, CatalogError> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        self.look_up(move |connection| uploads::find(connection, &bucket, &key, upload_id)).await
    }

    async fn put_part(&self, upload_id: UploadId, part: Part) -> Result<(), CatalogError> {
        let blob = BlobUse::New { id: part.blob, len_bytes: part.blob_len_bytes };
        self.write(move |transaction, pace| uploads::put_part(transaction, upload_id, &part, blob, pace)).await
    }

    async fn share_part(&self, upload_id: UploadId, part: Part) -> Result<(), CatalogError> {
        let blob = BlobUse::Shared { id: part.blob };
        self.write(move |transaction, pace| uploads::put_part(transaction, upload_id, &part, blob, pace)).await
    }

    async fn list_parts(&self, upload_id: UploadId, after: u16, limit: usize) -> Result<Vec<Part>, CatalogError> {
        let mut parts = uploads::Parts::new(upload_id, after, limit);
        self.scan(move |connection, rows| parts.step(connection, rows)).await
    }

    async fn complete_upload(
        &self,
        upload_id: UploadId,
        used: Vec<(u16, BlobId)>,
        mut version: NewVersion,
        expect: Expect,
    ) -> Result<Committed, CatalogError> {
        self.write(move |transaction, pace| uploads::complete(transaction, upload_id, &used, &mut version, expect, pace)).await
    }

    async fn find_completed(&self, bucket_id: BucketId, key: &str, upload_id: UploadId) -> Result<Option<Version>, CatalogError> {
        let key = key.to_owned();
        self.look_up(move |connection| versions::find_completed(connection, bucket_id, &key, upload_id)).await
    }

    async fn reseal_upload(&self, upload_id: UploadId, reseal: Reseal) -> Result<(), CatalogError> {
        self.write(move |transaction, _| uploads::reseal(transaction, upload_id, &reseal)).await
    }

    async fn abort_upload(&self, bucket_id: BucketId, key: &str, upload_id: UploadId) -> Result<(), CatalogError> {
        let key = key.to_owned();
        self.write(move |transaction, pace| uploads::abort(transaction, bucket_id, &key, upload_id, pace)).await
    }

    async fn list_uploads(&self, query: ListQuery, after_upload: Option<UploadId>) -> Result<ListPage<Upload>, CatalogError> {
        let mut uploads = listing::Uploads::new(query, after_upload);
        self.scan(move |connection, rows| uploads.step(connection, rows)).await
    }

    async fn dead_blobs(&self, died_before: UnixMillis, after: Option<DeadBlob>, limit: usize) -> Result<Vec<DeadBlob>, CatalogError> {
        self.read(move |connection| blobs::dead(connection, died_before, after, limit)).await
    }

    async fn forget_blobs(&self, blobs: Vec<BlobId>) -> Result<(), CatalogError> {
        self.write(move |transaction, _| blobs::forget(transaction, &blobs)).await
    }

    async fn known_blobs(&self, blobs: Vec<BlobId>) -> Result<Vec<bool>, CatalogError> {
        self.read(move |connection| blobs::known(connection, &blobs)).await
    }

    async fn versions_in(&self, scope: Scope, after: ScopePlace, limit: usize) -> Result<ScopePage<ScopedVersion>, CatalogError> {
        self.read(move |connection| scope::versions(connection, &scope, &after, limit)).await
    }

    async fn tally_in(&self, scope: Scope, after: ScopePlace, limit: usize) -> Result<ScopeTally, CatalogError> {
        self.read(move |connection| scope::tally(connection, &scope, &after, limit)).await
    }

    async fn uploads_in(&self, scope: Scope, after: ScopePlace, limit: usize) -> Result<ScopePage<ScopedUpload>, CatalogError> {
        self.read(move |connection| scope::uploads(connection, &scope, &after, limit)).await
    }

    async fn committed_after(&self, bucket_id: BucketId, after: i64, limit: usize) -> Result<Vec<CommittedRow>, CatalogError> {
        self.read(move |connection| scope::committed_after(connection, bucket_id, after, limit)).await
    }

    async fn last_position(&self) -> Result<i64, CatalogError> {
        self.look_up(scope::last_position).await
    }

    async fn put_job(&self, job: Job) -> Result<(), CatalogError> {
        self.write(move |transaction, _| jobs::put(transaction, &job)).await
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>, CatalogError> {
        self.look_up(move |connection| jobs::find(connection, id)).await
    }

    async fn list_jobs(&self, kind: &str, only_active: bool, limit: usize) -> Result<Vec<Job>, CatalogError> {
        let kind = kind.to_owned();
        self.read(move |connection| jobs::list(connection, &kind, only_active, limit)).await
    }

    async fn queued_events(&self, target: &str, after: i64, limit: usize) -> Result<Vec<OutboxEvent>, CatalogError> {
        let target = target.to_owned();
        self.read(move |connection| outbox::queued(connection, &target, after, limit)).await
    }

    async fn settle_events(&self, target: &str, settled: Vec<SettledEvent>, max_dead: u64) -> Result<Vec<OutboxEvent>, CatalogError> {
        let target = target.to_owned();
        self.write(move |transaction, _| outbox::settle(transaction, &target, &settled, max_dead)).await
    }

    async fn dead_events(&self, target: Option<&str>, after: i64, limit: usize) -> Result<Vec<OutboxEvent>, CatalogError> {
        let target = target.map(str::to_owned);
        self.read(move |connection| outbox::dead(connection, target.as_deref(), after, limit)).await
    }

    async fn requeue_dead(&self, which: DeadSelector) -> Result<usize, CatalogError> {
        self.write(move |transaction, _| outbox::requeue(transaction, &which)).await
    }

    async fn drop_dead(&self, which: DeadSelector) -> Result<usize, CatalogError> {
        self.write(move |transaction, _| outbox::drop_dead(transaction, &which)).await
    }

    async fn drop_queued(&self, target: &str) -> Result<usize, CatalogError> {
        let target = target.to_owned();
        self.write(move |transaction, _| outbox::drop_queued(transaction, &target)).await
    }

    async fn outbox(&self) -> Result<Vec<OutboxTarget>, CatalogError> {
        self.read(outbox::targets).await
    }

    async fn entities(&self, names: Vec<EntityName>) -> Result<Vec<Option<Entity>>, CatalogError> {
        self.look_up(move |connection| entities::find(connection, &names)).await
    }

    async fn list_entities(&self, kind: EntityKind, account: &str, after: Option<&str>, limit: usize) -> Result<Vec<Entity>, CatalogError> {
        let (account, after) = (account.to_owned(), after.map(str::to_owned));
        self.read(move |connection| entities::list(connection, kind, &account, after.as_deref(), limit)).await
    }

    async fn count_entities(&self, kind: EntityKind, account: &str) -> Result<u64, CatalogError> {
        let account = account.to_owned();
        self.read(move |connection| entities::count(connection, kind, &account)).await
    }

    async fn count_referring(&self, to: EntityName) -> Result<u64, CatalogError> {
        self.read(move |connection| entities::count_referring(connection, &to)).await
    }

    async fn referring_entities(
        &self,
        to: EntityName,
        kind: EntityKind,
        after: Option<EntityName>,
        limit: usize,
    ) -> Result<Vec<Entity>, CatalogError> {
        self.read(move |connection| entities::referring(connection, &to, kind, after.as_ref(), limit)).await
    }

    async fn change_entities(&self, changes: Vec<EntityChange>) -> Result<Vec<u64>, CatalogError> {
        self.write_noticed(&self.entity_changes, move |transaction, _| entities::change(transaction, &changes)).await
    }

    fn entity_changes(&self) -> u64 {
        self.entity_changes.load(Ordering::Acquire)
    }

    async fn note_access_key_uses(&self, uses: Vec<AccessKeyUse>) -> Result<(), CatalogError> {
        self.write(move |transaction, _| entities::note_uses(transaction, &uses)).await
    }

    async fn access_key_use(&self, access_key: &str) -> Result<Option<AccessKeyUse>, CatalogError> {
        let access_key = access_key.to_owned();
        self.look_up(move |connection| entities::last_use(connection, &access_key)).await
    }

    async fn key_usage(&self, backend: &str, key_id: &str) -> Result<Vec<KeyUsage>, CatalogError> {
        let (backend, key_id) = (backend.to_owned(), key_id.to_owned());
        self.read(move |connection| keys::usage(connection, &backend, &key_id)).await
    }

    async fn is_key_in_use(&self, backend: &str, key_id: &str) -> Result<bool, CatalogError> {
        let (backend, key_id) = (backend.to_owned(), key_id.to_owned());
        self.look_up(move |connection| keys::is_in_use(connection, &backend, &key_id)).await
    }

    async fn locked_under_key(&self, backend: &str, key_id: &str, limit: usize) -> Result<Vec<LockedVersion>, CatalogError> {
        let (backend, key_id, now) = (backend.to_owned(), key_id.to_owned(), self.clock.now());
        self.read(move |connection| keys::locked_versions(connection, &backend, &key_id, now, limit)).await
    }

    async fn count_locked_under_key(&self, backend: &str, key_id: &str) -> Result<u64, CatalogError> {
        let mut count = keys::LockedCount::new(backend, key_id, self.clock.now());
        self.scan(move |connection, rows| count.step(connection, rows)).await
    }

    async fn keys_in_use(&self, after: Option<KeyRef>, limit: usize) -> Result<Vec<KeyUsage>, CatalogError> {
        self.read(move |connection| keys::in_use(connection, after.as_ref(), limit)).await
    }

    async fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, CatalogError> {
        let name = name.to_owned();
        self.look_up(move |connection| settings::find(connection, &name)).await
    }

    async fn set_setting(&self, name: &str, present: Option<Vec<u8>>, value: Vec<u8>) -> Result<(), CatalogError> {
        let name = name.to_owned();
        self.write(move |transaction, _| settings::set(transaction, &name, present.as_deref(), &value)).await
    }
}
