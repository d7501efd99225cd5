//! KMS keys, their versions, and what depends on them.

use rusqlite::{Connection, OptionalExtension, Params, params};

use super::columns::Columns;
use crate::{BucketUsage, CatalogError, Envelope, KeyRef, KeyUsage};

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

fn usage_of(connection: &Connection, row: i64, key: KeyRef) -> Result<KeyUsage, CatalogError> {
    let sql = "SELECT count(*) FROM uploads WHERE kms_key = ?1";
    let uploads: u32 = connection.prepare_cached(sql)?.query_row([row], |row| row.get(0))?;
    let mut buckets = usage_by_bucket(connection, row)?;
    buckets.sort_by(|one, other| one.bucket.cmp(&other.bucket));
    let sum = |of: fn(&BucketUsage) -> u64| buckets.iter().map(of).sum();
    Ok(KeyUsage { key, versions: sum(|usage| usage.versions), bytes: sum(|usage| usage.bytes), uploads: uploads.into(), buckets })
}

/// Read from the index alone.
fn usage_by_bucket(connection: &Connection, row: i64) -> Result<Vec<BucketUsage>, CatalogError> {
    let sql = "SELECT b.name, u.versions, u.bytes FROM \
               (SELECT bucket, count(*) AS versions, sum(size_bytes) AS bytes FROM versions INDEXED BY versions_kms_key \
               WHERE kms_key = ?1 GROUP BY bucket) u LEFT JOIN buckets b ON b.id = u.bucket";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([row])?;
    let mut usages = Vec::new();
    while let Some(row) = rows.next()? {
        let mut columns = Columns::new(row);
        usages.push(BucketUsage { bucket: columns.key()?, versions: columns.unsigned()?, bytes: columns.unsigned()? });
    }
    Ok(usages)
}
