//! Requests about objects, and what is known of an object.

use std::collections::BTreeMap;

use strongroom_access::Acl;
use strongroom_catalog::VersionId;

use crate::lifecycle::Expiry;

use super::{Body, Checksum, ObjectLock, ReplyStream, SseHeaders, SseReply, Tag, UploadChecksum, sse::CustomerKeyHeaders};

/// What a request for an object may be decided by.
#[derive(Clone, Debug)]
pub struct ObjectFacts {
    /// The version that they are of.
    pub version: VersionId,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// Its ACL.
    pub acl: Acl,
}

/// The headers that a client stores with an object and gets back.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct ObjectHeaders {
    /// `Content-Type`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// `Content-Encoding`, without `aws-chunked`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// `Content-Language`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    /// `Content-Disposition`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    /// `Cache-Control`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    /// `Expires`, as an HTTP date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// `x-amz-website-redirect-location`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub website_redirect_location: Option<String>,
    /// `x-amz-storage-class`, where it is not STANDARD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// `x-amz-meta-*`, names in lower case without the prefix.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub user: BTreeMap<String, String>,
}

/// What a new version is given beside its headers.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Attributes {
    /// `x-amz-tagging`
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// `x-amz-object-lock-*`
    #[serde(skip_serializing_if = "ObjectLock::is_empty")]
    pub lock: ObjectLock,
    /// `x-amz-acl` and `x-amz-grant-*`, and who owns the object; none where it is the bucket's owner's and nobody else's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acl: Option<Box<Acl>>,
}

impl Attributes {
    /// Whether none is given.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Names a version of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectVersion {
    /// The bucket.
    pub bucket: String,
    /// The object key.
    pub key: String,
    /// `versionId`; the latest where none is given.
    pub version_id: Option<String>,
}

/// `If-Match` and `If-None-Match` of a write. ETags without quotes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum WriteCondition {
    /// None.
    #[default]
    None,
    /// `If-None-Match: *`
    Absent,
    /// `If-Match: "etag"`, or `*` for any present object.
    Matches(String),
    /// `If-None-Match: "etag", …`: the present object has another ETag, or there is none.
    Differs(Vec<String>),
}

impl WriteCondition {
    /// Whether it is about an ETag, which only the engine can compare.
    pub(crate) fn compares_etag(&self) -> bool {
        matches!(self, Self::Matches(_) | Self::Differs(_))
    }
}

/// What a delete expects of the version that it is about: of the latest, or of the one it names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteCondition {
    /// `If-Match`: an ETag without quotes, or `*` for any.
    pub etag: Option<String>,
    /// `x-amz-if-match-size`
    pub size_bytes: Option<u64>,
    /// `x-amz-if-match-last-modified-time`, seconds since 1970.
    pub modified: Option<i64>,
}

/// The conditional headers of a read, or (`x-amz-copy-source-if-…`) of a copy's source. ETags without quotes; `*` stands for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadConditions {
    /// `If-Match`
    pub if_match: Option<Vec<String>>,
    /// `If-None-Match`
    pub if_none_match: Option<Vec<String>>,
    /// `If-Modified-Since`, seconds since 1970.
    pub if_modified_since: Option<i64>,
    /// `If-Unmodified-Since`, seconds since 1970.
    pub if_unmodified_since: Option<i64>,
}

/// A byte range (RFC 9110, one range).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// `bytes=first-last` or `bytes=first-`; both inclusive.
    From {
        /// First byte.
        first: u64,
        /// Last byte; to the end where none.
        last: Option<u64>,
    },
    /// `bytes=-length`
    Suffix {
        /// How many bytes from the end.
        length: u64,
    },
}

/// `If-Range` (RFC 9110, section 13.1.5): the range is meant only while the object is still this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfRange {
    /// The object with this ETag, without quotes.
    Etag(String),
    /// The object last modified then, seconds since 1970.
    Modified(i64),
    /// None: a weak ETag never matches.
    Never,
}

/// PutObject.
pub struct PutObject {
    /// Whether it is POST Object: events tell the two apart.
    pub by_form: bool,
    /// The bucket.
    pub bucket: String,
    /// The object key.
    pub key: String,
    /// Stored headers.
    pub headers: ObjectHeaders,
    /// Tags and locks.
    pub attributes: Attributes,
    /// Encryption headers.
    pub sse: SseHeaders,
    /// `Content-MD5`, base64.
    pub content_md5: Option<String>,
    /// The additional checksum.
    pub checksum: UploadChecksum,
    /// Conditional write.
    pub condition: WriteCondition,
    /// The bytes.
    pub body: Body,
}

/// What a write answers.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Without quotes.
    pub etag: String,
    /// The version id, in versioned buckets.
    pub version_id: Option<String>,
    /// The encryption applied.
    pub sse: SseReply,
    /// The additional checksum, where there is one.
    pub checksum: Option<Checksum>,
    /// Length of the object in bytes.
    pub size_bytes: u64,
    /// When it expires by the bucket's lifecycle rules.
    pub expiry: Option<Expiry>,
}

/// GetObject, HeadObject and GetObjectAttributes.
#[derive(Default)]
pub struct GetObject {
    /// The bucket.
    pub bucket: String,
    /// The object key.
    pub key: String,
    /// `versionId`
    pub version_id: Option<String>,
    /// `Range`; with `part_number` an error.
    pub range: Option<ByteRange>,
    /// `If-Range`: where it does not hold, the range is passed over.
    pub if_range: Option<IfRange>,
    /// `partNumber`
    pub part_number: Option<u32>,
    /// Conditional read.
    pub conditions: ReadConditions,
    /// Encryption headers; any but the SSE-C trio is an error.
    pub sse: SseHeaders,
    /// `x-amz-checksum-mode: ENABLED`: the only HeadObject that needs a right to the object's KMS key, as with Amazon.
    pub checksum_mode: bool,
}

/// All that is known of an object without opening it.
#[derive(Clone, Debug)]
pub struct ObjectInfo {
    /// The object key.
    pub key: String,
    /// Without quotes.
    pub etag: String,
    /// The version id, in versioned buckets (`null` where it is that).
    pub version_id: Option<String>,
    /// Length in bytes.
    pub size_bytes: u64,
    /// Last-Modified, milliseconds since 1970.
    pub modified_ms: i64,
    /// Stored headers.
    pub headers: ObjectHeaders,
    /// How it is encrypted.
    pub sse: SseReply,
    /// The additional checksum, where there is one.
    pub checksum: Option<Checksum>,
    /// How many parts a multipart upload gave it; none for an object put whole.
    pub parts_count: Option<u32>,
    /// How many tags it has.
    pub tag_count: usize,
    /// What keeps it from being deleted.
    pub lock: ObjectLock,
    /// When it expires by the bucket's lifecycle rules; none of a noncurrent version.
    pub expiry: Option<Expiry>,
}

/// A part of an object, for GetObjectAttributes.
#[derive(Clone, Debug)]
pub struct ObjectPart {
    /// 1 to 10,000.
    pub number: u32,
    /// Length in bytes.
    pub size_bytes: u64,
    /// The part's additional checksum.
    pub checksum: Option<Checksum>,
}

/// What GetObject and HeadObject answer.
pub struct ObjectReply {
    /// The object.
    pub info: ObjectInfo,
    /// Where the bytes answered begin in the object.
    pub first_byte: u64,
    /// How many bytes are answered.
    pub length: u64,
    /// Whether a range or a part was asked for: 206 with `Content-Range`.
    pub partial: bool,
    /// The additional checksum of just the bytes answered: the object's, or the part's that was asked for; none for a range.
    pub checksum: Option<Checksum>,
    /// The bytes; none for HeadObject.
    pub body: Option<ReplyStream>,
}

/// The source of a copy.
#[derive(Default)]
pub struct CopySource {
    /// The bucket.
    pub bucket: String,
    /// The object key.
    pub key: String,
    /// `versionId`
    pub version_id: Option<String>,
    /// `x-amz-copy-source-server-side-encryption-customer-*`
    pub customer: CustomerKeyHeaders,
    /// `x-amz-copy-source-if-*`
    pub conditions: ReadConditions,
}

/// CopyObject.
pub struct CopyObject {
    /// Where from.
    pub source: CopySource,
    /// The target bucket.
    pub bucket: String,
    /// The target key.
    pub key: String,
    /// New headers (`x-amz-metadata-directive: REPLACE`); the source's are kept where none.
    pub headers: Option<ObjectHeaders>,
    /// `x-amz-storage-class`, also without REPLACE.
    pub storage_class: Option<String>,
    /// `x-amz-website-redirect-location`, also without REPLACE.
    pub website_redirect_location: Option<String>,
    /// The target's tags.
    pub tags: TagsOfCopy,
    /// The target's lock; the source's is never copied.
    pub lock: ObjectLock,
    /// The target's ACL; the source's is never copied.
    pub acl: Option<Box<Acl>>,
    /// The target's encryption headers.
    pub sse: SseHeaders,
    /// `x-amz-checksum-algorithm`: compute this one, which reads the data if the source does not have it.
    pub checksum_algorithm: Option<super::ChecksumAlgorithm>,
    /// Conditional write.
    pub condition: WriteCondition,
}

/// `x-amz-tagging-directive`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagsOfCopy {
    /// `COPY`
    Keep {
        /// Whether the caller may read the source's tags and set the target's. Where it may not, a source that has tags is not copied.
        permitted: bool,
    },
    /// `REPLACE`, by these.
    Replace(Vec<Tag>),
}

/// What CopyObject answers.
#[derive(Clone, Debug)]
pub struct Copied {
    /// The new object.
    pub stored: Stored,
    /// Its Last-Modified, milliseconds since 1970.
    pub modified_ms: i64,
    /// The version of the source that was copied, in versioned buckets.
    pub source_version_id: Option<String>,
}

/// UpdateObjectEncryption.
#[derive(Clone, Debug)]
pub struct UpdateObjectEncryption {
    /// The bucket.
    pub bucket: String,
    /// The object key.
    pub key: String,
    /// `versionId`
    pub version_id: Option<String>,
    /// `KMSKeyArn`
    pub kms_key_id: String,
    /// `BucketKeyEnabled`
    pub bucket_key_enabled: bool,
}

/// What DeleteObject answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeletedObject {
    /// The version deleted, or the delete marker made, in versioned buckets.
    pub version_id: Option<String>,
    /// Whether that is a delete marker.
    pub delete_marker: bool,
}
