//! `mc batch start | list | describe | status | cancel`.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use super::keyrotate;
use crate::http::{ApiError, Call, NoContent, Query, Raw, Subject, Yaml};
use crate::rekey::{self, Job};

/// What `mc` reads of a job.
#[derive(Serialize, ToSchema)]
#[schema(as = McJob)]
pub(crate) struct JobResult {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    bucket: Option<String>,
    user: String,
    #[serde(with = "time::serde::rfc3339")]
    started: OffsetDateTime,
    /// Nanoseconds.
    elapsed: i64,
    status: &'static str,
}

/// The jobs that run.
#[derive(Serialize, ToSchema)]
#[schema(as = McJobs)]
pub(crate) struct JobResults {
    jobs: Vec<JobResult>,
}

/// Which jobs.
#[derive(Deserialize, IntoParams)]
pub(crate) struct Filter {
    /// Those of this type only; all there is are of `keyrotate`.
    #[serde(default, rename = "jobType")]
    kind: String,
    /// Those of this bucket only.
    #[serde(default)]
    bucket: String,
}

impl Subject for Filter {}

/// Which job.
#[derive(Deserialize, IntoParams)]
pub(crate) struct JobName {
    /// Its id.
    #[serde(rename = "jobId", alias = "id")]
    id: String,
}

impl Subject for JobName {}

/// How far a job is, as `mc` reads it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = McJobMetric)]
pub(crate) struct Metric {
    #[serde(rename = "jobID")]
    job_id: String,
    job_type: &'static str,
    #[serde(with = "time::serde::rfc3339")]
    start_time: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    last_update: OffsetDateTime,
    retry_attempts: u32,
    pub(super) complete: bool,
    pub(super) failed: bool,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    rotation: Rotation,
}

/// What was rotated.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = McRotation)]
struct Rotation {
    last_bucket: String,
    last_object: String,
    objects: u64,
    objects_failed: u64,
}

/// The last that was known of a job.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
#[schema(as = McJobStatus)]
pub(crate) struct LastMetric {
    last_metric: Metric,
}

pub(crate) async fn start(call: Call, Raw(yaml): Raw) -> Result<JobResult, ApiError> {
    Ok(rekey::start_job(&call, keyrotate::parse(&yaml)?).await?.into())
}

pub(crate) async fn list(call: Call, Query(filter): Query<Filter>) -> Result<JobResults, ApiError> {
    let is_wanted = |job: &Job| {
        job.state == "Running"
            && (filter.kind.is_empty() || filter.kind == "keyrotate")
            && (filter.bucket.is_empty() || job.request.bucket.as_ref() == Some(&filter.bucket))
    };
    let jobs = rekey::jobs(&call).await?.into_iter().filter(is_wanted).map(JobResult::from);
    Ok(JobResults { jobs: jobs.collect() })
}

pub(crate) async fn describe(call: Call, Query(JobName { id }): Query<JobName>) -> Result<Yaml, ApiError> {
    Ok(Yaml(keyrotate::render(&find(&call, &id).await?.request)))
}

pub(crate) async fn status(call: Call, Query(JobName { id }): Query<JobName>) -> Result<LastMetric, ApiError> {
    Ok(LastMetric { last_metric: find(&call, &id).await?.into() })
}

pub(crate) async fn cancel(call: Call, Query(JobName { id }): Query<JobName>) -> Result<NoContent, ApiError> {
    rekey::cancel_job(&call, &id).await.map_err(no_such_job)?;
    Ok(NoContent)
}

pub(super) async fn find(call: &Call, id: &str) -> Result<Job, ApiError> {
    let job = call.inner.parts.engine.rekey_job(id).await;
    job.map(Job::from).map_err(|error| no_such_job(error.into()))
}

/// The code that `mc` looks for.
fn no_such_job(error: ApiError) -> ApiError {
    if error.status == StatusCode::NOT_FOUND { error.with_code("XMinioAdminNoSuchJob") } else { error }
}

impl From<Job> for JobResult {
    fn from(job: Job) -> Self {
        let elapsed = job.finished.unwrap_or_else(OffsetDateTime::now_utc) - job.started;
        Self {
            kind: "keyrotate",
            status: status_of(job.state),
            elapsed: i64::try_from(elapsed.whole_nanoseconds()).unwrap_or(i64::MAX),
            id: job.job_id,
            bucket: job.request.bucket,
            user: job.who,
            started: job.started,
        }
    }
}

impl From<Job> for Metric {
    fn from(job: Job) -> Self {
        let last_error = job.error.or_else(|| job.failures.first().map(|failure| failure.reason.clone()));
        Self {
            job_type: "keyrotate",
            start_time: job.started,
            last_update: job.finished.unwrap_or_else(OffsetDateTime::now_utc),
            retry_attempts: 0,
            complete: matches!(job.state, "Completed" | "CompletedWithErrors"),
            failed: matches!(job.state, "Failed" | "Cancelled"),
            status: status_of(job.state),
            last_error,
            rotation: Rotation {
                last_bucket: job.request.bucket.unwrap_or_default(),
                last_object: String::new(),
                objects: job.done + job.skipped,
                objects_failed: job.failed,
            },
            job_id: job.job_id,
        }
    }
}

fn status_of(state: &str) -> &'static str {
    match state {
        "Running" => "in-progress",
        "Completed" | "CompletedWithErrors" => "completed",
        "Cancelled" => "canceled",
        "Failed" => "failed",
        _ => "unknown",
    }
}
