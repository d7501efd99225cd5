//! The header of a blob.

use crate::encoding::take;
use crate::error::{check_suite, check_version};
use crate::{FORMAT_VERSION, Layers, MAX_PART_NUMBER, PartSalt, SUITE, SealError};

/// Length of a blob's header in bytes.
pub const BLOB_HEADER_LEN: usize = FIXED_FIELDS_LEN + 32;

const FIXED_FIELDS_LEN: usize = 16;
const MAGIC: [u8; 10] = *b"STRONGROOM";
const CHUNK_LEN_LOG2: u8 = 16;
const _: () = assert!(1 << CHUNK_LEN_LOG2 == crate::CHUNK_LEN);

/// Refuses a number that no part has.
pub(crate) fn check_part_number(number: u16) -> Result<(), SealError> {
    if (1..=MAX_PART_NUMBER).contains(&number) { Ok(()) } else { Err(SealError::PartNumber(number)) }
}

/// What stands at the beginning of a part's blob.
#[derive(Clone, Copy)]
pub(crate) struct BlobHeader {
    layers: Layers,
    part_number: u16,
    salt: PartSalt,
}

impl BlobHeader {
    pub(crate) fn new(layers: Layers, part_number: u16, salt: PartSalt) -> Result<Self, SealError> {
        check_part_number(part_number)?;
        Ok(Self { layers, part_number, salt })
    }

    pub(crate) fn salt(&self) -> PartSalt {
        self.salt
    }

    /// All but the salt: what the content keys are bound to.
    pub(crate) fn fixed_fields(&self) -> [u8; FIXED_FIELDS_LEN] {
        let mut out = [0; FIXED_FIELDS_LEN];
        out[..10].copy_from_slice(&MAGIC);
        out[10..14].copy_from_slice(&[FORMAT_VERSION, SUITE, self.layers.count(), CHUNK_LEN_LOG2]);
        out[14..].copy_from_slice(&self.part_number.to_be_bytes());
        out
    }

    pub(crate) fn encode(&self) -> [u8; BLOB_HEADER_LEN] {
        let mut out = [0; BLOB_HEADER_LEN];
        out[..FIXED_FIELDS_LEN].copy_from_slice(&self.fixed_fields());
        out[FIXED_FIELDS_LEN..].copy_from_slice(&self.salt.0);
        out
    }

    /// Whether `bytes` begin with this very header; if not, the error names the first field that differs.
    pub(crate) fn check(&self, mut bytes: &[u8]) -> Result<(), SealError> {
        const SHORT: SealError = SealError::Malformed("blob header");
        let input = &mut bytes;
        if take(input).ok_or(SHORT)? != MAGIC {
            return Err(SealError::Malformed("blob magic"));
        }
        let [version, suite, layers, chunk_len_log2] = take(input).ok_or(SHORT)?;
        check_version(version)?;
        check_suite(suite)?;
        if Layers::try_from(layers)? != self.layers {
            return Err(SealError::LayerMismatch);
        }
        if chunk_len_log2 != CHUNK_LEN_LOG2 {
            return Err(SealError::Malformed("chunk size"));
        }
        let part_number = u16::from_be_bytes(take(input).ok_or(SHORT)?);
        let salt = PartSalt(take(input).ok_or(SHORT)?);
        if part_number == self.part_number && salt == self.salt { Ok(()) } else { Err(SealError::WrongPart) }
    }
}
