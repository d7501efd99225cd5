//! Where the server is and who we are to it.

use std::path::PathBuf;

use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};
use strongroom_kms::{KmsError, Secret};
use strongroom_outbound::{TlsOptions, tls_config};

/// The port of KMIP. Source: IANA.
const DEFAULT_PORT: u16 = 5696;
const MAX_PREFIX_LEN: usize = 64;
const MAX_CONNECTIONS: usize = 64;

/// A KMIP server and the client certificate for it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `host`, `host:port` or `[IPv6]:port`; the port is 5696 if none is given.
    pub address: String,
    /// PEM file of the authority that signed the server's certificate; without it, those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// PEM file of the client certificate, leaf first. To most servers its subject is who owns the keys.
    pub client_cert_file: PathBuf,
    /// PEM file of its private key.
    pub client_key_file: PathBuf,
    /// The name in the server's certificate, if it is not the host of `address`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// For servers that ask for a user besides the certificate. With `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The password of `username`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// Stands before each key id in the Name of its objects, so that several stores can share an account.
    #[serde(default)]
    pub key_prefix: String,
    /// How many connections there may be at once.
    #[serde(default = "default_max_connections")]
    pub max_connections: usize,
}

fn default_max_connections() -> usize {
    8
}

impl Config {
    /// Whether the fields make sense, each and together, and the files can be used.
    pub(crate) fn check(&self) -> Result<(), KmsError> {
        self.endpoint()?;
        self.tls_name()?;
        require(self.username.is_some() == self.password.is_some(), "username and password go together: set both or none")?;
        let prefix_fits =
            self.key_prefix.len() <= MAX_PREFIX_LEN && self.key_prefix.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        require(prefix_fits, "key_prefix must have up to 64 visible ASCII characters, and no '#'")?;
        require((1..=MAX_CONNECTIONS).contains(&self.max_connections), "max_connections must be 1 to 64")?;
        self.tls().map(drop).map_err(KmsError::InvalidArgument)
    }

    /// Host and port.
    pub(crate) fn endpoint(&self) -> Result<(&str, u16), KmsError> {
        let wrong = || KmsError::InvalidArgument("address must be host, host:port or [IPv6]:port".to_owned());
        let (host, port) = match self.address.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or_else(wrong)?;
                (host, if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or_else(wrong)?) })
            }
            None => self.address.split_once(':').map_or((self.address.as_str(), None), |(host, port)| (host, Some(port))),
        };
        let port = port.map_or(Ok(DEFAULT_PORT), |port| port.parse().map_err(|_| wrong()))?;
        if host.is_empty() { Err(wrong()) } else { Ok((host, port)) }
    }

    /// The name that the server's certificate must bear.
    pub(crate) fn tls_name(&self) -> Result<ServerName<'static>, KmsError> {
        let (name, field) = match &self.server_name {
            Some(name) => (name.as_str(), "server_name"),
            None => (self.endpoint()?.0, "address"),
        };
        let wrong = |_| KmsError::InvalidArgument(format!("{field} is neither a host name nor an IP address"));
        ServerName::try_from(name.to_owned()).map_err(wrong)
    }

    /// The set-up for TLS, its files read now, so that a renewed certificate counts for the next connection.
    pub(crate) fn tls(&self) -> Result<rustls::ClientConfig, String> {
        let options = TlsOptions {
            ca_file: self.ca_file.clone(),
            client_cert_file: Some(self.client_cert_file.clone()),
            client_key_file: Some(self.client_key_file.clone()),
            skip_verify: false,
        };
        tls_config(&options).map_err(|error| error.to_string())
    }
}

fn require(holds: bool, rule: &str) -> Result<(), KmsError> {
    if holds { Ok(()) } else { Err(KmsError::InvalidArgument(rule.to_owned())) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(address: &str) -> Config {
        serde_json::from_value(serde_json::json!({"address": address, "client_cert_file": "/c", "client_key_file": "/k"})).unwrap()
    }

    #[test]
    fn an_address_is_a_host_with_or_without_a_port() {
        assert_eq!(at("kmip.example").endpoint().unwrap(), ("kmip.example", 5696));
        assert_eq!(at("kmip.example:15696").endpoint().unwrap(), ("kmip.example", 15696));
        assert_eq!(at("[::1]").endpoint().unwrap(), ("::1", 5696));
        assert_eq!(at("[::1]:7").endpoint().unwrap(), ("::1", 7));
        for wrong in ["", ":1", "a:b", "a:1:2", "[::1", "[::1]x", "a:70000"] {
            assert!(matches!(at(wrong).endpoint(), Err(KmsError::InvalidArgument(_))), "{wrong}");
        }
    }
}
