//! What one connection is doing, as the table of its port and the connection itself both see it.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// What a connection is doing. Only a busy one has a request under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its first byte or its TLS handshake is waited for.
    Opening,
    /// Its first request is waited for, or its head has begun.
    First,
    /// Its next request is waited for.
    Idle,
    /// The head of its next request has begun.
    Head,
    /// A request is under way, until the last byte of its answer is sent.
    Busy,
    /// It was chosen to be closed. No request of it is served any more.
    Closing,
}

/// What an answer says of its client's claim to the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// None: it was given without valid credentials.
    Anonymous,
    /// One that ends with the request.
    Short,
    /// A long body, which may take its time to the last byte.
    Download,
}

const STAGES: [Stage; 6] = [Stage::Opening, Stage::First, Stage::Idle, Stage::Head, Stage::Busy, Stage::Closing];
const STAGE_BITS: u32 = 3;
const NEVER: u64 = u64::MAX;

/// Shared by a connection and the table of its port.
pub(super) struct Activity {
    epoch: Instant,
    /// The stage, and above it the milliseconds from the epoch to its beginning: they change together.
    state: AtomicU64,
    answered: AtomicU64,
    /// When the first of the anonymous answers since the last other one was given, or [`NEVER`].
    anonymous_since: AtomicU64,
    is_download: AtomicBool,
    /// When the client last took some of what it is sent, or [`NEVER`] while it takes all at once.
    blocked_since: AtomicU64,
    /// A [`super::head::Refusal`] as a number, 0 for none.
    refusal: AtomicU8,
    closed: Notify,
}

impl Activity {
    /// Of a connection that has just been accepted.
    pub(super) fn new(epoch: Instant) -> Self {
        let activity = Self {
            epoch,
            state: AtomicU64::default(),
            answered: AtomicU64::default(),
            anonymous_since: AtomicU64::new(NEVER),
            is_download: AtomicBool::default(),
            blocked_since: AtomicU64::new(NEVER),
            refusal: AtomicU8::default(),
            closed: Notify::new(),
        };
        activity.state.store(pack(Stage::Opening, activity.now()), Ordering::Relaxed);
        activity
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX >> STAGE_BITS)
    }

    /// The stage and how long it has lasted.
    #[cfg(test)]
    pub(super) fn stage(&self) -> (Stage, Duration) {
        let (stage, since) = unpack(self.state.load(Ordering::Acquire));
        (stage, Duration::from_millis(self.now().saturating_sub(since)))
    }

    /// How long it has waited for its client, as far as others may have its place for that. `None` while the server is at work for it.
    /// Requests without credentials buy no time, nor do their answers, however slowly they are taken.
    pub(super) fn waited(&self) -> Option<Duration> {
        self.waited_in(self.state.load(Ordering::Acquire))
    }

    fn waited_in(&self, packed: u64) -> Option<Duration> {
        let (stage, began) = unpack(packed);
        let anonymous = self.anonymous_since.load(Ordering::Acquire);
        let since = match stage {
            Stage::Opening | Stage::First => began,
            Stage::Idle | Stage::Head => anonymous.min(began),
            Stage::Busy if self.is_download.load(Ordering::Acquire) => return None,
            Stage::Busy => match self.blocked_since.load(Ordering::Acquire) {
                NEVER => return None,
                blocked => anonymous.min(blocked),
            },
            Stage::Closing => return None,
        };
        Some(Duration::from_millis(self.now().saturating_sub(since)))
    }

    /// Begins a stage; `false` if the connection is being closed. A head that goes on does not begin again, and that of the first
    /// request counts from when it was waited for.
    pub(super) fn enter(&self, stage: Stage) -> bool {
        let now = self.now();
        if stage != Stage::Busy {
            self.is_download.store(false, Ordering::Release);
        }
        let next = |state| match unpack(state) {
            (Stage::Closing, _) => None,
            (Stage::First | Stage::Head, _) if stage == Stage::Head => Some(state),
            _ => Some(pack(stage, now)),
        };
        self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, next).is_ok()
    }

    /// Has the connection closed if no request is under way and it is as `may_close` asks, and says whether it was.
    pub(super) fn close_if(&self, may_close: impl Fn(Stage, Duration) -> bool) -> bool {
        self.close_where(|state| {
            let (stage, since) = unpack(state);
            let age = Duration::from_millis(self.now().saturating_sub(since));
            !matches!(stage, Stage::Busy | Stage::Closing) && may_close(stage, age)
        })
    }

    /// Has the connection closed if it has [waited](Self::waited) so long, and says whether it was.
    pub(super) fn close_if_waited(&self, least: Duration) -> bool {
        self.close_where(|state| self.waited_in(state).is_some_and(|waited| waited >= least))
    }

    fn close_where(&self, may_close: impl Fn(u64) -> bool) -> bool {
        let next = |state| may_close(state).then(|| pack(Stage::Closing, self.now()));
        let is_closed = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, next).is_ok();
        if is_closed {
            self.closed.notify_one();
        }
        is_closed
    }

    /// An answer is about to be sent.
    pub(super) fn answering(&self, claim: Claim) {
        let next = |since| match claim {
            Claim::Anonymous if since != NEVER => None,
            Claim::Anonymous => Some(self.now()),
            Claim::Short | Claim::Download => Some(NEVER),
        };
        let _ = self.anonymous_since.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        self.is_download.store(claim == Claim::Download, Ordering::Release);
    }

    /// The client took what was written.
    pub(super) fn taken(&self) {
        self.blocked_since.store(NEVER, Ordering::Release);
    }

    /// A write waits for the client.
    pub(super) fn blocked(&self) {
        if self.blocked_since.load(Ordering::Acquire) == NEVER {
            self.blocked_since.store(self.now(), Ordering::Release);
        }
    }

    /// Waits until it was chosen to be closed. For one waiter.
    pub(super) async fn closed(&self) {
        self.closed.notified().await;
    }

    /// Counts an answer that was handed to be sent, to its end.
    pub(super) fn answered(&self) {
        self.answered.fetch_add(1, Ordering::Release);
    }

    pub(super) fn answers(&self) -> u64 {
        self.answered.load(Ordering::Acquire)
    }

    /// The next request that reaches the service stands for one that is refused.
    pub(super) fn set_refusal(&self, refusal: u8) {
        self.refusal.store(refusal, Ordering::Release);
    }

    pub(super) fn refusal(&self) -> u8 {
        self.refusal.load(Ordering::Acquire)
    }
}

fn pack(stage: Stage, since: u64) -> u64 {
    since << STAGE_BITS | stage as u64
}

fn unpack(state: u64) -> (Stage, u64) {
    let index = usize::try_from(state & ((1 << STAGE_BITS) - 1)).unwrap_or_default();
    (STAGES.get(index).copied().unwrap_or(Stage::Closing), state >> STAGE_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stage_lasts_from_its_beginning_and_the_first_head_from_the_waiting() {
        let activity = Activity::new(Instant::now());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(activity.stage(), (Stage::Opening, Duration::from_secs(2)));
        assert!(activity.enter(Stage::First));
        tokio::time::advance(Duration::from_secs(3)).await;
        assert!(activity.enter(Stage::Head));
        assert_eq!(activity.stage(), (Stage::First, Duration::from_secs(3)));
        assert!(activity.enter(Stage::Idle) && activity.enter(Stage::Head));
        tokio::time::advance(Duration::from_secs(4)).await;
        assert!(activity.enter(Stage::Head));
        assert_eq!(activity.stage(), (Stage::Head, Duration::from_secs(4)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_at_work_is_never_closed_and_a_closed_one_is_never_busy() {
        let activity = Activity::new(Instant::now());
        assert!(activity.enter(Stage::Busy));
        assert!(!activity.close_if(|_, _| true) && !activity.close_if_waited(Duration::ZERO));
        assert!(activity.enter(Stage::Idle));
        assert!(!activity.close_if(|stage, _| stage == Stage::Head));
        assert!(activity.close_if(|_, _| true));
        assert!(!activity.enter(Stage::Busy));
        assert!(!activity.close_if(|_, _| true), "it is closed once");
        activity.closed().await;
    }
}
