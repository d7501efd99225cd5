//! What stands between a connection's bytes and the HTTP parser: whole, checked heads are handed on, one message at a time.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::activity::{Activity, Stage};
use super::chunked::Chunks;
use super::head::{Framing, HeadEnd, Refusal, inspect};

/// Handed on in place of a head that is refused; the service answers it with the refusal.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n";
/// What a client may still send after its last answer, and for how long, lest a reset takes the answer from it.
const LINGER_BYTES: usize = 1 << 20;
const LINGER: Duration = Duration::from_secs(1);

/// Follows the messages of a connection. Bytes are copied only where a head comes in pieces or messages come in one piece.
pub(super) struct Gate<S> {
    stream: S,
    activity: Arc<Activity>,
    max_head_bytes: usize,
    next: Next,
    /// What was read and not handed on yet: a head that is not whole, or what follows a message.
    held: BytesMut,
    /// So much of it may be handed on.
    cleared: usize,
    /// Whether the rest of it was looked at.
    is_searched: bool,
    /// How many heads were handed on.
    requests: u64,
    is_busy: bool,
    closing: Closing,
}

/// What the next byte belongs to.
enum Next {
    Head(HeadEnd),
    Body(u64),
    Chunks(Box<Chunks>),
    /// A body that is not what its framing says: reading it fails.
    Broken,
    /// Nothing is taken any more.
    Nothing,
}

enum Closing {
    No,
    Lingering(Pin<Box<Sleep>>, usize),
    Done,
}

impl<S> Gate<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>, max_head_bytes: usize) -> Self {
        let (held, next) = (BytesMut::new(), Next::Head(HeadEnd::default()));
        Self {
            stream,
            activity,
            max_head_bytes,
            next,
            held,
            cleared: 0,
            is_searched: false,
            requests: 0,
            is_busy: false,
            closing: Closing::No,
        }
    }

    /// How many of the bytes may be handed on. They follow what was handed on; after a head that is not whole, they begin with it.
    fn clear(&mut self, bytes: &[u8]) -> usize {
        let mut cleared = 0;
        loop {
            let rest = &bytes[cleared..];
            match &mut self.next {
                Next::Head(_) if cleared > 0 => return cleared,
                Next::Head(end) => match end.find(rest) {
                    Ok(Some(len)) if len <= self.max_head_bytes => match inspect(&rest[..len]) {
                        Ok(framing) => cleared = if self.begin(framing) { len } else { return 0 },
                        Err(refusal) => return self.refuse(refusal),
                    },
                    Ok(None) if rest.len() < self.max_head_bytes => return self.wait_for_head(),
                    Ok(_) => return self.refuse(Refusal::TooLong),
                    Err(refusal) => return self.refuse(refusal),
                },
                Next::Body(remaining) => {
                    let len = usize::try_from(*remaining).map_or(rest.len(), |remaining| remaining.min(rest.len()));
                    *remaining -= len as u64;
                    if *remaining == 0 {
                        self.next = Next::Head(HeadEnd::default());
                    }
                    return cleared + len;
                }
                Next::Chunks(chunks) => {
                    let Ok((len, has_ended)) = chunks.follow(rest) else {
                        self.next = Next::Broken;
                        return cleared;
                    };
                    if has_ended {
                        self.next = Next::Head(HeadEnd::default());
                    }
                    return cleared + len;
                }
                Next::Broken | Next::Nothing => return cleared,
            }
        }
    }

    /// A whole head is there. `false`: the connection is being closed, and no request of it is served.
    fn begin(&mut self, framing: Framing) -> bool {
        self.is_busy = self.activity.enter(Stage::Busy);
        self.next = match framing {
            _ if !self.is_busy => Next::Nothing,
            Framing::None => Next::Head(HeadEnd::default()),
            Framing::Length(len) => Next::Body(len),
            Framing::Chunked => Next::Chunks(Box::default()),
        };
        self.requests += u64::from(self.is_busy);
        self.is_busy
    }

    fn wait_for_head(&mut self) -> usize {
        if !self.is_busy {
            self.activity.enter(Stage::Head);
        }
        0
    }

    /// Puts the stand-in in the place of the head, after which nothing is taken.
    fn refuse(&mut self, refusal: Refusal) -> usize {
        if self.begin(Framing::None) {
            self.activity.set_refusal(refusal as u8);
            self.held = BytesMut::from(STAND_IN);
            self.cleared = STAND_IN.len();
        }
        self.next = Next::Nothing;
        0
    }

    fn hand_on(&mut self, buffer: &mut ReadBuf<'_>) {
        let len = self.cleared.min(buffer.remaining());
        buffer.put_slice(&self.held[..len]);
        self.held.advance(len);
        self.cleared -= len;
        if self.held.is_empty() {
            self.held = BytesMut::new();
        }
    }

    /// Looks at what is held, as far as it was not cleared before.
    fn clear_held(&mut self) {
        let held = std::mem::take(&mut self.held);
        let cleared = self.clear(&held);
        if !matches!(self.next, Next::Nothing) || cleared > 0 {
            (self.held, self.cleared) = (held, cleared);
        }
        self.is_searched = cleared == 0;
    }

    /// Whether the client may still be sending what nobody reads.
    fn has_unread(&self) -> bool {
        !matches!(self.next, Next::Head(_)) || !self.held.is_empty()
    }
}

impl<S: AsyncRead + Unpin> Gate<S> {
    /// Reads behind what is in the buffer, and returns how many bytes came.
    fn poll_more(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        Poll::Ready(Ok(buffer.filled().len() - before))
    }

    /// Hands bytes on as they are read, and holds what may not be handed on yet.
    fn poll_direct(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        let before = buffer.filled().len();
        if ready!(self.poll_more(cx, buffer))? == 0 {
            return Poll::Ready(Ok(true));
        }
        let cleared = self.clear(&buffer.filled()[before..]);
        if !matches!(self.next, Next::Nothing) {
            self.held.extend_from_slice(&buffer.filled()[before + cleared..]);
            self.is_searched = cleared == 0;
        }
        buffer.set_filled(before + cleared);
        Poll::Ready(Ok(cleared > 0))
    }

    /// Adds to what is held. `false` at the end of the stream.
    fn poll_held(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        let before = buffer.filled().len();
        let len = ready!(self.poll_more(cx, buffer))?;
        self.held.extend_from_slice(&buffer.filled()[before..]);
        buffer.set_filled(before);
        self.is_searched = false;
        Poll::Ready(Ok(len > 0))
    }

    /// Reads and drops what the client still sends, within bounds.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Closing::Lingering(patience, left) = &mut self.closing else { return Poll::Ready(()) };
        let mut scratch = [0; 4096];
        while *left > 0 {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => *left = left.saturating_sub(buffer.filled().len()),
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return patience.as_mut().poll(cx),
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gate<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.cleared > 0 {
                this.hand_on(buffer);
                return Poll::Ready(Ok(()));
            }
            match this.next {
                // The answer ends the connection, or its task is told to.
                Next::Nothing => return Poll::Pending,
                Next::Broken => return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "the body is not in chunks"))),
                _ => {}
            }
            if this.held.is_empty() {
                if ready!(this.poll_direct(cx, buffer))? {
                    return Poll::Ready(Ok(()));
                }
            } else if !this.is_searched {
                this.clear_held();
            } else if !ready!(this.poll_held(cx, buffer))? {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Gate<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// A flush after the last answer's end means that the client has all of it.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        if self.is_busy && self.activity.answers() == self.requests {
            self.is_busy = false;
            let stage = if self.held.is_empty() { Stage::Idle } else { Stage::Head };
            self.activity.enter(stage);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if matches!(this.closing, Closing::No) {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            let is_all_read = !this.has_unread();
            this.closing = if is_all_read { Closing::Done } else { Closing::Lingering(Box::pin(tokio::time::sleep(LINGER)), LINGER_BYTES) };
        }
        ready!(this.poll_linger(cx));
        this.closing = Closing::Done;
        Poll::Ready(Ok(()))
    }
}
