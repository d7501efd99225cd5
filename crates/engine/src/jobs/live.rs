//! A job that is running: how far it is, and how it is told to stop.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use strongroom_catalog::JobId;
use tokio::sync::watch;

use super::{JobState, Progress, Stop, Worker};
use crate::Error;

/// What a running job is told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    GoOn,
    /// Until the next start.
    Pause,
    Cancel,
}

/// A running job.
pub(crate) struct Live<P> {
    pub(crate) id: JobId,
    progress: Mutex<P>,
    begun: Instant,
    /// The progress when it began, or went on.
    before: P,
    signal: watch::Sender<Signal>,
    ended: watch::Sender<bool>,
}

/// The running jobs of a kind.
pub(crate) struct Jobs<W: Worker>(Mutex<HashMap<JobId, Arc<Live<W::Progress>>>>);

impl<P: Progress> Live<P> {
    pub(super) fn new(id: JobId, progress: P) -> Arc<Self> {
        Arc::new(Self {
            id,
            begun: Instant::now(),
            before: progress.clone(),
            progress: Mutex::new(progress),
            signal: watch::Sender::new(Signal::GoOn),
            ended: watch::Sender::new(false),
        })
    }

    /// The job as it is now.
    pub(crate) fn snapshot(&self) -> P {
        let mut progress = self.progress().clone();
        if progress.state() == JobState::Running {
            progress.refresh(&self.before, self.begun.elapsed());
        }
        progress
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut P)) {
        change(&mut self.progress());
    }

    /// Whether the job is to stop, and how.
    pub(crate) fn go_on(&self) -> Result<(), Stop> {
        match *self.signal.borrow() {
            Signal::GoOn => Ok(()),
            Signal::Pause => Err(Stop::Paused),
            Signal::Cancel => Err(Stop::Cancelled),
        }
    }

    /// Waits, unless the job is told to stop meanwhile.
    pub(crate) async fn unless_stopped(&self, wait: impl Future<Output = ()>) -> Result<(), Stop> {
        let mut signal = self.signal.subscribe();
        tokio::select! {
            () = wait => {}
            // The sender lives as long as self.
            _ = signal.wait_for(|signal| *signal != Signal::GoOn) => {}
        }
        self.go_on()
    }

    pub(super) fn tell(&self, signal: Signal) {
        // Who cancelled is not overruled by a shutdown.
        self.signal.send_if_modified(|present| {
            let changes = *present != Signal::Cancel;
            if changes {
                *present = signal;
            }
            changes
        });
    }

    pub(super) fn has_ended(&self) {
        self.ended.send_replace(true);
    }

    /// Waits until the job's task is over, or for so long.
    pub(super) async fn until_ended(&self, longest: Duration) {
        let mut ended = self.ended.subscribe();
        let _ = tokio::time::timeout(longest, ended.wait_for(|ended| *ended)).await;
    }

    fn progress(&self) -> MutexGuard<'_, P> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Worker> Default for Jobs<W> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<W: Worker> Jobs<W> {
    /// Adds a job, unless so many run already.
    pub(super) fn add(&self, live: &Arc<Live<W::Progress>>, at_most: usize) -> Result<(), Error> {
        let mut jobs = self.jobs();
        if jobs.len() >= at_most {
            return Err(Error::TooManyJobs(jobs.len()));
        }
        jobs.insert(live.id, Arc::clone(live));
        Ok(())
    }

    pub(super) fn remove(&self, id: &JobId) {
        self.jobs().remove(id);
    }

    pub(super) fn get(&self, id: &JobId) -> Option<Arc<Live<W::Progress>>> {
        self.jobs().get(id).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Live<W::Progress>>> {
        self.jobs().values().cloned().collect()
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<JobId, Arc<Live<W::Progress>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
