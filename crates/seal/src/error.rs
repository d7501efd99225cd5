//! What can go wrong when sealing and opening.

/// Every failure of this crate. No variant holds a key or a byte of plaintext.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Bytes that do not follow the format: whoever wrote them, it was not this format.
    #[error("malformed {0}")]
    Malformed(&'static str),
    /// Written by a version of the format that this build does not know.
    #[error("format version {0} is not known to this build")]
    UnsupportedVersion(u8),
    /// Written with a cipher suite that this build does not know.
    #[error("cipher suite {0} is not known to this build")]
    UnsupportedSuite(u8),
    /// The object keys do not open: another external key, another bucket, object, version or mode, or damaged bytes.
    #[error("the object keys do not open with this external key and identity")]
    WrongKeyOrIdentity,
    /// The blob's header is that of another part, or of another upload of this part.
    #[error("the blob belongs to another part, or to another upload of this part")]
    WrongPart,
    /// A chunk that is not authentic, or not in its place.
    #[error("chunk {chunk} is not authentic")]
    Tampered {
        /// Its number within the part, from 0.
        chunk: u64,
    },
    /// A blob whose length is not the one that follows from its plaintext length.
    #[error("the blob is {actual_bytes} bytes long and should be {expected_bytes}")]
    BlobLength {
        /// As the manifest says.
        expected_bytes: u64,
        /// As found.
        actual_bytes: u64,
    },
    /// The manifest is not the one that the sealed record vouches for.
    #[error("the manifest is not the one of this object version")]
    ManifestMismatch,
    /// A part shares the blob of another object, and its sealed content keys do not open: of another object or place, or damaged.
    #[error("the keys of a shared part do not open")]
    SharedPart,
    /// The metadata record does not open: of another row or kind, under another store key, or damaged.
    #[error("the metadata record does not open with this store key and identity")]
    RecordRejected,
    /// A key of the wrong length was handed in.
    #[error("the key has {actual_bytes} bytes and must have {expected_bytes}")]
    KeyLength {
        /// As the mode demands.
        expected_bytes: usize,
        /// As handed in.
        actual_bytes: usize,
    },
    /// One layer of encryption met two: the data would have to be sealed anew.
    #[error("the number of encryption layers differs")]
    LayerMismatch,
    /// More than the chunk counter of a part can count (2^48 bytes).
    #[error("the part is longer than the format allows")]
    TooLong,
    /// A part number outside 1 to 10,000.
    #[error("part number {0} is not within 1 to 10,000")]
    PartNumber(u16),
    /// A part or chunk that the object does not have.
    #[error("there is no part or chunk {0}")]
    OutOfRange(u64),
    /// The cryptographic library refused an operation that cannot fail for reasons of data.
    #[error("the cryptographic library failed")]
    Provider,
}

/// Refuses any version but the present one.
pub(crate) fn check_version(version: u8) -> Result<(), SealError> {
    if version == crate::FORMAT_VERSION { Ok(()) } else { Err(SealError::UnsupportedVersion(version)) }
}

/// Refuses any suite but the only one.
pub(crate) fn check_suite(suite: u8) -> Result<(), SealError> {
    if suite == crate::SUITE { Ok(()) } else { Err(SealError::UnsupportedSuite(suite)) }
}
