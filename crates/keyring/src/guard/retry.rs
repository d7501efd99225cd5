//! Pauses between attempts: exponential with full jitter, so that many callers do not come back at once.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The longest pause after the first attempt; it doubles with each further one.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// Pauses after attempt `number`, 0 for the first. False, at once, if there would be no time left for another attempt.
pub(super) async fn pause(number: u32, deadline: Instant) -> bool {
    let pause = bound(number).mul_f64(random_fraction());
    if Instant::now() + pause >= deadline {
        return false;
    }
    sleep(pause).await;
    true
}

fn bound(number: u32) -> Duration {
    FIRST.saturating_mul(2_u32.saturating_pow(number)).min(LONGEST)
}

/// Somewhere in 0..1. Without randomness the pause is the longest.
fn random_fraction() -> f64 {
    let mut bytes = [0; 4];
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound() {
        let bounds: Vec<u128> = (0..8).map(|number| bound(number).as_millis()).collect();
        assert_eq!(bounds, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(bound(u32::MAX), LONGEST);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_within_its_bound_and_ends_before_the_deadline() {
        let mut longest = Duration::ZERO;
        for _ in 0..50 {
            let began = Instant::now();
            assert!(pause(2, began + Duration::from_secs(1)).await);
            // The paused clock goes in whole milliseconds.
            assert!(began.elapsed() <= Duration::from_millis(401), "{:?}", began.elapsed());
            longest = longest.max(began.elapsed());
        }
        assert!(longest > Duration::from_millis(100), "pauses are spread over the whole of their bound: {longest:?}");
        let began = Instant::now();
        assert!(!pause(2, began).await);
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
