//! The inventory: in which mode and under which key each version of an object lies, and what locks it.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use strongroom_access::Action;
use strongroom_engine::api::{Mode as EngineMode, ObjectLock, RetentionMode as EngineRetentionMode};
use strongroom_engine::inventory::{AlteredVersion, InventoryRequest, InventoryVersion, MAX_PAGE};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use crate::http::{ApiError, Call, Query, Subject};

/// Which versions, and which page of them.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// Those of this bucket.
    bucket: Option<String>,
    /// Those whose key begins so.
    prefix: Option<String>,
    /// Those of this mode.
    #[param(inline)]
    mode: Option<Mode>,
    /// Those under a key of this backend, live or not.
    backend: Option<String>,
    /// Those under this key.
    key_id: Option<String>,
    /// Those under this version of it.
    key_version: Option<u32>,
    /// The most rows that the page looks at, 1 to 1000.
    limit: Option<usize>,
    /// The `next_marker` of the page before.
    marker: Option<String>,
}

impl Subject for Wanted {
    fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }
}

/// How an object is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[schema(as = InventoryMode)]
enum Mode {
    /// SSE-S3.
    #[serde(rename = "SSE-S3")]
    SseS3,
    /// SSE-KMS.
    #[serde(rename = "SSE-KMS")]
    SseKms,
    /// DSSE-KMS.
    #[serde(rename = "DSSE-KMS")]
    DsseKms,
    /// SSE-C: under a key of the client's.
    #[serde(rename = "SSE-C")]
    SseC,
    /// No encryption was asked for; it lies sealed under the store's own key.
    #[serde(rename = "none")]
    None,
}

/// Who may end a retention early: whoever has the right to, or nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = InventoryRetentionMode)]
enum RetentionMode {
    #[serde(rename = "GOVERNANCE")]
    Governance,
    #[serde(rename = "COMPLIANCE")]
    Compliance,
}

/// A page. Versions come in no order of names, unless a bucket and a prefix are given. A page may be empty though more follows.
#[derive(Serialize, ToSchema)]
#[schema(as = InventoryPage)]
pub(crate) struct Page {
    versions: Vec<Listed>,
    /// Rows that were altered.
    altered: Vec<Altered>,
    /// Rows that make so little sense that not even a name can be told of them.
    unreadable: u64,
    /// Rows in buckets whose versions the signer may not list.
    not_permitted: u64,
    /// Where the next page begins; absent after the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<String>,
}

/// A version of an object, found genuine.
#[derive(Serialize, ToSchema)]
#[schema(as = InventoryVersion)]
#[allow(clippy::struct_excessive_bools, reason = "each is an independent yes or no")]
struct Listed {
    bucket: String,
    key: String,
    version_id: String,
    is_latest: bool,
    size: u64,
    #[serde(with = "time::serde::rfc3339")]
    last_modified: OffsetDateTime,
    #[schema(inline)]
    mode: Mode,
    /// The backend of the KMS key, if the object lies under one.
    key_backend: Option<String>,
    key_id: Option<String>,
    key_version: Option<u32>,
    bucket_key_enabled: bool,
    #[schema(inline)]
    /// `GOVERNANCE` or `COMPLIANCE`, if the version has a retention.
    lock_mode: Option<RetentionMode>,
    /// The end of the retention, which may be in the past.
    #[serde(with = "time::serde::rfc3339::option")]
    retain_until: Option<OffsetDateTime>,
    legal_hold: bool,
    event_hold: bool,
}

/// A row that was altered, with the names that stand in it now. They may be what was altered.
#[derive(Serialize, ToSchema)]
#[schema(as = InventoryAltered)]
struct Altered {
    bucket: String,
    key: String,
    version_id: String,
}

pub(crate) async fn list(call: Call, Query(wanted): Query<Wanted>) -> Result<Page, ApiError> {
    let key_id = wanted.key_id.as_deref().map(|given| call.key_id(given)).transpose()?.map(str::to_owned);
    if wanted.prefix.is_some() && wanted.bucket.is_none() {
        // What is counted of others' buckets must not tell how their objects are called.
        return Err(ApiError::invalid("prefix needs a bucket"));
    }
    if let Some(bucket) = &wanted.bucket {
        call.about_bucket(bucket);
        call.permit_listing_versions(bucket)?;
    }
    let request = InventoryRequest {
        bucket: wanted.bucket,
        prefix: wanted.prefix,
        mode: wanted.mode.map(EngineMode::from),
        backend: wanted.backend,
        key_id,
        key_version: wanted.key_version,
    };
    let marker = wanted.marker.as_deref().filter(|marker| !marker.is_empty());
    let found = call.inner.parts.engine.inventory(&request, marker, wanted.limit.unwrap_or(MAX_PAGE)).await?;

    let (mut permitted, mut not_permitted) = (HashMap::new(), 0);
    let mut may_see = |bucket: &str| {
        let may = match permitted.get(bucket) {
            Some(may) => *may,
            None => *permitted.entry(bucket.to_owned()).or_insert(call.may_list_versions(bucket)),
        };
        not_permitted += u64::from(!may);
        may
    };
    let versions: Vec<_> = found.versions.into_iter().filter(|version| may_see(&version.bucket)).collect();
    let altered = found.altered.into_iter().filter(|row| may_see(&row.bucket)).map(Altered::from).collect();
    let versions = versions.into_iter().map(Listed::try_from).collect::<Result<_, _>>()?;
    Ok(Page { versions, altered, unreadable: found.unreadable, not_permitted, next_marker: found.next })
}

impl Call {
    /// Whether the signer may list the versions of this bucket's objects.
    fn may_list_versions(&self, bucket: &str) -> bool {
        self.may_in_bucket(Action::ListBucketVersions, bucket)
    }

    fn permit_listing_versions(&self, bucket: &str) -> Result<(), ApiError> {
        let denied = || ApiError::denied("The inventory of a bucket needs s3:ListBucketVersions on it.".to_owned());
        if self.may_list_versions(bucket) { Ok(()) } else { Err(denied()) }
    }
}

impl TryFrom<InventoryVersion> for Listed {
    type Error = ApiError;

    fn try_from(version: InventoryVersion) -> Result<Self, ApiError> {
        let (key_backend, key_id, key_version) = match version.kms_key {
            Some(key) => (Some(key.backend), Some(key.key_id), Some(key.version)),
            None => (None, None, None),
        };
        let ObjectLock { retention, legal_hold, event_hold } = version.lock;
        Ok(Self {
            bucket: version.bucket,
            key: version.key,
            version_id: version.version_id,
            is_latest: version.is_latest,
            size: version.size_bytes,
            last_modified: date(version.modified)?,
            mode: version.mode.into(),
            key_backend,
            key_id,
            key_version,
            bucket_key_enabled: version.bucket_key,
            lock_mode: retention.map(|retention| retention.mode.into()),
            retain_until: retention.map(|retention| date(retention.until_ms)).transpose()?,
            legal_hold: legal_hold.unwrap_or(false),
            event_hold: event_hold.is_some_and(|hold| hold.on),
        })
    }
}

fn date(unix_ms: i64) -> Result<OffsetDateTime, ApiError> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000).map_err(|error| ApiError::internal(&error))
}

impl From<EngineRetentionMode> for RetentionMode {
    fn from(mode: EngineRetentionMode) -> Self {
        match mode {
            EngineRetentionMode::Governance => Self::Governance,
            EngineRetentionMode::Compliance => Self::Compliance,
        }
    }
}

impl From<AlteredVersion> for Altered {
    fn from(row: AlteredVersion) -> Self {
        let AlteredVersion { bucket, key, version_id } = row;
        Self { bucket, key, version_id }
    }
}

impl From<Mode> for EngineMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::SseS3 => Self::SseS3,
            Mode::SseKms => Self::SseKms,
            Mode::DsseKms => Self::DsseKms,
            Mode::SseC => Self::SseC,
            Mode::None => Self::Store,
        }
    }
}

impl From<EngineMode> for Mode {
    fn from(mode: EngineMode) -> Self {
        match mode {
            EngineMode::SseS3 => Self::SseS3,
            EngineMode::SseKms => Self::SseKms,
            EngineMode::DsseKms => Self::DsseKms,
            EngineMode::SseC => Self::SseC,
            EngineMode::Store => Self::None,
        }
    }
}
