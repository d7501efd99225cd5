//! A real KMIP server, PyKMIP: mutual TLS 1.2, a client's common name is the owner of its keys.
//!
//! It has the ciphers that rustls has too only with ECDSA keys. Idle connections live ten seconds.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use tempfile::TempDir;

use crate::process::{Process, free_port, tool};

/// Starts the server without its helper processes, which would outlive it when it is killed.
const SERVER: &str = "
import sys
from kmip.services.server import server
class Manager:
    def dict(self): return {}
    def shutdown(self): pass
class Monitor:
    def __init__(self, *_): pass
    def start(self): pass
    def stop(self): pass
    def join(self): pass
    def is_alive(self): return False
server.multiprocessing.Manager = Manager
server.monitor.PolicyDirectoryMonitor = Monitor
if 'ignore-additional-data' in sys.argv:
    from kmip.services.server.crypto.engine import CryptographyEngine
    def without(inner):
        return lambda self, *positional, **named: inner(self, *positional, **{**named, 'auth_additional_data': None})
    for operation in ('encrypt', 'decrypt'):
        setattr(CryptographyEngine, operation, without(getattr(CryptographyEngine, operation)))
with server.KmipServer(config_path=sys.argv[1], log_path=sys.argv[2]) as running:
    running.serve()
";

/// What comes before the lines that [`PyKmip::python`] runs.
const CLIENT: &str = "
import sys
from kmip import enums
from kmip.core.factories.attributes import AttributeFactory
from kmip.pie.client import ProxyKmipClient
def name(text): return AttributeFactory().create_attribute(enums.AttributeType.NAME, text_name(text))
def text_name(text):
    from kmip.core.attributes import Name
    return Name.create(text, enums.NameType.UNINTERPRETED_TEXT_STRING)
def uids(text): return c.locate(attributes=[name(text)])
mask = [enums.CryptographicUsageMask.ENCRYPT, enums.CryptographicUsageMask.DECRYPT]
AES = enums.CryptographicAlgorithm.AES
c = ProxyKmipClient(config='client', config_file=sys.argv[1], kmip_version=enums.KMIPVersion.KMIP_1_4)
c.open()
";

/// A server and the certificates for it.
pub struct PyKmip {
    process: Process,
    dir: TempDir,
    port: u16,
    faults: &'static [&'static str],
}

impl PyKmip {
    /// Starts one without keys and waits until it serves.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one that takes additional authenticated data and ignores it, as a server of a bad make would.
    pub fn start_ignoring_additional_data() -> Self {
        Self::start_with(&["ignore-additional-data"])
    }

    fn start_with(faults: &'static [&'static str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        make_certificates(dir.path());
        let port = free_port();
        fs::create_dir(dir.path().join("policy")).expect("a directory for policies");
        fs::write(dir.path().join("server.conf"), configuration(dir.path(), port)).expect("a configuration file");
        let process = serve(dir.path(), port, faults);
        Self { process, dir, port, faults }
    }

    /// Host and port.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A file beside the server: `ca.pem`; `client.pem` and `client.key`; `other.pem` and `other.key` of another client; `stranger.pem`,
    /// `stranger.key` and `other-ca.pem` of an authority that the server does not trust.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Connections stay open and nothing answers.
    pub fn pause(&self) {
        self.process.pause();
    }

    /// Ends [`Self::pause`].
    pub fn resume(&self) {
        self.process.resume();
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again, with the keys it had.
    pub fn restart(&mut self) {
        self.process.kill();
        self.process = serve(self.dir.path(), self.port, self.faults);
    }

    /// What these lines of Python print: `c` is PyKMIP's client, with the certificate `client`, `uids(name)` are the objects of a name.
    pub fn python(&self, lines: &str) -> String {
        let config = self.file("client.conf");
        let of_client = |file: &str| self.file(file).display().to_string();
        let text = format!(
            "[client]\nhost=127.0.0.1\nport={}\ncertfile={}\nkeyfile={}\nca_certs={}\ncert_reqs=CERT_REQUIRED\nssl_version=PROTOCOL_TLSv1_2\n\
             do_handshake_on_connect=True\nsuppress_ragged_eofs=True\n",
            self.port,
            of_client("client.pem"),
            of_client("client.key"),
            of_client("ca.pem")
        );
        fs::write(&config, text).expect("a configuration file");
        let output = Command::new(tool("pykmip/bin/python")).arg("-c").arg(format!("{CLIENT}{lines}")).arg(&config).output();
        let output = output.expect("Python starts");
        assert!(output.status.success(), "{lines}\n{}\n{}", String::from_utf8_lossy(&output.stderr), self.process.log_text());
        String::from_utf8(output.stdout).expect("text from Python").trim_end().to_owned()
    }

    /// What the server has written.
    pub fn log_text(&self) -> String {
        let log = fs::read_to_string(self.file("server.log")).unwrap_or_default();
        format!("{}{log}", self.process.log_text())
    }
}

/// It would take its time to end when asked.
impl Drop for PyKmip {
    fn drop(&mut self) {
        self.process.kill();
    }
}

fn serve(dir: &Path, port: u16, faults: &[&str]) -> Process {
    let mut command = Command::new(tool("pykmip/bin/python"));
    command.arg("-c").arg(SERVER).arg(dir.join("server.conf")).arg(dir.join("server.log")).args(faults);
    let mut process = Process::start(&mut command, &dir.join("out.log"));
    process.wait_until(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
    process
}

fn configuration(dir: &Path, port: u16) -> String {
    let path = |name: &str| dir.join(name).display().to_string();
    format!(
        "[server]\nhostname=127.0.0.1\nport={port}\ncertificate_path={}\nkey_path={}\nca_path={}\nauth_suite=TLS1.2\npolicy_path={}\n\
         enable_tls_client_auth=True\nlogging_level=INFO\ndatabase_path={}\n",
        path("server.pem"),
        path("server.key"),
        path("ca.pem"),
        path("policy"),
        path("pykmip.db")
    )
}

fn make_certificates(dir: &Path) {
    let (ca, issuer) = authority("test authority");
    write(dir, "ca.pem", &ca);
    let (other_ca, other_issuer) = authority("other authority");
    write(dir, "other-ca.pem", &other_ca);
    for (name, usage, issuer) in [
        ("server", ExtendedKeyUsagePurpose::ServerAuth, &issuer),
        ("client", ExtendedKeyUsagePurpose::ClientAuth, &issuer),
        ("other", ExtendedKeyUsagePurpose::ClientAuth, &issuer),
        ("stranger", ExtendedKeyUsagePurpose::ClientAuth, &other_issuer),
    ] {
        let key = KeyPair::generate().expect("a key pair");
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params.subject_alt_names.push(SanType::IpAddress([127, 0, 0, 1].into()));
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages.push(usage);
        let certificate = params.signed_by(&key, issuer).expect("a certificate");
        write(dir, &format!("{name}.pem"), &certificate.pem());
        write(dir, &format!("{name}.key"), &key.serialize_pem());
    }
}

fn authority(name: &str) -> (String, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().expect("a key pair");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    let certificate = params.self_signed(&key).expect("a certificate");
    (certificate.pem(), Issuer::new(params, key))
}

fn write(dir: &Path, name: &str, text: &str) {
    fs::write(dir.join(name), text).expect("a file in a temporary directory");
}
