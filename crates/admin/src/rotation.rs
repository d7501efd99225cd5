//! Keys that are rotated: now, or on schedule.

use serde::{Deserialize, Deserializer, Serialize};
use strongroom_access::Action;
use strongroom_audit::{Event, Outcome};
use strongroom_kms::{KeyMetadata, KeyState, Kms, KmsError};
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;

use crate::admin::Inner;
use crate::document;
use crate::http::{ApiError, Call, JsonOrQuery, Subject};
use crate::keys::{KeyAnswer, Metadata};

/// The document of all schedules.
const DOCUMENT: &str = "kms-rotation";
/// The most there are.
const MAX_SCHEDULES: usize = 2000;
/// A schedule may ask for a rotation every day, or every ten years.
const DAYS: std::ops::RangeInclusive<u32> = 1..=3650;
/// When a rotation that failed is tried again.
const RETRY_AFTER: Duration = Duration::hours(1);

/// A key that is rotated on schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Schedule {
    backend: String,
    key_id: String,
    pub(crate) every_days: u32,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) next: OffsetDateTime,
    /// Who asked for it.
    who: String,
}

/// Which key, and whether on schedule.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateKey {
    /// The key's id, or an ARN that ends in it.
    #[serde(alias = "keyId", alias = "key-id")]
    key_id: String,
    /// Left out: the key is rotated now. A number from 1 to 3650: it is rotated that often from now on. Null: it no longer is.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>)]
    #[allow(clippy::option_option, reason = "null and absent mean different things")]
    rotate_every_days: Option<Option<u32>>,
}

/// Tells a null from a field that is left out.
#[allow(clippy::option_option, reason = "null and absent mean different things")]
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u32>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl Subject for RotateKey {
    fn key_id(&self) -> Option<&str> {
        Some(&self.key_id)
    }

    fn actions(&self, declared: &'static [Action]) -> Vec<Action> {
        match self.rotate_every_days {
            None => declared.to_vec(),
            Some(Some(_)) => vec![Action::EnableKeyRotation],
            Some(None) => vec![Action::DisableKeyRotation],
        }
    }
}

pub(crate) async fn rotate(call: Call, JsonOrQuery(request): JsonOrQuery<RotateKey>) -> Result<KeyAnswer, ApiError> {
    if call.is_of_a_tenant() && request.rotate_every_days.is_some() {
        return Err(ApiError::denied("Rotation schedules are the operator's: rotate the key now, or ask for a schedule."));
    }
    let (backend, kms) = call.kms()?;
    let key_id = call.key_id(&request.key_id)?.to_owned();
    let (key, message) = match request.rotate_every_days {
        None => (kms.rotate_key(&key_id).await?, "key rotated"),
        Some(days) => (schedule(&call, &*kms, &backend, &key_id, days).await?, "key rotation schedule updated"),
    };
    // The next objects get a key of the new version.
    call.inner.parts.engine.forget_bucket_keys();
    call.about_key(&key.key_id, key.current_version);
    Ok(KeyAnswer::new(message, Metadata::complete(&call.inner, &backend, key).await?))
}

async fn schedule(call: &Call, kms: &dyn Kms, backend: &str, key_id: &str, days: Option<u32>) -> Result<KeyMetadata, ApiError> {
    call.note_event(|event| "ScheduleKeyRotation".clone_into(&mut event.operation));
    call.note("rotate_every_days", days.map_or_else(|| "never".to_owned(), |days| days.to_string()));
    let key = kms.describe_key(key_id).await?;
    let Some(days) = days else {
        forget(&call.inner, backend, key_id).await?;
        return Ok(key);
    };
    if !DAYS.contains(&days) {
        return Err(ApiError::invalid(format!("rotate_every_days: expected {} to {}, or null", DAYS.start(), DAYS.end())));
    }
    if !kms.capabilities().rotate {
        return Err(KmsError::Unsupported { backend: backend.to_owned(), operation: "rotate" }.into());
    }
    let who = call.signer.identity.name.clone();
    let new = Schedule { backend: backend.to_owned(), key_id: key_id.to_owned(), every_days: days, next: due(&key, days), who };
    change(&call.inner, |schedules| {
        schedules.retain(|other| !other.is_of(backend, key_id));
        if schedules.len() >= MAX_SCHEDULES {
            return Err(ApiError::conflict("Conflict", format!("There are {MAX_SCHEDULES} rotation schedules, the most there can be.")));
        }
        schedules.push(new.clone());
        Ok(())
    })
    .await?;
    Ok(key)
}

/// The schedule of a key, if it has one.
pub(crate) async fn schedule_of(inner: &Inner, backend: &str, key_id: &str) -> Result<Option<Schedule>, ApiError> {
    let schedules: Vec<Schedule> = document::load(&*inner.parts.state, DOCUMENT).await?;
    Ok(schedules.into_iter().find(|schedule| schedule.is_of(backend, key_id)))
}

/// Ends the schedule of a key, if it has one.
pub(crate) async fn forget(inner: &Inner, backend: &str, key_id: &str) -> Result<(), ApiError> {
    change(inner, |schedules| {
        schedules.retain(|other| !other.is_of(backend, key_id));
        Ok(())
    })
    .await
}

/// Rotates the keys that are due.
pub(crate) async fn run_due(inner: &Inner, now: OffsetDateTime) {
    let schedules: Vec<Schedule> = match document::load(&*inner.parts.state, DOCUMENT).await {
        Ok(schedules) => schedules,
        Err(error) => return tracing::error!(error = error.message, "the rotation schedules cannot be read"),
    };
    for schedule in schedules.into_iter().filter(|schedule| schedule.next <= now) {
        let next = match rotate_due(inner, &schedule, now).await {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(
                    key_id = schedule.key_id,
                    backend = schedule.backend,
                    error = error.message,
                    "a key was not rotated on schedule"
                );
                now + RETRY_AFTER
            }
        };
        let (backend, key_id) = (schedule.backend.as_str(), schedule.key_id.as_str());
        let moved = change(inner, |schedules| {
            schedules.iter_mut().filter(|other| other.is_of(backend, key_id)).for_each(|other| other.next = next);
            Ok(())
        });
        if let Err(error) = moved.await {
            tracing::error!(key_id, backend, error = error.message, "a rotation schedule cannot be written");
        }
    }
}

/// When it is due next. What somebody rotated meanwhile is not rotated again.
async fn rotate_due(inner: &Inner, schedule: &Schedule, now: OffsetDateTime) -> Result<OffsetDateTime, ApiError> {
    let kms = inner.parts.keyring.kms(Some(&schedule.backend))?;
    let key = kms.describe_key(&schedule.key_id).await?;
    let due = due(&key, schedule.every_days);
    if due > now {
        return Ok(due);
    }
    if key.state != KeyState::Enabled {
        return Ok(now + Duration::days(1));
    }
    inner.parts.audit.health()?;
    let rotated = kms.rotate_key(&schedule.key_id).await.map_err(ApiError::from);
    let event = Event {
        request_id: "job:rotation".to_owned(),
        who: schedule.who.clone(),
        operation: "RotateKey".to_owned(),
        backend: schedule.backend.clone(),
        key_id: schedule.key_id.clone(),
        key_version: rotated.as_ref().map_or(0, |key| key.current_version),
        outcome: rotated.as_ref().map_or_else(|error| Outcome::Error(error.code.to_owned()), |_| Outcome::Ok),
        ..Event::default()
    };
    inner.record_durably(&event).await?;
    rotated?;
    inner.parts.engine.forget_bucket_keys();
    Ok(now + days(schedule.every_days))
}

fn due(key: &KeyMetadata, every_days: u32) -> OffsetDateTime {
    let last = key.versions.iter().find(|version| version.version == key.current_version).map_or(key.created, |version| version.created);
    last + days(every_days)
}

fn days(days: u32) -> Duration {
    Duration::days(i64::from(days))
}

async fn change(inner: &Inner, apply: impl FnMut(&mut Vec<Schedule>) -> Result<(), ApiError> + Send) -> Result<(), ApiError> {
    document::change(&*inner.parts.state, DOCUMENT, apply).await
}

impl Schedule {
    fn is_of(&self, backend: &str, key_id: &str) -> bool {
        self.backend == backend && self.key_id == key_id
    }
}
