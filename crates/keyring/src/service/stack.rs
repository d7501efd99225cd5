//! One backend under all of its wrappers.

use std::sync::Arc;
use std::time::Duration;

use strongroom_kms::{CacheConfig, CachedKms, KeyLifecycle, KeyService, Kms, KmsError};
use tokio::time::timeout;

use super::configuration::{BackendSettings, Settings};
use super::known::Known;
use crate::guard::{Guard, GuardConfig, Recorder};
use crate::overlay::{Ledger, Overlay};
use crate::registry::LOCAL;

/// A key that no backend has, asked for to see whether the backend answers at all.
const PROBE_KEY: &str = "probe-of-the-backend";

/// What stays the same however often the stack of a backend is built anew.
#[derive(Clone)]
pub(super) struct Lasting {
    pub(super) ledger: Arc<Ledger>,
    pub(super) recorder: Arc<Recorder>,
    pub(super) known: Arc<Known>,
}

/// Cache, overlay and guard around a backend.
pub(super) struct Stack {
    pub(super) name: String,
    pub(super) settings: BackendSettings,
    /// The bare backend, kept when only the wrappers change.
    pub(super) backend: Arc<dyn Kms>,
    pub(super) guard: Arc<Guard<dyn Kms>>,
    pub(super) kms: Arc<CachedKms<Overlay<Guard<dyn Kms>>>>,
    /// The same without the cache.
    pub(super) overlay: Arc<Overlay<Guard<dyn Kms>>>,
    pub(super) recorder: Arc<Recorder>,
    pub(super) known: Arc<Known>,
    limits: (GuardConfig, CacheConfig),
}

impl Stack {
    pub(super) fn new(name: &str, settings: &BackendSettings, backend: Arc<dyn Kms>, of_all: &Settings, lasting: Lasting) -> Self {
        let Lasting { ledger, recorder, known } = lasting;
        let limits = (of_all.guard(), of_all.cache());
        let guard = Arc::new(Guard::new(Arc::clone(&backend), limits.0, Arc::clone(&recorder)));
        let overlay = Arc::new(Overlay::new(Arc::clone(&guard), ledger));
        let kms = Arc::new(CachedKms::new(Arc::clone(&overlay), limits.1));
        Self { name: name.to_owned(), settings: settings.clone(), backend, guard, kms, overlay, recorder, known, limits }
    }

    /// Whether a stack built of these would be like this one.
    pub(super) fn is_of(&self, settings: &BackendSettings, of_all: &Settings) -> bool {
        self.settings == *settings && self.limits == (of_all.guard(), of_all.cache())
    }

    /// Refuses a key that this process knows to be unusable. No external service is called; the local backend has its keys in memory.
    pub(super) async fn check_known(&self, key_id: &str) -> Result<(), KmsError> {
        self.overlay.check_remembered(key_id).await?;
        if self.settings.backend_type == LOCAL {
            return self.backend.check_usable(key_id).await.map(drop);
        }
        self.known.check(key_id)
    }

    /// Whether the backend answers, within `limit`. A key that cannot be used is an answer.
    pub(super) async fn probe(&self, default_key_id: Option<&str>, limit: Duration) -> Result<(), KmsError> {
        let late = |_| KmsError::Unavailable(format!("it did not answer within {} seconds", limit.as_secs_f64()));
        match timeout(limit, self.ask(default_key_id)).await.map_err(late)? {
            Err(error) if !is_answer(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Asks about the default key: it is what rights are given for, if rights are given sparingly.
    async fn ask(&self, default_key_id: Option<&str>) -> Result<(), KmsError> {
        match default_key_id {
            Some(key_id) => self.overlay.check_usable(key_id).await.map(drop),
            None if self.overlay.capabilities().list => self.overlay.list_keys(None, 1).await.map(drop),
            None => self.overlay.check_usable(PROBE_KEY).await.map(drop),
        }
    }
}

/// Whether the backend is there, whatever it says of the key.
fn is_answer(error: &KmsError) -> bool {
    match error {
        KmsError::KeyNotFound(_)
        | KmsError::KeyErased(_)
        | KmsError::KeyDisabled(_)
        | KmsError::KeyPendingDeletion(_)
        | KmsError::KeySealed(_) => true,
        KmsError::ServiceSealed
        | KmsError::KeyExists(_)
        | KmsError::InvalidArgument(_)
        | KmsError::Conflict(_)
        | KmsError::NotConfigured
        | KmsError::Rejected
        | KmsError::Denied(_)
        | KmsError::Unavailable(_)
        | KmsError::Unsupported { .. }
        | KmsError::Broken(_) => false,
    }
}
