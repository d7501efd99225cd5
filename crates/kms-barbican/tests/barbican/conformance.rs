//! The suite that every backend passes, but for what Barbican has not: ids of the caller's choice, and tombstones.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use strongroom_kms::conformance::{Backend, run_all};
use strongroom_kms::{Capabilities, KeyLifecycle, KeyMetadata, KeyPage, KmsError, MayGo, NewKey};
use strongroom_kms_barbican::BarbicanKms;
use strongroom_testbed::barbican::S3;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::common::{new_key, open, password_config};

#[tokio::test]
async fn the_backend_conforms() {
    run_all(async || {
        let kms = Arc::new(open(password_config(S3)));
        let key_ids = [new_key(&kms).await, new_key(&kms).await];
        Backend { service: kms.clone(), lifecycle: Some(Arc::new(WithoutIdsAndTombstones(kms))), key_ids, keep: Box::new(()) }
    })
    .await;
}

/// Does not make or delete keys; `lifecycle.rs` has the tests of that.
struct WithoutIdsAndTombstones(Arc<BarbicanKms>);

fn cannot<T>() -> Result<T, KmsError> {
    Err(KmsError::Unsupported { backend: "barbican".to_owned(), operation: "be asked in this suite" })
}

#[async_trait]
impl KeyLifecycle for WithoutIdsAndTombstones {
    fn capabilities(&self) -> Capabilities {
        Capabilities { create: false, import: false, delete_now: false, ..self.0.capabilities() }
    }

    async fn create_key(&self, _: NewKey) -> Result<KeyMetadata, KmsError> {
        cannot()
    }

    async fn import_key(&self, _: NewKey, _: Zeroizing<Vec<u8>>) -> Result<KeyMetadata, KmsError> {
        cannot()
    }

    async fn list_keys(&self, after: Option<&str>, limit: usize) -> Result<KeyPage, KmsError> {
        self.0.list_keys(after, limit).await
    }

    async fn describe_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.0.describe_key(key_id).await
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
        cannot()
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
