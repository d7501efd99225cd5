//! A row of a version in the order of commit.

use crate::UnixMillis;

/// A row of a version or delete marker, in the order of commit: as much of it as tells whether to look closer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedRow {
    /// Its place in the order of commit.
    pub position: i64,
    /// The object key; none where the row makes no sense.
    pub key: Option<String>,
    /// Whether it is the latest version of its key.
    pub is_latest: bool,
    /// Whether it is a delete marker.
    pub is_delete_marker: bool,
    /// Length of the plaintext in bytes.
    pub size_bytes: u64,
    /// Last-Modified.
    pub modified: UnixMillis,
}
