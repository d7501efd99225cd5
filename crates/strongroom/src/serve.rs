//! The server, from its start to its end.

mod parts;
mod start_error;

use std::sync::Arc;
use std::time::Duration;

use strongroom_catalog::SqliteCatalog;
use strongroom_engine::Engine;
use strongroom_s3::S3Service;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::banner::Banner;
use crate::config::{RootKeys, Settings};
use crate::credentials;
use crate::files;
use crate::health::Health;
use crate::listen::{Drained, Listener, PortLimits};
use crate::lock::DataDirLock;
use crate::metrics::Metrics;
use crate::ports::{AdminPort, S3Port};
use crate::tls::{self, Authority, Certificates};
pub(crate) use start_error::StartError;

/// Connections of the admin port; it has few clients.
const ADMIN_CONNECTIONS: usize = 64;
const RENEWAL_INTERVAL: Duration = Duration::from_secs(24 * 3600);
const REAP_INTERVAL: Duration = Duration::from_secs(3600);

/// Serves until SIGTERM or SIGINT.
pub(crate) async fn run(settings: Settings) -> Result<(), StartError> {
    // Before anything is begun that a signal should end well.
    let mut signals = Signals::listen()?;
    let (_lock, root) = prepare_directories(&settings)?;
    let certificate = Certificate::prepare(&settings)?;
    let kms = parts::open_kms(&settings).await?;
    let catalog = parts::open_catalog(&settings).await?;
    let engine = parts::open_engine(&settings, &kms, Arc::clone(&catalog)).await?;
    let background = [
        engine.start_sweeper(),
        tokio::spawn(Arc::clone(&certificate.present).watch()),
        tokio::spawn(parts::reap_keys(Arc::clone(&kms), REAP_INTERVAL)),
        tokio::spawn(certificate.authority.clone().renew_regularly()),
    ];
    let server = Server::bind(&settings, &root, &certificate, engine, Arc::clone(&catalog)).await?;
    banner(&settings, &root, &certificate, &server)?.print().map_err(StartError::Print)?;
    server.run(&mut signals, settings.limits.drain_timeout).await;
    background.iter().for_each(tokio::task::JoinHandle::abort);
    catalog.close().await;
    tracing::info!("stopped");
    Ok(())
}
