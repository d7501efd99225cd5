//! Opening a part, any chunk at a time.

use bytes::{Bytes, BytesMut};

use crate::content::ContentKeys;
use crate::header::BlobHeader;
use crate::{BLOB_HEADER_LEN, Layout, ManifestPart, ObjectKeys, PartSalt, SealError};

/// Opens the chunks of one part, in any order.
pub struct PartOpener {
    keys: ContentKeys,
    header: BlobHeader,
    layout: Layout,
}

impl PartOpener {
    /// Number, salt and plaintext length as the manifest has them.
    pub fn new(object_keys: &ObjectKeys, part_number: u16, salt: &PartSalt, plaintext_len: u64) -> Result<Self, SealError> {
        let header = BlobHeader::new(object_keys.layers(), part_number, *salt)?;
        let layout = Layout::new(object_keys.layers(), plaintext_len)?;
        Ok(Self { keys: ContentKeys::derive(object_keys, &header)?, header, layout })
    }

    /// A part of an object's manifest, whether it was sealed for this object or shares the blob of another.
    pub fn of(object_keys: &ObjectKeys, part: &ManifestPart) -> Result<Self, SealError> {
        let header = part.header(object_keys.layers())?;
        let layout = Layout::new(object_keys.layers(), part.plaintext_len)?;
        let keys = match &part.shared {
            None => ContentKeys::derive(object_keys, &header)?,
            Some(shared) => ContentKeys::set_up(shared.open(part, object_keys)?.into_iter().map(Ok))?,
        };
        Ok(Self { keys, header, layout })
    }

    /// Where the chunks lie.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Whether a blob that begins with these bytes (at least [`BLOB_HEADER_LEN`]) is this upload of this part.
    pub fn check_header(&self, blob: &[u8]) -> Result<(), SealError> {
        self.header.check(blob)
    }

    /// Opens one sealed chunk, of exactly [`Layout::sealed_chunk_len`] bytes, in place: the plaintext is returned in the
    /// same allocation. No byte of it is returned unless all of it is authentic and in its place.
    pub fn open_chunk(&self, index: u64, mut sealed: BytesMut) -> Result<Bytes, SealError> {
        if index >= self.layout.chunk_count() {
            return Err(SealError::OutOfRange(index));
        }
        let number = u32::try_from(index).map_err(|_| SealError::TooLong)?;
        let tampered = SealError::Tampered { chunk: index };
        if sealed.len() != self.layout.sealed_chunk_len(index) {
            return Err(tampered);
        }
        let len = self.keys.open_chunk(number, self.layout.is_last(index), &mut sealed).ok_or(tampered)?;
        sealed.truncate(len);
        Ok(sealed.freeze())
    }

    /// Opens a whole blob that lies in memory: small objects, tests, the offline tool.
    pub fn open_blob(&self, mut blob: BytesMut) -> Result<Vec<Bytes>, SealError> {
        let (expected_bytes, actual_bytes) = (self.layout.sealed_len(), blob.len() as u64);
        if actual_bytes != expected_bytes {
            return Err(SealError::BlobLength { expected_bytes, actual_bytes });
        }
        self.check_header(&blob.split_to(BLOB_HEADER_LEN))?;
        (0..self.layout.chunk_count()).map(|index| self.open_chunk(index, blob.split_to(self.layout.sealed_chunk_len(index)))).collect()
    }
}
