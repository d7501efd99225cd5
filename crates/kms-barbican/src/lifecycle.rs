//! The life of keys, as far as Barbican goes: no states, no waiting deletions, no tombstones.

use std::collections::BTreeMap;

use async_trait::async_trait;
use strongroom_kms::{
    Capabilities, KeyLifecycle, KeyMetadata, KeyPage, KeyState, KmsError, MaterialStore, MayGo, NewKey, check_new_key_id, resolve_key_id,
};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::describe::describe;
use crate::material::KEY_LEN;
use crate::record::{DESCRIPTION, check_description, first_rows};
use crate::rotate::random_key;
use crate::secrets::version_name;
use crate::{BarbicanKms, canonical};

#[async_trait]
impl KeyLifecycle for BarbicanKms {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            create: true,
            import: true,
            list: true,
            describe: true,
            enable_disable: false,
            rotate: true,
            seal_key: false,
            tag: true,
            update_description: true,
            schedule_deletion: false,
            delete_now: true,
            seal_service: false,
        }
    }

    /// The id is the UUID that Barbican chooses; the name becomes the secret's, which need not be unique.
    async fn create_key(&self, key: NewKey) -> Result<KeyMetadata, KmsError> {
        self.add(key, &random_key()?).await
    }

    /// As [`Self::create_key`].
    async fn import_key(&self, key: NewKey, material: Zeroizing<Vec<u8>>) -> Result<KeyMetadata, KmsError> {
        if material.len() != KEY_LEN {
            return Err(KmsError::InvalidArgument(format!("the material of a key has {KEY_LEN} bytes")));
        }
        self.add(key, &material).await
    }

    async fn list_keys(&self, after: Option<&str>, limit: usize) -> Result<KeyPage, KmsError> {
        self.list(after, limit).await
    }

    async fn describe_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.described(&id_of(key_id)?).await
    }

    async fn enable_key(&self, _: &str) -> Result<KeyMetadata, KmsError> {
        self.cannot("enable a key")
    }

    async fn disable_key(&self, _: &str) -> Result<KeyMetadata, KmsError> {
        self.cannot("disable a key")
    }

    async fn rotate_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        let key_id = id_of(key_id)?;
        self.rotate(&key_id).await?;
        self.described(&key_id).await
    }

    async fn seal_key(&self, _: &str) -> Result<KeyMetadata, KmsError> {
        self.cannot("seal a key")
    }

    async fn unseal_key(&self, _: &str) -> Result<KeyMetadata, KmsError> {
        self.cannot("unseal a key")
    }

    /// Each tag is written by itself: a failure may leave some of them written.
    async fn tag(&self, key_id: &str, tags: BTreeMap<String, String>) -> Result<KeyMetadata, KmsError> {
        let key_id = id_of(key_id)?;
        self.described(&key_id).await?;
        for (row, value) in self.record(&key_id).await?.tag_rows(&tags)? {
            self.client.set_row(&key_id, &row, &value).await?;
        }
        self.described(&key_id).await
    }

    async fn untag(&self, key_id: &str, names: &[String]) -> Result<KeyMetadata, KmsError> {
        let key_id = id_of(key_id)?;
        let record = self.record(&key_id).await?;
        for tag in names.iter().filter_map(|name| record.tags.get(name)) {
            self.client.remove_row(&key_id, &tag.row).await?;
        }
        self.described(&key_id).await
    }

    async fn update_description(&self, key_id: &str, description: &str) -> Result<KeyMetadata, KmsError> {
        let key_id = id_of(key_id)?;
        check_description(description)?;
        self.described(&key_id).await?;
        if description.is_empty() {
            self.client.remove_row(&key_id, DESCRIPTION).await?;
        } else {
            self.client.set_row(&key_id, DESCRIPTION, description).await?;
        }
        self.described(&key_id).await
    }

    async fn schedule_deletion(&self, _: &str, _: u32) -> Result<KeyMetadata, KmsError> {
        self.cannot("schedule a deletion")
    }

    async fn cancel_deletion(&self, _: &str) -> Result<KeyMetadata, KmsError> {
        self.cannot("cancel a deletion")
    }

    /// Afterwards the key is [`KmsError::KeyNotFound`]: Barbican remembers no deleted secret.
    async fn delete_now(&self, key_id: &str, echo: &str) -> Result<KeyMetadata, KmsError> {
        let key_id = id_of(key_id)?;
        if key_id != echo {
            return Err(KmsError::InvalidArgument("the echoed key id is not the id of the key to delete".to_owned()));
        }
        let metadata = self.described(&key_id).await?;
        // The key's own secret last: until then a deletion that was interrupted can be asked for again.
        for secret_id in self.later_secrets(&key_id).await? {
            self.client.delete_if_there(&secret_id).await?;
        }
        self.client.delete(&key_id).await?;
        Ok(KeyMetadata { state: KeyState::Erased, ..metadata })
    }

    async fn reap_deleted(&self, _: OffsetDateTime, _: &MayGo) -> Result<Vec<String>, KmsError> {
        self.cannot("reap deleted keys")
    }

    async fn seal_service(&self) -> Result<(), KmsError> {
        self.cannot("seal the service")
    }

    async fn unseal_service(&self) -> Result<(), KmsError> {
        self.cannot("unseal the service")
    }
}

impl BarbicanKms {
    async fn add(&self, key: NewKey, material: &[u8]) -> Result<KeyMetadata, KmsError> {
        key.name.as_deref().map_or(Ok(()), check_new_key_id)?;
        let rows = first_rows(&key)?;
        let key_id = self.client.store(key.name.as_deref(), material).await?;
        let written = if rows.is_empty() { Ok(()) } else { self.client.set_first_rows(&key_id, &rows).await };
        let answer = match written {
            Ok(()) => self.described(&key_id).await,
            Err(error) => Err(error),
        };
        if answer.is_err() && self.client.delete_if_there(&key_id).await.is_err() {
            tracing::warn!(secret = key_id, "a key whose creation failed is left in Barbican: delete it");
        }
        answer
    }

    async fn described(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        let (secret, record) = tokio::join!(self.client.secret(key_id), self.record(key_id));
        let secret = secret?;
        if secret.is_version() {
            return Err(KmsError::KeyNotFound(key_id.to_owned()));
        }
        describe(key_id, &secret, record?)
    }

    /// Every secret that holds a later version, those of unfinished rotations included.
    /// By name, not by reference: whoever may write metadata must not have a say in what is deleted.
    async fn later_secrets(&self, key_id: &str) -> Result<Vec<String>, KmsError> {
        let name = version_name(key_id);
        let named = self.client.all_secrets(&format!("name={name}")).await?;
        Ok(named.into_iter().filter(|(_, secret)| secret.name.as_ref() == Some(&name)).map(|(id, _)| id).collect())
    }

    fn cannot<T>(&self, operation: &'static str) -> Result<T, KmsError> {
        Err(KmsError::Unsupported { backend: self.name().to_owned(), operation })
    }
}

fn id_of(given: &str) -> Result<String, KmsError> {
    canonical(resolve_key_id(given)?)
}
