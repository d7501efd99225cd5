//! Blobs that must not be swept: being written, or being read.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use strongroom_catalog::BlobKey;

/// How often each blob is in use at present.
#[derive(Clone, Default)]
pub(crate) struct InUse(Arc<Mutex<HashMap<BlobKey, usize>>>);

/// Keeps blobs from being swept until it is dropped.
pub(crate) struct Hold {
    in_use: InUse,
    blobs: Vec<BlobKey>,
}

impl InUse {
    pub(crate) fn hold(&self, blobs: Vec<BlobKey>) -> Hold {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for blob in &blobs {
            *counts.entry(*blob).or_default() += 1;
        }
        Hold { in_use: self.clone(), blobs }
    }

    pub(crate) fn contains(&self, blob: &BlobKey) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(blob)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut counts = self.in_use.0.lock().unwrap_or_else(PoisonError::into_inner);
        for blob in &self.blobs {
            if let Some(count) = counts.get_mut(blob) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(blob);
                }
            }
        }
    }
}
