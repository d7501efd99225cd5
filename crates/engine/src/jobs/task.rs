//! What the walk of a job works with.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use strongroom_catalog::CatalogError;
use tokio::task::JoinError;

use super::{
    Live, Progress, Stop, Worker,
    outage::{Outage, Patience},
};
use crate::{Engine, Error};

/// A checkpoint is saved at the most this often.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);
/// How often the end of a job is tried to be saved.
const MAX_SAVES: u32 = 6;

/// A job at work.
pub(crate) struct Task<W: Worker> {
    pub(crate) engine: Arc<Engine>,
    pub(crate) live: Arc<Live<W::Progress>>,
    pub(crate) outage: Outage,
    /// What a restart would go on from, and when that was saved last.
    checkpoint: Mutex<(W::Progress, Instant)>,
}

impl<W: Worker> Task<W> {
    pub(super) fn new(engine: Arc<Engine>, live: Arc<Live<W::Progress>>) -> Self {
        let outage = Outage::new(engine.options().job_outage_limit);
        let checkpoint = Mutex::new((live.snapshot(), Instant::now()));
        Self { engine, live, outage, checkpoint }
    }

    /// Asks the catalog until it answers; none where the bucket is gone.
    pub(crate) async fn asking<T, F>(&self, mut ask: impl FnMut() -> F) -> Result<Option<T>, Stop>
    where
        F: Future<Output = Result<T, CatalogError>>,
    {
        let mut patience = Patience::default();
        loop {
            self.live.go_on()?;
            match ask().await {
                Ok(answer) => return Ok(Some(answer)),
                Err(CatalogError::NoSuchBucket) => return Ok(None),
                Err(error) => self.wait(&mut patience, &error.into()).await?,
            }
        }
    }

    /// Waits for what failed to work again, longer each time; stops the job where nothing has worked for too long.
    pub(crate) async fn wait(&self, patience: &mut Patience, error: &Error) -> Result<(), Stop> {
        let wait = self.outage.wait(patience, error)?;
        self.live.unless_stopped(tokio::time::sleep(wait)).await
    }

    /// A restart would go on from here. Saved if it is time, or `now`.
    pub(crate) async fn pass_checkpoint(&self, now: bool) {
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
        if is_due && let Err(error) = self.engine.save_job::<W>(self.live.id, &progress).await {
            tracing::warn!(%error, kind = W::KIND, job_id = %self.live.id, "the progress of a job could not be saved");
        }
    }

    /// Records how the job ended.
    pub(super) async fn finish(&self, ended: Result<Result<(), Stop>, JoinError>) {
        let stopped = ended.unwrap_or_else(|_| Err(Stop::Failed("an internal error; see the log".to_owned()))).err();
        if stopped == Some(Stop::Paused) {
            let checkpoint = self.checkpoint().0.clone();
            return self.save_at_last(&checkpoint).await;
        }
        let mut last = self.live.snapshot();
        last.end(stopped);
        self.save_at_last(&last).await;
        tracing::info!(kind = W::KIND, job_id = %self.live.id, state = ?last.state(), "a job ended");
        // Whoever sees that it has ended finds it so after a crash, too.
        self.live.change(|progress| *progress = last);
    }

    /// If it cannot be saved, the job goes on at the next start, and finds little to do.
    async fn save_at_last(&self, progress: &W::Progress) {
        for attempt in 0..MAX_SAVES {
            match self.engine.save_job::<W>(self.live.id, progress).await {
                Ok(()) => return,
                Err(error) => tracing::warn!(%error, kind = W::KIND, job_id = %self.live.id, "the end of a job could not be saved"),
            }
            tokio::time::sleep(Duration::from_millis(50) * 2_u32.pow(attempt)).await;
        }
    }

    fn checkpoint(&self) -> MutexGuard<'_, (W::Progress, Instant)> {
        self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
