//! What can be wrong with a signed request, as S3's codes, statuses and messages.

use std::borrow::Cow;

use http::StatusCode;

/// Why a request is refused before its body is read. The text is for the client; no secret and no expected signature is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// A header that decides on the signature came more than once.
    #[error("The header {0} was given more than once.")]
    RepeatedHeader(&'static str),
    /// The request line names another host than the header `Host`, which is what is signed.
    #[error("The request line and the header Host name different hosts.")]
    HostMismatch,
    /// A query parameter of the signature came more than once.
    #[error("The query parameter {0} was given more than once.")]
    RepeatedParameter(Cow<'static, str>),
    /// A header and the query both carry a signature.
    #[error(
        "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified"
    )]
    SeveralMechanisms,
    /// Signature Version 2.
    #[error("The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")]
    VersionTwo,
    /// A URL of Signature Version 2 is incomplete, or does not have its form; what is wrong.
    #[error("The URL is not validly signed with Signature Version 2: {0}.")]
    InvalidVersionTwo(Cow<'static, str>),
    /// A URL of Signature Version 2 has a query parameter that such signatures do not cover. Its name.
    #[error("Signature Version 2 does not cover the query parameter {0}. Leave it out, or sign the URL with AWS4-HMAC-SHA256.")]
    ParameterNotSigned(String),
    /// Another scheme of the header `Authorization`.
    #[error("Unsupported Authorization Type")]
    UnsupportedScheme,
    /// Signature Version 4A, or chunks signed by it.
    #[error("AWS4-ECDSA-P256-SHA256 is not implemented.")]
    AsymmetricNotImplemented,
    /// `Authorization` does not have its form; what is wrong.
    #[error("The authorization header is malformed; {0}.")]
    MalformedHeader(Cow<'static, str>),
    /// The query parameters of the signature are incomplete or do not have their form; what is wrong.
    #[error("The authorization query parameters that you provided are not valid; {0}.")]
    MalformedQuery(Cow<'static, str>),
    /// `x-amz-date` is missing or no date.
    #[error("AWS authentication requires a valid x-amz-date header")]
    MissingDate,
    /// The signature is in the query where only one in the header counts.
    #[error("The request must be signed: AWS Signature Version 4 in the header Authorization.")]
    QueryNotAllowed,
    /// Signed for what is no region's name. The caller tells the right one.
    #[error("The authorization header is malformed; the region '{region}' is wrong")]
    WrongRegion {
        /// As the client wrote it.
        region: String,
    },
    /// The date in the header is more than the allowed time away from now.
    #[error("The difference between the request time and the current time is too large.")]
    TimeTooSkewed,
    /// A presigned URL of the future.
    #[error("Request is not yet valid")]
    NotYetValid,
    /// A presigned URL of the past.
    #[error("Request has expired")]
    Expired,
    /// `host` or an `x-amz-` header of the request that the signature does not cover. Its name.
    #[error("There were headers present in the request which were not signed: {0}")]
    HeaderNotSigned(String),
    /// The signature covers a header that did not come. Its name.
    #[error("The signature covers the header {0}, which the request does not have.")]
    SignedHeaderMissing(String),
    /// The signature is another one.
    #[error("The request signature we calculated does not match the signature you provided. Check your key and signing method.")]
    Mismatch,
    /// `x-amz-content-sha256` is neither a hash nor one of the constants.
    #[error(
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value."
    )]
    InvalidPayload,
    /// `x-amz-content-sha256` is missing.
    #[error("Missing required header for this request: x-amz-content-sha256")]
    PayloadNotDeclared,
    /// A presigned URL whose body is to be in chunks.
    #[error("A body in chunks is not implemented for presigned URLs.")]
    StreamingInQuery,
    /// The body is not the one that the signature covers.
    #[error("The provided 'x-amz-content-sha256' header does not match what was computed.")]
    BodyMismatch,
}

impl SignatureError {
    /// S3's code and status.
    pub fn verdict(&self) -> (&'static str, StatusCode) {
        match self {
            Self::RepeatedHeader(_) | Self::HostMismatch | Self::VersionTwo | Self::PayloadNotDeclared => {
                ("InvalidRequest", StatusCode::BAD_REQUEST)
            }
            Self::SeveralMechanisms | Self::UnsupportedScheme | Self::InvalidPayload => ("InvalidArgument", StatusCode::BAD_REQUEST),
            Self::AsymmetricNotImplemented | Self::StreamingInQuery => ("NotImplemented", StatusCode::NOT_IMPLEMENTED),
            Self::MalformedHeader(_) | Self::WrongRegion { .. } => ("AuthorizationHeaderMalformed", StatusCode::BAD_REQUEST),
            Self::RepeatedParameter(_) | Self::MalformedQuery(_) => ("AuthorizationQueryParametersError", StatusCode::BAD_REQUEST),
            Self::TimeTooSkewed => ("RequestTimeTooSkewed", StatusCode::FORBIDDEN),
            Self::MissingDate
            | Self::QueryNotAllowed
            | Self::NotYetValid
            | Self::Expired
            | Self::HeaderNotSigned(_)
            | Self::InvalidVersionTwo(_)
            | Self::ParameterNotSigned(_) => ("AccessDenied", StatusCode::FORBIDDEN),
            Self::SignedHeaderMissing(_) | Self::Mismatch => ("SignatureDoesNotMatch", StatusCode::FORBIDDEN),
            Self::BodyMismatch => ("XAmzContentSHA256Mismatch", StatusCode::BAD_REQUEST),
        }
    }

    /// S3's code.
    pub fn code(&self) -> &'static str {
        self.verdict().0
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.verdict().1
    }
}

/// Why a body is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// `content-length` or `x-amz-decoded-content-length` is no length, or came more than once.
    #[error("The header {0} is no length.")]
    InvalidLength(&'static str),
    /// A body in chunks without `x-amz-decoded-content-length`.
    #[error("You must provide the x-amz-decoded-content-length HTTP header.")]
    DecodedLengthMissing,
    /// It ended before it was complete.
    #[error("The request body terminated unexpectedly.")]
    Incomplete,
    /// It is longer than it was said to be.
    #[error("The request body is longer than its headers say.")]
    TooLong,
    /// The framing of its chunks is broken, or more comes behind its end.
    #[error("The chunks of the request body are malformed.")]
    Malformed,
    /// A signed chunk before the last is shorter than 8 KiB.
    #[error("Only the last chunk is allowed to have a size less than 8192 bytes.")]
    ChunkTooSmall,
    /// A chunk or the trailer was signed otherwise.
    #[error("The request signature we calculated does not match the signature you provided. Check your key and signing method.")]
    SignatureMismatch,
    /// The whole body has another hash.
    #[error("The provided 'x-amz-content-sha256' header does not match what was computed.")]
    Sha256Mismatch,
    /// A trailer that `x-amz-trailer` announced did not come. Its name.
    #[error("The trailer {0} that x-amz-trailer announces is missing.")]
    TrailerMissing(String),
    /// The body has a trailer, and `x-amz-trailer` is missing, names too many, or a name is none.
    #[error("The header x-amz-trailer is missing or not valid.")]
    InvalidAnnouncement,
    /// `x-amz-trailer` came with a body that has no trailer.
    #[error("x-amz-trailer needs a body in chunks with a trailer.")]
    TrailerNotPossible,
    /// The trailer is broken, too long, repeats a name, or has one that was not announced.
    #[error("The request contained trailing data that was not well-formed.")]
    TrailerMalformed,
}

impl BodyError {
    /// S3's code and status.
    pub fn verdict(&self) -> (&'static str, StatusCode) {
        match self {
            Self::InvalidLength(_) => ("InvalidArgument", StatusCode::BAD_REQUEST),
            Self::DecodedLengthMissing => ("MissingContentLength", StatusCode::LENGTH_REQUIRED),
            Self::Incomplete | Self::TooLong | Self::Malformed => ("IncompleteBody", StatusCode::BAD_REQUEST),
            Self::ChunkTooSmall => ("InvalidChunkSizeError", StatusCode::FORBIDDEN),
            Self::SignatureMismatch => ("SignatureDoesNotMatch", StatusCode::FORBIDDEN),
            Self::Sha256Mismatch => ("XAmzContentSHA256Mismatch", StatusCode::BAD_REQUEST),
            Self::TrailerMissing(_) | Self::InvalidAnnouncement | Self::TrailerNotPossible => ("InvalidRequest", StatusCode::BAD_REQUEST),
            Self::TrailerMalformed => ("MalformedTrailerError", StatusCode::BAD_REQUEST),
        }
    }

    /// S3's code.
    pub fn code(&self) -> &'static str {
        self.verdict().0
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.verdict().1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_of_a_signature_has_s3_s_code_and_status() {
        let rows = [
            (SignatureError::RepeatedHeader("host"), "InvalidRequest", 400),
            (SignatureError::HostMismatch, "InvalidRequest", 400),
            (SignatureError::RepeatedParameter("X-Amz-Date".into()), "AuthorizationQueryParametersError", 400),
            (SignatureError::SeveralMechanisms, "InvalidArgument", 400),
            (SignatureError::VersionTwo, "InvalidRequest", 400),
            (SignatureError::InvalidVersionTwo("".into()), "AccessDenied", 403),
            (SignatureError::ParameterNotSigned(String::new()), "AccessDenied", 403),
            (SignatureError::UnsupportedScheme, "InvalidArgument", 400),
            (SignatureError::AsymmetricNotImplemented, "NotImplemented", 501),
            (SignatureError::MalformedHeader("".into()), "AuthorizationHeaderMalformed", 400),
            (SignatureError::MalformedQuery("".into()), "AuthorizationQueryParametersError", 400),
            (SignatureError::MissingDate, "AccessDenied", 403),
            (SignatureError::QueryNotAllowed, "AccessDenied", 403),
            (SignatureError::WrongRegion { region: String::new() }, "AuthorizationHeaderMalformed", 400),
            (SignatureError::TimeTooSkewed, "RequestTimeTooSkewed", 403),
            (SignatureError::NotYetValid, "AccessDenied", 403),
            (SignatureError::Expired, "AccessDenied", 403),
            (SignatureError::HeaderNotSigned(String::new()), "AccessDenied", 403),
            (SignatureError::SignedHeaderMissing(String::new()), "SignatureDoesNotMatch", 403),
            (SignatureError::Mismatch, "SignatureDoesNotMatch", 403),
            (SignatureError::InvalidPayload, "InvalidArgument", 400),
            (SignatureError::PayloadNotDeclared, "InvalidRequest", 400),
            (SignatureError::StreamingInQuery, "NotImplemented", 501),
            (SignatureError::BodyMismatch, "XAmzContentSHA256Mismatch", 400),
        ];
        for (error, code, status) in rows {
            assert_eq!((error.code(), error.status().as_u16()), (code, status), "{error}");
        }
        assert_eq!(SignatureError::Expired.to_string(), "Request has expired");
        assert_eq!(SignatureError::NotYetValid.to_string(), "Request is not yet valid");
    }

    #[test]
    fn each_refusal_of_a_body_has_s3_s_code_and_status() {
        let rows = [
            (BodyError::InvalidLength("content-length"), "InvalidArgument", 400),
            (BodyError::DecodedLengthMissing, "MissingContentLength", 411),
            (BodyError::Incomplete, "IncompleteBody", 400),
            (BodyError::TooLong, "IncompleteBody", 400),
            (BodyError::Malformed, "IncompleteBody", 400),
            (BodyError::ChunkTooSmall, "InvalidChunkSizeError", 403),
            (BodyError::SignatureMismatch, "SignatureDoesNotMatch", 403),
            (BodyError::Sha256Mismatch, "XAmzContentSHA256Mismatch", 400),
            (BodyError::TrailerMissing(String::new()), "InvalidRequest", 400),
            (BodyError::InvalidAnnouncement, "InvalidRequest", 400),
            (BodyError::TrailerNotPossible, "InvalidRequest", 400),
            (BodyError::TrailerMalformed, "MalformedTrailerError", 400),
        ];
        for (error, code, status) in rows {
            assert_eq!((error.code(), error.status().as_u16()), (code, status), "{error}");
        }
    }
}
