//! KMS keys, their versions, and what depends on them.

use rusqlite::{Connection, OptionalExtension, Params, params};

use super::columns::{Columns, HOLDS, at_most, read_lock};
use crate::{BucketUsage, CatalogError, Envelope, KeyRef, KeyUsage, LockedVersion, UnixMillis};

/// The columns of an envelope in the table `v` and its key `k`, for [`read_envelope`].
macro_rules! envelope_columns {
    ($table:literal) => {
        concat!($table, ".mode, ", $table, ".wrapped_key, ", $table, ".sealed_keys, ", $table, ".kms_key, k.backend, k.key_id, k.version")
    };
}
pub(super) use envelope_columns;

/// How many columns that is.
const ENVELOPE_COLUMNS: usize = 7;

/// The row of a key version, which is added where it is new.
pub(super) fn row(transaction: &Connection, key: Option<&KeyRef>) -> Result<Option<i64>, CatalogError> {
    let Some(key) = key else { return Ok(None) };
    let by_name = params![key.backend, key.key_id, key.version];
    let sql = "SELECT id FROM kms_keys WHERE backend = ?1 AND key_id = ?2 AND version = ?3";
    if let Some(row) = transaction.prepare_cached(sql)?.query_row(by_name, |row| row.get(0)).optional()? {
        return Ok(Some(row));
    }
    transaction.prepare_cached("INSERT INTO kms_keys (backend, key_id, version) VALUES (?1, ?2, ?3)")?.execute(by_name)?;
    Ok(Some(transaction.last_insert_rowid()))
}

pub(super) fn usage(connection: &Connection, backend: &str, key_id: &str) -> Result<Vec<KeyUsage>, CatalogError> {
    let snapshot = connection.unchecked_transaction()?;
    let sql = "SELECT id, backend, key_id, version FROM kms_keys WHERE backend = ?1 AND key_id = ?2 ORDER BY version";
    used(&snapshot, sql, [backend, key_id], usize::MAX)
}

pub(super) fn in_use(connection: &Connection, after: Option<&KeyRef>, limit: usize) -> Result<Vec<KeyUsage>, CatalogError> {
    let snapshot = connection.unchecked_transaction()?;
    let sql = "SELECT id, backend, key_id, version FROM kms_keys WHERE (backend, key_id, version) > (?1, ?2, ?3) \
               ORDER BY backend, key_id, version";
    // No version is 0, so this is before every key.
    let (backend, key_id, version) = after.map_or(("", "", 0), |key| (key.backend.as_str(), key.key_id.as_str(), key.version));
    used(&snapshot, sql, params![backend, key_id, version], limit)
}

/// The usage of the key versions that a query names, without those that nothing depends on.
fn used(snapshot: &Connection, sql: &str, by: impl Params, limit: usize) -> Result<Vec<KeyUsage>, CatalogError> {
    let mut statement = snapshot.prepare_cached(sql)?;
    let mut rows = statement.query(by)?;
    let mut usages = Vec::new();
    while usages.len() < limit {
        let Some(row) = rows.next()? else { break };
        let mut columns = Columns::new(row);
        let id = columns.integer()?;
        let key = KeyRef { backend: columns.text()?, key_id: columns.text()?, version: columns.unsigned()? };
        let usage = usage_of(snapshot, id, key)?;
        if usage.versions + usage.uploads > 0 {
            usages.push(usage);
        }
    }
    Ok(usages)
}

/// Reads [`envelope_columns`]; none where there is no mode.
pub(super) fn read_envelope(columns: &mut Columns<'_, '_>) -> Result<Option<Envelope>, CatalogError> {
    if columns.at_null()? {
        columns.skip(ENVELOPE_COLUMNS);
        return Ok(None);
    }
    let mode = columns.unsigned()?;
    let (wrapped_key, sealed_keys) = (columns.bytes()?, columns.bytes()?);
    Ok(Some(Envelope { mode, wrapped_key, sealed_keys, key: read_key(columns)? }))
}

/// Reads the row, backend, id and version of a key; none where there is none.
pub(super) fn read_key(columns: &mut Columns<'_, '_>) -> Result<Option<KeyRef>, CatalogError> {
    if columns.at_null()? {
        columns.skip(4);
        return Ok(None);
    }
    columns.skip(1);
    Ok(Some(KeyRef { backend: columns.text()?, key_id: columns.text()?, version: columns.unsigned()? }))
}

/// Read from the counters alone. Those of a deleted bucket may still be there, and are left out.
fn usage_of(connection: &Connection, row: i64, key: KeyRef) -> Result<KeyUsage, CatalogError> {
    let sql = "SELECT b.name, u.versions, u.bytes, u.uploads FROM key_usage u JOIN buckets b ON b.id = u.bucket \
               WHERE u.kms_key = ?1 ORDER BY b.name";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([row])?;
    let mut usage = KeyUsage { key, versions: 0, bytes: 0, uploads: 0, buckets: Vec::new() };
    while let Some(row) = rows.next()? {
        let mut columns = Columns::new(row);
        let of_bucket = BucketUsage { bucket: columns.key()?, versions: columns.unsigned()?, bytes: columns.unsigned()? };
        let uploads: u64 = columns.unsigned()?;
        usage.versions += of_bucket.versions;
        usage.bytes += of_bucket.bytes;
        usage.uploads += uploads;
        if of_bucket.versions > 0 {
            usage.buckets.push(of_bucket);
        }
    }
    Ok(usage)
}

/// Whether anything depends on a key. Asks the versions themselves: a key destroyed because of a wrong count would not come back.
pub(super) fn is_in_use(connection: &Connection, backend: &str, key_id: &str) -> Result<bool, CatalogError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM kms_keys k WHERE k.backend = ?1 AND k.key_id = ?2 AND \
               (EXISTS (SELECT 1 FROM versions v INDEXED BY versions_by_kms_key WHERE v.kms_key = k.id) OR \
               EXISTS (SELECT 1 FROM key_usage u JOIN buckets b ON b.id = u.bucket WHERE u.kms_key = k.id AND u.uploads > 0)))";
    Ok(connection.prepare_cached(sql)?.query_row([backend, key_id], |row| row.get(0))?)
}

/// The versions of a key whose lock holds. What is retained no longer is passed over in the index.
pub(super) fn locked_versions(
    connection: &Connection,
    backend: &str,
    key_id: &str,
    now: UnixMillis,
    limit: usize,
) -> Result<Vec<LockedVersion>, CatalogError> {
    let sql = "SELECT b.name, v.key, v.version_id, v.lock, v.retain_until FROM kms_keys k \
               JOIN versions v INDEXED BY versions_locked ON v.kms_key = k.id AND v.lock <> 0 JOIN buckets b ON b.id = v.bucket \
               WHERE k.backend = ?1 AND k.key_id = ?2 AND (v.lock & ?3 <> 0 OR v.retain_until > ?4) \
               ORDER BY v.lock & ?3 <> 0 DESC, v.retain_until DESC, v.id LIMIT ?5";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![backend, key_id, HOLDS, now, at_most(limit)])?;
    let mut versions = Vec::new();
    while let Some(row) = rows.next()? {
        let mut columns = Columns::new(row);
        let (bucket, key, version_id) = (columns.key()?, columns.key()?, columns.id()?);
        versions.push(LockedVersion { bucket, key, version_id, lock: read_lock(&mut columns)? });
    }
    Ok(versions)
}

/// How many versions of a key have a lock that holds: a count under way.
pub(super) struct LockedCount {
    backend: String,
    key_id: String,
    now: UnixMillis,
    /// The versions of the key that are still to be looked at, and where the first of them is gone on with. None before the first step.
    left: Option<Vec<i64>>,
    after: (UnixMillis, i64),
    count: u64,
}

impl LockedCount {
    const BEFORE_ALL: (UnixMillis, i64) = (i64::MIN, i64::MIN);

    pub(super) fn new(backend: &str, key_id: &str, now: UnixMillis) -> Self {
        Self { backend: backend.to_owned(), key_id: key_id.to_owned(), now, left: None, after: Self::BEFORE_ALL, count: 0 }
    }

    /// The count, if it is complete after this step.
    pub(super) fn step(&mut self, connection: &Connection, rows: usize) -> Result<Option<u64>, CatalogError> {
        let left = match &mut self.left {
            Some(left) => left,
            None => self.left.insert(key_rows(connection, &self.backend, &self.key_id)?),
        };
        let Some(&kms_key) = left.last() else { return Ok(Some(self.count)) };
        let sql = "SELECT v.retain_until, v.id, v.lock & ?2 <> 0 OR v.retain_until > ?3 FROM versions v INDEXED BY versions_locked \
                   WHERE v.kms_key = ?1 AND v.lock <> 0 AND (v.retain_until, v.id) > (?4, ?5) ORDER BY v.retain_until, v.id LIMIT ?6";
        let mut statement = connection.prepare_cached(sql)?;
        let rows = rows.max(1);
        let mut found = statement.query(params![kms_key, HOLDS, self.now, self.after.0, self.after.1, at_most(rows)])?;
        let mut seen = 0;
        while let Some(row) = found.next()? {
            let mut columns = Columns::new(row);
            self.after = (columns.integer()?, columns.integer()?);
            self.count += u64::from(columns.integer()? != 0);
            seen += 1;
        }
        if seen < rows {
            left.pop();
            self.after = Self::BEFORE_ALL;
        }
        Ok(None)
    }
}

/// The rows of a key's versions.
fn key_rows(connection: &Connection, backend: &str, key_id: &str) -> Result<Vec<i64>, CatalogError> {
    let mut statement = connection.prepare_cached("SELECT id FROM kms_keys WHERE backend = ?1 AND key_id = ?2")?;
    let rows = statement.query_map([backend, key_id], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A version depends on the key from now on.
pub(super) fn count_version(transaction: &Connection, key: Option<i64>, bucket: i64, size_bytes: i64) -> Result<(), CatalogError> {
    count(transaction, key, bucket, [1, size_bytes, 0])
}

/// A version depends on it no longer.
pub(super) fn forget_version(transaction: &Connection, key: Option<i64>, bucket: i64, size_bytes: i64) -> Result<(), CatalogError> {
    count(transaction, key, bucket, [-1, -size_bytes, 0])
}

/// An upload depends on it from now on.
pub(super) fn count_upload(transaction: &Connection, key: Option<i64>, bucket: i64) -> Result<(), CatalogError> {
    count(transaction, key, bucket, [0, 0, 1])
}

/// An upload depends on it no longer.
pub(super) fn forget_upload(transaction: &Connection, key: Option<i64>, bucket: i64) -> Result<(), CatalogError> {
    count(transaction, key, bucket, [0, 0, -1])
}

/// Adds to the versions, bytes and uploads of a key in a bucket. Removes a row that counts nothing any more.
fn count(transaction: &Connection, key: Option<i64>, bucket: i64, [versions, bytes, uploads]: [i64; 3]) -> Result<(), CatalogError> {
    let Some(key) = key else { return Ok(()) };
    let sql = "INSERT INTO key_usage (kms_key, bucket, versions, bytes, uploads) VALUES (?1, ?2, ?3, ?4, ?5) \
               ON CONFLICT (kms_key, bucket) DO UPDATE SET versions = versions + excluded.versions, bytes = bytes + excluded.bytes, \
               uploads = uploads + excluded.uploads RETURNING versions = 0 AND uploads = 0";
    let counted = params![key, bucket, versions, bytes, uploads];
    let is_none: bool = transaction.prepare_cached(sql)?.query_row(counted, |row| row.get(0))?;
    if is_none {
        transaction.prepare_cached("DELETE FROM key_usage WHERE kms_key = ?1 AND bucket = ?2")?.execute([key, bucket])?;
    }
    Ok(())
}
