//! The document of one backend, in memory and in the state store.

use std::sync::{Arc, PoisonError, RwLock};

use strongroom_kms::{KmsError, MAX_STATE_LEN, StateStore};
use tracing::Instrument;
use zeroize::Zeroizing;

use super::document::Document;

/// How often a change begins anew because another writer was faster.
const MAX_ATTEMPTS: u32 = 8;

/// What is remembered of the keys of one backend. Every [`Overlay`](super::Overlay) of the backend must share one ledger.
///
/// It is read from the store when it is first needed. While it cannot be read, every look-up fails: a key is never assumed enabled.
pub struct Ledger {
    name: String,
    state: Arc<dyn StateStore>,
    present: RwLock<Option<Arc<Loaded>>>,
    /// Held while the document is read or written.
    access: tokio::sync::Mutex<()>,
    /// Held while a deletion is begun, carried out or taken back: none is taken back half-way.
    deletions: tokio::sync::Mutex<()>,
}

/// The document as the store has it.
struct Loaded {
    raw: Option<Zeroizing<Vec<u8>>>,
    document: Arc<Document>,
}

impl Ledger {
    /// The ledger of the backend of this name.
    pub fn new(backend: &str, state: Arc<dyn StateStore>) -> Self {
        let name = format!("kms-overlay/{backend}");
        Self { name, state, present: RwLock::new(None), access: tokio::sync::Mutex::default(), deletions: tokio::sync::Mutex::default() }
    }

    /// The document now.
    pub(super) async fn read(&self) -> Result<Arc<Document>, KmsError> {
        if let Some(loaded) = self.present() {
            return Ok(Arc::clone(&loaded.document));
        }
        let _access = self.access.lock().await;
        Ok(Arc::clone(&self.load().await?.document))
    }

    /// Changes the document. The change is durable before anyone sees it, and runs to its end if the caller goes away.
    ///
    /// `change` is called again if another writer was faster.
    pub(super) async fn update<T, C>(self: &Arc<Self>, change: C) -> Result<T, KmsError>
    where
        T: Send + 'static,
        C: Fn(&mut Document) -> Result<T, KmsError> + Send + Sync + 'static,
    {
        let ledger = Arc::clone(self);
        let work = async move {
            let _access = ledger.access.lock().await;
            for _ in 0..MAX_ATTEMPTS {
                match ledger.try_update(&change).await {
                    Err(KmsError::Conflict(_)) if ledger.present().is_none() => {}
                    done => return done,
                }
            }
            Err(KmsError::Conflict(format!("the document {} is being changed by others all the time; try again", ledger.name)))
        };
        run_to_end(work).await
    }

    pub(super) async fn lock_deletions(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.deletions.lock().await
    }

    /// One attempt. After a failed write the document is not known, and read anew before the next look-up.
    async fn try_update<T>(&self, change: impl Fn(&mut Document) -> Result<T, KmsError>) -> Result<T, KmsError> {
        let loaded = self.load().await?;
        let mut document = Document::clone(&loaded.document);
        let result = change(&mut document)?;
        if document == *loaded.document {
            return Ok(result);
        }
        let raw = Zeroizing::new(document.to_bytes()?);
        if raw.len() > MAX_STATE_LEN {
            let text = format!("the document {} is full ({MAX_STATE_LEN} bytes): remove descriptions and tags of keys", self.name);
            return Err(KmsError::InvalidArgument(text));
        }
        let saved = self.state.save(&self.name, loaded.raw.as_ref().map(|raw| raw.as_slice()), &raw).await;
        let now = saved.is_ok().then(|| Arc::new(Loaded { raw: Some(raw), document: Arc::new(document) }));
        self.set_present(now);
        saved.map(|()| result).map_err(|error| match error {
            KmsError::Conflict(text) => KmsError::Conflict(text),
            error => KmsError::Unavailable(format!("the change cannot be stored: {error}")),
        })
    }

    /// The document, read if it is not in memory. The caller holds `access`.
    async fn load(&self) -> Result<Arc<Loaded>, KmsError> {
        if let Some(loaded) = self.present() {
            return Ok(loaded);
        }
        let raw = self.state.load(&self.name).await.map_err(|error| {
            tracing::error!(document = self.name, %error, "the states of keys cannot be read; the keys are refused until they can");
            KmsError::Unavailable(format!("the states of its keys cannot be read: {error}"))
        })?;
        let document = raw.as_ref().map_or_else(|| Ok(Document::default()), |raw| Document::from_bytes(raw, &self.name))?;
        let loaded = Arc::new(Loaded { raw, document: Arc::new(document) });
        self.set_present(Some(Arc::clone(&loaded)));
        Ok(loaded)
    }

    /// Poisoning is no concern: nothing under the lock can panic.
    fn present(&self) -> Option<Arc<Loaded>> {
        self.present.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_present(&self, loaded: Option<Arc<Loaded>>) {
        *self.present.write().unwrap_or_else(PoisonError::into_inner) = loaded;
    }
}

/// Runs work to its end also if the caller goes away.
pub(crate) async fn run_to_end<T: Send + 'static>(work: impl Future<Output = Result<T, KmsError>> + Send + 'static) -> Result<T, KmsError> {
    let done = tokio::spawn(work.in_current_span()).await;
    done.unwrap_or_else(|_| Err(KmsError::Unavailable("the change was interrupted".to_owned())))
}
