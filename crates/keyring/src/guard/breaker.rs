//! The circuit breaker: after failures in a row the backend is left alone, and then tried with one call.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{BreakerState, Recorder};

/// When the breaker opens and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerConfig {
    /// It opens after this many failures without a success in between.
    pub failures: u32,
    /// For this long after it opened no call goes through; then one does.
    pub cool_down: Duration,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self { failures: 5, cool_down: Duration::from_secs(5) }
    }
}

/// The breaker of one backend.
pub(super) struct Breaker {
    machine: Mutex<Machine>,
    recorder: Arc<Recorder>,
}

/// Lets one attempt through. Dropped without a verdict, because the caller went away, it counts as none.
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
    epoch: u64,
    verdict: Verdict,
}

/// What an attempt told of the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Answered,
    Failed,
    Unknown,
}

impl Breaker {
    pub(super) fn new(config: BreakerConfig, recorder: Arc<Recorder>) -> Self {
        Self { machine: Mutex::new(Machine::new(config)), recorder }
    }

    /// Whether [`Self::admit`] would let no call through now.
    pub(super) fn is_open(&self) -> bool {
        self.lock().refuses(Instant::now())
    }

    pub(super) fn admit(&self) -> Option<Pass<'_>> {
        let epoch = self.lock().admit(Instant::now())?;
        Some(Pass { breaker: self, epoch, verdict: Verdict::Unknown })
    }

    pub(super) fn shown(&self) -> BreakerState {
        match self.lock().state {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { until } if Instant::now() < until => BreakerState::Open,
            State::Open { .. } | State::HalfOpen => BreakerState::HalfOpen,
        }
    }

    /// Poisoning is no concern: nothing under the lock can panic.
    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// The backend answered, whatever it said.
    pub(super) fn answered(mut self) {
        self.verdict = Verdict::Answered;
    }

    /// The backend was away or too slow.
    pub(super) fn failed(mut self) {
        self.verdict = Verdict::Failed;
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.breaker.lock().settle(self.epoch, self.verdict, Instant::now()) {
            self.breaker.recorder.count_opened();
        }
    }
}

/// The state machine without clock and lock.
struct Machine {
    config: BreakerConfig,
    state: State,
    /// Grows with each change of state: the verdict of an attempt let through before says nothing about now.
    epoch: u64,
}

enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
    },
    /// One attempt is under way.
    HalfOpen,
}

impl Machine {
    fn new(config: BreakerConfig) -> Self {
        Self { config, state: State::Closed { failures: 0 }, epoch: 0 }
    }

    fn refuses(&self, now: Instant) -> bool {
        match self.state {
            State::Closed { .. } => false,
            State::Open { until } => now < until,
            State::HalfOpen => true,
        }
    }

    /// Lets an attempt through, in this epoch.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.refuses(now) {
            return None;
        }
        if let State::Open { .. } = self.state {
            self.enter(State::HalfOpen);
        }
        Some(self.epoch)
    }

    /// Takes note of how an attempt of `epoch` ended. Whether the breaker opened.
    fn settle(&mut self, epoch: u64, verdict: Verdict, now: Instant) -> bool {
        if epoch != self.epoch {
            return false;
        }
        match (&mut self.state, verdict) {
            (State::Closed { failures }, Verdict::Answered) => *failures = 0,
            (State::Closed { failures }, Verdict::Failed) => {
                *failures += 1;
                if *failures >= self.config.failures {
                    self.enter(State::Open { until: now + self.config.cool_down });
                    return true;
                }
            }
            (State::HalfOpen, Verdict::Answered) => self.enter(State::Closed { failures: 0 }),
            (State::HalfOpen, Verdict::Failed) => {
                self.enter(State::Open { until: now + self.config.cool_down });
                return true;
            }
            // The next call may try at once.
            (State::HalfOpen, Verdict::Unknown) => self.enter(State::Open { until: now }),
            // Nobody is let through in an epoch of Open.
            (State::Closed { .. }, Verdict::Unknown) | (State::Open { .. }, _) => {}
        }
        false
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.epoch += 1;
    }
}

#[cfg(test)]
mod tests;
