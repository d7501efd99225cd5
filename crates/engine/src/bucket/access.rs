//! What buckets say of who may do what in them, opened and compiled: every request asks, so what is known is kept until a bucket changes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use strongroom_access::BucketRules;

/// The rules of so many buckets are kept: a policy of 20 KiB takes some 100 KiB, so some megabytes in all where many have one.
const MAX_KNOWN: usize = 1024;

/// The rules by the name of the bucket, each with the catalog's count of changes from before they were read.
#[derive(Default)]
pub(crate) struct KnownAccess(Mutex<HashMap<String, (u64, Arc<BucketRules>)>>);

impl KnownAccess {
    /// The rules of the bucket, if nothing has changed since they were read.
    pub(crate) fn rules_of(&self, bucket: &str, changes: u64) -> Option<Arc<BucketRules>> {
        self.all().get(bucket).filter(|(known, _)| *known == changes).map(|(_, rules)| Arc::clone(rules))
    }

    pub(crate) fn remember(&self, bucket: &str, changes: u64, rules: &Arc<BucketRules>) {
        let mut all = self.all();
        if all.len() >= MAX_KNOWN && !all.contains_key(bucket) {
            // Any one will do: it costs one look-up to know it again.
            let some = all.keys().next().cloned();
            some.map(|name| all.remove(&name));
        }
        all.insert(bucket.to_owned(), (changes, Arc::clone(rules)));
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, (u64, Arc<BucketRules>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(account: &str) -> Arc<BucketRules> {
        Arc::new(BucketRules {
            account: account.to_owned(),
            policy: None,
            restricts_public: true,
            acl: None,
            prefers_bucket_owner: false,
            ignores_public_acls: true,
        })
    }

    #[test]
    fn rules_hold_until_a_bucket_changes() {
        let known = KnownAccess::default();
        known.remember("b", 5, &rules("1"));
        assert_eq!(known.rules_of("b", 5).map(|rules| rules.account.clone()), Some("1".to_owned()));
        assert!(known.rules_of("b", 6).is_none() && known.rules_of("c", 5).is_none());
    }

    #[test]
    fn no_more_buckets_are_known_than_the_bound() {
        let known = KnownAccess::default();
        for number in 0..MAX_KNOWN + 100 {
            known.remember(&number.to_string(), 1, &rules("1"));
        }
        assert_eq!(known.all().len(), MAX_KNOWN);
        assert!(known.rules_of(&(MAX_KNOWN + 99).to_string(), 1).is_some(), "the latest is among them");
    }
}
