//! What SQLite's errors mean to the catalog.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::ErrorCode;
use rusqlite::ffi;
use rusqlite::types::FromSqlError;

use crate::CatalogError;

/// Failed commits are logged at most this often: a failing disk has thousands of them.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

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

/// Logs a commit that failed, with `writes` in it.
pub(super) fn tell(error: &rusqlite::Error, writes: usize) {
    /// When that was last done, and how many writes failed since.
    static TOLD: Mutex<(Option<Instant>, usize)> = Mutex::new((None, 0));
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    told.1 += writes;
    if told.0.is_none_or(|at| at.elapsed() >= REPORT_INTERVAL) {
        tracing::error!(%error, writes = told.1, "the catalog could not commit");
        *told = (Some(Instant::now()), 0);
    }
}

/// SQLite reports ENOSPC of a write as FULL; of its shared memory file, as an I/O error of its own.
fn is_full(cause: ffi::Error) -> bool {
    cause.code == ErrorCode::DiskFull || cause.extended_code == ffi::SQLITE_IOERR_SHMSIZE
}
