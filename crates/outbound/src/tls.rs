//! Whom to trust, and how to be trusted.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The longest file that is read, in bytes.
const MAX_PEM_LEN: usize = 1 << 20;

/// How TLS to a service is set up; paths are of PEM files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsOptions {
    /// The only authority to trust; without it, those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// The chain to show the server, leaf first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_cert_file: Option<PathBuf>,
    /// The private key of `client_cert_file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key_file: Option<PathBuf>,
    /// Trust any certificate: the connection is then open to whoever sits in between.
    #[serde(default)]
    pub skip_verify: bool,
}

/// Why a connection cannot be set up: a mistake in the configuration.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// A file cannot be read or holds something else; the text names it.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// One of a certificate and its key was given without the other.
    #[error("client_cert_file and client_key_file go together: set both or none")]
    HalfOfPair,
    /// The library refuses.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The HTTP client cannot be made.
    #[error("the HTTP client cannot be set up: {0}")]
    Client(#[source] reqwest::Error),
}

/// A client configuration of TLS 1.2 and 1.3 for these options. Reads the files.
pub fn tls_config(options: &TlsOptions) -> Result<ClientConfig, OutboundError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = if options.skip_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
    } else {
        builder.with_root_certificates(roots(options.ca_file.as_deref())?)
    };
    match (&options.client_cert_file, &options.client_key_file) {
        (Some(cert), Some(key)) => Ok(builder.with_client_auth_cert(certificates(cert)?, private_key(key)?)?),
        (None, None) => Ok(builder.with_no_client_auth()),
        _ => Err(OutboundError::HalfOfPair),
    }
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, OutboundError> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| wrong(path, &error))?;
            }
        }
        // What the system has and rustls cannot read is left out, as everywhere.
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, OutboundError> {
    let pem = read_pem(path)?;
    let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().map_err(|error| wrong(path, &error))?;
    if chain.is_empty() { Err(wrong(path, &"it holds no certificate in PEM")) } else { Ok(chain) }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, OutboundError> {
    PrivateKeyDer::from_pem_slice(&read_pem(path)?).map_err(|error| wrong(path, &error))
}

/// Reads a file of which an administrator gave the name: one that blocks or never ends is refused unread.
fn read_pem(path: &Path) -> Result<Zeroizing<Vec<u8>>, OutboundError> {
    // Before it is opened: opening a pipe waits for its other end.
    let metadata = std::fs::metadata(path).map_err(|error| wrong(path, &error))?;
    if !metadata.is_file() {
        return Err(wrong(path, &"it is no regular file"));
    }
    let mut pem = Zeroizing::new(Vec::with_capacity(MAX_PEM_LEN + 1));
    let file = File::open(path).map_err(|error| wrong(path, &error))?;
    file.take(MAX_PEM_LEN as u64 + 1).read_to_end(&mut pem).map_err(|error| wrong(path, &error))?;
    if pem.len() > MAX_PEM_LEN {
        return Err(wrong(path, &format!("it is longer than {MAX_PEM_LEN} bytes")));
    }
    Ok(pem)
}

fn wrong(path: &Path, reason: &dyn std::fmt::Display) -> OutboundError {
    OutboundError::File { path: path.to_owned(), reason: reason.to_string() }
}

/// Believes any certificate; signatures are still checked, or a recorded handshake could be replayed.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_certificate_is_refused_by_its_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let options = TlsOptions { ca_file: Some(file.path().to_owned()), ..TlsOptions::default() };
        let error = tls_config(&options).unwrap_err().to_string();
        assert!(error.starts_with(&file.path().display().to_string()), "{error}");
    }

    #[test]
    fn a_certificate_without_its_key_is_refused() {
        let options = TlsOptions { client_cert_file: Some("x.pem".into()), ..TlsOptions::default() };
        assert!(matches!(tls_config(&options), Err(OutboundError::HalfOfPair)));
    }

    #[test]
    fn an_own_authority_is_the_only_one_trusted() {
        let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), key.cert.pem()).unwrap();
        assert_eq!(roots(Some(file.path())).unwrap().len(), 1);
    }

    #[test]
    fn a_file_that_blocks_or_never_ends_is_refused_unread() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [pipe, "/dev/zero".into()] {
            let (answer, answered) = std::sync::mpsc::channel();
            std::thread::spawn({
                let path = path.clone();
                move || drop(answer.send((certificates(&path).map(drop), private_key(&path).map(drop))))
            });
            let answers = answered.recv_timeout(std::time::Duration::from_secs(10)).expect("it is being read");
            for refused in [answers.0, answers.1] {
                assert_eq!(refused.unwrap_err().to_string(), format!("{}: it is no regular file", path.display()));
            }
        }
    }

    #[test]
    fn a_file_of_more_than_a_mebibyte_is_refused() {
        let pem = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap().cert.pem();
        let file = tempfile::NamedTempFile::new().unwrap();
        let padded = |len: usize| format!("{pem}{}", "\n".repeat(len - pem.len()));
        std::fs::write(file.path(), padded(MAX_PEM_LEN)).unwrap();
        assert_eq!(certificates(file.path()).unwrap().len(), 1);
        std::fs::write(file.path(), padded(MAX_PEM_LEN + 1)).unwrap();
        let error = certificates(file.path()).unwrap_err().to_string();
        assert!(error.ends_with("it is longer than 1048576 bytes"), "{error}");
    }
}
