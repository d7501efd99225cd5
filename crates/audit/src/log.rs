//! The log as its callers see it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;

use crate::queue::Queue;
use crate::writer::Writer;
use crate::{AuditError, AuditSink, Event, Head, OpenReport, PublicKey, Receipt, SignedReceipt, SigningKey, files, open, sign_receipt};

/// The longest event in bytes of JSON.
const MAX_EVENT_LEN: usize = 64 << 10;

/// Where a log lies and how it is written.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// A directory for the log alone. Created with mode 0700 if absent.
    pub dir: PathBuf,
    /// A file that is longer than this many bytes is ended, and another begun.
    pub rotate_bytes: u64,
    /// A checkpoint is signed after this many records (1 to 9,990),
    pub checkpoint_records: u64,
    /// and this many seconds after a record that none covers.
    pub checkpoint_seconds: u64,
    /// Records that nobody waits for are written and synced after this many milliseconds.
    pub flush_millis: u64,
}

impl LogConfig {
    /// A log in this directory: files of 64 MiB, a checkpoint every 1,000 records or 10 seconds, a sync every 200 milliseconds.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), rotate_bytes: 64 << 20, checkpoint_records: 1000, checkpoint_seconds: 10, flush_millis: 200 }
    }
}

/// An append-only, hash-chained, signed log in the files of one directory.
///
/// [`AuditSink::record`] waits for room in a bounded queue only; the record is durable within a second. When a write fails,
/// every call answers [`AuditError`] until one succeeds again, which is tried all the while. What was taken in before stays and
/// is written then.
pub struct AuditLog {
    queue: Arc<Queue>,
    key: SigningKey,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl AuditLog {
    /// Opens the log of a directory, or begins one, and records that. `expected` is the head that was kept elsewhere: that the log was
    /// cut or rewritten since stands in the report and does not keep it from being written.
    ///
    /// Fails if the files cannot be read or another process writes them. A disk that cannot be written shows in [`Self::health`] only.
    pub async fn open(config: LogConfig, key: SigningKey, expected: Option<Head>) -> Result<(Self, OpenReport), AuditError> {
        let opened = tokio::task::spawn_blocking(move || Self::open_blocking(config, key, expected.as_ref())).await;
        opened.unwrap_or_else(|_| Err(AuditError::Unwritable("opening it was interrupted".to_owned())))
    }

    fn open_blocking(config: LogConfig, key: SigningKey, expected: Option<&Head>) -> Result<(Self, OpenReport), AuditError> {
        let lock = files::lock(&config.dir)?;
        let (tail, report) = open::open(&config.dir, &key.public_key(), expected)?;
        for finding in &report.findings {
            tracing::error!(%finding, "the audit log is not as it was written");
        }
        let queue = Arc::new(Queue::new(Duration::from_millis(config.flush_millis), report.head.clone()));
        let mut writer = Writer::new(Arc::clone(&queue), config, key.clone(), tail, report.head.clone(), lock);
        writer.begin(&report);
        let thread = thread::Builder::new().name("audit-log".to_owned()).spawn(move || writer.run());
        let thread = thread.map_err(|error| AuditError::Unwritable(format!("cannot start its writer: {error}")))?;
        Ok((Self { queue, key, writer: Mutex::new(Some(thread)) }, report))
    }

    /// Records an event durably, and tells where: the number belongs into an erasure receipt.
    pub async fn append(&self, event: &Event) -> Result<Head, AuditError> {
        let (done, told) = oneshot::channel();
        self.queue.push(members(event)?, Some(done)).await?;
        told.await.unwrap_or_else(|_| Err(AuditError::Unwritable("its writer has ended".to_owned())))
    }

    /// The last record that is durable. Keep it where whoever can write the log cannot, and give it to the next [`Self::open`].
    pub fn head(&self) -> Head {
        self.queue.durable()
    }

    /// Whether events are taken now, and if not, why.
    pub fn health(&self) -> Result<(), AuditError> {
        self.queue.check()
    }

    /// The key that checks this log's checkpoints and receipts.
    pub fn public_key(&self) -> PublicKey {
        self.key.public_key()
    }

    /// Signs an erasure receipt with the log's key.
    pub fn sign_receipt(&self, receipt: Receipt) -> SignedReceipt {
        sign_receipt(&self.key, receipt)
    }

    /// Writes what was taken in, and ends the log with a checkpoint. Later events are refused. The answer is whether all is durable.
    pub async fn close(&self) -> Result<(), AuditError> {
        self.queue.close();
        let writer = self.take_writer();
        let durable = tokio::task::spawn_blocking(move || writer.is_none_or(|writer| writer.join().is_ok())).await;
        match durable {
            Ok(true) => self.queue.ended_well(),
            _ => Err(AuditError::Unwritable("its writer has failed".to_owned())),
        }
    }

    fn take_writer(&self) -> Option<JoinHandle<()>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Ends the log as [`AuditLog::close`] does; blocks for a sync.
impl Drop for AuditLog {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(writer) = self.take_writer() {
            let _ = writer.join();
        }
    }
}

#[async_trait]
impl AuditSink for AuditLog {
    async fn record(&self, event: Event) -> Result<(), AuditError> {
        self.queue.push(members(&event)?, None).await
    }

    async fn record_durably(&self, event: Event) -> Result<(), AuditError> {
        self.append(&event).await.map(drop)
    }
}

/// The event as JSON without the braces.
fn members(event: &Event) -> Result<Vec<u8>, AuditError> {
    let unwritable = |reason: &str| AuditError::Unwritable(reason.to_owned());
    let mut json = Vec::with_capacity(512);
    serde_json::to_writer(&mut json, event).map_err(|_| unwritable("an event is no JSON"))?;
    if json.len() > MAX_EVENT_LEN {
        return Err(unwritable("an event is longer than 64 KiB"));
    }
    json.pop();
    json.remove(0);
    Ok(json)
}
