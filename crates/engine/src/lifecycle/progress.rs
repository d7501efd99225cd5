//! What is known of a pass, as its record in the catalog holds it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use strongroom_catalog::{BucketId, Clock, UnixMillis};
use time::OffsetDateTime;

use super::LifecycleOptions;
use crate::jobs::{JobState, Progress, Stop};

/// What a pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LifecycleNumbers {
    /// Buckets with rules that it has finished with.
    pub buckets: u64,
    /// Rows of versions that it looked at.
    pub looked_at: u64,
    /// Current versions that expired: deleted, or put under a delete marker.
    pub expired: u64,
    /// Noncurrent versions deleted.
    pub noncurrent: u64,
    /// Delete markers without versions deleted.
    pub markers: u64,
    /// Uploads aborted.
    pub uploads: u64,
    /// Versions that are due and kept by Object Lock.
    pub locked: u64,
    /// Versions, uploads and buckets that could not be looked at or deleted; the log says why.
    pub failed: u64,
}

impl LifecycleNumbers {
    pub(super) fn add(&mut self, other: Self) {
        self.buckets += other.buckets;
        self.looked_at += other.looked_at;
        self.expired += other.expired;
        self.noncurrent += other.noncurrent;
        self.markers += other.markers;
        self.uploads += other.uploads;
        self.locked += other.locked;
        self.failed += other.failed;
    }
}

/// A pass over all buckets with rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecyclePass {
    /// 32 hexadecimal digits.
    pub job_id: String,
    /// How it is doing.
    pub state: JobState,
    /// The identity that asked for it; none where it was time for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// Whether it looks at all versions, not only at those that became old enough since the last pass.
    pub full: bool,
    /// When it was started.
    #[serde(with = "time::serde::rfc3339")]
    pub started: OffsetDateTime,
    /// When it ended.
    #[serde(with = "time::serde::rfc3339::option", default)]
    pub finished: Option<OffsetDateTime>,
    /// What it has done so far.
    pub numbers: LifecycleNumbers,
    /// Why it has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How far the rules of a bucket were carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct BucketState {
    /// The revision that wrote the rules it is about.
    pub(super) rules: u64,
    /// For each number of days that a rule waits: up to this place in the order of commit, every version of that age was looked at.
    pub(super) places: BTreeMap<i64, i64>,
    /// When all versions were looked at last.
    pub(super) full_at: UnixMillis,
    /// How many there were.
    pub(super) full_rows: u64,
}

/// Where a pass is in a bucket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) bucket: BucketId,
    pub(super) is_full: bool,
    pub(super) position: i64,
    pub(super) state: BucketState,
}

/// What is known of a pass.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ExpireProgress {
    pub(super) pass: LifecyclePass,
    /// Buckets up to this name are finished with.
    #[serde(default)]
    pub(super) after: Option<String>,
    #[serde(default)]
    pub(super) place: Option<Place>,
}

impl Progress for ExpireProgress {
    fn state(&self) -> JobState {
        self.pass.state
    }

    fn started(&self) -> OffsetDateTime {
        self.pass.started
    }

    fn end(&mut self, stopped: Option<Stop>) {
        let pass = &mut self.pass;
        pass.finished = Some(OffsetDateTime::now_utc());
        self.place = None;
        pass.state = match stopped {
            None if pass.numbers.failed > 0 => JobState::CompletedWithErrors,
            None => JobState::Completed,
            Some(Stop::Paused | Stop::Cancelled) => JobState::Cancelled,
            Some(Stop::Failed(error)) => {
                pass.error = Some(error);
                JobState::Failed
            }
        };
    }

    fn refresh(&mut self, _: &Self, _: Duration) {}
}

/// The clock by which objects expire, held against the monotonic one: a wall clock set forward by mistake would delete everything.
pub(crate) struct BelievedClock {
    clock: Clock,
    max_jump: Option<Duration>,
    begun: Instant,
    begun_ms: UnixMillis,
}

impl BelievedClock {
    pub(crate) fn new(options: &LifecycleOptions) -> Self {
        let clock = options.clock.clone();
        Self { max_jump: options.max_clock_jump, begun: Instant::now(), begun_ms: clock.now(), clock }
    }

    pub(crate) fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// The time; or why it is not believed.
    pub(crate) fn believed(&self) -> Result<UnixMillis, String> {
        let now = self.now();
        let elapsed = i64::try_from(self.begun.elapsed().as_millis()).unwrap_or(i64::MAX);
        let ahead = now.saturating_sub(self.begun_ms).saturating_sub(elapsed);
        match self.max_jump {
            Some(max) if u64::try_from(ahead).is_ok_and(|ahead| u128::from(ahead) > max.as_millis()) => Err(format!(
                "the system clock was set forward by {} hours since the start: nothing expires by it; set it right, or restart the server if it is right",
                ahead / 3_600_000
            )),
            _ => Ok(now),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    };

    use super::*;

    #[test]
    fn a_clock_that_jumped_forward_by_more_than_a_day_is_not_believed() {
        let now = Arc::new(AtomicI64::new(1_000_000));
        let read = Arc::clone(&now);
        let clock = Clock::new(move || read.load(Ordering::SeqCst));
        let options = LifecycleOptions { clock, ..LifecycleOptions::default() };
        let believed = BelievedClock::new(&options);
        assert_eq!(believed.believed().unwrap(), 1_000_000);
        now.store(1_000_000 + 86_400_000, Ordering::SeqCst);
        assert!(believed.believed().is_ok(), "a day is not more than a day");
        now.store(1_000_000 + 2 * 86_400_000, Ordering::SeqCst);
        assert!(believed.believed().unwrap_err().contains("set forward by 4"), "{:?}", believed.believed());
        now.store(0, Ordering::SeqCst);
        assert_eq!(believed.believed().unwrap(), 0, "set back, less expires");
        let always = BelievedClock::new(&LifecycleOptions { max_clock_jump: None, ..options });
        now.store(i64::MAX, Ordering::SeqCst);
        assert!(always.believed().is_ok());
    }
}
