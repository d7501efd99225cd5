//! What a policy's conditions can look at in a request.

use std::collections::BTreeMap;

use crate::arn;
use crate::key::Key;

macro_rules! condition_keys {
    ($($(#[doc = $doc:literal])* $variant:ident: $kind:ident = $name:literal,)*) => {
        /// A property of a request, by the condition key of IAM.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ConditionKey {
            $($(#[doc = $doc])* $variant,)*
        }

        impl ConditionKey {
            /// Every key.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name that policies use.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            pub(crate) const fn kind(self) -> ValueKind {
                match self {
                    $(Self::$variant => ValueKind::$kind,)*
                }
            }
        }
    };
}

/// What the values of a key are, which says which operators suit it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueKind {
    Text,
    Bool,
    /// An IP address.
    Address,
    Number,
    /// Seconds since 1970.
    Date,
    /// Whatever somebody wrote into a tag or a token: every operator suits it, and does not hold where the value is not of its kind.
    Any,
}

condition_keys! {
    /// Whether the request came over TLS: `true` or `false`.
    SecureTransport: Bool = "aws:SecureTransport",
    /// The address that the request came from; behind a trusted proxy the one that the proxy names.
    SourceIp: Address = "aws:SourceIp",
    /// The moment of the request, in seconds since 1970.
    CurrentTime: Date = "aws:CurrentTime",
    /// How a request of S3 says who it is: `REST-HEADER`, `REST-QUERY-STRING` (a presigned URL) or `POST` (a form).
    AuthType: Text = "s3:authType",
    /// The version of its signature: `AWS4-HMAC-SHA256`, or `AWS` for version 2.
    SignatureVersion: Text = "s3:signatureversion",
    /// How long ago it was signed, in milliseconds.
    SignatureAge: Number = "s3:signatureAge",
    /// The header `x-amz-content-sha256`, or `UNSIGNED-PAYLOAD` where the signature does not cover the body.
    ContentSha256: Text = "s3:x-amz-content-sha256",
    /// The version of TLS: `1.2` or `1.3`.
    TlsVersion: Number = "s3:TlsVersion",
    /// The header `Referer`, as the client sent it.
    Referer: Text = "aws:Referer",
    /// The header `User-Agent`, as the client sent it.
    UserAgent: Text = "aws:UserAgent",
    /// The ARN of the managed policy that is attached or detached.
    PolicyArn: Text = "iam:PolicyARN",
    /// The ARN of the permission boundary that a user or a role has, or is given by the request.
    PermissionsBoundary: Text = "iam:PermissionsBoundary",
    /// What a request for a session says it was told by the owner of the role.
    ExternalId: Text = "sts:ExternalId",
    /// The name that a request gives to its session.
    RoleSessionName: Text = "sts:RoleSessionName",
    /// Who a request says its session acts for.
    SessionSourceIdentity: Text = "sts:SourceIdentity",
    /// The service that uses a key on the caller's behalf: [`crate::VIA_S3`] for requests to S3.
    ViaService: Text = "kms:ViaService",
    /// Who a grant is for.
    GranteePrincipal: Text = "kms:GranteePrincipal",
    /// Who may give a grant up.
    RetiringPrincipal: Text = "kms:RetiringPrincipal",
    /// Whether a service makes a grant for itself, which none does: `false`.
    GrantIsForAwsResource: Bool = "kms:GrantIsForAWSResource",
    /// Whether a request gives a key a policy that its own sender could not change any more.
    BypassPolicyLockoutSafetyCheck: Bool = "kms:BypassPolicyLockoutSafetyCheck",
    /// The header `x-amz-server-side-encryption`, as the client sent it.
    Encryption: Text = "s3:x-amz-server-side-encryption",
    /// The KMS key that the request names, by id or ARN.
    EncryptionKeyId: Text = "s3:x-amz-server-side-encryption-aws-kms-key-id",
    /// The header `x-amz-server-side-encryption-customer-algorithm`, as the client sent it.
    CustomerAlgorithm: Text = "s3:x-amz-server-side-encryption-customer-algorithm",
    /// The prefix of a listing.
    Prefix: Text = "s3:prefix",
    /// The delimiter of a listing.
    Delimiter: Text = "s3:delimiter",
    /// The largest page that a listing asks for.
    MaxKeys: Number = "s3:max-keys",
    /// The version that the request names.
    VersionId: Text = "s3:VersionId",
    /// The header `x-amz-acl`: a canned ACL.
    CannedAcl: Text = "s3:x-amz-acl",
    /// The header `x-amz-grant-read`.
    GrantRead: Text = "s3:x-amz-grant-read",
    /// The header `x-amz-grant-write`.
    GrantWrite: Text = "s3:x-amz-grant-write",
    /// The header `x-amz-grant-read-acp`.
    GrantReadAcp: Text = "s3:x-amz-grant-read-acp",
    /// The header `x-amz-grant-write-acp`.
    GrantWriteAcp: Text = "s3:x-amz-grant-write-acp",
    /// The header `x-amz-grant-full-control`.
    GrantFullControl: Text = "s3:x-amz-grant-full-control",
    /// The header `If-Match` of a write or a delete, as the client sent it.
    IfMatch: Text = "s3:if-match",
    /// The header `If-None-Match` of a write, as the client sent it.
    IfNoneMatch: Text = "s3:if-none-match",
    /// Whether the request creates an object: beginning and filling a multipart upload does not.
    ObjectCreation: Bool = "s3:ObjectCreationOperation",
    /// Bucket and key that a copy reads: `bucket/key`, decoded, without a slash before it.
    CopySource: Text = "s3:x-amz-copy-source",
    /// The header `x-amz-metadata-directive` of a copy.
    MetadataDirective: Text = "s3:x-amz-metadata-directive",
    /// The header `x-amz-storage-class`.
    StorageClass: Text = "s3:x-amz-storage-class",
    /// The mode of the retention that the request gives to an object: `GOVERNANCE` or `COMPLIANCE`.
    LockMode: Text = "s3:object-lock-mode",
    /// The end of that retention, in seconds since 1970.
    LockRetainUntil: Date = "s3:object-lock-retain-until-date",
    /// How long that is from now on, in days; one that has begun counts whole.
    LockRemainingDays: Number = "s3:object-lock-remaining-retention-days",
    /// The legal hold that the request gives to an object: `ON` or `OFF`.
    LockLegalHold: Text = "s3:object-lock-legal-hold",
}

impl ConditionKey {
    /// The key of that name, in whatever case.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|key| key.as_str().eq_ignore_ascii_case(name))
    }
}

/// The properties of one request. A key without a value is absent from the request.
#[derive(Clone, Debug)]
pub struct Conditions {
    values: [Option<String>; ConditionKey::ALL.len()],
    existing_tags: Vec<(String, String)>,
    request_tags: Vec<(String, String)>,
    /// What the data key is bound to that the request makes or opens.
    encryption_context: Vec<(String, String)>,
    /// What a simulation states, whatever the request would have.
    stated: Vec<(Key, Vec<String>)>,
}

impl Conditions {
    /// Of a request that came over TLS, or did not.
    pub fn new(secure_transport: bool) -> Self {
        let none = Self {
            values: [const { None }; ConditionKey::ALL.len()],
            existing_tags: Vec::new(),
            request_tags: Vec::new(),
            encryption_context: Vec::new(),
            stated: Vec::new(),
        };
        none.with(ConditionKey::SecureTransport, secure_transport.to_string())
    }

    /// Adds a property.
    #[must_use]
    pub fn with(mut self, key: ConditionKey, value: impl Into<String>) -> Self {
        let value = value.into();
        let value = if key == ConditionKey::EncryptionKeyId { arn::key_id(&value).to_owned() } else { value };
        self.values[key as usize] = Some(value);
        self
    }

    /// Adds a property where the request has it.
    #[must_use]
    pub fn with_some(self, key: ConditionKey, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Adds the tags, with their values, of the object or the identity that the request is for.
    #[must_use]
    pub fn with_existing_tags(self, tags: Vec<(String, String)>) -> Self {
        Self { existing_tags: tags, ..self }
    }

    /// Adds the tags, with their values, that the request gives to an object, an identity or a session.
    #[must_use]
    pub fn with_request_tags(self, tags: Vec<(String, String)>) -> Self {
        Self { request_tags: tags, ..self }
    }

    /// Adds the encryption context of the data key that the request makes or opens.
    #[must_use]
    pub fn with_encryption_context(self, context: &BTreeMap<String, String>) -> Self {
        Self { encryption_context: context.iter().map(|(name, value)| (name.clone(), value.clone())).collect(), ..self }
    }

    /// For simulations alone: states what a request has for the key of that name, whoever asks. None where policies know no such key.
    #[must_use]
    pub fn supposing(mut self, key: &str, values: Vec<String>) -> Option<Self> {
        let key = Key::parse(key)?;
        self.stated.retain(|(stated, _)| *stated != key);
        self.stated.push((key, values));
        Some(self)
    }

    pub(crate) fn stated(&self, key: &Key) -> Option<&[String]> {
        self.stated.iter().find(|(stated, _)| stated == key).map(|(_, values)| values.as_slice())
    }

    pub(crate) fn get(&self, key: ConditionKey) -> Option<&str> {
        self.values[key as usize].as_deref()
    }

    pub(crate) fn existing_tags(&self) -> &[(String, String)] {
        &self.existing_tags
    }

    pub(crate) fn encryption_context(&self) -> &[(String, String)] {
        &self.encryption_context
    }

    pub(crate) fn request_tags(&self) -> &[(String, String)] {
        &self.request_tags
    }
}
