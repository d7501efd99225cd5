//! What the catalog says of a bucket, authenticated: nobody with the disk can exchange two buckets' names, take a default encryption
//! away or change an owner unnoticed. The fields: `docs/format.md`, "Store key".

use strongroom_catalog::{Bucket, BucketEncryption, BucketEncryptionAlgorithm, Versioning};

use crate::{Engine, Error};

impl Engine {
    /// The tag over all other fields of a bucket.
    pub(crate) fn bucket_tag(&self, bucket: &Bucket) -> Result<Vec<u8>, Error> {
        let tag = with_fields(bucket, |fields| self.store_key().fingerprint(fields));
        Ok(tag.map_err(|error| Error::Internal(error.into()))?.to_vec())
    }

    /// The bucket, if its tag is right. Every bucket that the catalog gives comes through here before anything is done with it.
    pub(crate) fn trusted(&self, bucket: Bucket) -> Result<Bucket, Error> {
        let genuine = with_fields(&bucket, |fields| self.store_key().verify_fingerprint(fields, &bucket.tag));
        if genuine.map_err(|error| Error::Internal(error.into()))? {
            return Ok(bucket);
        }
        let damaged = Error::Integrity("the bucket's row was altered".into());
        Err(self.integrity().note(damaged, &bucket.name, ""))
    }

    /// As [`Engine::trusted`]; and its owner must be the one that the caller expects, where it says so.
    pub(crate) fn trusted_of(&self, expected_owner: Option<&str>, bucket: Bucket) -> Result<Bucket, Error> {
        let bucket = self.trusted(bucket)?;
        if expected_owner.is_none_or(|expected| expected == bucket.owner) { Ok(bucket) } else { Err(Error::BucketOwnerMismatch) }
    }
}

fn with_fields<T>(bucket: &Bucket, use_fields: impl FnOnce(&[&[u8]]) -> T) -> T {
    let (id, name, owner, region) = (&bucket.id, bucket.name.as_bytes(), bucket.owner.as_bytes(), bucket.region.as_bytes());
    let created = bucket.created.to_be_bytes();
    let versioning = match bucket.versioning {
        Versioning::Unversioned => 0,
        Versioning::Enabled => 1,
        Versioning::Suspended => 2,
    };
    let (algorithm, kms_key_id) = encryption_fields(bucket.encryption.as_ref());
    use_fields(&[b"bucket", &id.0, name, owner, region, &created, &[versioning], &algorithm, kms_key_id])
}

/// Algorithm, bucket key and whether a key id follows, in three bytes; then the key id.
fn encryption_fields(encryption: Option<&BucketEncryption>) -> ([u8; 3], &[u8]) {
    let Some(encryption) = encryption else {
        return ([0; 3], &[]);
    };
    let algorithm = match encryption.algorithm {
        BucketEncryptionAlgorithm::SseS3 => 1,
        BucketEncryptionAlgorithm::SseKms => 2,
        BucketEncryptionAlgorithm::DsseKms => 3,
    };
    let kms_key_id = encryption.kms_key_id.as_deref();
    let flags = [algorithm, encryption.bucket_key_enabled.into(), kms_key_id.is_some().into()];
    (flags, kms_key_id.unwrap_or_default().as_bytes())
}
