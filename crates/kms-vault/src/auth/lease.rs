//! A token and how long it lasts.

use std::time::Duration;

use strongroom_kms::Secret;
use tokio::time::Instant;

use super::token_file::Stamp;

/// The shortest pause before a renewal: a lease at the end of its life must not be renewed in a loop.
const MIN_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause between attempts of a renewal that failed.
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(30);

/// A token the server gave or the operator configured. Renewal makes a new lease of the same token.
#[derive(Clone)]
pub(crate) struct Lease {
    pub(super) token: Secret,
    /// Which state of the token file it was read from.
    pub(super) stamp: Option<Stamp>,
    pub(super) renewable: bool,
    /// When it was last obtained or renewed.
    pub(super) since: Instant,
    /// How long it lasts from `since`; none: for ever, or unknown.
    pub(super) ttl: Option<Duration>,
    /// What the first `ttl` was. A renewal that gives much less says that the token's life nears its end.
    pub(super) granted: Option<Duration>,
    /// When it was made, renewals not counted.
    pub(super) made: Instant,
    /// When to renew it or to log in again.
    pub(super) due: Option<Instant>,
}

impl Lease {
    /// A token that was obtained now. A `ttl_seconds` of 0 is for ever. Source: Vault, `auth.lease_duration`.
    pub(super) fn new(token: Secret, ttl_seconds: u64, renewable: bool) -> Self {
        let (now, ttl) = (Instant::now(), Some(Duration::from_secs(ttl_seconds)).filter(|ttl| !ttl.is_zero()));
        Self { token, stamp: None, renewable, since: now, ttl, granted: ttl, made: now, due: due(now, ttl) }
    }

    /// The same token after its renewal.
    pub(super) fn renewed(&self, ttl_seconds: u64, renewable: bool) -> Self {
        let fresh = Self::new(self.token.clone(), ttl_seconds, renewable);
        Self { stamp: self.stamp, granted: self.granted, made: self.made, ..fresh }
    }

    /// The same token, whose renewal failed and is tried again before it ends.
    pub(super) fn retried(&self) -> Self {
        let left = self.ends().map_or(MAX_RETRY_PAUSE, |end| end.saturating_duration_since(Instant::now()));
        let pause = if left.is_zero() { MAX_RETRY_PAUSE } else { (left / 4).clamp(MIN_PAUSE, MAX_RETRY_PAUSE) };
        Self { due: Some(Instant::now() + pause), ..self.clone() }
    }

    /// The same token, which is left to end.
    pub(super) fn abandoned(&self) -> Self {
        Self { due: None, ..self.clone() }
    }

    pub(crate) fn token(&self) -> &Secret {
        &self.token
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ends().is_some_and(|end| end <= Instant::now())
    }

    /// Whether renewals give less than a third of what the token had at first: its greatest age is near.
    pub(super) fn is_fading(&self) -> bool {
        matches!((self.ttl, self.granted), (Some(ttl), Some(granted)) if ttl < granted / 3)
    }

    fn ends(&self) -> Option<Instant> {
        self.ttl.map(|ttl| self.since + ttl)
    }
}

fn due(now: Instant, ttl: Option<Duration>) -> Option<Instant> {
    ttl.map(|ttl| now + (ttl * 2 / 3).max(MIN_PAUSE))
}
