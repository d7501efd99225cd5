//! The rules of a bucket (S3 `PutBucketLifecycleConfiguration`), and what S3 allows in them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    Error,
    tags::{self, Tag},
};

const MAX_RULES: usize = 1000;
/// In characters.
const MAX_ID: usize = 255;
/// In bytes.
const MAX_PREFIX: usize = 1024;
const MAX_NEWER_VERSIONS: i64 = 100;
/// In milliseconds: dates are days, and those begin at midnight UTC.
const REAL_DAY_MS: i64 = 86_400_000;

/// The rules of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifecycle {
    /// In the order in which they were given.
    pub rules: Vec<LifecycleRule>,
    /// `x-amz-transition-default-minimum-object-size`: kept and answered. No object ever changes its class here.
    #[serde(default)]
    pub transition_minimum: TransitionMinimum,
}

/// `x-amz-transition-default-minimum-object-size`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransitionMinimum {
    /// `all_storage_classes_128K`
    #[default]
    AllStorageClasses128K,
    /// `varies_by_storage_class`
    VariesByStorageClass,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecycleRule {
    /// Empty where the client gave none, until the rules are put.
    pub id: String,
    /// `Status`
    pub enabled: bool,
    /// Which objects it is about.
    pub filter: LifecycleFilter,
    /// What becomes of current versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration: Option<Expiration>,
    /// What becomes of noncurrent versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noncurrent: Option<NoncurrentExpiration>,
    /// `AbortIncompleteMultipartUpload`: so many days after its initiation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort_days: Option<i64>,
}

/// Where a rule says its prefix, so that it is shown as it was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RulePrefix {
    /// In the rule itself, as the first version of the API had it.
    InRule,
    /// In `Filter`, with nothing else.
    #[default]
    InFilter,
    /// In `And`.
    InAnd,
}

/// Which objects a rule is about: those for which all of it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LifecycleFilter {
    /// Where the client said it.
    pub form: RulePrefix,
    /// Keys that begin so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Versions that have all of these tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// `ObjectSizeGreaterThan`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub larger_than: Option<i64>,
    /// `ObjectSizeLessThan`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smaller_than: Option<i64>,
}

/// When current versions expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expiration {
    /// So many days after they were written.
    Days(i64),
    /// From this moment on, in milliseconds since 1970.
    Date(i64),
    /// Whether delete markers go that have no versions below them.
    MarkersAlone(bool),
}

/// When noncurrent versions go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoncurrentExpiration {
    /// So many days after a newer version took their place.
    pub days: i64,
    /// So many of them are kept, the newest first, however old they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newer_kept: Option<i64>,
}

impl Lifecycle {
    /// The rules, each with an id, if S3 allows them.
    pub(super) fn checked(mut self) -> Result<Self, Error> {
        if self.rules.is_empty() {
            return Err(Error::MalformedXml("at least one Rule is needed; DeleteBucketLifecycle removes all of them".into()));
        }
        if self.rules.len() > MAX_RULES {
            return Err(invalid(format!("The number of lifecycle rules must not exceed the allowed limit of {MAX_RULES} rules.")));
        }
        let mut ids = BTreeSet::new();
        for rule in &mut self.rules {
            rule.check()?;
            if rule.id.is_empty() {
                rule.id = hex::encode(strongroom_seal::random_array::<16>());
            }
            if !ids.insert(rule.id.clone()) {
                return Err(Error::InvalidArgument("Rule ID must be unique. Found same ID for more than one rule".into()));
            }
        }
        Ok(self)
    }
}

impl LifecycleRule {
    fn check(&self) -> Result<(), Error> {
        if self.id.chars().count() > MAX_ID {
            return Err(Error::InvalidArgument(format!("ID length should not exceed allowed limit of {MAX_ID}")));
        }
        if self.expiration.is_none() && self.noncurrent.is_none() && self.abort_days.is_none() {
            return Err(invalid("At least one action needs to be specified in a rule.".into()));
        }
        self.filter.check()?;
        self.check_actions()?;
        let markers_alone = matches!(self.expiration, Some(Expiration::MarkersAlone(_)));
        for (is_given, action) in
            [(self.abort_days.is_some(), "AbortIncompleteMultipartUpload"), (markers_alone, "ExpiredObjectDeleteMarker")]
        {
            if is_given && !self.filter.tags.is_empty() {
                return Err(invalid(format!("{action} cannot be specified with Tags.")));
            }
            if is_given && (self.filter.larger_than.is_some() || self.filter.smaller_than.is_some()) {
                return Err(invalid(format!("{action} cannot be specified with Object Size.")));
            }
        }
        Ok(())
    }

    fn check_actions(&self) -> Result<(), Error> {
        let positive = |days: i64, name: &str, action: &str| {
            let message = || Error::InvalidArgument(format!("'{name}' for {action} action must be a positive integer"));
            if (1..=i64::from(i32::MAX)).contains(&days) { Ok(()) } else { Err(message()) }
        };
        match self.expiration {
            Some(Expiration::Days(days)) => positive(days, "Days", "Expiration")?,
            Some(Expiration::Date(at)) if at.rem_euclid(REAL_DAY_MS) != 0 => {
                return Err(Error::InvalidArgument("'Date' must be at midnight GMT".into()));
            }
            _ => {}
        }
        if let Some(noncurrent) = self.noncurrent {
            positive(noncurrent.days, "NoncurrentDays", "NoncurrentVersionExpiration")?;
            if noncurrent.newer_kept.is_some_and(|kept| !(1..=MAX_NEWER_VERSIONS).contains(&kept)) {
                let message = format!("'NewerNoncurrentVersions' must be an integer from 1 to {MAX_NEWER_VERSIONS}");
                return Err(Error::InvalidArgument(message));
            }
        }
        self.abort_days.map_or(Ok(()), |days| positive(days, "DaysAfterInitiation", "AbortIncompleteMultipartUpload"))
    }
}

impl LifecycleFilter {
    fn check(&self) -> Result<(), Error> {
        if self.prefix.as_ref().is_some_and(|prefix| prefix.len() > MAX_PREFIX) {
            return Err(invalid(format!("The maximum size of a prefix is {MAX_PREFIX}.")));
        }
        let keys: BTreeSet<&str> = self.tags.iter().map(|(key, _)| key.as_str()).collect();
        if keys.len() < self.tags.len() {
            return Err(invalid("Duplicate Tag Keys are not allowed.".into()));
        }
        tags::check(&self.tags, tags::MAX_OBJECT_TAGS)?;
        if self.larger_than.is_some_and(|size| size < 0) {
            return Err(invalid("'ObjectSizeGreaterThan' must be at least 0.".into()));
        }
        if self.smaller_than.is_some_and(|size| size < 1) {
            return Err(invalid("'ObjectSizeLessThan' must be at least 1.".into()));
        }
        match (self.larger_than, self.smaller_than) {
            (Some(larger), Some(smaller)) if smaller <= larger => {
                Err(invalid("'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.".into()))
            }
            _ => Ok(()),
        }
    }
}

fn invalid(message: String) -> Error {
    Error::InvalidRequest(message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    pub(crate) fn rule(id: &str) -> LifecycleRule {
        let filter = LifecycleFilter { prefix: Some("logs/".into()), ..LifecycleFilter::default() };
        LifecycleRule { id: id.into(), enabled: true, filter, expiration: Some(Expiration::Days(1)), noncurrent: None, abort_days: None }
    }

    fn check(rules: Vec<LifecycleRule>) -> Result<Lifecycle, Error> {
        Lifecycle { rules, ..Lifecycle::default() }.checked()
    }

    fn refusal(rule: LifecycleRule) -> String {
        match check(vec![rule]).unwrap_err() {
            Error::InvalidArgument(message) => format!("InvalidArgument: {message}"),
            Error::InvalidRequest(message) => format!("InvalidRequest: {message}"),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_rule_without_an_id_gets_one_and_the_others_keep_theirs() {
        let rules = check(vec![rule(""), rule("a"), rule("")]).unwrap().rules;
        assert_eq!((rules[0].id.len(), rules[1].id.as_str()), (32, "a"));
        assert_ne!(rules[0].id, rules[2].id);
    }

    #[test]
    fn ids_are_unique_and_at_the_most_255_long() {
        assert!(check(vec![rule(&"ü".repeat(255))]).is_ok());
        assert_eq!(refusal(rule(&"i".repeat(256))), "InvalidArgument: ID length should not exceed allowed limit of 255");
        assert!(matches!(check(vec![rule("a"), rule("a")]), Err(Error::InvalidArgument(text)) if text.contains("unique")));
    }

    #[test]
    fn there_are_1_to_1000_rules() {
        assert!(matches!(check(Vec::new()), Err(Error::MalformedXml(_))));
        assert_eq!(check(vec![rule(""); 1000]).unwrap().rules.len(), 1000);
        assert!(matches!(check(vec![rule(""); 1001]), Err(Error::InvalidRequest(_))));
    }

    #[test]
    fn a_rule_does_something() {
        let idle = LifecycleRule { expiration: None, ..rule("a") };
        assert_eq!(refusal(idle), "InvalidRequest: At least one action needs to be specified in a rule.");
    }

    #[test]
    fn numbers_of_days_are_positive_and_dates_are_midnights() {
        for days in [0, -1, i64::from(i32::MAX) + 1] {
            let expiring = LifecycleRule { expiration: Some(Expiration::Days(days)), ..rule("a") };
            assert_eq!(refusal(expiring), "InvalidArgument: 'Days' for Expiration action must be a positive integer");
            let noncurrent = Some(NoncurrentExpiration { days, newer_kept: None });
            assert!(refusal(LifecycleRule { noncurrent, ..rule("a") }).starts_with("InvalidArgument: 'NoncurrentDays'"));
            assert!(refusal(LifecycleRule { abort_days: Some(days), ..rule("a") }).starts_with("InvalidArgument: 'DaysAfterInitiation'"));
        }
        let on = |at| LifecycleRule { expiration: Some(Expiration::Date(at)), ..rule("a") };
        assert_eq!(refusal(on(1)), "InvalidArgument: 'Date' must be at midnight GMT");
        assert!(check(vec![on(1_893_456_000_000)]).is_ok());
        for kept in [0, 101] {
            let noncurrent = Some(NoncurrentExpiration { days: 1, newer_kept: Some(kept) });
            assert!(refusal(LifecycleRule { noncurrent, ..rule("a") }).starts_with("InvalidArgument: 'NewerNoncurrentVersions'"));
        }
    }

    #[test]
    fn uploads_and_delete_markers_have_neither_tags_nor_sizes() {
        let tagged = LifecycleFilter { tags: vec![("a".into(), "b".into())], ..LifecycleFilter::default() };
        let sized = LifecycleFilter { larger_than: Some(5), ..LifecycleFilter::default() };
        for (filter, what) in [(tagged, "Tags"), (sized, "Object Size")] {
            let aborting = LifecycleRule { filter: filter.clone(), abort_days: Some(1), ..rule("a") };
            assert_eq!(refusal(aborting), format!("InvalidRequest: AbortIncompleteMultipartUpload cannot be specified with {what}."));
            let marking = LifecycleRule { filter, expiration: Some(Expiration::MarkersAlone(true)), ..rule("a") };
            assert_eq!(refusal(marking), format!("InvalidRequest: ExpiredObjectDeleteMarker cannot be specified with {what}."));
        }
    }

    #[test]
    fn a_filter_that_no_object_can_pass_is_refused() {
        let filtered = |larger_than, smaller_than| {
            let filter = LifecycleFilter { larger_than, smaller_than, ..LifecycleFilter::default() };
            check(vec![LifecycleRule { filter, ..rule("a") }]).map(drop)
        };
        for (larger, smaller) in [(Some(5), Some(5)), (Some(-1), None), (None, Some(0))] {
            assert!(matches!(filtered(larger, smaller), Err(Error::InvalidRequest(_))), "{larger:?} {smaller:?}");
        }
        assert!(filtered(Some(0), Some(1)).is_ok());
        let twice = LifecycleFilter { tags: vec![("a".into(), "1".into()), ("a".into(), "2".into())], ..LifecycleFilter::default() };
        assert_eq!(refusal(LifecycleRule { filter: twice, ..rule("a") }), "InvalidRequest: Duplicate Tag Keys are not allowed.");
    }
}
