//! CreateBucket, HeadBucket, ListBuckets, DeleteBucket, and the default encryption of a bucket.

use strongroom_catalog::{Bucket, BucketEncryption, BucketEncryptionAlgorithm, CatalogError, Versioning};

use crate::{
    Engine, Error,
    api::{Caller, CreateBucket, DefaultEncryption},
    ids,
    sse::check_default_encryption,
};

/// ListBuckets answers at the most so many.
const MAX_BUCKETS: usize = 10_000;

impl Engine {
    /// CreateBucket. The name's form is the adapter's business.
    pub async fn create_bucket(&self, caller: &Caller, request: CreateBucket) -> Result<(), Error> {
        let bucket = Bucket {
            id: strongroom_seal::random_array(),
            name: request.name,
            owner: caller.identity.name.clone(),
            region: request.region,
            created: ids::now_ms(),
            versioning: Versioning::Unversioned,
            encryption: None,
        };
        match self.catalog().create_bucket(bucket).await {
            Err(CatalogError::BucketExists { owner }) if owner == caller.identity.name => Err(Error::BucketAlreadyOwnedByYou),
            other => Ok(other?),
        }
    }

    /// The bucket (HeadBucket, GetBucketLocation).
    pub async fn bucket(&self, name: &str) -> Result<Bucket, Error> {
        self.catalog().bucket(name).await?.ok_or(Error::NoSuchBucket)
    }

    /// ListBuckets: in the order of names, those greater than `after`.
    pub async fn list_buckets(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Bucket>, Error> {
        Ok(self.catalog().list_buckets(prefix, after, limit.min(MAX_BUCKETS)).await?)
    }

    /// DeleteBucket.
    pub async fn delete_bucket(&self, name: &str) -> Result<(), Error> {
        Ok(self.catalog().delete_bucket(name).await?)
    }

    /// GetBucketEncryption.
    pub async fn bucket_encryption(&self, name: &str) -> Result<DefaultEncryption, Error> {
        self.bucket(name).await?.encryption.map(shown).ok_or(Error::BucketEncryptionNotFound)
    }

    /// PutBucketEncryption.
    pub async fn set_bucket_encryption(&self, name: &str, rule: DefaultEncryption) -> Result<(), Error> {
        let rule = check_default_encryption(rule)?;
        Ok(self.catalog().set_bucket_encryption(name, Some(rule)).await?)
    }

    /// DeleteBucketEncryption.
    pub async fn clear_bucket_encryption(&self, name: &str) -> Result<(), Error> {
        Ok(self.catalog().set_bucket_encryption(name, None).await?)
    }
}

fn shown(rule: BucketEncryption) -> DefaultEncryption {
    let algorithm = match rule.algorithm {
        BucketEncryptionAlgorithm::SseS3 => "AES256",
        BucketEncryptionAlgorithm::SseKms => "aws:kms",
        BucketEncryptionAlgorithm::DsseKms => "aws:kms:dsse",
    };
    DefaultEncryption { algorithm: algorithm.into(), kms_key_id: rule.kms_key_id, bucket_key_enabled: rule.bucket_key_enabled }
}
