//! Which addresses are of the public Internet, and a client that reaches no others.

use std::{
    error::Error,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::{OutboundError, TlsOptions, client::builder};

/// All addresses of a host are private.
#[derive(Debug, thiserror::Error)]
#[error("the host has no public address")]
struct PrivateAddress;

/// As [`http_client`](crate::http_client), to hosts with public addresses alone: for addresses that a tenant names. Each look-up is checked, and what
/// is connected to is what was checked. The caller checks with [`is_public`] what is an address and no name, which is looked up nowhere.
pub fn public_http_client(options: &TlsOptions) -> Result<reqwest::Client, OutboundError> {
    builder(options)?.dns_resolver(Arc::new(PublicAddresses)).build().map_err(OutboundError::Client)
}

/// Whether a request failed because its host has private addresses only.
pub fn is_private_address(error: &reqwest::Error) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<PrivateAddress>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Whether an address is of the public Internet. Source: the registries of special-purpose addresses of IANA (RFC 6890).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let is_special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || matches!((first, second, third), (0 | 224..=255, _, _) | (100, 64..=127, _) | (192, 0, 0) | (192, 88, 99) | (198, 18..=19, _));
    !is_special
}

/// Those that embed an address of version 4 are as public as that one.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, .., seventh, last] = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    if let Some(mapped) = address.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    match (first, second) {
        (0x64, 0xff9b) => address.segments()[2..6] == [0; 4] && embedded(seventh, last),
        (0x2002, high) => embedded(high, address.segments()[2]),
        // Of 2001::/23 Teredo, which is gone, benchmarks and identifiers; and what documents are written with.
        (0x2001, 0..=0x1ff | 0xdb8) | (0x3fff, 0..=0xfff) => false,
        _ => first & 0xe000 == 0x2000,
    }
}

struct PublicAddresses;

impl Resolve for PublicAddresses {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(PrivateAddress.into());
            }
            let addresses: Addrs = Box::new(public.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_public_or_of_a_network_that_is_somebodys_own() {
        for public in ["1.1.1.1", "93.184.215.14", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for private in [
            "0.0.0.0",
            "10.1.2.3",
            "127.0.0.1",
            "100.64.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.168.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "ff02::1",
            "3fff::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
    }

    #[tokio::test]
    async fn a_name_with_private_addresses_alone_is_not_connected_to() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = public_http_client(&TlsOptions::default()).unwrap();
        let error = client.get(format!("https://localhost:{port}/")).send().await.unwrap_err();
        assert!(is_private_address(&error), "{error:?}");
        assert!(tokio::time::timeout(std::time::Duration::from_millis(50), listener.accept()).await.is_err(), "it was connected to");
    }
}
