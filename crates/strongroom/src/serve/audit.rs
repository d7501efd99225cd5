//! The audit log: its signing key, and the anchor that shows whether its end was cut off while the server was away.

use std::sync::Arc;
use std::time::Duration;

use strongroom_audit::{AuditLog, Head, LogConfig, Retention, SigningKey};
use strongroom_engine::SealedSettings;
use strongroom_kms::StateStore;
use zeroize::Zeroizing;

use super::StartError;
use crate::config::{AuditSettings, Settings};

/// The documents that are kept sealed in the catalog.
const SEED: &str = "audit-signing-seed";
const ANCHOR: &str = "audit-head";
/// How much of the log's end can be cut off unseen: what was written since.
const ANCHOR_INTERVAL: Duration = Duration::from_secs(10);
/// For so long after the start nothing is removed for its age: the clock may not be right yet.
const SETTLE_SECONDS: u64 = 3600;

/// Opens the log, and says loudly what is wrong with it.
pub(super) async fn open(settings: &Settings, reserve_bytes: u64, sealed: &Arc<SealedSettings>) -> Result<Arc<AuditLog>, StartError> {
    let key = SigningKey::from_seed(seed(sealed).await?).map_err(StartError::AuditKey)?;
    let expected = anchor(sealed).await?;
    let (log, report) = AuditLog::open(config(&settings.audit, reserve_bytes), key, expected).await.map_err(StartError::Audit)?;
    if let Some(repair) = &report.repaired {
        tracing::warn!(file = repair.file, cut_bytes = repair.cut_bytes, "the audit log ended in an incomplete record, which was cut off");
    }
    tracing::info!(dir = %settings.audit.dir.display(), public_key = log.public_key().to_hex(), head = report.head.seq, "the audit log is open");
    Ok(Arc::new(log))
}

fn config(settings: &AuditSettings, reserve_bytes: u64) -> LogConfig {
    LogConfig {
        reserve_bytes,
        rotate_bytes: settings.segment_bytes,
        rotate_seconds: settings.segment_seconds,
        compress: settings.compress,
        retention: Retention {
            keep_seconds: settings.retention_seconds,
            keep_bytes: settings.retention_bytes,
            quota_bytes: settings.quota_bytes,
            settle_seconds: SETTLE_SECONDS,
        },
        ..LogConfig::new(&settings.dir)
    }
}

/// Keeps the anchor at the log's end, until it is aborted.
pub(super) async fn keep_anchor(log: Arc<AuditLog>, sealed: Arc<SealedSettings>) {
    let mut kept = None;
    loop {
        tokio::time::sleep(ANCHOR_INTERVAL).await;
        let head = log.head();
        if kept.as_ref() != Some(&head) {
            match save_anchor(&sealed, &head).await {
                Ok(()) => kept = Some(head),
                Err(error) => tracing::error!(%error, "the head of the audit log could not be anchored in the catalog"),
            }
        }
    }
}

/// Writes what was taken in, and anchors the log's end.
pub(super) async fn close(log: &AuditLog, sealed: &SealedSettings) {
    if let Err(error) = log.close().await {
        tracing::error!(%error, "the audit log could not be ended");
    }
    if let Err(error) = save_anchor(sealed, &log.head()).await {
        tracing::error!(%error, "the head of the audit log could not be anchored in the catalog");
    }
}

async fn seed(sealed: &Arc<SealedSettings>) -> Result<Zeroizing<[u8; 32]>, StartError> {
    let mut seed = Zeroizing::new([0; 32]);
    match sealed.load(SEED).await? {
        Some(kept) if kept.len() == seed.len() => seed.copy_from_slice(&kept),
        Some(_) => return Err(StartError::AuditSeed),
        None => {
            aws_lc_rs::rand::fill(seed.as_mut_slice()).map_err(|_| StartError::AuditSeed)?;
            sealed.save(SEED, None, seed.as_slice()).await?;
        }
    }
    Ok(seed)
}

async fn anchor(sealed: &SealedSettings) -> Result<Option<Head>, StartError> {
    let Some(document) = sealed.load(ANCHOR).await? else { return Ok(None) };
    let text = std::str::from_utf8(&document).ok();
    let parts = text.and_then(|text| text.split_once(':')).and_then(|(seq, hash)| Some((seq.parse().ok()?, hash.to_owned())));
    let (seq, hash) = parts.ok_or(StartError::AuditAnchor)?;
    Ok(Some(Head { seq, hash }))
}

async fn save_anchor(sealed: &SealedSettings, head: &Head) -> Result<(), strongroom_kms::KmsError> {
    let present = sealed.load(ANCHOR).await?;
    let document = format!("{}:{}", head.seq, head.hash);
    sealed.save(ANCHOR, present.as_ref().map(|present| present.as_slice()), document.as_bytes()).await
}
