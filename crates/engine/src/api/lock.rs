//! Object Lock: what keeps a version from being deleted.

use serde::{Deserialize, Serialize};

/// Who may end a retention early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetentionMode {
    /// Whoever has the right to bypass it, and says so.
    #[serde(rename = "GOVERNANCE")]
    Governance,
    /// Nobody.
    #[serde(rename = "COMPLIANCE")]
    Compliance,
}

/// The retention of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Who may end it early.
    pub mode: RetentionMode,
    /// The moment at which it ends, milliseconds since 1970.
    pub until_ms: i64,
}

/// A length of time as S3's documents give it. A year is a year of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Period {
    /// 1 to 36,500.
    Days(u32),
    /// 1 to 100.
    Years(u32),
}

/// An event hold: it keeps a version until it is released, and for a period after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventHold {
    /// Whether it is on.
    pub on: bool,
    /// For how long the version is retained after the release.
    pub period: Option<Period>,
}

/// What a request says of a version's lock, or what is known of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ObjectLock {
    /// `x-amz-object-lock-mode` and `x-amz-object-lock-retain-until-date`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// `x-amz-object-lock-legal-hold`; none where it never was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub legal_hold: Option<bool>,
    /// `x-amz-object-lock-event-hold`; none where it never was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_hold: Option<EventHold>,
}

impl ObjectLock {
    /// Whether nothing is said of a lock.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The locks that new versions in a bucket get (`DefaultRetention` of PutObjectLockConfiguration).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DefaultLock {
    /// `Mode` with `Days` or `Years`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<(RetentionMode, Period)>,
    /// `DefaultEventHold`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_hold: Option<Period>,
}

/// A version that cannot be deleted now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedVersion {
    /// The bucket.
    pub bucket: String,
    /// The object key.
    pub key: String,
    /// Its id, also where clients see it as `null`.
    pub version_id: String,
    /// Until when it is retained, milliseconds since 1970; none while a hold is on.
    pub until_ms: Option<i64>,
}

/// PutObjectRetention: a part that is none stays as it is. Without either, the retention is removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionChange {
    /// `Mode`; alone only with an event hold that is released.
    pub mode: Option<RetentionMode>,
    /// `RetainUntilDate`, milliseconds since 1970; only with `mode`.
    pub until_ms: Option<i64>,
    /// `EventHold` and `EventHoldDuration`
    pub event_hold: Option<EventHold>,
}
