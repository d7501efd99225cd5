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
mod fence;
mod iv_budget;
mod key_id;
mod lifecycle;
mod local;
mod material;
mod secret;
mod service;
mod source;
mod state;
#[cfg(feature = "testing")]
pub mod testing;
mod wrap;

pub use cache::{CacheConfig, CacheSummary, CachedKms};
pub use error::KmsError;
pub use fence::{Closed, CommitPermit, Fence};
pub use iv_budget::IvBudget;
pub use key_id::{OWNER_TAG, RESERVED_PREFIX, check_new_key_id, is_reserved, random_key_id, resolve_key_id};
pub use lifecycle::{
    Capabilities, DELETION_WINDOW_DAYS, KeyLifecycle, KeyMetadata, KeyPage, KeyState, KeyVersionInfo, Kms, MAX_PAGE_KEYS, MayGo, NewKey,
};
pub use local::{
    Backup, BundleKey, LocalConfig, LocalKms, MAX_BUNDLE_LEN, MAX_KEYS, MIN_PASSPHRASE_CHARS, MasterKeySource, RestoreConflict,
    RestoreMode, RestoreReport,
};
pub use material::{KeyMaterial, MaterialStore};
pub use secret::Secret;
pub use service::{DataKey, DataKeySpec, EncryptionContext, KeyService, WrappedKey};
pub use source::KeySource;
pub use state::{MAX_STATE_LEN, StateStore};
pub use wrap::Binding;
