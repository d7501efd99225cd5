//! Arguments about the service and its backends.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// A configuration, whole or in part.
#[derive(Args)]
pub(crate) struct ConfigureArgs {
    /// A JSON file with the fields, `-` for standard input: where secrets belong
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// local, vault, barbican, aws, pkcs11 or kmip
    #[arg(long, value_name = "TYPE")]
    pub(crate) backend_type: Option<String>,
    /// A name of one's own for the backend, where there are several of a type
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// The key for SSE-S3, and for SSE-KMS without a key id
    #[arg(long, value_name = "KEY")]
    pub(crate) default_key_id: Option<String>,
    /// Any other field, as in `--set address=https://vault.example:8200`; the value may be JSON
    #[arg(long = "set", value_name = "FIELD=VALUE", value_parser = field)]
    pub(crate) fields: Vec<(String, serde_json::Value)>,
}

/// `strongroom kms backend …`
#[derive(Subcommand)]
pub(crate) enum BackendCommand {
    /// List the backends and what depends on each
    List,
    /// Forget a backend that nothing depends on
    Remove {
        /// The backend's name
        name: String,
    },
}

fn field(text: &str) -> Result<(String, serde_json::Value), String> {
    let (name, value) = text.split_once('=').ok_or("write it as FIELD=VALUE")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| serde_json::Value::String(value.to_owned()));
    Ok((name.to_owned(), value))
}
