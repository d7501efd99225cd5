//! HashiCorp Vault and OpenBao as key management.
//!
//! ```text
//! TransitKms ─┐                                    ┌─ Session: token, login, renewal
//!             ├─▶ Client: one call, one retry ─────┤
//! KvKms ──────┘                                    └─ Wire: HTTPS, namespace, statuses
//! ```
//!
//! [`TransitKms`] has Vault wrap and unwrap: the keys never leave it. [`KvKms`] keeps key material in Vault's key/value engine and wraps
//! in this process. Set up, policies and failures: `docs/kms/vault.md`.
#![forbid(unsafe_code)]

mod auth;
mod config;
mod http;
mod kv;
mod listing;
mod native;
mod transit;

use std::sync::Arc;

use strongroom_kms::{Kms, KmsError};

pub use config::{AppRole, AuthMethod, CertLogin, Config, Engine, Kubernetes};
pub use kv::KvKms;
pub use transit::TransitKms;

/// The backend of the configured engine, under the instance name `name`. Checks the configuration and reads its TLS files; connects only
/// when it is used.
pub fn open(name: &str, config: &Config) -> Result<Arc<dyn Kms>, KmsError> {
    Ok(match config.engine {
        Engine::Transit => Arc::new(TransitKms::new(name, config)?),
        Engine::Kv => Arc::new(KvKms::new(name, config)?),
    })
}
