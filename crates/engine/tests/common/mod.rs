//! A whole engine in a temporary directory, with hands on each of its parts.

mod gate;
mod jobs;
mod requests;

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use strongroom_access::{Identity, IdentityError, IdentitySource, PolicySet, SecretKey};
use strongroom_audit::testing::MemoryAudit;
use strongroom_blobs::{
    BlobId, BlobStore,
    testing::{CountingBlobs, MemoryBlobs, conformance::list},
};
use strongroom_catalog::{
    Catalog, Clock, SqliteCatalog, SqliteOptions,
    testing::{CatalogHook, HookedCatalog, MemoryCatalog},
};
use strongroom_engine::{
    Engine, EngineOptions, EngineParts, STORE_KEY_ID, SealedSettings,
    api::{self, Caller, CreateBucket},
    rekey::Starter,
};
use strongroom_iam::KmsKeys;
use strongroom_kms::{
    CacheConfig, CachedKms, CommitPermit, DataKey, DataKeySpec, EncryptionContext, Fence, KeyLifecycle as _, KeyService, KeySource,
    KmsError, LocalConfig, LocalKms, MasterKeySource, OWNER_TAG, WrappedKey, testing::CountingKms,
};
use tempfile::TempDir;
use zeroize::Zeroizing;

pub use gate::*;
pub use jobs::*;
pub use requests::*;

pub type Backend = CountingKms<LocalKms>;
pub type Cache = CachedKms<Backend>;

/// The bucket every rig has.
pub const BUCKET: &str = "bucket";
/// KMS keys every rig has, beside `default`.
pub const KEY: &str = "alpha";
pub const OTHER_KEY: &str = "beta";

/// One backend as the whole of key management.
pub struct FixedSource {
    pub inner: Arc<dyn KeyService>,
    /// The backend, for what is known of its keys without a call.
    pub local: Arc<LocalKms>,
    pub fence: Fence,
    pub default_key_id: Mutex<String>,
    pub is_configured: AtomicBool,
}

impl FixedSource {
    pub fn new(inner: Arc<dyn KeyService>, local: Arc<LocalKms>, is_configured: bool) -> Arc<Self> {
        let (fence, default_key_id) = (Fence::default(), Mutex::new("default".into()));
        Arc::new(Self { inner, local, fence, default_key_id, is_configured: AtomicBool::new(is_configured) })
    }

    fn inner(&self) -> Result<&dyn KeyService, KmsError> {
        if self.is_configured() { Ok(&*self.inner) } else { Err(KmsError::NotConfigured) }
    }
}

#[async_trait]
impl KeySource for FixedSource {
    fn is_configured(&self) -> bool {
        self.is_configured.load(Ordering::SeqCst)
    }

    fn default_key_id(&self) -> String {
        self.default_key_id.lock().unwrap().clone()
    }

    async fn owner_of(&self, _: &str, key_id: &str) -> Result<Option<String>, KmsError> {
        Ok(self.local.describe_key(key_id).await?.tags.remove(OWNER_TAG))
    }

    async fn begin_commit(&self, backend: &str, key_id: &str) -> Result<CommitPermit, KmsError> {
        let permit = self.fence.enter(backend, key_id)?;
        self.local.check_usable(key_id).await?;
        Ok(permit)
    }

    async fn begin_lock(&self, backend: &str, key_id: &str) -> Result<CommitPermit, KmsError> {
        let permit = self.fence.enter(backend, key_id)?;
        match self.local.check_usable(key_id).await {
            Err(error @ (KmsError::KeyPendingDeletion(_) | KmsError::KeyErased(_))) => Err(error),
            _ => Ok(permit),
        }
    }
}

/// Root, and who else there is at present.
pub struct People(Mutex<Vec<Arc<Identity>>>);

impl Default for People {
    fn default() -> Self {
        Self(Mutex::new(vec![root(true).identity]))
    }
}

impl People {
    /// Adds an identity, in the place of one of its name.
    pub fn admit(&self, identity: &Arc<Identity>) {
        self.remove(&identity.name);
        self.0.lock().unwrap().push(Arc::clone(identity));
    }

    pub fn remove(&self, name: &str) {
        self.0.lock().unwrap().retain(|known| known.name != name);
    }
}

#[async_trait]
impl IdentitySource for People {
    async fn by_access_key(&self, _: &str, _: Option<&str>) -> Result<Arc<Identity>, IdentityError> {
        Err(IdentityError::UnknownAccessKey)
    }

    async fn by_name(&self, name: &str) -> Result<Option<Arc<Identity>>, IdentityError> {
        Ok(self.0.lock().unwrap().iter().find(|known| known.name == name).cloned())
    }

    async fn is_owner(&self, owner: &str) -> Result<bool, IdentityError> {
        Ok(self.by_name(owner).await?.is_some())
    }

    fn note_use(&self, _: &str, _: &str, _: &str) {}
}

/// Who starts the jobs of a test.
pub fn starter(caller: &Caller) -> Starter<'_> {
    Starter { identity: &caller.identity, secure: caller.secure, request_id: "request-1" }
}

#[async_trait]
impl KeyService for FixedSource {
    fn backend(&self) -> &str {
        self.inner.backend()
    }

    async fn check_usable(&self, key_id: &str) -> Result<String, KmsError> {
        self.inner()?.check_usable(key_id).await
    }

    async fn generate_data_key(&self, key_id: &str, spec: DataKeySpec, context: &EncryptionContext) -> Result<DataKey, KmsError> {
        self.inner()?.generate_data_key(key_id, spec, context).await
    }

    async fn unwrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        self.inner()?.unwrap_data_key(wrapped, context).await
    }

    async fn rewrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<WrappedKey, KmsError> {
        self.inner()?.rewrap_data_key(wrapped, context).await
    }
}

/// What a rig is to be made of.
pub struct Plan {
    pub options: EngineOptions,
    pub cached: bool,
    pub sqlite: bool,
    pub with_kms: bool,
    /// The catalog's clock. By default every blob died long ago, so that no test has to wait for the sweep.
    pub clock: Clock,
    /// What a rig left behind, to be opened again.
    pub home: Option<Home>,
    pub catalog_hook: Option<Arc<dyn CatalogHook>>,
    pub wrap_blobs: Option<Wrap<dyn BlobStore>>,
}

/// What outlives a process: catalog and keys in the directory, and the blobs.
pub struct Home {
    pub dir: TempDir,
    pub memory: MemoryBlobs,
}

pub type Wrap<T> = Box<dyn FnOnce(Arc<T>) -> Arc<T>>;

impl Default for Plan {
    /// Small limits, no default encryption, and dead blobs and orphans that may be swept at once.
    fn default() -> Self {
        let options = EngineOptions {
            encrypt_by_default: false,
            inline_limit_bytes: 4096,
            min_part_bytes: 0,
            dead_blob_grace: std::time::Duration::ZERO,
            orphan_age: std::time::Duration::ZERO,
            ..EngineOptions::default()
        };
        Self {
            options,
            cached: false,
            sqlite: false,
            with_kms: true,
            clock: Clock::new(|| 0),
            home: None,
            catalog_hook: None,
            wrap_blobs: None,
        }
    }
}

pub struct Rig {
    /// Calls that the engine makes.
    pub kms: Arc<CountingKms<Cache>>,
    /// The life of keys, as the admin API reaches it.
    pub keys: Arc<Cache>,
    /// Calls that the cache lets through.
    pub backend: Arc<Backend>,
    /// What lies in the blob store, where it is one in memory.
    pub memory: MemoryBlobs,
    pub blobs: CountingBlobs,
    /// What the engine takes for key management.
    pub source: Arc<FixedSource>,
    pub audit: Arc<MemoryAudit>,
    pub catalog: Arc<dyn Catalog>,
    pub settings: Arc<SealedSettings>,
    pub people: Arc<People>,
    /// The keys that belong to accounts.
    pub owned: Arc<KmsKeys>,
    pub engine: Arc<Engine>,
    pub root: Caller,
    pub dir: TempDir,
}

impl Rig {
    pub async fn new() -> Self {
        Self::with(Plan::default()).await
    }

    pub async fn cached() -> Self {
        Self::with(Plan { cached: true, ..Plan::default() }).await
    }

    pub async fn sqlite() -> Self {
        Self::with(Plan { sqlite: true, ..Plan::default() }).await
    }

    pub async fn with(plan: Plan) -> Self {
        let is_new = plan.home.is_none();
        let Home { dir, memory } = plan.home.unwrap_or_else(|| Home { dir: temp_dir(), memory: MemoryBlobs::default() });
        let local = Arc::new(local_kms(&dir).await);
        let backend = Arc::new(CountingKms::new(Arc::clone(&local)));
        let keys = Arc::new(CachedKms::new(Arc::clone(&backend), CacheConfig { enabled: plan.cached, ..CacheConfig::default() }));
        let kms = Arc::new(CountingKms::new(Arc::clone(&keys)));
        let catalog = catalog(&dir, plan.sqlite, plan.clock);
        let catalog = match plan.catalog_hook {
            Some(hook) => Arc::new(HookedCatalog::new(Arc::clone(&catalog), hook)),
            None => Arc::clone(&catalog),
        };
        let blobs = CountingBlobs::new(Arc::new(memory.clone()));
        let blob_store: Arc<dyn BlobStore> = Arc::new(blobs.clone());
        let blob_store = plan.wrap_blobs.map_or_else(|| Arc::clone(&blob_store), |wrap| wrap(Arc::clone(&blob_store)));
        let source = FixedSource::new(kms.clone(), Arc::clone(&local), plan.with_kms);
        let audit = Arc::new(MemoryAudit::default());
        let settings = SealedSettings::open(Arc::clone(&catalog), local).await.unwrap();
        let people = Arc::new(People::default());
        let owned = KmsKeys::new(Arc::clone(&catalog), settings.shared_store_key(), Clock::default());
        let parts = EngineParts {
            catalog: Arc::clone(&catalog),
            blobs: blob_store,
            kms: source.clone(),
            settings: Arc::clone(&settings),
            audit: audit.clone(),
            identities: people.clone(),
            key_rules: owned.clone(),
        };
        let engine = Engine::open(parts, plan.options);
        let rig =
            Self { kms, keys, backend, memory, blobs, source, audit, catalog, settings, people, owned, engine, root: root(true), dir };
        if is_new {
            rig.engine.create_bucket(&rig.root, CreateBucket { name: BUCKET.into(), ..CreateBucket::default() }).await.unwrap();
        }
        rig
    }

    /// Lets go of everything but what is kept.
    pub fn into_home(self) -> Home {
        Home { dir: self.dir, memory: self.memory }
    }

    /// A connection to the catalog's file, for those who tamper with it.
    pub fn rows(&self) -> rusqlite::Connection {
        let rows = rusqlite::Connection::open(self.dir.path().join("catalog.db")).unwrap();
        rows.execute_batch("PRAGMA synchronous = OFF; PRAGMA busy_timeout = 5000").unwrap();
        rows
    }

    /// Every blob that lies in the store, finished or not.
    pub async fn blob_ids(&self) -> BTreeSet<BlobId> {
        list(&self.memory).await.into_iter().collect()
    }

    /// The only blob of the store that was not there before.
    pub async fn new_blob(&self, before: &BTreeSet<BlobId>) -> BlobId {
        let new: Vec<_> = self.blob_ids().await.difference(before).copied().collect();
        assert_eq!(new.len(), 1, "{new:?}");
        new[0]
    }

    /// Forgets what was counted so far.
    pub fn reset_counts(&self) {
        self.kms.reset_counts();
        self.backend.reset_counts();
        self.blobs.reset();
    }
}

/// In memory where the system has such a place: nothing here tests a disk, and its fsyncs would take most of the time.
pub fn temp_dir() -> TempDir {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory).unwrap() } else { TempDir::new().unwrap() }
}

async fn local_kms(dir: &TempDir) -> LocalKms {
    let config = LocalConfig { key_dir: dir.path().join("keys"), master: MasterKeySource::Value(Zeroizing::new([7; 32])) };
    let kms = LocalKms::open(config).await.unwrap();
    for key in ["default", STORE_KEY_ID, KEY, OTHER_KEY] {
        kms.ensure_key(key, "").await.unwrap();
    }
    kms
}

fn catalog(dir: &TempDir, sqlite: bool, clock: Clock) -> Arc<dyn Catalog> {
    if !sqlite {
        return Arc::new(MemoryCatalog::new(clock));
    }
    let options = SqliteOptions { clock, ..SqliteOptions::default() };
    Arc::new(SqliteCatalog::open(&dir.path().join("catalog.db"), options).unwrap())
}

pub fn root(secure: bool) -> Caller {
    caller(Identity::root("root-key", secret()).unwrap(), secure)
}

/// A user whose rights are this policy document's.
pub fn user(policy: &str) -> Caller {
    let policies = PolicySet::from_config(&[] as &[&str], Some(policy)).unwrap();
    caller(Identity::user("alice", "alice-key", secret(), policies).unwrap(), true)
}

fn caller(identity: Identity, secure: bool) -> Caller {
    Caller {
        identity: Arc::new(identity),
        secure,
        sse_c_allowed: secure,
        expected_owner: None,
        seen: api::Seen::default(),
        request_id: "test".into(),
        peer: None,
        operation: "Test",
    }
}

fn secret() -> SecretKey {
    SecretKey::new("a secret of tests".to_owned()).unwrap()
}
