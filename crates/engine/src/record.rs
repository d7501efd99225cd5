//! What is sealed under the store key: everything about an object that a reader of the disk must not learn.
//!
//! Records are JSON inside `StoreKey::seal_record` (`docs/format.md`, "Records").

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use strongroom_access::Acl;
use strongroom_catalog::{BlobId, BucketId, KeyRef, Lock, Part, RetentionMode, Upload, UploadId, Version, VersionEntry, VersionId};
use strongroom_seal::{ManifestPart, PartSalt, RecordKind, StoreKey};

use crate::{
    Error,
    api::{Attributes, Checksum, ChecksumAlgorithm, ChecksumKind, ObjectHeaders, Period, Tag},
};

/// The sealed metadata of an object version.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ObjectRecord {
    pub(crate) etag: Etag,
    pub(crate) headers: ObjectHeaders,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) checksum: Option<Checksum>,
    /// How many parts a multipart upload gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parts_count: Option<u32>,
    /// The digest, in hex, of the numbers and ETags of the parts that CompleteMultipartUpload named. None in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) completed_with: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<Tag>,
    #[serde(default, skip_serializing_if = "RecordedLock::is_empty")]
    pub(crate) lock: RecordedLock,
    /// None where it is the bucket's owner's and nobody else's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) acl: Option<Box<Acl>>,
    pub(crate) sse: RecordedSse,
    /// SHA-256 of the encoded manifest, hex: ties parts, their order and their salts to this record.
    pub(crate) manifest_sha256: String,
}

/// What a listing shows of an [`ObjectRecord`]. A page has a thousand of them, so what it does not show is passed over, not read.
#[derive(Debug, Deserialize)]
pub(crate) struct ListedRecord {
    pub(crate) etag: ListedEtag,
    pub(crate) headers: ListedHeaders,
    #[serde(default)]
    pub(crate) checksum: Option<ListedChecksum>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ListedEtag {
    pub(crate) shown: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ListedHeaders {
    #[serde(default)]
    pub(crate) storage_class: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ListedChecksum {
    pub(crate) algorithm: ChecksumAlgorithm,
    pub(crate) kind: ChecksumKind,
}

/// The sealed metadata of an upload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct UploadRecord {
    pub(crate) headers: ObjectHeaders,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub(crate) attributes: Attributes,
    pub(crate) sse: RecordedSse,
}

/// The sealed metadata of a part of an upload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PartRecord {
    pub(crate) etag: Etag,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) checksum: Option<Checksum>,
    /// The salt of a part that was sealed for this upload, hex. One that shares a blob has none, so that an earlier release, which would take it
    /// for its own, refuses its record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) salt: Option<String>,
    /// What the manifest is to say of a part that shares the blob of another object, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) shared: Option<String>,
    /// When it was uploaded, in milliseconds since 1970; none in records of earlier versions, whose rows nothing vouches for in this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) modified: Option<i64>,
}

/// An entity tag, and the MD5 form it would have if the mode allowed to show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Etag {
    /// What clients see, without quotes.
    pub(crate) shown: String,
    /// The MD5 of the data (or of the parts' MD5s, with `-N`), where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) md5: Option<String>,
}

impl Etag {
    /// Whether clients see the MD5.
    pub(crate) fn shown_is_md5(&self) -> bool {
        self.md5.as_ref() == Some(&self.shown)
    }
}

/// What is remembered of a version's lock, beside the columns that enforce it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RecordedLock {
    /// Whether a legal hold was ever set or lifted: S3 tells "off" from "never".
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) legal_hold_given: bool,
    /// For how long the version is retained once its event hold is released. None where it never had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) event_hold_period: Option<Period>,
}

impl RecordedLock {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What is remembered of how an object is encrypted, beside its envelope.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RecordedSse {
    /// The KMS key id as the client gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kms_key_id: Option<String>,
    /// The client's encryption context, base64 as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kms_context: Option<String>,
    /// Whether the EK derives from a bucket-level data key.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) bucket_key: bool,
    /// SSE-C: tells a wrong key from a damaged object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) customer: Option<CustomerKeyCheck>,
}

/// A salted check value of a customer key, hex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CustomerKeyCheck {
    pub(crate) salt: String,
    pub(crate) check: String,
}

/// The plain columns that a version's record is bound to: none of them can be altered, and no record can be moved.
pub(crate) struct VersionBinding<'a> {
    pub(crate) bucket_id: BucketId,
    pub(crate) key: &'a str,
    pub(crate) version_id: VersionId,
    pub(crate) size_bytes: u64,
    pub(crate) modified: i64,
    pub(crate) mode: u8,
    pub(crate) kms_key: Option<&'a KeyRef>,
    pub(crate) lock: Lock,
}

impl<'a> VersionBinding<'a> {
    pub(crate) fn of(bucket_id: BucketId, version: &'a Version) -> Self {
        Self {
            bucket_id,
            key: &version.key,
            version_id: version.version_id,
            size_bytes: version.size_bytes,
            modified: version.modified,
            // A delete marker has no record, so none is ever sealed with this number.
            mode: version.envelope.as_ref().map_or(u8::MAX, |envelope| envelope.mode),
            kms_key: version.envelope.as_ref().and_then(|envelope| envelope.key.as_ref()),
            lock: version.lock,
        }
    }

    /// Of a delete marker there is none.
    pub(crate) fn of_entry(bucket_id: BucketId, entry: &'a VersionEntry) -> Self {
        Self {
            bucket_id,
            key: &entry.key,
            version_id: entry.version_id,
            size_bytes: entry.size_bytes,
            modified: entry.modified,
            mode: entry.mode.unwrap_or(u8::MAX),
            kms_key: entry.kms_key.as_deref(),
            lock: entry.lock,
        }
    }

    fn with_fields<T>(&self, use_fields: impl FnOnce(&[&[u8]]) -> T) -> T {
        let (size, modified) = (self.size_bytes.to_be_bytes(), self.modified.to_be_bytes());
        let (backend, key_id, key_version) = kms_key_fields(self.kms_key);
        let key = self.key.as_bytes();
        let mode = [self.mode];
        let (lock, until) = lock_fields(&self.lock);
        let fields =
            [&self.bucket_id.0[..], key, &self.version_id.0, &size, &modified, &mode, backend, key_id, &key_version, &lock, &until];
        // What has no lock is bound as it was before there were locks.
        use_fields(if self.lock == Lock::default() { &fields[..fields.len() - 2] } else { &fields })
    }
}

impl ObjectRecord {
    pub(crate) fn seal(&self, store_key: &StoreKey, binding: &VersionBinding<'_>) -> Result<Vec<u8>, Error> {
        binding.with_fields(|fields| seal(store_key, RecordKind::Version, fields, self))
    }

    pub(crate) fn open(store_key: &StoreKey, binding: &VersionBinding<'_>, sealed: &[u8]) -> Result<Self, Error> {
        binding.with_fields(|fields| open(store_key, RecordKind::Version, fields, sealed, "metadata record"))
    }
}

impl ListedRecord {
    /// Opens it where it lies.
    pub(crate) fn open(store_key: &StoreKey, binding: &VersionBinding<'_>, sealed: &mut [u8]) -> Result<Self, Error> {
        binding.with_fields(|fields| open_in_place(store_key, RecordKind::Version, fields, sealed, "metadata record"))
    }
}

/// The retention's mode and whether the holds are on, in three bytes; then the end of the retention.
fn lock_fields(lock: &Lock) -> ([u8; 3], [u8; 8]) {
    let mode = match lock.retention.map(|retention| retention.mode) {
        None => 0,
        Some(RetentionMode::Governance) => 1,
        Some(RetentionMode::Compliance) => 2,
    };
    let until = lock.retention.map_or(0, |retention| retention.until);
    ([mode, lock.legal_hold.into(), lock.event_hold.into()], until.to_be_bytes())
}

/// The key that a row depends on decides who may read it, so it is bound too.
fn kms_key_fields(kms_key: Option<&KeyRef>) -> (&[u8], &[u8], [u8; 4]) {
    kms_key.map_or((&[], &[], [0; 4]), |key| (key.backend.as_bytes(), key.key_id.as_bytes(), key.version.to_be_bytes()))
}

impl UploadRecord {
    /// Bound to all of the upload's row but the record itself.
    pub(crate) fn seal(&self, store_key: &StoreKey, upload: &Upload) -> Result<Vec<u8>, Error> {
        with_upload_fields(upload, |fields| seal(store_key, RecordKind::Upload, fields, self))
    }

    pub(crate) fn open(store_key: &StoreKey, upload: &Upload) -> Result<Self, Error> {
        with_upload_fields(upload, |fields| open(store_key, RecordKind::Upload, fields, &upload.record, "upload record"))
    }
}

fn with_upload_fields<T>(upload: &Upload, use_fields: impl FnOnce(&[&[u8]]) -> T) -> T {
    let (backend, key_id, key_version) = kms_key_fields(upload.envelope.key.as_ref());
    let (initiated, mode) = (upload.initiated.to_be_bytes(), [upload.envelope.mode]);
    let (key, initiator) = (upload.key.as_bytes(), upload.initiator.as_bytes());
    let (upload_id, bucket_id, version_id) = (&upload.upload_id, &upload.bucket_id, &upload.version_id);
    use_fields(&[&upload_id.0, &bucket_id.0, key, &version_id.0, &initiated, initiator, &mode, backend, key_id, &key_version])
}

impl PartRecord {
    pub(crate) fn seal(
        &self,
        store_key: &StoreKey,
        upload_id: &UploadId,
        number: u16,
        size_bytes: u64,
        blob: BlobId,
    ) -> Result<Vec<u8>, Error> {
        seal(store_key, RecordKind::Part, &[&upload_id.0, &number.to_be_bytes(), &size_bytes.to_be_bytes(), &blob.0], self)
    }

    pub(crate) fn open(store_key: &StoreKey, upload_id: &UploadId, part: &Part) -> Result<Self, Error> {
        let (number, size) = (part.number.to_be_bytes(), part.size_bytes.to_be_bytes());
        let record: Self = open(store_key, RecordKind::Part, &[&upload_id.0, &number, &size, &part.blob.0], &part.record, "part record")?;
        if record.modified.is_some_and(|modified| modified != part.modified) {
            return Err(Error::Integrity("the date of its part was altered".into()));
        }
        Ok(record)
    }
}

/// The line of the manifest for a part of an upload.
pub(crate) fn manifest_part(part: &Part, record: &PartRecord) -> Result<ManifestPart, Error> {
    let malformed = || Error::Integrity("a part's record says nothing of its keys".into());
    let own = |salt: &String| {
        let mut bytes = [0; 32];
        hex::decode_to_slice(salt, &mut bytes).map_err(|_| malformed())?;
        let salt = PartSalt(bytes);
        Ok(ManifestPart { number: part.number, plaintext_len: part.size_bytes, salt, blob: part.blob, shared: None })
    };
    let shared = |line: &String| {
        let line = ManifestPart::from_bytes(&hex::decode(line).map_err(|_| malformed())?).map_err(|_| malformed())?;
        let is_meant = (line.number, line.plaintext_len, line.blob) == (part.number, part.size_bytes, part.blob);
        if is_meant && line.shared.is_some() { Ok(line) } else { Err(malformed()) }
    };
    match (&record.salt, &record.shared) {
        (Some(salt), None) => own(salt),
        (None, Some(line)) => shared(line),
        _ => Err(malformed()),
    }
}

/// The checksums of an object's parts, in the order of the manifest, sealed apart so that listings need not read them.
pub(crate) fn seal_part_checksums(
    store_key: &StoreKey,
    binding: &VersionBinding<'_>,
    checksums: &[Option<Checksum>],
) -> Result<Vec<u8>, Error> {
    if checksums.iter().all(Option::is_none) {
        return Ok(Vec::new());
    }
    binding.with_fields(|fields| seal(store_key, RecordKind::Part, fields, &checksums))
}

/// The reverse of [`seal_part_checksums`].
pub(crate) fn open_part_checksums(
    store_key: &StoreKey,
    binding: &VersionBinding<'_>,
    sealed: &[u8],
) -> Result<Vec<Option<Checksum>>, Error> {
    if sealed.is_empty() {
        return Ok(Vec::new());
    }
    binding.with_fields(|fields| open(store_key, RecordKind::Part, fields, sealed, "part checksums"))
}

pub(crate) fn seal(store_key: &StoreKey, kind: RecordKind, fields: &[&[u8]], record: &impl Serialize) -> Result<Vec<u8>, Error> {
    let plain = serde_json::to_vec(record).map_err(|error| Error::Internal(error.into()))?;
    store_key.seal_record(kind, fields, &plain).map_err(|error| Error::Internal(error.into()))
}

pub(crate) fn open<T: DeserializeOwned>(
    store_key: &StoreKey,
    kind: RecordKind,
    fields: &[&[u8]],
    sealed: &[u8],
    what: &str,
) -> Result<T, Error> {
    open_in_place(store_key, kind, fields, &mut sealed.to_vec(), what)
}

fn open_in_place<T: DeserializeOwned>(
    store_key: &StoreKey,
    kind: RecordKind,
    fields: &[&[u8]],
    sealed: &mut [u8],
    what: &str,
) -> Result<T, Error> {
    let plain = store_key.open_record_in_place(kind, fields, sealed).map_err(|error| Error::Integrity(format!("its {what}: {error}")))?;
    // Looked at once as a whole, which is faster than string by string.
    let text = std::str::from_utf8(plain).ok();
    text.and_then(|text| serde_json::from_str(text).ok()).ok_or_else(|| Error::Integrity(format!("its {what} does not parse")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use strongroom_seal::{Layers, ObjectKeys};

    use super::*;

    fn own() -> ManifestPart {
        ManifestPart { number: 1, plaintext_len: 5, salt: PartSalt([1; 32]), blob: BlobId([2; 16]), shared: None }
    }

    fn shared() -> ManifestPart {
        own().share(&ObjectKeys::generate(Layers::One), 7, &ObjectKeys::generate(Layers::One)).unwrap()
    }

    fn row(line: &ManifestPart) -> Part {
        Part { number: line.number, blob: line.blob, blob_len_bytes: 69, size_bytes: line.plaintext_len, modified: 0, record: Vec::new() }
    }

    fn record(salt: Option<&PartSalt>, line: Option<&ManifestPart>) -> PartRecord {
        let etag = Etag { shown: "etag".into(), md5: None };
        let (salt, shared) = (salt.map(|salt| hex::encode(salt.0)), line.map(|line| hex::encode(line.to_bytes())));
        PartRecord { etag, checksum: None, salt, shared, modified: Some(0) }
    }

    #[test]
    fn a_part_has_either_a_salt_or_the_line_of_a_shared_part() {
        let (own, shared) = (own(), shared());
        assert_eq!(manifest_part(&row(&own), &record(Some(&own.salt), None)).unwrap(), own);
        assert_eq!(manifest_part(&row(&shared), &record(None, Some(&shared))).unwrap(), shared);
        for (salt, line) in [(None, None), (Some(&shared.salt), Some(&shared)), (None, Some(&own))] {
            assert!(matches!(manifest_part(&row(&shared), &record(salt, line)), Err(Error::Integrity(_))));
        }
        for other in
            [Part { number: 8, ..row(&shared) }, Part { size_bytes: 6, ..row(&shared) }, Part { blob: BlobId([3; 16]), ..row(&shared) }]
        {
            assert!(matches!(manifest_part(&other, &record(None, Some(&shared))), Err(Error::Integrity(_))));
        }
    }

    /// The story: a store goes back to the release before, in the middle of an upload. That release passes over fields that it does not know,
    /// and would complete the upload with a salt from which no key of the blob derives.
    #[test]
    fn an_earlier_release_misses_the_salt_of_a_shared_part() {
        let json = serde_json::to_value(record(None, Some(&shared()))).unwrap();
        assert_eq!(json.get("salt"), None);
        let json = serde_json::to_value(record(Some(&own().salt), None)).unwrap();
        assert_eq!((json["salt"].as_str().map(str::len), json.get("shared")), (Some(64), None), "of its own parts it misses nothing");
    }
}
