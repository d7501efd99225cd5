//! Requests about multipart uploads.

use crate::lifecycle::Expiry;

use super::{
    Attributes, Body, ByteRange, Checksum, ChecksumAlgorithm, ChecksumKind, CopySource, ObjectHeaders, ObjectLock, SseHeaders, SseReply,
    UploadChecksum, WriteCondition,
};

/// Names an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadRef {
    /// The bucket.
    pub bucket: String,
    /// The object key.
    pub key: String,
    /// As CreateMultipartUpload answered it.
    pub upload_id: String,
}

/// CreateMultipartUpload.
pub struct CreateMultipartUpload {
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
    /// `x-amz-checksum-algorithm`
    pub checksum_algorithm: Option<ChecksumAlgorithm>,
    /// `x-amz-checksum-type`
    pub checksum_kind: Option<ChecksumKind>,
}

/// What CreateMultipartUpload answers.
#[derive(Clone, Debug)]
pub struct CreatedUpload {
    /// The upload's id.
    pub upload_id: String,
    /// The encryption applied.
    pub sse: SseReply,
    /// The checksum algorithm that parts are to carry.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
    /// When it is aborted by the bucket's lifecycle rules.
    pub abort: Option<Expiry>,
}

/// What an upload was begun with, as far as it decides who may go on with it.
#[derive(Clone, Debug)]
pub struct UploadFacts {
    /// The encryption.
    pub sse: SseReply,
    /// The lock; of an object that an upload became, with what its bucket gave to it by default.
    pub lock: ObjectLock,
    /// When it was begun, in milliseconds since 1970; or when it became an object.
    pub begun_ms: i64,
}

/// UploadPart.
pub struct UploadPart {
    /// The upload.
    pub upload: UploadRef,
    /// 1 to 10,000.
    pub part_number: i32,
    /// Encryption headers: the SSE-C trio of the upload, nothing else.
    pub sse: SseHeaders,
    /// `Content-MD5`, base64.
    pub content_md5: Option<String>,
    /// The additional checksum.
    pub checksum: UploadChecksum,
    /// The bytes.
    pub body: Body,
}

/// What UploadPart answers.
#[derive(Clone, Debug)]
pub struct UploadedPart {
    /// Without quotes.
    pub etag: String,
    /// The encryption applied.
    pub sse: SseReply,
    /// The additional checksum, where there is one.
    pub checksum: Option<Checksum>,
}

/// UploadPartCopy.
pub struct UploadPartCopy {
    /// The upload.
    pub upload: UploadRef,
    /// 1 to 10,000.
    pub part_number: i32,
    /// Where from.
    pub source: CopySource,
    /// `x-amz-copy-source-range`
    pub range: Option<ByteRange>,
    /// Encryption headers: the SSE-C trio of the upload, nothing else.
    pub sse: SseHeaders,
}

/// What UploadPartCopy answers.
#[derive(Clone, Debug)]
pub struct CopiedPart {
    /// As UploadPart.
    pub part: UploadedPart,
    /// Last-Modified of the part, milliseconds since 1970.
    pub modified_ms: i64,
    /// The version of the source that was copied, in versioned buckets.
    pub source_version_id: Option<String>,
}

/// A part that CompleteMultipartUpload names.
#[derive(Clone, Debug, Default)]
pub struct CompletedPart {
    /// 1 to 10,000.
    pub number: i32,
    /// Without quotes.
    pub etag: String,
    /// The checksum of the part, where the client repeats it: base64.
    pub checksum: Option<(ChecksumAlgorithm, String)>,
}

/// CompleteMultipartUpload.
pub struct CompleteMultipartUpload {
    /// The upload.
    pub upload: UploadRef,
    /// In ascending order of numbers.
    pub parts: Vec<CompletedPart>,
    /// Encryption headers; the SSE-C trio is checked where it is given.
    pub sse: SseHeaders,
    /// The checksum of the whole object, where the client knows it: base64, perhaps with `-N`.
    pub checksum: Option<(ChecksumAlgorithm, String)>,
    /// `x-amz-checksum-type`
    pub checksum_kind: Option<ChecksumKind>,
    /// `x-amz-mp-object-size`
    pub object_size_bytes: Option<u64>,
    /// Conditional write.
    pub condition: WriteCondition,
}

/// ListParts.
pub struct ListParts {
    /// The upload.
    pub upload: UploadRef,
    /// Only parts of greater number.
    pub after: u16,
    /// At the most so many.
    pub limit: usize,
}

/// A part of an upload.
#[derive(Clone, Debug)]
pub struct ListedPart {
    /// 1 to 10,000.
    pub number: u16,
    /// Without quotes.
    pub etag: String,
    /// Length in bytes.
    pub size_bytes: u64,
    /// Milliseconds since 1970.
    pub modified_ms: i64,
    /// The additional checksum, where there is one.
    pub checksum: Option<Checksum>,
}

/// What ListParts answers.
#[derive(Clone, Debug)]
pub struct PartsPage {
    /// In the order of numbers.
    pub parts: Vec<ListedPart>,
    /// Whether more follow.
    pub truncated: bool,
    /// The identity that began the upload.
    pub initiator: String,
    /// Whose the object will be.
    pub owner: String,
    /// The storage class of the object to be.
    pub storage_class: Option<String>,
    /// The checksum algorithm that parts are to carry.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
    /// When it is aborted by the bucket's lifecycle rules.
    pub abort: Option<Expiry>,
}
