//! What buckets say of who may do what in them, opened and compiled: every request asks, so what is known is kept until a bucket changes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use strongroom_access::BucketRules;

/// The rules of so many buckets are kept, of some hundred bytes each.
const MAX_KNOWN: usize = 1024;
/// So many of them with a policy: one of 20 KiB takes some 100 KiB, so some megabytes in all.
const MAX_POLICIES: usize = 64;

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
        all.remove(bucket);
        let has_policy = |(_, rules): &(u64, Arc<BucketRules>)| rules.policy.is_some();
        let too_many_policies = rules.policy.is_some() && all.values().filter(|known| has_policy(known)).count() >= MAX_POLICIES;
        if too_many_policies || all.len() >= MAX_KNOWN {
            // Any one will do: it costs one look-up to know it again.
            let some = all.iter().find(|(_, known)| !too_many_policies || has_policy(known)).map(|(name, _)| name.clone());
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

    fn silent() -> BucketRules {
        BucketRules {
            account: String::new(),
            policy: None,
            restricts_public: true,
            acl: None,
            prefers_bucket_owner: false,
            ignores_public_acls: true,
        }
    }

    fn rules(account: &str) -> Arc<BucketRules> {
        Arc::new(BucketRules { account: account.to_owned(), ..silent() })
    }

    #[test]
    fn rules_hold_until_a_bucket_changes() {
        let known = KnownAccess::default();
        known.remember("b", 5, &rules("1"));
        assert_eq!(known.rules_of("b", 5).map(|rules| rules.account.clone()), Some("1".to_owned()));
        assert!(known.rules_of("b", 6).is_none() && known.rules_of("c", 5).is_none());
    }

    #[test]
    fn no_more_policies_are_known_than_their_bound() {
        let known = KnownAccess::default();
        let json = r#"{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"}}"#;
        for number in 0..MAX_KNOWN / 2 {
            let policy = strongroom_access::BucketPolicy::parse("b", json).ok();
            let with_policy = BucketRules { policy, ..silent() };
            known.remember(&format!("with {number}"), 1, &Arc::new(with_policy));
            known.remember(&format!("without {number}"), 1, &rules("1"));
        }
        let with_policy = known.all().values().filter(|(_, rules)| rules.policy.is_some()).count();
        assert_eq!((with_policy, known.all().len()), (MAX_POLICIES, MAX_POLICIES + MAX_KNOWN / 2));
        assert!(known.rules_of(&format!("with {}", MAX_KNOWN / 2 - 1), 1).is_some(), "the latest is among them");
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
