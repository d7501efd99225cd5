//! The local backend: the server's own key directory, and others beside it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value};
use strongroom_kms::{KeyService, Kms, KmsError, LocalConfig, LocalKms, MasterKeySource, Secret};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::{BackendType, parse};

/// The name of the type, and of the backend over the server's own key directory.
pub(crate) const LOCAL: &str = "local";

/// The permissions key files have; none other may be asked for.
const OWNER_ONLY: u32 = 0o600;

/// Keeps the key directories that are open: each is locked by this process, and is under one name alone.
pub(crate) struct LocalType {
    own: Arc<LocalKms>,
    own_dir: PathBuf,
    /// By their true paths.
    others: Mutex<BTreeMap<PathBuf, Open>>,
}

struct Open {
    master_key: Option<Secret>,
    kms: Arc<LocalKms>,
}

/// The fields of a local backend.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    key_dir: Option<PathBuf>,
    file_permissions: Option<u32>,
    master_key: Option<Secret>,
}

#[async_trait]
impl BackendType for LocalType {
    fn name(&self) -> &'static str {
        LOCAL
    }

    fn shown_fields(&self) -> &'static [&'static str] {
        &["key_dir", "file_permissions"]
    }

    fn destination_fields(&self) -> &'static [&'static str] {
        &[]
    }

    fn path_fields(&self) -> &'static [&'static str] {
        &["key_dir"]
    }

    async fn build(&self, name: &str, fields: &Map<String, Value>) -> Result<Arc<dyn Kms>, KmsError> {
        let Config { key_dir, file_permissions, master_key } = parse(fields)?;
        if file_permissions.is_some_and(|mode| mode & !OWNER_ONLY != 0) {
            return Err(invalid("file_permissions: key files are for their owner alone; it must be 384 (0600) or stricter"));
        }
        let key_dir = key_dir.map(|dir| absolute(&dir)).transpose()?;
        if name != LOCAL {
            return Ok(self.other(name, key_dir, master_key).await?);
        }
        if key_dir.is_some_and(|dir| dir != self.own_dir) {
            let own = self.own_dir.display();
            return Err(invalid(&format!("key_dir: the server's own key directory is {own}; for another one, give the backend a name")));
        }
        if master_key.is_some() {
            return Err(invalid("master_key: the server's own key directory is open already, under the master key it was started with"));
        }
        Ok(Arc::clone(&self.own) as _)
    }
}

impl LocalType {
    /// The server's own key directory.
    pub(crate) fn own_dir(&self) -> &Path {
        &self.own_dir
    }

    pub(crate) fn new(own: Arc<LocalKms>) -> Self {
        let file = own.key_file("any");
        let own_dir = file.parent().map(|dir| dir.canonicalize().unwrap_or_else(|_| dir.to_owned())).unwrap_or_default();
        Self { own, own_dir, others: Mutex::default() }
    }

    /// Closes the directories that no backend is over: they were only tried, or are not wanted any more.
    pub(crate) async fn close_unused(&self) {
        self.others.lock().await.retain(|_, open| is_used(open));
    }

    /// A directory beside the server's own, opened once.
    async fn other(&self, name: &str, key_dir: Option<PathBuf>, master_key: Option<Secret>) -> Result<Arc<LocalKms>, KmsError> {
        let key_dir = key_dir.ok_or_else(|| invalid("key_dir: a local backend with a name of its own needs a directory of its own"))?;
        let mut others = self.others.lock().await;
        if let Some(open) = others.get(&key_dir).filter(|open| open.kms.backend() == name) {
            if open.master_key != master_key {
                return Err(invalid("master_key: the key directory is open under another master key"));
            }
            return Ok(Arc::clone(&open.kms));
        }
        if key_dir != self.own_dir && key_dir.starts_with(&self.own_dir) {
            return Err(invalid("key_dir: it lies in the server's own key directory, which holds nothing but its keys"));
        }
        if key_dir == self.own_dir || others.get(&key_dir).is_some_and(is_used) {
            return Err(invalid("key_dir: this directory belongs to another backend"));
        }
        // Closed before it is opened again.
        others.remove(&key_dir);
        let master = master(&key_dir, master_key.as_ref())?;
        let kms = Arc::new(LocalKms::open(LocalConfig { key_dir: key_dir.clone(), master }).await?.named(name));
        // It exists now, and has its true path.
        others.insert(absolute(&key_dir)?, Open { master_key, kms: Arc::clone(&kms) });
        Ok(kms)
    }
}

/// Whether a backend is over the directory, or a call through one under way.
fn is_used(open: &Open) -> bool {
    Arc::strong_count(&open.kms) > 1
}

/// The master key as given, or a file of it beside the directory.
fn master(key_dir: &Path, given: Option<&Secret>) -> Result<MasterKeySource, KmsError> {
    let Some(given) = given else {
        let mut file = key_dir.as_os_str().to_owned();
        file.push(".master.key");
        return Ok(MasterKeySource::File(file.into()));
    };
    let bytes = STANDARD.decode(given.expose()).map(Zeroizing::new).ok();
    let key = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok());
    key.map(|key| MasterKeySource::Value(Zeroizing::new(key))).ok_or_else(|| invalid("master_key: it must be 32 bytes in base64"))
}

/// The directory by its one true path, as far as it exists.
fn absolute(dir: &Path) -> Result<PathBuf, KmsError> {
    if !dir.is_absolute() {
        return Err(invalid("key_dir: it must be an absolute path"));
    }
    let beside = || Some(dir.parent()?.canonicalize().ok()?.join(dir.file_name()?));
    Ok(dir.canonicalize().ok().or_else(beside).unwrap_or_else(|| dir.to_owned()))
}

fn invalid(text: &str) -> KmsError {
    KmsError::InvalidArgument(text.to_owned())
}
