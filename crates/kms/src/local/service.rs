//! Wrapping and unwrapping with the keys in memory.

use std::sync::Arc;

use async_trait::async_trait;
use zeroize::Zeroizing;

use super::record::KeyRecord;
use super::{Inner, LocalKms};
use crate::wrap::{self, Binding};
use crate::{DataKey, DataKeySpec, EncryptionContext, KeyService, KmsError, WrappedKey, crypto, resolve_key_id};

#[async_trait]
impl KeyService for LocalKms {
    fn backend(&self) -> &str {
        &self.name
    }

    async fn check_usable(&self, key_id: &str) -> Result<String, KmsError> {
        let (key_id, _) = self.inner.usable(key_id)?;
        Ok(key_id.to_owned())
    }

    async fn generate_data_key(&self, key_id: &str, spec: DataKeySpec, context: &EncryptionContext) -> Result<DataKey, KmsError> {
        let (key_id, record) = self.inner.usable(key_id)?;
        let mut plaintext = Zeroizing::new(vec![0; spec.len_bytes()]);
        crypto::fill_random(&mut plaintext)?;
        let wrapped = self.wrap_current(&record, key_id, context, &plaintext)?;
        Ok(DataKey { plaintext, wrapped })
    }

    async fn unwrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        let (key_id, record) = self.inner.usable(&wrapped.key_id)?;
        self.unwrap(&record, key_id, wrapped, context)
    }

    async fn rewrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<WrappedKey, KmsError> {
        let (key_id, record) = self.inner.usable(&wrapped.key_id)?;
        let plaintext = self.unwrap(&record, key_id, wrapped, context)?;
        self.wrap_current(&record, key_id, context, &plaintext)
    }
}

impl Inner {
    /// The key in any of its forms, by its bare id, if it can be used now.
    fn usable<'a>(&self, key_id: &'a str) -> Result<(&'a str, Arc<KeyRecord>), KmsError> {
        let record = self.read_state(|state| {
            state.check_unsealed()?;
            let key_id = resolve_key_id(key_id)?;
            Ok((key_id, state.find(key_id)?))
        });
        let (key_id, record) = record?;
        record.check_usable(key_id)?;
        Ok((key_id, record))
    }
}

impl LocalKms {
    fn wrap_current(
        &self,
        record: &KeyRecord,
        key_id: &str,
        context: &EncryptionContext,
        plaintext: &[u8],
    ) -> Result<WrappedKey, KmsError> {
        let key_version = record.current_version();
        let material = record.material(key_version).ok_or_else(|| KmsError::KeyErased(key_id.to_owned()))?;
        let ciphertext = wrap::wrap(material, &Binding { domain: wrap::LOCAL, key_id, key_version, context }, plaintext)?;
        Ok(WrappedKey { backend: self.name.clone(), key_id: key_id.to_owned(), key_version, ciphertext })
    }

    fn unwrap(
        &self,
        record: &KeyRecord,
        key_id: &str,
        wrapped: &WrappedKey,
        context: &EncryptionContext,
    ) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        let WrappedKey { backend, key_id: _, key_version, ciphertext } = wrapped;
        if *backend != self.name {
            return Err(KmsError::Rejected);
        }
        // A version that never was belongs to an altered record.
        let material = record.material(*key_version).ok_or(KmsError::Rejected)?;
        wrap::unwrap(material, &Binding { domain: wrap::LOCAL, key_id, key_version: *key_version, context }, ciphertext)
    }
}
