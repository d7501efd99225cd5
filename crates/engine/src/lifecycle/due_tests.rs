#![allow(clippy::unwrap_used)]
use super::{
    Expiration, LifecycleFilter, LifecycleOptions, LifecycleRule, NoncurrentExpiration,
    due::{Days, Subject, of_current, of_marker_alone, of_noncurrent, of_upload},
};

const DAY: i64 = 86_400_000;
/// 2014-01-15T10:30:00Z
const MADE: i64 = 1_389_781_800_000;

fn days() -> Days {
    Days::of(&LifecycleOptions::default())
}

fn rule(id: &str, filter: LifecycleFilter) -> LifecycleRule {
    LifecycleRule { id: id.into(), enabled: true, filter, expiration: None, noncurrent: None, abort_days: None }
}

fn prefix(prefix: &str) -> LifecycleFilter {
    LifecycleFilter { prefix: Some(prefix.into()), ..LifecycleFilter::default() }
}

fn object(key: &str) -> Subject<'_> {
    Subject { key, size_bytes: 10, tags: &[] }
}

/// The example of S3's guide: made on the 15th at 10:30, three days, so it expires on the 19th at midnight.
#[test]
fn days_are_rounded_up_to_the_next_midnight() {
    assert_eq!(days().after(MADE, 3), 1_390_089_600_000);
    assert_eq!(days().after(1_390_089_600_000, 1), 1_390_176_000_000, "a midnight stays one");
    let short = LifecycleOptions { day: std::time::Duration::from_secs(10), ..LifecycleOptions::default() };
    assert_eq!(Days::of(&short).after(MADE + 1, 2), MADE + 20_001);
}

#[test]
fn the_rule_that_is_due_first_is_told() {
    let expiring = |id: &str, filter, count| LifecycleRule { expiration: Some(Expiration::Days(count)), ..rule(id, filter) };
    let mut rules = vec![expiring("late", prefix(""), 9), expiring("early", prefix("a/"), 2), expiring("other", prefix("b/"), 1)];
    assert_eq!(of_current(&rules, days(), object("a/b"), MADE).unwrap().rule_id, "early");
    rules[1].enabled = false;
    assert_eq!(of_current(&rules, days(), object("a/b"), MADE).unwrap().rule_id, "late");
    let dated = LifecycleRule { expiration: Some(Expiration::Date(5 * DAY)), ..rule("date", prefix("")) };
    assert_eq!(of_current(&[dated], days(), object("a"), MADE).unwrap().at_ms, 5 * DAY);
}

#[test]
fn a_filter_needs_all_that_it_names() {
    let tags = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())];
    let filter = LifecycleFilter { tags: tags[..1].to_vec(), larger_than: Some(9), smaller_than: Some(11), ..prefix("x") };
    let subject = Subject { key: "x", size_bytes: 10, tags: &tags };
    assert!(filter.has(subject));
    for other in [
        Subject { key: "y", ..subject },
        Subject { size_bytes: 9, ..subject },
        Subject { size_bytes: 11, ..subject },
        Subject { tags: &tags[1..], ..subject },
    ] {
        assert!(!filter.has(other), "{other:?}");
    }
}

#[test]
fn a_noncurrent_version_goes_by_its_age_and_the_number_of_newer_ones() {
    let noncurrent = Some(NoncurrentExpiration { days: 2, newer_kept: Some(3) });
    let rules = [LifecycleRule { noncurrent, ..rule("a", prefix("")) }];
    let goes = |newer, now| of_noncurrent(&rules, days(), object("k"), 0, newer, now);
    assert!(goes(3, 2 * DAY));
    assert!(!goes(2, 2 * DAY));
    assert!(!goes(3, 2 * DAY - 1));
}

#[test]
fn a_marker_alone_goes_at_once_or_when_it_is_old_enough() {
    let marked = |expiration| [LifecycleRule { expiration: Some(expiration), ..rule("a", prefix("")) }];
    assert!(of_marker_alone(&marked(Expiration::MarkersAlone(true)), days(), "k", 5, 5));
    assert!(!of_marker_alone(&marked(Expiration::MarkersAlone(false)), days(), "k", 0, 9 * DAY));
    assert!(!of_marker_alone(&marked(Expiration::Days(1)), days(), "k", 0, DAY - 1));
    assert!(of_marker_alone(&marked(Expiration::Days(1)), days(), "k", 0, DAY));
    let mut tagged = marked(Expiration::Days(1));
    tagged[0].filter.tags = vec![("a".into(), "b".into())];
    assert!(!of_marker_alone(&tagged, days(), "k", 0, DAY));
}

#[test]
fn an_upload_is_aborted_by_the_shortest_rule_for_its_key() {
    let aborting = |id: &str, filter, count| LifecycleRule { abort_days: Some(count), ..rule(id, filter) };
    let rules = [aborting("long", prefix(""), 7), aborting("short", prefix("a"), 1)];
    assert_eq!(of_upload(&rules, days(), "a", 0).unwrap().at_ms, DAY);
    assert_eq!(of_upload(&rules, days(), "b", 0).unwrap().rule_id, "long");
    assert_eq!(of_upload(&rules[1..], days(), "b", 0), None);
}
