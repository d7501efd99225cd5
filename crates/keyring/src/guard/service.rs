//! Use of keys through the guard.

use async_trait::async_trait;
use strongroom_kms::{DataKey, DataKeySpec, EncryptionContext, KeyService, KmsError, WrappedKey};
use zeroize::Zeroizing;

use super::{Guard, Operation};

#[async_trait]
impl<K: KeyService + ?Sized> KeyService for Guard<K> {
    fn backend(&self) -> &str {
        self.inner.backend()
    }

    async fn check_usable(&self, key_id: &str) -> Result<String, KmsError> {
        self.call(Operation::CheckUsable, || self.inner.check_usable(key_id)).await
    }

    async fn generate_data_key(&self, key_id: &str, spec: DataKeySpec, context: &EncryptionContext) -> Result<DataKey, KmsError> {
        self.call(Operation::GenerateDataKey, || self.inner.generate_data_key(key_id, spec, context)).await
    }

    async fn unwrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        self.call(Operation::UnwrapDataKey, || self.inner.unwrap_data_key(wrapped, context)).await
    }

    async fn rewrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<WrappedKey, KmsError> {
        self.call(Operation::RewrapDataKey, || self.inner.rewrap_data_key(wrapped, context)).await
    }
}
