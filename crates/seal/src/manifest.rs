//! The manifest: which parts make up an object version, in which order.

use crate::encoding::take;
use crate::error::check_version;
use crate::layout::MAX_PART_LEN;
use crate::{FORMAT_VERSION, MAX_PART_NUMBER, PartSalt, SealError, provider};

const HEADER_LEN: usize = 3;
const PART_LEN: usize = 58;
/// Stands for "the sealed bytes lie inline in the catalog row".
const INLINE: [u8; 16] = [0; 16];

/// One part of an object version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManifestPart {
    /// 1 to 10,000.
    pub number: u16,
    /// Length of the plaintext in bytes.
    pub plaintext_len: u64,
    /// The salt of the upload that counts.
    pub salt: PartSalt,
    /// The blob; all zero where the sealed bytes lie inline in the catalog row.
    pub blob: [u8; 16],
}

impl ManifestPart {
    /// Whether the sealed bytes lie in the catalog row and in no blob.
    pub fn is_inline(&self) -> bool {
        self.blob == INLINE
    }
}

/// The parts of an object version: 1 to 10,000, in ascending order of their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    parts: Vec<ManifestPart>,
}

/// A piece of a range that lies in one part. Lengths and offsets of plaintext, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartRange {
    /// Index of the part in [`Manifest::parts`], not its number.
    pub index: usize,
    /// Where the piece begins in the part.
    pub offset: u64,
    /// How long the piece is.
    pub len: u64,
}

impl Manifest {
    /// A manifest of these parts; refuses what the format cannot say.
    pub fn new(parts: Vec<ManifestPart>) -> Result<Self, SealError> {
        check_parts(&parts)?;
        Ok(Self { parts })
    }

    /// The parts in order.
    pub fn parts(&self) -> &[ManifestPart] {
        &self.parts
    }

    /// Length of the object in bytes.
    pub fn total_len(&self) -> u64 {
        self.parts.iter().map(|part| part.plaintext_len).sum()
    }

    /// The pieces that `len` bytes from `offset` consist of, in order. A range beyond the end is cut to what there is;
    /// an empty one has no piece, and neither has an empty part.
    pub fn locate(&self, offset: u64, len: u64) -> impl Iterator<Item = PartRange> + '_ {
        let end = offset.saturating_add(len);
        let starts = self.parts.iter().scan(0, |next, part| {
            let start = *next;
            *next += part.plaintext_len;
            Some((start, *next))
        });
        starts.enumerate().filter_map(move |(index, (part_start, part_end))| {
            let (from, to) = (offset.max(part_start), end.min(part_end));
            (from < to).then(|| PartRange { index, offset: from - part_start, len: to - from })
        })
    }

    /// The stored form (`docs/format.md`).
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_LEN + self.parts.len() * PART_LEN);
        out.push(FORMAT_VERSION);
        // The constructors let at most 10,000 parts in.
        out.extend_from_slice(&u16::try_from(self.parts.len()).unwrap_or(u16::MAX).to_be_bytes());
        for part in &self.parts {
            out.extend_from_slice(&part.number.to_be_bytes());
            out.extend_from_slice(&part.plaintext_len.to_be_bytes());
            out.extend_from_slice(&part.salt.0);
            out.extend_from_slice(&part.blob);
        }
        out
    }

    /// Reads the stored form. It is authentic only if [`verify`](Self::verify) says so.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, SealError> {
        const MALFORMED: SealError = SealError::Malformed("manifest");
        let [version] = take(&mut bytes).ok_or(MALFORMED)?;
        check_version(version)?;
        let count = usize::from(u16::from_be_bytes(take(&mut bytes).ok_or(MALFORMED)?));
        if bytes.len() != count * PART_LEN {
            return Err(MALFORMED);
        }
        let parts = std::iter::from_fn(|| decode_part(&mut bytes)).collect();
        Self::new(parts)
    }

    /// SHA-256 of the stored form. It belongs into the sealed record, which so vouches for the parts and their order.
    pub fn digest(&self) -> [u8; 32] {
        provider::sha256(&self.encode())
    }

    /// Whether this is the manifest whose digest the sealed record has.
    pub fn verify(&self, digest: &[u8; 32]) -> Result<(), SealError> {
        if self.digest() == *digest { Ok(()) } else { Err(SealError::ManifestMismatch) }
    }
}

fn decode_part(bytes: &mut &[u8]) -> Option<ManifestPart> {
    Some(ManifestPart {
        number: u16::from_be_bytes(take(bytes)?),
        plaintext_len: u64::from_be_bytes(take(bytes)?),
        salt: PartSalt(take(bytes)?),
        blob: take(bytes)?,
    })
}

fn check_parts(parts: &[ManifestPart]) -> Result<(), SealError> {
    if parts.is_empty() || parts.len() > usize::from(MAX_PART_NUMBER) {
        return Err(SealError::Malformed("number of parts"));
    }
    if !parts.is_sorted_by(|a, b| a.number < b.number) {
        return Err(SealError::Malformed("order of parts"));
    }
    if let Some(part) = parts.iter().find(|part| part.number == 0 || part.number > MAX_PART_NUMBER) {
        return Err(SealError::PartNumber(part.number));
    }
    if parts.iter().any(|part| part.plaintext_len > MAX_PART_LEN) {
        return Err(SealError::TooLong);
    }
    if parts.len() > 1 && parts.iter().any(ManifestPart::is_inline) {
        return Err(SealError::Malformed("inline part beside others"));
    }
    Ok(())
}
