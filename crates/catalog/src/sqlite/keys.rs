//! KMS keys, their versions, and what depends on them.

use rusqlite::{Connection, OptionalExtension, params};

use super::columns::Columns;
use crate::{CatalogError, Envelope, KeyRef, KeyUsage};

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
    let mut statement = snapshot.prepare_cached("SELECT id, version FROM kms_keys WHERE backend = ?1 AND key_id = ?2 ORDER BY version")?;
    let mut rows = statement.query([backend, key_id])?;
    let mut usages = Vec::new();
    while let Some(row) = rows.next()? {
        let mut columns = Columns::new(row);
        let id = columns.integer()?;
        let key = KeyRef { backend: backend.to_owned(), key_id: key_id.to_owned(), version: columns.unsigned()? };
        let usage = usage_of(&snapshot, id, key)?;
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

fn read_key(columns: &mut Columns<'_, '_>) -> Result<Option<KeyRef>, CatalogError> {
    if columns.at_null()? {
        columns.skip(4);
        return Ok(None);
    }
    columns.skip(1);
    Ok(Some(KeyRef { backend: columns.text()?, key_id: columns.text()?, version: columns.unsigned()? }))
}

fn usage_of(connection: &Connection, row: i64, key: KeyRef) -> Result<KeyUsage, CatalogError> {
    let sql =
        "SELECT count(*), coalesce(sum(size_bytes), 0), (SELECT count(*) FROM uploads WHERE kms_key = ?1) FROM versions WHERE kms_key = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([row])?;
    let row = rows.next()?.ok_or_else(|| CatalogError::Damaged("a count has no row".to_owned()))?;
    let mut columns = Columns::new(row);
    Ok(KeyUsage { key, versions: columns.unsigned()?, bytes: columns.unsigned()?, uploads: columns.unsigned()? })
}
