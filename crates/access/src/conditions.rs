//! What a policy's conditions can look at in a request.

use crate::{Action, arn};

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
}

condition_keys! {
    /// Whether the request came over TLS: `true` or `false`.
    SecureTransport: Bool = "aws:SecureTransport",
    /// The address that the request came from; behind a trusted proxy the one that the proxy names.
    SourceIp: Address = "aws:SourceIp",
    /// The moment of the request, in seconds since 1970.
    CurrentTime: Date = "aws:CurrentTime",
    /// The name of the user who asks; root and anonymous requests have none.
    UserName: Text = "aws:username",
    /// The ARN of the user who asks; anonymous requests have none.
    PrincipalArn: Text = "aws:PrincipalArn",
    /// The account of the user who asks; anonymous requests have none.
    PrincipalAccount: Text = "aws:PrincipalAccount",
    /// The header `Referer`, as the client sent it.
    Referer: Text = "aws:Referer",
    /// The header `User-Agent`, as the client sent it.
    UserAgent: Text = "aws:UserAgent",
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

/// What a condition of a policy looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Of(ConditionKey),
    /// `s3:ExistingObjectTag/NAME`: a tag of the object that is there.
    ExistingTag(String),
    /// `s3:RequestObjectTag/NAME`: a tag that the request gives to an object.
    RequestTag(String),
}

/// The keys that have the name of a tag behind them.
const EXISTING_TAG: &str = "s3:ExistingObjectTag/";
const REQUEST_TAG: &str = "s3:RequestObjectTag/";

impl Key {
    /// The key of that name, in whatever case; names of tags have one.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let tag = |start: &str| {
            let (head, tag) = name.split_at_checked(start.len())?;
            (head.eq_ignore_ascii_case(start) && !tag.is_empty()).then(|| tag.to_owned())
        };
        let of_tag = tag(EXISTING_TAG).map(Self::ExistingTag).or_else(|| tag(REQUEST_TAG).map(Self::RequestTag));
        of_tag.or_else(|| ConditionKey::parse(name).map(Self::Of))
    }

    pub(crate) fn kind(&self) -> ValueKind {
        match self {
            Self::Of(key) => key.kind(),
            Self::ExistingTag(_) | Self::RequestTag(_) => ValueKind::Text,
        }
    }
}

/// All names, for messages.
pub(crate) fn known_keys() -> String {
    let of_tags = [EXISTING_TAG, REQUEST_TAG].map(|start| format!("{start}NAME"));
    ConditionKey::ALL.iter().map(|key| key.as_str().to_owned()).chain(of_tags).collect::<Vec<_>>().join(", ")
}

/// The properties of one request. A key without a value is absent from the request.
#[derive(Clone, Debug)]
pub struct Conditions {
    values: [Option<String>; ConditionKey::ALL.len()],
    existing_tags: Vec<(String, String)>,
    request_tags: Vec<(String, String)>,
}

impl Conditions {
    /// Of a request that came over TLS, or did not.
    pub fn new(secure_transport: bool) -> Self {
        let none = Self { values: Default::default(), existing_tags: Vec::new(), request_tags: Vec::new() };
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

    /// Adds the tags, with their values, of the object that the request is for.
    #[must_use]
    pub fn with_existing_tags(self, tags: Vec<(String, String)>) -> Self {
        Self { existing_tags: tags, ..self }
    }

    /// Adds the tags, with their values, that the request gives to an object.
    #[must_use]
    pub fn with_request_tags(self, tags: Vec<(String, String)>) -> Self {
        Self { request_tags: tags, ..self }
    }

    /// What a condition of a policy sees for this action.
    pub(crate) fn get(&self, action: Action, key: &Key) -> Option<&str> {
        match key {
            Key::Of(key) => self.values[*key as usize].as_deref().filter(|_| action.has(*key)),
            Key::ExistingTag(name) if action.has_existing_tags() => value_of(&self.existing_tags, name),
            Key::RequestTag(name) if action.has_request_tags() => value_of(&self.request_tags, name),
            Key::ExistingTag(_) | Key::RequestTag(_) => None,
        }
    }
}

fn value_of<'a>(tags: &'a [(String, String)], name: &str) -> Option<&'a str> {
    tags.iter().find(|(tag, _)| tag == name).map(|(_, value)| value.as_str())
}
