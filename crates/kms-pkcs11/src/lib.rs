//! Key management on a PKCS#11 token: a hardware security module, a smart card, or SoftHSM.
//!
//! Each version of a key is an AES-256 key object that never leaves the token. Data keys are wrapped there with AES-GCM, bound to the key,
//! its version and the caller's context. Layout, set-up and failures: `docs/kms/pkcs11.md`.
//!
//! ```text
//! Pkcs11Kms ──▶ Token (sessions, PIN) ──▶ Module (the loaded library, one per path and process)
//!     ├──▶ objects (keys on the token)
//!     └──▶ wrap (AES-GCM on the token)
//! ```
#![forbid(unsafe_code)]

mod config;
mod fault;
mod lifecycle;
mod objects;
mod service;
mod token;
mod wrap;

use std::sync::Arc;

use strongroom_kms::{IvBudget, KmsError, resolve_key_id};

pub use self::config::Config;
use self::objects::KeyName;
use self::token::Token;
pub use self::token::end_libraries;

/// A backend over one token. Connects when it is first used, and again after the token was away.
pub struct Pkcs11Kms {
    name: String,
    key_prefix: String,
    token: Arc<Token>,
    budget: Arc<IvBudget>,
    /// One change at a time, since a token enforces no unique labels.
    changes: tokio::sync::Mutex<()>,
}

impl Pkcs11Kms {
    /// Checks the configuration; neither library nor token need to be there yet. `name` is the instance's, as it will stand in
    /// [`WrappedKey::backend`](strongroom_kms::WrappedKey::backend).
    pub fn new(name: &str, config: Config) -> Result<Self, KmsError> {
        config.check()?;
        Ok(Self {
            name: name.to_owned(),
            key_prefix: config.key_prefix.clone(),
            token: Arc::new(Token::new(config)),
            budget: Arc::default(),
            changes: tokio::sync::Mutex::default(),
        })
    }

    /// The key that a client names, as the token knows it.
    fn key(&self, key_id: &str) -> Result<KeyName, KmsError> {
        Ok(KeyName::new(&self.key_prefix, resolve_key_id(key_id)?))
    }
}
