//! What a policy's conditions can look at in a request.

use crate::{Action, arn};

macro_rules! condition_keys {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal,)*) => {
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
        }
    };
}

condition_keys! {
    /// Whether the request came over TLS: `true` or `false`.
    SecureTransport = "aws:SecureTransport",
    /// The header `x-amz-server-side-encryption`, as the client sent it.
    Encryption = "s3:x-amz-server-side-encryption",
    /// The KMS key that the request names, by id or ARN.
    EncryptionKeyId = "s3:x-amz-server-side-encryption-aws-kms-key-id",
    /// The header `x-amz-server-side-encryption-customer-algorithm`, as the client sent it.
    CustomerAlgorithm = "s3:x-amz-server-side-encryption-customer-algorithm",
    /// The prefix of a listing.
    Prefix = "s3:prefix",
    /// The delimiter of a listing.
    Delimiter = "s3:delimiter",
}

impl ConditionKey {
    /// The key of that name, in whatever case.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|key| key.as_str().eq_ignore_ascii_case(name))
    }
}

/// All names, for messages.
pub(crate) fn known_keys() -> String {
    ConditionKey::ALL.iter().map(|key| key.as_str()).collect::<Vec<_>>().join(", ")
}

/// The properties of one request. A key without a value is absent from the request.
#[derive(Clone, Debug)]
pub struct Conditions {
    values: [Option<String>; ConditionKey::ALL.len()],
}

impl Conditions {
    /// Of a request that came over TLS, or did not.
    pub fn new(secure_transport: bool) -> Self {
        Self { values: Default::default() }.with(ConditionKey::SecureTransport, secure_transport.to_string())
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

    /// What a condition of a policy sees for this action.
    pub(crate) fn get(&self, action: Action, key: ConditionKey) -> Option<&str> {
        self.values[key as usize].as_deref().filter(|_| action.has(key))
    }
}
