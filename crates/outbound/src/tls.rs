//! Whom to trust, and how to be trusted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use serde::{Deserialize, Serialize};
use strongroom_files::Links;
use zeroize::Zeroizing;

/// The longest file that is read, in bytes.
const MAX_PEM_LEN: u64 = 1 << 20;

/// What is said of every file that is refused, whether it is missing, unreadable, of another kind, or lies where none may be named:
/// who may name files must not learn from the answer what is there. The server's log has the reason.
pub const FILE_REFUSED: &str = "the file is refused. Over the admin API, name a usable file in a directory of the server's option \
                                kms.trusted_dirs; the server's log says what is wrong with this one";

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
    /// A file cannot be read or holds something else. The text names the field alone.
    #[error("{field}: {FILE_REFUSED}")]
    File {
        /// The field that names the file.
        field: &'static str,
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
        (Some(cert), Some(key)) => {
            let (chain, private_key) = (certificates("client_cert_file", cert)?, private_key("client_key_file", key)?);
            builder.with_client_auth_cert(chain, private_key).map_err(|error| refused("client_key_file", key, &error))
        }
        (None, None) => Ok(builder.with_no_client_auth()),
        _ => Err(OutboundError::HalfOfPair),
    }
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, OutboundError> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            for certificate in certificates("ca_file", path)? {
                roots.add(certificate).map_err(|error| refused("ca_file", path, &error))?;
            }
        }
        // What the system has and rustls cannot read is left out, as everywhere.
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    Ok(roots)
}

fn certificates(field: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, OutboundError> {
    let pem = read_pem(field, path)?;
    let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|_| refused(field, path, &"it is no PEM"))?;
    if chain.is_empty() { Err(refused(field, path, &"it holds no certificate in PEM")) } else { Ok(chain) }
}

fn private_key(field: &'static str, path: &Path) -> Result<PrivateKeyDer<'static>, OutboundError> {
    PrivateKeyDer::from_pem_slice(&read_pem(field, path)?).map_err(|_| refused(field, path, &"it holds no private key in PEM"))
}

/// Reads a file of which an administrator gave the name: one that blocks or never ends is refused unread.
fn read_pem(field: &'static str, path: &Path) -> Result<Zeroizing<Vec<u8>>, OutboundError> {
    strongroom_files::read(path, Links::Follow, MAX_PEM_LEN).map_err(|error| refused(field, path, &error))
}

/// Tells the log why, and the caller only that.
fn refused(field: &'static str, path: &Path, reason: &dyn std::fmt::Display) -> OutboundError {
    tracing::warn!(field, file = %path.display(), %reason, "a file for TLS to a key server cannot be used");
    OutboundError::File { field }
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
    use std::fs::File;

    use super::*;

    /// Whatever is wrong with a file: there is no telling from the answer what is there.
    #[test]
    fn every_file_that_is_refused_gets_the_same_answer() {
        let dir = tempfile::tempdir().unwrap();
        let (text, key_file, locked) = (dir.path().join("text"), dir.path().join("key.pem"), dir.path().join("locked"));
        let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(&text, "a secret of another kind").unwrap();
        std::fs::write(&key_file, pair.signing_key.serialize_pem()).unwrap();
        std::fs::write(&locked, pair.cert.pem()).unwrap();
        std::fs::set_permissions(&locked, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
        let is_root = File::open(&locked).is_ok();
        let expected = format!("ca_file: {FILE_REFUSED}");
        for path in [dir.path().join("missing"), dir.path().join("text/below"), dir.path().to_owned(), text, key_file, "/dev/null".into()] {
            let options = TlsOptions { ca_file: Some(path.clone()), ..TlsOptions::default() };
            assert_eq!(tls_config(&options).unwrap_err().to_string(), expected, "{}", path.display());
        }
        let options = TlsOptions { ca_file: Some(locked), ..TlsOptions::default() };
        assert!(is_root || tls_config(&options).unwrap_err().to_string() == expected);
    }

    #[test]
    fn a_key_of_another_certificate_is_refused_like_any_file() {
        let dir = tempfile::tempdir().unwrap();
        let (cert_file, key_file) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        let pair = || rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(&cert_file, pair().cert.pem()).unwrap();
        std::fs::write(&key_file, pair().signing_key.serialize_pem()).unwrap();
        let options = TlsOptions { client_cert_file: Some(cert_file), client_key_file: Some(key_file), ..TlsOptions::default() };
        assert_eq!(tls_config(&options).unwrap_err().to_string(), format!("client_key_file: {FILE_REFUSED}"));
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
                move || drop(answer.send((certificates("f", &path).map(drop), private_key("f", &path).map(drop))))
            });
            let answers = answered.recv_timeout(std::time::Duration::from_secs(10)).expect("it is being read");
            for refused in [answers.0, answers.1] {
                assert_eq!(refused.unwrap_err().to_string(), format!("f: {FILE_REFUSED}"));
            }
        }
    }

    #[test]
    fn a_file_of_more_than_a_mebibyte_is_refused() {
        let pem = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap().cert.pem();
        let file = tempfile::NamedTempFile::new().unwrap();
        let padded = |len: u64| format!("{pem}{}", "\n".repeat(usize::try_from(len).unwrap() - pem.len()));
        std::fs::write(file.path(), padded(MAX_PEM_LEN)).unwrap();
        assert_eq!(certificates("f", file.path()).unwrap().len(), 1);
        std::fs::write(file.path(), padded(MAX_PEM_LEN + 1)).unwrap();
        assert_eq!(certificates("f", file.path()).unwrap_err().to_string(), format!("f: {FILE_REFUSED}"));
    }
}
