//! A job that is running: how far it is, and how it is told to stop.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use strongroom_catalog::{BucketId, Job, JobId, ScopePlace};
use strongroom_seal::RecordKind;
use tokio::sync::watch;

use super::{JobState, MAX_FAILURES, RekeyFailure, RekeyJob, item::Item, runner::Stop};
use crate::{Engine, Error};

/// The kind of job, in the catalog.
pub(super) const KIND: &str = "rekey";

/// What is known of a job, as its record in the catalog holds it.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Progress {
    pub(super) job: RekeyJob,
    /// Whether it was started over TLS, for the conditions of its starter's policies. What was started by a release that did not keep it
    /// counts as started without.
    #[serde(default)]
    pub(super) secure: bool,
    /// The bucket that the request's name meant when the job was started.
    pub(super) bucket_id: Option<BucketId>,
    pub(super) stage: Stage,
    /// Everything up to here is finished with.
    pub(super) position: i64,
    /// In a walk in the order of keys: the key that the position belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<String>,
    /// Versions beyond were committed after the job came to them.
    pub(super) end: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    Counting,
    Uploads,
    Versions,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    GoOn,
    /// Until the next start.
    Pause,
    Cancel,
}

/// A running job.
pub(crate) struct Live {
    pub(super) id: JobId,
    progress: Mutex<Progress>,
    begun: Instant,
    done_before: u64,
    signal: watch::Sender<Signal>,
    ended: watch::Sender<bool>,
}

/// The running jobs.
#[derive(Default)]
pub(crate) struct Running {
    jobs: Mutex<HashMap<JobId, Arc<Live>>>,
}

impl Progress {
    /// Where the walk continues.
    pub(super) fn place(&self) -> ScopePlace {
        ScopePlace { key: self.key.clone(), position: self.position }
    }

    pub(super) fn go_on_at(&mut self, place: ScopePlace) {
        (self.key, self.position) = (place.key, place.position);
    }
}

impl Live {
    pub(super) fn new(id: JobId, progress: Progress) -> Arc<Self> {
        Arc::new(Self {
            id,
            begun: Instant::now(),
            done_before: progress.job.done,
            progress: Mutex::new(progress),
            signal: watch::Sender::new(Signal::GoOn),
            ended: watch::Sender::new(false),
        })
    }

    /// The job as it is now.
    pub(super) fn view(&self) -> RekeyJob {
        self.snapshot().job
    }

    pub(super) fn snapshot(&self) -> Progress {
        let mut progress = self.progress().clone();
        let job = &mut progress.job;
        if job.state != JobState::Running {
            return progress;
        }
        job.remaining = job.total.saturating_sub(job.done + job.skipped + job.failed);
        job.rate_per_second = rate(job.done - self.done_before, self.begun.elapsed());
        progress
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress());
    }

    pub(super) fn done(&self, item: &Item) {
        self.change(|progress| {
            progress.job.done += 1;
            progress.job.bytes += item.size_bytes();
        });
    }

    pub(super) fn skipped(&self) {
        self.change(|progress| progress.job.skipped += 1);
    }

    pub(super) fn failed(&self, item: &Item, reason: String) {
        let at = item.at();
        let failure =
            RekeyFailure { bucket: at.bucket.name.clone(), key: at.key.to_owned(), version_id: hex::encode(at.version_id), reason };
        self.change(|progress| {
            progress.job.failed += 1;
            if progress.job.failures.len() < MAX_FAILURES {
                progress.job.failures.push(failure);
            }
        });
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

    /// Whether the job is to stop, and how.
    pub(super) fn go_on(&self) -> Result<(), Stop> {
        match *self.signal.borrow() {
            Signal::GoOn => Ok(()),
            Signal::Pause => Err(Stop::Paused),
            Signal::Cancel => Err(Stop::Cancelled),
        }
    }

    /// Waits, unless the job is told to stop meanwhile.
    pub(super) async fn unless_stopped(&self, wait: impl Future<Output = ()>) -> Result<(), Stop> {
        let mut signal = self.signal.subscribe();
        tokio::select! {
            () = wait => {}
            // The sender lives as long as self.
            _ = signal.wait_for(|signal| *signal != Signal::GoOn) => {}
        }
        self.go_on()
    }

    pub(super) fn has_ended(&self) {
        self.ended.send_replace(true);
    }

    /// Waits until the job's task is over, or for so long.
    pub(super) async fn until_ended(&self, longest: Duration) {
        let mut ended = self.ended.subscribe();
        let _ = tokio::time::timeout(longest, ended.wait_for(|ended| *ended)).await;
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// Adds a job, unless so many run already.
    pub(super) fn add(&self, live: &Arc<Live>, at_most: usize) -> Result<(), Error> {
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

    pub(super) fn get(&self, id: &JobId) -> Option<Arc<Live>> {
        self.jobs().get(id).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Live>> {
        self.jobs().values().cloned().collect()
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<JobId, Arc<Live>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Writes what is known of a job into the catalog, sealed: nobody with the disk makes up a job, or changes its key.
    pub(super) async fn save_job(&self, id: JobId, progress: &Progress) -> Result<(), Error> {
        let document = serde_json::to_vec(progress).map_err(|error| Error::Internal(error.into()))?;
        let record = self.store_key().seal_record(RecordKind::Document, &fields(&id), &document);
        let job = Job {
            id,
            kind: KIND.to_owned(),
            is_active: progress.job.state == JobState::Running,
            started: i64::try_from(progress.job.started.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX),
            record: record.map_err(|error| Error::Internal(error.into()))?,
        };
        Ok(self.catalog().put_job(job).await?)
    }

    /// The reverse of [`Engine::save_job`].
    pub(super) fn open_job(&self, job: &Job) -> Result<Progress, Error> {
        let damaged = |what: &str| self.integrity().note(Error::Integrity(format!("the record of a job: {what}")), "", "");
        let document = self.store_key().open_record(RecordKind::Document, &fields(&job.id), &job.record);
        let document = document.map_err(|error| damaged(&error.to_string()))?;
        serde_json::from_slice(&document).map_err(|_| damaged("it does not parse"))
    }
}

/// What the record of a job is bound to.
fn fields(id: &JobId) -> [&[u8]; 2] {
    [b"job", &id.0]
}

#[allow(clippy::cast_precision_loss, reason = "a rate need not be exact")]
fn rate(done: u64, elapsed: Duration) -> f64 {
    let seconds = elapsed.as_secs_f64();
    if seconds > 0.0 { done as f64 / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// As version 2 of the store has it, with a job under way.
    const FORMER: &str = r#"{"job":{"job_id":"000102030405060708090a0b0c0d0e0f","state":"Running","request":{"bucket":"photos","prefix":null,
        "from_backend":null,"from_key":null,"from_version":null,"mode":null,"to_key":"beta","dry_run":false,"max_objects_per_second":null,
        "encrypt_plain":false},"who":"alice","started":"2026-11-20T10:00:00Z","finished":null,"total":5,"done":2,"skipped":0,"failed":0,
        "bytes":8,"remaining":3,"rate_per_second":1.5,"failures":[]},"bucket_id":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"stage":"Versions",
        "position":7,"end":9}"#;

    #[test]
    fn a_job_of_a_former_release_goes_on_as_its_starter_and_as_if_started_without_tls() {
        let progress: Progress = serde_json::from_str(FORMER).unwrap();
        assert_eq!((progress.job.who.as_str(), progress.secure), ("alice", false));
        assert_eq!((progress.job.state, progress.job.done, progress.position), (JobState::Running, 2, 7));
        let again: Progress = serde_json::from_slice(&serde_json::to_vec(&progress).unwrap()).unwrap();
        assert_eq!(again.job, progress.job);
    }

    #[test]
    fn a_job_that_names_no_starter_does_not_open() {
        let without = FORMER.replace(r#""who":"alice","#, "");
        assert!(serde_json::from_str::<Progress>(&without).is_err());
    }
}
