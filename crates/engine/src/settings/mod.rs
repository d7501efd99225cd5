//! What the store keeps sealed of itself: its own key, and documents of key management.
//!
//! It needs the catalog and the local key store only, so that it is there before any KMS and before the engine.

mod documents;
mod store_key;

use std::{fmt, sync::Arc};

use strongroom_catalog::Catalog;
use strongroom_kms::KeyService;
use strongroom_seal::StoreKey;

use crate::Error;

pub use store_key::{STORE_KEY_ID, STORE_KEY_SETTING};

/// The store key, and the [`StateStore`](strongroom_kms::StateStore) whose documents are sealed under it.
pub struct SealedSettings {
    catalog: Arc<dyn Catalog>,
    store_key: Arc<StoreKey>,
}

impl SealedSettings {
    /// Unwraps the store key with `store_keys`, the local key store, under [`STORE_KEY_ID`]; at the very first start makes it.
    pub async fn open(catalog: Arc<dyn Catalog>, store_keys: Arc<dyn KeyService>) -> Result<Arc<Self>, Error> {
        let store_key = Arc::new(store_key::load(&*catalog, &*store_keys).await?);
        Ok(Arc::new(Self { catalog, store_key }))
    }

    /// The store key, for what else is sealed under it and is not the engine's.
    pub fn shared_store_key(&self) -> Arc<StoreKey> {
        Arc::clone(&self.store_key)
    }

    pub(crate) fn store_key(&self) -> &StoreKey {
        &self.store_key
    }
}

impl fmt::Debug for SealedSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SealedSettings")
    }
}
