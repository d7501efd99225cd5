//! What Transit tells of a key.

use std::collections::BTreeMap;

use serde::Deserialize;
use strongroom_kms::{KeyMetadata, KeyState, KeyVersionInfo, KmsError};
use time::OffsetDateTime;

/// The type of the keys that the store makes and takes.
pub(super) const KEY_TYPE: &str = "aes256-gcm96";
/// The types that authenticate `associated_data` with 256-bit keys.
const USABLE_TYPES: [&str; 3] = [KEY_TYPE, "chacha20-poly1305", "xchacha20-poly1305"];

/// The answer to `keys/:name`, as far as it matters here.
#[derive(Deserialize)]
pub(super) struct TransitKey {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    derived: bool,
    /// OpenBao only.
    #[serde(default)]
    soft_deleted: bool,
    latest_version: u32,
    min_decryption_version: u32,
    /// Time of creation by version, in seconds since 1970; an object for keys of types that the store cannot use.
    keys: BTreeMap<String, serde_json::Value>,
}

impl TransitKey {
    /// Refuses a key that cannot wrap data keys bound to their context.
    pub(super) fn check_kind(&self, key_id: &str) -> Result<(), KmsError> {
        if self.derived {
            let text = format!("the Vault key {key_id} is derived: the store needs one that is not");
            return Err(KmsError::Conflict(text));
        }
        if !USABLE_TYPES.contains(&self.kind.as_str()) {
            return Err(KmsError::Conflict(format!("the Vault key {key_id} is of the type {}: the store needs {KEY_TYPE}", self.kind)));
        }
        Ok(())
    }

    /// Refuses a key that was switched off with OpenBao's soft-delete.
    pub(super) fn check_usable(&self, key_id: &str) -> Result<(), KmsError> {
        if self.soft_deleted { Err(KmsError::KeyDisabled(key_id.to_owned())) } else { Ok(()) }
    }

    /// Refuses a version that the server's operator has retired.
    pub(super) fn check_version(&self, key_id: &str, version: u32) -> Result<(), KmsError> {
        if version >= self.min_decryption_version {
            return Ok(());
        }
        let least = self.min_decryption_version;
        let text = format!("version {version} of the Vault key {key_id} is below its min_decryption_version {least}: lower that to use it");
        Err(KmsError::Conflict(text))
    }

    pub(super) fn metadata(&self, key_id: &str) -> KeyMetadata {
        let version = |(version, created): (&String, &serde_json::Value)| {
            let created = OffsetDateTime::from_unix_timestamp(created.as_i64()?).ok()?;
            Some(KeyVersionInfo { version: version.parse().ok()?, created })
        };
        let mut versions: Vec<KeyVersionInfo> = self.keys.iter().filter_map(version).collect();
        versions.sort_unstable_by_key(|version| version.version);
        KeyMetadata {
            key_id: key_id.to_owned(),
            description: String::new(),
            tags: BTreeMap::new(),
            state: if self.soft_deleted { KeyState::Disabled } else { KeyState::Enabled },
            created: versions.first().map_or(OffsetDateTime::UNIX_EPOCH, |first| first.created),
            versions,
            current_version: self.latest_version,
        }
    }
}
