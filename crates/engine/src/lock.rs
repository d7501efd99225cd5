//! Object Lock: which lock a version gets, and which changes of it are allowed. That no locked version is removed is the catalog's business, in
//! the transaction that would remove it. Source: S3 user guide, "Locking objects with Object Lock".

use strongroom_catalog as catalog;
use time::{Duration, OffsetDateTime};

use crate::{
    Error,
    api::{Attributes, DefaultLock, EventHold, ObjectLock, Period, Retention, RetentionChange, RetentionMode},
    bucket::Bucket,
    ids,
    record::RecordedLock,
    tags,
};

const MAX_DAYS: u32 = 36_500;
const MAX_YEARS: u32 = 100;
/// 9999-12-31T23:59:59.999Z, the last date that S3's forms can tell.
const END_OF_CALENDAR_MS: i64 = 253_402_300_799_999;

/// The lock of a version: what is enforced, and what is remembered beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Locked {
    pub(crate) lock: catalog::Lock,
    pub(crate) recorded: RecordedLock,
}

impl Period {
    /// Whether S3 allows it.
    pub(crate) fn check(self) -> Result<(), Error> {
        let (count, max, unit) = match self {
            Self::Days(days) => (days, MAX_DAYS, "days"),
            Self::Years(years) => (years, MAX_YEARS, "years"),
        };
        if (1..=max).contains(&count) { Ok(()) } else { Err(Error::InvalidRetentionPeriod { max, unit }) }
    }

    /// The moment at which it ends if it begins at `now_ms`, in milliseconds since 1970. A year that begins on 29 February ends on 1 March.
    pub fn after(self, now_ms: i64) -> i64 {
        let now = OffsetDateTime::from_unix_timestamp_nanos(i128::from(now_ms) * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let end = match self {
            Self::Days(days) => now.checked_add(Duration::days(days.into())),
            Self::Years(years) => in_years(now, years),
        };
        // Past the end of the calendar: its last moment.
        end.and_then(|end| i64::try_from(end.unix_timestamp_nanos() / 1_000_000).ok()).unwrap_or(END_OF_CALENDAR_MS)
    }
}

fn in_years(now: OffsetDateTime, years: u32) -> Option<OffsetDateTime> {
    let year = now.year().checked_add(i32::try_from(years).ok()?)?;
    now.replace_year(year).ok().or_else(|| now.checked_add(Duration::days(1))?.replace_year(year).ok())
}

impl Attributes {
    /// Refuses tags and locks that a request cannot give to a new version in this bucket.
    pub(crate) fn check(&self, bucket: &Bucket) -> Result<(), Error> {
        tags::check(&self.tags, tags::MAX_OBJECT_TAGS)?;
        check_given(&self.lock, bucket, ids::now_ms())
    }
}

/// Refuses a lock that a request cannot give to a new version in this bucket.
pub(crate) fn check_given(given: &ObjectLock, bucket: &Bucket, now_ms: i64) -> Result<(), Error> {
    if given.is_empty() {
        return Ok(());
    }
    let default = default_of(bucket)?;
    if let Some(retention) = given.retention {
        check_future(retention.until_ms, now_ms)?;
    }
    if let Some(hold) = given.event_hold {
        hold_period(hold, None, default)?;
    }
    Ok(())
}

/// The lock of a new version: what the request says, else the bucket's defaults.
pub(crate) fn of_new_version(given: &ObjectLock, default: Option<&DefaultLock>, modified_ms: i64) -> Result<Locked, Error> {
    let Some(default) = default else { return Ok(Locked::default()) };
    let by_default = default.retention.map(|(mode, period)| Retention { mode, until_ms: period.after(modified_ms) });
    let event_hold_period = match given.event_hold {
        Some(hold) => hold_period(hold, None, default)?,
        None => default.event_hold,
    };
    Ok(Locked {
        lock: catalog::Lock {
            retention: given.retention.or(by_default).map(Into::into),
            legal_hold: given.legal_hold == Some(true),
            event_hold: event_hold_period.is_some(),
        },
        recorded: RecordedLock { legal_hold_given: given.legal_hold.is_some(), event_hold_period },
    })
}

/// The lock that an upload is begun with: with the duration that the bucket's default gives to its event hold now.
pub(crate) fn of_new_upload(given: ObjectLock, bucket: &Bucket) -> ObjectLock {
    let default = bucket.settings.object_lock.as_ref().and_then(|default| default.event_hold);
    let event_hold = given.event_hold.map(|hold| EventHold { period: hold.period.or(default.filter(|_| hold.on)), ..hold });
    ObjectLock { event_hold, ..given }
}

impl Locked {
    /// As clients see it.
    pub(crate) fn shown(&self) -> ObjectLock {
        let Self { lock, recorded } = self;
        ObjectLock {
            retention: lock.retention.map(Into::into),
            legal_hold: (recorded.legal_hold_given || lock.legal_hold).then_some(lock.legal_hold),
            event_hold: recorded
                .event_hold_period
                .map(|period| EventHold { on: lock.event_hold, period: lock.event_hold.then_some(period) }),
        }
    }

    pub(crate) fn with_legal_hold(self, on: bool) -> Self {
        Self { lock: catalog::Lock { legal_hold: on, ..self.lock }, recorded: RecordedLock { legal_hold_given: true, ..self.recorded } }
    }

    /// The lock after PutObjectRetention. What shortens or removes a retention, or changes its mode, needs `bypass` in governance mode, and is
    /// refused in compliance mode.
    pub(crate) fn changed(self, change: &RetentionChange, default: &DefaultLock, bypass: bool, now_ms: i64) -> Result<Self, Error> {
        let mut next = self;
        next.lock.retention = match (change.mode, change.until_ms, change.event_hold) {
            (Some(mode), Some(until_ms), _) => {
                check_future(until_ms, now_ms)?;
                Some(Retention { mode, until_ms }.into())
            }
            (None, None, None) => None,
            (None, None, Some(_)) | (Some(_), None, Some(EventHold { on: false, .. })) => self.lock.retention,
            _ => return Err(Error::MalformedXml("a retention needs both a Mode and a RetainUntilDate".into())),
        };
        if self.is_weakened_by(next.lock.retention, bypass, now_ms) {
            return Err(Error::ObjectLocked);
        }
        match change.event_hold {
            None => Ok(next),
            Some(hold @ EventHold { on: true, .. }) => next.held(hold, default, now_ms),
            Some(hold) => {
                hold_period(hold, None, default)?;
                next.released(change.mode, default, bypass, now_ms)
            }
        }
    }

    /// With an event hold. One that is on is not made shorter.
    fn held(mut self, hold: EventHold, default: &DefaultLock, now_ms: i64) -> Result<Self, Error> {
        let present = self.recorded.event_hold_period.filter(|_| self.lock.event_hold);
        let period = hold_period(hold, present, default)?;
        if present.is_some_and(|present| period.is_none_or(|period| period.after(now_ms) < present.after(now_ms))) {
            return Err(Error::ObjectLocked);
        }
        self.lock.event_hold = true;
        self.recorded.event_hold_period = period;
        Ok(self)
    }

    /// With its event hold released: retained for the hold's period from now on, and no shorter than it was. The mode of an active retention is changed
    /// as [`Locked::changed`] changes it, and compliance is never made governance.
    fn released(mut self, mode: Option<RetentionMode>, default: &DefaultLock, bypass: bool, now_ms: i64) -> Result<Self, Error> {
        let Some(period) = self.recorded.event_hold_period.filter(|_| self.lock.event_hold) else { return Ok(self) };
        let present = self.lock.retention.map(Retention::from);
        let active = present.filter(|present| present.until_ms > now_ms);
        // Where nobody ever named a mode, nobody said that the retention may end early.
        let expected = present.map(|present| present.mode).or(default.retention.map(|(mode, _)| mode));
        let mode = mode.or(expected).unwrap_or(RetentionMode::Compliance);
        let is_weaker = expected == Some(RetentionMode::Compliance) && mode == RetentionMode::Governance;
        let is_changed = active.is_some_and(|active| active.mode != mode);
        if is_weaker || (is_changed && !bypass) {
            return Err(Error::ObjectLocked);
        }
        let until_ms = period.after(now_ms).max(active.map_or(0, |active| active.until_ms));
        self.lock.event_hold = false;
        self.lock.retention = Some(Retention { mode, until_ms }.into());
        Ok(self)
    }

    /// Whether it keeps the version in a way, or for a time, in which `before` does not.
    pub(crate) fn is_stronger_than(&self, before: &Self) -> bool {
        let (new, old) = (&self.lock, &before.lock);
        let is_longer = new.retention.is_some_and(|new| old.retention.is_none_or(|old| new.until > old.until || new.mode != old.mode));
        (new.legal_hold && !old.legal_hold) || (new.event_hold && !old.event_hold) || is_longer
    }

    /// Whether a retention that is in force is shortened, removed or given another mode. `bypass` lets that happen to one in governance mode.
    pub(crate) fn is_weakened_by(&self, next: Option<catalog::Retention>, bypass: bool, now_ms: i64) -> bool {
        let Some(present) = self.lock.retention.filter(|present| present.until > now_ms) else { return false };
        let weaker = next.is_none_or(|next| next.mode != present.mode || next.until < present.until);
        let may_be = bypass && present.mode == catalog::RetentionMode::Governance;
        weaker && !may_be
    }
}

/// Whether nothing but a retention in governance mode holds, whatever the time.
pub(crate) fn yields_to_bypass(lock: &catalog::Lock) -> bool {
    !lock.holds(i64::MIN, true)
}

/// The bucket's default locks; an error where its versions cannot be locked.
pub(crate) fn default_of(bucket: &Bucket) -> Result<&DefaultLock, Error> {
    bucket.settings.object_lock.as_ref().ok_or_else(|| Error::InvalidRequest("Bucket is missing Object Lock Configuration".into()))
}

/// Refuses a default that makes no sense.
pub(crate) fn check_default(default: &DefaultLock) -> Result<(), Error> {
    default.retention.map_or(Ok(()), |(_, period)| period.check())?;
    default.event_hold.map_or(Ok(()), Period::check)
}

fn check_future(until_ms: i64, now_ms: i64) -> Result<(), Error> {
    if until_ms > now_ms { Ok(()) } else { Err(Error::InvalidArgument("The retain until date must be in the future!".into())) }
}

/// The period of an event hold: the one given, else that of the present hold, else the bucket's default. None of a hold that is off.
fn hold_period(hold: EventHold, present: Option<Period>, default: &DefaultLock) -> Result<Option<Period>, Error> {
    if !hold.on {
        let superfluous = || Error::InvalidArgument("An event hold that is OFF has no duration: leave the duration out.".into());
        return if hold.period.is_some() { Err(superfluous()) } else { Ok(None) };
    }
    let lacks = || Error::InvalidArgument("An event hold needs a duration in days or in years, since the bucket has no default.".into());
    let period = hold.period.or(present).or(default.event_hold).ok_or_else(lacks)?;
    period.check()?;
    Ok(Some(period))
}

impl From<RetentionMode> for catalog::RetentionMode {
    fn from(mode: RetentionMode) -> Self {
        match mode {
            RetentionMode::Governance => Self::Governance,
            RetentionMode::Compliance => Self::Compliance,
        }
    }
}

impl From<Retention> for catalog::Retention {
    fn from(retention: Retention) -> Self {
        Self { mode: retention.mode.into(), until: retention.until_ms }
    }
}

impl From<catalog::Retention> for Retention {
    fn from(retention: catalog::Retention) -> Self {
        let mode = match retention.mode {
            catalog::RetentionMode::Governance => RetentionMode::Governance,
            catalog::RetentionMode::Compliance => RetentionMode::Compliance,
        };
        Self { mode, until_ms: retention.until }
    }
}

#[cfg(test)]
#[path = "lock_tests.rs"]
mod tests;
