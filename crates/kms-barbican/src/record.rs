//! What the user metadata of a key's secret says: its later versions, its description, its tags.
//!
//! | row | value |
//! | --- | --- |
//! | `strongroom-description` | the description |
//! | `strongroom-version-<n>-<uuid>` | `claimed`, or `in-force <seconds since 1970>`: the secret `<uuid>` is version n |
//! | `strongroom-version-of` | this secret is no key, but a later version of the one named |
//! | any other that does not begin with `strongroom-` | a tag |

use std::collections::{BTreeMap, BTreeSet};

use strongroom_kms::{KmsError, NewKey, RESERVED_PREFIX};
use time::OffsetDateTime;

use crate::is_uuid;
use crate::metadata::MAX_ROW_CHARS;
use crate::tag_name::{from_row_name, to_row_name};

/// The version that the key's own secret holds.
pub(crate) const FIRST_VERSION: u32 = 1;
/// The row of the description.
pub(crate) const DESCRIPTION: &str = "strongroom-description";
/// The most tags of a key.
const MAX_TAGS: usize = 50;
/// Longest name of a tag in characters.
const MAX_TAG_NAME_CHARS: usize = 128;
const VERSION: &str = "strongroom-version-";
/// Marks a secret as the version of another.
const VERSION_OF: &str = "strongroom-version-of";
const CLAIMED: &str = "claimed";
const IN_FORCE: &str = "in-force ";

/// The metadata of a key, read.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) description: Option<String>,
    pub(crate) tags: BTreeMap<String, Tag>,
    /// The versions in force after the first, by number.
    pub(crate) versions: BTreeMap<u32, LaterVersion>,
    /// Numbers and secrets of every version row, those of rotations that were never finished included.
    pub(crate) claims: BTreeSet<(u32, String)>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) value: String,
    /// The row it stands in.
    pub(crate) row: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LaterVersion {
    pub(crate) secret_id: String,
    pub(crate) created: OffsetDateTime,
}

impl Record {
    /// Reads the rows. [`KmsError::Broken`] if they contradict each other, [`KmsError::KeyNotFound`] if the secret is no key of its own.
    pub(crate) fn parse(key_id: &str, rows: BTreeMap<String, String>) -> Result<Self, KmsError> {
        if rows.contains_key(VERSION_OF) {
            return Err(KmsError::KeyNotFound(key_id.to_owned()));
        }
        let mut record = Self::default();
        for (row, value) in rows {
            if let Some(version) = row.strip_prefix(VERSION) {
                record.add_version(version, &value).ok_or_else(|| broken(key_id, &row))?;
            } else if row == DESCRIPTION {
                record.description = Some(value);
            } else if !row.starts_with(RESERVED_PREFIX) {
                record.tags.insert(from_row_name(&row), Tag { value, row });
            }
        }
        Ok(record)
    }

    /// The version that new data keys are wrapped under.
    pub(crate) fn current_version(&self) -> u32 {
        self.versions.keys().next_back().copied().unwrap_or(FIRST_VERSION)
    }

    /// The number of the next version. Those of unfinished rotations are not used again: they might still come into force.
    pub(crate) fn next_version(&self) -> Option<u32> {
        self.claims.iter().next_back().map_or(FIRST_VERSION, |(number, _)| *number).checked_add(1)
    }

    /// Whether another rotation claims this number.
    pub(crate) fn is_contested(&self, number: u32, secret_id: &str) -> bool {
        self.claims.iter().any(|(claimed, by)| *claimed == number && by != secret_id)
    }

    /// The row for a tag: the one it stands in, or a new one.
    pub(crate) fn tag_row(&self, name: &str) -> String {
        self.tags.get(name).map_or_else(|| to_row_name(name), |tag| tag.row.clone())
    }

    /// The rows that `tags` would write; [`KmsError::InvalidArgument`] says why not.
    pub(crate) fn tag_rows(&self, tags: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, KmsError> {
        let added = tags.keys().filter(|name| !self.tags.contains_key(*name)).count();
        if self.tags.len() + added > MAX_TAGS {
            return Err(KmsError::InvalidArgument(format!("a key has up to {MAX_TAGS} tags")));
        }
        tags.iter().map(|(name, value)| check_tag(name, value).map(|()| (self.tag_row(name), value.clone()))).collect()
    }

    fn add_version(&mut self, row: &str, value: &str) -> Option<()> {
        let (number, secret_id) = row.split_once('-')?;
        let number = number.parse().ok().filter(|number| *number > FIRST_VERSION)?;
        if !is_uuid(secret_id) {
            return None;
        }
        self.claims.insert((number, secret_id.to_owned()));
        if value == CLAIMED {
            return Some(());
        }
        let created = OffsetDateTime::from_unix_timestamp(value.strip_prefix(IN_FORCE)?.parse().ok()?).ok()?;
        // Two secrets for one version: no guess which of them a data key was wrapped under.
        self.versions.insert(number, LaterVersion { secret_id: secret_id.to_owned(), created }).is_none().then_some(())
    }
}

/// The rows of a new key.
pub(crate) fn first_rows(key: &NewKey) -> Result<BTreeMap<String, String>, KmsError> {
    let mut rows = Record::default().tag_rows(&key.tags)?;
    if !key.description.is_empty() {
        check_description(&key.description)?;
        rows.insert(DESCRIPTION.to_owned(), key.description.clone());
    }
    Ok(rows)
}

/// The rows of a secret that holds a later version of a key.
pub(crate) fn version_of(key_id: &str) -> BTreeMap<String, String> {
    [(VERSION_OF.to_owned(), key_id.to_owned())].into()
}

/// The row of a version.
pub(crate) fn version_row(number: u32, secret_id: &str) -> String {
    format!("{VERSION}{number}-{secret_id}")
}

/// The value of the row of a version that is not in force yet.
pub(crate) fn claimed() -> &'static str {
    CLAIMED
}

/// The value of the row of a version from now on.
pub(crate) fn in_force(now: OffsetDateTime) -> String {
    format!("{IN_FORCE}{}", now.unix_timestamp())
}

/// Whether this can be a description; one of 0 characters is none.
pub(crate) fn check_description(description: &str) -> Result<(), KmsError> {
    if description.chars().count() > MAX_ROW_CHARS {
        return Err(KmsError::InvalidArgument(format!("in Barbican a description has up to {MAX_ROW_CHARS} characters")));
    }
    Ok(())
}

fn check_tag(name: &str, value: &str) -> Result<(), KmsError> {
    if name.is_empty() || name.chars().count() > MAX_TAG_NAME_CHARS || to_row_name(name).len() > MAX_ROW_CHARS {
        let rule = format!("a tag's name has 1 to {MAX_TAG_NAME_CHARS} characters");
        let cost = "in Barbican others than lower-case letters, digits, '_' and '-' count as four, of 255";
        return Err(KmsError::InvalidArgument(format!("{rule}; {cost}")));
    }
    if value.chars().count() > MAX_ROW_CHARS {
        return Err(KmsError::InvalidArgument(format!("in Barbican a tag's value has up to {MAX_ROW_CHARS} characters")));
    }
    Ok(())
}

fn broken(key_id: &str, row: &str) -> KmsError {
    let what = "is none of Strongroom's, or names a version for the second time";
    KmsError::Broken(format!("the metadata {row} of the secret {key_id} {what}: compare docs/kms/barbican.md and remove the wrong row"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const A: &str = "00000000-0000-4000-8000-00000000000a";
    const B: &str = "00000000-0000-4000-8000-00000000000b";

    fn parse(rows: &[(String, &str)]) -> Result<Record, KmsError> {
        Record::parse("k", rows.iter().map(|(row, value)| (row.clone(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_secret_without_metadata_is_a_key_of_one_version() {
        let record = parse(&[]).unwrap();
        assert_eq!((record.current_version(), record.next_version()), (1, Some(2)));
    }

    #[test]
    fn a_version_counts_once_it_is_in_force() {
        let record = parse(&[(version_row(2, A), "in-force 1700000000"), (version_row(3, B), "claimed")]).unwrap();
        assert_eq!(record.current_version(), 2);
        assert_eq!(record.versions[&2].secret_id, A);
        assert_eq!(record.versions[&2].created.unix_timestamp(), 1_700_000_000);
        assert_eq!(record.next_version(), Some(4), "the number of an unfinished rotation is not used again");
    }

    #[test]
    fn versions_sort_by_number_and_not_by_text() {
        let record = parse(&[(version_row(10, A), "in-force 1"), (version_row(9, B), "in-force 1")]).unwrap();
        assert_eq!((record.current_version(), record.next_version()), (10, Some(11)));
    }

    #[test]
    fn a_number_is_contested_by_any_other_claim() {
        let record = parse(&[(version_row(2, A), "claimed"), (version_row(2, B), "claimed")]).unwrap();
        assert!(record.is_contested(2, A) && record.is_contested(2, B));
        assert!(!parse(&[(version_row(2, A), "claimed")]).unwrap().is_contested(2, A));
    }

    #[test]
    fn two_secrets_for_one_version_are_never_guessed_between() {
        let answer = parse(&[(version_row(2, A), "in-force 1"), (version_row(2, B), "in-force 2")]);
        assert!(matches!(answer, Err(KmsError::Broken(_))));
    }

    #[test]
    fn malformed_version_rows_are_refused() {
        for (row, value) in [
            (version_row(1, A), "claimed"),
            (version_row(0, A), "claimed"),
            ("strongroom-version-2".to_owned(), "claimed"),
            ("strongroom-version-2-x".to_owned(), "claimed"),
            (version_row(2, A), ""),
            (version_row(2, A), "in-force"),
            (version_row(2, A), "in-force x"),
        ] {
            assert!(matches!(parse(&[(row.clone(), value)]), Err(KmsError::Broken(_))), "{row} = {value}");
        }
    }

    #[test]
    fn other_peoples_rows_are_tags_and_keep_their_names() {
        let record = parse(&[("a--b".to_owned(), "1"), (DESCRIPTION.to_owned(), "text"), ("strongroom-future".to_owned(), "x")]).unwrap();
        assert_eq!(record.tags, [("a--b".to_owned(), Tag { value: "1".to_owned(), row: "a--b".to_owned() })].into());
        assert_eq!(record.description.as_deref(), Some("text"));
        assert_eq!(record.tag_row("a--b"), "a--b");
        assert_eq!(record.tag_row("A"), "--41");
    }

    #[test]
    fn what_barbican_cannot_hold_is_refused() {
        let tags = |name: &str, value: &str| [(name.to_owned(), value.to_owned())].into();
        for tags in [tags("", "x"), tags(&"x".repeat(129), "x"), tags(&"X".repeat(64), "x"), tags("x", &"x".repeat(256))] {
            assert!(matches!(Record::default().tag_rows(&tags), Err(KmsError::InvalidArgument(_))), "{tags:?}");
        }
        assert!(Record::default().tag_rows(&tags(&"X".repeat(63), &"ü".repeat(255))).is_ok());
        let many = (0..51).map(|n| (n.to_string(), String::new())).collect();
        assert!(matches!(Record::default().tag_rows(&many), Err(KmsError::InvalidArgument(_))));
        let description = "ü".repeat(256);
        assert!(matches!(first_rows(&NewKey { description, ..NewKey::default() }), Err(KmsError::InvalidArgument(_))));
    }
}
