//! Which condition keys an action has.

use crate::{Action, ConditionKey};

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
                Key::IfMatch,
                Key::IfNoneMatch,
                Key::ObjectCreation,
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
            | Self::DeleteObjectVersionTagging => &[Key::VersionId],
            Self::DeleteObject => &[Key::IfMatch],
            Self::DeleteObjectVersion => &[Key::IfMatch, Key::VersionId],
            Self::AttachGroupPolicy | Self::DetachGroupPolicy => &[Key::PolicyArn],
            Self::AttachUserPolicy | Self::DetachUserPolicy | Self::AttachRolePolicy | Self::DetachRolePolicy => {
                &[Key::PolicyArn, Key::PermissionsBoundary]
            }
            Self::CreateUser
            | Self::PutUserPermissionsBoundary
            | Self::DeleteUserPermissionsBoundary
            | Self::PutUserPolicy
            | Self::DeleteUserPolicy
            | Self::CreateRole
            | Self::PutRolePermissionsBoundary
            | Self::DeleteRolePermissionsBoundary
            | Self::PutRolePolicy
            | Self::DeleteRolePolicy => &[Key::PermissionsBoundary],
            // The two others are asked about the same request.
            Self::AssumeRole | Self::TagSession | Self::SetSourceIdentity => {
                &[Key::ExternalId, Key::RoleSessionName, Key::SessionSourceIdentity]
            }
            Self::AssumeRoleWithWebIdentity | Self::AssumeRoleWithLDAPIdentity | Self::AssumeRoleWithCertificate => {
                &[Key::RoleSessionName, Key::SessionSourceIdentity]
            }
            Self::GenerateDataKey | Self::Decrypt => &[Key::ViaService],
            Self::CreateKey | Self::PutKeyPolicy => &[Key::BypassPolicyLockoutSafetyCheck],
            Self::CreateGrant => &[Key::GranteePrincipal, Key::RetiringPrincipal, Key::GrantIsForAwsResource],
            _ => &[],
        }
    }

    /// Whether a condition of that key can hold for this action.
    pub(crate) fn has(self, key: ConditionKey) -> bool {
        OF_EVERY_ACTION.contains(&key)
            || (self.service() == "s3" && OF_EVERY_S3_ACTION.contains(&key))
            || self.condition_keys().contains(&key)
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

    /// Whether `kms:EncryptionContext:NAME` and `kms:EncryptionContextKeys` can hold for this action.
    pub(crate) fn has_encryption_context(self) -> bool {
        matches!(self, Self::GenerateDataKey | Self::Decrypt)
    }

    /// Whether `s3:RequestObjectTag/NAME` can hold for this action.
    pub fn has_request_tags(self) -> bool {
        matches!(self, Self::PutObject | Self::PutObjectTagging | Self::PutObjectVersionTagging)
    }

    /// Whether `aws:ResourceTag/NAME` can hold for this action.
    pub(crate) fn is_about_identities(self) -> bool {
        matches!(self.service(), "iam" | "sts")
    }

    /// Whether `aws:RequestTag/NAME` and `aws:TagKeys` can hold for this action.
    pub fn gives_tags_to_identities(self) -> bool {
        matches!(
            self,
            Self::CreateUser
                | Self::TagUser
                | Self::UntagUser
                | Self::CreateRole
                | Self::TagRole
                | Self::UntagRole
                | Self::CreatePolicy
                | Self::TagPolicy
                | Self::UntagPolicy
                | Self::CreateOpenIDConnectProvider
                | Self::TagOpenIDConnectProvider
                | Self::UntagOpenIDConnectProvider
                | Self::AssumeRole
                | Self::AssumeRoleWithWebIdentity
                | Self::TagSession
        )
    }
}

/// What every request has, whatever it is for.
const OF_EVERY_ACTION: [ConditionKey; 5] =
    [ConditionKey::SecureTransport, ConditionKey::SourceIp, ConditionKey::CurrentTime, ConditionKey::Referer, ConditionKey::UserAgent];

/// What every request for S3 has.
const OF_EVERY_S3_ACTION: [ConditionKey; 5] = [
    ConditionKey::AuthType,
    ConditionKey::SignatureVersion,
    ConditionKey::SignatureAge,
    ConditionKey::ContentSha256,
    ConditionKey::TlsVersion,
];

const ACL_KEYS: &[ConditionKey] = &[
    ConditionKey::CannedAcl,
    ConditionKey::GrantRead,
    ConditionKey::GrantWrite,
    ConditionKey::GrantReadAcp,
    ConditionKey::GrantWriteAcp,
    ConditionKey::GrantFullControl,
];
