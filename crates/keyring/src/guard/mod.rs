//! Between this server and a backend that may be slow, away or flooded: a time limit, retries, a circuit breaker and a limit of calls
//! at once, once for all backends; and the numbers of it.

mod breaker;
mod lifecycle;
mod numbers;
mod operation;
mod recorder;
mod retry;
mod service;

use std::sync::Arc;
use std::time::Duration;

use strongroom_fair::FairSemaphore;
use strongroom_kms::KmsError;
use tokio::time::{Instant, timeout_at};

use self::breaker::Breaker;
pub use self::breaker::BreakerConfig;
pub use self::numbers::{BackendMetrics, BreakerState, Histogram, OperationMetrics, OutcomeCount};
use self::operation::{Operation, Outcome};
pub use self::recorder::Recorder;

/// The limits of a [`Guard`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuardConfig {
    /// The longest a call may take, from its beginning to its answer: waiting, retries and pauses included.
    pub timeout: Duration,
    /// The most attempts after the first, of calls that may be repeated.
    pub retry_attempts: u32,
    /// The most calls under way; others wait for their turn, up to the timeout.
    pub max_concurrent_calls: usize,
    /// When the backend is left alone.
    pub breaker: BreakerConfig,
}

impl Default for GuardConfig {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(30), retry_attempts: 3, max_concurrent_calls: 64, breaker: BreakerConfig::default() }
    }
}

/// A backend behind limits. It implements [`KeyService`](strongroom_kms::KeyService) and [`KeyLifecycle`](strongroom_kms::KeyLifecycle)
/// when `K` does.
///
/// Every call has an answer within [`GuardConfig::timeout`]. Only [`KmsError::Unavailable`] and timeouts count against the backend:
/// one that denies access is there. A change that timed out may have been made all the same.
pub struct Guard<K: ?Sized> {
    inner: Arc<K>,
    config: GuardConfig,
    turns: FairSemaphore,
    breaker: Breaker,
    recorder: Arc<Recorder>,
}

impl<K: ?Sized> Guard<K> {
    /// Wraps `inner`, and counts in `recorder`, which may be that of an earlier guard of the same backend.
    pub fn new(inner: Arc<K>, config: GuardConfig, recorder: Arc<Recorder>) -> Self {
        let turns = FairSemaphore::new(config.max_concurrent_calls);
        Self { inner, turns, breaker: Breaker::new(config.breaker, Arc::clone(&recorder)), config, recorder }
    }

    /// The circuit breaker now.
    pub fn breaker(&self) -> BreakerState {
        self.breaker.shown()
    }

    /// One call, counted.
    async fn call<T, F>(&self, operation: Operation, attempt: impl Fn() -> F + Send + Sync) -> Result<T, KmsError>
    where
        F: Future<Output = Result<T, KmsError>> + Send,
    {
        let counted = self.recorder.begin(operation);
        let answer = self.within_limits(operation, attempt).await;
        counted.end(answer.as_ref().map_or_else(Failure::outcome, |_| Outcome::Ok));
        answer.map_err(|failure| failure.into_error(&self.config))
    }

    async fn within_limits<T, F>(&self, operation: Operation, attempt: impl Fn() -> F + Send + Sync) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, KmsError>> + Send,
    {
        let deadline = Instant::now() + self.config.timeout;
        if self.breaker.is_open() {
            return Err(Failure::BreakerOpen);
        }
        let _turn = timeout_at(deadline, self.turns.acquire()).await.map_err(|_| Failure::Overloaded)?;
        let retries = if operation.is_idempotent() { self.config.retry_attempts } else { 0 };
        let mut failed = Failure::BreakerOpen;
        for number in 0..=retries {
            let Some(pass) = self.breaker.admit() else { break };
            match timeout_at(deadline, attempt()).await {
                Err(_) => {
                    pass.failed();
                    return Err(Failure::TimedOut);
                }
                Ok(Err(KmsError::Unavailable(text))) => {
                    pass.failed();
                    failed = Failure::Backend(KmsError::Unavailable(text));
                }
                Ok(answer) => {
                    pass.answered();
                    return answer.map_err(Failure::Backend);
                }
            }
            if number == retries || !retry::pause(number, deadline).await {
                break;
            }
            self.recorder.count_retry();
        }
        Err(failed)
    }
}

/// Why a call did not succeed.
enum Failure {
    /// The backend's own answer.
    Backend(KmsError),
    /// It did not answer in time.
    TimedOut,
    /// It was not asked.
    BreakerOpen,
    /// Too many other calls were before this one.
    Overloaded,
}

impl Failure {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Backend(error) => Outcome::of(error),
            Self::TimedOut => Outcome::TimedOut,
            Self::BreakerOpen => Outcome::BreakerOpen,
            Self::Overloaded => Outcome::Overloaded,
        }
    }

    fn into_error(self, config: &GuardConfig) -> KmsError {
        let GuardConfig { timeout, max_concurrent_calls, .. } = config;
        KmsError::Unavailable(match self {
            Self::Backend(error) => return error,
            Self::TimedOut => format!("it did not answer within {} seconds; see /kms/status", timeout.as_secs_f64()),
            Self::BreakerOpen => "it failed repeatedly and is left alone for a moment; see /kms/status".to_owned(),
            Self::Overloaded => {
                let seconds = timeout.as_secs_f64();
                format!("{max_concurrent_calls} calls to it were under way for {seconds} seconds; see /kms/status")
            }
        })
    }
}

#[cfg(test)]
mod tests;
