//! Which client reaches which host: a provider is named by whoever administers an account, and must not make the server call its neighbours.

use strongroom_outbound::{OutboundError, TlsOptions, http_client, is_public, public_http_client};

use super::{ProviderOptions, discovery::NO_ADDRESS};
use crate::TokenError;

/// Both ways out.
pub(super) struct Clients {
    private_hosts: Vec<String>,
    private: reqwest::Client,
    public: reqwest::Client,
}

impl Clients {
    pub(super) fn new(options: &ProviderOptions) -> Result<Self, OutboundError> {
        let own = TlsOptions { ca_file: options.ca_file.clone(), ..TlsOptions::default() };
        Ok(Self {
            private_hosts: options.private_hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
            private: http_client(&own)?,
            public: public_http_client(&TlsOptions::default())?,
        })
    }

    /// The client for an address, and the address: HTTPS, without a user and a password in it.
    pub(super) fn to(&self, address: &str) -> Result<(&reqwest::Client, reqwest::Url), TokenError> {
        let refused = || TokenError::Unreachable(NO_ADDRESS);
        let url = reqwest::Url::parse(address).map_err(|_| refused())?;
        let host = url.host_str().ok_or_else(refused)?;
        if url.scheme() != "https" || !url.username().is_empty() || url.password().is_some() {
            return Err(refused());
        }
        let with_port = format!("{host}:{}", url.port_or_known_default().unwrap_or_default());
        if self.private_hosts.iter().any(|allowed| *allowed == host || *allowed == with_port) {
            return Ok((&self.private, url));
        }
        // An address in place of a name is looked up nowhere, so nothing would check it on the way.
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if bare.parse().is_ok_and(|address| !is_public(address)) {
            return Err(TokenError::Unreachable(super::discovery::PRIVATE_ADDRESS));
        }
        Ok((&self.public, url))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_hosts_that_the_operator_names_may_have_private_addresses() {
        let private_hosts = vec!["IDP.internal".to_owned(), "127.0.0.1:8443".to_owned()];
        let clients = Clients::new(&ProviderOptions { private_hosts, ca_file: None }).unwrap();
        let goes_to = |address: &str| {
            let (client, _) = clients.to(address)?;
            Ok(if std::ptr::eq(client, &raw const clients.private) { "private" } else { "public" })
        };
        for (address, expected) in [
            ("https://idp.internal/x", Ok("private")),
            ("https://idp.internal:444", Ok("private")),
            ("https://127.0.0.1:8443/x", Ok("private")),
            ("https://idp.example.org", Ok("public")),
            ("https://93.184.215.14", Ok("public")),
            ("https://127.0.0.1", Err(super::super::discovery::PRIVATE_ADDRESS)),
            ("https://2130706433/", Err(super::super::discovery::PRIVATE_ADDRESS)),
            ("https://[::1]:8443", Err(super::super::discovery::PRIVATE_ADDRESS)),
            ("https://169.254.169.254/latest", Err(super::super::discovery::PRIVATE_ADDRESS)),
            ("http://idp.internal", Err(NO_ADDRESS)),
            ("file:///etc/passwd", Err(NO_ADDRESS)),
            ("https://u:p@idp.internal", Err(NO_ADDRESS)),
        ] {
            assert_eq!(goes_to(address), expected.map_err(TokenError::Unreachable), "{address}");
        }
    }
}
