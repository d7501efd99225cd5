//! Who may open a bucket to others: ownership controls and the block of public access.

use crate::{
    Engine, Error,
    api::{ObjectOwnership, PublicAccessBlock},
    bucket::{Bucket, Changed, Stated},
};

impl Engine {
    /// GetBucketOwnershipControls; none where they were deleted.
    pub async fn bucket_ownership(&self, name: &str) -> Result<Option<ObjectOwnership>, Error> {
        Ok(self.ownership_of(&self.bucket(name).await?))
    }

    /// PutBucketOwnershipControls; DeleteBucketOwnershipControls without a value.
    pub async fn set_bucket_ownership(&self, name: &str, ownership: Option<ObjectOwnership>) -> Result<(), Error> {
        self.change_bucket(name, |bucket| {
            let mut changed = Changed::from(bucket);
            let grants_something = bucket.settings.acl.as_ref().is_some_and(|acl| !acl.is_private_to(&bucket.owner));
            if ownership == Some(ObjectOwnership::BucketOwnerEnforced) && grants_something {
                return Err(Error::AclContradictsOwnership);
            }
            changed.settings.ownership = Some(Stated::of(ownership));
            Ok(changed)
        })
        .await
    }

    /// GetPublicAccessBlock; none where it was deleted.
    pub async fn public_access_block(&self, name: &str) -> Result<Option<PublicAccessBlock>, Error> {
        Ok(self.block_of(&self.bucket(name).await?))
    }

    /// What is blocked of public access to the bucket, where anything was said or is said of new buckets.
    pub(crate) fn block_of(&self, bucket: &Bucket) -> Option<PublicAccessBlock> {
        let of_new_buckets = if self.options().block_public_access { PublicAccessBlock::ALL } else { PublicAccessBlock::NONE };
        let block = Stated::value_of(bucket.settings.public_access_block, of_new_buckets);
        block.filter(|block| *block != PublicAccessBlock::NONE || bucket.settings.public_access_block.is_some())
    }

    /// PutPublicAccessBlock; DeletePublicAccessBlock without a value.
    pub async fn set_public_access_block(&self, name: &str, block: Option<PublicAccessBlock>) -> Result<(), Error> {
        self.change_bucket(name, |bucket| {
            let mut changed = Changed::from(bucket);
            changed.settings.public_access_block = Some(Stated::of(block));
            Ok(changed)
        })
        .await
    }
}
