//! A thread for work that can wait: it deletes what deletions left behind, and gives free room back to the file system. Each step is a
//! write in the same queue as all others, so other writes wait for at most one step.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::releases::{self, Pace};
use super::writer::Queue;
use crate::{CatalogError, Clock};

/// How long to wait before trying again what failed.
const RETRY: Duration = Duration::from_secs(1);
/// Repeated failures are logged at most this often.
const WARN_INTERVAL: Duration = Duration::from_mins(1);
/// The share of the file's pages that may stay free (numerator and denominator): SQLite will use them again.
const KEPT_FREE: (u32, u32) = (1, 8);

/// The limits of the thread's work.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    pub(super) clock: Clock,
    /// How many rows a step deletes.
    pub(super) rows: usize,
    /// How many free pages are kept, however small the file is.
    pub(super) free_pages: u32,
    /// How many pages a step gives back.
    pub(super) vacuum_pages: u32,
    /// How often to check whether there are any to give back.
    pub(super) vacuum_interval: Duration,
}

/// The thread.
pub(super) struct Upkeep {
    bell: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
}

/// Wakes the thread.
#[derive(Default)]
pub(super) struct Bell {
    state: Mutex<State>,
    rung: Condvar,
}

#[derive(Default)]
struct State {
    is_due: bool,
    is_closed: bool,
}

impl Upkeep {
    /// Starts the thread, which first continues what an earlier process left.
    pub(super) fn start(bell: Arc<Bell>, queue: Queue, limits: Limits) -> std::io::Result<Self> {
        bell.ring();
        let worker = Worker { bell: Arc::clone(&bell), queue, limits };
        let thread = std::thread::Builder::new().name("catalog-upkeep".to_owned()).spawn(move || worker.run())?;
        Ok(Self { bell, thread: Some(thread) })
    }

    /// Makes it end after its current step.
    pub(super) fn close(&self) {
        self.bell.lock().is_closed = true;
        self.bell.rung.notify_one();
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Bell {
    /// Says that there is something to do.
    pub(super) fn ring(&self) {
        self.lock().is_due = true;
        self.rung.notify_one();
    }

    /// Waits until it is rung, or `patience` is over. False at the end.
    fn wait(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut state = self.lock();
        loop {
            let pause = until.saturating_duration_since(Instant::now());
            if state.is_closed {
                return false;
            }
            if std::mem::take(&mut state.is_due) || pause.is_zero() {
                return true;
            }
            state = self.rung.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits, however often it is rung. False at the end.
    fn sleep(&self, pause: Duration) -> bool {
        let state = self.lock();
        let slept = self.rung.wait_timeout_while(state, pause, |state| !state.is_closed);
        !slept.unwrap_or_else(PoisonError::into_inner).0.is_closed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Worker {
    bell: Arc<Bell>,
    queue: Queue,
    limits: Limits,
}

impl Worker {
    fn run(self) {
        let mut looked = None::<Instant>;
        while self.bell.wait(self.limits.vacuum_interval.max(RETRY)) {
            if !self.work_off("let go of what was deleted", Self::release) {
                return;
            }
            if looked.is_none_or(|looked| looked.elapsed() >= self.limits.vacuum_interval) {
                looked = Some(Instant::now());
                if !self.work_off("give room back", Self::vacuum) {
                    return;
                }
            }
        }
    }

    /// Takes steps until there is no more to do. False at the end of the thread.
    fn work_off(&self, what: &str, step: impl Fn(&Self) -> Result<bool, CatalogError>) -> bool {
        let mut warned = None::<Instant>;
        loop {
            match step(self) {
                Ok(false) => return true,
                Ok(true) if self.bell.sleep(Duration::ZERO) => {}
                Ok(true) => return false,
                Err(error) => {
                    if warned.is_none_or(|warned| warned.elapsed() >= WARN_INTERVAL) {
                        warned = Some(Instant::now());
                        tracing::warn!(%error, "the catalog could not {what}, and tries again");
                    }
                    if !self.bell.sleep(RETRY) {
                        return false;
                    }
                }
            }
        }
    }

    fn release(&self) -> Result<bool, CatalogError> {
        let (clock, rows) = (self.limits.clock.clone(), self.limits.rows);
        self.queue.write_blocking(move |transaction| releases::step(transaction, Pace { now: clock.now(), rows }))
    }

    /// Leaves half of the time to others: each page that moves must be written.
    fn vacuum(&self) -> Result<bool, CatalogError> {
        let began = Instant::now();
        let Limits { free_pages, vacuum_pages, .. } = self.limits;
        let is_more = self.queue.write_blocking(move |transaction| vacuum(transaction, free_pages, vacuum_pages))?;
        if is_more {
            self.bell.sleep(began.elapsed());
        }
        Ok(is_more)
    }
}

/// Gives up to `pages` free pages back. True if there are more to give.
fn vacuum(connection: &Connection, free_pages: u32, pages: u32) -> Result<bool, CatalogError> {
    let number = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, u32>(0));
    // Only a file made with incremental vacuum can shrink in steps (docs/catalog.md).
    let is_incremental = number("PRAGMA auto_vacuum")? == 2;
    let (free, all) = (number("PRAGMA freelist_count")?, number("PRAGMA page_count")?);
    let kept = free_pages.max(all / KEPT_FREE.1 * KEPT_FREE.0);
    let pages = free.saturating_sub(kept).min(pages);
    if !is_incremental || pages == 0 {
        return Ok(false);
    }
    // It moves one page for each row that is asked for.
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut rows = statement.raw_query();
    while rows.next()?.is_some() {}
    Ok(free - pages > kept)
}
