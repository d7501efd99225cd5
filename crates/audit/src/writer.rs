//! The thread that writes: numbers, chains, signs, appends, syncs. It alone touches the files.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write};
use std::mem;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use strongroom_space::{Kept, hold, let_go};
use time::OffsetDateTime;
use tokio::sync::oneshot;

use crate::finding::MAX_UNSIGNED;
use crate::log::LogConfig;
use crate::open::{OpenReport, Tail};
use crate::queue::{Item, Notice, Queue, Room};
use crate::shared::Shared;
use crate::{AuditError, Head, PublicKey, SigningKey, files, record};

/// The most bytes that are written and synced at once.
const MAX_PENDING_LEN: usize = 4 << 20;
/// What there is above the quota for acts of administration, and the most of them that are written at once there.
const RESERVE_LEN: u64 = 1 << 20;
const MAX_PENDING_IN_RESERVE_LEN: usize = 64 << 10;
/// How long a writer waits after a failure before it tries again.
const RETRY: Duration = Duration::from_millis(250);
/// How long it waits before it tries again to fill up the reserve.
const RESERVE_RETRY: Duration = Duration::from_secs(1);
/// How long it waits before it tries again to begin a file.
const NEXT_RETRY: Duration = Duration::from_secs(5);

pub(crate) struct Writer {
    queue: Arc<Queue>,
    shared: Arc<Shared>,
    config: LogConfig,
    key: SigningKey,
    public_key: PublicKey,
    /// None before the first record of the next file.
    tail: Option<Tail>,
    /// The tail may hold part of `pending`, or all of it unsynced.
    is_torn: bool,
    /// The last record that was encoded.
    head: Head,
    /// Records that are encoded and not durable yet. Kept after a failure, and written again from where they began.
    pending: Vec<u8>,
    /// The number of the first of them.
    pending_seq: u64,
    waiting: Vec<(oneshot::Sender<Result<Head, AuditError>>, Head)>,
    /// Records since the last checkpoint.
    unsigned: u64,
    checkpoint_due: Option<Instant>,
    /// When the file is ended, however short it is. None as long as no event is in it.
    rotate_due: Option<Instant>,
    /// The file that is written on does not state yet what was removed.
    must_restate: bool,
    has_failed: bool,
    /// The length up to which room is reserved for the tail, and when to ask for more, if that is less than wanted.
    kept_to: u64,
    reserve_due: Option<Instant>,
    /// The next file, which has no name yet.
    next: Option<File>,
    /// When to try again to begin the next file, if that failed. Until then the current one gets longer than it should.
    next_due: Option<Instant>,
    /// The quota, if the log has reached it.
    full: Option<u64>,
    /// What was taken in before that and may not use the reserve: no more than the queue holds.
    held: VecDeque<Item>,
    /// How long the log was when it was said that it is near its quota.
    warned_at_bytes: Option<u64>,
    /// Held for its lock.
    _lock: File,
}

impl Writer {
    pub(crate) fn new(
        queue: Arc<Queue>,
        shared: Arc<Shared>,
        config: LogConfig,
        key: SigningKey,
        tail: Option<Tail>,
        head: Head,
        lock: File,
    ) -> Self {
        let rotate = Duration::from_secs(config.rotate_seconds);
        let rotate_due = tail.as_ref().filter(|tail| tail.len > 0).map(|tail| {
            let age = Duration::try_from(OffsetDateTime::now_utc() - tail.begun).unwrap_or_default();
            Instant::now() + rotate.saturating_sub(age)
        });
        Self {
            queue,
            shared,
            config,
            public_key: key.public_key(),
            key,
            tail,
            is_torn: false,
            head,
            pending: Vec::new(),
            pending_seq: 0,
            waiting: Vec::new(),
            unsigned: 0,
            checkpoint_due: None,
            rotate_due,
            must_restate: false,
            has_failed: false,
            kept_to: 0,
            reserve_due: None,
            next: None,
            next_due: None,
            full: None,
            held: VecDeque::new(),
            warned_at_bytes: None,
            _lock: lock,
        }
    }

    /// Records that the log was opened and what was found, signed at once.
    pub(crate) fn begin(&mut self, report: &OpenReport) {
        let OpenReport { head: _, repaired, findings, unsigned } = report;
        if let Some(repair) = repaired {
            self.encode_own("repaired", &serde_json::json!({ "cut_bytes": repair.cut_bytes, "file": repair.file }));
        }
        let findings: Vec<String> = findings.iter().take(10).map(ToString::to_string).collect();
        self.encode_own("opened", &serde_json::json!({ "findings": findings, "unsigned": unsigned }));
        self.encode_removed();
        self.encode_checkpoint();
        self.keep_room();
        let written = self.flush().and_then(|()| self.check_quota(false));
        self.report(written, VecDeque::new());
    }

    /// Writes until the queue is closed.
    pub(crate) fn run(mut self) {
        let _ended = Ended(Arc::clone(&self.queue));
        loop {
            let mut work = self.queue.wait(self.timer(), self.has_failed);
            let written = self.write(&mut work.items, work.notice, work.is_last);
            self.report(written, work.items);
            if work.is_last {
                return;
            }
        }
    }

    /// When there is something to do though nothing comes.
    fn timer(&self) -> Option<Instant> {
        let retry = (self.has_failed || self.full.is_some()).then(|| Instant::now() + RETRY);
        let dues = [retry, self.checkpoint_due, self.rotate_due, self.reserve_due];
        if self.has_failed { retry } else { dues.into_iter().flatten().min() }
    }

    /// Takes items until one of its writes fails; the others stay. At the quota only those are taken that may use the reserve, unless
    /// they are the last.
    fn write(&mut self, items: &mut VecDeque<Item>, notice: Option<Notice>, is_last: bool) -> io::Result<()> {
        if self.reserve_due.is_some_and(|due| due <= Instant::now()) {
            self.keep_room();
        }
        self.flush()?;
        if let Some(notice) = notice {
            self.announce(notice)?;
        }
        self.check_quota(is_last)?;
        if self.full.is_none() {
            self.held.append(items);
            mem::swap(&mut self.held, items);
        }
        while let Some(item) = items.pop_front() {
            self.take(item, is_last);
            if self.pending.len() >= if self.full.is_some() { MAX_PENDING_IN_RESERVE_LEN } else { MAX_PENDING_LEN } {
                self.flush()?;
                self.rotate()?;
                self.check_quota(is_last)?;
            }
        }
        let is_due = is_last || self.checkpoint_due.is_some_and(|due| due <= Instant::now());
        if is_due && self.unsigned > 0 {
            self.encode_checkpoint();
        }
        self.flush()?;
        self.rotate()?;
        if self.must_restate {
            self.restate()?;
        }
        self.check_quota(is_last)
    }

    /// Records what is about to be removed, signs that at once, and tells the keeper when it is durable.
    fn announce(&mut self, notice: Notice) -> io::Result<()> {
        self.append(OffsetDateTime::now_utc(), notice.member.as_bytes());
        self.unsigned += 1;
        self.encode_checkpoint();
        self.flush()?;
        self.shared.set_removed(notice.removed);
        // A keeper that has given up removes nothing.
        let _ = notice.done.send(());
        Ok(())
    }

    /// States in the file that is written on what was removed so far, so that nobody has to look for it in those before.
    fn restate(&mut self) -> io::Result<()> {
        if self.encode_removed() {
            self.encode_checkpoint();
            self.flush()?;
        }
        self.must_restate = false;
        Ok(())
    }

    /// Whether there is anything to state. A checkpoint must follow at once: without it the record does not count.
    fn encode_removed(&mut self) -> bool {
        let removed = self.shared.removed();
        if removed.is_empty() {
            return false;
        }
        self.append(OffsetDateTime::now_utc(), removed.member(&[]).as_bytes());
        self.unsigned += 1;
        true
    }

    /// Fails if the log is as long as it may be, and warns before.
    fn check_quota(&mut self, is_last: bool) -> io::Result<()> {
        self.note_quota(is_last);
        let usage = self.shared.usage(self.config.retention.quota_bytes);
        let Some(quota) = usage.quota_bytes.filter(|_| !is_last) else { return Ok(()) };
        if !usage.is_near_quota() {
            self.warned_at_bytes = None;
        } else if self.warned_at_bytes.replace(usage.bytes).is_none() {
            self.shared.wake();
            tracing::warn!(bytes = usage.bytes, quota, "the audit log is near its quota; when it reaches it, uses of keys are refused");
        }
        if usage.bytes < quota {
            return Ok(());
        }
        self.shared.wake();
        if usage.bytes < quota.saturating_add(RESERVE_LEN) {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::QuotaExceeded, full(quota)))
    }

    /// Looks whether the log has reached its quota, and says so when that changes.
    fn note_quota(&mut self, is_last: bool) {
        let len = self.shared.bytes() + self.pending.len() as u64;
        let reached = self.config.retention.quota_bytes.filter(|quota| !is_last && len >= *quota);
        if mem::replace(&mut self.full, reached) == reached {
            return;
        }
        if let Some(quota) = reached {
            let reason = full(quota);
            tracing::error!(reason, "the audit log is at its quota; uses of keys are refused, and acts of administration 1 MiB later");
        } else {
            tracing::info!("the audit log has room again");
        }
        self.queue.set_full(reached.map(full));
    }

    /// Encodes an item if there is room for it. Otherwise who waits is told, and what nobody waits for is held until there is.
    fn take(&mut self, item: Item, is_last: bool) {
        self.note_quota(is_last);
        let quota = self.full.filter(|_| item.room == Room::Quota);
        match (quota, item) {
            (None, item) => self.encode(item),
            (Some(quota), Item { done: Some(done), .. }) => drop(done.send(Err(AuditError::Unwritable(full(quota))))),
            (Some(_), item) => self.held.push_back(item),
        }
    }

    fn encode(&mut self, item: Item) {
        self.append(item.time, &item.members);
        self.unsigned += 1;
        self.checkpoint_due.get_or_insert_with(|| Instant::now() + Duration::from_secs(self.config.checkpoint_seconds));
        self.rotate_due.get_or_insert_with(|| Instant::now() + Duration::from_secs(self.config.rotate_seconds));
        if let Some(done) = item.done {
            self.waiting.push((done, self.head.clone()));
        }
        if self.unsigned >= self.config.checkpoint_records.clamp(1, MAX_UNSIGNED - 10) {
            self.encode_checkpoint();
        }
    }

    /// A record of the log itself.
    fn encode_own(&mut self, kind: &str, what: &serde_json::Value) {
        self.append(OffsetDateTime::now_utc(), format!("\"{kind}\":{what}").as_bytes());
        self.unsigned += 1;
    }

    fn encode_checkpoint(&mut self) {
        let now = OffsetDateTime::now_utc();
        let members = record::checkpoint_members(&self.key, &self.public_key, &self.head, now);
        self.append(now, members.as_bytes());
        self.unsigned = 0;
        self.checkpoint_due = None;
    }

    fn append(&mut self, time: OffsetDateTime, members: &[u8]) {
        if self.pending.is_empty() {
            self.pending_seq = self.head.seq + 1;
        }
        record::append(&mut self.pending, &mut self.head, time, members);
    }

    /// Makes what is pending durable, and tells those who wait.
    fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.leave_foreign_tail();
        let tail = match &mut self.tail {
            Some(tail) => tail,
            none => {
                let (file, path) = files::create(&self.config.dir, self.pending_seq, self.next.take())?;
                self.shared.set_tail(self.pending_seq, 0);
                none.insert(Tail { file, path, len: 0, begun: OffsetDateTime::now_utc() })
            }
        };
        if mem::replace(&mut self.is_torn, true) {
            // Setting the length also gives up the room reserved beyond the end.
            self.kept_to = 0;
            tail.file.set_len(tail.len)?;
            hold(&tail.file, tail.len, self.config.reserve_bytes)?;
        }
        tail.file.write_all(&self.pending)?;
        tail.file.sync_data()?;
        tail.len += self.pending.len() as u64;
        self.shared.set_tail_len(tail.len);
        self.is_torn = false;
        self.pending.clear();
        self.keep_room();
        self.queue.written(self.head.clone());
        for (done, head) in self.waiting.drain(..) {
            let _ = done.send(Ok(head));
        }
        Ok(())
    }

    /// Reserves room beyond the tail's end again, once an eighth of it is used up. If there is no room, that is tried again later.
    fn keep_room(&mut self) {
        let wanted = self.config.reserve_bytes;
        let Some(tail) = self.tail.as_ref().filter(|_| wanted > 0) else { return };
        let is_enough = |held: u64| held >= wanted - wanted / 8;
        let mut kept = Kept { held_bytes: self.kept_to.saturating_sub(tail.len), wanted_bytes: wanted };
        if !is_enough(kept.held_bytes) {
            kept = hold(&tail.file, tail.len, wanted).unwrap_or(Kept { held_bytes: 0, wanted_bytes: wanted });
            self.kept_to = tail.len + kept.held_bytes;
        }
        let is_short = !is_enough(kept.held_bytes) && kept.wanted_bytes > 0;
        self.reserve_due = is_short.then(|| Instant::now() + RESERVE_RETRY);
        self.shared.set_reserve(if is_short { kept } else { Kept { held_bytes: kept.wanted_bytes, ..kept } });
    }

    /// A file that is gone, or not as long as it was left, is somebody else's now: it stays as it is, and a new one begins.
    fn leave_foreign_tail(&mut self) {
        let Some(tail) = self.tail.as_ref().filter(|_| !self.is_torn) else { return };
        if !is_as_left(tail) {
            tracing::error!(file = %tail.path.display(), "the audit log's file was moved or written by another program; a new one begins");
            self.close_tail();
            self.must_restate = true;
        }
    }

    fn close_tail(&mut self) {
        self.tail = None;
        self.kept_to = 0;
        self.rotate_due = None;
        self.shared.tail_closed(self.head.seq + 1);
    }

    /// Ends a file that is long enough, or old enough and not without events, with a checkpoint, once the next one is prepared. If that
    /// fails, as on a full disk, the current file goes on, in the room reserved for it.
    fn rotate(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let is_old = self.rotate_due.is_some_and(|due| due <= now);
        let is_due = self.tail.as_ref().is_some_and(|tail| tail.len >= self.config.segment_len() || is_old);
        if !is_due || self.next_due.is_some_and(|due| due > now) {
            return Ok(());
        }
        if self.unsigned > 0 {
            self.encode_checkpoint();
            self.flush()?;
        }
        match self.prepare_next() {
            Ok(next) => {
                if let Some(ended) = &self.tail {
                    let_go(&ended.file)?;
                }
                self.close_tail();
                self.next = Some(next);
                self.next_due = None;
                self.restate()
            }
            Err(error) => {
                if self.next_due.replace(now + NEXT_RETRY).is_none() {
                    tracing::warn!(%error, "the audit log cannot begin its next file; it goes on with the present one");
                }
                self.rotate_due = is_old.then(|| now + NEXT_RETRY).or(self.rotate_due);
                Ok(())
            }
        }
    }

    /// Prepares the next file with its full reserve. It gets its name with its first record.
    fn prepare_next(&self) -> io::Result<File> {
        let prepared = files::prepare(&self.config.dir).and_then(|file| {
            let kept = hold(&file, 0, self.config.reserve_bytes)?;
            if kept.is_whole() { Ok(file) } else { Err(io::ErrorKind::StorageFull.into()) }
        });
        prepared.inspect_err(|_| files::discard_prepared(&self.config.dir))
    }

    /// Tells the queue how it went.
    fn report(&mut self, written: io::Result<()>, left: VecDeque<Item>) {
        match written {
            Ok(()) => {
                if mem::take(&mut self.has_failed) {
                    tracing::info!("the audit log is written again");
                }
                self.queue.written(self.head.clone());
            }
            Err(error) => {
                let path = self.tail.as_ref().map_or(self.config.dir.as_path(), |tail| tail.path.as_path());
                self.fail(&format!("cannot write {}: {error}", path.display()), left);
            }
        }
    }

    fn fail(&mut self, reason: &str, left: VecDeque<Item>) {
        if !mem::replace(&mut self.has_failed, true) {
            tracing::error!(reason, "the audit log cannot be written; what must be recorded is refused. Make room or repair its disk");
        }
        // First, so that who is told finds the log refusing.
        self.queue.fail(left, reason);
        for (done, _) in self.waiting.drain(..) {
            let _ = done.send(Err(AuditError::Unwritable(reason.to_owned())));
        }
    }
}

fn full(quota: u64) -> String {
    format!(
        "the log has reached its quota of {quota} bytes: \
         move ended files away (strongroom audit segments lists them), or raise audit_quota_mib"
    )
}

fn is_as_left(tail: &Tail) -> bool {
    let (Ok(named), Ok(open)) = (fs::symlink_metadata(&tail.path), tail.file.metadata()) else { return false };
    (named.dev(), named.ino()) == (open.dev(), open.ino()) && open.len() == tail.len
}

/// However the thread ends, nothing is taken any more.
struct Ended(Arc<Queue>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.end();
    }
}
