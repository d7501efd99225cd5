//! Errors as clients see them: a status, a code, a sentence. One match for each enum behind it, no wildcard.

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use strongroom_audit::AuditError;
use strongroom_engine::Error;
use strongroom_iam::IamError;
use strongroom_kms::KmsError;
use utoipa::ToSchema;

use super::Answer;

/// How long a client should wait before it asks a backend that is away again.
const RETRY_AFTER_SECONDS: u16 = 5;

/// Why a call did not do what was asked. Nothing secret is in it.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    retry_after_seconds: Option<u16>,
}

/// The body of every error.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(crate) struct ErrorBody<'a> {
    /// What went wrong, for programs.
    #[schema(examples("NotFound"))]
    code: &'a str,
    /// What went wrong, for people.
    message: &'a str,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after_seconds: None }
    }

    /// A body, a field or a parameter that is not acceptable.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidRequest", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", message)
    }

    pub(crate) fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    pub(crate) fn denied(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "AccessDenied", message)
    }

    /// The same under another code.
    pub(crate) fn with_code(self, code: &'static str) -> Self {
        Self { code, ..self }
    }

    /// A fault of the server; its cause is logged, not told.
    pub(crate) fn internal(cause: &dyn std::error::Error) -> Self {
        tracing::error!(cause = cause.to_string(), "an admin call failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "The server could not do this. Its log says why.")
    }

    fn unavailable(code: &'static str, message: String) -> Self {
        Self { retry_after_seconds: Some(RETRY_AFTER_SECONDS), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message) }
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let body = ErrorBody { code: self.code, message: &self.message };
        let answer = Answer::json(self.status, &body).unwrap_or_else(|_| Answer::empty(self.status));
        let mut response = answer.into_response();
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<KmsError> for ApiError {
    fn from(error: KmsError) -> Self {
        let text = error.to_string();
        match error {
            KmsError::KeyNotFound(_) => Self::not_found(format!("{text}. GET /kms/keys lists the keys there are.")),
            KmsError::KeyErased(_) => Self::conflict("KeyErased", text),
            KmsError::KeyDisabled(_) => Self::conflict("KeyDisabled", text),
            KmsError::KeyPendingDeletion(_) => Self::conflict("KeyPendingDeletion", text),
            KmsError::KeySealed(_) => Self::conflict("KeySealed", text),
            KmsError::ServiceSealed => Self::conflict("KmsSealed", format!("{text}: POST /kms/unseal")),
            KmsError::KeyExists(_) => Self::conflict("KeyExists", text),
            KmsError::InvalidArgument(_) => Self::invalid(text),
            KmsError::Conflict(_) => Self::conflict("Conflict", text),
            KmsError::NotConfigured => Self::conflict("NotConfigured", text),
            KmsError::Rejected => Self::new(StatusCode::BAD_REQUEST, "InvalidCiphertext", text),
            KmsError::Denied(_) => Self::unavailable("KmsDenied", text),
            KmsError::Unavailable(_) => Self::unavailable("KmsUnavailable", text),
            KmsError::Unsupported { .. } => Self::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", text),
            KmsError::Broken(_) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", text),
        }
    }
}

impl From<Error> for ApiError {
    /// What the engine says to the few calls that reach it. The situations of objects come from none of them, and are the server's fault.
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match &error {
            Error::KmsNotConfigured => Self::conflict("NotConfigured", text),
            Error::KmsKeyNotFound(_) | Error::NoSuchBucket | Error::NoSuchKey | Error::NoSuchVersion | Error::NoSuchUpload => {
                Self::not_found(text)
            }
            Error::NoSuchJob(_) => Self::new(StatusCode::NOT_FOUND, "NoSuchJob", text),
            Error::TooManyJobs(_) => Self::conflict("TooManyJobs", text),
            Error::KmsKeyDisabled(_) => Self::conflict("KeyDisabled", text),
            Error::KmsKeyPendingDeletion(_) => Self::conflict("KeyPendingDeletion", text),
            Error::KmsKeySealed(_) => Self::conflict("KeySealed", text),
            Error::KmsSealed => Self::conflict("KmsSealed", text),
            Error::KmsKeyErased(_) => Self::conflict("KeyErased", text),
            Error::KmsAccessDenied { .. } | Error::AccessDenied | Error::BucketOwnerMismatch | Error::ObjectLocked => Self::denied(text),
            Error::KmsUnavailable(cause) => Self::unavailable("KmsUnavailable", cause.to_string()),
            Error::AuditUnavailable(cause) => Self::unavailable("AuditUnavailable", cause.to_string()),
            Error::Busy => Self::unavailable("SlowDown", text),
            Error::StorageFull => Self::new(StatusCode::INSUFFICIENT_STORAGE, "InsufficientStorage", text),
            Error::StorageReadOnly | Error::StorageFailing => Self::unavailable("ServiceUnavailable", text),
            Error::KmsUnsupported(_) => Self::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", text),
            Error::InvalidArgument(_) | Error::InvalidRequest(_) | Error::InvalidBucketName(_) => Self::invalid(text),
            Error::CustomerKeyMd5Mismatch
            | Error::CustomerKeyRequired
            | Error::CustomerKeyWrong
            | Error::CustomerKeyInsecure
            | Error::CustomerAlgorithmInvalid
            | Error::CustomerHeaderMissing(_)
            | Error::CustomerKeyInvalid
            | Error::CustomerKeyNotApplicable
            | Error::NoSuchTagSet
            | Error::NoSuchBucketPolicy
            | Error::MalformedPolicy(_)
            | Error::PublicPolicyBlocked
            | Error::AclNotSupported
            | Error::AclContradictsOwnership
            | Error::NoSuchLifecycle
            | Error::IllegalVersioning
            | Error::ObjectLockConfigurationNotFound
            | Error::NoSuchObjectLock
            | Error::InvalidBucketState(_)
            | Error::InvalidRetentionPeriod { .. }
            | Error::InvalidTag(_)
            | Error::TooManyTags { .. }
            | Error::PartKeyRequired
            | Error::PartKeyWrong
            | Error::CustomerKeysBlocked
            | Error::EncryptionBelowMinimum { .. }
            | Error::SseHeaderNotAllowed
            | Error::SseConflict
            | Error::KmsHeaderWithoutKms(_)
            | Error::SseAlgorithmUnknown
            | Error::KmsContextInvalid
            | Error::Integrity(_)
            | Error::BucketAlreadyOwnedByYou
            | Error::BucketAlreadyExists
            | Error::BucketNotEmpty
            | Error::BucketEncryptionNotFound
            | Error::MalformedXml(_)
            | Error::DeleteMarker { .. }
            | Error::KeyTooLong
            | Error::MetadataTooLarge
            | Error::EntityTooLarge
            | Error::PreconditionFailed
            | Error::NotModified
            | Error::InvalidRange { .. }
            | Error::InvalidPartNumber
            | Error::CopyChangesNothing
            | Error::ConditionalConflict
            | Error::InvalidPart
            | Error::InvalidPartOrder
            | Error::EntityTooSmall { .. }
            | Error::InvalidDigest
            | Error::BadDigest(_)
            | Error::IncompleteBody
            | Error::Body(_)
            | Error::MissingContentLength
            | Error::Internal(_) => Self::internal(&error),
        }
    }
}

impl From<IamError> for ApiError {
    /// By the codes of IAM. What failed inside the server is in its log already.
    fn from(error: IamError) -> Self {
        let (code, status) = error.code();
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            return Self::unavailable(code, error.message().into_owned());
        }
        Self::new(status, code, error.message())
    }
}

impl ApiError {
    /// What is said of keys that belong to accounts, by the codes of this API.
    pub(crate) fn of_owned_keys(error: IamError) -> Self {
        let text = error.to_string();
        match error {
            IamError::NoSuchEntity(_) => Self::not_found(text),
            IamError::EntityAlreadyExists(_) => Self::conflict("KeyExists", text),
            IamError::ConcurrentModification => Self::conflict("Conflict", text),
            IamError::Validation(_) => Self::invalid(text),
            other => other.into(),
        }
    }
}

impl From<AuditError> for ApiError {
    /// What cannot be recorded is not done.
    fn from(error: AuditError) -> Self {
        Self::unavailable("AuditUnavailable", error.to_string())
    }
}
