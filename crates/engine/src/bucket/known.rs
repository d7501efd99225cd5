//! Rows of buckets that were found genuine: the same row need not be opened for each request.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use strongroom_catalog::{Bucket, BucketId};

use super::Settings;

/// So many are remembered, of half a kilobyte each.
const MAX_KNOWN: usize = 1024;

/// The rows, byte for byte, and what was sealed in each.
#[derive(Default)]
pub(crate) struct Known(Mutex<HashMap<BucketId, (Bucket, Arc<Settings>)>>);

impl Known {
    pub(super) fn settings_of(&self, row: &Bucket) -> Option<Arc<Settings>> {
        self.rows().get(&row.id).filter(|(known, _)| known == row).map(|(_, settings)| Arc::clone(settings))
    }

    pub(super) fn remember(&self, row: &Bucket, settings: &Arc<Settings>) {
        let mut rows = self.rows();
        if rows.len() >= MAX_KNOWN && !rows.contains_key(&row.id) {
            // Any one will do: it costs one opening to know it again.
            let some = rows.keys().next().copied();
            some.map(|id| rows.remove(&id));
        }
        rows.insert(row.id, (row.clone(), Arc::clone(settings)));
    }

    fn rows(&self) -> MutexGuard<'_, HashMap<BucketId, (Bucket, Arc<Settings>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
