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
use crate::log::{LogConfig, Retention};
use crate::queue::{Notice, Queue};
use crate::reader::MAX_PLAIN_LEN;
use crate::removed::{Removed, RemovedFile};
use crate::retention::{Candidate, Clock, choose, is_old};
use crate::shared::Shared;
use crate::survey::{Surveys, Verdict, is_in_place};
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
/// What follows from a file that is not this log's.
const STOPPED: &str = "nothing is removed for its size until you have looked at it and moved it away";

/// The closed files by what may become of them.
#[derive(Default)]
struct Found {
    /// From the oldest on.
    sound: Vec<Candidate>,
    /// Those whose removal is on record.
    on_record: Vec<Candidate>,
    /// How many are kept for what they show.
    suspects: u64,
}

pub(crate) struct Keeper {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    config: LogConfig,
    key: PublicKey,
    clock: Clock,
    surveys: Surveys,
    /// Files that were told of as being where they do not belong.
    misplaced: BTreeSet<String>,
    /// Names in the directory that are those of a log's files and not of this one's.
    foreign: usize,
    /// After a failure no file is compressed until then: each attempt costs as much as a success.
    compress_from: Instant,
    has_failed: bool,
}

impl Keeper {
    pub(crate) fn new(shared: Arc<Shared>, queue: Arc<Queue>, config: LogConfig, key: PublicKey) -> Self {
        let clock = Clock::new(Duration::from_secs(config.retention.settle_seconds));
        Self {
            shared,
            queue,
            config,
            key,
            clock,
            surveys: Surveys::default(),
            misplaced: BTreeSet::new(),
            foreign: 0,
            compress_from: Instant::now(),
            has_failed: false,
        }
    }

    /// Looks at the files until the log is closed.
    pub(crate) fn run(mut self) {
        loop {
            let looked = self.look();
            match looked {
                Ok(()) => self.has_failed = false,
                Err(error) if !self.has_failed && !self.shared.is_stopping() => {
                    tracing::error!(%error, "ended files of the audit log could not be looked after; it is tried again");
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
        self.note_foreign(&listing.foreign);
        let removed = self.remove_old();
        self.count()?;
        removed
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
    fn closed(&self) -> Result<Vec<LogFile>, AuditError> {
        // Before the listing: a file that is begun after it is not in it.
        let closed_below = self.shared.closed_below();
        let mut files = files::list(&self.config.dir)?.files;
        files.retain(|file| file.first_seq < closed_below);
        Ok(files)
    }

    /// Counts the closed files.
    pub(crate) fn count(&self) -> Result<(), AuditError> {
        let closed = self.closed()?;
        let bytes = closed.iter().map(|file| file.path.metadata().map_or(0, |found| found.len())).sum();
        self.shared.set_closed(bytes, closed.len() as u64);
        Ok(())
    }

    /// Tells once of names that no server gave.
    fn note_foreign(&mut self, names: &[String]) {
        if names.len() > self.foreign {
            let name = &names[0];
            tracing::error!(name, count = names.len(), "the audit log's directory holds names that the log does not give; {STOPPED}");
        }
        self.foreign = names.len();
    }

    fn remove_old(&mut self) -> Result<(), AuditError> {
        let retention = self.config.retention;
        if retention.keep_bytes.is_none() && retention.keep_seconds.is_none() {
            return Ok(());
        }
        self.count()?;
        let now = self.clock.now(Instant::now(), OffsetDateTime::now_utc());
        let Some(found) = self.survey(now)? else { return Ok(()) };
        let suspects = found.suspects + self.foreign as u64;
        self.shared.set_suspects(suspects);
        // Whoever plants a file must not have others removed for its length.
        let keep_bytes = retention.keep_bytes.filter(|_| suspects == 0);
        let tail_bytes = self.shared.tail_bytes().min(self.config.segment_len());
        let chosen = choose(found.sound, tail_bytes, now, &Retention { keep_bytes, ..retention });
        for files in found.on_record.chunks(MAX_FILES_IN_NOTICE).chain(chosen.chunks(MAX_FILES_IN_NOTICE)).take(MAX_NOTICES) {
            if self.shared.is_stopping() {
                return Ok(());
            }
            self.remove(files)?;
        }
        Ok(())
    }

    /// Reads the closed files: all of them if the log is too long, else the oldest, up to the first that is not old. None at a stop.
    fn survey(&mut self, now: Option<OffsetDateTime>) -> Result<Option<Found>, AuditError> {
        let retention = self.config.retention;
        let is_long = retention.keep_bytes.is_some_and(|keep| self.shared.bytes() > keep);
        let (closed_below, removed) = (self.shared.closed_below(), self.shared.removed());
        let (files, mut found) = (self.closed()?, Found::default());
        self.surveys.keep(&files);
        for file in &files {
            if self.shared.is_stopping() {
                return Ok(None);
            }
            let verdict = self.surveys.of(file, &self.key).map_err(|error| files::failed("read", &file.path, &error))?;
            let before = found.sound.last().map(|candidate| &candidate.found);
            match verdict {
                Verdict::Gone => {}
                Verdict::Suspect { is_new } => {
                    found.suspects += 1;
                    if is_new {
                        tracing::error!(
                            file = file.name,
                            "the file of the audit log is damaged or foreign, and kept to show that; {STOPPED}"
                        );
                    }
                }
                Verdict::Sound(it) if removed.covering(it.found.first_seq, it.found.last_seq).is_some() => found.on_record.push(*it),
                Verdict::Sound(it) if is_in_place(&it.found, before, closed_below, &removed) => {
                    let is_young = !is_old(it.ended, now, &retention);
                    found.sound.push(*it);
                    if is_young && !is_long {
                        break;
                    }
                }
                Verdict::Sound(_) => {
                    found.suspects += 1;
                    if self.misplaced.insert(file.name.clone()) {
                        tracing::error!(
                            file = file.name,
                            "the file of the audit log repeats or contradicts others, and is kept; {STOPPED}"
                        );
                    }
                }
            }
        }
        self.misplaced.retain(|name| files.iter().any(|file| file.name == *name));
        Ok(Some(found))
    }

    /// Removes files, after that was recorded. Files whose removal is on record already, as a stop leaves them, just go.
    fn remove(&mut self, files: &[Candidate]) -> Result<(), AuditError> {
        let (mut removed, mut announced, mut paths) = (self.shared.removed(), Vec::new(), Vec::new());
        for Candidate { file, found, .. } in files {
            let is_stated = |removed: &Removed| removed.covering(found.first_seq, found.last_seq).is_some();
            if is_stated(&removed) {
                paths.push(&file.path);
                continue;
            }
            removed.add(found);
            if is_stated(&removed) {
                paths.push(&file.path);
                announced.push(found.clone());
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

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod tests;
