//! The key/value engine, version 2: keeps key material, which is used in this process.

mod document;
mod lifecycle;
mod secret;

use async_trait::async_trait;
use strongroom_kms::{KeyMaterial, KmsError, MaterialStore};

use crate::Config;
use crate::http::Client;

/// Keys whose material a key/value engine keeps: one secret for each key, with all of its versions.
pub struct KvKms {
    pub(crate) name: String,
    client: Client,
    mount: String,
    prefix: String,
}

impl KvKms {
    /// The backend as the instance `name`, which stands in every wrapped key. Checks the configuration; connects when it is used.
    pub fn new(name: impl Into<String>, config: &Config) -> Result<Self, KmsError> {
        let client = Client::new(config)?;
        Ok(Self { name: name.into(), client, mount: config.kv_mount.clone(), prefix: config.key_path_prefix.clone() })
    }
}

#[async_trait]
impl MaterialStore for KvKms {
    fn name(&self) -> &str {
        &self.name
    }

    async fn material(&self, key_id: &str, version: Option<u32>) -> Result<KeyMaterial, KmsError> {
        self.load(key_id).await?.document.material(key_id, version)
    }
}
