//! Counts calls: no lock, and nothing that grows.

use std::array;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::time::Instant;

use super::operation::{Operation, Outcome};
use super::{Histogram, OperationMetrics, OutcomeCount};

/// Upper bounds of the latency buckets in seconds: from what the local backend needs to the default timeout.
const BOUNDS_SECONDS: [f64; 15] = [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// The counters of one backend.
#[derive(Default)]
pub struct Recorder {
    operations: [Counters; Operation::COUNT],
    in_flight: AtomicU64,
    retries: AtomicU64,
    opened: AtomicU64,
}

#[derive(Default)]
struct Counters {
    outcomes: [AtomicU64; Outcome::COUNT],
    /// One for each bound; slower calls are in `count` alone.
    buckets: [AtomicU64; BOUNDS_SECONDS.len()],
    count: AtomicU64,
    sum_micros: AtomicU64,
}

/// A call that is being counted. Dropped without an end, it was cancelled.
pub(super) struct Counted {
    recorder: Arc<Recorder>,
    operation: Operation,
    began: Instant,
    outcome: Outcome,
}

impl Recorder {
    /// Calls under way, those that wait for their turn included.
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Relaxed)
    }

    /// Attempts after the first.
    pub fn retries(&self) -> u64 {
        self.retries.load(Relaxed)
    }

    /// How often the breaker opened.
    pub fn opened(&self) -> u64 {
        self.opened.load(Relaxed)
    }

    /// The operations that were called at least once.
    pub fn operations(&self) -> Vec<OperationMetrics> {
        let called = Operation::all().into_iter().zip(&self.operations).filter(|(_, counters)| counters.count.load(Relaxed) > 0);
        called.map(|(operation, counters)| counters.metrics(operation)).collect()
    }

    pub(super) fn begin(self: &Arc<Self>, operation: Operation) -> Counted {
        self.in_flight.fetch_add(1, Relaxed);
        Counted { recorder: Arc::clone(self), operation, began: Instant::now(), outcome: Outcome::Cancelled }
    }

    pub(super) fn count_retry(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    pub(super) fn count_opened(&self) {
        self.opened.fetch_add(1, Relaxed);
    }
}

impl Counted {
    pub(super) fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let counters = &self.recorder.operations[self.operation as usize];
        let took = self.began.elapsed();
        counters.outcomes[self.outcome as usize].fetch_add(1, Relaxed);
        counters.sum_micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
        counters.count.fetch_add(1, Relaxed);
        if let Some(bucket) = BOUNDS_SECONDS.iter().position(|bound| took.as_secs_f64() <= *bound) {
            counters.buckets[bucket].fetch_add(1, Relaxed);
        }
        self.recorder.in_flight.fetch_sub(1, Relaxed);
    }
}

impl Counters {
    fn metrics(&self, operation: Operation) -> OperationMetrics {
        let counts = Outcome::ALL.into_iter().zip(&self.outcomes).map(|(outcome, count)| (outcome, count.load(Relaxed)));
        let outcomes = counts.filter(|(_, count)| *count > 0);
        let mut sum = 0;
        let buckets: [(f64, u64); BOUNDS_SECONDS.len()] = array::from_fn(|bucket| {
            sum += self.buckets[bucket].load(Relaxed);
            (BOUNDS_SECONDS[bucket], sum)
        });
        #[allow(clippy::cast_precision_loss, reason = "a sum of microseconds is exact for 285 years")]
        let sum_seconds = self.sum_micros.load(Relaxed) as f64 / 1e6;
        OperationMetrics {
            operation: operation.name().to_owned(),
            outcomes: outcomes.map(|(outcome, count)| OutcomeCount { outcome: outcome.name().to_owned(), count }).collect(),
            latency: Histogram { buckets: buckets.to_vec(), count: self.count.load(Relaxed), sum_seconds },
        }
    }
}
