//! Keys that the next pass looks at though their versions have not just come of age: a version became current again, got other tags, or is locked.
//!
//! They are remembered in memory, so many of them and until a restart. What is not remembered is found by the next full walk.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use strongroom_catalog::BucketId;

/// Of all buckets together. A key has up to a kilobyte.
const MAX_KEYS: usize = 10_000;

/// The keys by bucket.
#[derive(Default)]
pub(crate) struct Again(Mutex<HashMap<BucketId, BTreeSet<String>>>);

impl Again {
    /// Has the next pass look at a key.
    pub(crate) fn remember(&self, bucket: BucketId, key: &str) {
        let mut keys = self.keys();
        if keys.values().map(BTreeSet::len).sum::<usize>() < MAX_KEYS {
            keys.entry(bucket).or_default().insert(key.to_owned());
        }
    }

    /// The keys of a bucket, which are forgotten.
    pub(super) fn take(&self, bucket: BucketId) -> BTreeSet<String> {
        self.keys().remove(&bucket).unwrap_or_default()
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<BucketId, BTreeSet<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_remembered_by_bucket_once_and_up_to_a_bound() {
        let (again, one, other) = (Again::default(), BucketId([1; 16]), BucketId([2; 16]));
        for key in ["a", "b", "a"] {
            again.remember(one, key);
        }
        again.remember(other, "c");
        assert_eq!(again.take(one), BTreeSet::from(["a".to_owned(), "b".to_owned()]));
        assert_eq!(again.take(one), BTreeSet::new());
        for number in 0..2 * MAX_KEYS {
            again.remember(one, &number.to_string());
        }
        assert_eq!(again.take(one).len(), MAX_KEYS - 1);
    }
}
