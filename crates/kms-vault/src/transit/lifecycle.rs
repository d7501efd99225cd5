//! The life of Transit keys: what the engine can do by itself.

use serde::Deserialize;
use serde_json::json;
use strongroom_kms::{KeyMetadata, KeyPage, KeyState, KmsError, NewKey, check_new_key_id, random_key_id, resolve_key_id};

use super::key::KEY_TYPE;
use super::{TransitKms, import};
use crate::http::Call;
use crate::{listing, native};

impl TransitKms {
    /// Description and tags are not kept: Transit has no place for them.
    pub(crate) async fn create(&self, key: NewKey) -> Result<KeyMetadata, KmsError> {
        let key_id = self.new_id(key.name).await?;
        let body = json!({ "type": KEY_TYPE, "derived": false, "exportable": false, "allow_plaintext_backup": false });
        let call = format!("keys/{key_id}");
        self.write(&call, &body).await?.done(&call)?;
        self.describe(&key_id).await
    }

    pub(crate) async fn import(&self, key: NewKey, material: &[u8]) -> Result<KeyMetadata, KmsError> {
        #[derive(Deserialize)]
        struct WrappingKey {
            public_key: String,
        }
        native::check_material(material)?;
        let key_id = self.new_id(key.name).await?;
        let path = self.path("wrapping_key");
        let WrappingKey { public_key } = self.client.send(&Call::read(path.clone())).await?.data(&path)?;
        let ciphertext = import::wrap(&public_key, material)?;
        let body = json!({ "ciphertext": ciphertext, "type": KEY_TYPE, "hash_function": "SHA256", "allow_rotation": true });
        let call = format!("keys/{key_id}/import");
        self.write(&call, &body).await?.done(&call)?;
        self.describe(&key_id).await
    }

    pub(crate) async fn list(&self, after: Option<&str>, limit: usize) -> Result<KeyPage, KmsError> {
        let path = self.path("keys");
        let names = listing::names(self.client.send(&Call::list(path.clone())).await?, &path)?;
        listing::page(names, after, limit, |key_id| async move { self.describe(&key_id).await }).await
    }

    pub(crate) async fn describe(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        let key_id = resolve_key_id(key_id)?;
        Ok(self.read_key(key_id).await?.metadata(key_id))
    }

    pub(crate) async fn rotate(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        let key_id = resolve_key_id(key_id)?;
        self.read_key(key_id).await?.check_usable(key_id)?;
        let call = format!("keys/{key_id}/rotate");
        self.write(&call, &json!({})).await?.done(&call)?;
        self.describe(key_id).await
    }

    pub(crate) async fn delete(&self, key_id: &str, echo: &str) -> Result<KeyMetadata, KmsError> {
        let key_id = resolve_key_id(key_id)?;
        native::check_echo(key_id, echo)?;
        let metadata = self.read_key(key_id).await?.metadata(key_id);
        let call = format!("keys/{key_id}/config");
        self.write(&call, &json!({ "deletion_allowed": true })).await?.done(&call)?;
        let path = self.path(&format!("keys/{key_id}"));
        self.client.send(&Call::delete(path.clone())).await?.done(&path)?;
        Ok(KeyMetadata { state: KeyState::Erased, ..metadata })
    }

    /// An id that no key has. Transit answers the creation of a key that exists as if it had made it, so it is asked first.
    async fn new_id(&self, name: Option<String>) -> Result<String, KmsError> {
        let Some(key_id) = name else { return random_key_id() };
        check_new_key_id(&key_id)?;
        match self.read_key(&key_id).await {
            Err(KmsError::KeyNotFound(_)) => Ok(key_id),
            Ok(_) | Err(KmsError::Conflict(_)) => Err(KmsError::KeyExists(key_id)),
            Err(error) => Err(error),
        }
    }
}
