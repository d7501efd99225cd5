//! What both engines can and cannot do of a key's life.

use std::collections::BTreeMap;

use strongroom_kms::{Capabilities, KeyMetadata, KeyPage, KmsError, MayGo, NewKey};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::{KvKms, TransitKms};

/// `KeyLifecycle` for an engine: its own methods for what [`CAPABILITIES`] says yes to, refusals for the rest.
macro_rules! lifecycle {
    ($engine:ty) => {
        #[async_trait::async_trait]
        impl strongroom_kms::KeyLifecycle for $engine {
            fn capabilities(&self) -> Capabilities {
                CAPABILITIES
            }

            async fn create_key(&self, key: NewKey) -> Result<KeyMetadata, KmsError> {
                self.create(key).await
            }

            async fn import_key(&self, key: NewKey, material: Zeroizing<Vec<u8>>) -> Result<KeyMetadata, KmsError> {
                self.import(key, &material).await
            }

            async fn list_keys(&self, after: Option<&str>, limit: usize) -> Result<KeyPage, KmsError> {
                self.list(after, limit).await
            }

            async fn describe_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
                self.describe(key_id).await
            }

            async fn rotate_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
                self.rotate(key_id).await
            }

            async fn delete_now(&self, key_id: &str, echo: &str) -> Result<KeyMetadata, KmsError> {
                self.delete(key_id, echo).await
            }

            async fn enable_key(&self, _: &str) -> Result<KeyMetadata, KmsError> {
                cannot(&self.name, "enable a key")
            }

            async fn disable_key(&self, _: &str) -> Result<KeyMetadata, KmsError> {
                cannot(&self.name, "disable a key")
            }

            async fn seal_key(&self, _: &str) -> Result<KeyMetadata, KmsError> {
                cannot(&self.name, "seal a key")
            }

            async fn unseal_key(&self, _: &str) -> Result<KeyMetadata, KmsError> {
                cannot(&self.name, "unseal a key")
            }

            async fn tag(&self, _: &str, _: BTreeMap<String, String>) -> Result<KeyMetadata, KmsError> {
                cannot(&self.name, "tag a key")
            }

            async fn untag(&self, _: &str, _: &[String]) -> Result<KeyMetadata, KmsError> {
                cannot(&self.name, "untag a key")
            }

            async fn update_description(&self, _: &str, _: &str) -> Result<KeyMetadata, KmsError> {
                cannot(&self.name, "describe a key")
            }

            async fn schedule_deletion(&self, _: &str, _: u32) -> Result<KeyMetadata, KmsError> {
                cannot(&self.name, "schedule the deletion of a key")
            }

            async fn cancel_deletion(&self, _: &str) -> Result<KeyMetadata, KmsError> {
                cannot(&self.name, "cancel the deletion of a key")
            }

            async fn reap_deleted(&self, _: OffsetDateTime, _: &MayGo) -> Result<Vec<String>, KmsError> {
                cannot(&self.name, "delete keys when they are due")
            }

            async fn seal_service(&self) -> Result<(), KmsError> {
                cannot(&self.name, "seal the service")
            }

            async fn unseal_service(&self) -> Result<(), KmsError> {
                cannot(&self.name, "unseal the service")
            }
        }
    };
}
lifecycle!(TransitKms);
lifecycle!(KvKms);

/// What Vault does by itself. The rest is supplied around this crate.
const CAPABILITIES: Capabilities = Capabilities {
    create: true,
    import: true,
    list: true,
    describe: true,
    enable_disable: false,
    rotate: true,
    seal_key: false,
    tag: false,
    update_description: false,
    schedule_deletion: false,
    delete_now: true,
    seal_service: false,
};

/// The second look at what is about to be lost.
pub(crate) fn check_echo(key_id: &str, echo: &str) -> Result<(), KmsError> {
    if echo == key_id { Ok(()) } else { Err(KmsError::InvalidArgument(format!("to delete the key now, echo its id {key_id}"))) }
}

/// Imported material is one AES-256 key.
pub(crate) fn check_material(material: &[u8]) -> Result<(), KmsError> {
    if material.len() == 32 { Ok(()) } else { Err(KmsError::InvalidArgument("key material must have 32 bytes".to_owned())) }
}

fn cannot<T>(backend: &str, operation: &'static str) -> Result<T, KmsError> {
    Err(KmsError::Unsupported { backend: backend.to_owned(), operation })
}
