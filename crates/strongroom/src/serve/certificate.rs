//! The certificate: the given one, or one of the local authority.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;

use super::StartError;
use crate::config::Settings;
use crate::tls::{Authority, Certificates, server_names};

const RENEWAL_INTERVAL: Duration = Duration::from_hours(24);

/// The present certificate, and who signs the next one.
pub(super) struct Certificate {
    pub(super) present: Arc<Certificates>,
    /// `None`: the certificate is the operator's.
    authority: Option<Arc<Authority>>,
    /// SIGHUP, which asks for the files to be read again.
    hangups: Signal,
}

impl Certificate {
    /// Loads the given pair, or has one made. From now on SIGHUP no longer ends the process.
    pub(super) fn prepare(settings: &Settings) -> Result<Self, StartError> {
        let hangups = signal(SignalKind::hangup()).map_err(StartError::Signals)?;
        if let Some(files) = &settings.tls {
            return Ok(Self { present: Certificates::load(files.clone())?, authority: None, hangups });
        }
        let names = server_names(&[&settings.address, &settings.admin_address], &settings.domains);
        let authority = Authority::open(settings.secrets_dir.join("tls"), names)?;
        Ok(Self { present: Certificates::load(authority.server())?, authority: Some(Arc::new(authority)), hangups })
    }

    /// What clients are to trust, if it is not what they trust anyway.
    pub(super) fn ca(&self) -> Option<PathBuf> {
        self.authority.as_ref().map(|authority| authority.ca_certificate())
    }

    /// Follows the files, and renews the local authority's certificate in time. Never ends.
    pub(super) async fn keep(self) {
        tokio::join!(self.present.watch(self.hangups), renew(self.authority));
    }
}

/// The new files are noticed as any other change of them.
async fn renew(authority: Option<Arc<Authority>>) {
    let Some(authority) = authority else { return };
    loop {
        tokio::time::sleep(RENEWAL_INTERVAL).await;
        let authority = Arc::clone(&authority);
        match spawn_blocking(move || authority.renew()).await {
            Ok(Ok(true)) => tracing::info!("the certificate was renewed"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => tracing::error!(error = &error as &dyn std::error::Error, "the certificate could not be renewed"),
            Err(_) => return,
        }
    }
}
