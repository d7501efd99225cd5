//! What goes into the engine and what comes out: S3's meaning without S3's wire.

mod body;
mod bucket;
mod checksum;
mod cors;
mod list;
mod lock;
mod multipart;
mod object;
mod sse;

pub use body::{Body, BodyError, BodyStream, ReplyStream};
pub use bucket::{CreateBucket, DefaultEncryption, EncryptionRule, ObjectOwnership, PublicAccessBlock, VersioningStatus};
pub use checksum::{Checksum, ChecksumAlgorithm, ChecksumKind, ExpectedChecksum, UploadChecksum};
pub use cors::CorsRule;
pub use list::{ListEntry, ListObjects, ListPage, ListUploads, ListVersions, ListedObject, ListedUpload, ListedVersion};
pub use lock::{DefaultLock, EventHold, LockedVersion, ObjectLock, Period, Retention, RetentionChange, RetentionMode};
pub use multipart::{
    CompleteMultipartUpload, CompletedPart, CopiedPart, CreateMultipartUpload, CreatedUpload, ListParts, ListedPart, PartsPage,
    UploadFacts, UploadPart, UploadPartCopy, UploadRef, UploadedPart,
};
pub use object::{
    Attributes, ByteRange, Copied, CopyObject, CopySource, DeleteCondition, DeletedObject, GetObject, IfRange, ObjectFacts, ObjectHeaders,
    ObjectInfo, ObjectPart, ObjectReply, ObjectVersion, PutObject, ReadConditions, Stored, TagsOfCopy, UpdateObjectEncryption,
    WriteCondition,
};
// What requests and replies are made of, so that an adapter needs the engine only.
pub use crate::{bucket::Bucket, tags::Tag};
pub use strongroom_catalog::VersionId;
pub use strongroom_seal::Mode;

pub use sse::{Caller, CustomerKeyHeaders, Seen, SseHeaders, SseReply};
