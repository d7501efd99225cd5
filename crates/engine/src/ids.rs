//! Ids, as clients see them and as the catalog keeps them.

use std::time::{SystemTime, UNIX_EPOCH};

use strongroom_catalog::{UnixMillis, UploadId, Version, VersionId, VersionSelector, Versioning};

use crate::{Error, bucket::Bucket};

/// A version that clients see without an id of its own.
pub(crate) const NULL: &str = "null";

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis::try_from(since.as_millis()).unwrap_or(UnixMillis::MAX)
}

/// A new version id: the time in front, so that ids made later sort later, then 80 random bits.
pub(crate) fn new_version_id(now: UnixMillis) -> VersionId {
    let mut id: [u8; 16] = strongroom_seal::random_array();
    id[..6].copy_from_slice(&now.to_be_bytes()[2..]);
    VersionId(id)
}

/// What `versionId` selects.
pub(crate) fn parse_version(version_id: Option<&str>) -> Result<VersionSelector, Error> {
    let Some(text) = version_id else {
        return Ok(VersionSelector::Latest);
    };
    if text == NULL {
        return Ok(VersionSelector::Null);
    }
    text.parse().map(VersionSelector::Id).map_err(|_| Error::InvalidArgument("Invalid version id specified".into()))
}

/// An upload id; what does not parse is an upload that does not exist.
pub(crate) fn parse_upload(upload_id: &str) -> Result<UploadId, Error> {
    upload_id.parse().map_err(|_| Error::NoSuchUpload)
}

/// The version id that clients see: none in a bucket that never was versioned.
pub(crate) fn shown_version(versioning: Versioning, version_id: VersionId, is_null: bool) -> Option<String> {
    match (versioning, is_null) {
        (Versioning::Unversioned, _) => None,
        (Versioning::Enabled | Versioning::Suspended, true) => Some(NULL.into()),
        (Versioning::Enabled | Versioning::Suspended, false) => Some(version_id.to_string()),
    }
}

/// The error of a request that meets a delete marker.
pub(crate) fn delete_marker(bucket: &Bucket, marker: &Version, which: VersionSelector) -> Error {
    let version_id = shown(bucket.versioning, marker).unwrap_or_else(|| NULL.into());
    Error::DeleteMarker { named: which != VersionSelector::Latest, version_id, modified_ms: marker.modified }
}

/// As [`shown_version`], of a stored version.
pub(crate) fn shown(versioning: Versioning, version: &Version) -> Option<String> {
    shown_version(versioning, version.version_id, version.is_null)
}
