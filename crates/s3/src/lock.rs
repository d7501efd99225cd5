//! Object Lock in headers. Source: S3 API reference, PutObject and GetObject.

use http::{HeaderMap, HeaderName};
use strongroom_access::{Action, ConditionKey, Conditions};
use strongroom_engine::api::{EventHold, ObjectInfo, ObjectLock, Period, Retention, RetentionChange, RetentionMode};

use crate::{
    authorize::may_on_object,
    headers::filled,
    refusal::Refusal,
    reply::Reply,
    request::Request,
    timestamp::{iso_8601, parse_iso_8601},
};

const MODE: &str = "x-amz-object-lock-mode";
const RETAIN_UNTIL: &str = "x-amz-object-lock-retain-until-date";
const LEGAL_HOLD: &str = "x-amz-object-lock-legal-hold";
const EVENT_HOLD: &str = "x-amz-object-lock-event-hold";
const EVENT_HOLD_DAYS: &str = "x-amz-object-lock-event-hold-duration-days";
const EVENT_HOLD_YEARS: &str = "x-amz-object-lock-event-hold-duration-years";

/// The headers that take `s3:PutObjectRetention`.
pub(crate) const RETENTION_HEADERS: [&str; 5] = [MODE, RETAIN_UNTIL, EVENT_HOLD, EVENT_HOLD_DAYS, EVENT_HOLD_YEARS];
/// The header that takes `s3:PutObjectLegalHold`.
pub(crate) const LEGAL_HOLD_HEADER: &str = LEGAL_HOLD;

/// The lock that a new version is given.
pub(crate) fn given(headers: &HeaderMap) -> Result<ObjectLock, Refusal> {
    Ok(ObjectLock { retention: retention(headers)?, legal_hold: legal_hold(headers)?, event_hold: event_hold(headers)? })
}

fn retention(headers: &HeaderMap) -> Result<Option<Retention>, Refusal> {
    let invalid = |message: &str| Refusal::InvalidArgument(message.to_owned());
    match (filled(headers, MODE)?, filled(headers, RETAIN_UNTIL)?) {
        (None, None) => Ok(None),
        (Some(mode), Some(until)) => {
            let mode = mode_of(&mode).ok_or_else(|| invalid("Unknown wormMode directive."))?;
            let until_ms = parse_iso_8601(&until)
                .ok_or_else(|| invalid("The retain until date must be provided in ISO 8601 format, such as 2030-01-31T00:00:00Z."))?;
            Ok(Some(Retention { mode, until_ms }))
        }
        _ => Err(invalid("x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied")),
    }
}

fn legal_hold(headers: &HeaderMap) -> Result<Option<bool>, Refusal> {
    let invalid = || Refusal::InvalidArgument("Legal Hold must be either of 'ON' or 'OFF'".to_owned());
    filled(headers, LEGAL_HOLD)?.map(|status| is_on(&status).ok_or_else(invalid)).transpose()
}

fn event_hold(headers: &HeaderMap) -> Result<Option<EventHold>, Refusal> {
    let invalid = |message: &str| Refusal::InvalidArgument(message.to_owned());
    let count = |name| {
        let text = filled(headers, name)?;
        text.map(|text| text.parse().map_err(|_| invalid(&format!("{name} must be a whole number above 0.")))).transpose()
    };
    let period = match (count(EVENT_HOLD_DAYS)?, count(EVENT_HOLD_YEARS)?) {
        (None, None) => None,
        (Some(days), None) => Some(Period::Days(days)),
        (None, Some(years)) => Some(Period::Years(years)),
        (Some(_), Some(_)) => return Err(invalid("The duration of an event hold is given in days or in years, not in both.")),
    };
    match filled(headers, EVENT_HOLD)? {
        None if period.is_some() => Err(invalid("A duration of an event hold needs x-amz-object-lock-event-hold: ON.")),
        None => Ok(None),
        Some(status) => {
            let on = is_on(&status).ok_or_else(|| invalid("Event Hold must be either of 'ON' or 'OFF'"))?;
            Ok(Some(EventHold { on, period }))
        }
    }
}

const DAY_MS: i64 = 86_400_000;

/// What a request says of a lock, as policies' conditions see it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Said {
    mode: Option<RetentionMode>,
    until_ms: Option<i64>,
    hold: Option<EventHold>,
    legal_hold: Option<bool>,
}

impl Said {
    pub(crate) fn of_legal_hold(on: bool) -> Self {
        Self { legal_hold: Some(on), ..Self::default() }
    }

    /// Adds it to the conditions. A request at `now_ms` said it. An event hold retains for its duration at the least, so it counts as a
    /// retention that ends then: else it would get around a policy that limits retentions.
    pub(crate) fn in_conditions(&self, conditions: Conditions, now_ms: i64) -> Conditions {
        let held_until = self.hold.filter(|hold| hold.on).and_then(|hold| hold.period).map(|period| period.after(now_ms));
        let until_ms = self.until_ms.max(held_until);
        let begun_days = |until_ms: i64| until_ms.saturating_sub(now_ms).saturating_add(DAY_MS - 1).div_euclid(DAY_MS);
        conditions
            .with_some(ConditionKey::LockMode, self.mode.map(mode_name))
            .with_some(ConditionKey::LockRetainUntil, until_ms.map(|ms| ms.div_euclid(1000).to_string()))
            .with_some(ConditionKey::LockRemainingDays, until_ms.map(|ms| begun_days(ms).to_string()))
            .with_some(ConditionKey::LockLegalHold, self.legal_hold.map(on_or_off))
    }
}

impl From<&ObjectLock> for Said {
    fn from(lock: &ObjectLock) -> Self {
        let ObjectLock { retention, legal_hold, event_hold } = *lock;
        let (mode, until_ms) = (retention.map(|retention| retention.mode), retention.map(|retention| retention.until_ms));
        Self { mode, until_ms, hold: event_hold, legal_hold }
    }
}

impl From<&RetentionChange> for Said {
    fn from(change: &RetentionChange) -> Self {
        let RetentionChange { mode, until_ms, event_hold } = *change;
        Self { mode, until_ms, hold: event_hold, legal_hold: None }
    }
}

/// Tells who may see it what keeps the version from being deleted.
pub(crate) fn answer(reply: &mut Reply, request: &Request, info: &ObjectInfo) -> Result<(), Refusal> {
    let lock = &info.lock;
    if (lock.retention.is_some() || lock.event_hold.is_some()) && may_on_object(request, Action::GetObjectRetention) {
        if let Some(retention) = lock.retention {
            reply.header(HeaderName::from_static(MODE), mode_name(retention.mode))?;
            reply.header(HeaderName::from_static(RETAIN_UNTIL), &iso_8601(retention.until_ms))?;
        }
        if let Some(hold) = lock.event_hold {
            reply.header(HeaderName::from_static(EVENT_HOLD), on_or_off(hold.on))?;
            let (name, count) = match hold.period {
                None => return answer_legal_hold(reply, request, lock),
                Some(Period::Days(days)) => (EVENT_HOLD_DAYS, days),
                Some(Period::Years(years)) => (EVENT_HOLD_YEARS, years),
            };
            reply.headers.insert(HeaderName::from_static(name), count.into());
        }
    }
    answer_legal_hold(reply, request, lock)
}

fn answer_legal_hold(reply: &mut Reply, request: &Request, lock: &ObjectLock) -> Result<(), Refusal> {
    match lock.legal_hold {
        Some(on) if may_on_object(request, Action::GetObjectLegalHold) => reply.header(HeaderName::from_static(LEGAL_HOLD), on_or_off(on)),
        _ => Ok(()),
    }
}

/// `ON` or `OFF`
pub(crate) fn is_on(status: &str) -> Option<bool> {
    match status {
        "ON" => Some(true),
        "OFF" => Some(false),
        _ => None,
    }
}

pub(crate) fn on_or_off(on: bool) -> &'static str {
    if on { "ON" } else { "OFF" }
}

/// `GOVERNANCE` or `COMPLIANCE`
pub(crate) fn mode_of(name: &str) -> Option<RetentionMode> {
    match name {
        "GOVERNANCE" => Some(RetentionMode::Governance),
        "COMPLIANCE" => Some(RetentionMode::Compliance),
        _ => None,
    }
}

pub(crate) fn mode_name(mode: RetentionMode) -> &'static str {
    match mode {
        RetentionMode::Governance => "GOVERNANCE",
        RetentionMode::Compliance => "COMPLIANCE",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::request::tests::request;

    fn lock(headers: &[(&'static str, &str)]) -> Result<ObjectLock, Refusal> {
        given(&request("", headers).headers)
    }

    #[test]
    fn the_headers_of_a_lock_are_read() {
        let given = lock(&[
            (MODE, "COMPLIANCE"),
            (RETAIN_UNTIL, "2030-01-01T00:00:00.000Z"),
            (LEGAL_HOLD, "OFF"),
            (EVENT_HOLD, "ON"),
            (EVENT_HOLD_YEARS, "7"),
        ]);
        let expected = ObjectLock {
            retention: Some(Retention { mode: RetentionMode::Compliance, until_ms: 1_893_456_000_000 }),
            legal_hold: Some(false),
            event_hold: Some(EventHold { on: true, period: Some(Period::Years(7)) }),
        };
        assert_eq!(given.unwrap(), expected);
        assert!(lock(&[]).unwrap().is_empty());
    }

    #[test]
    fn conditions_see_when_a_retention_ends_and_how_many_days_have_begun_until_then() {
        use strongroom_access::{Decision, Identity, PolicySet, SecretKey};
        let now = 1_893_456_000_000;
        let seen = |change: RetentionChange, condition: &str| {
            let document = format!(
                r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {condition}}}}}"#
            );
            let policies = PolicySet::from_config(&[] as &[&str], Some(&document)).unwrap();
            let user = Identity::user("user", "user-key", SecretKey::new("not a secret".to_owned()).unwrap(), policies).unwrap();
            let conditions = Said::from(&change).in_conditions(Conditions::new(true), now);
            user.may_in(None, None, Action::PutObjectRetention, "arn:aws:s3:::b/k", &conditions) == Decision::Allow
        };
        let until = |until_ms| RetentionChange { mode: Some(RetentionMode::Governance), until_ms: Some(until_ms), event_hold: None };
        let held = |on, period| RetentionChange { mode: None, until_ms: None, event_hold: Some(EventHold { on, period }) };
        for (change, days) in [
            (until(now + 1), Some(1)),
            (until(now + DAY_MS), Some(1)),
            (until(now + DAY_MS + 1), Some(2)),
            (until(now), Some(0)),
            (until(now - 1), Some(0)),
            (until(now - DAY_MS), Some(-1)),
            (until(i64::MIN), Some(i64::MIN / DAY_MS)),
            (held(true, Some(Period::Days(30))), Some(30)),
            (RetentionChange { event_hold: held(true, Some(Period::Days(30))).event_hold, ..until(now + 40 * DAY_MS) }, Some(40)),
            (RetentionChange { event_hold: held(true, Some(Period::Days(50))).event_hold, ..until(now + 40 * DAY_MS) }, Some(50)),
            (held(true, None), None),
            (held(false, None), None),
            (RetentionChange::default(), None),
        ] {
            let number = days.map_or("0".to_owned(), |days| days.to_string());
            let equals = format!(r#"{{"NumericEquals": {{"s3:object-lock-remaining-retention-days": "{number}"}}}}"#);
            assert_eq!(seen(change, &equals), days.is_some(), "{change:?}");
            let absent = r#"{"Null": {"s3:object-lock-retain-until-date": true, "s3:object-lock-remaining-retention-days": true}}"#;
            assert_eq!(seen(change, absent), days.is_none(), "{change:?}");
        }
        assert!(seen(until(now + 999), r#"{"DateEquals": {"s3:object-lock-retain-until-date": "2030-01-01T00:00:00Z"}}"#));
    }

    #[test]
    fn half_a_lock_and_unknown_words_are_invalid() {
        let until = (RETAIN_UNTIL, "2030-01-01T00:00:00Z");
        for headers in [
            &[(MODE, "GOVERNANCE")][..],
            &[until],
            &[(MODE, "governance"), until],
            &[(MODE, "GOVERNANCE"), (RETAIN_UNTIL, "1 January 2030")],
            &[(LEGAL_HOLD, "on")],
            &[(EVENT_HOLD, "YES")],
            &[(EVENT_HOLD_DAYS, "1")],
            &[(EVENT_HOLD, "ON"), (EVENT_HOLD_DAYS, "-1")],
            &[(EVENT_HOLD, "ON"), (EVENT_HOLD_DAYS, "1"), (EVENT_HOLD_YEARS, "1")],
        ] {
            assert!(matches!(lock(headers), Err(Refusal::InvalidArgument(_))), "{headers:?}");
        }
    }
}
