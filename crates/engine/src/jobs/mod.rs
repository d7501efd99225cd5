//! Work that goes on in the background and outlives the process.
//!
//! A kind of work is a [`Worker`]: what is known of a job of its kind, and the walk of one from where it is to its end. What surrounds the walk
//! is here, once for all kinds:
//!
//! - [`control`]: starting, watching, cancelling and pausing jobs, and resuming them after a restart.
//! - [`live`]: a running job, and how it is told to stop.
//! - [`task`]: what a walk works with. It asks until it is answered, and keeps a place from which a restart goes on.
//! - [`outage`]: waiting for what every job needs, and giving up in the end.
//! - [`throttle`]: at the most so many turns in a second.
//! - [`record`]: a job in the catalog, sealed.

mod control;
mod live;
mod outage;
mod record;
mod task;
mod throttle;

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use time::OffsetDateTime;

pub(crate) use live::{Jobs, Live};
pub(crate) use outage::{Patience, passes, reason};
pub(crate) use task::Task;
pub(crate) use throttle::Throttle;

use crate::Engine;

/// A kind of work.
pub(crate) trait Worker: Sized + Send + Sync + 'static {
    /// What the catalog calls it. Jobs of former releases are found by it, so it never changes.
    const KIND: &'static str;
    /// So many jobs of the kind run at a time.
    const MAX_RUNNING: usize;
    /// What is known of a job of the kind.
    type Progress: Progress;

    /// The jobs of the kind that are running.
    fn jobs(engine: &Engine) -> &Jobs<Self>;

    /// From where the job is to its end. What the task's live job says at each [`Task::pass_checkpoint`] is where a restart goes on.
    fn walk(task: Arc<Task<Self>>) -> impl Future<Output = Result<(), Stop>> + Send;
}

/// What is known of a job: what was asked for, how far it is, how it ended. All of it is kept in the job's record.
pub(crate) trait Progress: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// How the job is doing.
    fn state(&self) -> JobState;

    /// When it was started.
    fn started(&self) -> OffsetDateTime;

    /// Notes that it has ended: by itself, or as it was stopped.
    fn end(&mut self, stopped: Option<Stop>);

    /// Works out what follows from the time that has passed since it began, or went on, as `before`.
    fn refresh(&mut self, before: &Self, elapsed: Duration);
}

/// How a job is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobState {
    /// It goes on, now or after the next start.
    Running,
    /// Everything in its scope is done, or needed nothing.
    Completed,
    /// It went through its scope, but some of it could not be done.
    CompletedWithErrors,
    /// It was cancelled.
    Cancelled,
    /// It gave up, and says why.
    Failed,
}

/// Why a job stops before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Until the next start.
    Paused,
    /// For good, because somebody said so.
    Cancelled,
    /// For good; says why.
    Failed(String),
}
