//! The CORS rules of buckets.

use std::sync::Arc;

use crate::{Engine, Error, api::CorsRule, bucket::DocumentKind};

impl Engine {
    /// GetBucketCors, and what every request of a page asks: the rules of a bucket; none where it has none. Rules that were read once are
    /// remembered until they change, and a bucket without rules costs no more than its row.
    pub async fn bucket_cors(&self, name: &str) -> Result<Option<Arc<[CorsRule]>>, Error> {
        let bucket = self.bucket(name).await?;
        let Some(revision) = bucket.settings.revision_of(DocumentKind::Cors) else { return Ok(None) };
        if let Some(rules) = self.known_cors().rules_of(bucket.id, revision) {
            return Ok(Some(rules));
        }
        let (bucket, rules) = self.bucket_document::<Vec<CorsRule>>(name, DocumentKind::Cors).await?;
        let rules = rules.map(Arc::<[CorsRule]>::from);
        // Of the bucket as it is by now, which may have other rules than a moment ago.
        if let (Some(rules), Some(revision)) = (&rules, bucket.settings.revision_of(DocumentKind::Cors)) {
            self.known_cors().remember(bucket.id, revision, rules);
        }
        Ok(rules)
    }

    /// PutBucketCors: takes the place of all rules. DeleteBucketCors without rules.
    pub async fn set_bucket_cors(&self, name: &str, rules: Option<Vec<CorsRule>>) -> Result<(), Error> {
        self.set_bucket_document(name, DocumentKind::Cors, rules.as_ref()).await
    }
}
