//! Rows of buckets that version 3 of the store wrote: a default encryption in plain columns, and a tag over the row (`docs/format.md`, "Bucket tag").

use strongroom_catalog::{
    Bucket, BucketEncryption as FormerEncryption, BucketEncryptionAlgorithm as FormerAlgorithm, CatalogError, FormerBucket,
};
use strongroom_seal::StoreKey;

use super::{BucketEncryption, BucketEncryptionAlgorithm, Changed, Settings, settings::versioning_code};
use crate::{Engine, Error};

/// So many buckets are looked at between two looks at the catalog.
const PAGE: usize = 256;

impl Engine {
    /// Seals a record for each bucket that version 3 of the store wrote; how many. To be called at the start, and harmless at any time: a
    /// bucket is converted in one transaction, and read as it is until then. One whose row was altered stays as it is, and refused.
    pub async fn convert_former_buckets(&self) -> Result<usize, Error> {
        let (mut converted, mut after) = (0, None);
        loop {
            let page = self.catalog().list_buckets("", after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(converted) };
            after = Some(last.name.clone());
            for row in page {
                converted += usize::from(self.convert(row).await?);
            }
        }
    }

    async fn convert(&self, row: Bucket) -> Result<bool, Error> {
        if row.former.is_none() {
            return Ok(false);
        }
        let Ok(bucket) = self.trusted(row) else { return Ok(false) };
        let change = self.seal_change(&bucket, Changed::from(&bucket))?;
        match self.catalog().change_bucket(bucket.id, bucket.revision, change).await {
            Ok(()) => Ok(true),
            // Somebody changed it meanwhile, and so converted it, or deleted it.
            Err(CatalogError::PreconditionFailed | CatalogError::NoSuchBucket) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// The settings, if the row's tag is right.
pub(super) fn open(store_key: &StoreKey, row: &Bucket, former: &FormerBucket) -> Result<Settings, Error> {
    let genuine = with_fields(row, former, |fields| store_key.verify_fingerprint(fields, &former.tag));
    if !genuine.map_err(|error| Error::Internal(error.into()))? {
        return Err(Error::Integrity("the bucket's row was altered".into()));
    }
    Ok(Settings::of_encryption(former.encryption.as_ref().map(|encryption| BucketEncryption {
        algorithm: match encryption.algorithm {
            FormerAlgorithm::SseS3 => BucketEncryptionAlgorithm::SseS3,
            FormerAlgorithm::SseKms => BucketEncryptionAlgorithm::SseKms,
            FormerAlgorithm::DsseKms => BucketEncryptionAlgorithm::DsseKms,
        },
        kms_key_id: encryption.kms_key_id.clone(),
        bucket_key_enabled: encryption.bucket_key_enabled,
    })))
}

fn with_fields<T>(row: &Bucket, former: &FormerBucket, use_fields: impl FnOnce(&[&[u8]]) -> T) -> T {
    let (name, owner, region) = (row.name.as_bytes(), row.owner.as_bytes(), row.region.as_bytes());
    let (created, versioning) = (row.created.to_be_bytes(), [versioning_code(row.versioning)]);
    let (algorithm, kms_key_id) = encryption_fields(former.encryption.as_ref());
    use_fields(&[b"bucket", &row.id.0, name, owner, region, &created, &versioning, &algorithm, kms_key_id])
}

/// Algorithm, bucket key and whether a key id follows, in three bytes; then the key id.
fn encryption_fields(encryption: Option<&FormerEncryption>) -> ([u8; 3], &[u8]) {
    let Some(encryption) = encryption else {
        return ([0; 3], &[]);
    };
    let algorithm = match encryption.algorithm {
        FormerAlgorithm::SseS3 => 1,
        FormerAlgorithm::SseKms => 2,
        FormerAlgorithm::DsseKms => 3,
    };
    let kms_key_id = encryption.kms_key_id.as_deref();
    let flags = [algorithm, encryption.bucket_key_enabled.into(), kms_key_id.is_some().into()];
    (flags, kms_key_id.unwrap_or_default().as_bytes())
}
