//! Requests about buckets.

use strongroom_access::Acl;

/// CreateBucket.
#[derive(Clone, Debug, Default)]
pub struct CreateBucket {
    /// The name.
    pub name: String,
    /// The location constraint; empty where none was given.
    pub region: String,
    /// `x-amz-bucket-object-lock-enabled`: versioned from the start, and its versions can be locked.
    pub object_lock: bool,
    /// `x-amz-object-ownership`
    pub ownership: Option<ObjectOwnership>,
    /// `x-amz-acl` and `x-amz-grant-*`
    pub acl: Option<Acl>,
}

/// Who owns what others write into a bucket, and so whether ACLs count there (S3 Object Ownership).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ObjectOwnership {
    /// The bucket's owner, and ACLs do not count. That is how new buckets are.
    #[default]
    BucketOwnerEnforced,
    /// The bucket's owner where the writer's ACL says so.
    BucketOwnerPreferred,
    /// The writer.
    ObjectWriter,
}

impl ObjectOwnership {
    /// The ownership of that name, if there is one.
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::BucketOwnerEnforced, Self::BucketOwnerPreferred, Self::ObjectWriter].into_iter().find(|ownership| ownership.name() == name)
    }

    /// S3's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::BucketOwnerEnforced => "BucketOwnerEnforced",
            Self::BucketOwnerPreferred => "BucketOwnerPreferred",
            Self::ObjectWriter => "ObjectWriter",
        }
    }
}

/// What is refused or left out of account of that which opens a bucket to the public (S3 Block Public Access).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "S3 has these four, each by its own name")]
pub struct PublicAccessBlock {
    /// ACLs that grant rights to the public are refused.
    pub block_public_acls: bool,
    /// Those that are there do not count.
    pub ignore_public_acls: bool,
    /// Bucket policies that allow the public something are refused.
    pub block_public_policy: bool,
    /// Those that are there count for the owner's own users only.
    pub restrict_public_buckets: bool,
}

impl PublicAccessBlock {
    /// Nothing is blocked.
    pub const NONE: Self =
        Self { block_public_acls: false, ignore_public_acls: false, block_public_policy: false, restrict_public_buckets: false };

    /// As it is of new buckets.
    pub const ALL: Self =
        Self { block_public_acls: true, ignore_public_acls: true, block_public_policy: true, restrict_public_buckets: true };
}

/// The default encryption of a bucket, as PutBucketEncryption's one rule gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultEncryption {
    /// `AES256`, `aws:kms` or `aws:kms:dsse`.
    pub algorithm: String,
    /// `KMSMasterKeyID`
    pub kms_key_id: Option<String>,
    /// `BucketKeyEnabled`
    pub bucket_key_enabled: bool,
}

/// The one rule of a bucket's encryption configuration. PutBucketEncryption leaves what it does not name as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptionRule {
    /// The default encryption.
    pub default: Option<DefaultEncryption>,
    /// `BlockedEncryptionTypes`: `SSE-C`, or `NONE`
    pub blocked: Option<Vec<String>>,
}

impl From<DefaultEncryption> for EncryptionRule {
    fn from(default: DefaultEncryption) -> Self {
        Self { default: Some(default), blocked: None }
    }
}

/// What PutBucketVersioning asks for. A bucket that never was asked has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersioningStatus {
    /// `Enabled`
    Enabled,
    /// `Suspended`
    Suspended,
}
