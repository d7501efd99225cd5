//! Configuration of a bucket that is too large for its row, or that most requests do not need: a sealed row for each kind.

use serde::{Serialize, de::DeserializeOwned};
use strongroom_catalog::BucketId;
use strongroom_seal::{RecordKind, StoreKey};

use super::{Bucket, Changed};
use crate::{Engine, Error};

/// The kinds of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DocumentKind {
    /// The tags of the bucket (S3 `PutBucketTagging`).
    Tagging,
    /// Its lifecycle rules (S3 `PutBucketLifecycleConfiguration`).
    Lifecycle,
    /// How far the rules were carried out.
    LifecycleState,
    /// Its CORS rules (S3 `PutBucketCors`).
    Cors,
    /// Its policy, as it was given (S3 `PutBucketPolicy`).
    Policy,
    /// Where its events go (S3 `PutBucketNotificationConfiguration`).
    Notification,
}

impl DocumentKind {
    /// As the catalog keeps it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tagging => "tagging",
            Self::Lifecycle => "lifecycle",
            Self::LifecycleState => "lifecycle-state",
            Self::Cors => "cors",
            Self::Policy => "policy",
            Self::Notification => "notification",
        }
    }
}

impl Engine {
    /// A document of a bucket, with the bucket.
    pub(crate) async fn bucket_document<T: DeserializeOwned>(&self, name: &str, kind: DocumentKind) -> Result<(Bucket, Option<T>), Error> {
        let (row, sealed) = self.catalog().bucket_document(name, kind.name()).await?.ok_or(Error::NoSuchBucket)?;
        let bucket = self.trusted(row)?;
        let opened = match (bucket.settings.revision_of(kind), sealed) {
            (None, None) => return Ok((bucket, None)),
            (Some(revision), Some(sealed)) => open(self.store_key(), bucket.id, kind, revision, &sealed),
            (Some(_), None) => Err(Error::Integrity(format!("the document {} of the bucket is missing", kind.name()))),
            (None, Some(_)) => Err(Error::Integrity(format!("the document {} of the bucket should not be there", kind.name()))),
        };
        let content = opened.map_err(|error| self.integrity().note(error, name, ""))?;
        let parsed = serde_json::from_slice(&content).map_err(|_| Error::Integrity(format!("the document {} does not parse", kind.name())));
        Ok((bucket, Some(parsed.map_err(|error| self.integrity().note(error, name, ""))?)))
    }

    /// Writes a document of a bucket, or removes it.
    pub(crate) async fn set_bucket_document(&self, name: &str, kind: DocumentKind, document: Option<&impl Serialize>) -> Result<(), Error> {
        let content = document.map(serde_json::to_vec).transpose().map_err(|error| Error::Internal(error.into()))?;
        self.change_bucket(name, |bucket| Ok(Changed { documents: vec![(kind, content.clone())], ..Changed::from(bucket) })).await
    }
}

pub(super) fn seal(store_key: &StoreKey, bucket: BucketId, kind: DocumentKind, revision: u64, content: &[u8]) -> Result<Vec<u8>, Error> {
    let sealed = store_key.seal_record(RecordKind::Document, &fields(&bucket, kind, &revision.to_be_bytes()), content);
    sealed.map_err(|error| Error::Internal(error.into()))
}

fn open(store_key: &StoreKey, bucket: BucketId, kind: DocumentKind, revision: u64, sealed: &[u8]) -> Result<Vec<u8>, Error> {
    let opened = store_key.open_record(RecordKind::Document, &fields(&bucket, kind, &revision.to_be_bytes()), sealed);
    opened.map_err(|error| Error::Integrity(format!("the document {} of the bucket: {error}", kind.name())))
}

fn fields<'a>(bucket: &'a BucketId, kind: DocumentKind, revision: &'a [u8]) -> [&'a [u8]; 4] {
    [b"bucket document", &bucket.0, kind.name().as_bytes(), revision]
}
