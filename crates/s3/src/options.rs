//! What the binary decides about the S3 side.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
    time::Duration,
};

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
    /// Takes forms whose policy is signed with Signature Version 2.
    pub allow_signature_v2_forms: bool,
    /// A request body that brings nothing for so long is given up.
    pub body_idle_timeout: Duration,
    /// So is one that brings less than this on average, over as long a wait. 0: one byte is as good as many.
    pub min_transfer_bytes_per_second: u64,
    /// Bound of XML request bodies in bytes.
    pub max_xml_bytes: usize,
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
            allow_signature_v2_forms: false,
            body_idle_timeout: Duration::from_mins(1),
            min_transfer_bytes_per_second: 128,
            // 10,000 parts with quoted ETags and a SHA-256 each take 1.8 MB, 1,000 keys of 1,024 bytes 1.1 MB.
            max_xml_bytes: 4 << 20,
        }
    }
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
    /// From where.
    pub peer: SocketAddr,
}

/// An IP address or a block of them (`10.0.0.0/8`, `::1`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix_bits: u8,
}

/// Not an IP address nor a CIDR block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidNetwork;

impl std::fmt::Display for InvalidNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("expected an IP address or a block such as 10.0.0.0/8")
    }
}

impl std::error::Error for InvalidNetwork {}

impl Network {
    /// Whether the address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix_bits)).unwrap_or(0);
                a.to_bits() & mask == b.to_bits() & mask
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix_bits)).unwrap_or(0);
                a.to_bits() & mask == b.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| InvalidNetwork)?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = prefix.map_or(Ok(width), str::parse).map_err(|_| InvalidNetwork)?;
        if prefix_bits > width { Err(InvalidNetwork) } else { Ok(Self { address, prefix_bits }) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_network_holds_its_addresses_and_no_others() {
        let block: Network = "10.1.0.0/16".parse().unwrap();
        assert!(block.contains("10.1.255.1".parse().unwrap()));
        assert!(block.contains("::ffff:10.1.0.9".parse().unwrap()));
        assert!(!block.contains("10.2.0.1".parse().unwrap()));
        let one: Network = "::1".parse().unwrap();
        assert!(one.contains("::1".parse().unwrap()));
        assert!(!one.contains("::2".parse().unwrap()));
        let all: Network = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("203.0.113.7".parse().unwrap()));
        assert!(!all.contains("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn a_network_that_is_none_is_refused() {
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "example.com", "10.0.0.0/", "10.0.0.0/-1"] {
            assert_eq!(text.parse::<Network>(), Err(InvalidNetwork), "{text}");
        }
    }
}
