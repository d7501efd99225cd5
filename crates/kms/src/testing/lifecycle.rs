//! Lifecycle calls of the test double: handed through.

use std::collections::BTreeMap;

use async_trait::async_trait;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::CountingKms;
use crate::{Capabilities, KeyLifecycle, KeyMetadata, KeyPage, KmsError, MayGo, NewKey};

#[async_trait]
impl<K: KeyLifecycle + ?Sized> KeyLifecycle for CountingKms<K> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn create_key(&self, key: NewKey) -> Result<KeyMetadata, KmsError> {
        self.inner.create_key(key).await
    }

    async fn import_key(&self, key: NewKey, material: Zeroizing<Vec<u8>>) -> Result<KeyMetadata, KmsError> {
        self.inner.import_key(key, material).await
    }

    async fn list_keys(&self, after: Option<&str>, limit: usize) -> Result<KeyPage, KmsError> {
        self.inner.list_keys(after, limit).await
    }

    async fn describe_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.inner.describe_key(key_id).await
    }

    async fn enable_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.inner.enable_key(key_id).await
    }

    async fn disable_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.inner.disable_key(key_id).await
    }

    async fn rotate_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.inner.rotate_key(key_id).await
    }

    async fn seal_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.inner.seal_key(key_id).await
    }

    async fn unseal_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.inner.unseal_key(key_id).await
    }

    async fn tag(&self, key_id: &str, tags: BTreeMap<String, String>) -> Result<KeyMetadata, KmsError> {
        self.inner.tag(key_id, tags).await
    }

    async fn untag(&self, key_id: &str, names: &[String]) -> Result<KeyMetadata, KmsError> {
        self.inner.untag(key_id, names).await
    }

    async fn update_description(&self, key_id: &str, description: &str) -> Result<KeyMetadata, KmsError> {
        self.inner.update_description(key_id, description).await
    }

    async fn schedule_deletion(&self, key_id: &str, window_days: u32) -> Result<KeyMetadata, KmsError> {
        self.inner.schedule_deletion(key_id, window_days).await
    }

    async fn cancel_deletion(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.inner.cancel_deletion(key_id).await
    }

    async fn delete_now(&self, key_id: &str, echo: &str) -> Result<KeyMetadata, KmsError> {
        self.inner.delete_now(key_id, echo).await
    }

    async fn reap_deleted(&self, now: OffsetDateTime, may_go: &MayGo) -> Result<Vec<String>, KmsError> {
        self.inner.reap_deleted(now, may_go).await
    }

    async fn seal_service(&self) -> Result<(), KmsError> {
        self.inner.seal_service().await
    }

    async fn unseal_service(&self) -> Result<(), KmsError> {
        self.inner.unseal_service().await
    }
}
