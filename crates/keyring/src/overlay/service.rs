//! Use of keys: refused here if what is remembered says so, else done by the backend.

use std::sync::Arc;

use async_trait::async_trait;
use strongroom_kms::{DataKey, DataKeySpec, EncryptionContext, KeyLifecycle, KeyService, KmsError, WrappedKey, resolve_key_id};
use zeroize::Zeroizing;

use super::Overlay;
use super::document::Document;

#[async_trait]
impl<K: KeyService + KeyLifecycle + ?Sized> KeyService for Overlay<K> {
    fn backend(&self) -> &str {
        self.inner.backend()
    }

    async fn check_usable(&self, key_id: &str) -> Result<String, KmsError> {
        let admitted = self.admit(key_id).await?;
        let canonical = admitted.seen(self.inner.check_usable(key_id).await)?;
        admitted.check(&canonical)?;
        Ok(canonical)
    }

    async fn generate_data_key(&self, key_id: &str, spec: DataKeySpec, context: &EncryptionContext) -> Result<DataKey, KmsError> {
        let admitted = self.admit(key_id).await?;
        let data_key = admitted.seen(self.inner.generate_data_key(key_id, spec, context).await)?;
        admitted.check(&data_key.wrapped.key_id)?;
        Ok(data_key)
    }

    async fn unwrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        let admitted = self.admit(&wrapped.key_id).await?;
        admitted.seen(self.inner.unwrap_data_key(wrapped, context).await)
    }

    async fn rewrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<WrappedKey, KmsError> {
        let admitted = self.admit(&wrapped.key_id).await?;
        admitted.seen(self.inner.rewrap_data_key(wrapped, context).await)
    }
}

impl<K: KeyLifecycle + ?Sized> Overlay<K> {
    /// Refuses a key that may not be used.
    async fn admit<'a>(&self, key_id: &'a str) -> Result<Admitted<'a>, KmsError> {
        let key_id = resolve_key_id(key_id)?;
        let admitted = Admitted { key_id, document: self.document().await? };
        admitted.document.as_ref().map_or(Ok(()), |document| document.check_usable(key_id))?;
        Ok(admitted)
    }

    /// Refuses a key that may not be used as far as that is remembered here; the backend is not asked.
    pub(crate) async fn check_remembered(&self, key_id: &str) -> Result<(), KmsError> {
        self.admit(key_id).await.map(drop)
    }
}

/// A key that may be used, and what said so.
struct Admitted<'a> {
    key_id: &'a str,
    document: Option<Arc<Document>>,
}

impl Admitted<'_> {
    /// A key that the backend does not know any more after it was to be destroyed is erased.
    fn seen<T>(&self, answer: Result<T, KmsError>) -> Result<T, KmsError> {
        match self.document.as_ref().and_then(|document| document.entry(self.key_id)) {
            Some(entry) => entry.or_lost(self.key_id, answer),
            None => answer,
        }
    }

    /// The backend may know the key by another id than the one given.
    fn check(&self, canonical: &str) -> Result<(), KmsError> {
        match &self.document {
            Some(document) if canonical != self.key_id => document.check_usable(canonical),
            _ => Ok(()),
        }
    }
}
