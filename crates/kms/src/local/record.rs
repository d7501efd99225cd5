//! One key of the local backend: its state machine and its material. No I/O.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use crate::crypto::SecretKey;
use crate::{DELETION_WINDOW_DAYS, KeyMetadata, KeyState, KeyVersionInfo, KmsError, NewKey};

/// Bounds that keep a key file small. Source: AWS KMS quotas for tags and descriptions.
const MAX_VERSIONS: usize = 1000;
const MAX_DESCRIPTION_CHARS: usize = 8192;
const MAX_TAGS: usize = 50;
const MAX_TAG_NAME_CHARS: usize = 128;
const MAX_TAG_VALUE_CHARS: usize = 256;

/// What a key file seals. Its serde form is the document of `docs/kms/local.md`: change both together, under
/// a new format version.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyRecord {
    description: String,
    tags: BTreeMap<String, String>,
    #[serde(with = "time::serde::rfc3339")]
    created: OffsetDateTime,
    enabled: bool,
    sealed: bool,
    #[serde(with = "time::serde::rfc3339::option")]
    deletion_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    erased_at: Option<OffsetDateTime>,
    versions: Vec<KeyVersion>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyVersion {
    #[serde(with = "time::serde::rfc3339")]
    created: OffsetDateTime,
    /// None once the key is erased.
    #[serde(with = "super::material")]
    material: Option<Arc<SecretKey>>,
}

/// How two forms of a key stand to each other by their material.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// The same versions.
    Same,
    /// The other has all of these versions and more.
    Behind,
    /// All of the other's versions and more.
    Ahead,
    /// Some version differs: they are not the same key.
    Other,
}

impl KeyRecord {
    /// A new, enabled key of one version.
    pub(super) fn new(key: NewKey, material: SecretKey) -> Result<Self, KmsError> {
        check_description(&key.description)?;
        check_tags(&key.tags)?;
        let created = OffsetDateTime::now_utc();
        let versions = vec![KeyVersion { created, material: Some(Arc::new(material)) }];
        let NewKey { name: _, description, tags } = key;
        Ok(Self { description, tags, created, enabled: true, sealed: false, deletion_at: None, erased_at: None, versions })
    }

    /// Whether what was read from a file can be a key at all.
    pub(super) fn is_consistent(&self) -> bool {
        let erased = self.erased_at.is_some();
        !self.versions.is_empty()
            && self.versions.len() <= MAX_VERSIONS
            && self.versions.iter().all(|version| version.material.is_none() == erased)
    }

    pub(super) fn state(&self) -> KeyState {
        match (self.erased_at, self.deletion_at, self.sealed, self.enabled) {
            (Some(_), _, _, _) => KeyState::Erased,
            (None, Some(at), _, _) => KeyState::PendingDeletion { at },
            (None, None, true, _) => KeyState::Sealed,
            (None, None, false, false) => KeyState::Disabled,
            (None, None, false, true) => KeyState::Enabled,
        }
    }

    pub(super) fn metadata(&self, key_id: &str) -> KeyMetadata {
        let versions = (1..).zip(&self.versions).map(|(version, of)| KeyVersionInfo { version, created: of.created }).collect();
        KeyMetadata {
            key_id: key_id.to_owned(),
            description: self.description.clone(),
            tags: self.tags.clone(),
            state: self.state(),
            created: self.created,
            versions,
            current_version: self.current_version(),
        }
    }

    /// The version that wraps, 1 for the first.
    pub(super) fn current_version(&self) -> u32 {
        // MAX_VERSIONS is far below.
        u32::try_from(self.versions.len()).unwrap_or(u32::MAX)
    }

    /// Refuses a key that is not [`KeyState::Enabled`].
    pub(super) fn check_usable(&self, key_id: &str) -> Result<(), KmsError> {
        match self.state() {
            KeyState::Enabled => Ok(()),
            KeyState::Disabled => Err(KmsError::KeyDisabled(key_id.to_owned())),
            KeyState::Sealed => Err(KmsError::KeySealed(key_id.to_owned())),
            KeyState::PendingDeletion { .. } => Err(KmsError::KeyPendingDeletion(key_id.to_owned())),
            KeyState::Erased => Err(KmsError::KeyErased(key_id.to_owned())),
        }
    }

    /// The material of a version, if there is such a version and it is not erased.
    pub(super) fn material(&self, version: u32) -> Option<&SecretKey> {
        let index = usize::try_from(version).ok()?.checked_sub(1)?;
        self.versions.get(index)?.material.as_deref()
    }

    /// How this key stands to `other` of the same id, neither of them erased.
    pub(super) fn relation(&self, other: &Self) -> Relation {
        let is_same = |(here, there): (&KeyVersion, &KeyVersion)| match (&here.material, &there.material) {
            (Some(here), Some(there)) => here.expose() == there.expose(),
            _ => false,
        };
        if !self.versions.iter().zip(&other.versions).all(is_same) {
            return Relation::Other;
        }
        match self.versions.len().cmp(&other.versions.len()) {
            Ordering::Equal => Relation::Same,
            Ordering::Less => Relation::Behind,
            Ordering::Greater => Relation::Ahead,
        }
    }

    /// This key with the versions that `other`, which it is [`Relation::Behind`] of, has beyond its own.
    pub(super) fn extended_by(&self, other: &Self) -> Self {
        let mut extended = self.clone();
        extended.versions.extend(other.versions.iter().skip(self.versions.len()).cloned());
        extended
    }

    pub(super) fn set_enabled(&mut self, key_id: &str, enabled: bool) -> Result<(), KmsError> {
        self.check_stays(key_id)?;
        self.enabled = enabled;
        Ok(())
    }

    pub(super) fn set_sealed(&mut self, key_id: &str, sealed: bool) -> Result<(), KmsError> {
        self.check_stays(key_id)?;
        self.sealed = sealed;
        Ok(())
    }

    pub(super) fn rotate(&mut self, key_id: &str) -> Result<(), KmsError> {
        self.check_usable(key_id)?;
        if self.versions.len() >= MAX_VERSIONS {
            let text = format!("the key {key_id} has {MAX_VERSIONS} versions, the most there can be; create another key");
            return Err(KmsError::InvalidArgument(text));
        }
        let material = Some(Arc::new(SecretKey::random()?));
        self.versions.push(KeyVersion { created: OffsetDateTime::now_utc(), material });
        Ok(())
    }

    pub(super) fn tag(&mut self, key_id: &str, tags: BTreeMap<String, String>) -> Result<(), KmsError> {
        self.check_not_erased(key_id)?;
        self.tags.extend(tags);
        check_tags(&self.tags)
    }

    pub(super) fn untag(&mut self, key_id: &str, names: &[String]) -> Result<(), KmsError> {
        self.check_not_erased(key_id)?;
        self.tags.retain(|name, _| !names.contains(name));
        Ok(())
    }

    pub(super) fn describe_as(&mut self, key_id: &str, description: String) -> Result<(), KmsError> {
        self.check_not_erased(key_id)?;
        check_description(&description)?;
        self.description = description;
        Ok(())
    }

    pub(super) fn schedule_deletion(&mut self, key_id: &str, window_days: u32) -> Result<(), KmsError> {
        self.check_stays(key_id)?;
        if !DELETION_WINDOW_DAYS.contains(&window_days) {
            let (least, most) = (DELETION_WINDOW_DAYS.start(), DELETION_WINDOW_DAYS.end());
            return Err(KmsError::InvalidArgument(format!("the deletion window is {least} to {most} days")));
        }
        self.deletion_at = Some(OffsetDateTime::now_utc() + Duration::days(window_days.into()));
        Ok(())
    }

    pub(super) fn cancel_deletion(&mut self, key_id: &str) -> Result<(), KmsError> {
        self.check_not_erased(key_id)?;
        if self.deletion_at.take().is_none() {
            return Err(KmsError::InvalidArgument(format!("the key {key_id} is not pending deletion")));
        }
        Ok(())
    }

    /// Whether the deletion window has passed at `now` and the key is still there.
    pub(super) fn is_due(&self, now: OffsetDateTime) -> bool {
        matches!(self.state(), KeyState::PendingDeletion { at } if at <= now)
    }

    /// Leaves a tombstone: the dates of the versions, no material.
    pub(super) fn erase(&mut self, key_id: &str) -> Result<(), KmsError> {
        self.check_not_erased(key_id)?;
        self.erased_at = Some(OffsetDateTime::now_utc());
        for version in &mut self.versions {
            version.material = None;
        }
        Ok(())
    }

    /// Refuses a key that is erased or about to be.
    fn check_stays(&self, key_id: &str) -> Result<(), KmsError> {
        match self.state() {
            KeyState::Erased | KeyState::PendingDeletion { .. } => self.check_usable(key_id),
            KeyState::Enabled | KeyState::Disabled | KeyState::Sealed => Ok(()),
        }
    }

    fn check_not_erased(&self, key_id: &str) -> Result<(), KmsError> {
        if self.state() == KeyState::Erased { self.check_usable(key_id) } else { Ok(()) }
    }
}

fn check_description(description: &str) -> Result<(), KmsError> {
    if description.chars().count() > MAX_DESCRIPTION_CHARS {
        return Err(KmsError::InvalidArgument(format!("a description has at most {MAX_DESCRIPTION_CHARS} characters")));
    }
    Ok(())
}

fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), KmsError> {
    let fits = |name: &str, value: &str| {
        !name.is_empty() && name.chars().count() <= MAX_TAG_NAME_CHARS && value.chars().count() <= MAX_TAG_VALUE_CHARS
    };
    if tags.len() > MAX_TAGS || !tags.iter().all(|(name, value)| fits(name, value)) {
        return Err(KmsError::InvalidArgument(format!(
            "a key has at most {MAX_TAGS} tags, with names of 1 to {MAX_TAG_NAME_CHARS} and values of up to {MAX_TAG_VALUE_CHARS} characters"
        )));
    }
    Ok(())
}
