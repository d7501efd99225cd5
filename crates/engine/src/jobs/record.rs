//! A job in the catalog, sealed: nobody with the disk makes up a job, or changes what it is to do.

use strongroom_catalog::{Job, JobId};
use strongroom_seal::RecordKind;

use super::{JobState, Progress, Worker};
use crate::{Engine, Error};

impl Engine {
    /// Writes what is known of a job.
    pub(super) async fn save_job<W: Worker>(&self, id: JobId, progress: &W::Progress) -> Result<(), Error> {
        let document = serde_json::to_vec(progress).map_err(|error| Error::Internal(error.into()))?;
        let record = self.store_key().seal_record(RecordKind::Document, &fields(&id), &document);
        let job = Job {
            id,
            kind: W::KIND.to_owned(),
            is_active: progress.state() == JobState::Running,
            started: i64::try_from(progress.started().unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX),
            record: record.map_err(|error| Error::Internal(error.into()))?,
        };
        Ok(self.catalog().put_job(job).await?)
    }

    /// The reverse of [`Engine::save_job`].
    pub(super) fn open_job<W: Worker>(&self, job: &Job) -> Result<W::Progress, Error> {
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
