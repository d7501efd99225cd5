//! What the catalog knows: plain rows, no behaviour, no encryption.
//!
//! Everything a reader of the disk must not learn arrives here sealed (`record`, `sealed_keys`, `inline`); the
//! catalog stores those bytes and never looks inside.

use strongroom_ids::{BlobId, BucketId, JobId, UploadId, VersionId};

use crate::event::{DeletionEvents, NewEvent};

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type UnixMillis = i64;

/// A bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Its id; bound into the keys of its objects.
    pub id: BucketId,
    /// Its name, unique in the store.
    pub name: String,
    /// The identity that created it.
    pub owner: String,
    /// The location constraint it was created with; empty where none was given.
    pub region: String,
    /// When it was created.
    pub created: UnixMillis,
    /// Whether overwriting keeps old versions.
    pub versioning: Versioning,
    /// How often it was changed, counted from 1; 0 of one that version 3 of the store wrote and the engine has not sealed since.
    pub revision: u64,
    /// Sealed: all that is configured of the bucket, or the revisions of its [documents](BucketChange::documents). Bound to the other fields.
    pub record: Vec<u8>,
    /// What version 3 of the store has in the place of the record.
    pub former: Option<FormerBucket>,
}

/// What version 3 of the store kept of a bucket beside its names and dates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormerBucket {
    /// Its default encryption.
    pub encryption: Option<BucketEncryption>,
    /// Authenticates all fields of the row.
    pub tag: Vec<u8>,
}

/// A change of what is configured of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketChange {
    /// The versioning state from now on.
    pub versioning: Versioning,
    /// The record from now on.
    pub record: Vec<u8>,
    /// Documents, by kind, that are written; those without bytes are removed. All others stay as they are. Sealed.
    pub documents: Vec<(String, Option<Vec<u8>>)>,
    /// Events that tell of it.
    pub events: Vec<NewEvent>,
}

/// The versioning state of a bucket (S3 `PutBucketVersioning`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versioning {
    /// Never enabled: every write replaces the one "null" version.
    #[default]
    Unversioned,
    /// Every write adds a version.
    Enabled,
    /// Every write replaces the "null" version and leaves the others.
    Suspended,
}

/// The default encryption of a bucket in version 3 of the store (S3 `PutBucketEncryption`, one rule).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketEncryption {
    /// As in the XML.
    pub algorithm: BucketEncryptionAlgorithm,
    /// The KMS key as the client gave it; only with the KMS algorithms.
    pub kms_key_id: Option<String>,
    /// Whether EKs derive from a bucket-level data key.
    pub bucket_key_enabled: bool,
}

/// `SSEAlgorithm` of a default encryption rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketEncryptionAlgorithm {
    /// `AES256`
    SseS3,
    /// `aws:kms`
    SseKms,
    /// `aws:kms:dsse`
    DsseKms,
}

/// The KMS key, and its version, that something depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyRef {
    /// The KMS backend (`local`, `vault`, …).
    pub backend: String,
    /// The master key, by the KMS's own id.
    pub key_id: String,
    /// The version of the master key.
    pub version: u32,
}

/// The sealed keys of a version or an upload: the only bytes that change when it is re-keyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The encryption mode, `strongroom_seal::Mode` as a byte.
    pub mode: u8,
    /// The KMS key it depends on (indexed); none for SSE-C and for objects under the store key.
    pub key: Option<KeyRef>,
    /// The EK as the KMS wrapped it; empty where `key` is none.
    pub wrapped_key: Vec<u8>,
    /// The sealed object keys (`docs/format.md`).
    pub sealed_keys: Vec<u8>,
}

/// The data of a version: where its sealed bytes lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionData {
    /// The encoded manifest (`docs/format.md`): parts, their salts, lengths and blobs.
    pub manifest: Vec<u8>,
    /// Sealed: the checksums of the parts, where they have any; else empty.
    pub part_record: Vec<u8>,
    /// The sealed bytes of a small object; none where they lie in blobs.
    pub inline: Option<Vec<u8>>,
}

/// One version of an object, or a delete marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The object key.
    pub key: String,
    /// The version's id, also where clients see it as "null".
    pub version_id: VersionId,
    /// Whether clients see this version as "null".
    pub is_null: bool,
    /// Whether it is the one that a read without a version id gets.
    pub is_latest: bool,
    /// Whether it is a delete marker: no envelope, no data.
    pub is_delete_marker: bool,
    /// Length of the plaintext in bytes.
    pub size_bytes: u64,
    /// Last-Modified.
    pub modified: UnixMillis,
    /// How often its keys, its record or its lock were changed.
    pub revision: u64,
    /// What keeps it from being deleted.
    pub lock: Lock,
    /// The sealed keys; none for a delete marker.
    pub envelope: Option<Envelope>,
    /// The sealed metadata record.
    pub record: Vec<u8>,
}

/// What keeps a version from being deleted (S3 Object Lock). In plain columns, so that the deleting transaction sees it; the record is bound to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    /// Until when it is retained.
    pub retention: Option<Retention>,
    /// Whether a legal hold is on.
    pub legal_hold: bool,
    /// Whether an event hold is on.
    pub event_hold: bool,
}

/// The retention of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Who may end it early.
    pub mode: RetentionMode,
    /// The moment at which it ends.
    pub until: UnixMillis,
}

/// Who may end a retention early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetentionMode {
    /// Whoever has the right to, and says so (`GOVERNANCE`).
    Governance,
    /// Nobody (`COMPLIANCE`).
    Compliance,
}

impl Lock {
    /// Whether a version with this lock cannot be deleted now. `bypass` ends a retention in governance mode.
    pub fn holds(&self, now: UnixMillis, bypass: bool) -> bool {
        let retained = self.retention.is_some_and(|retention| {
            let ends_early = bypass && retention.mode == RetentionMode::Governance;
            retention.until > now && !ends_early
        });
        self.legal_hold || self.event_hold || retained
    }
}

/// A version to delete, and the delete marker that a deletion without a version id may leave.
#[derive(Clone, Debug)]
pub struct Deletion {
    /// The bucket.
    pub bucket_id: BucketId,
    /// The object key.
    pub key: String,
    /// Which version.
    pub which: VersionSelector,
    /// What is expected of the latest version.
    pub expect: Expect,
    /// The revision that the version must have that is deleted or, by a delete marker, covered.
    pub seen: Option<u64>,
    /// The id of the delete marker.
    pub marker: VersionId,
    /// The Last-Modified of the delete marker.
    pub modified: UnixMillis,
    /// Whether a retention in governance mode is passed over.
    pub bypass: bool,
    /// What tells of it.
    pub events: DeletionEvents,
}

/// A version to commit.
#[derive(Clone, Debug)]
pub struct NewVersion {
    /// The bucket.
    pub bucket_id: BucketId,
    /// The object key.
    pub key: String,
    /// The version's id.
    pub version_id: VersionId,
    /// Length of the plaintext in bytes.
    pub size_bytes: u64,
    /// Last-Modified.
    pub modified: UnixMillis,
    /// What keeps it from being deleted.
    pub lock: Lock,
    /// The sealed keys.
    pub envelope: Envelope,
    /// The sealed metadata record.
    pub record: Vec<u8>,
    /// Where the bytes lie.
    pub data: VersionData,
    /// Every blob that the manifest names, once.
    pub blobs: Vec<BlobUse>,
    /// The multipart upload it came from, kept so that a repeated CompleteMultipartUpload finds it.
    pub upload_id: Option<UploadId>,
    /// What tells of it.
    pub event: Option<NewEvent>,
}

/// How a new version comes by a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobUse {
    /// The blob was just written, and nothing else refers to it.
    New {
        /// The blob.
        id: BlobId,
        /// Its sealed length in bytes.
        len_bytes: u64,
    },
    /// Something else refers to the blob too (CopyObject, UploadPartCopy): one reference more.
    Shared {
        /// The blob.
        id: BlobId,
    },
}

/// What a conditional write expects of the present latest version. ETags are sealed, so the engine
/// compares them and then expects the very version it looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Anything.
    Any,
    /// No latest version, or a delete marker (`If-None-Match: *`).
    Absent,
    /// This version is the latest (`If-Match`, after its ETag was compared).
    Latest(VersionId),
}

/// Which version a request means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionSelector {
    /// The latest.
    Latest,
    /// The one clients see as "null".
    Null,
    /// The one of this id (whether or not clients see it as "null").
    Id(VersionId),
}

/// What a commit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Whether the new version is seen as "null".
    pub is_null: bool,
}

/// What a delete did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// Nothing was there.
    Nothing,
    /// This version is gone.
    Removed {
        /// The version.
        version_id: VersionId,
        /// Whether it was a delete marker.
        was_delete_marker: bool,
        /// Whether clients saw it as "null".
        is_null: bool,
    },
    /// A delete marker was added.
    MarkerAdded {
        /// The marker's version id.
        version_id: VersionId,
        /// Whether clients see it as "null".
        is_null: bool,
    },
}

/// A listing of latest versions (ListObjects, ListObjectsV2) or of uploads.
#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    /// The bucket.
    pub bucket_id: BucketId,
    /// Only keys that begin so.
    pub prefix: String,
    /// Keys that share what comes before the first delimiter after the prefix are rolled into one entry.
    pub delimiter: Option<String>,
    /// Only entries greater than this one (a key, or a common prefix that was the last entry of the page before).
    pub after: Option<String>,
    /// At the most so many entries, keys and prefixes together.
    pub limit: usize,
}

/// An entry of a listing, in the order of UTF-8 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListEntry<T> {
    /// A key.
    Item(T),
    /// A common prefix.
    Prefix {
        /// The prefix, with the delimiter at its end.
        prefix: String,
        /// The first row below it: whoever believes no row unseen can see whether there is anything.
        first: T,
    },
}

/// A page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPage<T> {
    /// Up to `limit` entries.
    pub entries: Vec<ListEntry<T>>,
    /// Whether more entries follow.
    pub truncated: bool,
    /// How many rows on the way make no sense. They are left out, so that one of them does not take the listing away.
    pub unreadable: usize,
}

/// A multipart upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Its id.
    pub upload_id: UploadId,
    /// The bucket.
    pub bucket_id: BucketId,
    /// The object key.
    pub key: String,
    /// The id that the version will have: bound into the sealed keys from the start.
    pub version_id: VersionId,
    /// When it was begun.
    pub initiated: UnixMillis,
    /// The identity that began it.
    pub initiator: String,
    /// The sealed keys.
    pub envelope: Envelope,
    /// The sealed metadata record.
    pub record: Vec<u8>,
}

/// A part of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// 1 to 10,000.
    pub number: u16,
    /// Its blob.
    pub blob: BlobId,
    /// Sealed length of the blob in bytes. Where a part shares its blob, what is known of the blob counts.
    pub blob_len_bytes: u64,
    /// Length of the plaintext in bytes.
    pub size_bytes: u64,
    /// When it was uploaded.
    pub modified: UnixMillis,
    /// Sealed: its ETag, checksum and salt, or the keys of the blob that it shares.
    pub record: Vec<u8>,
}

/// What depends on one version of a KMS key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUsage {
    /// The key and its version.
    pub key: KeyRef,
    /// Object versions sealed under it.
    pub versions: u64,
    /// Their plaintext bytes.
    pub bytes: u64,
    /// Unfinished multipart uploads sealed under it.
    pub uploads: u64,
    /// The object versions by bucket, in the order of names; buckets that hold none are left out.
    pub buckets: Vec<BucketUsage>,
}

/// What of a bucket depends on one version of a KMS key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketUsage {
    /// The bucket's name.
    pub bucket: String,
    /// Object versions sealed under the key.
    pub versions: u64,
    /// Their plaintext bytes.
    pub bytes: u64,
}

/// A version that cannot be deleted now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedVersion {
    /// The bucket's name.
    pub bucket: String,
    /// The object key.
    pub key: String,
    /// The version's id, also where clients see it as "null".
    pub version_id: VersionId,
    /// What keeps it.
    pub lock: Lock,
}

/// A blob that nothing refers to any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeadBlob {
    /// When the last reference went, by the catalog's own clock.
    pub died_at: UnixMillis,
    /// The blob.
    pub id: BlobId,
}

/// A change of a version: of its keys, of its record or of its lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionChange {
    /// The bucket.
    pub bucket_id: BucketId,
    /// The object key.
    pub key: String,
    /// The version.
    pub version_id: VersionId,
    /// The revision that was seen: another one means that somebody was faster.
    pub seen: u64,
    /// The lock from now on.
    pub lock: Lock,
    /// The sealed keys from now on.
    pub envelope: Envelope,
    /// The sealed metadata record, which is bound to the lock and to the envelope's mode and key.
    pub record: Vec<u8>,
    /// See [`VersionData::part_record`].
    pub part_record: Vec<u8>,
    /// What tells of it.
    pub event: Option<NewEvent>,
}

/// New sealed keys for an upload: what re-keying changes of it, and all that it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reseal {
    /// The bucket.
    pub bucket_id: BucketId,
    /// The object key.
    pub key: String,
    /// The sealed keys that the new ones take the place of: others mean that somebody was faster.
    pub present: Vec<u8>,
    /// The new ones.
    pub envelope: Envelope,
    /// The sealed metadata record, which is bound to the envelope's mode and key.
    pub record: Vec<u8>,
}

/// Which versions, or uploads, a job is about. What is none, or empty, leaves nothing out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Those of this bucket.
    pub bucket_id: Option<BucketId>,
    /// Those whose key begins so.
    pub prefix: String,
    /// Those under a KMS key of this backend.
    pub backend: Option<String>,
    /// Those under a KMS key of this id.
    pub key_id: Option<String>,
    /// Those under this version of their KMS key.
    pub key_version: Option<u32>,
    /// Those of one of these encryption modes.
    pub modes: Vec<u8>,
}

impl Scope {
    /// The bucket whose keys with the prefix a walk goes through, in their order. None if it goes through all versions in the order of
    /// commit instead. A walk that an earlier release began in the order of commit continues that way.
    pub(crate) fn by_key(&self, after: &ScopePlace) -> Option<BucketId> {
        let has_begun_otherwise = after.key.is_none() && after.position > 0;
        self.bucket_id.filter(|_| !self.prefix.is_empty() && !has_begun_otherwise)
    }

    /// Whether it is about a version or an upload that has these.
    pub fn covers(&self, bucket_id: &BucketId, key: &str, mode: u8, kms_key: Option<&KeyRef>) -> bool {
        self.bucket_id.is_none_or(|wanted| wanted == *bucket_id)
            && key.starts_with(&self.prefix)
            && (self.modes.is_empty() || self.modes.contains(&mode))
            && self.covers_key(kms_key)
    }

    /// Whether only what depends on certain KMS keys is in it.
    pub fn names_keys(&self) -> bool {
        self.backend.is_some() || self.key_id.is_some() || self.key_version.is_some()
    }

    fn covers_key(&self, kms_key: Option<&KeyRef>) -> bool {
        let Some(key) = kms_key else { return !self.names_keys() };
        self.backend.as_ref().is_none_or(|wanted| *wanted == key.backend)
            && self.key_id.as_ref().is_none_or(|wanted| *wanted == key.key_id)
            && self.key_version.is_none_or(|wanted| wanted == key.version)
    }
}

/// The position of a walk through a [`Scope`]. The default is the beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScopePlace {
    /// In a walk in the order of keys: the current key. All lesser ones are done.
    pub key: Option<String>,
    /// The position in the order of commit: of all versions, or of those of this key.
    pub position: i64,
}

/// A part of a walk through a [`Scope`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopePage<T> {
    /// What is in the scope; may be empty though more follows.
    pub items: Vec<T>,
    /// Rows that make no sense, whether they are in the scope or not; of uploads always 0, for there such a row is an error.
    pub unreadable: u64,
    /// Where the walk goes on; none at its end.
    pub next: Option<ScopePlace>,
}

/// A version, with its bucket and what is sealed beside its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopedVersion {
    /// Where it stands in the order of commit.
    pub position: i64,
    /// Its bucket.
    pub bucket: Bucket,
    /// The version; it has an envelope.
    pub version: Version,
    /// See [`VersionData::part_record`].
    pub part_record: Vec<u8>,
}

/// An upload, with its bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopedUpload {
    /// Where it stands in the order of beginning.
    pub position: i64,
    /// Its bucket.
    pub bucket: Bucket,
    /// The upload.
    pub upload: Upload,
}

/// How much is in a part of a walk through a [`Scope`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeTally {
    /// Object versions.
    pub versions: u64,
    /// Their plaintext bytes.
    pub bytes: u64,
    /// Where the walk goes on; none at its end.
    pub next: Option<ScopePlace>,
}

/// Work that goes on in the background and outlives the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// What kind of work.
    pub kind: String,
    /// Whether it is to go on.
    pub is_active: bool,
    /// When it was started.
    pub started: UnixMillis,
    /// Sealed: what was asked for, by whom, how far it is.
    pub record: Vec<u8>,
}
