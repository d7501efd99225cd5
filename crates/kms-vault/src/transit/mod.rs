//! The Transit engine: wraps and unwraps on the server; the keys never leave it.

mod ciphertext;
mod import;
mod key;
mod lifecycle;
mod service;

use std::sync::atomic::AtomicBool;

use serde::Serialize;
use strongroom_kms::KmsError;

use crate::Config;
use crate::http::{Answer, Call, Client};
use key::TransitKey;

/// Keys of a Transit engine.
pub struct TransitKms {
    pub(crate) name: String,
    client: Client,
    mount: String,
    /// Whether this server was seen to bind `associated_data`.
    binding_proven: AtomicBool,
}

impl TransitKms {
    /// The backend as the instance `name`, which stands in every wrapped key. Checks the configuration; connects when it is used.
    pub fn new(name: impl Into<String>, config: &Config) -> Result<Self, KmsError> {
        let client = Client::new(config)?;
        Ok(Self { name: name.into(), client, mount: config.mount_path.clone(), binding_proven: AtomicBool::new(false) })
    }

    async fn write(&self, path: &str, body: &impl Serialize) -> Result<Answer, KmsError> {
        self.client.send(&Call::write(self.path(path), body)?).await
    }

    /// What the server knows of a key, if it can wrap data keys at all.
    async fn read_key(&self, key_id: &str) -> Result<TransitKey, KmsError> {
        let path = self.path(&format!("keys/{key_id}"));
        let answer = self.client.send(&Call::read(path.clone())).await?;
        let key: TransitKey = answer.found(&path)?.ok_or_else(|| KmsError::KeyNotFound(key_id.to_owned()))?;
        key.check_kind(key_id)?;
        Ok(key)
    }

    fn path(&self, path: &str) -> String {
        format!("{}/{path}", self.mount)
    }
}
