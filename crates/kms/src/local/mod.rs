//! The built-in backend: keys in a directory, each in a file sealed under one master key.
//!
//! All keys lie in memory, so using one touches no disk. A change is a durable file before it is in force. The formats
//! and what they protect against are in `docs/kms/local.md`.

mod backup;
mod bundle;
mod dir;
mod document;
mod kdf;
mod lifecycle;
mod master;
mod material;
mod passphrase;
mod record;
mod rekey;
mod service;
mod staging;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock};

pub use self::backup::{Backup, RestoreConflict, RestoreMode, RestoreReport};
pub use self::bundle::{BundleKey, MAX_BUNDLE_LEN};
use self::dir::KeyDir;
use self::document::Defect;
pub use self::kdf::MIN_PASSPHRASE_CHARS;
pub use self::master::MasterKeySource;
use self::record::KeyRecord;
use crate::crypto::SecretKey;
use crate::key_id::check_well_formed;
use crate::{KeyMetadata, KmsError, NewKey};

/// The most keys a key directory holds, tombstones of erased ones included: all of them lie in memory.
pub const MAX_KEYS: usize = 10_000;

/// The name in [`WrappedKey::backend`](crate::WrappedKey::backend), unless another is given.
const BACKEND: &str = "local";

/// Where the local backend keeps its keys.
#[derive(Debug)]
pub struct LocalConfig {
    /// A directory for key files alone, of mode 0700. Created if absent.
    pub key_dir: PathBuf,
    /// What the key files are sealed under. A file is best kept on another disk than the data.
    pub master: MasterKeySource,
}

/// The local backend. Wrapping and unwrapping take microseconds and block on nothing.
pub struct LocalKms {
    name: String,
    inner: Arc<Inner>,
    /// One change at a time. Held by the blocking task, so a caller that goes away leaves no half change.
    writer: Arc<tokio::sync::Mutex<()>>,
}

struct Inner {
    dir: KeyDir,
    /// A change of the master key was interrupted: files may belong to either.
    unsettled: AtomicBool,
    state: RwLock<State>,
}

struct State {
    master: Arc<SecretKey>,
    sealed: bool,
    keys: BTreeMap<String, Slot>,
}

enum Slot {
    Key(Arc<KeyRecord>),
    /// The file cannot be opened; why.
    Damaged(String),
}

impl LocalKms {
    /// Opens the key directory, or makes a new one with a new master key.
    ///
    /// Fails with [`KmsError::Broken`] on loose permissions, foreign files, files of a later version, a missing
    /// or wrong master key, or a second server on the directory; the text says what to do. A single damaged
    /// key file is logged, and answers [`KmsError::Broken`] when that key is used; the other keys work.
    pub async fn open(config: LocalConfig) -> Result<Self, KmsError> {
        let inner = run_blocking(move || Inner::open(&config)).await?;
        Ok(Self { name: BACKEND.to_owned(), inner: Arc::new(inner), writer: Arc::default() })
    }

    /// The same backend under another name than `local`, where there are several.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// The key of this name, created if it never existed. Takes the store's own reserved names too.
    ///
    /// A key that is disabled, sealed or erased is returned as it is, never replaced.
    pub async fn ensure_key(&self, key_id: &str, description: &str) -> Result<KeyMetadata, KmsError> {
        check_well_formed(key_id)?;
        let key = NewKey { name: Some(key_id.to_owned()), description: description.to_owned(), ..NewKey::default() };
        let key_id = key_id.to_owned();
        self.write(move |inner| match inner.find(&key_id) {
            Err(KmsError::KeyNotFound(_)) => inner.create(&key_id, key, SecretKey::random()?),
            found => Ok(found?.metadata(&key_id)),
        })
        .await
    }

    /// Where the file of the key of this id lies, or would lie.
    pub fn key_file(&self, key_id: &str) -> PathBuf {
        self.inner.dir.key_file(key_id)
    }

    /// Runs a change on a blocking thread, alone among changes, to its end.
    async fn write<T: Send + 'static>(&self, work: impl FnOnce(&Inner) -> Result<T, KmsError> + Send + 'static) -> Result<T, KmsError> {
        let alone = Arc::clone(&self.writer).lock_owned().await;
        let inner = Arc::clone(&self.inner);
        run_blocking(move || {
            let _alone = alone;
            work(&inner)
        })
        .await
    }
}

impl Inner {
    fn open(config: &LocalConfig) -> Result<Self, KmsError> {
        let dir = KeyDir::open(&config.key_dir)?;
        dir.settle()?;
        let key_ids = dir.scan(config.master.path())?;
        let master = config.master.load(&dir, key_ids.len())?;
        let keys = load_keys(&dir, &master, key_ids)?;
        let sealed = dir.is_service_sealed()?;
        let state = RwLock::new(State { master: Arc::new(master), sealed, keys });
        Ok(Self { dir, unsettled: AtomicBool::new(false), state })
    }

    /// The key of a bare id, whatever its state.
    fn find(&self, key_id: &str) -> Result<Arc<KeyRecord>, KmsError> {
        self.read_state(|state| state.find(key_id))
    }

    /// Refuses everything while the whole service is sealed.
    fn check_unsealed(&self) -> Result<(), KmsError> {
        self.read_state(State::check_unsealed)
    }

    /// Adds a key. The caller has checked that the id may be used.
    fn create(&self, key_id: &str, key: NewKey, material: SecretKey) -> Result<KeyMetadata, KmsError> {
        self.check_unsealed()?;
        let (exists, count) = self.read_state(|state| (state.keys.contains_key(key_id), state.keys.len()));
        if exists {
            return Err(KmsError::KeyExists(key_id.to_owned()));
        }
        if count >= MAX_KEYS {
            let text = format!("the key directory holds {MAX_KEYS} keys, erased ones included, the most there can be");
            return Err(KmsError::InvalidArgument(text));
        }
        self.store(key_id, KeyRecord::new(key, material)?)
    }

    /// Changes a key: a copy first, then the file, then memory.
    fn change(&self, key_id: &str, apply: impl FnOnce(&mut KeyRecord) -> Result<(), KmsError>) -> Result<KeyMetadata, KmsError> {
        self.check_unsealed()?;
        let mut record = KeyRecord::clone(&*self.find(key_id)?);
        apply(&mut record)?;
        self.store(key_id, record)
    }

    /// Writes a key's file and, once it is durable, makes the new state visible. Only one writer at a time may call it.
    ///
    /// A version that a power cut could take away is never used: what was sealed under it could not be opened again.
    fn store(&self, key_id: &str, record: KeyRecord) -> Result<KeyMetadata, KmsError> {
        self.check_settled()?;
        let master = self.read_state(|state| Arc::clone(&state.master));
        let replaced = self.dir.replace(key_id, &document::seal(&master, key_id, &record)?).map_err(|failed| {
            if failed.is_named {
                self.take_back(&master, key_id);
            }
            failed.error
        })?;
        let metadata = record.metadata(key_id);
        self.write_state(|state| state.keys.insert(key_id.to_owned(), Slot::Key(Arc::new(record))));
        if let Err(error) = replaced.scrub() {
            tracing::warn!(key_id, %error, "the former key file could not be overwritten");
        }
        Ok(metadata)
    }

    /// Writes the state in force back to the key's file, so that no restart finds the refused one. If that fails as well, the next start
    /// syncs what it finds before it uses it.
    fn take_back(&self, master: &SecretKey, key_id: &str) {
        let taken_back = match self.find(key_id) {
            Ok(former) => document::seal(master, key_id, &former)
                .and_then(|bytes| self.dir.replace(key_id, &bytes).map(drop).map_err(|failed| failed.error)),
            Err(KmsError::KeyNotFound(_)) => self.dir.remove(key_id),
            Err(error) => Err(error),
        };
        if let Err(error) = taken_back {
            tracing::error!(key_id, %error, "a change of the key was refused, but its file may hold it at the next start");
        }
    }

    /// Poisoning is no concern: no code that can panic runs under the lock.
    fn read_state<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write_state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn check_unsealed(&self) -> Result<(), KmsError> {
        if self.sealed { Err(KmsError::ServiceSealed) } else { Ok(()) }
    }

    fn find(&self, key_id: &str) -> Result<Arc<KeyRecord>, KmsError> {
        match self.keys.get(key_id) {
            Some(Slot::Key(record)) => Ok(Arc::clone(record)),
            Some(Slot::Damaged(reason)) => Err(KmsError::Broken(reason.clone())),
            None => Err(KmsError::KeyNotFound(key_id.to_owned())),
        }
    }
}

/// Opens every key file. A wrong master key is told from damage by this: no file opens, and one at least
/// names another master.
fn load_keys(dir: &KeyDir, master: &SecretKey, key_ids: Vec<String>) -> Result<BTreeMap<String, Slot>, KmsError> {
    let mut keys = BTreeMap::new();
    let (mut opened, mut other_master) = (0_usize, false);
    for key_id in key_ids {
        let file = dir.key_file(&key_id);
        let reason = match document::open(master, &key_id, &dir.read(&key_id)?) {
            Ok(record) => {
                opened += 1;
                keys.insert(key_id, Slot::Key(Arc::new(record)));
                continue;
            }
            Err(Defect::LaterVersion(version)) => return Err(later_version(&file, version)),
            Err(Defect::OtherMaster) => {
                other_master = true;
                "it was sealed under another master key"
            }
            Err(Defect::Damaged(reason)) => reason,
        };
        tracing::error!(file = %file.display(), reason, "a key file cannot be opened; the key is unusable until the file is restored");
        let text = format!("the key file {} cannot be opened: {reason}; restore it from a backup and restart", file.display());
        keys.insert(key_id, Slot::Damaged(text));
    }
    if opened == 0 && other_master {
        return Err(wrong_master(dir));
    }
    Ok(keys)
}

fn later_version(file: &std::path::Path, version: u32) -> KmsError {
    KmsError::Broken(format!("the key file {} has format {version}; start the newer Strongroom that wrote it", file.display()))
}

fn wrong_master(dir: &KeyDir) -> KmsError {
    let dir = dir.path().display();
    KmsError::Broken(format!("the keys in {dir} were sealed under another master key; start with the one they were made with"))
}

async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, KmsError> + Send + 'static) -> Result<T, KmsError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(KmsError::Unavailable("the call was interrupted because the server stops".to_owned())))
}
