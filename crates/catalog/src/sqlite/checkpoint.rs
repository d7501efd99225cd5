//! Moves the write-ahead log into the database, on a thread and a connection of its own, so that no write waits for it.
//!
//! SQLite starts the log over only when all of it has been moved. While writes go on, the thread never gets quite so far. So once the
//! log is long and nearly all of it has been moved, the writer itself moves the rest between two commits, and waits at most a few
//! milliseconds for readers. While somebody reads an old snapshot (a backup, `sqlite3`), the log can only grow. That is counted and logged.

use std::cell::Cell;
use std::ffi::c_int;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::SqliteOptions;
use super::reserve::Reserve;

/// At most this much of the log is left for the writer to move.
const REST_PAGES: u32 = 512;
/// How long the writer waits for readers, so that the log can start over.
const RESTART_WAIT: Duration = Duration::from_millis(10);
/// How long to wait before trying again.
const RETRY: Duration = Duration::from_secs(1);
/// A log that cannot be moved is reported at most this often.
const WARN_INTERVAL: Duration = Duration::from_mins(1);

thread_local! {
    /// The length of the log after the last commit of this thread.
    static LOG_PAGES: Cell<u32> = const { Cell::new(0) };
}

/// Numbers about the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogNumbers {
    /// Pages in the log now.
    pub pages: u64,
    /// How often a part of it was moved into the database.
    pub checkpoints: u64,
    /// How often an old snapshot kept it from being moved.
    pub held_back: u64,
    /// How often it could not start over because somebody was reading it.
    pub busy: u64,
    /// How often moving it failed.
    pub failed: u64,
}

/// When the log is moved.
#[derive(Clone, Copy, Debug)]
struct Limits {
    checkpoint_pages: u32,
    restart_pages: u32,
    snapshot_patience: Duration,
    busy_timeout: Duration,
}

/// The thread, as the writer sees it.
pub(super) struct Checkpointer {
    shared: Arc<Shared>,
    limits: Limits,
    reserve: Arc<Reserve>,
    thread: Option<JoinHandle<()>>,
}

/// The numbers, for the metrics.
#[derive(Clone)]
pub(super) struct LogCounts(Arc<Shared>);

struct Shared {
    log: Mutex<Log>,
    due: Condvar,
    checkpoints: AtomicU64,
    held_back: AtomicU64,
    busy: AtomicU64,
    failed: AtomicU64,
}

/// What is known of the log.
#[derive(Default)]
struct Log {
    /// Its length after the last commit.
    pages: u32,
    /// How many of them have been moved.
    moved: u32,
    /// Whether the writer must move the rest.
    restart: bool,
    is_closed: bool,
}

impl Checkpointer {
    /// Starts the thread. `writer` is the connection whose commits write the log.
    /// `reserve` takes back the room that a checkpoint gives up.
    pub(super) fn start(writer: &Connection, own: Connection, reserve: Arc<Reserve>, options: &SqliteOptions) -> std::io::Result<Self> {
        let (log, due) = (Mutex::default(), Condvar::new());
        let (checkpoints, held_back, busy, failed) = Default::default();
        let shared = Arc::new(Shared { log, due, checkpoints, held_back, busy, failed });
        let limits = Limits {
            // The log starts over before it outgrows what is kept for it on a full disk.
            checkpoint_pages: options.checkpoint_pages.clamp(1, options.log_pages() / 2),
            restart_pages: options.restart_pages.clamp(1, options.log_pages() / 4 * 3),
            snapshot_patience: options.snapshot_patience,
            busy_timeout: options.busy_timeout,
        };
        writer.wal_hook(Some(note_pages));
        let mover =
            Mover { connection: own, shared: Arc::clone(&shared), reserve: Arc::clone(&reserve), limits, held_since: None, warned: None };
        let thread = std::thread::Builder::new().name("catalog-log".to_owned()).spawn(move || mover.run())?;
        Ok(Self { shared, limits, reserve, thread: Some(thread) })
    }

    pub(super) fn counts(&self) -> LogCounts {
        LogCounts(Arc::clone(&self.shared))
    }

    /// To be called by the writer's thread after each commit.
    pub(super) fn committed(&self, writer: &Connection) {
        let mut log = self.shared.lock();
        let pages = LOG_PAGES.get();
        if pages < log.pages {
            // The log has started over.
            (log.moved, log.restart) = (0, false);
        }
        log.pages = pages;
        if std::mem::take(&mut log.restart) {
            drop(log);
            self.restart(writer);
        } else if log.is_due(&self.limits) {
            self.shared.due.notify_one();
        }
    }

    /// Ends the thread, and moves the whole log.
    pub(super) fn finish(&mut self, writer: &Connection) {
        self.stop();
        if let Err(error) = move_log(writer, "PRAGMA wal_checkpoint(TRUNCATE)") {
            tracing::warn!(%error, "the catalog's log could not be moved into the database");
        }
    }

    /// Moves the rest, so that the next commit starts the log over.
    fn restart(&self, writer: &Connection) {
        let patience = |duration| writer.busy_timeout(duration);
        let moved = patience(RESTART_WAIT).and_then(|()| move_log(writer, "PRAGMA wal_checkpoint(RESTART)"));
        let moved = patience(self.limits.busy_timeout).and(moved);
        match moved {
            Ok(Moved { is_busy: false, .. }) => {
                self.reserve.take_again();
                add(&self.shared.checkpoints);
                let mut log = self.shared.lock();
                (log.pages, log.moved) = (0, 0);
                LOG_PAGES.set(0);
            }
            Ok(_) => add(&self.shared.busy),
            Err(error) => self.shared.has_failed(&error),
        }
    }

    fn stop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.due.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl LogCounts {
    pub(super) fn numbers(&self) -> LogNumbers {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Shared { checkpoints, held_back, busy, failed, .. } = &*self.0;
        let pages = u64::from(self.0.lock().pages);
        LogNumbers { pages, checkpoints: get(checkpoints), held_back: get(held_back), busy: get(busy), failed: get(failed) }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_failed(&self, error: &rusqlite::Error) {
        add(&self.failed);
        tracing::warn!(%error, "the catalog's log could not be moved into the database");
    }
}

impl Log {
    /// Whether enough of it waits to be moved. In a long log less is enough, so that it gets moved completely.
    fn is_due(&self, limits: &Limits) -> bool {
        let waiting = self.pages.saturating_sub(self.moved);
        waiting >= limits.checkpoint_pages || (self.pages >= limits.restart_pages && waiting > REST_PAGES)
    }
}

/// The thread's own state.
struct Mover {
    connection: Connection,
    shared: Arc<Shared>,
    reserve: Arc<Reserve>,
    limits: Limits,
    /// Up to which page the log could not be moved, and since when.
    held_since: Option<(u32, Instant)>,
    warned: Option<Instant>,
}

impl Mover {
    fn run(mut self) {
        let mut not_before = None;
        while self.wait(not_before) {
            not_before = match move_log(&self.connection, "PRAGMA wal_checkpoint(PASSIVE)") {
                Ok(moved) => self.has_moved(moved),
                Err(error) => {
                    self.shared.has_failed(&error);
                    Some(Instant::now() + RETRY)
                }
            };
        }
    }

    /// Waits until there is something to do. False at the end.
    fn wait(&self, not_before: Option<Instant>) -> bool {
        let mut log = self.shared.lock();
        loop {
            let pause = not_before.map(|at| at.saturating_duration_since(Instant::now())).filter(|pause| !pause.is_zero());
            if log.is_closed {
                return false;
            }
            let due = &self.shared.due;
            log = match pause {
                Some(pause) => due.wait_timeout(log, pause).unwrap_or_else(PoisonError::into_inner).0,
                None if log.is_due(&self.limits) => return true,
                None => due.wait(log).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Notes how far the log was moved. Answers when to continue, if not at once.
    fn has_moved(&mut self, moved: Moved) -> Option<Instant> {
        self.reserve.take_again();
        add(&self.shared.checkpoints);
        let mut log = self.shared.lock();
        // Otherwise the log has started over meanwhile.
        if moved.pages <= log.pages {
            log.moved = moved.done;
        }
        let waiting = log.pages.saturating_sub(log.moved);
        log.restart = log.pages >= self.limits.restart_pages && waiting <= REST_PAGES;
        drop(log);
        if moved.done >= moved.pages {
            self.held_since = None;
            return None;
        }
        self.is_held_back(moved);
        // A reader of this moment will be gone by then.
        Some(Instant::now() + RETRY.min(self.limits.snapshot_patience))
    }

    /// A reader that began a moment ago holds back a few pages, which is normal. One that holds back old pages is reported.
    fn is_held_back(&mut self, moved: Moved) {
        let (pages, since) = *self.held_since.get_or_insert((moved.pages, Instant::now()));
        if moved.done >= pages {
            self.held_since = Some((moved.pages, Instant::now()));
            return;
        }
        if since.elapsed() < self.limits.snapshot_patience {
            return;
        }
        add(&self.shared.held_back);
        if self.warned.is_none_or(|warned| warned.elapsed() >= WARN_INTERVAL) {
            self.warned = Some(Instant::now());
            let (log_pages, seconds) = (moved.pages, since.elapsed().as_secs());
            tracing::warn!(
                log_pages,
                seconds,
                "the catalog's log grows: somebody has been reading an old state of it for long (a backup, sqlite3). End that reader"
            );
        }
    }
}

/// How far a checkpoint came.
#[derive(Clone, Copy, Debug)]
struct Moved {
    is_busy: bool,
    /// The length of the log when the checkpoint began.
    pages: u32,
    /// How many of them are in the database now.
    done: u32,
}

fn move_log(connection: &Connection, pragma: &str) -> Result<Moved, rusqlite::Error> {
    let pages = |pages: i64| u32::try_from(pages).unwrap_or(0);
    connection.query_row(pragma, [], |row| Ok(Moved { is_busy: row.get(0)?, pages: pages(row.get(1)?), done: pages(row.get(2)?) }))
}

#[expect(clippy::unnecessary_wraps, reason = "SQLite's hook may fail")]
fn note_pages(_: &Wal, pages: c_int) -> rusqlite::Result<()> {
    LOG_PAGES.set(u32::try_from(pages).unwrap_or(0));
    Ok(())
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
