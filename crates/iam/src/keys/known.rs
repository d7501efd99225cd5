//! The rules of keys that are remembered, as decisions use them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use strongroom_access::KeyRules;

const MAX_KNOWN: usize = 4096;
/// Of all of them together, as [`super::KmsKey::weight_bytes`] tells it.
const MAX_KNOWN_BYTES: usize = 32 << 20;

/// The rules of a key as they were looked up.
#[derive(Clone)]
pub(super) struct Known {
    /// The number of changes of entities, asked for before these were read.
    pub(super) generation: u64,
    /// None where the key has no rules.
    pub(super) rules: Option<Arc<KeyRules>>,
    pub(super) weight_bytes: usize,
}

/// Those that were looked up last, by key id.
#[derive(Default)]
pub(super) struct Cache(Mutex<(HashMap<String, Known>, usize)>);

impl Cache {
    /// What is known, if nothing changed since.
    pub(super) fn get(&self, key_id: &str, generation: u64) -> Option<Known> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.0.get(key_id).filter(|known| known.generation == generation).cloned()
    }

    /// Too many are all forgotten: looking them up again costs little.
    pub(super) fn insert(&self, key_id: &str, known: Known) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (by_id, weight_bytes) = &mut *entries;
        if by_id.len() >= MAX_KNOWN || *weight_bytes + known.weight_bytes > MAX_KNOWN_BYTES {
            by_id.clear();
            *weight_bytes = 0;
        }
        *weight_bytes += known.weight_bytes;
        if let Some(former) = by_id.insert(key_id.to_owned(), known) {
            *weight_bytes -= former.weight_bytes;
        }
    }
}
