//! One budget of memory for everything that requests keep in flight: bodies, blocks read ahead, batches being sealed, replies.
//!
//! A request takes its minimum once, when it starts, and waits for it in line ([`Budget::hold`]). After that it only asks for more and
//! goes on without it ([`Budget::try_hold`], [`Budget::spare`]). So nobody waits while holding what others wait for, and there is no
//! deadlock. Who needs memory in two places takes it in one piece and splits it ([`Held::split`]).
//!
//! What speeds things up but is not needed comes from the upper half of the budget only, and each piece is at most an eighth of what is
//! left of that half. Peers that do not move can therefore neither take what new requests start with, nor all that fast ones run on.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use strongroom_fair::FairSemaphore;
use tokio::{sync::Semaphore, time::timeout};

use crate::Error;

/// What the budget counts in. A semaphore hands out 32-bit numbers of permits, and budgets may pass 4 GiB.
const UNIT_BYTES: usize = 1024;
/// How long a request waits for its turn. A client that waits longer does better to ask again: S3 clients do so at "503 SlowDown".
const MAX_WAIT: Duration = Duration::from_secs(10);
/// One piece of [`Budget::spare`] is at most this part of what is left.
const SPARE_PARTS: usize = 8;

/// Memory for all requests together. Clones are the same budget.
#[derive(Clone)]
pub struct Budget(Arc<Shared>);

struct Shared {
    limit_units: usize,
    free: Semaphore,
    /// The one permit is with whoever is next to wait for `free`; the others line up for it in turns.
    line: FairSemaphore,
    held_units: AtomicUsize,
    waiting: AtomicUsize,
    refused: AtomicU64,
}

/// How far a budget is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetUsage {
    /// All there is.
    pub limit_bytes: usize,
    /// Held at present; never more than the limit.
    pub used_bytes: usize,
    /// Requests that wait for their minimum.
    pub waiting: usize,
    /// Requests that waited too long, or asked for more than there is, since the start.
    pub refused: u64,
}

/// Memory of the budget, given back when dropped.
pub struct Held {
    shared: Arc<Shared>,
    units: usize,
}

impl Budget {
    /// A budget of so many bytes, rounded down to whole KiB.
    pub fn new(limit_bytes: usize) -> Self {
        let limit_units = (limit_bytes / UNIT_BYTES).min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        let (held_units, waiting, refused) = Default::default();
        Self(Arc::new(Shared { limit_units, free: Semaphore::new(limit_units), line: FairSemaphore::new(1), held_units, waiting, refused }))
    }

    /// Waits until `bytes` are free: tenants in turns, each of them first come, first served. [`Error::Busy`] after 10 seconds, or at once where `bytes` exceed the
    /// whole budget. Never call it while holding some of the budget: take all at once, and [`Held::split`] it.
    pub async fn hold(&self, bytes: usize) -> Result<Held, Error> {
        if let Some(held) = self.try_hold(bytes) {
            return Ok(held);
        }
        let units = units_of(bytes);
        let Some(permits) = u32::try_from(units).ok().filter(|_| units <= self.0.limit_units) else {
            return Err(self.refuse());
        };
        let _waiting = Waiting::new(&self.0.waiting);
        let acquired = async {
            let _next = self.0.line.acquire().await;
            self.0.free.acquire_many(permits).await
        };
        match timeout(MAX_WAIT, acquired).await {
            Ok(Ok(permit)) => {
                permit.forget();
                Ok(self.taken(units))
            }
            Ok(Err(_)) | Err(_) => Err(self.refuse()),
        }
    }

    /// Takes `bytes` at once or not at all, and never before somebody who waits.
    pub fn try_hold(&self, bytes: usize) -> Option<Held> {
        let units = units_of(bytes);
        // Whoever waits first gathers what is free. Between two of them it is free for a moment, and still not to be taken here.
        if units > 0 && self.0.waiting.load(Ordering::Relaxed) > 0 {
            return None;
        }
        self.0.free.try_acquire_many(u32::try_from(units).ok()?).ok()?.forget();
        Some(self.taken(units))
    }

    /// Takes `bytes` for what would only speed things up. Refused where they would exceed an eighth of what is left of the upper half
    /// of the budget.
    pub fn spare(&self, bytes: usize) -> Option<Held> {
        let left = self.0.free.available_permits().saturating_sub(self.0.limit_units / 2);
        if units_of(bytes) > left / SPARE_PARTS {
            return None;
        }
        self.try_hold(bytes)
    }

    /// How far it is used.
    pub fn usage(&self) -> BudgetUsage {
        let Shared { limit_units, held_units, waiting, refused, .. } = &*self.0;
        BudgetUsage {
            limit_bytes: limit_units * UNIT_BYTES,
            used_bytes: held_units.load(Ordering::Relaxed) * UNIT_BYTES,
            waiting: waiting.load(Ordering::Relaxed),
            refused: refused.load(Ordering::Relaxed),
        }
    }

    fn taken(&self, units: usize) -> Held {
        self.0.held_units.fetch_add(units, Ordering::Relaxed);
        Held { shared: Arc::clone(&self.0), units }
    }

    fn refuse(&self) -> Error {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
        Error::Busy
    }
}

impl Held {
    /// How many bytes are held: what was asked for, rounded up to whole KiB.
    pub fn bytes(&self) -> usize {
        self.units * UNIT_BYTES
    }

    /// Takes `more` bytes at once or not at all; whether it did.
    pub fn try_grow(&mut self, more: usize) -> bool {
        let more = Budget(Arc::clone(&self.shared)).try_hold(more);
        more.map(|more| self.merge(more)).is_some()
    }

    /// Gives back what exceeds `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        drop(self.split(self.bytes().saturating_sub(bytes) / UNIT_BYTES * UNIT_BYTES));
    }

    /// Parts with `bytes`, or with all that there is.
    #[must_use]
    pub fn split(&mut self, bytes: usize) -> Self {
        let units = units_of(bytes).min(self.units);
        self.units -= units;
        Self { shared: Arc::clone(&self.shared), units }
    }

    /// Adds what another holds of the same budget.
    pub fn merge(&mut self, mut other: Self) {
        debug_assert!(Arc::ptr_eq(&self.shared, &other.shared), "two budgets");
        self.units += std::mem::take(&mut other.units);
    }

    /// The same bytes, which now hold the memory until the last clone or slice of them is dropped.
    #[must_use]
    pub fn attach(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Attached { bytes, _held: self })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shared.held_units.fetch_sub(self.units, Ordering::Relaxed);
        self.shared.free.add_permits(self.units);
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.usage().fmt(f)
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Held({})", self.bytes())
    }
}

struct Attached {
    bytes: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Attached {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Counts one who waits, also when the wait is cancelled.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn units_of(bytes: usize) -> usize {
    bytes.div_ceil(UNIT_BYTES)
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
