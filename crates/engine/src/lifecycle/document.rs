//! Rules as a document of the bucket, and what responses tell of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use strongroom_catalog::{BucketId, UnixMillis};

use super::{
    Expiry, Lifecycle, Subject,
    due::{self, Days},
};
use crate::{
    Engine, Error,
    bucket::{Bucket, DocumentKind},
};

/// The rules of so many buckets are remembered, and so many rules in all: one may have five kilobytes.
const MAX_KNOWN: usize = 256;
const MAX_KNOWN_RULES: usize = 4000;

/// Rules that were read, with the revision of the bucket that wrote them.
#[derive(Default)]
pub(crate) struct KnownRules(Mutex<HashMap<BucketId, (u64, Arc<Lifecycle>)>>);

impl KnownRules {
    fn get(&self, bucket: BucketId, revision: u64) -> Option<Arc<Lifecycle>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&bucket).filter(|(of, _)| *of == revision).map(|(_, rules)| Arc::clone(rules))
    }

    fn remember(&self, bucket: BucketId, revision: u64, rules: &Arc<Lifecycle>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(&bucket);
        let count = |known: &HashMap<_, (u64, Arc<Lifecycle>)>| known.values().map(|(_, rules)| rules.rules.len()).sum::<usize>();
        while known.len() >= MAX_KNOWN || count(&known) + rules.rules.len() > MAX_KNOWN_RULES {
            // Any one will do: it costs one look-up to know it again.
            let Some(some) = known.keys().next().copied() else { break };
            known.remove(&some);
        }
        known.insert(bucket, (revision, Arc::clone(rules)));
    }
}

impl Engine {
    /// GetBucketLifecycleConfiguration.
    pub async fn bucket_lifecycle(&self, name: &str) -> Result<Arc<Lifecycle>, Error> {
        let bucket = self.bucket(name).await?;
        self.lifecycle_of(&bucket).await?.ok_or(Error::NoSuchLifecycle)
    }

    /// PutBucketLifecycleConfiguration: takes the place of all rules.
    pub async fn set_bucket_lifecycle(&self, name: &str, rules: Lifecycle) -> Result<(), Error> {
        let rules = rules.checked()?;
        self.space().admit(None)?;
        self.set_bucket_document(name, DocumentKind::Lifecycle, Some(&rules)).await
    }

    /// DeleteBucketLifecycle.
    pub async fn clear_bucket_lifecycle(&self, name: &str) -> Result<(), Error> {
        self.set_bucket_document(name, DocumentKind::Lifecycle, None::<&Lifecycle>).await
    }

    /// The rules of a bucket; none where it has none, which costs nothing.
    pub(crate) async fn lifecycle_of(&self, bucket: &Bucket) -> Result<Option<Arc<Lifecycle>>, Error> {
        let Some(revision) = bucket.settings.revision_of(DocumentKind::Lifecycle) else { return Ok(None) };
        if let Some(known) = self.known_rules().get(bucket.id, revision) {
            return Ok(Some(known));
        }
        let (present, rules) = self.bucket_document::<Lifecycle>(&bucket.name, DocumentKind::Lifecycle).await?;
        let rules = rules.map(Arc::new);
        if let (Some(rules), Some(revision)) = (&rules, present.settings.revision_of(DocumentKind::Lifecycle)) {
            self.known_rules().remember(present.id, revision, rules);
        }
        Ok(rules)
    }

    /// When a current version expires. What cannot be read is left out: it is told beside the answer, and is not what was asked for.
    pub(crate) async fn expiry_of(&self, bucket: &Bucket, subject: Subject<'_>, modified: UnixMillis) -> Option<Expiry> {
        let rules = self.told_rules(bucket).await?;
        due::of_current(&rules.rules, Days::of(&self.options().lifecycle), subject, modified)
    }

    /// When an upload is aborted.
    pub(crate) async fn abort_of(&self, bucket: &Bucket, key: &str, initiated: UnixMillis) -> Option<Expiry> {
        let rules = self.told_rules(bucket).await?;
        due::of_upload(&rules.rules, Days::of(&self.options().lifecycle), key, initiated)
    }

    async fn told_rules(&self, bucket: &Bucket) -> Option<Arc<Lifecycle>> {
        self.lifecycle_of(bucket).await.unwrap_or_else(|error| {
            tracing::warn!(%error, bucket = bucket.name, "the lifecycle rules could not be read");
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::{LifecycleFilter, LifecycleRule};

    fn rules(count: usize) -> Arc<Lifecycle> {
        let filter = LifecycleFilter::default();
        let rule = LifecycleRule { id: String::new(), enabled: true, filter, expiration: None, noncurrent: None, abort_days: None };
        Arc::new(Lifecycle { rules: vec![rule; count], ..Lifecycle::default() })
    }

    #[test]
    fn rules_are_remembered_by_revision_and_up_to_a_bound() {
        let (known, id) = (KnownRules::default(), |number: u8| BucketId([number; 16]));
        known.remember(id(0), 7, &rules(1));
        assert!(known.get(id(0), 7).is_some() && known.get(id(0), 8).is_none());
        for number in 0..200 {
            known.remember(id(number), 1, &rules(1000));
        }
        let left = (0..200).filter(|number| known.get(id(*number), 1).is_some()).count();
        assert_eq!(left, MAX_KNOWN_RULES / 1000);
        assert!(known.get(id(199), 1).is_some(), "the last one is among them");
    }
}
