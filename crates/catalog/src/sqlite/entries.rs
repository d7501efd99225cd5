//! Rows of versions as listings read them. A page has a thousand, so no column is read that no listing shows, and no key is looked up twice.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};

use super::columns::{Columns, read_lock};
use crate::{CatalogError, KeyRef, VersionEntry};

/// The columns of a version `v`, for [`read_entry`].
macro_rules! entry_columns {
    () => {
        "v.key, v.version_id, (v.is_latest <> 0) + 2 * (v.is_null <> 0) + 4 * (v.is_delete_marker <> 0) AS flags, v.size_bytes, v.modified, \
         v.revision, v.lock, v.retain_until, v.record, v.mode, v.kms_key"
    };
}
pub(super) use entry_columns;

/// How many columns that is.
pub(super) const ENTRY_COLUMNS: usize = 11;

const LATEST: i64 = 1;
const NULL: i64 = 2;
const DELETE_MARKER: i64 = 4;

/// Reads [`entry_columns`].
pub(super) fn read_entry(columns: &mut Columns<'_, '_>, connection: &Connection, keys: &mut Keys) -> Result<VersionEntry, CatalogError> {
    let (key, version_id, flags) = (columns.key()?, columns.id()?, columns.integer()?);
    Ok(VersionEntry {
        key,
        version_id,
        is_latest: flags & LATEST != 0,
        is_null: flags & NULL != 0,
        is_delete_marker: flags & DELETE_MARKER != 0,
        size_bytes: columns.unsigned()?,
        modified: columns.integer()?,
        revision: columns.unsigned()?,
        lock: read_lock(columns)?,
        record: columns.bytes()?,
        mode: columns.optional_integer()?.map(mode_number).transpose()?,
        kms_key: columns.optional_integer()?.map(|row| keys.at(connection, row)).transpose()?,
    })
}

fn mode_number(mode: i64) -> Result<u8, CatalogError> {
    u8::try_from(mode).map_err(|_| CatalogError::Damaged("a mode is out of range".to_owned()))
}

/// The keys that a listing has come by: at the most one for each of its entries.
#[derive(Default)]
pub(super) struct Keys(HashMap<i64, Arc<KeyRef>>);

impl Keys {
    fn at(&mut self, connection: &Connection, row: i64) -> Result<Arc<KeyRef>, CatalogError> {
        if let Some(key) = self.0.get(&row) {
            return Ok(key.clone());
        }
        let mut statement = connection.prepare_cached("SELECT backend, key_id, version FROM kms_keys WHERE id = ?1")?;
        let read = statement.query_row([row], |row| {
            let mut columns = Columns::new(row);
            Ok((|| Ok(KeyRef { backend: columns.text()?, key_id: columns.text()?, version: columns.unsigned()? }))())
        });
        let missing = || Err(CatalogError::Damaged("a version names a key that is not there".to_owned()));
        let key: Arc<KeyRef> = Arc::new(read.optional()?.unwrap_or_else(missing)?);
        self.0.insert(row, key.clone());
        Ok(key)
    }
}
