#![allow(clippy::unwrap_used)]
use super::*;

const NOW: i64 = 1_700_000_000_000;
const DAY: i64 = 86_400_000;

fn retained(mode: RetentionMode, days: i64) -> Locked {
    let retention = Some(Retention { mode, until_ms: NOW + days * DAY }.into());
    Locked { lock: catalog::Lock { retention, ..catalog::Lock::default() }, ..Locked::default() }
}

fn until(mode: RetentionMode, days: i64) -> RetentionChange {
    RetentionChange { mode: Some(mode), until_ms: Some(NOW + days * DAY), event_hold: None }
}

fn hold(on: bool, period: Option<Period>) -> RetentionChange {
    RetentionChange { event_hold: Some(EventHold { on, period }), ..RetentionChange::default() }
}

fn change(locked: Locked, change: &RetentionChange, bypass: bool) -> Result<Locked, Error> {
    locked.changed(change, &DefaultLock::default(), bypass, NOW)
}

use RetentionMode::{Compliance, Governance};

#[test]
fn a_retention_is_extended_by_anyone_and_weakened_by_bypass_of_governance_alone() {
    for (present, wanted, plainly, by_bypass) in [
        (None, until(Governance, 1), true, true),
        (None, until(Compliance, 1), true, true),
        (None, RetentionChange::default(), true, true),
        (Some((Governance, 5)), until(Governance, 5), true, true),
        (Some((Governance, 5)), until(Governance, 6), true, true),
        (Some((Governance, 5)), until(Governance, 4), false, true),
        (Some((Governance, 5)), until(Compliance, 6), false, true),
        (Some((Governance, 5)), RetentionChange::default(), false, true),
        (Some((Compliance, 5)), until(Compliance, 6), true, true),
        (Some((Compliance, 5)), until(Compliance, 4), false, false),
        (Some((Compliance, 5)), until(Governance, 6), false, false),
        (Some((Compliance, 5)), RetentionChange::default(), false, false),
        // What has ended binds nobody.
        (Some((Compliance, 0)), until(Governance, 1), true, true),
        (Some((Compliance, -1)), RetentionChange::default(), true, true),
    ] {
        let locked = present.map_or_else(Locked::default, |(mode, days)| retained(mode, days));
        for (bypass, allowed) in [(false, plainly), (true, by_bypass)] {
            let result = change(locked, &wanted, bypass);
            match (allowed, result) {
                (true, Ok(next)) => {
                    let expected = wanted.mode.zip(wanted.until_ms).map(|(mode, until_ms)| Retention { mode, until_ms });
                    assert_eq!(next.shown().retention, expected, "{present:?} {wanted:?}");
                }
                (false, Err(Error::ObjectLocked)) => {}
                (_, other) => panic!("{present:?} {wanted:?} {bypass}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_retention_that_makes_no_sense_is_refused() {
    assert!(matches!(change(Locked::default(), &until(Governance, 0), false), Err(Error::InvalidArgument(_))));
    for half in [
        RetentionChange { mode: Some(Governance), ..RetentionChange::default() },
        RetentionChange { until_ms: Some(NOW + 1), ..RetentionChange::default() },
        RetentionChange { mode: Some(Governance), ..hold(true, Some(Period::Days(1))) },
    ] {
        assert!(matches!(change(Locked::default(), &half, true), Err(Error::MalformedXml(_))), "{half:?}");
    }
    for wrong in [hold(true, None), hold(false, Some(Period::Days(1)))] {
        assert!(matches!(change(Locked::default(), &wrong, true), Err(Error::InvalidArgument(_))), "{wrong:?}");
    }
    for period in [Period::Days(0), Period::Days(36_501), Period::Years(0), Period::Years(101)] {
        let refused = change(Locked::default(), &hold(true, Some(period)), true);
        assert!(matches!(refused, Err(Error::InvalidRetentionPeriod { .. })), "{period:?}");
    }
}

#[test]
fn a_released_event_hold_leaves_a_retention_that_is_no_shorter_and_no_weaker() {
    let held = |locked, period| change(locked, &hold(true, Some(period)), false).unwrap();
    for (present, mode, expected) in [
        (None, None, (Compliance, 10)),
        (None, Some(Governance), (Governance, 10)),
        (Some((Governance, 5)), None, (Governance, 10)),
        (Some((Governance, 20)), None, (Governance, 20)),
        (Some((Compliance, 5)), None, (Compliance, 10)),
        (Some((Compliance, 20)), Some(Compliance), (Compliance, 20)),
        (Some((Compliance, -1)), None, (Compliance, 10)),
        (Some((Governance, -1)), Some(Compliance), (Compliance, 10)),
    ] {
        let locked = present.map_or_else(Locked::default, |(mode, days)| retained(mode, days));
        let on = held(locked, Period::Days(10));
        assert_eq!(on.shown().event_hold, Some(EventHold { on: true, period: Some(Period::Days(10)) }));
        assert!(on.lock.holds(i64::MAX - 1, true), "nothing but its release ends an event hold");
        let released = change(on, &RetentionChange { mode, ..hold(false, None) }, false).unwrap();
        let (mode, days) = expected;
        let retention = Retention { mode, until_ms: NOW + days * DAY };
        let event_hold = Some(EventHold { on: false, period: None });
        assert_eq!(released.shown(), ObjectLock { retention: Some(retention), legal_hold: None, event_hold }, "{present:?}");
        assert_eq!(change(released, &hold(false, None), false).unwrap(), released, "released once");
    }
    for (present, mode, by_bypass) in
        [((Governance, 5), Compliance, true), ((Compliance, 5), Governance, false), ((Compliance, -1), Governance, false)]
    {
        let on = held(retained(present.0, present.1), Period::Days(10));
        let release = RetentionChange { mode: Some(mode), ..hold(false, None) };
        assert!(matches!(change(on, &release, false), Err(Error::ObjectLocked)), "{present:?}");
        assert_eq!(change(on, &release, true).is_ok(), by_bypass, "{present:?}");
    }
    let on = held(Locked::default(), Period::Days(365));
    assert!(change(on, &hold(true, Some(Period::Years(2))), false).is_ok());
    assert!(matches!(change(on, &hold(true, Some(Period::Days(364))), true), Err(Error::ObjectLocked)), "it is not made shorter");
    assert_eq!(change(on, &hold(true, None), false).unwrap(), on, "its duration stays");
}

#[test]
fn a_new_version_has_the_lock_of_its_request_else_of_its_bucket() {
    let default = DefaultLock { retention: Some((Compliance, Period::Days(3))), event_hold: Some(Period::Years(1)) };
    let by_default = of_new_version(&ObjectLock::default(), Some(&default), NOW).unwrap().shown();
    assert_eq!(by_default.retention, Some(Retention { mode: Compliance, until_ms: NOW + 3 * DAY }));
    assert_eq!(by_default.event_hold, Some(EventHold { on: true, period: Some(Period::Years(1)) }));
    assert_eq!(by_default.legal_hold, None);
    let given = ObjectLock {
        retention: Some(Retention { mode: Governance, until_ms: NOW + 1 }),
        legal_hold: Some(false),
        event_hold: Some(EventHold { on: false, period: None }),
    };
    let locked = of_new_version(&given, Some(&default), NOW).unwrap();
    assert_eq!(locked.shown(), ObjectLock { event_hold: None, ..given });
    assert!(locked.lock.holds(NOW, false) && !locked.lock.holds(NOW, true) && !locked.lock.holds(NOW + 1, false));
    assert_eq!(of_new_version(&ObjectLock::default(), None, NOW).unwrap(), Locked::default());
    let endless = ObjectLock { event_hold: Some(EventHold { on: true, period: None }), ..ObjectLock::default() };
    assert!(matches!(of_new_version(&endless, Some(&DefaultLock::default()), NOW), Err(Error::InvalidArgument(_))), "no hold is dropped");
}

#[test]
fn a_year_is_a_year_of_the_calendar() {
    let on = |year, month, day| {
        let date = time::Date::from_calendar_date(year, time::Month::try_from(month).unwrap(), day).unwrap();
        i64::try_from(date.midnight().assume_utc().unix_timestamp_nanos() / 1_000_000).unwrap()
    };
    assert_eq!(Period::Years(7).after(on(2026, 11, 28)), on(2033, 11, 28));
    assert_eq!(Period::Years(1).after(on(2028, 2, 29)), on(2029, 3, 1));
    assert_eq!(Period::Years(4).after(on(2028, 2, 29)), on(2032, 2, 29));
    assert_eq!(Period::Days(365).after(on(2027, 3, 1)), on(2028, 2, 29));
    assert_eq!(Period::Years(100).after(i64::MAX), on(2070, 1, 1), "a date that is none counts as 1970");
    assert_eq!(Period::Days(1).after(END_OF_CALENDAR_MS), END_OF_CALENDAR_MS);
}
