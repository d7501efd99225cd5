//! Watches the disks and their reserves. This is the one place that decides whether an upload is refused because of the state of a disk.
//!
//! For uploads a disk counts as full while it still has room for what must go on: records of reads, and deletes. [`Reserve`]s hold that
//! room. The watch checks each disk again and again, so the server takes uploads again without anybody's help.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use strongroom_catalog::CatalogError;
use strongroom_space::{Free, Kept, WriteFault, look, probe};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::{Engine, Error};

/// How often a disk with enough room is checked, and one with little or none.
const INTERVAL: Duration = Duration::from_secs(1);
const SHORT_INTERVAL: Duration = Duration::from_millis(200);
/// A disk has little room if less than this many times its margin is free.
const LITTLE: u64 = 16;
/// How often a write that makes room is tried, and the time in which at most one spare is given up, however many writes ask for one.
const MAX_ATTEMPTS: usize = 16;
const GIVE_INTERVAL: Duration = Duration::from_millis(100);
/// A disk with fewer free files than this, or than this share of all where that is less, counts as full.
const MIN_FILES: u64 = 64;
const MIN_FILES_SHARE: u64 = 32;
/// A change of a disk's state is logged at most this often.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// Something that reserves room on a file system. All methods block.
pub trait Reserve: Send + Sync {
    /// Reserves what is missing, as far as there is room.
    fn fill(&self) -> io::Result<Kept>;

    /// Gives some of it up for other writes. False if there was nothing to give.
    fn give(&self) -> bool {
        false
    }
}

/// A disk that is watched.
pub struct Volume {
    /// What lies there, for the log and the metrics.
    pub name: &'static str,
    /// The directory that is checked, and in which a probe writes.
    pub dir: PathBuf,
    /// Uploads are refused when less is free, in bytes.
    pub margin_bytes: u64,
    /// The reserves on it, the most important first.
    pub reserves: Vec<Arc<dyn Reserve>>,
}

/// What may be written to a disk. For several disks the worst one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Condition {
    /// Everything.
    Open,
    /// No uploads: bytes or files are short, or the reserve is not whole.
    Full,
    /// Nothing: the disk answers with errors.
    Failing,
    /// Nothing: it is mounted read-only.
    ReadOnly,
}

impl Condition {
    /// The name in health answers and metrics.
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

/// The state of a disk at the last check.
#[derive(Clone, Copy, Debug)]
pub struct VolumeUsage {
    /// What lies there.
    pub name: &'static str,
    /// What is free on it; zeros if it could not be checked.
    pub free: Free,
    /// What is reserved on it.
    pub kept: Kept,
    /// What may be written.
    pub condition: Condition,
}

/// The room on all disks. Without any disks, everything may be written.
#[derive(Default)]
pub struct Space {
    volumes: Vec<Volume>,
    condition: AtomicU8,
    /// How many bytes of the first disk uploads may still take before the next check.
    left_bytes: AtomicI64,
    /// A write has failed, and none has succeeded since.
    is_suspect: AtomicBool,
    refused: AtomicU64,
    state: Mutex<State>,
    /// Only one check or give at a time.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    usage: Vec<VolumeUsage>,
    /// When the last check began.
    looked_at: Option<Instant>,
    /// When it was last logged why a write failed.
    cause_told_at: Option<Instant>,
    given_at: Option<tokio::time::Instant>,
    told: Vec<Told>,
}

/// The state of a disk that was last logged, and when.
#[derive(Clone, Copy)]
struct Told {
    condition: Condition,
    at: Instant,
}

impl Space {
    /// The room on these disks. The first one holds the objects.
    pub fn new(volumes: Vec<Volume>) -> Self {
        Self { volumes, ..Self::default() }
    }

    /// What may be written now.
    pub fn condition(&self) -> Condition {
        let found = Condition::ALL.get(usize::from(self.condition.load(Ordering::Relaxed)));
        found.copied().unwrap_or(Condition::Failing)
    }

    /// The disks at the last check.
    pub fn usage(&self) -> Vec<VolumeUsage> {
        self.lock().usage.clone()
    }

    /// How many uploads were refused before a byte of them was read.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Refuses an upload of this length if there is no room for it, before anything of it is read or stored.
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

    /// Counts what is admitted between two checks. Otherwise many small uploads could use up the reserve before the next check.
    fn take(&self, len_bytes: u64) -> Result<(), Error> {
        if self.volumes.is_empty() {
            return Ok(());
        }
        let len = i64::try_from(len_bytes).unwrap_or(i64::MAX);
        let taken =
            self.left_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(len).filter(|left| *left >= 0));
        taken.map(drop).map_err(|_| Error::StorageFull)
    }

    /// Checks the disks on a thread that may block. One check serves all callers that waited for their turn meanwhile.
    pub async fn look(self: &Arc<Self>) {
        let asked_at = Instant::now();
        let _turn = self.turn.lock().await;
        if self.lock().looked_at.is_some_and(|began| began >= asked_at) {
            return;
        }
        let space = Arc::clone(self);
        // A check that panics leaves things as they are.
        let _ = spawn_blocking(move || space.look_blocking()).await;
    }

    /// Checks the disks and fills the reserves.
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
        // Keep probing a disk that fails, or that is full though bytes are free (a quota), until a write succeeds.
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

    /// The error to answer when a write failed: checks the disks, and says so if one of them is the cause.
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

    /// Logs the cause, which the client does not see, now and then.
    fn tell_cause(&self, error: &Error) {
        let mut state = self.lock();
        if state.cause_told_at.is_none_or(|at| at.elapsed() >= REPORT_INTERVAL) {
            state.cause_told_at = Some(Instant::now());
            tracing::error!(error = error as &dyn std::error::Error, "a write failed for the state of a disk");
        }
    }

    /// Runs a write that makes room. If there is no room even for that, gives up spares for it, one after the other.
    pub(crate) async fn making_room<T, F>(self: &Arc<Self>, write: impl Fn() -> F) -> Result<T, CatalogError>
    where
        F: Future<Output = Result<T, CatalogError>>,
    {
        for _ in 1..MAX_ATTEMPTS {
            match write().await {
                Err(CatalogError::Full) if self.give().await => {}
                other => return other,
            }
        }
        write().await
    }

    /// Gives up a spare, unless that was just done. Answers whether trying the write again may help.
    async fn give(self: &Arc<Self>) -> bool {
        let _turn = self.turn.lock().await;
        if self.lock().given_at.is_some_and(|at| at.elapsed() < GIVE_INTERVAL) {
            return true;
        }
        let space = Arc::clone(self);
        let given = spawn_blocking(move || space.volumes.iter().flat_map(|volume| &volume.reserves).any(|reserve| reserve.give()));
        let given = given.await.unwrap_or(false);
        if given {
            self.lock().given_at = Some(tokio::time::Instant::now());
        }
        given
    }

    /// How long to wait until the next check.
    fn interval(&self) -> Duration {
        let margin = self.volumes.first().map_or(0, |volume| volume.margin_bytes);
        let is_little = self.left_bytes.load(Ordering::Relaxed) < i64::try_from(margin.saturating_mul(LITTLE)).unwrap_or(i64::MAX);
        if is_little || self.condition() != Condition::Open { SHORT_INTERVAL } else { INTERVAL }
    }

    /// Poisoning is no concern: nothing leaves the state half changed.
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

    /// Fills the reserves, and probes the disk if a write has failed. Does neither on a read-only disk, where every attempt fails.
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

    /// A disk that was full must have twice as much free, so that its state does not flip with every upload.
    fn is_full(&self, free: &Free, kept: Kept, before: Condition) -> bool {
        let times = if before == Condition::Open { 1 } else { 2 };
        let min_files = free.total_files.map_or(0, |total| MIN_FILES.min(total / MIN_FILES_SHARE));
        let is_short_of_files = free.files.is_some_and(|files| files < min_files * times);
        free.bytes < self.margin_bytes * times || is_short_of_files || !kept.is_whole()
    }
}

/// Logs changes of state, but not too often.
fn report(told: &mut Vec<Told>, usage: &[VolumeUsage], now: Instant) {
    told.resize(usage.len(), Told { condition: Condition::Open, at: now.checked_sub(REPORT_INTERVAL).unwrap_or(now) });
    for (told, found) in told.iter_mut().zip(usage) {
        let VolumeUsage { name, free, kept, condition } = *found;
        if condition == told.condition || now.duration_since(told.at) < REPORT_INTERVAL && told.condition != Condition::Open {
            continue;
        }
        let (free_bytes, free_files, reserve_bytes) = (free.bytes, free.files, kept.held_bytes);
        match condition {
            Condition::Open => tracing::info!(volume = name, free_bytes, free_files, "the disk can be written again: uploads are taken"),
            Condition::Full => tracing::error!(
                volume = name,
                free_bytes,
                free_files,
                reserve_bytes,
                "the disk is full: uploads are refused; reads and deletes go on from the reserve. Free space or add a disk"
            ),
            Condition::Failing => tracing::error!(volume = name, "the disk cannot be written: writes are refused. See the kernel's log"),
            Condition::ReadOnly => tracing::error!(volume = name, "the disk is mounted read-only: writes are refused. Remount it"),
        }
        *told = Told { condition, at: now };
    }
}

impl Engine {
    /// Checks the disks again and again, for as long as the task runs.
    pub fn start_space_watch(self: &Arc<Self>) -> JoinHandle<()> {
        let space = Arc::clone(self.space());
        tokio::spawn(async move {
            while !space.volumes.is_empty() {
                tokio::time::sleep(space.interval()).await;
                space.look().await;
            }
        })
    }

    /// Passes on the result of a write. If the state of a disk is why it failed, the error says so.
    pub(crate) async fn settled<T, E: Into<Error>>(&self, result: Result<T, E>) -> Result<T, Error> {
        match result {
            Ok(value) => Ok(value),
            Err(error) => Err(self.space().explained(error.into()).await),
        }
    }

    /// As [`Space::making_room`].
    pub(crate) async fn making_room<T, F>(&self, write: impl Fn() -> F) -> Result<T, CatalogError>
    where
        F: Future<Output = Result<T, CatalogError>>,
    {
        self.space().making_room(write).await
    }
}

#[cfg(test)]
#[path = "space_tests.rs"]
mod tests;
