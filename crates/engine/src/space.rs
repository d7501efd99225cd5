//! Whether there is room for more, and what is kept for when there is none. The one place that decides whether an upload is refused
//! for the state of a disk.
//!
//! A disk is full for uploads while there is still room for what goes on: records of reads, and deletes. [`Reserve`]s hold that room.
//! The watch looks at each disk again and again, so uploads are taken again without anybody's doing.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use strongroom_catalog::CatalogError;
use strongroom_space::{Free, Kept, WriteFault, look, probe};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::{Engine, Error};

/// How often a disk is looked at: one that has room, and one that has none or little.
const INTERVAL: Duration = Duration::from_secs(1);
const SHORT_INTERVAL: Duration = Duration::from_millis(200);
/// A disk has little room up to so many times its margin.
const LITTLE: u64 = 16;
/// A write that makes room is tried so often, and one spare is given up in this time, however many ask.
const MAX_ATTEMPTS: usize = 16;
const GIVE_INTERVAL: Duration = Duration::from_millis(100);
/// Files of a disk below which it counts as full: so many, or a share of all.
const MIN_FILES: u64 = 64;
const MIN_FILES_SHARE: u64 = 32;
/// The log is told of a disk's state at most so often.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// Something that has a file system keep room. All of it blocks.
pub trait Reserve: Send + Sync {
    /// Takes what is missing, as far as there is room.
    fn fill(&self) -> io::Result<Kept>;

    /// Gives some of it up for others. Whether there was any to give.
    fn give(&self) -> bool {
        false
    }
}

/// A disk that is watched.
pub struct Volume {
    /// What lies there, for the log and the metrics.
    pub name: &'static str,
    /// Where it is looked at, and where a probe writes.
    pub dir: PathBuf,
    /// Uploads are refused when less is free, in bytes.
    pub margin_bytes: u64,
    /// What is kept there, the most important first.
    pub reserves: Vec<Arc<dyn Reserve>>,
}

/// What may be written to a disk, or to all of them: the worst counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Condition {
    /// Everything.
    Open,
    /// No uploads: bytes or files are short, or the reserve is not whole.
    Full,
    /// Nothing, by an error of the disk.
    Failing,
    /// Nothing: it is mounted read-only.
    ReadOnly,
}

impl Condition {
    /// As health and metrics spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Full => "full",
            Self::Failing => "failing",
            Self::ReadOnly => "read-only",
        }
    }

    const ALL: [Self; 4] = [Self::Open, Self::Full, Self::Failing, Self::ReadOnly];

    fn of(fault: WriteFault) -> Self {
        match fault {
            WriteFault::Full => Self::Full,
            WriteFault::ReadOnly => Self::ReadOnly,
            WriteFault::Failing => Self::Failing,
        }
    }
}

/// What was found at the last look at a disk.
#[derive(Clone, Copy, Debug)]
pub struct VolumeUsage {
    /// What lies there.
    pub name: &'static str,
    /// What is left of it; zeros where it could not be looked at.
    pub free: Free,
    /// What is kept of it.
    pub kept: Kept,
    /// What may be written.
    pub condition: Condition,
}

/// The room on all disks. Without any, everything may be written.
#[derive(Default)]
pub struct Space {
    volumes: Vec<Volume>,
    condition: AtomicU8,
    /// What uploads may still take of the first disk before the next look.
    left_bytes: AtomicI64,
    /// A write has failed, and none has succeeded since.
    is_suspect: AtomicBool,
    refused: AtomicU64,
    state: Mutex<State>,
    /// One look at a time.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    usage: Vec<VolumeUsage>,
    /// When the last look began.
    looked_at: Option<Instant>,
    /// When the log was told last of why a write failed.
    cause_told_at: Option<Instant>,
    given_at: Option<Instant>,
    told: Vec<Told>,
}

/// What the log was told of a disk, and when.
#[derive(Clone, Copy)]
struct Told {
    condition: Condition,
    at: Instant,
}

impl Space {
    /// The room on these disks. The first is that of the objects.
    pub fn new(volumes: Vec<Volume>) -> Self {
        Self { volumes, ..Self::default() }
    }

    /// What may be written at present.
    pub fn condition(&self) -> Condition {
        let found = Condition::ALL.get(usize::from(self.condition.load(Ordering::Relaxed)));
        found.copied().unwrap_or(Condition::Failing)
    }

    /// The disks as they were at the last look.
    pub fn usage(&self) -> Vec<VolumeUsage> {
        self.lock().usage.clone()
    }

    /// Uploads that were refused before a byte of them was read.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Refuses an upload of so many bytes for which there is no room, before anything of it is read or stored.
    pub(crate) fn admit(&self, len_bytes: Option<u64>) -> Result<(), Error> {
        let admitted = match self.condition() {
            Condition::Open => self.take(len_bytes.unwrap_or(0)),
            Condition::Full => Err(Error::StorageFull),
            Condition::ReadOnly => Err(Error::StorageReadOnly),
            Condition::Failing => Err(Error::StorageFailing),
        };
        if admitted.is_err() {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }

    /// What is admitted between two looks counts, or many small uploads would use the reserve up before the next one.
    fn take(&self, len_bytes: u64) -> Result<(), Error> {
        if self.volumes.is_empty() {
            return Ok(());
        }
        let len = i64::try_from(len_bytes).unwrap_or(i64::MAX);
        let taken =
            self.left_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(len).filter(|left| *left >= 0));
        taken.map(drop).map_err(|_| Error::StorageFull)
    }

    /// Looks at the disks on a thread that may block. One look serves all who waited for their turn meanwhile.
    pub async fn look(self: &Arc<Self>) {
        let asked_at = Instant::now();
        let _turn = self.turn.lock().await;
        if self.lock().looked_at.is_some_and(|began| began >= asked_at) {
            return;
        }
        let space = Arc::clone(self);
        // A look that panics leaves things as they are.
        let _ = spawn_blocking(move || space.look_blocking()).await;
    }

    /// Looks at the disks and fills the reserves.
    fn look_blocking(&self) {
        let now = Instant::now();
        let before = self.usage();
        let is_suspect = self.is_suspect.swap(false, Ordering::SeqCst);
        let usage: Vec<VolumeUsage> = self
            .volumes
            .iter()
            .enumerate()
            .map(|(at, volume)| volume.look(before.get(at).map_or(Condition::Open, |before| before.condition), is_suspect))
            .collect();
        let worst = usage.iter().map(|volume| volume.condition).max().unwrap_or(Condition::Open);
        // What fails, or is full though bytes are free, as with a quota, is tried by writing until that succeeds.
        if is_suspect && worst != Condition::Open {
            self.is_suspect.store(true, Ordering::SeqCst);
        }
        let left =
            usage.first().zip(self.volumes.first()).map_or(0, |(found, volume)| found.free.bytes.saturating_sub(volume.margin_bytes));
        self.left_bytes.store(i64::try_from(left).unwrap_or(i64::MAX), Ordering::Relaxed);
        self.condition.store(worst as u8, Ordering::Relaxed);
        let mut state = self.lock();
        report(&mut state.told, &usage, now);
        state.usage = usage;
        state.looked_at = Some(now);
    }

    /// What the failure of a write means, after a look at the disk that it may come from.
    pub(crate) async fn explained(self: &Arc<Self>, error: Error) -> Error {
        if self.volumes.is_empty() || !matches!(error, Error::StorageFull | Error::Internal(_)) {
            return error;
        }
        self.is_suspect.store(true, Ordering::SeqCst);
        self.look().await;
        let explanation = match (&error, self.condition()) {
            (Error::StorageFull, _) | (_, Condition::Open) => return error,
            (_, Condition::Full) => Error::StorageFull,
            (_, Condition::ReadOnly) => Error::StorageReadOnly,
            (_, Condition::Failing) => Error::StorageFailing,
        };
        self.tell_cause(&error);
        explanation
    }

    /// Tells the log now and then what the client is not told.
    fn tell_cause(&self, error: &Error) {
        let mut state = self.lock();
        if state.cause_told_at.is_none_or(|at| at.elapsed() >= REPORT_INTERVAL) {
            state.cause_told_at = Some(Instant::now());
            tracing::error!(error = error as &dyn std::error::Error, "a write failed for the state of a disk");
        }
    }

    /// Gives up a spare, unless that was just done. Whether it may have helped.
    async fn give(self: &Arc<Self>) -> bool {
        let _turn = self.turn.lock().await;
        if self.lock().given_at.is_some_and(|at| at.elapsed() < GIVE_INTERVAL) {
            return true;
        }
        let space = Arc::clone(self);
        let given = spawn_blocking(move || space.volumes.iter().flat_map(|volume| &volume.reserves).any(|reserve| reserve.give()));
        let given = given.await.unwrap_or(false);
        if given {
            self.lock().given_at = Some(Instant::now());
        }
        given
    }

    /// When to look again.
    fn interval(&self) -> Duration {
        let margin = self.volumes.first().map_or(0, |volume| volume.margin_bytes);
        let is_little = self.left_bytes.load(Ordering::Relaxed) < i64::try_from(margin.saturating_mul(LITTLE)).unwrap_or(i64::MAX);
        if is_little || self.condition() != Condition::Open { SHORT_INTERVAL } else { INTERVAL }
    }

    /// Nothing under the lock can leave it half-way.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Volume {
    fn look(&self, before: Condition, is_suspect: bool) -> VolumeUsage {
        let (kept, found) = self.keep(is_suspect);
        let free = look(&self.dir);
        let condition = match (&free, found) {
            (Err(_), _) => Condition::Failing,
            (Ok(free), _) if free.is_read_only => Condition::ReadOnly,
            (Ok(_), Err(error)) => Condition::of(WriteFault::of(&error)),
            (Ok(free), Ok(())) if self.is_full(free, kept, before) => Condition::Full,
            (Ok(_), Ok(())) => Condition::Open,
        };
        let nothing = Free { bytes: 0, total_bytes: 0, files: None, total_files: None, is_read_only: false };
        VolumeUsage { name: self.name, free: free.unwrap_or(nothing), kept, condition }
    }

    /// Fills the reserves, and tries to write if that is in doubt. Not where it is read-only: every attempt fails.
    fn keep(&self, is_suspect: bool) -> (Kept, io::Result<()>) {
        if look(&self.dir).is_ok_and(|free| free.is_read_only) {
            return (Kept::default(), Ok(()));
        }
        match self.fill() {
            Ok(kept) => (kept, if is_suspect { probe(&self.dir) } else { Ok(()) }),
            Err(error) => (Kept::default(), Err(error)),
        }
    }

    fn fill(&self) -> io::Result<Kept> {
        self.reserves.iter().try_fold(Kept::default(), |kept, reserve| Ok(kept.and(reserve.fill()?)))
    }

    /// A disk that was full has to have twice as much free, so that its state does not change with every upload.
    fn is_full(&self, free: &Free, kept: Kept, before: Condition) -> bool {
        let times = if before == Condition::Open { 1 } else { 2 };
        let min_files = free.total_files.map_or(0, |total| MIN_FILES.min(total / MIN_FILES_SHARE));
        let is_short_of_files = free.files.is_some_and(|files| files < min_files * times);
        free.bytes < self.margin_bytes * times || is_short_of_files || !kept.is_whole()
    }
}

/// Tells the log of what changed, not more often than it is worth.
fn report(told: &mut Vec<Told>, usage: &[VolumeUsage], now: Instant) {
    told.resize(usage.len(), Told { condition: Condition::Open, at: now.checked_sub(REPORT_INTERVAL).unwrap_or(now) });
    for (told, found) in told.iter_mut().zip(usage) {
        let VolumeUsage { name, free, kept, condition } = *found;
        if condition == told.condition || now.duration_since(told.at) < REPORT_INTERVAL && told.condition != Condition::Open {
            continue;
        }
        let (free_bytes, free_files, reserve_bytes) = (free.bytes, free.files, kept.held_bytes);
        match condition {
            Condition::Open => tracing::info!(volume = name, free_bytes, free_files, "the disk has room again: uploads are taken"),
            Condition::Full => tracing::error!(
                volume = name,
                free_bytes,
                free_files,
                reserve_bytes,
                "the disk is full: uploads are refused; reads and deletes go on from the reserve. Free space or add a disk"
            ),
            Condition::Failing => tracing::error!(volume = name, "the disk cannot be written: writes are refused until it can"),
            Condition::ReadOnly => tracing::error!(volume = name, "the disk is mounted read-only: writes are refused until it is not"),
        }
        *told = Told { condition, at: now };
    }
}

impl Engine {
    /// Watches the disks for as long as the task runs.
    pub fn start_space_watch(self: &Arc<Self>) -> JoinHandle<()> {
        let space = Arc::clone(self.space());
        tokio::spawn(async move {
            while !space.volumes.is_empty() {
                tokio::time::sleep(space.interval()).await;
                space.look().await;
            }
        })
    }

    /// Hands the result of a write on; a failure that comes from a disk's state is told as that.
    pub(crate) async fn settled<T, E: Into<Error>>(&self, result: Result<T, E>) -> Result<T, Error> {
        match result {
            Ok(value) => Ok(value),
            Err(error) => Err(self.space().explained(error.into()).await),
        }
    }

    /// Runs a write that makes room. Where there is none even for that, spares are given up for it, one after the other.
    pub(crate) async fn making_room<T, F>(&self, write: impl Fn() -> F) -> Result<T, CatalogError>
    where
        F: Future<Output = Result<T, CatalogError>>,
    {
        for _ in 1..MAX_ATTEMPTS {
            match write().await {
                Err(CatalogError::Full) if self.space().give().await => {}
                other => return other,
            }
        }
        write().await
    }
}

#[cfg(test)]
#[path = "space_tests.rs"]
mod tests;
