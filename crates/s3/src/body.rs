//! Request bodies: from hyper to s3s, and from s3s to the engine.

use std::{
    future::Future as _,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use s3s::{
    StdError,
    stream::{aws_chunked_stream::AwsChunkedStreamError, upload_stream::UploadStreamError},
};
use strongroom_engine::{
    Error,
    api::{BodyError, BodyStream},
};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::refusal::Refusal;

/// What hyper receives, counted, and given up when nothing comes for too long.
pub(crate) struct Received<B = Incoming> {
    inner: B,
    idle: Duration,
    waiting_until: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    counter: Arc<AtomicU64>,
}

impl<B> Received<B> {
    pub(crate) fn new(inner: B, idle: Duration, counter: Arc<AtomicU64>) -> Self {
        Self { inner, idle, waiting_until: None, timer: None, counter }
    }

    /// Ready when the wait has been too long. The timer is moved only when it fires early, not with every frame.
    fn poll_idle(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let deadline = *self.waiting_until.get_or_insert_with(|| Instant::now() + self.idle);
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        loop {
            ready!(timer.as_mut().poll(context));
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Received<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Ready(frame) => {
                self.waiting_until = None;
                if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref) {
                    self.counter.fetch_add(data.len() as u64, Ordering::Relaxed);
                }
                Poll::Ready(frame.map(|frame| frame.map_err(|_| BodyError::Incomplete)))
            }
            Poll::Pending => self.poll_idle(context).map(|()| Some(Err(BodyError::Timeout))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The decoded bytes for the engine.
pub(crate) fn decoded(body: s3s::Body) -> BodyStream {
    Box::pin(Decoded(body))
}

struct Decoded(s3s::Body);

impl Stream for Decoded {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.0).poll_next(context).map_err(|error| body_error(&error))
    }
}

/// The whole of a small body.
pub(crate) async fn collect(body: s3s::Body, max_bytes: usize) -> Result<Bytes, Refusal> {
    let mut body = Decoded(body);
    let mut collected = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| Refusal::Engine(Error::Body(error)))?;
        if collected.len() + chunk.len() > max_bytes {
            return Err(Refusal::MessageTooLong);
        }
        collected.extend_from_slice(&chunk);
    }
    Ok(collected.freeze())
}

/// Finds the cause in what s3s wrapped around it.
fn body_error(error: &StdError) -> BodyError {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(&**error);
    while let Some(error) = next {
        if let Some(known) = known_error(error) {
            return known;
        }
        next = error.source();
    }
    BodyError::Incomplete
}

fn known_error(error: &(dyn std::error::Error + 'static)) -> Option<BodyError> {
    if let Some(error) = error.downcast_ref::<BodyError>() {
        return Some(match error {
            BodyError::Sha256Mismatch => BodyError::Sha256Mismatch,
            BodyError::SignatureMismatch => BodyError::SignatureMismatch,
            BodyError::Incomplete => BodyError::Incomplete,
            BodyError::Malformed => BodyError::Malformed,
            BodyError::TooLarge => BodyError::TooLarge,
            BodyError::Timeout => BodyError::Timeout,
        });
    }
    if let Some(error) = error.downcast_ref::<UploadStreamError>() {
        return match error {
            UploadStreamError::Underlying(_) => None,
            UploadStreamError::Sha256Mismatch => Some(BodyError::Sha256Mismatch),
            UploadStreamError::LengthMismatch => Some(BodyError::Malformed),
            UploadStreamError::Incomplete => Some(BodyError::Incomplete),
        };
    }
    match error.downcast_ref::<AwsChunkedStreamError>()? {
        AwsChunkedStreamError::Underlying(_) => None,
        AwsChunkedStreamError::SignatureMismatch => Some(BodyError::SignatureMismatch),
        AwsChunkedStreamError::Incomplete => Some(BodyError::Incomplete),
        AwsChunkedStreamError::FormatError
        | AwsChunkedStreamError::LengthMismatch
        | AwsChunkedStreamError::ChunkMetaTooLarge(..)
        | AwsChunkedStreamError::TrailersTooLarge(..)
        | AwsChunkedStreamError::TooManyTrailerHeaders(..) => Some(BodyError::Malformed),
        AwsChunkedStreamError::ChunkDataTooLarge(..) => Some(BodyError::TooLarge),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Frames, then silence.
    struct Script(Vec<&'static str>);

    impl Body for Script {
        type Data = Bytes;
        type Error = BodyError;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            if self.0.is_empty() { Poll::Pending } else { Poll::Ready(Some(Ok(Frame::data(Bytes::from(self.0.remove(0)))))) }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_falls_silent_is_given_up() {
        let count = Arc::new(AtomicU64::new(0));
        let received = Received::new(Script(vec!["ab", "cde"]), Duration::from_secs(30), Arc::clone(&count));
        let mut stream = decoded(s3s::Body::http_body(received));
        assert_eq!(stream.next().await.unwrap().unwrap(), "ab");
        assert_eq!(stream.next().await.unwrap().unwrap(), "cde");
        let begun = Instant::now();
        assert!(matches!(stream.next().await, Some(Err(BodyError::Timeout))));
        assert!(begun.elapsed() >= Duration::from_secs(30));
        assert_eq!(count.load(Ordering::Relaxed), 5);
    }

    #[test]
    fn the_cause_is_found_under_the_wrappers_of_s3s() {
        let wrapped: StdError = Box::new(UploadStreamError::Underlying(Box::new(BodyError::Timeout)));
        assert!(matches!(body_error(&wrapped), BodyError::Timeout));
        let wrapped: StdError = Box::new(AwsChunkedStreamError::Underlying(Box::new(AwsChunkedStreamError::ChunkMetaTooLarge(2, 1))));
        assert!(matches!(body_error(&wrapped), BodyError::Malformed));
        let rows: [(StdError, &str); 6] = [
            (Box::new(UploadStreamError::Sha256Mismatch), "Sha256Mismatch"),
            (Box::new(UploadStreamError::LengthMismatch), "Malformed"),
            (Box::new(UploadStreamError::Incomplete), "Incomplete"),
            (Box::new(AwsChunkedStreamError::SignatureMismatch), "SignatureMismatch"),
            (Box::new(AwsChunkedStreamError::ChunkDataTooLarge(2, 1)), "TooLarge"),
            (Box::new(std::io::Error::other("reset")), "Incomplete"),
        ];
        for (error, expected) in rows {
            assert_eq!(format!("{:?}", body_error(&error)), expected);
        }
    }

    #[tokio::test]
    async fn a_small_body_is_collected_and_a_large_one_refused() {
        let body = || s3s::Body::from(Bytes::from_static(b"12345"));
        assert_eq!(collect(body(), 5).await.unwrap(), "12345");
        assert!(matches!(collect(body(), 4).await, Err(Refusal::MessageTooLong)));
    }
}
