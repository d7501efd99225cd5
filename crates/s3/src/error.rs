//! The engine's errors as S3's codes and statuses: one match, no wildcard.
//!
//! Rows that the seeds and Amazon answer differently depend on the dialect. Where S3 has no code: a full store is
//! `InsufficientStorage` 507, which SDKs do not retry, because retrying does not help. A read-only or failing disk may be repaired
//! meanwhile: `ServiceUnavailable` 503.

use http::StatusCode;
use strongroom_engine::{Error, api::BodyError};

use crate::options::ErrorDialect;

/// What an error is to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict<'a> {
    pub(crate) code: &'a str,
    pub(crate) status: StatusCode,
    /// `Retry-After`
    pub(crate) retry_after_seconds: Option<u16>,
    /// `Content-Range: bytes */size`
    pub(crate) unsatisfied_size_bytes: Option<u64>,
    /// Whether the connection ends with the response.
    pub(crate) closes: bool,
}

impl<'a> Verdict<'a> {
    pub(crate) const fn new(code: &'a str, status: StatusCode) -> Self {
        Self { code, status, retry_after_seconds: None, unsatisfied_size_bytes: None, closes: false }
    }

    const fn retry_after(self, seconds: u16) -> Self {
        Self { retry_after_seconds: Some(seconds), ..self }
    }

    const fn unsatisfied(self, size_bytes: u64) -> Self {
        Self { unsatisfied_size_bytes: Some(size_bytes), ..self }
    }

    const fn closing(self) -> Self {
        Self { closes: true, ..self }
    }
}

/// Code and status of an engine's error. A row for each situation, as in the table it follows.
#[allow(clippy::match_same_arms)]
pub(crate) fn verdict(error: &Error, dialect: ErrorDialect) -> Verdict<'static> {
    use ErrorDialect::{Aws, Strongroom};
    let row = |code, status: u16| Verdict::new(code, StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    match (error, dialect) {
        (Error::CustomerKeyMd5Mismatch, Strongroom) => row("AccessDenied", 403),
        (Error::CustomerKeyMd5Mismatch, Aws) => row("InvalidArgument", 400),
        (Error::CustomerKeyRequired, _) => row("InvalidRequest", 400),
        (Error::CustomerKeyWrong, _) => row("AccessDenied", 403),
        (Error::CustomerKeyInsecure, _) => row("InvalidRequest", 400),
        (Error::CustomerAlgorithmInvalid, _) => row("InvalidEncryptionAlgorithmError", 400),
        (Error::CustomerHeaderMissing(_), _) => row("InvalidArgument", 400),
        (Error::CustomerKeyInvalid, _) => row("InvalidArgument", 400),
        (Error::CustomerKeyNotApplicable, _) => row("InvalidRequest", 400),
        (Error::PartKeyRequired, _) => row("InvalidRequest", 400),
        (Error::PartKeyWrong | Error::CustomerKeysBlocked | Error::EncryptionBelowMinimum { .. }, _) => row("AccessDenied", 403),

        (Error::SseHeaderNotAllowed, _) => row("InvalidArgument", 400),
        (Error::SseConflict, _) => row("InvalidArgument", 400),
        (Error::KmsHeaderWithoutKms(_), _) => row("InvalidArgument", 400),
        (Error::SseAlgorithmUnknown, _) => row("InvalidArgument", 400),
        (Error::KmsContextInvalid, _) => row("InvalidArgument", 400),
        (Error::KmsNotConfigured, _) => row("NotImplemented", 501),
        (Error::KmsKeyNotFound(_), Strongroom) => row("NotFound", 404),
        (Error::KmsKeyNotFound(_), Aws) => row("KMS.NotFoundException", 400),
        (Error::KmsKeyDisabled(_), _) => row("KMS.DisabledException", 400),
        (Error::KmsKeyPendingDeletion(_), _) => row("KMS.KMSInvalidStateException", 400),
        (Error::KmsKeySealed(_), _) => row("KMS.KMSInvalidStateException", 403),
        (Error::KmsSealed, _) => row("KMS.KMSInvalidStateException", 403),
        (Error::KmsKeyErased(_), _) => row("KMS.NotFoundException", 410),
        (Error::KmsAccessDenied { .. }, _) => row("AccessDenied", 403),
        (Error::KmsUnavailable(_), Strongroom) => row("InternalError", 503).retry_after(5),
        (Error::KmsUnavailable(_), Aws) => row("ServiceUnavailable", 503).retry_after(5),
        (Error::KmsUnsupported(_), _) => row("NotImplemented", 501),

        (Error::AuditUnavailable(_), _) => row("InternalError", 503).retry_after(5),

        (Error::Integrity(_), _) => row("InternalError", 500),

        (Error::NoSuchBucket, _) => row("NoSuchBucket", 404),
        (Error::BucketAlreadyOwnedByYou, _) => row("BucketAlreadyOwnedByYou", 409),
        (Error::BucketAlreadyExists, _) => row("BucketAlreadyExists", 409),
        (Error::BucketNotEmpty, _) => row("BucketNotEmpty", 409),
        (Error::InvalidBucketName(_), _) => row("InvalidBucketName", 400),
        (Error::BucketEncryptionNotFound, _) => row("ServerSideEncryptionConfigurationNotFoundError", 404),
        (Error::MalformedXml(_), _) => row("MalformedXML", 400),

        (Error::NoSuchKey, _) => row("NoSuchKey", 404),
        (Error::NoSuchVersion, _) => row("NoSuchVersion", 404),
        (Error::DeleteMarker { named: true, .. }, _) => row("MethodNotAllowed", 405),
        (Error::DeleteMarker { named: false, .. }, _) => row("NoSuchKey", 404),
        (Error::KeyTooLong, _) => row("KeyTooLongError", 400),
        (Error::MetadataTooLarge, _) => row("MetadataTooLarge", 400),
        (Error::EntityTooLarge, _) => row("EntityTooLarge", 400),
        (Error::PreconditionFailed, _) => row("PreconditionFailed", 412),
        (Error::NotModified, _) => row("NotModified", 304),
        (Error::InvalidRange { size_bytes }, _) => row("InvalidRange", 416).unsatisfied(*size_bytes),
        (Error::InvalidPartNumber, _) => row("InvalidPartNumber", 416),
        (Error::CopyChangesNothing, _) => row("InvalidRequest", 400),
        (Error::ConditionalConflict, _) => row("ConditionalRequestConflict", 409),

        (Error::NoSuchUpload, _) => row("NoSuchUpload", 404),
        (Error::InvalidPart, _) => row("InvalidPart", 400),
        (Error::InvalidPartOrder, _) => row("InvalidPartOrder", 400),
        (Error::EntityTooSmall { .. }, _) => row("EntityTooSmall", 400),

        (Error::InvalidDigest, _) => row("InvalidDigest", 400),
        (Error::BadDigest(_), _) => row("BadDigest", 400),
        (Error::IncompleteBody, _) => row("IncompleteBody", 400),
        (Error::Body(BodyError::Sha256Mismatch), _) => row("XAmzContentSHA256Mismatch", 400),
        (Error::Body(BodyError::SignatureMismatch), _) => row("SignatureDoesNotMatch", 403),
        (Error::Body(BodyError::Incomplete | BodyError::Malformed), _) => row("IncompleteBody", 400),
        (Error::Body(BodyError::ChunkTooSmall), _) => row("InvalidChunkSizeError", 403),
        (Error::Body(BodyError::TrailerMissing(_)), _) => row("InvalidRequest", 400),
        (Error::Body(BodyError::TrailerMalformed), _) => row("MalformedTrailerError", 400),
        (Error::Body(BodyError::TooLarge), _) => row("EntityTooLarge", 400),
        (Error::Body(BodyError::Timeout), _) => row("RequestTimeout", 400).closing(),
        (Error::MissingContentLength, _) => row("MissingContentLength", 411),

        (Error::NoSuchJob(_), _) => row("NoSuchJob", 404),
        (Error::TooManyJobs(_), _) => row("OperationAborted", 409),

        (Error::InvalidArgument(_), _) => row("InvalidArgument", 400),
        (Error::InvalidRequest(_), _) => row("InvalidRequest", 400),
        (Error::AccessDenied, _) => row("AccessDenied", 403),
        (Error::BucketOwnerMismatch | Error::ObjectLocked, _) => row("AccessDenied", 403),
        (Error::ObjectLockConfigurationNotFound, _) => row("ObjectLockConfigurationNotFoundError", 404),
        (Error::NoSuchObjectLock, _) => row("NoSuchObjectLockConfiguration", 404),
        (Error::InvalidBucketState(_), _) => row("InvalidBucketState", 409),
        (Error::InvalidRetentionPeriod { .. }, _) => row("InvalidRetentionPeriod", 400),
        (Error::IllegalVersioning, _) => row("IllegalVersioningConfigurationException", 400),
        (Error::AclNotSupported, _) => row("AccessControlListNotSupported", 400),
        (Error::AclContradictsOwnership, _) => row("InvalidBucketAclWithObjectOwnership", 400),
        (Error::NoSuchBucketPolicy, _) => row("NoSuchBucketPolicy", 404),
        (Error::MalformedPolicy(_), _) => row("MalformedPolicy", 400),
        (Error::PublicPolicyBlocked, _) => row("AccessDenied", 403),
        (Error::NoSuchTagSet, _) => row("NoSuchTagSet", 404),
        (Error::NoSuchLifecycle, _) => row("NoSuchLifecycleConfiguration", 404),
        (Error::InvalidTag(_), _) => row("InvalidTag", 400),
        (Error::TooManyTags { .. }, _) => row("BadRequest", 400),

        (Error::StorageFull, _) => row("InsufficientStorage", 507),
        (Error::StorageReadOnly | Error::StorageFailing, _) => row("ServiceUnavailable", 503).retry_after(5),
        (Error::Busy, _) => row("SlowDown", 503).retry_after(1),
        (Error::Internal(_), _) => row("InternalError", 500),
    }
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
