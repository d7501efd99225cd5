//! Blobs that must not be swept: being written, or being read.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use strongroom_blobs::{BlobId, BlobStore};
use strongroom_catalog::CatalogError;
use tokio::runtime::Handle;

/// How often each blob is in use at present.
#[derive(Clone, Default)]
pub(crate) struct InUse(Arc<Mutex<HashMap<BlobId, usize>>>);

/// Keeps blobs from being swept until it is dropped.
pub(crate) struct Hold {
    in_use: InUse,
    blobs: VecDeque<BlobId>,
    /// Where to delete the blobs when this is dropped: they were just written, and no commit has taken them over.
    unclaimed_in: Option<Arc<dyn BlobStore>>,
    claimed: AtomicBool,
}

impl InUse {
    pub(crate) fn hold(&self, blobs: Vec<BlobId>) -> Hold {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for blob in &blobs {
            *counts.entry(*blob).or_default() += 1;
        }
        Hold { in_use: self.clone(), blobs: blobs.into(), unclaimed_in: None, claimed: AtomicBool::new(false) }
    }

    fn release(&self, blobs: impl IntoIterator<Item = BlobId>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for blob in blobs {
            if let Some(count) = counts.get_mut(&blob) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&blob);
                }
            }
        }
    }

    pub(crate) fn contains(&self, blob: &BlobId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(blob)
    }
}

impl Hold {
    /// From now on the blobs are deleted with this hold, unless a commit claims them.
    pub(crate) fn until_claimed(mut self, store: Arc<dyn BlobStore>) -> Self {
        self.unclaimed_in = Some(store);
        self
    }

    /// Lets go of the blob that is held longest; nothing where none is held.
    pub(crate) fn release_first(&mut self) {
        self.in_use.release(self.blobs.pop_front());
    }

    /// Says how a commit that names the blobs ended. Only a refusal leaves them unclaimed; any other failure may have
    /// come after the commit, and then the sweep has to find out.
    pub(crate) fn after_commit<T>(&self, result: &Result<T, CatalogError>) {
        let refused = matches!(
            result,
            Err(CatalogError::NoSuchBucket
                | CatalogError::NoSuchUpload
                | CatalogError::NoSuchVersion
                | CatalogError::PreconditionFailed
                | CatalogError::Locked(_)
                | CatalogError::PartChanged(_)
                | CatalogError::UploadResealed
                | CatalogError::BlobGone)
        );
        self.claimed.fetch_or(!refused, Ordering::Relaxed);
    }

    fn delete_unclaimed(&mut self) {
        let (Some(store), Ok(runtime)) = (self.unclaimed_in.take(), Handle::try_current()) else {
            return;
        };
        if self.claimed.load(Ordering::Relaxed) {
            return;
        }
        let blobs = std::mem::take(&mut self.blobs);
        let hold = Self { blobs: blobs.clone(), in_use: self.in_use.clone(), unclaimed_in: None, claimed: AtomicBool::new(true) };
        runtime.spawn(async move {
            for blob in blobs {
                // What cannot be deleted now is an orphan, and the sweep's.
                let _ = store.delete(blob).await;
            }
            drop(hold);
        });
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.delete_unclaimed();
        self.in_use.release(std::mem::take(&mut self.blobs));
    }
}
