//! The store key, as the catalog keeps it: wrapped by the local key store.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use strongroom_catalog::{Catalog, CatalogError};
use strongroom_kms::{DataKeySpec, EncryptionContext, KeyService, WrappedKey};
use strongroom_seal::StoreKey;

use crate::Error;

/// The reserved KMS key that wraps the store key.
pub const STORE_KEY_ID: &str = "strongroom-store";
/// The setting of the catalog that holds the wrapped store key, from the first start on.
pub const STORE_KEY_SETTING: &str = "store-key";

pub(super) async fn load(catalog: &dyn Catalog, store_keys: &dyn KeyService) -> Result<StoreKey, Error> {
    let context = EncryptionContext([("strongroom:purpose".to_owned(), "store-key".to_owned())].into());
    if let Some(setting) = catalog.setting(STORE_KEY_SETTING).await? {
        let plain = store_keys.unwrap_data_key(&parse_wrapped(&setting)?, &context).await?;
        return StoreKey::from_slice(&plain).map_err(|error| Error::Internal(error.into()));
    }
    if !catalog.list_buckets("", None, 1).await?.is_empty() {
        // A second store key would make every object unreadable, one by one, as it is read.
        return Err(Error::Integrity("the catalog has buckets but no store key: restore the catalog from a backup".into()));
    }
    let data_key = store_keys.generate_data_key(STORE_KEY_ID, DataKeySpec::Aes256, &context).await?;
    match catalog.set_setting(STORE_KEY_SETTING, None, render_wrapped(&data_key.wrapped)?).await {
        Ok(()) => StoreKey::from_slice(&data_key.plaintext).map_err(|error| Error::Internal(error.into())),
        // Another server over the same catalog was first: its store key holds.
        Err(CatalogError::PreconditionFailed) => Box::pin(load(catalog, store_keys)).await,
        Err(error) => Err(error.into()),
    }
}

/// The wrapped store key, as the catalog's setting holds it.
#[derive(Serialize, Deserialize)]
struct StoredStoreKey {
    backend: String,
    key_id: String,
    key_version: u32,
    ciphertext: String,
}

fn parse_wrapped(setting: &[u8]) -> Result<WrappedKey, Error> {
    let damaged = || Error::Integrity("the wrapped store key in the catalog does not parse".into());
    let stored: StoredStoreKey = serde_json::from_slice(setting).map_err(|_| damaged())?;
    let ciphertext = STANDARD.decode(&stored.ciphertext).map_err(|_| damaged())?;
    Ok(WrappedKey { backend: stored.backend, key_id: stored.key_id, key_version: stored.key_version, ciphertext })
}

fn render_wrapped(wrapped: &WrappedKey) -> Result<Vec<u8>, Error> {
    let stored = StoredStoreKey {
        backend: wrapped.backend.clone(),
        key_id: wrapped.key_id.clone(),
        key_version: wrapped.key_version,
        ciphertext: STANDARD.encode(&wrapped.ciphertext),
    };
    serde_json::to_vec(&stored).map_err(|error| Error::Internal(error.into()))
}
