//! Lifecycle calls through the cache: what changes a key forgets its entries before it returns.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use time::OffsetDateTime;
use tracing::Instrument;
use zeroize::Zeroizing;

use super::CachedKms;
use super::lookup::Shared;
use crate::{Capabilities, KeyLifecycle, KeyMetadata, KeyPage, KmsError, MayGo, NewKey, resolve_key_id};

#[async_trait]
impl<K: KeyLifecycle + ?Sized> KeyLifecycle for CachedKms<K> {
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
        self.change_key(key_id, |kms, id| async move { kms.enable_key(&id).await }).await
    }

    async fn disable_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.change_key(key_id, |kms, id| async move { kms.disable_key(&id).await }).await
    }

    async fn rotate_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.change_key(key_id, |kms, id| async move { kms.rotate_key(&id).await }).await
    }

    async fn seal_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.change_key(key_id, |kms, id| async move { kms.seal_key(&id).await }).await
    }

    async fn unseal_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.change_key(key_id, |kms, id| async move { kms.unseal_key(&id).await }).await
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
        self.change_key(key_id, move |kms, id| async move { kms.schedule_deletion(&id, window_days).await }).await
    }

    async fn cancel_deletion(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.change_key(key_id, |kms, id| async move { kms.cancel_deletion(&id).await }).await
    }

    async fn delete_now(&self, key_id: &str, echo: &str) -> Result<KeyMetadata, KmsError> {
        let echo = echo.to_owned();
        self.change_key(key_id, |kms, id| async move { kms.delete_now(&id, &echo).await }).await
    }

    async fn reap_deleted(&self, now: OffsetDateTime, may_go: &MayGo) -> Result<Vec<String>, KmsError> {
        let may_go = may_go.clone();
        self.change(move |kms, entries| async move {
            let entries = entries;
            let erased = kms.reap_deleted(now, &may_go).await?;
            entries.only(&erased.iter().map(String::as_str).collect::<Vec<_>>());
            Ok(erased)
        })
        .await
    }

    async fn seal_service(&self) -> Result<(), KmsError> {
        self.change(|kms, entries| async move {
            let _all = entries;
            kms.seal_service().await
        })
        .await
    }

    async fn unseal_service(&self) -> Result<(), KmsError> {
        self.change(|kms, entries| async move {
            let _all = entries;
            kms.unseal_service().await
        })
        .await
    }
}

impl<K: KeyLifecycle + ?Sized> CachedKms<K> {
    /// Changes one key, then forgets its entries.
    async fn change_key<C, F>(&self, key_id: &str, call: C) -> Result<KeyMetadata, KmsError>
    where
        C: FnOnce(Arc<K>, String) -> F + Send + 'static,
        F: Future<Output = Result<KeyMetadata, KmsError>> + Send + 'static,
    {
        let key_id = key_id.to_owned();
        self.change(move |kms, entries| async move {
            let entries = entries;
            let metadata = call(kms, key_id.clone()).await?;
            entries.only(&[&key_id, resolve_key_id(&key_id).unwrap_or(&key_id), &metadata.key_id]);
            Ok(metadata)
        })
        .await
    }

    /// Runs a change to its end, also if the caller goes away, so that no entry outlives a change that is made
    /// all the same.
    async fn change<T, C, F>(&self, call: C) -> Result<T, KmsError>
    where
        T: Send + 'static,
        C: FnOnce(Arc<K>, Invalidation) -> F,
        F: Future<Output = Result<T, KmsError>> + Send + 'static,
    {
        let entries = Invalidation { shared: Arc::clone(&self.shared), done: false };
        let change = tokio::spawn(call(Arc::clone(&self.inner), entries).in_current_span());
        change.await.unwrap_or_else(|_| Err(KmsError::Unavailable("the change of a key was interrupted".to_owned())))
    }
}

/// Wipes the whole cache when dropped, unless it was told what to wipe: after an error nobody knows whether
/// the change was made.
struct Invalidation {
    shared: Arc<Shared>,
    done: bool,
}

impl Invalidation {
    /// The change was made, and concerns these keys alone.
    fn only(mut self, key_ids: &[&str]) {
        if !key_ids.is_empty() {
            self.shared.forget(key_ids);
        }
        self.done = true;
    }
}

impl Drop for Invalidation {
    fn drop(&mut self) {
        if !self.done {
            self.shared.clear();
        }
    }
}
