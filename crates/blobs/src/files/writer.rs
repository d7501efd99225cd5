//! Writes one file, one batch ahead of the caller.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use strongroom_fair::FairSemaphore;
use strongroom_seal::SealedBytes;
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::blocking::{in_turn, settled};
use crate::{BlobError, BlobWriter};

use super::part_file::PartFile;

/// At most one batch is in flight on a blocking thread while the caller seals the next.
pub(super) struct FileWriter {
    part: Arc<Mutex<PartFile>>,
    disk: FairSemaphore,
    in_flight: Option<JoinHandle<Result<(), BlobError>>>,
    finished: bool,
}

impl FileWriter {
    pub(super) fn new(part: PartFile, disk: FairSemaphore) -> Self {
        Self { part: Arc::new(Mutex::new(part)), disk, in_flight: None, finished: false }
    }

    /// Waits for the batch in flight. Cancelling this leaves it in flight.
    async fn settle(&mut self) -> Result<(), BlobError> {
        let Some(handle) = &mut self.in_flight else { return Ok(()) };
        let result = settled(handle).await;
        self.in_flight = None;
        result
    }
}

#[async_trait]
impl BlobWriter for FileWriter {
    /// Returns when the batch before is written and this one is handed over: its own failure shows in the next call.
    async fn write(&mut self, sealed: SealedBytes) -> Result<(), BlobError> {
        self.settle().await?;
        let (part, permit) = (Arc::clone(&self.part), self.disk.acquire().await);
        self.in_flight = Some(spawn_blocking(move || {
            let _permit = permit;
            lock(&part).append(sealed.as_slice())
        }));
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<u64, BlobError> {
        self.settle().await?;
        let part = Arc::clone(&self.part);
        let len_bytes = in_turn(&self.disk, move || lock(&part).publish()).await?;
        // Kept only here: a caller that stops waiting never learns of the blob, so it goes again.
        lock(&self.part).keep();
        self.finished = true;
        Ok(len_bytes)
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let part = Arc::clone(&self.part);
        // Without a runtime, or with one that shuts down, the last owner of the part removes the file where it stands.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn_blocking(move || lock(&part).remove());
        }
    }
}

/// The lock is only ever contended by work that follows a batch in flight, on a blocking thread.
fn lock(part: &Mutex<PartFile>) -> MutexGuard<'_, PartFile> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}
