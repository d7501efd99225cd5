//! A rate, by the generic cell rate algorithm: one moment is all that is kept. Source: ITU-T I.371, annex A.

use std::time::Duration;

use tokio::time::Instant;

/// So much may come at once before the rate counts.
const BURST: Duration = Duration::from_secs(1);

/// What was taken of a rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// When all that was taken will have been due, had it come at exactly the rate.
    due: Instant,
}

impl Bucket {
    pub(crate) fn new(now: Instant) -> Self {
        Self { due: now }
    }

    /// Takes so many units if they are there by now; else says when they will be.
    pub(crate) fn take(&mut self, units: u64, per_second: u64, now: Instant) -> Result<(), Duration> {
        let due = self.due.max(now) + cost(units, per_second);
        let ahead = due.saturating_duration_since(now);
        if ahead > BURST.max(cost(units, per_second)) {
            return Err(ahead.saturating_sub(BURST));
        }
        self.due = due;
        Ok(())
    }

    /// Takes what has come already, and says how long nothing more may come.
    pub(crate) fn owe(&mut self, units: u64, per_second: u64, now: Instant) -> Duration {
        self.due = self.due.max(now) + cost(units, per_second);
        self.due.saturating_duration_since(now).saturating_sub(BURST)
    }

    /// Whether it is as good as a new one.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.due <= now
    }
}

fn cost(units: u64, per_second: u64) -> Duration {
    let nanos = u128::from(units) * 1_000_000_000 / u128::from(per_second.max(1));
    // A day: nobody waits longer for a piece of a body.
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).min(Duration::from_hours(24))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Of each step: how many milliseconds later it is.
        #[test]
        fn never_more_than_a_burst_and_the_rate_and_who_keeps_to_it_is_never_refused(
            per_second in 1_u64..1000, steps in prop::collection::vec(0_u64..500, 1..200)
        ) {
            let start = Instant::now();
            let (mut bucket, mut now, mut taken) = (Bucket::new(start), start, 0_u64);
            for step in steps {
                now += Duration::from_millis(step);
                match bucket.take(1, per_second, now) {
                    Ok(()) => taken += 1,
                    Err(wait) => {
                        let mut later = bucket;
                        prop_assert!(later.take(1, per_second, now + wait).is_ok(), "it is there when it was said to be");
                    }
                }
                let millis = u64::try_from(now.duration_since(start).as_millis()).unwrap_or(u64::MAX);
                prop_assert!(taken * 1000 <= (millis + 1000) * per_second + 1000);
            }
        }
    }

    #[test]
    fn what_came_already_is_owed_beyond_a_second_s_worth() {
        let now = Instant::now();
        let mut bucket = Bucket::new(now);
        assert_eq!(bucket.owe(1000, 1000, now), Duration::ZERO);
        assert_eq!(bucket.owe(500, 1000, now), Duration::from_millis(500));
        assert_eq!(bucket.owe(0, 1000, now + Duration::from_millis(500)), Duration::ZERO);
        assert!(!bucket.is_full(now) && bucket.is_full(now + Duration::from_millis(1500)));
    }
}
