//! What the guard has counted, as plain numbers.

use serde::{Deserialize, Serialize};

/// The numbers of one backend since the start of the server. Counters never go back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackendMetrics {
    /// The instance name.
    pub backend: String,
    /// Its type.
    pub backend_type: String,
    /// Whether new data keys come from it.
    pub in_force: bool,
    /// The circuit breaker now.
    pub breaker: BreakerState,
    /// How often the breaker opened.
    pub breaker_opened: u64,
    /// Calls under way, those that wait for their turn included.
    pub in_flight: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Operations that were called at least once.
    pub operations: Vec<OperationMetrics>,
    /// Data keys cached now.
    pub cache_entries: u64,
    /// Unwraps answered by the cache.
    pub cache_hits: u64,
    /// Unwraps that went to the backend.
    pub cache_misses: u64,
}

/// The numbers of one operation, such as `unwrap_data_key`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationMetrics {
    /// The method's name.
    pub operation: String,
    /// Calls by how they ended, of those that ended so at least once.
    pub outcomes: Vec<OutcomeCount>,
    /// How long calls took, waiting and retries included.
    pub latency: Histogram,
}

/// How often calls ended so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeCount {
    /// `ok`, `refused` (the state of a key or service, or the argument), `rejected` (altered ciphertext or another context), `denied`,
    /// `unavailable`, `timed_out`, `breaker_open`, `overloaded`, `broken` or `cancelled` (the caller went away).
    pub outcome: String,
    /// How many.
    pub count: u64,
}

/// Durations in buckets, cumulative as Prometheus has them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Each bucket's upper bound in seconds and the number of calls that took no longer; the last bucket, without bound, is `count`.
    pub buckets: Vec<(f64, u64)>,
    /// All calls.
    pub count: u64,
    /// The sum of their durations in seconds.
    pub sum_seconds: f64,
}

/// Whether calls go through to the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// They do.
    Closed,
    /// One of them may, to see whether the backend is back.
    HalfOpen,
    /// They are answered at once without it.
    Open,
}
