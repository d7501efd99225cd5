//! What the server does, by the names of IAM.

/// Services whose actions and resources a policy may name; `strongroom` is the server's own administration.
pub(crate) const SERVICES: [&str; 5] = ["s3", "kms", "strongroom", "iam", "sts"];

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
    /// Reading the policy of a key; on the key.
    GetKeyPolicy = "kms:GetKeyPolicy",
    /// Giving a key a policy, or another one; on the key.
    PutKeyPolicy = "kms:PutKeyPolicy",
    /// Adding a grant to a key; on the key.
    CreateGrant = "kms:CreateGrant",
    /// Reading the grants of a key; on the key.
    ListGrants = "kms:ListGrants",
    /// Taking a grant away; on the key.
    RevokeGrant = "kms:RevokeGrant",
    /// Giving a grant up; on the key. Who the grant names for that needs no other right.
    RetireGrant = "kms:RetireGrant",
    /// Listing the grants that somebody may give up; on [`crate::arn::ALL_KEYS`].
    ListRetirableGrants = "kms:ListRetirableGrants",
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
    /// Making an account.
    CreateAccount = "strongroom:CreateAccount",
    /// Describing an account.
    GetAccount = "strongroom:GetAccount",
    /// Listing accounts.
    ListAccounts = "strongroom:ListAccounts",
    /// Removing an account in which nothing is.
    DeleteAccount = "strongroom:DeleteAccount",
    /// Making an access key of the root of an account.
    CreateAccountKey = "strongroom:CreateAccountKey",
    /// The access keys of the root of an account, without secrets.
    ListAccountKeys = "strongroom:ListAccountKeys",
    /// Switching one on or off.
    UpdateAccountKey = "strongroom:UpdateAccountKey",
    /// Removing one.
    DeleteAccountKey = "strongroom:DeleteAccountKey",

    /// Making a user; on the user.
    CreateUser = "iam:CreateUser",
    /// Describing a user; on the user.
    GetUser = "iam:GetUser",
    /// Renaming a user, or moving it to another path; on the user.
    UpdateUser = "iam:UpdateUser",
    /// Removing a user; on the user.
    DeleteUser = "iam:DeleteUser",
    /// Listing users; on [`crate::arn::user`] with the path and the name `*`, as the other lists of one kind.
    ListUsers = "iam:ListUsers",
    /// The groups of a user; on the user.
    ListGroupsForUser = "iam:ListGroupsForUser",
    /// The tags of a user; on the user.
    ListUserTags = "iam:ListUserTags",
    /// Tagging a user; on the user.
    TagUser = "iam:TagUser",
    /// Removing tags of a user; on the user.
    UntagUser = "iam:UntagUser",
    /// Bounding what a user may be given; on the user.
    PutUserPermissionsBoundary = "iam:PutUserPermissionsBoundary",
    /// Taking that bound away; on the user.
    DeleteUserPermissionsBoundary = "iam:DeleteUserPermissionsBoundary",
    /// Attaching a managed policy to a user; on the user.
    AttachUserPolicy = "iam:AttachUserPolicy",
    /// Detaching one; on the user.
    DetachUserPolicy = "iam:DetachUserPolicy",
    /// The managed policies of a user; on the user.
    ListAttachedUserPolicies = "iam:ListAttachedUserPolicies",
    /// Writing an inline policy of a user; on the user.
    PutUserPolicy = "iam:PutUserPolicy",
    /// Reading one; on the user.
    GetUserPolicy = "iam:GetUserPolicy",
    /// Removing one; on the user.
    DeleteUserPolicy = "iam:DeleteUserPolicy",
    /// Their names; on the user.
    ListUserPolicies = "iam:ListUserPolicies",
    /// Making an access key of a user; on the user.
    CreateAccessKey = "iam:CreateAccessKey",
    /// Switching one on or off; on the user.
    UpdateAccessKey = "iam:UpdateAccessKey",
    /// Removing one; on the user.
    DeleteAccessKey = "iam:DeleteAccessKey",
    /// The access keys of a user, without secrets; on the user.
    ListAccessKeys = "iam:ListAccessKeys",
    /// When a key was last used; on the user.
    GetAccessKeyLastUsed = "iam:GetAccessKeyLastUsed",
    /// Making a group; on the group.
    CreateGroup = "iam:CreateGroup",
    /// Describing a group and its members; on the group.
    GetGroup = "iam:GetGroup",
    /// Renaming a group, or moving it to another path; on the group.
    UpdateGroup = "iam:UpdateGroup",
    /// Removing a group; on the group.
    DeleteGroup = "iam:DeleteGroup",
    /// Listing groups; on those of the account.
    ListGroups = "iam:ListGroups",
    /// Adding a member; on the group.
    AddUserToGroup = "iam:AddUserToGroup",
    /// Removing one; on the group.
    RemoveUserFromGroup = "iam:RemoveUserFromGroup",
    /// Attaching a managed policy to a group; on the group.
    AttachGroupPolicy = "iam:AttachGroupPolicy",
    /// Detaching one; on the group.
    DetachGroupPolicy = "iam:DetachGroupPolicy",
    /// The managed policies of a group; on the group.
    ListAttachedGroupPolicies = "iam:ListAttachedGroupPolicies",
    /// Writing an inline policy of a group; on the group.
    PutGroupPolicy = "iam:PutGroupPolicy",
    /// Reading one; on the group.
    GetGroupPolicy = "iam:GetGroupPolicy",
    /// Removing one; on the group.
    DeleteGroupPolicy = "iam:DeleteGroupPolicy",
    /// Their names; on the group.
    ListGroupPolicies = "iam:ListGroupPolicies",
    /// Making a role; on the role.
    CreateRole = "iam:CreateRole",
    /// Describing a role; on the role.
    GetRole = "iam:GetRole",
    /// Changing description and longest session of a role; on the role.
    UpdateRole = "iam:UpdateRole",
    /// Changing the description of a role; on the role.
    UpdateRoleDescription = "iam:UpdateRoleDescription",
    /// Saying who may assume a role; on the role.
    UpdateAssumeRolePolicy = "iam:UpdateAssumeRolePolicy",
    /// Removing a role; on the role.
    DeleteRole = "iam:DeleteRole",
    /// Listing roles; on those of the account.
    ListRoles = "iam:ListRoles",
    /// The tags of a role; on the role.
    ListRoleTags = "iam:ListRoleTags",
    /// Tagging a role; on the role.
    TagRole = "iam:TagRole",
    /// Removing tags of a role; on the role.
    UntagRole = "iam:UntagRole",
    /// The instance profiles of a role, of which there are none; on the role.
    ListInstanceProfilesForRole = "iam:ListInstanceProfilesForRole",
    /// Bounding what a role may be given; on the role.
    PutRolePermissionsBoundary = "iam:PutRolePermissionsBoundary",
    /// Taking that bound away; on the role.
    DeleteRolePermissionsBoundary = "iam:DeleteRolePermissionsBoundary",
    /// Attaching a managed policy to a role; on the role.
    AttachRolePolicy = "iam:AttachRolePolicy",
    /// Detaching one; on the role.
    DetachRolePolicy = "iam:DetachRolePolicy",
    /// The managed policies of a role; on the role.
    ListAttachedRolePolicies = "iam:ListAttachedRolePolicies",
    /// Writing an inline policy of a role; on the role.
    PutRolePolicy = "iam:PutRolePolicy",
    /// Reading one; on the role.
    GetRolePolicy = "iam:GetRolePolicy",
    /// Removing one; on the role.
    DeleteRolePolicy = "iam:DeleteRolePolicy",
    /// Their names; on the role.
    ListRolePolicies = "iam:ListRolePolicies",
    /// Making a managed policy; on the policy.
    CreatePolicy = "iam:CreatePolicy",
    /// Describing a managed policy; on the policy.
    GetPolicy = "iam:GetPolicy",
    /// Removing a managed policy; on the policy.
    DeletePolicy = "iam:DeletePolicy",
    /// Listing managed policies; on those of the account.
    ListPolicies = "iam:ListPolicies",
    /// Adding a version of a managed policy; on the policy.
    CreatePolicyVersion = "iam:CreatePolicyVersion",
    /// Reading one; on the policy.
    GetPolicyVersion = "iam:GetPolicyVersion",
    /// Removing one; on the policy.
    DeletePolicyVersion = "iam:DeletePolicyVersion",
    /// Listing them; on the policy.
    ListPolicyVersions = "iam:ListPolicyVersions",
    /// Saying which version holds; on the policy.
    SetDefaultPolicyVersion = "iam:SetDefaultPolicyVersion",
    /// To whom a managed policy is attached; on the policy.
    ListEntitiesForPolicy = "iam:ListEntitiesForPolicy",
    /// The tags of a managed policy; on the policy.
    ListPolicyTags = "iam:ListPolicyTags",
    /// Tagging a managed policy; on the policy.
    TagPolicy = "iam:TagPolicy",
    /// Removing tags of a managed policy; on the policy.
    UntagPolicy = "iam:UntagPolicy",
    /// Trusting a provider of OpenID Connect; on the provider.
    CreateOpenIDConnectProvider = "iam:CreateOpenIDConnectProvider",
    /// Describing a provider; on the provider.
    GetOpenIDConnectProvider = "iam:GetOpenIDConnectProvider",
    /// Trusting it no more; on the provider.
    DeleteOpenIDConnectProvider = "iam:DeleteOpenIDConnectProvider",
    /// Listing providers; on those of the account.
    ListOpenIDConnectProviders = "iam:ListOpenIDConnectProviders",
    /// Replacing the certificates that a provider is known by; on the provider.
    UpdateOpenIDConnectProviderThumbprint = "iam:UpdateOpenIDConnectProviderThumbprint",
    /// Taking tokens for one more client; on the provider.
    AddClientIDToOpenIDConnectProvider = "iam:AddClientIDToOpenIDConnectProvider",
    /// Taking them no more; on the provider.
    RemoveClientIDFromOpenIDConnectProvider = "iam:RemoveClientIDFromOpenIDConnectProvider",
    /// The tags of a provider; on the provider.
    ListOpenIDConnectProviderTags = "iam:ListOpenIDConnectProviderTags",
    /// Tagging a provider; on the provider.
    TagOpenIDConnectProvider = "iam:TagOpenIDConnectProvider",
    /// Removing tags of a provider; on the provider.
    UntagOpenIDConnectProvider = "iam:UntagOpenIDConnectProvider",
    /// What an identity may do, and which statement says so; on the user, group or role.
    SimulatePrincipalPolicy = "iam:SimulatePrincipalPolicy",
    /// What policies would allow; on [`crate::arn::account`], as what follows down to the details.
    SimulateCustomPolicy = "iam:SimulateCustomPolicy",
    /// Which condition keys the policies of an identity ask for; on the user, group or role.
    GetContextKeysForPrincipalPolicy = "iam:GetContextKeysForPrincipalPolicy",
    /// Which condition keys policies ask for.
    GetContextKeysForCustomPolicy = "iam:GetContextKeysForCustomPolicy",
    /// How many users, groups, roles and policies there are.
    GetAccountSummary = "iam:GetAccountSummary",
    /// All users, groups, roles and policies.
    GetAccountAuthorizationDetails = "iam:GetAccountAuthorizationDetails",
    /// When a user got a password, which none has; on the user, as the calls down to the virtual devices.
    GetLoginProfile = "iam:GetLoginProfile",
    /// Taking a user's password away.
    DeleteLoginProfile = "iam:DeleteLoginProfile",
    /// A user's devices, of which there are none.
    ListMFADevices = "iam:ListMFADevices",
    /// A user's SSH keys, of which there are none.
    ListSSHPublicKeys = "iam:ListSSHPublicKeys",
    /// A user's certificates, of which there are none.
    ListSigningCertificates = "iam:ListSigningCertificates",
    /// A user's credentials for other services, of which there are none.
    ListServiceSpecificCredentials = "iam:ListServiceSpecificCredentials",
    /// The account's devices, of which there are none; on the account, as all that follow of `iam`.
    ListVirtualMFADevices = "iam:ListVirtualMFADevices",
    /// Instance profiles, of which there are none.
    ListInstanceProfiles = "iam:ListInstanceProfiles",
    /// Server certificates, of which there are none.
    ListServerCertificates = "iam:ListServerCertificates",
    /// SAML providers, of which there are none.
    ListSAMLProviders = "iam:ListSAMLProviders",
    /// Other names of the account, of which there are none.
    ListAccountAliases = "iam:ListAccountAliases",
    /// Rules for passwords, of which there are none.
    GetAccountPasswordPolicy = "iam:GetAccountPasswordPolicy",
    /// Becoming a session of a role; on the role.
    AssumeRole = "sts:AssumeRole",
    /// The same with a token of a provider of OpenID Connect; on the role.
    AssumeRoleWithWebIdentity = "sts:AssumeRoleWithWebIdentity",
    /// The same with name and password of a directory; on the role. Not of AWS; MinIO's name.
    AssumeRoleWithLDAPIdentity = "sts:AssumeRoleWithLDAPIdentity",
    /// The same with a client certificate; on the role. Not of AWS; MinIO's name.
    AssumeRoleWithCertificate = "sts:AssumeRoleWithCertificate",
    /// Giving tags to a session, besides assuming the role; on the role.
    TagSession = "sts:TagSession",
    /// Saying who a session acts for, besides assuming the role; on the role.
    SetSourceIdentity = "sts:SetSourceIdentity",
    /// Temporary credentials of one's own; on the caller.
    GetSessionToken = "sts:GetSessionToken",
    /// Who signs; on the caller.
    GetCallerIdentity = "sts:GetCallerIdentity",
}

impl Action {
    /// Its service, such as `s3`.
    pub(crate) fn service(self) -> &'static str {
        self.as_str().split_once(':').map_or("", |(service, _)| service)
    }

    /// Its word and its bit of an [`crate::action_set::ActionSet`].
    pub(crate) const fn place(self) -> (usize, u64) {
        (self as usize / 64, 1 << (self as usize % 64))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_named_as_its_variant_is() {
        for action in Action::ALL {
            let (service, name) = action.as_str().split_once(':').unwrap();
            assert_eq!(name, format!("{action:?}"));
            assert!(SERVICES.contains(&service));
        }
    }
}
