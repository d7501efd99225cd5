//! Where in a blob a byte of plaintext lies: closed formulas, no search.

use crate::{BLOB_HEADER_LEN, Layers, SealError};

/// Plaintext bytes of a chunk; only the last chunk of a part may be shorter.
pub const CHUNK_LEN: usize = 64 * 1024;

/// The longest part in plaintext bytes: 2^32 chunks.
pub const MAX_PART_LEN: u64 = CHUNK_LEN_U64 << 32;

const CHUNK_LEN_U64: u64 = CHUNK_LEN as u64;
const HEADER_LEN: u64 = BLOB_HEADER_LEN as u64;

/// The shape of a part's blob, which follows from the number of layers and the length of the plaintext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    layers: Layers,
    plaintext_len: u64,
}

/// The chunks that hold a range of plaintext. All lengths in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkSpan {
    /// The first chunk, counted from 0.
    pub first_chunk: u64,
    /// How many chunks.
    pub chunk_count: u64,
    /// Where the first chunk begins in the blob, header included.
    pub sealed_offset: u64,
    /// How long the chunks are in the blob.
    pub sealed_len: u64,
    /// Plaintext to leave out at the front of the first chunk.
    pub skip: u64,
    /// Plaintext to take after that.
    pub take: u64,
}

impl Layout {
    /// The layout of a part of `plaintext_len` bytes, at most [`MAX_PART_LEN`].
    pub fn new(layers: Layers, plaintext_len: u64) -> Result<Self, SealError> {
        if plaintext_len > MAX_PART_LEN {
            return Err(SealError::TooLong);
        }
        Ok(Self { layers, plaintext_len })
    }

    /// The number of layers.
    pub const fn layers(&self) -> Layers {
        self.layers
    }

    /// Length of the plaintext in bytes.
    pub const fn plaintext_len(&self) -> u64 {
        self.plaintext_len
    }

    /// Length of the whole blob in bytes, header included.
    pub const fn sealed_len(&self) -> u64 {
        HEADER_LEN + self.plaintext_len + self.chunk_count() * self.overhead()
    }

    /// Number of chunks; an empty part has one.
    pub const fn chunk_count(&self) -> u64 {
        if self.plaintext_len == 0 { 1 } else { self.plaintext_len.div_ceil(CHUNK_LEN_U64) }
    }

    /// Length of a sealed chunk in bytes; 0 where there is no such chunk.
    #[allow(clippy::cast_possible_truncation, reason = "a chunk has at most CHUNK_LEN bytes")]
    pub const fn sealed_chunk_len(&self, index: u64) -> usize {
        if index >= self.chunk_count() {
            return 0;
        }
        let plain = if self.is_last(index) { self.plaintext_len - index * CHUNK_LEN_U64 } else { CHUNK_LEN_U64 };
        plain as usize + self.layers.overhead_bytes()
    }

    /// Whether the chunk is the last one of the part.
    pub const fn is_last(&self, index: u64) -> bool {
        index + 1 == self.chunk_count()
    }

    /// The chunks that hold `plain_len` bytes from `plain_offset`. A range beyond the end is cut to what there is. An
    /// empty range has no chunk, but in an empty part it has the one, which proves that the part is empty.
    pub fn span(&self, plain_offset: u64, plain_len: u64) -> ChunkSpan {
        let start = plain_offset.min(self.plaintext_len);
        let end = start.saturating_add(plain_len).min(self.plaintext_len);
        let first_chunk = (start / CHUNK_LEN_U64).min(self.chunk_count() - 1);
        let end_chunk = match (self.plaintext_len, end - start) {
            (0, _) => 1,
            (_, 0) => first_chunk,
            _ => end.div_ceil(CHUNK_LEN_U64),
        };
        let sealed_offset = self.chunk_offset(first_chunk);
        ChunkSpan {
            first_chunk,
            chunk_count: end_chunk - first_chunk,
            sealed_offset,
            sealed_len: self.chunk_offset(end_chunk) - sealed_offset,
            skip: start - first_chunk * CHUNK_LEN_U64,
            take: end - start,
        }
    }

    /// Where a chunk begins in the blob; the end of the blob for the chunk after the last.
    fn chunk_offset(&self, index: u64) -> u64 {
        (HEADER_LEN + index * (CHUNK_LEN_U64 + self.overhead())).min(self.sealed_len())
    }

    const fn overhead(&self) -> u64 {
        self.layers.overhead_bytes() as u64
    }
}
