//! What the overlay remembers of the keys of one backend.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strongroom_kms::{KeyMetadata, KeyState, KeyVersionInfo, KmsError};
use time::OffsetDateTime;

/// The present format of the document.
const FORMAT: u32 = 1;

/// Bounds that keep the document small; the local backend has the same. Source: AWS KMS quotas for tags and descriptions.
const MAX_DESCRIPTION_CHARS: usize = 8192;
const MAX_TAGS: usize = 50;
const MAX_TAG_NAME_CHARS: usize = 128;
const MAX_TAG_VALUE_CHARS: usize = 256;

/// The document of one backend. A key without an entry is as the backend has it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    format: u32,
    keys: BTreeMap<String, Entry>,
}

/// What is remembered of one key.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Entry {
    #[serde(skip_serializing_if = "is_false")]
    pub(super) disabled: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) sealed: bool,
    /// None leaves the backend's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    /// None leaves the backend's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tags: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) deletion: Option<Deletion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tombstone: Option<Tombstone>,
}

/// A deletion that was scheduled or begun.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Deletion {
    #[serde(with = "time::serde::rfc3339")]
    pub(super) at: OffsetDateTime,
    pub(super) by: DeletionBy,
    /// For the tombstone: afterwards the backend may know nothing more.
    pub(super) versions: Versions,
}

/// Who destroys the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DeletionBy {
    /// This server, when the date has come.
    Overlay,
    /// This server; the backend was asked to, and may have done so.
    OverlayBegun,
    /// The backend by itself, when the date has come.
    Backend,
}

/// What is left of a key that was destroyed.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tombstone {
    #[serde(with = "time::serde::rfc3339")]
    erased_at: OffsetDateTime,
    versions: Versions,
}

/// The versions of a key.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Versions {
    #[serde(with = "time::serde::rfc3339")]
    created: OffsetDateTime,
    current: u32,
    /// Number and date, in seconds since 1970.
    dates: Vec<(u32, i64)>,
}

impl Default for Document {
    fn default() -> Self {
        Self { format: FORMAT, keys: BTreeMap::new() }
    }
}

impl Document {
    /// Reads what [`Self::to_bytes`] wrote.
    pub(super) fn from_bytes(bytes: &[u8], name: &str) -> Result<Self, KmsError> {
        let document: Self = serde_json::from_slice(bytes).map_err(|_| KmsError::Broken(format!("the document {name} is malformed")))?;
        if document.format != FORMAT {
            let text = format!("the document {name} has format {}; start the newer Strongroom that wrote it", document.format);
            return Err(KmsError::Broken(text));
        }
        Ok(document)
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, KmsError> {
        serde_json::to_vec(self).map_err(|error| KmsError::Broken(format!("the states of keys cannot be written: {error}")))
    }

    pub(super) fn entry(&self, key_id: &str) -> Option<&Entry> {
        self.keys.get(key_id)
    }

    /// Changes the entry of a key, made if there is none, and dropped if nothing is left in it.
    pub(super) fn change<T>(&mut self, key_id: &str, change: impl FnOnce(&mut Entry) -> T) -> T {
        let entry = self.keys.entry(key_id.to_owned()).or_default();
        let result = change(entry);
        if *entry == Entry::default() {
            self.keys.remove(key_id);
        }
        result
    }

    /// Refuses a key that may not be used.
    pub(super) fn check_usable(&self, key_id: &str) -> Result<(), KmsError> {
        refuse(key_id, self.keys.get(key_id).map_or(KeyState::Enabled, Entry::state))
    }

    /// The keys whose deletion is due at `now`, and who destroys them.
    pub(super) fn due(&self, now: OffsetDateTime) -> Vec<(String, DeletionBy)> {
        let due = |entry: &Entry| entry.deletion.as_ref().filter(|deletion| deletion.at <= now).map(|deletion| deletion.by);
        self.keys.iter().filter_map(|(key_id, entry)| Some((key_id.clone(), due(entry)?))).collect()
    }
}

impl Entry {
    /// The state of the key as far as it is the overlay's: what the backend does by itself it also refuses by itself.
    pub(super) fn state(&self) -> KeyState {
        let deletion = self.deletion.as_ref().filter(|deletion| deletion.by != DeletionBy::Backend);
        match (&self.tombstone, deletion) {
            (Some(_), _) => KeyState::Erased,
            (None, Some(Deletion { at, .. })) => KeyState::PendingDeletion { at: *at },
            (None, None) if self.sealed => KeyState::Sealed,
            (None, None) if self.disabled => KeyState::Disabled,
            (None, None) => KeyState::Enabled,
        }
    }

    /// Whether the key is gone if the backend does not know it any more.
    fn expects_loss(&self, now: OffsetDateTime) -> bool {
        self.deletion.as_ref().is_some_and(|deletion| match deletion.by {
            DeletionBy::Overlay => false,
            DeletionBy::OverlayBegun => true,
            DeletionBy::Backend => deletion.at <= now,
        })
    }

    /// The backend's answer, or that the key is erased where that is why the backend does not know it.
    pub(super) fn or_lost<T>(&self, key_id: &str, answer: Result<T, KmsError>) -> Result<T, KmsError> {
        match answer {
            Err(KmsError::KeyNotFound(_)) if self.expects_loss(OffsetDateTime::now_utc()) => Err(KmsError::KeyErased(key_id.to_owned())),
            answer => answer,
        }
    }

    /// The tags to change: those that are remembered, or else those that the backend told.
    pub(super) fn tags_over(&mut self, told: &KeyMetadata) -> &mut BTreeMap<String, String> {
        self.tags.get_or_insert_with(|| told.tags.clone())
    }

    /// Makes the entry a tombstone. Tells whether it was none before.
    pub(super) fn bury(&mut self, now: OffsetDateTime) -> bool {
        if self.tombstone.is_some() {
            return false;
        }
        let versions = self.deletion.take().map_or_else(|| Versions::unknown(now), |deletion| deletion.versions);
        self.tombstone = Some(Tombstone { erased_at: now, versions });
        true
    }

    /// What is known of a destroyed key.
    pub(super) fn buried(&self, key_id: &str) -> Option<KeyMetadata> {
        let deleted = self.deletion.as_ref().map(|deletion| &deletion.versions);
        let Versions { created, current, dates } = self.tombstone.as_ref().map(|stone| &stone.versions).or(deleted)?;
        let date = |seconds| OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(*created);
        Some(KeyMetadata {
            key_id: key_id.to_owned(),
            description: self.description.clone().unwrap_or_default(),
            tags: self.tags.clone().unwrap_or_default(),
            state: KeyState::Erased,
            created: *created,
            versions: dates.iter().map(|(version, seconds)| KeyVersionInfo { version: *version, created: date(*seconds) }).collect(),
            current_version: *current,
        })
    }

    /// Lays what is remembered over what the backend tells.
    pub(super) fn lay_over(&self, mut metadata: KeyMetadata) -> KeyMetadata {
        if let Some(description) = &self.description {
            metadata.description.clone_from(description);
        }
        if let Some(tags) = &self.tags {
            metadata.tags.clone_from(tags);
        }
        let own = self.state();
        if rank(own) > rank(metadata.state) {
            metadata.state = own;
        }
        metadata
    }
}

impl Versions {
    pub(super) fn of(metadata: &KeyMetadata) -> Self {
        let dates = metadata.versions.iter().map(|version| (version.version, version.created.unix_timestamp())).collect();
        Self { created: metadata.created, current: metadata.current_version, dates }
    }

    fn unknown(now: OffsetDateTime) -> Self {
        Self { created: now, current: 1, dates: vec![(1, now.unix_timestamp())] }
    }
}

/// The error of a use of a key in this state, if there is one.
pub(crate) fn refuse(key_id: &str, state: KeyState) -> Result<(), KmsError> {
    let key_id = key_id.to_owned();
    match state {
        KeyState::Enabled => Ok(()),
        KeyState::Disabled => Err(KmsError::KeyDisabled(key_id)),
        KeyState::Sealed => Err(KmsError::KeySealed(key_id)),
        KeyState::PendingDeletion { .. } => Err(KmsError::KeyPendingDeletion(key_id)),
        KeyState::Erased => Err(KmsError::KeyErased(key_id)),
    }
}

/// Refuses a key that is erased or about to be.
pub(super) fn refuse_leaving(key_id: &str, state: KeyState) -> Result<(), KmsError> {
    match state {
        KeyState::Enabled | KeyState::Disabled | KeyState::Sealed => Ok(()),
        KeyState::PendingDeletion { .. } | KeyState::Erased => refuse(key_id, state),
    }
}

/// Refuses a key that is erased.
pub(super) fn refuse_erased(key_id: &str, state: KeyState) -> Result<(), KmsError> {
    if state == KeyState::Erased { refuse(key_id, state) } else { Ok(()) }
}

pub(super) fn check_description(description: &str) -> Result<(), KmsError> {
    if description.chars().count() > MAX_DESCRIPTION_CHARS {
        return Err(KmsError::InvalidArgument(format!("a description has at most {MAX_DESCRIPTION_CHARS} characters")));
    }
    Ok(())
}

pub(super) fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), KmsError> {
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

/// Of several states the highest shows.
fn rank(state: KeyState) -> u8 {
    match state {
        KeyState::Enabled => 0,
        KeyState::Disabled => 1,
        KeyState::Sealed => 2,
        KeyState::PendingDeletion { .. } => 3,
        KeyState::Erased => 4,
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(value: &bool) -> bool {
    !value
}
