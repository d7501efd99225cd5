//! The two small traits every blob engine implements.

use std::time::SystemTime;

use async_trait::async_trait;
use bytes::BytesMut;
use strongroom_ids::BlobId;
use strongroom_seal::SealedBytes;

/// A blob as a [`BlobScan`] finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedBlob {
    /// The blob.
    pub id: BlobId,
    /// When something was last written to it, by the store's own clock; to the second at the coarsest.
    pub modified: SystemTime,
}

/// What can go wrong with a blob.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// There is no blob of that id: it was deleted, or was never finished.
    #[error("blob {0} is missing")]
    Missing(BlobId),
    /// Fewer bytes lie in the blob than were asked for: it was cut.
    #[error("blob {id} ends at byte {len_bytes}, before the bytes asked for")]
    Short {
        /// The blob.
        id: BlobId,
        /// Its present length.
        len_bytes: u64,
    },
    /// Something else than a file lies in the blob's place: a link, a FIFO, a device, a directory.
    #[error("blob {0} is no regular file")]
    NotAFile(BlobId),
    /// The store has no room left (`ENOSPC`, `EDQUOT`). Nothing of the blob remains.
    #[error("the blob store is full: free space or add a disk")]
    Full(#[source] std::io::Error),
    /// Any other failure of the store. Nothing of a blob being written remains visible.
    #[error("the blob store failed")]
    Io(#[source] std::io::Error),
}

/// Immutable sealed bytes by blob id. Implementations own durability, never meaning: reference counts and
/// names are the catalog's.
#[async_trait]
pub trait BlobStore: Send + Sync + 'static {
    /// Begins a blob. It becomes readable, and durable, when [`BlobWriter::finish`] returns.
    async fn create(&self, id: BlobId) -> Result<Box<dyn BlobWriter>, BlobError>;

    /// Opens a finished blob for reading at any offset. Deleting it later does not disturb the reader.
    async fn open(&self, id: BlobId) -> Result<Box<dyn BlobReader>, BlobError>;

    /// Deletes a blob; deleting one that is not there is no error.
    async fn delete(&self, id: BlobId) -> Result<(), BlobError>;

    /// Begins a pass over all blobs, in no particular order. It finds finished blobs and leftovers of broken writes alike, so that a sweep
    /// sees both.
    async fn scan(&self) -> Result<Box<dyn BlobScan>, BlobError>;
}

/// One pass over a store. Takes time in proportion to the number of blobs, and memory for one batch.
#[async_trait]
pub trait BlobScan: Send {
    /// The next blobs; none at the end. A blob that exists throughout the pass comes once, or twice if it has both a finished and an
    /// unfinished file. A blob that is written or deleted meanwhile may or may not come.
    async fn next(&mut self) -> Result<Vec<ListedBlob>, BlobError>;
}

/// Writes one blob, front to back. Dropping it unfinished removes what was written.
#[async_trait]
pub trait BlobWriter: Send {
    /// Appends sealed bytes. After an error the writer is spent.
    async fn write(&mut self, sealed: SealedBytes) -> Result<(), BlobError>;

    /// Makes the blob durable (data and directory entry) and returns its length in bytes.
    async fn finish(self: Box<Self>) -> Result<u64, BlobError>;
}

/// Reads one blob at any offset.
#[async_trait]
pub trait BlobReader: Send + Sync {
    /// Exactly `len_bytes` bytes from `offset_bytes`; fewer is [`BlobError::Short`].
    async fn read(&self, offset_bytes: u64, len_bytes: usize) -> Result<BytesMut, BlobError>;
}
