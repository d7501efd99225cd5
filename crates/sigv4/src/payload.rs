//! What a signature says of the body.

use std::{borrow::Cow, fmt};

use http::HeaderMap;
use zeroize::Zeroizing;

use crate::{
    claim::{CONTENT_SHA256, single},
    error::SignatureError,
    key::SigningKey,
    scope::Scope,
};

pub(crate) const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
const UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
const SIGNED_CHUNKS: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const SIGNED_CHUNKS_TRAILER: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
const ASYMMETRIC_CHUNKS: &str = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD";
const ASYMMETRIC_CHUNKS_TRAILER: &str = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER";

/// SHA-256 of nothing.
pub(crate) const EMPTY_SHA256: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b,
    0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// `x-amz-content-sha256` as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Declared {
    Unsigned,
    Sha256([u8; 32]),
    Chunks { signed: bool, trailer: bool },
}

impl Declared {
    pub(crate) fn parse(text: &str) -> Result<Self, SignatureError> {
        match text {
            UNSIGNED => Ok(Self::Unsigned),
            UNSIGNED_TRAILER => Ok(Self::Chunks { signed: false, trailer: true }),
            SIGNED_CHUNKS => Ok(Self::Chunks { signed: true, trailer: false }),
            SIGNED_CHUNKS_TRAILER => Ok(Self::Chunks { signed: true, trailer: true }),
            ASYMMETRIC_CHUNKS | ASYMMETRIC_CHUNKS_TRAILER => Err(SignatureError::AsymmetricNotImplemented),
            hash => crate::key::parse_signature(hash.as_bytes()).map(Self::Sha256).ok_or(SignatureError::InvalidPayload),
        }
    }

    /// Whether it fixes every byte of the body.
    pub(crate) fn covers_body(&self) -> bool {
        match self {
            Self::Unsigned | Self::Chunks { signed: false, .. } => false,
            Self::Sha256(_) | Self::Chunks { signed: true, .. } => true,
        }
    }

    /// As it is signed.
    pub(crate) fn text(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Sha256(hash) => return Cow::Owned(hex::encode(hash)),
            Self::Unsigned => UNSIGNED,
            Self::Chunks { signed: false, .. } => UNSIGNED_TRAILER,
            Self::Chunks { signed: true, trailer: false } => SIGNED_CHUNKS,
            Self::Chunks { signed: true, trailer: true } => SIGNED_CHUNKS_TRAILER,
        })
    }
}

/// What a verified signature says of the body. [`crate::BodyDecoder`] holds the body to it.
#[derive(Debug)]
pub enum Payload {
    /// Nothing.
    Unsigned,
    /// The hash of the whole. See [`crate::Verified::covers_body`] for whether the signature vouches for it.
    Sha256([u8; 32]),
    /// It comes in the chunks of `aws-chunked`.
    Streaming(Streaming),
}

/// How chunks are verified. It holds the signing key, which is wiped with it and never printed.
pub struct Streaming {
    pub(crate) signer: Option<Box<ChunkSigner>>,
    pub(crate) trailer: bool,
}

impl fmt::Debug for Streaming {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { signer, trailer } = self;
        formatter.debug_struct("Streaming").field("signed", &signer.is_some()).field("trailer", trailer).finish()
    }
}

impl Payload {
    /// What a request without any signature says of its body. Nothing vouches for it.
    pub fn of_unsigned(headers: &HeaderMap) -> Result<Self, SignatureError> {
        Ok(match single(headers, CONTENT_SHA256)?.map(Declared::parse).transpose()? {
            None | Some(Declared::Unsigned) => Self::Unsigned,
            Some(Declared::Sha256(hash)) => Self::Sha256(hash),
            Some(Declared::Chunks { signed: false, trailer }) => Self::Streaming(Streaming { signer: None, trailer }),
            // Their signatures begin with that of the head.
            Some(Declared::Chunks { signed: true, .. }) => return Err(SignatureError::InvalidPayload),
        })
    }
}

/// Verifies chunk after chunk; each signature covers the one before, the first that of the head.
pub(crate) struct ChunkSigner {
    key: SigningKey,
    timestamp: String,
    scope: Scope,
    previous: Zeroizing<[u8; 32]>,
}

impl ChunkSigner {
    pub(crate) fn new(key: SigningKey, timestamp: &str, scope: &Scope, seed: [u8; 32]) -> Self {
        Self { key, timestamp: timestamp.to_owned(), scope: scope.clone(), previous: Zeroizing::new(seed) }
    }

    /// The signature of the next chunk, whose data has this hash.
    pub(crate) fn verify_chunk(&mut self, data_sha256: &[u8; 32], signature: &[u8; 32]) -> bool {
        let hashes = format!("{}\n{}", hex::encode(EMPTY_SHA256), hex::encode(data_sha256));
        self.verify("AWS4-HMAC-SHA256-PAYLOAD", &hashes, signature)
    }

    /// The signature of the trailer: lines of `name:value`, each with its line feed.
    pub(crate) fn verify_trailer(&mut self, lines_sha256: &[u8; 32], signature: &[u8; 32]) -> bool {
        self.verify("AWS4-HMAC-SHA256-TRAILER", &hex::encode(lines_sha256), signature)
    }

    fn verify(&mut self, label: &str, hashes: &str, signature: &[u8; 32]) -> bool {
        let Self { timestamp, scope, .. } = self;
        let text = Zeroizing::new(format!("{label}\n{timestamp}\n{scope}\n{}\n{hashes}", hex::encode(*self.previous)));
        let is_valid = self.key.verify(text.as_bytes(), signature);
        *self.previous = *signature;
        is_valid
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_declaration_is_signed_as_it_came() {
        let hash = hex::encode(EMPTY_SHA256);
        for text in [UNSIGNED, UNSIGNED_TRAILER, SIGNED_CHUNKS, SIGNED_CHUNKS_TRAILER, &hash] {
            assert_eq!(Declared::parse(text).unwrap().text(), text);
        }
        assert_eq!(crate::key::sha256(b""), EMPTY_SHA256);
    }

    #[test]
    fn what_is_no_declaration_is_refused() {
        for text in ["", "unsigned-payload", &"A".repeat(64), &"0".repeat(63), "STREAMING-UNSIGNED-PAYLOAD"] {
            assert_eq!(Declared::parse(text), Err(SignatureError::InvalidPayload), "{text}");
        }
        for text in [ASYMMETRIC_CHUNKS, ASYMMETRIC_CHUNKS_TRAILER] {
            assert_eq!(Declared::parse(text), Err(SignatureError::AsymmetricNotImplemented), "{text}");
        }
    }

    #[test]
    fn debug_text_tells_nothing_of_the_key() {
        let scope = crate::scope::Credential::parse("a/20130524/r/s3/aws4_request").unwrap().scope;
        let signer = ChunkSigner::new(SigningKey::derive("secret", &scope), "20130524T000000Z", &scope, [7; 32]);
        let payload = Payload::Streaming(Streaming { signer: Some(Box::new(signer)), trailer: false });
        assert_eq!(format!("{payload:?}"), "Streaming(Streaming { signed: true, trailer: false })");
    }
}
