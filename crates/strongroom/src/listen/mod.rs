//! Listening: from the socket to a handler, with every wait and every number bounded.
//!
//! ```text
//! accept ─▶ table (a place each) ─▶ peek (TLS or plain?) ─▶ handshake ─▶ gate (checked heads) ─▶ HTTP/1.1 ─▶ Handler
//! ```

mod accept;
mod activity;
mod address;
mod answer;
mod chunked;
mod connection;
pub(crate) mod descriptors;
mod gate;
mod head;
mod peek;
mod report;
mod stall;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod strict_tests;
mod table;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod table_tests;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};

pub(crate) use accept::Listener;
pub(crate) use table::{Places, Table};

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
    type Body: Body<Data = bytes::Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + Unpin + 'static;

    /// Answers one request.
    fn handle(&self, request: Request<Incoming>, from: Arrival) -> impl Future<Output = Response<Self::Body>> + Send;

    /// Whether the request is served even where the port is full.
    fn is_urgent(&self, request: &Request<Incoming>) -> bool;

    /// The answer to others then: 503.
    fn busy(&self) -> Response<Self::Body>;
}

/// How a request came in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// Whether over TLS.
    pub(crate) secure: bool,
    /// `1.2` or `1.3`, over TLS.
    pub(crate) tls_version: Option<&'static str>,
    pub(crate) peer: SocketAddr,
}

/// What a port grants each of its clients; [`Places`] says how many there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PortLimits {
    /// What the log calls the port.
    pub(crate) name: &'static str,
    pub(crate) max_header_bytes: usize,
    pub(crate) max_header_count: usize,
    /// For the first byte and the TLS handshake.
    pub(crate) handshake_timeout: Duration,
    /// For the client to take some of an answer.
    pub(crate) write_timeout: Duration,
    /// How much of it, on average over as long a wait; 0: any.
    pub(crate) min_write_bytes_per_second: u64,
    /// Whether HTTP without TLS is served too.
    pub(crate) allow_plain: bool,
}
