//! Gives every backend the whole life of a key: what it lacks is remembered in a document beside it.

mod deletion;
mod document;
mod ledger;
mod lifecycle;
mod service;

use std::sync::Arc;

use strongroom_kms::{Capabilities, KeyLifecycle, KeyMetadata, KmsError, resolve_key_id};

pub(crate) use self::document::refuse;
use self::document::{Document, Entry};
pub use self::ledger::Ledger;
pub(crate) use self::ledger::run_to_end;

/// A backend with what it lacks: enabling, sealing, scheduled deletion, tombstones, tags and descriptions of keys.
///
/// What the backend can do it does itself. A change is durable before it is in force, and in force when it returns. If what is
/// remembered cannot be read, every key is refused. A backend that cannot describe its keys is left as it is.
pub struct Overlay<K: ?Sized> {
    inner: Arc<K>,
    ledger: Arc<Ledger>,
    supplied: Supplied,
}

/// What the overlay does itself because the backend cannot.
#[allow(clippy::struct_excessive_bools, reason = "each is an independent yes or no")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Supplied {
    enable_disable: bool,
    seal_key: bool,
    tag: bool,
    update_description: bool,
    schedule_deletion: bool,
    /// Whether destroyed keys are remembered here. Only a backend that lacks nothing remembers them itself.
    tombstones: bool,
}

impl<K: KeyLifecycle + ?Sized> Overlay<K> {
    /// Wraps `inner`. Nothing is read until a key is used.
    pub fn new(inner: Arc<K>, ledger: Arc<Ledger>) -> Self {
        let supplied = Supplied::to(inner.capabilities());
        Self { inner, ledger, supplied }
    }

    /// The document, or none if nothing is remembered of this backend.
    async fn document(&self) -> Result<Option<Arc<Document>>, KmsError> {
        if !self.supplied.tombstones {
            return Ok(None);
        }
        self.ledger.read().await.map(Some)
    }

    /// The bare id behind `key_id`, and what is remembered of the key.
    async fn look_up<'a>(&self, key_id: &'a str) -> Result<(&'a str, Entry), KmsError> {
        let key_id = resolve_key_id(key_id)?;
        let document = self.document().await?;
        Ok((key_id, document.and_then(|document| document.entry(key_id).cloned()).unwrap_or_default()))
    }

    /// The key as it is: what the backend tells under what is remembered.
    async fn described(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        let (id, entry) = self.look_up(key_id).await?;
        if entry.tombstone.is_some() {
            return entry.buried(id).ok_or_else(|| KmsError::KeyErased(id.to_owned()));
        }
        match entry.or_lost(id, self.inner.describe_key(key_id).await) {
            Err(KmsError::KeyErased(_)) if entry.deletion.is_some() => entry.buried(id).ok_or_else(|| KmsError::KeyErased(id.to_owned())),
            described => Ok(entry.lay_over(described?)),
        }
    }
}

impl Supplied {
    fn to(backend: Capabilities) -> Self {
        let Capabilities {
            create: _,
            import: _,
            list: _,
            describe,
            enable_disable,
            rotate: _,
            seal_key,
            tag,
            update_description,
            schedule_deletion,
            delete_now,
            seal_service: _,
        } = backend;
        let complete = enable_disable && seal_key && tag && update_description && schedule_deletion && delete_now;
        Self {
            enable_disable: describe && !enable_disable,
            seal_key: describe && !seal_key,
            tag: describe && !tag,
            update_description: describe && !update_description,
            schedule_deletion: describe && delete_now && !schedule_deletion,
            tombstones: describe && !complete,
        }
    }

    /// What backend and overlay can do together.
    fn add_to(self, backend: Capabilities) -> Capabilities {
        let Self { enable_disable, seal_key, tag, update_description, schedule_deletion, tombstones: _ } = self;
        Capabilities {
            enable_disable: backend.enable_disable || enable_disable,
            seal_key: backend.seal_key || seal_key,
            tag: backend.tag || tag,
            update_description: backend.update_description || update_description,
            schedule_deletion: backend.schedule_deletion || schedule_deletion,
            ..backend
        }
    }
}
