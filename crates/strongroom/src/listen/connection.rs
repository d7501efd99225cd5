//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use strongroom_s3::Pace;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use super::accept::Shared;
use super::peek::{Speaks, first_byte};
use super::stall::StallGuard;
use super::{Arrival, Handler, Phase, PortLimits};

/// The most that is read or written at once for one connection: fewer system calls for large bodies against memory for
/// many connections. Buffers grow to it only while a client keeps them full.
const BUFFER_BYTES: usize = 256 << 10;

/// Serves one connection, which holds its permit to the end.
pub(super) async fn serve<H: Handler>(
    shared: Arc<Shared<H>>,
    stream: TcpStream,
    peer: SocketAddr,
    permit: OwnedSemaphorePermit,
    mut phase: watch::Receiver<Phase>,
) {
    let _permit = permit;
    let _open = shared.metrics.as_ref().map(|metrics| metrics.connected());
    let established = tokio::select! {
        established = timeout(shared.limits.handshake_timeout, establish(&shared, stream)) => established,
        _ = phase.wait_for(|phase| *phase >= Phase::Draining) => return,
    };
    match established {
        Ok(Ok(Some(Established::Tls(stream)))) => serve_http(&shared, *stream, Arrival { secure: true, peer }, phase).await,
        Ok(Ok(Some(Established::Plain(stream)))) => serve_http(&shared, stream, Arrival { secure: false, peer }, phase).await,
        Ok(Ok(None)) => {}
        Ok(Err(error)) => refuse(&shared, peer, &error),
        Err(_) => refuse(&shared, peer, &io::ErrorKind::TimedOut.into()),
    }
}

fn refuse<H>(shared: &Shared<H>, peer: SocketAddr, error: &io::Error) {
    tracing::debug!(%peer, %error, "a connection ended before its first request");
    if let Some(metrics) = &shared.metrics {
        metrics.handshake_failed();
    }
}

enum Established {
    Tls(Box<TlsStream<StallGuard<TcpStream>>>),
    Plain(StallGuard<TcpStream>),
}

/// `None`: the client went away without a word.
async fn establish<H>(shared: &Shared<H>, stream: TcpStream) -> io::Result<Option<Established>> {
    stream.set_nodelay(true)?;
    let speaks = first_byte(&stream).await?;
    let stream = StallGuard::new(stream, Pace::new(shared.limits.write_timeout, shared.limits.min_write_bytes_per_second));
    match speaks {
        Speaks::Tls => Ok(Some(Established::Tls(Box::new(shared.tls.accept(stream).await?)))),
        Speaks::Plain if shared.limits.allow_plain => Ok(Some(Established::Plain(stream))),
        Speaks::Plain => Err(io::Error::new(io::ErrorKind::InvalidData, "not TLS")),
        Speaks::Nothing => Ok(None),
    }
}

/// Serves requests one after another; while draining, the present one only.
async fn serve_http<H, S>(shared: &Shared<H>, stream: S, from: Arrival, mut phase: watch::Receiver<Phase>)
where
    H: Handler,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(async |request| Ok::<_, Infallible>(shared.handler.handle(request, from).await));
    let mut connection = pin!(http(&shared.limits).serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        _ = phase.wait_for(|phase| *phase >= Phase::Draining) => None,
    };
    let ended = if let Some(ended) = ended {
        ended
    } else {
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            ended = connection => ended,
            _ = phase.wait_for(|phase| *phase == Phase::Cut) => return,
        }
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %from.peer, error = &error as &dyn std::error::Error, "a connection broke");
    }
}

fn http(limits: &PortLimits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(limits.max_header_count)
        .max_header_size(limits.max_header_bytes)
        .max_buf_size(BUFFER_BYTES.max(limits.max_header_bytes));
    http
}
