//! A certificate authority of this machine's own, for where no certificate is given.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use time::OffsetDateTime;

use super::{TlsError, load_pair, provider};
use crate::config::TlsFiles;
use crate::files::{self, Readers};

const AUTHORITY_DAYS: i64 = 3650;
/// Apple's clients refuse more than 397 days.
const SERVER_DAYS: i64 = 365;
const RENEWAL: Duration = Duration::from_hours(30 * 24);

/// Signs the server's certificate, and signs it anew when it nears its end or lacks a name.
#[derive(Debug)]
pub(crate) struct Authority {
    dir: PathBuf,
    names: Vec<String>,
}

impl Authority {
    /// Opens the authority of the directory, making it where there is none.
    pub(crate) fn open(dir: PathBuf, names: Vec<String>) -> Result<Self, TlsError> {
        files::make_private_dir(&dir)?;
        let authority = Self { dir, names };
        // The certificate is written last: without it nobody has trusted the key yet.
        if !authority.ca_certificate().exists() {
            authority.create()?;
        }
        authority.renew()?;
        Ok(authority)
    }

    /// What clients are to trust.
    pub(crate) fn ca_certificate(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// The server's pair.
    pub(crate) fn server(&self) -> TlsFiles {
        TlsFiles { cert: self.dir.join("server.pem"), key: self.dir.join("server.key") }
    }

    /// Signs a new server certificate if the present one will not do in 30 days. Tells whether it did.
    pub(crate) fn renew(&self) -> Result<bool, TlsError> {
        if self.server_certificate_lasts() {
            return Ok(false);
        }
        let ca_key_path = self.dir.join("ca.key");
        files::require_private(&ca_key_path)?;
        let ca_key = KeyPair::from_pem(&read(&ca_key_path)?)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = server_params(&self.names)?.signed_by(&key, &Issuer::new(authority_params()?, ca_key))?;
        let server = self.server();
        files::write_atomically(&server.key, key.serialize_pem().as_bytes(), Readers::Owner)?;
        files::write_atomically(&server.cert, certificate.pem().as_bytes(), Readers::Everyone)?;
        Ok(true)
    }

    fn create(&self) -> Result<(), TlsError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = authority_params()?.self_signed(&key)?;
        files::write_atomically(&self.dir.join("ca.key"), key.serialize_pem().as_bytes(), Readers::Owner)?;
        files::write_atomically(&self.ca_certificate(), certificate.pem().as_bytes(), Readers::Everyone)?;
        Ok(())
    }

    /// Whether a client would, 30 days from now, still take the certificate for each name.
    fn server_certificate_lasts(&self) -> bool {
        let (Ok(pair), Some(verifier)) = (load_pair(&self.server()), self.verifier()) else { return false };
        let Some((leaf, chain)) = pair.cert.split_first() else { return false };
        let then =
            UnixTime::since_unix_epoch(UnixTime::now().as_secs().checked_add(RENEWAL.as_secs()).map_or(RENEWAL, Duration::from_secs));
        let is_taken_for = |name| verifier.verify_server_cert(leaf, chain, &name, &[], then).is_ok();
        self.names.iter().filter_map(|name| probe(name)).all(is_taken_for)
    }

    fn verifier(&self) -> Option<Arc<WebPkiServerVerifier>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&files::read(&self.ca_certificate(), files::MAX_SECRET_LEN).ok()?).ok()?).ok()?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build().ok()
    }
}

/// A name that clients would use where the certificate has `name`; `None` for wildcards that clients disregard.
fn probe(name: &str) -> Option<ServerName<'static>> {
    let concrete = match name.strip_prefix("*.") {
        Some(domain) if domain.contains('.') => format!("bucket.{domain}"),
        Some(_) => return None,
        None => name.to_owned(),
    };
    ServerName::try_from(concrete).ok()
}

fn authority_params() -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "Strongroom local CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, AUTHORITY_DAYS);
    Ok(params)
}

fn server_params(names: &[String]) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "Strongroom");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, SERVER_DAYS);
    Ok(params)
}

/// A day back, for clients whose clock is behind.
fn set_validity(params: &mut CertificateParams, days: i64) {
    let now = OffsetDateTime::now_utc();
    params.not_before = now - time::Duration::DAY;
    params.not_after = now + time::Duration::days(days);
}

fn read(path: &Path) -> Result<zeroize::Zeroizing<String>, TlsError> {
    Ok(files::read_text(path, files::MAX_SECRET_LEN)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn authority_and_certificate_are_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let open =
            || Authority::open(dir.path().to_owned(), names(&["localhost", "*.localhost", "127.0.0.1", "::1", "*.s3.test"])).unwrap();
        let bytes = |authority: &Authority| [authority.ca_certificate(), authority.server().cert].map(|path| std::fs::read(path).unwrap());
        assert_eq!(bytes(&open()), bytes(&open()));
    }

    #[test]
    fn a_new_name_gets_a_new_certificate_of_the_same_authority() {
        let dir = tempfile::tempdir().unwrap();
        let first = Authority::open(dir.path().to_owned(), names(&["localhost"])).unwrap();
        let (ca, server) = (std::fs::read(first.ca_certificate()).unwrap(), std::fs::read(first.server().cert).unwrap());
        let second = Authority::open(dir.path().to_owned(), names(&["localhost", "store.test"])).unwrap();
        assert_eq!(std::fs::read(second.ca_certificate()).unwrap(), ca);
        assert_ne!(std::fs::read(second.server().cert).unwrap(), server);
        assert!(second.server_certificate_lasts());
    }

    #[test]
    fn a_certificate_near_its_end_is_renewed() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::open(dir.path().to_owned(), names(&["localhost"])).unwrap();
        let ca_key = KeyPair::from_pem(&read(&dir.path().join("ca.key")).unwrap()).unwrap();
        let mut params = server_params(&authority.names).unwrap();
        set_validity(&mut params, 29);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let old = params.signed_by(&key, &Issuer::new(authority_params().unwrap(), ca_key)).unwrap();
        std::fs::write(authority.server().cert, old.pem()).unwrap();
        std::fs::write(authority.server().key, key.serialize_pem()).unwrap();
        assert!(authority.renew().unwrap());
        assert!(!authority.renew().unwrap());
    }

    #[test]
    fn a_key_that_does_not_fit_its_certificate_is_replaced_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::open(dir.path().to_owned(), names(&["localhost"])).unwrap();
        std::fs::write(authority.server().key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
        assert!(authority.renew().unwrap());
        assert!(load_pair(&authority.server()).is_ok());
    }

    #[test]
    fn a_good_certificate_needs_no_authority_key() {
        let dir = tempfile::tempdir().unwrap();
        drop(Authority::open(dir.path().to_owned(), names(&["localhost"])).unwrap());
        std::fs::remove_file(dir.path().join("ca.key")).unwrap();
        Authority::open(dir.path().to_owned(), names(&["localhost"])).unwrap();
    }
}
