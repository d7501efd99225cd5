//! The tags in use. Source: KMIP 1.4, 9.1.3.1.

/// What a field is, a number of three bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(pub(crate) u32);

impl Tag {
    pub(crate) const ATTRIBUTE: Self = Self(0x42_0008);
    pub(crate) const ATTRIBUTE_NAME: Self = Self(0x42_000A);
    pub(crate) const ATTRIBUTE_VALUE: Self = Self(0x42_000B);
    pub(crate) const AUTHENTICATION: Self = Self(0x42_000C);
    pub(crate) const BATCH_COUNT: Self = Self(0x42_000D);
    pub(crate) const BATCH_ITEM: Self = Self(0x42_000F);
    pub(crate) const BLOCK_CIPHER_MODE: Self = Self(0x42_0011);
    pub(crate) const CREDENTIAL: Self = Self(0x42_0023);
    pub(crate) const CREDENTIAL_TYPE: Self = Self(0x42_0024);
    pub(crate) const CREDENTIAL_VALUE: Self = Self(0x42_0025);
    pub(crate) const CRYPTOGRAPHIC_ALGORITHM: Self = Self(0x42_0028);
    pub(crate) const CRYPTOGRAPHIC_LENGTH: Self = Self(0x42_002A);
    pub(crate) const CRYPTOGRAPHIC_PARAMETERS: Self = Self(0x42_002B);
    pub(crate) const IV_COUNTER_NONCE: Self = Self(0x42_003D);
    pub(crate) const KEY_BLOCK: Self = Self(0x42_0040);
    pub(crate) const KEY_FORMAT_TYPE: Self = Self(0x42_0042);
    pub(crate) const KEY_MATERIAL: Self = Self(0x42_0043);
    pub(crate) const KEY_VALUE: Self = Self(0x42_0045);
    pub(crate) const MAXIMUM_ITEMS: Self = Self(0x42_004F);
    pub(crate) const MAXIMUM_RESPONSE_SIZE: Self = Self(0x42_0050);
    pub(crate) const NAME_TYPE: Self = Self(0x42_0054);
    pub(crate) const NAME_VALUE: Self = Self(0x42_0055);
    pub(crate) const OBJECT_TYPE: Self = Self(0x42_0057);
    pub(crate) const OPERATION: Self = Self(0x42_005C);
    pub(crate) const PROTOCOL_VERSION: Self = Self(0x42_0069);
    pub(crate) const PROTOCOL_VERSION_MAJOR: Self = Self(0x42_006A);
    pub(crate) const PROTOCOL_VERSION_MINOR: Self = Self(0x42_006B);
    pub(crate) const REQUEST_HEADER: Self = Self(0x42_0077);
    pub(crate) const REQUEST_MESSAGE: Self = Self(0x42_0078);
    pub(crate) const REQUEST_PAYLOAD: Self = Self(0x42_0079);
    pub(crate) const RESPONSE_MESSAGE: Self = Self(0x42_007B);
    pub(crate) const RESPONSE_PAYLOAD: Self = Self(0x42_007C);
    pub(crate) const RESULT_REASON: Self = Self(0x42_007E);
    pub(crate) const RESULT_STATUS: Self = Self(0x42_007F);
    pub(crate) const REVOCATION_REASON: Self = Self(0x42_0081);
    pub(crate) const REVOCATION_REASON_CODE: Self = Self(0x42_0082);
    pub(crate) const SYMMETRIC_KEY: Self = Self(0x42_008F);
    pub(crate) const TEMPLATE_ATTRIBUTE: Self = Self(0x42_0091);
    pub(crate) const UNIQUE_IDENTIFIER: Self = Self(0x42_0094);
    pub(crate) const USERNAME: Self = Self(0x42_0099);
    pub(crate) const PASSWORD: Self = Self(0x42_00A1);
    pub(crate) const DATA: Self = Self(0x42_00C2);
    pub(crate) const TAG_LENGTH: Self = Self(0x42_00CE);
    pub(crate) const OFFSET_ITEMS: Self = Self(0x42_00D4);
    pub(crate) const AUTHENTICATED_ENCRYPTION_ADDITIONAL_DATA: Self = Self(0x42_00FE);
    pub(crate) const AUTHENTICATED_ENCRYPTION_TAG: Self = Self(0x42_00FF);
}
