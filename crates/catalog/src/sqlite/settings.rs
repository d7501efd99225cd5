//! Settings of the store.

use rusqlite::{Connection, OptionalExtension, params};

use crate::CatalogError;

pub(super) fn find(connection: &Connection, name: &str) -> Result<Option<Vec<u8>>, CatalogError> {
    let mut statement = connection.prepare_cached("SELECT value FROM settings WHERE name = ?1")?;
    Ok(statement.query_row([name], |row| row.get(0)).optional()?)
}

pub(super) fn set(transaction: &Connection, name: &str, present: Option<&[u8]>, value: &[u8]) -> Result<(), CatalogError> {
    if find(transaction, name)?.as_deref() != present {
        return Err(CatalogError::PreconditionFailed);
    }
    let sql = "INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    transaction.prepare_cached(sql)?.execute(params![name, value])?;
    Ok(())
}
