//! The backends that are crates of their own, each behind a feature of its name.

use std::sync::Arc;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use strongroom_kms::{Kms, KmsError};

use super::{BackendType, parse};

/// Every type there could be.
pub(super) const ALL: [&str; 5] = ["aws", "barbican", "kmip", "pkcs11", "vault"];

#[cfg(feature = "pkcs11")]
pub use strongroom_kms_pkcs11::end_libraries;

/// No backend has loaded a library.
#[cfg(not(feature = "pkcs11"))]
pub fn end_libraries(_: std::time::Duration) -> bool {
    true
}

/// Those that were built in.
pub(super) fn built_in() -> Vec<Arc<dyn BackendType>> {
    vec![
        #[cfg(feature = "aws")]
        Arc::new(Outside {
            name: "aws",
            shown_fields: &["region", "endpoint", "sts_endpoint", "access_key_id", "profile", "role_arn", "external_id", "ca_file"],
            destination_fields: &["endpoint", "sts_endpoint", "ca_file"],
            path_fields: &["ca_file"],
            default_path_fields: &[],
            open: |name, config| Ok(Arc::new(strongroom_kms_aws::AwsKms::new(name, config)?)),
        }),
        #[cfg(feature = "barbican")]
        Arc::new(Outside {
            name: "barbican",
            shown_fields: &[
                "auth_method",
                "auth_url",
                "username",
                "user_domain_name",
                "project_name",
                "project_id",
                "project_domain_name",
                "application_credential_id",
                "endpoint",
                "region",
                "interface",
                "ca_file",
                "client_cert_file",
                "client_key_file",
            ],
            destination_fields: &["auth_url", "endpoint", "region", "interface", "ca_file", "skip_tls_verify"],
            path_fields: &["ca_file", "client_cert_file", "client_key_file"],
            default_path_fields: &[],
            open: |name, config| {
                let config = strongroom_kms_barbican::BarbicanConfig { name: name.to_owned(), ..config };
                Ok(Arc::new(strongroom_kms_barbican::BarbicanKms::new(config)?))
            },
        }),
        #[cfg(feature = "kmip")]
        Arc::new(Outside {
            name: "kmip",
            shown_fields: &[
                "address",
                "ca_file",
                "client_cert_file",
                "client_key_file",
                "server_name",
                "username",
                "key_prefix",
                "max_connections",
            ],
            destination_fields: &["address", "server_name", "ca_file"],
            path_fields: &["ca_file", "client_cert_file", "client_key_file"],
            default_path_fields: &[],
            open: |name, config| Ok(Arc::new(strongroom_kms_kmip::KmipKms::new(name, config)?)),
        }),
        #[cfg(feature = "pkcs11")]
        Arc::new(Outside {
            name: "pkcs11",
            shown_fields: &["module", "token_label", "slot", "pin_file", "key_prefix", "max_sessions"],
            destination_fields: &["module"],
            path_fields: &["module", "pin_file"],
            default_path_fields: &[],
            open: |name, config| Ok(Arc::new(strongroom_kms_pkcs11::Pkcs11Kms::new(name, config)?)),
        }),
        #[cfg(feature = "vault")]
        Arc::new(Outside {
            name: "vault",
            shown_fields: &[
                "address",
                "engine",
                "mount_path",
                "kv_mount",
                "key_path_prefix",
                "namespace",
                "ca_file",
                "client_cert_file",
                "client_key_file",
                "auth_method.token_file",
                "auth_method.approle.role_id",
                "auth_method.approle.mount",
                "auth_method.kubernetes.role",
                "auth_method.kubernetes.jwt_file",
                "auth_method.kubernetes.mount",
                "auth_method.cert.role",
                "auth_method.cert.mount",
            ],
            destination_fields: &["address", "ca_file", "skip_tls_verify"],
            path_fields: &["auth_method.token_file", "auth_method.kubernetes.jwt_file", "ca_file", "client_cert_file", "client_key_file"],
            default_path_fields: &["auth_method.kubernetes.jwt_file"],
            open: |name, config| strongroom_kms_vault::open(name, &config),
        }),
    ]
}

type Open<C> = fn(&str, C) -> Result<Arc<dyn Kms>, KmsError>;

/// A type whose configuration is `C`.
struct Outside<C> {
    name: &'static str,
    shown_fields: &'static [&'static str],
    destination_fields: &'static [&'static str],
    path_fields: &'static [&'static str],
    default_path_fields: &'static [&'static str],
    /// Checks the configuration and may read small files, for TLS.
    open: Open<C>,
}

#[async_trait]
impl<C: DeserializeOwned + Send + 'static> BackendType for Outside<C> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn shown_fields(&self) -> &'static [&'static str] {
        self.shown_fields
    }

    fn destination_fields(&self) -> &'static [&'static str] {
        self.destination_fields
    }

    fn path_fields(&self) -> &'static [&'static str] {
        self.path_fields
    }

    fn default_path_fields(&self) -> &'static [&'static str] {
        self.default_path_fields
    }

    fn uses_machine_credentials(&self, fields: &Map<String, Value>) -> bool {
        self.name == "aws" && !fields.contains_key("access_key_id")
    }

    async fn build(&self, name: &str, fields: &Map<String, Value>) -> Result<Arc<dyn Kms>, KmsError> {
        let (name, config, open) = (name.to_owned(), parse(fields)?, self.open);
        let opened = tokio::task::spawn_blocking(move || open(&name, config)).await;
        opened.unwrap_or_else(|_| Err(KmsError::Unavailable("the server stops".to_owned())))
    }
}
