//! What everything of the service shares: the present snapshot, and how it is replaced.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use strongroom_kms::{Closed, Fence, KmsError, LocalKms, StateStore};
use zeroize::Zeroizing;

use super::closing::Closing;
use super::configuration::{BackendSettings, Configuration};
use super::document::{self, Document};
use super::snapshot::Snapshot;
use super::stack::{Lasting, Stack};
use super::trust::{self, Places};
use super::{Change, KeyUsage, KeyringParts};
use crate::overlay::Ledger;
use crate::registry::{LocalType, Registry};

/// How long a deletion waits for commits under way. Each is one transaction of the catalog: a longer one is stuck.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

pub(super) struct Core {
    pub(super) local: Arc<LocalKms>,
    pub(super) usage: Arc<dyn KeyUsage>,
    pub(super) registry: Registry,
    places: Places,
    local_type: Arc<LocalType>,
    state: Arc<dyn StateStore>,
    present: RwLock<Arc<Snapshot>>,
    /// By the names of backends, those that were removed included: there are as many as names were ever configured in this process.
    lasting: Mutex<BTreeMap<String, Lasting>>,
    /// Keeps commits under a key and its destruction apart.
    pub(super) fence: Fence,
    /// The seals and stops that wait for `changes`.
    pub(super) closing: Closing,
    /// Held by a change of the service; the document as the store has it.
    pub(super) changes: tokio::sync::Mutex<Stored>,
    /// Keys that were due to be destroyed the last time, and had to wait.
    pub(super) postponed: AtomicU64,
}

/// The document as it was last read or written.
pub(super) type Stored = Option<Zeroizing<Vec<u8>>>;

impl Core {
    /// Reads what is stored. Nothing is set up yet.
    pub(super) async fn open(parts: KeyringParts) -> Result<Self, KmsError> {
        let KeyringParts { local, state, initial: _, usage, trusted_dirs, registry } = parts;
        let stored = state.load(document::NAME).await?;
        let document = stored.as_ref().map_or_else(|| Ok(Document::default()), |bytes| Document::from_bytes(bytes))?;
        let local_type = Arc::new(LocalType::new(Arc::clone(&local)));
        Ok(Self {
            local,
            usage,
            places: Places { trusted_dirs, own_key_dir: local_type.own_dir().to_owned() },
            registry: registry.with(Arc::clone(&local_type) as _),
            local_type,
            state,
            present: RwLock::new(Arc::new(Snapshot { document, stacks: BTreeMap::new() })),
            lasting: Mutex::default(),
            fence: Fence::default(),
            closing: Closing::default(),
            changes: tokio::sync::Mutex::new(stored),
            postponed: AtomicU64::new(0),
        })
    }

    /// The service now.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.present.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Refuses every use and every change of a key unless the service runs and is to go on so.
    pub(super) fn check_running(&self) -> Result<(), KmsError> {
        // Looked at first: when a seal is no longer under way, it is in the snapshot.
        let closing = self.closing.check();
        let snapshot = self.snapshot();
        snapshot.configuration()?;
        closing?;
        snapshot.check_running()
    }

    pub(super) async fn close_key(&self, backend: &str, key_id: &str) -> Result<Closed, KmsError> {
        drained(self.fence.close_key(backend, key_id)).await
    }

    pub(super) async fn close_backend(&self, backend: &str) -> Result<Closed, KmsError> {
        drained(self.fence.close_backend(backend)).await
    }

    /// Refuses while the service is sealed or about to be.
    pub(super) fn check_unsealed(&self) -> Result<(), KmsError> {
        let closing = self.closing.check();
        let sealed = self.snapshot().document.sealed || matches!(closing, Err(KmsError::ServiceSealed));
        if sealed { Err(KmsError::ServiceSealed) } else { Ok(()) }
    }

    /// Those of `ways` that a change over HTTP may make of the present configuration; if none, why.
    pub(super) fn permitted(
        &self,
        earlier: Option<&Configuration>,
        ways: Vec<Configuration>,
        change: &Change,
    ) -> Result<Vec<Configuration>, KmsError> {
        let mut refusal = None;
        let mut permitted = Vec::new();
        for way in ways {
            match self.check_trust(earlier, &way, change) {
                Ok(()) => permitted.push(way),
                Err(error) => drop(refusal.get_or_insert(error)),
            }
        }
        match refusal {
            Some(error) if permitted.is_empty() => Err(error),
            _ => Ok(permitted),
        }
    }

    fn check_trust(&self, earlier: Option<&Configuration>, changed: &Configuration, change: &Change) -> Result<(), KmsError> {
        let Some(backend) = changed.backends.get(&changed.in_force) else { return Ok(()) };
        let earlier = earlier.and_then(|earlier| earlier.backends.get(&changed.in_force)).map(|backend| &backend.fields);
        let of = self.registry.get(&backend.backend_type)?;
        trust::check(&**of, earlier, &backend.fields, &change.backend, &self.places)
    }

    /// Sets up every backend of a configuration. Those that are as they were are taken over, unless `anew`.
    pub(super) async fn set_up(&self, document: Document, anew: bool) -> Snapshot {
        let (before, mut stacks) = (self.snapshot(), BTreeMap::new());
        if let Some(configuration) = &document.configuration {
            for (name, settings) in &configuration.backends {
                let earlier = before.stacks.get(name).and_then(|stack| stack.as_ref().ok()).filter(|_| !anew);
                let stack = self.set_up_one(configuration, name, settings, earlier).await.map_err(|error| error.to_string());
                stacks.insert(name.clone(), stack);
            }
        }
        Snapshot { document, stacks }
    }

    /// Sets up one backend.
    async fn set_up_one(
        &self,
        configuration: &Configuration,
        name: &str,
        settings: &BackendSettings,
        earlier: Option<&Arc<Stack>>,
    ) -> Result<Arc<Stack>, KmsError> {
        let of_all = &configuration.settings;
        let backend = match earlier {
            Some(earlier) if earlier.is_of(settings, of_all) => return Ok(Arc::clone(earlier)),
            Some(earlier) if earlier.settings == *settings => Arc::clone(&earlier.backend),
            _ => self.registry.get(&settings.backend_type)?.build(name, settings.fields.as_map()).await?,
        };
        Ok(Arc::new(Stack::new(name, settings, backend, of_all, self.lasting(name))))
    }

    /// Sets up the first of several ways to understand a change whose backend in force accepts its configuration.
    pub(super) async fn set_up_first(&self, document: &Document, ways: Vec<Configuration>) -> Result<Snapshot, KmsError> {
        let mut refused = KmsError::NotConfigured;
        for configuration in ways {
            let settings = &configuration.backends[&configuration.in_force];
            let earlier = self.snapshot().in_stacks(&configuration.in_force);
            match self.set_up_one(&configuration, &configuration.in_force, settings, earlier.as_ref()).await {
                Ok(stack) => {
                    let name = configuration.in_force.clone();
                    let mut snapshot = self.set_up_others(Document { configuration: Some(configuration), ..document.clone() }, &name).await;
                    snapshot.stacks.insert(name, Ok(stack));
                    return Ok(snapshot);
                }
                Err(error) => refused = error,
            }
        }
        self.local_type.close_unused().await;
        Err(refused)
    }

    /// Sets up every backend but one.
    async fn set_up_others(&self, document: Document, but: &str) -> Snapshot {
        let mut others = document.clone();
        if let Some(configuration) = &mut others.configuration {
            configuration.backends.remove(but);
        }
        Snapshot { document, ..self.set_up(others, false).await }
    }

    /// Writes the document and puts the snapshot in force. A failing write changes nothing.
    pub(super) async fn install(&self, stored: &mut Stored, snapshot: Snapshot) -> Result<(), KmsError> {
        let installed = self.write_and_show(stored, snapshot).await;
        self.local_type.close_unused().await;
        installed
    }

    /// Closes what was set up and is not wanted. Its snapshot was dropped.
    pub(super) async fn drop_unused(&self) {
        self.local_type.close_unused().await;
    }

    async fn write_and_show(&self, stored: &mut Stored, snapshot: Snapshot) -> Result<(), KmsError> {
        let bytes = snapshot.document.to_bytes()?;
        if stored.as_ref() != Some(&bytes) {
            let present = stored.as_ref().map(|bytes| bytes.as_slice());
            match self.state.save(document::NAME, present, &bytes).await {
                Ok(()) => *stored = Some(bytes),
                Err(KmsError::Conflict(_)) => return Err(self.adopt(stored).await),
                Err(error) => return Err(KmsError::Unavailable(format!("the configuration cannot be stored: {error}"))),
            }
        }
        self.show(snapshot);
        Ok(())
    }

    /// Puts in force without writing.
    pub(super) fn show(&self, snapshot: Snapshot) {
        let before = std::mem::replace(&mut *self.present.write().unwrap_or_else(PoisonError::into_inner), Arc::new(snapshot));
        let after = self.snapshot();
        // Caches that are not taken over are wiped now, not when the last call through them ends.
        let replaced = before.live().filter(|stack| !after.live().any(|kept| Arc::ptr_eq(kept, stack)));
        replaced.for_each(|stack| stack.kms.clear());
    }

    /// Takes over what another server wrote meanwhile, or what this one wrote when it seemed to fail; the change is not made.
    async fn adopt(&self, stored: &mut Stored) -> KmsError {
        let found = match self.state.load(document::NAME).await {
            Ok(found) => found,
            Err(error) => return error,
        };
        match found.as_ref().map_or_else(|| Ok(Document::default()), |bytes| Document::from_bytes(bytes)) {
            Ok(document) => {
                *stored = found;
                self.show(self.set_up(document, false).await);
                KmsError::Conflict("the configuration was changed meanwhile; look at GET /kms/config and try again".to_owned())
            }
            Err(error) => error,
        }
    }

    fn lasting(&self, name: &str) -> Lasting {
        let mut lasting = self.lasting.lock().unwrap_or_else(PoisonError::into_inner);
        let new =
            || Lasting { ledger: Arc::new(Ledger::new(name, Arc::clone(&self.state))), recorder: Arc::default(), known: Arc::default() };
        lasting.entry(name.to_owned()).or_insert_with(new).clone()
    }
}

async fn drained(closed: Closed) -> Result<Closed, KmsError> {
    closed.drained(DRAIN_LIMIT).await?;
    Ok(closed)
}
