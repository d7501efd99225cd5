//! What the binary decides about the S3 side.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

pub use strongroom_access::{InvalidNetwork, Network};
pub use strongroom_limits::Limits;

/// Settings of [`crate::S3Service`].
#[derive(Clone, Debug)]
pub struct S3Options {
    /// Base domains of virtual-host style: with `s3.example`, the host `photos.s3.example` names the bucket `photos`.
    pub domains: Vec<String>,
    /// The region that the store calls itself, in error answers and of its buckets: lower-case letters, digits and hyphens. Requests
    /// may be signed for any. In `us-east-1` creating one's own bucket again succeeds, as with Amazon.
    pub region: String,
    /// `sse-error-dialect`
    pub error_dialect: ErrorDialect,
    /// Proxies whose `X-Forwarded-Proto` and `Forwarded` are believed: they must overwrite what clients send of them.
    pub trusted_proxies: Vec<Network>,
    /// Takes SSE-C over plain HTTP from loopback addresses. For development only.
    pub allow_insecure_sse_c_on_loopback: bool,
    /// Whether bodies that no signature covers are taken over plain HTTP from other machines. From this one they always are.
    pub allow_unsigned_payload_over_http: bool,
    /// What is taken with Signature Version 2.
    pub signature_v2: SignatureV2,
    /// A request body that brings nothing for so long is given up.
    pub body_idle_timeout: Duration,
    /// So is one that brings less than this on average, over as long a wait. 0: one byte is as good as many.
    pub min_transfer_bytes_per_second: u64,
    /// Bound of XML request bodies in bytes.
    pub max_xml_bytes: usize,
    /// What each identity but root may ask for.
    pub limits: Limits,
    /// The same of some, by their names.
    pub limits_of_some: HashMap<String, Limits>,
    /// Whether refusals are delayed that go to who sends many wrong signatures.
    pub delay_guesses: bool,
}

impl Default for S3Options {
    fn default() -> Self {
        Self {
            domains: Vec::new(),
            region: "us-east-1".to_owned(),
            error_dialect: ErrorDialect::default(),
            trusted_proxies: Vec::new(),
            allow_insecure_sse_c_on_loopback: false,
            allow_unsigned_payload_over_http: false,
            signature_v2: SignatureV2::default(),
            body_idle_timeout: Duration::from_mins(1),
            min_transfer_bytes_per_second: 128,
            // 10,000 parts with quoted ETags and a SHA-256 each take 1.8 MB, 1,000 keys of 1,024 bytes 1.1 MB.
            max_xml_bytes: 4 << 20,
            limits: Limits::default(),
            limits_of_some: HashMap::new(),
            delay_guesses: false,
        }
    }
}

/// What is taken with Signature Version 2; nothing else ever is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignatureV2 {
    /// Forms whose policy is signed with it.
    pub forms: bool,
    /// Presigned URLs, for GET and HEAD.
    pub urls: bool,
}

/// Whose codes and statuses the rows marked "seed 000" of the SSE error table answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorDialect {
    /// The seeds'.
    #[default]
    Strongroom,
    /// Amazon's.
    Aws,
}

/// How a request came in.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionInfo {
    /// Whether over TLS.
    pub secure: bool,
    /// The version of TLS, `1.2` or `1.3`, of the connection itself.
    pub tls_version: Option<&'static str>,
    /// From where.
    pub peer: SocketAddr,
}
