//! The thread that looks after closed files: compresses them, and removes those that retention does not keep.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::compress::{AfterStep, compress};
use crate::files::{self, Listing, LogFile};
use crate::log::LogConfig;
use crate::queue::{Notice, Queue};
use crate::reader::MAX_PLAIN_LEN;
use crate::removed::{Removed, RemovedFile};
use crate::retention::{Candidate, Clock, choose, survey};
use crate::shared::Shared;
use crate::{AuditError, PublicKey};

/// How long the keeper rests after a look at the files, and how long it waits if nothing happens.
const PAUSE: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_mins(1);
/// How long it waits after a file could not be compressed.
const RETRY: Duration = Duration::from_mins(10);
/// How long it waits until a removal is recorded. It is tried again later.
const PATIENCE: Duration = Duration::from_secs(30);
/// Files that one record announces.
const MAX_FILES_IN_NOTICE: usize = 16;
/// Removals at one look, in records.
const MAX_NOTICES: usize = 64;

pub(crate) struct Keeper {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    config: LogConfig,
    key: PublicKey,
    clock: Clock,
    /// Damaged files that retention keeps.
    kept: BTreeSet<String>,
    /// After a failure no file is compressed until then: each attempt costs as much as a success.
    compress_from: Instant,
    has_failed: bool,
}

impl Keeper {
    pub(crate) fn new(shared: Arc<Shared>, queue: Arc<Queue>, config: LogConfig, key: PublicKey) -> Self {
        let clock = Clock::new(Duration::from_secs(config.retention.settle_seconds));
        Self { shared, queue, config, key, clock, kept: BTreeSet::new(), compress_from: Instant::now(), has_failed: false }
    }

    /// Looks at the files until the log is closed.
    pub(crate) fn run(mut self) {
        loop {
            let looked = self.look();
            match looked {
                Ok(()) => self.has_failed = false,
                Err(error) if !self.has_failed && !self.shared.is_stopping() => {
                    tracing::error!(%error, "closed files of the audit log could not be looked after; it is tried again");
                    self.has_failed = true;
                }
                Err(_) => {}
            }
            if !self.shared.sleep(PAUSE, INTERVAL) {
                return;
            }
        }
    }

    /// Finishes what was interrupted, compresses, removes, counts.
    fn look(&mut self) -> Result<(), AuditError> {
        let listing = files::list(&self.config.dir)?;
        for path in &listing.partial {
            fs::remove_file(path).map_err(|error| files::failed("remove", path, &error))?;
        }
        if self.config.compress && self.compress_from <= Instant::now() {
            self.compress_all(&listing)?;
        }
        let closed = self.closed()?;
        let kept = self.remove_old(closed);
        self.count()?;
        kept
    }

    /// Compresses one file after the other, and counts after each: at the quota that is what is waited for.
    fn compress_all(&mut self, listing: &Listing) -> Result<(), AuditError> {
        let shared = Arc::clone(&self.shared);
        let until_stop: AfterStep<'_> = &|_| if shared.is_stopping() { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) };
        let closed_below = self.shared.closed_below();
        let is_due = |file: &&LogFile| {
            let is_short = || file.path.metadata().is_ok_and(|found| found.len() <= MAX_PLAIN_LEN);
            file.first_seq < closed_below && !file.is_compressed && is_short()
        };
        for file in listing.files.iter().filter(is_due) {
            match compress(file, until_stop) {
                Ok(()) => self.count()?,
                Err(_) if self.shared.is_stopping() => return Ok(()),
                Err(error) => {
                    tracing::warn!(file = file.name, %error, "an ended file of the audit log could not be compressed; it is tried again");
                    self.compress_from = Instant::now() + RETRY;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The closed files as they lie there now, from the oldest on.
    fn closed(&self) -> Result<Vec<Candidate>, AuditError> {
        // Before the listing: a file that is begun after it is not in it.
        let closed_below = self.shared.closed_below();
        let files = files::list(&self.config.dir)?.files;
        let next_begun: Vec<_> = files.iter().skip(1).map(|file| file.begun).chain([None]).collect();
        let with_len = files.into_iter().zip(next_begun).filter(|(file, _)| file.first_seq < closed_below);
        Ok(with_len.map(|(file, closed)| Candidate { bytes: file.path.metadata().map_or(0, |found| found.len()), file, closed }).collect())
    }

    /// Counts the closed files.
    pub(crate) fn count(&self) -> Result<(), AuditError> {
        let closed = self.closed()?;
        self.shared.set_closed(closed.iter().map(|candidate| candidate.bytes).sum(), closed.len() as u64);
        Ok(())
    }

    fn remove_old(&mut self, closed: Vec<Candidate>) -> Result<(), AuditError> {
        let bytes = |of: &[Candidate]| of.iter().map(|candidate| candidate.bytes).sum::<u64>();
        self.shared.set_closed(bytes(&closed), closed.len() as u64);
        let closed: Vec<_> = closed.into_iter().filter(|candidate| !self.kept.contains(&candidate.file.name)).collect();
        let others_bytes = self.shared.bytes().saturating_sub(bytes(&closed));
        let now = self.clock.now(Instant::now(), OffsetDateTime::now_utc());
        let chosen = choose(closed, others_bytes, now, &self.config.retention);
        for files in chosen.chunks(MAX_FILES_IN_NOTICE).take(MAX_NOTICES) {
            if self.shared.is_stopping() {
                return Ok(());
            }
            self.remove(files)?;
        }
        Ok(())
    }

    /// Removes files, after that was recorded. Files whose removal is on record already, as a stop leaves them, just go.
    fn remove(&mut self, files: &[(Candidate, &'static str)]) -> Result<(), AuditError> {
        let (mut removed, mut announced, mut paths) = (self.shared.removed(), Vec::new(), Vec::new());
        for (Candidate { file, .. }, why) in files {
            if self.shared.is_stopping() {
                return Ok(());
            }
            let surveyed = survey(file, &self.key, why).map_err(|error| files::failed("read", &file.path, &error))?;
            let Some(found) = surveyed else {
                tracing::error!(file = file.name, "the file of the audit log is damaged; retention keeps it, for it shows that");
                self.kept.insert(file.name.clone());
                continue;
            };
            let is_stated = |removed: &Removed| removed.covering(found.first_seq, found.last_seq).is_some();
            if is_stated(&removed) {
                paths.push(&file.path);
                continue;
            }
            removed.add(&found);
            if is_stated(&removed) {
                paths.push(&file.path);
                announced.push(found);
            }
        }
        if !announced.is_empty() {
            self.record(&announced, removed)?;
        }
        for path in paths {
            fs::remove_file(path).map_err(|error| files::failed("remove", path, &error))?;
        }
        for file in announced {
            tracing::info!(
                file = file.file,
                first = file.first_seq,
                last = file.last_seq,
                why = file.why,
                "retention removed audit records"
            );
        }
        strongroom_files::sync_dir(&self.config.dir).map_err(|error| files::failed("sync", &self.config.dir, &error))
    }

    /// Returns when the removal is durably on record.
    fn record(&self, files: &[RemovedFile], removed: Removed) -> Result<(), AuditError> {
        let (done, told) = sync_channel(1);
        self.queue.announce(Notice { member: removed.member(files), removed, done });
        told.recv_timeout(PATIENCE)
            .map_err(|_| AuditError::Unwritable("a removal could not be recorded, so nothing was removed".to_owned()))
    }
}
