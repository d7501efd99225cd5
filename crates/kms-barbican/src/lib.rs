//! Key management over OpenStack Barbican: each key is a secret, its id the secret's UUID.
//!
//! ```text
//! BarbicanKms ─▶ secrets, metadata (typed calls) ─▶ client (one request, one fresh login on 401) ─▶ auth ─▶ Keystone
//!      └──────▶ record (what the user metadata of a key says: versions, tags, description)
//! ```
//!
//! Barbican keeps key material and does not encrypt, so the material of a key is fetched for each call, wraps in this process and is
//! wiped after it. Specified in `docs/kms/barbican.md`.
#![forbid(unsafe_code)]

mod auth;
mod client;
mod config;
mod describe;
mod keystone;
mod lifecycle;
mod list;
mod material;
mod metadata;
mod record;
mod rotate;
mod secrets;
mod tag_name;

use async_trait::async_trait;
use strongroom_kms::{KeyMaterial, KmsError, MaterialStore};
use tokio::sync::Mutex;

use client::Client;
pub use config::{AuthMethod, BarbicanConfig};
use record::{FIRST_VERSION, Record};

/// Keys in OpenStack Barbican.
pub struct BarbicanKms {
    name: String,
    client: Client,
    /// Held during a rotation: two by this server go one after the other instead of colliding.
    rotating: Mutex<()>,
}

impl BarbicanKms {
    /// Checks the configuration and reads its files; connects when first used. [`KmsError::InvalidArgument`] names the field.
    pub fn new(config: BarbicanConfig) -> Result<Self, KmsError> {
        let client = Client::new(&config)?;
        Ok(Self { name: config.name, client, rotating: Mutex::new(()) })
    }

    /// What the user metadata of the key says.
    async fn record(&self, key_id: &str) -> Result<Record, KmsError> {
        Record::parse(key_id, self.client.metadata(key_id).await?)
    }

    /// The material that the key's own secret holds.
    async fn first_material(&self, key_id: &str) -> Result<KeyMaterial, KmsError> {
        let payload = match self.client.payload(key_id).await {
            Err(KmsError::KeyNotFound(_)) => {
                // There may be a secret and no payload.
                let status = self.client.secret(key_id).await?.status;
                return Err(KmsError::Broken(format!("the secret {key_id} has no payload (status {status})")));
            }
            answer => answer?,
        };
        let bytes = material::decode(key_id, &payload)?;
        Ok(KeyMaterial { key_id: key_id.to_owned(), version: FIRST_VERSION, bytes })
    }

    /// The material of a version that a rotation added.
    async fn later_material(&self, key_id: &str, version: u32, secret_id: &str) -> Result<KeyMaterial, KmsError> {
        let payload = match self.client.payload(secret_id).await {
            Err(KmsError::KeyNotFound(_)) => {
                let text = format!("the secret {secret_id}, version {version} of the key {key_id}, is gone from Barbican");
                return Err(KmsError::Broken(text));
            }
            answer => answer?,
        };
        let bytes = material::decode(secret_id, &payload)?;
        Ok(KeyMaterial { key_id: key_id.to_owned(), version, bytes })
    }
}

#[async_trait]
impl MaterialStore for BarbicanKms {
    fn name(&self) -> &str {
        &self.name
    }

    async fn material(&self, key_id: &str, version: Option<u32>) -> Result<KeyMaterial, KmsError> {
        let key_id = &canonical(key_id)?;
        if version == Some(FIRST_VERSION) {
            return self.first_material(key_id).await;
        }
        let record = self.record(key_id).await?;
        let version = version.unwrap_or_else(|| record.current_version());
        if version == FIRST_VERSION {
            return self.first_material(key_id).await;
        }
        let later = record.versions.get(&version).ok_or(KmsError::Rejected)?;
        self.later_material(key_id, version, &later.secret_id).await
    }
}

/// The UUID as Barbican writes it. In any other spelling it would pass by what is known of the key elsewhere: policies, states, caches.
fn canonical(key_id: &str) -> Result<String, KmsError> {
    if is_uuid(key_id) { Ok(key_id.to_owned()) } else { Err(KmsError::KeyNotFound(key_id.to_owned())) }
}

/// Whether this is a UUID in lower case.
fn is_uuid(text: &str) -> bool {
    let hyphens = [8, 13, 18, 23];
    let fits = |(at, byte): (usize, u8)| if hyphens.contains(&at) { byte == b'-' } else { matches!(byte, b'0'..=b'9' | b'a'..=b'f') };
    text.len() == 36 && text.bytes().enumerate().all(fits)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_key_id_in_upper_case_is_no_key() {
        let key_id = "00000000-0000-4000-8000-00000000000a";
        assert_eq!(canonical(key_id).unwrap(), key_id);
        for other in [key_id.to_ascii_uppercase(), key_id.replace('-', ""), format!("{{{key_id}}}"), format!("{key_id} ")] {
            assert!(matches!(canonical(&other), Err(KmsError::KeyNotFound(id)) if id == other), "{other}");
        }
    }
}
