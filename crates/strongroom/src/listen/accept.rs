//! Accepting connections, and letting go of them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustls::ServerConfig;
use strongroom_fair::{FairSemaphore, InTurns};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_rustls::TlsAcceptor;

use super::address::ClientAddress;
use super::report::Report;
use super::{Handler, Phase, PortLimits, Table, connection};

/// How often connections that waited too long are looked for.
const TICK: Duration = Duration::from_millis(250);
/// After a failure that passes when connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How many connections are closed when the process has no more descriptors.
const EVICTED_AT_ONCE: usize = 8;

/// One port.
pub(crate) struct Listener<H> {
    socket: TcpListener,
    shared: Arc<Shared<H>>,
    /// The other ports, whose connections take descriptors too.
    neighbours: Vec<Arc<Table>>,
}

/// What all connections of a port share.
pub(super) struct Shared<H> {
    pub(super) handler: H,
    pub(super) tls: TlsAcceptor,
    pub(super) limits: PortLimits,
    table: Arc<Table>,
    /// One for each connection that is not wholly closed: those that lost their place included.
    permits: Arc<Semaphore>,
    /// A permit for each thread that runs connections.
    pub(super) turns: FairSemaphore,
}

impl<H: Handler> Listener<H> {
    /// Takes the port. Connections wait in its backlog until [`Listener::run`]. They run in turns with all that share `turns`.
    pub(crate) async fn bind(
        address: &str,
        tls: Arc<ServerConfig>,
        limits: PortLimits,
        table: Arc<Table>,
        turns: FairSemaphore,
        handler: H,
    ) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let permits = Arc::new(Semaphore::new(table.capacity()));
        let shared = Arc::new(Shared { handler, tls: TlsAcceptor::from(tls), limits, table, permits, turns });
        Ok(Self { socket, shared, neighbours: Vec::new() })
    }

    /// Where descriptors are used up, connections of that port are closed as well.
    pub(crate) fn with_neighbour(mut self, table: Arc<Table>) -> Self {
        self.neighbours.push(table);
        self
    }

    /// The address, with the real port where 0 was asked for.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until the phase is [`Phase::Draining`], and returns when every connection has ended: at [`Phase::Cut`] at the latest.
    pub(crate) async fn run(self, mut phase: watch::Receiver<Phase>) {
        let of_connections = phase.clone();
        tokio::select! {
            () = self.accept_all(&of_connections) => {}
            () = self.shared.keep_time() => {}
            _ = phase.wait_for(|phase| *phase >= Phase::Draining) => {}
        }
        let Self { socket, shared, .. } = self;
        drop(socket);
        tokio::select! {
            () = shared.drain(phase) => {}
            () = shared.keep_time() => {}
        }
    }

    /// Accepts at once, so that a full port can say so, and what is urgent gets through.
    async fn accept_all(&self, phase: &watch::Receiver<Phase>) {
        loop {
            let (stream, peer) = match self.socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    self.recover(&error).await;
                    continue;
                }
            };
            let Some(place) = self.shared.table.admit(peer.ip()) else {
                tracing::debug!(port = self.shared.limits.name, %peer, "a connection was closed for want of room");
                continue;
            };
            // Who lost a place for this connection is about to let go of its permit.
            let Ok(permit) = Arc::clone(&self.shared.permits).acquire_owned().await else { return };
            let connection = connection::serve(Arc::clone(&self.shared), stream, peer, (place, permit), phase.clone());
            // Its address's, until a request says whose it is.
            let tenant = ClientAddress::of(peer.ip()).tenant();
            tokio::spawn(InTurns::new(&self.shared.turns, tenant, connection));
        }
    }

    /// After a connection that could not be accepted: it still waits if that was for want of a descriptor.
    async fn recover(&self, error: &io::Error) {
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::CONNABORTED | Errno::CONNRESET | Errno::INTR) => return,
            Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                self.shared.table.metrics().accept_failed();
                self.make_descriptors();
            }
            _ => tracing::warn!(port = self.shared.limits.name, %error, "a connection could not be accepted"),
        }
        sleep(ACCEPT_PAUSE).await;
    }

    fn make_descriptors(&self) {
        for _ in 0..EVICTED_AT_ONCE {
            let mut tables = [&self.shared.table].into_iter().chain(&self.neighbours);
            if !tables.any(|table| table.evict_for_descriptor()) {
                return;
            }
        }
    }
}

impl<H> Shared<H> {
    /// Closes what waits too long, and tells of shortages. Never ends.
    async fn keep_time(&self) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut report = Report::new(self.limits.name);
        loop {
            ticks.tick().await;
            self.table.expire();
            report.tell(self.table.metrics().shortages(), Instant::now());
        }
    }

    /// Every connection holds a permit, so all permits back means that all connections have ended.
    async fn drain(&self, mut phase: watch::Receiver<Phase>) {
        let all = u32::try_from(self.table.capacity()).unwrap_or(u32::MAX);
        let is_cut = tokio::select! {
            _ = self.permits.acquire_many(all) => false,
            _ = phase.wait_for(|phase| *phase == Phase::Cut) => true,
        };
        if is_cut {
            let connections = self.table.capacity() - self.permits.available_permits();
            if connections > 0 {
                tracing::warn!(connections, "connections are cut off");
            }
            let _ = self.permits.acquire_many(all).await;
        }
    }
}
