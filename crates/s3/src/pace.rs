//! How slowly a client may go.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// Bounds what one side waits for the other, in one direction: no wait lasts longer than `window`, and in each `window` of waiting
/// some bytes pass. Time in which nobody waits, since the server is busy itself, does not count.
#[derive(Debug)]
pub struct Pace {
    window: Duration,
    /// Without them a window ends in a timeout.
    min_window_bytes: u64,
    passed_bytes: u64,
    /// What ended waits have used up of the window.
    waited: Duration,
    wait: Option<Wait>,
    /// Never set to later than it must ring: what it must ring at only moves on. It is moved when it rings early, not at every wait.
    timer: Option<Pin<Box<Sleep>>>,
}

#[derive(Clone, Copy, Debug)]
struct Wait {
    begun: Instant,
    /// From where on it counts into the window: a window may end within a wait.
    counted_from: Instant,
}

impl Pace {
    /// `min_bytes_per_second` is an average over a window; 0: one byte is as good as many.
    pub fn new(window: Duration, min_bytes_per_second: u64) -> Self {
        let min_window_bytes = min_bytes_per_second.saturating_mul(window.as_secs());
        Self { window, min_window_bytes, passed_bytes: 0, waited: Duration::ZERO, wait: None, timer: None }
    }

    /// So many bytes passed, and nobody waits any more.
    pub fn passed(&mut self, len_bytes: usize) {
        if let Some(wait) = self.wait.take() {
            self.waited += wait.counted_from.elapsed();
        }
        self.passed_bytes = self.passed_bytes.saturating_add(len_bytes as u64);
    }

    /// Called while waiting; ready when the other side is too slow. Until then the task is woken in time to ask again.
    pub fn poll_too_slow(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = Instant::now();
            let wait = self.wait.get_or_insert(Wait { begun: now, counted_from: now });
            let silence_ends = wait.begun + self.window;
            let window_ends = wait.counted_from + self.window.saturating_sub(self.waited);
            if now >= silence_ends || (now >= window_ends && self.passed_bytes < self.min_window_bytes) {
                return Poll::Ready(());
            }
            if now >= window_ends {
                wait.counted_from = now;
                (self.waited, self.passed_bytes) = (Duration::ZERO, 0);
                continue;
            }
            let deadline = silence_ends.min(window_ends);
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            ready!(timer.as_mut().poll(context));
            timer.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::{advance, timeout};

    use super::*;

    const WINDOW: Duration = Duration::from_mins(1);

    /// Waits for the client, which passes so many bytes after that time. Whether it was too slow, and how long that took.
    async fn wait(pace: &mut Pace, silence: Duration, len_bytes: usize) -> Result<(), Duration> {
        let begun = Instant::now();
        if timeout(silence, poll_fn(|context| pace.poll_too_slow(context))).await.is_ok() {
            return Err(begun.elapsed());
        }
        pace.passed(len_bytes);
        Ok(())
    }

    /// The timer of tokio counts milliseconds, and rounds up.
    fn assert_about(found: Duration, expected: Duration) {
        assert!(found >= expected && found < expected + Duration::from_millis(20), "{found:?} instead of {expected:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_drips_is_too_slow_when_a_window_ends() {
        let (mut pace, begun) = (Pace::new(WINDOW, 128), Instant::now());
        assert_eq!(wait(&mut pace, Duration::from_secs(59), 1).await, Ok(()));
        assert!(wait(&mut pace, Duration::from_secs(59), 1).await.is_err());
        assert_about(begun.elapsed(), WINDOW);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_above_the_least_rate_goes_on_for_ever_and_one_below_it_does_not() {
        for (len_bytes, goes_on) in [(140, true), (120, false)] {
            let mut pace = Pace::new(WINDOW, 128);
            let mut outcome = Ok(());
            for _ in 0..600 {
                outcome = outcome.and(wait(&mut pace, Duration::from_secs(1), len_bytes).await);
            }
            assert_eq!(outcome.is_ok(), goes_on, "{len_bytes}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_much_and_then_nothing_is_given_up_after_one_silence() {
        for rate in [0, 128] {
            let mut pace = Pace::new(WINDOW, rate);
            assert_eq!(wait(&mut pace, Duration::from_secs(30), 1 << 20).await, Ok(()));
            let silent = wait(&mut pace, Duration::from_mins(10), 1).await.expect_err("it is silent");
            assert_about(silent, WINDOW);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_passed_in_one_window_does_not_count_in_the_next() {
        let mut pace = Pace::new(WINDOW, 128);
        assert_eq!(wait(&mut pace, Duration::from_secs(50), 1 << 30).await, Ok(()));
        // The window ends 10 seconds into this wait, the next one 60 seconds later.
        assert_eq!(wait(&mut pace, Duration::from_secs(50), 1).await, Ok(()));
        let slow = wait(&mut pace, Duration::from_secs(50), 1).await.expect_err("one byte is not enough");
        assert_about(slow, Duration::from_secs(20));
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_the_server_is_busy_does_not_count() {
        let mut pace = Pace::new(WINDOW, 128);
        for _ in 0..59 {
            assert_eq!(wait(&mut pace, Duration::from_millis(990), 1).await, Ok(()));
            advance(Duration::from_hours(1)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_rate_one_byte_for_each_wait_is_enough() {
        let mut pace = Pace::new(WINDOW, 0);
        for _ in 0..600 {
            assert_eq!(wait(&mut pace, Duration::from_secs(59), 1).await, Ok(()));
        }
    }
}
