//! Wrong signatures by address.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// So many wrong signatures cost nothing: clocks are wrong, and people mistype.
const FREE: u32 = 20;
/// After each so many, the next answers wait twice as long.
const STEP: u32 = 10;
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(5);
/// An address that was quiet for so long begins anew.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(5);
/// So many addresses are remembered.
const MAX_REMEMBERED: usize = 16_384;
/// How often an address is reported at the most.
const REPORT_EVERY: Duration = Duration::from_mins(1);

/// Who sends wrong signatures. The answers to an address that sends many of them are delayed, and nothing else is: whoever signs correctly, from
/// whatever address, is served as ever.
#[derive(Debug, Default)]
pub struct Guesses {
    addresses: Mutex<HashMap<IpAddr, Guess>>,
    counted: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct Guess {
    count: u32,
    last: Instant,
    reported: Option<Instant>,
}

/// What comes of one more wrong signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Many {
    /// How long the answer waits.
    pub delay: Duration,
    /// How many came from the address by now, where it is time to tell somebody.
    pub report: Option<u32>,
}

impl Guesses {
    /// Counts a wrong signature from an address; of IPv6, from its /64.
    pub fn count(&self, address: IpAddr) -> Many {
        self.counted.fetch_add(1, Ordering::Relaxed);
        let (now, mut addresses) = (Instant::now(), self.addresses.lock().unwrap_or_else(PoisonError::into_inner));
        let address = network(address);
        if addresses.len() >= MAX_REMEMBERED && !addresses.contains_key(&address) {
            addresses.retain(|_, guess| now.duration_since(guess.last) < FORGOTTEN_AFTER);
            if addresses.len() >= MAX_REMEMBERED {
                // So many at once are an attack of its own: whoever comes late waits as if it had been there.
                return Many { delay: FIRST_DELAY, report: None };
            }
        }
        let new = Guess { count: 0, last: now, reported: None };
        let guess = addresses.entry(address).or_insert(new);
        if now.duration_since(guess.last) >= FORGOTTEN_AFTER {
            *guess = new;
        }
        (guess.count, guess.last) = (guess.count.saturating_add(1), now);
        let delay = delay(guess.count);
        let is_due = delay > Duration::ZERO && guess.reported.is_none_or(|reported| now.duration_since(reported) >= REPORT_EVERY);
        if is_due {
            guess.reported = Some(now);
        }
        Many { delay, report: is_due.then_some(guess.count) }
    }

    /// How many wrong signatures came so far.
    pub fn counted(&self) -> u64 {
        self.counted.load(Ordering::Relaxed)
    }
}

fn delay(count: u32) -> Duration {
    let Some(beyond) = count.checked_sub(FREE + 1) else { return Duration::ZERO };
    FIRST_DELAY.saturating_mul(1 << (beyond / STEP).min(10)).min(LONGEST_DELAY)
}

/// What one host may have to itself. Source: RFC 4291, section 2.5.1.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (!0 << 64))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn many_wrong_signatures_of_an_address_are_answered_ever_later_and_those_of_others_are_not() {
        let guesses = Guesses::default();
        let delays: Vec<u128> = (0..200).map(|_| guesses.count(address("192.0.2.1")).delay.as_millis()).collect();
        assert!(delays[..20].iter().all(|delay| *delay == 0));
        assert_eq!((delays[20], delays[30], delays[40], delays[199]), (100, 200, 400, 5000));
        assert_eq!(guesses.count(address("192.0.2.2")).delay, Duration::ZERO);
        advance(FORGOTTEN_AFTER).await;
        assert_eq!(guesses.count(address("192.0.2.1")).delay, Duration::ZERO);
        assert_eq!(guesses.counted(), 202);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_is_reported_once_a_minute_while_it_goes_on() {
        let guesses = Guesses::default();
        let reports = |count: u32| (0..count).filter_map(|_| guesses.count(address("2001:db8::1")).report).collect::<Vec<_>>();
        assert_eq!(reports(50), [21]);
        advance(REPORT_EVERY).await;
        // The whole /64 is one.
        assert_eq!(guesses.count(address("2001:db8::ffff")).report, Some(51));
        assert_eq!(reports(50), []);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_addresses_are_remembered_than_there_is_room_for() {
        let guesses = Guesses::default();
        for number in 0..u32::try_from(MAX_REMEMBERED).unwrap() + 10 {
            guesses.count(IpAddr::V4(number.into()));
        }
        assert_eq!(guesses.addresses.lock().unwrap().len(), MAX_REMEMBERED);
        advance(FORGOTTEN_AFTER).await;
        guesses.count(address("203.0.113.1"));
        assert_eq!(guesses.addresses.lock().unwrap().len(), 1);
    }
}
