//! Tags of entities.

use serde::{Deserialize, Serialize};

use crate::IamError;

const MAX_TAGS: usize = 50;
const MAX_KEY_CHARS: usize = 128;
const MAX_VALUE_CHARS: usize = 256;

/// Name and value.
pub type Tag = (String, String);

/// The tags of an entity: up to 50. Names that differ in case only are the same one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tags(Vec<Tag>);

impl Tags {
    /// The tags, if IAM allows them.
    pub fn new(tags: Vec<Tag>) -> Result<Self, IamError> {
        let mut checked = Self::default();
        for tag in tags {
            if checked.get(&tag.0).is_some() {
                return Err(IamError::InvalidInput("Duplicate tag keys found. Please note that Tag keys are case insensitive.".to_owned()));
            }
            checked.set(vec![tag])?;
        }
        Ok(checked)
    }

    /// In the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = &Tag> {
        self.0.iter()
    }

    /// The value of a tag.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other.eq_ignore_ascii_case(key)).map(|(_, value)| value.as_str())
    }

    /// Adds tags, and replaces those that are there.
    pub(crate) fn set(&mut self, tags: Vec<Tag>) -> Result<(), IamError> {
        for (key, value) in tags {
            check(&key, &value)?;
            match self.0.iter_mut().find(|(other, _)| other.eq_ignore_ascii_case(&key)) {
                Some(present) => *present = (key, value),
                None => self.0.push((key, value)),
            }
        }
        if self.0.len() > MAX_TAGS {
            return Err(IamError::LimitExceeded(format!("Cannot exceed quota for Tags: {MAX_TAGS}")));
        }
        Ok(())
    }

    /// Removes tags. Those that are not there are none.
    pub(crate) fn remove(&mut self, keys: &[String]) {
        self.0.retain(|(key, _)| !keys.iter().any(|other| other.eq_ignore_ascii_case(key)));
    }
}

fn check(key: &str, value: &str) -> Result<(), IamError> {
    let allowed = |text: &str| text.chars().all(|one| one.is_alphanumeric() || one == ' ' || "_.:/=+-@".contains(one));
    let (key_chars, value_chars) = (key.chars().count(), value.chars().count());
    if !(1..=MAX_KEY_CHARS).contains(&key_chars) || value_chars > MAX_VALUE_CHARS {
        return Err(IamError::validation(format!(
            "The key of a tag has 1 to {MAX_KEY_CHARS} characters, its value up to {MAX_VALUE_CHARS}."
        )));
    }
    if !allowed(key) || !allowed(value) {
        return Err(IamError::validation("A tag consists of letters, digits, spaces and _.:/=+-@.".to_owned()));
    }
    if key.to_ascii_lowercase().starts_with("aws:") {
        return Err(IamError::InvalidInput("The key of a tag must not begin with aws:.".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn tag(key: &str, value: &str) -> Tag {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn a_tag_replaces_the_one_of_its_name_in_whatever_case() {
        let mut tags = Tags::new(vec![tag("Team", "red"), tag("cost", "1")]).unwrap();
        tags.set(vec![tag("team", "blue")]).unwrap();
        assert_eq!(tags.iter().cloned().collect::<Vec<_>>(), [tag("team", "blue"), tag("cost", "1")]);
        tags.remove(&["COST".to_owned(), "other".to_owned()]);
        assert_eq!(tags.iter().count(), 1);
        assert!(matches!(Tags::new(vec![tag("a", "1"), tag("A", "2")]), Err(IamError::InvalidInput(_))));
    }

    #[test]
    fn tags_are_bounded_in_number_and_length() {
        let many = |count: usize| Tags::new((0..count).map(|number| tag(&number.to_string(), "")).collect());
        assert!(many(50).is_ok());
        assert!(matches!(many(51), Err(IamError::LimitExceeded(_))));
        for (key, value) in [("", "v".to_owned()), (&*"k".repeat(129), String::new()), ("k", "v".repeat(257)), ("k!", String::new())] {
            assert!(matches!(Tags::new(vec![tag(key, &value)]), Err(IamError::Validation(_))), "{key} {value}");
        }
        assert!(matches!(Tags::new(vec![tag("aws:x", "")]), Err(IamError::InvalidInput(_))));
    }
}
