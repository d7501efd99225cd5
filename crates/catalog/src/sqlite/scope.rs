//! Walks through the versions and uploads in a scope, in the order of their rows.
//!
//! Each call looks at a bounded number of rows: those of the scope's KMS keys, each key's from an index of its own, or those of
//! its bucket, or all; what else the scope leaves out is left out of these.

use rusqlite::{Connection, params};

use super::buckets::{self, bucket_columns};
use super::columns::{Columns, at_most};
use super::keys::{self, envelope_columns};
use super::uploads::{self, upload_columns};
use super::versions::{self, version_columns};
use crate::{CatalogError, Envelope, Scope, ScopePage, ScopeTally, ScopedUpload, ScopedVersion};

/// The rows of so many key versions are merged; a scope of more is walked by its bucket, or wholly.
const MAX_MERGED_KEYS: usize = 256;

/// The queries for the next rows of a table.
struct Walk {
    /// Of a key version: its row, after, limit.
    by_key: &'static str,
    /// Of a bucket, where there is an index of it: its row, after, limit.
    by_bucket: Option<&'static str>,
    /// After, limit.
    all: &'static str,
}

const VERSIONS: Walk = Walk {
    by_key: "SELECT id FROM versions INDEXED BY versions_by_kms_key WHERE kms_key = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
    by_bucket: Some("SELECT id FROM versions INDEXED BY versions_by_bucket WHERE bucket = ?1 AND id > ?2 ORDER BY id LIMIT ?3"),
    all: "SELECT id FROM versions WHERE id > ?1 ORDER BY id LIMIT ?2",
};

const UPLOADS: Walk = Walk {
    by_key: "SELECT id FROM uploads INDEXED BY uploads_kms_key WHERE kms_key = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
    by_bucket: None,
    all: "SELECT id FROM uploads WHERE id > ?1 ORDER BY id LIMIT ?2",
};

pub(super) fn versions(connection: &Connection, scope: &Scope, after: i64, limit: usize) -> Result<ScopePage<ScopedVersion>, CatalogError> {
    let snapshot = connection.unchecked_transaction()?;
    let (rows, next) = next_rows(&snapshot, &VERSIONS, scope, after, limit)?;
    let mut items = Vec::new();
    for row in rows {
        let Some(found) = version(&snapshot, row)? else { continue };
        let covers = |envelope: &Envelope| scope.covers(&found.bucket.id, &found.version.key, envelope.mode, envelope.key.as_ref());
        if found.version.envelope.as_ref().is_some_and(covers) {
            items.push(found);
        }
    }
    Ok(ScopePage { items, next })
}

pub(super) fn uploads(connection: &Connection, scope: &Scope, after: i64, limit: usize) -> Result<ScopePage<ScopedUpload>, CatalogError> {
    let snapshot = connection.unchecked_transaction()?;
    let (rows, next) = next_rows(&snapshot, &UPLOADS, scope, after, limit)?;
    let mut items = Vec::new();
    for row in rows {
        let found = upload(&snapshot, row)?;
        let envelope = &found.upload.envelope;
        if scope.covers(&found.bucket.id, &found.upload.key, envelope.mode, envelope.key.as_ref()) {
            items.push(found);
        }
    }
    Ok(ScopePage { items, next })
}

pub(super) fn tally(connection: &Connection, scope: &Scope, after: i64, limit: usize) -> Result<ScopeTally, CatalogError> {
    let snapshot = connection.unchecked_transaction()?;
    let (rows, next) = next_rows(&snapshot, &VERSIONS, scope, after, limit)?;
    let mut tally = ScopeTally { next, ..ScopeTally::default() };
    for row in rows {
        if let Some(size_bytes) = size_if_covered(&snapshot, scope, row)? {
            tally.versions += 1;
            tally.bytes += size_bytes;
        }
    }
    Ok(tally)
}

pub(super) fn last_position(connection: &Connection) -> Result<i64, CatalogError> {
    Ok(connection.prepare_cached("SELECT coalesce(max(id), 0) FROM versions")?.query_row([], |row| row.get(0))?)
}

/// The next rows to look at, and where to go on.
fn next_rows(snapshot: &Connection, walk: &Walk, scope: &Scope, after: i64, limit: usize) -> Result<(Vec<i64>, Option<i64>), CatalogError> {
    let keys = if scope.names_keys() { key_rows(snapshot, scope)? } else { None };
    let mut rows = Vec::new();
    match (keys, scope.bucket_id, walk.by_bucket) {
        (Some(keys), _, _) => {
            for key in keys {
                rows.extend(ids(snapshot, walk.by_key, params![key, after, at_most(limit)])?);
            }
            rows.sort_unstable();
            rows.truncate(limit);
        }
        (None, Some(bucket), Some(by_bucket)) => {
            let bucket = buckets::place(snapshot, bucket)?.row;
            rows = ids(snapshot, by_bucket, params![bucket, after, at_most(limit)])?;
        }
        (None, _, _) => rows = ids(snapshot, walk.all, params![after, at_most(limit)])?,
    }
    let next = rows.last().copied().filter(|_| rows.len() == limit);
    Ok((rows, next))
}

/// The rows of the key versions in the scope; none where there are too many to merge.
fn key_rows(snapshot: &Connection, scope: &Scope) -> Result<Option<Vec<i64>>, CatalogError> {
    let sql = "SELECT id FROM kms_keys WHERE (?1 IS NULL OR backend = ?1) AND (?2 IS NULL OR key_id = ?2) \
               AND (?3 IS NULL OR version = ?3) LIMIT ?4";
    let by = params![scope.backend, scope.key_id, scope.key_version, at_most(MAX_MERGED_KEYS + 1)];
    Ok(Some(ids(snapshot, sql, by)?).filter(|rows| rows.len() <= MAX_MERGED_KEYS))
}

fn ids(snapshot: &Connection, sql: &str, by: impl rusqlite::Params) -> Result<Vec<i64>, CatalogError> {
    let mut statement = snapshot.prepare_cached(sql)?;
    let ids = statement.query_map(by, |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(ids)
}

/// None for a delete marker. The inline bytes of an object, which lie behind the part record, are not read.
fn version(snapshot: &Connection, position: i64) -> Result<Option<ScopedVersion>, CatalogError> {
    let sql = concat!(
        "SELECT ",
        bucket_columns!(),
        ", coalesce(d.part_record, x''), ",
        version_columns!(),
        " FROM versions v JOIN buckets b ON b.id = v.bucket LEFT JOIN version_data d ON d.version = v.id \
         LEFT JOIN kms_keys k ON k.id = v.kms_key WHERE v.id = ?1 AND v.is_delete_marker = 0"
    );
    let mut statement = snapshot.prepare_cached(sql)?;
    let mut rows = statement.query([position])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let mut columns = Columns::new(row);
    let (bucket, part_record) = (buckets::read(&mut columns)?, columns.bytes()?);
    Ok(Some(ScopedVersion { position, bucket, part_record, version: versions::read(&mut columns)? }))
}

fn upload(snapshot: &Connection, position: i64) -> Result<ScopedUpload, CatalogError> {
    let sql = concat!(
        "SELECT ",
        bucket_columns!(),
        ", ",
        upload_columns!(),
        " FROM uploads u JOIN buckets b ON b.id = u.bucket LEFT JOIN kms_keys k ON k.id = u.kms_key WHERE u.id = ?1"
    );
    let mut statement = snapshot.prepare_cached(sql)?;
    let mut rows = statement.query([position])?;
    let row = rows.next()?.ok_or_else(|| CatalogError::Damaged("an upload has no bucket".to_owned()))?;
    let mut columns = Columns::new(row);
    Ok(ScopedUpload { position, bucket: buckets::read(&mut columns)?, upload: uploads::read(&mut columns)? })
}

/// Reads the front of a row only.
fn size_if_covered(snapshot: &Connection, scope: &Scope, row: i64) -> Result<Option<u64>, CatalogError> {
    let sql = "SELECT b.bucket_id, v.key, v.size_bytes, v.mode, v.kms_key, k.backend, k.key_id, k.version \
               FROM versions v JOIN buckets b ON b.id = v.bucket LEFT JOIN kms_keys k ON k.id = v.kms_key \
               WHERE v.id = ?1 AND v.is_delete_marker = 0";
    let mut statement = snapshot.prepare_cached(sql)?;
    let mut rows = statement.query([row])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let mut columns = Columns::new(row);
    let (bucket_id, key, size_bytes, mode) = (columns.id()?, columns.key()?, columns.unsigned()?, columns.unsigned()?);
    let kms_key = keys::read_key(&mut columns)?;
    Ok(Some(size_bytes).filter(|_| scope.covers(&bucket_id, &key, mode, kms_key.as_ref())))
}
