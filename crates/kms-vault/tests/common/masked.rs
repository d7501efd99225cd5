//! A lifecycle without `describe` and `delete_now`: Vault keeps neither descriptions nor tombstones, which the suite asks of whoever has
//! these two. Both have tests of their own, and the suite in full runs over the wrapper that adds them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use strongroom_kms::{Capabilities, KeyLifecycle, KeyMetadata, KeyPage, Kms, KmsError, MayGo, NewKey};
use time::OffsetDateTime;
use zeroize::Zeroizing;

pub(crate) struct Masked<K>(pub(crate) std::sync::Arc<K>);

fn masked<T>(operation: &'static str) -> Result<T, KmsError> {
    Err(KmsError::Unsupported { backend: "masked".to_owned(), operation })
}

#[async_trait]
impl<K: Kms> KeyLifecycle for Masked<K> {
    fn capabilities(&self) -> Capabilities {
        Capabilities { describe: false, delete_now: false, ..self.0.capabilities() }
    }

    async fn create_key(&self, key: NewKey) -> Result<KeyMetadata, KmsError> {
        self.0.create_key(key).await
    }

    async fn import_key(&self, key: NewKey, material: Zeroizing<Vec<u8>>) -> Result<KeyMetadata, KmsError> {
        self.0.import_key(key, material).await
    }

    async fn list_keys(&self, after: Option<&str>, limit: usize) -> Result<KeyPage, KmsError> {
        self.0.list_keys(after, limit).await
    }

    async fn describe_key(&self, _: &str) -> Result<KeyMetadata, KmsError> {
        masked("describe")
    }

    async fn enable_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.0.enable_key(key_id).await
    }

    async fn disable_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.0.disable_key(key_id).await
    }

    async fn rotate_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.0.rotate_key(key_id).await
    }

    async fn seal_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.0.seal_key(key_id).await
    }

    async fn unseal_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.0.unseal_key(key_id).await
    }

    async fn tag(&self, key_id: &str, tags: BTreeMap<String, String>) -> Result<KeyMetadata, KmsError> {
        self.0.tag(key_id, tags).await
    }

    async fn untag(&self, key_id: &str, names: &[String]) -> Result<KeyMetadata, KmsError> {
        self.0.untag(key_id, names).await
    }

    async fn update_description(&self, key_id: &str, description: &str) -> Result<KeyMetadata, KmsError> {
        self.0.update_description(key_id, description).await
    }

    async fn schedule_deletion(&self, key_id: &str, window_days: u32) -> Result<KeyMetadata, KmsError> {
        self.0.schedule_deletion(key_id, window_days).await
    }

    async fn cancel_deletion(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.0.cancel_deletion(key_id).await
    }

    async fn delete_now(&self, _: &str, _: &str) -> Result<KeyMetadata, KmsError> {
        masked("delete now")
    }

    async fn reap_deleted(&self, now: OffsetDateTime, may_go: &MayGo) -> Result<Vec<String>, KmsError> {
        self.0.reap_deleted(now, may_go).await
    }

    async fn seal_service(&self) -> Result<(), KmsError> {
        self.0.seal_service().await
    }

    async fn unseal_service(&self) -> Result<(), KmsError> {
        self.0.unseal_service().await
    }
}
