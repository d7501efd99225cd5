//! Versions as listings have them.

use std::sync::Arc;

use strongroom_ids::VersionId;

use crate::{KeyRef, Lock, UnixMillis, Version};

/// A version, or a delete marker, as listings have it: all but its sealed keys, which they have no use for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionEntry {
    /// The object key.
    pub key: String,
    /// The version's id, also where clients see it as "null".
    pub version_id: VersionId,
    /// Whether clients see this version as "null".
    pub is_null: bool,
    /// Whether it is the one that a read without a version id gets.
    pub is_latest: bool,
    /// Whether it is a delete marker.
    pub is_delete_marker: bool,
    /// Length of the plaintext in bytes.
    pub size_bytes: u64,
    /// Last-Modified.
    pub modified: UnixMillis,
    /// How often its keys, its record or its lock were changed.
    pub revision: u64,
    /// What keeps it from being deleted.
    pub lock: Lock,
    /// The number of its encryption mode; none for a delete marker.
    pub mode: Option<u8>,
    /// The KMS key that it depends on. Entries of one page share it.
    pub kms_key: Option<Arc<KeyRef>>,
    /// The sealed metadata record.
    pub record: Vec<u8>,
}

impl From<Version> for VersionEntry {
    fn from(version: Version) -> Self {
        let (mode, kms_key) = version.envelope.map_or((None, None), |envelope| (Some(envelope.mode), envelope.key.map(Arc::new)));
        Self {
            key: version.key,
            version_id: version.version_id,
            is_null: version.is_null,
            is_latest: version.is_latest,
            is_delete_marker: version.is_delete_marker,
            size_bytes: version.size_bytes,
            modified: version.modified,
            revision: version.revision,
            lock: version.lock,
            mode,
            kms_key,
            record: version.record,
        }
    }
}
