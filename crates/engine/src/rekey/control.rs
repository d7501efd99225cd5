//! Starting, watching, cancelling and resuming re-key jobs.

use std::sync::Arc;

use strongroom_catalog::JobId;

use super::{
    RekeyJob, RekeyRequest, Starter,
    progress::{RekeyProgress, Stage},
    runner::Rekey,
};
use crate::{Engine, Error};

/// So many jobs run at a time.
pub const MAX_RUNNING: usize = 4;

/// A job has the rights of its starter at each moment, and these end with the session.
const OUTLIVES_CREDENTIALS: &str = "A job may outlive temporary credentials: start it with the access key of a user.";

impl Engine {
    /// Starts a re-key job. It goes on in the background, also after a restart, and does to each object what its starter's rights to keys
    /// allow at that moment. [`Error::KmsAccessDenied`] where they allow nothing of what is asked for, [`Error::TooManyJobs`] where
    /// [`MAX_RUNNING`] jobs run. That the starter may start jobs at all, the caller has checked.
    pub async fn start_rekey(self: &Arc<Self>, request: RekeyRequest, starter: Starter<'_>) -> Result<RekeyJob, Error> {
        if starter.identity.is_temporary() {
            return Err(Error::InvalidRequest(OUTLIVES_CREDENTIALS.to_owned()));
        }
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
        let progress = RekeyProgress { job, secure, bucket_id, stage: Stage::Counting, position: 0, key: None, end: 0 };
        // New objects get a key of the present version from now on, or they would be what the job leaves behind.
        self.forget_bucket_keys();
        let shown = self.start_job::<Rekey>(id, progress).await?.job;
        tracing::info!(job_id = %id, request_id, who, "a re-keying was started");
        Ok(shown)
    }

    /// Goes on with the jobs that were running when the process ended. How many. To be called once, after the start.
    pub async fn resume_rekeys(self: &Arc<Self>) -> Result<usize, Error> {
        self.forget_bucket_keys();
        self.resume_jobs::<Rekey>().await
    }

    /// The job of that id. [`Error::NoSuchJob`]
    pub async fn rekey_job(&self, id: &str) -> Result<RekeyJob, Error> {
        Ok(self.job::<Rekey>(id).await?.job)
    }

    /// The last hundred jobs, the last started first.
    pub async fn rekey_jobs(&self) -> Result<Vec<RekeyJob>, Error> {
        Ok(self.jobs::<Rekey>().await?.into_iter().map(|progress| progress.job).collect())
    }

    /// Stops a job for good, once the objects it is at are finished; those that were re-keyed stay so. A job that has ended stays
    /// as it is.
    pub async fn cancel_rekey(&self, id: &str) -> Result<RekeyJob, Error> {
        Ok(self.cancel_job::<Rekey>(id).await?.job)
    }

    /// Stops all jobs until the next start: for a shutdown in good order.
    pub async fn pause_rekeys(&self) {
        self.pause_jobs::<Rekey>().await;
    }
}
