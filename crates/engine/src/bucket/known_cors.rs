//! CORS rules that were opened and parsed: they need not be for each request of a page.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use strongroom_catalog::BucketId;

use crate::api::CorsRule;

/// The rules of so many buckets are remembered: of 64 KiB of XML each at the most, so some megabytes in all.
const MAX_KNOWN: usize = 64;

type Rules = Arc<[CorsRule]>;

/// The rules, each with the revision of the bucket that wrote them.
#[derive(Default)]
pub(crate) struct KnownCors(Mutex<HashMap<BucketId, (u64, Rules)>>);

impl KnownCors {
    pub(crate) fn rules_of(&self, bucket: BucketId, revision: u64) -> Option<Rules> {
        self.all().get(&bucket).filter(|(known, _)| *known == revision).map(|(_, rules)| Arc::clone(rules))
    }

    pub(crate) fn remember(&self, bucket: BucketId, revision: u64, rules: &Rules) {
        let mut all = self.all();
        if all.len() >= MAX_KNOWN && !all.contains_key(&bucket) {
            // Any one will do: it costs one opening to know it again.
            let some = all.keys().next().copied();
            some.map(|id| all.remove(&id));
        }
        all.insert(bucket, (revision, Arc::clone(rules)));
    }

    fn all(&self) -> MutexGuard<'_, HashMap<BucketId, (u64, Rules)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(origin: &str) -> Rules {
        [CorsRule { origins: vec![origin.to_owned()], ..CorsRule::default() }].into()
    }

    #[test]
    fn rules_are_known_at_the_revision_that_wrote_them_only() {
        let known = KnownCors::default();
        known.remember(BucketId([1; 16]), 5, &rules("a"));
        assert_eq!(known.rules_of(BucketId([1; 16]), 5), Some(rules("a")));
        assert_eq!(known.rules_of(BucketId([1; 16]), 6), None);
        assert_eq!(known.rules_of(BucketId([2; 16]), 5), None);
        known.remember(BucketId([1; 16]), 6, &rules("b"));
        assert_eq!(known.rules_of(BucketId([1; 16]), 6), Some(rules("b")));
    }

    #[test]
    fn no_more_buckets_are_known_than_the_bound() {
        let known = KnownCors::default();
        for number in 0..=u8::MAX {
            known.remember(BucketId([number; 16]), 1, &rules("a"));
        }
        assert_eq!(known.all().len(), MAX_KNOWN);
        assert_eq!(known.rules_of(BucketId([u8::MAX; 16]), 1), Some(rules("a")), "the latest is among them");
    }
}
