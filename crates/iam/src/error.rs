//! Why a call of identity management is refused.

use std::borrow::Cow;

use strongroom_access::{AccessError, GrantProblem};
use strongroom_catalog::CatalogError;
use strongroom_seal::SealError;

/// Why a call is refused, by the codes of IAM and STS.
#[derive(Debug, thiserror::Error)]
pub enum IamError {
    /// What is named is not there.
    #[error("{0}")]
    NoSuchEntity(String),
    /// What is to be created is there already.
    #[error("{0}")]
    EntityAlreadyExists(String),
    /// What is to be deleted has something that must be removed first.
    #[error("{0}")]
    DeleteConflict(String),
    /// There may not be more of it.
    #[error("{0}")]
    LimitExceeded(String),
    /// A parameter is missing or out of its bounds.
    #[error("{0}")]
    Validation(String),
    /// A parameter is none of the values there are.
    #[error("{0}")]
    InvalidInput(String),
    /// A policy document cannot be honoured.
    #[error("{0}")]
    MalformedPolicyDocument(String),
    /// The caller may not.
    #[error("{0}")]
    AccessDenied(String),
    /// A token is of another time.
    #[error("{0}")]
    ExpiredToken(String),
    /// A token of an identity provider is not genuine, or not for this server.
    #[error("{0}")]
    InvalidIdentityToken(String),
    /// An identity provider refused the claim.
    #[error("{0}")]
    IdpRejectedClaim(String),
    /// An identity provider could not be asked.
    #[error("{0}")]
    IdpCommunication(String),
    /// What a session should hold is too much.
    #[error("{0}")]
    PackedPolicyTooLarge(String),
    /// There is no such call.
    #[error("{0}")]
    InvalidAction(String),
    /// Two changes of one entity at once; worth trying again.
    #[error("The request was made at the same time as another change of the same entity. Try again.")]
    ConcurrentModification,
    /// The store cannot answer now; worth trying again.
    #[error("The service is unable to process the request now. Try again.")]
    Unavailable(#[source] CatalogError),
    /// The store is damaged, or a defect of the server.
    #[error("The request failed for a reason inside the server. Its log has the cause.")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl IamError {
    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::Validation(message.into())
    }

    /// The code and the HTTP status. Source: "Common errors" and the errors of each call in the API references of IAM and STS.
    pub fn code(&self) -> (&'static str, u16) {
        match self {
            Self::NoSuchEntity(_) => ("NoSuchEntity", 404),
            Self::EntityAlreadyExists(_) => ("EntityAlreadyExists", 409),
            Self::DeleteConflict(_) => ("DeleteConflict", 409),
            Self::LimitExceeded(_) => ("LimitExceeded", 409),
            Self::Validation(_) => ("ValidationError", 400),
            Self::InvalidInput(_) => ("InvalidInput", 400),
            Self::MalformedPolicyDocument(_) => ("MalformedPolicyDocument", 400),
            Self::AccessDenied(_) => ("AccessDenied", 403),
            Self::ExpiredToken(_) => ("ExpiredTokenException", 400),
            Self::InvalidIdentityToken(_) => ("InvalidIdentityToken", 400),
            Self::IdpRejectedClaim(_) => ("IDPRejectedClaim", 403),
            Self::IdpCommunication(_) => ("IDPCommunicationError", 400),
            Self::PackedPolicyTooLarge(_) => ("PackedPolicyTooLarge", 400),
            Self::InvalidAction(_) => ("InvalidAction", 400),
            Self::ConcurrentModification => ("ConcurrentModification", 409),
            Self::Unavailable(_) => ("ServiceUnavailable", 503),
            Self::Internal(_) => ("ServiceFailure", 500),
        }
    }

    /// What the client reads.
    pub fn message(&self) -> Cow<'static, str> {
        self.to_string().into()
    }
}

impl From<CatalogError> for IamError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::PreconditionFailed => Self::ConcurrentModification,
            CatalogError::Busy | CatalogError::Full => Self::Unavailable(error),
            error => Self::Internal(Box::new(error)),
        }
    }
}

impl From<SealError> for IamError {
    fn from(error: SealError) -> Self {
        Self::Internal(Box::new(error))
    }
}

impl From<GrantProblem> for IamError {
    fn from(problem: GrantProblem) -> Self {
        Self::Validation(problem.to_string())
    }
}

impl From<AccessError> for IamError {
    fn from(error: AccessError) -> Self {
        Self::MalformedPolicyDocument(error.to_string())
    }
}
