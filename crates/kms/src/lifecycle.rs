//! The life of the keys that wrap data keys, and what a backend can do of it.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::{KeyService, KmsError};

/// How many days a scheduled deletion may wait. Source: AWS KMS `ScheduleKeyDeletion`.
pub const DELETION_WINDOW_DAYS: RangeInclusive<u32> = 7..=30;

/// The most keys one page of [`KeyLifecycle::list_keys`] holds; a larger limit means this one.
pub const MAX_PAGE_KEYS: usize = 1000;

/// What a backend can do. Destructure it exhaustively where it is used, so that a new one is not forgotten.
#[allow(clippy::struct_excessive_bools, reason = "each is an independent yes or no")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// [`KeyLifecycle::create_key`].
    pub create: bool,
    /// [`KeyLifecycle::import_key`].
    pub import: bool,
    /// [`KeyLifecycle::list_keys`].
    pub list: bool,
    /// [`KeyLifecycle::describe_key`].
    pub describe: bool,
    /// [`KeyLifecycle::enable_key`] and [`KeyLifecycle::disable_key`].
    pub enable_disable: bool,
    /// [`KeyLifecycle::rotate_key`].
    pub rotate: bool,
    /// [`KeyLifecycle::seal_key`] and [`KeyLifecycle::unseal_key`].
    pub seal_key: bool,
    /// [`KeyLifecycle::tag`] and [`KeyLifecycle::untag`].
    pub tag: bool,
    /// [`KeyLifecycle::update_description`].
    pub update_description: bool,
    /// [`KeyLifecycle::schedule_deletion`], [`KeyLifecycle::cancel_deletion`] and [`KeyLifecycle::reap_deleted`].
    pub schedule_deletion: bool,
    /// [`KeyLifecycle::delete_now`].
    pub delete_now: bool,
    /// [`KeyLifecycle::seal_service`] and [`KeyLifecycle::unseal_service`].
    pub seal_service: bool,
}

/// What a new key is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewKey {
    /// The key's id; none lets the backend choose one.
    pub name: Option<String>,
    /// Free text for people.
    pub description: String,
    /// Free name/value pairs.
    pub tags: BTreeMap<String, String>,
}

/// All that may be told of a key: everything but its material.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyMetadata {
    /// The canonical id.
    pub key_id: String,
    /// Free text for people.
    pub description: String,
    /// Free name/value pairs.
    pub tags: BTreeMap<String, String>,
    /// Whether it can be used, and if not, why.
    pub state: KeyState,
    /// When its first version was made.
    pub created: OffsetDateTime,
    /// Every version, oldest first.
    pub versions: Vec<KeyVersionInfo>,
    /// The version that new data keys are wrapped under.
    pub current_version: u32,
}

/// Whether a key can be used. Of several reasons against it the last in this list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Wraps and unwraps.
    Enabled,
    /// Switched off by an operator until enabled again.
    Disabled,
    /// Sealed until unsealed; whether it was enabled is remembered.
    Sealed,
    /// Unusable, and destroyed after `at` unless the deletion is cancelled.
    PendingDeletion {
        /// When [`KeyLifecycle::reap_deleted`] may destroy it.
        at: OffsetDateTime,
    },
    /// The material is destroyed for good; only the id is remembered.
    Erased,
}

/// One version of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyVersionInfo {
    /// 1 for the first.
    pub version: u32,
    /// When it was made.
    pub created: OffsetDateTime,
}

/// One page of keys in the order of their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPage {
    /// The keys.
    pub keys: Vec<KeyMetadata>,
    /// Pass it as `after` for the next page; none if this was the last.
    pub next: Option<String>,
}

/// Asked about each key whose deletion is due, right before it is destroyed: whether it may go.
#[derive(Clone)]
pub struct MayGo(Arc<dyn Fn(String) -> Asking + Send + Sync>);

type Asking = Pin<Box<dyn Future<Output = bool> + Send>>;

impl MayGo {
    /// Asks `ask`, with the key's canonical id.
    pub fn new<F>(ask: impl Fn(String) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = bool> + Send + 'static,
    {
        Self(Arc::new(move |key_id| Box::pin(ask(key_id))))
    }

    /// Lets every key go.
    pub fn always() -> Self {
        Self::new(|_| std::future::ready(true))
    }

    /// Whether the key may be destroyed now.
    pub async fn ask(&self, key_id: &str) -> bool {
        (self.0)(key_id.to_owned()).await
    }
}

/// Creates, changes and deletes the keys of a backend.
///
/// What a backend cannot do answers [`KmsError::Unsupported`] and is false in its [`Capabilities`]. A change is
/// durable, and in force for every later call, when the call returns. A wrapper must forward each method, so
/// none has a default.
#[async_trait]
pub trait KeyLifecycle: Send + Sync + 'static {
    /// What this backend can do.
    fn capabilities(&self) -> Capabilities;

    /// A new, enabled key of one version. [`KmsError::KeyExists`] if the id was ever used.
    async fn create_key(&self, key: NewKey) -> Result<KeyMetadata, KmsError>;

    /// A new, enabled key of one version made of the caller's own 32 bytes.
    async fn import_key(&self, key: NewKey, material: Zeroizing<Vec<u8>>) -> Result<KeyMetadata, KmsError>;

    /// Up to `limit` keys (at least 1) whose ids come after `after`. Erased keys are not listed.
    async fn list_keys(&self, after: Option<&str>, limit: usize) -> Result<KeyPage, KmsError>;

    /// What is known of a key, an erased one included.
    async fn describe_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError>;

    /// Lets a disabled key be used again.
    async fn enable_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError>;

    /// Refuses every use of the key with [`KmsError::KeyDisabled`].
    async fn disable_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError>;

    /// A new version, under which data keys are wrapped from now on. The old ones still unwrap.
    async fn rotate_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError>;

    /// Refuses every use of the key with [`KmsError::KeySealed`].
    async fn seal_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError>;

    /// Ends [`Self::seal_key`].
    async fn unseal_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError>;

    /// Adds tags; those of the same name are replaced.
    async fn tag(&self, key_id: &str, tags: BTreeMap<String, String>) -> Result<KeyMetadata, KmsError>;

    /// Removes the tags of these names; absent ones are no error.
    async fn untag(&self, key_id: &str, names: &[String]) -> Result<KeyMetadata, KmsError>;

    /// Replaces the description.
    async fn update_description(&self, key_id: &str, description: &str) -> Result<KeyMetadata, KmsError>;

    /// Makes the key unusable now, and due to be destroyed in `window_days` (see [`DELETION_WINDOW_DAYS`]).
    async fn schedule_deletion(&self, key_id: &str, window_days: u32) -> Result<KeyMetadata, KmsError>;

    /// Takes a scheduled deletion back.
    async fn cancel_deletion(&self, key_id: &str) -> Result<KeyMetadata, KmsError>;

    /// Destroys the key at once. `echo` must be the canonical key id, as a second look at what is about to be lost.
    async fn delete_now(&self, key_id: &str, echo: &str) -> Result<KeyMetadata, KmsError>;

    /// Destroys every key whose window has passed at `now` and that may go; their ids. A tombstone stays, so that
    /// their data keys answer [`KmsError::KeyErased`]. A key that may not go stays as it is, and is due again.
    async fn reap_deleted(&self, now: OffsetDateTime, may_go: &MayGo) -> Result<Vec<String>, KmsError>;

    /// Refuses every use and change of every key with [`KmsError::ServiceSealed`], across restarts. Keys can
    /// still be listed and described.
    async fn seal_service(&self) -> Result<(), KmsError>;

    /// Ends [`Self::seal_service`].
    async fn unseal_service(&self) -> Result<(), KmsError>;
}

/// A whole KMS: both use and life of its keys. `Arc<dyn Kms>` is what wrappers stack on.
pub trait Kms: KeyService + KeyLifecycle {}

impl<T: KeyService + KeyLifecycle + ?Sized> Kms for T {}
