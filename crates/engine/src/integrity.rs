//! Integrity events: counted and logged, each where it is noticed first.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::Error;

/// Counts stored bytes that were not what was stored.
#[derive(Default)]
pub(crate) struct Integrity {
    count: AtomicU64,
}

impl Integrity {
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Counts and logs `error` if it is an integrity event, and hands it on.
    pub(crate) fn note(&self, error: Error, bucket: &str, key: &str) -> Error {
        if let Error::Integrity(what) = &error {
            self.count.fetch_add(1, Ordering::Relaxed);
            tracing::error!(event = "integrity", bucket, key, what, "a stored object is damaged");
        }
        error
    }
}
