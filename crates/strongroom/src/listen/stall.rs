//! A stream that fails when the other side takes nothing, or too little, for too long.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use strongroom_s3::Pace;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::activity::Activity;

/// Bounds the waits for writes, flushes and shutdowns. Reads are bounded by who waits for them.
pub(super) struct StallGuard<S> {
    stream: S,
    pace: Pace,
    activity: Arc<Activity>,
}

impl<S> StallGuard<S> {
    pub(super) fn new(stream: S, pace: Pace, activity: Arc<Activity>) -> Self {
        Self { stream, pace, activity }
    }

    /// Passes a result on, which says how many bytes were taken; too long a wait ends in an error.
    fn bound<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>, taken: impl FnOnce(&T) -> usize) -> Poll<io::Result<T>> {
        if let Poll::Ready(result) = poll {
            self.activity.taken();
            self.pace.passed(result.as_ref().map_or(0, taken));
            return Poll::Ready(result);
        }
        self.activity.blocked();
        ready!(self.pace.poll_too_slow(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing, or too little")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StallGuard<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StallGuard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.bound(cx, poll, |taken| *taken)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.bound(cx, poll, |taken| *taken)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(cx);
        self.bound(cx, poll, |()| 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.bound(cx, poll, |()| 0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::{Instant, sleep};

    use super::*;

    fn guarded(stream: DuplexStream, min_bytes_per_second: u64) -> StallGuard<DuplexStream> {
        let pace = Pace::new(Duration::from_mins(1), min_bytes_per_second);
        StallGuard::new(stream, pace, Arc::new(Activity::new(Instant::now())))
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_ends_the_write() {
        let (near, _far) = duplex(4);
        let begun = Instant::now();
        let error = guarded(near, 0).write_all(b"too long").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed().as_secs(), 60);
    }

    /// Takes a byte every 59 seconds. How many it got, and what became of the write.
    async fn drip(min_bytes_per_second: u64) -> (usize, io::Result<()>) {
        let (near, mut far) = duplex(4);
        let mut guarded = guarded(near, min_bytes_per_second);
        let writer = tokio::spawn(async move { guarded.write_all(&[7; 64]).await });
        let mut taken = 0;
        loop {
            sleep(Duration::from_secs(59)).await;
            if far.read_u8().await.is_err() {
                return (taken, writer.await.unwrap());
            }
            taken += 1;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_drips_ends_the_write_where_a_rate_is_asked_for() {
        let (taken, written) = drip(1).await;
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
        // One in time, and the four that were on their way.
        assert_eq!(taken, 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_that_goes_on_is_served_where_no_rate_is_asked_for() {
        let (taken, written) = drip(0).await;
        written.unwrap();
        assert_eq!(taken, 64);
    }
}
