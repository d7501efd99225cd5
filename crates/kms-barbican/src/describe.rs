//! What is told of a key.

use strongroom_kms::{KeyMetadata, KeyState, KeyVersionInfo, KmsError};

use crate::record::{FIRST_VERSION, Record};
use crate::secrets::Secret;

/// A key as its secret and the metadata of it tell.
pub(crate) fn describe(id: &str, secret: &Secret, record: Record) -> Result<KeyMetadata, KmsError> {
    let created = secret.created()?;
    let current_version = record.current_version();
    let first = KeyVersionInfo { version: FIRST_VERSION, created };
    let later = record.versions.iter().map(|(version, later)| KeyVersionInfo { version: *version, created: later.created });
    Ok(KeyMetadata {
        key_id: id.to_owned(),
        versions: std::iter::once(first).chain(later).collect(),
        // Ids are opaque: the secret's name says more than nothing.
        description: record.description.or_else(|| secret.name.clone()).unwrap_or_default(),
        tags: record.tags.into_iter().map(|(name, tag)| (name, tag.value)).collect(),
        state: KeyState::Enabled,
        created,
        current_version,
    })
}
