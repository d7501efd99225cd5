use strongroom_audit::AuditError;
use strongroom_engine::{MinimumMode, api::Mode};
use strongroom_kms::KmsError;

use super::*;

/// Every error with its place among the variants (the match makes a new variant show up here), and what each dialect answers.
fn ordinal(error: &Error) -> usize {
    match error {
        Error::CustomerKeyMd5Mismatch => 0,
        Error::CustomerKeyRequired => 1,
        Error::CustomerKeyWrong => 2,
        Error::CustomerKeyInsecure => 3,
        Error::CustomerAlgorithmInvalid => 4,
        Error::CustomerHeaderMissing(_) => 5,
        Error::CustomerKeyInvalid => 6,
        Error::CustomerKeyNotApplicable => 7,
        Error::PartKeyRequired => 8,
        Error::PartKeyWrong => 9,
        Error::SseHeaderNotAllowed => 10,
        Error::SseConflict => 11,
        Error::KmsHeaderWithoutKms(_) => 12,
        Error::SseAlgorithmUnknown => 13,
        Error::KmsContextInvalid => 14,
        Error::KmsNotConfigured => 15,
        Error::KmsKeyNotFound(_) => 16,
        Error::KmsKeyDisabled(_) => 17,
        Error::KmsKeyPendingDeletion(_) => 18,
        Error::KmsKeySealed(_) => 19,
        Error::KmsSealed => 20,
        Error::KmsKeyErased(_) => 21,
        Error::KmsAccessDenied { .. } => 22,
        Error::KmsUnavailable(_) => 23,
        Error::KmsUnsupported(_) => 24,
        Error::Integrity(_) => 25,
        Error::NoSuchBucket => 26,
        Error::BucketAlreadyOwnedByYou => 27,
        Error::BucketAlreadyExists => 28,
        Error::BucketNotEmpty => 29,
        Error::InvalidBucketName(_) => 30,
        Error::BucketEncryptionNotFound => 31,
        Error::MalformedXml(_) => 32,
        Error::NoSuchKey => 33,
        Error::NoSuchVersion => 34,
        Error::DeleteMarker { .. } => 35,
        Error::KeyTooLong => 36,
        Error::MetadataTooLarge => 37,
        Error::EntityTooLarge => 38,
        Error::PreconditionFailed => 39,
        Error::NotModified => 40,
        Error::InvalidRange { .. } => 41,
        Error::InvalidPartNumber => 42,
        Error::CopyChangesNothing => 43,
        Error::ConditionalConflict => 44,
        Error::NoSuchUpload => 45,
        Error::InvalidPart => 46,
        Error::InvalidPartOrder => 47,
        Error::EntityTooSmall { .. } => 48,
        Error::InvalidDigest => 49,
        Error::BadDigest(_) => 50,
        Error::IncompleteBody => 51,
        Error::Body(BodyError::Sha256Mismatch) => 52,
        Error::Body(BodyError::SignatureMismatch) => 53,
        Error::Body(BodyError::Incomplete) => 54,
        Error::Body(BodyError::Malformed) => 55,
        Error::Body(BodyError::TooLarge) => 56,
        Error::Body(BodyError::Timeout) => 57,
        Error::MissingContentLength => 58,
        Error::InvalidArgument(_) => 59,
        Error::InvalidRequest(_) => 60,
        Error::AccessDenied => 61,
        Error::StorageFull => 62,
        Error::StorageReadOnly => 72,
        Error::StorageFailing => 73,
        Error::Busy => 63,
        Error::Internal(_) => 64,
        Error::BucketOwnerMismatch => 65,
        Error::ObjectLocked => 74,
        Error::NoSuchTagSet => 75,
        Error::NoSuchLifecycle => 84,
        Error::NoSuchBucketPolicy => 85,
        Error::MalformedPolicy(_) => 86,
        Error::PublicPolicyBlocked => 87,
        Error::AclNotSupported => 88,
        Error::AclContradictsOwnership => 89,
        Error::InvalidTag(_) => 76,
        Error::TooManyTags { .. } => 90,
        Error::IllegalVersioning => 77,
        Error::ObjectLockConfigurationNotFound => 78,
        Error::NoSuchObjectLock => 79,
        Error::InvalidBucketState(_) => 80,
        Error::InvalidRetentionPeriod { .. } => 81,
        Error::AuditUnavailable(_) => 66,
        Error::NoSuchJob(_) => 67,
        Error::TooManyJobs(_) => 68,
        Error::CustomerKeysBlocked => 82,
        Error::EncryptionBelowMinimum { .. } => 83,
        Error::Body(BodyError::ChunkTooSmall) => 69,
        Error::Body(BodyError::TrailerMalformed) => 70,
        Error::Body(BodyError::TrailerMissing(_)) => 71,
    }
}

const ORDINALS: usize = 91;

type Row = (Error, &'static str, u16, Option<(&'static str, u16)>);

/// The row for the seeds' dialect, and Amazon's where it differs.
fn rows() -> Vec<Row> {
    let key = || "key-1".to_owned();
    let same = |error, code, status| (error, code, status, None);
    vec![
        (Error::CustomerKeyMd5Mismatch, "AccessDenied", 403, Some(("InvalidArgument", 400))),
        same(Error::CustomerKeyRequired, "InvalidRequest", 400),
        same(Error::CustomerKeyWrong, "AccessDenied", 403),
        same(Error::CustomerKeyInsecure, "InvalidRequest", 400),
        same(Error::CustomerAlgorithmInvalid, "InvalidEncryptionAlgorithmError", 400),
        same(Error::CustomerHeaderMissing("x-amz-server-side-encryption-customer-key"), "InvalidArgument", 400),
        same(Error::CustomerKeyInvalid, "InvalidArgument", 400),
        same(Error::CustomerKeyNotApplicable, "InvalidRequest", 400),
        same(Error::PartKeyRequired, "InvalidRequest", 400),
        same(Error::PartKeyWrong, "AccessDenied", 403),
        same(Error::CustomerKeysBlocked, "AccessDenied", 403),
        same(Error::EncryptionBelowMinimum { mode: Mode::Store, minimum: MinimumMode::SseS3 }, "AccessDenied", 403),
        same(Error::SseHeaderNotAllowed, "InvalidArgument", 400),
        same(Error::SseConflict, "InvalidArgument", 400),
        same(Error::KmsHeaderWithoutKms("x-amz-server-side-encryption-context"), "InvalidArgument", 400),
        same(Error::SseAlgorithmUnknown, "InvalidArgument", 400),
        same(Error::KmsContextInvalid, "InvalidArgument", 400),
        same(Error::KmsNotConfigured, "NotImplemented", 501),
        (Error::KmsKeyNotFound(key()), "NotFound", 404, Some(("KMS.NotFoundException", 400))),
        same(Error::KmsKeyDisabled(key()), "KMS.DisabledException", 400),
        same(Error::KmsKeyPendingDeletion(key()), "KMS.KMSInvalidStateException", 400),
        same(Error::KmsKeySealed(key()), "KMS.KMSInvalidStateException", 403),
        same(Error::KmsSealed, "KMS.KMSInvalidStateException", 403),
        same(Error::KmsKeyErased(key()), "KMS.NotFoundException", 410),
        same(Error::KmsAccessDenied { identity: "user".to_owned(), action: "kms:Decrypt", key_id: key() }, "AccessDenied", 403),
        (unavailable(), "InternalError", 503, Some(("ServiceUnavailable", 503))),
        same(Error::KmsUnsupported("rotate".to_owned()), "NotImplemented", 501),
        same(Error::Integrity("chunk 3".to_owned()), "InternalError", 500),
        same(Error::NoSuchBucket, "NoSuchBucket", 404),
        same(Error::BucketAlreadyOwnedByYou, "BucketAlreadyOwnedByYou", 409),
        same(Error::BucketAlreadyExists, "BucketAlreadyExists", 409),
        same(Error::BucketNotEmpty, "BucketNotEmpty", 409),
        same(Error::InvalidBucketName("it is reserved".to_owned()), "InvalidBucketName", 400),
        same(Error::BucketEncryptionNotFound, "ServerSideEncryptionConfigurationNotFoundError", 404),
        same(Error::MalformedXml("no rule".to_owned()), "MalformedXML", 400),
        same(Error::NoSuchKey, "NoSuchKey", 404),
        same(Error::NoSuchVersion, "NoSuchVersion", 404),
        same(Error::DeleteMarker { named: true, version_id: "null".to_owned(), modified_ms: 0 }, "MethodNotAllowed", 405),
        same(Error::DeleteMarker { named: false, version_id: "null".to_owned(), modified_ms: 0 }, "NoSuchKey", 404),
        same(Error::KeyTooLong, "KeyTooLongError", 400),
        same(Error::MetadataTooLarge, "MetadataTooLarge", 400),
        same(Error::EntityTooLarge, "EntityTooLarge", 400),
        same(Error::PreconditionFailed, "PreconditionFailed", 412),
        same(Error::NotModified, "NotModified", 304),
        same(Error::InvalidRange { size_bytes: 7 }, "InvalidRange", 416),
        same(Error::InvalidPartNumber, "InvalidPartNumber", 416),
        same(Error::CopyChangesNothing, "InvalidRequest", 400),
        same(Error::ConditionalConflict, "ConditionalRequestConflict", 409),
        same(Error::NoSuchUpload, "NoSuchUpload", 404),
        same(Error::InvalidPart, "InvalidPart", 400),
        same(Error::InvalidPartOrder, "InvalidPartOrder", 400),
        same(Error::EntityTooSmall { number: 1, size_bytes: 5 }, "EntityTooSmall", 400),
        same(Error::InvalidDigest, "InvalidDigest", 400),
        same(Error::BadDigest("Content-MD5"), "BadDigest", 400),
        same(Error::IncompleteBody, "IncompleteBody", 400),
        same(Error::Body(BodyError::Sha256Mismatch), "XAmzContentSHA256Mismatch", 400),
        same(Error::Body(BodyError::SignatureMismatch), "SignatureDoesNotMatch", 403),
        same(Error::Body(BodyError::Incomplete), "IncompleteBody", 400),
        same(Error::Body(BodyError::Malformed), "IncompleteBody", 400),
        same(Error::Body(BodyError::ChunkTooSmall), "InvalidChunkSizeError", 403),
        same(Error::Body(BodyError::TrailerMissing("x-amz-checksum-crc32".to_owned())), "InvalidRequest", 400),
        same(Error::Body(BodyError::TrailerMalformed), "MalformedTrailerError", 400),
        same(Error::Body(BodyError::TooLarge), "EntityTooLarge", 400),
        same(Error::Body(BodyError::Timeout), "RequestTimeout", 400),
        same(Error::MissingContentLength, "MissingContentLength", 411),
        same(Error::InvalidArgument("no".to_owned()), "InvalidArgument", 400),
        same(Error::InvalidRequest("no".to_owned()), "InvalidRequest", 400),
        same(Error::AccessDenied, "AccessDenied", 403),
        same(Error::BucketOwnerMismatch, "AccessDenied", 403),
        same(Error::ObjectLocked, "AccessDenied", 403),
        same(Error::IllegalVersioning, "IllegalVersioningConfigurationException", 400),
        same(Error::ObjectLockConfigurationNotFound, "ObjectLockConfigurationNotFoundError", 404),
        same(Error::NoSuchObjectLock, "NoSuchObjectLockConfiguration", 404),
        same(Error::InvalidBucketState("it is not versioned"), "InvalidBucketState", 409),
        same(Error::InvalidRetentionPeriod { max: 100, unit: "years" }, "InvalidRetentionPeriod", 400),
        same(Error::NoSuchTagSet, "NoSuchTagSet", 404),
        same(Error::NoSuchBucketPolicy, "NoSuchBucketPolicy", 404),
        same(Error::MalformedPolicy("it is none".into()), "MalformedPolicy", 400),
        same(Error::PublicPolicyBlocked, "AccessDenied", 403),
        same(Error::AclNotSupported, "AccessControlListNotSupported", 400),
        same(Error::AclContradictsOwnership, "InvalidBucketAclWithObjectOwnership", 400),
        same(Error::NoSuchLifecycle, "NoSuchLifecycleConfiguration", 404),
        same(Error::InvalidTag("no".to_owned()), "InvalidTag", 400),
        same(Error::TooManyTags { count: 11, at_most: 10 }, "BadRequest", 400),
        same(Error::StorageFull, "InsufficientStorage", 507),
        same(Error::StorageReadOnly, "ServiceUnavailable", 503),
        same(Error::StorageFailing, "ServiceUnavailable", 503),
        same(Error::Busy, "SlowDown", 503),
        same(Error::Internal("disk".into()), "InternalError", 500),
        same(Error::AuditUnavailable(AuditError::Unwritable("no space".to_owned())), "InternalError", 503),
        same(Error::NoSuchJob("1".to_owned()), "NoSuchJob", 404),
        same(Error::TooManyJobs(4), "OperationAborted", 409),
    ]
}

fn unavailable() -> Error {
    Error::KmsUnavailable(KmsError::Unavailable("connection refused".to_owned()))
}

#[test]
fn every_error_has_its_code_and_status_in_both_dialects() {
    let mut seen = [false; ORDINALS];
    for (error, code, status, aws) in rows() {
        seen[ordinal(&error)] = true;
        let answered = |dialect| {
            let verdict = verdict(&error, dialect);
            (verdict.code, verdict.status.as_u16())
        };
        assert_eq!(answered(ErrorDialect::Strongroom), (code, status), "{error:?}");
        assert_eq!(answered(ErrorDialect::Aws), aws.unwrap_or((code, status)), "{error:?}");
    }
    assert_eq!(seen, [true; ORDINALS], "a variant has no row");
}

#[test]
fn what_passes_by_itself_says_when_to_try_again() {
    for (error, _, status, _) in rows() {
        let advised = verdict(&error, ErrorDialect::Strongroom).retry_after_seconds;
        assert_eq!(advised.is_some(), status == 503, "{error:?}");
    }
    assert_eq!(verdict(&unavailable(), ErrorDialect::Aws).retry_after_seconds, Some(5));
}

#[test]
fn only_a_client_that_fell_silent_loses_its_connection() {
    for (error, code, _, _) in rows() {
        assert_eq!(verdict(&error, ErrorDialect::Strongroom).closes, code == "RequestTimeout", "{error:?}");
    }
}

#[test]
fn an_unsatisfiable_range_carries_the_size() {
    let verdict = verdict(&Error::InvalidRange { size_bytes: 7 }, ErrorDialect::Strongroom);
    assert_eq!(verdict.unsatisfied_size_bytes, Some(7));
}
