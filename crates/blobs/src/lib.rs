//! Immutable sealed bytes by blob id.
//!
//! [`BlobStore`] is what an engine implements: create, open, delete, scan. It takes nothing but
//! [`strongroom_seal::SealedBytes`], so plaintext cannot reach a disk by mistake. A blob is invisible until
//! [`BlobWriter::finish`], durable once that returns, and never changes afterwards.
//!
//! [`FileBlobs`] keeps blobs as files of the local disk. With the feature `testing` there are a model in memory,
//! wrappers that inject faults and count, and the conformance suite that every engine is put through.

mod blocking;
mod files;
mod store;
mod sys;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use files::FileBlobs;
pub use store::{BlobError, BlobReader, BlobScan, BlobStore, BlobWriter, ListedBlob};
pub use strongroom_ids::BlobId;
