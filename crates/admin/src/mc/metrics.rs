//! `mc batch status`: the metrics of a job, again and again until it ends.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::IntoParams;

use super::jobs::{self, Metric};
use crate::http::{ApiError, Call, Documents, Query, Subject, json_bytes};

/// The bit of `types` that means batch jobs.
const BATCH_JOBS: u32 = 1 << 3;
/// One answer goes on for so long at the most; the client asks again.
const MAX_SAMPLES: u32 = 3600;

/// Which metrics, how often and how many times.
#[derive(Deserialize, IntoParams)]
pub(crate) struct Wanted {
    /// A bit for each kind; 8 is batch jobs, and all there is here.
    #[serde(default)]
    types: u32,
    /// Between two samples, as `1s`.
    #[serde(default)]
    interval: String,
    /// How many samples; 0 is until the job ends.
    #[serde(default)]
    n: u32,
    /// Of this job.
    #[serde(default, rename = "by-jobID")]
    job_id: String,
}

impl Subject for Wanted {}

#[derive(Serialize)]
struct Sample {
    #[serde(with = "time::serde::rfc3339")]
    collected: OffsetDateTime,
    hosts: [&'static str; 1],
    aggregated: Aggregated,
    r#final: bool,
}

#[derive(Serialize)]
struct Aggregated {
    #[serde(rename = "batchJobs")]
    batch_jobs: BatchJobs,
}

#[derive(Serialize)]
struct BatchJobs {
    #[serde(with = "time::serde::rfc3339")]
    collected: OffsetDateTime,
    #[serde(rename = "Jobs")]
    jobs: std::collections::BTreeMap<String, Metric>,
}

pub(crate) async fn metrics(call: Call, Query(wanted): Query<Wanted>) -> Result<Documents, ApiError> {
    if wanted.types & BATCH_JOBS == 0 || wanted.job_id.is_empty() {
        return Err(ApiError::invalid(
            "types and by-jobID: expected 8 and the id of a job; other metrics are at /metrics of the admin port",
        ));
    }
    let samples = if wanted.n == 0 { MAX_SAMPLES } else { wanted.n.min(MAX_SAMPLES) };
    let interval = interval(&wanted.interval);
    // The first is looked up here, so that a job that is not there is an error and not a broken answer.
    let first = jobs::find(&call, &wanted.job_id).await?.into();
    let state = Watch { call, job_id: wanted.job_id, left: samples, interval, next: Some(first) };
    let documents = stream::unfold(state, |mut watch| async move {
        let document = watch.sample().await?;
        Some((Ok::<Bytes, ApiError>(document), watch))
    });
    let body = Body::from_stream(documents.map(|document| document.map_err(|error| std::io::Error::other(error.message))));
    Ok(Documents(body))
}

/// One client that looks on.
struct Watch {
    call: Call,
    job_id: String,
    left: u32,
    interval: Duration,
    /// What was looked up already.
    next: Option<Metric>,
}

impl Watch {
    /// The next sample; none after the final one.
    async fn sample(&mut self) -> Option<Bytes> {
        self.left = self.left.checked_sub(1)?;
        let metric = if let Some(metric) = self.next.take() {
            metric
        } else {
            tokio::time::sleep(self.interval).await;
            jobs::find(&self.call, &self.job_id).await.ok()?.into()
        };
        let ended = metric.complete || metric.failed;
        if ended {
            self.left = 0;
        }
        let now = OffsetDateTime::now_utc();
        let batch_jobs = BatchJobs { collected: now, jobs: [(self.job_id.clone(), metric)].into() };
        let sample = Sample { collected: now, hosts: ["local"], aggregated: Aggregated { batch_jobs }, r#final: self.left == 0 };
        json_bytes(&sample).ok()
    }
}

/// Whole seconds or milliseconds, from a tenth of a second to a minute; one second where it is something else.
fn interval(text: &str) -> Duration {
    let millis = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(millis), _) => millis.parse().ok(),
        (None, Some(seconds)) => seconds.parse::<u64>().ok().and_then(|seconds| seconds.checked_mul(1000)),
        (None, None) => None,
    };
    Duration::from_millis(millis.unwrap_or(1000).clamp(100, 60_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_bounded() {
        for (text, millis) in
            [("1s", 1000), ("250ms", 250), ("0s", 100), ("", 1000), ("1h0m0s", 1000), ("99999999999999999999s", 1000), ("300s", 60_000)]
        {
            assert_eq!(interval(text), Duration::from_millis(millis), "{text}");
        }
    }
}
