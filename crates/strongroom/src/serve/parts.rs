//! The parts of the store, opened as configured.

use std::sync::Arc;
use std::time::Duration;

use strongroom_access::{Identities, Identity, PolicySet, SecretKey};
use strongroom_blobs::FileBlobs;
use strongroom_catalog::{Catalog, SqliteCatalog, SqliteOptions};
use strongroom_engine::{Engine, EngineOptions, EngineParts};
use strongroom_kms::{CacheConfig, CachedKms, KeyLifecycle, KeyService, LocalConfig, LocalKms, MasterKeySource, is_reserved};
use strongroom_s3::{ErrorDialect, Network, S3Options};
use time::OffsetDateTime;
use tokio::task::spawn_blocking;

use super::{StartError, losses};
use crate::config::{KmsSettings, RootKeys, Settings, User};

pub(super) const CATALOG_FILE: &str = "catalog.db";
pub(super) const BLOBS_DIR: &str = "blobs";

/// The local KMS, bare and behind its cache.
pub(super) struct Keys {
    local: Arc<LocalKms>,
    pub(super) cached: Arc<CachedKms<LocalKms>>,
}

/// Opens the catalog of the data directory.
pub(super) async fn open_catalog(settings: &Settings) -> Result<Arc<SqliteCatalog>, StartError> {
    losses::require_catalog(&settings.data_dir)?;
    let path = settings.data_dir.join(CATALOG_FILE);
    Ok(Arc::new(spawn_blocking(move || SqliteCatalog::open(&path, SqliteOptions::default())).await??))
}

/// Opens the local KMS and makes the keys that the store needs and never had.
pub(super) async fn open_kms(settings: &Settings, catalog: &dyn Catalog) -> Result<Keys, StartError> {
    let kms = &settings.kms;
    if let Some(key_id) = wanted_keys(kms).find(|key_id| is_reserved(key_id)) {
        return Err(StartError::ReservedKey(key_id.clone()));
    }
    losses::require_keys(settings, catalog).await?;
    let master = MasterKeySource::File(kms.master_key_file.clone());
    let local = LocalKms::open(LocalConfig { key_dir: kms.key_dir.clone(), master }).await?;
    losses::ensure_store_key(&local, catalog).await?;
    for key_id in wanted_keys(kms) {
        losses::ensure_key(&local, catalog, key_id).await?;
    }
    let cache = kms.cache.map_or(CacheConfig { enabled: false, ..CacheConfig::default() }, |cache| CacheConfig {
        enabled: true,
        max_keys: cache.max_keys,
        ttl_seconds: cache.lifetime.as_secs(),
    });
    let local = Arc::new(local);
    Ok(Keys { cached: Arc::new(CachedKms::new(Arc::clone(&local), cache)), local })
}

fn wanted_keys(kms: &KmsSettings) -> impl Iterator<Item = &String> {
    std::iter::once(&kms.default_key_id).chain(&kms.ensure_keys).filter(|_| kms.enabled)
}

/// Opens the blobs, and the engine over everything.
pub(super) async fn open_engine(settings: &Settings, keys: &Keys, catalog: Arc<SqliteCatalog>) -> Result<Arc<Engine>, StartError> {
    let root = settings.data_dir.join(BLOBS_DIR);
    let blobs = spawn_blocking(move || FileBlobs::open(root)).await??;
    let kms: Arc<dyn KeyService> = Arc::clone(&keys.cached) as _;
    let parts =
        EngineParts { catalog, blobs: Arc::new(blobs), kms: settings.kms.enabled.then_some(kms), store_keys: Arc::clone(&keys.local) as _ };
    let defaults = EngineOptions::default();
    let options = EngineOptions {
        default_key_id: settings.kms.default_key_id.clone(),
        encrypt_by_default: settings.encrypt_by_default && settings.kms.enabled,
        inline_limit_bytes: settings.limits.inline_limit_bytes.unwrap_or(defaults.inline_limit_bytes),
        sweep_interval: settings.limits.sweep_interval,
        dead_blob_grace: settings.limits.dead_blob_grace,
        orphan_age: settings.limits.orphan_age,
        ..defaults
    };
    Ok(Engine::open(parts, options).await?)
}

/// Destroys, now and then, the keys whose deletion is due.
pub(super) async fn reap_keys(kms: Arc<CachedKms<LocalKms>>, interval: Duration) {
    loop {
        match kms.reap_deleted(OffsetDateTime::now_utc()).await {
            Ok(keys) if keys.is_empty() => {}
            Ok(keys) => tracing::warn!(?keys, "keys whose deletion was due are destroyed"),
            Err(error) => tracing::error!(%error, "keys whose deletion is due could not be destroyed"),
        }
        tokio::time::sleep(interval).await;
    }
}

/// Root and the configured users.
pub(super) fn identities(root: &RootKeys, users: &[User]) -> Result<Identities, StartError> {
    let secret = SecretKey::new(root.secret_key.to_string()).map_err(StartError::Root)?;
    let root = Identity::root(&root.access_key, secret).map_err(StartError::Root)?;
    let users = users.iter().map(identity).collect::<Result<_, _>>()?;
    Identities::new(root, users).map_err(StartError::Identities)
}

fn identity(user: &User) -> Result<Identity, StartError> {
    let fail = |source| StartError::User { name: user.name.clone(), source };
    let names: Vec<&str> = user.policies.iter().map(String::as_str).collect();
    let policies = PolicySet::from_config(&names, user.policy.as_deref()).map_err(fail)?;
    let secret = SecretKey::new(user.secret_key.to_string()).map_err(fail)?;
    Identity::user(&user.name, &user.access_key, secret, policies).map_err(fail)
}

/// What the S3 side is told.
pub(super) fn s3_options(settings: &Settings) -> Result<S3Options, StartError> {
    let network = |given: &String| given.parse::<Network>().map_err(|source| StartError::Proxy { given: given.clone(), source });
    Ok(S3Options {
        domains: settings.domains.clone(),
        region: settings.region.clone(),
        error_dialect: if settings.aws_dialect { ErrorDialect::Aws } else { ErrorDialect::Strongroom },
        trusted_proxies: settings.trusted_proxies.iter().map(network).collect::<Result<_, _>>()?,
        allow_insecure_sse_c_on_loopback: settings.allow_insecure_sse_c_on_loopback,
        body_idle_timeout: settings.limits.body_idle_timeout,
        min_transfer_bytes_per_second: settings.limits.min_transfer_bytes_per_second,
        ..S3Options::default()
    })
}
