//! Re-keying as a kind of work: the walk of a job through its scope.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use strongroom_catalog::{Catalog, CatalogError, Scope, ScopePage, ScopePlace, ScopeTally, ScopedVersion};

use super::{
    RekeyRequest,
    item::{Item, Resealed},
    plan::Targets,
    progress::{RekeyProgress, Stage},
    scope::scope,
};
use crate::{
    Engine, Error,
    jobs::{Jobs, Patience, Stop, Task, Throttle, Worker, passes, reason},
    sse::User,
};

/// What the audit log calls it.
const OPERATION: &str = "Rekey";
/// So many objects are re-keyed at a time.
const CONCURRENCY: usize = 8;
/// So many rows are looked at between two checkpoints.
const PAGE: usize = 256;
/// So many rows are counted in one look.
const TALLY_PAGE: usize = 500;
/// How often an object that changes meanwhile is looked at again.
const MAX_LOOKS: u32 = 4;

/// What became of an object.
enum Outcome {
    Done,
    Skipped,
    Changed,
}

/// Re-keying, as a kind of work.
pub(crate) struct Rekey;

impl Worker for Rekey {
    const KIND: &'static str = "rekey";
    const MAX_RUNNING: usize = super::MAX_RUNNING;
    type Progress = RekeyProgress;

    fn jobs(engine: &Engine) -> &Jobs<Self> {
        engine.rekeys()
    }

    async fn walk(task: Arc<Task<Self>>) -> Result<(), Stop> {
        Arc::new(Runner::new(task)).walk().await
    }
}

/// Runs one job.
struct Runner {
    task: Arc<Task<Rekey>>,
    request: RekeyRequest,
    scope: Scope,
    who: String,
    secure: bool,
    /// `job:<id>`
    request_id: String,
    targets: Targets,
    throttle: Throttle,
}

impl Runner {
    fn new(task: Arc<Task<Rekey>>) -> Self {
        let progress = task.live.snapshot();
        let request = progress.job.request;
        Self {
            scope: scope(&request, progress.bucket_id),
            who: progress.job.who,
            secure: progress.secure,
            request_id: format!("job:{}", task.live.id),
            targets: Targets::default(),
            throttle: Throttle::new(request.max_objects_per_second),
            request,
            task,
        }
    }

    /// From where the job is to its end.
    async fn walk(self: Arc<Self>) -> Result<(), Stop> {
        if self.progress().stage == Stage::Counting {
            self.count().await?;
        }
        if self.progress().stage == Stage::Uploads {
            self.walk_uploads().await?;
        }
        self.walk_versions().await
    }

    fn progress(&self) -> RekeyProgress {
        self.task.live.snapshot()
    }

    fn catalog(&self) -> &dyn Catalog {
        self.task.engine.catalog()
    }

    async fn count(&self) -> Result<(), Stop> {
        let (mut total, mut after) = (0, Some(ScopePlace::default()));
        while let Some(from) = after {
            let tally = self.task.asking(|| self.catalog().tally_in(self.scope.clone(), from.clone(), TALLY_PAGE)).await?;
            let ScopeTally { versions, next, .. } = tally.unwrap_or_default();
            (total, after) = (total + versions, next);
        }
        after = Some(ScopePlace::default());
        while let Some(from) = after {
            let page = self.task.asking(|| self.catalog().uploads_in(self.scope.clone(), from.clone(), PAGE)).await?;
            let ScopePage { items, next, .. } = page.unwrap_or(ScopePage { items: Vec::new(), unreadable: 0, next: None });
            (total, after) = (total + items.len() as u64, next);
        }
        self.task.live.change(|progress| {
            progress.job.total = total;
            progress.stage = Stage::Uploads;
        });
        self.task.pass_checkpoint(true).await;
        Ok(())
    }

    /// Before the versions: an upload that ends meanwhile becomes a version that the walk comes to later.
    async fn walk_uploads(self: &Arc<Self>) -> Result<(), Stop> {
        loop {
            let from = self.progress().place();
            let page = self.task.asking(|| self.catalog().uploads_in(self.scope.clone(), from.clone(), PAGE)).await?;
            let ScopePage { items, next, .. } = page.unwrap_or(ScopePage { items: Vec::new(), unreadable: 0, next: None });
            self.rekey_all(items.into_iter().map(Item::from).collect()).await?;
            let Some(next) = next else { break };
            self.task.live.change(|progress| progress.go_on_at(next));
            self.task.pass_checkpoint(false).await;
        }
        let end = self.task.asking(|| self.catalog().last_position()).await?.unwrap_or_default();
        self.task.live.change(|progress| {
            progress.go_on_at(ScopePlace::default());
            (progress.stage, progress.end) = (Stage::Versions, end);
        });
        self.task.pass_checkpoint(true).await;
        Ok(())
    }

    async fn walk_versions(self: &Arc<Self>) -> Result<(), Stop> {
        loop {
            let (from, end) = (self.progress().place(), self.progress().end);
            let page = self.task.asking(|| self.readable_versions(from.clone())).await?;
            let ScopePage { items, next, .. } = page.unwrap_or(ScopePage { items: Vec::new(), unreadable: 0, next: None });
            let items = items.into_iter().filter(|item| item.position <= end);
            self.rekey_all(items.map(Item::from).collect()).await?;
            // In the order of commit everything that follows was committed later. In the order of keys it may have been earlier.
            let Some(next) = next.filter(|next| next.key.is_some() || next.position < end) else { return Ok(()) };
            self.task.live.change(|progress| progress.go_on_at(next));
            self.task.pass_checkpoint(false).await;
        }
    }

    /// A row that makes no sense may hide an object of the job's: it does not pass over one.
    async fn readable_versions(&self, from: ScopePlace) -> Result<ScopePage<ScopedVersion>, CatalogError> {
        let page = self.catalog().versions_in(self.scope.clone(), from, PAGE).await?;
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
            self.task.live.go_on()?;
            let error = match self.attempt(&item).await? {
                Ok(Outcome::Done) => {
                    self.task.outage.succeeded();
                    self.task.live.change(|progress| progress.done(&item));
                    return Ok(());
                }
                Ok(Outcome::Skipped) if may_be_done => {
                    self.task.live.change(|progress| progress.done(&item));
                    return Ok(());
                }
                Ok(Outcome::Skipped) => {
                    self.task.live.change(|progress| progress.job.skipped += 1);
                    return Ok(());
                }
                Ok(Outcome::Changed) => Error::ConditionalConflict,
                Err(error) => error,
            };
            if passes(&error) && !self.task.outage.is_its_own(&patience) {
                self.task.wait(&mut patience, &error).await?;
            } else if looks == MAX_LOOKS || !matches!(error, Error::ConditionalConflict | Error::Internal(_)) {
                self.task.live.change(|progress| progress.failed(&item, reason(&error)));
                return Ok(());
            }
            looks += u32::from(!passes(&error));
            // A commit whose answer was lost may have happened.
            may_be_done |= matches!(error, Error::Internal(_));
            match self.task.engine.look_again(&item).await {
                Ok(Some(present)) => item = present,
                Ok(None) => {
                    self.task.live.change(|progress| progress.job.skipped += 1);
                    return Ok(());
                }
                // What cannot be looked at now is tried as it was.
                Err(_) => {}
            }
        }
    }

    async fn attempt(&self, item: &Item) -> Result<Result<Outcome, Error>, Stop> {
        // For each object anew: its starter's rights may have changed.
        let identity = match self.task.engine.identities().by_name(&self.who).await {
            Ok(identity) => identity,
            Err(error) => return Ok(Err(error.into())),
        };
        let (who, secure, identity) = (self.who.as_str(), self.secure, identity.as_deref());
        let user = User::Job { who, secure, identity, request_id: &self.request_id, operation: OPERATION };
        let planned = async {
            let envelope = item.envelope()?;
            if !self.scope.covers(&item.at().bucket.id, item.at().key, envelope.mode, envelope.key.as_ref()) {
                return Ok(None);
            }
            let record = self.task.engine.open_item(item)?;
            let decision = self.targets.decide(&self.task.engine, user, &self.request, item.at(), envelope, record.sse()).await?;
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
        self.task.live.unless_stopped(self.throttle.turn()).await?;
        let resealed = self.task.engine.reseal(user, item, record, &decision, Some(&target)).await;
        Ok(resealed.map(|resealed| match resealed {
            Resealed::Done => Outcome::Done,
            Resealed::Changed => Outcome::Changed,
            Resealed::Stale => {
                self.targets.forget(&self.task.engine);
                Outcome::Changed
            }
            Resealed::Gone => Outcome::Skipped,
        }))
    }
}
