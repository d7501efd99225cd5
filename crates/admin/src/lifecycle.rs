//! Lifecycle passes: what the rules of buckets delete, and when.

use serde::{Deserialize, Serialize};
use strongroom_engine::{lifecycle::LifecyclePass, rekey::JobState};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::http::{Accepted, ApiError, Call, Empty, Json, Path, Subject};

/// How to run a pass.
#[derive(Deserialize, ToSchema)]
#[schema(as = LifecycleRun)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    /// Looks at all versions, not only at those that became old enough since the last pass.
    #[serde(default)]
    full: bool,
}

impl Subject for Run {}

/// A pass over all buckets with rules, and what it did so far.
#[derive(Serialize, ToSchema)]
#[schema(as = LifecyclePass)]
pub(crate) struct Pass {
    job_id: String,
    /// `Running`, `Completed`, `CompletedWithErrors`, `Cancelled` or `Failed`.
    state: &'static str,
    /// Who asked for it; nobody for the daily one.
    who: Option<String>,
    full: bool,
    #[serde(with = "time::serde::rfc3339")]
    started: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    finished: Option<OffsetDateTime>,
    /// Buckets with rules that it has finished with.
    buckets: u64,
    /// Versions that it looked at.
    looked_at: u64,
    /// Current versions that expired.
    expired: u64,
    /// Noncurrent versions deleted.
    noncurrent: u64,
    /// Delete markers without versions deleted.
    markers: u64,
    /// Uploads aborted.
    uploads: u64,
    /// Versions that are due and kept by Object Lock.
    locked: u64,
    /// What could not be looked at or deleted; the server's log says why.
    failed: u64,
    /// Why it gave up.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Passes, the last started first.
#[derive(Serialize, ToSchema)]
#[schema(as = LifecyclePasses)]
pub(crate) struct Passes {
    passes: Vec<Pass>,
}

pub(crate) async fn run(call: Call, Json(Run { full }): Json<Run>) -> Result<Accepted<Pass>, ApiError> {
    call.note("full", full.to_string());
    let pass = call.inner.parts.engine.start_lifecycle(Some(&call.signer.identity.name), full).await?;
    call.note("job_id", &pass.job_id);
    Ok(Accepted(pass.into()))
}

pub(crate) async fn list(call: Call, _: Empty) -> Result<Passes, ApiError> {
    let passes = call.inner.parts.engine.lifecycle_passes().await?;
    Ok(Passes { passes: passes.into_iter().map(Pass::from).collect() })
}

pub(crate) async fn describe(call: Call, Path(job_id): Path) -> Result<Pass, ApiError> {
    Ok(call.inner.parts.engine.lifecycle_pass(&job_id).await?.into())
}

pub(crate) async fn cancel(call: Call, Path(job_id): Path) -> Result<Pass, ApiError> {
    call.note("job_id", &job_id);
    Ok(call.inner.parts.engine.cancel_lifecycle(&job_id).await?.into())
}

impl From<LifecyclePass> for Pass {
    fn from(pass: LifecyclePass) -> Self {
        let LifecyclePass { job_id, state, who, full, started, finished, numbers, error } = pass;
        let state = match state {
            JobState::Running => "Running",
            JobState::Completed => "Completed",
            JobState::CompletedWithErrors => "CompletedWithErrors",
            JobState::Cancelled => "Cancelled",
            JobState::Failed => "Failed",
        };
        Self {
            job_id,
            state,
            who,
            full,
            started,
            finished,
            buckets: numbers.buckets,
            looked_at: numbers.looked_at,
            expired: numbers.expired,
            noncurrent: numbers.noncurrent,
            markers: numbers.markers,
            uploads: numbers.uploads,
            locked: numbers.locked,
            failed: numbers.failed,
            error,
        }
    }
}
