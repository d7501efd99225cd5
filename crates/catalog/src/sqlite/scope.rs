//! Walks through the versions and uploads in a scope.
//!
//! Each call looks at a bounded number of rows. If the scope has a bucket and a prefix, it looks at the bucket's keys with that prefix, in
//! the order of keys. Otherwise it looks, in the order of commit, at the rows of the scope's KMS keys (one index each), or of its bucket, or
//! at all rows. Then it leaves out what is not in the scope.

use rusqlite::{Connection, params};

use super::buckets::{self, bucket_columns};
use super::columns::{Columns, at_most};
use super::keys::{self, envelope_columns};
use super::uploads::{self, upload_columns};
use super::versions::{self, version_columns};
use crate::listing::end_of;
use crate::{BucketId, CatalogError, CommittedRow, Envelope, Scope, ScopePage, ScopePlace, ScopeTally, ScopedUpload, ScopedVersion};

/// The rows of up to this many key versions are merged. A scope with more is walked by its bucket, or completely.
const MAX_MERGED_KEYS: usize = 256;

/// Rows to look at, and where to continue after them.
type Next = (Vec<i64>, Option<ScopePlace>);

/// The queries for the next rows of a table.
struct Walk {
    /// By key version. Parameters: its row, after, limit.
    by_key: &'static str,
    /// By bucket, if there is an index for it. Parameters: its row, after, limit.
    by_bucket: Option<&'static str>,
    /// Parameters: after, limit.
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

pub(super) fn versions(
    connection: &Connection,
    scope: &Scope,
    after: &ScopePlace,
    limit: usize,
) -> Result<ScopePage<ScopedVersion>, CatalogError> {
    let snapshot = connection.unchecked_transaction()?;
    let (rows, next) = next_versions(&snapshot, scope, after, limit)?;
    let (mut items, mut unreadable) = (Vec::new(), 0);
    for row in rows {
        // A damaged row must not end the walk: who walks decides what it means.
        let found = match version(&snapshot, row) {
            Err(CatalogError::Damaged(_)) => {
                unreadable += 1;
                continue;
            }
            found => found?,
        };
        let Some(found) = found else { continue };
        let covers = |envelope: &Envelope| scope.covers(&found.bucket.id, &found.version.key, envelope.mode, envelope.key.as_ref());
        if found.version.envelope.as_ref().is_some_and(covers) {
            items.push(found);
        }
    }
    Ok(ScopePage { items, unreadable, next })
}

pub(super) fn uploads(
    connection: &Connection,
    scope: &Scope,
    after: &ScopePlace,
    limit: usize,
) -> Result<ScopePage<ScopedUpload>, CatalogError> {
    let snapshot = connection.unchecked_transaction()?;
    let (rows, next) = next_rows(&snapshot, &UPLOADS, scope, after.position, limit)?;
    let mut items = Vec::new();
    for row in rows {
        let Some(found) = upload(&snapshot, row)? else { continue };
        let envelope = &found.upload.envelope;
        if scope.covers(&found.bucket.id, &found.upload.key, envelope.mode, envelope.key.as_ref()) {
            items.push(found);
        }
    }
    Ok(ScopePage { items, unreadable: 0, next })
}

pub(super) fn tally(connection: &Connection, scope: &Scope, after: &ScopePlace, limit: usize) -> Result<ScopeTally, CatalogError> {
    let snapshot = connection.unchecked_transaction()?;
    let (rows, next) = next_versions(&snapshot, scope, after, limit)?;
    let mut tally = ScopeTally { next, ..ScopeTally::default() };
    for row in rows {
        if let Some(size_bytes) = size_if_covered(&snapshot, scope, row)? {
            tally.versions += 1;
            tally.bytes += size_bytes;
        }
    }
    Ok(tally)
}

/// Reads the rows alone, so that nothing of a record is touched.
pub(super) fn committed_after(
    connection: &Connection,
    bucket: BucketId,
    after: i64,
    limit: usize,
) -> Result<Vec<CommittedRow>, CatalogError> {
    let snapshot = connection.unchecked_transaction()?;
    let bucket = buckets::place(&snapshot, bucket)?.row;
    let sql = "SELECT id, key, is_latest, is_delete_marker, size_bytes, modified FROM versions INDEXED BY versions_by_bucket \
               WHERE bucket = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
    let mut statement = snapshot.prepare_cached(sql)?;
    let mut rows = statement.query(params![bucket, after, at_most(limit)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let mut columns = Columns::new(row);
        found.push(CommittedRow {
            position: columns.integer()?,
            // A damaged row must not end the walk.
            key: String::from_utf8(columns.bytes()?).ok(),
            is_latest: columns.flag()?,
            is_delete_marker: columns.flag()?,
            size_bytes: columns.unsigned()?,
            modified: columns.integer()?,
        });
    }
    Ok(found)
}

pub(super) fn last_position(connection: &Connection) -> Result<i64, CatalogError> {
    Ok(connection.prepare_cached("SELECT coalesce(max(id), 0) FROM versions")?.query_row([], |row| row.get(0))?)
}

/// The next versions to look at, and where to continue.
fn next_versions(snapshot: &Connection, scope: &Scope, after: &ScopePlace, limit: usize) -> Result<Next, CatalogError> {
    match scope.by_key(after) {
        Some(bucket) => next_by_key(snapshot, buckets::place(snapshot, bucket)?.row, &scope.prefix, after, limit),
        None => next_rows(snapshot, &VERSIONS, scope, after.position, limit),
    }
}

/// The next rows to look at, and where to continue.
fn next_rows(snapshot: &Connection, walk: &Walk, scope: &Scope, after: i64, limit: usize) -> Result<Next, CatalogError> {
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
    Ok((rows, next.map(|position| ScopePlace { key: None, position })))
}

/// The next versions of a bucket whose keys begin with `prefix`, in the order of keys, merged from two indexes.
fn next_by_key(snapshot: &Connection, bucket: i64, prefix: &str, after: &ScopePlace, limit: usize) -> Result<Next, CatalogError> {
    let start = after.key.as_deref().unwrap_or(prefix).as_bytes();
    let mut found: Vec<(Vec<u8>, i64)> = Vec::new();
    for sql in [
        "SELECT key, id FROM versions INDEXED BY versions_live WHERE bucket = ?1 AND is_latest = 1 AND is_delete_marker = 0 \
         AND (key, id) > (?2, ?3) AND key < ?4 ORDER BY key, id LIMIT ?5",
        "SELECT key, id FROM versions INDEXED BY versions_older WHERE bucket = ?1 AND is_latest = 0 \
         AND (key, id) > (?2, ?3) AND key < ?4 ORDER BY key, id LIMIT ?5",
    ] {
        let mut statement = snapshot.prepare_cached(sql)?;
        let bounds = params![bucket, start, after.position, end_of(prefix.as_bytes()), at_most(limit)];
        let mut rows = statement.query(bounds)?;
        while let Some(row) = rows.next()? {
            let mut columns = Columns::new(row);
            found.push((columns.bytes()?, columns.integer()?));
        }
    }
    found.sort_unstable();
    found.truncate(limit);
    let next = found.last().filter(|_| found.len() == limit).map(|(key, position)| {
        let key = String::from_utf8(key.clone()).map_err(|_| CatalogError::Damaged("a key is not UTF-8".to_owned()))?;
        Ok::<_, CatalogError>(ScopePlace { key: Some(key), position: *position })
    });
    let next = next.transpose()?;
    Ok((found.into_iter().map(|(_, row)| row).collect(), next))
}

/// The rows of the key versions in the scope; none if there are too many to merge.
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

/// None if its bucket is gone: then the upload is about to be deleted.
fn upload(snapshot: &Connection, position: i64) -> Result<Option<ScopedUpload>, CatalogError> {
    let sql = concat!(
        "SELECT ",
        bucket_columns!(),
        ", ",
        upload_columns!(),
        " FROM uploads u JOIN buckets b ON b.id = u.bucket LEFT JOIN kms_keys k ON k.id = u.kms_key WHERE u.id = ?1"
    );
    let mut statement = snapshot.prepare_cached(sql)?;
    let mut rows = statement.query([position])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let mut columns = Columns::new(row);
    Ok(Some(ScopedUpload { position, bucket: buckets::read(&mut columns)?, upload: uploads::read(&mut columns)? }))
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
