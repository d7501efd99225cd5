//! The parts of the store, opened as configured.

use std::sync::Arc;

use strongroom_access::{Configured, Identity, IdentitySource, PolicySet, SecretKey};
use strongroom_admin::{Admin, AdminParts};
use strongroom_audit::AuditLog;
use strongroom_blobs::FileBlobs;
use strongroom_catalog::{Catalog, Clock, SqliteCatalog, SqliteOptions};
use strongroom_engine::{Engine, EngineOptions, EngineParts, events::NotificationOptions, lifecycle::LifecycleOptions, space::Space};
use strongroom_iam::{Iam, IamParts, KmsKeys};
use strongroom_kms::KeySource as _;
use strongroom_notify::{Deliveries, TargetConfig};
use strongroom_s3::{ErrorDialect, Network, S3Options, SignatureV2};
use strongroom_sso::Providers;
use tokio::task::spawn_blocking;

use super::keys::Keys;
use super::space::Plan;
use super::{StartError, losses};
use crate::config::{RootKeys, Settings, User};

pub(super) const CATALOG_FILE: &str = "catalog.db";
pub(super) const BLOBS_DIR: &str = "blobs";

/// Opens the catalog of the data directory.
pub(super) async fn open_catalog(settings: &Settings, plan: &Plan) -> Result<Arc<SqliteCatalog>, StartError> {
    losses::require_catalog(&settings.data_dir)?;
    let path = settings.data_dir.join(CATALOG_FILE);
    let defaults = SqliteOptions::default();
    let log_bytes = plan.catalog_log_bytes().unwrap_or(defaults.log_bytes);
    let options = SqliteOptions { log_bytes, ..defaults };
    Ok(Arc::new(spawn_blocking(move || SqliteCatalog::open(&path, options)).await??))
}

/// Opens the blobs, and the engine over everything.
pub(super) async fn open_engine(
    settings: &Settings,
    keys: &Keys,
    space: Space,
    catalog: Arc<dyn Catalog>,
    audit: Arc<AuditLog>,
    (identities, key_rules): (Arc<dyn IdentitySource>, Arc<KmsKeys>),
) -> Result<Arc<Engine>, StartError> {
    let root = settings.data_dir.join(BLOBS_DIR);
    let blobs = Arc::new(spawn_blocking(move || FileBlobs::open(root)).await??);
    let (kms, sealed) = (Arc::clone(&keys.keyring) as _, Arc::clone(&keys.settings));
    let parts = EngineParts { catalog, blobs, kms, settings: sealed, audit, identities, key_rules };
    let defaults = EngineOptions::default();
    let options = EngineOptions {
        encrypt_by_default: settings.encrypt_by_default,
        blocked_encryption_types: settings.blocked_encryption_types.clone(),
        block_public_access: settings.block_public_access,
        object_ownership: settings.object_ownership,
        minimum_mode: settings.minimum_mode,
        inline_limit_bytes: settings.limits.inline_limit_bytes.unwrap_or(defaults.inline_limit_bytes),
        memory_budget_bytes: settings.limits.memory_budget_bytes,
        sweep_interval: settings.limits.sweep_interval,
        dead_blob_grace: settings.limits.dead_blob_grace,
        orphan_age: settings.limits.orphan_age,
        lifecycle: lifecycle(settings),
        notifications: NotificationOptions {
            region: settings.region.clone(),
            targets: settings.notification_targets.iter().map(TargetConfig::for_engine).collect(),
        },
        ..defaults
    };
    let engine = Engine::open_in(space, parts, options);
    engine.space().look().await;
    Ok(engine)
}

fn lifecycle(settings: &Settings) -> LifecycleOptions {
    let limits = &settings.limits;
    LifecycleOptions {
        day: limits.lifecycle_day,
        hour: limits.lifecycle_hour,
        max_deletes_per_second: limits.lifecycle_deletes,
        ..LifecycleOptions::default()
    }
}

/// The deliveries of events, ready to start.
pub(super) async fn deliveries(settings: &Settings) -> Result<Arc<Deliveries>, StartError> {
    let targets = settings.notification_targets.clone();
    Ok(Arc::new(spawn_blocking(move || Deliveries::open(&targets)).await??))
}

/// The admin API over everything.
pub(super) fn admin(
    keys: &Keys,
    engine: &Arc<Engine>,
    audit: &Arc<AuditLog>,
    deliveries: &Arc<Deliveries>,
    (iam, owned): (&Arc<Iam>, Arc<KmsKeys>),
) -> Arc<Admin> {
    let (keyring, state) = (Arc::clone(&keys.keyring), Arc::clone(&keys.settings) as _);
    let (deliveries, iam) = (Arc::clone(deliveries), Arc::clone(iam));
    Admin::new(AdminParts { keyring, engine: Arc::clone(engine), audit: Arc::clone(audit), state, deliveries, iam, owned })
}

/// The KMS keys that belong to accounts. The default key is none of them: everybody writes under it.
pub(super) async fn owned_keys(keys: &Keys, catalog: Arc<dyn Catalog>) -> Result<Arc<KmsKeys>, StartError> {
    let owned = KmsKeys::new(catalog, keys.settings.shared_store_key(), Clock::default());
    let default_key_id = keys.keyring.default_key_id();
    let key_id = strongroom_kms::resolve_key_id(&default_key_id).unwrap_or(&default_key_id);
    match owned.find(key_id).await? {
        Some(key) => Err(StartError::OwnedDefaultKey { key_id: key.record.key_id, account: key.record.account }),
        None => Ok(owned),
    }
}

/// Identities, wherever they are kept.
pub(super) async fn iam(
    root: &RootKeys,
    settings: &Settings,
    keys: &Keys,
    catalog: Arc<dyn Catalog>,
    audit: &Arc<AuditLog>,
) -> Result<Arc<Iam>, StartError> {
    let (configured, store_key) = (configured(root, &settings.users)?, keys.settings.shared_store_key());
    let options = settings.providers.clone();
    let providers = spawn_blocking(move || Providers::new(&options)).await?.map_err(StartError::SingleSignOn)?;
    Ok(Iam::new(IamParts { catalog, store_key, configured, audit: Arc::clone(audit), clock: Clock::default(), providers }))
}

/// Root and the configured users.
fn configured(root: &RootKeys, users: &[User]) -> Result<Configured, StartError> {
    let secret = SecretKey::new(root.secret_key.to_string()).map_err(StartError::Root)?;
    let root = Identity::root(&root.access_key, secret).map_err(StartError::Root)?;
    let users = users.iter().map(identity).collect::<Result<_, _>>()?;
    Configured::new(root, users).map_err(StartError::Identities)
}

fn identity(user: &User) -> Result<Identity, StartError> {
    let fail = |source| StartError::User { name: user.name.clone(), source };
    let names: Vec<&str> = user.policies.iter().map(String::as_str).collect();
    let policies = PolicySet::from_config(&names, user.policy.as_deref()).map_err(fail)?;
    let secret = SecretKey::new(user.secret_key.to_string()).map_err(fail)?;
    if user.is_account_root {
        let account = user.account.as_deref().unwrap_or_default();
        return Identity::account_root(&user.name, &user.access_key, secret, account).map_err(fail);
    }
    let identity = Identity::user(&user.name, &user.access_key, secret, policies).map_err(fail)?;
    match &user.account {
        Some(account) => identity.in_account(account).map_err(fail),
        None => Ok(identity),
    }
}

/// What the S3 side is told.
pub(super) fn s3_options(settings: &Settings) -> Result<S3Options, StartError> {
    Ok(S3Options {
        domains: settings.domains.clone(),
        region: settings.region.clone(),
        error_dialect: if settings.aws_dialect { ErrorDialect::Aws } else { ErrorDialect::Strongroom },
        trusted_proxies: trusted_proxies(settings)?,
        allow_insecure_sse_c_on_loopback: settings.allow_insecure_sse_c_on_loopback,
        allow_unsigned_payload_over_http: settings.allow_unsigned_payload_over_http,
        signature_v2: SignatureV2 { forms: settings.allow_signature_v2_forms, urls: settings.allow_signature_v2_urls },
        body_idle_timeout: settings.limits.body_idle_timeout,
        min_transfer_bytes_per_second: settings.limits.min_transfer_bytes_per_second,
        limits: settings.limits.of_users,
        limits_of_some: settings.users.iter().filter_map(|user| Some((user.name.clone(), user.limits?))).collect(),
        delay_guesses: settings.limits.delay_guesses,
        ..S3Options::default()
    })
}

/// Proxies that are believed, and that stand for many clients.
pub(super) fn trusted_proxies(settings: &Settings) -> Result<Vec<Network>, StartError> {
    let network = |given: &String| given.parse().map_err(|source| StartError::Proxy { given: given.clone(), source });
    settings.trusted_proxies.iter().map(network).collect()
}
