//! One thread writes; what waits for it is committed together, with one fsync.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use rusqlite::{Connection, ffi};
use strongroom_fair::{FairSemaphore, Permit};
use tokio::sync::{mpsc, oneshot};

use super::checkpoint::Checkpointer;
use super::upkeep::Bell;
use super::{failure, releases};
use crate::CatalogError;

/// A transaction that has changed so many rows takes no more writes in, so that none waits for many others.
const MAX_BATCH_ROWS: u64 = 1024;

/// The way to the writing thread.
pub(super) struct Writer {
    queue: Option<Queue>,
    /// Places among what waits, which tenants take in turn. So a write waits for the batch under way and the next, whoever wrote those.
    places: FairSemaphore,
    most_rows: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

/// What waits to be written.
#[derive(Clone)]
pub(super) struct Queue(mpsc::Sender<Message>);

enum Message {
    Write(Box<dyn Write>, Option<Permit>),
    Close(oneshot::Sender<()>),
}

impl Writer {
    /// Starts the thread. `log` moves the write-ahead log that `connection` writes.
    /// `bell` is rung after a commit that leaves something to be worked off.
    pub(super) fn start(
        connection: Connection,
        log: Checkpointer,
        bell: Arc<Bell>,
        queue: usize,
        max_batch: usize,
    ) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::channel(queue.max(1));
        let places = FairSemaphore::new(queue);
        let most_rows = Arc::new(AtomicU64::new(0));
        let lane =
            Lane { log, connection, max_batch: max_batch.max(1), bell, rows_before: Cell::new(0), most_rows: Arc::clone(&most_rows) };
        let thread = std::thread::Builder::new().name("catalog-writer".to_owned()).spawn(move || lane.run(receiver))?;
        Ok(Self { queue: Some(Queue(sender)), places, most_rows, thread: Some(thread) })
    }

    /// The way to the thread, for a thread that writes on its own account.
    pub(super) fn queue(&self) -> Option<Queue> {
        self.queue.clone()
    }

    /// The most rows that a transaction has changed yet.
    pub(super) fn most_rows(&self) -> u64 {
        self.most_rows.load(Ordering::Relaxed)
    }

    /// Runs `work` inside a transaction and answers after it has been committed. Waits while the queue is full.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let (reply, answer) = oneshot::channel();
        let place = self.places.acquire().await;
        self.send(Message::Write(Box::new(Job { work: Some(work), result: None, reply }), Some(place))).await?;
        answer.await.unwrap_or(Err(CatalogError::Busy))
    }

    /// Commits what waits, moves the log into the database and stops.
    pub(super) async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        if self.send(Message::Close(reply)).await.is_ok() {
            let _ = closed.await;
        }
    }

    async fn send(&self, message: Message) -> Result<(), CatalogError> {
        let queue = self.queue.as_ref().ok_or(CatalogError::Busy)?;
        queue.0.send(message).await.map_err(|_| CatalogError::Busy)
    }
}

impl Queue {
    /// As [`Writer::write`], on a thread of its own.
    pub(super) fn write_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let (reply, answer) = oneshot::channel();
        let write = Message::Write(Box::new(Job { work: Some(work), result: None, reply }), None);
        self.0.blocking_send(write).map_err(|_| CatalogError::Busy)?;
        answer.blocking_recv().unwrap_or(Err(CatalogError::Busy))
    }
}

impl Drop for Writer {
    /// Waits for what is queued to be committed.
    fn drop(&mut self) {
        self.queue = None;
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
    // Closed in this order: the writer's connection is the last.
    log: Checkpointer,
    connection: Connection,
    max_batch: usize,
    bell: Arc<Bell>,
    /// Rows that were changed before the transaction.
    rows_before: Cell<u64>,
    most_rows: Arc<AtomicU64>,
}

impl Lane {
    fn run(mut self, mut queue: mpsc::Receiver<Message>) {
        let mut closing = Vec::new();
        let mut batch = Vec::with_capacity(self.max_batch);
        while let Some(first) = queue.blocking_recv() {
            let mut next = Some(first);
            while let Some(message) = next {
                match message {
                    Message::Write(write, _) if write.is_abandoned() => {}
                    Message::Write(write, place) => {
                        drop(place);
                        batch.push(write);
                    }
                    Message::Close(reply) => {
                        queue.close();
                        closing.push(reply);
                    }
                }
                next = if batch.len() < self.max_batch { queue.try_recv().ok() } else { None };
            }
            self.commit_all(&mut batch);
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

    /// Runs and commits the batch, in as many transactions as its rows take. Each write is undone alone where it fails; what fails a
    /// transaction fails all that are in it.
    fn commit_all(&self, batch: &mut Vec<Box<dyn Write>>) {
        let mut ran: Vec<Box<dyn Write>> = Vec::with_capacity(batch.len());
        for mut write in batch.drain(..) {
            let outcome = self.begin().and_then(|()| self.run_one(write.as_mut()));
            ran.push(write);
            if let Err(error) = outcome {
                self.roll_back();
                answer_all(&mut ran, Err(error));
            } else if self.rows() >= MAX_BATCH_ROWS {
                self.end(&mut ran);
            }
        }
        self.end(&mut ran);
    }

    /// Commits what ran, and answers it.
    fn end(&self, ran: &mut Vec<Box<dyn Write>>) {
        let outcome = self.commit();
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
