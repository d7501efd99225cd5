//! Committing, resealing and deleting object versions.

use rusqlite::{Connection, params};

use super::blobs;
use super::buckets::{self, Place};
use super::columns::{Columns, lock_columns, read_lock, signed};
use super::releases::{self, Pace, Remains, Table};
use super::versions::{latest_row, row_of_id};
use super::{keys, outbox};
use crate::{
    BlobId, BlobUse, BucketId, CatalogError, Committed, Deleted, Deletion, Envelope, Expect, Lock, NewEvent, NewVersion, UnixMillis,
    UploadId, VersionChange, VersionId, VersionSelector, Versioning,
};

pub(super) fn put(transaction: &Connection, version: &NewVersion, expect: Expect, pace: Pace) -> Result<Committed, CatalogError> {
    put_with(transaction, version, &[], expect, pace)
}

/// As [`put`], with blobs whose reference passes to the version from what referred to them before.
pub(super) fn put_with(
    transaction: &Connection,
    version: &NewVersion,
    passed: &[BlobId],
    expect: Expect,
    pace: Pace,
) -> Result<Committed, CatalogError> {
    let object = Object::find(transaction, version.bucket_id, &version.key)?;
    object.check(expect)?;
    object.check_unused(version.version_id)?;
    // Before the replaced version lets go, since the new one may share its blobs.
    for &blob in &version.blobs {
        blobs::retain(transaction, blob)?;
    }
    let is_null = object.make_room(pace)?;
    let row = object.insert(&NewRow {
        version_id: version.version_id,
        is_null,
        size_bytes: signed(version.size_bytes)?,
        modified: version.modified,
        lock: version.lock,
        envelope: Some(&version.envelope),
        upload_id: version.upload_id.as_ref(),
        record: &version.record,
    })?;
    let sql = "INSERT INTO version_data (version, manifest, part_record, inline) VALUES (?1, ?2, ?3, ?4)";
    let data = &version.data;
    transaction.prepare_cached(sql)?.execute(params![row, data.manifest, data.part_record, data.inline])?;
    refer(transaction, row, version, passed)?;
    add_event(transaction, version.event.as_ref())?;
    Ok(Committed { is_null })
}

pub(super) fn change(transaction: &Connection, change: &VersionChange) -> Result<(), CatalogError> {
    let bucket = buckets::place(transaction, change.bucket_id)?;
    let row = row_of_id(transaction, bucket.row, &change.key, change.version_id)?.ok_or(CatalogError::NoSuchVersion)?;
    let sql = "SELECT revision, is_delete_marker, kms_key, size_bytes FROM versions WHERE id = ?1";
    let present = transaction.prepare_cached(sql)?.query_row([row], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    let (revision, is_delete_marker, former_key, size_bytes): (i64, bool, Option<i64>, i64) = present;
    if is_delete_marker {
        return Err(CatalogError::NoSuchVersion);
    }
    if revision != signed(change.seen)? {
        return Err(CatalogError::PreconditionFailed);
    }
    let VersionChange { envelope, record, lock, .. } = change;
    let kms_key = keys::row(transaction, envelope.key.as_ref())?;
    if kms_key != former_key {
        keys::forget_version(transaction, former_key, bucket.row, size_bytes)?;
        keys::count_version(transaction, kms_key, bucket.row, size_bytes)?;
    }
    let sql = "UPDATE versions SET revision = revision + 1, mode = ?2, kms_key = ?3, wrapped_key = ?4, sealed_keys = ?5, record = ?6, \
               lock = ?7, retain_until = ?8 WHERE id = ?1";
    let (code, until) = lock_columns(lock);
    let columns = params![row, envelope.mode, kms_key, envelope.wrapped_key, envelope.sealed_keys, record, code, until];
    transaction.prepare_cached(sql)?.execute(columns)?;
    // Rows of data are large, and most have none.
    let sql = "UPDATE version_data SET part_record = ?2 WHERE version = ?1 AND part_record <> ?2";
    transaction.prepare_cached(sql)?.execute(params![row, change.part_record])?;
    add_event(transaction, change.event.as_ref())
}

pub(super) fn delete(transaction: &Connection, deletion: &Deletion, pace: Pace) -> Result<Deleted, CatalogError> {
    let object = Object::find(transaction, deletion.bucket_id, &deletion.key)?;
    object.check(deletion.expect)?;
    if let Some(seen) = deletion.seen {
        object.check_revision(deletion.which, seen)?;
    }
    let deleted = match deletion.which {
        VersionSelector::Id(id) => object.remove_found(object.by_id(id)?, deletion.bypass, pace),
        VersionSelector::Null => object.remove_found(object.null()?, deletion.bypass, pace),
        VersionSelector::Latest if object.bucket.versioning == Versioning::Unversioned => {
            object.remove_found(object.null()?, deletion.bypass, pace)
        }
        VersionSelector::Latest => object.mark_deleted(deletion.marker, deletion.modified, pace),
    }?;
    let event = match deleted {
        Deleted::Nothing => None,
        Deleted::Removed { .. } => deletion.events.removed.as_ref(),
        Deleted::MarkerAdded { .. } => deletion.events.marked.as_ref(),
    };
    add_event(transaction, event)?;
    Ok(deleted)
}

fn add_event(transaction: &Connection, event: Option<&NewEvent>) -> Result<(), CatalogError> {
    event.map_or(Ok(()), |event| outbox::add(transaction, event))
}

/// A key in a bucket, and its latest version.
struct Object<'t> {
    transaction: &'t Connection,
    bucket: Place,
    key: &'t str,
    latest: Option<Present>,
}

/// A version that is there.
#[derive(Clone, Copy)]
struct Present {
    row: i64,
    version_id: VersionId,
    is_null: bool,
    is_delete_marker: bool,
}

/// A version to be the latest.
struct NewRow<'v> {
    version_id: VersionId,
    is_null: bool,
    size_bytes: i64,
    modified: UnixMillis,
    lock: Lock,
    /// None for a delete marker.
    envelope: Option<&'v Envelope>,
    upload_id: Option<&'v UploadId>,
    record: &'v [u8],
}

const PRESENT_BY_ROW: &str = "SELECT id, version_id, is_null, is_delete_marker FROM versions WHERE id = ?1";

impl<'t> Object<'t> {
    fn find(transaction: &'t Connection, bucket: BucketId, key: &'t str) -> Result<Self, CatalogError> {
        let bucket = buckets::place(transaction, bucket)?;
        let sql = concat!("SELECT id, version_id, is_null, is_delete_marker FROM versions WHERE id = ", latest_row!("?1", "?2"));
        let latest = present(transaction, sql, params![bucket.row, key.as_bytes()])?;
        Ok(Self { transaction, bucket, key, latest })
    }

    fn check(&self, expect: Expect) -> Result<(), CatalogError> {
        let holds = match expect {
            Expect::Any => true,
            Expect::Absent => self.latest.is_none_or(|latest| latest.is_delete_marker),
            Expect::Latest(id) => self.latest.is_some_and(|latest| latest.version_id == id),
        };
        if holds { Ok(()) } else { Err(CatalogError::PreconditionFailed) }
    }

    /// Of the version that is meant; what is not there has no revision that could differ.
    fn check_revision(&self, which: VersionSelector, seen: u64) -> Result<(), CatalogError> {
        let found = match which {
            VersionSelector::Id(id) => self.by_id(id)?,
            VersionSelector::Null => self.null()?,
            VersionSelector::Latest => self.latest,
        };
        let Some(found) = found else { return Ok(()) };
        let mut statement = self.transaction.prepare_cached("SELECT revision FROM versions WHERE id = ?1")?;
        let revision: i64 = statement.query_row([found.row], |row| row.get(0))?;
        if revision == signed(seen)? { Ok(()) } else { Err(CatalogError::PreconditionFailed) }
    }

    fn check_unused(&self, id: VersionId) -> Result<(), CatalogError> {
        match self.by_id(id)? {
            None => Ok(()),
            Some(_) => Err(CatalogError::Damaged("a new version has the id of another".to_owned())),
        }
    }

    fn by_id(&self, id: VersionId) -> Result<Option<Present>, CatalogError> {
        match self.latest {
            None => Ok(None),
            Some(latest) if latest.version_id == id => Ok(Some(latest)),
            Some(_) if self.bucket.versioning == Versioning::Unversioned => Ok(None),
            Some(_) => match row_of_id(self.transaction, self.bucket.row, self.key, id)? {
                None => Ok(None),
                Some(row) => present(self.transaction, PRESENT_BY_ROW, [row]),
            },
        }
    }

    fn null(&self) -> Result<Option<Present>, CatalogError> {
        match self.latest {
            None => Ok(None),
            Some(latest) if latest.is_null => Ok(Some(latest)),
            Some(_) => {
                let sql = "SELECT id, version_id, is_null, is_delete_marker FROM versions \
                           WHERE bucket = ?1 AND key = ?2 AND is_latest = 0 AND is_null = 1";
                present(self.transaction, sql, params![self.bucket.row, self.key.as_bytes()])
            }
        }
    }

    /// Replaces or sets back what is there, as the bucket's versioning wants it; whether the next version is the null one.
    fn make_room(&self, pace: Pace) -> Result<bool, CatalogError> {
        let is_null = self.bucket.versioning != Versioning::Enabled;
        let replaced = if is_null { self.null()? } else { None };
        if let Some(replaced) = replaced {
            remove(self.transaction, replaced.row, false, pace)?;
        }
        match self.latest {
            Some(latest) if replaced.is_none_or(|replaced| replaced.row != latest.row) => {
                self.transaction.prepare_cached("UPDATE versions SET is_latest = 0 WHERE id = ?1")?.execute([latest.row])?;
            }
            _ => {}
        }
        Ok(is_null)
    }

    fn insert(&self, new: &NewRow<'_>) -> Result<i64, CatalogError> {
        let sql = "INSERT INTO versions (id, bucket, key, version_id, is_latest, is_null, is_delete_marker, size_bytes, modified, \
                   mode, kms_key, upload_id, wrapped_key, sealed_keys, record, lock, retain_until) \
                   VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";
        let (lock, until) = lock_columns(&new.lock);
        let row = releases::next_row(self.transaction, Table::Versions)?;
        let kms_key = keys::row(self.transaction, new.envelope.and_then(|envelope| envelope.key.as_ref()))?;
        keys::count_version(self.transaction, kms_key, self.bucket.row, new.size_bytes)?;
        self.transaction.prepare_cached(sql)?.execute(params![
            row,
            self.bucket.row,
            self.key.as_bytes(),
            new.version_id,
            new.is_null,
            new.envelope.is_none(),
            new.size_bytes,
            new.modified,
            new.envelope.map(|envelope| envelope.mode),
            kms_key,
            new.upload_id,
            new.envelope.map(|envelope| &envelope.wrapped_key),
            new.envelope.map(|envelope| &envelope.sealed_keys),
            new.record,
            lock,
            until,
        ])?;
        Ok(row)
    }

    fn mark_deleted(&self, id: VersionId, modified: UnixMillis, pace: Pace) -> Result<Deleted, CatalogError> {
        self.check_unused(id)?;
        let is_null = self.make_room(pace)?;
        let lock = Lock::default();
        self.insert(&NewRow { version_id: id, is_null, size_bytes: 0, modified, lock, envelope: None, upload_id: None, record: &[] })?;
        Ok(Deleted::MarkerAdded { version_id: id, is_null })
    }

    fn remove_found(&self, found: Option<Present>, bypass: bool, pace: Pace) -> Result<Deleted, CatalogError> {
        let Some(found) = found else { return Ok(Deleted::Nothing) };
        remove(self.transaction, found.row, bypass, pace)?;
        if self.latest.is_some_and(|latest| latest.row == found.row) {
            self.promote()?;
        }
        let Present { version_id, is_null, is_delete_marker: was_delete_marker, .. } = found;
        Ok(Deleted::Removed { version_id, was_delete_marker, is_null })
    }

    /// Makes the newest of the older versions the latest.
    fn promote(&self) -> Result<(), CatalogError> {
        let sql = "UPDATE versions SET is_latest = 1 WHERE id = \
                   (SELECT id FROM versions WHERE bucket = ?1 AND key = ?2 AND is_latest = 0 ORDER BY id DESC LIMIT 1)";
        self.transaction.prepare_cached(sql)?.execute(params![self.bucket.row, self.key.as_bytes()])?;
        Ok(())
    }
}

fn present(transaction: &Connection, sql: &str, by: impl rusqlite::Params) -> Result<Option<Present>, CatalogError> {
    let mut statement = transaction.prepare_cached(sql)?;
    let mut rows = statement.query(by)?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let mut columns = Columns::new(row);
    Ok(Some(Present { row: columns.integer()?, version_id: columns.id()?, is_null: columns.flag()?, is_delete_marker: columns.flag()? }))
}

/// Notes which blobs the version refers to.
fn refer(transaction: &Connection, row: i64, version: &NewVersion, passed: &[BlobId]) -> Result<(), CatalogError> {
    let own = version.blobs.iter().map(|blob| match blob {
        BlobUse::New { id, .. } | BlobUse::Shared { id } => id,
    });
    for blob in own.chain(passed) {
        let sql = "INSERT INTO version_blobs (version, blob) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        if transaction.prepare_cached(sql)?.execute(params![row, blob])? == 0 {
            return Err(CatalogError::Damaged("a version names a blob twice".to_owned()));
        }
    }
    Ok(())
}

/// The one place where a version goes: only if its lock lets it.
fn remove(transaction: &Connection, row: i64, bypass: bool, pace: Pace) -> Result<(), CatalogError> {
    let sql = "DELETE FROM versions WHERE id = ?1 RETURNING lock, retain_until, kms_key, bucket, size_bytes";
    let mut statement = transaction.prepare_cached(sql)?;
    let (lock, kms_key, bucket, size_bytes) = statement.query_row([row], |row| {
        let lock = read_lock(&mut Columns::new(row));
        Ok((lock, row.get(2)?, row.get(3)?, row.get(4)?))
    })?;
    let lock = lock?;
    if lock.holds(pace.now, bypass) {
        // The writer undoes the deletion.
        return Err(CatalogError::Locked(lock));
    }
    keys::forget_version(transaction, kms_key, bucket, size_bytes)?;
    releases::release(transaction, Remains::Version(row), pace)
}
