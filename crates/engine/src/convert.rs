//! What the errors of the parts mean for an operation.

use strongroom_access::IdentityError;
use strongroom_blobs::BlobError;
use strongroom_catalog::CatalogError;
use strongroom_kms::KmsError;

use crate::{Error, api::BodyError};

impl From<KmsError> for Error {
    fn from(error: KmsError) -> Self {
        match error {
            KmsError::KeyNotFound(id) => Self::KmsKeyNotFound(id),
            KmsError::KeyErased(id) => Self::KmsKeyErased(id),
            KmsError::KeyDisabled(id) => Self::KmsKeyDisabled(id),
            KmsError::KeyPendingDeletion(id) => Self::KmsKeyPendingDeletion(id),
            KmsError::KeySealed(id) => Self::KmsKeySealed(id),
            KmsError::ServiceSealed => Self::KmsSealed,
            KmsError::InvalidArgument(what) => Self::InvalidArgument(what),
            KmsError::Rejected => Self::Integrity("the KMS rejects its wrapped data key".into()),
            KmsError::Unsupported { .. } => Self::KmsUnsupported(error.to_string()),
            KmsError::Denied(_) | KmsError::Unavailable(_) | KmsError::Broken(_) => Self::KmsUnavailable(error),
            KmsError::NotConfigured => Self::KmsNotConfigured,
            KmsError::KeyExists(_) | KmsError::Conflict(_) => Self::Internal(error.into()),
        }
    }
}

/// What failed when a data key was to be made: there is nothing yet that could be damaged.
pub(crate) fn of_generating(error: KmsError) -> Error {
    match error {
        KmsError::Rejected => Error::KmsUnavailable(error),
        other => other.into(),
    }
}

impl From<CatalogError> for Error {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::NoSuchBucket => Self::NoSuchBucket,
            CatalogError::BucketNotEmpty => Self::BucketNotEmpty,
            CatalogError::BucketExists { .. } => Self::BucketAlreadyExists,
            CatalogError::NoSuchVersion => Self::NoSuchVersion,
            CatalogError::NoSuchUpload => Self::NoSuchUpload,
            CatalogError::PreconditionFailed => Self::PreconditionFailed,
            CatalogError::Locked(_) => Self::ObjectLocked,
            CatalogError::PartChanged(_) | CatalogError::UploadResealed | CatalogError::BlobGone => Self::ConditionalConflict,
            CatalogError::Full => Self::StorageFull,
            CatalogError::Busy => Self::Busy,
            CatalogError::Damaged(what) => Self::Integrity(what),
            CatalogError::TooNew { .. } | CatalogError::Database(_) | CatalogError::NoSuchEntity(_) | CatalogError::EntityInUse(_) => {
                Self::Internal(error.into())
            }
        }
    }
}

impl From<IdentityError> for Error {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Unavailable => Self::Busy,
            error => Self::Internal(error.into()),
        }
    }
}

impl From<BlobError> for Error {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Missing(_) | BlobError::Short { .. } | BlobError::NotAFile(_) => Self::Integrity(error.to_string()),
            BlobError::Full(_) => Self::StorageFull,
            BlobError::Io(_) => Self::Internal(error.into()),
        }
    }
}

impl From<BodyError> for Error {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Incomplete => Self::IncompleteBody,
            BodyError::TooLarge => Self::EntityTooLarge,
            BodyError::Sha256Mismatch
            | BodyError::SignatureMismatch
            | BodyError::Malformed
            | BodyError::ChunkTooSmall
            | BodyError::TrailerMissing(_)
            | BodyError::TrailerMalformed
            | BodyError::Timeout => Self::Body(error),
        }
    }
}
