//! Encryption modes and their number of layers.

use crate::SealError;

/// How an object's external key comes about. The codes are part of the format and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Mode {
    /// The client asked for no encryption: sealed under the store key.
    Store = 0,
    /// SSE-S3: a data key of the KMS, under its default key.
    SseS3 = 1,
    /// SSE-KMS: a data key of the KMS, under the key that the client or the bucket names.
    SseKms = 2,
    /// DSSE-KMS: two data keys of the KMS, two layers of encryption.
    DsseKms = 3,
    /// SSE-C: a key that the client brings with every request.
    SseC = 4,
}

impl Mode {
    /// Every mode, in the order of the codes.
    pub const ALL: [Self; 5] = [Self::Store, Self::SseS3, Self::SseKms, Self::DsseKms, Self::SseC];

    /// The layers of encryption that the mode demands.
    pub const fn layers(self) -> Layers {
        match self {
            Self::Store | Self::SseS3 | Self::SseKms | Self::SseC => Layers::One,
            Self::DsseKms => Layers::Two,
        }
    }

    /// The mode's code.
    pub const fn as_u8(self) -> u8 {
        self as u8
    }
}

impl TryFrom<u8> for Mode {
    type Error = SealError;

    fn try_from(code: u8) -> Result<Self, SealError> {
        Self::ALL.into_iter().find(|mode| mode.as_u8() == code).ok_or(SealError::Malformed("mode"))
    }
}

/// How many times data is sealed, each time under an independent key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layers {
    /// Once.
    One,
    /// Twice, the outer layer over the inner one.
    Two,
}

impl Layers {
    /// 1 or 2.
    pub const fn count(self) -> u8 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }

    /// Sealed bytes that a chunk has more than its plaintext: a tag for each layer.
    pub const fn overhead_bytes(self) -> usize {
        match self {
            Self::One => crate::provider::TAG_LEN,
            Self::Two => 2 * crate::provider::TAG_LEN,
        }
    }
}

impl TryFrom<u8> for Layers {
    type Error = SealError;

    fn try_from(count: u8) -> Result<Self, SealError> {
        match count {
            1 => Ok(Self::One),
            2 => Ok(Self::Two),
            _ => Err(SealError::Malformed("layer count")),
        }
    }
}
