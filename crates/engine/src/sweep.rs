//! The sweep: deletes blobs that nothing refers to.
//!
//! Dead blobs are those the catalog let go of. Orphans are those it never knew: a crash, or a client's leaving, came between writing the blob
//! and committing it. They are given time, because a catalog that was put back from a backup does not know what came after it either.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use strongroom_blobs::{BlobError, BlobId, ListedBlob};
use tokio::task::JoinHandle;

use crate::{Engine, Error, ids};

const BATCH: usize = 256;
/// Orphans only come from crashes and broken uploads: looking for them means listing the whole store.
const ORPHAN_INTERVAL: Duration = Duration::from_hours(1);
/// A sweep that keeps failing is logged at most this often.
const REPORT_INTERVAL: Duration = Duration::from_mins(1);

impl Engine {
    /// Sweeps dead blobs every [`crate::EngineOptions::sweep_interval`], for as long as the task runs.
    pub fn start_sweeper(self: &Arc<Self>) -> JoinHandle<()> {
        let engine = Arc::clone(self);
        tokio::spawn(async move {
            let mut dead = tokio::time::interval(engine.options().sweep_interval);
            let mut report = Report::default();
            loop {
                dead.tick().await;
                engine.bucket_keys().purge();
                report.tell(engine.sweep_dead().await);
            }
        })
    }

    /// Sweeps orphans at the start and then hourly, for as long as the task runs. This is a task of its own, because a pass over a large
    /// store takes long.
    pub fn start_orphan_sweeper(self: &Arc<Self>) -> JoinHandle<()> {
        let engine = Arc::clone(self);
        tokio::spawn(async move {
            let mut orphans = tokio::time::interval(ORPHAN_INTERVAL);
            let mut report = Report::default();
            loop {
                orphans.tick().await;
                report.tell(engine.sweep_orphans().await);
            }
        })
    }

    /// Deletes the blobs that the catalog let go of, and that no reply is still reading. How many. Those that are being read, or
    /// cannot be deleted, are passed over: they keep none of the others.
    pub async fn sweep_dead(&self) -> Result<usize, Error> {
        let grace = i64::try_from(self.options().dead_blob_grace.as_millis()).unwrap_or(i64::MAX);
        let died_before = ids::now_ms().saturating_sub(grace);
        let (mut after, mut swept, mut failure) = (None, 0, None);
        loop {
            let dead = self.catalog().dead_blobs(died_before, after, BATCH).await?;
            after = dead.last().copied();
            let free = dead.iter().map(|blob| blob.id).filter(|blob| !self.in_use().contains(blob));
            let (gone, failed) = self.delete_all(free).await;
            swept += gone.len();
            failure = failed.or(failure);
            if !gone.is_empty() {
                self.making_room(|| self.catalog().forget_blobs(gone.clone())).await?;
            }
            if dead.len() < BATCH {
                return failure.map_or(Ok(swept), |error| Err(error.into()));
            }
        }
    }

    /// Those that were deleted, and the last failure: one blob that cannot be deleted must not keep the others.
    async fn delete_all(&self, blobs: impl Iterator<Item = BlobId>) -> (Vec<BlobId>, Option<BlobError>) {
        let (mut gone, mut failure) = (Vec::new(), None);
        for blob in blobs {
            match self.blobs().delete(blob).await {
                Ok(()) => gone.push(blob),
                Err(error) => failure = Some(error),
            }
        }
        (gone, failure)
    }

    /// Deletes the blobs that the catalog does not know, that nobody is writing, and that are older than
    /// [`crate::EngineOptions::orphan_age`]. How many.
    pub async fn sweep_orphans(&self) -> Result<usize, Error> {
        let (mut scan, mut swept, mut failure) = (self.blobs().scan().await?, 0, None);
        loop {
            let found = scan.next().await?;
            if found.is_empty() {
                return failure.map_or(Ok(swept), |error: BlobError| Err(error.into()));
            }
            // Being written is asked before being known: what is committed in between is known by then.
            let idle: Vec<_> =
                found.iter().filter(|blob| self.is_old(blob)).map(|blob| blob.id).filter(|blob| !self.in_use().contains(blob)).collect();
            let known = self.catalog().known_blobs(idle.clone()).await?;
            let orphans = idle.into_iter().zip(known).filter(|(_, known)| !known).map(|(blob, _)| blob);
            let (gone, failed) = self.delete_all(orphans).await;
            swept += gone.len();
            failure = failed.or(failure);
        }
    }

    /// A blob from the future, by a clock that was set back, is young.
    fn is_old(&self, blob: &ListedBlob) -> bool {
        SystemTime::now().duration_since(blob.modified).is_ok_and(|age| age >= self.options().orphan_age)
    }
}

/// Logs the failures of one sweep: while they last, only now and then.
#[derive(Default)]
struct Report {
    told_at: Option<Instant>,
}

impl Report {
    fn tell(&mut self, swept: Result<usize, Error>) {
        match swept {
            Ok(count) => {
                self.told_at = None;
                if count > 0 {
                    tracing::debug!(count, "swept blobs");
                }
            }
            Err(error) if self.told_at.is_none_or(|at| at.elapsed() >= REPORT_INTERVAL) => {
                self.told_at = Some(Instant::now());
                tracing::warn!(error = &error as &dyn std::error::Error, "the sweep failed and will be tried again");
            }
            Err(_) => {}
        }
    }
}
