//! One TLS connection.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustls::AlertDescription;
use strongroom_kms::KmsError;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use zeroize::Zeroizing;

use crate::Config;
use crate::fault::Fault;
use crate::ttlv::{HEADER_LEN, Tag};

/// How long reaching the server and the handshake may take together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest answer in bytes. Locate asks for few enough objects to stay far below.
pub(super) const MAX_ANSWER_LEN: usize = 1 << 20;
const STRUCTURE: u8 = 1;

pub(super) struct Connection(TlsStream<TcpStream>);

impl Connection {
    pub(super) async fn open(config: &Arc<Config>) -> Result<Self, KmsError> {
        let address = &config.address;
        let opened = tokio::time::timeout(CONNECT_TIMEOUT, Self::handshake(config)).await;
        opened.map_err(|_| KmsError::Unavailable(format!("the KMIP server {address} does not answer within {CONNECT_TIMEOUT:?}")))?
    }

    async fn handshake(config: &Arc<Config>) -> Result<Self, KmsError> {
        let unusable = |reason: String| KmsError::Unavailable(format!("TLS to the KMIP server cannot be set up: {reason}"));
        let files = Arc::clone(config);
        let tls = tokio::task::spawn_blocking(move || files.tls()).await.map_err(|error| unusable(error.to_string()))?;
        let tls = TlsConnector::from(Arc::new(tls.map_err(unusable)?));
        let away = |error: io::Error| failed(&format!("connecting to the KMIP server {}", config.address), &error);
        let tcp = TcpStream::connect(config.endpoint()?).await.map_err(away)?;
        tcp.set_nodelay(true).map_err(away)?;
        Ok(Self(tls.connect(config.tls_name()?, tcp).await.map_err(away)?))
    }

    /// Whether the server has neither closed an idle connection nor said anything on it.
    pub(super) fn is_open(&self) -> bool {
        let mut byte = [0];
        let peeked = self.0.get_ref().0.poll_peek(&mut Context::from_waker(Waker::noop()), &mut ReadBuf::new(&mut byte));
        matches!(peeked, Poll::Pending)
    }

    /// Sends a message and reads the next.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> Result<Zeroizing<Vec<u8>>, Broken> {
        let mut header = [0; HEADER_LEN];
        self.ask(request, &mut header).await.map_err(|error| Broken { before_answer: true, error: exchange_failed(&error) })?;
        let len = answer_len(header).map_err(Broken::within_answer)?;
        let mut answer = Zeroizing::new(vec![0; HEADER_LEN + len]);
        answer[..HEADER_LEN].copy_from_slice(&header);
        let rest = self.0.read_exact(&mut answer[HEADER_LEN..]).await;
        rest.map_err(|error| Broken::within_answer(exchange_failed(&error)))?;
        Ok(answer)
    }

    async fn ask(&mut self, request: &[u8], header: &mut [u8; HEADER_LEN]) -> io::Result<()> {
        self.0.write_all(request).await?;
        self.0.flush().await?;
        self.0.read_exact(header).await.map(drop)
    }
}

/// An exchange that did not come to its end.
pub(super) struct Broken {
    /// No whole header of an answer came.
    pub(super) before_answer: bool,
    error: KmsError,
}

impl Broken {
    fn within_answer(error: KmsError) -> Self {
        Self { before_answer: false, error }
    }
}

impl From<Broken> for Fault {
    fn from(broken: Broken) -> Self {
        Self::Answer(broken.error)
    }
}

fn exchange_failed(error: &io::Error) -> KmsError {
    failed("the exchange with the KMIP server", error)
}

/// The length of what follows the header of an answer.
fn answer_len(header: [u8; HEADER_LEN]) -> Result<usize, KmsError> {
    let [t1, t2, t3, kind, l1, l2, l3, l4] = header;
    let len = usize::try_from(u32::from_be_bytes([l1, l2, l3, l4])).unwrap_or(usize::MAX);
    if Tag(u32::from_be_bytes([0, t1, t2, t3])) != Tag::RESPONSE_MESSAGE || kind != STRUCTURE {
        return Err(KmsError::Unavailable("what answers at the address of the KMIP server does not speak KMIP".to_owned()));
    }
    if len > MAX_ANSWER_LEN {
        return Err(KmsError::Unavailable(format!("the KMIP server's answer of {len} bytes is longer than {MAX_ANSWER_LEN}")));
    }
    Ok(len)
}

/// Denied if the server turns the client certificate down, which it may say in the handshake or, with TLS 1.3, after it.
fn failed(what: &str, error: &io::Error) -> KmsError {
    let tls = error.get_ref().and_then(|source| source.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::AlertReceived(alert)) if is_about_certificate(*alert) => {
            KmsError::Denied(format!("the KMIP server refuses the client certificate ({alert:?})"))
        }
        _ if error.kind() == io::ErrorKind::UnexpectedEof => KmsError::Unavailable(format!("{what}: the connection was closed")),
        _ => KmsError::Unavailable(format!("{what}: {error}")),
    }
}

fn is_about_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::AccessDenied
    )
}
