//! Multipart uploads and their parts.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension, params};

use super::buckets::{self, bucket_columns};
use super::columns::{Columns, signed};
use super::keys::{self, envelope_columns};
use super::releases::{self, Pace, Remains, Table};
use super::versions::Found;
use super::{blobs, commit};
use crate::{BlobId, BlobUse, BucketId, CatalogError, Committed, Expect, NewVersion, Part, Reseal, Upload, UploadId};

/// The columns of an upload `u`, the id of its bucket `b` and its key `k`, for [`read`].
macro_rules! upload_columns {
    () => {
        concat!("u.key, u.upload_id, b.bucket_id, u.version_id, u.initiated, u.initiator, u.record, ", envelope_columns!("u"))
    };
}
pub(super) use upload_columns;

pub(super) fn create(transaction: &Connection, upload: &Upload) -> Result<(), CatalogError> {
    let bucket = buckets::place(transaction, upload.bucket_id)?;
    let kms_key = keys::row(transaction, upload.envelope.key.as_ref())?;
    keys::count_upload(transaction, kms_key, bucket.row)?;
    let sql = "INSERT INTO uploads (id, upload_id, bucket, key, version_id, initiated, initiator, mode, kms_key, wrapped_key, sealed_keys, \
               record) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT DO NOTHING";
    let added = transaction.prepare_cached(sql)?.execute(params![
        releases::next_row(transaction, Table::Uploads)?,
        upload.upload_id,
        bucket.row,
        upload.key.as_bytes(),
        upload.version_id,
        upload.initiated,
        upload.initiator,
        upload.envelope.mode,
        kms_key,
        upload.envelope.wrapped_key,
        upload.envelope.sealed_keys,
        upload.record,
    ])?;
    if added == 1 { Ok(()) } else { Err(CatalogError::Damaged("a new upload has the id of another".to_owned())) }
}

pub(super) fn find(connection: &Connection, bucket: &str, key: &str, id: UploadId) -> Result<Found<Upload>, CatalogError> {
    let sql = concat!(
        "SELECT ",
        bucket_columns!(),
        ", ",
        upload_columns!(),
        " FROM buckets b LEFT JOIN uploads u ON u.upload_id = ?3 AND u.bucket = b.id AND u.key = ?2 \
         LEFT JOIN kms_keys k ON k.id = u.kms_key WHERE b.name = ?1"
    );
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![bucket.as_bytes(), key.as_bytes(), id])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let mut columns = Columns::new(row);
    let bucket = buckets::read(&mut columns)?;
    let upload = if columns.at_null()? { None } else { Some(read(&mut columns)?) };
    Ok(Some((bucket, upload)))
}

pub(super) fn put_part(transaction: &Connection, id: UploadId, part: &Part, blob: BlobUse, pace: Pace) -> Result<(), CatalogError> {
    let upload = row_of_id(transaction, id)?;
    // Before the replaced part lets go: it may be of the same blob.
    blobs::retain(transaction, blob)?;
    let sql = "SELECT blob FROM parts WHERE upload = ?1 AND number = ?2";
    let replaced = transaction.prepare_cached(sql)?.query_row(params![upload, part.number], |row| row.get(0)).optional()?;
    if let Some(replaced) = replaced {
        blobs::release(transaction, &replaced, pace.now)?;
    }
    let sql = "INSERT OR REPLACE INTO parts (upload, number, blob, size_bytes, modified, record) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let row = params![upload, part.number, part.blob, signed(part.size_bytes)?, part.modified, part.record];
    transaction.prepare_cached(sql)?.execute(row)?;
    Ok(())
}

/// ListParts under way.
pub(super) struct Parts {
    upload: UploadId,
    after: u16,
    limit: usize,
    listed: Vec<Part>,
}

impl Parts {
    pub(super) fn new(upload: UploadId, after: u16, limit: usize) -> Self {
        Self { upload, after, limit, listed: Vec::new() }
    }

    /// The parts, if this step of at most `rows` rows completes them.
    pub(super) fn step(&mut self, connection: &Connection, rows: usize) -> Result<Option<Vec<Part>>, CatalogError> {
        let sql = "SELECT p.number, p.blob, b.len_bytes, p.size_bytes, p.modified, p.record FROM parts p LEFT JOIN blobs b ON b.id = p.blob \
                   WHERE p.upload = (SELECT u.id FROM uploads u JOIN buckets h ON h.id = u.bucket WHERE u.upload_id = ?1) AND p.number > ?2 ORDER BY p.number";
        let mut statement = connection.prepare_cached(sql)?;
        let mut found = statement.query(params![self.upload, self.after])?;
        for _ in 0..rows.min(self.limit - self.listed.len()) {
            let Some(row) = found.next()? else { return Ok(Some(std::mem::take(&mut self.listed))) };
            let part = read_part(&mut Columns::new(row))?;
            self.after = part.number;
            self.listed.push(part);
        }
        Ok((self.listed.len() == self.limit).then(|| std::mem::take(&mut self.listed)))
    }
}

fn read_part(columns: &mut Columns<'_, '_>) -> Result<Part, CatalogError> {
    Ok(Part {
        number: columns.unsigned()?,
        blob: columns.id()?,
        blob_len_bytes: columns.unsigned()?,
        size_bytes: columns.unsigned()?,
        modified: columns.integer()?,
        record: columns.bytes()?,
    })
}

/// The blobs of the parts used pass to the version, along with their references; the other parts release theirs. Whichever of the two are
/// few are handled here, and the many later.
pub(super) fn complete(
    transaction: &Connection,
    id: UploadId,
    used: &[(u16, BlobId)],
    version: &mut NewVersion,
    expect: Expect,
    pace: Pace,
) -> Result<Committed, CatalogError> {
    let upload = matching_row(transaction, id, version.bucket_id, &version.key)?;
    if sealed_keys(transaction, upload)? != version.envelope.sealed_keys {
        return Err(CatalogError::UploadResealed);
    }
    let mut left = part_blobs(transaction, upload)?;
    for &(number, blob) in used {
        if left.remove(&number) != Some(blob) {
            return Err(CatalogError::PartChanged(number));
        }
    }
    version.upload_id = Some(id);
    let (passed, repeated) = once_each(used);
    let committed = commit::put_with(transaction, version, &passed, expect, pace)?;
    for blob in &repeated {
        blobs::release(transaction, blob, pace.now)?;
    }
    releases::remove_upload(transaction, upload)?;
    if left.len() <= pace.rows {
        for (number, blob) in &left {
            blobs::release(transaction, blob, pace.now)?;
            remove_part(transaction, upload, *number)?;
        }
        releases::release(transaction, Remains::Passed(upload), pace)?;
    } else {
        for (number, _) in used {
            remove_part(transaction, upload, *number)?;
        }
        releases::release(transaction, Remains::Upload(upload), pace)?;
    }
    Ok(committed)
}

/// The blobs of the parts used, once each, and those that further parts share.
fn once_each(used: &[(u16, BlobId)]) -> (Vec<BlobId>, Vec<BlobId>) {
    let mut seen = BTreeSet::new();
    used.iter().map(|&(_, blob)| blob).partition(|blob| seen.insert(*blob))
}

pub(super) fn reseal(transaction: &Connection, id: UploadId, reseal: &Reseal) -> Result<(), CatalogError> {
    let upload = matching_row(transaction, id, reseal.bucket_id, &reseal.key)?;
    if sealed_keys(transaction, upload)? != reseal.present {
        return Err(CatalogError::PreconditionFailed);
    }
    let Reseal { envelope, record, .. } = reseal;
    let kms_key = keys::row(transaction, envelope.key.as_ref())?;
    let sql = "SELECT kms_key, bucket FROM uploads WHERE id = ?1";
    let (former_key, bucket) = transaction.prepare_cached(sql)?.query_row([upload], |row| Ok((row.get(0)?, row.get(1)?)))?;
    keys::forget_upload(transaction, former_key, bucket)?;
    keys::count_upload(transaction, kms_key, bucket)?;
    let sql = "UPDATE uploads SET mode = ?2, kms_key = ?3, wrapped_key = ?4, sealed_keys = ?5, record = ?6 WHERE id = ?1";
    let columns = params![upload, envelope.mode, kms_key, envelope.wrapped_key, envelope.sealed_keys, record];
    transaction.prepare_cached(sql)?.execute(columns)?;
    Ok(())
}

pub(super) fn abort(transaction: &Connection, bucket: BucketId, key: &str, id: UploadId, pace: Pace) -> Result<(), CatalogError> {
    let upload = matching_row(transaction, id, bucket, key)?;
    releases::remove_upload(transaction, upload)?;
    releases::release(transaction, Remains::Upload(upload), pace)
}

/// Reads [`upload_columns`].
pub(super) fn read(columns: &mut Columns<'_, '_>) -> Result<Upload, CatalogError> {
    Ok(Upload {
        key: columns.key()?,
        upload_id: columns.id()?,
        bucket_id: columns.id()?,
        version_id: columns.id()?,
        initiated: columns.integer()?,
        initiator: columns.text()?,
        record: columns.bytes()?,
        envelope: keys::read_envelope(columns)?.ok_or_else(|| CatalogError::Damaged("an upload has no keys".to_owned()))?,
    })
}

fn remove_part(transaction: &Connection, upload: i64, number: u16) -> Result<(), CatalogError> {
    transaction.prepare_cached("DELETE FROM parts WHERE upload = ?1 AND number = ?2")?.execute(params![upload, number])?;
    Ok(())
}

/// The row of an upload to an existing bucket. Uploads to a deleted bucket may still have rows, and are not found.
fn row_of_id(transaction: &Connection, id: UploadId) -> Result<i64, CatalogError> {
    let mut statement =
        transaction.prepare_cached("SELECT u.id FROM uploads u JOIN buckets b ON b.id = u.bucket WHERE u.upload_id = ?1")?;
    statement.query_row([id], |row| row.get(0)).optional()?.ok_or(CatalogError::NoSuchUpload)
}

fn matching_row(transaction: &Connection, id: UploadId, bucket: BucketId, key: &str) -> Result<i64, CatalogError> {
    let sql = "SELECT u.id FROM uploads u JOIN buckets b ON b.id = u.bucket WHERE u.upload_id = ?1 AND b.bucket_id = ?2 AND u.key = ?3";
    let mut statement = transaction.prepare_cached(sql)?;
    statement.query_row(params![id, bucket, key.as_bytes()], |row| row.get(0)).optional()?.ok_or(CatalogError::NoSuchUpload)
}

fn sealed_keys(transaction: &Connection, upload: i64) -> Result<Vec<u8>, CatalogError> {
    let mut statement = transaction.prepare_cached("SELECT sealed_keys FROM uploads WHERE id = ?1")?;
    Ok(statement.query_row([upload], |row| row.get(0))?)
}

/// By part number; at the most 10,000.
fn part_blobs(transaction: &Connection, upload: i64) -> Result<BTreeMap<u16, BlobId>, CatalogError> {
    let mut statement = transaction.prepare_cached("SELECT number, blob FROM parts WHERE upload = ?1")?;
    let mut rows = statement.query([upload])?;
    let mut blobs = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let mut columns = Columns::new(row);
        blobs.insert(columns.unsigned()?, columns.id()?);
    }
    Ok(blobs)
}
