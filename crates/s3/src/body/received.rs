//! What hyper receives, counted, gathered, and given up when nothing or too little comes for too long.

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
use hyper::body::{Body, Frame, Incoming, SizeHint};
use strongroom_engine::api::BodyError;

use crate::pace::Pace;

/// What is read and thrown away of a body that nobody wanted to its end.
const MAX_DRAINED_BYTES: u64 = 16 << 20;
/// How long that may take.
const MAX_DRAIN_TIME: Duration = Duration::from_secs(10);
/// A piece up to this size is copied: the buffer that it was read into is many times larger, and lives as long as the piece does.
const SMALL_BYTES: usize = 4 << 10;
/// So much of small pieces is gathered before it goes on.
const GATHERED_BYTES: usize = 16 << 10;

/// A body as it comes from the client.
pub(crate) type RawBody = Pin<Box<dyn Body<Data = Bytes, Error = BodyError> + Send + Sync>>;

/// A body of hyper on its way in.
///
/// Dropped before its end, it is drained for a while: a connection that is closed on a client that still sends is reset, and the
/// client never reads why it was refused.
pub(crate) struct Received<B: Body<Data = Bytes> + Send + Unpin + 'static = Incoming> {
    /// None once it has ended, well or badly.
    inner: Option<B>,
    /// Small pieces that have come, and none of which anybody has seen.
    gathered: BytesMut,
    /// What came behind them.
    next: Option<Bytes>,
    /// How the body ended, behind all that.
    failure: Option<BodyError>,
    /// The client waits for "100 Continue", which hyper sends when the body is first read: what is never read never comes.
    awaits_continue: bool,
    pace: Pace,
    counter: Arc<AtomicU64>,
}

impl<B: Body<Data = Bytes> + Send + Unpin + 'static> Received<B> {
    pub(crate) fn new(inner: B, awaits_continue: bool, pace: Pace, counter: Arc<AtomicU64>) -> Self {
        Self { inner: Some(inner), gathered: BytesMut::new(), next: None, failure: None, awaits_continue, pace, counter }
    }

    /// Takes in what has come. Pending where nothing has, or nothing more that would go on at once.
    fn poll_gather(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.next.is_none() && self.gathered.len() < GATHERED_BYTES {
            let Some(inner) = &mut self.inner else { return Poll::Ready(()) };
            match ready!(Pin::new(inner).poll_frame(context)) {
                Some(Ok(frame)) => self.take(frame.into_data().unwrap_or_default()),
                end => {
                    self.inner = None;
                    self.failure = end.map(|_| BodyError::Incomplete);
                }
            }
        }
        Poll::Ready(())
    }

    fn take(&mut self, bytes: Bytes) {
        self.pace.passed(bytes.len());
        self.counter.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if bytes.len() <= SMALL_BYTES {
            self.gathered.extend_from_slice(&bytes);
        } else {
            self.next = Some(bytes);
        }
    }

    /// The bytes that go on next. Gathered ones in a buffer of just their size, so that few of them never hold a large one.
    fn ready_bytes(&mut self) -> Option<Bytes> {
        if self.gathered.is_empty() {
            return self.next.take();
        }
        let bytes = Bytes::copy_from_slice(&self.gathered);
        self.gathered.clear();
        Some(bytes)
    }
}

impl<B: Body<Data = Bytes> + Send + Unpin + 'static> Body for Received<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.awaits_continue = false;
        let waits = self.poll_gather(context).is_pending();
        if let Some(bytes) = self.ready_bytes() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if !waits {
            return Poll::Ready(self.failure.take().map(Err));
        }
        ready!(self.pace.poll_too_slow(context));
        self.inner = None;
        Poll::Ready(Some(Err(BodyError::Timeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.gathered.is_empty() && self.next.is_none() && self.failure.is_none() && self.inner.as_ref().is_none_or(Body::is_end_stream)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::future::Future as _;

    use tokio::time::{Instant, Sleep, sleep};

    use super::*;

    async fn next<B: Body<Data = Bytes> + Send + Unpin>(body: &mut Pin<Box<Received<B>>>) -> Option<Result<Bytes, BodyError>> {
        let frame = poll_fn(|context| body.as_mut().poll_frame(context)).await;
        frame.map(|frame| frame.map(|frame| frame.into_data().unwrap()))
    }

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
        let mut received = Box::pin(received);
        assert_eq!(next(&mut received).await.unwrap().unwrap(), "abcde", "small pieces are gathered");
        let begun = Instant::now();
        assert!(matches!(next(&mut received).await, Some(Err(BodyError::Timeout))));
        assert!(next(&mut received).await.is_none());
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
        let received = |rate| Box::pin(Received::new(drip(), true, Pace::new(Duration::from_secs(30), rate), Arc::default()));
        let mut strict = received(128);
        assert_eq!(next(&mut strict).await.unwrap().unwrap(), "x");
        assert!(matches!(next(&mut strict).await, Some(Err(BodyError::Timeout))));
        assert!(next(&mut strict).await.is_none());
        let mut lenient = received(0);
        for _ in 0..100 {
            assert_eq!(next(&mut lenient).await.unwrap().unwrap(), "x");
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

    /// Pieces, one after the other, then the end.
    struct Pieces(std::collections::VecDeque<Bytes>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = BodyError;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
        }
    }

    /// A piece keeps the whole buffer that it was read into: a body of one-byte pieces would hold thousands of times its size.
    #[tokio::test]
    async fn small_pieces_leave_their_buffer_and_large_ones_are_not_copied() {
        let (read_buffer, large) = (Bytes::from(vec![7; 256 << 10]), Bytes::from(vec![8; SMALL_BYTES + 1]));
        let small = (0..100).map(|at| read_buffer.slice(at..=at));
        let pieces = Pieces(small.chain([large.clone(), read_buffer.slice(0..3)]).collect());
        let mut received = Box::pin(Received::new(pieces, true, Pace::new(Duration::from_secs(30), 128), Arc::default()));
        let gathered = next(&mut received).await.unwrap().unwrap();
        assert_eq!(gathered, vec![7; 100]);
        let second = next(&mut received).await.unwrap().unwrap();
        assert_eq!((second.as_ptr(), second.len()), (large.as_ptr(), large.len()));
        assert_eq!(next(&mut received).await.unwrap().unwrap(), vec![7; 3]);
        assert!(next(&mut received).await.is_none());
        assert!(read_buffer.is_unique(), "nothing holds the buffer that the pieces were read into");
    }
}
