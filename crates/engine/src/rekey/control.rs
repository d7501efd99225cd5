//! Starting, watching, cancelling and resuming jobs.

use std::{sync::Arc, time::Duration};

use strongroom_catalog::{Job, JobId};
use time::OffsetDateTime;

use super::{
    JobState, RekeyJob, RekeyRequest, Starter,
    live::{KIND, Live, Progress, Signal, Stage},
    runner::Runner,
};
use crate::{Engine, Error};

/// So many jobs run at a time.
pub const MAX_RUNNING: usize = 4;
/// So many jobs are listed.
const MAX_LISTED: usize = 100;
/// How long a job that is told to stop has for the objects it is at.
const STOP_TIME: Duration = Duration::from_secs(30);

impl Engine {
    /// Starts a re-key job. It goes on in the background, also after a restart, and does to each object what its starter's rights to keys
    /// allow at that moment. [`Error::KmsAccessDenied`] where they allow nothing of what is asked for, [`Error::TooManyJobs`] where
    /// [`MAX_RUNNING`] jobs run. That the starter may start jobs at all, the caller has checked.
    pub async fn start_rekey(self: &Arc<Self>, request: RekeyRequest, starter: Starter<'_>) -> Result<RekeyJob, Error> {
        self.permit_start(&request, starter).await?;
        let request = self.checked(request).await?;
        let Starter { identity, secure, request_id } = starter;
        let who = identity.name.as_str();
        let bucket_id = match &request.bucket {
            Some(bucket) => Some(self.bucket(bucket).await?.id),
            None => None,
        };
        let id = JobId(strongroom_seal::random_array());
        let job = RekeyJob::new(id.to_string(), request, who);
        let progress = Progress { job, secure, bucket_id, stage: Stage::Counting, position: 0, key: None, end: 0 };
        let live = Live::new(id, progress);
        self.rekeys().add(&live, MAX_RUNNING)?;
        if let Err(error) = self.save_job(id, &live.snapshot()).await {
            self.rekeys().remove(&id);
            return Err(error);
        }
        tracing::info!(job_id = %id, request_id, who, "a re-keying was started");
        self.run_job(&live);
        Ok(live.view())
    }

    /// Goes on with the jobs that were running when the process ended. How many. To be called once, after the start.
    pub async fn resume_rekeys(self: &Arc<Self>) -> Result<usize, Error> {
        let mut resumed = 0;
        for job in self.catalog().list_jobs(KIND, true, MAX_LISTED).await? {
            // One whose record was altered is reported as damage, and does not run.
            let Ok(progress) = self.open_job(&job) else { continue };
            if progress.job.state != JobState::Running || self.rekeys().get(&job.id).is_some() {
                continue;
            }
            let live = Live::new(job.id, progress);
            self.rekeys().add(&live, MAX_LISTED)?;
            self.run_job(&live);
            resumed += 1;
        }
        Ok(resumed)
    }

    /// The job of that id. [`Error::NoSuchJob`]
    pub async fn rekey_job(&self, id: &str) -> Result<RekeyJob, Error> {
        let job_id = parse(id)?;
        if let Some(live) = self.rekeys().get(&job_id) {
            return Ok(live.view());
        }
        Ok(self.saved_job(id, job_id).await?.job)
    }

    /// The last hundred jobs, the last started first.
    pub async fn rekey_jobs(&self) -> Result<Vec<RekeyJob>, Error> {
        let jobs = self.catalog().list_jobs(KIND, false, MAX_LISTED).await?;
        let view = |job: Job| match self.rekeys().get(&job.id) {
            Some(live) => Some(live.view()),
            // A damaged record must not hide the other jobs.
            None => self.open_job(&job).ok().map(|progress| progress.job),
        };
        Ok(jobs.into_iter().filter_map(view).collect())
    }

    /// Stops a job for good, once the objects it is at are finished; those that were re-keyed stay so. A job that has ended stays
    /// as it is.
    pub async fn cancel_rekey(&self, id: &str) -> Result<RekeyJob, Error> {
        let job_id = parse(id)?;
        if let Some(live) = self.rekeys().get(&job_id) {
            live.tell(Signal::Cancel);
            live.until_ended(STOP_TIME).await;
            return Ok(live.view());
        }
        let mut progress = self.saved_job(id, job_id).await?;
        if progress.job.state == JobState::Running {
            progress.job.state = JobState::Cancelled;
            progress.job.finished = Some(OffsetDateTime::now_utc());
            self.save_job(job_id, &progress).await?;
        }
        Ok(progress.job)
    }

    /// Stops all jobs until the next start: for a shutdown in good order.
    pub async fn pause_rekeys(&self) {
        let jobs = self.rekeys().all();
        for live in &jobs {
            live.tell(Signal::Pause);
        }
        for live in jobs {
            live.until_ended(STOP_TIME).await;
        }
    }

    fn run_job(self: &Arc<Self>, live: &Arc<Live>) {
        // New objects get a key of the present version from now on, or they would be what the job leaves behind.
        self.forget_bucket_keys();
        let (engine, live) = (Arc::clone(self), Arc::clone(live));
        tokio::spawn(async move {
            let runner = Arc::new(Runner::new(Arc::clone(&engine), Arc::clone(&live)));
            let ended = tokio::spawn(Arc::clone(&runner).walk()).await;
            runner.finish(ended).await;
            engine.rekeys().remove(&live.id);
            live.has_ended();
        });
    }

    async fn saved_job(&self, id: &str, job_id: JobId) -> Result<Progress, Error> {
        let job = self.catalog().job(job_id).await?.filter(|job| job.kind == KIND);
        self.open_job(&job.ok_or_else(|| Error::NoSuchJob(id.to_owned()))?)
    }
}

fn parse(id: &str) -> Result<JobId, Error> {
    let no_such = || Error::NoSuchJob(id.chars().filter(char::is_ascii_alphanumeric).take(64).collect());
    id.parse().map_err(|_| no_such())
}
