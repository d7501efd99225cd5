//! Bodies: streams of bytes in, streams of bytes out.

use std::pin::Pin;

use bytes::Bytes;
use futures_core::Stream;

use crate::Error;

/// The bytes of a request body as they arrive.
pub type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send + Sync>>;

/// The plaintext of an object, chunk by authenticated chunk. An error ends it: the connection must then be cut, so that no
/// client takes what it got for the whole.
pub type ReplyStream = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send + Sync>>;

/// A request body.
pub struct Body {
    /// The decoded bytes (aws-chunked framing is the adapter's business).
    pub stream: BodyStream,
    /// The decoded length in bytes, where the client declared one.
    pub length: Option<u64>,
}

/// Why a request body broke off.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The bytes do not have the SHA-256 that the request was signed with.
    #[error("the body does not match x-amz-content-sha256")]
    Sha256Mismatch,
    /// A chunk's or a trailer's signature is wrong.
    #[error("the signature of a chunk does not match")]
    SignatureMismatch,
    /// The body ended before its declared length, or the client went away.
    #[error("the body ended early")]
    Incomplete,
    /// The framing of an aws-chunked body is broken.
    #[error("the aws-chunked framing is malformed")]
    Malformed,
    /// A signed chunk before the last is shorter than S3 allows.
    #[error("only the last chunk may have less than 8,192 bytes")]
    ChunkTooSmall,
    /// A trailer that was announced did not come. Its name.
    #[error("The trailer {0} that x-amz-trailer announces is missing.")]
    TrailerMissing(String),
    /// The trailer is broken.
    #[error("the trailer of the body is malformed")]
    TrailerMalformed,
    /// The body is longer than what is allowed.
    #[error("the body is too large")]
    TooLarge,
    /// The client sent nothing, or too little, for too long.
    #[error("the client sent nothing, or too little, for too long")]
    Timeout,
}
