//! The log as its callers see it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;

use crate::keeper::Keeper;
use crate::queue::{Queue, Room};
use crate::shared::{Shared, Usage};
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
    /// So is a file with events in it that was begun this many seconds ago.
    pub rotate_seconds: u64,
    /// Whether files that are ended are compressed with gzip.
    pub compress: bool,
    /// A checkpoint is signed after this many records (1 to 9,990),
    pub checkpoint_records: u64,
    /// and this many seconds after a record that none covers.
    pub checkpoint_seconds: u64,
    /// Records that nobody waits for are written and synced after this many milliseconds.
    pub flush_millis: u64,
    /// How long records are kept, and how many.
    pub retention: Retention,
    /// How many bytes to reserve for the current file, so that records go on when the disk is full, whoever filled it.
    pub reserve_bytes: u64,
}

/// How long records are kept, and how many. By default all are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// A file that was ended this many seconds ago is removed.
    pub keep_seconds: Option<u64>,
    /// While the log is longer than this many bytes, its oldest ended file is removed.
    pub keep_bytes: Option<u64>,
    /// While the log is this many bytes long or longer, uses of keys are refused. Acts of administration have another MiB.
    pub quota_bytes: Option<u64>,
    /// For this many seconds after the start nothing is removed for its age: the clock may not be right yet.
    pub settle_seconds: u64,
}

/// No file is ended below this length for the quota's sake.
const MIN_SEGMENT_LEN: u64 = 64 << 10;

impl LogConfig {
    /// A log in this directory: compressed files of 64 MiB or a day, a checkpoint every 1,000 records or 10 seconds, a sync every
    /// 200 milliseconds, nothing removed.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            rotate_bytes: 64 << 20,
            rotate_seconds: 24 * 3600,
            compress: true,
            checkpoint_records: 1000,
            checkpoint_seconds: 10,
            flush_millis: 200,
            retention: Retention::default(),
            reserve_bytes: 0,
        }
    }

    /// How long a file gets: short enough that ended ones can be compressed and removed before the limits are reached.
    pub(crate) fn segment_len(&self) -> u64 {
        let Retention { keep_bytes, quota_bytes, .. } = self.retention;
        let limit = keep_bytes.into_iter().chain(quota_bytes).min().map_or(u64::MAX, |limit| (limit / 8).max(MIN_SEGMENT_LEN));
        self.rotate_bytes.min(limit)
    }
}

/// An append-only, hash-chained, signed log in the files of one directory.
///
/// [`AuditSink::record`] waits for room in a bounded queue only; the record is durable within a second. When a write fails,
/// every call answers [`AuditError`] until one succeeds again, which is tried all the while. What was taken in before stays and
/// is written then.
pub struct AuditLog {
    queue: Arc<Queue>,
    shared: Arc<Shared>,
    quota_bytes: Option<u64>,
    key: SigningKey,
    threads: Mutex<Option<Threads>>,
}

struct Threads {
    writer: JoinHandle<()>,
    keeper: JoinHandle<()>,
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
        let opened = open::open(&config.dir, &key.public_key(), expected)?;
        let report = opened.report;
        for finding in &report.findings {
            tracing::error!(%finding, "the audit log is not as it was written");
        }
        let tail_len = opened.tail.as_ref().map_or(0, |tail| tail.len);
        let shared = Arc::new(Shared::new(opened.tail_seq, tail_len, opened.removed));
        let queue = Arc::new(Queue::new(Duration::from_millis(config.flush_millis), report.head.clone()));
        let keeper = Keeper::new(Arc::clone(&shared), Arc::clone(&queue), config.clone(), key.public_key());
        keeper.count()?;
        let quota_bytes = config.retention.quota_bytes;
        let mut writer = Writer::new(Arc::clone(&queue), Arc::clone(&shared), config, key.clone(), opened.tail, report.head.clone(), lock);
        writer.begin(&report);
        let threads = Threads { writer: spawn("audit-log", move || writer.run())?, keeper: spawn("audit-keeper", move || keeper.run())? };
        Ok((Self { queue, shared, quota_bytes, key, threads: Mutex::new(Some(threads)) }, report))
    }

    /// Records an act of administration durably, and tells where: the number belongs into an erasure receipt. It may use what is
    /// reserved above the quota, so that whoever fills the log up cannot keep an administrator from stopping him.
    pub async fn append(&self, event: &Event) -> Result<Head, AuditError> {
        self.append_in(Room::Reserve, event).await
    }

    /// As [`Self::append`], without the reserve: for what anybody can cause, such as an attempt that was refused.
    pub async fn append_within_quota(&self, event: &Event) -> Result<Head, AuditError> {
        self.append_in(Room::Quota, event).await
    }

    async fn append_in(&self, room: Room, event: &Event) -> Result<Head, AuditError> {
        let (done, told) = oneshot::channel();
        self.queue.push(members(event)?, Some(done), room).await?;
        told.await.unwrap_or_else(|_| Err(AuditError::Unwritable("its writer has ended".to_owned())))
    }

    /// The last record that is durable. Keep it where whoever can write the log cannot, and give it to the next [`Self::open`].
    pub fn head(&self) -> Head {
        self.queue.durable()
    }

    /// Whether events are taken now, and if not, why.
    pub fn health(&self) -> Result<(), AuditError> {
        self.queue.check(Room::Quota)
    }

    /// Whether acts of administration are taken now, and if not, why.
    pub fn health_for_acts(&self) -> Result<(), AuditError> {
        self.queue.check(Room::Reserve)
    }

    /// How much room the log takes. What lies in ended files is counted about once a minute.
    pub fn usage(&self) -> Usage {
        self.shared.usage(self.quota_bytes)
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
        self.shared.stop();
        self.queue.close();
        let threads = self.take_threads();
        let durable = tokio::task::spawn_blocking(move || threads.is_none_or(Threads::join)).await;
        match durable {
            Ok(true) => self.queue.ended_well(),
            _ => Err(AuditError::Unwritable("its writer has failed".to_owned())),
        }
    }

    fn take_threads(&self) -> Option<Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Threads {
    /// Waits for both. Whether the writer ended well.
    fn join(self) -> bool {
        let _ = self.keeper.join();
        self.writer.join().is_ok()
    }
}

/// Ends the log as [`AuditLog::close`] does; blocks for a sync.
impl Drop for AuditLog {
    fn drop(&mut self) {
        self.shared.stop();
        self.queue.close();
        if let Some(threads) = self.take_threads() {
            threads.join();
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, AuditError> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(run);
    thread.map_err(|error| AuditError::Unwritable(format!("cannot start its thread: {error}")))
}

#[async_trait]
impl AuditSink for AuditLog {
    async fn record(&self, event: Event) -> Result<(), AuditError> {
        self.queue.push(members(&event)?, None, Room::Quota).await
    }

    async fn record_durably(&self, event: Event) -> Result<(), AuditError> {
        self.append_within_quota(&event).await.map(drop)
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
