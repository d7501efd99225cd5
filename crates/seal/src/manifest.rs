//! The manifest: which parts make up an object version, in which order.

use strongroom_ids::BlobId;

use crate::encoding::take;
use crate::header::check_part_number;
use crate::layout::MAX_PART_LEN;
use crate::{Layers, MAX_PART_NUMBER, PartSalt, SealError, SharedKeys, provider};

const HEADER_LEN: usize = 3;
const PART_LEN: usize = 58;
/// Of a manifest without shared parts.
const VERSION: u8 = 1;
/// Of one with shared parts. There is no version 2: a published vector has it refused.
const SHARING_VERSION: u8 = 3;
const MALFORMED: SealError = SealError::Malformed("manifest");
/// One part of an object version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestPart {
    /// 1 to 10,000.
    pub number: u16,
    /// Length of the plaintext in bytes.
    pub plaintext_len: u64,
    /// The salt of the upload that counts.
    pub salt: PartSalt,
    /// The blob, or [`ManifestPart::INLINE`].
    pub blob: BlobId,
    /// The keys of a blob that was sealed for another object; none where it was sealed for this one.
    pub shared: Option<Box<SharedKeys>>,
}

impl ManifestPart {
    /// Stands for the blob where the sealed bytes lie inline in the catalog's row.
    pub const INLINE: BlobId = BlobId([0; 16]);

    /// Whether the sealed bytes lie in the catalog row and in no blob.
    pub fn is_inline(&self) -> bool {
        self.blob == Self::INLINE
    }

    /// The part as a manifest with shared parts has it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(4 * PART_LEN);
        self.write(SHARING_VERSION, &mut out);
        out
    }

    /// The reverse of [`to_bytes`](Self::to_bytes).
    pub fn from_bytes(mut bytes: &[u8]) -> Result<Self, SealError> {
        let part = decode_part(SHARING_VERSION, &mut bytes)?;
        check_part(&part)?;
        if bytes.is_empty() { Ok(part) } else { Err(MALFORMED) }
    }

    fn write(&self, version: u8, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(&self.plaintext_len.to_be_bytes());
        out.extend_from_slice(&self.salt.0);
        out.extend_from_slice(&self.blob.0);
        match &self.shared {
            Some(shared) => shared.write(out),
            None if version == SHARING_VERSION => out.push(0),
            None => {}
        }
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
        let version = if has_shared(&self.parts) { SHARING_VERSION } else { VERSION };
        out.push(version);
        // The constructors let at most 10,000 parts in.
        out.extend_from_slice(&u16::try_from(self.parts.len()).unwrap_or(u16::MAX).to_be_bytes());
        for part in &self.parts {
            part.write(version, &mut out);
        }
        out
    }

    /// Reads the stored form. It is authentic only if [`verify`](Self::verify) says so.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, SealError> {
        let [version] = take(&mut bytes).ok_or(MALFORMED)?;
        if version != VERSION && version != SHARING_VERSION {
            return Err(SealError::UnsupportedVersion(version));
        }
        let count = usize::from(u16::from_be_bytes(take(&mut bytes).ok_or(MALFORMED)?));
        if bytes.len() < count * PART_LEN {
            return Err(MALFORMED);
        }
        let parts = (0..count).map(|_| decode_part(version, &mut bytes)).collect::<Result<Vec<_>, _>>()?;
        // Each list of parts has one form only: that of the version which it needs.
        if !bytes.is_empty() || has_shared(&parts) != (version == SHARING_VERSION) {
            return Err(MALFORMED);
        }
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

fn has_shared(parts: &[ManifestPart]) -> bool {
    parts.iter().any(|part| part.shared.is_some())
}

fn decode_part(version: u8, bytes: &mut &[u8]) -> Result<ManifestPart, SealError> {
    let mut part = decode_own(bytes).ok_or(MALFORMED)?;
    if version == SHARING_VERSION {
        let [layers] = take(bytes).ok_or(MALFORMED)?;
        part.shared = match layers {
            0 => None,
            layers => Some(Box::new(SharedKeys::read(Layers::try_from(layers)?, bytes).ok_or(MALFORMED)?)),
        };
    }
    Ok(part)
}

fn decode_own(bytes: &mut &[u8]) -> Option<ManifestPart> {
    Some(ManifestPart {
        number: u16::from_be_bytes(take(bytes)?),
        plaintext_len: u64::from_be_bytes(take(bytes)?),
        salt: PartSalt(take(bytes)?),
        blob: BlobId(take(bytes)?),
        shared: None,
    })
}

fn check_parts(parts: &[ManifestPart]) -> Result<(), SealError> {
    if parts.is_empty() || parts.len() > usize::from(MAX_PART_NUMBER) {
        return Err(SealError::Malformed("number of parts"));
    }
    if !parts.is_sorted_by(|a, b| a.number < b.number) {
        return Err(SealError::Malformed("order of parts"));
    }
    parts.iter().try_for_each(check_part)?;
    if parts.len() > 1 && parts.iter().any(ManifestPart::is_inline) {
        return Err(SealError::Malformed("inline part beside others"));
    }
    Ok(())
}

fn check_part(part: &ManifestPart) -> Result<(), SealError> {
    check_part_number(part.number)?;
    if part.plaintext_len > MAX_PART_LEN {
        return Err(SealError::TooLong);
    }
    let Some(shared) = &part.shared else { return Ok(()) };
    if part.is_inline() {
        return Err(SealError::Malformed("inline part that is shared"));
    }
    shared.check()
}
