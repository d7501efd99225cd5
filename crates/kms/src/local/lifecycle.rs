//! The life of the keys. Each change is durable on the disk before it becomes the state in memory.

use std::collections::BTreeMap;
use std::ops::Bound;

use async_trait::async_trait;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::record::KeyRecord;
use super::{LocalKms, Slot, State};
use crate::crypto::SecretKey;
use crate::key_id::{check_new_key_id, check_not_reserved, random_key_id};
use crate::{Capabilities, KeyLifecycle, KeyMetadata, KeyPage, KeyState, KmsError, MAX_PAGE_KEYS, MayGo, NewKey, resolve_key_id};

#[async_trait]
impl KeyLifecycle for LocalKms {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            create: true,
            import: true,
            list: true,
            describe: true,
            enable_disable: true,
            rotate: true,
            seal_key: true,
            tag: true,
            update_description: true,
            schedule_deletion: true,
            delete_now: true,
            seal_service: true,
        }
    }

    async fn create_key(&self, key: NewKey) -> Result<KeyMetadata, KmsError> {
        self.add(key, SecretKey::random()?).await
    }

    async fn import_key(&self, key: NewKey, material: Zeroizing<Vec<u8>>) -> Result<KeyMetadata, KmsError> {
        let wrong_length = || KmsError::InvalidArgument("imported key material must have 32 bytes".to_owned());
        self.add(key, SecretKey::from_slice(&material).ok_or_else(wrong_length)?).await
    }

    async fn list_keys(&self, after: Option<&str>, limit: usize) -> Result<KeyPage, KmsError> {
        if limit == 0 {
            return Err(KmsError::InvalidArgument("the limit of a list must be at least 1".to_owned()));
        }
        Ok(self.inner.read_state(|state| state.page(after, limit.min(MAX_PAGE_KEYS))))
    }

    async fn describe_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        let key_id = resolve_key_id(key_id)?;
        Ok(self.inner.find(key_id)?.metadata(key_id))
    }

    async fn enable_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.change(key_id, |id, key| key.set_enabled(id, true)).await
    }

    async fn disable_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        check_not_reserved(key_id)?;
        self.change(key_id, |id, key| key.set_enabled(id, false)).await
    }

    async fn rotate_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.change(key_id, |id, key| key.rotate(id)).await
    }

    async fn seal_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        check_not_reserved(key_id)?;
        self.change(key_id, |id, key| key.set_sealed(id, true)).await
    }

    async fn unseal_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.change(key_id, |id, key| key.set_sealed(id, false)).await
    }

    async fn tag(&self, key_id: &str, tags: BTreeMap<String, String>) -> Result<KeyMetadata, KmsError> {
        self.change(key_id, |id, key| key.tag(id, tags)).await
    }

    async fn untag(&self, key_id: &str, names: &[String]) -> Result<KeyMetadata, KmsError> {
        let names = names.to_vec();
        self.change(key_id, move |id, key| key.untag(id, &names)).await
    }

    async fn update_description(&self, key_id: &str, description: &str) -> Result<KeyMetadata, KmsError> {
        let description = description.to_owned();
        self.change(key_id, |id, key| key.describe_as(id, description)).await
    }

    async fn schedule_deletion(&self, key_id: &str, window_days: u32) -> Result<KeyMetadata, KmsError> {
        check_not_reserved(key_id)?;
        self.change(key_id, move |id, key| key.schedule_deletion(id, window_days)).await
    }

    async fn cancel_deletion(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.change(key_id, |id, key| key.cancel_deletion(id)).await
    }

    async fn delete_now(&self, key_id: &str, echo: &str) -> Result<KeyMetadata, KmsError> {
        check_not_reserved(key_id)?;
        if resolve_key_id(key_id)? != echo {
            return Err(KmsError::InvalidArgument("the echoed key id is not the id of the key to delete".to_owned()));
        }
        self.change(key_id, |id, key| key.erase(id)).await
    }

    async fn reap_deleted(&self, now: OffsetDateTime, may_go: &MayGo) -> Result<Vec<String>, KmsError> {
        // Asked about outside the lock of writers, and so looked at again in it: the deletion may have been taken back meanwhile.
        let mut going = Vec::new();
        for key_id in self.inner.read_state(|state| state.due(now)) {
            if may_go.ask(&key_id).await {
                going.push(key_id);
            }
        }
        self.write(move |inner| {
            inner.check_unsealed()?;
            let due = inner.read_state(|state| state.due(now));
            going.retain(|key_id| due.contains(key_id));
            for key_id in &going {
                inner.change(key_id, |key| key.erase(key_id))?;
            }
            Ok(going)
        })
        .await
    }

    async fn seal_service(&self) -> Result<(), KmsError> {
        self.set_service_sealed(true).await
    }

    async fn unseal_service(&self) -> Result<(), KmsError> {
        self.set_service_sealed(false).await
    }
}

impl LocalKms {
    /// Adds a key under the name it asks for, or a random one.
    async fn add(&self, key: NewKey, material: SecretKey) -> Result<KeyMetadata, KmsError> {
        let key_id = match &key.name {
            Some(name) => {
                check_new_key_id(name)?;
                name.clone()
            }
            None => random_key_id()?,
        };
        self.write(move |inner| inner.create(&key_id, key, material)).await
    }

    async fn change<F>(&self, key_id: &str, apply: F) -> Result<KeyMetadata, KmsError>
    where
        F: FnOnce(&str, &mut KeyRecord) -> Result<(), KmsError> + Send + 'static,
    {
        let key_id = resolve_key_id(key_id)?.to_owned();
        self.write(move |inner| inner.change(&key_id, |record| apply(&key_id, record))).await
    }

    /// Sealing counts in memory before the disk has it, unsealing after: a failure leaves the service sealed.
    async fn set_service_sealed(&self, sealed: bool) -> Result<(), KmsError> {
        self.write(move |inner| {
            if sealed {
                inner.write_state(|state| state.sealed = true);
            }
            inner.dir.set_service_sealed(sealed)?;
            inner.write_state(|state| state.sealed = sealed);
            Ok(())
        })
        .await
    }
}

impl State {
    /// Damaged keys have nothing to show and are left out, as erased ones are.
    fn page(&self, after: Option<&str>, limit: usize) -> KeyPage {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.keys.range::<str, _>((from, Bound::Unbounded)).filter_map(|(key_id, slot)| match slot {
            Slot::Key(record) if record.state() != KeyState::Erased => Some(record.metadata(key_id)),
            Slot::Key(_) | Slot::Damaged(_) => None,
        });
        let keys: Vec<KeyMetadata> = rest.by_ref().take(limit).collect();
        let next = rest.next().and_then(|_| Some(keys.last()?.key_id.clone()));
        KeyPage { keys, next }
    }

    fn due(&self, now: OffsetDateTime) -> Vec<String> {
        let is_due = |slot: &Slot| matches!(slot, Slot::Key(record) if record.is_due(now));
        self.keys.iter().filter(|(_, slot)| is_due(slot)).map(|(key_id, _)| key_id.clone()).collect()
    }
}
