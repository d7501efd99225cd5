//! The two ports, from taking them to letting go of them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use rustls::ServerConfig;
use strongroom_catalog::Catalog;
use strongroom_fair::FairSemaphore;
use strongroom_s3::S3Service;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::{StartError, parts};
use crate::config::Settings;
use crate::health::Health;
use crate::listen::{Listener, Phase, Places, PortLimits, Table, descriptors};
use crate::metrics::Metrics;
use crate::observed::Observed;
use crate::ports::{AdminPort, S3Port};

/// Connections of the admin port; it has few clients.
const ADMIN_CONNECTIONS: usize = 64;
/// No client of it needs longer for its handshake, for the headers of a request, between two, or to take some of an answer.
const ADMIN_PATIENCE: Duration = Duration::from_secs(5);

/// The two ports, taken and not yet served.
pub(super) struct Server {
    s3: Listener<S3Port>,
    admin: Listener<AdminPort>,
    phase: watch::Sender<Phase>,
}

impl Server {
    /// Takes both ports.
    pub(super) async fn bind(
        settings: &Settings,
        tls: Arc<ServerConfig>,
        s3: S3Service,
        observed: Observed,
        catalog: Arc<dyn Catalog>,
    ) -> Result<Self, StartError> {
        let (phase, phase_of_health) = watch::channel(Phase::Serving);
        let health = Arc::new(Health::new(catalog, Arc::clone(&observed.audit), Arc::clone(observed.engine.space()), phase_of_health));
        let metrics = Arc::new(Metrics::default());
        let s3_port = S3Port { s3: s3.clone(), health: Arc::clone(&health), metrics: Arc::clone(&metrics) };
        let admin_port = AdminPort { s3, observed, health, metrics: Arc::clone(&metrics) };
        let (s3_limits, admin_limits) = limits(settings);
        let (s3_places, admin_places) = places(settings)?;
        let (s3_table, admin_table) =
            (Table::new(s3_places, Arc::clone(&metrics.s3_port)), Table::new(admin_places, Arc::clone(&metrics.admin_port)));
        let (address, admin_address) = (&settings.address, &settings.admin_address);
        let turns = FairSemaphore::new(available_parallelism().map_or(1, usize::from));
        let bound = Listener::bind(address, Arc::clone(&tls), s3_limits, Arc::clone(&s3_table), turns.clone(), s3_port).await;
        let s3 = bound.map_err(|source| StartError::Listen { address: address.clone(), source })?;
        let bound = Listener::bind(admin_address, tls, admin_limits, Arc::clone(&admin_table), turns, admin_port).await;
        let admin = bound.map_err(|source| StartError::Listen { address: admin_address.clone(), source })?;
        Ok(Self { s3: s3.with_neighbour(admin_table), admin: admin.with_neighbour(s3_table), phase })
    }

    /// The addresses of the S3 and the admin port.
    pub(super) fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.s3.address()?, self.admin.address()?))
    }

    /// Serves until a signal, then lets requests end for up to `drain_timeout` or until the next signal. The admin port
    /// goes last, so that it can be asked meanwhile.
    pub(super) async fn run(self, signals: &mut Signals, drain_timeout: Duration) {
        let (admin_phase, of_admin) = watch::channel(Phase::Serving);
        let admin = tokio::spawn(self.admin.run(of_admin));
        let mut s3 = tokio::spawn(self.s3.run(self.phase.subscribe()));
        signals.next().await;
        tracing::info!("stopping: requests under way may end");
        self.phase.send_replace(Phase::Draining);
        let is_drained = tokio::select! {
            _ = &mut s3 => true,
            () = tokio::time::sleep(drain_timeout) => false,
            () = signals.next() => false,
        };
        self.phase.send_replace(Phase::Cut);
        admin_phase.send_replace(Phase::Cut);
        if !is_drained {
            let _ = s3.await;
        }
        let _ = admin.await;
    }
}

fn limits(settings: &Settings) -> (PortLimits, PortLimits) {
    let limits = &settings.limits;
    let s3 = PortLimits {
        name: "s3",
        max_header_bytes: limits.max_header_bytes,
        max_header_count: limits.max_header_count,
        handshake_timeout: limits.tls_handshake_timeout,
        write_timeout: limits.body_idle_timeout,
        min_write_bytes_per_second: limits.min_transfer_bytes_per_second,
        allow_plain: true,
    };
    let (handshake_timeout, write_timeout) = (s3.handshake_timeout.min(ADMIN_PATIENCE), s3.write_timeout.min(ADMIN_PATIENCE));
    (s3, PortLimits { name: "admin", handshake_timeout, write_timeout, allow_plain: false, ..s3 })
}

fn places(settings: &Settings) -> Result<(Places, Places), StartError> {
    let limits = &settings.limits;
    let max_connections = descriptors::affordable(limits.max_connections);
    let s3 = Places {
        max_connections,
        max_per_address: limits.max_connections_per_address.unwrap_or_else(|| half(max_connections)),
        trusted_proxies: parts::trusted_proxies(settings)?,
        header_timeout: limits.request_header_timeout,
        keep_alive_timeout: limits.keep_alive_timeout,
    };
    let admin = Places {
        max_connections: ADMIN_CONNECTIONS,
        max_per_address: half(ADMIN_CONNECTIONS),
        trusted_proxies: s3.trusted_proxies.clone(),
        header_timeout: s3.header_timeout.min(ADMIN_PATIENCE),
        keep_alive_timeout: s3.keep_alive_timeout.min(ADMIN_PATIENCE),
    };
    Ok((s3, admin))
}

/// The share of one address where none is set.
fn half(connections: usize) -> usize {
    connections.div_ceil(2)
}

/// SIGTERM and SIGINT.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on the signals no longer end the process by themselves.
    pub(super) fn listen() -> Result<Self, StartError> {
        let listen = |kind| signal(kind).map_err(StartError::Signals);
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Waits for either.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
