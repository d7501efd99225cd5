//! The engine: what it is made of, and how it starts.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use strongroom_blobs::BlobStore;
use strongroom_catalog::{Catalog, CatalogError};
use strongroom_kms::{DataKeySpec, EncryptionContext, KeyService, WrappedKey};
use strongroom_seal::StoreKey;

use crate::{Error, in_use::InUse, integrity::Integrity, sse::BucketKeys};

/// The reserved KMS key that wraps the store key.
pub const STORE_KEY_ID: &str = "strongroom-store";
/// The setting of the catalog that holds the wrapped store key, from the first start on.
pub const STORE_KEY_SETTING: &str = "store-key";

/// What the engine works with.
pub struct EngineParts {
    /// Names and versions.
    pub catalog: Arc<dyn Catalog>,
    /// Sealed bytes.
    pub blobs: Arc<dyn BlobStore>,
    /// Keys for SSE-S3, SSE-KMS and DSSE-KMS; none where the operator wants SSE-C only.
    pub kms: Option<Arc<dyn KeyService>>,
    /// Wraps the store key under [`STORE_KEY_ID`].
    pub store_keys: Arc<dyn KeyService>,
}

/// How the engine behaves.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// The KMS key used where none is named.
    pub default_key_id: String,
    /// Whether objects without encryption headers, in buckets without a default, get SSE-S3.
    pub encrypt_by_default: bool,
    /// Objects up to so many bytes lie in the catalog's row.
    pub inline_limit_bytes: usize,
    /// The largest object.
    pub max_object_bytes: u64,
    /// The largest body of one PutObject or UploadPart.
    pub max_put_bytes: u64,
    /// The smallest part that is not the last.
    pub min_part_bytes: u64,
    /// How long a bucket key serves new objects.
    pub bucket_key_lifetime: Duration,
    /// How often dead blobs are looked for.
    pub sweep_interval: Duration,
    /// How long a dead blob is kept for reads that already know of it.
    pub dead_blob_grace: Duration,
    /// How old a blob that the catalog does not know must be to be deleted. The catalog may be one of before the blob, put
    /// back from a backup: so much time there is to notice.
    pub orphan_age: Duration,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            default_key_id: "default".into(),
            encrypt_by_default: true,
            inline_limit_bytes: 128 << 10,
            max_object_bytes: 5 << 40,
            max_put_bytes: 5 << 30,
            min_part_bytes: 5 << 20,
            bucket_key_lifetime: Duration::from_mins(5),
            sweep_interval: Duration::from_secs(2),
            dead_blob_grace: Duration::from_secs(5),
            orphan_age: Duration::from_hours(24),
        }
    }
}

/// S3's operations over a catalog, a blob store and a KMS.
pub struct Engine {
    parts: EngineParts,
    options: EngineOptions,
    store_key: StoreKey,
    bucket_keys: BucketKeys,
    in_use: InUse,
    integrity: Integrity,
}

impl Engine {
    /// Starts the engine: the store key is unwrapped, or at the very first start made.
    pub async fn open(parts: EngineParts, options: EngineOptions) -> Result<Arc<Self>, Error> {
        let store_key = load_store_key(&parts).await?;
        let bucket_keys = BucketKeys::new(options.bucket_key_lifetime);
        Ok(Arc::new(Self { parts, options, store_key, bucket_keys, in_use: InUse::default(), integrity: Integrity::default() }))
    }

    /// How often stored bytes turned out not to be what was stored, since the start.
    pub fn integrity_events(&self) -> u64 {
        self.integrity.count()
    }

    pub(crate) fn catalog(&self) -> &dyn Catalog {
        &*self.parts.catalog
    }

    pub(crate) fn shared_catalog(&self) -> Arc<dyn Catalog> {
        Arc::clone(&self.parts.catalog)
    }

    pub(crate) fn shared_blobs(&self) -> Arc<dyn BlobStore> {
        Arc::clone(&self.parts.blobs)
    }

    pub(crate) fn blobs(&self) -> &dyn BlobStore {
        &*self.parts.blobs
    }

    pub(crate) fn kms(&self) -> Result<&dyn KeyService, Error> {
        self.parts.kms.as_deref().ok_or(Error::KmsNotConfigured)
    }

    pub(crate) fn options(&self) -> &EngineOptions {
        &self.options
    }

    pub(crate) fn store_key(&self) -> &StoreKey {
        &self.store_key
    }

    pub(crate) fn bucket_keys(&self) -> &BucketKeys {
        &self.bucket_keys
    }

    pub(crate) fn in_use(&self) -> &InUse {
        &self.in_use
    }

    pub(crate) fn integrity(&self) -> &Integrity {
        &self.integrity
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

async fn load_store_key(parts: &EngineParts) -> Result<StoreKey, Error> {
    let context = EncryptionContext([("strongroom:purpose".to_owned(), "store-key".to_owned())].into());
    if let Some(setting) = parts.catalog.setting(STORE_KEY_SETTING).await? {
        let plain = parts.store_keys.unwrap_data_key(&parse_wrapped(&setting)?, &context).await?;
        return StoreKey::from_slice(&plain).map_err(|error| Error::Internal(error.into()));
    }
    if !parts.catalog.list_buckets("", None, 1).await?.is_empty() {
        // A second store key would make every object unreadable, one by one, as it is read.
        return Err(Error::Integrity("the catalog has buckets but no store key: restore the catalog from a backup".into()));
    }
    let data_key = parts.store_keys.generate_data_key(STORE_KEY_ID, DataKeySpec::Aes256, &context).await?;
    match parts.catalog.set_setting(STORE_KEY_SETTING, None, render_wrapped(&data_key.wrapped)?).await {
        Ok(()) => StoreKey::from_slice(&data_key.plaintext).map_err(|error| Error::Internal(error.into())),
        // Another server over the same catalog was first: its store key holds.
        Err(CatalogError::PreconditionFailed) => Box::pin(load_store_key(parts)).await,
        Err(error) => Err(error.into()),
    }
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
