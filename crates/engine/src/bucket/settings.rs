//! What is configured of a bucket, sealed in its row (`docs/format.md`, "Records").

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strongroom_access::{Acl, MAIN_ACCOUNT};
use strongroom_catalog::{Bucket, Versioning};
use strongroom_seal::{Mode, RecordKind, StoreKey};

use super::DocumentKind;
use crate::{
    EncryptionType, Error,
    api::{DefaultLock, ObjectOwnership, PublicAccessBlock},
    record,
};

/// What is configured of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Settings {
    /// The default encryption.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) encryption: Option<BucketEncryption>,
    /// Whether its versions can be locked, and the locks that new ones get.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) object_lock: Option<DefaultLock>,
    /// The types of encryption that its writes may not have, where it was said; else what the store blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) blocked: Option<Vec<EncryptionType>>,
    /// Who owns its objects, where it was said; else as new buckets have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ownership: Option<Stated<ObjectOwnership>>,
    /// Its ACL, where it grants anything to others than its owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) acl: Option<Acl>,
    /// What is blocked of public access, where it was said; else as new buckets have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) public_access_block: Option<Stated<PublicAccessBlock>>,
    /// The account that it belongs to, where that is not the main one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<String>,
    /// Its documents, each with the revision of the bucket that wrote it: none can be taken away, or be put back.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    documents: BTreeMap<String, u64>,
}

/// Configuration that new buckets have: what took its place, or that it was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stated<T> {
    Set(T),
    Removed,
}

impl<T: Copy> Stated<T> {
    pub(crate) fn of(value: Option<T>) -> Self {
        value.map_or(Self::Removed, Self::Set)
    }

    /// The value of a bucket for which `stated` was said, or nothing.
    pub(crate) fn value_of(stated: Option<Self>, of_new_buckets: T) -> Option<T> {
        match stated {
            None => Some(of_new_buckets),
            Some(Self::Set(value)) => Some(value),
            Some(Self::Removed) => None,
        }
    }
}

/// The default encryption of a bucket (S3 `PutBucketEncryption`, one rule).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BucketEncryption {
    /// As in the XML.
    pub(crate) algorithm: BucketEncryptionAlgorithm,
    /// The KMS key as the client gave it; only with the KMS algorithms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kms_key_id: Option<String>,
    /// Whether EKs derive from a bucket-level data key.
    #[serde(default)]
    pub(crate) bucket_key_enabled: bool,
}

/// `SSEAlgorithm` of a default encryption rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BucketEncryptionAlgorithm {
    #[serde(rename = "AES256")]
    SseS3,
    #[serde(rename = "aws:kms")]
    SseKms,
    #[serde(rename = "aws:kms:dsse")]
    DsseKms,
}

impl BucketEncryptionAlgorithm {
    /// The mode of what is written by it.
    pub(crate) fn mode(self) -> Mode {
        match self {
            Self::SseS3 => Mode::SseS3,
            Self::SseKms => Mode::SseKms,
            Self::DsseKms => Mode::DsseKms,
        }
    }
}

impl Settings {
    pub(crate) fn of_encryption(encryption: Option<BucketEncryption>) -> Self {
        Self { encryption, ..Self::default() }
    }

    /// Those of a new bucket of an account, whose versions can be locked where `object_lock` is given.
    pub(crate) fn of_new_bucket(account: &str, object_lock: Option<DefaultLock>, ownership: Option<ObjectOwnership>) -> Self {
        let account = Some(account.to_owned()).filter(|account| account != MAIN_ACCOUNT);
        Self { account, object_lock, ownership: ownership.map(Stated::Set), ..Self::default() }
    }

    /// Seals them for this row, whose own record does not count.
    pub(crate) fn seal(&self, store_key: &StoreKey, row: &Bucket) -> Result<Vec<u8>, Error> {
        with_fields(row, |fields| record::seal(store_key, RecordKind::Document, fields, self))
    }

    pub(super) fn open(store_key: &StoreKey, row: &Bucket) -> Result<Self, Error> {
        let altered = |_| Error::Integrity("the bucket's row was altered".into());
        with_fields(row, |fields| record::open(store_key, RecordKind::Document, fields, &row.record, "bucket record")).map_err(altered)
    }

    /// At which revision of the bucket its document of this kind was written.
    pub(crate) fn revision_of(&self, kind: DocumentKind) -> Option<u64> {
        self.documents.get(kind.name()).copied()
    }

    pub(super) fn note_document(&mut self, kind: DocumentKind, revision: Option<u64>) {
        match revision {
            Some(revision) => self.documents.insert(kind.name().to_owned(), revision),
            None => self.documents.remove(kind.name()),
        };
    }
}

/// All of the row that does not lie sealed in the record.
fn with_fields<T>(row: &Bucket, use_fields: impl FnOnce(&[&[u8]]) -> T) -> T {
    let (name, owner, region) = (row.name.as_bytes(), row.owner.as_bytes(), row.region.as_bytes());
    let (created, revision) = (row.created.to_be_bytes(), row.revision.to_be_bytes());
    use_fields(&[b"bucket", &row.id.0, name, owner, region, &created, &[versioning_code(row.versioning)], &revision])
}

/// As the records and tags of buckets have it.
pub(super) fn versioning_code(versioning: Versioning) -> u8 {
    match versioning {
        Versioning::Unversioned => 0,
        Versioning::Enabled => 1,
        Versioning::Suspended => 2,
    }
}
