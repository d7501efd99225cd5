//! One thread writes; what waits for it is committed together, with one fsync.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ffi};
use strongroom_fair::Tenant;
use tokio::sync::oneshot;

use super::checkpoint::Checkpointer;
use super::line::Line;
use super::upkeep::Bell;
use super::{failure, releases};
use crate::CatalogError;

/// A transaction that has changed this many rows takes in no more writes, so that no write waits for many others.
const MAX_BATCH_ROWS: u64 = 1024;

/// For this long after a batch with writes of several tenants, they are expected to meet again.
const TENANTS_MEET: Duration = Duration::from_millis(100);

/// The way to the writing thread.
pub(super) struct Writer {
    queue: Queue,
    most_rows: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

/// The line of waiting writes. A batch takes from it while it runs, so a tenant's first write joins the batch under way, whoever fills that.
#[derive(Clone)]
pub(super) struct Queue(Arc<Line<Message>>);

enum Message {
    Write(Box<dyn Write>),
    Close(oneshot::Sender<()>),
}

impl Writer {
    /// Starts the thread. `log` moves the write-ahead log that `connection` writes. `bell` is rung after a commit that leaves something
    /// to be deleted later.
    pub(super) fn start(
        connection: Connection,
        log: Checkpointer,
        bell: Arc<Bell>,
        queue: usize,
        max_batch: usize,
    ) -> std::io::Result<Self> {
        let waiting = Arc::new(Line::new(queue));
        let most_rows = Arc::new(AtomicU64::new(0));
        let lane = Lane {
            log,
            connection,
            max_batch: max_batch.max(1),
            bell,
            rows_before: Cell::new(0),
            most_rows: Arc::clone(&most_rows),
            last_commit: Cell::new(Duration::ZERO),
            met: Cell::new(None),
        };
        let queue = Queue(Arc::clone(&waiting));
        let thread = std::thread::Builder::new().name("catalog-writer".to_owned()).spawn(move || lane.run(&waiting))?;
        Ok(Self { queue, most_rows, thread: Some(thread) })
    }

    /// A way to the line for another thread of the catalog.
    pub(super) fn queue(&self) -> Queue {
        self.queue.clone()
    }

    /// The most rows that a transaction has changed so far.
    pub(super) fn most_rows(&self) -> u64 {
        self.most_rows.load(Ordering::Relaxed)
    }

    /// Runs `work` inside a transaction and answers after it has been committed. Waits while the queue is full.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let (reply, answer) = oneshot::channel();
        self.queue.0.push(Message::Write(Box::new(Job { work: Some(work), result: None, reply }))).await?;
        answer.await.unwrap_or(Err(CatalogError::Busy))
    }

    /// Commits what waits, moves the log into the database and stops.
    pub(super) async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        if self.queue.0.push(Message::Close(reply)).await.is_ok() {
            let _ = closed.await;
        }
    }
}

impl Queue {
    /// As [`Writer::write`], for a caller that may block.
    pub(super) fn write_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let (reply, answer) = oneshot::channel();
        self.0.push_now(Message::Write(Box::new(Job { work: Some(work), result: None, reply })))?;
        answer.blocking_recv().unwrap_or(Err(CatalogError::Busy))
    }
}

impl Drop for Writer {
    /// Waits for what is queued to be committed.
    fn drop(&mut self) {
        self.queue.0.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One write, without its types.
trait Write: Send {
    /// Whether nobody waits for it any more.
    fn is_abandoned(&self) -> bool;
    /// Runs it.
    fn run(&mut self, transaction: &Connection) -> Verdict;
    /// Answers the caller: with its own result if the transaction was committed.
    fn answer(self: Box<Self>, outcome: Result<(), CatalogError>);
}

/// What shall become of what a write did.
enum Verdict {
    Keep,
    Undo { disk_full: bool },
}

struct Job<F, T> {
    work: Option<F>,
    result: Option<Result<T, CatalogError>>,
    reply: oneshot::Sender<Result<T, CatalogError>>,
}

impl<T: Send, F: FnOnce(&Connection) -> Result<T, CatalogError> + Send> Write for Job<F, T> {
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(&mut self, transaction: &Connection) -> Verdict {
        let Some(work) = self.work.take() else { return Verdict::Undo { disk_full: false } };
        let result = catch_unwind(AssertUnwindSafe(|| work(transaction))).unwrap_or_else(|_| Err(panicked()));
        match self.result.insert(result) {
            Ok(_) => Verdict::Keep,
            Err(error) => Verdict::Undo { disk_full: matches!(error, CatalogError::Full) },
        }
    }

    fn answer(self: Box<Self>, outcome: Result<(), CatalogError>) {
        let result = match outcome {
            Ok(()) => self.result.unwrap_or_else(|| Err(panicked())),
            Err(failure) => Err(failure),
        };
        let _ = self.reply.send(result);
    }
}

fn panicked() -> CatalogError {
    CatalogError::Damaged("a write met a state that cannot be".to_owned())
}

/// The thread's own state.
struct Lane {
    // Fields are dropped in this order: the writer's connection is closed last.
    log: Checkpointer,
    connection: Connection,
    max_batch: usize,
    bell: Arc<Bell>,
    /// How many rows the connection had changed before the transaction.
    rows_before: Cell<u64>,
    most_rows: Arc<AtomicU64>,
    /// How long the last commit took: mostly its fsync.
    last_commit: Cell<Duration>,
    /// When a batch had writes of several tenants, the last time.
    met: Cell<Option<Instant>>,
}

/// Writes that share a transaction.
struct Batch {
    began: Instant,
    writes: usize,
    /// Of its first write.
    tenant: Tenant,
    ran: Vec<Box<dyn Write>>,
}

impl Lane {
    fn run(mut self, line: &Line<Message>) {
        let mut closing = Vec::new();
        while let Some((tenant, first)) = line.pop() {
            self.commit_batch(tenant, first.leave(), line, &mut closing);
            self.log.committed(&self.connection);
            if releases::is_due(&self.connection).unwrap_or(true) {
                self.bell.ring();
            }
        }
        self.log.finish(&self.connection);
        drop(self);
        for reply in closing {
            let _ = reply.send(());
        }
    }

    /// Runs what waits and what arrives meanwhile, and commits it. A write that fails is undone alone. An error of the transaction fails
    /// all writes in it.
    fn commit_batch(&self, tenant: Tenant, first: Message, line: &Line<Message>, closing: &mut Vec<oneshot::Sender<()>>) {
        let mut batch = Batch { began: Instant::now(), writes: 0, tenant: tenant.clone(), ran: Vec::new() };
        let mut next = Some((tenant, first));
        while let Some((tenant, message)) = next {
            match message {
                Message::Write(write) if write.is_abandoned() => {}
                Message::Write(mut write) => {
                    batch.writes += 1;
                    if tenant != batch.tenant {
                        self.met.set(Some(Instant::now()));
                    }
                    let outcome = self.begin().and_then(|()| self.run_one(write.as_mut()));
                    batch.ran.push(write);
                    if let Err(error) = outcome {
                        self.roll_back();
                        answer_all(&mut batch.ran, Err(error));
                    }
                }
                Message::Close(reply) => {
                    line.close();
                    closing.push(reply);
                }
            }
            next = if self.takes_more(&batch) { line.try_pop().map(|(tenant, placed)| (tenant, placed.leave())) } else { None };
        }
        self.end(&mut batch.ran);
    }

    /// Where tenants meet, a batch takes about as long as a commit. So none waits long for another's many writes, and at most half of the
    /// time goes to commits.
    fn takes_more(&self, batch: &Batch) -> bool {
        let have_met = self.met.get().is_some_and(|met| met.elapsed() < TENANTS_MEET);
        let is_long = have_met && batch.began.elapsed() >= self.last_commit.get();
        batch.writes < self.max_batch && self.rows() < MAX_BATCH_ROWS && !is_long
    }

    /// Commits the writes that ran, and answers them.
    fn end(&self, ran: &mut Vec<Box<dyn Write>>) {
        let began = Instant::now();
        let outcome = self.commit();
        self.last_commit.set(began.elapsed());
        if outcome.is_err() {
            self.roll_back();
        }
        self.most_rows.fetch_max(self.rows(), Ordering::Relaxed);
        answer_all(ran, outcome);
    }

    /// How many rows the transaction has changed.
    fn rows(&self) -> u64 {
        self.connection.total_changes().saturating_sub(self.rows_before.get())
    }

    fn begin(&self) -> Result<(), rusqlite::Error> {
        if !self.connection.is_autocommit() {
            return Ok(());
        }
        self.rows_before.set(self.connection.total_changes());
        self.execute("BEGIN IMMEDIATE")
    }

    fn commit(&self) -> Result<(), rusqlite::Error> {
        if self.connection.is_autocommit() { Ok(()) } else { self.execute("COMMIT") }
    }

    fn roll_back(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK")
        {
            tracing::error!(%error, "the catalog could not roll back a transaction");
        }
    }

    /// An error here is one of the transaction. SQLite rolls a transaction back by itself when the disk is full or fails, which
    /// also undoes the writes before this one.
    fn run_one(&self, write: &mut dyn Write) -> Result<(), rusqlite::Error> {
        self.execute("SAVEPOINT write")?;
        if let Verdict::Undo { disk_full } = write.run(&self.connection) {
            if self.connection.is_autocommit() {
                let code = if disk_full { ffi::SQLITE_FULL } else { ffi::SQLITE_IOERR };
                return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
            }
            self.execute("ROLLBACK TO write")?;
        }
        self.execute("RELEASE write")
    }

    fn execute(&self, statement: &str) -> Result<(), rusqlite::Error> {
        self.connection.prepare_cached(statement)?.execute([]).map(drop)
    }
}

fn answer_all(ran: &mut Vec<Box<dyn Write>>, outcome: Result<(), rusqlite::Error>) {
    let error = outcome.err().map(Arc::new);
    if let Some(error) = &error {
        failure::tell(error, ran.len());
    }
    for write in ran.drain(..) {
        write.answer(error.as_ref().map_or(Ok(()), |error| Err(failure::of(Arc::clone(error)))));
    }
}
