//! The life of keys on the server: what KMIP itself can do of it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use strongroom_kms::{
    Capabilities, KeyLifecycle, KeyMetadata, KeyPage, KeyState, KeyVersionInfo, KmsError, MAX_PAGE_KEYS, MayGo, NewKey, check_new_key_id,
    is_reserved, random_key_id,
};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::KmipKms;
use crate::fault::{Fault, Reason};
use crate::keys::{KeyName, MAX_VERSIONS, Version};
use crate::operations::{self, Operation, State};

/// Length of a key in bytes: AES-256.
const KEY_LEN: usize = 32;

#[async_trait]
impl KeyLifecycle for KmipKms {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
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
        }
    }

    /// Description and tags are not kept: KMIP has no attribute for them that servers agree on.
    async fn create_key(&self, key: NewKey) -> Result<KeyMetadata, KmsError> {
        self.add(&key, None).await.map_err(Fault::into_answer)
    }

    async fn import_key(&self, key: NewKey, material: Zeroizing<Vec<u8>>) -> Result<KeyMetadata, KmsError> {
        if material.len() != KEY_LEN {
            return Err(KmsError::InvalidArgument("imported key material must have 32 bytes".to_owned()));
        }
        self.add(&key, Some(&material)).await.map_err(|fault| match fault {
            Fault::Refused { operation: Operation::Register, reason: Reason::OPERATION_NOT_SUPPORTED } => {
                KmsError::Unsupported { backend: self.name.clone(), operation: "import: the server takes no key material from outside" }
            }
            fault => fault.into_answer(),
        })
    }

    async fn list_keys(&self, after: Option<&str>, limit: usize) -> Result<KeyPage, KmsError> {
        if limit == 0 {
            return Err(KmsError::InvalidArgument("the limit of a list must be at least 1".to_owned()));
        }
        self.page(after.unwrap_or_default(), limit.min(MAX_PAGE_KEYS)).await.map_err(Fault::into_answer)
    }

    async fn describe_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.metadata(&self.key(key_id)?).await.map_err(Fault::into_answer)
    }

    async fn rotate_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        let key = self.key(key_id)?;
        let _alone = self.changes.lock().await;
        self.rotate(&key).await.map_err(Fault::into_answer)
    }

    async fn delete_now(&self, key_id: &str, echo: &str) -> Result<KeyMetadata, KmsError> {
        let key = self.key(key_id)?;
        if is_reserved(&key.id) {
            return Err(KmsError::InvalidArgument("the store's own keys cannot be deleted".to_owned()));
        }
        if key.id != echo {
            return Err(KmsError::InvalidArgument("the echoed key id is not the id of the key to delete".to_owned()));
        }
        let _alone = self.changes.lock().await;
        self.delete(&key).await.map_err(Fault::into_answer)
    }

    async fn enable_key(&self, _: &str) -> Result<KeyMetadata, KmsError> {
        self.cannot("enable")
    }

    async fn disable_key(&self, _: &str) -> Result<KeyMetadata, KmsError> {
        self.cannot("disable")
    }

    async fn seal_key(&self, _: &str) -> Result<KeyMetadata, KmsError> {
        self.cannot("seal")
    }

    async fn unseal_key(&self, _: &str) -> Result<KeyMetadata, KmsError> {
        self.cannot("unseal")
    }

    async fn tag(&self, _: &str, _: BTreeMap<String, String>) -> Result<KeyMetadata, KmsError> {
        self.cannot("tag")
    }

    async fn untag(&self, _: &str, _: &[String]) -> Result<KeyMetadata, KmsError> {
        self.cannot("untag")
    }

    async fn update_description(&self, _: &str, _: &str) -> Result<KeyMetadata, KmsError> {
        self.cannot("describe")
    }

    async fn schedule_deletion(&self, _: &str, _: u32) -> Result<KeyMetadata, KmsError> {
        self.cannot("schedule a deletion")
    }

    async fn cancel_deletion(&self, _: &str) -> Result<KeyMetadata, KmsError> {
        self.cannot("cancel a deletion")
    }

    async fn reap_deleted(&self, _: OffsetDateTime, _: &MayGo) -> Result<Vec<String>, KmsError> {
        self.cannot("schedule a deletion")
    }

    async fn seal_service(&self) -> Result<(), KmsError> {
        self.cannot("seal the service")
    }

    async fn unseal_service(&self) -> Result<(), KmsError> {
        self.cannot("unseal the service")
    }
}

impl KmipKms {
    fn cannot<T>(&self, operation: &'static str) -> Result<T, KmsError> {
        Err(KmsError::Unsupported { backend: self.name.clone(), operation })
    }

    async fn add(&self, key: &NewKey, material: Option<&Zeroizing<Vec<u8>>>) -> Result<KeyMetadata, Fault> {
        let id = match &key.name {
            Some(name) => {
                check_new_key_id(name)?;
                name.clone()
            }
            None => random_key_id()?,
        };
        let key = self.keys.key_name(&id);
        let _alone = self.changes.lock().await;
        if !self.keys.uids(&key).await?.is_empty() {
            return Err(KmsError::KeyExists(id).into());
        }
        self.keys.make(&key, 1, material).await?;
        self.metadata(&key).await
    }

    async fn rotate(&self, key: &KeyName) -> Result<KeyMetadata, Fault> {
        let versions = self.keys.versions(key).await?;
        let (newest, version) = versions.last_key_value().ok_or_else(|| KmsError::KeyNotFound(key.id.clone()))?;
        match version.state {
            // Of a creation or rotation that was interrupted.
            State::PreActive => operations::activate(&self.keys.client, &version.uid).await?,
            State::Destroyed => return Err(KmsError::KeyErased(key.id.clone()).into()),
            State::Active | State::Revoked if *newest >= MAX_VERSIONS => {
                let text = format!("the key {} has {MAX_VERSIONS} versions, the most there can be", key.id);
                return Err(KmsError::InvalidArgument(text).into());
            }
            State::Active | State::Revoked => self.keys.make(key, newest + 1, None).await?,
        }
        self.metadata(key).await
    }

    async fn delete(&self, key: &KeyName) -> Result<KeyMetadata, Fault> {
        let last = self.metadata(key).await?;
        if last.state == KeyState::Erased {
            return Err(KmsError::KeyErased(key.id.clone()).into());
        }
        for version in self.keys.versions(key).await?.values() {
            self.keys.destroy(version).await?;
        }
        Ok(KeyMetadata { state: KeyState::Erased, ..last })
    }

    async fn metadata(&self, key: &KeyName) -> Result<KeyMetadata, Fault> {
        let versions = self.keys.versions(key).await?;
        describe(key, &versions).ok_or_else(|| KmsError::KeyNotFound(key.id.clone()).into())
    }

    async fn page(&self, after: &str, limit: usize) -> Result<KeyPage, Fault> {
        let ids = self.keys.ids().await?;
        let mut keys = Vec::new();
        for id in ids.into_iter().filter(|id| id.as_str() > after) {
            match self.metadata(&self.keys.key_name(&id)).await {
                // Deleted long ago, or meanwhile.
                Ok(KeyMetadata { state: KeyState::Erased, .. }) | Err(Fault::Answer(KmsError::KeyNotFound(_))) => continue,
                key => keys.push(key?),
            }
            if keys.len() > limit {
                break;
            }
        }
        let next = keys.get(limit).and_then(|_| Some(keys.get(limit - 1)?.key_id.clone()));
        keys.truncate(limit);
        Ok(KeyPage { keys, next })
    }
}

/// None without a version.
fn describe(key: &KeyName, versions: &BTreeMap<u32, Version>) -> Option<KeyMetadata> {
    let (first, newest) = (versions.first_key_value()?.1, versions.last_key_value()?);
    let current = versions.iter().rev().find(|(_, version)| version.state != State::PreActive).unwrap_or(newest);
    let is_erased = versions.values().all(|version| version.state == State::Destroyed);
    let state = match current.1.state {
        _ if is_erased => KeyState::Erased,
        State::Active => KeyState::Enabled,
        State::PreActive | State::Revoked | State::Destroyed => KeyState::Disabled,
    };
    Some(KeyMetadata {
        key_id: key.id.clone(),
        description: String::new(),
        tags: BTreeMap::new(),
        state,
        created: first.created,
        versions: versions.iter().map(|(number, version)| KeyVersionInfo { version: *number, created: version.created }).collect(),
        current_version: *current.0,
    })
}
