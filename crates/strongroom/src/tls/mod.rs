//! TLS: the certificate and what is negotiated.

mod authority;
mod names;
mod reload;

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ServerSessionMemoryCache;
use rustls::sign::CertifiedKey;

pub(crate) use authority::Authority;
pub(crate) use names::server_names;
pub(crate) use reload::Certificates;

use crate::config::TlsFiles;
use crate::files::{self, FilesError};

/// Why there is no usable certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error("{} holds no usable PEM of the kind expected there", path.display())]
    Pem {
        path: PathBuf,
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    #[error("{} holds no certificate", .0.display())]
    NoCertificate(PathBuf),
    #[error("the key {} does not fit the certificate {}, or is of no usable kind", key.display(), cert.display())]
    Mismatch {
        cert: PathBuf,
        key: PathBuf,
        #[source]
        source: rustls::Error,
    },
    #[error("cannot make a certificate")]
    Issue(#[from] rcgen::Error),
    #[error("TLS cannot be set up")]
    Setup(#[from] rustls::Error),
}

/// Sessions that TLS 1.2 clients may resume; TLS 1.3 clients hold theirs in tickets.
const RESUMABLE_SESSIONS: usize = 4096;

/// TLS 1.2 and 1.3 with resumption and without early data, HTTP/1.1 only: one request at a time on a connection, so
/// that the limit of connections is one of requests, and a body that fails is cut off with its connection.
pub(crate) fn server_config(certificates: Arc<Certificates>) -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = ServerSessionMemoryCache::new(RESUMABLE_SESSIONS);
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(Arc::new(config))
}

/// AWS-LC, X25519MLKEM768 first.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Reads a pair and checks that key and certificate belong together, and that the key is not everybody's. What renews
/// certificates often shares them with a group.
fn load_pair(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    files::require_not_public(&files.key)?;
    let pem_error = |path: &PathBuf| {
        let path = path.clone();
        move |source| TlsError::Pem { path, source }
    };
    let certificates = files::read(&files.cert, files::MAX_SECRET_LEN)?;
    let chain = CertificateDer::pem_slice_iter(&certificates);
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(pem_error(&files.cert))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(files.cert.clone()));
    }
    let key = files::read(&files.key, files::MAX_SECRET_LEN)?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(pem_error(&files.key))?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|source| TlsError::Mismatch {
        cert: files.cert.clone(),
        key: files.key.clone(),
        source,
    })
}
