//! An outside key service in memory: it makes, lists, describes, rotates and deletes keys and can do nothing else. It fails on demand.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use strongroom_kms::{
    Capabilities, KeyLifecycle, KeyMaterial, KeyMetadata, KeyPage, KeyState, KeyVersionInfo, KmsError, MaterialStore, MayGo, NewKey,
    check_new_key_id, random_key_id, resolve_key_id,
};
use time::{Duration, OffsetDateTime};
use tokio::sync::watch;
use zeroize::Zeroizing;

/// How the server fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    Away,
    Hangs,
    Denies,
    /// Deletes what it is told to, and its answer is lost.
    LosesAnswers,
}

/// The outside service, which outlives its clients.
#[derive(Default)]
pub(crate) struct MemoryServer {
    keys: Mutex<BTreeMap<String, Key>>,
    fault: Mutex<Option<Fault>>,
    pub(crate) calls: AtomicU64,
    /// Whether it schedules deletions by itself, and then deletes in no other way.
    schedules: bool,
    held: watch::Sender<bool>,
    pub(crate) holding: AtomicU64,
}

struct Key {
    versions: Vec<(OffsetDateTime, [u8; 32])>,
    deletion_at: Option<OffsetDateTime>,
}

impl MemoryServer {
    /// A server with the keys `first` and `second`.
    pub(crate) fn with_two_keys(schedules: bool) -> Arc<Self> {
        let server = Self { schedules, ..Self::default() };
        server.make("first");
        server.make("second");
        Arc::new(server)
    }

    pub(crate) fn fail(&self, fault: Option<Fault>) {
        *self.fault.lock().unwrap() = fault;
    }

    /// A key made past the store, whatever was there before.
    pub(crate) fn make(&self, key_id: &str) {
        let material = random_material();
        let key = Key { versions: vec![(OffsetDateTime::now_utc(), material)], deletion_at: None };
        self.keys.lock().unwrap().insert(key_id.to_owned(), key);
    }

    /// Deletes a key past the store.
    pub(crate) fn lose(&self, key_id: &str) {
        self.keys.lock().unwrap().remove(key_id).unwrap();
    }

    /// Takes a scheduled deletion back past the store.
    pub(crate) fn cancel_deletion(&self, key_id: &str) {
        self.keys.lock().unwrap().get_mut(key_id).unwrap().deletion_at = None;
    }

    pub(crate) fn has(&self, key_id: &str) -> bool {
        self.keys.lock().unwrap().contains_key(key_id)
    }

    /// Keeps answers with material back.
    pub(crate) fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    async fn call(&self) -> Result<(), KmsError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let fault = *self.fault.lock().unwrap();
        match fault {
            None | Some(Fault::LosesAnswers) => Ok(()),
            Some(Fault::Away) => Err(KmsError::Unavailable("connection refused".to_owned())),
            Some(Fault::Denies) => Err(KmsError::Denied("needs read on keys".to_owned())),
            Some(Fault::Hangs) => std::future::pending().await,
        }
    }

    fn look<T>(&self, key_id: &str, look: impl FnOnce(&str, &mut Key) -> T) -> Result<T, KmsError> {
        let key_id = resolve_key_id(key_id)?;
        let mut keys = self.keys.lock().unwrap();
        let key = keys.get_mut(key_id).ok_or_else(|| KmsError::KeyNotFound(key_id.to_owned()))?;
        Ok(look(key_id, key))
    }
}

fn random_material() -> [u8; 32] {
    random_key_id().unwrap().as_bytes()[..32].try_into().unwrap()
}

impl Key {
    fn metadata(&self, key_id: &str) -> KeyMetadata {
        let versions = (1..).zip(&self.versions).map(|(version, (created, _))| KeyVersionInfo { version, created: *created });
        KeyMetadata {
            key_id: key_id.to_owned(),
            description: String::new(),
            tags: BTreeMap::new(),
            state: self.deletion_at.map_or(KeyState::Enabled, |at| KeyState::PendingDeletion { at }),
            created: self.versions[0].0,
            versions: versions.collect(),
            current_version: u32::try_from(self.versions.len()).unwrap(),
        }
    }
}

/// A client of the server.
pub(crate) struct MemoryKms {
    pub(crate) name: String,
    pub(crate) server: Arc<MemoryServer>,
}

impl MemoryKms {
    pub(crate) fn new(name: &str, server: &Arc<MemoryServer>) -> Self {
        Self { name: name.to_owned(), server: Arc::clone(server) }
    }

    fn cannot<T>(&self, operation: &'static str) -> Result<T, KmsError> {
        Err(KmsError::Unsupported { backend: self.name.clone(), operation })
    }
}

#[async_trait]
impl MaterialStore for MemoryKms {
    fn name(&self) -> &str {
        &self.name
    }

    async fn material(&self, key_id: &str, version: Option<u32>) -> Result<KeyMaterial, KmsError> {
        self.server.call().await?;
        let found = self.server.look(key_id, |key_id, key| {
            if key.deletion_at.is_some() {
                return Err(KmsError::KeyPendingDeletion(key_id.to_owned()));
            }
            let version = version.unwrap_or(u32::try_from(key.versions.len()).unwrap());
            let (_, bytes) = key.versions.get(version as usize - 1).ok_or(KmsError::Rejected)?;
            Ok(KeyMaterial { key_id: key_id.to_owned(), version, bytes: Zeroizing::new(bytes.to_vec()) })
        });
        self.server.holding.fetch_add(1, Ordering::SeqCst);
        let _ = self.server.held.subscribe().wait_for(|held| !held).await;
        self.server.holding.fetch_sub(1, Ordering::SeqCst);
        found?
    }
}

#[async_trait]
impl KeyLifecycle for MemoryKms {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            create: true,
            import: false,
            list: true,
            describe: true,
            enable_disable: false,
            rotate: true,
            seal_key: false,
            tag: false,
            update_description: false,
            schedule_deletion: self.server.schedules,
            delete_now: !self.server.schedules,
            seal_service: false,
        }
    }

    async fn create_key(&self, key: NewKey) -> Result<KeyMetadata, KmsError> {
        self.server.call().await?;
        let key_id = key.name.map_or_else(random_key_id, Ok)?;
        check_new_key_id(&key_id)?;
        if self.server.has(&key_id) {
            return Err(KmsError::KeyExists(key_id));
        }
        self.server.make(&key_id);
        self.describe_key(&key_id).await
    }

    async fn import_key(&self, _: NewKey, _: Zeroizing<Vec<u8>>) -> Result<KeyMetadata, KmsError> {
        self.cannot("import")
    }

    async fn list_keys(&self, after: Option<&str>, limit: usize) -> Result<KeyPage, KmsError> {
        self.server.call().await?;
        if limit == 0 {
            return Err(KmsError::InvalidArgument("the limit must be at least 1".to_owned()));
        }
        let keys = self.server.keys.lock().unwrap();
        let mut rest = keys.iter().filter(|(key_id, _)| after.is_none_or(|after| key_id.as_str() > after));
        let page: Vec<KeyMetadata> = rest.by_ref().take(limit).map(|(key_id, key)| key.metadata(key_id)).collect();
        let next = rest.next().and_then(|_| Some(page.last()?.key_id.clone()));
        Ok(KeyPage { keys: page, next })
    }

    async fn describe_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.server.call().await?;
        self.server.look(key_id, |key_id, key| key.metadata(key_id))
    }

    async fn enable_key(&self, _: &str) -> Result<KeyMetadata, KmsError> {
        self.cannot("enable")
    }

    async fn disable_key(&self, _: &str) -> Result<KeyMetadata, KmsError> {
        self.cannot("disable")
    }

    async fn rotate_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.server.call().await?;
        self.server.look(key_id, |key_id, key| {
            key.versions.push((OffsetDateTime::now_utc(), random_material()));
            key.metadata(key_id)
        })
    }

    async fn seal_key(&self, _: &str) -> Result<KeyMetadata, KmsError> {
        self.cannot("seal")
    }

    async fn unseal_key(&self, _: &str) -> Result<KeyMetadata, KmsError> {
        self.cannot("unseal")
    }

    async fn tag(&self, _: &str, _: BTreeMap<String, String>) -> Result<KeyMetadata, KmsError> {
        self.cannot("tag")
    }

    async fn untag(&self, _: &str, _: &[String]) -> Result<KeyMetadata, KmsError> {
        self.cannot("untag")
    }

    async fn update_description(&self, _: &str, _: &str) -> Result<KeyMetadata, KmsError> {
        self.cannot("describe anew")
    }

    async fn schedule_deletion(&self, key_id: &str, window_days: u32) -> Result<KeyMetadata, KmsError> {
        if !self.server.schedules {
            return self.cannot("schedule a deletion");
        }
        self.server.call().await?;
        self.server.look(key_id, |key_id, key| {
            key.deletion_at = Some(OffsetDateTime::now_utc() + Duration::days(window_days.into()));
            key.metadata(key_id)
        })
    }

    async fn cancel_deletion(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        if !self.server.schedules {
            return self.cannot("cancel a deletion");
        }
        self.server.call().await?;
        self.server.look(key_id, |key_id, key| {
            key.deletion_at = None;
            key.metadata(key_id)
        })
    }

    async fn delete_now(&self, key_id: &str, echo: &str) -> Result<KeyMetadata, KmsError> {
        if self.server.schedules {
            return self.cannot("delete at once");
        }
        self.server.call().await?;
        if resolve_key_id(key_id)? != echo {
            return Err(KmsError::InvalidArgument("the echo is another".to_owned()));
        }
        let metadata = self.server.look(key_id, |key_id, key| key.metadata(key_id))?;
        self.server.lose(&metadata.key_id);
        if *self.server.fault.lock().unwrap() == Some(Fault::LosesAnswers) {
            return Err(KmsError::Unavailable("the connection was closed".to_owned()));
        }
        Ok(KeyMetadata { state: KeyState::Erased, ..metadata })
    }

    async fn reap_deleted(&self, _: OffsetDateTime, _: &MayGo) -> Result<Vec<String>, KmsError> {
        if self.server.schedules { Ok(Vec::new()) } else { self.cannot("reap") }
    }

    async fn seal_service(&self) -> Result<(), KmsError> {
        self.cannot("seal the service")
    }

    async fn unseal_service(&self) -> Result<(), KmsError> {
        self.cannot("unseal the service")
    }
}
