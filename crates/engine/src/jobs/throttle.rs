//! At the most so many turns in a second.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Hands out turns at even distances; without a limit, at once.
pub(crate) struct Throttle {
    distance: Option<Duration>,
    next: Mutex<Instant>,
}

impl Throttle {
    pub(crate) fn new(max_per_second: Option<u32>) -> Self {
        let distance = max_per_second.map(|turns| Duration::from_secs(1) / turns.max(1));
        Self { distance, next: Mutex::new(Instant::now()) }
    }

    /// Waits for a turn.
    pub(crate) async fn turn(&self) {
        if let Some(distance) = self.distance {
            tokio::time::sleep_until(self.take(distance)).await;
        }
    }

    /// Turns that nobody took are lost: after a pause the rate is not made up for.
    fn take(&self, distance: Duration) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = (*next).max(Instant::now());
        *next = turn + distance;
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ten_turns_at_five_a_second_take_nearly_two_seconds() {
        let (throttle, begun) = (Throttle::new(Some(5)), Instant::now());
        for _ in 0..10 {
            throttle.turn().await;
        }
        assert_eq!(begun.elapsed().as_millis() / 100, 18);
        tokio::time::sleep(Duration::from_mins(1)).await;
        let again = Instant::now();
        for _ in 0..10 {
            throttle.turn().await;
        }
        assert_eq!(again.elapsed().as_millis() / 100, 18, "a pause is not made up for");
    }
}
