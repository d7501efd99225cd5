//! Keys in AWS KMS: they never leave it, and each use is a call to it.
//!
//! ```text
//! KeyService ───┐
//! KeyLifecycle ─┴▶ AwsKms ──▶ Connection ──▶ aws-sdk-kms ──▶ reqwest over rustls ──▶ kms.<region>.amazonaws.com
//!                               └─▶ credentials: given, environment, profile, web identity, container, instance; a role on top
//! ```
//!
//! Data keys are made by `GenerateDataKey`, opened by `Decrypt` and wrapped anew by `ReEncrypt`, all bound to the
//! [`EncryptionContext`](strongroom_kms::EncryptionContext) as AWS's own encryption context. Nothing is retried, timed out or cached here.
#![forbid(unsafe_code)]

mod config;
mod connection;
mod credentials;
mod fault;
mod http;
mod keys;
mod lifecycle;
mod service;

use strongroom_kms::KmsError;

pub use config::Config;

use connection::Connection;

/// AWS KMS as a backend.
pub struct AwsKms {
    name: String,
    connection: Connection,
}

impl AwsKms {
    /// A backend of this name ([`WrappedKey::backend`](strongroom_kms::WrappedKey)). Checks the configuration alone and reaches for nothing but
    /// the CA file, so that a server starts whatever AWS's state is.
    pub fn new(name: &str, config: Config) -> Result<Self, KmsError> {
        config.check()?;
        Ok(Self { name: name.to_owned(), connection: Connection::new(config)? })
    }
}
