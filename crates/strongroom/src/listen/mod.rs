//! Listening: from the socket to a handler, with every wait bounded.
//!
//! ```text
//! accept (a permit each) ─▶ peek (TLS or plain?) ─▶ handshake ─▶ HTTP/1.1 ─▶ Handler
//! ```

mod accept;
mod connection;
mod peek;
mod stall;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};

pub(crate) use accept::Listener;

/// How far the server is on its way to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Serving,
    /// No new connection and no new request; those under way may end.
    Draining,
    /// Nothing is waited for any more.
    Cut,
}

/// Answers the requests of one port.
pub(crate) trait Handler: Send + Sync + 'static {
    /// The body of its answers.
    type Body: Body<Data = bytes::Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static;

    /// Answers one request.
    fn handle(&self, request: Request<Incoming>, from: Arrival) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// How a request came in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// Whether over TLS.
    pub(crate) secure: bool,
    pub(crate) peer: SocketAddr,
}

/// What a port grants its clients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PortLimits {
    pub(crate) max_connections: usize,
    pub(crate) max_header_bytes: usize,
    pub(crate) max_header_count: usize,
    /// For the first byte and the TLS handshake.
    pub(crate) handshake_timeout: Duration,
    /// For the headers, waiting for a request included.
    pub(crate) header_timeout: Duration,
    /// For the client to take some of an answer.
    pub(crate) write_timeout: Duration,
    /// How much of it, on average over as long a wait; 0: any.
    pub(crate) min_write_bytes_per_second: u64,
    /// Whether HTTP without TLS is served too.
    pub(crate) allow_plain: bool,
}
