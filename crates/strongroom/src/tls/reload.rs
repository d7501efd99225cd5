//! The certificate in use, read again when its files change.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::signal::unix::Signal;

use super::{TlsError, load_pair};
use crate::config::TlsFiles;

const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Hands out the present pair at each handshake.
pub(crate) struct Certificates {
    files: TlsFiles,
    present: RwLock<Arc<CertifiedKey>>,
    /// How the files looked before they were read for the first time.
    loaded: Stamps,
}

impl Certificates {
    /// Reads the pair for the first time.
    pub(crate) fn load(files: TlsFiles) -> Result<Arc<Self>, TlsError> {
        let loaded = stamps(&files);
        let present = RwLock::new(Arc::new(load_pair(&files)?));
        Ok(Arc::new(Self { files, present, loaded }))
    }

    /// Reads the pair again. A bad one is not taken over: the present one stays.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        let pair = Arc::new(load_pair(&self.files)?);
        *self.present.write().unwrap_or_else(PoisonError::into_inner) = pair;
        Ok(())
    }

    /// Follows the files, and reads them again at each of `hangups`, for as long as the program runs.
    pub(crate) async fn watch(self: Arc<Self>, mut hangups: Signal) {
        let mut seen = self.loaded;
        loop {
            let forced = tokio::select! {
                () = tokio::time::sleep(POLL_INTERVAL) => false,
                Some(()) = hangups.recv() => true,
            };
            let this = Arc::clone(&self);
            // Two stat calls, and at times two small reads: off the workers, the disk may be a slow one.
            let Ok(stamps) = tokio::task::spawn_blocking(move || this.follow(seen, forced)).await else { return };
            seen = stamps;
        }
    }

    fn follow(&self, seen: Stamps, forced: bool) -> Stamps {
        let stamps = stamps(&self.files);
        if forced || stamps != seen {
            match self.reload() {
                Ok(()) => tracing::info!(cert = %self.files.cert.display(), "the certificate was read again"),
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "the new certificate is not usable, the old one stays");
                }
            }
        }
        stamps
    }
}

type Stamps = [Option<Stamp>; 2];
/// What changes when a file is replaced, written or closed to others: device and inode, length, time in nanoseconds, mode.
type Stamp = (u64, u64, u64, i64, i64, u32);

fn stamps(files: &TlsFiles) -> Stamps {
    [stamp(&files.cert), stamp(&files.key)]
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec(), metadata.mode()))
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.present.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("files", &self.files).finish_non_exhaustive()
    }
}
