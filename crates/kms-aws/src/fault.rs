//! What went wrong with a call, in the terms of [`KmsError`].

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;
use strongroom_kms::KmsError;

/// A call, as errors name it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    /// The IAM action, such as `kms:Decrypt`.
    pub action: &'static str,
    /// The key, or the name of a new one.
    pub key_id: &'a str,
}

/// Why a call failed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The credentials are refused, not merely what they may do: others may be better.
    Credentials(KmsError),
    /// The key's state does not allow the call; which state it is AWS tells in words alone, so ask.
    State,
    /// AWS finds the arguments malformed.
    Invalid(String),
    /// All else.
    Other(KmsError),
}

impl Fault {
    pub(crate) fn of<E>(call: Call<'_>, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        match error {
            SdkError::ServiceError(answer) => refusal(call, answer.err(), answer.raw().status().as_u16()),
            SdkError::ResponseError(answer) => by_status(call, answer.raw().status().as_u16()),
            other => unanswered(call, other),
        }
    }

    /// As an error of a call that changes or shows a key whose state is not the matter.
    pub(crate) fn into_error(self, call: Call<'_>) -> KmsError {
        match self {
            Self::Credentials(error) | Self::Other(error) => error,
            Self::State => KmsError::Conflict(format!("the state of the key {} in AWS does not allow {}", call.key_id, call.action)),
            Self::Invalid(message) => KmsError::InvalidArgument(format!("AWS refuses the arguments of {}: {message}", call.action)),
        }
    }
}

/// An error answer of AWS KMS. Its own words are left out where they may repeat the signed request.
fn refusal(call: Call<'_>, error: &impl ProvideErrorMetadata, status: u16) -> Fault {
    let key_id = || call.key_id.to_owned();
    let message = || error.message().unwrap_or_default().chars().filter(|c| !c.is_control()).take(300).collect::<String>();
    let Some(code) = error.code() else { return by_status(call, status) };
    match code {
        "NotFoundException" => Fault::Other(KmsError::KeyNotFound(key_id())),
        "DisabledException" => Fault::Other(KmsError::KeyDisabled(key_id())),
        "AlreadyExistsException" => Fault::Other(KmsError::KeyExists(key_id())),
        "KMSInvalidStateException" => Fault::State,
        "InvalidCiphertextException" | "IncorrectKeyException" => Fault::Other(KmsError::Rejected),
        "LimitExceededException" => Fault::Other(KmsError::Conflict(format!("a quota of AWS KMS is used up: {}", message()))),
        "ValidationException"
        | "InvalidKeyUsageException"
        | "TagException"
        | "InvalidArnException"
        | "InvalidAliasNameException"
        | "UnsupportedOperationException"
        | "IncorrectKeyMaterialException"
        | "InvalidImportTokenException"
        | "SerializationException" => Fault::Invalid(message()),
        "AccessDeniedException" | "AccessDenied" | "NotAuthorized" | "OptInRequired" => Fault::Other(denied(call, code)),
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "ExpiredTokenException"
        | "ExpiredToken"
        | "RequestExpired"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException" => Fault::Credentials(denied(call, code)),
        "KMSInternalException"
        | "KeyUnavailableException"
        | "DependencyTimeoutException"
        | "ThrottlingException"
        | "Throttling"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "ServiceUnavailableException"
        | "InternalFailure" => Fault::Other(unavailable(call, code)),
        _ => by_status(call, status),
    }
}

fn by_status(call: Call<'_>, status: u16) -> Fault {
    match status {
        401 | 403 => Fault::Credentials(denied(call, &format!("status {status}"))),
        _ => Fault::Other(unavailable(call, &format!("status {status}"))),
    }
}

/// No answer at all: the network, or no credentials to ask with.
fn unanswered(call: Call<'_>, error: &(dyn Error + 'static)) -> Fault {
    let causes = causes(error);
    let reached = causes.iter().rev().find_map(|cause| cause.downcast_ref::<ConnectorError>());
    let is_network = reached.is_some_and(|error| error.is_io() || error.is_timeout());
    let credentials = causes.iter().find_map(|cause| cause.downcast_ref::<CredentialsError>());
    let text = causes.last().map(ToString::to_string).unwrap_or_default();
    match credentials {
        Some(CredentialsError::ProviderTimedOut(_)) => Fault::Other(unavailable(call, "the source of credentials does not answer")),
        Some(_) if is_network => Fault::Other(unavailable(call, &format!("the source of credentials does not answer: {text}"))),
        Some(CredentialsError::CredentialsNotLoaded(_)) => Fault::Other(denied(call, "no AWS credentials were found")),
        Some(_) => Fault::Other(denied(call, &format!("no AWS credentials were to be had: {text}"))),
        None => Fault::Other(unavailable(call, &text)),
    }
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> Vec<&'a (dyn Error + 'static)> {
    let mut causes = vec![error];
    while let Some(cause) = causes[causes.len() - 1].source() {
        causes.push(cause);
    }
    causes
}

fn denied(call: Call<'_>, why: &str) -> KmsError {
    KmsError::Denied(format!("{} was refused ({why})", call.action))
}

fn unavailable(call: Call<'_>, why: &str) -> KmsError {
    KmsError::Unavailable(format!("{} was not answered ({why})", call.action))
}
