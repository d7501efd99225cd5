//! Everything around a keyring, which outlives it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value};
use strongroom_keyring::{BackendType, Change, Configuration, KeyUsage, Keyring, KeyringParts, Registry};
use strongroom_kms::{Kms, KmsError, LocalConfig, LocalKms, MasterKeySource, Secret};
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::{MemoryKms, MemoryServer, MemoryState};

/// The token that the servers take.
const TOKEN: &str = "canary-right-token";

/// The address of a server whose client is never done being made.
pub(crate) const STUCK: &str = "stuck";

/// A directory, a state store, key servers by address, and the keys that are in use.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) local: Arc<LocalKms>,
    pub(crate) state: Arc<MemoryState>,
    pub(crate) servers: Servers,
    pub(crate) in_use: InUse,
}

#[derive(Clone, Default)]
pub(crate) struct Servers(Arc<Mutex<BTreeMap<String, Arc<MemoryServer>>>>);

#[derive(Clone, Default)]
pub(crate) struct InUse(Arc<Mutex<Vec<(String, String)>>>);

impl World {
    pub(crate) async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let master = MasterKeySource::Value(Zeroizing::new([7; 32]));
        let local = Arc::new(LocalKms::open(LocalConfig { key_dir: dir.path().join("keys"), master }).await.unwrap());
        Self { dir, local, state: Arc::default(), servers: Servers::default(), in_use: InUse::default() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn use_key(&self, backend: &str, key_id: &str) {
        self.in_use.0.lock().unwrap().push((backend.to_owned(), key_id.to_owned()));
    }

    /// The server at an address, with the keys `first` and `second`.
    pub(crate) fn server(&self, address: &str) -> Arc<MemoryServer> {
        let mut servers = self.servers.0.lock().unwrap();
        Arc::clone(servers.entry(address.to_owned()).or_insert_with(|| MemoryServer::with_two_keys(false)))
    }

    /// Puts a server at an address.
    pub(crate) fn serve(&self, address: &str, server: Arc<MemoryServer>) {
        self.servers.0.lock().unwrap().insert(address.to_owned(), server);
    }

    pub(crate) async fn try_open(&self, initial: Option<Value>) -> Result<Arc<Keyring>, KmsError> {
        Keyring::open(KeyringParts {
            local: Arc::clone(&self.local),
            state: Arc::clone(&self.state) as _,
            initial: initial.map(|initial| Configuration::new(&change(initial)).unwrap()),
            usage: Arc::new(self.in_use.clone()),
            trusted_dirs: vec![self.path("")],
            registry: Registry::default().with(Arc::new(self.servers.clone())),
        })
        .await
    }

    pub(crate) async fn open(&self) -> Arc<Keyring> {
        self.try_open(None).await.unwrap()
    }

    /// A keyring that runs over the server `a` with the default key `first`.
    pub(crate) async fn running(&self) -> Arc<Keyring> {
        self.server("a");
        let keyring = self.open().await;
        keyring.configure(change(memory("a"))).await.unwrap();
        keyring.start().await.unwrap();
        keyring
    }
}

/// The configuration of a memory backend named after its server.
pub(crate) fn memory(address: &str) -> Value {
    serde_json::json!({"name": address, "backend_type": "memory", "address": address, "auth": {"token": {"token": TOKEN}}, "default_key_id": "first"})
}

pub(crate) fn change(given: Value) -> Change {
    serde_json::from_value(given).unwrap()
}

#[async_trait]
impl KeyUsage for InUse {
    async fn is_key_in_use(&self, backend: &str, key_id: &str) -> Result<bool, KmsError> {
        Ok(self.0.lock().unwrap().contains(&(backend.to_owned(), key_id.to_owned())))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    address: String,
    auth: Auth,
    /// Only for a value that is no text.
    #[serde(default)]
    #[allow(dead_code, reason = "only its type counts")]
    pool_size: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Auth {
    Token { token: Secret },
    Login { user: String, password: Secret },
}

#[async_trait]
impl BackendType for Servers {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn shown_fields(&self) -> &'static [&'static str] {
        &["address", "auth.login.user", "pool_size"]
    }

    fn destination_fields(&self) -> &'static [&'static str] {
        &[]
    }

    fn path_fields(&self) -> &'static [&'static str] {
        &[]
    }

    async fn build(&self, name: &str, fields: &Map<String, Value>) -> Result<Arc<dyn Kms>, KmsError> {
        let parsed = serde_path_to_error::deserialize(fields);
        let config: Config = parsed.map_err(|error: serde_path_to_error::Error<serde_json::Error>| {
            let text = error.inner().to_string();
            let missing = text.split('`').nth(1).filter(|_| text.starts_with("missing")).unwrap_or_default();
            KmsError::InvalidArgument(format!("{}.{missing} is malformed", error.path()))
        })?;
        let right = match &config.auth {
            Auth::Token { token } => token.expose() == TOKEN,
            Auth::Login { user, password } => user == "store" && password.expose() == "canary-password",
        };
        let known = self.0.lock().unwrap().get(&config.address).cloned();
        if config.address == STUCK {
            known.as_ref().unwrap().calls.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
        let server = match known {
            Some(server) if right => server,
            Some(_) => {
                let denies = Arc::new(MemoryServer::default());
                denies.fail(Some(super::Fault::Denies));
                denies
            }
            None => {
                let away = Arc::new(MemoryServer::default());
                away.fail(Some(super::Fault::Away));
                away
            }
        };
        Ok(Arc::new(MemoryKms::new(name, &server)))
    }
}
