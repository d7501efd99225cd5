//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use strongroom_s3::Pace;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::timeout;
use tokio_rustls::rustls::ProtocolVersion;
use tokio_rustls::server::TlsStream;

use super::accept::Shared;
use super::activity::Stage;
use super::answer::{answer, refused};
use super::gate::Gate;
use super::head::Refusal;
use super::peek::{Speaks, first_byte};
use super::stall::StallGuard;
use super::table::Place;
use super::{Arrival, Handler, Phase, PortLimits};

/// The most that is read at once for one connection, and that waits to be written before more is asked for. A connection keeps its
/// read buffer until it ends, outside of the memory budget, so this times `max_connections` is memory too. Larger ones save no CPU.
const BUFFER_BYTES: usize = 40 << 10;

/// Serves one connection, which holds its place and its permit to the end.
pub(super) async fn serve<H: Handler>(
    shared: Arc<Shared<H>>,
    stream: TcpStream,
    peer: SocketAddr,
    (place, _permit): (Place, OwnedSemaphorePermit),
    phase: watch::Receiver<Phase>,
) {
    tokio::select! {
        () = talk(&shared, stream, peer, &place, phase) => {}
        () = place.activity.closed() => tracing::debug!(%peer, "a connection that waited was closed"),
    }
}

async fn talk<H: Handler>(shared: &Shared<H>, stream: TcpStream, peer: SocketAddr, place: &Place, mut phase: watch::Receiver<Phase>) {
    let established = tokio::select! {
        established = timeout(shared.limits.handshake_timeout, establish(shared, stream, place)) => established,
        _ = phase.wait_for(|phase| *phase >= Phase::Draining) => return,
    };
    match established {
        Ok(Ok(Some(Established::Tls(stream)))) => {
            let from = Arrival { secure: true, tls_version: tls_version(&stream), peer };
            serve_http(shared, *stream, from, place, phase).await;
        }
        Ok(Ok(Some(Established::Plain(stream)))) => {
            serve_http(shared, stream, Arrival { secure: false, tls_version: None, peer }, place, phase).await;
        }
        Ok(Ok(None)) => {}
        Ok(Err(error)) => refuse(place, peer, &error),
        Err(_) => refuse(place, peer, &io::ErrorKind::TimedOut.into()),
    }
}

/// As policies name it.
fn tls_version<S>(stream: &TlsStream<S>) -> Option<&'static str> {
    match stream.get_ref().1.protocol_version()? {
        ProtocolVersion::TLSv1_2 => Some("1.2"),
        ProtocolVersion::TLSv1_3 => Some("1.3"),
        _ => None,
    }
}

fn refuse(place: &Place, peer: SocketAddr, error: &io::Error) {
    tracing::debug!(%peer, %error, "a connection ended before its first request");
    place.metrics().handshake_failed();
}

enum Established {
    Tls(Box<TlsStream<StallGuard<TcpStream>>>),
    Plain(StallGuard<TcpStream>),
}

/// `None`: the client went away without a word.
async fn establish<H>(shared: &Shared<H>, stream: TcpStream, place: &Place) -> io::Result<Option<Established>> {
    stream.set_nodelay(true)?;
    let speaks = first_byte(&stream).await?;
    let least = Pace::new(shared.limits.write_timeout, shared.limits.min_write_bytes_per_second);
    let stream = StallGuard::new(stream, least, Arc::clone(&place.activity));
    match speaks {
        Speaks::Tls => Ok(Some(Established::Tls(Box::new(shared.tls.accept(stream).await?)))),
        Speaks::Plain if shared.limits.allow_plain => Ok(Some(Established::Plain(stream))),
        Speaks::Plain => Err(io::Error::new(io::ErrorKind::InvalidData, "not TLS")),
        Speaks::Nothing => Ok(None),
    }
}

/// Serves requests one after another; while draining, the present one only.
async fn serve_http<H, S>(shared: &Shared<H>, stream: S, from: Arrival, place: &Place, mut phase: watch::Receiver<Phase>)
where
    H: Handler,
    S: AsyncRead + AsyncWrite + Unpin,
{
    place.activity.enter(Stage::First);
    let stream = Gate::new(stream, Arc::clone(&place.activity), shared.limits.max_header_bytes);
    let service = service_fn(|request| {
        // Read here and not in the future: by the time that runs, the gate may have refused the request after this one.
        let refusal = Refusal::from_number(place.activity.refusal());
        async move {
            Ok::<_, Infallible>(match refusal {
                Some(refusal) => refused(refusal, from, place),
                None => answer(&shared.handler, request, from, place).await,
            })
        }
    });
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

/// Without a timeout of its own: the table keeps the time of all waits for a head.
fn http(limits: &PortLimits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.header_read_timeout(None)
        .max_headers(limits.max_header_count)
        .max_header_size(limits.max_header_bytes)
        .max_buf_size(BUFFER_BYTES.max(limits.max_header_bytes));
    http
}
