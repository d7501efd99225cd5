//! The keyring as the store uses it.

use std::sync::Arc;

use async_trait::async_trait;
use strongroom_kms::{
    CommitPermit, DataKey, DataKeySpec, EncryptionContext, KeyService, KeySource, KeyState, KmsError, OWNER_TAG, WrappedKey,
};
use zeroize::Zeroizing;

use super::Keyring;
use super::gate::Gate;

#[async_trait]
impl KeySource for Keyring {
    fn is_configured(&self) -> bool {
        self.core.snapshot().document.configuration.is_some()
    }

    fn backend_in_force(&self) -> String {
        let snapshot = self.core.snapshot();
        snapshot.document.configuration.as_ref().map(|configuration| configuration.in_force.clone()).unwrap_or_default()
    }

    /// Empty if there is none.
    fn default_key_id(&self) -> String {
        let snapshot = self.core.snapshot();
        let configuration = snapshot.document.configuration.as_ref();
        configuration.and_then(|configuration| configuration.settings.default_key_id.clone()).unwrap_or_default()
    }

    async fn owner_of(&self, backend: &str, key_id: &str) -> Result<Option<String>, KmsError> {
        let mut key = self.kms(Some(backend))?.describe_key(key_id).await?;
        // Of a key that is gone there is nothing left to own.
        Ok(if key.state == KeyState::Erased { None } else { key.tags.remove(OWNER_TAG) })
    }

    async fn begin_commit(&self, backend: &str, key_id: &str) -> Result<CommitPermit, KmsError> {
        // The permit first: a key that is looked at after that cannot be destroyed any more.
        let permit = self.core.fence.enter(backend, key_id)?;
        self.core.check_running()?;
        let stack = Arc::clone(self.core.snapshot().stack(backend)?);
        stack.check_known(key_id).await?;
        Ok(permit)
    }

    async fn begin_lock(&self, backend: &str, key_id: &str) -> Result<CommitPermit, KmsError> {
        // The permit is kept whatever else keeps the key from being used: whoever deletes the key waits for it, and then finds the lock.
        let permit = self.core.fence.enter(backend, key_id)?;
        let snapshot = self.core.snapshot();
        let Ok(stack) = snapshot.stack(backend) else { return Ok(permit) };
        match Arc::clone(stack).check_known(key_id).await {
            Err(error @ (KmsError::KeyPendingDeletion(_) | KmsError::KeyErased(_))) => Err(error),
            _ => Ok(permit),
        }
    }
}

#[async_trait]
impl KeyService for Keyring {
    /// It has no name of its own: every wrapped key names the backend it is from.
    fn backend(&self) -> &'static str {
        "keyring"
    }

    async fn check_usable(&self, key_id: &str) -> Result<String, KmsError> {
        self.in_force(key_id)?.check_usable(key_id).await
    }

    async fn generate_data_key(&self, key_id: &str, spec: DataKeySpec, context: &EncryptionContext) -> Result<DataKey, KmsError> {
        self.in_force(key_id)?.generate_data_key(key_id, spec, context).await
    }

    async fn unwrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        self.of(wrapped)?.unwrap_data_key(wrapped, context).await
    }

    async fn rewrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<WrappedKey, KmsError> {
        self.of(wrapped)?.rewrap_data_key(wrapped, context).await
    }
}

impl Keyring {
    /// The backend in force, for a key that a caller named or the default key.
    fn in_force(&self, key_id: &str) -> Result<Gate, KmsError> {
        self.core.check_running()?;
        let snapshot = self.core.snapshot();
        if key_id.is_empty() {
            let text = "no key is named, and there is no default key: POST /kms/reconfigure with default_key_id";
            return Err(KmsError::Conflict(text.to_owned()));
        }
        Ok(Gate::new(&self.core, snapshot.in_force()?))
    }

    /// The backend that wrapped the key. There is no other in its place.
    fn of(&self, wrapped: &WrappedKey) -> Result<Gate, KmsError> {
        self.core.check_running()?;
        let snapshot = self.core.snapshot();
        Ok(Gate::new(&self.core, snapshot.stack(&wrapped.backend)?))
    }
}
