//! The life of keys: by the backend where it can, else in what is remembered.

use std::collections::BTreeMap;

use async_trait::async_trait;
use strongroom_kms::{
    Capabilities, KeyLifecycle, KeyMetadata, KeyPage, KeyState, KmsError, MAX_PAGE_KEYS, MayGo, NewKey, check_new_key_id, is_reserved,
    resolve_key_id,
};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::Overlay;
use super::document::{Entry, check_description, check_tags, refuse, refuse_erased, refuse_leaving};

#[async_trait]
impl<K: KeyLifecycle + ?Sized> KeyLifecycle for Overlay<K> {
    fn capabilities(&self) -> Capabilities {
        self.supplied.add_to(self.inner.capabilities())
    }

    async fn create_key(&self, key: NewKey) -> Result<KeyMetadata, KmsError> {
        let _alone = self.ledger.lock_deletions().await;
        let (key, kept) = self.prepare(key).await?;
        self.remember(self.inner.create_key(key).await?, kept).await
    }

    async fn import_key(&self, key: NewKey, material: Zeroizing<Vec<u8>>) -> Result<KeyMetadata, KmsError> {
        let _alone = self.ledger.lock_deletions().await;
        let (key, kept) = self.prepare(key).await?;
        self.remember(self.inner.import_key(key, material).await?, kept).await
    }

    async fn list_keys(&self, after: Option<&str>, limit: usize) -> Result<KeyPage, KmsError> {
        let Some(document) = self.document().await? else { return self.inner.list_keys(after, limit).await };
        let (limit, mut keys, mut after) = (limit.min(MAX_PAGE_KEYS), Vec::new(), after.map(str::to_owned));
        // Erased keys that the backend still lists leave gaps, so one page here can take several of the backend's.
        while keys.len() <= limit {
            let page = self.inner.list_keys(after.as_deref(), limit).await?;
            let shown = page.keys.into_iter().map(|key| match document.entry(&key.key_id) {
                Some(entry) => entry.lay_over(key),
                None => key,
            });
            keys.extend(shown.filter(|key| key.state != KeyState::Erased));
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        let more = keys.len() > limit;
        keys.truncate(limit);
        let next = keys.last().filter(|_| more).map(|key| key.key_id.clone());
        Ok(KeyPage { keys, next })
    }

    async fn describe_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.described(key_id).await
    }

    async fn enable_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        if self.supplied.enable_disable {
            return self.change_entry(key_id, refuse_leaving, |entry, _| entry.disabled = false).await;
        }
        self.check(key_id, refuse_leaving).await?;
        self.laid_over(self.inner.enable_key(key_id).await?).await
    }

    async fn disable_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        if self.supplied.enable_disable {
            check_not_reserved(key_id)?;
            return self.change_entry(key_id, refuse_leaving, |entry, _| entry.disabled = true).await;
        }
        self.check(key_id, refuse_leaving).await?;
        self.laid_over(self.inner.disable_key(key_id).await?).await
    }

    async fn rotate_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.check(key_id, refuse).await?;
        self.laid_over(self.inner.rotate_key(key_id).await?).await
    }

    async fn seal_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        if self.supplied.seal_key {
            check_not_reserved(key_id)?;
            return self.change_entry(key_id, refuse_leaving, |entry, _| entry.sealed = true).await;
        }
        self.check(key_id, refuse_leaving).await?;
        self.laid_over(self.inner.seal_key(key_id).await?).await
    }

    async fn unseal_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        if self.supplied.seal_key {
            return self.change_entry(key_id, refuse_leaving, |entry, _| entry.sealed = false).await;
        }
        self.check(key_id, refuse_leaving).await?;
        self.laid_over(self.inner.unseal_key(key_id).await?).await
    }

    async fn tag(&self, key_id: &str, tags: BTreeMap<String, String>) -> Result<KeyMetadata, KmsError> {
        if self.supplied.tag {
            let mut all = self.described(key_id).await?.tags;
            all.extend(tags.clone());
            check_tags(&all)?;
            let add = move |entry: &mut Entry, told: &KeyMetadata| entry.tags_over(told).extend(tags.clone());
            return self.change_entry(key_id, refuse_erased, add).await;
        }
        self.check(key_id, refuse_erased).await?;
        self.laid_over(self.inner.tag(key_id, tags).await?).await
    }

    async fn untag(&self, key_id: &str, names: &[String]) -> Result<KeyMetadata, KmsError> {
        if self.supplied.tag {
            let names = names.to_vec();
            let remove = move |entry: &mut Entry, told: &KeyMetadata| entry.tags_over(told).retain(|name, _| !names.contains(name));
            return self.change_entry(key_id, refuse_erased, remove).await;
        }
        self.check(key_id, refuse_erased).await?;
        self.laid_over(self.inner.untag(key_id, names).await?).await
    }

    async fn update_description(&self, key_id: &str, description: &str) -> Result<KeyMetadata, KmsError> {
        if self.supplied.update_description {
            check_description(description)?;
            let description = description.to_owned();
            return self.change_entry(key_id, refuse_erased, move |entry, _| entry.description = Some(description.clone())).await;
        }
        self.check(key_id, refuse_erased).await?;
        self.laid_over(self.inner.update_description(key_id, description).await?).await
    }

    async fn schedule_deletion(&self, key_id: &str, window_days: u32) -> Result<KeyMetadata, KmsError> {
        self.schedule(key_id, window_days).await
    }

    async fn cancel_deletion(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.cancel(key_id).await
    }

    async fn delete_now(&self, key_id: &str, echo: &str) -> Result<KeyMetadata, KmsError> {
        self.delete(key_id, echo).await
    }

    async fn reap_deleted(&self, now: OffsetDateTime, may_go: &MayGo) -> Result<Vec<String>, KmsError> {
        self.reap(now, may_go).await
    }

    async fn seal_service(&self) -> Result<(), KmsError> {
        self.inner.seal_service().await
    }

    async fn unseal_service(&self) -> Result<(), KmsError> {
        self.inner.unseal_service().await
    }
}

/// What a state refuses, given with the key's id.
pub(super) type Refusal = fn(&str, KeyState) -> Result<(), KmsError>;

impl<K: KeyLifecycle + ?Sized> Overlay<K> {
    /// Takes from a new key what the overlay keeps of it. Refuses an id that was ever used.
    async fn prepare(&self, mut key: NewKey) -> Result<(NewKey, Entry), KmsError> {
        let mut kept = Entry::default();
        let Some(document) = self.document().await? else { return Ok((key, kept)) };
        if let Some(name) = &key.name {
            check_new_key_id(name)?;
            if document.entry(name).is_some_and(|entry| entry.tombstone.is_some()) {
                return Err(KmsError::KeyExists(name.clone()));
            }
        }
        if self.supplied.update_description {
            check_description(&key.description)?;
            kept.description = Some(std::mem::take(&mut key.description)).filter(|text| !text.is_empty());
        }
        if self.supplied.tag {
            check_tags(&key.tags)?;
            kept.tags = Some(std::mem::take(&mut key.tags)).filter(|tags| !tags.is_empty());
        }
        Ok((key, kept))
    }

    /// Keeps what belongs to a new key, in place of what was remembered of an earlier one of its id that went past this server. A
    /// tombstone stays: another server may have made it since [`Self::prepare`] looked.
    async fn remember(&self, created: KeyMetadata, kept: Entry) -> Result<KeyMetadata, KmsError> {
        if !self.supplied.tombstones {
            return Ok(created);
        }
        let (key_id, entry) = (created.key_id.clone(), kept.clone());
        let kept_well = self.ledger.update(move |document| {
            if document.entry(&key_id).is_some_and(|entry| entry.tombstone.is_some()) {
                return Err(KmsError::KeyExists(key_id.clone()));
            }
            document.change(&key_id, |place| *place = entry.clone());
            Ok(())
        });
        kept_well.await.map_err(|error| match error {
            KmsError::KeyExists(_) => error,
            error => {
                let key_id = &created.key_id;
                KmsError::Unavailable(format!("the key {key_id} was created, but its description and tags were not stored: {error}"))
            }
        })?;
        Ok(kept.lay_over(created))
    }

    /// Refuses a change of a key that is in a state against it, as far as that is the overlay's.
    pub(super) async fn check(&self, key_id: &str, refusal: Refusal) -> Result<(), KmsError> {
        let (key_id, entry) = self.look_up(key_id).await?;
        refusal(key_id, entry.state())
    }

    /// Changes what is remembered of a key that the backend has.
    pub(super) async fn change_entry<C>(&self, key_id: &str, refusal: Refusal, change: C) -> Result<KeyMetadata, KmsError>
    where
        C: Fn(&mut Entry, &KeyMetadata) + Send + Sync + 'static,
    {
        let (id, entry) = self.look_up(key_id).await?;
        refusal(id, entry.state())?;
        let backends = entry.or_lost(id, self.inner.describe_key(key_id).await)?;
        refusal(&backends.key_id, entry.lay_over(backends.clone()).state)?;
        let (id, told) = (backends.key_id.clone(), backends.clone());
        let changed = self.ledger.update(move |document| {
            refusal(&id, document.entry(&id).map_or(KeyState::Enabled, Entry::state))?;
            Ok(document.change(&id, |entry| {
                change(entry, &told);
                entry.clone()
            }))
        });
        Ok(changed.await?.lay_over(backends))
    }

    /// The backend's answer under what is remembered.
    pub(super) async fn laid_over(&self, metadata: KeyMetadata) -> Result<KeyMetadata, KmsError> {
        let (_, entry) = self.look_up(&metadata.key_id).await?;
        Ok(entry.lay_over(metadata))
    }
}

pub(super) fn check_not_reserved(key_id: &str) -> Result<(), KmsError> {
    if is_reserved(resolve_key_id(key_id)?) {
        return Err(KmsError::InvalidArgument("this key belongs to the store itself".to_owned()));
    }
    Ok(())
}
