//! What is known of a re-key job, as its record in the catalog holds it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use strongroom_catalog::{BucketId, ScopePlace};
use time::OffsetDateTime;

use super::{MAX_FAILURES, RekeyFailure, RekeyJob, item::Item};
use crate::jobs::{JobState, Progress, Stop};

/// What is known of a re-key job.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct RekeyProgress {
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

impl RekeyProgress {
    /// Where the walk continues.
    pub(super) fn place(&self) -> ScopePlace {
        ScopePlace { key: self.key.clone(), position: self.position }
    }

    pub(super) fn go_on_at(&mut self, place: ScopePlace) {
        (self.key, self.position) = (place.key, place.position);
    }

    pub(super) fn done(&mut self, item: &Item) {
        self.job.done += 1;
        self.job.bytes += item.size_bytes();
    }

    pub(super) fn failed(&mut self, item: &Item, reason: String) {
        self.job.failed += 1;
        if self.job.failures.len() < MAX_FAILURES {
            let at = item.at();
            let (bucket, key, version_id) = (at.bucket.name.clone(), at.key.to_owned(), hex::encode(at.version_id));
            self.job.failures.push(RekeyFailure { bucket, key, version_id, reason });
        }
    }
}

impl Progress for RekeyProgress {
    fn state(&self) -> JobState {
        self.job.state
    }

    fn started(&self) -> OffsetDateTime {
        self.job.started
    }

    fn end(&mut self, stopped: Option<Stop>) {
        let job = &mut self.job;
        job.finished = Some(OffsetDateTime::now_utc());
        job.state = match stopped {
            None => {
                settle(job);
                if job.failed > 0 { JobState::CompletedWithErrors } else { JobState::Completed }
            }
            Some(Stop::Paused | Stop::Cancelled) => JobState::Cancelled,
            Some(Stop::Failed(error)) => {
                job.error = Some(error);
                JobState::Failed
            }
        };
    }

    fn refresh(&mut self, before: &Self, elapsed: Duration) {
        let job = &mut self.job;
        job.remaining = job.total.saturating_sub(job.done + job.skipped + job.failed);
        job.rate_per_second = rate(job.done - before.job.done, elapsed);
    }
}

/// At the end of the walk: what was counted and did not come by has left the scope, and what came beside it was in it.
fn settle(job: &mut RekeyJob) {
    let looked_at = job.done + job.skipped + job.failed;
    job.skipped += job.total.saturating_sub(looked_at);
    job.total = job.total.max(looked_at);
    job.remaining = 0;
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
        let progress: RekeyProgress = serde_json::from_str(FORMER).unwrap();
        assert_eq!((progress.job.who.as_str(), progress.secure), ("alice", false));
        assert_eq!((progress.job.state, progress.job.done, progress.position), (JobState::Running, 2, 7));
        let again: RekeyProgress = serde_json::from_slice(&serde_json::to_vec(&progress).unwrap()).unwrap();
        assert_eq!(again.job, progress.job);
    }

    #[test]
    fn a_job_that_names_no_starter_does_not_open() {
        let without = FORMER.replace(r#""who":"alice","#, "");
        assert!(serde_json::from_str::<RekeyProgress>(&without).is_err());
    }
}
