//! Where Barbican is, and as whom the server comes to it.

use std::path::PathBuf;

use reqwest::Url;
use serde::{Deserialize, Serialize};
use strongroom_kms::{KmsError, Secret};
use strongroom_outbound::TlsOptions;

/// How to reach Barbican. Fields that the [`AuthMethod`] does not use are ignored.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BarbicanConfig {
    /// The backend's name, as it stands beside every wrapped data key: do not change it while objects depend on it.
    #[serde(default = "default_name")]
    pub name: String,
    /// How the server shows who it is.
    #[serde(default)]
    pub auth_method: AuthMethod,
    /// Keystone's address, with or without `/v3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_url: Option<String>,
    /// The user to log in as, with its password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The user's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// The user's domain.
    #[serde(default = "default_domain")]
    pub user_domain_name: String,
    /// The project that owns the keys; not needed with an application credential, which has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_name: Option<String>,
    /// The project by its id, instead of its name. Without authentication, what Barbican gets as `X-Project-Id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// The project's domain.
    #[serde(default = "default_domain")]
    pub project_domain_name: String,
    /// The id of an application credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application_credential_id: Option<String>,
    /// Its secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application_credential_secret: Option<Secret>,
    /// Barbican's address, with or without `/v1`; without it, the one of Keystone's service catalog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The region whose endpoint is taken from the catalog; without it, the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The interface whose endpoint is taken from the catalog: `public`, `internal` or `admin`.
    #[serde(default = "default_interface")]
    pub interface: String,
    /// PEM file of the only authority to trust; without it, those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// PEM file of the certificate chain to show the servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_cert_file: Option<PathBuf>,
    /// PEM file of its private key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key_file: Option<PathBuf>,
    /// Trust any certificate: the connection is then open to whoever sits in between.
    #[serde(default)]
    pub skip_tls_verify: bool,
}

/// How the server shows who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// A Keystone user with its password, scoped to a project.
    #[default]
    Password,
    /// A Keystone application credential.
    ApplicationCredential,
    /// Nothing but a project's id, for a Barbican that runs without Keystone behind a wall of its own.
    None,
}

impl BarbicanConfig {
    /// How TLS is set up, to Keystone and to Barbican.
    pub(crate) fn tls(&self) -> TlsOptions {
        TlsOptions {
            ca_file: self.ca_file.clone(),
            client_cert_file: self.client_cert_file.clone(),
            client_key_file: self.client_key_file.clone(),
            skip_verify: self.skip_tls_verify,
        }
    }

    /// The configured address of Barbican's API.
    pub(crate) fn api_url(&self) -> Result<Option<String>, KmsError> {
        self.endpoint.as_deref().map(|endpoint| versioned("endpoint", endpoint, "v1")).transpose()
    }

    /// The address of Keystone's API.
    pub(crate) fn keystone_url(&self) -> Result<String, KmsError> {
        versioned("auth_url", required("auth_url", self.auth_url.as_ref())?, "v3")
    }
}

/// The field's value; [`KmsError::InvalidArgument`] names a field that is missing or empty.
pub(crate) fn required<'a>(field: &str, value: Option<&'a String>) -> Result<&'a str, KmsError> {
    value.map(String::as_str).filter(|text| !text.is_empty()).ok_or_else(|| missing(field))
}

/// As [`required`], for what must not be shown.
pub(crate) fn required_secret<'a>(field: &str, value: Option<&'a Secret>) -> Result<&'a Secret, KmsError> {
    value.filter(|secret| !secret.expose().is_empty()).ok_or_else(|| missing(field))
}

/// The address of one version of an API, without a slash at its end.
pub(crate) fn versioned(field: &str, address: &str, version: &str) -> Result<String, KmsError> {
    let wrong = || KmsError::InvalidArgument(format!("{field} is no address of the form https://host:port/path"));
    let url = Url::parse(address).map_err(|_| wrong())?;
    let is_plain = url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !is_plain {
        return Err(wrong());
    }
    let base = url.as_str().trim_end_matches('/');
    Ok(if base.rsplit('/').next() == Some(version) { base.to_owned() } else { format!("{base}/{version}") })
}

fn missing(field: &str) -> KmsError {
    KmsError::InvalidArgument(format!("{field} is missing"))
}

fn default_name() -> String {
    "barbican".to_owned()
}

fn default_domain() -> String {
    "Default".to_owned()
}

fn default_interface() -> String {
    "public".to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_address_is_completed_with_the_version_of_the_api() {
        for (given, expected) in [
            ("https://k.example", "https://k.example/v1"),
            ("https://k.example:9311/", "https://k.example:9311/v1"),
            ("http://k.example/key-manager/v1/", "http://k.example/key-manager/v1"),
            ("http://k.example/key-manager", "http://k.example/key-manager/v1"),
        ] {
            assert_eq!(versioned("endpoint", given, "v1").unwrap(), expected);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_by_its_field() {
        for given in ["", "k.example", "ftp://k.example", "https://", "https://u:p@k.example", "https://k.example/?a=b", "file:///etc"] {
            let error = versioned("auth_url", given, "v3").unwrap_err();
            assert!(matches!(&error, KmsError::InvalidArgument(text) if text.starts_with("auth_url ")), "{given}: {error}");
        }
    }

    #[test]
    fn debug_shows_no_credential() {
        let json = r#"{"password": "hush-1", "application_credential_secret": "hush-2"}"#;
        let config: BarbicanConfig = serde_json::from_str(json).unwrap();
        assert!(!format!("{config:?}").contains("hush"));
        assert!(serde_json::to_string(&config).unwrap().contains("hush-1"), "what is sealed keeps it");
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let error = serde_json::from_str::<BarbicanConfig>(r#"{"pasword": "x"}"#).unwrap_err();
        assert!(error.to_string().contains("pasword"), "{error}");
    }
}
