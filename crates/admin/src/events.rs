//! The outbox: what waits for each notification target, and events that were given up.

use serde::{Deserialize, Serialize};
use strongroom_engine::events::{DeadEvent, DeadEvents, EventId};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use crate::http::{ApiError, Call, Empty, Json, Query, Subject};

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;

/// A target, and what waits for it.
#[derive(Serialize, ToSchema)]
#[schema(as = EventTarget)]
#[allow(clippy::struct_field_names, reason = "the names of the API")]
pub(crate) struct Target {
    target: String,
    /// Whether the server's configuration has it. What waits for another one stays, and is delivered if it comes back.
    configured: bool,
    queued: u64,
    dead: u64,
    /// Events that were dropped since there were too many, ever.
    dropped: u64,
    /// When the event happened that waits longest.
    #[serde(with = "time::serde::rfc3339::option")]
    oldest: Option<OffsetDateTime>,
    /// Since the server's start.
    delivered: u64,
    /// Attempts that failed, since the server's start.
    failed_attempts: u64,
    /// Attempts that failed since the last one that did not.
    failures_in_a_row: u32,
    /// What came of the last attempt that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<String>,
}

/// The targets, in the order of names.
#[derive(Serialize, ToSchema)]
#[schema(as = EventTargets)]
pub(crate) struct Targets {
    targets: Vec<Target>,
}

/// Which dead events.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    /// Of this target only.
    target: Option<String>,
    /// Behind this place: `next` of the page before.
    after: Option<i64>,
    /// At the most so many, up to 1,000; 100 if it is left out.
    limit: Option<usize>,
}

impl Subject for Which {}

/// An event that was given up.
#[derive(Serialize, ToSchema)]
#[schema(as = DeadEvent)]
pub(crate) struct Dead {
    /// Its id: `webhook-id` without `evt_`.
    event_id: String,
    target: String,
    /// When it happened.
    #[serde(with = "time::serde::rfc3339")]
    time: OffsetDateTime,
    /// Such as `ObjectCreated:Put`.
    event: Option<&'static str>,
    /// For who may list the bucket.
    bucket: Option<String>,
    /// For who may list the bucket.
    key: Option<String>,
    /// For who may list the bucket.
    version_id: Option<String>,
    attempts: Option<u32>,
    /// What came of the last attempt.
    reason: Option<String>,
    /// When it was given up.
    #[serde(with = "time::serde::rfc3339::option")]
    given_up: Option<OffsetDateTime>,
}

/// A page of dead events, in the order in which they happened.
#[derive(Serialize, ToSchema)]
#[schema(as = DeadEvents)]
pub(crate) struct DeadPage {
    events: Vec<Dead>,
    /// Where the next page begins; none at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
}

/// Dead events to be sent again: one, or all of a target.
#[derive(Deserialize, ToSchema)]
#[schema(as = ResendEvents)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resend {
    /// The one of this id.
    event_id: Option<String>,
    /// All of this target.
    target: Option<String>,
}

impl Subject for Resend {}

/// Events to be dropped for good: a dead one, all dead ones of a target, or all that wait for it.
#[derive(Deserialize, ToSchema)]
#[schema(as = DropEvents)]
#[serde(deny_unknown_fields)]
pub(crate) struct Drop {
    /// The dead one of this id.
    event_id: Option<String>,
    /// The dead ones of this target.
    target: Option<String>,
    /// The events that wait for `target`, in place of the dead ones.
    #[serde(default)]
    queued: bool,
}

impl Subject for Drop {}

/// How many events it was done with.
#[derive(Serialize, ToSchema)]
#[schema(as = EventCount)]
pub(crate) struct Count {
    events: u64,
}

pub(crate) async fn targets(call: Call, _: Empty) -> Result<Targets, ApiError> {
    let mut numbers = call.inner.parts.deliveries.numbers();
    let mut held = call.inner.parts.engine.outbox().await?;
    // One that was taken away is told of while something is left of it.
    held.retain(|held| held.queued > 0 || held.dead > 0 || numbers.contains_key(&held.target));
    let missing = numbers.keys().filter(|name| !held.iter().any(|held| held.target == **name));
    let missing: Vec<_> = missing.cloned().collect();
    held.extend(missing.into_iter().map(|target| strongroom_engine::events::OutboxTarget { target, ..Default::default() }));
    held.sort_by(|one, two| one.target.cmp(&two.target));
    let targets = held.into_iter().map(|held| {
        let known = numbers.remove(&held.target);
        let configured = known.is_some();
        let known = known.unwrap_or_default();
        Target {
            target: held.target,
            configured,
            queued: held.queued,
            dead: held.dead,
            dropped: held.dropped,
            oldest: held.oldest.map(at),
            delivered: known.delivered,
            failed_attempts: known.failed,
            failures_in_a_row: known.failures_in_a_row,
            last_failure: known.last_failure,
        }
    });
    Ok(Targets { targets: targets.collect() })
}

pub(crate) async fn dead(call: Call, Query(Which { target, after, limit }): Query<Which>) -> Result<DeadPage, ApiError> {
    let limit = limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let found = call.inner.parts.engine.dead_events(target.as_deref(), after.unwrap_or(0), limit).await?;
    let next = found.last().map(|event| event.position).filter(|_| found.len() == limit);
    Ok(DeadPage { events: found.into_iter().map(|event| shown(&call, event)).collect(), next })
}

pub(crate) async fn resend(call: Call, Json(Resend { event_id, target }): Json<Resend>) -> Result<Count, ApiError> {
    let which = named(&call, event_id, target)?;
    let events = call.inner.parts.engine.resend_dead_events(which).await?;
    counted(&call, events)
}

pub(crate) async fn discard(call: Call, Json(Drop { event_id, target, queued }): Json<Drop>) -> Result<Count, ApiError> {
    let engine = &call.inner.parts.engine;
    let which = named(&call, event_id, target)?;
    let events = match which {
        DeadEvents::AllOf(target) if queued => {
            call.note("queued", "true");
            engine.drop_queued_events(&target).await?
        }
        DeadEvents::One(_) if queued => return Err(ApiError::invalid("queued goes with target, and not with event_id.")),
        which => engine.drop_dead_events(which).await?,
    };
    counted(&call, events)
}

fn named(call: &Call, event_id: Option<String>, target: Option<String>) -> Result<DeadEvents, ApiError> {
    match (event_id, target) {
        (Some(event_id), None) => {
            call.note("event_id", &event_id);
            let id: EventId = event_id.trim_start_matches("evt_").parse().map_err(|_| no_such_event())?;
            Ok(DeadEvents::One(id))
        }
        (None, Some(target)) => {
            call.note("target", &target);
            Ok(DeadEvents::AllOf(target))
        }
        _ => Err(ApiError::invalid("Give one of event_id and target.")),
    }
}

fn counted(call: &Call, events: u64) -> Result<Count, ApiError> {
    call.note("events", events.to_string());
    if events == 0 { Err(no_such_event()) } else { Ok(Count { events }) }
}

fn no_such_event() -> ApiError {
    ApiError::not_found("There is no such event. GET /kms/events/dead lists those that were given up.")
}

/// Names of objects are for who may list their bucket.
fn shown(call: &Call, event: DeadEvent) -> Dead {
    let record = event.record.as_ref();
    let named = record.filter(|record| call.may_list(&record.bucket));
    Dead {
        event_id: event.id.to_string(),
        time: at(event.added),
        event: record.map(|record| record.event.as_str()),
        bucket: named.map(|record| record.bucket.clone()),
        key: named.map(|record| record.key.clone()),
        version_id: named.and_then(|record| record.version_id.clone()),
        attempts: event.failure.as_ref().map(|failure| failure.attempts),
        given_up: event.failure.as_ref().map(|failure| at(failure.at)),
        reason: event.failure.map(|failure| failure.reason),
        target: event.target,
    }
}

fn at(unix_ms: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
