//! The local backend's keys in one sealed bundle, and back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use strongroom_kms::{BundleKey, RestoreConflict, RestoreMode, RestoreReport, Secret};
use utoipa::ToSchema;

use crate::http::{ApiError, Call, Json, Subject};

/// The largest body of a restore: a bundle in base64.
pub(crate) const MAX_RESTORE_BYTES: usize = 64 << 20;

/// What the bundle is sealed under: exactly one of the two.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Backup {
    /// At least 12 characters. Only over TLS.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password)]
    passphrase: Option<Secret>,
    /// Base64 of 32 random bytes. Only over TLS.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password)]
    key: Option<Secret>,
}

impl Subject for Backup {}

/// A bundle. Keep it apart from what it is sealed under.
#[derive(Serialize, ToSchema)]
pub(crate) struct BackupAnswer {
    /// Base64.
    bundle: String,
    /// Keys in it, erased ones included.
    keys: usize,
}

/// A bundle to put back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Restore {
    /// Base64, as `backup` answered it.
    bundle: String,
    /// What it is sealed under, if that is a passphrase.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password)]
    passphrase: Option<Secret>,
    /// What it is sealed under, if that is a key: base64 of 32 bytes.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password)]
    key: Option<Secret>,
    /// Only says what would be done. To do it, say false.
    #[serde(default = "yes")]
    dry_run: bool,
}

fn yes() -> bool {
    true
}

impl Subject for Restore {}

/// What became of each key in the bundle, or would.
#[derive(Serialize, ToSchema)]
pub(crate) struct RestoreAnswer {
    dry_run: bool,
    /// Was not there.
    added: Vec<String>,
    /// Was there with fewer versions.
    extended: Vec<String>,
    /// Was there whole.
    identical: Vec<String>,
    /// Is erased here, and stays so.
    erased_stays: Vec<String>,
    /// Was left alone.
    conflicting: Vec<LeftAlone>,
}

/// A key that was left alone, and why.
#[derive(Serialize, ToSchema)]
struct LeftAlone {
    key_id: String,
    reason: &'static str,
}

pub(crate) async fn backup(call: Call, Json(request): Json<Backup>) -> Result<BackupAnswer, ApiError> {
    call.require_secure()?;
    let key = bundle_key(request.passphrase, request.key)?;
    let backup = call.inner.parts.keyring.backup(key).await?;
    call.note("keys", backup.keys.to_string());
    Ok(BackupAnswer { bundle: STANDARD.encode(&backup.bundle), keys: backup.keys })
}

pub(crate) async fn restore(call: Call, Json(request): Json<Restore>) -> Result<RestoreAnswer, ApiError> {
    call.require_secure()?;
    let Restore { bundle, passphrase, key, dry_run } = request;
    let key = bundle_key(passphrase, key)?;
    let bundle = STANDARD.decode(bundle).map_err(|_| ApiError::invalid("bundle: expected base64"))?;
    let mode = if dry_run { RestoreMode::DryRun } else { RestoreMode::Apply };
    let report = call.inner.parts.keyring.restore(bundle, key, mode).await?;
    call.note("dry_run", dry_run.to_string());
    for (name, count) in [("added", report.added.len()), ("extended", report.extended.len()), ("conflicting", report.conflicting.len())] {
        call.note(name, count.to_string());
    }
    Ok(RestoreAnswer::new(dry_run, report))
}

fn bundle_key(passphrase: Option<Secret>, key: Option<Secret>) -> Result<BundleKey, ApiError> {
    match (passphrase, key) {
        (Some(passphrase), None) => Ok(BundleKey::Passphrase(passphrase)),
        (None, Some(key)) => BundleKey::from_base64(&key).ok_or_else(|| ApiError::invalid("key: expected base64 of 32 bytes")),
        _ => Err(ApiError::invalid("expected either passphrase or key")),
    }
}

impl RestoreAnswer {
    fn new(dry_run: bool, report: RestoreReport) -> Self {
        let RestoreReport { added, extended, identical, erased_stays, conflicting } = report;
        let conflicting = conflicting.into_iter().map(|RestoreConflict { key_id, reason }| LeftAlone { key_id, reason }).collect();
        Self { dry_run, added, extended, identical, erased_stays, conflicting }
    }
}
