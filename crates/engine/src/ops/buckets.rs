//! CreateBucket, HeadBucket, ListBuckets, DeleteBucket, and the default encryption of a bucket.

use strongroom_catalog::{Bucket, BucketEncryption, BucketEncryptionAlgorithm, BucketId, CatalogError, Versioning};

use crate::{
    Engine, Error,
    api::{Caller, CreateBucket, DefaultEncryption},
    ids,
    sse::check_default_encryption,
};

/// One more than the longest page of ListBuckets, so that the adapter can tell whether another follows.
const MAX_BUCKETS: usize = 10_001;

impl Engine {
    /// CreateBucket. The name's form is the adapter's business.
    pub async fn create_bucket(&self, caller: &Caller, request: CreateBucket) -> Result<(), Error> {
        let mut bucket = Bucket {
            id: BucketId(strongroom_seal::random_array()),
            name: request.name,
            owner: caller.identity.name.clone(),
            region: request.region,
            created: ids::now_ms(),
            versioning: Versioning::Unversioned,
            encryption: None,
            tag: Vec::new(),
        };
        bucket.tag = self.bucket_tag(&bucket)?;
        self.space().admit(None)?;
        match self.catalog().create_bucket(bucket).await {
            Err(CatalogError::BucketExists { owner }) if owner == caller.identity.name => Err(Error::BucketAlreadyOwnedByYou),
            other => self.settled(other).await,
        }
    }

    /// The bucket (HeadBucket, GetBucketLocation).
    pub async fn bucket(&self, name: &str) -> Result<Bucket, Error> {
        self.trusted(self.catalog().bucket(name).await?.ok_or(Error::NoSuchBucket)?)
    }

    /// The bucket, which must be the expected owner's.
    pub(crate) async fn bucket_of(&self, expected_owner: Option<&str>, name: &str) -> Result<Bucket, Error> {
        self.trusted_of(expected_owner, self.catalog().bucket(name).await?.ok_or(Error::NoSuchBucket)?)
    }

    /// ListBuckets: in the order of names, those greater than `after`. Fewer than `limit` only where no more follow: in place of an
    /// altered row, which is counted and left out, comes the next one.
    pub async fn list_buckets(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Bucket>, Error> {
        let (mut listed, mut after, limit) = (Vec::new(), after.map(str::to_owned), limit.min(MAX_BUCKETS));
        while listed.len() < limit {
            let wanted = limit - listed.len();
            let rows = self.catalog().list_buckets(prefix, after.as_deref(), wanted).await?;
            let is_end = rows.len() < wanted;
            after = rows.last().map(|bucket| bucket.name.clone());
            self.add_trusted(rows, &mut listed)?;
            if is_end {
                break;
            }
        }
        Ok(listed)
    }

    /// One altered row must not hide the other buckets.
    fn add_trusted(&self, rows: Vec<Bucket>, listed: &mut Vec<Bucket>) -> Result<(), Error> {
        for bucket in rows {
            match self.trusted(bucket) {
                Ok(bucket) => listed.push(bucket),
                Err(Error::Integrity(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// DeleteBucket.
    pub async fn delete_bucket(&self, name: &str) -> Result<(), Error> {
        self.settled(self.making_room(|| self.catalog().delete_bucket(name)).await).await
    }

    /// GetBucketEncryption.
    pub async fn bucket_encryption(&self, name: &str) -> Result<DefaultEncryption, Error> {
        self.bucket(name).await?.encryption.map(shown).ok_or(Error::BucketEncryptionNotFound)
    }

    /// PutBucketEncryption.
    pub async fn set_bucket_encryption(&self, name: &str, rule: DefaultEncryption) -> Result<(), Error> {
        self.change_encryption(name, Some(check_default_encryption(rule)?)).await
    }

    /// DeleteBucketEncryption.
    pub async fn clear_bucket_encryption(&self, name: &str) -> Result<(), Error> {
        self.change_encryption(name, None).await
    }

    /// All other fields of a bucket never change, so the tag made here holds whatever else is changed at the same time.
    async fn change_encryption(&self, name: &str, encryption: Option<BucketEncryption>) -> Result<(), Error> {
        let bucket = Bucket { encryption, ..self.bucket(name).await? };
        let tag = self.bucket_tag(&bucket)?;
        self.settled(self.catalog().set_bucket_encryption(name, bucket.encryption, tag).await).await
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
