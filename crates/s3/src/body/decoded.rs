//! A body without the framing of aws-chunked, checked against the signature of its request.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::Stream;
use strongroom_engine::api::BodyError;
use strongroom_sigv4 as sigv4;

use super::RawBody;

/// The decoded bytes. They are handed on before their signature is checked, so nothing of them may count before the stream has ended
/// without an error.
pub(crate) struct Decoded {
    raw: RawBody,
    /// None once the body has ended, well or badly.
    decoder: Option<sigv4::BodyDecoder>,
    input: Bytes,
    trailers: Trailers,
    announced_bytes: Option<u64>,
}

/// What came behind a body, once it has ended. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Trailers(Arc<Mutex<BTreeMap<String, String>>>);

impl Trailers {
    /// By lower-case name. Taken once.
    pub(crate) fn take(&self) -> BTreeMap<String, String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Decoded {
    pub(crate) fn new(raw: RawBody, decoder: sigv4::BodyDecoder, announced_bytes: Option<u64>) -> Self {
        Self { raw, decoder: Some(decoder), input: Bytes::new(), trailers: Trailers::default(), announced_bytes }
    }

    /// Its decoded length in bytes, where the client states one.
    pub(crate) fn announced_bytes(&self) -> Option<u64> {
        self.announced_bytes
    }

    /// Where its trailers will be.
    pub(crate) fn trailers(&self) -> Trailers {
        self.trailers.clone()
    }

    fn fail<T>(&mut self, error: BodyError) -> Poll<Option<Result<T, BodyError>>> {
        self.decoder = None;
        Poll::Ready(Some(Err(error)))
    }
}

impl Stream for Decoded {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            let Some(decoder) = &mut this.decoder else { return Poll::Ready(None) };
            match decoder.decode(&mut this.input) {
                Ok(Some(bytes)) => return Poll::Ready(Some(Ok(bytes))),
                Ok(None) => {}
                Err(error) => return this.fail(body_error(error)),
            }
            match ready!(this.raw.as_mut().poll_frame(context)) {
                Some(Ok(frame)) => this.input = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return this.fail(error),
                None => match this.decoder.take().map(sigv4::BodyDecoder::finish) {
                    Some(Ok(trailers)) => *this.trailers.0.lock().unwrap_or_else(PoisonError::into_inner) = trailers,
                    Some(Err(error)) => return this.fail(body_error(error)),
                    None => {}
                },
            }
        }
    }
}

/// The engine's name for what is wrong with a body while it comes. What its headers lack was refused before.
fn body_error(error: sigv4::BodyError) -> BodyError {
    match error {
        sigv4::BodyError::Sha256Mismatch => BodyError::Sha256Mismatch,
        sigv4::BodyError::SignatureMismatch => BodyError::SignatureMismatch,
        sigv4::BodyError::Incomplete => BodyError::Incomplete,
        sigv4::BodyError::ChunkTooSmall => BodyError::ChunkTooSmall,
        sigv4::BodyError::TrailerMissing(name) => BodyError::TrailerMissing(name),
        sigv4::BodyError::TrailerMalformed => BodyError::TrailerMalformed,
        sigv4::BodyError::TooLong
        | sigv4::BodyError::Malformed
        | sigv4::BodyError::InvalidLength(_)
        | sigv4::BodyError::DecodedLengthMissing
        | sigv4::BodyError::InvalidAnnouncement
        | sigv4::BodyError::TrailerNotPossible => BodyError::Malformed,
    }
}
