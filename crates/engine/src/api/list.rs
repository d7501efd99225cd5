//! Listings.

use super::{ChecksumAlgorithm, ChecksumKind};

/// An entry of a listing, in the order of UTF-8 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListEntry<T> {
    /// A key.
    Item(T),
    /// A common prefix, with the delimiter at its end.
    Prefix(String),
}

/// A page of a listing. Nothing is in it that is not authentic: altered rows are left out, logged and counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPage<T> {
    /// Up to as many entries as were asked for.
    pub entries: Vec<ListEntry<T>>,
    /// Whether more may follow; then the page has as many entries as were asked for.
    pub truncated: bool,
}

/// ListObjects and ListObjectsV2.
#[derive(Clone, Debug, Default)]
pub struct ListObjects {
    /// The bucket.
    pub bucket: String,
    /// Only keys that begin so.
    pub prefix: String,
    /// Rolls keys into common prefixes.
    pub delimiter: Option<String>,
    /// Only entries greater than this (marker, start-after, or the last entry of the page before).
    pub after: Option<String>,
    /// At the most so many entries (the engine bounds it to 1,000).
    pub limit: usize,
}

/// An object in a listing.
#[derive(Clone, Debug)]
pub struct ListedObject {
    /// The object key.
    pub key: String,
    /// Without quotes.
    pub etag: String,
    /// Length in bytes.
    pub size_bytes: u64,
    /// Milliseconds since 1970.
    pub modified_ms: i64,
    /// Where it is not STANDARD.
    pub storage_class: Option<String>,
    /// The additional checksum's algorithm and type.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
}

/// ListObjectVersions.
#[derive(Clone, Debug, Default)]
pub struct ListVersions {
    /// As of objects; `after` is `key-marker`.
    pub list: ListObjects,
    /// `version-id-marker`; only with `after`.
    pub version_id_marker: Option<String>,
}

/// A version or a delete marker in a listing.
#[derive(Clone, Debug)]
pub struct ListedVersion {
    /// The object key.
    pub key: String,
    /// As clients see it: `null` for one that has none.
    pub version_id: String,
    /// Whether it is the one that a read without a version id gets.
    pub is_latest: bool,
    /// Milliseconds since 1970.
    pub modified_ms: i64,
    /// The object; none for a delete marker.
    pub object: Option<ListedObject>,
}

/// ListMultipartUploads.
#[derive(Clone, Debug, Default)]
pub struct ListUploads {
    /// The bucket.
    pub bucket: String,
    /// Only keys that begin so.
    pub prefix: String,
    /// Rolls keys into common prefixes.
    pub delimiter: Option<String>,
    /// `key-marker`
    pub key_marker: Option<String>,
    /// `upload-id-marker`; only with `key_marker`.
    pub upload_id_marker: Option<String>,
    /// At the most so many entries (the engine bounds it to 1,000).
    pub limit: usize,
}

/// An upload in a listing.
#[derive(Clone, Debug)]
pub struct ListedUpload {
    /// The object key.
    pub key: String,
    /// The upload's id.
    pub upload_id: String,
    /// Milliseconds since 1970.
    pub initiated_ms: i64,
    /// The identity that began it.
    pub initiator: String,
    /// Whose the object will be.
    pub owner: String,
    /// Where it is not STANDARD.
    pub storage_class: Option<String>,
    /// The checksum algorithm that parts are to carry.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
}
