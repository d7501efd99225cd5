//! Backends that keep key material and do not encrypt: a store of secrets, such as Vault's KV or Barbican.
//!
//! The material is fetched for each call and wiped after it; data keys are wrapped in this process as the local backend wraps them.

use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::crypto::{self, SecretKey};
use crate::wrap::{self, Binding};
use crate::{DataKey, DataKeySpec, EncryptionContext, KeyService, KmsError, WrappedKey, resolve_key_id};

/// One version of a key, with its material.
pub struct KeyMaterial {
    /// The canonical id.
    pub key_id: String,
    /// 1 for the first.
    pub version: u32,
    /// The 32 bytes. Never log them.
    pub bytes: Zeroizing<Vec<u8>>,
}

/// Keeps the material of keys. Whatever implements it is a [`KeyService`].
#[async_trait]
pub trait MaterialStore: Send + Sync + 'static {
    /// The backend's name, as it stands in [`WrappedKey::backend`].
    fn name(&self) -> &str;

    /// The material of a version of the key, or of the present one. The id is a bare one ([`resolve_key_id`]). A version that never was
    /// is [`KmsError::Rejected`].
    async fn material(&self, key_id: &str, version: Option<u32>) -> Result<KeyMaterial, KmsError>;
}

#[async_trait]
impl<S: MaterialStore> KeyService for S {
    fn backend(&self) -> &str {
        self.name()
    }

    async fn check_usable(&self, key_id: &str) -> Result<String, KmsError> {
        Ok(self.material(resolve_key_id(key_id)?, None).await?.key_id)
    }

    async fn generate_data_key(&self, key_id: &str, spec: DataKeySpec, context: &EncryptionContext) -> Result<DataKey, KmsError> {
        let key = self.material(resolve_key_id(key_id)?, None).await?;
        let mut plaintext = Zeroizing::new(vec![0; spec.len_bytes()]);
        crypto::fill_random(&mut plaintext)?;
        let wrapped = wrap_under(self.name(), &key, context, &plaintext)?;
        Ok(DataKey { plaintext, wrapped })
    }

    async fn unwrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        if wrapped.backend != self.name() {
            return Err(KmsError::Rejected);
        }
        let key = self.material(resolve_key_id(&wrapped.key_id)?, Some(wrapped.key_version)).await?;
        let binding = Binding { domain: wrap::MATERIAL, key_id: &key.key_id, key_version: key.version, context };
        wrap::unwrap(&secret(&key)?, &binding, &wrapped.ciphertext)
    }

    async fn rewrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<WrappedKey, KmsError> {
        let plaintext = self.unwrap_data_key(wrapped, context).await?;
        let key = self.material(resolve_key_id(&wrapped.key_id)?, None).await?;
        wrap_under(self.name(), &key, context, &plaintext)
    }
}

fn wrap_under(backend: &str, key: &KeyMaterial, context: &EncryptionContext, plaintext: &[u8]) -> Result<WrappedKey, KmsError> {
    let binding = Binding { domain: wrap::MATERIAL, key_id: &key.key_id, key_version: key.version, context };
    let ciphertext = wrap::wrap(&secret(key)?, &binding, plaintext)?;
    Ok(WrappedKey { backend: backend.to_owned(), key_id: key.key_id.clone(), key_version: key.version, ciphertext })
}

fn secret(key: &KeyMaterial) -> Result<SecretKey, KmsError> {
    let malformed = || KmsError::Broken(format!("the material of the key {} in the backend does not have 32 bytes", key.key_id));
    SecretKey::from_slice(&key.bytes).ok_or_else(malformed)
}
