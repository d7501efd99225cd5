//! Re-key jobs: object keys wrapped anew, under another key or version, without moving data.

use serde::{Deserialize, Serialize};
use strongroom_access::Action;
use strongroom_engine::rekey::{JobState, RekeyFailure, RekeyJob, RekeyMode, RekeyRequest, Starter};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use crate::http::{Accepted, ApiError, Call, Json, JsonOrQuery, Path, Query, Subject, is_of_a_key};

/// Which objects, and what for. Everything is optional: without any field every object's key is wrapped under the present version
/// of the key that it has.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scope {
    /// Objects of this bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bucket: Option<String>,
    /// Objects whose key begins so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) prefix: Option<String>,
    /// Objects under keys of this backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from_backend: Option<String>,
    /// Objects under this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from_key: Option<String>,
    /// Objects under this version of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from_version: Option<u32>,
    /// Objects of this mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mode: Option<Mode>,
    /// The key to wrap under; without it each object's own, or the default key in force for objects of another backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) to_key: Option<String>,
    /// Counts, and changes nothing.
    #[serde(default)]
    pub(crate) dry_run: bool,
    /// No faster than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_objects_per_second: Option<u32>,
    /// Makes objects SSE-S3 for which no encryption was asked. No data moves: it lies sealed under the store's own key before.
    #[serde(default)]
    pub(crate) encrypt_plain: bool,
}

impl Subject for Scope {
    fn key_id(&self) -> Option<&str> {
        self.from_key.as_deref()
    }

    /// Which keys are meant, is in the scope and in the objects: the engine decides.
    fn actions(&self, declared: &'static [Action]) -> Vec<Action> {
        declared.iter().copied().filter(|action| !is_of_a_key(*action)).collect()
    }
}

/// An encryption mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[schema(as = RekeyMode)]
pub(crate) enum Mode {
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

/// Which job.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JobName {
    job_id: String,
}

impl Subject for JobName {}

/// Which job, or all of them.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    /// This one only.
    job_id: Option<String>,
}

impl Subject for Which {}

/// A job and how far it is.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RekeyJob)]
#[allow(clippy::struct_field_names, reason = "the names of the API")]
pub(crate) struct Job {
    pub(crate) job_id: String,
    /// `Running`, `Completed`, `CompletedWithErrors`, `Cancelled` or `Failed`.
    pub(crate) state: &'static str,
    pub(crate) request: Scope,
    /// Who started it.
    pub(crate) who: String,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) started: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub(crate) finished: Option<OffsetDateTime>,
    /// Objects in the scope.
    pub(crate) total: u64,
    /// Re-keyed; in a dry run, what would be.
    pub(crate) done: u64,
    /// There already, gone, or changed meanwhile.
    pub(crate) skipped: u64,
    pub(crate) failed: u64,
    /// Bytes of the objects that were re-keyed.
    pub(crate) bytes: u64,
    pub(crate) remaining: u64,
    pub(crate) rate_per_second: f64,
    /// Of the first hundred those in buckets that the signer may list.
    pub(crate) failures: Vec<Failure>,
    /// Why it has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// An object that could not be re-keyed, and why.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RekeyFailure)]
pub(crate) struct Failure {
    bucket: String,
    key: String,
    version_id: String,
    pub(crate) reason: String,
}

/// Jobs, the last started first.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobList {
    jobs: Vec<Job>,
}

/// One job where one was asked for, else all.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum OneOrAll {
    /// The one.
    One(Box<Job>),
    /// All.
    All(JobList),
}

pub(crate) async fn start(call: Call, Json(scope): Json<Scope>) -> Result<Accepted<Job>, ApiError> {
    start_job(&call, scope).await.map(Accepted)
}

pub(crate) async fn start_job(call: &Call, scope: Scope) -> Result<Job, ApiError> {
    note(call, &scope);
    let Call { signer, inner, .. } = call;
    let starter = Starter { identity: &signer.identity, secure: signer.secure, request_id: &signer.request_id };
    let job = inner.parts.engine.start_rekey(scope.into(), starter).await?;
    call.note("job_id", &job.job_id);
    Ok(shown(call, job))
}

pub(crate) async fn list(call: Call, Query(Which { job_id }): Query<Which>) -> Result<OneOrAll, ApiError> {
    match job_id {
        Some(job_id) => Ok(OneOrAll::One(Box::new(shown(&call, call.inner.parts.engine.rekey_job(&job_id).await?)))),
        None => Ok(OneOrAll::All(JobList { jobs: jobs(&call).await? })),
    }
}

pub(crate) async fn jobs(call: &Call) -> Result<Vec<Job>, ApiError> {
    Ok(call.inner.parts.engine.rekey_jobs().await?.into_iter().map(|job| shown(call, job)).collect())
}

pub(crate) async fn describe(call: Call, Path(job_id): Path) -> Result<Job, ApiError> {
    Ok(shown(&call, call.inner.parts.engine.rekey_job(&job_id).await?))
}

pub(crate) async fn cancel(call: Call, JsonOrQuery(JobName { job_id }): JsonOrQuery<JobName>) -> Result<Job, ApiError> {
    cancel_job(&call, &job_id).await
}

pub(crate) async fn cancel_path(call: Call, Path(job_id): Path) -> Result<Job, ApiError> {
    cancel_job(&call, &job_id).await
}

pub(crate) async fn cancel_job(call: &Call, job_id: &str) -> Result<Job, ApiError> {
    call.note("job_id", job_id);
    Ok(shown(call, call.inner.parts.engine.cancel_rekey(job_id).await?))
}

fn note(call: &Call, scope: &Scope) {
    let texts =
        [("prefix", &scope.prefix), ("from_backend", &scope.from_backend), ("from_key", &scope.from_key), ("to_key", &scope.to_key)];
    for (name, text) in texts {
        if let Some(text) = text {
            call.note(name, text);
        }
    }
    if let Some(mode) = scope.mode {
        call.note("mode", format!("{mode:?}"));
    }
    call.note("dry_run", scope.dry_run.to_string());
    call.note("encrypt_plain", scope.encrypt_plain.to_string());
    call.about_bucket(scope.bucket.as_deref().unwrap_or_default());
}

impl From<Scope> for RekeyRequest {
    fn from(scope: Scope) -> Self {
        let Scope { bucket, prefix, from_backend, from_key, from_version, mode, to_key, dry_run, max_objects_per_second, encrypt_plain } =
            scope;
        let mode = mode.map(RekeyMode::from);
        Self { bucket, prefix, from_backend, from_key, from_version, mode, to_key, dry_run, max_objects_per_second, encrypt_plain }
    }
}

impl From<RekeyRequest> for Scope {
    fn from(request: RekeyRequest) -> Self {
        let RekeyRequest {
            bucket,
            prefix,
            from_backend,
            from_key,
            from_version,
            mode,
            to_key,
            dry_run,
            max_objects_per_second,
            encrypt_plain,
        } = request;
        let mode = mode.map(Mode::from);
        Self { bucket, prefix, from_backend, from_key, from_version, mode, to_key, dry_run, max_objects_per_second, encrypt_plain }
    }
}

impl From<Mode> for RekeyMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::SseS3 => Self::SseS3,
            Mode::SseKms => Self::SseKms,
            Mode::DsseKms => Self::DsseKms,
            Mode::None => Self::None,
        }
    }
}

impl From<RekeyMode> for Mode {
    fn from(mode: RekeyMode) -> Self {
        match mode {
            RekeyMode::SseS3 => Self::SseS3,
            RekeyMode::SseKms => Self::SseKms,
            RekeyMode::DsseKms => Self::DsseKms,
            RekeyMode::None => Self::None,
        }
    }
}

/// A job as the signer may see it: names of objects are for who may list their bucket. The others are counted in `failed` alone.
fn shown(call: &Call, job: RekeyJob) -> Job {
    let mut job = Job::from(job);
    job.failures.retain(|failure| call.may_list(&failure.bucket));
    job
}

impl From<RekeyJob> for Job {
    fn from(job: RekeyJob) -> Self {
        Self {
            job_id: job.job_id,
            state: name(job.state),
            request: job.request.into(),
            who: job.who,
            started: job.started,
            finished: job.finished,
            total: job.total,
            done: job.done,
            skipped: job.skipped,
            failed: job.failed,
            bytes: job.bytes,
            remaining: job.remaining,
            rate_per_second: job.rate_per_second,
            failures: job.failures.into_iter().map(Failure::from).collect(),
            error: job.error,
        }
    }
}

impl From<RekeyFailure> for Failure {
    fn from(failure: RekeyFailure) -> Self {
        let RekeyFailure { bucket, key, version_id, reason } = failure;
        Self { bucket, key, version_id, reason }
    }
}

fn name(state: JobState) -> &'static str {
    match state {
        JobState::Running => "Running",
        JobState::Completed => "Completed",
        JobState::CompletedWithErrors => "CompletedWithErrors",
        JobState::Cancelled => "Cancelled",
        JobState::Failed => "Failed",
    }
}
