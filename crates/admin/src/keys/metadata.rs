//! What is told of a key.

use std::collections::BTreeMap;

use serde::Serialize;
use strongroom_kms::{KeyMetadata, KeyState, is_reserved};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::admin::Inner;
use crate::http::ApiError;
use crate::rotation::{self, Schedule};

/// All that may be told of a key.
#[derive(Serialize, ToSchema)]
#[schema(as = KeyMetadata)]
pub(crate) struct Metadata {
    pub(crate) key_id: String,
    pub(crate) description: String,
    tags: BTreeMap<String, String>,
    /// Whether it can be used.
    pub(crate) enabled: bool,
    pub(crate) key_state: &'static str,
    /// Always `ENCRYPT_DECRYPT`.
    key_usage: &'static str,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) creation_date: OffsetDateTime,
    /// When a scheduled deletion destroys it.
    #[serde(with = "time::serde::rfc3339::option")]
    deletion_date: Option<OffsetDateTime>,
    /// The backend that holds it.
    backend: String,
    /// Whether it belongs to the store itself.
    reserved: bool,
    /// The version that new data keys are wrapped under.
    pub(crate) current_version: u32,
    /// Every version, oldest first.
    versions: Vec<Version>,
    /// Whether it is rotated on schedule.
    rotation_enabled: bool,
    /// How often.
    rotate_every_days: Option<u32>,
    /// When next.
    #[serde(with = "time::serde::rfc3339::option")]
    next_rotation_date: Option<OffsetDateTime>,
}

/// One version of a key.
#[derive(Serialize, ToSchema)]
#[schema(as = KeyVersion)]
struct Version {
    version: u32,
    #[serde(with = "time::serde::rfc3339")]
    creation_date: OffsetDateTime,
}

/// How a change of a key ended.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyAnswer {
    /// True: errors have another shape.
    success: bool,
    /// What was done.
    message: String,
    key_id: String,
    key_metadata: Metadata,
}

impl KeyAnswer {
    pub(crate) fn new(message: &str, key_metadata: Metadata) -> Self {
        Self { success: true, message: message.to_owned(), key_id: key_metadata.key_id.clone(), key_metadata }
    }
}

impl Metadata {
    pub(crate) fn new(backend: &str, key: KeyMetadata, schedule: Option<&Schedule>) -> Self {
        let KeyMetadata { key_id, description, tags, state, created, versions, current_version } = key;
        let (key_state, deletion_date) = name(state);
        Self {
            reserved: is_reserved(&key_id),
            key_id,
            description,
            tags,
            enabled: state == KeyState::Enabled,
            key_state,
            key_usage: "ENCRYPT_DECRYPT",
            creation_date: created,
            deletion_date,
            backend: backend.to_owned(),
            current_version,
            versions: versions.iter().map(|version| Version { version: version.version, creation_date: version.created }).collect(),
            rotation_enabled: schedule.is_some(),
            rotate_every_days: schedule.map(|schedule| schedule.every_days),
            next_rotation_date: schedule.map(|schedule| schedule.next),
        }
    }

    /// With the schedule of its rotations.
    pub(crate) async fn complete(inner: &Inner, backend: &str, key: KeyMetadata) -> Result<Self, ApiError> {
        let schedule = rotation::schedule_of(inner, backend, &key.key_id).await?;
        Ok(Self::new(backend, key, schedule.as_ref()))
    }
}

fn name(state: KeyState) -> (&'static str, Option<OffsetDateTime>) {
    match state {
        KeyState::Enabled => ("Enabled", None),
        KeyState::Disabled => ("Disabled", None),
        KeyState::Sealed => ("Sealed", None),
        KeyState::PendingDeletion { at } => ("PendingDeletion", Some(at)),
        KeyState::Erased => ("Erased", None),
    }
}
