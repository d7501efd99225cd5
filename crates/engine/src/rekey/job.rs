//! What a re-key job is asked to do, and how far it is.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::jobs::JobState;

/// At the most so many failures are told in detail; all are counted.
pub const MAX_FAILURES: usize = 100;

/// Which objects to re-key, and under which key. All of it is optional: what is not given leaves nothing out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RekeyRequest {
    /// Objects of this bucket.
    pub bucket: Option<String>,
    /// Objects whose key begins so.
    pub prefix: Option<String>,
    /// Objects under a key of this backend.
    pub from_backend: Option<String>,
    /// Objects under this key.
    pub from_key: Option<String>,
    /// Objects under this version of [`Self::from_key`].
    pub from_version: Option<u32>,
    /// Objects in this mode.
    pub mode: Option<RekeyMode>,
    /// The new key. Without it each object's own key at its present version; for SSE-S3, for plain objects and for objects of another
    /// backend than the one in force, the default key.
    pub to_key: Option<String>,
    /// Only count what would be re-keyed.
    pub dry_run: bool,
    /// At the most so many objects are re-keyed in a second.
    pub max_objects_per_second: Option<u32>,
    /// Objects for which no encryption was asked become SSE-S3. No data moves: it lies sealed under the store key before.
    pub encrypt_plain: bool,
}

/// An encryption mode, as requests name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RekeyMode {
    /// SSE-S3.
    #[serde(rename = "SSE-S3")]
    SseS3,
    /// SSE-KMS.
    #[serde(rename = "SSE-KMS")]
    SseKms,
    /// DSSE-KMS.
    #[serde(rename = "DSSE-KMS")]
    DsseKms,
    /// No encryption was asked for.
    #[serde(rename = "none")]
    None,
}

/// A re-key job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RekeyJob {
    /// 32 hexadecimal digits.
    pub job_id: String,
    /// How it is doing.
    pub state: JobState,
    /// What was asked for.
    pub request: RekeyRequest,
    /// The identity that started it.
    pub who: String,
    /// When it was started.
    #[serde(with = "time::serde::rfc3339")]
    pub started: OffsetDateTime,
    /// When it ended.
    #[serde(with = "time::serde::rfc3339::option", default)]
    pub finished: Option<OffsetDateTime>,
    /// Versions and uploads in its scope; 0 until they are counted.
    pub total: u64,
    /// Re-keyed; in a dry run, would be.
    pub done: u64,
    /// Already there, under a customer's key, or gone or changed meanwhile.
    pub skipped: u64,
    /// Could not be re-keyed.
    pub failed: u64,
    /// Plaintext bytes of the objects that are done.
    pub bytes: u64,
    /// Of the total, still to be looked at.
    pub remaining: u64,
    /// Done in a second, on average since it began or went on.
    pub rate_per_second: f64,
    /// The first [`MAX_FAILURES`].
    pub failures: Vec<RekeyFailure>,
    /// Why it has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// An object that could not be re-keyed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RekeyFailure {
    /// The bucket.
    pub bucket: String,
    /// The object key.
    pub key: String,
    /// The version's id, also where clients see it as "null".
    pub version_id: String,
    /// Why.
    pub reason: String,
}

impl RekeyJob {
    pub(super) fn new(job_id: String, request: RekeyRequest, who: &str) -> Self {
        Self {
            job_id,
            state: JobState::Running,
            request,
            who: who.to_owned(),
            started: OffsetDateTime::now_utc(),
            finished: None,
            total: 0,
            done: 0,
            skipped: 0,
            failed: 0,
            bytes: 0,
            remaining: 0,
            rate_per_second: 0.0,
            failures: Vec::new(),
            error: None,
        }
    }
}
