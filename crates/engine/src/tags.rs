//! Tags of buckets and objects: what S3 allows.

use std::collections::BTreeSet;

use crate::Error;

/// A key and a value.
pub type Tag = (String, String);

/// The most tags of a bucket.
pub(crate) const MAX_BUCKET_TAGS: usize = 50;
/// The most tags of an object.
pub(crate) const MAX_OBJECT_TAGS: usize = 10;
/// The longest key, in characters.
const MAX_KEY: usize = 128;
/// The longest value, in characters.
const MAX_VALUE: usize = 256;

/// Whether S3 allows these tags.
pub(crate) fn check(tags: &[Tag], at_most: usize) -> Result<(), Error> {
    if tags.len() > at_most {
        return Err(Error::TooManyTags { count: tags.len(), at_most });
    }
    let mut keys = BTreeSet::new();
    for (key, value) in tags {
        if key.is_empty() || key.chars().count() > MAX_KEY {
            return Err(Error::InvalidTag(format!("The TagKey you have provided is invalid: it needs 1 to {MAX_KEY} characters.")));
        }
        if value.chars().count() > MAX_VALUE {
            return Err(Error::InvalidTag(format!("The TagValue you have provided is invalid: it may have {MAX_VALUE} characters.")));
        }
        if key.starts_with("aws:") {
            return Err(Error::InvalidTag("System tags cannot be added/updated by requester: no key begins with aws:.".into()));
        }
        if !key.chars().chain(value.chars()).all(is_allowed) {
            return Err(Error::InvalidTag("Tags have letters, digits, spaces and _ . : / = + - @ only.".into()));
        }
        if !keys.insert(key) {
            return Err(Error::InvalidTag("Cannot provide multiple Tags with the same key.".into()));
        }
    }
    Ok(())
}

/// The tags of an object are a set: they are kept, and answered, in the order of their keys.
pub(crate) fn in_order(mut tags: Vec<Tag>) -> Vec<Tag> {
    tags.sort();
    tags
}

fn is_allowed(character: char) -> bool {
    character.is_alphanumeric() || character.is_whitespace() || "_.:/=+-@".contains(character)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn tag(key: &str, value: &str) -> Tag {
        (key.into(), value.into())
    }

    #[test]
    fn what_s3_allows_is_allowed() {
        check(&[], 0).unwrap();
        check(&[tag("Größe", ""), tag("a b", "_.:/=+-@"), tag(&"é".repeat(128), &"é".repeat(256))], 3).unwrap();
        check(&[tag("Key", "1"), tag("key", "2"), tag("awsome", "3")], 3).unwrap();
    }

    #[test]
    fn what_s3_does_not_allow_is_an_invalid_tag() {
        let twice = [tag("key", "1"), tag("key", "2")];
        for tags in [
            &twice[..],
            &[tag("", "value")],
            &[tag(&"k".repeat(129), "")],
            &[tag("key", &"v".repeat(257))],
            &[tag("aws:key", "")],
            &[tag("key", "a<b")],
            &[tag("key\0", "")],
        ] {
            assert!(matches!(check(tags, 2), Err(Error::InvalidTag(_))), "{tags:?}");
        }
    }

    #[test]
    fn there_may_be_so_many_tags_and_no_more() {
        let tags: Vec<_> = ["1", "2", "3"].map(|key| tag(key, "")).into();
        check(&tags, 3).unwrap();
        assert!(matches!(check(&tags, 2), Err(Error::TooManyTags { count: 3, at_most: 2 })));
    }
}
