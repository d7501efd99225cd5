//! Whom a connection is counted for.

use std::net::{IpAddr, Ipv6Addr};

use strongroom_fair::Tenant;

/// One client: an IPv4 address, or a /64 of IPv6, which one host may fill with addresses of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ClientAddress(IpAddr);

/// The bits of an IPv6 address that name the network. Source: RFC 4291, section 2.5.1.
const NETWORK: u128 = !0 << 64;

impl ClientAddress {
    pub(super) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & NETWORK)),
        })
    }

    /// In whose turns it is served before it has said who it is. No identity has a name with a space.
    pub(super) fn tenant(self) -> Tenant {
        Tenant::named(&format!("address {}", self.0))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_client_is_an_ipv4_address_or_a_64_of_ipv6() {
        let of = |text: &str| ClientAddress::of(text.parse().unwrap());
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:1:ffff::2"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
