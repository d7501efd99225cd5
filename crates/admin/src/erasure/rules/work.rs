//! Carrying out the rules that are due. A round that is cut short is made up for by the next one, wherever it stopped.

use strongroom_audit::{Event, SignedReceipt};
use strongroom_kms::{DELETION_WINDOW_DAYS, KeyState, Kms, KmsError};
use time::OffsetDateTime;
use tokio::time::{Duration, Instant};

use super::document::{self, End, Rule};
use super::obstacles::{self, Obstacle};
use super::standing::{Due, Standing};
use crate::admin::Inner;
use crate::erasure::{self, Intent};
use crate::http::ApiError;
use crate::keys::usage_of;

/// The name in the audit log.
const OPERATION: &str = "CarryOutErasureRule";
/// A rule whose look took longer than this rests before the next one, this many times as long as it took.
const LONG_LOOK: Duration = Duration::from_secs(1);
const REST: u32 = 60;
/// Locked versions are in the way of a rule, so none goes with the key.
const NO_LOCKED: u64 = 0;

/// How far a rule came.
enum Came {
    /// Its key is gone, and the receipt is kept.
    Done,
    /// Somebody removed it meanwhile.
    Removed,
    Waits(Due),
}

/// Carries out what is due.
pub(crate) async fn carry_out(inner: &Inner) {
    let rules = match document::all(inner).await {
        Ok(rules) => rules,
        Err(error) => return tracing::error!(error = error.message, "the erasure rules cannot be read"),
    };
    let (now, believed) = inner.parts.engine.rule_time();
    let due: Vec<Rule> = rules.into_iter().filter(|rule| rule.is_live() && rule.at <= now).collect();
    inner.at_work.retain(&due);
    for rule in due {
        let begun = Instant::now();
        let came = match &believed {
            Err(why) => Came::Waits(Due::Blocked(vec![Obstacle::Clock(why.clone())])),
            Ok(()) if !inner.at_work.is_its_turn(&rule) => continue,
            Ok(()) => step(inner, &rule).await.unwrap_or_else(|error| Came::Waits(Due::Blocked(vec![Obstacle::Failed(error.message)]))),
        };
        note(inner, &rule, came, begun);
    }
}

/// Refuses to keep a key that a rule is about to destroy.
pub(crate) async fn refuse_due(inner: &Inner, backend: &str, key_id: &str) -> Result<(), ApiError> {
    let (now, _) = inner.parts.engine.rule_time();
    let is_due = |rule: &Rule| rule.is_live() && rule.at <= now && (rule.backend.as_str(), rule.key_id.as_str()) == (backend, key_id);
    match document::all(inner).await?.into_iter().find(is_due) {
        None => Ok(()),
        Some(rule) => {
            let text = format!("The erasure rule {} is due and ends the key {key_id}. Remove the rule first.", rule.id);
            Err(ApiError::conflict("Conflict", text))
        }
    }
}

fn note(inner: &Inner, rule: &Rule, came: Came, begun: Instant) {
    let (id, bucket, prefix, key_id) = (&rule.id, &rule.bucket, &rule.prefix, &rule.key_id);
    let due = match came {
        Came::Removed => return inner.at_work.forget(rule),
        Came::Done => {
            inner.at_work.forget(rule);
            return tracing::info!(rule = id, bucket, prefix, key_id, "an erasure rule was carried out; the receipt is kept");
        }
        Came::Waits(due) => due,
    };
    let took = begun.elapsed();
    let rest = if took > LONG_LOOK { took * REST } else { Duration::ZERO };
    let before = inner.at_work.note(rule, Standing { due: due.clone(), again: begun + took + rest });
    match &due {
        Due::Blocked(obstacles) if !is_same(before.as_ref(), &due) => {
            let why = obstacles::told(obstacles, rule, None).join(" ");
            tracing::warn!(rule = id, bucket, prefix, key_id, why, "an erasure rule is due and cannot be carried out");
        }
        Due::Pending { until } if before.as_ref() != Some(&due) => {
            tracing::info!(rule = id, bucket, prefix, key_id, %until, "the backend destroys the key of an erasure rule by itself");
        }
        Due::Blocked(_) | Due::Pending { .. } => {}
    }
}

/// Whether there is nothing new to say, though numbers may have changed.
fn is_same(before: Option<&Due>, due: &Due) -> bool {
    let kinds = |due: &Due| match due {
        Due::Blocked(obstacles) => obstacles.iter().map(std::mem::discriminant).collect(),
        Due::Pending { .. } => Vec::new(),
    };
    before.is_some_and(|before| matches!(before, Due::Blocked(_)) && kinds(before) == kinds(due))
}

async fn step(inner: &Inner, rule: &Rule) -> Result<Came, ApiError> {
    let kms = inner.parts.keyring.kms(Some(&rule.backend))?;
    match kms.describe_key(&rule.key_id).await.map(|key| key.state) {
        Ok(KeyState::Erased) | Err(KmsError::KeyErased(_)) => {
            let _alone = inner.at_work.alone.lock().await;
            finish(inner, rule).await
        }
        // What is to go later is to go now, where the backend can do that.
        Ok(KeyState::PendingDeletion { at }) if !kms.capabilities().delete_now => Ok(Came::Waits(Due::Pending { until: at })),
        Ok(KeyState::Enabled | KeyState::Disabled | KeyState::Sealed | KeyState::PendingDeletion { .. }) => end(inner, rule, &*kms).await,
        Err(KmsError::KeyNotFound(_)) => {
            let _alone = inner.at_work.alone.lock().await;
            // That a backend does not know a key is no proof that it was destroyed.
            match erasure::receipt(inner, &rule.backend, &rule.key_id).await? {
                Some(_) => finish(inner, rule).await,
                None => Ok(Came::Waits(Due::Blocked(vec![Obstacle::UnknownKey]))),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// Looks whether the key may go, and destroys it.
async fn end(inner: &Inner, rule: &Rule, kms: &dyn Kms) -> Result<Came, ApiError> {
    // Looked at first while the key is open, so that a rule that cannot be carried out refuses nobody the use of it.
    let obstacles = obstacles::look(inner, rule).await?;
    if !obstacles.is_empty() {
        return Ok(Came::Waits(Due::Blocked(obstacles)));
    }
    let _alone = inner.at_work.alone.lock().await;
    if !document::is_live(inner, rule).await? {
        return Ok(Came::Removed);
    }
    let closed = inner.parts.keyring.close_key(&rule.backend, &rule.key_id).await?;
    let obstacles = obstacles::look(inner, rule).await?;
    if !obstacles.is_empty() {
        return Ok(Came::Waits(Due::Blocked(obstacles)));
    }
    inner.parts.audit.health_for_acts()?;
    if !inner.at_work.is_begun(rule) {
        inner.record_durably(&event(rule, [("phase", "begun".to_owned())])).await?;
        inner.at_work.note_begun(rule);
    }
    let ended = if kms.capabilities().delete_now {
        let usage = usage_of(inner, &rule.backend, &rule.key_id).await?;
        erasure::destroy(inner, kms, Intent::of_rule(rule, 0).losing(&usage, NO_LOCKED)).await.map(drop)
    } else {
        let days = *DELETION_WINDOW_DAYS.start();
        erasure::schedule(inner, kms, Intent::of_rule(rule, days), days).await.map(drop)
    };
    drop(closed);
    inner.parts.engine.forget_bucket_keys();
    ended?;
    match kms.describe_key(&rule.key_id).await.map(|key| key.state) {
        Ok(KeyState::PendingDeletion { at }) => Ok(Came::Waits(Due::Pending { until: at })),
        Ok(KeyState::Erased) | Err(KmsError::KeyErased(_)) => finish(inner, rule).await,
        Ok(state) => Err(ApiError::conflict("Conflict", format!("the key is in the state {state:?} after it was destroyed"))),
        Err(error) => Err(error.into()),
    }
}

/// The key is gone: sees to the receipt, and notes that the rule is done. The caller holds the lock of rules.
async fn finish(inner: &Inner, rule: &Rule) -> Result<Came, ApiError> {
    if !document::is_live(inner, rule).await? {
        return Ok(Came::Removed);
    }
    let SignedReceipt { receipt, .. } = erasure::receipt_of_erased(inner, Intent::of_rule(rule, 0)).await?;
    let objects_left = inner.parts.engine.not_under_key(&rule.backend, &rule.key_id, &rule.part()).await?;
    let numbers = [("receipt_audit_seq", receipt.audit_seq), ("objects", receipt.objects), ("objects_left", objects_left)];
    inner.record_durably(&event(rule, numbers.map(|(name, number)| (name, number.to_string())))).await?;
    document::end(inner, &rule.id, End { at: OffsetDateTime::now_utc(), objects_left }).await?;
    if objects_left > 0 {
        let (rule, bucket) = (&rule.id, &rule.bucket);
        tracing::warn!(
            rule,
            bucket,
            objects_left,
            "objects that an erasure rule is about are not under its key, and can be read as before"
        );
    }
    Ok(Came::Done)
}

fn event<const N: usize>(rule: &Rule, details: [(&str, String); N]) -> Event {
    let of_rule = [("rule", rule.id.clone()), ("prefix", rule.prefix.clone())];
    Event {
        request_id: rule.request_id(),
        who: rule.added_by.clone(),
        operation: OPERATION.to_owned(),
        bucket: rule.bucket.clone(),
        backend: rule.backend.clone(),
        key_id: rule.key_id.clone(),
        details: of_rule.into_iter().chain(details).map(|(name, value)| (name.to_owned(), value)).collect(),
        ..Event::default()
    }
}
