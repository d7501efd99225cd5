//! Bounds on what each identity asks for.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::bucket::Bucket;

/// So many identities are remembered. Those who ask for nothing are forgotten; beyond this number new ones are not bounded.
const MAX_REMEMBERED: usize = 65_536;

/// The bounds of an identity; none where a number is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests that begin in a second.
    pub requests_per_second: u64,
    /// Requests that are under way.
    pub requests_at_once: u64,
    /// Bytes of request bodies in a second.
    pub upload_bytes_per_second: u64,
    /// Bytes of response bodies in a second.
    pub download_bytes_per_second: u64,
}

/// What an identity asked too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooMuch {
    /// [`Limits::requests_per_second`].
    Rate,
    /// [`Limits::requests_at_once`].
    AtOnce,
}

/// A request that is beyond a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Which one.
    pub what: TooMuch,
    /// After that time one may be within it.
    pub retry_after: Duration,
}

/// Bounds the requests of all identities.
#[derive(Debug, Default)]
pub struct Limiter {
    usual: Limits,
    of_some: HashMap<String, Limits>,
    users: Mutex<HashMap<Arc<str>, Arc<Use>>>,
    refused: [AtomicU64; 2],
}

/// What an identity has under way, and what it took.
#[derive(Debug)]
struct Use {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    under_way: u64,
    requests: Bucket,
    uploaded: Bucket,
    downloaded: Bucket,
}

/// A request that is under way. Dropping it ends it.
#[derive(Debug)]
pub struct Slot(Arc<Use>);

impl Limiter {
    /// The bounds of all identities, and other ones of some, by their names.
    pub fn new(usual: Limits, of_some: HashMap<String, Limits>) -> Self {
        Self { usual, of_some, ..Self::default() }
    }

    /// Begins a request of the identity. None where nothing is bounded.
    pub fn begin(&self, who: &str) -> Result<Option<Slot>, Refused> {
        let limits = self.of_some.get(who).copied().unwrap_or(self.usual);
        if limits == Limits::default() {
            return Ok(None);
        }
        let now = Instant::now();
        let Some(of_user) = self.of(who, limits, now) else { return Ok(None) };
        let begun = of_user.begin(now);
        if let Err(Refused { what, .. }) = begun {
            self.refused[what as usize].fetch_add(1, Ordering::Relaxed);
        }
        begun.map(|()| Some(Slot(of_user)))
    }

    /// How many requests were refused so far.
    pub fn refused(&self, what: TooMuch) -> u64 {
        self.refused[what as usize].load(Ordering::Relaxed)
    }

    fn of(&self, who: &str, limits: Limits, now: Instant) -> Option<Arc<Use>> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(present) = users.get(who) {
            return Some(Arc::clone(present));
        }
        if users.len() >= MAX_REMEMBERED {
            users.retain(|_, of_user| Arc::strong_count(of_user) > 1 || !of_user.state().is_idle(now));
            if users.len() >= MAX_REMEMBERED {
                return None;
            }
        }
        let new = Arc::new(Use { limits, state: Mutex::new(State::new(now)) });
        users.insert(Arc::from(who), Arc::clone(&new));
        Some(new)
    }
}

impl Use {
    fn begin(&self, now: Instant) -> Result<(), Refused> {
        let (mut state, limits) = (self.state(), self.limits);
        if limits.requests_at_once > 0 && state.under_way >= limits.requests_at_once {
            return Err(Refused { what: TooMuch::AtOnce, retry_after: Duration::from_secs(1) });
        }
        if limits.requests_per_second > 0 {
            let taken = state.requests.take(1, limits.requests_per_second, now);
            taken.map_err(|retry_after| Refused { what: TooMuch::Rate, retry_after })?;
        }
        state.under_way += 1;
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new(now: Instant) -> Self {
        let bucket = Bucket::new(now);
        Self { under_way: 0, requests: bucket, uploaded: bucket, downloaded: bucket }
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.under_way == 0 && [self.requests, self.uploaded, self.downloaded].iter().all(|bucket| bucket.is_full(now))
    }
}

impl Slot {
    /// So many bytes of the request's body came. How long the next ones have to wait.
    pub fn uploaded(&self, len_bytes: usize) -> Duration {
        let Limits { upload_bytes_per_second: rate, .. } = self.0.limits;
        if rate == 0 { Duration::ZERO } else { self.0.state().uploaded.owe(len_bytes as u64, rate, Instant::now()) }
    }

    /// So many bytes of the response's body went. How long the next ones have to wait.
    pub fn downloaded(&self, len_bytes: usize) -> Duration {
        let Limits { download_bytes_per_second: rate, .. } = self.0.limits;
        if rate == 0 { Duration::ZERO } else { self.0.state().downloaded.owe(len_bytes as u64, rate, Instant::now()) }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.state().under_way -= 1;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn limiter(usual: Limits) -> Limiter {
        Limiter::new(usual, HashMap::from([("vip".to_owned(), Limits::default())]))
    }

    #[tokio::test(start_paused = true)]
    async fn an_identity_begins_so_many_requests_a_second_and_others_are_not_its_matter() {
        let limiter = limiter(Limits { requests_per_second: 10, ..Limits::default() });
        for _ in 0..10 {
            assert!(limiter.begin("one").unwrap().is_some());
        }
        let refused = limiter.begin("one").unwrap_err();
        assert_eq!((refused.what, refused.retry_after), (TooMuch::Rate, Duration::from_millis(100)));
        assert!(limiter.begin("other").is_ok());
        advance(Duration::from_millis(100)).await;
        assert!(limiter.begin("one").is_ok() && limiter.begin("one").is_err());
        assert_eq!((limiter.refused(TooMuch::Rate), limiter.refused(TooMuch::AtOnce)), (2, 0));
        assert!((0..100).all(|_| limiter.begin("vip").unwrap().is_none()), "it has bounds of its own: none");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_under_way_until_it_is_dropped() {
        let limiter = limiter(Limits { requests_at_once: 2, ..Limits::default() });
        let (first, _second) = (limiter.begin("one").unwrap(), limiter.begin("one").unwrap());
        assert_eq!(limiter.begin("one").unwrap_err().what, TooMuch::AtOnce);
        drop(first);
        assert!(limiter.begin("one").is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn all_bodies_of_an_identity_share_its_bytes() {
        let limiter = limiter(Limits { download_bytes_per_second: 1000, ..Limits::default() });
        let slots = [limiter.begin("one").unwrap().unwrap(), limiter.begin("one").unwrap().unwrap()];
        assert_eq!(slots[0].downloaded(1000), Duration::ZERO);
        assert_eq!(slots[1].downloaded(1000), Duration::from_secs(1));
        assert_eq!(slots[0].uploaded(1 << 30), Duration::ZERO);
        advance(Duration::from_secs(2)).await;
        assert_eq!(slots[0].downloaded(1000), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_for_nothing_is_forgotten_when_there_are_too_many() {
        let limiter = limiter(Limits { requests_per_second: 1, requests_at_once: 1, ..Limits::default() });
        let kept = limiter.begin("kept").unwrap();
        for number in 0..MAX_REMEMBERED {
            assert!(limiter.begin(&number.to_string()).is_ok());
        }
        assert_eq!(limiter.users.lock().unwrap().len(), MAX_REMEMBERED);
        advance(Duration::from_secs(5)).await;
        assert!(limiter.begin("new").unwrap().is_some());
        assert_eq!(limiter.users.lock().unwrap().len(), 2);
        assert_eq!(limiter.begin("kept").unwrap_err().what, TooMuch::AtOnce);
        drop(kept);
    }
}
