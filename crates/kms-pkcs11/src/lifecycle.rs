//! The life of keys on the token: what PKCS#11 itself can do of it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use cryptoki::session::Session;
use strongroom_kms::{
    Capabilities, KeyLifecycle, KeyMetadata, KeyPage, KeyState, KeyVersionInfo, KmsError, MAX_PAGE_KEYS, MayGo, NewKey, check_new_key_id,
    is_reserved, random_key_id,
};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::Pkcs11Kms;
use crate::fault::Fault;
use crate::objects::{self, KEY_LEN, KeyName, MAX_VERSIONS};
use crate::token::Access;

#[async_trait]
impl KeyLifecycle for Pkcs11Kms {
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

    /// Description and tags are not kept: a key object has no room for them.
    async fn create_key(&self, key: NewKey) -> Result<KeyMetadata, KmsError> {
        let key = self.new_key(&key)?;
        self.change(move |session| {
            check_absent(session, &key)?;
            objects::generate(session, &key, 1)?;
            metadata(session, &key)
        })
        .await
    }

    async fn import_key(&self, key: NewKey, material: Zeroizing<Vec<u8>>) -> Result<KeyMetadata, KmsError> {
        if material.len() != KEY_LEN {
            return Err(KmsError::InvalidArgument("imported key material must have 32 bytes".to_owned()));
        }
        let (key, backend) = (self.new_key(&key)?, self.name.clone());
        self.change(move |session| {
            check_absent(session, &key)?;
            objects::import(session, &backend, &key, &material)?;
            metadata(session, &key)
        })
        .await
    }

    async fn list_keys(&self, after: Option<&str>, limit: usize) -> Result<KeyPage, KmsError> {
        if limit == 0 {
            return Err(KmsError::InvalidArgument("the limit of a list must be at least 1".to_owned()));
        }
        let (after, limit, prefix) = (after.unwrap_or_default().to_owned(), limit.min(MAX_PAGE_KEYS), self.key_prefix.clone());
        self.token.run(Access::Survey, move |session| page(session, &prefix, &after, limit)).await
    }

    async fn describe_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        let key = self.key(key_id)?;
        self.token.run(Access::Use, move |session| metadata(session, &key)).await
    }

    async fn rotate_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        let key = self.key(key_id)?;
        self.change(move |session| {
            let versions = objects::versions(session, &key)?;
            let present = objects::current(&versions).map_or(0, |(version, _)| version);
            if present >= MAX_VERSIONS {
                return Err(
                    KmsError::InvalidArgument(format!("the key {} has {MAX_VERSIONS} versions, the most there can be", key.id)).into()
                );
            }
            objects::generate(session, &key, present + 1)?;
            metadata(session, &key)
        })
        .await
    }

    async fn delete_now(&self, key_id: &str, echo: &str) -> Result<KeyMetadata, KmsError> {
        let key = self.key(key_id)?;
        if is_reserved(&key.id) {
            return Err(KmsError::InvalidArgument("the store's own keys cannot be deleted".to_owned()));
        }
        if key.id != echo {
            return Err(KmsError::InvalidArgument("the echoed key id is not the id of the key to delete".to_owned()));
        }
        self.change(move |session| {
            let last = metadata(session, &key)?;
            for handle in objects::versions(session, &key)?.into_values() {
                session.destroy_object(handle)?;
            }
            Ok(KeyMetadata { state: KeyState::Erased, ..last })
        })
        .await
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

impl Pkcs11Kms {
    fn cannot<T>(&self, operation: &'static str) -> Result<T, KmsError> {
        Err(KmsError::Unsupported { backend: self.name.clone(), operation })
    }

    fn new_key(&self, key: &NewKey) -> Result<KeyName, KmsError> {
        let id = match &key.name {
            Some(name) => {
                check_new_key_id(name)?;
                name.clone()
            }
            None => random_key_id()?,
        };
        Ok(KeyName::new(&self.key_prefix, &id))
    }

    async fn change<T: Send + 'static>(&self, work: impl FnOnce(&Session) -> Result<T, Fault> + Send + 'static) -> Result<T, KmsError> {
        let _alone = self.changes.lock().await;
        self.token.run(Access::Change, work).await
    }
}

fn check_absent(session: &Session, key: &KeyName) -> Result<(), Fault> {
    if objects::find(session, key)?.is_empty() { Ok(()) } else { Err(KmsError::KeyExists(key.id.clone()).into()) }
}

fn metadata(session: &Session, key: &KeyName) -> Result<KeyMetadata, Fault> {
    let versions = objects::versions(session, key)?;
    let current_version = objects::current(&versions).map_or(0, |(version, _)| version);
    let info = |(version, handle)| KeyVersionInfo { version, created: objects::created(session, handle) };
    let versions: Vec<KeyVersionInfo> = versions.into_iter().map(info).collect();
    Ok(KeyMetadata {
        key_id: key.id.clone(),
        description: String::new(),
        tags: BTreeMap::new(),
        state: KeyState::Enabled,
        created: versions.first().map_or(OffsetDateTime::UNIX_EPOCH, |first| first.created),
        versions,
        current_version,
    })
}

fn page(session: &Session, prefix: &str, after: &str, limit: usize) -> Result<KeyPage, Fault> {
    let ids = objects::list(session, prefix)?;
    let mut rest = ids.into_iter().filter(|id| id.as_str() > after);
    let mut keys = Vec::new();
    for id in rest.by_ref() {
        match metadata(session, &KeyName::new(prefix, &id)) {
            Err(Fault::Answer(KmsError::KeyNotFound(_))) => {} // deleted meanwhile
            key => keys.push(key?),
        }
        if keys.len() == limit {
            break;
        }
    }
    let next = rest.next().and_then(|_| Some(keys.last()?.key_id.clone()));
    Ok(KeyPage { keys, next })
}
