//! Request bodies: from hyper to s3s, and from s3s to the engine.

use std::{
    future::poll_fn,
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
use zeroize::Zeroizing;

use crate::{pace::Pace, refusal::Refusal};

/// What is read and thrown away of a body that nobody wanted to its end.
const MAX_DRAINED_BYTES: u64 = 16 << 20;
/// How long that may take.
const MAX_DRAIN_TIME: Duration = Duration::from_secs(10);

/// What hyper receives, counted, and given up when nothing or too little comes for too long.
///
/// Dropped before its end, it is drained for a while: a connection that is closed on a client that still sends is reset, and the
/// client never reads why it was refused.
pub(crate) struct Received<B: Body<Data = Bytes> + Send + Unpin + 'static = Incoming> {
    /// None once it has ended, well or badly.
    inner: Option<B>,
    /// The client waits for "100 Continue", which hyper sends when the body is first read: what is never read never comes.
    awaits_continue: bool,
    pace: Pace,
    counter: Arc<AtomicU64>,
}

impl<B: Body<Data = Bytes> + Send + Unpin + 'static> Received<B> {
    pub(crate) fn new(inner: B, awaits_continue: bool, pace: Pace, counter: Arc<AtomicU64>) -> Self {
        Self { inner: Some(inner), awaits_continue, pace, counter }
    }
}

impl<B: Body<Data = Bytes> + Send + Unpin + 'static> Body for Received<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.awaits_continue = false;
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        match Pin::new(inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let len_bytes = frame.data_ref().map_or(0, Bytes::len);
                self.pace.passed(len_bytes);
                self.counter.fetch_add(len_bytes as u64, Ordering::Relaxed);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(end) => {
                self.inner = None;
                Poll::Ready(end.map(|_| Err(BodyError::Incomplete)))
            }
            Poll::Pending => {
                ready!(self.pace.poll_too_slow(context));
                self.inner = None;
                Poll::Ready(Some(Err(BodyError::Timeout)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B: Body<Data = Bytes> + Send + Unpin + 'static> Drop for Received<B> {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take().filter(|inner| !self.awaits_continue && !inner.is_end_stream())
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(tokio::time::timeout(MAX_DRAIN_TIME, drain(inner)));
        }
    }
}

async fn drain(mut body: impl Body<Data = Bytes> + Unpin) {
    let mut drained_bytes = 0;
    while drained_bytes < MAX_DRAINED_BYTES
        && let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
    {
        drained_bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
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

/// The whole of a small body that may hold secrets, in memory that is wiped.
pub(crate) async fn collect_wiped(body: s3s::Body, max_bytes: usize) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let mut body = Decoded(body);
    let mut collected = Zeroizing::new(Vec::new());
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| Refusal::Engine(Error::Body(error)))?;
        if collected.len() + chunk.len() > max_bytes {
            return Err(Refusal::MessageTooLong);
        }
        if collected.len() + chunk.len() > collected.capacity() {
            // A vector that grows by itself leaves what it held behind.
            let mut larger = Zeroizing::new(Vec::with_capacity((collected.len() + chunk.len()).next_power_of_two()));
            larger.extend_from_slice(&collected);
            collected = larger;
        }
        collected.extend_from_slice(&chunk);
    }
    Ok(collected)
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
    use std::future::Future as _;

    use tokio::time::{Instant, Sleep, sleep};

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
        let received = Received::new(Script(vec!["ab", "cde"]), true, Pace::new(Duration::from_secs(30), 128), Arc::clone(&count));
        let mut stream = decoded(s3s::Body::http_body(received));
        assert_eq!(stream.next().await.unwrap().unwrap(), "ab");
        assert_eq!(stream.next().await.unwrap().unwrap(), "cde");
        let begun = Instant::now();
        assert!(matches!(stream.next().await, Some(Err(BodyError::Timeout))));
        assert!(begun.elapsed() >= Duration::from_secs(30));
        assert_eq!(count.load(Ordering::Relaxed), 5);
    }

    /// A byte, again and again after the same time.
    struct Drip(Duration, Pin<Box<Sleep>>);

    impl Body for Drip {
        type Data = Bytes;
        type Error = BodyError;

        fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            ready!(self.1.as_mut().poll(context));
            self.1 = Box::pin(sleep(self.0));
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_drips_is_given_up_where_a_rate_is_asked_for() {
        let drip = || Drip(Duration::from_secs(29), Box::pin(sleep(Duration::from_secs(29))));
        let received = |rate| {
            let received = Received::new(drip(), true, Pace::new(Duration::from_secs(30), rate), Arc::default());
            decoded(s3s::Body::http_body(received))
        };
        let mut strict = received(128);
        assert_eq!(strict.next().await.unwrap().unwrap(), "x");
        assert!(matches!(strict.next().await, Some(Err(BodyError::Timeout))));
        assert!(strict.next().await.is_none());
        let mut lenient = received(0);
        for _ in 0..100 {
            assert_eq!(lenient.next().await.unwrap().unwrap(), "x");
        }
    }

    /// Counts what is read of it.
    struct Counted(Arc<AtomicU64>, u64);

    impl Body for Counted {
        type Data = Bytes;
        type Error = BodyError;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            let Some(left) = self.1.checked_sub(1) else { return Poll::Ready(None) };
            self.1 = left;
            self.0.fetch_add(1, Ordering::Relaxed);
            Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![0; 1 << 20])))))
        }
    }

    #[tokio::test]
    async fn a_body_that_nobody_wanted_is_drained_up_to_a_bound_if_it_comes_at_all() {
        for (awaits_continue, frames, expected) in [(false, 5, 5), (false, 1000, MAX_DRAINED_BYTES >> 20), (true, 5, 0)] {
            let read = Arc::new(AtomicU64::new(0));
            let body = Counted(Arc::clone(&read), frames);
            drop(Received::new(body, awaits_continue, Pace::new(Duration::from_secs(30), 128), Arc::default()));
            // The drain holds the other count of the counter until it is done.
            while Arc::strong_count(&read) > 1 {
                tokio::task::yield_now().await;
            }
            assert_eq!(read.load(Ordering::Relaxed), expected);
        }
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
