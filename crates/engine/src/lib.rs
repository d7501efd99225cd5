//! S3's meaning: what happens when an object is put, read, copied, listed or deleted, and how it is encrypted.
//!
//! # Data flow
//!
//! - Every write: [`sse::decide`] says how to encrypt, `sse::keys` makes the keys, [`ingest`] seals the body and verifies what the client
//!   stated of it, [`commit`] puts the version into the catalog. A copy skips `ingest` where the sealed bytes can be shared.
//! - Every read: the catalog's row, its record opened under the store key ([`record`]), `sse::keys` opens the object keys, [`egress`]
//!   reads and opens the chunks of the range.
//! - Every use of a key is in the audit log before it counts (`sse::uses`), and so is every change of a lock (`lock_acts`).
//! - Whether somebody may use a KMS key is decided in one place (`sse::rights`), which alone calls the KMS ([`KeyName`]).
//! - What goes on in the background and outlives the process is a job ([`jobs`]).
//! - Lifecycle rules delete what has expired, in a daily pass ([`lifecycle`]).
//! - Changes of buckets that ask for it tell of themselves, by way of an outbox ([`events`]).
//! - Whether a key can be destroyed to end a bucket or a prefix alone, [`elsewhere`] tells.
//! - A re-keying seals the object keys anew and moves no data ([`rekey`]).
//! - What nothing refers to any more is swept ([`sweep`]).
//! - An upload for which a disk has no room is refused before it is read ([`space`]).
//! - What requests keep in memory meanwhile comes out of one budget ([`budget`]).
#![forbid(unsafe_code)]

pub mod api;
mod bucket;
pub mod budget;
mod change;
mod checksum;
mod commit;
mod condition;
mod convert;
mod digests;
mod egress;
pub mod elsewhere;
mod engine;
mod error;
mod etag;
pub mod events;
mod guessing;
mod ids;
mod in_use;
mod ingest;
mod intact;
mod integrity;
pub mod inventory;
mod jobs;
mod key_rights;
pub mod lifecycle;
mod limits;
mod lock;
mod lock_acts;
mod ops;
mod record;
pub mod rekey;
mod settings;
pub mod space;
mod sse;
mod sweep;
mod tags;

pub use engine::{Engine, EngineOptions, EngineParts};
pub use error::Error;
pub use key_rights::KeyName;

pub use settings::{STORE_KEY_ID, STORE_KEY_SETTING, SealedSettings};
pub use sse::{EncryptionType, MinimumMode};
