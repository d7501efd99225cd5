//! Requests about buckets.

/// CreateBucket.
#[derive(Clone, Debug)]
pub struct CreateBucket {
    /// The name.
    pub name: String,
    /// The location constraint; empty where none was given.
    pub region: String,
    /// `x-amz-bucket-object-lock-enabled`: versioned from the start, and its versions can be locked.
    pub object_lock: bool,
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
