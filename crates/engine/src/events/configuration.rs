//! The notification configuration of a bucket (S3 `PutBucketNotificationConfiguration`), and what S3 allows in it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{EventName, Targets};
use crate::Error;

const MAX_CONFIGURATIONS: usize = 100;
/// In characters.
const MAX_ID: usize = 255;
/// In bytes.
const MAX_VALUE: usize = 1024;

/// Which events of a bucket go where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notifications {
    /// In the order in which they were given.
    pub configurations: Vec<Notification>,
}

/// The element that a configuration stands in. All of them mean the same here: the ARN says what the target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotificationKind {
    /// `QueueConfiguration`
    Queue,
    /// `TopicConfiguration`
    Topic,
    /// `CloudFunctionConfiguration`
    CloudFunction,
}

/// Events that go to one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// Empty where the client gave none, until the configuration is put.
    pub id: String,
    /// Where it stands.
    pub kind: NotificationKind,
    /// As it was given.
    pub arn: String,
    /// The name of the target.
    #[serde(default)]
    pub target: String,
    /// As they were given, such as `s3:ObjectCreated:*`.
    pub events: Vec<String>,
    /// Which keys it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filter: Vec<FilterRule>,
}

/// A rule of a filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterRule {
    /// The name of the end, as it was given: clients compare it with what they gave.
    pub name: String,
    /// Which end of the key it is about.
    pub end: FilterEnd,
    /// What stands there.
    pub value: String,
}

/// An end of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FilterEnd {
    /// The beginning.
    Prefix,
    /// The end.
    Suffix,
}

impl Notifications {
    /// The configurations, each with an id and its target, if S3 allows them and the bucket may use their targets.
    pub(super) fn checked(mut self, targets: &Targets, bucket: &str) -> Result<Self, Error> {
        if self.configurations.len() > MAX_CONFIGURATIONS {
            return Err(invalid(format!("A bucket has at the most {MAX_CONFIGURATIONS} notification configurations.")));
        }
        let mut ids = BTreeSet::new();
        for configuration in &mut self.configurations {
            configuration.check()?;
            configuration.target.clone_from(&targets.of_arn(&configuration.arn, bucket)?.name);
            if configuration.id.is_empty() {
                configuration.id = hex::encode(strongroom_seal::random_array::<16>());
            }
            if !ids.insert(configuration.id.clone()) {
                return Err(invalid(format!("Configuration ids must be unique, and \"{}\" is given twice.", configuration.id)));
            }
        }
        // Once for each: there are five thousand pairs.
        let masks: Vec<u32> = self.configurations.iter().map(Notification::mask).collect();
        for (at, one) in self.configurations.iter().enumerate() {
            let behind = self.configurations.iter().zip(&masks).skip(at + 1);
            let overlapping = behind.filter(|(_, mask)| masks[at] & **mask != 0).find(|(other, _)| one.may_share_key(other));
            if let Some((other, _)) = overlapping {
                return Err(invalid(format!(
                    "Configurations overlap. Configurations on the same bucket cannot share a common event type: \"{}\" and \"{}\" do, for keys \
                     that match the filters of both.",
                    one.id, other.id
                )));
            }
        }
        Ok(self)
    }

    /// The configuration that an event is for. There is one at the most, since none overlap.
    pub(super) fn of_event(&self, event: EventName, key: &str) -> Option<&Notification> {
        self.configurations.iter().find(|configuration| configuration.has_key(key) && configuration.has_event(event))
    }
}

impl Notification {
    fn check(&self) -> Result<(), Error> {
        if self.id.chars().count() > MAX_ID {
            return Err(invalid(format!("The id of a notification configuration has at the most {MAX_ID} characters.")));
        }
        if self.events.is_empty() {
            return Err(Error::MalformedXml("a notification configuration names at least one Event".into()));
        }
        if let Some(unknown) = self.events.iter().find(|event| EventName::matching(event).is_empty()) {
            return Err(invalid(format!(
                "The event '{unknown}' is not supported for notifications; docs/notifications.md lists those that are."
            )));
        }
        for end in [FilterEnd::Prefix, FilterEnd::Suffix] {
            if self.filter.iter().filter(|rule| rule.end == end).count() > 1 {
                return Err(invalid("Cannot specify more than one prefix rule in a filter, nor more than one suffix rule.".to_owned()));
            }
        }
        match self.filter.iter().find(|rule| rule.value.len() > MAX_VALUE) {
            Some(_) => Err(invalid(format!("The value of a filter rule has at the most {MAX_VALUE} bytes."))),
            None => Ok(()),
        }
    }

    fn has_event(&self, event: EventName) -> bool {
        self.events.iter().any(|pattern| event.is_meant_by(pattern))
    }

    /// A bit for each event that it is about.
    fn mask(&self) -> u32 {
        EventName::ALL.iter().enumerate().filter(|(_, event)| self.has_event(**event)).fold(0, |mask, (bit, _)| mask | 1 << bit)
    }

    fn value(&self, end: FilterEnd) -> &str {
        self.filter.iter().find(|rule| rule.end == end).map_or("", |rule| &rule.value)
    }

    fn has_key(&self, key: &str) -> bool {
        key.starts_with(self.value(FilterEnd::Prefix)) && key.ends_with(self.value(FilterEnd::Suffix))
    }

    /// Whether there may be a key that matches the filters of both.
    fn may_share_key(&self, other: &Self) -> bool {
        let (one, two) = (self.value(FilterEnd::Prefix), other.value(FilterEnd::Prefix));
        let prefixes = one.starts_with(two) || two.starts_with(one);
        let (one, two) = (self.value(FilterEnd::Suffix), other.value(FilterEnd::Suffix));
        let suffixes = one.ends_with(two) || two.ends_with(one);
        prefixes && suffixes
    }
}

fn invalid(what: String) -> Error {
    Error::InvalidArgument(what)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::events::{NotificationOptions, NotificationTarget};

    fn targets() -> Targets {
        let target = NotificationTarget { name: "hook".to_owned(), buckets: vec!["*".to_owned()], max_queued: 1, max_dead: 1 };
        Targets::new(&NotificationOptions { region: String::new(), targets: vec![target] })
    }

    fn of(id: &str, events: &[&str], prefix: &str, suffix: &str) -> Notification {
        let rule = |end, value: &str| FilterRule { name: String::new(), end, value: value.to_owned() };
        let filter = [rule(FilterEnd::Prefix, prefix), rule(FilterEnd::Suffix, suffix)];
        Notification {
            id: id.to_owned(),
            kind: NotificationKind::Queue,
            arn: "arn:strongroom:sqs::hook:webhook".to_owned(),
            target: String::new(),
            events: events.iter().map(|event| (*event).to_owned()).collect(),
            filter: filter.into_iter().filter(|rule| !rule.value.is_empty()).collect(),
        }
    }

    fn checked(configurations: Vec<Notification>) -> Result<Notifications, String> {
        Notifications { configurations }.checked(&targets(), "b").map_err(|error| error.to_string())
    }

    #[test]
    fn an_event_goes_where_name_prefix_and_suffix_say() {
        let all = checked(vec![
            of("a", &["s3:ObjectCreated:*"], "logs/", ".gz"),
            of("b", &["s3:ObjectCreated:*"], "pictures/", ""),
            of("c", &["s3:ObjectRemoved:Delete"], "", ""),
        ])
        .unwrap();
        let id = |event, key| all.of_event(event, key).map(|found| found.id.as_str());
        assert_eq!(id(EventName::ObjectCreatedPut, "logs/1.gz"), Some("a"));
        assert_eq!(id(EventName::ObjectCreatedPut, "logs/1.txt"), None);
        assert_eq!(id(EventName::ObjectCreatedCopy, "pictures/x"), Some("b"));
        assert_eq!(id(EventName::ObjectRemovedDelete, "logs/1.txt"), Some("c"));
        assert_eq!(id(EventName::ObjectRemovedDeleteMarkerCreated, "logs/1.txt"), None);
        assert_eq!(id(EventName::TestEvent, "logs/1.gz"), None);
    }

    #[test]
    fn configurations_overlap_where_an_event_of_a_key_may_be_for_both() {
        let (put, created) = (["s3:ObjectCreated:Put"].as_slice(), ["s3:ObjectCreated:*"].as_slice());
        for (one, two, overlap) in [
            (of("1", put, "", ""), of("2", created, "", ""), true),
            (of("1", put, "a", ""), of("2", created, "ab", ""), true),
            (of("1", put, "a", ".x"), of("2", created, "", ".y"), false),
            (of("1", put, "a", ""), of("2", created, "b", ""), false),
            (of("1", put, "a", ".jpg"), of("2", put, "a", "g"), true),
            (of("1", put, "", ""), of("2", &["s3:ObjectCreated:Copy"], "", ""), false),
        ] {
            let found = checked(vec![one.clone(), two.clone()]);
            assert_eq!(found.is_err_and(|error| error.starts_with("Configurations overlap.")), overlap, "{one:?} {two:?}");
        }
    }

    #[test]
    fn what_s3_refuses_is_refused() {
        let two_prefixes = Notification {
            filter: vec![FilterRule { name: String::new(), end: FilterEnd::Prefix, value: String::new() }; 2],
            ..of("1", &["s3:ObjectCreated:*"], "", "")
        };
        let many = (0..101).map(|number| of(&number.to_string(), &["s3:ObjectCreated:Put"], &format!("{number:03}"), "")).collect();
        for (refused, says) in [
            (vec![of("1", &[], "", "")], "at least one Event"),
            (vec![of("1", &["s3:ObjectAccessed:*"], "", "")], "The event 's3:ObjectAccessed:*' is not supported"),
            (vec![of(&"x".repeat(256), &["s3:ObjectCreated:*"], "", "")], "255 characters"),
            (vec![of("1", &["s3:ObjectCreated:*"], &"x".repeat(1025), "")], "1024 bytes"),
            (vec![of("1", &["s3:ObjectCreated:Put"], "a", ""), of("1", &["s3:ObjectCreated:Put"], "b", "")], "given twice"),
            (vec![two_prefixes], "more than one prefix rule"),
            (many, "at the most 100"),
        ] {
            let error = checked(refused).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        assert_eq!(checked(vec![of("", &["s3:ObjectCreated:*"], "", "")]).unwrap().configurations[0].id.len(), 32);
        assert_eq!(checked(Vec::new()).unwrap(), Notifications::default());
    }
}
