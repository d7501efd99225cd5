//! Starting, watching, cancelling and resuming jobs.

use std::{sync::Arc, time::Duration};

use strongroom_catalog::{Job, JobId};

use super::{JobState, Live, Progress, Stop, Task, Worker, live::Signal};
use crate::{Engine, Error};

/// So many jobs are listed.
const MAX_LISTED: usize = 100;
/// How long a job that is told to stop has for what it is at.
const STOP_TIME: Duration = Duration::from_secs(30);

impl Engine {
    /// Starts a job. It goes on in the background, also after a restart. [`Error::TooManyJobs`] where as many of the kind run as may.
    pub(crate) async fn start_job<W: Worker>(self: &Arc<Self>, id: JobId, progress: W::Progress) -> Result<W::Progress, Error> {
        let live = Live::new(id, progress);
        W::jobs(self).add(&live, W::MAX_RUNNING)?;
        let (engine, added) = (Arc::clone(self), Arc::clone(&live));
        // A task of its own: whoever asks may go away meanwhile, and what was added must run or be taken back.
        let started = tokio::spawn(async move {
            let saved = engine.save_job::<W>(id, &added.snapshot()).await;
            match &saved {
                Ok(()) => engine.run_job::<W>(&added),
                Err(_) => W::jobs(&engine).remove(&id),
            }
            saved
        });
        started.await.map_err(|ended| Error::Internal(ended.into()))??;
        Ok(live.snapshot())
    }

    /// Goes on with the jobs that were running when the process ended. How many. To be called once, after the start.
    pub(crate) async fn resume_jobs<W: Worker>(self: &Arc<Self>) -> Result<usize, Error> {
        let mut resumed = 0;
        for job in self.catalog().list_jobs(W::KIND, true, MAX_LISTED).await? {
            // One whose record was altered is reported as damage, and does not run.
            let Ok(progress) = self.open_job::<W>(&job) else { continue };
            if progress.state() != JobState::Running || W::jobs(self).get(&job.id).is_some() {
                continue;
            }
            let live = Live::new(job.id, progress);
            W::jobs(self).add(&live, MAX_LISTED)?;
            self.run_job::<W>(&live);
            resumed += 1;
        }
        Ok(resumed)
    }

    /// The job of that id. [`Error::NoSuchJob`]
    pub(crate) async fn job<W: Worker>(&self, id: &str) -> Result<W::Progress, Error> {
        let job_id = parse(id)?;
        match W::jobs(self).get(&job_id) {
            Some(live) => Ok(live.snapshot()),
            None => self.saved_job::<W>(id, job_id).await,
        }
    }

    /// The last hundred jobs of the kind, the last started first.
    pub(crate) async fn jobs<W: Worker>(&self) -> Result<Vec<W::Progress>, Error> {
        let jobs = self.catalog().list_jobs(W::KIND, false, MAX_LISTED).await?;
        let seen = |job: Job| match W::jobs(self).get(&job.id) {
            Some(live) => Some(live.snapshot()),
            // A damaged record must not hide the other jobs.
            None => self.open_job::<W>(&job).ok(),
        };
        Ok(jobs.into_iter().filter_map(seen).collect())
    }

    /// Stops a job for good, once what it is at is finished; what was done stays so. A job that has ended stays as it is.
    pub(crate) async fn cancel_job<W: Worker>(&self, id: &str) -> Result<W::Progress, Error> {
        let job_id = parse(id)?;
        if let Some(live) = W::jobs(self).get(&job_id) {
            live.tell(Signal::Cancel);
            live.until_ended(STOP_TIME).await;
            return Ok(live.snapshot());
        }
        let mut progress = self.saved_job::<W>(id, job_id).await?;
        if progress.state() == JobState::Running {
            progress.end(Some(Stop::Cancelled));
            self.save_job::<W>(job_id, &progress).await?;
        }
        Ok(progress)
    }

    /// Stops all jobs of the kind until the next start: for a shutdown in good order.
    pub(crate) async fn pause_jobs<W: Worker>(&self) {
        let jobs = W::jobs(self).all();
        for live in &jobs {
            live.tell(Signal::Pause);
        }
        for live in jobs {
            live.until_ended(STOP_TIME).await;
        }
    }

    fn run_job<W: Worker>(self: &Arc<Self>, live: &Arc<Live<W::Progress>>) {
        let (engine, live) = (Arc::clone(self), Arc::clone(live));
        tokio::spawn(async move {
            let task = Arc::new(Task::<W>::new(Arc::clone(&engine), Arc::clone(&live)));
            // A task of its own: a panic in it ends the job, and not this record of its end.
            let ended = tokio::spawn(W::walk(Arc::clone(&task))).await;
            task.finish(ended).await;
            W::jobs(&engine).remove(&live.id);
            live.has_ended();
        });
    }

    async fn saved_job<W: Worker>(&self, id: &str, job_id: JobId) -> Result<W::Progress, Error> {
        let job = self.catalog().job(job_id).await?.filter(|job| job.kind == W::KIND);
        self.open_job::<W>(&job.ok_or_else(|| Error::NoSuchJob(id.to_owned()))?)
    }
}

fn parse(id: &str) -> Result<JobId, Error> {
    let no_such = || Error::NoSuchJob(id.chars().filter(char::is_ascii_alphanumeric).take(64).collect());
    id.parse().map_err(|_| no_such())
}
