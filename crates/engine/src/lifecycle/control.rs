//! Starting, watching, cancelling and resuming passes, and the daily one.

use std::{sync::Arc, time::Duration};

use strongroom_catalog::{JobId, UnixMillis};
use time::OffsetDateTime;
use tokio::task::JoinHandle;

use super::{DAY, Expire, LifecycleNumbers, LifecycleOptions, LifecyclePass, progress::ExpireProgress};
use crate::{
    Engine, Error,
    jobs::{JobState, Worker},
};

/// How often it is looked whether it is time.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);
const HOUR_MS: i64 = 3_600_000;

impl Engine {
    /// Starts a pass; `full` looks at all versions, not only at those that became old enough since the last one. It goes on in the background,
    /// also after a restart. [`Error::TooManyJobs`] where one runs. That `who` may start it, the caller has checked.
    pub async fn start_lifecycle(self: &Arc<Self>, who: Option<&str>, full: bool) -> Result<LifecyclePass, Error> {
        let id = JobId(strongroom_seal::random_array());
        let pass = LifecyclePass {
            job_id: id.to_string(),
            state: JobState::Running,
            who: who.map(str::to_owned),
            full,
            started: OffsetDateTime::now_utc(),
            finished: None,
            numbers: LifecycleNumbers::default(),
            error: None,
        };
        let started = self.start_job::<Expire>(id, ExpireProgress { pass, after: None, place: None }).await?.pass;
        tracing::info!(job_id = %id, who, full, "a lifecycle pass was started");
        Ok(started)
    }

    /// Goes on with the pass that was running when the process ended. To be called once, after the start.
    pub async fn resume_lifecycle(self: &Arc<Self>) -> Result<usize, Error> {
        self.resume_jobs::<Expire>().await
    }

    /// The last hundred passes, the last started first.
    pub async fn lifecycle_passes(&self) -> Result<Vec<LifecyclePass>, Error> {
        Ok(self.jobs::<Expire>().await?.into_iter().map(|progress| progress.pass).collect())
    }

    /// The pass that was started last.
    pub async fn last_lifecycle_pass(&self) -> Result<Option<LifecyclePass>, Error> {
        let job = self.catalog().list_jobs(<Expire as Worker>::KIND, false, 1).await?.pop();
        match job {
            Some(job) => self.lifecycle_pass(&job.id.to_string()).await.map(Some),
            None => Ok(None),
        }
    }

    /// The pass of that id. [`Error::NoSuchJob`]
    pub async fn lifecycle_pass(&self, id: &str) -> Result<LifecyclePass, Error> {
        Ok(self.job::<Expire>(id).await?.pass)
    }

    /// Stops a pass for good; the next one goes on from what is finished with.
    pub async fn cancel_lifecycle(&self, id: &str) -> Result<LifecyclePass, Error> {
        Ok(self.cancel_job::<Expire>(id).await?.pass)
    }

    /// Stops the pass until the next start: for a shutdown in good order.
    pub async fn pause_lifecycle(&self) {
        self.pause_jobs::<Expire>().await;
    }

    /// The time by which rules are carried out; and why it is not believed, where it is not.
    pub fn rule_time(&self) -> (OffsetDateTime, Result<(), String>) {
        let clock = self.lifecycle_clock();
        let now = OffsetDateTime::from_unix_timestamp_nanos(i128::from(clock.now()) * 1_000_000);
        (now.unwrap_or(OffsetDateTime::UNIX_EPOCH), clock.believed().map(drop))
    }

    /// How long a day of a rule is; only tests have another than [`DAY`].
    pub fn rule_day(&self) -> Duration {
        self.options().lifecycle.day
    }

    /// Starts a pass each day, for as long as the task runs. One that was missed while the server was down begins at once.
    pub fn start_lifecycle_schedule(self: &Arc<Self>) -> JoinHandle<()> {
        let engine = Arc::clone(self);
        let day = engine.options().lifecycle.day;
        if day != DAY {
            let seconds = day.as_secs();
            tracing::warn!(
                seconds,
                "lifecycle.day_seconds is set: objects expire after so many seconds for each day of a rule; this is for tests only"
            );
        }
        tokio::spawn(async move {
            let mut look = tokio::time::interval(LOOK_INTERVAL.min(day / 4).max(Duration::from_millis(10)));
            loop {
                look.tick().await;
                if let Err(error) = engine.start_if_due().await {
                    tracing::warn!(%error, "the daily lifecycle pass could not be started, and will be tried again");
                }
            }
        })
    }

    async fn start_if_due(self: &Arc<Self>) -> Result<(), Error> {
        let last = self.catalog().list_jobs(<Expire as Worker>::KIND, false, 1).await?;
        let next = last.first().map(|job| next_pass(&self.options().lifecycle, job.started));
        let is_idle = self.expiries().all().is_empty();
        if is_idle && next.is_none_or(|next| next <= crate::ids::now_ms()) {
            match self.start_lifecycle(None, false).await {
                Ok(_) | Err(Error::TooManyJobs(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// When the next pass begins, after one that began at `last`.
fn next_pass(options: &LifecycleOptions, last: UnixMillis) -> UnixMillis {
    let day_ms = i64::try_from(options.day.as_millis()).unwrap_or(i64::MAX);
    if options.day != DAY {
        // Tests wait for no more than half of a day of theirs.
        return last.saturating_add(day_ms / 2);
    }
    let at = last - last.rem_euclid(day_ms) + i64::from(options.hour) * HOUR_MS;
    if at > last { at } else { at + day_ms }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_pass_begins_at_its_hour() {
        let options = LifecycleOptions { hour: 3, ..LifecycleOptions::default() };
        let day = 24 * HOUR_MS;
        assert_eq!(next_pass(&options, 10 * day), 10 * day + 3 * HOUR_MS);
        assert_eq!(next_pass(&options, 10 * day + 3 * HOUR_MS), 11 * day + 3 * HOUR_MS);
        assert_eq!(next_pass(&options, 10 * day + 23 * HOUR_MS), 11 * day + 3 * HOUR_MS);
        let short = LifecycleOptions { day: Duration::from_secs(10), ..options };
        assert_eq!(next_pass(&short, 7), 5007);
    }
}
