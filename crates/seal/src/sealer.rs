//! Sealing a part, front to back, in batches of chunks.

use crate::content::ContentKeys;
use crate::header::BlobHeader;
use crate::{BLOB_HEADER_LEN, CHUNK_LEN, Layers, ObjectKeys, PartSalt, SealError, SealedBytes, random_array};

/// Most chunks of a batch: 1 MiB of plaintext.
pub const MAX_BATCH_CHUNKS: usize = 16;

/// Seals a whole part that lies in memory: small objects.
pub fn seal_part(object_keys: &ObjectKeys, part_number: u16, mut plaintext: &[u8]) -> Result<(PartSalt, SealedBytes), SealError> {
    let mut sealer = PartSealer::new(object_keys, part_number)?;
    let salt = sealer.salt();
    let mut blob = Vec::new();
    while let Some(batch) = sealer.push(&mut plaintext)? {
        blob.extend(batch.into_vec());
    }
    let (rest, _) = sealer.finish()?;
    if blob.is_empty() {
        return Ok((salt, rest));
    }
    blob.extend(rest.into_vec());
    Ok((salt, SealedBytes::new(blob)))
}

/// Seals one upload of one part. Drop it to give the part up; a retry needs a new sealer, with a new salt.
pub struct PartSealer {
    keys: ContentKeys,
    layers: Layers,
    header: BlobHeader,
    /// The header (in the first batch), sealed chunks, and the plaintext of the chunk being filled.
    batch: Vec<u8>,
    /// Where in `batch` the chunk being filled begins.
    chunk_start: usize,
    /// Sealed chunks in `batch`, and how many make it full.
    batch_chunks: usize,
    full_chunks: usize,
    /// Sealed chunks of the part, so the number of the one being filled.
    chunk: u64,
}

impl PartSealer {
    /// Begins a part (1 to 10,000; the only part of a simple upload is 1) under a fresh salt.
    pub fn new(object_keys: &ObjectKeys, part_number: u16) -> Result<Self, SealError> {
        Self::with_salt(object_keys, part_number, PartSalt(random_array()))
    }

    /// Never call this with a salt that was used before: content keys and nonces would repeat.
    pub(crate) fn with_salt(object_keys: &ObjectKeys, part_number: u16, salt: PartSalt) -> Result<Self, SealError> {
        let header = BlobHeader::new(object_keys.layers(), part_number, salt)?;
        Ok(Self {
            keys: ContentKeys::derive(object_keys, &header)?,
            layers: object_keys.layers(),
            header,
            batch: Vec::new(),
            chunk_start: BLOB_HEADER_LEN,
            batch_chunks: 0,
            full_chunks: MAX_BATCH_CHUNKS,
            chunk: 0,
        })
    }

    /// From now on a batch is full at so many chunks, 1 to [`MAX_BATCH_CHUNKS`], which it is at first: what the sealer keeps in
    /// memory, and how much is written at a time. The sealed bytes are the same.
    pub fn set_batch_chunks(&mut self, chunks: usize) {
        self.full_chunks = chunks.clamp(1, MAX_BATCH_CHUNKS);
    }

    /// The salt of this upload, for the manifest.
    pub fn salt(&self) -> PartSalt {
        self.header.salt()
    }

    /// Takes plaintext from the front of `data` until it is used up (none) or a batch is full. Call it until it
    /// returns none. After an error the sealer is spent.
    pub fn push(&mut self, data: &mut &[u8]) -> Result<Option<SealedBytes>, SealError> {
        while !data.is_empty() {
            if self.filled() == CHUNK_LEN {
                self.seal_chunk(false)?;
                if self.batch_chunks >= self.full_chunks {
                    return Ok(Some(self.take_batch()));
                }
            }
            let (now, later) = data.split_at(data.len().min(CHUNK_LEN - self.filled()));
            self.reserve(data.len());
            self.batch.extend_from_slice(now);
            *data = later;
        }
        Ok(None)
    }

    /// Seals the last chunk. Returns what no batch has given away yet, and the length of the plaintext in bytes.
    pub fn finish(mut self) -> Result<(SealedBytes, u64), SealError> {
        self.reserve(0);
        let plaintext_len = self.chunk * CHUNK_LEN as u64 + self.filled() as u64;
        self.seal_chunk(true)?;
        Ok((SealedBytes::new(self.batch), plaintext_len))
    }

    /// Plaintext bytes in the chunk being filled.
    fn filled(&self) -> usize {
        self.batch.len().saturating_sub(self.chunk_start)
    }

    /// Seals the chunk being filled; from now on a next one is.
    fn seal_chunk(&mut self, last: bool) -> Result<(), SealError> {
        let chunk = u32::try_from(self.chunk).map_err(|_| SealError::TooLong)?;
        self.keys.seal_chunk(chunk, last, &mut self.batch, self.chunk_start)?;
        self.chunk += 1;
        self.batch_chunks += 1;
        self.chunk_start = self.batch.len();
        Ok(())
    }

    fn take_batch(&mut self) -> SealedBytes {
        self.batch_chunks = 0;
        self.chunk_start = 0;
        SealedBytes::new(std::mem::take(&mut self.batch))
    }

    /// Makes room for as much of `more` plaintext bytes as this batch can take, and for its tags, so that a small part
    /// costs one small allocation and a long one no copies beyond its first batch. Writes the header where it is due.
    fn reserve(&mut self, more: usize) {
        let overhead = self.layers.overhead_bytes();
        // A batch may hold more than is now a full one: the chunk being filled has a place all the same.
        let limit = self.chunk_start + self.full_chunks.saturating_sub(self.batch_chunks).max(1) * (CHUNK_LEN + overhead);
        let plaintext = self.filled() + more;
        let needed = self.chunk_start + plaintext + plaintext.div_ceil(CHUNK_LEN).max(1) * overhead;
        let needed = needed.min(limit);
        if self.batch.capacity() < needed {
            let wanted = if self.chunk >= self.full_chunks as u64 { limit } else { limit.min(needed.max(2 * self.batch.capacity())) };
            self.batch.reserve_exact(wanted - self.batch.len());
        }
        if self.chunk == 0 && self.batch.is_empty() {
            self.batch.extend_from_slice(&self.header.encode());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_part_ends_where_its_chunk_counter_does() {
        let keys = ObjectKeys::generate(Layers::One);
        let at_chunk = |chunk| {
            let mut sealer = PartSealer::new(&keys, 1).unwrap();
            sealer.push(&mut b"x".as_slice()).unwrap();
            sealer.chunk = chunk;
            sealer
        };
        assert!(at_chunk(u64::from(u32::MAX)).finish().is_ok());
        assert_eq!(at_chunk(1 << 32).finish().err(), Some(SealError::TooLong));
        let mut data: &[u8] = &vec![0; CHUNK_LEN + 1];
        assert_eq!(at_chunk(1 << 32).push(&mut data).err(), Some(SealError::TooLong));
    }
}
