//! What the server does, by the names of IAM.

use crate::ConditionKey;
use crate::error::StatementProblem;
use crate::wildcard::Pattern;

/// Services whose actions and resources a policy may name; `strongroom` is the server's own administration.
pub(crate) const SERVICES: [&str; 3] = ["s3", "kms", "strongroom"];

macro_rules! actions {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal,)*) => {
        /// Something that a caller may or may not do. Source of the names: the Service Authorization Reference of AWS.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action {
            $($(#[doc = $doc])* $variant,)*
        }

        impl Action {
            /// Every action.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name that policies use, such as `s3:GetObject`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

actions! {
    /// `ListBuckets`; on [`crate::arn::ALL_BUCKETS`].
    ListAllMyBuckets = "s3:ListAllMyBuckets",
    /// `CreateBucket`; on the bucket.
    CreateBucket = "s3:CreateBucket",
    /// `DeleteBucket`; on the bucket.
    DeleteBucket = "s3:DeleteBucket",
    /// `ListObjects`, `ListObjectsV2`, `HeadBucket`; on the bucket.
    ListBucket = "s3:ListBucket",
    /// `ListObjectVersions`; on the bucket.
    ListBucketVersions = "s3:ListBucketVersions",
    /// `ListMultipartUploads`; on the bucket.
    ListBucketMultipartUploads = "s3:ListBucketMultipartUploads",
    /// `GetBucketLocation`; on the bucket.
    GetBucketLocation = "s3:GetBucketLocation",
    /// `GetBucketAcl`; on the bucket.
    GetBucketAcl = "s3:GetBucketAcl",
    /// `GetBucketOwnershipControls`; on the bucket.
    GetBucketOwnershipControls = "s3:GetBucketOwnershipControls",
    /// `PutBucketOwnershipControls`, `DeleteBucketOwnershipControls`, and creating a bucket with an ownership; on the bucket.
    PutBucketOwnershipControls = "s3:PutBucketOwnershipControls",
    /// `GetPublicAccessBlock`; on the bucket.
    GetBucketPublicAccessBlock = "s3:GetBucketPublicAccessBlock",
    /// `PutPublicAccessBlock` and `DeletePublicAccessBlock`; on the bucket.
    PutBucketPublicAccessBlock = "s3:PutBucketPublicAccessBlock",
    /// `PutBucketAcl`; on the bucket.
    PutBucketAcl = "s3:PutBucketAcl",
    /// `GetBucketAccelerateConfiguration`; on the bucket.
    GetAccelerateConfiguration = "s3:GetAccelerateConfiguration",
    /// `PutBucketAccelerateConfiguration`; on the bucket.
    PutAccelerateConfiguration = "s3:PutAccelerateConfiguration",
    /// `GetBucketRequestPayment`; on the bucket.
    GetBucketRequestPayment = "s3:GetBucketRequestPayment",
    /// `PutBucketRequestPayment`; on the bucket.
    PutBucketRequestPayment = "s3:PutBucketRequestPayment",
    /// `GetBucketLogging`; on the bucket.
    GetBucketLogging = "s3:GetBucketLogging",
    /// `GetBucketNotificationConfiguration`; on the bucket.
    GetBucketNotification = "s3:GetBucketNotification",
    /// `PutBucketNotificationConfiguration`; on the bucket.
    PutBucketNotification = "s3:PutBucketNotification",
    /// `GetBucketWebsite`; on the bucket.
    GetBucketWebsite = "s3:GetBucketWebsite",
    /// `GetBucketPolicy`; on the bucket.
    GetBucketPolicy = "s3:GetBucketPolicy",
    /// `PutBucketPolicy`; on the bucket.
    PutBucketPolicy = "s3:PutBucketPolicy",
    /// `DeleteBucketPolicy`; on the bucket.
    DeleteBucketPolicy = "s3:DeleteBucketPolicy",
    /// `GetBucketPolicyStatus`; on the bucket.
    GetBucketPolicyStatus = "s3:GetBucketPolicyStatus",
    /// `GetBucketReplication`; on the bucket.
    GetReplicationConfiguration = "s3:GetReplicationConfiguration",
    /// `GetBucketMetadataConfiguration` and `GetBucketMetadataTableConfiguration`; on the bucket.
    GetBucketMetadataTableConfiguration = "s3:GetBucketMetadataTableConfiguration",
    /// `GetBucketAnalyticsConfiguration`; on the bucket.
    GetAnalyticsConfiguration = "s3:GetAnalyticsConfiguration",
    /// `GetBucketInventoryConfiguration`; on the bucket.
    GetInventoryConfiguration = "s3:GetInventoryConfiguration",
    /// `GetBucketMetricsConfiguration`; on the bucket.
    GetMetricsConfiguration = "s3:GetMetricsConfiguration",
    /// `GetBucketIntelligentTieringConfiguration`; on the bucket.
    GetIntelligentTieringConfiguration = "s3:GetIntelligentTieringConfiguration",
    /// `GetBucketVersioning`; on the bucket.
    GetBucketVersioning = "s3:GetBucketVersioning",
    /// `PutBucketVersioning`; on the bucket.
    PutBucketVersioning = "s3:PutBucketVersioning",
    /// `GetBucketTagging`; on the bucket.
    GetBucketTagging = "s3:GetBucketTagging",
    /// `PutBucketTagging` and `DeleteBucketTagging`; on the bucket.
    PutBucketTagging = "s3:PutBucketTagging",
    /// `GetBucketLifecycleConfiguration`; on the bucket.
    GetLifecycleConfiguration = "s3:GetLifecycleConfiguration",
    /// `PutBucketLifecycleConfiguration` and `DeleteBucketLifecycle`; on the bucket.
    PutLifecycleConfiguration = "s3:PutLifecycleConfiguration",
    /// `GetBucketCors`; on the bucket.
    GetBucketCORS = "s3:GetBucketCORS",
    /// `PutBucketCors` and `DeleteBucketCors`; on the bucket.
    PutBucketCORS = "s3:PutBucketCORS",
    /// `GetObjectLockConfiguration`; on the bucket.
    GetBucketObjectLockConfiguration = "s3:GetBucketObjectLockConfiguration",
    /// `PutObjectLockConfiguration`, and creating a bucket with Object Lock; on the bucket.
    PutBucketObjectLockConfiguration = "s3:PutBucketObjectLockConfiguration",
    /// `GetBucketEncryption`; on the bucket.
    GetEncryptionConfiguration = "s3:GetEncryptionConfiguration",
    /// `PutBucketEncryption` and `DeleteBucketEncryption`; on the bucket.
    PutEncryptionConfiguration = "s3:PutEncryptionConfiguration",
    /// `GetObject`, `HeadObject`, and the source of a copy; on the object.
    GetObject = "s3:GetObject",
    /// The same with a version id.
    GetObjectVersion = "s3:GetObjectVersion",
    /// `GetObjectAttributes`, besides `s3:GetObject`; on the object.
    GetObjectAttributes = "s3:GetObjectAttributes",
    /// The same with a version id, besides `s3:GetObjectVersion`.
    GetObjectVersionAttributes = "s3:GetObjectVersionAttributes",
    /// `GetObjectAcl`; on the object.
    GetObjectAcl = "s3:GetObjectAcl",
    /// The same with a version id.
    GetObjectVersionAcl = "s3:GetObjectVersionAcl",
    /// `PutObjectAcl`; on the object.
    PutObjectAcl = "s3:PutObjectAcl",
    /// The same with a version id.
    PutObjectVersionAcl = "s3:PutObjectVersionAcl",
    /// `PutObject`, the target of a copy, and beginning, filling and completing a multipart upload; on the object.
    PutObject = "s3:PutObject",
    /// `UpdateObjectEncryption`, also with a version id; on the object.
    UpdateObjectEncryption = "s3:UpdateObjectEncryption",
    /// `DeleteObject`, and each key of `DeleteObjects`; on the object.
    DeleteObject = "s3:DeleteObject",
    /// The same with a version id.
    DeleteObjectVersion = "s3:DeleteObjectVersion",
    /// `GetObjectTagging`, and the number of tags in other answers; on the object.
    GetObjectTagging = "s3:GetObjectTagging",
    /// The same with a version id.
    GetObjectVersionTagging = "s3:GetObjectVersionTagging",
    /// `PutObjectTagging`, and giving tags to a new object; on the object.
    PutObjectTagging = "s3:PutObjectTagging",
    /// `PutObjectTagging` with a version id.
    PutObjectVersionTagging = "s3:PutObjectVersionTagging",
    /// `DeleteObjectTagging`; on the object.
    DeleteObjectTagging = "s3:DeleteObjectTagging",
    /// The same with a version id.
    DeleteObjectVersionTagging = "s3:DeleteObjectVersionTagging",
    /// `GetObjectRetention`, and the retention in other answers; on the object, also with a version id.
    GetObjectRetention = "s3:GetObjectRetention",
    /// `PutObjectRetention`, and giving a retention or an event hold to a new object; on the object, also with a version id.
    PutObjectRetention = "s3:PutObjectRetention",
    /// Deleting what is retained in governance mode, and shortening such a retention, where the request asks for it; on the object.
    BypassGovernanceRetention = "s3:BypassGovernanceRetention",
    /// `GetObjectLegalHold`, and the legal hold in other answers; on the object, also with a version id.
    GetObjectLegalHold = "s3:GetObjectLegalHold",
    /// `PutObjectLegalHold`, and giving a legal hold to a new object; on the object, also with a version id.
    PutObjectLegalHold = "s3:PutObjectLegalHold",
    /// `AbortMultipartUpload`; on the object.
    AbortMultipartUpload = "s3:AbortMultipartUpload",
    /// `ListParts`; on the object.
    ListMultipartUploadParts = "s3:ListMultipartUploadParts",
    /// Encrypting new data under a KMS key; on the key.
    GenerateDataKey = "kms:GenerateDataKey",
    /// Reading data that is encrypted under a KMS key; on the key.
    Decrypt = "kms:Decrypt",

    /// Making a key; on the key, or on [`crate::arn::ALL_KEYS`] where the backend names it.
    CreateKey = "kms:CreateKey",
    /// Making a key of one's own material, besides `kms:CreateKey`; on the key.
    ImportKeyMaterial = "kms:ImportKeyMaterial",
    /// Listing keys; on [`crate::arn::ALL_KEYS`].
    ListKeys = "kms:ListKeys",
    /// Describing a key; on the key.
    DescribeKey = "kms:DescribeKey",
    /// Letting a disabled key be used again; on the key.
    EnableKey = "kms:EnableKey",
    /// Refusing every use of a key; on the key.
    DisableKey = "kms:DisableKey",
    /// Adding a version to a key now; on the key.
    RotateKeyOnDemand = "kms:RotateKeyOnDemand",
    /// Having versions added on schedule; on the key.
    EnableKeyRotation = "kms:EnableKeyRotation",
    /// Ending that; on the key.
    DisableKeyRotation = "kms:DisableKeyRotation",
    /// Sealing one key; on the key. Not of AWS.
    SealKey = "kms:SealKey",
    /// Unsealing one key; on the key. Not of AWS.
    UnsealKey = "kms:UnsealKey",
    /// Tagging a key; on the key.
    TagResource = "kms:TagResource",
    /// Removing tags of a key; on the key.
    UntagResource = "kms:UntagResource",
    /// Replacing the description of a key; on the key.
    UpdateKeyDescription = "kms:UpdateKeyDescription",
    /// Having a key destroyed after a window; on the key.
    ScheduleKeyDeletion = "kms:ScheduleKeyDeletion",
    /// Taking that back; on the key.
    CancelKeyDeletion = "kms:CancelKeyDeletion",
    /// Destroying a key at once, besides `kms:ScheduleKeyDeletion`; on the key. Not of AWS.
    DeleteKeyNow = "kms:DeleteKeyNow",
    /// Destroying a key though Object Lock keeps versions that depend on it, besides `kms:DeleteKeyNow`; on the key. Not of AWS.
    DeleteLockedKey = "kms:DeleteLockedKey",

    /// State and configuration of key management, without secrets; on [`crate::arn::KMS`], as all that follow.
    GetKmsStatus = "strongroom:GetKmsStatus",
    /// Configuring key management.
    ConfigureKms = "strongroom:ConfigureKms",
    /// Starting, stopping, sealing and unsealing it, and clearing its caches.
    ControlKms = "strongroom:ControlKms",
    /// What depends on keys: buckets, objects, bytes.
    GetKeyUsage = "strongroom:GetKeyUsage",
    /// Starting and cancelling re-key jobs.
    RekeyObjects = "strongroom:RekeyObjects",
    /// Reading re-key jobs.
    GetRekeyJobs = "strongroom:GetRekeyJobs",
    /// Exporting all keys of the local backend, sealed under a passphrase.
    BackupKeys = "strongroom:BackupKeys",
    /// Restoring them.
    RestoreKeys = "strongroom:RestoreKeys",
    /// In which mode and under which key each version of an object lies, besides `s3:ListBucketVersions` on its bucket.
    GetInventory = "strongroom:GetInventory",
    /// Starting and cancelling lifecycle passes.
    RunLifecycle = "strongroom:RunLifecycle",
    /// Reading lifecycle passes.
    GetLifecyclePasses = "strongroom:GetLifecyclePasses",
    /// Adding and removing erasure rules, besides `kms:ScheduleKeyDeletion` on the key.
    ManageErasureRules = "strongroom:ManageErasureRules",
    /// Reading erasure rules.
    GetErasureRules = "strongroom:GetErasureRules",
    /// Reading what the outbox of events holds, and its dead events.
    GetEvents = "strongroom:GetEvents",
    /// Sending dead events again, and dropping events.
    ManageEvents = "strongroom:ManageEvents",
    /// The head of the audit log, and erasure receipts.
    ReadAudit = "strongroom:ReadAudit",
}

impl Action {
    /// The condition keys that policies may put to this action, besides those that every action has. In a request for another action such
    /// a header or parameter is the client's to add at will, so it must not open anything. Source: the condition keys of each action in the
    /// Service Authorization Reference of AWS.
    pub const fn condition_keys(self) -> &'static [ConditionKey] {
        use ConditionKey as Key;
        match self {
            Self::PutObject => &[
                Key::Encryption,
                Key::EncryptionKeyId,
                Key::CustomerAlgorithm,
                Key::CannedAcl,
                Key::GrantRead,
                Key::GrantWrite,
                Key::GrantReadAcp,
                Key::GrantWriteAcp,
                Key::GrantFullControl,
                Key::CopySource,
                Key::MetadataDirective,
                Key::StorageClass,
                Key::LockMode,
                Key::LockRetainUntil,
                Key::LockRemainingDays,
                Key::LockLegalHold,
            ],
            Self::PutObjectRetention | Self::BypassGovernanceRetention => &[Key::LockMode, Key::LockRetainUntil, Key::LockRemainingDays],
            Self::PutObjectLegalHold => &[Key::LockLegalHold],
            Self::CreateBucket | Self::PutBucketAcl | Self::PutObjectAcl => ACL_KEYS,
            Self::PutObjectVersionAcl => &[
                Key::CannedAcl,
                Key::GrantRead,
                Key::GrantWrite,
                Key::GrantReadAcp,
                Key::GrantWriteAcp,
                Key::GrantFullControl,
                Key::VersionId,
            ],
            Self::ListBucket | Self::ListBucketVersions => &[Key::Prefix, Key::Delimiter, Key::MaxKeys],
            Self::GetObjectVersion
            | Self::GetObjectVersionAttributes
            | Self::GetObjectVersionAcl
            | Self::GetObjectVersionTagging
            | Self::PutObjectVersionTagging
            | Self::DeleteObjectVersion
            | Self::DeleteObjectVersionTagging => &[Key::VersionId],
            _ => &[],
        }
    }

    /// Whether a condition of that key can hold for this action.
    pub(crate) fn has(self, key: ConditionKey) -> bool {
        OF_EVERY_ACTION.contains(&key) || self.condition_keys().contains(&key)
    }

    /// Whether `s3:ExistingObjectTag/NAME` can hold for this action.
    pub fn has_existing_tags(self) -> bool {
        matches!(
            self,
            Self::GetObject
                | Self::GetObjectVersion
                | Self::GetObjectAttributes
                | Self::GetObjectVersionAttributes
                | Self::GetObjectAcl
                | Self::GetObjectVersionAcl
                | Self::PutObjectAcl
                | Self::PutObjectVersionAcl
                | Self::GetObjectTagging
                | Self::GetObjectVersionTagging
                | Self::PutObjectTagging
                | Self::PutObjectVersionTagging
                | Self::DeleteObjectTagging
                | Self::DeleteObjectVersionTagging
        )
    }

    /// Whether `s3:RequestObjectTag/NAME` can hold for this action.
    pub fn has_request_tags(self) -> bool {
        matches!(self, Self::PutObject | Self::PutObjectTagging | Self::PutObjectVersionTagging)
    }
}

/// What every request has, whatever it is for.
const OF_EVERY_ACTION: [ConditionKey; 8] = [
    ConditionKey::SecureTransport,
    ConditionKey::SourceIp,
    ConditionKey::CurrentTime,
    ConditionKey::UserName,
    ConditionKey::PrincipalArn,
    ConditionKey::PrincipalAccount,
    ConditionKey::Referer,
    ConditionKey::UserAgent,
];

const ACL_KEYS: &[ConditionKey] = &[
    ConditionKey::CannedAcl,
    ConditionKey::GrantRead,
    ConditionKey::GrantWrite,
    ConditionKey::GrantReadAcp,
    ConditionKey::GrantWriteAcp,
    ConditionKey::GrantFullControl,
];

/// A set of actions: one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ActionSet(u128);

const _: () = assert!(Action::ALL.len() <= 128, "an ActionSet has 128 bits");

impl ActionSet {
    /// The actions that a policy's action pattern means. The empty set is no error: AWS knows actions that this server does not have.
    pub(crate) fn matching(pattern: &str) -> Result<Self, StatementProblem> {
        check_form(pattern)?;
        let compiled = Pattern::new(&pattern.to_ascii_lowercase())?;
        let matching = Action::ALL.iter().filter(|action| compiled.matches(&action.as_str().to_ascii_lowercase()));
        Ok(matching.fold(Self::default(), |set, action| set.union(Self(action.bit()))))
    }

    pub(crate) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn contains(self, action: Action) -> bool {
        self.0 & action.bit() != 0
    }
}

impl Action {
    const fn bit(self) -> u128 {
        1 << self as u32
    }
}

/// `*`, or `service:name` of a service there is.
fn check_form(pattern: &str) -> Result<(), StatementProblem> {
    if pattern == "*" {
        return Ok(());
    }
    let malformed = || StatementProblem::MalformedAction(pattern.to_owned());
    let (service, name) = pattern.split_once(':').ok_or_else(malformed)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'*' || byte == b'?';
    if service.is_empty() || name.is_empty() || !service.bytes().chain(name.bytes()).all(allowed) {
        return Err(malformed());
    }
    let service_pattern = Pattern::new(&service.to_ascii_lowercase())?;
    if SERVICES.iter().any(|known| service_pattern.matches(known)) {
        Ok(())
    } else {
        Err(StatementProblem::ForeignService(pattern.to_owned()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn matching(pattern: &str) -> Vec<Action> {
        let set = ActionSet::matching(pattern).unwrap();
        Action::ALL.iter().copied().filter(|action| set.contains(*action)).collect()
    }

    #[test]
    fn an_action_is_named_as_its_variant_is() {
        for action in Action::ALL {
            let (service, name) = action.as_str().split_once(':').unwrap();
            assert_eq!(name, format!("{action:?}"));
            assert!(SERVICES.contains(&service));
        }
    }

    #[test]
    fn patterns_match_whatever_the_case() {
        assert_eq!(matching("s3:getobject"), [Action::GetObject]);
        assert_eq!(matching("S3:GetObject"), [Action::GetObject]);
        assert_eq!(matching("KMS:*Data*"), [Action::GenerateDataKey]);
        assert_eq!(matching("kms:*Deletion"), [Action::ScheduleKeyDeletion, Action::CancelKeyDeletion]);
        assert!(matching("kms:*").iter().all(|action| action.as_str().starts_with("kms:")));
        let deletes = [Action::DeleteObject, Action::DeleteObjectVersion, Action::DeleteObjectTagging, Action::DeleteObjectVersionTagging];
        assert_eq!(matching("s3:DeleteObject*"), deletes);
        assert_eq!(matching("s3:?utObject"), [Action::PutObject]);
        assert_eq!(matching("*"), Action::ALL);
        assert_eq!(matching("*:*"), Action::ALL);
        assert_eq!(matching("s3:GetObjectTorrent"), []);
    }

    #[test]
    fn what_is_no_action_is_refused() {
        for pattern in ["", "s3", "s3:", ":GetObject", "GetObject", "s3:Get Object", "s3:Get/Object", "s3:${x}", "s3:a:b"] {
            assert_eq!(ActionSet::matching(pattern), Err(StatementProblem::MalformedAction(pattern.to_owned())));
        }
        for pattern in ["ec2:RunInstances", "s4:GetObject", "e*:*"] {
            assert_eq!(ActionSet::matching(pattern), Err(StatementProblem::ForeignService(pattern.to_owned())));
        }
    }
}
