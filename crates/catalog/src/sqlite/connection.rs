//! Connections and their settings.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::listing::STEP_ROWS;
use super::{releases, schema};
use crate::{CatalogError, Clock};

/// Distinct statements of the catalog, with room to spare.
const CACHED_STATEMENTS: usize = 128;
/// Measured with `catalog_bench`: 8 KiB costs the same CPU and 1.6 times the file for inline objects of 4 KiB, 16 KiB costs more CPU.
const PAGE_BYTES: u32 = 4096;
/// 8 MiB.
const FREE_PAGES: u32 = 2048;
/// 1 MiB.
const VACUUM_PAGES: u32 = 256;
/// 64 MiB. SQLite makes a copy of that in memory.
const REWRITTEN_PAGES: u32 = 16_384;
/// 16 MiB.
const CHECKPOINT_PAGES: u32 = 4096;
/// 64 MiB.
const RESTART_PAGES: u32 = 16_384;
/// A shorter log would be copied into the database all the time.
const MIN_LOG_BYTES: u32 = 512 << 10;

/// How a [`super::SqliteCatalog`] runs.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// Threads that look up rows by their names, each with a connection; at least 1.
    pub lookups: usize,
    /// Threads for listings and other scans, each with a connection; at least 1.
    pub scans: usize,
    /// Rows that a scan reads before the next one has its turn; at least 1.
    pub step_rows: usize,
    /// How many look-ups may wait for a thread, and how many scans. More wait in their callers. Tenants take turns for places.
    pub read_queue: usize,
    /// How many writes may wait for the writer. More wait in their callers. Tenants take turns for places.
    pub write_queue: usize,
    /// Writes that are committed together at the most.
    pub max_batch: usize,
    /// How many rows left behind by deletions one transaction deletes; at least 1.
    pub release_rows: usize,
    /// How many free pages the file keeps, however small it is.
    pub free_pages: u32,
    /// How many free pages one transaction gives back to the file system; at least 1.
    pub vacuum_pages: u32,
    /// How often to check whether there are more free pages than the file keeps.
    pub vacuum_interval: Duration,
    /// How many pages of the log are moved into the database together.
    pub checkpoint_pages: u32,
    /// A log of this many pages is moved completely, so that it starts over.
    pub restart_pages: u32,
    /// How long a snapshot may keep the log from being moved before that is logged and counted.
    pub snapshot_patience: Duration,
    /// How long to wait for a lock that another process holds (a backup, `sqlite3`).
    pub busy_timeout: Duration,
    /// Page cache of all connections together.
    pub cache_bytes: u64,
    /// Whether deleted rows are overwritten with zeroes in the file, so that a sealed key that was let go of cannot be dug up.
    /// Measured with `catalog_bench`: no difference beyond noise, since the pages are logged anyway. (The log itself keeps old
    /// pages until it is written over.)
    pub secure_delete: bool,
    /// The length that the log file is cut back to, and that is reserved for it for when the disk is full. Moving it begins at half of this
    /// at the latest, and it starts over at three quarters.
    pub log_bytes: u32,
    /// Says when a blob died.
    pub clock: Clock,
}

impl SqliteOptions {
    /// [`Self::log_bytes`], or the least that makes sense.
    pub(super) fn log_bytes(&self) -> u32 {
        self.log_bytes.max(MIN_LOG_BYTES)
    }

    pub(super) fn log_pages(&self) -> u32 {
        self.log_bytes() / PAGE_BYTES
    }
}

impl Default for SqliteOptions {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            lookups: cores.clamp(2, 4),
            scans: cores.div_ceil(2).clamp(1, 2),
            step_rows: STEP_ROWS,
            read_queue: 256,
            write_queue: 128,
            max_batch: 128,
            release_rows: releases::STEP_ROWS,
            free_pages: FREE_PAGES,
            vacuum_pages: VACUUM_PAGES,
            vacuum_interval: Duration::from_mins(1),
            checkpoint_pages: CHECKPOINT_PAGES,
            restart_pages: RESTART_PAGES,
            snapshot_patience: Duration::from_secs(5),
            busy_timeout: Duration::from_secs(5),
            cache_bytes: 48 << 20,
            secure_delete: true,
            log_bytes: 32 << 20,
            clock: Clock::default(),
        }
    }
}

/// The connection that writes. Makes the file (readable by its owner only) and its tables where there are none.
pub(super) fn open_writer(path: &Path, options: &SqliteOptions) -> Result<Connection, CatalogError> {
    create_file(path)?;
    check_files(path)?;
    sync_log(path)?;
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, options)?;
    schema::check(&connection)?;
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    // This affects a new file only, before anything is written to it; an older one stays as it is.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(CatalogError::Database(format!("the file system supports no write-ahead log (journal mode {mode})").into()));
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "secure_delete", options.secure_delete)?;
    // See `checkpoint`.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", options.log_bytes())?;
    connection.pragma_update(None, "cache_size", cache_kib(options.cache_bytes / 3))?;
    schema::prepare(&connection)?;
    make_shrinkable(&connection);
    Ok(connection)
}

/// Rewrites a small file of an earlier release once, so that it can give room back from then on. A large file would take long, and need
/// more room: that is left to the operator (docs/catalog.md).
fn make_shrinkable(connection: &Connection) {
    let number = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, u32>(0));
    let is_old = number("PRAGMA auto_vacuum").is_ok_and(|mode| mode == 0);
    let is_small = number("PRAGMA page_count").is_ok_and(|pages| pages <= REWRITTEN_PAGES);
    if is_old
        && is_small
        && let Err(error) = connection.execute_batch("VACUUM")
    {
        tracing::warn!(%error, "the catalog's file could not be rewritten, and will not shrink (docs/catalog.md)");
    }
}

/// A connection that moves the log; [`open_writer`] has been there before.
pub(super) fn open_checkpointer(path: &Path, options: &SqliteOptions) -> Result<Connection, CatalogError> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, options)?;
    // The log must be on the disk before the database is written, and the database before the log is overwritten.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "cache_size", cache_kib(0))?;
    // Reads only the header. A connection is in WAL mode, and can move the log, only after it has read something.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

/// A connection that reads; [`open_writer`] has been there before.
pub(super) fn open_reader(path: &Path, options: &SqliteOptions) -> Result<Connection, CatalogError> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY, options)?;
    let readers = u64::try_from(options.lookups.max(1) + options.scans.max(1)).unwrap_or(u64::MAX);
    connection.pragma_update(None, "cache_size", cache_kib(options.cache_bytes / 3 * 2 / readers))?;
    Ok(connection)
}

/// No memory mapping: mapped pages would count as the server's memory once per connection, and an I/O error under a mapping is a
/// signal instead of an error.
fn open(path: &Path, access: OpenFlags, options: &SqliteOptions) -> Result<Connection, CatalogError> {
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    harden(&connection)?;
    connection.busy_timeout(options.busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    // Binding other values must not make SQLite prepare the statement again: that took most of the time of a listing by prefixes.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "mmap_size", 0)?;
    Ok(connection)
}

/// A file that somebody altered can hold triggers and views that this program never made: none of them runs, and nothing in the
/// schema calls functions with side effects.
fn harden(connection: &Connection) -> Result<(), CatalogError> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    Ok(())
}

fn create_file(path: &Path) -> Result<(), CatalogError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(file) => file.sync_all().and_then(|()| strongroom_files::sync_parent(path)).map_err(io),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(io(error)),
    }
}

/// Syncs what was found. A killed server may have left commits in the log, or the names of the files, unsynced. Nothing may be answered
/// from them that a power cut could take away. SQLite syncs the database itself before it gives up any part of the log.
fn sync_log(path: &Path) -> Result<(), CatalogError> {
    let log = beside(path, "-wal");
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = if log.exists() { strongroom_files::settle(&log) } else { strongroom_files::settle_dir(directory) };
    synced.map_err(io)
}

/// SQLite opens whatever lies there, and waits for the other end of a FIFO. Only looked at and not opened: closing a file of a
/// database lets go of the locks that this process has on it.
fn check_files(path: &Path) -> Result<(), CatalogError> {
    // The operator may have linked the database to another disk; what SQLite makes beside it is no link.
    let database = std::fs::metadata(path).map_err(io)?;
    let beside = ["-wal", "-shm", "-journal"].map(|suffix| std::fs::symlink_metadata(beside(path, suffix)));
    let is_regular = database.is_file() && beside.iter().flatten().all(std::fs::Metadata::is_file);
    if is_regular { Ok(()) } else { Err(CatalogError::Database("something else than a regular file lies in its place".into())) }
}

/// A file that SQLite keeps beside the database.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(suffix);
    beside.into()
}

fn io(error: std::io::Error) -> CatalogError {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => CatalogError::Full,
        _ => CatalogError::Database(Box::new(error)),
    }
}

/// A negative `cache_size` counts KiB.
fn cache_kib(bytes: u64) -> i64 {
    -i64::try_from(bytes >> 10).unwrap_or(i64::MAX)
}
