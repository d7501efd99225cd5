//! What depends on a KMS key outside of a part of the store: whether the key can be destroyed to end that part and nothing else.

use strongroom_catalog::{BucketId, CatalogError, Scope, ScopePlace};
use strongroom_kms::resolve_key_id;

use crate::{Engine, Error, bucket::Bucket};

/// So many rows are looked at in one look.
const PAGE: usize = 1000;
/// At the most so many buckets are named.
const MAX_NAMED: usize = 10;

/// A bucket, or what of it has keys that begin with a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The bucket's name.
    pub bucket: String,
    /// Its id: a bucket of the same name that was made later is another one.
    pub bucket_id: BucketId,
    /// The prefix; empty for the whole bucket.
    pub prefix: String,
}

/// What depends on a key outside of a [`Part`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Elsewhere {
    /// Object versions.
    pub objects: u64,
    /// Unfinished multipart uploads.
    pub uploads: u64,
    /// Up to ten of the other buckets in which there are such objects.
    pub buckets: Vec<String>,
    /// Up to ten of the buckets whose default encryption names the key, and which are not that whole part.
    pub default_of: Vec<String>,
    /// Whether it is the store's default key, under which every bucket has its SSE-S3 objects.
    pub is_default_key: bool,
}

impl Elsewhere {
    /// Whether the key is for that part of the store alone.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Engine {
    /// What depends on a key outside of a part of the store, counted by the rows themselves. Where the counters of usage show other buckets, or
    /// where settings of the store and of buckets name the key, nothing more is counted.
    ///
    /// While the key is closed, objects that are deleted meanwhile may be counted as being elsewhere, and none that is elsewhere is left out.
    pub async fn key_elsewhere(&self, backend: &str, key_id: &str, part: &Part) -> Result<Elsewhere, Error> {
        let known = self.named_elsewhere(backend, key_id, part).await?;
        if !known.is_nothing() {
            return Ok(known);
        }
        let scope = Scope { backend: Some(backend.to_owned()), key_id: Some(key_id.to_owned()), ..Scope::default() };
        let uploads = self.uploads_elsewhere(&scope, part).await?;
        let all = self.tally(&scope).await?;
        // In this order: what is deleted between the two must not hide anything.
        let within = self.tally(&Scope { bucket_id: Some(part.bucket_id), prefix: part.prefix.clone(), ..scope }).await?;
        Ok(Elsewhere { objects: all.saturating_sub(within), uploads, ..Elsewhere::default() })
    }

    /// How many object versions of a part of the store do not depend on the key, and so outlast it.
    pub async fn not_under_key(&self, backend: &str, key_id: &str, part: &Part) -> Result<u64, Error> {
        let all = Scope { bucket_id: Some(part.bucket_id), prefix: part.prefix.clone(), ..Scope::default() };
        let under = Scope { backend: Some(backend.to_owned()), key_id: Some(key_id.to_owned()), ..all.clone() };
        let under = self.tally(&under).await?;
        Ok(self.tally(&all).await?.saturating_sub(under))
    }

    /// As far as counters and settings tell.
    async fn named_elsewhere(&self, backend: &str, key_id: &str, part: &Part) -> Result<Elsewhere, Error> {
        let is_named = |named: &str| resolve_key_id(named).is_ok_and(|named| named == key_id);
        let is_in_force = self.kms().backend_in_force() == backend;
        let mut found = Elsewhere { is_default_key: is_in_force && is_named(&self.kms().default_key_id()), ..Elsewhere::default() };
        let is_there = self.catalog().bucket(&part.bucket).await?.is_some_and(|bucket| bucket.id == part.bucket_id);
        for usage in self.key_usage(backend, key_id).await?.versions.into_iter().flat_map(|version| version.buckets) {
            if is_there && usage.bucket == part.bucket {
                continue;
            }
            found.objects += usage.objects;
            if !found.buckets.contains(&usage.bucket) && found.buckets.len() < MAX_NAMED {
                found.buckets.push(usage.bucket);
            }
        }
        if is_in_force {
            let is_whole_part = |bucket: &Bucket| bucket.id == part.bucket_id && part.prefix.is_empty();
            found.default_of = self.buckets_with_default(|bucket, named| is_named(named) && !is_whole_part(bucket)).await?;
        }
        Ok(found)
    }

    /// Buckets whose default encryption names a key that is meant. A row that was altered may name any, and is an error.
    async fn buckets_with_default(&self, is_meant: impl Fn(&Bucket, &str) -> bool) -> Result<Vec<String>, Error> {
        let (mut found, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = self.catalog().list_buckets("", after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(found) };
            after = Some(last.name.clone());
            for row in page {
                let bucket = self.trusted(row)?;
                let named = bucket.settings.encryption.as_ref().and_then(|encryption| encryption.kms_key_id.as_deref());
                if named.is_some_and(|named| is_meant(&bucket, named)) {
                    found.push(bucket.name.clone());
                }
                if found.len() == MAX_NAMED {
                    return Ok(found);
                }
            }
        }
    }

    async fn uploads_elsewhere(&self, scope: &Scope, part: &Part) -> Result<u64, Error> {
        let (mut count, mut place) = (0, Some(ScopePlace::default()));
        while let Some(after) = place {
            let page = self.catalog().uploads_in(scope.clone(), after, PAGE).await?;
            let is_within = |id: BucketId, key: &str| id == part.bucket_id && key.starts_with(&part.prefix);
            count += page.items.iter().filter(|found| !is_within(found.bucket.id, &found.upload.key)).count() as u64;
            place = page.next;
        }
        Ok(count)
    }

    /// How many object versions are in a scope; none in a bucket that is gone.
    async fn tally(&self, scope: &Scope) -> Result<u64, Error> {
        let (mut count, mut place) = (0, Some(ScopePlace::default()));
        while let Some(after) = place {
            let page = match self.catalog().tally_in(scope.clone(), after, PAGE).await {
                Err(CatalogError::NoSuchBucket) => return Ok(0),
                page => page?,
            };
            count += page.versions;
            place = page.next;
        }
        Ok(count)
    }
}
