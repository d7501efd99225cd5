//! The stack of a backend as the service lets it be used: not while it is sealed or stopped.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use strongroom_kms::{
    Capabilities, Closed, DataKey, DataKeySpec, EncryptionContext, KeyLifecycle, KeyMetadata, KeyPage, KeyService, KmsError, MayGo, NewKey,
    WrappedKey, resolve_key_id,
};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::core::Core;
use super::stack::Stack;
use crate::overlay::run_to_end;

/// Uses and changes fail unless the service runs, listing and describing work on.
///
/// A use under way keeps its stack, and fails if the service was sealed or stopped before it ended.
pub(super) struct Gate {
    core: Arc<Core>,
    stack: Arc<Stack>,
}

impl Gate {
    pub(super) fn new(core: &Arc<Core>, stack: &Arc<Stack>) -> Self {
        Self { core: Arc::clone(core), stack: Arc::clone(stack) }
    }

    /// Uses a key while the service runs, from the beginning of the use to its end, unless the key is closed.
    async fn use_key<T>(&self, key_id: &str, answer: impl Future<Output = Result<T, KmsError>>) -> Result<T, KmsError> {
        self.core.check_running()?;
        // What is no key id, the backend refuses.
        let key_id = resolve_key_id(key_id).unwrap_or(key_id);
        self.core.fence.check(&self.stack.name, key_id)?;
        let changes = self.stack.known.changes();
        let value = answer.await?;
        self.core.check_running()?;
        self.stack.known.used(key_id, changes);
        Ok(value)
    }

    /// Changes a key. The change runs to its end if the caller goes away, and is in force in every stack of the backend: this one may
    /// have been replaced while the change was under way.
    async fn change<T, F>(&self, change: impl FnOnce(Arc<Stack>) -> F) -> Result<T, KmsError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, KmsError>> + Send + 'static,
    {
        self.core.check_running()?;
        let (core, stack, change) = (Arc::clone(&self.core), Arc::clone(&self.stack), change(Arc::clone(&self.stack)));
        run_to_end(async move {
            let changed = change.await;
            let present = core.snapshot().in_stacks(&stack.name).filter(|present| !Arc::ptr_eq(present, &stack));
            if let Some(present) = present {
                present.kms.clear();
            }
            changed
        })
        .await
    }

    /// Changes one key.
    async fn change_key<F>(&self, key_id: &str, change: impl FnOnce(Arc<Stack>, String) -> F) -> Result<KeyMetadata, KmsError>
    where
        F: Future<Output = Result<KeyMetadata, KmsError>> + Send + 'static,
    {
        self.change_one(key_id, None, change).await
    }

    /// Changes one key while nobody uses it, and no commit under it is under way.
    async fn change_closed<F>(&self, key_id: &str, change: impl FnOnce(Arc<Stack>, String) -> F) -> Result<KeyMetadata, KmsError>
    where
        F: Future<Output = Result<KeyMetadata, KmsError>> + Send + 'static,
    {
        self.core.check_running()?;
        let closed = self.core.close_key(&self.stack.name, resolve_key_id(key_id)?).await?;
        self.change_one(key_id, Some(closed), change).await
    }

    /// The key opens when its new state is known.
    async fn change_one<F>(
        &self,
        key_id: &str,
        closed: Option<Closed>,
        change: impl FnOnce(Arc<Stack>, String) -> F,
    ) -> Result<KeyMetadata, KmsError>
    where
        F: Future<Output = Result<KeyMetadata, KmsError>> + Send + 'static,
    {
        let key_id = key_id.to_owned();
        self.change(|stack| {
            let change = change(Arc::clone(&stack), key_id);
            async move {
                let changed = change.await.inspect(|key| stack.known.changed(key));
                drop(closed);
                changed
            }
        })
        .await
    }
}

#[async_trait]
impl KeyService for Gate {
    fn backend(&self) -> &str {
        &self.stack.name
    }

    async fn check_usable(&self, key_id: &str) -> Result<String, KmsError> {
        self.use_key(key_id, self.stack.kms.check_usable(key_id)).await
    }

    async fn generate_data_key(&self, key_id: &str, spec: DataKeySpec, context: &EncryptionContext) -> Result<DataKey, KmsError> {
        self.use_key(key_id, self.stack.kms.generate_data_key(key_id, spec, context)).await
    }

    async fn unwrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        self.use_key(&wrapped.key_id, self.stack.kms.unwrap_data_key(wrapped, context)).await
    }

    async fn rewrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<WrappedKey, KmsError> {
        self.use_key(&wrapped.key_id, self.stack.kms.rewrap_data_key(wrapped, context)).await
    }
}

#[async_trait]
impl KeyLifecycle for Gate {
    /// Sealing the service is the keyring's own.
    fn capabilities(&self) -> Capabilities {
        Capabilities { seal_service: false, ..self.stack.kms.capabilities() }
    }

    async fn create_key(&self, key: NewKey) -> Result<KeyMetadata, KmsError> {
        self.change(|stack| async move { stack.kms.create_key(key).await.inspect(|key| stack.known.changed(key)) }).await
    }

    async fn import_key(&self, key: NewKey, material: Zeroizing<Vec<u8>>) -> Result<KeyMetadata, KmsError> {
        self.change(|stack| async move { stack.kms.import_key(key, material).await.inspect(|key| stack.known.changed(key)) }).await
    }

    async fn list_keys(&self, after: Option<&str>, limit: usize) -> Result<KeyPage, KmsError> {
        self.stack.kms.list_keys(after, limit).await
    }

    async fn describe_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.stack.kms.describe_key(key_id).await
    }

    async fn enable_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.change_key(key_id, |stack, id| async move { stack.kms.enable_key(&id).await }).await
    }

    async fn disable_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.change_key(key_id, |stack, id| async move { stack.kms.disable_key(&id).await }).await
    }

    async fn rotate_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.change_key(key_id, |stack, id| async move { stack.kms.rotate_key(&id).await }).await
    }

    async fn seal_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.change_key(key_id, |stack, id| async move { stack.kms.seal_key(&id).await }).await
    }

    async fn unseal_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.change_key(key_id, |stack, id| async move { stack.kms.unseal_key(&id).await }).await
    }

    async fn tag(&self, key_id: &str, tags: BTreeMap<String, String>) -> Result<KeyMetadata, KmsError> {
        self.change_key(key_id, |stack, id| async move { stack.kms.tag(&id, tags).await }).await
    }

    async fn untag(&self, key_id: &str, names: &[String]) -> Result<KeyMetadata, KmsError> {
        let names = names.to_vec();
        self.change_key(key_id, |stack, id| async move { stack.kms.untag(&id, &names).await }).await
    }

    async fn update_description(&self, key_id: &str, description: &str) -> Result<KeyMetadata, KmsError> {
        let description = description.to_owned();
        self.change_key(key_id, |stack, id| async move { stack.kms.update_description(&id, &description).await }).await
    }

    async fn schedule_deletion(&self, key_id: &str, window_days: u32) -> Result<KeyMetadata, KmsError> {
        self.change_closed(key_id, move |stack, id| async move { stack.kms.schedule_deletion(&id, window_days).await }).await
    }

    async fn cancel_deletion(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.change_key(key_id, |stack, id| async move { stack.kms.cancel_deletion(&id).await }).await
    }

    async fn delete_now(&self, key_id: &str, echo: &str) -> Result<KeyMetadata, KmsError> {
        let echo = echo.to_owned();
        self.change_closed(key_id, |stack, id| async move { stack.kms.delete_now(&id, &echo).await }).await
    }

    async fn reap_deleted(&self, now: OffsetDateTime, may_go: &MayGo) -> Result<Vec<String>, KmsError> {
        let may_go = may_go.clone();
        self.change(move |stack| async move { stack.kms.reap_deleted(now, &may_go).await }).await
    }

    async fn seal_service(&self) -> Result<(), KmsError> {
        Err(KmsError::Unsupported { backend: self.stack.name.clone(), operation: "seal the service by itself: POST /kms/seal" })
    }

    async fn unseal_service(&self) -> Result<(), KmsError> {
        Err(KmsError::Unsupported { backend: self.stack.name.clone(), operation: "unseal the service by itself: POST /kms/unseal" })
    }
}
