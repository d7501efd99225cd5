//! A lifecycle that can do nothing, and says so.

use std::collections::BTreeMap;

use async_trait::async_trait;
use strongroom_kms::{Capabilities, KeyLifecycle, KeyMetadata, KeyPage, KmsError, MayGo, NewKey};
use time::OffsetDateTime;
use zeroize::Zeroizing;

pub(crate) struct Incapable;

fn cannot<T>(operation: &'static str) -> Result<T, KmsError> {
    Err(KmsError::Unsupported { backend: "incapable".to_owned(), operation })
}

#[async_trait]
impl KeyLifecycle for Incapable {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            create: false,
            import: false,
            list: false,
            describe: false,
            enable_disable: false,
            rotate: false,
            seal_key: false,
            tag: false,
            update_description: false,
            schedule_deletion: false,
            delete_now: false,
            seal_service: false,
        }
    }

    async fn create_key(&self, _: NewKey) -> Result<KeyMetadata, KmsError> {
        cannot("create key")
    }

    async fn import_key(&self, _: NewKey, _: Zeroizing<Vec<u8>>) -> Result<KeyMetadata, KmsError> {
        cannot("import key")
    }

    async fn list_keys(&self, _: Option<&str>, _: usize) -> Result<KeyPage, KmsError> {
        cannot("list keys")
    }

    async fn describe_key(&self, _: &str) -> Result<KeyMetadata, KmsError> {
        cannot("describe key")
    }

    async fn enable_key(&self, _: &str) -> Result<KeyMetadata, KmsError> {
        cannot("enable key")
    }

    async fn disable_key(&self, _: &str) -> Result<KeyMetadata, KmsError> {
        cannot("disable key")
    }

    async fn rotate_key(&self, _: &str) -> Result<KeyMetadata, KmsError> {
        cannot("rotate key")
    }

    async fn seal_key(&self, _: &str) -> Result<KeyMetadata, KmsError> {
        cannot("seal key")
    }

    async fn unseal_key(&self, _: &str) -> Result<KeyMetadata, KmsError> {
        cannot("unseal key")
    }

    async fn tag(&self, _: &str, _: BTreeMap<String, String>) -> Result<KeyMetadata, KmsError> {
        cannot("tag")
    }

    async fn untag(&self, _: &str, _: &[String]) -> Result<KeyMetadata, KmsError> {
        cannot("untag")
    }

    async fn update_description(&self, _: &str, _: &str) -> Result<KeyMetadata, KmsError> {
        cannot("update description")
    }

    async fn schedule_deletion(&self, _: &str, _: u32) -> Result<KeyMetadata, KmsError> {
        cannot("schedule deletion")
    }

    async fn cancel_deletion(&self, _: &str) -> Result<KeyMetadata, KmsError> {
        cannot("cancel deletion")
    }

    async fn delete_now(&self, _: &str, _: &str) -> Result<KeyMetadata, KmsError> {
        cannot("delete now")
    }

    async fn reap_deleted(&self, _: OffsetDateTime, _: &MayGo) -> Result<Vec<String>, KmsError> {
        cannot("reap deleted")
    }

    async fn seal_service(&self) -> Result<(), KmsError> {
        cannot("seal service")
    }

    async fn unseal_service(&self) -> Result<(), KmsError> {
        cannot("unseal service")
    }
}
