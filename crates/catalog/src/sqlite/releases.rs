//! Deleting in steps. The row of what is deleted goes at once. What depended on it follows in transactions of a bounded number of rows,
//! so that no other write waits for ten thousand parts. The table `releases` names what is left to delete, so the work survives the end
//! of the process between any two steps.

use rusqlite::{Connection, OptionalExtension, params};

use super::columns::{Columns, at_most};
use super::{blobs, keys};
use crate::{BlobId, CatalogError, UnixMillis};

/// How many rows one transaction deletes.
pub(super) const STEP_ROWS: usize = 256;

/// The time that a transaction notes for dead blobs, and how many rows it may delete.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) now: UnixMillis,
    pub(super) rows: usize,
}

/// What is left to delete after something was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remains {
    /// The uploads to a bucket.
    Bucket(i64),
    /// The parts of an upload, and their blobs.
    Upload(i64),
    /// The parts of an upload whose blobs now belong to a version.
    Passed(i64),
    /// The data of a version, and its blobs.
    Version(i64),
}

/// Deletes what remains, as far as one step goes. The rest is left to [`step`].
pub(super) fn release(transaction: &Connection, remains: Remains, pace: Pace) -> Result<(), CatalogError> {
    let mut rows = pace.rows;
    if released(transaction, remains, &mut rows, pace.now)? {
        return Ok(());
    }
    let (kind, row) = remains.columns();
    transaction.prepare_cached("INSERT INTO releases (kind, row) VALUES (?1, ?2)")?.execute([kind, row])?;
    Ok(())
}

/// Deletes more of what is left. True if there is still more.
pub(super) fn step(transaction: &Connection, pace: Pace) -> Result<bool, CatalogError> {
    let mut rows = pace.rows;
    while let Some(remains) = first(transaction)? {
        if !released(transaction, remains, &mut rows, pace.now)? {
            return Ok(true);
        }
        let (kind, row) = remains.columns();
        transaction.prepare_cached("DELETE FROM releases WHERE kind = ?1 AND row = ?2")?.execute([kind, row])?;
    }
    Ok(false)
}

/// Whether anything is left.
pub(super) fn is_due(connection: &Connection) -> Result<bool, CatalogError> {
    Ok(first(connection)?.is_some())
}

/// The row id for a new entry. Never that of a deleted one that still has remains: they would become the new one's.
pub(super) fn next_row(transaction: &Connection, table: Table) -> Result<i64, CatalogError> {
    let sql = match table {
        Table::Buckets => {
            "SELECT max(coalesce((SELECT max(id) FROM buckets), 0), coalesce((SELECT max(row) FROM releases WHERE kind = 1), 0))"
        }
        Table::Uploads => {
            "SELECT max(coalesce((SELECT max(id) FROM uploads), 0), coalesce((SELECT max(row) FROM releases WHERE kind = 2), 0), \
             coalesce((SELECT max(row) FROM releases WHERE kind = 3), 0))"
        }
        Table::Versions => {
            "SELECT max(coalesce((SELECT max(id) FROM versions), 0), coalesce((SELECT max(row) FROM releases WHERE kind = 4), 0))"
        }
    };
    let last: i64 = transaction.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    last.checked_add(1).ok_or_else(|| CatalogError::Damaged("there are no more rows".to_owned()))
}

/// A table whose rows leave remains when they are deleted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Table {
    Buckets,
    Uploads,
    Versions,
}

impl Remains {
    fn columns(self) -> (i64, i64) {
        match self {
            Self::Bucket(row) => (1, row),
            Self::Upload(row) => (2, row),
            Self::Passed(row) => (3, row),
            Self::Version(row) => (4, row),
        }
    }

    fn of(kind: i64, row: i64) -> Result<Self, CatalogError> {
        match kind {
            1 => Ok(Self::Bucket(row)),
            2 => Ok(Self::Upload(row)),
            3 => Ok(Self::Passed(row)),
            4 => Ok(Self::Version(row)),
            _ => Err(CatalogError::Damaged("something unknown is to be let go of".to_owned())),
        }
    }
}

fn first(connection: &Connection) -> Result<Option<Remains>, CatalogError> {
    let mut statement = connection.prepare_cached("SELECT kind, row FROM releases LIMIT 1")?;
    let first = statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    first.map(|(kind, row)| Remains::of(kind, row)).transpose()
}

/// Deletes up to `rows` rows, and counts them down. True if nothing is left.
fn released(transaction: &Connection, remains: Remains, rows: &mut usize, now: UnixMillis) -> Result<bool, CatalogError> {
    match remains {
        Remains::Bucket(bucket) => bucket_released(transaction, bucket, rows, now),
        Remains::Upload(upload) => parts_released(transaction, upload, rows, now),
        Remains::Passed(upload) => passed_released(transaction, upload, rows),
        Remains::Version(version) => version_released(transaction, version, rows, now),
    }
}

fn bucket_released(transaction: &Connection, bucket: i64, rows: &mut usize, now: UnixMillis) -> Result<bool, CatalogError> {
    let mut statement = transaction.prepare_cached("SELECT id FROM uploads WHERE bucket = ?1 LIMIT 1")?;
    while let Some(upload) = statement.query_row([bucket], |row| row.get(0)).optional()? {
        if *rows == 0 || !parts_released(transaction, upload, rows, now)? {
            return Ok(false);
        }
        remove_upload(transaction, upload)?;
        *rows = rows.saturating_sub(1);
    }
    Ok(true)
}

/// Removes the row of an upload.
pub(super) fn remove_upload(transaction: &Connection, upload: i64) -> Result<(), CatalogError> {
    let mut statement = transaction.prepare_cached("DELETE FROM uploads WHERE id = ?1 RETURNING kms_key, bucket")?;
    let (kms_key, bucket) = statement.query_row([upload], |row| Ok((row.get(0)?, row.get(1)?)))?;
    keys::forget_upload(transaction, kms_key, bucket)
}

fn parts_released(transaction: &Connection, upload: i64, rows: &mut usize, now: UnixMillis) -> Result<bool, CatalogError> {
    let sql = "SELECT number, blob FROM parts WHERE upload = ?1 ORDER BY number LIMIT ?2";
    let parts: Vec<(i64, BlobId)> = taken(transaction, sql, upload, *rows, |columns| Ok((columns.integer()?, columns.id()?)))?;
    for (number, blob) in &parts {
        blobs::release(transaction, blob, now)?;
        transaction.prepare_cached("DELETE FROM parts WHERE upload = ?1 AND number = ?2")?.execute([upload, *number])?;
    }
    Ok(is_all(parts.len(), rows))
}

fn passed_released(transaction: &Connection, upload: i64, rows: &mut usize) -> Result<bool, CatalogError> {
    let sql = "DELETE FROM parts WHERE upload = ?1 AND number IN (SELECT number FROM parts WHERE upload = ?1 ORDER BY number LIMIT ?2)";
    let deleted = transaction.prepare_cached(sql)?.execute(params![upload, at_most(*rows)])?;
    Ok(is_all(deleted, rows))
}

fn version_released(transaction: &Connection, version: i64, rows: &mut usize, now: UnixMillis) -> Result<bool, CatalogError> {
    let sql = "SELECT blob FROM version_blobs WHERE version = ?1 LIMIT ?2";
    #[expect(clippy::redundant_closure_for_method_calls, reason = "the method is not general enough in its lifetimes")]
    let released: Vec<BlobId> = taken(transaction, sql, version, *rows, |columns| columns.id())?;
    for blob in &released {
        blobs::release(transaction, blob, now)?;
        transaction.prepare_cached("DELETE FROM version_blobs WHERE version = ?1 AND blob = ?2")?.execute(params![version, blob])?;
    }
    if !is_all(released.len(), rows) {
        return Ok(false);
    }
    transaction.prepare_cached("DELETE FROM version_data WHERE version = ?1")?.execute([version])?;
    Ok(true)
}

/// Counts `done` rows down. True if there were fewer than allowed, so that none are left.
fn is_all(done: usize, rows: &mut usize) -> bool {
    let is_all = done < *rows;
    *rows = rows.saturating_sub(done);
    is_all
}

fn taken<T>(
    transaction: &Connection,
    sql: &str,
    of: i64,
    rows: usize,
    read: impl Fn(&mut Columns<'_, '_>) -> Result<T, CatalogError>,
) -> Result<Vec<T>, CatalogError> {
    let mut statement = transaction.prepare_cached(sql)?;
    let mut found = statement.query(params![of, at_most(rows)])?;
    let mut taken = Vec::new();
    while let Some(row) = found.next()? {
        taken.push(read(&mut Columns::new(row))?);
    }
    Ok(taken)
}
