//! Bucket lifecycle: rules by which objects expire, and the work that carries them out.
//!
//! - [`rules`]: the rules of a bucket, and what S3 allows in them.
//! - [`due`]: when a rule is due for an object; pure functions of the rule, the object and the clock.
//! - [`document`]: rules as a document of the bucket, and what responses tell of them.
//! - [`key`]: the versions of one key, looked at and deleted.
//! - [`again`]: keys to look at out of their turn.
//! - [`progress`], [`walk`], [`control`]: the pass over all buckets with rules, as a kind of work.

mod again;
mod control;
mod document;
mod due;
#[cfg(test)]
mod due_tests;
mod key;
mod progress;
mod rules;
mod walk;

use std::time::Duration;

use strongroom_catalog::Clock;

pub use due::Expiry;
pub use progress::{LifecycleNumbers, LifecyclePass};
pub use rules::{Expiration, Lifecycle, LifecycleFilter, LifecycleRule, NoncurrentExpiration, RulePrefix, TransitionMinimum};

pub(crate) use again::Again;
pub(crate) use document::KnownRules;
pub(crate) use due::Subject;
pub(crate) use progress::BelievedClock;
pub(crate) use walk::Expire;

/// The length of a day that is no test's.
pub const DAY: Duration = Duration::from_hours(24);

/// How lifecycle rules are carried out.
#[derive(Clone, Debug)]
pub struct LifecycleOptions {
    /// How long a day of a rule is. Only tests have another than [`DAY`].
    pub day: Duration,
    /// At which hour (UTC) the daily pass begins.
    pub hour: u8,
    /// At the most so many deletions in a second; without a limit where none.
    pub max_deletes_per_second: Option<u32>,
    /// A wall clock that ran ahead of the monotonic one by more than this since the start is not believed: no pass runs. None: always believed.
    pub max_clock_jump: Option<Duration>,
    /// The time by which objects expire.
    pub clock: Clock,
}

impl Default for LifecycleOptions {
    fn default() -> Self {
        Self { day: DAY, hour: 1, max_deletes_per_second: None, max_clock_jump: Some(DAY), clock: Clock::default() }
    }
}
