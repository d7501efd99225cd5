//! What the writer and the keeper of a log know of each other, and what callers are told of its size.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use strongroom_space::Kept;

use crate::removed::Removed;

/// How far a log may fill before it is warned of, in percent of its quota.
const WARN_PERCENT: u64 = 80;

/// How much room a log takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All of its files, in bytes.
    pub bytes: u64,
    /// How many files there are.
    pub files: u64,
    /// At so many bytes events are refused.
    pub quota_bytes: Option<u64>,
    /// Records that retention removed.
    pub removed_records: u64,
    /// Files that retention found to be damaged, foreign or misplaced. While there are any, nothing is removed for its size.
    pub suspect_files: u64,
    /// The room reserved for further records.
    pub reserve: Kept,
}

impl Usage {
    /// Whether the log has more than four fifths of its quota.
    pub fn is_near_quota(&self) -> bool {
        self.quota_bytes.is_some_and(|quota| self.bytes.saturating_mul(100) >= quota.saturating_mul(WARN_PERCENT))
    }
}

#[derive(Default)]
pub(crate) struct Shared {
    /// Files whose first record has a lower number are written on no more.
    closed_below: AtomicU64,
    tail_bytes: AtomicU64,
    closed_bytes: AtomicU64,
    closed_files: AtomicU64,
    suspect_files: AtomicU64,
    reserve_held: AtomicU64,
    reserve_wanted: AtomicU64,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    removed: Removed,
    is_woken: bool,
    is_stopping: bool,
}

impl Shared {
    pub(crate) fn new(closed_below: u64, tail_bytes: u64, removed: Removed) -> Self {
        let state = Mutex::new(State { removed, ..State::default() });
        Self { closed_below: closed_below.into(), tail_bytes: tail_bytes.into(), state, ..Self::default() }
    }

    /// The file that is written on begins with this number and has this length.
    pub(crate) fn set_tail(&self, first_seq: u64, len: u64) {
        self.closed_below.store(first_seq, Ordering::SeqCst);
        self.tail_bytes.store(len, Ordering::SeqCst);
    }

    pub(crate) fn set_tail_len(&self, len: u64) {
        self.tail_bytes.store(len, Ordering::SeqCst);
    }

    /// A file was closed: it counts as such from now on, and the keeper looks at it.
    pub(crate) fn tail_closed(&self, next_seq: u64) {
        let len = self.tail_bytes.swap(0, Ordering::SeqCst);
        self.closed_bytes.fetch_add(len, Ordering::SeqCst);
        self.closed_below.store(next_seq, Ordering::SeqCst);
        self.wake();
    }

    pub(crate) fn closed_below(&self) -> u64 {
        self.closed_below.load(Ordering::SeqCst)
    }

    pub(crate) fn set_closed(&self, bytes: u64, files: u64) {
        self.closed_bytes.store(bytes, Ordering::SeqCst);
        self.closed_files.store(files, Ordering::SeqCst);
    }

    pub(crate) fn set_suspects(&self, files: u64) {
        self.suspect_files.store(files, Ordering::SeqCst);
    }

    pub(crate) fn set_reserve(&self, reserve: Kept) {
        self.reserve_held.store(reserve.held_bytes, Ordering::SeqCst);
        self.reserve_wanted.store(reserve.wanted_bytes, Ordering::SeqCst);
    }

    pub(crate) fn tail_bytes(&self) -> u64 {
        self.tail_bytes.load(Ordering::SeqCst)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.closed_bytes.load(Ordering::SeqCst) + self.tail_bytes.load(Ordering::SeqCst)
    }

    pub(crate) fn usage(&self, quota_bytes: Option<u64>) -> Usage {
        let tail = u64::from(self.tail_bytes.load(Ordering::SeqCst) > 0);
        let files = self.closed_files.load(Ordering::SeqCst) + tail;
        let suspect_files = self.suspect_files.load(Ordering::SeqCst);
        let (held, wanted) = (self.reserve_held.load(Ordering::SeqCst), self.reserve_wanted.load(Ordering::SeqCst));
        let reserve = Kept { held_bytes: held, wanted_bytes: wanted };
        Usage { bytes: self.bytes(), files, quota_bytes, removed_records: self.lock().removed.records(), suspect_files, reserve }
    }

    pub(crate) fn removed(&self) -> Removed {
        self.lock().removed.clone()
    }

    pub(crate) fn set_removed(&self, removed: Removed) {
        self.lock().removed = removed;
    }

    /// Has the keeper look at the files soon.
    pub(crate) fn wake(&self) {
        self.lock().is_woken = true;
        self.wake.notify_all();
    }

    /// Has the keeper end.
    pub(crate) fn stop(&self) {
        self.lock().is_stopping = true;
        self.wake.notify_all();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.lock().is_stopping
    }

    /// Waits until there is something to look at, at least `pause` and at most `interval`. False if the log is closing.
    pub(crate) fn sleep(&self, pause: Duration, interval: Duration) -> bool {
        let begun = Instant::now();
        let mut state = self.lock();
        while !state.is_stopping {
            let until = if state.is_woken { pause } else { interval };
            let Some(left) = until.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) else { break };
            state = self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.is_woken = false;
        !state.is_stopping
    }

    /// Poisoning is no concern: nothing under the lock calls out.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_near_its_quota_from_four_fifths_on() {
        let usage = |bytes, quota_bytes| Usage { bytes, quota_bytes, ..Usage::default() };
        assert!(!usage(799, Some(1000)).is_near_quota() && usage(800, Some(1000)).is_near_quota());
        assert!(!usage(u64::MAX, None).is_near_quota());
    }
}
