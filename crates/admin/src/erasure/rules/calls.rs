//! Adding, showing and removing rules.

use serde::{Deserialize, Serialize};
use strongroom_access::Action;
use strongroom_audit::SignedReceipt;
use strongroom_engine::elsewhere::Part;
use strongroom_kms::{DELETION_WINDOW_DAYS, KeyMetadata, KeyState, Kms, KmsError, is_reserved};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime};
use utoipa::ToSchema;

use super::document::{self, End, Rule};
use super::obstacles::{self, Obstacle};
use super::standing::{self, Due};
use crate::erasure::{self, ReceiptShape};
use crate::http::{About, ApiError, Call, Empty, Json, Path, Subject};

/// A hundred years ahead is far enough.
const MAX_DAYS: u32 = 36_500;
/// The longest key of an object, in bytes.
const MAX_PREFIX_LEN: usize = 1024;

/// What is to end, with which key, and when. Exactly one of `at` and `days`.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewErasureRule)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRule {
    bucket: String,
    /// Only what begins so; the whole bucket if it is left out or empty.
    #[serde(default)]
    prefix: String,
    /// The key's id, or an ARN that ends in it.
    #[serde(alias = "keyId", alias = "key-id")]
    key_id: String,
    /// A date, which begins at midnight UTC, or a time in RFC 3339.
    #[schema(examples("2027-01-01"))]
    at: Option<String>,
    /// So many days from now on, 1 to 36500.
    days: Option<u32>,
    /// The key's bare id once more, where it is to be destroyed in less than seven days.
    confirm_key_id: Option<String>,
}

impl Subject for NewRule {
    fn key_id(&self) -> Option<&str> {
        Some(&self.key_id)
    }

    fn actions(&self, declared: &'static [Action]) -> Vec<Action> {
        let now = self.confirm_key_id.as_ref().map(|_| Action::DeleteKeyNow);
        declared.iter().copied().chain(now).collect()
    }
}

/// A rule by which a key is destroyed on a date, and with it what lies in a bucket or under a prefix.
#[derive(Serialize, ToSchema)]
#[schema(as = ErasureRule)]
pub(crate) struct Shown {
    rule_id: String,
    bucket: String,
    /// Empty for the whole bucket.
    prefix: String,
    backend: String,
    key_id: String,
    added_by: String,
    #[serde(with = "time::serde::rfc3339")]
    added: OffsetDateTime,
    /// When the key is to be destroyed.
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    /// `Scheduled`, `Blocked`, `PendingDeletion` (the backend destroys the key by itself) or `Done`.
    state: &'static str,
    /// What keeps the rule from being carried out. Before its date: what would, if it were today; lists leave that out.
    obstacles: Vec<String>,
    /// When the backend destroys the key.
    #[serde(with = "time::serde::rfc3339::option")]
    pending_until: Option<OffsetDateTime>,
    /// When the rule was done.
    #[serde(with = "time::serde::rfc3339::option")]
    ended: Option<OffsetDateTime>,
    /// Object versions of the bucket or the prefix that are not under the key, and so can be read after it is gone. Lists leave it out of rules
    /// that are not done.
    objects_left: Option<u64>,
    /// Signed proof, where the key was destroyed.
    #[schema(value_type = Option<ReceiptShape>)]
    receipt: Option<SignedReceipt>,
}

/// Every rule, in the order in which they were added.
#[derive(Serialize, ToSchema)]
#[schema(as = ErasureRules)]
pub(crate) struct ShownRules {
    rules: Vec<Shown>,
}

/// A rule that is no more.
#[derive(Serialize, ToSchema)]
#[schema(as = RemovedErasureRule)]
pub(crate) struct Removed {
    message: String,
    rule: Shown,
}

pub(crate) async fn add(call: Call, Json(request): Json<NewRule>) -> Result<Shown, ApiError> {
    let (backend, kms) = call.kms()?;
    let key = kms.describe_key(call.key_id(&request.key_id)?).await?;
    call.about_bucket(&request.bucket);
    call.note("prefix", &request.prefix);
    check_key(&key, &*kms)?;
    if request.prefix.len() > MAX_PREFIX_LEN {
        return Err(ApiError::invalid(format!("prefix: expected at most {MAX_PREFIX_LEN} bytes")));
    }
    let (now, believed) = call.inner.parts.engine.rule_time();
    believed.map_err(|why| ApiError::conflict("Conflict", why))?;
    let at = request.due(now, &key, call.inner.parts.engine.rule_day())?;
    call.note("at", rfc3339(at));
    let bucket = call.inner.parts.engine.bucket(&request.bucket).await?;
    let part = Part { bucket: request.bucket, bucket_id: bucket.id, prefix: request.prefix };
    let rule = Rule::new(part, (backend, key.key_id), call.signer.identity.name.clone(), [now, at]);
    let obstacles = obstacles::look(&call.inner, &rule).await?;
    if obstacles.iter().any(|obstacle| matches!(obstacle, Obstacle::Elsewhere(elsewhere) if elsewhere.is_default_key)) {
        let why = obstacles::told(&obstacles, &rule, Some(&call)).join(" ");
        return Err(ApiError::conflict("Conflict", format!("The key {} cannot end a bucket. {why}", rule.key_id)));
    }
    document::add(&call.inner, &rule).await?;
    call.note("rule", &rule.id);
    in_full(&call, rule).await
}

pub(crate) async fn list(call: Call, _: Empty) -> Result<ShownRules, ApiError> {
    let mut rules = Vec::new();
    for rule in document::all(&call.inner).await? {
        rules.push(shown(&call, rule).await?);
    }
    Ok(ShownRules { rules })
}

pub(crate) async fn describe(call: Call, Path(id): Path) -> Result<Shown, ApiError> {
    let rule = document::find(&call.inner, &id).await?;
    in_full(&call, rule).await
}

pub(crate) async fn remove(call: Call, Path(id): Path) -> Result<Removed, ApiError> {
    let _alone = call.inner.at_work.alone.lock().await;
    let rule = document::find(&call.inner, &id).await?;
    call.note("rule", &rule.id);
    call.about_bucket(&rule.bucket);
    call.note_event(|event| event.backend.clone_from(&rule.backend));
    // Whoever may not have the key destroyed does not decide that it stays either.
    let about = About { key_id: Some(call.key_id(&rule.key_id)?.to_owned()), ..About::default() };
    call.permit(&[Action::ScheduleKeyDeletion], &about).await?;
    if !rule.is_live() {
        return Err(ApiError::conflict("Conflict", "The erasure rule was carried out, and stays in the list as it is."));
    }
    let rule = shown(&call, rule).await?;
    document::remove(&call.inner, &rule.rule_id).await?;
    let message = match rule.pending_until {
        None => "erasure rule removed".to_owned(),
        Some(_) => format!("erasure rule removed; the deletion of the key {} goes on: POST /kms/keys/cancel-deletion ends it", rule.key_id),
    };
    Ok(Removed { message, rule })
}

/// Refuses a key that cannot be destroyed on a date.
fn check_key(key: &KeyMetadata, kms: &dyn Kms) -> Result<(), ApiError> {
    if is_reserved(&key.key_id) {
        return Err(ApiError::invalid("key_id: this key belongs to the store itself"));
    }
    match key.state {
        KeyState::Enabled | KeyState::Disabled | KeyState::Sealed => {}
        KeyState::PendingDeletion { .. } => return Err(KmsError::KeyPendingDeletion(key.key_id.clone()).into()),
        KeyState::Erased => return Err(KmsError::KeyErased(key.key_id.clone()).into()),
    }
    let capabilities = kms.capabilities();
    if !capabilities.delete_now && !capabilities.schedule_deletion {
        return Err(KmsError::Unsupported { backend: kms.backend().to_owned(), operation: "destroy a key" }.into());
    }
    Ok(())
}

impl NewRule {
    /// When the key is to be destroyed. In less than seven days only where the key's id was given once more, for which the caller had to have
    /// the right to destroy it at once.
    fn due(&self, now: OffsetDateTime, key: &KeyMetadata, day: std::time::Duration) -> Result<OffsetDateTime, ApiError> {
        let at = match (&self.at, self.days) {
            (Some(at), None) => parse(at)
                .ok_or_else(|| ApiError::invalid("at: expected a date such as 2027-01-01, or a time such as 2027-01-01T12:00:00Z"))?,
            (None, Some(days)) if (1..=MAX_DAYS).contains(&days) => now + day * days,
            (None, Some(_)) => return Err(ApiError::invalid(format!("days: expected 1 to {MAX_DAYS}"))),
            (Some(_), Some(_)) | (None, None) => {
                return Err(ApiError::invalid("expected at, a date, or days, a number of days from now on"));
            }
        };
        if at <= now || at > now + day * MAX_DAYS {
            return Err(ApiError::invalid("at: expected a date that is to come, within a hundred years"));
        }
        let (least, id) = (*DELETION_WINDOW_DAYS.start(), key.key_id.as_str());
        match self.confirm_key_id.as_deref() {
            None if at >= now + day * least => Ok(at),
            Some(confirmed) if confirmed == id => Ok(at),
            _ => Err(ApiError::invalid(format!(
                "confirm_key_id: expected {id}, the id of the key once more. It is needed where the key is destroyed in less than {least} days."
            ))),
        }
    }
}

fn parse(at: &str) -> Option<OffsetDateTime> {
    let date = || Date::parse(at, format_description!("[year]-[month]-[day]")).ok();
    date().map(|date| date.midnight().assume_utc()).or_else(|| OffsetDateTime::parse(at, &Rfc3339).ok())
}

fn rfc3339(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_default()
}

/// With everything that is looked at for one rule alone.
async fn in_full(call: &Call, rule: Rule) -> Result<Shown, ApiError> {
    let (inner, part) = (&call.inner, rule.part());
    let (is_live, is_scheduled) = (rule.is_live(), standing::state(inner, &rule) == "Scheduled");
    let obstacles = if is_scheduled { obstacles::told(&obstacles::look(inner, &rule).await?, &rule, Some(call)) } else { Vec::new() };
    let mut shown = shown(call, rule).await?;
    if is_scheduled {
        shown.obstacles = obstacles;
    }
    if is_live {
        shown.objects_left = Some(inner.parts.engine.not_under_key(&shown.backend, &shown.key_id, &part).await?);
    }
    Ok(shown)
}

async fn shown(call: &Call, rule: Rule) -> Result<Shown, ApiError> {
    let state = standing::state(&call.inner, &rule);
    let (obstacles, pending_until) = match call.inner.at_work.standing(&rule) {
        Some(Due::Blocked(obstacles)) => (obstacles::told(&obstacles, &rule, Some(call)), None),
        Some(Due::Pending { until }) => (Vec::new(), Some(until)),
        None => (Vec::new(), None),
    };
    let receipt = if rule.is_live() { None } else { erasure::receipt(&call.inner, &rule.backend, &rule.key_id).await? };
    let (ended, objects_left) = rule.end.map(|End { at, objects_left }| (at, objects_left)).unzip();
    let Rule { id: rule_id, bucket, prefix, backend, key_id, added_by, added, at, .. } = rule;
    Ok(Shown {
        rule_id,
        bucket,
        prefix,
        backend,
        key_id,
        added_by,
        added,
        at,
        state,
        obstacles,
        pending_until,
        ended,
        objects_left,
        receipt,
    })
}
