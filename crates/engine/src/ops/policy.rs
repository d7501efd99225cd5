//! The policies of buckets, and the rules that requests are decided by.

use std::sync::Arc;

use strongroom_access::{AccessError, Acl, BucketPolicy, BucketRules};

use crate::{
    Engine, Error,
    api::{ObjectFacts, ObjectOwnership},
    bucket::{Bucket, Changed, DocumentKind},
};

impl Engine {
    /// What the bucket says of who may do what with it and in it; none where there is no such bucket. A change counts from the moment that it
    /// is acknowledged.
    pub async fn bucket_rules(&self, name: &str) -> Result<Option<Arc<BucketRules>>, Error> {
        // Before the bucket is read: what changes from here on makes what is read now worthless.
        let changes = self.catalog().bucket_changes();
        if let Some(rules) = self.known_access().rules_of(name, changes) {
            return Ok(Some(rules));
        }
        let (bucket, document) = match self.bucket_document::<String>(name, DocumentKind::Policy).await {
            Err(Error::NoSuchBucket) => return Ok(None),
            found => found?,
        };
        let rules = Arc::new(self.rules(&bucket, document.as_deref())?);
        self.known_access().remember(name, changes, &rules);
        Ok(Some(rules))
    }

    /// GetBucketPolicy, as it was given.
    pub async fn bucket_policy(&self, name: &str) -> Result<String, Error> {
        self.bucket_document(name, DocumentKind::Policy).await?.1.ok_or(Error::NoSuchBucketPolicy)
    }

    /// GetBucketPolicyStatus: whether the policy is public.
    pub async fn is_policy_public(&self, name: &str) -> Result<bool, Error> {
        let (bucket, document) = self.bucket_document::<String>(name, DocumentKind::Policy).await?;
        let rules = self.rules(&bucket, Some(&document.ok_or(Error::NoSuchBucketPolicy)?))?;
        Ok(rules.policy.is_some_and(|policy| policy.is_public()))
    }

    /// PutBucketPolicy.
    pub async fn set_bucket_policy(&self, name: &str, json: &str) -> Result<(), Error> {
        let is_public = BucketPolicy::parse(name, json).map_err(|error| malformed(&error))?.is_public();
        let content = serde_json::to_vec(json).map_err(|error| Error::Internal(error.into()))?;
        self.change_bucket(name, |bucket| {
            if is_public && self.block_of(bucket).is_some_and(|block| block.block_public_policy) {
                return Err(Error::PublicPolicyBlocked);
            }
            Ok(Changed { documents: vec![(DocumentKind::Policy, Some(content.clone()))], ..Changed::from(bucket) })
        })
        .await
    }

    /// DeleteBucketPolicy.
    pub async fn clear_bucket_policy(&self, name: &str) -> Result<(), Error> {
        self.set_bucket_document(name, DocumentKind::Policy, None::<&String>).await
    }

    /// What a request for an object may be decided by; none where there is no such object.
    pub async fn object_facts(&self, bucket: &str, key: &str, version_id: Option<&str>) -> Result<Option<ObjectFacts>, Error> {
        match self.find(None, bucket, key, version_id).await {
            Ok(found) => Ok(Some(ObjectFacts {
                version: found.version.version_id,
                tags: found.record.tags,
                acl: found.record.acl.map_or_else(|| Acl::private(&found.bucket.owner), |acl| *acl),
            })),
            Err(Error::NoSuchBucket | Error::NoSuchKey | Error::NoSuchVersion | Error::DeleteMarker { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn rules(&self, bucket: &Bucket, policy: Option<&str>) -> Result<BucketRules, Error> {
        let block = self.block_of(bucket);
        // It was compiled before it was stored. One that a later release refuses lets nobody in.
        let policy =
            policy.map(|json| BucketPolicy::parse(&bucket.name, json)).transpose().map_err(|error| Error::Internal(error.into()))?;
        let acl = self.counts_acls(bucket).then(|| bucket.settings.acl.clone().unwrap_or_else(|| Acl::private(&bucket.owner)));
        Ok(BucketRules {
            account: bucket.account().to_owned(),
            policy,
            restricts_public: block.is_some_and(|block| block.restrict_public_buckets),
            acl,
            prefers_bucket_owner: self.ownership_of(bucket) == Some(ObjectOwnership::BucketOwnerPreferred),
            ignores_public_acls: block.is_some_and(|block| block.ignore_public_acls),
        })
    }
}

fn malformed(error: &AccessError) -> Error {
    Error::MalformedPolicy(error.to_string())
}
