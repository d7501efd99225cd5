//! Waiting for what a job cannot do without.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use strongroom_kms::KmsError;

use super::Stop;
use crate::Error;

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// What failed so often while others succeeded has a problem of its own.
const MAX_ATTEMPTS: u32 = 5;

/// How long things have failed, for all that a job does at a time.
pub(crate) struct Outage {
    limit: Duration,
    times: Mutex<Times>,
}

#[derive(Clone, Copy, Default)]
struct Times {
    failing_since: Option<Instant>,
    last_success: Option<Instant>,
}

/// The attempts at one thing.
#[derive(Default)]
pub(crate) struct Patience {
    attempts: u32,
    since: Option<Instant>,
}

impl Outage {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, times: Mutex::default() }
    }

    pub(crate) fn succeeded(&self) {
        *self.times() = Times { failing_since: None, last_success: Some(Instant::now()) };
    }

    /// Whether it is only this one thing that fails.
    pub(crate) fn is_its_own(&self, patience: &Patience) -> bool {
        patience.attempts >= MAX_ATTEMPTS && self.times().last_success > patience.since
    }

    /// How long to wait before the next attempt, longer each time; stops the job where nothing has succeeded for too long.
    pub(super) fn wait(&self, patience: &mut Patience, error: &Error) -> Result<Duration, Stop> {
        let now = Instant::now();
        let since = *self.times().failing_since.get_or_insert(now);
        if now.duration_since(since) >= self.limit {
            return Err(Stop::Failed(format!("gave up after {} seconds: {}", self.limit.as_secs(), reason(error))));
        }
        patience.since.get_or_insert(now);
        let wait = (FIRST_WAIT * 2_u32.saturating_pow(patience.attempts.min(10))).min(LONGEST_WAIT).min(self.limit);
        patience.attempts += 1;
        Ok(wait)
    }

    fn times(&self) -> std::sync::MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an error says nothing about what the job is at, and will pass.
pub(crate) fn passes(error: &Error) -> bool {
    match error {
        Error::KmsUnavailable(cause) => matches!(cause, KmsError::Unavailable(_) | KmsError::Denied(_)),
        Error::KmsSealed
        | Error::KmsNotConfigured
        | Error::AuditUnavailable(_)
        | Error::Busy
        | Error::StorageFull
        | Error::StorageReadOnly
        | Error::StorageFailing => true,
        _ => false,
    }
}

/// An error with its causes, for the operator.
pub(crate) fn reason(error: &Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
