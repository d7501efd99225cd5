//! Key management: wrapping data keys, and the life of the keys that wrap them.
//!
//! ```text
//! engine ──▶ KeyService ──▶ CachedKms ──▶ LocalKms ──▶ one sealed file per key
//! admin  ──▶ KeyLifecycle ─────┘
//! ```
//!
//! The store needs only [`KeyService`]: a fresh data key, its plaintext again, the same key wrapped anew.
//! Operators need [`KeyLifecycle`], whose [`Capabilities`] tell what a backend can do. [`LocalKms`] is the
//! built-in backend, [`CachedKms`] a wrapper around any; every backend passes the suite in `conformance`
//! (feature `testing`) unchanged.
#![forbid(unsafe_code)]

mod cache;
#[cfg(feature = "testing")]
pub mod conformance;
mod crypto;
mod error;
mod key_id;
mod lifecycle;
mod local;
mod service;
#[cfg(feature = "testing")]
pub mod testing;

pub use cache::{CacheConfig, CacheSummary, CachedKms};
pub use error::KmsError;
pub use key_id::{RESERVED_PREFIX, is_reserved, resolve_key_id};
pub use lifecycle::{
    Capabilities, DELETION_WINDOW_DAYS, KeyLifecycle, KeyMetadata, KeyPage, KeyState, KeyVersionInfo, Kms, MAX_PAGE_KEYS, NewKey,
};
pub use local::{LocalConfig, LocalKms, MAX_KEYS, MasterKeySource};
pub use service::{DataKey, DataKeySpec, EncryptionContext, KeyService, WrappedKey};
