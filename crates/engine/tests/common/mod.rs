//! A whole engine in a temporary directory, with hands on each of its parts.

mod gate;
mod requests;

use std::{collections::BTreeSet, sync::Arc};

use strongroom_access::{Identity, PolicySet, SecretKey};
use strongroom_blobs::{
    BlobId, BlobStore,
    testing::{CountingBlobs, MemoryBlobs},
};
use strongroom_catalog::{Catalog, Clock, MemoryCatalog, SqliteCatalog, SqliteOptions};
use strongroom_engine::{
    Engine, EngineOptions, EngineParts, STORE_KEY_ID,
    api::{Caller, CreateBucket},
};
use strongroom_kms::{CacheConfig, CachedKms, LocalConfig, LocalKms, MasterKeySource, testing::CountingKms};
use tempfile::TempDir;
use zeroize::Zeroizing;

pub use gate::*;
pub use requests::*;

pub type Backend = CountingKms<LocalKms>;
pub type Cache = CachedKms<Backend>;

/// The bucket every rig has.
pub const BUCKET: &str = "bucket";
/// KMS keys every rig has, beside `default`.
pub const KEY: &str = "alpha";
pub const OTHER_KEY: &str = "beta";

/// What a rig is to be made of.
pub struct Plan {
    pub options: EngineOptions,
    pub cached: bool,
    pub sqlite: bool,
    pub with_kms: bool,
    pub wrap_catalog: Option<Wrap<dyn Catalog>>,
    pub wrap_blobs: Option<Wrap<dyn BlobStore>>,
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
        Self { options, cached: false, sqlite: false, with_kms: true, wrap_catalog: None, wrap_blobs: None }
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
        let dir = temp_dir();
        let local = Arc::new(local_kms(&dir).await);
        let backend = Arc::new(CountingKms::new(Arc::clone(&local)));
        let keys = Arc::new(CachedKms::new(Arc::clone(&backend), CacheConfig { enabled: plan.cached, ..CacheConfig::default() }));
        let kms = Arc::new(CountingKms::new(Arc::clone(&keys)));
        let catalog = catalog(&dir, plan.sqlite);
        let catalog = plan.wrap_catalog.map_or_else(|| Arc::clone(&catalog), |wrap| wrap(Arc::clone(&catalog)));
        let memory = MemoryBlobs::default();
        let blobs = CountingBlobs::new(Arc::new(memory.clone()));
        let blob_store: Arc<dyn BlobStore> = Arc::new(blobs.clone());
        let blob_store = plan.wrap_blobs.map_or_else(|| Arc::clone(&blob_store), |wrap| wrap(Arc::clone(&blob_store)));
        let used: Arc<dyn strongroom_kms::KeyService> = kms.clone();
        let parts = EngineParts { catalog, blobs: blob_store, kms: plan.with_kms.then_some(used), store_keys: local };
        let engine = Engine::open(parts, plan.options).await.unwrap();
        let rig = Self { kms, keys, backend, memory, blobs, engine, root: root(true), dir };
        rig.engine.create_bucket(&rig.root, CreateBucket { name: BUCKET.into(), region: String::new() }).await.unwrap();
        rig
    }

    /// A connection to the catalog's file, for those who tamper with it.
    pub fn rows(&self) -> rusqlite::Connection {
        let rows = rusqlite::Connection::open(self.dir.path().join("catalog.db")).unwrap();
        rows.execute_batch("PRAGMA synchronous = OFF; PRAGMA busy_timeout = 5000").unwrap();
        rows
    }

    /// Every blob that lies in the store, finished or not.
    pub async fn blob_ids(&self) -> BTreeSet<BlobId> {
        self.memory.list(None, usize::MAX).await.unwrap().into_iter().map(|blob| blob.id).collect()
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

fn catalog(dir: &TempDir, sqlite: bool) -> Arc<dyn Catalog> {
    // Every blob died long ago, so that no test has to wait for the sweep's clock.
    let clock = Clock::new(|| 0);
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
    Caller { identity: Arc::new(identity), secure, sse_c_allowed: secure, expected_owner: None, request_id: "test".into() }
}

fn secret() -> SecretKey {
    SecretKey::new("a secret of tests".to_owned()).unwrap()
}
