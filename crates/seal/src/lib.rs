//! The key hierarchy and the sealed stream of Strongroom: everything that turns plaintext into what may lie on a disk,
//! and back. No I/O, no async, no `unsafe`; bytes in, bytes out.
//!
//! # Data flow
//!
//! ```text
//! EK (client, KMS) ──▶ KEK ──▶ OEK ──▶ content key of a part ──▶ 64 KiB chunks
//!  ExternalKeys    identity   ObjectKeys      PartSealer / PartOpener
//! ```
//!
//! - Writing: [`ObjectKeys::generate`], then a [`PartSealer`] for each part, whose [`SealedBytes`] are the only thing
//!   that a blob writer takes. [`ObjectKeys::seal`] binds the keys to mode, bucket, object and version; a [`Manifest`]
//!   lists the parts; [`StoreKey::seal_record`] seals the metadata, with the manifest's digest in it.
//! - Reading: [`SealedObjectKeys::open`], then a [`PartOpener`] for each part, which opens only the chunks of the range
//!   that [`Manifest::locate`] and [`Layout::span`] give.
//! - Copying, rotation, re-keying, a change of mode: [`SealedObjectKeys::open`] and [`ObjectKeys::seal`]; the data stays.
//! - A part of one object as a part of another: [`ManifestPart::share`]; the blob stays.
//! - Without a server: [`OfflineObject`].
//!
//! The bytes are specified in `docs/format.md`, and pinned by the vectors in `crates/seal/vectors`.
//!
//! # Example
//!
//! ```
//! use bytes::BytesMut;
//! use strongroom_ids::{BucketId, VersionId};
//! use strongroom_seal::{ExternalKey, ExternalKeys, Mode, ObjectIdentity, ObjectKeys, PartOpener, SealedObjectKeys, seal_part};
//!
//! # fn main() -> Result<(), strongroom_seal::SealError> {
//! let identity = ObjectIdentity { bucket_id: BucketId([1; 16]), key: "photos/cat.jpg", version_id: VersionId([2; 16]) };
//! let client_key = || ExternalKeys::single(ExternalKey::from_bytes([7; 32]));
//!
//! let keys = ObjectKeys::generate(Mode::SseC.layers());
//! let (salt, blob) = seal_part(&keys, 1, b"meow")?;
//! let stored = keys.seal(Mode::SseC, &client_key(), &identity)?.as_bytes().to_vec();
//!
//! let keys = SealedObjectKeys::parse(&stored)?.open(&client_key(), &identity)?;
//! let chunks = PartOpener::new(&keys, 1, &salt, 4)?.open_blob(BytesMut::from(blob.as_slice()))?;
//! assert_eq!(chunks.concat(), b"meow");
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod content;
mod encoding;
mod error;
mod header;
mod keys;
mod layout;
mod manifest;
mod mode;
mod object_keys;
mod offline;
mod opener;
mod provider;
mod sealed_bytes;
mod sealer;
mod shared;
mod store_key;
#[cfg(test)]
mod tests;

pub use content::PartSalt;
pub use error::SealError;
pub use header::BLOB_HEADER_LEN;
pub use keys::{ExternalKey, ExternalKeys, ObjectIdentity, key_check, verify_key_check};
pub use layout::{CHUNK_LEN, ChunkSpan, Layout, MAX_PART_LEN};
pub use manifest::{Manifest, ManifestPart, PartRange};
pub use mode::{Layers, Mode};
pub use object_keys::{ObjectKeys, SealedObjectKeys};
pub use offline::OfflineObject;
pub use opener::PartOpener;
pub use provider::random_array;
pub use sealed_bytes::SealedBytes;
pub use sealer::{MAX_BATCH_CHUNKS, PartSealer, seal_part};
pub use shared::SharedKeys;
pub use store_key::{RecordKind, StoreKey};

/// The version of the format that this build writes and reads; a manifest has a version of its own (`manifest.rs`).
pub const FORMAT_VERSION: u8 = 1;

/// Parts are numbered 1 to this.
pub const MAX_PART_NUMBER: u16 = 10_000;

/// AES-256-GCM, HKDF-SHA256, SHA-256: the only suite so far.
const SUITE: u8 = 1;
