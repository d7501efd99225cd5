//! Keys on their way out: who asked for it, and the receipt when they are gone.
//!
//! An intent is written before a key goes and taken away when its receipt is kept, so that a key never goes without one,
//! whenever the server stops.

mod receipts;
pub(crate) mod rules;

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use serde::{Deserialize, Serialize};
use strongroom_audit::{Event, Head, Receipt, SignedReceipt};
use strongroom_kms::{KeyMetadata, KeyState, Kms, KmsError};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;

use crate::admin::Inner;
use crate::http::{ApiError, Call, Empty};
use crate::keys::{Usage, usage_of};
use crate::{document, rotation};

pub(crate) use receipts::{ReceiptShape, find as receipt, list};
use rules::Rule;

/// The document of all intents.
const DOCUMENT: &str = "kms-erasures";
/// The most there are.
const MAX_INTENTS: usize = 3000;
/// An intent that came to nothing is forgotten after so long.
const FORGOTTEN_AFTER: Duration = Duration::hours(1);

/// A key that somebody asked to be destroyed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Intent {
    backend: String,
    key_id: String,
    who: String,
    request_id: String,
    /// When the key is to be gone.
    #[serde(with = "time::serde::rfc3339")]
    due: OffsetDateTime,
    /// What depended on the key when it was closed to be destroyed at once; none where it is counted when it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lost: Option<Numbers>,
}

/// How much depends on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Numbers {
    objects: u64,
    bytes: u64,
    uploads: u64,
    /// Of the objects, those that Object Lock keeps. None where an earlier release counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    locked_versions: Option<u64>,
}

impl Numbers {
    fn of(usage: &Usage, locked_versions: Option<u64>) -> Self {
        Self { objects: usage.objects, bytes: usage.bytes, uploads: usage.uploads, locked_versions }
    }
}

/// What a receipt states as lost.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lost {
    /// What was counted before the key was destroyed, so that what clients have deleted since is in it.
    AsIntended,
    /// What depends on the key now: it was destroyed just now, or nobody counted before.
    Now,
}

impl Intent {
    /// Due in so many days.
    pub(crate) fn of(call: &Call, backend: &str, key_id: &str, days: u32) -> Self {
        Self {
            backend: backend.to_owned(),
            key_id: key_id.to_owned(),
            who: call.signer.identity.name.clone(),
            request_id: call.signer.request_id.clone(),
            due: OffsetDateTime::now_utc() + Duration::days(i64::from(days)),
            lost: None,
        }
    }

    /// Of a rule, whose date has come: due in so many days.
    pub(crate) fn of_rule(rule: &Rule, days: u32) -> Self {
        Self {
            backend: rule.backend.clone(),
            key_id: rule.key_id.clone(),
            who: rule.added_by.clone(),
            request_id: rule.request_id(),
            due: OffsetDateTime::now_utc() + Duration::days(i64::from(days)),
            lost: None,
        }
    }

    /// With what is about to be lost.
    pub(crate) fn losing(self, usage: &Usage, locked_versions: u64) -> Self {
        Self { lost: Some(Numbers::of(usage, Some(locked_versions))), ..self }
    }

    fn is_of(&self, backend: &str, key_id: &str) -> bool {
        self.backend == backend && self.key_id == key_id
    }
}

/// Destroys a closed key at once: noted, destroyed, told, in this order. So whenever the server stops, the key is either as before, or on its
/// way out with a receipt to come. No receipt: the key is gone, and what is left to do is done in the background.
pub(crate) async fn destroy(inner: &Inner, kms: &dyn Kms, intent: Intent) -> Result<(KeyMetadata, Option<SignedReceipt>), ApiError> {
    let (backend, key_id) = (intent.backend.as_str(), intent.key_id.as_str());
    intend(inner, intent.clone()).await?;
    let key = match kms.delete_now(key_id, key_id).await {
        Ok(key) => key,
        Err(error) => {
            failed(inner, &intent).await;
            return Err(error.into());
        }
    };
    let receipt = conclude(inner, backend, key_id, Lost::AsIntended).await;
    let receipt = receipt.inspect_err(|error| tracing::error!(error = error.message, "an erasure receipt is still to be written"));
    Ok((key, receipt.ok()))
}

/// Has a closed key destroyed in so many days. Noted before that, so that its receipt tells who asked for it.
pub(crate) async fn schedule(inner: &Inner, kms: &dyn Kms, intent: Intent, days: u32) -> Result<KeyMetadata, ApiError> {
    let is_new = intend(inner, intent.clone()).await?;
    match kms.schedule_deletion(&intent.key_id, days).await {
        Ok(key) => Ok(key),
        Err(error) => {
            if is_new {
                take_back(inner, &intent).await?;
            }
            Err(error.into())
        }
    }
}

/// The receipt of a key that is gone, which is written now where it was not before.
pub(crate) async fn receipt_of_erased(inner: &Inner, intent: Intent) -> Result<SignedReceipt, ApiError> {
    let (backend, key_id) = (intent.backend.clone(), intent.key_id.clone());
    if receipt(inner, &backend, &key_id).await?.is_none() {
        intend(inner, intent).await?;
    }
    conclude(inner, &backend, &key_id, Lost::AsIntended).await
}

/// Refuses another deletion by a tenant where half of the room for them is taken: the rest is for who runs the store.
pub(crate) async fn check_room_for_tenants(inner: &Inner) -> Result<(), ApiError> {
    let intents: Vec<Intent> = document::load(&*inner.parts.state, DOCUMENT).await?;
    if intents.len() < MAX_INTENTS / 2 {
        return Ok(());
    }
    Err(ApiError::conflict("Conflict", format!("{} keys wait for their deletion already: try again when some are gone.", intents.len())))
}

/// Remembers an intent. False where there is one for the key already, which is kept unless the new one is due earlier.
async fn intend(inner: &Inner, intent: Intent) -> Result<bool, ApiError> {
    change(inner, |intents| {
        if let Some(present) = intents.iter_mut().find(|other| other.is_of(&intent.backend, &intent.key_id)) {
            if intent.due < present.due {
                *present = intent.clone();
            } else if intent.lost.is_some() {
                present.lost = intent.lost;
            }
            return Ok(false);
        }
        if intents.len() >= MAX_INTENTS {
            return Err(ApiError::conflict("Conflict", format!("{MAX_INTENTS} keys wait for their deletion, the most there can be.")));
        }
        intents.push(intent.clone());
        Ok(true)
    })
    .await
}

/// The intent of a deletion that is scheduled, and so can be cancelled; none where the key is to go at once.
pub(crate) async fn scheduled(inner: &Inner, backend: &str, key_id: &str) -> Result<Option<Intent>, ApiError> {
    let (intents, now): (Vec<Intent>, _) = (document::load(&*inner.parts.state, DOCUMENT).await?, OffsetDateTime::now_utc());
    Ok(intents.into_iter().find(|intent| intent.is_of(backend, key_id) && intent.due > now))
}

/// Takes this intent back, and no other that has come into its place.
pub(crate) async fn take_back(inner: &Inner, intent: &Intent) -> Result<(), ApiError> {
    change(inner, |intents| {
        intents.retain(|other| other != intent);
        Ok(())
    })
    .await
}

/// A key could not be destroyed at once. If it is as it was, nobody waits for its end any more; else its destruction has begun and is
/// finished in the background, and what is lost is counted then.
async fn failed(inner: &Inner, intent: &Intent) {
    let is_alive = match state(inner, &intent.backend, &intent.key_id).await {
        Some(KeyState::Enabled | KeyState::Disabled | KeyState::Sealed) => true,
        Some(KeyState::PendingDeletion { .. } | KeyState::Erased) | None => false,
    };
    let settled = if is_alive {
        take_back(inner, intent).await
    } else {
        change(inner, |intents| {
            intents.iter_mut().filter(|other| other.is_of(&intent.backend, &intent.key_id)).for_each(|other| other.lost = None);
            Ok(())
        })
        .await
    };
    if let Err(error) = settled {
        tracing::error!(key_id = intent.key_id, error = error.message, "what was intended with a key cannot be written");
    }
}

/// Forgets what was intended with a key.
async fn forget(inner: &Inner, backend: &str, key_id: &str) -> Result<(), ApiError> {
    change(inner, |intents| {
        intents.retain(|other| !other.is_of(backend, key_id));
        Ok(())
    })
    .await
}

/// Records that a key is gone and what with it, and keeps the signed receipt. A second time it is the same receipt.
async fn conclude(inner: &Inner, backend: &str, key_id: &str, lost: Lost) -> Result<SignedReceipt, ApiError> {
    let _alone = inner.concluding.lock().await;
    if let Some(receipt) = receipts::find(inner, backend, key_id).await? {
        forget(inner, backend, key_id).await?;
        return Ok(receipt);
    }
    let intents: Vec<Intent> = document::load(&*inner.parts.state, DOCUMENT).await?;
    let intent = intents.into_iter().find(|intent| intent.is_of(backend, key_id));
    let counted = intent.as_ref().and_then(|intent| intent.lost).filter(|_| lost == Lost::AsIntended);
    let (who, request_id) = intent.map_or_else(|| (String::new(), "job:erasure".to_owned()), |intent| (intent.who, intent.request_id));
    let usage = usage_of(inner, backend, key_id).await?;
    let lost = match counted {
        Some(numbers) => numbers,
        None => Numbers::of(&usage, Some(inner.parts.engine.count_locked_under_key(backend, key_id).await?)),
    };
    let event = erased(&usage, &lost, &who, &request_id);
    let head = inner.parts.audit.append(&event).await?;
    let signed = inner.parts.audit.sign_receipt(Receipt {
        audit_seq: head.seq,
        backend: backend.to_owned(),
        buckets: usage.buckets(),
        bytes: lost.bytes,
        erased_at: OffsetDateTime::now_utc().format(&Rfc3339).map_err(|error| ApiError::internal(&error))?,
        key_id: key_id.to_owned(),
        locked_versions: lost.locked_versions,
        objects: lost.objects,
        request_id,
        requested_by: who,
    });
    receipts::keep(inner, signed.clone()).await?;
    rotation::forget(inner, backend, key_id).await?;
    forget_rules(inner, backend, key_id).await;
    forget(inner, backend, key_id).await?;
    Ok(signed)
}

/// An account has room for another key then. Where they stay, they do no harm: the id is never used again.
async fn forget_rules(inner: &Inner, backend: &str, key_id: &str) {
    let owned = &inner.parts.owned;
    let forgotten = match owned.find(key_id).await {
        Ok(Some(key)) if key.record.backend == backend => owned.discard(key_id).await,
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    };
    if let Err(error) = forgotten {
        tracing::warn!(key_id, %error, "the rules of a key that was destroyed could not be removed");
    }
}

fn erased(usage: &Usage, lost: &Numbers, who: &str, request_id: &str) -> Event {
    let Numbers { objects, bytes, uploads, locked_versions } = *lost;
    let numbers = [("objects", Some(objects)), ("bytes", Some(bytes)), ("uploads", Some(uploads)), ("locked_versions", locked_versions)];
    Event {
        request_id: request_id.to_owned(),
        who: who.to_owned(),
        operation: "EraseKey".to_owned(),
        backend: usage.backend.clone(),
        key_id: usage.key_id.clone(),
        details: numbers.into_iter().filter_map(|(name, number)| Some((name.to_owned(), number?.to_string()))).collect(),
        ..Event::default()
    }
}

/// Destroys keys whose window has passed, and writes the receipts of all that are gone.
pub(crate) async fn reap(inner: &Inner, now: OffsetDateTime) {
    let destroyed = unlocked_reaped(inner, now).await;
    let mut gone: Vec<_> = destroyed.into_iter().map(|(backend, key_id)| (backend, key_id, Lost::Now)).collect();
    let intents: Vec<Intent> = match document::load(&*inner.parts.state, DOCUMENT).await {
        Ok(intents) => intents,
        Err(error) => {
            tracing::error!(error = error.message, "the deletions under way cannot be read");
            Vec::new()
        }
    };
    for Intent { backend, key_id, due, .. } in intents.into_iter().filter(|intent| intent.due <= now) {
        if gone.iter().any(|(of, id, _)| (of, id) == (&backend, &key_id)) {
            continue;
        }
        match state(inner, &backend, &key_id).await {
            Some(KeyState::Erased) => gone.push((backend, key_id, Lost::AsIntended)),
            Some(KeyState::Enabled | KeyState::Disabled | KeyState::Sealed) if due + FORGOTTEN_AFTER < now => {
                let _ = forget(inner, &backend, &key_id).await;
            }
            _ => {}
        }
    }
    for (backend, key_id, lost) in gone {
        match conclude(inner, &backend, &key_id, lost).await {
            Ok(_) => tracing::info!(backend, key_id, "a key was destroyed; its receipt is kept"),
            Err(error) => {
                tracing::error!(backend, key_id, error = error.message, "a key was destroyed; its receipt is still to be written");
            }
        }
    }
}

/// Destroys keys whose window has passed, but for those on which versions depend that Object Lock keeps now. There were none when the deletion was
/// scheduled; there are again where the clock was ahead then, or the catalog is from an older backup. They wait until the locks have ended.
async fn unlocked_reaped(inner: &Inner, now: OffsetDateTime) -> Vec<(String, String)> {
    let engine = Arc::clone(&inner.parts.engine);
    let may_go = move |backend: String, key_id: String| {
        let engine = Arc::clone(&engine);
        async move {
            match engine.locked_under_key(&backend, &key_id, 1).await {
                Ok(locked) => locked.is_empty(),
                Err(error) => {
                    tracing::error!(backend, key_id, %error, "whether Object Lock keeps what depends on a key cannot be read");
                    false
                }
            }
        }
    };
    let reaped = inner.parts.keyring.reap_deleted(now, may_go).await;
    tell_postponed(inner, reaped.postponed).await;
    reaped.destroyed
}

/// Logs and records each key once that is due and may not go. What could not be recorded is told again the next time.
async fn tell_postponed(inner: &Inner, postponed: BTreeSet<(String, String)>) {
    let known = inner.postponed.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut told: BTreeSet<_> = postponed.intersection(&known).cloned().collect();
    for (backend, key_id) in postponed.difference(&known) {
        tracing::warn!(backend, key_id, "the deletion of a key is postponed: Object Lock may keep versions that depend on it");
        match record_postponed(inner, backend, key_id).await {
            Ok(()) => _ = told.insert((backend.clone(), key_id.clone())),
            Err(error) => {
                tracing::error!(backend, key_id, error = error.message, "that the deletion of a key is postponed cannot be recorded");
            }
        }
    }
    *inner.postponed.lock().unwrap_or_else(PoisonError::into_inner) = told;
}

async fn record_postponed(inner: &Inner, backend: &str, key_id: &str) -> Result<(), ApiError> {
    let intents: Vec<Intent> = document::load(&*inner.parts.state, DOCUMENT).await?;
    let intent = intents.into_iter().find(|intent| intent.is_of(backend, key_id));
    let due = intent.as_ref().and_then(|intent| intent.due.format(&Rfc3339).ok());
    // Where it cannot be read what is locked, that is why the key waits.
    let locked = inner.parts.engine.count_locked_under_key(backend, key_id).await.ok();
    let details = [("due", due), ("locked_versions", locked.map(|count| count.to_string()))];
    let event = Event {
        request_id: "job:erasure".to_owned(),
        who: intent.map(|intent| intent.who).unwrap_or_default(),
        operation: "PostponeKeyDeletion".to_owned(),
        backend: backend.to_owned(),
        key_id: key_id.to_owned(),
        details: details.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect(),
        ..Event::default()
    };
    inner.record_durably(&event).await
}

/// None where the backend cannot tell now. What was to be destroyed and is not known any more is destroyed.
async fn state(inner: &Inner, backend: &str, key_id: &str) -> Option<KeyState> {
    let kms = inner.parts.keyring.kms(Some(backend)).ok()?;
    match kms.describe_key(key_id).await {
        Ok(key) => Some(key.state),
        Err(KmsError::KeyNotFound(_) | KmsError::KeyErased(_)) => Some(KeyState::Erased),
        Err(_) => None,
    }
}

async fn change<R>(inner: &Inner, apply: impl FnMut(&mut Vec<Intent>) -> Result<R, ApiError> + Send) -> Result<R, ApiError> {
    document::change(&*inner.parts.state, DOCUMENT, apply).await
}

/// How far the audit log goes. Kept elsewhere, it shows whether records were cut off or rewritten since.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditHead {
    /// The number of the last durable record.
    seq: u64,
    /// Its hash in hexadecimal digits.
    hash: String,
    /// The key that signs checkpoints and receipts, in hexadecimal digits.
    public_key: String,
}

pub(crate) async fn audit_head(call: Call, _: Empty) -> Result<AuditHead, ApiError> {
    let audit = &call.inner.parts.audit;
    let Head { seq, hash } = audit.head();
    Ok(AuditHead { seq, hash, public_key: audit.public_key().to_hex() })
}
