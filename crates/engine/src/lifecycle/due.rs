//! When a rule is due for an object.

use strongroom_catalog::UnixMillis;

use super::{DAY, Expiration, LifecycleFilter, LifecycleOptions, LifecycleRule};
use crate::tags::Tag;

/// When an object expires, and by which rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// In milliseconds since 1970.
    pub at_ms: UnixMillis,
    /// The rule's id.
    pub rule_id: String,
}

/// What rules look at of a version.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) key: &'a str,
    pub(crate) size_bytes: u64,
    pub(crate) tags: &'a [Tag],
}

/// How long a day is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Days {
    day_ms: i64,
    /// A day of its real length ends at midnight UTC.
    to_midnight: bool,
}

impl Days {
    pub(super) fn of(options: &LifecycleOptions) -> Self {
        Self { day_ms: i64::try_from(options.day.as_millis()).unwrap_or(i64::MAX).max(1), to_midnight: options.day == DAY }
    }

    /// So many days after `from`, rounded up to the next midnight.
    pub(super) fn after(self, from: UnixMillis, days: i64) -> UnixMillis {
        let at = from.saturating_add(days.saturating_mul(self.day_ms));
        if !self.to_midnight {
            return at;
        }
        let into_day = at.rem_euclid(self.day_ms);
        if into_day == 0 { at } else { at.saturating_add(self.day_ms - into_day) }
    }

    /// What was written later than this is not due by a rule of so many days, and all else is.
    pub(super) fn youngest_due(self, now: UnixMillis, days: i64) -> UnixMillis {
        let until = if self.to_midnight && days > 0 { now - now.rem_euclid(self.day_ms) } else { now };
        until.saturating_sub(days.saturating_mul(self.day_ms))
    }

    /// What was written later than this comes from a clock that ran ahead.
    pub(super) fn latest_credible(self, now: UnixMillis) -> UnixMillis {
        now.saturating_add(self.day_ms)
    }
}

impl LifecycleFilter {
    pub(super) fn has_key(&self, key: &str) -> bool {
        self.prefix.as_ref().is_none_or(|prefix| key.starts_with(prefix))
    }

    pub(super) fn has_size(&self, size_bytes: u64) -> bool {
        let size = i64::try_from(size_bytes).unwrap_or(i64::MAX);
        self.larger_than.is_none_or(|larger| size > larger) && self.smaller_than.is_none_or(|smaller| size < smaller)
    }

    pub(super) fn has(&self, subject: Subject<'_>) -> bool {
        self.has_key(subject.key) && self.has_size(subject.size_bytes) && self.tags.iter().all(|tag| subject.tags.contains(tag))
    }
}

/// When a current version expires, by the rule that is due first.
pub(super) fn of_current(rules: &[LifecycleRule], days: Days, subject: Subject<'_>, modified: UnixMillis) -> Option<Expiry> {
    let due = |rule: &LifecycleRule| {
        let at_ms = match rule.expiration? {
            Expiration::Days(count) => days.after(modified, count),
            Expiration::Date(at) => at,
            Expiration::MarkersAlone(_) => return None,
        };
        (rule.enabled && rule.filter.has(subject)).then(|| Expiry { at_ms, rule_id: rule.id.clone() })
    };
    rules.iter().filter_map(due).min_by_key(|expiry| expiry.at_ms)
}

/// Whether a noncurrent version may go: it is so since `since`, and `newer` noncurrent versions of the key are newer.
pub(super) fn of_noncurrent(
    rules: &[LifecycleRule],
    days: Days,
    subject: Subject<'_>,
    since: UnixMillis,
    newer: i64,
    now: UnixMillis,
) -> bool {
    rules.iter().any(|rule| {
        let Some(noncurrent) = rule.noncurrent.filter(|_| rule.enabled && rule.filter.has(subject)) else { return false };
        days.after(since, noncurrent.days) <= now && noncurrent.newer_kept.is_none_or(|kept| newer >= kept)
    })
}

/// Whether a delete marker may go that has no versions below it. A rule with days takes those that are old enough, and one by date all of them
/// from then on; a marker has neither tags nor a size, so rules that ask for these are not about it.
pub(super) fn of_marker_alone(rules: &[LifecycleRule], days: Days, key: &str, modified: UnixMillis, now: UnixMillis) -> bool {
    rules.iter().any(|rule| {
        let is_meant = rule.enabled && rule.filter.has_key(key);
        let has_more = !rule.filter.tags.is_empty() || rule.filter.larger_than.is_some() || rule.filter.smaller_than.is_some();
        let is_due = match rule.expiration {
            Some(Expiration::MarkersAlone(on)) => on,
            Some(Expiration::Days(count)) => days.after(modified, count) <= now,
            Some(Expiration::Date(at)) => at <= now,
            None => false,
        };
        is_meant && !has_more && is_due && modified <= now
    })
}

/// When an upload is aborted, by the rule that is due first.
pub(super) fn of_upload(rules: &[LifecycleRule], days: Days, key: &str, initiated: UnixMillis) -> Option<Expiry> {
    let due = |rule: &LifecycleRule| {
        let count = rule.abort_days.filter(|_| rule.enabled && rule.filter.has_key(key))?;
        Some(Expiry { at_ms: days.after(initiated, count), rule_id: rule.id.clone() })
    };
    rules.iter().filter_map(due).min_by_key(|expiry| expiry.at_ms)
}
