//! What SQLite's errors mean to the catalog.

use std::sync::Arc;

use rusqlite::ErrorCode;
use rusqlite::ffi;
use rusqlite::types::FromSqlError;

use crate::CatalogError;

impl From<rusqlite::Error> for CatalogError {
    fn from(error: rusqlite::Error) -> Self {
        of(Arc::new(error))
    }
}

impl From<FromSqlError> for CatalogError {
    fn from(error: FromSqlError) -> Self {
        Self::Damaged(format!("a column has an unexpected value: {error}"))
    }
}

/// The situation that an error stands for. Shared, because one failed commit is the failure of every write in it.
pub(super) fn of(error: Arc<rusqlite::Error>) -> CatalogError {
    match error.sqlite_error() {
        Some(cause) if is_full(*cause) => CatalogError::Full,
        Some(cause) => match cause.code {
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => CatalogError::Damaged(error.to_string()),
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => CatalogError::Busy,
            _ => CatalogError::Database(Box::new(error)),
        },
        None => CatalogError::Database(Box::new(error)),
    }
}

/// SQLite reports ENOSPC of a write as FULL; of its shared memory file, as an I/O error of its own.
fn is_full(cause: ffi::Error) -> bool {
    cause.code == ErrorCode::DiskFull || cause.extended_code == ffi::SQLITE_IOERR_SHMSIZE
}
