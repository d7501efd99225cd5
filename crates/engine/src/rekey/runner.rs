//! The walk of a job through its scope.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use strongroom_catalog::{CatalogError, Scope, ScopePage, ScopePlace, ScopeTally, ScopedVersion};
use time::OffsetDateTime;
use tokio::task::JoinError;

use super::{
    JobState, RekeyJob, RekeyRequest,
    item::{Item, Resealed},
    live::{Live, Progress, Stage},
    outage::{Outage, Patience, passes, reason},
    plan::Targets,
    scope::scope,
    throttle::Throttle,
};
use crate::{Engine, Error, sse::User};

/// What the audit log calls it.
const OPERATION: &str = "Rekey";
/// So many objects are re-keyed at a time.
const CONCURRENCY: usize = 8;
/// So many rows are looked at between two checkpoints.
const PAGE: usize = 256;
/// So many rows are counted in one look.
const TALLY_PAGE: usize = 500;
/// A checkpoint is saved at the most this often.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);
/// How often an object that changes meanwhile is looked at again.
const MAX_LOOKS: u32 = 4;
/// How often the end of a job is tried to be saved.
const MAX_SAVES: u32 = 6;

/// Why a job stops before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    Paused,
    Cancelled,
    Failed(String),
}

/// What became of an object.
enum Outcome {
    Done,
    Skipped,
    Changed,
}

/// Runs one job.
pub(super) struct Runner {
    engine: Arc<Engine>,
    live: Arc<Live>,
    request: RekeyRequest,
    scope: Scope,
    who: String,
    secure: bool,
    /// `job:<id>`
    request_id: String,
    targets: Targets,
    throttle: Throttle,
    outage: Outage,
    /// What a restart would go on from, and when that was saved last.
    checkpoint: Mutex<(Progress, Instant)>,
}

impl Runner {
    pub(super) fn new(engine: Arc<Engine>, live: Arc<Live>) -> Self {
        let progress = live.snapshot();
        let request = progress.job.request.clone();
        Self {
            scope: scope(&request, progress.bucket_id),
            who: progress.job.who.clone(),
            secure: progress.secure,
            request_id: format!("job:{}", live.id),
            targets: Targets::default(),
            throttle: Throttle::new(request.max_objects_per_second),
            outage: Outage::new(engine.options().rekey_outage_limit),
            checkpoint: Mutex::new((progress, Instant::now())),
            request,
            engine,
            live,
        }
    }

    /// From where the job is to its end.
    pub(super) async fn walk(self: Arc<Self>) -> Result<(), Stop> {
        if self.live.snapshot().stage == Stage::Counting {
            self.count().await?;
        }
        if self.live.snapshot().stage == Stage::Uploads {
            self.walk_uploads().await?;
        }
        self.walk_versions().await
    }

    /// Records how the job ended.
    pub(super) async fn finish(&self, ended: Result<Result<(), Stop>, JoinError>) {
        let stopped = ended.unwrap_or_else(|_| Err(Stop::Failed("an internal error; see the log".to_owned()))).err();
        if stopped == Some(Stop::Paused) {
            let checkpoint = self.checkpoint().0.clone();
            return self.save_at_last(&checkpoint).await;
        }
        let mut last = self.live.snapshot();
        end(&mut last.job, stopped);
        self.save_at_last(&last).await;
        tracing::info!(job_id = last.job.job_id, state = ?last.job.state, done = last.job.done, failed = last.job.failed, "a re-keying ended");
        // Whoever sees that it has ended finds it so after a crash, too.
        self.live.change(|progress| *progress = last);
    }

    async fn count(&self) -> Result<(), Stop> {
        let (mut total, mut after) = (0, Some(ScopePlace::default()));
        while let Some(from) = after {
            let tally = self.asking(|| self.engine.catalog().tally_in(self.scope.clone(), from.clone(), TALLY_PAGE)).await?;
            let ScopeTally { versions, next, .. } = tally.unwrap_or_default();
            (total, after) = (total + versions, next);
        }
        after = Some(ScopePlace::default());
        while let Some(from) = after {
            let page = self.asking(|| self.engine.catalog().uploads_in(self.scope.clone(), from.clone(), PAGE)).await?;
            let ScopePage { items, next, .. } = page.unwrap_or(ScopePage { items: Vec::new(), unreadable: 0, next: None });
            (total, after) = (total + items.len() as u64, next);
        }
        self.live.change(|progress| {
            progress.job.total = total;
            progress.stage = Stage::Uploads;
        });
        self.pass_checkpoint(true).await;
        Ok(())
    }

    /// Before the versions: an upload that ends meanwhile becomes a version that the walk comes to later.
    async fn walk_uploads(self: &Arc<Self>) -> Result<(), Stop> {
        loop {
            let from = self.live.snapshot().place();
            let page = self.asking(|| self.engine.catalog().uploads_in(self.scope.clone(), from.clone(), PAGE)).await?;
            let ScopePage { items, next, .. } = page.unwrap_or(ScopePage { items: Vec::new(), unreadable: 0, next: None });
            self.rekey_all(items.into_iter().map(Item::from).collect()).await?;
            let Some(next) = next else { break };
            self.live.change(|progress| progress.go_on_at(next));
            self.pass_checkpoint(false).await;
        }
        let end = self.asking(|| self.engine.catalog().last_position()).await?.unwrap_or_default();
        self.live.change(|progress| {
            progress.go_on_at(ScopePlace::default());
            (progress.stage, progress.end) = (Stage::Versions, end);
        });
        self.pass_checkpoint(true).await;
        Ok(())
    }

    async fn walk_versions(self: &Arc<Self>) -> Result<(), Stop> {
        loop {
            let (from, end) = (self.live.snapshot().place(), self.live.snapshot().end);
            let page = self.asking(|| self.readable_versions(from.clone())).await?;
            let ScopePage { items, next, .. } = page.unwrap_or(ScopePage { items: Vec::new(), unreadable: 0, next: None });
            let items = items.into_iter().filter(|item| item.position <= end);
            self.rekey_all(items.map(Item::from).collect()).await?;
            // In the order of commit everything that follows was committed later. In the order of keys it may have been earlier.
            let Some(next) = next.filter(|next| next.key.is_some() || next.position < end) else { return Ok(()) };
            self.live.change(|progress| progress.go_on_at(next));
            self.pass_checkpoint(false).await;
        }
    }

    /// A row that makes no sense may hide an object of the job's: it does not pass over one.
    async fn readable_versions(&self, from: ScopePlace) -> Result<ScopePage<ScopedVersion>, CatalogError> {
        let page = self.engine.catalog().versions_in(self.scope.clone(), from, PAGE).await?;
        if page.unreadable > 0 { Err(CatalogError::Damaged("a row of a version makes no sense".to_owned())) } else { Ok(page) }
    }

    async fn rekey_all(self: &Arc<Self>, items: Vec<Item>) -> Result<(), Stop> {
        let each = items.into_iter().map(|item| {
            let runner = Arc::clone(self);
            async move { runner.rekey(item).await }
        });
        // Also after one has stopped, the others come to an end: what is being committed is counted.
        let ended: Vec<_> = stream::iter(each).buffer_unordered(CONCURRENCY).collect().await;
        ended.into_iter().collect()
    }

    /// Until it is known what became of the object.
    async fn rekey(&self, mut item: Item) -> Result<(), Stop> {
        let (mut patience, mut looks, mut may_be_done) = (Patience::default(), 0, false);
        loop {
            self.live.go_on()?;
            let error = match self.attempt(&item).await? {
                Ok(Outcome::Done) => {
                    self.outage.succeeded();
                    self.live.done(&item);
                    return Ok(());
                }
                Ok(Outcome::Skipped) if may_be_done => {
                    self.live.done(&item);
                    return Ok(());
                }
                Ok(Outcome::Skipped) => {
                    self.live.skipped();
                    return Ok(());
                }
                Ok(Outcome::Changed) => Error::ConditionalConflict,
                Err(error) => error,
            };
            if passes(&error) && !self.outage.is_its_own(&patience) {
                self.outage.wait(&mut patience, &error, &self.live).await?;
            } else if looks == MAX_LOOKS || !matches!(error, Error::ConditionalConflict | Error::Internal(_)) {
                self.live.failed(&item, reason(&error));
                return Ok(());
            }
            looks += u32::from(!passes(&error));
            // A commit whose answer was lost may have happened.
            may_be_done |= matches!(error, Error::Internal(_));
            match self.engine.look_again(&item).await {
                Ok(Some(present)) => item = present,
                Ok(None) => {
                    self.live.skipped();
                    return Ok(());
                }
                // What cannot be looked at now is tried as it was.
                Err(_) => {}
            }
        }
    }

    async fn attempt(&self, item: &Item) -> Result<Result<Outcome, Error>, Stop> {
        let (who, secure, identities) = (self.who.as_str(), self.secure, self.engine.identities());
        let user = User::Job { who, secure, identities, request_id: &self.request_id, operation: OPERATION };
        let planned = async {
            let envelope = item.envelope()?;
            if !self.scope.covers(&item.at().bucket.id, item.at().key, envelope.mode, envelope.key.as_ref()) {
                return Ok(None);
            }
            let record = self.engine.open_item(item)?;
            let decision = self.targets.decide(&self.engine, user, &self.request, item.at(), envelope, record.sse()).await?;
            Ok(decision.map(|(decision, target)| (record, decision, target)))
        };
        let (record, decision, target) = match planned.await {
            Ok(Some(planned)) => planned,
            Ok(None) => return Ok(Ok(Outcome::Skipped)),
            Err(error) => return Ok(Err(error)),
        };
        if self.request.dry_run {
            return Ok(Ok(Outcome::Done));
        }
        self.live.unless_stopped(self.throttle.turn()).await?;
        let resealed = self.engine.reseal(user, item, record, &decision, Some(&target)).await;
        Ok(resealed.map(|resealed| match resealed {
            Resealed::Done => Outcome::Done,
            Resealed::Changed => Outcome::Changed,
            Resealed::Stale => {
                self.targets.forget(&self.engine);
                Outcome::Changed
            }
            Resealed::Gone => Outcome::Skipped,
        }))
    }

    /// Asks the catalog until it answers; none where the bucket is gone.
    async fn asking<T, F>(&self, mut ask: impl FnMut() -> F) -> Result<Option<T>, Stop>
    where
        F: Future<Output = Result<T, CatalogError>>,
    {
        let mut patience = Patience::default();
        loop {
            self.live.go_on()?;
            match ask().await {
                Ok(answer) => return Ok(Some(answer)),
                Err(CatalogError::NoSuchBucket) => return Ok(None),
                Err(error) => self.outage.wait(&mut patience, &error.into(), &self.live).await?,
            }
        }
    }

    /// A restart would go on from here. Saved if it is time.
    async fn pass_checkpoint(&self, now: bool) {
        let progress = self.live.snapshot();
        let is_due = {
            let mut checkpoint = self.checkpoint();
            checkpoint.0 = progress.clone();
            let is_due = now || checkpoint.1.elapsed() >= SAVE_INTERVAL;
            if is_due {
                checkpoint.1 = Instant::now();
            }
            is_due
        };
        // A later one will do.
        if is_due && let Err(error) = self.engine.save_job(self.live.id, &progress).await {
            tracing::warn!(%error, job_id = progress.job.job_id, "the progress of a re-keying could not be saved");
        }
    }

    /// If it cannot be saved, the job goes on at the next start, and finds little to do.
    async fn save_at_last(&self, progress: &Progress) {
        for attempt in 0..MAX_SAVES {
            match self.engine.save_job(self.live.id, progress).await {
                Ok(()) => return,
                Err(error) => tracing::warn!(%error, job_id = progress.job.job_id, "the end of a re-keying could not be saved"),
            }
            tokio::time::sleep(Duration::from_millis(50) * 2_u32.pow(attempt)).await;
        }
    }

    fn checkpoint(&self) -> std::sync::MutexGuard<'_, (Progress, Instant)> {
        self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a job ended.
fn end(job: &mut RekeyJob, stopped: Option<Stop>) {
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

/// At the end of the walk: what was counted and did not come by has left the scope, and what came beside it was in it.
fn settle(job: &mut RekeyJob) {
    let looked_at = job.done + job.skipped + job.failed;
    job.skipped += job.total.saturating_sub(looked_at);
    job.total = job.total.max(looked_at);
    job.remaining = 0;
}
