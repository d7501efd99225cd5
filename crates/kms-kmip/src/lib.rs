//! Key management on a KMIP server, 1.4 or later, over mutual TLS.
//!
//! Each version of a key is an AES-256 object that the server keeps; data keys are sent there to be encrypted with AES-GCM, bound to the
//! key, its version and the caller's context. Layout, set-up and failures: `docs/kms/kmip.md`.
//!
//! ```text
//! KmipKms ──▶ Keys (ids and versions as named objects) ──▶ operations ──▶ Client (TLS connections) ──▶ ttlv (the encoding)
//!     └──▶ wrap (AES-GCM on the server)
//! ```
#![forbid(unsafe_code)]

mod client;
mod config;
mod fault;
mod keys;
mod lifecycle;
mod operations;
mod service;
mod ttlv;
mod wrap;

use strongroom_kms::{IvBudget, KmsError, resolve_key_id};
use tokio::sync::{Mutex, OnceCell};

use self::client::Client;
pub use self::config::Config;
use self::keys::{KeyName, Keys};

/// A backend over one KMIP server. Connects when it is first used, and anew after the server was away.
pub struct KmipKms {
    name: String,
    keys: Keys,
    budget: IvBudget,
    /// Filled once the server has shown that it authenticates additional data.
    binds_context: OnceCell<()>,
    /// One change at a time, since not every server keeps names unique.
    changes: Mutex<()>,
}

impl KmipKms {
    /// Checks the configuration and that the files it names can be used; the server need not be there yet. `name` is the instance's, as it
    /// will stand in [`WrappedKey::backend`](strongroom_kms::WrappedKey::backend).
    pub fn new(name: &str, config: Config) -> Result<Self, KmsError> {
        config.check()?;
        Ok(Self {
            name: name.to_owned(),
            keys: Keys::new(config.key_prefix.clone(), Client::new(config)),
            budget: IvBudget::default(),
            binds_context: OnceCell::new(),
            changes: Mutex::default(),
        })
    }

    /// The key that a client names, as the server knows it.
    fn key(&self, key_id: &str) -> Result<KeyName, KmsError> {
        Ok(self.keys.key_name(resolve_key_id(key_id)?))
    }
}
