//! Accepting connections, and letting go of them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::{Handler, Phase, PortLimits, connection};
use crate::metrics::Metrics;

/// After a failure such as "too many open files", which passes when connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// One port.
pub(crate) struct Listener<H> {
    socket: TcpListener,
    shared: Arc<Shared<H>>,
}

/// What all connections of a port share.
pub(super) struct Shared<H> {
    pub(super) handler: H,
    pub(super) tls: TlsAcceptor,
    pub(super) limits: PortLimits,
    /// `None` where a port is not counted.
    pub(super) metrics: Option<Arc<Metrics>>,
    permits: Arc<Semaphore>,
}

impl<H: Handler> Listener<H> {
    /// Takes the port. Connections wait in its backlog until [`Listener::run`].
    pub(crate) async fn bind(
        address: &str,
        tls: Arc<ServerConfig>,
        limits: PortLimits,
        metrics: Option<Arc<Metrics>>,
        handler: H,
    ) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let permits = Arc::new(Semaphore::new(limits.max_connections));
        Ok(Self { socket, shared: Arc::new(Shared { handler, tls: TlsAcceptor::from(tls), limits, metrics, permits }) })
    }

    /// The address, with the real port where 0 was asked for.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until the phase is [`Phase::Draining`], and returns when every connection has ended: at [`Phase::Cut`] at the latest.
    pub(crate) async fn run(self, mut phase: watch::Receiver<Phase>) {
        loop {
            let (stream, peer, permit) = tokio::select! {
                accepted = self.accept() => accepted,
                _ = phase.wait_for(|phase| *phase >= Phase::Draining) => break,
            };
            tokio::spawn(connection::serve(Arc::clone(&self.shared), stream, peer, permit, phase.clone()));
        }
        let Self { socket, shared } = self;
        drop(socket);
        shared.drain(phase).await;
    }

    /// Waits for a permit before it accepts: what exceeds the limit waits in the backlog and costs nothing.
    async fn accept(&self) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
        loop {
            // The semaphore is never closed.
            let Ok(permit) = Arc::clone(&self.shared.permits).acquire_owned().await else { return std::future::pending().await };
            match self.socket.accept().await {
                Ok((stream, peer)) => return (stream, peer, permit),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

impl<H> Shared<H> {
    /// Every connection holds a permit, so all permits back means that all connections have ended.
    async fn drain(&self, mut phase: watch::Receiver<Phase>) {
        let all = u32::try_from(self.limits.max_connections).unwrap_or(u32::MAX);
        let is_cut = tokio::select! {
            _ = self.permits.acquire_many(all) => false,
            _ = phase.wait_for(|phase| *phase == Phase::Cut) => true,
        };
        if is_cut {
            let connections = self.limits.max_connections - self.permits.available_permits();
            if connections > 0 {
                tracing::warn!(connections, "connections are cut off");
            }
            let _ = self.permits.acquire_many(all).await;
        }
    }
}
