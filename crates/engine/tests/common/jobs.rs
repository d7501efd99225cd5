//! Re-key jobs, and what they must leave alone.

use std::{collections::BTreeMap, time::Duration};

use strongroom_engine::{
    api::{Checksum, GetObject, Mode, ObjectHeaders},
    rekey::{JobState, RekeyJob, RekeyRequest},
};

use super::{As, BUCKET, Rig, collect, get_request, starter};

/// All that a client sees of an object, but for its key.
#[derive(Debug, PartialEq)]
pub struct Seen {
    pub data: Vec<u8>,
    pub etag: String,
    pub modified_ms: i64,
    pub version_id: Option<String>,
    pub checksum: Option<Checksum>,
    pub headers: ObjectHeaders,
    pub parts: Vec<(u32, u64, Option<Checksum>)>,
    pub mode: Mode,
    pub bucket_key: bool,
}

impl Rig {
    pub async fn seen(&self, key: &str, by: As) -> Seen {
        let reply = self.engine.get_object(&self.root, get_request(key, by.read())).await.unwrap();
        let info = reply.info.clone();
        let request = GetObject { checksum_mode: true, ..get_request(key, by.read()) };
        let (_, parts) = self.engine.object_attributes(&self.root, request).await.unwrap();
        Seen {
            data: collect(reply).await.unwrap(),
            etag: info.etag,
            modified_ms: info.modified_ms,
            version_id: info.version_id,
            checksum: info.checksum,
            headers: info.headers,
            parts: parts.into_iter().map(|part| (part.number, part.size_bytes, part.checksum)).collect(),
            mode: info.sse.mode,
            bucket_key: info.sse.bucket_key_enabled,
        }
    }

    pub async fn start(&self, request: RekeyRequest) -> RekeyJob {
        self.engine.start_rekey(request, starter(&self.root)).await.unwrap()
    }

    /// Starts a job, and waits for its end.
    pub async fn rekey(&self, request: RekeyRequest) -> RekeyJob {
        let job = self.start(request).await;
        self.ended(&job.job_id).await
    }

    pub async fn ended(&self, job_id: &str) -> RekeyJob {
        loop {
            let job = self.engine.rekey_job(job_id).await.unwrap();
            if job.state != JobState::Running {
                if matches!(job.state, JobState::Completed | JobState::CompletedWithErrors) {
                    assert_eq!((job.done + job.skipped + job.failed, job.remaining), (job.total, 0));
                }
                return job;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Until the job has got so far.
    pub async fn until(&self, job_id: &str, far_enough: impl Fn(&RekeyJob) -> bool) {
        loop {
            let job = self.engine.rekey_job(job_id).await.unwrap();
            if far_enough(&job) {
                return;
            }
            assert_eq!(job.state, JobState::Running, "{job:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// How many objects and uploads depend on each version of a key.
    pub async fn usage(&self, key_id: &str) -> BTreeMap<u32, (u64, u64)> {
        let report = self.engine.key_usage("local", key_id).await.unwrap();
        report.versions.into_iter().map(|usage| (usage.version, (usage.objects, usage.uploads))).collect()
    }
}

/// Done, skipped, failed.
pub fn counts(job: &RekeyJob) -> (u64, u64, u64) {
    (job.done, job.skipped, job.failed)
}

pub fn in_bucket() -> RekeyRequest {
    RekeyRequest { bucket: Some(BUCKET.into()), ..RekeyRequest::default() }
}
