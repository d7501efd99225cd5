//! Who may open a bucket to others: ownership controls and the block of public access.

use crate::{
    Engine, Error,
    api::{ObjectOwnership, PublicAccessBlock},
    bucket::{Changed, Stated},
};

impl Engine {
    /// GetBucketOwnershipControls; none where they were deleted.
    pub async fn bucket_ownership(&self, name: &str) -> Result<Option<ObjectOwnership>, Error> {
        Ok(Stated::value_of(self.bucket(name).await?.settings.ownership, ObjectOwnership::default()))
    }

    /// PutBucketOwnershipControls; DeleteBucketOwnershipControls without a value.
    pub async fn set_bucket_ownership(&self, name: &str, ownership: Option<ObjectOwnership>) -> Result<(), Error> {
        self.change_bucket(name, |bucket| {
            let mut changed = Changed::from(bucket);
            changed.settings.ownership = Some(Stated::of(ownership));
            Ok(changed)
        })
        .await
    }

    /// GetPublicAccessBlock; none where it was deleted.
    pub async fn public_access_block(&self, name: &str) -> Result<Option<PublicAccessBlock>, Error> {
        Ok(Stated::value_of(self.bucket(name).await?.settings.public_access_block, PublicAccessBlock::ALL))
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
