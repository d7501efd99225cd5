//! Key management, from the local key store up to the service over every backend.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use strongroom_catalog::Catalog;
use strongroom_engine::SealedSettings;
use strongroom_keyring::{Configuration, KeyUsage, Keyring, KeyringParts, Registry};
use strongroom_kms::{KeyService, KmsError, LocalConfig, LocalKms, MasterKeySource, StateStore, is_reserved};
use zeroize::Zeroizing;

use super::{StartError, losses};
use crate::config::{KmsSettings, MasterKey, Settings};

/// What opens what is sealed.
pub(super) struct Keys {
    pub(super) settings: Arc<SealedSettings>,
    pub(super) keyring: Arc<Keyring>,
}

/// Opens the local key store, makes the keys that the store needs and never had, and takes the key service up where it was left.
pub(super) async fn open(settings: &Settings, catalog: Arc<dyn Catalog>) -> Result<Keys, StartError> {
    let kms = &settings.kms;
    if let Some(key_id) = wanted_keys(kms).find(|key_id| is_reserved(key_id)) {
        return Err(StartError::ReservedKey(key_id.to_owned()));
    }
    losses::require_keys(settings, &*catalog).await?;
    let local = LocalKms::open(LocalConfig { key_dir: kms.key_dir.clone(), master: master(&kms.master)? }).await?;
    losses::ensure_store_key(&local, &*catalog).await?;
    for key_id in wanted_keys(kms) {
        losses::ensure_key(&local, &*catalog, key_id).await?;
    }
    let local = Arc::new(local);
    let sealed = SealedSettings::open(Arc::clone(&catalog), Arc::clone(&local) as Arc<dyn KeyService>).await?;
    let keyring = Keyring::open(KeyringParts {
        local,
        state: Arc::clone(&sealed) as Arc<dyn StateStore>,
        initial: kms.initial.as_ref().map(Configuration::new).transpose()?,
        usage: Arc::new(Usage(catalog)),
        trusted_dirs: kms.trusted_dirs.clone(),
        registry: Registry::default(),
    });
    Ok(Keys { keyring: keyring.await?, settings: sealed })
}

fn master(given: &MasterKey) -> Result<MasterKeySource, StartError> {
    Ok(match given {
        MasterKey::File(path) => MasterKeySource::File(path.clone()),
        MasterKey::Passphrase(text) => MasterKeySource::Passphrase(text.clone()),
        MasterKey::Value(text) => {
            let decoded = STANDARD.decode(text.trim()).map(Zeroizing::new).ok();
            let bytes = decoded.and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok());
            MasterKeySource::Value(Zeroizing::new(bytes.ok_or(StartError::MalformedMasterKey)?))
        }
    })
}

/// The local keys to be made where they never were.
fn wanted_keys(kms: &KmsSettings) -> impl Iterator<Item = &str> {
    let default = kms.default_key_id().filter(|_| kms.is_local());
    let further = kms.ensure_keys.iter().map(String::as_str).filter(|_| kms.initial.is_some());
    default.into_iter().chain(further)
}

/// What the catalog knows to depend on a key.
struct Usage(Arc<dyn Catalog>);

#[async_trait]
impl KeyUsage for Usage {
    async fn is_key_in_use(&self, backend: &str, key_id: &str) -> Result<bool, KmsError> {
        let in_use = self.0.is_key_in_use(backend, key_id).await;
        in_use.map_err(|error| KmsError::Unavailable(format!("the catalog does not answer: {error}")))
    }
}
